"""May a process read or write there? The kernel's own rule for owner, group, other and capabilities, for whoever judges what a container's process can do.

A process is what `interlock.facts.engine.View` says of the first one in a container. Not asked here: a read-only mount, an immutable file, SELinux and
AppArmor.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import IntFlag
from stat import S_ISDIR
from typing import Protocol

DAC_OVERRIDE = 1 << 1  # capabilities(7): reads and writes whatever the mode says
DAC_READ_SEARCH = 1 << 2  # reads files and lists directories whatever the mode says


class Want(IntFlag):
    """What a process wants of a file or a directory, as the bits of a mode."""

    SEARCH = 1  # go through a directory; of a file: execute it
    WRITE = 2
    READ = 4
    FILL = WRITE | SEARCH  # make files in a directory


class Inode(Protocol):
    """What the rule asks of a file: `Place`, `StatAnswer` and `Entry` have it. `uid` and `gid` as the host counts them."""

    @property
    def mode(self) -> int: ...
    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...


def may(place: Inode, uid: int, gid: int, groups: Collection[int], capabilities: int, want: Want) -> bool | None:  # noqa: PLR0917 - what the kernel asks
    """Whether a process with these ids (as the host counts them) and this effective capability set (as bits) gets all of `want`.

    The owner is asked the owner's bits alone, also where the group has more. None when it cannot be told from here: an ACL may give what the mode refuses
    (the bits of the group are its mask then), or the capability is one of a user namespace (a rootless engine's), which ends at the ids that it maps.
    An ACL that takes from the group what its bits seem to give is not seen. Source: acl(5), "access check algorithm"; capabilities(7); user_namespaces(7).
    """
    bits = _bits(place, uid, gid, groups)
    if bits & want == want:
        return True
    if _overrides(place, capabilities, want):
        return True if uid == 0 or (place.uid == uid and place.gid in {gid, *groups}) else None
    return None if place.uid != uid and place.mode >> 3 & want == want else False


def _bits(place: Inode, uid: int, gid: int, groups: Collection[int]) -> int:
    """The three bits of the mode that are this process's."""
    if place.uid == uid:
        return place.mode >> 6 & 0o7
    return (place.mode >> 3 if place.gid in {gid, *groups} else place.mode) & 0o7


def _overrides(place: Inode, capabilities: int, want: Want) -> bool:
    """Whether a capability gives what the mode does not."""
    if capabilities & DAC_OVERRIDE:
        return S_ISDIR(place.mode) or not want & Want.SEARCH or bool(place.mode & 0o111)  # a file that nobody may execute root cannot either
    if not capabilities & DAC_READ_SEARCH:
        return False
    lacking = {Want.READ, Want.SEARCH} if S_ISDIR(place.mode) else {Want.READ}
    return not want & ~sum(lacking)
