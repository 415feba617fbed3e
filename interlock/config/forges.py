"""On which forge do the repository and its issues lie, and whose API does it speak?"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from interlock.config.scalars import Noun, Text, Variable


class ForgeKind(StrEnum):
    """Whose API a forge speaks."""

    GITHUB = "github"
    FORGEJO = "forgejo"
    GITEA = "gitea"


class Tracker(Noun):
    """A repository on a forge, and how it is asked."""

    kind: ForgeKind = Field(description="Whose API it speaks.")
    url: str = Field(pattern=r"^https?://\S+$", description="Where its API is.", examples=["https://forge.example.org/api/v1"])
    repository: str = Field(pattern=r"^[^/\s]+/[^/\s]+$", description="The repository, as owner/name.")
    token_env: Variable | None = Field(default=None, description="The environment variable that holds a token which may read it.")


class Forge(Tracker):
    """The forge that the repository lies on, and the branch that is protected there."""

    branch: Text = Field(default="main", description="The branch that is protected.")
