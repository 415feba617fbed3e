"""Mount sanity: the disk is where the stack believes it is, and takes what is written to it."""

from interlock.checking import assert_held, check
from interlock.facts.apply_paths import ApplyPaths
from interlock.facts.container_mounts import HostStack
from interlock.facts.declared_volumes import OptionsOfFile
from interlock.facts.hidden import HiddenBelow
from interlock.facts.mounts import ChainLayout, DeclaredDisk, HostLayout, WritablePlace
from interlock.facts.other_mounts import ExpectedMounts
from interlock.facts.reboot import DiskAtBoot
from interlock.facts.writers import StateOwners
from interlock.judge import apply_paths as ways
from interlock.judge import mounts
from interlock.judge.disk import declared, hidden, others, read_only, reboot, visible, writers
from interlock.judge.stack import volume_options


@check(mounts.STATE_DISK)
def test_the_state_directory_shows_the_declared_disk(declared_disk: DeclaredDisk) -> None:
    assert_held(declared.judge_disk(declared_disk))


@check(mounts.DATA_DISK)
def test_the_data_directory_shows_the_declared_disk(declared_disk: DeclaredDisk) -> None:
    assert_held(declared.judge_disk(declared_disk))


@check(mounts.LAYOUT)
def test_state_and_data_lie_to_each_other_as_declared(layout: ChainLayout | HostLayout) -> None:
    assert_held(mounts.judge_layout(layout))


@check(mounts.WRITABLE)
def test_what_will_be_written_to_can_be_written_to(writable_place: WritablePlace) -> None:
    assert_held(mounts.judge_writable(writable_place))


@check(mounts.DRIVER_OPTS_IMMUTABLE)
def test_volumes_are_led_nowhere_else_by_their_options(options_seen: OptionsOfFile | HostStack) -> None:
    assert_held(volume_options.judge_driver_opts(options_seen))


@check(mounts.PROPAGATION)
def test_no_volume_hides_what_is_mounted_below_its_directory(options_seen: OptionsOfFile | HostStack) -> None:
    assert_held(volume_options.judge_propagation(options_seen))


@check(mounts.NESTED_VISIBLE)
def test_every_container_sees_the_disks_of_its_host(host_stack: HostStack) -> None:
    assert_held(visible.judge_visible(host_stack))


@check(mounts.READ_ONLY_IS_READ_ONLY)
def test_what_is_mounted_read_only_is_read_only_below_too(host_stack: HostStack) -> None:
    assert_held(read_only.judge_read_only(host_stack))


@check(mounts.STATE_DISK_GATE)
def test_what_starts_the_stack_proves_first_that_the_disk_is_mounted(apply_paths: ApplyPaths) -> None:
    assert_held(ways.judge_state_disk_gate(apply_paths))


@check(mounts.OTHERS)
def test_the_other_mounts_of_the_site_are_there(other_mounts: ExpectedMounts) -> None:
    assert_held(others.judge_others(other_mounts))


@check(mounts.FSTAB)
def test_a_reboot_brings_the_disk_back_before_the_engine_starts(disk_at_boot: DiskAtBoot) -> None:
    assert_held(reboot.judge_fstab(disk_at_boot))


@check(mounts.SHADOWED_FILES)
def test_no_file_lies_hidden_below_a_mountpoint(hidden_below: HiddenBelow) -> None:
    assert_held(hidden.judge_hidden(hidden_below))


@check(mounts.TWO_WRITERS)
def test_the_state_belongs_to_those_who_write_it(state_owners: StateOwners) -> None:
    assert_held(writers.judge_writers(state_owners))
