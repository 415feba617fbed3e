"""Does every kind of finding in scripts come up where it should, and nowhere else? Deletions, names and paths of one host, syntax; and their sentences."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config.models import Scripts, Site
from interlock.facts.commandlines import CommandLines, engine_words
from interlock.facts.destruction import Loss, destructions
from interlock.facts.host_literals import Project, engine_roots, made_names, name_filters, project_names, sets_project
from interlock.facts.programs import Unreadable
from interlock.facts.scripts import Refusal, Shell, SyntaxSeen, is_template, refusal_of, shell_of, until_it_ends
from interlock.facts.shell import parse
from interlock.judge import scripts as judge
from interlock.observe import scripts as observed
from interlock.observe.shell_syntax import syntax_seen
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Held, Outcome, Subject, Unproven, When
from tests.strategies import shell_texts

ALL = Subject(name="scripts")


def world_of(folder: Path, files: Mapping[str, str], environ: Mapping[str, str] | None = None) -> World:
    """A tree with these files."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, newline="")
    site = Site.model_construct(scripts=Scripts.model_construct(files=(), found=True))
    return World(site=site, gates=frozenset({When.STATIC}), tree=Tree(folder, patient=True), hosts={}, environ=os.environ if environ is None else environ)


# ---- what a command runs


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        ("sudo -u postgres pg_dump shop", ("pg_dump", "shop")),
        ("timeout 60 nice -n 19 tar czf x y", ("tar", "czf", "x", "y")),
        ("docker exec -i db pg_dump shop", ("pg_dump", "shop")),
        ("docker compose -f a.yml exec -T -u postgres db pg_dump shop", ("pg_dump", "shop")),
        ("docker run --rm -v a:/a --sysctl x=1 alpine rm -rf /a", ("rm", "-rf", "/a")),
        ("kubectl exec -n shop db-0 -- pg_dump shop", ("pg_dump", "shop")),
        ('DC="docker compose -f a.yml"\n$DC down -v', ("docker", "compose", "-f", "a.yml", "down", "-v")),
        ('DC=(docker compose -f a.yml)\n"${DC[@]}" down -v', ("docker", "compose", "-f", "a.yml", "down", "-v")),
        ('E=podman\nrm_it="$E volume rm"\n$rm_it x', ("podman", "volume", "rm", "x")),
        ('D=$(command -v docker)\n"$D" volume rm x', ("docker", "volume", "rm", "x")),
        ("${DOCKER:-docker} volume rm x", ("docker", "volume", "rm", "x")),
        ("x=a\nx=b\nrm $x", ("rm", "$x")),
        ("read x\nx=a\nrm $x", ("rm", "$x")),
        ("for x in a; do rm $x; done", ("rm", "$x")),
    ],
)
def test_what_a_command_runs_as_far_as_reading_tells(text: str, argv: tuple[str, ...]) -> None:
    script = parse(text)
    runs = [run for command in script.commands() if command.words for run in CommandLines.of(script).runs(command)]
    assert runs[-1].argv == argv


def test_a_text_for_a_shell_is_told_as_such() -> None:
    script = parse("docker exec db sh -c 'a; b'")
    (command,) = script.commands()
    assert [(run.argv[:1], run.text, run.inside) for run in CommandLines.of(script).runs(command)] == [(("docker",), "", False), ((), "a; b", True)]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("docker", "volume", "rm", "x"), ["volume", "rm", "x"]),
        (("docker", "--context", "a", "compose", "-p", "x", "down", "-v"), ["down", "-v"]),
        (("docker-compose", "-f", "x", "down"), ["down"]),
        (("docker", "container", "rm", "x"), ["rm", "x"]),
        (("$dc", "down", "-v"), ["down", "-v"]),
        (("git", "pull"), []),
    ],
)
def test_what_an_engine_is_told(argv: tuple[str, ...], words: list[str]) -> None:
    assert engine_words(argv) == words


