"""Where can somebody read why a guardrail is there? The page of its family, where the documentation is published, else the command that prints it."""

from __future__ import annotations

import os
from collections.abc import Mapping

PUBLISHED_AT = "INTERLOCK_DOCS_URL"  # https://docs.example/interlock, or a pattern with {family} and {anchor}


def url_of(guardrail: str, environ: Mapping[str, str] = os.environ) -> str:
    """The address of its section, empty where nobody said where the documentation is published."""
    base = environ.get(PUBLISHED_AT, "").strip()
    if not base.startswith(("https://", "http://")):
        return ""
    pattern = base if "{family}" in base else base.rstrip("/") + "/guardrails/{family}.html#{anchor}"
    return pattern.replace("{family}", guardrail.partition(".")[0]).replace("{anchor}", guardrail.replace(".", ""))


def page_of(guardrail: str, environ: Mapping[str, str] = os.environ) -> str:
    """The address, else the page in the repository."""
    return url_of(guardrail, environ) or f"docs/guardrails/{guardrail.partition('.')[0]}.md#{guardrail.replace('.', '')}"


def why(guardrail: str, environ: Mapping[str, str] = os.environ) -> str:
    """What to look at, or to say, to read why it matters."""
    return url_of(guardrail, environ) or f"interlock scan --explain {guardrail}"
