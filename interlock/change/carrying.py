"""How is a begun action carried out, step by step, and undone where a step fails? `interlock.runner` says when one may begin, `telling` how it ended.

Each step is announced in the journal before it starts, and recorded after it; what the journal does not announce does not happen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any

from interlock.act import steps
from interlock.act.books import StoredPlan
from interlock.act.interruption import Interruption, interruption
from interlock.act.journal import Journal
from interlock.act.outcome import Bench, StepFailed
from interlock.act.reach import Reach, hosts_of
from interlock.act.steps import Looking
from interlock.change import approving
from interlock.change.approving import Waiting, waiting_at
from interlock.change.contents import new_bytes
from interlock.change.means import Gated, Means
from interlock.change.showing import title
from interlock.config.models import Site
from interlock.config.scalars import LOCAL
from interlock.errors import EvidenceError, GateShut, HalfChanged, InterlockError, StaleError
from interlock.evidence.folder import LoadedRun
from interlock.gate.clearance import Clearance
from interlock.gate.decision import BROKEN, Shut
from interlock.gate.journal import End, Kind, Result, Spawned, Standing, State
from interlock.gate.plan import ApprovalPlan, GatePlan, StepPlan, changes, has_undo, moved, remounted
from interlock.judge import approval
from interlock.judge.agreement.plans import NotApproved
from interlock.nouns import dataclass
from interlock.observe.caller import who
from interlock.observe.eyes import Eyes
from interlock.observe.fingerprint import HOST, by_mountpoint, look_again, mounts_of
from interlock.verdicts import When


class Said(StrEnum):
    """What a human says of a command that was interrupted and has no `done` check."""

    DONE = "done"
    AGAIN = "again"


@contextmanager
def closing(journal: Journal) -> Iterator[Interruption]:
    """Close the journal, whatever happens; when it could not be written any more, say so as what it is: a change that stopped half way."""
    try:
        with interruption() as stop:
            yield stop
    except EvidenceError as error:
        remedy = "make room, then: interlock status; interlock rollback"
        raise HalfChanged(f"stopped: {error.what}", where=str(journal.folder), why=error.why, remedy=remedy) from error
    finally:
        journal.close()


def demand_open(stored: StoredPlan, means: Means, when: When = When.PREFLIGHT) -> Gated:
    """The preflight gate of the plan's action, run now and found open; with `When.APPLY` the plan itself is judged in it, too.

    Raises GateShut with its exit code and its first reasons.
    """
    means.say("preflight gate")
    gated = means.gate(when, stored)
    if gated is None:
        raise GateShut("the preflight gate asks nothing", code=10, why="an empty gate proves nothing", remedy="declare what this site has")
    if isinstance(gated.decision, Shut):
        raise shut_gate(gated.decision, "preflight gate", gated.run)
    return gated


def lacks_approval_alone(shut: GateShut) -> bool:
    """True when apply's own gate has nothing to say but that not enough people agreed: that has an exit code of its own."""
    return shut.reasons == {(BROKEN, approval.PLAN.id)}


def shut_gate(decision: Shut, called: str, run: LoadedRun) -> GateShut:
    """A shut gate as an error: the first five reasons, and the remedy of the first."""
    first = "; ".join(f"{reason.guardrail} [{reason.subject}] {reason.text}" if reason.guardrail else reason.text for reason in decision.reasons[:5])
    more = f"; and {len(decision.reasons) - 5} more" if len(decision.reasons) > 5 else ""
    reasons = frozenset((reason.code, reason.guardrail) for reason in decision.reasons)
    remedy = decision.reasons[0].remedy
    return GateShut(f"the {called} is shut", code=decision.exit_code, where=str(run.path), why=first + more, remedy=remedy, run=run.path, reasons=reasons)


def on_one_line(error: Exception) -> str:
    """Everything that an error says, as the journal keeps it."""
    return "; ".join(line.strip() for line in str(error).splitlines())


