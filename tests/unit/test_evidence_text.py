"""The terminal: the gate in one screen, the same with colour as without, never wider than it need be."""

from __future__ import annotations

import dataclasses
import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.evidence import text
from interlock.evidence.details import no_details
from interlock.evidence.renderings import RENDERINGS
from interlock.evidence.text import Style, gate_text
from interlock.gate.decision import Reason
from interlock.verdicts import Broken, Detail, Held, Outcome, Severity, Unproven
from tests.evidence_samples import APPLIED, OPEN, SAMPLES, SHUT, UNPROVEN, WAIVED, Judged, Sample, publish

ANSI = re.compile(r"\x1b\[[0-9;]*m")
LOUD = Style(color=True)


def test_a_shut_gate_says_first_what_changed_then_why_then_what_to_do(tmp_path: Path) -> None:
    shown = gate_text(publish(tmp_path, SHUT).record, ["mounts.state_disk [state] was held, now broken"], "interlock preflight --for release")
    order = [
        "SHUT (exit code 1)",
        "changed since the gate was last open",
        "was held, now broken",
        "why:",
        "backups.mode_0600 app (critical)",
        "remedy: chmod",
        "next: mend the first reason, then interlock preflight --for release",
    ]
    assert [shown.index(part) for part in order] == sorted(shown.index(part) for part in order)
    assert shown.endswith("next: mend the first reason, then interlock preflight --for release")


def test_at_most_five_reasons_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    judged = [Judged(guardrail=f"g.x{number}", subject="s", judgement=Broken(f"reason {number}")) for number in range(8)]
    shown = gate_text(publish(tmp_path, Sample(judged=judged)).record, [], "")
    assert shown.count("✘ broken") == 5
    assert "and 3 more reasons: interlock report" in shown


def test_the_gravest_reason_comes_first_and_what_is_broken_before_what_nobody_knows(tmp_path: Path) -> None:
    judged = [
        Judged(guardrail="a.unknown", subject="s", judgement=Unproven("nobody knows"), severity=Severity.CRITICAL),
        Judged(guardrail="b.high", subject="s", judgement=Broken("bad"), severity=Severity.HIGH),
        Judged(guardrail="c.critical", subject="s", judgement=Broken("worse"), severity=Severity.CRITICAL),
    ]
    shown = gate_text(publish(tmp_path, Sample(judged=judged)).record, [], "")
    assert sorted(("nobody knows", "    bad", "worse"), key=shown.index) == ["worse", "    bad", "nobody knows"]


def test_several_subjects_of_one_guardrail_are_one_reason(tmp_path: Path) -> None:
    judged = [Judged(guardrail="g.x", subject=f"s{number}", judgement=Broken(f"reason {number}")) for number in range(7)]
    judged += [Judged(guardrail="g.y", subject="s", judgement=Broken("another reason"))]
    shown = gate_text(publish(tmp_path, Sample(judged=judged)).record, [], "")
    assert shown.count("✘ broken") == 2
    assert "    reason 0\n    the same for s1, s2, s3, s4 and 2 more\n" in shown
    assert "more reason" not in shown


def test_at_most_ten_changes_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    shown = gate_text(publish(tmp_path, SHUT).record, [f"change {number}" for number in range(12)], "")
    assert shown.count("- change") == 10
    assert "and 2 more changes" in shown


def test_an_open_gate_says_so_and_still_names_what_is_waived_and_not_used(tmp_path: Path) -> None:
    shown = gate_text(publish(tmp_path, WAIVED).record, ["something changed"], "interlock apply")
    assert shown.startswith("OPEN (exit code 0)")
    assert "changed since" not in shown
    assert "WAIVED backups.mode_0600 app until 2026-12-01T00:00:00Z" in shown
    assert "not used: parity: no cutover is planned" in shown


def test_replayed_facts_are_named_loudly(tmp_path: Path) -> None:
    assert "REPLAYED these facts come from a file" in gate_text(publish(tmp_path, UNPROVEN).record, [], "")


