"""What runs, and where? Every piece of shell of a tree, whatever file it stands in, and every Python program; `interlock.observe.programs` finds them.

A rule about commands reads these, and never opens a file itself: a file is read and parsed once, whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from enum import StrEnum

from interlock.facts.pythoncode import Module, NotPython
from interlock.facts.shell import Command, Script, parse
from interlock.nouns import dataclass


class Runs(StrEnum):
    """Where a piece of shell is run."""

    HOST = "host"  # a script that somebody or something starts on a host: ops, installers, updaters, cloud-init, units, crontabs, make targets
    IMAGE = "image"  # inside a container: entry points, what a Dockerfile builds with, healthchecks
    JOB = "job"  # by a forge's runner
    ASIDE = "aside"  # an example, a document, a helper of the repository's own development


class Holder(StrEnum):
    """What kind of file a piece of shell stands in."""

    SCRIPT = "script"  # the whole file is the script
    WORKFLOW = "workflow"
    MAKEFILE = "makefile"
    UNIT = "unit"
    CRONTAB = "crontab"
    DOCKERFILE = "dockerfile"
    CLOUD_INIT = "cloud-init"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellText:
    """One piece of shell: a script, or what stands in a file of another kind. `line` is where it begins in `path`.

    `name` is what is started: the path of a script, `path: job` of a workflow, `path: target` of a makefile. `text` has every byte, those that are no UTF-8
    by `surrogateescape`; in a template its placeholders stand as they are.
    """

    path: str
    name: str
    line: int
    runs: Runs
    holder: Holder
    text: str = field(repr=False)

    @property
    def script(self) -> Script:
        """The text, parsed; its lines are the file's. Look at `text` for what a rule is about before asking: reading a script takes two milliseconds."""
        return parse(self.text, first_line=self.line)

    def commands(self) -> Iterator[Command]:
        """Every command, in the order of the text, also those inside functions, branches and substitutions."""
        return self.script.commands()


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One Python program or module. `code` says why when it cannot be read."""

    path: str
    data: bytes = field(repr=False)
    code: Module | NotPython = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A file that holds shell or Python, and that could not be read: `why` in one sentence."""

    path: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """All that runs in a tree, sorted by path; without tests and the code of others."""

    shell: tuple[ShellText, ...]
    unreadable: tuple[Unreadable, ...] = ()

    def on_hosts(self) -> tuple[ShellText, ...]:
        """What changes a host when it is run: what most rules are about."""
        return tuple(text for text in self.shell if text.runs is Runs.HOST)

    def scripts(self) -> tuple[ShellText, ...]:
        """The files that are scripts from their first line to the last, wherever they run."""
        return tuple(text for text in self.shell if text.holder is Holder.SCRIPT)
