"""Compose files: they say what their authors believe they say."""

from interlock.checking import assert_held, check
from interlock.facts.compose import ChainAnswer, ChainMounts, ComposeText
from interlock.judge import compose


@check(compose.STRICT_PARSE)
def test_a_compose_file_can_be_read_to_its_end_and_says_nothing_twice(compose_text: ComposeText) -> None:
    assert_held(compose.judge_strict_parse(compose_text))


@check(compose.CHAIN_VALID)
def test_docker_compose_resolves_each_chain_of_files(chain_answer: ChainAnswer) -> None:
    assert_held(compose.judge_chain_valid(chain_answer))


@check(compose.OVERRIDE_PRESERVES_MOUNTS)
def test_no_replaced_list_drops_a_mount_without_saying_so(chain_mounts: ChainMounts) -> None:
    assert_held(compose.judge_override_preserves_mounts(chain_mounts))


@check(compose.SHARED_VOLUME_MOVES_TOGETHER)
def test_the_users_of_a_volume_move_together(chain_mounts: ChainMounts) -> None:
    assert_held(compose.judge_shared_volume_moves_together(chain_mounts))
