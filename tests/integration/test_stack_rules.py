"""Volumes, settings, sources, sockets and overrides of chains as the real docker compose resolves them, on small trees without and with a site file."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from interlock.commands.scan import site_of_tree
from interlock.judge import guardrail
from interlock.observe.compose_binary import Compose, find_compose
from interlock.observe.tree import Tree
from interlock.observe.world import World, observer
from interlock.verdicts import Broken, Detail, Outcome, Subject, When

REDIS = "services:\n  cache:\n    image: redis:8\n"
APP = "services:\n  app:\n    image: registry.example.org/app\n"


@pytest.fixture(autouse=True)
def _compose(component: Callable[[str], None]) -> None:
    component("compose")


@cache
def program() -> Compose:
    """The docker compose of this machine, looked for once."""
    found = find_compose(os.environ)
    assert found is not None
    return found


def broken(folder: Path, rule: str, files: dict[str, str]) -> list[Detail]:
    """What a rule finds broken in a tree of these files that has no site file."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    known = guardrail(rule)
    assert known is not None
    world = World(site=site_of_tree(folder), gates=frozenset({When.STATIC}), tree=Tree(folder, patient=True), hosts={}, environ=os.environ)
    world.once("compose", program)
    judgements = [known.judge(observer(known).see(world, subject)) for subject in known.subjects(world.site)]
    return [detail for judged in judgements if isinstance(judged, Broken) for detail in judged.details if detail.outcome is Outcome.BROKEN]


def places(details: list[Detail]) -> list[tuple[str, str, int | None]]:
    return [(detail.kind, detail.file, detail.line) for detail in details]


# ---- volumes that nobody mounts

UNMOUNTED = "compose.volume_declared_but_unmounted"
DECLARED = APP + "volumes:\n  uploads:\n"


def test_a_declared_volume_that_no_service_mounts_is_broken_and_its_backup_named(tmp_path: Path) -> None:
    script = "#!/bin/sh\ndocker run -v app_uploads-vol-1:/from -v /backup:/to alpine cp -a /from /to\nfor vol in uploads-vol-1; do echo $vol; done\n"
    (detail,) = broken(tmp_path, UNMOUNTED, {"compose.yaml": DECLARED.replace("uploads", "uploads-vol-1"), "backup.sh": script})
    assert (detail.kind, detail.file, detail.line) == ("not-mounted", "compose.yaml", 5)
    assert "backup.sh still speaks of it" in detail.message


@pytest.mark.parametrize(
    "files",
    [
        {"compose.yaml": DECLARED.replace("volumes:\n  uploads:\n", "    volumes: [uploads:/srv]\nvolumes:\n  uploads:\n")},
        {"compose.yaml": DECLARED.replace("volumes:\n", "    volumes:\n      - type: volume\n        source: uploads\n        target: /srv\nvolumes:\n", 1)},
        {"compose.yaml": DECLARED, "compose.override.yaml": "services: {app: {volumes: ['uploads:/srv']}}\n"},
        {"compose.yaml": DECLARED, "compose.override.yaml.example": "services:\n  app:\n    volumes:\n      - uploads:/srv\n"},
        {"compose.yaml": DECLARED.replace("volumes:\n", "    # volumes:\n    #   - uploads:/srv\nvolumes:\n")},
        {"compose.yaml": DECLARED + "    external: true\n"},
        {
            "compose.yaml": "include: [more.yaml]\n" + DECLARED,
            "more.yaml": "services:\n  more:\n    image: x\n    volumes: ['uploads:/srv']\nvolumes: {uploads: }\n",
        },
        {"compose.yaml": APP + "  job:\n    image: x\n    profiles: [night]\n    volumes: ['uploads:/srv']\nvolumes:\n  uploads:\n"},
        {
            "compose.yaml": APP + "    volumes: [uploads:/srv]\nvolumes: {uploads: }\n",
            "compose.disk.yaml": "services: {app: {volumes: !override ['/disk:/srv']}}\n",
            "up.sh": "docker compose -f compose.yaml -f compose.disk.yaml up -d\n",
        },
    ],
    ids=["short", "long", "override", "example", "comment", "external", "include", "profile", "replaced"],
)
def test_a_volume_that_somebody_mounts_or_is_told_to_holds(tmp_path: Path, files: dict[str, str]) -> None:
    assert broken(tmp_path, UNMOUNTED, files) == []


