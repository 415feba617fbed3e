"""Workplans: what they say, which tasks have begun before their time, and what is none of a workplan's business."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from interlock.commands.scan import site_of_tree
from interlock.config.actions import Action, Workplans
from interlock.config.models import Inventory, Site
from interlock.discover.document import plain
from interlock.discover.whole import discover
from interlock.errors import CouldNotLook
from interlock.facts.approval import READINESS_NAME, TASK_NAME
from interlock.facts.workplans import Status
from interlock.judge.approval import DECISIONS, judge_decisions
from interlock.observe import approval, workplans
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Held, Outcome, Subject, Unproven, When

HUB = (Path(__file__).parent.parent / "golden/workplans/HUB-WP-0011.md").read_text()
PATTERN = "workplans/*.md"
DECIDED = "decided: as said, alice, 2026-05-20"


def task(identifier: str, status: str, more: str = "", *, title: str = "Do something") -> str:
    """One task with its heading."""
    return f"### {identifier} - {title}\n\n```task\nid: WP-1-{identifier}\nstatus: {status}\n{more}```\n\n"


def plan(*tasks: str, decisions: str = "", front: str = "") -> str:
    """A workplan of these tasks."""
    section = f"## Open Human Decisions\n\n{decisions}\n\n" if decisions else ""
    return f"---\ntype: workplan\n{front}---\n\n# A plan\n\n{section}## Tasks\n\n{''.join(tasks)}"


def world(folder: Path, pages: Mapping[str, str | bytes], *patterns: str, actions: Mapping[str, str] | None = None) -> World:
    """A site with these pages; `actions` by the task that each carries out."""
    for path, text in pages.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text if isinstance(text, bytes) else text.encode())
    carried = {name: Action.model_validate({"task": one, "steps": [{"command": {"run": ["true"]}}]}) for name, one in (actions or {}).items()}
    nouns = {"workplans": Workplans(files=patterns or (PATTERN,)), "inventory": Inventory(modules=("modules/*/module.yaml",)), "actions": carried}
    site = Site(interlock=1, site="s").model_copy(update=nouns).placed(folder, source="interlock.yaml")
    return World(site=site, gates=frozenset({When.STATIC}), tree=Tree(folder), hosts={}, environ={})


def judged(folder: Path, text: str | bytes, **more: str) -> Held | Broken | Unproven:
    """What is said of one page, as the site's only workplan."""
    return judge_decisions(workplans.workplans(world(folder, {"workplans/wp.md": text, **more}), PATTERN))


def wrong(folder: Path, text: str | bytes, **more: str) -> list[tuple[str, str]]:
    """What is not held of it: the kind, and which task and what about it."""
    details = judged(folder, text, **more).details
    return [(one.kind, one.what.removeprefix("workplans/wp.md").strip()) for one in details if one.outcome is not Outcome.HELD]


def kinds(folder: Path, text: str | bytes) -> list[str]:
    return [kind for kind, _ in wrong(folder, text)]


def next_kinds(folder: Path, text: str, identifier: str = "WP-1-T2") -> list[str]:
    """What keeps a task from beginning."""
    seen = workplans.next_task(world(folder, {"workplans/wp.md": text}), identifier)
    return [one.kind for one in judge_decisions(seen).details if one.outcome is not Outcome.HELD]


# ---- a real plan's structure


def test_a_plan_that_has_only_begun_what_it_may_holds(tmp_path: Path) -> None:
    found = judged(tmp_path, HUB)
    assert isinstance(found, Held)
    assert len(found.details) == 9
    assert found.message == "workplans/wp.md: none of 3 tasks that have begun waits for one of 5 open decisions, or for another task"


def test_the_five_decisions_are_needed_by_the_two_tasks_that_the_sentence_names(tmp_path: Path) -> None:
    (seen,) = workplans.workplans(world(tmp_path, {"workplans/wp.md": HUB}), PATTERN).plans
    assert [(one.number, one.before, one.decided) for one in seen.decisions] == [(number, ("HUB-WP-0011-T04", "HUB-WP-0011-T05"), "") for number in range(1, 6)]
    assert [one.id[-3:] for one in seen.tasks if seen.needs(one)] == ["T04", "T05"]
    assert [one.id[-3:] for one in seen.tasks if one.needs_human] == ["T07"]
    assert [one.id for one in seen.tasks if one.retires] == []  # T09 only speaks of it


def test_each_open_decision_of_a_task_that_has_begun_is_a_detail_with_its_place(tmp_path: Path) -> None:
    text = HUB.replace("id: HUB-WP-0011-T04\nstatus: todo", "id: HUB-WP-0011-T04\nstatus: in_progress")
    found = judged(tmp_path, text)
    assert isinstance(found, Broken)
    bad = [one for one in found.details if one.outcome is Outcome.BROKEN]
    assert [one.kind for one in bad] == ["open-decision"] * 5
    line = text.splitlines().index("id: HUB-WP-0011-T04") + 2
    assert (
        bad[1].message
        == f"workplans/wp.md:{line}: HUB-WP-0011-T04 is in_progress, and decision 2 (Registry of the images: our own, or another one for the t...) is open"
    )
    assert (bad[1].file, bad[1].line) == ("workplans/wp.md", line)


