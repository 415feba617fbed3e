"""Does a chain reach directories of the host through the options of named volumes, which the engine keeps as they were when the volume was made?

From files here; what an engine has of them, and how its containers' binds pass mounts on, is judged in `interlock.judge.disk.live_volumes`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from interlock.config.models import Site
from interlock.facts.container_mounts import HostStack
from interlock.facts.declared_volumes import NestedPlace, OptionsOfFile, VolumeOptions
from interlock.facts.mounts import is_below
from interlock.judge.disk.live_volumes import judge_live_options, judge_live_propagation
from interlock.judge.disk.visible import engine_hosts
from interlock.judge.stack.places import compose_files, unread
from interlock.judge.tree import found
from interlock.verdicts import LIVE, Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, When

NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb", "smb3", "9p", "glusterfs", "ceph"})
RECURSIVE = frozenset({"rbind"})
IMMUTABLE_REMEDY = "bind the directory in the services themselves (`volumes: !override [/data:/data]`), which is looked at each time that a container starts"
PROPAGATION_REMEDY = "write `o: rbind,rslave`, and make the volume anew; better, bind the directory in the services themselves"


def options(site: Site) -> Sequence[Subject]:
    """Each compose file, from its text; what the engine of a host has of the chains."""
    return [*_files(site), *(engine_hosts(site) if site.chains else ())]


def propagations(site: Site) -> Sequence[Subject]:
    """Each compose file, from its text; the binds and volumes of the engine of a host."""
    return [*_files(site), *engine_hosts(site)]


def _files(site: Site) -> Sequence[Subject]:
    return [replace(subject, when=frozenset({When.STATIC})) for subject in compose_files(site)]


def judge_driver_opts(noun: OptionsOfFile | HostStack) -> Held | Broken | Unproven:
    """Held when no overlay steers a volume by its options, and when the volumes that are there were made with those of the chain."""
    return judge_live_options(noun) if isinstance(noun, HostStack) else _judge_steered(noun)


def judge_propagation(noun: OptionsOfFile | HostStack) -> Held | Broken | Unproven:
    """Held when no volume and no bind hides what is mounted below its directory, in the files and on the host."""
    return judge_live_propagation(noun) if isinstance(noun, HostStack) else _judge_hiding(noun)


def _judge_steered(noun: OptionsOfFile) -> Held | Broken | Unproven:
    """Held when no chain has the file change the options of a volume that a file before it declares, to lead it to a directory of a host."""
    path = noun.file.path
    return found((*_steered(noun), *unread(noun.file)), held=f"{path} leads no volume of another file elsewhere by its options", remedy=IMMUTABLE_REMEDY)


def _steered(noun: OptionsOfFile) -> Iterator[Detail]:
    seen = set[str]()
    for files in noun.chains:
        before = files[: files.index(noun.file.path)]
        for key, said in noun.declared[noun.file.path].items():
            base = next((noun.declared[file][key] for file in reversed(before) if key in noun.declared.get(file, {})), None)
            if base is None or key in seen or not _leads_elsewhere(said.options) or dict(base.options) == dict(said.options):
                continue
            seen.add(key)
            device = said.options.get("device") or "a directory of the host"
            message = (
                f"{said.place}: the volume {key}, which {base.place.file} declares, is led to {device} by its driver_opts: where the volume is there already"
                " the engine keeps its old options without a word, and the services write to another place than this file says"
            )
            yield Detail(what=key, outcome=Outcome.BROKEN, kind="options-steer", message=message, file=said.place.file, line=said.place.line)


def _leads_elsewhere(options: Mapping[str, str]) -> bool:
    """A bind of a directory of the host, or of a share; a tmpfs is scratch space."""
    return bool(_bind_words(options) & {"bind", "rbind"}) or options.get("type", "") in NETWORK


def _bind_words(options: Mapping[str, str]) -> frozenset[str]:
    return frozenset(word.strip() for word in options.get("o", "").split(","))


def _judge_hiding(noun: OptionsOfFile) -> Held | Broken | Unproven:
    """Held when no volume of the file binds, without what is mounted below it, a directory that something else is mounted or bound below."""
    said = noun.declared[noun.file.path].values()
    details = (_hidden(one, nested) for one in said for nested in [_below(one, noun.nested)] if nested is not None)
    return found((*details, *unread(noun.file)), held=f"no volume of {noun.file.path} hides what is mounted below its directory", remedy=PROPAGATION_REMEDY)


def _below(said: VolumeOptions, nested: tuple[NestedPlace, ...]) -> NestedPlace | None:
    """The first place strictly below the directory that a volume binds without what is mounted below it."""
    words = _bind_words(said.options)
    device = said.options.get("device", "")
    if "bind" not in words or words & RECURSIVE or not device.startswith("/") or "$" in device:
        return None
    above = posixpath.normpath(device)
    return next((place for place in nested if above not in ("/", place.path) and is_below(place.path, above)), None)


def _hidden(said: VolumeOptions, nested: NestedPlace) -> Detail:
    device = said.options["device"]
    message = (
        f"{said.place}: the volume {said.key} binds {device} without what is mounted below it, and {nested.because}: if that is a disk of its own, the services"
        f" see an empty directory at its place, and what they write goes to the disk of {device}"
    )
    return Detail(what=f"{said.key} {nested.path}", outcome=Outcome.BROKEN, kind="not-recursive", message=message, file=said.place.file, line=said.place.line)


DRIVER_OPTS_IMMUTABLE = Guardrail(
    id="mounts.driver_opts_immutable",
    title="no overlay leads a named volume elsewhere by its driver_opts, and the engine's volumes were made with those of the chain",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}) | LIVE,
    rationale="The engine fixes the options of a volume when it makes it; compose goes on with the old one, or deletes it with all data to make it anew.",
    remedy=IMMUTABLE_REMEDY,
    subjects=options,
    judge=judge_driver_opts,
)

PROPAGATION = Guardrail(
    id="mounts.propagation",
    title="no named volume binds a directory without what is mounted below it, and binds pass mounts on as declared",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}) | LIVE,
    rationale="`o: bind` shows the directory and not the disk mounted below it: state is written to the outer disk, into a directory that the inner one hides.",
    remedy=PROPAGATION_REMEDY,
    subjects=propagations,
    judge=judge_propagation,
)