# ---- options of volumes

STEERED = "mounts.driver_opts_immutable"
HIDDEN = "mounts.propagation"
DATA = APP + "    volumes: [data:/data]\nvolumes:\n  data:\n"
RUN = {"Makefile": "up:\n\tdocker compose -f compose.yaml -f compose.disk.yaml up -d\n"}


def disk(options: str) -> str:
    return f"services: {{app: {{restart: always}}}}\nvolumes:\n  data:\n    driver_opts: {options}\n"


@pytest.mark.parametrize(
    "options",
    ["{type: none, o: bind, device: /srv}", "{type: none, o: 'rbind,rw', device: '${DATA:-/srv}'}", "{type: nfs, o: 'addr=192.0.2.1,rw', device: ':/srv'}"],
)
def test_an_overlay_that_leads_a_volume_elsewhere_is_broken(tmp_path: Path, options: str) -> None:
    details = broken(tmp_path, STEERED, {**RUN, "compose.yaml": DATA, "compose.disk.yaml": disk(options)})
    assert places(details) == [("options-steer", "compose.disk.yaml", 4)]


@pytest.mark.parametrize(
    "files",
    [
        {"compose.yaml": DATA + "    driver_opts: {type: none, o: bind, device: /srv}\n"},  # it was made so
        {"compose.yaml": DATA, "compose.disk.yaml": disk("{type: tmpfs, device: tmpfs}")},
        {"compose.yaml": DATA, "compose.disk.yaml": disk("{type: none, o: bind, device: /srv}").replace("  data:", "  other:")},
        {"compose.yaml": DATA, "compose.disk.yaml": "services: {app: {volumes: !override ['/srv:/data']}}\n"},
    ],
    ids=["base", "tmpfs", "its own", "bind"],
)
def test_options_that_change_no_volume_of_another_file_hold(tmp_path: Path, files: dict[str, str]) -> None:
    assert broken(tmp_path, STEERED, {**RUN, **files}) == []


@pytest.mark.parametrize(
    "more",
    [
        {"start.sh": "#!/bin/sh\nmount /dev/sdc /srv/state\ndocker compose up -d\n"},
        {"setup.sh": "#!/bin/sh\necho 'LABEL=state /srv/state ext4 defaults 0 2' >> /etc/fstab\n"},
        {
            "compose.yaml": DATA.replace("[data:/data]", "['data:/data', '/srv/state/certs:/certs:ro']")
            + "    driver_opts: {type: none, o: bind, device: /srv}\n"
        },
    ],
    ids=["mount", "fstab", "bind"],
)
def test_a_volume_that_hides_what_is_mounted_below_it_is_broken(tmp_path: Path, more: dict[str, str]) -> None:
    base = {"compose.yaml": DATA + "    driver_opts: {type: none, o: bind, device: /srv}\n"}
    (detail,) = broken(tmp_path, HIDDEN, {**base, **more})
    assert (detail.kind, detail.file, detail.line) == ("not-recursive", "compose.yaml", 7)
    assert "/srv/state" in detail.message


def test_a_recursive_bind_hides_nothing(tmp_path: Path) -> None:
    files = {"compose.yaml": DATA + "    driver_opts: {type: none, o: rbind, device: /srv}\n", "start.sh": "#!/bin/sh\nmount /dev/sdc /srv/state\n"}
    assert broken(tmp_path, HIDDEN, files) == []


# ---- settings that nobody reads

UNREAD = "compose.config_mounted_but_unused"


