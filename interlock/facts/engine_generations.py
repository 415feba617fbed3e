"""What does a container engine or a docker compose of one version do that one of another version does not? For stacks that are down: what runs is looked at.

`tests/integration/test_engine_generations.py` proves both sides of each line on real ones.
"""

from __future__ import annotations

import re
from enum import StrEnum

from interlock.facts.engine import Engine, Product
from interlock.nouns import dataclass

VOLUME_HASH = "com.docker.compose.config-hash"  # the label by which compose knows a volume's options again


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What is so from a version on, and how it was before. `source` says where its makers write so."""

    now: str
    before: str
    since: tuple[int, int]
    source: str

    def holds(self, version: str) -> bool | None:
        """Whether it is so with a version (`26.1.5+dfsg1`, `v2.40.3`, `6.1.0-28-amd64`); None for one that cannot be read."""
        found = re.match(r"v?(\d+)(?:\.(\d+))?", version)
        return None if found is None else (int(found[1]), int(found[2] or 0)) >= self.since


ENGINE_MAKES_NESTED_READ_ONLY = Behaviour(
    now="what is mounted below the source of a read-only bind is read-only too, when the client speaks API 1.44 or newer",
    before="what is mounted below the source of a read-only bind can be written to",
    since=(25, 0),
    source="moby/moby#45278; older clients: moby/moby#47391",
)
KERNEL_MAKES_NESTED_READ_ONLY = Behaviour(
    now="mount_setattr(2) can make a whole tree of mounts read-only",
    before="a remount changes one mount, and the engine leaves the others as they are",
    since=(5, 12),
    source="mount_setattr(2); moby/moby#45278",
)
COMPOSE_SPEAKS_OF_NESTED_READ_ONLY = Behaviour(
    now="it speaks API 1.44 or newer to an engine that knows it",
    before="it speaks API 1.43 or older, for which every engine leaves writable what is mounted below the source of a read-only bind",
    since=(2, 24),
    source="docker/compose v2.24.0, go.mod: docker/docker v25",
)
COMPOSE_KNOWS_VOLUMES_AGAIN = Behaviour(
    now=f"it labels the volumes that it makes ({VOLUME_HASH}), and asks before it makes one with other options anew, without its data",
    before="it keeps a volume with the options that it was made with, and says nothing",
    since=(2, 32),
    source="docker/compose#12363, v2.32.0",
)


def nested_read_only(engine: Engine, *, compose: str) -> bool | None:
    """Whether what is mounted below the source of a service's read-only bind would be read-only in its container. None where a version cannot be read.

    Podman leaves it as it is. `compose` is the version of the docker compose that starts the stack.
    """
    if engine.product is Product.PODMAN:
        return False
    parts = (
        ENGINE_MAKES_NESTED_READ_ONLY.holds(engine.version),
        KERNEL_MAKES_NESTED_READ_ONLY.holds(engine.kernel),
        COMPOSE_SPEAKS_OF_NESTED_READ_ONLY.holds(compose),
    )
    return False if False in parts else None if None in parts else True


class ChangedVolume(StrEnum):
    """What `docker compose up` does with a volume whose options are no longer those of the chain."""

    KEPT = "keeps it as it is and says nothing"
    ASKED = "asks whether to make it anew without its data, and keeps it where nobody can answer"
    DELETED = "deletes it with its data and makes it anew"


def changed_volume(*, compose: str, labelled: bool, yes: bool) -> ChangedVolume | None:
    """What `up`, with `--yes` or without, does with such a volume; `labelled` when it has the label `VOLUME_HASH`. None for a version that cannot be read."""
    knows = COMPOSE_KNOWS_VOLUMES_AGAIN.holds(compose)
    if knows is None:
        return None
    if not knows or not labelled:
        return ChangedVolume.KEPT
    return ChangedVolume.DELETED if yes else ChangedVolume.ASKED
