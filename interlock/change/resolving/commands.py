"""What does a command step come to? Its argument tuples, the directory that it runs in, and the digest of every file that they name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from interlock.change.resolving.resolving import Resolving
from interlock.config.actions import CommandStep
from interlock.errors import ConfigError
from interlock.gate.plan import CommandPlan, InputFile
from interlock.observe.fingerprint import file_digest


def resolve_command(resolving: Resolving, step: CommandStep, number: int) -> CommandPlan:
    resolving.demand_here(step.host, number, step.run[0])
    directory = step.directory or str(resolving.site.root.resolve())
    resolving.directory(directory, number, f"install -d {directory}")
    inputs: dict[str, str] = {}
    for argv in (step.run, step.undo, step.done):
        if argv is not None:
            inputs |= _inputs(resolving, argv, directory, number)
    return CommandPlan(
        argv=step.run,
        undo=step.undo,
        done=step.done,
        directory=directory,
        timeout=step.timeout,
        inputs=tuple(InputFile(path=path, digest=inputs[path]) for path in sorted(inputs)),
    )


def _inputs(resolving: Resolving, argv: Sequence[str], directory: str, number: int) -> dict[str, str]:
    """The program and every file that its arguments name, with their digests: a script that is edited after its approval is another one."""
    program = argv[0] if "/" in argv[0] else shutil.which(argv[0], path=resolving.environ.get("PATH"))
    if program is None or not os.access(Path(directory, program), os.X_OK):
        raise ConfigError(f"there is no program {argv[0]}", where=resolving.where(number), remedy="install it, or correct its path")
    named = {str(Path(directory, part)) for part in (program, *argv[1:]) if part and "\0" not in part}
    found = {}
    for path in named:
        if Path(path).is_file():
            try:
                found[path] = file_digest(path)
            except OSError as error:
                raise ConfigError(f"{path} cannot be read: {error.strerror}", where=resolving.where(number), remedy="let this user read it") from error
            resolving.files.add(path)
    return found
