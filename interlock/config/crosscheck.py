"""Does everything that a site file names exist, and does nothing in it contradict itself? On plain data, so that it is told together with wrong types."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from interlock.config.backup_classes import classes_of
from interlock.config.models import BackupClass, ClassRule
from interlock.config.refusal import Refusal, did_you_mean, dotted
from interlock.config.scalars import DECLARED_BY, DEFAULT_CHAIN, HEADLINE_FAMILIES, LOCAL
from interlock.config.yamltext import KeyPath

ANY = "*"
_LETTERS = frozenset(BackupClass)

_REFERENCES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("mounts", "state", "host"), "hosts", "host"),
    (("modules", ANY, "host"), "hosts", "host"),
    (("instances", ANY, "host"), "hosts", "host"),
    (("expect", ANY, "host"), "hosts", "host"),
    (("actions", ANY, "steps", ANY, "command", "host"), "hosts", "host"),
    (("templates", ANY, "instances", ANY), "instances", "instance"),
    (("actions", ANY, "steps", ANY, "write-files", "instances", ANY), "instances", "instance"),
    (("actions", ANY, "steps", ANY, "write-files", "templates", ANY), "templates", "template"),
    (("actions", ANY, "steps", ANY, "backup", "modules", ANY), "modules", "module"),
    (("actions", ANY, "steps", ANY, "write-files", "resized", ANY), "templates", "template"),
    (("actions", ANY, "steps", ANY, "verify", "expect", ANY), "expect", "expectation"),
    (("actions", ANY, "steps", ANY, "needs", ANY), "expect", "expectation"),
    (("actions", ANY, "steps", ANY, "env-patch", "instances", ANY), "instances", "instance"),
    (("actions", ANY, "steps", ANY, "env-patch", "host"), "hosts", "host"),
    (("actions", ANY, "steps", ANY, "compose", "instance"), "instances", "instance"),
    (("actions", ANY, "steps", ANY, "endpoint", "before", ANY), "expect", "expectation"),
    (("actions", ANY, "steps", ANY, "endpoint", "after", ANY), "expect", "expectation"),
    (("actions", ANY, "steps", ANY, "endpoint", "command", "host"), "hosts", "host"),
    (("actions", ANY, "steps", ANY, "endpoint", "env-patch", "instances", ANY), "instances", "instance"),
    (("actions", ANY, "steps", ANY, "endpoint", "env-patch", "host"), "hosts", "host"),
    (("actions", ANY, "steps", ANY, "endpoint", "write-files", "templates", ANY), "templates", "template"),
    (("actions", ANY, "steps", ANY, "endpoint", "write-files", "instances", ANY), "instances", "instance"),
    (("actions", ANY, "steps", ANY, "endpoint", "write-files", "resized", ANY), "templates", "template"),
    (("approval", "jobs", ANY, "actions", ANY), "actions", "action"),
    (("actions", ANY, "moves", ANY), "parity", "copy"),
    (("mounts", "data", "host"), "hosts", "host"),
    (("mounts", "others", ANY, "host"), "hosts", "host"),
    (("state_dir", "host"), "hosts", "host"),
    (("compose", "follows", "host"), "hosts", "host"),
    (("modules", ANY, "database"), "databases", "database"),
    (("parity", ANY, "source"), "databases", "database"),
    (("parity", ANY, "target"), "databases", "database"),
    (("automation", "hosts", ANY), "hosts", "host"),
    (("exposure", "hosts", ANY), "hosts", "host"),
    (("health", ANY, "host"), "hosts", "host"),
)


def crosscheck(data: Mapping[str, Any], known: Collection[str] | None, refusal: Refusal) -> None:
    """Add to `refusal` what does not fit together. `data` may be wrong in any other way. `known` are the families and guardrails; None: not asked."""
    for pattern, section, word in _REFERENCES:
        _check_reference(data, pattern, section, word, refusal)
    _check_places(data, "instances", "directory", refusal)
    _check_places(data, "modules", "backups", refusal)
    _check_local(data, refusal)
    _check_templates(data, refusal)
    _check_writes(data, refusal)
    _check_approvals(data, refusal)
    _check_not_used(data, refusal)
    _check_copies(data, refusal)
    _check_chains(data, refusal)
    _check_archived(data, refusal)
    _check_instance_chains(data, refusal)
    _check_patches(data, refusal)
    _check_endpoints(data, refusal)
    _check_issues(data, refusal)
    _check_classes(data, refusal)
    if known is not None:
        _check_gates(data, known, refusal)


def matches(data: Any, pattern: tuple[str, ...], above: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every path of `data` that fits, with its value. `*` stands for any key and any index."""
    if not pattern:
        yield above, data
        return
    step, rest = pattern[0], pattern[1:]
    if isinstance(data, dict):
        below: Any = data.items() if step == ANY else [(step, data[step])] if step in data else ()
    else:
        below = enumerate(data) if step == ANY and isinstance(data, list) else ()
    for key, value in below:
        yield from matches(value, rest, (*above, key))


