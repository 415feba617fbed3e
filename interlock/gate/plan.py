"""What exactly will happen? A plan: an action with every input resolved, its digest, and the state of the system that it was made for. Pure.

`plan.json` is the canonical form (RFC 8785) of `Plan`, so the sha256 of that file is the plan's digest. It names files by path and digest, never by content:
content without secrets lies beside it in `blobs/`, the rest is rendered again at apply and must come to the same digest. `interlock.change.planning` resolves.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal, Self, assert_never

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from interlock.config.actions import ApprovalKind, ComposeVerb
from interlock.config.models import BackupClass
from interlock.config.scalars import LOCAL
from interlock.errors import StaleError
from interlock.facts.canonical import canonical, digest, parse_canonical

SCHEMA = "interlock/plan/1"
FILE = "plan.json"
BLOBS = "blobs"
LIMIT = 256 * 1024 * 1024  # bytes of a plan, and of what lies beside it

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Moment = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
Compression = Literal["zstd", "gzip"]


class Part(BaseModel):
    """The base of a plan's nouns: frozen, nothing unknown in them."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


class SiteReference(Part):
    """Which site the plan is for: its name, its file below its folder, and the digest of that file."""

    name: str
    file: str
    digest: Digest


class StepPart(Part):
    """What every step of a plan has. `needs` are the expectations that must hold right before it starts."""

    needs: tuple[str, ...] = ()


class Directory(Part):
    """A directory as it was seen: `device` is `major:minor` of what it shows."""

    path: str
    real: str
    device: str


class BackupPlan(StepPart):
    """Archive one module's paths into its backup directory. Changes nothing else, so there is nothing to undo."""

    kind: Literal["backup"] = "backup"
    module: str
    backup_class: BackupClass
    paths: tuple[Directory, ...]
    directory: Directory
    owner: str
    owner_uid: int
    compression: Compression
    exclude: tuple[str, ...] = ()


class OldFile(Part):
    """The file that stands at a target now; it is put back by undo. Sizes in bytes, `mode` as `0644`."""

    digest: Digest
    size: int
    mode: str
    uid: int
    gid: int


class NewFile(Part):
    """The file that will stand there. `content` says where its bytes come from: `blobs/`; rendered again, because they hold values by reference; or the bytes
    that stand there now, patched."""

    digest: Digest
    size: int
    mode: str
    content: Literal["blob", "rendered", "patched"]


class TargetPlan(Part):
    """A file that will be another: `target` is its absolute path on `host`, below `directory`.

    `real` is where `directory` leads, `device` what the folder of the target shows, as `major:minor`.
    """

    host: str = LOCAL
    directory: str
    real: str
    device: str
    target: str
    new: NewFile
    old: OldFile | None

    @property
    def unchanged(self) -> bool:
        """True when the target already is what it should be."""
        return self.old is not None and (self.old.digest, self.old.mode) == (self.new.digest, self.new.mode)


class FilePlan(TargetPlan):
    """A file of a write-files step: what it is rendered from."""

    template: str
    instance: str


class FilesPlan(StepPart):
    """Write rendered files. Undo restores every byte, mode and owner, and removes what was created."""

    kind: Literal["write-files"] = "write-files"
    files: tuple[FilePlan, ...]


class EnvFilePlan(TargetPlan):
    """An env file that is patched. `appended` are the variables that it does not have yet, `set` those whose value becomes another; values are never here."""

    set: tuple[str, ...]
    appended: tuple[str, ...]


class EnvPatchPlan(StepPart):
    """Set variables in env files. `step` is its place among the action's steps in the site file, counted from 0: the values are read there again."""

    kind: Literal["env-patch"] = "env-patch"
    step: int
    files: tuple[EnvFilePlan, ...]


class InputFile(Part):
    """A file that a command's argv names: the program, a script, its input."""

    path: str
    digest: Digest


class ImagePlan(Part):
    """The image of a service: what its compose file calls it, the id that this host has for that name now (empty: none), and the digest that the registry
    had for it when the plan was made (empty: nobody could say). `by` is the verb of this plan that brings it, empty where it is used as it is."""

    service: str
    reference: str
    id: str
    digest: str
    by: Literal["", "pull", "build"] = ""


