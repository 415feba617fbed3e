"""Does a server read the configuration that is mounted for it?"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from interlock.facts.config_readers import MountedSettings, is_unread, reader_of
from interlock.facts.placed import Found, PlacedChain, Shipped
from interlock.facts.stack import Service, ServiceMount
from interlock.judge.stack.places import compose_files, judge_places
from interlock.verdicts import Broken, Guardrail, Held, Severity, Unproven, When

REMEDY = "mount the file where the server looks for it, or name it in its command"


def judge_settings(noun: MountedSettings) -> Held | Broken | Unproven:
    """Held when each configuration file of the tree that is mounted into a known server is one that it reads."""
    held = f"the servers of {noun.file.path} read the settings that are mounted for them, as far as they are known"
    return judge_places(noun.file, lambda chain: _unread(chain, noun), held=held, remedy=REMEDY)


def _unread(chain: PlacedChain, noun: MountedSettings) -> Iterator[Found]:
    for service in chain.stack.services.values():
        reader = reader_of(service)
        for mount in service.mounts if reader else ():
            shipped = mount.kind == "bind" and chain.binds.get(mount.source) is Shipped.FILE
            if reader and shipped and is_unread(service, reader, mount.target) and not _taken_in(service, mount, noun):
                message = (
                    f"{chain.shown(mount).removeprefix('the directory ')} is mounted into {service.name} at {mount.target}, and {reader.server} reads"
                    f" {reader.reads_in_words}: it runs with its defaults, and nothing says so"
                )
                yield Found(f"{service.name} {mount.target}", "not-read", message, chain.mount_at(service.name, mount.target))


def _taken_in(service: Service, mount: ServiceMount, noun: MountedSettings) -> bool:
    """Whether another file that is mounted into the service names this one, or its folder: it includes it."""
    names = (posixpath.basename(mount.target), posixpath.dirname(mount.target))
    others = (noun.texts.get(other.source, "") for other in service.mounts if other is not mount)
    return any(name in text for text in others for name in names)


CONFIG_MOUNTED_BUT_UNUSED = Guardrail(
    id="compose.config_mounted_but_unused",
    title="a configuration file that is mounted into a server is one that the server reads",
    severity=Severity.MEDIUM,
    when=frozenset({When.STATIC}),
    rationale="A server that never looks at the file starts without any error, with its defaults: no password, no limit, no persistence.",
    remedy=REMEDY,
    subjects=compose_files,
    judge=judge_settings,
)