def _names(data: Mapping[str, Any], section: str) -> list[str]:
    names = [str(path[-1]) for path, _ in matches(data, (section, ANY))]
    return [*names, LOCAL] if section == "hosts" else names


def _check_reference(data: Mapping[str, Any], pattern: tuple[str, ...], section: str, word: str, refusal: Refusal) -> None:
    names = dict.fromkeys(_names(data, section))
    for path, name in matches(data, pattern):
        if isinstance(name, str) and name not in names:
            remedy = did_you_mean(name, names, f"declare it below `{section}`, or name one that is there")
            refusal.at_value(path, f"{dotted(path)} names the {word} {name!r}, which the site does not have", remedy=remedy)


def _check_places(data: Mapping[str, Any], section: str, key: str, refusal: Refusal) -> None:
    """No two of a section share a directory on one host."""
    first: dict[tuple[Any, str], KeyPath] = {}
    for path, entry in matches(data, (section, ANY)):
        if isinstance(entry, dict) and isinstance(place := entry.get(key), str):
            host = entry.get("host", LOCAL)
            other = first.setdefault((repr(host), _normal(place)), path)
            if other != path:
                what = f"{dotted((*path, key))} is the {key} of {dotted(other)} too, on the same host"
                refusal.at_value((*path, key), what, why="what is written for one would be taken for the other's", remedy="give each a directory of its own")


def _normal(path: str) -> str:
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _check_local(data: Mapping[str, Any], refusal: Refusal) -> None:
    for path, _ in matches(data, ("hosts", LOCAL, "ssh")):
        refusal.at_key(path, f"{LOCAL} is this machine, and needs no ssh", remedy="give the other machine another name")


def _check_templates(data: Mapping[str, Any], refusal: Refusal) -> None:
    """Each template has an instance, and no two write the same file."""
    everyone = frozenset(_names(data, "instances"))
    writers: dict[str, list[tuple[KeyPath, frozenset[str]]]] = {}
    for path, template in matches(data, ("templates", ANY)):
        if not isinstance(template, dict):
            continue
        own = _instances_of(template, everyone)
        if not own and "instances" not in template:
            refusal.at_key(path, f"there is no instance to render {dotted(path)} for", remedy="declare one below `instances`")
        if isinstance(target := template.get("target"), str):
            others = writers.setdefault(_normal(target), [])
            both = next(((other, min(own & theirs)) for other, theirs in others if own & theirs), None)
            if both is not None:
                what = f"{dotted((*path, 'target'))} is the target of {dotted(both[0])} too, on instance {both[1]}"
                refusal.at_value((*path, "target"), what, remedy="give each its own target, or its own instances")
            others.append((path, own))


def _instances_of(template: Mapping[str, Any], everyone: frozenset[str]) -> frozenset[str]:
    if "instances" not in template:
        return everyone
    return frozenset(name for _, name in matches(template, ("instances", ANY)) if isinstance(name, str))


def _steps(data: Mapping[str, Any], kind: str) -> Iterator[tuple[KeyPath, Any]]:
    """The steps of a kind, and the endpoints that are switched by one."""
    yield from matches(data, ("actions", ANY, "steps", ANY, kind))
    yield from matches(data, ("actions", ANY, "steps", ANY, "endpoint", kind))


def _check_writes(data: Mapping[str, Any], refusal: Refusal) -> None:
    """A step that writes a template for an instance finds it rendered for it."""
    everyone = frozenset(_names(data, "instances"))
    for path, step in _steps(data, "write-files"):
        templates = [name for _, name in matches(step, ("templates", ANY)) if isinstance(name, str)]
        rendered_for = {
            name: _instances_of(entry, everyone) for name in templates for _, entry in matches(data, ("templates", name)) if isinstance(entry, dict)
        }
        for place, instance in matches(step, ("instances", ANY), path):
            missing = [name for name, own in rendered_for.items() if isinstance(instance, str) and instance in everyone - own]
            if missing:
                what = f"{dotted(place)}: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not rendered for instance {instance}"
                refusal.at_value(place, what, remedy=f"add it to templates.{missing[0]}.instances, or leave it out here")


