"""A system that is only a few words in a dictionary, below the real runner: real plans, journals, locks, approvals; simulated programs, files and people.

Every moment at which a SIGKILL would leave something else than the moment before is told to `watch`: after each call that changes the books, half way
through each write, and after each of the parts of which every step's effect is made. What lies there then is exactly what a kill would leave, so one run
of a verb shows what all kills in it leave. Commands go through the real `do_command` and `undo_command`; only what they start is simulated.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from interlock import __version__, runner
from interlock.act import commands, steps
from interlock.act import journal as journals
from interlock.act.books import Books, StoredPlan, load_plan, signed, store_plan
from interlock.act.commands import Ran
from interlock.act.outcome import Bench, StepDone, StepFailed
from interlock.act.private import private_folder, write_private
from interlock.act.signatures import sign
from interlock.change.applied import Applied
from interlock.change.carrying import Said
from interlock.change.means import Gated, Means
from interlock.change.verifying import Expectation
from interlock.config.actions import ApprovalKind, ComposeVerb
from interlock.config.load import load_site
from interlock.config.models import BackupClass, Site
from interlock.errors import ApprovalError, InterlockError
from interlock.evidence.folder import LoadedRun
from interlock.evidence.redact import Redactor
from interlock.facts import moments
from interlock.facts.canonical import canonical, short
from interlock.facts.signers import SignatureSeen, fingerprint
from interlock.facts.statements import PURPOSE_APPLY, PURPOSE_PLAN, Approval
from interlock.gate.decision import Open
from interlock.gate.journal import Entry, Kind, Result, Spawned, Standing, Trail
from interlock.gate.plan import (
    ApprovalPlan,
    BackupPlan,
    CommandPlan,
    ComposePlan,
    Directory,
    EndpointPlan,
    FilePlan,
    FilesPlan,
    GatePlan,
    NewFile,
    Plan,
    SiteReference,
    StepPlan,
    VerifyPlan,
)
from interlock.observe.signatures import SigningKey, signing_key, verify
from interlock.verdicts import Outcome, When
from tests.tiny_site import HUMAN, NOW, SECRET, a_run, shut

ACTION = "release"
CALLS = ("write", "pwrite", "rename", "replace", "unlink", "mkdir", "ftruncate", "posix_fallocate")
SITE = """\
interlock: 1
site: simulated
hosts:
  local: {{lock: "{locks}"}}
approval:
  allowed_signers: allowed_signers
  self_approval: false
