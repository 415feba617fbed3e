"""What does a site file say? The frozen nouns of `interlock.yaml`, checked once at the border by pydantic (`interlock.config.load` reads them).

Paths are kept as written; `Site.root` is the directory that relative ones start from. Durations are seconds, sizes bytes, modes `FileMode`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from interlock.verdicts import Severity

SCHEMA_VERSION = 1
LOCAL = "local"
HEADLINE_FAMILIES = ("mounts", "state_dir", "backups", "parity", "templates", "automation")

_DURATION = re.compile(r"(\d+)\s*(s|m|h|d)")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def parse_duration(value: object) -> int:
    """Seconds from `90`, `90s`, `5m`, `4h` or `30d`. Raises ValueError for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        return int(match[1]) * _UNIT_SECONDS[match[2]]
    raise ValueError(f"{value!r} is no duration: write seconds, or a number and s, m, h or d, like 4h")


def parse_mode(value: object) -> int:
    """Permission bits from the text `0600`. Raises ValueError otherwise: an unquoted 0600 in YAML is the number 384."""
    if isinstance(value, str) and re.fullmatch("0[0-7]{3}", value):
        return int(value, 8)
    raise ValueError(f'{value!r} is no file mode: write it in quotes as 0 and three octal digits, like "0600"')


def check_name(value: str) -> str:
    """A name is what an operator can type: letters, digits, dot, dash, underscore."""
    if not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no name: use letters, digits, dot, dash and underscore, at most 63, starting with a letter or digit")
    return value


def check_absolute(value: str) -> str:
    """An absolute path without `..`: what a probe looks at must not depend on where it starts."""
    if not value.startswith("/") or ".." in value.split("/"):
        raise ValueError(f"{value!r} is no absolute path without '..'")
    return value.rstrip("/") or "/"


def check_relative(value: str) -> str:
    """A path inside the site's folder: relative, no `..`."""
    if not value or value.startswith("/") or ".." in value.split("/"):
        raise ValueError(f"{value!r} is no path inside the site's folder: write it relative, without '..'")
    return value


Name = Annotated[str, AfterValidator(check_name)]
Seconds = Annotated[int, BeforeValidator(parse_duration)]
FileMode = Annotated[int, BeforeValidator(parse_mode)]
AbsolutePath = Annotated[str, AfterValidator(check_absolute)]
TreePath = Annotated[str, AfterValidator(check_relative)]
Argv = Annotated[tuple[str, ...], Field(min_length=1)]


class Noun(BaseModel):
    """The base of every noun of a site file: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, hide_input_in_errors=True, defer_build=True)


class Ssh(Noun):
    """How to reach a host: our own ssh argv is made of this, nothing is taken from the operator's habits but `config_file`."""

    destination: str = Field(min_length=1, pattern=r"^[^-\s][^\s]*$", description="host, or user@host")
    port: int = Field(default=22, ge=1, le=65535)
    identity_file: str | None = None
    known_hosts: str | None = None
    config_file: str | None = Field(default=None, description="an ssh_config to read; none is read otherwise but the user's own")


class Host(Noun):
    """A machine that facts come from and steps run on. Without `ssh` it is this machine."""

    ssh: Ssh | None = None
    become: Literal["sudo -n"] | None = Field(default=None, description="run the one read-only probe as root")
    timeout: Seconds = 30


class Disk(Noun):
    """A mount that must be there: `path` is the directory that the stack uses, `mountpoint` where the disk is mounted (default: `path` itself).

    `device` is `LABEL=x`, `UUID=x`, `PARTUUID=x`, `PARTLABEL=x`, a path below /dev, or the literal source of a mount without a device (`tmpfs`, `nas:/export`).
    """

    host: Name = LOCAL
    path: AbsolutePath
    mountpoint: AbsolutePath | None = None
    device: str = Field(min_length=1)
    fstype: str | None = None

    @property
    def mounted_at(self) -> str:
        """Where the disk must be mounted."""
        return self.mountpoint or self.path

    @model_validator(mode="after")
    def _path_below_mountpoint(self) -> Disk:
        if self.mountpoint and self.mountpoint != "/" and not (self.path + "/").startswith(self.mountpoint + "/"):
            raise ValueError(f"path {self.path} is not below mountpoint {self.mountpoint}")
        return self


