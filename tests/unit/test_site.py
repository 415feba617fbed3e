"""What keeps state beside what the site declares, and what of the site file nobody has confirmed."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config.load import load_site
from interlock.errors import CouldNotLook
from interlock.facts.engine import Engine
from interlock.facts.mounts import MountTable
from interlock.facts.site import Declared, Keeper, Kind, StateFound, keepers_of_engine, keepers_of_stack, may_hold_state, mounted, volume_directories
from interlock.facts.stack import Stack
from interlock.gate.required import asked, required
from interlock.judge import catalogue
from interlock.judge.site import CONFIRMED, UNDECLARED, judge_confirmed, judge_undeclared
from interlock.observe import site as observed
from interlock.observe.git import tracked
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.testing.faults import write_site
from interlock.verdicts import Broken, Held, Subject, Unproven, When
from tests.strategies import file_texts

NOTHING = Declared(volumes=frozenset(), paths=(), containers=frozenset(), whole=frozenset(), databases=frozenset(), excluded=())


def declared(**words: Any) -> Declared:
    fields = {name: getattr(NOTHING, name) for name in NOTHING.__slots__} | words
    return Declared(**fields)


ROOT = "/tmp/checkout"


def keepers(services: Mapping[str, Any], volumes: Mapping[str, Any] | None = None, *, committed: frozenset[str] = frozenset()) -> dict[str, Keeper]:
    stack = Stack.of({"name": "shop", "services": services, "volumes": volumes or {}}, chain="default", files=("compose.yaml",))
    return {f"{one.kind.value} {one.shown}": one for one in keepers_of_stack(stack, root=ROOT, committed=committed)}


def volume(source: str, target: str = "/data", **more: Any) -> dict[str, Any]:
    return {"type": "volume", "source": source, "target": target, **more}


def bind(source: str, target: str = "/data", **more: Any) -> dict[str, Any]:
    return {"type": "bind", "source": source, "target": target, **more}


# ---- what keeps state in a stack


def test_named_volumes_writable_directories_and_engines_without_either_keep_state() -> None:
    found = keepers(
        {
            "app": {"image": "app", "volumes": [volume("uploads"), bind("/srv/receipts"), bind(f"{ROOT}/letters")]},
            "db": {"image": "postgres:17"},
            "cache": {"image": "redis:7", "volumes": [volume("cache")]},
        },
        {"uploads": {"name": "shop_uploads"}, "cache": {"name": "shop_cache"}, "unused": {"name": "shop_unused"}},
    )
    assert sorted(found) == ["container db (PostgreSQL)", "mount ./letters", "mount /srv/receipts", "volume cache", "volume uploads"]


@pytest.mark.parametrize(
    "mount",
    [
        volume("", "/scratch"),
        volume("cfg", read_only=True),
        {"type": "tmpfs", "target": "/data"},
        bind("/srv/config", read_only=True),
        bind("/var/run/docker.sock", "/var/run/docker.sock"),
        bind("/etc/localtime", "/etc/localtime"),
        bind("/proc", "/host/proc"),
        bind("/", "/rootfs"),
        bind("/lib/modules", "/lib/modules"),
        bind(f"{ROOT}/nginx.conf", "/etc/nginx/nginx.conf"),
        bind(f"{ROOT}/Caddyfile", "/etc/caddy/Caddyfile"),
        bind(f"{ROOT}/config", "/config"),
        bind("/srv/init", "/docker-entrypoint-initdb.d"),
    ],
    ids=lambda mount: f"{mount.get('source', '')}:{mount['target']}",
)
def test_what_keeps_no_state(mount: dict[str, Any]) -> None:
    assert keepers({"app": {"image": "app", "volumes": [mount]}}, {"cfg": {"name": "shop_cfg"}}, committed=frozenset({f"{ROOT}/config"})) == {}


@given(file_texts(), file_texts())
def test_whatever_a_directory_is_called_it_may_hold_state_or_not(source: str, target: str) -> None:
    assert may_hold_state(f"/{source}", f"/{target}") in (True, False)


def test_a_folder_with_a_dot_d_is_no_file() -> None:
    assert may_hold_state("/srv/conf.d", "/conf.d")


# ---- what covers it

UPLOADS = Keeper(kind=Kind.VOLUME, shown="uploads", names=("uploads", "shop_uploads"), users=(("app", "shop-app-1"),))
RECEIPTS = Keeper(kind=Kind.MOUNT, shown="/srv/receipts", names=("/srv/receipts",), users=(("app",),))
LETTERS = Keeper(kind=Kind.MOUNT, shown="./letters", names=(f"{ROOT}/letters",), suffix="letters")
DISK = Keeper(kind=Kind.MOUNT, shown="/mnt/disk (/dev/sdb1, ext4)", names=("/mnt/disk",), disk=True)
LEDGER = Keeper(kind=Kind.CONTAINER, shown="db (PostgreSQL)", names=("db", "shop-db-1"))
FORGOTTEN = Keeper(kind=Kind.DATABASE, shown="forgotten", names=("forgotten",))


@pytest.mark.parametrize(
    ("keeper", "words"),
    [
        (UPLOADS, {"volumes": frozenset({"uploads"})}),
        (UPLOADS, {"volumes": frozenset({"shop_uploads"})}),
        (UPLOADS, {"volumes": frozenset({"production_uploads"})}),
        (UPLOADS, {"paths": ("/var/lib/docker/volumes/shop_uploads/_data",)}),
        (UPLOADS, {"excluded": ((Kind.VOLUME, "*_uploads"),)}),
        (UPLOADS, {"excluded": ((Kind.CONTAINER, "app"),)}),
        (UPLOADS, {"whole": frozenset({"app"}), "containers": frozenset({"app"})}),
        (RECEIPTS, {"paths": ("/srv",)}),
        (RECEIPTS, {"excluded": ((Kind.MOUNT, "/srv"),)}),
        (LETTERS, {"paths": ("/opt/shop/letters",), "instances": ("/opt/shop",)}),
        (LETTERS, {"paths": ("/opt/shop",), "instances": ("/opt/shop",)}),
        (LETTERS, {"paths": ("/anywhere/letters",)}),
        (DISK, {"paths": ("/mnt/disk/state",)}),
        (DISK, {"places": ("/mnt/disk",)}),
        (DISK, {"instances": ("/mnt/disk/shop",)}),
        (LEDGER, {"containers": frozenset({"shop-db-1"})}),
        (LEDGER, {"excluded": ((Kind.CONTAINER, "*-db-*"),)}),
        (FORGOTTEN, {"databases": frozenset({"forgotten"})}),
        (FORGOTTEN, {"excluded": ((Kind.DATABASE, "forg*"),)}),
        (Keeper(kind=Kind.VOLUME, shown="v", names=("v",), bound=RECEIPTS), {"paths": ("/srv/receipts",)}),
    ],
)
def test_what_covers_it(keeper: Keeper, words: dict[str, Any]) -> None:
    assert declared(**words).covers(keeper)


@pytest.mark.parametrize(
    ("keeper", "words"),
    [
        (UPLOADS, {}),
        (UPLOADS, {"volumes": frozenset({"uploads2", "myuploads"})}),
        (UPLOADS, {"containers": frozenset({"app"})}),
        (UPLOADS, {"excluded": ((Kind.MOUNT, "/"), (Kind.CONTAINER, "web"))}),
        (RECEIPTS, {"paths": ("/srv/receipts/2026",)}),
        (RECEIPTS, {"places": ("/srv/receipts",)}),
        (RECEIPTS, {"excluded": ((Kind.MOUNT, "/srv/receipts/2026"),)}),
        (LETTERS, {"paths": ("/opt/other/letters",), "instances": ("/opt/shop",)}),
        (DISK, {"paths": ("/mnt/disk2",)}),
        (LEDGER, {"volumes": frozenset({"db"})}),
        (FORGOTTEN, {"databases": frozenset({"postgres"})}),
        (Keeper(kind=Kind.VOLUME, shown="v", names=("v",), users=(("app",), ("web",))), {"excluded": ((Kind.CONTAINER, "app"),)}),
    ],
)
def test_what_does_not_cover_it(keeper: Keeper, words: dict[str, Any]) -> None:
    assert not declared(**words).covers(keeper)


def judged(*found: Keeper, unseen: dict[str, str] | None = None, **words: Any) -> Held | Broken | Unproven:
    return judge_undeclared(StateFound(where="db1", keepers=found, declared=declared(**words), unseen=unseen or {}))


def test_what_is_undeclared_is_named_with_who_uses_it_and_its_place() -> None:
    verdict = judged(UPLOADS, RECEIPTS, paths=("/srv",))
    assert isinstance(verdict, Broken)
    assert "volume uploads" in verdict.message
    assert [(detail.what, detail.kind) for detail in verdict.details if detail.kind] == [("volume uploads", "undeclared-volume")]
    assert "used by app" in verdict.details[0].message


def test_a_part_that_could_not_be_seen_is_unproven_and_hides_nothing() -> None:
    assert isinstance(judged(RECEIPTS, paths=("/srv",), unseen={"containers": "no permission"}), Unproven)
    assert isinstance(judged(RECEIPTS, unseen={"containers": "no permission"}), Broken)


def test_a_directory_that_a_variable_without_a_value_names_is_unproven() -> None:
    unknown = Keeper(kind=Kind.MOUNT, shown="/interlock-placeholder/db", names=("/interlock-placeholder/db",), users=(("db",),), assumed=("DATA",))
    verdict = judged(unknown)
    assert isinstance(verdict, Unproven)
    assert "DATA has no value here" in verdict.message
    assert isinstance(judged(unknown, whole=frozenset({"db"})), Held)


def test_directories_that_variables_without_a_value_name_are_told_from_those_that_the_files_name(component: Callable[[str], None], tmp_path: Path) -> None:
    component("compose")
    (tmp_path / "compose.yaml").write_text(
        "services:\n  app:\n    image: app\n    volumes:\n"
        "      - ${DATA}/db:/db\n      - ${WHOLE}:/whole\n      - ${GIVEN}/x:/x\n      - ${LOGS:-/srv/logs}:/logs\n      - ./letters:/letters\n"
    )
    (tmp_path / ".env").write_text("GIVEN=/srv/given\n")
    write_site(tmp_path, {"compose": {"files": ["compose.yaml"]}})
    found = observed.state_found(world(tmp_path), Subject(name="chain:default"))
    assert {one.shown: one.assumed for one in found.keepers} == {
        "/interlock-placeholder/db": ("DATA",),
        "/interlock-placeholder": ("WHOLE",),
        "/srv/given/x": (),
        "/srv/logs": (),
        "./letters": (),
    }


# ---- a host

MOUNTINFO = b"""\
20 1 8:1 / / rw - ext4 /dev/sda1 rw
21 20 8:2 / /boot/efi rw - vfat /dev/sda2 rw
22 20 0:5 / /proc rw - proc proc rw
23 20 0:6 / /tmp rw - tmpfs tmpfs rw
24 20 7:1 / /snap/core/1 ro - squashfs /dev/loop1 ro
25 20 0:7 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw
26 20 8:17 / /mnt/disk rw - ext4 /dev/sdb1 rw
27 20 8:1 /srv/a /mnt/view rw - ext4 /dev/sda1 rw
28 20 0:8 / /mnt/nas rw - nfs4 nas:/export rw
29 20 0:9 /@home /home rw - btrfs /dev/sdc rw
30 20 0:10 / /run/user/0/doc rw - fuse.portal portal rw
31 20 0:11 / /mnt/remote rw - fuse.sshfs user@host:/x rw
32 20 0:12 / /tank rw - zfs tank rw
33 20 7:2 / /mnt/image rw - ext4 /dev/loop2 rw
"""


def test_disks_and_network_mounts_of_a_host_keep_state_and_what_the_system_needs_does_not() -> None:
    found = [one.names[0] for one in mounted(MountTable.parse(MOUNTINFO, where="mountinfo"))]
    assert found == ["/mnt/disk", "/mnt/nas", "/home", "/mnt/remote", "/tank", "/mnt/image"]


def container(name: str, image: str, *mounts: dict[str, Any]) -> dict[str, Any]:
    every = [{"Type": "volume", "Name": "", "Source": "", "Destination": "/x", "RW": True, "Propagation": "", "Recursive": True, **mount} for mount in mounts]
    return {
        "Id": name,
        "Name": f"/{name}",
        "Image": "sha256:0",
        "RestartCount": 0,
        "View": None,
        "Unseen": "",
        "State": {"Status": "running", "Pid": 1, "StartedAt": "2026-11-20T00:00:00Z", "Health": "none"},
        "Config": {"Image": image, "User": "", "Labels": {"com.docker.compose.service": name.split("-")[-2]}, "Environment": {}, "Variables": []},
        "HostConfig": {"NetworkMode": "bridge", "PortBindings": {}},
        "NetworkSettings": {"Ports": {}},
        "Mounts": every,
    }


def test_volumes_directories_and_bare_databases_of_an_engine_keep_state() -> None:
    volumes = [{"Name": name, "Driver": "local", "Options": {}, "Mountpoint": f"/v/{name}", "Labels": {}} for name in ("shop_uploads", "ab" * 32)]
    containers = [
        container("shop-app-1", "app", {"Name": "shop_uploads"}, {"Type": "bind", "Source": "/srv/receipts"}, {"Type": "bind", "Source": "/etc/x"}),
        container("shop-db-1", "postgres:17", {"Name": "ab" * 32}),
    ]
    engine = Engine.parse(
        json.dumps({"version": {"Version": "27", "Product": "docker", "Kernel": "6.1"}, "containers": containers, "volumes": volumes}).encode(),
        where="docker.sock",
    )
    found = list(keepers_of_engine(engine))
    assert [(one.kind, one.names[0]) for one in found] == [(Kind.VOLUME, "shop_uploads"), (Kind.MOUNT, "/srv/receipts"), (Kind.CONTAINER, "shop-db-1")]
    assert found[0].users == (("shop-app-1", "app"),)


def test_a_volume_that_binds_a_declared_disk_is_declared_with_it() -> None:
    """The engine mounts the disk a second time, at the volume's directory: no second disk, and no state of its own."""
    table = MountTable.parse(MOUNTINFO + b"34 20 8:17 / /srv/docker/volumes/shop_data/_data rw - ext4 /dev/sdb1 rw\n", where="mountinfo")
    options = {"type": "none", "o": "rbind,rslave", "device": "/mnt/disk/"}
    volume = {"Name": "shop_data", "Driver": "local", "Options": options, "Mountpoint": "/srv/docker/volumes/shop_data/_data", "Labels": {}}
    said = {"version": {"Version": "27", "Product": "docker", "Kernel": "6.1"}, "containers": [], "volumes": [volume]}
    disk = next(one for one in mounted(table) if one.names[0] == "/mnt/disk")
    (bound,) = keepers_of_engine(Engine.parse(json.dumps(said).encode(), where="docker.sock"))
    assert disk.names == ("/mnt/disk", "/srv/docker/volumes/shop_data/_data")
    nothing = frozenset[str]()
    for path, covered in (("/mnt/disk", True), ("/mnt/other", False)):
        declared = Declared(volumes=nothing, paths=(path,), containers=nothing, whole=nothing, databases=nothing, excluded=())
        assert [declared.covers(one) for one in (disk, bound)] == [covered, covered]


