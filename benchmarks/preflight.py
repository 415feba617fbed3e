"""What does a whole preflight cost beside the bare cost of its parts? The demo's site with its two databases, against the same looks made by hand.

    python -m benchmarks.preflight        (it starts the demo's stack itself)

Ours is `pytest -m preflight --for move` on the demo site to which the move's databases were added. Bare is one Python that starts an empty pytest, looks at
the same things with the probe alone, connects to the two databases and counts, and has docker compose resolve the same chain.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import PYTEST_ALONE, WORK, Case, Goal, arguments, interleave, report, save

OURS, BARE = "pytest -m preflight --for move, the whole demo", "its parts, bare"
LIMIT = 1.3
_BARE = """
import json, os, subprocess, sys, threading
import psycopg
given = json.loads(sys.argv[1])
def count(name):
    with psycopg.connect(os.environ[name]) as connection:
        connection.execute("SELECT count(*) FROM entries").fetchone()
threads = [threading.Thread(target=count, args=(name,)) for name in ("LEDGER_DSN", "LEDGER_18_DSN")]
for thread in threads: thread.start()
subprocess.run(given["compose"], check=True, capture_output=True)
subprocess.run((sys.executable, "-I", "-S", "-"), input=given["probe"].encode(), check=True, capture_output=True)
for thread in threads: thread.join()
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", given["empty"]]) != 5)
"""


def combined(run: Path) -> None:
    """The demo's site file, with the databases and the action of its move."""
    move = (run / "move" / "interlock.yaml").read_text()
    databases, actions = move[move.index("databases:") : move.index("expect:")], move[move.index("  move:\n    approval") :]
    text = (run / "interlock.yaml").read_text()
    unused = text[text.index("not_used:") : text.index("approval:")]
    text = text.replace(unused, databases).replace("actions:\n", f"actions:\n{actions}\n", 1)
    (run / "interlock.yaml").write_text(text)


def cases(run: Path, environ: dict[str, str]) -> list[Case]:
    """Both, in the environment of the demo's operator."""
    from interlock.config.load import load_site
    from interlock.gate.required import asked, with_subjects
    from interlock.judge import catalogue
    from interlock.observe.compose_binary import find_compose
    from interlock.observe.conversation import MARK, payload
    from interlock.observe.world import looks_for
    from interlock.verdicts import When

    site, gates = load_site(run / "interlock.yaml", environ), frozenset({When.PREFLIGHT})
    looks = looks_for(site, with_subjects(site, asked(site, catalogue(), gates, "move"), gates, "move"))
    compose = find_compose(os.environ)
    assert compose is not None, "make setup"
    python = payload(tuple(looks["local"]), "bench", 60).decode().partition(f"\n{MARK}\n")[2]
    empty = WORK / "empty"
    empty.mkdir(parents=True, exist_ok=True)
    chain = ("--file", "compose/compose.yaml", "--file", "compose/compose.flat-mount.yaml", "--env-file", ".env")
    given = {"compose": (compose.path, *chain, "--profile", "*", "config", "--format", "json"), "probe": python, "empty": str(empty)}
    alone = environ | PYTEST_ALONE | {"PYTEST_PLUGINS": "interlock.plugin"}
    ours = (sys.executable, "-m", "pytest", "-q", "-m", "preflight", "--for", "move", "-p", "no:cacheprovider")
    return [
        Case(name=OURS, argv=ours, cwd=run, environ=alone),
        Case(name=BARE, argv=(sys.executable, "-c", _BARE, json.dumps(given)), cwd=run, environ=environ | PYTEST_ALONE),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Start the stack, measure, print, and write the figures."""
    from tools.demo_site import lay_out
    from tools.demo_stack import running_stack

    options = arguments(str(__doc__).partition("\n")[0], argv, lambda _parser: None)
    run = WORK / "preflight"
    with running_stack(lay_out(run)) as stack:
        stack.copy()
        combined(run)
        measured = cases(run, stack.environ)
        interleave(measured, options.rounds)
    save("preflight", [report("preflight of the whole demo", measured, (Goal(ours=OURS, peer=BARE, limit=LIMIT),))], options.json)


if __name__ == "__main__":
    main()
