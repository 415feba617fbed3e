"""What exactly will happen? A plan: an action with every input resolved, its digest, and the state of the system that it was made for. Pure.

`plan.json` is the canonical form (RFC 8785) of `Plan`, so the sha256 of that file is the plan's digest. It names files by path and digest, never by content:
content without secrets lies beside it in `blobs/`, the rest is rendered again at apply and must come to the same digest. `interlock.change.planning` resolves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from interlock.config.actions import ApprovalKind
from interlock.config.models import BackupClass
from interlock.errors import StaleError
from interlock.gate.canonical import canonical, digest, parse_canonical

SCHEMA = "interlock/plan/1"
FILE = "plan.json"
BLOBS = "blobs"
PLANNER = "planner.json"

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


class Directory(Part):
    """A directory as it was seen: `device` is `major:minor` of what it shows."""

    path: str
    real: str
    device: str


class BackupPlan(Part):
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
    """The file that will stand there. `content` says where its bytes come from: `blobs/`, or rendered again because they hold values by reference."""

    digest: Digest
    size: int
    mode: str
    content: Literal["blob", "rendered"]


class FilePlan(Part):
    """One file of a write-files step: `target` is the absolute path below `directory`, the instance's.

    `real` is where `directory` leads, `device` what the folder of the target shows, as `major:minor`.
    """

    template: str
    instance: str
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


class FilesPlan(Part):
    """Write rendered files. Undo restores every byte, mode and owner, and removes what was created."""

    kind: Literal["write-files"] = "write-files"
    files: tuple[FilePlan, ...]


class InputFile(Part):
    """A file that a command's argv names: the program, a script, its input."""

    path: str
    digest: Digest


class CommandPlan(Part):
    """Run one program. `undo` reverses it; `done` exits 0 when it need not run. Timeout in seconds."""

    kind: Literal["command"] = "command"
    argv: tuple[str, ...]
    undo: tuple[str, ...] | None
    done: tuple[str, ...] | None
    directory: str
    timeout: int
    inputs: tuple[InputFile, ...]


class VerifyPlan(Part):
    """Judge these expectations of the site, and stop the action when one does not hold. Looks only."""

    kind: Literal["verify"] = "verify"
    expect: tuple[str, ...]


StepPlan = Annotated[BackupPlan | FilesPlan | CommandPlan | VerifyPlan, Field(discriminator="kind")]


class Plan(Part):
    """An action, resolved. Times are RFC 3339 UTC; `timeout` is how many seconds after its clearance a step may still be started.

    `fingerprint` says in words what the live state was (`interlock.observe.fingerprint`): `mount /data-state` -> `id 42, device 8:1, ...`.
    """

    schema_: Literal["interlock/plan/1"] = Field(default="interlock/plan/1", alias="schema")
    interlock: str
    site: SiteReference
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

    def files(self) -> Sequence[FilePlan]:
        """Every file of every write-files step."""
        return [file for step in self.steps if isinstance(step, FilesPlan) for file in step.files]


def changes(step: StepPlan) -> bool:
    """True for a step that changes the system; a backup only adds its archive, a verify looks."""
    return isinstance(step, FilesPlan | CommandPlan)


def has_undo(step: StepPlan) -> bool:
    """True when everything that the step may change can be put back."""
    return not isinstance(step, CommandPlan) or step.undo is not None


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
