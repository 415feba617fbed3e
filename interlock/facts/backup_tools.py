"""What do the programs that operators back up with do to files? One table for shell scripts and for the argv lists of Python programs.

An argv goes in as followed words; what comes out is which files the program makes, how their mode comes about, and what it writes to its standard output.
Sources: the manual pages of the programs; pg_dump's and pg_basebackup's directories are 0700 by themselves (PostgreSQL, pg_backup_directory.c), GNU gzip
and xz give the new file the mode of the old one, GNU cp gives it the mode of its source less the umask.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from itertools import pairwise
from typing import Self

from interlock.facts.backup_writers import UNKNOWN, Followed, listed, readable
from interlock.nouns import dataclass
from interlock.patterns import regex

Argv = Sequence[Followed]


class Making(StrEnum):
    """How a file comes by its mode."""

    CREATED = "created"  # by the umask
    COPIED = "copied"  # its source's mode, less the umask
    CARRIED = "carried"  # its source's mode, whatever the umask, after it was written
    MOVED = "moved"  # its source's mode, at once, also by `cp -p` and `rsync -a`: nothing is exposed that was not before

    @property
    def heeds_umask(self) -> bool:
        """True when a umask makes the file private."""
        return self in (Making.CREATED, Making.COPIED)

    @property
    def from_source(self) -> bool:
        """True when a private source makes the file private."""
        return self is not Making.CREATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Emission:
    """What a program writes to its standard output. `dump`: the state of a database, whatever it is called; else a copy of what `source` names."""

    tool: str
    source: str = ""
    dump: bool = False
    archive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A file or directory that a program makes. `sources` are the followed paths that it is made from; `private`: the program itself keeps it so."""

    target: Followed
    content: Emission
    making: Making = Making.CREATED
    sources: tuple[str, ...] = ()
    private: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """All that one program does, as far as backups go."""

    made: tuple[Made, ...] = ()
    emits: Emission | None = None


NOTHING = Effect()

_Reader = Callable[[str, Argv, Emission | None], Effect]


def _value(argv: Argv, short: str, long: tuple[str, ...] = (), *, flags: str = "") -> Followed | None:
    """The value of an option: `-f x`, `-fx`, `-vf x` (with boolean `flags`), `--file x`, `--file=x`; the last one counts."""
    found: Followed | None = None
    for index, word in enumerate(argv[1:], 1):
        text = word.path
        following = argv[index + 1] if index + 1 < len(argv) else None
        if text in long or (short and re.fullmatch(f"-[{re.escape(flags)}]*{short}" if flags else f"-{short}", text)):
            found = following or found
            continue
        name, equals, _ = text.partition("=")
        if equals and name in long:
            found = _after(word, len(name) + 1)
        elif short and not text.startswith("--") and text.startswith(f"-{short}") and len(text) > 2:
            found = _after(word, 3 if text[2] == "=" else 2)
    return found


def _after(word: Followed, length: int) -> Followed:
    return Followed(path=word.path[length:], written=word.written[length:] if len(word.written) > length else word.written, hints=word.hints)


def _has(argv: Argv, *options: str) -> bool:
    return any(word.path in options for word in argv[1:])


def _names(words: Iterable[Followed]) -> str:
    return " ".join(word.names for word in words)


def _operands(argv: Argv, valued: str = "", long_valued: frozenset[str] = frozenset()) -> list[Followed]:
    """The words that are no options and no values of the short options `valued` or of `long_valued`."""
    found: list[Followed] = []
    skip, only = False, False
    for word in argv[1:]:
        text = word.path
        if skip:
            skip = False
        elif only or text == "-" or not text.startswith("-"):
            found.append(word)
        elif text == "--":
            only = True
        elif text.startswith("--"):
            skip = text in long_valued
        else:
            skip = text[-1] in valued and not any(letter in valued for letter in text[1:-1])
    return found


def _to_file(target: Followed | None, content: Emission, *, private: bool = False, sources: tuple[str, ...] = ()) -> Effect:
    """Into `target` when one is given and is not `-`, else to the standard output."""
    if target is None or target.path == "-":
        return Effect(emits=content)
    return Effect(made=(Made(target=target, content=content, private=private, sources=sources),))


