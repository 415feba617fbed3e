"""Does each guardrail bite? Each is shown its seeded fault in a throw-away site, through real pytest: healthy, broken for the seeded reason and nothing else
with it, unproven when it cannot look."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TextIO

from interlock.errors import UsageError
from interlock.judge import catalogue, guardrail
from interlock.testing import CheckRun, containers, run_check
from interlock.testing.faults import Fault, all_faults, own_namespace
from interlock.verdicts import Outcome, Severity


def selftest(wanted: tuple[str, ...], out: TextIO) -> int:
    """Prove the wanted guardrails, or all, and print a line for each. Returns 0 when every one was proven, else 1, or 11 when one could not be."""
    known = {guardrail.id for guardrail in catalogue()}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise UsageError(f"there is no guardrail {unknown[0]}", remedy="see `interlock guardrails` for the ids")
    faults = [fault for fault in all_faults() if not wanted or fault.guardrail in wanted]
    failures = unprovable = 0
    seen: set[Hashable] = set()
    for fault in faults:
        lacking = _lacking(fault)
        if lacking:
            unprovable += 1
            print(f"UNPROVEN  {fault.guardrail}: {fault.describe}: {lacking}", file=out)
            continue
        problem = prove(fault, seen)
        failures += bool(problem)
        print(f"{'FAILED  ' if problem else 'proven  '}  {fault.guardrail}: {problem or fault.describe}", file=out, flush=True)
    for unseeded in sorted((set(wanted) or known) - {fault.guardrail for fault in faults}):
        failures += 1
        print(f"FAILED    {unseeded}: has no seeded fault", file=out)
    print(f"{len(faults) - failures - unprovable} proven, {failures} failed, {unprovable} unproven", file=out)
    return 1 if failures else 11 if unprovable else 0


def _lacking(fault: Fault) -> str:
    """What must be done before a fault can be seeded here; empty when all is here."""
    missing = [name for name in fault.needs if name not in os.environ]
    if missing:
        return f"set {' and '.join(missing)}"
    return "run it as root, or allow user namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns=0)" if fault.staged and not own_namespace() else ""


def prove(fault: Fault, seen: set[Hashable] | None = None) -> str:
    """Empty when the guardrail held, turned broken alone and for the seeded reason, and was unproven when blind; else what went wrong.

    `seen` remembers from fault to fault which healthy and which blind sites were right: several faults of a guardrail start from the same one.
    """
    known = set() if seen is None else seen
    return _once(known, fault, _healthy, fault.healthy) or _seeded(fault) or _once(known, fault, _blind, fault.healthy, fault.blind)


def _once(seen: set[Hashable], fault: Fault, ask: Callable[[Fault], str], *of: Hashable) -> str:
    key = (fault.guardrail, fault.gate, fault.action, fault.plan, ask, *of)
    said = "" if key in seen else ask(fault)
    if not said:
        seen.add(key)
    return said


def _run(fault: Fault, *changes: str) -> CheckRun:
    folder = Path(tempfile.mkdtemp(prefix="interlock-proof-"))
    try:
        fault.healthy(folder)
        for change in changes:
            (fault.seed if change == "seed" else fault.blind)(folder)
        options = {"--for": fault.action, "--interlock-plan": fault.plan}
        within = (*own_namespace(), "sh", str(folder / "stage.sh")) if fault.staged else ()
        return run_check(folder, fault.gate, *(word for option, value in options.items() if value for word in (option, value)), within=within, alone=True)
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """The folder, and what a fault keeps elsewhere: it names that in a file `remove`, and what it left with an engine in another."""
    containers.end(folder)
    elsewhere = folder / "remove"
    if elsewhere.exists():
        path = Path(elsewhere.read_text())
        path.unlink() if path.is_symlink() else shutil.rmtree(path, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def _healthy(fault: Fault) -> str:
    ran = _run(fault)
    if ran.exit_code != 0 or any(verdict.outcome is not Outcome.HELD for verdict in ran.verdicts(fault.guardrail)):
        return f"a healthy site does not pass (exit {ran.exit_code}):\n{ran.output}"
    return ""


def _shuts(fault: Fault) -> bool:
    """Whether the gate shuts for this guardrail; one of medium or low severity informs."""
    known = guardrail(fault.guardrail)
    return known is None or known.severity.at_least(Severity.HIGH)


def _seeded(fault: Fault) -> str:
    ran = _run(fault, "seed")
    if ran.exit_code != (1 if _shuts(fault) else 0) or ran.broken() != {fault.guardrail}:
        return f"seeded with `{fault.describe}`, broken is {sorted(ran.broken())} (exit {ran.exit_code}):\n{ran.output}"
    if fault.kind not in ran.kinds:
        return f"seeded with `{fault.describe}`, it is broken for {sorted(ran.kinds)}, not for {fault.kind}"
    return ""


def _blind(fault: Fault) -> str:
    ran = _run(fault, "blind")
    outcomes = {verdict.outcome for verdict in ran.verdicts(fault.guardrail)}
    if ran.exit_code not in ((11,) if _shuts(fault) else (0, 11)) or Outcome.UNPROVEN not in outcomes:
        return f"it cannot look, and says {sorted(outcomes)} (exit {ran.exit_code}):\n{ran.output}"
    return ""
