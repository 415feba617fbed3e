"""How long do 50 checks on a host take, over ssh with fresh connections? Ours against testinfra, on one host and on twenty.

    python -m benchmarks.remote
    python -m benchmarks.remote --hosts 1 --rounds 3

A private sshd on 127.0.0.1 to 127.0.0.20 stands for the hosts. Wall time counts here, for the work is waiting; the CPU is our side's alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import PYTEST_ALONE, WORK, Case, Goal, arguments, interleave, pytest_argv, report, save
from benchmarks.permissions import FAMILIES, no_testinfra, owner, prove_evidence
from tests.integration.sshd import SSHD, PrivateSshd

CHECKS = 50
OURS = "interlock preflight"
CURVE = "interlock preflight, curve25519 keys"
EXPECT = f"interlock preflight, {CHECKS} expect: a host"
SHARED = "testinfra, ControlPath set"
PLAIN = "testinfra, as it comes"
OLD_KEX = "curve25519-sha256"


def generate() -> Path:
    """Fifty files of 0600 in a directory of 0700."""
    top = WORK / "remote" / "files"
    top.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(CHECKS):
        os.close(os.open(top / f"f{number:02d}.dump", os.O_CREAT | os.O_WRONLY, 0o600))
    return top


def site(folder: Path, server: PrivateSshd, top: Path, *, expect: bool = False) -> Path:
    """A site that looks at the fifty files on every host: as one module's backups, or as fifty expectations."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["interlock: 1", "site: bench", "hosts:"]
    for number, address in enumerate(server.addresses):
        lines += [f"  h{number:02d}:", "    timeout: 60s", "    ssh:", *(f"      {key}: {value}" for key, value in server.ssh(address).items())]
    if expect:
        lines.append("expect:")
        for number in range(len(server.addresses)):
            for path in sorted(top.iterdir()):
                lines += [f"  {path.stem}-h{number:02d}:", f"    host: h{number:02d}", f'    file: {{path: {path}, mode: "0600"}}']
    else:
        lines.append("modules:")
        for number in range(len(server.addresses)):
            lines += [f"  m{number:02d}:", f"    host: h{number:02d}", "    paths: [/etc]", f"    backups: {top}", f"    owner: {owner()}"]
    lines += ["not_used:", *(f"  {family}: this site is for measuring" for family in FAMILIES + (("backups",) if expect else ()))]
    (folder / "interlock.yaml").write_text("\n".join(lines) + "\n")
    return folder


def ours(name: str, folder: Path, hosts: int) -> Case:
    """The whole pytest process, evidence and all. Each run must have connected to each host once."""
    argv = pytest_argv("-m", "preflight")
    return Case(
        name=name, argv=argv, cwd=folder, environ=PYTEST_ALONE | {"PYTEST_PLUGINS": "interlock.plugin"}, prove=lambda: prove_evidence(folder, CHECKS * hosts)
    )


def prove_connections(cases: Sequence[Case], server: PrivateSshd) -> str:
    """How many sessions sshd let in for our runs."""
    runs = sum(len(case.runs) for case in cases)
    return f"{server.accepted() / (runs * len(server.addresses)):.2f}" if runs else "missing"


@contextmanager
def testinfra(folder: Path, server: PrivateSshd, top: Path) -> Iterator[list[Case]]:
    """The same fifty modes, one test each and host, with and without a shared connection; its masters are ended with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    sockets = Path(tempfile.mkdtemp(prefix="interlock-bench-"))  # the path of a socket must be short
    common = [
        "Host *",
        f"  Port {server.port}",
        f"  User {server.user}",
        f"  IdentityFile {server.key}",
        f"  UserKnownHostsFile {server.known_hosts}",
        "  IdentitiesOnly yes",
        "  LogLevel ERROR",
    ]
    (folder / "plain").write_text("\n".join(common) + "\n")
    (folder / "shared").write_text("\n".join([*common, "  ControlMaster auto", f"  ControlPath {sockets}/%C", "  ControlPersist 60"]) + "\n")
    paths = [str(path) for path in sorted(top.iterdir())]
    (folder / "test_infra.py").write_text(
        f"import pytest\n@pytest.mark.parametrize('path', {paths!r})\ndef test_mode(host, path):\n    assert host.file(path).mode == 0o600\n"
    )
    hosts = ",".join(f"ssh://{address}" for address in server.addresses)

    def argv(config: str) -> tuple[str, ...]:
        return pytest_argv("-p", "testinfra.plugin", f"--hosts={hosts}", f"--ssh-config={folder / config}", "test_infra.py")

    def hang_up() -> None:
        for address in server.addresses:
            subprocess.run(["ssh", "-F", str(folder / "shared"), "-O", "exit", address], capture_output=True, check=False)

    missing = no_testinfra()
    many = "minutes: not measured on more than one host" if len(server.addresses) > 1 else ""
    try:
        yield [
            Case(name=SHARED, argv=argv("shared"), cwd=folder, environ=PYTEST_ALONE, missing=missing, prove=hang_up),
            Case(name=PLAIN, argv=argv("plain"), cwd=folder, environ=PYTEST_ALONE, missing=missing or many, once=True),
        ]
    finally:
        hang_up()
        shutil.rmtree(sockets, ignore_errors=True)


def goals(hosts: int) -> list[Goal]:
    """What was set for one host and for twenty."""
    if hosts == 1:
        return [Goal(ours=OURS, peer=SHARED, limit=0.30, what="wall_ms"), Goal(ours=OURS, peer=PLAIN, limit=0.03, what="wall_ms")]
    return [Goal(ours=OURS, peer=SHARED, limit=0.12, what="wall_ms")] if hosts == 20 else []


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write the figures."""
    options = arguments(str(__doc__).partition("\n")[0], argv, _add)
    if not Path(SSHD).exists():
        print("remote: no sshd here, so nothing is measured (Debian: apt-get install openssh-server)")
        return
    reports = []
    for hosts in (int(number) for number in options.hosts.split(",")):
        reports.append(_measure(hosts, options.rounds, generate()))
    save("remote", reports, options.json)


def _measure(hosts: int, rounds: int, top: Path) -> dict[str, object]:
    addresses = [f"127.0.0.{number + 1}" for number in range(hosts)]
    folder = WORK / "remote" / f"hosts-{hosts}"
    shutil.rmtree(folder, ignore_errors=True)
    keys = Path(tempfile.mkdtemp(prefix="interlock-bench-"))
    try:
        with PrivateSshd(keys / "a", addresses=addresses) as server, PrivateSshd(keys / "b", addresses=addresses, kex=OLD_KEX) as curve:
            with testinfra(folder / "testinfra", server, top) as peers:
                cases = [
                    ours(OURS, site(folder / "ours", server, top), hosts),
                    ours(CURVE, site(folder / "curve", curve, top), hosts),
                    ours(EXPECT, site(folder / "expect", server, top, expect=True), hosts),
                    *peers,
                ]
                interleave(cases, rounds)
            more = {"sessions for a host and a run of ours (must be 1.00)": prove_connections(cases[1:2], curve)}
        return report(f"{CHECKS} checks on {hosts} host{'s' if hosts > 1 else ''}, fresh connections", cases, goals(hosts), more)
    finally:
        shutil.rmtree(keys, ignore_errors=True)


def _add(parser: object) -> None:
    parser.add_argument("--hosts", default="1,20", help="how many hosts, comma-separated")  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
