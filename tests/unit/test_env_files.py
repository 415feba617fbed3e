"""Who hands an env file of docker compose to a shell, and what never reaches old installations: judged in small trees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.commands.scan import site_of_tree
from interlock.facts.env_paths import OWN, EnvFiles, Values
from interlock.facts.env_quoting import letters_of
from interlock.facts.env_writes import written
from interlock.facts.shell import Command, parse
from interlock.judge.env import judge_existing, judge_quoting, judge_rewrites, judge_sourcing
from interlock.observe.env_files import quoting, rewrites, sourced_files, upkeep
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Held, Subject, When
from tests.strategies import shell_texts

SUBJECT = Subject(name="scripts")
COMPOSE = "services:\n  app:\n    image: app:${APP_TAG:-1}\n    environment:\n      MAIL_HOST: ${MAIL_HOST:-}\n      MAIL_FROM: ${MAIL_FROM:-}\n"


def world(folder: Path, **files: str) -> World:
    for name, text in {"compose.yaml": COMPOSE, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return World(site=site_of_tree(folder), gates=frozenset({When.STATIC}), tree=Tree(folder, patient=True), hosts={}, environ=os.environ)


def sourcing(folder: Path, **files: str) -> list[tuple[str, str, int | None]]:
    judged = judge_sourcing(sourced_files(world(folder, **files), SUBJECT))
    assert isinstance(judged, Broken | Held)
    return [(detail.what, detail.kind, detail.line) for detail in judged.details]


# ---- env.file_not_sourced


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("source .env", "sourced"),
        (". ./.env", "sourced"),
        ("set -a; . /opt/shop/.env; set +a", "sourced"),
        ('source "$(dirname "$0")/../.env"', "sourced"),
        ('HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"\nENV_FILE="$HERE/../.env"\n[[ -f $ENV_FILE ]] && source "$ENV_FILE"', "sourced"),
        ('cd "$(dirname "$0")/.."\n. ./.env', "sourced"),
        ('ROOT=$(git rev-parse --show-toplevel)\nsource "$ROOT/.env"', "sourced"),
        (". ${ENV_FILE:-.env}", "sourced"),
        ('load() { local file=$1; set -a; source "$file"; set +a; }\nload .env', "sourced"),
        ('for file in .env .env.local; do [ -f "$file" ] && . "$file"; done', "sourced"),
        ("source <(grep -v '^#' .env)", "sourced"),
        ("source <(sed -e 's/^/export /' .env)", "sourced"),
        ("bash -c 'set -a; . ./.env; exec ./run'", "sourced"),
        ('sudo -u app bash -c "source .env && ./run"', "sourced"),
        ("ssh shop.example.org 'cd /srv/shop && source .env && docker compose pull'", "sourced"),
        ("ssh shop.example.org bash <<'END'\ncd /srv/shop\n. ./.env\nEND", "sourced"),
        ("cat > /usr/local/bin/nightly <<'END'\n#!/bin/sh\n. /srv/shop/.env\nEND", "sourced"),
        ('eval "$(cat .env)"', "evaluated"),
        ("eval $(sed 's/^/export /' .env)", "evaluated"),
        ('while read -r line; do eval "export $line"; done < .env', "evaluated"),
        ("export $(cat .env | xargs)", "exported"),
        ("export $(grep -v '^#' .env | xargs -d '\\n')", "exported"),
        ("export $(< .env)", "exported"),
        ("export $(xargs < .env)", "exported"),
        ("env $(cat .env) ./run", "exported"),
    ],
)
def test_a_shell_is_given_the_env_file_in_many_ways(tmp_path: Path, script: str, kind: str) -> None:
    assert [found[:2] for found in sourcing(tmp_path, **{"ops/upgrade.sh": f"#!/bin/bash\n{script}\n"})] == [("ops/upgrade.sh: .env", kind)]


@pytest.mark.parametrize(
    "script",
    [
        ". /etc/os-release",
        "source /etc/default/shop.env",
        ". ./lib.sh",
        ". ./frontend/.env",
        ". ./.env.example; docker compose --env-file .env.example config",
        "source /etc/shop-watchdog.env",
        "APP_TAG=$(sed -n 's/^APP_TAG=//p' .env)",
        "export APP_TAG=$(grep ^APP_TAG= .env | cut -d= -f2)",
        "export $(grep '^APP_TAG=' .env)",
        'export "$(grep ^APP_TAG= .env)"',
        "docker compose --env-file .env up -d",
        "docker exec shop bash -c 'set -a; source ./.env; run'",
        "docker run --env-file .env app",
        'while IFS= read -r line; do export "$line"; done < .env',
        "echo 'now run: source .env'",
        "# . ./.env",
        "cat > README <<'END'\nsource .env\nEND",
        'eval "$(ssh-agent)"; grep TAG .env',
        "cp .env .env.bak",
    ],
)
def test_a_script_that_takes_single_keys_or_reads_another_file_is_silent(tmp_path: Path, script: str) -> None:
    assert sourcing(tmp_path, **{"ops/upgrade.sh": f"#!/bin/bash\n{script}\n"}) == []


def test_a_function_of_another_file_counts_where_it_is_called_with_the_env_file(tmp_path: Path) -> None:
    library = '#!/bin/bash\nload_env() {\n  set -a\n  . "$1"\n}\n'
    files = {"ops/lib.sh": library, "ops/deploy.sh": "#!/bin/bash\n. ./lib.sh\nload_env ../.env\n"}
    assert sourcing(tmp_path, **files) == [("ops/lib.sh: .env", "sourced", 4)]
    assert sourcing(tmp_path, **{**files, "ops/deploy.sh": "#!/bin/bash\nload_env /etc/default/other\n"}) == []


def test_makefiles_and_units_run_on_hosts_too(tmp_path: Path) -> None:
    files = {"Makefile": "up:\n\t. ./.env && ./run\n", "shop.service": "[Service]\nExecStart=/bin/bash -c 'source /srv/shop/.env && exec ./run'\n"}
    assert sourcing(tmp_path, **files) == [("Makefile: .env", "sourced", 2), ("shop.service: .env", "sourced", 2)]


def test_what_runs_in_a_container_or_on_a_runner_is_not_the_hosts(tmp_path: Path) -> None:
    workflow = "on: push\njobs:\n  t:\n    runs-on: ubuntu-latest\n    steps:\n      - run: . ./.env\n"
    files = {"docker-entrypoint.sh": "#!/bin/sh\n. ./.env\n", ".github/workflows/t.yml": workflow}
    assert sourcing(tmp_path, **files) == []


@pytest.mark.parametrize("compose", ["services: {app: {image: x, env_file: conf/app.env}}", "services: {app: {image: x, env_file: [{path: ./conf/app.env}]}}"])
def test_what_a_service_names_is_an_env_file_of_the_stack(tmp_path: Path, compose: str) -> None:
    files = {"compose.yaml": compose, "ops/run.sh": "#!/bin/sh\n. conf/app.env\n"}
    assert sourcing(tmp_path, **files) == [("ops/run.sh: conf/app.env", "sourced", 2)]


def test_what_a_command_line_names_is_an_env_file_of_the_stack(tmp_path: Path) -> None:
    script = "#!/bin/sh\n. /srv/shop/prod.conf\ndocker compose --env-file /srv/shop/prod.conf up -d\n"
    assert sourcing(tmp_path, **{"run.sh": script}) == [("run.sh: prod.conf", "sourced", 2)]


def test_what_a_generator_writes_for_the_stack_is_an_env_file_of_it(tmp_path: Path) -> None:
    generator = "#!/bin/sh\ncat > shop.conf <<EOF\nAPP_TAG=1\nMAIL_HOST=x\n#MAIL_FROM=y\nEOF\n"
    assert sourcing(tmp_path, **{"generate.sh": generator, "run.sh": "#!/bin/sh\n. ./shop.conf\n"}) == [("run.sh: shop.conf", "sourced", 2)]


def test_each_script_and_env_file_is_told_once(tmp_path: Path) -> None:
    assert len(sourcing(tmp_path, **{"run.sh": "#!/bin/sh\n. ./.env\n. ./.env\n"})) == 1


def test_a_tree_without_a_stack_has_no_env_file(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("#!/bin/sh\n. ./.env\n")
    site = site_of_tree(tmp_path)
    judged = judge_sourcing(sourced_files(World(site=site, gates=frozenset(), tree=Tree(tmp_path), hosts={}, environ={}), SUBJECT))
    assert isinstance(judged, Held)


# ---- env.coverage_existing_installs

GENERATOR = """\
#!/bin/bash
read -p "Hostname: " NAME
cat << EOF > shop.conf
SHOP_HOSTNAME=${NAME}
DBPASS=$(openssl rand -hex 12)
HTTP_PORT=80
APP_TAG=1
# who gets mail
MAIL_HOST=localhost
#MAIL_FROM=root@localhost
LOG_LINES=99
#NEVER_USED=1
EOF
"""
STACK = (
    COMPOSE
    + """\
      LOG_LINES: ${LOG_LINES}
      DBPASS: ${DBPASS}
      SHOP_HOSTNAME: ${SHOP_HOSTNAME}
    ports: ["${HTTP_PORT:-80}:80"]
