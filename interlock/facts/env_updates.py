"""Does what adds settings to the env files of old installations know the settings that new ones are given? A list of keys in a loop, `grep -q KEY file || echo
KEY= >> file`, `case` arms, helper functions: whatever the script's form, a key that it names it knows.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field

from interlock.facts.env_paths import Values
from interlock.facts.env_writes import Setting, Written, written
from interlock.facts.programs import ShellText, Unreadable
from interlock.facts.shell import Text
from interlock.nouns import dataclass
from interlock.patterns import regex

FEWEST_KEYS = 3  # a script that names fewer repairs one thing, and keeps up with no list
LARGEST_GAP = 0.4  # of the keys of the stack: who does not know more than that was never meant to know them all
_WORD = regex(r"[A-Za-z_]\w*")
_COMMENT = regex(r"^[ \t]*#[^\n]*", re.MULTILINE)
_GENERIC = regex(r"(?:echo|printf)\b[^\n]*(?:\$\{?!?\w+\}?|%s)[\"']?=[^\n]*(?:>>|\btee\s+-a)|(?:>>|\btee\s+-a)[^\n]*<<<[^\n]*\$\{?\w+\}?=")
_ASKS_FIRST = regex(r"\bgrep\b|\[\[[^\n]*=~|\bawk\b")
_GIVEN_ONCE = regex(
    r"(?:.*_)?(?:DB|DATABASE|POSTGRES|PG|MYSQL|MARIADB|MONGO)_?(?:NAME|USER(?:NAME)?|DB|DATABASE|HOST|PORT|PASS\w*|ROOT\w*)|COMPOSE_PROJECT_NAME|COMPOSE_FILE"
    r"|(?:.*_)?(?:HOSTNAME|FQDN|DOMAIN|TZ|TIMEZONE|PASSWORD|PASSWD|PASS|SECRET|SALT|SECRET_KEY)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """What gives new installations their env file `target` (a base name): a script that writes it, or an example that is copied (`script` is then False)."""

    path: str
    target: str
    settings: tuple[Setting, ...] = field(repr=False)
    script: bool = True

    @property
    def keys(self) -> frozenset[str]:
        """Every key, those that are commented out too."""
        return frozenset(setting.key for setting in self.settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Updater:
    """The scripts that together add settings to an env file, the one that adds most first, and every word that they name."""

    paths: tuple[str, ...]
    words: frozenset[str] = field(repr=False)
    copies_all: bool = False  # whatever an example has is taken over from it


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Where the stack uses a key: a place in a file. `optional`: it publishes a port, and has a default wherever it is used."""

    file: str
    line: int
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptUp:
    """A generator beside the updater of the same file, and where the stack uses the keys that the updater does not know."""

    generator: Generator
    updater: Updater
    uses: Mapping[str, Use]

    def judged(self) -> tuple[Setting, ...]:
        """The settings that an old installation needs too: those that an installation is not asked for, or computes, once."""
        first: dict[str, Setting] = {}
        for setting in self.generator.settings:
            if not ((setting.computed and not setting.aside) or _GIVEN_ONCE.fullmatch(setting.key)):
                first.setdefault(setting.key, setting)
        return tuple(first.values())

    def unknown(self) -> tuple[Setting, ...]:
        """Those that the updater never heard of and that the stack uses; none where it was never meant to know them all."""
        judged = [setting for setting in self.judged() if setting.key in self.updater.words or self._is_used(setting.key)]
        unknown = [setting for setting in judged if setting.key not in self.updater.words]
        return () if self.updater.copies_all or len(unknown) > LARGEST_GAP * len(judged) else tuple(unknown)

    def _is_used(self, key: str) -> bool:
        use = self.uses.get(key)
        return use is not None and not use.optional


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """What is judged by `env.coverage_existing_installs`: each env file that has a generator and an updater, and the scripts that could not be read."""

    files: tuple[KeptUp, ...]
    unreadable: tuple[Unreadable, ...] = ()


