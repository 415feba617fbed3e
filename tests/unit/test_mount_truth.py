"""Never a false green: a model of the kernel decides which device and directory a path really shows, and table and judgement agree with it."""

from __future__ import annotations

import itertools
import os

from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.facts.container_mounts import HostPlace, Shows, Spot, sight, spot
from interlock.facts.mounts import DeclaredDisk, DeviceNames, MountTable
from interlock.judge.disk.declared import judge_disk
from interlock.verdicts import Held
from tests.model.mount_model import Directory, Kernel, Mounted, Process

CASES = 25_000 if os.environ.get("INTERLOCK_PROFILE") == "prove" else 500
NAMES = ("a", "b c", "\\\n\udcff")
PATHS: tuple[Directory, ...] = tuple(itertools.chain.from_iterable(itertools.product(NAMES, repeat=depth) for depth in range(4)))
PLACES = st.sampled_from(PATHS[:13])  # of two names at most, so that they meet
KINDS = ("mount", "mount", "bind", "rbind", "move", "umount", "umount -l", "shared", "slave", "private", "start", "chroot")
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 3), PLACES, PLACES, st.booleans()), min_size=2, max_size=14)
Step = tuple[str, int, Directory, Directory, bool]


def after(steps: list[Step]) -> Kernel:
    """The kernel when all this has been done, each step by one of its processes."""
    kernel = Kernel.booted()
    for kind, number, one, two, other in steps:
        process = kernel.processes[number % len(kernel.processes)]
        match kind:
            case "mount":
                kernel.mount(process, one, in_memory=other)
            case "bind" | "rbind":
                kernel.bind(process, one, two, recursive=kind == "rbind")
            case "move":
                kernel.move(process, one, two)
            case "umount" | "umount -l":
                kernel.umount(process, one, lazy=kind == "umount -l")
            case "start":
                kernel.start(process, one, propagation="slave" if other else "private")
            case "chroot":
                kernel.chroot(process, one)
            case _:
                kernel.make(process, one, kind)
    return kernel


def table_of(kernel: Kernel, process: Process) -> MountTable | None:
    text = kernel.mountinfo(process)
    return MountTable.parse(text, where="model") if text else None


def text(path: Directory) -> str:
    return "/" + "/".join(path)


def is_told(kernel: Kernel, process: Process, table: MountTable) -> bool:
    """Not where something is mounted over the root of a chroot and nothing else in it: that looks like any root, and only stat can tell."""
    covered = process.directory != process.mount.root and (process.mount.id, process.directory) in kernel.over
    return not covered or sum(mount.parent == process.mount.id for mount in table.mounts) > 1


@settings(max_examples=CASES)
@given(STEPS)
def test_a_path_shows_the_mount_and_the_directory_that_the_kernel_walks_to(steps: list[Step]) -> None:
    kernel = after(steps)
    for process in kernel.processes:
        table = table_of(kernel, process)
        if table is None or not is_told(kernel, process, table):
            continue
        known = {mount.id for mount in table.mounts}
        for path in PATHS[:13] if len(steps) % 4 else PATHS:
            mount, directory = kernel.walk(process, path)
            shown = table.showing(text(path))
            assert (shown.id if shown else None) == (mount.id if mount.id in known else None)
            assert spot(table, text(path)) == (Spot(mount.shows.device_number, text(directory)) if shown else None)


def hides_its_own(mount: Mounted, mountpoint: Directory) -> bool:
    """Whether another directory of the same disk, or another memory, lies under a mount at the same place."""
    top = mount
    while mountpoint and mount.parent is not None and mount.at == mount.parent.root:
        mount = mount.parent
        if (mount.shows == top.shows and mount.root != top.root) or (mount.shows != top.shows and mount.shows.fstype == top.shows.fstype == "tmpfs"):
            return True
    return False


@settings(max_examples=CASES)
@given(STEPS, PLACES, PLACES, st.integers(0, 3), st.integers(0, 40))
def test_a_disk_is_held_where_the_kernel_shows_it_and_nowhere_else(steps: list[Step], mountpoint: Directory, path: Directory, one: int, declared: int) -> None:
    """stat is made to vouch for the declared disk, so that the table alone decides."""
    kernel = after(steps)
    process = kernel.processes[one % len(kernel.processes)]
    table = table_of(kernel, process)
    if table is None or not is_told(kernel, process, table):
        return
    path = path if path[: len(mountpoint)] == mountpoint else mountpoint
    mount, _ = kernel.walk(process, path)
    wanted = mount.shows if declared % 2 else kernel.mounts[declared % len(kernel.mounts)].shows
    disks = {each.shows.source: each.shows.device_number for each in kernel.mounts if each.shows.fstype == "ext4"}
    disk = DeclaredDisk(
        holds="state",
        path=text(path),
        mountpoint=text(mountpoint),
        device=wanted.source,
        fstype=None,
        present=True,
        realpath=text(path),
        mountpoint_realpath=text(mountpoint),
        device_seen=wanted.device_number,
        table=table,
        names=DeviceNames(numbers=disks, links={}),
    )
    right = mount.shows == wanted and kernel.path(process, mount) == mountpoint and mount in kernel.mounts and not hides_its_own(mount, mountpoint)
    assert isinstance(judge_disk(disk), Held) is right


@settings(max_examples=CASES)
@given(STEPS, PLACES, PLACES)
def test_a_container_has_the_directory_of_the_host_where_the_kernel_shows_it_there(steps: list[Step], path: Directory, inside: Directory) -> None:
    """Or a directory below it, which a container may be given alone; a covered one never."""
    kernel = after([*steps, ("start", 0, path[:1], (), len(steps) % 2 == 0)])
    host, *containers = kernel.processes
    table = table_of(kernel, host)
    assert table is not None  # nobody takes its root away
    mount, directory = kernel.walk(host, path)
    place = HostPlace.of("state", text(path), text(path), table, None)
    for container in containers:
        seen = table_of(kernel, container)
        if seen is None or not is_told(kernel, container, seen):
            continue
        shown, at = kernel.walk(container, inside)
        found = sight(place, seen, text(inside))
        same = shown.shows == mount.shows and at[: len(directory)] == directory
        assert found is None or found.shows is not Shows.RIGHT or same
        if shown.id in {one.id for one in seen.mounts} and (shown.shows, at) == (mount.shows, directory):
            assert found is not None
            assert found.shows is Shows.RIGHT
