"""Every kind of signature, with the real ssh-keygen: security keys by their format, RSA old and new, each kind in a file, behind a passphrase, in an agent."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from interlock import runner
from interlock.act.books import approvals_of
from interlock.act.signatures import sign
from interlock.errors import ApprovalError
from interlock.facts import moments
from interlock.facts.signers import AllowedSigners, SignatureSeen, fingerprint
from interlock.facts.statements import Approval
from interlock.observe.signatures import signing_key, verify
from tests.in_terminal import INTERLOCK, human_environ, in_terminal
from tests.ssh_software import ECDSA, ED25519, PRESENT, VERIFIED, SecurityKey, armoured, openssl, sha1_of_2014, to_be_signed, wire
from tests.tiny_site import NEW, OLD, SECRET, key_of, make_tiny, signer_line

pytestmark = pytest.mark.skipif(not (shutil.which("ssh-keygen") and shutil.which("openssl")), reason="needs the OpenSSH client and openssl")
NOW = datetime(2026, 11, 20, 21, 0, 0, tzinfo=UTC)
PAYLOAD = b'{"plan":"sha256:..."}'
KINDS = [("ed25519", ""), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521"), ("rsa", "2048"), ("rsa", "3072")]


def seen(signature: str, line: str, *, payload: bytes = PAYLOAD) -> SignatureSeen:
    return verify(payload, signature, principal="anna", allowed=f'anna namespaces="interlock" {line}\n'.encode(), at=NOW)


def bare_verify(folder: Path, signature: str, line: str) -> int:
    """What ssh-keygen alone makes of it."""
    (folder / "signers").write_text(f"anna {line}\n")
    (folder / "sig").write_text(signature)
    argv = ("ssh-keygen", "-Y", "verify", "-n", "interlock", "-I", "anna", "-f", folder / "signers", "-s", folder / "sig")
    return subprocess.run(argv, input=PAYLOAD, capture_output=True, check=False).returncode


# ---- security keys


@pytest.mark.parametrize("kind", [ED25519, ECDSA])
@pytest.mark.parametrize("flags", [PRESENT, PRESENT | VERIFIED])
def test_a_security_key_that_was_touched_signs(tmp_path: Path, kind: str, flags: int) -> None:
    key = SecurityKey.make(tmp_path, kind)
    assert AllowedSigners.parse(f"anna {key.line}\n", where="f").principals == {"anna"}
    assert seen(key.sign(PAYLOAD, flags=flags), key.line) == SignatureSeen(principal="anna", valid=True, key=fingerprint(key.line))


@pytest.mark.parametrize("kind", [ED25519, ECDSA])
def test_a_security_key_that_nobody_touched_signs_nothing_that_counts(tmp_path: Path, kind: str) -> None:
    """The bytes are right, and `ssh-keygen -Y verify` does not mind: the flag is looked at here."""
    key = SecurityKey.make(tmp_path, kind)
    untouched = key.sign(PAYLOAD, flags=VERIFIED)
    assert bare_verify(tmp_path, untouched, key.line) == 0
    answer = seen(untouched, key.line)
    assert (answer.valid, "nobody touched the security key" in answer.why) == (False, True)


@pytest.mark.parametrize("kind", [ED25519, ECDSA])
def test_flags_counter_and_application_are_a_part_of_what_is_signed(tmp_path: Path, kind: str) -> None:
    key = SecurityKey.make(tmp_path, kind)
    assert not seen(key.sign(PAYLOAD, application=b"ssh:other"), key.line).valid
    assert not seen(key.sign(PAYLOAD), key.line, payload=PAYLOAD + b" ").valid
    untouched, touched = key.sign(PAYLOAD, flags=0), key.sign(PAYLOAD, flags=PRESENT)
    assert not seen(_with_flags_of(untouched, touched), key.line).valid


def _with_flags_of(one: str, other: str) -> str:
    """A signature whose last five bytes, its flags and counter, are those of another."""

    def body(armour: str) -> bytes:
        return base64.b64decode("".join(armour.splitlines()[1:-1]))

    first, second = body(one), body(other)
    mixed = base64.b64encode(first[:-5] + second[-5:]).decode()
    return f"-----BEGIN SSH SIGNATURE-----\n{mixed}\n-----END SSH SIGNATURE-----\n"


def test_ssh_keygen_knows_no_verify_required_and_neither_do_we(tmp_path: Path) -> None:
    """A line that it would pass over is refused, so that nobody thinks that a PIN was asked for."""
    key = SecurityKey.make(tmp_path, ED25519)
    assert bare_verify(tmp_path, key.sign(PAYLOAD), f"verify-required {key.line}") != 0
    with pytest.raises(Exception, match="ssh-keygen knows no option verify-required"):
        AllowedSigners.parse(f"anna verify-required {key.line}\n", where="f")


@pytest.mark.parametrize("kind", [ED25519, ECDSA])
def test_what_a_security_key_signed_is_an_approval_and_untouched_it_is_none(tmp_path: Path, kind: str) -> None:
    key = SecurityKey.make(tmp_path, kind)
    tiny = make_tiny(tmp_path, people=("anna", "bert"))
    (tiny.root / "allowed_signers").write_text(signer_line("anna") + f'bert namespaces="interlock" {key.line}\n')
    stored = tiny.plan(key_of("anna"))
    until = moments.written(tiny.now.replace(hour=23))
    approval = Approval(
        purpose="apply",
        plan=stored.digest,
        action="release",
        site="tiny",
        principal="bert",
        created=moments.written(tiny.now),
        expires=until,
        nonce="5" * 32,
    )
    folder = approvals_of(tiny.books, stored)
    folder.mkdir(mode=0o700)
    for flags, exit_code in ((0, 13), (PRESENT, 0)):
        document = {"approval": approval.to_json(), "signature": key.sign(approval.payload(), flags=flags)}
        (folder / "bert.json").write_text(json.dumps(document))
        if exit_code:
            with pytest.raises(ApprovalError, match="nobody has validly approved") as caught:
                runner.apply(tiny.site, str(stored.folder), tiny.environ, tiny.means())
            assert "nobody touched the security key" in str(caught.value)
            assert tiny.look() == OLD
        else:
            assert runner.apply(tiny.site, str(stored.folder), tiny.environ, tiny.means()).exit_code == 0
            assert tiny.look() == NEW


# ---- keys of files and agents


def new_key(folder: Path, kind: str, bits: str, passphrase: str = "") -> Path:
    path = folder / f"key-{kind}{bits}"
    size = ("-b", bits) if bits else ()
    subprocess.run(("ssh-keygen", "-q", "-t", kind, *size, "-N", passphrase, "-C", "anna", "-f", path), check=True, capture_output=True)
    return path


def line_of(path: Path) -> str:
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


def test_rsa_signs_with_sha_2_and_a_signature_with_sha_1_counts_for_nothing(tmp_path: Path) -> None:
    path = new_key(tmp_path, "rsa", "2048")
    key = signing_key(AllowedSigners.parse(f"anna {line_of(path)}\n", where="f"), wanted=path, environ=os.environ)
    signature = sign(PAYLOAD, key, environ=os.environ)
    assert seen(signature, line_of(path)).valid
    pem = tmp_path / "pem"
    shutil.copy(path, pem)
    shutil.copy(path.with_suffix(".pub"), tmp_path / "pem.pub")
    subprocess.run(("ssh-keygen", "-q", "-p", "-m", "PEM", "-N", "", "-f", pem), check=True, capture_output=True)
    old = sha1_of_2014(pem, PAYLOAD)
    answer = seen(old, line_of(path))
    assert (answer.valid, "RSA signature with SHA-1" in answer.why) == (False, True)
    assert bare_verify(tmp_path, old, line_of(path)) != 0


def test_the_software_of_these_tests_signs_as_ssh_keygen_reads_it(tmp_path: Path) -> None:
    """Else a refusal above would prove nothing: the same bytes with SHA-512 verify."""
    path = new_key(tmp_path, "rsa", "2048")
    shutil.copy(path.with_suffix(".pub"), tmp_path / "kept.pub")
    subprocess.run(("ssh-keygen", "-q", "-p", "-m", "PEM", "-N", "", "-f", path), check=True, capture_output=True)
    told = tmp_path / "told"
    told.write_bytes(to_be_signed(PAYLOAD))
    blob = base64.b64decode(line_of(path).split()[1])
    made = openssl("dgst", "-sha512", "-sign", path, told)
    assert seen(armoured(blob, wire(b"rsa-sha2-512", made)), line_of(path)).valid


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a user with a real SSH agent and an empty home."""
    home = tmp_path / "home"
    home.mkdir()
    socket = Path("/tmp") / f"il-kinds-{os.getpid()}-{tmp_path.name[-8:]}"
    process = subprocess.Popen(("ssh-agent", "-D", "-a", socket), stdout=subprocess.DEVNULL)
    while not socket.exists():
        assert process.poll() is None
    yield {"PATH": os.environ["PATH"], "HOME": str(home), "SSH_AUTH_SOCK": str(socket)}
    process.terminate()
    process.wait()
    socket.unlink(missing_ok=True)