def _check_approvals(data: Mapping[str, Any], refusal: Refusal) -> None:
    if "approval" in data:
        return
    for path, action in matches(data, ("actions", ANY)):
        if isinstance(action, dict) and action.get("approval", "signature") == "signature":
            what = f"{dotted(path)} must be approved by signature, and the site does not say whose counts"
            refusal.at_key(path, what, remedy="add `approval:` with `allowed_signers:`, or set `approval: operator` for this action")


def _check_not_used(data: Mapping[str, Any], refusal: Refusal) -> None:
    for family in HEADLINE_FAMILIES:
        for path, _ in matches(data, ("not_used", family)):
            if section := next((section for section in DECLARED_BY[family] if data.get(section)), None):
                what = f"not_used says that {family} is not used, and the site declares `{section}`"
                refusal.at_key(path, what, remedy=f"remove the line, or `{section}`")


def _check_gates(data: Mapping[str, Any], known: Collection[str], refusal: Refusal) -> None:
    """An action's gate asks every rule of the site's own anyway; a gate in mid-plan those that it names, and a plan knows whether they are there."""
    midway = [(path, name) for path, name in matches(data, ("actions", ANY, "steps", ANY, "gate", "guardrails", ANY)) if not str(name).startswith("own.")]
    for path, name in (*matches(data, ("actions", ANY, "gate", ANY)), *midway):
        if isinstance(name, str) and name not in known:
            remedy = did_you_mean(name, sorted(known), "`interlock guardrails` lists them")
            refusal.at_value(path, f"{dotted(path)} names {name!r}, which is neither a family nor a guardrail", remedy=remedy)


def _check_copies(data: Mapping[str, Any], refusal: Refusal) -> None:
    """No database is its own copy: the same name, or the same DSN."""
    for path, copy in matches(data, ("parity", ANY)):
        if not isinstance(copy, dict):
            continue
        source, target = ([entry for _, entry in matches(data, ("databases", str(copy.get(side))))] for side in ("source", "target"))
        same = copy.get("source") is not None and copy.get("source") == copy.get("target")
        dsn = [entry[0].get("dsn_env") for entry in (source, target) if entry and isinstance(entry[0], dict)]
        if same or (len(dsn) == 2 and dsn[0] is not None and dsn[0] == dsn[1]):
            what = f"{dotted((*path, 'target'))} is its own source"
            refusal.at_value((*path, "target"), what, why="a database always equals itself", remedy="name the database that it is copied to")


def _check_chains(data: Mapping[str, Any], refusal: Refusal) -> None:
    """A chain is made of the site's compose files, and never of the overlays of both layouts."""
    files = [file for _, file in matches(data, ("compose", "files", ANY)) if isinstance(file, str)]
    both = [_normal(file) for kind in ("nested", "flat") for _, file in matches(data, ("mounts", "overlays", kind)) if isinstance(file, str)]
    for path, chain in matches(data, ("compose", "chains", ANY)):
        named = [(place, file) for place, file in matches(chain, ("files", ANY), path) if isinstance(file, str)]
        for place, file in named:
            if files and _normal(file) not in map(_normal, files):
                remedy = did_you_mean(file, files, "add it to `compose.files`")
                refusal.at_value(place, f"{dotted(place)} names {file!r}, which is not among compose.files", remedy=remedy)
        if len(both) == 2 and set(both) <= {_normal(file) for _, file in named}:
            what = f"{dotted(path)} holds the overlays of both layouts, {both[0]} and {both[1]}"
            refusal.at_key(path, what, why="each puts the state disk where the other does not", remedy="keep one of them")


def _check_instance_chains(data: Mapping[str, Any], refusal: Refusal) -> None:
    """What an instance or a step runs, or a choice needs, is a chain that there is; without `chains` that is `default`."""
    chains = [str(path[-1]) for path, _ in matches(data, ("compose", "chains", ANY))]
    names = chains or [DEFAULT_CHAIN] if isinstance(data.get("compose"), dict) else []
    naming = (
        ("instances", ANY, "chain"),
        ("compose", "follows", "chains", ANY),
        ("compose", "follows", "default"),
    )
    of_today = [(path, step) for path, step in _steps(data, "compose") if isinstance(step, dict) and step.get("afterwards") is not True]
    in_steps = [found for path, step in of_today for found in matches(step, ("chain",), path)]
    for path, name in (*in_steps, *(found for pattern in naming for found in matches(data, pattern))):
        if isinstance(name, str) and name not in names:
            remedy = did_you_mean(name, names, "declare it below `compose.chains`, or name one that is there")
            refusal.at_value(path, f"{dotted(path)} names the chain {name!r}, which the site does not have", remedy=remedy)


