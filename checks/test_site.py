"""The site file: it says all that there is, and a human stands behind it."""

from interlock.checking import assert_held, check
from interlock.facts.site import LearnedNouns, StateFound
from interlock.judge import site


@check(site.UNDECLARED)
def test_everything_that_keeps_state_is_declared_or_excluded(state_found: StateFound) -> None:
    assert_held(site.judge_undeclared(state_found))


@check(site.CONFIRMED)
def test_a_human_stands_behind_all_that_was_learned_from_a_host(learned: LearnedNouns) -> None:
    assert_held(site.judge_confirmed(learned))
