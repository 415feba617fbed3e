"""Does everybody who reads the state directory's variable come to the same, right directory, and is what belongs there there? `interlock.observe.state_dir`
brings what they read."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import assert_never

from interlock.config.chain_subjects import chain_of, chain_subjects
from interlock.config.models import Site
from interlock.facts.backups import mode_text
from interlock.facts.container_mounts import Spot
from interlock.facts.stack import Service
from interlock.facts.state_dir import (
    ConfigCopy,
    Copies,
    CopyMounts,
    DeclaredSecret,
    HostAndStack,
    MountedCopies,
    Reading,
    Resolved,
    StackReads,
    Unresolved,
    Users,
    VariableSeen,
    Way,
    Wrong,
    in_service,
    on_host,
)
from interlock.facts.state_inside import StateInside
from interlock.judge.state.single_source import SINGLE_SOURCE, judge_single_source
from interlock.judge.state.writable import RUNNING, WRITABLE_BY_SERVICE, judge_writable
from interlock.verdicts import LIVE, Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, When, in_short

__all__ = [
    "HOST_AND_STACK_AGREE",
    "PRECEDENCE",
    "RESOLVES",
    "SECRETS_PRESENT",
    "SERVICES_AGREE",
    "SINGLE_SOURCE",
    "WRITABLE_BY_SERVICE",
    "judge_copies",
    "judge_host_and_stack",
    "judge_mounted",
    "judge_precedence",
    "judge_resolves",
    "judge_secrets",
    "judge_services",
    "judge_single_source",
    "judge_writable",
]

STATIC_AND_LIVE = frozenset({When.STATIC, When.PREFLIGHT, When.POSTFLIGHT})
SHOWN = 5  # of differing keys that the one sentence names


# ---- resolves


def variables(site: Site) -> Sequence[Subject]:
    """The variable, by its name."""
    return [Subject(name=site.state_dir.variable, host=site.state_dir.host)] if site.state_dir else []


def judge_resolves(seen: VariableSeen) -> Held | Broken | Unproven:
    """Held when the variable comes to the declared directory, in the env file of the host's readers and in those that docker compose reads."""
    stacks = tuple(_stack_reads(seen, stack) for stack in seen.stacks)
    bad = [detail for detail in stacks if detail.outcome is Outcome.BROKEN]
    if seen.stacks and not seen.where:
        return _stacks_alone(seen, stacks, bad)
    own = _env_file_alone(seen)
    if not bad:
        return own
    if isinstance(own, Broken):
        itself = own.details or (_broken(seen.variable.name, own.kind, own.message, file=seen.where),)
        return replace(own, message=f"{own.message}; {in_short(bad)}", details=(*itself, *stacks))
    return Broken(in_short(bad), remedy=f"set {seen.variable.name}={seen.expected} there too, or nowhere but in {seen.where}", details=stacks)


def _stacks_alone(seen: VariableSeen, details: Sequence[Detail], bad: Sequence[Detail]) -> Held | Broken:
    """No env file of the host's readers is declared: those of the stack say what the variable is."""
    if bad:
        return Broken(in_short(bad), remedy=f"set {seen.variable.name}={seen.expected} there", details=tuple(details))
    return Held(f"{seen.variable.name} comes to {seen.expected} ({seen.stacks[0].told})", tuple(details))


def _stack_reads(seen: VariableSeen, stack: StackReads) -> Detail:
    """What docker compose makes of the variable where a stack is started. It may be where services see the directory, too."""
    name, found = seen.variable.name, stack.resolution
    if isinstance(found, Unresolved):
        return _broken(stack.who, found.why, f"{stack.who}: {found.message}", file=stack.where, line=stack.line)
    if found.path in (seen.expected, seen.inside):
        return Detail(what=stack.who, outcome=Outcome.HELD, message=f"{stack.who} reads {name}={found.path} ({stack.told})", file=stack.where, line=stack.line)
    said = f"{stack.who} reads {name}={found.path} ({stack.told}), and the state lives at {seen.expected}"
    return _broken(stack.who, "another-directory", said, file=stack.where, line=stack.line)


