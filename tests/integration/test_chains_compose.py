"""Chains as the real docker compose resolves them: what is broken, what only the host has, and where the files say it.

`INTERLOCK_COMPOSE` names another docker compose to ask: 2.26 and 2.40 say the same here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from interlock.config.models import Chain, Compose, Instance, Site
from interlock.errors import CouldNotLook
from interlock.facts.compose import ChainAnswer, ChainMounts
from interlock.judge.compose import judge_chain_valid, judge_override_preserves_mounts, judge_shared_volume_moves_together
from interlock.observe.compose import chain_answer, chain_mounts
from interlock.observe.stack import prefix, stack
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Held, Subject, When


@pytest.fixture(autouse=True)
def _compose(component: Callable[[str], None]) -> None:
    component("compose")


def world(folder: Path, files: Mapping[str, str], *, env_files: tuple[str, ...] | None = None, instances: Mapping[str, Instance] | None = None) -> World:
    """A site with one chain, `all`, of the compose files in their order."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    composes = tuple(name for name in files if name.endswith((".yml", ".yaml")) and not name.startswith("other/"))
    site = Site(
        interlock=1,
        site="s",
        compose=Compose(files=composes, chains={"all": Chain(files=composes, env_files=env_files)}),
        instances=instances or {},
    ).placed(folder, source="interlock.yaml")
    return World(site=site, gates=frozenset({When.STATIC}), tree=Tree(folder), hosts={}, environ=os.environ)


SUBJECT = Subject(name="all")


def answer(folder: Path, **files: str) -> ChainAnswer:
    return chain_answer(world(folder, {name.replace("_yml", ".yml"): text for name, text in files.items()}), SUBJECT)


def mounts(folder: Path, **files: str) -> ChainMounts:
    return chain_mounts(world(folder, {name.replace("_yml", ".yml"): text for name, text in files.items()}), SUBJECT)


# ---- chain_valid


@pytest.mark.parametrize(
    ("text", "kind", "line"),
    [
        ("services:\n  app:\n    image: x\n    volumes:\n      - state:/data\n", "undefined", 5),
        ("services:\n  app:\n    image: x\n    volumes:\n      - {type: volume, source: state, target: /data}\n", "undefined", 5),
        ("services:\n  app:\n    image: x\n    networks: [front]\n", "undefined", 4),
        ("services:\n  app:\n    image: x\n    secrets:\n      - source: key\n", "undefined", 5),
        ("services:\n  app:\n    image: x\n    depends_on:\n      db: {condition: service_started}\n", "undefined", 5),
        ("services:\n  app:\n    restart: always\n", "no-image", 2),
        ("services:\n  app:\n    image: x\n    imagge: y\n", "invalid", 4),
        ("services:\n  app:\n    image: x\n    ports: 80\n", "invalid", 4),
        ("services:\n  app:\n    image: x\n    mem_limit: much\n", "invalid", 4),
        ("services:\n  app:\n    image: ${A\n", "invalid", 3),
        ("services:\n  app:\n    image: x\n    extends: base\n", "invalid", 4),
        ("include:\n  - gone.yml\nservices: {}\n", "missing-file", 1),
        ("services:\n  app:\n    image: x\n    extends: {file: gone.yml, service: a}\n", "missing-file", 1),
    ],
)
def test_a_chain_that_is_refused_is_broken_at_its_place(tmp_path: Path, text: str, kind: str, line: int) -> None:
    judged = judge_chain_valid(answer(tmp_path, a_yml=text))
    assert isinstance(judged, Broken)
    assert [(detail.kind, detail.file, detail.line) for detail in judged.details] == [(kind, "a.yml", line)]


def test_the_place_is_in_the_file_of_the_chain_that_says_it(tmp_path: Path) -> None:
    found = answer(tmp_path, a_yml="services: {app: {image: x}}\n", b_yml="services:\n  mail:\n    restart: always\n")
    assert [fault.at for fault in found.faults] == ["b.yml:2"]


