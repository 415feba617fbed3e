"""What does a site file say? The frozen nouns of `interlock.yaml`, checked once at the border by pydantic (`interlock.config.load` reads them).

Paths are normalised but stay relative where they were; `Site.root` is the directory that relative ones start from. Durations are seconds, sizes
bytes, modes permission bits. The descriptions here are the one source of the JSON Schema (`interlock.config.schema`) and of error messages.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    Strict,
    WithJsonSchema,
    WrapSerializer,
    model_validator,
)

from interlock.verdicts import Severity

SCHEMA_VERSION: Final = 1
LOCAL = "local"
HEADLINE_FAMILIES = ("mounts", "state_dir", "backups", "parity", "templates", "automation")

# The digits are bounded so that every duration fits any clock and timer; the longest is about 32 years.
_DURATION = re.compile(r"([0-9]{1,9})s|([0-9]{1,7})m|([0-9]{1,5})h|([0-9]{1,4})d")
_UNIT_SECONDS = (1, 60, 3600, 86400)
_LONGEST_SECONDS = 999_999_999
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Item = TypeVar("Item")
Value = TypeVar("Value")


class WrongValueError(ValueError):
    """A value that is of the right type and still wrong. `remedy` says what to write instead."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}: {remedy}")
        self.what = what
        self.remedy = remedy


def check_version(value: object) -> object:
    """The number 1 itself: `true`, `1.0` and `"1"` are not it."""
    if type(value) is not int or value != SCHEMA_VERSION:
        raise WrongValueError(f"{_shown(value)} is no version of this format that this interlock reads", f"write interlock: {SCHEMA_VERSION}")
    return value


def parse_duration(value: object) -> int:
    """Seconds from `90`, `90s`, `5m`, `4h` or `30d`. Raises WrongValueError for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LONGEST_SECONDS:
        return value
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        return next(int(digits) * seconds for digits, seconds in zip(match.groups(), _UNIT_SECONDS, strict=True) if digits)
    raise WrongValueError(f"{_shown(value)} is no duration", "write seconds, or a number and s, m, h or d, like 4h")


def check_positive(value: int) -> int:
    """A time limit of nothing would refuse everything."""
    if value < 1:
        raise WrongValueError("0 is no time limit", "write at least 1s")
    return value


def parse_mode(value: object) -> int:
    """Permission bits from the text `0600`. Raises WrongValueError otherwise: an unquoted 0600 in YAML is the number 384."""
    if isinstance(value, str) and re.fullmatch("0[0-7]{3}", value):
        return int(value, 8)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0o777:
        raise WrongValueError(f"without quotes this is the number {value}, and no file mode", f'write the mode in quotes, like "{value:04o}"')
    raise WrongValueError(f"{_shown(value)} is no file mode", 'write it in quotes as 0 and three octal digits, like "0600"')


def show_mode(mode: int) -> str:
    """`0600`: a mode as operators write it."""
    return f"{mode:04o}"


def check_name(value: str) -> str:
    """A name is what an operator can type: letters, digits, dot, dash, underscore."""
    if not _NAME.fullmatch(value):
        raise WrongValueError(f"{_shown(value)} is no name", "use letters, digits, dot, dash and underscore, at most 63, starting with a letter or digit")
    return value


def check_absolute(value: str) -> str:
    """An absolute path without `..`: what a probe looks at must not depend on where it starts."""
    parts = _path_parts(value)
    if not value.startswith("/") or ".." in parts:
        raise WrongValueError(f"{_shown(value)} is no absolute path without '..'", "write the whole path, from / on")
    return "/" + "/".join(parts)


def check_relative(value: str) -> str:
    """A path inside the site's folder: relative, no `..`."""
    parts = _path_parts(value)
    if not parts or value.startswith("/") or ".." in parts:
        raise WrongValueError(f"{_shown(value)} is no path inside the site's folder", "write it relative to the folder of the site file, without '..'")
    return "/".join(parts)


def check_family(value: str) -> str:
    """A headline family: the one that a site must use, or say why not."""
    if value not in HEADLINE_FAMILIES:
        raise WrongValueError(f"{_shown(value)} is no headline family", f"it is one of {', '.join(HEADLINE_FAMILIES)}")
    return value


def check_printable(value: str) -> str:
    """Text that can be an argument or a path: the kernel ends it at a NUL."""
    if "\0" in value:
        raise WrongValueError("a NUL character stands in this text", "remove the \\0")
    return value


