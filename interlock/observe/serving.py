"""How do two ends of a connection talk? Frames of JSON and bytes; and the loop of the far end, which answers one request after the other.

A frame is a line of JSON, `{"says": ..., "bytes": [length, ...]}`, and then the bytes that stand in it as `{"#": index}`. Both ends use this module;
`interlock.observe.far` sends it over, so it needs only the standard library of Python 3.6 and `interlock.observe.eyes`.

The far end ends itself when its input ends, and when it has heard nothing for `SILENCE` seconds: nobody leads it any more. The near end says `alive` all
the while, so that a connection that is cut without a word is found out, and what the far end holds (a lock) is free again.
"""

# Python 3.6: no future annotations, no walrus, quoted types.

import json
import os
import select
import signal
import time

from interlock.observe.eyes import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ALIVE = 5.0  # seconds between two signs of life
SILENCE = 30.0  # seconds without one after which the far end gives up
HEAD_LIMIT = 16 * 1024 * 1024  # bytes of a frame's line
BYTES_LIMIT = 512 * 1024 * 1024  # of what follows it
_READ = 256 * 1024


class Gone(Exception):
    """The other end is not there any more."""


def packed(message: "Any") -> "bytes":
    """A message as a frame; bytes may stand anywhere in it."""
    parts: list[bytes] = []
    head = json.dumps({"says": _plain(message, parts), "bytes": [len(part) for part in parts]})
    return b"".join([head.encode("ascii"), b"\n", *parts])


def _plain(value: "Any", parts: "list[bytes]") -> "Any":
    if isinstance(value, bytes):
        parts.append(value)
        return {"#": len(parts) - 1}
    if isinstance(value, dict):
        return {name: _plain(inner, parts) for name, inner in value.items()}
    return [_plain(inner, parts) for inner in value] if isinstance(value, (list, tuple)) else value


def _whole(value: "Any", parts: "list[bytes]") -> "Any":
    if isinstance(value, dict):
        return parts[value["#"]] if list(value) == ["#"] else {name: _whole(inner, parts) for name, inner in value.items()}
    return [_whole(inner, parts) for inner in value] if isinstance(value, list) else value


class Frames:
    """Takes what was read, in whatever pieces it came, and gives whole messages."""

    def __init__(self) -> "None":
        self._read = bytearray()

    def feed(self, data: "bytes") -> "None":
        """More bytes."""
        self._read += data

    def next(self) -> "Any":
        """The next message, None until it is whole. Raises ValueError for what is no frame."""
        end = self._read.find(b"\n")
        if end < 0:
            if len(self._read) > HEAD_LIMIT:
                raise ValueError("a frame without an end")
            return None
        head = _head(bytes(self._read[:end]))
        if sum(head["bytes"]) > BYTES_LIMIT:
            raise ValueError("a frame that is too large")
        at, parts = end + 1, []
        if len(self._read) < at + sum(head["bytes"]):
            return None
        for size in head["bytes"]:
            parts.append(bytes(self._read[at : at + size]))
            at += size
        del self._read[:at]
        try:
            return _whole(head["says"], parts)
        except (IndexError, TypeError) as error:
            raise ValueError("a frame without its bytes") from error


def _head(line: "bytes") -> "dict[str, Any]":
    try:
        head = json.loads(line.decode("ascii"))
    except RecursionError as error:
        raise ValueError("a frame that is nested too deeply") from error
    sizes = head["bytes"] if isinstance(head, dict) and set(head) == {"says", "bytes"} else None
    if not isinstance(sizes, list) or not all(type(size) is int and size >= 0 for size in sizes):
        raise ValueError("no frame")
    return head  # type: ignore[no-any-return]


class Wire:
    """The far end of a connection: two descriptors."""

    def __init__(self, source: "int", sink: "int") -> "None":
        self._source = source
        self._sink = sink
        self._frames = Frames()
        self._heard = time.monotonic()
        os.set_blocking(sink, False)

    def receive(self) -> "dict[str, Any]":
        """The next message that is more than a sign of life. Raises Gone."""
        while True:
            message = self.poll(SILENCE)
            if message is not None:
                return message

    def poll(self, seconds: "float") -> "dict[str, Any] | None":
        """A message that came, or comes within so many seconds; None when none did. Raises Gone."""
        message = self._next()
        if message is None and select.select([self._source], [], [], seconds)[0]:
            self._hear()
            message = self._next()
        self._demand_heard()
        return message

    def _hear(self) -> "None":
        data = os.read(self._source, _READ)
        if not data:
            raise Gone("the connection has ended")
        self._heard = time.monotonic()
        self._frames.feed(data)

    def _demand_heard(self) -> "None":
        if time.monotonic() - self._heard >= SILENCE:
            raise Gone(f"nothing was heard for {SILENCE:.0f} s")

    def _next(self) -> "dict[str, Any] | None":
        """The next message in what was read already, signs of life left out."""
        try:
            while True:
                message = self._frames.next()
                if message is None or "alive" not in message:
                    return message
        except ValueError as error:
            raise Gone(str(error)) from error

    def send(self, message: "Any") -> "None":
        """Say something, however long the near end takes to listen, as long as it says that it is there. Raises Gone."""
        rest = memoryview(packed(message))
        try:
            while rest:
                heard, taken, _ = select.select([self._source], [self._sink], [], SILENCE)
                if heard:
                    self._hear()
                if taken:
                    rest = rest[self._write(rest) :]
                self._demand_heard()
        except OSError as error:
            raise Gone("nobody listens") from error

    def _write(self, rest: "memoryview") -> "int":
        try:
            return os.write(self._sink, rest)
        except BlockingIOError:
            return 0


def serve(wire: "Wire", answering: "Any") -> "None":
    """Answer requests until nobody asks any more. Methods that `answering.TALKS` names get the wire, to say and to hear more while they work."""

    def leave(_number: "int", _frame: "Any") -> "None":
        raise Gone("told to end")

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)  # a connection's end is seen by its input's end
    try:
        wire.send({"ready": True})
        while True:
            message = wire.receive()
            if "ask" in message:
                wire.send(_answer(wire, answering, message["ask"], message["with"]))
    except Gone:
        return


def _answer(wire: "Wire", answering: "Any", name: "str", arguments: "list[Any]") -> "dict[str, Any]":
    try:
        if name.startswith("_") or not hasattr(answering, name):
            return {"wrong": f"nothing here answers to {name}"}
        said = getattr(answering, name)(*([wire] if name in getattr(answering, "TALKS", ()) else []), *arguments)
    except Gone:
        raise
    except Refused as refused:
        return {"refused": [refused.what, refused.where, refused.why, refused.remedy]}
    except OSError as error:
        return {"error": [error.errno, error.strerror or str(error), os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else None]}
    except Exception as error:
        return {"wrong": f"{type(error).__name__}: {error}"}
    return {"answer": said}
