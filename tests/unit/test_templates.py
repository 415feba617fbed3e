"""templates.byte_equivalent: how two files differ, what is shown of it, and what is judged at the target."""

from __future__ import annotations

import difflib
import stat
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from interlock.config.models import Host, Instance, Site, Template
from interlock.facts.differences import SHOWN_COLUMNS, SHOWN_LINES, Difference, Side, common_prefix, differences, lines_of, unified_diff, visible
from interlock.facts.looks import StatAnswer
from interlock.facts.substitution import expand
from interlock.facts.templates import Canonical, Header, InstanceFiles, NotRendered, Rendered, Secrets, Target, TemplateFile, Unseen
from interlock.judge.templates import BYTE_EQUIVALENT, judge_byte_equivalence
from interlock.verdicts import Broken, HeldRun, NullSink, Outcome, Streamed, Unproven, settle

Judged = Broken | Unproven | Streamed

AGREED = b"# managed\nlisten 80;\nroot /srv;\n"
BOM = b"\xef\xbb\xbf"
UNSEEN = Unseen(message="host web1 did not answer", remedy="start it")


def case(
    rendered: bytes = AGREED,
    canonical: bytes | None = AGREED,
    *,
    mode: int = 0o644,
    executable: bool = False,
    header: Header | None = None,
    target: Target | None = None,
    mode_stated: bool = True,
) -> TemplateFile:
    return TemplateFile(
        template="nginx",
        rendered=Rendered(
            template="nginx", instance="main", content=rendered, mode=mode, host="local", target="/srv/nginx.conf", canonical="canonical/nginx.conf", keys=()
        ),
        canonical_path="canonical/nginx.conf",
        canonical=None if canonical is None else Canonical(path="canonical/nginx.conf", content=canonical, executable=executable),
        mode=mode,
        mode_stated=mode_stated,
        header=header,
        target=target,
    )


def judge(*files: TemplateFile) -> Judged:
    return judge_byte_equivalence(InstanceFiles(instance="main", files=iter(files)))


def holds(*files: TemplateFile) -> bool:
    return settle(judge(*files), NullSink()).outcome is Outcome.HELD


def broken_kinds(file: TemplateFile) -> list[str]:
    judgement = judge(file)
    assert isinstance(judgement, Broken), judgement
    assert judgement.remedy
    return [detail.kind for detail in judgement.details if detail.outcome is Outcome.BROKEN]


def test_equal_bytes_hold() -> None:
    settled = settle(judge(case(), replace(case(), template="app")), NullSink())
    assert (settled.outcome, settled.message, settled.tally.held) == (Outcome.HELD, "2 files of main byte for byte as reviewed", 4)


def test_details_that_say_the_same_are_kept_together() -> None:
    judgement = judge(case(), replace(case(), template="app"))
    assert isinstance(judgement, Streamed)
    assert list(judgement.details) == [
        HeldRun(prefix="", names=["nginx content", "app content"], message="byte for byte its canonical file"),
        HeldRun(prefix="", names=["nginx mode", "app mode"], message="0644, and the canonical file agrees"),
    ]


@pytest.mark.parametrize(
    ("rendered", "kinds"),
    [
        (AGREED.replace(b"80", b"81"), ["content"]),
        (AGREED + b"gzip on;\n", ["content"]),
        (b"", ["content"]),
        (BOM + AGREED, ["byte-order-mark"]),
        (AGREED.replace(b"\n", b"\r\n"), ["line-ends"]),
        (AGREED.replace(b"\n", b"\r\n", 1), ["line-ends"]),
        (AGREED.rstrip(b"\n"), ["final-newline"]),
        (AGREED + b"\n\n", ["final-newline"]),
        (AGREED.replace(b"\n", b"\r\n").rstrip(b"\r\n"), ["line-ends", "final-newline"]),
        (BOM + AGREED.replace(b"\n", b"\r\n"), ["byte-order-mark", "line-ends"]),
        (AGREED.replace(b"listen 80", b"listen  80"), ["whitespace"]),
        (AGREED.replace(b"listen", b"\tlisten"), ["whitespace"]),
        (AGREED.replace(b";\n", b"; \n"), ["whitespace"]),
        (AGREED.replace(b"listen 80", b"listen80"), ["content"]),
        (b"# managed by interlock\n# for main\n" + AGREED.partition(b"\n")[2], ["header"]),
        (AGREED.partition(b"\n")[2], ["header"]),
        (BOM + AGREED.replace(b"80", b"81"), ["byte-order-mark", "content"]),
    ],
)
def test_a_difference_is_named_in_the_mildest_words_that_are_true(rendered: bytes, kinds: list[str]) -> None:
    assert broken_kinds(case(rendered)) == kinds
    assert broken_kinds(case(AGREED, rendered)) == kinds