def check_json(value: object) -> object:
    """A value that JSON can say: an answer can never equal another."""
    if isinstance(value, float) and not math.isfinite(value):
        raise WrongValueError(f"{value} is nothing that JSON can hold", "write a number, text, true, false or null")
    return value


def check_cell(value: object) -> object:
    """What a single cell of a query can be compared with."""
    if value is None or isinstance(value, str | int):
        return value
    raise WrongValueError(f"a cell is not compared with {type(value).__name__}", "write text, a whole number, true, false or null; cast the query to text")


def check_no_repeats(values: tuple[Item, ...]) -> tuple[Item, ...]:
    """Each item once: a repeated one is a slip, and often stands where another was meant."""
    seen: set[Item] = set()
    for value in values:
        if value in seen:
            raise WrongValueError(f"{_shown(value)} stands here twice", "name each once")
        seen.add(value)
    return values


def _path_parts(value: str) -> list[str]:
    if _CONTROL.search(value):
        raise WrongValueError(f"{_shown(value)} holds a control character", "write the path without it")
    return [part for part in value.split("/") if part not in ("", ".")]


def _shown(value: object) -> str:
    """A value as a message may show it: short."""
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _to_plain(value: Mapping[str, Any], to_plain: SerializerFunctionWrapHandler) -> Any:
    return to_plain(dict(value))


def _nothing() -> MappingProxyType[str, Any]:
    return MappingProxyType({})


_NAME_SCHEMA = {"type": "string", "pattern": f"^{_NAME.pattern}$"}
_SECONDS_SCHEMA = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": _LONGEST_SECONDS}, {"type": "string", "pattern": f"^({_DURATION.pattern})$"}]}
_TIMEOUT_SCHEMA = {
    "anyOf": [{"type": "integer", "minimum": 1, "maximum": _LONGEST_SECONDS}, {"type": "string", "pattern": f"^(?!0+[smhd])({_DURATION.pattern})$"}]
}
_ABSOLUTE_SCHEMA = {"type": "string", "pattern": r"^(?!.*/\.\.(/|$))/[^\x00-\x1f\x7f]*$"}
_RELATIVE_SCHEMA = {"type": "string", "pattern": r"^(?!/)(?!(.*/)?\.\.(/|$))(?!(\.?/)*\.?$)[^\x00-\x1f\x7f]+$"}

Name = Annotated[str, AfterValidator(check_name), WithJsonSchema(_NAME_SCHEMA)]
Seconds = Annotated[int, BeforeValidator(parse_duration), WithJsonSchema(_SECONDS_SCHEMA)]
Timeout = Annotated[int, BeforeValidator(parse_duration), AfterValidator(check_positive), WithJsonSchema(_TIMEOUT_SCHEMA)]
FileMode = Annotated[
    int,
    BeforeValidator(parse_mode),
    PlainSerializer(show_mode, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^0[0-7]{3}$"}),
]
AbsolutePath = Annotated[str, AfterValidator(check_absolute), WithJsonSchema(_ABSOLUTE_SCHEMA)]
TreePath = Annotated[str, AfterValidator(check_relative), WithJsonSchema(_RELATIVE_SCHEMA)]
Text = Annotated[str, Field(min_length=1), AfterValidator(check_printable)]
Whole = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]
Names = Annotated[tuple[Name, ...], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(check_no_repeats)]
Argv = Annotated[tuple[Annotated[str, AfterValidator(check_printable)], ...], Field(min_length=1)]
Family = Annotated[str, AfterValidator(check_family), WithJsonSchema({"type": "string", "enum": list(HEADLINE_FAMILIES)})]
Json = Annotated[Any, AfterValidator(check_json)]
Table = Annotated[Mapping[Name, Value], AfterValidator(MappingProxyType), WrapSerializer(_to_plain)]
"""Named things: immutable, keyed by a name that an operator can type."""


def exactly_one(*keys: str) -> Callable[[dict[str, Any]], None]:
    """For a JSON Schema: of these properties exactly one is given."""

    def extra(schema: dict[str, Any]) -> None:
        schema["oneOf"] = [{"required": [key]} for key in keys]

    return extra


