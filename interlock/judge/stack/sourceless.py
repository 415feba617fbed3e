"""Can those who run the stack start it with what they get: images, and the files of the repository?"""

from __future__ import annotations

from collections.abc import Iterator

from interlock.facts.placed import Found, PlacedChain
from interlock.facts.sourceless import NeededSources, must_be_a_file
from interlock.judge.stack.places import compose_files, details, unread
from interlock.judge.tree import found
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Unproven, When

REMEDY = "give the service an image beside the others, or ship what it is built from; add the file that is mounted, or say who makes it"


def judge_sourceless(noun: NeededSources) -> Held | Broken | Unproven:
    """Held when no service is left to be built where the others are pulled, and what is built and mounted is in the tree."""
    held = f"{noun.file.path} needs no source where the others are images, and what it builds and mounts is there"
    if noun.file.alone:
        return Held(f"{noun.file.path} is in no chain that somebody starts")
    return found((*_left(noun), *details(noun.file, lambda chain: _missing(chain, noun)), *unread(noun.file)), held=held, remedy=REMEDY)


def _left(noun: NeededSources) -> Iterator[Detail]:
    """Services that an overlay forgets which gives the others their images."""
    seen = set[str]()
    for overlay in noun.overlays:
        if len(overlay.given) > max(1, len(overlay.left)):
            for name in overlay.left:
                if name not in seen:
                    seen.add(name)
                    message = (
                        f"{noun.services}: {', '.join(overlay.given)} are given images here, and {name} is still built: a host without the source cannot start"
                        f" the chain {overlay.chain}"
                    )
                    yield Detail(what=name, outcome=Outcome.BROKEN, kind="still-built", message=message, file=noun.file.path, line=noun.services.line)


def _missing(chain: PlacedChain, noun: NeededSources) -> Iterator[Found]:
    for service in chain.stack.services.values():
        lacks = noun.contexts.get((service.context, service.dockerfile)) if service.built else None
        if lacks:
            place = chain.at(("services", service.name, "build"), ("services", service.name))
            yield Found(service.name, "no-context", f"{service.name} is built from {lacks}, which the repository does not have", place)
        for mount in service.mounts:
            if must_be_a_file(mount) and mount.source in noun.absent:
                shown = chain.shown(mount).removeprefix("the directory ")
                message = (
                    f"{service.name} mounts {shown}, which the repository does not have and nobody makes: the engine makes a folder of that name, and mounts it"
                )
                yield Found(f"{service.name} {mount.target}", "no-file", message, chain.mount_at(service.name, mount.target))


SOURCELESS_RUNNABLE = Guardrail(
    id="compose.sourceless_runnable",
    title="a stack of images needs no source, and what it builds and mounts is shipped",
    severity=Severity.MEDIUM,
    when=frozenset({When.STATIC}),
    rationale="One service that has to be built stops the whole `up` of a host that has images and no source; a mounted file that is missing becomes a folder.",
    remedy=REMEDY,
    subjects=compose_files,
    judge=judge_sourceless,
)
