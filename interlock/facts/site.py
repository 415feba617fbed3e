"""What keeps state and what does the site declare of it? Volumes, directories, engines, mounts and databases beside the words that may cover them.

`interlock.observe.site` finds both, in a resolved stack or on a host. What merely passes through (caches of the engine, sockets, configuration that lies in
the tree, the system's own directories) is none of a site's business.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from fnmatch import fnmatchcase

from interlock.facts.engine import Container, Engine, EngineVolume
from interlock.facts.known_images import recognise
from interlock.facts.mounts import Mount, MountTable, is_below
from interlock.facts.stack import Service, ServiceMount, Stack
from interlock.nouns import dataclass
from interlock.patterns import regex

SERVER = "server:"  # how the names of subjects begin that are database servers; no name of a site file can


class Kind(StrEnum):
    """What can keep state; the words of `excluded:`."""

    CONTAINER = "container"
    VOLUME = "volume"
    MOUNT = "mount"  # of a disk, or a directory of the host that a container writes to
    DATABASE = "database"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """Something that keeps state. `shown` is how an operator calls it; `names` are all the words that a declaration may use for it, patterns aside.

    `users` are groups of names, one for each container that uses it. `bound` is the directory of the host that a volume shows by its options. `suffix` is
    the path of a directory whose place on the host nobody knows from the files, relative to the project. `disk`: it is the mount of a whole file system.
    `assumed` are variables without a value here that say which one it is.
    """

    kind: Kind
    shown: str
    names: tuple[str, ...]
    users: tuple[tuple[str, ...], ...] = ()
    bound: Keeper | None = None
    suffix: str = ""
    disk: bool = False
    file: str = ""
    line: int | None = None
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """All words of a site file that can cover something. `containers` are those of modules; `whole` are the ones among them whose module names neither
    directories nor volumes, so that it stands for all that the container keeps. `places` are directories that hold something else than state (backups),
    `instances` those of the instances. `excluded` are kind and pattern."""

    volumes: frozenset[str]
    paths: tuple[str, ...]
    containers: frozenset[str]
    whole: frozenset[str]
    databases: frozenset[str]
    excluded: tuple[tuple[Kind, str], ...]
    places: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()

    def covers(self, keeper: Keeper) -> bool:
        """Whether the site declares it, or excludes it with a reason."""
        if self._excludes(keeper.kind, keeper.names):
            return True
        match keeper.kind:
            case Kind.CONTAINER:
                return bool(self.containers.intersection(keeper.names))
            case Kind.VOLUME:
                return self._names_volume(keeper) or self._covers_users(keeper) or (keeper.bound is not None and self.covers(keeper.bound))
            case Kind.MOUNT:
                return self._names_path(keeper) or self._covers_users(keeper)
            case Kind.DATABASE:
                return bool(self.databases.intersection(keeper.names))

    def _excludes(self, kind: Kind, names: tuple[str, ...]) -> bool:
        patterns = [pattern for excluded, pattern in self.excluded if excluded is kind]
        if kind is Kind.MOUNT:
            return any(name.startswith("/") and is_below(name, pattern) for pattern in patterns for name in names)
        return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)

    def _covers_users(self, keeper: Keeper) -> bool:
        """All who use it are containers that the site excludes, or declares as a whole."""
        return bool(keeper.users) and all(self.whole.intersection(names) or self._excludes(Kind.CONTAINER, names) for names in keeper.users)

    def _names_volume(self, keeper: Keeper) -> bool:
        declared = self.volumes | {found[1] for path in self.paths if (found := _VOLUME_DIRECTORY.search(path))}
        return any(one == name or one.endswith(f"_{name}") for one in declared for name in keeper.names)

    def _names_path(self, keeper: Keeper) -> bool:
        """At or below a declared directory; a disk also above one. A directory in the project's folder lies wherever an instance does."""
        if any(is_below(name, path) for path in self.paths for name in keeper.names):
            return True
        if keeper.disk:
            return any(is_below(path, name) for path in (*self.paths, *self.places, *self.instances) for name in keeper.names)
        if not keeper.suffix:
            return False
        placed = [posixpath.normpath(posixpath.join(directory, keeper.suffix)) for directory in self.instances]
        return any(is_below(name, path) for path in self.paths for name in placed) or (
            not placed and any(f"{path}/".endswith(f"/{keeper.suffix}/") for path in self.paths)
        )


