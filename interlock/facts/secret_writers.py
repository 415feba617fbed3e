"""Which lines of a script or program write a secret, and with which mode does the file come into being? The followers are those of backups.

A file is a secret by its name (`privkey.pem`, `.pgpass`, `admin_token`), or by what is written into it: a line that gives something called a password, a
secret or a token a value that is worked out (`DB_PASSWORD=$PASSWORD`), in an env or settings file.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from interlock.facts.backup_ledger import Backups, Ledger
from interlock.facts.backup_python import follow_module
from interlock.facts.backup_shell import writers_in_shell
from interlock.facts.backup_tools import Made, Making, read_mode
from interlock.facts.backup_writers import UNKNOWN, Care, Followed, Language, WriterScript, says_backup
from interlock.facts.permissions import ScriptActs
from interlock.facts.programs import Unreadable
from interlock.facts.pythoncode import Module
from interlock.facts.same_file import FileWriter
from interlock.nouns import dataclass
from interlock.patterns import regex

_OWN = regex(
    r"^(?:id_(?:rsa|dsa|ecdsa|ed25519)(?:[_-]\w+)?|(?:[\w.-]*[._-])?priv(?:ate)?[._-]?key(?:[._-]\w+)*|privkey\d*\.pem|(?:[\w.-]+[._-])?key\.pem"
    r"|[\w.-]+\.(?:key|p12|pfx|jks|keystore|ppk)|\.my\.cnf|\.?(?:pgpass|netrc|htpasswd|vault[-_]token|git-credentials|smbcredentials|pypirc)|kubeconfig|[\w.-]+\.kubeconfig"
    r"|\.?(?:[\w-]+[._-])?(?:passwords?|passwd|passphrase|secrets?|secret_?key|credentials?|(?:api|auth|access|admin|bearer|refresh|bot|login|join|root|session)[._-]?tokens?"
    r"|tokens?)(?:[._-](?:file|key))?(?:\.(?:txt|json|ya?ml|env|conf|ini|toml|cfg|pem|dat|b64))?)$",
    re.IGNORECASE,
)
_NOT_OWN = regex(
    r"example|sample|template|dist\b|\.pub\b|public|pubkey|tokeniz|design[-_]?token|\.(?:md|html?|css|js|ts|py|sh|log|lock|sha\d*|sig|csr|crt|asc|gpg|enc|age|sops)\b"
    r"|keyring|trusted|/apt/|repo|archive|signing|mock|fake|dummy|fixture|\btest|schema|policy|/etc/passwd|/etc/pam\.d|baseline",
    re.IGNORECASE,
)
_HOLDS = regex(r"(?:^|[/._-])env(?:[._-][\w-]+)?$|\.(?:env|conf|cnf|cfg|ini|ya?ml|toml|json|properties|tfvars)$", re.IGNORECASE)
_GIVES = regex(
    r"""(?:^|[\s"'{,;|/#\\n])(?P<name>[\w.-]*?(?:passw(?:or)?d|passphrase|secret|token|api_?key|private_?key|access_?key|encryption_?key|credential)[\w.-]*)["'\\]*\s*[=:]\s*["'\\]*"""
    r"""(?P<value>\$[\w{(]|`|⟨|\{[a-z_])""",
    re.IGNORECASE,
)
_NOT_GIVEN = regex(
    r"(?:file|path|dir|name|user|url|uri|host|port|id|length|len|ttl|expir\w*|enabled?|header|timeout|type|policy|min|max|bits|size|hash|prefix|suffix|count|field|mount)$",
    re.IGNORECASE,
)
_FETCHERS = ("curl", "wget")
_PLACES = regex(
    rb"secret|token|passw|passphrase|credential|priv[a-z]*_?key|\.key\b|key\.pem|\.env\b|htpasswd|pgpass|netrc|kubeconfig|id_rsa|id_ed25519|api_?key",
    re.IGNORECASE,
)
_PYTHON_WRITES = regex(rb"write_text\(|write_bytes\(|open\([^\n]*[\"'][wxa][bt]?[\"']|O_CREAT")
_NEAR = 800  # bytes around a write in which the name of a secret stands


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretWriters:
    """All scripts and programs of a tree that write secrets, with their writes. `looked_at` counts those that were read for it.

    `programs` are functions that make a file private, and those that put the same file in its place otherwise; `acts` what scripts do to modes."""

    scripts: tuple[WriterScript, ...]
    looked_at: int
    unread: tuple[Unreadable, ...] = ()
    programs: tuple[FileWriter, ...] = ()
    acts: tuple[ScriptActs, ...] = ()


class Secrets(Backups):
    """What a book is kept of: files that hold a secret. What programs print counts, and a file that a group shares is shared on purpose."""

    any_output = True
    in_a_group = True

    def is_one(self, made: Made, *, scope: str, script: str) -> bool:
        """True for a new file that holds a secret; what is copied or moved has the mode of its source, and what is a backup is another rule's."""
        del scope, script
        content, target = made.content, made.target
        if made.making is not Making.CREATED or content.dump or content.archive or says_backup(target.path):
            return False
        if _is_called(target) and content.tool != "sed -i":
            return content.tool not in (*_FETCHERS, "sed", "grep", "envsubst", ":", "true", "touch") or "priv" in target.path
        holds = _HOLDS.search(_last(target)) is not None or _is_called(target)
        return holds and not _NOT_OWN.search(target.path) and next(_given(content.source), None) is not None

    def is_named(self, target: Followed) -> bool:
        """True for a path that is called a key, a password, a token or the like; what a web server looks its visitors up in is opened to it on purpose."""
        return _is_called(target) and "htpasswd" not in _last(target)

    def is_private_mode(self, mode: str) -> bool:
        """0640 is private enough: the group was chosen."""
        change = read_mode(mode)
        return change is not None and not change.others


def _is_called(target: Followed) -> bool:
    last = _last(target)
    return _OWN.match(last) is not None and not _NOT_OWN.search(UNKNOWN.sub("", target.path)) and not says_backup(last)


def _last(target: Followed) -> str:
    """The last part of a path; of a variable that nobody knows the value of, nothing."""
    last = posixpath.basename(target.path)
    return "" if UNKNOWN.fullmatch(last) else UNKNOWN.sub("x", last)


def _given(text: str) -> Iterator[str]:
    """The names in a text that are called secret and that get a value that is worked out."""
    for found in _GIVES.finditer(text):
        if not _NOT_GIVEN.search(found["name"]):
            yield found["name"]


def may_write_secrets(data: bytes) -> bool:
    """False for shell that needs no following to know it."""
    return _PLACES.search(data) is not None and (b">" in data or b"tee" in data or b"-out" in data or b"install" in data)


def may_write_secrets_in_python(data: bytes) -> bool:
    """False for programs that need no parsing to know it: no name of a secret stands near a write."""
    return any(_PLACES.search(data, max(0, found.start() - _NEAR), found.end() + _NEAR) for found in _PYTHON_WRITES.finditer(data))


def secrets_in_shell(path: str, text: str) -> WriterScript:
    """Every secret that a shell script writes."""
    try:
        return writers_in_shell(path, text.encode("utf-8", "surrogateescape"), Secrets())
    except RecursionError:
        return WriterScript(path=path, language=Language.SHELL, writes=())


def secrets_in_python(path: str, module: Module) -> WriterScript:
    """Every secret that a Python program writes."""
    ledger = Ledger(name=path, language=Language.PYTHON, seeks=Secrets())
    try:
        follow_module(ledger, module)
    except RecursionError:
        return WriterScript(path=path, language=Language.PYTHON, writes=())
    return ledger.script()


def is_open(care: Care) -> bool:
    """True for what others can read for good. A secret is small: one that is closed right after it was written was open for no longer than a write takes, and
    one that was moved here has the mode that it had."""
    return care in (Care.NO_UMASK, Care.WIDENED)
