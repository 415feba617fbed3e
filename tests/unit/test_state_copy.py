"""The scripts of examples/nested-to-flat by themselves: is a copy the same, whatever differs, and which line of fstab is another afterwards?"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

BIN = Path(__file__).parents[2] / "examples" / "nested-to-flat" / "bin"


def run(*words: object, script: str = "state-copy", path: str = os.environ["PATH"]) -> tuple[int, str]:
    done = subprocess.run((BIN / script, *map(str, words)), capture_output=True, text=True, check=False, env={**os.environ, "PATH": path})
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def state(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    (state / "certs" / "inner").mkdir(parents=True)
    (state / "system.db").write_bytes(os.urandom(70_000))
    (state / ".secret").write_text("7" * 64)
    (state / ".secret").chmod(0o600)
    (state / "certs" / "two\nlines").write_text("x")
    Path(os.fsdecode(os.fsencode(state) + b"/\xff")).write_text("y")
    (state / "certs" / "link").symlink_to("../system.db")
    os.link(state / "system.db", state / "certs" / "the-same")
    os.utime(state / ".secret", (1, 1_580_601_600))
    return state


def test_a_copy_is_the_same_once_it_has_its_name(state: Path) -> None:
    copy = state.with_name("copy")
    assert run("same", state, copy)[0] == 1
    code, said = run("keep", state, copy)
    assert (code, "9 names copied" in said) == (0, True), said
    assert run("same", state, copy)[0] == 0
    code, said = run("keep", state, copy)
    assert (code, "is there already" in said) == (1, True)


def lose(copy: Path) -> None:
    (copy / ".secret").unlink()


def add(copy: Path) -> None:
    (copy / "certs" / "more").write_text("")


def change_a_byte(copy: Path) -> None:
    seen = (copy / "system.db").stat()
    data = bytearray((copy / "system.db").read_bytes())
    data[35_000] ^= 1
    (copy / "system.db").write_bytes(data)
    os.utime(copy / "system.db", ns=(seen.st_atime_ns, seen.st_mtime_ns))


def open_up(copy: Path) -> None:
    (copy / ".secret").chmod(0o604)


def touch(copy: Path) -> None:
    os.utime(copy / ".secret", (1, 2))


def lead_elsewhere(copy: Path) -> None:
    (copy / "certs" / "link").unlink()
    (copy / "certs" / "link").symlink_to("../.secret")


def part_the_links(copy: Path) -> None:
    one, other = copy / "system.db", copy / "certs" / "the-same"
    shutil.copy2(one, copy / "third")
    other.unlink()
    (copy / "third").rename(other)


def make_it_a_directory(copy: Path) -> None:
    (copy / ".secret").unlink()
    (copy / ".secret").mkdir()


def give_it_away(copy: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(copy / ".secret", 999, -1)


def mark_it(copy: Path) -> None:
    try:
        os.setxattr(copy / "system.db", "user.marked", b"1")
    except OSError:
        pytest.skip("this file system has no extended attributes")


CHANGES = (lose, add, change_a_byte, open_up, touch, lead_elsewhere, part_the_links, make_it_a_directory, give_it_away, mark_it)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_whatever_differs_is_told(state: Path, change: Callable[[Path], None]) -> None:
    copy = state.with_name("copy")
    assert run("keep", state, copy)[0] == 0
    change(copy)
    code, said = run("same", state, copy)
    assert (code, "are not the same" in said.splitlines()[-1]) == (1, True), said


def test_a_program_that_copies_badly_leaves_nothing_that_could_be_taken_for_a_copy(state: Path, tmp_path: Path) -> None:
    shim = tmp_path / "shims" / "cp"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\n{shutil.which("cp")} "$@"\nfor last; do :; done\nrm "$last/.secret"\n')
    shim.chmod(0o755)
    code, said = run("keep", state, tmp_path / "copy", path=f"{shim.parent}:{os.environ['PATH']}")
    assert (code, "is no copy of" in said, (tmp_path / "copy").exists()) == (1, True, False), said
    assert run("keep", state, tmp_path / "copy")[0] == 0


def test_a_copy_is_dropped_only_where_the_state_has_all_of_it(state: Path) -> None:
    copy = state.with_name("copy")
    run("keep", state, copy)
    (state / ".secret").rename(state.with_name("away"))
    code, said = run("drop", copy, state)
    assert (code, copy.exists(), said.splitlines()[-1]) == (1, True, f"{state} lacks 1 names that {copy} has: the copy stays")
    state.with_name("away").rename(state / ".secret")
    (state / "log").write_text("went on")
    code, said = run("drop", copy, state)
    assert (code, copy.exists(), "has changed since: the copy stays" in said) == (0, True, True)
    (state / "log").unlink()
    os.utime(state, ns=(0, copy.stat().st_mtime_ns))
    assert (run("drop", copy, state)[0], copy.exists()) == (0, False)
    assert run("drop", copy, state)[0] == 0


@pytest.fixture
def moving(tmp_path: Path) -> tuple[str, Path]:
    """The programs that only root can run, in place of which files say what is mounted where."""
    shims, mounted = tmp_path / "shims", tmp_path / "mounted"
    shims.mkdir()
    mounted.mkdir()
    at = f'at="{mounted}/$(echo "$last" | tr / _)"'
    texts = {
        "findmnt": f"for last; do :; done; {at}; cat $at 2>/dev/null",
        "umount": f"for last; do :; done; {at}; rm $at",
        "mount": f'for last; do :; done; {at}; awk -v at="$last" \'$2 == at {{ print $1 }}\' "$2" >$at',
    }
    for name, text in texts.items():
        (shims / name).write_text(f"#!/bin/sh\n{text}\n")
        (shims / name).chmod(0o755)
    return f"{shims}:{os.environ['PATH']}", mounted


def test_one_line_of_fstab_is_another_and_every_other_byte_stays(tmp_path: Path, moving: tuple[str, Path]) -> None:
    path, mounted = moving
    below, beside, fstab = tmp_path / "data" / "state", tmp_path / "data-state", tmp_path / "fstab"
    below.mkdir(parents=True)
    text = f"# {below} is below\n/dev/null\t{below}-of-old ext4 defaults 0 2\n /dev/zero   {below}  ext4  x={below} 0 2\n\nproc /proc proc\n"
    fstab.write_text(text)
    fstab.chmod(0o640)
    (mounted / str(below).replace("/", "_")).write_text("/dev/zero\n")
    there, back = ("move", "/dev/zero", below, beside, fstab), ("move", "/dev/zero", beside, below, fstab)
    assert run("is-at", "/dev/zero", beside, fstab, script="state-disk", path=path)[0] != 0
    for _ in range(2):
        assert run(*there, script="state-disk", path=path) == (0, "")
        assert fstab.read_text() == text.replace(f"   {below}  ext4", f"   {beside}  ext4")
        assert (fstab.stat().st_mode & 0o777, below.exists()) == (0o640, False)
        assert run("is-at", "/dev/zero", beside, fstab, script="state-disk", path=path)[0] == 0
    for _ in range(2):
        assert run(*back, script="state-disk", path=path) == (0, "")
        assert (fstab.read_text(), beside.exists()) == (text, False)


@pytest.mark.parametrize(
    ("line", "seen", "said"),
    [
        ("", "/dev/zero", "has 0 lines for"),
        ("/dev/zero {below} ext4\n/dev/zero {below} ext4\n", "/dev/zero", "has 2 lines for"),
        ("/dev/zero {below} ext4\n/dev/null {beside} ext4\n", "/dev/zero", "has 2 lines for"),
        ("/dev/zero {below} ext4\n", "/dev/null", "/dev/null is mounted at"),
    ],
)
def test_what_is_not_as_the_action_says_is_refused(tmp_path: Path, moving: tuple[str, Path], line: str, seen: str, said: str) -> None:
    path, mounted = moving
    below, beside, fstab = tmp_path / "data" / "state", tmp_path / "data-state", tmp_path / "fstab"
    below.mkdir(parents=True)
    fstab.write_text(line.format(below=below, beside=beside))
    (mounted / str(below).replace("/", "_")).write_text(f"{seen}\n")
    code, told = run("move", "/dev/zero", below, beside, fstab, script="state-disk", path=path)
    assert (code, said in told) == (1, True), told
    assert (fstab.read_text(), (mounted / str(below).replace("/", "_")).read_text()) == (line.format(below=below, beside=beside), f"{seen}\n")