def _pg_dump(tool: str, argv: Argv, _stdin: Emission | None) -> Effect:
    if any(re.fullmatch(r"--schema-only|-[a-zA-Z]*s", word.path) for word in argv[1:]) or _has(argv, "--help", "--version", "-V", "-?"):
        return NOTHING  # a schema is no backup: there is no row in it
    shape = _value(argv, "F", ("--format",))
    return _to_file(
        _value(argv, "f", ("--file",), flags="abBcCOvxw"),
        Emission(tool=tool, source=_names(argv[1:]), dump=True),
        private=shape is not None and shape.path in ("d", "directory"),
    )


def _pg_basebackup(tool: str, argv: Argv, _stdin: Emission | None) -> Effect:
    return _to_file(_value(argv, "D", ("--pgdata",)), Emission(tool=tool, dump=True), private=True)


def _mysqldump(tool: str, argv: Argv, _stdin: Emission | None) -> Effect:
    if _has(argv, "--no-data", "-d", "--help", "--version", "-V"):
        return NOTHING
    return _to_file(_value(argv, "r", ("--result-file",)), Emission(tool=tool, source=_names(argv[1:]), dump=True))


def _mongodump(tool: str, argv: Argv, _stdin: Emission | None) -> Effect:
    content = Emission(tool=tool, dump=True)
    if _has(argv, "--archive"):
        return Effect(emits=content)
    target = _value(argv, "o", ("--out", "--archive"))
    return _to_file(target or Followed(path="dump", written="dump"), content)


def _mariabackup(tool: str, argv: Argv, _stdin: Emission | None) -> Effect:
    if not _has(argv, "--backup"):
        return NOTHING
    content = Emission(tool=tool, dump=True)
    if any(word.path.startswith("--stream") for word in argv):
        return Effect(emits=content)
    target = _value(argv, "", ("--target-dir",))
    return Effect(made=(Made(target=target, content=content),)) if target else NOTHING


def _mydumper(tool: str, argv: Argv, _stdin: Emission | None) -> Effect:
    target = _value(argv, "o", ("--outputdir",))
    return Effect(made=(Made(target=target, content=Emission(tool=tool, dump=True)),)) if target else NOTHING


def _redis_cli(tool: str, argv: Argv, _stdin: Emission | None) -> Effect:
    target = _value(argv, "", ("--rdb", "--functions-rdb"))
    return _to_file(target, Emission(tool=f"{tool} --rdb", dump=True)) if target else NOTHING


_SQLITE_FILE = regex(r"""\.(?:backup|clone|save)\s+(?:main\s+)?['"]?(?P<dot>[^'"\s;]+)|VACUUM\s+INTO\s+['"](?P<vacuum>[^'"]+)""", re.IGNORECASE)
_EXPORT = regex(r"""EXPORT\s+DATABASE\s+['"](?P<path>[^'"]+)""", re.IGNORECASE)


def _sqlite3(tool: str, argv: Argv, _stdin: Emission | None) -> Effect:
    """The command line shell: its dot commands and statements stand in its arguments."""
    made, emits = [], None
    for word in argv[1:]:
        if found := _SQLITE_FILE.search(word.path):
            target = Followed(path=found["dot"] or found["vacuum"], written=word.written, hints=word.hints)
            made.append(Made(target=target, content=Emission(tool=tool, dump=True)))
        elif re.match(r"\.dump\b", word.path):
            emits = Emission(tool=f"{tool} .dump", dump=True)
    return Effect(made=tuple(made), emits=emits)


def _duckdb(tool: str, argv: Argv, _stdin: Emission | None) -> Effect:
    made = []
    for word in argv[1:]:
        if found := _EXPORT.search(word.path):
            made.append(Made(target=Followed(path=found["path"], written=word.written, hints=word.hints), content=Emission(tool=tool, dump=True)))
    return Effect(made=tuple(made))


_VACUUM = regex(r"""VACUUM\s+INTO\s+['"](?P<path>[^'"]+)""", re.IGNORECASE)


