"""Which exact steps does an action of the site come to, on this system, now? Looks and renders; changes nothing but `.interlock/plans/`.

    stored = make_plan(site, "release", environ, now=now, key=None)
    stored = guarding_plan(site, "release", CommandStep(run=("./apply.sh",), directory="/srv/app"), environ, now=now, key=None)

Whatever a plan cannot promise is refused here, not at apply: a host that the runner does not reach yet, a directory that is not there, a backup that would
come after the change that it is for.
"""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import assert_never

from interlock import __version__
from interlock.act.books import FOLDER, Books, StoredPlan, load_plan, plans_of, signed, store_plan
from interlock.act.files import device_of, open_below, see
from interlock.act.journal import begun_with
from interlock.act.outcome import StepFailed
from interlock.act.signatures import sign
from interlock.config.actions import Action, ApprovalKind, BackupStep, CommandStep, Step, VerifyStep, WriteFilesStep
from interlock.config.backup_classes import classes_of
from interlock.config.models import BackupClass, Site
from interlock.errors import ApprovalError, ConfigError, UsageError
from interlock.facts.mounts import is_below
from interlock.facts.templates import Rendered
from interlock.gate import moments
from interlock.gate.approvals import PURPOSE_PLAN, Approval, self_approval_allowed
from interlock.gate.canonical import digest
from interlock.gate.plan import (
    BackupPlan,
    CommandPlan,
    Compression,
    Directory,
    FilePlan,
    FilesPlan,
    InputFile,
    NewFile,
    OldFile,
    Plan,
    SiteReference,
    StepPlan,
    VerifyPlan,
    changes,
)
from interlock.observe.caller import who
from interlock.observe.fingerprint import file_digest, fingerprint
from interlock.observe.signatures import parse_allowed_signers, read_allowed_signers, signing_key
from interlock.observe.tree import Tree
from interlock.render import render_instance

LASTS = timedelta(hours=24)


@dataclass(slots=True, kw_only=True)
class _Resolving:
    """One plan while it is made: the content of its files, and what its fingerprint must name."""

    site: Site
    action: str
    environ: Mapping[str, str]
    tree: Tree
    blobs: dict[str, bytes] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)

    def where(self, number: int) -> str:
        """How a step is named in an error."""
        return f"{self.site.source}: actions.{self.action}.steps[{number}]"


def make_plan(site: Site, action_name: str, environ: Mapping[str, str], *, now: datetime, key: Path | None = None) -> StoredPlan:
    """Resolve an action and write its plan. `key` signs it; without one, the one key of this user that allowed_signers names.

    Raises UsageError for an action that the site lacks, ConfigError for one that cannot be planned, CouldNotLook, ApprovalError, EvidenceError.
    """
    action = demand_action(site, action_name)
    plan, blobs = _resolved(site, action_name, action.steps, environ, now)
    return _stored(site, plan, blobs, environ, key)


def guarding_plan(site: Site, action_name: str, program: CommandStep, environ: Mapping[str, str], *, now: datetime, key: Path | None = None) -> StoredPlan:
    """The plan that puts an action's backups before a program of the operator's, and its verifications behind it.

    One that was made before, for the same program on the same system, is taken again: it may be approved by now. Raises as `make_plan` does, and
    ConfigError for an action that changes something itself: nobody would see that its own steps were left out.
    """
    action = demand_action(site, action_name)
    own = next((step.kind for step in action.steps if step.backup is None and step.verify is None), None)
    if own is not None:
        raise ConfigError(
            f"{action_name} has steps of its own, and a guarded program has the place of these",
            where=f"{site.source}: actions.{action_name}",
            why=f"it has a {own} step",
            remedy=f"interlock plan {action_name}; or give the program an action with backup and verify steps alone",
        )
    backups = [step for step in action.steps if step.backup is not None]
    verifies = [step for step in action.steps if step.verify is not None]
    plan, blobs = _resolved(site, action_name, (*backups, Step(command=program), *verifies), environ, now)
    return _made_before(Books.open(site.root), plan, now) or _stored(site, plan, blobs, environ, key)


def _made_before(books: Books, plan: Plan, now: datetime) -> StoredPlan | None:
    """The newest plan that is the same but for when it was made, can still be applied, and was not yet."""
    times = {"created_at": plan.created_at, "expires_at": plan.expires_at}
    alike = [
        stored
        for stored in plans_of(books, plan.action)
        if stored.plan.model_copy(update=times) == plan and moments.read(stored.plan.expires_at) > now and not begun_with(books.journals, stored.digest)
    ]
    return max(alike, key=lambda stored: stored.plan.created_at, default=None)


