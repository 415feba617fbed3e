"""Compose steps without an engine: what docker compose is told and what never, what a chain comes to, what a plan says of it, and what is refused."""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given

from interlock.act.compose import arguments
from interlock.change.compose_words import compose_words
from interlock.change.planning import make_plan
from interlock.change.showing import title
from interlock.config.actions import ComposeVerb
from interlock.config.load import load_site
from interlock.config.models import Host
from interlock.errors import ConfigError, CouldNotLook
from interlock.facts.compose_project import ChainModel, other_options, pinned, registry_of, repository
from interlock.facts.stack import Volume
from interlock.gate.plan import ComposePlan, ContainerPlan, ImagePlan, has_undo
from interlock.observe.compose_binary import Compose, find_compose
from interlock.observe.compose_state import ChainPlace, mirrored, put_back
from interlock.observe.engine_api import EngineApi, EngineRefusedError, engine_socket
from interlock.observe.registry import registry_digest
from tests.strategies import image_references
from tests.tiny_site import NOW

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def step(run: str = "up", **changed: object) -> ComposePlan:
    """A plan of one service that runs."""
    parts: dict[str, object] = {
        "run": ComposeVerb(run),
        "engine": "/var/run/docker.sock",
        "program": "/usr/libexec/docker/cli-plugins/docker-compose",
        "version": "2.40.3",
        "chain": "default",
        "project": "shop",
        "directory": "/srv/shop",
        "files": ("/srv/shop/compose.yaml",),
        "env_files": ("/srv/shop/.env",),
        "services": ("web",),
        "whole": False,
        "model": A,
        "before": A,
        "images": (ImagePlan(service="web", reference="app:2", id=A, digest=""),),
        "containers": (container(),),
        "volumes": ("shop_data",),
        "networks": (),
        "timeout": 600,
    }
    return ComposePlan(**(parts | changed))  # type: ignore[arg-type]


def container(**changed: object) -> ContainerPlan:
    parts: dict[str, object] = {"service": "web", "id": "c" * 64, "image": A, "running": True, "same": True}
    return ContainerPlan(**(parts | changed))  # type: ignore[arg-type]


def words(plan: ComposePlan) -> str:
    return "\n".join(compose_words(plan))


# ---- what docker compose is told


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("verb", list(ComposeVerb))
def test_no_verb_removes_volumes_or_others_or_answers_a_question(verb: ComposeVerb, whole: bool) -> None:
    forbidden = {"-y", "--yes", "-v", "--volumes", "--remove-orphans", "--rmi", "--force-recreate", "--renew-anon-volumes", "-V", "--build"}
    assert not forbidden.intersection(arguments(step(verb.value, whole=whole)))


def test_up_neither_pulls_nor_builds_nor_starts_what_it_was_not_told_to() -> None:
    assert arguments(step("up")) == ("up", "--detach", "--no-build", "--pull", "never", "--no-deps", "web")


def test_down_of_all_services_takes_the_networks_along() -> None:
    assert arguments(step("down", whole=True)) == ("down",)
    assert arguments(step("down")) == ("down", "web")


@pytest.mark.parametrize("verb", ["pull", "build", "start", "stop"])
def test_other_verbs_name_their_services(verb: str) -> None:
    assert arguments(step(verb)) == (verb, "web")


@pytest.mark.parametrize("option", ["--no-build", "--pull", "--no-deps", "--no-start", "--no-recreate", "--detach"])
def test_the_options_of_up_are_known_to_this_docker_compose(component: Callable[[str], None], option: str, tmp_path: Path) -> None:
    component("compose")
    assert option in _help("up")


def _help(verb: str) -> str:
    found = find_compose(os.environ)
    assert found is not None
    return subprocess.run((found.path, verb, "--help"), capture_output=True, text=True, check=True).stdout


def place(folder: Path, environ: dict[str, str], *, env_files: tuple[str, ...] = ()) -> ChainPlace:
    files = (str(folder / "compose.yaml"),)
    found = find_compose(os.environ) or Compose(path="/nowhere", version="0")
    return ChainPlace(compose=found, engine="/run/d.sock", files=files, env_files=tuple(str(folder / name) for name in env_files), environ=environ)


