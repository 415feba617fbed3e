"""JUnit: what the readers of the xunit2 family accept, a testcase for every detail, and nothing in it that is not XML."""

from __future__ import annotations

import dataclasses
import re
import tracemalloc
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import EvidenceError
from interlock.evidence import junit
from interlock.evidence.details import HeldLines, Lines, no_details
from interlock.evidence.folder import LoadedRun
from interlock.verdicts import Broken, Counts, Detail, Held, HeldRun, Outcome, Pair, Streamed, Unproven
from tests.evidence_samples import APPLIED, NASTY_TEXT, OPEN, SAMPLES, SHUT, UNPROVEN, WAIVED, Judged, Sample, publish

ANY_TEXT = st.text(st.characters(exclude_categories=()))

# What the schema of the Jenkins xUnit plugin (the one that pytest's own reports are held to) allows in each element: attributes, required ones, children.
SECONDS = r"[0-9]+\.[0-9]{3}"
ALLOWED = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, set(), {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname", "id", "package", "file"},
        {"name", "tests", "failures", "errors"},
        {"properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, {"name", "value"}, set()),
    "testcase": ({"name", "time", "classname", "group"}, {"name", "classname"}, {"skipped", "error", "failure", "system-out", "system-err"}),
    "failure": ({"type", "message"}, set(), set()),
    "error": ({"type", "message"}, set(), set()),
    "skipped": ({"type", "message"}, set(), set()),
}


def check_shape(element: ET.Element) -> None:
    """Raise AssertionError where a document leaves the schema."""
    allowed, required, children = ALLOWED[element.tag]
    assert set(element.attrib) <= allowed, element.tag
    assert required <= set(element.attrib), element.tag
    if element.tag in ("testsuites", "testsuite"):
        assert re.fullmatch(SECONDS, element.attrib["time"])
        assert all(element.attrib[name].isdecimal() for name in ("tests", "failures", "errors"))
    if children:
        assert not (element.text or "").strip(), "text between elements"
    for child in element:
        assert child.tag in children, f"{child.tag} in {element.tag}"
        assert not (child.tail or "").strip()
        check_shape(child)


def document(run: LoadedRun) -> ET.Element:
    root = ET.fromstring("".join(junit.render(run.record, run.details)))
    check_shape(root)
    return root


def of_suites(root: ET.Element) -> dict[str, ET.Element]:
    return {suite.attrib["name"]: suite for suite in root}


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_every_sample_keeps_to_the_schema_and_its_own_counts(tmp_path: Path, name: str) -> None:
    root = document(publish(tmp_path, SAMPLES[name]))
    for suite in root:
        cases = suite.findall("testcase")
        counted = {tag: sum(case.find(tag) is not None for case in cases) for tag in ("failure", "error", "skipped")}
        assert [int(suite.attrib[count]) for count in ("tests", "failures", "errors", "skipped")] == [len(cases), *counted.values()]
    for count in ("tests", "failures", "errors"):
        assert int(root.attrib[count]) == sum(int(suite.attrib[count]) for suite in root)


def test_each_outcome_is_shown_as_what_readers_count(tmp_path: Path) -> None:
    suites = of_suites(document(publish(tmp_path / "shut", SHUT)))
    case = suites["backups.mode_0600 [app]"].findall("testcase")[3]
    failure = case.find("failure")
    assert failure is not None
    assert (case.attrib["classname"], case.attrib["name"]) == ("backups.mode_0600.app", "/srv/backups/app/app-20261120.tar.zst")
    assert failure.attrib == {"message": "/srv/backups/app/app-20261120.tar.zst is 0644", "type": "mode"}
    assert "remedy: chmod 0600" in (failure.text or "")
    assert [one.find("*") for one in suites["mounts.state_disk [state]"].findall("testcase")] == [None]
    unproven = of_suites(document(publish(tmp_path / "unproven", UNPROVEN)))
    assert unproven["mounts.state_disk [state]"].find("testcase/error") is not None
    assert unproven["backups.mode_0600 [app]"].find("testcase/error[@type='not_run']") is not None
    assert unproven["compose.strict_parse [none-declared]"].find("testcase/skipped") is not None


def test_a_waived_detail_is_skipped_with_its_waiver_and_named_by_the_suite(tmp_path: Path) -> None:
    suite = of_suites(document(publish(tmp_path, WAIVED)))["backups.mode_0600 [app]"]
    skipped = suite.find("testcase/skipped")
    assert skipped is not None
    assert skipped.attrib["message"].startswith("WAIVED by W-1 until 2026-12-01T00:00:00Z (moves to the new volume on Tuesday; owner anna, OPS-12)")
    named = suite.find("properties/property[@name='interlock.waived_by']")
    assert named is not None
    assert named.attrib["value"] == "W-1 until 2026-12-01T00:00:00Z"


def test_the_gate_itself_fails_when_it_is_shut_for_no_detail(tmp_path: Path) -> None:
    run = publish(tmp_path, Sample(judged=OPEN.judged, replayed=True))
    gate = of_suites(document(run))["interlock gate"]
    assert gate.find("testcase/error[@type='exit-11']") is not None
    open_gate = of_suites(document(publish(tmp_path / "open", OPEN)))["interlock gate"]
    assert open_gate.find("testcase/error") is None
    assert open_gate.find("testcase/failure") is None


def test_an_action_that_failed_behind_an_open_gate_is_an_error(tmp_path: Path) -> None:
    gate = of_suites(document(publish(tmp_path, APPLIED)))["interlock gate"]
    assert gate.find("testcase/error[@type='exit-16']") is not None
    assert {one.attrib["name"]: one.attrib["value"] for one in gate.iter("property")}["interlock.self_approved"] == "true"


def test_unused_families_are_shown_as_skipped(tmp_path: Path) -> None:
    skipped = document(publish(tmp_path, OPEN)).find(".//testcase[@classname='interlock.not_used']/skipped")
    assert skipped is not None
    assert skipped.attrib["message"] == "not used here: no cutover is planned"


def test_run_record_and_digests_stand_in_the_properties(tmp_path: Path) -> None:
    run = publish(tmp_path, SHUT)
    values = {one.attrib["name"]: one.attrib["value"] for one in document(run).iter("property")}
    assert values["interlock.run_id"] == run.record.run.id
    assert values["interlock.record_sha256"] == run.digest
    assert values["interlock.decision"] == "shut"


def names_after(whats: list[str], tmp_path: Path) -> list[str]:
    judged = Judged(guardrail="g.x", subject="s", judgement=Streamed(details=[HeldRun(prefix="", names=whats, message="m")], says=lambda _: ""))
    suite = of_suites(document(publish(tmp_path, Sample(judged=[judged]))))["g.x [s]"]
    return [case.attrib["name"] for case in suite.findall("testcase")]


def test_names_with_signs_of_xml_are_themselves(tmp_path: Path) -> None:
    assert names_after(["a<b>&c", "'q'", '"', "plain", "]]>"], tmp_path) == ["a<b>&c", "'q'", '"', "plain", "]]>"]


def test_what_xml_forbids_is_spelled_out(tmp_path: Path) -> None:
    assert names_after(["bell\x07", "not-utf8-\udcff", "half\ud800", "line\nend", "\ufffe"], tmp_path) == [
        r"bell\x07",
        r"not-utf8-\xff",
        r"half\ud800",
        r"line\x0aend",
        r"\ufffe",
    ]


def test_a_detail_without_a_name_has_its_subject_s(tmp_path: Path) -> None:
    assert names_after(["", "a"], tmp_path) == ["s", "a"]


@given(text=ANY_TEXT, kind=ANY_TEXT, names=st.lists(ANY_TEXT | st.text("a<&>"), max_size=4))
def test_any_text_gives_xml_that_keeps_to_the_schema(tmp_path_factory: pytest.TempPathFactory, text: str, kind: str, names: list[str]) -> None:
    details = (HeldRun(prefix=text, names=names, message=text), Detail(what=text, outcome=Outcome.BROKEN, kind=kind, message=text, file=text, line=1))
    judged = [
        Judged(guardrail="g.a", subject=text, judgement=Streamed(details=details, says=lambda _: text, remedy=text)),
        Judged(guardrail="g.b", subject=text, judgement=Unproven(text, remedy=text)),
        Judged(guardrail="g.c", subject=text, message=text),
    ]
    run = publish(tmp_path_factory.mktemp("run"), Sample(judged=judged, not_used={text: text}, site=text))
    root = document(run)
    assert sum(1 for _ in root.iter("testcase")) == 2 + len(names) + 1 + 1 + 1


def test_details_of_other_verdicts_are_an_error(tmp_path: Path) -> None:
    run = publish(tmp_path, OPEN)
    stray = HeldLines("zzz", "s", "m", ["x"])

    def details() -> Lines:
        yield from run.details()
        yield stray

    with pytest.raises(EvidenceError, match="where no verdict has them"):
        list(junit.render(run.record, details))


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_verdict_without_details_is_one_testcase(tmp_path: Path, outcome: Outcome) -> None:
    run = publish(tmp_path, OPEN)
    record = dataclasses.replace(run.record, verdicts=(dataclasses.replace(run.record.verdicts[0], outcome=outcome, details=Counts(), where=()),), required=())
    root = ET.fromstring("".join(junit.render(record, no_details)))
    check_shape(root)
    found = of_suites(root)["backups.mode_0600 [app]"].find("testcase/*")
    tags = {
        Outcome.HELD: None,
        Outcome.BROKEN: "failure",
        Outcome.UNPROVEN: "error",
        Outcome.NOT_RUN: "error",
        Outcome.WAIVED: "skipped",
        Outcome.NOT_APPLICABLE: "skipped",
    }
    assert (None if found is None else found.tag) == tags[outcome]


def test_memory_stays_flat_however_many_files_there_are(tmp_path: Path) -> None:
    run = publish(tmp_path, Sample(judged=[Judged(guardrail="g.x", subject="s", judgement=Held("fine"))]))
    many = dataclasses.replace(run.record.verdicts[0], details=Counts(held=500_000, sha256="sha256:" + "0" * 64))
    record = dataclasses.replace(run.record, verdicts=(many,))

    def details() -> Lines:
        for directory in range(500):
            yield HeldLines("g.x", "s", "0600", [f"/srv/{directory}/{number}" for number in range(1000)])

    tracemalloc.start()
    try:
        size = sum(len(chunk) for chunk in junit.render(record, details))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 20_000_000
    assert peak < 3_000_000


def test_the_nasty_sample_is_the_nasty_text(tmp_path: Path) -> None:
    run = publish(tmp_path, SAMPLES["nasty"])
    assert run.record.by_pair[Pair("own.nasty", NASTY_TEXT)].outcome is Outcome.BROKEN


def test_a_broken_verdict_says_so_once_for_each_broken_detail(tmp_path: Path) -> None:
    details = tuple(Detail(what=f"f{number}", outcome=Outcome.BROKEN, kind="mode", message="0644") for number in range(3))
    run = publish(tmp_path, Sample(judged=[Judged(guardrail="g.x", subject="s", judgement=Broken("three", details=details))]))
    assert len(list(of_suites(document(run))["g.x [s]"].iter("failure"))) == 3
