"""How is seen what can be reached from outside? Stacks through docker compose, hosts through the kernel's tables of sockets, addresses by asking them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from interlock.config.chain_subjects import chain_of
from interlock.config.models import Site
from interlock.errors import CouldNotLook
from interlock.facts.exposure import (
    REFUSED,
    ChainPorts,
    HostNetwork,
    HostPorts,
    Listener,
    Port,
    Publication,
    Reach,
    RefusedSeen,
    Socket,
    listeners,
    parse_sockets,
    port_range,
    reach_of,
    with_published,
)
from interlock.facts.looks import HostFacts, Look, ReadFile, Stat
from interlock.facts.stack import PublishedPort, Service, Stack
from interlock.observe.containers import engine_looks, engine_seen
from interlock.observe.expect import answer_of
from interlock.observe.stack import stack
from interlock.observe.world import Observer, World
from interlock.observe.written import unset_at, written
from interlock.verdicts import Subject

TABLES = tuple((protocol, f"/proc/net/{protocol}{version}") for protocol in ("tcp", "udp") for version in ("", "6"))
TABLE_LIMIT = 64 * 1024 * 1024  # a line for each connection: a busy proxy has a hundred thousand
BYTE_ORDER = "/sys/kernel/cpu_byteorder"  # since Linux 5.19
EPHEMERAL = "/proc/sys/net/ipv4/ip_local_port_range"
USUAL_EPHEMERAL = range(32768, 61000)
PATIENCE_S = 10


def _looks(site: Site, subject: Subject) -> Iterator[Look]:
    if subject.name.startswith(REFUSED) or chain_of(subject) is not None:
        return
    for _, table in TABLES:
        yield Stat(table)
        yield ReadFile(table, TABLE_LIMIT)
    for path in (BYTE_ORDER, EPHEMERAL):
        yield Stat(path)
        yield ReadFile(path)
    yield from engine_looks(site, subject.host)


def exposed(world: World, subject: Subject) -> ChainPorts | HostPorts | RefusedSeen:
    """What the subject opens: a chain, a host, or an address that should refuse. Raises `CouldNotLook`."""
    chain = chain_of(subject)
    if chain is not None:
        return _chain(world, chain)
    if subject.name.startswith(REFUSED):
        return _refused(world, subject.name.removeprefix(REFUSED))
    return _host(world, subject.host)


def _public(site: Site) -> frozenset[Port] | None:
    """The ports that the site declares; what is unconfirmed counts here, and keeps the gate shut through site.confirmed."""
    return frozenset(Port(one.port, one.protocol) for one in site.exposure.public) if site.exposure else None


# ---- a chain


def _chain(world: World, name: str) -> ChainPorts:
    model = stack(world, name)
    host_network = [service for service in model.services.values() if service.network_mode == "host"]
    return ChainPorts(
        chain=name,
        public=_public(world.site),
        publications=tuple(_publications(world, model)),
        host_network=tuple(_on_the_host(world, model, service) for service in host_network),
    )


def _publications(world: World, model: Stack) -> Iterator[Publication]:
    for service in model.services.values():
        if service.network_mode == "host":
            continue  # compose drops its ports
        for port in service.ports:
            first, last = port_range(port.published)
            at = written(world, model.files, ("services", service.name, "ports"), ("services", service.name))
            yield Publication(
                service=service.name,
                image=service.image,
                address=port.address,
                first=first,
                last=last,
                target=port.target,
                protocol=port.protocol,
                file=at.file,
                line=at.line,
                assumed=tuple(_assumed(world, model, service, port)),
            )


def _assumed(world: World, model: Stack, service: Service, port: PublishedPort) -> Iterator[str]:
    """The variables without a value in the text of a port, where what that text says of the address does not decide it alone."""
    for unset in unset_at(world, model, ("services", service.name, "ports")):
        says_address = bool(port.address) and port.address in unset.text
        decided = says_address and (world.site.exposure is None or reach_of(port.address) is not Reach.OUTSIDE)
        if (unset.key or str(port.target) in unset.text) and not decided:
            yield from unset.variables


def _on_the_host(world: World, model: Stack, service: Service) -> HostNetwork:
    at = written(world, model.files, ("services", service.name, "network_mode"), ("services", service.name))
    return HostNetwork(service=service.name, image=service.image, exposed=tuple(_exposed(service.expose)), file=at.file, line=at.line)


def _exposed(ports: Iterable[str]) -> Iterator[Port]:
    for text in ports:
        numbers, _, protocol = text.partition("/")
        first, last = port_range(numbers)
        yield from (Port(number, protocol or "tcp") for number in range(first, last + 1) if number)


# ---- a host


def _host(world: World, host: str) -> HostPorts:
    facts = world.host(host)
    ephemeral, order = _ephemeral(facts), _byte_order(facts)
    found = tuple(one for protocol, table in TABLES for one in listeners(_sockets(facts, table, order), protocol, ephemeral=ephemeral))
    published, unseen = _published_by_containers(world, facts)
    return HostPorts(host=host, public=_public(world.site) or frozenset(), listeners=with_published(found, published), unseen=unseen)


def _published_by_containers(world: World, facts: HostFacts) -> tuple[tuple[Listener, ...], str]:
    """The ports that lead into running containers, and why they could not be looked at: an engine can forward a port without any socket."""
    try:
        engine = engine_seen(world, facts.host)
    except CouldNotLook as error:
        return (), error.sentence
    if engine is None:
        return (), ""
    return tuple(
        Listener(Port(port.published, port.protocol), port.address, container.name)
        for container in engine.containers
        if container.running
        for port in container.ports
        if port.published
    ), ""


def _sockets(facts: HostFacts, table: str, order: str) -> tuple[Socket, ...]:
    """A table that is not there is one of a protocol that the kernel does not speak: a host without IPv6."""
    if not facts.stat(table).present:
        return ()
    return parse_sockets(facts.read(table), byte_order=order, where=f"{facts.host}:{table}")


def _byte_order(facts: HostFacts) -> str:
    """Little, where the kernel is too old to say it: all that interlock is likely to meet."""
    return facts.read(BYTE_ORDER).decode("ascii", "replace").strip() if facts.stat(BYTE_ORDER).present else "little"


def _ephemeral(facts: HostFacts) -> range:
    if not facts.stat(EPHEMERAL).present:
        return USUAL_EPHEMERAL
    first, last = facts.read(EPHEMERAL).split()
    return range(int(first), int(last) + 1)


# ---- an address


def _refused(world: World, name: str) -> RefusedSeen:
    assert world.site.exposure is not None  # subjects are made from it
    wanted = world.site.exposure.refused[name]
    answer = answer_of(wanted.url, timeout=PATIENCE_S, where=f"exposure.refused.{name}")
    return RefusedSeen(name=name, url=wanted.url, status=answer.status, failure=answer.failure, refusals=wanted.status)


OBSERVERS: Mapping[str, Observer] = {"exposure.private_only": Observer(looks=_looks, see=exposed)}
