"""What a host says of its disks: learned where the files say nothing, contradicted where they say something else. The mount tables are those of real hosts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from interlock.discover import live
from interlock.discover.document import MISSING, From, Offer, plain
from interlock.discover.whole import Discovered, discover
from interlock.facts.looks import FolderAnswer, HostFacts
from interlock.facts.mounts import MountTable
from interlock.observe.tree import Tree

ROOT = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
DATA = b"30 22 8:16 / /data rw - ext4 /dev/sdb rw\n"
STATE = b"31 30 8:32 / /data/state rw - xfs /dev/sdc rw\n"
LINKS = {"by-label/state": "/dev/sdc", "by-uuid/0f-1": "/dev/sdb"}
NUMBERS = {"/dev/sda1": "8:1", "/dev/sdb": "8:16", "/dev/sdc": "8:32"}


def found(document: Mapping[str, Any]) -> Discovered:
    return Discovered(name="shop", document={"interlock": 1, "site": "shop", **document}, composes=(), chains=(), unlisted=())


def seen_by(monkeypatch: pytest.MonkeyPatch, table: bytes, document: Mapping[str, Any], tmp_path: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    seen = live._Seen(table=MountTable.parse(table, where="a test"), links=LINKS, numbers=NUMBERS)
    monkeypatch.setattr(live, "look_round", lambda *_arguments: seen)
    after, contradictions = live.with_host(found(document), tmp_path, {})
    return after.document, contradictions


STATE_DIR = {"state_dir": {"path": "/data/state"}, "mounts": Offer({"state": {"path": "/data/state", "device": MISSING}}, "which disk?")}


def test_a_disk_that_no_file_names_is_learned_unconfirmed(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    document, contradictions = seen_by(monkeypatch, ROOT + DATA + STATE, STATE_DIR, tmp_path)
    state = {"path": "/data/state", "device": "LABEL=state", "fstype": "xfs", "unconfirmed": True}
    data = {"path": "/data", "device": "UUID=0f-1", "fstype": "ext4", "unconfirmed": True}
    assert plain(document["mounts"]) == {"state": state, "data": data, "layout": "nested"}
    assert document["mounts"]["state"].value["device"].origin == "from this host: /dev/sdc (xfs) mounted at /data/state"
    assert contradictions == ()


def test_a_disk_without_a_label_is_named_by_its_uuid_and_its_mountpoint_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    document, _ = seen_by(monkeypatch, ROOT + DATA, STATE_DIR, tmp_path)
    assert plain(document["mounts"])["state"] | {"fstype": ""} == {
        "path": "/data/state", "mountpoint": "/data", "device": "UUID=0f-1", "fstype": "", "unconfirmed": True,
    }  # fmt: skip


def test_state_on_the_disk_of_the_system_is_no_disk_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    document, (said,) = seen_by(monkeypatch, ROOT, STATE_DIR, tmp_path)
    assert isinstance(document["mounts"], Offer)
    assert said == "/data/state shows /dev/sda1 (ext4) mounted at /: there is no disk of its own for state"


def test_backups_on_a_mount_of_their_own_are_a_question(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Nothing marks such a mount as unconfirmed, so it is not taken for the truth."""
    modules = {"modules": {"db": {"backups": "/mnt/backup/db"}, "app": {"backups": "/data/backups/app"}, "web": {"backups": "/var/backups/web"}}}
    table = ROOT + DATA + STATE + b"32 22 8:48 / /mnt/backup rw - ext4 /dev/sdd rw\n"
    document, _ = seen_by(monkeypatch, table, STATE_DIR | modules, tmp_path)
    offer = document["mounts"]["others"]
    assert isinstance(offer, Offer)
    assert offer == Offer(
        {"mnt-backup": {"path": "/mnt/backup", "device": "/dev/sdd", "fstype": "ext4"}},
        "backups lie on /mnt/backup, as this host shows: must a disk be mounted there?",
    )
    assert "others" not in plain(document["mounts"])


def declared(device: str) -> dict[str, Any]:
    return {"mounts": {"state": {"path": From("/data/state", "a.sh:1"), "device": From(device, "fstab:1")}}}


@pytest.mark.parametrize(
    ("table", "device", "said"),
    [
        (ROOT + DATA + STATE, "LABEL=state", None),
        (ROOT + DATA + STATE, "/dev/sdc", None),
        (ROOT + DATA, "LABEL=state", "/data/state shows /dev/sdb (ext4) mounted at /data; the files say that LABEL=state is mounted at /data/state"),
        (ROOT + DATA + STATE, "/dev/sdb", "/data/state shows /dev/sdc (xfs) mounted at /data/state; the files say /dev/sdb, which is /dev/sdb"),
        (
            ROOT + DATA + STATE,
            "LABEL=other",
            "/data/state shows /dev/sdc (xfs) mounted at /data/state; the files say LABEL=other, and this host has no such device",
        ),
    ],
)
def test_a_host_that_contradicts_the_files_is_told_of_and_not_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, table: bytes, device: str, said: str | None
) -> None:
    document, contradictions = seen_by(monkeypatch, table, declared(device), tmp_path)
    assert contradictions == ((said,) if said else ())
    assert plain(document["mounts"]) == plain(declared(device)["mounts"])


def test_a_family_that_is_learned_is_not_asked_for_any_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    tree = Tree(tmp_path, patient=True)
    (tmp_path / "a.sh").write_text('#!/bin/sh\nls "${STATE_DIR:-/data/state}"\n')
    before = discover(tree, (), root=tmp_path)
    assert "mounts" in before.document["not_used"].value
    seen = live._Seen(table=MountTable.parse(ROOT + DATA + STATE, where="a test"), links=LINKS, numbers=NUMBERS)
    monkeypatch.setattr(live, "look_round", lambda *_arguments: seen)
    after, _ = live.with_host(before, tmp_path, {})
    assert "mounts" not in after.document["not_used"].value


def test_what_starts_by_itself_on_the_host_alone_is_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "known.service").write_text("")
    folders = {
        "/etc/cron.d": {"backup": b"0 3 * * * root docker exec db pg_dump\n", "other": b"0 3 * * * root true\n"},
        "/etc/systemd/system": {
            "up.service": b"ExecStart=docker compose up\n",
            "up.timer": b"",
            "known.service": b"docker",
            "known.timer": b"",
            "by-hand.service": b"docker",
        },
    }
    answers = {look: FolderAnswer(files=folders[look.path], unread={}) for look in live.STARTS}
    facts = HostFacts(host="local", taken_at="", user="root", answers=answers, walks=lambda _root: iter(()))
    seen = live._Seen()
    seen.starts = tuple(live._starting(facts, seen))
    monkeypatch.setattr(live, "look_round", lambda *_arguments: seen)
    _, said = live.with_host(found({}), tmp_path, {})
    assert [one.partition(" ")[0] for one in said] == ["/etc/cron.d/backup", "/etc/systemd/system/up.service"]
    assert "pg_dump" not in "".join(said)
