"""Parity on two real servers: no false alarm between two majors, and every defect by its name and kind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interlock.config.load import load_site
from interlock.errors import CouldNotLook
from interlock.facts.parity import DatabaseCopy
from interlock.judge.parity import judge_inventory, judge_rows
from interlock.observe.parity import database_copy
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.testing.faults import write_site
from interlock.verdicts import Broken, Detail, Judgement, NullSink, Outcome, Settled, Subject, When, settle
from tests.two_servers import EDGE, TwoServers, two_servers


@pytest.fixture(scope="module")
def servers(component: Callable[[str], None]) -> Iterator[TwoServers]:
    component("postgres16")
    component("postgres18")
    with two_servers() as running:
        running.load_edge()
        yield running


def look(folder: Path, source: str, target: str, timeout: str = "3s", **copy: object) -> DatabaseCopy:
    """What is seen of two databases by their DSNs."""
    databases = {"old": {"dsn_env": "OLD_DSN", "timeout": timeout}, "new": {"dsn_env": "NEW_DSN", "timeout": timeout}}
    write_site(folder, {"databases": databases, "parity": {"move": {"source": "old", "target": "new", **copy}}})
    environ = {"OLD_DSN": source, "NEW_DSN": target}
    site = load_site(folder / "interlock.yaml", environ)
    world = World(site=site, gates=frozenset({When.PREFLIGHT}), tree=Tree(folder), hosts={}, environ=environ)
    return database_copy(world, Subject(name="move"))


class Kept(NullSink):
    """Keeps what a judgement says of each thing."""

    def __init__(self) -> None:
        self.details: list[Detail] = []

    def detail(self, detail: Detail) -> Detail:
        self.details.append(detail)
        return detail

    def broken(self) -> set[tuple[str, str]]:
        return {(detail.what, detail.kind) for detail in self.details if detail.outcome is Outcome.BROKEN}


def judged(judgement: Judgement) -> tuple[Settled, Kept]:
    kept = Kept()
    return settle(judgement, kept), kept


def outcomes(copy: DatabaseCopy) -> tuple[Outcome, Outcome]:
    return judged(judge_inventory(copy))[0].outcome, judged(judge_rows(copy))[0].outcome


# ---- no false alarm


def test_a_restored_database_is_the_same_on_another_major(servers: TwoServers, tmp_path: Path) -> None:
    copy = look(tmp_path, servers.source.dsn(EDGE), servers.target.dsn(EDGE))
    inventory, rows = judged(judge_inventory(copy)), judged(judge_rows(copy))
    assert (inventory[0].outcome, inventory[1].broken(), rows[0].outcome, rows[1].broken()) == (Outcome.HELD, set(), Outcome.HELD, set())
    assert inventory[0].tally.held > 250
    assert {copy.source.catalogue.server.major, copy.target.catalogue.server.major} == {16, 18}


def test_settings_of_the_database_and_of_the_role_make_no_difference(servers: TwoServers, tmp_path: Path) -> None:
    """What a server prints depends on them; the same are set on both sides before it prints."""
    settings = ("timezone = 'Asia/Tokyo'", "datestyle = 'SQL, DMY'", "intervalstyle = 'iso_8601'", "search_path = app", "extra_float_digits = -2")
    role = [f"alter role ledger_admin set {setting}" for setting in settings]
    servers.execute(servers.target, "postgres", *role, "alter role ledger_admin set bytea_output = escape", "alter role ledger_admin set row_security = on")
    try:
        copy = look(tmp_path, servers.source.dsn(EDGE), servers.target.dsn(EDGE), grants=False)
    finally:
        servers.execute(servers.target, "postgres", "alter role ledger_admin reset all")
    assert outcomes(copy) == (Outcome.HELD, Outcome.HELD)


def test_hash_partitions_are_counted_together(servers: TwoServers, tmp_path: Path) -> None:
    """An enum hashes by its number, so the restored rows lie in other partitions; this database is made so that they do."""
    copy = look(tmp_path, servers.source.dsn(EDGE), servers.target.dsn(EDGE))
    parts = "select tableoid::regclass::text, count(*) from app.by_shade group by 1 order by 1"
    import psycopg

    spread = []
    for server in (servers.source, servers.target):
        with psycopg.connect(server.dsn(EDGE)) as connection:
            spread.append(connection.execute(parts).fetchall())
    assert spread[0] != spread[1]
    assert [table.rows for side in (copy.source, copy.target) for table in side.tables if table.path == ("app", "by_shade")] == [510, 510]


def test_partitions_and_heirs_are_counted_once(servers: TwoServers, tmp_path: Path) -> None:
    rows = {table.path[-1]: table.rows for table in look(tmp_path, servers.source.dsn(EDGE), servers.target.dsn(EDGE)).source.tables}
    assert rows["events_2024"] + rows["events_2025_click"] + rows["events_2025_rest"] == 50  # type: ignore[operator]
    assert (rows["places"], rows["capitals"], rows["no_columns"], rows["large objects"]) == (2, 1, 2, 2)
    assert "events" not in rows
    assert "events_2025" not in rows


def test_what_nobody_expects_to_be_copied_is_left_out_with_a_word(servers: TwoServers, tmp_path: Path) -> None:
    copy = look(tmp_path, servers.source.dsn(EDGE), servers.target.dsn(EDGE), ignore=[{"table": "app.order*", "reason": "is archived"}])
    said = {detail.what: detail.message for detail in judged(judge_rows(copy))[1].details if "left out" in detail.message}
    assert said == {
        "table app.cache": "table app.cache is left out: unlogged: its rows do not outlive a crash",
        "table app.remote": "table app.remote is left out: a foreign table: its rows are kept elsewhere",
        "table app.orders": "table app.orders is left out: is archived",
    }


# ---- every defect

DEFECTS = [
    ("drop table app.capitals", "table app.capitals", "missing"),
    ("create table app.more (id integer)", "table app.more", "extra"),
    ('drop schema "Odd Schema" cascade', 'schema "Odd Schema"', "missing"),
    ("alter table app.events detach partition app.events_2024; ", "table app.events_2024", "partition"),
    ("alter table app.customers drop column raw", "column app.customers.raw", "missing"),
    ("alter table app.capitals alter column country type varchar(10)", "column app.capitals.country", "type"),
    ("alter table app.customers alter column score type numeric(12, 2)", "column app.customers.score", "type"),
    ("alter table app.orders alter column amount drop not null", "column app.orders.amount", "nullable"),
    ('alter table app.capitals alter column country type text collate "C"', "column app.capitals.country", "collation"),
    ("alter table app.customers alter column since set default '2020-01-01 00:00:01+00'", "column app.customers.since", "default"),
    ("alter table app.customers alter column upper_name drop expression", "column app.customers.upper_name", "generated"),
    ("alter table app.customers alter column id set generated by default", "column app.customers.id", "identity"),
    ("drop index app.customers_tags", "index app.customers_tags", "missing"),
    (
        "drop index app.customers_email; create unique index customers_email on app.customers (lower(email)) where status in ('new', 'closed')",
        "index app.customers_email",
        "definition",
    ),
    ("update pg_index set indisvalid = false where indexrelid = 'app.customers_name'::regclass", "index app.customers_name", "invalid"),
    ("update pg_index set indisvalid = false where indexrelid = 'app.orders_pkey'::regclass", "constraint app.orders.orders_pkey", "invalid"),
    ("alter table app.orders drop constraint orders_customer_fkey", "constraint app.orders.orders_customer_fkey", "missing"),
    (
        "alter table app.orders drop constraint orders_customer_fkey, add constraint orders_customer_fkey foreign key (customer) references app.customers",
        "constraint app.orders.orders_customer_fkey",
        "definition",
    ),
    ("alter table app.customers validate constraint email_has_at", "constraint app.customers.email_has_at", "definition"),
    (
        "alter table app.customers drop constraint customers_status_check; alter table app.customers add check (status <> 'ended')",
        "constraint app.customers.customers_status_check",
        "definition",
    ),
    ("drop sequence public.loose", "sequence public.loose", "missing"),
    ("alter sequence app.numbers increment by 6", "sequence app.numbers", "increment"),
    ("alter sequence app.numbers owned by none", "sequence app.numbers", "owned-by"),
    ("alter type app.mood add value 'angry' before 'ok'", "type app.mood", "labels"),
    ("alter domain app.positive drop not null", "type app.positive", "nullable"),
    ("alter domain app.code drop constraint code_check", "constraint app.code.code_check", "missing"),
    (
        "create or replace function app.add(a integer, b integer default 2) returns integer language sql immutable parallel safe return a - b",
        "function app.add(integer, integer)",
        "definition",
    ),
    ("drop procedure app.nothing", "function app.nothing(integer)", "missing"),
    ("drop aggregate app.total (integer)", "function app.total(integer)", "missing"),
    ("alter table app.orders enable trigger asleep", "trigger app.orders.asleep", "enabled"),
    ("drop trigger touch on app.orders", "trigger app.orders.touch", "missing"),
    ("drop event trigger watching", "event trigger watching", "missing"),
    ("drop rule keep_notes on app.orders", "rule app.orders.keep_notes", "missing"),
    ("alter policy mine on app.orders using (true)", "policy app.orders.mine", "definition"),
    ("alter table app.orders disable row level security", "table app.orders", "row-security"),
    ("alter table app.orders replica identity default", "table app.orders", "replica-identity"),
    ("alter table app.cache set logged", "table app.cache", "persistence"),
    ("create or replace view app.writable as select id, note from app.orders where note = 'yours' with check option", "view app.writable", "definition"),
    ("alter view app.active_customers reset (security_barrier)", "view app.active_customers", "options"),
    ("refresh materialized view app.not_filled", "materialized view app.not_filled", "filled"),
    ("drop statistics app.customers_stats", "statistics app.customers_stats", "missing"),
    ("drop operator app.=== (integer, integer)", 'operator app."===" (integer, integer)', "missing"),
    ("alter foreign table app.remote owner to edge_owner", "table app.remote", "owner"),
    ("revoke select on app.customers from edge_reader", "table app.customers, role edge_reader", "grants"),
    ("grant select on app.customers to public", "table app.customers, public", "grants"),
    ("revoke select (id) on app.customers from edge_writer", "column app.customers.id, role edge_writer", "grants"),
    ("revoke grant option for insert on app.orders from edge_writer", "table app.orders, role edge_writer", "grants"),
    ("grant execute on function app.add(integer, integer) to public", "function app.add(integer, integer), public", "grants"),
    (
        "alter default privileges for role edge_owner in schema app revoke select on tables from edge_reader",
        "default privileges edge_owner in schema app for tables",
        "missing",
    ),
    ("alter database {database} set statement_timeout = '7s'", "setting statement_timeout", "extra"),
]


@pytest.mark.parametrize(("statement", "what", "kind"), DEFECTS, ids=[f"{kind}-{what}" for _, what, kind in DEFECTS])
def test_a_defect_of_the_copy_is_named(servers: TwoServers, tmp_path: Path, statement: str, what: str, kind: str) -> None:
    with clone(servers) as database:
        servers.execute(servers.target, database, statement.format(database=database))
        copy = look(tmp_path, servers.source.dsn(EDGE), servers.target.dsn(database))
    found = judged(judge_inventory(copy))[1].broken()
    assert (what, kind) in found
    assert all(whose == what or whose.startswith(what) or what.rpartition(".")[2] in whose for whose, _ in found), found


@contextmanager
def clone(servers: TwoServers) -> Iterator[str]:
    """A throw-away copy of the copy."""
    servers.execute(servers.target, "postgres", f"create database damaged template {EDGE}")
    try:
        yield "damaged"
    finally:
        servers.execute(servers.target, "postgres", "drop database damaged with (force)")


def test_a_newer_version_of_an_extension_is_said_and_breaks_nothing(servers: TwoServers, tmp_path: Path) -> None:
    with clone(servers) as database:
        servers.execute(servers.target, database, "update pg_extension set extversion = '99' where extname = 'vector'")
        settled, kept = judged(judge_inventory(look(tmp_path, servers.source.dsn(EDGE), servers.target.dsn(database))))
    assert settled.outcome is Outcome.HELD
    assert [detail.message.endswith("and 99 in new") for detail in kept.details if detail.what == "extension vector, version"] == [True]


def test_an_invalid_index_of_the_source_is_no_loss(servers: TwoServers, tmp_path: Path) -> None:
    """No dump holds it; seen from the other side, where the damaged database is the source."""
    with clone(servers) as database:
        servers.execute(servers.target, database, "update pg_index set indisvalid = false where indexrelid = 'app.customers_tags'::regclass")
        servers.execute(servers.target, "postgres", f"create database restored template {EDGE}")
        servers.execute(servers.target, "restored", "drop index app.customers_tags")
        try:
            copy = look(tmp_path, servers.target.dsn(database), servers.target.dsn("restored"))
        finally:
            servers.execute(servers.target, "postgres", "drop database restored")
    assert judged(judge_inventory(copy))[0].outcome is Outcome.HELD


def test_what_belongs_to_a_missing_table_is_not_named_again(servers: TwoServers, tmp_path: Path) -> None:
    """Its columns, keys, indexes, triggers and its sequence went with it; the view that needed it is a loss of its own."""
    with clone(servers) as database:
        servers.execute(servers.target, database, "drop table app.orders cascade")
        copy = look(tmp_path, servers.source.dsn(EDGE), servers.target.dsn(database))
        left_out = look(tmp_path, servers.source.dsn(EDGE), servers.target.dsn(database), ignore=[{"table": "app.orders", "reason": "is made anew"}])
    views = {("view app.active_customers", "missing"), ("view app.everything", "missing"), ("view app.recent", "missing"), ("view app.writable", "missing")}
    assert judged(judge_inventory(copy))[1].broken() == views | {("table app.orders", "missing")}
    assert judged(judge_inventory(left_out))[1].broken() == views


def test_hash_partitions_are_left_out_with_the_table_that_they_are_of(servers: TwoServers, tmp_path: Path) -> None:
    copy = look(tmp_path, servers.source.dsn(EDGE), servers.target.dsn(EDGE), ignore=[{"table": "app.by_shade", "reason": "is made anew"}])
    assert {table.left_out for table in copy.source.tables if table.path[-1].startswith("by_shade")} == {"is made anew"}


def test_databases_of_another_encoding_are_read_and_named(servers: TwoServers, tmp_path: Path) -> None:
    statement = "create database encoded template template0 encoding '{}' lc_collate 'C' lc_ctype 'C'"
    servers.execute(servers.source, "postgres", statement.format("LATIN1"))
    servers.execute(servers.target, "postgres", statement.format("SQL_ASCII"))
    servers.execute(servers.source, "encoded", 'create table "é" (id integer)')
    servers.execute(servers.target, "encoded", "create table plain (id integer)")
    copy = look(tmp_path, servers.source.dsn("encoded"), servers.target.dsn("encoded"))
    expected = {("the database", "encoding"), ('table public."é"', "missing"), ("table public.plain", "extra")}
    assert judged(judge_inventory(copy))[1].broken() == expected
    servers.execute(servers.target, "encoded", "do $$ begin execute 'create table ' || quote_ident(convert_from('\\xe9', 'SQL_ASCII')) || ' ()'; end $$")
    with pytest.raises(CouldNotLook, match="invalid byte sequence"):
        look(tmp_path, servers.source.dsn("encoded"), servers.target.dsn("encoded"))


def test_owners_and_grants_are_not_compared_when_the_site_says_so(servers: TwoServers, tmp_path: Path) -> None:
    with clone(servers) as database:
        servers.execute(servers.target, database, "alter table app.places owner to edge_owner", "grant select on app.places to public")
        copies = [look(tmp_path, servers.source.dsn(EDGE), servers.target.dsn(database), grants=grants) for grants in (True, False)]
    assert [outcomes(copy)[0] for copy in copies] == [Outcome.BROKEN, Outcome.HELD]


def test_a_role_that_lost_its_right_is_named_and_so_is_one_that_has_its_rights_from_a_group(servers: TwoServers, tmp_path: Path) -> None:
    servers.execute(servers.target, "postgres", "alter role edge_writer connection limit 8", "alter role edge_login nologin")
    try:
        broken = judged(judge_inventory(look(tmp_path, servers.source.dsn(EDGE), servers.target.dsn(EDGE))))[1].broken()
    finally:
        servers.execute(servers.target, "postgres", "alter role edge_writer connection limit 7", "alter role edge_login login")
    assert broken == {("role edge_writer", "connection-limit"), ("role edge_login", "login")}


# ---- rows


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("delete from app.orders where id <= 3", ("table app.orders", "fewer-rows", 3)),
        ("insert into app.places values ('Plzen', 1)", ("table app.places", "more-rows", 1)),
        ("truncate app.events_2024", ("table app.events_2024", "fewer-rows", 21)),
        ("delete from app.by_shade where id = 1", ("table app.by_shade", "fewer-rows", 8)),
        ("drop table app.numbered", ("table app.numbered", "missing-table", 0)),
        ("drop table app.capitals", ("table app.capitals", "missing-table", 1)),
        ("select lo_unlink(min(oid)) from pg_largeobject_metadata", ("large objects", "fewer-rows", 1)),
        ("create table app.more as select 1 as one", None),
    ],
)
def test_every_table_with_other_rows_is_named(servers: TwoServers, tmp_path: Path, statement: str, expected: tuple[str, str, int] | None) -> None:
    with clone(servers) as database:
        servers.execute(servers.target, database, statement)
        kept = judged(judge_rows(look(tmp_path, servers.source.dsn(EDGE), servers.target.dsn(database))))[1]
    broken = [(detail.what, detail.kind, detail.value) for detail in kept.details if detail.outcome is Outcome.BROKEN]
    assert broken == ([expected] if expected else [])


def test_row_security_hides_nothing_from_who_bypasses_it(servers: TwoServers, tmp_path: Path) -> None:
    copy = look(tmp_path, servers.source.dsn(EDGE), servers.target.dsn(EDGE))
    assert [table.rows for table in copy.target.tables if table.path == ("app", "orders")] == [40]


@contextmanager
def role(servers: TwoServers, *statements: str) -> Iterator[Callable[[TwoServers], tuple[str, str]]]:
    """An ordinary role `looker` on both servers, and the two DSNs with which it looks at the edge database."""
    both = (servers.source, servers.target)
    for server in both:
        servers.execute(server, EDGE, "create role looker login", *statements)
    try:
        yield lambda two: (two.source.dsn(EDGE).replace("ledger_admin", "looker"), two.target.dsn(EDGE).replace("ledger_admin", "looker"))
    finally:
        for server in both:
            servers.execute(server, EDGE, "drop owned by looker", "drop role looker")


def test_what_a_role_may_not_read_is_unproven_and_the_grant_is_named(servers: TwoServers, tmp_path: Path) -> None:
    with role(servers, "grant usage on schema app to looker", "grant select on app.places to looker") as dsns:
        copy = look(tmp_path, *dsns(servers), grants=False)
    details = {detail.what: detail for detail in judged(judge_rows(copy))[1].details}
    assert details["table app.places"].outcome is Outcome.HELD
    assert (details["table app.orders"].outcome, details["table app.orders"].kind) == (Outcome.UNPROVEN, "no-privilege")
    assert "grant select on app.orders to looker" in details["table app.orders"].message
    assert outcomes(copy) == (Outcome.HELD, Outcome.UNPROVEN)


def test_what_only_one_side_lets_be_read_is_not_taken_for_missing(servers: TwoServers, tmp_path: Path) -> None:
    with role(servers) as dsns:
        for source, target in ((servers.source.dsn(EDGE), dsns(servers)[1]), (dsns(servers)[0], servers.target.dsn(EDGE))):
            settled, kept = judged(judge_rows(look(tmp_path, source, target, grants=False)))
            assert (settled.outcome, kept.broken()) == (Outcome.UNPROVEN, set())


def test_row_security_that_would_hide_rows_is_unproven(servers: TwoServers, tmp_path: Path) -> None:
    with role(servers, "grant pg_read_all_data to looker") as dsns:
        details = judged(judge_rows(look(tmp_path, *dsns(servers), grants=False)))[1].details
    assert [(detail.what, detail.kind) for detail in details if detail.outcome is not Outcome.HELD] == [("table app.orders", "row-security")]
    assert any("alter role looker bypassrls" in detail.message for detail in details)


def test_the_owner_is_no_exception_where_row_security_is_forced(servers: TwoServers, tmp_path: Path) -> None:
    with role(servers) as dsns:
        for server in (servers.source, servers.target):
            servers.execute(
                server, EDGE, "create schema own authorization looker", "create table own.secret (id integer)", "alter table own.secret owner to looker"
            )
        owned = look(tmp_path, *dsns(servers), grants=False, schemas=["own"])
        for server in (servers.source, servers.target):
            servers.execute(server, EDGE, "alter table own.secret enable row level security", "alter table own.secret force row level security")
        forced = look(tmp_path, *dsns(servers), grants=False, schemas=["own"])
    assert [outcomes(copy)[1] for copy in (owned, forced)] == [Outcome.HELD, Outcome.UNPROVEN]


def test_a_locked_table_is_unproven_and_the_others_are_counted(servers: TwoServers, tmp_path: Path) -> None:
    import psycopg

    with psycopg.connect(servers.target.dsn(EDGE)) as other:
        other.execute("lock table only app.places in access exclusive mode")
        details = judged(judge_rows(look(tmp_path, servers.source.dsn(EDGE), servers.target.dsn(EDGE))))[1].details
    assert [(detail.what, detail.kind) for detail in details if detail.outcome is not Outcome.HELD] == [("table app.places", "locked")]


def test_many_locked_tables_are_not_waited_for_one_by_one(servers: TwoServers, tmp_path: Path) -> None:
    import psycopg

    names = [f"locked{number}" for number in range(9)]
    with clone(servers) as database:
        servers.execute(servers.target, database, *(f"create table {name} ()" for name in names))
        with psycopg.connect(servers.target.dsn(database)) as other:
            other.execute(f"lock table {', '.join(names)} in access exclusive mode")
            began = time.monotonic()
            details = judged(judge_rows(look(tmp_path, servers.target.dsn(database), servers.source.dsn(EDGE), timeout="1s", schemas=["public"])))[1].details
    assert time.monotonic() - began < 6
    assert [detail.outcome for detail in details] == [Outcome.BROKEN] * 9  # they are missing, whatever was in them


def test_a_table_that_somebody_alters_keeps_the_inventory_from_being_read(servers: TwoServers, tmp_path: Path) -> None:
    import psycopg

    with psycopg.connect(servers.target.dsn(EDGE)) as other:
        other.execute("lock table app.customers in access exclusive mode")
        settled, _ = judged(judge_inventory(look(tmp_path, servers.source.dsn(EDGE), servers.target.dsn(EDGE))))
    assert (settled.outcome, settled.remedy) == (Outcome.UNPROVEN, "wait for whoever holds the lock, and look again")


def test_a_database_without_tables_proves_nothing(servers: TwoServers, tmp_path: Path) -> None:
    copy = look(tmp_path, servers.source.dsn("postgres"), servers.target.dsn("template1"), grants=False)
    assert judged(judge_rows(copy))[0].outcome is Outcome.UNPROVEN


def test_tables_that_are_all_left_out_prove_nothing(servers: TwoServers, tmp_path: Path) -> None:
    copy = look(tmp_path, servers.source.dsn(EDGE), servers.target.dsn(EDGE), schemas=["app"], ignore=[{"table": "*", "reason": "none of them matters"}])
    assert judged(judge_rows(copy))[0].outcome is Outcome.UNPROVEN


def test_a_schema_that_is_nowhere_is_unproven(servers: TwoServers, tmp_path: Path) -> None:
    copy = look(tmp_path, servers.source.dsn(EDGE), servers.target.dsn(EDGE), schemas=["app", "ap"])
    settled, kept = judged(judge_inventory(copy))
    assert (settled.outcome, [detail.what for detail in kept.details if detail.outcome is Outcome.UNPROVEN]) == (Outcome.UNPROVEN, ["schema ap"])


def test_a_database_that_is_its_own_target_is_broken(servers: TwoServers, tmp_path: Path) -> None:
    """The site file knows two variables; the servers know better."""
    copy = look(tmp_path, servers.source.dsn(EDGE), f"{servers.source.dsn(EDGE)}&application_name=other")
    for judgement in (judge_inventory(copy), judge_rows(copy)):
        assert isinstance(judgement, Broken)
        assert judgement.kind == "itself"


def test_two_databases_of_one_server_are_two(servers: TwoServers, tmp_path: Path) -> None:
    with clone(servers) as database:
        assert outcomes(look(tmp_path, servers.target.dsn(EDGE), servers.target.dsn(database))) == (Outcome.HELD, Outcome.HELD)


def test_when_neither_side_answers_both_are_named(servers: TwoServers, tmp_path: Path) -> None:
    with pytest.raises(CouldNotLook) as refused:
        look(tmp_path, "postgresql://a@127.0.0.1:1/x", servers.target.dsn("no-such-database"))
    assert "database old: no connection to the database: nothing listens" in refused.value.what
    assert "database new: no connection to the database: database" in refused.value.what
