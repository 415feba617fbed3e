"""How does an operator's own check get at a host of the site? A testinfra connection by the host's name, made when it is first asked for."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from interlock.config.models import Site, Ssh
from interlock.config.scalars import LOCAL
from interlock.errors import CouldNotLook


class Connections(Mapping[str, Any]):
    """The site's hosts by name, `local` among them, each a testinfra host. Raises CouldNotLook when testinfra is not installed."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._open: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name != LOCAL and name not in self._site.hosts:
            raise KeyError(name)
        if name not in self._open:
            self._open[name] = self._connect(name)
        return self._open[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((LOCAL, *self._site.hosts)))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _connect(self, name: str) -> Any:
        try:
            testinfra: Any = importlib.import_module("testinfra")
        except ImportError as error:
            raise CouldNotLook("testinfra is not installed", where=name, remedy="pip install 'interlock[hosts]'") from error
        host = self._site.host(name)
        sudo = host.become is not None
        if host.ssh is None:
            return testinfra.get_host("local://", sudo=sudo)
        return testinfra.get_host(f"ssh://{host.ssh.destination}:{host.ssh.port}", sudo=sudo, **_options(host.ssh, self._site.root))


def _options(ssh: Ssh, root: Path) -> dict[str, str]:
    """The same files that the probe's own connection uses; relative ones start at the site's folder."""
    options = {}
    if ssh.config_file:
        options["ssh_config"] = str(root / ssh.config_file)
    if ssh.identity_file:
        options["ssh_identity_file"] = str(root / ssh.identity_file)
    if ssh.known_hosts:
        options["ssh_extra_args"] = f"-o UserKnownHostsFile={shlex.quote(str(root / ssh.known_hosts))} -o StrictHostKeyChecking=yes"
    return options
