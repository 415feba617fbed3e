"""How is a module backed up so that the copy is private from its first byte, and nothing has its name unless it is complete and verified?

Class E: an archive of the module's directories. Made under a hidden name, 0600, in the module's 0700 backup directory, which is held open and looked at
first; read back from the disk and compared; then its manifest and it get their names, without replacing anything. A failure leaves no new name, and no
older backup is touched.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, assert_never

from interlock.act.archives import SUFFIX, Conditions, Contents, Written, read_back, tool_version, write_archive
from interlock.act.outcome import Bench, StepDone, StepFailed
from interlock.act.private import CREATE, FILE_MODE, write_whole
from interlock.config.models import BackupClass
from interlock.facts import moments
from interlock.facts.canonical import canonical
from interlock.gate.journal import Result
from interlock.gate.plan import BackupPlan, Directory
from interlock.nouns import dataclass
from interlock.observe.caller import who
from interlock.observe.eyes import device_of

SCHEMA = "interlock/backup/1"
MANIFEST = ".json"
PART = ".part"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ROOM = 1.2  # of the last archive's size
_ACLS = ("system.posix_acl_access", "system.posix_acl_default")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Making:
    """One backup under way: its directory, open, and the names that it uses there."""

    step: BackupPlan
    folder: int
    name: str

    @property
    def hidden(self) -> str:
        return f".{self.name}{PART}"

    @property
    def manifest(self) -> str:
        return self.name + MANIFEST

    @property
    def hidden_manifest(self) -> str:
        return f".{self.manifest}{PART}"


def do_backup(step: BackupPlan, bench: Bench, *, timeout: int) -> StepDone:
    """Make one verified backup. Raises StepFailed, always with nothing changed: older backups stand as they did. `timeout` in seconds, for each pass."""
    bench.check()
    match step.backup_class:
        case BackupClass.E:
            return _archive(step, bench, timeout)
        case BackupClass.A | BackupClass.B | BackupClass.C | BackupClass.D | BackupClass.F | BackupClass.G:
            raise StepFailed(
                f"{step.module} is of backup class {step.backup_class}, which no step makes", why="the plan was not made by this interlock", changed=False
            )
        case _:
            assert_never(step.backup_class)


def _archive(step: BackupPlan, bench: Bench, timeout: int) -> StepDone:
    started = moments.written(bench.clock())
    name = f"{step.module}-{moments.stamp(bench.clock())}{SUFFIX[step.compression]}"
    try:
        for source in step.paths:
            _demand_same(source)
        with _private_directory(step.directory, step.owner_uid) as folder:
            making = _Making(step=step, folder=folder, name=name)
            _sweep(folder, step.module)
            _demand_room(making)
            try:
                written, data = _make(making, bench, started, timeout)
            finally:
                _sweep(folder, step.module)
                os.fsync(folder)
    except OSError as error:
        raise StepFailed(
            f"{step.module} cannot be backed up",
            where=str(error.filename or step.directory.path),
            why=error.strerror or str(error),
            remedy=_remedy(error.errno),
            changed=False,
        ) from error
    return StepDone(
        changed=False, data={"backup": f"{step.directory.path}/{name}", **data, "skipped": list(written.skipped), "changed_while_read": list(written.changed)}
    )


def undo_backup(step: BackupPlan, bench: Bench) -> StepDone:
    """Remove what a backup that was cut short left under hidden names; a complete one stays. Raises StepFailed."""
    bench.check_undo()
    try:
        with _private_directory(step.directory, step.owner_uid) as folder:
            _sweep(folder, step.module)
            os.fsync(folder)
    except OSError as error:
        raise StepFailed("the backup directory cannot be swept", where=step.directory.path, why=error.strerror or str(error), changed=True) from error
    return StepDone(result=Result.NOT_NEEDED, changed=False)


def _sweep(folder: int, module: str) -> None:
    """Remove the hidden files of this module, and a manifest that got its name before its archive did. The lock is ours: nobody else is making them now."""
    names = _names(folder)
    ours = re.compile(rf"\.({re.escape(module)}-\d{{8}}T\d{{6}}Z\.tar\.(?:zst|gz))({re.escape(MANIFEST)})?{re.escape(PART)}")
    for match in [match for name in sorted(names) if (match := ours.fullmatch(name))]:
        archive, manifest = match[1], match[1] + MANIFEST
        if match[2] and archive not in names and manifest in names and _same(folder, match[0], manifest):
            os.unlink(manifest, dir_fd=folder)
        with suppress(FileNotFoundError):
            os.unlink(match[0], dir_fd=folder)


def _names(folder: int) -> frozenset[str]:
    with os.scandir(folder) as entries:
        return frozenset(entry.name for entry in entries)


def _same(folder: int, one: str, other: str) -> bool:
    seen = [os.stat(name, dir_fd=folder, follow_symlinks=False) for name in (one, other)]
    return os.path.samestat(*seen)


def _make(making: _Making, bench: Bench, started: str, timeout: int) -> tuple[Written, dict[str, Any]]:
    step, folder = making.step, making.folder
    file = _create(making.hidden, folder, step.owner_uid)
    try:
        sources = [source.path for source in step.paths]
        written = write_archive(sources, step.exclude, file, compression=step.compression, conditions=_conditions(bench, timeout))
    finally:
        os.close(file)
    _demand_equal(written.contents, _read_back(making, bench, timeout))
    manifest = canonical(_manifest(making, written, bench, started)) + b"\n"
    file = _create(making.hidden_manifest, folder, step.owner_uid)
    try:
        write_whole(file, manifest)
        os.fsync(file)
    finally:
        os.close(file)
    # A link never replaces what has the name already, as a rename would. The manifest first: an archive that can be seen has one.
    os.link(making.hidden_manifest, making.manifest, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    try:
        os.link(making.hidden, making.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except OSError:
        os.unlink(making.manifest, dir_fd=folder)
        raise
    return written, {"bytes": written.contents.size, "sha256": written.contents.sha256, "members": written.contents.members}


def _conditions(bench: Bench, timeout: int) -> Conditions:
    return Conditions(environ=bench.environ, seconds=timeout, interrupted=bench.interrupted)


def _create(name: str, folder: int, owner: int) -> int:
    """A new file, readable and writable by `owner` alone from its first moment. Raises OSError; StepFailed when it did not come out so."""
    file = os.open(name, (CREATE & ~os.O_WRONLY) | os.O_RDWR, FILE_MODE, dir_fd=folder)
    try:
        _demand_private_file(file, name, owner)
    except BaseException:
        os.close(file)
        raise
    return file


def _demand_private_file(file: int, name: str, owner: int) -> None:
    status = os.fstat(file)
    if status.st_uid != owner:
        os.fchown(file, owner, -1)
    if stat.S_IMODE(status.st_mode) != FILE_MODE or _acl(file):
        raise StepFailed(
            "a new file is not private", where=name, why=f"it came out {stat.S_IMODE(status.st_mode):04o}", remedy="look at the umask", changed=False
        )


def _read_back(making: _Making, bench: Bench, timeout: int) -> Contents:
    file = os.open(making.hidden, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=making.folder)
    try:
        return read_back(file, compression=making.step.compression, conditions=_conditions(bench, timeout))
    finally:
        os.close(file)


def _demand_equal(written: Contents, found: Contents) -> None:
    if written != found:
        raise StepFailed(
            "the archive that lies on the disk is not the one that was written", why=f"wrote {written}, read {found}", remedy="look at the disk", changed=False
        )
    if not written.members:
        raise StepFailed("the archive is empty", why="tar found nothing to put into it", remedy="correct the module's `paths`", changed=False)


def _manifest(making: _Making, written: Written, bench: Bench, started: str) -> dict[str, Any]:
    step, contents = making.step, written.contents
    user, host = who(bench.environ)
    return {
        "schema": SCHEMA,
        "module": step.module,
        "class": step.backup_class.value,
        "procedure": "archive",
        "file": making.name,
        "bytes": contents.size,
        "sha256": contents.sha256,
        "members": {"count": contents.members, "sha256": contents.members_sha256},
        "paths": [{"path": source.path, "real": source.real, "device": source.device} for source in step.paths],
        "excluded": list(step.exclude),
        "skipped": list(written.skipped),
        "changed_while_read": list(written.changed),
        "started": started,
        "finished": moments.written(bench.clock()),
        "host": host,
        "user": user,
        "tools": {name: tool_version(name, bench.environ) for name in ("tar", step.compression)},
        "verification": {"level": "V1", "what": "read back from the disk, decompressed, members listed: digest and members are those that were written"},
        "plan": bench.plan,
        "journal": bench.id,
    }


@contextmanager
def _private_directory(directory: Directory, owner: int) -> Iterator[int]:
    """The backup directory, open: nobody but `owner` (and root) can look into it, put another in its place, or lead the way there elsewhere.

    Raises StepFailed when it is not so, or when it shows another disk than planned; OSError when it cannot be opened.
    """
    current = os.open("/", _FOLDER)
    walked = "/"
    try:
        for part in [part for part in directory.path.split("/") if part]:
            _demand_safe_parent(os.fstat(current), walked)
            below = os.open(part, _FOLDER, dir_fd=current)
            os.close(current)
            current, walked = below, f"{walked.rstrip('/')}/{part}"
        _demand_private(os.fstat(current), current, directory, owner)
        yield current
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP) and walked != directory.path:
            raise StepFailed(
                "a link stands on the way to the backup directory", where=directory.path, why=f"below {walked}", remedy="name the real directory", changed=False
            ) from error
        raise
    finally:
        os.close(current)


def _demand_safe_parent(status: os.stat_result, path: str) -> None:
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        raise StepFailed(
            "anybody could put another directory in the place of the backup directory",
            where=path,
            why="everybody may write there",
            remedy=f"chmod o-w {path}",
            changed=False,
        )


def _demand_private(status: os.stat_result, folder: int, directory: Directory, owner: int) -> None:
    faults = (
        (status.st_mode & 0o077, f"it is {stat.S_IMODE(status.st_mode):04o}", f"chmod 0700 {directory.path}"),
        (status.st_uid != owner, f"it belongs to uid {status.st_uid}, not {owner}", f"chown {owner} {directory.path}"),
        (_acl(folder), "an access control list lets others in", f"setfacl -b {directory.path}"),
        (
            device_of(status.st_dev) != directory.device,
            f"it shows device {device_of(status.st_dev)}, not {directory.device}",
            "mount the disk that belongs there",
        ),
    )
    for bad, why, remedy in faults:
        if bad:
            raise StepFailed("the backup directory is not private, or not the planned one", where=directory.path, why=why, remedy=remedy, changed=False)


def _acl(file: int) -> bool:
    try:
        return any(name in _ACLS for name in os.listxattr(file))
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return False
        raise


def _demand_same(source: Directory) -> None:
    """The path still shows what the plan saw: an archive of an empty mount point is no backup."""
    real, device = os.path.realpath(source.path), device_of(Path(source.path).stat().st_dev)
    if (real, device) != (source.real, source.device):
        raise StepFailed(
            "a path to back up shows something else now",
            where=source.path,
            why=f"{real} on device {device}, not {source.real} on {source.device}",
            remedy="mount it",
            changed=False,
        )


def _demand_room(making: _Making) -> None:
    """Room for what the last backup took and a fifth more; for the first one, for all of it uncompressed."""
    space = os.fstatvfs(making.folder)
    free = space.f_bavail * space.f_frsize
    last = _last_size(making)
    needed = int(last * _ROOM) if last is not None else sum(_size_below(source.path) for source in making.step.paths)
    if free < needed:
        raise StepFailed(
            "there is no room for the backup",
            where=making.step.directory.path,
            why=f"{free} bytes are free, {needed} are needed",
            remedy="make room; older backups were not touched",
            changed=False,
        )


def _last_size(making: _Making) -> int | None:
    """The size of the module's newest archive with a manifest, None when there is none."""
    names = _names(making.folder)
    ours = [name for name in names if name.startswith(f"{making.step.module}-") and name + MANIFEST in names]
    return os.stat(max(ours), dir_fd=making.folder, follow_symlinks=False).st_size if ours else None


def _size_below(top: str) -> int:
    """Bytes that a tree takes on its disk, links not followed. What cannot be read fails later, with tar's own words."""
    total, folders = 0, [top]
    while folders:
        with suppress(PermissionError, FileNotFoundError, NotADirectoryError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
    return total


def _remedy(code: int | None) -> str:
    match code:
        case errno.ENOSPC | errno.EDQUOT:
            return "make room; older backups were not touched"
        case errno.EEXIST:
            return "run it again: another backup has that name"
        case errno.EACCES | errno.EPERM:
            return "run as the owner of the backup directory, who can read the module's paths"
        case _:
            return "look at that path"
