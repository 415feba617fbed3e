"""What is all that a tree says of its site? One document, in the order of docs/site-file.md: what `init` writes and what `scan` judges."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from interlock.config.discover import IN_IMAGES, Files, Sorted, is_aside, is_of_others, sort
from interlock.discover import instances, modules, reach
from interlock.discover.composed import ComposeTexts, Composition, composition, env_values
from interlock.discover.document import MISSING, From, Offer, is_only_offered, may_be_written
from interlock.discover.variables import DiskLine, Known, StateVariable, Text, backups_root, disks, stack_directory, state_variable
from interlock.errors import ConfigError, CouldNotLook
from interlock.facts.chains import FoundChain
from interlock.nouns import dataclass
from interlock.observe.chains import discover_chains
from interlock.observe.starters import Found as Automatic
from interlock.observe.starters import find
from interlock.observe.tree import Tree
from interlock.observe.workplans import found_in
from interlock.patterns import regex

FALLBACK_NAME = "tree"
HEADLINE = {  # the headline families, and what not to declare one says
    "mounts": "no disk of its own for state",
    "state_dir": "no variable says where state lives",
    "backups": "nothing here keeps state",
    "parity": "no database is moved to another one",
    "templates": "no file is rendered from a template and reviewed",
    "automation": "nothing starts by itself: no workflow, crontab or timer",
}
_DECLARED_BY = {"backups": ("modules", "inventory")}
_THROWN_AWAY = regex(
    r"(?:^|[^a-z])(?:dev(?:el(?:opment)?)?|tests?|testing|ci|local|debug|demo|examples?|e2e|staging|sandbox|devcontainer|build|swarm|mtier|legacy)(?:[^a-z]|$)"
)
_LARGEST_TEXT = 512 * 1024
_MOST_CHAINS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """What was found. `document` holds the sections with their origins; `hints` are sentences for whoever ran `init`.

    `composes` are all compose files, also those that a site file could not name; `chains` all that are not for development and tests. `project` is what
    compose calls the stack, `left_out` the files whose names a site file cannot hold, `workplans` all pages that are one.
    """

    name: str
    document: dict[str, Any]
    composes: tuple[str, ...]
    chains: tuple[FoundChain, ...]
    unlisted: tuple[str, ...]
    hints: tuple[str, ...] = ()
    composition: Composition | None = None
    project: str = ""
    left_out: tuple[str, ...] = ()
    workplans: tuple[str, ...] = ()


@dataclass(slots=True)
class _Texts:
    """Files as text, each decoded once."""

    tree: Files
    kept: dict[str, Text | None] = field(default_factory=dict)

    def of(self, paths: Iterable[str]) -> list[Text]:
        return [text for path in paths if (text := self._one(path)) is not None]

    def _one(self, path: str) -> Text | None:
        if path not in self.kept:
            try:
                data = self.tree.read(path)
            except CouldNotLook:
                data = b"\0"
            self.kept[path] = None if b"\0" in data[:1024] or len(data) > _LARGEST_TEXT else Text(path, data.decode("utf-8", "replace"))
        return self.kept[path]


def discover(tree: Tree, compose_files: Sequence[str], *, root: Path) -> Discovered:
    """Everything that the files say. `compose_files` are the tree's (`interlock.observe.chains.compose_files`)."""
    found = sort(tree.listing())
    chains = discover_chains(tree, compose_files)
    return _Discovery(tree, found, tuple(compose_files), chains, root).whole()


