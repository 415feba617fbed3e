"""What is there on this host? The one read-only probe, which answers the closed set of looks of `interlock.facts.looks`.

Imported, it looks at this machine in process (`hosts.py`, `files.py`). Its source, sent on stdin to `python3 -I -S`, looks at another one
(`conversation.py`; `probe.sh` is its twin where there is no Python). So it needs only the standard library of Python 3.6 and imports nothing of ours.
It opens nothing for writing, asks the kernel to leave access times alone where it may, follows no link while it walks, and opens no device or FIFO.

Paths are bytes inside and text outside (UTF-8, `surrogateescape`); modes are st_mode, sizes bytes, times whole seconds.
"""

# Python 3.6: no future annotations, no walrus, no strict zip, quoted types. Bytes paths and directory descriptors: no pathlib.
# ruff: noqa: B905, PTH113, PTH116, PTH119, PTH208

import base64
import contextlib
import errno
import functools
import itertools
import json
import os
import pwd
import re
import stat
import struct
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from typing import Any

VERSION = 1
CHUNK = 5000  # entries of one listing: a directory with a million files comes in two hundred listings, and memory stays flat
BATCH = 2000  # entries handed over between threads at once (`batched`)
FOLDER_FILES = 2000  # files of one folder that are read at most, of so many bytes each and together
FOLDER_FILE_LIMIT = 1024 * 1024
LIST_LIMIT = 20000  # entries: a shell asks for each by itself
FOLDER_LIMIT = 8 * 1024 * 1024
SECRET_LIMIT = 1024 * 1024  # nobody's secret is larger
EXAMINED_FILES = 200  # files of one backup
NAMES_KEPT = 10000  # names of one file's members
MANIFEST_LIMIT = 1024 * 1024
SAID_LIMIT = 4 * 1024 * 1024  # characters of names and manifests together
ENGINE_LIMIT = 64 * 1024 * 1024  # bytes of one answer of an engine, and of what is kept of all
VIEW_LIMIT = 4 * 1024 * 1024  # bytes of the mount table of one container
VIEWS_LIMIT = 40 * 1024 * 1024  # and of all of them: JSON needs more bytes for them
LINKS_FOLLOWED = 40  # as the kernel does
BLOCK = 256 * 1024  # bytes read at once
DEPTH = 200  # each level holds a descriptor open; deeper trees are an error in their listing, not a crash at the descriptor limit

_QUIET = getattr(os, "O_NOATIME", 0)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_TAKES_CARE = stat.S_IFDIR | stat.S_IRWXG  # one test in the hot loop: directories, what may have an ACL, and links (0777); all else is done
_UTF8_NAMES = sys.getfilesystemencoding().lower().replace("-", "") == "utf8"
_SCANDIR_TAKES_FD = os.scandir in os.supports_fd  # since Python 3.7
_NO_ACL = (errno.ENODATA, errno.EOPNOTSUPP)
_ACL_TAGS = {1: "user:", 2: "user:", 4: "group:", 8: "group:", 16: "mask:", 32: "other:"}
_ACL_NAMED = (2, 8)
_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


class CouldNot(Exception):
    """A look that could not be made: `code` is an errno name or a word of ours, `text` says it to an operator."""

    def __init__(self, code: "str", text: "str") -> "None":
        super().__init__(text)
        self.code = code
        self.text = text

    @classmethod
    def because(cls, error: "OSError") -> "CouldNot":
        """The same, of a system error."""
        return cls(errno.errorcode.get(error.errno or 0, "EIO"), error.strerror or str(error))


def to_bytes(text: "str") -> "bytes":
    """A path as the kernel takes it, whatever the locale says."""
    return text.encode("utf-8", "surrogateescape")


def to_text(path: "bytes") -> "str":
    """A path as JSON and the judges take it."""
    return path.decode("utf-8", "surrogateescape")


def device_text(number: "int") -> "str":
    """`major:minor` of a device number."""
    return f"{os.major(number)}:{os.minor(number)}"


def quietly(owner: "int") -> "int":
    """O_NOATIME where the kernel allows it to us: on our own files, and as root on all."""
    return _QUIET if os.geteuid() in (0, owner) else 0


def open_quietly(path: "bytes | str", flags: "int", owner: "int", dir_fd: "int | None" = None) -> "int":
    """Open for reading without moving the access time. A root that the kernel does not take for one (user namespaces) asks a second time."""
    quiet = quietly(owner)
    try:
        return os.open(path, flags | quiet, dir_fd=dir_fd)
    except PermissionError as error:
        if not quiet or error.errno != errno.EPERM:
            raise
    return os.open(path, flags, dir_fd=dir_fd)


# --- the looks ---------------------------------------------------------------------------------------------------------------------------------


def look_read(path: "bytes", limit: "int") -> "bytes":
    """The bytes of one regular file, links followed. FIFOs and devices are not even opened: opening some of them acts."""
    seen = os.stat(path)
    _require_regular(seen.st_mode)
    descriptor = open_quietly(path, _FILE, seen.st_uid)
    try:
        seen = os.fstat(descriptor)
        _require_regular(seen.st_mode)
        if seen.st_size > limit:
            raise CouldNot("too-large", f"it has {seen.st_size} bytes, more than the limit of {limit}")
        parts = []
        room = limit + 1
        while room > 0:
            part = os.read(descriptor, min(room, 1 << 20))
            if not part:
                break
            parts.append(part)
            room -= len(part)
    finally:
        os.close(descriptor)
    if room <= 0:
        raise CouldNot("too-large", f"it has more bytes than the limit of {limit}")
    return b"".join(parts)


def _kind(mode: "int") -> "str":
    return _KINDS.get(stat.S_IFMT(mode), "something else")


def irregular(mode: "int") -> "str":
    """What is wrong with a path where a regular file belongs."""
    return f"it is {_kind(mode)}, not a regular file"


def _require_regular(mode: "int") -> "None":
    if not stat.S_ISREG(mode):
        raise CouldNot("not-regular", irregular(mode))


def look_stat(path: "bytes") -> "dict[str, Any]":
    """The fields of `StatAnswer`. What does not exist is an answer; what may not be seen raises."""
    try:
        seen = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return {"present": False}
    try:
        device = device_text(os.stat(path).st_dev)
    except (FileNotFoundError, NotADirectoryError):
        device = ""  # a link that leads nowhere
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        device = ""
    return {
        "present": True,
        "mode": seen.st_mode,
        "uid": seen.st_uid,
        "gid": seen.st_gid,
        "size": seen.st_size,
        "mtime": seen[8],
        "device": device,
        "realpath": to_text(os.path.realpath(path)),
    }


def look_mounts() -> "dict[str, Any]":
    """The fields of `MountsAnswer`: mountinfo is opened once and read to its end."""
    descriptor = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
    try:
        mountinfo = b"".join(iter(lambda: os.read(descriptor, 1 << 16), b""))
    finally:
        os.close(descriptor)
    links = {}
    devices = {}  # type: dict[str, str]
    for folder, name in _disk_links(b"/dev/disk"):
        target = os.path.realpath(folder + b"/" + name)
        links[to_text(os.path.basename(folder) + b"/" + name)] = to_text(target)
        _note_device(devices, target)
    for source in {mount_source(line) for line in mountinfo.splitlines()}:
        _note_device(devices, source)
    return {"mountinfo": mountinfo, "devices": devices, "links": links}


def mount_source(line: "bytes") -> "bytes":
    """The source of a line of mountinfo, octal escapes undone; empty when the line has none."""
    fields = line.partition(b" - ")[2].split(b" ")
    return unescape(fields[1]) if len(fields) > 1 else b""


def unescape(text: "bytes") -> "bytes":
    """The octal escapes of mountinfo and getfacl undone: a backslash and three digits are one byte."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match.group(1), 8) & 0xFF]), text)


def _disk_links(top: "bytes") -> "Iterator[tuple[bytes, bytes]]":
    try:
        folders = sorted(name for name in os.listdir(top) if name.startswith(b"by-"))
    except FileNotFoundError:  # a container, or a host without udev
        return
    for folder in folders:
        for name in sorted(os.listdir(top + b"/" + folder)):
            yield top + b"/" + folder, name


def _note_device(devices: "dict[str, str]", path: "bytes") -> "None":
    """Only what is below /dev and there; the `/dev/root` of some tables is not."""
    if path.startswith(b"/dev/"):
        try:
            seen = os.stat(path)
        except OSError:
            return
        if stat.S_ISBLK(seen.st_mode) or stat.S_ISCHR(seen.st_mode):
            devices[to_text(path)] = device_text(seen.st_rdev)


def look_user(name: "str") -> "int | None":
    """The uid of a name, None when nobody has it."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def look_space(path: "bytes") -> "dict[str, Any]":
    """The fields of `SpaceAnswer`."""
    seen = os.statvfs(path)
    return {
        "bytes_free": seen.f_bavail * seen.f_frsize,
        "bytes_total": seen.f_blocks * seen.f_frsize,
        "inodes_free": seen.f_favail,
        "inodes_total": seen.f_files,
        "read_only": bool(seen.f_flag & os.ST_RDONLY),
        "immutable": _is_immutable(path),
    }


_GET_FLAGS = (2 << 30) | (struct.calcsize("l") << 16) | (ord("f") << 8) | 1  # FS_IOC_GETFLAGS of linux/fs.h, on all but a few old machines
_IMMUTABLE = 0x10


def _is_immutable(path: "bytes") -> "bool":
    """Whether `chattr +i` keeps root too from making files in a directory; False where the file system, or a right that is missing, does not tell."""
    try:
        import fcntl

        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            flags = fcntl.ioctl(descriptor, _GET_FLAGS, b"\0" * struct.calcsize("l"))
        finally:
            os.close(descriptor)
    except (ImportError, OSError):
        return False
    return bool(struct.unpack_from("i", flags)[0] & _IMMUTABLE)


# --- folders -----------------------------------------------------------------------------------------------------------------------------------


def look_folder(path: "bytes", suffixes: "list[bytes]") -> "dict[str, Any]":
    """The fields of `FolderAnswer`: the regular files directly in a folder, by name, links followed."""
    try:
        names = sorted(name for name in os.listdir(path) if _is_wanted(name, suffixes))
    except FileNotFoundError:
        return {"files": {}, "unread": {}}
    files = {}  # type: dict[str, bytes]
    unread = {}  # type: dict[str, str]
    room = FOLDER_LIMIT
    for name in names:
        try:
            content = _read_in_folder(path.rstrip(b"/") + b"/" + name)
        except CouldNot as could_not:
            unread[to_text(name)] = could_not.text
            continue
        if content is None:
            continue
        files[to_text(name)] = content
        room -= len(content)
        if room < 0 or len(files) > FOLDER_FILES:
            raise CouldNot("too-large", f"its files have more than {FOLDER_LIMIT} bytes, or are more than {FOLDER_FILES}")
    return {"files": files, "unread": unread}


def look_list(path: "bytes") -> "dict[str, int]":
    """The st_mode of each entry of a directory, by name."""
    modes = {}  # type: dict[str, int]
    for name in os.listdir(path):
        try:
            modes[to_text(name)] = os.lstat(path.rstrip(b"/") + b"/" + name).st_mode
        except FileNotFoundError:  # it has just gone
            continue
        if len(modes) > LIST_LIMIT:
            raise CouldNot("too-large", f"it has more than {LIST_LIMIT} entries")
    return modes


def _is_wanted(name: "bytes", suffixes: "list[bytes]") -> "bool":
    """Neither hidden, nor what an editor or dpkg left behind: cron and systemd pass these over too."""
    if name.startswith((b".", b"#")) or name.endswith((b"~", b"#")) or b".dpkg-" in name:
        return False
    return not suffixes or name.endswith(tuple(suffixes))