class Noun(BaseModel):
    """The base of every noun of a site file: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


class Ssh(Noun):
    """How to reach a host: our own ssh argv is made of this, nothing is taken from the operator's habits but `config_file`."""

    destination: str = Field(min_length=1, pattern=r"^[^-\s][^\s]*$", description="Where to log in: host, or user@host.", examples=["deploy@app1.example.net"])
    port: Whole = Field(default=22, ge=1, le=65535, description="The TCP port of its sshd.")
    identity_file: Text | None = Field(default=None, description="The private key to log in with; ssh's own choice when not given.")
    known_hosts: Text | None = Field(default=None, description="The file that vouches for the host's key; ssh's own when not given.")
    config_file: Text | None = Field(default=None, description="An ssh_config to read; none is read otherwise.")


class Host(Noun):
    """A machine that facts come from and steps run on. Without `ssh` it is this machine."""

    ssh: Ssh | None = Field(default=None, description="How to reach it; without it the host is this machine.")
    become: Literal["sudo -n"] | None = Field(default=None, description="Run the one read-only probe as root.")
    timeout: Timeout = Field(default=30, description="How long the probe may take.")


class Disk(Noun):
    """A mount that must be there: `path` is the directory that the stack uses, `mountpoint` where the disk is mounted (default: `path` itself).

    `device` is `LABEL=x`, `UUID=x`, `PARTUUID=x`, `PARTLABEL=x`, a path below /dev, or the literal source of a mount without a device (`tmpfs`, `nas:/export`).
    """

    host: Name = Field(default=LOCAL, description="The host that it is mounted on.")
    path: AbsolutePath = Field(description="The directory that the stack uses.")
    mountpoint: AbsolutePath | None = Field(default=None, description="Where the disk is mounted; `path` itself when not given.")
    device: Text = Field(
        description="LABEL=x, UUID=x, PARTUUID=x, PARTLABEL=x, a path below /dev, or the literal source of a mount without a device (tmpfs, nas:/export)."
    )
    fstype: Text | None = Field(default=None, description="The file system type that it must have; any when not given.")

    @property
    def mounted_at(self) -> str:
        """Where the disk must be mounted."""
        return self.mountpoint or self.path

    @model_validator(mode="after")
    def _path_below_mountpoint(self) -> Disk:
        if self.mountpoint and self.mountpoint != "/" and not (self.path + "/").startswith(self.mountpoint + "/"):
            raise WrongValueError(
                f"path {self.path} is not below mountpoint {self.mountpoint}", "name the mount that holds the path, or leave `mountpoint` out"
            )
        return self


class Mounts(Noun):
    """The disks of the stack."""

    state: Disk = Field(description="The disk that state lives on.")


class BackupClass(StrEnum):
    """What kind of state a module keeps (docs/guardrails/backups.md); step 1 of the runner makes class E."""

    E = "E"


class Module(Noun):
    """A stateful part of the stack, what of it is backed up, and where its backups lie.

    `owner` is the one user who may own the backup files; `paths` the directories that its archive holds.
    """

    backup_class: BackupClass = Field(alias="class", default=BackupClass.E, description="How it is backed up: E is an archive of its directories.")
    host: Name = Field(default=LOCAL, description="The host that it runs on.")
    paths: Annotated[tuple[AbsolutePath, ...], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(check_no_repeats)] = Field(
        description="The directories that its archive holds."
    )
    backups: AbsolutePath = Field(description="The directory that its backup files lie in, on its host.")
    owner: Name = Field(description="The one user who may own the backup files.")

    @model_validator(mode="after")
    def _backups_outside_paths(self) -> Module:
        inside = next((path for path in self.paths if (self.backups + "/").startswith(path.rstrip("/") + "/")), None)
        if inside is not None:
            raise WrongValueError(f"the backups in {self.backups} lie inside {inside}, which they are made of", "keep them in a directory outside `paths`")
        return self


class RendererName(StrEnum):
    """How a template becomes bytes (`interlock.render`)."""

    COPY = "copy"
    SUBSTITUTE = "substitute"