def test_all_faults_are_named_and_always_in_the_same_order(tmp_path: Path) -> None:
    text = "services: {app: {image: x, volumes: ['one:/1', 'two:/2'], networks: [three], depends_on: [four]}, five: {restart: always}}\n"
    found = answer(tmp_path, a_yml=text)
    assert [fault.refusal.about for fault in found.faults] == [
        "service five",
        "service app: network three",
        "service app: service four",
        "service app: volume one",
        "service app: volume two",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "services: {app: {image: x, env_file: .env, environment: {A: b}}}\n",
        "services: {app: {image: x, env_file: [one.env, {path: two.env, required: true}]}}\n",
        "services: {app: {image: x, ports: ['${PORT:?say which}:80', '${IP:?}:81:81'], volumes: ['${DATA:?}:/data', './a:/b:${MODE:?}']}}\n",
        "services: {app: {image: x, volumes: ['${DATA}:/data'], healthcheck: {test: x, interval: '${EVERY:?}'}, mem_limit: '${MEM:?}'}}\n",
        "services: {app: {image: x, deploy: {replicas: '${MANY:?}'}, read_only: '${RO:?}', environment: ['A=${A:?}']}}\n",
        "name: ${NAME:?}\nservices: {app: {image: 'r/${A}:${B}', profiles: [rare]}}\n",
    ],
)
def test_what_only_the_host_has_breaks_nothing(tmp_path: Path, text: str) -> None:
    judged = judge_chain_valid(answer(tmp_path, a_yml=text))
    assert isinstance(judged, Held), judged


def test_a_fault_behind_what_only_the_host_has_is_found(tmp_path: Path) -> None:
    text = "services: {app: {image: x, env_file: .env, ports: ['${PORT:?}:80'], volumes: ['state:/data']}}\n"
    found = answer(tmp_path, a_yml=text)
    assert [fault.refusal.about for fault in found.faults] == ["service app: volume state"]


def test_variables_that_a_placeholder_stands_for_are_named(tmp_path: Path) -> None:
    found = answer(tmp_path, a_yml="services: {app: {image: x, ports: ['${PORT:?}:80'], command: '$PLAIN'}}\n")
    assert found.assumed == ("PLAIN", "PORT")


@pytest.mark.parametrize("ignored", [True, False])
def test_an_included_file_that_git_ignores_may_be_on_the_host(tmp_path: Path, ignored: bool) -> None:
    site = world(tmp_path, {"a.yml": "include: [local.yml]\nservices: {app: {image: x}}\n", ".gitignore": "local.*\n" if ignored else ""})
    if not ignored:
        assert chain_answer(site, SUBJECT).faults[0].refusal.file.endswith("/local.yml")
        return
    with pytest.raises(CouldNotLook, match=r"local\.yml is not in this tree"):
        chain_answer(site, SUBJECT)


def test_the_example_of_an_override_stands_in_for_the_one_that_git_ignores(tmp_path: Path) -> None:
    base = "services: {app: {image: x, secrets: [key]}}\n"
    files = {"compose.yaml": base, ".gitignore": "/compose.override.yaml\n"}
    with pytest.raises(CouldNotLook, match="needs an override that git ignores"):
        chain_answer(world(tmp_path, files), SUBJECT)
    found = chain_answer(world(tmp_path, {**files, "compose.override.yaml.example": "secrets: {key: {environment: KEY}}\n"}), SUBJECT)
    assert (found.faults, found.files) == ((), ("compose.yaml", "compose.override.yaml.example"))


def test_nothing_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(CouldNotLook, match="not in this tree"):
        answer(tmp_path, a_yml="include: ['https://127.0.0.1:1/x/y.git']\n")


def test_no_value_of_an_env_file_reaches_a_message(tmp_path: Path) -> None:
    found = answer(tmp_path, a_yml="services: {app: {image: x, ports: ['${PASSWORD}:80']}}\n", **{".env": "PASSWORD=hunter2-hunter2\n"})
    assert "hunter2" not in repr(found)
    assert found.faults[0].refusal.words == "invalid hostPort: ${PASSWORD}" or found.faults[0].refusal.words == "Invalid hostPort: ${PASSWORD}"


def test_a_value_that_stands_in_the_compose_files_anyway_is_shown(tmp_path: Path) -> None:
    found = answer(tmp_path, a_yml="services: {postgres: {image: 'x:${DB}', depends_on: [nginx]}}\n", **{".env": "DB=postgres\n"})
    assert [fault.refusal.about for fault in found.faults] == ["service postgres: service nginx"]


def test_nothing_is_written_into_the_tree(tmp_path: Path) -> None:
    answer(tmp_path, a_yml="services: {app: {image: x, env_file: .env, ports: ['${PORT:?}:80']}}\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.yml"]


