"""How is a regular expression kept without costing each start what only its use should cost? `regex`, which is compiled when it is first asked something.

    _OCTAL = regex(rb"\\\\([0-7]{3})")

The guardrails have seven hundred of them, and a command imports all to use forty: compiling them took a tenth of a second.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

__all__ = ["regex"]

if TYPE_CHECKING:
    from re import compile as regex
else:

    class _Late:
        """Stands where a compiled pattern will stand; the first question puts the pattern's own answers in its place."""

        def __init__(self, pattern: str | bytes, flags: int) -> None:
            self.pattern = pattern
            self._flags = flags

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            made = re.compile(self.pattern, self._flags)
            self.__dict__.update({said: getattr(made, said) for said in dir(made) if not said.startswith("__")})
            return getattr(made, name)

        def __repr__(self) -> str:
            return f"regex({self.pattern!r})"

    def regex(pattern: str | bytes, flags: int = 0) -> Any:
        """`re.compile`, later. What is wrong with a pattern is told by the test that compiles all of them."""
        return _Late(pattern, flags)
