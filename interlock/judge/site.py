"""Does the site file say all that there is, and does a human stand behind what it says? `interlock.observe.site` finds what there is."""

from __future__ import annotations

from collections.abc import Sequence

from interlock.config.chain_subjects import chain_subjects
from interlock.config.models import Site
from interlock.facts.site import SERVER, Keeper, LearnedNoun, LearnedNouns, StateFound
from interlock.verdicts import LIVE, Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, When

SHOWN = 5


def places(site: Site) -> Sequence[Subject]:
    """Where state can be that the site file does not declare: its chains, the hosts that it names, the servers of its databases. A tree without a site file
    declares nothing, so nothing is missing in it."""
    if not site.source:
        return []
    hosts = [Subject(name="host", host=name, when=LIVE) for name in site.hosts]
    servers = [Subject(name=f"{SERVER}{name}", when=LIVE, actions=_actions(site, name)) for name in site.databases]
    return [*chain_subjects(site), *hosts, *servers]


def _actions(site: Site, database: str) -> frozenset[str] | None:
    """A database that is only there to be copied is asked for the actions that copy it: nobody needs its DSN before."""
    copies = {name for name, copy in site.parity.items() if database in (copy.source, copy.target)}
    if not copies or any(module.database == database for module in site.modules.values()):
        return None
    return frozenset(name for name, action in site.actions.items() if copies.intersection(action.moves or ()))


def judge_undeclared(found: StateFound) -> Held | Broken | Unproven:
    """Held when everything that keeps state is declared, or excluded with a reason."""
    details = (*(_detail(one, found) for one in found.keepers), *(_unseen(part, why) for part, why in found.unseen.items()))
    bad = [detail for detail in details if detail.outcome is Outcome.BROKEN]
    if bad:
        remedy = "declare it in a module (`volumes`, `paths` or `container`), or write it below `excluded` with the reason why it is none of the site's"
        count = f"{len(bad)} of {len(found.keepers)} that keep state" if len(bad) > 1 else "something that keeps state"
        more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        return Broken(
            f"{found.where}: {count} neither declared nor excluded: {', '.join(detail.what for detail in bad[:SHOWN])}{more}", remedy=remedy, details=details
        )
    if unknown := [detail for detail in details if detail.kind == "assumed"]:
        remedy = "give the variables a value in an env file of the chain (`env_files`)"
        return Unproven("; ".join(detail.message for detail in unknown[:SHOWN]), remedy=remedy, details=details)
    if found.unseen:
        return Unproven(
            "; ".join(found.unseen.values()), remedy="let this user look there (`become: sudo -n`), or correct what `hosts` says of it", details=details
        )
    if not details:
        return Held(f"nothing keeps state in {found.where}")
    return Held(f"all that keeps state in {found.where} is declared or excluded ({len(details)})", details)


def _detail(one: Keeper, found: StateFound) -> Detail:
    what = f"{one.kind.value} {one.shown}"
    if found.declared.covers(one):
        return Detail(what=what, outcome=Outcome.HELD, message=f"{what}: declared or excluded", file=one.file, line=one.line)
    used = f", used by {', '.join(dict.fromkeys(user[0] for user in one.users))}" if one.users else ""
    if one.assumed:
        message = f"{', '.join(one.assumed)} has no value here, and decides which {one.kind.value} it is{used}"
        return Detail(what=what, outcome=Outcome.UNPROVEN, kind="assumed", message=message, file=one.file, line=one.line)
    message = f"{what}{used}: neither declared nor excluded"
    return Detail(what=what, outcome=Outcome.BROKEN, kind=f"undeclared-{one.kind.value}", message=message, file=one.file, line=one.line)


def _unseen(part: str, why: str) -> Detail:
    return Detail(what=part, outcome=Outcome.UNPROVEN, kind="could-not-look", message=why)


UNDECLARED = Guardrail(
    id="site.undeclared",
    title="everything that keeps state is declared, or excluded with a reason",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC, *LIVE}),
    rationale="What the site file does not know is not backed up, not compared and not looked at, and every report about the rest looks complete.",
    remedy="declare it in a module, or write it below `excluded` with the reason",
    subjects=places,
    judge=judge_undeclared,
)


def site_file(site: Site) -> Sequence[Subject]:
    """The site file."""
    return [Subject(name="site")] if site.source else []


def judge_confirmed(learned: LearnedNouns) -> Held | Broken:
    """Held when a human stands behind everything that was learned from a running host."""
    details = tuple(_learned(noun, learned.file) for noun in learned.nouns)
    bad = [detail for detail in details if detail.outcome is Outcome.BROKEN]
    if bad:
        more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        return Broken(
            f"nobody has confirmed {', '.join(detail.what for detail in bad[:SHOWN])}{more}: learned from a running host, which may be wrong",
            remedy=f"compare each with what should be, correct it, and take its `unconfirmed` out of {learned.file}; `interlock init --review` walks through",
            details=details,
        )
    if not details:
        return Held(f"{learned.file} holds nothing that a running host could have taught")
    return Held(f"all of {learned.file} is confirmed", details)


def _learned(noun: LearnedNoun, file: str) -> Detail:
    if noun.unconfirmed:
        return Detail(
            what=noun.key,
            outcome=Outcome.BROKEN,
            kind="unconfirmed",
            message=f"{noun.key} was learned from a running host, and nobody has confirmed it",
            file=file,
            line=noun.line,
        )
    return Detail(what=noun.key, outcome=Outcome.HELD, message=f"{noun.key} is confirmed", file=file, line=noun.line)


CONFIRMED = Guardrail(
    id="site.confirmed",
    title="a human stands behind everything that was learned from a running host",
    severity=Severity.CRITICAL,
    when=frozenset({When.STATIC, When.PREFLIGHT, When.DRILL, When.POSTFLIGHT}),
    rationale="A host that is already wrong would become the truth: every later check would hold, against the fault that it should have found.",
    remedy="compare it with what should be, correct it, and take the mark `unconfirmed` out",
    subjects=site_file,
    judge=judge_confirmed,
    never_waivable=True,
    always=True,
)