def test_directories_of_anonymous_volumes_keep_no_state() -> None:
    assert [one.shown for one in volume_directories(iter(["shop_b", "ab" * 32, "shop_a"]))] == ["shop_a", "shop_b"]


# ---- through the observer


def world(folder: Path) -> World:
    site = load_site(folder / "interlock.yaml", os.environ)
    return World(site=site, gates=frozenset({When.STATIC}), tree=Tree(folder), hosts={}, environ=os.environ)


def test_a_tree_without_a_site_file_has_nothing_to_declare(tmp_path: Path) -> None:
    from interlock.config.models import Compose, Site

    site = Site(interlock=1, site="x", compose=Compose(files=("compose.yaml",)))
    assert not UNDECLARED.subjects(site)
    assert not CONFIRMED.subjects(site)


def test_what_git_keeps_is_configuration_and_a_folder_that_is_only_kept_there_is_not(tmp_path: Path) -> None:
    for name in ("config/app", "data/.gitkeep", "later/db"):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_text("x")
    assert tracked(tmp_path) is None
    subprocess.run(("git", "init", "-q", str(tmp_path)), check=True)
    subprocess.run(("git", "-C", str(tmp_path), "add", "config", "data"), check=True)
    write_site(tmp_path, {})
    kept = observed._committed(world(tmp_path))
    assert {str(tmp_path / "config"), str(tmp_path / "config/app")} <= kept
    assert not {str(tmp_path / "data"), str(tmp_path / "later")} & kept


