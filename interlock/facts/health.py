"""What do health checks look at, and what did an endpoint answer? Probes of a stack's container checks, read from their commands, and answers of endpoints.

`interlock.observe.health` brings both. A probe is what is certain from the text alone: a URL or an address that stands there in full.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

from interlock.facts.expect import HttpSeen
from interlock.facts.placeholders import VALUES, Asked
from interlock.facts.shell import Command, parse
from interlock.facts.stack import Service, Stack
from interlock.nouns import dataclass
from interlock.patterns import regex

_URL = regex(r"https?://[^\s'\"`)\\<>|;]+")
_BARE = regex(r"(?:\[[0-9A-Fa-f:]+\]|[A-Za-z0-9_.-]+)(?::\d{1,5})?(?:/[^\s]*)?")
_PARTS = regex(
    r"(?P<scheme>https?)://(?:[^/@?#]*@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^/:?#\[\]@\s]+)(?::(?P<port>\d{1,5}))?(?P<path>/[^?#]*)?(?:[?#].*)?", re.DOTALL
)
_SHELL = frozenset({"sh", "bash", "ash", "dash"})
_INTERPRETER = regex(r"python[\d.]*|node|nodejs|ruby|perl|php\d*")
_HTTP_CLIENT = frozenset({"curl", "wget"})
# Options whose value is the next word, so that it is not taken for an address.
_VALUED_SHORT = {"curl": "AbcCdDeEFHKmoPQrTuUwxXyYz", "wget": "aABDeiloOPQRtTUwY", "nc": "iIMmOPpqsTVwWXx"}
_VALUED_LONG = frozenset(
    {
        *("--connect-timeout", "--data", "--header", "--max-time", "--output", "--referer", "--request", "--resolve", "--retry", "--retry-delay"),
        *("--retry-max-time", "--user", "--user-agent", "--write-out", "--cacert", "--cert", "--key", "--form", "--connect-to", "--interface"),
        *("--output-document", "--timeout", "--tries", "--password"),
    }
)
_ELSEWHERE = ("--unix-socket", "--abstract-unix-socket", "--proxy", "-x")


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One address that a check talks to. `http`: it expects an answer in HTTP; else that something listens is enough. `host` as written, `port` never 0."""

    program: str
    http: bool
    host: str
    port: int
    path: str = ""


def probes(test: Sequence[str]) -> tuple[Probe, ...]:
    """The probes of a container's health check, `test` as compose writes it: CMD and an argv, or CMD-SHELL and a script."""
    match list(test):
        case ["CMD-SHELL", *script]:
            return tuple(_of_script(" ".join(script)))
        case ["CMD", *argv]:
            return tuple(_of_argv(argv))
        case _:
            return ()


def _of_script(script: str) -> Iterator[Probe]:
    for command in parse(script.replace("$$", "$")).commands():
        yield from _of_argv(_literal(command))


def _literal(command: Command) -> list[str]:
    """The words of a command; what the shell expands is empty, so that it is no address."""
    return [word.literal or "" for word in command.words]


def _of_argv(argv: Sequence[str]) -> Iterator[Probe]:
    if not argv:
        return
    program, rest = posixpath.basename(argv[0]), list(argv[1:])
    if program in _SHELL and "-c" in rest[:-1]:
        yield from _of_script(rest[rest.index("-c") + 1])
    elif program in _HTTP_CLIENT and not any(word.startswith(_ELSEWHERE) for word in rest):
        for word in _addresses(program, rest):
            if found := _http(program, word):
                yield found
    elif _INTERPRETER.fullmatch(program):
        for url in _URL.findall(" ".join(rest)):
            if found := _http(program, url):
                yield found
    elif program in ("nc", "ncat", "netcat"):
        yield from _netcat(rest)


def _addresses(program: str, words: Sequence[str]) -> Iterator[str]:
    """The words that are no options and no values of any."""
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word.startswith("-"):
            skip = word in _VALUED_LONG if word.startswith("--") else word[-1] in _VALUED_SHORT[program]
        else:
            yield word


