"""What the templates family reads: each file once, nothing started, and every reason why something could not be looked at."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from interlock.config.load import load_site
from interlock.config.models import Site
from interlock.errors import CouldNotLook
from interlock.facts.looks import HostFacts, Stat, StatAnswer
from interlock.facts.templates import Canonical, Header, NotRendered, Rendered, TemplateFile, Unseen
from interlock.judge.templates import judge_byte_equivalence
from interlock.observe import probe
from interlock.observe.templates import OBSERVERS
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import NullSink, Outcome, Subject, When, settle

OBSERVER = OBSERVERS["templates.byte_equivalent"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {
        "app.conf": "host $HOST\n",
        "run.sh": "#!/bin/sh\n",
        "main.env": "HOST=h\n",
        "canonical.conf": "host h\n",
        "canonical.sh": "#!/bin/sh\n",
    }.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "canonical.sh").chmod(0o755)
    return tmp_path


def site(folder: Path) -> Site:
    instances = {name: {"directory": f"/srv/{name}", "env_file": "main.env"} for name in ("main", "second")}
    templates = {
        "app": {"template": "app.conf", "canonical": "canonical.conf", "target": "{instance}.conf", "mode": "0640", "header": {"lines": 1}},
        "run": {"template": "run.sh", "canonical": "canonical.sh", "target": "run.sh", "renderer": "copy", "instances": ["main"]},
    }
    (folder / "interlock.yaml").write_text(yaml.safe_dump({"interlock": 1, "site": "t", "instances": instances, "templates": templates}))
    return load_site(folder / "interlock.yaml", {})


def world(folder: Path, *, hosts: dict[str, HostFacts | CouldNotLook] | None = None) -> World:
    gates = frozenset({When.STATIC} if hosts is None else {When.PREFLIGHT})
    return World(site=site(folder), gates=gates, tree=Tree(folder), hosts=hosts or {}, environ={})


def seen(folder: Path, instance: str = "main", **more: dict[str, HostFacts | CouldNotLook]) -> dict[str, TemplateFile]:
    return {file.template: file for file in OBSERVER.see(world(folder, **more), Subject(name=instance)).files}


def test_every_template_of_the_instance_is_brought_with_its_canonical_file(folder: Path) -> None:
    files = seen(folder)
    assert list(files) == ["app", "run"]
    assert list(seen(folder, "second")) == ["app"]
    app, run = files["app"], files["run"]
    assert isinstance(app.rendered, Rendered)
    assert isinstance(app.canonical, Canonical)
    assert isinstance(run.canonical, Canonical)
    assert (app.rendered.content, app.canonical.content, app.canonical.executable, app.mode, app.mode_stated) == (b"host h\n", b"host h\n", False, 0o640, True)
    assert (run.canonical.executable, run.mode, run.mode_stated, run.header, run.target) == (True, 0o644, False, None, None)
    assert app.header == Header(lines=1)


def test_a_file_gate_asks_no_host_and_a_live_one_for_each_target(folder: Path) -> None:
    assert set(OBSERVER.looks(site(folder), Subject(name="main"))) == {Stat("/srv/main/main.conf"), Stat("/srv/main/run.sh")}


def test_what_lies_at_the_target_is_brought_on_a_live_system(folder: Path) -> None:
    answer = StatAnswer(present=True, mode=0o100640)
    facts = HostFacts(host="local", taken_at="", user="u", answers={Stat("/srv/main/main.conf"): answer}, walks=lambda _root: iter(()))
    files = seen(folder, hosts={"local": facts})
    assert files["app"].target is not None
    assert files["app"].target.seen == answer
    assert files["run"].target is not None
    assert isinstance(files["run"].target.seen, Unseen)


def test_a_host_that_cannot_be_reached_leaves_the_files(folder: Path) -> None:
    app = seen(folder, hosts={"local": CouldNotLook("it did not answer", why="timeout", remedy="start it")})["app"]
    assert isinstance(app.rendered, Rendered)
    assert app.target is not None
    assert app.target.seen == Unseen(message="it did not answer (timeout)", remedy="start it")


@pytest.mark.parametrize(
    ("name", "text", "kind", "file", "line"),
    [
        ("app.conf", None, "template-missing", "app.conf", None),
        ("app.conf", "ok\n$NOBODY", "undefined-variable", "app.conf", 2),
        ("app.conf", "${NOBODY:?set it}", "required-variable", "app.conf", 1),
        ("app.conf", "${", "template-syntax", "app.conf", 1),
        ("main.env", "HO ST=1\n", "values", "main.env", None),
        ("main.env", "#\nHOST=${\n", "template-syntax", "main.env", 2),
    ],
)
def test_what_cannot_be_rendered_says_why_and_where(folder: Path, *, name: str, text: str | None, kind: str, file: str, line: int | None) -> None:
    (folder / name).unlink() if text is None else (folder / name).write_text(text)
    fault = seen(folder)["app"].rendered
    assert isinstance(fault, NotRendered)
    assert (fault.kind, fault.file, fault.line) == (kind, file, line)
    assert name in fault.message
    assert fault.remedy


@pytest.mark.parametrize("name", ["app.conf", "main.env", "canonical.conf"])
def test_what_is_there_and_cannot_be_read_is_unseen(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()
    app = seen(folder)["app"]
    assert isinstance(app.canonical if name == "canonical.conf" else app.rendered, Unseen)


def test_an_env_file_that_is_not_there_is_unseen_for_it_may_be_kept_elsewhere(folder: Path) -> None:
    (folder / "main.env").unlink()
    assert isinstance(seen(folder)["app"].rendered, Unseen)
    assert isinstance(seen(folder)["run"].rendered, Rendered)


def test_a_canonical_file_that_is_not_there_is_none(folder: Path) -> None:
    (folder / "canonical.conf").unlink()
    assert seen(folder)["app"].canonical is None


def test_a_link_out_of_the_folder_is_not_followed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret"
    outside.write_text("x")
    (folder / "app.conf").unlink()
    (folder / "app.conf").symlink_to(outside)
    assert isinstance(seen(folder)["app"].rendered, Unseen)


_started: list[str] = []
_watching = False


def _audit(event: str, _arguments: tuple[object, ...]) -> None:
    if _watching and event in ("subprocess.Popen", "os.system", "os.posix_spawn", "os.fork", "os.exec", "pty.spawn"):
        _started.append(event)


def test_each_file_is_opened_once_and_no_process_is_started(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    global _watching  # noqa: PLW0603, an audit hook cannot be taken away again
    opened: Counter[str] = Counter()
    look_read = probe.look_read

    def counted(path: bytes, limit: int) -> bytes:
        opened[os.path.basename(os.fsdecode(path))] += 1
        return look_read(path, limit)

    one = world(folder)
    monkeypatch.setattr(probe, "look_read", counted)
    sys.addaudithook(_audit)
    _watching = True
    try:
        outcomes = [settle(judge_byte_equivalence(OBSERVER.see(one, Subject(name=name))), NullSink()).outcome for name in ("main", "second")]
    finally:
        _watching = False
    assert opened == {"app.conf": 1, "run.sh": 1, "main.env": 1, "canonical.conf": 1, "canonical.sh": 1}
    assert _started == []
    assert outcomes == [Outcome.BROKEN, Outcome.HELD]  # the script's mode is not stated, and its canonical file can be executed
