"""What does an operator open who wants to see a run? One page that needs nothing beside itself: no request, no script; light and dark, on paper and on a phone.

Decision, what was looked at and when, the picture of disks and containers, every verdict with what is broken first, what was waived, how to verify. All that
others wrote is text here and nothing else; a policy in the page's head has the browser refuse everything that it does not bring itself.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from html import escape

from interlock.evidence import svg_shapes, topology_svg
from interlock.evidence.details import Details
from interlock.evidence.record import Record, WaivedBy
from interlock.evidence.topology_svg import Picture
from interlock.evidence.visible import clipped
from interlock.evidence.wording import (
    GRAVITY,
    approvers,
    asked_for,
    asked_waivers,
    broken_glass,
    ended_in_words,
    gravest_first,
    headline,
    is_self_approved,
    known_in_words,
    number,
    outcome_in_words,
    reason_in_words,
    steps_in_words,
    tally_in_words,
    waived_by,
)
from interlock.patterns import regex
from interlock.verdicts import Outcome, Verdict

MOST_VERDICTS = 2_000  # rows of the table; record.json has them all
MOST_REASONS = 200
MOST_PLACES = 25  # of one verdict
_TEXT, _NAME = 1_500, 300  # bytes of one message and of one name

STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#57606a;--rim:#d0d7de;--box:#f6f8fa;--bad:#b3121d;--bad-box:#fff1f0;--odd:#7a4d00;
--odd-box:#fff8e5;--good:#116329}
@media screen and (prefers-color-scheme:dark){:root{--bg:#0f1318;--fg:#e6edf3;--dim:#a3adb8;--rim:#3d444d;--box:#1a2027;
--bad:#ff7b72;--bad-box:#3a1518;--odd:#e3b341;--odd-box:#2d2410;--good:#56d364}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1272px;padding:16px 24px 48px;background:var(--bg);color:var(--fg);
font:15px/1.45 system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}
h1{font-size:26px;margin:8px 0}
h2{font-size:19px;margin:32px 0 8px}
code{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
.word{display:inline-block;padding:2px 12px;border:3px solid var(--good);color:var(--good);border-radius:6px}
.shut .word{border-style:double;border-width:5px;border-color:var(--bad);color:var(--bad)}
.loud{border-left:6px double var(--odd);background:var(--odd-box);padding:6px 12px;font-weight:700}
.scroll{overflow-x:auto;border:1px solid var(--rim);border-radius:6px}
.scroll:focus-visible{outline:3px solid var(--fg)}
.il-topology{display:block}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:6px 10px;border-top:1px solid var(--rim);overflow-wrap:anywhere}
td:nth-child(2){min-width:200px}
td:nth-child(3){min-width:120px}
td:nth-child(4){min-width:280px}
td:nth-child(5){min-width:150px}
td:first-child{white-space:nowrap;font-weight:700}
.broken td:first-child{color:var(--bad)}
.broken td:first-child::before{content:"\\2717\\00a0"}
.not_run td:first-child,.unproven td:first-child,.waived td:first-child{color:var(--odd)}
.unproven td:first-child::before,.not_run td:first-child::before{content:"?\\00a0"}
.waived td:first-child::before{content:"W\\00a0"}
.held td:first-child::before{content:"\\2713\\00a0"}
.held td,.not_applicable td{color:var(--dim)}
.broken td{background:var(--bad-box)}
.dim{color:var(--dim)}
li{margin:4px 0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:12px 0}
dt{color:var(--dim)}
dd{margin:0;overflow-wrap:anywhere}
@media (max-width:640px){body{padding:12px 12px 32px}dl{gap:2px 10px}table,tbody,tr,td{display:block}thead{display:none}
tr{border-top:2px solid var(--rim);padding:6px 0}td{border:0;padding:2px 8px}td:nth-child(n){min-width:0}ul{padding-left:20px}
td:nth-child(5):not(:empty)::before{content:"remedy: "}}
@page{size:landscape;margin:12mm}
@media print{:root{color-scheme:light}body{max-width:none;padding:0;font-size:12px}code{font-size:11px}td:nth-child(2){min-width:205px}
td:nth-child(3){min-width:90px}td:nth-child(4),td:nth-child(5){min-width:180px}li,dl{break-inside:avoid}h2{break-after:avoid}h2:has(+.scroll){display:none}
.scroll{break-before:page}details::details-content{content-visibility:visible}
.scroll{overflow:visible;border:0}.il-topology{width:100%;height:auto}}
"""


