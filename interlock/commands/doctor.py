"""Which guardrails will be unproven here, and what exactly changes that? Looks as a gate would, judges nothing out loud, changes nothing."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import assert_never

from interlock.config.models import Site
from interlock.config.scalars import LOCAL
from interlock.errors import CouldNotLook, PlanNotNamed
from interlock.facts.engine import Engine as EngineFacts
from interlock.facts.looks import (
    Answer,
    Engine,
    EngineAnswer,
    Examine,
    FailedLook,
    HostFacts,
    List,
    Look,
    Mounts,
    Owners,
    OwnersAnswer,
    ReadFile,
    ReadFolder,
    Secret,
    Shadows,
    Space,
    Stat,
    User,
    Walk,
)
from interlock.gate.required import absence, asked, with_subjects
from interlock.judge import catalogue, guarded
from interlock.nouns import dataclass
from interlock.observe.hosts import observe
from interlock.observe.tree import Tree
from interlock.observe.world import World, looks_for, observer
from interlock.verdicts import Guardrail, NullSink, Outcome, Subject, When, settle

ROOT = "root"
FORBIDDEN = ("EACCES", "EPERM")
GATES = frozenset({When.STATIC, When.PREFLIGHT, When.POSTFLIGHT, When.APPLY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """One thing that keeps guardrails or commands from working here, and the line that changes it."""

    why: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack:
    """A guardrail that one subject or more of it cannot be looked at; a command has no subject."""

    guardrail: str
    subject: str = ""


def doctor(site: Site, action: str | None, environ: Mapping[str, str]) -> tuple[str, bool]:
    """The report, and whether everything that the gates ask can be looked at from here."""
    unproven = grouped(_unproven(site, action, environ))
    tools = grouped(_missing_tools(site))
    count = sum(map(len, unproven.values()))
    lines = [_counted(count, len(unproven), site.site), *_told(unproven)] if unproven else [f"Everything that {site.site} asks can be looked at from here."]
    lines += ["", "Commands that will not work yet:", *_told(tools)] if tools else []
    return "\n".join(lines), not unproven


def _counted(count: int, reasons: int, site: str) -> str:
    whole = (
        f"{count} of the guardrails that {site} asks will be unproven here" if count > 1 else f"One of the guardrails that {site} asks will be unproven here"
    )
    return f"{whole}, for {reasons} reasons:" if 1 < reasons < count else f"{whole}, all for one reason:" if reasons < count else f"{whole}:"


def grouped(lacks: Iterable[tuple[HeldBack, Lack]]) -> Mapping[Lack, Sequence[HeldBack]]:
    """Each lack once, with all that it holds back; the one that holds back most comes first."""
    found: dict[Lack, list[HeldBack]] = {}
    for held, lack in lacks:
        found.setdefault(lack, []).append(held)
    return dict(sorted(found.items(), key=lambda one: -len(one[1])))


def _told(lacks: Mapping[Lack, Sequence[HeldBack]]) -> Iterator[str]:
    """Why, what that holds back, and the line that changes it."""
    for lack, held in lacks.items():
        subjects: dict[str, list[str]] = {}
        for one in held:
            subjects.setdefault(one.guardrail, []).append(one.subject)
        names = [f"{name} [{', '.join(those)}]" if any(those) else name for name, those in subjects.items()]
        yield "\n".join((lack.why, *(f"    {name}" for name in names), f"    -> {lack.remedy}"))


def _unproven(site: Site, action: str | None, environ: Mapping[str, str]) -> Iterator[tuple[HeldBack, Lack]]:
    """What cannot be looked at for an action; without one, for any action of the site."""
    wanted: dict[tuple[str, str], tuple[Guardrail, Subject]] = {}
    for one in (None, *site.actions) if action is None else (action,):
        guardrails = asked(site, catalogue(), GATES, one)
        wanted |= {(guardrail.id, subject.id): (guardrail, subject) for guardrail, subject in with_subjects(site, guardrails, GATES, one)}
    with tempfile.TemporaryDirectory(prefix="interlock-doctor-") as spool:
        hosts = observe(site, looks_for(site, wanted.values()), Path(spool))
        worlds: dict[frozenset[When], World] = {}  # what one guardrail has resolved serves the next
        for guardrail, subject in wanted.values():
            gates = (subject.when or guardrail.when) & GATES
            world = worlds.setdefault(gates, World(site=site, gates=gates, tree=Tree(site.root), hosts=hosts, environ=environ))
            lack = _look(world, guardrail, subject)
            if lack is not None:
                yield HeldBack(guardrail=guardrail.id, subject=subject.id), lack
    for guardrail in asked(site, catalogue(), GATES, action):
        if not guardrail.subjects_when(site, GATES, action):
            missing = absence(site, guardrail)
            if missing.outcome is Outcome.UNPROVEN:
                yield HeldBack(guardrail=guardrail.id), Lack(why=missing.message, remedy=missing.remedy)


def _look(world: World, guardrail: Guardrail, subject: Subject) -> Lack | None:
    """What is missing for one subject; None when it can be looked at, whatever is found."""
    try:
        settled = settle(guarded(guardrail.judge(observer(guardrail).see(world, subject))), NullSink())
    except PlanNotNamed:  # there is nothing to look at before somebody has made a plan
        return None
    except CouldNotLook as error:
        why, remedy = error.sentence, error.remedy
    else:
        if not settled.tally.unproven:
            return None
        why, remedy = settled.message, settled.remedy
    return _of_the_host(world, observer(guardrail).looks(world.site, subject), subject.host) or Lack(why=why, remedy=remedy)


def _of_the_host(world: World, looks: Iterable[Look], host: str) -> Lack | None:
    """What a whole host lacks, where a look of this guardrail failed for it: the same for all guardrails that need it."""
    facts = world.hosts.get(host)
    if not isinstance(facts, HostFacts):
        return None
    barriers = {barrier for look in looks if (barrier := barrier_of(look, facts.answers.get(look), facts.user)) is not None}
    return next((_lack(barrier, facts) for barrier in Barrier if barrier in barriers), None)


class Barrier(Enum):
    """What keeps a whole host's probe from looking, the one that has to go first before the others."""

    PYTHON = "no python3"
    ENGINE = "the engine's socket is closed to the user"
    ROOT = "only root may look"


