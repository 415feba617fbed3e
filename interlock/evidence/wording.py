"""How are outcomes, counts and durations said in words? The same words in every rendering that people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

from interlock.evidence.record import Record, UsedWaiver, WaivedBy, family
from interlock.facts.statements import reason_of
from interlock.gate.decision import BROKEN, Reason
from interlock.verdicts import Outcome, Pair, Severity, When

# From what needs a human first to what needs none.
GRAVITY = (Outcome.BROKEN, Outcome.NOT_RUN, Outcome.UNPROVEN, Outcome.WAIVED, Outcome.HELD, Outcome.NOT_APPLICABLE)


def outcome_in_words(outcome: Outcome) -> str:
    """`not applicable` of not_applicable."""
    match outcome:
        case Outcome.NOT_APPLICABLE:
            return "not applicable"
        case Outcome.NOT_RUN:
            return "not run"
        case Outcome.HELD | Outcome.BROKEN | Outcome.UNPROVEN | Outcome.WAIVED:
            return outcome.value
        case _:
            assert_never(outcome)


def number(count: int, noun: str) -> str:
    """`1 reason`, `2 reasons`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def asked_for(record: Record) -> str:
    """`preflight for release`, `preflight and plan for release` of apply's own gate, `only health and parity.rows for cutover`."""
    if record.run.only:
        return f"only {' and '.join(record.run.only)} for {record.run.action}"
    of_plan = ["plan"] if When.APPLY in record.run.gates else []
    gates = " and ".join([*(gate for gate in record.run.gates if gate is not When.APPLY), *of_plan]) or "gate"
    return f"{gates} for {record.run.action}" if record.run.action else gates


def headline(record: Record) -> str:
    """A word or a few for how it ended: OPEN or SHUT of a gate, OPEN IN MID-PLAN of one that asked little; of an action what became of it."""
    if not record.of_action:
        return record.decision.value.upper() + (" IN MID-PLAN" if record.run.only else "")
    match record.exit_code:
        case 0:
            return "DONE"
        case 16:
            return "UNDONE"
        case 18:
            return "HALF-CHANGED"
        case _:
            return "NOT VERIFIED"


def ended_in_words(record: Record) -> str:
    """The sentence to the headline."""
    if record.run.only:
        return f"the gate in mid-plan is {record.decision}: nothing else was asked"
    if not record.of_action:
        return f"the gate is {record.decision}"
    match record.exit_code:
        case 0:
            return "the action is done and verified"
        case 16:
            return "the action failed, and everything is undone"
        case 18:
            return "the action failed, and something is half-changed: run `interlock status`"
        case _:
            return "the action is done, and what is now does not verify"


def reason_in_words(code: int) -> str:
    """What kind of reason an exit code stands for: `broken`, `waiver invalid`."""
    return _REASONS.get(code, f"exit code {code}")


_REASONS: Mapping[int, str] = {
    1: "broken",
    10: "not run",
    11: "unproven",
    12: "waiver invalid",
    13: "not approved",
    14: "stale",
    15: "locked",
}


def gravest_first(record: Record) -> tuple[tuple[Reason, Severity | None], ...]:
    """Why the gate is shut, as it is to be read: what is broken before what nobody knows, critical before high. A reason that is about no pair has no severity,
    and stands before those of its kind that have one."""
    about = {Pair(reason.guardrail, reason.subject) for reason in record.reasons}
    severities = {one.pair: one.severity for one in record.required if one.pair in about}
    severities |= {one.pair: one.severity for one in record.verdicts if one.pair in about}
    told = [(reason, severities.get(Pair(reason.guardrail, reason.subject))) for reason in record.reasons]
    return tuple(sorted(told, key=lambda each: _weight(*each)))


def _weight(reason: Reason, severity: Severity | None) -> tuple[bool, int, int]:
    return reason.code != BROKEN, list(Severity).index(severity) if severity else 0, reason.code


def approvers(record: Record) -> tuple[str, ...]:
    """Who approved the plan, as the approvals name them."""
    return tuple(sorted({str(approval.get("principal", "")) for approval in record.approvals} - {""}))


def broken_glass(record: Record) -> str:
    """Who applied a plan without its second person, and why: `anna: the disk dies and nobody answers`; empty where people agreed."""
    told = ((approval.get("principal", ""), reason_of(str(approval.get("purpose", "")))) for approval in record.approvals)
    return next((f"{principal}: {reason}" for principal, reason in told if reason is not None), "")


def is_self_approved(record: Record) -> bool:
    """True when the planner's own approval was enough: every report says so."""
    return any(approval.get("self_approved") is True for approval in record.approvals)


def steps_in_words(record: Record) -> tuple[str, ...]:
    """`1 backup: done` for each step of an action."""
    return tuple(f"{step.get('number', '?')} {step.get('kind', '?')}: {step.get('state', '?')}" for step in record.steps)


def waived_by(waiver: UsedWaiver) -> str:
    """Where it stands what let a finding pass, for all but the entries of the waiver file, which have an owner."""
    match waiver.by:
        case WaivedBy.WAIVER:
            return f"waiver {waiver.id}"
        case WaivedBy.COMMENT:
            return f"comment at {waiver.source}"
        case WaivedBy.BASELINE:
            return f"baseline {waiver.source}"
        case WaivedBy.EARLIER:
            return f"commit {waiver.source[:12]}"
        case _:
            assert_never(waiver.by)


def asked_waivers(record: Record) -> tuple[UsedWaiver, ...]:
    """Those that somebody asked for one by one, with a reason and an end: entries of the waiver file, and comments."""
    return tuple(waiver for waiver in record.waivers if waiver.ends)


def known_in_words(record: Record) -> Sequence[str]:
    """What passed because it was there already: `12 findings that the baseline ops/baseline.json lists`."""
    found = []
    for by, why in ((WaivedBy.BASELINE, "that the baseline {} lists"), (WaivedBy.EARLIER, "that commit {} has already")):
        mine = [waiver for waiver in record.waivers if waiver.by is by]
        if mine:
            source = mine[0].source if by is WaivedBy.BASELINE else mine[0].source[:12]
            found.append(f"{number(len(mine), 'finding')} {why.format(source)}")
    return found


def tally_in_words(record: Record) -> str:
    """`12 pairs: 1 broken, 11 held`, worst first."""
    counted = [(outcome, record.count(outcome)) for outcome in GRAVITY]
    parts = [f"{count:,} {outcome_in_words(outcome)}" for outcome, count in counted if count]
    total = sum(count for _, count in counted)
    return f"{number(total, 'pair')}: {', '.join(parts)}" if parts else "nothing was judged"


def outcomes_by_family(record: Record) -> Mapping[str, Mapping[Outcome, int]]:
    """How many pairs of each family came to each outcome, families sorted."""
    found: dict[str, dict[Outcome, int]] = {}
    for guardrail, outcome in _all_pairs(record):
        counts = found.setdefault(family(guardrail), dict.fromkeys(GRAVITY, 0))
        counts[outcome] += 1
    return {name: found[name] for name in sorted(found)}


def details_by_family(record: Record) -> Mapping[str, int]:
    """How many details each family looked at."""
    found: dict[str, int] = {}
    for verdict in record.verdicts:
        found[family(verdict.guardrail)] = found.get(family(verdict.guardrail), 0) + verdict.details.total
    return found


def _all_pairs(record: Record) -> Iterable[tuple[str, Outcome]]:
    yield from ((verdict.guardrail, verdict.outcome) for verdict in record.verdicts)
    yield from ((one.guardrail, Outcome.NOT_RUN) for one in record.without_verdict)