class Mounts(Noun):
    """The disks of the stack."""

    state: Disk


class BackupClass(StrEnum):
    """What kind of state a module keeps (docs/guardrails/backups.md); step 1 of the runner makes class E."""

    E = "E"


class Module(Noun):
    """A stateful part of the stack, what of it is backed up, and where its backups lie.

    `owner` is the one user who may own the backup files; `paths` the directories that its archive holds.
    """

    backup_class: BackupClass = Field(alias="class", default=BackupClass.E)
    host: Name = LOCAL
    paths: tuple[AbsolutePath, ...] = Field(min_length=1)
    backups: AbsolutePath
    owner: Name


class RendererName(StrEnum):
    """How a template becomes bytes (`interlock.render`)."""

    COPY = "copy"
    SUBSTITUTE = "substitute"


class Header(Noun):
    """The part at the top of a rendered file that may differ from the canonical one: its first `lines`, or all up to and with the line that is `marker`."""

    lines: int | None = Field(default=None, ge=1, le=100)
    marker: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _exactly_one(self) -> Header:
        if (self.lines is None) == (self.marker is None):
            raise ValueError("a header is either `lines` or `marker`")
        return self


class Template(Noun):
    """One file that is rendered for each instance, and the canonical file that it must equal byte for byte.

    `template` and `canonical` are paths inside the site's folder; both may hold `{instance}`. `target` is the path below the instance's directory.
    """

    template: TreePath
    renderer: RendererName = RendererName.SUBSTITUTE
    canonical: TreePath
    target: TreePath
    mode: FileMode = 0o644
    header: Header | None = None
    instances: tuple[Name, ...] | None = Field(default=None, description="which instances; all when not given")


class Instance(Noun):
    """One running copy of the stack: its directory on a host, and the values that its templates are rendered with.

    `values` may refer to the environment with `${VAR}`; `env_file` is a file inside the site's folder whose keys are values too, `values` win.
    """

    host: Name = LOCAL
    directory: AbsolutePath
    values: Mapping[str, str] = Field(default_factory=dict)
    env_file: TreePath | None = None


class Compose(Noun):
    """The compose files of the stack, as paths inside the site's folder."""

    files: tuple[TreePath, ...] = Field(min_length=1)


class ExpectFile(Noun):
    """A file must be there, and be so."""

    path: AbsolutePath
    mode: FileMode | None = None
    owner: Name | None = None
    contains: str | None = None


class ExpectPort(Noun):
    """A TCP port must answer, or must not."""

    address: str = Field(pattern=r"^\[?[^\s\]]+\]?:\d{1,5}$")
    listening: bool = True


class ExpectHttp(Noun):
    """An HTTP GET must be answered so. `json` maps dotted paths to the value that must stand there."""

    url: str = Field(pattern=r"^https?://\S+$")
    status: int = Field(default=200, ge=100, le=599)
    contains: str | None = None
    json_values: Mapping[str, Any] = Field(alias="json", default_factory=dict)


class ExpectCommand(Noun):
    """A read-only command must end so; it is run as argv, never through a shell."""

    run: Argv
    exit: int = 0
    stdout_contains: str | None = None


class ExpectSql(Noun):
    """A query in a read-only transaction must return exactly `value` as its single cell. The DSN comes from the environment variable `dsn_env`."""

    dsn_env: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    query: str = Field(min_length=1)
    value: str | int | bool | None


class Expect(Noun):
    """One rule of the operator's own: exactly one of file, port, http, command, sql."""

    file: ExpectFile | None = None
    port: ExpectPort | None = None
    http: ExpectHttp | None = None
    command: ExpectCommand | None = None
    sql: ExpectSql | None = None
    host: Name = LOCAL
    when: tuple[Literal["preflight", "postflight"], ...] = Field(default=("preflight", "postflight"), min_length=1)
    severity: Severity = Severity.HIGH
    attempts: int = Field(default=1, ge=1, le=1000)
    every: Seconds = 1
    timeout: Seconds = 10

    @property
    def kind(self) -> str:
        """Which of the five it is."""
        return next(kind for kind in ("file", "port", "http", "command", "sql") if getattr(self, kind) is not None)

    @model_validator(mode="after")
    def _exactly_one(self) -> Expect:
        given = [kind for kind in ("file", "port", "http", "command", "sql") if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"an expectation is exactly one of file, port, http, command, sql; this one is {' and '.join(given) or 'none'}")
        return self


