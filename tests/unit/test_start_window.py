"""How long what others wait for may take to start."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.facts.stack import Stack
from interlock.facts.start_window import ChainWaits, seconds, waited_for
from interlock.judge.health import judge_start_window
from interlock.verdicts import Outcome

PROBE = {"test": ["CMD", "true"]}


def kinds(service: dict[str, Any], condition: str = "service_healthy") -> list[str]:
    model = {"services": {"base": service, "web": {"image": "web", "depends_on": {"base": {"condition": condition}}}}}
    judged = judge_start_window(ChainWaits(chain="x", waited=tuple(waited_for(Stack.of(model, chain="x", files=("compose.yaml",))))))
    return [detail.kind for detail in judged.details if detail.outcome is Outcome.BROKEN]


def checked(image: str, **check: Any) -> dict[str, Any]:
    return {"image": image, "healthcheck": {**PROBE, **check}, "volumes": [{"type": "volume", "source": "data", "target": "/data"}]}


@pytest.mark.parametrize(
    ("service", "found"),
    [
        (checked("postgres:17", interval="2s", retries=5), ["short-window"]),
        (checked("postgres:17", interval="5s", retries=5), []),
        (checked("postgres:17", interval="1s", retries=5, start_period="1m0s"), []),
        (checked("docker.elastic.co/elasticsearch/elasticsearch:9", interval="5s", retries=4), ["short-window"]),
        (checked("redis:8", interval="1s", retries=3), []),
        (checked("team/app:1"), ["no-start-period"]),
        (checked("team/app:1", start_period="1s"), []),
        (checked("team/app:1", interval="30s", retries=10), []),
        ({"image": "team/app:1", "healthcheck": PROBE}, []),
        ({"image": "team/app:1"}, []),
        ({"image": "postgres:17"}, ["no-check"]),
        ({"image": "bitnami/postgresql:17"}, []),
        ({"image": "team/app:1", "healthcheck": {"disable": True}}, ["no-check"]),
        ({"image": "team/app:1", "healthcheck": {"test": ["NONE"]}}, ["no-check"]),
    ],
)
def test_a_service_that_others_wait_for(service: dict[str, Any], found: list[str]) -> None:
    assert kinds(service) == found


def test_nobody_waits_for_health_that_only_waits_for_a_start() -> None:
    assert not kinds({"image": "postgres:17"}, "service_started")


@pytest.mark.parametrize(
    ("said", "is_so"), [("1m30s", 90.0), ("500ms", 0.5), (3_000_000_000, 3.0), ("1h0m0s", 3600.0), ("", None), ("soon", None), (True, None), ("5", None)]
)
def test_a_duration(said: object, is_so: float | None) -> None:
    assert seconds(said) == is_so


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_none(said: str) -> None:
    found = seconds(said)
    assert found is None or found >= 0
