"""The files of a tree as those who follow calls through them read them: as text, by path or by base name; workflows and composite actions parsed."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field

from interlock.config.yamltext import COMPOSE, YamlText, read_yaml
from interlock.errors import CouldNotLook
from interlock.facts.workflows import NotWorkflow, Step, Workflow, parse_composite, parse_workflow
from interlock.observe.tree import Tree
from interlock.observe.world import World


def sources(world: World) -> TreeSources:
    """Those of this run."""
    return world.once("sources", lambda: TreeSources(world.tree))


@dataclass(slots=True)
class TreeSources:
    """The files of a tree as `interlock.facts.automation` follows calls through them. A file that cannot be read is one that is not there, but for a
    workflow that was asked for by name."""

    tree: Tree
    _texts: dict[str, str | None] = field(default_factory=dict)
    _names: dict[str, list[str]] = field(default_factory=dict)

    def text(self, path: str) -> str | None:
        """The text of a file, bytes that are no UTF-8 by `surrogateescape`."""
        if path not in self._texts:
            try:
                self._texts[path] = self.tree.read(path).decode("utf-8", "surrogateescape")
            except CouldNotLook:
                self._texts[path] = None
        return self._texts[path]

    def called(self, name: str) -> Sequence[str]:
        """The paths that end with this name."""
        if not self._names:
            for path in self.tree.listing():
                self._names.setdefault(posixpath.basename(path), []).append(path)
        return self._names.get(name, [])

    def workflow(self, path: str) -> Workflow | NotWorkflow:
        """A workflow; the reason that it is none in one line."""
        try:
            content = self.tree.read(path)
        except CouldNotLook as error:
            return NotWorkflow(path=path, line=1, why=error.what)
        read = read_yaml(content, COMPOSE)
        if not read.documents:
            problem = read.problems[0]
            return NotWorkflow(path=path, line=problem.line, why=problem.message)
        return parse_workflow(path, read.data, _Lines(read, content))

    def action(self, folder: str) -> tuple[Step, ...]:
        """The steps of a composite action."""
        for name in ("action.yml", "action.yaml"):
            text = self.text(posixpath.normpath(posixpath.join(folder, name)))
            if text is not None:
                content = text.encode("utf-8", "surrogateescape")
                read = read_yaml(content, COMPOSE)
                return parse_composite(read.data, _Lines(read, content))
        return ()


class _Lines:
    """Where a parsed YAML text says what (`interlock.facts.workflows.Places`)."""

    def __init__(self, read: YamlText, content: bytes) -> None:
        self._positions = read.positions
        self._lines = content.decode("utf-8", "replace").splitlines()

    def line(self, path: tuple[str | int, ...]) -> int:
        return self._positions.nearest(path).key.line

    def first_line(self, path: tuple[str | int, ...]) -> int:
        at = self._positions.nearest(path).value
        shown = self._lines[at.line - 1 : at.line]
        block = bool(shown) and shown[0][at.column - 1 : at.column] in ("|", ">")
        return at.line + 1 if block else at.line
