"""Which steps of an upgrade does nothing ever run? Scripts that lie beside others that an entry script calls one by one, and functions beside others that
are called.

A step is named: a folder whose scripts nobody lists by name tells nothing of what is forgotten. `interlock.observe.migrations` brings the texts.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from interlock.facts.programs import Unreadable
from interlock.nouns import dataclass
from interlock.patterns import regex

_STEP = regex(r"(?:^|[-_.\d])(?:migrat(?:e|es|ion|ions)|upgrade|upgrades|update)(?:[-_.]|$)", re.IGNORECASE)
_STEP_FOLDER = regex(r"^(?:migrations?|upgrades?|updates?)(?:[-_.].*)?$", re.IGNORECASE)
_STEP_FUNCTION = regex(r"^(?:migrate|migration)_\w+$|^upgrade_\w*\d\w*$")
_FUNCTION = regex(r"^[ \t]*(?:function[ \t]+)?(?P<name>[A-Za-z_]\w*)[ \t]*\(\)|^[ \t]*function[ \t]+(?P<other>[A-Za-z_]\w*)", re.MULTILINE)
_COMMENT = regex(r"^[ \t]*#.*$|[ \t]#[ \t].*$", re.MULTILINE)
_WILD = regex(r"(?<![\w$])[\w./${}@:%+~\[\]\"*?-]*[*$][\w./${}@:%+~\[\]\"*?-]*")
_VARIABLE = regex(r"\$\{[^}]*\}|\$\w+|\*+|\?|\[[^]]*\]")
_FEWEST = 3  # steps that are run by name: fewer are no list
_SHARE = 0.6  # of the folder's scripts: where fewer are run by name, the others have other ways


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A file that may run steps: its path, and its text without comments."""

    path: str
    text: str

    @classmethod
    def of(cls, path: str, text: str) -> Caller:
        """The text as a shell or a maker reads it."""
        return cls(path=path, text=_COMMENT.sub("", text))


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgottenStep:
    """A step that nothing runs. `kind`: `script` or `function`; `name` is what would have to be named; `entry` runs `others` steps beside it by name."""

    kind: str
    path: str
    line: int
    name: str
    entry: str
    others: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The steps of a tree among its scripts, of which there are so many: those that nothing runs. `unread` are scripts beside steps that nobody could read."""

    scripts: int
    forgotten: tuple[ForgottenStep, ...]
    unread: tuple[Unreadable, ...] = ()


def forgotten_scripts(scripts: Sequence[str], callers: Sequence[Caller]) -> Iterator[ForgottenStep]:
    """The step scripts that no caller names, beside those that one does. `scripts` are the paths of all scripts."""
    for names, folder in _lists(scripts):
        yield from _forgotten(folder, names, callers)


def _lists(scripts: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The folders with enough scripts of one kind, a step among them: the names of the files, and the folder."""
    folders: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in scripts:
        folder, _, name = path.rpartition("/")
        if not name.startswith(("_", ".")):
            folders[folder, posixpath.splitext(name)[1]].append(name)
    for (folder, _), names in sorted(folders.items()):
        if folder and len(names) > _FEWEST and any(_is_step(folder, name) for name in names):
            yield tuple(names), folder


def _is_step(folder: str, name: str) -> bool:
    stem = posixpath.splitext(name)[0]
    return _STEP_FOLDER.match(posixpath.basename(folder)) is not None or (_STEP.search(stem) is not None and re.search(r"[-_]", stem) is not None)


def may_run_steps(path: str, scripts: Iterable[str]) -> bool:
    """Whether a file lies where one that runs steps would lie: beside them, or above."""
    here = posixpath.dirname(path)
    return any(here in (folder, posixpath.dirname(folder)) for _, folder in _lists(tuple(scripts)))