def test_decided_items_let_their_tasks_begin(tmp_path: Path) -> None:
    text = HUB.replace("id: HUB-WP-0011-T04\nstatus: todo", "id: HUB-WP-0011-T04\nstatus: in_progress")
    for words in ("tunnel alone.", "time being.", "both of them.", "data moved."):
        text = text.replace(words, f"{words}\n   {DECIDED}")
    assert wrong(tmp_path, text) == [("open-decision", "HUB-WP-0011-T04 decision How long it is watched before WSL2 is no more than a copy.")]
    assert wrong(tmp_path, text.replace("than a copy.", f"than a copy. {DECIDED}")) == []


def test_what_is_cut_over_comes_after_all_that_stands_before_it(tmp_path: Path) -> None:
    text = HUB.replace("needs_human: true\n", "needs_human: true\napproved: alice, 2026-05-20\n")
    assert next_kinds(tmp_path, text, "HUB-WP-0011-T07") == ["out-of-order"] * 4  # T03 is under way, T04 to T06 are to be done
    assert next_kinds(tmp_path, HUB, "hub-wp-0011-t07") == ["out-of-order"] * 4 + ["no-approval"]


# ---- 1. decisions


@pytest.mark.parametrize(
    ("item", "still_open"),
    [
        ("1. Name.", True),
        (f"1. Name. {DECIDED}", False),
        (f"1. Name.\n   {DECIDED}", False),
        (f"1. Name.\n   - {DECIDED}", False),
        (f"1. Name.\n\n   {DECIDED}", False),
        (f"1. Name.\n{DECIDED}", False),  # a lazy line
        ("1) Name.\n   **Decided**: as said, alice, 2026-05-20.", False),
        ("- Name - **decided:** as said, in short, alice, 2026-05-20 (see #3)", False),
        ("- [x] Name. `decided: as said, alice, 2026-05-20`", False),
        ("1. Name.\n   decided: a long\n   sentence of it, alice, 2026-05-20", False),
        ("- [x] Name.", True),
        ("1. Name. decided: as said, 2026-05-20", True),  # nobody
        ("1. Name. decided: as said, alice", True),  # no day
        ("1. Name. decided: alice, 2026-05-20", True),  # nothing
        ("1. Name. decided: as said, alice, 2026-02-30", True),  # no such day
        ("1. Name. decided: <what>, <who>, <date>", True),
        ("1. Name. decided: tbd, alice, 2026-05-20", True),
        ("1. Name. To be decided: by somebody, alice, 2026-05-20", True),
        ("1. Name. Not yet decided: as said, alice, 2026-05-20", True),
        ("1. Name. undecided: as said, alice, 2026-05-20", True),
        (f"1. Name. ~~{DECIDED}~~", True),  # struck out
        (f"1. Name. <!-- {DECIDED} -->", True),
        (f"1. Name.\n   ```\n   {DECIDED}\n   ```", True),  # an example
        (f"1. Name.\n\nSomething else.\n\n{DECIDED}", True),  # not below the item
    ],
)
def test_a_decision_is_made_by_what_who_and_when(tmp_path: Path, item: str, still_open: bool) -> None:
    text = plan(task("T1", "in_progress"), decisions=f"Before T1:\n\n{item}")
    assert kinds(tmp_path, text) == (["open-decision"] if still_open else [])


@pytest.mark.parametrize(
    ("sentence", "waiting"),
    [
        ("Resolve these before T2/T3.", "23"),
        ("Resolve these before T2/3.", "23"),
        ("Needed for T02 to T04:", "234"),
        ("Needed for T2\u2013T4:", "234"),
        ("Needed for T2-T4:", "234"),
        ("Resolve before WP-1-T3 begins:", "3"),
        ("T1 has shown what is open. Resolve it before\nT4 can begin.", "4"),
        ("T3 and T4 wait for these.", "34"),
        ("T3 stays in todo until these are resolved.", "3"),
        ("WP-2-T3 is another plan's, so before T4:", "4"),
        ("Before WP-2-T3 of the other plan:", "5"),  # names none of these: those that need a human
        ("Some day.", "5"),
        ("", "5"),
    ],
)
def test_the_sentence_above_the_list_says_which_tasks_wait(tmp_path: Path, sentence: str, waiting: str) -> None:
    tasks = [task(f"T{number}", "in_progress", "needs_human: true\napproved: a, 2026-05-20\n" if number == 5 else "") for number in range(1, 6)]
    assert wrong(tmp_path, plan(*tasks, decisions=f"{sentence}\n\n1. Name.")) == [("open-decision", f"WP-1-T{number} decision Name.") for number in waiting]


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ("[1, 3]", [1, 3]),
        ("[D2]", [2]),
        ("1, 3", [1, 3]),
        ("1-3", [1, 2, 3]),
        ("2", [2]),
        ('"#2 and #3"', [2, 3]),
        ("all", [1, 2, 3]),
        ("[]", []),
        ("none", []),
        ("[Hours of the freeze]", [3]),
    ],
)
def test_a_block_says_itself_which_decisions_it_needs(tmp_path: Path, given: str, needed: list[int]) -> None:
    names = {1: "Name.", 2: "Registry.", 3: "Hours of the freeze."}
    decisions = "Before T2:\n\n" + "\n".join(f"{number}. {name}" for number, name in names.items())
    for key in ("decisions", "needs_decisions"):
        text = plan(task("T1", "done"), task("T2", "in_progress", f"{key}: {given}\n"), decisions=decisions)
        assert wrong(tmp_path, text) == [("open-decision", f"WP-1-T2 decision {names[number]}") for number in needed]


