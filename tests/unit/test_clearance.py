"""Only an open gate and a named human together make a Clearance, there is one way to make it, and everything that changes the system asks it."""

from __future__ import annotations

import ast
import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from interlock.act import backups, commands, files, steps
from interlock.errors import ApprovalError, StaleError
from interlock.facts.statements import Approval
from interlock.gate.clearance import Begun, Clearance, OperatorPresent, clear
from interlock.gate.decision import Open, Reason, Shut
from interlock.judge.agreement.glass import GlassBroken
from interlock.judge.agreement.plans import Approved

ROOT = Path(__file__).parent.parent.parent
NOW = datetime(2026, 11, 20, 21, 0, 0, tzinfo=UTC)
PLAN, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
ANNA = Approval(
    purpose="apply", plan=PLAN, action="release", site="s", principal="anna", created="2026-11-20T20:00:00Z", expires="2026-11-21T00:00:00Z", nonce="1"
)
APPROVED = Approved(plan=PLAN, approvals=(ANNA,), self_approved=False)


def cleared(**changed: object) -> Clearance:
    given = {"plan": PLAN, "action": "release", "gate": Open(), "authority": APPROVED, "now": NOW, "lasts": timedelta(hours=1)} | changed
    return clear(**given)  # type: ignore[arg-type]


def test_an_open_gate_and_an_approval_make_a_clearance_for_one_plan_and_action() -> None:
    clearance = cleared()
    clearance.check(plan=PLAN, action="release", now=NOW)
    assert clearance.who == ("anna",)
    for plan, action in ((OTHER, "release"), (PLAN, "other")):
        with pytest.raises(ApprovalError, match="another plan"):
            clearance.check(plan=plan, action=action, now=NOW)
        with pytest.raises(ApprovalError, match="another plan"):
            clearance.check_undo(plan=plan, action=action)


@pytest.mark.parametrize(("age", "good"), [(0, True), (3599, True), (3600, False), (10**6, False), (-60, True), (-600, False)])
def test_a_clearance_ages_and_does_not_outlive_a_clock_that_was_set_back(age: int, good: bool) -> None:
    clearance, now = cleared(), NOW + timedelta(seconds=age)
    if good:
        clearance.check(plan=PLAN, action="release", now=now)
    else:
        with pytest.raises(StaleError, match="too old"):
            clearance.check(plan=PLAN, action="release", now=now)
    clearance.check_undo(plan=PLAN, action="release")


def test_a_gate_that_is_not_open_makes_none() -> None:
    shut = Shut((Reason(code=1, text="broken"),))
    for gate in (shut, None, True, "open", object()):
        with pytest.raises(TypeError):
            cleared(gate=gate)


def test_nobody_makes_none() -> None:
    for authority in (None, True, "anna", ANNA):
        with pytest.raises(TypeError):
            cleared(authority=authority)


def test_an_approval_of_another_plan_makes_none() -> None:
    with pytest.raises(ApprovalError, match="another plan"):
        cleared(authority=Approved(plan=OTHER, approvals=(), self_approved=False))
    with pytest.raises(ApprovalError, match="another plan"):
        cleared(authority=Begun(plan=OTHER, principals=("anna",)))


def test_what_was_begun_may_be_undone_without_a_gate_and_nothing_else() -> None:
    begun = Begun(plan=PLAN, principals=("anna",))
    clearance = cleared(gate=begun, authority=begun)
    clearance.check_undo(plan=PLAN, action="release")
    with pytest.raises(ApprovalError, match="only undoes"):
        clearance.check(plan=PLAN, action="release", now=NOW)


def test_one_who_broke_the_glass_makes_one_for_that_plan_alone_and_only_behind_an_open_gate() -> None:
    glass = GlassBroken(plan=PLAN, principal="anna", reason="the disk is dying tonight", approval=ANNA, self_approved=True)
    assert cleared(authority=glass).who == ("anna",)
    with pytest.raises(ApprovalError, match="another plan"):
        cleared(authority=dataclasses.replace(glass, plan=OTHER))
    with pytest.raises(TypeError):
        cleared(authority=glass, gate=Shut((Reason(code=1, text="broken"),)))
    with pytest.raises(TypeError):
        cleared(authority=glass, gate=glass)


