"""Scripts that do the wrong thing with an env file, and settings that old installations never hear of."""

from __future__ import annotations

from pathlib import Path

from interlock.testing.faults import Fault, write_site
from interlock.verdicts import When

COMPOSE = """\
services:
  app:
    image: registry.example.org/app:${APP_TAG:-stable}
    environment:
      MAIL_HOST: ${MAIL_HOST:-}
      MAIL_FROM: ${MAIL_FROM:-}
      MAIL_REPLY_TO: ${MAIL_REPLY_TO:-}
"""
GENERATOR = """\
#!/bin/sh
[ ! -f app.conf ] || exit 0
cat > app.conf <<EOF
# which release runs
APP_TAG=stable
# who gets mail
MAIL_HOST=localhost
MAIL_FROM=root@localhost
MAIL_REPLY_TO=root@localhost
EOF
ln -sf app.conf .env
"""
UPDATER = """\
#!/bin/bash
for option in APP_TAG MAIL_HOST MAIL_FROM MAIL_REPLY_TO; do
  grep -q "^#\\\\?$option=" app.conf || echo "$option=" >> app.conf
done
"""
REPORT = """\
#!/bin/sh
set -eu
APP_TAG=$(sed -n 's/^APP_TAG=//p' .env)
echo "the release is $APP_TAG"
"""
WRITER = """\
#!/bin/sh
SECRET_KEY=$(LC_ALL=C tr -dc 'A-Za-z0-9!#$%&' < /dev/urandom | head -c 48)
echo "SECRET_KEY='$SECRET_KEY'" >> .env
"""


def _site(folder: Path, *scripts: str) -> None:
    (folder / "compose.yaml").write_text(COMPOSE)
    write_site(folder, {"compose": {"files": ["compose.yaml"]}, "scripts": {"files": list(scripts)}})


def _healthy_updater(folder: Path) -> None:
    """A generator, and an updater that knows all of its settings."""
    (folder / "generate.sh").write_text(GENERATOR)
    (folder / "update.sh").write_text(UPDATER)
    _site(folder, "generate.sh", "update.sh")


def _forgotten(folder: Path) -> None:
    (folder / "update.sh").write_text(UPDATER.replace(" MAIL_REPLY_TO;", ";"))


def _unreadable_updater(folder: Path) -> None:
    (folder / "update.sh").unlink()
    (folder / "update.sh").mkdir()


def _healthy_report(folder: Path) -> None:
    """A script that takes one key out of the env file."""
    (folder / "report.sh").write_text(REPORT)
    _site(folder, "report.sh")


def _sourced(folder: Path) -> None:
    (folder / "report.sh").write_text(REPORT.replace("APP_TAG=$(sed -n 's/^APP_TAG=//p' .env)", ". ./.env"))


def _unreadable_report(folder: Path) -> None:
    (folder / "report.sh").unlink()
    (folder / "report.sh").mkdir()


def _healthy_secret(folder: Path) -> None:
    """A script that writes a random secret between quotes that keep it."""
    (folder / "secrets.sh").write_text(WRITER)
    _site(folder, "secrets.sh")


def _without_quotes(folder: Path) -> None:
    (folder / "secrets.sh").write_text(WRITER.replace("'$SECRET_KEY'", "$SECRET_KEY"))


def _unreadable_secret(folder: Path) -> None:
    (folder / "secrets.sh").unlink()
    (folder / "secrets.sh").mkdir()


WORKFLOW = """\
on: push
jobs:
  smoke:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - run: |
          cp example.env app.env
          docker compose up -d --wait
"""


def _healthy_job(folder: Path) -> None:
    """A job that makes the env file of the stack before it starts it."""
    (folder / "compose.yaml").write_text("services: {app: {image: 'registry.example.org/app:1', env_file: app.env}}\n")
    (folder / ".github" / "workflows").mkdir(parents=True)
    (folder / ".github" / "workflows" / "smoke.yml").write_text(WORKFLOW)
    (folder / "run.sh").write_text("#!/bin/sh\necho started\n")
    write_site(folder, {"compose": {"files": ["compose.yaml"]}, "scripts": {"files": ["run.sh"]}})


def _without_env_file(folder: Path) -> None:
    (folder / ".github" / "workflows" / "smoke.yml").write_text(WORKFLOW.replace("          cp example.env app.env\n", ""))


def _unreadable_job(folder: Path) -> None:
    (folder / "run.sh").unlink()
    (folder / "run.sh").mkdir()


STACK = """\
services:
  app:
    image: registry.example.org/app:1
    environment:
      SESSION_SECRET: ${SESSION_SECRET:?set it in the env file}
  mail:
    image: registry.example.org/mail:1
    profiles: [mail]
    environment:
      MAIL_PASSWORD: ${MAIL_PASSWORD:-}
"""


