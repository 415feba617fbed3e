"""Are the rendered bytes the canonical bytes, is nothing left in them to be replaced, and is no file suddenly another size? `interlock.observe.templates`
brings them.

Sizes are compared first, bytes next; what differs, and how, is looked into only where something does.
What is judged from a whole tree is in `interlock.judge.template`.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from interlock.config.models import Site
from interlock.facts.differences import Difference, Side, common_prefix, differences, lines_of, unified_diff
from interlock.facts.looks import StatAnswer
from interlock.facts.substitution import Fault as SubstitutionFault
from interlock.facts.templates import (
    MUCH,
    Canonical,
    Header,
    InstanceFiles,
    Leftover,
    NotRendered,
    Rendered,
    TemplateFile,
    Unseen,
    handlebars_braces,
    leftovers,
)
from interlock.judge.template.anchors import INSTALLER_ANCHORS, judge_installer_anchors
from interlock.judge.template.image_tags import IMAGE_TAG, judge_image_tag
from interlock.judge.template.siblings import SIBLING_VARIANTS, judge_sibling_variants
from interlock.verdicts import Broken, Detail, Guardrail, HeldRun, Outcome, Severity, Streamed, Subject, Unproven, When

__all__ = [
    "BYTE_EQUIVALENT",
    "IMAGE_TAG",
    "INSTALLER_ANCHORS",
    "SIBLING_VARIANTS",
    "SIZE_CHANGE",
    "UNRESOLVED",
    "UNRESOLVED_KINDS",
    "Cut",
    "Finding",
    "judge_byte_equivalence",
    "judge_image_tag",
    "judge_installer_anchors",
    "judge_sibling_variants",
    "judge_size_change",
    "judge_unresolved",
    "rendered_instances",
]

SHOWN = 3  # files that the one sentence names; the details name all


def rendered_instances(site: Site) -> Sequence[Subject]:
    """Each instance that a template is rendered for."""
    used = {name for template in site.templates.values() for name in site.instances_of(template)}
    return [Subject(name=name, host=instance.host) for name, instance in site.instances.items() if name in used]


def judge_byte_equivalence(instance: InstanceFiles) -> Broken | Unproven | Streamed:
    """Held when each file of the instance is its canonical file byte for byte, apart from a declared header, and mode and target are as declared."""
    findings = tuple(finding for file in instance.files for finding in _file(file))
    files = len({finding.detail.what.partition(" ")[0] for finding in findings})
    return _judged(instance, findings, f"{_files(files)} of {instance.instance} byte for byte as reviewed")


def _files(count: int) -> str:
    return f"{count} {'file' if count == 1 else 'files'}"


def _judged(instance: InstanceFiles, findings: Sequence[Finding], held: str) -> Broken | Unproven | Streamed:
    """What the findings come to; `held` is said when nothing is wrong. Nothing rendered is nothing proven."""
    details = tuple(finding.detail for finding in findings)
    broken = [finding for finding in findings if finding.detail.outcome is Outcome.BROKEN]
    unproven = [finding for finding in findings if finding.detail.outcome is Outcome.UNPROVEN]
    if broken:
        return Broken(_in_words(broken), remedy=broken[0].remedy, kind=broken[0].detail.kind, details=details)
    if unproven:
        return Unproven(_in_words(unproven), remedy=unproven[0].remedy, details=details)
    said = held if details else f"nothing is rendered for {instance.instance}"
    return Streamed(details=_together(details), says=lambda _tally: said, remedy="" if details else "declare a template for it")


def _together(details: Sequence[Detail]) -> Iterator[HeldRun]:
    """Held details that say the same: an instance has hundreds of files, and a healthy one says little about each."""
    says: dict[str, list[str]] = {}
    for detail in details:
        says.setdefault(detail.message, []).append(detail.what)
    for message, names in says.items():
        yield HeldRun(prefix="", names=names, message=message)


class Finding(NamedTuple):
    """A detail, and what to do about it."""

    detail: Detail
    remedy: str = ""


UNRESOLVED_KINDS = frozenset(fault.value for fault in SubstitutionFault)  # what keeps a template from being rendered is `templates.unresolved`'s
CONTENT = " content"  # what a detail is about: the template and one of these
MODE = " mode"
TARGET = " target"


def _in_words(findings: Sequence[Finding]) -> str:
    shown = "; ".join(finding.detail.message.partition("\n")[0] for finding in findings[:SHOWN])
    return f"{shown}; and {len(findings) - SHOWN} more" if len(findings) > SHOWN else shown


def _held(file: TemplateFile, about: str, message: str) -> Finding:
    """What is the same for many files is said in the same words."""
    return Finding(Detail(what=file.template + about, outcome=Outcome.HELD, message=message))


def _broken(file: TemplateFile, about: str, kind: str, message: str, path: str, *, line: int | None = None, remedy: str) -> Finding:
    told = f"{file.template}: {message}"
    return Finding(Detail(what=file.template + about, outcome=Outcome.BROKEN, kind=kind, message=told, file=path, line=line), remedy)


def _unseen(file: TemplateFile, about: str, unseen: Unseen, path: str) -> Finding:
    told = f"{file.template}: {unseen.message}"
    return Finding(Detail(what=file.template + about, outcome=Outcome.UNPROVEN, kind="unseen", message=told, file=path), unseen.remedy)


def _file(file: TemplateFile) -> Iterator[Finding]:
    yield from _content(file)
    yield from _mode(file)
    yield from _target(file)


def _content(file: TemplateFile) -> Iterator[Finding]:
    path = file.canonical_path
    match file.rendered, file.canonical:
        case NotRendered(kind=kind) as fault, _ if kind in UNRESOLVED_KINDS:
            told = f"there is nothing to compare, for it cannot be rendered: {fault.message}"
            yield _unseen(file, CONTENT, Unseen(message=told, remedy=fault.remedy), fault.file)
        case NotRendered() as fault, _:
            yield _broken(file, CONTENT, fault.kind, fault.message, fault.file, line=fault.line, remedy=fault.remedy)
        case Rendered(), None:
            remedy = f"render the template, review what comes out, and add it as {path}"
            yield _broken(file, CONTENT, "canonical-missing", f"there is no canonical file {path}", path, remedy=remedy)
        case Unseen() as unseen, _:
            yield _unseen(file, CONTENT, unseen, path)
        case _, Unseen() as unseen:
            yield _unseen(file, CONTENT, unseen, path)
        case Rendered() as rendered, Canonical() as canonical:
            yield from _compared(file, rendered, canonical)


def _compared(file: TemplateFile, rendered: Rendered, canonical: Canonical) -> Iterator[Finding]:
    left, right = rendered.content, canonical.content
    if len(left) == len(right) and left == right:
        yield _held(file, CONTENT, "byte for byte its canonical file")
        return
    cut = _without_header(left, right, file.header)
    if cut is None:
        remedy = "correct `header` of the template in the site file, or put the line into the template"
        yield _broken(file, CONTENT, "header-missing", "no line of the rendered file ends its header, as the site declares", canonical.path, remedy=remedy)
        return
    if left[cut.left :] == right[cut.right :]:
        yield _held(file, CONTENT, "byte for byte its canonical file, below the declared header")
        return
    for kind in differences(left[cut.left :], right[cut.right :]):
        yield _difference(file, kind, rendered, canonical, cut)


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


def _difference(file: TemplateFile, kind: Difference, rendered: Rendered, canonical: Canonical, cut: Cut) -> Finding:
    left, right = rendered.content[cut.left :], canonical.content[cut.right :]
    at = cut.right + common_prefix(left, right)
    line = canonical.content.count(b"\n", 0, at) + 1
    sizes = f"{len(rendered.content):,} bytes rendered, {len(canonical.content):,} canonical"
    message = f"not {canonical.path}: {kind.in_words}, first at byte {at:,}, line {line} ({sizes})"
    if kind.can_be_shown:
        message = "\n".join((message, *_diff(rendered, canonical, cut)))
    remedy = f"bring the template and {canonical.path} together: correct the one that is wrong, and review the other"
    if kind is Difference.HEADER:
        remedy = "make the comments equal, or declare how long they are: header: {lines: N}"
    return _broken(file, CONTENT, kind.value, message, canonical.path, line=line, remedy=remedy)


def _diff(rendered: Rendered, canonical: Canonical, cut: Cut) -> Iterator[str]:
    """From the canonical file to the rendered one, without headers. What must not be shown is hidden on both sides."""
    old, new = lines_of(canonical.content[cut.right :]), lines_of(rendered.content[cut.left :])
    above_old, above_new = canonical.content.count(b"\n", 0, cut.right), rendered.content.count(b"\n", 0, cut.left)
    shown_old, shown_new = [rendered.secrets.hide(line) for line in old], rendered.shown_lines()[above_new:]
    return unified_diff(Side(canonical.path, old, shown_old, above_old), Side(f"{rendered.template} for {rendered.instance}", new, shown_new, above_new))


def _mode(file: TemplateFile) -> Iterator[Finding]:
    """Whether the file can be executed is all of its mode that version control keeps, so it is all that a canonical file says."""
    canonical = file.canonical
    if not isinstance(canonical, Canonical):
        return
    declared, path = bool(file.mode & 0o111), canonical.path
    if declared == canonical.executable:
        yield _held(file, MODE, f"{file.mode:04o}, and the canonical file agrees")
        return
    can, says = ("can", "it cannot") if canonical.executable else ("cannot", "it can")
    remedy = f"chmod {'+x' if declared else '-x'} {path}, or declare its `mode`"
    yield _broken(file, MODE, "mode", f"{path} {can} be executed, mode {file.mode:04o} says {says}", path, remedy=remedy)


def _target(file: TemplateFile) -> Iterator[Finding]:
    """What lies where the file will be written. Its content is not judged: a change that is still to be applied is no fault (docs/decisions/0010)."""
    if file.target is None:
        return
    path, seen = file.target.path, file.target.seen
    if isinstance(seen, Unseen):
        yield _unseen(file, TARGET, seen, path)
    elif not seen.present:
        yield _held(file, TARGET, "the target is not there yet")
    elif not stat.S_ISREG(seen.mode):
        remedy = f"move {path} out of the way: a regular file is written there"
        yield _broken(file, TARGET, "target-kind", f"{path} is no regular file but {_named(seen.mode)}", path, remedy=remedy)
    elif file.mode_stated and stat.S_IMODE(seen.mode) != file.mode:
        remedy = f"chmod {file.mode:04o} {path}, or declare the mode that it has"
        yield _broken(file, TARGET, "target-mode", f"{path} is {stat.S_IMODE(seen.mode):04o}, declared is {file.mode:04o}", path, remedy=remedy)
    else:
        yield _held(file, TARGET, f"the target is a file of {stat.S_IMODE(seen.mode):04o}")


def _named(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "a directory" if stat.S_ISDIR(mode) else "a device, socket or FIFO"


BYTE_EQUIVALENT = Guardrail(
    id="templates.byte_equivalent",
    title="each template renders to its canonical file, byte for byte, for each instance",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC, When.PREFLIGHT, When.POSTFLIGHT}),
    rationale="A template that has drifted from the file it was made for rewrites a live configuration when it is next rendered, with what nobody has read.",
    remedy="render the template, look at the difference, and correct the one that is wrong",
    subjects=rendered_instances,
    judge=judge_byte_equivalence,
)


# ---- nothing is left to be replaced


def judge_unresolved(instance: InstanceFiles) -> Broken | Unproven | Streamed:
    """Held when every template can be rendered, and no placeholder, merge marker or reference is left in what comes out."""
    findings = tuple(finding for file in instance.files for finding in _unresolved(file))
    files = len({finding.detail.what.partition(" ")[0] for finding in findings})
    return _judged(instance, findings, f"nothing is left to be replaced in {_files(files)} of {instance.instance}")


def _unresolved(file: TemplateFile) -> Iterator[Finding]:
    found = list(_left_in_template(file))
    yield from found
    match file.rendered:
        case NotRendered() as fault if fault.kind in UNRESOLVED_KINDS:
            yield _broken(file, CONTENT, fault.kind, fault.message, fault.file, line=fault.line, remedy=fault.remedy)
        case NotRendered() as fault:
            yield _unseen(file, CONTENT, Unseen(message=fault.message, remedy=fault.remedy), fault.file)
        case Unseen() as unseen:
            yield _unseen(file, CONTENT, unseen, file.source_path or file.canonical_path)
        case Rendered() as rendered:
            canonical = file.canonical if isinstance(file.canonical, Canonical) else None
            left = list(leftovers(rendered, canonical, file.names))
            for one in left:
                yield _left(file, one, file.source_path)
            if not left and not found:
                yield _held(file, CONTENT, "nothing is left to be replaced")


def _left_in_template(file: TemplateFile) -> Iterator[Finding]:
    if file.source is not None and file.source_path.endswith((".hbs", ".handlebars")):
        for one in handlebars_braces(file.source):
            yield _left(file, one, file.source_path)


def _left(file: TemplateFile, left: Leftover, path: str) -> Finding:
    said, remedy = _LEFT[left.kind]
    message = f"{said.format(left.text)}, line {left.line} of what {path or file.template} renders to"
    if left.kind == "handlebars-braces":
        message = f"{path}:{left.line}: {said.format(left.text)}"
    about = f" {left.kind} {left.text}"
    return _broken(file, about, left.kind, message, path, line=left.line if left.kind == "handlebars-braces" else None, remedy=remedy.format(left.text))


_LEFT = {
    "merge-marker": ("the merge marker {} is left", "decide the merge, and remove the marker lines"),
    "placeholder": ("the placeholder {} is left", "render the template with what replaces {}; if it is meant, let the reviewed canonical file hold it"),
    "variable": ("{} is left, for the file is copied as it is", "write `renderer: substitute`; if it is meant, let the reviewed canonical file hold it"),
    "placeholder-in-value": ("the value of {} holds a placeholder, and a value is not looked at again", "write out what it stands for in the value of {}"),
    "handlebars-braces": (
        "{} is a parse error in Handlebars: the three braces end a raw `{{{{{{`",
        "write the value raw, which ends with the three braces: `${{VAR:-{{{{{{x}}}}}}}}`",
    ),
}


UNRESOLVED = Guardrail(
    id="templates.unresolved",
    title="no placeholder, merge marker or undefined variable is left in a rendered file",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="A server reads `{{ host }}` as a host name, and a half-merged file as whatever its parser makes of it; both start, and both are wrong.",
    remedy="render the template with every value, and decide every merge",
    subjects=rendered_instances,
    judge=judge_unresolved,
)


# ---- no file is suddenly another size


def judge_size_change(instance: InstanceFiles) -> Broken | Unproven | Streamed:
    """Held when no file would grow or shrink by more than a fifth, unless each step that writes it says yes to that."""
    findings = tuple(_size(file) for file in instance.files)
    return _judged(instance, findings, f"{_files(len(findings))} of {instance.instance}: none grows or shrinks much without a yes")


SIZE = " size"


def _size(file: TemplateFile) -> Finding:
    match file.rendered, file.target.seen if file.target is not None else None:
        case NotRendered() as fault, _:
            return _unseen(file, SIZE, Unseen(message=fault.message, remedy=fault.remedy), fault.file)
        case Unseen() as unseen, _:
            return _unseen(file, SIZE, unseen, file.source_path)
        case _, Unseen() as unseen:
            return _unseen(file, SIZE, unseen, file.target.path if file.target else "")
        case Rendered() as rendered, StatAnswer() as seen:
            return _sized(file, len(rendered.content), seen, rendered.target)
        case _:
            return _unseen(file, SIZE, Unseen(message="its target was not looked at", remedy="observe again"), file.canonical_path)


def _sized(file: TemplateFile, new: int, seen: StatAnswer, path: str) -> Finding:
    if not seen.present:
        return _held(file, SIZE, "it would be created")
    if not stat.S_ISREG(seen.mode):
        return _unseen(file, SIZE, Unseen(message=f"{path} is no regular file", remedy=f"move {path} out of the way"), path)
    old = seen.size
    percent = abs(new - old) * 100 // old if old else new * 100
    if abs(new - old) * 100 <= MUCH * old:
        return _held(file, SIZE, f"its size changes by {MUCH} % at most")
    how, kind = ("grow", "grows") if new > old else ("shrink", "shrinks")
    message = f"{path} would {how} from {old:,} to {new:,} bytes" + (f", by {percent} %" if old else "")
    if file.resized:
        return _held(file, SIZE, f"{message}, and each step that writes it says yes")
    remedy = f"read the difference; if it is meant, write `resized: [{file.template}]` into the write-files step"
    detail = Detail(what=file.template + SIZE, outcome=Outcome.BROKEN, kind=kind, message=f"{file.template}: {message}", file=path, value=percent)
    return Finding(detail, remedy)


SIZE_CHANGE = Guardrail(
    id="templates.size_change",
    title="a file that would grow or shrink by more than 20 % has an explicit yes in the plan",
    severity=Severity.HIGH,
    when=frozenset({When.PREFLIGHT}),
    rationale="A configuration that triples in size is another configuration: somebody merged two, or the wrong template was rendered.",
    remedy="read the difference, and say yes to it: `resized:` in the write-files step",
    subjects=rendered_instances,
    judge=judge_size_change,
)
