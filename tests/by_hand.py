"""A site, and a human at a real terminal who types: plan, approve, apply, with the real command line, real gates and real keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.in_terminal import INTERLOCK, Shown, human_environ, in_terminal
from tests.tiny_site import OLD, SECRET, Tiny, key_of, make_tiny

DIGITS = r"type the first 8 digits of its digest: "
GATED = """\
      - backup: {modules: [app]}
      - write-files: {templates: [conf, motd]}
      - command: {run: [bin/deploy], undo: [bin/undeploy], done: [bin/deployed]}
      - verify: {expect: [deployed]}
    gate: [backups.mode_0600, expect]
"""


class Hand:
    """A site, and a human who types."""

    def __init__(self, folder: Path, **site: object) -> None:
        self.tiny: Tiny = make_tiny(folder, **{"steps": GATED, **site})  # type: ignore[arg-type]
        self.environ = human_environ(folder, TINY_PASSWORD=SECRET)

    def type(self, *words: str, replies: tuple[tuple[str, str | Callable[[str], str]], ...] = (), environ: Mapping[str, str] | None = None) -> Shown:
        return in_terminal((*INTERLOCK, *words), environ or self.environ, self.tiny.root, replies=replies)

    def plan(self) -> str:
        """A plan signed by anna: the name of its folder."""
        shown = self.type("plan", "release", "--key", str(key_of("anna")))
        assert shown.code == 0, shown.text
        found = re.search(r"plans/([\w.-]+)/plan\.json", shown.text)
        assert found
        return found[1]

    def approve(self, plan: str, person: str = "anna", typed: str | None = None) -> Shown:
        digits = plan.rpartition("-")[2][:8] if typed is None else typed
        return self.type("approve", plan, "--key", str(key_of(person)), replies=((DIGITS, digits),))

    def untouched(self) -> bool:
        return self.tiny.look() == OLD and not list((self.tiny.root / ".interlock" / "journal").glob("0*"))


def approved(hand: Hand) -> str:
    """A plan that anna made and approved."""
    plan = hand.plan()
    assert hand.approve(plan).code == 0
    return plan
