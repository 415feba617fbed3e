"""Which exact steps does an action of the site come to, on this system, now? Looks and renders; changes nothing but `.interlock/plans/`.

    stored = make_plan(site, "release", environ, now=now, key=None)
    stored = guarding_plan(site, "release", CommandStep(run=("./apply.sh",), directory="/srv/app"), environ, now=now, key=None)

Whatever a plan cannot promise is refused here, not at apply: a host that the runner does not reach yet, a directory that is not there, a backup that would
come after the change that it is for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import assert_never

from interlock import __version__
from interlock.act.books import Books, StoredPlan, load_plan, plans_of, signed, store_plan
from interlock.act.journal import begun_with
from interlock.act.reach import hosts_of
from interlock.act.signatures import sign
from interlock.change.becoming import declared_afterwards, reference
from interlock.change.resolving.resolving import Resolving
from interlock.change.resolving.steps import resolve
from interlock.config.actions import Action, ApprovalKind, CommandStep, Step
from interlock.config.models import Site
from interlock.config.scalars import LOCAL
from interlock.errors import ApprovalError, ConfigError, UsageError
from interlock.facts import moments
from interlock.facts.statements import PURPOSE_PLAN, Approval
from interlock.gate.plan import ApprovalPlan, BackupPlan, GatePlan, Plan, StepPlan, VerifyPlan, changes, remounted
from interlock.judge.agreement.plans import self_approval_allowed
from interlock.observe.caller import who
from interlock.observe.fingerprint import fingerprint, named
from interlock.observe.lookers import Lookers
from interlock.observe.signatures import signing_key, voters
from interlock.observe.tree import Tree

LASTS = timedelta(hours=24)


def make_plan(site: Site, action_name: str, environ: Mapping[str, str], *, now: datetime, key: Path | None = None) -> StoredPlan:
    """Resolve an action and write its plan. `key` signs it; without one, the one key of this user that allowed_signers names.

    Raises UsageError for an action that the site lacks, ConfigError for one that cannot be planned, CouldNotLook, ApprovalError, EvidenceError.
    """
    action = demand_action(site, action_name)
    plan, blobs = _resolved(site, action_name, action.steps, environ, now)
    return _stored(site, plan, blobs, environ, key)


def guarding_plan(site: Site, action_name: str, program: CommandStep, environ: Mapping[str, str], *, now: datetime, key: Path | None = None) -> StoredPlan:
    """The plan that puts an action's backups before a program of the operator's, and its verifications behind it.

    One that was made before, for the same program on the same system, is taken again: it may be approved by now. Raises as `make_plan` does, and
    ConfigError for an action that changes something itself: nobody would see that its own steps were left out.
    """
    action = demand_action(site, action_name)
    own = next((step.kind for step in action.steps if step.backup is None and step.verify is None), None)
    if own is not None:
        raise ConfigError(
            f"{action_name} has steps of its own, and a guarded program has the place of these",
            where=f"{site.source}: actions.{action_name}",
            why=f"it has a {own} step",
            remedy=f"interlock plan {action_name}; or give the program an action with backup and verify steps alone",
        )
    backups = [step for step in action.steps if step.backup is not None]
    verifies = [step for step in action.steps if step.verify is not None]
    plan, blobs = _resolved(site, action_name, (*backups, Step(command=program), *verifies), environ, now)
    return _made_before(Books.open(site.root), plan, now) or _stored(site, plan, blobs, environ, key)


def _made_before(books: Books, plan: Plan, now: datetime) -> StoredPlan | None:
    """The newest plan that is the same but for when it was made, can still be applied, and was not yet."""
    times = {"created_at": plan.created_at, "expires_at": plan.expires_at}
    alike = [
        stored
        for stored in plans_of(books, plan.action)
        if stored.plan.model_copy(update=times) == plan and moments.read(stored.plan.expires_at) > now and not begun_with(books.journals, stored.digest)
    ]
    return max(alike, key=lambda stored: stored.plan.created_at, default=None)


def demand_action(site: Site, name: str) -> Action:
    """An action of the site. Raises UsageError."""
    action = site.actions.get(name)
    if action is None:
        raise UsageError(f"this site has no action {name}", where=site.source, why=f"its actions: {', '.join(site.actions) or 'none'}")
    return action


def _resolved(site: Site, action_name: str, declared: Sequence[Step], environ: Mapping[str, str], now: datetime) -> tuple[Plan, Mapping[str, bytes]]:
    """The plan that these steps come to on this system, and the content of its files by digest. Writes nothing."""
    with Lookers(site) as eyes:
        after = declared_afterwards(site, action_name, environ)
        resolving = Resolving(site=site, after=after, action=action_name, environ=environ, tree=Tree(site.root), eyes=eyes)
        return _resolved_with(resolving, declared, now), resolving.blobs


def _resolved_with(resolving: Resolving, declared: Sequence[Step], now: datetime) -> Plan:
    site, action = resolving.site, resolving.site.actions[resolving.action]
    steps = tuple(plan for number, step in enumerate(declared) for plan in resolve(resolving, step, number))
    _demand_backups_first(resolving, steps)
    _demand_remounts_looked_at(resolving, steps)
    if site.mounts is not None:
        host = resolving.host(site.mounts.state.host)
        if host == LOCAL or any(host in hosts_of(step) for step in steps):
            resolving.directories.add(named(host, site.mounts.state.path))
    user, host = who(resolving.environ)
    return Plan(
        interlock=__version__,
        site=reference(site),
        becomes=reference(resolving.after) if resolving.after is not None else None,
        action=resolving.action,
        approval=action.approval,
        steps=steps,
        timeout=action.timeout,
        fingerprint=fingerprint(directories=resolving.directories, files=resolving.files, others=resolving.others, eyes=resolving.eyes),
        created_at=moments.written(now),
        expires_at=moments.written(now + LASTS),
        made_by=user,
        made_on=host,
    )


def _stored(site: Site, plan: Plan, blobs: Mapping[str, bytes], environ: Mapping[str, str], key: Path | None) -> StoredPlan:
    """The plan, signed where somebody must know who made it, and kept."""
    return load_plan(store_plan(Books.open(site.root), plan, blobs, _planner(site, site.actions[plan.action], plan, environ, key)))


def _demand_backups_first(resolving: Resolving, steps: Sequence[StepPlan]) -> None:
    changed = False
    for step in steps:
        if isinstance(step, BackupPlan) and changed:
            raise ConfigError(
                f"the backup of {step.module} would come after a change",
                where=f"{resolving.site.source}: actions.{resolving.action}",
                why="a backup protects from the steps that come after it",
                remedy="move the backup steps to the front",
            )
        changed = changed or changes(step)


def _demand_remounts_looked_at(resolving: Resolving, steps: Sequence[StepPlan]) -> None:
    """What moves a disk is looked at before anything else is done, and nobody is waited for behind it: the gate of before cannot be asked again then."""
    where = f"{resolving.site.source}: actions.{resolving.action}"
    for number, step in enumerate(steps, start=1):
        if not remounted([step]):
            continue
        behind = steps[number:]
        if not behind or not isinstance(behind[0], VerifyPlan | GatePlan):
            what = f"nothing looks at what step {number} has mounted before the next one relies on it"
            raise ConfigError(what, where=where, remedy="put a `gate` step behind it, with `guardrails: [mounts.state_disk]`; or a `verify` step")
        if resolving.after is not None and any(isinstance(one, ApprovalPlan) for one in behind):
            what = f"a human is waited for behind step {number}, which moves disks"
            why = "what goes on after a wait is begun by the gate of this site, which describes the disks as they were"
            raise ConfigError(what, where=where, why=why, remedy="ask the human before the disks are moved, or make two actions of it")


def _planner(site: Site, action: Action, plan: Plan, environ: Mapping[str, str], key: Path | None) -> dict[str, object] | None:
    """The planner's signature over the plan's digest; None where nobody needs it."""
    match action.approval:
        case ApprovalKind.OPERATOR:
            return None
        case ApprovalKind.SIGNATURE:
            pass
        case _:
            assert_never(action.approval)
    if site.approval is None:
        raise ConfigError(
            f"nobody can approve {plan.action}",
            where=site.source,
            why="it asks for signatures, and the site names no allowed_signers",
            remedy="declare `approval:`",
        )
    who_may = voters(site)
    try:
        chosen = signing_key(who_may.signers, wanted=key, environ=environ, revoked=who_may.revoked)
    except ApprovalError:
        if key is None and self_approval_allowed(site.approval, who_may.signers):
            return None
        raise
    statement = Approval(
        purpose=PURPOSE_PLAN,
        plan=plan.digest,
        action=plan.action,
        site=plan.site.name,
        principal=chosen.principal,
        created=plan.created_at,
        expires=plan.expires_at,
        nonce=plan.digest.removeprefix("sha256:")[:32],
    )
    return signed(statement.to_json(), sign(statement.payload(), chosen, environ=environ))
