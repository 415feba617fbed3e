"""Do owner, mode and reader of a file belong together? `interlock.observe.permissions` brings what scripts set, and who reads it."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from interlock.config.models import Site
from interlock.facts.backup_writers import UNKNOWN, Care
from interlock.facts.live_permissions import RunningAccess
from interlock.facts.ownership import TEMPORARY, Act, Did, is_below, is_number, is_unknown
from interlock.facts.permissions import Ownership, Published, Publishing, Reader, ScriptActs
from interlock.facts.same_file import FileWriter
from interlock.facts.secret_writers import SecretWriters, is_open
from interlock.judge import live_permissions
from interlock.judge.tree import found, scripts, unread
from interlock.patterns import regex
from interlock.verdicts import LIVE, Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, When

STATIC = frozenset({When.STATIC})
SHARED = 0o060  # what a group may do with a file that it shares
OTHERS = 0o044
_FIRST_TIME = regex(r"(?:^|[\s\[(])!\s*-[defs]\b|-z\b")
_SYSTEM = ("/data", "/opt/", "/srv/", "/var/", "/etc/", "/mnt/", "/home/")


def _broken(file: str, line: int, what: str, kind: str, message: str) -> Detail:
    return Detail(what=f"{file}: {what}", outcome=Outcome.BROKEN, kind=kind, message=f"{file}:{line} {message}", file=file, line=line)


def _numbered(details: Iterator[Detail]) -> Iterator[Detail]:
    """Two findings of one name are told apart by a number."""
    met: Counter[tuple[str, str]] = Counter()
    for one in details:
        met[one.what, one.kind] += 1
        times = met[one.what, one.kind]
        yield one if times == 1 else Detail(what=f"{one.what} ({times})", outcome=one.outcome, kind=one.kind, message=one.message, file=one.file, line=one.line)


def _on_hosts(seen: Ownership) -> tuple[ScriptActs, ...]:
    return tuple(script for script in seen.scripts if not script.inside)


# ---- mode_needs_owner_match


def judge_mode_needs_owner_match(seen: Publishing | RunningAccess) -> Held | Broken | Unproven:
    """Held when no file that another user reads is made its owner's alone while its owner is somebody else, or not certain."""
    if isinstance(seen, RunningAccess):
        return live_permissions.judge_running_readers(seen)
    details = (
        *_numbered(_private_modes(seen.ownership)),
        *_numbered(_pinned_elsewhere(seen.ownership)),
        *_numbered(_published(seen.published)),
        *unread(seen.unread),
    )
    read = f"{len(seen.ownership.scripts)} scripts and {seen.looked_at} programs read"
    return found(
        details,
        held=f"nothing that another user reads is made its owner's alone: {read}",
        remedy="set the owner to the reader's uid beside the mode, or set the shared mode (0640, 0660) explicitly",
    )


def _private_modes(seen: Ownership) -> Iterator[Detail]:
    for script in _on_hosts(seen):
        for index, act in enumerate(script.acts):
            if act.did is Did.MODE and act.private and not act.recursive and not act.asks_owner:
                reader = _reader_of(seen, script, act.path)
                if reader is not None and reader.uid is not None and (why := _why_unreadable(seen, script, index, act, reader)):
                    yield _broken(script.path, act.line, act.written, why[0], f"{why[1]}; {reader.service} ({reader.chain}) reads it as uid {reader.uid}")
            if act.did is Did.MOVED and act.source == TEMPORARY:
                yield from _moved(seen, script, act)


def _reader_of(seen: Ownership, script: ScriptActs, path: str) -> Reader | None:
    """A container of a user of its own that reads a path: it mounts it, or it mounts a directory above it and something in the tree names it."""
    if is_unknown(path) and "/" not in path:
        return None
    places = script.places(path, seen.directory)
    if any(reader.data_of and any(one == reader.source or is_below(one, reader.source) for one in places) for reader in seen.readers):
        return None  # the engine's own
    mounting = [
        reader
        for reader in seen.readers
        if reader.uid is not None and not reader.data_of and any(one == reader.source or is_below(one, reader.source) for one in places)
    ]
    exact = [reader for reader in mounting if reader.source in places]
    if exact:
        return exact[0]
    return mounting[0] if mounting and posixpath.basename(path) in seen.named else None


