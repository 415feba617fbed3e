"""Is a backup private, complete and proven? `interlock.observe.backups` brings what lies in the backup directories."""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Iterator, Sequence

from interlock.config.models import Site
from interlock.facts.backups import ModuleBackups, mode_text
from interlock.facts.looks import Entry, Listing
from interlock.verdicts import Broken, Detail, Guardrail, HeldRun, Outcome, Severity, Streamed, Subject, Tally, Unproven, When

PRIVATE_FILE = stat.S_IFREG | 0o600
WIDER_THAN_FILE = 0o7777 & ~0o600
WIDER_THAN_DIRECTORY = 0o077


def modules_with_backups(site: Site) -> Sequence[Subject]:
    """Every module on its host."""
    return [Subject(name=name, host=module.host) for name, module in site.modules.items()]


def judge_privacy(backups: ModuleBackups) -> Broken | Unproven | Streamed:
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
        first = "; ".join(detail.message for detail in tally.broken_seen[:3])
        more = f"; and {tally.broken - 3} more" if tally.broken > 3 else ""
        return f"{tally.broken} of {tally.total} below {backups.directory} can be read by others: {first}{more}"
    if tally.unproven:
        return f"{tally.unproven} of {tally.total} below {backups.directory} could not be looked at: {tally.unproven_seen[0].message}"
    return f"{tally.total} files and directories below {backups.directory} are {backups.owner}'s alone"


def _privacy_details(backups: ModuleBackups, owner: int) -> Iterator[Detail | HeldRun]:
    """One detail for each directory and each file, in the order of the walk."""
    top = backups.directory
    listed: set[str] = set()
    for listing in backups.listings:
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
        return Detail(what=path, outcome=Outcome.UNPROVEN, kind="unreadable", message=f"{path}: {listing.error}", file=path)
    if entry.mode & WIDER_THAN_DIRECTORY:
        return _broken(path, "directory-mode", f"{path} is {mode_text(entry.mode)}, not 0700{_acl(entry)}")
    if entry.uid != owner:
        return _broken(path, "owner", f"{path} belongs to uid {entry.uid}, not to {owner_name}")
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


def _acl(entry: Entry) -> str:
    return f" (ACL {entry.acl})" if entry.acl else ""


MODE_0600 = Guardrail(
    id="backups.mode_0600",
    title="every backup file is 0600 and its owner's, every directory of backups 0700",
    severity=Severity.CRITICAL,
    when=frozenset({When.STATIC, When.PREFLIGHT, When.POSTFLIGHT}),
    rationale="A dump holds every password hash and token of the system that it came from; one that others can read is a leak that nobody notices.",
    remedy="create backups under `umask 077` in a 0700 directory; a chmod afterwards leaves a window as long as the dump",
    subjects=modules_with_backups,
    judge=judge_privacy,
    max_age=300,
)
