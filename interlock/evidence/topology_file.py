"""How is what a run's picture shows kept beside its record? `topology.json` (`interlock/topology/1`): disks, mounts, containers and paths, without any verdict.

`facts.json` holds digests of the mount table and of what an engine said, so that the picture could not be drawn from it again.
"""

from __future__ import annotations

from collections.abc import Callable

from interlock.errors import EvidenceError
from interlock.evidence import codec
from interlock.evidence.codec import Misfit
from interlock.evidence.record import redacted_json
from interlock.facts.topology import Topology


def to_json(topology: Topology) -> bytes:
    """Its one JSON text, with a newline at the end."""
    return codec.canonical(codec.plain(topology))


def parse(data: bytes, where: str) -> Topology:
    """The topology of a JSON text. Raises EvidenceError, naming the first place that does not fit."""
    try:
        return codec.read(Topology, codec.parse(data))
    except Misfit as misfit:
        remedy = "compare the file with a copy of it; it is written once and never edited"
        raise EvidenceError("this is no topology of ours", where=where, why=str(misfit), remedy=remedy) from misfit


def redacted(topology: Topology, redact: Callable[[str], str]) -> Topology:
    """The same with every text redacted: names of containers and paths are what others wrote."""
    return codec.read(Topology, redacted_json(codec.plain(topology), redact))