@pytest.mark.parametrize(
    ("image", "file", "target"),
    [
        ("redis:8", "redis.conf", "/usr/local/etc/redis/redis.conf"),
        ("postgres:17", "postgresql.conf", "/etc/postgresql/postgresql.conf"),
        ("mongo:8", "mongod.conf", "/etc/mongod.conf"),
        ("mysql:8", "tuning.cnf", "/etc/tuning.cnf"),
        ("mariadb:11", "tuning.conf", "/etc/mysql/conf.d/tuning.conf"),
        ("prom/prometheus", "prometheus.yml", "/etc/prometheus.yml"),
        ("nginx:1.29", "site.conf", "/etc/nginx/sites-enabled/site.conf"),
        ("caddy:2", "Caddyfile", "/Caddyfile"),
        ("haproxy:3.2", "haproxy.cfg", "/etc/haproxy/haproxy.cfg"),
        ("eclipse-mosquitto:2", "mosquitto.conf", "/etc/mosquitto/mosquitto.conf"),
    ],
)
def test_settings_where_the_server_does_not_look_are_broken(tmp_path: Path, image: str, file: str, target: str) -> None:
    text = f"services:\n  one:\n    image: {image}\n    volumes:\n      - ./{file}:{target}:ro\n"
    assert places(broken(tmp_path, UNREAD, {"compose.yaml": text, file: "setting = 1\n"})) == [("not-read", "compose.yaml", 5)]


@pytest.mark.parametrize(
    ("image", "file", "target", "more"),
    [
        ("redis:8", "redis.conf", "/etc/redis.conf", "command: redis-server /etc/redis.conf"),
        ("redis:8", "redis.conf", "/etc/redis/redis.conf", "command: sh -c 'redis-server /etc/redis/redis.conf --requirepass x'"),
        ("postgres:17", "postgresql.conf", "/etc/postgresql.conf", "command: -c config_file=/etc/postgresql.conf"),
        ("postgres:17", "init.sql", "/docker-entrypoint-initdb.d/init.sql", ""),
        ("mysql:8", "tuning.cnf", "/etc/mysql/conf.d/tuning.cnf", ""),
        ("mysql:8", "my.cnf", "/etc/my.cnf", ""),
        ("prom/prometheus", "prometheus.yml", "/etc/prometheus/prometheus.yml", ""),
        ("nginx:1.29", "site.conf", "/etc/nginx/conf.d/site.conf", ""),
        ("nginx:1.29", "site.conf", "/etc/nginx/sites-enabled/site.conf", "entrypoint: /start.sh"),
        ("registry.example.org/own/redis:8", "redis.conf", "/etc/redis.conf", ""),
    ],
)
def test_settings_that_are_read_hold(tmp_path: Path, image: str, file: str, target: str, more: str) -> None:
    text = f"services:\n  one:\n    image: {image}\n    {more}\n    volumes:\n      - ./{file}:{target}:ro\n"
    assert broken(tmp_path, UNREAD, {"compose.yaml": text, file: "setting = 1\n"}) == []


def test_settings_that_another_mounted_file_includes_hold(tmp_path: Path) -> None:
    text = "services:\n  web:\n    image: nginx\n    volumes:\n      - ./nginx.conf:/etc/nginx/nginx.conf\n      - ./site.conf:/etc/nginx/sites/site.conf\n"
    files = {"compose.yaml": text, "nginx.conf": "http { include /etc/nginx/sites/*.conf; }\n", "site.conf": "server {}\n"}
    assert broken(tmp_path, UNREAD, files) == []


# ---- what only a checkout can start

SOURCELESS = "compose.sourceless_runnable"
BUILT = "services:\n  app: {build: .}\n  worker: {build: .}\n  runner: {build: .}\n"
DOCKERFILE = {"Dockerfile": "FROM scratch\n"}


def test_a_service_that_the_overlay_of_images_forgets_is_broken_in_the_overlay(tmp_path: Path) -> None:
    overlay = "services:\n  app: {image: example/app}\n  worker: {image: example/app}\n"
    files = {**DOCKERFILE, "compose.yaml": BUILT, "compose.prod.yaml": overlay, "up.sh": "docker compose -f compose.yaml -f compose.prod.yaml up -d\n"}
    (detail,) = broken(tmp_path, SOURCELESS, files)
    assert (detail.kind, detail.what, detail.file) == ("still-built", "runner", "compose.prod.yaml")


