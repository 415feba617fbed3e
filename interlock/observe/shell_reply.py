"""What did `probe.sh` answer? Its records are the words of stat, find, od and readlink; here they become the same answers that probe.py gives.

A record is its kind, the number of its look and other single words, then text as the tool wrote it. Whatever is not exactly so raises ValueError. A
complaint of a tool that nobody can explain makes the look fail: half a walk is no walk.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from interlock.facts.looks import (
    Answer,
    Entry,
    FailedLook,
    FolderAnswer,
    List,
    ListAnswer,
    Look,
    MountsAnswer,
    ReadFile,
    ReadFolder,
    Secret,
    SecretAnswer,
    SpaceAnswer,
    Stat,
    StatAnswer,
    Walk,
)
from interlock.observe import probe
from interlock.patterns import regex

HELD_LIMIT = 200_000  # find mixes the entries of several directories, so a walk is sorted in memory before it is written
_MUSL_WORDS = {"I/O error": "EIO", "Symbolic link loop": "ELOOP"}
_WORDS = {os.strerror(number): name for number, name in errno.errorcode.items()} | _MUSL_WORDS
_VANISHED = regex(rb"\w+: (?:can(?:not|'t) \w+ )?'?(?P<path>/.*?)'?: No such file or directory", re.DOTALL)
_ABSENT = ("ENOENT", "ENOTDIR")
_NOWHERE = (*_ABSENT, "ELOOP")


def failed_look(words: bytes) -> FailedLook:
    """The code and text of a tool's complaint, like `stat: cannot stat '/x': Permission denied`."""
    text = words.decode("utf-8", "replace").strip()
    reason = text.rpartition(": ")[2]
    return FailedLook(_WORDS[reason], reason) if reason in _WORDS else FailedLook("failed", text[:500] or "a tool failed without a word")


def device_text(number: int) -> str:
    """`major:minor` of the device number that stat prints. Source: gnu_dev_major and gnu_dev_minor of glibc."""
    return f"{number >> 8 & 0xFFF | number >> 32 & ~0xFFF}:{number & 0xFF | number >> 12 & 0xFFFFFF00}"


def parse_acls(text: bytes) -> dict[bytes, str]:
    """The extended ACLs of `getfacl -n -p`, by path, in the words of `Entry.acl`."""
    found = {}
    for block in text.split(b"\n\n"):
        lines = [line.partition(b"\t")[0].decode("ascii", "replace").strip() for line in block.splitlines() if line and not line.startswith(b"#")]
        path = next((line[len(b"# file: ") :] for line in block.splitlines() if line.startswith(b"# file: ")), None)
        access = [line for line in lines if not line.startswith("default:")]
        kept = (access if any(line.startswith("mask:") for line in access) else []) + [line for line in lines if line.startswith("default:")]
        if path is not None and kept:
            found[probe.unescape(path)] = ",".join(kept)
    return found


@dataclass(slots=True)
class _Walked:
    """What came of one walk until now. Directories are in the order in which find met them, parents first."""

    root: bytes
    acls: dict[bytes, str] = field(default_factory=dict)
    targets: dict[bytes, str] = field(default_factory=dict)
    closed: set[bytes] = field(default_factory=set)
    vanished: dict[bytes, list[str]] = field(default_factory=dict)
    directories: dict[bytes, tuple[Entry, str]] = field(default_factory=dict)
    entries: dict[bytes, list[Entry]] = field(default_factory=dict)
    held: int = 0

    def add(self, record: bytes) -> None:
        """One line of `stat -c '%f %u %g %s %Y %h %d %n'`."""
        mode_text, uid, gid, size, mtime, links, device, path = record.removesuffix(b"\n").split(b" ", 7)
        mode = int(mode_text, 16)
        target = self.targets.get(path, "") if stat.S_ISLNK(mode) else ""
        entry = Entry("", mode, int(uid), int(gid), int(size), int(mtime), int(links), self._acl(path, mode), target)
        if stat.S_ISDIR(mode):
            self.directories[path] = (entry, device_text(int(device)))
        if path != self.root:
            parent, _, name = path.rpartition(b"/")
            self.held += 1
            if self.held <= HELD_LIMIT:
                self.entries.setdefault(parent or b"/", []).append(entry._replace(name=probe.to_text(name)))

    def _acl(self, path: bytes, mode: int) -> str:
        parts = self.acls.get(path, "").split(",")
        wanted = [part for part in parts if part and (stat.S_ISDIR(mode) if part.startswith("default:") else mode & stat.S_IRWXG)]
        return ",".join(wanted)

    def unexplained(self, complaints: bytes) -> bytes:
        """The first line that is neither about a closed directory nor about an entry that vanished, which is noted."""
        for line in complaints.splitlines():
            vanished = _VANISHED.fullmatch(line)
            if vanished is not None:
                path = vanished["path"]
                parent, _, name = path.rpartition(b"/")
                place, gone = (path, ".") if path in self.directories else (parent or b"/", probe.to_text(name))
                self.vanished.setdefault(place, []).append(gone)
            elif not any(directory + end in line for directory in self.closed for end in (b"'", b":", b"/")):
                return line
        return b""

    def broken(self) -> FailedLook | None:
        """Why this is no walk, if it is none."""
        if self.held > HELD_LIMIT:
            return FailedLook("no-tool", f"more than {HELD_LIMIT} entries, which takes python3 on that host")
        if self.root not in self.directories or not self.entries.keys() | self.vanished.keys() <= self.directories.keys():
            return FailedLook("unsettled", "directories came and went meanwhile")
        return None

    def listings(self) -> Iterator[tuple[object, ...]]:
        """As `probe.walk` gives them."""
        for path, (itself, device) in self.directories.items():
            text = probe.to_text(path)
            if path in self.closed:
                yield text, itself, [], "EACCES: Permission denied", device, ()
                continue
            entries, vanished = self.entries.get(path, []), tuple(self.vanished.get(path, ()))
            for start in range(0, len(entries) or 1, probe.CHUNK):
                yield text, itself, entries[start : start + probe.CHUNK], "", device, vanished if start == 0 else ()