@pytest.mark.parametrize(
    "text",
    [
        "mysql -phunter2 -e 'drop database shop'",
        "mysql --password=hunter2 -e 'drop database shop'",
        "psql postgresql://shop:hunter2@db/shop -c 'drop database shop'",
        "docker exec -e MYSQL_PWD=hunter2 db mysql -e 'drop database shop'",
        "docker exec db mysql -u root --password hunter2 -e 'drop database shop'",
    ],
)
def test_no_secret_that_is_written_out_in_a_script_is_repeated(text: str) -> None:
    (found,) = destructions("a.sh", parse(text))
    assert "hunter2" not in repr(found)
    assert "drop database shop" in found.command


# ---- deletions


def deleted(text: str, path: str = "ops/update.sh", **told: str) -> list[tuple[Loss, str]]:
    return [(one.loss, one.what) for one in destructions(path, parse(text), **told)]


@pytest.mark.parametrize(
    ("text", "loss", "what"),
    [
        ("docker volume rm shop_data", Loss.VOLUME, "shop_data"),
        ("sudo docker volume remove -f shop_data", Loss.VOLUME, "shop_data"),
        ("podman volume rm shop_data", Loss.VOLUME, "shop_data"),
        ("docker volume rm shop_data || true", Loss.VOLUME, "shop_data"),
        ('cmd="$ENGINE volume rm -f"\nremove() {\n  $cmd $1\n}\nremove shop_data', Loss.VOLUME, "shop_data"),
        ('remove() { docker volume rm -f "$1"; }\necho "Removed $(remove shop_data)."', Loss.VOLUME, "shop_data"),
        ("docker volume rm $(docker volume ls -q)", Loss.VOLUME, "$(docker volume ls -q)"),
        ("docker volume prune -f", Loss.PRUNE, "every volume that no container uses"),
        ("docker system prune -af --volumes", Loss.PRUNE, "every volume that no container uses"),
        ("docker compose down -v", Loss.STACK, "every volume of the stack"),
        ("docker-compose -f a.yml down --volumes --remove-orphans", Loss.STACK, "every volume of the stack"),
        ("$COMPOSE down -v", Loss.STACK, "every volume of the stack"),
        ("if command -v docker > /dev/null; then docker compose down -v; fi", Loss.STACK, "every volume of the stack"),
        ("if [ $EUID -eq 0 ]; then docker compose down -v; fi", Loss.STACK, "every volume of the stack"),
        ("case $1 in restart) docker compose down -v; docker compose up -d ;; esac", Loss.STACK, "every volume of the stack"),
        ("docker compose pull && docker compose down -v", Loss.STACK, "every volume of the stack"),
        ("dropdb -U postgres shop", Loss.DATABASE, "shop"),
        ('psql -U postgres -c "DROP DATABASE IF EXISTS shop"', Loss.DATABASE, "shop"),
        ("docker exec db mysql -e 'drop database shop'", Loss.DATABASE, "shop"),
        ("docker compose exec -T db psql shop <<EOF\nDROP SCHEMA public CASCADE;\nEOF", Loss.DATABASE, "public"),
        ("mkfs.ext4 -F /dev/sdb", Loss.DISK, "/dev/sdb"),
        ("wipefs -a /dev/sdb", Loss.DISK, "/dev/sdb"),
        ("sgdisk --zap-all /dev/sdb", Loss.DISK, "/dev/sdb"),
        ("rm -rf /var/lib/postgresql/data", Loss.DIRECTORY, "/var/lib/postgresql/data"),
        ('rm -rf "$DATA_DIR"', Loss.DIRECTORY, "$DATA_DIR"),
        ("rm -fr ./volumes/*", Loss.DIRECTORY, "./volumes/*"),
        ("ssh host true; bash -c 'rm -rf /srv/shop/data'", Loss.DIRECTORY, "/srv/shop/data"),
        ("docker run --rm -v x:/data alpine rm -rf /data/*", Loss.DIRECTORY, "/data/*"),
    ],
)
def test_what_every_run_deletes(text: str, loss: Loss, what: str) -> None:
    assert deleted(text) == [(loss, what)]


