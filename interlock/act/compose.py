"""How does docker compose pull, build, start and stop the services of a chain, and how does the stack come back as the plan saw it?

Docker compose is run behind the door of `interlock.act.commands`, with no variable of the operator's shell and never with an answer to a question: what it
would ask about was refused when the plan was made. Exit code 0 is not believed: afterwards the engine is asked whether every service runs with its planned
image. Before the first change of an action the chain is kept as it was, resolved, in the journal's `undo/`: what is undone must not depend on files that
later steps have written. What a step started is stopped at its place in the undo (`withdraw_compose`), and what ran before is started only once everything
else is undone, when the old files stand there again.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, assert_never

from interlock.act.commands import Ran, run
from interlock.act.outcome import Bench, StepDone, StepFailed
from interlock.act.private import write_private
from interlock.config.actions import ComposeVerb
from interlock.errors import CouldNotLook
from interlock.facts.compose_project import SHOWN_DIGITS, ChainModel, ChainService, ProjectState, other_options, pinned, repository, short_id
from interlock.facts.engine import Container
from interlock.gate.journal import Result
from interlock.gate.plan import ComposePlan, ContainerPlan
from interlock.observe.compose_binary import ALL_PROFILES, Compose, asked
from interlock.observe.compose_state import ChainPlace, exit_code, image_digests, image_id, project_state, volume_options
from interlock.observe.engine_api import EngineApi, EngineRefusedError
from interlock.observe.registry import registry_digest

UP = ("up", "--detach", "--no-build", "--pull", "never", "--no-deps")
MAKE = ("up", "--no-start", "--no-build", "--pull", "never", "--no-deps")
LOOK_AGAIN_S = 0.3
STANDS_S = 0.5  # a service that ends as soon as it has started still runs at the first look
ENGINE_ENDS_S = 2.0
SETTLES_S = 30.0  # how long containers that were brought back may take to run


def arguments(step: ComposePlan) -> tuple[str, ...]:
    """The verb of docker compose with its options and services. Nothing in it removes a volume, pulls or builds on the way, or answers a question."""
    match step.run:
        case ComposeVerb.UP:
            return (*UP, *step.services)
        case ComposeVerb.DOWN:
            return ("down",) if step.whole else ("down", *step.services)
        case ComposeVerb.PULL | ComposeVerb.BUILD | ComposeVerb.START | ComposeVerb.STOP:
            return (step.run.value, *step.services)
        case _:
            assert_never(step.run)


# ---- before the first change


def prepare_compose(step: ComposePlan, bench: Bench) -> None:
    """Keep the chain as it is, before anything has changed. May be done again while nothing has. Raises StepFailed: then nothing was changed."""
    if step.before is None or step.run in (ComposeVerb.PULL, ComposeVerb.BUILD):
        return
    with _looking(changed=False):
        _keep(_demand_model(step, bench, step.before), bench)


def _keep(model: ChainModel, bench: Bench) -> None:
    """It may hold secrets: 0600, in the journal's private folder."""
    path = _kept(bench, model.digest)
    if not path.exists():
        write_private(path, model.raw)


def _kept(bench: Bench, of: str) -> Path:
    return bench.undo_folder / f"compose-{of.removeprefix('sha256:')}.json"


# ---- do


def do_compose(step: ComposePlan, bench: Bench, *, again: bool) -> StepDone:
    """Run it, and look whether it came to what was planned. It may be run again wherever it was interrupted. Raises StepFailed."""
    bench.check()
    api = EngineApi(socket=step.engine)
    with _looking(changed=again):
        model = _demand_model(step, bench, step.model)
        expected = _demand_ready(step, model, api, bench)
        if again:
            _clear_leftovers(step, api)
    _keep(model, bench)
    ran = _run(step, bench, _place(step, bench).options(step.project), arguments(step))
    if not ran.well:
        raise StepFailed(f"docker compose {step.run} {ran}", where=step.chain, changed=True, data=ran.to_json())
    with _looking(changed=True):
        found = _demand_done(step, model, expected, api, bench, within=max(SETTLES_S, step.timeout - ran.seconds))
    return StepDone(data={**ran.to_json(), **found})


def _demand_model(step: ComposePlan, bench: Bench, wanted: str) -> ChainModel:
    """The chain as it is resolved now, by the docker compose of the plan. Raises StepFailed unless it has that digest."""
    found = asked(step.program, bench.environ)
    if found is None or found.version != step.version:
        now = f"version {found.version}" if found is not None else "no docker compose that answers"
        raise _stale(step, f"{step.program} is another docker compose now", f"{now}, planned with {step.version}")
    model = _place(step, bench).model(step.chain)
    if isinstance(model, str):
        raise _stale(step, f"docker compose refuses the chain {step.chain} now", model)
    if model.digest != wanted:
        raise _stale(step, f"the chain {step.chain} comes to something else than was planned", "a file that it reads is another one")
    return model


