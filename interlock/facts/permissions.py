"""Who reads what on the host, as which user, and what do scripts do to its owner and mode? The nouns of the permissions family.

`interlock.facts.ownership` reads scripts, `interlock.facts.publishes` Python programs; `interlock.observe.permissions` brings both, and the containers.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import field

from interlock.facts.ownership import Act, Did, is_below
from interlock.facts.programs import Unreadable
from interlock.nouns import dataclass
from interlock.patterns import regex

_UNKNOWN_HEAD = regex(r"^(?:⟨[^⟩]*⟩|\$\{[^}]*\})/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A service and one directory or file of the host that it sees. `source` is absolute, or relative to the tree when it lies in it; `uid` is the user that
    its program runs as from its start, None when that is root or not known; `data_of` the uids that an engine's data can belong to, empty for other services;
    `strict`: the engine does not start when others may read its data."""

    chain: str
    service: str
    source: str
    target: str
    uid: int | None
    read_only: bool = False
    data_of: frozenset[int] = frozenset()
    strict: bool = False
    built: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptActs:
    """A script of a host, or of an image (`inside`), and what it does to owners and modes. `thinks`: it sets a umask, or copies a mode from elsewhere."""

    path: str
    inside: bool
    acts: tuple[Act, ...]
    thinks: bool = False

    def places(self, act_path: str, directory: str) -> tuple[str, ...]:
        """How a path of this script can be written as a bind's source: as it is, or relative to the tree. `directory` is where the stack lies on its host."""
        path = _UNKNOWN_HEAD.sub("", act_path)
        if path.startswith("/"):
            below = path[len(directory) + 1 :] if directory and is_below(path, directory) else ""
            return (path, below) if below else (path,)
        joined = posixpath.normpath(posixpath.join(posixpath.dirname(self.path), path))
        return (path, joined) if joined != path else (path,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """All of a tree. `users` maps each user that a script makes to the uids that it asks for, empty text where the system chooses; `named` are the last parts
    of paths that programs, compose files and images name; `directory` is where the stack lies on its host; `present` are folders that the tree itself has.

    `refused` are chains that docker compose does not resolve: who reads what in them is not known.
    """

    readers: tuple[Reader, ...]
    scripts: tuple[ScriptActs, ...]
    users: Mapping[str, frozenset[str]] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    directory: str = ""
    present: frozenset[str] = frozenset()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A program puts a file in its place by a temporary one. `mode` is what it is given, None when it keeps that of the temporary file; `private`: that is
    0600, as `mkstemp` makes it; `package` is the folder of the program, `function` where it stands."""

    file: str
    line: int
    function: str
    target: str
    private: bool
    mode: int | None

    @property
    def package(self) -> tuple[str, ...]:
        """The folders above the program, at most the first two."""
        return tuple(self.file.split("/")[:-1][:2])


def private_names(scripts: tuple[ScriptActs, ...]) -> frozenset[str]:
    """The last parts of the paths that scripts make private: a container reads one only when something in it names it."""
    return frozenset(name for script in scripts for act in script.acts if act.private or act.did is Did.MOVED if (name := posixpath.basename(act.path)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """What mode_needs_owner_match is asked of: scripts and their readers, and programs that put files in their place."""

    ownership: Ownership
    published: tuple[Published, ...]
    looked_at: int
    unread: tuple[Unreadable, ...] = ()
