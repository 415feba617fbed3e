"""Does this signature verify, and whose is it? Asks `ssh-keygen -Y verify`; `interlock.judge.agreement.plans` judges what it says.

The allowed signers, the revoked keys and the signature reach `ssh-keygen` through memory files: what is verified is exactly what was read, and nothing is
written.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from interlock.config.actions import Approval as Rules
from interlock.config.models import Site
from interlock.errors import ApprovalError, ConfigError, CouldNotLook
from interlock.facts.signers import KRL_MAGIC, NAMESPACE, AllowedSigners, Revoked, Signature, SignatureSeen, fingerprint, revoked_list
from interlock.nouns import dataclass
from interlock.patterns import regex

_GOOD = regex(r'Good "[^"]+" signature for .+ with \S+ key (SHA256:\S+)')
_COMPLAINT = regex(r"/dev/fd/\d+:(\d+): (.+)")
_REVOKED = regex(r"^/dev/fd/(\d+) .*: REVOKED$", re.MULTILINE)
_TIMEOUT = 20
_LIMIT = 1024 * 1024
_REVOKED_LIMIT = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Voters:
    """Who may sign: the site's rules, the allowed_signers file as it was read once, and the keys that count no more."""

    file: str
    rules: Rules
    data: bytes
    signers: AllowedSigners
    revoked: Revoked | None


def voters(site: Site) -> Voters:
    """Who may sign for a site. Raises ConfigError when it does not say so, or when one of its files cannot be read or understood: then nobody's word counts."""
    if site.approval is None:
        raise ConfigError("the site does not say who may approve", where=site.source, remedy="declare `approval:`")
    path = site.root / site.approval.allowed_signers
    data = read_allowed_signers(path)
    signers = parse_allowed_signers(data, path)
    revoked = None if site.approval.revoked is None else read_revoked(site.root / site.approval.revoked, signers)
    return Voters(file=str(path), rules=site.approval, data=data, signers=signers, revoked=revoked)


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


def read_revoked(path: Path, signers: AllowedSigners) -> Revoked:
    """The keys that count no more: a list of public keys, or an OpenSSH KRL. Raises ConfigError when it is not there, or cannot be read or understood."""
    try:
        with path.open("rb") as file:
            data = file.read(_REVOKED_LIMIT + 1)
    except OSError as error:
        raise ConfigError(
            "the revoked keys cannot be read",
            where=str(path),
            why=f"{error.strerror}; while nobody can say which keys are revoked, no signature counts",
            remedy="put the file there (an empty one revokes nothing), or take `approval: revoked:` out of the site file",
        ) from error
    if len(data) > _REVOKED_LIMIT:
        raise ConfigError("the list of revoked keys is larger than 16 MiB", where=str(path), remedy="make a KRL of it: ssh-keygen -k")
    keys = _revoked_by_krl(data, path, signers) if data.startswith(KRL_MAGIC) else revoked_list(data, where=str(path))
    return Revoked(file=str(path), data=data, keys=keys)


def _revoked_by_krl(data: bytes, path: Path, signers: AllowedSigners) -> frozenset[str]:
    """Which keys of allowed_signers a KRL revokes: `ssh-keygen -Q` alone can say."""
    with ExitStack() as files:
        krl = files.enter_context(_memory_file(data))
        keys = {files.enter_context(_memory_file(signer.public.encode() + b"\n")): signer.key for signer in signers.signers}
        code, out, err = _ssh_keygen(("-Q", "-f", f"/dev/fd/{krl}", *(f"/dev/fd/{key}" for key in keys)), b"", (krl, *keys))
    if code not in (0, 1) or len(out.splitlines()) != len(keys):
        raise ConfigError(
            "this list of revoked keys cannot be understood",
            where=str(path),
            why=_last_line(err).replace(f"/dev/fd/{krl}", "it") or f"ssh-keygen -Q ended with {code}",
            remedy="make it again: ssh-keygen -k -f FILE KEY.pub",
        )
    return frozenset(keys[int(found)] for found in _REVOKED.findall(out))


