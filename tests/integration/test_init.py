"""`interlock init` as a program: what it writes loads, scan runs with it, nothing is ever half-written, whatever lies in the tree."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.config.load import load_site

COMPOSE = "services:\n  db: {image: 'postgres:16', volumes: ['pg:/var/lib/postgresql/data']}\nvolumes: {pg: {}}\n"


def interlock(*arguments: str | Path, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    argv = (sys.executable, "-m", "interlock", *map(str, arguments))
    return subprocess.run(argv, cwd=cwd, env={**os.environ, **environ}, capture_output=True, text=True, errors="surrogateescape", timeout=120, check=False)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write(tmp_path / "shop", {"compose.yml": COMPOSE, "backup.sh": "#!/bin/sh\npg_dump app > app.sql\n"})


def test_what_it_writes_loads_and_scan_judges_it(shop: Path) -> None:
    done = interlock("init", cwd=shop)
    assert (done.returncode, done.stderr) == (0, "")
    assert "next: answer the questions in interlock.yaml, then: interlock scan ." in done.stdout
    assert load_site(shop / "interlock.yaml", None).site == "shop"
    scanned = interlock("scan", ".", cwd=shop)
    assert "backups.mode_0600" in scanned.stdout
    assert "backup.sh:" in scanned.stdout
    said = " ".join(scanned.stdout.split())
    assert "neither declares parity nor says why not" not in said  # parity is no static family
    assert "interlock.yaml neither declares templates nor says why not" in said
    assert scanned.returncode == 1


def test_a_file_that_is_there_is_not_touched_without_force(shop: Path) -> None:
    (shop / "interlock.yaml").write_text("mine")
    refused = interlock("init", cwd=shop)
    assert (refused.returncode, "is there already" in refused.stderr, (shop / "interlock.yaml").read_text()) == (64, True, "mine")
    assert interlock("init", "--force", cwd=shop).returncode == 0
    assert load_site(shop / "interlock.yaml", None).site == "shop"


def test_a_misnamed_file_and_a_dangling_link_are_in_the_way(shop: Path) -> None:
    (shop / "interlock.yml").write_text("x")
    done = interlock("init", cwd=shop)
    assert (done.returncode, "rename it to interlock.yaml" in done.stderr) == (64, True)
    (shop / "interlock.yml").rename(shop / "other")
    (shop / "interlock.yaml").symlink_to("nowhere")
    assert interlock("init", cwd=shop).returncode == 64
    assert not (shop / "nowhere").exists()


def test_another_name_and_another_place(shop: Path, tmp_path: Path) -> None:
    done = interlock("init", shop, "--name", "till", "--output", tmp_path / "site.yaml", cwd=tmp_path)
    assert done.returncode == 0
    assert not (shop / "interlock.yaml").exists()
    assert "site: till  # --name" in (tmp_path / "site.yaml").read_text()
    assert interlock("init", shop, "--name", "no name", cwd=tmp_path).returncode == 64


@pytest.mark.parametrize("path", ["nothing", "compose.yml"])
def test_what_is_no_folder_is_a_wrong_command_line(shop: Path, path: str) -> None:
    done = interlock("init", path, cwd=shop)
    assert (done.returncode, "is no folder" in done.stderr) == (64, True)


def test_where_nothing_can_be_written_it_says_so_and_leaves_nothing(shop: Path, tmp_path: Path) -> None:
    done = interlock("init", "--output", tmp_path / "gone" / "interlock.yaml", cwd=shop)
    assert (done.returncode, "could not be written: No such file or directory" in done.stderr) == (64, True)
    assert sorted(path.name for path in shop.iterdir()) == ["backup.sh", "compose.yml"]


def test_an_empty_folder_makes_a_site_that_loads(tmp_path: Path) -> None:
    done = interlock("init", cwd=tmp_path)
    assert (done.returncode, "is this the folder of the stack?" in done.stdout) == (0, True)
    assert load_site(tmp_path / "interlock.yaml", None).modules == {}


def test_a_hostile_tree_makes_a_site_that_loads_and_leaves_no_draft(tmp_path: Path) -> None:
    tree = tmp_path / "a tree"
    write(
        tree,
        {
            "compose.yaml": COMPOSE,
            "compose.broken.yaml": "a: [\n",
            "compose.conflict.yaml": "<<<<<<< a\n=======\n>>>>>>> b\n",
            "compose.deep.yaml": "a: " + "[" * 5000 + "]" * 5000,
            "compose.strange.yaml": "services: {'a b/c': {image: redis, volumes: ['v:/d', 'x\ty:/z', ':', '::', ''], "
            "ports: ['', 'x', '70000:1', '1-3:1-3', 5]}, 7: 8}\n",
            "compose.list.yaml": "- a\n- b\n",
            "compose.odd.yaml": "services: [1, {a: b}]\nvolumes: 3\nname: {a: b}\n",
            ".env": "A='\nB=${\nSTATE_DIR=${X:-${Y}}\nDATA_DIR=/da ta\n",
            "run.sh": "#!/bin/sh\n: ${STATE_DIR:-/a'\"b}\nmount /dev/x /y\nLABEL=a /b ext4\n",
            "new\nline.sh": "#!/bin/sh\nls $STATE_DIR\n",
            "x.service": "WorkingDirectory=/opt/${X}\n",
            "etc/fstab": "\0",
            "modules/a b/module.yaml": "x",
            "keys/allowed_signers": "nobody can read this",
        },
    )
    (tree / "loop").symlink_to("loop")
    (tree / "up").symlink_to("..")
    (tree / "compose.out.yaml").symlink_to("/etc/hostname")
    os.mkfifo(tree / "compose.fifo.yaml")
    bytes_name = os.fsencode(tree) + b"/caf\xe9.compose.yml"
    Path(os.fsdecode(bytes_name)).write_text(COMPOSE)
    done = interlock("init", cwd=tree)
    assert (done.returncode, done.stderr) == (0, "")
    site = load_site(tree / "interlock.yaml", None)
    assert site.site == "a-tree"
    assert "left out, for a site file cannot hold the name" in done.stdout
    assert [path.name for path in tree.iterdir() if path.name.startswith(".interlock")] == []
    assert interlock("scan", ".", cwd=tree).returncode in (1, 10, 11)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_named(shop: Path) -> None:
    (shop / "private").mkdir(mode=0)
    done = interlock("init", cwd=shop)
    (shop / "private").chmod(0o700)
    assert (done.returncode, "not looked into: 'private' could not be listed" in done.stdout) == (0, True)


def test_no_program_is_started_and_no_library_loaded_that_is_not_needed(shop: Path) -> None:
    script = (
        "import subprocess, sys\n"
        "begin = subprocess.Popen.__init__\n"
        "def refuse(self, argv, **options):\n"
        "    assert argv[0] == sys.executable, argv\n"
        "    begin(self, argv, **options)\n"
        "subprocess.Popen.__init__ = refuse\n"
        "from interlock.cli import main\n"
        "code = main(['init'])\n"
        "heavy = {'pydantic', 'pytest', 'docker', 'psycopg', 'requests', 'rich', 'jsonschema', 'tree_sitter', 'tree_sitter_bash'} & set(sys.modules)\n"
        "assert code == 0 and not heavy, (code, heavy)\n"
    )
    done = subprocess.run((sys.executable, "-c", script), cwd=shop, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