not_used: {{mounts: x, state_dir: x, backups: x, parity: x, templates: x, automation: x}}
"""
OLD, PART, NEW = "old", "part", "new"

Things = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """An action to be tried: its steps, by the names of `KINDS`; whether postflight is open, evidence can be written, and a human sits at the terminal."""

    steps: tuple[str, ...]
    postflight: bool = True
    evidence: bool = True
    at_terminal: bool = False

    def __str__(self) -> str:
        less = [text for text, so in (("shut postflight", not self.postflight), ("no evidence", not self.evidence), ("asked", self.at_terminal)) if so]
        return " ".join([", ".join(self.steps), *(f"({text})" for text in less)])


def _command(do: str, number: int, *, undo: str | None = "undo", done: bool = True, needs: tuple[str, ...] = ()) -> CommandPlan:
    return CommandPlan(
        needs=needs,
        argv=(do, str(number)),
        undo=(undo, str(number)) if undo else None,
        done=("look", str(number)) if done else None,
        directory="/",
        timeout=60,
        inputs=(),
    )


def _files(number: int, how: str) -> FilesPlan:
    files = [
        FilePlan(
            directory="/",
            real="/",
            device="0:0",
            target=f"/{number}{part}",
            new=NewFile(digest="sha256:" + "0" * 64, size=1, mode="0600", content="rendered"),
            old=None,
            template=how,
            instance=str(number),
        )
        for part in "ab"
    ]
    return FilesPlan(files=tuple(files))


def _backup(_number: int) -> BackupPlan:
    somewhere = Directory(path="/", real="/", device="0:0")
    return BackupPlan(module="app", backup_class=BackupClass.E, paths=(somewhere,), directory=somewhere, owner="u", owner_uid=0, compression="gzip")


def _compose(number: int, how: str) -> ComposePlan:
    return ComposePlan(
        run=ComposeVerb.UP,
        engine="/",
        program="/",
        version="2",
        chain=str(number),
        project=how,
        directory="/",
        files=(),
        env_files=(),
        services=(),
        whole=True,
        model="sha256:" + "0" * 64,
        before=None,
        images=(),
        containers=(),
        volumes=(),
        networks=(),
        timeout=60,
    )


KINDS: Mapping[str, Callable[[int], StepPlan]] = {
    "backup": _backup,
    "files": lambda number: _files(number, "well"),
    "files-fail": lambda number: _files(number, "fail"),
    "command": lambda number: _command("do", number),
    "command-unchecked": lambda number: _command("do", number, done=False),
    "command-oneway": lambda number: _command("do", number, undo=None),
    "command-blind": lambda number: _command("do", number, undo=None, done=False),
    "command-fails": lambda number: _command("break", number),
    "command-fails-oneway": lambda number: _command("break", number, undo=None),
    "command-vanishes": lambda number: _command("vanish", number),
    "undo-fails": lambda number: _command("do", number, undo="undo-never"),
    "undo-fails-once": lambda number: _command("do", number, undo="undo-later"),
    "needs-it": lambda number: _command("do", number, needs=("holds",)),
    "needs-more": lambda number: _command("do", number, needs=("never",)),
    "done-already": lambda number: _command("idle", number, undo="idle", done=False).model_copy(update={"done": ("idle", str(number))}),
    "verify": lambda _number: VerifyPlan(expect=("holds",)),
    "verify-fails": lambda _number: VerifyPlan(expect=("holds", "never")),
    "gate": lambda _number: GatePlan(guardrails=("mounts",)),
    "gate-shut": lambda _number: GatePlan(guardrails=("shut",)),
    "word": lambda _number: ApprovalPlan(asks="May it go on?", required=1, by=()),
    "compose": lambda number: _compose(number, "well"),
    "compose-fails": lambda number: _compose(number, "fail"),
    "endpoint": lambda number: EndpointPlan(switch=_command("do", number), before=("holds",), after=(f"new {number}",)),
    "endpoint-files": lambda number: EndpointPlan(switch=_files(number, "well"), before=(), after=(f"new {number}",)),
    "endpoint-unanswered": lambda number: EndpointPlan(switch=_command("do", number), before=(), after=("never",)),
    "endpoint-not-ready": lambda number: EndpointPlan(switch=_command("do", number), before=("never",), after=()),
}
CHANGING = frozenset(name for name in KINDS if name.startswith(("files", "command", "compose", "undo", "needs", "endpoint")))


@functools.cache
def public_key(person: str) -> str:
    """A line as in an allowed_signers file. Nobody has its private half: signatures are simulated."""
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in (b"ssh-ed25519", hashlib.sha256(person.encode()).digest()))
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


def simulated_signature(payload: bytes, key: SigningKey, **_named: object) -> str:
    """Stands in for ssh-keygen."""
    return f"{key.principal} {hashlib.sha256(payload).hexdigest()}"


def simulated_verify(payload: bytes, signature: str, *, principal: str, **_named: object) -> SignatureSeen:
    """Stands in for ssh-keygen."""
    good = signature == f"{principal} {hashlib.sha256(payload).hexdigest()}"
    return SignatureSeen(principal=principal, valid=good, key=fingerprint(public_key(principal)) if good else "", why="" if good else "another signature")


def simulated_key(_signers: object, *, wanted: Path | None, **_named: object) -> SigningKey:
    """Stands in for the SSH agent: whoever sits there is bert, unless told otherwise."""
    person = wanted.name if wanted else "bert"
    return SigningKey(principal=person, key=fingerprint(public_key(person)), path=Path(person))


@dataclass(frozen=True, slots=True)
class State:
    """What a kill leaves: the books by path, and how the system looks."""

    books: tuple[tuple[str, bytes], ...]
    things: tuple[tuple[str, str], ...]


@dataclass(slots=True, kw_only=True)
class System:
    """The simulated system and its books. `watch` is called whenever a kill would leave something new; `started` are the programs of one verb."""

    root: Path
    site: Site
    shape: Shape
    stored: StoredPlan
    things: Things
    watch: Callable[[], None] = lambda: None
    started: list[tuple[str, ...]] = field(default_factory=list)
    evidence: list[Applied] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @classmethod
    def laid_out(cls, folder: Path, shape: Shape) -> System:
        """The site in `folder`, and a plan of anna's that bert has approved."""
        root = folder / "site"
        if root.exists():
            shutil.rmtree(root)
        root.mkdir()
        (root / "allowed_signers").write_text("".join(f'{person} namespaces="interlock" {public_key(person)}\n' for person in ("anna", "bert")))
        (root / "locks").mkdir(mode=0o755)
        (root / "interlock.yaml").write_text(SITE.format(locks=root / "locks"))
        site = load_site(root / "interlock.yaml", {})
        made = Plan(
            interlock=__version__,
            site=SiteReference(name=site.site, file=site.source, digest=site.digest),
            action=ACTION,
            approval=ApprovalKind.SIGNATURE,
            steps=tuple(KINDS[name](number) for number, name in enumerate(shape.steps, start=1)),
            timeout=3600,
            fingerprint={},
            created_at=moments.written(NOW),
            expires_at=moments.written(NOW + timedelta(hours=24)),
            made_by="u",
            made_on="h",
        )
        stored = load_plan(store_plan(Books.open(root), made, {}, _signed_by("anna", made, PURPOSE_PLAN)))
        folder = private_folder(Books.open(root).approvals / stored.folder.name)
        write_private(folder / "first.json", canonical(_signed_by("bert", made, PURPOSE_APPLY)) + b"\n")
        things = {str(number): OLD for number, name in enumerate(shape.steps, start=1) if name in CHANGING}
        return cls(root=root, site=site, shape=shape, stored=stored, things=things)

    # ---- what lies there

    @property
    def books(self) -> Path:
        return self.root / ".interlock"

    @property
    def journals(self) -> Path:
        return self.books / "journal"

    def state(self) -> State:
        """As it lies there now; what never changes (the plan, the lock's text) is left out."""
        return State(books=tuple(_files_below(self.books)), things=tuple(sorted(self.things.items())))

    def restore(self, state: State) -> None:
        """Let everything lie as it did."""
        for name in ("journal", "approvals"):
            shutil.rmtree(self.books / name)
            (self.books / name).mkdir(mode=0o700)
        for name, data in state.books:
            path = self.books / name
            if name.endswith("/"):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            else:
                descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
                os.write(descriptor, data)
                os.close(descriptor)
        self.things = dict(state.things)
        self.started.clear()
        self.evidence.clear()

    def trail(self) -> Trail | None:
        return journals.newest(self.journals)

    @property
    def all_old(self) -> bool:
        return all(value == OLD for name, value in self.things.items() if name.isdigit())

    @property
    def all_new(self) -> bool:
        return all(value == NEW for name, value in self.things.items() if name.isdigit())

    # ---- verbs

    def apply(self) -> runner.Outcome:
        return runner.apply(self.site, str(self.stored.folder), {}, self.means())

    def resume(self, said: Mapping[int, Said] | None = None) -> runner.Outcome:
        return runner.resume(self.site, str(self.stored.folder), {}, self.means(), said)

    def rollback(self) -> runner.Outcome:
        return runner.rollback(self.site, str(self.stored.folder), {}, self.means())

    def approve(self) -> runner.Outcome:
        """Bert signs that it goes on."""
        path = runner.approve(self.site, str(self.stored.folder), Path("bert"), {}, self.means(ask=self._types_what_is_asked))
        return runner.Outcome(exit_code=0, text=str(path), id="", evidence=None)

    def means(self, **changed: Any) -> Means:
        handed: dict[str, Any] = {
            "environ": {},
            "clock": lambda: NOW,
            "caller": lambda: HUMAN,
            "ask": self._types_what_is_asked if self.shape.at_terminal else _nobody_there,
            "say": lambda _line: None,
            "gate": self._gate,
            "midway": self._midway,
            "verify": self._verify,
            "keep": self._keep,
            "kept": lambda name: next(run for when in When if (run := _run(self.root, when)).path.name == name),
            "evidence_of": lambda plan: next((one.base for one in self.evidence if one.plan_digest == plan), None),
            "redactor": Redactor([SECRET]),
        }
        return Means(**{**handed, **changed})

    def _types_what_is_asked(self, _question: str) -> str:
        trail = self.trail()
        assert trail is not None
        return short(trail.entries[-1].digest) if trail.entries[-1].kind is Kind.WAITS else self._last_waiting(trail)

    @staticmethod
    def _last_waiting(trail: Trail) -> str:
        return next(short(entry.digest) for entry in reversed(trail.entries) if entry.kind is Kind.WAITS)

    def _gate(self, when: When, _stored: object) -> Gated:
        open_ = self.shape.postflight or when is not When.POSTFLIGHT
        return Gated(decision=Open() if open_ else shut(text=f"broken {SECRET}"), run=_run(self.root, when), lasts=300)

    def _midway(self, _stored: object, step: GatePlan) -> Gated:
        return Gated(decision=shut(text=f"broken {SECRET}") if "shut" in step.guardrails else Open(), run=_run(self.root, When.PREFLIGHT), lasts=300)

    def _verify(self, names: Sequence[str]) -> Sequence[Expectation]:
        return [Expectation(name=name, outcome=Outcome.HELD if self._holds(name) else Outcome.BROKEN, message=f"looked {SECRET}", attempts=1) for name in names]

    def _holds(self, name: str) -> bool:
        return self.things[name.removeprefix("new ")] == NEW if name.startswith("new ") else name == "holds"

    def _keep(self, applied: Applied) -> LoadedRun:
        if not self.shape.evidence:
            from interlock.errors import EvidenceError

            raise EvidenceError("the evidence cannot be written")
        self.evidence.append(applied)
        return applied.base

    # ---- effects

    def set(self, name: str, value: str, *, announced: int) -> None:
        """One part of an effect: what a kill leaves on either side of it is another. The journal on the disk must have announced it."""
        self._demand_announced(announced)
        self.things[name] = value
        self.watch()

    def _demand_announced(self, number: int) -> None:
        trail = self.trail()
        last = trail.entries[-1] if trail else None
        if last is None or last.step != number or last.kind not in (Kind.WILL_DO, Kind.SPAWNED, Kind.WILL_UNDO):
            self.wrong.append(f"step {number} changes something, and the journal ends with {last}")

    def run(self, argv: tuple[str, ...], step: CommandPlan, bench: Bench) -> Ran:
        """Stands in for `interlock.act.commands.run`."""
        what, number = argv[0], argv[1]
        if self.things.get(f"{what} {number}") == "gone" or (what == "look" and self.things.get(f"vanish {number}") == "gone"):
            raise StepFailed(f"there is no program {what}", where=step.directory, changed=False)
        bench.announce(Spawned(pid=1, started=1, boot="another"))
        self.started.append(argv)
        code = self._program(what, number)
        return Ran(code=code, stopped="", out=f"the password is {SECRET}", err="", seconds=0)

    def _program(self, what: str, number: str) -> int:
        change = functools.partial(self.set, number, announced=int(number))
        match what:
            case "idle":
                return 0
            case "look":
                return 0 if self.things[number] == NEW else 1
            case "do":
                change(PART)
                change(NEW)
            case "break":
                change(PART)
                return 1
            case "vanish":
                change(PART)
                self.set(f"vanish {number}", "gone", announced=int(number))
                change(NEW)
            case "undo":
                if self.things[number] != OLD:
                    change(PART)
                    change(OLD)
            case "undo-never":
                return 1
            case "undo-later":
                if self.things.get(f"undo-later {number}") != "tried":
                    self.set(f"undo-later {number}", "tried", announced=int(number))
                    return 1
                change(OLD)
            case _:
                raise AssertionError(what)
        return 0

    def do_files(self, step: FilesPlan, bench: Bench, *, again: bool) -> StepDone:
        """Two files, one after the other, as the real one does: staged first, known by their content, told by whether one was renamed."""
        bench.check()
        number = int(step.files[0].instance)
        for part in "ab":
            self.set(f"staged {number}{part}", "there", announced=number)
        written = []
        for part, value in (("a", PART), ("b", NEW)):
            if self._file(number, part) != NEW:
                self.set(str(number), value if self.things[str(number)] != NEW else NEW, announced=number)
                written.append(part)
            if part == "a" and step.files[0].template == "fail":
                self._swept(number)
                raise StepFailed("no space left", changed=bool(written) or again)
        self._swept(number)
        return StepDone(result=Result.DONE if written else Result.NOT_NEEDED, changed=bool(written) or again)

    def _file(self, number: int, part: str) -> str:
        whole = self.things[str(number)]
        return whole if whole != PART else NEW if part == "a" else OLD

    def _swept(self, number: int) -> None:
        for part in "ab":
            self.things.pop(f"staged {number}{part}", None)
            self.watch()

    def undo_files(self, step: FilesPlan, bench: Bench) -> StepDone:
        bench.check_undo()
        number = int(step.files[0].instance)
        self._swept(number)
        for value in (PART, OLD):
            if self.things[str(number)] != OLD and (value == OLD or self.things[str(number)] == NEW):
                self.set(str(number), value, announced=number)
        return StepDone(changed=False)

    def prepare_compose(self, step: ComposePlan, bench: Bench) -> None:
        """What the undo needs of the system as it is before the first step."""
        kept = bench.undo_folder / f"kept-{step.chain}"
        if not self.all_old:
            self.wrong.append(f"what the undo of step {step.chain} needs is kept when it is too late")
        if not kept.exists():
            write_private(kept, b"as it was")

    def do_compose(self, step: ComposePlan, bench: Bench, *, again: bool) -> StepDone:
        bench.check()
        del again
        self.set(step.chain, PART, announced=int(step.chain))
        if step.project == "fail":
            raise StepFailed("docker compose ended with 1", changed=True)
        self.set(step.chain, NEW, announced=int(step.chain))
        return StepDone()

    def withdraw_compose(self, step: ComposePlan, bench: Bench) -> None:
        bench.check_undo()
        if self.things[step.chain] == NEW:
            self.set(step.chain, PART, announced=int(step.chain))

    def undo_compose(self, step: ComposePlan, bench: Bench) -> StepDone:
        """The programs that ran before start again, and must find everything else as it was."""
        bench.check_undo()
        others = [number for number, value in self.things.items() if number.isdigit() and number != step.chain and value != OLD]
        composed = [number for number in others if self.stored.plan.steps[int(number) - 1].kind == step.kind]
        if others != composed or self.things[step.chain] == NEW:
            self.wrong.append(f"step {step.chain} starts again what was, and {others} are not as they were")
        if not (bench.undo_folder / f"kept-{step.chain}").exists():
            self.wrong.append(f"what the undo of step {step.chain} needs is not there")
        if self.things[step.chain] != OLD:
            self.set(step.chain, OLD, announced=int(step.chain))
        return StepDone(changed=False)

    def do_backup(self, _step: BackupPlan, bench: Bench, *, timeout: int) -> StepDone:
        del timeout
        bench.check()
        self._archive("part")
        self._archive("whole")
        return StepDone(changed=False)

    def undo_backup(self, _step: BackupPlan, bench: Bench) -> StepDone:
        bench.check_undo()
        if self.things.get("archive") == "part":
            self._archive("none")
        return StepDone(result=Result.NOT_NEEDED, changed=False)

    def _archive(self, value: str) -> None:
        self.things["archive"] = value
        self.watch()


