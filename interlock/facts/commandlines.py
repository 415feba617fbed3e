"""What does a command of a script come to run? Its words with the script's own constants put in, and the program behind `sudo`, `timeout` and `docker exec`.

    lines = CommandLines.of(script)
    for run in lines.runs(command): run.argv, run.text

What is not known stays as `$name`. `interlock.facts.calls` follows calls from file to file; this reads one command where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Self

from interlock.facts.applies import RUN_OPTIONS, after_options
from interlock.facts.backup_writers import listed
from interlock.facts.calls import shlex_words, unwrapped
from interlock.facts.shell import (
    Assignment,
    Command,
    Loop,
    LoopKind,
    Opaque,
    Part,
    ProcessSubstitution,
    Script,
    Stream,
    Substitution,
    Text,
    Variable,
    Word,
    walk,
)
from interlock.nouns import dataclass
from interlock.patterns import regex

ENGINES = listed("docker podman nerdctl")
COMPOSES = listed("docker-compose podman-compose")
_CLUSTER = listed("kubectl oc")
_ENGINE_OPTIONS = listed("-H --host -c --context --config -l --log-level")
_COMPOSE_OPTIONS = listed("-f --file -p --project-name --profile --env-file --project-directory --ansi --progress --parallel")
_CLUSTER_OPTIONS = listed("-n --namespace -c --container --context --kubeconfig")
_RUN_OPTIONS = RUN_OPTIONS | listed(
    "-a --attach --annotation --cgroup-parent --cpu-shares -c --cpuset-cpus --device-cgroup-rule --domainname --group-add --health-interval --health-retries"
    " --health-timeout --ip --ip6 --isolation --label-file --mac-address --memory-reservation --memory-swap --oom-score-adj --pids-limit --storage-opt --sysctl"
    " --uts --volume-driver --arch --os --authfile --secret"
)
_DEEPEST = 6
_FINDS = regex(r"\$\(\s*(?:command -v|which|type -P)\s+(?P<program>[\w.-]+)[^)]*\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One program that a command runs. `text` instead of an argv where a shell is given its commands as a text; `inside`: in a container, or elsewhere."""

    argv: tuple[str, ...]
    text: str = ""
    inside: bool = False

    @property
    def program(self) -> str:
        """Its name without a directory, `$name` when only running it would tell, empty for a text."""
        return self.argv[0].rpartition("/")[2] if self.argv else ""


@dataclass(frozen=True, slots=True)
class CommandLines:
    """A script's constants: what its variables hold that are given one value, once."""

    constants: Mapping[str, Word]

    @classmethod
    def of(cls, script: Script) -> Self:
        """Those of a whole script."""
        given: dict[str, list[Assignment]] = {}
        changing: set[str] = set()
        for statement in walk(script.statements):
            if isinstance(statement, Command):
                for assignment in statement.assignments:
                    given.setdefault(assignment.name, []).append(assignment)
                if statement.words and statement.words[0].literal in ("read", "mapfile", "readarray", "getopts"):
                    changing |= {word.literal or "" for word in statement.words[1:]}
            elif isinstance(statement, Loop) and statement.kind in (LoopKind.FOR, LoopKind.SELECT):
                changing.add(statement.variable)
        return cls({name: value for name, all_of_it in given.items() if name not in changing and (value := _one_value(all_of_it)) is not None})

    def text(self, word: Word | None, depth: int = 0) -> str:
        """A word as text: constants put in, what is not known as `$name`."""
        return "" if word is None else "".join(self._part(part, depth) for part in word.parts)

    def words(self, command: Command) -> tuple[str, ...]:
        """The words of a command; a variable that nothing quotes is split where it holds blanks."""
        return tuple(field for word in command.words for field in self._fields(word))

    def runs(self, command: Command) -> Iterator[Run]:
        """What a command really runs: the program, and the one inside the container that it enters."""
        yield from self.inside(self.words(command))

    @staticmethod
    def inside(words: Sequence[str]) -> Iterator[Run]:
        """The same of words that are known."""
        yield from _runs(list(words), inside=False, depth=0)

    def fed(self, command: Command) -> str:
        """What a command reads as its here-document or here-string, empty for none."""
        given = [redirect for redirect in command.redirects if redirect.stream in (Stream.HERE_DOCUMENT, Stream.HERE_STRING)]
        return "\n".join(self.text(redirect.target) for redirect in given)

    def _fields(self, word: Word) -> list[str]:
        only = word.parts[0] if len(word.parts) == 1 else None
        text = self.text(word)
        if isinstance(only, Variable) and only.operator in ("", "[") and (not word.raw.startswith('"') or only.operator == "["):
            return [text] if "$(" in text or "`" in text else text.split()
        return [text]

    def _part(self, part: Part, depth: int) -> str:
        match part:
            case Text():
                return part.text
            case Variable():
                return self._variable(part, depth)
            case Substitution():
                found = _FINDS.fullmatch(part.raw)
                return found["program"] if found else part.raw
            case Opaque() if part.raw.startswith("(") and part.raw.endswith(")"):
                return " ".join(shlex_words(part.raw[1:-1]))
            case Opaque() | ProcessSubstitution():
                return part.raw

    def _variable(self, variable: Variable, depth: int) -> str:
        known = self.constants.get(variable.name)
        if known is not None and depth < _DEEPEST and variable.operator.strip(":") in ("", "-", "=", "?", "["):
            return self.text(known, depth + 1)
        if variable.operator.strip(":") in ("-", "=") and variable.argument is not None and not variable.name.isdigit():
            return self.text(variable.argument, depth + 1) or f"${variable.name}"
        return f"${variable.name}"


