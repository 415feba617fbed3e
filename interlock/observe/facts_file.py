"""How are facts kept for later? One JSON file with every answer and whole walks, written and read as a stream, whose digest says that nobody touched it.

It is ordinary JSON with one value a line, so that a million files need no memory; the last line is the sha256 over all lines before it:

    {"schema":"interlock/facts/1","site":{...},"hosts":[
    {"host":"local","taken_at":...,"user":...,"answers":[
    [look,answer],
    [look,answer]
    ],"walks":[
    {"root":"/backups","listings":[
    listing,
    listing
    ]}
    ]}
    ],
    "sha256":"sha256:..."}
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from interlock.config.models import Site
from interlock.errors import ConfigError, CouldNotLook, EvidenceError
from interlock.facts.looks import (
    Answer,
    EngineAnswer,
    ExamineAnswer,
    FailedLook,
    FolderAnswer,
    HostFacts,
    Listing,
    Look,
    MountsAnswer,
    Walk,
)
from interlock.observe import probe, wire
from interlock.observe.reply import open_private, read_listings

SCHEMA = "interlock/facts/1"
LINE_LIMIT = 1024 * 1024 * 1024
_TRAILER = b'"sha256":"sha256:%s"}\n'


def save(path: Path, facts: Mapping[str, HostFacts | CouldNotLook], site: Site, *, redact: Callable[[bytes], bytes] = lambda content: content) -> str:
    """Write the facts of all hosts, walks whole, and return the `sha256:<hex>` of the file. It is private, and there only when it is complete.

    `redact` is applied to every content: files, mount tables, what foreign hosts said. Raises EvidenceError when it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open_private(temporary) as stream:
            digest = _write(_Digested(stream), facts, site, redact)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise EvidenceError("the facts could not be written", where=str(path), why=str(error), remedy="make room, or name another file") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return digest


class _Digested:
    """A stream that knows the sha256 of what went through it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._sha256 = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Write and count."""
        self._stream.write(data)
        self._sha256.update(data)

    def items(self, values: Iterable[bytes]) -> None:
        """The items of a JSON array, a line each."""
        separator = b"\n"
        for value in values:
            self.write(separator + value)
            separator = b",\n"

    def hexdigest(self) -> bytes:
        """Of everything until now."""
        return self._sha256.hexdigest().encode("ascii")


def _write(out: _Digested, facts: Mapping[str, HostFacts | CouldNotLook], site: Site, redact: Callable[[bytes], bytes]) -> str:
    described = {"name": site.site, "file": site.source, "sha256": site.digest}
    out.write(_opened({"schema": SCHEMA, "site": described, "hosts": []}))
    separator = b"\n"
    for name in sorted(facts):
        out.write(separator)
        _write_host(out, name, facts[name], redact)
        separator = b",\n"
    out.write(b"\n],\n")
    out.write(_TRAILER % out.hexdigest())
    return "sha256:" + out.hexdigest().decode("ascii")


def _write_host(out: _Digested, name: str, facts: HostFacts | CouldNotLook, redact: Callable[[bytes], bytes]) -> None:
    if isinstance(facts, CouldNotLook):
        said = [redact(part.encode("utf-8", "replace")).decode("utf-8", "replace") for part in (facts.what, facts.where, facts.why, facts.remedy)]
        out.write(_json({"host": name, "could_not_look": said}))
        return
    out.write(_opened({"host": name, "taken_at": facts.taken_at, "user": facts.user, "answers": []}))
    out.items(_json([wire.look_to_json(look), wire.answer_to_json(look, _redacted(answer, redact))]) for look, answer in facts.answers.items())
    out.write(b'\n],"walks":[')
    separator = b"\n"
    for look, answer in facts.answers.items():
        if isinstance(look, Walk) and not isinstance(answer, FailedLook):
            out.write(separator)
            _write_walk(out, facts, look.root)
            separator = b",\n"
    out.write(b"\n]}")


def _write_walk(out: _Digested, facts: HostFacts, root: str) -> None:
    """A walk that breaks off is written as one that failed: half of it is no answer later either."""
    out.write(_opened({"root": root, "listings": []}))
    failed = b""
    try:
        out.items(_json(probe.pack(listing)) for listing in facts.walk(root))
    except CouldNotLook as error:
        failed = b',"failed":' + _json(["unsettled", error.what])
    out.write(b"\n]" + failed + b"}")


def _redacted(answer: Answer, redact: Callable[[bytes], bytes]) -> Answer:
    match answer:
        case bytes():
            return redact(answer)
        case MountsAnswer():
            return replace(answer, mountinfo=redact(answer.mountinfo))
        case FolderAnswer():
            return replace(answer, files={name: redact(content) for name, content in answer.files.items()})
        case EngineAnswer():
            return replace(answer, content=redact(answer.content))
        case ExamineAnswer():
            return ExamineAnswer(
                files=tuple(replace(file, manifest=_redacted_text(file.manifest, redact), fault=_redacted_text(file.fault, redact)) for file in answer.files)
            )
        case _:
            return answer


