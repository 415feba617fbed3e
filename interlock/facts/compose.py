"""What is one compose file, before anything is merged? Its text, and nothing else.

`interlock.config.yamltext` reads it with positions; what several files come to together only the program itself knows
(`interlock.observe.compose_binary`).
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeText:
    """One compose file as it lies in the site's folder: `path` relative to it, `content` its bytes."""

    path: str
    content: bytes = field(repr=False)
