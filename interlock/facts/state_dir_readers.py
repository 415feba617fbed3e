"""Where does a script, program, unit or crontab of the host say that state lives? Follows it line by line; `interlock.facts.state_dir` resolves what it finds.

What is followed: assignments and `${VARIABLE:-default}` of shell scripts, in the order of their lines; `Environment=` and `EnvironmentFile=` of systemd units
(systemd.exec(5)); variables of crontabs (crontab(5)). A value that a reader takes from its caller, a file or a program is the env file's.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import assert_never

from interlock.facts.cron import is_crontab_path, parse_crontab
from interlock.facts.pythoncode import NotPython
from interlock.facts.shell import (
    AndOr,
    Assignment,
    Case,
    Command,
    Condition,
    Function,
    Group,
    If,
    Loop,
    Opaque,
    ProcessSubstitution,
    Redirect,
    Statement,
    Substitution,
    Text,
    Unparsed,
    Variable,
    Word,
    parse,
    walk,
)
from interlock.facts.state_dir import Reading, StateVariable, Unresolved, Way, Wrong
from interlock.facts.state_dir_python import python_readings
from interlock.facts.substitution import SubstitutionError, substitute
from interlock.facts.units import unit_settings
from interlock.patterns import regex

_DECLARES = frozenset({"export", "local", "readonly", "declare", "typeset"})
_RUNS_WITH = frozenset({"env", "sudo", "exec", "nice", "nohup", "flock", "timeout"})
_DEFAULTS = (":-", "-", ":=", "=")
_SHEBANG = regex(rb"#![^\n]*\b(?:ba|da|k|a|z)?sh\b")
_PYTHON = regex(rb"#![^\n]*\bpython[\d.]*\b")
_UNIT_SUFFIXES = (".service", ".socket", ".timer", ".path", ".mount", ".conf")
_SECTION = regex(rb"^\[(?:Unit|Service|Timer|Install)\]", re.MULTILINE)


class ReaderKind(StrEnum):
    """What a reader is, and so how it is read."""

    SHELL = "shell script"
    UNIT = "systemd unit"
    CRONTAB = "crontab"
    PYTHON = "Python program"


def kind_of(path: str, data: bytes) -> ReaderKind | None:
    """By its name where that says it, else by its first lines; None for what is none of them."""
    name = path.rpartition("/")[2]
    if name.endswith((".sh", ".bash", ".ksh")) or _SHEBANG.match(data):
        return ReaderKind.SHELL
    if name.endswith(".py") or _PYTHON.match(data):
        return ReaderKind.PYTHON
    if _SECTION.search(data) and (name.endswith(_UNIT_SUFFIXES) or "." not in name):
        return ReaderKind.UNIT
    if is_crontab_path(path):
        return ReaderKind.CRONTAB
    return None


def readings(path: str, data: bytes, variable: StateVariable, given: Mapping[str, str]) -> tuple[Reading, ...]:
    """Every place where a reader says what the variable comes to; none when it never names it. `given` are the variables of the env file."""
    kind = kind_of(path, data)
    if not re.search(rb"\b" + variable.name.encode() + rb"\b", data):
        return ()
    if kind is None:
        said = f"{path} is no shell script, Python program, systemd unit or crontab that can be followed"
        return (_unknown(path, 1, said, "name the script, program, unit or crontab in state_dir.readers"),)
    match kind:
        case ReaderKind.SHELL:
            return _Shell(path=path, variable=variable, given=given).follow(data)
        case ReaderKind.UNIT:
            return tuple(_unit(path, data, variable, given))
        case ReaderKind.CRONTAB:
            return tuple(_crontab(path, data, variable, given))
        case ReaderKind.PYTHON:
            return tuple(_python(path, data, variable, given))
        case _:
            assert_never(kind)


def _unknown(path: str, line: int, said: str, remedy: str) -> Reading:
    return Reading(file=path, line=line, way=Way.UNKNOWN, resolution=Unresolved(why=Wrong.INHERITED, message=said, remedy=remedy, line=line))


# ---- shell


@dataclass(slots=True, kw_only=True)
class _Shell:
    """A walk over a script in the order of its lines. `known` are variables that were set to text that can be followed."""

    path: str
    variable: StateVariable
    given: Mapping[str, str]
    found: list[Reading] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)

    def follow(self, data: bytes) -> tuple[Reading, ...]:
        script = parse(data)
        self._statements(script.statements, guarded=False)
        for part in script.unparsed:
            if self._names(part.raw):
                said = f"{self.path}:{part.line} could not be read, and names {self.variable.name}"
                self.found.append(_unknown(self.path, part.line, said, "look whether `bash -n` takes the file"))
        return tuple(sorted(dict.fromkeys(self.found), key=lambda reading: reading.line))

    def _names(self, text: str) -> bool:
        return re.search(rf"\b{re.escape(self.variable.name)}\b", text) is not None

    def _statements(self, statements: Iterable[Statement], *, guarded: bool) -> None:
        for statement in statements:
            self._statement(statement, guarded=guarded)

    def _statement(self, statement: Statement, *, guarded: bool) -> None:
        match statement:
            case Command():
                self._command(statement, guarded=guarded)
            case AndOr():
                self._statement(statement.left, guarded=guarded)
                self._statement(statement.right, guarded=guarded or self._asks((statement.left,)))
            case If():
                asked = guarded
                for branch in statement.branches:
                    self._statements(branch.condition, guarded=asked)
                    asked = asked or self._asks(branch.condition)
                    self._statements(branch.body, guarded=asked)
                self._statements(statement.otherwise, guarded=asked)
            case Case():
                self._words((statement.word,))
                asked = guarded or self._mentions(statement.word)
                for arm in statement.arms:
                    self._statements(arm.body, guarded=asked)
            case Loop():
                self._words(statement.values)
                self._statements((*statement.condition, *statement.body), guarded=guarded)
            case Group():
                self._statements(statement.body, guarded=guarded)
            case Function():
                self._statement(statement.body, guarded=guarded)
            case Condition():
                self._raw(statement.raw, statement.line)
                self._statements(statement.body, guarded=guarded)
            case Unparsed():
                return
            case _:
                self._statements(statement.stages if hasattr(statement, "stages") else (statement.body,), guarded=guarded)

    def _asks(self, statements: Iterable[Statement]) -> bool:
        """True when a condition looks at the variable: what is set behind it is a default."""
        for statement in walk(statements):
            if isinstance(statement, Condition) and self._names(statement.raw):
                return True
            if isinstance(statement, Command) and any(self._mentions(word) for word in statement.words):
                return True
        return False

    def _mentions(self, word: Word) -> bool:
        return any(isinstance(part, Variable) and (part.name == self.variable.name or (part.argument and self._mentions(part.argument))) for part in word.parts)

    def _command(self, command: Command, *, guarded: bool) -> None:
        program = posixpath.basename(command.words[0].literal or "") if command.words else ""
        self._words((*command.words, *_targets(command.redirects)))
        for assignment in command.assignments:
            if assignment.value is not None:
                self._words((assignment.value,))
            if command.words and program not in _DECLARES:
                self._for_one_command(assignment.name, assignment.value, assignment.line)
            else:
                self._assign(assignment, guarded=guarded)
        if program in _RUNS_WITH:
            for word in command.words[1:]:
                name, equals, value = (word.literal or "").partition("=")
                if equals and name == self.variable.name and value:
                    self._add(Way.FIXED, value, word.line)
        if program in (".", "source") or (program in ("read", "mapfile", "eval") and any(self.variable.name in word.raw for word in command.words[1:])):
            self._set_elsewhere(command.line)

    def _for_one_command(self, name: str, value: Word | None, line: int) -> None:
        if name == self.variable.name and value is not None and value.literal:
            self._add(Way.FIXED, value.literal, line)

    def _assign(self, assignment: Assignment, *, guarded: bool) -> None:
        if assignment.value is None:
            return
        if assignment.name != self.variable.name:
            self._remember(assignment)
            return
        value = assignment.value
        if self._mentions(value):
            return  # made of itself; its default was found among the words
        others = [part for part in value.parts if not isinstance(part, Text)]
        if any(isinstance(part, (Substitution, ProcessSubstitution, Opaque)) for part in others) or self._is_one_unknown(value):
            self._set_elsewhere(assignment.line)
            return
        text = _as_template(value)
        if text is None:
            said = f"{self.path}:{assignment.line} makes {self.variable.name} of {value.raw}, which cannot be followed"
            self.found.append(_unknown(self.path, assignment.line, said, "write the directory down, or take it from the env file"))
            return
        if not text:
            return  # made empty before it is read from somewhere
        alone = len(value.parts) == 1 and len(others) == 1
        way = Way.DEFAULT if guarded or (alone and isinstance(others[0], Variable) and others[0].operator in _DEFAULTS) else Way.FIXED
        self._add(way, text, assignment.line)

    def _is_one_unknown(self, value: Word) -> bool:
        """`$1`, `$value`: whatever it is, it was given from elsewhere."""
        if len(value.parts) != 1 or not isinstance(part := value.parts[0], Variable):
            return False
        return part.name not in self.known and part.name not in self.variable.fallbacks and part.name not in self.given and part.operator not in _DEFAULTS

    def _remember(self, assignment: Assignment) -> None:
        text = _as_template(assignment.value)
        try:
            if text is not None:
                self.known[assignment.name] = substitute(text, self._others())
                return
        except SubstitutionError:
            pass
        self.known.pop(assignment.name, None)

    def _others(self) -> dict[str, str]:
        return {**self.variable.fallbacks, **{name: text for name, text in self.given.items() if text and name != self.variable.name}, **self.known}

    def _set_elsewhere(self, line: int) -> None:
        """From here on the value is another's: what was written down before is what is left when that says nothing."""
        self.found = [replace(reading, way=Way.DEFAULT) if reading.way is Way.FIXED else reading for reading in self.found]
        self.found.append(Reading(file=self.path, line=line, way=Way.ENVIRONMENT))

    def _words(self, words: Iterable[Word]) -> None:
        """Every `${VARIABLE:-default}` in these words."""
        for word in words:
            for part in word.parts:
                if isinstance(part, Variable):
                    self._reference(part, word.line)
                elif isinstance(part, (Substitution, ProcessSubstitution, Opaque)):
                    self._statements(part.body, guarded=False)

    def _reference(self, part: Variable, line: int) -> None:
        if part.name == self.variable.name:
            text = _as_template(part.argument) if part.argument is not None and part.operator in _DEFAULTS else ""
            if text is None:
                said = f"{self.path}:{line} takes a default for {self.variable.name} that cannot be followed"
                self.found.append(_unknown(self.path, line, said, "write the default down"))
            elif text:
                self._add(Way.DEFAULT, text, line, only_unset=not part.operator.startswith(":"))
            else:
                self.found.append(Reading(file=self.path, line=line, way=Way.ENVIRONMENT))
        elif part.argument is not None:
            self._words((part.argument,))

    def _raw(self, raw: str, line: int) -> None:
        """The text of a condition, which is not taken apart."""
        for default in re.findall(rf"\$\{{{re.escape(self.variable.name)}:?[-=]([^}}]+)\}}", raw):
            self._add(Way.DEFAULT, default.strip("\"'"), line)

    def _add(self, way: Way, text: str, line: int, *, only_unset: bool = False) -> None:
        resolution = StateVariable(name=self.variable.name, default=text, fallbacks=self._others()).resolve({})
        if isinstance(resolution, Unresolved) and resolution.why is Wrong.UNDEFINED:
            said = f"{self.path}:{line} makes {self.variable.name} of {text}, which cannot be followed"
            self.found.append(_unknown(self.path, line, said, "give the variable in it a value in state_dir.values, or write the directory down"))
        else:
            self.found.append(Reading(file=self.path, line=line, way=way, resolution=resolution, only_unset=only_unset))


