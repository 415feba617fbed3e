"""Which hosts does an action act on, and how does it get at them while it holds their locks? This machine in process, others over one session each.

Every host is locked before anything is done to any of them, and stays locked until the action has ended. Who loses a host's lock, by losing the connection
or because somebody removed its file, does no further step there; an undo alone connects again, and takes the lock again first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import assert_never

from interlock.act import flocks
from interlock.act.hands import Hands
from interlock.act.lock import NOBODY_KNOWN, Holder
from interlock.act.programs import GRACE
from interlock.config.models import Site
from interlock.config.scalars import LOCAL
from interlock.errors import CouldNotLook, LockHeld
from interlock.gate.journal import Spawned
from interlock.gate.plan import (
    ApprovalPlan,
    BackupPlan,
    CommandPlan,
    ComposePlan,
    EndpointPlan,
    EnvPatchPlan,
    FilesPlan,
    GatePlan,
    Plan,
    StepPlan,
    VerifyPlan,
)
from interlock.observe.eyes import HERE, Eyes, Refused
from interlock.observe.serving import SILENCE

_AGAIN = SILENCE + 2 * GRACE + 5  # seconds until a far end that nobody leads any more has ended its program and let go of its lock


def hosts_of(step: StepPlan) -> frozenset[str]:
    """The hosts that a step acts on; none for one that only looks or waits."""
    match step:
        case BackupPlan():
            return frozenset({LOCAL})
        case FilesPlan() | EnvPatchPlan():
            return frozenset(file.host for file in step.files)
        case ComposePlan() | CommandPlan():
            return frozenset({step.host})
        case EndpointPlan():
            return hosts_of(step.switch)
        case VerifyPlan() | GatePlan() | ApprovalPlan():
            return frozenset()
        case _:
            assert_never(step)


def host_of(step: StepPlan) -> str:
    """The one host that the program of a step runs on."""
    return next(iter(hosts_of(step)), LOCAL)


def hosts_of_plan(plan: Plan) -> Sequence[str]:
    """The hosts that a plan acts on, in the order of their names."""
    return sorted(frozenset().union(*map(hosts_of, plan.steps)))


def lock_name(site: str) -> str:
    """What the lock of a site is called in its directory."""
    return f"interlock-{site}"


def local_locks(site: Site) -> Sequence[str]:
    """The directories that hold this machine's lock, empty for the usual one: those of all its names, so that whoever uses one of them is seen."""
    names = [name for name, host in site.hosts.items() if host.ssh is None] or [LOCAL]
    return sorted({site.host(name).lock or "" for name in names})


def local_holder(site: Site) -> Holder | None:
    """Who works on this machine, None when nobody does. Asks no other host. Raises LockHeld when the lock cannot be seen at all."""
    for directory in local_locks(site):
        if not directory or Path(directory).exists():
            with _explained(LOCAL, directory):
                said = flocks.holder(directory, lock_name(site.site))
            if said is not None:
                return Holder.parse(said) or NOBODY_KNOWN
    return None


@contextmanager
def _explained(host: str, directory: str) -> Iterator[None]:
    """Whatever keeps the lock from being taken, as the one error that says so: nothing was applied."""
    why = "without it nobody can know that no other action is under way"
    try:
        yield
    except Refused as error:
        shown = ": ".join(part for part in (error.what, error.why) if part)
        raise LockHeld(f"the lock of {host} cannot be taken: {shown}", where=error.where or directory, why=why, remedy=error.remedy) from error
    except OSError as error:
        remedy = f"make room, and let this user write there; or name another directory as the `lock:` of {host}"
        raise LockHeld(f"the lock of {host} cannot be taken: {error.strerror}", where=directory, why=why, remedy=remedy) from error
    except CouldNotLook as error:
        raise LockHeld(f"the lock of {host} cannot be taken: {error.what}", where=error.where, why=error.why or why, remedy=error.remedy) from error


