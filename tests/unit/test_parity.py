"""What is a difference between a database and its copy: any one, by its own name, and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from interlock.facts.catalogue import Catalogue, Kind, Object, Server, dotted, last_names, settled
from interlock.facts.parity import DatabaseCopy, Ignored, Side, TableRows
from interlock.judge.parity import copies, judge_inventory, judge_rows
from interlock.verdicts import Broken, Detail, Judgement, NullSink, Outcome, settle
from tests.strategies import catalogues, sql_definitions

HERE = Server(version=160004, system_identifier="1", database_oid=1, started="then", in_recovery=False)
THERE = replace(HERE, version=180001, system_identifier="2")


def a_copy(source: Catalogue, target: Catalogue, **more: object) -> DatabaseCopy:
    """Two sides with nothing to count."""
    sides = {
        "source": Side(name="old", catalogue=replace(source, server=HERE), tables=()),
        "target": Side(name="new", catalogue=replace(target, server=THERE), tables=()),
    }
    return DatabaseCopy(name="move", **{**sides, **more})  # type: ignore[arg-type]


class Kept(NullSink):
    def __init__(self) -> None:
        self.details: list[Detail] = []

    def detail(self, detail: Detail) -> Detail:
        self.details.append(detail)
        return detail


def broken(judgement: Judgement) -> list[tuple[str, str]]:
    kept = Kept()
    settle(judgement, kept)
    return [(detail.what, detail.kind) for detail in kept.details if detail.outcome is Outcome.BROKEN]


def with_objects(*objects: Object) -> Catalogue:
    return Catalogue(server=HERE, objects=objects)


# ---- the inventory


@given(catalogues())
def test_equal_catalogues_are_held_and_every_object_counts_once(catalogue: Catalogue) -> None:
    settled_as = settle(judge_inventory(a_copy(catalogue, catalogue)), NullSink())
    assert (settled_as.outcome, settled_as.tally.held) == (Outcome.HELD, len(catalogue.objects))


def descends(found: Object, from_: Object, catalogue: Catalogue) -> bool:
    """Is it that object, or does it go away with it?"""
    above = {other.path: other for other in catalogue.objects if other.kind in (Kind.SCHEMA, Kind.TABLE)}
    while found.key != from_.key and found.parent in above:
        found = above[found.parent]
    return found.key == from_.key


@given(catalogues(), st.data(), st.booleans())
def test_one_object_on_one_side_is_exactly_one_detail(catalogue: Catalogue, data: st.DataObject, extra: bool) -> None:
    gone = data.draw(st.sampled_from(catalogue.objects))
    less = replace(catalogue, objects=tuple(found for found in catalogue.objects if not descends(found, gone, catalogue)))
    copy = a_copy(less, catalogue) if extra else a_copy(catalogue, less)
    assert broken(judge_inventory(copy)) == [(gone.name, "extra" if extra else "missing")]


def with_one(catalogue: Catalogue, changed: Object) -> Catalogue:
    return replace(catalogue, objects=tuple(changed if found.key == changed.key else found for found in catalogue.objects))


@given(catalogues(), st.data())
def test_one_trait_that_differs_is_exactly_one_detail(catalogue: Catalogue, data: st.DataObject) -> None:
    found = data.draw(st.sampled_from(catalogue.objects))
    name = data.draw(st.sampled_from(["type", "default", "row security", "a new one"]))
    changed = replace(found, traits=tuple(sorted({**dict(found.traits), name: dict(found.traits).get(name, "") + "x"}.items())))
    assert broken(judge_inventory(a_copy(catalogue, with_one(catalogue, changed)))) == [(found.name, name.replace(" ", "-"))]


@given(catalogues(), st.data())
def test_one_grant_that_differs_is_exactly_one_detail(catalogue: Catalogue, data: st.DataObject) -> None:
    found = data.draw(st.sampled_from(catalogue.objects))
    role = data.draw(st.sampled_from(["its owner", "public", "role b"]))
    changed = replace(found, grants=tuple(sorted({**dict(found.grants), role: dict(found.grants).get(role, frozenset()) | {"DELETE"}}.items())))
    assert broken(judge_inventory(a_copy(catalogue, with_one(catalogue, changed)))) == [(f"{found.name}, {role}", "grants")]


@given(catalogues(), st.data())
def test_a_table_that_is_left_out_is_compared_in_nothing(catalogue: Catalogue, data: st.DataObject) -> None:
    tables = [found for found in catalogue.objects if found.kind is Kind.TABLE]
    assume(tables)
    left = data.draw(st.sampled_from(tables))
    less = replace(catalogue, objects=tuple(found for found in catalogue.objects if not descends(found, left, catalogue)))
    ignored = (Ignored(pattern=".".join(left.path), reason="is made anew"),)
    assume(not any(other is not left and ignored[0].covers(other.path) for other in tables))  # a.b of c, and b.c of a
    kept = Kept()
    settle(judge_inventory(a_copy(catalogue, less, ignored=ignored)), kept)
    assert [(detail.what, detail.outcome) for detail in kept.details] == [(left.name, Outcome.HELD)]


def test_a_missing_function_does_not_hide_the_table_of_its_name() -> None:
    table, function = Object(kind=Kind.TABLE, path=("app", "orders")), Object(kind=Kind.FUNCTION, path=("app", "orders"), suffix="()")
    column = Object(kind=Kind.COLUMN, path=("app", "orders", "id"), parent=("app", "orders"))
    assert broken(judge_inventory(a_copy(with_objects(table, function, column), with_objects(table)))) == [
        ("column app.orders.id", "missing"),
        ("function app.orders()", "missing"),
    ]


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        (False, True, []),  # it owns nothing in the copy, and is there
        (True, False, []),
        (None, True, []),
        (None, False, [("role a", "extra")]),
        (False, None, [("role a", "missing")]),
    ],
)
def test_a_role_is_missing_only_where_the_server_has_none(here: bool | None, there: bool | None, expected: list[tuple[str, str]]) -> None:
    """None: the server has no such role; True: it has, and the role has nothing to do with the database."""
    sides = [[Object(kind=Kind.ROLE, path=("a",), aside=aside)] if aside is not None else [] for aside in (here, there)]
    assert broken(judge_inventory(a_copy(with_objects(*sides[0]), with_objects(*sides[1])))) == expected


OWNER = Object(kind=Kind.TABLE, path=("app", "orders"), grants=(("its owner", frozenset({"SELECT"})),))


def test_a_privilege_that_an_older_server_does_not_know_is_no_difference() -> None:
    newer = replace(OWNER, grants=(("its owner", frozenset({"SELECT", "MAINTAIN"})), ("role a", frozenset({"MAINTAIN with grant option"}))))
    assert broken(judge_inventory(a_copy(with_objects(OWNER), with_objects(newer)))) == []
    both_know_it = a_copy(with_objects(OWNER), with_objects(newer))
    source = replace(both_know_it.source, catalogue=replace(both_know_it.source.catalogue, server=replace(HERE, version=170000)))
    assert len(broken(judge_inventory(replace(both_know_it, source=source)))) == 2


def test_a_view_that_an_older_server_prints_with_the_tables_name_is_the_same() -> None:
    here = Object(kind=Kind.VIEW, path=("app", "v"), traits=(("definition", 'SELECT "orders"."id" FROM "app"."orders"'),))
    there = replace(here, traits=(("definition", 'SELECT "id" FROM "app"."orders"'),))
    copy = a_copy(with_objects(here), with_objects(there))
    assert broken(judge_inventory(copy)) == [("view app.v", "definition")]
    source = replace(copy.source, catalogue=replace(copy.source.catalogue, server=replace(HERE, version=150000)))
    assert broken(judge_inventory(replace(copy, source=source))) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("valid", "valid", []),
        ("valid", "invalid", ["invalid"]),
        ("invalid", "invalid", ["invalid"]),
        ("invalid", "valid", []),
        ("valid", "without its partitions", ["invalid"]),
        ("without its partitions", "without its partitions", []),
    ],
)
def test_an_index_of_the_copy_can_be_used(before: str, after: str, expected: list[str]) -> None:
    here, there = (Object(kind=Kind.INDEX, path=("app", "i"), traits=(("index", value),)) for value in (before, after))
    assert [kind for _, kind in broken(judge_inventory(a_copy(with_objects(here), with_objects(there))))] == expected


def test_values_that_may_be_secrets_are_not_shown() -> None:
    here, there = (Object(kind=Kind.SETTING, path=("app.jwt_secret",), traits=(("value", value),)) for value in ("s3cr3t", "other"))
    kept = Kept()
    settle(judge_inventory(a_copy(with_objects(here), with_objects(there))), kept)
    assert [detail.message for detail in kept.details] == ['setting "app.jwt_secret": its value differs between old and new']


def test_a_catalogue_that_could_not_be_read_is_unproven() -> None:
    copy = a_copy(with_objects(), Catalogue(server=THERE, refused="database new: locked", remedy="wait"))
    settled_as = settle(judge_inventory(copy), NullSink())
    assert (settled_as.outcome, settled_as.message, settled_as.remedy) == (Outcome.UNPROVEN, "database new: locked", "wait")


def test_two_empty_catalogues_prove_nothing() -> None:
    assert settle(judge_inventory(a_copy(with_objects(), with_objects())), NullSink()).outcome is Outcome.UNPROVEN


# ---- the same database


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (HERE, True),
        (replace(HERE, started="later", in_recovery=True), True),  # a replica that follows
        (replace(HERE, started="later"), False),  # a copy of the data directory that runs by itself
        (replace(HERE, database_oid=2), False),
        (replace(HERE, system_identifier="2"), False),
    ],
)
def test_a_database_is_itself_on_its_own_server_and_on_a_replica(other: Server, same: bool) -> None:
    assert HERE.same_database(other) is other.same_database(HERE) is same


def test_a_database_is_no_copy_of_itself() -> None:
    side = Side(name="old", catalogue=with_objects(OWNER), tables=(TableRows(path=("app", "orders"), rows=1),))
    copy = DatabaseCopy(name="move", source=side, target=replace(side, name="new"))
    for judgement in (judge_inventory(copy), judge_rows(copy)):
        assert isinstance(judgement, Broken)
        assert judgement.kind == "itself"


# ---- rows

COUNTS = st.dictionaries(st.tuples(st.sampled_from("ab"), st.text("ab.", min_size=1, max_size=3)), st.integers(0, 5), min_size=1, max_size=6)


def counted(source: dict[tuple[str, str], int], target: dict[tuple[str, str], int]) -> DatabaseCopy:
    tables = [tuple(TableRows(path=path, rows=rows) for path, rows in side.items()) for side in (source, target)]
    copy = a_copy(with_objects(), with_objects())
    return replace(copy, source=replace(copy.source, tables=tables[0]), target=replace(copy.target, tables=tables[1]))


@given(COUNTS)
def test_equal_counts_are_held_one_detail_a_table(counts: dict[tuple[str, str], int]) -> None:
    settled_as = settle(judge_rows(counted(counts, counts)), NullSink())
    assert (settled_as.outcome, settled_as.tally.held) == (Outcome.HELD, len(counts))


@given(COUNTS, st.data(), st.integers(1, 4))
def test_one_count_that_differs_is_exactly_one_detail_with_how_many(counts: dict[tuple[str, str], int], data: st.DataObject, by: int) -> None:
    path = data.draw(st.sampled_from(sorted(counts)))
    more = {**counts, path: counts[path] + by}
    for copy, kind in ((counted(counts, more), "more-rows"), (counted(more, counts), "fewer-rows")):
        kept = Kept()
        settle(judge_rows(copy), kept)
        found = [(detail.what, detail.kind, detail.value) for detail in kept.details if detail.outcome is Outcome.BROKEN]
        assert found == [(f"table {dotted(path)}", kind, by)]


@given(COUNTS, st.data())
def test_a_missing_table_is_broken_whatever_was_in_it(counts: dict[tuple[str, str], int], data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(counts)))
    less = {name: rows for name, rows in counts.items() if name != path}
    assert broken(judge_rows(counted(counts, less))) == [(f"table {dotted(path)}", "missing-table")]
    if less:
        assert broken(judge_rows(counted(less, counts))) == []  # the inventory names it


def one_table(here: TableRows, there: TableRows) -> DatabaseCopy:
    copy = a_copy(with_objects(), with_objects())
    return replace(copy, source=replace(copy.source, tables=(here,)), target=replace(copy.target, tables=(there,)))


PATH = ("app", "orders")
COUNTED, FORBIDDEN = TableRows(path=PATH, rows=3), TableRows(path=PATH, refused="the role a may not read it", kind="no-privilege", remedy="grant it")


@pytest.mark.parametrize("copy", [one_table(COUNTED, FORBIDDEN), one_table(FORBIDDEN, COUNTED), one_table(FORBIDDEN, FORBIDDEN)])
def test_a_table_that_was_not_counted_is_unproven_and_says_what_would_prove_it(copy: DatabaseCopy) -> None:
    settled_as = settle(judge_rows(copy), NullSink())
    assert settled_as.outcome is Outcome.UNPROVEN
    assert "grant it" in settled_as.message


def test_a_table_that_the_copy_keeps_as_something_else_is_unproven() -> None:
    copy = one_table(COUNTED, TableRows(path=PATH, left_out="a foreign table: its rows are kept elsewhere"))
    assert settle(judge_rows(copy), NullSink()).outcome is Outcome.UNPROVEN


def test_no_large_objects_alone_prove_nothing() -> None:
    nothing = TableRows(path=("large objects",), rows=0)
    assert settle(judge_rows(one_table(nothing, nothing)), NullSink()).outcome is Outcome.UNPROVEN


# ---- who asks


def test_a_copy_is_asked_by_the_actions_that_move_it_and_by_all_when_none_does() -> None:
    from interlock.config.models import Site

    databases = {"a": {"dsn_env": "A"}, "b": {"dsn_env": "B"}}
    parity = {name: {"source": "a", "target": "b"} for name in ("moved", "forgotten")}
    step = [{"command": {"run": ["true"]}}]
    actions = {"cutover": {"steps": step, "moves": ["moved"]}, "release": {"steps": step}}
    site = Site.model_validate({"interlock": 1, "site": "x", "databases": databases, "parity": parity, "actions": actions})
    assert {subject.name: subject.actions for subject in copies(site)} == {"moved": frozenset({"cutover"}), "forgotten": None}


# ---- names and patterns


@pytest.mark.parametrize(
    ("pattern", "path", "covered"),
    [
        ("app.orders", ("app", "orders"), True),
        ("app.orders", ("app", "orders_2024"), False),
        ("app.orders*", ("app", "orders_2024"), True),
        ("*.sessions", ("any schema", "sessions"), True),
        ("app.*", ("app", "a\nb"), True),
        ("app.?rders", ("app", "orders"), False),
        ("app.[a-z]*", ("app", "orders"), False),
        ("appXorders", ("app", "orders"), False),
    ],
)
def test_only_a_star_stands_for_anything(pattern: str, path: tuple[str, str], covered: bool) -> None:
    assert Ignored(pattern=pattern, reason="x").covers(path) is covered


@pytest.mark.parametrize(
    ("path", "written"), [(("public", "orders"), "public.orders"), (("Odd Schema", 'Odd "Table"'), '"Odd Schema"."Odd ""Table"""'), (("a.b",), '"a.b"')]
)
def test_names_are_written_as_sql_writes_them(path: tuple[str, ...], written: str) -> None:
    assert dotted(path) == written


