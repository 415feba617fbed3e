"""What does a site file say? The frozen nouns of `interlock.yaml`, checked once at the border by pydantic (`interlock.config.load` reads them).

Paths are normalised but stay relative where they were; `Site.root` is the directory that relative ones start from. Durations are seconds, sizes
bytes, modes permission bits. The descriptions here are the one source of the JSON Schema (`interlock.config.schema`) and of error messages.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PrivateAttr, WrapSerializer, model_validator

from interlock.config.actions import Action, Approval, Workplans
from interlock.config.forges import Forge
from interlock.config.scalars import (
    DEFAULT_CHAIN,
    LOCAL,
    AbsolutePath,
    AbsolutePaths,
    Argv,
    Family,
    FileMode,
    Flag,
    Json,
    Name,
    Names,
    Noun,
    Seconds,
    Size,
    Table,
    Text,
    Texts,
    Timeout,
    TreePath,
    TreePaths,
    Variable,
    Whole,
    WrongValueError,
    check_cell,
    check_no_repeats,
    check_printable,
    check_version,
    exactly_one,
    nothing,
    to_plain,
)
from interlock.config.yamlnodes import Positions
from interlock.facts.mounts import Layout
from interlock.facts.substitution import SubstitutionError, references
from interlock.verdicts import Severity


class Learned(Noun):
    """A noun that `init --live` may have learned from a running host, which may be wrong: a human confirms it by removing the mark."""

    unconfirmed: Flag = Field(default=False, description="true: learned from the running host; keeps the gate shut until a human removes it.")


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
    engine: AbsolutePath | None = Field(
        default=None, description="The socket of its container engine (/var/run/docker.sock): containers and volumes are looked at through it."
    )
    lock: AbsolutePath | None = Field(
        default=None, description="The directory on it that holds the lock of a site's actions; /run/lock where every user may write there, else /tmp."
    )
    volumes: AbsolutePath | None = Field(default=None, description="The directory that holds the engine's named volumes, each a directory with `_data` in it.")
    engine_unit: Text = Field(default="docker.service", description="The systemd unit that starts the engine at boot, and with it the stack.")
    fstab: AbsolutePath = Field(default="/etc/fstab", description="The file that says what is mounted at boot, beside the mount units of systemd.")


class Disk(Learned):
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
    subvolume: AbsolutePath | None = Field(
        default=None, description="The directory of the file system that is mounted, as mountinfo has it: a btrfs subvolume (/@state), or what a bind shows."
    )
    markers: Texts = Field(
        default=(), description="Names that may lie below the mountpoint on its parent's disk, like a file that says that nothing is mounted."
    )
    min_free: Size = Field(default=0, description="How many bytes must be free on it.", examples=["20G"])
    min_free_inodes: Whole = Field(default=0, ge=0, description="How many inodes must be free on it.")

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


class OtherMounts(Noun):
    """Mounts that must be there beside those of state and data: one at `path`, or one at every directory directly below `each_below`."""

    model_config = ConfigDict(json_schema_extra=exactly_one("path", "each_below"))

    host: Name = Field(default=LOCAL, description="The host that they are on.")
    path: AbsolutePath | None = Field(default=None, description="Where the one mount is.")
    each_below: AbsolutePath | None = Field(default=None, description="The directory whose every directory is a mountpoint: /srv/tenants.")
    device: Text | None = Field(default=None, description="What must be mounted at `path`, as the `device` of a disk; anything when not given.")
    fstype: Text | None = Field(default=None, description="The file system type that each must have; any when not given.")
    options: Texts = Field(default=(), description="Mount options that each must have: rw, nosuid.")

    @model_validator(mode="after")
    def _one_or_each(self) -> OtherMounts:
        if (self.path is None) is (self.each_below is None):
            raise WrongValueError("it has both of `path` and `each_below`, or none", "write one of the two")
        if self.each_below and self.device:
            raise WrongValueError("one device cannot be mounted at every directory", "leave `device` out, or name one `path`")
        return self


class Overlays(Noun):
    """The compose overlay of each layout; the two never stand in one chain."""

    nested: TreePath | None = Field(default=None, description="The compose overlay of the nested layout, inside the site's folder.")
    flat: TreePath | None = Field(default=None, description="The compose overlay of the flat layout, inside the site's folder.")

    def layouts_of(self, files: Collection[str]) -> tuple[Layout, ...]:
        """The layouts whose overlay is among these compose files."""
        return tuple(layout for layout, overlay in ((Layout.NESTED, self.nested), (Layout.FLAT, self.flat)) if overlay in files)


class Mounts(Noun):
    """The disks of the stack, and how they lie to each other."""

    state: Disk = Field(description="The disk that state lives on.")
    data: Disk | None = Field(default=None, description="The disk that data lives on.")
    layout: Layout | None = Field(default=None, description="nested: the state disk is mounted below the data disk; flat: the two lie beside each other.")
    overlays: Overlays = Field(default_factory=Overlays, description="The compose overlay of each layout.")
    others: Table[OtherMounts] = Field(
        default_factory=nothing, description="Other mounts that must be there, by name: a disk for backups, one for each tenant."
    )

    def chains_on_them(self, chains: Mapping[str, Chain]) -> tuple[str, ...]:
        """The chains that are started on a host with these disks: those with the overlay of the declared layout, or of any; all where none has one."""
        layouts = {name: self.overlays.layouts_of(chain.files) for name, chain in chains.items()}
        declared = tuple(name for name, found in layouts.items() if self.layout in found)
        return declared or tuple(name for name, found in layouts.items() if found) or tuple(chains)

    @model_validator(mode="after")
    def _layout_fits(self) -> Mounts:
        if self.layout is None:
            return self
        if self.data is None:
            raise WrongValueError("a layout says how state and data lie to each other, and no data disk is declared", "declare `data:`, or remove `layout`")
        below = f"{self.state.path}/".startswith(f"{self.data.path.rstrip('/')}/") and self.state.host == self.data.host
        if self.layout is Layout.FLAT and below:
            what = f"the layout is flat, and the state path {self.state.path} lies below the data path {self.data.path}"
            raise WrongValueError(what, "write `layout: nested`, or correct the paths")
        if self.layout is Layout.NESTED and not below:
            what = f"the layout is nested, and the state path {self.state.path} does not lie below the data path {self.data.path}"
            raise WrongValueError(what, "write `layout: flat`, or correct the paths")
        return self


class SecretFormat(StrEnum):
    """What a secret file must be able to be read as."""

    TEXT = "text"  # anything that is not blank
    JSON = "json"
    PEM = "pem"
    HEX = "hex"
    BASE64 = "base64"


class SecretFile(Noun):
    """A secret that must be there: never read into a report, only judged."""

    path: Text = Field(description="The file, below the state directory, or absolute.")
    format: SecretFormat = Field(default=SecretFormat.TEXT, description="What it must be readable as.")
    mode: FileMode = Field(default=0o600, description="The mode that it may have at most.")
    owner: Name | None = Field(default=None, description="The user who must own it.")


class Precedence(Noun):
    """A configuration file that the application keeps in the state directory, and the read-only copy that it falls back to."""

    state: Text = Field(description="The copy that wins, below the state directory, or absolute.")
    fallback: AbsolutePath = Field(description="The read-only copy that is used while the other is not there.")


class StateDir(Noun):
    """The one variable that says where state lives, and everybody who reads it.

    `path` is what it must come to. `env_file` lies in the site's folder, `host_env_file` on the host; both are read as compose reads an env file.
    """

    host: Name = Field(default=LOCAL, description="The host that the state lives on.")
    variable: Variable = Field(default="STATE_DIR", description="The variable that says where state lives.")
    default: Text = Field(default="${DATA_DIR}/state", description="What every reader takes when the variable is not set or empty.")
    values: Annotated[Mapping[Text, Text], AfterValidator(MappingProxyType), WrapSerializer(to_plain)] = Field(
        default_factory=nothing, description="What readers take for the other variables of the default when nobody sets them, like DATA_DIR: /data."
    )
    path: AbsolutePath = Field(description="The directory on the host that it must come to.")
    env_file: TreePath | None = Field(default=None, description="The env file that sets it, inside the site's folder.")
    host_env_file: AbsolutePath | None = Field(default=None, description="The env file that sets it, on the host.")
    container_path: AbsolutePath | None = Field(default=None, description="Where services see it; `path` itself when not given.")
    services: Names | None = Field(default=None, description="The compose services that use state; every service that has the variable when not given.")
    readers: TreePaths | None = Field(default=None, description="Scripts, units and crontabs of the host that resolve it, inside the site's folder.")
    writers: Annotated[tuple[Name | Whole, ...], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(check_no_repeats)] | None = Field(
        default=None, description="The users (names or uids of the host) who may own what lies in it; its owner and the services' users when not given."
    )
    secrets: Table[SecretFile] = Field(default_factory=nothing, description="The secrets that must be in it, by name.")
    precedence: Table[Precedence] = Field(default_factory=nothing, description="Configuration files whose copy in it wins over a read-only one, by name.")

    @model_validator(mode="after")
    def _default_is_a_template(self) -> StateDir:
        try:
            references(self.default)
        except SubstitutionError as error:
            raise WrongValueError(f"the default {self.default} is no text with references", error.remedy) from error
        return self


class BackupClass(StrEnum):
    """What kind of state a module keeps (docs/guardrails/backups.md). The runner makes class E."""

    A = "A"  # PostgreSQL: a logical dump
    B = "B"  # Redis: BGSAVE, then an archive
    C = "C"  # Vault: a raft snapshot, else an archive
    D = "D"  # MinIO or S3: a mirror, else an archive
    E = "E"  # a file system: an archive
    F = "F"  # an engine of its own: an archive until its dump is proven
    G = "G"  # a separate compose root: an archive of its own


class Module(Learned):
    """A stateful part of the stack, what of it is backed up, and where its backups lie.

    `owner` is the one user who may own the backup files; `paths` the directories that its archive holds, which only class A can do without.
    """

    backup_class: BackupClass | None = Field(
        alias="class", default=None, description="How it is backed up: A to G; by its name when not given, and E, an archive of its directories, by default."
    )
    host: Name = Field(default=LOCAL, description="The host that it runs on.")
    container: Name | None = Field(default=None, description="The name of its container; that of its module file, compose or runbook when not given.")
    database: Name | None = Field(default=None, description="The database of the site that its dump holds.")
    paths: AbsolutePaths = Field(default=(), description="The directories that its archive holds.")
    volumes: Texts | None = Field(default=None, description="The engine's named volumes that hold its state.")
    backups: AbsolutePath = Field(description="The directory that its backup files lie in, on its host.")
    owner: Name = Field(description="The one user who may own the backup files.")
    fresh_for: Timeout = Field(default=24 * 3600, description="How old its newest backup may be.")
    busy: Flag = Field(default=False, description="true: it is written to all the time, so that its backup is judged by its age alone.")
    restore_note: TreePath | None = Field(default=None, description="How it is restored, in words: a file inside the site's folder; needed for classes A to D.")
    procedure: TreePath | None = Field(default=None, description="The script that backs it up, inside the site's folder; the restore note is newer than it.")
    decision: Text | None = Field(default=None, description="Who decided, when, that backups of this class may be taken; needed for classes A to D.")

    @model_validator(mode="after")
    def _backups_outside_paths(self) -> Module:
        inside = next((path for path in self.paths if (self.backups + "/").startswith(path.rstrip("/") + "/")), None)
        if inside is not None:
            raise WrongValueError(f"the backups in {self.backups} lie inside {inside}, which they are made of", "keep them in a directory outside `paths`")
        return self


class ClassRule(Noun):
    """Which class the modules of these names have."""

    name: Text = Field(description="A module's name, or a pattern with * in it.", examples=["*postgres"])
    backup_class: BackupClass = Field(alias="class", description="The class that they have.")


class Inventory(Noun):
    """The module files that say what is stateful, and the classes that their names stand for."""

    modules: Texts = Field(default=("modules/*/module.yaml",), description="The module files, as patterns inside the site's folder.")
    classes: tuple[ClassRule, ...] = Field(default=(), description="Which class a name stands for; these come before the usual ones.")


class Database(Learned):
    """A PostgreSQL database. Its DSN, with the password, comes from the environment variable `dsn_env`."""

    dsn_env: Variable = Field(description="The environment variable that holds the DSN.", examples=["LEDGER_DSN"])
    timeout: Timeout = Field(default=30, description="How long one statement may take.")


class LeftOut(Noun):
    """A table that is not compared, and why."""

    table: Text = Field(description="The table, as schema.table; * stands for anything.")
    reason: Text = Field(description="Why it may differ.")


class Copy(Noun):
    """A database that is copied to another one, and must be the same there."""

    source: Name = Field(description="The database that is copied.")
    target: Name = Field(description="The database that it is copied to.")
    schemas: Texts | None = Field(default=None, description="The schemas that are compared; all but the system's when not given.")
    ignore: tuple[LeftOut, ...] = Field(default=(), description="The tables that are not compared, each with the reason.")
    grants: Flag = Field(default=True, description="Whether roles and grants are compared.")


class Automatic(Noun):
    """A path that is allowed to apply by itself, and who answers for it."""

    path: TreePath = Field(description="The workflow, crontab or unit, inside the site's folder.")
    reason: Text = Field(description="Why it may.")
    owner: Text = Field(description="Who answers for it.")


class Automation(Noun):
    """What might change the system by itself: workflows, crontabs, and the scripts that they call."""

    apply: TreePaths | None = Field(default=None, description="Scripts that change the running system; found by what they do when not given.")
    workflows: TreePaths | None = Field(default=None, description="Workflows of the forge, inside the site's folder; others are found where forges look.")
    crontabs: TreePaths | None = Field(default=None, description="Crontabs inside the site's folder; others are found by their names.")
    hosts: Names | None = Field(default=None, description="The hosts whose crontabs are looked at; those that are looked at as root when not given.")
    automatic: tuple[Automatic, ...] = Field(default=(), description="What may apply by itself, each with reason and owner.")
    reviewed: Texts | None = Field(default=None, description="Environments of the forge that wait for a reviewer before a job runs in them.")
    gate: TreePath | None = Field(default=None, description="The workflow that runs the gate; found by what it runs when a forge is declared.")
    gate_check: Text | None = Field(default=None, description="The name of the status check that the gate reports; the job's name when not given.")
    forge: Forge | None = Field(default=None, description="The forge whose branch protection must require the gate.")


class PublicPort(Learned):
    """A published port that may be reached from outside."""

    port: Whole = Field(ge=1, le=65535, description="The port on the host.")
    protocol: Literal["tcp", "udp"] = Field(default="tcp", description="tcp or udp.")
    reason: Text = Field(description="Why it may be reached from outside.")


class Refused(Noun):
    """An address that must refuse a request without credentials."""

    url: str = Field(pattern=r"^https?://\S+$", description="The address to GET without credentials.")
    status: tuple[Annotated[Whole, Field(ge=300, le=599)], ...] = Field(default=(401, 403), min_length=1, description="What it may answer.")


class Exposure(Noun):
    """What may be reached from outside; everything else may not."""

    hosts: Annotated[tuple[Name, ...], Field(json_schema_extra={"uniqueItems": True}), AfterValidator(check_no_repeats)] = Field(
        default=(LOCAL,), description="The hosts whose ports are looked at."
    )
    public: tuple[PublicPort, ...] = Field(default=(), description="The ports that may be reached from outside.")
    refused: Table[Refused] = Field(default_factory=nothing, description="Addresses that must refuse a request without credentials, by name.")


class Excluded(Noun):
    """Something stateful that is on the host and is none of the site's business, and why."""

    model_config = ConfigDict(json_schema_extra=exactly_one("container", "volume", "mount", "database"))

    container: Text | None = Field(default=None, description="A container's name, and what it alone writes to; * stands for anything.")
    volume: Text | None = Field(default=None, description="A named volume; * stands for anything.")
    mount: AbsolutePath | None = Field(default=None, description="A mountpoint, or a directory that a container writes to, and everything below it.")
    database: Text | None = Field(default=None, description="A database's name; * stands for anything.")
    reason: Text = Field(description="Why the site does not declare it.")

    @property
    def kind(self) -> str:
        """Which of the four it is."""
        return self.given()[0]

    def given(self) -> list[str]:
        """The kinds that are given; a valid exclusion has one."""
        return [kind for kind in ("container", "volume", "mount", "database") if getattr(self, kind) is not None]

    @model_validator(mode="after")
    def _exactly_one(self) -> Excluded:
        if len(self.given()) != 1:
            these = " and ".join(self.given()) or "none"
            raise WrongValueError(f"an exclusion is exactly one of container, volume, mount, database; this one is {these}", "give exactly one of them")
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