"""
)
LIST = """\
#!/bin/bash
OPTIONS=(
  "APP_TAG"
  "MAIL_HOST"
  "MAIL_FROM"
  "LOG_LINES"
)
for option in "${OPTIONS[@]}"; do
  if ! grep -q "$option" shop.conf; then
    echo "${option}=" >> shop.conf
  fi
done
"""
ONE_BY_ONE = """\
#!/bin/sh
grep -q '^APP_TAG=' shop.conf || echo "APP_TAG=1" >> shop.conf
grep -q '^MAIL_HOST=' shop.conf || echo "MAIL_HOST=localhost" >> shop.conf
if ! grep -q MAIL_FROM shop.conf; then
  echo "#MAIL_FROM=root@localhost" | tee -a shop.conf
fi
grep -q '^LOG_LINES=' shop.conf || printf 'LOG_LINES=%s\\n' 99 >> shop.conf
"""
HELPER = """\
#!/bin/bash
CONF=./shop.conf
add_option() {
  grep -q "^#\\?$1=" "$CONF" || echo "$1=$2" >> "$CONF"
}
add_option APP_TAG 1
add_option MAIL_HOST localhost
add_option MAIL_FROM ''
add_option LOG_LINES 99
"""
CASE = """\
#!/bin/bash
for option in APP_TAG MAIL_HOST MAIL_FROM LOG_LINES; do
  grep -q $option shop.conf && continue
  case $option in
    MAIL_HOST) echo "MAIL_HOST=localhost" >> shop.conf ;;
    *) echo "${option}=" >> shop.conf ;;
  esac