def render(record: Record, _details: Details, picture: Picture | None = None) -> Iterator[str]:
    """The page, section by section. `picture` is None for a run that saw no disks."""
    yield from _head(record)
    yield from _facts(record)
    yield from _list("Why the gate is shut", _reasons(record), len(record.reasons))
    yield from _list("What was done", (f"<li>step <code>{_said(step, _NAME)}</code></li>\n" for step in steps_in_words(record)), len(record.steps))
    yield from _list("Waived: broken, and let through", _waived(record), len(asked_waivers(record)) + len(known_in_words(record)))
    yield from _picture(record, picture)
    yield from _verdicts(record)
    yield from _list("Not used here", _not_used(record), len(record.not_used))
    yield from _how_to_verify(record)
    yield "</main>\n</body>\n</html>\n"


def _said(text: str, limit: int = _TEXT) -> str:
    """Somebody else's text, which does nothing."""
    return escape(clipped(text, limit), quote=True)


def _prose(text: str) -> str:
    """A sentence of somebody else: what stands between two backticks in it is code, a backtick alone is a backtick."""
    pieces = _CODE.split(clipped(text, _TEXT))
    return "".join(f"<code>{escape(piece)}</code>" if number % 2 else escape(piece) for number, piece in enumerate(pieces))


_CODE = regex("`([^`]+)`")


