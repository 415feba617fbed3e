"""A whole site in one folder, small enough for a test: two files to write, a module to back up, a command with undo and `done`, an expectation.

Everything on it is real (files, keys, tar, programs) but the gate, the caller and the clock, which tests hand in. `old()` and `new()` say how the system
looks before and after its action `release`; whatever happens, it must look like one of the two.
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import getpass
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from interlock.act.books import Books, StoredPlan
from interlock.change.applied import Applied
from interlock.change.means import Gated, Means
from interlock.change.planning import make_plan
from interlock.change.verifying import Expectation
from interlock.config.load import load_site
from interlock.config.models import Site
from interlock.evidence.folder import LoadedRun
from interlock.evidence.record import DetailsDigest, FactsDigest, Record, Run, Target
from interlock.evidence.redact import Redactor
from interlock.facts.callers import CallerFacts, Process
from interlock.facts.canonical import short
from interlock.gate.decision import Open, Reason, Shut
from interlock.gate.plan import GatePlan
from interlock.runner import approve
from interlock.verdicts import Outcome, When

NOW = datetime(2026, 11, 20, 21, 0, 0, tzinfo=UTC)
SECRET = "correct-horse-battery"
EMPTY = "sha256:" + hashlib.sha256(b"").hexdigest()

HUMAN = CallerFacts(
    environment=frozenset({"HOME", "PATH"}),
    ancestors=(
        Process(pid=30, parent=20, session=20, terminal=34816, name="python"),
        Process(pid=20, parent=10, session=20, terminal=34816, name="bash"),
        Process(pid=10, parent=1, session=10, terminal=0, name="sshd"),
        Process(pid=1, parent=0, session=1, terminal=0, name="systemd"),
    ),
    complete=True,
    terminal_opens=True,
)

STEPS = """\
      - backup: {modules: [app]}
      - write-files: {templates: [conf, motd]}
      - command: {run: [bin/deploy], undo: [bin/undeploy], done: [bin/deployed], timeout: 20s}
      - verify: {expect: [deployed]}
"""

SITE = """\
interlock: 1
site: tiny
hosts:
  local: {{lock: "{root}/lock"}}
{hosts}modules:
  app:
    class: E
    paths: ["{root}/data"]
    backups: "{root}/backups"
    owner: "{owner}"
instances:
  main:
    directory: "{root}/instance"
    values:
      PORT: "8080"
      DB_PASSWORD: ${{TINY_PASSWORD}}
templates:
  conf:
    template: templates/app.conf
    canonical: templates/app.conf
    target: conf/app.conf
  motd:
    template: templates/motd
    canonical: templates/motd
    target: motd
    mode: "0640"
expect:
  deployed:
    file: {{path: "{root}/instance/deployed"}}
    when: [postflight]
  ready:
    file: {{path: "{root}/instance"}}
    when: [preflight]
{expect}
approval:
  allowed_signers: allowed_signers
{approval}
not_used:
  mounts: x
  state_dir: x
  parity: x
  automation: x
actions:
  release:
    approval: {kind}
    steps:
{steps}
"""

PROGRAMS = {
    "deploy": "cd ../instance; echo run >> runs; cp conf/app.conf deployed.part; mv deployed.part deployed",
    "undeploy": "rm -f ../instance/deployed ../instance/deployed.part",
    "deployed": "cmp -s ../instance/conf/app.conf ../instance/deployed",
}


@functools.cache
def key_of(person: str) -> Path:
    """That person's private key, made once per process; its public half lies beside it."""
    folder = Path(tempfile.mkdtemp(prefix="interlock-keys-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", person, "-f", folder / person), check=True, capture_output=True)
    return folder / person


def signer_line(person: str, options: str = 'namespaces="interlock"') -> str:
    """That person's line of an allowed_signers file."""
    kind, key, _ = key_of(person).with_suffix(".pub").read_text().split()
    return f"{person} {options + ' ' if options else ''}{kind} {key}\n"


def owner() -> str:
    """The user that this test runs as."""
    return getpass.getuser()


