"""Whose signatures count, and what does a signature say of itself? Parses an `allowed_signers` file (ssh-keygen(1), "ALLOWED SIGNERS"), as far as it is
about interlock, a list of revoked keys, and the outside of an SSH signature (OpenSSH, PROTOCOL.sshsig and PROTOCOL.u2f).

`ssh-keygen` itself verifies signatures with these files, validity times and namespaces. What is read here is only what it cannot say: how many people
there are, and in plain words why a signature does not count. So each line that counts for interlock must name one person, written out, and no key may
stand there twice: else one person could sign twice. A line that `ssh-keygen` would silently pass over is refused here, with its place.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Self

from interlock.errors import ConfigError
from interlock.nouns import dataclass
from interlock.patterns import regex

NAMESPACE = "interlock"
RSA_BITS = 2048  # NIST SP 800-131A: shorter RSA keys sign nothing any more
KRL_MAGIC = b"SSHKRL\n\0"
_KEY_TYPE = regex(r"(?:sk-)?(?:ssh|ecdsa)-[a-z0-9-]+(?:@openssh\.com)?")
_OPTIONS = regex(r'(?:[^\s",=]+(?:="[^"]*")?)(?:,[^\s",=]+(?:="[^"]*")?)*')
_OPTION = regex(r'([^\s",=]+)(?:="([^"]*)")?')
_KNOWN_OPTIONS = ("cert-authority", "namespaces", "valid-after", "valid-before")
_LINE = regex(r'(?P<principals>"[^"]+"|\S+)\s+(?P<rest>\S.*)')
_TIME = regex(r"(\d{8}|\d{12}|\d{14})(Z|UTC)?")
_TIME_FORMATS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_REMEDY = 'write one line for each person: anna@example.org namespaces="interlock" ssh-ed25519 AAAA...'


class KeyKind(StrEnum):
    """The kinds of keys whose signatures count."""

    ED25519 = "ssh-ed25519"
    ECDSA_256 = "ecdsa-sha2-nistp256"
    ECDSA_384 = "ecdsa-sha2-nistp384"
    ECDSA_521 = "ecdsa-sha2-nistp521"
    RSA = "ssh-rsa"
    SK_ED25519 = "sk-ssh-ed25519@openssh.com"
    SK_ECDSA = "sk-ecdsa-sha2-nistp256@openssh.com"


# How many parts a public key has, its kind included (RFC 4253 6.6, RFC 5656 3.1, RFC 8709 4, PROTOCOL.u2f).
_PARTS: Mapping[KeyKind, int] = {
    KeyKind.ED25519: 2,
    KeyKind.ECDSA_256: 3,
    KeyKind.ECDSA_384: 3,
    KeyKind.ECDSA_521: 3,
    KeyKind.RSA: 3,
    KeyKind.SK_ED25519: 3,
    KeyKind.SK_ECDSA: 4,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """One person and one key. `key` is the key's fingerprint as OpenSSH prints it: `SHA256:...`; `public` its kind and base64."""

    principal: str
    key: str
    line: int
    public: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedSigners:
    """The lines that count for interlock, expired ones too: who once had a say is a person."""

    signers: tuple[Signer, ...]

    @property
    def principals(self) -> frozenset[str]:
        """The people, each once."""
        return frozenset(signer.principal for signer in self.signers)

    def by_key(self, key: str) -> Signer | None:
        """The person whose key has this fingerprint."""
        return next((signer for signer in self.signers if signer.key == key), None)

    @classmethod
    def parse(cls, text: str, *, where: str) -> Self:
        """Every line of other namespaces is passed over. Raises ConfigError, with all problems, for a line that leaves open how many people may sign."""
        signers: list[Signer] = []
        problems: list[ConfigError] = []
        for number, line in _lines(text):
            try:
                signer = _signer(line, number)
                if signer is not None:
                    _refuse_twice(signer, signers)
                    signers.append(signer)
            except ValueError as error:
                problems.append(ConfigError("this line cannot be used", where=f"{where}:{number}", why=str(error), remedy=_REMEDY))
        if problems:
            raise ConfigError(f"{where} does not say who may approve", problems=tuple(problems))
        return cls(signers=tuple(signers))