def test_a_decision_that_is_not_in_the_list_is_unproven(tmp_path: Path) -> None:
    text = plan(task("T1", "in_progress", "decisions: [1, 7]\n"), decisions=f"1. Name. {DECIDED}")
    assert wrong(tmp_path, text) == [("unknown-decision", "WP-1-T1 decision 7")]
    assert kinds(tmp_path, text.replace("[1, 7]", f'[1, "{DECIDED.removeprefix("decided: ")}"]')) == []


@pytest.mark.parametrize("nothing", ["None.", "- None at this time.", "- n/a", "* No open decisions.", "-", "- All of them are resolved."])
def test_no_open_decision_is_none(tmp_path: Path, nothing: str) -> None:
    assert kinds(tmp_path, plan(task("T1", "done"), decisions=f"Before T1:\n\n{nothing}")) == []


def test_numbers_are_those_that_a_reader_sees(tmp_path: Path) -> None:
    def numbers(items: str) -> list[int]:
        (seen,) = workplans.workplans(world(tmp_path, {"workplans/wp.md": plan(task("T1", "todo"), decisions=items)}), PATTERN).plans
        return [one.number for one in seen.decisions]

    assert numbers("1. a\n2. b\n3. c") == [1, 2, 3]
    assert numbers("1. a\n1. b\n1. c") == [1, 2, 3]
    assert numbers("2. a\n4. b") == [2, 4]
    assert numbers("- a\n- b") == [1, 2]
    assert numbers("- a\n  1. below\n  2. below\n- b") == [1, 2]


@pytest.mark.parametrize(
    "heading",
    ["# OPEN HUMAN DECISIONS", "## 3. Open human decisions:", "#### *Open Human Decisions* ##", "**Open Human Decisions**", "Open Human Decisions\n---"],
)
def test_the_heading_may_be_of_any_level(tmp_path: Path, heading: str) -> None:
    assert kinds(tmp_path, plan(task("T1", "done")).replace("## Tasks", f"{heading}\n\nBefore T1:\n\n1. Name.\n\n# Tasks")) == ["open-decision"]


def test_lists_of_other_sections_and_of_tasks_are_no_decisions(tmp_path: Path) -> None:
    below = (
        f"## Open Human Decisions\n\nBefore T1:\n\n1. Name. {DECIDED}\n\n### Notes\n\n- later\n\n"
        + task("T1", "done")
        + "- a check of the task\n\n## Risks\n\n- rain\n"
    )
    text = f"---\ntype: workplan\n---\n\n{below}"
    assert wrong(tmp_path, text) == [("open-decision", "WP-1-T1 decision later")]
    assert wrong(tmp_path, text.replace("- later", "")) == []


def test_a_later_sentence_names_others(tmp_path: Path) -> None:
    decisions = "Before T1:\n\n1. Name.\n\nBefore T2:\n\n2. Hours."
    found = wrong(tmp_path, plan(task("T1", "in_progress"), task("T2", "in_progress"), decisions=decisions))
    assert found == [("open-decision", "WP-1-T1 decision Name."), ("open-decision", "WP-1-T2 decision Hours.")]


def test_decisions_in_a_table_are_not_seen_and_so_unproven(tmp_path: Path) -> None:
    assert kinds(tmp_path, plan(task("T1", "done"), decisions="| # | what |\n|---|---|\n| 1 | Name |")) == ["unreadable"]


# ---- 2. order


@pytest.mark.parametrize(
    ("first", "second", "too_early"),
    [
        ("todo", "in_progress", True),
        ("todo", "done", True),
        ("blocked", "active", True),
        ("planned", "Completed (2026-05-02)", True),
        ("", "done", True),
        ("in_progress", "in_progress", False),
        ("in_progress", "done", False),
        ("done", "in_progress", False),
        ("cancelled", "done", False),
        ("skipped", "done", False),
        ("wont_do", "done", False),
        ("Won't do", "done", False),
        ("deferred", "in_progress", False),
        ("todo", "todo", False),
        ("todo", "blocked", False),
    ],
)
def test_tasks_are_done_in_the_order_of_the_page(tmp_path: Path, first: str, second: str, too_early: bool) -> None:
    assert kinds(tmp_path, plan(task("T1", f'"{first}"'), task("T2", second))) == (["out-of-order"] if too_early else [])