@pytest.mark.parametrize(
    "text",
    [
        # somebody looks
        "if docker volume inspect shop_data > /dev/null; then docker volume rm shop_data; fi",
        'exists() { docker volume inspect "$1" > /dev/null; }\nif exists shop_data; then docker volume rm shop_data; fi',
        "docker volume inspect shop_data && docker volume rm shop_data",
        "[ -d /srv/data ] && rm -rf /srv/data",
        'if [ -n "$(docker volume ls -q -f name=shop)" ]; then docker volume rm shop_data; fi',
        'for volume in $(docker volume ls -qf name=shop); do docker volume rm "$volume"; done',
        "docker volume ls -q | grep shop | while read -r v; do docker volume rm $v; done",
        "blkid /dev/sdb || mkfs.ext4 /dev/sdb",
        "if ! blkid /dev/sdb | grep -q ext4; then mkfs.ext4 -F /dev/sdb; fi",
        # somebody asks, or the caller says so
        "read -p 'Sure? ' answer\ndocker compose down -v",
        "read -r -p 'Sure? ' answer\n[[ $answer == y ]] || exit 1\ndocker volume prune -f",
        'confirm() { read -rp "$1" a; [ "$a" = y ] || exit 1; }\nconfirm \'Sure?\'\ndropdb shop',
        "ask_yes_no 'Sure?' || exit\ndropdb shop",
        "whiptail --yesno 'Sure?' 8 40 || exit 1\ndropdb shop",
        'if [ "$1" = --force ]; then docker compose down -v; fi',
        'if [ "${RESET:-}" = 1 ]; then docker compose down -v; fi',
        "case $1 in --wipe) docker compose down -v ;; esac",
        "select action in wipe quit; do docker compose down -v; done",
        # its own, or for the time being
        "docker volume create work\ndocker volume rm work",
        "createdb canary\ndropdb canary",
        "dropdb --if-exists shop_verify",
        "trap 'docker volume rm -f \"$tmp_volume\"' EXIT",
        "mysql -e 'DROP DATABASE IF EXISTS test'",
        "rm -rf /tmp/data",
        'rm -rf "$tmp/data"',
        # no data
        "docker image prune -af",
        "docker builder prune -f --filter until=168h",
        "docker system prune -af",
        "docker container prune -f",
        "docker network prune -f",
        "docker compose down --remove-orphans",
        "docker volume prune -f --filter label=scratch",
        "docker rm -f shop",
        "rm -f data.txt",
        "rm -rf /srv/shop/static",
        "wipefs /dev/sdb",
        "echo docker compose down -v",
        "psql -c 'DROP TABLE x'",
        # restored, and never called
        "restore() { dropdb shop; createdb shop; }\nrestore",
        "unused() { docker compose down -v; }",
    ],
)
def test_what_is_looked_at_asked_about_or_no_data(text: str) -> None:
    assert deleted(text) == []


@pytest.mark.parametrize("path", ["ops/reset.sh", "uninstall.sh", "ops/clean-all.sh", "ops/restore_db.sh", "tests/up.sh", "dev/seed.sh", "ci/run.sh"])
def test_a_script_whose_name_says_so_is_asked_for_it(path: str) -> None:
    assert deleted("docker compose down -v", path) == []


def test_a_make_target_whose_name_says_so_is_asked_for_it() -> None:
    assert deleted("docker compose down -v", "Makefile", started_as="clean") == []
    assert deleted("docker compose down -v", "Makefile", started_as="stop") == [(Loss.STACK, "every volume of the stack")]


def test_a_forced_removal_says_that_failures_are_hidden() -> None:
    assert [one.forced for text in ("docker volume rm -f x", "docker volume rm x") for one in destructions("a.sh", parse(text))] == [True, False]


@given(shell_texts())
def test_whatever_the_text_the_followers_answer(text: bytes) -> None:
    script = parse(text)
    project = Project(volumes=frozenset({"data"}), services=frozenset({"web"}))
    assert all(one.line >= 1 for one in destructions("a.sh", script))
    assert all(one.line >= 1 for one in (*engine_roots(script), *name_filters(script), *project_names(script, project)))
    assert all(isinstance(name, str) for name in made_names(script))


# ---- names and paths of one host


