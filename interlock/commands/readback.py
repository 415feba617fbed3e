"""Does a site file load? Asked of a second process: it imports the nouns of a site, which takes as long as looking at a tree, while `init` looks at the tree.

Where no second process can be had, the first one does it itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

_PROGRAM = "import gc; gc.disable(); from interlock.commands.readback import answer; answer()"  # what is imported is no garbage


class Readback:
    """A process that waits for the name of a file. Use it in a `with` block."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        with suppress(OSError):
            self._process = subprocess.Popen(
                (sys.executable, "-c", _PROGRAM), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8"
            )

    def __enter__(self) -> Readback:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process is not None:
            self._process.kill()  # it has nothing to tidy up
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()

    def fault(self, path: Path) -> tuple[str, int] | None:
        """What is wrong with the site file at `path`, and on which line; None when it loads."""
        said: Any = self._ask(path)
        if said == "":
            said = fault_of(str(path))
        return None if said is None else (str(said[0]), int(said[1]))

    def _ask(self, path: Path) -> Any:
        """The answer; empty when there is none."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return ""
        try:
            print(json.dumps(str(path)), file=process.stdin, flush=True)
            return json.loads(process.stdout.readline())
        except (OSError, ValueError):
            return ""


def fault_of(path: str) -> tuple[str, int] | None:
    """The first fault of a site file and its line, 0 where it has none; None when it loads."""
    from interlock.config.load import load_site
    from interlock.errors import ConfigError

    try:
        load_site(Path(path), None)
    except ConfigError as error:
        first = error.problems[0]
        place = first.where.rsplit(":", 2)
        return first.what, int(place[1]) if len(place) == 3 and place[1].isdecimal() else 0
    return None


def answer() -> None:
    """The second process: a name of a file on each line, and what is wrong with it."""
    import interlock.config.load  # noqa: F401, before anybody asks
    from interlock.config.models import Site

    Site.model_rebuild()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(fault_of(json.loads(line))) + "\n")
        sys.stdout.flush()
