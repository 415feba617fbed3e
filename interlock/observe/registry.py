"""Which image would a pull bring? The engine asks the registry; who may ask is what docker's own configuration says.

Source: Docker Engine API, DistributionInspect and its X-Registry-Auth header; docker/docker-credential-helpers, the protocol of `get`.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interlock.facts.compose_project import pinned, registry_of
from interlock.observe.engine_api import EngineApi, EngineRefusedError

DOCKER_HUB = "https://index.docker.io/v1/"
HELPER_S = 10
ASKING_S = 30
NO_USER = "<token>"  # what a helper calls the user of an identity token


def registry_digest(api: EngineApi, reference: str, environ: Mapping[str, str]) -> str:
    """The digest that the registry has for a reference now; empty when nobody could say. Raises CouldNotLook when the engine is not there."""
    if named := pinned(reference):
        return named
    login = _login(registry_of(reference) or DOCKER_HUB, environ)
    headers = {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(login).encode()).decode()} if login else {}
    try:
        answer = json.loads(api.request("GET", f"/distribution/{reference}/json", headers=headers, timeout_s=ASKING_S))
        return str(answer["Descriptor"]["digest"])
    except (EngineRefusedError, ValueError, KeyError, TypeError):
        return ""


def _login(server: str, environ: Mapping[str, str]) -> dict[str, str] | None:
    """How docker would log in there, as the engine wants it; None for nobody, also where its configuration cannot be read."""
    folder = environ.get("DOCKER_CONFIG") or str(Path(environ.get("HOME", "/nonexistent")) / ".docker")
    try:
        config = json.loads(Path(folder, "config.json").read_bytes())
        helper = (config.get("credHelpers") or {}).get(server) or config.get("credsStore")
        if helper and os.sep not in helper:
            return _from_helper(f"docker-credential-{helper}", server, environ)
        return _from_file((config.get("auths") or {}).get(server) or {}, server)
    except (OSError, ValueError, AttributeError, KeyError, TypeError, subprocess.SubprocessError):
        return None


def _from_file(said: Mapping[str, Any], server: str) -> dict[str, str] | None:
    if said.get("identitytoken"):
        return {"identitytoken": str(said["identitytoken"]), "serveraddress": server}
    if not said.get("auth"):
        return None
    user, _, password = base64.b64decode(said["auth"]).decode().partition(":")
    return {"username": user, "password": password.rstrip("\0"), "serveraddress": server}


def _from_helper(program: str, server: str, environ: Mapping[str, str]) -> dict[str, str] | None:
    done = subprocess.run((program, "get"), input=server.encode(), env=dict(environ), capture_output=True, timeout=HELPER_S, check=False)
    if done.returncode != 0:
        return None
    said = json.loads(done.stdout)
    if said["Username"] == NO_USER:
        return {"identitytoken": said["Secret"], "serveraddress": server}
    return {"username": said["Username"], "password": said["Secret"], "serveraddress": server}
