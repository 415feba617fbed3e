"""What is in a database and in its copy? Both are looked at at the same time, each in one snapshot, once for all rules of the family.

Rows are counted table by table, `only` the table itself: a partition is a table of its own, and the parents of partitions and of heirs count nothing twice.
Hash partitions are counted together: a restore may spread rows over them differently, since an enum hashes by its number in the server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from interlock.config.models import Copy, Site
from interlock.errors import CouldNotLook, TooLarge
from interlock.facts.catalogue import Catalogue, Server, dotted
from interlock.facts.count_checks import CountChecks, count_checks
from interlock.facts.key_registry import KeyLists, MappedTable, key_lists, mapped_tables
from interlock.facts.parity import DatabaseCopy, Ignored, Side, TableRows, ignored_because
from interlock.nouns import dataclass
from interlock.observe.catalogue import OLDEST, PINS, read_catalogue, read_server
from interlock.observe.postgres import CANCELED, DENIED, LOCKED, Access, Session, StatementRefused, reading
from interlock.observe.programs import sorted_files
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject, When

BATCH = 50  # small tables counted by one statement
SMALL_PAGES = 1024  # 8 MiB: what is larger has a statement, and its time limit, for itself
PATIENCE = 5  # tables that were locked or took too long, before the others are not asked any more
LARGE_OBJECTS = ("large objects",)

# One row for each thing that may hold rows. Hash partitions name the table that they are counted as, the topmost one that is split by hash.
TABLES = """
select c.oid::bigint, s.nspname, c.relname, c.relkind, c.relpersistence, c.relpages, e.extname, r.rolname,
    has_schema_privilege(s.oid, 'usage') and (has_table_privilege(c.oid, 'select') or has_any_column_privilege(c.oid, 'select')), row_security_active(c.oid),
    (select array[hs.nspname, h.relname]::text[] from pg_partition_ancestors(c.oid) with ordinality a (relid, n)
        join pg_partitioned_table p on p.partrelid = a.relid join pg_class h on h.oid = a.relid join pg_namespace hs on hs.oid = h.relnamespace
        where p.partstrat = 'h' order by a.n desc limit 1)
from pg_class c join pg_namespace s on s.oid = c.relnamespace cross join pg_roles r
    left join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e' left join pg_extension e on e.oid = d.refobjid
where c.relkind in ('r', 'f') and r.rolname = current_user
    and case when %(schemas)s::text[] is null then s.nspname !~ '^pg_' and s.nspname <> 'information_schema' else s.nspname = any (%(schemas)s::text[]) end
order by 2, 3
"""


def database_copy(world: World, subject: Subject) -> DatabaseCopy:
    """Both sides of a copy. Raises `CouldNotLook` when one of them cannot be looked at, and says which."""
    return world.once(("parity", subject.name), lambda: _look(world, subject.name))


def inventory(world: World, subject: Subject) -> DatabaseCopy | KeyLists:
    """Both sides of a copy, or from files alone the lists of keys of a program, beside the tables of the tree. Raises `CouldNotLook`."""
    if not _from_files(subject):
        return database_copy(world, subject)
    found = key_lists(subject.name, world.tree.read(subject.name))
    return replace(found, tables=world.once("mapped tables", lambda: _mapped(world))) if found.lists else found


def _mapped(world: World) -> tuple[MappedTable, ...]:
    """The tables that the models of the tree declare, tests left out. Raises `CouldNotLook` when a model cannot be read: its tables are unknown then."""
    tables: list[MappedTable] = []
    for path in sorted_files(world).programs:
        try:
            found = mapped_tables(path, world.tree.read(path))
        except TooLarge:
            continue
        if isinstance(found, str):
            raise CouldNotLook(found, where=path, remedy="mend the file: whether a list names its tables cannot be known")
        tables += found
    return tuple(tables)


def counted(world: World, subject: Subject) -> DatabaseCopy | CountChecks:
    """Both sides of a copy, or from files alone what a script or program does with row counts. Raises `CouldNotLook`."""
    if _from_files(subject):
        return count_checks(subject.name, world.tree.read(subject.name))
    return database_copy(world, subject)


def _from_files(subject: Subject) -> bool:
    """Is it a script or program, and not a copy?"""
    return subject.when is not None and When.STATIC in subject.when


def _look(world: World, name: str) -> DatabaseCopy:
    copy = world.site.parity[name]
    ignored = tuple(Ignored(pattern=one.table, reason=one.reason) for one in copy.ignore)
    with ThreadPoolExecutor(2) as pool:
        sides = [pool.submit(_side, world.site, world.environ, name, side, ignored) for side in (copy.source, copy.target)]
        source, target = _both(sides)
    return DatabaseCopy(name=name, source=source, target=target, ignored=ignored, schemas=copy.schemas)


def _both(sides: Sequence[Future[Side]]) -> tuple[Side, Side]:
    """What both came to. When neither could be looked at, both are named."""
    failed = [error for error in (side.exception() for side in sides) if error is not None]
    for error in failed:
        if not isinstance(error, CouldNotLook):
            raise error
    if len(failed) == 2:
        first, second = (error for error in failed if isinstance(error, CouldNotLook))
        raise CouldNotLook(f"{first.sentence}; {second.sentence}", remedy="; ".join(dict.fromkeys((first.remedy, second.remedy))))
    source, target = (side.result() for side in sides)
    return source, target


def _side(site: Site, environ: Mapping[str, str], name: str, database: str, ignored: tuple[Ignored, ...]) -> Side:
    """One database, whole. Raises `CouldNotLook`."""
    declared, copy = site.databases[database], site.parity[name]
    access = Access.of(environ, declared.dsn_env, timeout=declared.timeout, where=f"database {database}")
    with reading(access) as session:
        session.pin(PINS)
        server = read_server(session)
        if server.version < OLDEST:
            raise CouldNotLook(f"PostgreSQL {server.major} is older than what is understood here", where=access.where, remedy="compare with tools of its time")
        catalogue = _catalogue(session, server, copy)
        return Side(name=database, catalogue=catalogue, tables=tuple(_tables(session, copy.schemas, ignored)))


def _catalogue(session: Session, server: Server, copy: Copy) -> Catalogue:
    """Everything with a name, or why it cannot be read: a table that somebody alters keeps nobody from counting the others."""
    try:
        with session.part():
            return read_catalogue(session, server, copy.schemas, grants=copy.grants)
    except StatementRefused as error:
        return Catalogue(server=server, refused=error.sentence, remedy=error.remedy)


# ---- rows


class _Counter:
    """Counts tables in one session, many small ones at once; one that cannot be counted is named, and does not keep the others from it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.slow = 0

    def count(self, tables: Mapping[int, tuple[str, ...]]) -> dict[int, int | StatementRefused]:
        """The exact counts by the numbers of the tables, or why there is none. Raises `CouldNotLook` when the connection is lost."""
        if not tables:
            return {}
        if self.slow >= PATIENCE:
            left = StatementRefused("not counted: too many tables before it were locked or took too long", sqlstate=CANCELED, remedy="see the tables before it")
            return dict.fromkeys(tables, left)
        try:
            with self.session.part():
                return dict(self.session.rows(_statement(tables)))
        except StatementRefused as error:
            if len(tables) > 1:
                return {number: found for number, path in tables.items() for found in self.count({number: path}).values()}
            self.slow += error.sqlstate in (CANCELED, LOCKED)
            return dict.fromkeys(tables, error)