def test_the_operators_shell_gives_no_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAG", "from-the-shell")
    site = world(tmp_path, {"a.yml": "services: {app: {image: 'x:${TAG}'}}\n", "prod.env": "TAG=prod\n"}, env_files=("prod.env", "gone.env"))
    found = stack(site, "all")
    assert (found.services["app"].image, found.absent_env_files) == ("x:prod", ("gone.env",))


def test_the_env_file_of_the_one_instance_that_runs_a_chain_counts(tmp_path: Path) -> None:
    instance = Instance(directory="/srv", env_file="main.env")
    site = world(tmp_path, {"a.yml": "services: {app: {image: 'x:${TAG}'}}\n", "main.env": "TAG=main\n"}, instances={"main": instance})
    assert stack(site, "all").services["app"].image == "x:main"


def test_the_first_files_of_a_chain_need_not_be_whole(tmp_path: Path) -> None:
    files = {"a.yml": "services: {app: {volumes: ['state:/data']}}\n", "b.yml": "services: {app: {image: x}}\nvolumes: {state: {}}\n"}
    site = world(tmp_path, files)
    assert [mount.target for mount in prefix(site, "all", 1).services["app"].mounts] == ["/data"]
    assert stack(site, "all").services["app"].image == "x"


def test_an_env_file_that_is_there_is_read_beside_one_that_is_not(tmp_path: Path) -> None:
    files = {"a.yml": "services: {app: {image: x, env_file: [here.env, gone.env]}}\n", "here.env": "A=1\n"}
    assert stack(world(tmp_path, files), "all").services["app"].environment == {"A": "1"}


# ---- mounts

BASE = """\
services:
  app: {image: x, volumes: [state:/data, ./config:/config:ro, ./src:/src, cache:/cache, /scratch]}
  web: {image: x, volumes: ["state:/srv:ro"]}
volumes: {state: {}, cache: {}}
"""


def dropped(folder: Path, overlay: str) -> list[tuple[str, int | None]]:
    (folder / "src").mkdir(exist_ok=True)
    (folder / "src" / "app.py").write_text("")
    judged = judge_override_preserves_mounts(mounts(folder, a_yml=BASE, b_yml=overlay))
    return [(detail.what, detail.line) for detail in judged.details if detail.kind == "dropped"]


def test_a_list_that_restates_every_mount_holds(tmp_path: Path) -> None:
    overlay = "services:\n  app:\n    volumes: !override\n      - /data:/data\n      - ./etc:/config:ro\n      - ./src:/src\n      - /srv/cache:/cache\n"
    assert dropped(tmp_path, overlay) == []


def test_each_mount_that_a_list_leaves_out_is_named(tmp_path: Path) -> None:
    overlay = "services:\n  app:\n    restart: always\n    volumes: !override\n      - /data:/data\n"
    assert dropped(tmp_path, overlay) == [("b.yml: app /cache", 4), ("b.yml: app /config", 4)]


def test_lists_that_are_merged_drop_nothing(tmp_path: Path) -> None:
    assert dropped(tmp_path, "services:\n  app:\n    volumes:\n      - /data:/data\n") == []


@pytest.mark.parametrize(
    "comment",
    [
        "    # drops: /cache, /config\n    volumes: !override\n",
        "    volumes: !override # interlock: drops /cache /config\n",
        "    volumes: !override\n      # drops /cache\n      # drops /config.\n",
    ],
)
def test_what_a_comment_names_as_dropped_is_meant_to_go(tmp_path: Path, comment: str) -> None:
    assert dropped(tmp_path, f"services:\n  app:\n{comment}      - /data:/data\n  web:\n    restart: always\n") == []


def test_a_comment_beside_another_list_says_nothing_of_this_one(tmp_path: Path) -> None:
    overlay = "services:\n  app:\n    volumes: !override\n      - /data:/data\n      - ./config:/config\n  # drops: /cache\n  web:\n    restart: always\n"
    assert dropped(tmp_path, overlay) == [("b.yml: app /cache", 3)]


@pytest.mark.parametrize("emptied", ["!reset []", "!reset null", "!override []"])
def test_an_emptied_list_still_drops_state(tmp_path: Path, emptied: str) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "app.conf").write_text("")
    assert dropped(tmp_path, f"services:\n  app:\n    volumes: {emptied}\n") == [("b.yml: app /cache", 3), ("b.yml: app /data", 3)]


DEVELOPED = """\
services:
  app: {image: x, volumes: [./src:/app, modules:/app/node_modules, ~/.aws:/aws:ro, /var/run/docker.sock:/var/run/docker.sock, state:/data]}
volumes: {state: {}, modules: {}}
"""