def test_no_variable_of_the_shell_steers_docker_compose(tmp_path: Path) -> None:
    shell = {"PATH": "/bin", "HOME": "/h", "COMPOSE_FILE": "x", "COMPOSE_PROFILES": "y", "DOCKER_HOST": "tcp://z", "DOCKER_CONTEXT": "c", "TAG": "t"}
    given = place(tmp_path, shell).given()
    assert {name: value for name, value in given.items() if not name.startswith("COMPOSE_")} == {
        "PATH": "/bin",
        "HOME": "/h",
        "PWD": str(tmp_path),
        "DOCKER_HOST": "unix:///run/d.sock",
    }
    assert given["COMPOSE_REMOVE_ORPHANS"] == "false"
    assert not {"COMPOSE_FILE", "COMPOSE_PROFILES"} & given.keys()


def test_a_kept_chain_is_read_without_env_files_and_keeps_its_directory(tmp_path: Path) -> None:
    options = place(tmp_path, {}, env_files=(".env",)).options("shop", resolved="/undo/kept.json")
    assert options[-8:] == ("--project-name", "shop", "--project-directory", str(tmp_path), "--file", "/undo/kept.json", "--env-file", "/dev/null")


# ---- what a chain comes to


MODEL = {
    "name": "shop",
    "services": {
        "web": {"image": "app:2", "depends_on": {"job": {"condition": "service_completed_successfully"}, "db": {"condition": "service_started"}}},
        "job": {"build": {"context": "."}, "depends_on": {"db": {"condition": "service_started"}}},
        "db": {"image": "db:1", "deploy": {"replicas": 2}, "volumes": [{"type": "volume", "source": "data", "target": "/data"}]},
        "tool": {"image": "tool:1", "pull_policy": "never", "scale": 3},
    },
    "volumes": {"data": {"name": "shop_data", "driver_opts": {"o": "bind"}}, "unused": {"name": "shop_unused"}},
}


def test_a_model_says_what_is_pulled_built_and_waited_for() -> None:
    model = ChainModel.of(MODEL, chain="default", files=["compose.yaml"])
    said = {name: (one.reference, one.built, one.pulled, one.replicas, one.ends) for name, one in model.services.items()}
    assert said == {
        "db": ("db:1", False, True, 2, False),
        "job": ("shop-job", True, False, 1, True),
        "tool": ("tool:1", False, False, 3, False),
        "web": ("app:2", False, True, 1, False),
    }
    assert model.with_needs(["web"]) == ("db", "job", "web")
    assert [volume.name for volume in model.volumes_of(["db", "web"])] == ["shop_data"]
    assert model.volumes_of(["web"]) == ()


def test_the_digest_of_a_model_does_not_depend_on_the_order_of_its_keys() -> None:
    turned = {**dict(reversed(MODEL.items())), "services": dict(reversed(MODEL["services"].items()))}  # type: ignore[attr-defined, union-attr]
    assert ChainModel.of(MODEL, chain="c", files=["f"]).digest == ChainModel.of(turned, chain="c", files=["f"]).digest


def test_a_secret_of_a_model_is_not_in_its_repr() -> None:
    model = ChainModel.of({"name": "p", "services": {"web": {"image": "x", "environment": {"PASSWORD": "hunter2hunter2"}}}}, chain="c", files=["f"])
    assert "hunter2" not in repr(model)


@pytest.mark.parametrize(
    ("driver", "opts", "made_driver", "made", "changed"),
    [
        ("", {}, "local", {}, ""),
        ("", {"o": "bind", "device": "/a"}, "local", {"o": "bind", "device": "/a"}, ""),
        ("", {"o": "bind,rbind", "device": "/a"}, "local", {"o": "bind", "device": "/a"}, "o"),
        ("", {}, "local", {"o": "bind"}, "o"),
        ("nfs", {"device": "x"}, "local", {}, "driver, device"),
    ],
)
def test_options_of_a_volume_are_compared_by_name_and_value(driver: str, opts: dict[str, str], made_driver: str, made: dict[str, str], changed: str) -> None:
    assert other_options(Volume(key="v", name="p_v", driver=driver, driver_opts=opts), made_driver, made) == changed


@given(image_references())
def test_a_reference_comes_apart_and_together_again(parts: tuple[str, str, str, str]) -> None:
    registry, path, tag, digest = parts
    name = f"{registry}/{path}" if registry else path
    reference = name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    assert (repository(reference), pinned(reference), registry_of(reference)) == ((name, tag or "latest"), digest, registry)


# ---- what the plan says, and promises


def test_a_plan_says_which_image_and_container_and_what_is_never_touched() -> None:
    said = words(step(containers=(container(), container(service="db", id="d" * 64))))
    for line in (
        "web: app:2: started with aaaaaaaaaaaa",
        "container cccccccccccc runs with aaaaaaaaaaaa; replaced where the chain says another",
        "not touched: db",
        "no volume is ever removed: shop_data",
        "undo: each service runs, or is stopped, with the image that it has now",
        "with variables from /srv/shop/.env; this shell's are not used",
    ):
        assert line in said