def demand_action(site: Site, name: str) -> Action:
    """An action of the site. Raises UsageError."""
    action = site.actions.get(name)
    if action is None:
        raise UsageError(f"this site has no action {name}", where=site.source, why=f"its actions: {', '.join(site.actions) or 'none'}")
    return action


def _resolved(site: Site, action_name: str, declared: Sequence[Step], environ: Mapping[str, str], now: datetime) -> tuple[Plan, Mapping[str, bytes]]:
    """The plan that these steps come to on this system, and the content of its files by digest. Writes nothing."""
    action = site.actions[action_name]
    resolving = _Resolving(site=site, action=action_name, environ=environ, tree=Tree(site.root))
    steps = tuple(plan for number, step in enumerate(declared) for plan in _resolve(resolving, step, number))
    _demand_backups_first(resolving, steps)
    if site.mounts is not None and site.host(site.mounts.state.host).ssh is None:
        resolving.directories.add(site.mounts.state.path)
    user, host = who(environ)
    made = Plan(
        interlock=__version__,
        site=SiteReference(name=site.site, file=site.source, digest=site.digest),
        action=action_name,
        approval=action.approval,
        steps=steps,
        timeout=action.timeout,
        fingerprint=fingerprint(directories=resolving.directories, files=resolving.files),
        created_at=moments.written(now),
        expires_at=moments.written(now + LASTS),
        made_by=user,
        made_on=host,
    )
    return made, resolving.blobs


def _stored(site: Site, plan: Plan, blobs: Mapping[str, bytes], environ: Mapping[str, str], key: Path | None) -> StoredPlan:
    """The plan, signed where somebody must know who made it, and kept."""
    return load_plan(store_plan(Books.open(site.root), plan, blobs, _planner(site, site.actions[plan.action], plan, environ, key)))


def _resolve(resolving: _Resolving, step: Step, number: int) -> Sequence[StepPlan]:
    """What one step of the site comes to."""
    if step.backup is not None:
        return [_backup(resolving, name, number) for name in _known(resolving, step.backup, number)]
    if step.write_files is not None:
        return [_files(resolving, step.write_files, number)]
    if step.command is not None:
        return [_command(resolving, step.command, number)]
    assert step.verify is not None
    return [_verify(resolving, step.verify, number)]


def _known(resolving: _Resolving, step: BackupStep, number: int) -> tuple[str, ...]:
    unknown = [name for name in step.modules if name not in resolving.site.modules]
    if unknown:
        raise ConfigError(f"there is no module {unknown[0]}", where=resolving.where(number), remedy="declare it below `modules:`")
    return step.modules


def _demand_here(resolving: _Resolving, host: str, number: int, what: str) -> None:
    if resolving.site.host(host).ssh is not None:
        raise ConfigError(
            f"{what} on {host} is not possible yet",
            where=resolving.where(number),
            why="steps run on this machine only",
            remedy=f"run interlock on {host} itself",
        )


# ---- backup


def _backup(resolving: _Resolving, name: str, number: int) -> BackupPlan:
    module = resolving.site.modules[name]
    _demand_here(resolving, module.host, number, f"the backup of {name}")
    owner = _uid(module.owner, resolving, number)
    for path in module.paths:
        if is_below(os.path.realpath(module.backups), os.path.realpath(path)):
            raise ConfigError(
                f"the backups of {name} would be inside themselves",
                where=resolving.where(number),
                why=f"{module.backups} lies below {path}",
                remedy="keep backups outside of what they are of",
            )
    own = str(resolving.site.root.resolve() / FOLDER)
    return BackupPlan(
        module=name,
        backup_class=_archived(resolving, name, number),
        paths=tuple(_directory(resolving, path, number, f"install -d {path}") for path in module.paths),
        directory=_directory(resolving, module.backups, number, f"install -d -m 0700 -o {module.owner} {module.backups}"),
        owner=module.owner,
        owner_uid=owner,
        compression=_compression(resolving, number),
        exclude=(own,) if any(is_below(own, path) for path in module.paths) else (),
    )


def _archived(resolving: _Resolving, name: str, number: int) -> BackupClass:
    """The class of a module that this runner can back up. Raises ConfigError for the others: an archive of a running database is no backup of it."""
    site = resolving.site
    found = classes_of(name, site.modules[name].backup_class, site.inventory.classes if site.inventory else ())
    if found == (BackupClass.E,):
        return BackupClass.E
    shown = " and ".join(found)
    raise ConfigError(
        f"{name} is of backup class {shown}, which the runner cannot make yet",
        where=resolving.where(number),
        why="it archives directories (class E)",
        remedy="back it up by a command step of your own, or write `class: E` if an archive of its directories is enough",
    )