def exported_by(statement: Followed) -> Followed | None:
    """The path that a SQL statement writes a whole database to (`EXPORT DATABASE`, `VACUUM INTO`), None for every other statement."""
    found = _EXPORT.search(statement.path) or _VACUUM.search(statement.path)
    return Followed(path=found["path"], written=readable(found["path"]), hints=statement.hints) if found else None


def _snapshot_save(tool: str, argv: Argv, _stdin: Emission | None) -> Effect:
    """vault, bao, consul, etcdctl, nomad: `... snapshot save FILE`."""
    texts = [word.path for word in argv]
    for index, text in enumerate(texts):
        if text == "snapshot" and texts[index + 1 : index + 2] == ["save"]:
            operands = _operands(argv[index + 1 :])
            if operands:
                return Effect(made=(Made(target=operands[-1], content=Emission(tool=f"{tool} snapshot save", dump=True)),))
    return NOTHING


def _slapcat(tool: str, argv: Argv, _stdin: Emission | None) -> Effect:
    return _to_file(_value(argv, "l"), Emission(tool=tool, dump=True))


_TAR_VALUED = frozenset("fbCTXgHVIKNF")
_TAR_LONG_VALUED = listed("--directory --files-from --exclude-from --use-compress-program --exclude --transform --owner --group")


def _tar(tool: str, argv: Argv, _stdin: Emission | None) -> Effect:
    """tar, with its three ways of writing options; only what creates an archive."""
    given = _TarOptions.read(argv)
    return _to_file(given.file, Emission(tool=tool, source=_names(given.members), archive=True)) if given.creates else NOTHING


@dataclass(slots=True)
class _TarOptions:
    """What a tar command line asks for."""

    words: list[Followed]
    creates: bool = False
    file: Followed | None = None
    members: list[Followed] = field(default_factory=list)

    @classmethod
    def read(cls, argv: Argv) -> Self:
        """From all words, in order."""
        options = cls(list(argv[1:]))
        first = options.words[0].path if options.words else ""
        if re.fullmatch("[A-Za-z]+", first) and first[0] in "cxtruAvzjJafpPS":
            options._bundle(options.words.pop(0).path)
        while options.words:
            options._word(options.words.pop(0))
        return options

    def _bundle(self, letters: str) -> None:
        """`czf`: the values follow in the order of the letters."""
        self.creates = "c" in letters
        for letter in letters:
            if letter in _TAR_VALUED:
                self._take(letter, self._next())

    def _word(self, word: Followed) -> None:
        text = word.path
        if text.startswith("--"):
            self._long(word)
        elif text.startswith("-") and text != "-":
            for position, letter in enumerate(text[1:], 2):
                self.creates = self.creates or letter == "c"
                if letter in _TAR_VALUED:
                    self._take(letter, _after(word, position) if text[position:] else self._next())
                    break
        else:
            self.members.append(word)

    def _long(self, word: Followed) -> None:
        name, equals, _ = word.path.partition("=")
        self.creates = self.creates or name in ("--create", "--append", "--update")
        if name == "--file":
            self._take("f", _after(word, len("--file=")) if equals else self._next())
        elif not equals and name in _TAR_LONG_VALUED:
            self._next()

    def _take(self, letter: str, value: Followed | None) -> None:
        if letter == "f":
            self.file = value or self.file

    def _next(self) -> Followed | None:
        return self.words.pop(0) if self.words else None


def _zip(tool: str, argv: Argv, _stdin: Emission | None) -> Effect:
    operands = _operands(argv, "bixnPt")
    if not operands:
        return NOTHING
    return _to_file(operands[0], Emission(tool=tool, source=_names(operands[1:]), archive=True))


def _seven_zip(tool: str, argv: Argv, _stdin: Emission | None) -> Effect:
    operands = _operands(argv)
    if len(operands) < 2 or operands[0].path not in ("a", "u"):
        return NOTHING
    return _to_file(operands[1], Emission(tool=tool, source=_names(operands[2:]), archive=True))


