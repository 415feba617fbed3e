"""An application that keeps its choice of a backend in a file, and a stack that does not follow it. Provable without an engine: an instance says its chain."""

from __future__ import annotations

from pathlib import Path

from interlock.testing.faults import Fault, write_site
from interlock.verdicts import When

BASE = "services:\n  app:\n    image: registry.example.org/shop:stable\n"
OVERLAY = "services:\n  db:\n    image: registry.example.org/database:stable\n"
CHOICE = "database:\n  backend: postgres\n  password: not-really\n"


def _healthy(folder: Path) -> None:
    """The kept choice needs the chain with the overlay, and the instance has it."""
    (folder / "compose.yaml").write_text(BASE)
    (folder / "compose.postgres.yaml").write_text(OVERLAY)
    (folder / "instance.yaml").write_text(CHOICE)
    (folder / ".env").write_text("COMPOSE_FILE=compose.yaml:compose.postgres.yaml\n")
    chains = {"small": {"files": ["compose.yaml"]}, "postgres": {"files": ["compose.yaml", "compose.postgres.yaml"]}}
    follows = {"file": f"{folder}/instance.yaml", "key": "database.backend", "chains": {"duckdb": "small", "postgres": "postgres"}, "default": "small"}
    write_site(
        folder,
        {
            "compose": {"files": ["compose.yaml", "compose.postgres.yaml"], "chains": chains, "follows": follows},
            "instances": {"main": {"directory": str(folder), "chain": "postgres"}},
            "excluded": [{"container": "*", "reason": "this proves another guardrail"}],
        },
    )


def _old_list(folder: Path) -> None:
    (folder / ".env").write_text("COMPOSE_FILE=compose.yaml\n")


def _new_value(folder: Path) -> None:
    (folder / "instance.yaml").write_text(CHOICE.replace("postgres", "mysql"))


def _no_file(folder: Path) -> None:
    (folder / "instance.yaml").unlink()
    (folder / "instance.yaml").mkdir()


FAULTS = tuple(
    Fault(
        guardrail="compose.chain_matches_persisted_state",
        describe=describe,
        kind=kind,
        gate=When.PREFLIGHT,
        healthy=_healthy,
        seed=seed,
        blind=_no_file,
    )
    for kind, describe, seed in (
        ("other-chain", "the application moved to another backend, and the env file still names the old list", _old_list),
        ("unknown-value", "the application keeps a choice that the site knows no chain for", _new_value),
    )
)