class Instance(Learned):
    """One running copy of the stack: its directory on a host, and the values that its templates are rendered with.

    `values` may refer to the environment with `${VAR}`; `env_file` is a file inside the site's folder whose keys are values too, `values` win.
    """

    host: Name = Field(default=LOCAL, description="The host that it runs on.")
    directory: AbsolutePath = Field(description="Its directory on that host.")
    # Not in repr: somebody may write a secret here in spite of ${VAR}, and a repr ends up in tracebacks and test reports.
    values: Annotated[Mapping[Text, Annotated[str, AfterValidator(check_printable)]], AfterValidator(MappingProxyType), WrapSerializer(to_plain)] = Field(
        default_factory=nothing, repr=False, description="What its templates are rendered with; ${VAR} is taken from the environment, $$ is a dollar sign."
    )
    env_file: TreePath | None = Field(default=None, description="A file inside the site's folder whose keys are values too; `values` win.")
    chain: Name | None = Field(
        default=None, description="The chain of compose files that it runs; the only one, or what its COMPOSE_FILE says, when not given."
    )


class Chain(Noun):
    """Compose files that are started together, base first, and the env files that their variables are taken from.

    Its project directory is the folder of its first file, as docker compose has it.
    """

    files: TreePaths = Field(description="The compose files, base first.")
    env_files: TreePaths | None = Field(default=None, description="The env files, later ones win; `.env` beside the first file when not given.")


