"""Is every engine of the stack in some backup? What makes backups in a tree beside what the chains of compose files start."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence

from interlock.config.models import Site
from interlock.facts.backup_coverage import BackupCoverage, Engine, Keeper, takes_along
from interlock.judge import tree
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, When

BACKUPS = "backups"
ONLY_KEEPS = frozenset(
    {"compose", "docker", "docker-compose", "deploy", "deployment", "containers", ".docker", "infra", "infrastructure", "ops", "prod", "production"}
)
REMEDY = "dump the engine in the script that makes the backups (`docker compose exec -T SERVICE pg_dump ...`), or copy its volume while it is stopped"


def backups_and_engines(site: Site) -> Sequence[Subject]:
    """All backups of the tree beside all engines of its chains."""
    return [Subject(name=BACKUPS)] if site.chains else []


def judge_coverage(seen: BackupCoverage) -> Held | Broken | Unproven:
    """Held when each engine is in some backup; nothing is judged where the tree makes none: its site may be backed up by something else."""
    if not any(keeper.of_the_stack for keeper in seen.keepers) and not any(engine.procedure for engine in seen.engines):
        return Held("nothing in this tree makes backups regularly: who backs up these stacks cannot be told from it")
    if not seen.engines and not seen.unresolved:
        return Held(f"{len(seen.keepers)} scripts and services make backups, and no chain starts an engine that keeps state")
    return tree.found(_details(seen), held=f"each of the {len(seen.engines)} engines is in some backup", remedy=REMEDY)


def _details(seen: BackupCoverage) -> Iterator[Detail]:
    for engine in seen.engines:
        what = f"{engine.file}: {engine.service}"
        if because := _declared(engine):
            yield Detail(what=what, outcome=Outcome.HELD, message=because, file=engine.file, line=engine.line)
            continue
        able = [keeper for keeper in seen.keepers if not engine.procedure or keeper.path == engine.procedure]
        near = [keeper for keeper in able if engine.procedure or (keeper.of_the_stack and _is_about(keeper, engine))]
        taking = next((keeper for keeper in able if takes_along(keeper, engine)), None)
        if taking is not None:
            yield Detail(what=what, outcome=Outcome.HELD, message=f"{engine.service} is backed up by {taking.name}", file=taking.path, line=taking.line)
        elif near:
            yield _missing(seen, engine, near, what)
    for chain in seen.unresolved:
        message = f"the engines of the chain {chain} cannot be told: docker compose refuses it"
        yield Detail(what=f"chain {chain}", outcome=Outcome.UNPROVEN, kind="chain-refused", message=message)


def _declared(engine: Engine) -> str:
    """What the site file says of an engine, where that settles it."""
    if engine.left_out:
        return f"{engine.service} is excluded by the site: {engine.left_out}"
    if engine.module and not engine.procedure:
        return f"{engine.service} is the module {engine.module}, whose backups are made and looked at by its class"
    return ""


def _missing(seen: BackupCoverage, engine: Engine, near: Sequence[Keeper], what: str) -> Detail:
    """The place is the script that has to take it along: the one that takes along most of the same stack."""
    neighbours = [other for other in seen.engines if other.folder == engine.folder]
    keeper = max(near, key=lambda one: (sum(takes_along(one, other) for other in neighbours), not one.service))
    message = (
        f"{engine.service} of {engine.file}:{engine.line} ({engine.server}, chain {engine.chain}) is in no backup: {keeper.name} makes backups here "
        f"and takes nothing of it along, so a restore brings the stack back without its data"
    )
    return Detail(what=what, outcome=Outcome.BROKEN, kind="not-backed-up", message=message, file=keeper.path, line=keeper.line)


def _is_about(keeper: Keeper, engine: Engine) -> bool:
    """Whether a backup is one of the stack that an engine belongs to: it lies above or below it, or beside the folder that only keeps the compose files."""
    folder, own = posixpath.dirname(keeper.path), engine.folder
    while posixpath.basename(own) in ONLY_KEEPS:
        own = posixpath.dirname(own)
    return _below(folder, own) or _below(engine.folder, folder)


def _below(folder: str, ancestor: str) -> bool:
    return not ancestor or folder == ancestor or folder.startswith(f"{ancestor}/")


COVERAGE = Guardrail(
    id="backups.coverage",
    title="every engine that the stack starts and that keeps state is in some backup",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="A stack that moved to another engine goes on backing up the old one: every night is green, and a restore brings back that day.",
    remedy="dump the engine, or copy its volume, in the script that makes the backups",
    subjects=backups_and_engines,
    judge=judge_coverage,
)