def _stale(step: ComposePlan, what: str, why: str) -> StepFailed:
    return StepFailed(what, where=step.files[0], why=why, remedy="make a new plan", changed=False)


def _demand_ready(step: ComposePlan, model: ChainModel, api: EngineApi, bench: Bench) -> Mapping[str, str]:
    """What the step declares as its precondition. Returns the image id that each service must have afterwards, where that is known before."""
    match step.run:
        case ComposeVerb.PULL:
            _demand_unmoved(step, api, bench)
            return {}
        case ComposeVerb.UP:
            _demand_volumes(step, model, api)
            return dict(_demand_images(step, api))
        case ComposeVerb.BUILD | ComposeVerb.START | ComposeVerb.STOP | ComposeVerb.DOWN:
            project_state(api.socket, step.project)  # the engine answers
            return {}
        case _:
            assert_never(step.run)


def _demand_unmoved(step: ComposePlan, api: EngineApi, bench: Bench) -> None:
    """What the registry has is what it had. Where it cannot say, the pull itself will."""
    for image in step.images:
        has = registry_digest(api, image.reference, bench.environ) if image.digest else ""
        if has and has != image.digest:
            raise _stale(step, f"{image.service}: the registry has another image under {image.reference} now", f"{has}, planned was {image.digest}")


def _demand_images(step: ComposePlan, api: EngineApi) -> Iterator[tuple[str, str]]:
    for image in step.images:
        has = image_id(api, image.reference)
        if not has:
            raise _stale(step, f"{image.service}: the image {image.reference} is not on this host", "it was there, or pulled, when it was planned")
        if not image.by and has != image.id:
            raise _stale(step, f"{image.service}: {image.reference} is another image now", f"{has}, planned was {image.id}")
        if image.by and image.digest and image.digest not in image_digests(api, image.reference):
            raise _stale(step, f"{image.service}: {image.reference} is not what was planned to be pulled", f"planned was {image.digest}")
        yield image.service, has


def _demand_volumes(step: ComposePlan, model: ChainModel, api: EngineApi) -> None:
    for volume in model.volumes_of(step.services):
        made = volume_options(api, volume.name)
        if made is not None and (changed := other_options(volume, *made)):
            raise _stale(
                step, f"volume {volume.name} was made with another {changed} than the chain gives it", "that cannot be changed in a volume that is there"
            )


# ---- was it done?


def _demand_done(step: ComposePlan, model: ChainModel, expected: Mapping[str, str], api: EngineApi, bench: Bench, *, within: float) -> dict[str, Any]:
    match step.run:
        case ComposeVerb.PULL | ComposeVerb.BUILD:
            return {"images": [_brought(step, image.service, image.reference, image.digest, api) for image in step.images]}
        case ComposeVerb.UP | ComposeVerb.START:
            _settled(step, bench, lambda now: _judged(step, model, expected, now, api), within)
            time.sleep(STANDS_S)
            state = _settled(step, bench, lambda now: _judged(step, model, expected, now, api), within)
            return {"containers": _listed(step, state)}
        case ComposeVerb.STOP:
            state = project_state(step.engine, step.project)
            running = [one.name for name in step.services for one in state.of(name) if one.running]
        case ComposeVerb.DOWN:
            state = project_state(step.engine, step.project)
            running = [one.name for name in step.services for one in state.of(name)]
        case _:
            assert_never(step.run)
    if running:
        said = "still run" if step.run is ComposeVerb.STOP else "are still there"
        raise StepFailed(f"docker compose {step.run} ended with 0, but {', '.join(running)} {said}", where=step.chain, changed=True)
    return {"containers": _listed(step, state)}


def _brought(step: ComposePlan, service: str, reference: str, wanted: str, api: EngineApi) -> dict[str, Any]:
    """What a reference names now. Raises StepFailed when that is not the planned image."""
    digests = image_digests(api, reference)
    if wanted and wanted not in digests:
        raise StepFailed(
            f"{service}: docker compose pulled another image than was planned",
            where=reference,
            why=f"{', '.join(sorted(digests)) or 'no digest'}, planned was {wanted}",
            remedy="look why the tag moved in the registry, and make a new plan",
            changed=True,
        )
    has = image_id(api, reference)
    if not has:
        raise StepFailed(f"{service}: docker compose {step.run} ended with 0, but there is no image {reference}", where=step.chain, changed=True)
    return {"service": service, "reference": reference, "id": has, "digests": sorted(digests)}


