"""Pages of Markdown as blocks, and the names of tasks in sentences: for any text, and for those that people write."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.facts.markdown import BOLD_LEVEL, Fenced, Heading, Item, Page, Paragraph, Swallowed
from interlock.facts.task_names import Names
from interlock.facts.workplans import Workplans, may_be_workplan
from interlock.judge.approval import judge_decisions
from interlock.observe.workplans import parsed
from tests.strategies import markdown_texts, workplan_texts


def blocks(text: str) -> list[object]:
    return list(Page.parse(text).blocks)


# ---- what a page consists of


def test_front_matter_is_what_stands_between_two_lines_of_dashes_at_the_top() -> None:
    assert Page.parse("---\na: 1\nb: 2\n---\ntext").front == "a: 1\nb: 2"
    assert Page.parse("---\na: 1\n...\ntext").front == "a: 1"
    assert Page.parse("---\n---\n").front == ""
    assert Page.parse("---\na: 1\n").front is None  # no end
    assert Page.parse("\n---\na: 1\n---\n").front is None


@pytest.mark.parametrize(
    ("text", "level", "title"),
    [
        ("# A", 1, "A"),
        ("###### A b ##", 6, "A b"),
        ("  ## A", 2, "A"),
        ("A\n===", 1, "A"),
        ("A\nb\n---", 2, "A b"),
        ("**A b**", BOLD_LEVEL, "A b"),
        ("__A__:", BOLD_LEVEL, "A"),
    ],
)
def test_headings(text: str, level: int, title: str) -> None:
    assert blocks(text) == [Heading(line=1, level=level, title=title)]


@pytest.mark.parametrize("text", ["#A", "    # A", "####### A", "**A** b", "> # A"])
def test_what_is_no_heading(text: str) -> None:
    assert not [block for block in blocks(text) if isinstance(block, Heading)]


def test_a_line_between_two_parts_is_no_heading() -> None:
    assert blocks("A\n\n---\n\nB\n\n* * *\n- a\n---\n") == [Paragraph(line=1, text="A"), Paragraph(line=5, text="B"), Item(line=8, number=None, lines=("a",))]


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("- a\n- b", [("a",), ("b",)]),
        ("1. a\n2) b", [("a",), ("b",)]),
        ("- a\n  b\nc", [("a", "b", "c")]),
        ("- a\n\n  b\n\nc", [("a", "b")]),
        ("1. a\n   - b\n\t- c\n2. d", [("a", "- b", "- c"), ("d",)]),
        ("1. a\n  - b\n2. c", [("a", "- b"), ("c",)]),  # as people indent
        ("- a\n    1. b\n  # c\n- d", [("a", "1. b", "# c"), ("d",)]),
        ("text\n- a", [("a",)]),
        ("-\n- ", [("",), ("",)]),
        (" - a\n - b", [("a",), ("b",)]),
        ("-a\n1.b\n-- c\n2026. d", []),
    ],
)
def test_items_hold_all_that_is_below_them(text: str, items: list[tuple[str, ...]]) -> None:
    assert [block.lines for block in blocks(text) if isinstance(block, Item)] == items


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("```task\na: 1\n```", "a: 1"),
        ("~~~task\na: 1\n```\n~~~", "a: 1\n```"),
        ("````task\n```\n````", "```"),
        ("  ```task\n  a:\n    b: 1\n  ```", "a:\n  b: 1"),
        ("- ```task\n  a: 1\n  ```", "a: 1"),
        ("1. item\n\n   ```task\n   a: 1\n   ```", "a: 1"),
        ("- a\n\n\t```task\n\ta: 1\n\t```", "a: 1"),
        ("``` task more\n```", ""),
        ("text\n```task\n```", ""),
        ("```task\na: |\n    ```\n    b\n    ```\n```", "a: |\n    ```\n    b\n    ```"),
    ],
)
def test_fenced_blocks(text: str, inside: str) -> None:
    assert [(block.info, block.text, block.closed) for block in blocks(text) if isinstance(block, Fenced)] == [("task", inside, True)]


@pytest.mark.parametrize("text", ["    ```task\n    ```", "``task", "``` a ` b", "> ```task", "<!-- ```task\n```-->"])
def test_what_is_no_fence(text: str) -> None:
    assert not [block for block in blocks(text) if isinstance(block, Fenced)]


def test_what_is_never_closed_reaches_to_the_end() -> None:
    assert blocks("a\n```task\nb\n# c") == [Paragraph(line=1, text="a"), Fenced(line=2, info="task", text="b\n# c", closed=False)]
    assert blocks("a <!-- b\n# c\n") == [Paragraph(line=1, text="a"), Swallowed(line=1, text="a <!-- b\n# c\n")]


def test_comments_are_not_there_for_a_reader_but_in_code() -> None:
    assert blocks("a <!-- b --> c <!-- d\n# e\n--> f") == [Paragraph(line=1, text="a  c\nf")]
    assert blocks("`<!--` a\n# b")[1:] == [Heading(line=2, level=1, title="b")]
    assert blocks("```\n<!--\n```\n# b")[1:] == [Heading(line=4, level=1, title="b")]


@given(markdown_texts())
def test_any_text_is_a_page_and_its_blocks_stand_where_they_say(text: str) -> None:
    page = Page.parse(text)
    lines = re.split(r"\r\n|\n|\r", text)
    assert [block.line for block in page.blocks] == sorted(block.line for block in page.blocks)
    for block in page.blocks:
        at = lines[block.line - 1]
        match block:
            case Fenced():
                assert "```" in at or "~~~" in at
            case Swallowed():
                assert "<!--" in at
            case Item():
                assert re.match(r"\ufeff?\s*([-*+]|\d+[.)])", re.sub(r"<!--.*?-->", "", at)) or "-->" in at


@given(markdown_texts())
def test_line_ends_make_no_difference(text: str) -> None:
    plain = re.sub(r"\r\n|\r", "\n", text)
    assert Page.parse(text) == Page.parse(plain) == Page.parse(plain.replace("\n", "\r\n"))


@given(markdown_texts())
def test_any_text_can_be_judged_as_a_workplan(text: str) -> None:
    plan = parsed("p.md", text.encode("utf-8", "replace"))
    if plan is not None:
        judge_decisions(Workplans(name="p.md", plans=(plan,), known=plan.tasks))


@given(workplan_texts())
def test_what_is_written_into_a_page_is_read_from_it(written: tuple[str, list[tuple[str, str, int]], list[tuple[int, bool]]]) -> None:
    text, tasks, decisions = written
    plan = parsed("p.md", text.encode())
    assert plan is not None
    assert may_be_workplan(text.encode())
    assert [(one.id, one.said, one.line) for one in plan.tasks] == tasks
    assert [(one.number, bool(one.decided)) for one in plan.decisions] == decisions
    assert plan.faults == ()


# ---- names of tasks

IDS = [f"CUST-WP-0011-T{number:02}" for number in range(1, 13)] + ["CUST-WP-0011-T100"]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("T04", [4]),
        ("t4", [4]),
        ("CUST-WP-0011-T04.", [4]),
        ("cust-wp-0011-t4", [4]),
        ("T04/T05 and T7", [4, 5, 7]),
        ("T04/05", [4, 5]),
        ("T04, 05", [4, 5]),
        ("T04 to T06", [4, 5, 6]),
        ("T04-T06", [4, 5, 6]),
        ("T04-06", [4, 5, 6]),
        ("T04\u2013T06", [4, 5, 6]),
        ("T04..T06", [4, 5, 6]),
        ("CUST-WP-0011-T04 through CUST-WP-0011-T06", [4, 5, 6]),
        ("T100", [100]),
        ("T10", [10]),
        ("RAIL-WP-0004-T09", []),
        ("T99", []),
        ("in 2026, for 4 days", []),
        ("XT04", []),
    ],
)
def test_a_text_names_tasks(text: str, numbers: list[int]) -> None:
    found = [int(name.rpartition("T")[2]) for name in Names(IDS).mentioned(text)]
    assert found == numbers


@given(st.sets(st.integers(0, 12)), st.sampled_from(["/", ", ", " and ", " & ", "; "]), st.booleans())
def test_what_is_named_is_found(chosen: set[int], between: str, short: bool) -> None:
    text = between.join(IDS[index].rpartition("-")[2] if short else IDS[index] for index in sorted(chosen))
    assert Names(IDS).mentioned(text) == tuple(IDS[index] for index in sorted(chosen))


@given(st.text(max_size=80), st.lists(st.text(max_size=12), max_size=5))
def test_any_text_and_any_ids(text: str, ids: list[str]) -> None:
    assert set(Names(ids).waiting(text)) <= set(ids)
