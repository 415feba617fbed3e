"""Which compose files a text starts together, and which a tree does."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.facts.chains import FoundChain, Source, mentions
from interlock.observe.chains import compose_files, discover_chains
from interlock.observe.tree import Tree


def named(text: str) -> list[tuple[str, ...]]:
    return [mention.files for mention in mentions(text)]


@pytest.mark.parametrize(
    "text",
    [
        "docker compose -f a.yml -f b.yml up -d",
        "docker-compose --file a.yml --file=b.yml config",
        "sudo docker compose --env-file /opt/app/.env -f a.yml --profile tls -f b.yml up",
        "docker compose \\\n  -f a.yml \\\n  -f b.yml \\\n  up -d\n",
        "#   docker compose \\\n#     -f a.yml \\\n#     -f b.yml up\n",
        "Run `docker compose -f a.yml -f b.yml up`, then wait.",
        'exec("docker", ["compose", "-f", "a.yml", "-f", "b.yml"])',
        'docker=("docker" "compose" \\\n  "-f" "a.yml" \\\n  "-f" "b.yml")',
        "FILES=(\n  -f a.yml\n  -f b.yml\n)\n",
        "export COMPOSE_FILE=a.yml:b.yml",
        'COMPOSE_FILE="a.yml:b.yml"  # both',
        "      COMPOSE_FILE: a.yml:b.yml",
        "Environment=COMPOSE_FILE=a.yml:b.yml",
        "ENV COMPOSE_FILE=a.yml;b.yml",
        'COMPOSE_FILE="${COMPOSE_FILE:-a.yml:b.yml}"',
        "LOCAL := -f a.yml -f b.yml\nup:\n\tdocker compose $(LOCAL) up\n",
        'base="docker compose -f a.yml"\n$base -f b.yml up\n',
        'FILES=(-f a.yml)\ndocker compose "${FILES[@]}" -f b.yml up\n',
        "      - run: docker compose -f a.yml -f b.yml up",
    ],
)
def test_files_that_a_text_starts_together_are_found_in_their_order(text: str) -> None:
    assert named(text) == [("a.yml", "b.yml")]


@pytest.mark.parametrize(
    "text",
    [
        "docker compose logs -f app.yml",
        "rm -f docker-compose.yml",
        "[ -f a.yml ] && [ -f b.yml ]",
        "if [ -f a.yml -a -f b.yml ]; then",
        "kubectl apply -f a.yml",
        "- ./a.yml:/etc/b.yml:ro",
        "the files a.yml:b.yml belong together",
        'list="a.yml:b.yml"\nif tls; then list="$list:c.yml"; fi\n',
        "docker compose $OPTIONS -f a.yml -f b.yml up",
        "docker compose -f $FILE -f b.yml up",
        "COMPOSE_FILE=$BASE:b.yml",
        "FILES=(-f a.yml -f b.yml)\nFILES+=( -f c.yml -f d.yml )\ndocker compose ${FILES[@]} up\n",
        "FILES = -f a.yml -f b.yml\nFILES += -f c.yml -f d.yml\n",
        'check "backend=$BACKEND lacks a.yml: append a.yml:b.yml to COMPOSE_FILE"',
    ],
)
def test_what_is_no_chain_or_is_not_said_to_its_end_is_left_out(text: str) -> None:
    assert named(text) == []


def test_one_file_is_a_chain_where_docker_compose_is_told_so() -> None:
    assert named("docker compose -f deploy/a.yml up") == [("deploy/a.yml",)]
    assert named("COMPOSE_FILE=a.yml") == [("a.yml",)]


def test_a_mention_has_its_line_and_its_env_files() -> None:
    (mention,) = mentions("set -e\n\nsudo docker compose --env-file prod.env \\\n  -f a.yml -f b.yml up\n")
    assert (mention.line, mention.env_files) == (3, ("prod.env",))


@pytest.mark.parametrize(
    ("before", "env_files"),
    [
        ("export COMPOSE_ENV_FILES=env/main.env,env/local.env", ("env/main.env", "env/local.env")),
        ('COMPOSE_ENV_FILES="main.env"', ("main.env",)),
        ("      COMPOSE_ENV_FILES: main.env,local.env", ("main.env", "local.env")),
        ("Environment=COMPOSE_ENV_FILES=main.env,", ("main.env",)),
        ("COMPOSE_ENV_FILES=a.env\nCOMPOSE_ENV_FILES=b.env", ()),
        ("echo $COMPOSE_ENV_FILES", ()),
        ("COMPOSE_ENV_FILES=", ()),
    ],
)
def test_the_env_files_that_the_shell_names_are_those_of_a_chain_without_its_own(before: str, env_files: tuple[str, ...]) -> None:
    (mention,) = mentions(f"{before}\ndocker compose -f a.yml up\n")
    assert mention.env_files == env_files
    (own,) = mentions(f"{before}\ndocker compose --env-file own.env -f a.yml up\n")
    assert own.env_files == ("own.env",)


def test_an_env_file_that_names_env_files_names_them_in_vain() -> None:
    (mention,) = mentions("COMPOSE_FILE=a.yml:b.yml\nCOMPOSE_ENV_FILES=main.env\n", env_file=True)
    assert mention.env_files == ()


@given(st.text(alphabet="dockermps-f .yaml:=$(){}[]\"'\\\n#|&;COMPSE_FIL", max_size=200))
def test_any_text_is_read(text: str) -> None:
    for mention in mentions(text):
        assert mention.files
        assert 1 <= mention.line <= text.count("\n") + 1


FILE_NAMES = st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,5})?\.ya?ml", fullmatch=True)


@given(st.lists(FILE_NAMES, min_size=2, max_size=5), st.booleans())
def test_what_is_written_as_a_command_or_a_list_is_read_back(files: list[str], as_list: bool) -> None:
    text = f"COMPOSE_FILE={':'.join(files)}\n" if as_list else f"docker compose {' '.join(f'-f {file}' for file in files)} up\n"
    assert named(text) == [tuple(files)]


# ---- trees

STACK = "services: {app: {image: x}}\n"
OVERLAY = "services: {app: {restart: always}}\n"


def tree(folder: Path, **files: str) -> tuple[FoundChain, ...]:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_yml", ".yml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = Tree(folder, patient=True)
    return discover_chains(found, compose_files(found))


def test_a_chain_knows_every_place_that_names_it(tmp_path: Path) -> None:
    chain, alone = tree(
        tmp_path,
        compose_yml=STACK,
        **{"compose.prod_yml": OVERLAY, "Makefile": "up:\n\tdocker compose -f compose.yml -f compose.prod.yml up\n"},
        **{"README.md": "    docker compose -f compose.yml -f compose.prod.yml up\n", ".env.example": "COMPOSE_FILE=compose.yml:compose.prod.yml\n"},
    )
    assert (chain.name, chain.files) == ("prod", ("compose.yml", "compose.prod.yml"))
    assert chain.source == (Source(".env.example", 1), Source("Makefile", 2), Source("README.md", 1))
    assert (alone.name, alone.files, alone.source) == ("default", ("compose.yml",), (Source("compose.yml", 1),))


def test_an_override_is_loaded_with_its_base(tmp_path: Path) -> None:
    (chain,) = tree(tmp_path, **{"docker-compose_yml": STACK, "docker-compose.override_yml": OVERLAY})
    assert (chain.name, chain.files) == ("default", ("docker-compose.yml", "docker-compose.override.yml"))


def test_an_overlay_that_nobody_names_goes_on_the_base_that_has_its_services(tmp_path: Path) -> None:
    default, debug = tree(tmp_path, compose_yml=STACK, **{"compose.debug_yml": OVERLAY, "compose.mail_yml": "services: {mail: {restart: always}}\n"})
    assert default.files == ("compose.yml",)
    assert debug.files == ("compose.yml", "compose.debug.yml")


@pytest.mark.parametrize(
    "text",
    [
        "services: {a: {image: x, depends_on: [b]}}\n",
        "services: {a: {image: x, volumes: ['sites:/sites']}}\n",
        "services: {a: {image: x, networks: {front: {}}}}\n",
        "services: {a: {environment: {A: b}}}\n",
        "volumes: {a: {}}\n",
    ],
)
def test_a_part_of_a_stack_that_nobody_names_is_not_judged_alone(tmp_path: Path, text: str) -> None:
    assert tree(tmp_path, **{"overrides__compose.part_yml": text}) == ()


def test_a_stack_of_one_file_is_a_chain(tmp_path: Path) -> None:
    text = (
        "services: {a: {image: x, volumes: ['sites:/sites', './b:/b']}, b: {build: ., depends_on: {a: {condition: service_started}}}}\nvolumes: {sites: {}}\n"
    )
    (chain,) = tree(tmp_path, **{"stacks__compose.mail_yml": text})
    assert (chain.name, chain.files) == ("stacks-mail", ("stacks/compose.mail.yml",))


@pytest.mark.parametrize("folder", ["tests", "vendor/x", "testdata", "e2e"])
def test_tests_and_the_code_of_others_are_no_stacks(tmp_path: Path, folder: str) -> None:
    assert tree(tmp_path, **{f"{folder}__compose_yml": STACK}) == ()


@pytest.mark.parametrize("path", ["CHANGELOG.md", "docs/plans/next.md", "docs/adr/0001.md"])
def test_what_was_once_or_may_be_some_day_names_no_chain(tmp_path: Path, path: str) -> None:
    chains = tree(
        tmp_path,
        compose_yml=STACK,
        **{"compose.new_yml": "services: {new: {restart: always}}\n", path: "docker compose -f compose.yml -f compose.new.yml up\n"},
    )
    assert [chain.files for chain in chains] == [("compose.yml",)]


def test_a_chain_with_a_file_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    chains = tree(tmp_path, compose_yml=STACK, **{"run.sh": "docker compose -f compose.yml -f compose.generated.yml up\n"})
    assert [chain.files for chain in chains] == [("compose.yml",)]


@pytest.mark.parametrize(
    "command",
    [
        'docker compose -f "$DIR/base.yml" -f "$DIR/over.yml" up',
        "docker compose -f /opt/app/base.yml -f /opt/app/over.yml up",
        'COMPOSE_FILE="${DIR}/base.yml:${DIR}/over.yml"',
        "docker compose -f ./base.yml -f over.yml up",
    ],
)
def test_paths_are_taken_from_where_the_text_lies(tmp_path: Path, command: str) -> None:
    files = {"deploy__compose.base_yml": STACK, "deploy__compose.over_yml": OVERLAY}
    written = command.replace("base.yml", "compose.base.yml").replace("over.yml", "compose.over.yml")
    chains = tree(tmp_path, **files, **{"deploy__run.sh": f"#!/bin/sh\n{written}\n"})
    assert chains[0].files == ("deploy/compose.base.yml", "deploy/compose.over.yml")
    assert chains[0].source == (Source("deploy/run.sh", 2),)


def test_a_folder_that_is_still_to_be_rendered_holds_no_compose_files(tmp_path: Path) -> None:
    assert tree(tmp_path, **{"{{cookiecutter.project_slug}}__compose_yml": STACK}) == ()


def test_an_env_file_that_is_there_belongs_to_the_chain(tmp_path: Path) -> None:
    command = "docker compose --env-file prod.env --env-file /etc/secret.env -f compose.yml up\n"
    (chain,) = tree(tmp_path, compose_yml=STACK, **{"prod.env": "A=1\n", "run.sh": command})
    assert chain.env_files == ("prod.env",)


def test_no_two_chains_have_one_name(tmp_path: Path) -> None:
    commands = "docker compose -f compose.yml -f compose.prod.yml up\ndocker compose -f compose.yml -f prod.compose.yml up\n"
    chains = tree(tmp_path, compose_yml=STACK, **{"compose.prod_yml": OVERLAY, "prod.compose_yml": OVERLAY, "run.sh": commands})
    assert sorted(chain.name for chain in chains) == ["default", "prod", "prod-2"]
