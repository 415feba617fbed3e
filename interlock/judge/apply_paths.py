"""Is every way to a change of the running stack safe to go? A lock, the disk, a backup and a human stand before it, and what fails there stops it.

`interlock.observe.apply_paths` brings the ways. The guardrails belong to automation, mounts, backups and approval, whose modules name them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from interlock.config.models import Site
from interlock.facts.apply_paths import ApplyPaths, Path, Starts, StateDisk, Stray, holds_back, is_step
from interlock.facts.calls import Heard
from interlock.facts.path_steps import Said, Step
from interlock.judge.tree import found, unread
from interlock.patterns import regex
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, When

APPLY_PATHS = "apply paths"


def apply_paths(site: Site) -> Sequence[Subject]:
    """All ways to a change together: one subject, and a detail for each that is not safe."""
    return [Subject(name=APPLY_PATHS)] if site.scripts is not None or site.automation is not None else []


def _broken(path: Path, kind: str, message: str, line: int) -> Detail:
    return Detail(what=path.name, outcome=Outcome.BROKEN, kind=kind, message=message, file=path.file, line=line)


def _once_each(details: Iterable[Detail]) -> tuple[Detail, ...]:
    """A script that is started in several ways is told of once."""
    return tuple({(detail.what, detail.kind): detail for detail in reversed(list(details))}.values())[::-1]


def _line_in(path: Path, heard: Heard) -> int:
    """The line of the path's own file by which it comes to a command."""
    lines = [hop.line for name in (path.name, path.file) for hop in heard.hops if hop.file == name]
    return lines[0] if lines else path.line


def _shown(path: Path, heard: Heard) -> str:
    """The way from the start to a command, for a reader."""
    places = dict.fromkeys(f"{hop.file}:{hop.line}" for hop in heard.hops)
    return " → ".join((path.said, *(place for place in places if not path.said.endswith(f"({place})")), heard.command))


def _declared(path: Path, seen: ApplyPaths) -> bool:
    """Whether the site says that the path applies by itself: one of its files is named."""
    return path.starts.by_itself and any(name in path.files or name in path.said for name in seen.automatic)


def _count(ways: Sequence[object]) -> str:
    return "one way" if len(ways) == 1 else f"{len(ways)} ways"


# ---- a lock


def judge_exclusive_lock(seen: ApplyPaths) -> Held | Broken | Unproven:
    """Held when every path that can be started again while it runs takes an exclusive lock before it first brings containers up."""
    again = [(path, start) for path, start in seen.starting() if path.starts.again]
    details = _once_each(detail for path, start in again if not path.exclusive for detail in _unlocked(path, start))
    held = (
        f"what can run twice at once takes a lock before it brings the stack up: {_count(again)}"
        if again
        else f"nothing that can run twice at once brings the stack up: {seen.read} scripts and workflows followed"
    )
    return found((*details, *unread(seen.unread)), held=held, remedy=LOCK_REMEDY)


def _unlocked(path: Path, start: int) -> Iterator[Detail]:
    change = path.at(start)
    locks = path.steps(Step.LOCKS, start)
    if any((isinstance(lock.what, Said) and lock.what.waits) or holds_back(lock, change) for lock in locks):
        return
    if locks:
        lock = locks[0]
        message = f"{path.file}:{_line_in(path, lock)}: `{lock.command}` fails when another run holds the lock, and the script goes on: {_shown(path, change)}"
        yield _broken(path, "lock-not-heeded", message, _line_in(path, lock))
        return
    message = f"{_shown(path, change)}: no lock is taken before it, so two runs at once pull, compare and recreate containers against each other"
    yield _broken(path, "no-lock", message, _line_in(path, change))


LOCK_REMEDY = "take a lock first: `exec 9>/var/lock/<name>.lock; flock -n 9 || exit 0`; in a crontab `flock -n <file> <command>`; in a workflow `concurrency:`"

EXCLUSIVE_LOCK = Guardrail(
    id="automation.exclusive_lock",
    title="what brings the stack up takes an exclusive lock before it does",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="Cron makes up for lost ticks all at once, and two pushes start two deploys: runs that race recreate containers for nothing, or half of them.",
    remedy=LOCK_REMEDY,
    subjects=apply_paths,
    judge=judge_exclusive_lock,
)


# ---- the disk


def judge_state_disk_gate(seen: ApplyPaths) -> Held | Broken | Unproven:
    """Held when every script and unit that starts a stack whose data lies on a disk of its own proves first that the disk is mounted."""
    if not seen.disks and not seen.unread:
        return Held(f"nothing here says that data lies on a disk of its own: {seen.read} scripts and workflows read")
    starting = [(path, start) for path, start in seen.starting() if path.starts not in (Starts.EVENT, Starts.DISPATCH)]
    ungated = (detail for path, start in starting for detail in _ungated(path, start, seen.disks))
    details = _once_each([*ungated, *(_strays(stray) for stray in seen.strays)])
    held = f"what starts the stack proves first that the disk is mounted: {_count(starting)}"
    return found((*details, *unread(seen.unread)), held=held, remedy=DISK_REMEDY)


