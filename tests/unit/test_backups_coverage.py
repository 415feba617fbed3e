"""Which engines are in some backup: the judgement on nouns, and both sides found in small trees that the real docker compose resolves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given

from interlock.commands.scan import site_of_tree
from interlock.facts.backup_coverage import BackupCoverage, Engine, Keeper, is_regular, keeps_state, takes_along
from interlock.facts.stack import Service
from interlock.judge.backup.coverage import judge_coverage
from interlock.observe.backup_coverage import backup_coverage
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Held, Outcome, Subject, Unproven, When
from tests.strategies import texts


def engine(**said: object) -> Engine:
    whole: dict[str, object] = {
        "chain": "prod", "folder": "", "service": "warehouse", "server": "PostgreSQL", "image": "postgres:16", "file": "compose.yaml", "line": 3,
        "volumes": frozenset({"pgdata", "shop_pgdata"}), "paths": frozenset(),
    }  # fmt: skip
    return Engine(**{**whole, **said})  # type: ignore[arg-type]


def keeper(text: str, path: str = "ops/nightly-backup.sh", service: str = "") -> Keeper:
    return Keeper(path=path, line=2, text=text, service=service)


@pytest.mark.parametrize(
    "text",
    [
        "docker compose exec -T warehouse pg_dump shop > shop.dump",
        "pg_dumpall -h 127.0.0.1 | gzip > all.gz",
        "kubectl exec db -- pg_basebackup -D -",
        "docker run --rm -v shop_pgdata:/from alpine tar cz /from > pgdata.tgz",
        'docker run --volumes-from "$(docker compose ps -q warehouse)" alpine tar cz /var/lib/postgresql',
        "for volume in pgdata uploads; do tar_volume $volume; done",
        "for service in app warehouse; do dump_$service; done",
        "for volume in $(docker volume ls -q); do tar czf $volume.tgz $volume; done\nrsync -a $ROOT /mnt",
    ],
)
def test_a_backup_that_names_the_engines_program_volume_or_service_takes_it_along(text: str) -> None:
    assert takes_along(keeper(text), engine())


@pytest.mark.parametrize(
    "text",
    [
        "cp /srv/app/shop.sqlite /srv/backups/",
        "mysqldump shop > shop.sql",
        "docker compose stop warehouse",
        "docker exec shop-app-1 python verify.py",
        "tar czf config.tgz /etc/shop",
        "rsync -a uploads/ /mnt/backups/",
    ],
)
def test_a_backup_of_other_things_does_not(text: str) -> None:
    assert not takes_along(keeper(text), engine())


@pytest.mark.parametrize(
    "text", ["tar czf x.tgz /srv/pg", "restic backup /srv", "cp -a state /mnt/b", "tar czf x.tgz ./state/pg", "rsync -a . host:/b", 'borg create r "$ROOT"']
)
def test_a_copy_of_a_directory_takes_along_what_lies_below(text: str) -> None:
    assert takes_along(keeper(text), engine(volumes=frozenset(), paths=frozenset({"/srv/pg", "state/pg"})))


@pytest.mark.parametrize("text", ["tar czf x.tgz /srv/pg-old", "cp -a statement /mnt", "restic backup /srv/other"])
def test_a_copy_of_a_directory_beside_it_does_not(text: str) -> None:
    assert not takes_along(keeper(text), engine(volumes=frozenset(), paths=frozenset({"/srv/pg", "state/pg"})))


def test_a_volume_with_a_common_name_is_named_only_where_it_stands_as_a_volume() -> None:
    of_data = engine(volumes=frozenset({"data"}))
    assert not takes_along(keeper("cp /data/state/app.sqlite /data/backups"), of_data)
    assert takes_along(keeper("docker run -v data:/from alpine tar cz /from"), of_data)
    assert takes_along(keeper("tar cz /mnt/volumes/shop_data"), of_data)


@pytest.mark.parametrize(
    ("text", "beside"),
    [
        ("example/postgres-backup-local:16\n@daily", True),
        ("example/db-backup\nwarehouse\npgsql", True),
        ("example/volume-backup\npgdata", True),
        ("example/db-backup\nDB_TYPE=mysql\nother", False),
    ],
)
def test_a_sidecar_is_told_by_its_image_its_settings_or_its_mounts_what_it_backs_up(text: str, beside: bool) -> None:
    assert takes_along(keeper(text, path="compose.yaml", service="saver"), engine()) is beside


@pytest.mark.parametrize(
    ("image", "command", "kept"),
    [
        ("postgres:16-alpine", "", True),
        ("registry.example.org/ops/mariadb:11", "", True),
        ("mongo", "", True),
        ("minio/minio", "server /data", True),
        ("redis:7", "", False),
        ("redis:7", "redis-server --appendonly yes", True),
        ("redis:7", 'redis-server --save "" --appendonly no', False),
        ("memcached", "", False),
        ("rabbitmq:3", "", False),
        ("elasticsearch:8.1.0", "", False),
        ("nginx", "", False),
    ],
)
def test_caches_queues_and_indexes_keep_nothing_that_is_asked_for(image: str, command: str, kept: bool) -> None:
    service = Service(name="store", image=image, environment={}, mounts=(), ports=(), command=tuple(command.split()))
    assert (keeps_state(service) is not None) is kept


@pytest.mark.parametrize(
    ("name", "regular"),
    [
        ("ops/backup.sh", True),
        ("ops/backup_and_restore.sh", True),
        ("db-dump.sh", True),
        ("backup/run.sh", True),
        ("restore-backup.sh", False),
        ("prune_backups.sh", False),
        ("pre-upgrade-backup.sh", False),
        ("migrate_with_backup.py", False),
        ("deploy.sh", False),
    ],
)
def test_what_makes_backups_again_and_again_says_so_by_its_name(name: str, regular: bool) -> None:
    assert is_regular(name) is regular


@given(texts(), texts())
def test_reading_what_a_backup_takes_along_never_fails(text: str, name: str) -> None:
    takes_along(keeper(text), engine(service=name or "x", volumes=frozenset({name}), paths=frozenset({name})))


def test_without_anything_that_makes_backups_nothing_is_judged() -> None:
    judged = judge_coverage(BackupCoverage(keepers=(), engines=(engine(),)))
    assert isinstance(judged, Held)
    assert judged.message.startswith("nothing in this tree makes backups")


def test_the_place_is_the_script_that_backs_up_the_neighbours() -> None:
    scripts = (keeper("tar cz uploads", path="a/backup.sh"), keeper("mysqldump shop", path="ops/backup.sh"))
    seen = BackupCoverage(keepers=scripts, engines=(engine(), engine(service="shop", server="MySQL", volumes=frozenset())))
    judged = judge_coverage(seen)
    assert isinstance(judged, Broken)
    (missing,) = [detail for detail in judged.details if detail.outcome is Outcome.BROKEN]
    assert (missing.what, missing.kind, missing.file, missing.line) == ("compose.yaml: warehouse", "not-backed-up", "ops/backup.sh", 2)
    assert "warehouse of compose.yaml:3 (PostgreSQL, chain prod) is in no backup" in missing.message


def test_a_backup_of_another_stack_says_nothing_of_this_one() -> None:
    other = BackupCoverage(keepers=(keeper("tar cz uploads", path="stacks/blog/backup.sh"),), engines=(engine(folder="stacks/shop"),))
    assert isinstance(judge_coverage(other), Held)


def test_a_folder_that_only_keeps_the_compose_files_is_no_stack_of_its_own() -> None:
    beside = BackupCoverage(keepers=(keeper("tar cz uploads", path="bin/backup.sh"),), engines=(engine(folder="deploy/compose"),))
    assert isinstance(judge_coverage(beside), Broken)


@pytest.mark.parametrize(
    ("path", "text", "accused"),
    [
        ("ops/backup.sh", "tar cz uploads", True),
        ("tools/backup.py", "subprocess.run(['pg_dump', 'blog'])", True),
        ("tools/dump_pages.py", "write_dump(pages)", False),
        ("app/commands/snapshot.py", "take_snapshot(table)", False),
        ("images/push_backup.py", "boto3.client('s3').upload(backup)", False),
    ],
)
def test_a_program_that_dumps_something_else_does_not_mean_that_the_tree_backs_up_its_stack(path: str, text: str, accused: bool) -> None:
    judged = judge_coverage(BackupCoverage(keepers=(keeper(text, path=path),), engines=(engine(service="letters", server="MongoDB"),)))
    assert isinstance(judged, Broken) is accused


def test_what_the_site_excludes_or_backs_up_by_a_module_is_settled() -> None:
    none = (keeper("tar cz uploads"),)
    assert isinstance(judge_coverage(BackupCoverage(keepers=none, engines=(engine(left_out="made again every night"),))), Held)
    assert isinstance(judge_coverage(BackupCoverage(keepers=none, engines=(engine(module="warehouse"),))), Held)
    assert isinstance(judge_coverage(BackupCoverage(keepers=none, engines=(engine(module="warehouse", procedure="ops/nightly-backup.sh"),))), Broken)


def test_a_chain_that_cannot_be_resolved_is_unproven_where_backups_are_made() -> None:
    assert isinstance(judge_coverage(BackupCoverage(keepers=(keeper("tar cz x"),), engines=(), unresolved=("prod",))), Unproven)


# ---- in a tree


COMPOSE = """\
services:
  app: {image: example/app}
  warehouse:
    image: postgres:16
    volumes: [pgdata:/var/lib/postgresql/data]
  cache:
    image: redis:7
    volumes: [cache:/data]
