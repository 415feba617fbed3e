"""The operator's own rules: what a working system looks like, as they wrote it down."""

from interlock.checking import assert_settles, check
from interlock.judge import expect
from interlock.observe.expect import Expectation


@check(expect.FILE)
def test_the_file_is_as_expected(expected: Expectation) -> None:
    assert_settles(lambda: expect.judge_file(expected.look()), attempts=expected.attempts, every=expected.every)


@check(expect.PORT)
def test_the_port_answers_exactly_when_it_should(expected: Expectation) -> None:
    assert_settles(lambda: expect.judge_port(expected.look()), attempts=expected.attempts, every=expected.every)


@check(expect.HTTP)
def test_the_url_answers_as_expected(expected: Expectation) -> None:
    assert_settles(lambda: expect.judge_http(expected.look()), attempts=expected.attempts, every=expected.every)


@check(expect.COMMAND)
def test_the_command_ends_as_expected(expected: Expectation) -> None:
    assert_settles(lambda: expect.judge_command(expected.look()), attempts=expected.attempts, every=expected.every)


@check(expect.SQL)
def test_the_query_returns_the_expected_value(expected: Expectation) -> None:
    assert_settles(lambda: expect.judge_sql(expected.look()), attempts=expected.attempts, every=expected.every)
