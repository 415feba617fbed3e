"""The page: what an operator reads first stands first, it fetches nothing, nobody else's text does anything in it, and it stays small whatever was found."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import os
import re
import tracemalloc
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.evidence import html, markdown
from interlock.evidence.details import no_details
from interlock.evidence.folder import LoadedRun, load_run
from interlock.evidence.record import Record, Required
from interlock.evidence.text import gate_text
from interlock.evidence.topology_svg import MOST_FINDINGS, Picture, findings_of
from interlock.evidence.verify import verify_run
from interlock.evidence.visible import visible
from interlock.evidence.wording import gravest_first
from interlock.gate.decision import Reason
from interlock.verdicts import Broken, Detail, Held, HeldRun, Outcome, Severity, Streamed, Unproven, Verdict
from tests.evidence_samples import DISKS, GLASS, NASTY_TEXT, OPEN, SAMPLES, SHUT, UNPROVEN, WAIVED, Judged, Sample, publish

VOID = {"meta", "br", "link", "img", "input"}


class Page(HTMLParser):
    """A page as a browser's parser meets it: its elements, their attributes, and the text of each."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text.append(data)


ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "strong", "dl", "dt", "dd", "ul", "li", "code", "br", "span", "div"),
    *("table", "thead", "tbody", "tr", "th", "td", "details", "summary", "svg", "desc", "rect", "text", "path", "circle", "g"),
}


def page(run: LoadedRun) -> Page:
    return Page((run.path / "report.html").read_text())


def harmless(found: Page) -> None:
    assert found.open == []
    assert {tag for tag, _ in found.elements} <= ALLOWED
    for _, attributes in found.elements:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "href", "style", "action", "xlink:href")]


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_page_of_any_run_has_no_script_handler_or_link(tmp_path: Path, name: str) -> None:
    harmless(page(publish(tmp_path, SAMPLES[name])))


def test_decision_time_picture_and_verdicts_are_there_and_how_to_verify(tmp_path: Path) -> None:
    run = publish(tmp_path, DISKS)
    text = " ".join(page(run).text)
    places = [text.index(said) for said in ("SHUT", "2026-11-20T21:00:00Z to", "Why the gate is shut", "host local", "What was judged", "interlock verify")]
    assert places == sorted(places)
    assert run.digest in text
    assert "BROKEN mounts.nested_visible" in text


def test_what_is_broken_stands_before_what_holds(tmp_path: Path) -> None:
    rows = [attributes.get("class") for tag, attributes in page(publish(tmp_path, SHUT)).elements if tag == "tr" and attributes]
    assert rows == ["broken", "broken", "held", "held"]


def test_page_summary_and_terminal_have_the_gravest_reason_first_with_its_severity(tmp_path: Path) -> None:
    judged = [
        Judged(guardrail="a.unknown", subject="s", judgement=Unproven("nobody knows"), severity=Severity.CRITICAL),
        Judged(guardrail="b.high", subject="s", judgement=Broken("bad"), severity=Severity.HIGH),
        Judged(guardrail="c.critical", subject="s", judgement=Broken("worse"), severity=Severity.CRITICAL),
    ]
    run = publish(tmp_path, Sample(judged=judged))
    for shown in (" ".join(page(run).text), "".join(markdown.render(run.record, run.details)), gate_text(run.record, [], "")):
        assert sorted(("a.unknown", "b.high", "c.critical"), key=shown.index) == ["c.critical", "b.high", "a.unknown"]
        assert shown.index("(critical)") < shown.index("(high)")
    assert "<strong>broken</strong> (critical): worse" in (run.path / "report.html").read_text()


def test_a_pair_that_was_not_run_has_the_severity_that_it_was_required_with(tmp_path: Path) -> None:
    record = publish(tmp_path, UNPROVEN).record
    assert ("backups.mode_0600", Severity.HIGH) in {(reason.guardrail, severity) for reason, severity in gravest_first(record)}


def test_what_stands_between_backticks_is_code_and_a_lone_backtick_is_itself(tmp_path: Path) -> None:
    judged = Judged(guardrail="g.x", subject="s", judgement=Broken("`a` and `<b>` and `c", remedy="say `docker volume rm`"))
    text = (publish(tmp_path, Sample(judged=[judged])).path / "report.html").read_text()
    assert text.count("<code>a</code> and <code>&lt;b&gt;</code> and `c") == 2
    assert text.count("say <code>docker volume rm</code>") == 2


def test_waivers_are_loud(tmp_path: Path) -> None:
    text = (publish(tmp_path, WAIVED).path / "report.html").read_text()
    assert '<p class="loud">WAIVED: 1 waiver in use' in text
    assert "<strong>WAIVED <code>backups.mode_0600</code>" in text


def test_a_broken_glass_and_replayed_facts_are_loud(tmp_path: Path) -> None:
    assert '<p class="loud">BREAK-GLASS' in (publish(tmp_path / "a", GLASS).path / "report.html").read_text()
    assert '<p class="loud">Judged on replayed facts' in (publish(tmp_path / "b", UNPROVEN).path / "report.html").read_text()


def test_a_pair_without_a_verdict_is_shown_as_not_run(tmp_path: Path) -> None:
    assert '<tr class="not_run"><td>not run</td><td><code>backups.mode_0600</code>' in (publish(tmp_path, UNPROVEN).path / "report.html").read_text()


def test_a_run_without_disks_says_why_there_is_no_picture(tmp_path: Path) -> None:
    assert "There is no picture: this run looked at no declared disk" in (publish(tmp_path / "a", OPEN).path / "report.html").read_text()
    unused = dataclasses.replace(OPEN, not_used={"mounts": "all in the cloud"})
    assert "Mounts are not used here: all in the cloud" in (publish(tmp_path / "b", unused).path / "report.html").read_text()