def _absent(look: Look, failed: FailedLook) -> Answer:
    """The answer to a look at what is not there, where that is an answer."""
    match look:
        case Stat() if failed.code in _ABSENT:
            return StatAnswer(present=False)
        case Secret() if failed.code in _ABSENT:
            return SecretAnswer(present=False)
        case ReadFolder() if failed.code == "ENOENT":
            return FolderAnswer(files={}, unread={})
        case _:
            return None


def _secret(text: bytes) -> SecretAnswer:
    """`mode uid gid size blank fault`; the fault is `irregular` for what is no regular file."""
    mode_text, uid, gid, size, blank, fault = text.decode("ascii").split(" ", 5)
    mode = int(mode_text, 16)
    return SecretAnswer(
        present=True,
        regular=stat.S_ISREG(mode),
        mode=stat.S_IMODE(mode),
        uid=int(uid),
        gid=int(gid),
        size=int(size),
        blank=blank == "1",
        fault=probe.irregular(mode) if fault == "irregular" else fault,
    )


def _read_only(mountinfo: bytes, place: bytes) -> bool:
    """Whether the mount that shows a path, or its file system, is read-only. The last of the deepest mounts is the one that is seen."""
    found = (b"", b"")
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(b" - ")
        mountpoint, options = probe.unescape(fields.split(b" ")[4]), fields.split(b" ")[5] + b"," + rest.split(b" ")[-1]
        below = mountpoint.rstrip(b"/") + b"/"
        if (place + b"/").startswith(below) and len(below) >= len(found[0]):
            found = (below, options)
    return b"ro" in found[1].split(b",")


