"""Do an installer's text patterns still match the template that it edits? `interlock.observe.installer_edits` runs them."""

from __future__ import annotations

from interlock.facts.anchors import Anchor, Anchors
from interlock.judge.tree import found, scripts, unread
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Unproven, When

_SHOWN = 60  # characters of a pattern


def judge_installer_anchors(seen: Anchors) -> Held | Broken | Unproven:
    """Held when every edit whose template is in the tree finds a line of it."""
    details = (*(_lost(anchor) for anchor in seen.anchors if anchor.near), *unread(seen.unread))
    held = (
        f"{len(seen.anchors)} edits of templates find their lines" if seen.anchors else f"no script edits a template of this tree: {seen.scripts} scripts read"
    )
    return found(details, held=held, remedy=INSTALLER_ANCHORS.remedy)


def _lost(anchor: Anchor) -> Detail:
    templates = anchor.templates[0] if len(anchor.templates) == 1 else f"any of {len(anchor.templates)} templates"
    sought = anchor.sought if len(anchor.sought) <= _SHOWN else anchor.sought[: _SHOWN - 3] + "..."
    near = f" ({anchor.near} is nearest)" if ":" in anchor.near else ""
    said = f"{anchor.path}:{anchor.line} looks for `{sought}` to edit {anchor.target}, and no line of {templates} has it{near}: the edit is lost without a word"
    what = f"{anchor.path}: {anchor.verb} {anchor.sought} in {anchor.target}"
    return Detail(what=what, outcome=Outcome.BROKEN, kind="no-match", message=said, file=anchor.path, line=anchor.line)


INSTALLER_ANCHORS = Guardrail(
    id="templates.installer_anchors",
    title="the text patterns by which scripts edit a template still match it",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="An installer that edits a template by patterns says nothing when one matches no more: the operator's setting is dropped, or half of "
    "an edit is made and the stack does not start.",
    remedy="correct the pattern to what the template says now, or let the template take a variable instead of an edit",
    subjects=scripts,
    judge=judge_installer_anchors,
)
