"""What can be looked at on a host? A closed set of read-only looks, so that one probe answers all of them in one round trip.

`interlock.observe.<family>` says which looks a subject needs; the probe (`interlock/observe/probe.py`) answers; `HostFacts` keeps the answers, frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from stat import S_ISDIR
from typing import NamedTuple

from interlock.errors import CouldNotLook
from interlock.nouns import dataclass


@dataclass(frozen=True, slots=True, order=True)
class ReadFile:
    """The bytes of one regular file; more than `limit` bytes is a failed look, never a truncated answer."""

    path: str
    limit: int = field(default=4 * 1024 * 1024, compare=False)


@dataclass(frozen=True, slots=True, order=True)
class Stat:
    """`lstat` of one path, and where it really leads (`realpath`). A path that does not exist is an answer (`present` False), not a failure."""

    path: str


@dataclass(frozen=True, slots=True, order=True)
class Mounts:
    """The host's mount table: mountinfo read once, device numbers of the sources, and the links below /dev/disk/by-*."""


@dataclass(frozen=True, slots=True, order=True)
class User:
    """The uid of a user name on that host; an unknown name is an answer (None)."""

    name: str


@dataclass(frozen=True, slots=True, order=True)
class Walk:
    """Every entry below a directory, itself included, without following links, `root` among them. What is mounted below it is walked too, and its
    listings say so by their `device`."""

    root: str


@dataclass(frozen=True, slots=True, order=True)
class Space:
    """Free bytes and inodes of the file system that a path is on (links followed), as an ordinary user may use them (statvfs)."""

    path: str


@dataclass(frozen=True, slots=True, order=True)
class ReadFolder:
    """The bytes of every regular file directly in a directory whose name ends with one of `suffixes` (all when empty), links followed: crontabs, units.

    Left out, as cron and systemd do: hidden ones, what an editor or dpkg left behind (`x~`, `#x#`, `x.dpkg-old`), directories and other things, links that lead
    nowhere. A link to /dev/null, as a masked unit is, is a file without bytes. A directory that does not exist is an answer (no files); more than 2,000
    files or 8 MiB is a failed look, a file of more than 1 MiB is `unread`.
    """

    path: str
    suffixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class List:
    """The names and modes of what is directly in a directory, links not followed: the volumes of an engine, without what is in them."""

    path: str


@dataclass(frozen=True, slots=True, order=True)
class Secret:
    """Is a secret file there, not blank, and readable as its `format` (text, json, pem, hex, base64)? Judged where it lies: its bytes never leave the host.

    Links are followed, and mode, owner and size are those of the file that they lead to: it is what somebody could read. A link that leads nowhere is an
    absent secret. hex and base64 may have line breaks; base64 may be of the URL alphabet and go without padding.
    """

    path: str
    format: str = "text"


@dataclass(frozen=True, slots=True, order=True)
class Examine:
    """The newest backup of a directory, read to its end on its host: what it is, its sha256, and whether it is whole. The bytes never leave the host.

    It is the newest regular file directly in `folder`, by its mtime, and every file whose name has the same time stamp (`20261120T210000Z`,
    `2026-11-20_21-00-00`, `2026-11-20`, `1732136400`). Left out are hidden files, manifests, checksums and signatures, logs and READMEs, and what is still
    being written (`.part`, `.tmp`). Reading takes the time that one look may take, a third of the host's `timeout`; more is a failed look (`timeout`).
    """

    folder: str


