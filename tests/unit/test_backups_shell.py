"""Shell scripts that write backups: each way of writing one, each way of keeping it private, and what is no backup at all."""

from __future__ import annotations

import pytest
from hypothesis import given

from interlock.facts.backup_shell import writers_in_shell
from interlock.facts.backup_writers import Care
from tests.strategies import shell_texts


def found(script: str, path: str = "scripts/job.sh") -> list[tuple[str, str, str]]:
    """Tool, target and care of every write."""
    read = writers_in_shell(path, script.encode())
    assert read.unread == ()
    return [(write.tool, write.target, write.care.value) for write in read.writes]


def cares(script: str, path: str = "scripts/job.sh") -> list[str]:
    return [care for _, _, care in found(script, path)]


# ---- ways of writing a backup, all of them under whatever umask the caller has


@pytest.mark.parametrize(
    ("script", "tool", "target"),
    [
        ("pg_dump app > app.sql", "pg_dump", "app.sql"),
        ("pg_dump app >> app.sql", "pg_dump", "app.sql"),
        ("pg_dump -Fc -f /srv/app.dump app", "pg_dump", "/srv/app.dump"),
        ("pg_dump --file=/srv/app.dump app", "pg_dump", "/srv/app.dump"),
        ("pg_dump -f/srv/app.dump app", "pg_dump", "/srv/app.dump"),
        ("pg_dump -Ovf app.dump app", "pg_dump", "app.dump"),
        ("/usr/lib/postgresql/16/bin/pg_dumpall > all.sql", "pg_dumpall", "all.sql"),
        ("pg_dumpall | gzip -9 > all.sql.gz", "pg_dumpall", "all.sql.gz"),
        ("pg_dump app | pv | zstd -T0 -o app.zst", "pg_dump", "app.zst"),
        ("pg_dump app | tee app.sql | wc -l", "pg_dump", "app.sql"),
        ("pg_dump app | gpg -e -r ops -o app.gpg", "pg_dump", "app.gpg"),
        ("pg_dump app | age -r age1x > app.age", "pg_dump", "app.age"),
        ("pg_dump app | openssl enc -aes-256-cbc -pass env:P -out app.enc", "pg_dump", "app.enc"),
        ("pg_dump app | split -b 1G - app.part.", "pg_dump", "app.part."),
        ("pg_dump app | dd of=app.sql", "pg_dump", "app.sql"),
        ("pg_dump app | cat > app.sql", "pg_dump", "app.sql"),
        ("pg_dump app > >(gzip > app.sql.gz)", "pg_dump", "app.sql.gz"),
        ("{ pg_dump app; } > app.sql", "pg_dump", "app.sql"),
        ("(pg_dump app) > app.sql", "pg_dump", "app.sql"),
        ("if pg_dump app > app.sql; then echo ok; fi", "pg_dump", "app.sql"),
        ("for db in a b; do pg_dump $db > $db.sql; done", "pg_dump", "$db.sql"),
        ("mysqldump --all-databases --result-file=all.sql", "mysqldump", "all.sql"),
        ("mariadb-dump -r all.sql app", "mariadb-dump", "all.sql"),
        ("mariabackup --backup --target-dir=/srv/mb", "mariabackup", "/srv/mb"),
        ("mariabackup --backup --stream=xbstream | zstd > mb.zst", "mariabackup", "mb.zst"),
        ("mydumper -o /srv/my", "mydumper", "/srv/my"),
        ("mongodump --archive=/srv/m.archive", "mongodump", "/srv/m.archive"),
        ("mongodump --archive --gzip > m.gz", "mongodump", "m.gz"),
        ("mongodump --out /srv/mongo", "mongodump", "/srv/mongo"),
        ("redis-cli --rdb /srv/dump.rdb", "redis-cli --rdb", "/srv/dump.rdb"),
        ("sqlite3 app.db '.backup /srv/app.bak'", "sqlite3", ".backup /srv/app.bak"),
        ("sqlite3 app.db .dump > app.sql", "sqlite3 .dump", "app.sql"),
        ("sqlite3 app.db \"VACUUM INTO '/srv/app.bak'\"", "sqlite3", "VACUUM INTO '/srv/app.bak'"),
        ("duckdb app.duckdb -c \"EXPORT DATABASE '/srv/out'\"", "duckdb", "EXPORT DATABASE '/srv/out'"),
        ("vault operator raft snapshot save /srv/vault.snap", "vault snapshot save", "/srv/vault.snap"),
        ("consul snapshot save consul.snap", "consul snapshot save", "consul.snap"),
        ("etcdctl --endpoints x snapshot save /srv/etcd.db", "etcdctl snapshot save", "/srv/etcd.db"),
        ('curl -sf -H "X-Vault-Token: $T" -o v.snap $V/v1/sys/storage/raft/snapshot', "curl", "v.snap"),
        ("slapcat -l /srv/ldap.ldif", "slapcat", "/srv/ldap.ldif"),
        ("tar -czf /srv/backup.tar.gz /data", "tar", "/srv/backup.tar.gz"),
        ("tar czf /srv/backup.tgz /data", "tar", "/srv/backup.tgz"),
        ("tar --create --file=/srv/backup.tar /data", "tar", "/srv/backup.tar"),
        ("tar -C / -cf - data | zstd > backup.tar.zst", "tar", "backup.tar.zst"),
        ("tar --use-compress-program='zstd -T0' -Pcvpf /srv/backup.tar.zst /data", "tar", "/srv/backup.tar.zst"),
        ("zip -qr backup.zip data", "zip", "backup.zip"),
        ("7z a backup.7z data", "7z", "backup.7z"),
        ("cp /data/app.db /srv/backups/app.db", "cp", "/srv/backups/app.db"),
        ("cp app.db app.db.bak", "cp", "app.db.bak"),
        ("cp .env .env.backup", "cp", ".env.backup"),
        ('cp "$DB" "$BACKUP_DIR/"', "cp", "$BACKUP_DIR/"),
        ("cat .env > .env.bak", "cat", ".env.bak"),
        ("gzip -c app.sqlite > backups/app.sqlite.gz", "gzip", "backups/app.sqlite.gz"),
        ("scp root@db:/data/app.db backups/", "scp", "backups/"),
        ("docker compose exec -T db pg_dump -U app app > app.sql", "pg_dump", "app.sql"),
        ("docker exec db sh -c 'pg_dump app | gzip' > app.sql.gz", "pg_dump", "app.sql.gz"),
        ("docker exec db pg_dump -f /tmp/app.sql app", "pg_dump", "/tmp/app.sql"),
        ("$DC exec -T db pg_dump app > app.sql", "pg_dump", "app.sql"),
        ("kubectl exec pg-0 -- pg_dumpall > all.sql", "pg_dumpall", "all.sql"),
        ("docker run --rm -v pg:/d:ro -v $PWD/out:/backup alpine tar czf /backup/pg.tgz /d", "tar", "/backup/pg.tgz"),
        ("docker cp db:/var/lib/app.db backups/app.db", "docker cp", "backups/app.db"),
        ("sudo -u postgres pg_dumpall > all.sql", "pg_dumpall", "all.sql"),
        ("su - postgres -c 'pg_dumpall > /tmp/all.sql'", "pg_dumpall", "/tmp/all.sql"),
        ("ssh db pg_dumpall > all.sql", "pg_dumpall", "all.sql"),
        ("timeout 60 nice -n 10 ionice -c3 env PGPASSWORD=x pg_dump app > app.sql", "pg_dump", "app.sql"),
        ("${NICE} pg_dump app | ${COMPRESS} > app.sql.gz", "pg_dump", "app.sql.gz"),
        ("PG=/usr/bin/pg_dump\n$PG app > app.sql", "pg_dump", "app.sql"),
        ('bash -c "pg_dump app > app.sql"', "pg_dump", "app.sql"),
        ("bash <<EOF\npg_dump app > app.sql\nEOF", "pg_dump", "app.sql"),
        ("eval 'pg_dump app > app.sql'", "pg_dump", "app.sql"),
        ("pg_dump app > $BACKUPS/$db.$(date +%F).sql", "pg_dump", "$BACKUPS/${db}.$(date +%F).sql"),
    ],
)
def test_a_backup_under_the_callers_umask_is_found(script: str, tool: str, target: str) -> None:
    assert found(script) == [(tool, target, "no-umask")]


