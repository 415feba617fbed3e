"""What does a compose step come to? The chain as docker compose resolves it right before the step, the images that its services name, and what runs now.

The files that earlier steps of the plan will have written are put in their places in a private copy, and the chain is resolved there. What a command step
writes is not known here: then the step finds another chain than the planned one, and fails before it has changed anything.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, assert_never

from interlock.change.resolving.resolving import Resolving
from interlock.config.actions import ComposeStep, ComposeVerb
from interlock.config.models import Chain, Site
from interlock.config.scalars import LOCAL
from interlock.errors import ConfigError
from interlock.facts.compose_project import HASH_LABEL, ChainModel, ProjectState, other_options, pinned
from interlock.gate.plan import ComposePlan, ContainerPlan, FilePlan, ImagePlan, TargetPlan
from interlock.nouns import dataclass
from interlock.observe.compose_binary import Compose, find_compose
from interlock.observe.compose_state import ChainPlace, image_id, mirrored, project_state, put_back, volume_options
from interlock.observe.engine_api import EngineApi, engine_socket
from interlock.observe.fingerprint import IMAGE, PROJECT
from interlock.observe.registry import registry_digest
from interlock.render import render_instance

DOT_ENV = ".env"


def resolve_compose(resolving: Resolving, step: ComposeStep, number: int) -> ComposePlan:
    """The plan of one chain. Raises ConfigError, CouldNotLook."""
    here = _here(resolving, step, number)
    chain = here.chain()
    found = project_state(here.api.socket, chain.model.project)
    services = here.services(chain)
    project = (here.api.socket, chain.model.project)
    state = ProjectState(containers=(), volumes=found.volumes, networks=()) if project in resolving.taken_down else found
    match step.run:
        case ComposeVerb.UP:
            here.demand_same_volumes(chain.model, services)
        case ComposeVerb.START:
            here.demand_containers(services, state)
        case ComposeVerb.PULL | ComposeVerb.BUILD | ComposeVerb.STOP | ComposeVerb.DOWN:
            pass
        case _:
            assert_never(step.run)
    images = tuple(here.image(chain.model, name) for name in services)
    here.note(chain.model, images)
    if step.run is ComposeVerb.DOWN and {one.service for one in state.containers} <= set(services):
        resolving.taken_down.add(project)
    elif step.run in (ComposeVerb.UP, ComposeVerb.START):
        resolving.taken_down.discard(project)
    return ComposePlan(
        run=step.run,
        engine=here.api.socket,
        program=here.place.compose.path,
        version=here.place.compose.version,
        chain=here.name,
        project=chain.model.project,
        directory=here.base,
        files=here.place.files,
        env_files=here.place.env_files,
        services=services,
        whole=set(services) >= set(chain.model.services),
        model=chain.model.digest,
        before=chain.before.digest if chain.before is not None else None,
        images=images,
        containers=tuple(here.containers(chain, state, services)),
        volumes=tuple(sorted(state.volumes)),
        networks=state.networks,
        timeout=step.timeout,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chain:
    """A chain as it is now (None: it cannot be resolved yet), as it will be right before the step, and the services of it that start by themselves."""

    before: ChainModel | None
    model: ChainModel
    active: tuple[str, ...]


def _here(resolving: Resolving, step: ComposeStep, number: int) -> _Here:
    site = resolving.described(number, afterwards=step.afterwards)
    name, declared = _declared(site, step, resolving.where(number))
    host, base = _base(site, step)
    resolving.demand_here(host, number, f"docker compose {step.run}")
    resolving.directory(base, number, f"install -d {base}")
    files = tuple(os.path.join(base, file) for file in declared.files)  # noqa: PTH118 - text, as docker compose gets it
    place = ChainPlace(
        compose=_compose(resolving, number),
        engine=engine_socket(site.host(host), resolving.environ, where=resolving.where(number)),
        files=files,
        env_files=_env_files(resolving, declared, base, host),
        environ=resolving.environ,
    )
    return _Here(resolving=resolving, step=step, number=number, name=name, host=host, base=base, place=place, api=EngineApi(socket=place.engine))


def _declared(site: Site, step: ComposeStep, where: str) -> tuple[str, Chain]:
    """The step's chain, else the instance's, else the only one. Raises ConfigError."""
    chains = site.chains
    if step.instance is not None and step.instance not in site.instances:
        raise ConfigError(f"{site.source} has no instance {step.instance}", where=where, remedy="declare it there too")
    if step.chain is not None and step.chain not in chains:
        raise ConfigError(f"{site.source} has no chain {step.chain}", where=where, why=f"its chains: {', '.join(chains) or 'none'}", remedy="name one of these")
    of_instance = site.instances[step.instance].chain if step.instance else None
    name = step.chain or of_instance or (next(iter(chains)) if len(chains) == 1 else "")
    if name:
        return name, chains[name]
    raise ConfigError(
        "it is not said which chain of compose files is meant" if chains else "this site has no compose files",
        where=where,
        why=f"its chains: {', '.join(chains)}" if chains else "nothing is declared below `compose:`",
        remedy=f"write `chain:` with one of {', '.join(chains)}" if chains else "declare `compose:` with its files",
    )


def _base(site: Site, step: ComposeStep) -> tuple[str, str]:
    """The host, and the directory that the chain's files lie below: the instance's, else the site's folder."""
    if step.instance is None:
        return LOCAL, str(site.root.resolve())
    instance = site.instances[step.instance]
    return instance.host, instance.directory


