"""Do the compose files say what their authors believe they say, each by itself and together? `interlock.observe.compose` brings their text, and what docker
compose makes of them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from itertools import count
from typing import assert_never

from interlock.config.models import Site
from interlock.config.yamltext import COMPOSE, Fault, KeyPath, Problem, YamlText, read_yaml, say_type
from interlock.facts.chains import Source
from interlock.facts.compose import ChainAnswer, ChainFault, ChainMounts, ComposeText, Layer, Replaced
from interlock.facts.refusals import Trouble
from interlock.facts.stack import ServiceMount, Stack
from interlock.judge import chain_lists
from interlock.judge.stack import containers, data_directories, overrides, persisted, settings, sourceless, volumes
from interlock.judge.stack.places import compose_files
from interlock.patterns import regex
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, When, in_short

ESCAPES = 100  # apostrophes of one file; each costs reading it again
LIMITS = (Fault.TOO_LARGE, Fault.TOO_DEEP, Fault.TOO_MANY_VALUES)  # of ours: no compose file comes near them, and nothing is proven about one that does
_BREAK = regex("\r\n|\n|\r")
_NEEDS_QUOTES = regex(r"[.\[\]\s]|^$")


def judge_strict_parse(file: ComposeText) -> Held | Broken | Unproven:
    """Held when no key stands twice in a mapping, no conflict marker was left, and the file can be read to its end as docker compose reads it."""
    read = _read(file.content)
    details = tuple(_details(file.path, read))
    broken = [detail for detail in details if detail.outcome is Outcome.BROKEN]
    if broken:
        return Broken(f"{file.path}: {in_short(broken)}", remedy=_remedy(file.path, read), kind=broken[0].kind, details=details)
    if details:
        return Unproven(f"{file.path}: {in_short(details)}", remedy="look whether this is a compose file at all", details=details)
    return Held(f"{file.path} can be read to its end, has no key twice and no conflict marker" if read.documents else f"{file.path} is empty")


def _read(content: bytes) -> YamlText:
    r"""The text as docker compose reads it: inside double quotes it takes \' for an apostrophe, which YAML does not know."""
    read = read_yaml(content, COMPOSE)
    text = content.decode("utf-8-sig", "surrogateescape")
    for _ in range(min(text.count(r"\'"), ESCAPES)):
        apostrophes = [at for problem in read.problems if problem.kind is Fault.SYNTAX and text.startswith(r"\'", at := _offset(text, problem))]
        if not apostrophes:
            break
        text = text[: apostrophes[0]] + "''" + text[apostrophes[0] + 2 :]
        read = read_yaml(text.encode("utf-8", "surrogateescape"), COMPOSE)
    return read


def _offset(text: str, problem: Problem) -> int:
    """Where a problem stands."""
    starts = [0, *(line_break.end() for line_break in _BREAK.finditer(text))]
    return starts[min(problem.line, len(starts)) - 1] + problem.column - 1


def _details(path: str, read: YamlText) -> Iterator[Detail]:
    markers = count(1)
    for problem in read.problems:
        match problem.kind:
            case Fault.EMPTY:
                continue  # an overlay that says nothing is none; a document that should be a mapping and is not is told below
            case Fault.CONFLICT_MARKER:
                yield _detail(path, problem, what=f"conflict marker {next(markers)}")
            case _:
                yield _detail(path, problem, what=dotted(problem.path) or problem.kind.value)
    for number, document in enumerate(read.documents, start=1):
        if not isinstance(document.data, dict):
            line = document.root.at.line
            message = f"line {line}: {say_type(document.data)} stands where a mapping with services, volumes and so on should"
            yield Detail(what=f"document {number}", outcome=Outcome.BROKEN, kind="no-mapping", message=message, file=path, line=line)


def _detail(path: str, problem: Problem, *, what: str) -> Detail:
    outcome = Outcome.UNPROVEN if problem.kind in LIMITS else Outcome.BROKEN
    why = f" ({problem.why})" if problem.why else ""
    key = f" ({what})" if problem.kind is Fault.DUPLICATE_KEY else why
    message = f"line {problem.line}: {problem.message}{key}"
    return Detail(what=what, outcome=outcome, kind=problem.kind.value, message=message, file=path, line=problem.line)