_COMPRESSED = {
    "gzip": ".gz",
    "pigz": ".gz",
    "bzip2": ".bz2",
    "pbzip2": ".bz2",
    "xz": ".xz",
    "lzma": ".lzma",
    "zstd": ".zst",
    "lz4": ".lz4",
    "lzop": ".lzo",
    "brotli": ".br",
}


def _compressor(tool: str, argv: Argv, stdin: Emission | None) -> Effect:
    if any(re.fullmatch(r"--(de|un)compress|--test|--list|-[0-9a-zA-Z]*[dtl][0-9a-zA-Z]*", word.path) for word in argv[1:]):
        return Effect(emits=stdin)
    target = _value(argv, "o") if tool in ("zstd", "lz4", "brotli") else None
    operands = [word for word in _operands(argv, "pbSTMo" if tool in ("zstd", "lz4", "pigz") else "pbST") if word.path != "-"]
    if tool == "lz4" and len(operands) == 2:
        target = operands.pop()
    if target is not None and target.path != "-":
        making = Making.COPIED if operands else Making.CREATED
        return Effect(made=(Made(target=target, content=_copied(tool, operands, stdin), making=making, sources=_paths(operands)),))
    if not operands:
        return Effect(emits=stdin)
    if any(re.fullmatch(r"--stdout|--to-stdout|-[0-9a-zA-Z]*c[0-9a-zA-Z]*", word.path) for word in argv[1:]):
        return Effect(emits=_copied(tool, operands, stdin))
    suffix = _COMPRESSED[tool]
    return Effect(
        made=tuple(
            Made(
                target=Followed(path=word.path + suffix, written=word.written + suffix, hints=word.hints),
                content=Emission(tool=tool, source=word.names),
                making=Making.MOVED,
                sources=(word.path,),
            )
            for word in operands
        )
    )


def _copied(tool: str, operands: Sequence[Followed], stdin: Emission | None) -> Emission:
    """What comes out of a filter: what its files name, else what came in."""
    return Emission(tool=tool, source=_names(operands)) if operands or stdin is None else stdin


def _paths(words: Iterable[Followed]) -> tuple[str, ...]:
    return tuple(word.path for word in words)


_GPG_VALUED = listed("--output --recipient --passphrase --passphrase-file --batch-file --homedir")


def _gpg(tool: str, argv: Argv, stdin: Emission | None) -> Effect:
    if _has(argv, "-d", "--decrypt", "--import", "--verify", "--list-keys", "--recv-keys", "--dearmor", "--export"):
        return NOTHING
    target = _value(argv, "o", ("--output",))
    operands = [word for word in _operands(argv, "oru", _GPG_VALUED) if word.path != "-"]
    content = _copied(tool, operands, stdin)
    if target is None and operands:
        first = operands[0]
        target = Followed(path=first.path + ".gpg", written=first.written + ".gpg", hints=first.hints)
    return _to_file(target, content)


def _age(tool: str, argv: Argv, stdin: Emission | None) -> Effect:
    if _has(argv, "-d", "--decrypt"):
        return NOTHING
    operands = [word for word in _operands(argv, "oriR") if word.path != "-"]
    if not operands and stdin is None:
        return NOTHING
    return _to_file(_value(argv, "o", ("--output",)), _copied(tool, operands, stdin))


def _openssl(tool: str, argv: Argv, stdin: Emission | None) -> Effect:
    verb = argv[1].path if len(argv) > 1 else ""
    if (verb not in ("enc", "smime", "cms") and not re.match(r"aes|des|camellia|chacha", verb)) or _has(argv, "-d", "-decrypt"):
        return NOTHING
    source, target = _named(argv, "-in"), _named(argv, "-out")
    if source is None and stdin is None:
        return NOTHING
    return _to_file(target, _copied(tool, [source] if source else [], stdin))


def _named(argv: Argv, option: str) -> Followed | None:
    """The word after a one-dash long option."""
    return next((after for word, after in pairwise(argv[1:]) if word.path == option), None)


