"""Does everything that a host needs reach it, and is it what the tree says? `interlock.observe.shipping` brings lists, copies and tags."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import assert_never

from interlock.facts.copies import Compared, Twins
from interlock.facts.releases import Releases, ReleaseTag, Slip, TagSlip, twice
from interlock.facts.shipping import Deliveries, Delivery, Mention, Way
from interlock.judge import tree
from interlock.judge.tree import scripts
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Unproven, When

# ---- the lists that bring files to a host


def judge_completeness(seen: Deliveries) -> Held | Broken | Unproven:
    """Held when each list that brings files to a host also brings those that they name."""
    lists = len(seen.lists)
    return tree.found(
        (*(detail for one in seen.lists for detail in _of_list(seen, one)), *tree.unread(seen.unreadable)),
        held=f"each of the {lists} lists that bring files to a host brings all that these name"
        if lists
        else "no list of this tree brings single files to a host",
        remedy="add the file to the list that delivers the files which name it, or deliver the whole directory",
    )


def _of_list(seen: Deliveries, one: Delivery) -> Iterator[Detail]:
    told: set[str] = set()
    for mention in seen.mentions:
        speaks = mention.by in one.files or (one.way is Way.FETCHED and mention.by == one.path)
        if not speaks or mention.file in told or one.brings(mention.file) or _is_made_there(one, mention):
            continue
        if mention.guarded and one.way is not Way.FETCHED:
            continue  # it is used where somebody placed it
        told.add(mention.file)
        yield Detail(
            what=f"{one.path}: {one.way}: {mention.file}",
            outcome=Outcome.BROKEN,
            kind="not-refreshed" if mention.by == one.path else "not-delivered",
            message=_said(one, mention),
            file=one.path,
            line=one.line,
        )


def _is_made_there(one: Delivery, mention: Mention) -> bool:
    """A directory of which some files are brought is there; what is in it is for its list to say."""
    inside = f"{mention.file}/"
    return any(file.startswith(inside) for file in one.files) or posixpath.basename(mention.file) in one.written


def _said(one: Delivery, mention: Mention) -> str:
    names = f"{mention.by}:{mention.line} names {mention.file}, which {mention.why}"
    match one.way:
        case Way.STAGED:
            return f"{names}, and the list of files that this image carries for the host leaves it out: a host that takes its files from the image lacks it"
        case Way.FETCHED if mention.by == one.path:
            return f"{names}, and this script does not fetch it with the others: it stays as old as the day it was placed, or is not there at all"
        case Way.FETCHED:
            return f"{names}, and this script fetches the one without the other: what is started there lacks it"
        case _:
            return f"{names}, and what is copied to the host here leaves it out: what is started there lacks it"


# ---- copies


def judge_in_sync(seen: Twins) -> Held | Broken | Unproven:
    """Held when files that the tree says are the same are the same."""
    if not seen.pairs:
        return Held("no file of this tree says that it is a copy of another one, and no check compares two")
    remedy = "copy the one over the other, or take out what says that they are the same"
    return tree.found(map(_pair, seen.pairs), held=f"{len(seen.pairs)} copies are what they are a copy of", remedy=remedy)


def _pair(compared: Compared) -> Detail:
    twin = compared.twin
    what = f"{twin.file} and {twin.other}"
    if compared.differs is None:
        return Detail(what=what, outcome=Outcome.HELD, message=f"{what} agree", file=twin.other)
    said = f"{twin.said_at}:{twin.line} compares them" if twin.check else f"line {twin.line} says that it is a copy"
    message = f"{twin.other} is not what {twin.file} is ({said}): what was mended in the one is still wrong in the other"
    return Detail(what=what, outcome=Outcome.BROKEN, kind="drifted", message=message, file=twin.other, line=compared.differs)


# ---- release tags


def judge_counter(seen: Releases) -> Held | Broken | Unproven:
    """Held when a number is given once a month over all channels, by the tags that there are and by what makes the next one."""
    remedy = "take one more than the highest number of the month over all channels, and push the tag before anything is built: who cannot push takes the next"
    details = (*map(_slip, seen.slips), *map(_twice, twice(seen.tags)), *tree.unread(seen.unreadable))
    held = f"{len(seen.tags)} release tags give each number once, and {len(seen.makers)} scripts make the next"
    none = "there are no release tags <channel>-YYYY.MM.N here, and nothing makes any"
    return tree.found(details, held=held if seen.tags or seen.makers else none, remedy=remedy)


def _slip(slip: TagSlip) -> Detail:
    return Detail(what=f"{slip.path}: {slip.slip}", outcome=Outcome.BROKEN, kind=slip.slip.value, message=_why(slip.slip), file=slip.path, line=slip.line)


def _why(slip: Slip) -> str:
    match slip:
        case Slip.PER_CHANNEL:
            return "the next release number is counted among the tags of its own channel: two channels give the same number to different builds"
        case Slip.COUNTED:
            return "the next release number is how many tags there are: once one is deleted, a number is given a second time"
        case Slip.NOT_CLAIMED:
            return "the push of the release tag may fail without a word: two runs at the same time build different images under one number"
        case _:
            assert_never(slip)


def _twice(same: tuple[ReleaseTag, ...]) -> Detail:
    names = " and ".join(f"{tag.channel}-{tag.name}" for tag in same)
    message = f"{names} are different commits: who says {same[0].name} may mean either"
    return Detail(what=names, outcome=Outcome.BROKEN, kind="number-twice", message=message)


COMPLETENESS = Guardrail(
    id="shipping.completeness",
    title="every file that a delivered script, unit or compose file names is delivered with it",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="A host has only what the list brings. A file that is new in the tree and not in the list fails on the host alone, at the next start or upgrade.",
    remedy="add the file to the list that delivers what names it",
    subjects=scripts,
    judge=judge_completeness,
)

FLEET_FILES_IN_SYNC = Guardrail(
    id="shipping.fleet_files_in_sync",
    title="files that the tree says are copies of each other are the same",
    severity=Severity.MEDIUM,
    when=frozenset({When.STATIC}),
    rationale="A copy that is mended in one place alone goes on being wrong in the other, on the hosts that nobody was looking at.",
    remedy="copy the file again, and let a check compare the two",
    subjects=scripts,
    judge=judge_in_sync,
)

CALVER_COUNTER = Guardrail(
    id="shipping.calver_counter",
    title="release tags `<channel>-YYYY.MM.N` share one counter over all channels",
    severity=Severity.MEDIUM,
    when=frozenset({When.STATIC}),
    rationale="A number that two channels give to different commits names neither: a rollback to it, or a report about it, is about the wrong build.",
    remedy="take one more than the highest N of the month over all channels, and claim it by pushing the tag first",
    subjects=scripts,
    judge=judge_counter,
)
