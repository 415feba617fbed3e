"""How far did an action get? The entries of its journal, and what they come to. Pure; `interlock.act.journal` writes and reads the files.

Before each step an entry says what will be done, after it what was done, so a journal that ends anywhere still tells the truth. Each entry carries the
digest of the one before it and its own; a second, tiny file (`head`) names the newest entry that is safely on disk, so that lines taken off the end are
missed too. What this cannot show is a forger who may write both files: the evidence of a finished action carries the journal's last digest for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from functools import cached_property
from typing import Any, Self, assert_never

from interlock.errors import EvidenceError
from interlock.facts import moments
from interlock.facts.canonical import canonical, digest, is_digest, parse_canonical
from interlock.nouns import dataclass

SCHEMA = "interlock/journal/1"
_HEAD_BYTES = 256


class Kind(StrEnum):
    """What an entry says. The order is the one in which they come in a quiet run."""

    BEGUN = "begun"  # the action starts: its plan, approvals and gate record
    CONTINUED = "continued"  # `resume` or `rollback` takes over an unfinished action
    WILL_DO = "will-do"  # this step is about to start
    SPAWNED = "spawned"  # the step's program exists, and waits for this entry to be on disk before it runs
    WAITS = "waits"  # the step is a human's to decide; what they sign names this entry
    DID = "did"  # the step ended: done, already done, or failed
    WILL_UNDO = "will-undo"
    UNDID = "undid"
    ENDED = "ended"  # nothing is under way any more


class Result(StrEnum):
    """How a step, or its undo, ended."""

    DONE = "done"
    NOT_NEEDED = "not-needed"  # it was so already
    FAILED = "failed"


class End(StrEnum):
    """How an action ended."""

    DONE = "done"  # every step done, postflight open
    UNDONE = "undone"  # failed, and everything is as it was
    HALF = "half"  # failed, and some of it is left: the entry names what
    UNVERIFIED = "unverified"  # every step done, but the postflight gate is shut


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of a journal. `step` counts from 1, 0 where no step is meant; `data` is JSON; `prev` is the digest of the entry before (empty for the first)."""

    seq: int
    time: str
    kind: Kind
    step: int
    data: Mapping[str, Any]
    prev: str

    def _body(self) -> dict[str, Any]:
        return {"seq": self.seq, "time": self.time, "kind": self.kind.value, "step": self.step, "data": dict(self.data), "prev": self.prev}

    @cached_property
    def digest(self) -> str:
        """Over all its other fields."""
        return digest(canonical(self._body()))

    def line(self) -> bytes:
        """As it stands in the file, newline included."""
        return canonical(self._body() | {"digest": self.digest}) + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """One line, without its newline. Raises ValueError when a single byte of it is not as it was written."""
        raw = parse_canonical(line)
        if not isinstance(raw, dict) or raw.keys() != {"seq", "time", "kind", "step", "data", "prev", "digest"}:
            raise ValueError("not the fields of an entry")
        entry = cls(
            seq=_natural(raw["seq"]),
            time=str(raw["time"]),
            kind=Kind(raw["kind"]),
            step=_natural(raw["step"]),
            data=_mapping(raw["data"]),
            prev=str(raw["prev"]),
        )
        moments.read(entry.time)
        if raw["digest"] != entry.digest:
            raise ValueError("its digest is another")
        return entry


