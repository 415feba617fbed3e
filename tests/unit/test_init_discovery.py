"""What is inferred from a tree, and from where: the document that `init` writes, section by section."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interlock.config.load import load_site
from interlock.config.models import Site
from interlock.discover.document import From, Offer, is_only_offered, plain, render
from interlock.discover.whole import Discovered, discover
from interlock.observe.chains import compose_files
from interlock.observe.tree import Tree

COMPOSE = """\
services:
  app:
    image: shop:1
    ports: ["8080:80", "127.0.0.1:9000:9000", "443:443/udp"]
    env_file: .env
    environment: [DATA_DIR=/data]
    volumes: ["data:/data", "./config:/etc/shop:ro", "/var/run/docker.sock:/var/run/docker.sock"]
    healthcheck: {test: [CMD, curl, -f, "http://localhost:80/health"]}
  db:
    image: postgres:${PG:-16}
    container_name: shop-db
    environment: {POSTGRES_USER: shop, POSTGRES_DB: ledger, POSTGRES_PASSWORD: "${PASSWORD}"}
    volumes: ["pg:/var/lib/postgresql/data"]
volumes: {data: {}, pg: {name: shop_pg}}
"""
NESTED = "services:\n  app:\n    volumes: !override\n      - /data:/data\n  worker: {image: shop:1, volumes: ['/data:/data']}\n"
FLAT = "services:\n  app:\n    volumes: !override\n      - /data:/data\n      - /data-state:/data-state\n"
UPGRADE = """\
#!/bin/bash
STATE_DIR="${STATE_DIR:-/data/state}"
CONFIG_DEVICE=/dev/disk/by-label/state
mount "$CONFIG_DEVICE" "$STATE_DIR"
cd /opt/shop && set -a && . /opt/shop/.env
BACKUP_DIR=/srv/backups
docker compose -f compose.yml -f compose.host.yml up -d
"""


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def found_in(root: Path, files: dict[str, str]) -> Discovered:
    looked = Tree(tree(root / "shop", files), patient=True)
    return discover(looked, compose_files(looked), root=root / "shop")


def section(root: Path, files: dict[str, str], name: str) -> Any:
    return found_in(root, files).document.get(name)


def loaded(root: Path, found: Discovered) -> Site:
    (root / "interlock.yaml").write_text(render(found.document, []))
    return load_site(root / "interlock.yaml", None)


def origin(value: Any, *steps: str | int) -> str:
    """What a value below `value` was inferred from: its own origin, else that of the nearest thing above it."""
    said = ""
    for step in (*steps, None):
        while isinstance(value, From):
            value, said = value.value, value.origin
        if step is not None:
            value = value[step]
    return said


def test_a_tree_that_says_everything_makes_a_whole_site(tmp_path: Path) -> None:
    files = {
        "compose.yml": COMPOSE,
        "compose.host.yml": NESTED,
        "compose.flat.yml": FLAT,
        "ops/upgrade.sh": UPGRADE,
        "README.md": "docker compose -f compose.yml -f compose.flat.yml up -d\n",
        "etc/fstab": "LABEL=data /data ext4 defaults 0 2\n",
        ".env": "PASSWORD=x\nCOMPOSE_PROJECT_NAME=till\n",
        ".github/workflows/gate.yml": "jobs: {a: {steps: [{run: interlock scan .}]}}\n",
        "docs/restore-db.md": "# How\n",
        "keys/allowed_signers": "",
    }
    site = loaded(tmp_path, found_in(tmp_path, files))
    assert site.mounts is not None
    assert (site.mounts.state.path, site.mounts.state.device, site.mounts.layout) == ("/data/state", "/dev/disk/by-label/state", "nested")
    assert site.mounts.data is not None
    assert (site.mounts.data.path, site.mounts.data.device) == ("/data", "LABEL=data")
    assert (site.mounts.overlays.nested, site.mounts.overlays.flat) == ("compose.host.yml", "compose.flat.yml")
    assert site.state_dir is not None
    assert (site.state_dir.variable, site.state_dir.default, dict(site.state_dir.values)) == ("STATE_DIR", "${DATA_DIR}/state", {"DATA_DIR": "/data"})
    assert (site.state_dir.path, site.state_dir.host_env_file, site.state_dir.readers) == ("/data/state", "/opt/shop/.env", ("ops/upgrade.sh",))
    assert {name: module.backup_class for name, module in site.modules.items()} == {"app": None, "db": "A"}
    assert (site.modules["db"].container, site.modules["db"].volumes, site.modules["db"].backups) == ("shop-db", ("shop_pg",), "/srv/backups/db")
    assert (site.modules["db"].restore_note, site.modules["db"].database, site.databases["db"].dsn_env) == ("docs/restore-db.md", "db", "DB_DSN")
    assert (site.instances["main"].directory, site.instances["main"].env_file, site.instances["main"].chain) == ("/opt/shop", ".env", "host")
    assert site.compose is not None
    assert {name: chain.files for name, chain in site.compose.chains.items()} == {"host": ("compose.yml", "compose.host.yml"), "default": ("compose.yml",)}
    assert site.automation is not None
    assert site.automation.gate == ".github/workflows/gate.yml"
    assert site.scripts is not None
    assert site.scripts.found


@pytest.mark.parametrize("files", [{}, {"README.md": "hello"}, {"compose.yml": "services: {}\n"}, {"compose.yml": "a: [\n"}, {"compose.yml": ""}])
def test_a_tree_that_says_little_makes_a_site_that_loads(tmp_path: Path, files: dict[str, str]) -> None:
    found = found_in(tmp_path, files)
    assert loaded(tmp_path, found).not_used == {}
    asked = found.document["not_used"]
    assert isinstance(asked, Offer)
    assert {"mounts", "state_dir", "backups", "parity", "templates", "automation"} == set(asked.value)


def test_a_family_that_is_declared_is_not_asked_for(tmp_path: Path) -> None:
    found = found_in(tmp_path, {"compose.yml": COMPOSE, "etc/cron.d/shop": "0 3 * * * root true\n"})
    assert set(found.document["not_used"].value) == {"mounts", "state_dir", "parity", "templates"}


def test_every_section_says_from_where_it_was_inferred(tmp_path: Path) -> None:
    document = found_in(tmp_path, {"compose.yml": COMPOSE, ".env": "PASSWORD=x\n"}).document
    assert origin(document, "modules", "db", "volumes") == "compose.yml:9, postgres:16"
    assert origin(document, "modules", "db", "backups") == "proposed"
    assert origin(document, "health", "app", "url") == "its healthcheck, compose.yml:8"
    assert origin(document, "databases", "db", "dsn_env").startswith("compose.yml:9; export it like postgresql://shop@HOST:PORT/ledger")


def test_no_secret_of_an_env_file_is_written_down(tmp_path: Path) -> None:
    files = {"compose.yml": COMPOSE + "x: ${PASSWORD}\n", ".env": "PASSWORD=hunter2hunter2\nDB_PASS=hunter3hunter3\n", "env/a.env": "K=hunter4hunter4\n"}
    found = found_in(tmp_path, files)
    assert "hunter" not in render(found.document, [])
    assert "hunter" not in repr(found.composition)


# ---- state


def test_the_variable_may_be_a_bind_of_compose(tmp_path: Path) -> None:
    compose = "services:\n  app: {image: x, volumes: ['${DATA_DIR:-./var}:/srv/data']}\n"
    state = plain(section(tmp_path, {"compose.yml": compose}, "state_dir"))
    assert (state["variable"], state["container_path"], state["services"]) == ("DATA_DIR", "/srv/data", ["app"])
    assert state["path"] == str(tmp_path / "shop" / "var")


def test_a_variable_of_containers_alone_says_nothing_of_the_host(tmp_path: Path) -> None:
    compose = "services:\n  app: {image: x, environment: {DATA_DIR: /data}, volumes: ['data:/data']}\n"
    assert section(tmp_path, {"compose.yml": compose}, "state_dir") is None


def test_what_the_env_file_sets_comes_before_the_default(tmp_path: Path) -> None:
    files = {"compose.yml": COMPOSE, "run.sh": '#!/bin/sh\nls "${STATE_DIR:-/data/state}"\n', ".env": "STATE_DIR=/data-state\n"}
    state = section(tmp_path, files, "state_dir")
    assert (plain(state)["path"], plain(state)["env_file"], origin(state, "path")) == ("/data-state", ".env", ".env:1")


def test_a_variable_whose_value_nobody_says_is_asked_for(tmp_path: Path) -> None:
    state = section(tmp_path, {"compose.yml": COMPOSE, "run.sh": '#!/bin/sh\nSTATE_DIR=$1\nls "${STATE_DIR:-$HOME/state}"\n'}, "state_dir")
    assert isinstance(state, Offer)


@pytest.mark.parametrize("more", [{"image/Dockerfile": ""}, {}])
def test_what_runs_in_a_container_or_is_a_constant_says_nothing_of_the_host(tmp_path: Path, more: dict[str, str]) -> None:
    script = '#!/bin/sh\nls "${DATA_DIR:-/data}"\n' if more else '#!/bin/sh\nDATADIR=/var/lib/x\nls "$DATADIR"\n'
    assert section(tmp_path, {"compose.yml": COMPOSE, "image/start.sh": script, **more}, "state_dir") is None


def test_where_scripts_write_backups_is_where_they_are_proposed_unless_it_is_inside_of_what_they_hold(tmp_path: Path) -> None:
    compose = COMPOSE.replace('"data:/data"', '"/data:/data"')
    files = {"compose.yml": compose, "backup.sh": '#!/bin/sh\nroot="${WHERE:-/data/backups/sql}"\npg_dump x > $root/x\n'}
    modules = plain(section(tmp_path, files, "modules"))
    assert {name: module["backups"] for name, module in modules.items()} == {"app": "/var/backups/shop/app", "db": "/data/backups/db"}


def test_a_mount_unit_says_the_disk(tmp_path: Path) -> None:
    unit = "[Mount]\nWhat=/dev/disk/by-label/state\nWhere=/data/state\nType=xfs\n"
    mounts = plain(section(tmp_path, {"a.sh": '#!/bin/sh\nls "${STATE_DIR:-/data/state}"\n', "etc/data-state.mount": unit}, "mounts"))
    assert mounts["state"] == {"path": "/data/state", "device": "LABEL=state", "fstype": "xfs"}


def test_a_disk_that_no_line_mounts_is_asked_for(tmp_path: Path) -> None:
    mounts = section(tmp_path, {"a.sh": '#!/bin/sh\nls "${STATE_DIR:-/data/state}"\n# LABEL=old /data/state ext4\n'}, "mounts")
    assert isinstance(mounts, Offer)
    assert "findmnt" in mounts.ask


# ---- modules


def module(root: Path, service: str, **more: str) -> Any:
    compose = f"services:\n  s: {service}\nvolumes: {{v: {{}}}}\n"
    return plain(section(root, {"compose.yml": compose, **more}, "modules") or {})


@pytest.mark.parametrize(
    ("image", "letter"),
    [("postgres:16", "A"), ("bitnami/postgresql", "A"), ("valkey/valkey:8", "B"), ("redis", "B"), ("openbao/openbao", "C"), ("minio/minio", "D"),
     ("mariadb:10", "F"), ("getmeili/meilisearch", "F"), ("registry.example.org/shop/app:1", None), ("prom/postgres-exporter", None)],
)  # fmt: skip
def test_the_class_is_by_the_image(tmp_path: Path, image: str, letter: str | None) -> None:
    assert module(tmp_path, f"{{image: '{image}', volumes: ['v:/x']}}")["s"].get("class") == letter


@pytest.mark.parametrize(
    "volume", ["v:/x:ro", "/etc/localtime:/x", "/var/run/docker.sock:/x", "./nginx.conf:/x", "/proc:/x", "${HOME}:/x", "~/x:/x", "../up:/x"]
)
def test_what_keeps_no_state_is_no_module(tmp_path: Path, volume: str) -> None:
    assert module(tmp_path, f"{{image: app, volumes: ['{volume}']}}") == {}


def test_a_folder_of_the_tree_is_configuration_and_a_placeholder_is_not(tmp_path: Path) -> None:
    service = "{image: app, volumes: ['./web:/w', './uploads:/u']}"
    assert module(tmp_path, service, **{"web/index.html": "", "uploads/.gitkeep": ""})["s"]["paths"] == [str(tmp_path / "shop" / "uploads")]


def test_an_engine_without_a_volume_is_asked_for(tmp_path: Path) -> None:
    found = section(tmp_path, {"compose.yml": "services:\n  cache: {image: redis}\n"}, "modules")
    assert isinstance(found["cache"], Offer)
    assert "no volume keeps its state" in found["cache"].ask


def test_a_shared_volume_belongs_to_the_engine_that_uses_it(tmp_path: Path) -> None:
    compose = "services:\n  app: {image: x, volumes: ['v:/a']}\n  db: {image: mysql, volumes: ['v:/var/lib/mysql']}\nvolumes: {v: {}}\n"
    assert list(section(tmp_path, {"compose.yml": compose}, "modules")) == ["db"]


def test_module_files_are_the_inventory(tmp_path: Path) -> None:
    files = {f"modules/{name}/module.yaml": "id: x\n" for name in ("a", "b")}
    assert plain(section(tmp_path, files, "inventory")) == {"modules": ["modules/*/module.yaml"]}


# ---- reach, instances, templates


def test_ports_for_everybody_are_declared_and_others_are_asked_for(tmp_path: Path) -> None:
    public = section(tmp_path, {"compose.yml": COMPOSE}, "exposure")["public"]
    assert plain(public) == [{"port": 443, "protocol": "udp", "reason": "HTTP/3 for everybody"}]
    (asked,) = [entry for entry in public if isinstance(entry, Offer)]
    assert (asked.value["port"], "bind it to 127.0.0.1" in asked.ask) == (8080, True)


def test_ports_on_one_address_are_nobodys_business(tmp_path: Path) -> None:
    compose = "services:\n  a: {image: x, ports: ['127.0.0.1:1:1', '[::1]:2:2', '10.0.0.1:3:3']}\n"
    assert section(tmp_path, {"compose.yml": compose}, "exposure") == {"public": []}


@pytest.mark.parametrize(
    ("probe", "url"),
    [
        ("[CMD, curl, 'http://localhost:80/ok?deep=1']", "http://127.0.0.1:8080/ok?deep=1"),
        ("'wget -q http://127.0.0.1/ || exit 1'", "http://127.0.0.1:8080/"),
        ("[CMD-SHELL, 'curl -k https://localhost:8443/x']", "https://127.0.0.1:9443/x"),
    ],
)
def test_a_healthcheck_of_a_published_port_is_an_endpoint(tmp_path: Path, probe: str, url: str) -> None:
    compose = f"services:\n  a:\n    image: x\n    ports: ['8080:80', '9443:8443']\n    healthcheck: {{test: {probe}}}\n"
    assert plain(section(tmp_path, {"compose.yml": compose}, "health")) == {"a": {"url": url}}


def test_without_one_a_script_that_asks_a_published_port_says_it(tmp_path: Path) -> None:
    files = {"compose.yml": "services:\n  a: {image: x, ports: ['8080:80']}\n", "smoke.sh": "#!/bin/sh\ncurl -f http://localhost:8080/api/health\n"}
    health = section(tmp_path, files, "health")
    assert (plain(health), origin(health, "stack", "url")) == ({"stack": {"url": "http://localhost:8080/api/health"}}, "smoke.sh:2")


def test_several_env_files_are_several_instances(tmp_path: Path) -> None:
    files = {"compose.yml": COMPOSE, "env/main.env": "", "env/spare.env": "", "run.sh": "#!/bin/sh\ncat /srv/main/.env\n"}
    assert plain(section(tmp_path, files, "instances")) == {
        "main": {"directory": "/srv/main", "env_file": "env/main.env"},
        "spare": {"directory": "/srv/spare", "env_file": "env/spare.env"},
    }


def test_a_template_with_a_twin_is_declared_and_one_for_another_renderer_asked_for(tmp_path: Path) -> None:
    files = {"compose.yml": COMPOSE, "nginx.conf.tmpl": "${HOST}", "nginx.conf": "x", "app.conf.hbs": "{{host}}", "app.conf": "x", "alone.j2": ""}
    templates = section(tmp_path, files, "templates")
    assert plain(templates) == {"nginx.conf": {"template": "nginx.conf.tmpl", "canonical": "nginx.conf", "target": "nginx.conf"}}
    assert is_only_offered(templates["app.conf"])


ONE = "anna@example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJZFVXwNH9RX1gJIMQZDxwm7OYqVsRFM5+8rF3TqQ1gH\n"
OTHER = "ben@example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEp7bUGkhA3zBmFD8f2J1g8hGx5XQoW9uRmJb1yRJrXl\n"


@pytest.mark.parametrize(("content", "own"), [(ONE, True), (ONE + OTHER, False)])
def test_one_person_may_approve_their_own_plan_and_one_of_two_may_not(tmp_path: Path, content: str, own: bool) -> None:
    approval = plain(section(tmp_path, {"keys/allowed_signers": content}, "approval"))
    assert approval == {"allowed_signers": "keys/allowed_signers", "self_approval": own}


def test_pytests_configuration_is_told_what_it_lacks_and_left_alone(tmp_path: Path) -> None:
    files = {"pyproject.toml": '[tool.pytest.ini_options]\ntestpaths = ["tests"]\n', "pytest.ini": "[pytest]\nrequired_plugins = interlock\nstrict = true\n"}
    (hint,) = found_in(tmp_path, {"pyproject.toml": files["pyproject.toml"]}).hints
    assert 'required_plugins = ["interlock"]' in hint
    assert "strict = true" in hint
    assert found_in(tmp_path / "other", {"pytest.ini": files["pytest.ini"]}).hints == ()


def test_many_compose_files_make_a_site_that_loads(tmp_path: Path) -> None:
    files = {
        f"stacks/s{number}/compose.yaml": f"services:\n  s{number}: {{image: redis, volumes: ['v:/data']}}\nvolumes: {{v: {{}}}}\n" for number in range(200)
    }
    site = loaded(tmp_path, found_in(tmp_path, files))
    assert site.compose is not None