class Header(Noun):
    """The part at the top of a rendered file that may differ from the canonical one: its first `lines`, or all up to and with the line that is `marker`."""

    model_config = ConfigDict(json_schema_extra=exactly_one("lines", "marker"))

    lines: Whole | None = Field(default=None, ge=1, le=100, description="How many lines at the top may differ.")
    marker: Text | None = Field(default=None, description="The line that ends the part that may differ.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Header:
        if (self.lines is None) == (self.marker is None):
            raise WrongValueError(
                f"a header is either `lines` or `marker`; this one is {'neither' if self.lines is None else 'both'}", "give exactly one of them"
            )
        return self


class Template(Noun):
    """One file that is rendered for each instance, and the canonical file that it must equal byte for byte.

    `template` and `canonical` are paths inside the site's folder; both may hold `{instance}`. `target` is the path below the instance's directory.
    """

    template: TreePath = Field(description="The template, inside the site's folder; {instance} stands for the instance's name.")
    renderer: RendererName = Field(default=RendererName.SUBSTITUTE, description="How it becomes bytes: copied as it is, or with ${VAR} substituted.")
    canonical: TreePath = Field(description="The file that the rendering must equal, inside the site's folder; {instance} stands for the instance's name.")
    target: TreePath = Field(description="Where the rendering is written, below the instance's directory.")
    mode: FileMode = Field(default=0o644, description="The mode of the written file.")
    header: Header | None = Field(default=None, description="The part at the top that may differ.")
    instances: Names | None = Field(default=None, description="Which instances it is rendered for; all when not given.")


class Instance(Noun):
    """One running copy of the stack: its directory on a host, and the values that its templates are rendered with.

    `values` may refer to the environment with `${VAR}`; `env_file` is a file inside the site's folder whose keys are values too, `values` win.
    """

    host: Name = Field(default=LOCAL, description="The host that it runs on.")
    directory: AbsolutePath = Field(description="Its directory on that host.")
    # Not in repr: somebody may write a secret here in spite of ${VAR}, and a repr ends up in tracebacks and test reports.
    values: Annotated[Mapping[Text, Annotated[str, AfterValidator(check_printable)]], AfterValidator(MappingProxyType), WrapSerializer(_to_plain)] = Field(
        default_factory=_nothing, repr=False, description="What its templates are rendered with; ${VAR} is taken from the environment, $$ is a dollar sign."
    )
    env_file: TreePath | None = Field(default=None, description="A file inside the site's folder whose keys are values too; `values` win.")


class Compose(Noun):
    """The compose files of the stack, as paths inside the site's folder."""

    files: Annotated[tuple[TreePath, ...], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(check_no_repeats)] = Field(
        description="The compose files, base first."
    )


class Scripts(Noun):
    """The scripts and programs of the stack that are judged from their text, as paths inside the site's folder."""

    files: Annotated[tuple[TreePath, ...], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(check_no_repeats)] = Field(
        description="Shell scripts and Python programs."
    )


class ExpectFile(Noun):
    """A file must be there, and be so."""

    path: AbsolutePath = Field(description="The file on the host.")
    mode: FileMode | None = Field(default=None, description="The mode that it must have.")
    owner: Name | None = Field(default=None, description="The user who must own it.")
    contains: Text | None = Field(default=None, description="Text that must stand in it.")


class ExpectPort(Noun):
    """A TCP port must answer, or must not."""

    address: str = Field(
        pattern=r"^(\[[0-9A-Fa-f:.%]+\]|[^\s\[\]:]+):(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})$",
        description="Host and port, as seen from the host that the expectation is for.",
        examples=["127.0.0.1:5432"],
    )
    listening: Flag = Field(default=True, description="false: nothing may answer there.")


class ExpectHttp(Noun):
    """An HTTP GET must be answered so. `json` maps dotted paths to the value that must stand there."""

    url: str = Field(pattern=r"^https?://\S+$", description="The address to GET.", examples=["http://127.0.0.1:8080/health"])
    status: Whole = Field(default=200, ge=100, le=599, description="The status that must come back.")
    contains: Text | None = Field(default=None, description="Text that must stand in the answer.")
    json_values: Annotated[Mapping[Text, Json], AfterValidator(MappingProxyType), WrapSerializer(_to_plain)] = Field(
        alias="json", default_factory=_nothing, description="Dotted paths into the JSON answer, and the value that must stand at each."
    )


class ExpectCommand(Noun):
    """A read-only command must end so; it is run as argv, never through a shell."""

    run: Argv = Field(description="The program and its arguments, each by itself.")
    exit: Whole = Field(default=0, ge=0, le=255, description="The exit code that it must end with.")
    stdout_contains: Text | None = Field(default=None, description="Text that must stand in its output.")


class ExpectSql(Noun):
    """A query in a read-only transaction must return exactly `value` as its single cell. The DSN comes from the environment variable `dsn_env`."""

    dsn_env: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="The environment variable that holds the DSN.", examples=["APP_DSN"])
    query: Text = Field(description="The query; its answer is a single cell.")
    value: Annotated[str | Whole | Flag | None, BeforeValidator(check_cell)] = Field(
        description="What the cell must hold: text, a whole number, true, false, or null."
    )


