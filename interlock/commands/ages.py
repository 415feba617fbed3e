"""How old is what the next action will stand on? The last gate, the newest backup of each module, the waivers: by names and times alone, nothing is read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from interlock.config.models import Module, Site
from interlock.config.waivers import load_waivers
from interlock.errors import ConfigError, EvidenceError
from interlock.evidence.folder import latest
from interlock.evidence.wording import asked_for, headline
from interlock.facts import moments
from interlock.facts.backup_manifests import Manifest, taken
from interlock.facts.looks import Examined
from interlock.observe.probe import newest_backup

_MANIFEST_LIMIT = 1 << 20


def ages(site: Site, at: datetime) -> Iterator[str]:
    """A line for each, as things will stand `at` that time."""
    yield _last_gate(site, at)
    for name, module in site.modules.items():
        here = site.host(module.host).ssh is None
        yield f"backup of {name}: {_newest(module, at) if here else f'on {module.host}, which is not asked here'}"
    yield from _waivers(site, at)


def _last_gate(site: Site, at: datetime) -> str:
    try:
        run = latest(site.root / site.reports, site.site)
    except EvidenceError as error:
        return f"last record: {error.what}"
    if run is None:
        return "last record: none yet"
    age = moments.in_words((at - moments.read(run.record.run.ended)).total_seconds())
    return f"last record: {asked_for(run.record)}: {headline(run.record)}, {age} old, {run.path.name}"


def _newest(module: Module, at: datetime) -> str:
    """The newest backup that lies there, whoever made it: how old it is, and when it is too old for the gate."""
    try:
        names = newest_backup(os.fsencode(module.backups))
    except FileNotFoundError:
        names = []
    except OSError as error:
        return f"{module.backups} cannot be looked at: {error.strerror}"
    if not names:
        return f"none in {module.backups}"
    path = Path(module.backups, os.fsdecode(names[0]))
    manifest = _beside(path)
    try:
        seen = path.lstat()
    except OSError as error:
        return f"{path} cannot be looked at: {error.strerror}"
    age = (at - taken(Examined(name=path.name, size=seen.st_size, mtime=int(seen.st_mtime), manifest=manifest)).at).total_seconds()
    left = module.fresh_for - age
    fresh = f"too old in {moments.in_words(left)}" if left > 0 else f"TOO OLD, {moments.in_words(module.fresh_for)} are allowed"
    read = Manifest.parse(manifest) if manifest else None
    proven = "read back when interlock made it" if read is not None and read.ours else "whether it is whole, the gate looks"
    return f"{path.name}, {moments.in_words(age)} old ({fresh}), {seen.st_size} bytes, {proven}"


def _beside(path: Path) -> str:
    """The manifest beside a backup; empty where there is none that can be read."""
    try:
        with path.with_name(f"{path.name}.json").open("rb") as file:
            return file.read(_MANIFEST_LIMIT).decode("utf-8", "replace")
    except OSError:
        return ""


def _waivers(site: Site, at: datetime) -> Iterator[str]:
    try:
        waivers = load_waivers(site.root / site.waivers)
    except ConfigError as error:
        yield f"waivers: {error.what}: the gate stays shut"
        return
    for waiver in waivers:
        left = (waiver.expires_at - at).total_seconds()
        until = f"for {moments.in_words(left)} more" if left > 0 else "EXPIRED"
        yield f"waiver of {waiver.guardrail} [{waiver.subject}]: {until}, {waiver.reason}"
