"""Do the compose files say what their authors believe they say? `interlock.observe.compose` brings their text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import count

from interlock.config.models import Site
from interlock.config.yamltext import COMPOSE, Fault, KeyPath, Problem, YamlText, read_yaml, say_type
from interlock.facts.compose import ComposeText
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, When

SHOWN = 3  # findings that the one sentence names; the details name all
ESCAPES = 100  # apostrophes of one file; each costs reading it again
LIMITS = (Fault.TOO_LARGE, Fault.TOO_DEEP, Fault.TOO_MANY_VALUES)  # of ours: no compose file comes near them, and nothing is proven about one that does
_BREAK = re.compile("\r\n|\n|\r")
_NEEDS_QUOTES = re.compile(r"[.\[\]\s]|^$")


def compose_files(site: Site) -> Sequence[Subject]:
    """Each compose file of the site, named by its path."""
    return [Subject(name=path) for path in dict.fromkeys(site.compose.files)] if site.compose else []


def judge_strict_parse(file: ComposeText) -> Held | Broken | Unproven:
    """Held when no key stands twice in a mapping, no conflict marker was left, and the file can be read to its end as docker compose reads it."""
    read = _read(file.content)
    details = tuple(_details(file.path, read))
    broken = [detail for detail in details if detail.outcome is Outcome.BROKEN]
    if broken:
        return Broken(f"{file.path}: {_shown(broken)}", remedy=_remedy(file.path, read), kind=broken[0].kind, details=details)
    if details:
        return Unproven(f"{file.path}: {_shown(details)}", remedy="look whether this is a compose file at all", details=details)
    return Held(f"{file.path} can be read to its end, has no key twice and no conflict marker" if read.documents else f"{file.path} is empty")


def _read(content: bytes) -> YamlText:
    r"""The text as docker compose reads it: inside double quotes it takes \' for an apostrophe, which YAML does not know."""
    read = read_yaml(content, COMPOSE)
    text = content.decode("utf-8-sig", "surrogateescape")
    for _ in range(min(text.count(r"\'"), ESCAPES)):
        apostrophes = [at for problem in read.problems if problem.kind is Fault.SYNTAX and text.startswith(r"\'", at := _offset(text, problem))]
        if not apostrophes:
            break
        text = text[: apostrophes[0]] + "''" + text[apostrophes[0] + 2 :]
        read = read_yaml(text.encode("utf-8", "surrogateescape"), COMPOSE)
    return read


def _offset(text: str, problem: Problem) -> int:
    """Where a problem stands."""
    starts = [0, *(line_break.end() for line_break in _BREAK.finditer(text))]
    return starts[min(problem.line, len(starts)) - 1] + problem.column - 1


def _shown(details: Sequence[Detail]) -> str:
    more = f"; and {len(details) - SHOWN} more" if len(details) > SHOWN else ""
    return "; ".join(detail.message for detail in details[:SHOWN]) + more


def _details(path: str, read: YamlText) -> Iterator[Detail]:
    markers = count(1)
    for problem in read.problems:
        match problem.kind:
            case Fault.EMPTY:
                continue  # an overlay that says nothing is none; a document that should be a mapping and is not is told below
            case Fault.CONFLICT_MARKER:
                yield _detail(path, problem, what=f"conflict marker {next(markers)}")
            case _:
                yield _detail(path, problem, what=dotted(problem.path) or problem.kind.value)
    for number, document in enumerate(read.documents, start=1):
        if not isinstance(document.data, dict):
            line = document.root.at.line
            message = f"line {line}: {say_type(document.data)} stands where a mapping with services, volumes and so on should"
            yield Detail(what=f"document {number}", outcome=Outcome.BROKEN, kind="no-mapping", message=message, file=path, line=line)


def _detail(path: str, problem: Problem, *, what: str) -> Detail:
    outcome = Outcome.UNPROVEN if problem.kind in LIMITS else Outcome.BROKEN
    why = f" ({problem.why})" if problem.why else ""
    key = f" ({what})" if problem.kind is Fault.DUPLICATE_KEY else why
    message = f"line {problem.line}: {problem.message}{key}"
    return Detail(what=what, outcome=outcome, kind=problem.kind.value, message=message, file=path, line=problem.line)


def dotted(path: KeyPath) -> str:
    """A key path as operators write it: `services.web.ports[0]`."""
    parts = (f"[{step}]" if isinstance(step, int) else "." + (f'"{step}"' if _NEEDS_QUOTES.search(step) else step) for step in path)
    return "".join(parts).removeprefix(".")


def _remedy(path: str, read: YamlText) -> str:
    problem = next((problem for problem in read.problems if problem.kind is not Fault.EMPTY), None)
    return f"{problem.remedy}, in {path}" if problem else f"write a mapping, or remove {path}"


STRICT_PARSE = Guardrail(
    id="compose.strict_parse",
    title="a compose file can be read to its end, has no key twice and no conflict marker",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="Of two keys with one name many readers drop one without a word, a volume or a limit with it; a file with a conflict marker starts nothing.",
    remedy="keep one of the two keys; finish the merge and take the markers out",
    subjects=compose_files,
    judge=judge_strict_parse,
)
