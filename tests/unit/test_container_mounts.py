"""What containers show of the disks of their host, from mount tables alone: which paths lead there, and what is said of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.facts.container_mounts import (
    ChainOnHost,
    HostPlace,
    HostStack,
    Projects,
    SeenContainer,
    Shows,
    Spot,
    Stray,
    chains_started,
    engine_volume,
    project_name,
    sights,
    spot,
    with_chains,
)
from interlock.facts.engine import Container, ContainerMount, Engine, EngineVolume, Place, View
from interlock.facts.mount_tables import Mount, MountTable
from interlock.facts.mounts import DeclaredDisk, DeviceNames
from interlock.facts.stack import Service, ServiceMount, Stack, Volume
from interlock.judge.disk.live_volumes import judge_live_options, judge_live_propagation
from interlock.judge.disk.read_only import judge_read_only
from interlock.judge.disk.visible import judge_visible
from interlock.verdicts import Broken, Held, Judgement, Outcome, Unproven
from tests.unit.test_mount_truth import PATHS, STEPS, Step, after, is_told, table_of, text

CASES = 5_000 if os.environ.get("INTERLOCK_PROFILE") == "prove" else 150


def mount(number: int, parent: int, device: str, mountpoint: str, root: str = "/", **more: Any) -> Mount:
    """One line; the source is named after the device."""
    made = Mount(
        id=number,
        parent=parent,
        device_number=device,
        root=root,
        mountpoint=mountpoint,
        options=("rw",),
        propagation=(),
        fstype="ext4",
        source=f"/dev/{device}",
        super_options=("rw",),
    )
    return replace(made, **more)


ROOT = mount(1, 0, "8:1", "/")
DATA = mount(2, 1, "8:16", "/data")
STATE = mount(3, 2, "8:32", "/data/state")
HOST = MountTable((ROOT, DATA, STATE))
IMAGE = mount(10, 9, "0:99", "/", fstype="overlay", source="overlay")
IN_DATA = mount(11, 10, "8:16", "/data")
IN_STATE = mount(12, 11, "8:32", "/data/state")
NAMES = DeviceNames(numbers={f"/dev/{number}": number for number in ("8:1", "8:16", "8:32")}, links={"by-label/state": "/dev/8:32"})


def disk(holds: str, path: str, device: str, table: MountTable, names: DeviceNames = NAMES) -> DeclaredDisk:
    return DeclaredDisk(
        holds=holds,
        path=path,
        mountpoint=path,
        device=device,
        fstype=None,
        present=True,
        realpath=path,
        mountpoint_realpath=path,
        device_seen="",
        table=table,
        names=names,
    )


def places(table: MountTable = HOST, names: DeviceNames = NAMES, state: str = "/data/state") -> tuple[HostPlace, ...]:
    declared = (("state", state, "/dev/8:32"), ("data", "/data", "/dev/8:16"))
    return tuple(HostPlace.of(holds, path, path, table, disk(holds, path, device, table, names)) for holds, path, device in declared)


def bind(source: str, target: str, **more: Any) -> ServiceMount:
    return ServiceMount(kind="bind", source=source, target=target, propagation="rprivate", **more)


def volume(source: str, target: str, *, recursive: bool = False) -> ServiceMount:
    return ServiceMount(kind="volume", source=source, target=target, recursive="" if recursive else "disabled")


def service(*mounts: ServiceMount, name: str = "app") -> Service:
    return Service(name=name, image="x", environment={}, mounts=mounts, ports=(), container_name=f"shop-{name}-1")


def container(
    table: Sequence[Mount] | None, *mounts: ServiceMount, name: str = "app", state: str = "", shown: Mapping[str, Place] = MappingProxyType({}), **more: Any
) -> SeenContainer:
    view = View(mountinfo=b"", uid=0, gid=0, groups=(), capabilities=0, places=shown) if table is not None else None
    described = Container(
        id=name,
        name=f"shop-{name}-1",
        image="x",
        image_id="x",
        project="shop",
        service=name,
        state="running",
        health="",
        restarts=0,
        started_at="",
        environment={},
        variables=frozenset(),
        mounts=tuple(
            ContainerMount(kind=one.kind, name="", source=one.source, destination=one.target, read_only=one.read_only, propagation=one.propagation)
            for one in mounts
        ),
        ports=(),
        network_mode="none",
        labels={},
        view=view,
        unseen="" if table is not None else "EACCES: no",
    )
    seen = MountTable(tuple(table)) if table is not None else None
    made = SeenContainer(who=name, container=described, service=service(*mounts, name=name), table=seen, unseen=described.unseen, state=state)
    return replace(made, **more)


def host(*containers: SeenContainer, table: MountTable = HOST, volumes: Sequence[EngineVolume] = (), version: str = "20.10.24", **more: Any) -> HostStack:
    engine = Engine(version=version, containers=(), volumes=tuple(volumes), kernel="6.1.0")
    made = HostStack(host="local", engine=engine, places=places(table), table=table, containers=containers)
    return replace(made, **more)


def kinds(judgement: Judgement) -> dict[str, str]:
    """The kind of each broken or unproven detail, by what it is about."""
    assert isinstance(judgement, Held | Broken | Unproven)
    return {detail.what: detail.kind for detail in judgement.details if detail.outcome is not Outcome.HELD}


# ---- where a path leads


def test_a_place_knows_what_lies_under_it() -> None:
    state, data = places()
    assert (state.right, state.hidden) == (Spot("8:32", "/"), (Spot("8:16", "/state"), Spot("8:1", "/data/state")))
    assert (data.right, data.hidden) == (Spot("8:16", "/"), (Spot("8:1", "/data"),))


def test_a_directory_bound_to_itself_hides_nothing() -> None:
    itself = mount(3, 2, "8:16", "/data/state", root="/state")
    assert HostPlace.of("state", "/data/state", "/data/state", MountTable((ROOT, DATA, itself)), None).hidden == (Spot("8:1", "/data/state"),)


def test_a_removed_directory_is_no_other_one() -> None:
    assert spot(MountTable((IMAGE, mount(11, 10, "8:16", "/data", root="/state//deleted"))), "/data/x") == Spot("8:16", "/state//deleted/x")


def test_two_subvolumes_of_one_file_system_are_two_places() -> None:
    btrfs = {"fstype": "btrfs", "source": "/dev/8:16"}
    table = MountTable((ROOT, mount(2, 1, "0:40", "/data", root="/@data", **btrfs), mount(3, 2, "0:40", "/data/state", root="/@state", **btrfs)))
    state = HostPlace.of("state", "/data/state", "/data/state", table, None)
    seen = MountTable((IMAGE, mount(11, 10, "0:40", "/a", root="/@state", **btrfs), mount(12, 10, "0:40", "/b", root="/@data", **btrfs)))
    assert [(one.inside, one.shows) for one in sights(state, seen)] == [("/a", Shows.RIGHT), ("/b/state", Shows.HIDDEN)]


def test_of_two_directories_one_in_the_other_the_nearer_one_counts() -> None:
    current = MountTable((ROOT, DATA, mount(3, 2, "8:16", "/data/state", root="/state/current")))
    state = HostPlace.of("state", "/data/state", "/data/state", current, None)
    seen = MountTable((IMAGE, mount(11, 10, "8:16", "/a", root="/state/current/x"), mount(12, 10, "8:16", "/b", root="/state/old")))
    assert [(one.inside, one.shows) for one in sights(state, seen)] == [("/a", Shows.RIGHT), ("/b", Shows.HIDDEN)]


@settings(max_examples=CASES)
@given(STEPS, st.sampled_from(PATHS[:13]), st.booleans())
def test_no_path_inside_that_leads_to_a_place_or_under_it_is_missed(steps: list[Step], path: tuple[str, ...], later: bool) -> None:
    """The model walks every path of the container; the table alone must have found each one that shows the right directory, or a covered one."""
    kernel = after([*steps, ("start", 0, path[:1], (), later), ("mount", 0, path, (), True)])
    outside, *containers = kernel.processes
    table = table_of(kernel, outside)
    assert table is not None  # nobody takes its root away
    place = HostPlace.of("state", text(path), text(path), table, None)
    for process in containers:
        seen = table_of(kernel, process)
        if seen is None or not is_told(kernel, process, seen):
            continue
        known, found = {one.id for one in seen.mounts}, {one.inside: one.shows for one in sights(place, seen)}
        for inside in PATHS[:13]:
            shown, directory = kernel.walk(process, inside)
            at = Spot(shown.shows.device_number, text(directory))
            if shown.id in known and at == place.right:
                assert found[text(inside)] is Shows.RIGHT
            elif shown.id in known and at in place.hidden and not (place.right and at.is_within(place.right)):
                assert found[text(inside)] is Shows.HIDDEN


# ---- what a container sees


def test_a_recursive_bind_sees_both_disks() -> None:
    judged = judge_visible(host(container((IMAGE, IN_DATA, IN_STATE), bind("/data", "/data"), state="/data/state")))
    assert isinstance(judged, Held)
    assert judged.message == "1 of 1 services see the state disk, 1 of 1 services see the data disk"


def test_a_volume_that_leaves_out_what_is_mounted_below_hides_the_state_disk() -> None:
    judged = judge_visible(host(container((IMAGE, IN_DATA), volume("/data", "/data"))))
    assert isinstance(judged, Broken)
    assert kinds(judged) == {"app /data/state": "nested-hidden"}
    assert judged.message.startswith("0 of 1 services see the state disk, 1 of 1 services see the data disk: app sees at /data/state a directory of /dev/8:16")


@pytest.mark.parametrize("asked", [bind("/data", "/data"), volume("/data", "/data", recursive=True)])
def test_a_bind_from_before_the_mount_is_told_by_its_age(asked: ServiceMount) -> None:
    assert kinds(judge_visible(host(container((IMAGE, IN_DATA), asked)))) == {"app /data/state": "mounted-after"}


def test_a_volume_of_the_state_directory_from_before_the_mount_is_too() -> None:
    inside = mount(11, 10, "8:16", "/data/state", root="/state")
    assert kinds(judge_visible(host(container((IMAGE, inside), volume("/data/state", "/data/state"))))) == {"app /data/state": "mounted-after"}


@pytest.mark.parametrize("source", ["/data/state/certs", "/a-link-to-it"])
def test_a_part_of_the_covered_directory_is_hidden_too(source: str) -> None:
    certs = mount(11, 10, "8:16", "/certs", root="/state/certs")
    assert kinds(judge_visible(host(container((IMAGE, certs), bind(source, "/certs"))))) == {"app /certs": "mounted-after"}


def test_a_part_of_the_state_disk_is_right() -> None:
    certs = mount(11, 10, "8:32", "/certs", root="/certs")
    assert isinstance(judge_visible(host(container((IMAGE, certs), bind("/data/state/certs", "/certs")))), Held)


def test_a_file_that_was_replaced_since_is_on_the_same_disk() -> None:
    config = mount(11, 10, "8:32", "/config.yaml", root="/config.yaml//deleted")
    assert isinstance(judge_visible(host(container((IMAGE, config), bind("/data/state/config.yaml", "/config.yaml"), state=""))), Held)


@pytest.mark.parametrize("source", ["/data/state", "/a-link-to-it"])
def test_a_directory_that_was_removed_since_is_broken(source: str) -> None:
    table = MountTable((ROOT, DATA))
    gone = mount(11, 10, "8:16", "/state", root="/state//deleted")
    place = HostPlace.of("state", "/data/state", "/data/state", table, None)
    judged = judge_visible(host(container((IMAGE, gone), bind(source, "/state")), table=table, places=(place,)))
    assert kinds(judged) == {"app /state": "deleted"}


def test_so_is_one_whose_parent_was_removed() -> None:
    table = MountTable((ROOT,))
    place = HostPlace.of("state", "/data/state", "/data/state", table, None)
    gone = mount(11, 10, "8:1", "/mnt", root="/data//deleted")
    judged = judge_visible(host(container((IMAGE, gone), bind("/a-link-to-it", "/mnt")), table=table, places=(place,)))
    assert kinds(judged) == {"app /mnt/state": "deleted"}


@pytest.mark.parametrize("source", ["/data/state", "/data/cache"])
def test_a_disk_that_was_attached_anew_is_another_device(source: str) -> None:
    old = mount(11, 10, "8:48", "/inside", root="/cache")
    assert kinds(judge_visible(host(container((IMAGE, old), bind(source, "/inside"))))) == {"app /inside": "another-device"}


def test_what_the_service_mounts_over_it_itself_is_meant() -> None:
    scratch = mount(12, 11, "0:7", "/data/state", fstype="tmpfs", source="tmpfs")
    over = ServiceMount(kind="tmpfs", source="", target="/data/state")
    assert isinstance(judge_visible(host(container((IMAGE, IN_DATA, scratch), bind("/data", "/data"), over))), Held)


def test_but_not_where_the_state_should_be() -> None:
    scratch = mount(12, 11, "0:7", "/data/state", fstype="tmpfs", source="tmpfs")
    over = ServiceMount(kind="tmpfs", source="", target="/data/state")
    judged = judge_visible(host(container((IMAGE, IN_DATA, scratch), bind("/data", "/data"), over, state="/data/state")))
    assert kinds(judged) == {"app /data/state": "another-device"}


def test_state_on_no_mount_goes_with_the_container() -> None:
    assert kinds(judge_visible(host(container((IMAGE,), state="/data/state")))) == {"app /data/state": "in-the-image"}


@pytest.mark.parametrize("state", ["", "/host/data/state"])
def test_a_bind_of_the_whole_host_counts_only_for_one_that_uses_state(state: str) -> None:
    inside = (IMAGE, mount(11, 10, "8:1", "/host"), mount(12, 11, "8:16", "/host/data"))
    judged = judge_visible(host(container(inside, bind("/", "/host"), state=state)))
    assert kinds(judged) == ({"app /host/data/state": "mounted-after"} if state else {})


def test_what_a_monitor_of_the_whole_host_has_over_a_disk_is_its_own_affair() -> None:
    inside = (IMAGE, mount(11, 10, "8:1", "/host"), mount(12, 11, "0:7", "/host/data", fstype="tmpfs"))
    assert kinds(judge_visible(host(container(inside, bind("/", "/host"))))) == {}


def test_a_disk_that_the_host_has_mounted_twice_may_be_seen_as_the_host_sees_it() -> None:
    table = MountTable((ROOT, DATA, STATE, mount(4, 1, "8:16", "/snapshots")))
    inside = (IMAGE, mount(11, 10, "8:16", "/snapshots"))
    assert kinds(judge_visible(host(container(inside, bind("/snapshots", "/snapshots")), table=table))) == {}
    assert kinds(judge_visible(host(container(inside, bind("/data", "/snapshots")), table=table))) == {"app /snapshots/state": "mounted-after"}


def test_what_the_engine_itself_mounts_from_the_disk_is_no_use_of_it() -> None:
    hosts = mount(11, 10, "8:16", "/etc/hosts", root="/docker/containers/x/hosts")
    judged = judge_visible(host(container((IMAGE, hosts))))
    assert isinstance(judged, Held)
    assert judged.message == "no container of local shows the state disk and data disk, of 1 that run"


def test_a_disk_that_the_host_has_let_go_is_missed_in_a_container_that_has_it() -> None:
    unmounted = MountTable((ROOT, DATA))
    both = container((IMAGE, IN_DATA, IN_STATE), bind("/data", "/data"), state="/data/state")
    after_restart = container((IMAGE, IN_DATA), bind("/data", "/data"), name="worker")
    judged = judge_visible(host(both, after_restart, table=unmounted))
    assert kinds(judged) == {"app /data/state": "unmounted-behind", "worker /data/state": "another-device"}


def test_what_a_volume_keeps_mounted_for_the_engine_is_no_use_of_the_host() -> None:
    kept = mount(4, 1, "8:32", "/var/lib/docker/volumes/shop_data/_data/state")
    both = container((IMAGE, IN_DATA, IN_STATE), volume("/data", "/data", recursive=True))
    judged = judge_visible(host(both, table=MountTable((ROOT, DATA, kept)), volumes=(made("shop_data", type="none", o="rbind", device="/data"),)))
    assert kinds(judged) == {"app /data/state": "unmounted-behind"}


def test_a_disk_that_nobody_has_entered_yet_proves_nothing() -> None:
    waiting = MountTable((ROOT, DATA, replace(STATE, device_number="0:50", fstype="autofs", source="systemd-1")))
    unrelated = container((IMAGE,), bind("/srv", "/srv"), name="web")
    judged = judge_visible(host(container((IMAGE, IN_DATA), bind("/data", "/data"), state="/data/state"), unrelated, table=waiting))
    assert isinstance(judged, Unproven)
    assert kinds(judged) == {"app /data/state": "could-not-look"}


def test_a_host_in_a_chroot_tells_nothing_of_its_disks() -> None:
    judged = judge_visible(host(container((IMAGE, IN_DATA), bind("/data", "/data")), table=MountTable((mount(3, 8, "8:99", "/other"),))))
    assert kinds(judged) == {"app /data": "could-not-look", "app /data/state": "could-not-look"}


def test_swapped_disks_are_not_taken_for_unmounted_ones() -> None:
    swapped = MountTable((ROOT, mount(2, 1, "8:32", "/data"), mount(3, 2, "8:16", "/data/state")))
    inside = (IMAGE, mount(11, 10, "8:32", "/data"), mount(12, 11, "8:16", "/data/state"))
    judged = judge_visible(host(container(inside, bind("/data", "/data")), table=swapped))
    assert kinds(judged) == {"app /data/state": "another-device", "app /data": "another-device"}


@pytest.mark.parametrize(("fstype", "number", "held"), [("btrfs", "0:51", True), ("btrfs", "8:99", False), ("ext4", "0:51", False)])
def test_stat_and_table_must_agree_but_for_subvolumes(fstype: str, number: str, held: bool) -> None:
    inside = (IMAGE, replace(IN_STATE, parent=10, fstype=fstype))
    seen = container(inside, bind("/data/state", "/data/state"), shown={"/data/state": Place(True, device=number, leads="/data/state")})
    assert isinstance(judge_visible(host(seen)), Held if held else Unproven)


def test_a_container_that_nobody_could_look_into_is_unproven_where_it_has_to_do_with_the_disks() -> None:
    judged = judge_visible(host(container(None, bind("/data", "/data")), container(None, bind("/srv", "/srv"), name="web")))
    assert isinstance(judged, Unproven)
    assert kinds(judged) == {"app /data": "could-not-look", "app /data/state": "could-not-look"}
    assert "EACCES: no" in judged.message
    by_hand = "`sudo stat -L -c %d /data/state /proc/$(docker inspect -f '{{.State.Pid}}' shop-app-1)/root/data/state`"
    assert judged.remedy == f"set `become: sudo -n` for this host; or look yourself: {by_hand} prints one number twice where shop-app-1 sees the state disk"


def test_where_nothing_runs_and_nobody_says_what_would_nothing_is_proven() -> None:
    assert isinstance(judge_visible(host()), Unproven)


# ---- what would be started


def chain(*services: Service, declares: Sequence[Volume] = (), name: str = "flat", **more: Any) -> ChainOnHost:
    model = Stack(chain=name, files=("compose.yaml",), project="shop", services={one.name: one for one in services}, volumes={one.key: one for one in declares})
    made = ChainOnHost(chain=name, stack=model, services=services, volumes={}, unclear={})
    return replace(made, **more)


def test_a_chain_whose_volume_would_hide_the_disk_is_broken_before_it_is_started() -> None:
    worker = service(bind("/data", "/data"), name="worker")
    judged = judge_visible(host(chains=(chain(service(volume("/data", "/data")), worker),)))
    assert kinds(judged) == {"flat app /data/state": "would-hide"}
    assert isinstance(judged, Broken)
    assert judged.message.startswith("1 of 2 services would see the state disk, 2 of 2 services would see the data disk: app of the chain flat would see")


def test_a_part_of_a_volume_leaves_out_a_disk_mounted_between_the_two() -> None:
    """`volume: {subpath: state}` of a volume with `o: bind`: docker enters the directory below the disk."""
    part = replace(volume("/data/state", "/data/state"), subpath="state/")
    assert kinds(judge_visible(host(chains=(chain(service(part)),)))) == {"flat app /data/state": "would-hide"}
    hidden = mount(12, 10, "8:16", "/data/state", root="/state")
    assert kinds(judge_visible(host(container((IMAGE, hidden), part)))) == {"app /data/state": "nested-hidden"}
    whole = replace(volume("/data/state", "/data/state", recursive=True), subpath="state")
    assert isinstance(judge_visible(host(container((IMAGE, replace(IN_STATE, parent=10)), whole, state="/data/state"))), Held)


def test_a_volume_of_the_state_directory_itself_hides_nothing() -> None:
    assert isinstance(judge_visible(host(chains=(chain(service(volume("/data/state", "/data/state"))),))), Held)


def test_a_chain_that_binds_none_of_the_disks_is_told() -> None:
    judged = judge_visible(host(chains=(chain(service(bind("/srv", "/srv"))),)))
    assert isinstance(judged, Held)
    assert "no service of flat binds" in judged.message


def test_a_bind_of_an_unknown_directory_proves_nothing() -> None:
    judged = judge_visible(host(chains=(chain(service(bind("/interlock-placeholder/x", "/x"), bind("/data", "/data"))),)))
    assert isinstance(judged, Unproven)
    assert kinds(judged) == {"flat app /x": "no-value"}


def test_a_volume_of_an_unknown_project_proves_nothing() -> None:
    model = chain(service(volume("/data", "/data", recursive=True)), unclear={"data": ("one_data", "other_data")})
    as_written = replace(model.stack, services={"app": service(ServiceMount(kind="volume", source="data", target="/data"))})
    judged = judge_visible(host(chains=(replace(model, stack=as_written),)))
    assert isinstance(judged, Unproven)
    assert kinds(judged) == {"flat app /data": "ambiguous"}


# ---- read-only


READS = bind("/data", "/data", read_only=True)
RO = {"options": ("ro",)}


def test_a_disk_below_a_read_only_bind_must_be_read_only_too() -> None:
    written = container((IMAGE, replace(IN_DATA, **RO), IN_STATE), READS)
    assert kinds(judge_read_only(host(written))) == {"app /data/state": "writable-below"}
    assert isinstance(judge_read_only(host(container((IMAGE, replace(IN_DATA, **RO), replace(IN_STATE, **RO)), READS))), Held)


def test_a_read_only_mount_that_is_none_is_broken() -> None:
    assert kinds(judge_read_only(host(container((IMAGE, IN_DATA), READS)))) == {"app /data": "not-read-only"}


def test_what_a_service_mounts_there_to_write_to_is_meant() -> None:
    cache = mount(12, 11, "8:1", "/data/cache", root="/cache")
    over = bind("/cache", "/data/cache")
    assert isinstance(judge_read_only(host(container((IMAGE, replace(IN_DATA, **RO), cache), READS, over))), Held)


@pytest.mark.parametrize("more", [{"fstype": "proc"}, {"fstype": "mqueue"}, {"fstype": "overlay"}, {"source": "shm"}, {"super_options": ("ro",)}])
def test_what_kernel_and_engine_mount_for_themselves_does_not_count(more: dict[str, Any]) -> None:
    inner = mount(12, 11, "0:12", "/data/x", **more)
    assert isinstance(judge_read_only(host(container((IMAGE, replace(IN_DATA, **RO), inner), READS))), Held)


def test_of_the_whole_host_the_declared_disks_count() -> None:
    inside = (IMAGE, mount(11, 10, "8:1", "/host", **RO), mount(12, 11, "8:16", "/host/data"), mount(13, 11, "0:5", "/host/run", fstype="tmpfs"))
    assert kinds(judge_read_only(host(container(inside, bind("/", "/host", read_only=True))))) == {"app /host/data": "writable-below"}


@pytest.mark.parametrize(
    ("version", "compose", "kind"), [("20.10.24", "2.40.3", "would-be-writable"), ("26.1.5", "2.40.3", ""), ("26.1.5", "2.20.0", "would-be-writable")]
)
def test_what_would_be_started_depends_on_the_engine(version: str, compose: str, kind: str) -> None:
    judged = judge_read_only(host(chains=(chain(service(READS)),), version=version, compose=compose))
    assert kinds(judged) == ({"flat app /data": kind} if kind else {})


# ---- volumes and binds beside their chain


def made(name: str, **options: str) -> EngineVolume:
    return EngineVolume(name=name, driver="local", options=options, mountpoint=f"/var/lib/docker/volumes/{name}/_data", labels={})


def declared(key: str, **options: str) -> Volume:
    return Volume(key=key, name=f"shop_{key}", driver_opts=options)


BOUND = {"type": "none", "o": "rbind,rslave", "device": "/data"}


def test_a_volume_that_was_made_otherwise_is_named_with_its_paths_alone() -> None:
    there = made("shop_data", type="none", o="bind,password=x", device="/old")
    judged = judge_live_options(host(chains=(chain(declares=[declared("data", **BOUND)], volumes={"data": there}),), compose="2.26.1"))
    assert isinstance(judged, Broken)
    assert kinds(judged) == {"shop_data": "options-differ"}
    assert "device is /old, and should be /data; o; docker compose 2.26.1 keeps it as it is" in judged.message
    assert "password" not in judged.message


def test_a_labelled_volume_is_in_danger_of_a_yes() -> None:
    there = replace(made("shop_data"), labels={"com.docker.compose.config-hash": "x"})
    judged = judge_live_options(host(chains=(chain(declares=[declared("data", **BOUND)], volumes={"data": there}),), compose="2.40.3"))
    assert isinstance(judged, Broken)
    assert "with -y it deletes it with its data" in judged.message
    assert "never answer" in judged.remedy


def test_volumes_as_the_chain_has_them_hold_and_so_do_those_of_the_next_start() -> None:
    model = chain(
        declares=[declared("data", **BOUND), declared("cache"), Volume(key="x", name="x", external=True)], volumes={"data": made("shop_data", **BOUND)}
    )
    judged = judge_live_options(host(chains=(model,)))
    assert isinstance(judged, Held)
    assert [detail.what for detail in judged.details] == ["shop_cache", "shop_data"]


def test_two_chains_that_say_different_things_of_a_volume_prove_nothing() -> None:
    there = {"data": made("shop_data", **BOUND)}
    chains = (chain(declares=[declared("data", **BOUND)], volumes=there), chain(declares=[declared("data")], volumes=there, name="base"))
    judged = judge_live_options(host(chains=chains))
    assert isinstance(judged, Unproven)
    assert kinds(judged) == {"shop_data": "ambiguous"}


def test_a_container_of_unknown_files_proves_nothing() -> None:
    judged = judge_live_options(host(strays=(Stray("app", "app was started from other.yaml, and no chain of the site is made of them"),)))
    assert isinstance(judged, Unproven)
    assert kinds(judged) == {"app": "no-such-chain"}


def test_options_that_nobody_knows_prove_nothing() -> None:
    unknown = declared("data", **{**BOUND, "device": "/interlock-placeholder"})
    judged = judge_live_options(host(chains=(chain(declares=[unknown], volumes={"data": made("shop_data", **BOUND)}),)))
    assert kinds(judged) == {"shop_data": "no-value"}


SHARED = MountTable((ROOT, replace(DATA, propagation=("shared:2",)), STATE))


@pytest.mark.parametrize(
    ("options", "table", "kind"),
    [
        ("bind", HOST, "not-recursive"),
        ("bind", MountTable((ROOT, DATA)), ""),
        ("rbind", HOST, ""),
        ("rbind", SHARED, "unmounts-the-host"),
        ("rbind,rslave", SHARED, ""),
        ("rbind", MountTable((ROOT, replace(DATA, propagation=("shared:2",)))), ""),
    ],
)
def test_a_volume_that_binds_a_directory_is_judged_by_what_the_host_has_below(options: str, table: MountTable, kind: str) -> None:
    there = made("shop_data", type="none", o=options, device="/data")
    other = made("other_data", type="none", o="bind", device="/data")
    judged = judge_live_propagation(host(chains=(chain(declares=[declared("data")], volumes={"data": there}),), table=table, volumes=(there, other)))
    assert kinds(judged) == ({"shop_data": kind} if kind else {})


def test_a_volume_of_a_link_to_the_directory_is_judged_by_where_that_leads() -> None:
    there = made("shop_data", type="none", o="bind", device="/srv/link")
    stack = host(chains=(chain(declares=[declared("data")], volumes={"data": there}),), volumes=(there,))
    linked = replace(stack, engine=replace(stack.engine, links={"/srv/link": "/data"}))
    assert kinds(judge_live_propagation(linked)) == {"shop_data": "not-recursive"}


def test_a_volume_that_the_next_start_makes_is_judged_as_the_files_have_it() -> None:
    model = chain(declares=[declared("data", **{**BOUND, "o": "rbind"}), declared("other", **{**BOUND, "device": "/interlock-placeholder"})])
    plain = chain(declares=[declared("data")], name="base")
    assert kinds(judge_live_propagation(host(chains=(model, plain), table=SHARED))) == {"shop_data": "unmounts-the-host"}


@pytest.mark.parametrize(
    ("said", "asked", "fields", "kind"),
    [
        ("", "rprivate", (), ""),
        ("rslave", "rslave", ("master:3",), ""),
        ("rshared", "rshared", ("shared:3",), ""),
        ("rslave", "rprivate", (), "another-propagation"),
        ("", "rslave", ("master:3",), "another-propagation"),
        ("", "rprivate", ("shared:3",), "another-propagation"),
        ("rslave", "rslave", (), "another-propagation"),
    ],
)
def test_a_bind_passes_mounts_on_as_its_chain_says(said: str, asked: str, fields: tuple[str, ...], kind: str) -> None:
    runs = container((IMAGE, replace(IN_DATA, propagation=fields)), replace(bind("/data", "/data"), propagation=asked))
    model = chain(service(replace(bind("/data", "/data"), propagation=said)))
    assert kinds(judge_live_propagation(host(runs, chains=(model,), table=SHARED))) == ({"app /data": kind} if kind else {})


def test_a_slave_of_what_the_host_keeps_to_itself_is_private_and_right() -> None:
    """Without systemd, `/` is private: Docker asks for rslave where all of it is bound, and there is nothing to pass on."""
    runs = container((IMAGE, replace(IN_DATA, propagation=())), replace(bind("/data", "/data"), propagation="rslave"))
    assert isinstance(judge_live_propagation(host(runs)), Held)


def test_a_state_disk_that_is_an_overlay_is_not_taken_for_the_engines_own() -> None:
    overlay = replace(STATE, device_number="0:77", fstype="overlay", source="overlay")
    table = MountTable((ROOT, DATA, overlay))
    there = made("shop_data", type="none", o="bind", device="/data")
    model = chain(declares=[declared("data")], volumes={"data": there})
    places = (HostPlace.of("state", "/data/state", "/data/state", table, None),)
    stack = replace(host(chains=(model,), table=table, volumes=(there,)), places=places)
    assert kinds(judge_live_propagation(stack)) == {"shop_data": "not-recursive"}


def test_a_bind_of_which_chains_say_different_things_proves_nothing() -> None:
    runs = container((IMAGE, IN_DATA), bind("/data", "/data"))
    chains = [chain(service(replace(bind("/data", "/data"), propagation=said)), name=said) for said in ("rslave", "rprivate")]
    assert kinds(judge_live_propagation(host(runs, chains=tuple(chains)))) == {"app /data": "ambiguous"}


# ---- which chain, which project, which volume

CHAINS = {"flat": ("compose.yaml", "deploy/flat.yaml"), "nested": ("compose.yaml", "deploy/nested.yaml"), "base": ("compose.yaml",)}


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ("/srv/shop/compose.yaml,/srv/shop/deploy/flat.yaml", ("flat",)),
        ("/srv/shop/compose.yaml,/srv/shop/nested.yaml", ("nested",)),
        ("/srv/shop/compose.yaml", ("base",)),
        ("/srv/shop/compose.yaml,/srv/shop/compose.override.yaml", ()),
        ("/srv/shop/deploy/flat.yaml,/srv/shop/compose.yaml", ()),
        ("/srv/shop/my-compose.yaml", ()),
    ],
)
def test_a_container_was_started_from_the_chain_with_its_files_in_their_order(label: str, names: tuple[str, ...]) -> None:
    assert chains_started(label, CHAINS) == names


def test_chains_of_the_same_files_cannot_be_told_apart() -> None:
    assert chains_started("/srv/compose.yaml", {"a": ("compose.yaml",), "b": ("compose.yaml",)}) == ("a", "b")


def started(name: str, project: str, label: str) -> SeenContainer:
    one = container((IMAGE,), name=name)
    labels = {"com.docker.compose.project.config_files": label} if label else {}
    return replace(one, container=replace(one.container, id=name, project=project, labels=labels))


def test_a_container_of_the_same_project_from_other_files_is_told_and_one_of_another_project_is_not() -> None:
    ours = started("app", "shop", "/srv/compose.yaml,/srv/deploy/flat.yaml")
    late = started("worker", "shop", "/srv/compose.yaml,/srv/by-hand.yaml")
    other, plain = started("traefik", "proxy", "/srv/proxy/traefik.yaml"), started("job", "", "")
    told, strays = with_chains((ours, late, other, plain), CHAINS, ("flat",), lambda _: True)
    assert [one.chain for one in told] == ["flat", None, None, ""]
    assert [stray.who for stray in strays] == ["worker"]
    assert "compose.yaml, by-hand.yaml, and no chain of the site is made of them" in strays[0].why


def test_where_no_container_is_of_a_chain_those_that_have_to_do_with_the_disks_are_told() -> None:
    app, other = started("app", "shop", "/srv/docker-compose.yml"), started("traefik", "proxy", "/srv/proxy/traefik.yaml")
    _, strays = with_chains((app, other), CHAINS, ("flat",), lambda one: one.who == "app")
    assert [stray.who for stray in strays] == ["app"]


def test_of_two_chains_with_the_same_files_the_one_of_this_host_counts() -> None:
    app = started("app", "shop", "/srv/compose.yaml")
    same = {"staging": ("compose.yaml",), "live": ("compose.yaml",)}
    assert [one.chain for one in with_chains((app,), same, ("live",), lambda _: True)[0]] == ["live"]
    told, strays = with_chains((app,), same, ("live", "staging"), lambda _: True)
    assert [one.chain for one in told] == [None]
    assert strays[0].why.endswith("the chains staging, live are made of them")


def test_a_container_of_another_stack_with_the_same_service_is_compared_with_no_chain() -> None:
    runs = container((IMAGE, IN_DATA), bind("/data", "/data"))
    model = chain(service(replace(bind("/data", "/data"), propagation="rslave")))
    assert kinds(judge_live_propagation(host(replace(runs, chain=None), chains=(model,)))) == {}
    assert kinds(judge_live_propagation(host(replace(runs, chain="flat"), chains=(model,)))) == {"app /data": "another-propagation"}


@pytest.mark.parametrize(("directory", "name"), [("/srv/My Shop.v2", "myshopv2"), ("/srv/_shop-1/", "shop-1")])
def test_a_project_is_called_as_docker_compose_calls_it(directory: str, name: str) -> None:
    assert project_name(directory) == name


def test_a_volume_is_found_by_the_name_that_its_project_has_on_the_host() -> None:
    there = {"live_data": made("live_data"), "other_data": replace(made("other_data"), labels={"com.docker.compose.volume": "data"})}
    named, known = declared("data"), Projects(("live",), certain=True, others=frozenset({"other"}))
    assert engine_volume(named, "shop", known, there) == there["live_data"]
    assert engine_volume(named, "shop", known._replace(names=("shop",)), there) is None
    guessed = Projects(("shop",), certain=False, others=frozenset())
    assert engine_volume(named, "shop", guessed, there) == ("other_data",)
    labelled = {"com.docker.compose.volume": "data", "com.docker.compose.project": "other"}
    of_other = {"other_data": replace(made("other_data"), labels=labelled)}
    assert engine_volume(named, "shop", guessed._replace(others=frozenset({"other"})), of_other) is None
    assert engine_volume(replace(named, name="live_data"), "shop", guessed, there) == there["live_data"]
