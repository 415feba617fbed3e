"""Which migrations of a database are there, and which comes after which? Read from the files, never imported: Alembic's revisions and Django's migrations
by Python's own parser, the numbered files of other tools by their names.

A `History` is what one tool applies in one order: the revisions of an Alembic folder, the migrations of a Django app.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

from interlock.facts.pythoncode import Module, NotPython, parse
from interlock.nouns import dataclass
from interlock.patterns import regex

ALEMBIC = regex(rb"^down_revision\b", re.MULTILINE)
DJANGO = regex(rb"^class Migration\(", re.MULTILINE)


class Tool(StrEnum):
    """Who applies the migrations."""

    ALEMBIC = "Alembic"
    DJANGO = "Django"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One migration. `after` are those that it follows; `also_after` those of other branches that it waits for. `labels` name its branch.

    `replaces` are those that a squashed one stands for. `sure` is False when its parents are computed, and only partly known.
    """

    id: str
    path: str
    line: int
    after: tuple[str, ...] = ()
    also_after: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    sure: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A file that should be a migration and could not be read: where, and why."""

    path: str
    line: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The migrations of one folder (or of several that follow each other), sorted by path; `folder` is the first one's."""

    tool: Tool
    folder: str
    revisions: tuple[Revision, ...]
    unread: tuple[Unread, ...] = ()

    @property
    def heads(self) -> tuple[Revision, ...]:
        """Those that no other one follows."""
        stands_for = {old: one.id for one in self.revisions for old in one.replaces}
        followed = {_final(parent, stands_for) for one in self.revisions for parent in one.after if _final(parent, stands_for) != _final(one.id, stands_for)}
        return tuple(one for one in self.revisions if one.id not in followed and one.id not in stands_for)

    def branches(self) -> tuple[tuple[Revision, ...], ...]:
        """The heads of each branch: those with the same labels below them are heads of the same one."""
        by_labels: dict[frozenset[str], list[Revision]] = defaultdict(list)
        known = {one.id: one for one in self.revisions}
        for head in self.heads:
            by_labels[_labels_below(head, known)].append(head)
        return tuple(tuple(heads) for heads in by_labels.values())

    def orphans(self) -> Iterator[tuple[Revision, str]]:
        """Each revision with a parent that is nowhere, and that parent. An app of Django whose first migration is elsewhere has the others there too."""
        if self.tool is Tool.DJANGO and all(one.after for one in self.revisions):
            return
        known = {one.id for one in self.revisions} | {old for one in self.revisions for old in one.replaces}
        for one in self.revisions:
            for parent in one.after:
                if parent not in known:
                    yield one, parent

    def doubles(self) -> Iterator[tuple[Revision, Revision]]:
        """Each revision whose id an earlier file has already, after that one."""
        first: dict[str, Revision] = {}
        for one in self.revisions:
            if one.id in first:
                yield first[one.id], one
            first.setdefault(one.id, one)


def _final(name: str, stands_for: Mapping[str, str]) -> str:
    """The squashed migration that stands for one, or the name itself."""
    for _ in range(len(stands_for) + 1):
        if name not in stands_for:
            break
        name = stands_for[name]
    return name


