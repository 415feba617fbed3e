"""A private sshd on loopback addresses for tests and benchmarks: its own keys, configuration and log, gone when the block ends.

Works as root and as an ordinary user (who can then log in as himself). `accepted()` counts the sessions that its log shows, so a test can prove that one
connection was enough.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
PRIVILEGE_SEPARATION = Path("/run/sshd")
LISTEN_MAX = 16  # addresses of one sshd (MAX_LISTEN_SOCKS); more addresses take more of them


class PrivateSshd:
    """An sshd below `folder`, on `addresses`, all with one port and one host key.

    `force` is a shell script that every session runs instead of its command, which it finds in $SSH_ORIGINAL_COMMAND: how a test makes a host misbehave.
    """

    def __init__(self, folder: Path, *, addresses: Sequence[str] = ("127.0.0.1",), force: str = "", kex: str = "") -> None:
        self.folder = folder
        self.addresses = tuple(addresses)
        self.user = getpass.getuser()
        self.port = _free_port(self.addresses)
        self.key = folder / "id_ed25519"
        self.host_key = folder / "host_ed25519"
        self.known_hosts = folder / "known_hosts"
        self.log = folder / "sshd.log"
        self._force, self._kex = force, kex
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> PrivateSshd:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for key in (self.key, self.host_key):
            new_key(key)
        authorized = self.folder / "authorized_keys"
        authorized.write_text(self.key.with_suffix(".pub").read_text())
        self.known_hosts.write_text("".join(self.known_line(address) for address in self.addresses))
        if os.geteuid() == 0:
            PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        for start in range(0, len(self.addresses), LISTEN_MAX):
            addresses = self.addresses[start : start + LISTEN_MAX]
            configuration = self.folder / f"sshd_config_{start}"
            configuration.write_text(self._configuration(authorized, addresses))
            # absolute paths: sshd starts itself again from the root folder
            self._processes.append(subprocess.Popen([SSHD, "-D", "-f", str(configuration), "-E", str(self.log)], stdin=subprocess.DEVNULL))
            self._wait(addresses[0])
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(10)

    def known_line(self, address: str, key: Path | None = None) -> str:
        """The known_hosts line of an address, with our host key or another."""
        kind, data = (key or self.host_key).with_suffix(".pub").read_text().split()[:2]
        return f"[{address}]:{self.port} {kind} {data}\n"

    def ssh(self, address: str = "127.0.0.1", **other: object) -> dict[str, object]:
        """The `ssh:` of a host in a site file that reaches this sshd."""
        return {
            "destination": f"{self.user}@{address}",
            "port": self.port,
            "identity_file": str(self.key),
            "known_hosts": str(self.known_hosts),
        } | other

    def accepted(self) -> int:
        """How many sessions were let in until now."""
        return self.log.read_text(errors="replace").count("Accepted publickey")

    def connections(self) -> int:
        """How many connections came, let in or not."""
        return self.log.read_text(errors="replace").count("Connection from")

    def _configuration(self, authorized: Path, addresses: Sequence[str]) -> str:
        lines = [
            *(f"ListenAddress {address}:{self.port}" for address in addresses),
            f"HostKey {self.host_key}",
            f"AuthorizedKeysFile {authorized}",
            "PidFile none",
            "UsePAM no",
            "StrictModes no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin yes",
            "LogLevel VERBOSE",
            "MaxStartups 100",
            "PrintMotd no",
        ]
        if self._kex:
            lines.append(f"KexAlgorithms {self._kex}")
        if self._force:
            script = self.folder / "force.sh"
            script.write_text(f"#!/bin/sh\n{self._force}\n")
            script.chmod(script.stat().st_mode | stat.S_IXUSR)
            lines.append(f"ForceCommand {script}")
        return "\n".join(lines) + "\n"

    def _wait(self, address: str) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if self._processes[-1].poll() is not None:
                break
            try:
                with socket.create_connection((address, self.port), timeout=1) as connection:
                    connection.recv(4)
            except OSError:
                time.sleep(0.02)
            else:
                return
        self.__exit__()
        raise RuntimeError(f"sshd did not start: {self.log.read_text(errors='replace') if self.log.exists() else 'no log'}")


def new_key(path: Path) -> None:
    """An ed25519 key pair without a passphrase."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "interlock test", "-f", str(path)], check=True, stdin=subprocess.DEVNULL)


def _free_port(addresses: Sequence[str]) -> int:
    """A port that is free on all addresses now."""
    while True:
        with socket.socket() as first:
            first.bind((addresses[0], 0))
            port: int = first.getsockname()[1]
            try:
                for address in addresses[1:]:
                    with socket.socket() as other:
                        other.bind((address, port))
            except OSError:
                continue
            return port