def _tee(_tool: str, argv: Argv, stdin: Emission | None) -> Effect:
    if stdin is None:
        return NOTHING
    return Effect(made=tuple(Made(target=word, content=stdin) for word in _operands(argv)), emits=stdin)


def _dd(tool: str, argv: Argv, stdin: Emission | None) -> Effect:
    values = {word.path.partition("=")[0]: _after(word, len(word.path.partition("=")[0]) + 1) for word in argv[1:] if "=" in word.path}
    source = values.get("if")
    if source is None and stdin is None:
        return NOTHING
    return _to_file(values.get("of"), _copied(tool, [source] if source else [], stdin))


def _split(_tool: str, argv: Argv, stdin: Emission | None) -> Effect:
    operands = _operands(argv, "abClnt")
    if stdin is None or len(operands) < 2 or operands[0].path != "-":
        return NOTHING
    return Effect(made=(Made(target=operands[1], content=stdin),))


def _cat(tool: str, argv: Argv, stdin: Emission | None) -> Effect:
    operands = [word for word in _operands(argv) if word.path != "-"]
    return Effect(emits=Emission(tool=tool, source=_names(operands)) if operands else stdin)


def _filter(_tool: str, _argv: Argv, stdin: Emission | None) -> Effect:
    return Effect(emits=stdin)


def _copy(tool: str, argv: Argv, making: Making, *, valued: str, long_valued: frozenset[str] = frozenset()) -> Effect:
    directory = _value(argv, "t", ("--target-directory",)) if "t" in valued else None
    operands = _operands(argv, valued, long_valued)
    target = directory or (operands.pop() if len(operands) > 1 else None)
    if target is None or not operands:
        return NOTHING
    content = Emission(tool=tool, source=_names(operands))
    return Effect(made=(Made(target=_inside(target, operands), content=content, making=making, sources=_paths(operands)),))


def _inside(target: Followed, sources: Sequence[Followed]) -> Followed:
    """`dir/` with one source is `dir/name`."""
    if len(sources) != 1 or not target.path.endswith("/"):
        return target
    name = sources[0].path.rstrip("/").rpartition("/")[2]
    return Followed(path=target.path + name, written=target.written, hints=target.hints)


def _cp(tool: str, argv: Argv, _stdin: Emission | None) -> Effect:
    keeps = any(re.fullmatch(r"-[a-zA-Z]*[ap][a-zA-Z]*|--archive|--preserve(=.*)?", word.path) for word in argv[1:])
    return _copy(tool, argv, Making.MOVED if keeps else Making.COPIED, valued="tS")


def _mv(tool: str, argv: Argv, _stdin: Emission | None) -> Effect:
    return _copy(tool, argv, Making.MOVED, valued="tS")


_RSYNC_VALUED = listed(
    "--exclude --include --exclude-from --include-from --files-from --filter --rsh --bwlimit --log-file --link-dest --compare-dest --backup-dir --suffix "
    "--timeout --temp-dir --partial-dir --chown --chmod --rsync-path --max-size --min-size --out-format"
)


def _rsync(tool: str, argv: Argv, _stdin: Emission | None) -> Effect:
    keeps = any(re.fullmatch(r"-[a-zA-Z]*[ap][a-zA-Z]*|--archive|--perms", word.path) for word in argv[1:])
    effect = _copy(tool, argv, Making.MOVED if keeps else Making.COPIED, valued="efBMT@", long_valued=_RSYNC_VALUED)
    modes = _value(argv, "", ("--chmod",))
    if modes is not None and effect.made and _rsync_private(modes.path):
        made = effect.made[0]
        return Effect(made=(Made(target=made.target, content=made.content, making=made.making, sources=made.sources, private=True),))
    return effect


def _rsync_private(modes: str) -> bool:
    """`--chmod=D700,F600`, `--chmod=go=`, `--chmod=og-rwx`."""
    parts = [part.lstrip("F") for part in modes.split(",") if not part.startswith("D")]
    return any(is_private_mode(part) for part in parts)


def _scp(tool: str, argv: Argv, _stdin: Emission | None) -> Effect:
    return _copy(tool, argv, Making.COPIED, valued="cFiJloPSX")