def _labels_below(head: Revision, known: Mapping[str, Revision]) -> frozenset[str]:
    """The branch labels of a revision and of all that it follows."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [head]
    while waiting:
        one = waiting.pop()
        if one.id in seen:
            continue
        seen.add(one.id)
        found.update(one.labels)
        waiting += [known[parent] for parent in one.after if parent in known]
    return frozenset(found)


# ---- Alembic


def alembic_revision(path: str, data: bytes) -> Revision | Unread | None:
    """The revision of a file of a versions folder; None for a file that declares none (a helper, a template)."""
    if not ALEMBIC.search(data):
        return None
    code = _read_head(data)
    if isinstance(code, NotPython):
        return Unread(path=path, line=code.line, why=code.why)
    said = _assigned(code)
    at = said.get("revision")
    if at is None:
        return None
    name = _texts(at, said)
    if name is None or len(name) != 1:
        return Unread(path=path, line=at.lineno, why="its revision id is computed")
    parents, waits, labels = (_texts(said[key], said) if key in said else () for key in ("down_revision", "depends_on", "branch_labels"))
    if parents is None:
        return Unread(path=path, line=said["down_revision"].lineno, why="its down_revision is computed")
    return Revision(
        id=name[0], path=path, line=at.lineno, after=parents, also_after=waits or (), labels=labels if labels is not None else (f"computed in {path}",)
    )


def _read_head(data: bytes) -> Module | NotPython:
    """The module up to its first function, where that has all that is asked for: what a migration does is longer than what it says of itself."""
    head, cut, _ = data.partition(b"\ndef ")
    code = parse(head) if cut and len(ALEMBIC.findall(head)) == len(ALEMBIC.findall(data)) else NotPython(line=1, why="")
    return parse(data) if isinstance(code, NotPython) or "revision" not in _assigned(code) else code


def _assigned(code: Module) -> dict[str, ast.expr]:
    """What the names of a module are assigned at its top level, annotated or not."""
    found: dict[str, ast.expr] = {}
    for statement in code.body:
        match statement:
            case ast.Assign(targets=targets, value=value):
                found.update({target.id: value for target in targets if isinstance(target, ast.Name)})
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                found[name] = value
    return found


def _texts(value: ast.expr, said: Mapping[str, ast.expr], depth: int = 0) -> tuple[str, ...] | None:
    """The texts of a literal: one, several in a tuple, list or set, none for None. None when they are computed."""
    match value:
        case ast.Constant(value=None):
            return ()
        case ast.Constant(value=str() as text):
            return (text,)
        case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
            found = [_texts(element, said, depth) for element in elements]
            return None if any(one is None for one in found) else tuple(text for one in found if one for text in one)
        case ast.Name(id=name) if name in said and depth < 3:
            return _texts(said[name], said, depth + 1)
        case _:
            return None


def alembic_histories(files: Iterable[tuple[str, bytes]]) -> tuple[History, ...]:
    """The histories of files of versions folders, as (path, content). Folders that follow each other are one history."""
    revisions: dict[str, list[Revision]] = defaultdict(list)
    unread: dict[str, list[Unread]] = defaultdict(list)
    for path, data in sorted(files):
        match alembic_revision(path, data):
            case Revision() as found:
                revisions[posixpath.dirname(path)].append(found)
            case Unread() as not_read:
                unread[posixpath.dirname(path)].append(not_read)
    return tuple(
        History(
            tool=Tool.ALEMBIC,
            folder=folders[0],
            revisions=tuple(one for folder in folders for one in revisions[folder]),
            unread=tuple(one for folder in folders for one in unread[folder]),
        )
        for folders in _that_follow(revisions, {*revisions, *unread})
    )


def _that_follow(revisions: Mapping[str, Sequence[Revision]], folders: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """The folders in groups: two belong together when one has a parent that only the other knows."""
    group = {folder: folder for folder in folders}
    homes = {one.id: folder for folder, found in revisions.items() for one in found}
    for folder, found in revisions.items():
        own = {one.id for one in found}
        for parent in (parent for one in found for parent in one.after if parent not in own and parent in homes):
            old, new = group[folder], group[homes[parent]]
            group.update({name: new for name, leader in group.items() if leader == old})
    together: dict[str, list[str]] = defaultdict(list)
    for folder in sorted(group):
        together[group[folder]].append(folder)
    yield from (tuple(names) for names in together.values())


# ---- Django


def django_history(folder: str, files: Iterable[tuple[str, bytes]]) -> History:
    """The history of the `migrations` folder of an app."""
    every = sorted(files)
    stems = {posixpath.basename(path).removesuffix(".py") for path, _ in every}
    read: list[_DjangoMigration] = []
    unread: list[Unread] = []
    for path, data in every:
        if not DJANGO.search(data):
            continue
        code = parse(data)
        if isinstance(code, NotPython):
            unread.append(Unread(path=path, line=code.line, why=code.why))
        elif found := _django_migration(path, code):
            read.append(found)
    own = _own_label(folder, read, stems)
    revisions = tuple(
        Revision(
            id=one.name,
            path=one.path,
            line=one.line,
            after=tuple(name for label, name in one.dependencies if label == own and not name.startswith("__")),
            replaces=tuple(name for label, name in one.replaces if label == own),
            sure=one.sure,
        )
        for one in read
    )
    return History(tool=Tool.DJANGO, folder=folder, revisions=revisions, unread=tuple(unread))


@dataclass(frozen=True, slots=True, kw_only=True)
class _DjangoMigration:
    """A migration as it is written. Dependencies are (app, name); `sure` is False when some could not be read."""

    name: str
    path: str
    line: int
    dependencies: tuple[tuple[str, str], ...]
    replaces: tuple[tuple[str, str], ...]
    sure: bool


def _django_migration(path: str, code: Module) -> _DjangoMigration | None:
    found = next((one for one in code.body if isinstance(one, ast.ClassDef) and one.name == "Migration"), None)
    if found is None:
        return None
    said = _assigned(Module(body=tuple(found.body), functions={}, names={}, calls={}))
    dependencies, sure = _pairs(said.get("dependencies"))
    replaces, _ = _pairs(said.get("replaces"))
    name = posixpath.basename(path).removesuffix(".py")
    return _DjangoMigration(name=name, path=path, line=found.lineno, dependencies=dependencies, replaces=replaces, sure=sure)


def _pairs(value: ast.expr | None) -> tuple[tuple[tuple[str, str], ...], bool]:
    """The (app, name) pairs of a list, and whether nothing else could be one of this app's: `swappable_dependency` names another app."""
    if value is None:
        return (), True
    if not isinstance(value, ast.List | ast.Tuple):
        return (), False
    found: list[tuple[str, str]] = []
    sure = True
    for element in value.elts:
        match element:
            case ast.Tuple(elts=[ast.Constant(value=str() as label), ast.Constant(value=str() as name)]):
                found.append((label, name))
            case ast.Call(func=ast.Attribute(attr="swappable_dependency")):
                continue
            case _:
                sure = False
    return tuple(found), sure