def _why_unreadable(seen: Ownership, script: ScriptActs, index: int, act: Act, reader: Reader) -> tuple[str, str] | None:
    """Why the reader may not be the owner: kind and words. None when it is, or when nobody can tell."""
    paths = {act.path, *(one.path for one in script.acts if one.did is Did.MOVED and one.source == act.path)}
    owners = [one for one in script.acts if one.did is Did.OWNER and one.owner and any(one.covers(path) for path in paths)]
    certain = [one for one in owners if not one.conditions]
    born = max((one.line for one in script.acts if one.did in (Did.FILE, Did.DIRECTORY) and one.path == act.path), default=0)
    if owners and born > owners[-1].line:
        return None  # made after its neighbours were given away: on the next run they are given away again
    if any(is_number(one.owner) and int(one.owner) == reader.uid for one in (certain[-1:] or owners)):
        return None
    if certain:
        return _of_owner(seen, certain[-1], act, reader)
    if owners:
        return None  # under conditions that nobody here can decide
    made = any(one.did in (Did.FILE, Did.DIRECTORY) and one.path == act.path for one in script.acts[:index])
    if made and _as_root(script) and not is_unknown(act.path):
        return "owner-not-set", f"makes {act.written} private to the root that made it, and gives it to nobody"
    return None


def _of_owner(seen: Ownership, owner: Act, act: Act, reader: Reader) -> tuple[str, str] | None:
    name = owner.owner
    if is_number(name):
        return "another-owner", f"makes {act.written} private to uid {name} (line {owner.line})"
    uids = seen.users.get(name)
    if uids is None or is_unknown(name) or str(reader.uid) in uids:
        return None
    if all(not uid or not is_number(uid) for uid in uids) and not any(uid.startswith("$") for uid in uids):
        return "owner-not-pinned", f"makes {act.written} private to {name} (line {owner.line}), a user whose uid is whatever was free when it was made"
    return ("another-owner", f"makes {act.written} private to {name}, made with uid {', '.join(sorted(uids))}") if all(map(is_number, uids)) else None


def _pinned_elsewhere(seen: Ownership) -> Iterator[Detail]:
    """A user that owns files, made with a number by one script and with any by another: whichever runs first decides. A script that tries both knows."""
    owning = {act.owner for script in seen.scripts for act in script.acts if act.did is Did.OWNER}
    made = [(script, act) for script in _on_hosts(seen) for act in script.acts if act.did is Did.USER and act.path in owning]
    pins = {act.path: (script, act) for script, act in reversed(made) if is_number(act.owner)}
    knowing = {(script.path, act.path) for script, act in made if act.owner}
    for script, act in made:
        if not act.owner and act.path in pins and (script.path, act.path) not in knowing:
            other, pinned = pins[act.path]
            elsewhere = f"{other.path}:{pinned.line} with {pinned.owner}"
            said = f"makes the user {act.path} with whatever uid is free, and {elsewhere}: who runs first decides who can read its files"
            yield _broken(script.path, act.line, act.path, "uid-pinned-elsewhere", said)


def _as_root(script: ScriptActs) -> bool:
    """True when a script shows that root runs it."""
    return any(act.did in (Did.ROOT, Did.USER, Did.OWNER) for act in script.acts) or any(
        act.did is not Did.ROOT and act.path.startswith(_SYSTEM) for act in script.acts
    )


def _moved(seen: Ownership, script: ScriptActs, act: Act) -> Iterator[Detail]:
    """A temporary file of 0600 that takes the place of one that a container reads."""
    reader = _reader_of(seen, script, act.path)
    later = [one for one in script.acts if one.did in (Did.MODE, Did.OWNER) and (one.covers(act.path) or one.path in (act.source, TEMPORARY))]
    if reader is not None and not later and not act.asks_owner:
        said = f"puts {act.written} in its place with the 0600 of mktemp; {reader.service} ({reader.chain}) reads it as uid {reader.uid}"
        yield _broken(script.path, act.line, act.written, "temporary-mode-kept", said)


def _published(published: tuple[Published, ...]) -> Iterator[Detail]:
    """A program that keeps the 0600 of a temporary file, where its neighbours share what they write."""
    for one in published:
        if one.private and one.mode is None and (neighbour := _sharing(one, published)) is not None:
            assert neighbour.mode is not None  # it shares
            shares = f"{neighbour.file}:{neighbour.line} gives what it writes there {neighbour.mode:04o}"
            said = f"puts {one.target} in its place with the 0600 of a temporary file, while {shares}: others of the group lose access"
            yield _broken(one.file, one.line, f"{one.function}: {one.target}" if one.function else one.target, "temporary-mode-kept", said)


