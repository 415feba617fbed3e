"""Is what `init --live` learned from the host right? `interlock init --review` shows each unconfirmed noun, from what it was learned and what the host shows
now, and takes the mark away where a human at a terminal says yes. Everything else in the file stays as it is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from interlock.commands.placing import draft_of, put, write_draft
from interlock.config.load import load_site
from interlock.config.reading import read_regular_file
from interlock.config.refusal import dotted
from interlock.config.yamltext import SITE, KeyPath, Positions, read_yaml
from interlock.errors import ApprovalError, CouldNotLook, UsageError
from interlock.nouns import dataclass

MARK = "unconfirmed"
QUESTION = "is it right? y = yes, take the mark away; n = leave it; q = stop here: "
Ask = Callable[[str], str]
ShowNow = Callable[[KeyPath], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """One noun with the mark: its key path, and its lines as they stand in the file."""

    path: KeyPath
    lines: tuple[str, ...]
    first: int  # the number of the first of them


def review(site_file: Path) -> str:
    """Walk through all of them. Raises UsageError where no human can be asked, ConfigError for a file that does not load."""
    from interlock.act.terminal import ask

    site = load_site(site_file, None)
    found = list(marked(read_regular_file(site_file, SITE.size)))
    if not found:
        return f"{site_file}: nothing is unconfirmed"
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError as error:
        why, remedy = f"{len(found)} are unconfirmed, and there is no terminal to ask at", "run it yourself, in a terminal"
        raise UsageError("a review needs a human", where=str(site_file), why=why, remedy=remedy) from error
    from interlock.discover.live import shows_now

    confirmed = 0
    look = shows_now(site)
    for number, one in enumerate(found, start=1):
        try:
            answer = _answer(ask, f"\n{number} of {len(found)}: {dotted(one.path)}\n{_shown(one)}\n{_now(look, one.path)}\n")
        except ApprovalError:
            break
        if answer == "q":
            break
        if answer == "y":
            confirm(site_file, one.path)
            confirmed += 1
    left = len(list(marked(read_regular_file(site_file, SITE.size))))
    then = "next: interlock preflight" if not left else "run `interlock init --review` again for the others"
    return f"{site_file}: {confirmed} confirmed, {left} unconfirmed\n{then}"


def marked(content: bytes) -> Iterator[Marked]:
    """Every noun of a site file with `unconfirmed: true`, in the order of the file."""
    read = read_yaml(content, SITE)
    text = content.decode("utf-8-sig").splitlines()
    paths = [path[:-1] for path in read.positions if path[-1] == MARK and _value(read.data, path) is True]
    for path in sorted(paths, key=lambda path: read.positions[path].key):
        first, last = _extent(read.positions, path, len(text))
        above = first
        while above > 1 and text[above - 2].lstrip().startswith("# from this host"):
            above -= 1
        yield Marked(path=path, lines=tuple(text[above - 1 : last]), first=above)


def _value(data: object, path: KeyPath) -> object:
    for step in path:
        data = data[step]  # type: ignore[index]
    return data


def _extent(positions: Positions, path: KeyPath, end: int) -> tuple[int, int]:
    """The first and last line of a noun: up to where the next thing begins that is not below it."""
    first = positions[path].key.line
    after = [positions[other].key.line for other in positions if other[: len(path)] != path and positions[other].key.line > first]
    return first, max(first, min(after) - 1 if after else end)


def _shown(one: Marked) -> str:
    lines = list(one.lines)
    while lines and not lines[-1].strip():
        lines.pop()
    return "\n".join(f"  {number:4} | {line}" for number, line in enumerate(lines, start=one.first))


def _now(look: ShowNow, path: KeyPath) -> str:
    try:
        return f"  now: {look(path)}"
    except CouldNotLook as error:
        return f"  now: could not be looked at: {error.sentence}"


def _answer(ask: Ask, shown: str) -> str:
    question = shown + QUESTION
    while True:
        said = ask(question).lower()
        if said in ("y", "yes"):
            return "y"
        if said in ("n", "no"):
            return "n"
        if said in ("q", "quit", "e"):
            return "q"
        question = QUESTION


# ---- the one edit


def confirm(site_file: Path, path: KeyPath) -> None:
    """Take the mark of one noun out of the file, and nothing else. Raises UsageError when the file has changed so that the noun is not there any more."""
    content = read_regular_file(site_file, SITE.size)
    after = without_mark(content, path)
    if after is None:
        why = "the file was changed meanwhile, or the mark is written in a way that only its author can take out"
        raise UsageError(f"{dotted(path)} could not be confirmed", where=str(site_file), why=why, remedy=f"remove its `{MARK}: true` with an editor")
    target = site_file.resolve()
    with draft_of(target) as draft:
        write_draft(draft, after)
        draft.chmod(stat.S_IMODE(target.stat().st_mode))
        put(draft, target, replacing=True)


def without_mark(content: bytes, path: KeyPath) -> bytes | None:
    """The same bytes without the mark of the noun at `path`; None when it has none. Its line goes where it has one of its own."""
    read = read_yaml(content, SITE)
    place = (*path, MARK)
    if place not in read.positions or _value(read.data, place) is not True:
        return None
    text = content.decode("utf-8")
    lines = text.splitlines(keepends=True)
    at = read.positions[place]
    if at.value.line != at.key.line:
        return None
    number, bom = at.key.line - 1, at.key.line == 1 and text.startswith("\ufeff")
    line = lines[number]
    before, behind = line[: at.key.column - 1 + bom], line[at.value.column - 1 + bom + len("true") :]
    if not before.strip() and not behind.partition("#")[0].strip():
        lines[number] = ""
    elif before.rstrip().endswith(","):
        lines[number] = before.rstrip()[:-1] + behind
    else:
        lines[number] = before + behind.lstrip(" ").removeprefix(",").lstrip(" ")
    after = "".join(lines).encode("utf-8")
    return after if read_yaml(after, SITE).data == _without(read.data, place) else None


def _without(data: Any, path: KeyPath) -> Any:
    """The same data without what is at `path`."""
    step, rest = path[0], path[1:]
    if isinstance(data, list):
        return [_without(member, rest) if number == step else member for number, member in enumerate(data)]
    return {key: _without(member, rest) if key == step else member for key, member in data.items() if key != step or rest}
