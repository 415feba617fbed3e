"""How is an `expect:` entry looked at? Files through the host's one probe; ports, HTTP, commands and SQL from where interlock runs."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from typing import Any

from interlock.config.models import Expect, ExpectHttp, Site
from interlock.config.scalars import LOCAL
from interlock.errors import CouldNotLook
from interlock.facts.expect import CommandSeen, FileSeen, HttpSeen, PortSeen, SqlSeen
from interlock.facts.looks import Look, ReadFile, Stat, User
from interlock.nouns import dataclass
from interlock.observe.postgres import Access, reading
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject

BODY_LIMIT = 1024 * 1024
STDERR_TAIL = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One entry that may need time to settle: `look` looks afresh each time."""

    look: Callable[[], Any]
    attempts: int
    every: float


def expectation(guardrail_id: str, world: World, subject: Subject) -> Expectation:
    """The entry behind a subject, with its own patience."""
    entry = world.site.expect[subject.name]
    return Expectation(look=lambda: OBSERVERS[guardrail_id].see(world, subject), attempts=entry.attempts, every=entry.every)


def _entry(world: World, subject: Subject) -> Expect:
    entry = world.site.expect[subject.name]
    if entry.kind != "file":
        require_here(entry.host, f"{entry.kind} expectations are", where=subject.name)
    return entry


def require_here(host: str, what: str, *, where: str) -> None:
    """Raises `CouldNotLook` for what should be looked at from another host: the probe there opens no connections."""
    if host != LOCAL:
        remedy = "run interlock on that host, or write a check of your own with its `host` fixture"
        raise CouldNotLook(f"{what} looked at from this machine only", where=where, remedy=remedy)


def _file_looks(site: Site, subject: Subject) -> Iterable[Look]:
    wanted = site.expect[subject.name].file
    assert wanted is not None
    yield Stat(wanted.path)
    if wanted.owner is not None:
        yield User(wanted.owner)
    if wanted.contains is not None:
        yield ReadFile(wanted.path)


def see_file(world: World, subject: Subject) -> FileSeen:
    """The file of an entry. Raises `CouldNotLook`."""
    wanted, facts = _entry(world, subject).file, world.host(subject.host)
    assert wanted is not None
    seen = facts.stat(wanted.path)
    return FileSeen(
        path=wanted.path,
        seen=seen,
        mode=wanted.mode,
        owner=wanted.owner,
        owner_uid=facts.uid(wanted.owner) if wanted.owner is not None else None,
        contains=wanted.contains,
        content=facts.read(wanted.path) if wanted.contains is not None and seen.present else None,
    )


def see_port(world: World, subject: Subject) -> PortSeen:
    """Whether a TCP connection is accepted. Raises `CouldNotLook` when the name does not resolve."""
    entry = _entry(world, subject)
    wanted = entry.port
    assert wanted is not None
    host, _, port = wanted.address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=entry.timeout).close()
    except socket.gaierror as error:
        raise CouldNotLook(f"{host} does not resolve: {error.strerror}", where=subject.name, remedy="correct the address, or the resolver") from error
    except OSError as error:
        return PortSeen(address=wanted.address, accepted=False, listening=wanted.listening, how=f"does not accept connections ({error.strerror or error})")
    return PortSeen(address=wanted.address, accepted=True, listening=wanted.listening, how="accepts connections")


def see_http(world: World, subject: Subject) -> HttpSeen:
    """One GET, redirects not followed, no proxy of the environment. Raises `CouldNotLook` when the name does not resolve."""
    entry = _entry(world, subject)
    assert entry.http is not None
    return get(entry.http, timeout=entry.timeout, where=subject.name)