def _signed_by(person: str, plan: Plan, purpose: str) -> dict[str, Any]:
    statement = Approval(
        purpose=purpose,
        plan=plan.digest,
        action=plan.action,
        site=plan.site.name,
        principal=person,
        created=plan.created_at,
        expires=moments.written(NOW + timedelta(hours=1)),
        nonce="0" * 32,
    )
    return signed(statement.to_json(), simulated_signature(statement.payload(), simulated_key(None, wanted=Path(person))))


@functools.cache
def _run(root: Path, when: When) -> LoadedRun:
    return a_run(root, when, ACTION, NOW)


def _nobody_there(_question: str) -> str:
    raise ApprovalError("nobody sits at this terminal")


def _files_below(books: Path) -> Iterator[tuple[str, bytes]]:
    """The journals and approvals, folders with a slash at their end, sorted."""
    for top in ("approvals", "journal"):
        for folder, names, files in os.walk(books / top):
            names.sort()
            here = os.path.relpath(folder, books)
            yield here + "/", b""
            for name in sorted(files):
                with open(os.path.join(folder, name), "rb") as file:
                    yield f"{here}/{name}", file.read()


def replaced(patch: pytest.MonkeyPatch, real: object, stand_in: object) -> None:
    """Put a stand-in wherever interlock has the real one by name."""
    modules = [module for name, module in list(sys.modules.items()) if name.startswith("interlock.")]
    places = [(module, name) for module in modules for name, value in vars(module).items() if value is real]
    assert places
    for module, name in places:
        patch.setattr(module, name, stand_in)


