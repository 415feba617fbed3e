"""Which compose files are in a tree, how is their text had, and what do the chains of them come to, whole and file by file?

docker compose itself says what a chain comes to (`interlock.observe.stack`); here it is asked, and the places in the files are found.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

from interlock.config.yamlnodes import KeyPath, Node
from interlock.config.yamltext import Tagged
from interlock.errors import CouldNotLook
from interlock.facts.chains import BASES, OVERRIDES, FoundChain, Source
from interlock.facts.compose import ChainAnswer, ChainFault, ChainMounts, ComposeText, Layer, Replaced, said_dropped
from interlock.facts.placed import Shipped
from interlock.facts.refusals import Refusal, Trouble
from interlock.facts.stack import ServiceMount, Stack
from interlock.observe import chain_lists, declared_volumes, embedded, overrides, persisted, sourceless
from interlock.observe.chains import discover_chains
from interlock.observe.placed import below, file_of_chains, ignored, shipped
from interlock.observe.stack import compose_yaml, prefix, resolution, stack, with_included
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject


def compose_text(world: World, subject: Subject) -> ComposeText:
    """The text of the compose file that the subject names. Raises `CouldNotLook`."""
    return ComposeText(path=subject.name, content=world.tree.read(subject.name))


# ---- a chain, whole


def chain_answer(world: World, subject: Subject) -> ChainAnswer:
    """What docker compose says of the chain that the subject names. Raises `CouldNotLook` when it cannot be asked, or needs what is not in the tree."""
    chain = subject.name
    files, answer = world.site.chains[chain].files, resolution(world, chain)
    named_by = tuple(str(source) for source in found_chain(world, files))
    if isinstance(answer, Stack):
        return ChainAnswer(chain=chain, files=answer.files, named_by=named_by, services=len(answer.services), assumed=answer.assumed)
    for refusal in answer:
        _may_be_right_elsewhere(world, files, refusal)
    faults = tuple(ChainFault(refusal, *_place(world, files, refusal)) for refusal in answer)
    return ChainAnswer(chain=chain, files=files, named_by=named_by, faults=faults)


def found_chain(world: World, files: Sequence[str]) -> tuple[Source, ...]:
    """The places of the tree that name these files as a chain; none where a site file declares them."""
    if world.site.source or world.site.compose is None:
        return ()
    compose_files = world.site.compose.files

    def found() -> dict[tuple[str, ...], FoundChain]:
        return {chain.files: chain for chain in discover_chains(world.tree, compose_files)}

    known = world.once("found chains", found).get(tuple(files))
    return known.source if known else ()


def _may_be_right_elsewhere(world: World, files: Sequence[str], answer: Refusal) -> None:
    """Raises `CouldNotLook` when what is missing is kept out of the repository on purpose: on the host it may be there. And for a file that cannot be read,
    which is said by `compose.strict_parse`."""
    if answer.trouble is Trouble.SYNTAX:
        raise CouldNotLook("a file of the chain cannot be read", where=" ".join(files), why=answer.words, remedy="mend what compose.strict_parse says of it")
    ours = answer.file and below(world, answer.file)
    if answer.trouble is Trouble.MISSING_FILE and (ours is None or ignored(world, ours)):
        raise CouldNotLook(f"{ours or answer.file} is not in this tree", where=" ".join(files), why=answer.words, remedy="judge it where the file is")
    own = [posixpath.join(posixpath.dirname(files[0]), name) for name in OVERRIDES]
    if answer.trouble in (Trouble.UNDEFINED, Trouble.NO_IMAGE) and len(files) == 1 and posixpath.basename(files[0]) in BASES:
        kept = next((path for path in own if ignored(world, path)), None)
        if kept:
            raise CouldNotLook(f"{files[0]} needs an override that git ignores, {kept}", where=files[0], why=answer.words, remedy="judge it where the file is")


def _place(world: World, files: Sequence[str], answer: Refusal) -> tuple[str, int | None]:
    """Where the files say what docker compose refuses: the longest of the key paths that one of them has, in the file that it names, else the last one."""
    named = [file for file in files if f"{file}:" in answer.words]
    every = (*reversed(files), *(file for file in with_included(world, files) if file not in files))
    for path in answer.paths:
        for file in named or every:
            if (line := _line(world, file, path)) is not None:
                return file, line
    return (named or files)[-1 if not named else 0], None


def _line(world: World, file: str, path: KeyPath) -> int | None:
    """The line of a key, or of the item of a list that is it, begins with it, or names it as its source; None where the file has none."""
    documents = compose_yaml(world, file).documents
    node: Node | None = documents[0].root if documents else None
    line: int | None = None
    for step in path:
        below = None if node is None else node.below(step) or _item(node, str(step))
        if below is None:
            return None
        (line, _), node = below
    return line


def _item(node: Node, name: str) -> tuple[tuple[int, int], Node] | None:
    for member in node.members if isinstance(node.members, list) else ():
        said = member.data.get("source") if isinstance(member.data, dict) else member.data
        if isinstance(said, str) and (said == name or said.startswith(f"{name}:")):
            return member.at, member
    return None


# ---- a chain, file by file


def chain_mounts(world: World, subject: Subject) -> ChainMounts:
    """The mounts of the chain that the subject names, file by file. Raises `CouldNotLook` when docker compose cannot be asked, or refuses it."""
    chain = subject.name
    return world.once(("mounts", chain), lambda: _mounts(world, chain))


def _mounts(world: World, chain: str) -> ChainMounts:
    files = world.site.chains[chain].files
    touched = {file: _volumes(world, file) for file in files[1:]}
    if not any(touched.values()):
        return ChainMounts(chain=chain, files=files, layers=(), replaced=())
    layers, replaced, before = [], list[Replaced](), prefix(world, chain, 1)
    layers.append(Layer(file=files[0], stack=before, lines={}))
    for index, file in enumerate(files[1:], start=2):
        if not touched[file]:
            continue
        before, after = prefix(world, chain, index - 1), prefix(world, chain, index)
        layers.append(Layer(file=file, stack=after, lines={name: line for name, (line, _) in touched[file].items()}))
        replaced += [_replaced(world, file, name, line, (before, after)) for name, (line, tagged) in touched[file].items() if tagged]
    named_by = found_chain(world, files)
    return ChainMounts(chain=chain, files=files, layers=tuple(layers), replaced=tuple(replaced), larger=_larger(world, files), named_by=named_by)


def _larger(world: World, files: Sequence[str]) -> tuple[Stack, ...]:
    """The chains that hold these files and more; one that cannot be resolved says nothing of this one."""
    found = []
    for name, chain in world.site.chains.items():
        if set(files) < set(chain.files):
            try:
                found.append(stack(world, name))
            except CouldNotLook:
                continue
    return tuple(found)


def _volumes(world: World, file: str) -> dict[str, tuple[int, bool]]:
    """The services whose volumes a file names: the line, and whether what stood before is replaced. One that is taken out altogether is not among them."""
    yaml = compose_yaml(world, file)
    services = yaml.data.get("services") if isinstance(yaml.data, dict) else None
    found = {}
    for name, service in (services if isinstance(services, dict) else {}).items():
        said = service.value if isinstance(service, Tagged) and service.tag == "!override" else service
        if isinstance(said, dict) and (said is not service or "volumes" in said):
            tagged = said is not service or isinstance(said["volumes"], Tagged)
            found[name] = (yaml.positions.nearest(("services", name, "volumes")).key.line, tagged)
    return found


def _replaced(world: World, file: str, service: str, line: int, stacks: tuple[Stack, Stack]) -> Replaced:
    """What a replaced list takes away; `stacks` are the chain before the file and with it."""
    old, new = (stack.services[service].mounts if service in stack.services else () for stack in stacks)
    left = {mount.target for mount in new}
    dropped = tuple(sorted((mount for mount in old if mount.target not in left), key=lambda mount: mount.target))
    text = world.tree.read(file).decode("utf-8-sig", "replace")
    shipped = frozenset(mount.target for mount in dropped if _is_shipped(world, mount))
    return Replaced(file=file, line=line, service=service, dropped=dropped, emptied=not new, said=said_dropped(text, line), shipped=shipped)


def _is_shipped(world: World, mount: ServiceMount) -> bool:
    """Whether the source of a bind is in the tree: code or configuration, and no state."""
    return mount.kind == "bind" and shipped(world, mount.source) in (Shipped.FILE, Shipped.FOLDER, Shipped.EMPTY)


OBSERVERS: Mapping[str, Observer] = {
    **chain_lists.OBSERVERS,
    **declared_volumes.OBSERVERS,
    **embedded.OBSERVERS,
    **overrides.OBSERVERS,
    **persisted.OBSERVERS,
    **sourceless.OBSERVERS,
    "compose.data_dir_matches_mount": Observer(see=file_of_chains),
    "compose.docker_socket_readonly": Observer(see=file_of_chains),
    "compose.strict_parse": Observer(see=compose_text),
    "compose.chain_valid": Observer(see=chain_answer),
    "compose.override_preserves_mounts": Observer(see=chain_mounts),
    "compose.shared_volume_moves_together": Observer(see=chain_mounts),
}
