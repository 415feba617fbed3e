"""Are the rendered bytes the canonical bytes? `interlock.observe.templates` brings both.

Sizes are compared first, bytes next; what differs, and how, is looked into only where something does.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from interlock.config.models import Site
from interlock.facts.differences import Difference, Side, common_prefix, differences, lines_of, unified_diff
from interlock.facts.templates import Canonical, Header, NotRendered, Rendered, Target, TemplateInstance
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, When


def templates_of_instances(site: Site) -> Sequence[Subject]:
    """Each template of each of its instances, `nginx/main`; a template without any instance stands for itself, and will be unproven."""
    subjects = []
    for name, template in site.templates.items():
        instances = site.instances_of(template)
        subjects += [Subject(name=f"{name}/{instance}", host=site.instances[instance].host) for instance in instances] or [Subject(name=name)]
    return subjects


def judge_byte_equivalence(case: TemplateInstance) -> Held | Broken | Unproven:
    """Held when the rendered bytes are the canonical bytes, apart from a declared header, and mode and target are as declared."""
    content = tuple(_content(case))
    details = (*content, *_mode(case), *_target(case))
    broken = [detail for detail in details if detail.outcome is Outcome.BROKEN]
    unproven = [detail for detail in details if detail.outcome is Outcome.UNPROVEN]
    if broken:
        return Broken("; ".join(_first_line(detail.message) for detail in broken), remedy=_remedy(case, broken[0]), kind=broken[0].kind, details=details)
    if unproven:
        assert case.target is not None  # nothing else of it can be unproven
        return Unproven(unproven[0].message, remedy=case.target.remedy, details=details)
    return Held(content[0].message, details=details)


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _content(case: TemplateInstance) -> Iterator[Detail]:
    if isinstance(case.rendered, NotRendered):
        fault = case.rendered
        yield Detail(what="template", outcome=Outcome.BROKEN, kind=fault.kind, message=f"{case.name}: {fault.message}", file=fault.file, line=fault.line)
    elif case.canonical is None:
        message = f"{case.name}: there is no canonical file {case.canonical_path}"
        yield Detail(what="content", outcome=Outcome.BROKEN, kind="canonical-missing", message=message, file=case.canonical_path)
    else:
        yield from _compared(case.name, case.rendered, case.canonical, case.header)


def _compared(name: str, rendered: Rendered, canonical: Canonical, header: Header | None) -> Iterator[Detail]:
    left, right = rendered.content, canonical.content
    if len(left) == len(right) and left == right:
        yield Detail(what="content", outcome=Outcome.HELD, message=f"{name} is {canonical.path} byte for byte, {len(left):,} bytes", file=canonical.path)
        return
    cut = _without_header(left, right, header)
    if cut is None:
        message = f"{name}: the rendered file has no line that ends its header, as the site declares"
        yield Detail(what="header", outcome=Outcome.BROKEN, kind="header-missing", message=message, file=canonical.path)
        return
    if left[cut.left :] == right[cut.right :]:
        message = f"{name} is {canonical.path} byte for byte below the declared header, {len(left) - cut.left:,} bytes"
        yield Detail(what="content", outcome=Outcome.HELD, message=message, file=canonical.path)
        return
    for kind in differences(left[cut.left :], right[cut.right :]):
        yield _difference(name, kind, rendered, canonical, cut)


class Cut(NamedTuple):
    """Where the bodies begin of a rendered file (left) and a canonical one (right)."""

    left: int
    right: int


def _without_header(left: bytes, right: bytes, header: Header | None) -> Cut | None:
    """The canonical file may have a header of its own, or none: without one, all of it is body. None when the rendered file lacks what is declared."""
    if header is None:
        return Cut(0, 0)
    left_end = header.end(left)
    if left_end is None:
        return None
    right_end = header.end(right)
    if right_end is None or left[left_end:] == right:
        return Cut(left_end, 0)
    return Cut(left_end, right_end)


def _difference(name: str, kind: Difference, rendered: Rendered, canonical: Canonical, cut: Cut) -> Detail:
    left, right = rendered.content[cut.left :], canonical.content[cut.right :]
    at = cut.right + common_prefix(left, right)
    line = canonical.content.count(b"\n", 0, at) + 1
    sizes = f"{len(rendered.content):,} bytes rendered, {len(canonical.content):,} canonical"
    message = f"{name} is not {canonical.path}: {kind.in_words}, first at byte {at:,}, line {line} ({sizes})"
    if kind.can_be_shown:
        message = "\n".join((message, *_diff(rendered, canonical, cut)))
    return Detail(what="content", outcome=Outcome.BROKEN, kind=kind.value, message=message, file=canonical.path, line=line)


def _diff(rendered: Rendered, canonical: Canonical, cut: Cut) -> Iterator[str]:
    """From the canonical file to the rendered one, without headers. What must not be shown is hidden on both sides."""
    old, new = lines_of(canonical.content[cut.right :]), lines_of(rendered.content[cut.left :])
    above_old, above_new = canonical.content.count(b"\n", 0, cut.right), rendered.content.count(b"\n", 0, cut.left)
    shown_old, shown_new = [rendered.secrets.hide(line) for line in old], rendered.shown_lines()[above_new:]
    return unified_diff(Side(canonical.path, old, shown_old, above_old), Side(f"{rendered.template} for {rendered.instance}", new, shown_new, above_new))


def _mode(case: TemplateInstance) -> Iterator[Detail]:
    """Whether the file can be executed is all of its mode that version control keeps, so it is all that a canonical file says."""
    if case.canonical is None:
        return
    declared = bool(case.mode & 0o111)
    path, can, cannot = case.canonical.path, "can be executed", "cannot be executed"
    if declared == case.canonical.executable:
        yield Detail(what="mode", outcome=Outcome.HELD, message=f"{path} and mode {case.mode:04o} agree", file=path)
    else:
        message = f"{case.name}: {path} {can if case.canonical.executable else cannot}, mode {case.mode:04o} says it {can if declared else cannot}"
        yield Detail(what="mode", outcome=Outcome.BROKEN, kind="mode", message=message, file=path)


def _target(case: TemplateInstance) -> Iterator[Detail]:
    """What lies where the file will be written. Its content is not judged: a change that is still to be applied is no fault (docs/decisions/0010)."""
    target = case.target
    if target is None:
        return
    seen = target.seen
    if seen is None:
        yield Detail(what="target", outcome=Outcome.UNPROVEN, kind="target-unseen", message=f"{case.name}: {target.could_not}", file=target.path)
    elif not seen.present:
        yield Detail(what="target", outcome=Outcome.HELD, message=f"{target.path} is not there yet", file=target.path)
    elif not stat.S_ISREG(seen.mode):
        yield _bad_target(case, target, "target-kind", f"{target.path} is no regular file but {_named(seen.mode)}")
    elif case.mode_stated and stat.S_IMODE(seen.mode) != case.mode:
        yield _bad_target(case, target, "target-mode", f"{target.path} is {stat.S_IMODE(seen.mode):04o}, declared is {case.mode:04o}")
    else:
        yield Detail(what="target", outcome=Outcome.HELD, message=f"{target.path} is {stat.S_IMODE(seen.mode):04o}", file=target.path)


def _bad_target(case: TemplateInstance, target: Target, kind: str, message: str) -> Detail:
    return Detail(what="target", outcome=Outcome.BROKEN, kind=kind, message=f"{case.name}: {message}", file=target.path)


def _named(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "a directory" if stat.S_ISDIR(mode) else "a device, socket or FIFO"


def _remedy(case: TemplateInstance, detail: Detail) -> str:
    if isinstance(case.rendered, NotRendered):
        return case.rendered.remedy
    canonical, target = case.canonical_path, case.target.path if case.target else ""
    remedies = {
        "canonical-missing": f"render the template, review what comes out, and add it as {canonical}",
        "mode": f"chmod {'+x' if case.mode & 0o111 else '-x'} {canonical}, or declare its `mode`",
        "header-missing": "correct `header` of the template in the site file, or put the line into the template",
        Difference.HEADER.value: "make the comments equal, or declare how long they are: header: {lines: N}",
        "target-mode": f"chmod {case.mode:04o} {target}, or declare the mode that it has",
        "target-kind": f"move {target} out of the way: a regular file is written there",
    }
    return remedies.get(detail.kind, f"bring the template and {canonical} together: correct the one that is wrong, and review the other")


BYTE_EQUIVALENT = Guardrail(
    id="templates.byte_equivalent",
    title="each template renders to its canonical file, byte for byte",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC, When.PREFLIGHT, When.POSTFLIGHT}),
    rationale="A template that has drifted from the file it was made for rewrites a live configuration when it is next rendered, with what nobody has read.",
    remedy="render the template, look at the difference, and correct the one that is wrong",
    subjects=templates_of_instances,
    judge=judge_byte_equivalence,
)