@pytest.mark.parametrize(
    ("script", "tool", "target"),
    [
        ("mv app.db app.db.broken", "mv", "app.db.broken"),
        ("cp -a /data/app.db /srv/backups/", "cp", "/srv/backups/"),
        ("cp -p app.db app.db.bak", "cp", "app.db.bak"),
        ("rsync -a /var/lib/postgresql/ /srv/backups/pg/", "rsync", "/srv/backups/pg/"),
        ("mv data data.pre-upgrade", "mv", "data.pre-upgrade"),
    ],
)
def test_what_keeps_the_mode_of_its_source_is_told_apart(script: str, tool: str, target: str) -> None:
    assert found(script) == [(tool, target, "mode-inherited")]


# ---- ways of keeping it private


@pytest.mark.parametrize(
    "script",
    [
        "umask 077\npg_dump app > app.sql",
        "umask 0077; pg_dump app > app.sql",
        "umask 177 && pg_dump app > app.sql",
        "umask u=rwx,g=,o=\npg_dump app > app.sql",
        "umask go-rwx\npg_dump app > app.sql",
        "(umask 077; pg_dump app > app.sql)",
        "( umask 077 && pg_dump app | gzip > app.sql.gz )",
        "set -e\nif ! umask 077; then exit 1; fi\npg_dump app > app.sql",
        "umask 077 || exit 1\npg_dump app > app.sql",
        "dump() { pg_dump app > app.sql; }\numask 077\ndump",
        "private() { umask 077; }\nprivate\npg_dump app > app.sql",
        "dump() { pg_dump app > app.sql; }\nmain() { umask 077; dump; }\nmain",
        'dump() { pg_dump app > app.sql; }\numask 077\ncase "$1" in run) "$@" ;; esac',
        "umask 077\nbash -c 'pg_dump app > app.sql'",
        "docker exec db sh -c 'umask 077; pg_dump -f /tmp/x app'",
        "ssh db 'umask 077; pg_dump app > /srv/app.sql'",
        'mkdir -m 700 "$B"\npg_dump app > "$B/app.sql"',
        "mkdir -p -m 0700 /srv/b\npg_dump app > /srv/b/deep/er/app.sql",
        "mkdir -pm700 /srv/b; pg_dump app > /srv/b/app.sql",
        "install -d -m 0700 -o root /srv/b\npg_dump app > /srv/b/app.sql",
        'mkdir -p "$B" && chmod 700 "$B"\npg_dump app > "${B}/app.sql"',
        '[ -d "$B" ] || mkdir -m 700 "$B"\npg_dump app > "$B/app.sql"',
        'if [ ! -d "$B" ]; then mkdir "$B"; chmod go-rwx "$B"; fi\npg_dump app > "$B/app.sql"',
        "(umask 077; mkdir -p /srv/b)\npg_dump app > /srv/b/app.sql",
        "B=/srv/b\nmkdir -m 700 $B\ncd $B\npg_dump app > app.sql",
        "ROOT=/srv/b\nmkdir -m 700 $ROOT\nDEST=$ROOT/$(date +%F)\nmkdir -p $DEST\npg_dump app > $DEST/app.sql",
        "T=$(mktemp -d)\npg_dump app > $T/app.sql",
        "T=$(mktemp)\npg_dump app > $T",
        "T=$(mktemp /srv/backups/app.XXXXXX) || exit 1\npg_dump app > $T\nmv $T /srv/backups/app.sql",
        "install -m 600 /dev/null app.sql\npg_dump app > app.sql",
        "touch app.sql; chmod 600 app.sql; pg_dump app > app.sql",
        "install -m 0600 /data/app.db /srv/backups/app.db",
        "rsync -a --chmod=D700,F600 /var/lib/mysql/ /srv/backups/mysql/",
        "pg_dump -Fd -f /srv/app.d app",
        "pg_basebackup -D /srv/base",
        "umask 077\ncp app.db app.db.bak",
        "chmod 600 app.db\ncp app.db app.db.bak",
        "chmod 600 app.db\nmv app.db app.db.broken",
        "mv app.db app.db.broken\nchmod 600 app.db.broken",
        "mkdir -m 700 /srv/backups\nrsync -a /var/lib/mysql/ /srv/backups/mysql/",
        "umask 077\nmkdir -p /srv/backups\nmv app.db /srv/backups/",
        "docker run --rm -v pg:/d -v $B:/backup alpine sh -c 'umask 077; tar czf /backup/pg.tgz /d'",
        "mkdir -m 700 /srv/b\ndocker run --rm -v pg:/d -v /srv/b:/backup:z alpine tar czf /backup/pg.tgz /d",
        "mkdir -m 700 /srv/b\ndocker run --mount type=bind,source=/srv/b,target=/backup img tar czf /backup/pg.tgz /d",
        "pg_dumpall > /root/all.sql",
    ],
)
def test_a_backup_that_is_private_from_its_first_byte_is_held(script: str) -> None:
    assert set(cares(script)) == {"private"}


