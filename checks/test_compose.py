"""Compose files: they say what their authors believe they say."""

from interlock.checking import assert_held, check
from interlock.facts.compose import ComposeText
from interlock.judge import compose


@check(compose.STRICT_PARSE)
def test_a_compose_file_can_be_read_to_its_end_and_says_nothing_twice(compose_text: ComposeText) -> None:
    assert_held(compose.judge_strict_parse(compose_text))
