"""Has the copy as many rows, and everything with a name? Our whole `pytest -m preflight` on two databases, against two psql that count the same tables at once.

    python -m benchmarks.parity
    python -m benchmarks.parity --tables 20 --rows 50000 --rounds 3

The databases are on a PostgreSQL 16 and an 18 of their own. The floor is what an operator would type: a file with one `select count(*)` a table, psql on both
sides at the same time, no parallel workers. Beside it what compares the schemas, `pg_dump -s` on both sides and diff. Start-up is measured on a site with one
expectation, and subtracted where a ratio says "net". The work is waiting for a server, whose own CPU time nobody here sees: wall time is compared.
"""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import PYTEST_ALONE, WORK, Case, arguments, interleave, pytest_argv, report, save
from benchmarks.permissions import prove_evidence
from interlock.testing.faults import write_site
from tools.postgres import PostgresError, Server, programs, running

OURS, START = "interlock preflight", "interlock preflight, one file"
COUNTS, SCHEMAS = "two psql, a count a table", "two pg_dump -s and diff"
GOAL = 1.3
NO_WORKERS = "PGOPTIONS=-cmax_parallel_workers_per_gather=0"


def load(server: Server, tables: int, rows: int) -> None:
    """Small tables of a few thousand rows, and one with `rows`, with keys, indexes and what else a schema has."""
    import psycopg

    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        for number in range(tables):
            name, parent = f"t{number:03d}", f"references t{number - 1:03d}" if number else ""
            connection.execute(
                f"create table {name} (id integer primary key {parent}, name text not null default 'x', at timestamptz, n numeric(10, 2) check (n > 0))"
            )
            connection.execute(f"insert into {name} select n, 'name ' || n, now(), n from generate_series(1, {5000 - number}) n")
            connection.execute(f"create index {name}_by_name on {name} (name) where n < 100")
        connection.execute("create table large (id integer primary key, a integer, b text)")
        connection.execute(f"insert into large select n, n % 7, repeat('x', 60) from generate_series(1, {rows}) n")
        connection.execute("vacuum analyze")


def cases(source: Server, target: Server, folder: Path, tables: int) -> list[Case]:
    """The same two databases by everybody."""
    dsns = {"BENCH_DSN": source.dsn(), "BENCH_TARGET_DSN": target.dsn()}
    (folder / "copy").mkdir()
    databases = {"old": {"dsn_env": "BENCH_DSN"}, "new": {"dsn_env": "BENCH_TARGET_DSN"}}
    write_site(folder / "copy", {"databases": databases, "parity": {"move": {"source": "old", "target": "new"}}})
    (folder / "one").mkdir()
    write_site(folder / "one", {"expect": {"here": {"file": {"path": str(folder)}}}})
    names = [*(f"t{number:03d}" for number in range(tables)), "large"]
    (folder / "counts.sql").write_text("".join(f"select count(*) from {name};\n" for name in names))
    alone = PYTEST_ALONE | {"PYTEST_PLUGINS": "interlock.plugin"} | dsns
    preflight = pytest_argv("-m", "preflight")
    return [
        Case(name=OURS, argv=preflight, cwd=folder / "copy", environ=alone, prove=lambda: prove_evidence(folder / "copy", 6 * tables)),
        Case(name=START, argv=preflight, cwd=folder / "one", environ=alone, prove=lambda: prove_evidence(folder / "one", 1)),
        Case(name=COUNTS, argv=("sh", "-c", _at_once(f"{_program('psql')} -XAtqf counts.sql", dsns)), cwd=folder),
        Case(
            name=SCHEMAS,
            argv=("sh", "-c", _at_once(f"{_program('pg_dump')} --restrict-key=x -s", dsns) + " && diff BENCH_DSN BENCH_TARGET_DSN"),
            cwd=folder,
            exit_codes=(0, 1),
        ),
    ]


def _program(name: str) -> str:
    return shlex.quote(str(programs(18) / name))


def _at_once(command: str, dsns: dict[str, str]) -> str:
    """A shell line that runs a command on both databases at the same time, and fails when one of them does."""
    started = [f"env {NO_WORKERS} {command} {shlex.quote(dsn)} >{name} & p{number}=$!" for number, (name, dsn) in enumerate(dsns.items())]
    return "; ".join(started).replace("&;", "&") + "; wait $p0 && wait $p1"


def net(measured: Sequence[Case]) -> dict[str, object]:
    """Ours without start-up against the counts alone, and against all that ours does."""
    walls = {case.name: case.median("wall_ms") for case in measured}
    ours, start, counts, schemas = (walls[name] for name in (OURS, START, COUNTS, SCHEMAS))
    if ours is None or start is None or not counts or not schemas:
        return {f"net of start-up against {COUNTS}": "missing"}
    alone, both = (ours - start) / counts, (ours - start) / (counts + schemas)
    return {
        f"net of start-up against {COUNTS} (goal <= {GOAL})": f"{alone:.2f}: {'reached' if alone <= GOAL else 'NOT reached'}",
        f"net of start-up against {COUNTS}, then {SCHEMAS} (goal <= {GOAL})": f"{both:.2f}: {'reached' if both <= GOAL else 'NOT reached'}",
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write the figures."""
    options = arguments(str(__doc__).partition("\n")[0], argv, _add)
    WORK.mkdir(exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="il-bench-") as name:
            folder = Path(name)
            folder.chmod(0o711)  # as root the servers run as nobody, who must be able to get there
            with running(16, folder / "a") as source, running(18, folder / "b") as target:
                for server in (source, target):
                    load(server, options.tables, options.rows)
                measured = cases(source, target, folder, options.tables)
                interleave(measured, options.rounds)
    except PostgresError as error:
        print(f"parity: missing: {error}")
        return
    title = f"parity: {options.tables} tables of up to 5,000 rows and one of {options.rows:,}, PostgreSQL 16 and 18"
    save("parity", [report(title, measured, (), net(measured))], options.json)


def _add(parser: object) -> None:
    parser.add_argument("--tables", type=int, default=200, help="how many small tables")  # type: ignore[attr-defined]
    parser.add_argument("--rows", type=int, default=3_000_000, help="rows of the large one")  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