def _container_copy(tool: str, argv: Argv, _stdin: Emission | None) -> Effect:
    """`docker cp`, `docker compose cp`, `kubectl cp` out of a container: the archive that comes out carries the modes along."""
    at = next((index for index, word in enumerate(argv[1:5], 1) if word.path == "cp"), None)
    if at is None:
        return NOTHING
    operands = _operands(argv[at:], "cn")
    if len(operands) != 2 or ":" not in operands[0].path or ":" in UNKNOWN.sub("", operands[1].path):
        return NOTHING
    content = Emission(tool=f"{tool} cp", source=operands[0].names)
    return Effect(made=(Made(target=_inside(operands[1], operands[:1]), content=content, making=Making.CARRIED),))


def _curl(tool: str, argv: Argv, _stdin: Emission | None) -> Effect:
    """A snapshot of Vault's storage over its API; every other download is somebody's else file."""
    if not any("/storage/raft/snapshot" in word.path for word in argv) or _has(argv, "-T", "--upload-file", "--data-binary", "--post-file"):
        return NOTHING
    return _to_file(_value(argv, "O" if tool == "wget" else "o", ("--output", "--output-document")), Emission(tool=tool, dump=True))


_READERS: Mapping[str, _Reader] = {
    "pg_dump": _pg_dump, "pg_dumpall": _pg_dump, "pg_basebackup": _pg_basebackup,
    "mysqldump": _mysqldump, "mariadb-dump": _mysqldump, "mysqlpump": _mysqldump, "mydumper": _mydumper,
    "mariabackup": _mariabackup, "mariadb-backup": _mariabackup, "xtrabackup": _mariabackup,
    "mongodump": _mongodump, "redis-cli": _redis_cli, "valkey-cli": _redis_cli, "sqlite3": _sqlite3, "duckdb": _duckdb, "slapcat": _slapcat,
    "vault": _snapshot_save, "bao": _snapshot_save, "consul": _snapshot_save, "etcdctl": _snapshot_save, "nomad": _snapshot_save,
    "tar": _tar, "gtar": _tar, "bsdtar": _tar, "zip": _zip, "7z": _seven_zip, "7za": _seven_zip, "7zr": _seven_zip,
    **dict.fromkeys(_COMPRESSED, _compressor), "gpg": _gpg, "gpg2": _gpg, "age": _age, "rage": _age, "openssl": _openssl,
    "tee": _tee, "dd": _dd, "split": _split, "cat": _cat, "cp": _cp, "mv": _mv, "rsync": _rsync, "scp": _scp, "curl": _curl, "wget": _curl,
    **dict.fromkeys(("docker", "docker-compose", "podman", "podman-compose", "nerdctl", "kubectl", "oc"), _container_copy),
    **dict.fromkeys(("pv", "mbuffer", "buffer", "sed", "awk", "gawk", "tr", "head", "tail", "sort", "uniq", "base64", "nice", "throttle"), _filter),
}  # fmt: skip

DUMPERS = listed(
    "pg_dump pg_dumpall pg_basebackup mysqldump mariadb-dump mysqlpump mydumper mariabackup mariadb-backup xtrabackup mongodump redis-cli valkey-cli "
    "sqlite3 duckdb slapcat vault bao consul etcdctl nomad tar gtar bsdtar zip 7z gzip pigz zstd xz cat cp mv rsync dd gpg age openssl sh bash dash ash"
)
_UNMISTAKABLE = listed("pg_dump pg_dumpall mysqldump mariadb-dump mysqlpump mydumper mariabackup mariadb-backup xtrabackup mongodump slapcat tar gtar bsdtar")
SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "zsh"})


def program(word: Followed) -> str:
    """The name of a program without its directory."""
    return word.path.rpartition("/")[2]


