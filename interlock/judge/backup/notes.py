"""Is there a note that says how a module is restored, and did somebody decide that it may be backed up so? From files and the checkout's history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from interlock.config.backup_classes import class_of
from interlock.config.models import BackupClass, Site
from interlock.facts.backups import PLACEHOLDER, LastChange, RestoreNote, prose
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, When, in_short

NEEDS_A_NOTE = frozenset({BackupClass.A, BackupClass.B, BackupClass.C, BackupClass.D})


def modules_with_notes(site: Site) -> Sequence[Subject]:
    """The modules of classes A to D, and those whose patterns contradict each other; from files alone, whatever host they run on."""
    return [Subject(name=name) for name in site.modules if (letter := class_of(site, name)) is None or letter in NEEDS_A_NOTE]


def judge_restore_note(note: RestoreNote) -> Held | Broken | Unproven:
    """Held when the note is there, says something, is not older than the procedure, and the decision is recorded."""
    details = tuple(_details(note))
    if faults := [detail for detail in details if detail.outcome is Outcome.BROKEN]:
        return Broken(f"{note.module} (class {note.backup_class}): {in_short(faults)}", kind=faults[0].kind, remedy=_REMEDIES[faults[0].kind], details=details)
    if unseen := [detail for detail in details if detail.outcome is Outcome.UNPROVEN]:
        return Unproven(
            in_short(unseen), remedy="judge a git checkout with its history (in CI: `fetch-depth: 0`; else `git fetch --unshallow`)", details=details
        )
    return Held(f"{note.module} (class {note.backup_class}): {in_short(details)}", details=details)


_REMEDIES = {
    "no-note": "write how it is restored, and name the file as the module's `restore_note`",
    "note-missing": "write the file, or correct `restore_note` in the site file",
    "note-empty": "write the steps of a restore into it, as they were tried",
    "note-older": "read the note beside the procedure, correct it, and commit it: even `checked against it` with a date is a change",
    "no-decision": "let the operator decide, and write who and when as the module's `decision`",
}


def _details(note: RestoreNote) -> Iterator[Detail]:
    if note.text is None:
        kind, message = ("note-missing", f"{note.path} is not there") if note.path else ("no-note", "no restore note is named")
        yield _detail(note, Outcome.BROKEN, "restore note", kind, message)
    elif not (lines := prose(note.text)):
        yield _detail(note, Outcome.BROKEN, "restore note", "note-empty", f"{note.path} holds nothing but headings")
    else:
        yield _detail(note, Outcome.HELD, "restore note", "", f"{note.path} says in {len(lines)} lines how it is restored")
        yield from _age(note)
    if PLACEHOLDER.fullmatch(note.decision.strip().lower()):
        message = f"no operator's decision is recorded, and class {note.backup_class} needs one before its first backup"
        yield _detail(note, Outcome.BROKEN, "decision", "no-decision", message, file="")
    else:
        yield _detail(note, Outcome.HELD, "decision", "", f"decided: {' '.join(note.decision.split())}", file="")


def _detail(note: RestoreNote, outcome: Outcome, what: str, kind: str, message: str, *, file: str | None = None) -> Detail:
    return Detail(what=what, outcome=outcome, kind=kind, message=message, file=note.path if file is None else file)


def _age(note: RestoreNote) -> Iterator[Detail]:
    """Whether the note is as new as the procedure, by the commits that changed them last."""
    if not note.procedure:
        return
    older = _is_older(note.note_changed, note.procedure_changed)
    if older is None:
        message = f"nobody can tell whether {note.path} is newer than {note.procedure}: the commits that changed them are not known here"
        yield _detail(note, Outcome.UNPROVEN, "age", "age-unknown", message)
    elif older:
        message = f"{note.procedure} was changed after {note.path}, which still describes how it was before"
        yield _detail(note, Outcome.BROKEN, "age", "note-older", message)
    else:
        yield _detail(note, Outcome.HELD, "age", "", f"it is not older than {note.procedure}")


def _is_older(note: LastChange | None, procedure: LastChange | None) -> bool | None:
    """None where the history that would tell it is missing: no checkout, or both changed before a shallow one begins."""
    if note is None or procedure is None:
        return None
    if note.uncommitted or procedure.uncommitted:
        return not note.uncommitted
    if note.oldest_known and procedure.oldest_known:
        return None
    return note.committed < procedure.committed


RESTORE_NOTES = Guardrail(
    id="backups.restore_notes",
    title="a module of class A to D has a restore note that says something and is not older than its procedure, and an operator's decision",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="A dump that nobody knows how to put back is no backup; and a procedure that changed without its note is restored by yesterday's steps.",
    remedy="write the note, keep it beside the procedure, and record who decided that backups of this class may be taken",
    subjects=modules_with_notes,
    judge=judge_restore_note,
)
