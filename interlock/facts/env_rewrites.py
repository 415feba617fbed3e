"""Which scripts write over the env file that an operator edits? Anew, or by a copy of the example, without looking whether there is one, keeping it, or taking
what it says.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from interlock.facts.env_paths import EnvFiles, Values
from interlock.facts.env_writes import written
from interlock.facts.programs import ShellText, Unreadable
from interlock.facts.shell import Command, Condition, Script, Word, walk
from interlock.nouns import dataclass
from interlock.patterns import regex

FEWEST_KEYS = 2  # a file of one line that a script writes is its own
_KEEPS = regex(r"-[a-zA-Z]*[nbiu][a-zA-Z]*|--no-clobber|--backup.*|--interactive|--update.*|-S")
_ASIDE = regex(r"bak|backup|old|orig|save|prev|tmp|temp|\d{4}|\$\(date|`date|~$", re.IGNORECASE)
_READS = frozenset({"grep", "egrep", "sed", "awk", "cat", "source", ".", "test", "[", "diff", "cmp", "cut", "rm", "read", "git"})
_FRESH = regex(r"\bgit\s+clone\b|\bmktemp\b|\bcloud-init\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """One script that writes over an env file (by its path in the tree), and the line. `copies`: it puts another file in its place."""

    script: str
    line: int
    env_file: str
    copies: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrites:
    """What is judged by `env.preserve_operator_edits`: the scripts that write over an env file, and those that could not be read."""

    found: tuple[Rewritten, ...]
    unreadable: tuple[Unreadable, ...] = ()


def rewritten(texts: Iterable[ShellText], files: EnvFiles) -> tuple[Rewritten, ...]:
    """Each script and env file once. Nothing is said of a script that makes its machine or folder anew."""
    found: dict[tuple[str, str], Rewritten] = {}
    for text in texts:
        if any(name in text.text for name in files.names) and not _FRESH.search(text.text):
            for one in _of_script(text, files):
                found.setdefault((one.script, one.env_file), one)
    return tuple(found.values())


def _of_script(text: ShellText, files: EnvFiles) -> Iterable[Rewritten]:
    values = Values.of(text.script)
    over = [
        (one.targets, one.line, False) for one in written(text.script, values) if one.anew and len({setting.key for setting in one.settings}) >= FEWEST_KEYS
    ]
    over += [(values.texts(command.words[-1]), command.line, True) for command in text.script.commands() if _copies(command)]
    for targets, line, copies in over:
        meant = files.meant(targets, script=text.path, folders=values.folders())
        if meant is not None and not _looked_at(text.script, posixpath.basename(meant), values):
            yield Rewritten(script=text.path, line=line, env_file=meant, copies=copies)


def _copies(command: Command) -> bool:
    """`cp .env.example .env`, without an option that keeps what is there."""
    words = command.words
    return len(words) == 3 and words[0].literal in ("cp", "install") and not any(_KEEPS.fullmatch(word.literal or "") for word in words[1:])


def _looked_at(script: Script, name: str, values: Values) -> bool:
    """Whether the script asks for the file, reads it, or puts it aside, anywhere: then it may well know what it does."""
    named = {variable for variable, words in values.given.items() if any(text.endswith(name) for word in words for text in values.texts(word))}
    for statement in walk(script.statements):
        if isinstance(statement, Condition) and (name in statement.raw or any(re.search(rf"\$\{{?{variable}\b", statement.raw) for variable in named)):
            return True
        if isinstance(statement, Command) and _reads_or_keeps(statement, name, values):
            return True
    return False


def _reads_or_keeps(command: Command, name: str, values: Values) -> bool:
    program = posixpath.basename(command.words[0].literal or "") if command.words else ""
    if program in ("read", "select", "whiptail", "dialog"):
        return True  # it asks somebody
    if program in _READS:
        return any(_names(word, name, values) for word in command.words[1:])
    if program in ("cp", "mv", "tar", "rsync", "install") and len(command.words) > 2:
        from_it = any(_names(word, name, values) for word in command.words[1:-1])
        return from_it and (program == "tar" or _ASIDE.search(command.words[-1].raw) is not None)
    return False


def _names(word: Word, name: str, values: Values) -> bool:
    return any(posixpath.basename(text) == name for text in values.texts(word))
