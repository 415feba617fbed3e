"""What does `make TARGET` run? Targets, what they need first, and their recipes line by line, with the variables that a file sets put in.

Conditional parts are all taken: which one make takes is not known from the file. `include` is told, not followed (`interlock.facts.calls` does).
"""

from __future__ import annotations

from collections.abc import Mapping

from interlock.nouns import dataclass
from interlock.patterns import regex

MOST_EXPANSIONS = 20

_TARGET = regex(r"^(?P<names>[^\s:#=][^:#=]*?)\s*(?:::?)(?![=:])(?P<needs>[^;#=]*)(?:;(?P<recipe>.*))?(?:#.*)?$")
_VARIABLE = regex(r"^\s*(?:export\s+|override\s+)*(?P<name>[\w.-]+)\s*(?P<how>[:?+!]{0,3}=)\s*(?P<value>.*)$")
_USED = regex(r"\$(?:\((?P<round>[\w.-]+)\)|\{(?P<curly>[\w.-]+)\})")
_INCLUDE = regex(r"^\s*[-s]?include\s+(?P<files>.+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeLine:
    """One command line of a recipe as the shell gets it: continued lines joined, make's own marks (`@`, `-`, `+`) taken off."""

    text: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target: what is made before it, and its recipe."""

    name: str
    line: int
    needs: tuple[str, ...] = ()
    recipe: tuple[RecipeLine, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Makefile:
    """A makefile; `first` is the target that `make` alone makes."""

    targets: Mapping[str, Target]
    first: str = ""
    includes: tuple[str, ...] = ()


def parse_makefile(text: str) -> Makefile:
    """A makefile, whatever the text is; what is no rule, variable or include is left out."""
    variables: dict[str, str] = {}
    targets: dict[str, Target] = {}
    includes: list[str] = []
    current: tuple[str, ...] = ()
    for number, line in _joined(text):
        if line.startswith("\t"):
            for name in current:
                targets[name] = _with_recipe(targets[name], line[1:], number)
            continue
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        if (setting := _VARIABLE.match(line)) is not None:
            variables[setting["name"]] = _value(variables.get(setting["name"], ""), setting["how"], setting["value"].strip())
        elif (include := _INCLUDE.match(line)) is not None:
            includes += include["files"].split()
        elif (rule := _TARGET.match(line)) is not None:
            current = tuple(expand(rule["names"], variables).split())
            needs = tuple(need for need in expand(rule["needs"], variables).split() if need != "|")
            for name in current:
                before = targets.get(name, Target(name=name, line=number))
                targets[name] = Target(name=name, line=before.line if before.recipe else number, needs=(*before.needs, *needs), recipe=before.recipe)
                if rule["recipe"]:
                    targets[name] = _with_recipe(targets[name], rule["recipe"], number)
    first = next((name for name in targets if not name.startswith(".")), "")
    done = {name: _expanded(target, variables) for name, target in targets.items()}
    return Makefile(targets=done, first=first, includes=tuple(expand(name, variables) for name in includes))


def _joined(text: str) -> list[tuple[int, str]]:
    """The lines with their numbers; a line that ends in a backslash goes on in the next."""
    found: list[tuple[int, str]] = []
    going_on = False
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if going_on:
            first, before = found[-1]
            found[-1] = (first, before[:-1] + " " + line.strip())
        else:
            found.append((number, line))
        going_on = line.endswith("\\") and not line.endswith("\\\\")
    return found


def _value(before: str, how: str, value: str) -> str:
    if how.startswith("?") and before:
        return before
    return f"{before} {value}".strip() if how.startswith("+") else value


def _with_recipe(target: Target, text: str, line: int) -> Target:
    return Target(name=target.name, line=target.line, needs=target.needs, recipe=(*target.recipe, RecipeLine(text=text, line=line)))


def _expanded(target: Target, variables: Mapping[str, str]) -> Target:
    recipe = tuple(RecipeLine(text=_for_shell(line.text, target.name, variables), line=line.line) for line in target.recipe)
    return Target(name=target.name, line=target.line, needs=target.needs, recipe=recipe)


def _for_shell(text: str, target: str, variables: Mapping[str, str]) -> str:
    bare = text.lstrip().lstrip("@-+").lstrip()
    kept = expand(bare, {"MAKE": "make", **variables})
    return kept.replace("$@", target).replace("$$", "$")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """A text with the variables that are known put in; one that is not stays as it stands, in the shell's way of writing it."""
    for _ in range(MOST_EXPANSIONS):
        put = _USED.sub(lambda used: variables.get(used["round"] or used["curly"], used[0]), text)
        if put == text or len(put) > 10_000:
            break
        text = put
    return _USED.sub(lambda used: f"${{{used['round'] or used['curly']}}}", text)