def _hash(style: str) -> str:
    """How a policy allows this style and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"


# ---- the head


def _head(record: Record) -> Iterator[str]:
    policy = f"default-src 'none'; style-src {_hash(STYLE)} {_hash(svg_shapes.STYLE)}; base-uri 'none'; form-action 'none'"
    title = _said(f"{headline(record)}: {asked_for(record)} of {record.target.site}", _NAME)
    yield f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="referrer" content="no-referrer">\n'
    yield f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n"
    ended = ended_in_words(record)
    state = "open" if record.exit_code == 0 else "shut"
    yield f'<body>\n<main>\n<h1 class="{state}"><span class="word">{_said(headline(record), _NAME)}</span> {_said(asked_for(record), _NAME)}</h1>\n'
    yield f"<p><strong>{_prose(ended[0].upper() + ended[1:])}</strong> (exit code {record.exit_code}). {_said(tally_in_words(record))}.</p>\n"
    for loud in _loud(record):
        yield f'<p class="loud">{_said(loud)}</p>\n'


def _loud(record: Record) -> Iterator[str]:
    """What nobody may read over."""
    if glass := broken_glass(record):
        yield f"BREAK-GLASS: without its second person, by {glass}"
    if is_self_approved(record):
        yield "SELF-APPROVED: the planner approved this plan."
    if record.waivers:
        yield f"WAIVED: {number(len(record.waivers), 'waiver')} in use; what is waived is broken."
    if record.replayed:
        yield "Judged on replayed facts: this says nothing of the system as it is now."


def _facts(record: Record) -> Iterator[str]:
    run, target = record.run, record.target
    rows = [
        ("site", target.site),
        ("looked at", f"{run.started} to {run.ended}"),
        ("by", f"{run.user}@{run.host}"),
        ("run", run.id),
        ("site file", target.file or "none: discovered"),
    ]
    if target.git:
        rows.append(("commit", f"{target.git.commit}{' with uncommitted changes' if target.git.dirty else ''}"))
    if record.plan:
        rows.append(("plan", f"{record.plan.digest} for {record.plan.action}"))
    if record.of_action:
        rows.append(("approved by", ", ".join(approvers(record)[:10]) or "the operator alone: it asks for nobody else"))
    yield "<dl>\n"
    yield from (f"<dt>{name}</dt><dd><code>{_said(value)}</code></dd>\n" for name, value in rows)
    yield "</dl>\n"


# ---- lists


def _list(title: str, items: Iterable[str], total: int) -> Iterator[str]:
    """A heading and the first of the `total` items; nothing at all without one."""
    if not total:
        return
    yield f"<h2>{title}</h2>\n<ul>\n"
    shown = 0
    for item in items:
        if shown == MOST_REASONS:
            break
        shown += 1
        yield item
    if shown < total:
        yield f"<li>and {total - shown:,} more: see <code>record.json</code></li>\n"
    yield "</ul>\n"


def _reasons(record: Record) -> Iterator[str]:
    for reason, severity in gravest_first(record):
        grave = f" ({severity})" if severity else ""
        names = " ".join(f"<code>{_said(name, _NAME)}</code>" for name in (reason.guardrail, reason.subject) if name)
        remedy = f"<br>remedy: {_prose(reason.remedy)}" if reason.remedy else ""
        yield f"<li>{names} <strong>{_said(reason_in_words(reason.code))}</strong>{grave}: {_prose(reason.text)}{remedy}</li>\n"


def _waived(record: Record) -> Iterator[str]:
    for known in known_in_words(record):
        yield f"<li><strong>WAIVED {_said(known)}</strong></li>\n"
    for waiver in asked_waivers(record):
        who = f"waiver {waiver.id}, owner {waiver.owner}, approved by {waiver.approver}, ticket {waiver.ticket}"
        who = who if waiver.by is WaivedBy.WAIVER else waived_by(waiver)
        what = f"<code>{_said(waiver.guardrail, _NAME)}</code> <code>{_said(waiver.subject, _NAME)}</code>"
        yield f"<li><strong>WAIVED {what} until {_said(waiver.expires_at, _NAME)}: {_prose(waiver.reason)}</strong> ({_said(who)})</li>\n"


def _not_used(record: Record) -> Iterator[str]:
    for name, why in sorted(record.not_used.items()):
        yield f"<li><code>{_said(name, _NAME)}</code>: {_prose(why)}</li>\n"


# ---- the picture


def _picture(record: Record, picture: Picture | None) -> Iterator[str]:
    yield "<h2>Disks, mounts, containers, paths</h2>\n"
    if picture is None:
        why = record.not_used.get("mounts")
        said = f"mounts are not used here: {why}" if why else "there is no picture: this run looked at no declared disk (`mounts:` in the site file names them)"
        yield f'<p class="dim">{_prose(said[0].upper() + said[1:])}.</p>\n'
        return
    yield '<div class="scroll" tabindex="0" role="region" aria-label="Disks, mounts, containers and paths">\n'
    yield from topology_svg.render(picture)
    yield "</div>\n"


# ---- verdicts


def _verdicts(record: Record) -> Iterator[str]:
    total = len(record.verdicts) + len(record.without_verdict)
    if not total:
        return
    yield "<h2>What was judged</h2>\n<table>\n"
    yield "<thead><tr><th>outcome</th><th>guardrail</th><th>subject</th><th>what was found</th><th>remedy</th></tr></thead>\n"
    yield "<tbody>\n"
    shown = 0
    for row in _rows(record):
        if shown == MOST_VERDICTS:
            break
        shown += 1
        yield row
    yield "</tbody>\n</table>\n"
    if shown < total:
        yield f'<p class="loud">Not shown here: {total - shown:,} more of {total:,}, none graver than these. See <code>record.json</code>.</p>\n'


def _rows(record: Record) -> Iterator[str]:
    """What needs a human first stands first."""
    for outcome in GRAVITY:
        if outcome is Outcome.NOT_RUN:
            for one in record.without_verdict:
                yield _row(outcome, one.guardrail, one.subject, "required, and nothing was recorded of it", "")
        for verdict in record.verdicts:
            if verdict.outcome is outcome:
                yield _row(outcome, verdict.guardrail, verdict.subject, _message(verdict), _prose(verdict.remedy))


def _row(outcome: Outcome, guardrail: str, subject: str, message: str, remedy: str) -> str:
    names = f"<td><code>{_said(guardrail, _NAME)}</code></td><td><code>{_said(subject, _NAME)}</code></td>"
    return f'<tr class="{outcome.value}"><td>{outcome_in_words(outcome)}</td>{names}<td>{message}</td><td>{remedy}</td></tr>\n'


def _message(verdict: Verdict) -> str:
    """The sentence of a verdict, and the places that do not hold, folded away."""
    said = _prose(verdict.message)
    counts = verdict.details
    wrong = counts.broken + counts.unproven
    if wrong < 2 or not verdict.where:
        return said
    places = "".join(f"<li>{_prose(place.message)}</li>" for place in verdict.where[:MOST_PLACES])
    more = f"<li>and {wrong - MOST_PLACES:,} more: see <code>details.jsonl</code></li>" if wrong > MOST_PLACES else ""
    return f"{said}<details><summary>{number(wrong, 'detail')} of {counts.total:,}</summary><ul>{places}{more}</ul></details>"


# ---- how to verify


def _how_to_verify(record: Record) -> Iterator[str]:
    run = record.run
    yield "<h2>How to verify</h2>\n"
    yield f"<p>Take the run's folder and say <code>interlock verify {_said(run.id, _NAME)}</code>; <code>sha256sum -c SHA256SUMS</code> alone shows that no"
    yield " file changed since.</p>\n<ul>\n"
    yield f"<li>record.json <code>{record.digest}</code></li>\n"
    yield f"<li>details.jsonl <code>{record.details.sha256}</code>, {number(record.details.count, 'line')}</li>\n"
    if record.facts.sha256:
        yield f"<li>facts.json <code>{record.facts.sha256}</code></li>\n"
    yield f"<li>the site's record before this one: <code>{_said(record.previous or 'none', _NAME)}</code></li>\n"
    yield f"<li>interlock {_said(run.interlock, _NAME)}, Python {_said(run.python, _NAME)}, pytest {_said(run.pytest, _NAME)}</li>\n</ul>\n"
