"""What is directly in a directory: Python and the shell say the same, whatever the names are."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from interlock.facts.looks import FailedLook, List, ListAnswer
from interlock.observe import probe
from tests.strategies import file_texts
from tests.unit.test_observe_shell_probe import SHELLS, asked, here, nasty_tree, tool_box


def test_entries_are_told_with_their_own_modes_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir(mode=0o700)
    (tmp_path / "file").touch(mode=0o600)
    (tmp_path / "link").symlink_to("volume")
    (tmp_path / ".hidden").mkdir()
    seen = here(List(str(tmp_path)))
    assert isinstance(seen, ListAnswer)
    assert {name: stat.filemode(mode)[0] for name, mode in seen.modes.items()} == {"volume": "d", "file": "-", "link": "l", ".hidden": "d"}
    assert seen.directories == (".hidden", "volume")


def test_a_directory_that_is_not_there_is_a_failed_look(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert [here(List(str(tmp_path / name))) for name in ("none", "file")] == [
        FailedLook("ENOENT", "No such file or directory"),
        FailedLook("ENOTDIR", "Not a directory"),
    ]


def test_too_many_entries_are_no_shorter_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        (tmp_path / name).mkdir()
    monkeypatch.setattr(probe, "LIST_LIMIT", 2)
    found = here(List(str(tmp_path)))
    assert isinstance(found, FailedLook)
    assert found.code == "too-large"


@pytest.mark.parametrize("busybox", [False, True], ids=["gnu", "busybox"])
@pytest.mark.parametrize("shell", SHELLS, ids=lambda argv: argv[0])
def test_the_shell_says_the_same(tmp_path: Path, shell: Any, busybox: bool) -> None:
    tree = nasty_tree(tmp_path)
    (tree / "..two").mkdir()
    (tree / ".hidden").touch()
    (tree / "*").touch()
    (tmp_path / "none at all").mkdir()
    (tmp_path / "to-tree").symlink_to("tree")
    places = [str(tree), f"{tree}/", str(tmp_path / "none at all"), str(tmp_path / "to-tree"), str(tmp_path / "nowhere"), f"{tree}/fifo"]
    looks = [List(place) for place in places]
    reply, _ = asked(looks, tmp_path, shell, tool_box(tmp_path / "tools", busybox=busybox))
    assert [reply.answers[look] for look in looks] == [here(look) for look in looks]


@settings(max_examples=20)
@given(file_texts())
def test_any_name_comes_back_as_it_is(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.mktemp("list")
    raw = os.fsencode(name).replace(b"/", b"_").replace(b"\0", b"_")[:200]
    if raw in (b"", b".", b".."):
        return
    os.mkdir(os.fsencode(folder) + b"/" + raw)
    reply, _ = asked((List(str(folder)),), folder, SHELLS[0])
    assert reply.answers[List(str(folder))] == here(List(str(folder)))
