"""What a real container engine keeps, beside what the site declares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interlock.testing import run_check
from interlock.testing.faults import write_site
from interlock.verdicts import Outcome, Verdict
from tests.docker_engine import IMAGE, DockerEngine, docker_engine

DISKS = {"mount": "/", "reason": "the disks of whatever machine this runs on"}


@pytest.fixture(scope="module")
def engine(component: Callable[[str], None]) -> Iterator[DockerEngine]:
    component("docker")
    with docker_engine() as running:
        yield running


@pytest.fixture
def shop(engine: DockerEngine, tmp_path: Path) -> Iterator[Callable[..., Verdict]]:
    """A container that writes to a named volume and keeps an anonymous one; judged with what the site says of it."""
    engine("run", "--detach", "--network", "none", "--name", "il-shop", "--volume", "il-uploads:/uploads", "--volume", "/scratch", IMAGE)

    def judge(**site: Any) -> Verdict:
        excluded = [DISKS, *site.pop("excluded", ())]
        write_site(tmp_path, {"hosts": {"local": {"engine": str(engine.socket)}}, "excluded": excluded, **site})
        return next(one for one in run_check(tmp_path, "preflight").verdicts("site.undeclared") if one.subject == "host")

    yield judge
    engine("rm", "--force", "--volumes", "il-shop")
    engine("volume", "rm", "--force", "il-uploads")


def test_a_named_volume_that_nobody_declared_is_broken_and_an_anonymous_one_is_not(shop: Callable[..., Verdict]) -> None:
    found = shop()
    assert found.outcome is Outcome.BROKEN
    assert [place.message for place in found.where] == ["volume il-uploads, used by il-shop: neither declared nor excluded"]


@pytest.mark.parametrize("exclusion", [{"volume": "il-*"}, {"container": "il-shop"}], ids=str)
def test_what_is_excluded_holds(shop: Callable[..., Verdict], exclusion: dict[str, str]) -> None:
    assert shop(excluded=[{**exclusion, "reason": "can be rebuilt"}]).outcome is Outcome.HELD


def test_what_a_module_declares_holds(shop: Callable[..., Verdict]) -> None:
    module = {"paths": ["/var/lib/shop"], "volumes": ["il-uploads"], "backups": "/srv/backups", "owner": "root"}
    assert shop(modules={"shop": module}).outcome is Outcome.HELD


def test_an_engine_that_does_not_answer_is_unproven(tmp_path: Path) -> None:
    write_site(tmp_path, {"hosts": {"local": {"engine": str(tmp_path / "no.sock")}}, "excluded": [DISKS]})
    ran = run_check(tmp_path, "preflight")
    assert {one.subject: one.outcome for one in ran.verdicts("site.undeclared")} == {"host": Outcome.UNPROVEN}