def _natural(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError(f"{value!r} is no count")


def _mapping(value: object) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    raise ValueError(f"{value!r} is no object")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest entry that is known to be on disk: which action, how many entries, and the digest of the last."""

    id: str
    seq: int
    digest: str

    def render(self) -> bytes:
        """As it stands in the file `head`: padded to one size, so that it can be overwritten in place."""
        return canonical({"id": self.id, "seq": self.seq, "digest": self.digest}).ljust(_HEAD_BYTES - 1) + b"\n"

    @classmethod
    def parse(cls, raw: bytes, *, where: str) -> Self:
        """Raises EvidenceError for anything that `render` did not write."""
        try:
            fields = parse_canonical(raw.rstrip(b" \n"))
            head = cls(id=str(fields["id"]), seq=_natural(fields["seq"]), digest=str(fields["digest"]))
        except (ValueError, KeyError, TypeError) as error:
            raise damaged(where, f"{error}") from error
        if not is_digest(head.digest) or head.render() != raw:
            raise damaged(where, "it is not as it was written")
        return head


def damaged(where: str, why: str) -> EvidenceError:
    """The error for a journal that was shortened or edited."""
    return EvidenceError(
        "the journal does not verify",
        where=where,
        why=why,
        remedy="restore the folder from a backup, or find out by hand how far the action got; nothing is applied while its journal cannot be trusted",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """The entries of one action. `torn` are bytes after the last whole line: a write that a crash cut short, never acted upon."""

    id: str
    entries: tuple[Entry, ...]
    torn: int = 0

    @classmethod
    def parse(cls, raw: bytes, *, id: str, where: str, head: Head | None = None) -> Self:  # noqa: A002 - the action's id, named as in the file
        """Every whole line, verified. Raises EvidenceError when one was edited, added, moved or taken away.

        `head`, when it is this action's, names an entry that must be there with that digest.
        """
        *lines, tail = raw.split(b"\n")
        entries: list[Entry] = []
        for number, line in enumerate(lines, start=1):
            try:
                entry = Entry.parse(line)
            except (ValueError, TypeError) as error:
                raise damaged(f"{where}:{number}", str(error)) from error
            if entry.seq != number or entry.prev != (entries[-1].digest if entries else ""):
                raise damaged(f"{where}:{number}", "it does not follow the entry before it")
            if (entry.kind is Kind.BEGUN) != (number == 1):
                raise damaged(f"{where}:{number}", "an action begins once, with its first entry")
            entries.append(entry)
        if head is not None and head.id == id and (head.seq > len(entries) or head.seq < 1 or entries[head.seq - 1].digest != head.digest):
            raise damaged(where, f"entry {head.seq} was on disk, and is not there any more")
        return cls(id=id, entries=tuple(entries), torn=len(tail))


class State(StrEnum):
    """Where one step stands."""

    PENDING = "pending"
    WAITING = "waiting"  # for the humans whose word it asks for; nothing is under way
    UNDERWAY = "underway"  # started; whether it was done can only be seen at the system
    DONE = "done"
    FAILED = "failed"
    UNDOING = "undoing"
    UNDONE = "undone"
    NOT_UNDONE = "not-undone"  # its undo failed, or it has none


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawned:
    """A step's program: its process id, and when it started in clock ticks since the boot `boot` (the three together are never reused)."""

    pid: int
    started: int
    boot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStanding:
    """One step: its state, what its last entry said, and the program that may still run."""

    state: State = State.PENDING
    data: Mapping[str, Any] = field(default_factory=dict)
    spawned: Spawned | None = None

    @property
    def may_have_changed(self) -> bool:
        """True when the system may hold something of this step. A step that ended says `changed: false` where it knows that it left nothing."""
        match self.state:
            case State.PENDING | State.WAITING | State.UNDONE:
                return False
            case State.DONE | State.FAILED:
                return self.data.get("changed") is not False
            case State.UNDERWAY | State.UNDOING | State.NOT_UNDONE:
                return True
            case _:
                assert_never(self.state)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a journal's entries come to. `rolling_back`: a step failed, or somebody asked for it; there is no way on any more, only back."""

    id: str
    begun: Mapping[str, Any]
    since: str
    last: str
    steps: tuple[StepStanding, ...]
    rolling_back: bool
    end: End | None
    end_data: Mapping[str, Any]

    @classmethod
    def of(cls, trail: Trail) -> Self:
        """Fold the entries. Raises EvidenceError when they tell no story that the runner can have written."""
        if not trail.entries:
            raise damaged(trail.id, "it has no entry")
        first = trail.entries[0]
        try:
            count = _natural(first.data["steps"])
        except (KeyError, ValueError) as error:
            raise damaged(trail.id, f"its first entry does not say how many steps there are ({error})") from error
        steps = [StepStanding() for _ in range(count)]
        rolling_back, end = False, None
        end_data: Mapping[str, Any] = {}
        for entry in trail.entries[1:]:
            try:
                match entry.kind:
                    case Kind.CONTINUED:
                        rolling_back, end = entry.data["how"] == "rollback", None
                    case Kind.ENDED:
                        end, end_data = End(entry.data["end"]), entry.data
                    case _:
                        steps[entry.step - 1] = _after(steps[_place(entry.step, count)], entry)
                        rolling_back = rolling_back or entry.kind in (Kind.WILL_UNDO, Kind.UNDID)
            except (KeyError, ValueError) as error:
                raise damaged(f"{trail.id}:{entry.seq}", str(error)) from error
        return cls(
            id=trail.id,
            begun=first.data,
            since=first.time,
            last=trail.entries[-1].time,
            steps=tuple(steps),
            rolling_back=rolling_back or any(step.state is State.FAILED for step in steps),
            end=end,
            end_data=end_data,
        )

    @property
    def finished(self) -> bool:
        """True when nothing of it is left to do."""
        return self.end in (End.DONE, End.UNDONE)

    @property
    def plan_digest(self) -> str:
        """The digest of the plan that it applies."""
        return str(self.begun.get("plan", ""))

    @property
    def action(self) -> str:
        """The action's name."""
        return str(self.begun.get("action", ""))

    def numbers(self, states: Iterable[State]) -> Sequence[int]:
        """The steps in any of these states, counted from 1."""
        wanted = frozenset(states)
        return [number for number, step in enumerate(self.steps, start=1) if step.state in wanted]


def _place(step: int, count: int) -> int:
    """The place of a step in a list of `count`. Raises ValueError when there is none."""
    if not 1 <= step <= count:
        raise ValueError(f"there is no step {step}")
    return step - 1


def _after(step: StepStanding, entry: Entry) -> StepStanding:
    """A step's standing after one more entry about it."""
    match entry.kind:
        case Kind.WILL_DO:
            return StepStanding(state=State.UNDERWAY, data=entry.data)
        case Kind.WAITS:
            return StepStanding(state=State.WAITING, data={**entry.data, "entry": entry.digest})
        case Kind.WILL_UNDO:
            return StepStanding(state=State.UNDOING, data=entry.data)
        case Kind.SPAWNED:
            spawned = Spawned(pid=_natural(entry.data["pid"]), started=_natural(entry.data["started"]), boot=str(entry.data["boot"]))
            return StepStanding(state=step.state, data=step.data, spawned=spawned)
        case Kind.DID:
            failed = Result(entry.data["result"]) is Result.FAILED
            return StepStanding(state=State.FAILED if failed else State.DONE, data=entry.data)
        case Kind.UNDID:
            failed = Result(entry.data["result"]) is Result.FAILED
            return StepStanding(state=State.NOT_UNDONE if failed else State.UNDONE, data=entry.data)
        case Kind.BEGUN | Kind.CONTINUED | Kind.ENDED:
            raise ValueError(f"{entry.kind} is about no step")
        case _:
            assert_never(entry.kind)