@pytest.mark.parametrize(
    ("given", "too_early"),
    [
        ("depends_on: [T1]", False),
        ("depends_on: [T2]", True),
        ("after: T2", True),
        ("after: WP-1-T02", True),
        ("blocked_by: [WP-1-T1, WP-1-T2]", True),
        ("after: []", False),
        ("blocked_by: the weather", False),
        ("blocked-by: [[WP-1-T2]]", True),
        ("after: [2]", True),
        ("after: [1]", False),
        ("after: [T4]", False),  # given up
        ("after: [T3]", False),  # itself
        ("depends_on: [T5]", True),  # put off is not done
    ],
)
def test_what_a_block_names_wins_over_the_order_of_the_page(tmp_path: Path, given: str, too_early: bool) -> None:
    tasks = [task("T1", "done"), task("T2", "todo"), task("T3", "in_progress", f"{given}\n"), task("T4", "cancelled"), task("T5", "deferred")]
    assert wrong(tmp_path, plan(*tasks)) == ([("out-of-order", "WP-1-T3 order")] if too_early else [])


def test_what_is_done_came_after_what_was_done(tmp_path: Path) -> None:
    both = [task("T1", "in_progress"), task("T2", "in_progress", "after: T1\n")]
    assert kinds(tmp_path, plan(*both)) == []
    assert kinds(tmp_path, plan(both[0], task("T2", "done", "after: T1\n"))) == ["out-of-order"]


def test_a_task_of_another_workplan_of_the_site_is_known(tmp_path: Path) -> None:
    other = plan(task("T9", "todo")).replace("WP-1-", "WP-2-")
    text = plan(task("T9", "done"), task("T2", "in_progress", "after: [WP-2-T9]\n"))
    pages = {"workplans/wp.md": text, "workplans/wp2.md": other}
    found = judge_decisions(workplans.workplans(world(tmp_path, pages), PATTERN))
    assert [one.kind for one in found.details if one.outcome is Outcome.BROKEN] == ["out-of-order"]
    assert "comes after WP-2-T9 (todo)" in found.message


def test_a_task_that_no_workplan_of_the_site_has_proves_nothing_until_it_is_history(tmp_path: Path) -> None:
    text = plan(task("T2", "in_progress", "after: [WP-9-T1]\n"))
    assert wrong(tmp_path, text) == [("unknown-dependency", "WP-1-T2 after WP-9-T1")]
    assert kinds(tmp_path, text.replace("[WP-9-T1]", "[WP-9-T1 done 2026-05-20]")) == []
    assert kinds(tmp_path, text.replace("status: in_progress", "status: done")) == []


def test_ids_without_a_number_are_names_too(tmp_path: Path) -> None:
    def blocks(after: str) -> str:
        tasks = [("copy-data", "status: todo"), ("move-writers", f"status: in_progress\n{after}")]
        return "# Plan\n\n" + "".join(f"```task\nid: {identifier}\n{more}\n```\n\n" for identifier, more in tasks)

    assert wrong(tmp_path, blocks("depends_on: [copy-data]")) == [("out-of-order", "move-writers order")]
    assert wrong(tmp_path, blocks("depends_on: [copy-date]")) == [("unknown-dependency", "move-writers after copy-date")]
    assert wrong(tmp_path, blocks("depends_on: []")) == []


def test_what_is_written_twice_matters_where_it_is_read(tmp_path: Path) -> None:
    assert kinds(tmp_path, plan(task("T1", "done", "note: a\nnote: b\n"))) == []
    assert kinds(tmp_path, plan(task("T1", "done", "after: []\nafter: [T2]\n"))) == ["unreadable"]


def test_a_status_that_nobody_knows_is_unproven(tmp_path: Path) -> None:
    assert kinds(tmp_path, plan(task("T1", "flummoxed"), task("T2", "todo"))) == ["unknown-status"]
    assert kinds(tmp_path, plan(task("T1", "not done"))) == ["unknown-status"]


# ---- 3. humans


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ("", True),
        ("approved: true", True),
        ("approved: alice", True),
        ("approved: 2026-05-20", True),
        ("approved: alice, 2026-05-20", False),
        ("approved: 2026-05-20 by alice", False),
        ("approval: {by: alice, at: 2026-05-20T10:00:00Z}", False),
        ("approval: [alice 2026-05-20, bob 2026-05-21]", False),
        ("approval: pending, alice, 2026-05-20", True),
        ("approval: {by: alice, at: 2026-05-20, state: rejected}", True),
        ("approved: yes, 2026-05-20", True),
        ("approved: alice, 2026-13-20", True),
    ],
)
def test_a_task_that_needs_a_human_has_their_name_and_the_day(tmp_path: Path, given: str, missing: bool) -> None:
    assert kinds(tmp_path, plan(task("T1", "in_progress", f"needs_human: true\n{given}\n"))) == (["no-approval"] if missing else [])
    assert kinds(tmp_path, plan(task("T1", "todo", f"needs_human: true\n{given}\n"))) == []


