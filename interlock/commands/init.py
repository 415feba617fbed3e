"""What does a site file say of this tree, and of this host? `interlock init` writes one: everything that can be inferred, each line with its source, and
comments where only a human knows. It is written whole or not at all, and only once it loads.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.commands.placing import draft_of, put, write_draft
from interlock.discover.document import From, Offer, is_only_offered, render
from interlock.discover.whole import Discovered, discover
from interlock.errors import InterlockError, UsageError
from interlock.nouns import dataclass
from interlock.observe.chains import compose_files
from interlock.observe.tree import Tree

if TYPE_CHECKING:
    from interlock.commands.readback import Readback

SITE_FILE = "interlock.yaml"
MISNAMED = "interlock.yml"
_HEAD = (
    "What `interlock init` found. Behind a line, or above it, stands from what it was inferred; lines without it are from where the line above them is.",
    "Lines that begin with #? ask for what only you know: answer them, take the # away from the lines below, or delete both.",
)
_LIVE_HEAD = (
    "What it learned from the running host is `unconfirmed: true` and keeps the gate shut: confirm it with `interlock init --review`.",
    "Where the host does not show what the files say, a line begins with #!: find out which is right before you confirm anything.",
)
_SHOWN_ASKS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Init:
    """One request. `output` None: `interlock.yaml` in the tree."""

    root: Path
    output: Path | None = None
    name: str | None = None
    force: bool = False
    live: bool = False


def init(wanted: Init, readback: Readback, environ: Mapping[str, str]) -> str:
    """Write the site file, and return what there is to say. `readback` says whether it loads.

    Raises UsageError when there is no such folder, or a site file is there already.
    """
    if not wanted.root.is_dir():
        raise UsageError(f"{wanted.root} is no folder", where=str(wanted.root), remedy="name the folder that holds the stack's files: interlock init PATH")
    target = wanted.output or wanted.root / SITE_FILE
    if not wanted.force:
        _refuse_if_there(target)
    tree = Tree(wanted.root, patient=True)
    found = discover(tree, compose_files(tree), root=wanted.root)
    if wanted.name is not None:
        found = _named(found, wanted.name)
    contradictions: tuple[str, ...] = ()
    if wanted.live:
        from interlock.discover.live import with_host

        found, contradictions = with_host(found, wanted.root, environ)
    head = (*_HEAD, *(_LIVE_HEAD if wanted.live else ()), *(f"! {line}" for line in contradictions))
    text = _written(found, target, head, readback, replacing=wanted.force)
    return "\n".join(_said(found, target, text, files=len(tree.listing()), contradictions=contradictions, wanted=wanted))


def _refuse_if_there(target: Path) -> None:
    for path in (target, target.with_name(MISNAMED)):
        if os.path.lexists(path):
            remedy = "edit it, or write another with --output FILE, or replace it with --force" if path == target else f"rename it to {SITE_FILE}"
            raise UsageError(f"{path.name} is there already", where=str(path), remedy=remedy)


def _named(found: Discovered, name: str) -> Discovered:
    from interlock.config.scalars import WrongValueError, check_name

    try:
        check_name(name)
    except WrongValueError as error:
        raise UsageError(f"--name: {error.what}", remedy=error.remedy) from error
    return replace(found, name=name, document=found.document | {"site": From(name, "--name")})


# ---- writing


def _written(found: Discovered, target: Path, head: tuple[str, ...], readback: Readback, *, replacing: bool) -> str:
    """Write the file once it loads, and return its text. A section that would not load is commented out, and says why."""
    document = dict(found.document)
    with draft_of(target) as draft:
        text = render(document, head)
        write_draft(draft, text.encode())
        while (fault := readback.fault(draft)) is not None:
            _comment_out(document, text, fault)
            text = render(document, head)
            write_draft(draft, text.encode())
        put(draft, target, replacing=replacing)
    return text


class InterlockFault(InterlockError):
    """What was found makes no site, whatever is left out of it."""

    exit_code = 11

    def __init__(self, name: str) -> None:
        super().__init__(f"what was found of {name} makes no site file", why="this is a fault of interlock, not of the tree", remedy="report it")


def _comment_out(document: dict[str, Any], text: str, fault: tuple[str, int]) -> None:
    """Make an offer of the section that a fault is in."""
    what, line = fault
    above = [one.partition(":")[0] for one in text.splitlines()[:line] if one[:1].isalpha()]
    section = next((key for key in reversed(above) if key in document and key not in ("interlock", "site")), None)
    if section is None or isinstance(document[section], Offer):
        raise InterlockFault(str(document.get("site")))
    document[section] = Offer(document[section], f"this would not load as it was found: {what}")


# ---- what is said


def _said(found: Discovered, target: Path, text: str, *, files: int, contradictions: Sequence[str], wanted: Init) -> list[str]:
    lines = [f"{target}: what {files:,} file{'s' if files != 1 else ''} say{'s' if files == 1 else ''}" + (" and what this host shows" if wanted.live else "")]
    lines += [f"  {line}" for line in _sections(found.document)]
    lines += [f"  left out, for a site file cannot hold the name: {path!a}" for path in found.left_out]
    lines += [f"  not looked into: {folder!a} could not be listed" for folder in found.unlisted]
    if contradictions:
        lines += ["", "The host does not show what the files say, or says more. Find out which is right before you confirm anything:"]
        lines += [f"  {line}" for line in contradictions]
    asks = [(number, line.strip()[3:]) for number, line in enumerate(text.splitlines(), start=1) if line.lstrip().startswith("#?")]
    if asks:
        lines += ["", f"{len(asks)} question{'s' if len(asks) != 1 else ''} that only you can answer, each where a line begins with #?:"]
        lines += [f"  line {number}: {ask}" for number, ask in asks[:_SHOWN_ASKS]]
        lines += [f"  and {len(asks) - _SHOWN_ASKS} more"] if len(asks) > _SHOWN_ASKS else []
    lines += [line for hint in found.hints for line in ("", hint)]
    unconfirmed = sum("unconfirmed: true" in line.partition("#")[0] for line in text.splitlines())
    if unconfirmed:
        lines += ["", f"next: interlock init --review{_path(wanted)}   ({unconfirmed} to confirm, one by one)"]
    else:
        lines += ["", f"next: answer the questions in {target}, then: interlock scan {wanted.root}"]
    return lines


def _path(wanted: Init) -> str:
    return "" if wanted.root == Path() else f" {wanted.root}"


def _sections(document: Mapping[str, Any]) -> list[str]:
    """The sections that stand there, each with how much is in it."""
    said = []
    for key, value in document.items():
        bare = value.value if isinstance(value, From) else value
        if key in ("interlock", "site", "hosts", "not_used") or is_only_offered(bare):
            continue
        many = len([one for one in bare.values() if not isinstance(one, Offer)]) if isinstance(bare, dict) and key in _NAMED_SECTIONS else 0
        said.append(f"{key} ({many})" if many else key)
    return [", ".join(said) or "nothing that a guardrail is about: is this the folder of the stack?"]


_NAMED_SECTIONS = ("modules", "databases", "instances", "templates", "health")
