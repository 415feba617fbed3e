"""Compose files: they say what their authors believe they say."""

from interlock.checking import assert_held, check
from interlock.facts.chain_lists import ChainLists
from interlock.facts.compose import ChainAnswer, ChainMounts, ComposeText
from interlock.facts.config_readers import MountedSettings
from interlock.facts.declared_volumes import VolumesOfFile
from interlock.facts.embedded import StoppedFile
from interlock.facts.overrides import ExplicitBases, OverrideFile
from interlock.facts.persisted import PersistedChoice
from interlock.facts.placed import FileOfChains
from interlock.facts.sourceless import NeededSources
from interlock.judge import chain_lists as lists
from interlock.judge import compose
from interlock.judge.stack import containers, data_directories, overrides, persisted, settings, sourceless, volumes


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


@check(compose.DATA_DIR_MATCHES_MOUNT)
def test_what_is_mounted_for_data_holds_the_data(file_of_chains: FileOfChains) -> None:
    assert_held(data_directories.judge_data_dir_matches_mount(file_of_chains))


@check(compose.VOLUME_DECLARED_BUT_UNMOUNTED)
def test_each_declared_volume_is_mounted(volumes_of_file: VolumesOfFile) -> None:
    assert_held(volumes.judge_declared_volumes(volumes_of_file))


@check(compose.CHAIN_SINGLE_RESOLVER)
def test_one_script_decides_which_files_are_started_together(chain_lists: ChainLists) -> None:
    assert_held(lists.judge_single_resolver(chain_lists))


@check(compose.CONFIG_MOUNTED_BUT_UNUSED)
def test_a_server_reads_the_settings_that_are_mounted_for_it(mounted_settings: MountedSettings) -> None:
    assert_held(settings.judge_settings(mounted_settings))


@check(compose.SOURCELESS_RUNNABLE)
def test_a_stack_of_images_needs_no_source(needed_sources: NeededSources) -> None:
    assert_held(sourceless.judge_sourceless(needed_sources))


@check(compose.STOP_GRACE_FOR_STATEFUL)
def test_a_service_with_a_database_has_time_to_stop(stopped_file: StoppedFile) -> None:
    assert_held(containers.judge_stop_grace(stopped_file))


@check(compose.DOCKER_SOCKET_READONLY)
def test_nobody_gets_the_socket_of_the_engine_to_write_to(file_of_chains: FileOfChains) -> None:
    assert_held(containers.judge_docker_socket(file_of_chains))


@check(compose.NO_AUTOLOADED_DEV_OVERRIDE)
def test_what_is_loaded_by_itself_is_for_those_who_run_the_stack(override_file: OverrideFile) -> None:
    assert_held(overrides.judge_autoloaded_override(override_file))


@check(compose.EXPLICIT_F_IGNORES_OVERRIDE)
def test_no_command_leaves_the_override_of_an_operator_out(explicit_bases: ExplicitBases) -> None:
    assert_held(overrides.judge_explicit_bases(explicit_bases))


@check(compose.CHAIN_MATCHES_PERSISTED_STATE)
def test_what_runs_follows_the_choice_that_the_application_keeps(persisted_choice: PersistedChoice) -> None:
    assert_held(persisted.judge_persisted(persisted_choice))
