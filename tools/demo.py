"""What is the main job of interlock, seen from the operator's chair? `make demo` shows it on a small real stack, in under a minute.

Two people sit at two terminals, a planner and an approver. What they type and what they see is real: real shells, real PostgreSQL, the real command line.
`tools.demo_site` lays the site out, `tools.demo_stack` starts what runs, `tools.terminal` types. At the end everything is stopped; the site and its
reports stay.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tools.demo_site import NEW_RELEASE, OLD_RELEASE, PEOPLE, ROOT, RUN, DemoError, DemoSite, alone, lay_out
from tools.demo_stack import Stack, running_stack
from tools.postgres import PostgresError
from tools.terminal import Reply, Shell, ShownWrongError

MOVE_GATE = "interlock preflight --site move/interlock.yaml --for move"
APPROVAL_MISSING = 13  # docs/gate.md
WIDE_BACKUP_MODE = 0o644
BY_HAND, ON_PUSH = "workflow_dispatch:", "push:"
UNKNOWN = "/var/lib/ledger-uploads"
EXCLUSION = f"excluded: [{{mount: {UNKNOWN}, reason: small pictures that the app makes anew}}]"
AGREED_LINE, DRIFTED_LINE = "proxy_read_timeout 30s;", "proxy_read_timeout 300s;"


def main(argv: Sequence[str] | None = None) -> int:
    """Show it. 0 when everything went as the demo says; 1 with one message when something did not."""
    parser = argparse.ArgumentParser(description="Show the main job of interlock on a small real stack.")
    parser.add_argument("--run", type=Path, default=RUN, metavar="FOLDER", help="where the demo site is laid out (default: examples/platform/run)")
    run: Path = parser.parse_args(argv).run.resolve()
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _interrupted)
    started = time.monotonic()
    try:
        with alone(run), running_stack(lay_out(run)) as stack:
            show(stack)
        tell(f"Everything is stopped again ({time.monotonic() - started:.0f} s). The site stays in {_shown(run)}: try `pytest -m preflight`.")
    except (DemoError, PostgresError, ShownWrongError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted; everything is stopped", file=sys.stderr)
        return 130
    return 0


def _interrupted(number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt(number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What went wrong on the site since its last release; paths are relative to its folder."""

    backup: Path
    template: Path = Path("templates", "nginx.conf")
    workflow: Path = Path(".forgejo", "workflows", "deploy.yml")
    overlay: Path = Path("compose", "compose.flat-mount.yaml")

    @classmethod
    def seed(cls, site: DemoSite) -> Faults:
        """The nightly job failed twice and left a copy under a wide umask, a template was edited without its canonical file, a workflow got a trigger of its
        own, and a service a directory that nobody backs up."""
        oldest, *failed = sorted(site.backups.iterdir())
        for backup in failed:
            backup.unlink()
        oldest.chmod(WIDE_BACKUP_MODE)
        faults = cls(backup=oldest.relative_to(site.run))
        _edit(site.run / faults.template, AGREED_LINE, DRIFTED_LINE)
        _edit(site.run / faults.workflow, BY_HAND, ON_PUSH)
        _edit(site.run / faults.overlay, "volumes: &flat !override\n", f"volumes: &flat !override\n      - {UNKNOWN}:/uploads\n")
        return faults


def _edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def show(stack: Stack) -> None:
    """The whole way, from a shut gate to verified evidence."""
    site = stack.site
    health, faults = stack.get("/health"), Faults.seed(site)
    tell(
        f"The ledger runs release {health['release']} at {stack.url}: {health['entries']} rows in PostgreSQL 16, receipts below {site.state}.",
        "A copy of it stands on PostgreSQL 18, for a later move.",
        f"Release {NEW_RELEASE} shall go out. Is the system fit for it?",
    )
    with ExitStack() as terminals:
        planner, approver = (
            terminals.enter_context(Shell(who=who, environ={**stack.environ, "HOME": str(site.run / "people" / who)}, folder=site.run)) for who in PEOPLE
        )
        planner.type("interlock preflight --for release", exit_code=1)
        tell("The gate is shut. The operator mends one after another; interlock itself never does.")
        planner.type(f"sed -i 's/{ON_PUSH}/{BY_HAND}/' {faults.workflow}")
        planner.type(f"chmod 0600 {faults.backup}")
        planner.type(f"sed -i 's/{DRIFTED_LINE}/{AGREED_LINE}/' {faults.template}")
        planner.type(f"echo '{EXCLUSION}' >> interlock.yaml")
        tell("The backup is made by an action with a gate of its own, which does not ask for the backup that it makes.")
        planner.type(f"interlock apply {_plan_of(planner.type('interlock plan backup'))}")
        planner.type("interlock preflight --for release")
        tell("Open. The planner resolves the release to exact bytes and commands, and signs what came out.")
        plan = _plan_of(planner.type("interlock plan release"))
        tell("The planner alone cannot go on.")
        planner.type(f"interlock apply {plan}", exit_code=APPROVAL_MISSING)
        tell("Another person reads the plan, and types the first characters of its digest.")
        approver.type(f"interlock approve {plan}", replies=[Reply(after="digest: ", say=_first_eight)])
        tell("Now it may be applied: fresh gate, same live state, backup first, then each step with its journal.")
        applied = planner.type(f"interlock apply {plan}")
        _demand_release(stack)
        evidence = _evidence_of(applied)
        tell("What is left is evidence, which anybody can verify without this system.")
        planner.type(f"interlock verify {evidence}")
        planner.type(f"ls {evidence}")
        tell("And the move to PostgreSQL 18? The copy must be the original before anybody cuts over to it.")
        planner.type(MOVE_GATE, exit_code=1)
        planner.type("bin/copy-to-18")
        planner.type(MOVE_GATE)
    tell(f"The report: {_shown(site.run / evidence / 'summary.md')}", f"The same as a page for a browser: {_shown(site.run / evidence / 'report.html')}")


def tell(*lines: str) -> None:
    """What the narrator says, apart from what the terminals show."""
    print("\n" + "\n".join(f"# {line}" for line in lines), flush=True)


def _plan_of(shown: str) -> str:
    """The name of the plan's folder, which is shorter to type than the path that was printed."""
    found = re.findall(r"plans/([\w.-]+)/plan\.json", shown)
    if not found:
        raise ShownWrongError("`interlock plan` named no plan")
    return str(found[-1])


def _first_eight(shown: str) -> str:
    found = re.search(r"sha256:([0-9a-f]{8})", shown)
    if found is None:
        raise ShownWrongError("`interlock approve` showed no digest")
    return found[1]


def _evidence_of(shown: str) -> Path:
    found = re.findall(r"\S*reports/(\S+?-release-[0-9a-f]{6})", shown)
    if not found:
        raise ShownWrongError("`interlock apply` named no evidence")
    return Path("reports", str(found[-1]))


def _demand_release(stack: Stack) -> None:
    release = stack.get("/health")["release"]
    if release != NEW_RELEASE:
        raise ShownWrongError(f"apply ended with 0, and the app runs {release} instead of {NEW_RELEASE} (before: {OLD_RELEASE})")


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


if __name__ == "__main__":
    sys.exit(main())
