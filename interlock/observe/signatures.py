"""Does this signature verify, and whose is it? Asks `ssh-keygen -Y verify`; `interlock.judge.agreement.plans` judges what it says.

The allowed signers and the signature reach `ssh-keygen` through memory files: what is verified is exactly what was read, and nothing is written.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from interlock.errors import ApprovalError, ConfigError, CouldNotLook
from interlock.facts.signers import NAMESPACE, AllowedSigners, SignatureSeen, fingerprint

_GOOD = re.compile(r'Good "[^"]+" signature for .+ with \S+ key (SHA256:\S+)')
_TIMEOUT = 20
_LIMIT = 1024 * 1024


def read_allowed_signers(path: Path) -> bytes:
    """The text of an allowed_signers file. Raises ConfigError when it is not there or cannot be read: then nobody may approve."""
    try:
        with path.open("rb") as file:
            data = file.read(_LIMIT + 1)
    except OSError as error:
        raise ConfigError(
            "allowed_signers cannot be read",
            where=str(path),
            why=error.strerror or "",
            remedy="create it (docs/approvals.md), or correct `approval: allowed_signers:`",
        ) from error
    if len(data) > _LIMIT:
        raise ConfigError("allowed_signers is larger than 1 MiB", where=str(path), remedy="keep one line for each person")
    return data


def parse_allowed_signers(data: bytes, path: Path) -> AllowedSigners:
    """The people of an allowed_signers file. Raises ConfigError."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError("allowed_signers is no UTF-8 text", where=str(path), why=str(error), remedy="write it again as text") from error
    return AllowedSigners.parse(text, where=str(path))


def verify(payload: bytes, signature: str, *, principal: str, allowed: bytes, at: datetime) -> SignatureSeen:
    """Verify one SSH signature over `payload`, as it stands at the moment `at` (validity times of the allowed signers).

    A bad signature is an answer; raises CouldNotLook when `ssh-keygen` is missing or does not end.
    """
    with ExitStack() as files:
        signers = files.enter_context(_memory_file(allowed))
        signed = files.enter_context(_memory_file(signature.encode("utf-8", "replace")))
        # Local time without Z: a Z is only understood since OpenSSH 9.1.
        options = ("-n", NAMESPACE, "-I", principal, "-f", f"/dev/fd/{signers}", "-s", f"/dev/fd/{signed}", f"-Overify-time={at.astimezone():%Y%m%d%H%M%S}")
        code, out, err = _ssh_keygen(("-Y", "verify", *options), payload, (signers, signed))
    good = _GOOD.search(out)
    if code == 0 and good:
        return SignatureSeen(principal=principal, valid=True, key=good[1])
    return SignatureSeen(principal=principal, valid=False, why=_last_line(err) or _last_line(out) or f"ssh-keygen ended with {code}")


def key_fingerprint(path: Path) -> str:
    """`SHA256:...` of a private or public key file; a passphrase is not needed. Raises CouldNotLook."""
    public = path if path.suffix == ".pub" else path.with_name(path.name + ".pub")
    for candidate in (public, path):
        try:
            return fingerprint(candidate.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
    code, out, err = _ssh_keygen(("-l", "-E", "sha256", "-f", str(path)), b"", ())
    found = re.search(r"\b(SHA256:\S+)", out)
    if code != 0 or found is None:
        raise CouldNotLook("this is no SSH key", where=str(path), why=_last_line(err), remedy="name a key made with ssh-keygen")
    return found[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key that can sign for `principal`: a private key file (`path`), or one that the SSH agent holds (`public`, its public key line)."""

    principal: str
    key: str
    path: Path | None = None
    public: str = ""


def signing_key(signers: AllowedSigners, *, wanted: Path | None, environ: Mapping[str, str]) -> SigningKey:
    """The one key of this user that `allowed_signers` knows: `wanted`, or what the agent and ~/.ssh hold. Raises ApprovalError when it is none or several."""
    if wanted is not None:
        signer = signers.by_key(key_fingerprint(wanted))
        if signer is None:
            raise ApprovalError("this key is not in allowed_signers", where=str(wanted), remedy="name a key that is, or have it added by the others")
        return SigningKey(
            principal=signer.principal, key=signer.key, path=wanted.with_suffix("") if wanted.suffix == ".pub" and wanted.with_suffix("").exists() else wanted
        )
    found: dict[str, SigningKey] = {}
    for public, path in [*((line, None) for line in agent_keys(environ)), *_key_files(environ)]:
        try:
            signer = signers.by_key(fingerprint(public))
        except ValueError:
            continue
        if signer is not None:
            found.setdefault(signer.key, SigningKey(principal=signer.principal, key=signer.key, path=path, public=public))
    if len(found) == 1:
        return next(iter(found.values()))
    several = ", ".join(sorted(f"{key.principal} ({key.path or 'agent'})" for key in found.values()))
    raise ApprovalError(
        f"several of your keys may sign: {several}" if found else "none of your keys may sign",
        why="" if found else "neither the SSH agent nor ~/.ssh holds a key that allowed_signers names",
        remedy="name one with --key FILE",
    )


def agent_keys(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The public key lines that the SSH agent offers; none when there is no agent."""
    if "SSH_AUTH_SOCK" not in environ:
        return ()
    try:
        done = subprocess.run(("ssh-add", "-L"), stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT, check=False, env=environ)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(done.stdout.decode("utf-8", "replace").splitlines()) if done.returncode == 0 else ()


def _key_files(environ: Mapping[str, str]) -> list[tuple[str, Path]]:
    """Public key line and private key file of every pair in ~/.ssh."""
    folder = Path(environ.get("HOME") or "~").expanduser() / ".ssh"
    pairs = []
    for public in sorted(folder.glob("*.pub")):
        private = public.with_suffix("")
        with suppress(OSError, UnicodeDecodeError):
            if private.is_file():
                pairs.append((public.read_text(encoding="utf-8").strip(), private))
    return pairs


@contextmanager
def _memory_file(data: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("interlock")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _ssh_keygen(arguments: tuple[str, ...], data: bytes, descriptors: tuple[int, ...]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error. Raises CouldNotLook."""
    try:
        done = subprocess.run(
            ("ssh-keygen", *arguments), input=data, capture_output=True, timeout=_TIMEOUT, check=False, pass_fds=descriptors, env={**os.environ, "LC_ALL": "C"}
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CouldNotLook("signatures cannot be verified", where="ssh-keygen", why=str(error), remedy="install the OpenSSH client, 8.9 or newer") from error
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
