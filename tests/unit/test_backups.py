"""Backups as they lie there: each way in which others can come at one is told, and what could not be seen is not vouched for."""

from __future__ import annotations

import stat
from collections.abc import Iterator

import pytest

from interlock.errors import CouldNotLook
from interlock.facts.backup_writers import BackupWrite, Care, Language, Unread, WriterScript
from interlock.facts.backups import ModuleBackups, mode_text
from interlock.facts.looks import Entry, Listing, StatAnswer
from interlock.judge import guarded
from interlock.judge.backups import MODE_0600, judge_directory, judge_privacy, judge_writer
from interlock.verdicts import Broken, Detail, Held, NullSink, Outcome, Settled, Unproven, settle

TOP = "/srv/backups"
OWNER = 0


def entry(name: str, mode: int = stat.S_IFREG | 0o600, *, uid: int = OWNER, acl: str = "", target: str = "") -> Entry:
    return Entry(name, mode, uid, 0, 10, 0, 1, acl, target)


def listing(
    directory: str = TOP, *entries: Entry, mode: int = 0o700, uid: int = OWNER, acl: str = "", error: str = "", vanished: tuple[str, ...] = ()
) -> Listing:
    return Listing(directory, entry("", stat.S_IFDIR | mode, uid=uid, acl=acl), list(entries), error, "8:1", vanished)


def backups(*listings: Listing, itself: StatAnswer | None = None, owner_uid: int | None = OWNER) -> ModuleBackups:
    there = StatAnswer(present=True, mode=stat.S_IFDIR | 0o700, realpath=TOP)
    return ModuleBackups(directory=TOP, itself=itself or there, owner="root", owner_uid=owner_uid, listings=iter(listings))


def settled(noun: ModuleBackups) -> Settled:
    return settle(guarded(judge_directory(noun)), NullSink())


def kinds(noun: ModuleBackups) -> list[str]:
    return [detail.kind for detail in settled(noun).tally.broken_seen]


def test_private_files_in_private_directories_hold() -> None:
    found = settled(backups(listing(TOP, entry("a.tar"), entry("b.tar"), entry("app", stat.S_IFDIR | 0o700)), listing(f"{TOP}/app", entry("c.tar"))))
    assert (found.outcome, found.tally.held) == (Outcome.HELD, 5)
    assert found.message == "5 files and directories below /srv/backups are root's alone"


def test_stricter_than_asked_holds() -> None:
    assert settled(backups(listing(TOP, entry("a.tar", stat.S_IFREG | 0o400), mode=0o500))).outcome is Outcome.HELD


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (entry("x", stat.S_IFREG | 0o644), "mode"),
        (entry("x", stat.S_IFREG | 0o640, acl="user::rw-,user:1000:r--,group::---,mask::r--,other::---"), "mode"),
        (entry("x", stat.S_IFREG | 0o4600), "mode"),
        (entry("x", stat.S_IFREG | 0o700), "mode"),
        (entry("x", uid=1000), "owner"),
        (entry("x", stat.S_IFLNK | 0o777, target="/etc/passwd"), "link-leads-out"),
        (entry("x", stat.S_IFLNK | 0o777, target="../other"), "link-leads-out"),
        (entry("x", stat.S_IFLNK | 0o777, target="/srv/backups-of-others/a"), "link-leads-out"),
        (entry("x", stat.S_IFLNK | 0o777), "link-leads-out"),
        (entry("x", stat.S_IFIFO | 0o600), "special-file"),
        (entry("x", stat.S_IFSOCK | 0o600), "special-file"),
    ],
)
def test_a_file_that_others_can_come_at_is_told(one: Entry, kind: str) -> None:
    assert kinds(backups(listing(TOP, entry("a"), one))) == [kind]


def test_a_link_that_stays_inside_holds() -> None:
    assert kinds(backups(listing(TOP, entry("latest", stat.S_IFLNK | 0o777, target="app/a.tar"), entry("top", stat.S_IFLNK | 0o777, target=TOP)))) == []


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (listing(TOP, mode=0o750), "directory-mode"),
        (listing(TOP, mode=0o701), "directory-mode"),
        (listing(TOP, uid=1000), "owner"),
        (listing(TOP, acl="default:user::rwx,default:user:1000:r-x,default:group::---,default:mask::r-x,default:other::---"), "default-acl"),
        (listing(TOP, acl="default:user::rwx,default:group::r-x,default:other::---"), "default-acl"),
        (listing(TOP, acl="default:user::rwx,default:group::---,default:other::r-x"), "default-acl"),
    ],
)
def test_a_directory_that_others_can_enter_or_that_opens_what_is_made_in_it_is_told(found: Listing, kind: str) -> None:
    assert kinds(backups(found)) == [kind]


def test_a_default_acl_for_the_owner_alone_holds() -> None:
    acl = "default:user::rwx,default:group::---,default:mask::---,default:other::---"
    assert kinds(backups(listing(TOP, acl=acl))) == []


def test_the_same_directory_in_several_listings_is_counted_once() -> None:
    found = settled(backups(listing(TOP, entry("a")), listing(TOP, entry("b")), listing(f"{TOP}/app")))
    assert found.tally.held == 4


def test_the_sentence_names_three_and_counts_the_rest() -> None:
    found = settled(backups(listing(TOP, *(entry(f"f{number}", stat.S_IFREG | 0o644) for number in range(5)))))
    assert found.outcome is Outcome.BROKEN
    assert found.message == (
        "5 of 6 below /srv/backups can be read by others: /srv/backups/f0 is 0644; /srv/backups/f1 is 0644; /srv/backups/f2 is 0644; and 2 more"
    )