def test_folders_of_a_checkout_that_git_does_not_tell_of_are_unproven(component: Callable[[str], None], tmp_path: Path) -> None:
    component("compose")
    (tmp_path / "compose.yaml").write_text("services:\n  app:\n    image: app\n    volumes: ['./config:/config', 'uploads:/uploads']\nvolumes: {uploads: {}}\n")
    (tmp_path / ".git").mkdir()  # what is in it is no repository: git refuses it, as it does one of another user
    write_site(tmp_path, {"compose": {"files": ["compose.yaml"]}, "excluded": [{"volume": "uploads", "reason": "none of it"}]})
    verdict = judge_undeclared(observed.state_found(world(tmp_path), Subject(name="chain:default")))
    assert isinstance(verdict, Unproven)
    assert "git does not say" in verdict.message


def test_names_that_are_no_text_are_tracked_as_the_tree_lists_them(tmp_path: Path) -> None:
    os.mkdir(os.fsencode(tmp_path) + b"/caf\xe9")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9/menu")).touch()
    subprocess.run(("git", "init", "-q", str(tmp_path)), check=True)
    subprocess.run(("git", "-C", str(tmp_path), "add", "."), check=True)
    assert tracked(tmp_path) == frozenset({"caf\udce9/menu"})


def test_every_noun_that_a_host_may_have_taught_is_found_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "interlock.yaml").write_text(
        "interlock: 1\nsite: x\n"
        "modules:\n  ledger:\n    class: A\n    backups: /b\n    owner: root\n    unconfirmed: true\n"
        "mounts:\n  state:\n    path: /s\n    device: LABEL=s\n"
        "exposure:\n  public:\n    - {port: 443, reason: web}\n    - port: 22\n      reason: admin\n      unconfirmed: true\n"
        "health:\n  app: {url: 'http://x/', unconfirmed: true, reads: {url: 'http://x/r'}}\n"
    )
    learned = observed.learned(world(tmp_path), Subject(name="site"))
    assert {one.key: one.line for one in learned.nouns if one.unconfirmed} == {"modules.ledger": 8, "exposure.public[22/tcp]": 18, "health.app": 20}
    assert {one.key for one in learned.nouns if not one.unconfirmed} == {"mounts.state", "exposure.public[443/tcp]"}
    verdict = judge_confirmed(learned)
    assert isinstance(verdict, Broken)
    assert verdict.message.startswith("nobody has confirmed modules.ledger, exposure.public[22/tcp], health.app")


