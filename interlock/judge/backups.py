"""Is a backup private, complete and proven? The family's guardrails and judgements in one place; each lies in `interlock.judge.backup`, by its subject."""

from __future__ import annotations

from interlock.judge.apply_paths import BEFORE_APPLY, NEVER_AUTOMATIC, judge_before_apply, judge_never_automatic
from interlock.judge.backup.contents import COMPLETE, judge_complete
from interlock.judge.backup.coverage import COVERAGE, judge_coverage
from interlock.judge.backup.modules import CLASS_ASSIGNED, judge_classes
from interlock.judge.backup.newest import FRESH, INTACT, judge_fresh, judge_intact
from interlock.judge.backup.notes import RESTORE_NOTES, judge_restore_note
from interlock.judge.backup.privacy import MODE_0600, judge_directory, judge_privacy, judge_writer

__all__ = [
    "BEFORE_APPLY",
    "CLASS_ASSIGNED",
    "COMPLETE",
    "COVERAGE",
    "FRESH",
    "INTACT",
    "MODE_0600",
    "NEVER_AUTOMATIC",
    "RESTORE_NOTES",
    "judge_before_apply",
    "judge_classes",
    "judge_complete",
    "judge_coverage",
    "judge_directory",
    "judge_fresh",
    "judge_intact",
    "judge_never_automatic",
    "judge_privacy",
    "judge_restore_note",
    "judge_writer",
]
