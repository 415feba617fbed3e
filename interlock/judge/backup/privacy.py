"""Is a backup its owner's alone, as it lies there and as scripts write it? `interlock.observe.backups` brings what is looked at."""

from __future__ import annotations

import posixpath
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import assert_never

from interlock.config.models import Site
from interlock.facts.backup_writers import BackupWrite, Care, Language, WriterScript
from interlock.facts.backups import ModuleBackups, mode_text
from interlock.facts.looks import Entry, Listing
from interlock.patterns import regex
from interlock.verdicts import LIVE, Broken, Detail, Guardrail, Held, HeldRun, Outcome, Severity, Streamed, Subject, Tally, Unproven, When, in_short

PRIVATE_FILE = stat.S_IFREG | 0o600
WIDER_THAN_FILE = 0o7777 & ~0o600
WIDER_THAN_DIRECTORY = 0o077
_INHERITED = regex(r"(?:^|,)default:(?:user:[^:,]+|group:[^:,]*|other:):(?=[rwx-]*[rwx])")  # entries beside the owner's that grant something
UNREAD_REMEDY = {
    Language.SHELL: "look whether `bash -n` takes the file; what is a template can be scanned once it is rendered",
    Language.PYTHON: "look whether this version of Python takes the file; scan with a newer one",
}
SHOWN = 3  # findings that the one sentence names; the details name all


FROM_FILES = frozenset({When.STATIC})


def backups_and_writers(site: Site) -> Sequence[Subject]:
    """Every module's backups on its host, and every script or program that may write one."""
    modules = [Subject(name=name, host=module.host, when=LIVE) for name, module in site.modules.items()]
    return modules + [Subject(name=path, when=FROM_FILES) for path in (site.scripts.files if site.scripts else ())]


def judge_privacy(backups: ModuleBackups | WriterScript) -> Held | Broken | Unproven | Streamed:
    """Held when what lies there is its owner's alone, or when what is written comes into being so."""
    return judge_writer(backups) if isinstance(backups, WriterScript) else judge_directory(backups)


def judge_directory(backups: ModuleBackups) -> Broken | Unproven | Streamed:
    """Held when every file is 0600 or stricter, every directory 0700 or stricter, all owned as declared, no ACL widens one and no link leads out."""
    if not backups.itself.present:
        return Unproven(
            f"{backups.directory} does not exist: there is no backup to look at", remedy=f"install -d -m 0700 -o {backups.owner} {backups.directory}"
        )
    if stat.S_ISLNK(backups.itself.mode):
        why = f"{backups.directory} is a symbolic link to {backups.itself.realpath}"
        return Broken(why, kind="directory-is-a-link", remedy=f"declare {backups.itself.realpath} in the site file")
    if backups.owner_uid is None:
        return Broken(
            f"no user {backups.owner} on this host, who should own {backups.directory}", kind="owner-unknown", remedy="correct `owner` in the site file"
        )
    return Streamed(
        details=_privacy_details(backups, backups.owner_uid),
        says=lambda tally: _privacy_in_words(backups, tally),
        remedy=f"chmod 0600 the files, chmod 0700 the directories, chown {backups.owner}; make new ones under `umask 077`",
    )


def _privacy_in_words(backups: ModuleBackups, tally: Tally) -> str:
    if tally.broken:
        first = "; ".join(detail.message for detail in tally.broken_seen[:SHOWN])
        more = f"; and {tally.broken - SHOWN} more" if tally.broken > SHOWN else ""
        return f"{tally.broken} of {tally.total} below {backups.directory} can be read by others: {first}{more}"
    if tally.unproven:
        return f"{tally.unproven} of {tally.total} below {backups.directory} could not be looked at: {tally.unproven_seen[0].message}"
    return f"{tally.total} files and directories below {backups.directory} are {backups.owner}'s alone"


def _privacy_details(backups: ModuleBackups, owner: int) -> Iterator[Detail | HeldRun]:
    """One detail for each directory and each file, in the order of the walk."""
    top = backups.directory
    listed: set[str] = set()
    for listing in backups.listings:
        if "." in listing.vanished:
            yield _unproven(listing.directory, "vanished", "it went away while it was looked at")
            continue
        if listing.directory not in listed:
            listed = {listing.directory}
            yield _directory_detail(listing, owner, backups.owner)
        if listing.error:
            continue
        private, others = _split(listing.entries, owner)
        if private:
            yield HeldRun(prefix=listing.directory + "/", names=private, message="0600")
        for entry in others:
            if not stat.S_ISDIR(entry.mode):
                yield _file_detail(f"{listing.directory}/{entry.name}", entry, owner, backups.owner, top)


def _split(entries: Sequence[Entry], owner: int) -> tuple[list[str], list[Entry]]:
    """The names that are exactly as they should be, and the rest: the hot path over a million files."""
    private = [entry[0] for entry in entries if entry[1] == PRIVATE_FILE and entry[2] == owner]
    if len(private) == len(entries):
        return private, []
    return private, [Entry._make(entry) for entry in entries if not (entry[1] == PRIVATE_FILE and entry[2] == owner)]


def _directory_detail(listing: Listing, owner: int, owner_name: str) -> Detail:
    path, entry = listing.directory, listing.itself
    if listing.error:
        return _unproven(path, "unreadable", listing.error)
    if entry.mode & WIDER_THAN_DIRECTORY:
        return _broken(path, "directory-mode", f"{path} is {mode_text(entry.mode)}, not 0700{_acl(entry)}")
    if entry.uid != owner:
        return _broken(path, "owner", f"{path} belongs to uid {entry.uid}, not to {owner_name}")
    if _INHERITED.search(entry.acl):
        return _broken(path, "default-acl", f"{path} has a default ACL that opens every new file in it: {entry.acl}")
    return Detail(what=path, outcome=Outcome.HELD, message=mode_text(entry.mode))