def generators(texts: Iterable[ShellText], used: Collection[str]) -> Iterator[Generator]:
    """The scripts that write an env file anew in which the stack uses at least `FEWEST_KEYS`, each file once."""
    for text in texts:
        if text.text.count("=") >= FEWEST_KEYS and (">" in text.text or "tee" in text.text):
            by_target: dict[str, list[Setting]] = {}
            for one in _writes(text):
                for target in one.targets[:1] if one.anew else ():
                    by_target.setdefault(posixpath.basename(target), []).extend(one.settings)
            for target, settings in by_target.items():
                if len({setting.key for setting in settings} & set(used)) >= FEWEST_KEYS and target and "$" not in target:
                    yield Generator(path=text.path, target=target, settings=tuple(settings))


def example(path: str, target: str, content: str) -> Generator:
    """An example of an env file that is copied to `target`."""
    settings = []
    for number, line in enumerate(content.split("\n"), 1):
        found = re.match(r"[ \t]*(#+[ \t]?)?(?:export[ \t]+)?([A-Za-z_]\w*)=(.*)", line)
        if found:
            settings.append(Setting(key=found[2], value=(Text(found[3]),), line=number, aside=bool(found[1])))
    return Generator(path=path, target=target, settings=tuple(settings), script=False)


def updater(texts: Sequence[ShellText], generator: Generator) -> Updater | None:
    """What adds settings to the file that the generator gives; None when nothing does that knows at least `FEWEST_KEYS` of its keys."""
    adding = [(text, known) for text in texts if (known := _known(text, generator)) is not None]
    adding = [(text, known) for text, known in adding if len(known & generator.keys) >= FEWEST_KEYS]
    if not adding:
        return None
    adding.sort(key=lambda one: (-len(one[1] & generator.keys), one[0].path))
    others = _around([text for text, _ in adding], [text for text in texts if text.path != generator.path])
    words = frozenset[str]().union(*(known for _, known in adding), *(_words(text.text) for text in others))
    copies = not generator.script and any(_copies(text.text, posixpath.basename(generator.path)) for text in (*(one for one, _ in adding), *others))
    return Updater(paths=tuple(dict.fromkeys(text.path for text, _ in adding)), words=words, copies_all=copies)


def _known(text: ShellText, generator: Generator) -> frozenset[str] | None:
    """The words of a script that adds settings to a file that is there; None for one that does not."""
    if generator.target not in text.text or (">>" not in text.text and "tee" not in text.text and "sed" not in text.text) or not _ASKS_FIRST.search(text.text):
        return None
    writes = _writes(text)
    added = [one for one in writes if not one.anew and any(posixpath.basename(target) == generator.target for target in one.targets)]
    keys = {setting.key for one in added for setting in one.settings}
    if len(keys & generator.keys) < FEWEST_KEYS and (text.path == generator.path or _GENERIC.search(text.text) is None):
        return None
    anew = {setting.line - text.line for one in writes if one.anew for setting in one.settings}
    return _words("\n".join("" if number in anew else line for number, line in enumerate(text.text.split("\n"))))


def _writes(text: ShellText) -> tuple[Written, ...]:
    return written(text.script, Values.of(text.script))


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(_COMMENT.sub("", text)))


def _around(adding: Sequence[ShellText], texts: Sequence[ShellText]) -> tuple[ShellText, ...]:
    """The scripts that call one that adds settings, and those that these and it call."""
    scripts = {posixpath.basename(text.path): text for text in texts if text.path.endswith((".sh", ".bash"))}
    names = {posixpath.basename(text.path) for text in adding}
    callers = [text for text in texts if posixpath.basename(text.path) not in names and any(name in text.text for name in names)]
    called = [text for name, text in scripts.items() if any(name in one.text for one in (*adding, *callers))]
    return (*callers, *called)


def _copies(text: str, example_name: str) -> bool:
    """`while read -r line; do ...; done < .env.example`: what the example has is added, whatever it is."""
    return re.search(rf"(?:done\s*<|\bcat\b|<\(|\bgrep\b|\bsed\b|\bawk\b|=)[^\n]*{re.escape(example_name)}", text) is not None and (
        _GENERIC.search(text) is not None or re.search(r"\bread\b[^\n]*\bline\b|>>[^\n]*", text) is not None
    )
