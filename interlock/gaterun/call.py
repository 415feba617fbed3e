"""A gate run that trusts nobody: starts pytest in a scrubbed environment with a pinned configuration, then demands a complete, fresh, valid record.

pytest exits 0 for runs that looked at nothing, and a test can end the process with any code; so neither its exit code nor its output decides here.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from interlock.config.models import Site
from interlock.config.waivers import load_waivers
from interlock.errors import ConfigError, EvidenceError, GateShut
from interlock.evidence.folder import LoadedRun, load_run, runs
from interlock.evidence.record import Record
from interlock.evidence.verify import verify_run
from interlock.gaterun.run import GateRequest, required_of
from interlock.nouns import dataclass
from interlock.observe.own_checks import own_checks
from interlock.verdicts import Pair

SCRUBBED = ("PYTEST_", "PYTHONDONTWRITEBYTECODE", "PYTHONOPTIMIZE", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONWARNINGS", "COV_CORE")
PINNED = Path(__file__).with_name("gate_pytest.ini")
NEWEST = 50  # evidence folders that are searched for our nonce


@dataclass(frozen=True, slots=True, kw_only=True)
class GateAnswer:
    """A gate run that left a record which is complete, ours and unaltered. `output` is what pytest printed."""

    run: LoadedRun
    output: str


def run_gate(site: Site, request: GateRequest, *, environ: Mapping[str, str], timeout: float = 3600) -> GateAnswer:
    """Run one gate of a site; the request's nonce and site file are ours to say.

    Raises GateShut(10) when no complete record of this very run is there afterwards, EvidenceError when evidence failed.
    """
    wanted = frozenset(one.pair for one in required_of(site, request))  # raises UsageError for an action that the site lacks, before anything is started
    load_waivers(site.root / site.waivers)
    nonce = secrets.token_hex(16)
    argv = _argv(site, replace(request, nonce=nonce))
    try:
        done = subprocess.run(
            argv,
            cwd=site.root,
            env=_scrubbed(environ),
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise GateShut(
            f"the {request.called} did not end within {timeout:.0f} s", code=10, remedy="look which check hangs: run `pytest -m preflight` yourself"
        ) from error
    output = done.stdout + done.stderr
    run = _run_of(nonce, site.root / site.reports)
    if run is None:
        raise _no_record(request.called, done.returncode, output)
    _demand_whole(run)
    _demand_complete(wanted, run.record)
    return GateAnswer(run=run, output=output)


def _argv(site: Site, request: GateRequest) -> tuple[str, ...]:
    plugins = ["-p", "interlock.plugin"] + (["-p", "testinfra.plugin"] if own_checks(site.root / "checks") and _installed("testinfra") else [])
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        str(PINNED),
        "--rootdir",
        str(site.root),
        *plugins,
        "-m",
        " or ".join(sorted(request.gates)),
        "--site",
        str(site.root / Path(site.source).name),
    ]
    argv += ["--for", request.action] if request.action is not None else []
    argv += ["--facts", str(request.facts)] if request.facts is not None else []
    argv += ["--interlock-plan", str(request.plan)] if request.plan is not None else []
    argv += [f"--interlock-only={name}" for name in request.only]
    return (*argv, "--interlock-nonce", request.nonce)


def _installed(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None


def _scrubbed(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would steer pytest or Python; plugins are named, never found."""
    clean = {name: value for name, value in environ.items() if not name.startswith(SCRUBBED)}
    return {**clean, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def _run_of(nonce: str, reports: Path) -> LoadedRun | None:
    """The evidence of the run that was given this nonce."""
    for path in islice(runs(reports), NEWEST):
        try:
            run = load_run(path)
        except EvidenceError:
            continue
        if run.record.run.nonce == nonce:
            return run
    return None


def _no_record(called: str, code: int, output: str) -> Exception:
    tail = "\n".join(output.strip().splitlines()[-15:])
    if code == EvidenceError.exit_code:
        return EvidenceError(f"the {called} could not write its evidence", why=tail)
    if code == ConfigError.exit_code:
        return ConfigError(f"the {called} could not begin", why=tail)
    return GateShut(
        f"the {called} left no record (pytest ended with {code})", code=10, why=tail, remedy="mend what stopped it; without a record nothing is proven"
    )


def _demand_whole(run: LoadedRun) -> None:
    """What was written is what was decided: digests, counts and the decision itself, recomputed."""
    verification = verify_run(run.path)
    if not verification.holds:
        raise EvidenceError("the record of this run does not verify", where=str(run.path), why=str(verification), remedy="run the gate again")


def _demand_complete(wanted: frozenset[Pair], record: Record) -> None:
    """The record answers for every pair that we compute ourselves, whatever it says was required."""
    missing = sorted(wanted - {one.pair for one in record.required})
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise GateShut(f"the record does not account for {missing[0]}{more}", code=10, remedy="run the gate again; report this if it stays")
