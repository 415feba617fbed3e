"""What chains of compose files make of the state directory and of its layout, as the real docker compose resolves them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from interlock.config.load import load_site
from interlock.errors import CouldNotLook
from interlock.judge.mounts import LAYOUT, judge_layout
from interlock.judge.state_dir import (
    HOST_AND_STACK_AGREE,
    PRECEDENCE,
    RESOLVES,
    SERVICES_AGREE,
    judge_host_and_stack,
    judge_precedence,
    judge_resolves,
    judge_services,
)
from interlock.observe import mounts, state_dir
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.testing.faults import write_site
from interlock.verdicts import Broken, Held, Judgement, Unproven, When

BASE = """\
services:
  app:
    image: shop:${SHOP_TAG:-stable}
    env_file: .env
    environment:
      - DATA_DIR=/data
    volumes:
      - data:/data
      - ./config:/app/config:ro
  worker:
    image: shop:${SHOP_TAG:-stable}
    env_file: .env
    profiles: [full]
    volumes:
      - data:/data
  proxy:
    image: caddy:2
    profiles: [tls]
    volumes:
      - ./Caddyfile:/etc/caddy/Caddyfile:ro
      - /data/state/certs:/certs:ro
      - caddy_data:/data
volumes:
  data:
  caddy_data:
"""
NESTED = """\
services:
  app:
    volumes: !override
      - /data:/data
      - ./config:/app/config:ro
  worker:
    volumes: !override
      - /data:/data
"""
FLAT = """\
services:
  app:
    volumes: !override
      - /data:/data
      - /data-state:/data-state
      - ./config:/app/config:ro
  worker:
    volumes: !override
      - /data:/data
      - /data-state:/data-state
  proxy:
    volumes: !override
      - ./Caddyfile:/etc/caddy/Caddyfile:ro
      - /data-state/certs:/certs:ro
      - caddy_data:/data
"""
BOUND = """\
volumes:
  data:
    driver_opts: {type: none, o: "bind,rbind", device: /data}