done
"""


def forgotten(folder: Path, **files: str) -> list[str]:
    judged = judge_existing(upkeep(world(folder, **{"compose.yaml": STACK, **files}), SUBJECT))
    assert isinstance(judged, Broken | Held)
    assert all(detail.kind == "never-added" for detail in judged.details)
    return [detail.what.partition(" ")[0] for detail in judged.details]


@pytest.mark.parametrize("updater", [LIST, ONE_BY_ONE, HELPER, CASE])
def test_an_updater_that_knows_every_setting_holds_and_one_that_lacks_one_is_broken(tmp_path: Path, updater: str) -> None:
    assert forgotten(tmp_path, **{"generate.sh": GENERATOR, "update.sh": updater}) == []
    lacking = "\n".join(line for line in updater.split("\n") if "LOG_LINES" not in line or line.startswith("for")).replace(" LOG_LINES", "")
    assert forgotten(tmp_path, **{"generate.sh": GENERATOR, "update.sh": lacking}) == ["LOG_LINES"]


def test_an_option_that_is_commented_out_in_the_generator_is_one_that_old_installations_want_to_hear_of(tmp_path: Path) -> None:
    assert forgotten(tmp_path, **{"generate.sh": GENERATOR, "update.sh": LIST.replace('  "MAIL_FROM"\n', "")}) == ["MAIL_FROM"]


def test_a_comment_in_the_updater_adds_nothing(tmp_path: Path) -> None:
    updater = LIST.replace('  "LOG_LINES"\n', "").replace("for option", "# LOG_LINES is next\nfor option")
    assert forgotten(tmp_path, **{"generate.sh": GENERATOR, "update.sh": updater}) == ["LOG_LINES"]


def test_the_list_may_lie_in_a_file_that_the_updater_takes_in(tmp_path: Path) -> None:
    files = {"generate.sh": GENERATOR, "update.sh": "#!/bin/bash\nsource lib/options.sh\nadapt\n"}
    options = "adapt() {\n" + LIST.removeprefix("#!/bin/bash\n") + "}\n"
    assert forgotten(tmp_path, **files, **{"lib/options.sh": options}) == []
    assert forgotten(tmp_path, **files, **{"lib/options.sh": options.replace('  "LOG_LINES"\n', "")}) == ["LOG_LINES"]
    renames = "#!/bin/bash\nsed -i 's/^LINES=/LOG_LINES=/' shop.conf\n"
    update = files["update.sh"] + "source lib/renames.sh\n"
    more = {"lib/options.sh": options.replace('  "LOG_LINES"\n', ""), "lib/renames.sh": renames, "update.sh": update + "# lib/options.sh\n"}
    assert forgotten(tmp_path, **{**files, **more}) == []


def test_what_is_used_by_code_alone_counts_and_what_is_used_by_nothing_does_not(tmp_path: Path) -> None:
    generator = GENERATOR.replace("EOF\n", "WEBHOOK=https://example.org\nEOF\n").replace("cat << WEBHOOK=https://example.org\nEOF", "cat << EOF")
    files = {"generate.sh": generator, "update.sh": LIST}
    assert forgotten(tmp_path, **files) == []
    assert forgotten(tmp_path, **files, **{"watch/watch.py": 'import os\nprint(os.environ["WEBHOOK"])\n'}) == ["WEBHOOK"]


def test_who_repairs_one_or_two_keys_was_never_meant_to_know_them_all(tmp_path: Path) -> None:
    repairs = "#!/bin/sh\ngrep -q '^APP_TAG=' shop.conf || echo APP_TAG=1 >> shop.conf\n"
    assert forgotten(tmp_path, **{"generate.sh": GENERATOR, "fix.sh": repairs}) == []


def test_without_an_updater_there_is_nothing_to_keep_up(tmp_path: Path) -> None:
    judged = judge_existing(upkeep(world(tmp_path, **{"compose.yaml": STACK, "generate.sh": GENERATOR}), SUBJECT))
    assert isinstance(judged, Held)
    assert judged.message == "no script here adds settings to the env files of old installations"


def test_an_example_that_is_copied_is_a_generator_too(tmp_path: Path) -> None:
    example = "APP_TAG=1\nMAIL_HOST=localhost\n#MAIL_FROM=\nLOG_LINES=99\n"
    updater = ONE_BY_ONE.replace("shop.conf", ".env")
    assert forgotten(tmp_path, **{".env.example": example, "update.sh": updater}) == []
    lacking = "\n".join(line for line in updater.split("\n") if "LOG_LINES" not in line)
    assert forgotten(tmp_path, **{".env.example": example, "update.sh": lacking}) == ["LOG_LINES"]


def test_who_copies_whatever_the_example_has_knows_all_of_it(tmp_path: Path) -> None:
    example = "APP_TAG=1\nMAIL_HOST=localhost\nMAIL_FROM=\nLOG_LINES=99\n"
    updater = """\
