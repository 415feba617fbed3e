"""How is a frozen noun made without costing each start what only its use should cost? `dataclass`, whose methods are written when they are first needed.

    from interlock.nouns import dataclass

The same classes as those of `dataclasses.dataclass(frozen=True, slots=True, kw_only=True)`, which writes and compiles six methods a class while it is
imported: about 0.35 ms each, and a command imports two hundred of them to use thirty. Other kinds of dataclasses are made as ever.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls: type | None = None, /, **kind: bool) -> Any:
        """`dataclasses.dataclass`, lazily for a class that is frozen and has slots."""
        if cls is None:
            return lambda decorated: dataclass(decorated, **kind)
        return _slotted(cls, kind) if kind.get("frozen") and kind.get("slots") else dataclasses.dataclass(cls, **kind)


_WRITTEN = ("__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__")
_KNOWN = ("__dataclass_fields__", "__dataclass_params__", "__match_args__")
_UNWRITTEN = "__interlock_unwritten__"


class _Stub:
    """Stands where a written method, or what `dataclasses` knows of the class, will stand; whoever reaches for it has the class written first."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type) -> Any:
        for cls in owner.__mro__:
            if cls.__dict__.get(self.name) is self:
                _write(cls)
                break
        return getattr(owner if instance is None else instance, self.name)


def _slotted(cls: type, kind: dict[str, bool]) -> type:
    """The class with slots, as yet without its methods."""
    body = dict(cls.__dict__)
    annotations = getattr(cls, "__annotations__", {})  # of a base, where it has none of its own: those have their slots there
    names = [name for name, annotation in annotations.items() if not str(annotation).startswith(("ClassVar", "typing.ClassVar"))]
    inherited = {name for base in cls.__mro__[1:] for name in base.__dict__.get("__slots__", ())}
    defaults = {name: body.pop(name) for name in names if name in body}
    for name, default in defaults.items():
        if type(default).__hash__ is None and not isinstance(default, dataclasses.Field):
            raise ValueError(f"mutable default {type(default)} for field {name} of {cls.__qualname__} is not allowed: use default_factory")
    for name in ("__dict__", "__weakref__"):
        body.pop(name, None)
    own = [name for name in _WRITTEN if body.get(name) is not None]
    body |= {name: _Stub(name) for name in (*_WRITTEN, *_KNOWN) if name not in own}
    body |= {"__slots__": tuple(name for name in names if name not in inherited), "__getstate__": _getstate, "__setstate__": _setstate}
    body[_UNWRITTEN] = (defaults, {**kind, "slots": False})
    slotted = type(cls)(cls.__name__, cls.__bases__, body)
    slotted.__qualname__ = cls.__qualname__
    return slotted


def _write(cls: type) -> None:
    """Let `dataclasses` write the methods. It reads defaults where the slots stand, so they stand there while it works."""
    defaults, kind = cls.__dict__[_UNWRITTEN]
    for name, value in list(cls.__dict__.items()):
        if isinstance(value, _Stub) or name == _UNWRITTEN:
            type.__delattr__(cls, name)
    slots = {name: cls.__dict__[name] for name in defaults}
    for name, default in defaults.items():
        type.__setattr__(cls, name, default)
    try:
        dataclasses.dataclass(**kind)(cls)
    finally:
        for name, slot in slots.items():
            type.__setattr__(cls, name, slot)


def _getstate(self: Any) -> list[Any]:
    """What `copy` and `pickle` keep: a frozen object with slots cannot be filled by setting its attributes."""
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _setstate(self: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