@pytest.mark.parametrize(
    "text",
    [
        "chmod -R g+w /var/lib/docker/volumes/shop_data/_data",
        "dir=/var/lib/docker/volumes/shop_data/_data",
        "tar czf x.tgz -C /var/lib/docker/volumes .",
        "docker run --rm -v /var/lib/docker/volumes:/v alpine ls /v",
        "rsync -a /var/lib/containers/storage/volumes/shop/ x:/b/",
        "cat < /var/snap/docker/common/var-lib-docker/volumes/x/_data/y",
    ],
)
def test_a_path_below_the_engines_own_directory(text: str) -> None:
    assert [one.kind for one in engine_roots(parse(text))] == ["engine-root"]


@pytest.mark.parametrize(
    "text",
    [
        "echo 'volumes lie in /var/lib/docker/volumes'",
        "df -h /var/lib/docker/volumes",
        "root=$(docker info --format '{{.DockerRootDir}}')\ntar c $root/volumes || tar c /var/lib/docker/volumes",
        "dir=$(docker volume inspect -f '{{ .Mountpoint }}' x)",
        "tar c --exclude=/var/lib/docker/volumes /var",
        "root=${ROOT:-/var/lib/docker/volumes}",
        "mkdir -p /var/lib/docker",
        "# /var/lib/docker/volumes/x",
    ],
)
def test_what_asks_the_engine_or_only_tells(text: str) -> None:
    assert list(engine_roots(parse(text))) == []


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        ('p=$(echo ${COMPOSE_PROJECT_NAME} | tr -cd "[A-Za-z-_]")', "digits"),
        ("p=$(printf %s \"$COMPOSE_PROJECT_NAME\" | tr -dc 'a-z0-9')", "`_` and `-`"),
        ("p=$(echo $PROJECT_NAME | tr -d '-')", "`-`"),
        ("p=$(echo $PROJECT_NAME | tr -d _-)", "`_` and `-`"),
        ("p=$(echo $PROJECT_NAME | tr -cd '[:alpha:]')", "digits and `_` and `-`"),
        ("p=$(tr -cd '[:lower:]' <<< \"$COMPOSE_PROJECT_NAME\")", "digits and `_` and `-`"),
        ("p=$(echo $CMPS_PRJ | sed 's/[^a-z]//g')", "digits and `_` and `-`"),
        ("p=$(echo $COMPOSE_PROJECT_NAME | sed -e 's/[^a-zA-Z0-9_]//g')", "`-`"),
        ("p=$(echo $COMPOSE_PROJECT_NAME | sed 's/-//g')", "`-`"),
        ("p=${COMPOSE_PROJECT_NAME//[^a-z]/}", "digits and `_` and `-`"),
        ("p=${PROJECT_NAME//[-_]}", "`_` and `-`"),
        ("PROJECT=$(basename \"$PWD\" | tr -cd 'a-z')", "digits and `_` and `-`"),
    ],
)
def test_a_filter_that_drops_what_compose_keeps(text: str, dropped: str) -> None:
    assert [one.why for one in name_filters(parse(text))] == [f"it drops {dropped}, which compose keeps"]


@pytest.mark.parametrize(
    "text",
    [
        'p=$(echo ${COMPOSE_PROJECT_NAME} | tr -cd "[0-9A-Za-z-_]")',
        "p=$(echo $COMPOSE_PROJECT_NAME | tr -dc '[:alnum:]_-')",
        "p=$(echo $COMPOSE_PROJECT_NAME | tr -cd 'a-z0-9_-')",
        "p=$(echo $COMPOSE_PROJECT_NAME | tr -d '\\n\\r\" ')",
        "p=$(echo $COMPOSE_PROJECT_NAME | tr A-Z a-z)",
        "p=$(echo $COMPOSE_PROJECT_NAME | sed 's/[^a-z0-9_-]//g')",
        "p=$(echo $COMPOSE_PROJECT_NAME | sed 's/-/_/g')",
        "p=${COMPOSE_PROJECT_NAME//[^a-z0-9_-]/}",
        "p=${COMPOSE_PROJECT_NAME,,}",
        "p=${PROJECT_DIR//[^a-z]/}",
        "p=$(echo $HOSTNAME | tr -cd a-z)",
        "PROJECT=$(basename \"$PWD\" | tr -cd 'a-z0-9_-')",
    ],
)
def test_a_filter_that_keeps_what_compose_keeps(text: str) -> None:
    assert list(name_filters(parse(text))) == []


