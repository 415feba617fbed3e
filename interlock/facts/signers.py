"""Whose signatures count? Parses an `allowed_signers` file (ssh-keygen(1), "ALLOWED SIGNERS"), as far as it is about interlock.

`ssh-keygen` itself verifies signatures with this file, its validity times and namespaces. What is read here is only what it cannot say: how many people
there are. So each line that counts for interlock must name one person, written out, and no key may have two names: else one person could sign twice.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Self

from interlock.errors import ConfigError

NAMESPACE = "interlock"
_KEY_TYPE = re.compile(r"(?:sk-)?(?:ssh|ecdsa)-[a-z0-9-]+(?:@openssh\.com)?")
_OPTIONS = re.compile(r'(?:[^\s",=]+(?:="[^"]*")?)(?:,[^\s",=]+(?:="[^"]*")?)*')
_OPTION = re.compile(r'([^\s",=]+)(?:="([^"]*)")?')
_LINE = re.compile(r'(?P<principals>"[^"]+"|\S+)\s+(?P<rest>\S.*)')
_REMEDY = 'write one line for each person: anna@example.org namespaces="interlock" ssh-ed25519 AAAA...'


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """One person and one key. `key` is the key's fingerprint as OpenSSH prints it: `SHA256:...`."""

    principal: str
    key: str
    line: int


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
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            try:
                signer = _signer(line.strip(), number)
                if signer is not None:
                    _refuse_second_name(signer, signers)
                    signers.append(signer)
            except ValueError as error:
                problems.append(ConfigError("this line cannot be used", where=f"{where}:{number}", why=str(error), remedy=_REMEDY))
        if problems:
            raise ConfigError(f"{where} does not say who may approve", problems=tuple(problems))
        return cls(signers=tuple(signers))


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureSeen:
    """What `ssh-keygen -Y verify` said of a signature: `key` is the fingerprint of the key that made it (empty when not valid), `why` what was wrong."""

    principal: str
    valid: bool
    key: str = ""
    why: str = ""


def _signer(line: str, number: int) -> Signer | None:
    """One line; None when it is about other namespaces. Raises ValueError."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError("it has no key")
    options, rest = _options(match["rest"])
    namespaces = options.get("namespaces")
    if namespaces is not None and NAMESPACE not in namespaces.split(","):
        return None
    if "cert-authority" in options:
        raise ValueError("a certificate authority stands for any number of people")
    principal = match["principals"].strip('"')
    if re.search(r"[*?!,\s]", principal):
        raise ValueError(f"{principal} is a pattern or a list, so it may stand for several people")
    return Signer(principal=principal, key=fingerprint(rest), line=number)


def _options(rest: str) -> tuple[dict[str, str | None], str]:
    """The options before the key, by lower-case name, and the key."""
    first = rest.split(None, 1)[0]
    if _KEY_TYPE.fullmatch(first):
        return {}, rest
    match = _OPTIONS.match(rest)
    if match is None or not rest[match.end() : match.end() + 1].isspace():
        raise ValueError(f"{first[:40]!r} is neither a key type nor an option")
    options = {name.lower(): value or None for name, value in _OPTION.findall(match[0])}
    return options, rest[match.end() :].strip()


def fingerprint(key: str) -> str:
    """`SHA256:...` of a public key line (`ssh-ed25519 AAAA... comment`). Raises ValueError when it is none."""
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
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _refuse_second_name(signer: Signer, others: list[Signer]) -> None:
    twin = next((other for other in others if other.key == signer.key and other.principal != signer.principal), None)
    if twin is not None:
        raise ValueError(f"its key is that of {twin.principal} on line {twin.line}, too: one person with two names could sign twice")
