"""How does examples/platform become a site of this machine? A private copy in examples/platform/run, with state on a disk that every user has.

    python -m tools.demo_site            lay it out where it is missing (`make site`)
    python -m tools.demo_site --fresh    lay it out anew; the reports of earlier runs stay

The site is healthy: every guardrail of a preflight holds. Nothing is started. State lies in memory (/dev/shm, a real tmpfs mount), so that a mount
guardrail has a real disk to look at without root; `tools.demo` starts PostgreSQL and the app beside it.
"""

from __future__ import annotations

import argparse
import fcntl
import gzip
import io
import json
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "platform"
RUN = EXAMPLE / "run"
PEOPLE = ("planner", "approver")
KEPT = "reports"
KEPT_FILE = ".site.json"
OLD_RELEASE, NEW_RELEASE = "2026.11.1", "2026.11.2"
ROOM_FOR_POSTGRES_BYTES = 200_000_000
FIT_FOR = timedelta(hours=12)  # then its backups are soon too old for its own guardrails


class DemoError(Exception):
    """The demo cannot go on here; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSite:
    """The demo site of this machine. `run` is its folder; `memory` its private folder on a disk in memory; `port` the app's, on loopback; `quiet_port` one
    where nobody may listen."""

    run: Path
    memory: Path
    port: int
    quiet_port: int

    @property
    def state(self) -> Path:
        """STATE_DIR of the app."""
        return self.memory / "state"

    @property
    def data(self) -> Path:
        """DATA_DIR of the app."""
        return data_of(self.run, self.memory)

    @property
    def backups(self) -> Path:
        """Where the backups of the module `ledger` lie."""
        return self.run / "backups" / "ledger"

    @property
    def servers(self) -> Path:
        """Where PostgreSQL keeps its data and sockets: in memory when that disk is big enough, else below /tmp. Short: a socket's path has 107 bytes."""
        disk = os.statvfs(self.memory)
        if disk.f_blocks * disk.f_frsize > ROOM_FOR_POSTGRES_BYTES:
            return self.memory / "pg"
        return Path(f"/tmp/{self.memory.name}-pg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A mount: where it is, and what mountinfo says that it is made of (of a disk in memory `tmpfs` mostly, `shm` in containers)."""

    mountpoint: Path
    source: str
    fstype: str = "tmpfs"
    root: str = "/"


def disk_of(path: Path) -> Disk:
    """The mount that a path shows."""
    from interlock.facts.mounts import MountTable

    shown = MountTable.parse(Path("/proc/self/mountinfo").read_bytes(), where="/proc/self/mountinfo").showing(os.path.realpath(path))
    if shown is None:
        raise DemoError(f"nothing is mounted where {path} lies")
    return Disk(mountpoint=Path(shown.mountpoint), source=shown.source, fstype=shown.fstype, root=shown.root)


def memory_disk() -> Disk:
    """A tmpfs mount that an ordinary user may write to. Raises DemoError when this machine has none."""
    mounted = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        mounted[before.split()[4]] = after.split()[:2]
    for candidate in (Path("/dev/shm").resolve(), Path(f"/run/user/{os.getuid()}")):
        fstype, source = mounted.get(str(candidate), ("", ""))
        if fstype == "tmpfs" and os.access(candidate, os.W_OK):
            return Disk(mountpoint=candidate, source=source)
    raise DemoError(
        "no disk in memory: neither /dev/shm nor /run/user/<uid> is a tmpfs mount that you may write to\n"
        "  why: the demo's state disk must be a real mount, or its mount guardrail would look at nothing\n"
        "  remedy: mount -t tmpfs tmpfs /dev/shm (as root), or start a container with --tmpfs /dev/shm"
    )


def private_folder(path: Path, mode: int = 0o700) -> Path:
    """`path`, made with `mode`, or found as a folder that is ours and that nobody else may write to. Raises DemoError otherwise."""
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        seen = path.lstat()
        if path.is_symlink() or not path.is_dir() or seen.st_uid != os.getuid() or seen.st_mode & 0o022:
            raise DemoError(f"{path} is not a private folder of yours: remove it") from None
    path.chmod(mode)
    return path


def memory_of(run: Path) -> Path:
    """The private folder in memory that belongs to the site in `run`, made where it is missing."""
    # root's servers run as nobody, who must pass through to his own private folders
    return private_folder(memory_disk().mountpoint / f"interlock-{os.getuid()}-{zlib.crc32(bytes(run)):08x}", 0o711 if os.getuid() == 0 else 0o700)


def data_of(run: Path, memory: Path) -> Path:
    """Where the app has its data: on the root disk, which covers nothing. What another disk hides only root can see, and the demo is for everybody.

    In the site's folder where that is on the root disk, or no other place is.
    """
    places = (run / "data", Path(f"/var/tmp/{memory.name}-data"))
    return next((place for place in places if disk_of(place.parent).mountpoint == Path("/")), places[0])


@contextmanager
def alone(run: Path) -> Iterator[None]:
    """Nobody else lays out or uses the site in `run` meanwhile. Raises DemoError when somebody does."""
    folder = os.open(memory_of(run), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise DemoError(f"another demo is using {run}: wait until it has ended") from None
    finally:
        os.close(folder)


def find(run: Path) -> DemoSite | None:
    """The site that was laid out in `run` before, or None when there is none, its memory was emptied (by a reboot), or its backups are too old by now."""
    site, laid_out = _kept(run), run / KEPT_FILE
    fit = site is not None and site.state.is_dir() and datetime.fromtimestamp(laid_out.stat().st_mtime, UTC) > datetime.now(UTC) - FIT_FOR
    return site if fit else None


def _kept(run: Path) -> DemoSite | None:
    try:
        kept = json.loads((run / KEPT_FILE).read_text())
        return DemoSite(run=run, memory=Path(kept["memory"]), port=kept["port"], quiet_port=kept["quiet_port"])
    except (FileNotFoundError, ValueError, KeyError):
        return None


def lay_out(run: Path, *, released: bool = False) -> DemoSite:
    """A fresh, healthy demo site in place of whatever is there; the reports of earlier runs stay. `released`: its instances have the new release already."""
    memory, before = memory_of(run), _kept(run)
    site = DemoSite(run=run, memory=memory, port=_free_port(before.port if before else 0), quiet_port=_free_port(before.quiet_port if before else 0))
    for old in (site.state, site.data, site.servers):
        shutil.rmtree(old, ignore_errors=True)
    private_folder(run)
    for old in run.iterdir():
        if old.name != KEPT:
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
    _copy_tree(site)
    _render_site_file(site)
    _make_state(site)
    _make_instances(site, NEW_RELEASE if released else OLD_RELEASE)
    _make_keys(site)
    _make_backups(site)
    (run / KEPT_FILE).write_text(json.dumps({"memory": str(memory), "port": site.port, "quiet_port": site.quiet_port}))
    return site


def remove(run: Path) -> None:
    """Take away the site, its disks and its reports."""
    memory = memory_of(run)
    for old in (data_of(run, memory), memory, run):
        shutil.rmtree(old, ignore_errors=True)


def _free_port(wanted: int) -> int:
    """A free port on loopback: `wanted`, so that the site file stays the same between demos, unless somebody has it."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            free: int = probe.getsockname()[1]
            return free
    raise DemoError("there is no free port on 127.0.0.1")


def _copy_tree(site: DemoSite) -> None:
    shutil.copytree(EXAMPLE, site.run, dirs_exist_ok=True, ignore=shutil.ignore_patterns("run", "__pycache__", "*.in"))


def _render_site_file(site: DemoSite) -> None:
    text = (EXAMPLE / "interlock.yaml.in").read_text()
    owner, disk = pwd.getpwuid(os.getuid()).pw_name, memory_disk()
    data = disk_of(site.data.parent)
    here = {
        "RUN": site.run,
        "STATE": site.state,
        "DISK": disk.mountpoint,
        "DEVICE": disk.source,
        "OWNER": owner,
        "PORT": site.port,
        "QUIET_PORT": site.quiet_port,
    }
    here |= {"DATA": site.data, "DATA_DISK": data.mountpoint, "DATA_DEVICE": data.source}
    for name, value in here.items():
        text = text.replace(f"@{name}@", str(value))
    (site.run / "interlock.yaml").write_text(text)
    (site.run / "mounts-at-boot").write_bytes(_fstab(data))


def _fstab(disk: Disk) -> bytes:
    """A line that brings the data disk back. The machine's own has none where its root is a container's, or the checkout is mounted into one."""
    from interlock.facts.fstab import FstabEntry

    shows = () if disk.root == "/" else (f"{'subvol' if disk.fstype == 'btrfs' else 'X-mount.subdir'}={disk.root}",)
    line = FstabEntry(line=1, spec=disk.source, mountpoint=str(disk.mountpoint), fstype=disk.fstype, options=shows)
    return line.render() + b"\n"


def _make_state(site: DemoSite) -> None:
    for folder in (site.state, site.state / "receipts", site.state / "statements", site.data):
        private_folder(folder)
    write_private(site.state / "session_secret", secrets.token_hex(32).encode())
    for folder in (site.state, private_folder(site.run / "config")):
        (folder / "limits.yaml").write_text("entries_per_day: 1000\nlargest_amount: 100000\n")


def _make_instances(site: DemoSite, release: str) -> None:
    """What a release left on the instances."""
    for instance in ("main", "spare"):
        folder = site.run / "instances" / instance
        folder.mkdir(parents=True)
        for canonical in ("nginx.conf", "app.env"):
            agreed = (EXAMPLE / "canonical" / instance / canonical).read_text()
            (folder / canonical).write_text(agreed.replace(NEW_RELEASE, release))
        (folder / "app.env").chmod(0o640)
        example = (EXAMPLE / "compose" / "example.env").read_text()
        here = {
            "instances/main": f"instances/{instance}",
            "/srv/platform/data": str(site.data),
            "/srv/platform": str(site.run),
            "=/data-state": f"={site.state}",
        }
        for name, value in here.items():
            example = example.replace(name, value)
        (folder / ".env").write_text(example)
    shutil.copyfile(site.run / "instances" / "main" / ".env", site.run / ".env")
    shutil.copyfile(EXAMPLE / "canonical" / "prometheus.yml", site.run / "instances" / "main" / "prometheus.yml")


def _make_keys(site: DemoSite) -> None:
    """Two throw-away people, each with a home and a key: one plans, one approves."""
    people = private_folder(site.run / "people")
    allowed = []
    for person in PEOPLE:
        key = private_folder(private_folder(people / person) / ".ssh") / "id_ed25519"
        subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{person}@platform", "-f", str(key)), check=True, capture_output=True, timeout=30)
        kind, public, _ = key.with_suffix(".pub").read_text().split()
        allowed.append(f'{person}@platform namespaces="interlock" {kind} {public}\n')
    (people / "allowed_signers").write_text("".join(allowed))


def _make_backups(site: DemoSite) -> None:
    """What the backup jobs left: three nights of class E archives, and a dump of the database; private from the first byte."""
    for folder in (site.backups.parent, site.backups, site.backups.with_name("postgres")):
        private_folder(folder)
    newest = datetime.now(UTC) - timedelta(hours=1)
    for nights in (2, 1, 0):
        taken = newest - timedelta(days=nights)
        _write_backup(site.backups / f"ledger-{taken:%Y%m%dT%H%M%SZ}.tar.gz", taken, _archive(taken))
    dump = gzip.compress((EXAMPLE / "app" / "dump.sql").read_bytes(), mtime=0)
    _write_backup(site.backups.with_name("postgres") / f"postgres-{newest:%Y%m%dT%H%M%SZ}.sql.gz", newest, dump)


def _archive(taken: datetime) -> bytes:
    """Three receipts and one statement, as the job archives them."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, text in [*((f"receipts/{number:08d}.json", {"id": number, "amount": 100 * number}) for number in (1, 2, 3)), ("statements/alice.json", {})]:
            content = json.dumps(text).encode()
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), 0o600, int(taken.timestamp())
            archive.addfile(member, io.BytesIO(content))
    return raw.getvalue()


def _write_backup(path: Path, taken: datetime, content: bytes) -> None:
    write_private(path, content)
    os.utime(path, (taken.timestamp(), taken.timestamp()))


def write_private(path: Path, content: bytes) -> None:
    """A new file that is 0600 from its first byte."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.write(content)


def main(argv: Sequence[str] | None = None) -> int:
    """Lay the site out, or leave the one that is there."""
    parser = argparse.ArgumentParser(description="Lay out the demo site in examples/platform/run.")
    parser.add_argument("--fresh", action="store_true", help="lay it out anew also when it is there")
    parser.add_argument("--remove", action="store_true", help="take it away instead, reports included")
    parser.add_argument("--run", type=Path, default=RUN, metavar="FOLDER", help="where to lay it out (default: examples/platform/run)")
    given = parser.parse_args(argv)
    run: Path = given.run.resolve()
    try:
        with alone(run):
            if given.remove:
                remove(run)
            elif given.fresh or find(run) is None:
                print(f"site: laid out in {run}, state in {lay_out(run).state}")
    except DemoError as error:
        print(f"site: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
