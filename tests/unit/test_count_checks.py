"""A count that could not be had and becomes 0: found where counts are compared, and nowhere else."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.facts.count_checks import count_checks
from tests.strategies import shell_texts


def zeros(text: str, path: str = "migrate.py") -> list[tuple[str, str, int]]:
    """What was found in a program: names, scopes, lines."""
    found = count_checks(path, textwrap.dedent(text).lstrip("\n").encode())
    assert found.unread == ""
    return [(zero.name, zero.scope, zero.line) for zero in found.zeros]


def test_a_zero_in_the_handler_of_a_compared_count_is_found() -> None:
    assert zeros("""
        def verify(source, target, table):
            src = source.execute(f"SELECT COUNT(*) FROM {table}").scalar()
            try:
                with target.connect() as connection:
                    dst = connection.execute(text(f'select count (*) from "{table}"')).scalar()
            except ProgrammingError:
                dst = 0
            return src == dst
    """) == [("dst", "verify", 7)]


def test_a_zero_that_a_counting_function_returns_to_a_comparison_is_found() -> None:
    assert zeros("""
        def rows(connection, table):
            try:
                return connection.execute("select count(*) from " + table).fetchone()[0]
            except Exception:
                log.warning("no table %s", table)
                return 0

        def verify(a, b, table):
            left, right = rows(a, table), rows(b, table)
            one = rows(a, table)
            two = rows(b, table)
            if one != two:
                raise SystemExit(1)
    """) == [("rows", "rows", 6)]


def test_a_zero_from_before_the_try_is_found() -> None:
    assert zeros("""
        def verify(a, b, table):
            expected = a.execute("select count(*) from t").scalar()
            target_count: int = 0
            try:
                target_count = b.execute("select count(*) from t").scalar()
            except Error:
                pass
            if expected > target_count:
                print("rows are missing")
    """) == [("target_count", "verify", 3)]


def test_a_zero_in_a_table_of_counts_that_is_compared_by_its_caller_is_found() -> None:
    assert zeros("""
        def row_counts(connection, tables):
            counts = {}
            for table in tables:
                try:
                    counts[table] = connection.execute(f"select count(*) from {table}").scalar()
                except Error:
                    counts[table] = 0
            return counts

        def main():
            if row_counts(a, T) != row_counts(b, T):
                raise SystemExit(1)
    """) == [("counts[table]", "row_counts", 7)]


def test_a_table_that_is_looked_up_with_0_is_found() -> None:
    program = """
        COUNT = "select count(*) from {}"

        def verify(source_counts, target_counts):
            for table, expected_rows in source_counts.items():
                if target_counts.get(table, 0) != expected_rows:
                    raise SystemExit(table)

        def verify_too(source_counts, target_counts):
            for table in source_counts:
                found = target_counts.get(table, 0)
                if source_counts[table] != found:
                    raise SystemExit(table)
    """
    assert zeros(program) == [("target_counts.get(table, 0)", "verify", 5), ("target_counts.get(table, 0)", "verify_too", 10)]


def test_a_module_that_compares_at_its_top_is_found_too() -> None:
    assert [
        name
        for name, _, _ in zeros("""
            try:
                new_rows = b.execute("select count(*) from t").scalar()
            except Error:
                new_rows = 0
            assert new_rows == a.execute("select count(*) from t").scalar()
        """)
    ] == ["new_rows"]


@pytest.mark.parametrize(
    "text",
    [
        # the handler fails
        """
        def verify(a, b):
            old = a.execute("select count(*) from t").scalar()
            try:
                new = b.execute("select count(*) from t").scalar()
            except Error as error:
                raise RuntimeError("no table t") from error
            return old == new
        """,
        # a number for people, compared with nothing
        """
        def health(connection):
            try:
                count = connection.execute("select count(*) from users").scalar()
            except Error:
                count = 0
            return {"users": count, "empty": count == 0}
        """,
        # the table is skipped, and said so
        """
        def verify(a, b):
            new = 0
            for table in TABLES:
                try:
                    new = b.execute("select count(*) from t").scalar()
                except Error:
                    missing.append(table)
                    continue
                if new != a.execute("select count(*) from t").scalar():
                    broken.append(table)
        """,
        # what is no row count
        """
        def verify(a, b):
            try:
                size = a.execute("select pg_database_size('x')").scalar()
            except Error:
                size = 0
            return size == b.size
        """,
        # an old database without the table: nothing can be lost
        """
        def verify(duck, postgres, table):
            try:
                src_count = duck.execute(f"select count(*) from {table}").fetchone()[0]
            except CatalogException:
                src_count = 0
            tgt_count = postgres.execute(f"select count(*) from {table}").fetchone()[0]
            return src_count == tgt_count
        """,
        # a lookup that is shown, or compared with a limit
        """
        def show(row_counts, limit):
            query("select count(*) from t")
            total = row_counts.get("t", 0)
            print(total, row_counts.get("u", 0))
            return row_counts.get("t", 0) > limit and total > 10
        """,
        # count(*) never gives None, so this is no substitution
        """
        def verify(a, b):
            old = a.execute("select count(*) from t").scalar() or 0
            new = b.execute("select count(*) from t").scalar() or 0
            return old == new
        """,
    ],
)
def test_what_hides_nothing_is_left_alone(text: str) -> None:
    assert zeros(text) == []


def test_both_sides_made_zero_hide_each_other() -> None:
    assert [
        name
        for name, _, _ in zeros("""
        def verify(a, b, table):
            try:
                source_count = a.execute("select count(*) from t").scalar()
            except Error:
                source_count = 0
            try:
                target_count = b.execute("select count(*) from t").scalar()
            except Error:
                target_count = 0
            return source_count == target_count
    """)
    ] == ["source_count", "target_count"]


SHELL = """
    #!/bin/bash
    before=$(psql "$OLD" -Atc "select count(*) from $table")
    after=$(psql "$NEW" -Atc "SELECT COUNT(*) FROM $table" 2>/dev/null {instead})
    {test}
