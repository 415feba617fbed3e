"""How is seen whether a stack is well? Container checks through docker compose, endpoints by asking them from this machine, as often as they may take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count

from interlock.config.chain_subjects import chain_of
from interlock.facts.health import ChainProbes, CheckedPort, EndpointSeen, checked_ports
from interlock.facts.start_window import ChainWaits, waited_for
from interlock.observe.expect import Expectation, get, require_here
from interlock.observe.stack import stack
from interlock.observe.world import Observer, World
from interlock.observe.written import positions, unset_at, written
from interlock.verdicts import Subject


def settling(world: World, subject: Subject) -> Expectation:
    """What the subject is looked at by, with the patience of its endpoint; a chain says the same each time."""
    if chain_of(subject) is not None:
        return Expectation(look=lambda: health(world, subject), attempts=1, every=0)
    entry, tries = world.site.health[subject.name], count(1)
    return Expectation(look=lambda: _endpoint(world, subject, next(tries)), attempts=entry.attempts, every=entry.every)


def health(world: World, subject: Subject) -> ChainProbes | EndpointSeen:
    """One look at a chain or at an endpoint. Raises `CouldNotLook`."""
    chain = chain_of(subject)
    return _endpoint(world, subject, 1) if chain is None else _probes(world, chain)


def _probes(world: World, chain: str) -> ChainProbes:
    model = stack(world, chain)
    checks = (tuple(_placed(world, model.files, checked_ports(model, service))) for service in model.services.values())
    return ChainProbes(chain=chain, checks=tuple(found for found in checks if found))


def _placed(world: World, files: tuple[str, ...], checks: Iterator[CheckedPort]) -> Iterator[CheckedPort]:
    for one in checks:
        service = ("services", one.service)
        at = written(world, files, (*service, "healthcheck", "test"), (*service, "healthcheck"), service)
        configs = any(("services", one.target, "configs") in positions(world, file) for file in files)
        yield replace(one, file=at.file, line=at.line, plain=one.plain and not configs)


def _endpoint(world: World, subject: Subject, tries: int) -> EndpointSeen:
    entry = world.site.health[subject.name]
    require_here(entry.host, "endpoints are", where=f"health.{subject.name}")
    where = f"health.{subject.name}"
    return EndpointSeen(
        name=subject.name,
        endpoint=get(entry, timeout=entry.timeout, where=where),
        reads=get(entry.reads, timeout=entry.timeout, where=where) if entry.reads else None,
        tries=tries,
        attempts=entry.attempts,
    )


def waits(world: World, subject: Subject) -> ChainWaits:
    """Who waits for whose health in a chain, and how long. A part of a check that has a variable without a value here is not known. Raises `CouldNotLook`."""
    chain = chain_of(subject) or subject.name
    model = stack(world, chain)
    waited = []
    for one in waited_for(model):
        service = ("services", one.service)
        at = written(world, model.files, (*service, "healthcheck"), service)
        unknown = any(True for _ in unset_at(world, model, (*service, "healthcheck")))
        waited.append(replace(one, file=at.file, line=at.line, window=None if unknown else one.window))
    return ChainWaits(chain=chain, waited=tuple(waited))


OBSERVERS: Mapping[str, Observer] = {"health.endpoint": Observer(see=health), "health.start_window": Observer(see=waits)}