@contextmanager
def simulated(system_of: Callable[[], System]) -> Iterator[None]:
    """The real runner, above whatever system `system_of` names at the moment."""
    real_write, real_pwrite = os.write, os.pwrite

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            answer = call(*arguments, **named)
            system_of().watch()
            return answer

        return called

    def torn_write(descriptor: int, data: bytes) -> int:
        data = bytes(data)
        real_write(descriptor, data[: len(data) // 2])
        system_of().watch()
        real_write(descriptor, data[len(data) // 2 :])
        system_of().watch()
        return len(data)

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, watched(getattr(os, name)))
        patch.setattr(os, "write", torn_write)
        patch.setattr(os, "pwrite", watched(real_pwrite))
        patch.setattr(os, "fsync", lambda _descriptor: None)
        patch.setattr(journals, "_RESERVE_BYTES", 1)
        patch.setattr(Entry, "parse", functools.lru_cache(100_000)(Entry.parse))  # the same lines are read again and again
        replaced(patch, sign, simulated_signature)
        replaced(patch, verify, simulated_verify)
        replaced(patch, signing_key, simulated_key)
        patch.setattr(commands, "run", lambda *arguments: system_of().run(*arguments))
        for name in ("do_files", "undo_files", "do_backup", "undo_backup", "do_compose", "undo_compose", "withdraw_compose", "prepare_compose"):
            patch.setattr(steps, name, functools.partial(_called, system_of, name))
        yield


def _called(system_of: Callable[[], System], name: str, *arguments: Any, **named: Any) -> Any:
    return getattr(system_of(), name)(*arguments, **named)


def standing(system: System) -> Standing | None:
    """What the newest journal comes to, None when none was begun."""
    trail = system.trail()
    return Standing.of(trail) if trail is not None else None


def refused(work: Callable[[], runner.Outcome]) -> runner.Outcome | InterlockError:
    """How a verb ended, or why it did not begin."""
    try:
        return work()
    except InterlockError as error:
        return error