def test_the_policy_allows_the_two_styles_of_the_page_and_nothing_else(tmp_path: Path) -> None:
    text = (publish(tmp_path, DISKS).path / "report.html").read_text()
    styles = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    policy = next(attributes["content"] for tag, attributes in Page(text).elements if tag == "meta" and "http-equiv" in attributes)
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" for style in styles)
    assert policy == f"default-src 'none'; style-src {hashes}; base-uri 'none'; form-action 'none'"
    assert len(styles) == 2
    assert "url(" not in "".join(styles)


def test_the_page_is_made_again_from_the_folder(tmp_path: Path) -> None:
    run = load_run(publish(tmp_path, DISKS).path)
    assert "".join(html.render(run.record, run.details, Picture.of(run.record, run.details, run.topology))) == (run.path / "report.html").read_text()


def test_a_picture_that_says_something_else_than_the_record_does_not_verify(tmp_path: Path) -> None:
    run = publish(tmp_path, DISKS)
    (run.path / "topology.svg").write_text((run.path / "topology.svg").read_text().replace("BROKEN mounts", "HELD mounts"))
    assert any("topology.svg" in problem for problem in verify_run(run.path).problems)


def test_a_topology_that_is_taken_away_is_found(tmp_path: Path) -> None:
    run = publish(tmp_path, DISKS)
    (run.path / "topology.json").unlink()
    assert any("topology" in problem for problem in verify_run(run.path).problems)


def test_a_topology_that_is_no_topology_does_not_verify(tmp_path: Path) -> None:
    run = publish(tmp_path, DISKS)
    (run.path / "topology.json").write_text("{}\n")
    problems = verify_run(run.path).problems
    assert any("nothing can be rendered again: this is no topology of ours" in problem for problem in problems)


def many(record: Record, count: int) -> Record:
    verdicts = [
        Verdict(guardrail=f"g.x{number:06}", subject="s", host="local", outcome=Outcome.HELD, severity=Severity.HIGH, message="m" * 60)
        for number in range(count)
    ]
    verdicts[count // 2] = dataclasses.replace(verdicts[count // 2], outcome=Outcome.BROKEN, message="the one that is broken")
    reasons = tuple(Reason(code=1, guardrail=f"g.x{number}", subject="s", text="t", remedy="") for number in range(1_000))
    return dataclasses.replace(record, verdicts=tuple(verdicts), reasons=reasons, required=())


MANY = 100_000 if os.environ.get("INTERLOCK_PROFILE") == "prove" else 20_000


def test_very_many_verdicts_leave_a_small_page_that_says_what_it_leaves_out(tmp_path: Path) -> None:
    record = many(publish(tmp_path, OPEN).record, MANY)
    record.digest  # noqa: B018 - made once, before it is measured
    tracemalloc.start()
    chunks = [len(chunk) for chunk in html.render(record, no_details)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(chunks) < 1_000_000
    assert max(chunks) < 20_000
    assert peak < 4_000_000
    text = "".join(html.render(record, no_details))
    assert f"Not shown here: {MANY - 2_000:,} more of {MANY:,}" in text
    assert "and 800 more: see <code>record.json</code>" in text
    assert text.index("the one that is broken") < text.index("g.x000000")


def test_of_many_details_the_picture_takes_some_and_those_that_do_not_hold_first(tmp_path: Path) -> None:
    names = [f"c{number} /data" for number in range(3 * MOST_FINDINGS)]
    details = [HeldRun(prefix="", names=names, message="held"), Detail(what="billing /data", outcome=Outcome.BROKEN, kind="hidden", message="hidden")]
    judged = Judged(guardrail="mounts.nested_visible", subject="running", judgement=Streamed(details=details, says=lambda _: "many"))
    run = publish(tmp_path, Sample(judged=[judged, Judged(guardrail="backups.mode_0600", subject="app", judgement=Broken("no"))]))
    found = findings_of(run.record, run.details)
    assert len(found) <= MOST_FINDINGS
    assert [one.outcome for one in found[:2]] == [Outcome.BROKEN, Outcome.HELD]
    assert {one.guardrail for one in found} == {"mounts.nested_visible"}


@given(st.text(st.characters(exclude_categories=()), max_size=60) | st.text("`<&a\n", max_size=20) | st.just(NASTY_TEXT))
@settings(max_examples=25)
def test_nobody_elses_text_does_anything(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    record = publish(tmp_path_factory.mktemp("run"), OPEN).record
    verdict = dataclasses.replace(record.verdicts[0], guardrail=text, subject=text, message=text, remedy=text)
    changed = dataclasses.replace(
        record,
        verdicts=(verdict,),
        required=(Required(guardrail=text, subject="other", severity=Severity.HIGH, shuts=True),),
        reasons=(Reason(code=1, guardrail=text, subject=text, text=text, remedy=text),),
        not_used={text: text},
        target=dataclasses.replace(record.target, site=text, file=text),
    )
    written = "".join(html.render(changed, no_details))
    written.encode("utf-8")
    found = Page(written)
    harmless(found)
    assert "".join(found.text).replace("`", "").count(visible(text).replace("`", "")) >= 9


def test_a_held_verdict_shows_no_places(tmp_path: Path) -> None:
    run = publish(tmp_path, Sample(judged=[Judged(guardrail="g.x", subject="s", judgement=Held("all is well"))]))
    assert "<details>" not in (run.path / "report.html").read_text()