def _sharing(one: Published, published: tuple[Published, ...]) -> Published | None:
    """A neighbour that publishes in the same way, and shares it: in the same two folders from the top."""
    near = [other for other in published if other is not one and other.package == one.package and other.package and other.mode is not None]
    sharing = [other for other in near if other.mode is not None and (other.mode & SHARED == SHARED or other.mode & OTHERS)]
    private = [other for other in near if other.mode is not None and other.mode & 0o077 == 0]
    return sharing[0] if sharing and len(sharing) > len(private) else None


# ---- uid_matches_state_dir


def judge_uid_matches(seen: Ownership | RunningAccess) -> Held | Broken | Unproven:
    """Held when no script gives a directory to another uid than that of the containers that write to it."""
    if isinstance(seen, RunningAccess):
        return live_permissions.judge_running_uids(seen)
    return found(
        (*_numbered(_other_uids(seen)), *_numbered(_top_only(seen)), *_numbered(_owner_lost(seen))),
        held=f"no script gives a container's directory to another uid: {len(seen.scripts)} scripts read",
        remedy="give the directory to the uid that the service runs as (compose `user:`, PUID, USER of its Dockerfile)",
    )


def _other_uids(seen: Ownership) -> Iterator[Detail]:
    for script in _on_hosts(seen):
        for index, act in enumerate(script.acts):
            if (
                act.did is not Did.OWNER
                or not is_number(act.owner)
                or any(later.covers(act.path) and later.did is Did.OWNER for later in script.acts[index + 1 :])
            ):
                continue
            places = script.places(act.path, seen.directory)
            writers = [reader for reader in seen.readers if reader.source in places and not reader.read_only]
            wanted = [reader.data_of or ({reader.uid} if reader.uid is not None else None) for reader in writers]
            if writers and all(one is not None and int(act.owner) not in one for one in wanted):
                first = writers[0]
                uid = " or ".join(str(one) for one in sorted(wanted[0] or ()) if one is not None)
                said = f"gives {act.written} to uid {act.owner}, and {first.service} ({first.chain}) writes to it as uid {uid}"
                yield _broken(script.path, act.line, act.written, "another-uid", said)


def _top_only(seen: Ownership) -> Iterator[Detail]:
    """An engine's data is given back at its top alone, by a script that gives the directories beside it with all that is in them."""
    for script in _on_hosts(seen):
        whole = [act for act in script.acts if act.did is Did.OWNER and act.recursive]
        for act in script.acts:
            engine = _engine_at(seen, script, act)
            beside = next((one for one in whole if posixpath.dirname(one.path) == posixpath.dirname(act.path) != "/"), None)
            if (
                engine is not None
                and beside is not None
                and not any(is_number(one.owner) and one.covers(act.path) and int(one.owner) in engine.data_of for one in whole)
            ):
                said = f"gives only {act.written} itself to uid {act.owner}, while line {beside.line} gives {beside.written} with all that is in it"
                after = f"files that another uid left there stay closed to {engine.service} ({engine.chain})"
                yield _broken(script.path, act.line, act.written, "top-only", f"{said}: {after}")


def _engine_at(seen: Ownership, script: ScriptActs, act: Act) -> Reader | None:
    """The engine whose directory a line gives it, without what is in it; None for a directory that the same line makes, or that was not there yet."""
    if act.did is not Did.OWNER or act.recursive or not is_number(act.owner) or any(_FIRST_TIME.search(condition) for condition in act.conditions):
        return None
    if any(one.did is Did.DIRECTORY and (one.path, one.line) == (act.path, act.line) for one in script.acts):
        return None
    places = script.places(act.path, seen.directory)
    return next((reader for reader in seen.readers if int(act.owner) in reader.data_of and reader.source in places), None)


