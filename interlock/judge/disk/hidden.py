"""Does a mount hide files that were written while it was not there? `interlock.observe.hidden` brings what lies below the mountpoints."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from interlock.config.models import Site
from interlock.facts.hidden import Covered, HiddenBelow
from interlock.facts.looks import Shadow
from interlock.verdicts import LIVE, Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, in_short

NAMES_SHOWN = 5
COMMANDS_SHOWN = 3


def disks(site: Site) -> Sequence[Subject]:
    """The declared disks."""
    declared = {"state": site.mounts.state, "data": site.mounts.data} if site.mounts else {}
    return [Subject(name=name, host=disk.host) for name, disk in declared.items() if disk is not None]


def judge_hidden(below: HiddenBelow) -> Held | Broken | Unproven:
    """Held when no file lies in a directory that a mount at or below the disk's mountpoint covers."""
    if not below.realpath:
        return Unproven(f"{below.mountpoint} does not exist, so nothing tells what it would hide", remedy="mount the disk: see mounts.state_disk")
    if not below.mounted:
        said = f"nothing is mounted at {below.mountpoint}, so nothing is hidden there yet: what is written now will be, when the disk is mounted"
        return Unproven(said, remedy="stop the stack and mount the disk: see mounts.state_disk")
    if below.shadows is None:
        return _nobody_looked(below)
    details = (*(_detail(below, shadow) for shadow in below.shadows), *_not_told(below, below.shadows))
    if not details:
        return Held(f"{below.mountpoint} and the mounts below it cover no directory of a disk")
    bad = [detail for detail in details if detail.outcome is Outcome.BROKEN]
    unseen = [detail for detail in details if detail.outcome is Outcome.UNPROVEN]
    if bad:
        places = [below.place_of(shadow) for shadow in below.shadows if _foreign(below, shadow)]
        return Broken(in_short(bad), remedy=_remedy(below, places), details=details)
    if unseen:
        places = [one for one in below.covered if any(detail.what == one.mountpoint for detail in unseen)]
        return Unproven(in_short(unseen), remedy=_look_yourself(places) or "observe again", details=details)
    return Held(_nothing(below, below.shadows), details)


def _nobody_looked(below: HiddenBelow) -> Held | Unproven:
    """Each mountpoint is told of; where there is none, nobody needs to look."""
    if not below.covered:
        return Held(f"{below.mountpoint} and the mounts below it cover no directory of a disk")
    details = tuple(
        Detail(what=one.mountpoint, outcome=Outcome.UNPROVEN, kind="not-looked", message=f"what {one.mountpoint} hides on {_disk(one)} was not looked at")
        for one in below.covered
    )
    remedy = "; or ".join(text for text in (below.remedy, _look_yourself(below.covered)) if text)
    return Unproven(f"{in_short(details)}: {below.could_not}", remedy=remedy, details=details)


def _look_yourself(places: Sequence[Covered]) -> str:
    wholly = [f"of the mounts that `findmnt --mountpoint {shlex.quote(one.mountpoint)}` shows, unmount all but one" for one in places if one.wholly]
    commands = [f"`{one.look}`" for one in places if not one.wholly]
    said = [*wholly, *([f"look yourself: {', '.join(commands[:COMMANDS_SHOWN])}"] if commands else [])]
    return "; ".join(said)


def _disk(place: Covered) -> str:
    return f"{place.disk} mounted at {place.parent}" if place.disk else f"the disk mounted at {place.parent}"


def _detail(below: HiddenBelow, shadow: Shadow) -> Detail:
    """What lies below one mountpoint. Directories without a file are no lost data, and what could not be seen wholly holds nothing for sure."""
    foreign = _foreign(below, shadow)
    if foreign:
        return Detail(what=shadow.mountpoint, outcome=Outcome.BROKEN, kind="hidden-files", value=foreign, message=_hides(below, shadow, foreign))
    if shadow.error:
        said = f"what {shadow.mountpoint} hides could not be looked at wholly: {shadow.error}"
        return Detail(what=shadow.mountpoint, outcome=Outcome.UNPROVEN, kind="not-looked", message=said)
    if not shadow.complete:
        said = f"{shadow.mountpoint} hides more directories than are looked at, and no file was among the first"
        return Detail(what=shadow.mountpoint, outcome=Outcome.UNPROVEN, kind="not-looked", message=said)
    return Detail(what=shadow.mountpoint, outcome=Outcome.HELD, message=f"{shadow.mountpoint} hides {_harmless(shadow)}")