class _Discovery:
    """One look at a tree, from its files to the document."""

    def __init__(self, tree: Tree, found: Sorted, compose_files: tuple[str, ...], chains: tuple[FoundChain, ...], root: Path) -> None:
        self.tree, self.found, self.compose_files, self.root = tree, found, compose_files, root
        self.chains = [chain for chain in chains if all(map(may_be_written, chain.files))]
        self.texts = _Texts(tree)
        self.main = main_chain(self.chains)
        images = _image_folders(found.every)
        on_hosts = [path for path in (*found.scripts, *found.nameless) if not _is_in_image(path, images)]
        self.scripts = self.texts.of(path for path in on_hosts if "." in posixpath.basename(path) or _is_script(tree, path))
        self.units = self.texts.of(found.units)
        self.name = site_name(root)
        self.directory = self._directory()
        self.env_file = instances.env_file_of(posixpath.dirname(self.main.files[0]) if self.main else "", found, self.main.env_files if self.main else ())
        self.values = env_values(tree, self.env_file) if self.env_file else {}
        self.compose_texts = ComposeTexts(tree)
        self.composed: dict[str, Composition] = {}
        self.composition = self._composed(self.main) if self.main else None
        self.kept = self._kept_chains()
        self.state = state_variable([*self.scripts, *self.units], self._env_texts(), self.composition, self.directory.value)
        self.disks = disks([*self.scripts, *self.units], self.units, self.texts.of(found.fstabs))
        self.project = self._project()
        self.mounts = self._mounts()
        self.workplans = tuple(found_in(tree, found.pages))

    # ---- what the sections need

    def _directory(self) -> Known:
        """Where the stack lies on its host: what scripts, units and workflows say, else this folder."""
        telling = [*self.scripts, *self.units, *self.texts.of(path for path in self.compose_files if not is_aside(path))]
        pages = self.texts.of(path for path in self.found.every if path.endswith(".md") and path.count("/") < 2 and not path.lower().startswith("changelog"))
        said = stack_directory(telling) or stack_directory(sorted(pages))
        if said and may_be_written(said.value):
            return said
        here = str(self.root.absolute())
        here = here if may_be_written(here) else f"/srv/{self.name}"
        folder = posixpath.dirname(self.main.files[0]) if self.main else ""
        return Known(posixpath.join(here, folder) if folder else here, "this folder: say where it is on the host")

    def _composed(self, chain: FoundChain) -> Composition:
        if chain.name not in self.composed:
            self.composed[chain.name] = composition(self.compose_texts, chain.files, self.values)
        return self.composed[chain.name]

    def _kept_chains(self) -> list[FoundChain]:
        """The chains that somebody runs for good, the main one first."""
        kept = [chain for chain in self.chains if not thrown_away(chain)] or self.chains
        return sorted(kept, key=lambda chain: (chain is not self.main, self.chains.index(chain)))[:_MOST_CHAINS]

    def _env_texts(self) -> list[Text]:
        return self.texts.of(path for path in self.found.env_files if not is_aside(path))

    def _project(self) -> str:
        if self.composition is None:
            return ""
        said = self.composition.values.get("COMPOSE_PROJECT_NAME") or self.composition.project or posixpath.basename(self.directory.value)
        return re.sub(r"[^a-z0-9_-]", "", said.lower()).lstrip("_-") or "default"

    # ---- the document

    def whole(self) -> Discovered:
        """All sections, in the order of docs/site-file.md."""
        document: dict[str, Any] = {"interlock": 1, "site": From(self.name, "the folder's name")}
        sections = {
            "hosts": self._hosts(),
            "mounts": self.mounts,
            "state_dir": self._state_dir(),
            "modules": self._modules(),
            "inventory": self._inventory(),
            "databases": self._databases(),
            "instances": self._instances(),
            "templates": instances.templates(self.found, self.tree) or None,
            "compose": self._compose(),
            "scripts": self._scripts(),
            "automation": self._automation(),
            "exposure": reach.exposure(self.composition) if self.composition else None,
            "health": (reach.health(self.composition, self.scripts) or None) if self.composition else None,
            "approval": self._approval(),
            "workplans": self._workplans(),
        }
        document.update((key, section) for key, section in sections.items() if section is not None)
        if asked := _asked(document):
            document["not_used"] = asked
        return Discovered(
            name=self.name,
            document=document,
            composes=self.compose_files,
            chains=tuple(chain for chain in self.chains if not thrown_away(chain)),
            unlisted=tuple(sorted(self.tree.unlisted)),
            hints=tuple(self._hints()),
            composition=self.composition,
            project=self.project,
            left_out=tuple(path for path in self.compose_files if not may_be_written(path)),
            workplans=self.workplans,
        )

    def _hosts(self) -> Any:
        if self.composition is None:
            return None
        return {"local": {"engine": From("/var/run/docker.sock", "docker's usual socket"), "volumes": From("/var/lib/docker/volumes", "docker's usual place")}}

    def _mounts(self) -> Any:
        path = self.state.path if self.state else None
        if path is None:
            return self._docker_disk()
        state = _disk(path, self.disks)
        section: dict[str, Any] = {"state": state.value if isinstance(state, Offer) else state}
        data = self._data_disk(path)
        if data is not None:
            section["data"] = data
            nested = path.value.startswith(_bare(data)["path"].rstrip("/") + "/")
            section["layout"] = From("nested" if nested else "flat", f"{path.value} {'lies below' if nested else 'lies beside'} {_bare(data)['path']}")
        overlays = overlays_of(self.compose_texts, self.chains, self.state)
        if overlays:
            section["overlays"] = overlays
        return Offer(section, state.ask) if isinstance(state, Offer) else section

    def _docker_disk(self) -> Any:
        """Where no variable says where state lives, it lives in the engine's volumes: is there a disk for them?"""
        if self.composition is None:
            return None
        ask = "is there a disk for state? With named volumes it is the one below /var/lib/docker: `findmnt -no LABEL,UUID,SOURCE --target /var/lib/docker`"
        return Offer({"state": {"path": "/var/lib/docker", "device": MISSING}}, ask)

    def _data_disk(self, state: Known) -> Any:
        """The disk that another variable's directory lies on, where a line mounts one."""
        assert self.state is not None
        for known in self.state.values.values():
            if known.value in self.disks and known.value != state.value:
                line = self.disks[known.value]
                return {"path": From(known.value, known.at), "device": From(line.device, line.at), **({"fstype": line.fstype} if line.fstype else {})}
        return None

    def _state_dir(self) -> Any:
        state = self.state
        if state is None:
            return None
        section: dict[str, Any] = {"variable": From(state.name, state.at)}
        if state.default is not None:
            section["default"] = From(state.default.value, state.default.at)
        if state.values:
            section["values"] = {name: From(known.value, known.at) for name, known in state.values.items()}
        if state.path is None:
            return Offer(section | {"path": MISSING}, f"{state.name} says where state lives, and nothing here says what it comes to: fill in `path`")
        section["path"] = From(state.path.value, state.path.at)
        if state.env_file is not None:
            section["env_file"] = From(state.env_file.at.rpartition(":")[0], state.env_file.at)
        if self.directory.value and any(f"{self.directory.value}/.env" in text.content for text in self.scripts):
            section["host_env_file"] = From(f"{self.directory.value}/.env", self.directory.at)
        if state.container_path and state.container_path.value != state.path.value:
            section["container_path"] = From(state.container_path.value, state.container_path.at)
        services, why = self._users(state)
        if services:
            section["services"] = From(services, why)
        readers = [known.value for known in state.readers if may_be_written(known.value) and not is_aside(known.value)]
        if readers:
            section["readers"] = From(readers, "they take it")
        return section

    def _users(self, state: StateVariable) -> tuple[list[str], str]:
        """The services that use state: those that get the variable, else those that get the directory above it and mount it; in every chain."""
        compositions = [self._composed(chain) for chain in self.kept if self._other_layout()[0] not in chain.files]
        everywhere = set.intersection(*(set(one.services) for one in compositions)) if compositions else set()
        told = [service.value for service in state.services if service.value in everywhere]
        if told or self.composition is None or state.path is None:
            return told, state.services[0].at if state.services else ""
        inside = state.container_path.value if state.container_path else state.path.value
        mounting = [
            service.name
            for service in self.composition.services.values()
            if service.name in everywhere
            and set(state.values) & set(service.environment)
            and any(inside == target or inside.startswith(target.rstrip("/") + "/") for target in service.mounts)
        ]
        return mounting, f"they get {' and '.join(state.values)}, and mount it"

    def _modules(self) -> Any:
        if self.composition is None:
            return None
        place = modules.Place(project=self.project, directory=self.directory.value, in_tree=self.found.every)
        found = modules.parts(self.composition, place)
        others = [modules.parts(self._composed(chain), place) for chain in self.kept[1:]]
        modules.add_volumes(found, others)
        said = backups_root(self.scripts)
        proposed = Known(f"/var/backups/{self.name}", "proposed")
        bases = [said, proposed] if said else [proposed]
        known = {name for name, _ in modules.databases(self.composition)}
        section = {
            name: modules.described(part, bases, modules.note_for(part, self.found.restore_notes), name if part.letter == "A" and name in known else None)
            for name, part in found.items()
        }
        return section or None

    def _inventory(self) -> Any:
        files = [path for path in self.found.modules if not is_aside(path)]
        patterns = instances.inventory(files)
        return {"modules": From(patterns, f"{len(files)} of them")} if patterns else None

    def _databases(self) -> Any:
        return dict(modules.databases(self.composition)) or None if self.composition else None

    def _instances(self) -> Any:
        if self.composition is None and not instances.many(self.found):
            return None
        chain = self.main.name if self.main and len(self.kept) > 1 else None
        return instances.instances(self.found, self.env_file, self.directory, chain)

    def _compose(self) -> Any:
        kept = self.kept
        files = list(dict.fromkeys(file for chain in kept for file in chain.files))
        folders = {posixpath.dirname(chain.files[0]) for chain in kept}
        files += [path for path in self.compose_files if path not in files and posixpath.dirname(path) in folders and not thrown_away_name(path)]
        if not files:
            files = [path for path in self.compose_files if may_be_written(path)]
        if not files:
            return None
        section: dict[str, Any] = {"files": files}
        if kept and not (len(kept) == 1 and list(kept[0].files) == files and not kept[0].env_files):
            layouts = self._other_layout()
            section["chains"] = {chain.name: Offer(_chain(chain), layouts[1]) if layouts[0] in chain.files else _chain(chain) for chain in kept}
        return section

    def _other_layout(self) -> tuple[str | None, str]:
        """The overlay of the layout that is not this one, and what to ask of the chains with it."""
        mounts = _bare(self.mounts) if isinstance(self.mounts, dict) else {}
        here = mounts.get("layout")
        other = next((kind for kind in mounts.get("overlays", ()) if here and kind != here), None)
        return (
            mounts["overlays"][other] if other else None
        ), f"state is {here} here: is this chain run on a host of the other layout? Then it needs a site of its own"

    def _scripts(self) -> Any:
        """Which of them write backups takes longer to find out than all the rest, and changes with every commit: the gate finds them when it judges."""
        counted = len(self.found.scripts) + len(self.found.programs)
        return {"found": From(True, f"those of {counted:,} that write backups: `interlock scan` names them")} if counted else None

    def _automation(self) -> Any:
        started: Automatic = find(self.tree)
        if not started.workflows and not started.crontabs and not any(unit.path.endswith(".timer") for unit in self.units):
            return None
        section: dict[str, Any] = {}
        crontabs = [path for path in started.crontabs if may_be_written(path)]
        if crontabs:
            section["crontabs"] = From(crontabs, "their names")
        if started.gate:
            section["gate"] = From(started.gate, "it runs interlock")
        where = f"{len(started.workflows)} workflows in {posixpath.dirname(started.workflows[0])}" if started.workflows else "crontabs and timers"
        section["hosts"] = From(["local"], f"whose crontabs are looked at, beside {where}")
        return section

    def _approval(self) -> Any:
        path = next((path for path in self.found.signers if may_be_written(path)), None)
        if path is None:
            return Offer({"allowed_signers": "keys/allowed_signers"}, "who may approve a plan? A file of ssh-keygen(1), one person and key a line")
        from interlock.facts.signers import AllowedSigners  # few trees have any

        try:
            people = len(AllowedSigners.parse(self.tree.read(path).decode("utf-8", "replace"), where=path).principals)
        except (ConfigError, CouldNotLook):
            return Offer({"allowed_signers": path}, f"{path} cannot be used as it is: see `interlock approve`")
        several = people > 1
        return {
            "allowed_signers": From(path, f"{people} {'people' if several else 'person'}"),
            "self_approval": From(
                not several, "the planner's own signature does not count" if several else "there is one person: every report will say self-approved"
            ),
        }

    def _workplans(self) -> Any:
        """Patterns of the folders that hold some, so that the next one is among them; those that lie in the top folder by name."""
        named = [path for path in self.workplans if may_be_written(path)]
        patterns = dict.fromkeys(f"{posixpath.dirname(path)}/*.md" if "/" in path and path.endswith(".md") else path for path in named)
        return {"files": From(list(patterns), f"{named[0]} has tasks and decisions")} if named else None

    def _hints(self) -> Iterable[str]:
        for path in self.found.pytest:
            try:
                content = self.tree.read(path)
            except CouldNotLook:
                continue
            if (b"pytest" in content and path != "pyproject.toml") or b"[tool.pytest" in content:
                missing = [line for key, line in _PYTEST_LINES[path.endswith(".toml")] if key not in content]
                if missing:
                    yield f"{path} configures pytest here; for `pytest -m preflight` it should say\n" + "\n".join(f"    {line}" for line in missing)
                return


