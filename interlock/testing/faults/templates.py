"""Templates that drift from their canonical files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from interlock.testing.faults import Fault, move_to_unreachable_host, write_site
from interlock.verdicts import When

TEMPLATE = "# Rendered for ${INSTANCE}.\nserver_name ${SERVER_NAME};\nkeepalive ${KEEPALIVE:-65};\nlog_format '$$status';\n"
CANONICAL = "# Rendered for main.\nserver_name app.example.org;\nkeepalive 65;\nlog_format '$status';\n"
OLDER = "# Rendered for main.\nserver_name old.example.org;\nkeepalive 60;\nlog_format '$status';\n"  # what an earlier release left


def _healthy(folder: Path) -> None:
    for name in ("templates", "canonical", "live"):
        (folder / name).mkdir()
    (folder / "templates" / "nginx.conf").write_text(TEMPLATE)
    (folder / "canonical" / "nginx.conf").write_text(CANONICAL)
    (folder / "live" / "nginx.conf").write_text(OLDER)
    (folder / "live" / "nginx.conf").chmod(0o640)
    (folder / "main.env").write_text("SERVER_NAME=app.example.org\n")
    template = {"template": "templates/nginx.conf", "canonical": "canonical/nginx.conf", "target": "nginx.conf", "mode": "0640"}
    instance = {"directory": str(folder / "live"), "values": {"INSTANCE": "main"}, "env_file": "main.env"}
    write_site(folder, {"instances": {"main": instance}, "templates": {"nginx": template}})


def _edit(path: str, old: str, new: str) -> Callable[[Path], None]:
    def seed(folder: Path) -> None:
        data = (folder / path).read_bytes()
        (folder / path).write_bytes(data.replace(old.encode(), new.encode()))

    return seed


def _canonical_is_a_directory(folder: Path) -> None:
    (folder / "canonical" / "nginx.conf").unlink()
    (folder / "canonical" / "nginx.conf").mkdir()


def _shorten_live_file(folder: Path) -> None:
    (folder / "live" / "nginx.conf").write_text(OLDER[:30])


def _env_file_is_a_directory(folder: Path) -> None:
    (folder / "main.env").unlink()
    (folder / "main.env").mkdir()


def _in_both(old: str, new: str) -> Callable[[Path], None]:
    """An edit of the template and of its canonical file, which stay the same."""

    def seed(folder: Path) -> None:
        for path in ("templates/nginx.conf", "canonical/nginx.conf"):
            _edit(path, old, new)(folder)

    return seed


INSTALL = """\
#!/bin/sh
set -eu
cp templates/settings.conf settings.conf
sed -i "s|^data_path: /var/lib/app/data$|data_path: $DATA_DIRECTORY|" settings.conf
"""
VARIANT = """\
services:
  app:
    image: registry.example.org/ledger:2.1
    environment:
      DATABASE_KIND: {kind}
  db:
    image: postgres:16
    volumes: [state:/var/lib/postgresql/data]
volumes:
  state: {{}}
