"""Does what starts a stack make its env files first? Judged in small trees, in the many ways in which a job can do it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given

from interlock.commands.scan import site_of_tree
from interlock.facts.env_paths import Values
from interlock.facts.env_presence import Presence
from interlock.facts.shell import parse
from interlock.facts.workflows import Step
from interlock.judge.env import judge_presence
from interlock.observe.env_presence import starts
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Held, Subject, When
from tests.strategies import shell_texts

STACK = "services:\n  app:\n    image: app\n    env_file: .env\n  mail:\n    image: mail\n    profiles: [mail]\n    env_file: [mail.env]\n"


def lacking(folder: Path, **files: str) -> list[tuple[str, str]]:
    for name, text in {"compose.yaml": STACK, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    world = World(site=site_of_tree(folder), gates=frozenset({When.STATIC}), tree=Tree(folder, patient=True), hosts={}, environ=os.environ)
    judged = judge_presence(starts(world, Subject(name="scripts")))
    assert isinstance(judged, Broken | Held)
    return [(detail.what.rpartition(": ")[2], detail.kind) for detail in judged.details]


def workflow(*steps: str, checkout: str = "- uses: actions/checkout@v5") -> dict[str, str]:
    head = "on: push\njobs:\n  smoke:\n    runs-on: ubuntu-latest\n    steps:\n"
    return {".github/workflows/smoke.yml": head + "".join(f"      {line}\n" for step in (checkout, *steps) for line in step.split("\n"))}


def run(text: str) -> str:
    return "- run: |\n" + "\n".join(f"    {line}" for line in text.split("\n"))


@pytest.mark.parametrize(
    "start",
    [
        "docker compose up -d",
        "docker-compose up --wait app",
        "docker compose -f compose.yaml run --rm app true",
        "docker compose config -q",
        "sudo docker compose create",
        "timeout 60 docker compose up -d",
        "COMPOSE_FILE=compose.yaml docker compose up",
        "export COMPOSE_FILE=compose.yaml\ndocker compose up",
        'DC="docker compose -f compose.yaml"\n$DC up -d',
        "start() {\n  docker compose up -d\n}\nstart",
        "if ! docker compose up -d; then exit 1; fi",
        "bash -c 'docker compose up -d'",
        'docker compose -f "$GITHUB_WORKSPACE/compose.yaml" up -d',
        "docker compose up -d\ncp .env.example .env",
        "cat .env || true\ndocker compose up -d",
        "test -f .env\ndocker compose up -d",
        "cp config/.env.example config/.env\ndocker compose up -d",
        "echo 'A=1' > other.env\ndocker compose up -d",
    ],
)
def test_a_job_that_starts_the_stack_without_its_env_file_is_broken(tmp_path: Path, start: str) -> None:
    assert lacking(tmp_path, **workflow(run(start))) == [(".env", "env-file")]


@pytest.mark.parametrize(
    "before",
    [
        "touch .env",
        "cp .env.example .env",
        "test -f .env || cp .env.example .env",
        "[ -f .env ] || touch .env",
        "if [ ! -e .env ]; then cp config/ci.env .env; fi",
        "cat > .env <<EOF\nA=1\nEOF",
        "cat <<'EOF' > \"$GITHUB_WORKSPACE/.env\"\nA=1\nEOF",
        "echo A=1 | tee -a .env",
        "printf 'A=%s\\n' 1 >> ./.env",
        "envsubst < template > .env",
        "sed s/x/y/ .env.example > .env",
        'ENV_FILE=.env\ncp .env.example "$ENV_FILE"',
        "make_env() { echo A=1 > .env; }\nmake_env",
        "ln -s ci.env .env",
        "install -m 600 ci.env .env",
        "cp ci/.env .",
        "cp -r ci/. .",
        "vault kv get -format=json secret/ci",
        "python generate.py",
        "npm run setup",
        "bash -c 'echo A=1 > .env'",
        "./setup.sh",
        "make env",
        "cd ops\n./prepare\ncd ..",
    ],
)
def test_a_job_that_makes_it_before_in_any_way_holds(tmp_path: Path, before: str) -> None:
    scripts = {
        "setup.sh": '#!/bin/sh\ncd "$(dirname "$0")"\ncp .env.example .env\n',
        "ops/prepare": "#!/bin/sh\ntouch ../.env\n",
        "Makefile": "env: .env\n.env:\n\ttouch .env\n",
    }
    assert lacking(tmp_path, **scripts, **workflow(run(before), run("docker compose up -d"))) == []


def test_the_order_of_the_steps_counts(tmp_path: Path) -> None:
    assert lacking(tmp_path, **workflow(run("docker compose up -d"), run("touch .env"))) == [(".env", "env-file")]


@pytest.mark.parametrize(
    "step",
    [
        "- uses: SpicyPizza/create-envfile@v2\n  with: {file_name: .env}",
        "- uses: actions/download-artifact@v4\n  with: {name: env}",
        "- uses: ./.github/actions/setup",
        "- run: touch .env\n  working-directory: .",
    ],
)
def test_an_action_may_make_it(tmp_path: Path, step: str) -> None:
    action = {".github/actions/setup/action.yml": "runs:\n  using: composite\n  steps:\n    - run: touch .env\n      shell: bash\n"}
    assert lacking(tmp_path, **action, **workflow(step, run("docker compose up -d"))) == []


def test_an_action_of_the_tree_is_followed(tmp_path: Path) -> None:
    action = {".github/actions/up/action.yml": "runs:\n  using: composite\n  steps:\n    - run: docker compose up -d\n      shell: bash\n"}
    assert lacking(tmp_path, **action, **workflow("- uses: ./.github/actions/up")) == [(".env", "env-file")]


def test_an_action_that_starts_stacks_counts(tmp_path: Path) -> None:
    step = "- uses: hoverkraft-tech/compose-action@v2\n  with:\n    compose-file: compose.yaml"
    assert lacking(tmp_path, **workflow(step)) == [(".env", "env-file")]


def test_a_script_or_make_target_that_starts_the_stack_is_followed(tmp_path: Path) -> None:
    files = {"ci/up.sh": "#!/bin/bash\ncd ..\ndocker compose up -d\n", "Makefile": "up: build\n\tdocker compose up -d\nbuild:\n\techo built\n"}
    assert lacking(tmp_path, **files, **workflow(run("cd ci\n./up.sh"))) == [(".env", "env-file")]
    assert lacking(tmp_path, **files, **workflow(run("make up"))) == [(".env", "env-file")]
    assert lacking(tmp_path, **{**files, "Makefile": files["Makefile"].replace("echo built", "touch .env")}, **workflow(run("make up"))) == []


def test_a_folder_of_its_own_has_an_env_file_of_its_own(tmp_path: Path) -> None:
    files = {"deploy/compose.yaml": STACK}
    assert lacking(tmp_path, **files, **workflow("- run: docker compose up -d\n  working-directory: deploy")) == [("deploy/.env", "env-file")]
    assert lacking(tmp_path, **files, **workflow(run("touch .env\ncd deploy && docker compose up -d"))) == [("deploy/.env", "env-file")]
    assert lacking(tmp_path, **files, **workflow(run("touch deploy/.env\ndocker compose -f deploy/compose.yaml up -d"))) == []


def test_services_of_a_profile_count_when_it_is_on_or_they_are_named(tmp_path: Path) -> None:
    assert lacking(tmp_path, **workflow(run("touch .env\ndocker compose up -d"))) == []
    assert lacking(tmp_path, **workflow(run("touch .env\ndocker compose --profile mail up -d"))) == [("mail.env", "env-file")]
    assert lacking(tmp_path, **workflow(run("touch .env\ndocker compose up -d mail"))) == [("mail.env", "env-file")]


def test_only_what_is_named_and_what_it_waits_for_is_started(tmp_path: Path) -> None:
    stack = "services:\n  web: {image: w, depends_on: [db]}\n  db: {image: d, env_file: db.env}\n  job: {image: j, env_file: job.env}\n"
    assert lacking(tmp_path, **{"compose.yaml": stack}, **workflow(run("docker compose up -d web"))) == [("db.env", "env-file")]


@pytest.mark.parametrize("required", ["{path: .env, required: false}", "{path: ./.env, required: false, format: raw}"])
def test_what_is_not_required_need_not_be_there(tmp_path: Path, required: str) -> None:
    assert lacking(tmp_path, **{"compose.yaml": f"services: {{app: {{image: x, env_file: [{required}]}}}}"}, **workflow(run("docker compose up"))) == []


def test_what_the_tree_holds_is_there(tmp_path: Path) -> None:
    assert lacking(tmp_path, **{".env": "A=1\n"}, **workflow(run("docker compose up"))) == []


def test_the_env_file_of_the_command_line_must_be_there(tmp_path: Path) -> None:
    stack = {"compose.yaml": "services: {app: {image: x}}"}
    assert lacking(tmp_path, **stack, **workflow(run("docker compose --env-file ci.env up"))) == [("ci.env", "env-file-option")]
    assert lacking(tmp_path, **stack, **workflow(run("echo A=1 > ci.env\ndocker compose --env-file ci.env up"))) == []


def test_a_variable_that_must_have_a_value_gets_it_from_somewhere(tmp_path: Path) -> None:
    stack = {"compose.yaml": "services: {app: {image: 'x:${TAG:?which one}'}}"}
    assert lacking(tmp_path, **stack, **workflow(run("docker compose up"))) == [(".env", "required-variable")]
    for step in (
        "export TAG=1\ndocker compose up",
        "TAG=1 docker compose up",
        "echo TAG=1 > .env\ndocker compose up",
    ):
        assert lacking(tmp_path, **stack, **workflow(run(step))) == []
    assert lacking(tmp_path, **stack, **workflow("- run: docker compose up\n  env: {TAG: '1'}")) == []
    assert lacking(tmp_path, **stack, **workflow(run('echo "TAG=1" >> $GITHUB_ENV'), run("docker compose up"))) == []


@pytest.mark.parametrize(
    "looks", ["docker compose down -v", "docker compose config --services", "docker compose logs", "docker compose version", "echo docker compose up"]
)
def test_what_starts_nothing_needs_nothing(tmp_path: Path, looks: str) -> None:
    assert lacking(tmp_path, **workflow(run(looks))) == []


def test_a_job_without_a_checkout_and_one_that_is_elsewhere_are_not_about_this_tree(tmp_path: Path) -> None:
    assert lacking(tmp_path, **workflow(run("docker compose up"), checkout="- run: echo nothing")) == []
    assert lacking(tmp_path, **workflow(run("cd /srv/app && docker compose up"))) == []
    assert lacking(tmp_path, **workflow(run("ssh host.example.org 'cd app && docker compose up'"))) == []


def test_a_script_that_sets_up_a_fresh_machine_has_no_operator_to_write_the_file(tmp_path: Path) -> None:
    script = "#!/bin/bash\ngit clone https://example.org/app.git /srv/app\ncd /srv/app\ndocker compose up -d\n"
    assert lacking(tmp_path, **{"provision.sh": script}) == [(".env", "env-file")]
    assert lacking(tmp_path, **{"provision.sh": script.replace("docker compose", "cp .env.example .env\ndocker compose")}) == []
    assert lacking(tmp_path, **{"provision.sh": script.replace("docker compose", "nano .env\ndocker compose")}) == []


def test_a_script_that_an_operator_runs_beside_an_env_file_of_his_own_is_not_judged(tmp_path: Path) -> None:
    assert lacking(tmp_path, **{"start.sh": "#!/bin/sh\ndocker compose up -d\n"}) == []


class NoFiles:
    def text(self, path: str) -> str | None:
        return None

    def called(self, name: str) -> list[str]:
        return []


@given(shell_texts())
def test_any_script_can_be_walked(data: bytes) -> None:
    script = parse(data)
    list(Presence(NoFiles()).script("x.sh", script.statements, Values.of(script)))
    list(Presence(NoFiles()).job([Step(number=1, name="", line=1, run=data.decode("utf-8", "replace"))], file="f", where="f: j", environment={}))