def demand_unmoved(before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Raise StaleError, naming what is another, unless two looks at the live state are the same."""
    changed = moved(before, after)
    if changed:
        raise StaleError("the live state is not the one that the plan was made for", why="; ".join(changed), remedy="make a new plan, and have it approved")


def demand_mounts(stored: StoredPlan, standing: Standing, eyes: Callable[[str], Eyes]) -> None:
    """Every mount that the plan stands on still shows the disk that it showed, but for those that a step of it has moved. Raises StaleError, CouldNotLook."""
    ran = (step for step, seen in zip(stored.plan.steps, standing.steps, strict=True) if seen.may_have_changed)
    before = mounts_of(stored.plan.fingerprint, but=remounted(ran))
    demand_unmoved(before, mounts_of(look_again(before, eyes)))


def _elsewhere(step: StepPlan) -> dict[str, Any]:
    """The other hosts that a step acts on, for those who read the journal without asking them."""
    hosts = sorted(hosts_of(step) - {LOCAL})
    return {"hosts": hosts} if hosts else {}


@dataclass(slots=True, kw_only=True)
class Action:
    """An action under way. `gated` is the gate that opened it, or that a later look replaced."""

    site: Site
    stored: StoredPlan
    means: Means
    journal: Journal
    clearance: Clearance
    stop: Interruption
    gated: Gated | None
    reach: Reach

    def do(self, said: Mapping[int, Said]) -> End | Waiting:
        """Every step that is not done yet, then postflight. What fails is undone. A `Waiting` says that humans are asked before it goes on."""
        try:
            self._prepare()
            for number, step in enumerate(self.stored.plan.steps, start=1):
                if isinstance(step, ApprovalPlan):
                    waiting = self._word(number, step)
                    if waiting is not None:
                        return waiting
                else:
                    self._step(number, step, said.get(number))
        except StepFailed as failure:
            return self.undo(str(failure))
        return self._verified()

    def _prepare(self) -> None:
        """Before the first step: what undo will need of the system as it is. Raises StepFailed: nothing was changed then."""
        if any(step.state is not State.PENDING for step in self.journal.standing.steps):
            return
        try:
            for number, step in enumerate(self.stored.plan.steps, start=1):
                steps.prepare(step, self._bench(number))
        except OSError as error:
            raise StepFailed("what undo would need cannot be kept", where=str(self.journal.undo_folder), why=error.strerror or "", changed=False) from error
        except InterlockError as error:
            raise StepFailed(error.what, where=error.where, why=error.why, remedy=error.remedy, changed=False) from error

    def _word(self, number: int, step: ApprovalPlan) -> Waiting | None:
        """The word of the humans whom a step asks; None once enough of them have signed. Raises StepFailed."""
        if self.journal.standing.steps[number - 1].state is State.DONE:
            return None
        if self.journal.standing.steps[number - 1].state is not State.WAITING:
            self._demand_ready(number, step)
            self._tell(Kind.WAITS, number, {"kind": step.kind, "asks": step.asks})
        waiting = waiting_at(self.stored, self.journal.trail_now)
        assert waiting is not None
        self.means.say(f"step {number} of {len(self.stored.plan.steps)}: {title(step)}")
        try:
            word = approving.word_here(self.site, self.stored, waiting, self.means)
        except InterlockError as error:
            raise StepFailed(error.what, where=error.where, why=error.why, remedy=error.remedy, changed=False) from error
        if isinstance(word, NotApproved):
            return dataclasses.replace(waiting, why=word.reasons[0])
        approvals = [approval.to_json() for approval in word.approvals]
        said = {"approvals": approvals, "principals": list(word.principals), "self_approved": word.self_approved, "broken_glass": word.broken_glass}
        self._tell(Kind.DID, number, {"result": Result.DONE.value, "changed": False, **said})
        return None

    def _step(self, number: int, step: StepPlan, said: Said | None) -> None:
        """One step. Raises StepFailed; what it left is in the journal then."""
        state = self.journal.standing.steps[number - 1].state
        if state is State.DONE:
            return
        again = state is State.UNDERWAY
        if again and said is Said.DONE:
            self.journal.append(Kind.DID, number, {"result": Result.DONE.value, "changed": True, "said_by": who(self.means.environ)[0]})
            return
        self._demand_ready(number, step, again=again)
        self.means.say(f"step {number} of {len(self.stored.plan.steps)}: {title(step)}")
        self.journal.append(Kind.WILL_DO, number, {"kind": step.kind, "again": again, **_elsewhere(step)})
        try:
            done = steps.do(step, self._bench(number), self._looking, timeout=self.stored.plan.timeout, again=again and said is None)
        except StepFailed as failure:
            failure.changed = failure.changed or again  # that it left nothing this time says nothing of the last time
            self._failed(Kind.DID, number, failure)
            raise
        except (InterlockError, OSError, ValueError) as error:
            unforeseen = StepFailed(on_one_line(error), changed=True)
            self._failed(Kind.DID, number, unforeseen)
            raise unforeseen from error
        self._tell(Kind.DID, number, {"result": done.result.value, "changed": done.changed or again, **done.data})

    def _demand_ready(self, number: int, step: StepPlan, *, again: bool = False) -> None:
        """What every step asks before it starts. Raises StepFailed: nothing of this step has happened then."""
        if name := self.stop.requested():
            raise StepFailed(f"stopped before step {number}: {name}", changed=False)
        try:
            self._bench(number).check()
            self.reach.demand_held()
            demand_mounts(self.stored, self.journal.standing, self.reach.eyes)
            if changes(step) and not any(changes(before) for before in self.stored.plan.steps[: number - 1]):
                self._demand_fresh()
            if needed := steps.needed(step, again=again):
                steps.demand_held(needed, self._looking)
        except InterlockError as error:
            raise StepFailed(error.what, where=error.where, why=error.why, remedy=error.remedy, changed=False) from error

    @property
    def _looking(self) -> Looking:
        return Looking(verify=self.means.verify, ask=self._ask)

    def _ask(self, step: GatePlan) -> tuple[str, dict[str, Any]]:
        """A gate in mid-plan: why it is shut, and where its evidence lies."""
        gated = self.means.midway(self.stored, step)
        shut = on_one_line(shut_gate(gated.decision, "gate in mid-plan", gated.run)) if isinstance(gated.decision, Shut) else ""
        return shut, {"run": gated.run.path.name, "digest": gated.run.digest}

    def _demand_fresh(self) -> None:
        """Before the first change, look again when the gate's facts have aged while the backups were made."""
        assert self.gated is not None
        age = (self.means.clock() - datetime.fromisoformat(self.gated.run.record.run.started)).total_seconds()
        if not 0 <= age <= self.gated.lasts:
            self.gated = demand_open(self.stored, self.means)

    def _verified(self) -> End:
        """Postflight. Where it is shut, everything is undone if everything can be; else nothing is, since half an undo is worse."""
        self.means.say("postflight gate")
        try:
            gated = self.means.gate(When.POSTFLIGHT, self.stored)
            if gated is not None and isinstance(gated.decision, Shut):
                raise shut_gate(gated.decision, "postflight gate", gated.run)
        except InterlockError as error:
            return self._not_verified(on_one_line(error))
        seen = {"run": gated.run.path.name, "digest": gated.run.digest} if gated is not None else None
        return self._ended(End.DONE, {"postflight": seen})

    def _not_verified(self, reason: str) -> End:
        changed = [number for number, step in enumerate(self.journal.standing.steps, start=1) if step.may_have_changed]
        if all(has_undo(self.stored.plan.steps[number - 1]) for number in changed):
            return self.undo(reason)
        return self._ended(End.UNVERIFIED, {"reason": reason})

    def undo(self, reason: str) -> End:
        """Undo in reverse whatever may have changed something. A signal does not stop it. What had run before is started again at the very end."""
        self.stop.ignored = True
        changed = [number for number, step in enumerate(self.journal.standing.steps, start=1) if step.may_have_changed]
        last = [number for number in reversed(changed) if steps.returns_last(self.stored.plan.steps[number - 1])]
        for number in reversed(changed):
            undo = self._withdraw if number in last else self._undo_step
            undo(number, self.stored.plan.steps[number - 1])
        away = self._disks_away() if last else ""
        for number in last:
            self._undo_step(number, self.stored.plan.steps[number - 1], refused=away)
        left = [number for number, step in enumerate(self.journal.standing.steps, start=1) if step.may_have_changed]
        return self._ended(End.HALF if left else End.UNDONE, {"reason": reason, "left": left})

    def _withdraw(self, number: int, step: StepPlan) -> None:
        """The first half of an undo; whether it worked is seen by the second, which is done in any case."""
        self.journal.append(Kind.WILL_UNDO, number, {"kind": step.kind, **_elsewhere(step)})
        try:
            steps.withdraw(step, self._bench(number))
        except StepFailed as failure:
            self._failed(Kind.UNDID, number, failure)
        except (InterlockError, OSError, ValueError) as error:
            self._failed(Kind.UNDID, number, StepFailed(on_one_line(error), changed=True))

    def _disks_away(self) -> str:
        """Which disks are not where they were, in words: a service that is started then finds an empty directory, and begins a second state in it."""
        planned = self.stored.plan.fingerprint
        if not mounts_of(planned):
            return ""
        try:
            now = look_again([*mounts_of(planned), HOST], self.reach.eyes)
        except InterlockError as error:
            return on_one_line(error)
        told = mounts_of if now[HOST] == planned.get(HOST) else by_mountpoint
        return "; ".join(moved(told(planned), told(now)))

    def _undo_step(self, number: int, step: StepPlan, *, refused: str = "") -> None:
        """`refused` says why it cannot be undone now."""
        self.means.say(f"undoing step {number}: {title(step)}")
        self.journal.append(Kind.WILL_UNDO, number, {"kind": step.kind, **_elsewhere(step)})
        if refused:
            what, remedy = "services are not started while the disks are not back", "bring them back, and roll back again"
            self._failed(Kind.UNDID, number, StepFailed(what, why=refused, remedy=remedy, changed=True))
            return
        try:
            undone = steps.undo(step, self._bench(number))
        except StepFailed as failure:
            self._failed(Kind.UNDID, number, failure)
        except (InterlockError, OSError, ValueError) as error:
            self._failed(Kind.UNDID, number, StepFailed(on_one_line(error), changed=True))
        else:
            self._tell(Kind.UNDID, number, {"result": undone.result.value, **undone.data})

    def _failed(self, kind: Kind, number: int, failure: StepFailed) -> None:
        what = {"what": failure.what, "where": failure.where, "why": failure.why, "remedy": failure.remedy}
        self._tell(kind, number, {"result": Result.FAILED.value, "changed": failure.changed, **what, **failure.data})

    def _ended(self, end: End, data: Mapping[str, Any]) -> End:
        self._tell(Kind.ENDED, 0, {"end": end.value, **data})
        return end

    def _tell(self, kind: Kind, number: int, data: Mapping[str, Any]) -> None:
        """Write down what others said, too: without secrets, and as text that has a canonical form."""
        self.journal.append(kind, number, self._clean(data))

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.means.redactor.redact(value.encode("utf-8", "backslashreplace").decode("utf-8"))
        if isinstance(value, Mapping):
            return {self._clean(key): self._clean(inner) for key, inner in value.items()}
        return [self._clean(inner) for inner in value] if isinstance(value, list | tuple) else value

    def _bench(self, number: int) -> Bench:
        return Bench(
            clearance=self.clearance,
            plan=self.stored.digest,
            action=self.stored.plan.action,
            id=self.journal.id,
            clock=self.means.clock,
            environ=self.means.environ,
            content=partial(new_bytes, self.stored, self.site, self.means.environ),
            undo_folder=self.journal.undo_folder,
            announce=lambda spawned: self._announce(number, spawned),
            redacting=self.means.redactor.stream,
            interrupted=self.stop.requested,
            hear=lambda line: self.means.say(f"  | {self.means.redactor.redact(line)}"),
            reach=self.reach,
        )

    def _announce(self, number: int, spawned: Spawned) -> None:
        self.journal.append(Kind.SPAWNED, number, {"pid": spawned.pid, "started": spawned.started, "boot": spawned.boot})