@pytest.mark.parametrize("no", ["false", '"no"', "", "none", "[]"])
def test_a_task_that_needs_no_human_needs_no_approval(tmp_path: Path, no: str) -> None:
    assert kinds(tmp_path, plan(task("T1", "done", f"needs_human: {no}\n"))) == []


# ---- 4. the fallback


@pytest.mark.parametrize(
    ("title", "retires"),
    [
        ("Retire the fallback", True),
        ("Decommission the old database", True),
        ("Cut over, and shut down the old host", True),
        ("Delete the source volume", True),
        ("Remove the standby", True),
        ("Turn off the legacy stack", True),
        ("Retire WSL2", True),  # a sentence calls it the fallback
        ("Retirement of the old server", True),
        ("Plan and then retire the old host", True),
        ("Defer retiring the fallback", False),
        ("Document how to retire the fallback", False),
        ("Do not delete the old database", False),
        ("Decide whether to retire the fallback", False),
        ("Write it down, and defer the retirement of WSL2", False),
        ("Watch it, with WSL2 as fallback", False),
        ("Remove old screenshots", False),
        ("Delete the source maps", False),
        ("Remove the fallback font", False),
        ("Retire the flag of the beta", False),
        ("Retire host77", False),  # nobody calls it a fallback
        ("Keep the old database as a fallback", False),
    ],
)
def test_the_fallback_is_retired_by_a_decision_of_its_own(tmp_path: Path, title: str, retires: bool) -> None:
    text = plan(task("T1", "in_progress", title=title), decisions=f"WSL2 is kept as a fallback.\n\n1. How long it is watched. {DECIDED}")
    assert kinds(tmp_path, text) == (["fallback-retired"] if retires else [])
    assert kinds(tmp_path, text.replace("in_progress", "todo")) == []


@pytest.mark.parametrize(
    ("block", "items", "recorded"),
    [
        ("decision: switched off after 30 days, alice, 2026-06-20\n", "", True),
        ("decision: yes\n", "", False),
        ("", f"1. T1: {DECIDED}", True),
        ("", f"1. Retire the old host. {DECIDED}", True),
        ("", "1. Retire the old host.", False),
        ("", f"1. Do not retire the old host. {DECIDED}", False),
        ("", f"1. Something else. {DECIDED}", False),
    ],
)
def test_where_that_decision_may_stand(tmp_path: Path, block: str, items: str, recorded: bool) -> None:
    text = plan(task("T1", "in_progress", block + "decisions: []\n", title="Retire the old host"), decisions=items)
    assert kinds(tmp_path, text) == ([] if recorded else ["fallback-retired"])


# ---- 5. readiness


@pytest.mark.parametrize(
    ("front", "missing"),
    [
        ("readiness: ready\n", True),
        ("readiness: Ready\ndesign_issue:\n", True),
        ("readiness: ready\ndesign_issue: to be written\n", True),
        ("readiness: f3-ready\n", True),
        ("readiness: {f3: ready}\n", True),
        ("readiness: ready for F3\n", True),
        ("readiness: ready\ndesign_issue: 271\n", False),
        ('readiness: ready\ndesign_issue: "#271"\n', False),
        ("readiness: ready\ndesign_issue: https://forge.example.org/ops/platform/issues/271\n", False),
        ("readiness: {state: ready, design_issue: 271}\n", False),
        ("readiness: not-ready\n", False),
        ("readiness: ready-for-review\n", False),
        ("readiness: already\n", False),
        ("readiness: {httpGet: {path: /ready}}\n", False),
        ("", False),
    ],
)
def test_what_is_ready_names_its_design_issue(tmp_path: Path, front: str, missing: bool) -> None:
    assert kinds(tmp_path, plan(task("T1", "todo"), front=front)) == (["no-design-issue"] if missing else [])


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("spec: {readiness: ready}\n", ["no-design-issue"]),
        ("metadata: {labels: {readiness: ready}}\n", ["no-design-issue"]),
        ("spec: {readiness: ready, design_issue: 271}\n", []),
        ("metadata: {design_issue: 271}\nspec: {readiness: {f3: ready}}\n", []),
        ("spec: {readiness: parked}\n", []),
        ("spec: {runtime: {statefulness: stateful}}\n", []),
        ("readiness: [\n", ["unreadable"]),
    ],
)
def test_a_module_that_is_ready_names_its_design_issue(tmp_path: Path, text: str, missing: list[str]) -> None:
    found = judge_decisions(workplans.module_claims(world(tmp_path, {"modules/redis/module.yaml": text})))
    assert [one.kind for one in found.details if one.outcome is not Outcome.HELD] == missing


