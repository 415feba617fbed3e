"""A variable that says where state lives, and everybody who can believe something else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from interlock.testing import containers
from interlock.testing.faults import Fault, move_to_unreachable_host, read_site, write_site
from interlock.verdicts import When

EXCLUDED = [{what: "*", "reason": "this proves another guardrail"} for what in ("container", "volume")]

COMPOSE = """\
services:
  app: &service
    image: registry.example.org/shop:stable
    environment: {STATE_DIR: "${STATE_DIR:-/data/state}"}
    volumes:
      - /data-state:/data-state
      - ./config:/app/config:ro
  worker: *service
"""
SCRIPT = """\
#!/bin/bash
set -euo pipefail
STATE_DIR="$(grep -m1 '^STATE_DIR=' /srv/shop/.env | cut -d= -f2-)"
STATE_DIR="${STATE_DIR:-/data/state}"
install -d -m 0700 "$STATE_DIR/certs"
"""
CONFIG = "title: Shop\nmail:\n  from: shop@example.org\n"


def _declared(folder: Path, **more: Any) -> dict[str, Any]:
    """The same env file in the site's folder and where the stack runs; `/data-state` is never looked at itself."""
    running = folder / "running"
    running.mkdir()
    for path in (folder / ".env", running / ".env"):
        path.write_text("STATE_DIR=/data-state\n")
    return {"path": "/data-state", "values": {"DATA_DIR": "/data"}, "env_file": ".env", "host_env_file": str(running / ".env"), **more}


def _variable(folder: Path) -> None:
    write_site(folder, {"state_dir": _declared(folder)})


def _set_to(folder: Path, text: str) -> None:
    for path in (folder / ".env", folder / "running" / ".env"):
        path.write_text(text)


def _instance(folder: Path) -> None:
    """An instance whose own env file leaves the variable to the host's."""
    (folder / "instance").mkdir()
    (folder / "instance" / ".env").write_text("# STATE_DIR=/data-state\n")
    write_site(folder, {"instances": {"main": {"directory": str(folder / "instance")}}, "state_dir": _declared(folder)})


def _overridden(folder: Path) -> None:
    (folder / "instance" / ".env").write_text("STATE_DIR=/data/state\n")


def _no_env_file(folder: Path) -> None:
    (folder / ".env").unlink()
    (folder / ".env").mkdir()


def _stack(folder: Path) -> None:
    """Two services, a script of the host, and a configuration file with a read-only copy."""
    (folder / "compose.yaml").write_text(COMPOSE)
    (folder / "upgrade.sh").write_text(SCRIPT)
    state_dir = _declared(folder, readers=["upgrade.sh"], precedence={"shop": {"state": "shop.yaml", "fallback": "/app/config/shop.yaml"}})
    write_site(folder, {"compose": {"files": ["compose.yaml"]}, "state_dir": state_dir, "excluded": EXCLUDED})


def _worker_without_state(folder: Path) -> None:
    worker = "  worker:\n    image: registry.example.org/shop:stable\n    environment: {STATE_DIR: /data-state}\n"
    (folder / "compose.yaml").write_text(COMPOSE.replace("  worker: *service\n", worker))


def _writable_fallback(folder: Path) -> None:
    (folder / "compose.yaml").write_text(COMPOSE.replace("/app/config:ro", "/app/config"))


def _other_default(folder: Path) -> None:
    (folder / "upgrade.sh").write_text(SCRIPT.replace(":-/data/state", ":-/var/lib/shop"))


def _hard_coded(folder: Path) -> None:
    (folder / "upgrade.sh").write_text(SCRIPT + "STATE_DIR=/data/state docker compose up -d\n")


def _no_script(folder: Path) -> None:
    (folder / "upgrade.sh").unlink()
    (folder / "upgrade.sh").mkdir()


def _no_compose_file(folder: Path) -> None:
    (folder / "compose.yaml").unlink()
    (folder / "compose.yaml").mkdir()


def _script_alone(folder: Path) -> None:
    (folder / "upgrade.sh").write_text(SCRIPT)
    write_site(folder, {"state_dir": _declared(folder, readers=["upgrade.sh"])})


