"""What does fstab say is mounted at boot? `interlock.facts.reboot` joins it with the mount units of systemd.

Sources: fstab(5); systemd.mount(5) and systemd-fstab-generator(8) for the options that systemd reads; mount(8) for `nofail` and `_netdev`.
"""

from __future__ import annotations

import posixpath
from typing import Self

from interlock.facts.mounts import unescape
from interlock.nouns import dataclass
from interlock.patterns import regex

_OPTION = regex(r'(?:[^,"]|"[^"]*")+')
_QUOTED = regex(r"^(\w+)=([\"'])(.*)\2$")
NETWORK_TYPES = frozenset(
    {"afs", "ceph", "cifs", "smb3", "smbfs", "sshfs", "ncpfs", "ncp", "nfs", "nfs4", "gfs", "gfs2", "ocfs2", "orangefs", "pvfs2", "davfs", "glusterfs"}
    | {"lustre", "9p", "fuse.glusterfs", "fuse.sshfs", "fuse.ceph"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FstabEntry:
    """One line. `spec` is what is mounted, as written without quotes; `mountpoint` without a slash at its end; of options the last one wins."""

    line: int
    spec: str
    mountpoint: str
    fstype: str
    options: tuple[str, ...]

    @classmethod
    def parse(cls, text: bytes, line: int) -> Self | None:
        """None for a line that mounts nothing: too few fields, swap, no absolute mountpoint."""
        fields = text.split()
        if len(fields) < 3 or fields[2] == b"swap":
            return None
        mountpoint = unescape(fields[1])
        if not mountpoint.startswith("/"):
            return None
        spec = unescape(fields[0])
        quoted = _QUOTED.match(spec)
        return cls(
            line=line,
            spec=f"{quoted[1]}={quoted[3]}" if quoted else spec,
            mountpoint=normal(mountpoint),
            fstype=unescape(fields[2]),
            options=tuple(_OPTION.findall(unescape(fields[3]))) if len(fields) > 3 else (),
        )

    def render(self) -> bytes:
        """The line again."""
        return b" ".join((*map(_escape, (self.spec, self.mountpoint, self.fstype, ",".join(self.options) or "defaults")), b"0 0"))


def _escape(text: str) -> bytes:
    """As getmntent(3) takes them back: space, tab, newline and backslash."""
    return b"".join(b"\\%03o" % byte if byte in b" \t\n\\" else bytes([byte]) for byte in text.encode("utf-8", "surrogateescape"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fstab:
    """The whole file, in the order of its lines; `unread` are the numbers of lines that say something and have too few fields."""

    entries: tuple[FstabEntry, ...]
    unread: tuple[int, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Comments begin at the start of a line. What has too few fields is `unread`: mount and systemd pass it over."""
        entries, unread = [], []
        for number, line in enumerate(data.split(b"\n"), start=1):
            if not line.strip() or line.lstrip().startswith(b"#"):
                continue
            entry = FstabEntry.parse(line, number)
            if entry is not None:
                entries.append(entry)
            elif len(line.split()) < 3:
                unread.append(number)
        return cls(entries=tuple(entries), unread=tuple(unread))


def normal(path: str) -> str:
    """An absolute path without `..`, doubled slashes and a slash at its end."""
    return "/" + posixpath.normpath(path).strip("/")


def option_value(options: tuple[str, ...], name: str) -> str | None:
    """The value of `name=value`, the last one; None when it is not there."""
    return next((option.partition("=")[2].strip('"') for option in reversed(options) if option.partition("=")[0] == name and "=" in option), None)


def option_values(options: tuple[str, ...], name: str) -> tuple[str, ...]:
    """Every value of `name=value`."""
    return tuple(option.partition("=")[2].strip('"') for option in options if option.startswith(f"{name}="))


def switched(options: tuple[str, ...], on: str, off: str) -> bool:
    """Whether `on` is said, and not taken back by `off` behind it."""
    said = [option for option in options if option in (on, off)]
    return bool(said) and said[-1] == on


def is_network(fstype: str, options: tuple[str, ...]) -> bool:
    """Whether it waits for the network, and so is none of what local-fs.target waits for."""
    return fstype in NETWORK_TYPES or "_netdev" in options
