"""How is a frozen noun made without costing each start what only its use should cost? `dataclass`, whose methods are written when they are first needed.

    from interlock.nouns import dataclass

The same classes as those of `dataclasses.dataclass(frozen=True, slots=True, kw_only=True)`, which writes and compiles six methods a class while it is
imported: about 0.35 ms each, and a command imports two hundred of them to use thirty. Other kinds of dataclasses are made as ever.
"""

from __future__ import annotations

import dataclasses
import threading
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
_ORDERED = ("__lt__", "__le__", "__gt__", "__ge__")
_KNOWN = ("__dataclass_fields__", "__dataclass_params__", "__match_args__")
_UNWRITTEN = "__interlock_unwritten__"
_WRITING = threading.RLock()  # a class has its bases written first


class _Stub:
    """Stands where a written method, or what `dataclasses` knows of the class, will stand; whoever reaches for it has the class written first."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type) -> Any:
        for cls in owner.__mro__:
            if _UNWRITTEN in cls.__dict__:
                _write(cls)
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
    """Let `dataclasses` write the methods, on a twin without slots, and put them in the place of the stubs one by one: another thread sees a stub, and waits
    here, or a method that works."""
    with _WRITING:
        if _UNWRITTEN not in cls.__dict__:
            return
        defaults, kind = cls.__dict__[_UNWRITTEN]
        left_out = {"__slots__", "__dict__", "__weakref__", _UNWRITTEN, *cls.__dict__["__slots__"]}
        body = {name: value for name, value in cls.__dict__.items() if name not in left_out and not isinstance(value, _Stub)}
        twin: Any = dataclasses.dataclass(**kind)(type(cls)(cls.__name__, cls.__bases__, body | defaults))
        written = {name: twin.__dict__[name] for name in (*_KNOWN, *_WRITTEN) if name in twin.__dict__} | _guards(cls, frozenset(twin.__dataclass_fields__))
        stubs = [name for name in (*_KNOWN, *reversed(_WRITTEN)) if isinstance(cls.__dict__.get(name), _Stub)]
        for name in (*(_ORDERED if kind.get("order") else ()), *stubs):
            type.__setattr__(cls, name, written[name] if name in written else twin.__dict__[name])
        if cls.__doc__ is None:
            type.__setattr__(cls, "__doc__", twin.__doc__)
        type.__delattr__(cls, _UNWRITTEN)


def _guards(cls: Any, fields: frozenset[str]) -> dict[str, Any]:
    """What keeps an object as it is: those that `dataclasses` writes name the twin."""

    def set_attribute(self: Any, name: str, value: object) -> None:
        if type(self) is cls or name in fields:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    def delete_attribute(self: Any, name: str) -> None:
        if type(self) is cls or name in fields:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    return {"__setattr__": set_attribute, "__delattr__": delete_attribute}


def _getstate(self: Any) -> list[Any]:
    """What `copy` and `pickle` keep: a frozen object with slots cannot be filled by setting its attributes."""
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _setstate(self: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
