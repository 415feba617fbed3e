"""What does the API of a container engine answer? One request at a time, through its socket; the engine's own words, for callers who keep no secret of them.

    api = EngineApi("/var/run/docker.sock")
    api.ask("/images/busybox:1.36/json", may_be_missing=True)

`interlock.observe.probe` looks at all that an engine runs, also on other hosts; this asks for one thing, and is how `interlock.act.compose` moves a tag back.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from interlock.config.models import Host
from interlock.errors import ConfigError, CouldNotLook
from interlock.facts.looks import remedy_for
from interlock.nouns import dataclass

DEFAULT_SOCKET = "/var/run/docker.sock"
ANSWER_LIMIT = 64 * 1024 * 1024  # bytes
OK, MISSING = 200, 404
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def engine_socket(host: Host, environ: Mapping[str, str], *, where: str) -> str:
    """The socket of this machine's engine: what the site declares, else DOCKER_HOST, else docker's own. Raises ConfigError for an engine elsewhere."""
    if host.engine:
        return host.engine
    named = environ.get("DOCKER_HOST", "")
    if named and not named.startswith("unix:///"):
        raise ConfigError(
            "DOCKER_HOST names an engine that is not behind a socket of this machine", where=where, remedy="declare `engine` for the host in the site file"
        )
    return os.path.normpath(named.removeprefix("unix://")) if named else DEFAULT_SOCKET


class EngineRefusedError(Exception):
    """The engine answered with another status than 2xx; its own words are the text."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineApi:
    """The engine behind a socket."""

    socket: str

    def ask(self, path: str, *, may_be_missing: bool = False) -> Any:
        """The JSON that a GET is answered with; None for what `may_be_missing` and is. Raises CouldNotLook."""
        try:
            return json.loads(self.request("GET", path) or b"null")
        except EngineRefusedError as refused:
            if may_be_missing and refused.status == MISSING:
                return None
            raise CouldNotLook(
                f"the container engine refuses {path.partition('?')[0]}", where=self.socket, why=str(refused), remedy="ask it by hand"
            ) from refused
        except ValueError as error:
            raise CouldNotLook(
                "the container engine does not answer as one", where=self.socket, why=type(error).__name__, remedy=remedy_for("EPROTO", "")
            ) from error

    def request(self, method: str, path: str, *, headers: Mapping[str, str] = _NO_HEADERS, timeout_s: float = 60) -> bytes:
        """What one request is answered with. Raises CouldNotLook when the engine cannot be reached, EngineRefusedError when it does not do it."""
        connection = _Connection(self.socket, timeout_s)
        try:
            connection.request(method, quote(path, safe="/?=&:@%,"), headers=dict(headers))
            response = connection.getresponse()
            content = response.read(ANSWER_LIMIT + 1)
        except PermissionError as error:
            raise self._unreachable("Permission denied", "engine-closed") from error
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
            raise self._unreachable(error.strerror or "it is not there", "engine-absent") from error
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(str(error) or type(error).__name__, "EPROTO") from error
        finally:
            connection.close()
        if not OK <= response.status < OK + 100:
            raise EngineRefusedError(response.status, _message(content))
        return content

    def _unreachable(self, why: str, code: str) -> CouldNotLook:
        return CouldNotLook("the container engine cannot be asked", where=self.socket, why=why, remedy=remedy_for(code, "this user"))


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _message(content: bytes) -> str:
    """The engine says `{"message": ...}`."""
    try:
        return str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        return content.decode("utf-8", "replace")[:200]
