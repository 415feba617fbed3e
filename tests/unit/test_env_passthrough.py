"""Settings that never reach the service that reads them, and settings that nothing reads: judged in small trees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.commands.scan import site_of_tree
from interlock.facts.env_passthrough import read_by_file, read_in_image, spellings
from interlock.judge.env import judge_passthrough
from interlock.observe.env_passthrough import passthrough
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Held, Subject, When
from tests.strategies import substitution_texts

TWINS = """\
services:
  api:
    image: registry.example.org/shop:1
    environment: {{QUEUE_URL: "${{QUEUE_URL:-}}"}}
    volumes: ["./settings:/etc/shop:ro"]
  sweeper:
    image: {image}
    volumes: ["./settings:/etc/shop:ro"]
{more}"""


def judged(folder: Path, **files: str) -> list[tuple[str, str]]:
    for name, text in {"run.sh": "#!/bin/sh\necho up\n", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    world = World(site=site_of_tree(folder), gates=frozenset({When.STATIC}), tree=Tree(folder, patient=True), hosts={}, environ=os.environ)
    found = judge_passthrough(passthrough(world, Subject(name="scripts")))
    assert isinstance(found, Broken | Held), found
    return [(detail.what, detail.kind) for detail in found.details]


def twins(image: str = "registry.example.org/shop:1", more: str = "") -> str:
    return TWINS.format(image=image, more=more)


LACKS = [("sweeper: QUEUE_URL", "not-handed-over")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("shop.yml", "queue:\n  url: ${QUEUE_URL}\n"),
        ("shop.example.toml", 'url = "${QUEUE_URL}"\n'),
        ("shop.py", 'URL = os.environ["QUEUE_URL"]\n'),
        ("shop.py", "URL = os.getenv('QUEUE_URL')\n"),
        ("shop.rb", "url ENV.fetch('QUEUE_URL')\n"),
        ("shop.php", "$url = getenv('QUEUE_URL');\n"),
        ("Caddyfile.json", '{"to": "{{ env "QUEUE_URL" }}"}\n'),
    ],
)
def test_a_twin_that_mounts_the_same_settings_is_given_the_same_variables(tmp_path: Path, name: str, text: str) -> None:
    assert judged(tmp_path, **{"compose.yaml": twins(), f"settings/{name}": text}) == LACKS


@pytest.mark.parametrize(
    ("compose", "text"),
    [
        (twins(more="    environment: [QUEUE_URL]\n"), "url: ${QUEUE_URL}\n"),
        (twins(more="    env_file: shop.env\n"), "url: ${QUEUE_URL}\n"),
        (twins(image="registry.example.org/other:1"), "url: ${QUEUE_URL}\n"),
        (twins(), "url: ${QUEUE_URL:-amqp://queue}\n"),
        (twins(), "# url: ${QUEUE_URL}\n"),
        (twins(), "url: $${QUEUE_URL}\n"),
    ],
)
def test_what_is_given_has_a_default_or_belongs_to_another_program_is_left_alone(tmp_path: Path, compose: str, text: str) -> None:
    assert judged(tmp_path, **{"compose.yaml": compose, "settings/shop.yml": text}) == []


def test_settings_that_are_looked_up_and_handed_to_nobody_are_found_where_others_of_the_file_are_handed_over(tmp_path: Path) -> None:
    program = 'QUEUE = env("QUEUE_URL")\nMAIL = env("MAIL_HOST")\nKEY = env("SIGNING_KEY")\nSIZE = env("PAGE_SIZE", 20)\n'
    compose = (
        "services:\n  api:\n    image: shop:1\n    environment: [QUEUE_URL, MAIL_HOST]\n"
        "    volumes: ['./settings:/etc/shop']\n  web:\n    image: shop:1\n    environment: [QUEUE_URL, MAIL_HOST]\n    volumes: ['./settings:/etc/shop']\n"
    )
    assert judged(tmp_path, **{"compose.yaml": compose, "settings/conf.example.py": program}) == [("api: SIGNING_KEY", "not-handed-over")]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("command: sh -c 'drain $$QUEUE_URL'", LACKS),
        ("healthcheck: {test: 'ping $${QUEUE_URL}'}", LACKS),
        ("entrypoint: [sh, -c, 'exec drain \"$$QUEUE_URL\"']", LACKS),
        ("command: sh -c 'drain $${QUEUE_URL:-local}'", []),
        ("command: sh -c 'QUEUE_URL=local; drain $$QUEUE_URL'", []),
        ("command: sh -c 'drain $$OTHER_URL'", []),
        ("command: sh -c 'drain ${QUEUE_URL:-}'", []),
    ],
)
def test_a_command_that_reads_a_variable_is_given_it(tmp_path: Path, line: str, found: list[tuple[str, str]]) -> None:
    assert judged(tmp_path, **{"compose.yaml": twins("registry.example.org/drain:1", f"    {line}\n")}) == found


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("entrypoint.sh", '#!/bin/sh\n[ "$QUEUE_URL" ] || exit 1\n', LACKS),
        ("defaults/sweeper.conf", 'url = "{{ .Env.QUEUE_URL | default "" }}"\n', LACKS),
        ("entrypoint.sh", "#!/bin/sh\nQUEUE_URL=${QUEUE_URL:-local}\ndrain $QUEUE_URL\n", []),
        ("entrypoint.sh", "#!/bin/sh\n# $QUEUE_URL is for others\n", []),
        ("notes.txt", "$QUEUE_URL is for others\n", []),
    ],
)
def test_what_an_image_of_the_tree_reads_is_handed_to_its_service(tmp_path: Path, path: str, text: str, found: list[tuple[str, str]]) -> None:
    files = {"compose.yaml": twins("registry.example.org/sweeper:1"), "sweeper/Dockerfile": "FROM scratch\nCOPY . /\n", f"sweeper/{path}": text}
    assert judged(tmp_path, **files) == found


OFFERED = "services: {app: {image: 'app:${APP_TAG:-1}', environment: [MAIL_HOST, 'MAIL_FROM=${MAIL_FROM:-}']}}\n"
EXAMPLE = "APP_TAG=1\nMAIL_HOST=localhost\nMAIL_FROM=root\nLIMIT_OF_ROWS=10\n#OLD_LIMIT_OF_ROWS=5\n"


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({}, [("LIMIT_OF_ROWS in .env.example", "nothing-reads")]),
        ({"README.md": "Set LIMIT_OF_ROWS.\n"}, [("LIMIT_OF_ROWS in .env.example", "nothing-reads")]),
        ({"report.sh": "#!/bin/sh\necho $LIMIT_OF_ROWS\n"}, []),
        ({"app/settings.py": "class Settings(Base):\n    limit_of_rows: int\n"}, []),
        ({"app/settings.js": "const { limitOfRows } = config\n"}, []),
        ({"worker.yml": "services: {worker: {image: worker, env_file: .env}}\n"}, []),
    ],
)
def test_a_setting_that_is_offered_is_read_by_something(tmp_path: Path, more: dict[str, str], found: list[tuple[str, str]]) -> None:
    compose = OFFERED.replace("[MAIL_HOST,", "['MAIL_HOST=${MAIL_HOST:-}',")
    assert judged(tmp_path, **{"compose.yaml": compose, ".env.example": EXAMPLE, **more}) == found


def test_a_setting_that_only_an_image_reads_reaches_nobody(tmp_path: Path) -> None:
    compose = OFFERED.replace("[MAIL_HOST,", "['MAIL_HOST=${MAIL_HOST:-}',")
    files = {"app/Dockerfile": "FROM scratch\n", "app/start.sh": "#!/bin/sh\nrun --limit $LIMIT_OF_ROWS\n"}
    assert judged(tmp_path, **{"compose.yaml": compose, ".env.example": EXAMPLE, **files}) == [("LIMIT_OF_ROWS in .env.example", "reaches-nobody")]


@given(text=st.one_of(st.text(), substitution_texts()))
def test_no_text_is_too_odd_to_be_read(text: str) -> None:
    for path in ("a.py", "a.yml", "a.sh", "a"):
        assert all(text.split("\n")[one.line - 1].count(one.name) for one in (*read_by_file(path, text), *read_in_image(path, text)))


def test_a_name_is_known_in_small_letters_and_without_its_prefix() -> None:
    assert {"shop_page_size", "page_size", "pagesize", "page.size"} <= spellings("SHOP_PAGE_SIZE")
    assert "size" not in spellings("SHOP_PAGE_SIZE")