def _one_value(given: list[Assignment]) -> Word | None:
    """The one value that a variable is given; of several ways to call an engine the first."""
    values = [assignment.value for assignment in given]
    if any(assignment.appends for assignment in given) or any(value is None for value in values):
        return None
    first = values[0]
    if len({value.raw.strip("\"'") for value in values if value is not None}) == 1:
        return first
    calls = [re.match(r"[\"']?(?:sudo )?(?:docker|podman|nerdctl)\b", value.raw) for value in values if value is not None]
    return first if all(calls) else None


def _runs(argv: list[str], *, inside: bool, depth: int) -> Iterator[Run]:
    real, text = unwrapped(argv)
    if text is not None:
        yield Run(argv=(), text=text, inside=inside)
        return
    if not real:
        return
    yield Run(argv=tuple(real), inside=inside)
    if depth < _DEEPEST and (entered := _entered(real)):
        yield from _runs(entered, inside=True, depth=depth + 1)


def _entered(argv: list[str]) -> list[str]:
    """The command line inside the container or on the machine that this one enters; empty when it enters none."""
    rest = engine_words(argv)
    if rest[:1] in (["exec"], ["run"]):
        return after_options(rest, _RUN_OPTIONS)[1:]
    program = argv[0].rpartition("/")[2]
    if program in _CLUSTER and (verb := after_options(argv, _CLUSTER_OPTIONS))[:1] == ["exec"]:
        return verb[verb.index("--") + 1 :] if "--" in verb else []
    return []


def engine_words(argv: Sequence[str]) -> list[str]:
    """What a container engine or compose is told, from the verb on: `volume rm x`, `down -v`; empty for other programs. `$DC down -v` counts too."""
    program = argv[0].rpartition("/")[2]
    if program in COMPOSES:
        return after_options(argv, _COMPOSE_OPTIONS)
    if program not in ENGINES and not program.startswith("$"):
        return []
    rest = after_options(argv, _ENGINE_OPTIONS | (_COMPOSE_OPTIONS if program.startswith("$") else frozenset()))
    if rest[:1] == ["compose"]:
        return after_options(rest, _COMPOSE_OPTIONS)
    return rest[1:] if rest[:1] == ["container"] else rest


_SECRET_OPTION = regex(r"--?(?:pass(?:word|wd)?|requirepass|token|secret|api-?key|auth)", re.IGNORECASE)
_SECRET_VALUE = regex(r"(?P<name>--?\w*(?:pass(?:word|wd)?|token|secret|key|auth)\w*=|\w*(?:PASS|SECRET|TOKEN|KEY|PWD)\w*=)(?P<value>[^$].*)", re.IGNORECASE)
_SHORT_PASSWORD = regex(r"-p(?P<value>[^$\s].*)")
_IN_URL = regex(r"://[^/@\s$]*:[^/@\s$]+@")
_PASSWORD_BY_P = regex(r"mysql\w*|mariadb[\w-]*|sshpass|mongo\w*")
_PASSWORD_BY_A = regex(r"(?:redis|valkey)-cli")


def shown(words: Sequence[str], longest: int = 100) -> str:
    """A command line as a report shows it: on one line, not too long, and no secret that is written out in it."""
    plain: list[str] = []
    programs = {word.rpartition("/")[2] for word in words}
    by_p, by_a = any(map(_PASSWORD_BY_P.fullmatch, programs)), any(map(_PASSWORD_BY_A.fullmatch, programs))
    for before, word in zip(("", *words), words, strict=False):
        hidden = _SECRET_OPTION.fullmatch(before) is not None or (by_a and before == "-a")
        if hidden and not word.startswith(("$", "-")):
            plain.append("***")
        elif by_p and _SHORT_PASSWORD.fullmatch(word):
            plain.append("-p***")
        elif found := _SECRET_VALUE.fullmatch(word):
            plain.append(f"{found['name']}***")
        else:
            plain.append(_IN_URL.sub("://***@", word))
    told = " ".join(" ".join(plain).split())
    return told if len(told) <= longest else told[: longest - 1] + "…"