def _uid(name: str, resolving: _Resolving, number: int) -> int:
    try:
        owner = pwd.getpwnam(name).pw_uid
    except KeyError:
        raise ConfigError(f"this host has no user {name}", where=resolving.where(number), remedy="correct the module's `owner`") from None
    if os.geteuid() not in (0, owner):
        raise ConfigError(f"backups that belong to {name} can only be made by {name} or root", where=resolving.where(number), remedy=f"run interlock as {name}")
    return owner


def _compression(resolving: _Resolving, number: int) -> Compression:
    path = resolving.environ.get("PATH")
    found: Compression | None = "zstd" if shutil.which("zstd", path=path) else "gzip" if shutil.which("gzip", path=path) else None
    if found is None or shutil.which("tar", path=path) is None:
        raise ConfigError("backups need tar, and zstd or gzip", where=resolving.where(number), remedy="install tar and zstd")
    return found


def _directory(resolving: _Resolving, path: str, number: int, remedy: str) -> Directory:
    try:
        status = Path(path).stat()
    except OSError as error:
        raise ConfigError(f"{path} cannot be used: {error.strerror}", where=resolving.where(number), remedy=remedy) from error
    resolving.directories.add(path)
    return Directory(path=path, real=os.path.realpath(path), device=device_of(status.st_dev))


# ---- write-files


def _files(resolving: _Resolving, step: WriteFilesStep, number: int) -> FilesPlan:
    files = [_file(resolving, name, instance, number) for name in step.templates for instance in _instances(resolving, step, name, number)]
    targets = [file.target for file in files]
    twice = next((target for target in targets if targets.count(target) > 1), None)
    if twice is not None:
        raise ConfigError(f"two templates are written to {twice}", where=resolving.where(number), remedy="give each a target of its own")
    return FilesPlan(files=tuple(files))


def _instances(resolving: _Resolving, step: WriteFilesStep, name: str, number: int) -> Sequence[str]:
    site = resolving.site
    template = site.templates.get(name)
    if template is None:
        raise ConfigError(f"there is no template {name}", where=resolving.where(number), remedy="declare it below `templates:`")
    possible = site.instances_of(template)
    chosen = [instance for instance in possible if step.instances is None or instance in step.instances]
    if not chosen:
        raise ConfigError(f"template {name} is written for no instance", where=resolving.where(number), remedy="correct `instances`")
    return chosen


def _file(resolving: _Resolving, name: str, instance: str, number: int) -> FilePlan:
    site = resolving.site
    _demand_here(resolving, site.instances[instance].host, number, f"writing files of {instance}")
    rendered = render_instance(site, name, instance, resolving.tree, resolving.environ)
    directory, of = site.instances[instance].directory, digest(rendered.content)
    folder, target = os.path.split(rendered.target)
    with _open_folder(resolving, directory, folder, number) as (real, descriptor):
        seen = _seen(target, descriptor, rendered.target, resolving, number)
        device = device_of(os.fstat(descriptor).st_dev)
    resolving.directories.add(directory)
    resolving.files.add(rendered.target)
    if not _by_reference(rendered):
        resolving.blobs[of] = rendered.content
    return FilePlan(
        template=name,
        instance=instance,
        directory=directory,
        real=real,
        device=device,
        target=rendered.target,
        new=NewFile(
            digest=of,
            size=len(rendered.content),
            mode=_mode(site, rendered, seen),
            content="rendered" if _by_reference(rendered) else "blob",
        ),
        old=seen,
    )


def _by_reference(rendered: Rendered) -> bool:
    """True when the bytes hold values of the environment or of an env file: those are never stored."""
    return bool(rendered.secrets.names)


def _mode(site: Site, rendered: Rendered, seen: OldFile | None) -> str:
    """The template's mode where the site states one; else that of the file that is there, which an operator may have made stricter."""
    stated = "mode" in site.templates[rendered.template].model_fields_set
    return seen.mode if seen is not None and not stated else f"{rendered.mode:04o}"


@contextmanager
def _open_folder(resolving: _Resolving, directory: str, folder: str, number: int) -> Iterator[tuple[str, int]]:
    real = os.path.realpath(directory)
    try:
        descriptor = open_below(directory, real, None, folder)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written to: {error.strerror}", where=resolving.where(number), remedy=f"install -d {folder}") from error
    except StepFailed as failure:
        raise _refused(failure, resolving, number) from failure
    try:
        yield real, descriptor
    finally:
        os.close(descriptor)


