"""What is the live state that a plan stands on? Mounts, directories, files, compose projects and their images, and the host, each as one line of
words, so that two looks can be compared.

    seen = fingerprint(directories=["/srv/app"], files=["/srv/app/nginx.conf"])
    again = look_again(seen)                     exactly what the first look named, looked at now

The names are part of the plan (`mount /data-state`, `file /srv/app/nginx.conf`, `file app2:/srv/app/nginx.conf` on another host): what was looked at then
is what is looked at again. `interlock.observe.eyes` looks, here and there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from interlock.config.scalars import LOCAL
from interlock.errors import CouldNotLook
from interlock.facts.mounts import MountTable
from interlock.observe.eyes import HERE, Eyes
from interlock.patterns import regex

HOST = "host"
MOUNT, DIRECTORY, FILE = "mount ", "directory ", "file "
PROJECT, IMAGE = "compose project ", "image "
_ID = regex(r"^id \d+, ")
_MOUNTINFO = "/proc/self/mountinfo"


def fingerprint(*, directories: Iterable[str], files: Iterable[str], others: Iterable[str] = (), eyes: Callable[[str], Eyes] | None = None) -> dict[str, str]:
    """One line for this host and each other one, two for each directory (itself, and the mount that it shows), one for each file.

    Paths of other hosts are `HOST:/path` (`named`). `others` are names of other kinds, one line each: `compose project shop at /var/run/docker.sock`,
    `image app:2 at /var/run/docker.sock`. Raises CouldNotLook.
    """
    directories, files = sorted(directories), sorted(files)
    distant = {path.partition(":")[0] for path in (*directories, *files) if not path.startswith("/")}
    names = [HOST, *(f"{HOST} {host}" for host in distant)]
    for directory in directories:
        names += [MOUNT + directory, DIRECTORY + directory]
    names += [FILE + file for file in files]
    names += others
    return look_again(names, eyes)


def look_again(names: Iterable[str], eyes: Callable[[str], Eyes] | None = None) -> dict[str, str]:
    """What each of these names shows now. `eyes` brings those of a host, all of whose names are looked at in one round trip; without it this machine alone is
    looked at. Raises CouldNotLook for one that cannot be looked at, and for a name of another make.
    """
    by_host: dict[str, list[tuple[str, str, str]]] = {}
    found: dict[str, str] = {}
    for name in sorted(set(names)):
        if name.startswith((PROJECT, IMAGE)):
            found[name] = _of_engine(name)
            continue
        kind, host, path = _parsed(name)
        by_host.setdefault(host, []).append((name, kind, path))
    for host, looks in by_host.items():
        found |= _look(host, looks, (eyes or _here)(host))
    return {name: found[name] for name in sorted(found)}


def mounts_of(seen: Mapping[str, str], but: Collection[str] = ()) -> dict[str, str]:
    """The part of a fingerprint that is about mounts, without their ids: what every step checks again before it writes, also after a reboot.

    `but` are directories that show another disk by now, as a fingerprint names them (`/data/state`, `app2:/data/state`): they and all below them are left out.
    """
    return {
        name: _ID.sub("", text)
        for name, text in seen.items()
        if name.startswith(MOUNT) and not any(f"{name.removeprefix(MOUNT)}/".startswith(f"{path}/") for path in but)
    }


def by_mountpoint(seen: Mapping[str, str]) -> dict[str, str]:
    """The part of a fingerprint that is about mounts, with nothing but where each is mounted: after a reboot the same disk may have another name and number."""
    return {name: text.rpartition(" mounted at ")[2] for name, text in mounts_of(seen).items()}


def named(host: str, path: str) -> str:
    """A path of a host, as a fingerprint names it: with its host, where that is another one."""
    return path if host == LOCAL else f"{host}:{path}"


def _here(host: str) -> Eyes:
    if host != LOCAL:
        raise CouldNotLook(f"{host} is another host", where=host, why="nothing leads there from here", remedy="run the action that looks there")
    return HERE


def _parsed(name: str) -> tuple[str, str, str]:
    """What is looked at, on which host, and where. Raises CouldNotLook for a name of another make."""
    kind, _, rest = name.partition(" ")
    if kind == HOST:
        return kind, rest or LOCAL, ""
    host, path = (LOCAL, rest) if rest.startswith("/") else rest.partition(":")[::2]
    if f"{kind} " not in (MOUNT, DIRECTORY, FILE) or not path.startswith("/"):
        raise CouldNotLook(f"{name!r} is nothing that a fingerprint names", where=HOST, remedy="make a new plan with this version of interlock")
    return kind, host, path


def _look(host: str, looks: Sequence[tuple[str, str, str]], eyes: Eyes) -> dict[str, str]:
    try:
        answer = eyes.look([(kind, path) for _, kind, path in looks])
    except OSError as error:
        raise CouldNotLook(f"the mount table could not be read: {error.strerror}", where=named(host, _MOUNTINFO), remedy="mount /proc") from error
    table = MountTable.parse(answer["mountinfo"], where=named(host, _MOUNTINFO)) if answer["mountinfo"] else None
    found = {}
    for (name, kind, path), seen in zip(looks, answer["found"], strict=True):
        if not isinstance(seen, str):
            raise CouldNotLook(f"{name} could not be looked at: {seen['error']}", where=host, remedy="run as the user who can read it")
        found[name] = _mount(named(host, path), seen, table) if f"{kind} " == MOUNT else seen
    return found


def _of_engine(name: str) -> str:
    from interlock.observe.compose_state import look_image, look_project

    return look_project(name.removeprefix(PROJECT)) if name.startswith(PROJECT) else look_image(name.removeprefix(IMAGE))


def _mount(shown_as: str, real: str, table: MountTable | None) -> str:
    shown = table.showing(real) if table is not None else None
    if shown is None:
        raise CouldNotLook(f"no mount shows {shown_as}", where=_MOUNTINFO, remedy="look at the mount table of the host")
    return f"id {shown.id}, device {shown.device_number}, {shown}"