class ContainerPlan(Part):
    """A container of the project as it was: its service, id, image id, and whether it ran. `same`: the chain as it is now would make this very container
    again, from that image. `anonymous` are the places in it that lie on volumes without a name, which nobody finds again once it is removed."""

    service: str
    id: str
    image: str
    running: bool
    same: bool
    anonymous: tuple[str, ...] = ()


class ComposePlan(StepPart):
    """Let docker compose work on a chain, on the engine behind a socket. Paths are absolute on `host`; without env files none is read.

    `program` is the docker compose that does it, of this `version`. `model` is the digest of the chain as it is resolved right before this step, `before`
    as it was when the plan was made (None: it could not be resolved then). `whole`: the services are all that the chain has. `containers` are those of the
    whole project, `volumes` and `networks` the names of those that it had. Timeout in seconds.
    """

    kind: Literal["compose"] = "compose"
    run: ComposeVerb
    host: str = LOCAL
    engine: str
    program: str
    version: str
    chain: str
    project: str
    directory: str
    files: tuple[str, ...]
    env_files: tuple[str, ...]
    services: tuple[str, ...]
    whole: bool
    model: Digest
    before: Digest | None
    images: tuple[ImagePlan, ...]
    containers: tuple[ContainerPlan, ...]
    volumes: tuple[str, ...]
    networks: tuple[str, ...]
    timeout: int

    def containers_of(self, service: str) -> tuple[ContainerPlan, ...]:
        """Those of one service, as they were."""
        return tuple(container for container in self.containers if container.service == service)

    @property
    def touched(self) -> tuple[ContainerPlan, ...]:
        """The containers of the services that this step is about."""
        return tuple(container for container in self.containers if container.service in self.services)

    @property
    def comes_back(self) -> bool:
        """True when images and containers can come back as they were: those that are made again must be made from what is known."""
        match self.run:
            case ComposeVerb.PULL | ComposeVerb.BUILD | ComposeVerb.START | ComposeVerb.STOP:
                return True
            case ComposeVerb.UP:
                return not self.touched or (self.before is not None and all(container.same for container in self.touched))
            case ComposeVerb.DOWN:
                return not self.touched or (self.before is not None and all(container.same and not container.anonymous for container in self.touched))
            case _:
                assert_never(self.run)


class CommandPlan(StepPart):
    """Run one program. `undo` reverses it; `done` exits 0 when it need not run. Timeout in seconds.

    `remounts` are the directories that show another disk afterwards: from there on the plan does not stand on what they, and all below them, show.
    """

    kind: Literal["command"] = "command"
    host: str = LOCAL
    argv: tuple[str, ...]
    undo: tuple[str, ...] | None
    done: tuple[str, ...] | None
    directory: str
    timeout: int
    inputs: tuple[InputFile, ...]
    remounts: tuple[str, ...] = Field(default=(), exclude_if=operator.not_)


class VerifyPlan(StepPart):
    """Judge these expectations of the site, and stop the action when one does not hold. Looks only."""

    kind: Literal["verify"] = "verify"
    expect: tuple[str, ...]


Switch = Annotated[FilesPlan | EnvPatchPlan | CommandPlan, Field(discriminator="kind")]


class EndpointPlan(StepPart):
    """Switch where everybody writes to. `before` must hold before it, `after` once it is switched; undo switches back."""

    kind: Literal["endpoint"] = "endpoint"
    switch: Switch
    before: tuple[str, ...]
    after: tuple[str, ...]


class GatePlan(StepPart):
    """Ask these families and guardrails in mid-plan, on fresh facts; `afterwards`: of the site that the action ends with. Looks only."""

    kind: Literal["gate"] = "gate"
    guardrails: tuple[str, ...]
    afterwards: bool = Field(default=False, exclude_if=operator.not_)


class ApprovalPlan(StepPart):
    """Wait for the signatures of `required` people (of `by`, where that is not empty) who have seen how far the action got. Changes nothing."""

    kind: Literal["approval"] = "approval"
    asks: str
    required: int
    by: tuple[str, ...]


StepPlan = Annotated[
    BackupPlan | FilesPlan | EnvPatchPlan | ComposePlan | CommandPlan | VerifyPlan | EndpointPlan | GatePlan | ApprovalPlan, Field(discriminator="kind")
]