_VOLUME_DIRECTORY = regex(r"/volumes/([^/]+)/_data(?:/|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class StateFound:
    """What keeps state in one place (a chain, a host, a database server), beside what the site declares. `unseen` are reasons why a part of it could not be
    looked at, by its name."""

    where: str
    keepers: tuple[Keeper, ...]
    declared: Declared
    unseen: Mapping[str, str]


# ---- which directories may hold state

_SYSTEM = (
    *("/proc", "/sys", "/dev", "/run", "/var/run", "/etc", "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/boot"),
    *("/tmp", "/var/tmp"),  # noqa: S108 - compared with, not written to
    *("/var/log", "/var/cache", "/var/lib/docker", "/var/lib/containers", "/var/lib/containerd", "/var/lib/kubelet", "/snap"),
)
_FILE = regex(
    r"(?:Caddy|Docker|Container|Core|Make|Proc)file|hosts|passwd|group|crontab|.+\.(?!d$)[A-Za-z][A-Za-z0-9]{0,9}$|\.(?:env|htpasswd|netrc|pgpass|npmrc|gitconfig|vimrc|bashrc)(?:\..+)?$"
)
_TRANSIENT = (
    *("/tmp", "/var/tmp"),  # noqa: S108 - compared with, not written to
    *("/run", "/var/run", "/dev", "/proc", "/sys", "/var/log", "/var/cache", "/docker-entrypoint-initdb.d", "/etc/localtime"),
)


def may_hold_state(source: str, target: str) -> bool:
    """Whether a directory of the host that a container writes to may hold state: not one of the system's, not the whole host, not a single file by its
    name, not what the container takes for temporary."""
    if source == "/" or any(is_below(source, system) for system in _SYSTEM) or any(is_below(target, transient) for transient in _TRANSIENT):
        return False
    return not _FILE.fullmatch(posixpath.basename(source))


# ---- a stack


def keepers_of_stack(stack: Stack, *, root: str, committed: frozenset[str]) -> Iterator[Keeper]:
    """What keeps state in a stack. `root` is the project's directory; `committed` are the directories and files of the tree, as absolute paths: what is
    kept in version control is configuration, and no state."""
    volumes, binds = _volumes(stack), _binds(stack, root, committed)
    yield from (*volumes.values(), *binds.values())
    for service in stack.services.values():
        known = recognise(service.image)
        if known is not None and known.server.stateful and not any(_held(stack, mount, volumes, binds) for mount in service.mounts):
            yield Keeper(kind=Kind.CONTAINER, shown=f"{service.name} ({known.server.name})", names=_service_names(stack, service))


def _held(stack: Stack, mount: ServiceMount, volumes: Mapping[str, Keeper], binds: Mapping[str, Keeper]) -> bool:
    """Whether a mount is one of those that are judged by themselves."""
    return mount.source in volumes if mount.kind == "volume" else mount.kind == "bind" and stack.host_path(mount) in binds


def _volumes(stack: Stack) -> Mapping[str, Keeper]:
    found = {}
    for key, volume in stack.volumes.items():
        writers = [service for service, mount in stack.users_of(key) if not mount.read_only]
        if not writers:
            continue
        path = posixpath.normpath(volume.bound_to) if volume.bound_to else ""
        found[key] = Keeper(
            kind=Kind.VOLUME,
            shown=key,
            names=(key, volume.name),
            users=tuple(_service_names(stack, service) for service in writers),
            bound=Keeper(kind=Kind.MOUNT, shown=path, names=(path,)) if path else None,
        )
    return found


def _binds(stack: Stack, root: str, committed: frozenset[str]) -> Mapping[str, Keeper]:
    found: dict[str, Keeper] = {}
    for service in stack.services.values():
        for mount in service.mounts:
            source = stack.host_path(mount) if mount.kind == "bind" else ""
            if not source or mount.read_only or source in committed or not may_hold_state(_outside(source, root), mount.target):
                continue
            inside = is_below(source, root)
            suffix = posixpath.relpath(source, root) if inside else ""
            shown = f"./{suffix}" if inside else source
            users = (*(found[source].users if source in found else ()), _service_names(stack, service))
            found[source] = Keeper(kind=Kind.MOUNT, shown=shown, names=(source,), users=users, suffix=suffix)
    return found


def _outside(source: str, root: str) -> str:
    """The path as if the checkout lay in a place of its own: it may well be below /tmp."""
    return f"/project/{posixpath.relpath(source, root)}" if is_below(source, root) else source


def _service_names(stack: Stack, service: Service) -> tuple[str, ...]:
    """All that a service's container may be called."""
    made = (f"{stack.project}-{service.name}-1", f"{stack.project}_{service.name}_1")
    return tuple(dict.fromkeys((service.name, *((service.container_name,) if service.container_name else ()), *made)))


# ---- a host

_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "9p", "virtiofs", "lustre", "beegfs", "gfs2", "ocfs2", "afs"})
_POOLED = frozenset({"zfs", "btrfs", "bcachefs"})  # their mounts show a part of a pool: the root of the mount says nothing
_IMAGES = frozenset({"squashfs", "iso9660", "erofs", "udf"})
_DESKTOP = regex(r"fuse\.(?:lxcfs|gvfsd-fuse|portal|snapfuse|fuse-overlayfs|rootlesskit.*)")
_OF_THE_SYSTEM = ("/boot", "/efi", "/usr", "/snap", "/var/lib/docker", "/var/lib/containers", "/var/lib/containerd", "/var/lib/kubelet", "/run/user")