def _forgotten(folder: str, names: Sequence[str], callers: Sequence[Caller]) -> Iterator[ForgottenStep]:
    pattern = _any_of(names)
    named = {caller.path: {found.group() for found in pattern.finditer(caller.text)} - {posixpath.basename(caller.path)} for caller in callers}
    run = {name for found in named.values() for name in found}
    entry = max(named, key=lambda path: len(named[path]), default="")
    if len(named.get(entry, ())) < _FEWEST or len(run) < _SHARE * len(names):
        return
    left = [name for name in names if name not in run and _is_step(folder, name) and f"{folder}/{name}" != entry]
    for name in left:
        if not any(_may_run(caller, folder, name, names) for caller in callers if named[caller.path] or posixpath.dirname(caller.path) == folder):
            yield ForgottenStep(kind="script", path=f"{folder}/{name}", line=1, name=name, entry=entry, others=len(named[entry]))


def _any_of(names: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.-])(?:{'|'.join(re.escape(name) for name in sorted(names, key=len, reverse=True))})(?![\w-])")


def _may_run(caller: Caller, folder: str, name: str, names: Sequence[str]) -> bool:
    """Whether a file names a step without its suffix, or by a glob or a variable that may stand for it."""
    stem = posixpath.splitext(name)[0]
    if caller.path != f"{folder}/{name}" and re.search(rf"(?<![\w.-]){re.escape(stem)}(?![\w-])", caller.text):
        return True
    stems = [posixpath.splitext(one)[0] for one in names]
    listed = sum(1 for one in stems if re.search(rf"(?<![\w./-]){re.escape(one)}(?![\w-])", caller.text)) >= _FEWEST
    words = [found.group() for found in _WILD.finditer(caller.text)]
    lists = re.search(rf"\b(?:run-parts|find|ls)\b[^\n]*(?<![\w.-]){re.escape(posixpath.basename(folder))}(?![\w.-])", caller.text)
    return lists is not None or any(_fits(word, folder, name) for word in words if "*" in word or not listed)


def _fits(word: str, folder: str, name: str) -> bool:
    """Whether a word with a glob or a variable may become the path of a step. One of variables alone may become anything, and says nothing."""
    above, _, last = word.replace('"', "").rpartition("/")
    if not _VARIABLE.search(last) or not (_VARIABLE.sub("", last) or ("*" in last and above)):
        return False
    if not re.fullmatch("".join(".*" if part is None else re.escape(part) for part in _parts(last)), name):
        return False
    said = posixpath.basename(above)
    return not said or "$" in said or "*" in said or said in (".", "..") or said == posixpath.basename(folder)


def _parts(text: str) -> Iterator[str | None]:
    """The literal parts of a word, None for what may be anything."""
    at = 0
    for found in _VARIABLE.finditer(text):
        yield text[at : found.start()]
        yield None
        at = found.end()
    yield text[at:]


# ---- functions


def forgotten_functions(scripts: Mapping[str, str], callers: Sequence[Caller]) -> Iterator[ForgottenStep]:
    """The step functions of a script that nothing calls, beside those that are called. `scripts` maps paths to texts."""
    for path, text in scripts.items():
        steps = {(found["name"] or found["other"]): text.count("\n", 0, found.start("name") if found["name"] else found.start("other")) + 1
                 for found in _FUNCTION.finditer(text)}  # fmt: skip
        steps = {name: line for name, line in steps.items() if _STEP_FUNCTION.match(name)}
        if len(steps) <= _FEWEST:
            continue
        pattern = _any_of(steps)
        called: dict[str, set[str]] = {}
        for caller in callers:
            said = _FUNCTION.sub("", caller.text)
            called[caller.path] = {found.group() for found in pattern.finditer(said)}
        run = {name for names in called.values() for name in names}
        entry = max(called, key=lambda one: len(called[one]), default="")
        if len(called.get(entry, ())) < _FEWEST or len(run) < _SHARE * len(steps):
            continue
        for name in (name for name in steps if name not in run):
            if not any(_built(caller.text, name) for caller in callers):
                yield ForgottenStep(kind="function", path=path, line=steps[name], name=name, entry=entry, others=len(called[entry]))


def _built(text: str, name: str) -> bool:
    """Whether a text puts names together that may be this one: `migrate_${version}`."""
    for found in _WILD.finditer(text):
        word = found.group().replace('"', "")
        if word.startswith(("migrate_", "upgrade_", "migration_")) and re.fullmatch(
            "".join(".*" if part is None else re.escape(part) for part in _parts(word)), name
        ):
            return True
    return False
