"""What the table says of a path is what the kernel does with it: random mounts, binds, moves and removals, each followed by statx(2) of every place.

Each sequence happens in a mount namespace that ends with it, beside processes in namespaces and root directories of their own, as containers have them. Run as
a program this file makes the sequences: it is started in a namespace where it may mount.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from interlock.facts.mount_tables import MountTable
from tests.docker_engine import IMAGE, DockerEngine, DockerError, docker_engine

SEQUENCES = 3_000 if os.environ.get("INTERLOCK_PROFILE") == "prove" else 30
STEPS = 14
MOUNTS = 250  # that one sequence makes at most, or nearly
NAMES = ("a", "b c", "t\tn\n", "\\040#", "caf\udce9")

RDONLY, REMOUNT, BIND, MOVE, REC = 1, 32, 1 << 12, 1 << 13, 1 << 14
PRIVATE, SLAVE, SHARED = 1 << 18, 1 << 19, 1 << 20
DETACH = 2  # umount2
NEW_NAMESPACE = 0x20000
STATX_MNT_ID = 0x1000
AT_CWD = -100

libc = ctypes.CDLL(None, use_errno=True)


def call(function: str, *arguments: object) -> None:
    """A call of libc. Raises OSError."""
    if getattr(libc, function)(*(os.fsencode(one) if isinstance(one, str) else one for one in arguments)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(arguments))


def mount_id(path: str) -> int | None:
    """The id of the mount that a path shows, None where the kernel is too old to say (before 5.8)."""
    buffer = ctypes.create_string_buffer(256)
    call("statx", AT_CWD, path, 0, STATX_MNT_ID, buffer)
    mask = int.from_bytes(buffer.raw[0:4], sys.byteorder)
    return int.from_bytes(buffer.raw[144:152], sys.byteorder) if mask & STATX_MNT_ID else None


@dataclass(frozen=True, slots=True)
class Looker:
    """A process that compares the table that it reads with what the kernel shows it. `proc` is a descriptor of /proc from before its root was changed."""

    proc: int
    top: str

    def disagreements(self) -> Iterator[str]:
        """One sentence for each place where they differ; the first word of the last one counts what was compared."""
        with os.fdopen(os.open("self/mountinfo", os.O_RDONLY, dir_fd=self.proc), "rb") as file:
            text = file.read()
        table = MountTable.parse(text, where="self") if text else None
        known = {mount.id for mount in table.mounts} if table else set()
        compared = 0
        for path in self.places(table) if self.is_told(table) else ():
            with suppress(OSError):
                real = os.path.realpath(path)
                seen, number = mount_id(real), os.stat(real).st_dev
                shown = table.showing(real) if table else None
                compared += 1
                if shown is None:
                    if seen is None or seen in known:
                        yield f"{path!r} -> {real!r}: nothing is told, the kernel shows mount {seen}"
                elif shown.device_number != f"{os.major(number)}:{os.minor(number)}" or seen not in (None, shown.id):
                    yield f"{path!r} -> {real!r}: {shown} ({shown.id}, {shown.device_number}) is told, the kernel shows mount {seen} of device {number}"
        yield str(compared)

    @staticmethod
    def is_told(table: MountTable | None) -> bool:
        """Not where a mount lies over the root of a chroot, and all else in it is below that mount: no table says that this is not its root."""
        root = table.showing("/") if table else None
        return table is None or root is None or mount_id("/") in {None, *(mount.id for mount in table.mounts)}

    def places(self, table: MountTable | None) -> set[str]:
        """The root, what is at the top and two levels below, and every mountpoint of the table."""
        found = {"/", "/proc", self.top}
        for _ in range(3):
            found |= {entry.path for path in found if path.startswith(self.top) for entry in entries(path)}
        return found | {mount.mountpoint for mount in (table.mounts if table else ())}


def entries(path: str) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(path))
    except OSError:
        return []


class Sequence:
    """Random steps below `top`, in the namespace of this process."""

    def __init__(self, seed: int, top: str) -> None:
        self.random, self.top = random.Random(seed), top
        self.done: list[str] = []
        self.others: list[tuple[int, int]] = []

    def run(self) -> Iterator[str]:
        """What disagrees after each step; the counts of what was compared are summed up at the end."""
        proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        call("mount", "top", self.top, "tmpfs", 0, "size=1m")
        compared = 0
        for _ in range(STEPS):
            self.step()
            if len(Path("/proc/self/mountinfo").read_bytes().splitlines()) > MOUNTS:  # shared binds of themselves double with each step
                break
            for *wrong, count in (list(Looker(proc, self.top).disagreements()), *map(self.asked, self.others)):
                compared += int(count)
                yield from (f"{one}\n  after {self.done}" for one in wrong)
        for pipe_in, _ in self.others:
            os.close(pipe_in)
        yield str(compared)

    def place(self) -> str:
        """Some directory; more often one that is there."""
        there = sorted({self.top, *(entry.path for entry in entries(self.top)), *(one.path for entry in entries(self.top) for one in entries(entry.path))})
        return self.random.choice(there)

    def step(self) -> None:
        """One change. What the kernel refuses is no change."""
        place, other = self.place(), self.place()
        changes: list[tuple[int, str, Callable[[], None]]] = [
            (5, "mkdir", lambda: os.makedirs(f"{place}/{self.random.choice(NAMES)}/{self.random.choice(NAMES)}")),
            (4, "tmpfs", lambda: call("mount", "memory #1", place, "tmpfs", 0, "size=64k")),
            (3, "bind", lambda: call("mount", other, place, None, BIND, None)),
            (2, "rbind", lambda: call("mount", other, place, None, BIND | REC, None)),
            (2, "move", lambda: call("mount", other, place, None, MOVE, None)),
            (1, "bind on itself", lambda: call("mount", place, place, None, BIND, None)),
            (2, "umount", lambda: call("umount2", place, 0)),
            (1, "umount -l", lambda: call("umount2", place, DETACH)),
            (1, "read-only", lambda: call("mount", None, place, None, REMOUNT | BIND | RDONLY, None)),
            (2, "shared", lambda: call("mount", None, place, None, SHARED | self.random.choice((0, REC)), None)),
            (1, "slave", lambda: call("mount", None, place, None, SLAVE, None)),
            (1, "private", lambda: call("mount", None, place, None, PRIVATE | self.random.choice((0, REC)), None)),
            (1, "rmdir", lambda: os.rmdir(place)),
            (1, "rename", lambda: os.rename(place, f"{other}/{self.random.choice(NAMES)}")),
            (1, "link", lambda: os.symlink(other, f"{place}/link")),
            (1, "mount over /", lambda: call("mount", "over", "/", "tmpfs", 0, "size=64k")),
            (2, "container", lambda: self.start(place)),
        ]
        _, name, change = self.random.choices(changes, [weight for weight, _, _ in changes])[0]
        try:
            change()
        except OSError as error:
            self.done.append(f"({name} {place!r} {other!r}: {error.strerror})")
        else:
            self.done.append(f"{name} {place!r} {other!r}")

    def start(self, root: str) -> None:
        """A process with a namespace and a root directory of its own, that looks whenever it is asked."""
        if len(self.others) == 3:
            return
        ask, answer = os.pipe(), os.pipe()
        if os.fork():
            os.close(ask[0])
            os.close(answer[1])
            self.others.append((ask[1], answer[0]))
            return
        for pipe_in in (ask[1], *(one for one, _ in self.others)):
            os.close(pipe_in)
        try:
            self.answer(root, ask[0], answer[1])
        finally:
            os._exit(0)

    def answer(self, root: str, ask: int, answer: int) -> None:
        """What such a process does."""
        call("unshare", NEW_NAMESPACE)
        if flags := self.random.choice((0, SLAVE, PRIVATE)):
            call("mount", None, "/", None, flags | REC, None)
        proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        looker = Looker(proc, self.top)
        with suppress(OSError):  # the directory is a link that leads nowhere, or in a circle
            os.chroot(root)
            os.chdir("/")
            looker = Looker(proc, "/")
        while os.read(ask, 1):
            said = json.dumps(list(looker.disagreements())).encode() + b"\n"
            while said:
                said = said[os.write(answer, said) :]

    @staticmethod
    def asked(pipes: tuple[int, int]) -> list[str]:
        """What a container found."""
        os.write(pipes[0], b"?")
        said = b""
        while not said.endswith(b"\n"):
            said += os.read(pipes[1], 1 << 16)
        return [str(one) for one in json.loads(said)]


def main(folder: str, first: int, count: int) -> None:
    """Print the disagreements of each sequence as JSON lines, the last of them what was compared."""
    for seed in range(first, first + count):
        if child := os.fork():
            assert os.waitpid(child, 0)[1] == 0, f"sequence {seed} did not end"
            continue
        call("unshare", NEW_NAMESPACE)
        said = list(Sequence(seed, folder).run())
        sys.stdout.write(json.dumps([seed, *said]) + "\n")
        sys.stdout.flush()
        os._exit(0)


def namespace() -> tuple[str, ...]:
    return ("unshare", "-m", "--propagation", "private") if os.geteuid() == 0 else ("unshare", "-Urm", "--propagation", "private")


def test_every_path_shows_what_statx_says_after_each_of_many_random_steps(tmp_path: Path, component: Callable[[str], None]) -> None:
    component("userns")
    first = random.randrange(1 << 30)
    argv = (*namespace(), sys.executable, __file__, str(tmp_path), str(first), str(SEQUENCES))
    done = subprocess.run(argv, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}, capture_output=True, text=True, timeout=3000, check=False)
    assert done.returncode == 0, done.stderr
    sequences = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(sequences) == SEQUENCES
    assert [f"sequence {seed}: {one}" for seed, *wrong, _ in sequences for one in wrong] == []
    assert sum(int(compared) for *_, compared in sequences) > SEQUENCES * STEPS * 10


class Host:
    """Disks in the namespace of an engine, and its containers that bind some directory of theirs."""

    def __init__(self, engine: DockerEngine, top: Path, chosen: random.Random) -> None:
        self.engine, self.random, self.containers = engine, chosen, list[str]()
        self.places = [str(one) for one in (top, top / "a", top / "a" / "b", top / "c")]
        top.mkdir()
        engine.inside("mount", "-t", "tmpfs", "top", str(top))

    def step(self) -> str:
        """One change, told in words. What kernel and engine refuse is no change."""
        place, other = self.random.choices(self.places, k=2)
        self.engine.inside("mkdir", "-p", *self.places)
        mounts = (
            ("mount", "-t", "tmpfs", "memory", place),
            ("mount", self.random.choice(("--bind", "--rbind")), other, place),
            ("mount", self.random.choice(("--make-shared", "--make-rshared", "--make-private")), place),
            ("umount", place),
            ("umount", "--lazy", place),
        )
        how = self.random.choice(("start", "start", "stop", *mounts))
        with suppress(DockerError):
            match how:
                case "start":
                    volume = f"{place}:/data{self.random.choice(('', ':rslave', ':ro'))}"
                    self.containers.append(self.engine("run", "--detach", "--network", "none", "--volume", volume, IMAGE, "sleep", "600"))
                case "stop" if self.containers:
                    self.engine("rm", "--force", self.containers.pop(self.random.randrange(len(self.containers))))
                case (*argv,):
                    self.engine.inside(*argv)
        return f"{how} {place}"

    def compared(self) -> Iterator[tuple[str, str, str]]:
        """Each path of each container, the device that its table tells of, and the one that stat says."""
        for container in self.containers:
            pid = self.engine("inspect", "--format", "{{.State.Pid}}", container)
            table = MountTable.parse(Path(f"/proc/{pid}/mountinfo").read_bytes(), where=container)
            for path in {"/", "/data", "/data/a", "/data/a/b", "/data/b", "/data/c", *(mount.mountpoint for mount in table.mounts)}:
                with suppress(OSError):
                    device = os.stat(f"/proc/{pid}/root{path}").st_dev
                    shown = table.showing(path)
                    yield path, shown.device_number if shown else "", f"{os.major(device)}:{os.minor(device)}"


def test_containers_that_come_and_go_between_random_mounts_show_what_their_table_says(tmp_path: Path, component: Callable[[str], None]) -> None:
    component("docker")
    if os.environ.get("INTERLOCK_PROFILE") != "prove":
        pytest.skip("takes a quarter of a minute: INTERLOCK_PROFILE=prove runs it")
    seed, done, compared = random.randrange(1 << 30), list[str](), 0
    with docker_engine(own_mounts=True) as engine:
        host = Host(engine, tmp_path / "disks", random.Random(seed))
        for _ in range(60):
            done.append(host.step())
            for path, told, seen in host.compared():
                assert told == seen, (path, seed, done)
                compared += 1
    assert compared > 500


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
