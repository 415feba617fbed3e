"""Are the further mounts there that the site names: a disk for the backups, one for each tenant? `interlock.observe.other_mounts` brings them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from interlock.config.models import Site
from interlock.facts.mounts import Mount
from interlock.facts.other_mounts import ExpectedMounts
from interlock.judge.disk.declared import NOT_TRIGGERED, judge_disk
from interlock.verdicts import LIVE, Broken, Detail, Guardrail, Held, HeldRun, Outcome, Severity, Streamed, Subject, Tally, Unproven, in_short

REMEDY = "stop what writes there, mount what is missing, and look below its mountpoint for what was written meanwhile"


def other_mounts(site: Site) -> Sequence[Subject]:
    """Every entry of `mounts.others`."""
    return [Subject(name=name, host=one.host) for name, one in site.mounts.others.items()] if site.mounts else []


def judge_others(expected: ExpectedMounts) -> Held | Broken | Unproven | Streamed:
    """Held when each place is a mountpoint, and shows another file system than its parent's, of the declared type and with the declared options."""
    if not expected.realpath:
        return Broken(f"{expected.path} does not exist", kind="absent", remedy=REMEDY)
    if expected.disk is not None and not isinstance(judgement := judge_disk(expected.disk), Held):
        return judgement
    if expected.directories is None:
        return _judge_one(expected)
    if not expected.directories:
        why = f"no directory lies in {expected.path}, so nothing says which mounts must be there: the disk that holds their mountpoints may be missing itself"
        return Unproven(why, remedy=f"look at `findmnt --target {expected.path}`, and make the directories that are mounted on")
    return Streamed(details=_each(expected, expected.directories), says=lambda tally: _counted(expected, tally), remedy=REMEDY)


def _judge_one(expected: ExpectedMounts) -> Held | Broken | Unproven:
    found = _fault(expected, expected.realpath)
    if isinstance(found, Mount):
        return Held(f"{expected.path} shows {found}")
    return Unproven(found.message, remedy=REMEDY) if found.outcome is Outcome.UNPROVEN else Broken(found.message, kind=found.kind, remedy=REMEDY)


def _each(expected: ExpectedMounts, directories: Sequence[str]) -> Iterator[Detail | HeldRun]:
    """What is wrong first; those that hold are kept together by what they say."""
    held: dict[str, list[str]] = {}
    for name in directories:
        found = _fault(expected, expected.folder + name)
        if isinstance(found, Mount):
            held.setdefault(found.fstype, []).append(name)
        else:
            yield found
    for fstype, names in held.items():
        yield HeldRun(prefix=expected.folder, names=names, message=f"is a mount of its own ({fstype})")


def _counted(expected: ExpectedMounts, tally: Tally) -> str:
    wanted = " ".join(filter(None, (expected.fstype, ",".join(expected.options))))
    asked = f" ({wanted})" if wanted else ""
    if not tally.broken and not tally.unproven:
        return f"each of the {tally.total:,} directories of {expected.path} is a mount of its own{asked}"
    seen, count = (tally.broken_seen, tally.broken) if tally.broken else (tally.unproven_seen, tally.unproven)
    more = f"; and {count - 3:,} more" if count > 3 else ""
    said = f"{'is' if count == 1 else 'are'} not mounted as declared" if tally.broken else "could not be told"
    return f"{count:,} of the {tally.total:,} directories of {expected.path} {said}{asked}: {in_short(seen[:3])}{more}"


def _fault(expected: ExpectedMounts, place: str) -> Detail | Mount:
    """What is wrong with a place, or the mount that it shows."""
    shown = expected.table.showing(place)
    if shown is None:
        return Detail(what=place, outcome=Outcome.UNPROVEN, kind="not-told", message=f"the mount table does not tell what {place} shows")
    if shown.fstype == NOT_TRIGGERED:
        said = f"{place} shows {shown}: what is mounted there comes when somebody first enters it"
        return Detail(what=place, outcome=Outcome.UNPROVEN, kind="not-triggered", message=said)
    found = _not_mounted(expected, place, shown) or _otherwise(expected, place, shown)
    return Detail(what=place, outcome=Outcome.BROKEN, kind=found[0], message=found[1]) if found else shown


def _not_mounted(expected: ExpectedMounts, place: str, shown: Mount) -> tuple[str, str] | None:
    """A plain directory, or a mount that shows no more than one."""
    if expected.disk is not None:  # its device and its mountpoint were judged
        return None
    if shown.mountpoint != place:
        return "not-mounted", f"{place} shows {shown}: nothing is mounted there"
    if shown.source_deleted:
        return "source-deleted", f"{place} shows {shown}: the directory was removed from its disk, and what is written there is lost with the mount"
    beneath = expected.table.beneath(shown)
    if beneath is None or not _same_file_system(shown, beneath):
        return None
    if expected.table.shows_its_own_place(shown):
        return "bind-of-itself", f"{place} shows {shown}: a bind of itself, which makes it look mounted"
    return "parents-file-system", f"{place} shows {shown}, of the file system that it lies on anyway: no disk of its own"


def _same_file_system(shown: Mount, beneath: Mount) -> bool:
    """A subvolume of btrfs, and a share of a server, have their file system's number and are still mounts of their own."""
    if shown.device_number != beneath.device_number or shown.source != beneath.source:
        return False
    is_subvolume = shown.fstype == "btrfs" and f"subvol={shown.root}" in shown.super_options and shown.root != beneath.root
    return not is_subvolume


def _otherwise(expected: ExpectedMounts, place: str, shown: Mount) -> tuple[str, str] | None:
    if expected.fstype is not None and shown.fstype != expected.fstype:
        return "wrong-file-system", f"{place} shows {shown}; expected the file system {expected.fstype}"
    lacking = [option for option in expected.options if not _has(shown, option)]
    if lacking:
        return "missing-option", f"{place} shows {shown} without {', '.join(lacking)}"
    return None


def _has(shown: Mount, option: str) -> bool:
    """Read-write is what the mount and its file system are both."""
    match option:
        case "rw":
            return not shown.read_only
        case "ro":
            return shown.read_only
        case _:
            return option in shown.options or option in shown.super_options


OTHERS = Guardrail(
    id="mounts.others",
    title="the other mounts that the site names are there, each of its own file system",
    severity=Severity.HIGH,
    when=LIVE,
    rationale="Backups on a disk that is not mounted lie beside what they are a copy of; a tenant whose disk is missing writes into the directory below it.",
    remedy=REMEDY,
    subjects=other_mounts,
    judge=judge_others,
)
