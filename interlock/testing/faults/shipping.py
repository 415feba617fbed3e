"""Files that never reach the host, copies that drifted apart, and release numbers that are given twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from interlock.testing.faults import Fault, write_site
from interlock.verdicts import When

UPGRADE = """\
#!/bin/sh
set -eu
for file in compose.yaml compose.prod.yaml compose.tls.yaml; do
  curl -fsSL "$BASE/$file" -o "/opt/app/$file"
done
cd /opt/app
docker compose -f compose.yaml -f compose.prod.yaml -f compose.tls.yaml config --quiet
"""
WATCH = """\
#!/bin/sh
# This file is a copy of host/watch.sh
set -eu
free="$(df --output=avail /srv | tail -n 1)"
[ "$free" -gt 1000000 ] || logger "the disk is full"
"""
RELEASE = """\
#!/bin/sh
set -eu
month="$(date +%Y.%m)"
if [ "$1" = main ]; then CHANNEL=stable; else CHANNEL=dev; fi
highest="$(git tag -l "*-$month.*" | sed 's/.*[.]//' | sort -n | tail -n 1)"
tag="$CHANNEL-$month.$((${highest:-0} + 1))"
git tag "$tag"
git push origin "refs/tags/$tag"
"""


def _healthy(folder: Path) -> None:
    for name in ("compose.yaml", "compose.prod.yaml", "compose.tls.yaml"):
        (folder / name).write_text("services: {app: {image: registry.example.org/app:1}}\n")
    (folder / "host").mkdir()
    (folder / "fleet").mkdir()
    (folder / "host" / "watch.sh").write_text(WATCH.replace("# This file is a copy of host/watch.sh\n", ""))
    for name, text in (("upgrade.sh", UPGRADE), ("fleet/watch.sh", WATCH), ("release.sh", RELEASE)):
        (folder / name).write_text(text)
    write_site(folder, {"scripts": {"found": True}})


def _edit(name: str, before: str, after: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        text = (folder / name).read_text()
        assert before in text
        (folder / name).write_text(text.replace(before, after))

    return edit


def _unreadable(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to("/etc/hostname")  # leads out of the tree: it cannot be looked at, whoever looks

    return make


FAULTS = (
    Fault(
        guardrail="shipping.completeness",
        describe="an overlay that the upgrade uses and does not fetch",
        kind="not-refreshed",
        gate=When.STATIC,
        healthy=_healthy,
        seed=_edit("upgrade.sh", " compose.tls.yaml; do", "; do"),
        blind=_unreadable("upgrade.sh"),
    ),
    Fault(
        guardrail="shipping.fleet_files_in_sync",
        describe="a script that was mended on one of two hosts",
        kind="drifted",
        gate=When.STATIC,
        healthy=_healthy,
        seed=_edit("host/watch.sh", "1000000", "5000000"),
        blind=_unreadable("host/watch.sh"),
    ),
    Fault(
        guardrail="shipping.calver_counter",
        describe="each channel counts its own releases",
        kind="per-channel",
        gate=When.STATIC,
        healthy=_healthy,
        seed=_edit("release.sh", '"*-$month.*"', '"$CHANNEL-$month.*"'),
        blind=_unreadable("release.sh"),
    ),
)
