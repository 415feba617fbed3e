"""The tree of a site: files read once, never out of it, and every reason why not said apart."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from interlock.errors import CouldNotLook
from interlock.observe.tree import MissingFile, Tree

OPENED: list[str] = []
RECORDING: list[bool] = []


def _hook(event: str, args: tuple[object, ...]) -> None:
    if RECORDING and event == "open":
        OPENED.append(os.fsdecode(args[0]) if isinstance(args[0], str | bytes) else str(args[0]))


@pytest.fixture
def opened() -> Callable[[Callable[[], object]], list[str]]:
    """What is opened while something runs. An audit hook cannot be taken out again, so it listens on demand."""
    if not OPENED and not hasattr(sys, "_interlock_tree_hook"):
        sys.addaudithook(_hook)
        sys._interlock_tree_hook = True  # type: ignore[attr-defined]

    def during(work: Callable[[], object]) -> list[str]:
        OPENED.clear()
        RECORDING.append(True)
        try:
            work()
        finally:
            RECORDING.clear()
        return list(OPENED)

    return during


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"\xff content")
    assert Tree(tmp_path).read("a/b") == b"\xff content"


def test_each_file_is_opened_once_by_whatever_name(tmp_path: Path, opened: Callable[[Callable[[], object]], list[str]]) -> None:
    (tmp_path / "f").write_bytes(b"x")
    (tmp_path / "link").symlink_to("f")
    (tmp_path / "d").mkdir()
    tree = Tree(tmp_path)
    reads = opened(lambda: [tree.read(name) for name in ("f", "./f", "link", "d/../f", "f")])
    assert reads == [str(tmp_path.resolve() / "f")]


def test_a_file_that_could_not_be_read_is_not_tried_again(tmp_path: Path, opened: Callable[[Callable[[], object]], list[str]]) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    tree = Tree(tmp_path, limit=4)

    def read_twice() -> None:
        for _ in range(2):
            with pytest.raises(CouldNotLook, match="limit of 4"):
                tree.read("f")

    assert len(opened(read_twice)) == 1


def test_a_missing_file_is_told_from_one_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    tree = Tree(tmp_path)
    for name in ("none", "none/below", "file/below", "dangling"):
        with pytest.raises(MissingFile):
            tree.read(name)
    for name, why in (("folder", "a directory"), ("fifo", "a FIFO"), ("a\0b", "no path")):
        with pytest.raises(CouldNotLook, match=why) as caught:
            tree.read(name)
        assert not isinstance(caught.value, MissingFile)


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "out", "folder/out/secret", "a/../../secret"])
def test_nothing_out_of_the_tree_is_read(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "a").mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "folder" / "out").symlink_to(tmp_path)
    tree = Tree(root)
    for look in (tree.read, tree.exists):
        with pytest.raises(CouldNotLook, match="leads out of the tree"):
            look(path)


def test_a_neighbour_whose_name_begins_alike_is_outside(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site-secrets").mkdir()
    (tmp_path / "site-secrets" / "f").touch()
    with pytest.raises(CouldNotLook, match="leads out"):
        Tree(tmp_path / "site").read("../site-secrets/f")


def test_a_tree_behind_a_link_is_a_tree(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "f").write_bytes(b"x")
    (tmp_path / "link").symlink_to("real")
    tree = Tree(tmp_path / "link")
    assert tree.read("f") == b"x"
    assert tree.listing() == ("f",)


def test_what_exists_exists(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    tree = Tree(tmp_path)
    assert [tree.exists(name) for name in ("d", "d/f", "dangling", "none", "d/f/x")] == [True, True, False, False, False]


def test_the_listing_has_files_and_links_to_files_and_skips_what_tools_keep(tmp_path: Path) -> None:
    for folder in ("a/b", ".git", "node_modules/x", ".github"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("a/b/f", "a-file", ".git/config", "node_modules/x/index.js", ".github/workflow.yml"):
        (tmp_path / name).touch()
    os.close(os.open(os.fsencode(tmp_path) + b"/\xff", os.O_CREAT))
    os.mkfifo(tmp_path / "fifo")
    for name, target in (("to-file", "a-file"), ("to-folder", "a"), ("loop", "."), ("circle", "circle"), ("dangling", "nowhere")):
        (tmp_path / name).symlink_to(target)
    tree = Tree(tmp_path)
    assert tree.listing() == (".github/workflow.yml", "a-file", "a/b/f", "to-file", "\udcff")
    assert tree.listing("a") == tree.listing("a/") == ("a/b/f",)
    assert tree.listing("no/such/folder") == ()
    assert tree.read("\udcff") == b""


def test_the_tree_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").touch()
    tree = Tree(tmp_path)
    first = tree.listing()
    monkeypatch.setattr(os, "scandir", None)
    assert tree.listing() == first


def test_a_folder_that_cannot_be_listed_spoils_the_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shut").mkdir()
    real = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("/shut"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(CouldNotLook, match="shut could not be read: Permission denied"):
        Tree(tmp_path).listing()


@pytest.mark.parametrize(("name", "shut", "passed"), [
    ("20261121T113959Z-preflight-bbb6fa", (0o700, 0), True),
    (".spool-x1_y2z3a", (0o700, 0), True),
    ("20261121T113959Z-preflight-bbb6fa", (0o700, 1000), False),
    ("20261121T113959Z-preflight-bbb6fa", (0o750, 0), False),
    ("bin", (0o700, 0), False),
])  # fmt: skip
def test_the_evidence_of_a_gate_that_root_was_asked_for_spoils_nothing_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, shut: tuple[int, int], passed: bool
) -> None:
    """Nobody but root can list such a folder; whoever is not root is told of any other folder that is closed."""
    (mode, owner), folder = shut, tmp_path / "reports" / name
    folder.mkdir(parents=True)
    folder.chmod(mode)
    real, itself = os.scandir, os.lstat

    def scandir(path: str) -> object:
        if path.endswith(name):
            raise PermissionError(13, "Permission denied")
        return real(path)

    def lstat(path: str, **more: int) -> os.stat_result:
        seen = itself(path, **more)
        return os.stat_result((*seen[:4], owner, *seen[5:])) if str(path).endswith(name) else seen

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "lstat", lstat)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    if passed:
        assert Tree(tmp_path).listing() == ()
    else:
        with pytest.raises(CouldNotLook, match="could not be read"):
            Tree(tmp_path).listing()
