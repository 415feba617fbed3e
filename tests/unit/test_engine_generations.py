"""Which generation a version is of: at each border, and where nothing can be told. `tests/integration/test_engine_generations.py` has the real ones."""

from __future__ import annotations

import pytest

from interlock.facts.engine import Engine, Product
from interlock.facts.engine_generations import COMPOSE_KNOWS_VOLUMES_AGAIN, ChangedVolume, changed_volume, nested_read_only


@pytest.mark.parametrize(
    ("engine", "kernel", "compose", "read_only"),
    [
        ("25.0.0", "5.12.0", "2.24.0", True),
        ("26.1.5+dfsg1", "6.1.0-28-amd64", "v2.40.3", True),
        ("24.0.9", "6.1.0", "2.40.3", False),
        ("20.10.24+dfsg1", "6.1.0", "2.40.3", False),
        ("28.0", "5.10.0-33-amd64", "2.40.3", False),
        ("28.0", "6.1", "2.23.3", False),
        ("28.0", "6.1", "1.29.2", False),
        ("28.0", "6.1", "", None),
        ("dev", "6.1", "2.40.3", None),
        ("28.0", "", "2.40.3", None),
        ("dev", "", "2.23.3", False),  # one old part is enough
    ],
)
def test_nested_mounts_are_read_only_when_engine_kernel_and_compose_all_know_how(engine: str, kernel: str, compose: str, read_only: bool | None) -> None:
    assert nested_read_only(Engine(version=engine, kernel=kernel, containers=(), volumes=()), compose=compose) is read_only


def test_podman_leaves_nested_mounts_as_they_are_whatever_its_number() -> None:
    podman = Engine(version="25.0", kernel="6.1", containers=(), volumes=(), product=Product.PODMAN)
    assert nested_read_only(podman, compose="2.40.3") is False


@pytest.mark.parametrize(
    ("compose", "labelled", "yes", "does"),
    [
        ("2.31.9", False, True, ChangedVolume.KEPT),
        ("2.31.9", True, True, ChangedVolume.KEPT),
        ("2.32.0", True, False, ChangedVolume.ASKED),
        ("2.32.0", True, True, ChangedVolume.DELETED),
        ("5.1.3", True, True, ChangedVolume.DELETED),
        ("2.40.3", False, True, ChangedVolume.KEPT),
        ("dev", True, True, None),
    ],
)
def test_a_volume_is_deleted_only_by_a_compose_that_knows_it_again_and_was_told_to(compose: str, labelled: bool, yes: bool, does: ChangedVolume | None) -> None:
    assert changed_volume(compose=compose, labelled=labelled, yes=yes) is does


def test_versions_are_compared_as_numbers() -> None:
    assert COMPOSE_KNOWS_VOLUMES_AGAIN.holds("2.4") is False
    assert COMPOSE_KNOWS_VOLUMES_AGAIN.holds("10") is True
