"""Health: who says that the stack is well is asked, and knows."""

from interlock.checking import assert_settles, check
from interlock.judge import health
from interlock.observe.expect import Expectation


@check(health.ENDPOINT)
def test_the_endpoint_is_asked_where_it_answers_and_answers_as_declared(settling: Expectation) -> None:
    assert_settles(lambda: health.judge_endpoint(settling.look()), attempts=settling.attempts, every=settling.every)
