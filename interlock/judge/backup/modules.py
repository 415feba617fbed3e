"""Has every stateful module exactly one backup class, and a container whose name is known? From the module files alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from interlock.config.models import BackupClass, Site
from interlock.facts.backup_modules import InventoryModule, ModuleInventory, Statefulness
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, When, in_short

LETTERS = frozenset(letter.value for letter in BackupClass)
NAME_IT = "name it in the site file (`container:`), in the module file (`spec.runtime.container`), or in the runbook (`Container: NAME`)"


def module_files(site: Site) -> Sequence[Subject]:
    """All module files of the site are one subject: an operator reads one verdict, and each module is a detail of it."""
    return [Subject(name="modules")] if site.inventory is not None else []


def judge_classes(inventory: ModuleInventory) -> Held | Broken | Unproven:
    """Held when each stateful module has one class and one container; what is left out is told with the reason."""
    patterns = " and ".join(inventory.patterns)
    if not inventory.modules:
        return Unproven(f"there is no module file: {patterns} finds none", remedy="correct `inventory.modules` in the site file")
    names = Counter(module.file.name for module in inventory.modules if is_asked(module, inventory))
    details = tuple(module_detail(module, twice=names[module.file.name] > 1) for module in inventory.modules if is_asked(module, inventory))
    if faults := [detail for detail in details if detail.outcome is Outcome.BROKEN]:
        why = "; ".join(_together(kind, [fault for fault in faults if fault.kind == kind]) for kind in dict.fromkeys(fault.kind for fault in faults))
        return Broken(
            f"{len(faults)} of {len(details)} modules cannot be backed up as they are declared: {why}",
            kind=faults[0].kind,
            remedy=_REMEDIES[faults[0].kind],
            details=details,
        )
    if unseen := [detail for detail in details if detail.outcome is Outcome.UNPROVEN]:
        remedy = "say `spec.runtime.statefulness: stateful` or `stateless` in it"
        return Unproven(f"{len(unseen)} module files do not tell what they keep: {in_short(unseen)}", remedy=remedy, details=details)
    return Held(_in_words(inventory), details=details)


def is_excluded(module: InventoryModule) -> str:
    """Why a module is left out; empty when it is not. What the site backs up is not left out, whatever its file says."""
    return "" if module.backed_up else module.excluded or module.file.set_aside


def is_asked(module: InventoryModule, inventory: ModuleInventory) -> bool:
    """False for what keeps nothing, and for a file that nobody declared and that says nothing of state: it is another program's."""
    if module.file.statefulness is Statefulness.UNSAID:
        return inventory.declared or bool(module.file.fault)
    return module.file.statefulness is not Statefulness.STATELESS


def _in_words(inventory: ModuleInventory) -> str:
    stateful = [module for module in inventory.modules if is_asked(module, inventory)]
    left_out = [module for module in stateful if is_excluded(module)]
    kept, without = len(stateful) - len(left_out), sum(not module.backed_up and not is_excluded(module) for module in stateful)
    said = f"of {len(inventory.modules)} module files {kept or 'none'} {'keeps' if kept < 2 else 'keep'} state" + (
        ", and each has a class and a container" if kept else ""
    )
    if left_out:
        said += f"; {len(left_out)} more {'is' if len(left_out) == 1 else 'are'} left out with a reason"
    if inventory.declared and without:
        said += f"; for {without} of them the site declares no backups"
    return said


NAMED = 5  # of several modules with one fault
_TOGETHER = {
    "no-container": "nothing says how the container is called of",
    "two-containers": "each has two container names:",
    "two-classes": "patterns contradict each other about",
    "class-differs": "the site file and the module file name different classes for",
    "no-such-class": "there is no such class as is named for",
    "excluded-silently": "no reason is given why these are left out:",
    "same-name": "several module files have the name of another:",
}


def _together(kind: str, faults: Sequence[Detail]) -> str:
    """One fault in its own words, several of a kind by their names."""
    if len(faults) == 1:
        return faults[0].message
    more = f" and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
    return f"{_TOGETHER[kind]} {', '.join(fault.what for fault in faults[:NAMED])}{more}"


_REMEDIES = {
    "two-classes": "give the module's own name a class below `inventory.classes`, or `class:` below `modules`",
    "no-such-class": "write one of A, B, C, D, E, F and G",
    "class-differs": "say the same class in the site file and in the module file",
    "no-container": NAME_IT,
    "two-containers": NAME_IT,
    "excluded-silently": "write the reason in place of `true`",
    "same-name": "give each module a name of its own",
}


def module_detail(module: InventoryModule, *, twice: bool = False) -> Detail:
    """What one module file comes to."""
    file = module.file
    outcome, kind, message = _judge_module(module, twice=twice)
    what = file.path if twice else file.name
    return Detail(what=what, outcome=outcome, kind=kind, message=f"{file.name}: {message}", file=file.path)


def _judge_module(module: InventoryModule, *, twice: bool) -> tuple[Outcome, str, str]:
    file = module.file
    if file.fault:
        return Outcome.UNPROVEN, "could-not-look", file.fault
    if twice:
        return Outcome.BROKEN, "same-name", f"another module file has the same name as {file.path}"
    if reason := is_excluded(module):
        return Outcome.HELD, "", f"left out ({reason})"
    return next(_faults(module), None) or (Outcome.HELD, "", _assigned(module))


def _faults(module: InventoryModule) -> Iterator[tuple[Outcome, str, str]]:
    file, classes = module.file, module.classes
    if file.excluded_silently and not module.backed_up:
        yield Outcome.BROKEN, "excluded-silently", "spec.backup.excluded gives no reason"
    if file.statefulness is Statefulness.UNSAID:
        yield Outcome.UNPROVEN, "statefulness-unsaid", f"{file.path} does not say whether it is stateful"
    if file.statefulness is Statefulness.UNKNOWN:
        yield Outcome.UNPROVEN, "statefulness-unknown", f"{file.path} says {file.said!r}, which is neither stateful nor stateless"
    if len(classes) > 1:
        yield Outcome.BROKEN, "two-classes", f"{module.class_from} put it into class {' and '.join(classes)}"
    if file.backup_class and file.backup_class not in LETTERS:
        yield Outcome.BROKEN, "no-such-class", f"{file.path} names the class {file.backup_class!r}, which there is not"
    elif file.backup_class and len(classes) == 1 and file.backup_class != classes[0]:
        yield Outcome.BROKEN, "class-differs", f"class {classes[0]} by {module.class_from}, and {file.backup_class} by {file.path}"
    if not module.containers:
        yield Outcome.BROKEN, "no-container", "nothing says how its container is called: not the module file, no compose file, no runbook.md"
    elif len(module.containers) > 1:
        named = " and ".join(f"{one.name} ({one.source})" for one in module.containers)
        yield Outcome.BROKEN, "two-containers", f"its container is called {named}"


def _assigned(module: InventoryModule) -> str:
    container = module.containers[0]
    return f"class {module.classes[0]} ({module.class_from}), container {container.name} ({container.source})"


CLASS_ASSIGNED = Guardrail(
    id="backups.class_assigned",
    title="every stateful module has exactly one backup class and a container name; what is left out is listed with the reason",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="A module that nobody gave a class is backed up by nobody, and a backup script that guesses a container's name archives the wrong one.",
    remedy="give it a class below `inventory.classes` or `modules`, and name its container",
    subjects=module_files,
    judge=judge_classes,
)
