"""Is the newest backup of a module whole, and is it new enough? `interlock.observe.backups` brings the backup, read to its end on its host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from interlock.config.models import Site
from interlock.facts.backup_manifests import Manifest, Taken, in_words, taken
from interlock.facts.backups import BackupAge, NewestBackup, State, format_of, without_stamp
from interlock.facts.looks import Examined
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, When, in_short

CLOCK_SKEW = timedelta(minutes=5)  # between two machines that nobody looks after
DUMPS = frozenset({"pg-custom", "pg-plain", "pg-tar"})
FORMATS = {  # what a backup of each class is
    "A": DUMPS,
    "B": frozenset({"tar", "rdb"}),
    "C": frozenset({"tar"}),
    "D": frozenset({"tar"}),
    "E": frozenset({"tar"}),
    "F": frozenset({"tar"}),
    "G": frozenset({"tar", "rdb"}) | DUMPS,
}
_BESIDE = (".log", ".txt", ".list", ".lst", ".md", ".err", ".asc", ".sig", ".md5", ".sha1", ".sha512")  # what may lie beside a backup and is none


def modules(site: Site) -> Sequence[Subject]:
    """Every module whose backups the site declares, on its host."""
    return [Subject(name=name, host=module.host) for name, module in site.modules.items()]


# ---- whole


def judge_intact(newest: NewestBackup) -> Held | Broken | Unproven:
    """Held when every file of the newest backup was read to its end without a fault, is what its manifest says, and one is of the class's kind."""
    if not newest.files:
        return nothing_to_look_at(newest)
    details = tuple(intact_details(newest))
    if faults := [detail for detail in details if detail.outcome is Outcome.BROKEN]:
        remedy = "make a new backup and keep the one before it; then look at the disk that this one lies on"
        if faults[0].kind == "wrong-format":
            remedy = f"correct the module's `class`, or back {newest.module} up as its class demands"
        return Broken(f"the newest backup of {newest.module} is not intact: {in_short(faults)}", kind=faults[0].kind, remedy=remedy, details=details)
    if unseen := [detail for detail in details if detail.outcome is Outcome.UNPROVEN]:
        remedy = "install what is missing on that host, or say in the site file which class the module has"
        return Unproven(f"nobody can tell whether the newest backup of {newest.module} is whole: {in_short(unseen)}", remedy=remedy, details=details)
    return Held(f"the newest backup of {newest.module} is whole: {in_short(details)}", details=details)


def nothing_to_look_at(newest: NewestBackup) -> Unproven:
    """What is said of a directory without a backup, where only a backup could tell."""
    if newest.in_folders:
        why = f"no backup of {newest.module} lies directly in {newest.directory}, and the folders below it are not looked into"
        return Unproven(why, remedy="let each backup be a file, or files with one time stamp in their names, directly in that directory")
    return Unproven(f"there is no backup of {newest.module} in {newest.directory} to look at", remedy="make one: backups.fresh says how old it may be")


def intact_details(newest: NewestBackup) -> Iterator[Detail]:
    """One detail for each file."""
    wanted = FORMATS[newest.backup_class]
    has_right_one = any(format_of(file) in wanted for file in newest.files)
    for file in newest.files:
        if has_right_one and format_of(file) not in wanted and file.name.lower().endswith(_BESIDE):
            yield _detail(newest, file, Outcome.HELD, "", "lies beside it, and is none itself")
        else:
            outcome, kind, message = next(_byte_faults(newest, file), None) or _judge_format(newest, file, demanded=not has_right_one)
            yield _detail(newest, file, outcome, kind, message)


def _detail(newest: NewestBackup, file: Examined, outcome: Outcome, kind: str, message: str) -> Detail:
    path = f"{newest.directory}/{file.name}"
    return Detail(what=without_stamp(file.name), outcome=outcome, kind=kind, message=f"{file.name} {message}", file=path)


