"""What does a command step come to? Its argument tuples, the directory that it runs in, and the digest of every file that they name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from interlock.act.hands import ENVIRON
from interlock.change.resolving.resolving import Resolving
from interlock.config.actions import CommandStep
from interlock.config.scalars import LOCAL
from interlock.errors import ConfigError
from interlock.gate.plan import CommandPlan, InputFile
from interlock.observe.fingerprint import named


def resolve_command(resolving: Resolving, step: CommandStep, number: int) -> CommandPlan:
    """Raises ConfigError for what cannot run there; CouldNotLook for a host that cannot be asked."""
    host = resolving.host(step.host)
    directory = step.directory or _own_folder(resolving, host, step, number)
    resolving.directory(directory, number, f"install -d {directory}", host)
    inputs: dict[str, str] = {}
    for argv in (step.run, step.undo, step.done):
        if argv is not None:
            inputs |= _inputs(resolving, argv, (host, directory), number)
    return CommandPlan(
        host=host,
        argv=step.run,
        undo=step.undo,
        done=step.done,
        directory=directory,
        timeout=step.timeout,
        inputs=tuple(InputFile(path=path, digest=inputs[path]) for path in sorted(inputs)),
        remounts=step.remounts or (),
    )


def _own_folder(resolving: Resolving, host: str, step: CommandStep, number: int) -> str:
    """The site's folder, which another host does not have."""
    if host != LOCAL:
        raise ConfigError(f"nobody says where {step.run[0]} runs on {host}", where=resolving.where(number), remedy="name its `directory` on that host")
    return str(resolving.site.root.resolve())


def _inputs(resolving: Resolving, argv: Sequence[str], place: tuple[str, str], number: int) -> dict[str, str]:
    """The program and every file that its arguments name, with their digests: a script that is edited after its approval is another one.

    `place` is the host and the directory. What an earlier step of the plan writes is named as it will be then.
    """
    host, directory = place
    eyes = resolving.eyes(host)
    arguments = {_path(directory, part) for part in argv[1:] if part and "\0" not in part}
    written = {path: file for (on, path), file in resolving.written.items() if on == host}
    own = written.get(_path(directory, argv[0])) if "/" in argv[0] else None
    if own is not None and int(own.new.mode, 8) & 0o111:
        program: str | None = argv[0]
    else:
        program = eyes.program(argv[0], directory, resolving.environ.get("PATH", "") if host == LOCAL else ENVIRON["PATH"])
    if program is None:
        what = f"there is no program {argv[0]}" + (f" on {host}" if host != LOCAL else "")
        raise ConfigError(what, where=resolving.where(number), remedy="install it, or correct its path")
    paths = {_path(directory, program), *arguments}
    try:
        found = dict(eyes.digests(sorted(paths - written.keys())))
    except OSError as error:
        where = named(host, str(error.filename))
        raise ConfigError(f"{where} cannot be read: {error.strerror}", where=resolving.where(number), remedy="let this user read it") from error
    resolving.files |= {named(host, path) for path in found}
    return found | {path: written[path].new.digest for path in paths & written.keys()}


def _path(directory: str, part: str) -> str:
    return str(PurePosixPath(directory, part))
