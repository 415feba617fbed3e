"""Which database does a program carry inside of it, as the list of what it is built from says?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from interlock.facts.placed import FileOfChains
from interlock.nouns import dataclass
from interlock.patterns import regex

LISTS = (
    "pyproject.toml",
    "requirements.txt",
    "setup.cfg",
    "setup.py",
    "package.json",
    "go.mod",
    "Cargo.toml",
    "Gemfile",
    "pom.xml",
    "build.gradle",
    "build.gradle.kts",
)
"""Files in which a program says what it is built from."""

_ENGINES = {
    "DuckDB": r"duckdb",
    "RocksDB": r"(?:python-)?rocksdb|rocksdict|rocksdbjni",
    "LevelDB": r"leveldb|plyvel|classic-level|goleveldb",
    "LMDB": r"lmdb|heed",
    "Kuzu": r"kuzu",
    "LanceDB": r"lancedb|vectordb",
    "bbolt": r"bbolt|boltdb",
    "Badger": r"badger",
    "H2": r"com\.h2database",
}
_NAMED = {engine: regex(rf"(?m)(?:^[ \t]*|[\"'/>:<\s])(?:@[\w-]+/)?(?:{pattern})(?=$|[\"'\s=<>~!;,@:\[/]|$)") for engine, pattern in _ENGINES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedFile:
    """A compose file with the databases that the programs built in its chains carry: the engine's name by the folder that is built."""

    file: FileOfChains
    engines: Mapping[str, str]


def embedded_engine(texts: Iterable[str]) -> str:
    """The first engine that one of the lists names; empty for none. SQLite is not looked for: nearly every language brings it along."""
    for text in texts:
        for engine, pattern in _NAMED.items():
            if pattern.search(text):
                return engine
    return ""
