"""May the services that use state write there, and does the configuration that they write lie where they can? `interlock.observe.state_inside` looks through
the namespaces of each running container."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from interlock.config.models import Site
from interlock.facts.state_inside import Cannot, ConfigInside, StateInside, StateWriters
from interlock.verdicts import LIVE, Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, in_short

RUNNING = "running"
_REMEDY = (
    "where mounts.nested_visible is broken, mend that first: the container shows another directory than the host;"
    " else give the directory on the host to the uid that the service runs as (chown, or chmod g+w for a group of its), and mount it read-write"
)


def running(site: Site) -> Sequence[Subject]:
    """The running containers, where the site names the engine of the host that the state lives on."""
    declared = site.state_dir
    return [Subject(name=RUNNING, host=declared.host)] if declared and site.host(declared.host).engine else []


def judge_writable(seen: StateWriters) -> Held | Broken | Unproven:
    """Held when the process of each container that uses state can write there, and one of them the configuration that the application writes."""
    if not seen.writers:
        said = f"no service in {seen.where} uses state: what it could write is seen of one that runs"
        return Unproven(said, remedy="start the stack, and ask again")
    mine = tuple(_writer(one) for one in seen.writers)
    able = tuple(one for one, detail in zip(seen.writers, mine, strict=True) if detail.outcome is Outcome.HELD)
    details = (*mine, *(detail for config in seen.configs for detail in _config(config, able)))
    bad = [detail for detail in details if detail.outcome is not Outcome.HELD]
    services = f"{len(mine)} service{'s' if len(mine) != 1 else ''} in {seen.where} can write {seen.expected}"
    counted = f"{len(able)} of {services}"
    if not bad:
        return Held(counted, details)
    broken = [detail for detail in bad if detail.outcome is Outcome.BROKEN]
    if broken:
        return Broken(f"{counted}: {in_short(broken)}", remedy=_REMEDY, details=details)
    return Unproven(f"nobody can tell whether {len(mine) - len(able)} of {services}: {in_short(bad)}", remedy=_not_seen(seen), details=details)


def _not_seen(seen: StateWriters) -> str:
    """What helps for those that nobody could see; one with another directory than the declared one has a rule of its own."""
    first = next((one for one in seen.writers if not one.wrong and (found := one.hindered_at(one.path)) and found.why is Cannot.UNKNOWN), None)
    if first is None:
        return "mend state_dir.services_agree, and run it again"
    helps = "set `become: sudo -n` for this host" if first.view is None else "where only an ACL can tell, `getfacl` of the directory says it"
    return f"{helps}; or ask the container: `docker exec {first.container} test -w {shlex.quote(first.path)} && echo yes`"


def _writer(one: StateInside) -> Detail:
    if one.wrong:
        said = f"{one.who}: {one.wrong}; see what state_dir.services_agree says of it"
        return Detail(what=one.who, outcome=Outcome.UNPROVEN, kind="another-directory", message=said)
    found = one.hindered_at(one.path)
    if found is None:
        return Detail(what=one.who, outcome=Outcome.HELD, message=f"{one.who} runs as {one.process}, and can write {one.path}")
    if found.why is Cannot.UNKNOWN:
        said = f"nobody could see whether {one.who} can write {one.path}: {found.said}"
        return Detail(what=one.who, outcome=Outcome.UNPROVEN, kind=found.why, message=said)
    return Detail(what=one.who, outcome=Outcome.BROKEN, kind=found.why, message=f"{one.who} runs as {one.process}, and cannot write {one.path}: {found.said}")


def _config(config: ConfigInside, writers: Sequence[StateInside]) -> Iterator[Detail]:
    """Only those that can write the state directory are asked; where none can, that is what is wrong. Nobody says which of them writes it: one is enough."""
    found = [(one, one.hindered_file(config.path)) for one in writers]
    if not found:
        return
    what = f"config {config.name}"
    able = next((one.who for one, hindered in found if hindered is None), None)
    if able is not None:
        yield Detail(what=what, outcome=Outcome.HELD, message=f"{able} can write {config.path}", file=config.path)
        return
    unknown = next(((one, hindered) for one, hindered in found if hindered and hindered.why is Cannot.UNKNOWN), None)
    one, hindered = unknown or found[0]
    assert hindered is not None  # nobody is able
    if unknown:
        said = f"nobody could see whether a service can write {config.path}: {hindered.said}"
        yield Detail(what=what, outcome=Outcome.UNPROVEN, kind=hindered.why, message=said, file=config.path)
        return
    said = f"no service that uses state can write {config.path}, which the application writes; {one.who} ({one.process}): {hindered.said}"
    yield Detail(what=what, outcome=Outcome.BROKEN, kind=f"config-{hindered.why}", message=said, file=config.path)


WRITABLE_BY_SERVICE = Guardrail(
    id="state_dir.writable_by_service",
    title="every service that uses state can write where its state lives",
    severity=Severity.HIGH,
    when=LIVE,
    rationale="A service that cannot write its state starts, answers, and loses what it is told; one that cannot save its configuration forgets each change.",
    remedy="give the state directory to the uid that the service runs as, and mount it read-write; keep what the application writes out of `:ro` directories",
    subjects=running,
    judge=judge_writable,
)
