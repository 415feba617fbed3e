"""Approvals with the real ssh-keygen: every kind of key, from a file and from an agent, and every way in which a signature is not the one that is needed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from interlock import runner
from interlock.act.signatures import sign
from interlock.errors import ApprovalError, ConfigError, CouldNotLook
from interlock.facts.canonical import short
from interlock.facts.signers import AllowedSigners
from interlock.observe.signatures import key_fingerprint, read_allowed_signers, signing_key, verify
from tests.tiny_site import NEW, OLD, Tiny, again, key_of, make_tiny, signer_line

pytestmark = pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs the OpenSSH client")
NOW = datetime(2026, 11, 20, 21, 0, 0, tzinfo=UTC)
PAYLOAD = b'{"plan":"sha256:..."}'


def new_key(folder: Path, kind: str = "ed25519", *, passphrase: str = "", bits: str = "") -> Path:
    path = folder / f"key-{kind}"
    subprocess.run(
        ("ssh-keygen", "-q", "-t", kind, *(("-b", bits) if bits else ()), "-N", passphrase, "-C", "test", "-f", path), check=True, capture_output=True
    )
    return path


def allowed(path: Path, *, options: str = 'namespaces="interlock"', name: str = "anna") -> bytes:
    kind, key, _ = path.with_suffix(".pub").read_text().split()
    return f"{name} {options + ' ' if options else ''}{kind} {key}\n".encode()


def people(data: bytes) -> AllowedSigners:
    return AllowedSigners.parse(data.decode(), where="allowed_signers")


@pytest.mark.parametrize(("kind", "bits"), [("ed25519", ""), ("ecdsa", "256"), ("ecdsa", "521"), ("rsa", "2048")])
def test_every_kind_of_key_signs_and_verifies(tmp_path: Path, kind: str, bits: str) -> None:
    path = new_key(tmp_path, kind, bits=bits)
    data = allowed(path)
    key = signing_key(people(data), wanted=path, environ=os.environ)
    signature = sign(PAYLOAD, key, environ=os.environ)
    seen = verify(PAYLOAD, signature, principal="anna", allowed=data, at=NOW)
    assert (seen.valid, seen.key) == (True, key_fingerprint(path))


def test_a_signature_is_for_these_bytes_this_person_and_this_purpose_alone(tmp_path: Path) -> None:
    path = new_key(tmp_path)
    data = allowed(path)
    signature = sign(PAYLOAD, signing_key(people(data), wanted=path, environ=os.environ), environ=os.environ)
    assert not verify(PAYLOAD + b" ", signature, principal="anna", allowed=data, at=NOW).valid
    assert not verify(PAYLOAD, signature, principal="bert", allowed=data, at=NOW).valid
    assert not verify(PAYLOAD, signature, principal="anna", allowed=allowed(path, options='namespaces="git"'), at=NOW).valid
    assert not verify(PAYLOAD, signature, principal="anna", allowed=b"", at=NOW).valid
    other = subprocess.run(("ssh-keygen", "-Y", "sign", "-n", "git", "-f", path), input=PAYLOAD, capture_output=True, check=True).stdout.decode()
    assert not verify(PAYLOAD, other, principal="anna", allowed=data, at=NOW).valid


def test_every_changed_byte_of_a_signature_is_noticed_or_is_the_same_signature(tmp_path: Path) -> None:
    path = new_key(tmp_path)
    data = allowed(path)
    signature = sign(PAYLOAD, signing_key(people(data), wanted=path, environ=os.environ), environ=os.environ)
    lines = signature.splitlines()
    for place in range(0, len(lines[2]), 9):
        letter = "A" if lines[2][place] != "A" else "B"
        edited = "\n".join([*lines[:2], lines[2][:place] + letter + lines[2][place + 1 :], *lines[3:]]) + "\n"
        assert not verify(PAYLOAD, edited, principal="anna", allowed=data, at=NOW).valid


@pytest.mark.parametrize("text", ["", "garbage", "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n", "\ud800", "x" * 100_000])
def test_what_is_no_signature_does_not_verify(tmp_path: Path, text: str) -> None:
    seen = verify(PAYLOAD, text, principal="anna", allowed=allowed(new_key(tmp_path)), at=NOW)
    assert not seen.valid
    assert seen.why


@pytest.mark.parametrize(("options", "valid"), [("20260101,20270101", True), ("20270101,20280101", False), ("20250101,20260101", False)])
def test_a_key_counts_only_within_its_validity(tmp_path: Path, options: str, valid: bool) -> None:
    path = new_key(tmp_path)
    after, before = options.split(",")
    data = allowed(path, options=f'namespaces="interlock",valid-after="{after}",valid-before="{before}"')
    signature = sign(PAYLOAD, signing_key(people(data), wanted=path, environ=os.environ), environ=os.environ)
    assert verify(PAYLOAD, signature, principal="anna", allowed=data, at=NOW).valid is valid


def test_a_missing_ssh_keygen_is_said_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = new_key(tmp_path)
    data = allowed(path)
    key = signing_key(people(data), wanted=path, environ=os.environ)
    signature = sign(PAYLOAD, key, environ=os.environ)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CouldNotLook, match="cannot be verified"):
        verify(PAYLOAD, signature, principal="anna", allowed=data, at=NOW)
    with pytest.raises(ApprovalError, match="could not sign"):
        sign(PAYLOAD, key, environ={"PATH": str(tmp_path)})


# ---- which key


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a user with an SSH agent and an empty home."""
    home = tmp_path / "home"
    home.mkdir()
    short_path = Path("/tmp") / f"il-agent-{os.getpid()}-{tmp_path.name[-8:]}"
    process = subprocess.Popen(("ssh-agent", "-D", "-a", short_path), stdout=subprocess.DEVNULL)
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "SSH_AUTH_SOCK": str(short_path)}
    while not short_path.exists():
        assert process.poll() is None
    yield environ
    process.terminate()
    process.wait()
    short_path.unlink(missing_ok=True)