def verify(payload: bytes, signature: str, *, principal: str, allowed: bytes, at: datetime, revoked: Revoked | None = None) -> SignatureSeen:
    """Verify one SSH signature over `payload`, as it stands at the moment `at` (validity times of the allowed signers), by a key that is not revoked.

    A bad signature is an answer; raises CouldNotLook when `ssh-keygen` is missing or does not end.
    """
    try:
        said = Signature.parse(signature)
    except ValueError as error:
        return SignatureSeen(principal=principal, valid=False, why=str(error))
    if said.fault:
        return SignatureSeen(principal=principal, valid=False, key=said.key, why=said.fault)
    if revoked is not None and said.key in revoked.keys:
        return SignatureSeen(principal=principal, valid=False, key=said.key, why=f"its key is revoked ({revoked.file})")
    with ExitStack() as files:
        signers = files.enter_context(_memory_file(allowed))
        signed = files.enter_context(_memory_file(signature.encode("ascii")))
        gone = () if revoked is None else (files.enter_context(_memory_file(revoked.data)),)
        # Local time without Z: a Z is only understood since OpenSSH 9.1.
        options = ("-n", NAMESPACE, "-I", principal, "-f", f"/dev/fd/{signers}", "-s", f"/dev/fd/{signed}", f"-Overify-time={at.astimezone():%Y%m%d%H%M%S}")
        without = tuple(word for descriptor in gone for word in ("-r", f"/dev/fd/{descriptor}"))
        code, out, err = _ssh_keygen(("-Y", "verify", *options, *without), payload, (signers, signed, *gone))
    good = _GOOD.search(out)
    if code == 0 and good and good[1] == said.key:
        return SignatureSeen(principal=principal, valid=True, key=good[1])
    return SignatureSeen(principal=principal, valid=False, key=said.key, why=_complaint(out, err) or f"ssh-keygen ended with {code}")


def _complaint(out: str, err: str) -> str:
    """Why a signature does not verify: what was said of a line of allowed_signers says more than the last line does."""
    found = _COMPLAINT.search(err)
    return f"line {found[1]} of allowed_signers: {found[2]}" if found else _last_line(err) or _last_line(out)


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


def signing_key(signers: AllowedSigners, *, wanted: Path | None, environ: Mapping[str, str], revoked: Revoked | None = None) -> SigningKey:
    """The one key of this user that `allowed_signers` knows: `wanted`, or what the agent and ~/.ssh hold. Raises ApprovalError when it is none or several."""
    gone = frozenset[str]() if revoked is None else revoked.keys
    if wanted is not None:
        signer = signers.by_key(key_fingerprint(wanted))
        if signer is None:
            raise ApprovalError("this key is not in allowed_signers", where=str(wanted), remedy="name a key that is, or have it added by the others")
        if signer.key in gone:
            raise _revoked_key(signer.principal, str(wanted), revoked)
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
    counting = {key: held for key, held in found.items() if key not in gone}
    if found and not counting:
        first = next(iter(found.values()))
        raise _revoked_key(first.principal, str(first.path or "SSH agent"), revoked)
    found = counting
    if len(found) == 1:
        return next(iter(found.values()))
    several = ", ".join(sorted(f"{key.principal} ({key.path or 'agent'})" for key in found.values()))
    raise ApprovalError(
        f"several of your keys may sign: {several}" if found else "none of your keys may sign",
        why="" if found else "neither the SSH agent nor ~/.ssh holds a key that allowed_signers names",
        remedy="name one with --key FILE",
    )


def _revoked_key(principal: str, where: str, revoked: Revoked | None) -> ApprovalError:
    why = "" if revoked is None else f"{revoked.file} names it"
    return ApprovalError(f"this key of {principal} is revoked", where=where, why=why, remedy="sign with another key, and have it added to allowed_signers")


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
