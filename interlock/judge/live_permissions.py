"""On the running system: can each container's process read and write what it was given, and who else can read its secrets?

The same guardrails judge what scripts do (`interlock.judge.permissions`); `interlock.observe.live_permissions` brings the containers as they run.
"""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Callable, Iterator, Sequence

from interlock.config.models import Site
from interlock.config.scalars import LOCAL
from interlock.facts.access import Want, may
from interlock.facts.engine import Container, ContainerMount, Place, View
from interlock.facts.live_permissions import PrivateFile, RunningAccess, data_of, is_secret_file, started_as_root
from interlock.judge.tree import found
from interlock.verdicts import LIVE, Broken, Detail, Held, Outcome, Subject, Unproven

RUNNING = "running"
OTHERS_READ = 0o004
_LOOK = "set `become: sudo -n` for this host; where only an ACL can tell, `getfacl` of the file says it"
MADE_BY_THE_ENGINE = 0o755  # root's, as the engine makes a directory that it did not find


def running(site: Site) -> Sequence[Subject]:
    """Every host whose engine the site names."""
    return [_subject(site, host) for host in (*site.hosts, *(() if LOCAL in site.hosts else (LOCAL,))) if site.host(host).engine]


def running_with_env_files(site: Site) -> Sequence[Subject]:
    """The same, and every host that has an env file of the stack."""
    env = {instance.host for instance in site.instances.values()} | ({site.state_dir.host} if site.state_dir and site.state_dir.host_env_file else set())
    named = dict.fromkeys((*site.hosts, LOCAL))
    return [_subject(site, host) for host in named if site.host(host).engine or host in env]


def _subject(site: Site, host: str) -> Subject:
    """Named after its host where the site has several."""
    return Subject(name=RUNNING if len({*site.hosts, LOCAL}) == 1 or host == LOCAL else f"{RUNNING}-{host}", host=host, when=LIVE)


def _says(container: Container, mount: ContainerMount) -> str:
    return f"{container.name}: {mount.destination}"


def _broken(container: Container, mount: ContainerMount, kind: str, message: str) -> Detail:
    return Detail(what=_says(container, mount), outcome=Outcome.BROKEN, kind=kind, message=message, file=mount.source)


def _held(container: Container, mount: ContainerMount, message: str) -> Detail:
    return Detail(what=_says(container, mount), outcome=Outcome.HELD, message=message, file=mount.source)


def _unproven(container: Container, mount: ContainerMount, message: str) -> Detail:
    return Detail(what=_says(container, mount), outcome=Outcome.UNPROVEN, kind="could-not-look", message=message, file=mount.source)


Judge = Callable[[Container, ContainerMount, Place, View], Detail | None]


def _each(seen: RunningAccess, wanted: Callable[[Container, ContainerMount], bool], judge: Judge) -> Iterator[Detail]:
    """A detail for each mount that is wanted and that `judge` has a word about; an unproven one where nobody could look."""
    for container, mount, place in seen.seen():
        if not wanted(container, mount):
            continue
        if place is None or container.view is None:
            why = f": {container.unseen}" if container.unseen else ""
            yield _unproven(container, mount, f"what {container.name} shows at {mount.destination} could not be looked at{why}")
        elif detail := judge(container, mount, place, container.view):
            yield detail


def _is_bind(mount: ContainerMount) -> bool:
    return mount.kind == "bind" and not mount.source.endswith(".sock")


def _owner(place: Place) -> str:
    return f"{stat.S_IMODE(place.mode):04o} of uid {place.uid}, gid {place.gid}"


def _unclear(container: Container, mount: ContainerMount, place: Place, view: View) -> Detail:
    said = f"whether uid {view.uid} of {container.name} may use {mount.source} ({_owner(place)}) is told by an ACL or by a user namespace"
    return _unproven(container, mount, f"{said}: `getfacl {mount.source}`")


# ---- secret_file_0600


