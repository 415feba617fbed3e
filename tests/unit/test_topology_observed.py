"""What is drawn of a site: its hosts as a run has seen them, and nothing that it has not looked at."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from interlock.cli import main
from interlock.config.models import Site
from interlock.errors import CouldNotLook
from interlock.facts.looks import (
    Answer,
    FailedLook,
    HostFacts,
    Look,
    Mounts,
    MountsAnswer,
    Shadow,
    Shadows,
    ShadowsAnswer,
    Space,
    SpaceAnswer,
    Stat,
    StatAnswer,
)
from interlock.facts.topology import HostTopology, Presence
from interlock.observe.topology import topology
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import When
from tests.evidence_samples import DISKS as DISKS_RUN
from tests.evidence_samples import publish
from tests.topology_samples import BACKUPS, DATA, NAMES, NESTED_STATE, ROOT

DISKS = {"state": {"path": "/data/state", "device": "LABEL=state"}, "data": {"path": "/data", "device": "LABEL=data"}}
TABLE = MountsAnswer(mountinfo="\n".join((ROOT, DATA, NESTED_STATE, BACKUPS)).encode(), devices=NAMES.numbers, links=NAMES.links)


def seen(answers: Mapping[Look, Answer]) -> HostFacts:
    return HostFacts(host="local", taken_at="2026-11-20T21:00:00Z", user="root", answers=answers, walks=lambda _root: iter(()))


def world(root: Path, found: HostFacts | CouldNotLook | None, **site: object) -> World:
    declared = Site.model_validate({"interlock": 1, "site": "shop", "mounts": DISKS, **site})
    hosts = {"local": found} if found is not None else {}
    return World(site=declared, gates=frozenset({When.PREFLIGHT}), tree=Tree(root), hosts=hosts, environ=os.environ)


def drawn(root: Path, found: HostFacts | CouldNotLook, **site: object) -> HostTopology:
    made = topology(world(root, found, **site))
    assert made is not None
    (host,) = made.hosts
    return host


def test_a_site_without_disks_and_a_run_that_did_not_look_have_no_picture(tmp_path: Path) -> None:
    assert topology(world(tmp_path, seen({Mounts(): TABLE}), mounts=None)) is None
    assert topology(world(tmp_path, seen({}))) is None
    assert topology(world(tmp_path, None)) is None


def test_declared_disks_others_and_backups_are_drawn_with_their_room(tmp_path: Path) -> None:
    space = SpaceAnswer(bytes_free=7, bytes_total=9, inodes_free=1, inodes_total=1, read_only=False)
    module = {"app": {"class": "E", "paths": ["/data/app"], "backups": "/backups/app", "owner": "root"}}
    others = {"mounts": {**DISKS, "others": {"every": {"each_below": "/"}}}}
    host = drawn(tmp_path, seen({Mounts(): TABLE, Space("/data/state"): space}), modules=module, **others)
    assert [(mount.mountpoint, mount.holds) for mount in host.mounts] == [
        ("/", ("every",)),
        ("/data", ("data", "every")),
        ("/data/state", ("state",)),
        ("/backups", ("every", "app-backups")),
    ]
    assert [disk.bytes_free for disk in host.disks if disk.declared == "LABEL=state"] == [7]
    assert host.engine == "no engine is declared"


def test_a_link_is_drawn_where_it_leads(tmp_path: Path) -> None:
    linked = StatAnswer(present=True, realpath="/data/state", device="8:17")
    disks = {"state": {"path": "/srv/state", "device": "LABEL=state"}}
    host = drawn(tmp_path, seen({Mounts(): TABLE, Stat("/srv/state"): linked}), mounts=disks)
    assert [(mount.mountpoint, mount.presence) for mount in host.mounts] == [("/data/state", Presence.MOUNTED)]


def test_what_lies_under_a_mount_is_counted(tmp_path: Path) -> None:
    shadows = ShadowsAnswer(shadows=(Shadow("/data/state", "/data", entries=3), Shadow("/data", "/", error="EPERM: no")))
    host = drawn(tmp_path, seen({Mounts(): TABLE, Shadows(("/data",)): shadows}))
    assert [mount.hidden for mount in host.mounts] == [None, 3]


def test_a_host_that_could_not_be_reached_is_drawn_as_declared(tmp_path: Path) -> None:
    host = drawn(tmp_path, CouldNotLook("db1 could not be reached", where="db1"))
    assert "could not be reached" in host.unseen
    assert [mount.mountpoint for mount in host.mounts] == ["/data", "/data/state"]


def test_a_mount_table_that_failed_or_is_none_leaves_the_host_unseen(tmp_path: Path) -> None:
    for answer in (FailedLook("EACCES", "Permission denied"), MountsAnswer(mountinfo=b"\xff\n", devices={}, links={})):
        assert drawn(tmp_path, seen({Mounts(): answer})).unseen


def test_an_engine_that_was_not_asked_or_did_not_answer_is_said(tmp_path: Path) -> None:
    host = drawn(tmp_path, seen({Mounts(): TABLE}), hosts={"local": {"engine": "/run/docker.sock"}})
    assert (host.engine, host.containers) == ("its engine was not asked", ())


def test_what_would_be_started_is_drawn_where_nothing_runs(tmp_path: Path, component: Callable[[str], None]) -> None:
    component("compose")
    (tmp_path / "compose.yaml").write_text("services: {app: {image: x, volumes: ['/data:/data']}, proxy: {image: x}}\n")
    host = drawn(tmp_path, seen({Mounts(): TABLE}), compose={"files": ["compose.yaml"], "chains": {"base": {"files": ["compose.yaml"]}}})
    assert [(box.name, box.state, [inner.path for inner in box.paths]) for box in host.containers] == [("app", "not started", ["/data", "/data/state"])]
    assert host.engine == "no engine is declared; drawn as the chain base would be started"


def test_facts_that_are_told_to_write_nothing_and_a_picture_of_no_disks_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "interlock.yaml"
    site.write_text("interlock: 1\nsite: shop\n")
    assert main(["facts", "--site", str(site)]) == 64
    assert "name a file with --output FILE, --picture FILE.svg, or both" in capsys.readouterr().err
    assert main(["facts", "--site", str(site), "--picture", str(tmp_path / "x.svg")]) == 64
    assert "the site declares no disks" in capsys.readouterr().err
    assert not (tmp_path / "x.svg").exists()


def test_facts_and_their_picture_are_written_by_one_look(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "interlock.yaml"
    site.write_text(f"interlock: 1\nsite: shop\nmounts: {{state: {{path: {tmp_path}, mountpoint: /, device: LABEL=no-such-label}}}}\n")
    picture = tmp_path / "disks.svg"
    assert main(["facts", "--site", str(site), "--picture", str(picture), "--output", str(tmp_path / "facts.json")]) == 0
    said = capsys.readouterr().err
    assert "facts.json: 1 host looked at" in said
    assert "mounts.state_disk" in said
    assert "this host has no such disk" in picture.read_text()
    assert picture.stat().st_mode & 0o777 == 0o600


def test_a_picture_that_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "interlock.yaml"
    site.write_text(f"interlock: 1\nsite: shop\nmounts: {{state: {{path: {tmp_path}, device: tmpfs}}}}\n")
    assert main(["facts", "--site", str(site), "--picture", str(tmp_path / "missing" / "x.svg")]) == 17
    assert "the output could not be written" in capsys.readouterr().err


def test_a_report_is_made_again_as_a_page_with_its_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = publish(tmp_path, DISKS_RUN)
    assert main(["report", str(run.path), "--format", "html"]) == 0
    assert capsys.readouterr().out == (run.path / "report.html").read_text()
