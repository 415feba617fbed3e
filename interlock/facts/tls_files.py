"""Where are the private keys of certificates, who may read them, and is what a script makes of them fit for a server?

`committed` looks at a file of the tree; `slips_of` at what a script writes, opens up or makes. OpenSSL itself writes keys as 0600: those are right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum

from interlock.facts.backup_tools import is_private_umask
from interlock.facts.programs import Unreadable
from interlock.facts.secrets import names_secret
from interlock.facts.shell import AndOr, Command, Function, Group, If, Loop, Pipeline, Redirect, Script, Statement, Stream, Variable, Word, parse, walk
from interlock.nouns import dataclass
from interlock.patterns import regex

KEY_NAMES = regex(r"\.(?:key|pem|p8|ppk|rsa)$|(?:^|/)id_(?:rsa|dsa|ecdsa|ed25519)$|\.(?:crt|cert)$", re.IGNORECASE)
_PRIVATE = regex(rb"(?m)^-----BEGIN (?:[A-Z0-9]+ )?PRIVATE KEY-----\r?\n(?:[A-Za-z0-9+/=]{20,}|[\w-]+: )")
_FOR_SHOW = regex(
    r"(?:^|[/._-])(?:tests?|testing|examples?|samples?|demos?|docs?|fixtures?|mocks?|dummy|snake-?oil|self-?signed|localhost|local|dev|devel|development|e2e|ci|fake|default|insecure"
    r"|playground|integration|suites?|vendor|third[-_]party|node_modules|testdata|stubs?|\.devcontainer|acceptance|bench|public|pub)(?:$|[/._-]|certs?|\d|ssl|tls)",
    re.IGNORECASE,
)
_KEY_PATH = regex(
    r"(?:priv(?:ate)?[-_]?key|(?:^|[/_.-])(?:server|tls|ssl|site|host|domain|cert|ca|client)[-_.]?key|\.key$|(?:^|/)key\.pem|(?:^|/)id_(?:rsa|ed25519|ecdsa)$)",
    re.IGNORECASE,
)
_NO_KEY_PATH = regex(
    r"public|\.pub\b|\.asc$|\.gpg$|keyring|sources\.list|apt|authorized|known_hosts|signing\.key$|dhparam|\.(?:sh|py|txt|md|json|ya?ml)$|archive", re.IGNORECASE
)
_OPENS = regex(r"0?[0-7]?[0-7][0-7][4-7]|(?:[ugo]*[go]+[ugo]*|a|)[+=][wxXst]*r[rwxXst]*")
_KEY_VARIABLE = regex(r"(?:priv(?:ate)?_?key|(?:tls|ssl|server|cert)_?key)(?:_pem|_data|_b64|_base64|_content)?$", re.IGNORECASE)
_PRIVATE_PLACE = regex(r"^(?:/dev/|&|/root/|~/|\$HOME/|\$\{HOME\}/)|(?:^|/)\.ssh/")  # directories that are 0700 by custom
_SHELL_START = regex(r"\s*#![^\n]*\b(?:ba|da)?sh\b")


class Slip(StrEnum):
    """What is wrong with a key or a certificate. The values are the kinds of findings."""

    COMMITTED = "key-committed"
    WRITTEN_OPEN = "key-written-readable"
    OPENED = "key-opened"
    CA_AS_SERVER = "ca-as-server"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSlip:
    """One of them: in `path` at `line`, about the file `what`. `after`: it is made private later, when somebody may have read it."""

    slip: Slip
    path: str
    line: int
    what: str
    after: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsArtifacts:
    """All of a tree."""

    slips: tuple[TlsSlip, ...]
    unreadable: tuple[Unreadable, ...] = ()


def may_hold_key(path: str) -> bool:
    """Whether a file of the tree is called as a key is, and lies where something is deployed from."""
    return KEY_NAMES.search(path) is not None and _FOR_SHOW.search(path) is None


def committed(path: str, data: bytes) -> TlsSlip | None:
    """A private key that is under version control."""
    found = _PRIVATE.search(data)
    return TlsSlip(slip=Slip.COMMITTED, path=path, line=data.count(b"\n", 0, found.start()) + 1, what=path) if found else None


def is_key_path(path: str) -> bool:
    """Whether a path names the private key of a certificate or of a host."""
    return _KEY_PATH.search(path) is not None and _NO_KEY_PATH.search(path) is None


def slips_of(path: str, script: Script) -> Iterator[TlsSlip]:
    """What a script does to keys and certificates, also what it writes into other scripts."""
    reader = _Reader(path)
    reader.go(script.statements, private=False)
    yield from reader.found()
    for command in script.commands():
        for redirect in command.redirects:
            if redirect.stream is Stream.HERE_DOCUMENT and _SHELL_START.match(redirect.target.raw):
                text = redirect.target.raw if not redirect.expands else redirect.target.raw.replace("\\$", "$").replace("\\`", "`")
                yield from slips_of(path, parse(text, first_line=redirect.target.line))


class _Reader:
    """Goes through a script in its order, and knows which files were made private before."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.private: set[str] = set()
        self.open: dict[str, TlsSlip] = {}
        self.others: list[TlsSlip] = []

    def found(self) -> Iterator[TlsSlip]:
        """What was found, in the order of the lines."""
        yield from sorted((*self.open.values(), *self.others), key=lambda slip: (slip.line, slip.what))

    def go(self, statements: Sequence[Statement], *, private: bool) -> bool:
        """Statements one after the other; True when the umask is private at their end."""
        for statement in statements:
            private = self._one(statement, private=private)
        return private

    def _one(self, statement: Statement, *, private: bool) -> bool:
        match statement:
            case Command():
                return self._command(statement, private=private)
            case Group():
                before = set(self.private)
                inside = self.go(statement.body, private=private)
                if _reads_key(statement):
                    self._opened(statement.redirects, private=private or bool(self.private - before))
                return private if statement.subshell else inside
            case Pipeline():
                for stage in statement.stages:
                    self._one(stage, private=private)
                last = statement.stages[-1]
                if isinstance(last, Command) and any(_reads_key(stage) for stage in statement.stages[:-1]):
                    self._opened(last.redirects, private=private)
                return private
            case AndOr():
                return self.go((statement.left, statement.right), private=private)
            case If():
                for branch in statement.branches:
                    self.go((*branch.condition, *branch.body), private=private)
                self.go(statement.otherwise, private=private)
                return private
            case Loop():
                self.go((*statement.condition, *statement.body), private=private)
                return private
            case Function():
                self._one(statement.body, private=False)
                return private
            case _:
                return private

    def _command(self, command: Command, *, private: bool) -> bool:
        words = [word.raw.strip("\"'") for word in command.words]
        while words and words[0] in ("sudo", "exec"):
            words = words[1:]
        match words:
            case ["umask", mask]:
                return is_private_umask(mask) or False
            case ["chmod", *rest]:
                self._chmod([word for word in rest if not re.fullmatch(r"-[Rfvc]+", word)], command.line)
            case ["install" | "mktemp", *rest]:
                self.private.update(rest)
            case ["openssl", "req", *rest]:
                self._request(rest, command.line)
            case _ if _reads_key(command) or _says_key(command):
                self._opened(command.redirects, private=private)
            case _:
                pass
        return private

    def _opened(self, redirects: Sequence[Redirect], *, private: bool) -> None:
        for redirect in redirects:
            target = redirect.target.raw.strip("\"'")
            if redirect.stream is Stream.WRITE and not private and target not in self.private and not _PRIVATE_PLACE.search(target):
                self.open.setdefault(target, TlsSlip(slip=Slip.WRITTEN_OPEN, path=self.path, line=redirect.line, what=target))

    def _chmod(self, rest: Sequence[str], line: int) -> None:
        if len(rest) < 2:
            return
        mode, targets = rest[0], rest[1:]
        for target in targets:
            if _OPENS.fullmatch(mode) and is_key_path(target):
                self.others.append(TlsSlip(slip=Slip.OPENED, path=self.path, line=line, what=target))
            elif re.fullmatch(r"0?[0-7][0-7]0|(?:go|g-|o-|u=).*", mode):
                self.private.add(target)
                if target in self.open:
                    slip = self.open[target]
                    self.open[target] = TlsSlip(slip=slip.slip, path=slip.path, line=slip.line, what=slip.what, after=True)

    def _request(self, words: Sequence[str], line: int) -> None:
        """A certificate that a script signs itself for a server: OpenSSL makes it a CA unless it is told not to."""
        text = " ".join(words)
        if "-x509" in words and "subjectAltName" in text and "basicConstraints" not in text and "-CA" not in words and "-config" not in words:
            target = words[words.index("-out") + 1] if "-out" in words[:-1] else "the certificate"
            if not re.search(r"(?:^|[/_.-])(?:root)?ca(?:[/_.-]|$)", target, re.IGNORECASE):
                self.others.append(TlsSlip(slip=Slip.CA_AS_SERVER, path=self.path, line=line, what=target.strip("\"'")))


def _reads_key(statement: Statement) -> bool:
    """Whether it prints what is in a private key: `cat fullchain.pem privkey.pem`."""
    for one in walk((statement,)):
        if isinstance(one, Command) and one.words and one.words[0].literal == "cat" and any(is_key_path(word.raw.strip("\"'")) for word in one.words[1:]):
            return True
    return False


def _says_key(command: Command) -> bool:
    """`echo "$TLS_KEY" > server.key`."""
    if not command.words or command.words[0].literal not in ("echo", "printf"):
        return False
    return any(_is_key_variable(word) for word in command.words[1:])


def _is_key_variable(word: Word) -> bool:
    names = [part.name for part in word.parts if isinstance(part, Variable) and not part.operator]
    return any(_KEY_VARIABLE.search(name) and (names_secret(name) or "key" in name.lower()) for name in names)