def judge_running_secrets(seen: RunningAccess) -> Held | Broken | Unproven:
    """Held when no env file with secrets, and no secret that a container mounts, can be read by every user of the host."""
    details = (*(_env_file(file) for file in seen.files), *_each(seen, lambda _container, mount: _is_bind(mount) and is_secret_file(mount), _secret(seen)))
    return found(
        details,
        look=_LOOK,
        held=f"no user of the host but their own reads the secrets of the stack: {len(details)} files looked at",
        remedy="chmod 0600 the file where its owner reads it, 0640 with the group of who reads it else; or close the directory that it lies in",
    )


def _env_file(file: PrivateFile) -> Detail:
    mode = f"{stat.S_IMODE(file.mode):04o}"
    if not file.present:
        return Detail(what=file.path, outcome=Outcome.HELD, message=f"{file.path} is not there", file=file.path)
    if not file.mode & OTHERS_READ:
        return Detail(what=file.path, outcome=Outcome.HELD, message=f"{file.path} is {mode}", file=file.path)
    if file.closed_by:
        return Detail(what=file.path, outcome=Outcome.HELD, message=f"{file.path} is {mode}, and others do not get into {file.closed_by}", file=file.path)
    if file.secret is None:
        said = f"{file.path} is {mode}, and could not be read to tell whether secrets stand in it"
        return Detail(what=file.path, outcome=Outcome.UNPROVEN, kind="could-not-look", message=said, file=file.path)
    if not file.secret:
        return Detail(what=file.path, outcome=Outcome.HELD, message=f"{file.path} is {mode}, and no variable in it names a secret", file=file.path)
    said = f"{file.path} is {mode}: every user of the host reads the secrets in it"
    return Detail(what=file.path, outcome=Outcome.BROKEN, kind="others-may-read", message=said, file=file.path)


def _secret(seen: RunningAccess) -> Judge:
    def judge(container: Container, mount: ContainerMount, place: Place, _view: View) -> Detail | None:
        if not stat.S_ISREG(place.mode):
            return None
        shown = f"{mount.source}, which {container.name} has at {mount.destination}, is {_owner(place)}"
        if not place.mode & OTHERS_READ:
            return _held(container, mount, shown)
        if closed := seen.keeps_out(mount.source):
            return _held(container, mount, f"{shown}, and others do not get into {closed}")
        return _broken(container, mount, "others-may-read", f"{shown}: every user of the host reads it")

    return judge


# ---- mode_needs_owner_match


def judge_running_readers(seen: RunningAccess) -> Held | Broken | Unproven:
    """Held when each file that is mounted into a container can be read by its process, or could while it was still root's."""
    details = tuple(_each(seen, lambda _container, mount: _is_bind(mount), _readable))
    return found(
        details,
        look=_LOOK,
        held=f"every file that is mounted into a container can be read by its process: {len(details)} looked at",
        remedy="give the file to the uid that the container runs as, or share it with a group of it: `chown UID FILE`, or 0640 and `chgrp GID FILE`",
    )


def _readable(container: Container, mount: ContainerMount, place: Place, view: View) -> Detail | None:
    if not stat.S_ISREG(place.mode):
        return None
    may_read = may(place, view.uid, view.gid, view.groups, view.capabilities, Want.READ)
    if may_read:
        return _held(container, mount, f"uid {view.uid} of {container.name} reads {mount.source}")
    if started_as_root(container):
        return _held(container, mount, f"{container.name} began as root, which reads {mount.source}, before it became uid {view.uid}")
    if may_read is None:
        return _unclear(container, mount, place, view)
    said = f"{container.name} runs as uid {view.uid}, and {mount.source}, which it has at {mount.destination}, is {_owner(place)}: it cannot read it"
    return _broken(container, mount, "reader-is-not-owner", said)


# ---- uid_matches_state_dir and state_subdirs_precreated


