"""What does a guardrail ask, why, and what is to be done? Its constant and its section of `docs/guardrails/`, which lies in the wheel too, as text."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path

import interlock
from interlock.config.refusal import did_you_mean
from interlock.errors import UsageError
from interlock.evidence.links import page_of
from interlock.judge import catalogue
from interlock.patterns import regex
from interlock.verdicts import Guardrail, When

_GENERATED_END = "<!-- prose from here -->"
_NARROWEST, _WIDEST = 60, 100
_LINK = regex(r"\[([^\]]*)\]\([^)]*\)")
_RULER = regex(r"\|[\s:|-]+\|?")


def explained(name: str) -> str:
    """One guardrail in full, by its id; all that `scan` asks, a line each, without a name. Raises UsageError for a name that does not exist."""
    width = max(_NARROWEST, min(shutil.get_terminal_size((80, 24)).columns, _WIDEST))
    known = {guardrail.id: guardrail for guardrail in catalogue()}
    if not name:
        return _table([guardrail for guardrail in known.values() if When.STATIC in guardrail.when], width)
    if name not in known:
        remedy = did_you_mean(name, sorted(known), "`interlock scan --explain` lists them")
        raise UsageError(f"there is no guardrail {name}", remedy=remedy())
    return "\n".join(_in_full(known[name], width))


def _table(guardrails: list[Guardrail], width: int) -> str:
    column = max(len(guardrail.id) for guardrail in guardrails)
    lines = []
    for guardrail in guardrails:
        head = f"{guardrail.id:{column}}  {guardrail.severity:8}  "
        room = width - len(head)
        lines.append(head + (guardrail.title if len(guardrail.title) <= room else guardrail.title[: room - 3].rstrip() + "..."))
    return "\n".join([*lines, "", f"{len(guardrails)} guardrails. One in full: interlock scan --explain GUARDRAIL"])


def _in_full(guardrail: Guardrail, width: int) -> Iterator[str]:
    asked = "the files alone" if guardrail.when == {When.STATIC} else "the files" if When.STATIC in guardrail.when else "the live system alone: no scan asks it"
    waivable = "can never be waived" if guardrail.never_waivable else "may be waived, with a reason and an end"
    yield f"{guardrail.id}  ({guardrail.severity}; judged from {asked}; {waivable})"
    for title, text in (("must hold", guardrail.title), ("why", guardrail.rationale), ("remedy", guardrail.remedy)):
        yield ""
        yield from textwrap.wrap(f"{title}: {text}", width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    prose = section(guardrail)
    if prose:
        yield ""
        yield from as_text(prose, width)
    yield ""
    yield f"more: {page_of(guardrail.id)}"


def section(guardrail: Guardrail) -> str:
    """What a human wrote of a guardrail: its section of the family's page, in Markdown. Empty where the page is not installed."""
    path = pages() / f"{guardrail.family}.md"
    if not path.is_file():
        return ""
    _, _, behind = path.read_text(encoding="utf-8").partition(f"\n## {guardrail.id}\n")
    whole, *_ = behind.split("\n## ", 1)
    return whole.rpartition(_GENERATED_END)[2].strip()


def pages() -> Path:
    """`interlock/guardrail_pages` in a wheel, `docs/guardrails` in a checkout."""
    package = Path(interlock.__file__).parent
    return package / "guardrail_pages" if (package / "guardrail_pages").is_dir() else package.parent / "docs" / "guardrails"


def as_text(markdown: str, width: int) -> Iterator[str]:
    """Markdown as an operator reads it on a terminal: paragraphs and lists filled, code as it is, tables as columns, no marks."""
    fenced = False
    kept: list[str] = []
    for line in [*markdown.split("\n"), ""]:
        fence = line.lstrip().startswith("```")
        if fenced or fence or _starts(line) or not line.strip():
            yield from _filled(kept, width)
            kept = []
        if fence:
            fenced = not fenced
        elif fenced:
            yield f"    {line}".rstrip()
        elif line.strip():
            kept.append(line)
        else:
            yield ""


def _starts(line: str) -> bool:
    """A list item, a heading or a row of a table begins something new."""
    return re.match(r"\s*(?:[-*] |\d+\. |#+ |\|)", line) is not None


def _filled(lines: list[str], width: int) -> Iterator[str]:
    if not lines or _RULER.fullmatch(lines[0].strip()):
        return
    text = _LINK.sub(r"\1", " ".join(line.strip() for line in lines)).replace("**", "")
    if text.startswith("|"):
        text = "  ".join(cell.strip().replace("`", "") for cell in text.strip("|").split("|"))
    lead = re.match(r"(?:[-*] |\d+\. )?", text)
    yield from textwrap.wrap(
        text.lstrip("# "),
        width,
        subsequent_indent=" " * max(2 if lines[0].startswith("|") else 0, lead.end() if lead else 0),
        break_long_words=False,
        break_on_hyphens=False,
    )
