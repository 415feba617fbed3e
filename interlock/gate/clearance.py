"""What lets something move? A `Clearance`: the value that only an open gate and a named human together make, for one plan and a limited time.

All that changes the system takes one and asks it first. It cannot be constructed, copied with other fields, or unpickled: `clear` is the only way to have
one, and `tests/unit/test_clearance.py` shows by mypy and by reading the tree that there is no other, and that only the runner calls it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Never, NoReturn, SupportsIndex, final

from interlock.errors import ApprovalError, StaleError
from interlock.facts import moments
from interlock.gate.decision import Open
from interlock.judge.agreement.glass import GlassBroken
from interlock.judge.agreement.plans import CLOCK_SKEW, Approved
from interlock.nouns import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorPresent:
    """The action asks for nobody's signature: the operator at the terminal is enough."""

    user: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An action that was cleared and begun before, as its verified journal says: it may be finished under the approval that it had, also after its expiry."""

    plan: str
    principals: tuple[str, ...]


Authority = Approved | GlassBroken | OperatorPresent | Begun


@final
class Clearance:
    """Permission to carry out one plan's steps until it is too old; an undo of steps that were begun is always allowed."""

    __slots__ = ("_action", "_do", "_expires", "_issued", "_plan", "_who")
    _action: str
    _do: bool
    _expires: datetime
    _issued: datetime
    _plan: str
    _who: tuple[str, ...]

    def __init__(self, _nobody: Never) -> None:
        raise TypeError("a Clearance is made by interlock.gate.clearance.clear alone")

    def __setattr__(self, _name: str, _value: object) -> NoReturn:
        raise TypeError("a Clearance does not change")

    def __reduce_ex__(self, _protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a Clearance is neither copied nor stored")

    def __repr__(self) -> str:
        return f"<Clearance for {self._plan} by {', '.join(self._who)} until {moments.written(self._expires)}>"

    @property
    def who(self) -> tuple[str, ...]:
        """The people whose word it rests on."""
        return self._who

    def check(self, *, plan: str, action: str, now: datetime) -> None:
        """Raise unless a step of this plan may be done now: ApprovalError for another plan, StaleError when it is too old or the clock was set back."""
        self.check_undo(plan=plan, action=action)
        if not self._do:
            raise ApprovalError("this clearance only undoes", where=action, why="no gate was open when it was made", remedy="resume the action instead")
        if not self._issued - CLOCK_SKEW <= now < self._expires:
            lasts = moments.in_words((self._expires - self._issued).total_seconds())
            raise StaleError(
                "the clearance is too old",
                where=action,
                why=f"it was made at {moments.written(self._issued)} for {lasts}, and it is {moments.written(now)}",
                remedy="raise the action's `timeout:` if it needs longer",
            )

    def check_undo(self, *, plan: str, action: str) -> None:
        """Raise ApprovalError unless it is for this plan. An undo is never too old."""
        if (plan, action) != (self._plan, self._action):
            why = f"it was made for {self._action}, {self._plan}"
            raise ApprovalError("this clearance is for another plan", where=f"{action}, {plan}", why=why, remedy="apply the plan that was approved")


def clear(*, plan: str, action: str, gate: Open | Begun, authority: Authority, now: datetime, lasts: timedelta) -> Clearance:
    """The one constructor. `plan` is a digest, `lasts` how long steps may be started under it.

    With an open gate it allows to do and to undo; with `Begun` in place of the gate only to undo what was begun. Raises ApprovalError when the gate or the
    authority is about another plan, TypeError for anything that is neither.
    """
    if type(gate) not in (Open, Begun) or type(authority) not in (Approved, GlassBroken, OperatorPresent, Begun):
        raise TypeError("a Clearance needs an open gate and a named human")
    for part in (gate, authority):
        if isinstance(part, Approved | GlassBroken | Begun) and part.plan != plan:
            raise ApprovalError("the approval is for another plan", where=plan, why=f"it is for {part.plan}", remedy="approve this plan")
    clearance = object.__new__(Clearance)
    fields = {"_plan": plan, "_action": action, "_do": isinstance(gate, Open), "_issued": now, "_expires": now + lasts, "_who": _names(authority)}
    for name, value in fields.items():
        object.__setattr__(clearance, name, value)
    return clearance


def _names(authority: Authority) -> tuple[str, ...]:
    match authority:
        case Approved() | GlassBroken() | Begun():
            return authority.principals
        case OperatorPresent():
            return (f"{authority.user}@{authority.host}",)