def _judged(step: ComposePlan, model: ChainModel, expected: Mapping[str, str], state: ProjectState, api: EngineApi) -> tuple[list[str], list[str]]:
    """What is wrong with the services, and what is still to be waited for, in words."""
    wrong, waiting = [], []
    for name in step.services:
        service, containers = model.services[name], state.of(name)
        if len(containers) != service.replicas:
            wrong.append(f"{name} has {len(containers)} containers of {service.replicas}")
        for one in containers:
            if name in expected and one.image_id != expected[name]:
                wrong.append(f"{one.name} runs image {short_id(one.image_id)}, not {short_id(expected[name])}")
            fault, pending = _how_it_runs(service, one, api)
            wrong += [fault] if fault else []
            waiting += [pending] if pending else []
    return wrong, waiting


def _how_it_runs(service: ChainService, one: Container, api: EngineApi) -> tuple[str, str]:
    """What is wrong with a container, or what it is still to become; both empty when it is as it should be."""
    if one.state in ("created", "restarting") or one.health == "starting":
        return "", f"{one.name} is {one.health or one.state}"
    if one.health == "unhealthy" or one.state == "paused":
        return f"{one.name} is {one.health or one.state}", ""
    if one.running:
        return ("", f"{one.name} has not ended") if service.ends else ("", "")
    code = exit_code(api, one.id)
    return ("", "") if service.ends and code == 0 else (f"{one.name} does not run: it ended with {code}", "")


def _settled(step: ComposePlan, bench: Bench, judged: Callable[[ProjectState], tuple[list[str], list[str]]], within: float) -> ProjectState:
    """The project once there is nothing to wait for. Raises StepFailed for what is wrong, and after `within` seconds.

    Not docker compose's own `--wait`: for that a service that has done its work and ended well has failed.
    """
    until = time.monotonic() + within
    while True:
        state = project_state(step.engine, step.project)
        wrong, waiting = judged(state)
        if not wrong and not waiting:
            return state
        late = time.monotonic() > until
        if wrong or late or bench.interrupted():
            why = "; ".join([*wrong, *(f"{one} after {within:.0f} s" if late else one for one in waiting)])
            raise StepFailed(f"{step.chain} does not run as planned", why=why, changed=True, data={"containers": _listed(step, state)})
        time.sleep(LOOK_AGAIN_S)


def _listed(step: ComposePlan, state: ProjectState) -> list[dict[str, str]]:
    """The containers of the step's services, as the journal keeps them."""
    return [
        {"service": name, "id": one.id, "image": one.image_id, "state": one.state, "health": one.health} for name in step.services for one in state.of(name)
    ]


# ---- undo


def withdraw_compose(step: ComposePlan, bench: Bench) -> None:
    """Stop what the step started and what did not run before, so that whatever is undone after it is undone under nobody's feet. Raises StepFailed."""
    bench.check_undo()
    if step.run not in (ComposeVerb.UP, ComposeVerb.START) or not _kept(bench, step.model).exists():
        return
    with _looking(changed=True):
        state = project_state(step.engine, step.project)
    ran = {container.id for container in step.containers if container.running}
    fresh = [name for name in step.services if any(one.running and one.id not in ran for one in state.of(name))]
    if fresh:
        _demand_well(step, bench, _kept_options(step, bench, step.model), ("stop", *fresh))


def undo_compose(step: ComposePlan, bench: Bench) -> StepDone:
    """Bring back the images and containers that the plan saw. Raises StepFailed, naming what is left. Volumes are never removed."""
    bench.check_undo()
    with _looking(changed=True):
        if step.run in (ComposeVerb.PULL, ComposeVerb.BUILD):
            return _tags_back(step, EngineApi(socket=step.engine))
        return _containers_back(step, bench)


def _tags_back(step: ComposePlan, api: EngineApi) -> StepDone:
    """Let every name that was moved name its old image again. An image that was not there before stays: nothing uses it."""
    moved: list[str] = []
    stays: list[str] = []
    left: list[str] = []
    for reference, old in sorted({(image.reference, image.id) for image in step.images}):
        has = image_id(api, reference)
        if has == old or not has:
            left += [f"{reference} names no image"] if not has and old else []
        elif not old:
            stays.append(f"image {reference}")
        elif not image_id(api, old):
            left.append(f"{reference}: its old image {short_id(old)} is gone")
        else:
            _name(api, reference, old)
            moved.append(reference)
    if left:
        raise StepFailed(f"{len(left)} images are not put back", why="; ".join(left), changed=True, data={"moved_back": moved, "stays": stays})
    return StepDone(result=Result.DONE if moved else Result.NOT_NEEDED, changed=False, data={"moved_back": moved, "stays": stays})


