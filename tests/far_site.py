"""The tiny site (`tests/tiny_site.py`) with its instance and its command on another host, `far`: a real sshd on loopback.

What the host does is seen in the same folder, since it is this machine; that a step ran there, and not here, is seen by its journal and by the sshd's log.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path

from interlock import runner
from interlock.errors import LockHeld
from interlock.gate.decision import Open
from interlock.verdicts import When
from tests.integration.sshd import PrivateSshd
from tests.tiny_site import PROGRAMS, Tiny, again, make_tiny

STEPS = """\
      - write-files: {{templates: [conf, motd]}}
      - command: {{host: far, directory: "{root}", run: [bin/deploy], undo: [bin/undeploy], done: [bin/deployed], timeout: 20s}}
      - verify: {{expect: [deployed]}}
"""


def make_far(folder: Path, server: PrivateSshd, *, steps: str = STEPS, programs: dict[str, str] | None = None, twin: bool = False) -> Tiny:
    """The site in `folder`; `far` is reached through `server`, and its lock lies in `far-lock`; `twin` is another name of it."""
    root = folder / "site"
    far = {"ssh": server.ssh(), "timeout": 10, "lock": str(root / "far-lock")}
    tiny = make_tiny(
        folder,
        steps=steps.format(root=root),
        programs=PROGRAMS | (programs or {}),
        hosts="".join(f"  {name}: {json.dumps(far)}\n" for name in (("far", "twin") if twin else ("far",))),
    )
    (root / "far-lock").mkdir(mode=0o700)
    path = root / "interlock.yaml"
    path.write_text(path.read_text().replace("  main:\n    directory", "  main:\n    host: far\n    directory"))
    return again(tiny)


def checkout(tiny: Tiny, folder: Path) -> Tiny:
    """The same site in another checkout, with books of its own."""
    folder.mkdir(mode=0o755)
    for name in ("interlock.yaml", "allowed_signers"):
        (folder / name).write_bytes((tiny.root / name).read_bytes())
    for name in ("templates", "bin"):
        (folder / name).mkdir()
        for path in (tiny.root / name).iterdir():
            (folder / name / path.name).write_bytes(path.read_bytes())
            (folder / name / path.name).chmod(path.stat().st_mode)
    return again(dataclasses.replace(tiny, root=folder))


def patiently(verb: Callable[..., runner.Outcome], tiny: Tiny, plan: str) -> runner.Outcome:
    """As soon as the far end of the one that died has let go of its lock, which must not take longer than a moment."""
    until, run = time.monotonic() + 10, tiny._gated(When.APPLY, "release", Open()).run
    while True:
        try:
            return verb(tiny.site, plan, tiny.environ, tiny.means(kept=lambda name: tiny.runs_kept.get(name, run)))
        except LockHeld:
            assert time.monotonic() < until
            time.sleep(0.1)