def test_a_key_that_only_the_agent_holds_signs(tmp_path: Path, agent: dict[str, str]) -> None:
    path = new_key(tmp_path)
    data = allowed(path)
    subprocess.run(("ssh-add", "-q", path), env=agent, check=True)
    path.unlink()
    key = signing_key(people(data), wanted=None, environ=agent)
    assert (key.principal, key.path) == ("anna", None)
    signature = sign(PAYLOAD, key, environ=agent)
    assert verify(PAYLOAD, signature, principal="anna", allowed=data, at=NOW).valid


def test_the_key_in_the_home_that_may_sign_is_found(tmp_path: Path, agent: dict[str, str]) -> None:
    folder = Path(agent["HOME"]) / ".ssh"
    folder.mkdir()
    mine, other = new_key(folder), new_key(folder, "ecdsa")
    key = signing_key(people(allowed(mine)), wanted=None, environ=agent)
    assert key.path == mine
    with pytest.raises(ApprovalError, match="several of your keys may sign"):
        signing_key(people(allowed(mine) + allowed(other)), wanted=None, environ=agent)
    with pytest.raises(ApprovalError, match="none of your keys may sign"):
        signing_key(people(allowed(new_key(tmp_path, "rsa", bits="2048"))), wanted=None, environ=agent)


def test_a_key_is_named_by_either_half_and_needs_no_passphrase_to_be_known(tmp_path: Path) -> None:
    path = new_key(tmp_path, passphrase="long and secret")
    data = allowed(path)
    assert signing_key(people(data), wanted=path, environ=os.environ).path == path
    assert signing_key(people(data), wanted=path.with_suffix(".pub"), environ=os.environ).path == path
    before = key_fingerprint(path)
    path.with_suffix(".pub").unlink()
    assert key_fingerprint(path) == before


def test_what_is_no_key_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    for path in (tmp_path / "text", tmp_path / "missing"):
        with pytest.raises(CouldNotLook, match="no SSH key"):
            key_fingerprint(path)


def test_a_wrong_passphrase_signs_nothing(tmp_path: Path) -> None:
    """Without a terminal nobody can be asked."""
    path = new_key(tmp_path, passphrase="long and secret")
    key = signing_key(people(allowed(path)), wanted=path, environ=os.environ)
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SSH_ASKPASS": "/bin/false", "SSH_ASKPASS_REQUIRE": "force"}
    with pytest.raises(ApprovalError, match="could not sign"):
        sign(PAYLOAD, key, environ=environ)


@pytest.mark.parametrize("text", [b"\xff\xfe", None, b"x" * (2 * 1024 * 1024)])
def test_an_allowed_signers_that_cannot_be_read_names_its_path(tmp_path: Path, text: bytes | None) -> None:
    from interlock.observe.signatures import parse_allowed_signers

    path = tmp_path / "allowed_signers"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(ConfigError) as caught:
        parse_allowed_signers(read_allowed_signers(path), path)
    assert str(path) in str(caught.value)


# ---- through the runner


def apply(tiny: Tiny, plan: str) -> runner.Outcome:
    return runner.apply(tiny.site, plan, tiny.environ, tiny.means())


@pytest.fixture
def two(tmp_path: Path) -> Tiny:
    return make_tiny(tmp_path, people=("anna", "bert", "carla"), approval="  required: 2")