def _targets(redirects: Iterable[Redirect]) -> Iterator[Word]:
    return (redirect.target for redirect in redirects)


def _as_template(word: Word | None) -> str | None:
    """The word as a text with references, as a default of the site is written; an argument of the script is its default. None when a program's output or
    the like is in it."""
    if word is None:
        return ""
    parts: list[str] = []
    for part in word.parts:
        match part:
            case Text():
                parts.append(part.text.replace("$", "$$"))
            case Variable() if part.operator in ("", *_DEFAULTS):
                argument = _as_template(part.argument)
                if argument is None or not (part.name.isidentifier() or argument):
                    return None
                parts.append(f"${{{part.name}{part.operator.replace('=', '-')}{argument}}}" if part.name.isidentifier() else argument)
            case _:
                return None
    return "".join(parts)


# ---- systemd units


def _unit(path: str, data: bytes, variable: StateVariable, given: Mapping[str, str]) -> Iterator[Reading]:
    """`EnvironmentFile=` wins over `Environment=`, whatever their order; an empty assignment forgets those before it."""
    fixed: Reading | None = None
    from_file: int | None = None
    for line, _, key, value in unit_settings(data):
        if key == "Environment":
            if not value:
                fixed = None
            for text in _unit_values(value, variable.name):
                fixed = _of_unit(path, line, text, variable, given)
        elif key == "EnvironmentFile":
            from_file = line if value else None
        elif key == "PassEnvironment" and variable.name in value.split():
            yield Reading(file=path, line=line, way=Way.ENVIRONMENT)
        elif key.startswith("Exec"):
            shell = _Shell(path=path, variable=variable, given=given)
            yield from (replace(reading, line=line) for reading in shell.follow(value.replace("$$", "$").encode()))
    if fixed is not None:
        yield replace(fixed, way=Way.DEFAULT) if from_file is not None else fixed
    if from_file is not None:
        yield Reading(file=path, line=from_file, way=Way.ENVIRONMENT)


