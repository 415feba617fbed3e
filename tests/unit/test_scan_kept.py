"""What a scan came to is told again for the very same tree, and for no other; what is kept can be lost, spoilt or forbidden, and costs time alone."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from interlock.commands.kept import DETAILS, MOST, RECORD
from interlock.commands.scan import scan
from interlock.evidence.record import Record
from interlock.verdicts import Outcome

MARK = "told from what was kept"
CAREFUL = "#!/bin/sh\numask 077\npg_dump app > app.sql\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "ops").mkdir(parents=True)
    (folder / "ops/backup.sh").write_text(CAREFUL)
    (folder / "compose.yaml").write_text("services: {}\n")
    (folder / "big.bin").write_bytes(b"\0" * 300_000)
    (folder / "link").symlink_to("compose.yaml")
    return folder


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "INTERLOCK_CACHE": str(tmp_path / "cache")}


def kept(environ: Mapping[str, str]) -> list[Path]:
    folder = Path(environ["INTERLOCK_CACHE"], "scan")
    return sorted(folder.iterdir()) if folder.is_dir() else []


def marked(tree: Path, environ: Mapping[str, str]) -> Record:
    """A scan whose kept record says so, when it is told again."""
    record, _ = scan(tree, environ)
    for folder in kept(environ):
        data = json.loads((folder / RECORD).read_bytes())
        data["verdicts"][0]["message"] = MARK
        (folder / RECORD).write_text(json.dumps(data))
    return record


def is_told_again(tree: Path, environ: Mapping[str, str]) -> bool:
    record, details = scan(tree, environ)
    assert sum(len(line.whats) if isinstance(line, tuple) else 1 for line in details()) == record.details.count
    return record.verdicts[0].message == MARK


def test_the_same_tree_is_told_again_as_of_now(tree: Path, environ: dict[str, str]) -> None:
    first = marked(tree, environ)
    again, details = scan(tree, environ)
    assert again.verdicts[0].message == MARK
    assert again.run.id != first.run.id
    assert (again.decision, again.exit_code, again.required, again.details) == (first.decision, first.exit_code, first.required, first.details)
    assert {verdict.taken_at for verdict in again.verdicts} == {again.run.started}
    assert len(list(details())) > 0


def rename(tree: Path) -> None:
    (tree / "ops/backup.sh").rename(tree / "ops/copy.sh")


def git(tree: Path, *words: str) -> None:
    told = ("git", "-C", str(tree), "-c", "user.name=a", "-c", "user.email=a@example.org", *words)
    subprocess.run(told, check=True, capture_output=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: (tree / "ops/backup.sh").write_text(CAREFUL.replace("077", "027")),
        lambda tree: (tree / "ops/backup.sh").chmod(0o700),
        lambda tree: (tree / "big.bin").write_bytes(b"\0" * 299_999 + b"\1"),
        lambda tree: (tree / "new").write_text(""),
        lambda tree: (tree / "folder").mkdir(),
        lambda tree: (tree / "node_modules").mkdir(),
        lambda tree: ((tree / "link").unlink(), (tree / "link").symlink_to("ops/backup.sh")),
        lambda tree: (tree / "nowhere").symlink_to("gone"),
        lambda tree: os.mkfifo(tree / "pipe"),
        lambda tree: (tree / "link").unlink(),
        rename,
    ],
    ids=["byte", "mode", "large file", "file", "folder", "skipped folder", "link's target", "dangling link", "fifo", "no link", "name"],
)
def test_any_change_is_judged_anew(tree: Path, environ: dict[str, str], change: Callable[[Path], object]) -> None:
    marked(tree, environ)
    assert is_told_again(tree, environ)
    change(tree)
    assert not is_told_again(tree, environ)


def test_a_commit_a_tag_and_a_file_under_version_control_are_changes(tree: Path, environ: dict[str, str]) -> None:
    git(tree, "init", "-q")
    git(tree, "add", "compose.yaml")
    git(tree, "commit", "-qm", "one")
    for change in (("tag", "v1"), ("add", "ops"), ("commit", "-qm", "two")):
        marked(tree, environ)
        assert is_told_again(tree, environ)
        git(tree, *change)
        assert not is_told_again(tree, environ)


def test_another_place_to_look_for_programs_is_a_change(tree: Path, environ: dict[str, str], tmp_path: Path) -> None:
    marked(tree, environ)
    assert not is_told_again(tree, {**environ, "PATH": f"{tmp_path}:{environ['PATH']}"})


def test_nothing_is_kept_of_a_tree_in_which_something_could_not_be_looked_at(tree: Path, environ: dict[str, str]) -> None:
    (tree / "ops/other.sh").symlink_to("/etc/hostname")
    record, _ = scan(tree, environ)
    assert Outcome.UNPROVEN in {verdict.outcome for verdict in record.verdicts}
    assert kept(environ) == []


@pytest.mark.parametrize("path", ["../shared.env", "/etc/shared.env"])
def test_nothing_is_kept_where_docker_compose_may_have_read_outside_of_the_tree(tree: Path, environ: dict[str, str], path: str) -> None:
    (tree / "compose.yaml").write_text(f"services: {{web: {{image: 'nginx:1', env_file: [{{path: {path}, required: false}}]}}}}\n")
    scan(tree, environ)
    assert kept(environ) == []


@pytest.mark.parametrize("name", [RECORD, DETAILS])
@pytest.mark.parametrize(
    "spoil",
    [lambda path: path.write_bytes(path.read_bytes()[:-3]), lambda path: path.unlink(), lambda path: path.write_bytes(b"")],
    ids=["cut", "gone", "empty"],
)
def test_what_is_spoilt_is_judged_anew_and_kept_whole_again(tree: Path, environ: dict[str, str], name: str, spoil: Callable[[Path], object]) -> None:
    marked(tree, environ)
    (folder,) = kept(environ)
    spoil(folder / name)
    assert not is_told_again(tree, environ)
    marked(tree, environ)
    assert is_told_again(tree, environ)


def test_a_link_in_the_place_of_a_record_is_not_followed(tree: Path, environ: dict[str, str], tmp_path: Path) -> None:
    marked(tree, environ)
    (folder,) = kept(environ)
    (folder / RECORD).rename(tmp_path / "elsewhere")
    (folder / RECORD).symlink_to(tmp_path / "elsewhere")
    assert not is_told_again(tree, environ)


def test_a_folder_that_others_may_write_is_not_used(tree: Path, environ: dict[str, str]) -> None:
    marked(tree, environ)
    Path(environ["INTERLOCK_CACHE"], "scan").chmod(0o777)
    assert not is_told_again(tree, environ)


def test_it_can_be_switched_off(tree: Path, environ: dict[str, str]) -> None:
    marked(tree, environ)
    assert not is_told_again(tree, {**environ, "INTERLOCK_CACHE": "off"})


def test_a_cache_that_cannot_be_made_costs_nothing_but_time(tree: Path, environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    record, _ = scan(tree, {**environ, "INTERLOCK_CACHE": str(tmp_path / "file")})
    assert record.verdicts


def test_it_is_private_and_does_not_grow_without_end(tree: Path, environ: dict[str, str]) -> None:
    base = Path(environ["INTERLOCK_CACHE"], "scan")
    base.mkdir(parents=True, mode=0o700)
    for number in range(MOST + 5):
        (base / f"{number:064d}").mkdir()
        os.utime(base / f"{number:064d}", (number, number))
    scan(tree, environ)
    assert len(kept(environ)) == MOST
    (newest,) = (folder for folder in kept(environ) if (folder / RECORD).exists())
    assert {oct(path.stat().st_mode & 0o777) for path in (base, newest)} == {"0o700"}
    assert {oct(path.stat().st_mode & 0o777) for path in newest.iterdir()} == {"0o600"}
