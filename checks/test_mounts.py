"""Mount sanity: the disk is where the stack believes it is."""

from interlock.checking import assert_held, check
from interlock.facts.mounts import StateDisk
from interlock.judge import mounts


@check(mounts.STATE_DISK)
def test_the_state_directory_shows_the_declared_disk(state_disk: StateDisk) -> None:
    assert_held(mounts.judge_state_disk(state_disk))