def _strays(stray: Stray) -> Detail:
    where = f"{stray.disk.file}:{stray.disk.line}" if stray.disk.line else stray.disk.file
    message = (
        f"{stray.file}:{stray.line}: {stray.server} ({stray.service}) keeps its data in the engine's volume {stray.volume}, on the boot disk,"
        f" while chain {stray.chain} binds other state from the disk at {stray.disk.target} ({where}): a new boot disk comes without it"
    )
    what = f"{stray.file}: {stray.service} {stray.volume}"
    return Detail(what=what, outcome=Outcome.BROKEN, kind="engine-volume", message=message, file=stray.file, line=stray.line)


def _ungated(path: Path, start: int, disks: Sequence[StateDisk]) -> Iterator[Detail]:
    disk = next((disk for disk in disks if not disk.overlays or set(disk.overlays) & set(path.composes)), None)
    change = path.at(start)
    if disk is None or path.mounted:
        return
    looks = path.steps(Step.LOOKS, start)
    if any(holds_back(look, change) for look in looks):
        return
    says = f"{disk.file}:{disk.line} mounts a disk at {disk.target}" if disk.line else f"{disk.file} declares a disk for {disk.target}"
    if looks:
        message = f"{path.file}:{_line_in(path, looks[0])}: `{looks[0].command}` looks at the mount, and the stack is started whatever it says ({says})"
        yield _broken(path, "gate-not-heeded", message, _line_in(path, looks[0]))
        return
    message = (
        f"{_shown(path, change)}: nothing proves before it that the disk is mounted ({says}); without it state is written to the disk below, and is gone later"
    )
    yield _broken(path, "no-gate", message, _line_in(path, change))


DISK_REMEDY = (
    "prove it before the first `up`: `mountpoint -q <directory> || exit 1`, better with `findmnt -no SOURCE`; in a unit `RequiresMountsFor=<directory>`"
)

STATE_DISK_GATE = Guardrail(
    id="mounts.state_disk_gate",
    title="what starts the stack proves first that the state disk is mounted",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="A stack that starts without its disk finds an empty directory, makes itself new there, and writes what will be hidden when the disk is back.",
    remedy=DISK_REMEDY,
    subjects=apply_paths,
    judge=judge_state_disk_gate,
)


# ---- a backup

_UPGRADES = regex(r"up-?(?:date|grade)|upgrad|migrat|deploy|release|bump|pull", re.IGNORECASE)
_INSTALLS = regex(r"install|setup|bootstrap|provision|init|startup|start-?up|user-?data|quick", re.IGNORECASE)


def judge_before_apply(seen: ApplyPaths) -> Held | Broken | Unproven:
    """Held when a backup stands before the first write of every path that brings something new up, or migrates, and its failure stops the path."""
    writing = [(path, write) for path in seen.paths if (write := path.first_write()) is not None and "restore" not in path.name.rpartition("/")[2]]
    if not seen.stateful and not seen.unread:
        return Held(f"no compose file here has a service that is known to keep data: {seen.read} scripts and workflows read")
    details = _once_each(detail for path, write in writing for detail in _unsaved(path, write, seen)) if seen.stateful else ()
    held = f"what brings something new up passes no backup by: {_count(writing)}" if writing else f"nothing brings something new up: {seen.read} scripts read"
    return found((*details, *unread(seen.unread)), held=held, remedy=BACKUP_REMEDY)


def _unsaved(path: Path, write: int, seen: ApplyPaths) -> Iterator[Detail]:
    change, server = path.at(write), seen.stateful[0]
    backups = path.steps(Step.BACKS_UP, write)
    if any(holds_back(backup, change) for backup in backups):
        return
    if backups:
        outer = min(backups, key=lambda one: len(one.frames))
        way = f"when `{outer.command}` fails nobody stops, and the change is made without a backup: {_shown(path, change)}"
        yield _broken(path, "failure-ignored", f"{path.file}:{_line_in(path, outer)}: {way}", _line_in(path, outer))
        return
    late = path.steps_after(Step.BACKS_UP, write)
    if late:
        message = f"{path.file}:{_line_in(path, late[0])}: the backup is made after {_shown(path, change)}, so it holds what the change has left"
        yield _broken(path, "too-late", message, _line_in(path, late[0]))
        return
    if _declared(path, seen) or (_should_back_up(path, seen) and not _asks_for_backup(path, write)):
        has = f", although {seen.backups[0]} makes one" if seen.backups else ""
        what = f"{server.server} ({server.service}) is upgraded without a backup before it{has}"
        message = f"{_shown(path, change)}: {what}; a migration that goes wrong has no way back"
        yield _broken(path, "no-backup", message, _line_in(path, change))


def _should_back_up(path: Path, seen: ApplyPaths) -> bool:
    """An updater by its name, where the tree has a backup to make; or a major upgrade of a database."""
    name = path.name.rpartition("/")[2]
    if any(is_step(one, Step.MIGRATES) for one in path.heard):
        return True
    return bool(seen.backups) and _UPGRADES.search(name) is not None and _INSTALLS.search(name) is None


