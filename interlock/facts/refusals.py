"""What does docker compose mean when it refuses a chain of files? Its words, sorted by what is wrong, with the key path that they are about.

The words of 2.26 and 2.40 are known (tests/integration/test_chains_compose.py asks both); others are told as they are, as `refused`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum

from interlock.nouns import dataclass
from interlock.patterns import regex

Path = tuple[str | int, ...]
PLACEHOLDER_LENGTH = 4  # shorter values than this hide nothing, and would hide half of the message


class Trouble(StrEnum):
    """What is wrong with a chain, as the stable kind of a finding."""

    UNDEFINED = "undefined"  # a service, network, volume, secret or config that no file of the chain declares
    NO_IMAGE = "no-image"
    INVALID = "invalid"  # a key that compose does not know, or a value of the wrong type
    MISSING_FILE = "missing-file"  # that `include` or `extends` names
    ENV_FILE = "env-file"
    VARIABLE = "variable"
    SYNTAX = "syntax"
    REMOTE = "remote"  # a file on another machine, which nobody fetches here
    OTHER = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why docker compose refuses a chain. `words` are its own; `about` names the thing, the same next time; `paths` are the key paths to look for it, the
    most telling first. `file` is the missing file or env file, absolute, `variable` the one without a value."""

    trouble: Trouble
    words: str
    about: str
    paths: tuple[Path, ...] = ()
    file: str = ""
    variable: str = ""


_SECTION = {"volume": "volumes", "network": "networks", "secret": "secrets", "config": "configs"}


def _undefined(found: re.Match[str]) -> tuple[str, tuple[Path, ...]]:
    service, kind, name = found["service"], found["kind"], found["name"]
    section = _SECTION[kind]
    return f"service {service}: {kind} {name}", (("services", service, section, name), ("services", service, section), ("services", service))


def _depends(found: re.Match[str]) -> tuple[str, tuple[Path, ...]]:
    service, name = found["service"], found["name"]
    keys = ("depends_on", "links", "network_mode", "volumes_from", "ipc", "pid")
    return f"service {service}: service {name}", (
        ("services", service, "depends_on", name),
        *(("services", service, key) for key in keys),
        ("services", service),
    )


def _service(found: re.Match[str]) -> tuple[str, tuple[Path, ...]]:
    service = found["service"]
    return f"service {service}", (("services", service, "extends"), ("services", service))


def _dotted(found: re.Match[str]) -> tuple[str, tuple[Path, ...]]:
    path = _path(found["path"])
    return ".".join(map(str, path)), (path,)


def _foreign(found: re.Match[str]) -> tuple[str, tuple[Path, ...]]:
    """Keys that compose does not know, which it names in any order."""
    path = _path(found["path"] or "")
    keys = sorted(re.findall(r"[\w.-]+", found["keys"]))
    return ".".join(map(str, (*path, " ".join(keys)))), (*((*path, key) for key in keys), path)


def _named(found: re.Match[str]) -> tuple[str, tuple[Path, ...]]:
    return found["file"].rpartition("/")[2], (("include",), ("services",))


def _nothing(found: re.Match[str]) -> tuple[str, tuple[Path, ...]]:
    return re.sub(r"\d+", "#", found[0]), ()


_PATH = r"(?P<path>[\w-]+(?:\[[^\]\s]+\]|\.[\w.\[\]/-]+)*)"
_KNOWN: tuple[tuple[Trouble, re.Pattern[str], Callable[[re.Match[str]], tuple[str, tuple[Path, ...]]]], ...] = tuple(
    (trouble, regex(pattern, re.DOTALL), about)
    for trouble, pattern, about in (
        (Trouble.UNDEFINED, r'service "(?P<service>[^"]+)" refers to undefined (?P<kind>volume|network|secret|config) (?P<name>[^:\s]+)', _undefined),
        (Trouble.UNDEFINED, r'service "(?P<service>[^"]+)" depends on undefined service "?(?P<name>[^":\s]+)', _depends),
        (Trouble.NO_IMAGE, r'service "(?P<service>[^"]+)" has neither an image nor a build context', _service),
        (Trouble.ENV_FILE, r"env file (?P<file>.+?) not found", _named),
        (Trouble.VARIABLE, rf"error while interpolating {_PATH}: required variable (?P<variable>\w+) is missing a value", _dotted),
        (Trouble.VARIABLE, r"required variable (?P<variable>\w+) is missing a value", _nothing),
        (Trouble.REMOTE, r"(?:git|oci) remote resource is disabled", _nothing),
        (Trouble.MISSING_FILE, r"(?:open|stat|lstat) (?P<file>\S.*?): no such file or directory", _named),
        (Trouble.SYNTAX, r"(?:(?<![\w.])yaml: |mapping key \S+ already defined|did not find expected)[^\n]*", _nothing),
        (Trouble.INVALID, r'cannot extend service "(?P<service>[^"]+)" in [^\n]*', _service),
        (
            Trouble.INVALID,
            rf"validating [^\n]*?: +(?:\(root\) |{_PATH} )?[Aa]dditional propert(?:y|ies) (?P<keys>'?[\w.-]+'?(?:, '[\w.-]+')*)",
            _foreign,
        ),
        (Trouble.INVALID, rf"validating [^\n]*?: {_PATH} ", _dotted),
        (Trouble.INVALID, rf"(?:error while interpolating|invalid interpolation format for) {_PATH}", _dotted),
        (Trouble.INVALID, rf"(?:error decoding )?'{_PATH}'", _dotted),
        (Trouble.INVALID, rf"^{_PATH}: ", _dotted),
        (Trouble.INVALID, r"invalid [^\n]*|dependency cycle detected[^\n]*", _nothing),
    )
)
_STEP = regex(r"\[([^\]]*)\]|([^.\[\]]+)")
_LOG = regex(r'^time="[^\n]*level=warning[^\n]*\n?', re.MULTILINE)
_ESCAPES = regex(r"\x1b\[[0-9;]*m")
_PROJECT = regex(r": invalid compose project$")


def refusal(printed: str) -> Refusal:
    """What the words that docker compose printed come to."""
    text = _ESCAPES.sub("", _LOG.sub("", printed)).strip()
    words = _PROJECT.sub("", " ".join(text.split()))
    for trouble, pattern, about in _KNOWN:
        if found := pattern.search(text):
            named = found.groupdict()
            what, paths = about(found)
            return Refusal(trouble=trouble, words=words, about=what, paths=paths, file=named.get("file") or "", variable=named.get("variable") or "")
    return Refusal(trouble=Trouble.OTHER, words=words, about=re.sub(r"\d+", "#", words))


def _path(dotted: str) -> Path:
    """`services.a.ports.[0]` and `services[a].mem_limit` as keys and indexes; an empty `[]` is any index."""
    steps: list[str | int] = []
    for index, name in _STEP.findall(dotted):
        step = index or name
        if step:
            steps.append(int(step) if step.isdigit() else step)
    return tuple(steps)


def without_values(words: str, values: Mapping[str, str], *, roots: Iterable[str]) -> str:
    """The words without the values of variables, which may be secrets, and with paths as they are below the tree."""
    for name, value in sorted(values.items(), key=lambda item: -len(item[1])):
        if len(value) >= PLACEHOLDER_LENGTH:
            words = words.replace(value, f"${{{name}}}")
    for root in sorted(roots, key=len, reverse=True):
        words = words.replace(root.rstrip("/") + "/", "") if root.rstrip("/") else words
    return words