@pytest.mark.parametrize(
    ("volumes", "lost"),
    [
        ("!reset []", ["app /data"]),
        ("!override [state:/data]", ["app /aws", "app /var/run/docker.sock"]),
        ("!override [state:/data, ~/.aws:/aws:ro, /var/run/docker.sock:/var/run/docker.sock]", []),
    ],
)
def test_what_a_developers_file_mounts_over_the_image_is_not_missed(tmp_path: Path, volumes: str, lost: list[str]) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("")
    found = mounts(tmp_path, a_yml=DEVELOPED, b_yml=f"services:\n  app:\n    volumes: {volumes}\n")
    judged = judge_override_preserves_mounts(found)
    assert [detail.what.removeprefix("b.yml: ") for detail in judged.details if detail.kind == "dropped"] == lost


def test_a_whole_service_that_is_replaced_drops_mounts_too(tmp_path: Path) -> None:
    assert dropped(tmp_path, "services:\n  app: !override\n    image: y\n    volumes: [state:/data]\n") == [("b.yml: app /cache", 4), ("b.yml: app /config", 4)]


def stayed(folder: Path, **files: str) -> list[tuple[str, str, int | None]]:
    judged = judge_shared_volume_moves_together(mounts(folder, **files))
    return [(detail.what, detail.file, detail.line) for detail in judged.details if detail.kind == "stayed-behind"]


def test_a_user_that_stays_on_the_volume_is_named(tmp_path: Path) -> None:
    overlay = "services:\n  app:\n    volumes:\n      - /data:/data\n"
    assert stayed(tmp_path, a_yml=BASE, b_yml=overlay) == [("state: web", "b.yml", 3)]


def test_users_that_move_together_hold_whichever_files_move_them(tmp_path: Path) -> None:
    first, second = "services: {app: {volumes: ['/data:/data']}}\n", "services: {web: {volumes: ['/data:/srv:ro']}}\n"
    assert stayed(tmp_path, a_yml=BASE, b_yml=first, c_yml=second) == []


def test_a_volume_that_binds_the_same_directory_is_no_other_place(tmp_path: Path) -> None:
    bound = "services: {app: {volumes: ['/data:/data']}}\nvolumes: {state: {driver_opts: {type: none, o: bind, device: /data}}}\n"
    assert stayed(tmp_path, a_yml=BASE, b_yml=bound) == []


def test_a_later_user_of_a_volume_that_was_left_is_named(tmp_path: Path) -> None:
    moved = "services: {app: {volumes: ['/data:/data']}, web: {volumes: ['/data:/srv:ro']}}\n"
    later = "services: {job: {image: x, volumes: ['state:/state']}}\n"
    assert stayed(tmp_path, a_yml=BASE, b_yml=moved, c_yml=later) == [("state: job", "b.yml", 1)]


def test_a_chain_that_lacks_an_overlay_which_a_larger_one_has_is_at_fault_where_it_is_named(tmp_path: Path) -> None:
    """The overlays are right: whoever names the chain forgot one of them."""
    files = {
        "compose.yml": BASE,
        "compose.host.yml": "services: {app: {volumes: ['/data:/data']}}\n",
        "compose.bridge.yml": "services: {web: {volumes: ['/data:/srv:ro']}}\n",
        "README.md": "docker compose -f compose.yml -f compose.host.yml -f compose.bridge.yml up\n\nor: docker compose -f compose.yml -f compose.host.yml up\n",
    }
    site = world(tmp_path, files).site
    assert site.compose is not None
    composes = site.compose.files
    chains = {"short": Chain(files=composes[:2]), "whole": Chain(files=composes)}
    found = site.model_copy(update={"compose": Compose(files=composes, chains=chains)}).placed(tmp_path)
    seen = World(site=found, gates=frozenset({When.STATIC}), tree=Tree(tmp_path), hosts={}, environ=os.environ)
    judged = judge_shared_volume_moves_together(chain_mounts(seen, Subject(name="short")))
    assert [(detail.kind, detail.what, detail.file, detail.line) for detail in judged.details] == [("overlay-missing", "state: web", "README.md", 3)]
    assert "the chain whole moves it with compose.bridge.yml, which is not in this one" in judged.message
    assert isinstance(judge_shared_volume_moves_together(chain_mounts(seen, Subject(name="whole"))), Held)
