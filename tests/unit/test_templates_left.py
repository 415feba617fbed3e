"""What is left to be replaced in a rendered file, what is meant to stand there, and when a size is another one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.facts.looks import StatAnswer
from interlock.facts.substitution import expand
from interlock.facts.templates import Canonical, InstanceFiles, Rendered, Target, TemplateFile, Unseen, handlebars_braces, leftovers
from interlock.judge.templates import judge_size_change, judge_unresolved
from interlock.verdicts import Broken, NullSink, Outcome, Unproven, settle


def rendered(template: str, *, copied: bool = False, **values: str) -> Rendered:
    """A template that is substituted with values, or copied."""
    pieces = () if copied else expand(template, values)
    content = template if copied else "".join(piece.text for piece in pieces)
    return Rendered(
        template="app",
        instance="main",
        content=content.encode(),
        mode=0o644,
        host="local",
        target="/srv/app.conf",
        canonical="app.conf",
        keys=(),
        pieces=pieces,
    )


def reviewed(text: str) -> Canonical:
    return Canonical(path="app.conf", content=text.encode(), executable=False)


def kinds(file: Rendered, canonical: Canonical | None = None, names: frozenset[str] = frozenset()) -> list[str]:
    return [one.kind for one in leftovers(file, canonical, names)]


@pytest.mark.parametrize(
    "text",
    ["host {{ host }}\n", "{{#if tls}}\n", "{% if tls %}\n", "<%= host %>\n", "host @SERVER_HOST@\n", "{{{raw}}}\n"],
)
def test_a_placeholder_of_any_engine_is_left(text: str) -> None:
    assert kinds(rendered(text, copied=True)) == ["placeholder"]
    assert kinds(rendered(text)) == ["placeholder"]


@pytest.mark.parametrize(
    "text",
    [
        "proxy_set_header Host $host;\n",  # nginx
        "summary: {{ $labels.instance }} is down\n",  # Prometheus
        "docker ps --format '{{.Names}}'\n",  # Go
        "kim@EXAMPLE.org, a@b@c\n",
        "if __name__ == '__main__': pass\n",
        "echo ${HOME}\n",  # copied: the shell's
        "a { b { c } } { {x} }\n",
        "100% <% \n",
        "=======\nA heading\n=======\n",
    ],
)
def test_what_other_programs_read_is_no_placeholder(text: str) -> None:
    assert kinds(rendered(text, copied=True)) == []


def test_what_the_reviewed_file_holds_is_meant() -> None:
    text = "legend {{instance}}\nif @DEBUG_LEVEL@\n"
    assert kinds(rendered(text), reviewed(text)) == []
    assert kinds(rendered(text), reviewed("legend {{instance}}\n")) == ["placeholder"]


@pytest.mark.parametrize("text", ["{{ SERVER }}", "@SERVER@", "__SERVER__", "<%= SERVER %>"])
def test_a_placeholder_for_a_variable_that_has_a_value_is_left_whatever_was_reviewed(text: str) -> None:
    assert kinds(rendered(text), reviewed(text), frozenset({"SERVER"})) == ["placeholder"]


def test_a_merge_marker_is_never_meant() -> None:
    text = "a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> other\n"
    assert kinds(rendered(text), reviewed(text)) == ["merge-marker", "merge-marker"]


def test_an_escaped_reference_is_for_whoever_reads_the_file() -> None:
    assert kinds(rendered("listen $${PORT};\n", PORT="80"), names=frozenset({"PORT"})) == []


def test_a_reference_that_a_value_brings_in_is_left() -> None:
    found = list(leftovers(rendered("url\nis ${URL}\n", URL="http://${HOST}/"), None, frozenset({"URL"})))
    assert [(one.kind, one.text, one.line) for one in found] == [("placeholder-in-value", "${URL}", 2)]


def test_a_copied_file_that_was_to_be_substituted_is_found() -> None:
    file = rendered("port ${PORT}\n", copied=True)
    assert kinds(file, names=frozenset({"PORT"})) == ["variable"]
    assert kinds(file, reviewed("port ${PORT}\n"), frozenset({"PORT"})) == []


def test_the_value_of_a_secret_is_not_in_what_is_told() -> None:
    found = list(leftovers(rendered("{{ x ${SECRET} }}\n", SECRET="correct-horse"), None, frozenset()))
    assert [one.text for one in found] == ["{{ x <SECRET> }}"]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("TAG=${TAG:-{{tag}}}\n", ["${TAG:-{{tag}}}"]),
        ("TAG=${TAG:-{{{tag}}}}\n", []),
        ("TAG=${TAG:-latest}\nNAME={{name}}\n", []),
        ("TAG=${TAG:-{{tag}} }\n", []),
    ],
)
def test_three_braces_at_the_end_of_a_default_are_named_for_what_handlebars_makes_of_them(source: str, found: list[str]) -> None:
    assert [one.text for one in handlebars_braces(source.encode())] == found


def test_a_handlebars_template_that_cannot_be_parsed_is_told_with_its_line() -> None:
    file = TemplateFile(
        template="env",
        rendered=Unseen(message="handlebars is not rendered yet", remedy="x"),
        canonical_path="env",
        canonical=None,
        mode=0o644,
        source_path="templates/env.hbs",
        source=b"A=1\nTAG=${TAG:-{{tag}}}\n",
    )
    judged = judge_unresolved(InstanceFiles(instance="main", files=[file]))
    assert isinstance(judged, Broken)
    assert judged.kind == "handlebars-braces"
    assert "templates/env.hbs:2: ${TAG:-{{tag}}} is a parse error in Handlebars: the three braces end a raw `{{{`" in judged.message
    assert judged.remedy == "write the value raw, which ends with the three braces: `${VAR:-{{{x}}}}`"


@given(text=st.text(alphabet="ab \n$@_%.;:=/'\"#", max_size=200), names=st.frozensets(st.sampled_from(["A", "AB"])))
def test_a_text_without_braces_and_markers_has_nothing_left(text: str, names: frozenset[str]) -> None:
    assert list(leftovers(rendered(text.lower(), copied=True), None, names)) == []


# ---- sizes


def sized(new: int, old: int | None, *, resized: bool = False) -> TemplateFile:
    seen = StatAnswer(present=False) if old is None else StatAnswer(present=True, mode=0o100644, size=old)
    return TemplateFile(
        template="nginx",
        rendered=rendered("x" * new, copied=True),
        canonical_path="c",
        canonical=None,
        mode=0o644,
        target=Target(path="/srv/app.conf", seen=seen),
        resized=resized,
    )


def outcome(file: TemplateFile) -> Outcome:
    return settle(judge_size_change(InstanceFiles(instance="main", files=[file])), NullSink()).outcome


@pytest.mark.parametrize(("new", "old"), [(100, 100), (120, 100), (80, 100), (0, 0), (5, None)])
def test_a_fifth_more_or_less_and_a_new_file_need_no_yes(new: int, old: int | None) -> None:
    assert outcome(sized(new, old)) is Outcome.HELD


@pytest.mark.parametrize(("new", "old", "kind"), [(15_695, 5_296, "grows"), (121, 100, "grows"), (79, 100, "shrinks"), (0, 1, "shrinks"), (1, 0, "grows")])
def test_more_than_that_needs_a_yes(new: int, old: int, kind: str) -> None:
    judged = judge_size_change(InstanceFiles(instance="main", files=[sized(new, old)]))
    assert isinstance(judged, Broken)
    assert judged.kind == kind
    assert outcome(sized(new, old, resized=True)) is Outcome.HELD


def test_the_sizes_are_told_and_bound_a_waiver() -> None:
    judged = judge_size_change(InstanceFiles(instance="main", files=[sized(15_695, 5_296)]))
    assert isinstance(judged, Broken)
    assert judged.message == "nginx: /srv/app.conf would grow from 5,296 to 15,695 bytes, by 196 %"
    assert judged.details[0].value == 196
    assert "5,296" not in judged.details[0].what


def test_a_target_that_cannot_be_seen_proves_nothing() -> None:
    file = replace(sized(5, 5), target=Target(path="/srv/app.conf", seen=Unseen(message="gone is not reached", remedy="x")))
    assert isinstance(judge_size_change(InstanceFiles(instance="main", files=[file])), Unproven)
