"""What the kernel lets a process do: the rule is compared with the kernel itself, as it answers to processes of several users."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.facts.access import DAC_OVERRIDE, DAC_READ_SEARCH, Want, may
from interlock.facts.looks import StatAnswer

OWNER, OTHER = 61001, 61002
MODES = st.integers(min_value=0, max_value=0o777)
IDS = st.sampled_from((OWNER, OTHER))
WANTS = st.sampled_from((Want.READ, Want.WRITE, Want.READ | Want.WRITE, Want.SEARCH, Want.FILL))
EVERYTHING = (1 << 41) - 1


def directory(mode: int, uid: int = 0, gid: int = 0) -> StatAnswer:
    return StatAnswer(present=True, mode=stat.S_IFDIR | mode, uid=uid, gid=gid)


def file(mode: int, uid: int = 0, gid: int = 0) -> StatAnswer:
    return StatAnswer(present=True, mode=stat.S_IFREG | mode, uid=uid, gid=gid)


def test_the_owner_is_asked_the_owners_bits_alone() -> None:
    assert may(directory(0o077, uid=OWNER, gid=OWNER), OWNER, OWNER, (), 0, Want.FILL) is False


def test_a_supplementary_group_counts() -> None:
    assert may(directory(0o770, uid=0, gid=OTHER), OWNER, OWNER, (OTHER,), 0, Want.FILL) is True


def test_a_directory_that_can_be_written_and_not_searched_takes_no_file() -> None:
    assert may(directory(0o702, uid=0), OWNER, OWNER, (), 0, Want.FILL) is False


def test_root_without_its_capability_is_like_everybody() -> None:
    assert may(directory(0o700, uid=OWNER), 0, 0, (), 0, Want.FILL) is False
    assert may(directory(0o700, uid=OWNER), 0, 0, (), DAC_OVERRIDE, Want.FILL) is True


def test_the_capability_to_read_writes_nothing() -> None:
    assert may(file(0o600, uid=OWNER), 0, 0, (), DAC_READ_SEARCH, Want.READ) is True
    assert may(file(0o600, uid=OWNER), 0, 0, (), DAC_READ_SEARCH, Want.READ | Want.WRITE) is False


def test_a_refusal_that_an_acl_may_lift_is_none() -> None:
    assert may(directory(0o770, uid=0, gid=0), OWNER, OWNER, (), 0, Want.FILL) is None
    assert may(directory(0o750, uid=0, gid=0), OWNER, OWNER, (), 0, Want.FILL) is False


def test_a_capability_of_a_user_namespace_is_no_promise_about_files_of_others() -> None:
    assert may(directory(0o700, uid=0), OWNER, OWNER, (), DAC_OVERRIDE, Want.FILL) is None
    assert may(directory(0o500, uid=OWNER, gid=OWNER), OWNER, OWNER, (), DAC_OVERRIDE, Want.FILL) is True


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that processes of every user reach."""
    if os.geteuid() != 0:
        pytest.skip("processes of other users need root")
    folder = Path("/dev/shm") / f"interlock-access-{os.getpid()}"
    folder.mkdir(mode=0o755)
    yield folder
    for one in folder.iterdir():
        one.rmdir() if one.is_dir() else one.unlink()
    folder.rmdir()


@given(mode=MODES, is_directory=st.booleans(), owner=IDS, group=IDS, uid=st.sampled_from((0, OWNER, OTHER)), gid=IDS, member=st.booleans(), want=WANTS)
def test_the_kernel_says_the_same(shared: Path, *, mode: int, is_directory: bool, owner: int, group: int, uid: int, gid: int, member: bool, want: Want) -> None:
    path = shared / ("directory" if is_directory else "file")
    path.mkdir(exist_ok=True) if is_directory else path.touch()
    os.chown(path, owner, group)
    path.chmod(mode)
    groups = (group,) if member else ()
    seen = path.lstat()
    answer = StatAnswer(present=True, mode=seen.st_mode, uid=seen.st_uid, gid=seen.st_gid)
    said = may(answer, uid, gid, groups, EVERYTHING if uid == 0 else 0, want)
    expected = _kernel(path, uid, gid, groups, want)
    assert said is expected or (said is None and not expected and seen.st_mode >> 3 & want == want)


def _kernel(path: Path, uid: int, gid: int, groups: tuple[int, ...], want: Want) -> bool:
    """What access(2) says to a process of these ids; a file that is executed is asked about as it would be."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            asked = (os.R_OK if want & Want.READ else 0) | (os.W_OK if want & Want.WRITE else 0) | (os.X_OK if want & Want.SEARCH else 0)
            os._exit(0 if os.access(path, asked) else 1)
        except BaseException:  # a child must never come back into pytest
            os._exit(2)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 1)
    return code == 0