def test_a_site_file_that_was_changed_meanwhile_proves_nothing(tmp_path: Path) -> None:
    write_site(tmp_path, {})
    before = world(tmp_path)
    (tmp_path / "interlock.yaml").write_text((tmp_path / "interlock.yaml").read_text() + "# later\n")
    with pytest.raises(CouldNotLook, match="changed while"):
        observed.learned(before, Subject(name="site"))


def test_a_site_that_learned_nothing_holds(tmp_path: Path) -> None:
    write_site(tmp_path, {})
    assert isinstance(judge_confirmed(observed.learned(world(tmp_path), Subject(name="site"))), Held)


@given(st.sampled_from(["mounts", "expect", "backups.mode_0600"]))
def test_an_action_with_a_narrow_gate_still_asks_whether_the_site_is_confirmed(gate: str) -> None:
    from interlock.config.models import Site

    action = {"steps": [{"command": {"run": ["true"]}}], "gate": [gate], "approval": "operator"}
    data = {"interlock": 1, "site": "x", "actions": {"release": action}, "expect": {"up": {"command": {"run": ["true"]}}}}
    site = Site.model_validate(data).placed(Path("/"), source="interlock.yaml")
    when = frozenset({When.PREFLIGHT})
    wanted = asked(site, catalogue(), when, "release")
    pairs = [str(one.pair) for one in required(site, wanted, when, "release") if one.shuts]
    assert "site.confirmed [site]" in pairs
    assert UNDECLARED not in wanted


def test_a_database_that_is_only_copied_is_asked_for_the_actions_that_move_it() -> None:
    from interlock.config.models import Site

    step = {"steps": [{"command": {"run": ["true"]}}], "approval": "operator"}
    databases = {name: {"dsn_env": name.upper()} for name in ("old", "new", "own")}
    site = Site.model_validate(
        {
            "interlock": 1,
            "site": "x",
            "databases": databases,
            "parity": {"move": {"source": "old", "target": "new"}},
            "actions": {"cutover": {**step, "moves": ["move"]}, "release": step},
        }
    ).placed(Path("/"), source="interlock.yaml")
    assert {one.name: one.actions for one in UNDECLARED.subjects(site)} == {
        "server:old": frozenset({"cutover"}),
        "server:new": frozenset({"cutover"}),
        "server:own": None,
    }
