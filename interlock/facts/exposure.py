"""What can be reached from outside? Published ports of a stack, listening sockets of a host, and what an address answers to a stranger.

`interlock.observe.exposure` brings them. Private addresses are loopback, link-local, and those that no router of the Internet forwards (RFC 1918, RFC 4193,
RFC 6598, which tunnels like Tailscale use).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from enum import StrEnum

from interlock.errors import CouldNotLook
from interlock.nouns import dataclass
from interlock.patterns import regex

REFUSED = "refused:"  # how the names of subjects begin that are addresses; no name of a site file can

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "255.255.255.255/32", "fc00::/7", "fe80::/10")
)


class Reach(StrEnum):
    """From where an address can be reached."""

    LOOPBACK = "this machine alone"
    PRIVATE = "a private network"
    OUTSIDE = "anywhere"


def reach(address: IPAddress) -> Reach:
    """From where a socket on this address can be reached; the unspecified address is every address of the machine."""
    plain = getattr(address, "ipv4_mapped", None) or address
    if plain.is_loopback:
        return Reach.LOOPBACK
    if plain.is_multicast or any(plain in network for network in _PRIVATE if network.version == plain.version):
        return Reach.PRIVATE
    return Reach.OUTSIDE


def reach_of(text: str) -> Reach:
    """From where an address that somebody wrote can be reached; what is none, or nothing, is taken for every address of the machine."""
    try:
        return reach(ipaddress.ip_address(text.strip("[]").partition("%")[0]))
    except ValueError:
        return Reach.OUTSIDE


@dataclass(frozen=True, slots=True, order=True)
class Port:
    """A port as operators write it, `443/tcp`."""

    number: int
    protocol: str

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol}"


# ---- a stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A port that a service publishes. `address` is empty for all addresses of the host; `first` and `last` are the host's ports, both 0 when the engine
    chooses. `file` and `line` say where. `assumed` are variables that have no value here and may say which address or port it is."""

    service: str
    image: str
    address: str
    first: int
    last: int
    target: int
    protocol: str
    file: str
    line: int | None
    assumed: tuple[str, ...] = ()

    @property
    def ports(self) -> tuple[Port, ...]:
        """The ports of the host; none when the engine chooses."""
        return tuple(Port(number, self.protocol) for number in range(self.first, self.last + 1)) if self.first else ()

    @property
    def reach(self) -> Reach:
        """From where it can be reached."""
        return reach_of(self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostNetwork:
    """A service that uses the host's own network: what it listens on is open. `exposed` are the ports that it names itself; none when it names none."""

    service: str
    image: str
    exposed: tuple[Port, ...]
    file: str
    line: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainPorts:
    """What a chain opens. `public` are the declared ports, None where the site says nothing of exposure."""

    chain: str
    public: frozenset[Port] | None
    publications: tuple[Publication, ...]
    host_network: tuple[HostNetwork, ...]


_RANGE = regex(r"(\d+)(?:-(\d+))?")


def port_range(text: str) -> tuple[int, int]:
    """The first and last port of `8000` or `8000-8010`; (0, 0) for nothing, which is a port of the engine's choice."""
    found = _RANGE.fullmatch(text)
    if found is None:
        return 0, 0
    first = int(found[1])
    return first, int(found[2] or first)


# ---- a host


@dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """A line of /proc/net/tcp, tcp6, udp or udp6 (proc_pid_net(5)). `state` is the kernel's number: 10 listens, 7 is an unconnected UDP socket."""

    address: IPAddress
    port: int
    remote: IPAddress
    remote_port: int
    state: int


LISTEN, UNCONNECTED = 10, 7
_HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
_LINE = regex(rb"\s*\d+: ([0-9A-Fa-f]+):([0-9A-Fa-f]{4}) ([0-9A-Fa-f]+):([0-9A-Fa-f]{4}) ([0-9A-Fa-f]{2})(?: .*)?")


def parse_sockets(text: bytes, *, byte_order: str, where: str) -> tuple[Socket, ...]:
    """The sockets of one of the kernel's tables. `byte_order` of the host, `little` or `big`: addresses are printed as its words lie in memory.

    Raises `CouldNotLook` for anything else, an empty text too: every table has its header.
    """
    header, *lines = text.split(b"\n")
    if b"local_address" not in header:
        raise CouldNotLook(f"{where} is no table of sockets", where=where, why=f"it begins with {header[:60]!r}", remedy="look at it on the host")
    return tuple(_socket(line, byte_order, where) for line in lines if line.strip())


def _socket(line: bytes, byte_order: str, where: str) -> Socket:
    found = _LINE.fullmatch(line)
    if found is None or len(found[1]) not in (8, 32) or len(found[3]) != len(found[1]):
        raise CouldNotLook(f"{line[:80]!r} is no line of a table of sockets", where=where, remedy="look at it on the host")
    return Socket(
        address=_address(found[1], byte_order),
        port=int(found[2], 16),
        remote=_address(found[3], byte_order),
        remote_port=int(found[4], 16),
        state=int(found[5], 16),
    )


def _address(digits: bytes, byte_order: str) -> IPAddress:
    """Four bytes a word, each word as it lies in memory."""
    raw = bytes.fromhex(digits.decode("ascii"))
    words = [raw[at : at + 4] for at in range(0, len(raw), 4)]
    plain = b"".join(word[::-1] if byte_order == "little" else word for word in words)
    return ipaddress.IPv4Address(plain) if len(plain) == 4 else ipaddress.IPv6Address(plain)


def render_sockets(sockets: tuple[Socket, ...], *, byte_order: str) -> bytes:
    """The table again, as the kernel prints it."""
    lines = [_HEADER]
    for number, socket in enumerate(sockets):
        local, remote = _digits(socket.address, byte_order), _digits(socket.remote, byte_order)
        rest = "00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0"
        lines.append(f"{number:4d}: {local}:{socket.port:04X} {remote}:{socket.remote_port:04X} {socket.state:02X} {rest}")
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def _digits(address: IPAddress, byte_order: str) -> str:
    raw = address.packed
    words = [raw[at : at + 4] for at in range(0, len(raw), 4)]
    return b"".join(word[::-1] if byte_order == "little" else word for word in words).hex().upper()


@dataclass(frozen=True, slots=True, order=True)
class Listener:
    """Something that can be talked to on a host: `container` is the container whose port is published there, empty when that is not known."""

    port: Port
    address: str
    container: str = ""


CLIENTS = frozenset({Port(68, "udp"), Port(546, "udp")})  # DHCP: answers come to the client's fixed port


def listeners(sockets: tuple[Socket, ...], protocol: str, *, ephemeral: range) -> tuple[Listener, ...]:
    """Those that wait for strangers: TCP sockets that listen, and unconnected UDP sockets outside of the `ephemeral` ports and those of DHCP clients.

    A UDP socket on an ephemeral port is most likely a client that waits for its answer; the table cannot tell.
    """
    waiting = LISTEN if protocol == "tcp" else UNCONNECTED
    found = {
        Listener(Port(socket.port, protocol), str(socket.address))
        for socket in sockets
        if socket.state == waiting and not (protocol == "udp" and (socket.port in ephemeral or Port(socket.port, protocol) in CLIENTS or socket.remote_port))
    }
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPorts:
    """All that can be talked to on a host, beside what is declared. `unseen` says why published ports of containers could not be looked at, else empty."""

    host: str
    public: frozenset[Port]
    listeners: tuple[Listener, ...]
    unseen: str = ""


def with_published(found: tuple[Listener, ...], published: tuple[Listener, ...]) -> tuple[Listener, ...]:
    """The sockets, each with its container where one publishes that port, and the published ports that have no socket (the engine may forward without)."""
    containers: Mapping[tuple[Port, str], str] = {(one.port, one.address): one.container for one in published}
    named = tuple(Listener(one.port, one.address, containers.get((one.port, one.address), "")) for one in found)
    seen = {(one.port, one.address) for one in found}
    return tuple(sorted((*named, *(one for one in published if (one.port, one.address) not in seen))))


# ---- an address


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedSeen:
    """What an address answered to a request without credentials. `failure` is set, and status 0, when it did not answer; `refusals` are the statuses that
    refuse."""

    name: str
    url: str
    status: int
    failure: str
    refusals: tuple[int, ...]
