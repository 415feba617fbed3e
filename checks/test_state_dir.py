"""One variable says where state lives, and everybody believes it."""

from interlock.checking import assert_held, check
from interlock.facts.state_dir import Copies, DeclaredSecret, HostAndStack, MountedCopies, Users, VariableSeen
from interlock.facts.state_inside import StateWriters
from interlock.facts.state_places import StatePlaces
from interlock.judge import state_dir


@check(state_dir.RESOLVES)
def test_the_variable_comes_to_the_declared_directory(variable_seen: VariableSeen) -> None:
    assert_held(state_dir.judge_resolves(variable_seen))


@check(state_dir.SERVICES_AGREE)
def test_every_service_has_state_at_the_same_path_on_a_mount(users: Users) -> None:
    assert_held(state_dir.judge_services(users))


@check(state_dir.HOST_AND_STACK_AGREE)
def test_the_scripts_of_the_host_and_the_services_use_the_same_directory(host_and_stack: HostAndStack) -> None:
    assert_held(state_dir.judge_host_and_stack(host_and_stack))


@check(state_dir.WRITABLE_BY_SERVICE)
def test_every_service_can_write_where_its_state_lives(state_writers: StateWriters) -> None:
    assert_held(state_dir.judge_writable(state_writers))


@check(state_dir.SECRETS_PRESENT)
def test_the_declared_secrets_are_there_whole_and_private(secrets: tuple[DeclaredSecret, ...]) -> None:
    assert_held(state_dir.judge_secrets(secrets))


@check(state_dir.PRECEDENCE)
def test_the_copy_in_the_state_directory_wins(copies: Copies | MountedCopies) -> None:
    assert_held(state_dir.judge_precedence(copies))


@check(state_dir.SINGLE_SOURCE)
def test_nobody_goes_past_the_variable(state_places: StatePlaces) -> None:
    assert_held(state_dir.judge_single_source(state_places))