SHOP = Project(
    names=frozenset({"shop", "my-shop"}),
    volumes=frozenset({"data", "pgdata", "ledger-files"}),
    networks=frozenset({"default"}),
    services=frozenset({"web", "db"}),
    fixed=frozenset({"shop_media"}),
    called=frozenset({"office"}),
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("docker volume inspect shop_pgdata", "shop_pgdata"),
        ("docker volume rm my-shop_data", "my-shop_data"),
        ("docker volume ls -qf name=^shop_data$", "shop_data"),
        ("docker run --rm -v shop_data:/d alpine tar c /d", "shop_data"),
        ("docker run --rm --mount type=volume,source=shop_data,target=/d alpine tar c /d", "shop_data"),
        ("docker run --rm --network=shop_default alpine ping db", "shop_default"),
        ("docker network inspect shop_default", "shop_default"),
        ("docker exec shop-db-1 psql", "shop-db-1"),
        ("docker cp shop_web_1:/x .", "shop_web_1"),
        ("dir=/mnt/engine/volumes/shop_ledger-files/_data", "shop_ledger-files"),
        ("for v in shop_data; do docker volume inspect $v; done", "shop_data"),
        ("docker volume inspect unknown_ledger-files", "unknown_ledger-files"),
    ],
)
def test_a_projects_name_that_is_written_out(text: str, name: str) -> None:
    assert [one.text for one in project_names(parse(text), SHOP)] == [name]


@pytest.mark.parametrize(
    "text",
    [
        'docker volume inspect "${COMPOSE_PROJECT_NAME}_pgdata"',
        "docker volume inspect shop_media",
        "docker volume inspect pgdata",
        "docker volume inspect office_pgdata",
        "docker volume inspect other_data",
        "docker volume create shop_data",
        "docker run -d -v shop_data:/d postgres",
        "docker exec redis-1 ls",
        "docker compose exec db psql",
        "echo shop_pgdata",
        "docker inspect unknown-db-1",
    ],
)
def test_names_that_hold_on_every_host(text: str) -> None:
    assert list(project_names(parse(text), SHOP)) == []


def test_who_calls_a_project_and_who_makes_a_volume() -> None:
    assert sets_project("docker compose -p shop up; mkdir -p data; export COMPOSE_PROJECT_NAME=office") == {"shop", "office"}
    assert set(made_names(parse("docker volume create --name=a\ndocker volume create b\ndocker network create $c"))) == {"a", "b"}


# ---- syntax


@pytest.mark.parametrize(
    ("path", "text", "shell"),
    [
        ("x", "#!/bin/bash\n", Shell.BASH),
        ("x", "#!/usr/bin/env -S bash -e\n", Shell.BASH),
        ("x", "#!/usr/bin/with-contenv bash\n", Shell.BASH),
        ("x.sh", "#!/bin/sh\n", Shell.DASH),
        ("x.sh", "#! /bin/ash\n", Shell.DASH),
        ("x.bash", "echo\n", Shell.BASH),
        ("x.sh", "echo\n", Shell.BASH),
        ("x.ksh", "echo\n", Shell.KSH),
        ("x", "#!/bin/ksh93\n", Shell.KSH),
        ("x.sh", "#!/bin/zsh\n", None),
        ("x.sh", "#!/usr/bin/env python3\n", None),
        ("x.sh", "#!/usr/bin/env bats\n", None),
        ("x", "echo\n", None),
    ],
)
def test_which_shell_a_script_is_for(path: str, text: str, shell: Shell | None) -> None:
    assert shell_of(path, text) is shell


@pytest.mark.parametrize(
    ("path", "text", "is_one"),
    [
        ("x.sh.tpl", "", True),
        ("x.sh", "{% if x %}\n", True),
        ("x.sh", "a={{ name }}\n", True),
        ("x.sh", "%{ if x }\n", True),
        ("x.sh", "<% if x %>\n", True),
        ("x.sh", "docker inspect --format '{{.State.Status}}' x\n", False),
        ("x.sh", "docker inspect --format '{{json .Mounts}}' x\n", False),
        ("x.sh", "curl -w '%{http_code}' x\n", False),
    ],
)
def test_what_is_a_template(path: str, text: str, is_one: bool) -> None:
    assert is_template(path, text) is is_one