def _read_in_folder(path: "bytes") -> "bytes | None":
    """Its bytes; a link to /dev/null is a file without any (a masked unit). None for what is no file, leads nowhere or has just gone."""
    try:
        seen = os.stat(path)
        if stat.S_ISCHR(seen.st_mode) and seen.st_rdev == os.makedev(1, 3):
            return b""
        return look_read(path, FOLDER_FILE_LIMIT) if stat.S_ISREG(seen.st_mode) else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise CouldNot.because(error) from None


# --- secrets: judged here, for their bytes go nowhere -------------------------------------------------------------------------------------------


def look_secret(path: "bytes", kind: "str") -> "dict[str, Any]":
    """The fields of `SecretAnswer`. Links are followed: what counts is who may read the file that they lead to."""
    if kind not in _SECRET_FAULTS:
        raise ValueError(f"no such format: {kind}")
    try:
        seen = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return {"present": False}
    found = {
        "present": True,
        "regular": stat.S_ISREG(seen.st_mode),
        "mode": stat.S_IMODE(seen.st_mode),
        "uid": seen.st_uid,
        "gid": seen.st_gid,
        "size": seen.st_size,
    }  # type: dict[str, Any]
    if not found["regular"]:
        return dict(found, fault=irregular(seen.st_mode))
    if seen.st_size > SECRET_LIMIT:
        return dict(found, fault=f"it has more than {SECRET_LIMIT} bytes, too many for a secret")
    content = look_read(path, SECRET_LIMIT)
    if not content.strip(_BLANKS + b"\0"):
        return dict(found, blank=True, fault="it is blank")
    return dict(found, fault=_SECRET_FAULTS[kind](content))


_BLANKS = b" \t\n\r\v\f"


def _json_fault(content: "bytes") -> "str":
    """Where it ceases to be JSON. The parser's own words are left out: some of them quote."""
    try:
        json.loads(content.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError:
        return "it is no JSON: it is not UTF-8"
    except RecursionError:
        return "it is no JSON that can be read: it is nested too deep"
    except ValueError as error:
        at = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        return "it is no JSON" + at
    return ""


def _no_constant(_: "str") -> "None":
    raise ValueError


def _hex_fault(content: "bytes") -> "str":
    digits = content.translate(None, _BLANKS)
    if digits.translate(None, b"0123456789abcdefABCDEF"):
        return "it has characters that are no hex digits"
    return "it has an odd number of hex digits" if len(digits) % 2 else ""


_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def _base64_fault(content: "bytes") -> "str":
    """Of the plain and of the URL alphabet; what has no padding at all may leave it out."""
    text = content.translate(None, _BLANKS)
    digits = text.rstrip(b"=")
    if digits.translate(None, _BASE64 + b"+/") and digits.translate(None, _BASE64 + b"-_"):
        return "it has characters that are not base64"
    padding = len(text) - len(digits)
    if len(digits) % 4 == 1 or (padding and (padding > 2 or len(text) % 4)):
        return "its length is not one that base64 has: it is cut short, or padded wrongly"
    return ""


def _pem_fault(content: "bytes") -> "str":
    """At least one block from BEGIN to its own END, with whole base64 between; what stands outside of blocks is free text."""
    if b"\0" in content:
        return "it is no PEM: it has a NUL"
    label, digits, blocks, headers = None, b"", 0, False
    for line in [line.strip(b" \t") for line in content.translate(None, b"\r\v\f").split(b"\n")]:
        if line.startswith(b"-----BEGIN ") and line.endswith(b"-----"):
            if label is not None:
                return "a PEM block begins within another one"
            label, digits, headers = line[11:-5], b"", True
        elif line.startswith(b"-----END ") and line.endswith(b"-----"):
            if line[9:-5] != label:
                return "a PEM block ends that did not begin"
            if not digits or b" " in digits or b"\t" in digits or _base64_fault(digits):
                return "a PEM block holds no whole base64"
            label, blocks = None, blocks + 1
        elif label is not None and not (headers and b":" in line):  # RFC 1421: headers, then an empty line
            headers = False
            digits += line
    if label is not None:
        return "a PEM block does not end"
    return "" if blocks else "it is no PEM: no block begins in it"


_SECRET_FAULTS = {
    "text": lambda _: "",
    "json": _json_fault,
    "pem": _pem_fault,
    "hex": _hex_fault,
    "base64": _base64_fault,
}  # type: dict[str, Callable[[bytes], str]]


# --- the newest backup: read to its end where it lies -------------------------------------------------------------------------------------------


class Damaged(Exception):
    """What was read is not whole; the text says why, and quotes nothing of it."""


class CannotTell(Exception):
    """Whether it is whole cannot be told here; the text says what would tell."""


ENDS_EARLY = "it ends in the middle"
_NO_BACKUP = re.compile(
    rb"[.].*|readme.*|(?:sha|md5)[0-9]*sums.*|.*(?:[.](?:json|sha1|sha256|sha512|md5|manifest|part|partial|tmp|lock|log|md|sig|asc|minisig)|~)",
    re.DOTALL | re.IGNORECASE,
)
_STAMP = re.compile(
    rb"(?<![0-9])(?:"
    rb"((?:19|20)[0-9]{2})[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12][0-9]|3[01])"
    rb"(?:[-_.T ]?([01][0-9]|2[0-3])[-_.:h]?([0-5][0-9])(?:[-_.:m]?([0-5][0-9]))?)?"
    rb"|(1[0-9]{9}))(?![0-9])"
)


def look_examine(folder: "bytes", until: "float") -> "list[dict[str, Any]]":
    """The fields of `Examined` of each file of the newest backup, the newest first. Raises `CouldNot` when time is up before they are read."""
    try:
        names = newest_backup(folder)
    except FileNotFoundError:
        return []
    if len(names) > EXAMINED_FILES:
        raise CouldNot("too-large", f"more than {EXAMINED_FILES} files have the time stamp of the newest one")
    room = [SAID_LIMIT]
    return [_examine_file(folder.rstrip(b"/") + b"/" + name, name, until, room) for name in names]


def newest_backup(folder: "bytes") -> "list[bytes]":
    """The newest regular file directly in a folder that can be a backup, and those with the same time stamp in their name."""
    found = []
    for name in os.listdir(folder):
        if not _NO_BACKUP.fullmatch(name):
            try:
                seen = os.lstat(folder + b"/" + name)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(seen.st_mode):
                found.append((seen.st_mtime_ns, name))
    found.sort(reverse=True)
    stamp = time_stamp(found[0][1]) if found else b""
    return [name for _, name in found if stamp and time_stamp(name) == stamp] or [name for _, name in found[:1]]


def time_stamp(name: "bytes") -> "bytes":
    """The digits of the time in a name, empty when there is none: of `db-2026-11-20T21:00.sql` it is 202611202100."""
    stamps = [b"".join(part or b"" for part in match.groups()) for match in _STAMP.finditer(name)]
    return max(stamps, key=len) if stamps else b""


def _examine_file(path: "bytes", name: "bytes", until: "float", room: "list[int]") -> "dict[str, Any]":
    try:
        seen = os.lstat(path)
        descriptor = open_quietly(path, _FILE | os.O_NOFOLLOW, seen.st_uid)
    except OSError as error:
        could_not = CouldNot.because(error)
        raise CouldNot(could_not.code, f"{to_text(name)}: {could_not.text}") from None
    try:
        seen = os.fstat(descriptor)
        _require_regular(seen.st_mode)
        raw = _Raw(descriptor, until)
        found = _examined(raw, descriptor, until, room)
        raw.drain()
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if (after.st_size, after.st_mtime_ns) != (seen.st_size, seen.st_mtime_ns) or raw.size != seen.st_size:
        found.update(whole=False, fault="it was written while it was read")
    manifest = _manifest(path, name)
    room[0] -= len(manifest)
    if room[0] < 0:
        raise CouldNot("too-large", f"names and manifests have more than {SAID_LIMIT} characters")
    return dict(found, name=to_text(name), size=seen.st_size, mtime=seen[8], sha256="sha256:" + raw.sha256.hexdigest(), manifest=manifest)


def _manifest(path: "bytes", name: "bytes") -> "str":
    """What lies beside a backup and vouches for it; empty when nothing does."""
    beside = _read_beside(path + b".json")
    if beside:
        return to_text(beside)
    for line in _read_beside(path + b".sha256").splitlines():
        if line.strip():
            return to_text(line)
    for line in _read_beside(path[: -len(name)] + b"SHA256SUMS").splitlines():
        if line.partition(b" ")[2].lstrip(b" *").rstrip(b"\r") in (name, b"./" + name):
            return to_text(line)
    return ""


def _read_beside(path: "bytes") -> "bytes":
    try:
        return look_read(path, MANIFEST_LIMIT)
    except FileNotFoundError:
        return b""
    except CouldNot:  # too large for a manifest, or no file
        return b""


class _Raw:
    """A file that is read once, to its end, and digested on the way."""

    def __init__(self, descriptor: "int", until: "float") -> "None":
        import hashlib

        self._descriptor = descriptor
        self._until = until
        self.sha256 = hashlib.sha256()
        self.size = 0

    def read(self) -> "bytes":
        if time.monotonic() > self._until:
            raise CouldNot(*TIMED_OUT)
        data = os.read(self._descriptor, BLOCK)
        self.sha256.update(data)
        self.size += len(data)
        return data

    def drain(self) -> "None":
        while self.read():
            pass


class _Bytes:
    """Bytes that come in blocks, taken in the sizes that somebody wants. `read` gives the next block, empty at the end."""

    def __init__(self, read: "Callable[[], bytes]") -> "None":
        self._read = read
        self._held = b""
        self._at = 0

    def peek(self, size: "int") -> "bytes":
        """The next bytes, which stay; fewer than `size` at the end alone."""
        while len(self._held) - self._at < size:
            more = self._read()
            if not more:
                break
            self._held, self._at = self._held[self._at :] + more, 0
        return self._held[self._at : self._at + size]

    def take(self, size: "int") -> "bytes":
        """So many bytes. Raises `Damaged` when they are not there."""
        data = self.peek(size)
        if len(data) < size:
            raise Damaged(ENDS_EARLY)
        self._at += size
        return data

    def some(self) -> "bytes":
        """The next bytes as they come; empty at the end."""
        data = self._held[self._at :] or self._read()
        self._held, self._at = b"", 0
        return data

    def skip(self, size: "int") -> "None":
        """Pass over so many bytes. Raises `Damaged` when they are not there."""
        while size > len(self._held) - self._at:
            size -= len(self._held) - self._at
            self._held, self._at = self._read(), 0
            if not self._held:
                raise Damaged(ENDS_EARLY)
        self._at += size

    def give_back(self, data: "bytes") -> "None":
        """Put bytes before those that come."""
        self._held, self._at = data + self._held[self._at :], 0

    def only_zeros(self) -> "bool":
        """Whether nothing but zeros comes until the end."""
        return all(not part.strip(b"\0") for part in iter(self.some, b""))


def _examined(raw: "_Raw", descriptor: "int", until: "float", room: "list[int]") -> "dict[str, Any]":
    """What a file is, and whether it is whole; `raw` may not be at its end afterwards."""
    found = {"format": "unknown", "compression": "", "whole": None, "fault": "", "members": 0, "names": [], "notes": {}}  # type: dict[str, Any]
    stream = _Bytes(raw.read)
    blocks = _decompressed(stream, found, until)
    try:
        inner = stream if blocks is None else _Bytes(functools.partial(next, blocks, b""))
        _read_format(inner, found, descriptor, until, room)
        for _ in iter(inner.some, b""):  # a format may end before its stream does, and the stream has its own checksum
            pass
        found["whole"] = True
    except Damaged as damaged:
        found.update(whole=False, fault=str(damaged))
    except CannotTell as cannot:
        found.update(whole=None, fault=str(cannot))
    finally:
        if blocks is not None:
            blocks.close()
    return found


def _decompressed(stream: "_Bytes", found: "dict[str, Any]", until: "float") -> "Generator[bytes, None, None] | None":
    """What is in a compressed file, None of one that is not."""
    head = stream.peek(4)
    if head[:2] == b"\x1f\x8b":
        found["compression"] = "gzip"
        return _gunzip(stream)
    if head == b"\x28\xb5\x2f\xfd" or (head[1:] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F):
        found["compression"] = "zstd"
        return _unzstd(stream, until)
    return None


def _read_format(stream: "_Bytes", found: "dict[str, Any]", descriptor: "int", until: "float", room: "list[int]") -> "None":
    """Read what is in a file, decompressed, as what it is. Raises `Damaged` and `CannotTell`."""
    head = stream.peek(4096)
    plain = _PLAIN_HEAD.search(head)
    if not head:
        raise Damaged("it is empty")
    if head.startswith(b"PGDMP"):
        found["format"] = "pg-custom"
        _read_custom(stream, found, until, room)
    elif plain:
        found["format"] = "pg-plain"
        _read_plain(stream, found, room, plain.group(1) is not None)
    elif re.match(rb"REDIS[0-9]{4}", head):
        found["format"] = "rdb"
        _read_rdb(found, descriptor, until)
    elif len(head) >= 512 and (_tar_checksum_fits(head[:512]) or not head[:512].strip(b"\0")):
        found["format"] = "tar"
        _read_tar(stream, found, room)
    else:
        for _ in iter(stream.some, b""):  # a compressed stream that is damaged says more than an unknown format
            pass
        packed = next((name for magic, name in _PACKED if head.startswith(magic)), "")
        raise CannotTell(f"it was made by {packed}, and what is in it cannot be told" if packed else "its format is none that can be verified here")


_PACKED = (
    (b"age-encryption.org/", "age"),
    (b"-----BEGIN AGE", "age"),
    (b"-----BEGIN PGP", "gpg"),
    (b"Salted__", "openssl enc"),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"PK\3\4", "zip"),
)


