"""Which values does a script write into an env file that its readers do not take for what they are? A random secret from letters that hold a `$`, a hash, a
password that somebody typed: written without quotes, docker compose, a shell and a library each read something else.
"""

from __future__ import annotations

import posixpath
import re
import string
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from enum import StrEnum

from interlock.facts.env_paths import EnvFiles, Values
from interlock.facts.env_writes import Setting, written
from interlock.facts.programs import ShellText, Unreadable
from interlock.facts.shell import Command, Condition, Function, Group, Pipeline, Script, Statement, Stream, Substitution, Variable, walk
from interlock.nouns import dataclass
from interlock.patterns import regex

_MAY = regex(r"urandom|/dev/random|\bpwgen\b|\bhtpasswd\b|\bmkpasswd\b|openssl\s+passwd|hash-password|punctuation|printable|\bread\b|\bargon2\b|\bbcrypt\b")
_ENV_LIKE = regex(r"(?:^|/)(?:\.env(?:[._-][\w.-]+)?|[\w.-]*\.env|[\w-]*env)$")
_PUNCTUATION = frozenset(string.punctuation)
_HASH = frozenset("$")
_TYPED = frozenset("$#'\"`\\ ")
_CLASSES = {
    "alpha": string.ascii_letters, "digit": string.digits, "alnum": string.ascii_letters + string.digits, "lower": string.ascii_lowercase,
    "upper": string.ascii_uppercase, "punct": string.punctuation, "xdigit": string.hexdigits, "space": " ", "blank": " ",
    "graph": string.ascii_letters + string.digits + string.punctuation, "print": string.ascii_letters + string.digits + string.punctuation + " ",
}  # fmt: skip
_READ_DIFFERENTLY = {"": frozenset("$#'\"`\\ "), '"': frozenset('$"`\\'), "'": frozenset("'")}
_SECRET = regex(r"PASS|PWD|SECRET|TOKEN|CREDENTIAL", re.IGNORECASE)
_SAFE_ENCODERS = frozenset({"base64", "xxd", "od", "hexdump", "md5sum", "sha1sum", "sha256sum", "sha512sum", "uuidgen", "b2sum"})
_DEEPEST = 4


class From(StrEnum):
    """Where a value comes from; the values are kinds of findings, and `told` says it."""

    RANDOM = "random-letters"
    HASH = "password-hash"
    TYPED = "typed-secret"

    @property
    def told(self) -> str:
        """The begin of a sentence: ... is written into the file."""
        return {From.RANDOM: "a random secret", From.HASH: "the hash of a password", From.TYPED: "a secret that somebody types"}[self]


@dataclass(frozen=True, slots=True)
class Letters:
    """The troublesome letters that a value may hold, and where it comes from."""

    source: From
    letters: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unquoted:
    """One setting whose value its readers may take for another: the letters that do it, between which quotes it is written."""

    script: str
    line: int
    key: str
    target: str
    source: From
    letters: str
    quote: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoting:
    """What is judged by `env.file_quoting`: the settings that are written so, and the scripts that could not be read."""

    unquoted: tuple[Unquoted, ...]
    unreadable: tuple[Unreadable, ...] = ()


