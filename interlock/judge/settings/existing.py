"""Do old installations get the settings that new ones are given? `interlock.observe.env_files` brings what gives them and what brings them."""

from __future__ import annotations

from collections.abc import Iterator

from interlock.facts.env_updates import KeptUp, Upkeep
from interlock.facts.env_writes import Setting
from interlock.judge.tree import found, scripts, unread
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Unproven, When


def judge_existing(upkeep: Upkeep) -> Held | Broken | Unproven:
    """Held when the updater of each env file knows every setting that new installations are given and that the stack uses."""
    told = "; ".join(f"{one.updater.paths[0]} knows the settings of {one.generator.path} that the stack uses" for one in upkeep.files)
    details = (*(detail for one in upkeep.files for detail in _details(one)), *unread(upkeep.unreadable))
    updaters = " and ".join(dict.fromkeys(one.updater.paths[0] for one in upkeep.files))
    held = told or "no script here adds settings to the env files of old installations"
    return found(details, held=held, remedy=f"add them to {updaters}, with their comments and defaults")


def _details(kept: KeptUp) -> Iterator[Detail]:
    yield from (_detail(kept, setting) for setting in kept.unknown())


def _detail(kept: KeptUp, setting: Setting) -> Detail:
    use = kept.uses[setting.key]
    message = (
        f"{setting.key} stands in {kept.generator.path}:{setting.line}, which new installations get, and {kept.updater.paths[0]} never adds it to"
        f" an old {kept.generator.target}: whoever upgrades never hears of it ({use.file}:{use.line} uses it)"
    )
    what = f"{setting.key} in {kept.generator.path}"
    return Detail(what=what, outcome=Outcome.BROKEN, kind="never-added", message=message, file=kept.generator.path, line=setting.line)


COVERAGE_EXISTING_INSTALLS = Guardrail(
    id="env.coverage_existing_installs",
    title="what adds settings to old env files knows every setting that new installations are given",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="The generator runs once. A setting that only it knows is there on every test machine and on no server that was upgraded.",
    remedy="add the setting to the script that upgrades old env files, with its comment and its default",
    subjects=scripts,
    judge=judge_existing,
)