@dataclass
class Tiny:
    """The site in its folder `root`, and what is handed in to the runner. `now` moves when a test moves it."""

    root: Path
    site: Site
    environ: dict[str, str]
    now: datetime = NOW
    caller: CallerFacts = HUMAN
    answers: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    gates: list[When] = field(default_factory=list)
    shut: dict[When, Shut] = field(default_factory=dict)
    asked_midway: list[tuple[str, ...]] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    shut_midway: Shut | None = None
    kept: list[Applied] = field(default_factory=list)
    runs_kept: dict[str, LoadedRun] = field(default_factory=dict)

    @property
    def books(self) -> Books:
        return Books.open(self.root)

    @property
    def backups(self) -> Path:
        return self.root / "backups"

    @property
    def instance(self) -> Path:
        return self.root / "instance"

    def means(self, **changed: object) -> Means:
        """What the runner gets: real but for gate, caller, clock and evidence."""
        means = Means(
            environ=self.environ,
            clock=lambda: self.now,
            caller=lambda: self.caller,
            ask=self._ask,
            say=self.said.append,
            gate=self._gate,
            midway=self._midway,
            verify=self._verify,
            keep=self._keep,
            kept=lambda name: self.runs_kept[name],
            evidence_of=lambda plan: next((one.base for one in self.kept if one.plan_digest == plan), None),
            redactor=Redactor([SECRET]),
        )
        return dataclasses.replace(means, **changed)  # type: ignore[arg-type]

    def _ask(self, question: str) -> str:
        self.asked.append(question)
        return self.answers.pop(0)

    def _gate(self, when: When, stored: StoredPlan) -> Gated:
        """Apply's own gate asks all that preflight does."""
        self.gates.append(when)
        parts = (When.APPLY, When.PREFLIGHT) if when is When.APPLY else (when,)
        return self._gated(when, stored.plan.action, next((self.shut[part] for part in parts if part in self.shut), Open()))

    def _gated(self, when: When, action: str, decision: Open | Shut) -> Gated:
        run = a_run(self.root, when, action, self.now)
        self.runs_kept[run.path.name] = run
        return Gated(decision=decision, run=run, lasts=300)

    def _midway(self, stored: StoredPlan, step: GatePlan) -> Gated:
        self.asked_midway.append(step.guardrails)
        return self._gated(When.PREFLIGHT, stored.plan.action, self.shut_midway or Open())

    def _verify(self, names: Sequence[str]) -> Sequence[Expectation]:
        there = {name: name not in self.failing and (name != "deployed" or (self.instance / "deployed").exists()) for name in names}
        return [Expectation(name=name, outcome=Outcome.HELD if there[name] else Outcome.BROKEN, message="looked", attempts=1) for name in names]

    def _keep(self, applied: Applied) -> LoadedRun:
        self.kept.append(applied)
        return applied.base

    def plan(self, key: Path | None = None, action: str = "release") -> StoredPlan:
        """A plan made now, signed by anna unless told otherwise."""
        return make_plan(self.site, action, self.environ, now=self.now, key=key or key_of("anna"))

    def approved(self, *people: str) -> StoredPlan:
        """A plan of anna's that these people have approved."""
        stored = self.plan()
        for person in people or ("anna",):
            self.approve(stored, person)
        return stored

    def approve(self, stored: StoredPlan, person: str) -> Path:
        """That person shows, types and signs."""
        self.answers.append(short(stored.digest))
        return approve(self.site, str(stored.folder), key_of(person), self.environ, self.means())

    def later(self, **parts: float) -> None:
        """Let time pass."""
        self.now += timedelta(**parts)

    def look(self) -> dict[str, str]:
        """Every file of the instance: name to mode and content. What the command counts for itself (`runs`) is not part of it."""
        return {
            str(path.relative_to(self.instance)): f"{path.stat().st_mode & 0o7777:04o} {path.read_text()}"
            for path in sorted(self.instance.rglob("*"))
            if path.is_file() and path.name != "runs"
        }

    def runs(self) -> int:
        """How often the command ran."""
        path = self.instance / "runs"
        return len(path.read_text().splitlines()) if path.exists() else 0


