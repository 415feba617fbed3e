"""Can anything be reached from outside that nobody declared? Stacks, hosts and addresses; `interlock.observe.exposure` brings them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import assert_never

from interlock.config.chain_subjects import chain_subjects
from interlock.config.models import Site
from interlock.facts.exposure import REFUSED, ChainPorts, HostNetwork, HostPorts, Listener, Publication, Reach, RefusedSeen, reach_of
from interlock.facts.known_images import KnownServer, by_port, recognise
from interlock.verdicts import LIVE, Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, When, in_short

SHOWN = 5


def subjects(site: Site) -> Sequence[Subject]:
    """Every chain; where the site says what may be reached, also the hosts that it names, and the addresses that must refuse."""
    found = list(chain_subjects(site))
    if site.exposure is not None:
        found += [Subject(name="ports", host=host, when=LIVE) for host in site.exposure.hosts]
        found += [Subject(name=f"{REFUSED}{name}", when=LIVE) for name in site.exposure.refused]
    return found


def judge_private_only(seen: ChainPorts | HostPorts | RefusedSeen) -> Held | Broken | Unproven:
    """Held when nothing can be reached from outside but what is declared.

    Where a site says nothing of exposure, a chain is broken only for what no stranger should ever reach: the ports of databases and the like.
    """
    match seen:
        case ChainPorts():
            return _judge_chain(seen)
        case HostPorts():
            return _judge_host(seen)
        case RefusedSeen():
            return _judge_refused(seen)
        case _:
            assert_never(seen)


# ---- a chain


def _judge_chain(chain: ChainPorts) -> Held | Broken | Unproven:
    details = (*(_published(one, chain) for one in chain.publications), *_on_host_network(chain))
    remedy = 'publish it on one address (`"127.0.0.1:5432:5432"`), or not at all: services of one network need no published ports'
    if chain.public is not None:
        remedy += "; what is meant to be public is declared below `exposure.public`, with the reason"
    if bad := [detail for detail in details if detail.outcome is Outcome.BROKEN]:
        return Broken(in_short(bad, SHOWN), remedy=remedy, details=details)
    if unknown := [detail for detail in details if detail.outcome is Outcome.UNPROVEN]:
        return Unproven(in_short(unknown, SHOWN), remedy=_would_prove(unknown), details=details)
    aside = f"; on the host's network, with ports that no file tells: {', '.join(one.service for one in chain.host_network)}" if _untold(chain) else ""
    if not chain.publications:
        return Held(f"no service publishes a port{aside}", details)
    nothing = "no service publishes the port of a database" if chain.public is None else "nothing is published for everyone but what is declared"
    return Held(f"{nothing}{aside}", details)


def _would_prove(unknown: Sequence[Detail]) -> str:
    if any(detail.kind == "assumed" for detail in unknown):
        return "give the variables a value in an env file of the chain (`env_files`)"
    return "name its ports below `expose:` of the service, or give it a network of its own"


def _untold(chain: ChainPorts) -> bool:
    return chain.public is None and any(not one.exposed for one in chain.host_network)


def _published(one: Publication, chain: ChainPorts) -> Detail:
    what = f"{one.service}: {one.address or '*'}:{one.first}:{one.target}/{one.protocol}"
    outcome, kind, message = _assumed(one, chain) if one.assumed else _known(one, chain)
    return Detail(what=what, outcome=outcome, kind=kind, message=message, file=one.file, line=one.line)


def _assumed(one: Publication, chain: ChainPorts) -> tuple[Outcome, str, str]:
    """A port whose address or number is in a variable that nobody gives here."""
    said = f"{', '.join(one.assumed)} has no value here, and decides where {one.service} publishes {one.target}/{one.protocol}"
    return (Outcome.HELD, "", said) if chain.public is None else (Outcome.UNPROVEN, "assumed", said)


def _known(one: Publication, chain: ChainPorts) -> tuple[Outcome, str, str]:
    host_ports = "a port of the engine's choice" if not one.first else f"port {one.first}" if one.first == one.last else f"ports {one.first}-{one.last}"
    said = f"{one.service} publishes {one.target}/{one.protocol} on {one.address or 'all addresses'}, {host_ports}"
    if one.reach is not Reach.OUTSIDE:
        return Outcome.HELD, "", said
    if chain.public is None:
        server = private_server(one)
        return (Outcome.BROKEN, "published-database", f"{said}: {server.name} for everyone") if server else (Outcome.HELD, "", said)
    if not one.ports:
        return Outcome.BROKEN, "any-port", f"{said}: nobody can declare it"
    if all(port in chain.public for port in one.ports):
        return Outcome.HELD, "", f"{said}, as declared"
    return Outcome.BROKEN, "published", f"{said}, and is not declared"


def private_server(one: Publication) -> KnownServer | None:
    """The server whose private port is published: by the image where its name is known, else by a port that is nobody else's."""
    known = recognise(one.image)
    if known is not None:
        return known.server if one.target in known.server.private and one.protocol == "tcp" else None
    return next(by_port(one.target), None) if one.protocol == "tcp" else None


