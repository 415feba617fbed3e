"""Which ports of a stack can be reached from outside, and where does it say that it is well?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from interlock.discover.composed import Composition, Described, Published
from interlock.discover.document import MISSING, From, Offer
from interlock.discover.variables import Text
from interlock.patterns import regex

_FOR_EVERYBODY = {
    ("80", "tcp"): "HTTP",
    ("443", "tcp"): "HTTPS",
    ("443", "udp"): "HTTP/3",
    ("25", "tcp"): "SMTP",
    ("465", "tcp"): "SMTP submission",
    ("587", "tcp"): "SMTP submission",
    ("143", "tcp"): "IMAP",
    ("993", "tcp"): "IMAP",
    ("110", "tcp"): "POP3",
    ("995", "tcp"): "POP3",
    ("4190", "tcp"): "ManageSieve",
    ("53", "tcp"): "DNS",
    ("53", "udp"): "DNS",
}
_EVERYWHERE = ("", "0.0.0.0", "::", "*")  # noqa: S104, what compose files say
_URL = regex(r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1?\])(?::(\d+))?(/[\w./?=&%~+-]*)?")
_CURL = regex(r"\b(?:curl|wget|http)\b[^\n]*?(https?://(?:localhost|127\.0\.0\.1):\d+/[\w./-]*(?:health|ready|live|ping|status)[\w./-]*)")


def open_ports(composition: Composition) -> Iterator[tuple[Described, Published]]:
    """Every port that is published on all addresses, each once."""
    seen: set[tuple[str, str]] = set()
    for service in composition.services.values():
        for port in service.ports.values():
            if port.address in _EVERYWHERE and port.port and (port.port, port.protocol) not in seen:
                seen.add((port.port, port.protocol))
                yield service, port


def exposure(composition: Composition) -> dict[str, Any] | None:
    """The section: ports whose number says that they are for everybody are declared, the others are asked for. None when nothing is published."""
    entries: list[Any] = []
    for service, port in open_ports(composition):
        origin = f"{service.name}, {port.at}"
        said = _FOR_EVERYBODY.get((port.port, port.protocol))
        if not port.port.isdigit() or not 1 <= int(port.port) <= 65535:
            continue
        entry: dict[str, Any] = {"port": int(port.port)}
        if port.protocol == "udp":
            entry["protocol"] = "udp"
        if said:
            entries.append(From(entry | {"reason": f"{said} for everybody"}, origin))
        else:
            ask = f"{origin} publishes {port.port} on every address: who may reach it? Declare it with the reason, or bind it to 127.0.0.1"
            entries.append(Offer(entry | {"reason": MISSING}, ask))
    if not entries:
        return {"public": []} if any(service.ports for service in composition.services.values()) else None
    if all(isinstance(entry, Offer) for entry in entries):
        return {"public": Offer([entry.value for entry in entries], "\n".join(entry.ask for entry in entries))}
    return {"public": entries}


def health(composition: Composition, scripts: Iterable[Text]) -> dict[str, Any]:
    """The endpoints: healthchecks that ask a published port, else what scripts ask for."""
    found: dict[str, Any] = {}
    for service in composition.services.values():
        probe, at = service.health
        if (match := _URL.search(probe)) and (port := _published(service, match[1] or ("443" if match[0].startswith("https") else "80"))):
            scheme = match[0].partition(":")[0]
            found[_name(service.name)] = {"url": From(f"{scheme}://127.0.0.1:{port}{match[2] or '/'}", f"its healthcheck, {at}")}
    if not found:
        published = {port.port for service in composition.services.values() for port in service.ports.values()}
        for text in scripts:
            for match in _CURL.finditer(text.content) if "curl" in text.content or "wget" in text.content else ():
                number = match[1].split(":", 2)[2].partition("/")[0]
                if number in published:
                    return {"stack": {"url": From(match[1].rstrip("."), text.at(match.start()))}}
    return found


def _published(service: Described, target: str) -> str:
    """The port of the host that leads to a port of the container."""
    return next((port.port for port in service.ports.values() if port.target == target and port.port.isdigit()), "")


def _name(service: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", service).lstrip("._-")[:63] or "service"