def _env_file_alone(seen: VariableSeen) -> Held | Broken | Unproven:
    """What the declared env file says, or the default without one."""
    name = seen.variable.name
    if not seen.present:
        return Broken(f"{seen.where} does not exist, and should set {name}", kind="no-env-file", remedy=f"create {seen.where} with {name}={seen.expected}")
    match seen.resolution:
        case Unresolved(why=Wrong.INHERITED) as found:
            return Unproven(found.message, remedy=found.remedy)
        case Unresolved() as found:
            what = Detail(what=name, outcome=Outcome.BROKEN, kind=found.why, message=found.message, file=seen.where, line=found.line)
            return Broken(found.message, remedy=found.remedy, details=(what,))
        case Resolved() as found:
            origin = _origin(seen, from_default=found.from_default)
            if found.path == seen.expected:
                return Held(f"{name} comes to {found.path} ({origin})")
            said = f"{name} comes to {found.path} ({origin}), and the state lives at {seen.expected}"
            where = seen.where or "the env file that every reader reads"
            return Broken(said, kind="another-directory", remedy=f"set {name}={seen.expected} in {where}, or correct state_dir.path")


def _origin(seen: VariableSeen, *, from_default: bool) -> str:
    if not from_default:
        return f"set in {seen.told or seen.where}"
    unset = f"{seen.where} does not set it" if seen.where else "nobody sets it"
    return f"its default {seen.variable.default}: {unset}"


RESOLVES = Guardrail(
    id="state_dir.resolves",
    title="the variable that says where state lives comes to the declared directory",
    severity=Severity.CRITICAL,
    when=STATIC_AND_LIVE,
    rationale="An empty or mistyped value is no error: every reader takes its own idea of the default, and state is written to two places.",
    remedy="set the variable to the whole path in the env file that every reader reads",
    subjects=variables,
    judge=judge_resolves,
)


# ---- services_agree


def users(site: Site) -> Sequence[Subject]:
    """Every chain of compose files that is started on the host's disks, and the containers of its engine, where one is named."""
    if site.state_dir is None:
        return []
    chains = [subject for subject in chain_subjects(site) if chain_of(subject) in site.chains_on_disks]
    running = [Subject(name=RUNNING, host=site.state_dir.host, when=LIVE)] if site.host(site.state_dir.host).engine else []
    return [*chains, *running]


def judge_services(users: Users) -> Held | Broken | Unproven:
    """Held when the variable comes to the same path in every service that uses state, and a mount covers it that can be written to."""
    if not users.services and not users.nowhere:
        return _nobody(users)
    details = (*(_service(users, service) for service in users.services), *(_nowhere(name) for name in users.nowhere))
    bad = [detail for detail in details if detail.outcome is not Outcome.HELD]
    counted = f"{len(details) - len(bad)} of {len(details)} services in {users.where} use {users.expected} as {users.variable.name} and mount it"
    if not bad:
        return Held(counted, details)
    said = f"{counted}: {in_short(bad)}"
    remedy = f"give each of them {users.variable.name}={users.expected} and a read-write mount there"
    if any(detail.outcome is Outcome.BROKEN for detail in bad):
        return Broken(said, remedy=remedy, details=details)
    return Unproven(said, remedy=remedy, details=details)


def _nobody(users: Users) -> Held | Unproven:
    said = f"no service in {users.where} uses state"
    if users.elsewhere:
        return Held(f"{said}: none of them has {users.variable.name}, or is declared to")
    return Unproven(said, remedy=f"name the services that do in state_dir.services, or give them {users.variable.name}")


def _nowhere(name: str) -> Detail:
    return _broken(name, "no-such-service", f"{name} is declared in state_dir.services, and no chain has such a service")


