"""How do looks, answers and listings travel as JSON? One form for the probe's replies, for spooled walks and for saved facts.

`probe.py` writes it (`pack`, `jsonable`); here it is read, and whatever is not exactly it raises `ValueError`: nobody checks an answer a second time.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import MISSING, Field
from functools import partial
from itertools import repeat
from typing import Any, assert_never

from interlock.facts.looks import (
    Answer,
    Engine,
    EngineAnswer,
    Entry,
    Examine,
    ExamineAnswer,
    Examined,
    FailedLook,
    FolderAnswer,
    List,
    ListAnswer,
    Listing,
    Look,
    Mounts,
    MountsAnswer,
    OwnedFiles,
    Owners,
    OwnersAnswer,
    ReadFile,
    ReadFolder,
    Secret,
    SecretAnswer,
    Shadow,
    Shadows,
    ShadowsAnswer,
    Space,
    SpaceAnswer,
    Stat,
    StatAnswer,
    User,
    Walk,
)
from interlock.observe import probe

_NUMBERS = len(Entry._fields) - 3  # all but name, acl and target
_make_entry = partial(tuple.__new__, Entry)


def look_to_json(look: Look) -> list[Any]:  # noqa: PLR0912 (one for each look)
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
        case Space():
            return ["space", look.path]
        case ReadFolder():
            return ["folder", look.path, list(look.suffixes)]
        case List():
            return ["list", look.path]
        case Secret():
            return ["secret", look.path, look.format]
        case Examine():
            return ["examine", look.folder]
        case Engine():
            return ["engine", look.socket, list(look.variables), look.views, list(look.places)]
        case Shadows():
            return ["shadows", list(look.roots)]
        case Owners():
            return ["owners", look.root, look.most]
        case _:
            assert_never(look)


class UnknownLook(ValueError):
    """None of ours, or with other parts: of another version."""


def look_from_json(value: Any) -> Look:  # noqa: PLR0912 (one for each look)
    """The reverse of `look_to_json`. Raises UnknownLook."""
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
        case ["space", str(path)]:
            return Space(path)
        case ["folder", str(path), list(suffixes)] if _is_text(suffixes):
            return ReadFolder(path, tuple(suffixes))
        case ["list", str(path)]:
            return List(path)
        case ["secret", str(path), str(kind)]:
            return Secret(path, kind)
        case ["examine", str(folder)]:
            return Examine(folder)
        case ["engine", str(socket), list(variables), bool(views), list(places)] if _is_text(variables) and _is_text(places):
            return Engine(socket, tuple(variables), views, tuple(places))
        case ["shadows", list(roots)] if _is_text(roots):
            return Shadows(tuple(roots))
        case ["owners", str(root), int(most)]:
            return Owners(root, most)
        case _:
            raise UnknownLook(f"no such look: {value!r:.200}")


def answer_of(look: Look, found: Mapping[str, Any]) -> Answer:  # noqa: PLR0912 (one for each look)
    """The answer to a look from what the probe found in process: `{kind: value}` with bytes. A finished walk answers None."""
    match look, found:
        case _, {"failed": [str(code), str(text)]}:
            return FailedLook(code, text)
        case ReadFile(), {"bytes": bytes(content)}:
            return content
        case Stat(), {"stat": dict(fields)}:
            return StatAnswer(**_fields(StatAnswer, fields))
        case Mounts(), {"mounts": {"mountinfo": bytes(mountinfo), "devices": dict(devices), "links": dict(links)}} if _all_text(devices) and _all_text(links):
            return MountsAnswer(mountinfo=mountinfo, devices=devices, links=links)
        case User(), {"uid": int() | None as uid}:
            return uid
        case Walk(), {"walked": int()}:
            return None
        case Space(), {"space": dict(fields)}:
            return SpaceAnswer(**_fields(SpaceAnswer, fields))
        case ReadFolder(), {"folder": {"files": dict(files), "unread": dict(unread)}} if _all_text(unread) and not set(map(type, files.values())) - {bytes}:
            return FolderAnswer(files=files, unread=unread)
        case List(), {"list": dict(modes)} if set(map(type, modes.values())) <= {int}:
            return ListAnswer(modes=modes)
        case Secret(), {"secret": dict(fields)}:
            return SecretAnswer(**_fields(SecretAnswer, fields))
        case Examine(), {"examined": list(examined)}:
            return ExamineAnswer(files=tuple(map(_examined, examined)))
        case Engine(), {"engine": bytes(content)}:
            return EngineAnswer(content=content)
        case Shadows(), {"shadows": list(shadows)}:
            return ShadowsAnswer(shadows=tuple(map(_shadow, shadows)))
        case Owners(), {"owners": {"owners": list(owners), "complete": bool(complete), "unread": list(unread)}} if _is_text(unread):
            return OwnersAnswer(owners=tuple(map(_owned, owners)), complete=complete, unread=tuple(unread))
        case _:
            raise ValueError(f"no answer to {look}: {found!r:.200}")


def answer_from_json(look: Look, value: Mapping[str, Any]) -> Answer:
    """The answer to a look from what `probe.jsonable` made."""
    match value:
        case {"bytes": str(text)}:
            return answer_of(look, {"bytes": base64.b64decode(text, validate=True)})
        case {"mounts": {"mountinfo": str(text)}}:
            return answer_of(look, {"mounts": value["mounts"] | {"mountinfo": base64.b64decode(text, validate=True)}})
        case {"engine": str(text)}:
            return answer_of(look, {"engine": base64.b64decode(text, validate=True)})
        case {"folder": {"files": dict(files)}} if _all_text(files):
            contents = {name: base64.b64decode(text, validate=True) for name, text in files.items()}
            return answer_of(look, {"folder": value["folder"] | {"files": contents}})
        case _:
            return answer_of(look, value)


def answer_to_json(look: Look, answer: Answer, walked: int = 0) -> dict[str, Any]:  # noqa: PLR0912 (one for each look)
    """The reverse of `answer_from_json`; `walked` is how many listings a walk has."""
    match answer:
        case FailedLook():
            return {"failed": [answer.code, answer.text]}
        case bytes():
            return probe.jsonable({"bytes": answer})
        case StatAnswer():
            return {"stat": _fields_of(answer)}
        case MountsAnswer():
            return probe.jsonable({"mounts": {"mountinfo": answer.mountinfo, "devices": dict(answer.devices), "links": dict(answer.links)}})
        case SpaceAnswer():
            return {"space": _fields_of(answer)}
        case FolderAnswer():
            return probe.jsonable({"folder": {"files": dict(answer.files), "unread": dict(answer.unread)}})
        case ListAnswer():
            return {"list": dict(answer.modes)}
        case SecretAnswer():
            return {"secret": _fields_of(answer)}
        case ExamineAnswer():
            return {"examined": [_fields_of(file) | {"names": list(file.names), "notes": dict(file.notes)} for file in answer.files]}
        case EngineAnswer():
            return probe.jsonable({"engine": answer.content})
        case ShadowsAnswer():
            return {"shadows": [[*shadow[:2], list(shadow.names), *shadow[3:]] for shadow in answer.shadows]}
        case OwnersAnswer():
            owners = [[owned.uid, owned.entries, list(owned.names)] for owned in answer.owners]
            return {"owners": {"owners": owners, "complete": answer.complete, "unread": list(answer.unread)}}
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


def _fields_of(answer: Any) -> dict[str, Any]:
    return {name: getattr(answer, name) for name in answer.__dataclass_fields__}


def _fields(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """The values, each of the type that its field says, and none missing that has no default."""
    fields: dict[str, Field[Any]] = kind.__dataclass_fields__  # type: ignore[attr-defined]
    for name, value in values.items():
        if name not in fields or type(value).__name__ not in str(fields[name].type).replace("None", "NoneType").split(" | "):
            raise ValueError(f"no field of a {kind.__name__}: {name}={value!r:.200}")
    missing = [name for name, field in fields.items() if name not in values and field.default is MISSING and field.default_factory is MISSING]
    if missing:
        raise ValueError(f"a {kind.__name__} without {missing[0]}")
    return values


def _examined(value: Any) -> Examined:
    match value:
        case {"names": list(names), "notes": dict(notes)} if _is_text(names) and _all_text(notes):
            plain = {name: one for name, one in value.items() if name not in ("names", "notes")}
            return Examined(**_fields(Examined, plain), names=tuple(names), notes=notes)
        case _:
            raise ValueError(f"no file of a backup: {value!r:.200}")


def _shadow(value: Any) -> Shadow:
    match value:
        case [str(mountpoint), str(parent), list(names), int(entries), int(size), bool(complete), str(error)] if _is_text(names):
            return Shadow(mountpoint, parent, tuple(names), entries, size, complete, error)
        case _:
            raise ValueError(f"nothing that a mount covers: {value!r:.200}")


def _owned(value: Any) -> OwnedFiles:
    match value:
        case [int(uid), int(entries), list(names)] if _is_text(names):
            return OwnedFiles(uid, entries, tuple(names))
        case _:
            raise ValueError(f"nothing that somebody owns: {value!r:.200}")


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