def _foreign(below: HiddenBelow, shadow: Shadow) -> int:
    """How many hidden files are no declared markers."""
    at_its_own = shadow.mountpoint == below.realpath
    return shadow.entries - sum(name in below.markers for name in shadow.names if at_its_own)


def _hides(below: HiddenBelow, shadow: Shadow, count: int) -> str:
    names = [name for name in shadow.names if not name.endswith("/") and (name not in below.markers or shadow.mountpoint != below.realpath)]
    shown = ", ".join(names[:NAMES_SHOWN]) + (f" and {count - NAMES_SHOWN} more" if count > NAMES_SHOWN else "")
    files = "a file" if count == 1 else f"{count:,} files"
    least = "" if shadow.complete and not shadow.error else "at least "
    where = _disk(below.place_of(shadow))
    they = "it was" if files == "a file" else "they were"
    return f"{shadow.mountpoint} hides {least}{files} ({shadow.bytes:,} bytes) on {where}: {shown}; {they} written while it was not mounted, or past it"


def _harmless(shadow: Shadow) -> str:
    if shadow.entries:
        return f"{', '.join(name for name in shadow.names if not name.endswith('/'))} alone, as declared"
    return f"empty directories alone ({shadow.names[0]})" if shadow.names else "nothing"


def _not_told(below: HiddenBelow, shadows: Sequence[Shadow]) -> Iterator[Detail]:
    """The disk's own mountpoint must be among the answers: the table was read a moment before."""
    if any(one.mountpoint == below.realpath for one in below.covered) and not any(shadow.mountpoint == below.realpath for shadow in shadows):
        said = f"what {below.mountpoint} hides was not told: the mounts changed while they were looked at"
        yield Detail(what=below.realpath, outcome=Outcome.UNPROVEN, kind="not-looked", message=said)


def _nothing(below: HiddenBelow, shadows: Sequence[Shadow]) -> str:
    """What a held judgement says: how many mountpoints, and what lies there that is no lost data."""
    others = len({shadow.mountpoint for shadow in shadows} - {below.realpath})
    beside = f" and {others} mountpoint{'s' if others > 1 else ''} below it" if others else ""
    harmless = [f"{shadow.mountpoint} hides {_harmless(shadow)}" for shadow in shadows if shadow.names]
    more = f" and {len(harmless) - NAMES_SHOWN} more" if len(harmless) > NAMES_SHOWN else ""
    return f"{below.mountpoint}{beside}: no file is hidden" + (f"; {', '.join(harmless[:NAMES_SHOWN])}{more}" if harmless else "")


def _remedy(below: HiddenBelow, places: Sequence[Covered]) -> str:
    """Look, then uncover by a rename beside the mountpoint; what is newer is the operator's to say."""
    steps = [
        f"`{one.look}`; stop the stack; `{one.uncover(leaving=below.markers if one.mountpoint == below.realpath else ())}`; "
        f"then compare {one.beside} with {one.mountpoint}, and keep of each file what is right"
        for one in places
    ]
    more = f"; and so for {len(steps) - COMMANDS_SHOWN} more" if len(steps) > COMMANDS_SHOWN else ""
    return "; ".join(steps[:COMMANDS_SHOWN]) + more


SHADOWED_FILES = Guardrail(
    id="mounts.shadowed_files",
    title="no file lies hidden below the mountpoint of a disk, or of a mount on it",
    severity=Severity.HIGH,
    when=LIVE,
    rationale="What was written while the disk was not mounted, or by a container that sees past it, is missing now, and comes back when it is unmounted.",
    remedy="look below the mountpoint in a mount namespace of your own, stop the stack, move what lies there beside it, and compare",
    subjects=disks,
    judge=judge_hidden,
)