@pytest.mark.parametrize(
    "script",
    [
        "umask 022\npg_dump app > app.sql",
        "umask 027\npg_dump app > app.sql",
        "umask 077\numask 022\npg_dump app > app.sql",
        'old=$(umask)\numask 077\numask "$old"\npg_dump app > app.sql',
        "(umask 077)\npg_dump app > app.sql",
        "(umask 077; pg_dump app) > app.sql",  # the shell outside opens the file
        "echo $(umask 077)\npg_dump app > app.sql",
        "umask 077 | cat\npg_dump app > app.sql",
        "if [ $x ]; then umask 077; fi\npg_dump app > app.sql",
        "case $x in a) umask 077 ;; esac\npg_dump app > app.sql",
        "while false; do umask 077; done\npg_dump app > app.sql",
        "pg_dump app > app.sql\numask 077",
        "umask 077\nssh db 'pg_dump app > /srv/app.sql'",  # another machine, another umask
        "umask 077\ndocker exec db pg_dump -f /tmp/x app",
        "mkdir -m 750 /srv/b\npg_dump app > /srv/b/app.sql",
        "mkdir -m 700 /srv/b\nchmod 755 /srv/b\npg_dump app > /srv/b/app.sql",
        "mkdir -m 700 /srv/b\npg_dump app > /srv/bb/app.sql",
        "mkdir -m 700 /srv/b\nrm -rf /srv/b\nmkdir /srv/b\npg_dump app > /srv/b/app.sql",
        "T=$(mktemp -u)\npg_dump app > $T",
        "cd /srv\nmkdir -m 700 b\ncd /tmp\npg_dump app > b/app.sql",
    ],
)
def test_what_only_looks_private_is_not(script: str) -> None:
    assert cares(script) == ["no-umask"]