class FollowedChoice(Noun):
    """A choice that the application keeps on its host, and the chain of compose files that each value of it needs."""

    host: Name = Field(default=LOCAL, description="The host that keeps it.")
    file: AbsolutePath = Field(description="The file that keeps it: YAML, JSON or an env file.")
    key: Text = Field(description="The key in it, dotted: database.backend.")
    chains: Annotated[Mapping[Text, Name], AfterValidator(MappingProxyType), WrapSerializer(to_plain)] = Field(description="The chain that each value needs.")
    default: Name | None = Field(default=None, description="The chain that is needed while the file or the key is not there.")


class Compose(Noun):
    """The compose files of the stack, as paths inside the site's folder, and the chains in which they are started.

    Without `chains`, all files in their order are the one chain, `default`.
    """

    files: Annotated[tuple[TreePath, ...], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(check_no_repeats)] = Field(
        description="The compose files, base first."
    )
    chains: Table[Chain] = Field(default_factory=nothing, description="Which of the files are started together, by name; all of them when not given.")
    follows: FollowedChoice | None = Field(default=None, description="The choice that the application keeps, which the chain that runs has to follow.")
    env_sources: TreePaths | None = Field(
        default=None, description="Env examples, and scripts that write the env file of a new installation; found by what they hold when not given."
    )

    @property
    def started(self) -> Mapping[str, Chain]:
        """The chains by name; without any, all files in their order are the one chain `default`."""
        return self.chains or MappingProxyType({DEFAULT_CHAIN: Chain(files=self.files)})