"""


@pytest.mark.parametrize("instead", ["|| echo 0", "|| echo '0'", "|| printf '0'"])
@pytest.mark.parametrize("test", ['[ "$before" = "$after" ]', "[[ $before -ne ${after} ]] && exit 1", 'if test "$before" != "$after"; then exit 1; fi'])
def test_a_script_that_echoes_0_for_what_it_could_not_count_is_found(instead: str, test: str) -> None:
    assert zeros(SHELL.format(instead=instead, test=test), "verify.sh") == [("after", "", 3)]


@pytest.mark.parametrize(
    ("instead", "test"), [("|| exit 1", '[ "$before" = "$after" ]'), ("|| echo 0", 'echo "$before $after"'), ("|| echo missing", '[ "$before" = "$after" ]')]
)
def test_a_script_that_stops_or_compares_nothing_is_left_alone(instead: str, test: str) -> None:
    assert zeros(SHELL.format(instead=instead, test=test), "verify.sh") == []


def test_whether_anything_is_compared_is_said() -> None:
    assert count_checks("a.py", b"print('hello')").compares is False
    assert count_checks("a.py", b"def f():\n    a = q('select count(*) from t')\n    b = q('select count(*) from t')\n    return a == b\n").compares is True


def test_a_program_that_cannot_be_parsed_is_unread_only_when_it_counts() -> None:
    assert count_checks("a.py", b"def f(:\n").unread == ""
    assert count_checks("a.py", b"def f(:\n  'select count(*)'\n").unread_line == 1


@pytest.mark.parametrize("text", ["x = q('select count(*)') == " + "a." * 5000 + "b", "x=$(psql 'select count(*)'" + " || $(echo" * 300 + ")" * 301])
@pytest.mark.parametrize("path", ["a.py", "a.sh"])
def test_what_nests_too_deep_raises_nothing(text: str, path: str) -> None:
    assert count_checks(path, text.encode()).zeros == ()


@given(st.one_of(shell_texts(), st.binary(max_size=60)), st.sampled_from(["a.sh", "a.py", "a"]))
def test_nothing_is_raised_whatever_the_bytes_are(data: bytes, path: str) -> None:
    assert count_checks(path, b"x='select count(*)'\n" + data).path == path