def get(wanted: ExpectHttp, *, timeout: float, where: str) -> HttpSeen:
    """What an address answers beside what is wanted of it. Raises `CouldNotLook` as `answer_of` does."""
    answer = answer_of(wanted.url, timeout=timeout, where=where)
    return HttpSeen(
        url=wanted.url,
        status=answer.status,
        body=answer.body,
        failure=answer.failure,
        expected_status=wanted.status,
        contains=wanted.contains,
        json_values=wanted.json_values,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """The first MiB of an answer. `failure` is set, and status 0, when there was none: refused, timed out, a certificate that does not verify."""

    status: int = 0
    body: bytes = field(default=b"", repr=False)
    failure: str = ""


def answer_of(url: str, *, timeout: float, where: str) -> HttpAnswer:
    """One GET without credentials from this machine, redirects not followed, no proxy and no .netrc of the environment, ended after `timeout` seconds.

    Raises `CouldNotLook` when the name does not resolve.
    """
    import requests

    with requests.Session() as session:
        session.trust_env = False
        try:
            with session.get(url, timeout=timeout, allow_redirects=False, stream=True) as response:
                return HttpAnswer(status=response.status_code, body=_body(response, time.monotonic() + timeout))
        except requests.RequestException as error:
            if "NameResolutionError" in repr(error):
                raise CouldNotLook(f"the host of {url} does not resolve", where=where, remedy="correct the URL, or the resolver") from error
            return HttpAnswer(failure=_in_words(error))
        except TimeoutError as error:
            return HttpAnswer(failure=str(error))


def _body(response: Any, deadline: float) -> bytes:
    """The first MiB of an answer, within the deadline however slowly it drips."""
    body = b""
    for chunk in response.iter_content(65536):
        body += chunk
        if time.monotonic() > deadline:
            raise TimeoutError("it answered too slowly")
        if len(body) >= BODY_LIMIT:
            break
    return body[:BODY_LIMIT]


def _in_words(error: Exception) -> str:
    """What went wrong, without the library's nesting."""
    name = type(error).__name__
    for word, sentence in (("SSL", "its certificate does not verify"), ("Timeout", "timed out"), ("refused", "connection refused")):
        if word in name or word in repr(error):
            return sentence
    return name


def see_command(world: World, subject: Subject) -> CommandSeen:
    """Run the command of an entry, without a shell. Raises `CouldNotLook` when it cannot start or does not end in time."""
    entry = _entry(world, subject)
    wanted = entry.command
    assert wanted is not None
    try:
        done = subprocess.run(wanted.run, capture_output=True, timeout=entry.timeout, stdin=subprocess.DEVNULL, cwd=world.site.root, check=False)
    except FileNotFoundError as error:
        raise CouldNotLook(f"there is no program {wanted.run[0]}", where=subject.name, remedy="install it, or correct `run`") from error
    except subprocess.TimeoutExpired as error:
        raise CouldNotLook(
            f"{wanted.run[0]} did not end within {entry.timeout} s", where=subject.name, remedy="raise `timeout`, or look why it hangs"
        ) from error
    except OSError as error:
        raise CouldNotLook(f"{wanted.run[0]} could not be started: {error.strerror}", where=subject.name, remedy="correct `run`") from error
    return CommandSeen(
        argv=wanted.run,
        exit=done.returncode,
        stdout=done.stdout[:BODY_LIMIT].decode("utf-8", "replace"),
        stderr_tail=done.stderr[-STDERR_TAIL:].decode("utf-8", "replace").strip(),
        expected_exit=wanted.exit,
        stdout_contains=wanted.stdout_contains,
    )


def see_sql(world: World, subject: Subject) -> SqlSeen:
    """Run the query of an entry in a read-only transaction. Raises `CouldNotLook` for everything that keeps it from answering; never names the DSN."""
    entry = _entry(world, subject)
    wanted = entry.sql
    assert wanted is not None
    with reading(Access.of(world.environ, wanted.dsn_env, timeout=entry.timeout, where=subject.name)) as session:
        rows = session.rows(wanted.query.encode(), limit=2)
    return SqlSeen(query=wanted.query, rows=tuple(rows), value=wanted.value)


OBSERVERS: Mapping[str, Observer] = {
    "expect.file": Observer(looks=_file_looks, see=see_file),
    "expect.port": Observer(see=see_port),
    "expect.http": Observer(see=see_http),
    "expect.command": Observer(see=see_command),
    "expect.sql": Observer(see=see_sql),
}