def _owner_lost(seen: Ownership) -> Iterator[Detail]:
    """Root puts a new file in the place of one that was given to a user."""
    given = [
        (script, act) for script in _on_hosts(seen) for act in script.acts if act.did is Did.OWNER and not act.recursive and act.owner not in ("", "0", "root")
    ]
    for script, index, act in _replaced(_on_hosts(seen)):
        if not _as_root(script) or any(
            one.did is Did.OWNER and one.covers(path) for path in (act.path, act.source) for one in script.acts[_born(script, index) :]
        ):
            continue
        other = next((found for found in given if _is_same(script, act, *found)), None)
        if other is not None:
            said = f"puts a new {act.written} in its place as root, while {other[0].path}:{other[1].line} gave it to {other[1].owner}"
            yield _broken(script.path, act.line, act.written, "owner-lost", f"{said}: from then on it is root's")


# ---- recursive_chown_scope


def judge_recursive_chown(seen: Ownership | RunningAccess) -> Held | Broken | Unproven:
    """Held when no recursive change of owner or mode reaches into the data of an engine that it does not belong to."""
    if isinstance(seen, RunningAccess):
        return live_permissions.judge_running_owners(seen)
    return found(
        _numbered(_too_far(seen)),
        held=f"no recursive chown or chmod reaches into an engine's data: {len(seen.scripts)} scripts read",
        remedy="name the directories that are meant, or leave the engine's out: `find DIR -mindepth 1 -maxdepth 1 ! -name postgres -exec chown -R ... {} +`",
    )


def _too_far(seen: Ownership) -> Iterator[Detail]:
    for script in seen.scripts:
        for index, act in enumerate(script.acts):
            if not act.recursive or act.did not in (Did.OWNER, Did.MODE) or any(_FIRST_TIME.search(condition) for condition in act.conditions):
                continue
            hit = next(
                (reader for reader in seen.readers if reader.data_of and _reaches(seen, script, act, reader) and not _repaired(seen, script, index, reader)),
                None,
            )
            if hit is not None:
                did = f"gives all of {act.written} to {act.owner}" if act.did is Did.OWNER else f"opens all of {act.written}"
                after = "the engine cannot open its files any more" if act.did is Did.OWNER else "the engine refuses to start on them"
                said = f"{did}, and with it {hit.source}, the data of {hit.service} ({hit.chain}): {after}"
                yield _broken(script.path, act.line, act.written, "reaches-engine-data", said)


def _reaches(seen: Ownership, script: ScriptActs, act: Act, reader: Reader) -> bool:
    if act.did is Did.MODE and not (act.opens and reader.strict):
        return False
    if act.did is Did.OWNER and (
        is_unknown(act.owner) or not act.owner or (is_number(act.owner) and int(act.owner) in reader.data_of) or act.owner == reader.service
    ):
        return False
    return any(_contains(act, place, reader.source) for place in _outside(seen, script, act.path))


def _outside(seen: Ownership, script: ScriptActs, path: str) -> tuple[str, ...]:
    """Where on the host a path of a script is: for one of an image, where the services that are built mount it."""
    if not script.inside:
        return script.places(path, seen.directory)
    mounted = [reader for reader in seen.readers if reader.built and reader.uid is None and (path == reader.target or is_below(path, reader.target))]
    return tuple(reader.source + path[len(reader.target) :] for reader in mounted)


def _contains(act: Act, place: str, source: str) -> bool:
    if not is_below(source, place) and place != ".":
        return False
    below = source if place == "." else source[len(place.rstrip("/")) + 1 :]
    return not below.startswith("/") and not any(part in act.left_out for part in below.split("/"))


def _repaired(seen: Ownership, script: ScriptActs, index: int, reader: Reader) -> bool:
    """True when a later line of the script gives the engine its data back."""
    return any(
        later.did is Did.OWNER
        and later.recursive
        and reader.source in _outside(seen, script, later.path)
        and (not is_number(later.owner) or int(later.owner) in reader.data_of)
        for later in script.acts[index + 1 :]
    )


# ---- state_subdirs_precreated


def judge_precreated(seen: Ownership | RunningAccess) -> Held | Broken | Unproven:
    """Held when every directory that a container of a user of its own writes to is made by somebody before the engine makes it as root."""
    if isinstance(seen, RunningAccess):
        return live_permissions.judge_running_precreated(seen)
    return found(
        _numbered(_not_made(seen)),
        held=f"every directory beside those that scripts make is made too: {len(seen.readers)} mounts looked at",
        remedy="make the directory where its neighbours are made, and give it to the service's uid: `install -d -o UID -g GID DIR`",
    )


