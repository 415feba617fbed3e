"""What does the documentation say of a guardrail? The facts come from its constant, the prose from a human.

    python -m tools.guardrail_pages      write the facts into docs/guardrails/*.md anew, and the catalogue (part of `make golden`)

Below each heading `## family.rule` stands a block between two marks, which is written here and nowhere else; everything outside of the marks is prose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from interlock.commands.describe import LETTERS
from interlock.judge import catalogue
from interlock.verdicts import Guardrail

PAGES = Path(__file__).resolve().parent.parent / "docs" / "guardrails"
CATALOGUE = "index.md"
BEGIN, END = "<!-- from the guardrail's constant: make golden -->", "<!-- prose from here -->"
_ASKED_BY = {"static": "scan", "preflight": "preflight", "drill": "drill", "postflight": "postflight", "apply": "apply"}


def pages() -> dict[str, str]:
    """What each page should be, by its file name. Raises FileNotFoundError for a family without a page, ValueError for a guardrail without a heading."""
    families = sorted({guardrail.family for guardrail in catalogue()})
    of_families = {f"{family}.md": page((PAGES / f"{family}.md").read_text(), [one for one in catalogue() if one.family == family]) for family in families}
    return {CATALOGUE: catalogue_page(catalogue()), **of_families}


def page(text: str, guardrails: Iterable[Guardrail]) -> str:
    """A page with the block of each of its guardrails below its heading."""
    for guardrail in guardrails:
        heading = f"## {guardrail.id}\n"
        before, found, after = text.partition(f"\n{heading}")
        if not found:
            raise ValueError(f"docs/guardrails/{guardrail.family}.md has no heading `{heading.strip()}`")
        prose = re.sub(rf"\A\s*{re.escape(BEGIN)}.*?{re.escape(END)}\n", "", after, count=1, flags=re.DOTALL)
        text = f"{before}\n{heading}\n{_block(guardrail)}\n\n{prose.lstrip()}"
    return text


def catalogue_page(guardrails: Iterable[Guardrail]) -> str:
    """The table of all guardrails."""
    rows = [f"| [{one.id}]({one.family}.md#{one.id.replace('.', '')}) | {_letters(one)} | {one.severity} | {_cell(one.title)} |" for one in guardrails]
    letters = "S: from files alone (`interlock scan`). L: on the live system (`interlock preflight`). D: drill. P: postflight. A: apply's own gate."
    return "\n".join(["# The catalogue", "", letters, "", "| guardrail | asked | severity | must hold |", "|---|---|---|---|", *rows, ""])


def _block(guardrail: Guardrail) -> str:
    asked = ", ".join(_ASKED_BY[when] for when in LETTERS if when in guardrail.when)
    waivable = "never" if guardrail.never_waivable else "with a reason, an owner and a date"
    lines = [
        BEGIN,
        f"**Must hold**: {guardrail.title}.",
        "",
        f"**Why**: {guardrail.rationale}",
        "",
        f"**Remedy**: {guardrail.remedy}.",
        "",
        f"Severity {guardrail.severity}; asked by {asked}; its facts may be {_age(guardrail.max_age)} old; waivable {waivable}.",
        END,
    ]
    return "\n".join(lines)


def _letters(guardrail: Guardrail) -> str:
    return " ".join(letter for when, letter in LETTERS.items() if when in guardrail.when)


def _age(seconds: int) -> str:
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write what is not as it should be."""
    for name, text in pages().items():
        path = PAGES / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


if __name__ == "__main__":
    main()
