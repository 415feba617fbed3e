"""What mounts cover: told from mountinfo alone, then seen for real in a namespace that nobody else has, which leaves nothing behind, also when it is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from interlock.facts.looks import FailedLook, Owners, Shadows
from interlock.observe import probe, wire
from interlock.testing.faults import own_namespace
from tests.model.mount_model import Kernel, Process
from tests.unit.test_mount_truth import CASES, PATHS, STEPS, Step, after, text

ROOT = Path(__file__).parents[2]
FOREVER = float("inf")


# ---- told from mountinfo alone


def told(*lines: str, roots: tuple[str, ...] = ("/",)) -> list[tuple[str, str, str]]:
    """Mountpoint, parent and what is special about it, of mounts that are written `id parent device root mountpoint fstype [source]`."""
    written = []
    for line in lines:
        number, parent, device, root, point, fstype, *source = line.split(" ")
        written.append(f"{number} {parent} {device} {root} {point} rw shared:1 - {fstype} {source[0] if source else 'x'} rw")
    found = probe.covers(probe.to_bytes("\n".join(written)), [probe.to_bytes(root) for root in roots])
    return [(probe.to_text(one.point), probe.to_text(one.parent), "own" if one.own else "whole" if one.whole else "") for one in found]


HOST = ("1 0 8:1 / / ext4", "2 1 8:2 / /data ext4", "3 2 8:3 / /data/state ext4")


def test_each_mount_covers_a_directory_of_the_one_that_it_stands_on() -> None:
    assert told(*HOST) == [("/data", "/", ""), ("/data/state", "/data", "")]
    assert told(*HOST, roots=("/data/state",)) == [("/data/state", "/data", ""), ("/data/state", "/", "")]
    assert told(*HOST, roots=("/dat", "/data/state/x", "/none")) == []


def test_what_a_mount_nearer_to_the_root_covers_is_not_gone_through() -> None:
    assert told(*HOST, "4 1 8:4 / /data/state/old ext4") == [("/data", "/", ""), ("/data/state", "/data", "")]


def test_a_mount_over_another_one_covers_it_wholly_and_what_stands_on_it() -> None:
    assert told(*HOST, "4 2 8:4 / /data ext4") == [("/data", "/", ""), ("/data", "/data", "whole")]


def test_a_bind_of_a_directory_to_itself_is_told_from_one_of_another_directory() -> None:
    assert told(*HOST, "4 3 8:3 /a /data/state/a ext4", "5 3 8:3 /a /data/state/b ext4")[2:] == [
        ("/data/state/a", "/data/state", "own"),
        ("/data/state/b", "/data/state", ""),
    ]
    assert told("1 0 8:1 /@ / btrfs", "2 1 8:1 /@/srv /srv btrfs", "3 1 8:1 /@srv /opt btrfs") == [("/opt", "/", ""), ("/srv", "/", "own")]


def test_a_mount_that_was_triggered_covers_what_the_trigger_stands_on() -> None:
    assert told("1 0 8:1 / / ext4", "2 1 0:9 / /srv autofs", "3 2 8:3 / /srv ext4", roots=("/srv",)) == [("/srv", "/", "")]


def test_what_is_the_kernels_or_an_engines_is_left_out_but_not_a_disk_that_was_asked_for() -> None:
    kernels = ("5 1 0:5 / /dev devtmpfs", "6 5 0:6 / /dev/shm tmpfs", "7 1 0:7 / /proc proc", "8 1 0:8 / /sys sysfs")
    engines = (
        "10 2 0:10 / /data/docker/overlay2/1/merged overlay",
        "11 2 0:11 / /data/docker/containers/1/mounts/shm tmpfs shm",
        "12 2 0:4 net:[1] /data/ns nsfs",
    )
    assert told(*HOST, *kernels, *engines) == [("/data", "/", ""), ("/data/state", "/data", "")]
    assert told("1 0 8:1 / / ext4", *kernels, roots=("/dev/shm", "/proc")) == []
    login = ("2 1 0:9 / /run tmpfs", "3 2 0:10 / /run/user/1000 tmpfs", "4 2 8:4 / /run/media/disk ext4")
    assert told("1 0 8:1 / / ext4", *login, roots=("/run/user/1000", "/run/media")) == [("/run/media/disk", "/run", "")]
    assert told("1 0 8:1 / / ext4", "2 1 0:10 / /srv overlay", roots=("/srv",)) == [("/srv", "/", "")]


def test_a_chroot_has_no_root_mount_to_begin_with() -> None:
    assert told("2 1 8:2 / /data ext4", "3 2 8:3 / /data/state ext4") == []
    assert told("2 1 8:2 / / ext4", "3 1 8:3 / /data ext4") == []


def test_escaped_and_other_odd_names() -> None:
    assert told("1 0 8:1 / / ext4", "2 1 8:2 / /a\\040b\\012\udcff ext4", roots=("/a b\n\udcff",)) == [("/a b\n\udcff", "/", "")]


def walked_through(kernel: Kernel, process: Process) -> set[tuple[str, str, bool]]:
    """Each mountpoint that a path comes to, where what it stands on is, and whether it shows the directory that it covers: told by the model."""
    found = set()
    for path in PATHS[1:]:
        mount, directory = kernel.walk(process, path[:-1])
        directory += path[-1:]
        while over := kernel.over.get((mount.id, directory)):
            where = kernel.path(process, mount)
            assert where is not None
            found.add((text(path), text(where), (over.shows, over.root) == (mount.shows, directory)))
            mount, directory = over, over.root
    return found


@settings(max_examples=CASES)
@given(STEPS)
def test_all_that_is_covered_on_some_way_is_told_and_nothing_else(steps: list[Step]) -> None:
    kernel = after(steps)
    for process in kernel.processes:
        if process.directory == process.mount.root:
            deep = {(point, parent, own) for point, parent, own in covered(kernel, process) if point.count("/") <= 3}
            assert deep == walked_through(kernel, process)


def covered(kernel: Kernel, process: Process) -> set[tuple[str, str, bool]]:
    found = probe.covers(kernel.mountinfo(process), [b"/"])
    return {(probe.to_text(one.point), probe.to_text(one.parent), one.own) for one in found}


def test_ten_thousand_mounts_are_told_in_a_second() -> None:
    lines = [f"{number} {0 if number == 1 else max(1, number // 8)} 8:{number} / {place(number)} ext4" for number in range(1, 10_000)]
    began = time.process_time()
    assert len(told(*lines)) == 9_998
    assert time.process_time() - began < 2  # 0.1 s on an idle machine


def place(number: int) -> str:
    return "/" if number == 1 else place(max(1, number // 8)).rstrip("/") + f"/{number}"


# ---- seen

SETTING = """
mount -t tmpfs outer "$TOP"; cd "$TOP"
mkdir data; mount -t tmpfs data data
mkdir -p data/state/certs/empty data/empty data/tree/a/b data/marker data/stack data/self data/files
printf 12345 >data/state/state.db; printf 12 >data/state/certs/key; ln -s /etc data/state/link; mkfifo data/state/fifo
printf 1 >data/stack/below; printf 1 >data/self/visible; touch data/file data/other
for name in state empty tree stack; do mount -t tmpfs "$name" "data/$name"; done
touch data/stack/between; mount -t tmpfs second data/stack
mount --bind data/self data/self; mount --bind data/other data/file
mkdir data/state/inner; printf 123 >data/state/inner/f; mount -t tmpfs inner data/state/inner
"""
SHARED = "mount --make-rshared /\n"  # from here on, and with nobody else: engines of other tests mount all the time


def run(tmp_path: Path, script: str, code: str, *, before: tuple[str, ...] = ()) -> Any:
    """What `code` prints as JSON, run by Python in a mount namespace of its own after the shell's `script`; `$TOP` and `TOP` are `tmp_path`."""
    enter = own_namespace()
    assert enter, "asked for by the fixture `userns`"
    program = f"import json, os, sys\nfrom interlock.observe import probe\nTOP = {str(tmp_path)!r}\n{code}"
    argv = (*enter, "sh", "-ec", f'{script}\ncd {ROOT}\nexec "$@"', "sh", *before, sys.executable, "-c", program)
    done = subprocess.run(argv, env={**os.environ, "TOP": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def userns(component: Callable[[str], None]) -> None:
    """A mount namespace can be had: as root, or in a user namespace."""
    if not own_namespace():
        component("userns")


ANSWER = 'print(json.dumps(probe.answer(["shadows", [TOP + "/data"]])))'


def test_what_lies_below_each_mountpoint_is_named_and_counted(tmp_path: Path, userns: None) -> None:
    found = run(tmp_path, SETTING, ANSWER)["shadows"]
    top = f"{tmp_path}/data"
    rows = {(row[0].removeprefix(top), row[1].removeprefix(top)): row[2:] for row in found if row[0] != top}
    assert rows == {
        ("/empty", ""): [[], 0, 0, True, ""],
        ("/self", ""): [[], 0, 0, True, ""],
        ("/stack", ""): [["below"], 1, 1, True, ""],
        ("/stack", "/stack"): [[], 0, 0, True, "covered: it lies wholly under another mount at the same place"],
        ("/state", ""): [["certs/key", "fifo", "link", "state.db", "certs/", "certs/empty/"], 4, 5 + 2 + len("/etc"), True, ""],
        ("/state/inner", "/state"): [["f"], 1, 3, True, ""],
        ("/tree", ""): [["a/", "a/b/"], 0, 0, True, ""],
    }  # and no data/file, which is a mount of a file
    assert [row[0] for row in found] == sorted(row[0] for row in found)


def test_odd_names_come_back_as_they_are_and_a_root_is_followed(tmp_path: Path, userns: None) -> None:
    script = """
    mount -t tmpfs outer "$TOP"; cd "$TOP"; name="$(printf 'a b\\n\\377')"; mkdir "$name"; touch "$name/$(printf 'c\\td\\376')"
    mount -t tmpfs state "$name"; ln -s "$name" link
    """
    found = run(tmp_path, script, 'print(json.dumps(probe.answer(["shadows", [TOP + "/link", TOP + "/none"]])))')
    assert found == {"shadows": [[f"{tmp_path}/a b\n\udcff", str(tmp_path), ["c\td\udcfe"], 1, 0, True, ""]]}


def test_more_than_is_counted_is_said_to_be_more_and_names_are_the_first_ones(tmp_path: Path, userns: None) -> None:
    script = 'mount -t tmpfs outer "$TOP"; mkdir "$TOP/data"; cd "$TOP/data"; seq -f f%04.0f 1 300 | xargs touch; mount -t tmpfs state "$TOP/data"'
    (row,) = run(tmp_path, script, ANSWER)["shadows"]
    assert (row[2], row[3], row[5]) == ([f"f{number:04}" for number in range(1, 201)], 300, True)
    (row,) = run(tmp_path, script, f"probe.SHADOW_ENTRIES = 299\n{ANSWER}")["shadows"]
    assert row[5] is False


def test_where_nothing_covers_anything_no_right_is_needed_and_no_thread_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_apart", None)
    assert probe.answer(["shadows", [str(tmp_path), "/dev/shm", "/proc"]]) == {"shadows": []}


def test_below_a_mount_from_outside_of_a_user_namespace_the_kernel_lets_nobody_look(component: Callable[[str], None], tmp_path: Path) -> None:
    component("userns")
    code = f"from interlock.observe import probe; import json; print(json.dumps(probe.answer(['shadows', [{str(tmp_path)!r}]])))"
    argv = ("unshare", "-Urm", "sh", "-ec", f'mount -t tmpfs x {tmp_path}; cd {ROOT}; exec "$@"', "sh", sys.executable, "-c", code)
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    ((_, _, names, *_, error),) = json.loads(done.stdout)["shadows"]
    assert (names, error) == ([], "EINVAL: the kernel shows nothing below a mount that was made outside of this user namespace")


# ---- who may not look


@pytest.mark.parametrize("caps", [("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all")])
def test_without_the_right_to_mount_it_is_a_failed_look(tmp_path: Path, userns: None, caps: tuple[str, ...]) -> None:
    assert run(tmp_path, SETTING, ANSWER, before=caps) == {"failed": ["EPERM", "Operation not permitted"]}


def test_a_python_without_ctypes_cannot_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctypes", None)
    with pytest.raises(probe.CouldNot, match="cannot call the C library") as caught:
        probe._system()
    assert caught.value.code == "no-tool"


def test_a_filter_that_answers_for_the_kernel_is_not_believed() -> None:
    calls = []
    with pytest.raises(probe.CouldNot, match="no mount namespace, although it said so"):
        probe._leave_the_mounts_of_the_host(lambda name, *_: calls.append(name))
    assert calls == ["unshare"]  # and nothing was mounted: that would have been on the host


def test_while_a_mount_is_still_shared_nothing_is_bound(tmp_path: Path, userns: None) -> None:
    code = """
real, calls = probe._system(), []
def system(name, *arguments):
    calls.append(name)
    if name == "unshare":
        real(name, *arguments)
probe._system = lambda: system
print(json.dumps([probe.answer(["shadows", [TOP + "/data"]]), calls]))
"""
    failed, calls = run(tmp_path, SETTING + SHARED, code)
    assert failed == {"failed": ["EPERM", "a mount is still shared with the host, so nothing was mounted to look below it"]}
    assert calls == ["unshare", "mount"]  # the one that makes them private


def one_listing(_: bytes) -> Iterator[tuple[Any, ...]]:
    yield "/dev/x", (), [], "", "", ()


def test_a_file_system_that_hangs_costs_its_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    with pytest.raises(probe.CouldNot, match="in time") as caught:
        probe._apart(lambda: [[release.wait(30)]], time.monotonic() + 0.05)
    release.set()
    assert caught.value.code == "timeout"
    monkeypatch.setattr(probe, "walk", one_listing)
    with pytest.raises(probe.CouldNot, match="in time"):
        list(probe._walk_below(b"/dev", time.monotonic() - 1))


# ---- the host's mounts

STOPPED = """
import signal, threading, time
real = probe._hidden
def hidden(*arguments):
    probe._hidden = real
    os.write(1, b"%d\\n" % threading.get_native_id())
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(0.2)  # another thread may take the signal, a moment later
    return real(*arguments)
probe._hidden = hidden
found = probe.answer(["shadows", [TOP + "/data"]])
os.write(1, json.dumps(found).encode() + b"\\n")
"""
MIDDLE = """
import signal, subprocess, time
def mounts(who="self"):
    return open("/proc/%s/mountinfo" % who).read()
before = mounts()
child = subprocess.Popen([sys.executable, "-c", "import json, os\\nfrom interlock.observe import probe\\nTOP = %r\\n" % TOP + os.environ["STOPPED"]], stdout=-1)
thread = int(child.stdout.readline())
while open("/proc/%d/stat" % child.pid).read().rpartition(")")[2].split()[0] != "T":
    time.sleep(0.005)
said = {"before": before, "during": mounts(), "inside": mounts("%d/task/%d" % (child.pid, thread)), "beside": mounts(child.pid)}
if os.environ["HOW"] == "kill":
    child.kill()
    rest = child.stdout.read()
else:
    while child.poll() is None:
        os.kill(child.pid, signal.SIGCONT)
        time.sleep(0.01)
    rest = child.stdout.read()
child.wait()
print(json.dumps(dict(said, after=mounts(), rest=rest.decode())))
"""


@pytest.mark.parametrize("how", ["go on", "kill"])
def test_the_mounts_of_the_host_stay_as_they_are_before_during_and_after_also_when_it_is_killed(
    tmp_path: Path, userns: None, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a namespace whose mounts are all shared with its copies, so that one that leaked would show there."""
    monkeypatch.setenv("STOPPED", STOPPED)
    monkeypatch.setenv("HOW", how)
    said = run(tmp_path, SETTING + SHARED, MIDDLE)
    assert "shared:" in said["before"]
    assert said["before"] == said["during"] == said["beside"] == said["after"]
    inside = said["inside"].splitlines()
    points = Counter(line.split()[4] for line in inside) - Counter(line.split()[4] for line in said["before"].splitlines())
    assert points == {"/dev": 1}, said  # it is in the middle: one bind stands there
    assert not [line for line in inside if " shared:" in line]
    assert ('"state.db"' in said["rest"]) is (how == "go on")


def test_only_its_own_thread_has_other_mounts(tmp_path: Path, userns: None) -> None:
    code = """
seen = []
real = probe._hidden
def hidden(*arguments):
    seen.append([os.readlink("/proc/thread-self/ns/mnt"), os.readlink("/proc/self/ns/mnt")])
    return real(*arguments)
probe._hidden = hidden
before = os.readlink("/proc/thread-self/ns/mnt")
probe.answer(["shadows", [TOP + "/data"]])
print(json.dumps([before, os.readlink("/proc/thread-self/ns/mnt"), seen[0]]))
"""
    before, later, (inside, process) = run(tmp_path, SETTING, code)
    assert before == later == process != inside


# ---- from another host


def test_another_host_answers_what_this_one_does_and_without_python_it_cannot(tmp_path: Path, userns: None) -> None:
    code = """
from pathlib import Path
from interlock.facts.looks import Owners, Shadows
from interlock.observe import wire
from interlock.observe.conversation import CHOOSE
from tests.unit.test_observe_shell_probe import asked, here
looks = (Shadows((TOP + "/data",)), Owners(TOP + "/data"))
far, _ = asked(looks, Path(TOP), ("sh", "-c", CHOOSE))
shell, _ = asked(looks, Path(TOP), ("sh", "-s"))
print(json.dumps([[wire.answer_to_json(look, one(look)) for look in looks] for one in (here, far.answers.get, shell.answers.get)]))
"""
    near, far, shell = run(tmp_path, SETTING, code)
    assert near[0] == far[0]
    owners = [row[:2] for row in far[1]["owners"]["owners"]]
    assert owners == [row[:2] for row in near[1]["owners"]["owners"]]
    assert [answer["failed"][0] for answer in shell] == ["no-tool", "no-tool"]
    assert all("no python3" in answer["failed"][1] for answer in shell)


def test_the_answer_is_read_as_shadows(tmp_path: Path, userns: None) -> None:
    found = run(tmp_path, SETTING, ANSWER)
    answer = wire.answer_of(Shadows((f"{tmp_path}/data",)), found)
    assert not isinstance(answer, FailedLook)
    assert wire.answer_of(Owners("/x"), {"failed": ["EPERM", "x"]}) == FailedLook("EPERM", "x")
    with pytest.raises(ValueError, match="no answer"):
        wire.answer_of(Owners("/x"), found)


def test_an_automount_is_looked_below_without_being_triggered(tmp_path: Path, userns: None) -> None:
    """Whoever enters it would wait for ever: nobody serves it."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount an autofs")
    code = """
import ctypes
served_by, (_, pipe) = os.getpgrp(), os.pipe()
os.setpgid(0, 0)
said = f"fd={pipe},pgrp={served_by},minproto=5,maxproto=5,direct".encode()
assert ctypes.CDLL(None).mount(b"nobody", os.fsencode(TOP) + b"/data/auto", b"autofs", 0, said) == 0
import time
print(json.dumps(probe.answer(["shadows", [TOP + "/data/auto"]], time.monotonic() + 5)))
"""
    script = 'mount -t tmpfs outer "$TOP"; mkdir -p "$TOP/data/auto"; touch "$TOP/data/auto/f"'
    assert run(tmp_path, script, code) == {"shadows": [[f"{tmp_path}/data/auto", str(tmp_path), ["f"], 1, 0, True, ""]]}