@pytest.mark.parametrize(
    "script",
    [
        "pg_dump app > app.sql\nchmod 600 app.sql",
        'pg_dump app > "$OUT" && chmod 0600 "${OUT}"',
        "pg_dump app | gzip > app.sql.gz\nchmod go= app.sql.gz",
        "pg_dump app > /srv/b/app.sql\nchmod -R 700 /srv/b",
        "pg_dump app > /srv/b/app.sql\nchmod 700 /srv/b",
        "pg_dump app > /srv/b/app.sql\nchmod 600 /srv/b/*.sql",
        "cd /srv/b\npg_dump app > app.sql\nchmod 600 /srv/b/app.sql",
        "pg_dump app > app.tmp\nmv app.tmp app.sql\nchmod 600 app.sql",
        "find /srv -exec true {} +\npg_dump app > /srv/b/app.sql\nfind /srv/b -type f -exec chmod 600 {} +",
        "cp app.db app.db.bak\nchmod 600 app.db.bak",
        "docker cp db:/app.db app.db.bak\nchmod 600 app.db.bak",
    ],
)
def test_a_chmod_afterwards_leaves_a_window(script: str) -> None:
    assert cares(script) == ["chmod-after"]


def test_what_is_opened_again_is_told() -> None:
    assert cares("umask 077\npg_dump app > app.sql\nchmod 644 app.sql") == ["widened"]
    assert cares("umask 077\npg_dump app > app.sql\nchmod a+r app.sql") == ["widened"]
    assert found('touch "$PWD/backup.json"\nchmod 666 "$PWD/backup.json"\nmytool export "$PWD/backup.json"') == [("chmod", "$PWD/backup.json", "widened")]


