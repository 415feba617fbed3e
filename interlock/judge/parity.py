"""Is the copy the original? Everything with a name, and the exact number of rows; `interlock.observe.parity` looks at both sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from interlock.config.models import Site
from interlock.facts.catalogue import MAINTAIN, MAINTAIN_SINCE, PLAIN_COLUMNS_SINCE, Kind, Object, last_names
from interlock.facts.count_checks import CountChecks
from interlock.facts.key_registry import KeyLists
from interlock.facts.parity import DatabaseCopy, TableRows
from interlock.verdicts import Broken, Detail, Guardrail, Held, HeldRun, Outcome, Severity, Streamed, Subject, Tally, Unproven, When

LONGEST_SHOWN = 80  # characters of a trait that a message quotes
HIDDEN = frozenset({"value", "settings"})  # may be secrets; observed as digests
VALID, INVALID = "valid", "invalid"


LIVE = frozenset({When.PREFLIGHT})
FROM_FILES = frozenset({When.STATIC})


def copies(site: Site) -> Sequence[Subject]:
    """Every copy, asked by the actions that move it; one that no action moves is asked by all, or nobody would ever look at it."""
    return [Subject(name=name, when=LIVE, actions=_movers(site, name)) for name in site.parity]


def copies_and_scripts(site: Site) -> Sequence[Subject]:
    """The copies, and from files alone every script or program: it may compare row counts itself, or keep a list of keys."""
    return [*copies(site), *(Subject(name=path, when=FROM_FILES) for path in (site.scripts.files if site.scripts else ()))]


def _movers(site: Site, copy: str) -> frozenset[str] | None:
    return frozenset(name for name, action in site.actions.items() if copy in (action.moves or ())) or None


def _itself(copy: DatabaseCopy) -> Broken:
    return Broken(
        f"{copy.target.name} is the same database as {copy.source.name}, or its replica: it always equals itself",
        kind="itself",
        remedy="let the DSN of the target name the database that is copied to",
    )


# ---- everything with a name


def judge_inventory(compared: DatabaseCopy | KeyLists) -> Held | Broken | Unproven | Streamed:
    """Held when a copy has everything with a name, or when a program that copies tables by a list of their keys forgets none."""
    return judge_key_lists(compared) if isinstance(compared, KeyLists) else judge_catalogues(compared)


def judge_key_lists(program: KeyLists) -> Held | Broken | Unproven:
    """Held when every list of tables and their keys names each table whose key is not the default one."""
    if program.unread:
        return Unproven(f"{program.path} cannot be read: {program.unread}", remedy="mend the file, or leave it out of `scripts:`")
    details = tuple(
        Detail(
            what=f"{one.name}: {table.name}",
            outcome=Outcome.BROKEN,
            kind="forgotten-table",
            message=f"{program.path}:{one.line}: {one.name} does not name {table.name}, whose key is {', '.join(table.key)} ({table.file}:{table.line})",
            file=program.path,
            line=one.line,
        )
        for one in program.of_keys()
        for table in program.forgotten(one)
    )
    if details:
        return Broken(details[0].message, remedy="add the table and its key to the list", details=details)
    lists = ", ".join(one.name for one in program.of_keys())
    return Held(f"{program.path}: {lists} names every table with a key of its own" if lists else f"{program.path} keeps no list of tables and their keys")


def judge_catalogues(copy: DatabaseCopy) -> Broken | Unproven | Streamed:
    """Held when both sides have the same things with the same traits, and every index of the target is valid."""
    if copy.itself:
        return _itself(copy)
    unread = [side.catalogue for side in (copy.source, copy.target) if side.catalogue.refused]
    if unread:
        return Unproven("; ".join(one.refused for one in unread), remedy="; ".join(dict.fromkeys(one.remedy for one in unread)))
    return Streamed(
        _inventory(copy),
        says=lambda tally: _says(copy, tally, "things with a name", "the same"),
        remedy=f"make in {copy.target.name} what is missing or differs there, or copy again",
    )


# What others belong to, outer ones first. They share one space of names inside a schema; functions have another.
_PARENTS: Mapping[str, int] = {Kind.SCHEMA: 0, Kind.TABLE: 1, Kind.VIEW: 1, Kind.MATERIALIZED_VIEW: 1, Kind.TYPE: 1}


def _inventory(copy: DatabaseCopy) -> Iterator[Detail | HeldRun]:
    source, target = copy.source.catalogue.by_key(), copy.target.catalogue.by_key()
    yield from _missing_schemas(copy)
    same: list[str] = []
    gone: set[tuple[str, ...]] = set()
    for key in sorted(source.keys() | target.keys(), key=lambda one: (_PARENTS.get(one[0], len(_PARENTS)), one)):
        here, there = source.get(key), target.get(key)
        found = here or there
        assert found is not None
        if all(one is None or one.aside for one in (here, there)):
            continue
        if reason := _left_out(copy, found):
            if found.kind is Kind.TABLE:
                yield Detail(what=found.name, outcome=Outcome.HELD, message=f"left out: {reason}")
        elif found.parent in gone or here is None or there is None:
            gone |= {found.path} if found.kind in _PARENTS else set()
            if found.parent not in gone:  # else it was said of its parent
                yield _on_one_side(copy, here, there)
        else:
            differences = list(_differences(copy, here, there))
            yield from differences
            same += [] if any(detail.outcome is Outcome.BROKEN for detail in differences) else [found.name]
    if same:
        yield HeldRun(prefix="", names=same, message="the same")


def _left_out(copy: DatabaseCopy, found: Object) -> str:
    """Why a table and what belongs to it is not compared; empty when it is."""
    path = found.path if found.kind is Kind.TABLE else found.parent
    return copy.reason_to_ignore(path) if len(path) == 2 else ""


def _missing_schemas(copy: DatabaseCopy) -> Iterator[Detail]:
    """Schemas that the site names and neither side has: whoever wrote them meant something else."""
    there = {found.path for side in (copy.source, copy.target) for found in side.catalogue.objects if found.kind is Kind.SCHEMA}
    for name in copy.schemas or ():
        if (name,) not in there:
            message = f"neither {copy.source.name} nor {copy.target.name} has a schema {name}: correct `schemas:`"
            yield Detail(what=f"schema {name}", outcome=Outcome.UNPROVEN, kind="no-schema", message=message)


def _on_one_side(copy: DatabaseCopy, here: Object | None, there: Object | None) -> Detail:
    if here is None:
        assert there is not None
        return Detail(what=there.name, outcome=Outcome.BROKEN, kind="extra", message=f"{there.name} is in {copy.target.name} alone")
    if here.kind is Kind.INDEX and dict(here.traits).get("index") == INVALID:
        return Detail(what=here.name, outcome=Outcome.HELD, message=f"{here.name} is invalid in {copy.source.name}, and no dump holds such an index")
    return Detail(what=here.name, outcome=Outcome.BROKEN, kind="missing", message=f"{here.name} is not in {copy.target.name}")


def _differences(copy: DatabaseCopy, here: Object, there: Object) -> Iterator[Detail]:
    """What is not the same of one thing; a version of an extension is only said."""
    mine, others = dict(here.traits), dict(there.traits)
    for trait in sorted(mine.keys() | others.keys()):
        before, after = mine.get(trait, ""), others.get(trait, "")
        if trait == "index":
            yield from _unusable_index(copy, here, before, after)
        elif before != after and (here.kind, trait) == (Kind.EXTENSION, "version"):
            message = f"{here.name} is {before} in {copy.source.name} and {after} in {copy.target.name}"
            yield Detail(what=f"{here.name}, version", outcome=Outcome.HELD, message=message)
        elif before != after and not _printed_apart(copy, trait, before, after):
            yield Detail(what=here.name, outcome=Outcome.BROKEN, kind=trait.replace(" ", "-"), message=_differs(copy, here.name, trait, before, after))
    yield from _grants(copy, here, there)


def _printed_apart(copy: DatabaseCopy, trait: str, before: str, after: str) -> bool:
    """Is it one definition that two majors print differently?"""
    majors = sorted(side.catalogue.server.major for side in (copy.source, copy.target))
    return trait == "definition" and majors[0] < PLAIN_COLUMNS_SINCE <= majors[1] and last_names(before) == last_names(after)


def _unusable_index(copy: DatabaseCopy, found: Object, before: str, after: str) -> Iterator[Detail]:
    if after == INVALID or (before == VALID and after != VALID):
        message = f"the index of {found.name} is {after} in {copy.target.name}: drop it there, and create it again"
        yield Detail(what=found.name, outcome=Outcome.BROKEN, kind="invalid", message=message)


def _differs(copy: DatabaseCopy, name: str, trait: str, before: str, after: str) -> str:
    if trait in HIDDEN or max(len(before), len(after)) > LONGEST_SHOWN or "\n" in before + after:
        return f"{name}: its {trait} differs between {copy.source.name} and {copy.target.name}"
    return f"{name}: its {trait} is {before or 'not there'} in {copy.source.name} and {after or 'not there'} in {copy.target.name}"


def _grants(copy: DatabaseCopy, here: Object, there: Object) -> Iterator[Detail]:
    """Who may do what. A privilege that one of the servers does not know yet is nothing that it could have kept."""
    oldest = min(copy.source.catalogue.server.major, copy.target.catalogue.server.major)
    unknown = {MAINTAIN, f"{MAINTAIN} with grant option"} if oldest < MAINTAIN_SINCE else set()
    mine, others = dict(here.grants), dict(there.grants)
    for role in sorted(mine.keys() | others.keys()):
        before, after = (sorted(side.get(role, frozenset()) - unknown) for side in (mine, others))
        if before != after:
            message = _differs(copy, f"{here.name}, {role}", "grant", ", ".join(before), ", ".join(after))
            yield Detail(what=f"{here.name}, {role}", outcome=Outcome.BROKEN, kind="grants", message=message)


# ---- rows


def judge_rows(counted: DatabaseCopy | CountChecks) -> Held | Broken | Unproven | Streamed:
    """Held when the tables of a copy have as many rows, or when a program that compares such counts takes no missing table for an empty one."""
    return judge_program(counted) if isinstance(counted, CountChecks) else judge_counts(counted)


def judge_program(program: CountChecks) -> Held | Broken | Unproven:
    """Held when no count that could not be had becomes 0 before it is compared."""
    if program.unread:
        return Unproven(f"{program.path}:{program.unread_line} cannot be read: {program.unread}", remedy="mend the file, or leave it out of `scripts:`")
    details = tuple(
        Detail(
            what=f"{zero.scope or 'the script'}: {zero.name}",
            outcome=Outcome.BROKEN,
            kind="zero-for-missing",
            message=f"{program.path}:{zero.line}: {zero.name} becomes 0 when it cannot be counted, and is compared: a missing table equals an empty one",
            file=program.path,
            line=zero.line,
        )
        for zero in program.zeros
    )
    if details:
        return Broken(details[0].message, remedy="let the comparison fail, and name the table that could not be counted", details=details)
    return Held(
        f"{program.path} compares row counts, and takes no missing table for an empty one" if program.compares else f"{program.path} compares no row counts"
    )


def judge_counts(copy: DatabaseCopy) -> Broken | Unproven | Streamed:
    """Held when every table of the source has as many rows in the target. A table that only the target has is a matter of the inventory."""
    if copy.itself:
        return _itself(copy)
    counted = [table for table in copy.source.tables if not table.left_out and (table.rows or len(table.path) > 1)]
    if not counted:
        return Unproven(f"{copy.source.name} has no table to compare: nothing is proven", remedy="correct the DSN, `schemas:` or `ignore:`")
    return Streamed(
        _rows(copy),
        says=lambda tally: _says(copy, tally, "tables", "row for row as many"),
        remedy=f"copy what is missing to {copy.target.name} again, into an empty table; let the tables that were not counted be read",
    )


def _rows(copy: DatabaseCopy) -> Iterator[Detail]:
    there = {table.path: table for table in copy.target.tables}
    for table in copy.source.tables:
        yield _table(copy, table, there.get(table.path))


def _table(copy: DatabaseCopy, here: TableRows, there: TableRows | None) -> Detail:
    source, target = copy.source.name, copy.target.name
    if here.left_out:
        return Detail(what=here.name, outcome=Outcome.HELD, message=f"{here.name} is left out: {here.left_out}")
    if there is None:
        message = f"{here.name} is not in {target}" + (f", and has {_count(here.rows)} in {source}" if here.rows is not None else "")
        return Detail(what=here.name, outcome=Outcome.BROKEN, kind="missing-table", message=message, value=here.rows)
    if here.rows is None or there.rows is None:
        return _not_counted(copy, here, there)
    if here.rows == there.rows:
        return Detail(what=here.name, outcome=Outcome.HELD, message=_count(here.rows))
    kind, off = ("fewer-rows", "missing") if there.rows < here.rows else ("more-rows", "too many")
    difference = abs(here.rows - there.rows)
    message = f"{here.name} has {_count(here.rows)} in {source} and {_count(there.rows)} in {target}: {difference:,} {off}"
    return Detail(what=here.name, outcome=Outcome.BROKEN, kind=kind, message=message, value=difference)


def _not_counted(copy: DatabaseCopy, here: TableRows, there: TableRows) -> Detail:
    name, refused = (copy.source.name, here) if here.rows is None else (copy.target.name, there)
    if refused.left_out:  # a table of ours that the target keeps as something else
        message = f"{here.name} was not counted in {name}: it is there {refused.left_out}"
        return Detail(what=here.name, outcome=Outcome.UNPROVEN, kind="not-counted", message=message)
    message = f"{here.name} was not counted in {name}: {refused.refused} ({refused.remedy})"
    return Detail(what=here.name, outcome=Outcome.UNPROVEN, kind=refused.kind, message=message)


def _count(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def _says(copy: DatabaseCopy, tally: Tally, what: str, held: str) -> str:
    between = f"{copy.source.name} and {copy.target.name}"
    if tally.broken:
        first = tally.broken_seen[0].message
        return f"{tally.broken} of {tally.total} {what} differ between {between}: {first}" + (" ..." if tally.broken > 1 else "")
    if tally.unproven:
        return f"{tally.unproven} of {tally.total} {what} could not be compared between {between}: {tally.unproven_seen[0].message}"
    return f"{tally.held} {what} of {between} are {held}"


# ---- the guardrails


INVENTORY = Guardrail(
    id="parity.inventory",
    title="the copy has everything with a name that the original has, the same and nothing more",
    severity=Severity.CRITICAL,
    when=frozenset({When.STATIC, When.PREFLIGHT}),
    rationale="A restore that skipped an index, a sequence or a grant ends without an error; it shows when the users are on the new server.",
    remedy="make on the target what is missing or differs there, or copy again; in a program, add the table to its list of keys",
    subjects=copies_and_scripts,
    judge=judge_inventory,
)

ROWS = Guardrail(
    id="parity.rows",
    title="every table of the original has as many rows in the copy",
    severity=Severity.CRITICAL,
    when=frozenset({When.STATIC, When.PREFLIGHT}),
    rationale="A copy that stopped half-way, skipped a table or could not see all rows looks whole until somebody misses something.",
    remedy="copy what is missing again, into an empty table; in a program, let a count that cannot be had fail",
    subjects=copies_and_scripts,
    judge=judge_rows,
)
