"""What starts a workflow of a forge, and what do its jobs and steps run? GitHub, Forgejo and Gitea write the same YAML; every noun knows its line.

`interlock.facts.conditions` says which `if:` can hold for an event, `interlock.facts.calls` follows what a step runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Any, Protocol

from interlock.nouns import dataclass
from interlock.patterns import regex

FOLDERS = (".github/workflows", ".forgejo/workflows", ".gitea/workflows")
HUMAN = frozenset({"workflow_dispatch"})
CALLED = "workflow_call"
PULL_REQUESTS = frozenset({"pull_request", "pull_request_target"})
_EXPRESSION = regex(r"\$\{\{(.*?)\}\}", re.DOTALL)


class Places(Protocol):
    """Where each key path stands in the text (`interlock.config.yamltext.Positions`), reduced to lines by `Lines`."""

    def line(self, path: tuple[str | int, ...]) -> int:
        """The line of the key at this path, else of what is nearest above it."""

    def first_line(self, path: tuple[str | int, ...]) -> int:
        """The line of the file on which the text of this value begins: below the `|` of a block."""


class RunnerKind(StrEnum):
    """What kind of machine a job runs on."""

    THROW_AWAY = "throw-away"  # made for the job and gone with it
    OWN = "own"  # stays when the job has ended
    UNKNOWN = "unknown"  # an expression decides


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """One event that starts a workflow, with its filters (`branches`, `paths-ignore`, `types`, `tags`, `cron`, ...) as they are written."""

    event: str
    line: int
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def automatic(self) -> bool:
        """True when no human says yes to this very run."""
        return self.event not in HUMAN and self.event != CALLED

    def __str__(self) -> str:
        for name, before in (("branches", "to "), ("tags", "of tag "), ("cron", ""), ("types", "")):
            if given := self.filters.get(name):
                return f"{self.event} {before}{', '.join(given[:3])}{' ...' if len(given) > 3 else ''}"
        return self.event


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. `run_line` is the line on which the text of `run` begins; `inputs` and `environment` are `with:` and `env:` as text."""

    number: int
    name: str
    line: int
    uses: str = ""
    run: str = ""
    run_line: int = 0
    condition: str = ""
    continues: str = ""  # `continue-on-error` as written, empty when not given
    continues_line: int = 0
    directory: str = ""
    shell: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    input_lines: Mapping[str, int] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def called(self) -> str:
        """How a reader finds it."""
        return f'step "{self.name}"' if self.name else f"step {self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job. `runs_on` are its labels, the values of its matrix put in; `gate` is the forge's environment that it runs in: it may have reviewers."""

    id: str
    line: int
    name: str = ""
    needs: tuple[str, ...] = ()
    condition: str = ""
    condition_line: int = 0
    runs_on: tuple[str, ...] = ()
    container: str = ""
    uses: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    continues: str = ""
    continues_line: int = 0
    gate: str = ""
    directory: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()

    @property
    def check(self) -> str:
        """The name that its status check has."""
        return self.name or self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """One workflow file."""

    path: str
    name: str
    triggers: tuple[Trigger, ...]
    jobs: tuple[Job, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def forge(self) -> str:
        """`github`, `forgejo` or `gitea`, by the folder that it lies in; empty elsewhere."""
        return next((folder[1:].partition("/")[0] for folder in FOLDERS if self.path.startswith(folder + "/")), "")

    def job(self, name: str) -> Job | None:
        """The job of that id."""
        return next((job for job in self.jobs if job.id == name), None)

    def trigger(self, event: str) -> Trigger | None:
        """The trigger of that event."""
        return next((trigger for trigger in self.triggers if trigger.event == event), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotWorkflow:
    """A file that cannot be understood as a workflow: where, and why."""

    path: str
    line: int
    why: str


def parse_workflow(path: str, data: Any, places: Places) -> Workflow | NotWorkflow:
    """The workflow of a parsed YAML document. Never raises, whatever the data is."""
    if not isinstance(data, dict) or not isinstance(data.get("jobs"), dict):
        return NotWorkflow(path=path, line=1, why="it has no `jobs:`")
    if "on" not in data:
        return NotWorkflow(path=path, line=1, why="it has no `on:`")
    defaults = _texts(_below(data, "defaults", "run"))
    jobs = tuple(_job(name, job, places, defaults) for name, job in data["jobs"].items() if isinstance(job, dict))
    return Workflow(path=path, name=_text(data.get("name")), triggers=tuple(_triggers(data["on"], places)), jobs=jobs, environment=_texts(data.get("env")))


def parse_composite(data: Any, places: Places) -> tuple[Step, ...]:
    """The steps of a composite action's `action.yml`; none for an action of another kind."""
    steps = _below(data, "runs", "steps")
    return tuple(_steps(steps, ("runs", "steps"), places, {}))


def _below(data: Any, *keys: str) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _text(value: Any) -> str:
    """A scalar as the forge's expressions see it."""
    if value is None or isinstance(value, (dict, list)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _texts(value: Any) -> dict[str, str]:
    return {str(key): _text(one) for key, one in value.items()} if isinstance(value, dict) else {}


def _list(value: Any) -> tuple[str, ...]:
    """One scalar, or a list of them."""
    if isinstance(value, list):
        return tuple(_text(one) for one in value)
    return (_text(value),) if _text(value) else ()


# ---- what starts it


def _triggers(value: Any, places: Places) -> Iterator[Trigger]:
    if isinstance(value, dict):
        for event, given in value.items():
            yield Trigger(event=event, line=places.line(("on", event)), filters=dict(_filters(given)))
    elif isinstance(value, list):
        for index, event in enumerate(value):
            yield Trigger(event=_text(event), line=places.line(("on", index)))
    elif _text(value):
        yield Trigger(event=_text(value), line=places.line(("on",)))


def _filters(given: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    if isinstance(given, dict):
        yield from ((name, found) for name, value in given.items() if not isinstance(value, dict) and (found := _list(value)))
    elif isinstance(given, list):  # schedule
        yield "cron", tuple(_text(one.get("cron")) for one in given if isinstance(one, dict))


# ---- jobs


def _job(name: str, job: dict[str, Any], places: Places, defaults: Mapping[str, str]) -> Job:
    at: tuple[str | int, ...] = ("jobs", name)
    matrix = _below(job, "strategy", "matrix")
    own = {**defaults, **_texts(_below(job, "defaults", "run"))}
    gate = job.get("environment")
    container = job.get("container")
    return Job(
        id=name,
        line=places.line(at),
        name=_text(job.get("name")),
        needs=_list(job.get("needs")),
        condition=_text(job.get("if")),
        condition_line=places.line((*at, "if")),
        runs_on=tuple(_labels(job.get("runs-on"), matrix)),
        container=_text(_below(container, "image") if isinstance(container, dict) else container),
        uses=_text(job.get("uses")),
        inputs=_texts(job.get("with")),
        continues=_text(job.get("continue-on-error")),
        continues_line=places.line((*at, "continue-on-error")),
        gate=_text(_below(gate, "name") if isinstance(gate, dict) else gate),
        directory=own.get("working-directory", ""),
        environment=_texts(job.get("env")),
        steps=tuple(_steps(job.get("steps"), (*at, "steps"), places, own)),
    )


def _labels(value: Any, matrix: Any) -> Iterator[str]:
    """The labels that a job asks for; `${{ matrix.os }}` is every value that the matrix has for it."""
    if isinstance(value, dict):
        yield from (*_list(value.get("group")), *_list(value.get("labels")))
        return
    for label in _list(value):
        found = re.fullmatch(r"\$\{\{\s*matrix\.([\w.-]+)\s*\}\}", label)
        values = list(_matrix_values(matrix, found[1].split("."))) if found else []
        yield from values or [label]


def _matrix_values(matrix: Any, keys: Sequence[str]) -> Iterator[str]:
    rows = _below(matrix, keys[0])
    for row in rows if isinstance(rows, list) else []:
        yield from _list(_below(row, *keys[1:]) if keys[1:] else row)
    included = _below(matrix, "include")
    for row in included if isinstance(included, list) else []:
        yield from _list(_below(row, *keys))


def _steps(value: Any, at: tuple[str | int, ...], places: Places, defaults: Mapping[str, str]) -> Iterator[Step]:
    for index, step in enumerate(value if isinstance(value, list) else ()):
        if not isinstance(step, dict):
            continue
        here = (*at, index)
        inputs = _texts(step.get("with"))
        yield Step(
            number=index + 1,
            name=_text(step.get("name")) or _text(step.get("id")),
            line=places.line(here),
            uses=_text(step.get("uses")),
            run=_text(step.get("run")),
            run_line=places.first_line((*here, "run")),
            condition=_text(step.get("if")),
            continues=_text(step.get("continue-on-error")),
            continues_line=places.line((*here, "continue-on-error")),
            directory=_text(step.get("working-directory")) or defaults.get("working-directory", ""),
            shell=_text(step.get("shell")) or defaults.get("shell", ""),
            inputs=inputs,
            input_lines={name: places.first_line((*here, "with", name)) for name in inputs},
            environment=_texts(step.get("env")),
        )


# ---- the machine that a job runs on

_HOSTED = regex(
    r"(?:ubuntu|windows|macos|debian|alpine|fedora|node|docker|blacksmith|depot|namespace|nscloud|buildjet|warp|ubicloud|runs-on|codebuild|github|large|xlarge)\b"
    r"|.*\b(?:ubuntu|debian)-(?:latest|\d+)|.*-(?:hosted|ephemeral)$",
    re.IGNORECASE,
)


def runner_kind(job: Job) -> RunnerKind:
    """What kind of machine a job runs on, from its labels. A label that no forge or renter of runners has is somebody's own machine."""
    labels = [label.strip() for label in job.runs_on]
    if any(label.lower() in ("self-hosted", "host") for label in labels):
        return RunnerKind.OWN
    spoken = [text for label in labels if "${{" in label for text in re.findall(r"'([^']+)'", label)]
    plain = [label for label in labels if "${{" not in label]
    if any(text.lower() == "self-hosted" for text in spoken):
        return RunnerKind.OWN
    if any(_HOSTED.match(label) for label in (*plain, *spoken)):
        return RunnerKind.THROW_AWAY
    return RunnerKind.OWN if plain else RunnerKind.UNKNOWN


# ---- expressions inside of text


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A text whose `${{ }}` are replaced by words that a shell leaves alone; `expressions` gives each back, line breaks inside of one are kept after it."""

    text: str
    expressions: Mapping[str, str]

    def shown(self, text: str) -> str:
        """A text as its author wrote it."""
        for word, expression in self.expressions.items():
            text = text.replace(word, expression)
        return text


def fill(text: str) -> Filled:
    """`deploy ${{ inputs.host }}` as `deploy INTERLOCKEXPRESSION0X`."""
    expressions: dict[str, str] = {}

    def word(found: re.Match[str]) -> str:
        name = f"INTERLOCKEXPRESSION{len(expressions)}X"
        expressions[name] = "${{ " + " ".join(found[1].split()) + " }}"
        return name

    return Filled(text=_EXPRESSION.sub(word, text), expressions=expressions)