def judge_running_uids(seen: RunningAccess) -> Held | Broken | Unproven:
    """Held when the process of each container can write to the directories of state and data that are mounted into it to be written to."""
    details = tuple(_each(seen, lambda _container, mount: _is_written(seen, mount), _fillable))
    return found(
        details,
        look=_LOOK,
        held=f"every process can write to the state and data that it was given: {len(details)} mounts looked at",
        remedy="give the directory to the uid that the container runs as: `chown UID:GID DIRECTORY`, and its files where they are another's",
    )


def _is_written(seen: RunningAccess, mount: ContainerMount) -> bool:
    return _is_bind(mount) and not mount.read_only and seen.holds(mount.source)


def _fillable(container: Container, mount: ContainerMount, place: Place, view: View) -> Detail | None:
    if not stat.S_ISDIR(place.mode):
        return None
    may_fill = may(place, view.uid, view.gid, view.groups, view.capabilities, Want.FILL)
    if may_fill:
        return _held(container, mount, f"uid {view.uid} of {container.name} writes to {mount.source}")
    if may_fill is None:
        return _unclear(container, mount, place, view)
    if _as_the_engine_makes_it(place):
        return None
    said = f"{container.name} runs as uid {view.uid}, and {mount.source}, which it has at {mount.destination}, is {_owner(place)}: it cannot write there"
    return _broken(container, mount, "cannot-write", said)


def _as_the_engine_makes_it(place: Place) -> bool:
    return (place.uid, place.gid, stat.S_IMODE(place.mode)) == (0, 0, MADE_BY_THE_ENGINE)


def judge_running_precreated(seen: RunningAccess) -> Held | Broken | Unproven:
    """Held when no directory of state and data is as the engine makes one that it did not find, root's own, below a process of another user."""
    details = tuple(_each(seen, lambda _container, mount: _is_written(seen, mount), _precreated))
    return found(
        details,
        look=_LOOK,
        held=f"every directory of state and data was made for who writes to it: {len(details)} mounts looked at",
        remedy="make it before the first start, for the uid that the container runs as: `install -d -o UID -g GID DIRECTORY`",
    )


def _precreated(container: Container, mount: ContainerMount, place: Place, view: View) -> Detail | None:
    if not stat.S_ISDIR(place.mode):
        return None
    if not _as_the_engine_makes_it(place) or may(place, view.uid, view.gid, view.groups, view.capabilities, Want.FILL):
        return _held(container, mount, f"{mount.source} is {_owner(place)}")
    said = f"{mount.source} is {_owner(place)}, as the engine makes a directory that it does not find, and {container.name} runs as uid {view.uid}"
    return _broken(container, mount, "made-by-the-engine", f"{said}: it cannot write there")


# ---- recursive_chown_scope


def judge_running_owners(seen: RunningAccess) -> Held | Broken | Unproven:
    """Held when the data directory of each known engine still is its process's own."""
    details = tuple(_each(seen, lambda container, mount: not mount.read_only and data_of(container, mount.destination) != "", _own_data))
    return found(
        details,
        look=_LOOK,
        held=f"the data of every engine is its own: {len(details)} looked at",
        remedy="stop the service, give its data back with all that is in it (`chown -R UID:GID DIRECTORY`), and find the script that took it",
    )


def _own_data(container: Container, mount: ContainerMount, place: Place, view: View) -> Detail | None:
    server = data_of(container, mount.destination)
    ids = view.uid, view.gid, view.groups, view.capabilities
    if not stat.S_ISDIR(place.mode):
        return None
    if place.uid == view.uid or may(place, *ids, Want.FILL):
        return _held(container, mount, f"the data of {server} in {container.name} is {_owner(place)}")
    enters = may(place, *ids, Want.READ | Want.SEARCH)
    if enters and place.uid == 0:
        return _held(container, mount, f"the data of {server} in {container.name} lies below {mount.destination}, which root keeps")
    if enters is None:
        return _unclear(container, mount, place, view)
    where = mount.source or posixpath.normpath(mount.destination)
    said = f"the data of {server} in {container.name}, {where}, is {_owner(place)}, and its process runs as uid {view.uid}: it belongs to somebody else"
    return _broken(container, mount, "another-owner", said)