def test_a_file_made_without_care_is_told_once_under_its_first_name() -> None:
    assert found("pg_dump app > app.tmp\nmv app.tmp app.sql\ngzip app.sql") == [("pg_dump", "app.tmp", "no-umask")]


def test_the_worst_call_of_a_function_counts() -> None:
    assert cares("dump() { pg_dump app > app.sql; }\ndump\numask 077\ndump") == ["no-umask"]


def test_arguments_of_a_function_are_followed() -> None:
    assert cares('dump() { local to="$1"; pg_dump app > "$to/app.sql"; }\nB=/srv/b\nmkdir -m 700 "$B"\ndump "$B"') == ["private"]


def test_a_function_that_only_others_call_is_judged_too() -> None:
    (write,) = writers_in_shell("lib/backup.sh", b"dump_all() {\n  pg_dumpall > all.sql\n}\n").writes
    assert (write.scope, write.line, write.care) == ("dump_all", 2, Care.NO_UMASK)


def test_a_script_that_is_written_by_a_script_starts_with_a_umask_of_its_own() -> None:
    text = "umask 077\ncat > /etc/cron.daily/dump <<'EOF'\n#!/bin/sh\npg_dumpall > /srv/all.sql\nEOF\n"
    (write,) = writers_in_shell("setup.sh", text.encode()).writes
    assert (write.line, write.care) == (4, Care.NO_UMASK)


def test_terraform_templates_are_read_as_the_script_that_they_become() -> None:
    text = '%{ if backups ~}\nDEST="$${DEST:-/srv}"\npg_dump ${database} > "$${DEST}/app.sql"\n%{ endif ~}\n'
    (write,) = writers_in_shell("startup.sh.tpl", text.encode()).writes
    assert (write.line, write.care) == (3, Care.NO_UMASK)


# ---- what is no backup