EXPECTATIONS = ("file", "port", "http", "command", "sql")


class Expect(Noun):
    """One rule of the operator's own: exactly one of file, port, http, command, sql."""

    model_config = ConfigDict(json_schema_extra=exactly_one(*EXPECTATIONS))

    file: ExpectFile | None = Field(default=None, description="A file must be there.")
    port: ExpectPort | None = Field(default=None, description="A TCP port must answer.")
    http: ExpectHttp | None = Field(default=None, description="An HTTP GET must be answered.")
    command: ExpectCommand | None = Field(default=None, description="A read-only command must end so.")
    sql: ExpectSql | None = Field(default=None, description="A query must return a value.")
    host: Name = Field(default=LOCAL, description="The host that it is looked at from.")
    when: Annotated[
        tuple[Literal["preflight", "postflight"], ...], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(check_no_repeats)
    ] = Field(default=("preflight", "postflight"), description="The gates that it belongs to.")
    severity: Severity = Field(default=Severity.HIGH, description="How grave it is when it does not hold.")
    attempts: Whole = Field(default=1, ge=1, le=1000, description="How often to look before it counts as broken.")
    every: Seconds = Field(default=1, description="How long to wait between two looks.")
    timeout: Timeout = Field(default=10, description="How long one look may take.")

    @property
    def kind(self) -> str:
        """Which of the five it is."""
        return self.given()[0]

    def given(self) -> list[str]:
        """The kinds that are given; a valid expectation has one."""
        return [kind for kind in EXPECTATIONS if getattr(self, kind) is not None]

    @model_validator(mode="after")
    def _exactly_one(self) -> Expect:
        if len(self.given()) != 1:
            these = " and ".join(self.given()) or "none"
            raise WrongValueError(f"an expectation is exactly one of {', '.join(EXPECTATIONS)}; this one is {these}", "give exactly one of them")
        return self


class BackupStep(Noun):
    """Archive the named modules, verified before the next step."""

    modules: Names = Field(description="The modules to back up.")


class WriteFilesStep(Noun):
    """Write the rendered bytes of these templates to their targets on these instances (all when not given)."""

    templates: Names = Field(description="The templates to write.")
    instances: Names | None = Field(default=None, description="The instances to write them for; all of each template when not given.")


class CommandStep(Noun):
    """Run one program. `undo` reverses it, `done` exits 0 when it need not run (again)."""

    run: Argv = Field(description="The program and its arguments, each by itself; there is no shell.")
    undo: Argv | None = Field(default=None, description="What reverses it, run when a later step fails.")
    done: Argv | None = Field(default=None, description="Exits 0 when it need not run (again).")
    host: Name = Field(default=LOCAL, description="The host that it runs on.")
    directory: AbsolutePath | None = Field(default=None, description="The directory that it runs in.")
    timeout: Timeout = Field(default=300, description="How long it may take.")


class VerifyStep(Noun):
    """Judge these expectations now, and stop the action when one does not hold."""

    expect: Names = Field(description="The expectations that must hold before the next step.")


STEPS = ("backup", "write-files", "command", "verify")


class Step(Noun):
    """One step of an action: exactly one kind."""

    model_config = ConfigDict(json_schema_extra=exactly_one(*STEPS))

    backup: BackupStep | None = Field(default=None, description="Archive modules.")
    write_files: WriteFilesStep | None = Field(default=None, alias="write-files", description="Write rendered files.")
    command: CommandStep | None = Field(default=None, description="Run a program.")
    verify: VerifyStep | None = Field(default=None, description="Judge expectations.")

    @property
    def kind(self) -> str:
        """`backup`, `write-files`, `command` or `verify`."""
        return self.given()[0]

    def given(self) -> list[str]:
        """The kinds that are given; a valid step has one."""
        parts = dict(zip(STEPS, (self.backup, self.write_files, self.command, self.verify), strict=True))
        return [kind for kind, part in parts.items() if part is not None]

    @model_validator(mode="after")
    def _exactly_one(self) -> Step:
        if len(self.given()) != 1:
            these = " and ".join(self.given()) or "none"
            raise WrongValueError(f"a step is exactly one of {', '.join(STEPS)}; this one is {these}", "give exactly one, and make a step of each other")
        return self