"""


def _installer(folder: Path) -> None:
    (folder / "templates").mkdir()
    (folder / "templates" / "settings.conf").write_text("name: app\ndata_path: /var/lib/app/data\n")
    (folder / "install.sh").write_text(INSTALL)
    write_site(folder, {"scripts": {"found": True}})


def _no_script(folder: Path) -> None:
    (folder / "install.sh").write_bytes(b"#!/bin/sh\n\0 sed -i s/a/b/ settings.conf\n")


def _variants(folder: Path) -> None:
    names = ("compose.plain.yaml", "compose.proxy.yaml", "compose.portal.yaml")
    for name in names:
        (folder / name).write_text(VARIANT.format(kind="postgresql"))
    chains = {name.split(".")[1]: {"files": [name]} for name in names}
    excluded = [{"container": "*", "reason": "this folder proves another guardrail"}, {"volume": "*", "reason": "the same"}]
    write_site(folder, {"compose": {"files": list(names), "chains": chains}, "excluded": excluded})


def _no_variants(folder: Path) -> None:
    for path in folder.glob("compose.*.yaml"):
        path.unlink()


def _tagged(folder: Path) -> None:
    (folder / "compose.yaml").write_text("services:\n  app:\n    image: registry.example.org/ledger:${LEDGER_TAG:-stable}\n")
    (folder / ".env.example").write_text("LEDGER_TAG=2.1\n")
    excluded = [{"container": "*", "reason": "this folder proves another guardrail"}]
    write_site(folder, {"compose": {"files": ["compose.yaml"]}, "excluded": excluded})


def _no_compose(folder: Path) -> None:
    (folder / "compose.yaml").unlink()


def _tree_fault(
    guardrail: str, describe: str, kind: str, *, healthy: Callable[[Path], None], seed: Callable[[Path], None], blind: Callable[[Path], None]
) -> Fault:
    return Fault(guardrail=f"templates.{guardrail}", describe=describe, kind=kind, gate=When.STATIC, healthy=healthy, seed=seed, blind=blind)


def _fault(
    describe: str,
    kind: str,
    seed: Callable[[Path], None],
    *,
    guardrail: str = "byte_equivalent",
    gate: When = When.STATIC,
    blind: Callable[[Path], None] = _canonical_is_a_directory,
) -> Fault:
    return Fault(guardrail=f"templates.{guardrail}", describe=describe, kind=kind, gate=gate, healthy=_healthy, seed=seed, blind=blind)


FAULTS = (
    _fault("a template edited without its canonical file", "content", _edit("templates/nginx.conf", "keepalive", "keepalive_timeout")),
    _fault("a canonical file saved with other line ends", "line-ends", _edit("canonical/nginx.conf", "\n", "\r\n")),
    _fault(
        "a variable that the instance does not define",
        "undefined-variable",
        _edit("main.env", "SERVER_NAME", "SERVER_NAMES"),
        guardrail="unresolved",
        blind=_env_file_is_a_directory,
    ),
    _fault(
        "a merge that nobody decided, in the template and in what was reviewed",
        "merge-marker",
        _in_both("keepalive", "<<<<<<< HEAD\nkeepalive"),
        guardrail="unresolved",
        blind=_env_file_is_a_directory,
    ),
    _fault(
        "a placeholder of another engine, for a variable that has a value",
        "placeholder",
        _in_both("log_format", "server_alias {{ SERVER_NAME }};\nlog_format"),
        guardrail="unresolved",
        blind=_env_file_is_a_directory,
    ),
    _tree_fault(
        "image_tag",
        "a tag that is set under a name that no compose file reads",
        "tag-unread",
        healthy=_tagged,
        seed=_edit(".env.example", "LEDGER_TAG", "LEDGER_VERSION"),
        blind=_no_compose,
    ),
    _tree_fault(
        "installer_anchors",
        "a template that was tidied up, and an installer that was not",
        "no-match",
        healthy=_installer,
        seed=_edit("templates/settings.conf", "/var/lib/app/data", "/var/lib/app"),
        blind=_no_script,
    ),
    _tree_fault(
        "sibling_variants",
        "an engine's name that only one variant knows",
        "odd-environment",
        healthy=_variants,
        seed=_edit("compose.portal.yaml", "postgresql\n", "postgres\n"),
        blind=_no_variants,
    ),
    _fault(
        "a live file that a release would triple",
        "grows",
        _shorten_live_file,
        guardrail="size_change",
        gate=When.PREFLIGHT,
        blind=lambda folder: move_to_unreachable_host(folder, "instances", "main"),
    ),
    _fault(
        "a live file whose mode somebody changed",
        "target-mode",
        lambda folder: (folder / "live" / "nginx.conf").chmod(0o644),
        gate=When.PREFLIGHT,
        blind=lambda folder: move_to_unreachable_host(folder, "instances", "main"),
    ),
)
