"""Enough people, the right ones, for exactly this plan, now: the judgement of approvals, and who counts as a person."""

from __future__ import annotations

import base64
import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config.actions import Approval as Rules
from interlock.errors import ConfigError
from interlock.facts import moments
from interlock.facts.signers import AllowedSigners, SignatureSeen, fingerprint, revoked_list
from interlock.facts.statements import Approval, ApprovalSeen, ForPlan
from interlock.judge.agreement.plans import Approved, NotApproved, judge_approvals, judge_planner, self_approval_allowed

NOW = datetime(2026, 11, 20, 21, 0, 0, tzinfo=UTC)
PLAN, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def wire(*parts: bytes) -> bytes:
    """Strings as RFC 4251, 5 writes them."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def key_line(seed: str, kind: str = "ssh-ed25519") -> str:
    """A public key line that nobody has the private half of."""
    own = seed.encode().ljust(32, b".")
    parts = {
        "ssh-ed25519": (own,),
        "ecdsa-sha2-nistp256": (b"nistp256", own),
        "sk-ssh-ed25519@openssh.com": (own, b"ssh:"),
        "ssh-rsa": (b"\x01\x00\x01", b"\0" + own.ljust(256, b"x")),
    }
    return f"{kind} {base64.b64encode(wire(kind.encode(), *parts[kind])).decode()}"


KEYS = {name: fingerprint(key_line(name)) for name in ("anna", "bert", "carla", "mallory")}


def signers(*people: str) -> AllowedSigners:
    return AllowedSigners.parse("".join(f"{person} {key_line(person)}\n" for person in people), where="allowed_signers")


def rules(**changed: object) -> Rules:
    return Rules(**({"allowed_signers": "allowed_signers"} | changed))  # type: ignore[arg-type]


def approval(person: str = "bert", **changed: str) -> Approval:
    given = Approval(
        purpose="apply",
        plan=PLAN,
        action="release",
        site="s",
        principal=person,
        created=moments.written(NOW - timedelta(minutes=10)),
        expires=moments.written(NOW + timedelta(hours=3)),
        nonce=person,
    )
    return dataclasses.replace(given, **changed)


def seen(given: Approval, *, by: str | None = None, valid: bool = True) -> ApprovalSeen:
    who = by or given.principal
    signature = SignatureSeen(principal=given.principal, valid=valid, key=KEYS[who] if valid else "", why="" if valid else "incorrect signature")
    return ApprovalSeen(where=f"{given.nonce}.json", approval=given, signature=signature)


def for_plan(planner: str | None = "anna") -> ForPlan:
    return ForPlan(digest=PLAN, action="release", site="s", created=NOW - timedelta(minutes=20), planner=planner)


def judge(*given: ApprovalSeen, planner: str | None = "anna", people: tuple[str, ...] = ("anna", "bert", "carla"), **rule: object) -> Approved | NotApproved:
    return judge_approvals(for_plan(planner), given, rules(**rule), signers(*people), NOW)


def refused(judged: Approved | NotApproved) -> str:
    assert isinstance(judged, NotApproved)
    return "; ".join(judged.reasons)


# ---- the judgement


def test_another_persons_approval_is_enough() -> None:
    judged = judge(seen(approval("bert")))
    assert judged == Approved(plan=PLAN, approvals=(approval("bert"),), self_approved=False)


def test_nobody_is_not_enough() -> None:
    assert "nobody has validly approved this plan, and it needs 1" in refused(judge())


def test_two_of_three_are_counted_as_people_not_as_files() -> None:
    twice = (seen(approval("bert")), seen(approval("bert", nonce="again")))
    assert "one person has" in refused(judge(*twice, required=2))
    judged = judge(seen(approval("bert")), seen(approval("carla")), required=2)
    assert isinstance(judged, Approved)
    assert judged.principals == ("bert", "carla")


def test_the_planner_may_not_approve_where_others_could() -> None:
    assert "anna made the plan" in refused(judge(seen(approval("anna"))))
    assert "one person has" in refused(judge(seen(approval("anna")), seen(approval("bert")), required=2))


def test_the_only_person_there_is_may_approve_their_own_plan_loudly() -> None:
    judged = judge(seen(approval("anna")), people=("anna",))
    assert isinstance(judged, Approved)
    assert judged.self_approved


@pytest.mark.parametrize(("people", "word", "allowed"), [(1, None, True), (2, None, False), (1, False, False), (3, True, True), (0, None, False)])
def test_self_approval_follows_the_site_and_without_its_word_the_number_of_people(people: int, word: bool | None, allowed: bool) -> None:
    assert self_approval_allowed(rules(self_approval=word), signers(*("anna", "bert", "carla")[:people])) is allowed


def test_a_plan_without_its_planners_signature_cannot_be_approved_where_self_approval_is_not_allowed() -> None:
    assert "does not carry its planner's signature" in refused(judge(seen(approval("bert")), planner=None))
    judged = judge(seen(approval("anna")), planner=None, people=("anna",))
    assert isinstance(judged, Approved)
    assert judged.self_approved


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"plan": OTHER}, "it is for another plan"),
        ({"purpose": "plan"}, "its purpose is 'plan'"),
        ({"action": "cutover"}, "it is for cutover of s"),
        ({"site": "other"}, "it is for release of other"),
        ({"expires": moments.written(NOW)}, "it expired at"),
        ({"created": moments.written(NOW + timedelta(minutes=10)), "expires": moments.written(NOW + timedelta(hours=1))}, "made in the future"),
        ({"created": moments.written(NOW - timedelta(hours=1))}, "it is older than the plan"),
        ({"expires": moments.written(NOW + timedelta(hours=5))}, "it lasts longer than the 4 h that the site allows"),
        ({"expires": moments.written(NOW + timedelta(days=400))}, "it lasts longer"),
    ],
)
def test_an_approval_that_is_not_for_this_plan_and_time_does_not_count(changed: dict[str, str], reason: str) -> None:
    assert reason in refused(judge(seen(approval("bert", **changed))))


def test_a_signature_that_does_not_verify_does_not_count() -> None:
    assert "its signature does not verify: incorrect signature" in refused(judge(seen(approval("bert"), valid=False)))


def test_a_name_under_another_persons_signature_does_not_count() -> None:
    assert "its signature is not that of bert" in refused(judge(seen(approval("bert"), by="carla")))
    assert "its signature is not that of mallory" in refused(judge(seen(approval("mallory"))))


def test_a_small_difference_between_two_clocks_is_forgiven() -> None:
    assert isinstance(judge(seen(approval("bert", created=moments.written(NOW + timedelta(seconds=90))))), Approved)


def test_every_approval_that_does_not_count_is_named_with_its_reason() -> None:
    judged = judge(seen(approval("bert", plan=OTHER)), seen(approval("carla"), valid=False), seen(approval("anna")))
    said = refused(judged)
    assert all(part in said for part in ("bert.json: it is for another plan", "carla.json: its signature", "anna.json: anna made the plan"))


@given(
    st.lists(
        st.tuples(st.sampled_from(["anna", "bert", "carla", "mallory"]), st.booleans(), st.integers(-300, 300), st.sampled_from([PLAN, OTHER])), max_size=6
    ),
    st.integers(1, 3),
)
def test_approved_means_enough_valid_people_who_did_not_make_the_plan(given_: list[tuple[str, bool, int, str]], required: int) -> None:
    shown = [
        seen(
            approval(
                person,
                plan=plan,
                expires=moments.written(NOW + timedelta(minutes=left)),
                created=moments.written(NOW - timedelta(minutes=10)),
                nonce=str(number),
            ),
            valid=valid,
        )
        for number, (person, valid, left, plan) in enumerate(given_)
    ]
    good = {person for person, valid, left, plan in given_ if valid and 0 < left <= 230 and plan == PLAN and person in ("bert", "carla")}
    judged = judge(*shown, required=required)
    assert isinstance(judged, Approved) is (len(good) >= required)
    if isinstance(judged, Approved):
        assert set(judged.principals) == good
        assert not judged.self_approved


def test_the_planner_is_who_signed_the_plan_as_its_planner() -> None:
    people = signers("anna", "bert")
    statement = approval("anna", purpose="plan")
    assert judge_planner(PLAN, seen(statement), people) == "anna"
    assert judge_planner(PLAN, None, people) is None
    assert judge_planner(OTHER, seen(statement), people) is None
    assert judge_planner(PLAN, seen(approval("anna")), people) is None
    assert judge_planner(PLAN, seen(statement, valid=False), people) is None
    assert judge_planner(PLAN, seen(statement, by="bert"), people) is None


# ---- what is signed


def test_an_approval_reads_back_as_it_was_written() -> None:
    given = approval("bert")
    assert Approval.from_json(given.to_json()) == given


def test_two_approvals_never_have_the_same_payload_unless_they_are_the_same() -> None:
    given = approval("bert")
    for field in dataclasses.fields(Approval):
        other = dataclasses.replace(given, **{field.name: getattr(given, field.name) + "x"})
        assert other.payload() != given.payload()


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "other"},
        {"extra": 1},
        {"nonce": 1},
        {"plan": "sha256:short"},
        {"created": "yesterday"},
        {"principal": "an\0na"},
        {"principal": "anna\n"},
        {"nonce": "\ud800"},
        {"expires": "2026-11-20"},
        {"expires": "2026-11-20T21:00:00+01:00"},
    ],
)
def test_a_file_that_holds_no_approval_is_none(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"field|digest|format|written|name|canonical"):
        Approval.from_json(approval().to_json() | change)


@pytest.mark.parametrize("fields", [None, [], "x", {}, {"schema": "interlock/approval/1"}])
def test_what_is_no_object_of_ours_is_no_approval(fields: object) -> None:
    with pytest.raises(ValueError, match="not the fields"):
        Approval.from_json(fields)


# ---- who counts


def short_rsa(bits: int) -> str:
    """An RSA key line of so many bits."""
    modulus = b"\0" + (1 << bits - 1).to_bytes(bits // 8, "big")
    return f"ssh-rsa {base64.b64encode(wire(b'ssh-rsa', b'3', modulus)).decode()}"


def test_each_line_is_a_person_and_other_namespaces_are_passed_over() -> None:
    text = f"""
