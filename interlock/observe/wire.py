"""How do looks, answers and listings travel as JSON? One form for the probe's replies, for spooled walks and for saved facts.

`probe.py` writes it (`pack`, `jsonable`); here it is read, and whatever is not exactly it raises `ValueError`: nobody checks an answer a second time.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import partial
from itertools import repeat
from typing import Any, assert_never

from interlock.facts.looks import Answer, Entry, FailedLook, Listing, Look, Mounts, MountsAnswer, ReadFile, Stat, StatAnswer, User, Walk
from interlock.observe import probe

_NUMBERS = len(Entry._fields) - 3  # all but name, acl and target
_make_entry = partial(tuple.__new__, Entry)


def look_to_json(look: Look) -> list[Any]:
    """`["read", path, limit]` and the like."""
    match look:
        case ReadFile():
            return ["read", look.path, look.limit]
        case Stat():
            return ["stat", look.path]
        case Mounts():
            return ["mounts"]
        case User():
            return ["user", look.name]
        case Walk():
            return ["walk", look.root]
        case _:
            assert_never(look)


def look_from_json(value: Any) -> Look:
    """The reverse of `look_to_json`."""
    match value:
        case ["read", str(path), int(limit)]:
            return ReadFile(path, limit)
        case ["stat", str(path)]:
            return Stat(path)
        case ["mounts"]:
            return Mounts()
        case ["user", str(name)]:
            return User(name)
        case ["walk", str(root)]:
            return Walk(root)
        case _:
            raise ValueError(f"no such look: {value!r:.200}")


def answer_of(look: Look, found: Mapping[str, Any]) -> Answer:
    """The answer to a look from what the probe found in process: `{kind: value}` with bytes. A finished walk answers None."""
    match look, found:
        case _, {"failed": [str(code), str(text)]}:
            return FailedLook(code, text)
        case ReadFile(), {"bytes": bytes(content)}:
            return content
        case Stat(), {"stat": dict(fields)}:
            return _stat_answer(fields)
        case Mounts(), {"mounts": {"mountinfo": bytes(mountinfo), "devices": dict(devices), "links": dict(links)}} if _all_text(devices) and _all_text(links):
            return MountsAnswer(mountinfo=mountinfo, devices=devices, links=links)
        case User(), {"uid": int() | None as uid}:
            return uid
        case Walk(), {"walked": int()}:
            return None
        case _:
            raise ValueError(f"no answer to {look}: {found!r:.200}")


def answer_from_json(look: Look, value: Mapping[str, Any]) -> Answer:
    """The answer to a look from what `probe.jsonable` made."""
    match value:
        case {"bytes": str(text)}:
            return answer_of(look, {"bytes": base64.b64decode(text, validate=True)})
        case {"mounts": {"mountinfo": str(text)}}:
            return answer_of(look, {"mounts": value["mounts"] | {"mountinfo": base64.b64decode(text, validate=True)}})
        case _:
            return answer_of(look, value)


def answer_to_json(look: Look, answer: Answer, walked: int = 0) -> dict[str, Any]:
    """The reverse of `answer_from_json`; `walked` is how many listings a walk has."""
    match answer:
        case FailedLook():
            return {"failed": [answer.code, answer.text]}
        case bytes():
            return probe.jsonable({"bytes": answer})
        case StatAnswer():
            return {"stat": {name: getattr(answer, name) for name in StatAnswer.__dataclass_fields__}}
        case MountsAnswer():
            return probe.jsonable({"mounts": {"mountinfo": answer.mountinfo, "devices": dict(answer.devices), "links": dict(answer.links)}})
        case int() | None:
            return {"walked": walked} if isinstance(look, Walk) else {"uid": answer}
        case _:
            assert_never(answer)


def listing_from_json(value: Any) -> Listing:
    """The listing that `probe.pack` made."""
    if not isinstance(value, list) or len(value) != len(Entry._fields) + len(Listing._fields) - 1:
        raise ValueError(f"no listing: {value!r:.200}")
    directory, itself, names, *numbers, acls, targets, error, device, vanished = value
    if not (_is_text(names) and _is_text([directory, error, device]) and isinstance(vanished, list) and _is_text(vanished)):
        raise ValueError(f"no listing: {value!r:.200}")
    count = len(names)
    columns = [repeat(column, count) if type(column) is int else _integers(column, count) for column in numbers]
    entries = list(map(_make_entry, zip(names, *columns, _sparse(acls, count), _sparse(targets, count), strict=True)))
    return Listing(directory, _itself(itself), entries, error, device, tuple(vanished))


def _stat_answer(fields: dict[str, Any]) -> StatAnswer:
    for name, value in fields.items():
        wanted = StatAnswer.__dataclass_fields__.get(name)
        if wanted is None or type(value).__name__ != wanted.type:
            raise ValueError(f"no field of a stat: {name}={value!r:.200}")
    if "present" not in fields:
        raise ValueError("a stat that does not say whether anything is there")
    return StatAnswer(**fields)


def _itself(value: Any) -> Entry:
    match value:
        case [str(name), *numbers, str(acl), str(target)] if len(numbers) == _NUMBERS and set(map(type, numbers)) == {int}:
            return _make_entry((name, *numbers, acl, target))
        case _:
            raise ValueError(f"no entry: {value!r:.200}")


def _integers(column: Any, count: int) -> list[int]:
    if not isinstance(column, list) or len(column) != count or set(map(type, column)) - {int}:
        raise ValueError(f"no column of {count} numbers: {column!r:.200}")
    return column


def _sparse(texts: Any, count: int) -> list[str]:
    """A column of which only some rows say something, as `{row: text}`."""
    column = [""] * count
    if not isinstance(texts, dict) or not _all_text(texts):
        raise ValueError(f"no rows of text: {texts!r:.200}")
    for row, text in texts.items():
        if not 0 <= int(row) < count:
            raise ValueError(f"no such row: {row}")
        column[int(row)] = text
    return column


def _is_text(values: Any) -> bool:
    return isinstance(values, list) and not set(map(type, values)) - {str}


def _all_text(texts: Mapping[Any, Any]) -> bool:
    return not set(map(type, texts.values())) - {str}
