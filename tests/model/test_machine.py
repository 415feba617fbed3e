"""Whatever people, disks and clocks do around it: does the runner do what a small model says that it may do? Real files, keys, programs and kills.

The model is a page: what a plan was made for, who signed it until when, whether it was used, and what has changed since. It predicts why a verb is refused
(by the exit codes of the table of docs/gate.md), or how the action ends; the system must then look accordingly, and the books must add up.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from interlock import runner
from interlock.act import journal as journals
from interlock.act.books import StoredPlan
from interlock.act.commands import still_running
from interlock.commands.status import status_text
from interlock.config.load import load_site
from interlock.errors import ApprovalError, EvidenceError, GateShut, InterlockError, LockHeld
from interlock.facts import moments
from interlock.facts.canonical import short
from interlock.gate.journal import End, Kind, Standing, State
from interlock.verdicts import When
from tests.faults.explorer import Killer, forked
from tests.tiny_site import SECRET, key_of, make_tiny, shut

STEPS = """\
      - backup: {modules: [app]}
      - write-files: {templates: [conf, motd]}
      - approval: {asks: May it be deployed?}
      - command: {run: [bin/deploy], undo: [bin/undeploy], done: [bin/deployed]}
      - verify: {expect: [deployed]}
"""
PROGRAMS = {  # nothing here depends on when it runs, so that what a plan comes to is known
    "deploy": "cd ../instance; echo run >> runs; cp conf/app.conf deployed.part; mv deployed.part deployed",
    "undeploy": "rm -f ../instance/deployed ../instance/deployed.part",
    "deployed": "cmp -s ../instance/conf/app.conf ../instance/deployed",
}
PROVE = os.environ.get("INTERLOCK_PROFILE") == "prove"
TOLD = frozenset({0, 1, 13, 14, 15, 16, 17, 18, 64})  # every exit code that a verb of the runner ends with here

COUNTED: Counter[str] = Counter()  # how verbs ended, over all examples


@dataclass
class Made:
    """What the model knows of one plan."""

    stored: StoredPlan
    version: int  # of the template
    site: int  # how often the site file had been edited
    look: dict[str, str]  # the system that it was made for
    script: int
    until: Any = None  # when bert's signature expires
    spoiled: bool = False
    used: bool = False


class FullDisk(Killer):
    """In place of dying: from the call numbered `at` on, `count` calls that need room fail."""

    count: int = 1

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            if name in ("write", "pwrite", "mkdir", "posix_fallocate"):
                self.seen.append(name)
                if self.at <= len(self.seen) < self.at + self.count:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*arguments, **named)

        return called


@dataclass(frozen=True)
class Disturbance:
    """A kill at a call, before it or half way through a write; or a disk that is full for `full` writes from there on."""

    at: int
    torn: bool = False
    full: int = 0

    def killer(self) -> Killer:
        if not self.full:
            return Killer(at=self.at, torn=self.torn)
        disk = FullDisk(at=self.at)
        disk.count = self.full
        return disk


DISTURBANCES = st.one_of(
    st.none(),
    st.builds(Disturbance, at=st.integers(1, 140), torn=st.booleans()),
    st.builds(Disturbance, at=st.integers(1, 60), full=st.sampled_from([1, 2, 1000])),
)


class Runner(RuleBasedStateMachine):
    """The rules are what people, disks and clocks do."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="interlock-machine-"))
        self.folder.chmod(0o755)
        self.plans: list[Made] = []
        self.version = self.edits = self.script = 0
        self.there = True  # a human at the terminal, with bert's key
        self.went_back = False  # the clock: a word that is given now is older than the question
        self.meddled = False  # somebody wrote into a target since the action was begun
        self.before: dict[str, str] = {}

    @initialize()
    def lay_out(self) -> None:
        self.tiny = make_tiny(self.folder, people=("anna", "bert"), approval="  self_approval: false", steps=STEPS, programs=PROGRAMS)
        (self.folder / ".ssh").mkdir(mode=0o700)
        for key in (key_of("bert"), key_of("bert").with_suffix(".pub")):
            shutil.copy2(key, self.folder / ".ssh" / key.name)
        self.runs_kept = self.tiny.runs_kept

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def _reload(self) -> None:
        self.tiny.site = load_site(self.tiny.root / "interlock.yaml", self.tiny.environ)

    # ---- what people do

    @precondition(lambda self: self._unfinished() is None)
    @rule()
    def plan(self) -> None:
        """Whatever was released is taken away before: the program's undo knows nothing of an older release."""
        for name in ("deployed", "motd"):
            (self.tiny.instance / name).unlink(missing_ok=True)
        self.tiny.later(seconds=1)
        stored = self.tiny.plan()
        if all(made.stored.digest != stored.digest for made in self.plans):
            self.plans.append(Made(stored, self.version, self.edits, self.tiny.look(), self.script))

    @precondition(lambda self: self.plans)
    @rule(which=st.integers(0, 20), person=st.sampled_from(["bert", "bert", "anna"]))
    def approve(self, which: int, person: str) -> None:
        made = self._one(which)
        if self._waiting() is not None and self._waiting() == made.stored.digest:
            return
        self.tiny.answers.append(short(made.stored.digest))
        try:
            runner.approve(self.tiny.site, str(made.stored.folder), key_of(person), self.tiny.environ, self.tiny.means())
        except InterlockError:
            self.tiny.answers.clear()
            if person == "bert" and not made.spoiled and not self._stale(made):
                raise
        else:
            assert person == "bert", "the planner approved the plan"
            made.until = self.tiny.now + timedelta(seconds=self.tiny.site.approval.valid_for)  # type: ignore[union-attr]

    @precondition(lambda self: any(made.until for made in self.plans))
    @rule(which=st.integers(0, 20), forge=st.sampled_from(["expires", "nonce", "plan", "principal"]))
    def forge_an_approval(self, which: int, forge: str) -> None:
        """A real signature under other words, beside a plan that it is not for."""
        signed = next(made for made in self.plans if made.until)
        target = self._one(which).stored
        document = json.loads(next((self.tiny.books.approvals / signed.stored.folder.name).glob("*.json")).read_bytes())
        words = {"expires": moments.written(self.tiny.now + timedelta(hours=2)), "nonce": "f" * 32, "plan": target.digest, "principal": "anna"}
        if document["approval"][forge] == words[forge]:
            return
        document["approval"][forge] = words[forge]
        folder = self.tiny.books.approvals / target.folder.name
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / f"forged-{forge}.json").write_text(json.dumps(document))

    @precondition(lambda self: len(self.plans) > 1)
    @rule(source=st.integers(0, 20), beside=st.integers(0, 20))
    def use_an_approval_of_another_plan(self, source: int, beside: int) -> None:
        one, other = self._one(source), self._one(beside)
        if one is other:
            return
        folder = self.tiny.books.approvals / other.stored.folder.name
        folder.mkdir(mode=0o700, exist_ok=True)
        for path in (self.tiny.books.approvals / one.stored.folder.name).glob("*.json"):
            shutil.copy2(path, folder / f"foreign-{path.name}")

    @precondition(lambda self: self.plans)
    @rule(which=st.integers(0, 20))
    def edit_a_plan(self, which: int) -> None:
        made = self._one(which)
        path = made.stored.folder / "plan.json"
        if not made.spoiled and not made.used:
            path.write_bytes(path.read_bytes().replace(b'"timeout":3600', b'"timeout":9999'))
            made.spoiled = True

    @rule()
    def edit_the_site_file(self) -> None:
        with (self.tiny.root / "interlock.yaml").open("a") as file:
            file.write("# a thought\n")
        self.edits += 1
        self._reload()

    @rule()
    def edit_a_template(self) -> None:
        self.version += 1
        (self.tiny.root / "templates" / "app.conf").write_text(f"port = ${{PORT}}\npassword = ${{DB_PASSWORD}}\nworkers = {4 + self.version}\n")

    @rule()
    def edit_a_script(self) -> None:
        with (self.tiny.root / "bin" / "deploy").open("a") as file:
            file.write("# another thought\n")
        self.script += 1

    @rule(name=st.sampled_from(["motd", "conf/app.conf"]))
    def edit_a_target(self, name: str) -> None:
        (self.tiny.instance / name).write_text("mine\n")
        self.meddled = True

    @rule()
    def come_and_go(self) -> None:
        self.there = not self.there

    # ---- what clocks and gates do

    @rule(hours=st.sampled_from([0.5, 3, 30, -0.5, -3]))
    def clock_jumps(self, hours: float) -> None:
        self.tiny.later(hours=hours)
        self.went_back = self.went_back or hours < 0

    @rule(when=st.sampled_from([When.PREFLIGHT, When.POSTFLIGHT, When.POSTFLIGHT]))
    def gate_changes(self, when: When) -> None:
        if self.tiny.shut.pop(when, None) is None:
            self.tiny.shut[when] = shut()

    # ---- verbs

    @precondition(lambda self: self.plans)
    @rule(which=st.integers(0, 20))
    def apply(self, which: int) -> None:
        self._apply(self._one(which))

    @precondition(lambda self: self._unfinished() is None)
    @rule(how=DISTURBANCES)
    def apply_what_may_be(self, how: Disturbance | None) -> None:
        """A new plan, signed, behind an open gate: by single rules hypothesis comes to one too seldom."""
        self.tiny.shut.pop(When.PREFLIGHT, None)
        self.plan()
        self.approve(len(self.plans) - 1, "bert")
        self._apply(self.plans[-1], killer=how and how.killer())

    @precondition(lambda self: self.plans)
    @rule(which=st.integers(0, 20), how=DISTURBANCES)
    def apply_disturbed(self, which: int, how: Disturbance | None) -> None:
        self._apply(self._one(which), killer=how and how.killer())

    @precondition(lambda self: self._unfinished() is not None)
    @rule(how=DISTURBANCES, verb=st.sampled_from(["resume", "rollback"]))
    def go_on(self, how: Disturbance | None, verb: str) -> None:
        self._go_on(verb, how and how.killer())

    @precondition(lambda self: self._unfinished() is not None)
    @rule()
    def do_what_status_says(self) -> None:
        text = status_text(self.tiny.site, now=self.tiny.now).rpartition("next: ")[2]
        verb = next(verb for verb in ("approve", "resume", "rollback") if text.startswith(f"interlock {verb} "))
        if verb == "approve":
            self.there, verb = True, "resume"
        self._go_on(verb, None)

    @precondition(lambda self: not self._unfinished() and journals.newest(self.tiny.books.journals) is not None)
    @rule(verb=st.sampled_from(["resume", "rollback"]), which=st.integers(0, 20))
    def go_on_with_what_has_ended(self, verb: str, which: int) -> None:
        made = self._one(which)
        if not made.spoiled:
            before = self._everything()
            assert self._ran(lambda: getattr(runner, verb)(self.tiny.site, str(made.stored.folder), self.tiny.environ, self._means())) == self._told(made, verb)
            assert self._everything() == before

    def _told(self, made: Made, verb: str) -> int:
        """The newest action is told of again; nothing is left to do for any other."""
        trail = journals.newest(self.tiny.books.journals)
        assert trail is not None
        state = Standing.of(trail)
        if state.plan_digest != made.stored.digest:
            return 64
        return {(End.DONE, "resume"): 0, (End.UNDONE, "resume"): 16, (End.UNDONE, "rollback"): 0}.get((state.end, verb), 64)  # type: ignore[arg-type]

    @precondition(lambda self: journals.newest(self.tiny.books.journals) is not None)
    @rule(where=st.floats(0, 1, exclude_max=True), cut=st.booleans(), bit=st.integers(0, 7))
    def damage_the_journal(self, where: float, cut: bool, bit: int) -> None:
        """Nothing is done over a journal that does not verify; then somebody brings it back."""
        trail = journals.newest(self.tiny.books.journals)
        assert trail is not None
        path = self.tiny.books.journals / trail.id / journals.FILE
        kept = path.read_bytes()
        head = json.loads((self.tiny.books.journals / journals.HEAD).read_bytes())
        if head["id"] != trail.id or head["seq"] != len(trail.entries) or trail.torn:
            return  # what a crash had not yet written down as safe may be gone
        place = int(where * len(kept))
        path.write_bytes(kept[:place] if cut else kept[:place] + bytes([kept[place] ^ (1 << bit)]) + kept[place + 1 :])
        before = self.tiny.look()
        made = next(made for made in self.plans if made.stored.digest == trail.entries[0].data["plan"])
        for verb in (runner.apply, runner.resume, runner.rollback):
            assert self._ran(lambda verb=verb: verb(self.tiny.site, str(made.stored.folder), self.tiny.environ, self._means())) in (
                17,
                *([14] if made.spoiled else []),
            )
        with pytest.raises(EvidenceError):
            status_text(self.tiny.site, now=self.tiny.now)
        assert self.tiny.look() == before
        path.write_bytes(kept)

    # ---- the model

    def _one(self, which: int) -> Made:
        return self.plans[which % len(self.plans)]

    def _unfinished(self) -> Standing | None:
        trail = journals.newest(self.tiny.books.journals) if hasattr(self, "tiny") else None
        state = Standing.of(trail) if trail is not None else None
        return state if state is not None and not state.finished else None

    def _waiting(self) -> str | None:
        state = self._unfinished()
        return state.plan_digest if state is not None and state.numbers([State.WAITING]) else None

    def _stale(self, made: Made) -> bool:
        created, expires = moments.read(made.stored.plan.created_at), moments.read(made.stored.plan.expires_at)
        return made.site != self.edits or expires <= self.tiny.now or created > self.tiny.now + timedelta(minutes=2)

    def _refusals(self, made: Made) -> set[int]:
        """Every exit code that this plan may be refused with now; none: it must be applied."""
        unfinished = self._unfinished()
        moved = made.look != self.tiny.look() or made.script != self.script
        signed = made.until is not None and made.until > self.tiny.now and self.tiny.now >= made.until - timedelta(hours=24)
        reasons = {14} if made.spoiled or made.used or self._stale(made) or moved else set()
        reasons |= {18} if unfinished is not None and unfinished.end is None else set()
        reasons |= {1} if When.PREFLIGHT in self.tiny.shut else set()
        return reasons | ({13} if not signed or self._from_the_future(made) else set())

    def _from_the_future(self, made: Made) -> bool:
        """A signature that was made later than it is now, by the clock."""
        valid_for = timedelta(seconds=self.tiny.site.approval.valid_for)  # type: ignore[union-attr]
        return made.until is not None and made.until - valid_for > self.tiny.now + timedelta(minutes=2)

    def _new(self, made: Made) -> dict[str, str]:
        conf = f"0600 port = 8080\npassword = {SECRET}\nworkers = {4 + made.version}\n"
        return {"conf/app.conf": conf, "motd": "0640 release 2\n", "deployed": conf}

    def _apply(self, made: Made, *, killer: Killer | None = None) -> None:
        reasons, before, books = self._refusals(made), self.tiny.look(), self._everything()
        count = len(journals.ids(self.tiny.books.journals))
        code = self._ran(lambda: runner.apply(self.tiny.site, str(made.stored.folder), self.tiny.environ, self._means()), killer)
        trail = journals.newest(self.tiny.books.journals)
        begun = trail is not None and trail.entries[0].data["plan"] == made.stored.digest and not made.used
        if reasons:
            COUNTED[f"refused: {code}"] += 1
            assert not begun, f"applied, and must not be: {reasons}"
            assert code in reasons or killer is not None, f"refused with {code}, not {reasons}"
            assert killer is not None or self._everything() == books, "a refused apply changed something"
            assert self.tiny.look() == before
            return
        if not begun:
            assert killer is not None, f"refused with {code}, and nothing stands against it"
            assert self.tiny.look() == before
            return
        assert len(journals.ids(self.tiny.books.journals)) == count + 1
        made.used, self.meddled, self.before = True, False, before
        self._ended(made, code, killer, asked_to_undo=False)

    def _go_on(self, verb: str, killer: Killer | None) -> None:
        state = self._unfinished()
        assert state is not None
        made = next(made for made in self.plans if made.stored.digest == state.plan_digest)
        reasons = set()
        if verb == "resume":
            reasons |= {64} if state.rolling_back else set()
            reasons |= {14} if made.site != self.edits else set()
            reasons |= {1} if When.PREFLIGHT in self.tiny.shut else set()
        look = self.tiny.look()
        code = self._ran(lambda: getattr(runner, verb)(self.tiny.site, str(made.stored.folder), self.tiny.environ, self._means()), killer)
        if reasons:
            assert killer is not None or code in reasons, f"refused with {code}, not {reasons}"
            assert self.tiny.look() == look
            return
        self._ended(made, code, killer, asked_to_undo=verb == "rollback")

    def _ended(self, made: Made, code: int | None, killer: Killer | None, *, asked_to_undo: bool) -> None:
        """How the system looks is what the journal says, and the exit code says it, too."""
        trail = journals.newest(self.tiny.books.journals)
        assert trail is not None
        state = Standing.of(trail)
        look = self.tiny.look()
        COUNTED[f"{'killed' if code is None else 'disturbed' if killer else 'ran'}: {state.end or 'not ended'}"] += 1
        match state.end:
            case End.DONE:
                assert self.meddled or look == self._new(made)
                assert When.POSTFLIGHT not in self.tiny.shut
                assert code in (0, None)
            case End.UNDONE:
                assert self.meddled or look == self.before
                assert code in ((0, None) if asked_to_undo else (16, None))
            case End.HALF:
                assert self.meddled or killer is not None, f"half, and nobody meddled: {state.end_data}"
                assert code in (18, None)
            case End.UNVERIFIED:
                raise AssertionError("everything here can be undone")
            case None:
                waits = bool(state.numbers([State.WAITING]))
                assert (waits and code == 13 and (not self.there or self.went_back)) or killer is not None, f"not ended: {code}"
        text = status_text(self.tiny.site, now=self.tiny.now)
        assert ("done and verified" in text) == (state.end is End.DONE)
        assert ("everything is as it was" in text) == (state.end is End.UNDONE)
        assert ("HALF-CHANGED" in text) == (state.end is End.HALF)

    def _means(self) -> Any:
        """At the terminal sits bert, or nobody. While the gate runs, somebody else tries to apply."""

        def types(_question: str) -> str:
            if not self.there:
                raise ApprovalError("nobody sits at this terminal")
            trail = journals.newest(self.tiny.books.journals)
            assert trail is not None
            return next(short(entry.digest) for entry in reversed(trail.entries) if entry.kind is Kind.WAITS)

        def gate(when: When, stored: StoredPlan) -> Any:
            with pytest.raises(LockHeld):
                runner.apply(self.tiny.site, str(stored.folder), self.tiny.environ, self.tiny.means())
            return self.tiny._gate(when, stored)

        def kept(name: str) -> Any:
            """The runs of gates that a killed process ran are gone with it here."""
            return self.tiny.runs_kept[name] if name in self.tiny.runs_kept else self._any_run(name)

        return self.tiny.means(ask=types, gate=gate, kept=kept)

    def _any_run(self, name: str) -> Any:
        from tests.tiny_site import a_run

        stamp = name.partition("-")[0]
        when = next(when for when in When if f"-{when}-" in name)
        from datetime import UTC, datetime

        return a_run(self.tiny.root, when, "release", datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC))

    def _ran(self, verb: Callable[[], runner.Outcome], killer: Killer | None = None) -> int | None:
        """Its exit code; None when it was killed. A program that outlived its runner is waited for: until then nobody may go on (15)."""
        with suppress(EvidenceError):  # of a damaged journal nothing is known, and nothing may go on
            self._wait_for_programs()

        def work() -> int:
            try:
                return verb().exit_code
            except GateShut as error:
                return error.code
            except InterlockError as error:
                return error.exit_code

        if killer is None:
            code = work()
        else:

            def disturbed() -> int:
                with killer.installed():
                    return work()

            answer = forked(disturbed)
            if answer == "killed":
                return None
            assert isinstance(answer, int)
            code = answer
        assert code in TOLD
        return code

    def _wait_for_programs(self) -> None:
        state, until = self._unfinished(), time.monotonic() + 20
        while state is not None and any(step.spawned and still_running(step.spawned) for step in state.steps) and time.monotonic() < until:
            time.sleep(0.01)

    def _everything(self) -> dict[str, bytes]:
        """Every file of the system and the books, but the locks' texts."""
        return {
            str(path.relative_to(self.tiny.root)): path.read_bytes()
            for path in sorted(self.tiny.root.rglob("*"))
            if path.is_file() and "lock" not in path.name and "interlock-" not in path.name
        }

    # ---- what always holds

    @invariant()
    def the_books_add_up(self) -> None:
        if not hasattr(self, "tiny"):
            return
        journals_folder = self.tiny.books.journals
        journals.verify_chain(journals_folder)
        begun = [trail for name in journals.ids(journals_folder) if (trail := journals.read(journals_folder, name)).entries]
        plans = [trail.entries[0].data["plan"] for trail in begun]
        assert len(plans) == len(set(plans)), "a plan was applied twice"
        words = [
            approval["nonce"]
            for trail in begun
            for entry in trail.entries
            if entry.kind in (Kind.BEGUN, Kind.DID)
            for approval in entry.data.get("approvals", ())
        ]
        assert len(words) == len(set(words)), "an approval was used twice"
        assert all("bert" in trail.entries[0].data["principals"] for trail in begun)

    @invariant()
    def no_secret_is_in_the_books(self) -> None:
        if hasattr(self, "tiny"):
            assert not [
                path for path in self.tiny.books.folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes() and "undo" not in path.parts
            ]


def test_the_runner_does_what_the_model_says(capsys: pytest.CaptureFixture[str]) -> None:
    COUNTED.clear()
    stories, events = (300, 30) if PROVE else (12, 20)
    # A story with kills in it may end in another way the next time: making it shorter takes minutes, and says no more.
    run_state_machine_as_test(Runner, settings=settings(max_examples=stories, stateful_step_count=events, phases=[Phase.generate]))
    with capsys.disabled():
        print(f"\n{sum(COUNTED.values())} verbs: {', '.join(f'{how} {count}' for how, count in sorted(COUNTED.items()))}")
    assert not PROVE or {"ran: done", "ran: undone", "ran: half", "ran: not ended", "killed: not ended", "disturbed: undone"} <= COUNTED.keys()