class ApprovalKind(StrEnum):
    """Who must agree before an action is applied."""

    SIGNATURE = "signature"  # people of allowed_signers sign the plan's digest
    OPERATOR = "operator"  # the operator at the terminal is enough


class Action(Noun):
    """A change that the runner can make. `gate` names the families or guardrails that must be closed for it; not given: all of them."""

    steps: tuple[Step, ...] = Field(min_length=1, description="What is done, in this order.")
    gate: Annotated[tuple[Text, ...], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(check_no_repeats)] | None = Field(
        default=None, description="The families or guardrails that must be closed for it; all when not given."
    )
    approval: ApprovalKind = Field(default=ApprovalKind.SIGNATURE, description="Who must agree: signers of the plan, or the operator at the terminal.")
    timeout: Timeout = Field(default=3600, description="How long the whole action may take.")


class Approval(Noun):
    """Whose signatures count, how many are needed and how long they last. `self_approval` not given: only while one principal is allowed."""

    allowed_signers: Text = Field(description="The ssh allowed_signers file with the people whose signatures count.")
    required: Whole = Field(default=1, ge=1, le=10, description="How many of them must sign a plan.")
    valid_for: Timeout = Field(default=4 * 3600, description="How long a signature lasts.")
    self_approval: Flag | None = Field(default=None, description="May the planner sign the plan? Not given: only while one principal is allowed.")


class Gate(Noun):
    """What shuts the gate: every guardrail at least this grave."""

    shut_at: Severity = Field(default=Severity.HIGH, description="The least grave severity that shuts the gate.")


class Site(Noun):
    """All that an `interlock.yaml` says."""

    interlock: Annotated[Literal[1], BeforeValidator(check_version)] = Field(description="The version of this file's format.")
    site: Name = Field(description="The name of the site, as reports show it.")
    hosts: Table[Host] = Field(default_factory=_nothing, description="The machines; `local` is this one and need not be declared.")
    mounts: Mounts | None = Field(default=None, description="The disks of the stack.")
    modules: Table[Module] = Field(default_factory=_nothing, description="The stateful parts of the stack, and their backups.")
    instances: Table[Instance] = Field(default_factory=_nothing, description="The running copies of the stack.")
    templates: Table[Template] = Field(default_factory=_nothing, description="The files that are rendered for each instance.")
    compose: Compose | None = Field(default=None, description="The compose files of the stack.")
    scripts: Scripts | None = Field(default=None, description="The scripts and programs of the stack.")
    expect: Table[Expect] = Field(default_factory=_nothing, description="The site's own expectations; each is a guardrail.")
    not_used: Annotated[Mapping[Family, Text], AfterValidator(MappingProxyType), WrapSerializer(_to_plain)] = Field(
        default_factory=_nothing, description="Headline families that this site does not use, each with the reason."
    )
    gate: Gate = Field(default_factory=Gate, description="What shuts the gate.")
    approval: Approval | None = Field(default=None, description="Whose signatures count.")
    actions: Table[Action] = Field(default_factory=_nothing, description="The changes that the runner can make.")
    waivers: TreePath = Field(default="waivers.yaml", description="The waiver file, inside the site's folder.")
    reports: Text = Field(default="reports", description="The directory that evidence is written to; relative to the site's folder unless absolute.")

    _root: Path = PrivateAttr(default=Path())
    _source: str = PrivateAttr(default="")
    _digest: str = PrivateAttr(default="")

    @property
    def root(self) -> Path:
        """The directory that relative paths start from: that of the site file."""
        return self._root

    @property
    def source(self) -> str:
        """The site file as it was named; empty when the site was discovered from a tree."""
        return self._source

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the site file's bytes; empty when there is no file."""
        return self._digest

    def placed(self, root: Path, *, source: str = "", digest: str = "") -> Site:
        """The same site, said to lie in `root`. The loader does this; a site file cannot say where it is."""
        site = self.model_copy()
        site._root, site._source, site._digest = root, source, digest
        return site

    def host(self, name: str) -> Host:
        """A host by name; `local` is always there."""
        return self.hosts.get(name) or Host()

    def instances_of(self, template: Template) -> tuple[str, ...]:
        """The names of the instances that a template is rendered for."""
        return template.instances if template.instances is not None else tuple(self.instances)