@dataclass(frozen=True, slots=True, order=True)
class Engine:
    """The containers, volumes and version of a container engine (Docker, or Podman's compatible one), through its API socket.

    Of environment variables the names are kept, and the values of `variables` alone: the others may be secrets. Labels whose name says that they hold
    one, and passwords among the options of volumes, are `***`. A container that goes away meanwhile is left out. All is cut on the engine's host.

    With `views`, each running container is looked at through its own namespaces too (/proc/PID), which needs no tool in its image: its mount table, whose its
    first process is, and what each of its mounts, each absolute path among the values of `variables`, and each of `places` shows inside of it.
    """

    socket: str
    variables: tuple[str, ...] = ()
    views: bool = False
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Shadows:
    """What lies hidden below the mountpoints at and below these directories, links followed: names and bytes of what is in the directory that a mount covers.

    Seen through a bind, without what is mounted below it, of the mount that the mountpoint lies on, in a mount namespace of its own that ends with the look;
    needs CAP_SYS_ADMIN where there is something to look below. Left out are mounts of files, those below /dev, /proc, /sys and /run/user, and below a directory
    that was asked for those of container engines (overlay, shm, nsfs).
    """

    roots: tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class Owners:
    """Whom everything at and below a directory belongs to, what is mounted below it too. Links are not followed, but for those that lead to the directory
    itself. `lost+found` of root at the top of a file system is left out. At most `most` entries are counted, then the answer says that it is not `complete`."""

    root: str
    most: int = 1_000_000


Look = ReadFile | Stat | Mounts | User | Walk | Space | ReadFolder | List | Secret | Examine | Engine | Shadows | Owners


class Entry(NamedTuple):
    """One directory entry. `mode` is the full st_mode; sizes in bytes, `mtime` in whole seconds since the epoch (UTC).

    `acl` is the text of an extended ACL, as setfacl takes it but with numbers for names (`user::rw-,user:1000:r--,group::---,mask::r--,other::---`),
    else empty: an ACL needs group bits to take effect (they are its mask), so it is only read where one of them is set (acl(5), "correspondence
    between ACL entries and file permission bits"). A directory's default ACL, which new files inherit, is always read: its entries begin `default:`.
    `target` is what a symbolic link says, empty for everything else.
    """

    name: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    links: int
    acl: str = ""
    target: str = ""


