"""Does each guardrail speak when its own thing breaks, and stay silent otherwise? `make demo-break` breaks one thing at a time on the healthy demo stack.

Exactly the expected guardrails must turn broken: the one that the fault is for, and those that the same fault breaks in truth. What nobody can tell any
more is counted beside them. Then the thing is mended and the next one broken. 1 when a guardrail stays silent or another one speaks. `tools.demo_faults`
has the faults.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, assert_never

from interlock.cli import main as interlock
from interlock.judge import catalogue
from interlock.observe.world import observer
from tools.demo_faults import BREAKS, MOVE, POSTFLIGHT, PREFLIGHT, SCAN, Break, BreakRows, BreakSilence
from tools.demo_site import RUN, DemoError, DemoSite, alone, lay_out
from tools.demo_stack import Stack, running_stack

WIDTH = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a gate said: the broken guardrails with their first sentence, and how many could not tell."""

    broken: dict[str, str]
    unproven: frozenset[str]


def main(argv: Sequence[str] | None = None) -> int:
    """Break one thing after another. 0 when each time exactly the expected guardrails said so."""
    parser = argparse.ArgumentParser(description="Break one thing at a time on the demo site, and show which guardrail says so.")
    parser.add_argument("--run", type=Path, default=RUN, metavar="FOLDER", help="where the demo site is laid out (default: examples/platform/run)")
    parser.add_argument("--only", metavar="GUARDRAIL", help="only the faults of this guardrail")
    given = parser.parse_args(argv)
    run: Path = given.run.resolve()
    breaks = [one for one in BREAKS if given.only in (None, one.guardrail)]
    try:
        with alone(run), running_stack(lay_out(run, released=True)) as stack:
            stack.copy()
            for gate in (PREFLIGHT, SCAN, MOVE, POSTFLIGHT):
                _demand_healthy(stack, gate)
            wrong = [one for one in breaks if not _show(stack, one)]
    except DemoError as error:
        print(f"\ndemo-break: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo-break: interrupted", file=sys.stderr)
        return 130
    print(f"\n{len(breaks) - len(wrong)} of {len(breaks)} faults were named by the expected guardrail, and by no other")
    return 1 if wrong or not breaks else 0


def _demand_healthy(stack: Stack, gate: tuple[str, ...]) -> None:
    found = _ask(stack, gate)
    if found.broken or found.unproven:
        raise DemoError(f"the demo site should be healthy, and `{' '.join(gate[:2])}` says: {found.broken or ', '.join(sorted(found.unproven))}")


def _show(stack: Stack, one: Break | BreakRows | BreakSilence) -> bool:
    """Break it, ask, mend it, print a row; True when exactly the expected guardrails spoke."""
    with _broken_for_now(stack, one):
        found = _ask(stack, one.gate)
    right = found.broken.keys() == {one.guardrail, *one.also}
    print(f"\n{'ok ' if right else 'NO '} {one.what}")
    for guardrail, message in sorted(found.broken.items(), key=lambda item: item[0] != one.guardrail):
        print(textwrap.fill(f"{guardrail}: {message}", WIDTH, initial_indent="    ", subsequent_indent="      ", break_long_words=False), flush=True)
    silent = sorted({one.guardrail, *one.also} - found.broken.keys())
    if silent:
        print(f"    (silent: {', '.join(silent)})", flush=True)
    if found.unproven:
        print(
            textwrap.fill(f"nobody can tell any more: {', '.join(sorted(found.unproven))}", WIDTH, initial_indent="    ", subsequent_indent="      "),
            flush=True,
        )
    return right


@contextmanager
def _broken_for_now(stack: Stack, one: Break | BreakRows | BreakSilence) -> Iterator[None]:
    match one:
        case Break():
            with _kept(stack.site, one.path(stack.site)) as path:
                one.seed(stack.site, path)
                one.then(stack.site)
                yield
            one.then(stack.site)
        case BreakRows():
            server = stack.source if one.source else stack.target
            _execute(server.dsn("ledger"), one.breaks)
            yield
            _execute(server.dsn("ledger"), one.mends)
        case BreakSilence():
            with socket.create_server(("127.0.0.1", one.port(stack.site))):
                yield
        case _:
            assert_never(one)


@contextmanager
def _kept(site: DemoSite, path: Path) -> Iterator[Path]:
    """A copy is kept meanwhile, and comes back in the end, whatever became of the path."""
    kept, mode = site.memory / "kept", path.stat().st_mode
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir()
    copy = kept / path.name
    if path.is_dir():
        shutil.copytree(path, copy, symlinks=True)
    else:
        shutil.copy2(path, copy)
    try:
        yield path
    finally:
        if path.is_symlink():
            target = path.resolve()
            path.unlink()
            shutil.rmtree(target)
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        shutil.move(copy, path)
        path.chmod(mode)


def _execute(dsn: str, statements: str) -> None:
    import psycopg

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statements.encode())


def _ask(stack: Stack, gate: tuple[str, ...]) -> Answer:
    """What a gate says. Raises DemoError when the answer is no record."""
    said = _scanned(stack) if gate == SCAN else _started(stack, gate)
    try:
        record: dict[str, Any] = json.loads(said)
    except ValueError as error:
        raise DemoError(f"`{' '.join(gate)}` printed no record:\n{said}") from error
    broken: dict[str, str] = {}
    for verdict in record["verdicts"]:
        if verdict["outcome"] == "broken":
            broken.setdefault(verdict["guardrail"], verdict["message"])
    return Answer(broken=broken, unproven=frozenset(verdict["guardrail"] for verdict in record["verdicts"] if verdict["outcome"] == "unproven"))


def _started(stack: Stack, gate: tuple[str, ...]) -> str:
    """What a gate prints; its errors when that is nothing."""
    done = subprocess.run(gate, cwd=stack.site.run, env=stack.environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout or done.stderr


def _scanned(stack: Stack) -> str:
    """What SCAN prints, from a copy of this process that has everything imported: half of the time of so many scans is starting Python."""
    for known in catalogue():
        observer(known)
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            _scan_and_leave(stack, said.fileno())
        os.waitpid(child, 0)
        said.seek(0)
        return said.read().decode("utf-8", "replace")


def _scan_and_leave(stack: Stack, out: int) -> NoReturn:
    """As the command line does it, in a process that ends here."""
    try:
        for descriptor in (1, 2):
            os.dup2(out, descriptor)
        os.chdir(stack.site.run)
        os.environ.clear()
        os.environ.update(stack.environ)
        signal.alarm(120)
        interlock(SCAN[1:])
        sys.stdout.flush()
    finally:
        os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
