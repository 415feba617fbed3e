"""A copy that is private: every dump holds what the original protects."""

from interlock.checking import assert_held, check
from interlock.facts.backup_writers import WriterScript
from interlock.facts.backups import ModuleBackups
from interlock.judge import backups


@check(backups.MODE_0600)
def test_backups_are_readable_by_their_owner_alone(copies: ModuleBackups | WriterScript) -> None:
    assert_held(backups.judge_privacy(copies))