def barrier_of(look: Look, answer: Answer, user: str) -> Barrier | None:
    """What kept `user` from this look; None when nothing did, or something of the look's own: a path that is not there, a file that root may not read."""
    match answer:
        case FailedLook(code="no-tool", text=text) if "python3" in text and "this host's python3" not in text:
            return Barrier.PYTHON
        case FailedLook(code="engine-closed"):
            return Barrier.ENGINE
        case _ if user == ROOT:
            return None
        case FailedLook(code=code):
            return Barrier.ROOT if code in FORBIDDEN else None
        case OwnersAnswer(unread=unread):
            return Barrier.ROOT if any(code in place for place in unread for code in FORBIDDEN) else None
        case EngineAnswer(content=content) if isinstance(look, Engine):
            return Barrier.ROOT if any(one.closed for one in EngineFacts.parse(content, where=look.socket).containers) else None
        case _:
            return None


def _lack(barrier: Barrier, facts: HostFacts) -> Lack:
    """In words, with all that this user may not look at on that host."""
    host, user = facts.host, facts.user
    here = "" if host == LOCAL else f" on {host}"
    sudoers = f"{f'#{user}' if user.isdecimal() else user} ALL=(root) NOPASSWD: /usr/bin/sh"
    become = f"`become: sudo -n` below `hosts: {host}:` of the site file, and the line `{sudoers}` in /etc/sudoers.d/interlock{here}"
    match barrier:
        case Barrier.PYTHON:
            return Lack(why=f"{host} has no python3, and its shell cannot look at all of this", remedy=f"`sudo apt-get install python3`{here}, or its like")
        case Barrier.ENGINE:
            sockets = ", ".join(sorted(look.socket for look in facts.answers if isinstance(look, Engine)))
            group = f"`sudo usermod -aG docker {user}`{here} and a new login: that is as good as root, and shows no container from inside"
            return Lack(why=f"{host}: {user} may not use the engine at {sockets}", remedy=f"{become}; or {group}")
        case Barrier.ROOT:
            closed = [look for look, answer in facts.answers.items() if barrier_of(look, answer, user) is barrier]
            places = ", ".join(sorted({_place(look) for look in closed}))
            readable = "" if any(isinstance(look, Engine | Shadows) for look in closed) else f"; or let {user} read it"
            return Lack(why=f"{host}: {user} is not root, and may not look {places}", remedy=become + readable)
        case _:
            assert_never(barrier)


def _place(look: Look) -> str:
    """Where somebody was not let in."""
    match look:
        case Engine():
            return "into running containers (/proc/PID)"
        case Shadows():
            return "below mountpoints"
        case Mounts():
            return "at the mounts"
        case User():
            return "at users"
        case Walk() | Owners():
            return f"at all that is in {look.root}"
        case Examine():
            return f"into the backups in {look.folder}"
        case ReadFile() | Stat() | Space() | ReadFolder() | List() | Secret():
            return f"at {look.path}"
        case _:
            assert_never(look)


def _missing_tools(site: Site) -> Iterator[tuple[HeldBack, Lack]]:
    """Programs that this site's actions and rules need."""
    if site.actions and shutil.which("ssh-keygen") is None:
        yield (
            HeldBack(guardrail="approve, apply"),
            Lack(why="there is no ssh-keygen, which signs and checks approvals", remedy="apt-get install openssh-client"),
        )
    if any(step.backup for action in site.actions.values() for step in action.steps) and shutil.which("tar") is None:
        yield HeldBack(guardrail="backup steps"), Lack(why="there is no tar", remedy="apt-get install tar")
    if any(host.ssh for host in site.hosts.values()) and shutil.which("ssh") is None:
        yield HeldBack(guardrail="every host with ssh"), Lack(why="there is no ssh", remedy="apt-get install openssh-client")
    if (site.root / "checks").is_dir() and not _importable("testinfra"):
        yield (
            HeldBack(guardrail="checks/"),
            Lack(why="testinfra is not installed: your checks have no `host` fixture", remedy=f"{sys.executable} -m pip install 'interlock[hosts]'"),
        )


def _importable(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None
