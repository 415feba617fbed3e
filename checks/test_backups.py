"""A copy that is private, complete and proven: every dump holds what the original protects, and is all that is left of it one day."""

from interlock.checking import assert_held, check
from interlock.facts.apply_paths import ApplyPaths
from interlock.facts.backup_coverage import BackupCoverage
from interlock.facts.backup_modules import ModuleInventory
from interlock.facts.backup_writers import WriterScript
from interlock.facts.backups import BackupAge, BackupContents, ModuleBackups, NewestBackup, Procedure, RestoreNote
from interlock.judge import apply_paths as ways
from interlock.judge import backups


@check(backups.MODE_0600)
def test_backups_are_readable_by_their_owner_alone(backup_files: ModuleBackups | WriterScript) -> None:
    assert_held(backups.judge_privacy(backup_files))


@check(backups.CLASS_ASSIGNED)
def test_every_stateful_module_has_one_backup_class_and_a_container(module_inventory: ModuleInventory) -> None:
    assert_held(backups.judge_classes(module_inventory))


@check(backups.FRESH)
def test_the_newest_verified_backup_is_new_enough(backup_age: BackupAge) -> None:
    assert_held(backups.judge_fresh(backup_age))


@check(backups.INTACT)
def test_the_newest_backup_is_whole(newest_backup: NewestBackup) -> None:
    assert_held(backups.judge_intact(newest_backup))


@check(backups.COMPLETE)
def test_a_backup_holds_all_that_a_restore_needs(taken_along: BackupContents | Procedure) -> None:
    assert_held(backups.judge_complete(taken_along))


@check(backups.RESTORE_NOTES)
def test_a_restore_is_described_and_its_backup_decided(restore_note: RestoreNote) -> None:
    assert_held(backups.judge_restore_note(restore_note))


@check(backups.COVERAGE)
def test_every_engine_that_keeps_state_is_in_some_backup(backup_coverage: BackupCoverage) -> None:
    assert_held(backups.judge_coverage(backup_coverage))


@check(backups.BEFORE_APPLY)
def test_a_backup_stands_before_every_upgrade(apply_paths: ApplyPaths) -> None:
    assert_held(ways.judge_before_apply(apply_paths))


@check(backups.NEVER_AUTOMATIC)
def test_nothing_starts_a_backup_and_apply_by_itself(apply_paths: ApplyPaths) -> None:
    assert_held(ways.judge_never_automatic(apply_paths))