def _asks_for_backup(path: Path, write: int) -> bool:
    asked = (one.what.text for one in path.steps(Step.ASKS, write) if isinstance(one.what, Said))
    return any(re.search(r"back-?\s?up|snapshot|sauvegarde|sicherung", text, re.IGNORECASE) for text in asked)


BACKUP_REMEDY = "make the backup first, check it, and let its failure end the script: `set -e`, or `./backup.sh || exit 1`"

BEFORE_APPLY = Guardrail(
    id="backups.before_apply",
    title="a backup stands before the first write of every upgrade, and its failure stops it",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="A new release migrates the data when it starts. What goes wrong then is undone by a backup of the minute before, or not at all.",
    remedy=BACKUP_REMEDY,
    subjects=apply_paths,
    judge=judge_before_apply,
)


# ---- a human


def judge_never_automatic(seen: ApplyPaths) -> Held | Broken | Unproven:
    """Held when no workflow, timer, hook or crontab starts a path that backs up and then applies: that one is an operator's."""
    both = [(path, write) for path in seen.paths if (write := path.first_write()) is not None and path.steps(Step.BACKS_UP, write)]
    details = _once_each(_started_alone(path, write) for path, write in both if path.starts.by_itself and not _declared(path, seen))
    held = (
        f"what backs up and then applies is started by a human, or by declaration: {_count(both)}"
        if both
        else f"no way backs up and then applies: {seen.read} scripts and workflows followed"
    )
    return found((*details, *unread(seen.unread)), held=held, remedy=ALONE_REMEDY)


def _started_alone(path: Path, write: int) -> Detail:
    change = path.at(write)
    message = f"{_shown(path, change)}: it backs up and then applies, and nobody is there to see that the backup is good, or that now is no time for it"
    return _broken(path, "by-itself", message, _line_in(path, change))


ALONE_REMEDY = "let an operator start it; what runs by itself may back up and nothing else; or declare it below `automation.automatic`, with reason and owner"

NEVER_AUTOMATIC = Guardrail(
    id="backups.never_automatic",
    title="nothing starts a backup-and-apply by itself",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="A backup is there for the human who applies: a clock takes a bad one for a good one, applies, and overwrites the last good one the next night.",
    remedy=ALONE_REMEDY,
    subjects=apply_paths,
    judge=judge_never_automatic,
)


# ---- what nobody can bring back

_MOVES = regex(r"migrat|cut-?over|up-?(?:date|grade)|deploy|apply|release|convert|move|switch", re.IGNORECASE)
_ENDS = regex(
    r"uninstall|reset|clean|destroy|remove|purge|wipe|tear-?down|restore|reinstall|recreate|fresh|nuke|preview|review|staging|sandbox|nightly", re.IGNORECASE
)


def judge_approval_gate(seen: ApplyPaths) -> Held | Broken | Unproven:
    """Held when a human says yes before what nobody can bring back, in every path that applies or that starts by itself."""
    irreversible = [(path, place) for path in seen.paths for place, one in enumerate(path.heard) if is_step(one, Step.DESTROYS) and one.place.lasts]
    judged = [(path, place) for path, place in irreversible if _needs_yes(path) and not _made_here(path, place)]
    details = _once_each(_unasked(path, place) for path, place in judged if not path.approved and not path.steps(Step.ASKS, place))
    held = (
        f"a human says yes before what nobody can bring back: {_count(judged)}" if judged else f"no way to a change destroys anything: {seen.read} scripts read"
    )
    return found((*details, *unread(seen.unread)), held=held, remedy=YES_REMEDY)


def _needs_yes(path: Path) -> bool:
    """What starts by itself or from a forge, and a script that is run for a change; who starts one that is called `reset` has said yes."""
    name = path.name.rpartition("/")[2]
    if _ENDS.search(name) or path.said.startswith("pull_request"):
        return False
    return path.starts is not Starts.HAND or (_MOVES.search(name) is not None and (path.first_start() is not None or path.first_write() is not None))


def _made_here(path: Path, place: int) -> bool:
    """What the path has made itself may go again."""
    return any(isinstance(one.what, Said) and one.what.text in path.at(place).command for one in path.steps(Step.CREATES, place))


def _unasked(path: Path, place: int) -> Detail:
    step = path.at(place)
    message = f"{_shown(path, step)}: it cannot be undone, and no human is asked before it"
    return _broken(path, "nobody-asked", message, _line_in(path, step))


YES_REMEDY = "ask before it (`read -p`, and a test of the answer), or let the job run in an environment with reviewers, or by an input that has to be typed"

APPROVAL_GATE = Guardrail(
    id="approval.gate",
    title="a human says yes before a step that nobody can undo",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="The old side is the way back. A script that removes it in the same breath has none, and a clock that does it has asked nobody.",
    remedy=YES_REMEDY,
    subjects=apply_paths,
    judge=judge_approval_gate,
)
