"""What does docker compose make of a chain of the site's files? Resolved by the program itself, once a run, whoever asks.

`interlock.facts.stack` has the nouns, `interlock.observe.compose_binary` the program. Nothing is written into the tree and nothing is fetched: what is
missing here and not on the host (values of variables, git-ignored env files) is given by a file in a private folder, and by the environment.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.config.yamlnodes import FATAL, Node
from interlock.config.yamltext import COMPOSE, Tagged, YamlText, read_yaml
from interlock.errors import ConfigError, CouldNotLook
from interlock.facts.chains import BASES, OVERRIDES
from interlock.facts.dotenv import EnvFile, Value
from interlock.facts.env import Scalar
from interlock.facts.env_layers import env_files_read
from interlock.facts.placeholders import MARKS, VALUES, Asked, placeholders
from interlock.facts.refusals import Refusal, Trouble, refusal, without_values
from interlock.facts.stack import Stack
from interlock.observe.compose_binary import Compose, Model, find_compose
from interlock.observe.tree import MissingFile
from interlock.observe.world import World

if TYPE_CHECKING:
    from interlock.config.models import Chain

AT_ONCE = max(2, min(8, os.cpu_count() or 2))
_AHEAD = "stacks ahead"
MOST_TRIES = 40  # of one chain; each takes away one reason
WITHOUT_ENV_FILES = 2
GIVEN: Mapping[str, Mapping[str, object]] = {"services": {"image": VALUES[Asked.WORD]}, "secrets": {"external": True}, "configs": {"external": True}}
"""What stands for a declaration that no file has, by section."""
EXAMPLES = ("example", "sample", "dist", "template")


def stack(world: World, chain: str) -> Stack:
    """A chain as docker compose resolves it. Raises `CouldNotLook` when there is no docker compose, or when it refuses the chain."""
    return _or_raise(resolution(world, chain), chain)


def resolution(world: World, chain: str) -> Stack | tuple[Refusal, ...]:
    """What docker compose says of a chain: the stack, or everything for which it refuses it, in a stable order. Raises `CouldNotLook` when there is no docker
    compose to ask, or when the reason may lie in what this tree does not have."""
    _resolve_all(world)
    declared = world.site.chains[chain]
    return _resolved(world, chain, declared, declared.files)


def prefix(world: World, chain: str, count: int) -> Stack:
    """The first `count` files of a chain, with the chain's variables: what the file after them changes. What only later files give, an image or a volume's
    declaration, may be missing. Raises `CouldNotLook` as `stack` does."""
    _resolve_all(world)
    declared = world.site.chains[chain]
    return _or_raise(_resolved(world, chain, declared, declared.files[:count], part=count < len(declared.files)), chain)


def alone(world: World, path: str) -> Stack:
    """One compose file that is in no chain, by itself: what other files would give it may be missing. Raises `CouldNotLook` as `stack` does."""
    from interlock.config.models import Chain

    return _or_raise(_once(world, path, Chain(files=(path,)), (path,), part=True), path)


def _or_raise(found: Stack | tuple[Refusal, ...], chain: str) -> Stack:
    if isinstance(found, tuple):
        raise CouldNotLook(f"docker compose refuses the chain {chain}", where=chain, why=found[0].words, remedy="mend what compose.chain_valid says of it")
    return found


# ---- each chain once, side by side


def resolve_ahead(world: World) -> None:
    """Begin to ask about every chain of the site, while the caller looks at other things. Whoever needs a chain waits for all of them."""
    if not world.site.chains:
        return
    pool = ThreadPoolExecutor(1)
    world.memory[_AHEAD] = pool.submit(_ask_all, world)
    pool.shutdown(wait=False)


def _resolve_all(world: World) -> None:
    """Ask about every chain of the site once, so that the slow part is done side by side."""
    begun = world.memory.get(_AHEAD)
    world.once("stacks", begun.result if begun is not None else lambda: _ask_all(world))


def _ask_all(world: World) -> bool:
    compose_of(world)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(_ask, world, name, chain) for name, chain in world.site.chains.items()]:
            done.result()
    return True


def _ask(world: World, name: str, chain: Chain) -> None:
    try:
        _resolved(world, name, chain, chain.files)
    except CouldNotLook:
        return  # kept, and raised for whoever asks for this chain


def _resolved(world: World, name: str, chain: Chain, files: tuple[str, ...], *, part: bool = False) -> Stack | tuple[Refusal, ...]:
    found = _once(world, name, chain, files, part=False)
    if isinstance(found, tuple) and part:
        found = _once(world, name, chain, files, part=True)
    if isinstance(found, tuple) and (example := _example_beside(world, files)):
        with_example = _once(world, name, chain, (*files, example), part=part)
        found = with_example if isinstance(with_example, Stack) else found
    return replace(found, chain=name) if isinstance(found, Stack) else found


def _once(world: World, name: str, chain: Chain, files: tuple[str, ...], *, part: bool) -> Stack | tuple[Refusal, ...]:
    env_files = _env_files(world, name, chain)
    return world.once(("stack", files, env_files, part), lambda: _Resolving.begin(world, files, env_files, part=part).run(name))


def _example_beside(world: World, files: tuple[str, ...]) -> str | None:
    """The example of an override beside a base that is started alone: what its documentation tells an operator to copy."""
    folder, name = os.path.split(files[0])
    if len(files) > 1 or name not in BASES:
        return None
    names = (f"{override}.{suffix}" for override in OVERRIDES for suffix in EXAMPLES)
    return next((path for one in names if _is_there(world, path := os.path.join(folder, one))), None)  # noqa: PTH118 - a name in the tree


def _env_files(world: World, name: str, chain: Chain) -> tuple[str, ...] | None:
    """The env files of a chain: its own, else that of the one instance that runs it; None for `.env` beside its first file."""
    if chain.env_files is not None:
        return chain.env_files
    alone = len(world.site.chains) == 1
    running = {one.env_file for one in world.site.instances.values() if one.env_file and (one.chain == name or (alone and one.chain is None))}
    return tuple(running) if len(running) == 1 else None


def compose_of(world: World) -> Compose:
    """The docker compose of this run. Raises `CouldNotLook` when there is none."""

    def find() -> Compose:
        compose = find_compose(world.environ)
        if compose is None:
            raise CouldNotLook(
                "there is no docker compose here",
                where="docker compose",
                why="nobody else resolves compose files right",
                remedy="install docker-compose-plugin",
            )
        return compose

    return world.once("compose", find)


# ---- what the texts say, before anything is merged


def compose_yaml(world: World, path: str) -> YamlText:
    """A compose file with positions, read once a run. Raises `CouldNotLook` when it cannot be read to its end: half of it proves nothing."""
    read = world.once(("yaml", path), lambda: read_yaml(world.tree.read(path), COMPOSE))
    if any(problem.kind in FATAL for problem in read.problems):
        raise CouldNotLook(f"{path} cannot be read to its end", where=path, why=read.problems[0].message, remedy="mend what compose.strict_parse says of it")
    return read


def with_included(world: World, files: Sequence[str]) -> tuple[str, ...]:
    """The files, and those of the tree that they take in by `include:` and `extends:`, as far as their paths hold no variables."""
    found = dict.fromkeys(files)
    waiting = list(files)
    while waiting:
        file = waiting.pop(0)
        for path in _included(world, file):
            if path not in found and _is_there(world, path):
                found[path] = None
                waiting.append(path)
    return tuple(found)


def _included(world: World, file: str) -> Iterator[str]:
    data = compose_yaml(world, file).data
    top = data if isinstance(data, dict) else {}
    services = top.get("services")
    named = [service["extends"] for service in (services.values() if isinstance(services, dict) else ()) if isinstance(service, dict) and "extends" in service]
    said = [one.get("file") for one in named if isinstance(one, dict)]
    listed = top.get("include")
    for one in listed if isinstance(listed, list) else ():
        paths = one.get("path") if isinstance(one, dict) else one
        said += paths if isinstance(paths, list) else [paths]
    folder = os.path.dirname(file)  # noqa: PTH120 - a name in the tree
    yield from (os.path.normpath(os.path.join(folder, path)) for path in said if isinstance(path, str) and "$" not in path and "://" not in path)  # noqa: PTH118


def reads_outside(world: World) -> bool:
    """Whether docker compose may have read something outside of the tree for a chain: an env file, or a file that is taken in. What cannot be read may."""
    files = [file for chain in world.site.chains.values() for file in chain.files]
    try:
        return any(_leads_out(path) for file in with_included(world, files) for path in (*_included(world, file), *_env_files_in(world, file)))
    except CouldNotLook:
        return True


def _leads_out(path: str) -> bool:
    return path.startswith(("/", "~", "../")) or "$" in path


def _env_files_in(world: World, file: str) -> Iterator[str]:
    """The env files of the services of a compose file, relative to the tree."""
    folder = os.path.dirname(file)  # noqa: PTH120 - a name in the tree
    for service in services_as_written(world, file).values():
        said = service.get("env_file") if isinstance(service, dict) else None
        for one in said if isinstance(said, list) else [said]:
            path = one.get("path") if isinstance(one, dict) else one
            if isinstance(path, str):
                yield os.path.normpath(os.path.join(folder, path))  # noqa: PTH118


def scalars(world: World, path: str) -> tuple[Scalar, ...]:
    """Every text value of a compose file that has a `$` in it. Raises `CouldNotLook` as `compose_yaml` does."""

    def read() -> tuple[Scalar, ...]:
        documents = compose_yaml(world, path).documents
        return tuple(
            Scalar(file=path, line=node.at.line, text=node.data, path=above)
            for document in documents
            for above, node in _texts(document.root, ())
            if "$" in node.data
        )

    return world.once(("scalars", path), read)


def _texts(node: Node, above: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Node]]:
    match node.members:
        case dict():
            for name, (_, member) in node.members.items():
                yield from _texts(member, (*above, name))
        case list():
            for index, member in enumerate(node.members):
                yield from _texts(member, (*above, index))
        case None if isinstance(node.data, str):
            yield above, node


def env_values(world: World, files: Sequence[str]) -> dict[str, str]:
    """What env files of the tree give, later ones win; one that is not there gives nothing, and one that compose will refuse neither."""
    values: dict[str, Value] = {}
    for path in files:
        try:
            values = EnvFile.parse(world.tree.read(path), where=path).resolve({}, values)
        except (CouldNotLook, ConfigError):
            continue
    return {name: value.text for name, value in values.items()}


def chain_values(world: World, name: str) -> Mapping[str, str]:
    """What the env files of a chain give; what they lack is a variable that nobody knows from the files."""
    return world.once(("chain values", name), lambda: env_values(world, project_env_files(world, name)))


def project_env_files(world: World, name: str) -> tuple[str, ...]:
    """The env files of the tree that docker compose reads for a chain, whether they are there or not; later ones win."""
    declared = world.site.chains[name]
    return _named(declared.files, _env_files(world, name, declared))


def _named(files: tuple[str, ...], env_files: tuple[str, ...] | None) -> tuple[str, ...]:
    """The env files that docker compose reads: those that are named, else `.env` beside the first file."""
    return env_files if env_files is not None else env_files_read((), {}, os.path.dirname(files[0])).paths  # noqa: PTH120 - a name in the tree


# ---- one chain


@dataclass(slots=True, kw_only=True)
class _Resolving:
    """One chain while docker compose is asked about it, again and again with one more reason taken away that is none of the files' fault."""

    world: World
    files: tuple[str, ...]
    env_files: tuple[str, ...] | None  # those that are there; None: docker compose's own choice
    absent: tuple[str, ...]
    values: Mapping[str, str] = field(repr=False)
    assumed: dict[str, str] = field(default_factory=dict)
    part: bool = False  # of a chain: later files may give what is missing
    patient: int = 0  # 0: env files as declared; 1: those that are named in the chain need not be there; 2: nobody's are read
    added: dict[str, dict[str, Mapping[str, object]]] = field(default_factory=dict)  # by section: what later files give

    @classmethod
    def begin(cls, world: World, files: tuple[str, ...], env_files: tuple[str, ...] | None, *, part: bool = False) -> _Resolving:
        named = _named(files, env_files)
        there = tuple(file for file in named if _is_there(world, file))
        absent = tuple(file for file in named if file not in there) if env_files is not None else ()
        values = env_values(world, there)
        patient = int(_lacks_env_files(world, files))
        return cls(world=world, files=files, env_files=there if env_files is not None else None, absent=absent, values=values, part=part, patient=patient)

    def run(self, name: str) -> Stack | tuple[Refusal, ...]:
        """The stack, or all for which docker compose refuses it and that lies in its files. Raises `CouldNotLook` when that cannot be told apart.

        It names one fault at a time, and not always the same one first: what is missing is given, and it is asked again.
        """
        texts = [scalar for file in with_included(self.world, self.files) for scalar in scalars(self.world, file)]
        faults: list[Refusal] = []
        for _ in range(MOST_TRIES):
            found = self._asked()
            if isinstance(found, Model):
                if faults:
                    break
                return Stack.of(found.project, chain=name, files=self.files, assumed=tuple(sorted(self.assumed)), absent_env_files=self.absent)
            if self._taken_away(found, texts):
                continue
            given = found.trouble in (Trouble.UNDEFINED, Trouble.NO_IMAGE) and self._add(found)
            if not (given and self.part):
                faults.append(self._told(found))
            if not given:
                break
        if not faults:
            raise CouldNotLook("docker compose asks for ever more that is missing here", where=" ".join(self.files), remedy="name the chain's env files")
        return tuple(sorted(faults, key=lambda fault: (fault.trouble, fault.about)))

    def _taken_away(self, found: Refusal, texts: Sequence[Scalar]) -> bool:
        """True when there was a reason that is not in the files, and it is gone now."""
        lacking = placeholders(texts, self.values)
        match found.trouble:
            case Trouble.ENV_FILE if self.patient < WITHOUT_ENV_FILES:
                self.patient += 1
            case Trouble.VARIABLE if found.variable not in self.assumed:
                self.assumed = {found.variable: VALUES[Asked.WORD], **self.assumed, **lacking}
            case _ if lacking and not self.assumed:
                self.assumed = dict(lacking)
            case _:
                return False
        return True

    def _add(self, found: Refusal) -> bool:
        """Give what a later file will; False when it was given and did not help."""
        section, name = str(found.paths[0][-2]), str(found.paths[0][-1])
        if found.trouble is Trouble.NO_IMAGE:
            section, name = "services", str(found.paths[-1][-1])
        elif section == "depends_on":
            section = "services"
        known = self.added.setdefault(section, {})
        new = name not in known
        known[name] = GIVEN.get(section, {})
        return new

    def _told(self, found: Refusal) -> Refusal:
        """The refusal without values. Raises `CouldNotLook` when it may be about what we do not have here."""
        words = self._said(found)
        if self.assumed and (found.trouble is Trouble.VARIABLE or any(mark in found.words for mark in MARKS)):
            names = ", ".join(sorted(self.assumed))
            raise CouldNotLook(
                "docker compose does not take what stands for variables without a value here",
                where=" ".join(self.files),
                why=words,
                remedy=f"name env files that give {names}: `compose.chains.<name>.env_files`",
            )
        if found.trouble in (Trouble.ENV_FILE, Trouble.REMOTE):
            raise CouldNotLook("a file that the chain needs is not in this tree", where=" ".join(self.files), why=words, remedy="judge it where the file is")
        return replace(found, words=words, about=without_values(found.about, self._hidden(), roots=self._roots()))

    def _said(self, found: Refusal) -> str:
        return without_values(found.words, self._hidden(), roots=self._roots())

    def _hidden(self) -> Mapping[str, str]:
        """The values that no message shows: those that do not stand in the compose files themselves anyway, as the name of a service may."""
        texts = [self.world.tree.read(file).decode("utf-8", "replace") for file in self.files]
        return {name: value for name, value in self.values.items() if name not in self.assumed and not any(value in text for text in texts)}

    def _roots(self) -> tuple[str, ...]:
        root = str(self.world.tree.root)
        return (os.path.realpath(root), os.path.abspath(root))  # noqa: PTH100 - text in a message, not a path to open

    def _asked(self) -> Model | Refusal:
        compose, env_files = compose_of(self.world), self.env_files
        given = env_files if env_files is None or env_files else (os.devnull,)
        with tempfile.TemporaryDirectory(prefix="interlock-chain-") as folder:
            files = self.files
            if self.patient:
                files = (*files, _written(folder, "env-files.yaml", _patient_overlay(self.world, files, without=self.patient == WITHOUT_ENV_FILES)))
            if self.added:
                files = (*files, _written(folder, "added.json", json.dumps(self.added)))
            # In the folder of its first file, as most people start it: some of what it names is looked for from there, and from nowhere else.
            home = os.path.dirname(files[0])  # noqa: PTH120 - a name in the tree
            files, given = (tuple(one if one.startswith("/") else os.path.relpath(one, home or ".") for one in named) for named in (files, given or ()))
            environ = {**_environ(self.world), **self.assumed}
            answer = compose.config(files, directory=self.world.tree.root / home, environ=environ, env_files=given)
        return answer if isinstance(answer, Model) else refusal(answer.why)


