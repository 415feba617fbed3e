"""Compose files: they say what their authors believe they say."""

from interlock.checking import assert_held, check
from interlock.facts.chain_lists import ChainLists
from interlock.facts.compose import ChainAnswer, ChainMounts, ComposeText
from interlock.facts.declared_volumes import VolumesOfFile
from interlock.facts.placed import FileOfChains
from interlock.judge import chain_lists as lists
from interlock.judge import compose
from interlock.judge.stack import data_directories, volumes


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


@check(data_directories.DATA_DIR_MATCHES_MOUNT)
def test_what_is_mounted_for_data_holds_the_data(file_of_chains: FileOfChains) -> None:
    assert_held(data_directories.judge_data_dir_matches_mount(file_of_chains))


@check(volumes.VOLUME_DECLARED_BUT_UNMOUNTED)
def test_each_declared_volume_is_mounted(volumes_of_file: VolumesOfFile) -> None:
    assert_held(volumes.judge_declared_volumes(volumes_of_file))


@check(lists.CHAIN_SINGLE_RESOLVER)
def test_one_script_decides_which_files_are_started_together(chain_lists: ChainLists) -> None:
    assert_held(lists.judge_single_resolver(chain_lists))