def dotted(path: KeyPath) -> str:
    """A key path as operators write it: `services.web.ports[0]`."""
    parts = (f"[{step}]" if isinstance(step, int) else "." + (f'"{step}"' if _NEEDS_QUOTES.search(step) else step) for step in path)
    return "".join(parts).removeprefix(".")


def _remedy(path: str, read: YamlText) -> str:
    problem = next((problem for problem in read.problems if problem.kind is not Fault.EMPTY), None)
    return f"{problem.remedy}, in {path}" if problem else f"write a mapping, or remove {path}"


# ---- chains


def chains(site: Site) -> Sequence[Subject]:
    """Each chain in which the compose files are started, by its name."""
    return [Subject(name=name) for name in site.chains]


def chains_of_several(site: Site) -> Sequence[Subject]:
    """Each chain of more than one file: in one file alone nothing overrides anything."""
    return [Subject(name=name) for name, chain in site.chains.items() if len(chain.files) > 1]


def judge_chain_valid(answer: ChainAnswer) -> Held | Broken:
    """Held when docker compose resolves the chain. Variables without a value here are no fault of the files."""
    chain = f"the chain {answer.chain} ({' + '.join(answer.files)}{_named_by(answer)})"
    if not answer.faults:
        aside = f"; {', '.join(answer.assumed)} had no value here, and a placeholder stood in" if answer.assumed else ""
        return Held(f"docker compose resolves {chain}: {answer.services} services{aside}")
    details = tuple(_fault(fault) for fault in answer.faults)
    trouble = answer.faults[0].refusal.trouble
    return Broken(f"docker compose refuses {chain}: {in_short(details)}", remedy=_mend(trouble), kind=trouble.value, details=details)


def _fault(fault: ChainFault) -> Detail:
    refusal = fault.refusal
    message = f"{fault.at}: {refusal.words}"
    return Detail(what=refusal.about, outcome=Outcome.BROKEN, kind=refusal.trouble.value, message=message, file=fault.file, line=fault.line)


def _named_by(answer: ChainAnswer) -> str:
    if not answer.named_by:
        return ""
    more = f" and {len(answer.named_by) - 1} more" if len(answer.named_by) > 1 else ""
    return f", named by {answer.named_by[0]}{more}"


def _mend(trouble: Trouble) -> str:
    match trouble:
        case Trouble.UNDEFINED:
            return "declare it in a file of the chain, or put the file that does into the chain"
        case Trouble.NO_IMAGE:
            return "the file that defines this service is not in the chain, or comes with another overlay: add it, or move these lines to a file of their own"
        case Trouble.MISSING_FILE:
            return "add the file, or take out what names it"
        case Trouble.INVALID | Trouble.SYNTAX | Trouble.ENV_FILE | Trouble.VARIABLE | Trouble.REMOTE | Trouble.OTHER:
            return "correct the file: `docker compose -f ... config` says whether it is right"
        case _:
            assert_never(trouble)


# ---- mounts that a later file takes away


def judge_override_preserves_mounts(chain: ChainMounts) -> Held | Broken:
    """Held when no replaced list of volumes takes a mount away without saying so."""
    details = tuple(detail for replaced in chain.replaced for detail in _preserved(replaced))
    broken = [detail for detail in details if detail.outcome is Outcome.BROKEN]
    if broken:
        remedy = "restate each mount of the files before in the list that replaces them, or write beside it what is meant to go: `# drops: /target`"
        return Broken(f"chain {chain.chain}: {in_short(broken)}", remedy=remedy, kind=broken[0].kind, details=details)
    lists = len(chain.replaced)
    if not lists:
        return Held(f"no later file of {' + '.join(chain.files)} replaces the mounts of a service", details)
    return Held(f"{lists} lists of volumes replace what stood before, and each keeps every mount", details)


def _preserved(replaced: Replaced) -> Iterator[Detail]:
    """A detail for each mount that goes without a word, and one for the list when none does."""
    lost = [mount for mount in replaced.dropped if _is_lost(mount, replaced)]
    where = f"{replaced.file}:{replaced.line}"
    for mount in lost:
        message = f"{where}: the list of {replaced.service} leaves out {_shown_mount(mount)}, which the files before it mount"
        what = f"{replaced.file}: {replaced.service} {mount.target}"
        yield Detail(what=what, outcome=Outcome.BROKEN, kind="dropped", message=message, file=replaced.file, line=replaced.line)
    if not lost:
        yield Detail(what=f"{replaced.file}: {replaced.service}", outcome=Outcome.HELD, message="keeps every mount", file=replaced.file, line=replaced.line)


