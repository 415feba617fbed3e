"""A waiver covers exactly one failure, for a while."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from interlock.config.waivers import Waiver
from interlock.gate.waivers import judge_waivers
from interlock.judge import catalogue
from interlock.verdicts import Detail, Outcome, Pair, fingerprint

NOW = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
PAIR = Pair("backups.mode_0600", "app")
DETAIL = Detail(what="/backups/app.tar", outcome=Outcome.BROKEN, kind="mode", message="/backups/app.tar is 0644", value=1)
KEY = fingerprint(PAIR, DETAIL)
WAIVER = Waiver(
    id="w1",
    guardrail=PAIR.guardrail,
    subject=PAIR.subject,
    fingerprint=KEY,
    reason="until the new host is up",
    owner="kim",
    ticket="ops#12",
    approver="sam",
    expires_at=NOW + timedelta(days=30),
    up_to=None,
    line=1,
)


def cover(waiver: Waiver, detail: Detail = DETAIL, pair: Pair = PAIR, now: datetime = NOW) -> str | None:
    covering = judge_waivers([waiver], catalogue(), frozenset(), now).covering(pair)
    return covering(detail, fingerprint(pair, detail)) if covering else None


def problem(waiver: Waiver, now: datetime = NOW) -> str:
    (reason,) = judge_waivers([waiver], catalogue(), frozenset(), now).problems
    assert reason.code == 12
    return reason.text


def test_a_valid_waiver_covers_its_failure() -> None:
    assert cover(WAIVER) == "w1"


@pytest.mark.parametrize("other", [replace(DETAIL, what="/backups/other.tar"), replace(DETAIL, kind="owner")])
def test_another_failure_of_the_same_subject_is_not_covered(other: Detail) -> None:
    assert cover(WAIVER, other) is None


def test_the_same_failure_of_another_subject_is_not_covered() -> None:
    assert cover(WAIVER, pair=Pair(PAIR.guardrail, "db")) is None


def test_a_failure_that_moved_to_another_line_is_still_the_same() -> None:
    assert cover(WAIVER, replace(DETAIL, line=99, message="reworded")) == "w1"


@pytest.mark.parametrize(("up_to", "covered"), [(0, None), (1, "w1"), (2, "w1")])
def test_a_bound_holds(up_to: int, covered: str | None) -> None:
    assert cover(replace(WAIVER, up_to=up_to)) == covered


def test_a_bound_over_something_without_a_value_covers_nothing() -> None:
    assert cover(replace(WAIVER, up_to=5), replace(DETAIL, value=None)) is None


def test_an_expired_waiver_is_a_reason_and_covers_nothing() -> None:
    later = WAIVER.expires_at
    assert "expired at 2026-12-20T23:00:00Z" in problem(WAIVER, later)
    assert cover(WAIVER, now=later) is None


def test_ninety_days_are_the_most() -> None:
    assert cover(replace(WAIVER, expires_at=NOW + timedelta(days=90))) == "w1"
    assert "more than 90 days" in problem(replace(WAIVER, expires_at=NOW + timedelta(days=90, seconds=1)))


def test_a_waiver_for_no_guardrail_is_a_reason() -> None:
    assert "does not exist" in problem(replace(WAIVER, guardrail="backups.mode_600"))


def test_what_protects_the_only_copy_cannot_be_waived() -> None:
    assert "can never be waived" in problem(replace(WAIVER, guardrail="mounts.state_disk"))


def test_a_waiver_for_a_rule_of_the_sites_own_is_allowed() -> None:
    own = replace(WAIVER, guardrail="own.smoke.app_answers")
    assert judge_waivers([own], catalogue(), frozenset({"own.smoke.app_answers"}), NOW).problems == ()


def test_unused_waivers_are_named() -> None:
    waivers = judge_waivers([WAIVER], catalogue(), frozenset(), NOW)
    assert waivers.unused([]) == (WAIVER,)
    assert waivers.unused(["w1"]) == ()
