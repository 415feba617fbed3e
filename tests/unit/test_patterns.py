"""Regular expressions that are compiled when they are first asked: each of them is right, and says what a compiled one says."""

from __future__ import annotations

import ast
import importlib.util
import pkgutil
import re
from pathlib import Path

import pytest

import interlock
from interlock.patterns import regex

MODULES = sorted(module.name for module in pkgutil.walk_packages(interlock.__path__, "interlock.") if not module.name.endswith("__main__"))
ON_ITS_OWN = {"interlock.observe.probe", "interlock.patterns"}  # the probe is sent to other hosts as it is


@pytest.mark.parametrize("package", sorted({name.split(".")[1] for name in MODULES}))
def test_every_pattern_of_a_module_compiles(package: str) -> None:
    for name in MODULES:
        if name.split(".")[1] == package:
            module = importlib.import_module(name)
            for one in vars(module).values():
                if type(one).__name__ == "_Late":
                    assert one.flags >= 0


@pytest.mark.parametrize("package", sorted({name.split(".")[1] for name in MODULES}))
def test_no_module_compiles_a_pattern_while_it_is_imported(package: str) -> None:
    found = {}
    for name in MODULES:
        spec = importlib.util.find_spec(name)
        if name.split(".")[1] == package and name not in ON_ITS_OWN and spec is not None and spec.origin is not None:
            found[name] = _compiled_at_once(ast.parse(Path(spec.origin).read_bytes()))
    assert [name for name, lines in found.items() if lines] == [], "from interlock.patterns import regex"


def _compiled_at_once(node: ast.AST) -> list[int]:
    found = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.Call) and ast.unparse(child.func) == "re.compile":
            found.append(child.lineno)
        found += _compiled_at_once(child)
    return found


def test_it_answers_as_a_compiled_one_does() -> None:
    late, made = regex(r"(?P<word>[a-z]+)(\\d)?", re.IGNORECASE), re.compile(r"(?P<word>[a-z]+)(\\d)?", re.IGNORECASE)
    for text in ("Ab1 cd", "", "12"):
        assert [match.groups() for match in late.finditer(text)] == [match.groups() for match in made.finditer(text)]
    assert (late.sub("-", "aB1"), late.groupindex, late.flags, late.pattern) == (made.sub("-", "aB1"), made.groupindex, made.flags, made.pattern)
    assert repr(late).startswith("regex(")


def test_a_wrong_one_is_told_when_it_is_asked() -> None:
    with pytest.raises(re.error):
        regex("(").search("x")