def _check_patches(data: Mapping[str, Any], refusal: Refusal) -> None:
    """An env file is absolute on a host, or lies below the directory of an instance."""
    for path, patch in _steps(data, "env-patch"):
        file = patch.get("file") if isinstance(patch, dict) else None
        if not isinstance(file, str) or not file:
            continue
        place = (*path, "file")
        if file.startswith("/") and "instances" in patch:
            refusal.at_value(
                place, f"{dotted(place)} is absolute, and yet one of each instance", remedy="leave `instances` out, or name it below their directory"
            )
        if not file.startswith("/") and "instances" not in patch:
            refusal.at_value(place, f"{dotted(place)} lies below no directory", remedy="name its `instances`, or write its absolute path")
        if not file.startswith("/") and "host" in patch:
            refusal.at_value((*path, "host"), f"{dotted((*path, 'host'))} is given, and an instance has a host of its own", remedy="leave it out")
        if ".." in file.split("/"):
            refusal.at_value(place, f"{dotted(place)} leaves its directory by ..", remedy="write the path without ..")


def _check_endpoints(data: Mapping[str, Any], refusal: Refusal) -> None:
    """Who everybody writes to is never switched on the word of one operator at a terminal, and a program that switches it can switch it back."""
    for path, endpoint in matches(data, ("actions", ANY, "steps", ANY, "endpoint")):
        if [kind for _, kind in matches(data, ("actions", str(path[1]), "approval")) if kind == "operator"]:
            what = f"{dotted(path)} moves all writers, and {dotted(path[:2])} asks for nobody's signature"
            refusal.at_key(path, what, why="where writes go is decided by a named human", remedy="remove `approval: operator` from the action")
        command = endpoint.get("command") if isinstance(endpoint, dict) else None
        if isinstance(command, dict) and "undo" not in command:
            what = f"{dotted((*path, 'command'))} cannot switch back"
            refusal.at_key((*path, "command"), what, remedy="add `undo:`, the program that switches back to the old side")


def _check_issues(data: Mapping[str, Any], refusal: Refusal) -> None:
    """An action that names an issue or a task has a place where they are kept, and its gate asks for the task."""
    for key, section, place in (("issue", "approval.issue", ("approval", "issue")), ("task", "workplans", ("workplans",))):
        if not list(matches(data, place)):
            for path, _ in matches(data, ("actions", ANY, key)):
                refusal.at_value(path, f"{dotted(path)} is given, and the site does not say where it is kept", remedy=f"declare `{section}`")
    for path, _ in matches(data, ("actions", ANY, "task")):
        gates = [names for _, names in matches(data, ("actions", str(path[1]), "gate")) if isinstance(names, list)]
        if gates and not {"approval", "approval.decisions"} & set(map(str, gates[0])):
            what = f"{dotted((*path[:2], 'gate'))} does not ask whether the task that it carries out may begin"
            refusal.at_value((*path[:2], "gate"), what, remedy="add `approval.decisions` to it, or take `task` out")


def _check_classes(data: Mapping[str, Any], refusal: Refusal) -> None:
    """No name stands for two backup classes."""
    first: dict[str, str] = {}
    for path, rule in matches(data, ("inventory", "classes", ANY)):
        name, letter = (rule.get("name"), rule.get("class")) if isinstance(rule, dict) else (None, None)
        if isinstance(name, str) and isinstance(letter, str) and first.setdefault(name, letter) != letter:
            refusal.at_key(path, f"{name} is in class {first[name]} and in class {letter}", remedy="keep one of them")


def _check_archived(data: Mapping[str, Any], refusal: Refusal) -> None:
    """A module of another class than A, by its own word or by its name, names what its archive holds."""
    rules = [
        ClassRule.model_construct(name=str(rule.get("name")), backup_class=BackupClass(rule["class"]))
        for _, rule in matches(data, ("inventory", "classes", ANY))
        if isinstance(rule, dict) and rule.get("class") in _LETTERS
    ]
    for path, module in matches(data, ("modules", ANY)):
        if not isinstance(module, dict) or "paths" in module:
            continue
        declared = module.get("class")
        if declared is not None and declared not in _LETTERS:
            continue  # told as a wrong class
        if classes_of(str(path[-1]), BackupClass(declared) if declared else None, rules) != (BackupClass.A,):
            what = f"{dotted(path)} is archived, and does not name the directories of its archive"
            refusal.at_key(path, what, remedy="write `paths:`, or `class: A` for a PostgreSQL dump")
