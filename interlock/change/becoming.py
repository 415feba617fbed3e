"""Which site describes the system once an action is done? The site file that the action names (`becomes`), else the one that it stands in.

What moves a disk makes the site's own description wrong: a postflight that asked it would call the new place broken, and one that did not ask would prove
nothing. So the new description is written, reviewed and planned together with the action: docs/decisions/0070-the-site-that-an-action-ends-with.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from interlock.config.load import load_site
from interlock.config.models import Site
from interlock.config.reading import read_regular_file
from interlock.config.yamltext import SITE
from interlock.errors import ConfigError, StaleError
from interlock.facts.canonical import digest
from interlock.gate.plan import Plan, SiteReference
from interlock.judge import gate_names


def reference(site: Site) -> SiteReference:
    """A site file as a plan names it."""
    return SiteReference(name=site.site, file=str(site.root / Path(site.source).name), digest=site.digest)


def declared_afterwards(site: Site, action: str, environ: Mapping[str, str]) -> Site | None:
    """The site that an action says it ends with; None for one that leaves the site as it is. Raises ConfigError for one that is wrong, or is no such site."""
    becomes = site.actions[action].becomes
    if becomes is None:
        return None
    where = f"{site.source}: actions.{action}.becomes"
    if Path(becomes).name != becomes or becomes == Path(site.source).name:
        raise ConfigError(
            f"{becomes} is no other site file beside this one", where=where, remedy=f"write the name of a file in {site.root}, like interlock.flat.yaml"
        )
    after = load_site(site.root / becomes, environ, known=gate_names())
    for key in ("site", "reports", "waivers"):
        here, there = getattr(site, key), getattr(after, key)
        if here != there:
            raise ConfigError(
                f"{becomes} says `{key}: {there}`, and this site `{key}: {here}`",
                where=where,
                why="it describes the same site, a little later: its evidence follows on this one's",
                remedy=f"write `{key}: {here}` there",
            )
    return after


def demand_as_planned(plan: Plan) -> None:
    """The site file that a plan ends with is the one that was approved with it. Raises StaleError, ConfigError."""
    if plan.becomes is None:
        return
    now = digest(read_regular_file(Path(plan.becomes.file), SITE.size))
    if now != plan.becomes.digest:
        why = f"it was {plan.becomes.digest}, is {now}"
        remedy = "put it back as it was, or make a new plan"
        raise StaleError("the site file that the plan ends with was changed since it was made", where=plan.becomes.file, why=why, remedy=remedy)


def site_afterwards(site: Site, plan: Plan, environ: Mapping[str, str]) -> Site:
    """The site that a plan ends with: that of `becomes`, as it was planned, else `site`. Raises StaleError, ConfigError."""
    demand_as_planned(plan)
    return (declared_afterwards(site, plan.action, environ) if plan.becomes is not None else None) or site
