"""Which modules keep state, how is each backed up, and by what name does it run? The audit table of a tree's module files, from files alone."""

from __future__ import annotations

from collections.abc import Mapping

from interlock.config.backup_classes import procedure_of
from interlock.config.models import BackupClass, Site
from interlock.errors import UsageError
from interlock.facts.backup_modules import InventoryModule, ModuleInventory
from interlock.judge.backup.modules import is_asked, is_excluded, module_detail
from interlock.observe.backups import module_inventory
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Outcome, When

HEADINGS = ("module", "class", "procedure", "container", "restore note", "status")


def audit(site: Site, environ: Mapping[str, str]) -> str:
    """The audit table of a site's module files; a site without a file is audited as what its tree looks like (`interlock.discover`).

    Raises UsageError when the site has no inventory, `CouldNotLook` when the tree cannot be looked at.
    """
    if site.inventory is None:
        raise UsageError("there are no module files to audit", where=str(site.root), remedy="name them below `inventory.modules` in the site file")
    world = World(site=site, gates=frozenset({When.STATIC}), tree=Tree(site.root, patient=True), hosts={}, environ=environ)
    return audit_table(module_inventory(world))


def audit_table(inventory: ModuleInventory) -> str:
    """Every stateful module as one line of a Markdown table, under a sentence that counts them; sorted by name, those that are left out last."""
    asked = [module for module in inventory.modules if is_asked(module, inventory)]
    left_out = [module for module in asked if is_excluded(module)]
    rows = [_row(module, inventory) for module in sorted(asked, key=lambda one: (bool(is_excluded(one)), one.file.name, one.file.path))]
    counted = f"{len(asked)} of {len(inventory.modules)} modules keep state, or do not say; {len(left_out)} of them are left out."
    lines = [" | ".join(HEADINGS), " | ".join("---" for _ in HEADINGS), *(" | ".join(map(_cell, row)) for row in rows)]
    return "\n".join([counted, "", *(f"| {line} |" for line in lines)]) + "\n"


def _cell(text: str) -> str:
    """Text as it can stand in a cell: on one line, and with its bars escaped."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")


def _row(module: InventoryModule, inventory: ModuleInventory) -> tuple[str, ...]:
    if reason := is_excluded(module):
        return (module.file.name, "", "", "", "", f"left out: {reason}")
    letters = [letter for letter in module.classes if letter in set(BackupClass)]
    procedure = procedure_of(BackupClass(letters[0])) if len(letters) == len(module.classes) == 1 else ""
    by_script = f", by `{module.procedure}`" if module.procedure else ""
    containers = "; ".join(f"`{one.name}` ({one.source})" for one in module.containers)
    return (module.file.name, " or ".join(module.classes), procedure + by_script, containers, module.restore_note, _status(module, inventory))


def _status(module: InventoryModule, inventory: ModuleInventory) -> str:
    detail = module_detail(module)
    match detail.outcome:
        case Outcome.HELD:
            return "no entry below `modules`" if inventory.declared and not module.backed_up else "assigned"
        case _:
            return f"{detail.outcome}: {detail.message.removeprefix(f'{module.file.name}: ')}"