def test_a_pull_that_nobody_knows_the_end_of_is_loud() -> None:
    unknown = ImagePlan(service="web", reference="app:2", id="", digest="", by="pull")
    assert "app:2: now none here; NOBODY KNOWS YET WHAT WILL BE PULLED" in words(step("pull", images=(unknown,)))
    assert "started with what was pulled before, WHICH NOBODY KNOWS YET" in words(step("up", images=(unknown,)))
    known = unknown.model_copy(update={"digest": B})
    assert "the registry has sha256:bbbbbbbbbbbb, and nothing else will do" in words(step("pull", images=(known,)))
    assert "started with the pulled sha256:bbbbbbbbbbbb" in words(step("up", images=(known,)))


def test_the_page_shows_what_a_plan_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "compose-steps.md").read_text()
    image = ImagePlan(
        service="app", reference="registry.example/app:2", id="sha256:3f2a9c1b2d3e" + "0" * 52, digest="sha256:77c1d0a4be52" + "0" * 52, by="pull"
    )
    running = container(service="app", id="9a1b2c3d4e5f" + "0" * 52, image=image.id)
    plan = step("pull", services=("app",), images=(image,), containers=(running,))
    assert "\n".join([f"step 2 of 5: {title(plan)}", *(f"  {line}" for line in compose_words(plan))]) in page


@pytest.mark.parametrize("verb", ["pull", "build", "start", "stop"])
def test_what_makes_no_container_can_always_be_undone(verb: str) -> None:
    assert has_undo(step(verb, before=None, containers=(container(same=False, anonymous=("/data",)),)))


@pytest.mark.parametrize(
    ("verb", "changed", "undone"),
    [
        ("up", {}, True),
        ("up", {"containers": (), "before": None}, True),
        ("up", {"before": None}, False),
        ("up", {"containers": (container(same=False),)}, False),
        ("up", {"containers": (container(anonymous=("/data",)),)}, True),
        ("up", {"containers": (container(), container(service="other", same=False))}, True),
        ("down", {}, True),
        ("down", {"containers": (container(anonymous=("/data",)),)}, False),
        ("down", {"containers": (container(same=False),)}, False),
    ],
)
def test_what_cannot_be_made_again_as_it_was_has_no_undo_and_says_so(verb: str, changed: dict[str, object], undone: bool) -> None:
    plan = step(verb, **changed)
    assert has_undo(plan) is undone
    assert ("NO UNDO" in words(plan) or "NO EXACT UNDO" in words(plan)) is not undone


@pytest.mark.parametrize(("verb", "same", "before"), list(itertools.product(ComposeVerb, [True, False], [A, None])))
def test_every_plan_can_be_told_in_words(verb: ComposeVerb, same: bool, before: str | None) -> None:
    assert "undo: " in words(step(verb.value, before=before, containers=(container(same=same),)))


# ---- what is refused before any engine is asked


SITE = """\
interlock: 1
site: s
hosts:
  far: {{ssh: {{destination: far.example}}}}
compose:
  files: [compose.yaml, other.yaml]
  chains: {chains}
instances:
  main: {{directory: "{root}"}}
  there: {{directory: "{root}", host: far, chain: one}}
not_used: {{mounts: x, state_dir: x, backups: x, parity: x, templates: x, automation: x}}
actions:
  release:
    approval: operator
    steps: [{{compose: {{run: up{kind}}}}}]
"""
ONE = "{one: {files: [compose.yaml]}}"
TWO = "{one: {files: [compose.yaml]}, two: {files: [compose.yaml, other.yaml]}}"


def refused(folder: Path, chains: str = ONE, text: str = "services: {web: {image: x}}\n", environ: dict[str, str] | None = None, **kind: str) -> str:
    """Why a step of such a site is refused."""
    (folder / "compose.yaml").write_text(text)
    (folder / "other.yaml").write_text("services: {}\n")
    site_text = SITE if chains else re.sub(r"compose:\n  files.*\n  chains.*\n|, chain: one", "", SITE)
    (folder / "interlock.yaml").write_text(site_text.format(root=folder, chains=chains, kind="".join(f", {name}: {said}" for name, said in kind.items())))
    shell = {"PATH": os.environ["PATH"], "HOME": str(folder), "DOCKER_HOST": f"unix://{folder}/no.sock", **(environ or {})}
    if named := os.environ.get("INTERLOCK_COMPOSE"):
        shell.setdefault("INTERLOCK_COMPOSE", named)
    site = load_site(folder / "interlock.yaml", shell)
    with pytest.raises((ConfigError, CouldNotLook)) as caught:
        make_plan(site, "release", shell, now=NOW)
    assert caught.value.remedy
    return str(caught.value)


