"""Which guardrails will be unproven here, and what exactly changes that? Looks as a gate would, judges nothing out loud, changes nothing."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from interlock.config.models import Site
from interlock.errors import CouldNotLook, PlanNotNamed
from interlock.gate.required import absence, asked, with_subjects
from interlock.judge import catalogue, guarded
from interlock.nouns import dataclass
from interlock.observe.hosts import observe
from interlock.observe.tree import Tree
from interlock.observe.world import World, looks_for, observer
from interlock.verdicts import Guardrail, NullSink, Outcome, Subject, When, settle

GATES = frozenset({When.STATIC, When.PREFLIGHT, When.POSTFLIGHT, When.APPLY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """One thing that keeps a guardrail or a command from working here, and the line that changes it."""

    what: str
    why: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}\n    {self.why}\n    -> {self.remedy}"


def doctor(site: Site, action: str | None, environ: Mapping[str, str]) -> tuple[str, bool]:
    """The report, and whether everything that the gates ask can be looked at from here."""
    unproven = list(_unproven(site, action, environ))
    tools = list(_missing_tools(site))
    lines = (
        [f"{len(unproven)} of the guardrails that {site.site} asks will be unproven here:", *map(str, unproven)]
        if unproven
        else [f"Everything that {site.site} asks can be looked at from here."]
    )
    lines += ["", "Commands that will not work yet:", *map(str, tools)] if tools else []
    return "\n".join(lines), not unproven


def _unproven(site: Site, action: str | None, environ: Mapping[str, str]) -> Iterator[Lack]:
    """What cannot be looked at for an action; without one, for any action of the site."""
    wanted: dict[tuple[str, str], tuple[Guardrail, Subject]] = {}
    for one in (None, *site.actions) if action is None else (action,):
        guardrails = asked(site, catalogue(), GATES, one)
        wanted |= {(guardrail.id, subject.id): (guardrail, subject) for guardrail, subject in with_subjects(site, guardrails, GATES, one)}
    with tempfile.TemporaryDirectory(prefix="interlock-doctor-") as spool:
        hosts = observe(site, looks_for(site, wanted.values()), Path(spool))
        for guardrail, subject in wanted.values():
            gates = (subject.when or guardrail.when) & GATES
            world = World(site=site, gates=gates, tree=Tree(site.root), hosts=hosts, environ=environ)
            lack = _look(world, guardrail, subject)
            if lack is not None:
                yield lack
    for guardrail in asked(site, catalogue(), GATES, action):
        if not guardrail.subjects_when(site, GATES, action):
            missing = absence(site, guardrail)
            if missing.outcome is Outcome.UNPROVEN:
                yield Lack(what=guardrail.id, why=missing.message, remedy=missing.remedy)


def _look(world: World, guardrail: Guardrail, subject: Subject) -> Lack | None:
    """What is missing for one subject; None when it can be looked at, whatever is found."""
    what = f"{guardrail.id} [{subject.id}]"
    try:
        settled = settle(guarded(guardrail.judge(observer(guardrail).see(world, subject))), NullSink())
    except PlanNotNamed:  # there is nothing to look at before somebody has made a plan
        return None
    except CouldNotLook as error:
        return Lack(what=what, why=error.sentence, remedy=error.remedy)
    if settled.tally.unproven:
        return Lack(what=what, why=settled.message, remedy=settled.remedy)
    return None


def _missing_tools(site: Site) -> Iterator[Lack]:
    """Programs that this site's actions and rules need."""
    if site.actions and shutil.which("ssh-keygen") is None:
        yield Lack(what="approve, apply", why="there is no ssh-keygen, which signs and checks approvals", remedy="apt-get install openssh-client")
    if any(step.backup for action in site.actions.values() for step in action.steps) and shutil.which("tar") is None:
        yield Lack(what="backup steps", why="there is no tar", remedy="apt-get install tar")
    if any(host.ssh for host in site.hosts.values()) and shutil.which("ssh") is None:
        yield Lack(what="every host with ssh", why="there is no ssh", remedy="apt-get install openssh-client")
    if (site.root / "checks").is_dir() and not _importable("testinfra"):
        yield Lack(
            what="checks/", why="testinfra is not installed: your checks have no `host` fixture", remedy=f"{sys.executable} -m pip install 'interlock[hosts]'"
        )


def _importable(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None
