"""Owner, mode and reader of a file belong together."""

from interlock.checking import assert_held, check
from interlock.facts.live_permissions import RunningAccess
from interlock.facts.permissions import Ownership, Publishing
from interlock.facts.secret_writers import SecretWriters
from interlock.judge import permissions


@check(permissions.MODE_NEEDS_OWNER_MATCH)
def test_a_private_file_belongs_to_who_reads_it(publishing: Publishing | RunningAccess) -> None:
    assert_held(permissions.judge_mode_needs_owner_match(publishing))


@check(permissions.UID_MATCHES_STATE_DIR)
def test_a_containers_directory_belongs_to_its_user(ownership: Ownership | RunningAccess) -> None:
    assert_held(permissions.judge_uid_matches(ownership))


@check(permissions.RECURSIVE_CHOWN_SCOPE)
def test_no_recursive_change_reaches_into_an_engines_data(ownership: Ownership | RunningAccess) -> None:
    assert_held(permissions.judge_recursive_chown(ownership))


@check(permissions.STATE_SUBDIRS_PRECREATED)
def test_a_directory_is_made_before_the_engine_makes_it(ownership: Ownership | RunningAccess) -> None:
    assert_held(permissions.judge_precreated(ownership))


@check(permissions.SECRET_FILE_0600)
def test_who_writes_a_secret_writes_it_for_its_owner_alone(secret_writers: SecretWriters | RunningAccess) -> None:
    assert_held(permissions.judge_secret_files(secret_writers))
