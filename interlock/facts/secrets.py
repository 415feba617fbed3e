"""Which words name a secret, which a key that nothing replaces, and what in a script makes one? The words and nouns of the secrets family.

A key is irreplaceable when what it encrypted cannot be read without it. A password can be set anew, a certificate asked for again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from interlock.facts.shell import Command, Condition, If, Pipeline, Script, Statement, Substitution, Variable, Word, walk
from interlock.nouns import dataclass
from interlock.patterns import regex

_SECRET = regex(
    r"(?:^|_)(?:passwords?|passwd|passphrase|pass|pwd|secrets?|tokens?|apikey|api_key|private_key|access_key|secret_key|encryption_key|credentials?|pat)(?:_?\d+)?$",
    re.IGNORECASE,
)
_NOT_SECRET = regex(
    r"(?:^|_)(?:no|show|min|max|use|enable|enabled|skip|require|reset|change|forgot|has|need|public|old)_|_?(?:pwd)$|^pass$|^pwd$", re.IGNORECASE
)
_IRREPLACEABLE = regex(
    r"(?:^|_)(?:(?:\w*_)?encrypt(?:ion|ed)?_?\w*_?keys?|fernet(?:_\w+)?_?keys?|vault_?keys?|(?:unseal|master|data|crypt|crypto|cipher)_?keys?|secret_key_base"
    r"|db_key_base|otp_key_base|encryption_(?:salt|secret)|kek|dek|app_key)(?:_base64|_b64|_hex)?$",
    re.IGNORECASE,
)
_SIGNING = regex(r"(?:^|_)(?:jwt(?:_\w+)?(?:_secret|_key)|session_secret|session_key|secret_key|cookie_secret|signing_key)$", re.IGNORECASE)
_ENVIRONMENT_KEY = regex(rb"[\"']([A-Z][A-Z0-9_]*(?:VAULT|ENCRYPT|ENCRYPTION|FERNET|MASTER|CRYPTO)[A-Z0-9_]*KEY|SECRET_KEY_BASE)[\"']")
_ENCRYPTS = regex(rb"\b(?:Fernet|MultiFernet|AESGCM|ChaCha20Poly1305|SecretBox)\b")
_MARKS = (b"Fernet", b"AESGCM", b"ChaCha20Poly1305", b"SecretBox")
_MAKES = regex(
    r"\bopenssl\s+rand\b|/dev/u?random\b|\buuidgen\b|\bpwgen\b|\bapg\b|\bmakepasswd\b|\bFernet\.generate_key\b|\bsecrets\.token_\w+|\brandomBytes\b|\bgenerate[_-]secrets?\b"
    r"|\bgenerate_key\b|\bSecureRandom\b|\bvault\s+operator\s+init\b|\bage-keygen\b"
)
_FLEETING = ("/tmp/", "/var/tmp/", "/dev/shm/", "/run/", "/var/run/")  # noqa: S108 - paths of others
_KEY_FILE = regex(
    r"(?:^|[._/-])(?:secret|secrets|credentials?|jwt|master|encryption|fernet|vault|keystore|session|signing|app)[\w.-]*(?:[._-]keys?|[._-]secrets?|[._-]tokens?"
    r"|\.pem|\.conf|\.jks|\.p12|\.txt|\.json|\.ya?ml|\.env)?$|(?:^|[._/-])(?:secret|encryption|master|private)[._-]?key[\w.-]*$",
    re.IGNORECASE,
)
_MISSING = regex(r"!\s+-[efs]\s+[\"']?(?P<path>[^\s\"'\]]+)")
_GENERATES = regex(r"generate[-_]?\w*(?:secret|key)|(?:secret|key)s?[-_]?gen", re.IGNORECASE)
_CERTIFICATES = regex(r"\b(?:acme\.sh|lego|dehydrated)\b")


def names_secret(name: str) -> bool:
    """Whether a variable holds a secret by its name: `DB_PASSWORD`, `apiToken`; not `PASSWORD_FILE`, `MIN_PASSWORD`, `PWD`."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return _SECRET.search(snake) is not None and _NOT_SECRET.search(snake) is None


def is_irreplaceable(name: str) -> bool:
    """Whether a variable holds a key without which stored data cannot be read."""
    return _IRREPLACEABLE.search(name) is not None


def signs(name: str) -> bool:
    """Whether a variable holds a key that sessions and tokens are signed with: a new one logs everybody out."""
    return _SIGNING.search(name) is not None


def is_key_file(path: str) -> bool:
    """Whether a file holds a key or secrets by its name."""
    return _KEY_FILE.search(path) is not None


def is_fleeting(path: str) -> bool:
    """Whether a directory is emptied at the next start."""
    return path.startswith(_FLEETING)


