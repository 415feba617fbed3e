"""Do the mounts of a service lie where its server keeps the data? `interlock.facts.data_directories` knows the servers."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from interlock.facts.backup_writers import listed
from interlock.facts.data_directories import KeptData, kept_data
from interlock.facts.placed import FileOfChains, Found, PlacedChain, Shipped
from interlock.facts.stack import Service, ServiceMount
from interlock.judge.stack.places import compose_files, judge_places
from interlock.patterns import regex
from interlock.verdicts import Broken, Guardrail, Held, Severity, Unproven, When

REMEDY = "mount it where this version of the image keeps its data, or tell the server to keep it there; move what is in the container out first"

_WORD = regex(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
_OTHER_USE = listed(
    "log logs backup backups bak dump dumps cert certs certificates ssl tls conf config configs configuration init initdb docker entrypoint plugin plugins"
    " extension extensions module modules run sock socket sockets tmp temp cache caches script scripts secret secrets key keys import imports export exports"
    " metrics snapshot snapshots archive archives wal wals dictionary dictionaries template templates dashboard dashboards provisioning shared upgrade"
    " upgrades model models license licenses repo src code static media custom"
)
_DATA = listed("data db database databases storage store pgdata dbdata datadir")
_SETTINGS = regex(r"^/etc/|\.(?:conf|cnf|cfg|ini|ya?ml|toml|json|xml|properties|hcl|config)$")


def judge_data_dir_matches_mount(file: FileOfChains) -> Held | Broken | Unproven:
    """Held when what is mounted for data in a service whose server is known holds the data."""
    known = {name for chain in file.chains for name, service in chain.stack.services.items() if kept_data(chain.as_published(service))}
    held = (
        f"{file.path}: the data of {len(known)} servers lies on what is mounted for it"
        if known
        else f"{file.path} starts no server whose data directory is known"
    )
    return judge_places(file, _misplaced, held=held, remedy=REMEDY)


def _misplaced(chain: PlacedChain) -> Iterator[Found]:
    for service in map(chain.as_published, chain.stack.services.values()):
        kept = kept_data(service)
        if kept is None or any(directory.kept_by(service) for directory in kept.directories):
            continue
        mount = next((mount for mount in service.mounts if _is_meant_for_data(mount, service, kept, chain)), None)
        if mount is not None:
            yield Found(
                f"{service.name} {mount.target}",
                "data-elsewhere",
                _sentence(service, kept, chain.shown(mount), mount),
                chain.mount_at(service.name, mount.target),
            )


def _sentence(service: Service, kept: KeptData, shown: str, mount: ServiceMount) -> str:
    directory = kept.directories[0]
    told = f", as {directory.because} says" if directory.because else ""
    keeps = f"{kept.server} of {service.name} ({service.image}) keeps its data in {directory.path}{told}"
    return f"{keeps}, and {shown} is mounted at {mount.target}: the data goes to {directory.lost_to(service)}, and a new container begins without it"


def _is_meant_for_data(mount: ServiceMount, service: Service, kept: KeptData, chain: PlacedChain) -> bool:
    """Whether somebody mounted this for the server's data. What stands at a data directory of another version of it was; beside that only what says so by its
    name, in a service whose command, environment and settings do not speak of it."""
    if mount.read_only or mount.kind not in ("volume", "bind") or not mount.source:
        return False
    if mount.kind == "bind" and (chain.binds.get(mount.source) in (Shipped.FILE, Shipped.FOLDER) or _is_a_file(mount)):
        return False
    if not kept.by_options and _speaks_of(service, mount.target):
        return False
    if mount.target in kept.places:
        return True
    if any(_SETTINGS.search(other.target) for other in service.mounts) or _SETTINGS.search(mount.target):
        return False
    words = {word.lower() for word in _WORD.findall(mount.target)}
    named = words | ({word.lower() for word in _WORD.findall(mount.source)} if mount.kind == "volume" else set())
    return bool(named & _DATA) and not words & _OTHER_USE


def _is_a_file(mount: ServiceMount) -> bool:
    """Whether a bind is one of a file, by its names."""
    ending = posixpath.splitext(mount.target)[1]
    return bool(ending) and ending == posixpath.splitext(mount.source)[1]


def _speaks_of(service: Service, target: str) -> bool:
    """Whether the command or the environment of a service names a path that shows a mount."""
    named = re.compile(rf"(?<![\w.-]){re.escape(target)}(?![\w.-])")
    texts = (*service.entrypoint, *service.command, *(value or "" for value in service.environment.values()))
    return any(named.search(text) for text in texts)


DATA_DIR_MATCHES_MOUNT = Guardrail(
    id="compose.data_dir_matches_mount",
    title="what is mounted for a server's data lies where this version of its image keeps it",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="A volume beside the data directory stays empty: the data lies in the container or an anonymous volume, and the next container has none.",
    remedy=REMEDY,
    subjects=compose_files,
    judge=judge_data_dir_matches_mount,
)