def _on_host_network(chain: ChainPorts) -> Iterator[Detail]:
    for one in chain.host_network:
        yield from _host_network(one, chain)


def _host_network(one: HostNetwork, chain: ChainPorts) -> Iterator[Detail]:
    what = f"{one.service}: the host's network"
    if chain.public is None:
        yield Detail(what=what, outcome=Outcome.HELD, message=f"{one.service} uses the host's network", file=one.file, line=one.line)
        return
    if not one.exposed:
        said = f"{one.service} uses the host's network: no file tells which ports it opens"
        yield Detail(what=what, outcome=Outcome.UNPROVEN, kind="host-network", message=said, file=one.file, line=one.line)
    for port in one.exposed:
        said = f"{one.service} opens {port} on the host's network"
        if port in chain.public:
            yield Detail(what=f"{one.service}: {port}", outcome=Outcome.HELD, message=f"{said}, as declared", file=one.file, line=one.line)
        else:
            yield Detail(
                what=f"{one.service}: {port}", outcome=Outcome.BROKEN, kind="published", message=f"{said}, and is not declared", file=one.file, line=one.line
            )


# ---- a host


def _judge_host(host: HostPorts) -> Held | Broken | Unproven:
    details = tuple(_listening(one, host) for one in host.listeners)
    remedy = "see what it is with `ss -lntup`; bind it to 127.0.0.1 or stop it, or declare it below `exposure.public` with the reason"
    if host.unseen:
        details = (*details, Detail(what="containers", outcome=Outcome.UNPROVEN, kind="could-not-look", message=host.unseen))
    bad = [detail for detail in details if detail.outcome is Outcome.BROKEN]
    if bad:
        return Broken(in_short(bad, SHOWN), remedy=remedy, details=details)
    if host.unseen:
        return Unproven(host.unseen, remedy="let this user talk to the engine, or set `become: sudo -n` for this host", details=details)
    outside = sum(1 for one in host.listeners if _reach(one) is Reach.OUTSIDE)
    if not details:
        return Held(f"nothing listens on {host.host}")
    return Held(f"all that can be reached from outside is declared ({outside} of {len(details)} that listen)", details)


def _reach(one: Listener) -> Reach:
    return reach_of(one.address)


def _listening(one: Listener, host: HostPorts) -> Detail:
    by = f" (container {one.container})" if one.container else ""
    unspecified = one.address in ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to
    said = f"{one.port} listens on {'all addresses' if unspecified else one.address}{' of IPv6' if one.address == '::' else ''}{by}"
    what = f"{one.port} on {one.address}"
    if _reach(one) is not Reach.OUTSIDE:
        return Detail(what=what, outcome=Outcome.HELD, message=f"{said}, which reaches {_reach(one).value}")
    if one.port in host.public:
        return Detail(what=what, outcome=Outcome.HELD, message=f"{said}, as declared")
    return Detail(what=what, outcome=Outcome.BROKEN, kind="listening", message=f"{said}, and is not declared")


# ---- an address


def _judge_refused(address: RefusedSeen) -> Held | Broken | Unproven:
    if address.failure:
        return Unproven(
            f"{address.url} did not answer ({address.failure}): nobody knows whether it would refuse", remedy="start the service, or correct the URL"
        )
    wanted = " or ".join(str(status) for status in address.refusals)
    if address.status in address.refusals:
        return Held(f"{address.url} refuses a request without credentials ({address.status})")
    return Broken(
        f"{address.url} answers {address.status} to a request without credentials, expected {wanted}",
        kind="not-refused",
        remedy="put it behind authentication, or off the public address",
    )


PRIVATE_ONLY = Guardrail(
    id="exposure.private_only",
    title="nothing can be reached from outside but what is declared",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC, *LIVE}),
    rationale="Docker publishes a port on every address of the host and opens the firewall for it: a database that was meant for one service is the world's.",
    remedy="publish it on 127.0.0.1 or not at all; declare what is meant to be public, with the reason",
    subjects=subjects,
    judge=judge_private_only,
)
