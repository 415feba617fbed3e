"""Which rules of the operator's own lie in `checks/` beside the site file? Read from their text, so that they are required before any is imported.

Every `test_*` function is a guardrail `own.<file>.<function>` with one subject, `site`, or as many as it is parametrized over. It is asked before and after
an action, unless it carries the marks of the gates that should ask it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from interlock.errors import ConfigError
from interlock.nouns import dataclass
from interlock.verdicts import When

BY_DEFAULT = frozenset({When.PREFLIGHT, When.POSTFLIGHT})


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCheck:
    """One test function of the operator's: the file it stands in, its name (`Class::function` inside a class), and the gates that ask it."""

    path: Path
    function: str
    when: frozenset[When]
    subject: str = "site"

    @property
    def guardrail(self) -> str:
        """Its id: `own.smoke.app_answers` for `test_app_answers` in `test_smoke.py`."""
        return own_id(self.path, self.function)


def own_id(path: Path, function: str) -> str:
    """The guardrail id of a test function of the operator's own."""
    name = ".".join(part.removeprefix("test_") for part in function.split("::"))
    return f"own.{path.stem.removeprefix('test_')}.{name}"


def own_checks(folder: Path) -> tuple[OwnCheck, ...]:
    """All of a site's own checks, sorted by file. Raises ConfigError for a file that is no Python: a rule that cannot be read cannot be required."""
    if not folder.is_dir():
        return ()
    found: list[OwnCheck] = []
    for path in sorted(folder.rglob("test_*.py")):
        try:
            tree = ast.parse(path.read_bytes(), filename=str(path))
        except (SyntaxError, ValueError, OSError) as error:
            line = getattr(error, "lineno", None)
            raise ConfigError(
                "this check cannot be read",
                where=f"{path}:{line}" if line else str(path),
                why=str(getattr(error, "msg", error)),
                remedy="mend the file, or take it out of checks/",
            ) from error
        found += _checks(tree, path)
    return tuple(found)


def _checks(tree: ast.Module, path: Path) -> Iterator[OwnCheck]:
    of_module = _marks([statement.value for statement in tree.body if isinstance(statement, ast.Assign) and _names(statement) == ["pytestmark"]])
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and statement.name.startswith("test"):
            yield OwnCheck(path=path, function=statement.name, when=_marks(statement.decorator_list) or of_module or BY_DEFAULT)
        elif isinstance(statement, ast.ClassDef) and statement.name.startswith("Test"):
            of_class = _marks(statement.decorator_list) or of_module
            for inner in statement.body:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and inner.name.startswith("test"):
                    yield OwnCheck(path=path, function=f"{statement.name}::{inner.name}", when=_marks(inner.decorator_list) or of_class or BY_DEFAULT)


def _names(statement: ast.Assign) -> list[str]:
    return [target.id for target in statement.targets if isinstance(target, ast.Name)]


def _marks(expressions: list[ast.expr]) -> frozenset[When]:
    """The gates named by `pytest.mark.<gate>` anywhere in these expressions."""
    attributes = (node for expression in expressions for node in ast.walk(expression) if isinstance(node, ast.Attribute))
    gates = {gate.value: gate for gate in When}
    return frozenset(gates[node.attr] for node in attributes if node.attr in gates and isinstance(node.value, ast.Attribute) and node.value.attr == "mark")
