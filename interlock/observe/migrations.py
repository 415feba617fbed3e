"""Which migrations does a tree have, and which steps of its upgrades are run? From the files alone."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

from interlock.config.discover import is_of_others, is_test_name
from interlock.errors import CouldNotLook
from interlock.facts.migration_steps import Caller, ForgottenStep, Steps, forgotten_functions, forgotten_scripts, may_run_steps
from interlock.facts.migrations import ALEMBIC, DJANGO, Histories, History, Tool, alembic_histories, django_history, same_numbers, widens_version_table
from interlock.facts.programs import Holder, Runs
from interlock.observe.programs import programs, sorted_files
from interlock.observe.sources import sources
from interlock.observe.world import Observer, World
from interlock.patterns import regex
from interlock.verdicts import Subject

_ALL_HEADS = regex(r"upgrade[\s\"',()\w.]{0,40}?[\s\"']heads\b")
_ONE_HEAD = regex(r"upgrade[\s\"',()\w.]{0,40}?[\s\"']head\b")
_HISTORY = regex(r"(?:^|/)(?:change-?log|changes|release[-_]?notes|history|news)[^/]*$|(?:^|/)changelog\.d/", re.IGNORECASE)
_TEXTS = frozenset(
    {
        *(".py", ".js", ".mjs", ".ts", ".rb", ".go", ".rs", ".php", ".java", ".kt", ".md", ".mdx", ".rst", ".txt", ".adoc", ".html"),
        *(".yml", ".yaml", ".json", ".toml", ".sh", ".bash", ".mk", ".j2", ".tpl", ".service", ".hcl", ".tf", ".cfg", ".ini", ""),
    }
)


def histories(world: World, _subject: Subject) -> Histories:
    """Every order in which migrations of the tree are applied."""
    return world.once("migration histories", lambda: _histories(world))


def _histories(world: World) -> Histories:
    alembic, django = _migration_files(world)
    found = [*alembic_histories(alembic.items()), *(django_history(folder, files.items()) for folder, files in sorted(django.items()))]
    several = any(one.tool is Tool.ALEMBIC and len(one.heads) > 1 for one in found)
    return Histories(
        histories=tuple(found),
        numbered=tuple(same_numbers(path for path in world.tree.listing() if not is_of_others(posixpath.dirname(path)))),
        all_heads=several and _upgrades_to_all_heads(world),
        widened=tuple(one.folder for one in found if one.tool is Tool.ALEMBIC and _is_widened(world, one)),
    )


def _migration_files(world: World) -> tuple[dict[str, bytes], dict[str, dict[str, bytes]]]:
    """The files of Alembic's folders, and those of each app of Django. There every file is looked at: `0007_test.py` is no test."""
    beside: dict[str, list[str]] = defaultdict(list)
    for path in world.tree.listing():
        if path.endswith(".py"):
            beside[posixpath.dirname(path)].append(path)
    alembic: dict[str, bytes] = {}
    django: dict[str, dict[str, bytes]] = {}
    for folder, paths in beside.items():
        if is_of_others(folder) or not _may_hold_migrations(folder, paths):
            continue
        texts = {path: data for path in paths if (data := _read(world, path)) is not None}
        if any(ALEMBIC.search(data) for data in texts.values()):
            alembic.update(texts)
        elif posixpath.basename(folder) == "migrations" and any(DJANGO.search(data) for data in texts.values()):
            django[folder] = texts
    return alembic, django


def _may_hold_migrations(folder: str, paths: list[str]) -> bool:
    """By its name, or by that of the folder above: nobody else's Python is read for this."""
    return any("version" in part or "migration" in part or "alembic" in part for part in folder.split("/")) and any(
        not path.endswith("/__init__.py") for path in paths
    )


def _read(world: World, path: str) -> bytes | None:
    try:
        return world.tree.read(path)
    except CouldNotLook:
        return None


def _upgrades_to_all_heads(world: World) -> bool:
    """Whether what runs in the tree upgrades to `heads`, and nothing to the one `head`."""
    texts = [text.text for text in programs(world).shell] + [_as_text(world, path) for path in sorted_files(world).programs]
    texts += [_as_text(world, path) for path in world.tree.listing() if path.endswith((".yml", ".yaml", "Dockerfile"))]
    return any(_ALL_HEADS.search(text) for text in texts) and not any(_ONE_HEAD.search(text) for text in texts)


def _as_text(world: World, path: str) -> str:
    return (_read(world, path) or b"").decode("utf-8", "replace")


def _is_widened(world: World, history: History) -> bool:
    """Whether the environment of a history, one of its revisions or a script of the tree makes room for longer ids."""
    above = posixpath.dirname(history.folder)
    paths = [path for path in world.tree.listing() if path.endswith((".py", ".sql", ".sh")) and path.startswith(f"{above}/" if above else "")]
    return any(b"version_" in (data := _read(world, path) or b"") and widens_version_table(data) for path in paths)


# ---- steps of an upgrade


def steps(world: World, _subject: Subject) -> Steps:
    """The steps of the tree's upgrades that are named nowhere."""
    found = programs(world)
    callers: dict[str, list[str]] = defaultdict(list)
    for text in found.shell:
        callers[text.path].append(text.text)
    every = [Caller.of(path, "\n".join(texts)) for path, texts in callers.items()]
    scripts = {text.path: text.text for text in found.shell if text.holder is Holder.SCRIPT and text.runs is not Runs.ASIDE}
    sql = [path for path in world.tree.listing() if path.endswith(".sql") and not is_of_others(posixpath.dirname(path))]
    candidates = (*forgotten_scripts((*scripts, *sql), every), *forgotten_functions(scripts, every))
    forgotten = tuple(step for step in candidates if not _is_told_elsewhere(world, step))
    unread = tuple(one for one in found.unreadable if may_run_steps(one.path, scripts))
    return Steps(scripts=len(scripts), forgotten=forgotten, unread=unread)


def _is_told_elsewhere(world: World, step: ForgottenStep) -> bool:
    """Whether a document, a program or a file of settings names the step, or it says itself how it is run by hand. What has changed is told in a changelog."""
    name = step.name.encode()
    stem = posixpath.splitext(step.name)[0].encode()
    word = re.compile(rb"(?<![\w.-])" + re.escape(stem) + rb"(?:" + re.escape(name.removeprefix(stem)) + rb")?(?![\w-])")
    own = sources(world).text(step.path) or ""
    if step.kind == "script" and re.search(rf"(?i)\busage\b[^\n]*|(?:bash|sh|source|\./)[^\n]*{re.escape(step.name)}", own):
        return True
    return any(word.search(data) for path, data in _others(world, step.path) if stem in data)


def _others(world: World, own: str) -> Iterator[tuple[str, bytes]]:
    """The texts that may tell how something is run, but for the scripts, which were asked already, and for tests."""
    scripts = {text.path for text in programs(world).shell}
    for path in world.tree.listing():
        name = posixpath.basename(path)
        if path == own or path in scripts or _HISTORY.search(path) or is_of_others(posixpath.dirname(path)) or is_test_name(name):
            continue
        if posixpath.splitext(name)[1] in _TEXTS and (data := _read(world, path)) is not None:
            yield path, data


OBSERVERS: Mapping[str, Observer] = {
    "migrations.single_head": Observer(see=histories),
    "migrations.revision_id_length": Observer(see=histories),
    "migrations.step_wired": Observer(see=steps),
}