_PYTEST_LINES = {
    False: ((b"required_plugins", "required_plugins = interlock"), (b"strict", "strict = true")),
    True: ((b"required_plugins", 'required_plugins = ["interlock"]'), (b"strict", "strict = true")),
}


# ---- parts of the document


def site_name(root: Path) -> str:
    """The folder's name as a site may be called."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", root.resolve().name).lstrip("._-")[:63]
    return name or FALLBACK_NAME


def thrown_away(chain: FoundChain) -> bool:
    """A chain that nobody runs for good: development, tests, CI, examples."""
    return any(thrown_away_name(file) for file in chain.files)


def thrown_away_name(path: str) -> bool:
    """A compose file for development, tests, CI, or an example."""
    return is_aside(path) or _of_others(path) or not may_be_written(path) or _THROWN_AWAY.search(path.lower()) is not None


def _of_others(path: str) -> bool:
    folder = posixpath.dirname(path)
    return bool(folder) and is_of_others(folder)


def main_chain(chains: Sequence[FoundChain]) -> FoundChain | None:
    """The one that a host most likely runs: not thrown away, near the root, with most files; what a machine runs before what a page says."""
    return min(
        chains, key=lambda chain: (thrown_away(chain), chain.files[0].count("/"), _only_pages(chain), -len(chain.files), chains.index(chain)), default=None
    )


def _only_pages(chain: FoundChain) -> bool:
    return all(source.file.endswith((".md", ".rst", ".txt", ".adoc")) for source in chain.source)


def _chain(chain: FoundChain) -> Any:
    section: dict[str, Any] = {"files": list(chain.files)}
    env_files = [path for path in chain.env_files if may_be_written(path)]
    if env_files:
        section["env_files"] = env_files
    more = f" and {len(chain.source) - 1} more" if len(chain.source) > 1 else ""
    return From(section, f"{chain.source[0]}{more}")


def _disk(path: Known, known: Mapping[str, DiskLine]) -> Any:
    """The state disk: the line that mounts its directory or the nearest one above; an offer where no line does."""
    mountpoint = next((one for one in sorted(known, key=len, reverse=True) if path.value == one or path.value.startswith(one + "/")), None)
    disk: dict[str, Any] = {"path": From(path.value, path.at)}
    if mountpoint is None:
        disk["device"] = MISSING
        return Offer(disk, f"which disk is {path.value} on? `findmnt -no LABEL,UUID,SOURCE --target {path.value}` says it")
    line = known[mountpoint]
    if mountpoint != path.value:
        disk["mountpoint"] = mountpoint
    disk["device"] = From(line.device, line.at)
    if line.fstype:
        disk["fstype"] = line.fstype
    return disk


def overlays_of(texts: ComposeTexts, chains: Sequence[FoundChain], state: StateVariable | None) -> dict[str, Any]:
    """The overlay of each layout: one binds the data directory alone, so that state is nested in it, the other binds a directory of state beside it."""
    found: dict[str, Any] = {}
    data = {known.value for known in state.values.values()} if state else set()
    if not data:
        return found
    for path in dict.fromkeys(file for chain in chains for file in chain.files[1:]):
        sources = {
            mount.source for service in composition(texts, (path,), {}).services.values() for mount in service.mounts.values() if mount.source.startswith("/")
        }
        if not data & sources:
            continue
        beside = sorted(source for source in sources - data if "state" in source and not any(source.startswith(one + "/") for one in data))
        if beside:
            found.setdefault("flat", From(path, f"it binds {beside[0]} beside {min(data)}"))
        elif len(composition(texts, (path,), {}).services) > 1:
            found.setdefault("nested", From(path, f"it binds {min(data)} alone"))
    return found


def _image_folders(every: Iterable[str]) -> frozenset[str]:
    """The folders below the root that images are built from: what is in them runs in containers, and says nothing of a host."""
    return frozenset(path.rpartition("/")[0] for path in every if "/" in path and posixpath.basename(path).startswith(("Dockerfile", "Containerfile")))


def _is_in_image(path: str, images: frozenset[str]) -> bool:
    name = posixpath.basename(path)
    return "entrypoint" in name or not IN_IMAGES.isdisjoint(path.split("/")) or any(path.startswith(folder + "/") for folder in images)


def _is_script(tree: Tree, path: str) -> bool:
    try:
        return tree.read(path).startswith(b"#!")
    except CouldNotLook:
        return False


def _bare(value: Any) -> Any:
    if isinstance(value, From):
        return _bare(value.value)
    return {key: _bare(member) for key, member in value.items()} if isinstance(value, dict) else value


def _asked(document: Mapping[str, Any]) -> Offer | None:
    """The headline families that nothing here declares: a human says which of them are not used, and why."""
    missing = {
        family: From(MISSING, f"{says}?")
        for family, says in HEADLINE.items()
        if not any(section in document and not is_only_offered(document[section]) for section in _DECLARED_BY.get(family, (family,)))
    }
    if not missing:
        return None
    ask = "nothing in the tree says that these are used, and each keeps the gate shut: declare it above, or say here why it is not"
    return Offer(missing, ask)
