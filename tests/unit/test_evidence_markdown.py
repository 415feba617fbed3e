"""The summary: one screen for an issue, below its limit whatever was found, and nobody else's text in it does anything."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from interlock.evidence import markdown
from interlock.evidence.details import no_details
from interlock.evidence.record import PlanReference, Record, Required, UsedWaiver
from interlock.evidence.redact import PATTERNS_ONLY
from interlock.gate.decision import Reason
from interlock.verdicts import Broken, Detail, Outcome, Pair, Severity
from tests.evidence_samples import APPLIED, NASTY_TEXT, OPEN, SAMPLES, SHUT, UNPROVEN, WAIVED, Judged, Sample, publish, waiver

ANY_TEXT = st.text(st.characters(exclude_categories=()), min_size=1)
HOSTILE = st.lists(
    st.sampled_from(
        [
            "`",
            "``",
            "|",
            "\\",
            "\n",
            "\n\n",
            "# ",
            "- ",
            "<b>",
            "</details>",
            "<!--",
            "@all",
            "#12",
            "http://x",
            "](",
            "![",
            "\t",
            "    ",
            "***",
            "~~~",
            "$`",
            " ",
            "a",
            "\u202e",
        ]
    ),
    min_size=1,
    max_size=12,
).map("".join)


def summary(record: Record) -> str:
    return "".join(markdown.render(record, no_details))


def test_an_open_gate_says_what_was_checked_what_not_and_how_to_verify(tmp_path: Path) -> None:
    run = publish(tmp_path, OPEN)
    text = summary(run.record)
    assert text.startswith("# interlock: OPEN\n")
    assert "| backups | 1 | 3 |" in text
    assert "- `parity` is not used here: `no cutover is planned`" in text
    assert run.digest in text
    assert f"interlock verify {run.record.run.id}" in text
    assert len(text.splitlines()) < 40


def test_a_shut_gate_gives_each_reason_with_its_remedy(tmp_path: Path) -> None:
    text = summary(publish(tmp_path, SHUT).record)
    assert "- `backups.mode_0600` `app` **broken** (critical): `1 of 4 below /srv/backups/app can be read by others`\n" in text
    assert "remedy: `` chmod 0600 the files; make new ones under `umask 077` ``" in text
    assert "`deploy/proxy.conf:7`" in text


def test_waived_stands_in_bold_at_the_top_and_in_its_section(tmp_path: Path) -> None:
    text = summary(publish(tmp_path, WAIVED).record)
    assert "**WAIVED: 1 waiver in use; what is waived is broken.**" in text
    assert "- **WAIVED `backups.mode_0600` `app` until `2026-12-01T00:00:00Z`**: `moves to the new volume on Tuesday`" in text


def test_what_was_not_run_is_told_as_not_checked(tmp_path: Path) -> None:
    text = summary(publish(tmp_path, UNPROVEN).record)
    assert "- `backups.mode_0600` `app` was **not run**" in text
    assert "replayed facts" in text


def test_guardrails_that_the_site_has_nothing_for_are_one_line(tmp_path: Path) -> None:
    judged = [Judged(guardrail=f"expect.rule{number:02}", subject="none-declared", message="declares nothing") for number in range(23)]
    text = summary(publish(tmp_path, Sample(judged=judged)).record)
    assert text.count("nothing is declared for `expect.rule00`, `expect.rule01`") == 1
    assert "`expect.rule19` and 3 more\n" in text
    assert "more: see" not in text


def test_an_action_says_what_became_of_it(tmp_path: Path) -> None:
    text = summary(publish(tmp_path, APPLIED).record)
    assert text.startswith("# interlock: UNDONE\n\n**The action failed, and everything is undone** (exit code 16)")
    assert "**SELF-APPROVED: the planner approved this plan.**" in text
    assert "approved by `anna@example.org`" in text
    assert "- step `2 write-files: done`" in text


def structure(text: str) -> list[str]:
    """The kinds of all tokens that a reader makes of a document, without the contents of code spans."""
    from markdown_it import MarkdownIt

    reader = MarkdownIt("js-default", {"html": True, "linkify": False}).enable("table")
    found = []
    for token in reader.parse(text):
        found.append(token.type)
        found += [inner.type for inner in token.children or []]
        if token.type == "html_block":
            found.append(token.content)
    return found


def code_spans(text: str) -> list[str]:
    from markdown_it import MarkdownIt

    reader = MarkdownIt("js-default").enable("table")
    return [inner.content for token in reader.parse(text) for inner in token.children or [] if inner.type == "code_inline"]


def with_texts(tmp_path: Path, text: str) -> str:
    judged = [
        Judged(
            guardrail="own.x",
            subject=text,
            judgement=Broken(text, remedy=text, details=(Detail(what=text, outcome=Outcome.BROKEN, kind=text, message=text, file=text, line=2),)),
        ),
        Judged(guardrail="own.y", subject=text, message=text),
    ]
    waived = Detail(what=text, outcome=Outcome.BROKEN, kind="k", message=text)
    judged.append(Judged(guardrail="own.z", subject=text, judgement=Broken(text, details=(waived,))))
    used = waiver(Pair("own.z", text), waived, id=text, reason=text, owner=text, ticket=text, approver=text)
    problems = [Reason(code=12, text=text, remedy=text)]
    plan, steps, approvals = PlanReference(digest="sha256:" + "1" * 64, action=text), [{"number": 1, "kind": text, "state": text}], [{"principal": text}]
    return summary(
        publish(
            tmp_path,
            Sample(
                judged=judged, waivers=[used], not_used={text: text}, problems=problems, site=text, action=text, plan=plan, steps=steps, approvals=approvals
            ),
        ).record
    )


@given(text=ANY_TEXT | HOSTILE)
@example(text="A://:0")
def test_no_text_of_others_changes_the_document_around_it(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    assume(PATTERNS_ONLY.is_clean(text))  # a fingerprint is made of what is kept: the waiver of the sample would be of another failure
    assert structure(with_texts(tmp_path_factory.mktemp("a"), text)) == structure(with_texts(tmp_path_factory.mktemp("b"), "plain"))


@given(text=ANY_TEXT | HOSTILE)
def test_a_code_span_shows_its_text_and_nothing_else(text: str) -> None:
    from interlock.evidence.visible import visible

    shown = code_spans(markdown.code(text, 10_000))
    assert len(shown) == 1
    assert shown[0].strip() == visible(text).strip()


def test_the_nasty_sample_stays_inside_its_code_spans(tmp_path: Path) -> None:
    text = summary(publish(tmp_path, SAMPLES["nasty"]).record)
    outside = text
    for span in sorted(code_spans(text), key=len, reverse=True):
        outside = outside.replace(span, "")
    assert "<script" not in outside
    assert "@everyone" not in outside
    assert not any(sign in text for sign in "\x1b\x07\u202e\u200b\ufffe")


def test_nothing_of_others_stands_in_the_table(tmp_path: Path) -> None:
    run = publish(tmp_path, Sample(judged=[Judged(guardrail="a|b`.x", subject="s", message="m")]))
    assert "| (a name that is no family's) | 1 | 0 |" in summary(run.record)


def test_it_stays_below_its_limit_whatever_was_found(tmp_path: Path) -> None:
    text = ("`" + NASTY_TEXT + "🙂") * 4
    details = tuple(Detail(what=f"{number}{text}", outcome=Outcome.BROKEN, kind="k", message=text, file=text, line=number + 1) for number in range(100))
    run = publish(
        tmp_path,
        Sample(
            judged=[Judged(guardrail="own.x", subject=text, judgement=Broken(text, remedy=text, details=details))],
            not_used={text: text},
            site=text,
            action=text,
        ),
    )
    verdict = run.record.verdicts[0]
    used = UsedWaiver(
        id=text,
        guardrail=text,
        subject=text,
        fingerprint="0" * 16,
        reason=text,
        owner=text,
        ticket=text,
        approver=text,
        expires_at="2026-12-01T00:00:00Z",
        up_to=None,
    )
    record = dataclasses.replace(
        run.record,
        verdicts=tuple(dataclasses.replace(verdict, guardrail=f"family{number}.{text}") for number in range(300)),
        required=tuple(Required(guardrail=f"gone{number}.{text}", subject=text, severity=Severity.HIGH, shuts=True) for number in range(300)),
        reasons=tuple(Reason(code=1, guardrail=text, subject=text, text=text, remedy=text) for _ in range(300)),
        waivers=(used,) * 300,
        not_used={f"{number}{text}": text for number in range(300)},
    )
    shown = summary(record)
    assert 30_000 < len(shown.encode()) <= markdown.LIMIT_BYTES
    assert "more: see `record.json`" in shown
    assert "**WAIVED: 300 waivers in use" in shown


def test_what_does_not_fit_is_counted(tmp_path: Path) -> None:
    details = tuple(
        Detail(what=f"f{number}", outcome=Outcome.BROKEN, kind="mode", message=f"f{number} is 0644, which is too much", file=f"f{number}")
        for number in range(500)
    )
    text = summary(publish(tmp_path, Sample(judged=[Judged(guardrail="g.x", subject="s", judgement=Broken("many", details=details))])).record)
    shown = text.count("- **broken** `g.x`")
    assert f"- and {500 - shown} more: see `details.jsonl`" in text