def test_what_holds_of_one_guardrail_is_told_together(tmp_path: Path) -> None:
    judged = [Judged(guardrail="expect.port", subject=f"p{number}", judgement=Held(f"port {number} answers")) for number in range(40)]
    judged += [Judged(guardrail="expect.port", subject="zz", judgement=Broken("port 99 is silent"))]
    shown = "".join(text.render(publish(tmp_path, Sample(judged=judged)).record, no_details))
    assert "  ✔ held           port: 40\n    p0, p1, p10," in shown
    assert re.search(r"and [0-9]+ more", shown)
    assert "  ✘ broken         port zz (high)\n    port 99 is silent\n" in shown


def test_places_that_the_message_names_already_are_not_told_again(tmp_path: Path) -> None:
    details = tuple(Detail(what=f"f{number}", outcome=Outcome.BROKEN, message=f"f{number} is 0644") for number in range(9))
    message = "9 are readable: f0 is 0644; f1 is 0644; f2 is 0644; and 6 more"
    shown = "".join(
        text.render(publish(tmp_path, Sample(judged=[Judged(guardrail="g.x", subject="s", judgement=Broken(message, details=details))])).record, no_details)
    )
    assert [line.strip() for line in shown.splitlines() if line.startswith("      ")] == [
        *(f"- f{number} is 0644" for number in range(3, 8)),
        "and 1 more: see details.jsonl",
    ]


@pytest.mark.parametrize(
    ("code", "word", "sentence"),
    [
        (0, "DONE", "the action is done and verified"),
        (16, "UNDONE", "the action failed, and everything is undone"),
        (18, "HALF-CHANGED", "the action failed, and something is half-changed: run `interlock status`"),
        (17, "NOT VERIFIED", "the action is done, and what is now does not verify"),
    ],
)
def test_an_action_says_what_became_of_it_who_approved_it_and_what_was_done(tmp_path: Path, code: int, word: str, sentence: str) -> None:
    shown = gate_text(publish(tmp_path, dataclasses.replace(APPLIED, exit_code=code)).record, [], "", Style(width=100))
    assert shown.startswith(f"{word} (exit code {code})")
    assert sentence in shown
    assert "approved by anna@example.org" in shown
    assert "  step 3 command: undone\n" in shown
    assert "SELF-APPROVED the planner approved this plan" in shown


def test_every_verdict_stands_below_its_family_with_a_word_and_a_symbol(tmp_path: Path) -> None:
    shown = "".join(text.render(publish(tmp_path, SHUT).record, no_details))
    assert [line for line in shown.splitlines() if line and not line.startswith(" ")][:4] == ["backups", "expect", "mounts", "templates"]
    assert "  ✘ broken         mode_0600 app (critical)\n" in shown
    assert "  ✔ held           http health, 3 tries\n" in shown
    assert "- deploy/proxy.conf:7: line 7 differs" in shown
    unproven = "".join(text.render(publish(tmp_path / "unproven", UNPROVEN).record, no_details))
    assert "? unproven" in unproven
    assert "! not run        backups.mode_0600 app" in unproven
    assert "nothing to look at here: compose.strict_parse\n" in unproven


def test_reasons_of_no_verdict_stand_at_the_end(tmp_path: Path) -> None:
    problems = [Reason(code=12, guardrail="g", subject="s", text="waiver W-7 expired", remedy="mend it"), Reason(code=14, text="the plan is stale")]
    shown = "".join(text.render(publish(tmp_path, Sample(judged=OPEN.judged, problems=problems)).record, no_details))
    assert re.search(r"waiver +g s\n +waiver W-7 expired\n +remedy: mend it", shown)
    assert re.search(r"stale +the whole gate\n +the plan is stale", shown)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_colour_says_nothing_that_is_not_said_without_it(tmp_path: Path, name: str) -> None:
    record = publish(tmp_path, SAMPLES[name]).record
    assert ANSI.sub("", "".join(text.render(record, no_details, LOUD))) == "".join(text.render(record, no_details))
    assert ANSI.sub("", gate_text(record, ["x"], "y", LOUD)) == gate_text(record, ["x"], "y")


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_terminal_that_knows_ascii_alone_gets_ascii_alone(tmp_path: Path, name: str) -> None:
    record = publish(tmp_path, SAMPLES[name]).record
    style = Style(ascii_only=True)
    lines = ["".join(text.render(record, no_details, style)), gate_text(record, ["é"], "y", style)]
    assert all(line.isascii() for line in lines)


