"""Scripts can be read, stop when they fail, delete nothing unasked, and hold on every host."""

from interlock.checking import assert_held, check
from interlock.facts.scripts import DestroysSeen, LiteralsSeen, LostSeen, SyntaxSeen
from interlock.judge import scripts


@check(scripts.SYNTAX)
def test_every_script_can_be_read_by_its_shell(syntax: SyntaxSeen) -> None:
    assert_held(scripts.judge_syntax(syntax))


@check(scripts.NO_SWALLOWED_FAILURE)
def test_a_failed_backup_restore_or_migration_stops_what_comes_after_it(lost_failures: LostSeen) -> None:
    assert_held(scripts.judge_swallowed(lost_failures))


@check(scripts.DESTRUCTIVE_GUARDED)
def test_no_script_deletes_data_without_looking_or_asking(destructions: DestroysSeen) -> None:
    assert_held(scripts.judge_destructive(destructions))


@check(scripts.PROJECT_NAME)
def test_no_script_knows_the_name_of_a_compose_project_by_heart(project_literals: LiteralsSeen) -> None:
    assert_held(scripts.judge_project_name(project_literals))


@check(scripts.ENGINE_ROOT)
def test_no_script_knows_by_heart_where_the_engine_keeps_its_data(root_literals: LiteralsSeen) -> None:
    assert_held(scripts.judge_engine_root(root_literals))