def _keep(found: "dict[str, Any]", name: "str", room: "list[int]") -> "None":
    """One more member; its name where there is room for it."""
    found["members"] += 1
    if len(found["names"]) < NAMES_KEPT and len(name) < room[0] - MANIFEST_LIMIT:
        found["names"].append(name)
        room[0] -= len(name)


# --- streams


def _gunzip(compressed: "_Bytes") -> "Generator[bytes, None, None]":
    """What is in a gzip stream of one or more members, zeros after it left out as gzip does. Raises `Damaged`."""
    import zlib

    while True:
        head = compressed.peek(2)
        if not head or head[:1] == b"\0":
            if not compressed.only_zeros():
                raise Damaged("after its gzip stream comes something else")
            return
        if head != b"\x1f\x8b":
            raise Damaged("after its gzip stream comes something else")
        inflate = zlib.decompressobj(31)
        part = b""
        while not inflate.eof:
            if not part:
                part = compressed.some()
                if not part:
                    raise Damaged("it ends in the middle of its gzip stream")
            try:
                data = inflate.decompress(part, BLOCK)
            except zlib.error:
                raise Damaged("its gzip stream is damaged") from None
            part = inflate.unconsumed_tail
            if data:
                yield data
        compressed.give_back(inflate.unused_data)


def _unzstd(compressed: "_Bytes", until: "float") -> "Generator[bytes, None, None]":
    """What is in a zstd stream, by `zstd`. Raises `Damaged`, and `CannotTell` where there is no zstd."""
    program = _program("zstd")
    if not program:
        raise CannotTell("zstd is needed to read it (Debian: apt-get install zstd)")
    failed = []  # type: list[BaseException]
    with _Child([program, "-q", "-d", "-c", "--long=31"], until, output=True) as child:

        def pump() -> "None":
            try:
                while child.feed(compressed.some()):
                    pass
            except BaseException as error:  # carried to the thread that reads
                failed.append(error)
                child.kill()
            child.end_of_input()

        thread = threading.Thread(target=pump, daemon=True)
        thread.start()
        try:
            yield from iter(child.read, b"")
            thread.join()
            if failed:
                raise failed[0]
            said = child.ended()
            if "too much memory" in said:
                raise CannotTell("zstd cannot read it here: " + said)
            if said:
                raise Damaged("its zstd stream is damaged or cut short: " + said)
        finally:
            child.kill()
            thread.join()


def _program(name: "str") -> "str":
    """Where a program is; empty when it is nowhere."""
    folders = [*os.environ.get("PATH", "").split(":"), "/usr/local/bin", "/usr/bin", "/bin"]
    return next(filter(None, (_program_in(folder, name) for folder in folders)), "")


def _program_in(folder: "str", name: "str") -> "str":
    path = folder + "/" + name
    return path if folder.startswith("/") and os.path.isfile(path) and os.access(path, os.X_OK) else ""


class _Child:
    """A program that is fed, and gone with the block that holds it, or when time is up. Raises `CannotTell` when it cannot be started."""

    def __init__(self, argv: "list[str]", until: "float", output: "bool" = False, descriptors: "tuple[int, ...]" = ()) -> "None":
        import subprocess

        self._until = until
        self._name = os.path.basename(argv[0])
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if output else subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd="/",
                env={"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath)},
                pass_fds=descriptors,
            )
        except OSError as error:
            raise CannotTell(f"{argv[0]} cannot be started: {CouldNot.because(error).text}") from None
        self._words = b""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._timer = threading.Timer(min(max(0.0, until - time.monotonic()), 1e6), self.kill)
        self._timer.daemon = True
        self._timer.start()

    def __enter__(self) -> "_Child":
        return self

    def __exit__(self, *_: "Any") -> "None":
        self._timer.cancel()
        self.kill()
        self._process.wait()
        self._listener.join(1.0)
        self.end_of_input()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _listen(self) -> "None":
        """The first and the last of its words; the rest is read so that it never waits for us."""
        for words in iter(lambda: os.read(self._process.stderr.fileno(), 4096), b""):  # type: ignore[union-attr]
            self._words = (self._words + words)[:4096]

    def feed(self, data: "bytes") -> "bool":
        """Pass bytes on; False when there are none, or it takes no more: its exit code says why."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._process.stdin.fileno(), rest) :]  # type: ignore[union-attr]
        except (BrokenPipeError, ValueError):
            return False
        return bool(data)

    def end_of_input(self) -> "None":
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()  # type: ignore[union-attr]

    def read(self) -> "bytes":
        return os.read(self._process.stdout.fileno(), BLOCK)  # type: ignore[union-attr]

    def kill(self) -> "None":
        if self._process.poll() is None:
            self._process.kill()

    def ended(self) -> "str":
        """Wait for it: empty when it did what it was asked, else its own words. Raises `CouldNot` when time was up."""
        code = self._process.wait()
        self._listener.join()
        if code and time.monotonic() >= self._until:
            raise CouldNot(*TIMED_OUT)
        lines = [line.strip() for line in self._words.decode("utf-8", "replace").splitlines() if line.strip()]
        return (lines[0][:300] if lines else f"{self._name} ended with {code}") if code else ""


# --- archives

_ZEROS = b"\0" * 512
_BAD_HEADER = "a header in it is damaged"
_HEADER_LIMIT = 16 * 1024 * 1024  # of one extended header
_WITHOUT_DATA = b"123456"  # links, devices, directories and FIFOs have none, whatever their size says (POSIX, ustar)


def _tar_checksum_fits(block: "bytes") -> "bool":
    try:
        told = _tar_number(block[148:156])
    except Damaged:
        return False
    rest = block[:148] + b" " * 8 + block[156:]
    return told == sum(rest) or told == sum(byte - 256 if byte > 127 else byte for byte in rest)  # old ones add signed bytes


def _tar_number(text: "bytes") -> "int":
    """A number of a tar header, octal or (GNU) base 256."""
    if text[0] & 0x80:
        return int.from_bytes(bytes([text[0] & 0x7F]) + text[1:], "big")
    digits = text.strip(b" \0")
    if digits.translate(None, b"01234567"):
        raise Damaged(_BAD_HEADER)
    return int(digits or b"0", 8)


def _read_tar(stream: "_Bytes", found: "dict[str, Any]", room: "list[int]") -> "None":
    """Every header and all data of an archive, in the formats of POSIX and GNU. Raises `Damaged`, also when its end is missing."""
    told = {}  # type: dict[bytes, bytes]
    while True:
        block = stream.take(512)
        if block == _ZEROS:
            break
        if not _tar_checksum_fits(block):
            raise Damaged(_BAD_HEADER)
        size, kind = _tar_number(block[124:136]), block[156:157]
        if kind in (b"x", b"g", b"L", b"K"):  # about the member that follows, or about all of them
            if size > _HEADER_LIMIT:
                raise Damaged(_BAD_HEADER)
            text = stream.take(-(-size // 512) * 512)[:size]
            told.update(_pax_records(text) if kind == b"x" else {b"path": text.rstrip(b"\0")} if kind == b"L" else {})
            continue
        if kind == b"S":
            extended = block[482]
            while extended:
                extended = stream.take(512)[504]
        if kind not in _WITHOUT_DATA:
            size = _decimal(told.get(b"size", b"%d" % size))
            stream.skip(-(-size // 512) * 512)
        _keep(found, to_text(told.get(b"GNU.sparse.name") or told.get(b"path") or _ustar_name(block)), room)
        told.clear()
    if stream.take(512) != _ZEROS or not stream.only_zeros():
        raise Damaged("after its end comes something else")
    if not found["members"]:
        raise Damaged("it is an archive of nothing")


def _pax_records(text: "bytes") -> "dict[bytes, bytes]":
    """The records of an extended header, each `LENGTH KEY=VALUE` and a newline. Source: POSIX, pax."""
    records = {}
    while text:
        length = _decimal(text.partition(b" ")[0])
        key, equals, value = text[:length].partition(b" ")[2].partition(b"=")
        if not equals or length > len(text) or not value.endswith(b"\n"):
            raise Damaged(_BAD_HEADER)
        records[key] = value[:-1]
        text = text[length:]
    return records


def _decimal(text: "bytes") -> "int":
    if not text.isdigit() or len(text) > 20:
        raise Damaged(_BAD_HEADER)
    return int(text)


def _ustar_name(block: "bytes") -> "bytes":
    prefix = block[345:500].split(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return (prefix + b"/" if prefix else b"") + block[:100].split(b"\0")[0]


# --- dumps of PostgreSQL

_PLAIN_HEAD = re.compile(rb"^-- PostgreSQL database (cluster )?dump\r?$", re.MULTILINE)
_IDENTIFIER = rb'(?:"(?:[^"]|"")+"|[^\s"(.;]+)'
_TABLE = re.compile(rb"(?:CREATE (?:UNLOGGED |FOREIGN )?TABLE (?:IF NOT EXISTS )?|COPY )((?:" + _IDENTIFIER + rb"[.])?" + _IDENTIFIER + rb")(?=[ (])")
_DUMPED = re.compile(rb"-- Dumped (from database|by pg_dump) version (.+)")
_CONNECT = re.compile(rb"\\connect (?:-reuse-previous=\w+ )?(?:\"dbname='(.*)'\"|(" + _IDENTIFIER + rb"))$")
_COPY_END = re.compile(rb"\n\\[.]\r?\n")
_TELLING = re.compile(rb"^(?:--|COPY |CREATE |\\|SELECT pg_catalog[.]lo_)[^\n]*", re.MULTILINE)
_LINE_LIMIT = 1024 * 1024


def _read_plain(stream: "_Bytes", found: "dict[str, Any]", room: "list[int]", cluster: "bool") -> "None":
    """The script of pg_dump or pg_dumpall. Raises `Damaged` when its last words are missing.

    After them come blank lines and comments alone, and since 17.6 the `\\unrestrict` that closes the `\\restrict` of its beginning.
    """
    last_words = b"-- PostgreSQL database cluster dump complete" if cluster else b"-- PostgreSQL database dump complete"
    complete = False
    tables = set()  # type: set[bytes]
    for line in _statements(stream):
        if line.startswith(b"--"):
            complete = complete or line == last_words
            dumped = _DUMPED.match(line)
            if dumped:
                found["notes"].setdefault("server_version" if dumped.group(1) != b"by pg_dump" else "dumped_by", to_text(dumped.group(2)))
        elif line and not line.startswith(b"\\unrestrict "):
            complete = False
            _note_statement(line, found, tables, room)
    if not complete:
        raise Damaged(ENDS_EARLY + ": the words that end a dump are missing")


def _note_statement(line: "bytes", found: "dict[str, Any]", tables: "set[bytes]", room: "list[int]") -> "None":
    """What a line says of what is in the dump."""
    if line.startswith((b"CREATE ", b"COPY ")):
        table = _TABLE.match(line)
        if table and table.group(1) not in tables:
            tables.add(table.group(1))
            _keep(found, "TABLE " + to_text(_unquoted(table.group(1))), room)
        elif line.startswith(b"CREATE ROLE "):
            found["notes"]["globals"] = "roles"
    elif line.startswith(b"SELECT pg_catalog.lo_"):
        found["notes"]["large_objects"] = "yes"
    elif line.startswith(b"\\connect "):
        tables.clear()
        connect = _CONNECT.match(line)
        if connect:
            name = to_text(_unquoted(connect.group(1) or connect.group(2)))
            known = found["notes"].get("database", "")
            found["notes"]["database"] = (known + ", " + name if known else name) if name not in known.split(", ") else known


def _unquoted(name: "bytes") -> "bytes":
    """A qualified name without the quotes of SQL."""
    return b".".join(part[1:-1].replace(b'""', b'"') if part[:1] == b'"' else part for part in re.findall(_IDENTIFIER, name))


def _statements(stream: "_Bytes") -> "Iterator[bytes]":
    """The lines of a script that say what is in it, `;` for what stands between them, and nothing of the rows between `COPY ... FROM stdin;` and `\\.`,
    which may say anything. Of a very long line it is the beginning."""
    held, rows, beginning = b"", False, True
    for part in iter(stream.some, b""):
        held, at = held + part, 0
        whole = held.rfind(b"\n") + 1  # whole lines end here
        while True:
            if rows:
                end = _COPY_END.search(held, at)
                if not end:
                    at = max(at, len(held) - 4)
                    break
                at, rows = end.end(), False
            if not beginning:
                at, beginning = (held.find(b"\n", at) + 1, True) if whole > at else (len(held), False)
            telling = _TELLING.search(held, at, whole) if beginning else None
            if held[at : telling.start() if telling else whole].strip():
                yield b";"
            if not telling:
                at = max(at, whole)
                if beginning and len(held) - at > _LINE_LIMIT:
                    yield held[at : at + _LINE_LIMIT]
                    at, beginning = len(held), False
                break
            line = telling.group().rstrip(b"\r")
            yield line
            rows = line.startswith(b"COPY ") and line.endswith(b" FROM stdin;")
            at = telling.end() if rows else telling.end() + 1
        held = held[at:]
    if held.strip() and not rows and beginning:
        yield held.rstrip(b"\r")


def _read_custom(stream: "_Bytes", found: "dict[str, Any]", until: "float", room: "list[int]") -> "None":
    """The custom format: its table of contents here, all of it by pg_restore, whose `--list` would not notice that data are missing."""
    program = _pg_restore()
    if not program:
        _CustomHead(stream).read(found, room)
        raise CannotTell("pg_restore is needed to read it to its end (Debian: apt-get install postgresql-client)")
    with _Child([program, "--file=/dev/null"], until) as child:

        def passed_on() -> "bytes":
            data = stream.some()
            child.feed(data)
            return data

        teed = _Bytes(passed_on)
        _CustomHead(teed).read(found, room)
        for _ in iter(teed.some, b""):
            pass
        child.end_of_input()
        said = child.ended()
    if "unsupported version" in said or "not support" in said:
        raise CannotTell(f"{program} cannot read it, and a newer postgresql-client is needed: {said}")
    if said:
        raise Damaged(f"pg_restore cannot read it to its end: {said}")


def _pg_restore() -> "str":
    """The newest pg_restore of this host, for an older one than the dump's cannot read it; empty when there is none."""
    folders = [folder for folder in os.environ.get("PATH", "").split(":") if folder.startswith("/")]
    for top, start, below in (("/usr/lib/postgresql", "", "/bin"), ("/usr", "pgsql-", "/bin")):
        with contextlib.suppress(OSError):
            folders += [top + "/" + name + below for name in os.listdir(top) if name.startswith(start)]
    programs = {_program_in(folder, "pg_restore") for folder in folders} - {""}
    return max([(_major_version(program), program) for program in programs], default=(0, ""))[1]