def _written(folder: str, name: str, text: str) -> str:
    path = Path(folder) / name
    path.write_text(text)
    return str(path)


def _is_there(world: World, path: str) -> bool:
    """Whether the tree has a file; one that cannot be read is there."""
    try:
        world.tree.read(path)
    except MissingFile:
        return False
    except CouldNotLook:
        return True
    return True


def _lacks_env_files(world: World, files: Sequence[str]) -> bool:
    """Whether a service names an env file that is not in this tree: docker compose would refuse the chain for that alone, and be asked in vain."""
    home = os.path.dirname(files[0])  # noqa: PTH120 - a name in the tree
    try:
        said = [service.get("env_file") for file in files for service in services_as_written(world, file).values() if isinstance(service, dict)]
    except CouldNotLook:
        return False  # docker compose says why
    listed = [one for value in said for one in (value if isinstance(value, list) else [value])]
    named = [one.get("path") if isinstance(one, dict) and one.get("required", True) is True else one for one in listed]
    paths = [path for path in named if isinstance(path, str) and "$" not in path and not path.startswith("/")]
    return any(not _is_there(world, os.path.normpath(os.path.join(home, path))) for path in paths)  # noqa: PTH118


def services_as_written(world: World, file: str) -> Mapping[str, object]:
    """The services of a compose file by name, before anything is merged. Raises `CouldNotLook` as `compose_yaml` does."""
    data = compose_yaml(world, file).data
    services = data.get("services") if isinstance(data, dict) else None
    return services if isinstance(services, dict) else {}


