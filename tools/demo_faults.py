"""What can go wrong on the demo site, one thing for each guardrail at least? The faults that `tools.demo_break` seeds, and how each is mended."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.demo_site import DemoError, DemoSite

PREFLIGHT = ("interlock", "preflight", "--format", "json")
POSTFLIGHT = ("interlock", "postflight", "--format", "json")
SCAN = ("interlock", "scan", ".", "--format", "json")
MOVE = ("interlock", "preflight", "--site", "move/interlock.yaml", "--for", "move", "--format", "json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """One thing that goes wrong with a file or folder. `seed` breaks it; it is mended by laying `path` out again from a copy, and `then` is done after each of
    the two. `also` are other guardrails that the same fault breaks in truth."""

    what: str
    path: Callable[[DemoSite], Path]
    seed: Callable[[DemoSite, Path], None]
    guardrail: str
    also: frozenset[str] = frozenset()
    gate: tuple[str, ...] = PREFLIGHT
    then: Callable[[DemoSite], None] = lambda _site: None


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakRows:
    """One thing that goes wrong in a database: statements that break and mend it, in the copy or in the `source`."""

    what: str
    breaks: str
    mends: str
    guardrail: str
    also: frozenset[str] = frozenset()
    gate: tuple[str, ...] = MOVE
    source: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakSilence:
    """Somebody listens where nobody may."""

    what: str
    port: Callable[[DemoSite], int]
    guardrail: str
    also: frozenset[str] = frozenset()
    gate: tuple[str, ...] = POSTFLIGHT


# ---- how things go wrong


def _off_its_disk(site: DemoSite, place: Path) -> None:
    """A directory that was moved to the other disk, and a link left behind."""
    moved = (site.memory if site.run in place.parents else site.run) / f"moved-{place.name}"
    shutil.copytree(place, moved)
    shutil.rmtree(place)
    place.symlink_to(moved)


def _backups(module: str) -> Callable[[DemoSite], Path]:
    return lambda site: site.backups.with_name(module)


def _newest_of(module: str) -> Callable[[DemoSite], Path]:
    return lambda site: _newest(site.backups.with_name(module))


def _newest(folder: Path) -> Path:
    return max(folder.iterdir())


def _cut_in_half(_site: DemoSite, folder: Path) -> None:
    newest = _newest(folder)
    os.truncate(newest, newest.stat().st_size // 2)


def _only_receipts(site: DemoSite, folder: Path) -> None:
    """The newest archive again, without the statements."""
    newest = _newest(folder)
    taken = newest.stat().st_mtime
    newest.unlink()
    subprocess.run(("tar", "-czf", str(newest), "-C", str(site.state), "receipts"), check=True, timeout=30)
    newest.chmod(0o600)
    os.utime(newest, (taken, taken))


def _only_the_oldest(_site: DemoSite, folder: Path) -> None:
    for backup in sorted(folder.iterdir())[1:]:
        backup.unlink()


def _append(text: str) -> Callable[[DemoSite, Path], None]:
    return _rewrite(lambda content: content + text.encode())


def _edit(*edits: tuple[str, str]) -> Callable[[DemoSite, Path], None]:
    def edit(_site: DemoSite, path: Path) -> None:
        text = path.read_text()
        for before, after in edits:
            if before not in text:
                raise DemoError(f"{path} has no {before!r} to break")
            text = text.replace(before, after, 1)
        path.write_bytes(text.encode())

    return edit


def _more(*lines: str) -> Callable[[DemoSite, Path], None]:
    """More lines at the end of a script."""

    def edit(_site: DemoSite, path: Path) -> None:
        path.write_text("\n".join((path.read_text().rstrip("\n"), *lines, "")))

    return edit


def _everywhere(before: str, after: str, *names: str) -> Callable[[DemoSite, Path], None]:
    """The same edit in several files of a folder."""

    def edit(site: DemoSite, folder: Path) -> None:
        for name in names:
            _edit((before, after))(site, folder / name)

    return edit


def _rewrite(change: Callable[[bytes], bytes]) -> Callable[[DemoSite, Path], None]:
    def rewrite(_site: DemoSite, path: Path) -> None:
        path.write_bytes(change(path.read_bytes()))

    return rewrite


def _write(text: str) -> Callable[[DemoSite, Path], None]:
    return _rewrite(lambda _before: text.encode())


def _add(**texts: str) -> Callable[[DemoSite, Path], None]:
    """New files in a folder, by their names."""

    def add(_site: DemoSite, folder: Path) -> None:
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return add


def _forgotten_step(site: DemoSite, folder: Path) -> None:
    """An update of four steps that runs three, and a site file that knows of all."""
    steps = [f"steps/{name}.sh" for name in ("check-disk", "stop-app", "migrate-receipts", "start-app")]
    texts = dict.fromkeys(steps, "#!/bin/sh\nset -eu\ntrue\n")
    _add(**texts, **{"update.sh": "#!/bin/sh\nset -eu\n. steps/check-disk.sh\n. steps/stop-app.sh\n. steps/start-app.sh\n"})(site, folder)
    _edit(("\nscripts:\n", "\nscripts:\n  found: true\n"))(site, folder / "interlock.yaml")


def _pattern_of_yesterday(site: DemoSite, folder: Path) -> None:
    """An installer that edits a file of the release, which was tidied up."""
    installer = 'cp config/ports.conf /etc/ledger.conf\nsed -i "s/^listen_port = 8080$/listen_port = $PORT/" /etc/ledger.conf\n'
    _add(**{"config/ports.conf": "listen_port=8080\n", "install.sh": f"#!/bin/sh\nset -eu\n{installer}"})(site, folder)
    _edit(("\nscripts:\n", "\nscripts:\n  found: true\n"))(site, folder / "interlock.yaml")


def _odd_variant(site: DemoSite, folder: Path) -> None:
    """Three variants of a small stack beside the big one, and a word that one of them spells otherwise."""
    app, db = "{{image: registry.internal/statements, environment: {{KIND: {kind}}}}}", "{{image: 'postgres:16', tmpfs: /var/lib/postgresql/data}}"
    text = f"services:\n  app: {app}\n  db: {db}\n"
    kinds = {"plain": "postgresql", "proxy": "postgresql", "portal": "postgres"}
    _add(**{f"variants/compose.{name}.yaml": text.format(kind=kind) for name, kind in kinds.items()})(site, folder)
    files = "".join(f"\n    - variants/compose.{name}.yaml" for name in kinds)
    _edit(("compose:\n  files:", f"compose:\n  files:{files}"))(site, folder / "interlock.yaml")


UP = "docker compose -f compose/compose.yaml -f compose/compose.flat-mount.yaml"
LOCK = "exec 9>/run/lock/platform\nflock -n 9 || exit 0\n"
GATE = 'mountpoint -q "$STATE_DIR" || exit 1\n'
SAVE = "bin/nightly-backup || exit 1\n"


def _script(name: str, text: str, **more: str) -> Callable[[DemoSite, Path], None]:
    """A script that brings the stack up, and a site file that knows of all."""

    def seed(site: DemoSite, folder: Path) -> None:
        _add(**{name: f"#!/bin/sh\nset -eu\n{text}", **more})(site, folder)
        _edit(("\nscripts:\n", "\nscripts:\n  found: true\n"))(site, folder / "interlock.yaml")

    return seed


def _chooses(when: str) -> str:
    return f'FILES="-f compose/compose.yaml"\n[ {when} ] || FILES="$FILES -f compose/compose.flat-mount.yaml"\ndocker compose $FILES ps\n'


def _new(path: Path, text: str) -> None:
    path.write_text(text)


def _edited_later(_site: DemoSite, path: Path) -> None:
    path.write_text(path.read_text().replace("1000", "5000"))
    later = time.time() + 60
    os.utime(path, (later, later))


def _chmod(mode: int) -> Callable[[DemoSite, Path], None]:
    return lambda _site, path: path.chmod(mode)


def _unlink(_site: DemoSite, path: Path) -> None:
    path.unlink()


def _read_again(site: DemoSite) -> None:
    """Let the app read its env file, and give it a moment."""
    os.kill(int((site.run / "ledger.pid").read_text()), signal.SIGHUP)
    time.sleep(0.3)


def _below(relative: str) -> Callable[[DemoSite], Path]:
    return lambda site: site.run / relative


def _in_state(relative: str) -> Callable[[DemoSite], Path]:
    return lambda site: site.state / relative


BASE, FLAT = _below("compose/compose.yaml"), _below("compose/compose.flat-mount.yaml")
SITE_FILE = _below("interlock.yaml")
NIGHTLY = _below("bin/nightly-backup")


BREAKS: tuple[Break | BreakRows | BreakSilence, ...] = (
    # mounts
    Break(what="the state directory was moved off its disk, and a link left behind", path=_in_state(""), seed=_off_its_disk, guardrail="mounts.state_disk"),
    Break(
        what="the data directory was moved off its disk, and a link left behind", path=lambda site: site.data, seed=_off_its_disk, guardrail="mounts.data_disk"
    ),
    Break(
        what="fstab has another file system for the data disk",
        path=_below("mounts-at-boot"),
        seed=_rewrite(lambda content: re.sub(rb"^(\S+ \S+) \S+", rb"\1 vfat", content)),
        guardrail="mounts.fstab",
    ),
    Break(
        what="the flat overlay got a second way to the state, below the data directory",
        path=FLAT,
        seed=_edit(("      - ${CONFIG_DIR}/nginx.conf", "      - ${STATE_DIR:-/data-state}:/data/state\n      - ${CONFIG_DIR}/nginx.conf")),
        guardrail="mounts.layout",
        gate=SCAN,
    ),
    Break(
        what="the state disk has less room than the site asks for",
        path=SITE_FILE,
        seed=_edit(("min_free: 1M", "min_free: 900T")),
        guardrail="mounts.writable",
    ),
    Break(
        what="the state belongs to another user than the site says",
        path=SITE_FILE,
        seed=_edit(("\n  readers: [bin/nightly-backup]\n", "\n  readers: [bin/nightly-backup]\n  writers: [4000000000]\n")),
        guardrail="mounts.two_writers",
    ),
    # state_dir
    Break(
        what="the env file lost its STATE_DIR, and everybody takes the default",
        path=_below(".env"),
        seed=_edit(("STATE_DIR=", "STATE_DIRECTORY=")),
        guardrail="state_dir.resolves",
        also=frozenset({"mounts.layout", "site.undeclared", "state_dir.host_and_stack_agree"}),
    ),
    Break(
        what="a service kept the path of the other layout",
        path=FLAT,
        seed=_edit(("    environment: *state", "    environment: {STATE_DIR: /data/state}")),
        guardrail="state_dir.services_agree",
        also=frozenset({"mounts.layout", "state_dir.host_and_stack_agree"}),
        gate=SCAN,
    ),
    Break(
        what="the nightly job has a directory of its own to fall back to",
        path=_below("bin/nightly-backup"),
        seed=_edit(("${STATE_DIR:-$DATA_DIR/state}", "${STATE_DIR:-/var/lib/ledger}")),
        guardrail="state_dir.host_and_stack_agree",
        gate=SCAN,
    ),
    Break(
        what="the nightly job goes past the variable, to where state lay before",
        path=_below("bin/nightly-backup"),
        seed=_edit(("${STATE_DIR:-$DATA_DIR/state}", "$DATA_DIR/state")),
        guardrail="state_dir.single_source",
        gate=SCAN,
    ),
    Break(what="a secret is there, and empty", path=_in_state("session_secret"), seed=_write(""), guardrail="state_dir.secrets_present"),
    Break(
        what="somebody edited the copy of the limits that nobody reads",
        path=_below("config/limits.yaml"),
        seed=_edited_later,
        guardrail="state_dir.precedence",
    ),
    # permissions
    Break(
        what="the settings of the metrics are made private to root",
        path=_below("bin/nightly-backup"),
        seed=_more("chown 0:0 instances/main/prometheus.yml", "chmod 600 instances/main/prometheus.yml"),
        guardrail="permissions.mode_needs_owner_match",
        gate=SCAN,
    ),
    Break(
        what="the directory of the metrics goes to another uid",
        path=_below("bin/nightly-backup"),
        seed=_more("chown 1000:1000 data/metrics"),
        guardrail="permissions.uid_matches_state_dir",
        gate=SCAN,
    ),
    Break(
        what="all data goes to one user, the database too",
        path=_below("bin/nightly-backup"),
        seed=_more("chown -R 1000:1000 data"),
        guardrail="permissions.recursive_chown_scope",
        gate=SCAN,
    ),
    Break(
        what="a directory beside that of the metrics is made, and that one is left to the engine",
        path=_below("bin/nightly-backup"),
        seed=_more("mkdir -p data/exports"),
        guardrail="permissions.state_subdirs_precreated",
        gate=SCAN,
    ),
    Break(
        what="the nightly job writes a password down under a wide umask",
        path=_below("bin/nightly-backup"),
        seed=_more("umask 022", 'PASSWORD=$(cat "$STATE_DIR/pgpass")', 'echo "PGPASSWORD=$PASSWORD" > nightly.env'),
        guardrail="permissions.secret_file_0600",
        gate=SCAN,
    ),
    # backups
    Break(what="the newest backup was copied under a wide umask", path=_newest_of("ledger"), seed=_chmod(0o644), guardrail="backups.mode_0600"),
    Break(what="the directory of the backups can be listed by everybody", path=_backups("ledger"), seed=_chmod(0o755), guardrail="backups.mode_0600"),
    Break(
        what="the nightly job forgot its umask",
        path=_below("bin/nightly-backup"),
        seed=_edit(("umask 077\n", "")),
        guardrail="backups.mode_0600",
        gate=SCAN,
    ),
    Break(
        what="a module file and the site do not agree on the class of a backup",
        path=_below("modules/ledger/module.yaml"),
        seed=_edit(("class: E", "class: K")),
        guardrail="backups.class_assigned",
        gate=SCAN,
    ),
    Break(what="the nightly job failed twice, and nobody saw it", path=_backups("ledger"), seed=_only_the_oldest, guardrail="backups.fresh"),
    Break(
        what="a full disk cut the newest dump in half",
        path=_backups("postgres"),
        seed=_cut_in_half,
        guardrail="backups.intact",
    ),
    Break(what="the archive lost the statements", path=_backups("ledger"), seed=_only_receipts, guardrail="backups.complete"),
    Break(
        what="nobody wrote down how the database is restored",
        path=_below("modules/postgres/runbook.md"),
        seed=_write("# postgres\n"),
        guardrail="backups.restore_notes",
        gate=SCAN,
    ),
    # parity
    BreakRows(
        what="the copy lacks an index",
        breaks="DROP INDEX entries_account",
        mends="CREATE INDEX entries_account ON entries (account)",
        guardrail="parity.inventory",
    ),
    BreakRows(
        what="the copy lacks 12 rows",
        breaks="DELETE FROM entries WHERE id <= 12",
        mends="INSERT INTO entries OVERRIDING SYSTEM VALUE SELECT n, 'alice', 100 + n, now() FROM generate_series(1, 12) AS n",
        guardrail="parity.rows",
    ),
    # templates
    Break(
        what="a template was edited, its canonical file was not",
        path=_below("templates/nginx.conf"),
        seed=_edit(("server_tokens off;", "server_tokens on;")),
        guardrail="templates.byte_equivalent",
    ),
    Break(
        what="an editor saved a canonical file with the line ends of another system",
        path=_below("canonical/prometheus.yml"),
        seed=_rewrite(lambda content: content.replace(b"\n", b"\r\n")),
        guardrail="templates.byte_equivalent",
    ),
    Break(
        what="a template was merged with its conflict marks, and so was its canonical file",
        path=_below(""),
        seed=_everywhere("global:\n", "<<<<<<< HEAD\nglobal:\n", "templates/prometheus.yml", "canonical/prometheus.yml"),
        guardrail="templates.unresolved",
        gate=SCAN,
    ),
    Break(
        what="the release would replace a file of the tenant's by one of a third of its size",
        path=_below("instances/main/nginx.conf"),
        seed=_rewrite(lambda content: content * 3),
        guardrail="templates.size_change",
    ),
    Break(
        what="a service asks for an image with two tags",
        path=BASE,
        seed=_edit(("image: prom/prometheus:v3.5.0", "image: prom/prometheus:v3.5.0:latest")),
        guardrail="templates.image_tag",
        gate=SCAN,
    ),
    Break(
        what="a template of the installer was tidied up, and the installer was not",
        path=_below(""),
        seed=_pattern_of_yesterday,
        guardrail="templates.installer_anchors",
        gate=SCAN,
    ),
    Break(
        what="one of three variants got an engine's name that the application does not know",
        path=_below(""),
        seed=_odd_variant,
        guardrail="templates.sibling_variants",
        gate=SCAN,
    ),
    # automation
    Break(
        what="the deployment got a trigger of its own",
        path=_below(".forgejo/workflows/deploy.yml"),
        seed=_edit(("workflow_dispatch:", "push:")),
        guardrail="automation.no_automatic_apply",
    ),
    Break(
        what="somebody let the gate fail without a word",
        path=_below(".forgejo/workflows/gate.yml"),
        seed=_edit(("interlock scan .", "interlock scan . || true")),
        guardrail="automation.gate_is_required",
        gate=SCAN,
    ),
    Break(
        what="a line of the crontab brings the stack up every ten minutes, and does not ask whether it is at it already",
        path=_below("deploy/crontab"),
        seed=_more("*/10 * * * * cd /srv/platform && docker compose pull -q && docker compose up -d"),
        guardrail="automation.exclusive_lock",
        also=frozenset({"automation.no_automatic_apply", "mounts.state_disk_gate"}),
        gate=SCAN,
    ),
    Break(
        what="a script starts the stack, whatever is mounted",
        path=_below(""),
        seed=_script("bin/start.sh", f"{UP} up -d\n"),
        guardrail="mounts.state_disk_gate",
        gate=SCAN,
    ),
    Break(
        what="an upgrade passes the backup by",
        path=_below(""),
        seed=_script("bin/upgrade.sh", f"{LOCK}{GATE}{UP} pull\n{UP} up -d\n"),
        guardrail="backups.before_apply",
        gate=SCAN,
    ),
    Break(
        what="a timer got to start the operator's upgrade",
        path=_below(""),
        seed=_script(
            "bin/upgrade.sh",
            f"{LOCK}{GATE}{SAVE}{UP} pull\n{UP} up -d\n",
            **{"deploy/upgrade.service": "[Service]\nExecStart=/srv/platform/bin/upgrade.sh\n", "deploy/upgrade.timer": "[Timer]\nOnCalendar=daily\n"},
        ),
        guardrail="backups.never_automatic",
        gate=SCAN,
    ),
    Break(
        what="two scripts choose the files of the stack, each by a condition of its own",
        path=_below(""),
        seed=_script("bin/show.sh", _chooses('"${LAYOUT:-flat}" = nested'), **{"bin/list.sh": f"#!/bin/sh\n{_chooses('-d data/state')}"}),
        guardrail="compose.chain_single_resolver",
        gate=SCAN,
    ),
    # approval
    Break(
        what="the copy was begun, and the hours of the move are an open question again",
        path=_below("workplans/LED-0012-postgres-18.md"),
        seed=_edit(("   decided: Sunday 05:00 to 06:00 UTC, approver@example.org, 2026-11-09\n", "")),
        guardrail="approval.decisions",
        gate=SCAN,
    ),
    Break(
        what="a migration removes the old volume in the same breath",
        path=_below(""),
        seed=_script("bin/migrate.sh", f"{GATE}{UP} up -d\nif docker volume inspect pg16; then docker volume rm pg16; fi\n"),
        guardrail="approval.gate",
        gate=SCAN,
    ),
    # compose
    Break(
        what="a service has two lists of volumes, and YAML readers silently drop the first",
        path=FLAT,
        seed=_edit(("  postgres:\n", "  postgres:\n    volumes: []\n")),
        guardrail="compose.strict_parse",
        gate=SCAN,
    ),
    Break(
        what="a merge was committed with its conflict marks",
        path=BASE,
        seed=_edit(("services:\n", "<<<<<<< HEAD\nservices:\n")),
        guardrail="compose.strict_parse",
        gate=SCAN,
    ),
    Break(
        what="a service waits for one that was renamed",
        path=BASE,
        seed=_edit(("    depends_on:\n      postgres:\n", "    depends_on:\n      database:\n")),
        guardrail="compose.chain_valid",
        gate=SCAN,
    ),
    Break(
        what="the overlay forgot the configuration of a service",
        path=FLAT,
        seed=_edit(("      - ${CONFIG_DIR}/prometheus.yml:/etc/prometheus/prometheus.yml:ro\n", "")),
        guardrail="compose.override_preserves_mounts",
        gate=SCAN,
    ),
    Break(
        what="the overlay moved the app's data, and left the nightly statements on the volume",
        path=FLAT,
        seed=_edit(("    volumes: *flat\n", ""), ("\nvolumes: !reset null\n", "\n")),
        guardrail="compose.shared_volume_moves_together",
        also=frozenset({"mounts.layout", "state_dir.services_agree", "site.undeclared"}),
        gate=SCAN,
    ),
    Break(
        what="the database was bumped to a major version that keeps its data elsewhere",
        path=BASE,
        seed=_edit(("image: postgres:16", "image: postgres:18")),
        guardrail="compose.data_dir_matches_mount",
        gate=SCAN,
    ),
    Break(
        what="a service was rewritten and lost its mount, and its volume is still declared",
        path=BASE,
        seed=_edit(("  metrics:\n    image", "  # it once mounted `reports`\n  metrics:\n    image"), ("\nvolumes:\n", "\nvolumes:\n  reports:\n")),
        guardrail="compose.volume_declared_but_unmounted",
        gate=SCAN,
    ),
    Break(
        what="the overlay leads a volume to the disk by its driver_opts",
        path=FLAT,
        seed=_edit(("\nvolumes: !reset null\n", "\nvolumes:\n  data:\n    driver_opts: {type: none, o: rbind, device: /srv/data}\n")),
        guardrail="mounts.driver_opts_immutable",
        gate=SCAN,
    ),
    Break(
        what="a volume shows the data disk without the state disk that is mounted below it",
        path=BASE,
        seed=lambda site, path: _edit(
            ("\nvolumes:\n  data:\n", f"\nvolumes:\n  data:\n    driver_opts: {{type: none, o: bind, device: {site.state.parent.parent}}}\n")
        )(site, path),
        guardrail="mounts.propagation",
        gate=SCAN,
    ),
    Break(
        what="the configuration of the metrics server is mounted where it does not look",
        path=FLAT,
        seed=_edit((":/etc/prometheus/prometheus.yml:ro", ":/etc/prometheus.yml:ro")),
        guardrail="compose.config_mounted_but_unused",
        also=frozenset({"compose.override_preserves_mounts"}),
        gate=SCAN,
    ),
    Break(
        what="a service is to be built from a folder that nobody has",
        path=BASE,
        seed=_edit(("    image: prom/prometheus:v3.5.0\n", "    image: prom/prometheus:v3.5.0\n    build: ../metrics\n")),
        guardrail="compose.sourceless_runnable",
        gate=SCAN,
    ),
    Break(
        what="the database has ten seconds to stop",
        path=BASE,
        seed=_edit(("    stop_grace_period: 2m\n", "")),
        guardrail="compose.stop_grace_for_stateful",
        gate=SCAN,
    ),
    Break(
        what="the metrics server got the engine's socket to write to",
        path=FLAT,
        seed=_edit(
            ("      - ${DATA_DIR:-/data}/metrics:/prometheus\n", "      - ${DATA_DIR:-/data}/metrics:/prometheus\n      - /run/docker.sock:/run/docker.sock\n")
        ),
        guardrail="compose.docker_socket_readonly",
        gate=SCAN,
    ),
    Break(
        what="an override for developers lies beside the base, and is loaded by itself",
        path=_below("compose"),
        seed=lambda _site, folder: _new(folder / "compose.override.yaml", "services: {ledger: {volumes: ['.:/app']}}\n"),
        guardrail="compose.no_autoloaded_dev_override",
        gate=SCAN,
    ),
    Break(
        what="a script starts the base by its name, and leaves out what an operator is told to write beside it",
        path=_below("bin/nightly-backup"),
        seed=_edit(("umask 077\n", 'umask 077\ndocker compose -f "$platform/compose/compose.yaml" pull --quiet\n')),
        guardrail="compose.explicit_f_ignores_override",
        gate=SCAN,
    ),
    # env, exposure, health, site
    Break(
        what="a new setting came with the stack, and no instance has it",
        path=BASE,
        seed=_edit(("registry.internal/ledger", "${REGISTRY}/ledger")),
        guardrail="env.coverage",
    ),
    Break(
        what="a health check looks below a directory whose name compose never hands to the database",
        path=BASE,
        seed=_edit(("pg_isready -U ledger -d ledger", "test -d $${STATE_DIR}/ledger && pg_isready -U ledger -d ledger")),
        guardrail="env.passthrough",
        gate=SCAN,
    ),
    Break(
        what="the nightly job runs the env file as a program, since that is shorter",
        path=_below("bin/nightly-backup"),
        seed=_edit(
            ("DATA_DIR=$(sed -n 's/^DATA_DIR=//p' \"$platform/.env\")\nSTATE_DIR=$(sed -n 's/^STATE_DIR=//p' \"$platform/.env\")", '. "$platform/.env"')
        ),
        guardrail="env.file_not_sourced",
        gate=SCAN,
    ),
    Break(
        what="the database was published, for an afternoon of debugging",
        path=BASE,
        seed=_edit(("    image: postgres:16\n", '    image: postgres:16\n    ports: ["5432:5432"]\n')),
        guardrail="exposure.private_only",
        gate=SCAN,
    ),
    Break(
        what="a health check asks the database in a language that it does not speak",
        path=BASE,
        seed=_edit(("pg_isready -U ledger -d ledger", "curl -fsS http://127.0.0.1:5432/")),
        guardrail="health.endpoint",
        gate=SCAN,
    ),
    Break(
        what="a health check gives up before the database has started for the first time",
        path=BASE,
        seed=_edit(
            (
                'pg_isready -U ledger -d ledger"]\n      interval: 10s\n      timeout: 5s\n      retries: 6\n      start_period: 30s',
                'pg_isready -U ledger -d ledger"]\n      interval: 1s\n      retries: 5',
            )
        ),
        guardrail="health.start_window",
        gate=SCAN,
    ),
    Break(
        what="a service got a directory that nobody backs up",
        path=FLAT,
        seed=_edit(("volumes: &flat !override\n", "volumes: &flat !override\n      - /var/lib/ledger-uploads:/uploads\n")),
        guardrail="site.undeclared",
    ),
    Break(
        what="something that was learned from the host was never confirmed",
        path=SITE_FILE,
        seed=_edit(("    container: platform-ledger-1\n", "    container: platform-ledger-1\n    unconfirmed: true\n")),
        guardrail="site.confirmed",
    ),
    # migrations
    Break(
        what="two releases brought a migration each, and both follow the same one",
        path=_below("app"),
        seed=_add(
            **{
                "migrations/versions/0001.py": 'revision = "0001"\ndown_revision = None\n',
                "migrations/versions/0002_a.py": 'revision = "0002_a"\ndown_revision = "0001"\n',
                "migrations/versions/0002_b.py": 'revision = "0002_b"\ndown_revision = "0001"\n',
            }
        ),
        guardrail="migrations.single_head",
        gate=SCAN,
    ),
    Break(
        what="a migration got a name that its column cannot hold",
        path=_below("app"),
        seed=_add(**{"migrations/versions/0001.py": 'revision = "0001_every_receipt_gets_its_own_number"\ndown_revision = None\n'}),
        guardrail="migrations.revision_id_length",
        gate=SCAN,
    ),
    Break(
        what="a step came to the folder of the update's steps, and the update does not know it",
        path=_below(""),
        seed=_forgotten_step,
        guardrail="migrations.step_wired",
        gate=SCAN,
    ),
    # shipping, secrets, and what is in no backup
    Break(
        what="the stack got a second database, and the nightly backup did not",
        path=BASE,
        seed=_edit(
            (
                "  postgres:\n    image: postgres:16\n",
                '  archive:\n    image: mongo:7\n    stop_grace_period: 60s\n    volumes: ["/srv/archive:/data/db"]\n\n  postgres:\n    image: postgres:16\n',
            )
        ),
        guardrail="backups.coverage",
        also=frozenset({"site.undeclared"}),
        gate=SCAN,
    ),
    Break(
        what="a script fetches the compose file, and not the overlay that it starts it with",
        path=NIGHTLY,
        seed=_append(
            'curl -fsS "$RELEASES/compose/compose.yaml" -o compose/compose.yaml\n'
            "docker compose -f compose/compose.yaml -f compose/compose.flat-mount.yaml config --quiet\n"
        ),
        guardrail="shipping.completeness",
        gate=SCAN,
    ),
    Break(
        what="two files that a script compares drifted apart",
        path=NIGHTLY,
        seed=_append("cmp compose/example.env templates/app.env\n"),
        guardrail="shipping.fleet_files_in_sync",
        gate=SCAN,
    ),
    Break(
        what="the next release gets the number of a release that was deleted",
        path=NIGHTLY,
        seed=_append('number=$(git tag --list "*-$(date +%Y.%m).*" | wc -l)\ngit tag "stable-$(date +%Y.%m).$((number + 1))"\n'),
        guardrail="shipping.calver_counter",
        gate=SCAN,
    ),
    Break(
        what="the key of the archives is made where the next start of the host deletes it",
        path=NIGHTLY,
        seed=_append("openssl rand -hex 32 > /run/platform-encryption.key\n"),
        guardrail="secrets.durability",
        gate=SCAN,
    ),
    Break(
        what="every user of the host sees a password in the list of processes, every night",
        path=NIGHTLY,
        seed=_append('appctl --password="$LEDGER_PASSWORD" tidy\n'),
        guardrail="secrets.not_logged",
        gate=SCAN,
    ),
    Break(
        what="somebody let everybody read the key of the certificate",
        path=NIGHTLY,
        seed=_append("chmod 644 /etc/platform/tls/privkey.pem\n"),
        guardrail="secrets.tls_artifact",
        gate=SCAN,
    ),
    # scripts
    Break(
        what="an edit of the nightly job left an `if` without its end",
        path=_below("bin/nightly-backup"),
        seed=_edit(("umask 077\n", 'umask 077\nif [ -n "${VERBOSE:-}" ]; then\n    set -x\n')),
        guardrail="scripts.syntax",
        gate=SCAN,
    ),
    Break(
        what="the nightly job deletes old archives, also after a night without a new one",
        path=_below("bin/nightly-backup"),
        seed=_edit((" receipts statements\n", ' receipts statements || true\nfind "$platform/backups/ledger" -mtime +30 -delete\n')),
        guardrail="scripts.no_swallowed_failure",
        gate=SCAN,
    ),
    Break(
        what="the nightly job makes room, and prunes the volumes of what is stopped",
        path=_below("bin/nightly-backup"),
        seed=_edit(("umask 077\n", "umask 077\ndocker system prune --force --volumes\n")),
        guardrail="scripts.destructive_guarded",
        gate=SCAN,
    ),
    Break(
        what="the nightly job makes the name of the project itself, and loses its digits",
        path=_below("bin/nightly-backup"),
        seed=_edit(("umask 077\n", 'umask 077\nproject=$(basename "$PWD" | tr -cd a-z)\n')),
        guardrail="scripts.project_name",
        gate=SCAN,
    ),
    Break(
        what="the nightly job knows by heart where the engine keeps its volumes",
        path=_below("bin/nightly-backup"),
        seed=_edit(("umask 077\n", "umask 077\nchmod -R g+rX /var/lib/docker/volumes/platform_data/_data\n")),
        guardrail="scripts.engine_root",
        also=frozenset({"scripts.project_name"}),
        gate=SCAN,
    ),
    # the operator's own
    Break(
        what="others may enter the folder of the receipts (an expectation of the site)",
        path=_in_state("receipts"),
        seed=_chmod(0o750),
        guardrail="expect.file",
    ),
    Break(
        what="the app was left in maintenance (an expectation of the site)",
        path=_in_state(""),
        seed=lambda _site, path: (path / "maintenance").touch(),
        guardrail="expect.command",
    ),
    Break(
        what="the app runs another release than agreed (an expectation of the site)",
        path=_below("instances/main/app.env"),
        seed=_edit(("APP_RELEASE=2026.11.2", "APP_RELEASE=2026.10.9")),
        then=_read_again,
        guardrail="expect.http",
        gate=POSTFLIGHT,
    ),
    BreakSilence(
        what="something listens on a port that must be silent (an expectation of the site)", port=lambda site: site.quiet_port, guardrail="expect.port"
    ),
    BreakRows(
        what="rows are gone from the ledger (an expectation of the site)",
        breaks="CREATE TABLE gone AS SELECT * FROM entries WHERE id > 400; DELETE FROM entries WHERE id > 400",
        mends="INSERT INTO entries OVERRIDING SYSTEM VALUE SELECT * FROM gone; DROP TABLE gone",
        source=True,
        guardrail="expect.sql",
        gate=POSTFLIGHT,
    ),
    Break(
        what="a module lost its runbook (a check of the operator's own)",
        path=_below("modules/ledger/runbook.md"),
        seed=_unlink,
        guardrail="own.smoke.every_module_has_a_runbook",
    ),
)
