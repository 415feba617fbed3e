"""Does what the operator wrote below `expect:` hold? One guardrail for each of the five kinds; `interlock.observe.expect` looks."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Sequence
from typing import Any

from interlock.config.models import Site
from interlock.facts.backups import mode_text
from interlock.facts.expect import CommandSeen, FileSeen, HttpSeen, PortSeen, SqlSeen, json_at
from interlock.verdicts import Broken, Guardrail, Held, Severity, Subject, Unproven, When

SHOWN = 200  # characters of an answer that a message quotes


def entries(kind: str) -> Callable[[Site], Sequence[Subject]]:
    """The site's entries of one kind, each with the severity and the gates that it states."""

    def subjects(site: Site) -> Sequence[Subject]:
        return [
            Subject(name=name, host=entry.host, severity=entry.severity, when=frozenset(When(gate) for gate in entry.when))
            for name, entry in site.expect.items()
            if entry.kind == kind
        ]

    return subjects


def judge_file(file: FileSeen) -> Held | Broken | Unproven:
    """Held when the path exists with the mode, owner and content that are stated."""
    if not file.seen.present:
        return Broken(f"{file.path} does not exist", kind="absent")
    mode = stat.S_IMODE(file.seen.mode)
    if file.mode is not None and mode != file.mode:
        return Broken(f"{file.path} is {mode_text(mode)}, expected {mode_text(file.mode)}", kind="mode", remedy=f"chmod {mode_text(file.mode)} {file.path}")
    if file.owner is not None and file.owner_uid is None:
        return Broken(f"this host has no user {file.owner}, who should own {file.path}", kind="owner")
    if file.owner is not None and file.seen.uid != file.owner_uid:
        return Broken(f"{file.path} belongs to uid {file.seen.uid}, expected {file.owner}", kind="owner", remedy=f"chown {file.owner} {file.path}")
    if file.contains is not None and file.contains.encode() not in (file.content or b""):
        return Broken(f"{file.path} does not contain {file.contains!r}", kind="content")
    return Held(f"{file.path} is there, {mode_text(mode)}")


def judge_port(port: PortSeen) -> Held | Broken:
    """Held when the address accepts connections exactly when it should."""
    if port.accepted == port.listening:
        return Held(f"{port.address} {port.how}")
    wanted = "should accept connections" if port.listening else "should not"
    return Broken(f"{port.address} {port.how}, and {wanted}", kind="listening" if port.accepted else "silent")


def judge_http(http: HttpSeen) -> Held | Broken:
    """Held when the answer has the status, text and JSON values that are stated."""
    if http.failure:
        return Broken(f"{http.url} did not answer: {http.failure}", kind="no-answer", remedy="look at the service's log")
    if http.status != http.expected_status:
        return Broken(f"{http.url} answered {http.status}, expected {http.expected_status}: {_quote(http.body)}", kind="status")
    if http.contains is not None and http.contains.encode() not in http.body:
        return Broken(f"{http.url} does not say {http.contains!r}: {_quote(http.body)}", kind="content")
    fault = _json_fault(http) if http.json_values else ""
    return Broken(f"{http.url}: {fault}", kind="json") if fault else Held(f"{http.url} answered {http.status}")


def _json_fault(http: HttpSeen) -> str:
    try:
        document: Any = json.loads(http.body)
    except ValueError:
        return f"the answer is no JSON: {_quote(http.body)}"
    for path, wanted in http.json_values.items():
        found, value = json_at(document, path)
        if not found:
            return f"the answer has no {path}"
        if value != wanted or isinstance(value, bool) != isinstance(wanted, bool):
            return f"{path} is {value!r}, expected {wanted!r}"
    return ""


def judge_command(command: CommandSeen) -> Held | Broken:
    """Held when the command ended with the exit code and output that are stated."""
    name = command.argv[0]
    if command.exit != command.expected_exit:
        why = f": {command.stderr_tail[-SHOWN:]}" if command.stderr_tail else ""
        return Broken(f"{name} ended with {command.exit}, expected {command.expected_exit}{why}", kind="exit")
    if command.stdout_contains is not None and command.stdout_contains not in command.stdout:
        return Broken(f"{name} did not print {command.stdout_contains!r}: {command.stdout[:SHOWN]!r}", kind="output")
    return Held(f"{name} ended with {command.exit}")


def judge_sql(sql: SqlSeen) -> Held | Broken:
    """Held when the query returns exactly one row with one column that equals the stated value."""
    if len(sql.rows) != 1 or len(sql.rows[0]) != 1:
        shape = "no row" if not sql.rows else "more than one row" if len(sql.rows) > 1 else f"{len(sql.rows[0])} columns"
        return Broken(f"the query returned {shape}, expected one value", kind="shape")
    value = sql.rows[0][0]
    if value != sql.value or isinstance(value, bool) != isinstance(sql.value, bool):
        return Broken(f"the query returned {value!r}, expected {sql.value!r}", kind="value")
    return Held(f"the query returned {value!r}")


def _quote(body: bytes) -> str:
    return repr(body[:SHOWN].decode("utf-8", "replace"))


def _guardrail(kind: str, title: str, judge: Callable[[Any], Held | Broken | Unproven]) -> Guardrail:
    return Guardrail(
        id=f"expect.{kind}",
        title=title,
        severity=Severity.HIGH,
        when=frozenset({When.PREFLIGHT, When.POSTFLIGHT}),
        rationale="The operator knows best what a working system looks like; what they wrote down is asked before and after every change.",
        remedy="mend the system, or the entry below `expect:` in the site file",
        subjects=entries(kind),
        judge=judge,
        max_age=60,
    )


FILE = _guardrail("file", "the file is there, with the stated mode, owner and content", judge_file)
PORT = _guardrail("port", "the address accepts connections exactly when it should", judge_port)
HTTP = _guardrail("http", "the URL answers with the stated status, text and JSON values", judge_http)
COMMAND = _guardrail("command", "the command ends with the stated exit code and output", judge_command)
SQL = _guardrail("sql", "the query returns the stated value", judge_sql)
