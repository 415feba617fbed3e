"""How does a human sign? `ssh-keygen -Y sign` with their own key, from a file or held by their SSH agent; it asks for a passphrase at the terminal itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from interlock.errors import ApprovalError
from interlock.facts.signers import NAMESPACE
from interlock.observe.signatures import SigningKey

_TIMEOUT = 180  # a human types a passphrase, or touches a security key


def sign(payload: bytes, key: SigningKey, *, environ: Mapping[str, str]) -> str:
    """The armoured signature over `payload`. Raises ApprovalError when there is none: wrong passphrase, no agent, no answer in three minutes."""
    if key.path is not None:
        return _sign(payload, str(key.path), (), key, environ)
    descriptor = os.memfd_create("interlock")  # the public half; the agent holds the private one
    try:
        os.pwrite(descriptor, key.public.encode() + b"\n", 0)
        return _sign(payload, f"/dev/fd/{descriptor}", (descriptor,), key, environ)
    finally:
        os.close(descriptor)


def _sign(payload: bytes, key_file: str, descriptors: tuple[int, ...], key: SigningKey, environ: Mapping[str, str]) -> str:
    argv = ("ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", key_file)
    try:
        done = subprocess.run(argv, input=payload, capture_output=True, timeout=_TIMEOUT, check=False, pass_fds=descriptors, env={**environ, "LC_ALL": "C"})
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ApprovalError(
            f"{key.principal} could not sign", where="ssh-keygen", why=str(error), remedy="install the OpenSSH client, and try again"
        ) from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ApprovalError(
            f"{key.principal} could not sign",
            where=str(key.path or "SSH agent"),
            why=said[-1] if said else "",
            remedy="check the key and its passphrase, and try again",
        )
    return done.stdout.decode("ascii")
