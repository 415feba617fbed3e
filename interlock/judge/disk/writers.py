"""Does everything in the state directory belong to those who write there? `interlock.observe.writers` brings the owners."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from interlock.config.models import Site
from interlock.facts.looks import OwnedFiles
from interlock.facts.writers import ITSELF, ROOT, ServiceUser, StateOwners
from interlock.verdicts import LIVE, Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, in_short

NAMES_SHOWN = 5


def state_directories(site: Site) -> Sequence[Subject]:
    """The state directory of a site that declares its disks: as it is declared itself, else the directory that the state disk is for."""
    if site.mounts is None:
        return []
    return [Subject(name="state", host=(site.state_dir or site.mounts.state).host)]


def judge_writers(state: StateOwners) -> Held | Broken | Unproven:
    """Held when every entry below the directory belongs to a declared writer, or where none is declared to its owner or to a service's user."""
    writers = state.writers
    details = (*_unknown(state), *(_owner(state, writers, owned) for owned in state.owners if state.below(owned)), *_unseen(state))
    bad = [detail for detail in details if detail.outcome is Outcome.BROKEN]
    unproven = [detail for detail in details if detail.outcome is Outcome.UNPROVEN]
    if bad:
        return Broken(in_short(bad), remedy=_remedy(state, writers), details=details)
    if unproven:
        return Unproven(in_short(unproven), remedy=_look_yourself(state, writers), details=details)
    shares = ", ".join(_share(state, writers, owned) for owned in state.owners if state.below(owned))
    return Held(f"{state.path}: {shares}" if shares else f"{state.path} is empty, and writes there: {', '.join(writers.values())}", details)


def _share(state: StateOwners, writers: Mapping[int, str], owned: OwnedFiles) -> str:
    return f"{_entries(state.below(owned))} of {writers[owned.uid]}{_number(writers[owned.uid], owned.uid)}"


def _number(who: str, uid: int) -> str:
    return "" if who.endswith(f"uid {uid}") else f" (uid {uid})"


def _entries(count: int) -> str:
    return "one entry" if count == 1 else f"{count:,} entries"


def _named(uid: int) -> str:
    return "root" if uid == ROOT else f"uid {uid}"


def _owner(state: StateOwners, writers: Mapping[int, str], owned: OwnedFiles) -> Detail:
    what, count = f"uid {owned.uid}", state.below(owned)
    if owned.uid in writers:
        return Detail(what=what, outcome=Outcome.HELD, message=f"{_share(state, writers, owned)} below {state.path}")
    names = [name for name in owned.names if name != ITSELF]
    more = f" and {count - NAMES_SHOWN:,} more" if count > NAMES_SHOWN else ""
    said = f"{_entries(count)} of {_named(owned.uid)} below {state.path}: {', '.join(names[:NAMES_SHOWN])}{more}"
    doubt = _doubt(state, writers)
    if doubt:
        return Detail(what=what, outcome=Outcome.UNPROVEN, kind="nobody-knows", message=f"{said}; {doubt}")
    those = ", ".join(f"{who}{_number(who, uid)}" for uid, who in sorted(writers.items())) or "nobody that is known"
    file = f"{state.path}/{names[0]}" if names else state.path
    return Detail(what=what, outcome=Outcome.BROKEN, kind="another-owner", value=count, file=file, message=f"{said}; writers are {those}")


def _doubt(state: StateOwners, writers: Mapping[int, str]) -> str:
    """Why an owner who is no known writer may be one; empty when that cannot be."""
    if state.declared is not None:
        return "a declared writer is unknown there, and may be that one" if None in state.declared.values() else ""
    if hidden := [user for user in state.services if user.uid is None]:
        return f"the user of {_who(hidden)} could not be seen ({hidden[0].unseen}), and may be that one"
    if privileged := [user for user in state.services if user.uid == ROOT]:
        return f"{_who(privileged)} starts as root, and may write as anybody"
    return "" if writers else f"{state.path} belongs to root, and nobody says who else writes there"


def _who(users: Sequence[ServiceUser]) -> str:
    return ", ".join(user.service for user in users)


def _unknown(state: StateOwners) -> Iterator[Detail]:
    for name, uid in (state.declared or {}).items():
        if uid is None:
            yield Detail(what=name, outcome=Outcome.UNPROVEN, kind="unknown-user", message=f"the declared writer {name} is no user of that host")


def _unseen(state: StateOwners) -> Iterator[Detail]:
    for place in state.unread:
        yield Detail(what=place.partition(":")[0], outcome=Outcome.UNPROVEN, kind="not-looked", message=f"{state.path}: {place}")
    if not state.complete:
        said = f"{state.path} has more entries than are counted, and whom the others belong to was not looked at"
        yield Detail(what="the others", outcome=Outcome.UNPROVEN, kind="not-looked", message=said)


def _remedy(state: StateOwners, writers: Mapping[int, str]) -> str:
    """Find the second writer first: what it owns again tomorrow is no better for a chown today."""
    to = str(next(iter(writers))) if len(writers) == 1 else "OWNER"
    foreign = [owned.uid for owned in state.owners if state.below(owned) and owned.uid not in writers]
    commands = [f"`sudo find {shlex.quote(state.path)} -mindepth 1 -uid {uid} ! -name lost+found -exec chown -h {to} {{}} +`" for uid in foreign]
    meant = "or name it in `state_dir.writers`, where that is meant"
    return f"find what writes there as that user (a cron job, an `exec` as root) and end it; stop the stack; {'; '.join(commands)}; {meant}"


def _look_yourself(state: StateOwners, writers: Mapping[int, str]) -> str:
    others = "".join(f" ! -uid {uid}" for uid in sorted(writers))
    become = "set `become: sudo -n` for this host, or " if state.unread else ""
    return f"name who writes there in `state_dir.writers`; {become}look yourself: `sudo find {shlex.quote(state.path)}{others} -ls`"


TWO_WRITERS = Guardrail(
    id="mounts.two_writers",
    title="everything in the state directory belongs to those who write there",
    severity=Severity.HIGH,
    when=LIVE,
    rationale="A write-ahead log or a key that root left behind cannot be written by the service: it stops with an error, or goes on without it.",
    remedy="end the second writer, stop the stack, and give the files to the service's user",
    subjects=state_directories,
    judge=judge_writers,
)