def _service(users: Users, service: Service) -> Detail:
    found = in_service(users.variable, service)
    told = users.told.get(service.name, "")
    if isinstance(found, Unresolved):
        outcome = Outcome.UNPROVEN if found.why is Wrong.INHERITED else Outcome.BROKEN
        said = f"{service.name}: {found.message}" + (f" (set in {told})" if told else "")
        return Detail(what=service.name, outcome=outcome, kind=found.why, message=said)
    if found.path != users.expected:
        how = "by its default" if found.from_default else f"(set in {told})" if told else "as it is set"
        return _broken(service.name, "another-directory", f"in {service.name} {users.variable.name} comes to {found.path} {how}, not to {users.expected}")
    mount = service.mount_over(found.path)
    if mount is None:
        return _broken(service.name, "no-mount", f"{service.name} has no mount that covers {found.path}: its state goes with the container")
    if mount.kind == "tmpfs":
        return _broken(service.name, "in-memory", f"{service.name} has a tmpfs at {mount.target}: its state goes with the container")
    if mount.read_only:
        return _broken(service.name, "read-only", f"{service.name} mounts {mount.target} read-only, and cannot write its state")
    return Detail(what=service.name, outcome=Outcome.HELD, message=f"{service.name} has its state at {found.path}, on the mount at {mount.target}")


def _broken(what: str, kind: str, message: str, *, file: str = "", line: int | None = None) -> Detail:
    return Detail(what=what, outcome=Outcome.BROKEN, kind=kind, message=message, file=file, line=line)


SERVICES_AGREE = Guardrail(
    id="state_dir.services_agree",
    title="every service that uses state has it at the same path, on a mount",
    severity=Severity.CRITICAL,
    when=STATIC_AND_LIVE,
    rationale="A service that was left out of a change starts with a state of its own, in its container, and loses it with the next release.",
    remedy="give every service that uses state the same variable and a read-write mount over it",
    subjects=users,
    judge=judge_services,
)


# ---- host_and_stack_agree


def host_and_stack(site: Site) -> Sequence[Subject]:
    """The variable, where somebody on the host or in the stack reads it: a script, a chain of compose files, or on the host a running container."""
    if site.state_dir is None:
        return []
    from_files = bool(site.state_dir.readers or site.chains)
    if not from_files and not site.host(site.state_dir.host).engine:
        return []
    return [Subject(name=site.state_dir.variable, host=site.state_dir.host, when=None if from_files else LIVE)]


_FOLLOW = "make what could not be followed plain, or name what it is made of in state_dir.values"
_LOOK = {"could-not-look": "set `become: sudo -n` for this host", "another-device": "mend mounts.nested_visible, and run it again"}


def judge_host_and_stack(seen: HostAndStack) -> Held | Broken | Unproven:
    """Held when every reader of the host and every service of the stack comes to the declared directory of the host."""
    details = (*_reader_details(seen), *_stack_details(seen))
    if not details:
        return Unproven(f"neither a reader of the host nor a service uses {seen.variable.name}", remedy="name its readers in state_dir.readers")
    bad = [detail for detail in details if detail.outcome is not Outcome.HELD]
    if not bad:
        return Held(f"{_counted(details)} come{'s' if len(details) == 1 else ''} to {seen.expected}", details)
    said = f"{len(details) - len(bad)} of {_counted(details)} come to {seen.expected}: {in_short(bad)}"
    if any(detail.outcome is Outcome.BROKEN for detail in bad):
        return Broken(said, remedy=f"let each of them take {seen.variable.name} from one env file, with the default {seen.variable.default}", details=details)
    said = f"nobody can tell whether {len(bad)} of {_counted(details)} come to {seen.expected}: {in_short(bad)}"
    return Unproven(said, remedy="; ".join(dict.fromkeys(_LOOK.get(detail.kind, _FOLLOW) for detail in bad)), details=details)


def _counted(details: Sequence[Detail]) -> str:
    return f"{len(details)} reader{'s' if len(details) != 1 else ''} of the state directory"


def _reader_details(seen: HostAndStack) -> Iterator[Detail]:
    """One detail for each reader that holds, else one for each line of it that does not."""
    for path in seen.silent:
        yield _broken(path, "never-reads", f"{path} never names {seen.variable.name}, and is declared to read it", file=path)
    for path, found in _by_file(seen.readings).items():
        bad = [detail for reading in found if (detail := _reading(seen, reading)) is not None]
        yield from bad or (Detail(what=path, outcome=Outcome.HELD, message=f"{path} comes to {seen.expected}", file=path),)