@pytest.mark.parametrize(("kind", "bits"), KINDS)
def test_each_kind_signs_from_an_agent_that_alone_holds_it(tmp_path: Path, agent: dict[str, str], kind: str, bits: str) -> None:
    path = new_key(tmp_path, kind, bits)
    line = line_of(path)
    subprocess.run(("ssh-add", "-q", path), env=agent, check=True)
    path.unlink()
    path.with_suffix(".pub").unlink()
    key = signing_key(AllowedSigners.parse(f"anna {line}\n", where="f"), wanted=None, environ=agent)
    assert seen(sign(PAYLOAD, key, environ=agent), line).valid


@pytest.mark.parametrize(("kind", "bits"), [("ecdsa", "384"), ("rsa", "3072")])
def test_each_kind_asks_for_its_passphrase_at_the_terminal(tmp_path: Path, kind: str, bits: str) -> None:
    path = new_key(tmp_path, kind, bits, passphrase="open sesame")
    tiny = make_tiny(tmp_path)
    (tiny.root / "allowed_signers").write_text(f"anna {line_of(path)}\n")
    environ = human_environ(tmp_path, TINY_PASSWORD=SECRET)
    shown = in_terminal((*INTERLOCK, "plan", "release", "--key", str(path)), environ, tiny.root, replies=((r"passphrase[^\n]*: ", "open sesame"),))
    assert shown.code == 0, shown.text
    found = re.search(r"plans/([\w.-]+)/plan\.json", shown.text)
    assert found
    digits = found[1].rpartition("-")[2][:8]
    wrong = ((r"of its digest: ", digits), (r"passphrase[^\n]*: ", "open barley"))
    assert in_terminal((*INTERLOCK, "approve", found[1], "--key", str(path)), environ, tiny.root, replies=wrong).code == 13
    right = ((r"of its digest: ", digits), (r"passphrase[^\n]*: ", "open sesame"))
    shown = in_terminal((*INTERLOCK, "approve", found[1], "--key", str(path)), environ, tiny.root, replies=right)
    assert shown.code == 0, shown.text