def _byte_faults(newest: NewestBackup, file: Examined) -> Iterator[tuple[Outcome, str, str]]:
    """What is wrong with the file as it is, or could not be told; the first counts."""
    if file.size == 0:
        yield Outcome.BROKEN, "empty", "is empty"
    manifest = Manifest.parse(file.manifest) if file.manifest else Manifest(ours=False)
    if manifest is None:
        yield Outcome.BROKEN, "manifest-unreadable", "has a manifest that nobody can read"
        return
    if manifest.ours and manifest.module not in ("", newest.module):
        yield Outcome.BROKEN, "of-another-module", f"is a backup of {manifest.module}"
    if manifest.size is not None and manifest.size != file.size:
        yield Outcome.BROKEN, "size-differs", f"has {file.size:,} bytes, and its manifest says {manifest.size:,}"
    if manifest.sha256 and file.sha256 and manifest.sha256 != _digest(file):
        yield Outcome.BROKEN, "digest-differs", "has another sha256 than its manifest says: it was changed after it was made"
    if file.whole is False:
        yield Outcome.BROKEN, "not-whole", f"is damaged: {file.fault or 'it could not be read to its end'}"
    if file.whole is None:
        yield Outcome.UNPROVEN, "could-not-tell", f"could not be read to its end: {file.fault or 'nothing on its host knows this kind of file'}"


def _digest(file: Examined) -> str:
    return file.sha256.lower().removeprefix("sha256:")


def _judge_format(newest: NewestBackup, file: Examined, *, demanded: bool) -> tuple[Outcome, str, str]:
    wanted, found = FORMATS[newest.backup_class], format_of(file)
    if found in ("", "unknown"):
        return Outcome.UNPROVEN, "unknown-format", f"is of no kind that is known here, and a backup of class {newest.backup_class} is {_kinds(wanted)}"
    if found not in wanted and demanded:
        return Outcome.BROKEN, "wrong-format", f"is {_kinds({found})}, and a backup of class {newest.backup_class} is {_kinds(wanted)}"
    vouched = ", and is what its manifest says" if file.manifest else ""
    return Outcome.HELD, "", f"({file.members:,} {'entries' if file.members != 1 else 'entry'}) was read to its end{vouched}"


def _kinds(formats: frozenset[str] | set[str]) -> str:
    names = {
        "tar": "an archive",
        "pg-custom": "a custom PostgreSQL dump",
        "pg-plain": "a plain PostgreSQL dump",
        "pg-tar": "one in tar format",
        "rdb": "a Redis snapshot",
    }
    return " or ".join(names[name] for name in names if name in formats) or "none of these"


# ---- young


def judge_fresh(age: BackupAge) -> Held | Broken | Unproven:
    """Held when the newest backup is verified, not older than the site allows, not from the future, and nothing changed after it where that is known."""
    newest = age.newest
    if newest.in_folders:
        return nothing_to_look_at(newest)
    if not newest.files:
        why = f"there is no backup of {newest.module} in {newest.directory}"
        return Broken(why, kind="no-backup", remedy=_make_one(newest))
    if doubt := _doubt(newest):
        return Unproven(f"the newest backup of {newest.module} is not verified, so its age says nothing: {doubt}", remedy="see what backups.intact says of it")
    when = moment_of(newest)
    details = (_age_detail(age, when), *(_change_detail(age, when, state) for state in age.state))
    if faults := [detail for detail in details if detail.outcome is Outcome.BROKEN]:
        remedy = "set the clock of that host" if faults[0].kind == "from-the-future" else _make_one(newest)
        if all(detail.kind == "changed-since" for detail in faults):
            remedy += "; where it is written to all the time, say `busy: true` of the module, and the age alone counts"
        return Broken(in_short(faults), kind=faults[0].kind, remedy=remedy, details=details)
    if unseen := [detail for detail in details if detail.outcome is Outcome.UNPROVEN]:
        remedy = "let the probe read there (`become: sudo -n`), or say `busy: true` of the module where only the age of its backup counts"
        return Unproven(in_short(unseen), remedy=remedy, details=details)
    return Held(details[0].message, details=details)