volumes: {pgdata: , cache: }
"""


def judged(folder: Path, **files: str) -> Held | Broken | Unproven:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    site = site_of_tree(folder)
    world = World(site=site, gates=frozenset({When.STATIC}), tree=Tree(folder, patient=True), hosts={}, environ=os.environ)
    return judge_coverage(backup_coverage(world, Subject(name="backups")))


def test_an_engine_that_an_overlay_adds_has_to_be_backed_up(tmp_path: Path) -> None:
    base = "services: {app: {image: example/app, volumes: [/srv/app:/data]}}\n"
    files = {"compose_DOT_yaml": base, "compose_DOT_warehouse_DOT_yaml": COMPOSE, "ops__backup_DOT_sh": "#!/bin/sh\ncp /srv/app/shop.sqlite /srv/backups/\n"}
    found = judged(tmp_path, **files)
    assert isinstance(found, Broken)
    assert [(one.kind, one.file, one.line) for one in found.details if one.outcome is Outcome.BROKEN] == [("not-backed-up", "ops/backup.sh", 2)]
    assert "compose.warehouse.yaml:3" in found.message


@pytest.mark.parametrize(
    "files",
    [
        {"Makefile": "backup:\n\tdocker compose exec -T warehouse pg_dump shop > shop.dump\n"},
        {"tools__backup_DOT_py": "import subprocess\nsubprocess.run(['pg_dump', 'shop'])\n"},
        {"deploy__crontab": "0 3 * * * /usr/bin/pg_dump shop > /srv/backups/shop.dump\n"},
        {"compose_DOT_backup_DOT_yaml": "services: {backup: {image: 'example/volume-backup', volumes: ['pgdata:/backup/pgdata:ro']}}\n"},
    ],
    ids=["a make target", "a program", "a crontab", "a sidecar of another file"],
)
def test_whatever_makes_backups_counts(tmp_path: Path, files: dict[str, str]) -> None:
    found = judged(tmp_path, compose_DOT_yaml=COMPOSE, **files)
    assert isinstance(found, Held), found


def test_a_sidecar_for_one_engine_leaves_the_other_out(tmp_path: Path) -> None:
    two = COMPOSE.replace(
        "  cache:", "  letters: {image: 'mongo:7', volumes: ['letters:/data/db']}\n  saver: {image: 'example/postgres-backup-local:16'}\n  cache:", 1
    )
    found = judged(tmp_path, compose_DOT_yaml=two.replace("cache: }", "cache: , letters: }"))
    assert isinstance(found, Broken)
    assert [one.what for one in found.details if one.outcome is Outcome.BROKEN] == ["compose.yaml: letters"]


def test_a_stack_for_development_is_not_asked(tmp_path: Path) -> None:
    assert isinstance(judged(tmp_path, compose_DOT_dev_DOT_yaml=COMPOSE, ops__backup_DOT_sh="tar cz /srv/app\n"), Held)