# ---- definitions


@pytest.mark.parametrize(
    ("printed", "after_a_restore"),
    [
        (
            "((status)::text = ANY ((ARRAY['new'::character varying, 'it''s, ([ok'::character varying])::text[]))",
            "((status)::text = ANY (ARRAY[('new'::character varying)::text, ('it''s, ([ok'::character varying)::text]))",
        ),
        ("(n = ANY ((ARRAY[1, 2])::bigint[]))", "(n = ANY (ARRAY[(1)::bigint, (2)::bigint]))"),
        ('((ARRAY[a, lower(b)])::"app"."Mood"[])', '(ARRAY[(a)::app."Mood", (lower(b))::app."Mood"])'),
    ],
)
def test_a_cast_array_is_an_array_of_casts(printed: str, after_a_restore: str) -> None:
    assert settled(printed) == after_a_restore
    assert settled(after_a_restore) == after_a_restore


@pytest.mark.parametrize(
    "definition", ["(ARRAY[1, 2])", "(ARRAY[1, 2])::text", "(ARRAY['a", "(ARRAY[1])::", "'(ARRAY[1])::text[]'", "ARRAY[1]::text[]", "f(ARRAY[1], 2)", ""]
)
def test_what_is_no_cast_array_stays_as_it_is(definition: str) -> None:
    assert settled(definition) == definition


@given(sql_definitions())
def test_settling_keeps_every_string_in_its_place(definition: str) -> None:
    strings = re.compile(r"'(?:[^']|'')*'")
    assert strings.findall(settled(definition)) == strings.findall(definition)


def test_the_last_part_of_a_name_is_kept_and_strings_are_not_touched() -> None:
    definition = """SELECT a.b AS c, "A".d, e."F", 'x.y', 1.5, .5 FROM s.t"""
    assert last_names(definition) == """SELECT b AS c, d, "F", 'x.y', 1.5, 5 FROM t"""


@given(sql_definitions())
def test_a_name_before_a_dot_makes_no_difference_to_the_last_names(definition: str) -> None:
    assert last_names(f'SELECT "T".b, t.c, {definition}') == last_names(f"SELECT b, c, {definition}")


def test_plain_names_have_no_quotes_and_others_keep_theirs() -> None:
    assert settled("""SELECT "json" AS "Odd", 'a "b"', "a""b" FROM "app"."orders"[]""") == """SELECT json AS "Odd", 'a "b"', "a""b" FROM app.orders[]"""