def _own_label(folder: str, read: Sequence[_DjangoMigration], stems: set[str]) -> str:
    """The label of the app: its folder's name where its migrations say it, else what they say most often of each other."""
    labels = Counter(label for one in read for label, name in one.dependencies if name in stems)
    name = posixpath.basename(posixpath.dirname(folder))
    return name if name in labels or not labels else labels.most_common(1)[0][0]


# ---- the length of an id

LONGEST_ID = 32  # characters; Alembic creates alembic_version.version_num as VARCHAR(32)
_WIDER = regex(
    rb"version_num\b.{0,160}?(?:\b(?:VAR)?CHAR(?:ACTER VARYING)?\s*\(\s*(?P<sql>\d+)|\bString\s*\(\s*(?:length\s*=\s*)?(?P<python>\d+)|\bTEXT\b|\bText\b)",
    re.DOTALL | re.IGNORECASE,
)
_OWN_TABLE = regex(rb"\bversion_table_impl\b")


def widens_version_table(data: bytes) -> bool:
    """Whether a file makes the column wider in which Alembic keeps the revision."""
    widths = ((found["sql"] or found["python"]) for found in _WIDER.finditer(data))
    return _OWN_TABLE.search(data) is not None or any(width is None or int(width) > LONGEST_ID for width in widths)


# ---- numbered files


@dataclass(frozen=True, slots=True, kw_only=True)
class SameNumber:
    """Two files of one folder that claim the same version, of which the tool refuses the second."""

    tool: str
    version: str
    first: str
    second: str


_NUMBERED = (
    ("Flyway", regex(r"V(?P<version>\d+(?:[._]\d+)*)__[^/]+\.(?:sql|java|kt)")),
    ("golang-migrate", regex(r"(?P<version>\d+)_[^/]+\.up\.sql")),
    ("Rails", regex(r"(?P<version>\d{14})_[a-z0-9_]+\.rb")),
)
_HAS_NUMBER = regex(r"(?:^|/)(?:V?\d+)[\d._]*_[^/]+\.(?:sql|java|kt|rb)$")


def same_numbers(listing: Iterable[str]) -> Iterator[SameNumber]:
    """Files of one folder with the same version."""
    first: dict[tuple[str, str, str], str] = {}
    for path in listing:
        if not _HAS_NUMBER.search(path):
            continue
        folder, _, name = path.rpartition("/")
        for tool, pattern in _NUMBERED:
            if found := pattern.fullmatch(name):
                version = ".".join(str(int(part)) for part in re.split(r"[._]", found["version"]))
                key = (folder, tool, version)
                if key in first:
                    yield SameNumber(tool=tool, version=version, first=first[key], second=path)
                first.setdefault(key, path)


# ---- a tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Histories:
    """All histories of a tree. `all_heads`: it upgrades to all heads of Alembic at once, so that several are no fault."""

    histories: tuple[History, ...]
    numbered: tuple[SameNumber, ...] = ()
    all_heads: bool = False
    widened: tuple[str, ...] = ()  # the folders of Alembic whose version table takes longer ids