def read_argv(argv: Argv, stdin: Emission | None = None) -> Effect:
    """What one program does with files; `stdin` is what it is fed. Programs that are not in the table do nothing that can be known."""
    if not argv:
        return NOTHING
    tool = program(argv[0])
    reader = _READERS.get(tool)
    return reader(tool, argv, stdin) if reader else NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeChange:
    """What a mode does to a path. `private`: group and others get nothing. `opens_file`: others may read it and nobody executes it, so it is a file.

    `others`: those who are not in the group get something. `directory`: its owner may enter it, so that it is one.
    """

    private: bool
    others: bool = False
    opens_file: bool = False
    recursive: bool = False
    directory: bool = False

    @classmethod
    def of_bits(cls, bits: int, *, recursive: bool = False) -> Self:
        """The change to exactly these permission bits."""
        return cls(
            private=bits & 0o077 == 0,
            others=bits & 0o007 != 0,
            opens_file=bits & 0o004 != 0 and bits & 0o111 == 0,
            recursive=recursive,
            directory=bits & 0o100 != 0,
        )


_SYMBOLIC = regex(r"([ugoa]*)([-+=])([rwxXstugo]*)")


def read_mode(mode: str, *, recursive: bool = False) -> ModeChange | None:
    """What chmod(1) understands: `600`, `go=`, `u=rw,go=`, `go-rwx`. None for what says neither private nor open (`+x`), and for what is no mode."""
    if re.fullmatch(r"[0-7]{1,5}", mode):
        return ModeChange.of_bits(int(mode, 8), recursive=recursive)
    taken: set[str] = set()
    for clause in mode.split(","):
        found = _SYMBOLIC.fullmatch(clause)
        if found is None:
            return None
        who = set("ugo") if not found[1] or "a" in found[1] else set(found[1])
        if found[3] and found[2] in "+=" and who & {"g", "o"} and set(found[3]) & set("rw"):
            return ModeChange(
                private=False, others="o" in who, opens_file="o" in who and "r" in found[3] and not set(found[3]) & set("xX"), recursive=recursive
            )
        if (found[2] == "=" and not found[3]) or (found[2] == "-" and "r" in found[3]):
            taken |= who
    return ModeChange(private=True, recursive=recursive, directory=recursive) if {"g", "o"} <= taken else None


def is_private_mode(mode: str) -> bool:
    """True when a mode leaves nothing to group and others."""
    change = read_mode(mode)
    return change is not None and change.private


def is_private_umask(mask: str) -> bool | None:
    """True when files made under this umask are their owner's alone, False when not, None when it cannot be told (`umask "$before"`)."""
    if re.fullmatch(r"[0-7]{1,4}", mask):
        return int(mask, 8) & 0o066 == 0o066
    change = read_mode(mask)
    return change.private if change else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """The program that really runs behind `sudo`, `docker exec` and the like. `elsewhere`: in a container or, `remote`, on another machine, with another umask.

    `mounts` maps directories in the container to the host's. `script` is the text after `sh -c`. `fleeting`: what is not on a mount goes with the container.
    """

    argv: tuple[Followed, ...]
    elsewhere: bool = False
    remote: bool = False
    fleeting: bool = False
    mounts: tuple[tuple[str, str], ...] = ()
    script: Followed | None = None


_PREFIXES: Mapping[str, str] = {  # wrapper -> its short options that take a value
    "sudo": "ugpCDhrtTU", "doas": "uC", "nice": "n", "ionice": "cnp", "time": "fo", "nohup": "", "exec": "a", "command": "", "builtin": "", "stdbuf": "ioe",
    "setsid": "", "chrt": "", "caffeinate": "", "unbuffer": "", "chronic": "", "eatmydata": "", "firejail": "", "setpriv": "", "systemd-inhibit": "",
}  # fmt: skip
ENGINES = frozenset({"docker", "docker-compose", "podman", "podman-compose", "nerdctl", "kubectl", "oc", "lxc", "incus", "machinectl"})
_REMOTE = frozenset({"ssh", "autossh", "sshpass"})