def unquoted(texts: Iterable[ShellText], files: EnvFiles) -> Quoting:
    """Every setting of every script once."""
    found: dict[tuple[str, str], Unquoted] = {}
    for text in texts:
        if "=" not in text.text or not _MAY.search(text.text) or "env" not in text.text:
            continue
        values = Values.of(text.script)
        origins = _Origins.of(text.script, values)
        for one in written(text.script, values):
            target = next((to for to in one.targets if files.meant([to], script=text.path) or _ENV_LIKE.search(to)), None)
            for setting in one.settings if target is not None else ():
                if (letters := origins.of_setting(setting)) is not None:
                    told = "".join(sorted(letters.letters, key="$'\"`\\# ".find))
                    name = posixpath.basename(target or "")
                    one_more = Unquoted(
                        script=text.path, line=setting.line, key=setting.key, target=name, source=letters.source, letters=told, quote=setting.opens_with
                    )
                    found.setdefault((text.path, setting.key), one_more)
    return Quoting(unquoted=tuple(found.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Origins:
    """What the variables of a script may hold, as far as letters are concerned."""

    values: Values
    functions: Mapping[str, Function]
    typed: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, script: Script, values: Values) -> _Origins:
        functions = {one.name: one for one in walk(script.statements) if isinstance(one, Function)}
        return cls(values=values, functions=functions, typed=frozenset(_typed(script)))

    def of_setting(self, setting: Setting) -> Letters | None:
        """The letters of a setting's value that its quotes do not keep."""
        differently = _READ_DIFFERENTLY[setting.opens_with]
        for part in setting.value:
            letters = self._part(part, 0)
            if letters is None or (letters.source is From.TYPED and (setting.opens_with or not _SECRET.search(setting.key))):
                continue
            if kept := letters.letters & differently:
                return Letters(letters.source, kept)
        return None

    def _part(self, part: object, depth: int) -> Letters | None:
        match part:
            case Substitution():
                return self._printed(part.body, depth)
            case Variable(operator="" | ":-" | "-"):
                return self._variable(part.name, depth)
            case _:
                return None

    def _variable(self, name: str, depth: int) -> Letters | None:
        if depth > _DEEPEST:
            return None
        words = self.values.given.get(name, ())
        if any(isinstance(part, Variable) and part.name == name and part.operator.startswith("/") for word in words for part in word.parts):
            return None  # `X=${X//\$/\$\$}`: somebody thought of it
        found = [letters for word in words for part in word.parts if (letters := self._part(part, depth + 1)) is not None]
        if found:
            return found[-1]
        return Letters(From.TYPED, _TYPED) if name in self.typed and not words else None

    def _printed(self, body: Sequence[Statement], depth: int) -> Letters | None:
        """The letters of what statements print: of the last one."""
        if not body or depth > _DEEPEST:
            return None
        match body[-1]:
            case Pipeline() as pipeline:
                stages: Sequence[Statement] = pipeline.stages
            case Group() as group:
                return self._printed(group.body, depth + 1)
            case other:
                stages = (other,)
        letters: Letters | None = None
        for stage in stages:
            if not isinstance(stage, Command) or not stage.words:
                return None
            letters = self._stage(stage, letters, depth)
        return letters

    def _stage(self, command: Command, before: Letters | None, depth: int) -> Letters | None:
        name = posixpath.basename(command.words[0].literal or "")
        if name in self.functions:
            return self._printed(_statements_of(self.functions[name]), depth + 1)
        if name in ("echo", "printf"):
            return next((letters for word in command.words[1:] for part in word.parts if (letters := self._part(part, depth + 1)) is not None), None)
        reader = _PROGRAMS.get(name)
        if reader is not None:
            return reader([word.literal if word.literal is not None else word.raw for word in command.words], command, before)
        return None if name in _SAFE_ENCODERS else before


def _statements_of(function: Function) -> Sequence[Statement]:
    return function.body.body if isinstance(function.body, Group) else (function.body,)


def _typed(script: Script) -> Iterator[str]:
    """The variables that `read` fills from a terminal, without those that a condition compares with a pattern."""
    checked = " ".join(one.raw for one in walk(script.statements) if isinstance(one, Condition) and "=~" in one.raw)
    for command in script.commands():
        fed = any(redirect.stream is not Stream.READ or "tty" not in redirect.target.raw for redirect in command.redirects)
        if command.words and command.words[0].literal == "read" and not fed:
            silent = any(re.fullmatch(r"-\w*s\w*", word.literal or "") for word in command.words[1:])
            name = command.words[-1].literal or ""
            if re.fullmatch(r"[A-Za-z_]\w*", name) and (silent or _SECRET.search(name)) and f"${name}" not in checked and f"${{{name}" not in checked:
                yield name


# ---- programs that print letters

Reader = Callable[[Sequence[str], Command, "Letters | None"], "Letters | None"]


def _tr(argv: Sequence[str], command: Command, before: Letters | None) -> Letters | None:
    options = "".join(word[1:] for word in argv[1:] if re.fullmatch(r"-[a-zA-Z]+", word))
    sets = [word for word in argv[1:] if not re.fullmatch(r"-[a-zA-Z]+", word)]
    if not sets:
        return before
    named = letters_of(sets[0])
    if "d" in options and ("c" in options or "C" in options):
        source = before.letters if before is not None else _PUNCTUATION | {" "}
        is_random = before is not None or any(re.search(r"/dev/u?random", redirect.target.raw) for redirect in command.redirects)
        return Letters(From.RANDOM, named & source) if is_random else None
    return Letters(before.source, before.letters - named) if before is not None else None


def letters_of(told: str) -> frozenset[str]:
    """The characters that a set of `tr` names. Source: tr(1): ranges, `[:class:]`, backslash escapes."""
    found = {letter for name in re.findall(r"\[:(\w+):\]", told) for letter in _CLASSES.get(name, "")}
    text = re.sub(r"\[:\w+:\]", "", told)
    text = re.sub(r"\\([0-7]{1,3})", lambda octal: chr(int(octal[1], 8) & 0x7F), text)
    tokens = re.findall(r"\\.|.", text, re.DOTALL)
    plain = [token[-1] for token in tokens]
    index = 0
    while index < len(plain):
        if index + 2 < len(plain) and tokens[index + 1] == "-" and plain[index] <= plain[index + 2]:
            found.update(map(chr, range(ord(plain[index]), min(ord(plain[index + 2]), 0x7F) + 1)))
            index += 3
        else:
            found.add(plain[index])
            index += 1
    return frozenset(found)


def _random_bytes(argv: Sequence[str], command: Command, before: Letters | None) -> Letters | None:
    """`cat /dev/urandom`, `head -c 500 /dev/urandom`, `dd if=/dev/urandom`."""
    named = [*argv[1:], *(redirect.target.raw for redirect in command.redirects)]
    return Letters(From.RANDOM, _PUNCTUATION | {" "}) if any(re.search(r"/dev/u?random$", word) for word in named) else before


def _pwgen(argv: Sequence[str], _command: Command, _before: Letters | None) -> Letters | None:
    symbols = any(re.fullmatch(r"-[a-zA-Z]*y[a-zA-Z]*|--symbols", word) for word in argv[1:])
    return Letters(From.RANDOM, _PUNCTUATION) if symbols and not any(word.startswith(("-r", "--remove")) for word in argv[1:]) else None


def _openssl(argv: Sequence[str], _command: Command, _before: Letters | None) -> Letters | None:
    return Letters(From.HASH, _HASH) if argv[1:2] == ["passwd"] else None


def _hashes(_argv: Sequence[str], _command: Command, _before: Letters | None) -> Letters | None:
    return Letters(From.HASH, _HASH)


def _by_verb(argv: Sequence[str], command: Command, before: Letters | None) -> Letters | None:
    """`caddy hash-password`, `docker run --rm httpd htpasswd -nbB admin`."""
    hashes = any(posixpath.basename(word) in ("htpasswd", "hash-password", "argon2", "mkpasswd", "bcrypt") for word in argv[1:])
    return _hashes(argv, command, before) if hashes else None


def _python(argv: Sequence[str], _command: Command, _before: Letters | None) -> Letters | None:
    text = " ".join(argv[1:])
    return Letters(From.RANDOM, _PUNCTUATION) if re.search(r"\bpunctuation\b|\bstring\.printable\b", text) else None


def _sed(argv: Sequence[str], _command: Command, before: Letters | None) -> Letters | None:
    """Whoever edits a `$` or a quote thought of it."""
    return None if any("$" in word[:-1] or "'" in word or "\\" in word for word in argv[1:]) else before


def _awk(argv: Sequence[str], _command: Command, before: Letters | None) -> Letters | None:
    return None if any("gsub" in word for word in argv) else before


_PROGRAMS: Mapping[str, Reader] = {
    "tr": _tr, "cat": _random_bytes, "head": _random_bytes, "dd": _random_bytes, "strings": _random_bytes, "pwgen": _pwgen, "openssl": _openssl,
    "htpasswd": _hashes, "mkpasswd": _hashes, "argon2": _hashes, "caddy": _by_verb, "docker": _by_verb, "podman": _by_verb,
    "python": _python, "python3": _python, "sed": _sed, "awk": _awk, "perl": _sed,
}  # fmt: skip
