"""`# interlock: allow RULE because REASON until DATE`: a waiver that stands where the finding is, with the waivers' own rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.evidence.record import Record, WaivedBy
from interlock.facts.allows import Allow, BadAllow, allows_in
from interlock.gate.decision import Reason
from interlock.gaterun.recording import unused_waivers
from interlock.gaterun.run import GateRequest, GateRun, open_case
from interlock.verdicts import Broken, Detail, Outcome, Pair, When, settle
from tests.unit.test_scan import CAREFUL, judged, site, verdict, write

SOON = f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}"
RULE = "backups.mode_0600"
SAID = f"interlock: allow {RULE} because the disk is encrypted until {SOON}"


def one(text: str, file: str = "a.sh") -> Allow:
    (found,) = allows_in(file, text.encode())
    assert isinstance(found, Allow), found
    return found


def bad(text: str, file: str = "a.sh") -> str:
    (found,) = allows_in(file, text.encode())
    assert isinstance(found, BadAllow), found
    return found.what


# ---- reading


@pytest.mark.parametrize(
    "comment",
    [
        f"# {SAID}",
        f"#{SAID}",
        f"## {SAID}",
        f"// {SAID}",
        f"; {SAID}",
        f"-- {SAID}",
        f"<!-- {SAID} -->",
        f"{{# {SAID} #}}",
        f"{{{{!-- {SAID} --}}}}",
        f"/* {SAID} */",
    ],
)
def test_a_comment_of_any_language_is_read(comment: str) -> None:
    for text in (f"{comment}\nx", f"x  {comment}\ny", f"\t{comment}\r\nx"):
        found = one(text, "a.conf")
        assert (found.rule, found.reason, f"{found.expires_at:%Y-%m-%dT%H:%M:%S%z}") == (RULE, "the disk is encrypted", f"{SOON}T00:00:00+0000")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (f"a\nb # {SAID}\nc\n", (2, 2)),
        (f"a\n# {SAID}\nc\nd\n", (2, 3)),
        (f"# {SAID}\n# and another comment\n\t# and one more\nc\nd\n", (1, 4)),
        (f"# {SAID}\n\nc\n", (1, 2)),
        (f"# {SAID}\nrun a \\\n  b \\\n  c\nd\n", (1, 4)),
        (f"run a \\\n  b # {SAID}\nc", (2, 2)),
        (f"-- {SAID}\n---\nd\n", (1, 2)),
        (f"# {SAID}", (1, 1)),
        (f"-- {SAID}\n- item\nd\n", (1, 2)),
    ],
)
def test_it_covers_its_own_line_or_the_one_below_with_the_comments_between(text: str, lines: tuple[int, int]) -> None:
    found = one(text, "a.yaml")
    assert (found.line, found.last) == lines


def test_what_has_no_line_is_covered_from_the_head_of_the_file() -> None:
    assert one(f"#!/bin/sh\n\n# what this is\n# {SAID}\nx\n").covers("a.sh", None)
    assert not one(f"x\n# {SAID}\ny\n").covers("a.sh", None)
    assert not one(f"x # {SAID}\n").covers("a.sh", None)
    assert not one(f"# {SAID}\nx\n").covers("b.sh", 1)


def test_a_moment_is_a_moment() -> None:
    assert one("# interlock: allow a.b because x until y until 2026-12-24T12:00:00+01:00").expires_at == datetime(2026, 12, 24, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("# interlock: allow", "names no guardrail"),
        (f"# interlock: allow because x until {SOON}", "names no guardrail"),
        (f"# interlock: allow a.b until {SOON}", "gives no reason"),
        (f"# interlock: allow a.b because until {SOON}", "gives no reason"),
        ("# interlock: allow a.b because it is fine", "gives no date"),
        ("# interlock: allow a.b because it is fine until", "gives no date"),
        ("# interlock: allow a.b because it is fine until christmas", "'christmas', which is no date"),
        ("# interlock: allow a.b because it is fine until 2026-02-30", "which is no date"),
        ("# interlock: allow a.b because it is fine until 0001-01-01T00:00:00+23:59", "which is no date"),
    ],
)
def test_what_is_missing_is_named(text: str, what: str) -> None:
    assert what in bad(text)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.md", f"# {SAID}"),
        ("a.md", f"```html\n<!-- {SAID} -->\n```\n"),
        ("a.py", f'text = """\n# {SAID}\n"""\n'),
        ("a.sh", f'echo "{SAID}"'),
        ("a.sh", f"echo '# {SAID}'"),
        ("a.sh", "# interlock: allowed is what is not forbidden"),
        ("a.sh", "# interlock: allow-list"),
        ("a.bin", f"\0\n# {SAID}"),
    ],
)
def test_what_is_no_comment_of_ours_is_left_alone(file: str, text: str) -> None:
    assert allows_in(file, text.encode()) == ()


def test_a_comment_of_a_page_or_of_a_program_is_one() -> None:
    assert one(f"<!-- {SAID} -->\n", "a.md")
    assert one(f"x = 1  # {SAID}\n", "a.py")
    assert one(f"x = (  # {SAID}\n", "broken.py")


PARTS = [*"#/;-<!>{}* \n\\ab:", "interlock: allow", " because ", " until ", "2026-01-01", "a.b"]


@given(parts=st.lists(st.sampled_from(PARTS), max_size=30))
def test_no_text_makes_reading_raise(parts: list[str]) -> None:
    text = "".join(parts)
    for found in allows_in("a.py", text.encode()) + allows_in("a.md", text.encode()):
        assert found.line >= 1


@given(data=st.binary(max_size=60))
def test_no_bytes_make_reading_raise(data: bytes) -> None:
    allows_in("x", b"# interlock: allow a.b " + data)