def _of_unit(path: str, line: int, text: str, variable: StateVariable, given: Mapping[str, str]) -> Reading:
    if "%" in text.replace("%%", ""):
        said = f"{path}:{line} makes {variable.name} of {text}, which only systemd can follow"
        return _unknown(path, line, said, "write the directory down, or take it from the env file with EnvironmentFile=")
    literal = text.replace("%%", "%").replace("$", "$$")
    return Reading(file=path, line=line, way=Way.FIXED, resolution=replace(variable, default=literal).resolve({**given, variable.name: ""}))


def _unit_values(value: str, name: str) -> Iterator[str]:
    """What `Environment=` gives a variable: assignments split at blanks, each perhaps in quotes."""
    try:
        words = shlex.split(value)
    except ValueError:
        words = value.split()
    for word in words:
        key, equals, text = word.partition("=")
        if equals and key == name:
            yield text


# ---- crontabs


def _crontab(path: str, data: bytes, variable: StateVariable, given: Mapping[str, str]) -> Iterator[Reading]:
    """Its own variables, which cron does not expand, and what its commands say."""
    text = data.decode("utf-8", "replace")
    crontab = parse_crontab(text)
    if value := crontab.variables.get(variable.name):
        line = next((number for number, raw in enumerate(text.split("\n"), start=1) if re.match(rf"\s*[\"']?{re.escape(variable.name)}[\"']?\s*=", raw)), 1)
        resolution = replace(variable, default=value.replace("$", "$$")).resolve({**given, variable.name: ""})
        yield Reading(file=path, line=line, way=Way.FIXED, resolution=resolution)
    for entry in crontab.lines:
        shell = _Shell(path=path, variable=variable, given=given)
        yield from (replace(reading, line=entry.line) for reading in shell.follow(entry.command.encode()))


# ---- Python programs


def _python(path: str, data: bytes, variable: StateVariable, given: Mapping[str, str]) -> Iterator[Reading]:
    found = python_readings(data, variable.name)
    if isinstance(found, NotPython):
        yield _unknown(path, found.line, f"{path}:{found.line} could not be read as Python: {found.why}", "look whether `python3 -m py_compile` takes the file")
        return
    others = {**variable.fallbacks, **{name: text for name, text in given.items() if text and name != variable.name}}
    for one in found:
        if one.text == "":
            yield Reading(file=path, line=one.line, way=Way.ENVIRONMENT)
            continue
        way = Way.FIXED if one.fixed else Way.DEFAULT
        resolution = None if one.text is None else StateVariable(name=variable.name, default=one.text, fallbacks=others).resolve({})
        if resolution is None or (isinstance(resolution, Unresolved) and resolution.why is Wrong.UNDEFINED):
            said = f"{path}:{one.line} makes {variable.name} of something that cannot be followed"
            yield _unknown(path, one.line, said, "write the directory down, or take it from the environment")
        else:
            yield Reading(file=path, line=one.line, way=way, resolution=resolution, only_unset=one.only_unset)
