"""One target under atheris: `python -m tests.fuzz.run_target TARGET CORPUS... -max_total_time=60`. Started by tools/fuzz.py."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["interlock"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Hand everything behind the target's name to libFuzzer."""
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, lambda data: target(bytes(data)))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