class Listing(NamedTuple):
    """One directory of a walk: its path, its own entry (name empty), and its entries. `error` is set when it could not be listed (then no entries);
    it is an errno name or a word, a colon and the system's text.

    Directories among `entries` have a listing of their own later in the same walk. A large directory comes in several listings, one after the other, so
    that a walk never holds more than some thousand entries. `device` is `major:minor` of the file system that the directory is on. `vanished` are
    names that were there and then were not; `.` is the directory itself, gone before it could be entered.
    """

    directory: str
    itself: Entry
    entries: list[Entry]
    error: str = ""
    device: str = ""
    vanished: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StatAnswer:
    """What `Stat` saw: the path itself, links not followed. `device` is `major:minor` of st_dev after following links, `realpath` where the path leads;
    both empty when absent, and `device` empty for a link that leads nowhere."""

    present: bool
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    device: str = ""
    realpath: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MountsAnswer:
    """What `Mounts` saw. `mountinfo` is the raw text; `devices` maps each mount source and each link target below /dev to its `major:minor` (st_rdev);
    `links` maps `by-label/state` and the like to the device path that it leads to."""

    mountinfo: bytes
    devices: Mapping[str, str]
    links: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceAnswer:
    """What `Space` saw: bytes and inodes that a user who is not root can still use, and the totals. `inodes_total` 0: the file system does not count them.
    `immutable`: nobody can make a file in the directory (`chattr +i`); False where that cannot be told."""

    bytes_free: int
    bytes_total: int
    inodes_free: int
    inodes_total: int
    read_only: bool
    immutable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderAnswer:
    """What `ReadFolder` saw: the files in the order of their names, and those that could not be read, with why."""

    files: Mapping[str, bytes]
    unread: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAnswer:
    """What `List` saw: the full st_mode of each entry by its name."""

    modes: Mapping[str, int]

    @property
    def directories(self) -> tuple[str, ...]:
        """The names of the directories, sorted."""
        return tuple(sorted(name for name, mode in self.modes.items() if S_ISDIR(mode)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretAnswer:
    """What `Secret` saw; `fault` is empty when it can be read as its format, else says what is wrong with it without quoting it: one that is `blank`, is
    no regular file or has more than 1 MiB has a fault in every format. `mode`: permission bits."""

    present: bool
    regular: bool = False
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    blank: bool = False
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One file of a backup, read to its end. `format`: `tar`, `pg-custom`, `pg-plain`, `rdb` or `unknown`, and `compression`: `gzip`, `zstd` or empty.

    `whole` is True when it was read to its end and nothing was wrong, False with `fault` when something was, None with `fault` when it could not be told
    (no zstd, pg_restore or redis-check-rdb on the host, an unknown format, another packer). `members` counts what is in it: entries of an archive, entries
    of a dump's table of contents, tables of a plain dump; `names` are the first of them, at most 10,000: paths of an archive, `TABLE public.orders` of a
    dump. `notes` are what a dump says of itself: `server_version` and `dumped_by` (versions), `database` (those of a cluster with a comma and a blank
    between), `globals` ("roles" when roles are in it), `large_objects` ("yes"). `sha256` is `sha256:<hex>`. `manifest` is the text of what
    lies beside it and vouches for it: `NAME.json`, or the line for it in `NAME.sha256` or `SHA256SUMS`; empty when there is none.
    """

    name: str
    size: int
    mtime: int
    sha256: str = ""
    format: str = ""
    compression: str = ""
    whole: bool | None = None
    fault: str = ""
    members: int = 0
    names: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    manifest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamineAnswer:
    """What `Examine` saw: the files of the newest backup, the newest first; none when the directory holds no backup or is not there."""

    files: tuple[Examined, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAnswer:
    """What `Engine` saw: the engine's version, and its containers and volumes as its API describes them (`/containers/json?all=1` and each `/json`,
    `/volumes`), reduced to what `interlock.facts.engine` reads and with the environment cut as `Engine` says. JSON, kept as text."""

    content: bytes


class Shadow(NamedTuple):
    """What one mount covers. `parent` is the mountpoint of the mount that the covered directory lies on; the same as `mountpoint` where all of that mount is
    covered. `names` are paths below the mountpoint, the first 200 in their order, directories behind everything else and with a slash behind them.
    `entries` and `bytes` count all that is no directory, `complete` is False where there was too much to count. `error` says why it could not be looked at
    wholly (`ENOENT: ...`)."""

    mountpoint: str
    parent: str
    names: tuple[str, ...] = ()
    entries: int = 0
    bytes: int = 0
    complete: bool = True
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowsAnswer:
    """What `Shadows` saw, one for each mountpoint, in the order of their paths."""

    shadows: tuple[Shadow, ...]


class OwnedFiles(NamedTuple):
    """What belongs to one user below a directory: how many entries, and the first 100 of their paths below it (`.` is the directory itself)."""

    uid: int
    entries: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnersAnswer:
    """What `Owners` saw, in the order of the uids. `unread` are directories that could not be listed, with why, the first 100."""

    owners: tuple[OwnedFiles, ...]
    complete: bool
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FailedLook:
    """The look could not be made: the errno name or a word (`timeout`, `too-large`, `not-regular`, `no-tool`, `unsettled`,
    `engine-closed`, `engine-absent`), and the system's text."""

    code: str
    text: str


Answer = (
    bytes
    | StatAnswer
    | MountsAnswer
    | SpaceAnswer
    | FolderAnswer
    | ListAnswer
    | SecretAnswer
    | ExamineAnswer
    | EngineAnswer
    | ShadowsAnswer
    | OwnersAnswer
    | int
    | None
    | FailedLook
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """All that was seen of one host in one round trip, frozen. `taken_at` is RFC 3339 UTC by our own clock, from before the first look; `user` is who
    looked (`root`, `deploy`). `answers` has a `FailedLook` for a walk whose root could not be walked; the listings of the others come from `walks`.

    Every accessor raises `CouldNotLook`, naming the path and what would help, when the look failed or was never made.
    """

    host: str
    taken_at: str
    user: str
    answers: Mapping[Look, Answer]
    walks: Callable[[str], Iterator[Listing]]
    replayed: bool = False

    def read(self, path: str) -> bytes:
        """The bytes of a file."""
        answer = self._answer(ReadFile(path), path)
        assert isinstance(answer, bytes)
        return answer

    def stat(self, path: str) -> StatAnswer:
        """The lstat of a path, present or not."""
        answer = self._answer(Stat(path), path)
        assert isinstance(answer, StatAnswer)
        return answer

    def mounts(self) -> MountsAnswer:
        """The mount table as read."""
        answer = self._answer(Mounts(), "/proc/self/mountinfo")
        assert isinstance(answer, MountsAnswer)
        return answer

    def uid(self, name: str) -> int | None:
        """The uid of a user, None when that host knows no such name."""
        answer = self._answer(User(name), f"user {name}")
        assert answer is None or isinstance(answer, int)
        return answer

    def space(self, path: str) -> SpaceAnswer:
        """The free space of the file system that a path is on."""
        answer = self._answer(Space(path), path)
        assert isinstance(answer, SpaceAnswer)
        return answer

    def folder(self, path: str, suffixes: tuple[str, ...] = ()) -> FolderAnswer:
        """The files directly in a directory."""
        answer = self._answer(ReadFolder(path, suffixes), path)
        assert isinstance(answer, FolderAnswer)
        return answer

    def entries(self, path: str) -> ListAnswer:
        """What is directly in a directory, by name."""
        answer = self._answer(List(path), path)
        assert isinstance(answer, ListAnswer)
        return answer

    def secret(self, path: str, format_: str) -> SecretAnswer:
        """What a secret file is like, without its bytes."""
        answer = self._answer(Secret(path, format_), path)
        assert isinstance(answer, SecretAnswer)
        return answer

    def examine(self, folder: str) -> ExamineAnswer:
        """The newest backup of a directory, and whether it is whole."""
        answer = self._answer(Examine(folder), f"the newest backup in {folder}")
        assert isinstance(answer, ExamineAnswer)
        return answer

    def engine(self, look: Engine) -> EngineAnswer:
        """What a container engine runs."""
        answer = self._answer(look, look.socket)
        assert isinstance(answer, EngineAnswer)
        return answer

    def shadows(self, roots: tuple[str, ...]) -> ShadowsAnswer:
        """What the mounts at and below these directories cover."""
        answer = self._answer(Shadows(roots), f"what is hidden below {' and '.join(roots)}")
        assert isinstance(answer, ShadowsAnswer)
        return answer

    def owners(self, root: str) -> OwnersAnswer:
        """Whom everything below a directory belongs to."""
        answer = self._answer(Owners(root), f"who owns what is below {root}")
        assert isinstance(answer, OwnersAnswer)
        return answer

    def walk(self, root: str) -> Iterator[Listing]:
        """The directories below `root`, top down, streamed; the first listing is `root` itself, and each call streams anew. Raises when it is drained."""
        answer = self.answers.get(Walk(root))
        if isinstance(answer, FailedLook):
            raise self._failed(answer, root)
        yield from self.walks(root)

    def _answer(self, look: Look, what: str) -> Answer:
        try:
            answer = self.answers[look]
        except KeyError:
            raise CouldNotLook(f"{what} was not looked at", where=self.host, why="these facts were taken for other checks", remedy="observe again") from None
        if isinstance(answer, FailedLook):
            raise self._failed(answer, what)
        return answer

    def _failed(self, failed: FailedLook, what: str) -> CouldNotLook:
        return CouldNotLook(
            f"{what} could not be looked at: {failed.text}", where=self.host, why=f"looked as {self.user}", remedy=remedy_for(failed.code, self.user)
        )


_REMEDIES = {
    "ENOENT": "create it, or correct the path in the site file",
    "ENOTDIR": "correct the path in the site file",
    "ELOOP": "name the place that the link leads to in the site file",
    "not-regular": "correct the path in the site file",
    "too-large": "point the site file at a smaller file",
    "timeout": "raise the host's `timeout`, or look why the path hangs (a dead network mount?)",
    "engine-absent": "start the container engine, or correct the path of its socket in the site file",
    "EPROTO": "see that the socket is that of a Docker or Podman engine",
    "no-tool": "install python3 on the host",
    "unsettled": "observe again when nothing writes there, or install python3 on the host",
}


def remedy_for(code: str, user: str) -> str:
    """What an operator can do about a failed look; `code` is an errno name or a probe's word."""
    if code == "engine-closed":
        return f"let {user} use the engine (group `docker`, which is as good as root), or set `become: sudo -n` for this host"
    if code in ("EACCES", "EPERM"):
        return f"let {user} read it, or set `become: sudo -n` for this host"
    return _REMEDIES.get(code, "look at the path on the host")