class Scripts(Noun):
    """The scripts and programs of the stack that are judged from their text, as paths inside the site's folder."""

    files: Annotated[tuple[TreePath, ...], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(check_no_repeats)] = Field(
        default=(), description="Shell scripts and Python programs."
    )
    found: Flag = Field(default=False, description="true: also those that are found by what they do, now and later.")


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
    json_values: Annotated[Mapping[Text, Json], AfterValidator(MappingProxyType), WrapSerializer(to_plain)] = Field(
        alias="json", default_factory=nothing, description="Dotted paths into the JSON answer, and the value that must stand at each."
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


LiveGates = Annotated[
    tuple[Literal["preflight", "postflight"], ...], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(check_no_repeats)
]


class Health(Learned, ExpectHttp):
    """An endpoint that says whether the stack is well: it answers so within `attempts` looks, and `reads` once through the database."""

    host: Name = Field(default=LOCAL, description="The host that it is looked at from.")
    reads: ExpectHttp | None = Field(default=None, description="A second address, whose answer has gone through the database.")
    when: LiveGates = Field(default=("preflight", "postflight"), description="The gates that it belongs to.")
    attempts: Whole = Field(default=1, ge=1, le=1000, description="How often to look before it counts as broken.")
    every: Seconds = Field(default=1, description="How long to wait between two looks.")
    timeout: Timeout = Field(default=10, description="How long one look may take.")


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
    when: LiveGates = Field(default=("preflight", "postflight"), description="The gates that it belongs to.")
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


class Gate(Noun):
    """What shuts the gate: every guardrail at least this grave."""

    shut_at: Severity = Field(default=Severity.HIGH, description="The least grave severity that shuts the gate.")


class Site(Noun):
    """All that an `interlock.yaml` says."""

    interlock: Annotated[Literal[1], BeforeValidator(check_version)] = Field(description="The version of this file's format.")
    site: Name = Field(description="The name of the site, as reports show it.")
    hosts: Table[Host] = Field(default_factory=nothing, description="The machines; `local` is this one and need not be declared.")
    mounts: Mounts | None = Field(default=None, description="The disks of the stack.")
    state_dir: StateDir | None = Field(default=None, description="The one variable that says where state lives.")
    modules: Table[Module] = Field(default_factory=nothing, description="The stateful parts of the stack, and their backups.")
    inventory: Inventory | None = Field(default=None, description="The module files that say what is stateful.")
    databases: Table[Database] = Field(default_factory=nothing, description="The PostgreSQL databases.")
    parity: Table[Copy] = Field(default_factory=nothing, description="The databases that are copied to another one.")
    instances: Table[Instance] = Field(default_factory=nothing, description="The running copies of the stack.")
    templates: Table[Template] = Field(default_factory=nothing, description="The files that are rendered for each instance.")
    compose: Compose | None = Field(default=None, description="The compose files of the stack.")
    scripts: Scripts | None = Field(default=None, description="The scripts and programs of the stack.")
    expect: Table[Expect] = Field(default_factory=nothing, description="The site's own expectations; each is a guardrail.")
    automation: Automation | None = Field(default=None, description="What might change the system by itself.")
    exposure: Exposure | None = Field(default=None, description="What may be reached from outside.")
    health: Table[Health] = Field(default_factory=nothing, description="The endpoints that say whether the stack is well.")
    excluded: tuple[Excluded, ...] = Field(default=(), description="What is stateful on the hosts and none of this site's business, each with the reason.")
    not_used: Annotated[Mapping[Family, Text], AfterValidator(MappingProxyType), WrapSerializer(to_plain)] = Field(
        default_factory=nothing, description="Headline families that this site does not use, each with the reason."
    )
    gate: Gate = Field(default_factory=Gate, description="What shuts the gate.")
    approval: Approval | None = Field(default=None, description="Whose signatures count.")
    workplans: Workplans | None = Field(default=None, description="The workplans that say what humans have still to decide.")
    actions: Table[Action] = Field(default_factory=nothing, description="The changes that the runner can make.")
    waivers: TreePath = Field(default="waivers.yaml", description="The waiver file, inside the site's folder.")
    reports: Text = Field(default="reports", description="The directory that evidence is written to; relative to the site's folder unless absolute.")

    _root: Path = PrivateAttr(default=Path())
    _source: str = PrivateAttr(default="")
    _digest: str = PrivateAttr(default="")
    _positions: Positions | None = PrivateAttr(default=None)

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

    @property
    def positions(self) -> Positions | None:
        """Where each key path stands in the site file; None when the site was discovered from a tree."""
        return self._positions

    def placed(self, root: Path, *, source: str = "", digest: str = "", positions: Positions | None = None) -> Site:
        """The same site, said to lie in `root`. The loader does this; a site file cannot say where it is."""
        site = self.model_copy()
        site._root, site._source, site._digest = root, source, digest
        site._positions = positions or self._positions
        return site

    def host(self, name: str) -> Host:
        """A host by name; `local` is always there."""
        return self.hosts.get(name) or Host()

    @property
    def chains(self) -> Mapping[str, Chain]:
        """The chains of compose files by name. None where the site was found in a tree in which nobody says how its files are started."""
        if self.compose is None or not (self.source or self.compose.chains):
            return MappingProxyType({})
        return self.compose.started

    @property
    def chains_on_disks(self) -> tuple[str, ...]:
        """The chains that are started on a host with its disks; a base file alone, for a laptop or CI, is none where overlays say how the disks lie."""
        return self.mounts.chains_on_them(self.chains) if self.mounts else tuple(self.chains)

    def instances_of(self, template: Template) -> tuple[str, ...]:
        """The names of the instances that a template is rendered for."""
        return template.instances if template.instances is not None else tuple(self.instances)
