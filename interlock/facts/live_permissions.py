"""What can the processes of running containers read and write, and who else can read their secrets? The nouns of the permissions family on a live host.

`interlock.facts.access` is the kernel's rule; `interlock.observe.live_permissions` brings the containers and the env files.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping

from interlock.facts.data_directories import kept_data
from interlock.facts.dotenv import EnvFile
from interlock.facts.engine import Container, ContainerMount, Place
from interlock.facts.mounts import is_below
from interlock.facts.ownership import data_owners
from interlock.facts.secrets import names_secret
from interlock.facts.stack import Service
from interlock.nouns import dataclass
from interlock.patterns import regex

SECRETS = "/run/secrets/"  # where compose shows secrets to a service
_ROOT = ("", "0", "root")
_SECRET_FILE = regex(
    r"(?:^|[._-])(?:env|secrets?|passwords?|passwd|passphrase|tokens?|credentials?|key|keyfile|jwt|htpasswd|pgpass|id_(?:rsa|ed25519|ecdsa))(?:$|[._-])",
    re.IGNORECASE,
)
_OPEN_FILE = regex(r"\.(?:pub|crt|cer|example|sample|dist|md|template|tmpl|py|sh|js|conf)$", re.IGNORECASE)
_PASSWORD_IN_ADDRESS = regex(r"://[^/\s:@]*:[^/\s@]+@")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateFile:
    """A file of the host that secrets may stand in. `secret`: one of its keys names a secret that is not empty, None when nobody may read it to tell.
    `closed_by` is a directory above it that keeps others out, empty when none does."""

    path: str
    present: bool
    mode: int = 0
    secret: bool | None = None
    closed_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningAccess:
    """The running containers of the site's stack on a host, the directories that the site declares for state and data there (as written, and resolved), and
    its env files.

    `state` is the state directory itself, which `state_dir.writable_by_service` is about; `closed` are directories above which others do not get.
    """

    host: str
    containers: tuple[Container, ...]
    directories: tuple[str, ...]
    files: tuple[PrivateFile, ...]
    state: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()

    def seen(self) -> Iterator[tuple[Container, ContainerMount, Place | None]]:
        """Each mount of each container, and what it shows inside; None where it could not be looked at."""
        for container in self.containers:
            for mount in container.mounts:
                place = container.view.places.get(posixpath.normpath(mount.destination)) if container.view else None
                place = place or (container.view.places.get(mount.destination) if container.view else None)
                yield container, mount, place if place is not None and place.present and not place.error else None

    def holds(self, source: str) -> bool:
        """Whether a directory of the host is one that the site declares, or lies below it; not the state directory itself, nor one around it: a data disk
        with the state below it is given to a service for what lies in it, and its top belongs to root."""
        path = posixpath.normpath(source)
        return not any(is_below(state, path) for state in self.state) and any(is_below(path, directory) for directory in self.directories)

    def keeps_out(self, source: str) -> str:
        """A directory above a file that others do not get into; empty when none is known."""
        return next((directory for directory in self.closed if is_below(source, directory) and source != directory), "")


def started_as_root(container: Container) -> bool:
    """Whether its first program began as root, and may have read or given away what it was shown before it became another user."""
    return container.user.partition(":")[0] in _ROOT


def is_secret_file(mount: ContainerMount) -> bool:
    """Whether a mounted file holds a secret by where it is shown, or by its name."""
    if mount.destination.startswith((SECRETS, "/var/run/secrets/")):
        return True
    names = {posixpath.basename(mount.source), posixpath.basename(mount.destination)}
    return any(_SECRET_FILE.search(name) for name in names) and not any(_OPEN_FILE.search(name) for name in names)


def data_of(container: Container, destination: str) -> str:
    """The server whose data lies at a place of a container, by its image; empty when it is none whose data has an owner of its own."""
    if not data_owners(container.image):
        return ""
    environment: Mapping[str, str | None] = dict(container.environment)
    kept = kept_data(Service(name=container.name, image=container.image, environment=environment, mounts=(), ports=(), container_name=container.name))
    return kept.server if kept and posixpath.normpath(destination) in {*kept.places, *(directory.path for directory in kept.directories)} else ""


def holds_secret(content: bytes) -> bool:
    """Whether an env file gives a value to a variable that names a secret, or an address with a password in it."""
    return any(entry.text and (names_secret(entry.key) or _PASSWORD_IN_ADDRESS.search(entry.text)) for entry in EnvFile.parse(content).entries)