def _not_made(seen: Ownership) -> Iterator[Detail]:
    made = {
        (place, script.path, act.line)
        for script in _on_hosts(seen)
        for act in script.acts
        if act.did is Did.DIRECTORY
        for place in script.places(act.path, seen.directory)
    }
    owned = [
        (place, act.recursive) for script in _on_hosts(seen) for act in script.acts if act.did is Did.OWNER for place in script.places(act.path, seen.directory)
    ]
    told: set[str] = set()
    for reader in seen.readers:
        source = reader.source
        if reader.uid is None or reader.read_only or source in told or source in seen.present or "." in posixpath.basename(source):
            continue
        if any(place == source or is_below(place, source) for place, _, _ in made) or any(place == source for place, _ in owned):
            continue
        if any(is_below(folder, source) for folder in seen.present):
            continue
        parent = posixpath.dirname(source)
        beside = sorted((script, line) for place, script, line in made if parent not in ("", "/") and posixpath.dirname(place) == parent)
        if beside:
            told.add(source)
            script, line = beside[0]
            who = f"{reader.service} ({reader.chain}), uid {reader.uid}"
            said = f"makes the directories beside {source}, and nobody makes that one: the engine makes it as root, and {who}, cannot write to it"
            yield _broken(script, line, source, "made-by-the-engine", said)


# ---- secret_file_0600


def judge_secret_files(seen: SecretWriters | RunningAccess) -> Held | Broken | Unproven:
    """Held when every secret that a script or program writes is private from its birth, or closed by the same script before anything else happens to it."""
    if isinstance(seen, RunningAccess):
        return live_permissions.judge_running_secrets(seen)
    details = (*_numbered(_secrets(seen)), *_numbered(_unlike(seen.programs)), *_numbered(_reopened(seen.acts)), *unread(seen.unread))
    held = sum(detail.outcome is Outcome.HELD for detail in details)
    said = f"{held} secrets are written, and none of them is left open to others" if held else "no script or program writes a secret"
    return found(
        details,
        held=f"{said}: {seen.looked_at} scripts and programs read",
        remedy="write it under `umask 077`, with `install -m 600`, or by os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)",
    )


def _secrets(seen: SecretWriters) -> Iterator[Detail]:
    for script in seen.scripts:
        for write in script.writes:
            name = f"{write.scope}: {write.tool} {write.written}" if write.scope else f"{write.tool} {write.written}"
            if not is_open(write.care):
                how = "private" if write.care is Care.PRIVATE else f"open until {write.because}" if write.because else "with the mode that it had"
                said = f"{script.path}:{write.line} writes {write.target} {how}"
                yield Detail(what=f"{script.path}: {name}", outcome=Outcome.HELD, message=said, file=script.path, line=write.line)
            elif write.care is Care.WIDENED:
                yield _broken(
                    script.path, write.line, name, write.care.value, f"opens {write.target}, which holds a secret, to every user of the host ({write.because})"
                )
            else:
                said = f"writes a secret to {write.target} with whatever umask there is, and nothing closes it: every user of the host can read it"
                yield _broken(script.path, write.line, name, write.care.value, said)


def _unlike(programs: tuple[FileWriter, ...]) -> Iterator[Detail]:
    """A program puts a file in its place with the mode of the umask, and another one gives the same file to its owner alone."""
    for one in programs:
        other = None if one.private else next((other for other in programs if other.private and one.is_same(other)), None)
        if other is not None:
            closes = f"{other.file}:{other.line} makes the same file its owner's alone"
            said = f"puts {one.target} ({one.name}) in its place with whatever umask there is, while {closes}: who saved last decides who can read it"
            yield _broken(one.file, one.line, f"{one.function}: {one.name}" if one.function else one.name, "unlike-other-writers", said)


def _reopened(scripts: tuple[ScriptActs, ...]) -> Iterator[Detail]:
    """A script puts a new file in the place of one that was made private, and does not close the new one."""
    closed = [(script, act) for script in scripts for act in script.acts if act.did is Did.MODE and act.private and not act.recursive]
    for script, index, act in _replaced(scripts):
        if any(one.did is Did.MODE and one.covers(path) for path in (act.path, act.source) for one in script.acts[_born(script, index) :]):
            continue
        other = next((found for found in closed if _is_same(script, act, *found)), None)
        if other is not None:
            said = f"puts a new {act.written} in its place with whatever umask there is, while {other[0].path}:{other[1].line} made it its owner's alone"
            yield _broken(script.path, act.line, act.written, "reopened", f"{said}: from then on every user of the host can read it")