def _file_detail(path: str, entry: Entry, owner: int, owner_name: str, top: str) -> Detail:
    if stat.S_ISLNK(entry.mode):
        return _link_detail(path, entry, top)
    if not stat.S_ISREG(entry.mode):
        return _broken(path, "special-file", f"{path} is no regular file")
    if entry.mode & WIDER_THAN_FILE:
        return _broken(path, "mode", f"{path} is {mode_text(entry.mode)}{_acl(entry)}")
    if entry.uid != owner:
        return _broken(path, "owner", f"{path} belongs to uid {entry.uid}, not to {owner_name}")
    return Detail(what=path, outcome=Outcome.HELD, message=mode_text(entry.mode))


def _link_detail(path: str, entry: Entry, top: str) -> Detail:
    """A link's own mode says nothing; where it leads does."""
    leads_to = posixpath.normpath(posixpath.join(posixpath.dirname(path), entry.target))
    if entry.target and (leads_to == top or leads_to.startswith(top + "/")):
        return Detail(what=path, outcome=Outcome.HELD, message=f"link to {entry.target}")
    return _broken(path, "link-leads-out", f"{path} is a link to {entry.target or 'an unknown place'}, out of {top}")


def _broken(path: str, kind: str, message: str) -> Detail:
    return Detail(what=path, outcome=Outcome.BROKEN, kind=kind, message=message, file=path)


def _unproven(path: str, kind: str, why: str) -> Detail:
    return Detail(what=path, outcome=Outcome.UNPROVEN, kind=kind, message=f"{path}: {why}", file=path)


def _acl(entry: Entry) -> str:
    return f" (ACL {entry.acl})" if entry.acl else ""


# ---- from the text of scripts and programs


def judge_writer(script: WriterScript) -> Held | Broken | Unproven:
    """Held when every backup that the script writes is private from its first byte: a chmod afterwards leaves a window as long as the dump."""
    details = tuple(_write_details(script))
    faults = [detail for detail in details if detail.outcome is Outcome.BROKEN]
    if faults:
        return Broken(f"{script.path}: {in_short(faults)}", remedy=_writer_remedy(script), kind=faults[0].kind, details=details)
    unread = [detail for detail in details if detail.outcome is Outcome.UNPROVEN]
    if unread:
        return Unproven(f"{script.path} may write backups: {in_short(unread)}", remedy=UNREAD_REMEDY[script.language], details=details)
    if not details:
        return Held(f"{script.path} writes no backup")
    return Held(f"{script.path} writes {len(details)} backup{'s' * (len(details) > 1)}, private from the first byte", details=details)


def _write_details(script: WriterScript) -> Iterator[Detail]:
    """One detail for each write and each stretch that could not be read. Two writes of the same name in one function are told apart by a number."""
    seen: Counter[str] = Counter()
    for write in script.writes:
        name = f"{write.scope}: {write.tool} {write.written}" if write.scope else f"{write.tool} {write.written}"
        seen[name] += 1
        what = name if seen[name] == 1 else f"{name} ({seen[name]})"
        outcome = Outcome.HELD if write.care is Care.PRIVATE else Outcome.BROKEN
        kind = "" if outcome is Outcome.HELD else write.care.value
        yield Detail(what=what, outcome=outcome, kind=kind, message=_write_in_words(write), file=script.path, line=write.line)
    for number, unread in enumerate(script.unread, 1):
        message = f"line {unread.line}: {unread.why}"
        yield Detail(what=f"unread {number}", outcome=Outcome.UNPROVEN, kind="unread", message=message, file=script.path, line=unread.line)


def _write_in_words(write: BackupWrite) -> str:
    match write.care:
        case Care.PRIVATE:
            said = f"{write.tool} creates {write.target} private ({write.because})"
        case Care.NO_UMASK:
            said = f"{write.tool} creates {write.target} without a private umask, mode or directory: others can read it"
        case Care.CHMOD_AFTER:
            said = f"{write.tool} creates {write.target} readable by others until {write.because}"
        case Care.MODE_INHERITED:
            said = f"{write.tool} leaves {write.target} with the mode of its source, and nothing here makes that private"
        case Care.WIDENED:
            said = f"{write.target} is opened to others by {write.because}"
        case _:
            assert_never(write.care)
    return f"line {write.line}: {said}"


def _writer_remedy(script: WriterScript) -> str:
    """What mends the first fault."""
    first = next(write.care for write in script.writes if write.care is not Care.PRIVATE)
    match first, script.language:
        case Care.MODE_INHERITED, _:
            return "set 0600 on it as soon as it has moved"
        case Care.WIDENED, _:
            return "leave it 0600; whoever has to read it should own it"
        case _, Language.PYTHON:
            return "make its directory 0700 first, or open it with os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)"
        case _:
            return "write `umask 077` before it, or make its directory with `mkdir -m 700`"


MODE_0600 = Guardrail(
    id="backups.mode_0600",
    title="every backup file is 0600 and its owner's, every directory of backups 0700, from the first byte on",
    severity=Severity.CRITICAL,
    when=frozenset({When.STATIC, When.PREFLIGHT, When.POSTFLIGHT}),
    rationale="A dump holds every password hash and token of the system that it came from; one that others can read is a leak that nobody notices.",
    remedy="create backups under `umask 077` in a 0700 directory; a chmod afterwards leaves a window as long as the dump",
    subjects=backups_and_writers,
    judge=judge_privacy,
    max_age=300,
)
