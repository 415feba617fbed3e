"""What do the kinds of steps share while a plan is made? The site, where a step stands in it, and what the plan's fingerprint must name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from interlock.act.outcome import StepFailed
from interlock.config.models import Site
from interlock.config.scalars import LOCAL
from interlock.errors import ConfigError
from interlock.gate.plan import Directory, ImagePlan, TargetPlan
from interlock.observe.eyes import Eyes
from interlock.observe.fingerprint import named
from interlock.observe.tree import Tree


@dataclass(slots=True, kw_only=True)
class Resolving:
    """One plan while it is made: the content of its files, what its fingerprint must name, and what its steps so far will have done: the files that they
    write, the images that they pull or build, by their references, and the compose projects, by engine and name, that they take down.

    `after` is the site that the action ends with, where that is another one.
    """

    site: Site
    after: Site | None = None
    action: str
    environ: Mapping[str, str]
    tree: Tree
    eyes: Callable[[str], Eyes]
    blobs: dict[str, bytes] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)
    written: dict[tuple[str, str], TargetPlan] = field(default_factory=dict)
    patched: dict[tuple[str, str], bytes] = field(default_factory=dict, repr=False)  # of env files, by host and target: with their secrets, never stored
    images: dict[str, ImagePlan] = field(default_factory=dict)
    taken_down: set[tuple[str, str]] = field(default_factory=set)

    def where(self, number: int) -> str:
        """How a step is named in an error."""
        return f"{self.site.source}: actions.{self.action}.steps[{number}]"

    def described(self, number: int, *, afterwards: bool) -> Site:
        """The site that a step is about. Raises ConfigError for a step of an action that does not say which site it ends with."""
        if not afterwards:
            return self.site
        if self.after is None:
            what = f"{self.action} does not say which site it ends with"
            raise ConfigError(what, where=self.where(number), remedy="give the action `becomes:`, or leave `afterwards` out")
        return self.after

    def host(self, name: str) -> str:
        """A host as a plan names it: `local` for every name of this machine."""
        return LOCAL if self.site.host(name).ssh is None else name

    def demand_here(self, host: str, number: int, what: str) -> None:
        """Raise ConfigError for a host that this kind of step does not reach."""
        if self.site.host(host).ssh is not None:
            raise ConfigError(
                f"{what} on {host} is not possible yet",
                where=self.where(number),
                why="this kind of step runs on this machine only",
                remedy=f"run interlock on {host} itself",
            )

    def directory(self, path: str, number: int, remedy: str, host: str = LOCAL) -> Directory:
        """A directory that must be there, and whose disk the plan stands on. Raises ConfigError, CouldNotLook."""
        try:
            real, device = self.eyes(host).directory(path)
        except OSError as error:
            raise ConfigError(f"{named(host, path)} cannot be used: {error.strerror}", where=self.where(number), remedy=remedy) from error
        self.directories.add(named(host, path))
        return Directory(path=path, real=real, device=device)

    def refused(self, failure: StepFailed, number: int) -> ConfigError:
        """What a step would fail with, as a fault of the plan."""
        return ConfigError(failure.what, where=self.where(number), why=f"{failure.where}: {failure.why}", remedy=failure.remedy)
