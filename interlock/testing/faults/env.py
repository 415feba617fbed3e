"""An instance that was never told of a new variable."""

from __future__ import annotations

from pathlib import Path

from interlock.testing.faults import Fault, move_to_unreachable_host, write_site
from interlock.verdicts import When

COMPOSE = """\
services:
  app:
    image: registry.example.org/app:${APP_TAG:-stable}
    environment:
      DATABASE_URL: postgresql://app:${DB_PASSWORD}@db/app
      STATE_DIR: ${STATE_DIR:?where does the state live}
"""
MAIL = """\
services:
  app:
    environment:
      MAIL_HOST: ${MAIL_HOST}
"""
GENERATOR = """\
cat > .env <<EOF
DB_PASSWORD=$(openssl rand -hex 16)
STATE_DIR=/data-state
# say who gets mail
#MAIL_FROM=
EOF
"""
ENV = "DB_PASSWORD=not-a-real-one\nSTATE_DIR=/data-state\n"


def _healthy(folder: Path) -> None:
    """The same env file in the site's folder and in the instance's directory."""
    running = folder / "running"
    running.mkdir()
    for path in (folder / "main.env", running / ".env"):
        path.write_text(ENV)
    (folder / "compose.yaml").write_text(COMPOSE)
    write_site(folder, {"compose": {"files": ["compose.yaml"]}, "instances": {"main": {"directory": str(running), "env_file": "main.env"}}})


def _healthy_chains(folder: Path) -> None:
    """Two chains, and an instance that runs the smaller one."""
    _healthy(folder)
    (folder / "compose.mail.yaml").write_text(MAIL)
    files = ["compose.yaml", "compose.mail.yaml"]
    chains = {"plain": {"files": files[:1]}, "mail": {"files": files}}
    instance = {"directory": str(folder / "running"), "env_file": "main.env", "chain": "plain"}
    write_site(folder, {"compose": {"files": files, "chains": chains}, "instances": {"main": instance}})


def _runs_the_other_chain(folder: Path) -> None:
    path = folder / "interlock.yaml"
    path.write_text(path.read_text().replace("chain: plain", "chain: mail"))


def _healthy_generator(folder: Path) -> None:
    """No env file in the site's folder: a script writes it on the host."""
    _healthy(folder)
    (folder / "generate_config.sh").write_text(GENERATOR)
    (folder / "main.env").unlink()
    compose = {"files": ["compose.yaml"], "env_sources": ["generate_config.sh"]}
    write_site(folder, {"compose": compose, "instances": {"main": {"directory": str(folder / "running")}}})


def _not_generated(folder: Path) -> None:
    (folder / "generate_config.sh").write_text(GENERATOR.replace("STATE_DIR=/data-state\n", ""))


def _no_generator(folder: Path) -> None:
    (folder / "generate_config.sh").unlink()


def _new_variable(folder: Path) -> None:
    (folder / "compose.yaml").write_text(COMPOSE + "      MAIL_FROM: $MAIL_FROM\n")


def _without_state_dir(folder: Path) -> None:
    (folder / "running" / ".env").write_text("DB_PASSWORD=not-a-real-one\nSTATE_DIR=\n")


def _no_compose_file(folder: Path) -> None:
    (folder / "compose.yaml").unlink()
    (folder / "compose.yaml").mkdir()


def _no_env_file(folder: Path) -> None:
    (folder / "running" / ".env").unlink()


def _unreachable(folder: Path) -> None:
    move_to_unreachable_host(folder, "instances", "main")


FAULTS = (
    Fault(
        guardrail="env.coverage",
        describe="a compose file asks for a new variable",
        kind="undefined",
        gate=When.STATIC,
        healthy=_healthy,
        seed=_new_variable,
        blind=_no_compose_file,
    ),
    Fault(
        guardrail="env.coverage",
        describe="a required variable is empty on the instance",
        kind="required",
        gate=When.PREFLIGHT,
        healthy=_healthy,
        seed=_without_state_dir,
        blind=_unreachable,
    ),
    Fault(
        guardrail="env.coverage",
        describe="an instance without its env file",
        kind="no-env-file",
        gate=When.PREFLIGHT,
        healthy=_healthy,
        seed=_no_env_file,
        blind=_unreachable,
    ),
    Fault(
        guardrail="env.coverage",
        describe="an instance runs a chain whose overlay asks for more than its env file gives",
        kind="undefined",
        gate=When.STATIC,
        healthy=_healthy_chains,
        seed=_runs_the_other_chain,
        blind=_no_compose_file,
    ),
    Fault(
        guardrail="env.coverage",
        describe="the script that writes the env file was never told of a variable",
        kind="required",
        gate=When.STATIC,
        healthy=_healthy_generator,
        seed=_not_generated,
        blind=_no_generator,
    ),
)
