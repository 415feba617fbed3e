"""How do findings stand beside the lines of a pull request on GitHub or Forgejo? As workflow commands on standard output: errors, warnings and notices.

GitHub shows ten of each a step, so the gravest come first, and a notice says how many there are. What others wrote is escaped, and while the whole text is
printed below them no line of it is a command. Source: docs.github.com, Workflow commands for GitHub Actions.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping

from interlock.evidence import scan_text
from interlock.evidence.details import Details
from interlock.evidence.findings import Found, findings
from interlock.evidence.links import why
from interlock.evidence.record import Record
from interlock.evidence.visible import clipped, visible
from interlock.evidence.wording import headline, number
from interlock.verdicts import Severity

SHOWN = 10  # of each kind a step
_MESSAGE_BYTES, _TITLE_BYTES = 2_000, 200


def render(record: Record, details: Details, prefix: str = "", titles: Mapping[str, str] | None = None) -> Iterator[str]:
    """The commands, then all findings as text. `prefix` leads from the repository to the scanned tree: GitHub knows files by their path in the repository."""
    found = findings(record, details)
    kinds: dict[str, list[Found]] = {"error": [], "warning": [], "notice": []}
    for one in found:
        kinds[_kind(one)].append(one)
    told = [f"{headline(record)} (exit code {record.exit_code}): {number(len(found), 'finding')}"]
    told += [f"{len(those)} {kind}s, of which {SHOWN} are shown here" for kind, those in kinds.items() if len(those) > SHOWN]
    others = [reason for reason in record.reasons if not reason.guardrail or reason.code not in (1, 10, 11)]
    yield _command("notice", {"title": "interlock scan"}, "; ".join(told))
    for reason in others[:SHOWN]:
        yield _command("error", {"title": "interlock scan"}, f"{reason.text}. Remedy: {reason.remedy}" if reason.remedy else reason.text)
    room = {"error": SHOWN - min(len(others), SHOWN // 2), "warning": SHOWN, "notice": SHOWN - 1}
    for kind, those in kinds.items():
        for one in those[: room[kind]]:
            yield _annotation(kind, one, prefix)
    token = secrets.token_hex(16)
    yield f"::group::{headline(record)}: every finding\n::stop-commands::{token}\n"
    yield from scan_text.render(record, details, titles=titles)
    yield f"::{token}::\n::endgroup::\n"


def _kind(one: Found) -> str:
    if one.shuts or one.severity in (Severity.CRITICAL, Severity.HIGH):
        return "error"
    return "warning" if one.severity is Severity.MEDIUM else "notice"


def _annotation(kind: str, one: Found, prefix: str) -> str:
    place = {"file": prefix + one.file} if one.file and not one.file.startswith("/") else {}
    if place and one.line:
        place["line"] = str(one.line)
    age = f" ({one.age})" if one.age is not None else ""
    parts = [one.said if one.file else f"{', '.join(one.subjects)}: {one.said}"]
    parts += [f"Remedy: {one.remedy}"] if one.remedy else []
    parts += [f"Why: {why(one.guardrail)}"]
    return _command(kind, {**place, "title": f"{one.guardrail}{age}"}, "\n".join(clipped(part, _MESSAGE_BYTES) for part in parts))


def _command(name: str, properties: Mapping[str, str], message: str) -> str:
    told = ",".join(f"{key}={_escaped_property(value)}" for key, value in properties.items())
    return f"::{name} {told}::{_escaped(message)}\n"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(text: str) -> str:
    """A name with characters that do not show is not found by GitHub, and does nothing on the terminal of whoever reads the log."""
    return _escaped(visible(text)).replace(":", "%3A").replace(",", "%2C")
