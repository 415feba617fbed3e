"""Which pairs of guardrail and subject must have an answer? Computed from the site, the catalogue and the action, before anything is collected."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Sequence

from interlock.config.actions import Action
from interlock.config.models import Site
from interlock.config.scalars import DECLARED_BY, HEADLINE_FAMILIES, LOCAL
from interlock.errors import UsageError
from interlock.nouns import dataclass
from interlock.verdicts import NONE_DECLARED, Guardrail, Outcome, Pair, Severity, Subject, When


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One pair that the gate counts. `shuts` is False for a severity that only informs."""

    pair: Pair
    host: str
    severity: Severity
    shuts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """What a guardrail without any subject comes to: not_applicable with the reason, or unproven when nobody gave one."""

    outcome: Outcome
    message: str
    remedy: str = ""


def asked(site: Site, catalogue: Iterable[Guardrail], gates: frozenset[When], action: str | None, only: Sequence[str] = ()) -> tuple[Guardrail, ...]:
    """The guardrails that these gates ask, for `action` (its own `gate:`) or, without one, all of them.

    `only` are the families and guardrails of a gate in mid-plan, in place of the action's. Raises UsageError for an action that the site lacks.
    """
    of_action = _action(site, action).gate if action is not None else None
    wanted = only or of_action
    return tuple(
        guardrail for guardrail in catalogue if guardrail.when & gates and (wanted is None or _is_everybodys(guardrail) or _is_named(guardrail, wanted))
    )


def _is_everybodys(guardrail: Guardrail) -> bool:
    """True for what an action's own `gate:` cannot leave out: what every gate asks, and what is judged of the plan itself."""
    return guardrail.always or guardrail.when == {When.APPLY}


def _is_named(guardrail: Guardrail, names: Sequence[str]) -> bool:
    return guardrail.id in names or guardrail.family in names


def idle(site: Site, guardrails: Sequence[Guardrail], gates: frozenset[When], action: str | None, only: Sequence[str]) -> tuple[str, ...]:
    """Those names of a gate in mid-plan that nothing here answers to: one without a subject would be passed over, and its step would look as if it had asked.

    The names of the site's own rules are left out: nobody but the files in `checks/` knows them.
    """
    applying = [guardrail for guardrail in guardrails if _applies(site, guardrail, gates, action)]
    return tuple(name for name in only if not is_own(name) and not any(_is_named(guardrail, (name,)) for guardrail in applying))


def is_own(name: str) -> bool:
    """True for a rule of the site's own: `own.smoke.app_answers`."""
    return name.startswith("own.")


def _applies(site: Site, guardrail: Guardrail, gates: frozenset[When], action: str | None) -> bool:
    """True when it has something to look at here, or nobody said why not."""
    return bool(guardrail.subjects_when(site, gates, action)) or absence(site, guardrail).outcome is not Outcome.NOT_APPLICABLE


def _action(site: Site, name: str) -> Action:
    try:
        return site.actions[name]
    except KeyError:
        known = ", ".join(site.actions) or "none"
        raise UsageError(f"this site has no action {name}", where=site.source, why=f"its actions: {known}", remedy="add it below `actions:`") from None


def expected(site: Site, guardrail: Guardrail, subject: Subject) -> Expected:
    """One pair, with what the site says of its severity."""
    severity = subject.severity or guardrail.severity
    return Expected(pair=Pair(guardrail.id, subject.id), host=subject.host, severity=severity, shuts=severity.at_least(site.gate.shut_at))


def expected_own(site: Site, rule: str, subject: str) -> Expected:
    """One pair of a rule of the site's own (`checks/` beside the site file): of high severity, asked from this machine."""
    return Expected(pair=Pair(rule, subject), host=LOCAL, severity=Severity.HIGH, shuts=Severity.HIGH.at_least(site.gate.shut_at))


def with_subjects(site: Site, guardrails: Iterable[Guardrail], gates: frozenset[When], action: str | None) -> Iterator[tuple[Guardrail, Subject]]:
    """Each guardrail with each subject that it has in these gates, for `action`."""
    return ((guardrail, subject) for guardrail in guardrails for subject in guardrail.subjects_when(site, gates, action))


def required(site: Site, guardrails: Sequence[Guardrail], gates: frozenset[When], action: str | None, only: Sequence[str] = ()) -> tuple[Expected, ...]:
    """Every pair that must have a verdict, sorted; a guardrail without a subject has the one pair `none-declared`.

    None at all where nothing applies but what every gate asks: such a gate would open without having looked at anything of its own. In mid-plan, none where
    any of the names in `only` is idle.
    """
    if only:
        applies = not idle(site, guardrails, gates, action, only)
    else:
        of_the_system = [guardrail for guardrail in guardrails if not _is_everybodys(guardrail)] if gates != {When.APPLY} else guardrails
        applies = any(_applies(site, guardrail, gates, action) for guardrail in of_the_system)
    return tuple(sorted(pairs(site, guardrails, gates, action), key=lambda one: one.pair)) if applies else ()


def pairs(site: Site, guardrails: Iterable[Guardrail], gates: frozenset[When], action: str | None) -> Iterator[Expected]:
    """The pairs of guardrails and their subjects in these gates, whether something applies or not."""
    for guardrail in guardrails:
        for subject in guardrail.subjects_when(site, gates, action) or (Subject(name=NONE_DECLARED),):
            yield expected(site, guardrail, subject)


def _is_declared(site: Site, family: str) -> bool:
    """Whether the site says something of a headline family, in a section of its own. That there are scripts and compose files, of which rules of every
    family are asked, says nothing of it."""
    sections = (*DECLARED_BY[family], "scripts") if family == "backups" else DECLARED_BY[family]  # a script that writes backups is judged for that
    return any(getattr(site, section, None) for section in sections)


def absence(site: Site, guardrail: Guardrail) -> Absence:
    """What to say of a guardrail that has no subject here.

    A headline family must have a subject or a line `not_used: {family: reason}`: what nobody declared is not thereby
    absent. A discovered site has no such lines.
    """
    family = guardrail.family
    name = posixpath.basename(site.source) or "this tree"
    if family in site.not_used:
        return Absence(outcome=Outcome.NOT_APPLICABLE, message=f"{family} is not used here: {site.not_used[family]}")
    elsewhere = sorted({action for subject in guardrail.subjects(site) for action in subject.actions or ()})
    if elsewhere:
        return Absence(outcome=Outcome.NOT_APPLICABLE, message=f"{guardrail.id} is asked for {' and '.join(elsewhere)} alone")
    if not site.source or family not in HEADLINE_FAMILIES or _is_declared(site, family):
        return Absence(outcome=Outcome.NOT_APPLICABLE, message=f"{name} declares nothing for {guardrail.id}")
    return Absence(
        outcome=Outcome.UNPROVEN,
        message=f"{name} neither declares {family} nor says why not",
        remedy=f"declare `{family}:`, or write `not_used: {{{family}: <reason>}}`",
    )