def _replaced(scripts: tuple[ScriptActs, ...]) -> Iterator[tuple[ScriptActs, int, Act]]:
    """Each rename of a file that the script itself wrote, in a script that thinks of no mode or owner by other means."""
    for script in scripts:
        for index, act in enumerate(script.acts):
            if act.did is Did.MOVED and not script.inside and not script.thinks and _born(script, index) < index and not act.asks_owner:
                yield script, index, act


def _born(script: ScriptActs, index: int) -> int:
    """Where the script wrote what it renames; the place of the rename itself when nothing shows that it did."""
    source = script.acts[index].source
    written = (at for at, one in enumerate(script.acts[:index]) if one.did is Did.FILE and one.path == source and not one.source)
    return index if source == TEMPORARY else next(written, index)


def _is_same(script: ScriptActs, act: Act, other: ScriptActs, change: Act) -> bool:
    """Whether a change is one of the file that is put in its place: by the same words for the same path, seen from the same folder unless it is absolute."""
    if act.path != change.path or UNKNOWN.fullmatch(act.path):
        return False
    return act.path.startswith("/") or posixpath.dirname(script.path) == posixpath.dirname(other.path)


def scripts_and_containers(site: Site) -> Sequence[Subject]:
    """All scripts of the tree, from files; and what runs on each host with an engine."""
    return [*(replace(one, when=STATIC) for one in scripts(site)), *live_permissions.running(site)]


def scripts_and_secrets(site: Site) -> Sequence[Subject]:
    """The same, and each host that has env files alone."""
    return [*(replace(one, when=STATIC) for one in scripts(site)), *live_permissions.running_with_env_files(site)]


MODE_NEEDS_OWNER_MATCH = Guardrail(
    id="permissions.mode_needs_owner_match",
    title="a file is made its owner's alone only where its owner is who reads it",
    severity=Severity.HIGH,
    when=STATIC | LIVE,
    rationale="0600 is right for the one who owns the file: to every other it is as if it were gone, and no service starts without its settings.",
    remedy="pin the owner to the reader's uid beside the mode, ask for the uid before, or share the file in a group on purpose",
    subjects=scripts_and_containers,
    judge=judge_mode_needs_owner_match,
)

UID_MATCHES_STATE_DIR = Guardrail(
    id="permissions.uid_matches_state_dir",
    title="who owns a container's directory is the user that the container runs as",
    severity=Severity.MEDIUM,
    when=STATIC | LIVE,
    rationale="A number in a script and a number in an image drift apart with the next base image, and the service cannot write its state.",
    remedy="give the directory to the uid of the service, from one place that both read",
    subjects=scripts_and_containers,
    judge=judge_uid_matches,
)

RECURSIVE_CHOWN_SCOPE = Guardrail(
    id="permissions.recursive_chown_scope",
    title="no recursive chown or chmod reaches into the data of an engine",
    severity=Severity.HIGH,
    when=STATIC | LIVE,
    rationale="A database whose files belong to somebody else stops in the middle of its work, and the script that did it runs again at every boot.",
    remedy="change the directories that are yours one by one, and leave those of engines out",
    subjects=scripts_and_containers,
    judge=judge_recursive_chown,
)

STATE_SUBDIRS_PRECREATED = Guardrail(
    id="permissions.state_subdirs_precreated",
    title="a directory that a container writes to is made before the engine makes it as root",
    severity=Severity.MEDIUM,
    when=STATIC | LIVE,
    rationale="The engine makes a missing bind source as root, and a service with a user of its own fails on its first write, on new hosts only.",
    remedy="make it where its neighbours are made, with the owner that the service runs as",
    subjects=scripts_and_containers,
    judge=judge_precreated,
)

SECRET_FILE_0600 = Guardrail(
    id="permissions.secret_file_0600",
    title="who writes a secret writes it for its owner alone",
    severity=Severity.HIGH,
    when=STATIC | LIVE,
    rationale="Under the usual umask a new file is everybody's to read: an account that was only meant to serve pages reads the database's password.",
    remedy="set the umask or the mode before the first byte; share with one group (0640) where another user has to read it",
    subjects=scripts_and_secrets,
    judge=judge_secret_files,
)