def test_the_message_says_where_and_how_large() -> None:
    judgement = judge(case(AGREED.replace(b"80", b"8080")))
    assert isinstance(judgement, Broken)
    assert judgement.message == "nginx: not canonical/nginx.conf: they differ, first at byte 19, line 2 (34 bytes rendered, 32 canonical)"
    (detail,) = [detail for detail in judgement.details if detail.outcome is Outcome.BROKEN]
    assert (detail.what, detail.file, detail.line) == ("nginx content", "canonical/nginx.conf", 2)
    assert detail.message.splitlines()[1:] == [
        "--- canonical/nginx.conf",
        "+++ nginx for main",
        "@@ -1,3 +1,3 @@",
        " # managed",
        "-listen 80;",
        "+listen 8080;",
        " root /srv;",
    ]


HEADER_TWO = Header(lines=2)
HEADER_MARK = Header(marker=b"# ---")


@pytest.mark.parametrize(
    ("rendered", "canonical", "header"),
    [
        (b"a\nb\nbody\n", b"c\nd\nbody\n", HEADER_TWO),
        (b"a\nb\nbody\n", b"body\n", HEADER_TWO),
        (b"# x\n# ---\nbody\n", b"# y\n# z\n# ---\nbody\n", HEADER_MARK),
        (b"# x\n# ---\nbody\n", b"body\n", HEADER_MARK),
        (b"# x\r\n# ---\r\nbody\n", b"body\n", HEADER_MARK),
        (b"a\n", b"b\n", HEADER_TWO),
    ],
)
def test_a_declared_header_may_differ(rendered: bytes, canonical: bytes, header: Header) -> None:
    assert holds(case(rendered, canonical, header=header))


@pytest.mark.parametrize(
    ("rendered", "canonical", "header", "kinds"),
    [
        (b"a\nb\nbody\n", b"c\nd\nBODY\n", HEADER_TWO, ["content"]),
        (b"a\nb\nc\nbody\n", b"body\n", HEADER_TWO, ["content"]),
        (b"body\n", b"# ---\nbody\n", HEADER_MARK, ["header-missing"]),
        (b"x\n" * 100 + b"# ---\nbody\n", b"body\n", HEADER_MARK, ["header-missing"]),
        (b"# ---\nbody \n", b"# other\n# ---\nbody\n", HEADER_MARK, ["whitespace"]),
    ],
)
def test_nothing_but_the_declared_header_may_differ(rendered: bytes, canonical: bytes, header: Header, kinds: list[str]) -> None:
    assert broken_kinds(case(rendered, canonical, header=header)) == kinds


def test_a_difference_below_a_header_is_placed_in_the_whole_file() -> None:
    judgement = judge(case(b"a\nb\nc\nd\nx\n", b"A\nB\nc\nd\ny\n", header=HEADER_TWO))
    assert isinstance(judgement, Broken)
    assert "first at byte 8, line 5" in judgement.message
    assert "@@ -3,3 +3,3 @@" in judgement.details[0].message


def test_a_missing_canonical_file_is_broken() -> None:
    assert broken_kinds(case(canonical=None)) == ["canonical-missing"]


def test_an_env_file_that_cannot_be_used_is_broken_for_its_own_reason() -> None:
    fault = NotRendered(kind="values", message="main.env:3:1: X is set twice", remedy="remove one", file="main.env", line=3)
    judgement = judge(replace(case(), rendered=fault, canonical=None))
    assert isinstance(judgement, Broken)
    assert (judgement.kind, judgement.remedy, judgement.details[0].line) == ("values", "remove one", 3)


def test_what_cannot_be_rendered_is_left_to_the_rule_for_that_and_proves_nothing_here() -> None:
    fault = NotRendered(kind="undefined-variable", message="templates/nginx.conf:3:1: variable X is not defined", remedy="define X", file="t", line=3)
    assert isinstance(judge(replace(case(), rendered=fault, canonical=None)), Unproven)


@pytest.mark.parametrize(("mode", "executable"), [(0o755, False), (0o644, True), (0o600, True)])
def test_a_mode_that_disagrees_about_execution_is_broken(mode: int, executable: bool) -> None:
    assert broken_kinds(case(mode=mode, executable=executable)) == ["mode"]


@pytest.mark.parametrize(("mode", "executable"), [(0o755, True), (0o640, False), (0o600, False)])
def test_a_mode_that_only_widens_or_narrows_reading_is_no_difference(mode: int, executable: bool) -> None:
    assert holds(case(mode=mode, executable=executable))


