"""A site from files alone: what is found, what is left out, and names and bytes of every kind."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from interlock.commands.scan import scan
from interlock.config.load import load_site
from interlock.config.models import Site
from interlock.discover.site import site_of
from interlock.discover.whole import discover
from interlock.errors import CouldNotLook, TooLarge
from interlock.observe.judged_scripts import with_found_scripts
from interlock.observe.tree import Tree
from interlock.testing import run_check

DUMP = b"#!/bin/sh\npg_dump app > app.sql\n"
PUT_ASIDE = b"import os\n\ndef keep(db):\n    os.rename(db, db + '.broken')\n"


class Files:
    """A tree of files in memory."""

    def __init__(
        self, files: Mapping[str, bytes | CouldNotLook], unlisted: Mapping[str, CouldNotLook] | None = None, root: str = "/somewhere/my-stack"
    ) -> None:
        self.files = files
        self.unlisted = dict(unlisted or {})
        self.root = Path(root)

    def listing(self) -> tuple[str, ...]:
        return tuple(sorted(self.files))

    def read(self, path: str) -> bytes:
        content = self.files[path]
        if isinstance(content, CouldNotLook):
            raise content
        return content


def site(files: Mapping[str, bytes | CouldNotLook], compose: tuple[str, ...] = (), unlisted: Mapping[str, CouldNotLook] | None = None) -> Site:
    tree = cast("Tree", Files(files, unlisted))
    return with_found_scripts(site_of(discover(tree, compose, root=tree.root), tree.root), tree)


def scripts(files: Mapping[str, bytes | CouldNotLook]) -> tuple[str, ...]:
    found = site(files).scripts
    return found.files if found else ()


def test_an_empty_tree_is_a_site_that_declares_nothing() -> None:
    found = site({})
    assert (found.site, found.source, found.digest, found.compose, found.scripts, found.root) == ("my-stack", "", "", None, None, Path("/somewhere/my-stack"))


@pytest.mark.parametrize(
    "path", ["backup.sh", "ops/backup.bash", "bin/backup", "cloud/startup.sh.tpl", "etc/cron.daily/dump", "a b/c\nd.sh", "caf\udce9.sh", "x.sh.j2"]
)
def test_shell_scripts_that_write_backups_are_found_by_suffix_or_first_line(path: str) -> None:
    assert scripts({path: DUMP}) == (path,)


@pytest.mark.parametrize("shebang", [b"#!/usr/bin/env bash", b"#! /bin/sh -eu", b"#!/usr/bin/env -S bash -e", b"#!/command/with-contenv bash", b"#!/bin/dash"])
def test_every_way_of_naming_the_shell_in_the_first_line_is_known(shebang: bytes) -> None:
    assert scripts({"run": DUMP.replace(b"#!/bin/sh", shebang)}) == ("run",)


@pytest.mark.parametrize(("path", "data"), [("src/db.py", PUT_ASIDE), ("bin/keep", b"#!/usr/bin/env python3\n" + PUT_ASIDE)])
def test_python_programs_that_write_backups_are_found(path: str, data: bytes) -> None:
    assert scripts({path: data}) == (path,)


@pytest.mark.parametrize(
    "path",
    [
        "tests/backup.sh", "test/backup.sh", "src/tests/x/backup.sh", "_unit-test/backup.sh", "integration_tests/backup.sh", "dev_tests/backup.sh",
        "test_backup.py", "backup_test.sh", "test-backup.sh", "backup.test.sh", "conftest.py", "e2e/backup.sh", "spec/backup.sh",
        "vendor/x/backup.sh", "lib/python3/site-packages/x/backup.py", "third_party/backup.sh",
    ],
)  # fmt: skip
def test_tests_and_the_code_of_others_are_left_out(path: str) -> None:
    assert scripts({path: PUT_ASIDE if path.endswith(".py") else DUMP}) == ()


@pytest.mark.parametrize("path", ["latest/backup.sh", "contest/backup.sh", "attestation.sh", "src/testament/backup.sh"])
def test_what_only_sounds_like_a_test_is_not_left_out(path: str) -> None:
    assert scripts({path: DUMP}) == (path,)


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("notes.md", DUMP),
        ("Makefile", b"all:\n\tpg_dump app > app.sql\n"),
        ("run.sh", b"#!/bin/sh\nexec app\n"),
        ("restore.sh", b"#!/bin/sh\npg_restore -d app backup.dump\n"),
        ("app.py", b"print('backup')\n"),
        ("data.bin", b"\x00\x01pg_dump > x"),
        ("empty.sh", b""),
    ],
)
def test_what_is_no_script_or_writes_no_backup_is_left_out(path: str, data: bytes) -> None:
    assert scripts({path: data}) == ()


def test_a_script_that_may_write_backups_and_cannot_be_read_is_in() -> None:
    assert scripts({"backup.sh": b"if true; then\n  pg_dump app > app.sql\n"}) == ("backup.sh",)


def test_a_file_without_permission_is_in_and_one_too_large_to_be_a_script_is_not() -> None:
    denied, large = CouldNotLook("x could not be read"), TooLarge("x is too large")
    assert scripts({"a.sh": denied, "b.py": denied, "LICENSE": denied, "c.sh": large, "d.py": large}) == ("a.sh", "b.py")


def test_compose_files_are_those_that_were_found() -> None:
    found = site({"compose.yaml": b"", "over\nlay.yml": b""}, ("compose.yaml", "over\nlay.yml"))
    assert found.compose is not None
    assert found.compose.files == ("compose.yaml", "over\nlay.yml")


def test_a_folder_that_cannot_be_listed_is_among_both_kinds_of_files() -> None:
    found = site({}, unlisted={"private": CouldNotLook("private could not be read")})
    assert found.compose is not None
    assert found.scripts is not None
    assert (found.compose.files, found.scripts.files) == (("private",), ("private",))


@pytest.mark.parametrize(("folder", "name"), [("my stack!", "my-stack-"), ("-x", "x"), ("\udcff", "tree"), ("x" * 200, "x" * 63)])
def test_the_site_is_called_after_its_folder(folder: str, name: str) -> None:
    tree = cast("Tree", Files({}, root=f"/srv/{folder}"))
    assert site_of(discover(tree, (), root=tree.root), tree.root).site == name


def test_a_real_tree_is_read_once_and_symbolic_links_lead_nowhere_strange(tmp_path: Path) -> None:
    (tmp_path / "backup.sh").write_bytes(DUMP)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "up").symlink_to("..")
    (tmp_path / "out.sh").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "fifo.sh")
    os.mkdir(os.fsencode(tmp_path) + b"/\xff")
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")) / "b.sh").write_bytes(DUMP)
    tree = Tree(tmp_path, patient=True)
    found = with_found_scripts(site_of(discover(tree, (), root=tmp_path), tmp_path), tree)
    assert found.scripts is not None
    assert found.scripts.files == ("backup.sh", "out.sh", "\udcff/b.sh")


def test_a_patient_tree_names_the_folders_that_it_could_not_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "private").mkdir()
    scandir = os.scandir

    def refusing(path: str) -> object:  # chmod 0 would not keep root out
        if path.endswith("/private"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    tree = Tree(tmp_path, patient=True)
    assert tree.listing() == ("a.txt",)
    assert set(tree.unlisted) == {"private"}
    with pytest.raises(CouldNotLook, match="private could not be read: Permission denied"):
        tree.read("private")
    with pytest.raises(CouldNotLook):
        Tree(tmp_path).listing()


# ---- a site file whose scripts are found


def declared(tmp_path: Path, scripts: str) -> tuple[Site, Tree]:
    (tmp_path / "interlock.yaml").write_text(f"interlock: 1\nsite: x\nscripts: {scripts}\n")
    for name in ("a.sh", "b.sh"):
        (tmp_path / name).write_bytes(DUMP)
    tree = Tree(tmp_path, patient=True)
    return with_found_scripts(load_site(tmp_path / "interlock.yaml", None), tree), tree


def test_scripts_that_are_to_be_found_come_behind_those_that_are_named(tmp_path: Path) -> None:
    found, _ = declared(tmp_path, "{files: [b.sh, gone.sh], found: true}")
    assert found.scripts is not None
    assert found.scripts.files == ("b.sh", "gone.sh", "a.sh")
    assert (found.source, found.root) == (str(tmp_path / "interlock.yaml"), tmp_path)


def test_without_the_word_only_those_that_are_named_are_judged(tmp_path: Path) -> None:
    found, _ = declared(tmp_path, "{files: [b.sh]}")
    assert found.scripts is not None
    assert found.scripts.files == ("b.sh",)


def test_scan_and_pytest_find_the_same_scripts(tmp_path: Path) -> None:
    declared(tmp_path, "{found: true}")
    record, _ = scan(tmp_path, os.environ)
    ran = run_check(tmp_path, "static")
    assert ran.record is not None, ran.output
    for one in (record, ran.record):
        assert [verdict.subject for verdict in one.verdicts if verdict.guardrail == "backups.mode_0600"] == ["a.sh", "b.sh"]


def test_a_directory_beside_the_stack_that_only_compose_reads_is_no_state_directory_to_be_judged() -> None:
    compose = b"services:\n  db: {image: 'postgres:16', volumes: ['${DB_DATA_PATH}:/var/lib/postgresql/data']}\n"
    files: dict[str, bytes | CouldNotLook] = {"compose.yaml": compose, ".env.example": b"DB_DATA_PATH=./volumes/db\n"}
    assert site(files, ("compose.yaml",)).state_dir is None
    assert site({**files, ".env.example": b"DB_DATA_PATH=/srv/db\n"}, ("compose.yaml",)).state_dir is not None


def test_the_chain_that_an_instance_runs_is_known_also_when_nobody_names_it() -> None:
    files: dict[str, bytes | CouldNotLook] = {
        "docker-compose.yml": b"services:\n  app: {image: 'app:1', environment: {A: $A}}\n",
        "docker-compose.proxy.yml": b"services:\n  proxy: {image: 'nginx:1', environment: {B: $B}}\n",
        "env.example": b"A=1\nB=2\n",
    }
    found = site(files, ("docker-compose.proxy.yml", "docker-compose.yml"))
    assert {instance.chain for instance in found.instances.values()} - {None} <= set(found.chains)


def test_what_a_script_inside_of_an_image_calls_its_state_is_no_directory_of_the_host() -> None:
    script = b'#!/bin/sh\nmkdir -p "${STATE_DIR:-/usr/src/app/data}"\nchown app "${STATE_DIR:-/usr/src/app/data}"\n'
    assert site({"ops/prepare.sh": script}).state_dir is not None
    assert site({"docker/rootfs/etc/s6-overlay/s6-rc.d/init/run.sh": script}).state_dir is None