def test_an_overlay_that_gives_all_images_or_only_one_holds(tmp_path: Path) -> None:
    up = {"up.sh": "docker compose -f compose.yaml -f compose.prod.yaml up -d\n"}
    for overlay in (
        "{app: {image: a}, worker: {image: a}, runner: {image: a}}",
        "{app: {image: a}}",
        "{app: {image: a}, worker: {image: a}, runner: {build: ./r}}",
    ):
        files = {**DOCKERFILE, **up, "r/Dockerfile": "FROM scratch\n", "compose.yaml": BUILT, "compose.prod.yaml": f"services: {overlay}\n"}
        assert broken(tmp_path, SOURCELESS, files) == []


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("build: ./gone", "no-context"),
        ("build: {context: ., dockerfile: Gone.dockerfile}", "no-context"),
        ("image: x\n    volumes: ['./gone.conf:/etc/app.conf:ro']", "no-file"),
    ],
)
def test_what_the_repository_does_not_have_is_broken(tmp_path: Path, said: str, kind: str) -> None:
    details = broken(tmp_path, SOURCELESS, {**DOCKERFILE, "compose.yaml": f"services:\n  app:\n    {said}\n"})
    assert places(details) == [(kind, "compose.yaml", 4 if kind == "no-file" else 3)]


@pytest.mark.parametrize(
    "files",
    [
        {"compose.yaml": "services:\n  app:\n    build: ./later\n", ".gitignore": "later/\n"},
        {"compose.yaml": "services:\n  app:\n    build: ./module\n", ".gitmodules": '[submodule "module"]\n\tpath = module\n'},
        {"compose.yaml": "services:\n  app:\n    build: https://git.example.org/app.git\n"},
        {"compose.yaml": "services:\n  app:\n    build: {context: ., dockerfile_inline: FROM scratch}\n"},
        {"deploy/compose.yaml": "services:\n  app:\n    build: {context: ., dockerfile: ./docker/Dockerfile}\n", "docker/Dockerfile": "FROM scratch\n"},
        {"compose.yaml": APP + "    volumes: ['./app.conf:/etc/app.conf']\n", "README.md": "Copy app.conf.example to app.conf.\n"},
        {"compose.yaml": APP + "    volumes: ['./data:/data', './cert.pem:/etc/cert.pem']\n"},
    ],
    ids=["ignored", "submodule", "remote", "inline", "from above", "told", "data"],
)
def test_what_comes_later_or_from_elsewhere_is_not_missed(tmp_path: Path, files: dict[str, str]) -> None:
    assert broken(tmp_path, SOURCELESS, files) == []


# ---- containers

GRACE = "compose.stop_grace_for_stateful"
SOCKET = "compose.docker_socket_readonly"
KEPT = "services:\n  cache:\n    image: redis:8\n    restart: always\n    volumes: [cached:/data]\nvolumes: {cached: }\n"


def test_a_database_with_ten_seconds_to_stop_is_broken(tmp_path: Path) -> None:
    assert places(broken(tmp_path, GRACE, {"compose.yaml": KEPT})) == [("default-grace", "compose.yaml", 5)]


@pytest.mark.parametrize(
    "text",
    [
        KEPT.replace("restart: always", "restart: always\n    stop_grace_period: 1m"),
        KEPT.replace("restart: always", "restart: 'no'"),
        KEPT.replace("    volumes: [cached:/data]\n", ""),
        KEPT.replace("redis:8", "memcached:1"),
    ],
    ids=["time", "not kept running", "forgets", "no database"],
)
def test_a_service_without_that_haste_holds(tmp_path: Path, text: str) -> None:
    assert broken(tmp_path, GRACE, {"compose.yaml": text}) == []


