"""Which changes can the runner make, and who must agree? The nouns of `actions:`, `approval:` and `workplans:` in a site file."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, WrapSerializer, model_validator

from interlock.config.forges import Tracker
from interlock.config.scalars import (
    LOCAL,
    AbsolutePath,
    Argv,
    Flag,
    Name,
    Names,
    Noun,
    Table,
    Text,
    Texts,
    Timeout,
    Variable,
    Whole,
    WrongValueError,
    check_no_repeats,
    check_printable,
    exactly_one,
    nothing,
    to_plain,
)

# ---- steps

Places = Annotated[tuple[AbsolutePath, ...], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(check_no_repeats)]


class BackupStep(Noun):
    """Archive the named modules, verified before the next step."""

    modules: Names = Field(description="The modules to back up.")


class WriteFilesStep(Noun):
    """Write the rendered bytes of these templates to their targets on these instances (all when not given)."""

    templates: Names = Field(description="The templates to write.")
    instances: Names | None = Field(default=None, description="The instances to write them for; all of each template when not given.")
    resized: Names | None = Field(default=None, description="The templates whose files may grow or shrink by more than a fifth: an explicit yes.")


class EnvPatchStep(Noun):
    """Set these variables in an env file, and touch nothing else in it: comments, order, quotes and line ends stay."""

    file: Text = Field(description="The env file: absolute on `host`, or below the directory of each of `instances`.", examples=[".env", "/srv/app/.env"])
    # Not in repr: a value may be a secret in spite of ${VAR}.
    values: Annotated[
        Mapping[Variable, Annotated[str, AfterValidator(check_printable)]], Field(min_length=1), AfterValidator(MappingProxyType), WrapSerializer(to_plain)
    ] = Field(repr=False, description="The variables and their new values; ${VAR} is taken from the environment, $$ is a dollar sign.")
    instances: Names | None = Field(default=None, description="The instances whose file it is; needed for a file below their directories.")
    host: Name = Field(default=LOCAL, description="The host that an absolute file lies on.")


class ComposeVerb(StrEnum):
    """What docker compose is asked to do."""

    PULL = "pull"
    BUILD = "build"
    UP = "up"
    START = "start"
    STOP = "stop"
    DOWN = "down"


class ComposeStep(Noun):
    """Let docker compose pull, build, start or stop the services of a chain. Volumes are never removed, and no question is answered for a human."""

    run: ComposeVerb = Field(description="What is done with the services.")
    chain: Name | None = Field(default=None, description="The chain of compose files; the instance's, or the only one, when not given.")
    services: Names | None = Field(default=None, description="The services; all of the chain when not given.")
    instance: Name | None = Field(default=None, description="The instance in whose directory it is run; in the site's folder when not given.")
    timeout: Timeout = Field(default=600, description="How long it may take.")
    afterwards: Flag = Field(default=False, description="Look up chain and instance in the site file that the action ends with (`becomes`), not in this one.")


class CommandStep(Noun):
    """Run one program. `undo` reverses it, `done` exits 0 when it need not run (again)."""

    run: Argv = Field(description="The program and its arguments, each by itself; there is no shell.")
    undo: Argv | None = Field(default=None, description="What reverses it, run when a later step fails.")
    done: Argv | None = Field(default=None, description="Exits 0 when it need not run (again).")
    host: Name = Field(default=LOCAL, description="The host that it runs on.")
    directory: AbsolutePath | None = Field(default=None, description="The directory that it runs in.")
    timeout: Timeout = Field(default=300, description="How long it may take.")
    remounts: Places | None = Field(
        default=None, description="The directories that show another disk once it has run: the plan stands on what they show no more."
    )


class VerifyStep(Noun):
    """Judge these expectations now, and stop the action when one does not hold."""

    expect: Names = Field(description="The expectations that must hold before the next step.")


SWITCHES = ("env-patch", "write-files", "command")


class EndpointStep(Noun):
    """Switch where everybody writes to: by an env file, files, or a program. Only once the new side answers, and held to answer afterwards."""

    model_config = ConfigDict(json_schema_extra=exactly_one(*SWITCHES))

    env_patch: EnvPatchStep | None = Field(default=None, alias="env-patch", description="Set variables in an env file.")
    write_files: WriteFilesStep | None = Field(default=None, alias="write-files", description="Write rendered files.")
    command: CommandStep | None = Field(default=None, description="Run a program.")
    before: Names | None = Field(default=None, description="The expectations that must hold before it is switched: the new side answers.")
    after: Names = Field(description="The expectations that must hold once it is switched; else it is switched back.")

    @property
    def switch(self) -> str:
        """`env-patch`, `write-files` or `command`."""
        return self.given()[0]

    def given(self) -> list[str]:
        """The switches that are given; a valid endpoint has one."""
        parts = dict(zip(SWITCHES, (self.env_patch, self.write_files, self.command), strict=True))
        return [kind for kind, part in parts.items() if part is not None]

    @model_validator(mode="after")
    def _exactly_one(self) -> EndpointStep:
        if len(self.given()) != 1:
            these = " and ".join(self.given()) or "none"
            raise WrongValueError(f"an endpoint is switched by exactly one of {', '.join(SWITCHES)}; this one by {these}", "give exactly one of them")
        return self


class GateStep(Noun):
    """Ask these guardrails in the middle of the action, on fresh facts."""

    guardrails: Texts = Field(description="The families, guardrails or own rules (own.FILE.FUNCTION) that must be closed before the next step.")
    afterwards: Flag = Field(default=False, description="Ask them of the site file that the action ends with (`becomes`), not of this one.")


class ApprovalStep(Noun):
    """Wait for a human in the middle of the action: they see what was done until then, and sign for what comes."""

    asks: Text = Field(description="What they are asked, in words.", examples=["Are the counts of both sides right, and may the writers be moved?"])
    required: Whole | None = Field(default=None, ge=1, le=10, description="How many people; as many as a plan needs when not given.")
    by: Texts | None = Field(default=None, description="Who of allowed_signers; anybody of them when not given.")


STEPS = ("backup", "write-files", "env-patch", "compose", "command", "verify", "endpoint", "gate", "approval")


class Step(Noun):
    """One step of an action: exactly one kind."""

    model_config = ConfigDict(json_schema_extra=exactly_one(*STEPS))

    backup: BackupStep | None = Field(default=None, description="Archive modules.")
    write_files: WriteFilesStep | None = Field(default=None, alias="write-files", description="Write rendered files.")
    env_patch: EnvPatchStep | None = Field(default=None, alias="env-patch", description="Set variables in an env file.")
    compose: ComposeStep | None = Field(default=None, description="Let docker compose work.")
    command: CommandStep | None = Field(default=None, description="Run a program.")
    verify: VerifyStep | None = Field(default=None, description="Judge expectations.")
    endpoint: EndpointStep | None = Field(default=None, description="Switch where everybody writes to.")
    gate: GateStep | None = Field(default=None, description="Ask guardrails in the middle of the action.")
    approval: ApprovalStep | None = Field(default=None, description="Wait for a human in the middle of the action.")
    needs: Names | None = Field(default=None, description="The expectations that must hold right before it starts.")

    @property
    def kind(self) -> str:
        """One of `STEPS`."""
        return self.given()[0]

    @property
    def patch(self) -> EnvPatchStep | None:
        """The env patch that it is, or that its endpoint is switched by."""
        return self.endpoint.env_patch if self.endpoint is not None else self.env_patch

    def given(self) -> list[str]:
        """The kinds that are given; a valid step has one."""
        return [kind for kind in STEPS if getattr(self, kind.replace("-", "_")) is not None]

    @model_validator(mode="after")
    def _exactly_one(self) -> Step:
        if len(self.given()) != 1:
            these = " and ".join(self.given()) or "none"
            raise WrongValueError(f"a step is exactly one of {', '.join(STEPS)}; this one is {these}", "give exactly one, and make a step of each other")
        return self


# ---- actions and who agrees to them


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
    moves: Names | None = Field(default=None, description="The copies of `parity` that it makes or cuts over to: they must be the same before it begins.")
    issue: Whole | None = Field(default=None, ge=1, description="The number of its design issue, judged as `approval.issue` says.")
    task: Text | None = Field(default=None, description="The task of a workplan that it carries out, by its id.", examples=["CUST-WP-0011-T07"])
    becomes: Text | None = Field(
        default=None,
        description="The site file beside this one that describes the system once it is done: postflight is asked of that one.",
        examples=["interlock.flat.yaml"],
    )


class IssueState(StrEnum):
    """The state that a design issue must have."""

    OPEN = "open"
    CLOSED = "closed"
    ANY = "any"


UNDECIDED = ("not-ready", "needs-operator-decision", "status:blocked")


class IssueRule(Noun):
    """What the design issue of an action must look like on its forge."""

    forge: Tracker = Field(description="The repository that its issues are kept in.")
    state: IssueState = Field(default=IssueState.OPEN, description="The state that it must have.")
    require_labels: Texts | None = Field(default=None, description="The labels that it must have.")
    forbid_labels: Texts = Field(default=UNDECIDED, description="The labels that it must not have.")


class CiRunner(StrEnum):
    """Whose job it is."""

    GITHUB = "github"
    FORGEJO = "forgejo"
    GITEA = "gitea"
    GITLAB = "gitlab"
    WOODPECKER = "woodpecker"


class CiJob(Noun):
    """A CI job, started by a human's dispatch, that may apply a plan which people have signed."""

    runner: CiRunner = Field(description="What runs it.")
    repository: str = Field(pattern=r"^[^/\s]+(/[^/\s]+)+$", description="The repository that it belongs to, as owner/name.")
    workflow: Text | None = Field(default=None, description="The file of its workflow; needed where a repository has several.", examples=["apply.yaml"])
    job: Text = Field(description="Its name in that file.")
    ref: Text = Field(default="refs/heads/main", description="The branch or tag that it must run on.")
    actions: Names | None = Field(default=None, description="The actions that it may apply; all that are approved by signature when not given.")


class Approval(Noun):
    """Whose signatures count, how many are needed and how long they last. `self_approval` not given: only while one principal is allowed."""

    allowed_signers: Text = Field(description="The ssh allowed_signers file with the people whose signatures count.")
    revoked: Text | None = Field(default=None, description="Keys that count no more: a list of public keys, or an OpenSSH revocation list.")
    required: Whole = Field(default=1, ge=1, le=10, description="How many of them must sign a plan.")
    valid_for: Timeout = Field(default=4 * 3600, description="How long a signature lasts.")
    self_approval: Flag | None = Field(default=None, description="May the planner sign the plan? Not given: only while one principal is allowed.")
    issue: IssueRule | None = Field(default=None, description="What the design issue of an action must look like.")
    jobs: Table[CiJob] = Field(default_factory=nothing, description="The CI jobs that may apply what people have signed.")


class Workplans(Noun):
    """The workplans that say what humans have still to decide, and in which order tasks are done."""

    files: Texts = Field(default=("workplans/*.md",), description="The workplans, as patterns inside the site's folder.")