def at_target(mode: int) -> Target:
    return Target(path="/srv/nginx.conf", seen=StatAnswer(present=True, mode=mode))


def test_a_target_that_is_not_there_yet_holds() -> None:
    assert holds(case(target=Target(path="/srv/nginx.conf", seen=StatAnswer(present=False))))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (stat.S_IFREG | 0o600, "target-mode"),
        (stat.S_IFREG | 0o4644, "target-mode"),
        (stat.S_IFDIR | 0o644, "target-kind"),
        (stat.S_IFLNK | 0o777, "target-kind"),
        (stat.S_IFIFO | 0o644, "target-kind"),
    ],
)
def test_a_target_of_another_mode_or_kind_is_broken(mode: int, kind: str) -> None:
    assert broken_kinds(case(target=at_target(mode))) == [kind]


def test_a_mode_that_the_site_does_not_state_is_left_to_the_file_that_is_there() -> None:
    assert holds(case(mode_stated=False, target=at_target(stat.S_IFREG | 0o600)))


def test_a_target_that_nobody_could_see_is_unproven_and_says_what_helps() -> None:
    judgement = judge(case(target=Target(path="/srv/x", seen=UNSEEN)))
    assert isinstance(judgement, Unproven)
    assert (judgement.message, judgement.remedy) == ("nginx: host web1 did not answer", "start it")


@pytest.mark.parametrize("part", ["rendered", "canonical"])
def test_a_file_that_could_not_be_read_is_unproven_and_the_next_one_is_judged(part: str) -> None:
    blind = replace(case(), **{part: UNSEEN})
    assert isinstance(judge(blind, case()), Unproven)
    judgement = judge(blind, case(b"other\n"))
    assert isinstance(judgement, Broken)
    assert settle(judgement, NullSink()).tally.unproven == 1


def test_an_instance_without_any_file_proves_nothing() -> None:
    assert settle(judge(), NullSink()).outcome is Outcome.UNPROVEN


def test_the_sentence_names_the_first_three_files_and_counts_the_rest() -> None:
    judgement = judge(*(replace(case(b"other\n"), template=name) for name in ("a", "b", "c", "d", "e")))
    assert isinstance(judgement, Broken)
    assert [part.partition(":")[0] for part in judgement.message.split("; ")] == ["a", "b", "c", "and 2 more"]
    assert [detail.what for detail in judgement.details if detail.kind] == [f"{name} content" for name in "abcde"]


def test_the_subjects_are_the_instances_that_something_is_rendered_for() -> None:
    template = Template(template="t", canonical="c", target="x", instances=("main",))
    site = Site(
        interlock=1,
        site="t",
        hosts={"web1": Host()},
        instances={"main": Instance(host="web1", directory="/a"), "idle": Instance(directory="/b")},
        templates={"t": template},
    )
    assert [subject.id for subject in BYTE_EQUIVALENT.subjects(site)] == ["main@web1"]


@pytest.mark.parametrize("target", [None, at_target(stat.S_IFREG | 0o644), at_target(stat.S_IFDIR | 0o755)])
@pytest.mark.parametrize("rendered", [AGREED, b"other\n"])
@pytest.mark.parametrize("executable", [True, False])
def test_a_verdict_is_broken_exactly_when_a_detail_is(target: Target | None, rendered: bytes, executable: bool) -> None:
    judgement = judge(case(rendered, executable=executable, target=target))
    settled = settle(judgement, NullSink())
    assert (settled.outcome is Outcome.BROKEN) == isinstance(judgement, Broken)
    assert settled.tally.total == 2 + (target is not None)


def secret_case(template: str, values: dict[str, str], private: set[str], canonical: bytes) -> str:
    pieces = expand(template, values)
    content = "".join(piece.text for piece in pieces).encode()
    rendered = Rendered(
        template="nginx",
        instance="main",
        content=content,
        mode=0o644,
        host="local",
        target="/t",
        canonical="c",
        keys=tuple(values),
        pieces=pieces,
        secrets=Secrets(names=frozenset(private), texts=frozenset(values[name] for name in private)),
    )
    judgement = judge(
        TemplateFile(template="n", rendered=rendered, canonical_path="c", canonical=Canonical(path="c", content=canonical, executable=False), mode=0o644)
    )
    assert isinstance(judgement, Broken)
    return judgement.details[0].message


