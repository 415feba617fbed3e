"""What changed since the gate was last open: verdicts first, then what they stand on, then the hosts."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from interlock.errors import CouldNotLook
from interlock.evidence.changes import changes
from interlock.evidence.record import Git, Record
from interlock.facts.looks import (
    Answer,
    Engine,
    EngineAnswer,
    Examine,
    ExamineAnswer,
    Examined,
    FailedLook,
    FolderAnswer,
    HostFacts,
    List,
    ListAnswer,
    Look,
    Mounts,
    MountsAnswer,
    ReadFile,
    ReadFolder,
    Secret,
    SecretAnswer,
    Space,
    SpaceAnswer,
    Stat,
    StatAnswer,
    User,
    Walk,
)
from interlock.verdicts import Broken, Detail, Held, Outcome, Unproven
from tests.evidence_samples import MOMENT, OPEN, SHUT, STATE_DISK, WAIVED, Judged, Sample, backups, publish


def record(tmp_path: Path, *judged: Judged, **parts: object) -> Record:
    tmp_path.mkdir(exist_ok=True)
    return publish(tmp_path / str(len(list(tmp_path.iterdir()))), dataclasses.replace(Sample(judged=judged), **parts)).record  # type: ignore[arg-type]


def test_nothing_changed_is_nothing_told(tmp_path: Path) -> None:
    same = publish(tmp_path, OPEN).record
    assert changes(same, same, {}, {}) == ()


def test_outcomes_come_first_the_gravest_at_the_top_and_reasons_are_not_told_twice(tmp_path: Path) -> None:
    before = record(tmp_path, STATE_DISK, backups(), Judged(guardrail="z.gone", subject="s", judgement=Held("m")))
    broken = Judged(guardrail="mounts.state_disk", subject="state", judgement=Broken("/data-state shows a plain directory"))
    unproven = Judged(guardrail="backups.mode_0600", subject="app", judgement=Unproven("timed out"))
    now = record(tmp_path, broken, unproven, Judged(guardrail="a.new", subject="s", judgement=Held("fine")))
    assert changes(before, now) == (
        "mounts.state_disk [state] was held, now broken",
        "backups.mode_0600 [app] was held, now unproven",
        "z.gone [s] is not asked any more: it was held",
        "1 subject more is asked, and holds",
    )


def test_a_pair_that_was_not_run_this_time_is_told(tmp_path: Path) -> None:
    before = record(tmp_path, STATE_DISK)
    now = record(tmp_path, backups(), required=[STATE_DISK.pair])
    assert "mounts.state_disk [state] was held, now not run" in changes(before, now)


def test_a_new_failure_below_one_that_was_broken_before_is_told(tmp_path: Path) -> None:
    old, new = (Detail(what=name, outcome=Outcome.BROKEN, kind="mode", message=f"{name} is 0644") for name in ("a.dump", "b.dump"))
    told = changes(record(tmp_path, backups(old)), record(tmp_path, backups(old, new)))
    assert told == ("backups.mode_0600 [app] is still broken, with 1 new detail: b.dump is 0644",)


def test_other_words_for_what_holds_are_told(tmp_path: Path) -> None:
    now = Judged(guardrail="mounts.state_disk", subject="state", judgement=Held("/data-state shows /dev/sdc1"))
    assert changes(record(tmp_path, STATE_DISK), record(tmp_path, now)) == (
        "mounts.state_disk [state]: was: /data-state shows /dev/sdb1; now: /data-state shows /dev/sdc1",
    )


def test_waivers_unused_families_site_and_versions_are_told(tmp_path: Path) -> None:
    before, waived = publish(tmp_path / "a", SHUT).record, publish(tmp_path / "b", WAIVED).record
    now = dataclasses.replace(
        before,
        waivers=waived.waivers,
        not_used={"templates": "rendered elsewhere"},
        target=dataclasses.replace(before.target, sha256="sha256:" + "6" * 64, git=Git(commit="d" * 40, dirty=True)),
        run=dataclasses.replace(before.run, interlock="9.9", host="ops2", user="ben"),
    )
    assert changes(before, now) == (
        "waiver W-1 is used now: moves to the new volume on Tuesday",
        "parity is declared as not used no more",
        "templates is declared as not used now: rendered elsewhere",
        "interlock.yaml changed",
        "the site's folder was at commit cccccccccccc, now dddddddddddd, with uncommitted changes",
        f"interlock was {before.run.interlock}, now 9.9",
        "the host that judged was ops1, now ops2",
        "the user who judged was anna, now ben",
    )
    assert "waiver W-1 is used no more" in changes(now, before)


# ---- facts

MOUNTS = b"22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n30 22 8:17 / /data-state rw - ext4 /dev/sdb1 rw\n31 22 0:5 / /proc rw - proc proc rw\n"


def host(**answers: Answer) -> HostFacts:
    looks: dict[str, Look] = {
        "mounts": Mounts(),
        "state": Stat("/data-state"),
        "env": ReadFile("/srv/.env"),
        "user": User("app"),
        "walk": Walk("/srv/backups"),
        "space": Space("/data-state"),
        "cron": ReadFolder("/etc/cron.d"),
        "secret": Secret("/data-state/key"),
        "backup": Examine("/srv/backups"),
        "engine": Engine("/run/docker.sock"),
        "folder": List("/srv/shop"),
    }
    return HostFacts(host="db1", taken_at=MOMENT, user="root", answers={looks[name]: answer for name, answer in answers.items()}, walks=lambda _: iter(()))


def told(tmp_path: Path, before: HostFacts | CouldNotLook | None, now: HostFacts | CouldNotLook | None) -> tuple[str, ...]:
    same = publish(tmp_path, OPEN).record
    facts = [{"db1": one} if one is not None else {} for one in (before, now)]
    return changes(same, same, *facts)


def table(text: bytes) -> MountsAnswer:
    return MountsAnswer(mountinfo=text, devices={}, links={})


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            MOUNTS.replace(b"8:17 / /data-state rw - ext4 /dev/sdb1", b"8:33 / /data-state ro - xfs /dev/sdc1"),
            ["/data-state showed /dev/sdb1 (ext4, rw), now /dev/sdc1 (xfs, ro)"],
        ),
        (MOUNTS.replace(b"8:17 / /data", b"8:17 /old /data"), ["/data-state showed /dev/sdb1 (ext4, rw), now /dev/sdb1 below /old (ext4, rw)"]),
        (b"\n".join(MOUNTS.split(b"\n")[:1]) + b"\n", ["/dev/sdb1 (ext4) mounted at /data-state is gone"]),
        (MOUNTS + b"33 30 8:33 / /data-state rw - ext4 /dev/sdc1 rw\n", ["/data-state showed /dev/sdb1 (ext4, rw), now /dev/sdc1 (ext4, rw)"]),
        (MOUNTS + b"34 22 8:49 / /mnt rw - ext4 /dev/sdd1 rw\n", ["/dev/sdd1 (ext4) mounted at /mnt is new"]),
        (MOUNTS + b"35 22 0:50 / /var/lib/docker/overlay2/x rw - overlay overlay rw\n", []),
        (b"garbage", ["/dev/sda1 (ext4) mounted at / is gone", "/dev/sdb1 (ext4) mounted at /data-state is gone"]),
    ],
)
def test_what_a_host_shows_at_its_mountpoints_is_told(tmp_path: Path, text: bytes, sentences: list[str]) -> None:
    assert told(tmp_path, host(mounts=table(MOUNTS)), host(mounts=table(text))) == tuple(f"db1: {sentence}" for sentence in sentences)


SPACE = SpaceAnswer(bytes_free=10, bytes_total=100, inodes_free=10, inodes_total=100, read_only=False)
KEY = SecretAnswer(present=True, regular=True, mode=0o600, uid=0, gid=0, size=9)


def cron(unread: dict[str, str] | None = None, **files: bytes) -> FolderAnswer:
    return FolderAnswer(files=files, unread=unread or {})


def newest(*files: str, sha256: str = "sha256:1", whole: bool | None = True, fault: str = "") -> ExamineAnswer:
    return ExamineAnswer(files=tuple(Examined(name=name, size=1, mtime=1, sha256=sha256, whole=whole, fault=fault) for name in files))


SEES = "1 0 0:1 / / rw - overlay overlay rw\n2 1 8:1 / {} rw - ext4 /dev/sda1 rw\n"
NOBODYS = {"Uid": 0, "Gid": 0, "Groups": [], "Capabilities": 0, "Places": {}}


def engine(version: str = "27", volumes: tuple[tuple[str, str], ...] = (), **containers: str) -> EngineAnswer:
    """An engine; a container is its image, its state, its id, when it was started, and where it sees a disk, if it is looked into."""
    described = [
        {
            "Id": id_,
            "Name": f"/{name}",
            "Image": f"sha256:{image}",
            "RestartCount": 0,
            "View": {**NOBODYS, "Mountinfo": SEES.format(seen[0])} if seen else None,
            "Unseen": "",
            "Config": {"Image": image, "User": "", "Labels": {}, "Variables": [], "Environment": {}},
            "State": {"Status": state, "Pid": 1, "StartedAt": started, "Health": "healthy" if state == "running" else ""},
            "HostConfig": {"NetworkMode": "", "PortBindings": {}},
            "NetworkSettings": {"Ports": {}},
            "Mounts": [],
        }
        for name, (image, state, id_, started, *seen) in ((name, text.split()) for name, text in containers.items())
    ]
    kept = [{"Name": name, "Driver": "local", "Mountpoint": "", "Options": {"device": device}, "Labels": {}} for name, device in volumes]
    about = {"Version": version, "Product": "docker", "Kernel": "6.1"}
    return EngineAnswer(content=json.dumps({"version": about, "containers": described, "volumes": kept}).encode())


SEEN = StatAnswer(present=True, mode=0o40700, uid=0, gid=0, size=4096, mtime=5, device="8:17", realpath="/data-state")


@pytest.mark.parametrize(
    ("before", "now", "sentence"),
    [
        (host(state=SEEN), host(state=dataclasses.replace(SEEN, mode=0o40755)), "/data-state had mode 0700, now 0755"),
        (host(state=SEEN), host(state=dataclasses.replace(SEEN, uid=999)), "/data-state had uid 0, now 999"),
        (host(state=SEEN), host(state=dataclasses.replace(SEEN, device="8:1")), "/data-state had device 8:17, now 8:1"),
        (host(state=SEEN), host(state=StatAnswer(present=False)), "/data-state is gone"),
        (host(state=StatAnswer(present=False)), host(state=SEEN), "/data-state is there now"),
        (host(env=b"A=1\n"), host(env=b"A=22\n"), "/srv/.env changed: 4 bytes (sha256:1e4fb9ed) before, 5 (sha256:15cc2ba9) now"),
        (host(user=1000), host(user=None), "user app was uid 1000, now None"),
        (host(env=b"A"), host(env=FailedLook("EACCES", "Permission denied")), "/srv/.env cannot be looked at any more: Permission denied"),
        (host(mounts=FailedLook("EACCES", "no")), host(mounts=table(MOUNTS)), "the mount table can be looked at again"),
        (host(space=SPACE), host(space=dataclasses.replace(SPACE, read_only=True)), "the file system of /data-state is read-only now"),
        (host(space=SPACE), host(space=dataclasses.replace(SPACE, bytes_total=50)), "the file system of /data-state had 100 bytes in all, now 50"),
        (host(cron=cron()), host(cron=cron(job=b"x")), "/etc/cron.d/job is there now"),
        (host(cron=cron(job=b"x")), host(cron=cron()), "/etc/cron.d/job is gone"),
        (host(cron=cron(job=b"x")), host(cron=cron({"job": "Permission denied"})), "/etc/cron.d/job cannot be read any more: Permission denied"),
        (host(cron=cron({"job": "Permission denied"})), host(cron=cron(job=b"x")), "/etc/cron.d/job can be read again"),
        (host(cron=cron({"job": "Permission denied"})), host(cron=cron()), "/etc/cron.d/job is gone"),
        (host(cron=cron(job=b"A=1\n")), host(cron=cron(job=b"A=22\n")), "/etc/cron.d/job changed: 4 bytes (sha256:1e4fb9ed) before, 5 (sha256:15cc2ba9) now"),
        (host(secret=KEY), host(secret=SecretAnswer(present=False)), "/data-state/key is gone"),
        (host(secret=KEY), host(secret=dataclasses.replace(KEY, mode=0o644)), "/data-state/key had mode 0600, now 0644"),
        (host(secret=KEY), host(secret=dataclasses.replace(KEY, fault="it is blank")), "/data-state/key can be used no more: it is blank"),
        (host(secret=dataclasses.replace(KEY, fault="it is blank")), host(secret=KEY), "/data-state/key can be used again"),
        (host(backup=newest("a-1", "b-1")), host(backup=newest("a-2")), "the newest backup in /srv/backups was a-1, b-1, now a-2"),
        (host(backup=newest(*"abcde")), host(backup=newest()), "the newest backup in /srv/backups was a, b, c and 2 more, now none"),
        (host(backup=newest("a")), host(backup=newest("a", sha256="sha256:2")), "the newest backup in /srv/backups has other bytes: a"),
        (
            host(backup=newest("a")),
            host(backup=newest("a", whole=None, fault="zstd is needed")),
            "the newest backup in /srv/backups is read otherwise: a zstd is needed",
        ),
        (host(folder=ListAnswer(modes={})), host(folder=ListAnswer(modes={".interlock": 0o40700, "keys": 0o40700})), "/srv/shop/keys is there now"),
        (host(engine=engine()), host(engine=engine("28")), "the container engine was 27, now 28"),
        (host(engine=engine()), host(engine=engine(web="i running 1 t")), "container web is new"),
        (host(engine=engine(web="i running 1 t")), host(engine=engine()), "container web is gone"),
        (host(engine=engine(web="i running 1 t")), host(engine=engine(web="j running 2 u")), "container web has another image: i before, j now"),
        (host(engine=engine(web="i running 1 t")), host(engine=engine(web="i exited 1 t")), "container web was running (healthy), now exited"),
        (host(engine=engine(web="i running 1 t")), host(engine=engine(web="i running 2 u")), "container web was made anew"),
        (host(engine=engine(web="i running 1 t")), host(engine=engine(web="i running 1 u")), "container web was started again"),
        (host(engine=engine(web="i running 1 t /a")), host(engine=engine(web="i running 1 t /b")), "container web sees another mount at /a, /b"),
        (host(engine=engine()), host(engine=engine(volumes=(("v", "/a"),))), "volume v is new"),
        (host(engine=engine(volumes=(("v", "/a"),))), host(engine=engine(volumes=(("v", "/b"),))), "volume v has other options"),
        (
            host(engine=engine()),
            host(engine=FailedLook("engine-absent", "Connection refused")),
            "the container engine at /run/docker.sock cannot be looked at any more: Connection refused",
        ),
        (host(), CouldNotLook("db1 is unreachable"), "could be looked at before, now not: db1 is unreachable"),
        (CouldNotLook("db1 is unreachable"), host(), "can be looked at again"),
        (host(), None, "is not looked at any more"),
        (None, host(), "is looked at for the first time"),
    ],
)
def test_what_changed_on_a_host_is_one_sentence(
    tmp_path: Path, before: HostFacts | CouldNotLook | None, now: HostFacts | CouldNotLook | None, sentence: str
) -> None:
    import re

    (found,) = told(tmp_path, before, now)
    assert re.sub("sha256:[0-9a-f]{8}", "sha256:", found) == re.sub("sha256:[0-9a-f]{8}", "sha256:", f"db1: {sentence}")


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (host(state=SEEN), host(state=dataclasses.replace(SEEN, size=8192, mtime=99))),
        (host(space=SPACE), host(space=dataclasses.replace(SPACE, bytes_free=1, inodes_free=1))),
        (host(secret=KEY), host(secret=dataclasses.replace(KEY, size=10))),
    ],
)
def test_sizes_and_times_that_move_all_the_time_are_not_told(tmp_path: Path, before: HostFacts, now: HostFacts) -> None:
    assert told(tmp_path, before, now) == ()


def test_an_engine_whose_words_cannot_be_read_is_told_by_the_verdicts_alone(tmp_path: Path) -> None:
    assert told(tmp_path, host(engine=engine()), host(engine=EngineAnswer(content=b"{"))) == ()


def test_a_host_that_stays_unreachable_is_no_change(tmp_path: Path) -> None:
    assert told(tmp_path, CouldNotLook("x"), CouldNotLook("x")) == ()


def test_what_was_asked_only_once_is_not_compared(tmp_path: Path) -> None:
    assert told(tmp_path, host(env=b"A"), host(state=SEEN)) == ()


def test_what_time_alone_has_moved_is_not_told(tmp_path: Path) -> None:
    before = Judged(guardrail="backups.fresh", subject="app", judgement=Held("app-20261119T020000Z.tar was taken 3 h ago"))
    now = Judged(guardrail="backups.fresh", subject="app", judgement=Held("app-20261120T020000Z.tar was taken 61 min ago"))
    later = Judged(guardrail="backups.fresh", subject="app", judgement=Held("app-20261121T020000Z.tar was taken 12 h ago"))
    assert changes(record(tmp_path, before), record(tmp_path, later)) == ()
    assert len(changes(record(tmp_path, before), record(tmp_path, now))) == 1