def test_symbols_differ_without_colour_and_in_ascii() -> None:
    for style in (Style(), Style(ascii_only=True)):
        marks = [style.mark(outcome) for outcome in Outcome]
        assert len({mark[0] for mark in marks}) == len(marks)
        assert len({len(mark) for mark in marks}) == 1


@given(words=st.lists(st.text("abcdefgh./-", min_size=1, max_size=30), max_size=40), width=st.integers(60, 120))
def test_no_line_is_wider_than_the_terminal(tmp_path_factory: pytest.TempPathFactory, words: list[str], width: int) -> None:
    message = " ".join(words)
    detail = Detail(what="x", outcome=Outcome.BROKEN, message=f"here {message}")
    judged = Judged(guardrail="g.x", subject="s", judgement=Broken(message, remedy=message, details=(detail,)))
    record = publish(tmp_path_factory.mktemp("run"), Sample(judged=[judged], not_used={"parity": message})).record
    style = Style(width=width)
    shown = "".join(text.render(record, no_details, style)) + gate_text(record, [message], "x", style)
    assert max(map(len, shown.splitlines())) <= width


def test_a_path_is_never_broken_it_is_to_be_copied() -> None:
    path = "/a" * 100
    assert any(path in line for line in Style().wrapped(f"chmod 0600 {path}", 4))


@given(message=st.text(st.characters(exclude_categories=())))
def test_no_text_reaches_the_terminal_as_a_control(tmp_path_factory: pytest.TempPathFactory, message: str) -> None:
    detail = Detail(what=message, outcome=Outcome.BROKEN, message=message, file=message, line=1)
    judged = Judged(guardrail=f"g.{message}", subject=message, judgement=Broken("x" + message, remedy=message, details=(detail,)))
    record = publish(tmp_path_factory.mktemp("run"), Sample(judged=[judged], not_used={message: message}, site=message, action=message)).record
    shown = "".join(text.render(record, no_details)) + gate_text(record, [message], message)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", shown)


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def terminal(encoding: str = "utf-8") -> Terminal:
    return Terminal(io.BytesIO(), encoding=encoding)


@pytest.mark.parametrize(
    ("stream", "environ", "color", "ascii_only"),
    [
        (terminal(), {}, True, False),
        (terminal(), {"NO_COLOR": "1"}, False, False),
        (terminal(), {"NO_COLOR": ""}, True, False),
        (terminal(), {"TERM": "dumb"}, False, False),
        (terminal("ascii"), {}, True, True),
        (terminal("latin-1"), {}, True, True),
        (io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), {}, False, False),
        (io.StringIO(), {}, False, True),
    ],
)
def test_colour_is_for_terminals_that_want_it(stream: io.TextIOBase, environ: dict[str, str], color: bool, ascii_only: bool) -> None:
    style = Style.of(stream, environ)  # type: ignore[arg-type]
    assert (style.color, style.ascii_only) == (color, ascii_only)


def test_width_is_the_terminal_s_within_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    for columns, width in (("20", 60), ("72", 72), ("300", 100)):
        monkeypatch.setenv("COLUMNS", columns)
        assert Style.of(terminal(), {}).width == width
    assert Style.of(io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), {}).width == 80


def test_every_format_that_can_be_asked_for_has_a_rendering(tmp_path: Path) -> None:
    run = publish(tmp_path, SHUT)
    assert sorted(RENDERINGS) == ["html", "json", "junit", "markdown", "sarif", "text"]
    assert all("".join(rendering(run.record, run.details)) for rendering in RENDERINGS.values())
    assert "".join(RENDERINGS["json"](run.record, run.details)).encode() == (run.path / "record.json").read_bytes()
