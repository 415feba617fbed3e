"""How do rendered bytes reach their targets, whole or not at all, and how do the old ones come back?

All files of a step are first written beside their targets under names of their own, so that a full disk or a missing permission shows before anything has
changed; then each is renamed into place. Old bytes lie in the journal's `undo/` before that. Below the instance's directory no link is followed: every
folder on the way is opened as a folder, and what was planned as `/srv/app/conf/a` cannot become another file.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from interlock.act.outcome import Bench, StepDone, StepFailed
from interlock.act.private import CREATE, FILE_MODE, write_private, write_whole
from interlock.errors import InterlockError
from interlock.facts.canonical import digest
from interlock.gate.journal import Result
from interlock.gate.plan import EnvPatchPlan, FilesPlan, OldFile, TargetPlan
from interlock.nouns import dataclass

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
LIMIT = 256 * 1024 * 1024  # of one file


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A regular file as it stands at a target, with its bytes."""

    data: bytes
    mode: str
    uid: int
    gid: int

    @property
    def digest(self) -> str:
        """Of its bytes."""
        return digest(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """A file of the plan, the open folder that holds it, and its name in there."""

    plan: TargetPlan
    folder: int
    name: str

    def temporary(self, id: str) -> str:  # noqa: A002 - the action's id
        return f".{self.name}.interlock-{id.partition('-')[0]}-{id.rpartition('-')[2]}"

    def seen(self) -> Seen | None:
        return see(self.name, self.folder)


def do_files(step: FilesPlan | EnvPatchPlan, bench: Bench, *, again: bool) -> StepDone:
    """Write every file that is not yet what it should be. Raises StepFailed; `changed` says whether a file has been renamed until then.

    Each target must still be what the plan found there; `again` (the step was interrupted before) takes one that is already new, too.
    """
    bench.check()
    written: list[str] = []
    try:
        with _targets(step, bench) as targets:
            due = [target for target in targets if _is_due(target, again=again)]
            for target in due:
                with _at(target):
                    _keep_old(target, bench)
            try:
                for target in due:
                    with _at(target):
                        _stage(target, bench)
                for target in due:
                    with _at(target):
                        _put(target, bench, written, again=again)
                _sync(due)
            finally:
                _sweep(due, bench)
    except OSError as error:
        changed = bool(written) or again
        raise StepFailed("files cannot be written", where=str(error.filename or ""), why=error.strerror or str(error), changed=changed) from error
    except (StepFailed, InterlockError) as error:
        raise StepFailed(error.what, where=error.where, why=error.why, remedy=error.remedy, changed=bool(written) or again) from error
    data = {"written": written, "unchanged": len(step.files) - len(written)}
    return StepDone(result=Result.DONE if written else Result.NOT_NEEDED, changed=bool(written) or again, data=data)


def undo_files(step: FilesPlan | EnvPatchPlan, bench: Bench) -> StepDone:
    """Put back what stood there: bytes, mode and owner; remove what was created. Raises StepFailed, naming every file that could not be put back."""
    bench.check_undo()
    restored: list[str] = []
    left: list[str] = []
    try:
        with _targets(step, bench, undoing=True) as targets:
            for target in reversed(targets):
                try:
                    if _restore(target, bench):
                        restored.append(target.plan.target)
                except (OSError, StepFailed) as error:
                    left.append(f"{target.plan.target}: {error.why if isinstance(error, StepFailed) else error.strerror}")
            _sync(targets)
    except OSError as error:
        raise StepFailed("files cannot be put back", where=str(error.filename or ""), why=error.strerror or str(error), changed=True) from error
    if left:
        raise StepFailed(
            f"{len(left)} of {len(step.files)} files are not put back", why="; ".join(left), changed=True, data={"restored": restored, "left": left}
        )
    return StepDone(result=Result.DONE if restored else Result.NOT_NEEDED, changed=False, data={"restored": restored})


@contextmanager
def _at(target: _Target) -> Iterator[None]:
    """Name the target in what the system says is wrong: it knows only a name in a folder."""
    try:
        yield
    except OSError as error:
        raise StepFailed("a file cannot be written", where=target.plan.target, why=error.strerror or str(error), changed=False) from error


def see(name: str, folder: int | None) -> Seen | None:
    """What stands there, None for nothing. Raises OSError; StepFailed for anything that is no regular file of its own (a link, a second name)."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise StepFailed(
                "a link stands at a target", where=name, why="it is a symbolic link", remedy="put a file there, or correct the template's target", changed=False
            ) from error
        raise
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):  # Python makes no file object of one
        os.close(descriptor)
        raise StepFailed("a target cannot be replaced", where=name, why="it is a directory", remedy="put a file there", changed=False)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            why = "it is no regular file" if not stat.S_ISREG(status.st_mode) else f"it has {status.st_nlink} names, and only this one would change"
            raise StepFailed("a target cannot be replaced", where=name, why=why, remedy="put a file of its own there", changed=False)
        if status.st_size > LIMIT:
            raise StepFailed("a target is too large", where=name, why=f"{status.st_size} bytes; at most {LIMIT} are handled", changed=False)
        return Seen(data=file.read(), mode=f"{stat.S_IMODE(status.st_mode):04o}", uid=status.st_uid, gid=status.st_gid)


@contextmanager
def _targets(step: FilesPlan | EnvPatchPlan, bench: Bench, *, undoing: bool = False) -> Iterator[list[_Target]]:
    """Every file that is to change, with its folder held open; what a crash left of earlier tries is swept away first.

    An undo looks at the bytes that stand there alone: device numbers may be others after a reboot, and what we wrote is known by its digest.
    """
    folders: dict[str, int] = {}
    found: list[_Target] = []
    try:
        for plan in step.files:
            if not plan.unchanged:
                folder, name = os.path.split(plan.target)
                if folder not in folders:
                    folders[folder] = open_below(plan.directory, plan.real, None if undoing else plan.device, folder)
                found.append(_Target(plan=plan, folder=folders[folder], name=name))
        _sweep(found, bench)
        yield found
    finally:
        for descriptor in folders.values():
            os.close(descriptor)


def open_below(directory: str, real: str, device: str | None, folder: str) -> int:
    """Open `folder`, which is `directory` or lies below it, without following a link on the way. Raises OSError, or StepFailed when it is not where it was.

    `real` and `device` are where `directory` led, and what `folder` showed, when the plan was made (None while it is made): a disk that is not mounted any
    more shows another device.
    """
    if os.path.realpath(directory) != real:
        raise StepFailed("a directory leads elsewhere now", where=directory, why=f"to {os.path.realpath(directory)}, not to {real}", changed=False)
    current = os.open(real, _FOLDER)
    try:
        for part in Path(os.path.relpath(folder, directory)).parts:
            below = os.open(part, _FOLDER, dir_fd=current)
            os.close(current)
            current = below
        _demand_device(current, device, folder)
    except BaseException as error:
        os.close(current)
        if isinstance(error, OSError) and error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise StepFailed("a link or a file stands where a folder was", where=folder, why=error.strerror or "", changed=False) from error
        raise
    return current


def _demand_device(descriptor: int, device: str | None, folder: str) -> None:
    shown = device_of(os.fstat(descriptor).st_dev)
    if device is not None and shown != device:
        why = f"device {shown}, not {device}"
        raise StepFailed("a directory shows another disk now", where=folder, why=why, remedy="mount the disk that belongs there", changed=False)


def device_of(number: int) -> str:
    """`major:minor` of a st_dev."""
    return f"{os.major(number)}:{os.minor(number)}"


def _is_due(target: _Target, *, again: bool) -> bool:
    """True when it is still to be written. Raises StepFailed when it is neither what the plan found nor, the second time, what the plan wants."""
    seen = target.seen()
    if again and _is_new(seen, target.plan):
        return False
    _demand_old(seen, target)
    return True


def _is_new(seen: Seen | None, plan: TargetPlan) -> bool:
    return seen is not None and (seen.digest, seen.mode) == (plan.new.digest, plan.new.mode)


def _is_old(seen: Seen | None, old: OldFile | None) -> bool:
    if seen is None or old is None:
        return seen is None and old is None
    return (seen.digest, seen.mode, seen.uid, seen.gid) == (old.digest, old.mode, old.uid, old.gid)


def _demand_old(seen: Seen | None, target: _Target) -> None:
    if not _is_old(seen, target.plan.old):
        found = f"{seen.digest}, {seen.mode}, {seen.uid}:{seen.gid}" if seen else "nothing"
        old = target.plan.old
        planned = f"{old.digest}, {old.mode}, {old.uid}:{old.gid}" if old else "nothing"
        raise StepFailed(
            f"{target.plan.target} is not what the plan found there",
            where=target.plan.target,
            why=f"found {found}, planned on {planned}",
            remedy="make a new plan",
            changed=False,
        )


def _keep_old(target: _Target, bench: Bench) -> None:
    """Have the old bytes in `undo/`, on disk, under their digest."""
    old = target.plan.old
    if old is None:
        return
    kept = _kept(bench, old.digest)
    seen = target.seen()
    _demand_old(seen, target)
    if not kept.exists() and seen is not None:
        write_private(kept, seen.data)


def _kept(bench: Bench, of: str) -> Path:
    return bench.undo_folder / of.removeprefix("sha256:")


def _stage(target: _Target, bench: Bench) -> None:
    """Write the new file beside its target, complete and on disk, with the mode and owner that it will have."""
    old = target.plan.old
    data = bench.content(target.plan, _kept(bench, old.digest).read_bytes() if old is not None else None)
    if digest(data) != target.plan.new.digest:
        raise StepFailed(f"{target.plan.target} does not come to the planned bytes", where=target.plan.target, remedy="make a new plan", changed=False)
    owner = (old.uid, old.gid) if old is not None else None
    _write_beside(target, target.temporary(bench.id), data, mode=int(target.plan.new.mode, 8), owner=owner)


def _write_beside(target: _Target, name: str, data: bytes, *, mode: int, owner: tuple[int, int] | None) -> None:
    descriptor = os.open(name, CREATE, FILE_MODE, dir_fd=target.folder)
    try:
        write_whole(descriptor, data)
        status = os.fstat(descriptor)
        if owner is not None and owner != (status.st_uid, status.st_gid):
            os.fchown(descriptor, *owner)
        _copy_attributes(target, descriptor)
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy_attributes(target: _Target, descriptor: int) -> None:
    """Extended attributes (ACLs and labels among them) belong to the target, not to its bytes."""
    try:
        standing = os.open(target.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=target.folder)
    except FileNotFoundError:
        return
    try:
        for name in os.listxattr(standing):
            value = os.getxattr(standing, name)
            if not (name in os.listxattr(descriptor) and os.getxattr(descriptor, name) == value):
                os.setxattr(descriptor, name, value)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
    finally:
        os.close(standing)


def _put(target: _Target, bench: Bench, written: list[str], *, again: bool) -> None:
    """Rename the staged file over its target, unless that is no longer what the plan found."""
    seen = target.seen()
    if not (again and _is_new(seen, target.plan)):
        _demand_old(seen, target)
    os.rename(target.temporary(bench.id), target.name, src_dir_fd=target.folder, dst_dir_fd=target.folder)
    written.append(target.plan.target)
    seen = target.seen()
    if not _is_new(seen, target.plan):
        raise StepFailed(f"{target.plan.target} is not what was just written", where=target.plan.target, why="somebody else writes there", changed=True)


def _restore(target: _Target, bench: Bench) -> bool:
    """Put the old state back; False when it is there already. Raises OSError, or StepFailed when somebody else has been there."""
    seen = target.seen()
    if _is_old(seen, target.plan.old):
        return False
    if seen is None or seen.digest != target.plan.new.digest:
        raise StepFailed("a file was changed by somebody else since", where=target.plan.target, why="it was changed by somebody else since", changed=True)
    old = target.plan.old
    if old is None:
        os.unlink(target.name, dir_fd=target.folder)
        return True
    data = _kept(bench, old.digest).read_bytes()
    if digest(data) != old.digest:
        raise StepFailed("the kept bytes are damaged", where=str(_kept(bench, old.digest)), why="the old bytes that were kept for it are damaged", changed=True)
    try:
        _write_beside(target, target.temporary(bench.id), data, mode=int(old.mode, 8), owner=(old.uid, old.gid))
        os.rename(target.temporary(bench.id), target.name, src_dir_fd=target.folder, dst_dir_fd=target.folder)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(target.temporary(bench.id), dir_fd=target.folder)
    return True


def _sweep(targets: list[_Target], bench: Bench) -> None:
    for target in targets:
        with suppress(FileNotFoundError):
            os.unlink(target.temporary(bench.id), dir_fd=target.folder)


def _sync(targets: list[_Target]) -> None:
    for folder in {target.folder for target in targets}:
        os.fsync(folder)
