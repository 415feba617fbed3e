"""What do the files of a tree say of owners and modes: scripts, images, the containers of each chain, and programs that publish files?"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from interlock.config.discover import is_aside
from interlock.errors import CouldNotLook
from interlock.facts.live_permissions import RunningAccess
from interlock.facts.ownership import Did, data_owners, is_strict, runs_as, user_of_dockerfile
from interlock.facts.permissions import Ownership, Published, Publishing, Reader, private_names
from interlock.facts.placeholders import MARKS
from interlock.facts.programs import Unreadable
from interlock.facts.publishes import may_publish, publishes
from interlock.facts.pythoncode import NotPython
from interlock.facts.stack import Service, Stack
from interlock.observe import live_permissions, secret_writers
from interlock.observe.programs import dockerfiles, program, programs, sorted_files
from interlock.observe.script_acts import script_acts
from interlock.observe.sources import sources
from interlock.observe.stack import compose_yaml, stack
from interlock.observe.world import Observer, World
from interlock.patterns import regex
from interlock.verdicts import Subject

SCRIPTS = "scripts"  # the subject that stands for the whole tree
_CODE = regex(r"\.(?:py|(?:m|c)?(?:js|ts)x?|go|rb|php|java|kt|rs|toml|ya?ml|json|conf|ini|cnf|sh|env)$|ockerfile|Caddyfile|/docker-entrypoint")
_NUMBER = regex(r"(?P<uid>\d+)(?::\S*)?")


def ownership(world: World, subject: Subject) -> Ownership:
    """Owners and modes by the scripts of the tree, and who reads what. Raises `CouldNotLook` when a script sets one and no chain can be resolved."""
    del subject  # one for the whole tree
    return world.once("ownership", lambda: _Looking(world).whole())


def publishing(world: World, subject: Subject) -> Publishing:
    """The same, and the programs that put files in their place by temporary ones."""
    found: list[Published] = []
    unread: list[Unreadable] = []
    looked_at = 0
    for path in sorted_files(world).programs:
        try:
            data = world.tree.read(path)
        except CouldNotLook:
            continue
        looked_at += 1
        if is_aside(path) or not may_publish(data):
            continue
        code = program(world, path).code
        if isinstance(code, NotPython) and b"mkstemp" in data:
            unread.append(Unreadable(path=path, why=f"line {code.line} could not be read as Python: {code.why}"))
        elif not isinstance(code, NotPython):
            found += publishes(path, code)
    return Publishing(ownership=ownership(world, subject), published=tuple(found), looked_at=looked_at, unread=tuple(unread))


class _Looking:
    """One look at a tree."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.root = str(world.tree.root.resolve())
        self.refused: list[str] = []

    def whole(self) -> Ownership:
        """The scripts first: without one that sets anything nobody asks docker compose."""
        scripts = script_acts(self.world)
        sets = any(act.did in (Did.OWNER, Did.MODE, Did.DIRECTORY) for script in scripts for act in script.acts)
        readers = tuple(dict.fromkeys(self._readers())) if sets else ()
        users: dict[str, set[str]] = {}
        for script in scripts:
            for act in script.acts:
                if act.did is Did.USER and not script.inside:
                    users.setdefault(act.path, set()).add(act.owner)
        return Ownership(
            readers=readers,
            scripts=scripts,
            users={name: frozenset(uids) for name, uids in users.items()},
            named=self._named(private_names(scripts)) if readers else frozenset(),
            directory=next((instance.directory for instance in self.world.site.instances.values()), ""),
            present=frozenset(posixpath.dirname(path) for path in self.world.tree.listing()),
            refused=tuple(self.refused),
        )

    # ---- containers

    def _readers(self) -> Iterator[Reader]:
        resolved = 0
        for chain in self.world.site.chains_on_disks:
            try:
                found = stack(self.world, chain)
            except CouldNotLook as error:
                self.refused.append(chain)
                reason = error
                continue
            resolved += 1
            for service in found.services.values():
                yield from self._of(found, service)
        if self.refused and not resolved:
            raise CouldNotLook("no chain could be resolved", where=self.refused[0], why=reason.sentence, remedy=reason.remedy)

    def _of(self, found: Stack, service: Service) -> Iterator[Reader]:
        uid = self._uid(found, service)
        for name, file in self._secret_files(found, service.name):
            yield Reader(chain=found.chain, service=service.name, source=file, target=f"/run/secrets/{name}", uid=uid, read_only=True)
        for mount in service.mounts:
            source = found.host_path(mount)
            if not source or any(mark in source for mark in MARKS) or source in ("/", "/var/run/docker.sock", "/run/docker.sock"):
                continue
            yield Reader(
                chain=found.chain,
                service=service.name,
                source=self._in_tree(source),
                target=mount.target,
                uid=uid,
                read_only=mount.read_only,
                data_of=frozenset() if mount.read_only or service.built else data_owners(service.image),
                strict=is_strict(service.image) and not service.built and not mount.read_only,
                built=service.built,
            )

    def _secret_files(self, found: Stack, service: str) -> Iterator[tuple[str, str]]:
        """The files of the host that compose shows to a service as secrets: a bind like any other, with the mode and owner of the file."""
        files: dict[str, str] = {}
        asked: set[str] = set()
        folder = posixpath.dirname(found.files[0])
        for path in found.files:
            top = self._top(path)
            secrets, services = top.get("secrets"), top.get("services")
            for name, said in (secrets if isinstance(secrets, dict) else {}).items():
                if isinstance(said, dict) and isinstance(file := said.get("file"), str) and "$" not in file:
                    files[str(name)] = file if file.startswith("/") else posixpath.normpath(posixpath.join(folder, file))
            mine = services.get(service) if isinstance(services, dict) else None
            for one in (mine.get("secrets") or ()) if isinstance(mine, dict) else ():
                asked.add(str(one.get("source")) if isinstance(one, dict) else str(one))
        yield from ((name, files[name]) for name in sorted(asked) if name in files)

    def _top(self, file: str) -> dict[str, Any]:
        """A compose file as plain data; nothing when it cannot be read."""
        try:
            data: Any = compose_yaml(self.world, file).data
        except CouldNotLook:
            return {}
        return data if isinstance(data, dict) else {}

    def _in_tree(self, source: str) -> str:
        below = os.path.relpath(source, self.root) if source.startswith(self.root + "/") else ""
        return below or source

    def _uid(self, found: Stack, service: Service) -> int | None:
        """The user of its program: what compose says, what its Dockerfile says, what is known of its image."""
        if service.user:
            number = _NUMBER.fullmatch(service.user)
            return int(number["uid"]) or None if number and not any(mark in service.user for mark in MARKS) else None
        if (owner := service.environment.get("PUID")) and owner.isdigit():
            return int(owner) or None
        if service.built or self._is_own(service):
            path = self._dockerfile(found, service.name)
            return user_of_dockerfile(sources(self.world).text(path) or "") if path else None
        return runs_as(service.image)

    def _is_own(self, service: Service) -> bool:
        """An image that another chain builds, or another file of the chain by the same name."""
        return (
            bool(service.image) and any(self._build(file, service.name) is not None for file in self.world.site.compose.files)
            if self.world.site.compose
            else False
        )

    def _build(self, file: str, service: str) -> tuple[str, str] | None:
        """Context and Dockerfile of a service in one file."""
        services = self._top(file).get("services")
        said = services.get(service) if isinstance(services, dict) else None
        build = said.get("build") if isinstance(said, dict) else None
        if isinstance(build, str):
            return build, "Dockerfile"
        if isinstance(build, dict) and isinstance(build.get("context", "."), str):
            return build.get("context", "."), str(build.get("dockerfile") or "Dockerfile")
        return None

    def _dockerfile(self, found: Stack, service: str) -> str:
        """The Dockerfile of a service, where the tree has it."""
        files = self.world.site.compose.files if self.world.site.compose else ()
        for file in (*found.files, *files):
            build = self._build(file, service)
            if build is not None:
                path = posixpath.normpath(posixpath.join(posixpath.dirname(file), build[0], build[1]))
                if path in dockerfiles(self.world):
                    return path
        return ""

    # ---- what programs name

    def _named(self, names: frozenset[str]) -> frozenset[str]:
        """Which of these names stand in programs, compose files or images, as the last part of a path or as a text of their own."""
        waiting = {name: re.compile(rb"[\"'/`]" + re.escape(name.encode()) + rb"(?:[\"'/`:\s,)}]|$)", re.MULTILINE) for name in names}
        found: set[str] = set()
        scripts = {text.path for text in programs(self.world).on_hosts()}
        for path in self.world.tree.listing():
            if not waiting:
                break
            if not _CODE.search(path) or path in scripts or is_aside(path):
                continue
            try:
                data = self.world.tree.read(path)
            except CouldNotLook:
                continue
            for name in [name for name, pattern in waiting.items() if name.encode() in data and pattern.search(data)]:
                found.add(name)
                del waiting[name]
        return frozenset(found)


Seen = TypeVar("Seen")


def seen(world: World, subject: Subject, see: Callable[[World, Subject], Seen]) -> Seen | RunningAccess:
    """Scripts as `see` does, what runs on a host through its engine. Raises `CouldNotLook`."""
    return see(world, subject) if subject.name == SCRIPTS else live_permissions.running_access(world, subject)


def _either(see: Callable[[World, Subject], Any]) -> Observer:
    return Observer(
        looks=lambda site, subject: () if subject.name == SCRIPTS else live_permissions.looks(site, subject),
        see=lambda world, subject: seen(world, subject, see),
    )


OBSERVERS: Mapping[str, Observer] = {
    "permissions.mode_needs_owner_match": _either(publishing),
    "permissions.uid_matches_state_dir": _either(ownership),
    "permissions.recursive_chown_scope": _either(ownership),
    "permissions.state_subdirs_precreated": _either(ownership),
    "permissions.secret_file_0600": _either(secret_writers.secret_writers),
}
