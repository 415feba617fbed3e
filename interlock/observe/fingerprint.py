"""What is the live state that a plan stands on? Mounts, directories, files, compose projects and their images, and the host, each as one line of
words, so that two looks can be compared.

    seen = fingerprint(directories=["/srv/app"], files=["/srv/app/nginx.conf"])
    again = look_again(seen)                     exactly what the first look named, looked at now

The names are part of the plan (`mount /data-state`, `file /srv/app/nginx.conf`): what was looked at then is what is looked at again.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from interlock.errors import CouldNotLook
from interlock.facts.mounts import MountTable
from interlock.observe.caller import boot_id

HOST = "host"
MOUNT, DIRECTORY, FILE = "mount ", "directory ", "file "
PROJECT, IMAGE = "compose project ", "image "
NOTHING = "nothing"
_ID = re.compile(r"^id \d+, ")
_MOUNTINFO = Path("/proc/self/mountinfo")
_MACHINE_ID = Path("/etc/machine-id")


def fingerprint(*, directories: Iterable[str], files: Iterable[str], others: Iterable[str] = ()) -> dict[str, str]:
    """One line for this host, two for each directory (itself, and the mount that it shows), one for each file, and for each name in `others`
    (`compose project shop at /var/run/docker.sock`, `image app:2 at /var/run/docker.sock`). Raises CouldNotLook."""
    names = [HOST]
    for directory in directories:
        names += [MOUNT + directory, DIRECTORY + directory]
    names += [FILE + file for file in files]
    names += others
    return look_again(names)


def look_again(names: Iterable[str]) -> dict[str, str]:
    """What each of these names shows now. Raises CouldNotLook for one that cannot be looked at, and for a name of another make."""
    wanted = sorted(set(names))
    table = _mount_table() if any(name.startswith(MOUNT) for name in wanted) else None
    return {name: _look(name, table) for name in wanted}


def mounts_of(seen: Mapping[str, str]) -> dict[str, str]:
    """The part of a fingerprint that is about mounts, without their ids: what every step checks again before it writes, also after a reboot."""
    return {name: _ID.sub("", text) for name, text in seen.items() if name.startswith(MOUNT)}


def file_digest(path: str) -> str:
    """`sha256:...` of a regular file, links followed. Raises OSError."""
    with Path(path).open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _look(name: str, table: MountTable | None) -> str:
    try:
        if name == HOST:
            return _host()
        for prefix, look in ((DIRECTORY, _directory), (FILE, _file)):
            if name.startswith(prefix):
                return look(name.removeprefix(prefix))
        if name.startswith(MOUNT) and table is not None:
            return _mount(name.removeprefix(MOUNT), table)
        if name.startswith((PROJECT, IMAGE)):
            return _of_engine(name)
    except OSError as error:
        raise CouldNotLook(f"{name} could not be looked at: {error.strerror}", where=HOST, remedy="run as the user who can read it") from error
    raise CouldNotLook(f"{name!r} is nothing that a fingerprint names", where=HOST, remedy="make a new plan with this version of interlock")


def _of_engine(name: str) -> str:
    from interlock.observe.compose_state import look_image, look_project

    return look_project(name.removeprefix(PROJECT)) if name.startswith(PROJECT) else look_image(name.removeprefix(IMAGE))


def _host() -> str:
    """The host's name, its machine-id as a digest (the id itself is confidential: machine-id(5)), and its boot."""
    try:
        machine = hashlib.sha256(b"interlock:" + _MACHINE_ID.read_bytes().strip()).hexdigest()[:16]
    except OSError:
        machine = "unknown"
    return f"{socket.gethostname()}, machine {machine}, boot {boot_id()[:8]}"


def _mount_table() -> MountTable:
    try:
        return MountTable.parse(_MOUNTINFO.read_bytes(), where=str(_MOUNTINFO))
    except OSError as error:
        raise CouldNotLook(f"the mount table could not be read: {error.strerror}", where=str(_MOUNTINFO), remedy="mount /proc") from error


def _mount(path: str, table: MountTable) -> str:
    shown = table.showing(os.path.realpath(path))
    if shown is None:
        raise CouldNotLook(f"no mount shows {path}", where=str(_MOUNTINFO), remedy="look at the mount table of the host")
    return f"id {shown.id}, device {shown.device_number}, {shown}"


def _directory(path: str) -> str:
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        return NOTHING
    real = os.path.realpath(path)
    shown = f", which is {real}" if real != path else ""
    kind = "" if stat.S_ISDIR(status.st_mode) else "no directory, "
    return f"{kind}{stat.S_IMODE(status.st_mode):04o} {status.st_uid}:{status.st_gid}, inode {status.st_ino}{shown}"


def _file(path: str) -> str:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return NOTHING
    if stat.S_ISLNK(status.st_mode):
        status = Path(path).stat()
        return f"{file_digest(path)}, {stat.S_IMODE(status.st_mode):04o} {status.st_uid}:{status.st_gid}, which is {os.path.realpath(path)}"
    if not stat.S_ISREG(status.st_mode):
        return "no regular file"
    return f"{file_digest(path)}, {stat.S_IMODE(status.st_mode):04o} {status.st_uid}:{status.st_gid}"