"""
FILES = {"compose.yaml": BASE, "nested.yaml": NESTED, "flat.yaml": FLAT, "bound.yaml": BOUND}
DISKS: Mapping[str, Any] = {
    "state": {"path": "/data-state", "device": "LABEL=state"},
    "data": {"path": "/data", "device": "LABEL=data"},
    "layout": "flat",
    "overlays": {"nested": "nested.yaml", "flat": "flat.yaml"},
}
CHAINS = {"base": ["compose.yaml"], "nested": ["compose.yaml", "nested.yaml"], "flat": ["compose.yaml", "flat.yaml"]}
STATE_DIR: Mapping[str, Any] = {"path": "/data-state", "values": {"DATA_DIR": "/data"}, "env_file": ".env"}


@pytest.fixture(autouse=True)
def _compose(component: Callable[[str], None]) -> None:
    component("compose")


def world(
    folder: Path,
    *,
    env: str = "STATE_DIR=/data-state\n",
    texts: Mapping[str, str] = FILES,
    disks: Mapping[str, Any] = DISKS,
    chains: Mapping[str, list[str]] = CHAINS,
    **more: Any,
) -> World:
    for name, text in {**FILES, **texts}.items():
        (folder / name).write_text(text)
    (folder / ".env").write_text(env)
    compose = {"files": list(FILES), "chains": {name: {"files": files} for name, files in chains.items()}}
    write_site(folder, {"mounts": disks, "state_dir": {**STATE_DIR, **more.pop("state_dir", {})}, "compose": compose, **more})
    return World(
        site=load_site(folder / "interlock.yaml", environ={}),
        gates=frozenset({When.STATIC}),
        tree=Tree(folder),
        hosts={},
        environ={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
    )


def asked(seen: World, guardrail: Any, judge: Callable[[Any], Judgement], see: Callable[..., Any]) -> dict[str, Judgement]:
    """What a guardrail says of each of its subjects."""
    found = guardrail.subjects_when(seen.site, frozenset({When.STATIC}), None)
    return {subject.name.removeprefix("chain:"): judge(see(seen, subject)) for subject in found}


def layouts(seen: World) -> dict[str, Judgement]:
    return asked(seen, LAYOUT, judge_layout, mounts.layout_seen)


def services(seen: World) -> dict[str, Judgement]:
    return asked(seen, SERVICES_AGREE, judge_services, state_dir.users_seen)


def agree(seen: World) -> Judgement:
    return asked(seen, HOST_AND_STACK_AGREE, judge_host_and_stack, state_dir.host_and_stack)["STATE_DIR"]


def test_a_repository_with_chains_for_both_layouts_holds(tmp_path: Path) -> None:
    seen = world(tmp_path)
    found = layouts(seen)
    assert {name: judged.message for name, judged in found.items() if isinstance(judged, Held)} == {
        "nested": "2 of 2 services bind /data",
        "flat": "2 of 2 services bind both",
    }
    assert list(services(seen)) == ["flat"]
    assert isinstance(services(seen)["flat"], Held)
    assert isinstance(agree(seen), Held)


def test_a_nested_site_holds_with_the_default(tmp_path: Path) -> None:
    nested = {**DISKS, "state": {"path": "/data/state", "device": "LABEL=state"}, "layout": "nested"}
    seen = world(tmp_path, env="SHOP_TAG=1\n", disks=nested, state_dir={"path": "/data/state", "services": ["app", "worker"]})
    found = layouts(seen)
    assert isinstance(found["nested"], Held)
    assert isinstance(found["flat"], Held), found["flat"]
    assert isinstance(services(seen)["nested"], Held)
    assert isinstance(agree(seen), Held)


def test_a_service_that_the_flat_overlay_forgot_is_broken_in_that_chain_alone(tmp_path: Path) -> None:
    forgotten = FLAT.replace("  worker:\n    volumes: !override\n      - /data:/data\n      - /data-state:/data-state\n", "")
    seen = world(tmp_path, texts={"flat.yaml": forgotten})
    found = layouts(seen)
    assert isinstance(found["nested"], Held)
    assert isinstance(found["flat"], Broken)
    assert found["flat"].message.startswith("1 of 2 services bind both: worker does not bind /data-state")
    assert isinstance(services(seen)["flat"], Broken)


def test_a_named_volume_that_binds_the_data_directory_is_followed(tmp_path: Path) -> None:
    nested = {**DISKS, "state": {"path": "/data/state", "device": "LABEL=state"}, "layout": "nested", "overlays": {"nested": "bound.yaml"}}
    chains = {"bound": ["compose.yaml", "bound.yaml"]}
    seen = world(tmp_path, env="STATE_DIR=/data/state\n", disks=nested, chains=chains, state_dir={"path": "/data/state"})
    assert isinstance(layouts(seen)["bound"], Held)
    assert isinstance(agree(seen), Held)


def test_a_named_volume_that_hides_the_nested_disk_is_broken(tmp_path: Path) -> None:
    nested = {**DISKS, "state": {"path": "/data/state", "device": "LABEL=state"}, "layout": "nested", "overlays": {"nested": "bound.yaml"}}
    chains = {"bound": ["compose.yaml", "bound.yaml"]}
    texts = {"bound.yaml": BOUND.replace("bind,rbind", "bind")}
    judged = layouts(world(tmp_path, env="STATE_DIR=/data/state\n", texts=texts, disks=nested, chains=chains, state_dir={"path": "/data/state"}))["bound"]
    assert isinstance(judged, Broken)
    assert {detail.kind for detail in judged.details} == {"not-recursive"}


def test_state_in_a_volume_of_the_engine_is_broken_where_no_overlay_says_how_the_disks_lie(tmp_path: Path) -> None:
    plain = {name: disk for name, disk in DISKS.items() if name not in ("layout", "overlays")}
    seen = world(tmp_path, env="STATE_DIR=/data/state\n", disks=plain, chains={"base": ["compose.yaml"]}, state_dir={"path": "/data/state"})
    assert isinstance(services(seen)["base"], Held)
    judged = agree(seen)
    assert isinstance(judged, Broken)
    assert "volume of the engine" in judged.message


def test_both_overlays_are_seen_in_a_site_that_names_no_chains(tmp_path: Path) -> None:
    seen = world(tmp_path)
    site = yaml.safe_load((tmp_path / "interlock.yaml").read_text())
    del site["compose"]["chains"]
    (tmp_path / "interlock.yaml").write_text(yaml.safe_dump(site))
    judged = layouts(replace(seen, site=load_site(tmp_path / "interlock.yaml", {}), memory={}))
    assert isinstance(judged["default"], Broken)
    assert judged["default"].kind == "both-overlays"


def test_a_declared_service_that_no_chain_has_is_broken(tmp_path: Path) -> None:
    judged = services(world(tmp_path, state_dir={"services": ["app", "wroker"]}))["flat"]
    assert isinstance(judged, Broken)
    assert "wroker" in judged.message


def test_a_chain_that_does_not_resolve_cannot_be_looked_at(tmp_path: Path) -> None:
    with pytest.raises(CouldNotLook):
        services(world(tmp_path, texts={"flat.yaml": "services: [\n"}))


def test_the_env_file_of_the_tree_is_resolved_as_compose_reads_it(tmp_path: Path) -> None:
    seen = world(tmp_path, env="D='/data'\nexport STATE_DIR=\"${D}-state/\" # where\n")
    assert isinstance(asked(seen, RESOLVES, judge_resolves, state_dir.variable_seen)["STATE_DIR"], Held)
    assert isinstance(agree(seen), Held)


# ---- two copies of a configuration file


def copies(seen: World) -> Judgement:
    return asked(seen, PRECEDENCE, judge_precedence, state_dir.precedence_seen)["shop"]


def declared(fallback: str) -> dict[str, Any]:
    return {"precedence": {"shop": {"state": "shop.yaml", "fallback": fallback}}}


@pytest.mark.parametrize("fallback", ["/app/config/shop.yaml", "/srv/shop/config/shop.yaml"])
def test_a_read_only_copy_is_found_by_its_path_in_the_container_or_on_the_host(tmp_path: Path, fallback: str) -> None:
    more: dict[str, Any] = {"state_dir": declared(fallback), "instances": {"main": {"directory": "/srv/shop"}}}
    held = copies(world(tmp_path, **more))
    assert isinstance(held, Held)
    assert held.message.startswith("1 service can write")
    broken = copies(world(tmp_path, **more, texts={"flat.yaml": FLAT.replace("/app/config:ro", "/app/config")}))
    assert isinstance(broken, Broken)
    assert [detail.kind for detail in broken.details if detail.kind] == ["fallback-writable"]


def test_a_state_copy_that_cannot_be_written_is_broken(tmp_path: Path) -> None:
    read_only = FLAT.replace("      - /data-state:/data-state\n      - ./config", "      - /data-state:/data-state:ro\n      - ./config")
    judged = copies(world(tmp_path, state_dir=declared("/app/config/shop.yaml"), texts={"flat.yaml": read_only}))
    assert isinstance(judged, Broken)
    assert [detail.kind for detail in judged.details if detail.kind] == ["state-copy-read-only"]


def test_a_copy_whose_directory_nobody_mounts_proves_nothing(tmp_path: Path) -> None:
    elsewhere = {"precedence": {"shop": {"state": "/elsewhere/shop.yaml", "fallback": "/app/config/shop.yaml"}}}
    assert isinstance(copies(world(tmp_path, state_dir=elsewhere)), Unproven)


def test_another_directory_at_the_same_path_is_no_copy(tmp_path: Path) -> None:
    other = FLAT.replace("      - caddy_data:/data\n", "      - /srv/static:/data-state:ro\n      - ./config:/app/config:ro\n")
    assert isinstance(copies(world(tmp_path, state_dir=declared("/app/config/shop.yaml"), texts={"flat.yaml": other})), Held)
