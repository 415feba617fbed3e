"""Are the volumes and binds of a host what the chain that runs says? The engine fixes a volume's options when it makes it, whatever the files say later."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from interlock.facts.compose_project import other_options
from interlock.facts.container_mounts import ChainOnHost, HostStack, SeenContainer, is_unknown, leads, of_the_engine
from interlock.facts.engine import ContainerMount, EngineVolume
from interlock.facts.engine_generations import VOLUME_HASH, changed_volume
from interlock.facts.mount_tables import Mount, MountTable, is_below
from interlock.facts.stack import Volume
from interlock.verdicts import Broken, Detail, Held, Outcome, Unproven, in_short

OPTIONS_REMEDY = (
    "stop the stack, copy what is in the volume, `docker volume rm` it, and let `up` make it anew; never answer the question of docker compose with -y, which"
    " deletes it with all data; better, bind the directory in the services themselves"
)
PROPAGATION_REMEDY = (
    "make the containers anew from the chain (`docker compose up -d --force-recreate`); a volume that binds a directory is made anew with the stack stopped:"
    " `docker volume rm` it, which leaves what it binds, write `o: rbind,rslave`, and start"
)
_STRAY_REMEDY = "name the compose files that it was started from as a chain of the site, and in `instances` the directory and the chain of what runs here"
_PASS_NOTHING_BACK = frozenset({"slave", "rslave", "private", "rprivate"})  # options of a volume that keep what is done to it from the host
_DEFAULT_PROPAGATION = "rprivate"  # of a bind of Docker and Podman where nothing is said


# ---- driver_opts_immutable


def judge_live_options(stack: HostStack) -> Held | Broken | Unproven:
    """Held when each volume that the engine has of the chains was made as they say; one that is not there yet is made by the next start."""
    details = (*_differences(stack), *_strays(stack))
    if not details:
        return Held(f"{_named(stack)} declare{'s' if len(stack.chains) == 1 else ''} no volume of {'its' if len(stack.chains) == 1 else 'their'} own")
    bad = [detail for detail in details if detail.outcome is not Outcome.HELD]
    if not bad:
        return Held(in_short(details), details)
    broken = [detail for detail in bad if detail.outcome is Outcome.BROKEN]
    if broken:
        return Broken(in_short(broken), remedy=OPTIONS_REMEDY, details=details)
    return Unproven(in_short(bad), remedy=_STRAY_REMEDY, details=details)


def _named(stack: HostStack) -> str:
    return f"the chain{'s' if len(stack.chains) != 1 else ''} {', '.join(chain.chain for chain in stack.chains)}"


def _strays(stack: HostStack) -> Iterator[Detail]:
    for stray in stack.strays:
        yield Detail(what=stray.who, outcome=Outcome.UNPROVEN, kind="no-such-chain", message=stray.why)


class _Expectation(NamedTuple):
    """What a chain says of a volume."""

    chain: ChainOnHost
    volume: Volume


def _differences(stack: HostStack) -> Iterator[Detail]:
    """One detail for each volume with the engine, or key that has none there yet."""
    said: dict[str, list[_Expectation]] = {}
    there: dict[str, EngineVolume] = {}
    for chain in stack.chains:
        for key, volume in chain.stack.volumes.items():
            if volume.external:
                continue
            found = chain.volumes.get(key)
            name = found.name if found is not None else volume.name
            said.setdefault(name, []).append(_Expectation(chain, volume))
            if found is not None:
                there[name] = found
            elif key in chain.unclear:
                among = ", ".join(chain.unclear[key])
                message = f"the volume {key} of the chain {chain.chain} may be any of {among}: nobody can tell what its project is called on {stack.host}"
                yield Detail(what=f"{key} {chain.chain}", outcome=Outcome.UNPROVEN, kind="ambiguous", message=message)
    for name, expectations in sorted(said.items()):
        if name in there:
            yield _difference(stack, there[name], expectations)
        elif not any(one.volume.key in one.chain.unclear for one in expectations):
            yield Detail(what=name, outcome=Outcome.HELD, message=f"the volume {name} is not there yet: the next start makes it as the files say")


def _difference(stack: HostStack, volume: EngineVolume, expectations: Sequence[_Expectation]) -> Detail:
    name = volume.name
    if assumed := [one for one in expectations if any(is_unknown(value) for value in one.volume.driver_opts.values())]:
        message = f"the options of the volume {name} are made of variables that have no value here, as {_chains(assumed)} says them"
        return Detail(what=name, outcome=Outcome.UNPROVEN, kind="no-value", message=message)
    differing = [one for one in expectations if other_options(one.volume, volume.driver, volume.options)]
    if not differing:
        return Detail(what=name, outcome=Outcome.HELD, message=f"the volume {name} was made as {_chains(expectations)} says")
    if len(differing) < len(expectations):
        right = [one for one in expectations if one not in differing]
        message = f"the volume {name} is as {_chains(right)} says and not as {_chains(differing)}, and nobody can tell which of them is started"
        return Detail(what=name, outcome=Outcome.UNPROVEN, kind="ambiguous", message=message)
    one = differing[0]
    changed = other_options(one.volume, volume.driver, volume.options).split(", ")
    said = "; ".join(_option(option, one.volume, volume) for option in changed)
    message = f"the volume {name} was made with other options than {_chains(differing)} says: {said}; {_what_up_does(stack, volume)}"
    return Detail(what=name, outcome=Outcome.BROKEN, kind="options-differ", message=message)


def _what_up_does(stack: HostStack, volume: EngineVolume) -> str:
    """What the next start makes of it, with this docker compose; with `-y` another thing."""
    labelled = VOLUME_HASH in volume.labels
    plain, yes = (changed_volume(compose=stack.compose, labelled=labelled, yes=said) for said in (False, True))
    if plain is None or yes is None:
        return "the engine keeps those that it has"
    said = f"docker compose {stack.compose} {plain}"
    return said if plain is yes else f"{said}; with -y it {yes}"


def _chains(expectations: Sequence[_Expectation]) -> str:
    return f"the chain {' or '.join(one.chain.chain for one in expectations)}"


def _option(name: str, declared: Volume, made: EngineVolume) -> str:
    """An option by its name, with both values where they are paths: others may hold a password."""
    values = (made.options.get(name, ""), declared.driver_opts.get(name, ""))
    if not any(value.startswith("/") for value in values) or not all(value.startswith("/") or not value for value in values):
        return name
    return f"{name} is {values[0] or 'not set'}, and should be {values[1] or 'not set'}"


# ---- propagation


def judge_live_propagation(stack: HostStack) -> Held | Broken | Unproven:
    """Held when each bind of a running container passes mounts on as its chain says, and no volume of the stack hides what is mounted below its directory."""
    details = (*_volumes_that_hide(stack), *(detail for container in stack.containers for detail in _binds(stack, container)), *_strays(stack))
    bad = [detail for detail in details if detail.outcome is not Outcome.HELD]
    if not details:
        return Held(f"nothing of the stack binds a directory of {stack.host} now")
    if not bad:
        return Held(f"{len(details)} of {len(details)} volumes and binds show what is mounted below as declared", details)
    broken = [detail for detail in bad if detail.outcome is Outcome.BROKEN]
    if broken:
        return Broken(in_short(broken), remedy=PROPAGATION_REMEDY, details=details)
    return Unproven(in_short(bad), remedy=_STRAY_REMEDY, details=details)


def _volumes_that_hide(stack: HostStack) -> Iterator[Detail]:
    """The volumes of the stack that bind a directory, as they were made or as the next start makes them, beside what the host has mounted below it."""
    volumes = [(volume.name, volume.driver_opts) for chain in stack.chains for key, volume in chain.stack.volumes.items() if key not in chain.volumes]
    volumes += [(volume.name, volume.options) for chain in stack.chains for volume in chain.volumes.values()]
    mounted = {mount.name for container in stack.containers for mount in container.container.mounts if mount.kind == "volume"}
    volumes += [(volume.name, volume.options) for volume in stack.engine.volumes if volume.name in mounted]
    found: dict[str, Detail] = {}
    for name, options in volumes:
        words = frozenset(word.strip() for word in options.get("o", "").split(","))
        written = options.get("device", "")
        device = stack.engine.links.get(written) or posixpath.normpath(written)
        if words & {"bind", "rbind"} and device.startswith("/") and not is_unknown(device):
            detail = _bound(stack, name, device, words)
            if detail.outcome is Outcome.BROKEN or name not in found:
                found[name] = detail
    yield from (detail for _, detail in sorted(found.items()))


def _bound(stack: HostStack, name: str, device: str, words: frozenset[str]) -> Detail:
    declared = [place.shown for place in stack.places]  # an overlay may be one
    below = [mount for mount in _below(stack.table, device) if mount in declared or not of_the_engine(mount, stack.engine)]
    host = ", ".join(map(str, below[:3]))
    if below and "rbind" not in words:
        message = f"the volume {name} binds {device} without what is mounted below it, and the host has {host}"
        return Detail(what=name, outcome=Outcome.BROKEN, kind="not-recursive", message=message)
    if below and not words & _PASS_NOTHING_BACK and _is_shared(stack.table, device):
        message = (
            f"the volume {name} binds {device} with rbind, and passes back what happens to it: when its last container stops, the engine unmounts it,"
            f" and the host loses {host}"
        )
        return Detail(what=name, outcome=Outcome.BROKEN, kind="unmounts-the-host", message=message)
    return Detail(what=name, outcome=Outcome.HELD, message=f"the volume {name} shows all of {device}")


def _is_shared(table: MountTable, directory: str) -> bool:
    """Whether what is mounted and unmounted in a bind of a directory happens on the host too, as with all mounts of systemd (mount_namespaces(7), peers)."""
    shown = table.showing(directory)
    return shown is not None and any(field.startswith("shared:") for field in shown.propagation)


def _passes_on(table: MountTable, directory: str) -> bool:
    """Whether a bind of a directory can get what is mounted there later: it is shared, or gets it itself; true where the table does not tell."""
    shown = table.showing(directory)
    return shown is None or any(field.startswith(("shared:", "master:")) for field in shown.propagation)


def _below(table: MountTable, directory: str) -> list[Mount]:
    """The visible mounts strictly below a directory."""
    found = {mount.mountpoint for mount in table.mounts if mount.mountpoint != directory and is_below(mount.mountpoint, directory)}
    shown = (table.showing(mountpoint) for mountpoint in sorted(found))
    return [mount for mount in shown if mount is not None and mount.mountpoint in found]


def _binds(stack: HostStack, container: SeenContainer) -> Iterator[Detail]:
    """One detail for each bind of a container: what the engine was asked for beside the chain, and beside what the kernel made of it."""
    declared = _declared(stack, container)
    for mount in container.container.mounts:
        if mount.kind != "bind" or not mount.propagation:
            continue
        target = posixpath.normpath(mount.destination)
        what = f"{container.who} {target}"
        wanted = {said.get(target, "") for said in declared} - {""}
        if len(wanted) > 1:
            said = " and ".join(sorted(wanted))
            message = f"{container.who} binds {target} as {mount.propagation}; the chains say {said}, and nobody can tell which of them it is of"
            yield Detail(what=what, outcome=Outcome.UNPROVEN, kind="ambiguous", message=message)
        elif wanted and wanted != {mount.propagation}:
            message = f"{container.who} binds {target} as {mount.propagation}, and its chain says {wanted.pop()}: it is older than the files"
            yield Detail(what=what, outcome=Outcome.BROKEN, kind="another-propagation", message=message)
        elif differs := _kernel_differs(stack.table, container, mount):
            yield Detail(what=what, outcome=Outcome.BROKEN, kind="another-propagation", message=differs)
        else:
            yield Detail(what=what, outcome=Outcome.HELD, message=f"{container.who} binds {target} as {mount.propagation}")


def _declared(stack: HostStack, container: SeenContainer) -> Sequence[Mapping[str, str]]:
    """What the chain of a container, or each that has its service where it names none, says of its binds, by target."""
    chains = [chain for chain in stack.chains if container.chain in ("", chain.chain)]
    services = [chain.stack.services[container.service.name] for chain in chains if container.service.name in chain.stack.services]
    return [{mount.target: mount.propagation or _DEFAULT_PROPAGATION for mount in service.mounts if mount.kind == "bind"} for service in services]


def _kernel_differs(host: MountTable, container: SeenContainer, mount: ContainerMount) -> str:
    """What is wrong with the mount that the kernel has there; empty where that is as asked, or nobody could look. A slave of what the host keeps to itself
    (`/` without systemd) is private: there is nothing to pass on."""
    inside = leads(container.container, mount.destination)
    shown = container.table.showing(inside) if container.table is not None else None
    if shown is None or shown.mountpoint != inside:
        return ""
    fields = {field.partition(":")[0] for field in shown.propagation}
    gets, gives = "master" in fields, "shared" in fields
    wanted = mount.propagation.removeprefix("r")
    if wanted == "slave" and not gets and not gives and not _passes_on(host, mount.source):
        return ""
    if (wanted == "private" and (gets or gives)) or (wanted == "slave" and not gets) or (wanted == "shared" and not gives):
        has = "shared" if gives else "slave" if gets else "private"
        return f"{container.who} was to bind {inside} as {mount.propagation}, and the kernel has it {has}"
    return ""