def _is_lost(mount: ServiceMount, replaced: Replaced) -> bool:
    """Whether a dropped mount is missed. Not what a comment names, nor scratch space, nor code of the tree that a developer's file had mounted over the
    image, with the caches that lay inside of it. A list that is emptied says so by itself: there only what the service writes counts."""
    if mount.target in replaced.said or mount.kind not in ("bind", "volume") or not mount.source:
        return False
    code = {one.target for one in replaced.dropped if one.target in replaced.shipped and not one.read_only}
    if any(mount.target == target or mount.target.startswith(f"{target.rstrip('/')}/") for target in code):
        return False
    return not (replaced.emptied and (mount.read_only or mount.target in replaced.shipped or mount.source.endswith(".sock")))


def _shown_mount(mount: ServiceMount) -> str:
    return f"{mount.target} ({'the volume ' if mount.kind == 'volume' else ''}{mount.source})"


# ---- users of one volume


def judge_shared_volume_moves_together(chain: ChainMounts) -> Held | Broken:
    """Held when the services that share a named volume still share what they have, after the last file."""
    details = tuple(_moves(chain)) if chain.layers else ()
    broken = [detail for detail in details if detail.outcome is Outcome.BROKEN]
    if broken:
        remedy = "move them all in the same file, or none: give those that stayed the same bind"
        return Broken(f"chain {chain.chain}: {in_short(broken)}", remedy=remedy, kind=broken[0].kind, details=details)
    moved = len(details)
    return Held(f"{moved} volumes are moved, each with all its users" if moved else f"no file of {' + '.join(chain.files)} moves a named volume", details)


def _moves(chain: ChainMounts) -> Iterator[Detail]:
    """For each volume that some service leaves for a directory of the host: a detail for each that stays, or one that says that none does."""
    layers, last = chain.layers, chain.layers[-1].stack
    for volume in sorted({mount.source for layer in layers for service in layer.stack.services.values() for mount in service.mounts if _is_named(mount)}):
        moved = {name: bind for name in last.services if (bind := _moved_to(volume, name, layers)) is not None}
        if not moved:
            continue
        declared = last.volumes.get(volume)
        own = posixpath.normpath(declared.bound_to) if declared and declared.bound_to else ""
        first = min(moved, key=lambda name: (_left_at(volume, name, layers), name))
        layer = layers[_left_at(volume, first, layers)]
        line = layer.lines.get(first)
        said = f"{layer.file}:{line} moves {', '.join(sorted(moved))} from the volume {volume} to {moved[first].source}"
        stayed = [(service, mount) for service, mount in last.users_of(volume) if own != last.host_path(moved[first])]
        for service, mount in stayed:
            yield _stayed(chain, said, volume, service.name, mount, Source(layer.file, line or 1))
        if not stayed:
            yield Detail(what=volume, outcome=Outcome.HELD, message=said, file=layer.file, line=line)


def _stayed(chain: ChainMounts, said: str, volume: str, service: str, mount: ServiceMount, place: Source) -> Detail:  # noqa: PLR0917 - all that one sentence says
    """A service that stays on a volume. Where a larger chain moves it, the overlays are right, and the chain lacks one: its place is where it is named."""
    message = f"{said}, and {service} stays on the volume (at {mount.target}): what one writes the other never sees"
    kind, complete = "stayed-behind", next((one for one in chain.larger if _binds(one, service, mount.target)), None)
    if complete is not None:
        lacking = " and ".join(file for file in complete.files if file not in chain.files)
        place = chain.named_by[0] if chain.named_by else place
        kind, message = "overlay-missing", f"{place}: {message}; the chain {complete.chain} moves it with {lacking}, which is not in this one"
    return Detail(what=f"{volume}: {service}", outcome=Outcome.BROKEN, kind=kind, message=message, file=place.file, line=place.line)


