"""Is the list of compose files put together in one place? `interlock.observe.chain_lists` brings what each script lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from interlock.facts.chain_lists import ChainList, ChainLists
from interlock.judge.tree import found, scripts, unread
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Unproven, When


def judge_single_resolver(seen: ChainLists) -> Held | Broken | Unproven:
    """Held when one script at most decides which compose files are started together."""
    deciding = [one for one in seen.lists if one.conditional]
    held = f"{deciding[0].path} alone decides which compose files are started together" if deciding else "no script decides which compose files are started"
    details = (*_second_opinions(seen.lists), *unread(seen.unread))
    return found(details, held=f"{held}: {seen.read} scripts read", remedy=REMEDY)


def _second_opinions(lists: Sequence[ChainList]) -> Iterator[Detail]:
    preferred = sorted(lists, key=lambda one: (not one.resolver, not one.conditional))
    for one in lists:
        other = next((other for other in preferred if other is not one and one.disagrees(other)), None)
        if other is not None and not one.resolver:
            says = (
                f"takes in {' and '.join(sorted(one.conditional))} by conditions of its own"
                if one.conditional
                else f"lists {', '.join(one.files)} once and for all"
            )
            message = f"{one.path}:{one.line} {says}, and {other.path}:{other.line} decides the same by others: what one has started the other one takes away"
            yield Detail(what=one.path, outcome=Outcome.BROKEN, kind="second-list", message=message, file=one.path, line=one.line)


REMEDY = "let one script resolve the list (`COMPOSE_FILE`), and let the others source or call it"

CHAIN_SINGLE_RESOLVER = Guardrail(
    id="compose.chain_single_resolver",
    title="one script decides which compose files are started together",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="Scripts that choose overlays by conditions of their own undo each other: a migration is done, and the next tick starts the stack without it.",
    remedy=REMEDY,
    subjects=scripts,
    judge=judge_single_resolver,
)