@pytest.fixture
def _compose(component: Callable[[str], None]) -> None:
    component("compose")


def test_several_chains_and_none_named_are_refused(tmp_path: Path) -> None:
    said = refused(tmp_path, TWO)
    assert "it is not said which chain of compose files is meant" in said
    assert "write `chain:` with one of one, two" in said


def test_a_site_without_compose_files_is_refused(tmp_path: Path) -> None:
    assert "this site has no compose files" in refused(tmp_path, "")


def test_an_instance_on_another_host_is_refused(tmp_path: Path) -> None:
    assert "docker compose up on far is not possible yet" in refused(tmp_path, TWO, instance="there")


@pytest.mark.usefixtures("_compose")
def test_an_engine_that_is_not_there_is_named_with_its_socket(tmp_path: Path) -> None:
    assert f"{tmp_path}/no.sock: the container engine cannot be looked at" in refused(tmp_path)


def test_an_engine_elsewhere_is_refused(tmp_path: Path) -> None:
    assert "DOCKER_HOST names an engine that is not behind a socket" in refused(tmp_path, environ={"DOCKER_HOST": "ssh://far"})


@pytest.mark.usefixtures("_compose")
def test_a_variable_of_the_shell_that_changes_the_chain_is_refused_by_name(tmp_path: Path) -> None:
    said = refused(tmp_path, text="services: {web: {image: 'x:${TAG:-1}'}}\n", environ={"TAG": "correct-horse", "OTHER": "x"})
    assert "TAG of this shell would make another chain of one" in said
    assert "correct-horse" not in said


@pytest.mark.usefixtures("_compose")
def test_a_variable_without_a_value_is_refused_in_the_words_of_docker_compose(tmp_path: Path) -> None:
    said = refused(tmp_path, text="services: {web: {image: 'x:${TAG:?say it}'}}\n", environ={"TAG": "1"})
    assert "docker compose refuses the chain one" in said
    assert "required variable TAG is missing a value" in said
    assert "variables take their values from env files" in said


@pytest.mark.usefixtures("_compose")
def test_an_env_file_that_the_chain_declares_must_be_there(tmp_path: Path) -> None:
    assert f"{tmp_path}/prod.env is not there" in refused(tmp_path, "{one: {files: [compose.yaml], env_files: [prod.env]}}")


@pytest.mark.parametrize(
    ("host", "environ", "socket"),
    [
        (Host(engine="/run/podman.sock"), {"DOCKER_HOST": "unix:///other.sock"}, "/run/podman.sock"),
        (Host(), {"DOCKER_HOST": "unix:///run/user/1000/docker.sock"}, "/run/user/1000/docker.sock"),
        (Host(), {}, "/var/run/docker.sock"),
    ],
)
def test_the_engine_is_the_declared_one_else_that_of_the_shell_else_dockers_own(host: Host, environ: dict[str, str], socket: str) -> None:
    assert engine_socket(host, environ, where="x") == socket


# ---- files that are still to be written


@pytest.mark.usefixtures("_compose")
def test_a_chain_comes_to_in_a_copy_what_it_will_come_to_in_its_place(tmp_path: Path) -> None:
    base = tmp_path / "shop"
    (base / "conf").mkdir(parents=True)
    (base / "compose.yaml").write_text("services: {web: {image: 'x:${TAG}', env_file: conf/app.env, volumes: ['./data:/data']}}\n")
    (base / "conf" / "app.env").write_text("A=1\n")
    (base / ".env").write_text("TAG=1\n")
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    written = {str(base / ".env"): b"TAG=2\n", str(base / "conf" / "app.env"): b"A=2\n", str(base / "new" / "deep"): b"x"}
    with mirrored(str(base), written) as mirror:
        copied = place(Path(mirror), environ, env_files=(".env",)).model("default")
        assert isinstance(copied, ChainModel)
        foreseen = put_back(copied, mirror=mirror, base=str(base))
        inside = mirror
    assert not Path(inside).exists()
    assert (base / ".env").read_text() == "TAG=1\n"
    (base / ".env").write_bytes(written[str(base / ".env")])
    (base / "conf" / "app.env").write_bytes(written[str(base / "conf" / "app.env")])
    there = place(base, environ, env_files=(".env",)).model("default")
    assert isinstance(there, ChainModel)
    assert (foreseen.digest, foreseen.project, foreseen.services["web"].reference) == (there.digest, "shop", "x:2")


