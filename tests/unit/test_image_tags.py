"""References of images, and tags that do not reach them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.commands.scan import site_of_tree
from interlock.facts.env import Scalar
from interlock.facts.image_tags import image_text
from interlock.judge.templates import judge_image_tag
from interlock.observe.image_tags import see
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Held, Subject, Unproven, When


def malformed(image: str) -> bool:
    return image_text(Scalar(file="compose.yaml", line=1, text=image), "app").is_malformed


@pytest.mark.parametrize(
    "image",
    [
        "app",
        "app:1",
        "registry.example.org:5000/team/app:1.2-rc.1_x",
        "localhost:5000/app",
        "Registry.example.org/app:1",
        f"app@sha256:{'a' * 64}",
        f"app:1@sha256:{'a' * 64}",
        "app:${TAG:-stable}",
        "app:${TAG}",
        "${REGISTRY:-ghcr.io/team}/app:${TAG:-${OTHER:-1}}",
        "$IMAGE",
        "${IMAGE:-team/app:1}",
        "app:{{ version }}",
        "app:<tag>",
        "a__b/c--d:1",
    ],
)
def test_an_image_that_a_registry_may_have(image: str) -> None:
    assert not malformed(image)


@pytest.mark.parametrize(
    "image", ["app:1:latest", "Team/App:1", "app:", "app:${TAG:-}", "app: 1", "app:${TAG:-:1}", "app::1", "app/:1", "app:-1", "app@sha256:abc"]
)
def test_an_image_that_none_can_have(image: str) -> None:
    assert malformed(image)


@given(st.text(max_size=40))
def test_any_text_is_an_image_or_none(text: str) -> None:
    image_text(Scalar(file="compose.yaml", line=1, text=text), "app")


def judged(tmp_path: Path, **files: str) -> Held | Broken | Unproven:
    compose = "services:\n  app:\n    image: team/ledger:${LEDGER_TAG:-stable}\n"
    for name, text in {"compose.yaml": compose, **files}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    world = World(site=site_of_tree(tmp_path), gates=frozenset({When.STATIC}), tree=Tree(tmp_path, patient=True), hosts={}, environ=os.environ)
    return judge_image_tag(see(world, Subject(name="compose files")))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".env.example", "A=1\nLEDGER_VERSION=2.1\n"),
        ("upgrade.sh", '#!/bin/sh\nexport LEDGER_IMAGE_TAG="$1"\ndocker compose up -d\n'),
        ("upgrade.sh", '#!/bin/sh\nLEDGER_VERSION="$1" docker compose up -d\n'),
        ("upgrade.sh", '#!/bin/sh\nsed -i "s/^LEDGER_VERSION=.*/LEDGER_VERSION=$1/" .env\n'),
        ("env.template", "IMAGE_TAG=2.1\n"),
    ],
)
def test_a_tag_that_is_set_under_another_name(tmp_path: Path, name: str, text: str) -> None:
    found = judged(tmp_path, **{name: text})
    assert isinstance(found, Broken)
    assert [(detail.kind, detail.file) for detail in found.details] == [("tag-unread", name)]


@pytest.mark.parametrize(
    "files",
    [
        {".env.example": "LEDGER_TAG=2.1\n"},
        {".env.example": "LEDGER_VERSION=2.1\nLEDGER_TAG=2.1\n"},
        {".env.example": "LEDGER_VERSION=2.1\n", "deploy.sh": '#!/bin/sh\necho "LEDGER_TAG=$LEDGER_VERSION" > .env\n'},
        {".env.example": "LEDGER_VERSION=2.1\n", "app.py": "os.environ['LEDGER_VERSION']\n"},
        {".env.example": "POSTGRES_VERSION=17\n"},
        {"build.sh": "#!/bin/sh\nLEDGER_VERSION=$(cat VERSION)\ndocker build -t x:$LEDGER_VERSION .\n"},
        {},
    ],
)
def test_a_tag_that_reaches_its_image_or_is_none_of_it(tmp_path: Path, files: dict[str, str]) -> None:
    assert isinstance(judged(tmp_path, **files), Held)