def mounted(table: MountTable) -> Iterator[Keeper]:
    """The mounts of a host that may hold state: whole file systems of disks, and network mounts, but for those that the system itself needs.

    A mount that shows a directory of a disk is a second view of a mount that is there already, or of one that only another namespace has. A disk that is
    shown wholly at several places, as by a volume that binds its mountpoint, is one keeper with all of their names.
    """
    found: dict[str, list[Mount]] = {}
    for mount in table.mounts:
        if _keeps(mount):
            found.setdefault(mount.mountpoint if mount.device_number.startswith(_MADE_UP) else mount.device_number, []).append(mount)
    for first, *others in found.values():
        names = dict.fromkeys((first.mountpoint, *(other.mountpoint for other in others)))
        yield Keeper(kind=Kind.MOUNT, shown=f"{first.mountpoint} ({first.source}, {first.fstype})", names=tuple(names), disk=True)


_MADE_UP = "0:"  # the number of a file system that is on no one block device


def _keeps(mount: Mount) -> bool:
    """What it is comes first: most of thousands are of memory or of an engine, and where they are need not be asked."""
    disk = mount.source.startswith("/dev/") and mount.root == "/" and mount.fstype not in _IMAGES
    pooled = mount.fstype in _NETWORK or mount.fstype in _POOLED or (mount.fstype.startswith("fuse.") and not _DESKTOP.fullmatch(mount.fstype))
    return (disk or pooled) and mount.mountpoint != "/" and not any(is_below(mount.mountpoint, system) for system in _OF_THE_SYSTEM)


def keepers_of_engine(engine: Engine) -> Iterator[Keeper]:
    """What the containers of an engine keep: its named volumes, the directories that they write to, and the engines of databases among them."""
    volumes = {volume.name: _volume_of(engine, volume.name) for volume in engine.volumes if not volume.anonymous}
    binds: dict[str, Keeper] = {}
    for container in engine.containers:
        for mount in container.mounts:
            source = posixpath.normpath(mount.source) if mount.kind == "bind" else ""
            if source and not mount.read_only and may_hold_state(source, mount.destination):
                users = (*(binds[source].users if source in binds else ()), _container_names(container))
                binds[source] = Keeper(kind=Kind.MOUNT, shown=f"{source} of {container.name}", names=(source,), users=users)
    yield from (*volumes.values(), *binds.values())
    for container in engine.containers:
        known = recognise(container.image)
        held = any(mount.name in volumes or posixpath.normpath(mount.source) in binds for mount in container.mounts)
        if known is not None and known.server.stateful and not held:
            yield Keeper(kind=Kind.CONTAINER, shown=f"{container.name} ({known.server.name})", names=_container_names(container))


def _volume_of(engine: Engine, name: str) -> Keeper:
    writers = [container for container in engine.containers for mount in container.mounts if mount.name == name and not mount.read_only]
    path = next((_bound_to(volume) for volume in engine.volumes if volume.name == name), "")
    return Keeper(
        kind=Kind.VOLUME,
        shown=name,
        names=(name,),
        users=tuple(_container_names(container) for container in writers),
        bound=Keeper(kind=Kind.MOUNT, shown=path, names=(path,)) if path else None,
    )


def _bound_to(volume: EngineVolume) -> str:
    """The directory of the host that a volume was made to show; empty where it has one of its own, or a device."""
    binds = {"bind", "rbind"} & set(volume.options.get("o", "").split(","))
    return posixpath.normpath(volume.options["device"]) if binds and volume.options.get("device", "").startswith("/") else ""


def _container_names(container: Container) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in (container.name, container.service) if name))


_ANONYMOUS = regex(r"[0-9a-f]{64}")


def volume_directories(names: Iterable[str]) -> Iterator[Keeper]:
    """The named volumes of an engine, from the directories that it keeps them in."""
    return (Keeper(kind=Kind.VOLUME, shown=name, names=(name,)) for name in sorted(names) if not _ANONYMOUS.fullmatch(name))


# ---- what nobody has confirmed


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedNoun:
    """A noun of the site file that may have been learned from a running host; `key` is where it stands, `mounts.state`."""

    key: str
    unconfirmed: bool
    line: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedNouns:
    """All of a site file that may have been learned from a running host."""

    file: str
    nouns: tuple[LearnedNoun, ...]
