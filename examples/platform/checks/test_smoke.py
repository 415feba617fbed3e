"""The platform team's own rules, beside interlock's: they run with every preflight and postflight of this site."""

from __future__ import annotations

import re
from pathlib import Path

SITE = Path(__file__).parent.parent


def test_every_module_has_a_runbook() -> None:
    """A module without one cannot be restored by whoever is on call."""
    without = [module.parent.name for module in sorted(SITE.glob("modules/*/module.yaml")) if not (module.parent / "runbook.md").is_file()]
    assert not without, f"no runbook.md for {', '.join(without)}"


def test_all_instances_are_on_one_release() -> None:
    """The spare is no spare when it would start another release."""
    releases = {file.parent.name: re.findall(r"^APP_RELEASE=(.+)$", file.read_text(), re.MULTILINE) for file in sorted(SITE.glob("canonical/*/app.env"))}
    assert releases, "no instance has an app.env"
    assert len({tuple(found) for found in releases.values()}) == 1, f"different releases: {releases}"
