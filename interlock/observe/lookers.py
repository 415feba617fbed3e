"""Whose eyes look at a host of the site? This machine's own; or those at the far end of a session, connected when they are first asked for."""

from __future__ import annotations

from contextlib import ExitStack

from interlock.config.models import Site
from interlock.observe.eyes import HERE, Eyes


class Lookers:
    """The eyes of each host by its name, until the block ends that holds them."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._eyes: dict[str, Eyes] = {}
        self._open = ExitStack()

    def __enter__(self) -> Lookers:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def __call__(self, name: str) -> Eyes:
        """Raises CouldNotLook."""
        if name not in self._eyes:
            self._eyes[name] = self._connect(name)
        return self._eyes[name]

    def _connect(self, name: str) -> Eyes:
        host = self._site.host(name)
        if host.ssh is None:
            return HERE
        from interlock.observe.far import Far, FarEyes  # only plans for other hosts pay for it

        far = Far(name, host, self._site.root)
        self._open.callback(far.close)
        return FarEyes(far)