@functools.lru_cache(maxsize=16)
def _major_version(program: "str") -> "int":
    import subprocess

    try:
        done = subprocess.run([program, "--version"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    version = re.search(rb"[(]PostgreSQL[)] ([0-9]+)", done.stdout)
    return int(version.group(1)) if version else 0


class _CustomHead:
    """The head and table of contents of a dump in the custom format. Source: pg_backup_archiver.c, ReadHead, ReadToc, versions 1.11 (8.4) to 1.16 (18)."""

    def __init__(self, stream: "_Bytes") -> "None":
        self._stream = stream
        self._int_size = 4

    def read(self, found: "dict[str, Any]", room: "list[int]") -> "None":
        """Note what it says; nothing of a version that is not known. Raises `Damaged`."""
        take = self._stream.take
        version = tuple(take(8)[5:7])
        if not (1, 11) <= version <= (1, 16):
            return
        self._int_size, offset_size = take(1)[0], take(1)[0]
        take(1)  # the format
        self._int() if version < (1, 15) else take(1)
        for _ in range(7):  # when it was made
            self._int()
        notes = {"database": self._text(), "server_version": self._text(), "dumped_by": self._text()}
        found["notes"].update({key: to_text(value) for key, value in notes.items() if value})
        for _ in range(self._int()):
            self._entry(version, found, room)
            take(1 + offset_size)

    def _entry(self, version: "tuple[int, ...]", found: "dict[str, Any]", room: "list[int]") -> "None":
        self._int(), self._int()
        self._text(), self._text()
        tag, kind = self._text(), self._text()
        self._int()
        for _ in range(3):
            self._text()
        schema = self._text()
        self._text()
        if version >= (1, 14):
            self._text()
        if version >= (1, 16):
            self._int()
        self._text(), self._text()
        while self._text() is not None:
            pass
        if kind in (b"BLOB", b"BLOBS", b"BLOB METADATA"):
            found["notes"]["large_objects"] = "yes"
        _keep(found, to_text((kind or b"") + b" " + (schema + b"." if schema else b"") + (tag or b"")), room)

    def _int(self) -> "int":
        data = self._stream.take(1 + self._int_size)
        return int.from_bytes(data[1:], "little") * (-1 if data[0] else 1)

    def _text(self) -> "bytes | None":
        length = self._int()
        if length > _TEXT_LIMIT:
            raise Damaged("its table of contents is damaged")
        return self._stream.take(length) if length >= 0 else None


_TEXT_LIMIT = 256 * 1024 * 1024


# --- dumps of Redis


def _read_rdb(found: "dict[str, Any]", descriptor: "int", until: "float") -> "None":
    """An RDB, by `redis-check-rdb`, which wants a file of its own: a compressed one is not unpacked for it."""
    program = _program("redis-check-rdb")
    if found["compression"] or not program:
        raise CannotTell("redis-check-rdb is needed to read it (Debian: apt-get install redis-tools), and it must not be compressed")
    with _Child([program, f"/proc/self/fd/{descriptor}"], until, output=True, descriptors=(descriptor,)) as child:
        child.end_of_input()
        for _ in iter(child.read, b""):
            pass
        said = child.ended()
    if said:
        raise Damaged("redis-check-rdb finds a fault in it: " + said)


# --- a container engine -------------------------------------------------------------------------------------------------------------------------

_NAMES_A_SECRET = re.compile("auth|passw|secret|token|credential|private|api_?key", re.IGNORECASE)
_SECRET_OPTION = re.compile("((?:pass(?:wd|word)?|secret|token|key)=)[^,]*", re.IGNORECASE)
_SERVER = re.compile(r"(Docker|Libpod)/(\S+)")
_STARTED_IN = "com.docker.compose.project.working_dir"
_PRODUCTS = {"Docker": "docker", "Libpod": "podman"}


def look_engine(path: "bytes", variables: "list[str]", until: "float", views: "bool" = False, places: "Iterable[str]" = ()) -> "bytes":
    """The content of `EngineAnswer`, from the API of Docker or Podman. What may be a secret is cut before anything leaves this process."""
    asking = _Asking(path, until)
    wanted = frozenset(variables)
    try:
        listed = (asking.container(one["Id"]) for one in asking("/containers/json?all=1"))
        described = [one for one in listed if one is not None]
        volumes = sorted(asking("/volumes")["Volumes"] or [], key=lambda one: str(one["Name"]))  # the engine has them in no order
        version = asking.version()
        if views:
            containers = [one for one in map(_Views(asking, wanted, places, until).added, described) if one is not None]
        else:
            containers = [_reduced_container(one, wanted) for one in described]
        said = {"version": version, "containers": containers, "volumes": [_reduced_volume(one) for one in volumes]}
        links = _links(_named(said), until)
        if links:
            said["links"] = links
    except (KeyError, TypeError, AttributeError) as error:
        raise CouldNot("EPROTO", f"it does not answer as an engine does: {type(error).__name__}") from None
    finally:
        asking.close()
    content = json.dumps(said, sort_keys=True).encode("ascii")
    if len(content) > ENGINE_LIMIT:
        raise CouldNot("too-large", f"it describes itself in more than {ENGINE_LIMIT} bytes")
    return content


LINKS_S = 2.0  # how long the links of the host may take: what hangs leaves the paths behind it as they are written


def _named(said: "dict[str, Any]") -> "list[str]":
    """The paths of the host that containers and volumes name: what they bind, and where compose was started."""
    found = [mount["Source"] for container in said["containers"] for mount in container["Mounts"]]
    found += [container["Config"]["Labels"].get(_STARTED_IN) or "" for container in said["containers"]]
    found += [volume["Options"].get("device") or "" for volume in said["volumes"]]
    return sorted({path for path in found if path.startswith("/")})


def _links(paths: "list[str]", until: "float") -> "dict[str, str]":
    """Where those of the paths really lead that go through a link."""
    found = {}  # type: dict[str, str]

    def follow() -> "Iterator[None]":
        for path in paths:
            real = to_text(os.path.realpath(to_bytes(path)))
            if real != os.path.normpath(path):
                found[path] = real
            yield

    limit = min(until, time.monotonic() + LINKS_S)
    try:
        for _ in patient(follow(), lambda: max(0.001, limit - time.monotonic())):
            pass
    except (Hung, OSError, ValueError):
        pass
    return dict(found)


class _Asking:
    """Who asks the engine behind a socket, over one connection: `ask("/volumes")` is its JSON, None for what `may_be_gone` and is."""

    def __init__(self, path: "bytes", until: "float") -> "None":
        try:
            import http.client
            import socket
        except ImportError as error:  # a minimal Python
            raise CouldNot("no-tool", f"this host's python3 is not whole: {error}") from None

        class Connection(http.client.HTTPConnection):
            def connect(self) -> "None":
                self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                self.sock.settimeout(min(max(0.001, until - time.monotonic()), 3600.0))
                self.sock.connect(path)

        self._connection = Connection("localhost")
        self._timeout = socket.timeout
        self._nonsense = (http.client.HTTPException, ValueError, RecursionError)
        self._until = until
        self._server = ""

    def __call__(self, what: "str", may_be_gone: "bool" = False) -> "Any":
        if time.monotonic() > self._until:
            raise CouldNot(*TIMED_OUT)
        try:
            try:
                status, content = self._answer(what)
            except ConnectionError:
                if not self._server:
                    raise
                self._connection.close()  # the engine had closed the connection since it answered last
                status, content = self._answer(what)
            if may_be_gone and status == 404:
                return None
            if status != 200:
                raise CouldNot("EPROTO", f"it answers {status} to {what.partition('?')[0]}")
            if len(content) > ENGINE_LIMIT:
                raise CouldNot("too-large", f"it describes itself in more than {ENGINE_LIMIT} bytes")
            return json.loads(content.decode("utf-8"))
        except self._timeout:
            raise CouldNot(*TIMED_OUT) from None
        except PermissionError:
            raise CouldNot("engine-closed", "Permission denied") from None
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
            raise CouldNot("engine-absent", error.strerror or "it is not there") from None
        except self._nonsense as error:
            raise CouldNot("EPROTO", f"it does not answer as an engine does: {type(error).__name__}") from None

    def _answer(self, what: "str") -> "tuple[int, bytes]":
        if self._connection.sock is not None:
            self._connection.sock.settimeout(min(max(0.001, self._until - time.monotonic()), 3600.0))
        self._connection.request("GET", what)
        response = self._connection.getresponse()
        content = response.read(ENGINE_LIMIT + 1)
        if len(content) > ENGINE_LIMIT:
            self._connection.close()
        self._server = response.getheader("Server") or "-"
        return response.status, content

    def container(self, name: "str") -> "Any":
        """One container as the API describes it, None when it is gone."""
        return self("/containers/" + name + "/json", may_be_gone=True)

    def version(self) -> "dict[str, str]":
        """Which engine, and its version: every answer says so (`Docker/20.10.24 (linux)`, `Libpod/4.3.1 (linux)`), but for those of some proxies. The kernel is
        ours, which containers share."""
        found = _SERVER.match(self._server)
        if found:
            product, version = _PRODUCTS[found.group(1)], found.group(2)
        else:
            said = self("/version")
            version = said["Version"]
            product = "podman" if "Podman Engine" in [part.get("Name") for part in said.get("Components") or ()] else "docker"
        return {"Version": version, "Product": product, "Kernel": os.uname().release}

    def close(self) -> "None":
        """Hang up."""
        self._connection.close()


class _Views:
    """Who adds to a container, as the API describes it, what it sees, or why that cannot be said."""

    def __init__(self, asking: "_Asking", wanted: "frozenset[str]", places: "Iterable[str]", until: "float") -> "None":
        self._asking = asking
        self._wanted = wanted
        self._places = tuple(places)
        self._until = until
        self._room = VIEWS_LIMIT

    def added(self, said: "dict[str, Any]") -> "dict[str, Any] | None":
        """One that seems not to be there is asked for again, once: it may be gone (then None), may have stopped, or may run anew by now."""
        container = _reduced_container(said, self._wanted)
        try:
            return self._seen(container, said)
        except CouldNot as could_not:
            if could_not.code not in _MAY_HAVE_GONE:
                return _unseen(container, could_not)
            first = could_not
        try:
            again = self._asking.container(container["Id"])
        except CouldNot as could_not:
            return _unseen(container, CouldNot(first.code, first.text + " (and it could not be asked a second time: " + could_not.text + ")"))
        if again is None:
            return None
        now = _reduced_container(again, self._wanted)
        if now["State"] == container["State"] and now["State"]["Pid"]:
            return _unseen(now, first)
        try:
            return self._seen(now, again)
        except CouldNot as second:
            return _unseen(now, CouldNot(second.code, second.text + " (asked a second time, it had changed)"))

    def _seen(self, container: "dict[str, Any]", said: "dict[str, Any]") -> "dict[str, Any]":
        """With its view; as it is when it does not run. Raises CouldNot."""
        state = container["State"]
        if state["Status"] not in _RUNS:
            return container
        if not state["Pid"]:
            raise CouldNot("no-process", f"the engine says that it is {state['Status']}, and has no process of it now")
        runtime = said["HostConfig"].get("Runtime") or ""
        if _OWN_KERNEL.search(runtime):
            raise CouldNot("own-kernel", f"its runtime {runtime} has its processes in a kernel of its own")
        values = [value for value in container["Config"]["Environment"].values() if value.startswith("/")]
        view = _view(state["Pid"], container["Id"], sorted({mount["Destination"] for mount in container["Mounts"]}.union(values, self._places)), self._until)
        self._room -= len(view["Mountinfo"])
        if self._room < 0:
            raise CouldNot("too-large", f"the mount tables of all containers have more than {VIEWS_LIMIT} bytes")
        return dict(container, View=view)


def _unseen(container: "dict[str, Any]", why: "CouldNot") -> "dict[str, Any]":
    return dict(container, View=None, Unseen=why.code + ": " + why.text)


# --- what a container sees: through the namespaces of its first process, without a tool of its image

_RUNS = ("running", "paused", "restarting")
_AWAY = "elsewhere"
_MAY_HAVE_GONE = (_AWAY, "no-process", "ESRCH", "ENOENT", "EINVAL")  # EINVAL: of a process that has ended and was not reaped
_CONTAINER = re.compile(b"[0-9a-f]{64}")
_OWN_KERNEL = re.compile("kata|runsc|gvisor|firecracker", re.IGNORECASE)  # what the engine names as its process is the sandbox around it
_INSIDE = getattr(os, "O_PATH", 0) | os.O_NOFOLLOW | os.O_CLOEXEC  # without O_DIRECTORY, which would set off an automount


def _view(pid: "int", container: "str", paths: "list[str]", until: "float") -> "dict[str, Any]":
    """The fields of `View`. A place that hangs (a dead network mount) is left behind with its thread, and the others are looked at in another one: none may
    take more than a fifth of the time that is left."""
    done = {}  # type: dict[str, list[Any]]
    while True:
        found = {"Places": {}}  # type: dict[str, Any]
        left = [path for path in paths if path not in done]
        try:
            for _ in patient(_look_inside(pid, container, left, found), lambda: min(60.0, (until - time.monotonic()) / 5)):
                pass
        except Hung:
            if "Mountinfo" not in found:
                raise CouldNot(*TIMED_OUT) from None
            done.update(dict(found["Places"]))  # a copy first: the thread that was left behind may go on
            done.update({path: _no_place(": ".join(TIMED_OUT)) for path in [path for path in left if path not in done][:1]})
        except OSError as error:
            raise CouldNot.because(error) from None
        else:
            done.update(found["Places"])
            return dict(found, Places=done)


def _look_inside(pid: "int", container: "str", paths: "list[str]", found: "dict[str, Any]") -> "Iterator[None]":
    """Fill `found`. The process is opened once: were its number given to another one meanwhile, reads would fail (ESRCH) and not be about that one."""
    try:
        process = os.open(b"/proc/%d" % pid, _INSIDE | os.O_DIRECTORY)
    except FileNotFoundError:
        text = f"no process {pid} is to be seen here: the engine counts them in another pid namespace, or /proc is mounted with hidepid"
        raise CouldNot(_AWAY, text) from None
    try:
        cgroup = _read_of(process, "cgroup")
        mountinfo = _read_of(process, "mountinfo")
        if not _is_of(container.encode("utf-8"), cgroup, mountinfo):
            raise CouldNot(_AWAY, f"process {pid} is not of this container: the engine counts them in another pid namespace, or is in a virtual machine")
        if os.stat("ns/mnt", dir_fd=process).st_ino == os.stat("/proc/self/ns/mnt").st_ino:
            raise CouldNot("own-kernel", f"process {pid} has the mounts of the host: it is the virtual machine, or the sandbox, that the container is in")
        status = dict(line.split(b":", 1) for line in _read_of(process, "status").splitlines())
        root = os.open("root", os.O_CLOEXEC | getattr(os, "O_PATH", 0), dir_fd=process)
        try:
            found["Uid"], found["Gid"] = int(status[b"Uid"].split()[1]), int(status[b"Gid"].split()[1])
            found["Groups"] = sorted(map(int, status[b"Groups"].split()))
            found["Capabilities"] = int(status[b"CapEff"], 16)
            found["Mountinfo"] = to_text(mountinfo)
            for path in paths:
                found["Places"][path] = _place(root, path)
        finally:
            os.close(root)
        os.close(os.open("mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process))  # with its last process all that is mounted for it is gone: not so yet
    finally:
        os.close(process)
    yield


def _read_of(process: "int", name: "str") -> "bytes":
    """A file of /proc/PID, read to its end."""
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=process)
    parts = []  # type: list[bytes]
    try:
        room = VIEW_LIMIT + 1
        while room > 0:
            part = os.read(descriptor, min(room, 1 << 16))
            if not part:
                return b"".join(parts)
            parts.append(part)
            room -= len(part)
    finally:
        os.close(descriptor)
    raise CouldNot("too-large", f"its {name} has more than {VIEW_LIMIT} bytes")


def _is_of(container: "bytes", cgroup: "bytes", mountinfo: "bytes") -> "bool":
    """Whether a process is of a container: the innermost id in its cgroups says so, and where there is none, what is bound into it of the engine's own files
    (`.../containers/ID/hostname`). Mountpoints say nothing: the host has those of all containers."""
    innermost = {found[-1] for found in map(_CONTAINER.findall, cgroup.splitlines()) if found}
    if innermost:
        return container in innermost
    roots = [fields[3] for fields in (line.split(b" ", 4) for line in mountinfo.splitlines()) if len(fields) > 4]
    return any(container in root.split(b"/") for root in roots)


def _no_place(error: "str" = "") -> "list[Any]":
    return [False, "", 0, 0, 0, "", error]


def _place(root: "int", path: "str") -> "list[Any]":
    """The fields of `Place`: what a path shows to who has `root` for its root directory."""
    try:
        descriptor, leads = _open_inside(root, to_bytes(path))
    except (FileNotFoundError, NotADirectoryError):
        return _no_place()
    except OSError as error:
        return _no_place(_say(error))
    except ValueError as error:  # a NUL in it
        return _no_place("EINVAL: " + str(error))
    try:
        seen = os.fstat(descriptor)
    except OSError as error:
        return _no_place(_say(error))
    finally:
        os.close(descriptor)
    return [True, device_text(seen.st_dev), seen.st_mode, seen.st_uid, seen.st_gid, to_text(leads), ""]


def _open_inside(root: "int", path: "bytes") -> "tuple[int, bytes]":
    """An O_PATH descriptor for a path below `root`, and the path that it really has there. Every link is followed here, and never leads out: the kernel would
    follow an absolute one from our own root."""
    way = []  # type: list[tuple[bytes, int, bool]]
    ahead = path.split(b"/")[::-1]
    links = 0
    try:
        while ahead:
            name = ahead.pop()
            if way and not way[-1][2]:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            if name == b".." and way:
                os.close(way.pop()[1])
            if name in (b"", b".", b".."):
                continue
            descriptor = os.open(name, _INSIDE, dir_fd=way[-1][1] if way else root)
            way.append((name, descriptor, False))
            mode = os.fstat(descriptor).st_mode
            way[-1] = (name, descriptor, stat.S_ISDIR(mode))
            if stat.S_ISLNK(mode):
                target = os.readlink(b"", dir_fd=descriptor)
                os.close(way.pop()[1])
                links += 1
                if links > LINKS_FOLLOWED:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                while target.startswith(b"/") and way:
                    os.close(way.pop()[1])
                ahead += target.split(b"/")[::-1]
        return os.dup(way[-1][1] if way else root), b"/" + b"/".join(name for name, _, _ in way)
    finally:
        for _, descriptor, _ in way:
            os.close(descriptor)


def _reduced_container(said: "dict[str, Any]", wanted: "frozenset[str]") -> "dict[str, Any]":
    """What `interlock.facts.engine` reads of a container, in the words of the API. Of its environment the names, and the values that were asked for."""
    config, state, host = said["Config"], said["State"], said["HostConfig"]
    pairs = [pair.partition("=") for pair in config.get("Env") or ()]
    health = state.get("Health") or state.get("Healthcheck") or {}
    return {
        "Id": said["Id"],
        "View": None,
        "Unseen": "",
        "Name": said["Name"],
        "Image": said["Image"],
        "RestartCount": said.get("RestartCount") or 0,
        "Config": {
            "Image": config["Image"],
            "User": config.get("User") or "",
            "Labels": {name: "***" if _NAMES_A_SECRET.search(name) else value for name, value in (config.get("Labels") or {}).items()},
            "Variables": sorted({name for name, _, _ in pairs}),
            "Environment": {name: value for name, equals, value in pairs if equals and name in wanted},
        },
        "State": {"Status": state["Status"], "Pid": state.get("Pid") or 0, "StartedAt": state.get("StartedAt") or "", "Health": health.get("Status") or ""},
        "HostConfig": {"NetworkMode": host.get("NetworkMode") or "", "PortBindings": _reduced_ports(host.get("PortBindings"))},
        "NetworkSettings": {"Ports": _reduced_ports((said.get("NetworkSettings") or {}).get("Ports"))},
        "Mounts": _reduced_mounts(said.get("Mounts") or [], host),
    }


def _reduced_ports(ports: "dict[str, Any] | None") -> "dict[str, Any]":
    return {
        port: [{"HostIp": binding.get("HostIp") or "", "HostPort": binding.get("HostPort") or ""} for binding in bindings]
        for port, bindings in (ports or {}).items()
        if bindings
    }


def _reduced_mounts(mounts: "list[dict[str, Any]]", host: "dict[str, Any]") -> "list[dict[str, Any]]":
    """Those that the API lists, and those of `--tmpfs`, which it does not."""
    alone, parts = _not_recursive(host), _subpaths(host)
    found = [
        {
            "Type": mount.get("Type") or ("volume" if mount.get("Name") else "bind"),
            "Name": mount.get("Name") or "",
            "Source": mount.get("Source") or "",
            "Destination": mount["Destination"],
            "RW": bool(mount["RW"]),
            "Propagation": mount.get("Propagation") or "",
            "Recursive": os.path.normpath(mount["Destination"]) not in alone,
        }
        for mount in sorted(mounts, key=lambda one: str(one["Destination"]))
    ]
    for mount in found:
        if os.path.normpath(mount["Destination"]) in parts:
            mount["Subpath"] = parts[os.path.normpath(mount["Destination"])]
    listed = {mount["Destination"] for mount in found}
    return found + [
        {"Type": "tmpfs", "Name": "", "Source": "", "Destination": place, "RW": "ro" not in options.split(","), "Propagation": "", "Recursive": True}
        for place, options in sorted((host.get("Tmpfs") or {}).items())
        if place not in listed
    ]


def _subpaths(host: "dict[str, Any]") -> "dict[str, str]":
    """Which directory of a volume was asked for, by destination (Docker from 26 on)."""
    asked = {mount["Target"]: (mount.get("VolumeOptions") or {}).get("Subpath") or "" for mount in host.get("Mounts") or ()}
    return {os.path.normpath(target): subpath for target, subpath in asked.items() if subpath}


def _not_recursive(host: "dict[str, Any]") -> "frozenset[str]":
    """The destinations that were asked for without what is mounted below their sources: Docker has it in `Mounts`, Podman in the options of `Binds`."""
    found = [mount["Target"] for mount in host.get("Mounts") or () if (mount.get("BindOptions") or {}).get("NonRecursive")]
    binds = [bind.rsplit(":", 2) for bind in host.get("Binds") or ()]
    found += [bind[1] for bind in binds if len(bind) == 3 and "bind" in bind[2].split(",")]
    return frozenset(map(os.path.normpath, found))


def _reduced_volume(said: "dict[str, Any]") -> "dict[str, Any]":
    return {
        "Name": said["Name"],
        "Driver": said["Driver"],
        "Mountpoint": said.get("Mountpoint") or "",
        "Options": {name: _SECRET_OPTION.sub(r"\1***", value) for name, value in (said.get("Options") or {}).items()},
        "Labels": {name: "***" if _NAMES_A_SECRET.search(name) else value for name, value in (said.get("Labels") or {}).items()},
    }


# --- the walk ----------------------------------------------------------------------------------------------------------------------------------


class _Level:
    """One directory that the walk is inside of."""

    __slots__ = ("descriptor", "device", "itself", "listed", "path", "pending", "scan")

    def __init__(self, path: "str", descriptor: "int", device: "int", itself: "Any") -> "None":
        self.path = path
        self.descriptor = descriptor
        self.device = device
        self.itself = itself
        self.listed = False
        self.pending = []  # type: list[Any]
        self.scan = _scan(descriptor)  # type: Any

    def exhausted(self) -> "None":
        self.scan.close()
        self.scan = None

    def close(self) -> "None":
        if self.scan is not None:
            self.scan.close()
        os.close(self.descriptor)


def look_root(root: "bytes") -> "os.stat_result":
    """Where a walk can begin. Raises `CouldNot`."""
    try:
        seen = os.lstat(root)
    except OSError as error:
        raise CouldNot.because(error) from None
    if stat.S_ISLNK(seen.st_mode):
        raise CouldNot("ELOOP", "it is a symbolic link, and a walk follows none")
    if not stat.S_ISDIR(seen.st_mode):
        raise CouldNot("ENOTDIR", f"it is {_kind(seen.st_mode)}, not a directory")
    return seen


def walk(root: "bytes", kind: "Any" = tuple) -> "Generator[tuple[Any, ...], None, None]":
    """Every directory below `root`, top down, as `(directory, itself, entries, error, device, vanished)`: the fields of `Listing`.

    Entries are made with `kind`, a tuple or a named tuple in the order of `Entry`. Raises `CouldNot` when `root` is not there or no directory; all that
    goes wrong below it is said in the `error` of a listing. A link swapped in for a directory between two calls is not followed.
    """
    seen = look_root(root)
    path = to_text(root)
    try:
        levels = [_enter(path, root, None, seen.st_uid, kind)]
    except OSError as error:
        yield path, _entry(kind, "", seen, ""), [], _say(error), device_text(seen.st_dev), ()
        return
    try:
        yield from _descend(levels, kind)
    finally:
        for level in levels:
            level.close()


def _descend(levels: "list[_Level]", kind: "Any") -> "Iterator[tuple[Any, ...]]":
    """Depth first with an explicit stack: all chunks of a directory, then its subdirectories, whose entries alone are kept meanwhile."""
    while levels:
        level = levels[-1]
        if level.scan is not None:
            listing = _read_chunk(level, kind)
            if not level.listed or listing[2] or listing[3] or listing[5]:
                level.listed = True
                yield listing
        elif level.pending:
            entry = level.pending.pop()
            path = level.path + "/" + entry[0] if level.path != "/" else "/" + entry[0]
            itself = tuple.__new__(kind, ("", *entry[1:]))
            if len(levels) >= DEPTH:
                yield path, itself, [], f"too-deep: more than {DEPTH} directories deep", device_text(level.device), ()
                continue
            try:
                levels.append(_enter(path, to_bytes(entry[0]), level.descriptor, entry[2], kind))
            except FileNotFoundError:
                yield path, itself, [], "", device_text(level.device), (".",)
            except OSError as error:
                yield path, itself, [], _say(error), device_text(level.device), ()
        else:
            levels.pop().close()


def _enter(path: "str", name: "bytes | str", parent: "int | None", owner: "int", kind: "Any") -> "_Level":
    descriptor = open_quietly(name, _DIRECTORY, owner, parent)
    try:
        seen = os.fstat(descriptor)
        return _Level(path, descriptor, seen.st_dev, _entry(kind, "", seen, acl_text(descriptor, seen.st_mode)))
    except BaseException:
        os.close(descriptor)
        raise


def _entry(kind: "Any", name: "str", seen: "os.stat_result", acl: "str") -> "Any":
    return tuple.__new__(kind, (name, seen[0], seen[4], seen[5], seen[6], seen[8], seen[3], acl, ""))


def _read_chunk(level: "_Level", kind: "Any") -> "tuple[Any, ...]":
    """The next entries of a directory, at most CHUNK; an entry that cannot be seen makes them an error, never a shorter list."""
    entries = []  # type: list[Any]
    careful = []  # type: list[int]
    vanished = []  # type: list[str]
    error = ""
    new = tuple.__new__
    append = entries.append
    try:
        for item in itertools.islice(level.scan, CHUNK):
            try:
                seen = item.stat(follow_symlinks=False)
            except FileNotFoundError:
                vanished.append(item.name)
                continue
            mode = seen[0]
            if mode & _TAKES_CARE:
                careful.append(len(entries))
            append(new(kind, (item.name, mode, seen[4], seen[5], seen[6], seen[8], seen[3], "", "")))
        read = len(entries) + len(vanished)
        _take_care(level, kind, entries, careful)
    except OSError as failure:
        entries, careful, vanished, error, read = [], [], [], _say(failure), 0
    if read < CHUNK:
        level.exhausted()
    if not _UTF8_NAMES:
        entries = [new(kind, (_utf8(entry[0]), *entry[1:])) for entry in entries]
        vanished = [_utf8(name) for name in vanished]
    level.pending += [entries[index] for index in careful if stat.S_ISDIR(entries[index][1])]
    if level.scan is None:
        level.pending.reverse()  # taken from its end
    return level.path, level.itself, entries, error, device_text(level.device), tuple(vanished)


def _take_care(level: "_Level", kind: "Any", entries: "list[Any]", careful: "list[int]") -> "None":
    """What the hot loop leaves open: where links lead, and the ACLs of the entries that may have one."""
    for index in careful:
        entry = entries[index]
        try:
            if stat.S_ISLNK(entry[1]):
                target = os.readlink(os.fsencode(entry[0]), dir_fd=level.descriptor)
                entries[index] = tuple.__new__(kind, (*entry[:8], to_text(target)))
            elif stat.S_ISREG(entry[1]) or stat.S_ISDIR(entry[1]):
                acl = acl_text(_by_descriptor(level.descriptor, entry[0]), entry[1])
                entries[index] = tuple.__new__(kind, (*entry[:7], acl, "")) if acl else entry
        except FileNotFoundError:
            if _is_there(level.descriptor, entry[0]):
                raise OSError(errno.ENOSYS, "/proc is not mounted, so ACLs cannot be read") from None


def _is_there(descriptor: "int", name: "str") -> "bool":
    try:
        os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _by_descriptor(descriptor: "int", name: "str") -> "bytes":
    return b"/proc/self/fd/%d/%s" % (descriptor, os.fsencode(name))


def _say(error: "OSError") -> "str":
    could_not = CouldNot.because(error)
    return could_not.code + ": " + could_not.text


def _utf8(name: "str") -> "str":
    """A name that Python decoded in a locale that is not UTF-8, decoded again."""
    return to_text(os.fsencode(name))


class _Listed:
    """What `os.scandir` would say of one name; Python 3.6 cannot scan a descriptor."""

    __slots__ = ("_descriptor", "name")

    def __init__(self, name: "str", descriptor: "int") -> "None":
        self.name = name
        self._descriptor = descriptor

    def stat(self, follow_symlinks: "bool") -> "os.stat_result":
        return os.stat(self.name, dir_fd=self._descriptor, follow_symlinks=follow_symlinks)


def _scan(descriptor: "int") -> "Any":
    if _SCANDIR_TAKES_FD:
        return os.scandir(descriptor)
    return (_Listed(name, descriptor) for name in os.listdir(descriptor))


def acl_text(where: "bytes | int", mode: "int") -> "str":
    """The extended ACL as setfacl takes it, with numbers for names: `user::rw-,user:1000:r--,...`; empty when the mode says it all.

    Group bits are the ACL's mask: without them it grants nothing and is not read. A directory's default ACL, which new files inherit, always is.
    """
    found = []
    if mode & stat.S_IRWXG:
        found += _acl(where, "system.posix_acl_access", "")
    if stat.S_ISDIR(mode):
        found += _acl(where, "system.posix_acl_default", "default:")
    return ",".join(found)


def _acl(where: "bytes | int", attribute: "str", prefix: "str") -> "list[str]":
    try:
        raw = os.getxattr(where, attribute, follow_symlinks=False) if isinstance(where, bytes) else os.getxattr(where, attribute)
    except OSError as error:
        if error.errno in _NO_ACL:
            return []
        raise
    return [prefix + entry for entry in parse_acl(raw)]


def parse_acl(raw: "bytes") -> "list[str]":
    """The entries of a `system.posix_acl_*` attribute. Source: linux/posix_acl_xattr.h, version 2: (tag, permissions, id) little-endian after a word."""
    if len(raw) < 4 or (len(raw) - 4) % 8 or struct.unpack_from("<I", raw)[0] != 2:
        raise OSError(errno.EINVAL, "its ACL is not of version 2")
    entries = []
    for tag, permissions, number in struct.iter_unpack("<HHI", raw[4:]):
        if tag not in _ACL_TAGS:
            raise OSError(errno.EINVAL, f"its ACL has an entry of unknown kind {tag}")
        who = _ACL_TAGS[tag] + (str(number) if tag in _ACL_NAMED else "")
        entries.append(f"{who}:{'-r'[permissions >> 2 & 1]}{'-w'[permissions >> 1 & 1]}{'-x'[permissions & 1]}")
    return entries


# --- what mounts cover -------------------------------------------------------------------------------------------------------------------------

SHADOW_NAMES = 200
SHADOW_ENTRIES = 100000
OWNED_NAMES = 100  # of each user
OWNED_NAMES_OF_ALL = 20000  # containers may bring thousands of users
UNREAD_KEPT = 100

_NOBODYS = (b"/dev", b"/proc", b"/sys", b"/run/user")  # the kernel's, and those of a login: nothing that anybody keeps lies below them
_ENGINES_OWN = {b"overlay", b"nsfs", b"proc", b"sysfs", b"cgroup", b"cgroup2", b"devpts", b"mqueue"}
_CLONE_NEWNS, _CLONE_FS = 0x20000, 0x200
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_STAND = b"/dev"  # where the binds are put, in the private namespace: a directory that is always there, and that nothing looked at lies below
_COVERED = "covered: it lies wholly under another mount at the same place"
_LOCKED = "EINVAL: the kernel shows nothing below a mount that was made outside of this user namespace"


class Mounted:
    """What is needed of one line of mountinfo."""

    __slots__ = ("device", "fstype", "number", "parent", "point", "root", "shared", "source")

    def __init__(self, line: "bytes") -> "None":
        fields = line.split(b" ")
        end = fields.index(b"-", 6)  # one of the six before may be a dash
        number, parent, self.device, root, point, _ = fields[:6]
        self.fstype, self.source = fields[end + 1 : end + 3]
        self.number, self.parent = int(number), int(parent)
        self.root, self.point = unescape(root), unescape(point)
        self.shared = any(tag.startswith(b"shared:") for tag in fields[6:end])


class Cover:
    """A mount at `point`, and the mount that it covers a directory of. `own`: it shows that same directory; `whole`: it covers all of the other one.

    `deep`: the other one has that directory only below another mount, so nothing says whether it is there.
    """

    __slots__ = ("deep", "own", "parent", "point", "whole")

    def __init__(self, mount: "Mounted", parent: "Mounted", deep: "bool" = False) -> "None":
        inside = mount.point[len(parent.point.rstrip(b"/")) :] if mount.point != parent.point else b""
        self.point, self.parent = mount.point, parent.point
        self.own = mount.device == parent.device and mount.root == (parent.root.rstrip(b"/") + inside or b"/")
        self.whole = mount.point == parent.point
        self.deep = deep


def covers(mountinfo: "bytes", roots: "list[bytes]") -> "list[Cover]":
    """What the mounts at and below these directories cover, of those that a walk from the root comes through, in the order of their mountpoints.

    Left out: what covers nothing that anybody keeps (below /dev, /proc, /sys and /run/user, over an autofs), and below a root what container engines mount.
    """
    found = []
    below = {}  # type: dict[int, tuple[Mounted, Mounted]]
    for mount, parent in _walked_through(mountinfo):
        below[mount.number] = mount, parent
        at = mount.point in roots
        if not at and (not any(_lies_below(mount.point, root) for root in roots) or mount.fstype in _ENGINES_OWN or mount.source == b"shm"):
            continue
        if mount.point == b"/" or any(_lies_below(mount.point, place) for place in _NOBODYS) or (parent.fstype == b"autofs" and parent.point == mount.point):
            continue
        found.append(Cover(mount, parent))
        if at and mount.point != parent.point:
            found += [Cover(mount, further, deep=True) for further in _further_down(parent, below, roots)]
    return sorted(found, key=lambda cover: (cover.point, cover.whole))


def _further_down(parent: "Mounted", below: "dict[int, tuple[Mounted, Mounted]]", roots: "list[bytes]") -> "Iterator[Mounted]":
    """The mounts under the one that a mountpoint lies on: they may have a directory of that path too, from when none of the disks was mounted. What a root
    covers is looked at by itself, of a stack at one place only the topmost can be bound, and a bind of a directory onto itself shows what lies under it."""
    passed = set()  # type: set[int]
    while parent.number in below and parent.number not in passed and not any(_lies_below(parent.point, root) for root in roots):
        passed.add(parent.number)
        mount, parent = below[parent.number]
        cover = Cover(mount, parent)
        if not cover.whole and not cover.own:
            yield parent


def _lies_below(path: "bytes", directory: "bytes") -> "bool":
    return path == directory or path.startswith(directory.rstrip(b"/") + b"/")


def _walked_through(mountinfo: "bytes") -> "Iterator[tuple[Mounted, Mounted]]":
    """Each mount that some path leads through, with the one that it stands on: from the root down, and not into what a mount nearer to the root covers."""
    mounts = [Mounted(line) for line in mountinfo.splitlines() if line]
    known = {mount.number for mount in mounts}
    children = {}  # type: dict[int, dict[bytes, Mounted]]
    for mount in mounts:
        if mount.parent in known and mount.parent != mount.number:
            children.setdefault(mount.parent, {})[mount.point] = mount
    lowest = [mount for mount in mounts if mount.parent not in known or mount.parent == mount.number]
    todo = [mount for mount in lowest if mount.point == b"/"][:1]
    if any(mount.parent == todo[0].parent and mount is not todo[0] for mount in lowest if todo):
        return  # those stand where the root directory is: it is that of a chroot, and its mount is not in the table
    while todo:
        parent = todo.pop()
        on = children.get(parent.number, {})
        for point, mount in on.items():
            if point != b"/" and _lies_below(point, parent.point) and not any(above in on for above in _way_up(point, parent.point)):
                yield mount, parent
                todo.append(mount)


def _way_up(path: "bytes", top: "bytes") -> "Iterator[bytes]":
    """The directories above a path, up to `top` and with it, but for `/`: what is mounted over that is entered by nobody who has that root."""
    while path != top:
        path = path.rpartition(b"/")[0] or b"/"
        if path != b"/":
            yield path


def look_shadows(roots: "list[bytes]", until: "float") -> "list[list[Any]]":
    """The rows of `ShadowsAnswer`. Where there is something to look below, it is done in a thread that has a mount namespace of its own."""
    real = [os.path.realpath(root) for root in roots]
    found = covers(_mountinfo(b"/proc/self/mountinfo"), real)
    if all(cover.own for cover in found):
        return [_shadow(cover) for cover in found]
    return _apart(lambda: _look_below(real, until), until)


def _shadow(cover: "Cover", error: "str" = "") -> "list[Any]":
    return [to_text(cover.point), to_text(cover.parent), [], 0, 0, True, error]


def _mountinfo(path: "bytes") -> "bytes":
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return b"".join(iter(lambda: os.read(descriptor, 1 << 16), b""))
    finally:
        os.close(descriptor)


def _apart(work: "Callable[[], list[list[Any]]]", until: "float") -> "list[list[Any]]":
    """What `work` comes to in a thread of its own. A thread can have a mount namespace of its own, which ends with it, and with the process however it ends."""
    box = []  # type: list[tuple[list[list[Any]], BaseException | None]]

    def run() -> "None":
        try:
            box.append((work(), None))
        except BaseException as error:  # raised again where somebody waits
            box.append(([], error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(min(max(0.0, until - time.monotonic()), 86400.0))
    if not box:
        raise CouldNot(*TIMED_OUT)
    value, error = box[0]
    if error is not None:
        raise error
    return value


def _look_below(roots: "list[bytes]", until: "float") -> "list[list[Any]]":
    """In a mount namespace of this thread alone, from which nothing gets out: each mount that is covered somewhere is bound without what is mounted on it."""
    system = _system()
    _leave_the_mounts_of_the_host(system)
    mountinfo = _mountinfo(b"/proc/thread-self/mountinfo")
    if any(Mounted(line).shared for line in mountinfo.splitlines()):
        raise CouldNot("EPERM", "a mount is still shared with the host, so nothing was mounted to look below it")
    rows, bound = [], b""
    for cover in sorted(covers(mountinfo, roots), key=lambda cover: cover.parent):
        if cover.own or cover.whole:
            rows.append(_shadow(cover, "" if cover.own else _COVERED))
            continue
        try:
            if cover.parent != bound:
                bound = b""
                system("mount", cover.parent, _STAND, None, _MS_BIND, None)
                bound = cover.parent
        except OSError as error:
            rows.append(_shadow(cover, _LOCKED if error.errno == errno.EINVAL else _say(error)))
            continue
        row = _hidden(cover, _STAND + cover.point[len(cover.parent.rstrip(b"/")) :], until)
        if row is not None:
            rows.append(row)
    return sorted(rows)


def _leave_the_mounts_of_the_host(system: "Callable[..., None]") -> "None":
    """Give this thread mounts of its own. A filter that answers for the kernel is not believed: the mounts of the host would be changed."""
    before = os.stat("/proc/thread-self/ns/mnt").st_ino
    system("unshare", _CLONE_NEWNS | _CLONE_FS)
    if os.stat("/proc/thread-self/ns/mnt").st_ino == before:
        raise CouldNot("EPERM", "the kernel gave no mount namespace, although it said so")
    system("mount", None, b"/", None, _MS_REC | _MS_PRIVATE, None)


def _system() -> "Callable[..., None]":
    """Calls of the C library, which raise OSError."""
    try:
        import ctypes

        library = ctypes.CDLL(None, use_errno=True)
        library.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
        library.unshare.argtypes = (ctypes.c_int,)
    except (ImportError, OSError, AttributeError) as error:  # a minimal Python, or a static one
        raise CouldNot("no-tool", f"this host's python3 cannot call the C library: {error}") from None

    def call(name: "str", *arguments: "Any") -> "None":
        if getattr(library, name)(*arguments):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    return call


def _hidden(cover: "Cover", place: "bytes", until: "float") -> "list[Any] | None":
    """What lies in a covered directory; None where the mount covers a file."""
    try:
        if not stat.S_ISDIR(os.lstat(place).st_mode):
            return None
    except OSError as error:
        return None if cover.deep and isinstance(error, (FileNotFoundError, NotADirectoryError)) else _shadow(cover, _say(error))
    files, folders = [], []  # type: list[str], list[str]
    count, size, trouble = 0, 0, ""
    for inside, entries, fault, _ in _walk_below(place, until):
        trouble = trouble or (fault and f"{fault} ({inside or '.'})")
        for entry in entries:
            if stat.S_ISDIR(entry[1]):
                folders.append(inside + entry[0] + "/")
            else:
                files.append(inside + entry[0])
                size += entry[4]
        count += len(entries)
        if count > SHADOW_ENTRIES:
            break
    names = (sorted(files) + sorted(folders))[:SHADOW_NAMES]
    return [to_text(cover.point), to_text(cover.parent), names, len(files), size, count <= SHADOW_ENTRIES, trouble]


def _walk_below(top: "bytes", until: "float") -> "Iterator[tuple[str, list[Any], str, str]]":
    """A walk as `(directory, entries, error, device)`: the directory is told from `top` on, with a slash behind it, empty for `top`."""
    length = len(to_text(top).rstrip("/")) + 1
    with contextlib.closing(walk(top)) as listings:
        for directory, _, entries, error, device, _ in listings:
            if time.monotonic() > until:
                raise CouldNot(*TIMED_OUT)
            inside = directory[length:]
            yield inside and inside + "/", entries, error, device


# --- whom files belong to ----------------------------------------------------------------------------------------------------------------------


class _Counted:
    """How many entries each user has, and the first of their names."""

    def __init__(self, most: "int") -> "None":
        self.complete = True
        self._left = most
        self._room = OWNED_NAMES_OF_ALL
        self._counts = {}  # type: dict[int, int]
        self._names = {}  # type: dict[int, list[str]]

    def add(self, uid: "int", name: "str") -> "None":
        if not self._left:
            self.complete = False
            return
        self._left -= 1
        self._counts[uid] = self._counts.get(uid, 0) + 1
        names = self._names.setdefault(uid, [])
        if len(names) < OWNED_NAMES and self._room:
            self._room -= 1
            names.append(name)

    def rows(self) -> "list[list[Any]]":
        return [[uid, count, sorted(self._names[uid])] for uid, count in sorted(self._counts.items())]


def look_owners(root: "bytes", most: "int", until: "float") -> "dict[str, Any]":
    """The fields of `OwnersAnswer`, of the directory that `root` leads to."""
    top = os.path.realpath(root)
    counted = _Counted(most)
    counted.add(look_root(top).st_uid, ".")
    unread = []  # type: list[str]
    lost = ()  # type: tuple[str, ...]
    for inside, entries, error, device in _walk_below(top, until):
        if inside.startswith(lost):
            continue
        if error and len(unread) < UNREAD_KEPT:
            unread.append(f"{inside or '.'}: {error}")
        for entry in entries:
            if entry[0] == "lost+found" and entry[2] == 0 and stat.S_ISDIR(entry[1]) and _is_top(top + b"/" + to_bytes(inside), device):
                lost += (inside + "lost+found/",)
            else:
                counted.add(entry[2], inside + entry[0])
        if not counted.complete:
            break
    return {"owners": counted.rows(), "complete": counted.complete, "unread": unread}


def _is_top(directory: "bytes", device: "str") -> "bool":
    """Whether a file system begins there: that of the directory above is another one."""
    above = directory.rstrip(b"/").rpartition(b"/")[0]
    return not directory.rstrip(b"/") or device_text(os.lstat(above or b"/").st_dev) != device


# --- time --------------------------------------------------------------------------------------------------------------------------------------


class Hung(Exception):
    """An item did not come in time; the thread that makes it was left behind."""


def patient(items: "Iterable[Any]", limit: "Callable[[], float]") -> "Generator[Any, None, None]":
    """The items of an iterable, each waited for at most `limit()` seconds, after which `Hung` is raised.

    A dead network mount holds a thread in the kernel where no signal reaches it, so the items are made in a thread of their own. The two take turns
    strictly: while one works the other waits, and they never compete for the interpreter.
    """
    ask, said = threading.Lock(), threading.Lock()
    ask.acquire()
    said.acquire()
    box = []  # type: list[tuple[str, Any]]
    over = []  # type: list[bool]

    def produce() -> "None":
        iterator = iter(items)
        while True:
            ask.acquire()
            if over:
                break
            try:
                box.append(("item", next(iterator)))
            except StopIteration:
                box.append(("end", None))
            except BaseException as error:  # carried to the thread that asked
                box.append(("error", error))
            done = box[0][0] != "item"
            said.release()
            if done:
                return
        close = getattr(iterator, "close", None)
        if close is not None:
            close()

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    hung = False
    try:
        while True:
            ask.release()
            if not said.acquire(timeout=max(0.0, limit())):
                hung = True
                raise Hung
            what, value = box.pop()
            if what == "end":
                return
            if what == "error":
                raise value
            yield value
    finally:
        over.append(True)
        if not hung:
            ask.release()
            thread.join(1.0)


def batched(listings: "Generator[tuple[Any, ...], None, None]", seconds: "float" = 0.1) -> "Generator[list[Any], None, None]":
    """Listings in lists of about BATCH entries or `seconds`, so that handing them from thread to thread costs next to nothing."""
    batch = []  # type: list[Any]
    size = 0
    until = time.monotonic() + seconds
    try:
        for listing in listings:
            batch.append(listing)
            size += len(listing[2]) + 10
            if size >= BATCH or time.monotonic() >= until:
                yield batch
                batch, size, until = [], 0, time.monotonic() + seconds
        if batch:
            yield batch
    finally:
        listings.close()


def patient_walk(root: "bytes", limit: "Callable[[], float]", kind: "Any" = tuple) -> "Generator[tuple[Any, ...], None, None]":
    """`walk`, where each step may take `limit()` seconds; raises `CouldNot("timeout")` when one takes longer."""
    try:
        for batch in patient(batched(walk(root, kind)), limit):
            yield from batch
    except Hung:
        raise CouldNot(*TIMED_OUT) from None


# --- the answers -------------------------------------------------------------------------------------------------------------------------------

TIMED_OUT = ("timeout", "it did not answer in time")


def answer(look: "list[Any]", until: "float" = float("inf")) -> "dict[str, Any]":
    """What one look found, as `{kind: value}`; `failed` is the kind of a look that could not be made, `until` (monotonic) for one that may take long."""
    try:
        return _LONG_LOOKS[look[0]](until, *look[1:]) if look[0] in _LONG_LOOKS else _LOOKS[look[0]](*look[1:])
    except CouldNot as could_not:
        return {"failed": [could_not.code, could_not.text]}
    except OSError as error:
        return {"failed": _say(error).split(": ", 1)}
    except ValueError as error:  # a NUL in a path
        return {"failed": ["EINVAL", str(error)]}


_LOOKS = {
    "read": lambda path, limit: {"bytes": look_read(to_bytes(path), limit)},
    "stat": lambda path: {"stat": look_stat(to_bytes(path))},
    "mounts": lambda: {"mounts": look_mounts()},
    "user": lambda name: {"uid": look_user(name)},
    "space": lambda path: {"space": look_space(to_bytes(path))},
    "list": lambda path: {"list": look_list(to_bytes(path))},
    "folder": lambda path, suffixes: {"folder": look_folder(to_bytes(path), [to_bytes(suffix) for suffix in suffixes])},
    "secret": lambda path, kind: {"secret": look_secret(to_bytes(path), kind)},
    "walk": lambda root: {"walked": look_root(to_bytes(root)) and 0},  # in process a walk begins when somebody walks
}  # type: dict[str, Callable[..., dict[str, Any]]]

_LONG_LOOKS = {
    "examine": lambda until, folder: {"examined": look_examine(to_bytes(folder), until)},
    "engine": lambda until, path, variables, views, places: {"engine": look_engine(to_bytes(path), variables, until, views, places)},
    "shadows": lambda until, roots: {"shadows": look_shadows([to_bytes(root) for root in roots], until)},
    "owners": lambda until, root, most: {"owners": look_owners(to_bytes(root), most, until)},
}  # type: dict[str, Callable[..., dict[str, Any]]]

_TAKE_LONG = ("owners", "examine")


def answers(looks: "list[list[Any]]", limit: "Callable[[], float]") -> "Iterator[dict[str, Any]]":
    """The answer of each look, in their order; one that hangs is answered with `timeout`, and the next one goes on."""
    answered = 0
    while answered < len(looks):
        try:
            for found in patient((answer(look, time.monotonic() + limit()) for look in looks[answered:]), limit):
                answered += 1
                yield found
        except Hung:
            answered += 1
            yield {"failed": list(TIMED_OUT)}


def pack(listing: "tuple[Any, ...]") -> "list[Any]":
    """A listing for JSON: the names of its entries, a list for each of their six numbers (one number where all are the same), and what few of them have."""
    directory, itself, entries, error, device, vanished = listing
    columns = [list(column) for column in zip(*entries)] or [[] for _ in itself]
    numbers = [column[0] if column and column.count(column[0]) == len(column) else column for column in columns[1:7]]
    acls, targets = ({str(index): text for index, text in enumerate(column) if text} for column in columns[7:])
    return [directory, list(itself), columns[0], *numbers, acls, targets, error, device, list(vanished)]


def jsonable(found: "dict[str, Any]") -> "dict[str, Any]":
    """An answer with its bytes in base64."""
    if "bytes" in found:
        return {"bytes": base64.b64encode(found["bytes"]).decode("ascii")}
    if "engine" in found:
        return {"engine": base64.b64encode(found["engine"]).decode("ascii")}
    if "mounts" in found:
        return {"mounts": dict(found["mounts"], mountinfo=base64.b64encode(found["mounts"]["mountinfo"]).decode("ascii"))}
    if "folder" in found:
        files = {name: base64.b64encode(content).decode("ascii") for name, content in found["folder"]["files"].items()}
        return {"folder": dict(found["folder"], files=files)}
    return found


# --- on the other host -------------------------------------------------------------------------------------------------------------------------


def header(nonce: "str") -> "dict[str, Any]":
    """Who looks, and where; `nonce` shows that this answers our question."""
    uid = os.geteuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    return {
        "interlock_probe": VERSION,
        "nonce": nonce,
        "user": user,
        "uid": uid,
        "hostname": os.uname().nodename,
        "utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": ".".join(map(str, sys.version_info[:3])),
    }


class _Output:
    """Lines of JSON on stdout, counted."""

    def __init__(self) -> "None":
        self.lines = 0
        self._stream = sys.stdout.buffer

    def line(self, value: "Any") -> "None":
        self._stream.write(json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n")
        self.lines += 1

    def flush(self) -> "None":
        self._stream.flush()


def main(request: "str") -> "None":
    """Answer a request on stdout and leave, at once: a thread that hangs in the kernel is not waited for.

    The request is `{"nonce", "seconds", "looks"}`; a single step may take a third of `seconds`, all of them together `seconds`.
    """
    asked = json.loads(request)
    seconds = float(asked["seconds"])
    until = time.monotonic() + seconds

    def limit() -> "float":
        return min(seconds / 3, until - time.monotonic())

    output = _Output()
    sys.stdout.buffer.write(b"\n")  # a start file of the shell may have left a line open
    output.line(header(asked["nonce"]))
    walks = [(number, look) for number, look in enumerate(asked["looks"]) if look[0] == "walk"]
    others = [(number, look) for number, look in enumerate(asked["looks"]) if look[0] != "walk"]
    _send_answers(output, [(number, look) for number, look in others if look[0] not in _TAKE_LONG], limit)
    for number, look in walks:
        output.line(dict(_send_walk(output, number, look[1], limit), look=number))
    _send_answers(output, [(number, look) for number, look in others if look[0] in _TAKE_LONG], limit)  # what takes long takes no time from the others
    output.line({"interlock_probe_end": asked["nonce"], "lines": output.lines})
    output.flush()
    os._exit(0)


def _send_answers(output: "_Output", looks: "list[tuple[int, list[Any]]]", limit: "Callable[[], float]") -> "None":
    for (number, _), found in zip(looks, answers([look for _, look in looks], limit)):
        output.line(dict(jsonable(found), look=number))


def _send_walk(output: "_Output", number: "int", root: "str", limit: "Callable[[], float]") -> "dict[str, Any]":
    listings = 0
    try:
        for listing in patient_walk(to_bytes(root), limit):
            output.line({"look": number, "listing": pack(listing)})
            listings += 1
    except CouldNot as could_not:
        return {"failed": [could_not.code, could_not.text]}
    except ValueError as error:
        return {"failed": ["EINVAL", str(error)]}
    return {"walked": listings}