def test_a_program_with_an_embedded_database_counts_once_for_its_volume(tmp_path: Path) -> None:
    service = "{build: ., restart: unless-stopped, volumes: ['data:/data']}"
    text = f"services:\n  app: {service}\n  worker: {service}\nvolumes: {{data: }}\n"
    files = {**DOCKERFILE, "compose.yaml": text, "pyproject.toml": '[project]\ndependencies = ["duckdb>=1.0"]\n'}
    (detail,) = broken(tmp_path, GRACE, files)
    assert detail.message.startswith("compose.yaml:2: app, worker keep files of DuckDB in the volume data")
    (tmp_path / "compose.yaml").write_text(text.replace("restart: unless-stopped", "restart: unless-stopped, stop_grace_period: 1m", 1))
    assert broken(tmp_path, GRACE, {}) == []


def test_the_socket_of_the_engine_is_broken_unless_it_is_read_only(tmp_path: Path) -> None:
    text = APP + "    volumes:\n      - /var/run/docker.sock:/var/run/docker.sock\n"
    assert places(broken(tmp_path, SOCKET, {"compose.yaml": text})) == [("socket-writable", "compose.yaml", 5)]
    assert broken(tmp_path, SOCKET, {"compose.yaml": text.replace("sock\n", "sock:ro\n")}) == []


# ---- overrides

OVERRIDE = "compose.no_autoloaded_dev_override"
LEFT_OUT = "compose.explicit_f_ignores_override"
SERVED = APP + "    restart: unless-stopped\n"


@pytest.mark.parametrize(
    "said",
    [
        "volumes: ['.:/app']",
        "volumes: [{type: bind, source: ./src, target: /app/src}]",
        "command: uvicorn app:app --reload",
        "command: [npm, run, dev]",
        "environment: {DJANGO_DEBUG: '1'}",
        "environment: [NODE_ENV=development]",
    ],
)
@pytest.mark.parametrize("names", [("compose.yaml", "compose.override.yaml"), ("docker-compose.yml", "docker-compose.override.yml")], ids=["new", "old"])
def test_an_override_for_developers_that_is_loaded_by_itself_is_broken(tmp_path: Path, said: str, names: tuple[str, str]) -> None:
    details = broken(tmp_path, OVERRIDE, {names[0]: SERVED, names[1]: f"services:\n  app:\n    {said}\n"})
    assert places(details) == [("development", names[1], 3)]


@pytest.mark.parametrize(
    "files",
    [
        {"compose.yaml": SERVED, "compose.override.yaml": "services: {app: {ports: ['127.0.0.1:8000:80']}}\n"},
        {"compose.yaml": SERVED, "compose.dev.yaml": "services: {app: {volumes: ['.:/app']}}\n"},
        {"compose.yaml": SERVED, "compose.override.yaml": "services: {app: {volumes: ['.:/app']}}\n", ".gitignore": "compose.override.yaml\n"},
        {"compose.yaml": APP, "compose.override.yaml": "services: {app: {volumes: ['.:/app']}}\n"},  # nobody runs it for others
        {"compose.yaml": SERVED + "    environment: {DEBUG: 'true'}\n", "compose.override.yaml": "services: {app: {volumes: ['.:/app']}}\n"},
    ],
    ids=["settings", "another name", "ignored", "not kept running", "for developers anyway"],
)
def test_an_override_that_does_no_harm_holds(tmp_path: Path, files: dict[str, str]) -> None:
    assert broken(tmp_path, OVERRIDE, files) == []


def test_an_override_of_the_repository_that_users_are_told_to_edit_is_broken(tmp_path: Path) -> None:
    files = {"compose.yaml": SERVED, "compose.override.yaml": APP, "docs/install.md": "# Install\n\nEdit `compose.override.yaml`, and set your host name.\n"}
    (detail,) = broken(tmp_path, OVERRIDE, files)
    assert (detail.kind, detail.file) == ("tracked", "compose.override.yaml")
    assert detail.message.startswith("docs/install.md:3: ")


