"""What counts no more: keys that are revoked, approvals that are taken back, and those that an action rests on already. Real keys, the real ssh-keygen."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from interlock import runner
from interlock.act import journal as journals
from interlock.act.books import StoredPlan, approvals_of
from interlock.commands.status import status_text
from interlock.errors import ApprovalError, ConfigError
from interlock.facts.canonical import short
from interlock.gate.journal import Standing, State
from tests.in_terminal import INTERLOCK, human_environ, in_terminal
from tests.tiny_site import NEW, OLD, SECRET, Tiny, key_of, make_tiny, signer_line

pytestmark = pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs the OpenSSH client")
WHY = "the disk is dying and bert does not answer his phone"
FOUND = "looked at the diff and the counts, nothing is missing, issue 12"


def public(person: str) -> Path:
    return key_of(person).with_suffix(".pub")


def as_list(file: Path, *people: str) -> None:
    file.write_text("# gone\n" + "".join(public(person).read_text() for person in people))


def as_krl(file: Path, *people: str) -> None:
    subprocess.run(("ssh-keygen", "-q", "-k", "-f", file, *(public(person) for person in people)), check=True, capture_output=True)


FORMS = pytest.mark.parametrize("revoke", [as_list, as_krl], ids=["list", "krl"])
Revoke = Callable[..., None]


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """Anna plans, bert or carla approve; nobody is revoked yet."""
    site = make_tiny(tmp_path, people=("anna", "bert", "carla"), approval="  revoked: revoked\n  self_approval: false")
    (site.root / "revoked").write_text("")
    return site


def apply(tiny: Tiny, stored: StoredPlan) -> runner.Outcome:
    return runner.apply(tiny.site, str(stored.folder), tiny.environ, tiny.means())


def refused(tiny: Tiny, stored: StoredPlan) -> str:
    with pytest.raises(ApprovalError) as caught:
        apply(tiny, stored)
    assert (caught.value.exit_code, tiny.look()) == (13, OLD)
    return str(caught.value)


# ---- keys


def test_an_empty_list_revokes_nobody(tiny: Tiny) -> None:
    assert apply(tiny, tiny.approved("bert")).exit_code == 0


@FORMS
def test_a_key_that_was_revoked_since_approves_nothing(tiny: Tiny, revoke: Revoke) -> None:
    stored = tiny.approved("bert")
    revoke(tiny.root / "revoked", "bert")
    assert "its key is revoked" in refused(tiny, stored)
    tiny.approve(stored, "carla")
    assert apply(tiny, stored).exit_code == 0


@FORMS
def test_whoever_holds_a_revoked_key_is_told_before_they_are_asked(tiny: Tiny, revoke: Revoke) -> None:
    stored = tiny.plan()
    revoke(tiny.root / "revoked", "bert")
    with pytest.raises(ApprovalError, match="this key of bert is revoked"):
        tiny.approve(stored, "bert")
    assert tiny.asked == []


@FORMS
def test_a_revoked_key_plans_nothing_and_what_it_planned_has_no_planner(tiny: Tiny, revoke: Revoke) -> None:
    stored = tiny.approved("bert")
    revoke(tiny.root / "revoked", "anna")
    assert "does not carry its planner's signature" in refused(tiny, stored)
    with pytest.raises(ApprovalError, match="this key of anna is revoked"):
        tiny.plan()


@FORMS
def test_a_revoked_key_breaks_no_glass_and_follows_nothing_up(tiny: Tiny, revoke: Revoke) -> None:
    stored = tiny.plan()
    revoke(tiny.root / "revoked", "carla")
    with pytest.raises(ApprovalError, match="this key of carla is revoked"):
        runner.break_glass(tiny.site, str(stored.folder), tiny.environ, key=key_of("carla"), means=tiny.means())
    tiny.answers += [WHY, short(stored.digest)]
    assert runner.break_glass(tiny.site, str(stored.folder), tiny.environ, key=key_of("anna"), means=tiny.means()).exit_code == 0
    with pytest.raises(ApprovalError, match="this key of carla is revoked"):
        runner.follow_up(tiny.site, None, key_of("carla"), tiny.environ, tiny.means())


def test_a_follow_up_whose_key_is_revoked_since_does_not_count_while_it_is_what_everybody_waits_for(tiny: Tiny) -> None:
    glass_broken(tiny)
    follow(tiny, "bert")
    assert "OWED" not in status_text(tiny.site, now=tiny.now)
    as_list(tiny.root / "revoked", "bert")
    assert "OWED" in status_text(tiny.site, now=tiny.now)


def test_what_was_settled_before_somebody_agreed_to_another_action_stays_settled(tiny: Tiny) -> None:
    """Whoever reviewed it may leave, and their key may be revoked, years later."""
    glass_broken(tiny)
    follow(tiny, "bert")
    back_to_old(tiny)
    tiny.later(minutes=1)
    assert apply(tiny, tiny.approved("carla")).exit_code == 0
    as_list(tiny.root / "revoked", "bert")
    (tiny.root / "allowed_signers").write_text(signer_line("anna") + signer_line("carla"))
    back_to_old(tiny)
    tiny.later(minutes=1)
    assert "OWED" not in status_text(tiny.site, now=tiny.now)
    assert apply(tiny, tiny.approved("carla")).exit_code == 0


def glass_broken(tiny: Tiny) -> StoredPlan:
    stored = tiny.plan()
    tiny.answers += [WHY, short(stored.digest)]
    assert runner.break_glass(tiny.site, str(stored.folder), tiny.environ, key=key_of("anna"), means=tiny.means()).exit_code == 0
    return stored


def follow(tiny: Tiny, person: str) -> None:
    trail = journals.newest(tiny.books.journals)
    assert trail is not None
    tiny.answers += [FOUND, short(trail.entries[-1].digest)]
    runner.follow_up(tiny.site, None, key_of(person), tiny.environ, tiny.means())


def back_to_old(tiny: Tiny) -> None:
    (tiny.instance / "conf" / "app.conf").write_text("port = 8080\npassword = an-older-one\n")
    for name in ("motd", "deployed"):
        (tiny.instance / name).unlink()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "the revoked keys cannot be read"),
        (b"bert ssh-ed25519 AAAA\n", "revoked:1: this line revokes nothing"),
        (b"\xff\xfe", "no UTF-8 text"),
        (b"SSHKRL\n\0cut off", "cannot be understood"),
        (b"x" * (17 << 20), "larger than 16 MiB"),
    ],
)
def test_while_nobody_can_say_which_keys_are_revoked_nothing_counts(tiny: Tiny, text: bytes | None, why: str) -> None:
    stored = tiny.approved("bert")
    (tiny.root / "revoked").unlink()
    if text is not None:
        (tiny.root / "revoked").write_bytes(text)
    for act in (lambda: apply(tiny, stored), tiny.plan, lambda: tiny.approve(stored, "carla")):
        with pytest.raises(ConfigError) as caught:
            act()
        assert (caught.value.exit_code, why in str(caught.value)) == (78, True), str(caught.value)
    assert tiny.look() == OLD


def test_a_list_that_is_missing_ends_the_command_with_its_own_code_by_hand(tiny: Tiny, tmp_path: Path) -> None:
    stored = tiny.plan()
    (tiny.root / "revoked").unlink()
    argv = (*INTERLOCK, "approve", stored.folder.name, "--key", str(key_of("bert")))
    shown = in_terminal(argv, human_environ(tmp_path, TINY_PASSWORD=SECRET), tiny.root)
    assert (shown.code, "while nobody can say which keys are revoked, no signature counts" in shown.text) == (78, True), shown.text


# ---- taking it back


def withdraw(tiny: Tiny, stored: StoredPlan, person: str) -> Path:
    return runner.withdraw(tiny.site, str(stored.folder), key_of(person), tiny.environ, tiny.means())


def test_within_one_second_the_withdrawal_wins_and_the_clock_is_named(tiny: Tiny) -> None:
    stored = tiny.approved("bert")
    withdraw(tiny, stored, "bert")
    assert "bert withdrew it at 2026-11-20T21:00:00Z" in refused(tiny, stored)
    with pytest.raises(ApprovalError, match="this approval would not count"):
        tiny.approve(stored, "bert")
    assert len(tiny.asked) == 1
    tiny.later(seconds=1)
    tiny.answers.clear()
    tiny.approve(stored, "bert")
    assert (apply(tiny, stored).exit_code, tiny.look()) == (0, NEW)


def test_one_person_takes_back_their_own_word_alone(tiny: Tiny) -> None:
    stored = tiny.approved("bert", "carla")
    withdraw(tiny, stored, "bert")
    assert apply(tiny, stored).exit_code == 0


def test_a_withdrawal_of_another_plan_or_by_another_key_takes_nothing_back(tiny: Tiny) -> None:
    first = tiny.approved("bert")
    withdrawn = withdraw(tiny, first, "bert")
    tiny.later(seconds=1)
    second = tiny.approved("bert")
    shutil.copy(withdrawn, approvals_of(tiny.books, second) / withdrawn.name)
    document = json.loads(withdrawn.read_bytes())
    document["approval"]["plan"] = second.digest
    (approvals_of(tiny.books, second) / "forged.json").write_text(json.dumps(document))
    assert apply(tiny, second).exit_code == 0


@FORMS
def test_a_withdrawal_stands_when_its_key_is_revoked_and_neither_expires(tmp_path: Path, revoke: Revoke) -> None:
    """Bert has two keys: what he approved with the one, he takes back with the other, which is lost later."""
    approval = "  revoked: revoked\n  self_approval: false\n  valid_for: 23h"
    tiny = make_tiny(tmp_path, people=("anna", "bert"), approval=approval)
    (tiny.root / "revoked").write_text("")
    other = signer_line("berts-other").replace("berts-other", "bert", 1)
    (tiny.root / "allowed_signers").write_text(signer_line("anna") + signer_line("bert") + other)
    stored = tiny.approved("bert")
    tiny.later(minutes=1)
    withdraw(tiny, stored, "berts-other")
    revoke(tiny.root / "revoked", "berts-other")
    tiny.later(hours=22)
    assert "bert withdrew it" in refused(tiny, stored)


def test_status_shows_who_took_it_back_until_they_say_it_again(tiny: Tiny) -> None:
    stored = tiny.approved("bert", "carla")
    tiny.later(seconds=5)
    withdraw(tiny, stored, "bert")
    assert "approved by carla until 2026-11-21T01:00:00Z; withdrawn by bert at 2026-11-20T21:00:05Z" in status_text(tiny.site, now=tiny.now)
    tiny.later(seconds=5)
    tiny.approve(stored, "bert")
    assert "withdrawn" not in status_text(tiny.site, now=tiny.now)


def test_a_word_in_mid_plan_is_taken_back_as_well(tmp_path: Path) -> None:
    steps = "      - write-files: {templates: [conf]}\n      - approval: {asks: Go on?}\n      - command: {run: [bin/deploy], undo: [bin/undeploy]}\n"
    tiny = make_tiny(tmp_path, steps=steps, people=("anna", "bert"), approval="  self_approval: false")
    tiny.environ["SSH_AUTH_SOCK"] = ""
    stored = tiny.approved("bert")
    assert apply(tiny, stored).exit_code == 13
    tiny.later(seconds=1)
    tiny.answers.append(waiting_entry(tiny)[7:15])
    runner.approve(tiny.site, str(stored.folder), key_of("bert"), tiny.environ, tiny.means())
    assert "    yes says bert until" in status_text(tiny.site, now=tiny.now)
    tiny.later(seconds=1)
    withdraw(tiny, stored, "bert")
    text = status_text(tiny.site, now=tiny.now)
    assert ("    withdrawn by bert at" in text, "yes says" in text) == (True, False)
    assert runner.resume(tiny.site, str(stored.folder), tiny.environ, tiny.means()).exit_code == 13
    tiny.later(seconds=1)
    tiny.answers.append(waiting_entry(tiny)[7:15])
    runner.approve(tiny.site, str(stored.folder), key_of("bert"), tiny.environ, tiny.means())
    assert runner.resume(tiny.site, str(stored.folder), tiny.environ, tiny.means()).exit_code == 0


def waiting_entry(tiny: Tiny) -> str:
    trail = journals.newest(tiny.books.journals)
    assert trail is not None
    return next(str(step.data["entry"]) for step in Standing.of(trail).steps if step.state is State.WAITING)


# ---- once, for one plan, by the one who signed it, now


def approval_of(tiny: Tiny, stored: StoredPlan) -> Path:
    [path] = approvals_of(tiny.books, stored).iterdir()
    return path


def test_an_approval_that_an_action_rests_on_is_good_for_no_other(tiny: Tiny) -> None:
    """Even where its plan could be the same: the journal of another action has it."""
    stored = tiny.approved("bert")
    nonce = json.loads(approval_of(tiny, stored).read_bytes())["approval"]["nonce"]
    data = {"plan": "sha256:" + "0" * 64, "action": "release", "steps": 1, "principals": ["bert"], "approvals": [{"nonce": nonce}]}
    journal = journals.Journal.begin(tiny.books.journals, id="000001-release-00000000", clock=lambda: tiny.now, data=data)
    journal.append(journals.Kind.ENDED, 0, {"end": "undone", "reason": "", "left": []})
    journal.close()
    assert "it was used already, by 000001-release-00000000: an approval is good for one action" in refused(tiny, stored)


def test_a_signature_of_one_approval_does_not_fit_another(tiny: Tiny) -> None:
    stored = tiny.approved("bert")
    mine = approval_of(tiny, stored)
    tiny.later(seconds=1)
    tiny.approve(stored, "carla")
    [other] = [path for path in approvals_of(tiny.books, stored).iterdir() if path != mine]
    documents = [json.loads(path.read_bytes()) for path in (mine, other)]
    for path, document, theirs in zip((mine, other), documents, reversed(documents), strict=True):
        path.write_text(json.dumps(document | {"signature": theirs["signature"]}))
    said = refused(tiny, stored)
    assert "it was made with the key of carla, not of bert" in said
    assert "it was made with the key of bert, not of carla" in said


def test_what_was_approved_for_another_site_or_action_is_named_as_such(tiny: Tiny, tmp_path: Path) -> None:
    stored = tiny.approved("bert")
    for field, value in (("site", "other"), ("action", "cutover")):
        path = approval_of(tiny, stored)
        document = json.loads(path.read_bytes())
        document["approval"][field] = value
        path.write_text(json.dumps(document))
        assert f"it is for {'release of other' if field == 'site' else 'cutover of other'}" in refused(tiny, stored)


@pytest.mark.parametrize(
    ("jump", "why"),
    [
        (timedelta(hours=-1), "made in the future"),
        (timedelta(hours=5), "it expired at"),
    ],
)
def test_a_clock_that_jumps_makes_no_approval_count(tiny: Tiny, jump: timedelta, why: str) -> None:
    tiny.later(hours=2)
    stored = tiny.plan()
    tiny.later(hours=2)
    tiny.approve(stored, "bert")
    tiny.now += jump
    assert why in refused(tiny, stored)
    tiny.now -= jump
    assert apply(tiny, stored).exit_code == 0