def _by_file(readings: Iterable[Reading]) -> dict[str, list[Reading]]:
    found: dict[str, list[Reading]] = {}
    for reading in readings:
        found.setdefault(reading.file, []).append(reading)
    return found


def _reading(seen: HostAndStack, reading: Reading) -> Detail | None:
    """What is wrong with one line; None when it is right."""
    at = f"{reading.file}:{reading.line}"
    match reading.way:
        case Way.ENVIRONMENT:
            return _from_environment(seen, reading)
        case Way.UNKNOWN:
            assert isinstance(reading.resolution, Unresolved)  # it says why
            said = reading.resolution.message
            return Detail(what=reading.file, outcome=Outcome.UNPROVEN, kind="cannot-be-followed", message=said, file=reading.file, line=reading.line)
        case Way.FIXED | Way.DEFAULT:
            fixed = reading.way is Way.FIXED
            if isinstance(reading.resolution, Unresolved):
                return _broken(reading.file, reading.resolution.why, f"{at}: {reading.resolution.message}", file=reading.file, line=reading.line)
            assert reading.resolution is not None  # only what comes from elsewhere has none
            if reading.only_unset and seen.set_to_nothing:
                said = f"{at} takes its default only when {seen.variable.name} is not set; it is set to nothing, and that is what it takes"
                return _broken(reading.file, "empty-value", said, file=reading.file, line=reading.line)
            path = reading.resolution.path
            if seen.is_expected(path) or (not fixed and _is_declared_default(seen, path)):
                return None
            said, kind = _wrong_directory(seen, path, fixed=fixed)
            return _broken(reading.file, kind, f"{at} {said}", file=reading.file, line=reading.line)
        case _:
            assert_never(reading.way)


def _is_declared_default(seen: HostAndStack, path: str) -> bool:
    """The site's own default is right while the variable is set, whatever that would come to without it."""
    set_by_file = isinstance(seen.given, Resolved) and not seen.given.from_default
    return set_by_file and isinstance(seen.default, Resolved) and seen.default.path == path


def _wrong_directory(seen: HostAndStack, path: str, *, fixed: bool) -> tuple[str, str]:
    """What a reader does with a directory that is not the right one, and the kind of it."""
    name = seen.variable.name
    if fixed:
        return f"sets {name} to {path}, not {seen.expected}", "hard-coded"
    default = seen.default.path if isinstance(seen.default, Resolved) else seen.expected
    if path == default:
        return f"takes {path}, the declared default, for nobody sets {name}, and the state lives at {seen.expected}", "another-directory"
    return f"takes {path} when {name} is not set; the declared default is {default}", "another-default"


def _from_environment(seen: HostAndStack, reading: Reading) -> Detail | None:
    match seen.given:
        case Unresolved(why=Wrong.INHERITED) as found:
            return Detail(what=reading.file, outcome=Outcome.UNPROVEN, kind=found.why, message=found.message, file=reading.file, line=reading.line)
        case Unresolved() as found:
            return _broken(reading.file, found.why, f"{reading.file}: {found.message}", file=reading.file, line=reading.line)
        case Resolved() as found if found.from_default or seen.is_expected(found.path):
            return None  # without a value it is the reader's own default that counts, which stands on a line of its own
        case Resolved() as found:
            said = f"{reading.file} takes {seen.variable.name} from the env file, where it is {found.path}, not {seen.expected}"
            return _broken(reading.file, "another-directory", said, file=reading.file, line=reading.line)


def _stack_details(seen: HostAndStack) -> Iterator[Detail]:
    """The services of every chain. A chain that keeps all of its state in volumes of the engine is one for a laptop or for CI, where another one has it on
    the host, or where nobody says that it should be there."""
    in_volumes = [users for users in seen.users if _all_in_volumes(users)]
    on_the_host = [users for users in seen.users if users not in in_volumes and users.services]
    nobody_looks = not (seen.readings or seen.silent or seen.on_a_disk)
    for users in seen.users:
        if users in in_volumes and (on_the_host or nobody_looks):
            said = f"{users.where} keeps its state in volumes of the engine: it is none for a host with the state directory"
            yield Detail(what=users.where, outcome=Outcome.HELD, message=said)
        else:
            yield from _on_host_details(seen, users)


