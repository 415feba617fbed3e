"""What fstab says is mounted at boot: its text, and what it comes to beside what systemd's own generator makes of it."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.facts.fstab import Fstab, FstabEntry, option_value, switched
from interlock.facts.mount_units import UnitFiles, at_boot
from interlock.facts.units import unit_name
from tests.conftest import GENERATOR

LETTERS = st.sampled_from("ab-_.: \t\\#ä\n")
NAMES = st.text(LETTERS, min_size=1, max_size=6).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
SPECS = st.sampled_from(["LABEL=state", "UUID=3f2a", "/dev/sdb1", "tmpfs", "nas:/export", "PARTLABEL=my disk"])
OPTIONS = st.lists(
    st.sampled_from(["defaults", "noauto", "auto", "nofail", "fail", "_netdev", "ro", "rw", "bg", "fg", "x-systemd.automount", "comment=systemd.automount"])
    | st.sampled_from(["x-systemd.required-by=docker.service", "x-systemd.wanted-by=multi-user.target", "x-systemd.before=docker.service"]),
    max_size=4,
    unique=True,
)
ENTRIES = st.builds(
    lambda spec, mountpoint, fstype, options: FstabEntry(line=1, spec=spec, mountpoint=mountpoint, fstype=fstype, options=tuple(options) or ("defaults",)),
    SPECS,
    PATHS,
    st.sampled_from(["ext4", "xfs", "nfs", "nfs4", "cifs", "tmpfs"]),
    OPTIONS,
)


@given(ENTRIES)
def test_a_rendered_line_is_read_again(entry: FstabEntry) -> None:
    assert Fstab.parse(entry.render() + b"\n").entries == (entry,)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_to_their_end(data: bytes) -> None:
    Fstab.parse(data)


def test_comments_swap_and_lines_without_a_mountpoint_mount_nothing() -> None:
    text = b"# LABEL=a /a ext4\n\n  # more\nUUID=1 none swap sw 0 0\n/swapfile swap swap defaults 0 0\nproc proc proc\nLABEL=b /b/ ext4\n"
    (entry,) = Fstab.parse(text).entries
    assert (entry.line, entry.spec, entry.mountpoint, entry.options) == (7, "LABEL=b", "/b", ())


def test_a_line_of_two_fields_is_told() -> None:
    assert Fstab.parse(b"LABEL=a /a ext4\nLABEL=b /b\n").unread == (2,)


def test_quotes_around_a_label_are_none_of_it() -> None:
    (entry,) = Fstab.parse(b'LABEL="state" /srv/state ext4 defaults\n').entries
    assert entry.spec == "LABEL=state"


def test_a_comma_in_quotes_ends_no_option() -> None:
    (entry,) = Fstab.parse(b'tmpfs /t tmpfs rw,context="u:r:c0,c1",nofail 0 0\n').entries
    assert entry.options == ("rw", 'context="u:r:c0,c1"', "nofail")
    assert option_value(entry.options, "context") == "u:r:c0,c1"


def test_of_two_options_that_take_each_other_back_the_last_counts() -> None:
    assert switched(("noauto", "auto"), "noauto", "auto") is False
    assert switched(("ro", "rw", "ro"), "ro", "rw") is True


@given(entries=st.lists(ENTRIES, min_size=1, max_size=5))
@settings(max_examples=settings().max_examples // 2)
def test_systemds_own_generator_reads_the_lines_alike(component: Callable[[str], None], entries: list[FstabEntry]) -> None:
    component("systemd-generators")
    text = b"".join(entry.render() + b"\n" for entry in entries)
    made = _generated(text)
    ours = at_boot(Fstab.parse(text), "/etc/fstab", UnitFiles(folders={}))
    for mount in ours:
        unit, automount = unit_name(mount.where, "mount"), unit_name(mount.where, "automount")
        assert mount.automount == (automount in made.files)
        assert (mount.needed_by, mount.wanted_by) == (made.pulled(unit, "requires"), made.pulled(unit, "wants"))
        assert mount.before == made.before(unit)
    assert {unit_name(mount.where, "mount") for mount in ours} == {name for name in made.files if name.endswith(".mount")}


class _Made:
    """The folder that a generator has filled."""

    def __init__(self, folder: Path) -> None:
        self.files = {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}
        self.links = {(path.parent.name, path.name) for path in folder.glob("*.*/*")}

    def pulled(self, unit: str, how: str) -> frozenset[str]:
        return frozenset(folder.removesuffix(f".{how}") for folder, name in self.links if name == unit and folder.endswith(f".{how}"))

    def before(self, unit: str) -> frozenset[str]:
        return frozenset(line.removeprefix("Before=") for line in self.files[unit].split("\n") if line.startswith("Before="))


def _generated(text: bytes) -> _Made:
    with tempfile.TemporaryDirectory(prefix="interlock-fstab-") as folder:
        fstab, made = Path(folder, "fstab"), Path(folder, "made")
        fstab.write_bytes(text)
        made.mkdir()
        environ = {"SYSTEMD_FSTAB": str(fstab), "SYSTEMD_SYSROOT_FSTAB": "/dev/null", "SYSTEMD_PROC_CMDLINE": "quiet", "SYSTEMD_LOG_TARGET": "null"}
        subprocess.run((GENERATOR, made, made, made), env=environ, capture_output=True, timeout=30, check=False)
        return _Made(made)
