"""How is seen who has agreed? The forge is asked for the design issue of an action."""

from __future__ import annotations

from collections.abc import Mapping

from interlock.config.actions import IssueState
from interlock.config.forges import ForgeKind
from interlock.facts.approval import ISSUE_NAME, DesignIssue
from interlock.observe import forge
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject

_MUST_BE_OPEN = {IssueState.OPEN: True, IssueState.CLOSED: False, IssueState.ANY: None}


def design_issue(world: World, subject: Subject) -> DesignIssue:
    """The issue that a subject names, beside what the site demands of it. Raises `CouldNotLook`."""
    assert world.site.approval is not None  # a site file that names an issue says where it is kept
    rule = world.site.approval.issue
    assert rule is not None
    return DesignIssue(
        issue=forge.issue(rule.forge, int(subject.name.removeprefix(ISSUE_NAME)), world.environ),
        must_be_open=_MUST_BE_OPEN[rule.state],
        required=rule.require_labels or (),
        forbidden=rule.forbid_labels,
        ignores_case=rule.forge.kind is ForgeKind.GITHUB,
    )


OBSERVERS: Mapping[str, Observer] = {
    "approval.issue": Observer(see=design_issue),
}
