"""What does a file of the site's tree say? `Tree` reads for judgements from files alone, each file at most once, and never out of the tree."""

# Names are text with surrogates and questions are about links themselves: os, not pathlib.
# ruff: noqa: PTH116, PTH118

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from interlock.errors import CouldNotLook, TooLarge
from interlock.observe import probe
from interlock.patterns import regex

SIZE_LIMIT = 4 * 1024 * 1024
KEPT_LIMIT = 256 * 1024  # a text that is read for the digest alone, and is longer, is read again when somebody asks for it
SKIPPED = frozenset({".git", ".hg", ".svn", ".interlock", ".venv", ".tox", ".mypy_cache", ".pytest_cache", ".ruff_cache", "__pycache__", "node_modules"})

EVIDENCE = frozenset({"record.json", "details.jsonl", "SHA256SUMS"})  # a folder with these is what an earlier run left: it names much, and uses nothing

_RUN = regex(r"\d{8}T\d{6}Z-[a-z0-9._-]+-[0-9a-f]{6}|\.spool-\w+", re.IGNORECASE)


class MissingFile(CouldNotLook):
    """The tree has no such file; unlike one that is there and cannot be read."""


class Tree:
    """The files below `root`, by paths relative to it (`/` between the parts, names that are not UTF-8 by `surrogateescape`).

    What was read is kept, so that a file judged by ten guardrails is opened once and says the same to all of them. A `patient` tree leaves folders that
    cannot be listed out of its listings and names them in `unlisted`, for callers who say of each that it is unproven.
    """

    def __init__(self, root: Path, *, limit: int = SIZE_LIMIT, patient: bool = False) -> None:
        self.root = root
        self.unlisted: dict[str, CouldNotLook] = {}
        self._patient = patient
        self._limit = limit
        self._real_root = os.path.realpath(root)
        self._contents: dict[str, bytes | CouldNotLook] = {}
        self._listings: dict[str, tuple[str, ...]] = {}
        self._others: dict[str, list[str]] = {}  # what else than regular files a listing met
        self._folders: dict[str, str] = {}  # where folders really are: looking at each part of each path takes as long as reading small files

    def read(self, path: str) -> bytes:
        """The bytes of one regular file of at most `limit` bytes; links are followed as long as they stay in the tree.

        Raises `MissingFile` when it is not there, `TooLarge` when it is larger, `CouldNotLook` when it is there and cannot be read: a directory, a FIFO,
        no permission, a link that leads out.
        """
        if path in self.unlisted:
            raise self.unlisted[path]
        real = self._inside(path)
        if real not in self._contents:
            self._contents[real] = self._read(real, path)
        content = self._contents[real]
        if isinstance(content, CouldNotLook):
            raise type(content)(content.what, where=content.where, why=content.why, remedy=content.remedy)
        return content

    def glance(self, path: str) -> bytes:
        """Like `read`, for whoever looks at every file once: what nobody has read yet is not kept."""
        real = self._inside(path)
        if real in self._contents:
            return self.read(path)
        content = self._read(real, path)
        if isinstance(content, CouldNotLook):
            raise content
        return content

    def exists(self, path: str) -> bool:
        """True when there is a file or directory of that name. Raises `CouldNotLook` when that cannot be seen, or is a link that leads out."""
        try:
            os.stat(self._inside(path))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise _unreadable(path, error) from error
        return True

    def listing(self, below: str = "") -> tuple[str, ...]:
        """Every regular file below a folder of the tree, sorted, links to files among them, without what version control, package managers and caches
        keep (`SKIPPED`). Linked folders are not entered, so no loop is; a folder that is not there has no files. Raises `CouldNotLook` when one cannot be
        listed, unless the tree is patient: a part is not the whole.
        """
        if below not in self._listings:
            self._listings[below] = tuple(sorted(self._files(below.strip("/"))))
        return self._listings[below]

    def digest(self) -> str:
        """The sha256 over every file with its mode, and every folder, link and unreadable thing with its name: the same for the same tree, and for no other.

        What is read for it is kept like anything that is read, so that a file is opened once.
        """
        whole = hashlib.sha256()
        for path in self.listing():
            whole.update(f"{len(path)}:{path}={self._file_digest(path)}\n".encode("utf-8", "surrogateescape"))
        for name in sorted((*self._others.get("", ()), *(f"! {path}" for path in self.unlisted))):
            whole.update(f"{len(name)}:{name}\n".encode("utf-8", "surrogateescape"))
        return whole.hexdigest()

    def _file_digest(self, path: str) -> str:
        try:
            real = self._inside(path)
            with os.fdopen(os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:
                seen = os.fstat(file.fileno())
                if not stat.S_ISREG(seen.st_mode):
                    return "no file"
                if seen.st_size > KEPT_LIMIT:
                    return f"{seen.st_mode:o} {hashlib.file_digest(file, 'sha256').hexdigest()}"
                content = file.read(KEPT_LIMIT + 1)
        except CouldNotLook as error:
            return error.what
        except OSError as error:
            return str(error.errno)
        if b"\0" not in content[:1024] and len(content) == seen.st_size:
            self._contents.setdefault(real, content)
        return f"{seen.st_mode:o} {hashlib.sha256(content).hexdigest()}"

    def _inside(self, path: str) -> str:
        """Where a path leads. Raises `CouldNotLook` when that is out of the tree."""
        if "\0" in path:
            raise CouldNotLook(f"{path!r} is no path", where=str(self.root), why="it holds a NUL", remedy="correct the path")
        real = self._real(path)
        if real != self._real_root and not real.startswith(self._real_root.rstrip("/") + "/"):
            raise CouldNotLook(
                f"{path} leads out of the tree, to {real}", where=path, why=f"what is judged must lie in {self.root}", remedy="copy the file into the tree"
            )
        return real

    def _real(self, path: str) -> str:
        folder, _, name = path.rpartition("/")
        if name in ("", ".", "..") or path.startswith("/"):
            return os.path.realpath(os.path.join(self._real_root, path))
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(os.path.join(self._real_root, folder))
        real = f"{self._folders[folder].rstrip('/')}/{name}"
        return os.path.realpath(real) if os.path.islink(real) else real  # noqa: PTH114

    def _read(self, real: str, path: str) -> bytes | CouldNotLook:
        try:
            return probe.look_read(os.fsencode(real), self._limit)
        except (FileNotFoundError, NotADirectoryError):
            return MissingFile(f"{path} is not there", where=path, why=f"looked in {self.root}", remedy="add the file, or correct the path")
        except probe.CouldNot as could_not:
            kind = TooLarge if could_not.code == "too-large" else CouldNotLook
            return kind(f"{path} could not be read: {could_not.text}", where=path, remedy="put a regular file of a sensible size there")
        except OSError as error:
            return _unreadable(path, error)

    def _files(self, below: str) -> Iterator[str]:
        folders = [below]
        others = self._others[below] = []
        while folders:
            folder = folders.pop()
            prefix = f"{folder}/" if folder else ""
            try:
                with os.scandir(self._inside(folder)) as listed:
                    entries = list(listed)
                    if {entry.name for entry in entries} >= EVIDENCE:
                        continue
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            others.append(f"d {prefix}{entry.name}")
                            if entry.name not in SKIPPED:
                                folders.append(prefix + entry.name)
                            continue
                        if not entry.is_file(follow_symlinks=False):
                            others.append(f"{_target(entry)} {prefix}{entry.name}")
                        if entry.is_file(follow_symlinks=False) or (entry.is_symlink() and _is_regular(entry)):
                            yield prefix + entry.name
            except FileNotFoundError:
                continue
            except OSError as error:
                if isinstance(error, PermissionError) and self._is_a_run_of_another_user(folder):
                    continue
                could_not = _unreadable(folder or str(self.root), error)
                if not self._patient:
                    raise could_not from error
                self.unlisted[folder or "."] = could_not

    def _is_a_run_of_another_user(self, folder: str) -> bool:
        """Whether a folder that cannot be listed is the evidence of a gate that root was asked for here: by its name, and as private as those are made."""
        if not _RUN.fullmatch(folder.rpartition("/")[2]):
            return False
        seen = os.lstat(os.path.join(self._real_root, folder))
        return seen.st_uid != os.geteuid() and stat.S_IMODE(seen.st_mode) == 0o700


def _is_regular(link: os.DirEntry[str]) -> bool:
    """Whether a link leads to a regular file; one that leads nowhere, or round in circles, is no file."""
    try:
        return stat.S_ISREG(link.stat().st_mode)
    except OSError:
        return False


def _target(entry: os.DirEntry[str]) -> str:
    """Where a link leads, as it says; of a device, a FIFO or a socket that it is one."""
    try:
        return f"l {os.readlink(entry.path)}" if entry.is_symlink() else "s"  # noqa: PTH115
    except OSError:
        return "l"


def _unreadable(path: str, error: OSError) -> CouldNotLook:
    return CouldNotLook(f"{path} could not be read: {error.strerror}", where=path, remedy="let this user read it, or judge a clean checkout")
