"""Do the compose files say what their authors believe they say? `interlock.observe.compose` brings their text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from interlock.config.models import Site
from interlock.facts.compose import Break, ComposeText, Duplicate, Marker
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, When

SHOWN = 3  # findings that the one sentence names; the details name all


def compose_files(site: Site) -> Sequence[Subject]:
    """Each compose file of the site, named by its path."""
    return [Subject(name=path) for path in dict.fromkeys(site.compose.files)] if site.compose else []


def judge_strict_parse(text: ComposeText) -> Held | Broken:
    """Held when no key stands twice in a mapping, no conflict marker was left, and the file can be read to its end."""
    findings = tuple(_findings(text))
    if not findings:
        return Held(f"{text.path} can be read to its end: {text.keys} keys, none twice, no conflict marker")
    shown = "; ".join(finding.message for finding in findings[:SHOWN])
    more = f"; and {len(findings) - SHOWN} more" if len(findings) > SHOWN else ""
    return Broken(f"{text.path}: {shown}{more}", remedy=_remedy(text), kind=findings[0].kind, details=findings)


def _findings(text: ComposeText) -> Iterator[Detail]:
    """Markers, then keys, then the break; a break in a file with markers is their doing and goes without saying."""
    for marker in text.markers:
        yield _marker(text.path, marker)
    for duplicate in text.duplicates:
        yield _duplicate(text.path, duplicate)
    if text.broken_off and not text.markers:
        yield _broken_off(text.path, text.broken_off)


def _marker(path: str, marker: Marker) -> Detail:
    message = f"line {marker.line}: conflict marker {marker.text}"
    return _detail(f"conflict {marker.conflict} {marker.text}", "conflict-marker", message, path, marker.line)


def _duplicate(path: str, duplicate: Duplicate) -> Detail:
    *others, last = duplicate.lines
    lines = f"{', '.join(map(str, others))} and {last}"
    return _detail(duplicate.path, "duplicate-key", f"key {duplicate.path} stands on lines {lines}", path, last)


def _broken_off(path: str, broken_off: Break) -> Detail:
    return _detail("syntax", "syntax", f"line {broken_off.line}, column {broken_off.column}: {broken_off.why}", path, broken_off.line)


def _detail(what: str, kind: str, message: str, path: str, line: int) -> Detail:
    return Detail(what=what, outcome=Outcome.BROKEN, kind=kind, message=message, file=path, line=line)


def _remedy(text: ComposeText) -> str:
    if text.markers:
        return f"finish the merge: choose between what stands on both sides of ======= in {text.path}, and take the marker lines out"
    if text.duplicates:
        return f"keep one of them in {text.path}; which one counts differs between programs"
    return f"correct {text.path}; `docker compose -f {text.path} config --quiet` reads it as the deployment will"


STRICT_PARSE = Guardrail(
    id="compose.strict_parse",
    title="a compose file can be read to its end, has no key twice and no conflict marker",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="Of two keys with one name many readers drop one without a word, a volume or a limit with it; a file with a conflict marker starts nothing.",
    remedy="keep one of the two keys; finish the merge and take the markers out",
    subjects=compose_files,
    judge=judge_strict_parse,
)
