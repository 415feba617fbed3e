"""A small site whose action lets a real docker compose work on a real engine: one chain in an instance's directory, and the template of its compose file."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from interlock import runner
from interlock.act import journal as journals
from interlock.act.books import StoredPlan
from interlock.config.load import load_site
from interlock.gate.journal import Standing
from interlock.observe.compose_binary import find_compose
from tests.docker_engine import IMAGE, DockerEngine
from tests.tiny_site import SECRET, Tiny, again, key_of, signer_line

SITE = """\
interlock: 1
site: {project}
hosts:
  local: {{engine: "{socket}"}}
compose:
  files: [compose.yaml{more}]
{chains}
instances:
  main:
    directory: "{root}/instance"
    values: {{PASSWORD: "${{TINY_PASSWORD}}"}}
templates:
  env:
    template: templates/env
    canonical: templates/env
    target: .env
    mode: "0600"
  stack:
    template: templates/compose.yaml
    canonical: templates/compose.yaml
    target: compose.yaml
  motd:
    template: templates/motd
    canonical: templates/motd
    target: motd
expect:
  deployed:
    file: {{path: "{root}/instance/deployed"}}
    when: [postflight]
approval:
  allowed_signers: allowed_signers
not_used:
  mounts: x
  state_dir: x
  backups: x
  parity: x
  automation: x
actions:
  release:
    steps:
{steps}
"""
WRITE = "      - write-files: {templates: [stack]}\n"
MOTD = "      - write-files: {templates: [motd], resized: [motd]}\n"
UP = "      - compose: {run: up, instance: main, timeout: 60s}\n"
FAIL = "      - verify: {expect: [deployed]}\n"
_numbers = itertools.count(1)


def service(release: str = "1", image: str = IMAGE, more: str = "") -> str:
    """A service that sleeps, and says of which release it is."""
    return (
        f'    image: {image}\n    network_mode: none\n    init: true\n    stop_grace_period: 0s\n    command: [sleep, "600"]\n'
        f'    environment: {{RELEASE: "{release}"}}\n' + "".join(f"    {line}\n" for line in more.splitlines())
    )


def stack(name: str, rest: str = "", **services: str) -> str:
    """A compose file."""
    return f"name: {name}\nservices:\n" + "".join(f"  {service_name}:\n{text}" for service_name, text in services.items()) + rest


@dataclass
class Stacked:
    """The site, its engine and its project."""

    tiny: Tiny
    engine: DockerEngine
    project: str

    @property
    def instance(self) -> Path:
        return self.tiny.root / "instance"

    def old(self, text: str) -> None:
        """What stands in the instance's directory, with the project's name for NAME."""
        (self.instance / "compose.yaml").write_text(text.replace("NAME", self.project))

    def new(self, text: str) -> None:
        """What the action writes there."""
        (self.tiny.root / "templates" / "compose.yaml").write_text(text.replace("NAME", self.project))

    def compose(self, *words: str) -> None:
        """What an operator has run by hand before."""
        found = find_compose(os.environ)
        assert found is not None
        environ = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "DOCKER_HOST": f"unix://{self.engine.socket}"}
        done = subprocess.run((found.path, *words), cwd=self.instance, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def begin(self, text: str) -> None:
        """The stack as it runs before the action."""
        self.old(text)
        self.compose("up", "--detach", "--pull", "never")

    def seen(self) -> dict[str, str]:
        """Each service of the project: its containers' releases and states."""
        found = {}
        for one in self.containers():
            release = next((pair.partition("=")[2] for pair in one["Config"]["Env"] if pair.startswith("RELEASE=")), "?")
            said = f"{release} {one['State']['Status']}"
            name = one["Config"]["Labels"]["com.docker.compose.service"]
            found[name] = f"{found[name]}, {said}" if name in found else said
        return found

    def ids(self) -> dict[str, str]:
        """The id of each service's container."""
        return {one["Config"]["Labels"]["com.docker.compose.service"]: one["Id"] for one in self.containers()}

    def images(self) -> dict[str, str]:
        """The image id of each service's container."""
        return {one["Config"]["Labels"]["com.docker.compose.service"]: one["Image"] for one in self.containers()}

    def containers(self) -> list[dict[str, dict[str, dict[str, str]]]]:
        ids = self.engine("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label=com.docker.compose.project={self.project}").split()
        return json.loads(self.engine("inspect", *ids)) if ids else []  # type: ignore[no-any-return]

    def reload(self) -> None:
        """The site file was changed."""
        self.tiny = again(self.tiny)

    def plan(self) -> StoredPlan:
        return self.tiny.plan()

    def approved(self) -> StoredPlan:
        return self.tiny.approved()

    def apply(self, stored: StoredPlan | None = None) -> runner.Outcome:
        stored = stored or self.approved()
        return runner.apply(self.tiny.site, str(stored.folder), self.tiny.environ, self.tiny.means())

    def standing(self) -> Standing:
        trail = journals.newest(self.tiny.books.journals)
        assert trail is not None
        return Standing.of(trail)

    def failure(self) -> str:
        """What the journal says of the step that failed first."""
        trail = journals.newest(self.tiny.books.journals)
        assert trail is not None
        return next(f"{entry.data['what']}: {entry.data['why']}" for entry in trail.entries if entry.data.get("result") == "failed")

    def clean_up(self) -> None:
        for one in self.containers():
            self.engine("rm", "--force", "--volumes", str(one["Id"]))
        for kind in ("volume", "network"):
            for name in self.engine(kind, "ls", "--quiet", "--filter", f"label=com.docker.compose.project={self.project}").split():
                self.engine(kind, "rm", name)


def make_stacked(folder: Path, engine: DockerEngine, steps: str, *, chains: str = "", more: str = "") -> Stacked:
    """Lay the site out. Its project, and the site itself, are called as no other on this machine: a site is locked by its name."""
    root = folder / "site"
    for name in ("templates", "instance", "bin"):
        (root / name).mkdir(parents=True, mode=0o755)
    project = f"il{os.getpid()}n{next(_numbers)}"
    (root / "templates" / "motd").write_text("release 2\n")
    (root / "templates" / "env").write_text("RELEASE=2\nPASSWORD=${PASSWORD}\n")
    (root / "templates" / "compose.yaml").write_text("services: {}\n")
    (root / "compose.yaml").write_text("services: {}\n")
    (root / "instance" / "motd").write_text("release 1\n")
    (root / "allowed_signers").write_text(signer_line("anna"))
    (root / "interlock.yaml").write_text(SITE.format(root=root, project=project, socket=engine.socket, steps=steps, chains=chains, more=more))
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "TINY_PASSWORD": SECRET, "LC_ALL": "C"}
    if named := os.environ.get("INTERLOCK_COMPOSE"):
        environ["INTERLOCK_COMPOSE"] = named
    key_of("anna")
    return Stacked(tiny=Tiny(root=root, site=load_site(root / "interlock.yaml", environ), environ=environ), engine=engine, project=project)