def _lines(text: str) -> list[tuple[int, str]]:
    """The lines that say something, counted from 1: as ssh-keygen, which ends a line at a newline and nowhere else."""
    numbered = ((number, line.strip(" \t\r")) for number, line in enumerate(text.split("\n"), start=1))
    return [(number, line) for number, line in numbered if line and not line.startswith("#")]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureSeen:
    """What `ssh-keygen -Y verify` said of a signature: `key` is the fingerprint of the key that made it (empty when nobody can say), `why` what was wrong."""

    principal: str
    valid: bool
    key: str = ""
    why: str = ""


def _signer(line: str, number: int) -> Signer | None:
    """One line; None when it is about other namespaces. Raises ValueError."""
    if not line.replace("\t", " ").isprintable():
        raise ValueError("it holds a character that does not show")
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError("it has no key")
    options, rest = _options(match["rest"])
    if not _is_for_us(options.get("namespaces")):
        return None
    _refuse_options(options)
    principal = match["principals"].strip('"')
    if re.search(r'[*?!,"\s]', principal):
        raise ValueError(f"{principal} is a pattern or a list, so it may stand for several people")
    kind, key = _usable(rest)
    return Signer(principal=principal, key=_of_blob(key), line=number, public=f"{kind} {base64.b64encode(key).decode()}")


def _options(rest: str) -> tuple[dict[str, str | None], str]:
    """The options before the key, by lower-case name (None: without a value), and the key."""
    first = rest.split(None, 1)[0]
    if _KEY_TYPE.fullmatch(first):
        return {}, rest
    match = _OPTIONS.match(rest)
    if match is None or not rest[match.end() : match.end() + 1].isspace():
        raise ValueError(f"{first[:40]!r} is neither a key type nor an option")
    options: dict[str, str | None] = {}
    for found in _OPTION.finditer(match[0]):
        name = found[1].lower()
        if name in options:
            raise ValueError(f"it has {name} twice")
        options[name] = found[2]
    return options, rest[match.end() :].strip()


def _is_for_us(namespaces: str | None) -> bool:
    """Does the line count for interlock? Raises ValueError where only a pattern says so."""
    if namespaces is None:
        return True
    parts = namespaces.split(",")
    if re.search(r"[*?!]", namespaces) and any(_matches(part) for part in parts if not part.startswith("!")):
        raise ValueError(f'its namespaces are a pattern: write namespaces="{NAMESPACE}" out')
    return NAMESPACE in parts


def _matches(pattern: str) -> bool:
    return fnmatchcase(NAMESPACE, pattern.replace("[", "[[]"))  # ssh knows no classes


def _refuse_options(options: Mapping[str, str | None]) -> None:
    """What ssh-keygen would not understand, or understand as another. Raises ValueError."""
    for name, value in options.items():
        if name not in _KNOWN_OPTIONS:
            raise ValueError(f"ssh-keygen knows no option {name} here; it knows {', '.join(_KNOWN_OPTIONS)}")
        if name == "cert-authority":
            raise ValueError("a certificate authority stands for any number of people")
        if not value:
            raise ValueError(f"{name} has no value")
    times = {name: _time(name, options[name] or "") for name in ("valid-after", "valid-before") if name in options}
    if len(times) == 2 and times["valid-before"][1] == times["valid-after"][1] and times["valid-before"] <= times["valid-after"]:
        raise ValueError("its valid-before is not after its valid-after")


