"""Allure: a result for every pair, in the shape that Allure's own model has, with the details beside it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.evidence import allure
from interlock.evidence.details import DetailLine, HeldLines, Lines
from interlock.evidence.folder import LoadedRun
from interlock.verdicts import Broken, Counts, Detail, Held, HeldRun, Outcome, Streamed
from tests.evidence_samples import OPEN, SAMPLES, SHUT, UNPROVEN, WAIVED, Judged, Sample, publish

ANY_TEXT = st.text(st.characters(exclude_categories=()))


def files(run: LoadedRun) -> dict[str, str]:
    found = {name: "".join(chunks) for name, chunks in allure.render(run.record, run.details)}
    assert all("/" not in name for name in found)
    return found


def results(run: LoadedRun) -> dict[str, dict[str, Any]]:
    found = {}
    written = files(run)
    for name, text in written.items():
        if name.endswith("-result.json"):
            result = json.loads(text)
            check_shape(result)
            assert name == f"{result['uuid']}-result.json"
            for attachment in result.get("attachments", ()):
                assert attachment["source"] in written
            found[result["fullName"]] = result
    return found


def fields(model: type) -> set[str]:
    return {field.name for field in model.__attrs_attrs__}  # type: ignore[attr-defined]


def check_shape(result: dict[str, Any]) -> None:
    """Nothing that Allure's model does not know."""
    from allure_commons import model2

    assert set(result) <= fields(model2.TestResult)
    assert result["status"] in {"passed", "failed", "broken", "skipped"}
    assert set(result["statusDetails"]) <= fields(model2.StatusDetails)
    assert isinstance(result["start"], int)
    assert result["stop"] >= result["start"]
    for name, model in (("labels", model2.Label), ("parameters", model2.Parameter), ("attachments", model2.Attachment)):
        assert all(set(part) <= fields(model) for part in result.get(name, ()))
    for step in [step for outer in result.get("steps", ()) for step in (outer, *outer["steps"])]:
        assert set(step) <= fields(model2.TestStepResult)
        assert step["status"] in {"passed", "failed", "broken", "skipped"}


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_there_is_a_result_for_every_pair(tmp_path: Path, name: str) -> None:
    run = publish(tmp_path, SAMPLES[name])
    assert len(results(run)) == len(run.record.verdicts) + len(run.record.without_verdict)


def test_each_outcome_has_a_status(tmp_path: Path) -> None:
    shut, unproven, waived = (results(publish(tmp_path / name, SAMPLES[name])) for name in ("shut", "unproven", "waived"))
    assert shut["backups.mode_0600[app]"]["status"] == "failed"
    assert shut["mounts.state_disk[state]"]["status"] == "passed"
    assert unproven["mounts.state_disk[state]"]["status"] == "broken"
    assert unproven["backups.mode_0600[app]"]["status"] == "broken"
    assert unproven["compose.strict_parse[none-declared]"]["status"] == "skipped"
    assert waived["backups.mode_0600[app]"]["status"] == "skipped"


def test_labels_severity_details_and_steps_say_what_the_verdict_says(tmp_path: Path) -> None:
    result = results(publish(tmp_path, SHUT))["backups.mode_0600[app]"]
    labels = {label["name"]: label["value"] for label in result["labels"]}
    assert (labels["severity"], labels["feature"], labels["story"], labels["parentSuite"]) == (
        "blocker",
        "backups",
        "backups.mode_0600",
        "preflight for release",
    )
    assert result["statusDetails"]["message"] == "1 of 4 below /srv/backups/app can be read by others"
    assert [(step["name"], step["status"]) for step in result["steps"]] == [("3 held", "passed"), ("1 broken", "failed")]
    assert [step["name"] for step in result["steps"][1]["steps"]] == ["/srv/backups/app/app-20261120.tar.zst is 0644"]


def test_a_retried_pass_is_flaky(tmp_path: Path) -> None:
    assert results(publish(tmp_path, SHUT))["expect.http[health]"]["statusDetails"]["flaky"] is True


def test_the_same_pair_has_the_same_history_in_two_runs(tmp_path: Path) -> None:
    first, second = results(publish(tmp_path / "1", OPEN)), results(publish(tmp_path / "2", WAIVED))
    for name in first:
        assert first[name]["historyId"] == second[name]["historyId"]
        assert first[name]["uuid"] != second[name]["uuid"]


def test_the_same_record_gives_the_same_bytes(tmp_path: Path) -> None:
    run = publish(tmp_path, UNPROVEN)
    assert files(run) == files(run)


def test_the_attachment_holds_all_that_does_not_hold_and_the_first_thousand_that_do(tmp_path: Path) -> None:
    held = HeldRun(prefix="/srv/", names=[f"f{number}" for number in range(3000)], message="0600")
    broken = tuple(Detail(what=f"b{number}", outcome=Outcome.BROKEN, kind="mode", message="0644") for number in range(1500))
    judged = Judged(guardrail="g.x", subject="s", judgement=Streamed(details=[held, *broken], says=lambda _: "m"))
    run = publish(tmp_path, Sample(judged=[judged]))
    (attachment,) = (text for name, text in files(run).items() if name.endswith("-attachment.jsonl"))
    lines = [json.loads(line) for line in attachment.splitlines()]
    assert sum(line.get("outcome") == "held" for line in lines) == 1000
    assert sum(line.get("outcome") == "broken" for line in lines) == 1500
    assert lines[-1] == {"more_held": 2000, "see": "details.jsonl"}


def test_held_details_with_words_of_their_own_are_counted_alike(tmp_path: Path) -> None:
    run = publish(tmp_path, Sample(judged=[Judged(guardrail="g.x", subject="s", judgement=Held("fine"))]))
    many = dataclasses.replace(run.record.verdicts[0], details=Counts(held=1200, sha256="sha256:" + "0" * 64))
    record = dataclasses.replace(run.record, verdicts=(many,))

    def details() -> Lines:
        yield HeldLines("g.x", "s", "m", ["a"] * 999)
        for number in range(201):
            line: DetailLine = {"guardrail": "g.x", "subject": "s", "outcome": "held", "what": f"{number}é", "message": f"{number} bytes"}
            yield line

    (attachment,) = ("".join(text) for name, text in allure.render(record, details) if name.endswith("-attachment.jsonl"))
    assert len(attachment.splitlines()) == 1001
    assert json.loads(attachment.splitlines()[-1])["more_held"] == 200


def test_the_environment_and_the_categories_are_told(tmp_path: Path) -> None:
    written = files(publish(tmp_path, SHUT))
    assert "decision=shut\n" in written["environment.properties"]
    assert {status for category in json.loads(written["categories.json"]) for status in category["matchedStatuses"]} == {"failed", "broken", "skipped"}


def test_a_caller_may_pass_over_a_file(tmp_path: Path) -> None:
    run = publish(tmp_path, SHUT)
    assert [name for name, _ in allure.render(run.record, run.details)] == list(files(run))


@given(text=ANY_TEXT)
def test_any_text_gives_results_of_the_right_shape(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    detail = Detail(what=text, outcome=Outcome.BROKEN, kind=text, message=text, file=text, line=1)
    judged = Judged(guardrail="g.x", subject=text, judgement=Broken(text, remedy=text, details=(detail,)))
    run = publish(tmp_path_factory.mktemp("run"), Sample(judged=[judged], site=text, action=text))
    assert len(results(run)) == 1
    assert "\n" not in files(run)["environment.properties"].partition("site=")[2].partition("\nrun=")[0]
