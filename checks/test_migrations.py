"""Migrations: each has its place, and somebody runs it."""

from interlock.checking import assert_held, check
from interlock.facts.migration_steps import Steps
from interlock.facts.migrations import Histories
from interlock.judge import migrations


@check(migrations.SINGLE_HEAD)
def test_every_history_of_migrations_ends_in_one_head(histories: Histories) -> None:
    assert_held(migrations.judge_single_head(histories))


@check(migrations.REVISION_ID_LENGTH)
def test_every_revision_id_fits_its_column(histories: Histories) -> None:
    assert_held(migrations.judge_revision_id_length(histories))


@check(migrations.STEP_WIRED)
def test_every_step_of_an_upgrade_is_run(steps: Steps) -> None:
    assert_held(migrations.judge_step_wired(steps))
