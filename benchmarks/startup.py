"""What does a gate run cost before it looks at anything? `pytest -m preflight --collect-only` on the demo's site, against a bare pytest in an empty folder.

python -m benchmarks.startup
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import PYTEST_ALONE, WORK, Case, Goal, arguments, interleave, pytest_argv, report, save

DEMO = Path(__file__).parent.parent / "examples" / "platform" / "run"
OURS, BARE = "preflight --collect-only", "pytest --collect-only, empty folder"
NOT_RUN, NOTHING_COLLECTED = 10, 5
INSTALLED = "all plugins installed here"


def cases() -> list[Case]:
    """Both with every plugin that happens to be installed, as somebody types it, and with none but ours."""
    empty = WORK / "empty"
    empty.mkdir(parents=True, exist_ok=True)
    missing = "" if (DEMO / "interlock.yaml").exists() else "no demo site: make site"
    alone, typed = PYTEST_ALONE | {"PYTEST_PLUGINS": "interlock.plugin"}, (sys.executable, "-m", "pytest", "-q", "--collect-only")
    return [
        Case(
            name=OURS,
            argv=pytest_argv("-c", str(WORK / "pytest.ini"), "--rootdir", str(DEMO), "-m", "preflight", "--collect-only"),
            cwd=DEMO,
            environ=alone,
            exit_codes=(NOT_RUN,),
            missing=missing,
        ),
        Case(name=BARE, argv=pytest_argv("--collect-only"), cwd=empty, environ=PYTEST_ALONE, exit_codes=(NOTHING_COLLECTED,)),
        Case(name=f"{OURS}, {INSTALLED}", argv=(*typed, "-m", "preflight"), cwd=DEMO, exit_codes=(NOT_RUN,), missing=missing),
        Case(name=f"{BARE}, {INSTALLED}", argv=typed, cwd=empty, exit_codes=(NOTHING_COLLECTED,)),
    ]


GOALS = (Goal(ours=f"{OURS}, {INSTALLED}", peer=f"{BARE}, {INSTALLED}", limit=1.2), Goal(ours=OURS, peer=BARE, limit=1.2))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write the figures."""
    options = arguments(str(__doc__).partition("\n")[0], argv, lambda _parser: None)
    measured = cases()
    interleave(measured, options.rounds)
    save("startup", [report("start-up", measured, GOALS)], options.json)


if __name__ == "__main__":
    main()
