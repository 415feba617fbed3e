"""A human confirms what was learned from the host, at a real terminal; and a real engine is what it was learned from."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interlock.config.load import load_site
from tests.docker_engine import IMAGE, DockerEngine, docker_engine, missing
from tests.in_terminal import INTERLOCK, Shown, human_environ, in_terminal
from tools.postgres import running

SITE = """\
# kept as it is
interlock: 1
site: shop

mounts:
  state:   # from this host: /dev/sdb1
    path: /   # odd spacing
    device: LABEL=state
    unconfirmed: true   # learned

modules:
  # from this host: container stray
  stray:
    paths: [/srv/stray]
    backups: /srv/backups/stray
    owner: root
    unconfirmed: true
  kept: {paths: [/srv/kept], unconfirmed: true, backups: /srv/backups/kept, owner: root}

exposure:
  public:
    - {port: 8080, reason: web, unconfirmed: true}
    - port: 443
      reason: web
"""
QUESTION = r"q = stop here: "


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "interlock.yaml").write_text(SITE)
    return tmp_path


def review(folder: Path, *answers: str) -> Shown:
    replies = tuple((QUESTION, answer) for answer in answers)
    return in_terminal((*INTERLOCK, "init", "--review"), human_environ(folder), folder, replies=replies)


def test_each_yes_takes_exactly_its_mark_away(folder: Path) -> None:
    (folder / "interlock.yaml").chmod(0o640)
    shown = review(folder, "y", "n", "y", "y")
    assert shown.code == 0, shown.text
    assert "3 confirmed, 1 unconfirmed" in shown.text
    expected = (
        SITE.replace("    unconfirmed: true   # learned\n", "")
        .replace("unconfirmed: true, backups", "backups")
        .replace(", unconfirmed: true}\n    -", "}\n    -")
    )
    assert (folder / "interlock.yaml").read_text() == expected
    assert (folder / "interlock.yaml").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in folder.iterdir()] == ["interlock.yaml"]
    site = load_site(folder / "interlock.yaml", None)
    assert (site.modules["stray"].unconfirmed, site.modules["kept"].unconfirmed) == (True, False)


def test_it_shows_the_lines_where_they_came_from_and_what_the_host_shows(folder: Path) -> None:
    shown = review(folder, "n", "n", "n", "n").text
    assert "1 of 4: mounts.state\n     6 |   state:   # from this host: /dev/sdb1\n" in shown
    assert "now: / shows /dev/" in shown or "now: / shows overlay" in shown or "now: / shows" in shown
    assert "2 of 4: modules.stray\n    12 |   # from this host: container stray\n" in shown
    assert "4 of 4: exposure.public[0]\n" in shown
    assert (folder / "interlock.yaml").read_text() == SITE


def test_it_can_be_stopped_and_taken_up_again(folder: Path) -> None:
    assert "1 confirmed, 3 unconfirmed" in review(folder, "y", "q").text
    assert "1 of 3: modules.stray" in review(folder, "what?", "q").text
    assert "3 confirmed, 0 unconfirmed\nnext: interlock preflight" in review(folder, "y", "yes", "Y").text
    assert "nothing is unconfirmed" in review(folder).text
    assert "unconfirmed" not in (folder / "interlock.yaml").read_text()


def test_without_a_terminal_nothing_is_confirmed(folder: Path) -> None:
    argv = (sys.executable, "-m", "interlock", "init", "--review")
    done = subprocess.run(argv, cwd=folder, input="y\ny\ny\ny\n", capture_output=True, text=True, timeout=60, check=False, start_new_session=True)
    assert (done.returncode, "there is no terminal to ask at" in done.stderr) == (64, True)
    assert (folder / "interlock.yaml").read_text() == SITE


def test_a_file_that_does_not_load_is_not_reviewed(folder: Path) -> None:
    (folder / "interlock.yaml").write_text("interlock: 1\n")
    assert review(folder).code == 78
    (folder / "interlock.yaml").unlink()
    assert review(folder).code == 78


# ---- learned from a real engine


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerEngine]:
    if why := missing():
        pytest.skip(why)
    with docker_engine() as started:
        yield started


def test_what_a_host_runs_is_learned_unconfirmed_and_what_it_contradicts_is_said(engine: DockerEngine, tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "compose.yaml").write_text("services:\n  db: {image: 'postgres:16', volumes: ['pg:/data']}\nvolumes: {pg: {}}\n")
    engine("tag", IMAGE, "postgres:16")
    labels = ("--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=db")
    engine("run", "--detach", "--network", "none", "--name", "shop-db-1", *labels, "--volume", "moved:/data", "postgres:16")
    engine("run", "--detach", "--network", "none", "--name", "stray", "--volume", "kept:/data", IMAGE)
    engine("volume", "create", "left")
    argv = (sys.executable, "-m", "interlock", "init", "--live")
    environ = {**os.environ, "DOCKER_HOST": f"unix://{engine.socket}"}
    done = subprocess.run(argv, cwd=shop, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    text = (shop / "interlock.yaml").read_text()
    for said in ("the container shop-db-1 writes to the volume moved, and the compose files say nothing of it", "the volume left belongs to no container"):
        assert said in done.stdout
        assert f"#! {said}" in text
    site = load_site(shop / "interlock.yaml", None)
    assert {name: module.unconfirmed for name, module in site.modules.items()} == {"db": False, "stray": True}
    assert (site.modules["stray"].volumes, site.modules["stray"].container) == (("kept",), "stray")
    assert "stray:  # from this host: container stray, running" in text
    shown = in_terminal((*INTERLOCK, "init", "--review"), human_environ(tmp_path), shop, replies=((QUESTION, "y"),))
    assert "now: stray (interlock/busybox:local) is running and writes to kept" in shown.text
    assert "1 confirmed, 0 unconfirmed" in shown.text


def test_the_other_databases_of_a_server_are_named(tmp_path: Path, component: Callable[[str], None]) -> None:
    component("postgres18")
    import psycopg

    (tmp_path / "compose.yaml").write_text("services:\n  db: {image: 'postgres:18', volumes: ['pg:/data']}\nvolumes: {pg: {}}\n")
    with tempfile.TemporaryDirectory(prefix="il-pg-") as folder:
        Path(folder).chmod(0o711)  # as root the server runs as nobody, who must be able to get there
        with running(18, Path(folder) / "d") as server:
            with psycopg.connect(server.dsn(), autocommit=True) as session:
                session.execute("create database forgotten")
            argv = (sys.executable, "-m", "interlock", "init", "--live")
            environ = {**os.environ, "DB_DSN": server.dsn(), "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
            done = subprocess.run(argv, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "the server of db has forgotten too: declare them below `databases`, or exclude them with the reason" in done.stdout
    assert "the server of db has forgotten too" in (tmp_path / "interlock.yaml").read_text()


def test_an_engine_that_cannot_be_asked_is_said_and_the_rest_is_written(tmp_path: Path) -> None:
    argv = (sys.executable, "-m", "interlock", "init", "--live")
    environ = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    done = subprocess.run(argv, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0
    assert "nothing was learned from it" in done.stdout
    assert load_site(tmp_path / "interlock.yaml", None).modules == {}
