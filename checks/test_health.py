"""Health: who says that the stack is well is asked, and knows."""

from interlock.checking import assert_held, assert_settles, check
from interlock.facts.start_window import ChainWaits
from interlock.judge import health
from interlock.observe.expect import Expectation


@check(health.ENDPOINT)
def test_the_endpoint_is_asked_where_it_answers_and_answers_as_declared(settling: Expectation) -> None:
    assert_settles(lambda: health.judge_endpoint(settling.look()), attempts=settling.attempts, every=settling.every)


@check(health.START_WINDOW)
def test_what_others_wait_for_has_time_to_start(chain_waits: ChainWaits) -> None:
    assert_held(health.judge_start_window(chain_waits))