def test_a_secret_is_shown_by_its_name_on_one_side_and_hidden_on_the_other() -> None:
    shown = secret_case("a\npw=$PW\nb $OPEN\n", {"PW": "hunter2", "OPEN": "open"}, {"PW"}, b"a\nold=hunter2\nb shut\n")
    assert "hunter2" not in shown
    assert shown.splitlines()[3:] == ["@@ -1,3 +1,3 @@", " a", "-old=***", "-b shut", "+pw=${PW}", "+b open"]


def test_a_secret_of_several_lines_keeps_the_lines_in_step() -> None:
    shown = secret_case("$KEY\nsame\nend $X\n", {"KEY": "line-one\nline-two", "X": "1"}, {"KEY"}, b"line-one\nline-two\nsame\nend 2\n")
    assert shown.splitlines()[3:] == ["@@ -2,3 +2,3 @@", " ${KEY}", " same", "-end 2", "+end 1"]


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_differences_are_empty_exactly_for_equal_files(one: bytes, other: bytes) -> None:
    assert bool(differences(one, other)) == (one != other)
    assert differences(one, other) == differences(other, one)


@given(st.text("ab \n\r\t#\ufeff", max_size=30), st.text("ab \n\r\t#\ufeff", max_size=30))
def test_mild_words_are_true(one: str, other: str) -> None:
    found = differences(one.encode(), other.encode())
    if Difference.CONTENT not in found and Difference.HEADER not in found:
        assert one.removeprefix("\ufeff").split() == other.removeprefix("\ufeff").split()
    if found == (Difference.LINE_ENDS,):
        assert one.replace("\r\n", "\n") == other.replace("\r\n", "\n")


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_the_common_prefix_is_the_longest(one: bytes, other: bytes) -> None:
    same = common_prefix(one, other)
    assert one[:same] == other[:same]
    assert one[same : same + 1] != other[same : same + 1] or same == min(len(one), len(other))


@given(st.binary())
def test_lines_are_the_file_again(data: bytes) -> None:
    assert b"".join(lines_of(data)) == data
    assert len(lines_of(data)) == data.count(b"\n") + (not data.endswith(b"\n") and bool(data))


@given(st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n"]), max_size=14), st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n"]), max_size=14))
def test_a_short_diff_can_be_applied(old: list[bytes], new: list[bytes]) -> None:
    assume(old != new)
    shown = list(unified_diff(Side("old", old, old), Side("new", new, new)))
    hunks = [line for line in shown[2:] if not line.startswith("@@")]
    assert [line[1:] for line in hunks if line[0] in " -"] == [line.decode().strip() for line in _around(old, shown, "-")]
    assert [line[1:] for line in hunks if line[0] in " +"] == [line.decode().strip() for line in _around(new, shown, "+")]


def _around(lines: list[bytes], shown: list[str], sign: str) -> list[bytes]:
    """The lines of one side that the heads of the hunks say are shown."""
    found = []
    for head in (line for line in shown if line.startswith("@@")):
        start, count = (int(part) for part in head.split(sign)[1].split()[0].split(","))
        found += lines[start - 1 : start - 1 + count]
    return found


def test_a_diff_is_bounded_whatever_the_files_are() -> None:
    old, new = [b"%d\n" % number for number in range(20_000)], [b"%d\n" % -number for number in range(20_000)]
    shown = list(unified_diff(Side("old", old, old), Side("new", new, new)))
    assert len(shown) == SHOWN_LINES + 1
    assert shown[-1] == "(more may differ)"


def test_a_diff_agrees_with_difflib_where_it_is_short() -> None:
    old, new = [b"%d\n" % number for number in range(30)], [b"%d\n" % (number * (number != 15)) for number in range(30)]
    ours = list(unified_diff(Side("old", old, old), Side("new", new, new)))
    theirs = difflib.unified_diff([line.decode() for line in old], [line.decode() for line in new], "old", "new", lineterm="", n=2)
    assert ours == [line.rstrip("\n") for line in theirs]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"plain\n", "plain"),
        (b"crlf\r\n", "crlf\\r"),
        (b"trailing \t\n", "trailing\\x20\\t"),
        (b"\tindented\n", "\tindented"),
        (b"\x1b[31mred\x07\n", "\\x1b[31mred\\x07"),
        (BOM + b"x\n", "\\ufeffx"),
        ("\u202egnp\n".encode(), "\\u202egnp"),
        (b"\xff\n", "\\xff"),
        (b"x" * 300, "x" * SHOWN_COLUMNS + "... (140 more)"),
    ],
)
def test_a_line_is_shown_so_that_nothing_in_it_acts_or_hides(line: bytes, shown: str) -> None:
    assert visible(line) == shown