@pytest.mark.parametrize(
    ("shell", "said", "refusal"),
    [
        (
            Shell.BASH,
            "bash: line 3: syntax error near unexpected token `done'\nbash: line 3: `done'\n",
            Refusal(3, "syntax error near unexpected token `done'"),
        ),
        (Shell.BASH, "bash: line 9: syntax error: unexpected end of file\n", Refusal(9, "syntax error: unexpected end of file")),
        (
            Shell.BASH,
            "bash: line 9: syntax error: unexpected end of file from `if' command on line 2\n",
            Refusal(2, "syntax error: the `if` that begins here has no end"),
        ),
        (Shell.BASH, "bash: line 2: syntax error near unexpected token `hunter2'\n", Refusal(2, "syntax error near unexpected token a word")),
        (
            Shell.BASH,
            "bash: line 1: warning: here-document\nbash: line 4: syntax error near unexpected token `)'\n",
            Refusal(4, "syntax error near unexpected token `)'"),
        ),
        (Shell.DASH, 'sh: 7: Syntax error: "(" unexpected\n', Refusal(7, 'syntax error: "(" unexpected')),
        (Shell.KSH, "E: ksh: <stdin>[4]: syntax error: unexpected 'fi'\n", Refusal(4, "syntax error: unexpected 'fi'")),
        (Shell.BASH, "exit 2", Refusal(1, "it is no script")),
    ],
)
def test_what_a_shell_that_refuses_a_script_says(shell: Shell, said: str, refusal: Refusal) -> None:
    assert refusal_of(shell, said) == refusal


@given(st.sampled_from(list(Shell)), st.text(max_size=200))
def test_whatever_a_shell_says_there_is_a_line(shell: Shell, said: str) -> None:
    assert refusal_of(shell, said).line >= 0


def test_what_follows_an_exit_in_the_first_column_is_read_by_nobody() -> None:
    assert until_it_ends("echo\nexit 0\n(((\n", 3) == "echo\nexit 0\n"
    assert until_it_ends("echo\n  exit 0\n(((\n", 3) is None
    assert until_it_ends("echo\n", 1) is None


def refused(seen: SyntaxSeen) -> list[tuple[str, int]]:
    return [(one.path, one.refusal.line) for one in seen.refused]


@pytest.mark.parametrize(
    "text",
    [
        "#!/bin/bash\nif true; then\n  echo\nelse\n  echo\n",
        "#!/bin/bash\nfor x in a; do\n  if true; then\n    echo\ndone\n",
        "#!/bin/bash\necho 'never closed\n",
        "#!/bin/bash\nx() {\n  echo\n",
        "#!/bin/bash\ncase x in\n  a) echo\n",
        "#!/bin/bash\necho )\n",
        "#!/bin/bash\r\nif true; then\r\n  echo\r\nfi\r\n",
        "#!/bin/sh\nif true; then echo\n",
        "if true; then echo\n",
        "#!/bin/bash\nfi\ndocker inspect --format '{{.State}}' x\n",
        "#!/bin/bash\nif [[ curl -s http://lists.example/asn | grep $(whoami) ]]; then\n  echo\nfi\n",  # bash says so and ends with 0
    ],
)
def test_a_script_that_its_shell_cannot_read(tmp_path: Path, text: str) -> None:
    seen = syntax_seen(world_of(tmp_path, {"ops/update.sh": text}), ALL)
    assert [path for path, _ in refused(seen)] == ["ops/update.sh"]
    assert isinstance(judge.judge_syntax(seen), Broken)


