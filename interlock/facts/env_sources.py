"""Which variables does a new installation get? The keys of env examples, of the env files that scripts write, and of the environment of workflows.

A key that is commented out counts: an option that the operator is told of. What it will be worth nobody knows here.
"""

from __future__ import annotations

import re

from interlock.patterns import regex

_KEY = regex(r"^[ \t]*(?:#+[ \t]*)?(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*[=:](?!=)", re.MULTILINE)
_HERE = regex(r"<<-?[ \t]*(?:([\"'])(?P<quoted>[\w.-]+)\1|\\?(?P<plain>[A-Za-z_]\w*))[^\n]*\n")
_PRINTED = regex(r"\b(?:echo|printf)[ \t]+(?:-\w+[ \t]+)*[\"']?(?:\\n)?#?([A-Za-z_]\w*)=")
_ANEW = regex(  # `echo KEY=value > .env`, `} > .env`: from here on it is a new file
    r"(?:\b(?:echo|printf)[ \t][^\n>]*=[^\n>]*|^[ \t]*[})][ \t]*)(?<!>)>(?!>)[ \t]*[\"']?[^\s&>]*(?:env|conf|cfg)", re.MULTILINE | re.IGNORECASE
)
_WORKFLOW_KEY = regex(r"^[ \t]+([A-Z][A-Z0-9_]*):", re.MULTILINE)


def keys_of_example(text: str) -> frozenset[str]:
    """The keys of an env file, those that are commented out too."""
    return frozenset(_KEY.findall(text))


def keys_of_script(text: str) -> frozenset[str]:
    """The keys of the env files that a script writes anew: in its here-documents, and by `echo KEY=` where one begins a file. What it adds to a file that is
    there already reaches old installations, and no new one."""
    written: set[str] = set()
    for start in _HERE.finditer(text):
        end = re.compile(rf"^\t*{re.escape(start['quoted'] or start['plain'])}[ \t]*$", re.MULTILINE).search(text, start.end())
        written.update(_KEY.findall(text[start.end() : end.start() if end else start.end()]))
    if _ANEW.search(text):
        written.update(_PRINTED.findall(text))
    return frozenset(written)


def keys_of_workflow(text: str) -> frozenset[str]:
    """The names in capitals that a workflow gives its steps."""
    return frozenset(_WORKFLOW_KEY.findall(text))
