"""Which files does a script edit by text patterns, and what were they made from? From its commands: `sed -i`, `perl -pi`, `sed ... < template > file`.

    for edit in edited(text): ...        # in the order of the text
    made_from(text)["docker-compose.yml"]   # what the script copies or downloads to there

`interlock.observe.installer_edits` finds the templates in the tree, and looks whether they still have what is sought.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from interlock.facts.programs import ShellText
from interlock.facts.shell import (
    AndOr,
    Background,
    Case,
    Command,
    Condition,
    Function,
    Group,
    If,
    Loop,
    Pipeline,
    Redirect,
    Statement,
    Stream,
    Text,
    Variable,
    Word,
    walk,
)
from interlock.facts.text_edits import ANYTHING, Edit, perl_edits, sed_edits
from interlock.nouns import dataclass
from interlock.patterns import regex

UNKNOWN = ""  # a source that nobody can name
OWN = "(its own text)"  # what the script writes itself: its lines are looked at anyway
_EDITORS = frozenset({"sed", "gsed", "perl"})
_BEFORE = frozenset({"sudo", "command", "doas", "busybox"})
_VARIABLE_NAME = regex(r"\$(\w+)")
_LOOKS = regex(r"\b(?:grep|egrep|fgrep|rg|awk|sed|diff|cmp|yq|jq)\b|=~")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEdit:
    """One edit of one file. `target` is its name as the script says it, variables with one value put in; `guarded`: only where something was found first.
    `edits` are None where the script is one that cannot be carried over to Python."""

    line: int
    last_line: int
    target: str
    edits: tuple[Edit, ...] | None
    guarded: bool


def edited(text: ShellText) -> Iterator[FileEdit]:
    """The edits of a script, in the order of its text."""
    values = variables(text)
    for command, guarded in _Walk(text).commands(text.script.statements, guarded=False):
        yield from _of_command(command, values, guarded=guarded)


def variables(text: ShellText) -> Mapping[str, str]:
    """The variables of a script that are set once, to something that is known; `.` for those that hold the directory of the script."""
    found: dict[str, list[str]] = defaultdict(list)
    for command in text.commands():
        for one in command.assignments:
            said = None if one.value is None or one.appends else _said(one.value, {})
            raw = one.value.raw if one.value is not None else ""
            found[one.name].append("." if re.search(r"dirname.*(?:\$0|BASH_SOURCE)", raw) else UNKNOWN if said is None else said)
    known = {name: values[0] for name, values in found.items() if len(values) == 1 and values[0]}
    return {name: _filled(value, known) for name, value in known.items()}


def _filled(value: str, known: Mapping[str, str]) -> str:
    """A value with the variables in it, two levels deep."""
    for _ in range(2):
        value = _VARIABLE_NAME.sub(lambda found: known.get(found[1], found[0]), value)
    return value


def _said(word: Word, values: Mapping[str, str]) -> str | None:
    """A word with known variables put in, others as `$name`; None when something in it is computed."""
    found = []
    for part in word.parts:
        match part:
            case Text(text=text):
                found.append(text)
            case Variable(name=name, operator=""):
                found.append(values.get(name, f"${name}"))
            case Variable(name=name):
                found.append(f"${name}")
            case _:
                return None
    return "".join(found)


class _Walk:
    """One way through a script that knows what is looked for before a command is run."""

    def __init__(self, text: ShellText) -> None:
        assignments = (one for command in text.commands() for one in command.assignments if one.value is not None and _LOOKS.search(one.value.raw))
        names = sorted({re.escape(one.name) for one in assignments})
        self._found = re.compile(rf"\$\{{?(?:{'|'.join(names)})\b") if names else None  # variables that hold what was found in a file

    def commands(self, statements: Sequence[Statement], *, guarded: bool) -> Iterator[tuple[Command, bool]]:
        """Every command, and whether something is looked for in a file before it is run."""
        for statement in statements:
            match statement:
                case Command():
                    yield statement, guarded
                    yield from ((one, guarded) for one in walk((statement,)) if isinstance(one, Command) and one is not statement)
                case If():
                    yield from self._if(statement, guarded=guarded)
                case AndOr():
                    yield from self.commands((statement.left,), guarded=guarded)
                    yield from self.commands((statement.right,), guarded=guarded or self._looks((statement.left,)))
                case Loop():
                    looks = self._looks(statement.condition) or any("grep" in one.raw for one in statement.values)
                    yield from self.commands(statement.condition, guarded=guarded)
                    yield from self.commands(statement.body, guarded=guarded or looks)
                case Condition():
                    continue
                case _:
                    yield from self.commands(_below(statement), guarded=guarded)

    def _if(self, statement: If, *, guarded: bool) -> Iterator[tuple[Command, bool]]:
        for branch in statement.branches:
            yield from self.commands(branch.condition, guarded=guarded)
            yield from self.commands(branch.body, guarded=guarded or self._looks(branch.condition))
        yield from self.commands(statement.otherwise, guarded=guarded or any(self._looks(branch.condition) for branch in statement.branches))

    def _looks(self, statements: Sequence[Statement]) -> bool:
        """Whether a condition depends on what is in a file."""
        for statement in walk(statements):
            if isinstance(statement, Command) and statement.words and _LOOKS.search(statement.words[0].raw):
                return True
            if isinstance(statement, Condition | Command):
                raw = statement.raw if isinstance(statement, Condition) else " ".join(word.raw for word in statement.words)
                if (isinstance(statement, Condition) and _LOOKS.search(raw)) or (self._found and self._found.search(raw)):
                    return True
        return False


def _below(statement: Statement) -> tuple[Statement, ...]:
    """The statements directly inside of a group, a pipe, a case, a function or a background job."""
    match statement:
        case Group():
            return statement.body
        case Background() | Function():
            return (statement.body,)
        case Pipeline():
            return statement.stages
        case Case():
            return tuple(one for arm in statement.arms for one in arm.body)
        case _:
            return ()


# ---- one command


def _of_command(command: Command, values: Mapping[str, str], *, guarded: bool) -> Iterator[FileEdit]:
    words = list(command.words)
    while words and (words[0].literal in _BEFORE or (words[0].literal or "").startswith("-")):
        words.pop(0)
    program = posixpath.basename(words[0].literal or "") if words else ""
    if program not in _EDITORS:
        return
    edits, files, in_place = _read_perl(words[1:]) if program == "perl" else _read_sed(words[1:])
    if not in_place:
        files = [*files, *(one.target for one in command.redirects if one.stream is Stream.READ)] if _writes_file(command.redirects) else []
    last = max((word.line + word.raw.count("\n") for word in command.words), default=command.line)
    for file in files:
        if (target := _said(file, values)) is not None:
            yield FileEdit(line=command.line, last_line=max(last, command.line), target=plain_path(target), edits=edits, guarded=guarded)


def plain_path(path: str) -> str:
    """A path without `./` in front and doubled slashes."""
    return re.sub(r"/+", "/", path).removeprefix("./") if "://" not in path else path


def _writes_file(redirects: Sequence[Redirect]) -> bool:
    return any(one.stream is Stream.WRITE and one.fd == 1 and one.target.raw != "/dev/null" for one in redirects)


_Read = tuple[tuple[Edit, ...] | None, list[Word], bool]


def _read_sed(words: Sequence[Word]) -> _Read:
    """The edits of a sed command, None when its script is not understood; its files, and whether it edits them in place."""
    extended = in_place = False
    known = True
    scripts: list[Word] = []
    files: list[Word] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        said = word.literal
        if said is None or not said.startswith("-") or said == "-":
            if said == "" and in_place and not scripts:
                continue  # the empty suffix that BSD's -i wants
            files.append(word)
        elif said in ("-e", "--expression") and rest:
            scripts.append(rest.pop(0))
        elif said in ("-E", "-r", "--regexp-extended"):
            extended = True
        elif said.startswith(("-i", "--in-place")):
            in_place = True
        elif re.fullmatch(r"-[Er]+i?", said):
            extended, in_place = True, in_place or said.endswith("i")
        elif said == "-ie":
            in_place = True
            scripts += rest[:1]
            rest = rest[1:]
        elif said not in ("-s", "-u", "--follow-symlinks", "--posix", "--"):
            known = False
    if not scripts:
        scripts, files = files[:1], files[1:]
    edits = [sed_edits(_script(script), extended=extended) for script in scripts]
    understood = known and not any(one is None for one in edits)
    return tuple(edit for one in edits if one for edit in one) if understood else None, files, in_place


def _read_perl(words: Sequence[Word]) -> _Read:
    """The same for `perl -pi -e '...' file`."""
    options = [word.literal or "" for word in words]
    switches = [option for option in options if re.fullmatch(r"-[pi0e.\w]*", option)]
    if not any("p" in one for one in switches) or not any("i" in one for one in switches) or any("0" in one or "n" in one for one in switches):
        return None, [], False
    at = next((number for number, option in enumerate(options) if option in switches and option.endswith("e")), None)
    if at is None or at + 1 >= len(words):
        return None, [], False
    edits = perl_edits(_script(words[at + 1]))
    files = [word for number, word in enumerate(words) if number > at + 1 and not (word.literal or "").startswith("-")]
    return edits, files, True


def _script(word: Word) -> str:
    """The text of a script, with ANYTHING where the shell puts something in."""
    return "".join(part.text if isinstance(part, Text) else ANYTHING for part in word.parts)


# ---- where files come from


def made_from(text: ShellText) -> Mapping[str, tuple[str, ...]]:
    """What each file that a script makes was made from: paths and URLs as it says them, OWN for what it writes itself, UNKNOWN where nobody can tell."""
    values = variables(text)
    found: dict[str, list[str]] = defaultdict(list)
    for command in text.commands():
        for target, source in _made(command, values):
            if target and target != source:
                found[plain_path(target)].append(source if source in (OWN, UNKNOWN) else plain_path(source))
    return {target: tuple(dict.fromkeys(sources)) for target, sources in found.items()}


def _made(command: Command, values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    said = [_said(word, values) or UNKNOWN for word in command.words]
    while said and said[0] in _BEFORE:
        said.pop(0)
    program = posixpath.basename(said[0]) if said else ""
    arguments = said[1:]
    plain = [word for word in arguments if not word.startswith("-")]
    written = next((one for one in command.redirects if one.stream is Stream.WRITE and one.fd == 1), None)
    if program in ("cp", "mv", "install") and len(plain) >= 2:
        yield _copied(plain[-2], plain[-1]), plain[-2]
    elif program == "wget" and plain:
        url = next((word for word in plain if "/" in word and not word.startswith("/")), UNKNOWN)
        yield _after(arguments, ("-O", "--output-document")) or posixpath.basename(url), url
    elif program == "curl" and any("://" in word or word.startswith("$") for word in plain):
        url = next(word for word in plain if "://" in word or word.startswith("$"))
        named = _after(arguments, ("-o", "--output")) or next((word for option, word in pairwise(arguments) if _is_output(option)), "")
        yield named or (_target(written, values) if written else posixpath.basename(url)), url
    elif written is not None:
        yield _target(written, values), _streamed(program, plain, command, values)


def _is_output(option: str) -> bool:
    """`-fsSLo` and the like: short options of curl that end in `o`."""
    return re.fullmatch(r"-[a-zA-Z#]*o", option) is not None


def _copied(source: str, target: str) -> str:
    return target + posixpath.basename(source) if target.endswith("/") else posixpath.basename(source) if target == "." else target


def _after(words: Sequence[str], options: tuple[str, ...]) -> str:
    for option, value in pairwise(words):
        if option in options:
            return value
    return next((word.partition("=")[2] for word in words if word.startswith(tuple(f"{option}=" for option in options))), "")


def _target(redirect: Redirect, values: Mapping[str, str]) -> str:
    return _said(redirect.target, values) or UNKNOWN


def _streamed(program: str, plain: Sequence[str], command: Command, values: Mapping[str, str]) -> str:
    """What a command prints into a file."""
    read = next((one for one in command.redirects if one.stream in (Stream.READ, Stream.HERE_DOCUMENT, Stream.HERE_STRING)), None)
    if program in ("cat", "envsubst", "tee", "sed", "gsed", "perl", "awk") and read is not None:
        return OWN if read.stream is not Stream.READ else _target(read, values)
    if program in ("echo", "printf"):
        return OWN
    if program in ("cat", "sed", "gsed", "awk") and plain:
        return plain[-1]
    return UNKNOWN


# ---- templates


def candidates(source: str, script: str, listing: Sequence[str]) -> tuple[str, ...]:
    """The files of a tree that a path or URL may mean which the script at `script` names; none where it says too little.

    The last parts of the path must be those of the file, from the right up to the first variable.
    """
    parts = [part for part in source.partition("?")[0].split("/") if part not in ("", ".", "..")]
    if not parts or not _VARIABLE_NAME.sub("", parts[-1]).strip("._-*") or "*" in source:
        return ()
    last = re.compile("".join("[^/]+" if number % 2 else re.escape(part) for number, part in enumerate(re.split(r"(\$\w+)", parts[-1]))))
    found = [path for path in listing if last.fullmatch(path.rpartition("/")[2])]
    fitting = [path for path in found if _agrees(parts[:-1], path.split("/")[:-1])]
    if "://" in source or source.startswith("$"):
        return tuple(fitting)
    home = posixpath.dirname(script)
    near = [path for path in fitting if path in (posixpath.normpath(posixpath.join(home, source)), posixpath.normpath(source))]
    beside = [path for path in fitting if posixpath.dirname(path) in (home, "")]
    return tuple(near or (beside if "$" in source else fitting))


def _agrees(said: Sequence[str], folders: Sequence[str]) -> bool:
    """Whether the folders of a path are those of a file: from the right, up to a variable, or to where the file's own folders end."""
    for part, folder in zip(reversed(said), reversed(folders), strict=False):
        if "$" in part:
            return True
        if part != folder:
            return False
    return len(said) >= len(folders) or not said
