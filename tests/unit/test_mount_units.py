"""What systemd units say: their settings and drop-ins, their names, and which of several sources of a mount wins."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.facts.fstab import Fstab
from interlock.facts.mount_units import BootMount, Link, UnitFiles, at_boot
from interlock.facts.units import Setting, Unit, assembled, drop_in_folders, unit_name, unit_path, unit_settings

ETC, USR, GENERATED = "/etc/systemd/system", "/usr/lib/systemd/system", "/run/systemd/generator"
LETTERS = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(LETTERS, max_size=4).map(lambda parts: "/" + "/".join(parts))


def unit(text: str, *more: str) -> Unit:
    return assembled("docker.service", "/etc/systemd/system/docker.service", text.encode(), [one.encode() for one in more])


def mounts(fstab: str = "", links: tuple[Link, ...] = (), **folders: dict[str, str]) -> tuple[BootMount, ...]:
    paths = {"etc": ETC, "usr": USR, "generated": GENERATED, "dropped": f"{ETC}/srv-state.mount.d"}
    files = UnitFiles(
        folders={paths[name]: {file: text.encode() for file, text in content.items()} for name, content in folders.items()}, links=frozenset(links)
    )
    return at_boot(Fstab.parse(fstab.encode()), "/etc/fstab", files)


UNIT = "[Mount]\nWhat=LABEL=state\nWhere=/srv/state\nType=ext4\n[Install]\nWantedBy=local-fs.target\n"


# ---- texts


def test_a_setting_goes_on_over_lines_and_comments() -> None:
    text = b"[Unit]\nAfter=a.service \\\n# why\n  b.service\n; note\n[Service]\nExecStart=/bin/x\n"
    assert list(unit_settings(text)) == [Setting(2, "Unit", "After", "a.service b.service"), Setting(7, "Service", "ExecStart", "/bin/x")]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_to_their_end(data: bytes) -> None:
    list(unit_settings(data))


def test_an_empty_assignment_forgets_commands_and_no_dependency() -> None:
    seen = unit("[Unit]\nAfter=a.service\n[Service]\nExecStartPre=/bin/a\n", "[Unit]\nAfter=\nAfter=b.service\n[Service]\nExecStartPre=\nExecStartPre=/bin/b\n")
    assert seen.words("Unit", "After") == ("a.service", "b.service")
    assert seen.values("Service", "ExecStartPre") == ("/bin/b",)


def test_a_name_in_a_list_keeps_its_backslash() -> None:
    assert unit('[Unit]\nRequires=srv-my\\x20disk.mount "/srv/my disk"\n').words("Unit", "Requires") == ("srv-my\\x20disk.mount", "/srv/my disk")


def test_drop_ins_come_by_their_names_and_the_first_folder_wins() -> None:
    files = UnitFiles(
        folders={
            ETC: {"docker.service": b"[Unit]\nAfter=main\n"},
            f"{ETC}/docker.service.d": {"20-b.conf": b"[Unit]\nAfter=etc-b\n", "readme": b"[Unit]\nAfter=no\n"},
            f"{USR}/docker.service.d": {"20-b.conf": b"[Unit]\nAfter=usr-b\n", "10-a.conf": b"[Unit]\nAfter=usr-a\n"},
            f"{ETC}/service.d": {"30-c.conf": b"[Unit]\nAfter=every\n"},
        }
    )
    found = files.unit("docker.service")
    assert found is not None
    assert found.words("Unit", "After") == ("main", "usr-a", "etc-b", "every")


def test_an_instance_has_the_text_of_its_template() -> None:
    found = UnitFiles(folders={ETC: {"stack@.service": b"[Unit]\nAfter=a\n"}}).unit("stack@shop.service")
    assert found is not None
    assert (found.name, found.file) == ("stack@shop.service", f"{ETC}/stack@.service")


def test_the_folders_of_drop_ins() -> None:
    assert drop_in_folders("srv-my-state.mount") == ("srv-my-state.mount.d", "srv-my-.mount.d", "srv-.mount.d", "mount.d")
    assert drop_in_folders("stack@shop.service") == ("stack@shop.service.d", "stack@.service.d", "service.d")


# ---- names


@given(PATHS)
def test_the_name_of_a_unit_leads_back_to_its_path(path: str) -> None:
    assert unit_path(unit_name(path, "mount")) == path


@pytest.mark.skipif(not shutil.which("systemd-escape"), reason="needs systemd-escape (Debian: apt-get install systemd)")
@given(PATHS)
@settings(max_examples=settings().max_examples // 5)
def test_names_are_those_that_systemd_gives(path: str) -> None:
    said = subprocess.run(("systemd-escape", "--path", "--suffix=mount", "--", path), capture_output=True, text=True, check=True)
    assert unit_name(path, "mount") == said.stdout.removesuffix("\n")


# ---- which source wins


def test_a_unit_of_the_operator_wins_over_the_line() -> None:
    (mount,) = mounts("LABEL=old /srv/state ext4 defaults 0 2\n", etc={"srv-state.mount": UNIT})
    assert (mount.what, mount.said) == ("LABEL=state", f"{ETC}/srv-state.mount")


def test_the_line_wins_over_a_unit_of_a_package() -> None:
    (mount,) = mounts("LABEL=new /srv/state ext4 defaults 0 2\n", usr={"srv-state.mount": UNIT})
    assert (mount.what, mount.said) == ("LABEL=new", "line 1 of /etc/fstab")


def test_of_two_lines_the_first_wins() -> None:
    (mount,) = mounts("LABEL=a /srv/state ext4\nLABEL=b /srv/state/ ext4\n")
    assert mount.what == "LABEL=a"


def test_a_masked_unit_hides_the_line() -> None:
    (mount,) = mounts("LABEL=state /srv/state ext4 defaults 0 2\n", etc={"srv-state.mount": ""})
    assert mount.masked


def test_a_drop_in_changes_the_line() -> None:
    (mount,) = mounts("LABEL=a /srv/state ext4 defaults 0 2\n", dropped={"x.conf": "[Mount]\nWhat=LABEL=b\nOptions=ro\n[Unit]\nBefore=docker.service\n"})
    assert (mount.what, mount.read_only, mount.fstype, "docker.service" in mount.before) == ("LABEL=b", True, "ext4", True)


def test_what_fstab_made_at_the_last_boot_says_nothing_and_what_others_made_does() -> None:
    stale = f"[Unit]\nSourcePath=/etc/fstab\n{UNIT}"
    assert mounts(generated={"srv-state.mount": stale}) == ()
    (mount,) = mounts(generated={"srv-state.mount": UNIT})
    assert mount.what == "LABEL=state"


def test_links_and_not_the_install_section_pull_a_unit_in() -> None:
    (mount,) = mounts(etc={"srv-state.mount": UNIT})
    assert (mount.wanted_by, mount.installs) == (frozenset[str](), frozenset({"local-fs.target"}))
    (mount,) = mounts(etc={"srv-state.mount": UNIT}, links=(Link("local-fs.target", "srv-state.mount", required=True),))
    assert (mount.needed_by, mount.before) == (frozenset({"local-fs.target"}), frozenset({"local-fs.target"}))


def test_an_enabled_automount_stands_for_its_mount() -> None:
    (mount,) = mounts(etc={"srv-state.mount": UNIT}, links=(Link("local-fs.target", "srv-state.automount", required=False),))
    assert mount.automount