@pytest.mark.parametrize(
    "files",
    [
        {"a.sh": "#!/bin/bash\necho\n"},
        {"a.sh": "#!/bin/bash\nshopt -s extglob\ncase $x in\n  +([0-9])) echo ;;\nesac\n"},
        {"a.sh": "#!/bin/bash\necho\nexit 0\n__ARCHIVE__\n(((\n"},
        {"a.sh.tpl": "#!/bin/bash\n%{ if x ~}\nfi (\n"},
        {"a.sh": "#!/bin/bash\n{% if x %}\necho (\n{% endif %}\n"},
        {"a.sh": "#!/usr/bin/env python3\ndef f():\n  print((1))\n"},
        {"a.sh": "#!/bin/zsh\nfor x in *(N); print $x\n"},
        {"examples/a.sh": "if\n"},
        {"tests/a.sh": "if\n"},
        {"entrypoint.sh": "#!/bin/sh\nx=(1 2)\n"},
        {"a.sh": "#!/bin/bash\ncat <<EOF\nnever ended\n"},
    ],
)
def test_what_can_be_read_or_is_no_script_of_a_host(tmp_path: Path, files: dict[str, str]) -> None:
    assert refused(syntax_seen(world_of(tmp_path, files), ALL)) == []


def test_nothing_of_a_script_is_run(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    world = world_of(tmp_path / "tree", {"a.sh": f"#!/bin/bash\ntouch {touched}\n$(touch {touched})\n", "-c.sh": f"touch {touched}\n"})
    assert syntax_seen(world, ALL).read == 2
    assert not touched.exists()


def test_without_a_shell_nothing_is_proven(tmp_path: Path) -> None:
    world = world_of(tmp_path, {"a.sh": "#!/bin/bash\necho\n", "b.sh": "#!/bin/sh\necho\n"}, environ={"PATH": str(tmp_path)})
    judgement = judge.judge_syntax(syntax_seen(world, ALL))
    assert isinstance(judgement, Unproven)
    assert [detail.kind for detail in judgement.details] == ["no-shell"]


# ---- all scripts together


def test_scripts_that_source_each_other_are_one_program(tmp_path: Path) -> None:
    files = {"install.sh": "#!/bin/bash\nset -euo pipefail\nsource lib/upgrade.sh\n", "lib/upgrade.sh": "pg_dump shop | gzip > s\ngit pull\n"}
    assert observed.lost_seen(world_of(tmp_path / "a", files), ALL).found == ()
    alone = observed.lost_seen(world_of(tmp_path / "b", {"lib/upgrade.sh": files["lib/upgrade.sh"]}), ALL)
    assert [(one.path, one.failure.step.line) for one in alone.found] == [("lib/upgrade.sh", 1)]


def test_a_step_of_a_workflow_stops_at_its_first_failure(tmp_path: Path) -> None:
    workflow = (
        "on: workflow_dispatch\njobs:\n  ship:\n    runs-on: own\n    steps:\n      - run: |\n          pg_dump shop > s\n          docker compose pull\n"
    )
    assert observed.lost_seen(world_of(tmp_path, {".github/workflows/ship.yml": workflow}), ALL).found == ()


def test_crontabs_and_recipes_and_programs_are_followed_too(tmp_path: Path) -> None:
    files = {
        "crontab": "0 3 * * * pg_dump shop > /b/s.sql; find /b -name '*.sql' -mtime +7 -delete\n",
        "Makefile": "update:\n\tpg_dump shop > s; docker compose pull\n\nsave:\n\tpg_dump shop > s\n\tdocker compose pull\n",
        "app/up.py": "import subprocess\nsubprocess.run(['pg_dump', 'shop'])\nsubprocess.run(['git', 'pull'], check=True)\n",
    }
    found = observed.lost_seen(world_of(tmp_path, files), ALL).found
    assert [(one.path, one.failure.step.line) for one in found] == [("Makefile", 2), ("app/up.py", 2), ("crontab", 1)]


def test_the_names_of_a_project_come_from_the_tree(tmp_path: Path) -> None:
    files = {
        ".env": "COMPOSE_PROJECT_NAME=shop-1\n",
        "compose.yaml": "services:\n  db:\n    image: postgres:17\n    volumes: [data:/d, media:/m]\nvolumes:\n  data:\n  media:\n    name: shop-1_media\n",
        "ops/save.sh": "docker run --rm -v shop-1_data:/d alpine tar c /d\ndocker run --rm -v shop-1_media:/d alpine tar c /d\n",
    }
    found = observed.project_literals(world_of(tmp_path, files), ALL).found
    assert [(one.path, one.literal.text, one.literal.line) for one in found] == [("ops/save.sh", "shop-1_data", 1)]


@pytest.mark.parametrize("see", [observed.lost_seen, observed.destroys_seen, observed.project_literals, observed.root_literals, syntax_seen])
def test_a_script_that_cannot_be_read_proves_nothing(tmp_path: Path, see: object) -> None:
    world = world_of(tmp_path, {"a.sh": "\0"})
    assert [one.path for one in see(world, ALL).unread] == ["a.sh"]  # type: ignore[operator]


def test_a_stretch_that_cannot_be_parsed_is_unproven_where_the_rule_depends_on_it(tmp_path: Path) -> None:
    lost = "#!/bin/bash\nfor x in a; do\n  docker volume rm $x\n  echo ${x[\n"
    world = world_of(tmp_path, {"a.sh": lost, "b.sh": "#!/bin/bash\nfor x in a; do\n  echo ${x[\n"})
    assert [one.path for one in observed.destroys_seen(world, ALL).unread] == ["a.sh"]


# ---- sentences


def test_a_tree_without_findings_holds_and_says_how_much_was_read(tmp_path: Path) -> None:
    world = world_of(tmp_path, {"a.sh": "echo\n"})
    judged = (
        judge.judge_syntax(syntax_seen(world, ALL)),
        judge.judge_swallowed(observed.lost_seen(world, ALL)),
        judge.judge_destructive(observed.destroys_seen(world, ALL)),
        judge.judge_project_name(observed.project_literals(world, ALL)),
        judge.judge_engine_root(observed.root_literals(world, ALL)),
    )
    assert all(isinstance(one, Held) and one.message.endswith(": 1 script read") for one in judged)


def test_findings_are_told_with_their_place_and_keep_their_key_when_lines_move(tmp_path: Path) -> None:
    script = "#!/bin/bash\npg_dump shop > s\ndocker compose pull\ndocker volume rm -f shop_uploads\ndir=/var/lib/docker/volumes/x/_data\n"
    world = world_of(tmp_path / "a", {"up.sh": script})
    moved = world_of(tmp_path / "b", {"up.sh": script.replace("\n", "\n\n\n", 1)})
    for see, decide, told in (
        (
            observed.lost_seen,
            judge.judge_swallowed,
            "up.sh:2: the backup by pg_dump can fail unseen: nobody looks whether it failed, and line 4 deletes (docker volume rm -f shop_uploads)",
        ),
        (
            observed.destroys_seen,
            judge.judge_destructive,
            (
                "up.sh:4: this removes the volume shop_uploads; nothing looks first, nobody is asked (docker volume rm -f shop_uploads),"
                " and -f hides when that goes wrong"
            ),
        ),
        (
            observed.root_literals,
            judge.judge_engine_root,
            (
                "up.sh:5: /var/lib/docker/volumes/x/_data is written out: the engine's data may lie elsewhere;"
                " there the script works on nothing, or on something else"
            ),
        ),
    ):
        (before,), (after,) = decide(see(world, ALL)).details, decide(see(moved, ALL)).details  # type: ignore[arg-type]
        assert (before.message, before.outcome, before.file) == (told, Outcome.BROKEN, "up.sh")
        assert (before.what, before.kind) == (after.what, after.kind)
        assert (before.line or 0) + 2 == after.line


def test_what_no_shell_is_there_for_is_said_without_a_file() -> None:
    judgement = judge.judge_syntax(SyntaxSeen(read=0, unread=(Unreadable(path="", why="there is no bash on this machine to read scripts with"),)))
    assert [detail.file for detail in judgement.details] == [""]


def test_a_script_that_only_bash_can_read_is_told_as_such(tmp_path: Path) -> None:
    seen = syntax_seen(world_of(tmp_path, {"up.sh": "#!/bin/sh\nlist=(a b)\n"}), ALL)
    kinds = [detail.kind for detail in judge.judge_syntax(seen).details]
    assert kinds == (["another-shell"] if seen.refused else [])  # without dash here, bash reads it