# ---- in a scan


def of_waivers(record: Record) -> list[Reason]:
    return [reason for reason in record.reasons if reason.code == 12]


def broken(comment: str = "", *, trailing: str = "") -> str:
    return f"#!/bin/sh\n{comment}pg_dump app > app.sql{trailing}\n"


@pytest.mark.parametrize("script", [broken(f"# {SAID}\n"), broken(trailing=f"  # {SAID}")], ids=["above", "behind"])
def test_a_finding_is_waived_and_the_record_says_by_what(tmp_path: Path, script: str) -> None:
    record = judged(write(tmp_path, {"ops/backup.sh": script}))
    found = verdict(record, "ops/backup.sh")
    assert found.outcome is Outcome.WAIVED
    assert [reason for reason in record.reasons if reason.code in (1, 12)] == []
    (waiver,) = record.waivers
    assert (waiver.by, waiver.source, waiver.reason) == (WaivedBy.COMMENT, "ops/backup.sh:2", "the disk is encrypted")
    assert (waiver.guardrail, waiver.subject, waiver.expires_at) == (RULE, "ops/backup.sh", f"{SOON}T00:00:00Z")
    assert found.waivers == (waiver.id,)


def test_a_finding_elsewhere_in_the_file_still_shuts_the_gate(tmp_path: Path) -> None:
    record = judged(write(tmp_path, {"backup.sh": broken(f"# {SAID}\n") + "mysqldump app > other.sql\n"}))
    found = verdict(record, "backup.sh")
    assert (found.outcome, record.exit_code, found.details.broken, found.details.waived) == (Outcome.BROKEN, 1, 1, 1)


FUTURE, PAST = f"{datetime.now(UTC) + timedelta(days=91):%Y-%m-%d}", f"{datetime.now(UTC):%Y-%m-%d}"


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        (f"# interlock: allow {RULE} because x until {PAST}", "expired at"),
        (f"# interlock: allow {RULE} because x until {FUTURE}", "more than 90 days ahead"),
        (f"# interlock: allow {RULE} because x", "gives no date"),
        (f"# interlock: allow backups.mode_600 because x until {SOON}", "does not exist"),
        (f"# interlock: allow site.confirmed because x until {SOON}", "can never be waived"),
        (f"# interlock: allow backups.fresh because x until {SOON}", "which no file alone breaks"),
    ],
)
def test_a_comment_that_may_not_be_is_a_reason_with_its_place(tmp_path: Path, comment: str, said: str) -> None:
    record = judged(write(tmp_path, {"backup.sh": broken(comment + "\n")}))
    (reason,) = of_waivers(record)
    assert reason.text.startswith("backup.sh:2: the comment ")
    assert said in reason.text
    assert (record.exit_code, verdict(record, "backup.sh").outcome) == (1, Outcome.BROKEN)


def test_an_unknown_guardrail_is_nearly_another_one(tmp_path: Path) -> None:
    record = judged(write(tmp_path, {"backup.sh": broken(f"# interlock: allow backups.mode_600 because x until {SOON}\n")}))
    assert "did you mean backups.mode_0600?" in of_waivers(record)[0].remedy


def test_a_comment_that_covers_nothing_is_an_error(tmp_path: Path) -> None:
    record = judged(write(tmp_path, {"backup.sh": CAREFUL.replace("umask", f"# {SAID}\numask"), "compose.yaml": "services: {}\n"}))
    (reason,) = of_waivers(record)
    assert (record.decision, reason.guardrail) == ("shut", RULE)
    assert reason.text.startswith(f"backup.sh:2: the comment allows {RULE}, and covers nothing")


def test_comments_in_tests_and_in_the_code_of_others_are_nobodys(tmp_path: Path) -> None:
    files = {f"{folder}/x.sh": broken(f"# {SAID}\n") for folder in ("tests", "vendor", "node_modules/a")}
    assert of_waivers(judged(write(tmp_path, {**files, "compose.yaml": "services: {}\n"}))) == []


def test_what_could_not_be_looked_at_is_covered_by_no_comment(tmp_path: Path) -> None:
    unread = Detail(what="w", outcome=Outcome.UNPROVEN, message="m", file="a.sh", line=2)
    run = GateRun.begin(GateRequest(gates=frozenset({When.STATIC}), start=write(tmp_path, {"interlock.yaml": site(), "a.sh": broken(f"# {SAID}\n")})), {})
    cover = run.waivers.covering(Pair(RULE, "a.sh"))
    assert cover is not None
    assert (cover(unread, "0" * 16), cover(replace(unread, outcome=Outcome.BROKEN), "0" * 16) is None) == (None, False)


def test_a_gate_of_pytest_knows_the_same_comments(tmp_path: Path) -> None:
    write(tmp_path, {"interlock.yaml": site(scripts={"files": ["a.sh"]}), "a.sh": broken(f"# {SAID}\n"), "b.sh": f"# {SAID}\nx\n"})
    run = GateRun.begin(GateRequest(gates=frozenset({When.STATIC}), start=tmp_path), {})
    case = open_case(run, (RULE, "a.sh"), "x")
    settled = settle(Broken("m", details=(Detail(what="w", outcome=Outcome.BROKEN, message="m", file="a.sh", line=3),)), case.sink)
    assert settled.outcome is Outcome.WAIVED
    assert {allow.place for allow in run.waivers.allows} == {"a.sh:2", "b.sh:1"}
    record = judged(tmp_path)
    assert [reason.text.split(": ")[0] for reason in of_waivers(record)] == ["b.sh:1"]
    (warning,) = unused_waivers(run.site, record)
    assert warning.startswith("warning: b.sh:1: the comment allows")