def _healthy_stack(folder: Path) -> None:
    """A stack that demands its secret, and asks nobody for what only a profile needs."""
    (folder / "compose.yaml").write_text(STACK)
    (folder / "main.env").write_text("SESSION_SECRET=not-a-real-one\n")
    write_site(folder, {"compose": {"files": ["compose.yaml"]}, "instances": {"main": {"directory": str(folder), "env_file": "main.env"}}})


def _default_secret(folder: Path) -> None:
    (folder / "compose.yaml").write_text(STACK.replace(":?set it in the env file", ":-change-me-later"))


def _demanded_of_all(folder: Path) -> None:
    (folder / "compose.yaml").write_text(STACK.replace("${MAIL_PASSWORD:-}", "${MAIL_PASSWORD:?}"))
    (folder / "main.env").write_text("SESSION_SECRET=not-a-real-one\nMAIL_PASSWORD=not-a-real-one\n")


def _no_stack(folder: Path) -> None:
    (folder / "compose.yaml").unlink()
    (folder / "compose.yaml").mkdir()


INSTALLER = """\
#!/bin/sh
[ -f .env ] || cp example.env .env
"""


def _healthy_installer(folder: Path) -> None:
    """An installer that leaves an env file alone which is there already."""
    (folder / "install.sh").write_text(INSTALLER)
    _site(folder, "install.sh")


def _written_over(folder: Path) -> None:
    (folder / "install.sh").write_text(INSTALLER.replace("[ -f .env ] || ", ""))


def _unreadable_installer(folder: Path) -> None:
    (folder / "install.sh").unlink()
    (folder / "install.sh").mkdir()


HANDED_OVER = """\
services:
  app:
    image: registry.example.org/app:1
    environment: [MAIL_HOST]
  worker:
    image: registry.example.org/app:1
    command: sh -c 'deliver --to "$${MAIL_HOST}"'
    environment: [MAIL_HOST]
"""


def _healthy_worker(folder: Path) -> None:
    """A service whose command reads a setting that compose hands over."""
    (folder / "run.sh").write_text("#!/bin/sh\necho started\n")
    _site(folder, "run.sh")
    (folder / "compose.yaml").write_text(HANDED_OVER)


def _not_handed_over(folder: Path) -> None:
    (folder / "compose.yaml").write_text(HANDED_OVER.removesuffix("    environment: [MAIL_HOST]\n"))


FAULTS = (
    Fault(
        guardrail="env.coverage_existing_installs",
        describe="a setting came with the generator, and the updater was never told",
        kind="never-added",
        gate=When.STATIC,
        healthy=_healthy_updater,
        seed=_forgotten,
        blind=_unreadable_updater,
    ),
    Fault(
        guardrail="env.file_not_sourced",
        describe="a script runs the env file that docker compose reads",
        kind="sourced",
        gate=When.STATIC,
        healthy=_healthy_report,
        seed=_sourced,
        blind=_unreadable_report,
    ),
    Fault(
        guardrail="env.file_quoting",
        describe="a random secret lost the quotes around it",
        kind="random-letters",
        gate=When.STATIC,
        healthy=_healthy_secret,
        seed=_without_quotes,
        blind=_unreadable_secret,
    ),
    Fault(
        guardrail="env.file_exists",
        describe="a job starts the stack before anything made its env file",
        kind="env-file",
        gate=When.STATIC,
        healthy=_healthy_job,
        seed=_without_env_file,
        blind=_unreadable_job,
    ),
    Fault(
        guardrail="env.no_default_secret",
        describe="a secret got a default, so that it starts without an env file",
        kind="default-secret",
        gate=When.STATIC,
        healthy=_healthy_stack,
        seed=_default_secret,
        blind=_no_stack,
    ),
    Fault(
        guardrail="env.required_var_blast_radius",
        describe="a service that hardly anybody starts demands a variable of everybody",
        kind="required-for-all",
        gate=When.STATIC,
        healthy=_healthy_stack,
        seed=_demanded_of_all,
        blind=_no_stack,
    ),
    Fault(
        guardrail="env.preserve_operator_edits",
        describe="an installer copies the example over the env file that is there",
        kind="written-over",
        gate=When.STATIC,
        healthy=_healthy_installer,
        seed=_written_over,
        blind=_unreadable_installer,
    ),
    Fault(
        guardrail="env.passthrough",
        describe="a command reads a setting, and compose no longer hands it to its service",
        kind="not-handed-over",
        gate=When.STATIC,
        healthy=_healthy_worker,
        seed=_not_handed_over,
        blind=_no_stack,
    ),
)