def _all_in_volumes(users: Users) -> bool:
    """True when some service keeps its state in a volume of the engine, and none has it on the host."""
    paths = [(service, found.path) for service in users.services if isinstance(found := in_service(users.variable, service), Resolved)]
    mounted = [(service, path) for service, path in paths if service.mount_over(path) is not None]
    return bool(mounted) and all(on_host(service, path) is None for service, path in mounted)


def _on_host_details(seen: HostAndStack, users: Users) -> Iterator[Detail]:
    for service in users.services:
        what = f"{service.name} in {users.where}"
        inside = in_service(users.variable, service)
        if isinstance(inside, Unresolved):
            yield Detail(what=what, outcome=Outcome.UNPROVEN, kind=inside.why, message=f"{service.name}: {inside.message}")
            continue
        mount = service.mount_over(inside.path)
        outside = on_host(service, inside.path)
        if mount is None or mount.kind == "tmpfs":
            said = f"{what} has no mount at {inside.path}: see what state_dir.services_agree says of it"
            yield Detail(what=what, outcome=Outcome.UNPROVEN, kind="no-mount", message=said)
        elif (one := seen.inside.get(service.container_name)) is not None:
            yield _seen_inside(seen, what, one, inside.path, outside)
        elif outside is None:
            yield _in_a_volume(seen, what, inside.path)
        elif seen.is_expected(outside):
            yield Detail(what=what, outcome=Outcome.HELD, message=f"{what} has {outside} at {inside.path}")
        else:
            yield _elsewhere(seen, what, inside.path, outside)


def _in_a_volume(seen: HostAndStack, what: str, inside: str) -> Detail:
    return _broken(what, "engine-volume", f"{what} keeps {inside} in a volume of the engine, which no reader of the host finds at {seen.expected}")


def _elsewhere(seen: HostAndStack, what: str, inside: str, outside: str) -> Detail:
    return _broken(what, "another-directory", f"{what} has {outside} of the host at {inside}, not {seen.expected}")


def _seen_inside(seen: HostAndStack, what: str, one: StateInside, inside: str, outside: str | None) -> Detail:
    """What a running container really shows decides, under whatever name it was given the directory: a link, a bind of it, or the directory that was there
    when it was started. Where nobody could look, a wrong name is wrong, and a right one proves nothing."""
    shown, place, host = one.spot(inside), one.place(inside), seen.directory
    if shown is not None and place is not None and host is not None and (shown, place.device) == (host.spot, host.device):
        return Detail(what=what, outcome=Outcome.HELD, message=f"{what} shows the host's {seen.expected} at {inside}")
    if outside is None:
        return _in_a_volume(seen, what, inside)
    if not seen.is_expected(outside):
        return _elsewhere(seen, what, inside, outside)
    if shown is None or place is None or host is None or host.spot is None:
        why = one.unseen or (place.error if place is not None else "") or "it was not looked at"
        said = f"{what} was started with {outside}, and nobody could see what it shows at {inside}: {why}"
        return Detail(what=what, outcome=Outcome.UNPROVEN, kind="could-not-look", message=said)
    if host.judged:
        said = f"{what} was started with {outside}, and shows something else at {inside}: see what mounts.nested_visible says of it"
        return Detail(what=what, outcome=Outcome.UNPROVEN, kind="another-device", message=said)
    return _shows_another(seen, what, inside, shown)


def _shows_another(seen: HostAndStack, what: str, inside: str, shown: Spot) -> Detail:
    """Started with the right name, and it is another directory by now: moved aside, removed, or covered by a mount that is younger than the container."""
    assert seen.directory is not None  # compared with
    assert seen.directory.spot is not None
    if shown.device != seen.directory.spot.device:
        said = f"{what} shows at {inside} a directory of device {shown.device}, and the host has device {seen.directory.spot.device} at {seen.expected}"
        return _broken(what, "another-device", f"{said}: one of them was mounted after the container was started")
    said = f"{what} shows at {inside} the directory {shown.directory} of its file system, and the host has {seen.directory.spot.directory} at {seen.expected}"
    return _broken(what, "moved-directory", f"{said}: it was moved or made anew under the running container")


