"""Variables: what the stack asks for, its instances give; and the files that they stand in."""

from interlock.checking import assert_held, check
from interlock.facts.env import InstanceEnv
from interlock.facts.env_defaults import FileSecrets, FileVariables
from interlock.facts.env_passthrough import Passthrough
from interlock.facts.env_presence import Starts
from interlock.facts.env_quoting import Quoting
from interlock.facts.env_rewrites import Rewrites
from interlock.facts.env_sourcing import SourcedFiles
from interlock.facts.env_updates import Upkeep
from interlock.judge import env


@check(env.COVERAGE)
def test_every_variable_without_a_default_is_given(instance_env: InstanceEnv) -> None:
    assert_held(env.judge_coverage(instance_env))


@check(env.COVERAGE_EXISTING_INSTALLS)
def test_old_installations_get_the_settings_that_new_ones_are_given(upkeep: Upkeep) -> None:
    assert_held(env.judge_existing(upkeep))


@check(env.FILE_NOT_SOURCED)
def test_no_script_runs_the_env_file_of_docker_compose(sourced_files: SourcedFiles) -> None:
    assert_held(env.judge_sourcing(sourced_files))


@check(env.FILE_QUOTING)
def test_what_scripts_write_into_env_files_is_the_same_to_every_reader(quoting: Quoting) -> None:
    assert_held(env.judge_quoting(quoting))


@check(env.FILE_EXISTS)
def test_what_starts_the_stack_makes_its_env_files_first(starts: Starts) -> None:
    assert_held(env.judge_presence(starts))


@check(env.NO_DEFAULT_SECRET)
def test_no_secret_stands_in_a_compose_file_that_is_deployed(file_secrets: FileSecrets) -> None:
    assert_held(env.judge_secrets(file_secrets))


@check(env.REQUIRED_VAR_BLAST_RADIUS)
def test_what_must_have_a_value_is_needed_by_everybody(file_variables: FileVariables) -> None:
    assert_held(env.judge_blast_radius(file_variables))


@check(env.PRESERVE_OPERATOR_EDITS)
def test_no_script_writes_over_the_env_file_that_an_operator_edits(rewrites: Rewrites) -> None:
    assert_held(env.judge_rewrites(rewrites))


@check(env.PASSTHROUGH)
def test_a_setting_reaches_the_service_that_reads_it(passthrough: Passthrough) -> None:
    assert_held(env.judge_passthrough(passthrough))