def _make_one(newest: NewestBackup) -> str:
    """How a new one is had."""
    by_us = " (a step `backup:` of an action makes one)" if newest.backup_class == "E" else ""
    return f"back up {newest.module} now{by_us}, then look why it was not done"


def _doubt(newest: NewestBackup) -> str:
    """Why the newest backup is not verified; empty when it is whole, or when interlock itself verified the same bytes as it made it."""
    for file, detail in zip(newest.files, intact_details(newest), strict=True):
        if detail.outcome is Outcome.BROKEN or (detail.outcome is Outcome.UNPROVEN and not _verified_by_us(file)):
            return detail.message
    return ""


def _verified_by_us(file: Examined) -> bool:
    manifest = Manifest.parse(file.manifest)
    return manifest is not None and manifest.ours and bool(file.sha256) and manifest.sha256 == _digest(file)


def moment_of(newest: NewestBackup) -> Taken:
    """When the newest backup was taken: as its oldest file of the class's kind."""
    right = [file for file in newest.files if format_of(file) in FORMATS[newest.backup_class]] or list(newest.files)
    return min((taken(file) for file in right), key=lambda one: one.at)


def _age_detail(age: BackupAge, when: Taken) -> Detail:
    newest, seconds = age.newest, (age.now - when.at).total_seconds()
    name, limit = newest.files[0].name, in_words(age.fresh_for)
    path = f"{newest.directory}/{name}"
    if when.at > age.now + CLOCK_SKEW:
        message = f"{name} says that it was taken {in_words(-seconds)} from now ({when.told}): no age can be told from it"
        return Detail(what="age", outcome=Outcome.BROKEN, kind="from-the-future", message=message, file=path)
    message = f"the newest backup of {newest.module}, {name}, was taken {in_words(seconds)} ago ({when.told}), the limit is {limit}"
    if seconds > age.fresh_for:
        return Detail(what="age", outcome=Outcome.BROKEN, kind="stale", message=message, file=path, value=int(seconds))
    return Detail(what="age", outcome=Outcome.HELD, message=message, file=path)


def _change_detail(age: BackupAge, when: Taken, state: State) -> Detail:
    """Whether something in a directory of the module is younger than the backup. What was found is told, also where not all could be seen."""
    later = state.mtime - when.at.timestamp()
    if state.changed and later > 0:
        message = f"{state.changed} changed {in_words(later)} after the newest backup of {age.newest.module} was taken"
        return Detail(what=state.path, outcome=Outcome.BROKEN, kind="changed-since", message=message, file=state.changed)
    if state.fault:
        message = f"nobody can tell whether {state.path} changed after the backup: {state.fault}"
        return Detail(what=state.path, outcome=Outcome.UNPROVEN, kind="could-not-look", message=message, file=state.path)
    part = " among what was looked at, which is not all," if state.cut else ""
    return Detail(what=state.path, outcome=Outcome.HELD, message=f"nothing{part} below {state.path} changed after the backup", file=state.path)


INTACT = Guardrail(
    id="backups.intact",
    title="the newest backup of a module can be read to its end, is what its manifest says, and is of the kind that its class demands",
    severity=Severity.CRITICAL,
    when=frozenset({When.PREFLIGHT}),
    rationale="A dump that was cut short has a name, a size and a date like any other; the difference shows on the day when it is restored.",
    remedy="make a new backup, keep the one before it, and find out what cut this one short",
    subjects=modules,
    judge=judge_intact,
    max_age=3600,
    never_waivable=True,
)

FRESH = Guardrail(
    id="backups.fresh",
    title="the newest verified backup of a module is younger than the site's limit, and newer than the module's last change where that is known",
    severity=Severity.CRITICAL,
    when=frozenset({When.PREFLIGHT}),
    rationale="A backup job that failed quietly three weeks ago leaves a directory full of good backups.",
    remedy="back the module up now, and find out why it was not done",
    subjects=modules,
    judge=judge_fresh,
    max_age=300,
)