def _statement(tables: Mapping[int, tuple[str, ...]]) -> Any:
    """`select 16411, count(*) from only "public"."orders" union all ...`."""
    from psycopg import sql

    one = sql.SQL("select {}::bigint, count(*) from only {}")
    return sql.SQL(" union all ").join(one.format(sql.Literal(number), sql.Identifier(*path)) for number, path in tables.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """A table of the catalogue, or a partition by itself. `told_as` is what its rows are told under; `uncounted` says why nobody counts it."""

    number: int
    path: tuple[str, ...]
    pages: int
    told_as: tuple[str, ...]
    uncounted: TableRows | None


def _tables(session: Session, schemas: Sequence[str] | None, ignored: tuple[Ignored, ...]) -> Iterator[TableRows]:
    """Every table with its rows, or why it has none; a table that is split by hash once."""
    listed = [_listed(row, ignored) for row in session.rows(TABLES, {"schemas": None if schemas is None else list(schemas)})]
    if schemas is None:
        ((objects,),) = session.rows("select count(*) from pg_largeobject_metadata")
        yield TableRows(path=LARGE_OBJECTS, rows=objects)
    counts = _counts(_Counter(session), [one for one in listed if one.uncounted is None])
    told: dict[tuple[str, ...], list[TableRows]] = {}
    for one in listed:
        told.setdefault(one.told_as, []).append(one.uncounted or _rows_of(one, counts[one.number]))
    yield from (_together(parts) for parts in told.values())


def _listed(row: tuple[Any, ...], ignored: tuple[Ignored, ...]) -> _Listed:
    """One row of `TABLES`."""
    number, schema, name, relkind, persistence, pages, extension, role, may_read, hides_rows, whole = row
    path, told_as = (schema, name), tuple(whole or (schema, name))
    uncounted = None
    if reason := ignored_because(ignored, path) or ignored_because(ignored, told_as) or _not_kept(relkind, persistence, extension):
        uncounted = TableRows(path=told_as, left_out=reason)
    elif not may_read:
        grant = f"grant usage on schema {dotted(path[:1])} to {dotted([role])}; grant select on {dotted(path)} to {dotted([role])}"
        uncounted = TableRows(path=told_as, refused=f"the role {role} may not read it", kind="no-privilege", remedy=grant)
    elif hides_rows:
        how = f"alter role {dotted([role])} bypassrls, or name a role that has it"
        uncounted = TableRows(path=told_as, refused=f"row security hides rows of it from the role {role}", kind="row-security", remedy=how)
    return _Listed(number=number, path=path, pages=pages, told_as=told_as, uncounted=uncounted)


def _not_kept(relkind: str, persistence: str, extension: str | None) -> str:
    """Why nobody expects the rows of a table to be in the copy; empty when they are expected."""
    if relkind == "f":
        return "a foreign table: its rows are kept elsewhere"
    if extension is not None:
        return f"a part of the extension {extension}, which brings its own rows"
    return "unlogged: its rows do not outlive a crash" if persistence == "u" else ""


def _counts(counter: _Counter, wanted: Sequence[_Listed]) -> dict[int, int | StatementRefused]:
    """The small ones many at once, each large one by itself."""
    small = [one for one in wanted if one.pages < SMALL_PAGES]
    groups = [small[start : start + BATCH] for start in range(0, len(small), BATCH)] + [[one] for one in wanted if one.pages >= SMALL_PAGES]
    found: dict[int, int | StatementRefused] = {}
    for group in groups:
        found |= counter.count({one.number: one.path for one in group})
    return found


def _rows_of(one: _Listed, count: int | StatementRefused) -> TableRows:
    if isinstance(count, int):
        return TableRows(path=one.told_as, rows=count)
    return TableRows(path=one.told_as, refused=count.what, kind=_KINDS.get(count.sqlstate, "refused"), remedy=count.remedy)


def _together(parts: Sequence[TableRows]) -> TableRows:
    """The partitions that are told as one: one that was not counted, or is left out, keeps the sum from being known."""
    return next((part for part in parts if part.rows is None), replace(parts[0], rows=sum(part.rows or 0 for part in parts)))


_KINDS = {CANCELED: "too-slow", LOCKED: "locked", DENIED: "no-privilege"}

OBSERVERS: Mapping[str, Observer] = {
    "parity.inventory": Observer(see=inventory),
    "parity.rows": Observer(see=counted),
}