@dataclass(slots=True, kw_only=True)
class ShellReply:
    """The records of one reply, look after look. `answered` takes each answer, `write` each listing, packed, of a walk."""

    looks: Sequence[Look]
    answered: Callable[[int, Answer], None]
    write: Callable[[int, bytes], None]
    _kept: dict[str, bytes] = field(default_factory=dict)
    _links: dict[str, str] = field(default_factory=dict)
    _devices: dict[str, str] = field(default_factory=dict)
    _files: dict[str, bytes] = field(default_factory=dict)
    _unread: dict[str, str] = field(default_factory=dict)
    _modes: dict[str, int] = field(default_factory=dict)
    _walked: _Walked | None = None
    _link: bytes = b""

    def take(self, record: bytes) -> bool:
        """One record; True when it is the last one. Raises ValueError when it is none."""
        kind_text, number_text, text = record.split(b" ", 2)
        kind, number = kind_text.decode("ascii"), int(number_text)
        if kind == "end":
            if number != len(self.looks):
                raise ValueError(f"{number} looks were made of {len(self.looks)}")
            return True
        look = self.looks[number] if 0 <= number < len(self.looks) else None
        if look is None:
            raise ValueError(f"no look {number}")
        if kind in ("failed", "refused"):
            self._fail(number, look, kind, text)
        elif isinstance(look, Walk):
            self._take_walk(number, look, kind, text)
        elif isinstance(look, ReadFolder):
            self._take_folder(number, kind, text)
        elif isinstance(look, List):
            self._take_list(number, kind, text)
        else:
            self._take_answer(number, look, kind, text)
        return False

    def _fail(self, number: int, look: Look, kind: str, text: bytes) -> None:
        if kind == "refused":
            code, _, why = text.decode("utf-8", "replace").partition(" ")
            failed = FailedLook(code, why)
        else:
            failed = failed_look(text)
        self._done(number, _absent(look, failed) or failed)

    def _done(self, number: int, answer: Answer) -> None:
        for kept in (self._kept, self._files, self._unread, self._modes):
            kept.clear()
        self.answered(number, answer)

    def _take_answer(self, number: int, look: Look, kind: str, text: bytes) -> None:
        match kind:
            case "stat" | "device" | "nodevice" | "bytes" | "mountinfo" | "space":
                self._kept[kind] = text
            case "realpath":
                self._done(number, self._stat(text))
            case "place":
                self._done(number, self._space(text.removesuffix(b"\n")))
            case "secret":
                self._done(number, _secret(text))
            case "whole" if isinstance(look, ReadFile):
                self._done(number, self._content(look))
            case "whole":
                self._done(number, self._mounts())
            case "link":
                name, _, target = text.decode("utf-8", "surrogateescape").partition("\n")
                self._links[name] = target
            case "rdev":
                major, minor, rest = text.removesuffix(b"\n").split(b" ", 2)
                what, _, path = rest.partition(b"/")
                if what in (b"block special file", b"character special file"):
                    self._devices[probe.to_text(path)] = f"{int(major, 16)}:{int(minor, 16)}"
            case "uid":
                self._done(number, int(text))
            case "nobody":
                self._done(number, None)
            case _:
                raise ValueError(f"no record of a look: {kind}")

    def _stat(self, realpath: bytes) -> Answer:
        mode, uid, gid, size, mtime = self._kept["stat"].split(b" ")
        device = ""
        if "device" in self._kept:
            device = device_text(int(self._kept["device"]))
        elif (failed := failed_look(self._kept["nodevice"])).code not in _NOWHERE:
            return failed
        if not realpath:
            return FailedLook("ENOENT", "it is a link, and where it leads cannot be seen")
        return StatAnswer(
            present=True,
            mode=int(mode, 16),
            uid=int(uid),
            gid=int(gid),
            size=int(size),
            mtime=int(mtime),
            device=device,
            realpath=probe.to_text(realpath.removesuffix(b"\n")),
        )

    def _take_folder(self, number: int, kind: str, text: bytes) -> None:
        match kind:
            case "masked":
                self._files[probe.to_text(text)] = b""
            case "name":
                self._kept[kind] = text
            case "content":
                content = bytes.fromhex(text.decode("ascii"))
                if len(content) > probe.FOLDER_FILE_LIMIT:  # it grew meanwhile
                    self._unread[self._name()] = f"it has more bytes than the limit of {probe.FOLDER_FILE_LIMIT}"
                else:
                    self._files[self._name()] = content
            case "unread":
                self._files.pop(self._name(), None)
                self._unread[self._name()] = failed_look(text).text
            case "whole":
                self._done(number, FolderAnswer(files=dict(self._files), unread=dict(self._unread)))
            case _:
                raise ValueError(f"no record of a folder: {kind}")

    def _take_list(self, number: int, kind: str, text: bytes) -> None:
        match kind:
            case "entry":
                mode, _, name = text.partition(b" ")
                self._modes[probe.to_text(name)] = int(mode, 16)
            case "whole":
                self._done(number, ListAnswer(modes=dict(self._modes)))
            case _:
                raise ValueError(f"no record of a list: {kind}")

    def _name(self) -> str:
        return probe.to_text(self._kept["name"])

    def _space(self, place: bytes) -> Answer:
        unit, total, free, inodes, inodes_free = map(int, self._kept["space"].split(b" "))
        if not place:
            return FailedLook("ENOENT", "where it leads cannot be seen")
        return SpaceAnswer(
            bytes_free=free * unit,
            bytes_total=total * unit,
            inodes_free=inodes_free,
            inodes_total=inodes,
            read_only=_read_only(self._kept["mountinfo"], place),
        )

    def _content(self, look: ReadFile) -> Answer:
        content = bytes.fromhex(self._kept["bytes"].decode("ascii"))
        return content if len(content) <= look.limit else FailedLook("too-large", f"it has more bytes than the limit of {look.limit}")

    def _mounts(self) -> MountsAnswer:
        mountinfo = self._kept["mountinfo"]
        wanted = {probe.to_text(probe.mount_source(line)) for line in mountinfo.splitlines()} | set(self._links.values())
        devices = {path: number for path, number in self._devices.items() if path in wanted}
        return MountsAnswer(mountinfo=mountinfo, devices=devices, links=dict(self._links))

    def _take_walk(self, number: int, look: Walk, kind: str, text: bytes) -> None:
        if self._walked is None:
            self._walked = _Walked(probe.to_bytes(look.root))
        match kind:
            case "acls":
                self._walked.acls = parse_acls(text)
            case "closed":
                self._walked.closed.add(text)
            case "link":
                self._link = text
            case "target":
                self._walked.targets[self._link] = probe.to_text(text.removesuffix(b"\n"))
            case "entry":
                self._walked.add(text)
            case "walked":
                self._end_walk(number, self._walked, text)
            case _:
                raise ValueError(f"no record of a walk: {kind}")

    def _end_walk(self, number: int, walked: _Walked, text: bytes) -> None:
        code_text, _, complaints = text.partition(b" ")
        code = int(code_text)
        unexplained = walked.unexplained(complaints)
        failed = failed_look(unexplained) if unexplained else walked.broken()
        if failed is None and code and not complaints:
            failed = FailedLook("failed", f"find ended with {code} and said nothing")
        self._walked = None
        if failed is None:
            for listing in walked.listings():
                self.write(number, json.dumps(probe.pack(listing), separators=(",", ":")).encode("ascii"))
        self._done(number, failed)