class BackupStep(Noun):
    """Archive the named modules, verified before the next step."""

    modules: tuple[Name, ...] = Field(min_length=1)


class WriteFilesStep(Noun):
    """Write the rendered bytes of these templates to their targets on these instances (all when not given)."""

    templates: tuple[Name, ...] = Field(min_length=1)
    instances: tuple[Name, ...] | None = None


class CommandStep(Noun):
    """Run one program. `undo` reverses it, `done` exits 0 when it need not run (again)."""

    run: Argv
    undo: Argv | None = None
    done: Argv | None = None
    host: Name = LOCAL
    directory: AbsolutePath | None = None
    timeout: Seconds = 300


class VerifyStep(Noun):
    """Judge these expectations now, and stop the action when one does not hold."""

    expect: tuple[Name, ...] = Field(min_length=1)


class Step(Noun):
    """One step of an action: exactly one kind."""

    backup: BackupStep | None = None
    write_files: WriteFilesStep | None = Field(default=None, alias="write-files")
    command: CommandStep | None = None
    verify: VerifyStep | None = None

    @property
    def kind(self) -> str:
        """`backup`, `write-files`, `command` or `verify`."""
        return self.given()[0]

    def given(self) -> list[str]:
        """The kinds that are given; a valid step has one."""
        parts = {"backup": self.backup, "write-files": self.write_files, "command": self.command, "verify": self.verify}
        return [kind for kind, part in parts.items() if part is not None]

    @model_validator(mode="after")
    def _exactly_one(self) -> Step:
        if len(self.given()) != 1:
            raise ValueError(f"a step is exactly one of backup, write-files, command, verify; this one is {' and '.join(self.given()) or 'none'}")
        return self


class ApprovalKind(StrEnum):
    """Who must agree before an action is applied."""

    SIGNATURE = "signature"  # people of allowed_signers sign the plan's digest
    OPERATOR = "operator"  # the operator at the terminal is enough


class Action(Noun):
    """A change that the runner can make. `gate` names the families or guardrails that must be closed for it; not given: all of them."""

    steps: tuple[Step, ...] = Field(min_length=1)
    gate: tuple[str, ...] | None = None
    approval: ApprovalKind = ApprovalKind.SIGNATURE
    timeout: Seconds = 3600


class Approval(Noun):
    """Whose signatures count, how many are needed and how long they last. `self_approval` not given: only while one principal is allowed."""

    allowed_signers: str
    required: int = Field(default=1, ge=1, le=10)
    valid_for: Seconds = 4 * 3600
    self_approval: bool | None = None


class Gate(Noun):
    """What shuts the gate: every guardrail at least this grave."""

    shut_at: Severity = Severity.HIGH


class Site(Noun):
    """All that an `interlock.yaml` says. `root` is its directory, `source` the file (empty when the site was discovered from a tree)."""

    interlock: Literal[1]
    site: Name
    hosts: Mapping[Name, Host] = Field(default_factory=dict)
    mounts: Mounts | None = None
    modules: Mapping[Name, Module] = Field(default_factory=dict)
    instances: Mapping[Name, Instance] = Field(default_factory=dict)
    templates: Mapping[Name, Template] = Field(default_factory=dict)
    compose: Compose | None = None
    expect: Mapping[Name, Expect] = Field(default_factory=dict)
    not_used: Mapping[str, str] = Field(default_factory=dict)
    gate: Gate = Gate()
    approval: Approval | None = None
    actions: Mapping[Name, Action] = Field(default_factory=dict)
    waivers: TreePath = "waivers.yaml"
    reports: str = "reports"
    root: Path = Field(default=Path("."), exclude=True, json_schema_extra={"x-internal": True})
    source: str = Field(default="", exclude=True, json_schema_extra={"x-internal": True})
    digest: str = Field(default="", exclude=True, json_schema_extra={"x-internal": True})

    def host(self, name: str) -> Host:
        """A host by name; `local` is always there."""
        return self.hosts.get(name) or Host()

    def instances_of(self, template: Template) -> tuple[str, ...]:
        """The names of the instances that a template is rendered for."""
        return template.instances if template.instances is not None else tuple(self.instances)