def test_two_others_approve_what_a_third_planned(two: Tiny) -> None:
    stored = two.approved("bert", "carla")
    outcome = apply(two, short(stored.digest))
    assert (outcome.exit_code, two.look()) == (0, NEW)
    assert "SELF-APPROVED" not in outcome.text
    assert [approval["principal"] for approval in two.kept[0].approvals] == ["bert", "carla"]


def test_one_of_two_is_not_enough(two: Tiny) -> None:
    stored = two.approved("bert")
    with pytest.raises(ApprovalError, match="one person has validly approved this plan, and it needs 2"):
        apply(two, short(stored.digest))
    assert two.look() == OLD


def test_the_planner_is_not_even_asked(two: Tiny) -> None:
    stored = two.plan()
    with pytest.raises(ApprovalError, match="anna made this plan, and may not be the one who approves it"):
        two.approve(stored, "anna")
    assert two.asked == []


def test_wrong_digits_approve_nothing(two: Tiny) -> None:
    stored = two.plan()
    for typed in ("", "yes", "00000000", short(stored.digest)[:7], stored.digest):
        two.answers.append(typed)
        with pytest.raises(ApprovalError, match="not approved"):
            runner.approve(two.site, str(stored.folder), key_of("bert"), two.environ, two.means())
    assert list(two.books.approvals.rglob("*.json")) == []


def approval_file(tiny: Tiny) -> Path:
    [path] = tiny.books.approvals.rglob("*.json")
    return path


def refused(tiny: Tiny, plan: str) -> str:
    with pytest.raises(ApprovalError) as caught:
        apply(tiny, plan)
    assert caught.value.exit_code == 13
    assert tiny.look() == OLD
    return str(caught.value)


@pytest.fixture
def one(tmp_path: Path) -> Tiny:
    return make_tiny(tmp_path, people=("anna", "bert"))


@pytest.mark.parametrize(
    ("field", "value"), [("expires", "2026-11-21T00:59:59Z"), ("principal", "anna"), ("nonce", "0" * 32), ("created", "2026-11-20T20:59:59Z")]
)
def test_an_edited_approval_does_not_verify(one: Tiny, field: str, value: str) -> None:
    stored = one.approved("bert")
    path = approval_file(one)
    document = json.loads(path.read_bytes())
    document["approval"][field] = value
    path.write_text(json.dumps(document))
    assert "does not verify" in refused(one, short(stored.digest))


def test_an_approval_of_another_plan_is_not_carried_over(one: Tiny) -> None:
    first = one.approved("bert")
    one.later(seconds=1)
    second = one.plan()
    (one.books.approvals / second.folder.name).mkdir(mode=0o700)
    shutil.copy(approval_file(one), one.books.approvals / second.folder.name / "x.json")
    assert "it is for another plan" in refused(one, short(second.digest))
    assert apply(one, short(first.digest)).exit_code == 0


def test_a_signature_of_somebody_who_is_not_allowed_is_worth_nothing(one: Tiny) -> None:
    stored = one.approved("bert")
    (one.root / "allowed_signers").write_text(signer_line("anna") + signer_line("carla"))
    assert "does not verify" in refused(again(one), short(stored.digest))


def test_taking_a_person_off_the_list_takes_back_their_approval(one: Tiny) -> None:
    stored = one.approved("bert")
    (one.root / "allowed_signers").write_text(signer_line("anna"))
    assert "nobody has validly approved" in refused(one, short(stored.digest))


def test_a_key_that_has_run_out_since_is_worth_nothing(one: Tiny) -> None:
    stored = one.approved("bert")
    gone = (one.now - timedelta(days=1)).strftime("%Y%m%d")
    (one.root / "allowed_signers").write_text(signer_line("anna") + signer_line("bert", f'namespaces="interlock",valid-before="{gone}"'))
    assert "does not verify" in refused(one, short(stored.digest))


def test_without_the_planners_signature_nobody_can_approve_for_somebody_else(one: Tiny) -> None:
    stored = one.approved("bert")
    (stored.folder / "planner.json").unlink()
    assert "does not carry its planner's signature" in refused(one, short(stored.digest))


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"approval": {}, "signature": ""}', "\ud7ff" * 10, "[" * 5000])
def test_files_that_are_no_approvals_approve_nothing_and_disturb_nobody(one: Tiny, text: str) -> None:
    stored = one.plan()
    folder = one.books.approvals / stored.folder.name
    folder.mkdir(mode=0o700)
    (folder / "x.json").write_text(text)
    assert "nobody has validly approved" in refused(one, short(stored.digest))
    one.approve(stored, "bert")
    assert apply(one, short(stored.digest)).exit_code == 0
