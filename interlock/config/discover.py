"""Which files of a tree say something of its site, and which scripts does a rule judge? By their names in one pass over the listing, and then by their text.

`interlock.discover` reads what is in them. Tests are left out, for what they write is theirs; so is the code of others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from interlock.errors import CouldNotLook, TooLarge
from interlock.patterns import regex


class Files(Protocol):
    """What discovery needs of a tree (`interlock.observe.tree.Tree`, a patient one)."""

    @property
    def unlisted(self) -> Mapping[str, CouldNotLook]:
        """The folders that could not be listed; known after `listing`."""

    def listing(self) -> tuple[str, ...]:
        """Every file, by its path relative to the root."""

    def read(self, path: str) -> bytes:
        """The bytes of one; raises `CouldNotLook`."""


_SHELL = regex(r"\.(?:ba|da|k)?sh(?:\.(?:tpl|tmpl|tftpl|template|j2|in|example|dist))?$")  # backup.sh, startup-script.sh.tpl
_CODE_OF_OTHERS = frozenset({"vendor", "vendored", "third_party", "third-party", "site-packages", "dist-packages", "bower_components", "testdata"})
_TESTS = regex(r"(?:^|[_-])(?:unit[_-]?|integration[_-]?|e2e[_-]?)?tests?(?:$|[_-])|^(?:conftest|testing|__tests__|e2e|spec)$", re.IGNORECASE)
_ASIDE = frozenset(
    {"examples", "example", "contrib", "samples", "sample", "demo", "demos", "docs", "doc", "ci", ".ci", ".devcontainer", ".github", "optional-modifications"}
)
_ENV = regex(r"\.env(?:[._-][\w.-]+)?|[\w.-]+\.env(?:[._-](?:example|sample|template|dist|default|tmpl|hbs|j2))?|env[._-](?:example|sample|template|hbs|j2)")
_NO_ENV = regex(r"\.(?:py|ts|js|mjs|go|rs|md|ya?ml|json|php|patch|rc)$|^\.envrc$")
_UNIT = regex(r"[\w@.\\-]+\.(?:service|timer|mount|path)")
_TEMPLATE = regex(r"(.+)\.(?:hbs|j2|tmpl|template)")
_SIGNERS = regex(r"\.?allowed[_-]signers")
_MODULE = regex(r"module\.ya?ml")
_PYTEST = frozenset({"pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg", "pytest.toml", ".pytest.toml"})
IN_IMAGES = frozenset(
    {"rootfs", "docker-entrypoint.d", "docker-entrypoint-initdb.d", "cont-init.d", "cont-finish.d", "s6-rc.d", "s6-overlay", "runit", "entrypoint.d"}
)  # folders whose scripts run inside of containers
_SHEBANG = regex(rb"#![^\n]*\b(?:(?:ba|da|k|a|z)?sh|python[\d.]*)\b")  # also `#!/command/with-contenv bash`
_PAGES = (".md", ".markdown", ".mdx", ".MD")
_RESTORE = regex(r"(?:^|[/_.-])(?:restore|restoring|recovery|disaster)[^/]*\.(?:md|rst|txt|adoc)$", re.IGNORECASE)


@dataclass(slots=True, kw_only=True)
class Sorted:
    """The files of a tree by what their names say; each list in the order of the listing, without tests and the code of others."""

    every: frozenset[str]
    scripts: list[str] = field(default_factory=list)  # shell, by suffix
    programs: list[str] = field(default_factory=list)  # Python
    nameless: list[str] = field(default_factory=list)  # no suffix: the first line says what they are
    env_files: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    templates: list[str] = field(default_factory=list)
    signers: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    pytest: list[str] = field(default_factory=list)  # in the root only
    restore_notes: list[str] = field(default_factory=list)
    fstabs: list[str] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)  # Markdown


def sort(listing: Iterable[str]) -> Sorted:
    """Every file that may say something, by its kind."""
    found = Sorted(every=frozenset(listing))
    left_out: dict[str, bool] = {}
    for path in listing:
        folder, _, name = path.rpartition("/")
        if folder not in left_out:
            left_out[folder] = folder != "" and is_of_others(folder)
        if left_out[folder] or is_test_name(name):
            continue
        _sort_one(found, path, folder, name)
    return found


def _sort_one(found: Sorted, path: str, folder: str, name: str) -> None:
    if name.endswith(".py"):
        found.programs.append(path)
    elif _SHELL.search(name):
        found.scripts.append(path)
    elif "." not in name:
        found.nameless.append(path)
    if name in _PYTEST and not folder:
        found.pytest.append(path)
    if "env" in name and _ENV.fullmatch(name) and not _NO_ENV.search(name):
        found.env_files.append(path)
    if _MODULE.fullmatch(name):
        found.modules.append(path)
    if _UNIT.fullmatch(name):
        found.units.append(path)
    if (match := _TEMPLATE.fullmatch(name)) and match[1]:
        found.templates.append(path)
    if _SIGNERS.fullmatch(name):
        found.signers.append(path)
    if name == "fstab" or name.endswith(".fstab"):
        found.fstabs.append(path)
    if name.endswith(_PAGES):
        found.pages.append(path)
    if _RESTORE.search(path):
        found.restore_notes.append(path)


def is_of_others(folder: str) -> bool:
    """A folder of tests, or of the code of others."""
    return any(part in _CODE_OF_OTHERS or _TESTS.search(part) for part in folder.split("/"))


def is_test_name(name: str) -> bool:
    """`test_backup.py`, `backup.test.sh`, `conftest.py`."""
    lower = name.lower()
    return ("test" in lower or "e2e" in lower or "spec" in lower) and any(_TESTS.search(stem) for stem in name.split(".")[:-1] or [name])


def is_aside(path: str) -> bool:
    """Whether a file lies among examples, documents or what CI runs: it says little of the running system."""
    return any(part in _ASIDE for part in path.split("/")[:-1])


def is_called_script(path: str) -> bool:
    """By its suffix."""
    return path.endswith(".py") or _SHELL.search(path) is not None


def has_programs(found: Sorted) -> bool:
    """Whether anything in a tree looks like a script or a program by its name."""
    return bool(found.scripts or found.programs)


def scripts_in(tree: Files, found: Sorted) -> Iterator[str]:
    """The scripts and programs of a tree that a rule has something to say about; those that cannot be read are among them, but for
    what is too large to be one."""
    for path in (*found.scripts, *found.programs, *found.nameless):
        try:
            data = tree.read(path)
        except TooLarge:
            continue
        except CouldNotLook:
            if is_called_script(path):
                yield path
            continue
        if (is_called_script(path) or _SHEBANG.match(data)) and _is_judged(path, data):
            yield path


def _is_judged(path: str, data: bytes) -> bool:
    """It writes backups, compares numbers of rows, or lists the keys of tables."""
    from interlock.facts.backup_writers import writes_backups
    from interlock.facts.count_checks import count_checks
    from interlock.facts.key_registry import key_lists

    return writes_backups(path, data) or count_checks(path, data).compares or bool(key_lists(path, data).lists)