@pytest.mark.parametrize(
    "script",
    [
        "pg_dump app",
        "pg_dump app | psql other",
        "pg_dump app | ssh other 'psql app'",
        "pg_dump app | ssh other 'cat > /srv/app.sql'",
        "pg_dump app > /dev/null",
        "pg_dump app | gzip | aws s3 cp - s3://bucket/app.gz",
        "pg_dump app | wc -c > size",
        "pg_dump app | sha256sum > sum",
        "pg_dump --schema-only app > schema.sql",
        "pg_dump -s app > schema.sql",
        "mysqldump --no-data app > schema.sql",
        "pg_dump --version > v",
        "pg_restore -d app app.dump",
        "redis-cli --no-auth-warning save",
        "sqlite3 app.db 'select 1' > out",
        "mariabackup --prepare --target-dir=/srv/mb",
        "tar -xzf backup.tar.gz -C /data",
        "tar xf backup.tar",
        "tar -tf backup.tar > list",
        "tar czf /tmp/release.tgz dist",
        "tar cz . | docker build -",
        "cp backups/app.db /data/app.db",
        "cp /srv/backups/app.db /other/backups/app.db",
        "mv app.db.bak app.db.bak.1",
        "cp nginx.conf nginx.conf.bak",
        "cp docker-compose.yml docker-compose.yml.bak",
        "cp README.md README.md.bak",
        "mv page.html page.html.bak",
        "sed -i.bak s/a/b/ .env",
        "cp key.pem key.pem.bak",
        "cp /certs/fullchain.pem /certs/backup/",
        'echo "$STATUS" > "$BACKUP_DIR/STATUS"',
        'date > "$BACKUP_DIR/log"',
        'docker exec x verify "$BACKUP_DIR/app.db" > "$BACKUP_DIR/verify.log" 2>&1',
        "rsync -a /srv/backups/ backup@far:/srv/",
        "rsync -a /var/lib/app.db backup@far:/backups/",
        "scp app.db far:/backups/",
        "restic backup /data",
        "borg create repo::backup /data",
        "docker run --rm img sh -c 'mysqldump app > /tmp/inside.sql'",
        "$TOOL app > backup.sql",
        '"$@" > backup.sql',
        "gunzip < backup.sql.gz | psql",
        "gzip -d backup.sql.gz",
        "gpg -d backup.gpg > app.sql",
        "chmod +x backup.sh",
        "chmod 755 /usr/local/bin/backup",
        "chmod 644 backup.list",
        "# pg_dump app > app.sql",
        "echo 'pg_dump app > app.sql'",
        "cat <<EOF\npg_dump app > app.sql\nEOF",
        "",
    ],
)
def test_what_is_no_backup_is_left_alone(script: str) -> None:
    assert found(script) == []


def test_settings_count_where_they_are_backed_up_with_the_rest() -> None:
    script = 'backup() {\n  cp app.conf "$BACKUP_LOCATION/today/"\n}\nbackup\n'
    assert found(script) == [("cp", "$BACKUP_LOCATION/today/", "no-umask")]
    assert found(script.replace("backup()", "prepare()").replace("\nbackup\n", "\nprepare\n")) == []


def test_an_archive_counts_when_its_script_or_function_says_what_it_is() -> None:
    assert cares("tar czf /srv/$(date +%F).tgz /data", "tools/backup.sh") == ["no-umask"]
    assert cares("make_backup() { tar czf /srv/$(date +%F).tgz /data; }") == ["no-umask"]
    assert cares("restore_backup() { tar czf /srv/$(date +%F).tgz /data; }", "tools/other.sh") == []


# ---- what cannot be read


def test_a_stretch_that_cannot_be_read_is_named_where_it_may_write_a_backup() -> None:
    read = writers_in_shell("b.sh", b"if true; then\n  pg_dump app > app.sql\n")
    assert [(unread.line, "could not be read as shell" in unread.why) for unread in read.unread] == [(1, True)]
    assert writers_in_shell("b.sh", b"if true; then\n  echo hello\n").unread == ()


def test_after_an_unreadable_umask_nothing_is_claimed() -> None:
    read = writers_in_shell("b.sh", b"umask 077 (x)\npg_dump app > app.sql\n")
    assert read.writes == ()
    assert 2 in {unread.line for unread in read.unread}


def test_functions_that_call_each_other_for_ever_end() -> None:
    assert cares("a() { b; b; }\nb() { a; a; pg_dump x > x.sql; }\na\n") == ["no-umask"]


@given(shell_texts())
def test_no_text_makes_it_raise(text: bytes) -> None:
    read = writers_in_shell("backup.sh", text)
    assert all(write.line >= 1 for write in read.writes)