def _compose(resolving: Resolving, number: int) -> Compose:
    found = find_compose(resolving.environ)
    if found is None:
        raise ConfigError("there is no docker compose here", where=resolving.where(number), remedy="install docker-compose-plugin, version 2.26 or newer")
    return found


def _env_files(resolving: Resolving, declared: Chain, base: str, host: str) -> tuple[str, ...]:
    """Those that the chain declares; else `.env` beside its first file, if there is or will be one."""
    if declared.env_files is not None:
        return tuple(os.path.join(base, file) for file in declared.env_files)  # noqa: PTH118
    beside = Path(base, declared.files[0]).with_name(DOT_ENV)
    return (str(beside),) if (resolving.host(host), str(beside)) in resolving.written or beside.is_file() else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Here:
    """One compose step while it is resolved: its chain's name and place, and the directory and host that it stands on."""

    resolving: Resolving
    step: ComposeStep
    number: int
    name: str
    host: str
    base: str
    place: ChainPlace
    api: EngineApi

    def fault(self, what: str, *, why: str = "", remedy: str) -> ConfigError:
        return ConfigError(what, where=self.resolving.where(self.number), why=why, remedy=remedy)

    def note(self, model: ChainModel, images: Sequence[ImagePlan]) -> None:
        """What the plan's fingerprint must name."""
        self.resolving.others.add(f"{PROJECT}{model.project} at {self.api.socket}")
        self.resolving.others.update(f"{IMAGE}{image.reference} at {self.api.socket}" for image in images)
        self.resolving.files.update(path for path in (*self.place.files, *self.place.env_files) if Path(path).exists())

    # ---- the chain, as it is and as it will be

    def chain(self) -> _Chain:
        written = self._written()
        for path in (*self.place.files, *self.place.env_files):
            if path not in written and not Path(path).is_file():
                raise self.fault(f"{path} is not there", why=f"the chain {self.name} needs it", remedy="correct `instance` or `chain`, or write it before")
        now = self.place.model(self.name)
        before = now if isinstance(now, ChainModel) else None
        if not written:
            model = self._demanded(now)
            return _Chain(before=before, model=model, active=self._active(self.place, model))
        try:
            return self._to_be(before, written)
        except OSError as error:
            raise self.fault(f"{error.filename or self.base} cannot be copied: {error.strerror}", remedy="let this user read it") from error

    def _written(self) -> dict[str, bytes]:
        """The bytes of the files that earlier steps will have written below the chain's directory."""
        on = self.resolving.host(self.host)
        files = [file for (host, path), file in self.resolving.written.items() if host == on and Path(path).is_relative_to(self.base)]
        return {file.target: _bytes(self.resolving, file) for file in files if not file.unchanged}

    def _to_be(self, before: ChainModel | None, written: Mapping[str, bytes]) -> _Chain:
        """A copy must come to the same as the place itself while nothing in it is another; then what it comes to with the new files is what will be."""
        if before is not None:
            self._demand_faithful(before, written)
        with mirrored(self.base, written) as mirror:
            there = self._moved(mirror)
            copy = self._demanded(there.model(self.name))
            active = self._active(there, copy)
            model = put_back(copy, mirror=mirror, base=self.base)
        if before is not None and before.project != model.project:
            raise self.fault(
                f"the new files make another project of it: {model.project}, not {before.project}",
                why=f"the containers of {before.project} would stay as they are",
                remedy="keep the project's name, or take the old project down by an action of its own before",
            )
        return _Chain(before=before, model=model, active=active)

    def _demand_faithful(self, before: ChainModel, written: Mapping[str, bytes]) -> None:
        with mirrored(self.base, {path: Path(path).read_bytes() for path in written if Path(path).is_file()}) as mirror:
            copy = self._moved(mirror).model(self.name)
            if isinstance(copy, str) or put_back(copy, mirror=mirror, base=self.base).digest != before.digest:
                raise self.fault(
                    f"nobody can say yet what the chain {self.name} will come to",
                    why="it comes to something else in a copy of its directory, and earlier steps write its files",
                    remedy="make two actions of it: one that writes the files, and one for docker compose",
                )

    def _moved(self, mirror: str) -> ChainPlace:
        def there(path: str) -> str:
            return os.path.join(mirror, os.path.relpath(path, self.base))  # noqa: PTH118

        return dataclasses.replace(self.place, files=tuple(map(there, self.place.files)), env_files=tuple(map(there, self.place.env_files)))

    def _demanded(self, found: ChainModel | str) -> ChainModel:
        if isinstance(found, ChainModel):
            return found
        raise self.fault(
            f"docker compose refuses the chain {self.name}", why=found, remedy="mend its files; variables take their values from env files, not from this shell"
        )

    def _active(self, place: ChainPlace, model: ChainModel) -> tuple[str, ...]:
        """The services that start by themselves. What would be started here by hand must be what the step starts."""
        moved = place.moved_by_shell(self.name, model)
        if moved:
            raise self.fault(
                f"{', '.join(moved)} of this shell would make another chain of {self.name}",
                why="a step takes values from env files alone: it must come to the same at another terminal, and when it is undone",
                remedy="write the value into an env file of the chain, or unset it here",
            )
        return tuple(self._demanded(place.model(self.name, all_profiles=False)).services)

    # ---- services, images, volumes, containers

    def services(self, chain: _Chain) -> tuple[str, ...]:
        """Those of the step, which the chain must have; else all that the verb is for: to start, those of profiles that are off are left out."""
        known, named, run = chain.model.services, self.step.services, self.step.run
        if unknown := [name for name in named or () if name not in known]:
            raise self.fault(f"the chain {self.name} has no service {', '.join(unknown)}", why=f"it has {', '.join(known)}", remedy="correct `services`")
        match run:
            case ComposeVerb.PULL:
                fit, unfit = {name for name in known if known[name].pulled}, "built here, or never pulled"
            case ComposeVerb.BUILD:
                fit, unfit = {name for name in known if known[name].built}, "there is nothing to build"
            case ComposeVerb.UP | ComposeVerb.START | ComposeVerb.STOP | ComposeVerb.DOWN:
                fit, unfit = set(known), ""
            case _:
                assert_never(run)
        if wrong := [name for name in named or () if name not in fit]:
            raise self.fault(f"{', '.join(wrong)}: {unfit}", remedy="take it out of `services`")
        found = named or sorted(fit.intersection(known if run in (ComposeVerb.STOP, ComposeVerb.DOWN) else chain.active))
        if not found:
            raise self.fault(f"the chain {self.name} has no service to {run}", remedy="take the step out, or name `services`")
        return chain.model.with_needs(found) if run is ComposeVerb.START else tuple(sorted(found))

    def image(self, model: ChainModel, service: str) -> ImagePlan:
        reference, images = model.services[service].reference, self.resolving.images
        brought = images.get(reference)
        found = brought.digest if brought is not None else pinned(reference)
        by: Literal["", "pull", "build"] = brought.by if brought is not None else ""
        match self.step.run:
            case ComposeVerb.PULL:
                found, by = registry_digest(self.api, reference, self.resolving.environ), "pull"
            case ComposeVerb.BUILD:
                found, by = "", "build"
            case ComposeVerb.UP | ComposeVerb.START | ComposeVerb.STOP | ComposeVerb.DOWN:
                pass
            case _:
                assert_never(self.step.run)
        plan = ImagePlan(service=service, reference=reference, id=image_id(self.api, reference), digest=found, by=by)
        if self.step.run is ComposeVerb.UP and not plan.id and not by:
            raise self.fault(
                f"{service}: the image {reference} is not on this host",
                why="nothing is pulled or built while services are started",
                remedy="put a compose step with `run: pull` (or `run: build`) before this one",
            )
        if by:
            images[reference] = plan
        return plan

    def demand_same_volumes(self, model: ChainModel, services: Sequence[str]) -> None:
        """Nobody can change the options of a volume that is there: docker compose keeps the old ones silently, or asks whether to delete its data."""
        for volume in model.volumes_of(services):
            made = volume_options(self.api, volume.name)
            changed = other_options(volume, *made) if made is not None else ""
            if changed:
                raise self.fault(
                    f"volume {volume.name} was made with another {changed} than the chain gives it",
                    why="that cannot be changed in a volume that is there: docker compose keeps it as it is, or deletes it with its data",
                    remedy="give the new one another name, move the data by hand, and let the chain use that",
                )

    def demand_containers(self, services: Sequence[str], state: ProjectState) -> None:
        missing = [name for name in services if not state.of(name)]
        if missing:
            raise self.fault(f"{', '.join(missing)}: there is no container to start", remedy="write `run: up`, which makes it")

    def containers(self, chain: _Chain, state: ProjectState, services: Sequence[str]) -> Iterator[ContainerPlan]:
        """What the project has now, and whether the chain as it is now would make the same again, from the image that it has."""
        hashes = self._hashes(chain.before, services) if state.containers and chain.before is not None else {}
        for one in sorted(state.containers, key=lambda one: (one.service, one.id)):
            known = chain.before.services.get(one.service) if chain.before is not None else None
            same = known is not None and one.labels.get(HASH_LABEL) in hashes.get(one.service, ()) and len(state.of(one.service)) == known.replicas
            yield ContainerPlan(service=one.service, id=one.id, image=one.image_id, running=one.running, same=same, anonymous=one.anonymous_places)

    def _hashes(self, model: ChainModel, services: Sequence[str]) -> Mapping[str, frozenset[str]]:
        """How docker compose labels each service: started with all others, or with those of this step alone, which is another label in older versions."""
        whole = json.loads(model.raw)
        alone = {**whole, "services": {name: _needing(said, services) for name, said in whole["services"].items()}}
        both = [self.place.hashes(each) for each in (whole, alone)]
        return {name: frozenset(each[name] for each in both if name in each) for name in model.services}


def _bytes(resolving: Resolving, file: TargetPlan) -> bytes:
    """What an earlier step of this plan will write."""
    match file.new.content:
        case "blob":
            return resolving.blobs[file.new.digest]
        case "rendered":
            assert isinstance(file, FilePlan)
            return render_instance(resolving.site, file.template, file.instance, resolving.tree, resolving.environ).content
        case "patched":
            return resolving.patched[file.host, file.target]
        case _:
            assert_never(file.new.content)


def _needing(said: Mapping[str, object], services: Sequence[str]) -> Mapping[str, object]:
    """A service of a model that depends on none but these."""
    needs = said.get("depends_on")
    kept = {name: how for name, how in needs.items() if name in services} if isinstance(needs, dict) else {}
    rest = {key: value for key, value in said.items() if key != "depends_on"}
    return {**rest, "depends_on": kept} if kept else rest
