"""What a scan says to a terminal, a pull request, a merge request: nothing that others wrote acts, and the gravest comes first."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.cli import FORMATS, SCAN_FORMATS, main
from interlock.commands.comparing import Scanned, ScanRequest, scanned
from interlock.commands.explain import explained, section
from interlock.commands.scan_report import Outputs, in_repository, rendered, report
from interlock.errors import UsageError
from interlock.evidence import github, gitlab, scan_text
from interlock.evidence.findings import findings
from interlock.evidence.record import Compared
from interlock.evidence.text import Style
from interlock.judge import catalogue
from interlock.verdicts import Age, Broken, Detail, Held, Outcome, Severity, Unproven, When
from tests.evidence_samples import Judged, Sample, publish
from tests.unit.test_scan import CAREFUL, CARELESS, write
from tests.unit.test_scan_comparing import repository

ANY_TEXT = st.text(st.characters(exclude_categories=()), min_size=1, max_size=40)


def detail(file: str = "a.sh", line: int | None = 3, **more: object) -> Detail:
    whole = {"what": file, "outcome": Outcome.BROKEN, "message": f"line {line}: it is wrong", "file": file, "line": line} | more
    return Detail(**whole)  # type: ignore[arg-type]


def judged(*details: Detail, guardrail: str = "backups.mode_0600", subject: str = "s", severity: Severity = Severity.HIGH) -> Judged:
    return Judged(guardrail=guardrail, subject=subject, judgement=Broken("m", remedy="mend it", details=details), severity=severity)


def run(tmp_path: Path, *all_judged: Judged, **more: object) -> Scanned:
    loaded = publish(tmp_path, Sample(judged=list(all_judged), gates=(When.STATIC,), **more))  # type: ignore[arg-type]
    return Scanned(record=loaded.record, details=loaded.details)


def text(found: Scanned, **style: object) -> str:
    return "".join(scan_text.render(found.record, found.details, Style(**style), {"backups.mode_0600": "backups are private"}))  # type: ignore[arg-type]


# ---- text


def test_findings_are_grouped_the_gravest_first_with_one_remedy_and_one_line_of_counts(tmp_path: Path) -> None:
    shown = text(
        run(
            tmp_path,
            judged(detail("z.sh"), detail("a.sh", 12), severity=Severity.CRITICAL),
            judged(detail("low.sh"), guardrail="env.x", severity=Severity.LOW),
            judged(detail("high.sh"), guardrail="env.y"),
            Judged(guardrail="env.z", subject="s", judgement=Held("fine")),
        )
    )
    order = ["CRITICAL\n", "  backups.mode_0600: backups are private\n", "    a.sh:12  it is wrong\n", "    z.sh:3  it is wrong\n", "    remedy: mend it\n"]
    order += ["    why it matters: interlock scan --explain backups.mode_0600\n", "\nHIGH\n", "  env.y\n", "\nLOW, for information\n"]
    places = [shown.index(part) for part in order]
    assert places == sorted(places)
    assert shown.count("remedy: mend it") == 3
    assert shown.splitlines()[-2:] == [
        "SHUT (exit code 1): 3 findings shut the gate (2 critical, 1 high); 1 informs (1",
        "     low); 1 pair held in 1 family",
    ]


def test_one_fault_of_a_file_in_three_chains_is_one_finding(tmp_path: Path) -> None:
    found = run(tmp_path, *(judged(detail(), subject=name) for name in ("one", "three", "two")))
    (only,) = findings(found.record, found.details)
    assert only.subjects == ("one", "three", "two")
    assert "(for one, three, two)" in text(found)


def test_what_could_not_be_looked_at_is_said_to_be_that(tmp_path: Path) -> None:
    unread = Detail(what="x", outcome=Outcome.UNPROVEN, message="permission denied", file="x.sh")
    shown = text(run(tmp_path, Judged(guardrail="a.b", subject="x.sh", judgement=Unproven("m", details=(unread,)))))
    assert "x.sh  unproven: permission denied" in shown
    assert "SHUT (exit code 11): 1 finding shuts the gate (1 unproven)" in shown


def test_new_findings_come_before_old_ones(tmp_path: Path) -> None:
    def compared(record: object) -> object:
        import dataclasses

        return dataclasses.replace(record, compared=Compared(revision="main", commit="a" * 40, only_new=False))  # type: ignore[type-var]

    shown = text(run(tmp_path, judged(detail("a.sh", age=Age.OLD), detail("b.sh", age=Age.NEW)), change=compared))
    assert shown.index("b.sh:3  [new] it is wrong") < shown.index("a.sh:3  [old] it is wrong")
    assert "1 new since main" in shown


@pytest.mark.parametrize("width", [60, 80, 130, 200])
def test_no_line_is_wider_than_the_terminal(tmp_path: Path, width: int) -> None:
    long = detail("a/long/folder/and/another/one/with/a/file.yaml", 1234, message="words and " * 60)
    shown = text(run(tmp_path, judged(detail(message="words and " * 60), long), not_used={"mounts": "there is none " * 20}), width=width)
    assert max(len(line) for line in shown.splitlines()) <= width
    assert max(len(line) for line in shown.splitlines()) > width - 20


def test_colour_says_nothing_that_is_not_said_without_it(tmp_path: Path) -> None:
    found = run(tmp_path, judged(detail()))
    assert re.sub(r"\x1b\[[0-9;]*m", "", text(found, color=True)) == text(found)
    assert "\x1b" in text(found, color=True)


@pytest.mark.parametrize(
    ("tty", "environ", "colored"), [(False, {}, False), (True, {}, True), (True, {"NO_COLOR": "1"}, False), (True, {"TERM": "dumb"}, False)]
)
def test_colour_is_for_terminals_that_want_it(tmp_path: Path, tty: bool, environ: dict[str, str], colored: bool) -> None:
    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return tty

    stream = Terminal()
    report(run(tmp_path, judged(detail())), Outputs(form="text"), tmp_path, environ, stream)
    assert ("\x1b" in stream.getvalue()) is colored


def test_a_shut_gate_without_a_finding_says_why(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("hello")
    found = scanned(ScanRequest(root=tmp_path, environ=os.environ))
    assert "no file of this tree is one that a guardrail is about" in "".join(rendered(found, "text", ""))


# ---- GitHub


def commands(found: Scanned, prefix: str = "") -> list[str]:
    return "".join(github.render(found.record, found.details, prefix)).split("::group::")[0].split("\n")[:-1]


def test_an_annotation_stands_at_its_line_of_the_repository(tmp_path: Path) -> None:
    first, second = commands(run(tmp_path, judged(detail())), "deploy/")
    assert first == "::notice title=interlock scan::SHUT (exit code 1): 1 finding"
    why = "Why: interlock scan --explain backups.mode_0600"
    assert second == f"::error file=deploy/a.sh,line=3,title=backups.mode_0600::it is wrong%0ARemedy: mend it%0A{why}"


@pytest.mark.parametrize(("severity", "kind"), [(Severity.CRITICAL, "error"), (Severity.HIGH, "error"), (Severity.MEDIUM, "warning"), (Severity.LOW, "notice")])
def test_a_severity_is_a_kind_of_annotation(tmp_path: Path, severity: Severity, kind: str) -> None:
    assert commands(run(tmp_path, judged(detail(), severity=severity)))[1].startswith(f"::{kind} ")


def test_ten_of_a_kind_are_shown_the_gravest_first_and_the_rest_are_counted(tmp_path: Path) -> None:
    many = [detail(f"{number:02}.sh") for number in range(15)]
    shown = commands(run(tmp_path, judged(*many), judged(detail("worst.sh"), guardrail="z.z", severity=Severity.CRITICAL)))
    assert "16 errors, of which 10 are shown here" in shown[0]
    errors = [line for line in shown if line.startswith("::error")]
    assert (len(errors), "file=worst.sh" in errors[0]) == (10, True)


def test_names_and_messages_are_escaped(tmp_path: Path) -> None:
    (_, shown) = commands(run(tmp_path, judged(detail("a,b:c%\n::error::x.sh", message="50%\n::set-output name=x::y"))))
    assert "file=a%2Cb%3Ac%25\\x0a%3A%3Aerror%3A%3Ax.sh," in shown
    assert "50%25\\x0a::set-output" in shown


def test_what_is_printed_below_is_no_command(tmp_path: Path) -> None:
    found = run(tmp_path, judged(detail(message="word " * 15 + "::error::injected " * 10)))
    whole = "".join(github.render(found.record, found.details))
    stopped = re.search(r"^::stop-commands::([0-9a-f]{32})$(.*)^::\1::$", whole, re.MULTILINE | re.DOTALL)
    assert stopped is not None
    assert "injected" in stopped[2]
    assert "injected" in whole[: stopped.start()]
    assert not [line for line in whole[: stopped.start()].splitlines() if line.lstrip().startswith("::error::injected")]


@given(any_text=ANY_TEXT)
@settings(max_examples=60)
def test_any_text_makes_one_line_a_command(tmp_path_factory: pytest.TempPathFactory, any_text: str) -> None:
    found = run(tmp_path_factory.mktemp("r"), judged(detail(any_text, message=any_text)))
    for line in commands(found):
        assert re.match(r"::(?:notice|error) (?:file=[^,:]*,line=3,)?title=[^,:\n]*::", line), line


def test_the_summary_of_the_job_is_markdown(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    report(run(tmp_path / "r", judged(detail())), Outputs(form="github"), tmp_path, {"GITHUB_STEP_SUMMARY": str(summary)}, io.StringIO())
    assert summary.read_text().startswith("before\n# interlock: SHUT")
    report(run(tmp_path / "q", judged(detail())), Outputs(form="text"), tmp_path, {"GITHUB_STEP_SUMMARY": str(summary)}, io.StringIO())
    assert summary.read_text().count("# interlock: SHUT") == 1


# ---- GitLab


def test_a_code_quality_report_has_what_gitlab_asks_for(tmp_path: Path) -> None:
    found = run(tmp_path, judged(detail(), detail(line=9), severity=Severity.CRITICAL), judged(detail("", None), guardrail="env.x"))
    entries = json.loads("".join(gitlab.render(found.record, found.details, "deploy/")))
    assert [entry["location"] for entry in entries] == [{"path": "deploy/a.sh", "lines": {"begin": line}} for line in (3, 9)]
    assert {entry["severity"] for entry in entries} == {"blocker"}
    assert len({entry["fingerprint"] for entry in entries}) == 2
    assert entries[0]["description"] == "it is wrong. Remedy: mend it"
    assert entries[0]["check_name"] == "backups.mode_0600"


# ---- where it goes


def test_a_part_of_a_repository_is_named_from_its_root(tmp_path: Path) -> None:
    repository(tmp_path, {"deploy/a.sh": CAREFUL})
    assert (in_repository(tmp_path, {}), in_repository(tmp_path / "deploy", {})) == ("", "deploy/")
    assert in_repository(tmp_path / "deploy", {"GITHUB_WORKSPACE": str(tmp_path / "deploy")}) == ""
    assert in_repository(tmp_path / "deploy", {"CI_PROJECT_DIR": "/elsewhere"}) == "deploy/"


def test_one_scan_is_written_in_several_formats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "tree", {"a.sh": CARELESS})
    also = [f"--also={form}={tmp_path / form}" for form in (*FORMATS, *SCAN_FORMATS)]
    assert main(["scan", str(tmp_path / "tree"), *also]) == 1
    assert "backups.mode_0600" in capsys.readouterr().out
    for form in (*FORMATS, *SCAN_FORMATS):
        assert "backups.mode_0600" in (tmp_path / form).read_text()
    assert json.loads((tmp_path / "json").read_text())["decision"] == "shut"


@pytest.mark.parametrize("wrong", ["sarif", "sarif=", "yaml=x", "=x"])
def test_an_output_that_is_none_is_a_wrong_command_line(wrong: str) -> None:
    with pytest.raises(UsageError, match="no FORMAT=FILE"):
        Outputs.of("text", None, [wrong], FORMATS)


@pytest.mark.parametrize("wrong", [["--new-only"], ["--baseline", "a", "--write-baseline", "b"], ["--explain", "backups.mode_600"]])
def test_a_wrong_command_line_ends_with_64(tmp_path: Path, wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", str(tmp_path), *wrong]) == 64
    assert "remedy:" in capsys.readouterr().err


# ---- --explain


@pytest.mark.parametrize("guardrail", [guardrail for guardrail in catalogue() if When.STATIC in guardrail.when], ids=lambda guardrail: guardrail.id)
def test_every_guardrail_of_a_scan_is_explained(guardrail: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = explained(guardrail.id)  # type: ignore[attr-defined]
    assert shown.startswith(f"{guardrail.id}  (")  # type: ignore[attr-defined]
    flat = " ".join(shown.split())
    assert all(f"{part}:" in shown for part in ("must hold", "why", "remedy", "more"))
    assert " ".join(guardrail.remedy.split()) in flat  # type: ignore[attr-defined]
    assert section(guardrail) == "" or len(flat) > 400  # type: ignore[arg-type]
    assert "<!--" not in shown


def test_the_page_is_read_as_text_with_its_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = explained("compose.strict_parse")
    assert "Holds when one compose file can be read to its end" in shown
    assert "\n    compose:\n      files: [compose.yaml, compose.prod.yaml]\n" in shown
    assert "duplicate-key  the key stands on two lines" in shown
    assert "compose.chain_valid" not in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_without_a_name_all_guardrails_of_a_scan_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = explained("").splitlines()
    static = [guardrail.id for guardrail in catalogue() if When.STATIC in guardrail.when]
    assert [line.split()[0] for line in lines[: len(static)]] == static
    assert max(map(len, lines)) <= 80


def test_a_misspelt_guardrail_is_nearly_another_one() -> None:
    with pytest.raises(UsageError) as raised:
        explained("backup.mode_0600")
    assert "did you mean backups.mode_0600?" in str(raised.value)
