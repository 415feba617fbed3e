"""What has changed since the gate was last open? The first thing that an operator asks of a gate that is shut.

Verdicts first, then what they were judged from: waivers, site, versions, and the facts of the hosts (mounts, files, users).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import assert_never

from interlock.errors import CouldNotLook
from interlock.evidence.record import Record
from interlock.evidence.visible import clipped
from interlock.evidence.wording import GRAVITY, number, outcome_in_words
from interlock.facts.engine import Container, EngineVolume, View
from interlock.facts.engine import Engine as RunningEngine
from interlock.facts.looks import (
    Answer,
    Engine,
    EngineAnswer,
    Examine,
    ExamineAnswer,
    FailedLook,
    FolderAnswer,
    HostFacts,
    List,
    ListAnswer,
    Look,
    Mounts,
    MountsAnswer,
    Owners,
    OwnersAnswer,
    ReadFile,
    ReadFolder,
    Secret,
    SecretAnswer,
    Shadows,
    ShadowsAnswer,
    Space,
    SpaceAnswer,
    Stat,
    StatAnswer,
    User,
    Walk,
)
from interlock.facts.mounts import Mount, MountTable
from interlock.patterns import regex
from interlock.verdicts import Outcome, Pair

Facts = Mapping[str, HostFacts | CouldNotLook]

_NUMBER = regex(r"\d+")
_CLIPPED = 100  # bytes of each side's words
_QUIET = (Outcome.HELD, Outcome.NOT_APPLICABLE)  # what a new pair may come to without a word of its own

_OURS = frozenset((".interlock",))  # plans and journals of our own, in the folder of an instance: no change of the system

# File systems that come and go with containers, sessions and the kernel's own business.
_FLEETING = frozenset(
    (
        *("autofs", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs", "fuse.portal", "fusectl", "hugetlbfs", "mqueue"),
        *("nsfs", "overlay", "proc", "pstore", "ramfs", "rpc_pipefs", "securityfs", "squashfs", "sysfs", "tmpfs", "tracefs"),
    )
)


def changes(previous: Record, current: Record, previous_facts: Facts | None = None, current_facts: Facts | None = None) -> tuple[str, ...]:
    """Short sentences, the gravest first; none when nothing changed that a record or its facts show."""
    told = [*_outcomes(previous, current), *_findings(previous, current), *_grounds(previous, current)]
    if previous_facts is not None and current_facts is not None:
        for host in sorted(previous_facts.keys() | current_facts.keys()):
            told += [f"{host}: {sentence}" for sentence in _host(previous_facts.get(host), current_facts.get(host))]
    return (*told, *_other_words(previous, current))


# ---- verdicts


def _outcomes(previous: Record, current: Record) -> Iterator[str]:
    same_gates = previous.run.gates == current.run.gates  # apply's own gate asks more than the one before it: that alone is no change
    before, now = _all_outcomes(previous), _all_outcomes(current)
    changed = [pair for pair in sorted(before.keys() | now.keys()) if before.get(pair) is not now.get(pair)]
    for pair in sorted(changed, key=lambda pair: _gravity(now.get(pair))):
        was, is_now = before.get(pair), now.get(pair)
        if is_now is None:
            assert was is not None
            if was is not Outcome.NOT_APPLICABLE and same_gates:
                yield f"{pair} is not asked any more: it was {outcome_in_words(was)}"
        elif was is None and is_now not in _QUIET:
            yield f"{pair} is new: {outcome_in_words(is_now)}{_because(current, pair)}"
        elif was is not None:
            yield f"{pair} was {outcome_in_words(was)}, now {outcome_in_words(is_now)}{_because(current, pair)}"
    quiet = sum(1 for pair in changed if before.get(pair) is None and now.get(pair) in _QUIET)
    if quiet and same_gates:
        yield f"{number(quiet, 'subject')} more {'is' if quiet == 1 else 'are'} asked, and {'holds' if quiet == 1 else 'hold'}"


def _all_outcomes(record: Record) -> dict[Pair, Outcome]:
    return {one.pair: Outcome.NOT_RUN for one in record.without_verdict} | {verdict.pair: verdict.outcome for verdict in record.verdicts}


def _gravity(outcome: Outcome | None) -> int:
    return GRAVITY.index(outcome) if outcome is not None else len(GRAVITY)


def _because(record: Record, pair: Pair) -> str:
    """What the verdict says; nothing where it is a reason of the shut gate, which is told by itself."""
    if any((reason.guardrail, reason.subject) == (pair.guardrail, pair.subject) for reason in record.reasons):
        return ""
    verdict = record.by_pair.get(pair)
    return f": {verdict.message}" if verdict and verdict.message else ""


def _findings(previous: Record, current: Record) -> Iterator[str]:
    """Same outcome, other findings: new failures below a pair that was bad before."""
    for pair, verdict in current.by_pair.items():
        old = previous.by_pair.get(pair)
        if old is None or old.outcome is not verdict.outcome:
            continue
        known = {place.key for place in old.where}
        new = [place for place in verdict.where if place.key not in known]
        if new:
            yield f"{pair} is still {outcome_in_words(verdict.outcome)}, with {number(len(new), 'new detail')}: {new[0].message}"


def _other_words(previous: Record, current: Record) -> Iterator[str]:
    """Other words for what holds as before. Where only numbers differ nothing happened but time: ages, sizes and stamps move by themselves."""
    for pair, verdict in current.by_pair.items():
        old = previous.by_pair.get(pair)
        if old is not None and old.outcome is verdict.outcome and not verdict.where and _NUMBER.sub("#", old.message) != _NUMBER.sub("#", verdict.message):
            yield f"{pair}: was: {clipped(old.message, _CLIPPED)}; now: {clipped(verdict.message, _CLIPPED)}"


# ---- what the verdicts stand on


def _grounds(previous: Record, current: Record) -> Iterator[str]:
    old, new = previous.waiver_by_id, current.waiver_by_id
    yield from (f"waiver {name} is used now: {new[name].reason}" for name in sorted(new.keys() - old.keys()))
    yield from (f"waiver {name} is used no more" for name in sorted(old.keys() - new.keys()))
    for name in sorted(current.not_used.keys() ^ previous.not_used.keys()):
        yield f"{name} is declared as not used now: {current.not_used[name]}" if name in current.not_used else f"{name} is declared as not used no more"
    if previous.target.sha256 != current.target.sha256:
        yield f"{current.target.file or 'the site file'} changed"
    if (was := previous.target.git) != (is_now := current.target.git) and was and is_now:
        dirty = ", with uncommitted changes" if is_now.dirty else ""
        yield f"the site's folder was at commit {was.commit[:12]}, now {is_now.commit[:12]}{dirty}"
    for name, was_text, now_text in (
        ("interlock", previous.run.interlock, current.run.interlock),
        ("the host that judged", previous.run.host, current.run.host),
        ("the user who judged", previous.run.user, current.run.user),
    ):
        if was_text != now_text:
            yield f"{name} was {was_text}, now {now_text}"


# ---- facts


def _host(before: HostFacts | CouldNotLook | None, now: HostFacts | CouldNotLook | None) -> Iterator[str]:
    if now is None or before is None:
        yield "is not looked at any more" if now is None else "is looked at for the first time"
    elif isinstance(now, CouldNotLook):
        if not isinstance(before, CouldNotLook):
            yield f"could be looked at before, now not: {now.what}"
    elif isinstance(before, CouldNotLook):
        yield "can be looked at again"
    else:
        for look in sorted(before.answers.keys() & now.answers.keys(), key=repr):
            yield from _answer(look, before.answers[look], now.answers[look])


def _answer(look: Look, before: Answer, now: Answer) -> Iterator[str]:  # noqa: PLR0912, PLR0915 (one for each look)
    if before == now:
        return
    if isinstance(now, FailedLook) or isinstance(before, FailedLook):
        yield f"{_name(look)} {_could(now)}"
        return
    match look:
        case Mounts():
            assert isinstance(before, MountsAnswer)
            assert isinstance(now, MountsAnswer)
            yield from _mounts(before, now)
        case Stat(path):
            assert isinstance(before, StatAnswer)
            assert isinstance(now, StatAnswer)
            yield from (f"{path} {sentence}" for sentence in _stat(before, now))
        case ReadFile(path) if path.startswith("/proc/"):
            return  # the kernel's tables move all the time; what matters in them is told by the verdicts
        case ReadFile(path):
            assert isinstance(before, bytes)
            assert isinstance(now, bytes)
            yield f"{path} changed: {len(before)} bytes ({_short(before)}) before, {len(now)} ({_short(now)}) now"
        case Space(path):
            assert isinstance(before, SpaceAnswer)
            assert isinstance(now, SpaceAnswer)
            yield from (f"the file system of {path} {sentence}" for sentence in _space(before, now))
        case ReadFolder(path):
            assert isinstance(before, FolderAnswer)
            assert isinstance(now, FolderAnswer)
            yield from (f"{path}/{sentence}" for sentence in _folder(before, now))
        case List(path):
            assert isinstance(before, ListAnswer)
            assert isinstance(now, ListAnswer)
            came, went = now.modes.keys() - before.modes.keys() - _OURS, before.modes.keys() - now.modes.keys() - _OURS
            yield from (f"{path}/{name} is there now" for name in sorted(came))
            yield from (f"{path}/{name} is gone" for name in sorted(went))
        case Secret(path):
            assert isinstance(before, SecretAnswer)
            assert isinstance(now, SecretAnswer)
            yield from (f"{path} {sentence}" for sentence in _secret(before, now))
        case Examine(folder):
            assert isinstance(before, ExamineAnswer)
            assert isinstance(now, ExamineAnswer)
            yield from (f"the newest backup in {folder} {sentence}" for sentence in _examined(before, now))
        case Engine(socket):
            assert isinstance(before, EngineAnswer)
            assert isinstance(now, EngineAnswer)
            yield from _engine(before, now, where=socket)
        case Shadows():
            assert isinstance(before, ShadowsAnswer)
            assert isinstance(now, ShadowsAnswer)
            yield from _shadows(before, now)
        case Owners(root):
            assert isinstance(before, OwnersAnswer)
            assert isinstance(now, OwnersAnswer)
            yield from (f"{root} {sentence}" for sentence in _owners(before, now))
        case User(name):
            assert before is None or isinstance(before, int)
            assert now is None or isinstance(now, int)
            yield f"user {name} was uid {before}, now {now}"
        case Walk():
            return  # what a walk found is told by the verdicts that were made of it
        case _:
            assert_never(look)


def _shadows(before: ShadowsAnswer, now: ShadowsAnswer) -> Iterator[str]:
    old, new = ({shadow.mountpoint: shadow for shadow in answer.shadows if shadow.entries} for answer in (before, now))
    yield from (f"{path} hides {new[path].entries} entries now" for path in sorted(new.keys() - old.keys()))
    yield from (f"{path} hides nothing any more" for path in sorted(old.keys() - new.keys()))


def _owners(before: OwnersAnswer, now: OwnersAnswer) -> Iterator[str]:
    old, new = ({owned.uid for owned in answer.owners} for answer in (before, now))
    yield from (f"holds files of uid {uid} now" for uid in sorted(new - old))
    yield from (f"holds no files of uid {uid} any more" for uid in sorted(old - new))


def _name(look: Look) -> str:
    match look:
        case Mounts():
            return "the mount table"
        case Stat(path) | ReadFile(path) | ReadFolder(path) | List(path) | Secret(path):
            return path
        case Space(path):
            return f"the file system of {path}"
        case Examine(folder):
            return f"the newest backup in {folder}"
        case Engine(socket):
            return f"the container engine at {socket}"
        case Shadows(roots):
            return f"what is hidden below {' and '.join(roots)}"
        case Owners(root):
            return f"who owns what is below {root}"
        case User(name):
            return f"user {name}"
        case Walk(root):
            return root
        case _:
            assert_never(look)


def _could(now: Answer) -> str:
    return f"cannot be looked at any more: {now.text}" if isinstance(now, FailedLook) else "can be looked at again"


def _short(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()[:8]}"


def _mounts(before: MountsAnswer, now: MountsAnswer) -> Iterator[str]:
    old, new = _visible_mounts(before), _visible_mounts(now)
    for mountpoint in sorted(old.keys() | new.keys()):
        was, is_now = old.get(mountpoint), new.get(mountpoint)
        if was is None:
            assert is_now is not None
            yield f"{is_now} is new"
        elif is_now is None:
            yield f"{was} is gone"
        elif _identity(was) != _identity(is_now):
            yield f"{mountpoint} showed {_identity(was)}, now {_identity(is_now)}"


def _visible_mounts(answer: MountsAnswer) -> dict[str, Mount]:
    """The topmost mount of each mountpoint: the last entry covers those before it."""
    try:
        table = MountTable.parse(answer.mountinfo, where="mountinfo")
    except CouldNotLook:
        return {}
    return {mount.mountpoint: mount for mount in table.mounts if mount.fstype not in _FLEETING}


def _identity(mount: Mount) -> str:
    below = "" if mount.root == "/" else f" below {mount.root}"
    return f"{mount.source}{below} ({mount.fstype}, {'ro' if 'ro' in mount.options else 'rw'})"


def _stat(before: StatAnswer, now: StatAnswer) -> Iterator[str]:
    if before.present != now.present:
        yield "is there now" if now.present else "is gone"
        return
    yield from _owner_and_mode(before, now)
    for name, was, is_now in (("device", before.device, now.device), ("real path", before.realpath, now.realpath)):
        if was != is_now:
            yield f"had {name} {was}, now {is_now}"


def _owner_and_mode(before: StatAnswer | SecretAnswer, now: StatAnswer | SecretAnswer) -> Iterator[str]:
    for name, was, is_now in (
        ("mode", f"{before.mode & 0o7777:04o}", f"{now.mode & 0o7777:04o}"),
        ("uid", before.uid, now.uid),
        ("gid", before.gid, now.gid),
    ):
        if was != is_now:
            yield f"had {name} {was}, now {is_now}"


def _space(before: SpaceAnswer, now: SpaceAnswer) -> Iterator[str]:
    """What is free moves all the time, and is left out."""
    if before.read_only != now.read_only:
        yield "is read-only now" if now.read_only else "can be written now"
    if before.bytes_total != now.bytes_total:
        yield f"had {before.bytes_total} bytes in all, now {now.bytes_total}"


def _folder(before: FolderAnswer, now: FolderAnswer) -> Iterator[str]:
    for name in sorted(before.files.keys() | now.files.keys() | before.unread.keys() | now.unread.keys()):
        was, is_now = before.files.get(name), now.files.get(name)
        if name in now.unread:
            if name not in before.unread:
                yield f"{name} cannot be read any more: {now.unread[name]}"
        elif name in before.unread:
            yield f"{name} can be read again" if is_now is not None else f"{name} is gone"
        elif was is None:
            yield f"{name} is there now"
        elif is_now is None:
            yield f"{name} is gone"
        elif was != is_now:
            yield f"{name} changed: {len(was)} bytes ({_short(was)}) before, {len(is_now)} ({_short(is_now)}) now"


def _secret(before: SecretAnswer, now: SecretAnswer) -> Iterator[str]:
    if before.present != now.present:
        yield "is there now" if now.present else "is gone"
        return
    yield from _owner_and_mode(before, now)
    if before.fault != now.fault:
        yield f"can be used no more: {now.fault}" if now.fault else "can be used again"


def _examined(before: ExamineAnswer, now: ExamineAnswer) -> Iterator[str]:
    """A newer backup is told by its name; of the same one, what it has become."""
    old, new = {file.name: file for file in before.files}, {file.name: file for file in now.files}
    if old.keys() != new.keys():
        yield f"was {_listed(old)}, now {_listed(new)}"
    for name in sorted(old.keys() & new.keys()):
        if old[name].sha256 != new[name].sha256:
            yield f"has other bytes: {name}"
        elif old[name].whole != new[name].whole:
            yield f"is read otherwise: {name} {new[name].fault or 'is whole'}"


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(sorted(names)[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or "none"


def _engine(before: EngineAnswer, now: EngineAnswer, *, where: str) -> Iterator[str]:
    try:
        old, new = RunningEngine.parse(before.content, where=where), RunningEngine.parse(now.content, where=where)
        containers = list(_containers({one.name: one for one in old.containers}, {one.name: one for one in new.containers}))
    except CouldNotLook:
        return  # what cannot be read is told by the verdicts that could not be made of it
    if old.version != new.version:
        yield f"the container engine was {old.version}, now {new.version}"
    yield from containers
    yield from _volumes({one.name: one for one in old.volumes}, {one.name: one for one in new.volumes})


def _containers(old: Mapping[str, Container], new: Mapping[str, Container]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        was, is_now = old.get(name), new.get(name)
        if was is None or is_now is None:
            yield f"container {name} is {'new' if was is None else 'gone'}"
        elif was.image_id != is_now.image_id:
            yield f"container {name} has another image: {was.image} before, {is_now.image} now"
        elif (was.state, was.health) != (is_now.state, is_now.health):
            yield f"container {name} was {_condition(was)}, now {_condition(is_now)}"
        elif was.id != is_now.id:
            yield f"container {name} was made anew"
        elif was.started_at != is_now.started_at:
            yield f"container {name} was started again"
        elif was.view is not None and is_now.view is not None and (moved := _mounts_seen(was.view, name) ^ _mounts_seen(is_now.view, name)):
            yield f"container {name} sees another mount at {_listed({mountpoint: '' for mountpoint, *_ in moved})}"


def _mounts_seen(view: View, name: str) -> frozenset[tuple[str, str, str, bool]]:
    return frozenset((mount.mountpoint, mount.device_number, mount.root, mount.read_only) for mount in view.table(name).mounts)


def _condition(container: Container) -> str:
    return f"{container.state} ({container.health})" if container.health else container.state


def _volumes(old: Mapping[str, EngineVolume], new: Mapping[str, EngineVolume]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        was, is_now = old.get(name), new.get(name)
        if was is None or is_now is None:
            yield f"volume {name} is {'new' if was is None else 'gone'}"
        elif (was.driver, was.options) != (is_now.driver, is_now.options):
            yield f"volume {name} has other options"