class Plan(Part):
    """An action, resolved. Times are RFC 3339 UTC; `timeout` is how many seconds after its clearance a step may still be started.

    `fingerprint` says in words what the live state was (`interlock.observe.fingerprint`): `mount /data-state` -> `id 42, device 8:1, ...`.
    `becomes` is the site file that describes the system afterwards, where that is another one. A part that came later than others is only written where it says
    something, so that a plan of an earlier version stays the same bytes.
    """

    schema_: Literal["interlock/plan/1"] = Field(default="interlock/plan/1", alias="schema")
    interlock: str
    site: SiteReference
    becomes: SiteReference | None = Field(default=None, exclude_if=operator.not_)
    action: str
    approval: ApprovalKind
    steps: tuple[StepPlan, ...] = Field(min_length=1)
    timeout: int
    fingerprint: Mapping[str, str]
    created_at: Moment
    expires_at: Moment
    made_by: str
    made_on: str

    def to_bytes(self) -> bytes:
        """The content of plan.json."""
        return canonical(self.model_dump(mode="json", by_alias=True))

    @property
    def digest(self) -> str:
        """What is approved and applied: the sha256 of plan.json."""
        return digest(self.to_bytes())

    @classmethod
    def parse(cls, raw: bytes, *, where: str) -> Self:
        """The plan of a plan.json. Raises StaleError for anything that `to_bytes` did not write: an edited plan is no plan."""
        try:
            plan = cls.model_validate(parse_canonical(raw))
            same = plan.to_bytes() == raw
        except (ValueError, ValidationError) as error:
            raise _edited(where, _first_line(error)) from error
        if not same:
            raise _edited(where, "it holds something that no plan holds")
        return plan

    def blobs(self) -> frozenset[str]:
        """The digests of all content that lies beside the plan."""
        return frozenset(file.new.digest for file in self.files() if file.new.content == "blob")

    def files(self) -> Sequence[TargetPlan]:
        """Every file that a step writes."""
        return [file for step in self.steps for file in files_of(step)]


def files_of(step: StepPlan) -> Sequence[TargetPlan]:
    """The files that a step writes, or switches by."""
    match step:
        case FilesPlan() | EnvPatchPlan():
            return step.files
        case EndpointPlan():
            return files_of(step.switch)
        case BackupPlan() | ComposePlan() | CommandPlan() | VerifyPlan() | GatePlan() | ApprovalPlan():
            return ()


def changes(step: StepPlan) -> bool:
    """True for a step that changes the system; a backup only adds its archive, the others look."""
    return isinstance(step, FilesPlan | EnvPatchPlan | ComposePlan | CommandPlan | EndpointPlan)


def has_undo(step: StepPlan) -> bool:
    """True when everything that the step may change can be put back."""
    match step:
        case CommandPlan():
            return step.undo is not None
        case ComposePlan():
            return step.comes_back
        case EndpointPlan():
            return has_undo(step.switch)
        case BackupPlan() | FilesPlan() | EnvPatchPlan() | VerifyPlan() | GatePlan() | ApprovalPlan():
            return True
        case _:
            assert_never(step)


def remounted(steps: Iterable[StepPlan]) -> frozenset[str]:
    """The directories, as a fingerprint names them, that show another disk once these steps have run."""
    parts = (step.switch if isinstance(step, EndpointPlan) else step for step in steps)
    return frozenset(_named(part, path) for part in parts if isinstance(part, CommandPlan) for path in part.remounts)


def disks_moved(plan: Plan, ran: Sequence[bool]) -> frozenset[str]:
    """The directories whose disks an action has moved that ends with another site; `ran` says of each step whether the system may hold something of it.

    While there are any, the gate that the action began with describes disks that lie otherwise: it cannot be gone on with, only undone.
    """
    return remounted(step for step, may in zip(plan.steps, ran, strict=True) if may) if plan.becomes is not None else frozenset()


def _named(step: CommandPlan, path: str) -> str:
    return path if step.host == LOCAL else f"{step.host}:{path}"


def moved(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """What is another in two fingerprints, in words, sorted; empty when nothing moved."""
    found = []
    for name in sorted(before.keys() | after.keys()):
        was, is_now = before.get(name), after.get(name)
        if was != is_now:
            found.append(f"{name}: was {was or 'not there'}, is {is_now or 'not there'}")
    return tuple(found)


def _edited(where: str, why: str) -> StaleError:
    return StaleError("this is no plan that interlock wrote", where=where, why=why, remedy="make a new one: `interlock plan ACTION`")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