def a_run(root: Path, when: When, action: str, now: datetime) -> LoadedRun:
    """The run of a gate that judged nothing, for tests whose gate is handed in."""
    stamp = f"{now:%Y-%m-%dT%H:%M:%SZ}"
    run = Run(
        id=f"{now:%Y%m%dT%H%M%SZ}-{when}-000000", gates=(when,), action=action, nonce="", started=stamp, ended=stamp, host="h", user="u",
        interlock="0", python="3", pytest="9",
    )  # fmt: skip
    target = Target(site="tiny", file="interlock.yaml", sha256="", git=None)
    record = Record.of(
        run=run, target=target, decision=Open(), required=[], verdicts=[], details=DetailsDigest(count=0, sha256=EMPTY), facts=FactsDigest(sha256="")
    )
    return LoadedRun(path=root / "reports" / run.id, record=record, digest=record.digest)


def shut(code: int = 1, text: str = "it is broken") -> Shut:
    """A shut gate with one reason."""
    return Shut((Reason(code=code, guardrail="mounts.state_disk", subject="state", text=text, remedy="mend it"),))


def make_tiny(
    folder: Path,
    *,
    people: Sequence[str] = ("anna",),
    approval: str = "",
    kind: str = "signature",
    steps: str = STEPS,
    programs: Mapping[str, str] = PROGRAMS,
    hosts: str = "",
    expect: str = "",
) -> Tiny:
    """Lay the site out in `folder` (which must lie where others cannot write)."""
    root = folder / "site"
    root.mkdir(mode=0o755, parents=True)
    (root / "lock").mkdir(mode=0o700)
    for name in ("templates", "instance/conf", "data/inner", "bin"):
        (root / name).mkdir(parents=True, mode=0o755)
    (root / "backups").mkdir(mode=0o700)
    (root / "templates" / "app.conf").write_text("port = ${PORT}\npassword = ${DB_PASSWORD}\nworkers = 4\n")
    (root / "templates" / "motd").write_text("release 2\n")
    (root / "instance" / "conf" / "app.conf").write_text("port = 8080\npassword = an-older-one\n")
    (root / "instance" / "conf" / "app.conf").chmod(0o600)
    (root / "data" / "rows").write_text("1\n2\n")
    (root / "data" / "inner" / "blob").write_bytes(os.urandom(5000))
    older = root / "backups" / "app-20261101T000000Z.tar.zst"
    older.write_bytes(b"an older backup")
    older.chmod(0o600)
    for name, text in programs.items():
        path = root / "bin" / name
        path.write_text(f'#!/bin/sh\nset -eu\ncd "$(dirname "$0")"\n{text}\n')
        path.chmod(0o755)
    (root / "allowed_signers").write_text("".join(signer_line(person) for person in people))
    (root / "interlock.yaml").write_text(SITE.format(root=root, owner=owner(), approval=approval, kind=kind, steps=steps, hosts=hosts, expect=expect))
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "TINY_PASSWORD": SECRET, "LC_ALL": "C"}
    return Tiny(root=root, site=load_site(root / "interlock.yaml", environ), environ=environ)


def again(tiny: Tiny) -> Tiny:
    """The same site, loaded afresh."""
    return dataclasses.replace(tiny, site=load_site(tiny.root / "interlock.yaml", tiny.environ))


def copied(tiny: Tiny, to: Path) -> Callable[[], None]:
    """Remember how everything lies now; the function brings it back."""
    shutil.copytree(tiny.root, to, symlinks=True)

    def back() -> None:
        shutil.rmtree(tiny.root)
        shutil.copytree(to, tiny.root, symlinks=True)

    return back


OLD = {"conf/app.conf": "0600 port = 8080\npassword = an-older-one\n"}
NEW = {
    "conf/app.conf": f"0600 port = 8080\npassword = {SECRET}\nworkers = 4\n",
    "motd": "0640 release 2\n",
    "deployed": f"0600 port = 8080\npassword = {SECRET}\nworkers = 4\n",
}