@pytest.mark.parametrize("found", [listing(TOP, error="EACCES: Permission denied"), listing(TOP, vanished=(".",))])
def test_what_could_not_be_seen_is_unproven(found: Listing) -> None:
    assert settled(backups(found)).outcome is Outcome.UNPROVEN


def test_a_walk_that_breaks_off_keeps_what_was_found_broken() -> None:
    def breaks_off() -> Iterator[Listing]:
        yield listing(TOP, entry("a", stat.S_IFREG | 0o644))
        raise CouldNotLook("/srv/backups could not be walked: it hangs", where=TOP)

    noun = backups()
    noun = ModuleBackups(directory=TOP, itself=noun.itself, owner="root", owner_uid=0, listings=breaks_off())
    found = settled(noun)
    assert (found.outcome, found.tally.broken, found.tally.unproven) == (Outcome.BROKEN, 1, 1)


def test_no_directory_is_no_backup_to_look_at() -> None:
    found = judge_directory(backups(itself=StatAnswer(present=False)))
    assert isinstance(found, Unproven)
    assert found.remedy == "install -d -m 0700 -o root /srv/backups"


def test_a_directory_that_is_a_link_is_told_with_where_it_leads() -> None:
    found = judge_directory(backups(itself=StatAnswer(present=True, mode=stat.S_IFLNK | 0o777, realpath="/mnt/nas")))
    assert isinstance(found, Broken)
    assert (found.kind, "/mnt/nas" in found.message) == ("directory-is-a-link", True)


def test_an_owner_that_the_host_does_not_know_is_told() -> None:
    found = judge_directory(backups(owner_uid=None))
    assert isinstance(found, Broken)
    assert found.kind == "owner-unknown"


def test_modes_are_written_as_operators_write_them() -> None:
    assert [mode_text(mode) for mode in (stat.S_IFREG | 0o644, 0o600, 0o4755, 0)] == ["0644", "0600", "4755", "0000"]


# ---- scripts


def write(target: str, care: Care, *, line: int = 3, scope: str = "", tool: str = "pg_dump", because: str = "umask of line 1") -> BackupWrite:
    return BackupWrite(target=target, written=target, tool=tool, scope=scope, line=line, care=care, because=because)


def script(*writes: BackupWrite, unread: tuple[Unread, ...] = (), language: Language = Language.SHELL) -> WriterScript:
    return WriterScript(path="backup.sh", language=language, writes=writes, unread=unread)


def details(noun: WriterScript) -> list[Detail]:
    judgement = judge_writer(noun)
    return list(judgement.details)


def test_a_script_without_a_backup_holds_and_says_so() -> None:
    assert judge_privacy(script()) == Held("backup.sh writes no backup")


def test_a_script_whose_backups_are_private_holds_with_each_of_them() -> None:
    found = judge_writer(script(write("a.sql", Care.PRIVATE), write("b.sql", Care.PRIVATE)))
    assert isinstance(found, Held)
    assert found.message == "backup.sh writes 2 backups, private from the first byte"
    assert [detail.outcome for detail in found.details] == [Outcome.HELD, Outcome.HELD]


@pytest.mark.parametrize("care", [care for care in Care if care is not Care.PRIVATE])
def test_each_way_of_carelessness_is_broken_with_its_kind_file_and_line(care: Care) -> None:
    found = judge_writer(script(write("a.sql", care)))
    assert isinstance(found, Broken)
    (detail,) = found.details
    assert (detail.kind, detail.file, detail.line, detail.what) == (care.value, "backup.sh", 3, "pg_dump a.sql")
    assert detail.message.startswith("line 3: ")
    assert "a.sql" in detail.message
    assert found.remedy


def test_a_broken_script_keeps_what_is_private_among_its_details() -> None:
    found = judge_writer(script(write("a.sql", Care.PRIVATE), write("b.sql", Care.NO_UMASK)))
    assert isinstance(found, Broken)
    assert [detail.outcome for detail in found.details] == [Outcome.HELD, Outcome.BROKEN]


def test_the_name_of_a_finding_does_not_change_with_its_line_and_twins_are_told_apart() -> None:
    first = [
        detail.what for detail in details(script(write("a.sql", Care.NO_UMASK, line=3, scope="dump"), write("a.sql", Care.NO_UMASK, line=9, scope="dump")))
    ]
    moved = [
        detail.what for detail in details(script(write("a.sql", Care.NO_UMASK, line=30, scope="dump"), write("a.sql", Care.NO_UMASK, line=90, scope="dump")))
    ]
    assert first == moved == ["dump: pg_dump a.sql", "dump: pg_dump a.sql (2)"]


def test_what_cannot_be_read_is_unproven_unless_something_is_broken() -> None:
    unread = Unread(line=7, why="line 7 could not be read as shell")
    assert isinstance(judge_writer(script(unread=(unread,))), Unproven)
    assert isinstance(judge_writer(script(write("a.sql", Care.PRIVATE), unread=(unread,))), Unproven)
    assert isinstance(judge_writer(script(write("a.sql", Care.NO_UMASK), unread=(unread,))), Broken)


def test_remedies_fit_the_language_and_the_fault() -> None:
    def remedy(care: Care, language: Language) -> str:
        found = judge_writer(script(write("a", care), language=language))
        assert isinstance(found, Broken)
        return found.remedy

    assert "umask 077" in remedy(Care.NO_UMASK, Language.SHELL)
    assert "0o600" in remedy(Care.NO_UMASK, Language.PYTHON)
    assert "moved" in remedy(Care.MODE_INHERITED, Language.PYTHON)
    assert "0600" in remedy(Care.WIDENED, Language.SHELL)


def test_the_catalogue_says_that_files_and_the_live_system_are_asked() -> None:
    assert {gate.value for gate in MODE_0600.when} == {"static", "preflight", "postflight"}