def _patient_overlay(world: World, files: Sequence[str], *, without: bool) -> str:
    """A compose file for the end of a chain that lets each service do without the env files that are not here; `without`: without any."""
    named: dict[str, list[object]] = {}
    for file in files:
        for name, service in services_as_written(world, file).items():
            if isinstance(service, Tagged):
                named.pop(name, None)
            elif isinstance(service, dict) and ("env_file" in service or without):
                named[name] = _optional(named.get(name, []), service.get("env_file"))
    lines = [f"  {json.dumps(name)}: {{env_file: !override {json.dumps([] if without else listed)}}}" for name, listed in named.items()]
    return "services:\n" + "\n".join(lines) + "\n" if lines else "{}\n"


def _optional(before: list[object], said: object) -> list[object]:
    """The env files of a service, those of an earlier file first, none of them required."""
    tag, said = (said.tag, said.value) if isinstance(said, Tagged) else ("", said)
    listed = said if isinstance(said, list) else [said] if said else []
    optional: list[object] = [{**(one if isinstance(one, dict) else {"path": one}), "required": False} for one in listed if isinstance(one, str | dict)]
    return [] if tag == "!reset" else optional if tag == "!override" else [*before, *optional]


def _environ(world: World) -> Mapping[str, str]:
    """What the program itself needs, and no variable of the operator's shell: a chain must not resolve differently at another terminal. It fetches nothing."""
    needed = {name: value for name, value in world.environ.items() if name in ("PATH", "HOME", "DOCKER_CONFIG", "TMPDIR")}
    return {**needed, "COMPOSE_EXPERIMENTAL_GIT_REMOTE": "false", "COMPOSE_EXPERIMENTAL_OCI_REMOTE": "false"}
