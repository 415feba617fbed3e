"""Does each guardrail speak when its own thing breaks, and stay silent otherwise? `make demo-break` breaks one thing at a time on the healthy demo site.

Exactly the expected guardrail must turn broken, for every other one still holds; then the thing is mended and the next one broken. 1 when a guardrail stays
silent or another one speaks.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.demo_site import RUN, DemoError, DemoSite, alone, lay_out
from tools.demo_stack import operator_environ

PREFLIGHT = ("interlock", "preflight", "--format", "json")
SCAN = ("interlock", "scan", ".", "--format", "json")
WIDTH = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """One thing that goes wrong. `seed` breaks it below a site; the site is mended by laying the named path out again from a copy."""

    what: str
    path: Callable[[DemoSite], Path]
    seed: Callable[[DemoSite, Path], None]
    guardrail: str
    gate: tuple[str, ...] = PREFLIGHT


def _state_off_its_disk(site: DemoSite, state: Path) -> None:
    moved = site.run / "moved-state"
    shutil.copytree(state, moved)
    shutil.rmtree(state)
    state.symlink_to(moved)


def _newest_backup(site: DemoSite) -> Path:
    return max(site.backups.iterdir())


def _edit(before: str, after: str) -> Callable[[DemoSite, Path], None]:
    def edit(_site: DemoSite, path: Path) -> None:
        text = path.read_text()
        if before not in text:
            raise DemoError(f"{path} has no {before!r} to break")
        path.write_bytes(text.replace(before, after).encode())

    return edit


def _chmod(mode: int) -> Callable[[DemoSite, Path], None]:
    return lambda _site, path: path.chmod(mode)


def _below(relative: str) -> Callable[[DemoSite], Path]:
    return lambda site: site.run / relative


BREAKS = (
    Break(
        what="the state directory was moved off its disk, and a link left behind",
        path=lambda site: site.state,
        seed=_state_off_its_disk,
        guardrail="mounts.state_disk",
    ),
    Break(what="the newest backup was copied under a wide umask", path=_newest_backup, seed=_chmod(0o644), guardrail="backups.mode_0600"),
    Break(what="the directory of the backups can be listed by everybody", path=lambda site: site.backups, seed=_chmod(0o755), guardrail="backups.mode_0600"),
    Break(
        what="a template was edited, its canonical file was not",
        path=_below("templates/nginx.conf"),
        seed=_edit("server_tokens off;", "server_tokens on;"),
        guardrail="templates.byte_equivalent",
    ),
    Break(
        what="an editor saved a canonical file with the line ends of another system",
        path=_below("canonical/prometheus.yml"),
        seed=_edit("\n", "\r\n"),
        guardrail="templates.byte_equivalent",
    ),
    Break(
        what="a service has two lists of volumes, and YAML readers silently drop the first",
        path=_below("compose/compose.flat-mount.yaml"),
        seed=_edit("  postgres:\n", "  postgres:\n    volumes: []\n"),
        guardrail="compose.strict_parse",
        gate=SCAN,
    ),
    Break(
        what="a merge was committed with its conflict marks",
        path=_below("compose/compose.yaml"),
        seed=_edit("services:\n", "<<<<<<< HEAD\nservices:\n"),
        guardrail="compose.strict_parse",
        gate=SCAN,
    ),
    Break(
        what="a new setting came with the stack, and no instance has it",
        path=_below("compose/compose.yaml"),
        seed=_edit("registry.internal/ledger", "${REGISTRY}/ledger"),
        guardrail="env.coverage",
    ),
    Break(
        what="others may enter the folder of the receipts (an expectation of the site)",
        path=lambda site: site.state / "receipts",
        seed=_chmod(0o750),
        guardrail="expect.file",
    ),
    Break(
        what="a module lost its runbook (a check of the operator's own)",
        path=_below("modules/ledger/runbook.md"),
        seed=lambda _site, path: path.unlink(),
        guardrail="own.smoke.every_module_has_a_runbook",
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Break one thing after another. 0 when each time exactly the expected guardrail said so."""
    parser = argparse.ArgumentParser(description="Break one thing at a time on the demo site, and show which guardrail says so.")
    parser.add_argument("--run", type=Path, default=RUN, metavar="FOLDER", help="where the demo site is laid out (default: examples/platform/run)")
    run: Path = parser.parse_args(argv).run.resolve()
    try:
        with alone(run):
            site = lay_out(run)
            for gate in (PREFLIGHT, SCAN):
                _demand_healthy(site, gate)
            wrong = [one for one in BREAKS if not _show(site, one)]
    except DemoError as error:
        print(f"\ndemo-break: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo-break: interrupted", file=sys.stderr)
        return 130
    print(f"\n{len(BREAKS) - len(wrong)} of {len(BREAKS)} faults were named by the expected guardrail, and by no other")
    return 1 if wrong else 0


def _demand_healthy(site: DemoSite, gate: tuple[str, ...]) -> None:
    found = _broken(site, gate)
    if found:
        raise DemoError(f"the demo site should be healthy, and `{' '.join(gate[:2])}` says: {found}")


def _show(site: DemoSite, one: Break) -> bool:
    """Break it, ask, mend it, print a row; True when exactly the expected guardrail spoke."""
    with _broken_for_now(site, one):
        found = _broken(site, one.gate)
    right = set(found) == {one.guardrail}
    print(f"\n{'ok ' if right else 'NO '} {one.what}")
    for guardrail, message in found.items() or {"(nobody)": f"expected {one.guardrail}"}.items():
        print(textwrap.fill(f"{guardrail}: {message}", WIDTH, initial_indent="    ", subsequent_indent="      ", break_long_words=False), flush=True)
    return right


@contextmanager
def _broken_for_now(site: DemoSite, one: Break) -> Iterator[None]:
    path = one.path(site)
    kept, mode = site.run / ".kept", path.stat().st_mode
    if path.is_dir():
        shutil.copytree(path, kept)
    else:
        shutil.copy2(path, kept)
    try:
        one.seed(site, path)
        yield
    finally:
        if path.is_symlink():
            target = path.resolve()
            path.unlink()
            shutil.rmtree(target)
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        shutil.move(kept, path)
        path.chmod(mode)


def _broken(site: DemoSite, gate: tuple[str, ...]) -> Mapping[str, str]:
    """The guardrails that do not hold, with what they say. Raises DemoError when the answer is no record."""
    done = subprocess.run(gate, cwd=site.run, env=operator_environ(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    try:
        record: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        raise DemoError(f"`{' '.join(gate)}` ended with {done.returncode} and printed no record:\n{done.stderr or done.stdout}") from error
    return {verdict["guardrail"]: verdict["message"] for verdict in record["verdicts"] if verdict["outcome"] in ("broken", "unproven")}


if __name__ == "__main__":
    sys.exit(main())
