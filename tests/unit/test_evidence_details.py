"""Details: written as they come, a directory at a time, and read back as the same facts."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import EvidenceError
from interlock.evidence.details import DetailLine, DetailWriter, HeldLines, by_verdict, canonical_held, canonical_line, concatenate, read_details, read_lines
from interlock.evidence.redact import Redactor
from interlock.verdicts import Age, Broken, Counts, Detail, Held, HeldRun, Outcome, Pair, Severity, Tally, Verdict, fingerprint, settle

PAIR = Pair("backups.mode_0600", "app@db1")
ANY_TEXT = st.text(st.characters(exclude_categories=())).filter(lambda text: text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") == text)
DETAILS = st.builds(
    Detail,
    what=ANY_TEXT,
    outcome=st.sampled_from([Outcome.HELD, Outcome.BROKEN, Outcome.UNPROVEN]),
    message=ANY_TEXT,
    kind=ANY_TEXT,
    file=ANY_TEXT,
    line=st.none() | st.integers(1, 10**6),
    value=st.none() | st.integers(-5, 10**12),
)
RUNS = st.builds(
    HeldRun,
    prefix=st.sampled_from(["", "/srv/", "/s é/", '/"/']) | ANY_TEXT,
    names=st.lists(st.text("ab.-<&") | ANY_TEXT, max_size=8),
    message=st.just("0600") | ANY_TEXT,
)
NOTHING_HIDDEN = Redactor()


def write(path: Path, items: list[Detail | HeldRun], redactor: Redactor = NOTHING_HIDDEN) -> Counts:
    with DetailWriter(path, PAIR, redactor=redactor) as writer:
        for item in items:
            if isinstance(item, HeldRun):
                writer.held_run(item)
            else:
                writer.detail(item)
    return writer.close()


def each_of(run: HeldRun) -> list[Detail]:
    return [Detail(what=run.prefix + name, outcome=Outcome.HELD, message=run.message) for name in run.names]


def expected(items: list[Detail | HeldRun]) -> list[DetailLine]:
    """What any reader of JSON finds: one plain object for each detail."""
    lines: list[DetailLine] = []
    for item in items:
        held = each_of(item) if isinstance(item, HeldRun) else [item]
        for detail in held:
            line: DetailLine = {
                "guardrail": PAIR.guardrail,
                "subject": PAIR.subject,
                "outcome": detail.outcome.value,
                "what": detail.what,
                "message": detail.message,
            }
            if detail.kind:
                line["kind"] = detail.kind
            if detail.file:
                line["file"] = detail.file
            if detail.line is not None:
                line["line"] = detail.line
            if detail.outcome is not Outcome.HELD:
                line["key"] = fingerprint(PAIR, detail)
            if detail.value is not None:
                line["value"] = detail.value
            lines.append(line)
    return lines


@given(items=st.lists(DETAILS | RUNS, max_size=12))
def test_every_detail_is_one_json_line_and_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, items: list[Detail | HeldRun]) -> None:
    path = tmp_path_factory.mktemp("spool") / "details.jsonl"
    unchanged = Redactor()
    unchanged.redact = lambda text: text  # type: ignore[method-assign]
    counts = write(path, items, unchanged)
    wanted = expected(items)
    if not wanted:
        assert not path.exists()
        return
    assert [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]] == wanted
    assert list(read_details(path)) == wanted
    assert counts.total == len(wanted)
    assert counts.sha256 == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


@given(items=st.lists(DETAILS | RUNS, min_size=1, max_size=12))
def test_every_line_is_its_own_canonical_text(tmp_path_factory: pytest.TempPathFactory, items: list[Detail | HeldRun]) -> None:
    path = tmp_path_factory.mktemp("spool") / "details.jsonl"
    write(path, [*items, Detail(what="", outcome=Outcome.HELD, message="")])
    again = b"".join(canonical_held(found) if isinstance(found, HeldLines) else canonical_line(found) for found in read_lines(path))
    assert again == path.read_bytes()


def test_a_directory_of_files_is_read_back_together(tmp_path: Path) -> None:
    write(tmp_path / "d", [HeldRun(prefix="/srv/", names=[f"f{n}" for n in range(9000)], message="0600")])
    assert [(type(found), len(found.whats)) for found in read_lines(tmp_path / "d") if isinstance(found, HeldLines)] == [(HeldLines, 9000)]


def test_names_that_need_escaping_do_not_keep_their_neighbours_from_being_read(tmp_path: Path) -> None:
    names = ["plain", 'quo"te', "back\\slash", "new\nline", "umlaut-ä", "not-utf8-\udcff", "tab\t"]
    write(tmp_path / "d", [HeldRun(prefix="/srv/", names=names, message="0600")])
    assert [line["what"] for line in read_details(tmp_path / "d")] == ["/srv/" + name for name in names]


def test_a_spool_is_private_and_made_only_for_a_detail(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        write(tmp_path / "some", [Detail(what="x", outcome=Outcome.HELD, message="")])
        write(tmp_path / "none", [])
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "some").stat().st_mode) == 0o600
    assert not (tmp_path / "none").exists()


def test_no_detail_has_no_digest(tmp_path: Path) -> None:
    assert write(tmp_path / "none", []) == Counts()


def test_a_spool_is_never_written_through_a_link_or_over_a_file(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "link").symlink_to(victim)
    for name in ("link", "victim"):
        with pytest.raises(EvidenceError, match="could not be written"):
            write(tmp_path / name, [Detail(what="x", outcome=Outcome.HELD, message="")])
    assert victim.read_text() == "precious"


def test_a_full_disk_is_an_error_and_not_a_short_file() -> None:
    writer = DetailWriter(Path("/dev/full/x"), PAIR)
    writer.detail(Detail(what="x", outcome=Outcome.HELD, message=""))
    with pytest.raises(EvidenceError) as caught:
        writer.close()
    assert caught.value.exit_code == 17
    assert caught.value.remedy


def test_a_waived_detail_comes_back_waived_and_names_its_waiver(tmp_path: Path) -> None:
    detail = Detail(what="a.dump", outcome=Outcome.BROKEN, kind="mode", message="0644")
    asked: list[tuple[Detail, str]] = []

    def waive(asked_for: Detail, key: str) -> str | None:
        asked.append((asked_for, key))
        return "W-1" if asked_for.what == "a.dump" else None

    with DetailWriter(tmp_path / "d", PAIR, waive=waive) as writer:
        settled = settle(Broken("two are wrong", details=(detail, Detail(what="b.dump", outcome=Outcome.BROKEN, kind="mode", message="0644"))), writer)
    assert settled.outcome is Outcome.BROKEN
    assert (writer.close().waived, writer.close().broken, writer.waivers) == (1, 1, ("W-1",))
    assert asked[0] == (detail, fingerprint(PAIR, detail))
    assert [(line["outcome"], line.get("waiver")) for line in read_details(tmp_path / "d")] == [("waived", "W-1"), ("broken", None)]


def test_nobody_is_asked_to_waive_what_holds(tmp_path: Path) -> None:
    with DetailWriter(tmp_path / "d", PAIR, waive=lambda _detail, _key: "W-1") as writer:
        writer.detail(Detail(what="y", outcome=Outcome.HELD, message="0600"))
    assert (writer.close().waived, writer.waivers) == (0, ())


def test_the_age_of_a_finding_is_asked_before_it_is_waived_and_written(tmp_path: Path) -> None:
    asked: list[Age | None] = []
    writer = DetailWriter(tmp_path / "d", PAIR, waive=lambda detail, _key: asked.append(detail.age), compare=lambda _detail, _key: Age.OLD)
    counted = writer.detail(Detail(what="x", outcome=Outcome.BROKEN, message="m"))
    writer.close()
    (line,) = read_details(tmp_path / "d")
    assert (asked, counted.age, line["age"], canonical_line(line)) == ([Age.OLD], Age.OLD, "old", (tmp_path / "d").read_bytes())


def test_a_retried_look_leaves_nothing_of_the_look_before(tmp_path: Path) -> None:
    writer = DetailWriter(tmp_path / "d", PAIR)
    settle(Held("up"), writer)
    writer.discard()
    assert not (tmp_path / "d").exists()


def test_secrets_are_hidden_in_names_messages_and_files(tmp_path: Path) -> None:
    redactor = Redactor(["hunter22"])
    items: list[Detail | HeldRun] = [
        HeldRun(prefix="/srv/", names=["plain", "hunter22.dump"], message="0600 hunter22"),
        HeldRun(prefix="/srv/hunter", names=["22.dump", "33.dump"], message="0600"),
        Detail(what="hunter22", outcome=Outcome.BROKEN, message="password=letmein9", file="/etc/hunter22"),
    ]
    write(tmp_path / "d", items, redactor)
    text = (tmp_path / "d").read_text()
    assert "hunter22" not in text
    assert "letmein9" not in text
    assert [line["what"] for line in read_details(tmp_path / "d")] == ["/srv/plain", "/srv/***.dump", "/srv/***.dump", "/srv/hunter33.dump", "***"]


def test_a_key_is_that_of_the_redacted_detail(tmp_path: Path) -> None:
    shown = DetailWriter(tmp_path / "d", PAIR, redactor=Redactor(["hunter22"])).detail(Detail(what="hunter22", outcome=Outcome.BROKEN, message=""))
    assert shown.what == "***"


def verdict(counts: Counts, subject: str = PAIR.subject) -> Verdict:
    return Verdict(guardrail=PAIR.guardrail, subject=subject, host="local", outcome=Outcome.HELD, severity=Severity.HIGH, message="", details=counts)


def test_spools_are_put_together_in_order_and_counted(tmp_path: Path) -> None:
    first = write(tmp_path / "1", [HeldRun(prefix="", names=["a", "b"], message="m")])
    second = write(tmp_path / "2", [Detail(what="c", outcome=Outcome.HELD, message="m")])
    parts: list[bytes] = []
    spools = [(verdict(first), tmp_path / "1"), (verdict(Counts()), None), (verdict(second), tmp_path / "2")]
    assert concatenate(spools, parts.append) == 3
    assert b"".join(parts) == (tmp_path / "1").read_bytes() + (tmp_path / "2").read_bytes()


@pytest.mark.parametrize("harm", ["missing", "shortened", "longer", "nowhere"])
def test_a_spool_that_is_not_what_its_verdict_counts_is_an_error(tmp_path: Path, harm: str) -> None:
    counts = write(tmp_path / "d", [HeldRun(prefix="", names=["a", "b"], message="m")])
    data = (tmp_path / "d").read_bytes()
    match harm:
        case "missing":
            (tmp_path / "d").unlink()
        case "shortened":
            (tmp_path / "d").write_bytes(data[: len(data) // 2])
        case "longer":
            (tmp_path / "d").write_bytes(data + data)
    with pytest.raises(EvidenceError, match="the details of"):
        concatenate([(verdict(counts), None if harm == "nowhere" else tmp_path / "d")], lambda _: None)


GOOD = b'{"guardrail":"g","subject":"s","outcome":"held","what":"w","message":"m"}\n'


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"\n", "no JSON"),
        (b"{}\n", "lacks"),
        (b"[]\n", "no object"),
        (b"null\n", "no object"),
        (b"\xff\n", "not ASCII"),
        (b"[" * 100_000 + b"\n", "no JSON"),
        (GOOD[:-1], "no end"),
        (GOOD.replace(b'"held"', b'"not_run"'), "no outcome"),
        (GOOD.replace(b'"m"}', b'"m","line":true}'), "its line"),
        (GOOD.replace(b'"m"}', b'"m","line":"7"}'), "its line"),
        (GOOD.replace(b'"m"}', b'"m","colour":"red"}'), "its colour"),
        (GOOD.replace(b'"w"', b"7"), "its what"),
        (GOOD.replace(b'"w"', b'"\x01"'), "no JSON"),
    ],
)
def test_a_line_that_is_no_detail_is_named(tmp_path: Path, line: bytes, why: str) -> None:
    (tmp_path / "details.jsonl").write_bytes(GOOD * 3 + line)
    with pytest.raises(EvidenceError, match=why) as caught:
        list(read_details(tmp_path / "details.jsonl"))
    assert caught.value.where.endswith("details.jsonl:4")


def test_details_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="cannot be read"):
        list(read_details(tmp_path / "nothing"))


def test_lines_longer_than_a_block_are_read_whole(tmp_path: Path) -> None:
    long = Detail(what="w", outcome=Outcome.BROKEN, message="é" * 700_000)
    write(tmp_path / "d", [long, long, HeldRun(prefix="x" * 300, names=["n"] * 5000, message="m")])
    assert [len(line["message"]) for line in read_details(tmp_path / "d")][:3] == [700_000, 700_000, 1]
    assert sum(1 for _ in read_details(tmp_path / "d")) == 5002


def test_each_verdict_gets_its_own_lines_and_may_leave_some(tmp_path: Path) -> None:
    lines = iter([HeldLines("g", "a", "m", ["1", "2"]), HeldLines("g", "a", "n", ["3"]), HeldLines("g", "c", "m", ["4"])])
    verdicts = [Verdict(guardrail="g", subject=name, host="", outcome=Outcome.HELD, severity=Severity.LOW, message="") for name in "abc"]
    got = {one.subject: next(own, None) for one, own in by_verdict(verdicts, lines)}
    assert [found and list(found.whats) for found in got.values() if isinstance(found, HeldLines) or found is None] == [["1", "2"], None, ["4"]]


def test_lines_of_no_verdict_are_an_error() -> None:
    with pytest.raises(EvidenceError, match="where no verdict has them"):
        list(by_verdict([], iter([HeldLines("g", "a", "m", ["1"])])))


def test_memory_stays_flat_however_many_names_there_are(tmp_path: Path) -> None:
    names = [f"f{n:07d}.dump" for n in range(1000)]
    tracemalloc.start()
    try:
        with DetailWriter(tmp_path / "d", PAIR) as writer:
            for directory in range(200):
                writer.held_run(HeldRun(prefix=f"/srv/{directory}/", names=names, message="0600"))
        count = sum(len(found.whats) for found in read_lines(tmp_path / "d") if isinstance(found, HeldLines))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 200_000
    assert peak < 12_000_000


def test_the_tally_of_a_judgement_is_what_the_writer_counts(tmp_path: Path) -> None:
    with DetailWriter(tmp_path / "d", PAIR) as writer:
        tally: Tally = settle(
            Broken("b", details=(Detail(what="x", outcome=Outcome.BROKEN, message=""), Detail(what="y", outcome=Outcome.HELD, message=""))), writer
        ).tally
    counts = writer.close()
    assert (tally.held, tally.broken, tally.unproven, tally.waived) == (counts.held, counts.broken, counts.unproven, counts.waived)