def _state_directory(folder: Path) -> None:
    """A state directory with two secrets, and a configuration file newer than its read-only copy."""
    state, config = folder / "state", folder / "config"
    for path, content in ((state / "jwt.key", "c2VjcmV0LWJ1dC1ub3QtcmVhbGx5"), (state / "session.json", '{"key": "not-a-real-one"}')):
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        path.chmod(0o600)
    config.mkdir()
    for path, age in ((config / "shop.yaml", 60), (state / "shop.yaml", 0)):
        path.write_text(CONFIG)
        os.utime(path, (1_750_000_000 - age,) * 2)
    state_dir = {
        "path": str(state),
        "default": str(state),
        "secrets": {"jwt": {"path": "jwt.key", "format": "base64"}, "session": {"path": "session.json", "format": "json"}},
        "precedence": {"shop": {"state": "shop.yaml", "fallback": str(config / "shop.yaml")}},
    }
    write_site(folder, {"state_dir": state_dir})


def _blank_secret(folder: Path) -> None:
    (folder / "state" / "jwt.key").write_text("\n")


def _cut_secret(folder: Path) -> None:
    (folder / "state" / "session.json").write_text('{"key": ')


def _edited_fallback(folder: Path) -> None:
    path = folder / "config" / "shop.yaml"
    path.write_text(CONFIG.replace("shop@", "orders@"))
    os.utime(path, (1_750_000_060,) * 2)


def _running(folder: Path) -> None:
    """A container that has its state where it should."""
    (folder / "state").mkdir()
    state_dir = {"path": str(folder / "state"), "default": str(folder / "state")}
    instances = {"main": {"directory": str(folder)}}
    write_site(folder, {"hosts": containers.host(), "instances": instances, "state_dir": state_dir, "excluded": EXCLUDED})
    _start(folder, "app", str(folder / "state"))


def _start(folder: Path, service: str, state: str, *more: str) -> None:
    containers.start(folder, service, "--env", f"STATE_DIR={state}", "--volume", f"{folder}/state:{folder}/state", *more)


def _old_container(folder: Path) -> None:
    _start(folder, "worker", "/data/state")


def _another_user(folder: Path) -> None:
    """A worker whose process has another uid than the state directory, which is its owner's alone to write."""
    (folder / "state").chmod(0o755)
    _start(folder, "worker", str(folder / "state"), "--user", "12345:12345")


def _running_with_config(folder: Path) -> None:
    """The container may write its configuration, which lies in the state directory."""
    _running(folder)
    site = read_site(folder)
    site["state_dir"]["precedence"] = {"shop": {"state": "shop.yaml", "fallback": "/app/config/shop.yaml"}}
    (folder / "state" / "shop.yaml").write_text(CONFIG)
    write_site(folder, site)


def _config_mounted_read_only(folder: Path) -> None:
    """Started again with the packaged copy over the one that it writes."""
    (folder / "packaged.yaml").write_text(CONFIG)
    containers.end(folder)
    _start(folder, "app", str(folder / "state"), "--volume", f"{folder}/packaged.yaml:{folder}/state/shop.yaml:ro")


ROTATE = """\
#!/bin/bash
set -euo pipefail
STATE_DIR="${STATE_DIR:-/data/state}"
install -m 0600 new.pem "$STATE_DIR/certs/shop.pem"
"""
SETTINGS = """\
import os
from pathlib import Path


def state_dir() -> Path:
    state = os.environ.get("STATE_DIR")
    return Path(state) if state else Path(os.environ.get("DATA_DIR", "/data")) / "state"


def sessions() -> Path:
    return state_dir() / "sessions.json"
"""


def _one_source(folder: Path) -> None:
    """A script and a program that take the directory from its variable."""
    (folder / "rotate.sh").write_text(ROTATE)
    (folder / "settings.py").write_text(SETTINGS)
    write_site(folder, {"scripts": {"found": True}})


def _past_the_resolver(folder: Path) -> None:
    (folder / "settings.py").write_text(
        SETTINGS.replace("    return state_dir() / ", '    data_dir = Path(os.environ.get("DATA_DIR", "/data"))\n    return data_dir / "state" / ')
    )


def _written_down(folder: Path) -> None:
    (folder / "rotate.sh").write_text(ROTATE.replace('"$STATE_DIR/certs', '"/data/state/certs'))


def _no_program(folder: Path) -> None:
    (folder / "settings.py").write_text(SETTINGS + 'BROKEN = Path("/data/state/"\n')


def _unreachable(folder: Path) -> None:
    move_to_unreachable_host(folder, "state_dir")


