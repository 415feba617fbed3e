"""How do rendered bytes reach their targets, whole or not at all, and how do the old ones come back?

All files of a step are first written beside their targets under names of their own, so that a full disk or a missing permission shows before anything has
changed; then each is renamed into place. Old bytes lie in the journal's `undo/` before that. Below the instance's directory no link is followed: every
folder on the way is opened as a folder, and what was planned as `/srv/app/conf/a` cannot become another file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from interlock.act.hands import Hands
from interlock.act.outcome import Bench, StepDone, StepFailed
from interlock.act.private import write_private
from interlock.config.scalars import LOCAL
from interlock.errors import CouldNotLook, InterlockError
from interlock.facts.canonical import digest
from interlock.gate.journal import Result
from interlock.gate.plan import EnvPatchPlan, FilesPlan, OldFile, TargetPlan
from interlock.nouns import dataclass
from interlock.observe.eyes import HERE, Eyes, Refused


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
    """A file of the plan, the hands that work on its host, the open folder that holds it, and its name in there."""

    plan: TargetPlan
    hands: Hands
    folder: int
    name: str

    @property
    def shown(self) -> str:
        return shown(self.plan)

    def temporary(self, id: str) -> str:  # noqa: A002 - the action's id
        return f".{self.name}.interlock-{id.partition('-')[0]}-{id.rpartition('-')[2]}"

    def seen(self) -> Seen | None:
        return see(self.name, self.folder, self.hands)


def shown(plan: TargetPlan) -> str:
    """A target as an operator names it: with its host, where that is another one."""
    return plan.target if plan.host == LOCAL else f"{plan.host}:{plan.target}"


def do_files(step: FilesPlan | EnvPatchPlan, bench: Bench, *, again: bool) -> StepDone:
    """Write every file that is not yet what it should be. Raises StepFailed; `changed` says whether a file has been renamed until then, or may have been.

    Each target must still be what the plan found there; `again` (the step was interrupted before) takes one that is already new, too.
    """
    bench.check()
    written: list[str] = []
    try:
        with _targets(step.files, bench, undoing=False) as targets:
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
                _sweep_or_tell(due, bench)
    except OSError as error:
        changed = bool(written) or again
        raise StepFailed("files cannot be written", where=str(error.filename or ""), why=error.strerror or str(error), changed=changed) from error
    except CouldNotLook as error:  # a host that is gone: it may hold a new file, or part of one
        raise StepFailed(error.what, where=error.where, why=error.why, remedy=error.remedy, changed=True) from error
    except (StepFailed, InterlockError) as error:
        changed = bool(written) or again or getattr(error, "changed", False)
        raise StepFailed(error.what, where=error.where, why=error.why, remedy=error.remedy, changed=changed) from error
    data = {"written": written, "unchanged": len(step.files) - len(written)}
    return StepDone(result=Result.DONE if written else Result.NOT_NEEDED, changed=bool(written) or again, data=data)


def undo_files(step: FilesPlan | EnvPatchPlan, bench: Bench) -> StepDone:
    """Put back what stood there: bytes, mode and owner; remove what was created. Raises StepFailed, naming every file that could not be put back."""
    bench.check_undo()
    restored: list[str] = []
    left: list[str] = []
    for host in dict.fromkeys(file.host for file in reversed(step.files)):
        files = [file for file in step.files if file.host == host]
        try:
            with _targets(files, bench, undoing=True) as targets:
                for target in reversed(targets):
                    _put_back(target, bench, restored, left)
                _sync(targets)
        except OSError as error:
            left += _others(files, restored, left, error.strerror or str(error))
        except (StepFailed, InterlockError) as error:
            left += _others(files, restored, left, f"{error.what}: {error.why}" if error.why else error.what)
    if left:
        what = f"{len(left)} of {len(step.files)} files are not put back"
        raise StepFailed(what, why="; ".join(left), changed=True, data={"restored": restored, "left": left})
    return StepDone(result=Result.DONE if restored else Result.NOT_NEEDED, changed=False, data={"restored": restored})


def _put_back(target: _Target, bench: Bench, restored: list[str], left: list[str]) -> None:
    try:
        if _restore(target, bench):
            restored.append(target.shown)
    except (OSError, StepFailed) as error:
        left.append(f"{target.shown}: {error.why if isinstance(error, StepFailed) else error.strerror}")


def _others(files: Sequence[TargetPlan], restored: Sequence[str], left: Sequence[str], why: str) -> list[str]:
    """Every file of which it is not known that it is as it was: those that no look came to."""
    told = {*restored, *(line.partition(": ")[0] for line in left)}
    return [f"{shown(file)}: {why}" for file in files if not file.unchanged and shown(file) not in told]


@contextmanager
def _at(target: _Target) -> Iterator[None]:
    """Name the target in what the system says is wrong: it knows only a name in a folder."""
    try:
        yield
    except OSError as error:
        raise StepFailed("a file cannot be written", where=target.shown, why=error.strerror or str(error), changed=False) from error


def see(name: str, folder: int, eyes: Eyes = HERE) -> Seen | None:
    """What stands there, None for nothing. Raises OSError; StepFailed for anything that is no regular file of its own (a link, a second name)."""
    with _refusing():
        found = eyes.see(name, folder)
    return Seen(**found) if found is not None else None


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except Refused as error:
        raise StepFailed(error.what, where=error.where, why=error.why, remedy=error.remedy, changed=False) from error


@contextmanager
def _targets(files: Sequence[TargetPlan], bench: Bench, *, undoing: bool) -> Iterator[list[_Target]]:
    """Every file that is to change, with its folder held open; what a crash left of earlier tries is swept away first.

    An undo looks at the bytes that stand there alone: device numbers may be others after a reboot, and what we wrote is known by its digest. It connects again
    to a host that is gone.
    """
    folders: dict[tuple[str, str], tuple[Hands, int]] = {}
    found: list[_Target] = []
    try:
        for plan in files:
            if not plan.unchanged:
                folder, name = os.path.split(plan.target)
                if (plan.host, folder) not in folders:
                    hands = bench.reach.anew(plan.host) if undoing else bench.reach.now(plan.host)
                    folders[plan.host, folder] = hands, open_below(plan.directory, plan.real, None if undoing else plan.device, folder, hands)
                hands, opened = folders[plan.host, folder]
                found.append(_Target(plan=plan, hands=hands, folder=opened, name=name))
        _sweep(found, bench)
        yield found
    finally:
        for hands, opened in folders.values():
            with suppress(CouldNotLook):  # gone, and the folder with it
                hands.close(opened)


def open_below(directory: str, real: str, device: str | None, folder: str, eyes: Eyes = HERE) -> int:
    """Open `folder`, which is `directory` or lies below it, without following a link on the way (`Eyes.open_below`). Raises OSError, StepFailed."""
    with _refusing():
        return eyes.open_below(directory, real, device, folder)


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
            f"{target.shown} is not what the plan found there",
            where=target.shown,
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
        raise StepFailed(f"{target.shown} does not come to the planned bytes", where=target.shown, remedy="make a new plan", changed=False)
    _write_beside(target, target.temporary(bench.id), data, int(target.plan.new.mode, 8), old)


def _write_beside(target: _Target, name: str, data: bytes, mode: int, old: OldFile | None) -> None:
    """A new file with that mode, and the owner of the old one."""
    rights = [mode, old.uid, old.gid] if old is not None else [mode]
    target.hands.write_beside(target.folder, target.name, name, data, rights)


def _put(target: _Target, bench: Bench, written: list[str], *, again: bool) -> None:
    """Rename the staged file over its target, unless that is no longer what the plan found."""
    seen = target.seen()
    if not (again and _is_new(seen, target.plan)):
        _demand_old(seen, target)
    target.hands.rename(target.folder, target.temporary(bench.id), target.name)
    written.append(target.shown)
    seen = target.seen()
    if not _is_new(seen, target.plan):
        raise StepFailed(f"{target.shown} is not what was just written", where=target.shown, why="somebody else writes there", changed=True)


def _restore(target: _Target, bench: Bench) -> bool:
    """Put the old state back; False when it is there already. Raises OSError, or StepFailed when somebody else has been there."""
    seen = target.seen()
    if _is_old(seen, target.plan.old):
        return False
    if seen is None or seen.digest != target.plan.new.digest:
        raise StepFailed("a file was changed by somebody else since", where=target.shown, why="it was changed by somebody else since", changed=True)
    old = target.plan.old
    if old is None:
        target.hands.remove(target.folder, target.name)
        return True
    data = _kept(bench, old.digest).read_bytes()
    if digest(data) != old.digest:
        raise StepFailed("the kept bytes are damaged", where=str(_kept(bench, old.digest)), why="the old bytes that were kept for it are damaged", changed=True)
    try:
        _write_beside(target, target.temporary(bench.id), data, int(old.mode, 8), old)
        target.hands.rename(target.folder, target.temporary(bench.id), target.name)
    finally:
        target.hands.remove(target.folder, target.temporary(bench.id))
    return True


def _sweep(targets: list[_Target], bench: Bench) -> None:
    for target in targets:
        target.hands.remove(target.folder, target.temporary(bench.id))


def _sweep_or_tell(targets: list[_Target], bench: Bench) -> None:
    """What was staged beside a target may hold secrets: where it cannot be taken away, the step has left something, and its undo sweeps again."""
    try:
        _sweep(targets, bench)
    except OSError as error:
        what = "a staged file cannot be taken away again"
        raise StepFailed(what, where=str(error.filename or ""), why=error.strerror or str(error), changed=True) from error


def _sync(targets: list[_Target]) -> None:
    for hands, folder in {(target.hands, target.folder) for target in targets}:
        hands.sync(folder)
