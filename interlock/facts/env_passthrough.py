"""Which variables does what runs in a service read, and is the service given them? A setting that no service is handed does nothing, and says nothing.

Read are the variables of a health check, a command or an entry point, and those that a mounted file looks up without a default. Variables that an image may
bring, that the text itself sets, or that have a default are none.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from interlock.facts.env_updates import Generator
from interlock.facts.env_writes import Setting
from interlock.facts.stack import Service
from interlock.nouns import dataclass
from interlock.patterns import regex

LARGEST = 200_000  # bytes; no file of settings is longer
HANDED = 2  # settings of one file that its services are given: whoever hands over fewer has no such custom
_NAME = r"[A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9]"
_IN_SHELL = regex(rf"(?<![\\$'])\$(?:\{{(?P<braced>{_NAME})\}}|(?P<bare>{_NAME})\b)")
_IN_TEXT = regex(rf"(?<![\\$])\$\{{(?P<name>{_NAME})\}}")
_LOOKED_UP = regex(
    rf"(?:\bos\.environ\[|\bENV\[|\bENV\.fetch\(|(?:\bos\.environ\.get|\bgetenv|\benv|(?<=\{{\{{ )env)\()[ \t]*[\"'](?P<name>{_NAME})[\"'][ \t]*[\])]"
    r"(?![ \t]*(?:or\b|\|\||\?\?|\?:))"
)
_GO_TEMPLATE = regex(rf"\{{\{{-?[ \t]*env[ \t]+\"(?P<name>{_NAME})\"[ \t]*-?\}}\}}")
_TEMPLATE = regex(rf"\.Env\.(?P<name>{_NAME})\b")
_SHEBANG = regex(r"#![^\n]*\b(?:ba|da|k|a|z)?sh\b|#![^\n]*with-contenv")
_ASIDE = regex(r"^[ \t]*(?:#|//|;|\*|--|<!--)")
_CODE = regex(r"\.(?:py|rb|php|erb|js|cjs|mjs|ts)(?:\.\w+)?$")
_TEXT = regex(r"\.(?:ya?ml|toml|json|conf|cnf|cfg|ini|properties|xml|hcl|river|alloy|vcl)(?:\.\w+)?$|(?:^|/)(?:Caddyfile|\w*config)$")
_SHELLS = regex(r"\.(?:ba|z|k)?sh$")
_OTHERS = regex(r"^(?:COMPOSE|DOCKER|BUILDKIT|BUILDX|PODMAN|AWS|OTEL|PYTHON|NODE|NPM|GIT|HTTP|HTTPS|NO|LC)_|_PROXY$")
"""What programs read that are in no tree."""


class Read(NamedTuple):
    """A variable that is looked up, and the line."""

    name: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreached:
    """A variable that a service reads and is not given: `reader` says what reads it (a file of the tree with its line, else a part of the service), `given_to`
    is a service beside it that is given it, empty where none is. `file` and `line` are the service's in its compose file."""

    service: str
    variable: str
    reader: str
    given_to: str
    others: int
    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """A setting of an env example that reaches nobody. `reader`: a file of an image that reads it, with its line; empty: nothing in the tree does."""

    variable: str
    file: str
    line: int
    reader: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unresolved:
    """A chain that nobody could look into."""

    chain: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Passthrough:
    """What is judged by `env.passthrough`: how many services were looked at, what does not reach them, and what nothing reads."""

    services: int
    unreached: tuple[Unreached, ...]
    dead: tuple[Dead, ...] = ()
    unresolved: tuple[Unresolved, ...] = ()


def read_by_commands(service: Service) -> Mapping[str, str]:
    """The variables that the health check, the command and the entry point of a service read, each with the part that does."""
    test = service.healthcheck.get("test")
    parts = {
        "health check": " ".join(str(word) for word in test).replace("$$", "$") if isinstance(test, (list, tuple)) else "",
        "command": " ".join(service.command),
        "entry point": " ".join(service.entrypoint),
    }
    whole = " ".join(parts.values())
    found: dict[str, str] = {}
    for part, text in parts.items():
        for one in _IN_SHELL.finditer(text):
            name = one["braced"] or one["bare"]
            if not _is_set(name, whole):
                found.setdefault(name, part)
    return found


def _is_set(name: str, text: str) -> bool:
    return re.search(rf"(?<![$\w{{]){name}=|\b(?:for|read|local|export|declare)\b[^;\n]*(?<![$\w{{]){name}\b|\$\{{{name}:?[-=+]", text) is not None


def read_by_file(path: str, text: str) -> tuple[Read, ...]:
    """The variables that a file of settings looks up without a default, each once; none of a script, which has variables of its own."""
    if len(text) > LARGEST or _SHELLS.search(path):
        return ()
    patterns = (_LOOKED_UP,) if _CODE.search(path) else (_IN_TEXT, _GO_TEMPLATE) if _TEXT.search(path) else ()
    found: dict[str, Read] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not _ASIDE.match(line):
            for pattern in patterns:
                for one in pattern.finditer(line):
                    found.setdefault(one["name"], Read(one["name"], number))
    return tuple(found.values())


def read_in_image(path: str, text: str) -> tuple[Read, ...]:
    """The variables that a script or a template of an image reads, each once; those that a script sets itself are none."""
    if len(text) > LARGEST:
        return ()
    script = _SHELLS.search(path) is not None or _SHEBANG.match(text) is not None
    pattern = _IN_SHELL if script else _TEMPLATE if "{{" in text else None
    found: dict[str, Read] = {}
    for number, line in enumerate(text.split("\n") if pattern else (), 1):
        if pattern and not (script and _ASIDE.match(line)):
            for one in pattern.finditer(line):
                name = next(group for group in one.groups() if group)
                if name not in found and not (script and _is_set(name, text)):
                    found[name] = Read(name, number)
    return tuple(found.values())


def sets(name: str, text: str) -> bool:
    """Whether a Dockerfile or a script gives a variable a value."""
    return re.search(rf"^[ \t]*(?:(?:ENV|ARG|export|declare|local|readonly)[ \t][^\n]*)?\b{name}=|\b(?:ENV|ARG)[ \t]+{name}\b", text, re.MULTILINE) is not None


def offered(generator: Generator, used: Collection[str]) -> Iterator[Setting]:
    """The settings of an example that no compose file uses, each once; not those that other programs read."""
    seen = set(used)
    for setting in sorted(generator.settings, key=lambda one: one.aside):
        if setting.key not in seen and not _OTHERS.search(setting.key):
            seen.add(setting.key)
            yield setting


def spellings(name: str) -> frozenset[str]:
    """How a program may name a variable: as it is, in small letters, and without the prefix that a library adds."""
    parts = name.split("_")
    ends = ["_".join(parts[start:]) for start in range(len(parts))]
    whole = [one for one in ends if "_" in one or one == name]
    return frozenset(one for end in whole for one in (end.lower(), end.replace("_", "").lower(), end.replace("_", ".").lower(), end.replace("_", "-").lower()))
