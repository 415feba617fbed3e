"""Which failures of a backup, a restore or a migration are lost before a script goes on, and which are not? The shell's own rules, one by one."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import given

from interlock.facts import pythoncode
from interlock.facts.lost_failures import How, LostFailure, Strict, lost_failures
from interlock.facts.lost_failures_python import lost_in_python, swallows
from interlock.facts.shell import parse
from interlock.facts.steps import Then
from tests.strategies import shell_texts

LAX, STRICT, PIPEFAIL = "", "set -e\n", "set -euo pipefail\n"


def lost(text: str, *, strict: Strict | None = None) -> tuple[LostFailure, ...]:
    return lost_failures(parse(textwrap.dedent(text)), strict=strict or Strict())


def shown(text: str, *, strict: Strict | None = None) -> list[tuple[str, How, Then]]:
    return [(one.step.name, one.how, one.goes_on.then) for one in lost(text, strict=strict)]


# ---- lost


@pytest.mark.parametrize(
    ("text", "how", "then"),
    [
        # nobody looks
        ("pg_dump shop > shop.sql\ndocker compose pull", How.UNCHECKED, Then.UPGRADES),
        ("pg_dump shop > shop.sql; docker compose pull; docker compose up -d", How.UNCHECKED, Then.UPGRADES),
        ("mysqldump shop > /backups/new.sql\nfind /backups -mtime +7 -delete", How.UNCHECKED, Then.DELETES),
        ("mongodump --out /b/new\nrm -rf /var/lib/mongodb/*", How.UNCHECKED, Then.DELETES),
        ("sudo -u postgres pg_dumpall > all.sql\napt-get -y upgrade", How.UNCHECKED, Then.UPGRADES),
        ("docker exec db pg_dump shop > shop.sql\ngit pull", How.UNCHECKED, Then.UPGRADES),
        ("docker compose exec -T db mariadb-dump shop > s.sql\ndocker compose down -v", How.UNCHECKED, Then.DELETES),
        ("tar czf /srv/backup.tgz /data\ndocker volume rm shop_data", How.UNCHECKED, Then.DELETES),
        ("restic backup /data\nrestic forget --keep-last 3 --prune", How.UNCHECKED, Then.DELETES),
        ("borg create ::now /data\nborg prune --keep-daily 7", How.UNCHECKED, Then.DELETES),
        ("./backup.sh\ngit pull\ndocker compose up -d", How.UNCHECKED, Then.UPGRADES),
        ("bash scripts/backup-db.sh\nalembic upgrade head", How.UNCHECKED, Then.CHANGES),
        ("alembic upgrade head\nexec gunicorn shop:app", How.UNCHECKED, Then.STARTS),
        ('python manage.py migrate\nexec "$@"', How.UNCHECKED, Then.STARTS),
        ("bundle exec rails db:migrate\nbundle exec puma", How.UNCHECKED, Then.STARTS),
        ("pg_restore -d shop /b/shop.dump\nrm /b/shop.dump", How.UNCHECKED, Then.DELETES),
        ("psql shop < /backups/shop.sql\ndocker compose up -d", How.UNCHECKED, Then.STARTS),
        ("gunzip -c backup.sql.gz | mysql shop\necho 'Restore completed'", How.UNCHECKED, Then.REPORTS),
        ("pg_dump shop > shop.sql\necho 'Backup completed successfully'", How.UNCHECKED, Then.REPORTS),
        ("pg_dump shop > shop.sql\naws s3 cp shop.sql s3://vault/", How.UNCHECKED, Then.KEEPS),
        ("docker run --rm db sh -c 'mariabackup --backup --target-dir=/b ; tar czf /out/b.tgz /b'", How.UNCHECKED, Then.KEEPS),
        ("set -e\nset +e\npg_dump shop > s\ngit pull", How.UNCHECKED, Then.UPGRADES),
        ('if [ -n "$1" ]; then\n  pg_dump shop > s\nfi\ngit pull', How.UNCHECKED, Then.UPGRADES),
        ("for db in a b; do pg_dump $db > $db.sql; done\ngit pull", How.UNCHECKED, Then.UPGRADES),
        ("case $1 in all) pg_dump shop > s ;; esac\ngit pull", How.UNCHECKED, Then.UPGRADES),
        ("set -e\nsave() {\n  local out=$(pg_dump shop)\n  git pull\n}\nsave", How.UNCHECKED, Then.UPGRADES),
        # the pipe
        ("set -e\npg_dump shop | gzip > shop.gz\ndocker compose pull", How.PIPE, Then.UPGRADES),
        ("set -e\npg_dump shop | gzip > shop.gz || exit 1\ngit pull", How.PIPE, Then.UPGRADES),
        ("pg_dump shop | gzip > shop.gz\nif [ $? -ne 0 ]; then exit 1; fi\ngit pull", How.PIPE, Then.UPGRADES),
        ("if pg_dump shop | gzip > shop.gz; then\n  find /b -name '*.sql.gz' -mtime +3 -delete\nfi", How.PIPE, Then.DELETES),
        ("pg_dump shop | gzip > shop.gz && rm -rf /backups/old", How.PIPE, Then.DELETES),
        ("set -e\n./backup.sh 2>&1 | tee -a log\ngit pull", How.PIPE, Then.UPGRADES),
        ("set -euo pipefail\ndocker exec db sh -c 'pg_dump shop | gzip > /b/s.gz'\ngit pull", How.PIPE, Then.UPGRADES),
        ("set -e\nrun() {\n  mysqldump shop | zstd > s.zst\n}\nrun\ngit pull", How.PIPE, Then.UPGRADES),
        # ignored, or only told
        ("set -e\npg_dump shop > s || true\ngit pull", How.IGNORED, Then.UPGRADES),
        ("set -e\npg_dump shop > s || :\ngit pull", How.IGNORED, Then.UPGRADES),
        ("set -e\npg_dump shop > s || echo 'no backup'\ngit pull", How.IGNORED, Then.UPGRADES),
        ("set -e\npg_dump shop > s || { echo 'no backup' >&2; }\ngit pull", How.IGNORED, Then.UPGRADES),
        ("set -e\nlog() { echo \"$*\" | tee -a log; }\npg_dump shop > s || log 'no backup'\ngit pull", How.IGNORED, Then.UPGRADES),
        ("set -e\npg_dump shop > s && echo ok || echo failed\ngit pull", How.IGNORED, Then.UPGRADES),
        ("set -e\nif ! pg_dump shop > s; then\n  echo 'no backup'\nfi\ngit pull", How.ONLY_TOLD, Then.UPGRADES),
        ("set -e\nif pg_dump shop > s; then\n  echo ok\nelse\n  log_warn failed\nfi\nalembic upgrade head", How.ONLY_TOLD, Then.CHANGES),
        ("set -e\nif pg_dump shop > s; then\n  echo ok\nfi\ngit pull", How.ONLY_TOLD, Then.UPGRADES),
        ("set -e\nalembic upgrade head || true\nexec uvicorn shop:app", How.IGNORED, Then.STARTS),
        ("set -e\npg_dump shop > s && echo ok\ngit pull", How.UNCHECKED, Then.UPGRADES),
        # set -e where it does not count
        ("set -e\nsave() {\n  pg_dump shop > s\n  echo saved\n}\nif save; then\n  git pull\nfi", How.IN_CONDITION, Then.UPGRADES),
        ("set -e\nsave() {\n  pg_dump shop > s\n  echo saved\n}\nsave || exit 1\ngit pull", How.IN_CONDITION, Then.UPGRADES),
        ("set -e\nsave() {\n  pg_dump shop > s\n  echo saved\n}\nsave && git pull", How.IN_CONDITION, Then.UPGRADES),
        ("set -e\nup() {\n  manage.py migrate\n  manage.py collectstatic\n}\nif ! up; then exit 1; fi\nexec gunicorn shop", How.IN_CONDITION, Then.STARTS),
        # the wrong end
        ("set -e\npg_dump shop > s || exit 0\ngit pull", How.EXIT_ZERO, Then.REPORTS),
        ("pg_dump shop > s || { echo failed; exit 0; }", How.EXIT_ZERO, Then.REPORTS),
        ("if ! alembic upgrade head; then\n  echo failed\n  exit 0\nfi", How.EXIT_ZERO, Then.REPORTS),
    ],
)
def test_a_failure_that_is_lost_before_the_script_goes_on(text: str, how: How, then: Then) -> None:
    assert [(found[1], found[2]) for found in shown(text)] == [(how, then)]


# ---- not lost


@pytest.mark.parametrize(
    "text",
    [
        # the script stops
        "set -e\npg_dump shop > s\ngit pull",
        "set -euo pipefail\npg_dump shop | gzip > s.gz\ngit pull",
        "set -e -o pipefail\npg_dump shop | gzip > s.gz\ngit pull",
        "set -o errexit\nset -o pipefail\npg_dump shop | gzip > s.gz\ngit pull",
        "trap 'exit 1' ERR\npg_dump shop > s\ngit pull",
        "set -e\nsave() {\n  pg_dump shop > s\n  echo saved\n}\nsave\ngit pull",
        "set -e\nx=$(pg_dump shop)\ngit pull",
        "set -e\n( pg_dump shop > s )\ngit pull",
        "set -e\nfor db in a b; do pg_dump $db > $db.sql; done\ngit pull",
        "docker exec db bash -ec 'pg_dump shop > /b/s; gzip /b/s' || exit 1\ngit pull",
        "docker exec db bash -c 'set -o pipefail; pg_dump shop | gzip > /b/s' || exit 1\ngit pull",
        # somebody acts
        "pg_dump shop > s || exit 1\ngit pull",
        "pg_dump shop > s || { echo failed >&2; exit 1; }\ngit pull",
        "pg_dump shop > s || die 'no backup'\ngit pull",
        'fail() { echo "$1"; exit 1; }\npg_dump shop > s || fail no\ngit pull',
        "pg_dump shop > s || return 1\ngit pull",
        "if ! pg_dump shop > s; then echo failed; exit 1; fi\ngit pull",
        "if pg_dump shop > s; then\n  git pull\nelse\n  echo failed\nfi",
        "if pg_dump shop > s; then echo ok; else echo failed; exit 1; fi\ngit pull",
        "pg_dump shop > s && git pull",
        "pg_dump shop > s && gzip s && find /backups -mtime +7 -delete",
        # a counter, a status
        "failed=0\npg_dump shop > s || failed=1\ngit pull",
        "for db in a b; do pg_dump $db > $db || errors=$((errors + 1)); done\nfind /backups -mtime +7 -delete",
        "pg_dump shop > s\nif [ $? -ne 0 ]; then exit 1; fi\ngit pull",
        "pg_dump shop > s\nrc=$?\n[ $rc -eq 0 ] || exit $rc\ngit pull",
        "pg_dump shop | gzip > s.gz\nif [ ${PIPESTATUS[0]} -ne 0 ]; then exit 1; fi\ngit pull",
        'pg_dump shop | gzip > s.gz\nstatus=("${PIPESTATUS[@]}")\ngit pull',
        "set -e\nsave() {\n  pg_dump shop > s || return 1\n  echo saved\n}\nif save; then git pull; fi",
        "set -e\nsave() {\n  echo saving\n  pg_dump shop > s\n}\nif save; then git pull; fi",
        "until pg_dump shop > s; do sleep 5; done\ngit pull",
        # somebody looks at what was made
        'pg_dump shop > "$file"\n[ -s "$file" ] || exit 1\ngit pull',
        'pg_dump shop | gzip > "$file"\nif ! gzip -t "$file"; then exit 1; fi\ngit pull',
        "pg_dump -f /b/shop.sql shop\nif [ ! -s /b/shop.sql ]; then exit 1; fi\ngit pull",
        # nothing relies on it
        "pg_dump shop > s",
        "pg_dump shop | gzip > s.gz",
        "pg_dump shop > s || true",
        "pg_dump shop > s || echo failed",
        "docker compose stop app\ntar czf /b/backup.tgz /data\ndocker compose start app",
        "docker compose down\ntar czf /b/backup.tgz /data\ndocker compose up -d",
        "pg_dump shop > s\ndocker compose up -d",
        'pg_dump shop > "$tmp"\nrm -f "$tmp"',
        "pg_dump --schema-only shop > s.sql\ngit pull",
        "pg_dump --version\ngit pull",
        "pg_restore --list x.dump\ngit pull",
        "alembic current\nexec gunicorn shop",
        "source lib/backup.sh\ngit pull",
        "restic restore a\nrestic restore b",
        "alembic upgrade head\nalembic -n other upgrade head",
        "tar xzf backup.tgz\ngit pull",
        "cp -a /etc/nginx /root/backup\napt-get -y upgrade",
        "echo 'pg_dump shop'\ngit pull",
        # another way
        "case $1 in backup) pg_dump shop > s ;; update) git pull ;; esac",
        'if [ "$1" = backup ]; then pg_dump shop > s; exit; fi\ngit pull',
        "backup() { pg_dump shop > s; }\nupdate() { git pull; }\ncase $1 in b) backup ;; u) update ;; esac",
    ],
)
def test_a_failure_that_somebody_hears_of_or_that_nothing_relies_on(text: str) -> None:
    assert shown(text) == []


def test_an_interpreter_or_another_script_can_set_the_options() -> None:
    text = "pg_dump shop | gzip > s.gz\ngit pull"
    assert shown(text, strict=Strict(errexit=True, pipefail=True)) == []
    assert shown(text, strict=Strict(errexit=True)) == [("pg_dump", How.PIPE, Then.UPGRADES)]


def test_the_gravest_of_what_follows_is_told() -> None:
    (found,) = lost("pg_dump shop > s\necho 'backup completed'\ngit pull\nfind /backups -mtime +7 -delete")
    assert (found.step.line, found.goes_on.then, found.goes_on.line) == (1, Then.DELETES, 4)


def test_a_function_that_nothing_calls_is_followed_by_itself() -> None:
    assert shown("update() {\n  pg_dump shop > s\n  git pull\n}") == [("pg_dump", How.UNCHECKED, Then.UPGRADES)]
    assert shown("set -e\nupdate() {\n  pg_dump shop > s\n  git pull\n}") == []


@given(shell_texts())
def test_whatever_the_text_there_is_an_answer(text: bytes) -> None:
    assert all(one.step.line >= 1 for one in lost_failures(parse(text), strict=Strict()))


# ---- Python


def in_python(text: str) -> list[tuple[str, How, Then]]:
    data = textwrap.dedent(text).encode()
    assert swallows(data)
    return [(one.step.name, one.how, one.goes_on.then) for one in lost_in_python(pythoncode.parse(data))]


BEGIN = "import logging, os, shutil, subprocess, sys\nfrom alembic import command\nlog = logging.getLogger()\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "try:\n    backup_database()\nexcept Exception as error:\n    log.warning('no backup: %s', error)\nmigrate()",
            ("backup_database()", How.ONLY_TOLD, Then.CHANGES),
        ),
        (
            "try:\n    subprocess.run(['pg_dump', 'shop'], check=True)\nexcept Exception:\n    pass\ncommand.upgrade(cfg, 'head')",
            ("pg_dump", How.IGNORED, Then.CHANGES),
        ),
        (
            "def up():\n    try:\n        command.upgrade(cfg, 'head')\n    except Exception:\n        log.exception('x')\n    uvicorn.run(app)",
            ("alembic upgrade", How.ONLY_TOLD, Then.STARTS),
        ),
        (
            "subprocess.run(['pg_dump', '-f', 'x', 'shop'])\nsubprocess.run(['docker', 'compose', 'pull'], check=True)",
            ("pg_dump", How.UNCHECKED, Then.UPGRADES),
        ),
        ("os.system('mysqldump shop > x.sql')\nshutil.rmtree(data_dir)", ("mysqldump", How.UNCHECKED, Then.DELETES)),
        (
            "try:\n    restore_database()\nexcept (OSError, subprocess.CalledProcessError):\n    print('failed')\ndrop_old_tables()",
            ("restore_database()", How.ONLY_TOLD, Then.DELETES),
        ),
        ("try:\n    create_backup()\nexcept Exception:\n    print('no backup')\n    sys.exit(0)", ("create_backup()", How.EXIT_ZERO, Then.REPORTS)),
        (
            "def f():\n    with lock:\n        try:\n            self.backup()\n        except:\n            pass\n        self.cutover()",
            ("backup()", How.IGNORED, Then.CHANGES),
        ),
    ],
)
def test_a_program_that_goes_on(text: str, found: tuple[str, How, Then]) -> None:
    assert in_python(BEGIN + text) == [found]


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    backup_database()\nexcept Exception:\n    log.exception('x')\n    raise\nmigrate()",
        "try:\n    backup_database()\nexcept Exception:\n    log.exception('x')\n    sys.exit(1)\nmigrate()",
        "def f():\n    try:\n        backup_database()\n    except Exception:\n        return False\n    migrate()",
        "try:\n    backup_database()\nexcept Exception:\n    failed = True\nmigrate()",
        "try:\n    backup_database()\n    migrate()\nexcept Exception:\n    log.exception('x')",
        "try:\n    backup_database()\nexcept Exception:\n    log.exception('x')\nelse:\n    migrate()",
        "try:\n    backup_database()\nexcept KeyError:\n    pass\nmigrate()",
        "done = subprocess.run(['pg_dump', 'shop'])\nif done.returncode:\n    sys.exit(done.returncode)\nsubprocess.run(['docker', 'compose', 'pull'])",
        "subprocess.run(['pg_dump', 'shop'], check=True)\nsubprocess.run(['docker', 'compose', 'pull'])",
        "try:\n    backup_database()\nexcept Exception:\n    log.warning('x')\nsend_mail()",
        "try:\n    client.backup()\nexcept Exception:\n    log.warning('x')\nclient.migrate()",
    ],
)
def test_a_program_that_stops_or_says_so(text: str) -> None:
    assert in_python(BEGIN + text) == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"print()\n",
        b"subprocess.check_call(['pg_dump'])\nmigrate()\n",
        b"subprocess.Popen(['pg_dump']).wait()\n",
        b"try:\n    x()\nexcept Exception:\n    pass\n",
        b"backup_database()\n",
    ],
)
def test_a_program_that_names_no_step_or_loses_nothing_is_not_parsed(data: bytes) -> None:
    assert not swallows(data)


def test_a_program_that_cannot_be_parsed_says_nothing() -> None:
    assert list(lost_in_python(pythoncode.parse(b"def f(:\n"))) == []