# ---- live


def test_a_task_may_begin_when_its_decisions_are_made_and_all_before_it_is_done(tmp_path: Path) -> None:
    text = plan(task("T1", "done"), task("T2", "todo", "needs_human: true\napproved: a, 2026-05-20\n"), decisions=f"Before T2:\n\n1. Name. {DECIDED}")
    assert next_kinds(tmp_path, text) == []
    assert next_kinds(tmp_path, text.replace(DECIDED, "")) == ["open-decision"]
    assert next_kinds(tmp_path, text.replace("status: done", "status: in_progress")) == ["out-of-order"]
    assert next_kinds(tmp_path, text.replace("status: done", "status: cancelled")) == []
    assert next_kinds(tmp_path, text.replace("status: done", "status: deferred")) == []
    assert next_kinds(tmp_path, text.replace("approved: a, 2026-05-20\n", "")) == ["no-approval"]
    assert next_kinds(tmp_path, text.replace("status: todo", "status: blocked")) == ["not-to-be-done"]
    assert next_kinds(tmp_path, text.replace("status: todo", "status: cancelled")) == ["not-to-be-done"]
    assert next_kinds(tmp_path, text.replace("status: todo", "status: flummoxed")) == ["unknown-status"]
    assert next_kinds(tmp_path, text.replace("status: todo", "status: done")) == []
    assert next_kinds(tmp_path, text.replace("status: done", "status: flummoxed")) == ["out-of-order"]


def test_what_a_block_names_must_be_done_before_an_action_begins_it(tmp_path: Path) -> None:
    text = plan(task("T1", "todo"), task("T2", "todo", "after: [T3]\n"), task("T3", "done"))
    assert next_kinds(tmp_path, text) == []
    assert next_kinds(tmp_path, text.replace("status: done", "status: deferred")) == ["out-of-order"]
    assert next_kinds(tmp_path, text.replace("[T3]", "[WP-9-T1]")) == ["unknown-dependency"]


def test_a_task_that_no_workplan_has_is_broken_and_unproven_where_one_cannot_be_read(tmp_path: Path) -> None:
    text = plan(task("T1", "done"))
    assert next_kinds(tmp_path, text, "WP-1-T9") == ["unknown-task"]
    assert next_kinds(tmp_path, text.replace("status: done", "status: [done"), "WP-1-T9") == ["unreadable"]


def test_a_block_that_cannot_be_read_may_be_one_that_comes_before(tmp_path: Path) -> None:
    assert next_kinds(tmp_path, plan(task("T1", "[done"), task("T2", "todo"))) == ["unreadable"]


@pytest.mark.parametrize("status", ["superseded", "cancelled", "archived"])
def test_a_plan_that_is_given_up_is_history_and_none_of_its_tasks_may_begin(tmp_path: Path, status: str) -> None:
    text = plan(task("T1", "todo"), task("T2", "done"), task("T3", "todo", "after: []\n"))
    given_up = text.replace("type: workplan\n", f"type: workplan\nstatus: {status}\n")
    assert kinds(tmp_path, text) == ["out-of-order"]
    assert kinds(tmp_path, given_up) == []
    assert next_kinds(tmp_path, text, "WP-1-T3") == []
    assert next_kinds(tmp_path, given_up, "WP-1-T3") == ["not-to-be-done"]
    assert kinds(tmp_path, text.replace("type: workplan\n", "type: workplan\nstatus: done\n")) == ["out-of-order"]


# ---- subjects


def test_an_action_is_asked_for_its_own_task_and_files_are_judged_from_files(tmp_path: Path) -> None:
    site = world(tmp_path, {}, actions={"cutover": "WP-1-T2", "rehearse": "WP-1-T2", "release": "WP-1-T1"}).site
    static, live = frozenset({When.STATIC}), frozenset({When.PREFLIGHT})
    assert [one.name for one in DECISIONS.subjects_when(site, static, None)] == [PATTERN, READINESS_NAME]
    assert [one.name for one in DECISIONS.subjects_when(site, live, None)] == []
    assert [one.name for one in DECISIONS.subjects_when(site, live, "rehearse")] == [f"{TASK_NAME}WP-1-T2"]
    assert [one.name for one in DECISIONS.subjects_when(site, live, "release")] == [f"{TASK_NAME}WP-1-T1"]


def test_each_subject_is_looked_at_for_what_it_is(tmp_path: Path) -> None:
    seen = world(tmp_path, {"workplans/wp.md": plan(task("T1", "todo")), "modules/a/module.yaml": "name: a\n"}, actions={"go": "WP-1-T1"})
    subjects: list[Subject] = list(DECISIONS.subjects(seen.site))
    assert [type(approval.decisions(seen, subject)).__name__ for subject in subjects] == ["Workplans", "ModuleClaims", "NextTask"]
    assert [type(judge_decisions(approval.decisions(seen, subject))) for subject in subjects] == [Held] * 3