# people
anna@example.org namespaces="interlock",valid-before="20270101Z" {key_line("anna")} anna's laptop
"bert@example.org" namespaces="git,interlock" {key_line("bert")}
carla@example.org {key_line("carla", "sk-ssh-ed25519@openssh.com")}
anna@example.org {key_line("anna2", "ecdsa-sha2-nistp256")}
*@example.org cert-authority,namespaces="git" {key_line("ca")}
*@example.org namespaces="git" {key_line("anybody")}
"""
    people = AllowedSigners.parse(text, where="f")
    assert people.principals == {"anna@example.org", "bert@example.org", "carla@example.org"}
    assert len(people.signers) == 4
    found = people.by_key(fingerprint(key_line("anna2", "ecdsa-sha2-nistp256")))
    assert found is not None
    assert found.principal == "anna@example.org"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"*@example.org {key_line('x')}", "pattern or a list"),
        (f"anna,bert {key_line('x')}", "pattern or a list"),
        (f'"anna, bert" {key_line("x")}', "pattern or a list"),
        (f"!mallory {key_line('x')}", "pattern or a list"),
        (f"anna cert-authority {key_line('x')}", "any number of people"),
        (f'anna CERT-AUTHORITY,namespaces="interlock" {key_line("x")}', "any number of people"),
        ("anna", "it has no key"),
        ("anna ssh-ed25519", "no public key"),
        ("anna ssh-ed25519 !!!", "no base64"),
        ("anna ssh-ed25519 AAAA", "no ssh-ed25519"),
        (f"anna {key_line('x').replace('ssh-ed25519', 'ssh-rsa')}", "no ssh-rsa"),
        (f'anna namespaces="interlock {key_line("x")}', "neither a key type nor an option"),
        (f"anna {short_rsa(1024)}", "its RSA key has 1024 bits, and needs 2048"),
        (f"anna ssh-dss {base64.b64encode(wire(b'ssh-dss', b'p', b'q', b'g', b'y')).decode()}", "ssh-dss is no kind of key that counts"),
        (f"anna ssh-ed25519 {base64.b64encode(wire(b'ssh-ed25519', b'k', b'more')).decode()}", "its key is no whole ssh-ed25519 key"),
        (f"anna {key_line('x')[:-8]}", "it is cut off"),
        (f"anna verify-required {key_line('x')}", "ssh-keygen knows no option verify-required here"),
        (f'anna valid-before="soon" {key_line("x")}', "its valid-before 'soon' is no time"),
        (f'anna valid-after="20260231Z" {key_line("x")}', "no time that there is"),
        (f'anna valid-after="20270101",valid-before="20260101" {key_line("x")}', "its valid-before is not after its valid-after"),
        (f'anna namespaces="git",namespaces="interlock" {key_line("x")}', "it has namespaces twice"),
        (f'anna namespaces="inter*" {key_line("x")}', "its namespaces are a pattern"),
        (f"anna namespaces {key_line('x')}", "namespaces has no value"),
        (f"an\x1bna {key_line('x')}", "a character that does not show"),
        (f"\ufeffanna {key_line('x')}", "a character that does not show"),
        (f'an"na {key_line("x")}', "pattern or a list"),
    ],
)
def test_a_line_that_leaves_open_how_many_may_sign_is_refused_with_its_place(line: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        AllowedSigners.parse(f"bert {key_line('bert')}\n{line}\n", where="allowed_signers")
    assert why in str(caught.value)
    assert "allowed_signers:2" in str(caught.value)


def test_one_key_under_two_names_is_refused() -> None:
    with pytest.raises(ConfigError, match="who may approve") as caught:
        AllowedSigners.parse(f"anna {key_line('x')}\nbert {key_line('x')}\n", where="f")
    assert "anna on line 1" in str(caught.value)


def test_one_key_on_two_lines_is_refused_also_under_one_name() -> None:
    with pytest.raises(ConfigError, match="stands on line 1 already"):
        AllowedSigners.parse(f'anna {key_line("x")}\nanna valid-before="20270101" {key_line("x")}\n', where="f")


def test_lines_end_where_ssh_keygen_says_they_do() -> None:
    """At a newline alone: what stands behind another separator in a comment is no line, and a file from another system is read as it is meant."""
    people = AllowedSigners.parse(f"# old\u2028mallory {key_line('mallory')}\r\nanna {key_line('anna')}\r\n\r\n", where="f")
    assert people.principals == {"anna"}
    with pytest.raises(ConfigError, match="does not show"):
        AllowedSigners.parse(f"anna {key_line('anna')}\rbert {key_line('bert')}\n", where="f")


def test_a_list_of_revoked_keys_names_them_and_no_line_is_passed_over() -> None:
    text = f"# gone\n{key_line('bert')} bert's old laptop\r\n\n{key_line('carla')}\n"
    assert revoked_list(text.encode(), where="f") == {KEYS["bert"], KEYS["carla"]}
    assert revoked_list(b"", where="f") == frozenset()
    for line in (f"bert {key_line('bert')}", "SHA256:z790/o5racn2ZmDgm7z", "ssh-ed25519 AAAA", "serial: 7"):
        with pytest.raises(ConfigError, match="f:2: this line revokes nothing"):
            revoked_list(f"# gone\n{line}\n".encode(), where="f")
    with pytest.raises(ConfigError, match="no UTF-8"):
        revoked_list(b"\xff", where="f")


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        AllowedSigners.parse(f"*\nanna x\n* {key_line('x')}\n", where="f")
    assert len(caught.value.problems) == 3


def test_a_fingerprint_is_the_one_that_openssh_prints() -> None:
    """From ssh-keygen -l of this very key."""
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    assert fingerprint(key) == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
