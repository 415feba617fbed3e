"""A site file is written once it loads: what would not load is commented out, and no draft is left, whoever reads it back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from interlock.commands import readback
from interlock.commands.init import Init, init
from interlock.commands.placing import draft_of, put, write_draft
from interlock.commands.readback import Readback
from interlock.config.load import load_site
from interlock.discover import whole
from interlock.discover.document import From
from interlock.errors import InterlockError, UsageError


@pytest.fixture(params=["a second process", "no second process", "a second process that fails"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "no second process":
        monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    elif request.param != "a second process":
        monkeypatch.setattr(readback, "_PROGRAM", "raise SystemExit('no')")


def wrong(monkeypatch: pytest.MonkeyPatch, **sections: Any) -> None:
    real = whole._Discovery.whole

    def whole_and_more(self: Any) -> Any:
        found = real(self)
        found.document.update(sections)
        return found

    monkeypatch.setattr(whole._Discovery, "whole", whole_and_more)


@pytest.mark.usefixtures("reader")
def test_a_section_that_would_not_load_is_commented_out_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong(monkeypatch, hosts={"a b": {"timeout": From(0, "nobody knows")}}, health={"ok": {"url": "http://a/"}}, inventory={"mistake": 1})
    with Readback() as reader:
        said = init(Init(root=tmp_path), reader, {})
    text = (tmp_path / "interlock.yaml").read_text()
    assert "#? this would not load as it was found: inventory.mistake is no key that exists\n# inventory:\n#   mistake: 1\n" in text
    assert "# hosts:" in text
    assert load_site(tmp_path / "interlock.yaml", None).health["ok"].url == "http://a/"
    assert "this would not load as it was found" in said
    assert [path.name for path in tmp_path.iterdir()] == ["interlock.yaml"]


def test_what_cannot_load_at_all_is_a_fault_of_ours_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong(monkeypatch, interlock=7)
    with Readback() as reader, pytest.raises(InterlockError, match="makes no site file"):
        init(Init(root=tmp_path), reader, {})
    assert list(tmp_path.iterdir()) == []


def test_one_reader_answers_for_several_files(tmp_path: Path) -> None:
    (tmp_path / "good").write_text("interlock: 1\nsite: x\n")
    (tmp_path / "bad\n").write_text("interlock: 1\nsite: x\nhelath: 1\n")
    with Readback() as reader:
        assert reader.fault(tmp_path / "good") is None
        assert reader.fault(tmp_path / "bad\n") == ("helath is no key that exists", 3)
        assert reader.fault(tmp_path / "good") is None


def test_a_file_that_comes_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "interlock.yaml"

    def place() -> None:
        with draft_of(target) as draft:
            write_draft(draft, b"ours")
            target.write_text("theirs")
            put(draft, target, replacing=False)

    with pytest.raises(UsageError, match="is there already"):
        place()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("interlock.yaml", "theirs")]


def test_a_draft_is_gone_when_it_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with draft_of(tmp_path / "interlock.yaml") as draft:
            write_draft(draft, b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(UsageError, match="could not be written: No space left"):
        fail()
    assert list(tmp_path.iterdir()) == []
