"""Where a path of a container leads is worked out here, link by link; the kernel, where it can be asked to stay inside of a root (openat2), says the same."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.observe import probe

OPENAT2 = 437
IN_ROOT = struct.pack("QQQ", os.O_PATH | os.O_CLOEXEC, 0, 0x10)  # struct open_how: flags, mode, RESOLVE_IN_ROOT
_LIBC = ctypes.CDLL(None, use_errno=True)

NAMES = st.sampled_from(["a", "b", "c"])
PARTS = st.lists(NAMES | st.sampled_from(["..", ".", ""]), max_size=5)
PATHS = st.builds(lambda start, parts: start + "/".join(parts), st.sampled_from(["/", ""]), PARTS)
TREES = st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map(tuple), st.none() | st.just("") | PATHS, max_size=12)  # a directory, a file, a link


def in_kernel(root: int, path: str) -> tuple[int, int, str] | int:
    """Device, inode and path below the root, or the errno."""
    descriptor = _LIBC.syscall(OPENAT2, root, path.encode(), IN_ROOT, len(IN_ROOT))
    if descriptor < 0:
        return ctypes.get_errno()
    seen, leads, top = os.fstat(descriptor), os.readlink(f"/proc/self/fd/{descriptor}"), os.readlink(f"/proc/self/fd/{root}")
    os.close(descriptor)
    return seen.st_dev, seen.st_ino, leads.removeprefix(top) or "/"


def in_probe(root: int, path: str) -> tuple[int, int, str] | int:
    try:
        descriptor, leads = probe._open_inside(root, path.encode())
    except OSError as error:
        return error.errno or 0
    seen = os.fstat(descriptor)
    os.close(descriptor)
    return seen.st_dev, seen.st_ino, leads.decode()


@pytest.fixture(scope="module")
def openat2() -> None:
    root = os.open("/", os.O_PATH)
    found = in_kernel(root, "/")
    os.close(root)
    if platform.machine() not in ("x86_64", "aarch64") or found != in_probe_of_root():
        pytest.skip("needs openat2, which Linux has from 5.6 on")


def in_probe_of_root() -> tuple[int, int, str]:
    seen = Path("/").stat()
    return seen.st_dev, seen.st_ino, "/"


@given(TREES, st.lists(PATHS.map(lambda path: "/" + path), min_size=1, max_size=8))
def test_every_path_leads_where_the_kernel_says_and_never_out(openat2: None, tree: dict[tuple[str, ...], str | None], paths: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="il-") as folder:
        top = Path(folder, "outer", "root")
        top.mkdir(parents=True)
        Path(folder, "a").touch()  # what an escape would find
        for parts, what in sorted(tree.items()):
            place = top.joinpath(*parts)
            if any(not parent.is_dir() or parent.is_symlink() for parent in place.parents) or place.exists():
                continue
            if what is None:
                place.mkdir()
            elif what:
                place.symlink_to(what)
            else:
                place.touch()
        before = len(os.listdir("/proc/self/fd"))
        root = os.open(top, os.O_PATH)
        try:
            for path in paths:
                assert in_probe(root, path) == in_kernel(root, path), path
        finally:
            os.close(root)
        assert len(os.listdir("/proc/self/fd")) == before


def test_forty_links_are_followed_and_not_one_more(openat2: None, tmp_path: Path) -> None:
    (tmp_path / "0").touch()
    for number in range(1, 42):
        (tmp_path / str(number)).symlink_to(str(number - 1))
    root = os.open(tmp_path, os.O_PATH)
    assert isinstance(in_probe(root, "/40"), tuple)
    assert in_probe(root, "/40") == in_kernel(root, "/40")
    assert in_probe(root, "/41") == in_kernel(root, "/41")
    assert isinstance(in_probe(root, "/41"), int)
    os.close(root)


# ---- whose process


@pytest.mark.parametrize(
    ("cgroup", "mountinfo", "its"),
    [
        ("0::/system.slice/docker-{id}.scope", "", True),
        ("0::/machine.slice/libpod-{id}.scope/container", "", True),
        ("4:memory:/docker/{other}/docker/{id}\n1:name=systemd:/docker/{other}", "", True),  # an engine in a container
        ("0::/docker/{id}/docker/{other}", "", False),
        ("0::/docker/{other}", "9 1 8:1 /var/lib/docker/containers/{id}/hostname /etc/hostname rw - ext4 /dev/sda1 rw", False),
        ("0::/", "9 1 8:1 /var/lib/docker/containers/{id}/hostname /etc/hostname rw - ext4 /dev/sda1 rw", True),
        ("0::/init.scope", "9 1 0:5 / /var/lib/docker/containers/{id}/mounts/shm rw - tmpfs shm rw", False),  # the host
        ("0::/user.slice", "", False),
        ("", "", False),
    ],
)
def test_a_process_is_of_the_container_that_its_innermost_cgroup_or_its_own_mounts_name(cgroup: str, mountinfo: str, its: bool) -> None:
    names = {"id": "ab" * 32, "other": "cd" * 32}
    assert probe._is_of(names["id"].encode(), cgroup.format(**names).encode(), mountinfo.format(**names).encode()) is its
