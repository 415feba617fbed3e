"""What is there on each host of the site? One look round, everything at once: in process on this machine, through one connection on another.

An answer is complete or it is none: a host that breaks off, talks nonsense or takes too long is a `CouldNotLook` that says why and what would help.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from interlock.config.models import Site
from interlock.config.scalars import LOCAL
from interlock.errors import CouldNotLook
from interlock.facts.looks import Answer, Examine, HostFacts, Listing, Look, Owners, Walk
from interlock.observe import files, probe, wire
from interlock.observe.conversation import BUDGET_SHARE, Conversation, argv_for, payload, printable, why_no_answer
from interlock.observe.reply import Garbage, Reply, WalkFile, bytes_allowed, read_listings

AT_ONCE = 32  # hosts that are asked at the same time


def observe(site: Site, looks: Mapping[str, frozenset[Look]], spool: Path) -> dict[str, HostFacts | CouldNotLook]:
    """Make all looks, all hosts at once; one entry for each host that was asked for, in the order of their names.

    This machine is looked at in process, without a child, unless its host says `become` and we are not root. Walks of other hosts go to private files
    below `spool`, which must outlive the facts; walks of this machine are made when somebody asks for them.
    """
    distant = {name: _Asking(name, site, _ordered(looks[name]), spool) for name in looks if _from_outside(site, name)}
    try:
        for asking in distant.values():
            asking.start()
        return {name: distant[name].result() if name in distant else _look_here(name, site, _ordered(looks[name])) for name in sorted(looks)}
    except BaseException:
        for asking in distant.values():
            asking.give_up()
        raise


def _from_outside(site: Site, name: str) -> bool:
    """Whether a host is asked through a child process."""
    host = site.host(name)
    return host.ssh is not None or (host.become is not None and os.geteuid() != 0)


def _ordered(looks: frozenset[Look]) -> tuple[Look, ...]:
    """What may take long comes last, so that it takes no time from the others."""
    return tuple(sorted(looks, key=lambda look: (isinstance(look, Examine), isinstance(look, Owners), isinstance(look, Walk), repr(look))))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _look_here(name: str, site: Site, looks: Sequence[Look]) -> HostFacts | CouldNotLook:
    """In process: no child, nothing opened twice. A look that hangs costs at most a third of the host's time."""
    if name != LOCAL and name not in site.hosts:
        return CouldNotLook(f"the site declares no host {name}", where=site.source, remedy="add it below `hosts:`")
    limit = site.host(name).timeout
    taken_at, until = _now(), time.monotonic() + limit
    found = probe.answers([wire.look_to_json(look) for look in looks], lambda: min(limit / 3, until - time.monotonic()))
    answers = {look: wire.answer_of(look, one) for look, one in zip(looks, found, strict=True)}

    def walks(root: str) -> Iterator[Listing]:
        _require_walk(name, answers, root)
        return files.walk(root, step_limit=limit)

    return HostFacts(host=name, taken_at=taken_at, user=str(probe.header("")["user"]), answers=answers, walks=walks)


def _require_walk(name: str, answers: Mapping[Look, Answer], root: str) -> None:
    if Walk(root) not in answers:
        raise CouldNotLook(f"{root} was not walked", where=name, why="these facts were taken for other checks", remedy="observe again")


class _Asking:
    """One host that is asked through a child process, in a thread of its own."""

    _turns = threading.BoundedSemaphore(AT_ONCE)

    def __init__(self, name: str, site: Site, looks: Sequence[Look], spool: Path) -> None:
        self._name, self._host, self._root = name, site.host(name), site.root
        self._looks, self._spool = looks, spool
        self._nonce = secrets.token_hex(16)
        self._thread = threading.Thread(target=self._run, name=f"interlock asks {name}", daemon=True)
        self._conversation: Conversation | None = None
        self._given_up = False
        self._result: HostFacts | BaseException = CouldNotLook(f"host {name} was not asked")

    def start(self) -> None:
        """Ask, without waiting."""
        self._thread.start()

    def result(self) -> HostFacts | CouldNotLook:
        """Wait for the answer."""
        self._thread.join()
        if isinstance(self._result, HostFacts | CouldNotLook):
            return self._result
        raise self._result

    def give_up(self) -> None:
        """Nobody waits any more. It may just be beginning: then it ends itself."""
        self._given_up = True
        if self._conversation is not None:
            self._conversation.kill()

    def _run(self) -> None:
        with self._turns:
            try:
                self._result = self._ask()
            except BaseException as error:  # raised again where somebody waits
                self._result = error

    def _ask(self) -> HostFacts:
        reply = Reply(looks=self._looks, nonce=self._nonce, new_walk=self._new_walk)
        taken_at = _now()
        try:
            self._spool.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._talk(reply)
            reply.close()
        except BaseException as error:
            reply.discard()
            if isinstance(error, OSError):
                raise CouldNotLook(
                    f"what host {self._name} said could not be kept", where=str(self._spool), why=str(error), remedy="make room, and let this user write there"
                ) from error
            raise
        assert reply.header is not None
        return HostFacts(host=self._name, taken_at=taken_at, user=reply.header.user, answers=reply.answers, walks=self._walks(reply))

    def _talk(self, reply: Reply) -> None:
        """Hold the conversation. Raises `CouldNotLook` when the reply is not complete."""
        limit = self._host.timeout
        until = time.monotonic() + limit
        argv = argv_for(self._host, self._root)

        def hear(data: bytes) -> bool:
            reply.feed(data)
            return reply.complete

        try:
            conversation = Conversation(argv, dict(os.environ) | {"LC_ALL": "C"})
        except OSError as error:
            raise CouldNotLook(
                f"{argv[0]} could not be started", where=self._name, why=str(error.strerror), remedy=f"install {argv[0]} on this machine"
            ) from error
        with conversation:
            self._conversation = conversation
            if self._given_up:
                raise CouldNotLook(f"host {self._name} was not waited for")
            try:
                said = payload(self._looks, self._nonce, limit * BUDGET_SHARE)
                ended = conversation.hold(said, hear, until=until, limit=bytes_allowed(self._looks))
            except Garbage as garbage:
                raise self._garbage(garbage) from garbage
        if not reply.complete:
            raise why_no_answer(self._host, self._name, ended, noise=reply.noise, started=reply.header is not None)

    def _garbage(self, garbage: Garbage) -> CouldNotLook:
        return CouldNotLook(
            f"host {self._name} answered with something that is no answer",
            where=self._name,
            why=printable(str(garbage).encode("utf-8", "replace")),
            remedy="see what its shell prints when `ssh HOST true` is run: start files must be silent when no terminal is there",
        )

    def _new_walk(self, number: int) -> WalkFile:
        return WalkFile(self._spool / f"walk-{self._name}-{self._nonce[:8]}-{number}.jsonl")

    def _walks(self, reply: Reply) -> Callable[[str], Iterator[Listing]]:
        files_by_root = {reply.looks[number].root: walk for number, walk in reply.walks.items()}  # type: ignore[union-attr]

        def walks(root: str) -> Iterator[Listing]:
            _require_walk(self._name, reply.answers, root)
            return read_listings(files_by_root[root].path, files_by_root[root].listings, where=self._name)

        return walks
