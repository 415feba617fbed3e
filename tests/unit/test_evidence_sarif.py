"""SARIF: findings in files of the tree, with keys that stay and suppressions that say why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.evidence import sarif
from interlock.evidence.folder import LoadedRun
from interlock.evidence.record import WaivedBy
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Pair, Severity, Unproven, When, fingerprint
from tests.evidence_samples import DRIFT, OPEN, SAMPLES, SHUT, Judged, Sample, publish, waiver

ANY_TEXT = st.text(st.characters(exclude_categories=()), min_size=1)


SCHEMA = json.loads((Path(__file__).parents[1] / "schemas" / "sarif-schema-2.1.0.json").read_text())
VALIDATOR = jsonschema.Draft4Validator(SCHEMA)


def log(run: LoadedRun, *catalogue: Guardrail) -> dict[str, Any]:
    found: dict[str, Any] = json.loads("".join(sarif.render(run.record, run.details, catalogue)))
    VALIDATOR.validate(found)
    check_shape(found)
    return found


def check_shape(found: dict[str, Any]) -> None:
    """What readers of SARIF ask for beyond its schema."""
    assert found["version"] == "2.1.0"
    (run,) = found["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == sorted({rule["id"] for rule in rules})
    for rule in rules:
        assert rule["shortDescription"]["text"]
        assert rule["help"]["text"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
        assert result["message"]["text"]
        (place,) = result["locations"]
        uri = place["physicalLocation"]["artifactLocation"]["uri"]
        assert uri.isascii()
        assert not uri.startswith("/")
        assert not set(uri) & set(' \\<>"{}|^`#?')
        assert place["physicalLocation"].get("region", {"startLine": 1})["startLine"] > 0
        assert len(result["partialFingerprints"]["interlock/v1"]) == 16


def results(run: LoadedRun) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = log(run)["runs"][0]["results"]
    return found


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_every_sample_keeps_to_the_shape(tmp_path: Path, name: str) -> None:
    log(publish(tmp_path, SAMPLES[name]))


def test_a_finding_in_a_file_of_the_tree_has_its_place_and_its_key(tmp_path: Path) -> None:
    (result,) = results(publish(tmp_path, SHUT))
    assert result["ruleId"] == "templates.byte_equivalent"
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "deploy/proxy.conf", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 7},
    }
    assert result["partialFingerprints"] == {"interlock/v1": fingerprint(Pair("templates.byte_equivalent", "proxy@north"), DRIFT)}
    assert result["message"]["text"].startswith("line 7 differs: listen 8080, not 80. Remedy: ")


@pytest.mark.parametrize("file", ["", "/etc/passwd", "../outside", "a/../../b"])
def test_what_is_no_file_of_the_tree_is_counted_and_left_out(tmp_path: Path, file: str) -> None:
    detail = Detail(what="x", outcome=Outcome.BROKEN, message="m", file=file)
    found = log(publish(tmp_path, Sample(judged=[Judged(guardrail="g.x", subject="s", judgement=Broken("m", details=(detail,)))])))["runs"][0]
    assert found["results"] == []
    assert "1 finding in no file of this tree" in found["invocations"][0]["toolExecutionNotifications"][1]["message"]["text"]


def test_a_waived_finding_is_suppressed_with_its_reason(tmp_path: Path) -> None:
    pair = Pair("templates.byte_equivalent", "p")
    judged = Judged(guardrail=pair.guardrail, subject=pair.subject, judgement=Broken("m", details=(DRIFT,)))
    (result,) = results(publish(tmp_path, Sample(judged=[judged], waivers=[waiver(pair, DRIFT)])))
    (suppression,) = result["suppressions"]
    assert suppression["kind"] == "external"
    assert suppression["status"] == "accepted"
    assert "moves to the new volume on Tuesday (owner anna, approved by ben, OPS-12)" in suppression["justification"]


def test_what_could_not_be_looked_at_is_no_quieter_than_what_was(tmp_path: Path) -> None:
    unread = Detail(what="x", outcome=Outcome.UNPROVEN, message="permission denied", file="compose.yml")
    (result,) = results(publish(tmp_path, Sample(judged=[Judged(guardrail="g.x", subject="s", judgement=Unproven("m", details=(unread,)))])))
    assert (result["level"], result["message"]["text"]) == ("error", "unproven: permission denied")


@pytest.mark.parametrize(("severity", "level"), [(Severity.CRITICAL, "error"), (Severity.HIGH, "error"), (Severity.MEDIUM, "warning"), (Severity.LOW, "note")])
def test_a_severity_has_a_level(tmp_path: Path, severity: Severity, level: str) -> None:
    (result,) = results(publish(tmp_path, Sample(judged=[Judged(guardrail="g.x", subject="s", judgement=Broken("m", details=(DRIFT,)), severity=severity)])))
    assert result["level"] == level


def test_rules_are_described_by_the_catalogue(tmp_path: Path) -> None:
    known = Guardrail(
        id="mounts.state_disk",
        title="the disk is there",
        severity=Severity.HIGH,
        when=frozenset({When.PREFLIGHT}),
        rationale="Data goes elsewhere.",
        remedy="mount it",
        subjects=lambda _: (),
        judge=lambda _: Held(""),
    )
    rules = {rule["id"]: rule for rule in log(publish(tmp_path, OPEN), known)["runs"][0]["tool"]["driver"]["rules"]}
    assert rules["mounts.state_disk"]["shortDescription"]["text"] == "the disk is there"
    rule = rules["mounts.state_disk"]
    assert rule["help"]["text"] == "Data goes elsewhere. Remedy: mount it"
    assert "**Why**: Data goes elsewhere." in rule["help"]["markdown"]
    assert (rule["name"], rule["fullDescription"]["text"], rule["defaultConfiguration"]["level"]) == ("MountsStateDisk", "Data goes elsewhere.", "error")


def test_a_rule_leads_to_its_page_where_the_documentation_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = publish(tmp_path, SHUT)
    assert all("helpUri" not in rule for rule in log(run)["runs"][0]["tool"]["driver"]["rules"])
    monkeypatch.setenv("INTERLOCK_DOCS_URL", "https://docs.example/il/")
    pages = {rule["id"]: rule["helpUri"] for rule in log(run)["runs"][0]["tool"]["driver"]["rules"]}
    assert pages["templates.byte_equivalent"] == "https://docs.example/il/guardrails/templates.html#templatesbyte_equivalent"
    monkeypatch.setenv("INTERLOCK_DOCS_URL", "https://forge.example/o/r/src/docs/{family}.md#{anchor}")
    assert log(run)["runs"][0]["tool"]["driver"]["rules"][-1]["helpUri"].startswith("https://forge.example/o/r/src/docs/templates.md#")
    monkeypatch.setenv("INTERLOCK_DOCS_URL", "javascript:alert(1)")
    assert all("helpUri" not in rule for rule in log(run)["runs"][0]["tool"]["driver"]["rules"])


def test_a_part_of_a_repository_is_named_from_its_root(tmp_path: Path) -> None:
    run = publish(tmp_path, SHUT)
    found = json.loads("".join(sarif.render(run.record, run.details, (), "deploy/west/")))
    check_shape(found)
    (result,) = found["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "deploy/west/deploy/proxy.conf", "uriBaseId": "%SRCROOT%"}


@pytest.mark.parametrize(
    ("by", "kind", "said"),
    [("comment", "inSource", "comment at a.sh:3 until"), ("baseline", "external", "baseline a.sh:3: "), ("earlier", "external", "commit a.sh:3: ")],
)
def test_what_else_lets_a_finding_pass_is_a_suppression_too(tmp_path: Path, by: str, kind: str, said: str) -> None:
    pair = Pair("templates.byte_equivalent", "p")
    judged = Judged(guardrail=pair.guardrail, subject=pair.subject, judgement=Broken("m", details=(DRIFT,)))
    passed = waiver(pair, DRIFT, by=WaivedBy(by), source="a.sh:3", expires_at="2026-12-01T00:00:00Z" if by == "comment" else "")
    (result,) = results(publish(tmp_path, Sample(judged=[judged], waivers=[passed])))
    (suppression,) = result["suppressions"]
    assert suppression["kind"] == kind
    assert suppression["justification"].startswith(said)


def test_a_message_makes_no_link(tmp_path: Path) -> None:
    detail = Detail(what="x", outcome=Outcome.BROKEN, message="see [here](http://evil)", file="f")
    (result,) = results(publish(tmp_path, Sample(judged=[Judged(guardrail="g.x", subject="s", judgement=Broken("m", details=(detail,)))])))
    assert result["message"]["text"] == r"see \[here\](http://evil)"


def test_the_exit_code_is_the_gate_s(tmp_path: Path) -> None:
    (invocation,) = log(publish(tmp_path, SHUT))["runs"][0]["invocations"]
    assert (invocation["exitCode"], invocation["executionSuccessful"]) == (1, True)


@given(text=ANY_TEXT)
def test_any_text_gives_a_log_of_the_right_shape(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    detail = Detail(what=text, outcome=Outcome.BROKEN, kind=text, message=text, file=text, line=1)
    judged = Judged(guardrail="g.x", subject=text, judgement=Broken(text, remedy=text, details=(detail,)))
    shown = "".join(sarif.render((run := publish(tmp_path_factory.mktemp("run"), Sample(judged=[judged], site=text))).record, run.details))
    check_shape(json.loads(shown))
    assert shown.isascii()