#!/bin/bash
while IFS='=' read -r key value; do
  grep -q "^${key}=" .env || echo "${key}=${value}" >> .env
done < .env.example
# APP_TAG MAIL_HOST MAIL_FROM were first
for key in APP_TAG MAIL_HOST MAIL_FROM; do echo "$key"; done
"""
    assert forgotten(tmp_path, **{".env.example": example, "update.sh": updater}) == []


# ---- env.file_quoting

PUNCTUATION = "A-Za-z0-9!#$%&"


def unquoted_settings(folder: Path, script: str) -> list[tuple[str, str]]:
    judged = judge_quoting(quoting(world(folder, **{"install.sh": f"#!/bin/bash\n{script}\n"}), SUBJECT))
    assert isinstance(judged, Broken | Held)
    return [(detail.what, detail.kind) for detail in judged.details]


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (f"KEY=$(tr -dc '{PUNCTUATION}' < /dev/urandom | head -c 48)\necho \"SECRET=$KEY\" >> .env", "random-letters"),
        (f"KEY=$(cat /dev/urandom | LC_ALL=C tr -cd '{PUNCTUATION}' | fold -w 40 | head -n 1)\ncat > .env <<EOF\nSECRET=$KEY\nEOF", "random-letters"),
        ("KEY=`head -c 500 /dev/urandom | tr -dc '[:graph:]'`\nprintf 'SECRET=%s\\n' \"$KEY\" > app.env", "random-letters"),
        ("key() { tr -dc '!-~' </dev/urandom | head -c 20; }\nKEY=$(key)\n{ echo A=1; echo \"SECRET=$KEY\"; } > .env", "random-letters"),
        ('KEY=$(pwgen -sy 40 1)\nsed -i "s|^SECRET=.*|SECRET=$KEY|" .env', "random-letters"),
        ("KEY=$(python3 -c 'import secrets, string; print(secrets.choice(string.punctuation))')\necho SECRET=$KEY > .env", "random-letters"),
        (f'KEY=$(tr -dc \'{PUNCTUATION}\' < /dev/urandom | head -c 9)\necho "SECRET=\\"$KEY\\"" > .env', "random-letters"),
        ('HASH=$(htpasswd -nbB admin x | cut -d: -f2)\necho "SECRET=$HASH" >> .env', "password-hash"),
        ('echo "SECRET=$(docker run --rm caddy caddy hash-password --plaintext x)" >> .env', "password-hash"),
        ("read -rsp 'Password: ' KEY\necho \"SECRET=$KEY\" >> .env", "typed-secret"),
    ],
)
def test_a_value_whose_letters_are_read_differently_needs_quotes(tmp_path: Path, script: str, kind: str) -> None:
    assert unquoted_settings(tmp_path, script) == [("install.sh: SECRET", kind)]


@pytest.mark.parametrize(
    "script",
    [
        f"KEY=$(tr -dc '{PUNCTUATION}' < /dev/urandom | head -c 48)\necho \"SECRET='$KEY'\" >> .env",
        f"KEY=$(tr -dc '{PUNCTUATION}' < /dev/urandom | head -c 48)\necho \"SECRET=$KEY\" >> notes.txt",
        f"KEY=$(tr -dc '{PUNCTUATION}' < /dev/urandom | base64)\necho \"SECRET=$KEY\" >> .env",
        'KEY=$(tr -dc A-Za-z0-9 < /dev/urandom | head -c 48)\necho "SECRET=$KEY" >> .env',
        "KEY=$(tr -dc '[:alnum:]' < /dev/urandom | head -c 48)\necho \"SECRET=$KEY\" >> .env",
        "KEY=$(openssl rand -base64 32 | tr -d '/+=')\necho \"SECRET=$KEY\" >> .env",
        'KEY=$(openssl rand -hex 32)\necho "SECRET=$KEY" >> .env',
        'KEY=$(pwgen 40 1)\necho "SECRET=$KEY" >> .env',
        "HASH=$(htpasswd -nbB admin x | sed 's/\\$/$$/g')\necho \"SECRET=$HASH\" >> .env",
        'read -rsp x KEY\n[[ $KEY =~ ^[a-z]+$ ]] || exit 1\necho "SECRET=$KEY" >> .env',
        "read -rp 'City: ' CITY\necho \"CITY=$CITY\" >> .env",
        "read -rsp x KEY\necho \"SECRET='$KEY'\" >> .env",
    ],
)
def test_harmless_letters_quotes_that_keep_them_and_other_files_are_silent(tmp_path: Path, script: str) -> None:
    assert unquoted_settings(tmp_path, script) == []


@pytest.mark.parametrize(
    ("told", "letters"), [("a-c", "abc"), ("[:digit:]", "0123456789"), ("\\044", "$"), ("a\\-c", "a-c"), ("#-%", "#$%"), ("-a", "-a"), ("a-", "a-")]
)
def test_the_letters_of_a_set_of_tr(told: str, letters: str) -> None:
    assert letters_of(told) == frozenset(letters)


# ---- env.preserve_operator_edits


def written_over(folder: Path, script: str) -> list[str]:
    judged = judge_rewrites(rewrites(world(folder, **{"install.sh": f"#!/bin/bash\n{script}\n"}), SUBJECT))
    assert isinstance(judged, Broken | Held)
    return [detail.what for detail in judged.details]


@pytest.mark.parametrize(
    "script",
    [
        "cp .env.example .env",
        "cat > .env <<EOF\nA=1\nB=2\nEOF",
        "F=.env\n{ echo A=1; echo B=2; } > $F",
        "install template.env /opt/app/.env",
    ],
)
def test_who_writes_over_the_env_file_without_looking_loses_it(tmp_path: Path, script: str) -> None:
    assert written_over(tmp_path, script) == ["install.sh: .env"]


@pytest.mark.parametrize(
    "script",
    [
        "[ -f .env ] || cp .env.example .env",
        "if [[ ! -e $F ]]; then cp .env.example .env; fi\nF=.env",
        "cp -n .env.example .env",
        "cp --backup=numbered .env.example .env",
        "cp .env .env.bak\ncp .env.example .env",
        "mv .env .env.$(date +%s)\ncat > .env <<EOF\nA=1\nB=2\nEOF",
        "OLD=$(grep ^A= .env)\ncat > .env <<EOF\n$OLD\nA=1\nB=2\nEOF",
        "read -p 'write it anew? ' yes\ncp .env.example .env",
        "git clone https://example.org/app && cd app\ncp .env.example .env",
        "echo TAG=$1 > .env",
        "cp .env.example frontend/.env",
        "cat > notes.env <<EOF\nA=1\nB=2\nEOF",
    ],
)
def test_who_looks_first_keeps_it_or_writes_another_file_is_silent(tmp_path: Path, script: str) -> None:
    assert written_over(tmp_path, script) == []


# ---- the parts


@given(shell_texts())
def test_any_script_can_be_read(data: bytes) -> None:
    script = parse(data)
    values = Values.of(script)
    for command in script.commands():
        for word in command.words:
            assert 0 < len(values.texts(word)) <= 8
    assert all(one.settings for one in written(script, values))


@given(st.lists(st.sampled_from(["/", ".env", "..", "$X", "~", OWN, "srv", "."]), max_size=6).map("".join), st.sampled_from(["", "a/b.sh", "up.sh"]))
def test_only_an_env_file_of_the_stack_is_meant(text: str, script: str) -> None:
    files = EnvFiles(frozenset({".env", "a/.env"}))
    assert files.meant([text], script=script) in {None, ".env", "a/.env"}


@pytest.mark.parametrize(
    ("script", "settings"),
    [
        ("cat > .env <<EOF\nA=1\n#B='x y'\nexport C=$D\nEOF", [("A", False, False), ("B", True, False), ("C", False, True)]),
        ("{ echo A=1; if x; then echo \"B='$C'\"; fi; } > .env", [("A", False, False), ("B", False, True)]),
        ("f() { echo A=1; }\nf > .env", [("A", False, False)]),
        ("printf 'A=%s\\nB=%s\\n' 1 \"$C\" | sudo tee .env >/dev/null", [("A", False, False), ("B", False, True)]),
        ('echo -e "A=1\\nB=2" >> .env', [("A", False, False), ("B", False, False)]),
        ('sed -i "s|^A=.*|A=$B|" .env', [("A", False, True)]),
        ("echo hello > .env", []),
        ("echo A=1 > /dev/null", []),
        ("echo A=1", []),
    ],
)
def test_what_a_script_writes_is_known_line_by_line(script: str, settings: list[tuple[str, bool, bool]]) -> None:
    parsed = parse(script)
    found = [one for one in written(parsed, Values.of(parsed)) if ".env" in one.targets]
    assert [(setting.key, setting.aside, setting.computed) for one in found for setting in one.settings] == settings


def test_variables_are_put_in_whichever_branch_set_them() -> None:
    script = parse('if x; then F=a.env; else F=b.env; fi\n. "/srv/$F"')
    word = [command for command in script.commands() if isinstance(command, Command) and command.words][-1].words[1]
    assert Values.of(script).texts(word) == ("/srv/a.env", "/srv/b.env")