def _http(program: str, word: str) -> Probe | None:
    """A URL, with or without its scheme; None for what is none, or is not written to its end."""
    if not word.startswith(("http://", "https://")):
        if "://" in word or not _BARE.fullmatch(word):
            return None
        word = f"http://{word}"
    if "$" in word or "{" in word:
        return None
    found = _PARTS.fullmatch(word)
    port = int(found["port"] or (443 if found["scheme"] == "https" else 80)) if found else 0
    if found is None or not 0 < port < 65536:
        return None
    return Probe(program=program, http=True, host=found["host"].strip("[]").lower(), port=port, path=found["path"] or "/")


def _netcat(words: Sequence[str]) -> Iterator[Probe]:
    """`nc [options] host port`; one that speaks UDP, or to a socket file, is none."""
    options = "".join(word for word in words if word.startswith("-") and not word.startswith("--"))
    where = list(_addresses("nc", words))
    if "u" not in options and "U" not in options and len(where) == 2 and where[0] and where[1].isdecimal() and 0 < int(where[1]) < 65536:
        yield Probe(program="nc", http=False, host=where[0], port=int(where[1]))


# ---- a stack

_PLACEHOLDERS = (VALUES[Asked.PORT], VALUES[Asked.NUMBER])  # what stands for a variable without a value says nothing of a port


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedPort:
    """A probe of a service's health check beside the service that it talks to. `mentioned`: that service says the port somewhere (ports, environment,
    command), so it may well listen there; `http_mentioned`: beside the word HTTP. `own_program`: it runs what its image is for. `plain`: just as it comes,
    with nothing that could configure another port."""

    service: str
    probe: Probe
    target: str
    image: str
    mentioned: bool
    http_mentioned: bool
    own_program: bool
    plain: bool
    file: str = ""
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainProbes:
    """What the health checks of a chain talk to; one group for each service whose check could be read."""

    chain: str
    checks: tuple[tuple[CheckedPort, ...], ...]


def checked_ports(stack: Stack, service: Service) -> Iterator[CheckedPort]:
    """The probes of one service's health check that talk to a service of the same stack."""
    if service.healthcheck.get("disable"):
        return
    for probe in probes(service.healthcheck.get("test") or ()):
        target = _target(stack, service, probe.host)
        if target is None or (stack.assumed and str(probe.port) in _PLACEHOLDERS):
            continue
        yield CheckedPort(
            service=service.name,
            probe=probe,
            target=target.name,
            image=target.image,
            mentioned=_mentions(target, probe.port),
            http_mentioned=_mentions(target, probe.port, beside="http"),
            own_program=not target.entrypoint,
            plain=_is_plain(target),
        )


def _target(stack: Stack, service: Service, host: str) -> Service | None:
    """The service that a name inside a container stands for; None for what is not one of the stack's."""
    if is_loopback(host):
        return None if service.network_mode.startswith(("host", "service:", "container:")) else service
    return stack.services.get(host) or next((one for one in stack.services.values() if host and host == one.container_name), None)


def is_loopback(host: str) -> bool:
    """Whether a name or address means the machine itself; the unspecified address does where a client connects to it."""
    if host.lower() in ("localhost", "ip6-localhost", "localhost.localdomain"):
        return True
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _mentions(service: Service, port: int, *, beside: str = "") -> bool:
    """Whether a service says a port, in a text with `beside` in it."""
    number = re.compile(rf"(?<!\d){port}(?!\d)")
    texts = [*service.command, *service.entrypoint, *(f"{name}={value}" for name, value in service.environment.items())]
    if not beside:
        texts += [*service.expose, *(str(one.target) for one in service.ports)]
    return any(number.search(text) and beside in text.lower() for text in texts)


def _is_plain(service: Service) -> bool:
    """Nothing of our own in it: no build, no entry point, no file of the host or volume over its configuration."""
    configured = any(mount.kind == "bind" or mount.target.startswith(("/etc", "/usr", "/opt", "/conf")) for mount in service.mounts)
    return not (service.built or service.entrypoint or configured)


# ---- an endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSeen:
    """What an endpoint answered, and the second address whose answer has gone through the database (None when none is declared). `tries` counts the looks
    until now, of at most `attempts`."""

    name: str
    endpoint: HttpSeen
    reads: HttpSeen | None
    tries: int
    attempts: int