FAULTS = (
    Fault(
        guardrail="state_dir.resolves",
        describe="the env file does not set the variable, and the default is another directory",
        kind="another-directory",
        gate=When.STATIC,
        healthy=_variable,
        seed=lambda folder: _set_to(folder, "# STATE_DIR=/data-state\n"),
        blind=_no_env_file,
    ),
    Fault(
        guardrail="state_dir.resolves",
        describe="the variable is made of one that nobody sets",
        kind="undefined-variable",
        gate=When.STATIC,
        healthy=_variable,
        seed=lambda folder: _set_to(folder, "STATE_DIR=${DISK}-state\n"),
        blind=_no_env_file,
    ),
    Fault(
        guardrail="state_dir.resolves",
        describe="the env file of the host sets a relative path",
        kind="relative",
        gate=When.PREFLIGHT,
        healthy=_variable,
        seed=lambda folder: _set_to(folder, "STATE_DIR=data-state\n"),
        blind=_unreachable,
    ),
    Fault(
        guardrail="state_dir.resolves",
        describe="an instance is started with an env file that sets another directory",
        kind="another-directory",
        gate=When.PREFLIGHT,
        healthy=_instance,
        seed=_overridden,
        blind=_unreachable,
    ),
    Fault(
        guardrail="state_dir.services_agree",
        describe="a service has the variable, and no mount there",
        kind="no-mount",
        gate=When.STATIC,
        healthy=_stack,
        seed=_worker_without_state,
        blind=_no_compose_file,
    ),
    Fault(
        guardrail="state_dir.services_agree",
        describe="a container from before the change still runs",
        kind="another-directory",
        gate=When.PREFLIGHT,
        healthy=_running,
        seed=_old_container,
        blind=containers.lose,
        needs=containers.ENGINE,
    ),
    Fault(
        guardrail="state_dir.writable_by_service",
        describe="a service runs as a user who cannot write the state directory",
        kind="no-permission",
        gate=When.PREFLIGHT,
        healthy=_running,
        seed=_another_user,
        blind=containers.lose,
        needs=containers.ENGINE,
    ),
    Fault(
        guardrail="state_dir.writable_by_service",
        describe="the configuration that the application writes is mounted read-only",
        kind="config-read-only",
        gate=When.PREFLIGHT,
        healthy=_running_with_config,
        seed=_config_mounted_read_only,
        blind=containers.lose,
        needs=containers.ENGINE,
    ),
    Fault(
        guardrail="state_dir.host_and_stack_agree",
        describe="a script of the host takes another default",
        kind="another-default",
        gate=When.STATIC,
        healthy=_stack,
        seed=_other_default,
        blind=_no_script,
    ),
    Fault(
        guardrail="state_dir.host_and_stack_agree",
        describe="a script of the host writes the directory down",
        kind="hard-coded",
        gate=When.PREFLIGHT,
        healthy=_script_alone,
        seed=_hard_coded,
        blind=_unreachable,
    ),
    Fault(
        guardrail="state_dir.secrets_present",
        describe="a secret is blank",
        kind="blank",
        gate=When.PREFLIGHT,
        healthy=_state_directory,
        seed=_blank_secret,
        blind=_unreachable,
    ),
    Fault(
        guardrail="state_dir.secrets_present",
        describe="others can read a secret",
        kind="mode",
        gate=When.PREFLIGHT,
        healthy=_state_directory,
        seed=lambda folder: (folder / "state" / "session.json").chmod(0o640),
        blind=_unreachable,
    ),
    Fault(
        guardrail="state_dir.secrets_present",
        describe="a secret was cut short",
        kind="unreadable",
        gate=When.PREFLIGHT,
        healthy=_state_directory,
        seed=_cut_secret,
        blind=_unreachable,
    ),
    Fault(
        guardrail="state_dir.precedence",
        describe="the read-only copy is mounted read-write",
        kind="fallback-writable",
        gate=When.STATIC,
        healthy=_stack,
        seed=_writable_fallback,
        blind=_no_compose_file,
    ),
    Fault(
        guardrail="state_dir.precedence",
        describe="somebody edited the copy that nobody reads",
        kind="fallback-is-newer",
        gate=When.PREFLIGHT,
        healthy=_state_directory,
        seed=_edited_fallback,
        blind=_unreachable,
    ),
    Fault(
        guardrail="state_dir.single_source",
        describe="a program joins the data directory with the name of the state directory",
        kind="made-of-another-variable",
        gate=When.STATIC,
        healthy=_one_source,
        seed=_past_the_resolver,
        blind=_no_program,
    ),
    Fault(
        guardrail="state_dir.single_source",
        describe="a script writes the default down",
        kind="literal-path",
        gate=When.STATIC,
        healthy=_one_source,
        seed=_written_down,
        blind=_no_program,
    ),
)
