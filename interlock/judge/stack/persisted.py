"""Do the running containers follow the choice that the application keeps on its host? A chain that a person picks by habit brings the old backend back."""

from __future__ import annotations

from collections.abc import Sequence

from interlock.config.models import Site
from interlock.facts.persisted import Followed, PersistedChoice
from interlock.verdicts import LIVE, Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, in_short

SHOWN = 40  # characters of a value that nobody declared


def choices(site: Site) -> Sequence[Subject]:
    """The choice that the site says the chain follows."""
    follows = site.compose.follows if site.compose else None
    return [Subject(name="persisted-choice", host=follows.host)] if follows else []


def judge_persisted(choice: PersistedChoice) -> Held | Broken | Unproven:
    """Held when everything that runs or starts the stack does it with the chain that the kept value needs."""
    kept = f"{choice.key} in {choice.file} is {_shown(choice)}"
    if choice.value is not None and choice.value not in choice.needed:
        known = ", ".join(sorted(choice.needed))
        return Broken(
            f"{kept}, and the site knows no chain for that: {known}", kind="unknown-value", remedy="declare it below `compose.follows.chains`, or correct it"
        )
    wanted = choice.default if choice.value is None else choice.needed[choice.value]
    if wanted is None:
        return Unproven(f"{kept}, and nobody says which chain that needs", remedy="declare `compose.follows.default`")
    if not choice.followers:
        remedy = "name the host's `engine`, or the `chain` of an instance, or write COMPOSE_FILE into its .env"
        return Unproven(f"{kept}, which needs the chain {wanted}, and nothing tells which chain runs", remedy=remedy)
    details = tuple(_follower(wanted, one) for one in choice.followers)
    broken = [detail for detail in details if detail.outcome is Outcome.BROKEN]
    if broken:
        remedy = f"start the stack with the chain {wanted}; if the kept value is the wrong one, correct that first"
        return Broken(f"{kept}, which needs the chain {wanted}: {in_short(broken)}", kind="other-chain", remedy=remedy, details=details)
    return Held(f"{kept}, and the chain {wanted} is followed by {', '.join(one.who for one in choice.followers)}", details)


def _shown(choice: PersistedChoice) -> str:
    if choice.value is None:
        return "not set"
    return repr(choice.value if len(choice.value) <= SHOWN else f"{choice.value[:SHOWN]}...")


def _follower(wanted: str, one: Followed) -> Detail:
    what = f"{one.who}: {one.by}"
    if wanted in one.chains:
        return Detail(what=what, outcome=Outcome.HELD, message=f"{one.who} has the chain {wanted} ({one.by})")
    files = " + ".join(one.files)
    chain = f"the chain {' or '.join(one.chains)}" if one.chains else "no chain of the site"
    said = f"{one.who} has {chain} ({one.by}{f': {files}' if files else ''})"
    return Detail(what=what, outcome=Outcome.BROKEN, kind="other-chain", message=said)


CHAIN_MATCHES_PERSISTED_STATE = Guardrail(
    id="compose.chain_matches_persisted_state",
    title="the chain that runs is the one that the choice needs which the application keeps",
    severity=Severity.HIGH,
    when=LIVE,
    rationale="Who starts the chain of the old backend after a move has a stack that runs, without the new database, and writes where nobody looks any more.",
    remedy="let one script read the kept choice and pick the chain, and start the stack with it",
    subjects=choices,
    judge=judge_persisted,
    max_age=300,
)