def test_the_operator_at_the_terminal_is_named() -> None:
    assert cleared(authority=OperatorPresent(user="anna", host="app1")).who == ("anna@app1",)


def test_it_is_neither_constructed_nor_copied_nor_changed_nor_stored() -> None:
    clearance = cleared()
    with pytest.raises(TypeError):
        Clearance(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        copy.copy(clearance)
    with pytest.raises(TypeError):
        copy.deepcopy(clearance)
    with pytest.raises(TypeError):
        pickle.dumps(clearance)
    with pytest.raises(TypeError):
        clearance._plan = OTHER  # type: ignore[misc]
    with pytest.raises(TypeError):
        type("Mine", (Clearance,), {})(None)


def _names_used(path: Path) -> set[str]:
    return {
        node.id if isinstance(node, ast.Name) else node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name | ast.Attribute)
    }


def test_only_the_runner_makes_one() -> None:
    """`clear` is called in one place, and nobody else who knows a Clearance makes objects behind their class's back."""
    package = ROOT / "interlock"
    callers, bare = [], []
    for path in package.rglob("*.py"):
        tree = ast.parse(path.read_text())
        imported = {
            alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "interlock.gate.clearance" for alias in node.names
        }
        callers += [path.name] if "clear" in imported else []
        bare += [path.name] if {"__new__", "Clearance"} <= _names_used(path) | imported else []
    assert callers == ["runner.py"]
    assert bare == ["clearance.py"]


@pytest.mark.parametrize(
    ("code", "refused"),
    [
        ("clear(plan='p', action='a', gate=Open(), authority=OperatorPresent(user='u', host='h'), now=now, lasts=lasts)", False),
        ("clear(plan='p', action='a', gate=Open(), authority=glass, now=now, lasts=lasts)", False),
        ("clear(plan='p', action='a', gate=glass, authority=glass, now=now, lasts=lasts)", True),
        ("Clearance(None)", True),
        ("Clearance('p')", True),
        ("Clearance()", True),
        ("clear(plan='p', action='a', gate=Shut(()), authority=OperatorPresent(user='u', host='h'), now=now, lasts=lasts)", True),
        ("clear(plan='p', action='a', gate=Open(), authority=None, now=now, lasts=lasts)", True),
        ("clear(plan='p', action='a', gate=Open(), authority=NotApproved(reasons=(), remedy=''), now=now, lasts=lasts)", True),
        ("do_command(step, None, again=False)", True),
        ("class Mine(Clearance): ...", True),
    ],
)
def test_the_type_checker_knows_no_other_way(tmp_path: Path, code: str, refused: bool) -> None:
    pytest.importorskip("mypy")
    source = f"""
from datetime import datetime, timedelta
from interlock.act.commands import do_command
from interlock.gate.clearance import Clearance, OperatorPresent, clear
from interlock.gate.decision import Open, Shut
from interlock.gate.plan import CommandPlan
from interlock.judge.agreement.glass import GlassBroken
from interlock.judge.agreement.plans import NotApproved
def f(now: datetime, lasts: timedelta, step: CommandPlan, glass: GlassBroken) -> None:
    {code}
"""
    (tmp_path / "probe.py").write_text(source)
    argv = (sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir", str(_mypy_cache()), str(tmp_path / "probe.py"))
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode != 0) is refused, done.stdout + done.stderr


def _mypy_cache() -> Path:
    import tempfile

    folder = Path(tempfile.gettempdir()) / f"interlock-mypy-{Path.home().name}"
    folder.mkdir(exist_ok=True)
    return folder


def test_everything_that_changes_the_system_asks_its_clearance_first() -> None:
    """Each entry of `act` takes the bench with its clearance, and asks it before its first other statement."""
    entries = [files.do_files, files.undo_files, commands.do_command, commands.undo_command, backups.do_backup, backups.undo_backup]
    for entry in entries:
        assert "Bench" in str(inspect.signature(entry).parameters["bench"].annotation)
        function = ast.parse(inspect.getsource(entry)).body[0]
        assert isinstance(function, ast.FunctionDef)
        asked = "bench.check_undo()" if entry.__name__.startswith("undo") else "bench.check()"
        assert ast.unparse(function.body[1]) == asked, entry.__name__
    reached = {node.func.id for node in ast.walk(ast.parse(inspect.getsource(steps))) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert {entry.__name__ for entry in entries} <= reached
