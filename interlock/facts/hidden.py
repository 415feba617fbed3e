"""What lies below the mountpoints of a disk, where nobody sees it? `interlock.observe.hidden` brings it."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from interlock.facts.looks import Shadow
from interlock.nouns import dataclass


class Covered(NamedTuple):
    """A directory that something is mounted over. It lies on the mount at `parent`; `disk` says what that one is, empty when the table does not tell."""

    mountpoint: str
    parent: str
    disk: str

    @property
    def wholly(self) -> bool:
        """True for a mount that lies wholly under another one at the same place: no bind shows it."""
        return self.mountpoint == self.parent

    @property
    def look(self) -> str:
        """The command that shows an operator what is in it, and leaves no mount behind."""
        return self._below(f"ls -laR {shlex.quote(self._at('/mnt'))}")

    @property
    def beside(self) -> str:
        """The directory on the same disk, visible and beside the mountpoint, that what is hidden can be moved to."""
        return f"{self.mountpoint}.hidden"

    def uncover(self, *, leaving: tuple[str, ...] = ()) -> str:
        """The command that moves what is hidden, but for what is named so, to `beside`: a rename on its own disk, which overwrites nothing."""
        place, to = shlex.quote(self._at("/mnt")), shlex.quote(self._at("/mnt") + ".hidden")
        but = "".join(f" ! -name {shlex.quote(_literally(name))}" for name in leaving)
        return self._below(f"mkdir -m 700 {to} && find {place} -mindepth 1 -maxdepth 1{but} -exec mv -n -t {to} {{}} +")

    def _at(self, top: str) -> str:
        return top + self.mountpoint.removeprefix(self.parent.rstrip("/"))

    def _below(self, command: str) -> str:
        """Where the mount that is covered is bound without what is mounted on it, in a namespace that ends with the command."""
        return f"sudo unshare --mount --propagation private sh -c {shlex.quote(f'mount --bind {shlex.quote(self.parent)} /mnt && {command}')}"


def _literally(name: str) -> str:
    """A name as a pattern of find that matches nothing else."""
    return "".join(f"\\{character}" if character in "*?[\\" else character for character in name)


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenBelow:
    """A declared disk with what the mounts at and below its mountpoint cover; what lies below the other declared disk is that one's.

    `mountpoint` is as declared, `realpath` where it leads (empty when absent), `mounted` whether that shows a mount of its own. `covered` is what the mount
    table says that something is mounted over, `shadows` what was seen of it, None when nobody could look: then `could_not` says why and `remedy` what would
    help. `markers` are names that may lie directly below the mountpoint.
    """

    mountpoint: str
    realpath: str
    mounted: bool
    covered: tuple[Covered, ...]
    shadows: tuple[Shadow, ...] | None
    markers: tuple[str, ...] = ()
    could_not: str = ""
    remedy: str = ""

    def place_of(self, shadow: Shadow) -> Covered:
        """The directory that a shadow is about."""
        known = (one for one in self.covered if (one.mountpoint, one.parent) == (shadow.mountpoint, shadow.parent))
        return next(known, Covered(shadow.mountpoint, shadow.parent, ""))
