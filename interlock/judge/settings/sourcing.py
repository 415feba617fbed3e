"""Is the env file that docker compose reads run by a shell? `interlock.observe.env_files` brings the scripts that do."""

from __future__ import annotations

from interlock.facts.env_sourcing import Handed, Hands, SourcedFiles
from interlock.judge.tree import found, scripts, unread
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Unproven, When


def judge_sourcing(sourced: SourcedFiles) -> Held | Broken | Unproven:
    """Held when no script of a host hands an env file of docker compose to a shell."""
    if not sourced.files.paths:
        return Held("docker compose reads no env file here")
    details = (*(_detail(one) for one in sourced.handed), *unread(sourced.unreadable))
    held = f"no script hands an env file of docker compose to a shell: {sourced.scripts} were read"
    return found(details, held=held, remedy="take the keys that the script needs out of the file one by one: `sed -n 's/^KEY=//p' .env`")


def _detail(one: Handed) -> Detail:
    match one.how:
        case Hands.SOURCE | Hands.EVAL:
            does = "a value with a blank, `$`, `>` or a quote in it, which compose takes as text, stops the script or is run as a command"
        case Hands.EXPORT:
            does = "a value with a blank or a quote in it, which compose takes as text, arrives cut off"
    message = f"{one.script}:{one.line} {one.how.told} {one.env_file}, which docker compose reads: {does}"
    return Detail(what=f"{one.script}: {one.env_file}", outcome=Outcome.BROKEN, kind=one.how.value, message=message, file=one.script, line=one.line)


FILE_NOT_SOURCED = Guardrail(
    id="env.file_not_sourced",
    title="no script of a host runs the env file that docker compose reads",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="Compose takes a value as text, a shell runs it: one free text with a quote or a `>` in it, and every upgrade and backup script stops.",
    remedy="read the single keys that a script needs, and let docker compose alone read the file",
    subjects=scripts,
    judge=judge_sourcing,
)
