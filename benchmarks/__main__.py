"""Every benchmark, one after the other: `python -m benchmarks` or `make bench`. Each module here with a `main` is one."""

from __future__ import annotations

import importlib
from pathlib import Path

NONE = {"__init__", "__main__", "measure"}


def main() -> None:
    """Run them in the order of their names, with their defaults."""
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem not in NONE:
            importlib.import_module(f"benchmarks.{path.stem}").main([])


if __name__ == "__main__":
    main()
