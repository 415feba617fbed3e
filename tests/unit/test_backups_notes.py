"""Restore notes: there, saying something, not older than the procedure by the commits that changed them; and the decision. With a real git."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config.models import Site
from interlock.errors import CouldNotLook
from interlock.facts.backups import LastChange, RestoreNote, prose
from interlock.judge.backup.notes import modules_with_notes
from interlock.judge.backups import judge_restore_note
from interlock.observe.backups import restore_note
from interlock.observe.git import last_change
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.testing.faults.backup_files import commit, database
from interlock.verdicts import Broken, Held, Outcome, Subject, Unproven, When

NOTE = "# Restore\n\n1. Stop the app.\n2. Put the dump back.\n"


def note(**changed: Any) -> RestoreNote:
    said = {"path": "restore.md", "text": NOTE, "decision": "kim, 2026-11-02", "procedure": "", "note_changed": None, "procedure_changed": None}
    return RestoreNote(module="db", backup_class="A", **{**said, **changed})


def broken_kinds(judgement: Held | Broken | Unproven) -> list[str]:
    assert isinstance(judgement, Broken)
    return [detail.kind for detail in judgement.details if detail.outcome is Outcome.BROKEN]


# ---- what it says


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "# Restore\n",
        "Restore\n=======\n",
        "Restore\n---\n\n***\n",
        "---\ntitle: restore\nowner: kim\n---\n# Restore\n",
        "# Restore\n\n<!-- to be written by kim -->\n",
        "# Restore\n\nTODO\n",
        "## Steps\n\n- [ ] TBD\n".replace("[ ] ", ""),
        "\ufeff# Restore\r\n\r\nto be written\r\n",
        "<!-- never closed\n1. Stop the app\n",
    ],
)
def test_a_note_of_headings_comments_and_todos_says_nothing(text: str) -> None:
    assert prose(text) == ()
    assert broken_kinds(judge_restore_note(note(text=text))) == ["note-empty"]


@pytest.mark.parametrize("text", [NOTE, "psql -f dump.sql\n", "Restore\n---\nStop the app.\n", "# Restore\nTODO: the other steps, but first stop the app\n"])
def test_a_note_with_one_line_of_words_says_something(text: str) -> None:
    assert prose(text)
    assert isinstance(judge_restore_note(note(text=text)), Held)


@given(st.text())
def test_any_text_can_be_a_note(text: str) -> None:
    assert all(line.strip() for line in prose(text))


def test_no_note_and_no_decision_are_both_told() -> None:
    assert broken_kinds(judge_restore_note(note(path="", text=None, decision=""))) == ["no-note", "no-decision"]
    assert broken_kinds(judge_restore_note(note(text=None))) == ["note-missing"]


@pytest.mark.parametrize("decision", ["", "TODO", "tbd", "n/a", " pending ", "?", "WHO, WHEN, WHERE"])
def test_a_placeholder_is_no_decision(decision: str) -> None:
    assert broken_kinds(judge_restore_note(note(decision=decision))) == ["no-decision"]


# ---- which is newer


def at(seconds: int, **changed: bool) -> LastChange:
    return LastChange(committed=seconds, **changed)


@pytest.mark.parametrize(
    ("its", "procedures", "outcome"),
    [
        (at(20), at(10), Held),
        (at(10), at(10), Held),  # one commit for both
        (at(10), at(20), Broken),
        (None, at(10), Unproven),
        (at(10), None, Unproven),
        (at(10, uncommitted=True), at(20), Held),
        (at(20), at(10, uncommitted=True), Broken),
        (at(10, uncommitted=True), at(10, uncommitted=True), Held),
        (at(10, oldest_known=True), at(10, oldest_known=True), Unproven),
        (at(20), at(10, oldest_known=True), Held),
        (at(10, oldest_known=True), at(20), Broken),
    ],
)
def test_the_commits_tell_which_is_newer(its: LastChange | None, procedures: LastChange | None, outcome: type) -> None:
    found = judge_restore_note(note(procedure="backup.sh", note_changed=its, procedure_changed=procedures))
    assert isinstance(found, outcome)


def test_without_a_procedure_there_is_nothing_that_it_could_be_older_than() -> None:
    assert isinstance(judge_restore_note(note()), Held)


# ---- with a real checkout


def see(folder: Path, inventory: dict[str, Any] | None = None, **module: Any) -> RestoreNote:
    said = {"class": "A", "backups": "/srv/b", "owner": "root", "restore_note": "restore.md", "procedure": "backup.sh", "decision": "kim, 2026-11-02", **module}
    site = Site.model_validate({"interlock": 1, "site": "proof", "modules": {"db": said}, "inventory": inventory}).placed(folder)
    world = World(site=site, gates=frozenset({When.STATIC}), tree=Tree(folder), hosts={}, environ={})
    return restore_note(world, Subject(name="db"))


def test_a_change_of_the_procedure_makes_the_note_old_until_it_is_changed_too(tmp_path: Path) -> None:
    database(tmp_path)
    assert isinstance(judge_restore_note(see(tmp_path)), Held)
    (tmp_path / "backup.sh").write_text("pg_dumpall > /srv/b/all.sql\n")
    assert broken_kinds(judge_restore_note(see(tmp_path))) == ["note-older"]  # not even committed
    commit(tmp_path, "backup.sh", at="2026-11-03T12:00:00Z")
    assert broken_kinds(judge_restore_note(see(tmp_path))) == ["note-older"]
    (tmp_path / "restore.md").write_text(NOTE + "Checked against backup.sh on 2026-11-04.\n")
    assert isinstance(judge_restore_note(see(tmp_path)), Held)


def test_a_shallow_checkout_cannot_tell_what_came_first(tmp_path: Path) -> None:
    database(tmp_path / "full" if (tmp_path / "full").mkdir() is None else tmp_path)
    subprocess.run(("git", "clone", "--quiet", "--depth", "1", f"file://{tmp_path}/full", str(tmp_path / "ci")), check=True, capture_output=True, timeout=30)
    found = judge_restore_note(see(tmp_path / "ci"))
    assert isinstance(found, Unproven)
    assert "fetch-depth: 0" in found.remedy


def test_without_a_checkout_nobody_knows(tmp_path: Path) -> None:
    (tmp_path / "restore.md").write_text(NOTE)
    (tmp_path / "backup.sh").write_text("pg_dumpall\n")
    assert last_change(tmp_path, "restore.md") is None
    assert isinstance(judge_restore_note(see(tmp_path)), Unproven)


def test_the_change_of_a_file_is_that_of_its_own_last_commit(tmp_path: Path) -> None:
    database(tmp_path)
    assert last_change(tmp_path, "backup.sh") == LastChange(committed=1_793_534_400)
    assert last_change(tmp_path, "restore.md") == LastChange(committed=1_793_620_800)
    (tmp_path / "new.md").write_text("x")
    assert last_change(tmp_path, "new.md") == LastChange(committed=0, uncommitted=True)
    assert last_change(tmp_path, "gone.md") is None
    (tmp_path / ".git" / "info" / "exclude").write_text("ignored.md\n")
    (tmp_path / "ignored.md").write_text("x")
    assert last_change(tmp_path, "ignored.md") is None
    (tmp_path / "*.md").write_text("x")
    commit(tmp_path, ":(literal)*.md", at="2026-11-05T12:00:00Z")
    assert last_change(tmp_path, "*.md") == LastChange(committed=1_793_880_000)  # a name, no pattern


def test_a_note_that_is_not_there_is_broken_and_a_procedure_that_is_not_there_cannot_be_looked_at(tmp_path: Path) -> None:
    database(tmp_path)
    assert broken_kinds(judge_restore_note(see(tmp_path, restore_note="gone.md"))) == ["note-missing"]
    with pytest.raises(CouldNotLook):
        see(tmp_path, procedure="gone.sh")


def test_what_the_site_does_not_say_is_taken_from_the_module_file(tmp_path: Path) -> None:
    database(tmp_path)
    (tmp_path / "modules" / "db").mkdir(parents=True)
    (tmp_path / "modules" / "db" / "module.yaml").write_text(
        "metadata: {name: main-db}\nspec: {backup: {restore_notes: restore.md, decision: 'sam, 2026-11-05'}}\n"
    )
    unsaid = {"restore_note": None, "decision": None}
    assert broken_kinds(judge_restore_note(see(tmp_path, **unsaid))) == ["no-note", "no-decision"]
    found = see(tmp_path, inventory={}, **unsaid)
    assert (found.path, found.decision) == ("restore.md", "sam, 2026-11-05")
    assert isinstance(judge_restore_note(found), Held)
    assert see(tmp_path, inventory={}).decision == "kim, 2026-11-02"


def test_classes_a_to_d_need_a_note_and_the_others_do_not() -> None:
    modules = {f"m{letter}": {"class": letter, "paths": [f"/srv/{letter}"], "backups": f"/b/{letter}", "owner": "root"} for letter in "ABCDEFG"} | {
        "my-postgres": {"class": None, "paths": ["/srv/pg"], "backups": "/b/pg", "owner": "root"}
    }
    site = Site.model_validate({"interlock": 1, "site": "proof", "modules": modules})
    assert [subject.name for subject in modules_with_notes(site)] == ["mA", "mB", "mC", "mD", "my-postgres"]
