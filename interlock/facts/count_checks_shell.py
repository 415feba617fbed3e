"""Where does a shell script compare numbers of rows, and echo 0 for one that it could not have? `interlock.facts.count_checks` has the nouns."""

from __future__ import annotations

from collections.abc import Iterator

from interlock.facts import shell
from interlock.facts.count_checks import COUNT, CountChecks, ZeroForMissing, that_hide
from interlock.patterns import regex

_SHELL_TEST = regex(r"\$\{?(\w+)[^$]*?\s(?:-eq|-ne|-lt|-le|-gt|-ge|==?|!=|<|>)\s[^$]*\$\{?(\w+)")


def checks_in_shell(path: str, data: bytes) -> CountChecks:
    """The numbers of rows of one script that become 0 by `|| echo 0`, and are compared."""
    script = shell.parse(data)
    compared = {name for raw in _tests(script) for found in _SHELL_TEST.finditer(raw) for name in found.groups()}
    counted = [given for command in script.commands() for given in command.assignments if given.value is not None and COUNT.search(given.value.raw)]
    zeros = (
        ZeroForMissing(name=given.name, scope="", line=given.line)
        for given in counted
        if given.value is not None and given.name in compared and any(_or_zero(statement) for statement in _run_by(given.value))
    )
    return CountChecks(path=path, compares=any(given.name in compared for given in counted), zeros=tuple(that_hide(zeros)))


def _tests(script: shell.Script) -> Iterator[str]:
    """The text of every test, as `[` and as `test`."""
    for statement in shell.walk(script.statements):
        if isinstance(statement, shell.Condition):
            yield statement.raw
        elif isinstance(statement, shell.Command) and statement.words and statement.words[0].literal == "test":
            yield " ".join(word.raw for word in statement.words)


def _run_by(word: shell.Word) -> Iterator[shell.Statement]:
    for part in word.parts:
        if isinstance(part, shell.Substitution):
            yield from shell.walk(part.body)


def _or_zero(statement: shell.Statement) -> bool:
    """Is it `... || echo 0`?"""
    if not isinstance(statement, shell.AndOr) or statement.operator != "||" or not isinstance(statement.right, shell.Command):
        return False
    words = [word.literal for word in statement.right.words]
    return words[:1] in (["echo"], ["printf"]) and words[-1] in ("0", "0\\n")