COMMANDS = [
    "docker compose -f compose.yaml up -d",
    "docker compose --project-name x --file=compose.yaml pull",
    "docker-compose -f compose.yaml \\\n  create",
    '${COMPOSE_COMMAND} -f "${SCRIPT_DIR}/../compose.yaml" create 2>&1',
    "ssh host docker compose -f /srv/app/compose.yaml up -d",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_leaves_the_operators_override_out_is_broken(tmp_path: Path, command: str) -> None:
    files = {"compose.yaml": SERVED, ".gitignore": "/compose.override.yaml\n", "bin/update.sh": f"#!/bin/sh\ncd /srv\n{command}\n"}
    assert places(broken(tmp_path, LEFT_OUT, files)) == [("override-left-out", "bin/update.sh", 3)]


@pytest.mark.parametrize(
    ("command", "ignored"),
    [
        ("docker compose up -d", "/compose.override.yaml"),
        ("docker compose -f compose.yaml -f compose.override.yaml up -d", "/compose.override.yaml"),
        ("docker compose -f compose.yaml -f compose.prod.yaml up -d", "/compose.override.yaml"),
        ("docker compose -f compose.yaml logs -f", "/compose.override.yaml"),
        ("[ -f compose.yaml ] && docker compose up -d", "/compose.override.yaml"),
        ("docker compose -f compose.yaml up -d", "*.log"),  # nobody is told of an override
    ],
)
def test_a_command_that_leaves_nothing_of_the_operator_out_holds(tmp_path: Path, command: str, ignored: str) -> None:
    files = {"compose.yaml": SERVED, "compose.prod.yaml": SERVED, ".gitignore": f"{ignored}\n", "update.sh": f"#!/bin/sh\n{command}\n"}
    assert broken(tmp_path, LEFT_OUT, files) == []


# ---- files that no chain holds


def test_an_overlay_that_nobody_names_is_judged_by_itself(tmp_path: Path) -> None:
    service = "  db:\n    image: postgres:17\n    volumes:\n      - rows:/var/lib/postgresql\n"
    overlay = f"services:\n  app:\n    depends_on: [db, queue]\n{service}volumes: {{rows: , spare: }}\n"
    files = {"compose.yaml": APP, "overlays/compose.postgres.yaml": overlay, "overlays/tests/compose.postgres.yaml": overlay}
    details = broken(tmp_path, "compose.data_dir_matches_mount", files)
    assert places(details) == [("data-elsewhere", "overlays/compose.postgres.yaml", 7)]
    assert broken(tmp_path, UNMOUNTED, {}) == broken(tmp_path, SOURCELESS, {}) == []


def test_an_image_that_is_made_from_a_known_one_is_known(tmp_path: Path) -> None:
    text = "services:\n  db:\n    build: ./db\n    volumes:\n      - rows:/var/lib/postgresql/data\nvolumes: {rows: }\n"
    files = {"compose.yaml": text, "db/Dockerfile": "FROM postgres:18\nCOPY init.sql /docker-entrypoint-initdb.d/\n"}
    assert places(broken(tmp_path, "compose.data_dir_matches_mount", files)) == [("data-elsewhere", "compose.yaml", 5)]
    (tmp_path / "db/Dockerfile").write_text("FROM postgres:17\n")
    assert broken(tmp_path, "compose.data_dir_matches_mount", {}) == []


# ---- what cannot be looked at


def test_a_chain_that_docker_compose_refuses_is_unproven_for_its_files(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(REDIS + "    volumes: [gone:/data]\n")
    known = guardrail("compose.data_dir_matches_mount")
    assert known is not None
    world = World(site=site_of_tree(tmp_path), gates=frozenset({When.STATIC}), tree=Tree(tmp_path, patient=True), hosts={}, environ=os.environ)
    judged = known.judge(observer(known).see(world, Subject(name="compose.yaml")))
    assert [(detail.outcome, detail.what) for detail in judged.details] == [(Outcome.UNPROVEN, "default")]