def _binds(stack: Stack, service: str, target: str) -> bool:
    mounts = stack.services[service].mounts if service in stack.services else ()
    return any(mount.kind == "bind" and mount.target == target for mount in mounts)


def _is_named(mount: ServiceMount) -> bool:
    return mount.kind == "volume" and bool(mount.source)


def _targets(volume: str, service: str, stack: Stack) -> frozenset[str]:
    """Where a service mounts a volume."""
    mounts = stack.services[service].mounts if service in stack.services else ()
    return frozenset(mount.target for mount in mounts if _is_named(mount) and mount.source == volume)


def _moved_to(volume: str, service: str, layers: Sequence[Layer]) -> ServiceMount | None:
    """The bind that stands at the end where a service once mounted a volume; None for one that never did, or still does."""
    last = layers[-1].stack
    once = frozenset[str]().union(*(_targets(volume, service, layer.stack) for layer in layers))
    if _targets(volume, service, last):
        return None
    return next((mount for mount in last.services[service].mounts if mount.kind == "bind" and mount.target in once), None)


def _left_at(volume: str, service: str, layers: Sequence[Layer]) -> int:
    """The layer that took a volume from a service: the one after the last that had it."""
    return max(index for index, layer in enumerate(layers) if _targets(volume, service, layer.stack)) + 1


STRICT_PARSE = Guardrail(
    id="compose.strict_parse",
    title="a compose file can be read to its end, has no key twice and no conflict marker",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="Of two keys with one name many readers drop one without a word, a volume or a limit with it; a file with a conflict marker starts nothing.",
    remedy="keep one of the two keys; finish the merge and take the markers out",
    subjects=compose_files,
    judge=judge_strict_parse,
)


CHAIN_VALID = Guardrail(
    id="compose.chain_valid",
    title="docker compose resolves each chain of files that somebody starts",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC, When.PREFLIGHT}),
    rationale="A compose file is neither valid nor invalid alone. A chain that docker compose refuses starts nothing, and stops nothing either.",
    remedy="run `docker compose -f ... config` with the files of the chain, and correct what it names",
    subjects=chains,
    judge=judge_chain_valid,
)

OVERRIDE_PRESERVES_MOUNTS = Guardrail(
    id="compose.override_preserves_mounts",
    title="no list under `!override` drops a mount of the files before it without saying so",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="`!override` replaces the whole list: a mount that is not restated is gone, and the service writes into its container until the next recreate.",
    remedy="restate the mount, or write `# drops: /target` beside the list",
    subjects=chains_of_several,
    judge=judge_override_preserves_mounts,
)

SHARED_VOLUME_MOVES_TOGETHER = Guardrail(
    id="compose.shared_volume_moves_together",
    title="an overlay that moves one user of a named volume to a directory of the host moves all of them",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="A service that stays behind on the volume reads and writes another place than the others: what it writes is never found, deleted or backed up.",
    remedy="give every service that mounts the volume the same bind, in the same overlay",
    subjects=chains_of_several,
    judge=judge_shared_volume_moves_together,
)

# What looks at the services of a resolved chain lies in `interlock.judge.stack`, by its topic.
DATA_DIR_MATCHES_MOUNT = data_directories.DATA_DIR_MATCHES_MOUNT
VOLUME_DECLARED_BUT_UNMOUNTED = volumes.VOLUME_DECLARED_BUT_UNMOUNTED
CONFIG_MOUNTED_BUT_UNUSED = settings.CONFIG_MOUNTED_BUT_UNUSED
SOURCELESS_RUNNABLE = sourceless.SOURCELESS_RUNNABLE
STOP_GRACE_FOR_STATEFUL = containers.STOP_GRACE_FOR_STATEFUL
DOCKER_SOCKET_READONLY = containers.DOCKER_SOCKET_READONLY
NO_AUTOLOADED_DEV_OVERRIDE = overrides.NO_AUTOLOADED_DEV_OVERRIDE
EXPLICIT_F_IGNORES_OVERRIDE = overrides.EXPLICIT_F_IGNORES_OVERRIDE

CHAIN_MATCHES_PERSISTED_STATE = persisted.CHAIN_MATCHES_PERSISTED_STATE
CHAIN_SINGLE_RESOLVER = chain_lists.CHAIN_SINGLE_RESOLVER