def _containers_back(step: ComposePlan, bench: Bench) -> StepDone:
    try:
        ran = _go_back(step, bench)
    except StepFailed:  # an engine whose client was killed may still have been at the work that it was asked for
        time.sleep(ENGINE_ENDS_S)
        ran = _go_back(step, bench)
    state = _settled(step, bench, lambda now: ([], _left(step, now)), SETTLES_S)
    remade = [f"{name}: its container was not made from these files, and was made again from them" for name in step.services if _is_remade(step, name, state)]
    stays = [
        *(f"volume {name}" for name in state.volumes if name not in step.volumes),
        *(f"network {name}" for name in state.networks if name not in step.networks),
    ]
    data = {"containers": _listed(step, state), "stays": stays}
    if remade:
        raise StepFailed(f"{len(remade)} services are not as they were", why="; ".join(remade), changed=True, data=data)
    return StepDone(result=Result.DONE if ran else Result.NOT_NEEDED, changed=False, data=data)


def _go_back(step: ComposePlan, bench: Bench) -> list[Ran]:
    api = EngineApi(socket=step.engine)
    _clear_leftovers(step, api)
    ran = []
    for options, verb, services in _ways_back(step, bench, project_state(step.engine, step.project)):
        for names, tags in _by_image(step, bench, api, services) if verb in (UP, MAKE) else [(services, {})]:
            with _naming(api, tags):
                ran.append(_demand_well(step, bench, options, (*verb, *names)))
    for image in step.images:
        if image.id and not image.by:
            _name(api, image.reference, image.id)
    return ran


def _by_image(step: ComposePlan, bench: Bench, api: EngineApi, services: Sequence[str]) -> Iterator[tuple[tuple[str, ...], Mapping[str, str]]]:
    """The services that are to be made again: together, but for those whose image is not what its tag names by now. These come one by one, each with the tag
    that must name its old image meanwhile."""
    model = _old_model(step, bench)
    wanted = {name: step.containers_of(name)[0].image for name in services}
    named = {name: model.services[name].reference for name in services if name in model.services}
    odd = [name for name in named if image_id(api, named[name]) != wanted[name]]
    if plain := tuple(name for name in services if name not in odd):
        yield plain, {}
    for name in odd:
        yield (name,), {named[name]: wanted[name]}


@contextmanager
def _naming(api: EngineApi, tags: Mapping[str, str]) -> Iterator[None]:
    """Let references name these images for a while."""
    before = {reference: image_id(api, reference) for reference in tags}
    for reference, image in tags.items():
        _name(api, reference, image)
    try:
        yield
    finally:
        for reference, image in before.items():
            if image:
                _name(api, reference, image)


def _name(api: EngineApi, reference: str, image: str) -> None:
    """Let a reference name an image. A digest cannot name another."""
    if not pinned(reference) and image_id(api, reference) != image:
        name, tag = repository(reference)
        api.request("POST", f"/images/{image}/tag?repo={name}&tag={tag}")


def _clear_leftovers(step: ComposePlan, api: EngineApi) -> None:
    """Remove what a docker compose that was killed has made beside a container which it was about to replace: `<its id>_<its name>`, never started.

    With both there it does not know any more which one is meant.
    """
    state = project_state(step.engine, step.project)
    for name in step.services:
        for one in state.of(name):
            if any(one.name.startswith(f"{other.id[:SHOWN_DIGITS]}_") for other in state.of(name)):
                api.request("DELETE", f"/containers/{one.id}?force=true")


def _ways_back(step: ComposePlan, bench: Bench, state: ProjectState) -> Iterator[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]:
    """What docker compose is to be asked for: the options that say of which chain, the verb, and the services; nothing where all is as it was."""
    ways = {name: _way_back(step.containers_of(name), state.of(name)) for name in step.services}

    def going(way: str) -> tuple[str, ...]:
        return tuple(name for name in step.services if ways[name] == way)

    if not step.containers and (state.containers or set(state.networks) - set(step.networks)) and _kept(bench, step.model).exists():
        yield _kept_options(step, bench, step.model), ("down",), ()
        return
    if gone := going("remove"):
        yield _kept_options(step, bench, step.model), ("rm", "--stop", "--force"), gone
    if not any(going(way) for way in ("stop", "make stopped", "make", "start")):
        return
    old = _old_options(step, bench)
    if made := going("make stopped"):
        yield old, MAKE, made
    if stopped := (*going("stop"), *made):
        yield old, ("stop",), stopped
    if running := going("make"):
        yield old, UP, running
    if started := going("start"):
        yield old, (*UP, "--no-recreate"), started