HOST_AND_STACK_AGREE = Guardrail(
    id="state_dir.host_and_stack_agree",
    title="the scripts of the host and the services of the stack use the same directory",
    severity=Severity.CRITICAL,
    when=STATIC_AND_LIVE,
    rationale="A host script that checks mounts or rotates certificates in another directory than the service reads works on nothing and says all is well.",
    remedy="let every reader take the variable from the one env file, and bind that directory into every service",
    subjects=host_and_stack,
    judge=judge_host_and_stack,
)


# ---- secrets_present


def secrets(site: Site) -> Sequence[Subject]:
    """The declared secrets, all together."""
    return [Subject(name="secrets", host=site.state_dir.host)] if site.state_dir and site.state_dir.secrets else []


def judge_secrets(declared: Sequence[DeclaredSecret]) -> Held | Broken | Unproven:
    """Held when each secret is a regular file that can be read as its format, no wider than declared, and its owner's. Never says what is in one."""
    details = tuple(detail for secret in declared for detail in _secret(secret))
    bad = [detail for detail in details if detail.outcome is not Outcome.HELD]
    if not bad:
        return Held(f"{len(declared)} secret{'s are' if len(declared) != 1 else ' is'} there, private and readable as declared", details)
    said = in_short(bad)
    if any(detail.outcome is Outcome.BROKEN for detail in bad):
        return Broken(said, remedy="restore a missing or damaged secret from a backup, never make a new one; chmod and chown the others", details=details)
    return Unproven(said, remedy="; ".join(dict.fromkeys(secret.remedy for secret in declared if secret.remedy)), details=details)


def _secret(secret: DeclaredSecret) -> Sequence[Detail]:
    """What is wrong with one secret, each thing by itself; one held detail when nothing is."""
    if secret.seen is None:
        return (Detail(what=secret.name, outcome=Outcome.UNPROVEN, kind="could-not-look", message=secret.could_not, file=secret.path),)
    faults = [_broken(secret.name, kind, f"{secret.path} {said}", file=secret.path) for kind, said in _secret_faults(secret)]
    return faults or (Detail(what=secret.name, outcome=Outcome.HELD, message=f"{secret.path} is there and private", file=secret.path),)


def _secret_faults(secret: DeclaredSecret) -> Iterator[tuple[str, str]]:
    seen = secret.seen
    assert seen is not None  # asked for one that was looked at
    if not seen.present:
        yield "absent", "does not exist"
        return
    if not seen.regular:
        yield "not-regular", "is no regular file"
        return
    if seen.blank or seen.size == 0:
        yield "blank", "is empty or blank"
    elif seen.fault:
        yield "unreadable", f"cannot be read as {secret.format}: {seen.fault}"
    if stat.S_IMODE(seen.mode) & ~secret.mode:
        yield "mode", f"has mode {mode_text(seen.mode)}, wider than {mode_text(secret.mode)}"
    if secret.owner is not None and secret.owner_uid is None:
        yield "owner-unknown", f"should be owned by {secret.owner}, whom this host does not know"
    elif secret.owner_uid is not None and seen.uid != secret.owner_uid:
        yield "owner", f"is owned by uid {seen.uid}, not by {secret.owner} (uid {secret.owner_uid})"


SECRETS_PRESENT = Guardrail(
    id="state_dir.secrets_present",
    title="the declared secrets are there, whole and private",
    severity=Severity.CRITICAL,
    when=LIVE,
    rationale="A service that finds its key missing or empty makes a new one: what was encrypted or signed with the old one is lost, and nobody is told.",
    remedy="restore the secret from a backup before anything starts, and keep it 0600",
    subjects=secrets,
    judge=judge_secrets,
    never_waivable=True,
)


# ---- precedence


def precedences(site: Site) -> Sequence[Subject]:
    """Each configuration file with two copies; from files where compose files say how they are mounted."""
    if site.state_dir is None:
        return []
    when = None if site.chains else LIVE
    return [Subject(name=name, host=site.state_dir.host, when=when) for name in site.state_dir.precedence]