def _seen(name: str, folder: int, target: str, resolving: _Resolving, number: int) -> OldFile | None:
    try:
        seen = see(name, folder)
    except OSError as error:
        raise ConfigError(f"{target} cannot be read: {error.strerror}", where=resolving.where(number), remedy="run as the user who may replace it") from error
    except StepFailed as failure:
        raise _refused(failure, resolving, number) from failure
    return OldFile(digest=seen.digest, size=len(seen.data), mode=seen.mode, uid=seen.uid, gid=seen.gid) if seen is not None else None


def _refused(failure: StepFailed, resolving: _Resolving, number: int) -> ConfigError:
    return ConfigError(failure.what, where=resolving.where(number), why=f"{failure.where}: {failure.why}", remedy=failure.remedy)


# ---- command, verify


def _command(resolving: _Resolving, step: CommandStep, number: int) -> CommandPlan:
    _demand_here(resolving, step.host, number, step.run[0])
    directory = step.directory or str(resolving.site.root.resolve())
    _directory(resolving, directory, number, f"install -d {directory}")
    inputs: dict[str, str] = {}
    for argv in (step.run, step.undo, step.done):
        if argv is not None:
            inputs |= _inputs(resolving, argv, directory, number)
    return CommandPlan(
        argv=step.run,
        undo=step.undo,
        done=step.done,
        directory=directory,
        timeout=step.timeout,
        inputs=tuple(InputFile(path=path, digest=inputs[path]) for path in sorted(inputs)),
    )


def _inputs(resolving: _Resolving, argv: Sequence[str], directory: str, number: int) -> dict[str, str]:
    """The program and every file that its arguments name, with their digests: a script that is edited after its approval is another one."""
    program = argv[0] if "/" in argv[0] else shutil.which(argv[0], path=resolving.environ.get("PATH"))
    if program is None or not os.access(Path(directory, program), os.X_OK):
        raise ConfigError(f"there is no program {argv[0]}", where=resolving.where(number), remedy="install it, or correct its path")
    named = {str(Path(directory, part)) for part in (program, *argv[1:]) if part and "\0" not in part}
    found = {}
    for path in named:
        if Path(path).is_file():
            try:
                found[path] = file_digest(path)
            except OSError as error:
                raise ConfigError(f"{path} cannot be read: {error.strerror}", where=resolving.where(number), remedy="let this user read it") from error
            resolving.files.add(path)
    return found


def _verify(resolving: _Resolving, step: VerifyStep, number: int) -> VerifyPlan:
    unknown = [name for name in step.expect if name not in resolving.site.expect]
    if unknown:
        raise ConfigError(f"there is no expectation {unknown[0]}", where=resolving.where(number), remedy="declare it below `expect:`")
    return VerifyPlan(expect=step.expect)


# ---- the whole


def _demand_backups_first(resolving: _Resolving, steps: Sequence[StepPlan]) -> None:
    changed = False
    for step in steps:
        if isinstance(step, BackupPlan) and changed:
            raise ConfigError(
                f"the backup of {step.module} would come after a change",
                where=f"{resolving.site.source}: actions.{resolving.action}",
                why="a backup protects from the steps that come after it",
                remedy="move the backup steps to the front",
            )
        changed = changed or changes(step)


def _planner(site: Site, action: Action, plan: Plan, environ: Mapping[str, str], key: Path | None) -> dict[str, object] | None:
    """The planner's signature over the plan's digest; None where nobody needs it."""
    match action.approval:
        case ApprovalKind.OPERATOR:
            return None
        case ApprovalKind.SIGNATURE:
            pass
        case _:
            assert_never(action.approval)
    if site.approval is None:
        raise ConfigError(
            f"nobody can approve {plan.action}",
            where=site.source,
            why="it asks for signatures, and the site names no allowed_signers",
            remedy="declare `approval:`",
        )
    path = site.root / site.approval.allowed_signers
    signers = parse_allowed_signers(read_allowed_signers(path), path)
    try:
        chosen = signing_key(signers, wanted=key, environ=environ)
    except ApprovalError:
        if key is None and self_approval_allowed(site.approval, signers):
            return None
        raise
    statement = Approval(
        purpose=PURPOSE_PLAN,
        plan=plan.digest,
        action=plan.action,
        site=plan.site.name,
        principal=chosen.principal,
        created=plan.created_at,
        expires=plan.expires_at,
        nonce=plan.digest.removeprefix("sha256:")[:32],
    )
    return signed(statement.to_json(), sign(statement.payload(), chosen, environ=environ))