def _way_back(was: Sequence[ContainerPlan], now: Sequence[Container]) -> str:
    """How the containers of one service come back: `remove`, `start`, `stop`, `make`, `make stopped`; empty when they are as they were."""
    wanted = any(one.running for one in was)
    if not was:
        return "remove" if now else ""
    if {one.id for one in was} != {one.id for one in now}:
        return "make" if wanted else "make stopped"
    if {(one.id, one.running) for one in was} == {(one.id, one.running) for one in now}:
        return ""
    return "start" if wanted else "stop"


def _left(step: ComposePlan, state: ProjectState) -> list[str]:
    """The services that are not as they were, by image and by whether they run."""
    left = []
    for name in step.services:
        was = Counter((one.image, one.running) for one in step.containers_of(name))
        now = Counter((one.image_id, one.running) for one in state.of(name))
        if was != now:
            left.append(f"{name} was {_in_words(was)}, is {_in_words(now)}")
    return left


def _in_words(containers: Mapping[tuple[str, bool], int]) -> str:
    return " and ".join(f"{count} {'running' if runs else 'stopped'} of image {short_id(image)}" for (image, runs), count in containers.items()) or "not there"


def _is_remade(step: ComposePlan, service: str, state: ProjectState) -> bool:
    """True when a container was made again that these files would never have made."""
    gone = {one.id for one in step.containers_of(service)} - {one.id for one in state.of(service)}
    return bool(gone) and not all(one.same for one in step.containers_of(service))


# ---- running docker compose


def _place(step: ComposePlan, bench: Bench) -> ChainPlace:
    compose = Compose(path=step.program, version=step.version)
    return ChainPlace(compose=compose, engine=step.engine, files=step.files, env_files=step.env_files, environ=bench.environ)


def _kept_options(step: ComposePlan, bench: Bench, of: str) -> tuple[str, ...]:
    return _place(step, bench).options(step.project, resolved=str(_kept(bench, of)))


def _old_options(step: ComposePlan, bench: Bench) -> tuple[str, ...]:
    """The chain as it was: its files where they come to the same again, else as it was kept. Raises StepFailed when it is not known."""
    model = _place(step, bench).model(step.chain)
    if isinstance(model, ChainModel) and model.digest == step.before:
        return _place(step, bench).options(step.project)
    return _kept_options(step, bench, _demand_before(step, bench))


def _old_model(step: ComposePlan, bench: Bench) -> ChainModel:
    """The chain as it was kept. Raises StepFailed when it is not known."""
    return ChainModel.of(json.loads(_kept(bench, _demand_before(step, bench)).read_bytes()), chain=step.chain, files=step.files)


def _demand_before(step: ComposePlan, bench: Bench) -> str:
    if step.before is None or not _kept(bench, step.before).exists():
        raise StepFailed(f"nobody knows how the chain {step.chain} was", where=step.files[0], why="it could not be resolved when it was planned", changed=True)
    return step.before


def _run(step: ComposePlan, bench: Bench, options: Iterable[str], verb: Sequence[str]) -> Ran:
    argv = (step.program, *options, *ALL_PROFILES, *verb)
    return run(argv, step, dataclasses.replace(bench, environ=_place(step, bench).given()))


def _demand_well(step: ComposePlan, bench: Bench, options: Iterable[str], verb: Sequence[str]) -> Ran:
    ran = _run(step, bench, options, verb)
    if not ran.well:
        raise StepFailed(f"docker compose {verb[0]} {ran}", where=step.chain, changed=True, data=ran.to_json())
    return ran


@contextmanager
def _looking(*, changed: bool) -> Iterator[None]:
    """What cannot be looked at fails the step, and says whether something may have changed."""
    try:
        yield
    except EngineRefusedError as error:
        raise StepFailed("the container engine refuses it", why=str(error), changed=changed) from error
    except CouldNotLook as error:
        raise StepFailed(error.what, where=error.where, why=error.why, remedy=error.remedy, changed=changed) from error
    except StepFailed as failure:
        failure.changed = failure.changed or changed
        raise
