"""Which formats can a run be asked for with `--format`? One function each, from a record and its details to text in pieces.

`interlock.commands.report` gives `html` the picture too, where the run has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from interlock.evidence import html, jsonout, junit, markdown, sarif, text
from interlock.evidence.details import Details
from interlock.evidence.record import Record

Rendering = Callable[[Record, Details], Iterator[str]]

RENDERINGS: Mapping[str, Rendering] = {
    "text": text.render,
    "json": jsonout.render,
    "markdown": markdown.render,
    "sarif": sarif.render,
    "junit": junit.render,
    "html": html.render,
}