# ---- pages that are no workplans, and those that cannot be read


@pytest.mark.parametrize(
    "text",
    [
        "# A page\n\n- a list\n",
        "---\ntype: note\n---\n\n# Open Human Decisions\n\n1. Name.\n",
        "---\ntitle: {{ page }}\n---\n\ntext\n",
        "````markdown\n```task\nid: T1\nstatus: done\n```\n````\n",  # about workplans
        "<!--\n```task\nid: T1\nstatus: done\n```\n-->\n",
        "    ```task\n    id: T1\n    ```\n",
        "```tasks\nnot done\n```\n",
        "> ```task\n> id: T1\n> ```\n",
        "",
    ],
)
def test_a_page_that_is_no_workplan_is_passed_over(tmp_path: Path, text: str) -> None:
    seen = workplans.workplans(world(tmp_path, {"workplans/other.md": text, "workplans/wp.md": plan(task("T1", "todo"))}), PATTERN)
    assert [one.path for one in seen.plans] == ["workplans/wp.md"]
    (tmp_path / "workplans/wp.md").unlink()
    with pytest.raises(CouldNotLook, match=r"no file of workplans/\*.md is a workplan"):
        workplans.workplans(world(tmp_path, {}), PATTERN)


@pytest.mark.parametrize(
    ("block", "line"),
    [
        ("```task\nid: T1\nstatus: [done\n```\n", 8),
        ("```task\nid: T1\nstatus: todo\nstatus: done\n```\n", 9),
        ("```task\njust words\n```\n", 6),
        ("```task\n```\n", 6),
        ("```task\nid: T1\nstatus: todo\n", 6),
        ("```\nno end\n\n```task\nid: T1\nstatus: todo\n", 6),
        ("<!-- no end\n\n```task\nid: T1\n```\n", 6),
    ],
)
def test_a_block_that_cannot_be_read_is_unproven_with_its_place(tmp_path: Path, block: str, line: int) -> None:
    found = judged(tmp_path, f"---\ntype: workplan\n---\n\n# Plan\n{block}")
    assert isinstance(found, Unproven)
    assert [(one.kind, one.file, one.line) for one in found.details] == [("unreadable", "workplans/wp.md", line)]
    assert found.message.startswith(f"workplans/wp.md:{line}: ")


def test_front_matter_that_cannot_be_read_is_unproven_where_it_says_that_it_is_a_workplans(tmp_path: Path) -> None:
    assert wrong(tmp_path, "---\ntype: workplan\nreadiness: [\n---\n\ntext\n") == [("unreadable", "")]


def test_a_page_of_other_bytes_is_unproven(tmp_path: Path) -> None:
    assert wrong(tmp_path, plan(task("T1", "done")).encode("utf-16")) == [("unreadable", "")]


def test_a_file_that_cannot_be_read_is_unproven(tmp_path: Path) -> None:
    seen = world(tmp_path, {"workplans/wp.md": plan(task("T1", "done"))})
    (tmp_path / "workplans/gone.md").mkdir()
    (tmp_path / "workplans/loop.md").symlink_to("/etc/hostname")
    found = judge_decisions(workplans.workplans(seen, PATTERN))
    assert isinstance(found, Unproven)
    assert [one.what for one in found.details if one.outcome is Outcome.UNPROVEN] == ["workplans/loop.md"]


def test_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    text = HUB.replace("id: HUB-WP-0011-T04\nstatus: todo", "id: HUB-WP-0011-T04\nstatus: in_progress")
    seen = [[(one.kind, one.what, one.line) for one in judged(tmp_path, other).details] for other in (text, text.replace("\n", "\r\n"), "\ufeff" + text)]
    assert seen[0] == seen[1] == seen[2]


def test_several_tasks_in_one_block_and_none_with_an_id(tmp_path: Path) -> None:
    text = "---\ntype: workplan\n---\n\n```task\n- id: T1\n  status: todo\n- id: T2\n  status: done\n```\n\n### T3 - Third\n\n```task\nstatus: done\n```\n"
    found = judged(tmp_path, text)
    assert [(one.kind, one.what, one.line) for one in found.details if one.outcome is Outcome.BROKEN] == [
        ("out-of-order", "workplans/wp.md T2 order", 9),
        ("out-of-order", "workplans/wp.md T3 order", 15),
    ]


@pytest.mark.parametrize(
    ("said", "status"), [("in-progress", Status.BEGUN), ("In Progress", Status.BEGUN), ("\u2705 done", Status.DONE), ("wip", Status.BEGUN)]
)
def test_a_status_is_read_as_people_write_it(tmp_path: Path, said: str, status: Status) -> None:
    (seen,) = workplans.workplans(world(tmp_path, {"workplans/wp.md": plan(task("T1", said))}), PATTERN).plans
    assert seen.tasks[0].status is status