def judge_precedence(copies: Copies | MountedCopies) -> Held | Broken | Unproven:
    """Held when the copy in the state directory is the one that is read, written and edited."""
    return judge_mounted(copies) if isinstance(copies, MountedCopies) else judge_copies(copies)


def judge_copies(copies: Copies) -> Held | Broken | Unproven:
    """Two copies that differ are broken when the fallback is the newer one: somebody edited the copy that nobody reads."""
    state, fallback = copies.state, copies.fallback
    if not state.present and not fallback.present:
        return Unproven(f"neither {state.path} nor {fallback.path} is there", remedy="start from a backup of it, or correct state_dir.precedence")
    if not state.present:
        return Held(f"{state.path} is not there yet: the fallback {fallback.path} is in use")
    if not fallback.present:
        return Held(f"{state.path} is the only copy")
    if state.digest == fallback.digest:
        return Held(f"{state.path} is in use, and {fallback.path} is the same")
    detail = _difference(copies)
    if detail.outcome is Outcome.BROKEN:
        return Broken(detail.message, remedy=f"bring the change into {state.path}, or take it back in {fallback.path}", details=(detail,))
    return Held(detail.message, (detail,))


def _difference(copies: Copies) -> Detail:
    state, fallback = copies.state, copies.fallback
    said = _differing_in_words(state, fallback)
    if fallback.seen.mtime > state.seen.mtime and state.differing(fallback) != ():
        message = f"{fallback.path} was changed after {state.path}, which wins: nobody reads the change; {said}"
        return _broken(copies.name, "fallback-is-newer", message, file=fallback.path)
    return Detail(what=copies.name, outcome=Outcome.HELD, message=f"{state.path} is in use, and wins over {fallback.path}; {said}", file=state.path)


def _differing_in_words(state: ConfigCopy, fallback: ConfigCopy) -> str:
    keys = state.differing(fallback)
    if keys is None:
        return "their bytes differ"
    if not keys:
        return "they say the same in other bytes"
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return f"they differ at {', '.join(keys[:SHOWN])}{more}"


def judge_mounted(copies: MountedCopies) -> Held | Broken | Unproven:
    """From compose files: whoever mounts both mounts the state's copy read-write and the fallback read-only."""
    if not any(mount.state_read_only is not None for mount in copies.mounts):
        return Unproven(f"no service mounts the directory of {copies.state}", remedy="mount the state directory, or correct state_dir.precedence")
    both = tuple(copies.both())
    if not both:
        return Held(f"{copies.state} is mounted, and no service mounts its fallback {copies.fallback}: that one is the image's own, or the host's")
    details = tuple(detail for mount in both for detail in _mounted(copies, mount))
    bad = [detail for detail in details if detail.outcome is Outcome.BROKEN]
    if not bad:
        return Held(f"{len(both)} service{'s' * (len(both) != 1)} can write {copies.state} and only read {copies.fallback}", details)
    remedy = f"mount the directory of {copies.state} read-write and that of {copies.fallback} with :ro"
    return Broken(in_short(bad), remedy=remedy, details=details)


def _mounted(copies: MountedCopies, mount: CopyMounts) -> Sequence[Detail]:
    who = f"{mount.service} in the chain {mount.chain}"
    faults = []
    if mount.state_read_only:
        faults.append(_broken(who, "state-copy-read-only", f"{who} mounts {copies.state}, which it should write, read-only"))
    if mount.fallback_read_only is False:
        faults.append(_broken(who, "fallback-writable", f"{who} mounts {copies.fallback} read-write: it can write to the copy that loses"))
    return faults or (Detail(what=who, outcome=Outcome.HELD, message=f"{who} can write the one and only read the other"),)


PRECEDENCE = Guardrail(
    id="state_dir.precedence",
    title="the copy in the state directory wins, and a fallback that differs is named",
    severity=Severity.HIGH,
    when=STATIC_AND_LIVE,
    rationale="Two copies of a configuration file look alike: an operator edits the one that loses, and the change is never seen.",
    remedy="edit the copy in the state directory, and keep the other one read-only",
    subjects=precedences,
    judge=judge_precedence,
)