def encryption_keys(data: bytes) -> Iterator[str]:
    """The variables of the environment that a program takes the key from which it encrypts with."""
    if any(mark in data for mark in _MARKS) and _ENCRYPTS.search(data):
        yield from sorted({found[1].decode() for found in _ENVIRONMENT_KEY.finditer(data)})


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeKey:
    """A secret that a script makes. `name` is the variable or the file; `file` the path that it is written to, empty for one that is in a variable alone."""

    name: str
    line: int
    file: str = ""
    certificate: bool = False


def made_keys(script: Script) -> Iterator[MadeKey]:
    """The keys and secrets that a script makes: written to a file with a literal beginning, or put into a variable."""
    variables = _literals(script)
    for statement in walk(script.statements):
        match statement:
            case Pipeline():
                yield from _piped(statement, variables)
            case Command():
                yield from _by_command(statement, variables)
            case If():
                yield from _where_missing(statement, variables)
            case _:
                continue


def _where_missing(choice: If, variables: dict[str, str]) -> Iterator[MadeKey]:
    """`if [ ! -e /etc/app/secrets.conf ]; then generate_secrets; fi`: what is made is that file."""
    for branch in choice.branches:
        asked = [found for one in branch.condition if isinstance(one, Condition) and (found := _MISSING.search(one.raw))]
        made = any(_GENERATES.search(" ".join(word.raw for word in command.words)) for command in walk(branch.body) if isinstance(command, Command))
        for found in asked if made else ():
            path = re.sub(r"\$\{?(\w+)\}?", lambda name: variables.get(name[1], "*"), found["path"])
            if path.startswith("/"):
                yield MadeKey(name=path, line=choice.line, file=path)


def _literals(script: Script) -> dict[str, str]:
    """Variables that are given one literal value, or one with a default."""
    found: dict[str, str] = {}
    for command in script.commands():
        for one in command.assignments:
            if one.value is not None and (text := _text(one.value, found)) and text.startswith("/"):
                found.setdefault(one.name, text)
    return found


def _text(word: Word, variables: dict[str, str]) -> str:
    """A path as far as it is known: variables with a known value put in, `*` for the others."""
    parts = []
    for part in word.parts:
        match part:
            case Variable(name=name) if name in variables:
                parts.append(variables[name])
            case Variable(operator=":-" | "-" | ":=" | "=", argument=argument) if argument is not None:
                parts.append(_text(argument, variables))
            case _ if hasattr(part, "text"):
                parts.append(part.text)
            case _:
                parts.append("*")
    return "".join(parts)


def _makes(statement: Statement) -> bool:
    return isinstance(statement, Command) and _MAKES.search(" ".join(word.raw for word in statement.words)) is not None


def _piped(pipeline: Pipeline, variables: dict[str, str]) -> Iterator[MadeKey]:
    last = pipeline.stages[-1]
    if any(map(_makes, pipeline.stages[:-1])) and isinstance(last, Command):
        yield from _written(last, variables)


def _by_command(command: Command, variables: dict[str, str]) -> Iterator[MadeKey]:
    if _makes(command):
        yield from _written(command, variables)
    words = [_text(word, variables) for word in command.words]
    if words and _CERTIFICATES.search(words[0]) and "--key-file" in words[:-1]:
        path = words[words.index("--key-file") + 1]
        yield MadeKey(name=path, line=command.line, file=path, certificate=True)
    for one in command.assignments:
        if one.value is not None and _holds_made(one.value):
            yield MadeKey(name=one.name, line=one.line)
    if words[:1] == [":"]:
        for word in command.words[1:]:
            yield from (MadeKey(name=part.name, line=command.line) for part in word.parts if isinstance(part, Variable) and _given_made(part))


def _written(command: Command, variables: dict[str, str]) -> Iterator[MadeKey]:
    targets = [redirect.target for redirect in command.redirects if redirect.creates]
    if command.words and command.words[0].literal == "tee":
        targets += [word for word in command.words[1:] if not word.raw.startswith("-")]
    raw = [word.raw for word in command.words]
    targets += [command.words[index + 1] for index, word in enumerate(raw[:-1]) if word in ("-out", "-o", "--out")]
    for target in targets:
        path = _text(target, variables)
        if path.startswith("/") and not path.startswith("/dev/"):
            yield MadeKey(name=path, line=command.line, file=path)


def _holds_made(word: Word) -> bool:
    """Whether a value is what a generator prints, also as the default of a variable."""
    return any(_given_made(part) for part in word.parts)


def _given_made(part: object) -> bool:
    match part:
        case Substitution(raw=raw):
            return _MAKES.search(raw) is not None
        case Variable(argument=argument, operator=":-" | "-" | ":=" | "="):
            return argument is not None and _holds_made(argument)
        case _:
            return False