def _time(name: str, text: str) -> tuple[datetime, bool]:
    """A time of ssh-keygen(1), and whether it is UTC. Raises ValueError."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"its {name} {text!r} is no time: write 20270101Z or 202701012359Z")
    try:
        return datetime.strptime(match[1], _TIME_FORMATS[len(match[1])]), match[2] is not None  # noqa: DTZ007 - compared with its like alone
    except ValueError as error:
        raise ValueError(f"its {name} {text!r} is no time that there is") from error


def _refuse_twice(signer: Signer, others: list[Signer]) -> None:
    twin = next((other for other in others if other.key == signer.key), None)
    if twin is None:
        return
    if twin.principal != signer.principal:
        raise ValueError(f"its key is that of {twin.principal} on line {twin.line}, too: one person with two names could sign twice")
    raise ValueError(f"its key stands on line {twin.line} already: nobody could say which of the two counts")


# ---- keys


def fingerprint(key: str) -> str:
    """`SHA256:...` of a public key line (`ssh-ed25519 AAAA... comment`). Raises ValueError when it is none."""
    return _of_blob(_blob(key)[1])


def _of_blob(blob: bytes) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _blob(key: str) -> tuple[str, bytes]:
    """Kind and bytes of a public key line. Raises ValueError."""
    parts = key.split()
    if len(parts) < 2 or not _KEY_TYPE.fullmatch(parts[0]):
        raise ValueError("it has no public key")
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("its key is no base64") from error
    length = int.from_bytes(blob[:4], "big")
    if blob[4 : 4 + length] != parts[0].encode():
        raise ValueError(f"its key is no {parts[0]}")
    return parts[0], blob


def _usable(key: str) -> tuple[KeyKind, bytes]:
    """A key that may sign: of a kind that counts, whole, and long enough. Raises ValueError."""
    name, blob = _blob(key)
    if name not in KeyKind.__members__.values():
        raise ValueError(f"{name} is no kind of key that counts: {', '.join(KeyKind)}")
    kind = KeyKind(name)
    parts = _Wire(blob).strings()
    if len(parts) != _PARTS[kind]:
        raise ValueError(f"its key is no whole {kind} key")
    if kind is KeyKind.RSA and (bits := int.from_bytes(parts[2], "big").bit_length()) < RSA_BITS:
        raise ValueError(f"its RSA key has {bits} bits, and needs {RSA_BITS}")
    return kind, blob


class _Wire:
    """The data types of RFC 4251, 5, one after the other. What does not fit raises ValueError."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, count: int) -> bytes:
        if len(self._data) < count:
            raise ValueError("it is cut off")
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def number(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        return self.take(self.number())

    def strings(self) -> list[bytes]:
        """All that is left, as strings."""
        found = []
        while self._data:
            found.append(self.string())
        return found


# ---- keys that count no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """The file of keys that count no more: as it was read (`data`, for ssh-keygen), and the fingerprints of those keys of it that allowed_signers names."""

    file: str
    data: bytes
    keys: frozenset[str]


def revoked_list(data: bytes, *, where: str) -> frozenset[str]:
    """The fingerprints of a list of public keys, one a line. Raises ConfigError, with all problems: a line that is passed over would revoke nothing."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError("the list of revoked keys is no UTF-8 text", where=where, why=str(error), remedy="write it again as text, or as a KRL") from error
    keys, problems = set(), []
    for number, line in _lines(text):
        try:
            keys.add(fingerprint(line))
        except ValueError as error:
            remedy = "write public keys as ssh-keygen writes them into .pub files, one a line; or make a KRL: ssh-keygen -k -f FILE KEY.pub"
            problems.append(ConfigError("this line revokes nothing", where=f"{where}:{number}", why=str(error), remedy=remedy))
    if problems:
        raise ConfigError(f"{where} does not say which keys are revoked", problems=tuple(problems))
    return frozenset(keys)


# ---- signatures


_ARMOUR = regex(r"-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]+)-----END SSH SIGNATURE-----\n*")
_PRESENT = 0x01  # PROTOCOL.u2f: somebody touched the key


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a signature says of itself; it is true once ssh-keygen has verified it. `present` is False when nobody touched the security key that made it."""

    key: str
    namespace: str
    algorithm: str
    present: bool

    @classmethod
    def parse(cls, armoured: str) -> Self:
        """Raises ValueError for what is no SSH signature. Source: OpenSSH, PROTOCOL.sshsig."""
        match = _ARMOUR.fullmatch(armoured)
        if match is None:
            raise ValueError("it is no SSH signature")
        try:
            wire = _Wire(base64.b64decode(match[1].replace("\n", ""), validate=True))
        except (binascii.Error, ValueError) as error:
            raise ValueError("it is no base64") from error
        if wire.take(6) != b"SSHSIG" or wire.number() != 1:
            raise ValueError("it is no SSH signature of version 1")
        key, namespace, _reserved, _hash, made = (wire.string() for _ in range(5))
        inner = _Wire(made)
        algorithm = inner.string().decode("ascii", "replace")
        inner.string()
        held = "sk-" in algorithm  # by a security key: flags and a counter follow
        present = not held or bool(inner.take(1)[0] & _PRESENT)
        return cls(key=_of_blob(key), namespace=namespace.decode("utf-8", "replace"), algorithm=algorithm, present=present)

    @property
    def fault(self) -> str:
        """Why it does not count, whoever made it; empty when nothing is wrong with its outside."""
        if self.namespace != NAMESPACE:
            return f"it was made for {self.namespace!r}, not for {NAMESPACE!r}"
        if self.algorithm == KeyKind.RSA:
            return "it is an RSA signature with SHA-1 (ssh-rsa); ssh-keygen makes rsa-sha2-512 today"
        return "" if self.present else "nobody touched the security key that made it (its flag of user presence is missing)"