class Reach:
    """The hosts of an action. Without a site: this machine alone, and no lock."""

    def __init__(self, site: Site | None = None, holder: Holder = NOBODY_KNOWN) -> None:
        self._site = site
        self._holder = holder
        self._hands: dict[str, Hands] = {} if site is not None else {LOCAL: Hands()}
        self._left: dict[str, Spawned] = {}

    def now(self, host: str) -> Hands:
        """The host as it is held now, for a step. Raises LockHeld when it is not held, or not any more."""
        hands = self._hands.get(host)
        why = hands.lost() if hands is not None else "the plan's hosts are locked when it begins, and this one was not"
        if hands is None or why:
            raise LockHeld(f"the lock of {host} is lost", where=host, why=why, remedy="nothing more is done there; see what happened to it, then resume")
        return hands

    def eyes(self, host: str) -> Eyes:
        """The eyes of a host. This machine is looked at also where nothing is done to it. Raises LockHeld."""
        return HERE if host == LOCAL and host not in self._hands else self.now(host)

    def anew(self, host: str) -> Hands:
        """The host for an undo. Where its lock is lost it is taken again, over another connection where that is gone, and what it left running is ended.

        Raises LockHeld.
        """
        hands = self._hands.get(host)
        if hands is None or hands.lost():
            if hands is not None:
                del self._hands[host]
                hands.release()
            self._take(host, patience=_AGAIN if hands is not None else 0)
        left = self._left.get(host)
        if left is not None and not self.now(host).end(left.pid, left.started, left.boot):
            raise LockHeld(f"a program on {host} does not end", where=f"process {left.pid}", remedy="end it yourself, then roll back")
        self._left.pop(host, None)
        return self.now(host)

    def demand_held(self) -> None:
        """Every lock is held still. Raises LockHeld."""
        for host in self._hands:
            self.now(host)

    def leaves(self, host: str, spawned: Spawned | None) -> None:
        """What runs on a host, None once it is known to have ended."""
        if spawned is None:
            self._left.pop(host, None)
        else:
            self._left[host] = spawned

    def take(self, hosts: Sequence[str]) -> None:
        """Lock all these hosts. Raises LockHeld, at the first that somebody else has, or that cannot be reached."""
        for host in hosts:
            self._take(host, patience=0)

    def _take(self, host: str, *, patience: float) -> None:
        if self._site is None:
            raise LockHeld(f"{host} is not locked", where=host, why="only hosts of a site are", remedy="declare it below `hosts:`")
        declared = self._site.host(host)
        directories = [declared.lock or ""] if declared.ssh is not None else local_locks(self._site)
        with _explained(host, declared.lock or "its usual directory"):
            hands = self._reach(host)
            try:
                for directory in directories:
                    self._lock(hands, host, directory, patience)
            except BaseException:
                hands.release()
                raise
        self._hands[host] = hands

    def _reach(self, host: str) -> Hands:
        """Raises CouldNotLook."""
        assert self._site is not None
        declared = self._site.host(host)
        if declared.ssh is None:
            return Hands()
        from interlock.act.far_hands import connect  # only an action on other hosts pays for it

        return connect(host, declared, self._site.root)

    def _lock(self, hands: Hands, host: str, directory: str, patience: float) -> None:
        assert self._site is not None
        said = hands.lock(directory, lock_name(self._site.site), self._holder.to_bytes(host), patience)
        if said is not None and not any(said == self._holder.to_bytes(other) for other in self._hands):  # one machine may have two names
            raise LockHeld(
                f"{host} is locked: {Holder.parse(said) or 'the holder has not said who it is'}",
                where=f"{directory or 'its usual directory'}/{lock_name(self._site.site)}.lock",
                remedy="wait until it has ended; `interlock status`, in the folder of whoever began it, says how far it is",
            )

    def release(self) -> None:
        """Let others in everywhere."""
        while self._hands:
            self._hands.popitem()[1].release()


@contextmanager
def reaching(site: Site, plan: Plan, holder: Holder) -> Iterator[Reach]:
    """The hosts of a plan, locked while the block runs. Raises LockHeld."""
    reach = Reach(site, holder)
    try:
        reach.take(hosts_of_plan(plan))
        yield reach
    finally:
        reach.release()