# ---- the engine and the registry


@contextmanager
def answering(folder: Path, status: str, body: bytes, seen: list[bytes]) -> Iterator[EngineApi]:
    """Something behind a socket that answers every request so."""
    path = folder / "engine.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()

        def answer() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    seen.append(connection.recv(65536))
                    connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield EngineApi(socket=str(path))
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_the_engine_is_asked_through_its_socket(tmp_path: Path) -> None:
    seen: list[bytes] = []
    with answering(tmp_path, "200 OK", b'{"Id": "x"}', seen) as api:
        assert api.ask("/images/127.0.0.1:5000/app:1/json") == {"Id": "x"}
    assert seen[0].startswith(b"GET /images/127.0.0.1:5000/app:1/json HTTP/1.1\r\n")


def test_what_is_missing_is_nothing_only_where_it_may_be(tmp_path: Path) -> None:
    with answering(tmp_path, "404 Not Found", b'{"message": "no such image"}', []) as api:
        assert api.ask("/images/x/json", may_be_missing=True) is None
        with pytest.raises(CouldNotLook, match="refuses /images/x/json") as caught:
            api.ask("/images/x/json")
    assert caught.value.why == "no such image"


def test_an_engine_that_answers_no_json_is_none(tmp_path: Path) -> None:
    with answering(tmp_path, "200 OK", b"<html>", []) as api, pytest.raises(CouldNotLook, match="does not answer as one"):
        api.ask("/version")


def test_a_refusal_of_the_engine_keeps_its_words(tmp_path: Path) -> None:
    with answering(tmp_path, "500 Oh", b'{"message": "no space left"}', []) as api, pytest.raises(EngineRefusedError, match="no space left"):
        api.request("POST", "/images/x/tag?repo=a&tag=b")


def test_a_registry_is_asked_as_the_user_that_docker_would_be(tmp_path: Path) -> None:
    login = base64.b64encode(b"anna:s3cret").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"reg.example:5000": {"auth": login}}}))
    environ = {"DOCKER_CONFIG": str(tmp_path)}
    seen: list[bytes] = []
    with answering(tmp_path, "200 OK", json.dumps({"Descriptor": {"digest": A}}).encode(), seen) as api:
        assert registry_digest(api, "reg.example:5000/app:1", environ) == A
        assert registry_digest(api, "elsewhere.example/app:1", environ) == A
    assert _asked_as(seen[0]) == {"username": "anna", "password": "s3cret", "serveraddress": "reg.example:5000"}
    assert b"x-registry-auth" not in seen[1].lower()


def test_a_registry_is_asked_as_the_user_that_a_helper_knows(tmp_path: Path) -> None:
    helper = tmp_path / "docker-credential-vault"
    helper.write_text('#!/bin/sh\nread -r server\nprintf \'{"Username": "anna", "Secret": "of-%s"}\' "$server"\n')
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {"reg.example": "vault"}}))
    seen: list[bytes] = []
    environ = {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with answering(tmp_path, "200 OK", json.dumps({"Descriptor": {"digest": A}}).encode(), seen) as api:
        assert registry_digest(api, "reg.example/app:1", environ) == A
    assert _asked_as(seen[0]) == {"username": "anna", "password": "of-reg.example", "serveraddress": "reg.example"}


@pytest.mark.parametrize("body", [b"{}", b"nothing", b'{"Descriptor": null}'])
def test_a_registry_that_says_nothing_readable_is_one_that_could_not_say(tmp_path: Path, body: bytes) -> None:
    with answering(tmp_path, "200 OK", body, []) as api:
        assert registry_digest(api, "reg.example/app:1", {}) == ""


def test_a_registry_that_refuses_could_not_say(tmp_path: Path) -> None:
    with answering(tmp_path, "403 Forbidden", b'{"message": "denied"}', []) as api:
        assert registry_digest(api, "reg.example/app:1", {}) == ""


def test_an_image_by_its_digest_needs_no_registry() -> None:
    assert registry_digest(EngineApi(socket="/nowhere"), f"reg.example/app@{B}", {}) == B


def _asked_as(request: bytes) -> dict[str, str]:
    header = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"x-registry-auth:"))
    return json.loads(base64.urlsafe_b64decode(header.partition(b": ")[2]))  # type: ignore[no-any-return]
