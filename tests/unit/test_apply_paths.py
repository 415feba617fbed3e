"""The ways by which a stack is changed, from small trees: what is a lock, a look at the disk, a backup, and what their failure comes to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings

from interlock.commands.scan import site_of_tree
from interlock.facts.apply_paths import ApplyPaths, Starts, mounted_by, mounted_in_fstab
from interlock.facts.calls import Calls, Place, Start
from interlock.facts.path_steps import Said, Step, hear
from interlock.judge.apply_paths import judge_approval_gate, judge_before_apply, judge_exclusive_lock, judge_never_automatic, judge_state_disk_gate
from interlock.observe.apply_paths import apply_paths
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Held, Unproven, When
from tests.strategies import shell_texts

Judge = Callable[[ApplyPaths], Held | Broken | Unproven]
COMPOSE = "services:\n  db:\n    image: postgres:16\n    volumes: ['/srv/state/db:/var/lib/postgresql/data']\n"
PLAIN = "services:\n  db:\n    image: postgres:16\n    volumes: ['db:/var/lib/postgresql/data']\nvolumes:\n  db:\n"
UP = "docker compose pull\ndocker compose up -d\n"
CRON = "*/5 * * * * root /srv/shop/bin/update.sh\n"
BACKUP = "#!/bin/sh\nset -e\npg_dump -f /backups/shop.sql shop\n"


def workflow(run: str, *, runs_on: str = "ubuntu-latest", more: str = "") -> str:
    """A workflow that a push starts, with one step."""
    return f"on: push\n{more}jobs:\n  d:\n    runs-on: {runs_on}\n    steps:\n      - run: {run}\n"


@pytest.fixture
def seen(tmp_path: Path) -> Callable[[Mapping[str, str]], ApplyPaths]:
    def look(files: Mapping[str, str]) -> ApplyPaths:
        for path, text in {"compose.yaml": PLAIN, **files}.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        site = site_of_tree(tmp_path)
        return apply_paths(World(site=site, gates=frozenset({When.STATIC}), tree=Tree(tmp_path, patient=True), hosts={}, environ=os.environ))

    return look


Seen = Callable[[Mapping[str, str]], ApplyPaths]


def kinds(judge: Judge, found: ApplyPaths) -> set[tuple[str, str]]:
    judged = judge(found)
    return {(detail.what, detail.kind) for detail in judged.details} if isinstance(judged, Broken) else set()


# ---- a lock

LOCKS = {
    "flock on a descriptor": "exec 9>/run/lock/shop\nflock -n 9 || exit 0\n",
    "flock that waits": "exec 200>/run/lock/shop\nflock 200\n",
    "flock in a test": "exec 9>/run/x\nif ! flock -xn 9; then\n  echo busy\n  exit 1\nfi\n",
    "flock under errexit": "set -euo pipefail\nexec {fd}>/run/x\nflock --nonblock $fd\n",
    "the script locks itself": '[ "${FLOCKER}" != "$0" ] && exec env FLOCKER="$0" flock -en "$0" "$0" "$@" || :\n',
    "a directory": 'LOCK=/run/shop.lock\nif ! mkdir "$LOCK" 2>/dev/null; then exit 1; fi\n',
    "a directory, shortly": "mkdir /tmp/shop.lock || exit 1\n",
    "lockfile": "lockfile -r 0 /tmp/shop.lock || exit 1\n",
    "noclobber": "set -o noclobber\necho $$ > /run/shop || exit 1\n",
    "a pid file": 'if [ -f /run/shop.pid ] && kill -0 "$(cat /run/shop.pid)"; then exit 0; fi\necho $$ > /run/shop.pid\n',
    "another run is looked for": 'if pgrep -f "[u]pdate.sh" > /dev/null; then exit; fi\n',
    "a function": 'acquire_lock() { exec 9>/run/x; flock -n 9 || die busy; }\ndie() { echo "$1"; exit 1; }\nacquire_lock\n',
    "a function of another file": '. "$(dirname "$0")/lib.sh"\nsingle_instance_lock || exit 1\n',
}


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_a_lock_in_any_form_is_a_lock(seen: Seen, lock: str) -> None:
    assert kinds(judge_exclusive_lock, seen({"ops/crontab": CRON, "bin/update.sh": f"#!/bin/bash\n{lock}{UP}"})) == set()


NO_LOCKS = {
    "nothing": "",
    "a shared lock": "exec 9>/run/x\nflock -s -n 9 || exit 0\n",
    "it is released": "exec 9>/run/x\nflock -u 9\n",
    "a directory that may be there": "mkdir -p /run/lock/shop\n",
    "the lock of packages": "rm -f package-lock.json\ncp yarn.lock /tmp\n",
}


@pytest.mark.parametrize("lock", NO_LOCKS.values(), ids=NO_LOCKS)
def test_what_is_no_lock_leaves_the_upgrade_without_one(seen: Seen, lock: str) -> None:
    found = seen({"ops/crontab": CRON, "bin/update.sh": f"#!/bin/bash\n{lock}{UP}"})
    assert kinds(judge_exclusive_lock, found) == {("bin/update.sh", "no-lock")}


@pytest.mark.parametrize(
    "lock", ["exec 9>/run/x\nflock -n 9\n", "exec 9>/run/x\nflock -n 9 || echo busy\n", "exec 9>/run/x\nif ! flock -n 9; then\n  log busy\nfi\n"]
)
def test_a_lock_that_nobody_heeds_is_none(seen: Seen, lock: str) -> None:
    found = seen({"ops/crontab": CRON, "bin/update.sh": f"#!/bin/bash\n{lock}{UP}"})
    assert kinds(judge_exclusive_lock, found) == {("bin/update.sh", "lock-not-heeded")}


def test_a_lock_after_the_first_start_comes_too_late(seen: Seen) -> None:
    found = seen({"ops/crontab": CRON, "bin/update.sh": f"#!/bin/bash\n{UP}exec 9>/run/x\nflock -n 9 || exit 0\n"})
    assert kinds(judge_exclusive_lock, found) == {("bin/update.sh", "no-lock")}


@pytest.mark.parametrize(
    "line",
    ["*/5 * * * * root flock -n /run/x /srv/shop/bin/update.sh\n", "@hourly root run-one /srv/shop/bin/update.sh\n", "@reboot root /srv/shop/bin/update.sh\n"],
)
def test_a_lock_of_the_line_is_a_lock_and_a_boot_comes_once(seen: Seen, line: str) -> None:
    assert kinds(judge_exclusive_lock, seen({"ops/crontab": line, "bin/update.sh": f"#!/bin/sh\n{UP}"})) == set()


STARTS: Mapping[str, Mapping[str, str]] = {
    "an installer writes the crontab": {"bin/install.sh": '#!/bin/sh\n(crontab -l; echo "*/5 * * * * /srv/shop/bin/update.sh") | crontab -\n'},
    "an installer writes it with a variable": {"setup.sh": '#!/bin/sh\nLINE="0 4 * * * root /opt/shop/update.sh"\necho "$LINE" > /etc/cron.d/shop\n'},
    "the header says so": {"bin/update.sh": f"#!/bin/sh\n# Cron fires it every five minutes.\n{UP}"},
    "a page says so": {"README.md": "Add to your crontab:\n\n    */10 * * * * /srv/shop/bin/update.sh\n"},
    "a git hook": {"hooks/post-merge": f"#!/bin/sh\n{UP}"},
    "a push, over ssh": {".github/workflows/d.yml": workflow("ssh deploy@app 'cd /srv/shop && ./bin/update.sh'")},
    "a script that the line calls calls it": {
        "ops/crontab": "0 3 * * * root /srv/shop/bin/nightly.sh\n",
        "bin/nightly.sh": "#!/bin/sh\ncd /srv/shop\n./bin/update.sh\n",
    },
}


@pytest.mark.parametrize("files", STARTS.values(), ids=STARTS)
def test_whatever_starts_an_upgrade_again_is_found(seen: Seen, files: Mapping[str, str]) -> None:
    found = seen({"bin/update.sh": f"#!/bin/sh\n{UP}", **files})
    assert {kind for _, kind in kinds(judge_exclusive_lock, found)} == {"no-lock"}


QUIET: Mapping[str, Mapping[str, str]] = {
    "by hand": {"bin/update.sh": f"#!/bin/sh\n{UP}"},
    "a unit with a timer": {"bin/update.sh": f"#!/bin/sh\n{UP}", "ops/u.service": "[Service]\nExecStart=/srv/bin/update.sh\n", "ops/u.timer": "[Timer]\n"},
    "a workflow one at a time": {".github/workflows/d.yml": workflow("ssh app docker compose up -d", more="concurrency: live\n")},
    "a runner of our own": {".github/workflows/d.yml": workflow("docker compose up -d", runs_on="[self-hosted]")},
    "a machine that is thrown away": {".github/workflows/t.yml": workflow("docker compose up -d")},
    "what is brought up is taken down": {"ops/crontab": "0 3 * * * root cd /srv && docker compose up -d && ./check && docker compose down\n"},
    "a container that is stopped and started": {"ops/crontab": "0 3 * * * root docker stop db && tar cf /b.tar /srv && docker start db\n"},
    "a tool that runs once": {"ops/crontab": "0 3 * * * root docker run --rm -v x:/y certbot/certbot renew -d example.org\n"},
    "the header says never": {"bin/update.sh": f"#!/bin/sh\n# An operator runs it; it is never run by cron.\n{UP}"},
}


@pytest.mark.parametrize("files", QUIET.values(), ids=QUIET)
def test_what_cannot_run_twice_or_brings_nothing_up_needs_no_lock(seen: Seen, files: Mapping[str, str]) -> None:
    assert kinds(judge_exclusive_lock, seen(files)) == set()


# ---- the disk

MOUNT = '#!/bin/sh\nset -e\nDISK=/dev/disk/by-id/state\nTARGET=/srv/state\nmount -o noatime "$DISK" "$TARGET"\n'
LOOKS = {
    "mountpoint": "mountpoint -q /srv/state || exit 1\n",
    "mountpoint under errexit": "set -e\nmountpoint -q /srv/state\n",
    "findmnt in a test": 'if [ "$(findmnt -n -o SOURCE /srv/state)" != /dev/sdb ]; then\n  echo wrong >&2\n  exit 1\nfi\n',
    "device numbers": '[ "$(stat -c %d /srv/state)" != "$(stat -c %d /srv)" ] || exit 1\n',
    "proc": "grep -q ' /srv/state ' /proc/mounts || { echo no; exit 1; }\n",
    "a function": 'require_mount() { mountpoint -q "$1" || exit 1; }\nrequire_mount /srv/state\n',
    "both tested at once": 'if ! mountpoint -q /srv/state || [ "$(findmnt -no SOURCE /srv/state)" != "$DEV" ]; then exit 1; fi\n',
    "the start is in the branch": "if mountpoint -q /srv/state; then\n  docker compose up -d\nfi\nexit 0\n",
    "mounted here": "set -e\nmount /dev/sdb /srv/state\n",
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_look_at_the_disk_that_ends_the_script_is_a_gate(seen: Seen, look: str) -> None:
    found = seen({"compose.yaml": COMPOSE, "setup/disk.sh": MOUNT, "bin/start.sh": f"#!/bin/bash\n{look}docker compose up -d\n"})
    assert found.disks
    assert kinds(judge_state_disk_gate, found) == set()


@pytest.mark.parametrize(
    ("look", "kind"), [("", "no-gate"), ("df -h /srv/state\n", "no-gate"), ("mountpoint -q /srv/state || echo careful\n", "gate-not-heeded")]
)
def test_a_start_without_a_gate_is_broken_where_a_disk_is_declared(seen: Seen, look: str, kind: str) -> None:
    found = seen({"compose.yaml": COMPOSE, "setup/disk.sh": MOUNT, "bin/start.sh": f"#!/bin/bash\n{look}docker compose up -d\n"})
    assert kinds(judge_state_disk_gate, found) == {("bin/start.sh", kind)}


def test_a_unit_is_a_start_too_and_has_gates_of_its_own(seen: Seen) -> None:
    unit = "[Service]\nExecStart=/usr/bin/docker compose up\n"
    files = {"compose.yaml": COMPOSE, "setup/disk.sh": MOUNT, "a.service": unit, "b.service": f"[Unit]\nRequiresMountsFor=/srv/state\n{unit}"}
    assert kinds(judge_state_disk_gate, seen(files)) == {("a.service", "no-gate")}


NO_DISK: Mapping[str, Mapping[str, str]] = {
    "nothing is mounted": {},
    "a bind": {"setup.sh": "#!/bin/sh\nmount --bind /dev/shm /srv/state\n"},
    "an image": {"setup.sh": "#!/bin/sh\nmount -o loop disk.img /srv/state\n"},
    "something else": {"setup.sh": "#!/bin/sh\nmount /dev/sdb1 /mnt/usb\n"},
}


@pytest.mark.parametrize("files", NO_DISK.values(), ids=NO_DISK)
def test_where_no_disk_is_declared_nothing_is_judged(seen: Seen, files: Mapping[str, str]) -> None:
    found = seen({"compose.yaml": COMPOSE, "bin/start.sh": "#!/bin/sh\ndocker compose up -d\n", **files})
    assert kinds(judge_state_disk_gate, found) == set()


def test_a_script_that_starts_other_files_is_not_judged(seen: Seen) -> None:
    files = {"compose.yaml": COMPOSE, "compose.docs.yaml": "services:\n  docs:\n    image: x\n", "disk.sh": MOUNT}
    found = seen({**files, "bin/docs.sh": "#!/bin/sh\ndocker compose -f compose.docs.yaml up -d\n"})
    assert kinds(judge_state_disk_gate, found) == set()


APP = "services:\n  app:\n    image: x\n    volumes: !override ['/srv/state/app:/app/data']\n"
WITH_APP = PLAIN.replace("services:\n", "services:\n  app:\n    image: x\n    volumes: ['app:/app/data']\n") + "  app:\n"
TOGETHER = "#!/bin/sh\nmountpoint -q /srv/state || exit 1\ndocker compose -f compose.yaml -f compose.disk.yaml up -d\n"


def test_a_database_that_stays_in_the_engine_while_the_rest_moves_to_the_disk_is_broken(seen: Seen) -> None:
    files = {"compose.yaml": WITH_APP, "compose.disk.yaml": APP, "disk.sh": MOUNT, "start.sh": TOGETHER}
    judged = judge_state_disk_gate(seen(files))
    assert [(one.what, one.kind, one.file, one.line) for one in judged.details] == [("compose.yaml: db db", "engine-volume", "compose.yaml", 7)]


@pytest.mark.parametrize(
    "files",
    [
        {"compose.disk.yaml": APP + "  db:\n    volumes: !override ['/srv/state/db:/var/lib/postgresql/data']\n"},
        {"compose.disk.yaml": APP, "engine.sh": '#!/bin/sh\necho \'{"data-root": "/srv/state/engine"}\' > /etc/docker/daemon.json\n'},
    ],
)
def test_a_database_on_the_disk_by_itself_or_with_its_engine_is_right(seen: Seen, files: Mapping[str, str]) -> None:
    assert kinds(judge_state_disk_gate, seen({"compose.yaml": WITH_APP, "disk.sh": MOUNT, "start.sh": TOGETHER, **files})) == set()


@pytest.mark.parametrize(
    ("command", "target"),
    [
        ("mount /dev/sdb1 /srv/data", "/srv/data"),
        ("mount -t ext4 -o discard,defaults UUID=12 /data", "/data"),
        ("mount $DATA_DEV $DATA_DIR", "$DATA_DIR"),
        ("mount LABEL=state /srv/state", "/srv/state"),
        ("mount --bind /dev/x /data", None),
        ("mount /dev/sda1 /boot", None),
        ("mount -t tmpfs tmpfs /data", None),
        ("umount /data", None),
    ],
)
def test_what_a_command_mounts(command: str, target: str | None) -> None:
    assert mounted_by(command.split()) == target


@pytest.mark.parametrize(
    ("line", "target"),
    [("/dev/sdb /data ext4 nofail 0 2", "/data"), ("# /dev/sdb /data ext4 x 0 2", None), ("/swapfile none swap sw 0 0", None), ("/a /b none bind", None)],
)
def test_what_a_line_of_fstab_mounts(line: str, target: str | None) -> None:
    assert mounted_in_fstab(line) == target


# ---- a backup

SAVES = {
    "under errexit": "set -e\n./bin/backup.sh\n",
    "or exit": "./bin/backup.sh || { echo no backup; exit 1; }\n",
    "and then": "./bin/backup.sh && docker compose pull && docker compose up -d && exit 0\n",
    "if not": "if ! ./bin/backup.sh; then\n  exit 1\nfi\n",
    "its status": "./bin/backup.sh\nif [ $? -ne 0 ]; then exit 1; fi\n",
    "its status, kept": "./bin/backup.sh\nstatus=$?\n[ $status -eq 0 ] || exit 1\n",
    "the dump itself": "set -eu\npg_dump -f /b/x.sql shop\n",
    "in the container": "set -eu\ndocker compose exec -T db pg_dumpall -U x > /b/x.sql\n",
    "a service": "docker compose run --rm backup || exit 1\n",
    "a snapshot": "set -e\nrestic backup /srv/state\n",
    "a copy of the directory": "set -e\ncp -a /srv/shop/data /srv/backups/data-before\n",
    "a function": "backup_database() { pg_dump -f /b/x.sql shop; }\nbackup_database || exit 1\n",
    "a human is asked for it": 'read -p "Have you made a backup? " yes\n[ "$yes" = y ] || exit 1\n',
}


@pytest.mark.parametrize("save", SAVES.values(), ids=SAVES)
def test_a_backup_whose_failure_stops_the_upgrade_is_right(seen: Seen, save: str) -> None:
    assert kinds(judge_before_apply, seen({"bin/backup.sh": BACKUP, "bin/update.sh": f"#!/bin/bash\n{save}{UP}"})) == set()


LOST = {
    "or true": ("set -e\n./bin/backup.sh || true\n", "failure-ignored"),
    "or told": ('./bin/backup.sh || echo "no backup, going on"\n', "failure-ignored"),
    "no errexit": ("./bin/backup.sh\n", "failure-ignored"),
    "an if that only tells": ("if ./bin/backup.sh; then\n  echo saved\nelse\n  echo not saved\nfi\n", "failure-ignored"),
    "errexit is off": ("set -e\nset +e\n./bin/backup.sh\nset -e\n", "failure-ignored"),
    "none at all": ("set -e\n", "no-backup"),
    "only the settings": ("set -e\ncp .env .env.bak\n", "no-backup"),
}


@pytest.mark.parametrize(("save", "kind"), LOST.values(), ids=LOST)
def test_an_upgrade_that_goes_on_without_its_backup_is_broken(seen: Seen, save: str, kind: str) -> None:
    assert kinds(judge_before_apply, seen({"bin/backup.sh": BACKUP, "bin/update.sh": f"#!/bin/bash\n{save}{UP}"})) == {("bin/update.sh", kind)}


def test_a_backup_after_the_upgrade_holds_what_the_upgrade_has_left(seen: Seen) -> None:
    found = seen({"bin/backup.sh": BACKUP, "bin/update.sh": f"#!/bin/sh\nset -e\n{UP}./bin/backup.sh\n"})
    assert kinds(judge_before_apply, found) == {("bin/update.sh", "too-late")}


NO_UPGRADE = {
    "a start": ("bin/start.sh", "docker compose up -d\n"),
    "an installer": ("install.sh", UP),
    "a restore": ("bin/restore.sh", f"./bin/backup.sh\n{UP}"),
    "arms of a case": ("bin/manage.sh", f'case "$1" in\nbackup) ./bin/backup.sh ;;\nupdate) {UP};;\nesac\n'),
}


@pytest.mark.parametrize(("path", "text"), NO_UPGRADE.values(), ids=NO_UPGRADE)
def test_what_is_no_upgrade_needs_no_backup(seen: Seen, path: str, text: str) -> None:
    assert kinds(judge_before_apply, seen({"bin/backup.sh": BACKUP, path: f"#!/bin/sh\n{text}"})) == set()


def test_a_tree_without_a_service_that_keeps_data_is_not_judged(seen: Seen) -> None:
    files = {"compose.yaml": "services:\n  web:\n    image: nginx\n", "bin/update.sh": f"#!/bin/sh\n./bin/backup.sh || true\n{UP}", "bin/backup.sh": BACKUP}
    assert isinstance(judge_before_apply(seen(files)), Held)


# ---- a human

BOTH = f"#!/bin/sh\nset -e\n./bin/backup.sh\n{UP}"


@pytest.mark.parametrize(
    "files",
    [
        {"ops/crontab": CRON},
        {"ops/shop.service": "[Service]\nExecStart=/srv/shop/bin/update.sh\n", "ops/shop.timer": "[Timer]\nOnCalendar=daily\n"},
        {".githooks/post-merge": "#!/bin/sh\n./bin/update.sh\n"},
    ],
)
def test_nothing_but_a_human_starts_a_backup_and_apply(seen: Seen, files: Mapping[str, str]) -> None:
    found = seen({"bin/backup.sh": BACKUP, "bin/update.sh": BOTH, **files})
    assert {kind for _, kind in kinds(judge_never_automatic, found)} == {"by-itself"}


@pytest.mark.parametrize("files", [{}, {"ops/crontab": "0 2 * * * root /srv/shop/bin/backup.sh\n"}])
def test_a_human_starts_it_and_the_clock_backs_up_alone(seen: Seen, files: Mapping[str, str]) -> None:
    found = seen({"bin/backup.sh": BACKUP, "bin/update.sh": BOTH, **files})
    assert kinds(judge_never_automatic, found) == set()
    assert [path.starts for path in found.paths] == [Starts.HAND]


# ---- the log of commands


class NoFiles:
    def text(self, path: str) -> str | None:
        return None

    def called(self, name: str) -> tuple[str, ...]:
        return ()


@settings(max_examples=60, deadline=None)
@given(shell_texts())
def test_listening_finds_no_other_changes_and_never_raises(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")

    def reached(calls: Calls) -> list[object]:
        return list(calls.shell(text, Start(hops=(), place=Place.HOST), file="x.sh", line=1))

    listening = Calls(NoFiles(), hears=hear)
    assert reached(listening) == reached(Calls(NoFiles()))
    assert all(one.frames for one in listening.heard)


def test_a_function_that_is_called_twice_is_heard_twice_each_time_on_its_own_way() -> None:
    calls = Calls(NoFiles(), hears=hear)
    text = "save() { pg_dump -f /b x; }\nsave\nsave || exit 1\n"
    assert not list(calls.shell(text, Start(hops=(), place=Place.HOST), file="x.sh", line=1))
    dumps = [one for one in calls.heard if one.what == Said(step=Step.BACKS_UP)]
    assert [[frame.hop.line for frame in one.frames] for one in dumps] == [[2, 1], [3, 1]]


def test_a_script_that_an_installer_writes_is_followed_and_shown_where_it_stands(seen: Seen) -> None:
    install = "#!/bin/bash\nset -e\ncat > /usr/local/bin/shop-update.sh <<'EOF'\n#!/bin/bash\ncd /srv/shop\ndocker compose pull\ndocker compose up -d\nEOF\n"
    cron = "echo '*/5 * * * * root /usr/local/bin/shop-update.sh' > /etc/cron.d/shop\n"
    judged = judge_exclusive_lock(seen({"install.sh": install + cron}))
    assert [(one.what, one.kind, one.file, one.line) for one in judged.details] == [("install.sh#shop-update.sh", "no-lock", "install.sh", 7)]


# ---- what nobody can bring back

MOVED = "docker compose up -d db\n"
ASKED = {
    "read and a test": 'read -r -p "Remove the old volume? " yes\n[ "$yes" = y ] || exit 1\ndocker volume rm shop_db\n',
    "an option": 'if [ "$1" = --yes ]; then docker volume rm shop_db; fi\n',
    "a function": "confirm() { read -r -p 'sure? ' a; [ \"$a\" = y ]; }\nconfirm && docker volume rm shop_db\n",
    "what was made here": "docker volume create shop_new\ndocker volume rm shop_new\n",
    "a rehearsal's": "dropdb --if-exists shop_rehearsal\n",
    "cleaning up": "trap 'docker volume rm x' EXIT\n",
}


@pytest.mark.parametrize("text", ASKED.values(), ids=ASKED)
def test_a_human_who_is_asked_may_destroy(seen: Seen, text: str) -> None:
    assert kinds(judge_approval_gate, seen({"bin/migrate.sh": f"#!/bin/bash\nset -e\n{MOVED}{text}"})) == set()


@pytest.mark.parametrize(
    "text",
    [
        "docker volume rm shop_db\n",
        "docker compose down -v\n",
        "dropdb shop_old\n",
        'psql -c "DROP DATABASE shop_old"\n',
        "lvremove -f vg/shop\n",
        "zfs destroy tank/shop\n",
    ],
)
def test_a_migration_that_destroys_the_old_side_unasked_is_broken(seen: Seen, text: str) -> None:
    found = seen({"bin/migrate.sh": f"#!/bin/bash\nset -e\n{MOVED}{text}{MOVED}"})
    assert kinds(judge_approval_gate, found) == {("bin/migrate.sh", "nobody-asked")}


def test_who_starts_a_reset_has_said_yes_and_a_clock_has_not(seen: Seen) -> None:
    reset = f"#!/bin/sh\n{MOVED}docker volume prune -f\n"
    assert kinds(judge_approval_gate, seen({"bin/reset.sh": reset})) == set()
    assert kinds(judge_approval_gate, seen({"ops/crontab": "0 4 * * * root docker system prune -af --volumes\n"})) == {("ops/crontab", "nobody-asked")}


@pytest.mark.parametrize(("more", "broken"), [("", True), ("    environment: production\n", False)])
def test_a_job_waits_in_an_environment(seen: Seen, more: str, broken: bool) -> None:
    steps = "      - run: ssh app 'docker compose pull && docker volume rm shop_db && docker compose up -d'\n"
    text = f"on: workflow_dispatch\njobs:\n  move:\n    runs-on: ubuntu-latest\n{more}    steps:\n{steps}"
    assert bool(kinds(judge_approval_gate, seen({".github/workflows/move.yml": text}))) is broken