def _redacted_text(text: str, redact: Callable[[bytes], bytes]) -> str:
    return redact(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def _opened(value: dict[str, object]) -> bytes:
    """An object whose last value, an empty list, is left open."""
    return _json(value).removesuffix(b"]}")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load(path: Path) -> dict[str, HostFacts | CouldNotLook]:
    """The facts that `save` wrote, marked `replayed`; walks are read from the file when somebody asks for them.

    Raises ConfigError when the file is missing, no facts of this version, cut short, or does not fit its own digest.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            seen = os.fstat(stream.fileno())
            if not stat.S_ISREG(seen.st_mode):
                raise _no_facts(path, "it is no regular file")
            return _Reader(path, stream, seen).hosts()
    except OSError as error:
        raise ConfigError(
            "the facts could not be read", where=str(path), why=error.strerror or str(error), remedy="name another file, or observe again"
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _no_facts(path, f"{type(error).__name__}: {error}") from error


def _no_facts(path: Path, why: str) -> ConfigError:
    return ConfigError(
        "this file holds no facts that can be replayed",
        where=str(path),
        why=why,
        remedy="name a file that `interlock facts --output FILE` wrote, as it wrote it",
    )


class _Reader:
    """The lines of a facts file, read once from the first to the last."""

    def __init__(self, path: Path, stream: BinaryIO, seen: os.stat_result) -> None:
        self._path, self._stream, self._seen = path, stream, seen
        self._sha256 = hashlib.sha256()
        self._offset = 0

    def hosts(self) -> dict[str, HostFacts | CouldNotLook]:
        """All of them. Raises ValueError, KeyError or TypeError for what is no facts file."""
        header = self._open_object()
        if header["schema"] != SCHEMA:
            raise _no_facts(self._path, f"it is of schema {header['schema']!r:.80}, and this interlock reads {SCHEMA}")
        hosts = {}
        while not (line := self._line()).startswith(b"]"):
            name, facts = self._host(line)
            hosts[name] = facts
        trailer = _TRAILER % self._sha256.hexdigest().encode("ascii")
        if self._stream.readline(LINE_LIMIT) != trailer or self._stream.read(1):
            raise _no_facts(self._path, "its digest does not fit: it was changed or cut short")
        return hosts

    def _line(self) -> bytes:
        line = self._stream.readline(LINE_LIMIT)
        if not line.endswith(b"\n"):
            raise ValueError("it ends in the middle")
        self._sha256.update(line)
        self._offset += len(line)
        return line.rstrip(b",\n")

    def _open_object(self, line: bytes | None = None) -> dict[str, Any]:
        value = json.loads((self._line() if line is None else line) + b"]}")
        if not isinstance(value, dict):
            raise ValueError("it is no object")  # noqa: TRY004 (bad input, like all of it)
        return value

    def _host(self, line: bytes) -> tuple[str, HostFacts | CouldNotLook]:
        if line.endswith(b"}"):
            match json.loads(line):
                case {"host": str(name), "could_not_look": [str(what), str(where), str(why), str(remedy)]}:
                    return name, CouldNotLook(what, where=where, why=why, remedy=remedy)
                case other:
                    raise ValueError(f"no host: {other!r:.200}")
        match self._open_object(line):
            case {"host": str(name), "taken_at": str(taken_at), "user": str(user)}:
                answers = dict(self._answers())
                walks = self._walks(name, answers)
                return name, HostFacts(host=name, taken_at=taken_at, user=user, answers=answers, walks=walks, replayed=True)
            case other:
                raise ValueError(f"no host: {other!r:.200}")

    def _answers(self) -> Iterator[tuple[Look, Answer]]:
        """Those that this interlock asks for: of one of another make nothing is known, and whoever needs it hears that it was not looked at."""
        while not (line := self._line()).startswith(b"]"):
            look_value, answer_value = json.loads(line)
            with suppress(wire.UnknownLook):
                look = wire.look_from_json(look_value)
                yield look, wire.answer_from_json(look, answer_value)

    def _walks(self, name: str, answers: dict[Look, Answer]) -> Callable[[str], Iterator[Listing]]:
        places: dict[str, tuple[int, int]] = {}
        while not (line := self._line()).startswith(b"]"):
            root = self._open_object(line)["root"]
            start, count = self._offset, 0
            while not (line := self._line()).startswith(b"]"):
                count += 1
            places[root] = (start, count)
            match json.loads(b'{"listings":[' + line):
                case {"failed": [str(code), str(text)]}:
                    answers[Walk(root)] = FailedLook(code, text)
        path, seen = self._path, self._seen

        def walks(root: str) -> Iterator[Listing]:
            if root not in places:
                raise CouldNotLook(f"{root} was not walked", where=name, why="these facts were taken for other checks", remedy="observe again")
            if _identity(path.stat()) != _identity(seen):
                raise CouldNotLook(f"the facts in {path} were changed meanwhile", where=name, remedy="start again")
            return read_listings(path, places[root][1], where=name, offset=places[root][0])

        return walks


def _identity(seen: os.stat_result) -> tuple[int, ...]:
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns
