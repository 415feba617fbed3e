"""The pytest plugin: `pytest -m preflight` (or static, drill, postflight) becomes a gate run.

pytest collects and runs; what is required was computed before, what was found is collected here, and the decision is made from that alone: the session's
exit status is the decision's whenever pytest itself says 0, 1 or 5. In any other pytest run this plugin does nothing but register its marks and options.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from interlock.checking import Case
    from interlock.evidence.folder import LoadedRun
    from interlock.observe.world import World
    from interlock.verdicts import Guardrail

GATES = ("static", "preflight", "drill", "postflight", "apply")
NONE_DECLARED = "none-declared"  # interlock.verdicts.NONE_DECLARED: this module imports nothing of ours before it is a gate run
RUN_KEY: pytest.StashKey[Session] = pytest.StashKey()
ITEM_KEY = pytest.StashKey[tuple[str, str]]()
CASE_KEY: pytest.StashKey[Case] = pytest.StashKey()
PYTEST_SAID = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
MARKS = {
    "static": "judged from the files of the tree alone",
    "preflight": "judged on the live system, before an action",
    "drill": "a rehearsal, for instance of a restore",
    "postflight": "judged on the live system, after an action",
    "apply": "judged in apply's own gate only",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("interlock", "interlock: gate runs (-m static, preflight, drill or postflight)")
    group.addoption("--site", metavar="FILE", help="the site file (default: interlock.yaml here or in a folder above)")
    group.addoption("--for", dest="interlock_for", metavar="ACTION", help="gate this action of the site (default: everything that any action needs)")
    group.addoption("--facts", dest="interlock_facts", metavar="FILE", help="judge saved facts instead of the system; such a gate never opens")
    group.addoption("--interlock-nonce", default="", help=argparse.SUPPRESS)  # these three are between the runner and this plugin
    group.addoption("--interlock-only", action="append", default=[], help=argparse.SUPPRESS)
    group.addoption("--interlock-plan", help=argparse.SUPPRESS)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    for name, meaning in MARKS.items():
        config.addinivalue_line("markers", f"{name}: interlock: {meaning}")
    gates = gates_named(config.getoption("markexpr", "") or "")
    if gates:
        # Importing and collecting make many objects that live as long as the process: looking through them for cycles again and again is a fifth of a run.
        gc.disable()
        session = Session(config, gates)
        config.stash[RUN_KEY] = session
        config.pluginmanager.register(session, "interlock-session")


def gates_named(expression: str) -> tuple[str, ...]:
    """The gate marks that a `-m` expression names."""
    return tuple(gate for gate in GATES if re.search(rf"\b{gate}\b", expression))


def checks_folder() -> Path:
    """`interlock/checks` in a wheel, `checks` beside the package in a checkout; fixtures lie beside it."""
    package = Path(__file__).parent
    return package / "checks" if (package / "checks").is_dir() else package.parent / "checks"


class Session:
    """One gate run inside one pytest process: the controller, or a worker that hands its verdicts to one."""

    def __init__(self, config: pytest.Config, gates: tuple[str, ...]) -> None:
        from interlock.errors import InterlockError, UsageError
        from interlock.gaterun.run import GateRequest, GateRun
        from interlock.verdicts import When

        self.config = config
        self.worker: dict[str, Any] | None = getattr(config, "workerinput", None)
        self.world: World | None = None
        self.evidence: LoadedRun | None = None
        self.problem = ""
        self.exit_code: int | None = None
        self.counter = 0
        site, facts, plan = config.getoption("--site"), config.getoption("interlock_facts"), config.getoption("interlock_plan")
        request = GateRequest(
            gates=frozenset(When(gate) for gate in gates),
            start=config.invocation_params.dir,
            site=config.invocation_params.dir / site if site else None,
            action=config.getoption("interlock_for"),
            facts=config.invocation_params.dir / facts if facts else None,
            nonce=config.getoption("interlock_nonce"),
            only=tuple(config.getoption("interlock_only")),
            plan=config.invocation_params.dir / plan if plan else None,
        )
        try:
            if request.only and not request.nonce:
                raise UsageError("a gate in mid-plan is asked by the runner alone", remedy="ask the whole gate: leave --interlock-only out")
            self.run = GateRun.begin(request, os.environ)
        except InterlockError as error:
            raise pytest.exit.Exception(f"interlock: {error}", returncode=error.exit_code) from error
        self.guardrails = {guardrail.id for guardrail in self.run.guardrails}
        self._aim()

    def _aim(self) -> None:
        """Collect our checks and the site's own, and nothing else, unless paths were given."""
        ours, own = checks_folder(), self.run.site.root / "checks"
        families = sorted({guardrail.family for guardrail in self.run.guardrails})
        if self.config.args_source is not pytest.Config.ArgsSource.ARGS:
            ours_by_family = [str(ours / f"test_{family}.py") for family in families]
            self.config.args = ours_by_family + ([str(own)] if self.run.own else [])
            self.config.args_source = pytest.Config.ArgsSource.ARGS
        self.config.option.importmode = "importlib"
        for family in ("world", *families):
            self._load_fixtures(ours.parent / "fixtures" / f"{family}.py")

    def _load_fixtures(self, path: Path) -> None:
        """Import a fixture module by its path: in a checkout it is `fixtures/`, in a wheel `interlock/fixtures/`, and neither is a package of its own."""
        name = f"interlock_fixtures_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"no fixture module {path}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        self.config.pluginmanager.register(module, name)

    # ---- what pytest collects

    def ours(self, path: Path) -> bool:
        """True for a file of interlock's own checks."""
        return path.parent == checks_folder()

    def own(self, path: Path) -> bool:
        """True for a file of the site's own checks."""
        return path.is_relative_to(self.run.site.root / "checks")

    def guardrail_of(self, function: object, path: Path) -> Guardrail | None:
        """The guardrail that one of interlock's own check functions is bound to."""
        return getattr(function, "interlock_guardrail", None) if self.ours(path) else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One item for each subject; one skipped item that says why where there is none."""
        from interlock.verdicts import Subject

        guardrail = self.guardrail_of(metafunc.function, metafunc.definition.path)
        if guardrail is None:
            return
        subjects = guardrail.subjects_when(self.run.site, self.run.request.gates, self.run.request.action) or (Subject(name=NONE_DECLARED),)
        if "subject" not in metafunc.fixturenames:
            metafunc.fixturenames.append("subject")
        metafunc.parametrize("subject", subjects, ids=[subject.id for subject in subjects])

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Key each item on guardrail and subject, never on its node id, which differs by mode."""
        from interlock.observe.own_checks import own_id

        guardrail = self.guardrail_of(getattr(item, "function", None), item.path)
        callspec = getattr(item, "callspec", None)
        if guardrail is not None and callspec is not None:
            item.stash[ITEM_KEY] = (guardrail.id, callspec.params["subject"].id)
        elif self.own(item.path) and isinstance(item, pytest.Function):
            function = item.originalname if item.cls is None else f"{item.cls.__name__}::{item.originalname}"
            name, subject = own_id(item.path, function), callspec.id if callspec else "site"
            item.stash[ITEM_KEY] = (name, subject)
            self.run.own_collected.setdefault(name, set()).add(subject)
            for own in self.run.own:
                if own.guardrail == name:
                    for gate in own.when & self.run.request.gates:
                        item.add_marker(gate.value)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Nothing but checks is an item of a gate run, whatever path was given; and none that this action's gate does not ask."""
        kept = [item for item in items if (key := item.stash.get(ITEM_KEY, None)) and self._is_asked(key[0])]
        dropped = [item for item in items if item not in kept]
        if dropped:
            self.config.hook.pytest_deselected(items=dropped)
            items[:] = kept

    def _is_asked(self, rule: str) -> bool:
        """A guardrail that this gate asks, or a rule of the site's own: any of them, or in mid-plan one that is named."""
        return rule in self.guardrails or (rule.startswith("own.") and (not self.run.request.only or rule in self.run.request.only))

    # ---- what pytest runs

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Look once, before workers start: they get the facts as a file."""
        if self.config.option.collectonly:
            return
        from interlock.errors import InterlockError

        try:
            if self.worker is None:
                self.run.observe()
            else:
                self._facts_from_controller(Path(self.worker["interlock_facts"]))
        except InterlockError as error:
            self.discard()
            raise pytest.exit.Exception(f"interlock: {error}", returncode=error.exit_code) from error
        self.world = self.run.world(os.environ)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        """From here on garbage is collected again: an operator's own checks may make any amount of it."""
        gc.freeze()
        gc.enable()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Hand a worker the facts and the folder for its details."""
        from interlock.observe.facts_file import save

        facts = self.run.spool / "facts-for-workers.json"
        if not facts.exists():
            save(facts, self.run.hosts, self.run.site)
        node.workerinput["interlock_facts"] = str(facts)
        node.workerinput["interlock_spool"] = str(self.run.spool)

    def _facts_from_controller(self, path: Path) -> None:
        import dataclasses

        from interlock.facts.looks import HostFacts
        from interlock.observe.facts_file import load

        hosts = load(path)
        self.run.hosts = {
            name: dataclasses.replace(facts, replayed=self.run.replayed) if isinstance(facts, HostFacts) else facts for name, facts in hosts.items()
        }
        assert self.worker is not None
        self.discard()
        self.run.spool = Path(self.worker["interlock_spool"])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """A guardrail without a subject is skipped with its reason before any fixture looks."""
        from interlock.verdicts import Outcome

        key = item.stash.get(ITEM_KEY, None)
        if key is None or key[1] != NONE_DECLARED:
            return
        guardrail = self.guardrail_of(getattr(item, "function", None), item.path)
        assert guardrail is not None
        absence = self.run.absence(guardrail)
        if absence.outcome is Outcome.NOT_APPLICABLE:
            pytest.skip(absence.message)
        from interlock.checking import NotProven

        raise NotProven(f"{absence.message}\nremedy: {absence.remedy}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Give the item a case of its own, whose details are streamed to a file of the run."""
        from interlock.checking import current_case
        from interlock.gaterun.run import open_case

        key = item.stash.get(ITEM_KEY, None)
        if key is None:
            return (yield)
        self.counter += 1
        worker = self.worker["workerid"] if self.worker else "main"
        case = item.stash[CASE_KEY] = open_case(self.run, key, f"{worker}-{self.counter}")
        token = current_case.set(case)
        try:
            return (yield)
        finally:
            current_case.reset(token)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Settle the outcome at the phase that decides, and hand the verdict over with the last phase: reports travel from worker to controller as JSON."""
        from interlock.gaterun.run import conclude, settle_teardown, settle_test

        report = yield
        key = item.stash.get(ITEM_KEY, None)
        if key is None:
            return report
        case, raised = item.stash[CASE_KEY], call.excinfo.value if call.excinfo else None
        if call.when == "call" or (call.when == "setup" and raised is not None):
            settle_test(case, raised, own=key[0].startswith("own."), none_declared=key[1] == NONE_DECLARED)
            report.interlock_outcome = case.outcome  # type: ignore[attr-defined]
        elif call.when == "teardown":
            settle_teardown(case, raised)
            subject = item.callspec.params.get("subject") if hasattr(item, "callspec") else None
            guardrail = self.guardrail_of(getattr(item, "function", None), item.path)
            report.interlock_verdict = conclude(self.run, key, guardrail, subject, case)  # type: ignore[attr-defined]
            report.interlock_details = str(case.path)  # type: ignore[attr-defined]
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """On the controller: keep the verdict."""
        found = getattr(report, "interlock_verdict", None)
        if self.worker is None and found is not None:
            self.run.add(found, Path(report.interlock_details))

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, str] | None:
        """Show the outcome as what it is: unproven is an error, waived is a W."""
        match getattr(report, "interlock_outcome", None):
            case "unproven":
                return "error", "E", "UNPROVEN"
            case "waived":
                return "waived", "W", "WAIVED"
        return None

    # ---- what it comes to

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int | pytest.ExitCode) -> None:
        """Decide on the record, write the evidence, and let the session end with the decision's code."""
        gc.freeze()  # pytest looks for garbage at its end; what is left goes with the process
        if self.worker is not None:
            self.config.workeroutput["interlock_collected"] = {name: sorted(subjects) for name, subjects in self.run.own_collected.items()}  # type: ignore[attr-defined]
            return
        if self.config.option.collectonly:
            self.discard()
            self._end_with(session, exitstatus, self.run.decision().exit_code)
            return
        from interlock.errors import EvidenceError
        from interlock.gaterun.recording import write_evidence

        try:
            self.evidence = write_evidence(self.run, self.world)
            self._end_with(session, exitstatus, self.evidence.record.exit_code)
        except EvidenceError as error:
            self.problem = str(error)
            self._end_with(session, exitstatus, error.exit_code)
        finally:
            self.discard()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """What a worker collected of the site's own checks is required here too."""
        collected = getattr(node, "workeroutput", {}).get("interlock_collected", {})
        for name, subjects in collected.items():
            self.run.own_collected.setdefault(name, set()).update(subjects)

    def _end_with(self, session: pytest.Session, exitstatus: int | pytest.ExitCode, code: int) -> None:
        self.exit_code = code
        if exitstatus in PYTEST_SAID:
            session.exitstatus = code

    def discard(self) -> None:
        """Remove the run's private folder."""
        shutil.rmtree(self.run.spool, ignore_errors=True)

    def pytest_report_header(self) -> list[str]:
        """Which site, which gate, for which action."""
        request = self.run.request
        called = request.called + (f" for {request.action}" if request.action else "")
        return [f"interlock: site {self.run.site.site} ({self.run.site.source}), {called}, {len(self.run.required())} required"]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """The decision, from our own state: pytest hands this hook the status that it had before ours."""
        terminalreporter.section("interlock gate")
        if self.evidence is not None:
            from interlock.evidence.text import Style
            from interlock.gaterun.recording import decision_text, too_short

            terminalreporter.write_line(decision_text(self.run.site, self.evidence, Style.of(sys.stdout, os.environ)))
            for warning in too_short(self.run):
                terminalreporter.write_line(warning)
        elif self.problem:
            terminalreporter.write_line(f"SHUT (exit code {self.exit_code}): {self.problem}")
        else:
            terminalreporter.write_line(f"SHUT (exit code {self.exit_code}): nothing was judged, so nothing is proven")
