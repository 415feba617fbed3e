"""How do the events of a YAML parser become data with positions? One pass, an explicit stack, limits while the events come in.

PyYAML's own composer recurses, in C with libyaml: 100,000 `[` end the process with a segmentation fault. An alias is counted as what it stands for
before anyone walks it, so that a small text cannot become a large one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from interlock.config.yamlnodes import Fault, Key, KeyPath, Node, Position, Problem, Rules
from interlock.config.yamlscalars import Tagged, resolve, say_type
from interlock.patterns import regex

_CORE = "tag:yaml.org,2002:"
_CORE_TAGS = ("str", "null", "bool", "int", "float", "map", "seq")
_MERGE = "<<"
_SURROGATE = regex("[\ud800-\udfff]")


class Stop(Exception):
    """A problem behind which nothing can be read."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(slots=True)
class _Open:
    """A mapping or list that has begun and not ended. `seen` maps what makes a key the same key to the line where it stands first."""

    node: Node
    anchor: str | None
    tag: str | None
    problems_before: int
    key: Key | None = None
    merges: list[Node] = field(default_factory=list)
    seen: dict[object, int] = field(default_factory=dict)


class Composer:
    """Takes events one by one; `roots` are the documents so far, `problems` what is wrong with them."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.problems: list[Problem] = []
        self.roots: list[Node] = []
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}

    @property
    def opened(self) -> Position | None:
        """Where the innermost list or mapping begins that has not ended."""
        return self._stack[-1].node.at if self._stack else None

    def take(self, event: object) -> None:
        """Take the next event. Raises Stop when nothing behind it can be read."""
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._begin(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._end()
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.DocumentStartEvent():
                self._begin_document(event)
            case _:
                pass  # the ends of streams and documents say nothing

    # ---- one method for each kind of event

    def _begin_document(self, event: yaml.DocumentStartEvent) -> None:
        self._anchors = {}
        if self.roots and not self.rules.several_documents:
            message = "a second YAML document begins here"
            raise Stop(self._problem(event, Fault.SEVERAL_DOCUMENTS, message, remedy="keep one document in the file: remove the `---` in its middle"))

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        if not event.value.isascii() and _SURROGATE.search(event.value):
            raise Stop(self._problem(event, Fault.SYNTAX, "half a surrogate pair is no character", remedy="write the character itself"))
        node = Node(at=_start(event), data=self._value(event), text=event.value)
        key = self._stack[-1].key if self._stack else None
        if key is not None and _is_unwritten(event):
            node.at = key.at  # the two parsers differ in where nothing stands
        self._name(event.anchor, node)
        self._add(node, plain=_is_plain(event))

    def _begin(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        if len(self._stack) >= self.rules.depth:
            raise Stop(self._too_deep(event))
        if event.anchor is not None:
            self._anchors[event.anchor] = None  # open: an alias to it in here would never end
        if isinstance(event, yaml.MappingStartEvent):
            node, native = Node(at=_start(event), data={}, members={}), f"{_CORE}map"
        else:
            node, native = Node(at=_start(event), data=[], members=[]), f"{_CORE}seq"
        tag = None if event.tag in (None, "!", native) else self._foreign_tag(event, event.tag)
        self._stack.append(_Open(node, event.anchor, tag, len(self.problems)))

    def _end(self) -> None:
        done = self._stack.pop()
        if done.merges:
            _merge(done.node, done.merges)
        if done.tag == "!reset":  # compose drops what is below `!reset` unread
            self.problems[done.problems_before :] = [one for one in self.problems[done.problems_before :] if one.kind is not Fault.DUPLICATE_KEY]
        if done.tag is not None:
            done.node.data = Tagged(done.tag, done.node.data)
        self._name(done.anchor, done.node)
        self._add(done.node)

    def _alias(self, event: yaml.AliasEvent) -> None:
        name = event.anchor or ""
        target = self._anchors.get(name)
        if target is None:
            inside = name in self._anchors
            message = f"*{name} stands inside the value that it names" if inside else f"no &{name} stands before *{name}"
            remedy = "a value cannot hold itself" if inside else f"name the value with &{name}, or quote text that begins with *"
            self.problems.append(self._problem(event, Fault.ALIAS, message, remedy=remedy))
            target = Node(at=_start(event), data=None, text="")
        if len(self._stack) + target.height > self.rules.depth:
            raise Stop(self._too_deep(event))
        self._add(Node(at=_start(event), data=target.data, text=target.text, members=target.members, size=target.size, height=target.height))

    # ---- nodes find their place

    def _name(self, anchor: str | None, node: Node) -> None:
        if anchor is not None:
            self._anchors[anchor] = node

    def _add(self, node: Node, *, plain: bool = False) -> None:
        if not self._stack:
            self.roots.append(node)
            return
        parent = self._stack[-1]
        self._count(parent.node, node)
        members = parent.node.members
        if isinstance(members, list):
            members.append(node)
            parent.node.data.append(node.data)
        elif parent.key is None:
            parent.key = self._key(parent, node, plain=plain)
        elif parent.key.merges:
            self._take_merge(parent, node)
            parent.key = None
        elif members is not None:
            members[parent.key.text] = (parent.key, node)
            parent.node.data[parent.key.text] = node.data
            parent.key = None

    def _count(self, parent: Node, node: Node) -> None:
        parent.size += node.size
        parent.height = max(parent.height, node.height + 1)
        if parent.size > self.rules.values:
            message = f"the file holds more than {self.rules.values:,} values, counting each alias as what it stands for"
            line, column = node.at
            raise Stop(Problem(line=line, column=column, kind=Fault.TOO_MANY_VALUES, message=message, path=self._path(), remedy="write less, or fewer aliases"))

    def _key(self, parent: _Open, node: Node, *, plain: bool) -> Key:
        text = node.text or ""
        key = Key(text, node.at, merges=plain and text == _MERGE)
        if not isinstance(node.data, str):
            self._bad_key(key, node)
        identities: list[object] = [(type(node.data), repr(node.data))]
        if self.rules.same_text_is_same_key and node.members is None:
            identities.append(text)
        first = next((parent.seen[identity] for identity in identities if identity in parent.seen), None)
        if first is not None:
            self.problems.append(self._duplicate(key, first))
        for identity in identities:
            parent.seen.setdefault(identity, key.at.line)
        return key

    def _take_merge(self, parent: _Open, node: Node) -> None:
        sources = node.members if isinstance(node.members, list) and not isinstance(node.data, Tagged) else [node]
        if all(isinstance(source.members, dict) and not isinstance(source.data, Tagged) for source in sources):
            parent.merges.extend(sources)
            return
        message = f"<< merges a mapping or a list of mappings, and this is {say_type(node.data)}"
        path = (*self._path(), _MERGE)
        line, column = node.at
        self.problems.append(Problem(line=line, column=column, kind=Fault.MERGE, message=message, remedy="write `<<: *name` of a mapping", path=path))

    # ---- values and tags

    def _value(self, event: yaml.ScalarEvent) -> Any:
        if event.tag not in (None, "!"):
            return self._tagged_scalar(event)
        return resolve(event.value) if _is_plain(event) else event.value

    def _tagged_scalar(self, event: yaml.ScalarEvent) -> Any:
        tag = event.tag or ""
        read = resolve(event.value)
        match tag.removeprefix(_CORE):
            case "str":
                return event.value
            case "null" if read is None:
                return None
            case "bool" if isinstance(read, bool):
                return read
            case "int" if isinstance(read, int) and not isinstance(read, bool):
                return read
            case "float" if isinstance(read, int | float) and not isinstance(read, bool):
                return float(read)
        foreign = self._foreign_tag(event, tag)
        # A plain scalar has the style "" in one of PyYAML's parsers and None in the other.
        value = event.value if event.style else read
        return value if foreign is None else Tagged(foreign, value)

    def _foreign_tag(self, event: yaml.NodeEvent, tag: str) -> str | None:
        """The tag when it may stand here, else None and a problem."""
        core = tag.startswith(_CORE)
        if self.rules.foreign_tags and not core:
            return tag
        shown = f"!!{tag.removeprefix(_CORE)}" if core else tag
        fits = core and tag.removeprefix(_CORE) in _CORE_TAGS
        message = f"the tag {shown} does not fit this value" if fits else f"the tag {shown} means nothing here"
        self.problems.append(self._problem(event, Fault.TAG, message, remedy="remove the tag" if core else "remove the tag, or quote text that begins with !"))
        return None

    # ---- problems

    def _bad_key(self, key: Key, node: Node) -> None:
        if node.text == "":
            message, remedy = "a key is missing before this colon", "write the key, or quote text that begins with a colon"
        elif node.members is not None:
            message, remedy = f"{say_type(node.data)} cannot be a key", 'write text as the key; quote text that begins with a brace, like "{{ name }}"'
        else:
            message, remedy = f"the key {node.text} is {say_type(node.data)}, not text", f'write it in quotes: "{node.text}"'
        self._key_problem(key, Fault.KEY, message, remedy=remedy)

    def _duplicate(self, key: Key, first_line: int) -> Problem:
        return Problem(
            line=key.at.line,
            column=key.at.column,
            kind=Fault.DUPLICATE_KEY,
            message=f"the key {_shown(key.text)} stands here again; it is already on line {first_line}",
            why="only one of the two would count, and readers differ on which",
            remedy="keep one of them",
            path=(*self._path(), key.text),
            first_line=first_line,
        )

    def _key_problem(self, key: Key, kind: Fault, message: str, *, remedy: str) -> None:
        line, column = key.at
        path = (*self._path(), key.text) if key.text else self._path()
        self.problems.append(Problem(line=line, column=column, kind=kind, message=message, remedy=remedy, path=path))

    def _too_deep(self, event: yaml.Event) -> Problem:
        return self._problem(event, Fault.TOO_DEEP, f"more than {self.rules.depth} levels are nested here", remedy="nest less; is a bracket not closed?")

    def _problem(self, event: yaml.Event, kind: Fault, message: str, *, remedy: str) -> Problem:
        line, column = _start(event)
        path = self._path()
        if self._stack:
            path = (*path, *_step(self._stack[-1]))
        return Problem(line=line, column=column, kind=kind, message=message, remedy=remedy, path=path)

    def _path(self) -> KeyPath:
        """The key path of the innermost open mapping or list."""
        return tuple(step for above in self._stack[:-1] for step in _step(above))


def _step(open_: _Open) -> KeyPath:
    """The step to the member that is being read; none while a key is."""
    if isinstance(open_.node.members, list):
        return (len(open_.node.members),)
    return () if open_.key is None else (open_.key.text,)


def _merge(node: Node, sources: list[Node]) -> None:
    """What stands in the mapping itself wins over what is merged, and an earlier source over a later one."""
    members: dict[str, tuple[Key, Node]] = {}
    for source in sources:
        assert isinstance(source.members, dict)
        for text, member in source.members.items():
            members.setdefault(text, member)
    assert isinstance(node.members, dict)
    members.update(node.members)
    node.members = members
    node.data = {text: member.data for text, (_, member) in members.items()}


def _is_plain(event: yaml.ScalarEvent) -> bool:
    """A text without quotes and without a tag, which may be something else than text."""
    return event.tag is None and bool(event.implicit[0])


def _is_unwritten(event: yaml.ScalarEvent) -> bool:
    """Nothing at all behind a colon."""
    begin, end = event.start_mark, event.end_mark
    return begin is not None and end is not None and begin.index == end.index


def _start(event: yaml.Event) -> Position:
    mark: Any = event.start_mark
    return Position(mark.line + 1, mark.column + 1)


def _shown(text: str) -> str:
    return repr(text) if len(text) <= 60 else f"{text[:57]!r}..."