def test_a_heading_inside_of_the_other_is_counted_once(tmp_path: Path) -> None:
    text = plan(task("T1", "in_progress"), decisions="Before T1:\n\n1. Name.\n\n### Open Human Decisions of the hosts\n\nBefore T1:\n\n1. Hours.")
    assert [what for _, what in wrong(tmp_path, text)] == ["WP-1-T1 decision Name.", "WP-1-T1 decision Hours."]


@pytest.mark.parametrize(
    "text",
    [
        plan(*(task(f"T{number}", "done", f"after: [T{number - 1}]\n") for number in range(1, 2002))),
        plan(task("T1", "todo"), *(task(f"T{number}", "done") for number in range(2, 1500)), decisions="\n".join(f"{n}. q" for n in range(1, 900))),
        plan(task("T1", "done"), decisions="- decided: " + "a, " * 100_000),
        plan(task("T1", "done"), decisions="- decided: " + "a" * 200_000),
        plan(task("T1", "done", title="retire the " * 20_000)),
        "```task\nstatus: done\n```\n`" + "<!--" * 200_000,
        "```task\nstatus: done\n```\n" + "<!-- a -->" * 100_000,
        "```task\nstatus: done\n```\n" + "- " * 200_000,
        "```task\nstatus: done\n```\n" + "```\n" * 100_001,
        "```task\n" * 100_000,
    ],
    ids=str.__len__,
)
def test_no_page_takes_long(tmp_path: Path, text: str) -> None:
    began = time.process_time()
    judged(tmp_path, text)
    assert time.process_time() - began < 10


def test_more_tasks_than_anybody_works_by_are_unproven(tmp_path: Path) -> None:
    text = plan(*(task(f"T{number}", "done") for number in range(2001)))
    assert kinds(tmp_path, text) == ["unreadable"]


# ---- the page of the documentation

PAGE = (Path(__file__).parent.parent.parent / "docs/workplans.md").read_text()
SHOWN = PAGE.partition("````markdown\n")[2].partition("````")[0]


def test_the_page_that_the_documentation_shows_holds_and_its_tasks_wait_for_what_it_says(tmp_path: Path) -> None:
    assert wrong(tmp_path, SHOWN) == []
    assert next_kinds(tmp_path, SHOWN, "LED-0012-T02") == ["open-decision"]  # the second one
    assert next_kinds(tmp_path, SHOWN, "LED-0012-T03") == ["out-of-order"]
    assert next_kinds(tmp_path, SHOWN, "LED-0012-T04") == ["out-of-order"] * 2
    begun = SHOWN.replace("id: LED-0012-T04\nstatus: todo", "id: LED-0012-T04\nafter: [T01]\nstatus: done")
    assert wrong(tmp_path, begun) == []
    assert wrong(tmp_path, begun.replace("decision: two", "# two")) == [("fallback-retired", "LED-0012-T04 retirement")]


def test_the_documentation_is_no_workplan_itself(tmp_path: Path) -> None:
    world(tmp_path, {"docs/workplans.md": PAGE})
    assert site_of_tree(tmp_path).workplans is None


# ---- a tree that nobody has described


def test_workplans_of_a_tree_are_found_by_what_is_in_them(tmp_path: Path) -> None:
    pages = {
        "workplans/HUB.md": HUB,
        "docs/plan.md": "# Plan\n\n" + task("T1", "done"),
        "docs/about.md": "A page about ```task blocks.\n",
        "docs/lesson.md": "```task\nid: lesson-1\nprompt: |\n  ```bash\n  ls\n  ```\nhints:\n  - look\n```\n\nstatus: a word\n",
        "docs/example.md": "````markdown\n" + plan(task("T1", "done")) + "````\n",
        "tests/plan.md": plan(task("T1", "done")),
        "notes.txt": plan(task("T1", "done")),
    }
    world(tmp_path, pages)
    site = site_of_tree(tmp_path)
    assert site.workplans is not None
    assert site.workplans.files == ("docs/plan.md", "workplans/HUB.md")


def test_init_names_the_folders_that_hold_some(tmp_path: Path) -> None:
    pages = {
        "workplans/HUB.md": HUB,
        "PLAN.md": plan(task("T1", "done")),
        "docs/plans/a.md": plan(task("T2", "done")),
        "docs/plans/b.md": plan(task("T3", "done")),
    }
    tree = world(tmp_path, pages).tree
    found = plain(discover(tree, (), root=tmp_path).document)["workplans"]
    assert found == {"files": ["PLAN.md", "docs/plans/*.md", "workplans/*.md"]}


def test_a_tree_without_workplans_declares_none(tmp_path: Path) -> None:
    world(tmp_path, {"README.md": "# Read me\n\n- a list\n"})
    assert site_of_tree(tmp_path).workplans is None
