"""What is there on this host? The one read-only probe, which answers the closed set of looks of `interlock.facts.looks`.

Imported, it looks at this machine in process (`hosts.py`, `files.py`). Its source, sent on stdin to `python3 -I -S`, looks at another one
(`conversation.py`; `probe.sh` is its twin where there is no Python). So it needs only the standard library of Python 3.6 and imports nothing of ours.
It opens nothing for writing, asks the kernel to leave access times alone where it may, follows no link while it walks, and opens no device or FIFO.

Paths are bytes inside and text outside (UTF-8, `surrogateescape`); modes are st_mode, sizes bytes, times whole seconds.
"""

# Python 3.6: no future annotations, no walrus, no strict zip, quoted types. Bytes paths and directory descriptors: no pathlib.
# ruff: noqa: B905, PTH116, PTH119, PTH208

import base64
import errno
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
FOLDER_LIMIT = 8 * 1024 * 1024
SECRET_LIMIT = 1024 * 1024  # nobody's secret is larger
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
    }


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


def answer(look: "list[Any]") -> "dict[str, Any]":
    """What one look found, as `{kind: value}`; `failed` is the kind of a look that could not be made."""
    try:
        return _LOOKS[look[0]](*look[1:])
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
    "folder": lambda path, suffixes: {"folder": look_folder(to_bytes(path), [to_bytes(suffix) for suffix in suffixes])},
    "secret": lambda path, kind: {"secret": look_secret(to_bytes(path), kind)},
    "walk": lambda root: {"walked": look_root(to_bytes(root)) and 0},  # in process a walk begins when somebody walks
}  # type: dict[str, Callable[..., dict[str, Any]]]


def answers(looks: "list[list[Any]]", limit: "Callable[[], float]") -> "Iterator[dict[str, Any]]":
    """The answer of each look, in their order; one that hangs is answered with `timeout`, and the next one goes on."""
    answered = 0
    while answered < len(looks):
        try:
            for found in patient(map(answer, looks[answered:]), limit):
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
    _send_answers(output, [(number, look) for number, look in others if look[0] != "examine"], limit)
    for number, look in walks:
        output.line(dict(_send_walk(output, number, look[1], limit), look=number))
    _send_answers(output, [(number, look) for number, look in others if look[0] == "examine"], limit)  # what takes long takes no time from the others
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
