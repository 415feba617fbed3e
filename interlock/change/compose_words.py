"""What does a compose step say of itself, in words, to the human who approves it? Which image, which container, what is never touched, what undo does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from interlock.config.actions import ComposeVerb
from interlock.facts import moments
from interlock.facts.compose_project import pinned, short_id
from interlock.gate.plan import ComposePlan, ContainerPlan, ImagePlan

SHOWN_DIGITS = 19  # `sha256:` and twelve digits


def compose_words(step: ComposePlan) -> Iterator[str]:
    """The lines below a step's title."""
    yield f"project {step.project} in {step.directory}, by docker compose {step.version} on {step.engine}, for at most {moments.in_words(step.timeout)}"
    yield f"of {', '.join(step.files)}, with variables from {', '.join(step.env_files) or 'no env file'}; this shell's are not used"
    if step.before is not None and step.before != step.model:
        yield "of these files as earlier steps will have written them"
    for image in step.images:
        yield from _image(step.run, image)
        yield from (f"  {_container(step.run, one)}" for one in step.containers_of(image.service))
    yield from _untouched(step)
    yield from _undo(step)


def _image(verb: ComposeVerb, image: ImagePlan) -> Iterator[str]:
    now = short_id(image.id) if image.id else "none here"
    named = f"{image.service}: {image.reference}"
    match verb:
        case ComposeVerb.PULL if not image.digest:
            yield f"{named}: now {now}; NOBODY KNOWS YET WHAT WILL BE PULLED: the registry did not say what it has"
        case ComposeVerb.PULL:
            says = "the image is" if pinned(image.reference) else "the registry has"
            yield f"{named}: now {now}; {says} {image.digest[:SHOWN_DIGITS]}, and nothing else will do"
        case ComposeVerb.BUILD:
            yield f"{named}: now {now}; built from a directory of this host: WHAT COMES OUT IS KNOWN ONLY THEN"
        case ComposeVerb.UP:
            yield f"{named}: started with {_brought(image)}"
        case ComposeVerb.START | ComposeVerb.STOP | ComposeVerb.DOWN:
            yield image.service
        case _:
            assert_never(verb)


def _brought(image: ImagePlan) -> str:
    match image.by:
        case "":
            return short_id(image.id)
        case "build":
            return "what was built before"
        case "pull":
            return f"the pulled {image.digest[:SHOWN_DIGITS]}" if image.digest else "what was pulled before, WHICH NOBODY KNOWS YET"
        case _:
            assert_never(image.by)


def _container(verb: ComposeVerb, one: ContainerPlan) -> str:
    now = f"container {short_id(one.id)} {'runs' if one.running else 'is stopped'} with {short_id(one.image)}"
    match verb:
        case ComposeVerb.PULL | ComposeVerb.BUILD:
            return f"{now}, and goes on so"
        case ComposeVerb.UP:
            return f"{now}; replaced where the chain says another, with all that is in it and on no volume"
        case ComposeVerb.START:
            return f"{now}; it will run"
        case ComposeVerb.STOP:
            return f"{now}; it will be stopped"
        case ComposeVerb.DOWN:
            return f"{now}; removed, with all that is in it and on no volume"
        case _:
            assert_never(verb)


def _untouched(step: ComposePlan) -> Iterator[str]:
    others = sorted({one.service for one in step.containers} - set(step.services))
    if others:
        yield f"not touched: {', '.join(others)}"
    yield f"no volume is ever removed{': ' + ', '.join(step.volumes) if step.volumes else ''}"


def _undo(step: ComposePlan) -> Iterator[str]:
    match step.run:
        case ComposeVerb.PULL | ComposeVerb.BUILD:
            yield "undo: every tag names its old image again; an image that was not here before stays"
        case ComposeVerb.START | ComposeVerb.STOP:
            yield "undo: the same containers run, or are stopped, as they do now"
        case ComposeVerb.UP | ComposeVerb.DOWN if not step.containers:
            yield "undo: containers and networks are removed; a volume that was not there before stays"
        case ComposeVerb.UP | ComposeVerb.DOWN:
            yield "undo: each service runs, or is stopped, with the image that it has now, made from the chain as it is now"
            yield from _lost(step)
        case _:
            assert_never(step.run)


def _lost(step: ComposePlan) -> Iterator[str]:
    """Why undo would not bring back the same."""
    if step.before is None and step.touched:
        yield "NO UNDO: docker compose refuses the chain as it is now, so what runs cannot be made again"
    elif odd := [one for one in step.touched if not one.same]:
        services = ", ".join(sorted({one.service for one in odd}))
        yield f"NO EXACT UNDO: these files, as they are now, would not make {services} as it is (another configuration, or another number of containers)"
    if step.run is ComposeVerb.DOWN:
        yield from (
            f"NO UNDO for {', '.join(one.anonymous)} in {one.service}: a volume without a name, which no new container finds again"
            for one in step.touched
            if one.anonymous
        )