def unwrap(argv: Argv) -> Inner:  # noqa: PLR0912 - one branch for each kind of wrapper
    """What a command line really runs. An argv whose program is not known comes back empty."""
    words = tuple(argv)
    elsewhere, remote, fleeting = False, False, False
    mounts: tuple[tuple[str, str], ...] = ()
    for _ in range(12):
        if not words:
            break
        name = program(words[0])
        unknown = UNKNOWN.fullmatch(words[0].path) is not None
        if name in _PREFIXES:
            words = _skip_options(words[1:], _PREFIXES[name])
        elif name == "env":
            words = tuple(_drop_assignments(_skip_options(words[1:], "uCS")))
        elif name in ("timeout", "flock", "gosu", "su-exec", "chroot", "setuidgid", "taskset"):
            words = _skip_options(words[1:], "kswE")[1:]
        elif name in ("chpst", "runuser", "su"):
            command = _value(words, "c", ("--command",))
            if command is not None:
                return Inner(argv=words, elsewhere=elsewhere, remote=remote, fleeting=fleeting, mounts=mounts, script=command)
            words = _skip_options(words[1:], "uUgl")
            words = words[1:] if name == "su" else words
        elif (name in ENGINES or unknown) and any(word.path in ("exec", "run") for word in words[1:8]):
            mounts, fleeting = _mounts(words), any(word.path == "--rm" for word in words)
            words, elsewhere = _inner_program(words), True
        elif unknown and len(words) > 1 and program(words[1]) in _UNMISTAKABLE:
            words = words[1:]  # `$NICE pg_dump`: whatever stands before it, or nothing
        elif unknown:
            return Inner(argv=())
        elif name in _REMOTE:
            words, elsewhere, remote = _inner_program(words), True, True
            if len(words) == 1 and " " in words[0].path:
                return Inner(argv=words, elsewhere=True, remote=True, script=words[0])
        elif name in SHELLS:
            script = next((after for word, after in pairwise(words[1:]) if re.fullmatch(r"-[a-z]*c", word.path)), None)
            return Inner(argv=words, elsewhere=elsewhere, remote=remote, fleeting=fleeting, mounts=mounts, script=script)
        else:
            break
    return Inner(argv=words, elsewhere=elsewhere, remote=remote, fleeting=fleeting, mounts=mounts)


def _skip_options(words: Argv, valued: str) -> tuple[Followed, ...]:
    """What is left after leading options; `--` ends them."""
    left = list(words)
    while left and left[0].path.startswith("-") and left[0].path != "-":
        option = left.pop(0).path
        if option == "--":
            break
        if not option.startswith("--") and option[-1] in valued and left:
            left.pop(0)
    return tuple(left)


def _drop_assignments(words: Argv) -> Iterator[Followed]:
    started = False
    for word in words:
        started = started or "=" not in word.path
        if started:
            yield word


def _inner_program(words: Argv) -> tuple[Followed, ...]:
    """The command line inside `docker exec ...` or `ssh host ...`: from the first word that is a program we know, or one text with blanks in it."""
    for index, word in enumerate(words[1:], 1):
        before = words[index - 1].path
        if before.startswith("-") and before in ("-v", "--volume", "--name", "-e", "--env", "-w", "--workdir", "-u", "--user", "--network", "--mount", "-f"):
            continue
        if program(word) in DUMPERS and not word.path.startswith("-"):
            return tuple(words[index:])
        if index == len(words) - 1 and " " in word.path:
            return (word,)
    return ()


_COLON = regex(r":(?![^⟨]*⟩)")  # not inside what is unknown


def _mounts(words: Argv) -> tuple[tuple[str, str], ...]:
    """Where directories of the container lie on the host: `-v /srv/backups:/backup`, `--mount type=bind,source=...,target=...`."""
    found = []
    for word, after in zip(words, (*words[1:], None), strict=False):
        text = word.path.partition("=")[2] if word.path.startswith(("--volume=", "--mount=")) else ""
        if after is not None and word.path in ("-v", "--volume", "--mount"):
            text = after.path
        if text.startswith("type="):
            options = dict(part.partition("=")[::2] for part in text.split(","))
            source, target = options.get("source") or options.get("src", ""), options.get("target") or options.get("dst") or options.get("destination", "")
        else:
            source, target, *_ = [*_COLON.split(text), "", ""]
        if source and target:
            found.append((target.rstrip("/"), source.rstrip("/")))
    return tuple(found)
