"""The way through the house, held: imports go one way, judging is pure, a guardrail lives in its stem files alone."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "interlock"

# A package may import those named for it, and itself. Everything at the top level that is not named here is a command's own module and may import all.
LAYERS = {
    "nouns": set(),
    "patterns": set(),
    "errors": set(),
    "verdicts": set(),
    "facts": {"errors", "verdicts"},
    "config": {"errors", "verdicts", "facts"},
    "observe": {"errors", "verdicts", "facts", "config", "render"},
    "render": {"errors", "verdicts", "facts", "config"},
    "judge": {"errors", "verdicts", "facts", "config"},
    "gate": {"errors", "verdicts", "facts", "config", "judge"},
    "act": {"errors", "verdicts", "facts", "config", "observe", "render", "judge", "gate"},
    "evidence": {"errors", "verdicts", "facts", "config", "observe", "render", "judge", "gate"},
    "discover": {
        "errors",
        "verdicts",
        "facts",
        "config",
        "observe",
    },  # reads a tree and a host, makes a site of what it sees: above observe, below commands
    "checking": {"errors", "verdicts", "judge"},
    "gaterun": {"errors", "verdicts", "facts", "config", "observe", "render", "judge", "gate", "evidence", "checking"},
    "change": {"errors", "verdicts", "facts", "config", "observe", "render", "judge", "gate", "act", "evidence", "gaterun"},
    "runner": {"errors", "verdicts", "facts", "config", "observe", "judge", "gate", "act", "change"},
    "testing": {"errors", "verdicts", "facts", "config", "evidence", "judge"},
}
TOP = {"cli"}  # what nobody imports
PURE = ("judge", "gate", "facts")
IMPURE = {"os", "subprocess", "socket", "time", "shutil", "tempfile", "requests", "urllib", "psycopg", "docker", "threading", "random", "secrets"}
FAMILY_FREE = [
    *(PACKAGE / "gate").glob("*.py"),
    *(path for path in (PACKAGE / "gaterun").glob("*.py")),
    *(PACKAGE / name for name in ("plugin.py", "runner.py", "checking.py", "verdicts.py")),
]


def imports(path: Path) -> list[tuple[str, int]]:
    """Every module that a file imports, at its top or inside a function, with the line."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.module, node.lineno))
            found += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return found


def part(module: str) -> str | None:
    """`judge` of `interlock.judge.mounts`; None for what is not ours."""
    names = module.split(".")
    return names[1] if names[0] == "interlock" and len(names) > 1 else None


def files_of(name: str) -> list[Path]:
    return sorted((PACKAGE / name).rglob("*.py")) if (PACKAGE / name).is_dir() else [PACKAGE / f"{name}.py"]


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_imports_go_one_way(name: str) -> None:
    allowed = LAYERS[name] | {name, "nouns", "patterns", "__version__"}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in files_of(name)
        for module, line in imports(path)
        if (target := part(module)) is not None and target not in allowed
    ]
    assert not wrong


def test_nobody_imports_the_command_line() -> None:
    others = [path for path in PACKAGE.rglob("*.py") if path.name != "__main__.py"]
    wrong = [f"{path.relative_to(ROOT)}:{line}" for path in others for module, line in imports(path) if part(module) in TOP]
    assert not wrong


@pytest.mark.parametrize("name", PURE)
def test_judging_touches_no_file_clock_environment_or_network(name: str) -> None:
    wrong = [f"{path.relative_to(ROOT)}:{line} imports {module}" for path in files_of(name) for module, line in imports(path) if module.split(".")[0] in IMPURE]
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno} calls {ast.unparse(node.func)}"
        for path in files_of(name)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and _is_impure_call(node.func)
    ]
    assert not wrong + calls


def _is_impure_call(function: ast.expr) -> bool:
    if isinstance(function, ast.Name):
        return function.id in {"open", "input", "print", "exec", "eval"}
    return isinstance(function, ast.Attribute) and function.attr in {
        "now",
        "utcnow",
        "today",
        "read_text",
        "read_bytes",
        "write_text",
        "write_bytes",
        "iterdir",
    }


@pytest.mark.parametrize("folder", ["checks", "fixtures"])
def test_checks_and_fixtures_import_only_the_package(folder: str) -> None:
    allowed = {"interlock", "pytest", "__future__", "collections", "typing"}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in (ROOT / folder).glob("*.py")
        for module, line in imports(path)
        if module.split(".")[0] not in allowed
    ]
    assert not wrong


def families() -> list[str]:
    from interlock.judge import catalogue

    return sorted({guardrail.family for guardrail in catalogue()})


@pytest.mark.parametrize("family", families())
def test_a_family_has_all_its_stem_files(family: str) -> None:
    stem = [
        PACKAGE / "facts" / f"{family}.py",
        PACKAGE / "observe" / f"{family}.py",
        ROOT / "fixtures" / f"{family}.py",
        ROOT / "checks" / f"test_{family}.py",
        PACKAGE / "testing" / "faults" / f"{family}.py",
        ROOT / "tests" / "checks" / f"test_{family}.py",
        ROOT / "docs" / "guardrails" / f"{family}.md",
    ]
    assert not [str(path.relative_to(ROOT)) for path in stem if not path.exists()]


@pytest.mark.parametrize("family", families())
def test_no_file_of_gate_plugin_or_runner_knows_a_family(family: str) -> None:
    """So a new guardrail touches its stem files only."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in FAMILY_FREE
        if path.exists()
        for module, line in imports(path)
        if module.startswith(tuple(f"interlock.{layer}.{family}" for layer in ("facts", "observe", "judge")))
    ]
    assert not wrong


def test_every_guardrail_has_a_check_a_fault_an_observer_and_a_paragraph() -> None:
    from interlock.judge import catalogue
    from interlock.observe.world import observer
    from interlock.testing.faults import all_faults

    proven = {fault.guardrail for fault in all_faults()}
    for guardrail in catalogue():
        constant = guardrail.id.partition(".")[2].upper()
        assert observer(guardrail).see
        assert guardrail.id in proven, f"{guardrail.id} has no seeded fault"
        assert f"@check({guardrail.family}.{constant})" in (ROOT / "checks" / f"test_{guardrail.family}.py").read_text()
        assert guardrail.id in (ROOT / "docs" / "guardrails" / f"{guardrail.family}.md").read_text(), (
            f"docs/guardrails/{guardrail.family}.md says nothing of {guardrail.id}"
        )
        assert guardrail.rationale
        assert guardrail.remedy


def test_the_headline_families_are_never_below_high() -> None:
    from interlock.config.scalars import HEADLINE_FAMILIES
    from interlock.judge import catalogue
    from interlock.verdicts import Severity

    assert [guardrail.id for guardrail in catalogue() if guardrail.family in HEADLINE_FAMILIES and not guardrail.severity.at_least(Severity.HIGH)] == []


def test_the_runner_is_thin() -> None:
    assert len((PACKAGE / "runner.py").read_text().splitlines()) <= 400


def test_there_is_no_room_without_a_noun() -> None:
    assert [path for path in ROOT.glob("**/*.py") if path.stem in {"util", "utils", "common", "helpers", "misc"} and ".venv" not in path.parts] == []


def test_frozen_nouns_are_those_that_write_their_methods_late() -> None:
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        frozen = re.search(r"^@dataclass\((?=.*frozen=True)(?=.*slots=True)", text, re.MULTILINE)
        if frozen and re.search(r"^from dataclasses import .*\bdataclass\b", text, re.MULTILINE):
            wrong.append(str(path.relative_to(ROOT)))
    assert not wrong, "import dataclass from interlock.nouns"
