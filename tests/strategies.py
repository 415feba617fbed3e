"""What can be thrown at our parsers? The hypothesis strategies that several tests share."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy, composite

# ---- facts/substitution.py and facts/dotenv.py

VARIABLES: SearchStrategy[dict[str, str]] = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(["", "x", "a val", "$A", "}", "{"]) for name in ("A", "B", "FOO", "_x", "K1")}
)

_SUBSTITUTION_TOKENS = (
    *("$", "$$", "${", "}", "{", "A", "B", "FOO", "NO", "N2", "_x", "K1", ":-", "-", ":?", "?", ":+", "+", ":", " ", "x", "\n", '"', "'", "#", "\\"),
    *("1", "é", "\u017f", "\u212a", "${A", "${NO:-", "${B:-", "${NO-", "${A:+", "${B+", "${NO:?", "}}", "{}", "$A", "$NO", "${A}", "${C}"),
)


def substitution_texts() -> SearchStrategy[str]:
    """Texts that are nearly all about `$`, right and wrong ones."""
    return st.lists(st.sampled_from(_SUBSTITUTION_TOKENS), max_size=9).map("".join)


@composite
def references_as_text(draw: DrawFn) -> tuple[str, list[tuple[str, object]]]:
    """A text with well-formed references, and their names and operators in the order in which they stand."""
    from interlock.facts.substitution import Operator

    names = st.sampled_from(["A", "B_2", "_c", "long_name"])
    literals = st.text("abc .-:?+\n", max_size=5)
    found: list[tuple[str, object]] = []

    def reference(depth: int) -> str:
        name, operator = draw(names), draw(st.sampled_from(list(Operator)))
        found.append((name, operator))
        if operator is Operator.NONE:
            return f"${{{name}}}"
        argument = draw(literals).replace("\n", "")
        if depth and draw(st.booleans()):
            argument += reference(depth - 1)
        return f"${{{name}{operator}{argument}}}"

    text = "".join(draw(st.lists(st.one_of(literals, st.just("$$"), st.builds(lambda: "\0")), max_size=6)))
    parts = text.split("\0")
    return "".join(part + (reference(3) if index < len(parts) - 1 else "") for index, part in enumerate(parts)), found


_ENV_TOKENS = (
    *("A", "B", "FOO", "NO", "=", "=", "=", ":", "\n", "\n", "\n", '"', "'", '"', "'", "#", " #", " ", "\t", "\r\n", "\\", "\\n", "\\$", '\\"', "\\'"),
    *("\\0", "\\0123", "\\c", "\\\\", "$A", "$NO", "${NO:-d}", "${A", "}", "$$", "$", "export ", "export", "x", "é", "1", ".", "-", "[", "%", "\xa0", "\x85"),
    *("\u2003", "\ufeff", "\v", "A=", 'B="', "FOO='", "NO=", '"\n', "'\n", "\nA=", "\nexport B=", "\U0001f600"),
)


def env_files() -> SearchStrategy[bytes]:
    """Env files, right and wrong ones."""
    return st.lists(st.sampled_from(_ENV_TOKENS), max_size=14).map(lambda tokens: "".join(tokens).encode())


# ---- facts/compose.py


@composite
def compose_texts(draw: DrawFn) -> bytes:
    """Small overlays for a compose file: mappings and lists below `x-` keys, with the things in them that break one."""
    broken_scalars = ["@x", "*nope", '"open', "[open", "{{ x }}", "`x`", "a: b", "%x", '"\\z"']
    scalars = st.sampled_from(
        ["1", "x", "''", '"a # b"', "~", "|\n      text\n      more", ">-\n      folded", "${A:-b}", "!!str 7", "*known", '"it\\\'s"', *broken_scalars]
    )
    keys = st.sampled_from(["a", "b", "c", '"1"', '"a"', "<<", "? c"])
    lines = ["x-k: &key b", "x-m: &map {k: 1}", "x-s: &known text"]

    def value(key: str, depth: int) -> str:
        if key == "<<":
            return draw(st.sampled_from(["*map", "{z: 1}"]))
        kind = draw(st.integers(0, 5))
        if depth and kind == 0:
            return "\n" + block(depth - 1)
        if kind == 1:
            return "{" + ", ".join(f"{draw(keys)}: 1" for _ in range(draw(st.integers(0, 2)))) + "}"
        if kind == 2:
            return "[" + ", ".join(draw(st.lists(st.sampled_from(["1", "x", "*known", "x"]), max_size=3))) + "]"
        return draw(scalars)

    def block(depth: int) -> str:
        indent = "  " * (3 - depth)
        return "\n".join(f"{indent}{key}: {value(key, depth)}" for key in draw(st.lists(keys, min_size=1, max_size=3)))

    for number in range(draw(st.integers(0, 3))):
        lines.append(f"x-{draw(st.sampled_from(['one', 'two', str(number)]))}:\n{block(2)}")
    extras = [
        "# comment",
        "=======",
        "<<<<<<< HEAD",
        ">>>>>>> main",
        "\tx-tab: 1",
        "---",
        "...",
        "x-q: 'a\n=======\nb'",
        "x-bin: \x7f",
        "x-r: !reset null",
        "- x",
    ]
    for extra in draw(st.lists(st.sampled_from(extras), max_size=2)):
        # A second document is not given aliases of the first one: YAML forbids them, docker compose follows them.
        lines.insert(0 if extra == "---" else draw(st.integers(0, len(lines))), extra)
    return ("\n".join(lines) + draw(st.sampled_from(["\n", ""]))).encode()


# ---- observe/wire.py, observe/reply.py, observe/facts_file.py

FILE_NAMES: SearchStrategy[bytes] = st.one_of(
    st.sampled_from(
        [
            b"a b",
            b" lead",
            b"trail ",
            b"new\nline",
            b"end\n",
            b"\n",
            b"-rf",
            b"'",
            b'"',
            b"$(x)",
            b"\\",
            b"\xff\xfe",
            b"caf\xc3\xa9",
            b"..x",
            b"*",
            b"\x1b[31m",
            b"a\tb",
        ]
    ),
    st.binary(min_size=1, max_size=12).map(lambda name: name.replace(b"\0", b"0").replace(b"/", b"_")),
).filter(lambda name: name not in (b".", b".."))
"""Names of files as hostile as the kernel allows: any byte but NUL and the slash."""


def file_texts() -> SearchStrategy[str]:
    """The same as text."""
    return FILE_NAMES.map(lambda name: name.decode("utf-8", "surrogateescape"))


@composite
def listings(draw: DrawFn) -> tuple[object, ...]:
    """One listing of a walk, as `probe.walk` gives it."""
    from interlock.facts.looks import Entry

    numbers = st.sampled_from([0, 0o100600, 0o040700, 0o120777, 1000, 2**31, 2**62]) | st.integers(0, 5)
    texts = st.just("") | file_texts()

    def entry(name: str) -> Entry:
        return Entry(name, *(draw(numbers) for _ in range(6)), draw(texts), draw(texts))

    entries = [entry(name) for name in draw(st.lists(file_texts(), max_size=5))]
    error = draw(st.sampled_from(["", "EACCES: Permission denied"]))
    device, vanished = draw(st.sampled_from(["", "8:17"])), tuple(draw(st.lists(file_texts(), max_size=2)))
    return "/" + draw(file_texts()), entry(""), [] if error else entries, error, device, vanished


def looks_and_answers() -> SearchStrategy[dict[object, object]]:
    """Looks with answers that fit them."""
    from interlock.facts.looks import FailedLook, Mounts, MountsAnswer, ReadFile, Stat, StatAnswer, User, Walk

    paths, texts = file_texts().map("/{}".format), st.text(max_size=8)
    devices = st.dictionaries(paths, st.sampled_from(["8:1", "254:0"]), max_size=3)
    failed = st.builds(FailedLook, st.sampled_from(["EACCES", "timeout"]), texts)
    present = st.builds(StatAnswer, present=st.just(True), mode=st.integers(0, 0o177777), uid=st.integers(0, 2**32), device=st.just("8:1"), realpath=paths)
    pairs = st.one_of(
        st.tuples(st.builds(ReadFile, paths, st.integers(1, 10**6)), st.binary(max_size=40) | failed),
        st.tuples(st.builds(Stat, paths), present | st.just(StatAnswer(present=False)) | failed),
        st.tuples(st.just(Mounts()), st.builds(MountsAnswer, mountinfo=st.binary(max_size=40), devices=devices, links=devices) | failed),
        st.tuples(st.builds(User, file_texts()), st.none() | st.integers(0, 2**32) | failed),
        st.tuples(st.builds(Walk, paths), failed),
        *(st.tuples(look, answer | failed) for look, answer in _reduced_looks_and_answers(paths)),
    )
    return st.lists(pairs, max_size=6).map(dict)


def _reduced_looks_and_answers(paths: SearchStrategy[str]) -> Iterator[tuple[SearchStrategy[Any], SearchStrategy[Any]]]:
    """The looks that bring less than the bytes that they see."""
    from interlock.facts import looks

    numbers, texts = st.integers(0, 2**62), file_texts()
    space = st.builds(looks.SpaceAnswer, bytes_free=numbers, bytes_total=numbers, inodes_free=numbers, inodes_total=numbers, read_only=st.booleans())
    yield st.builds(looks.Space, paths), space
    files = st.dictionaries(texts, st.binary(max_size=20), max_size=3)
    folder = st.builds(looks.FolderAnswer, files=files, unread=st.dictionaries(texts, texts, max_size=2))
    yield st.builds(looks.ReadFolder, paths, st.lists(texts, max_size=2).map(tuple)), folder
    yield st.builds(looks.List, paths), st.builds(looks.ListAnswer, modes=st.dictionaries(texts, numbers, max_size=3))
    formats = st.sampled_from(["text", "json", "pem", "hex", "base64"])
    secret = st.builds(looks.SecretAnswer, present=st.just(True), regular=st.booleans(), mode=numbers, uid=numbers, blank=st.booleans(), fault=texts)
    yield st.builds(looks.Secret, paths, formats), secret | st.just(looks.SecretAnswer(present=False))
    examined = st.builds(
        looks.Examined,
        name=texts,
        size=numbers,
        mtime=numbers,
        sha256=st.sampled_from(["", "sha256:" + "0" * 64]),
        format=st.sampled_from(["tar", "pg-custom", "pg-plain", "rdb", "unknown"]),
        compression=st.sampled_from(["", "gzip", "zstd"]),
        whole=st.none() | st.booleans(),
        fault=texts,
        members=numbers,
        names=st.lists(texts, max_size=3).map(tuple),
        notes=st.dictionaries(st.sampled_from(["server_version", "database"]), texts, max_size=2),
        manifest=texts,
    )
    yield st.builds(looks.Examine, paths), st.builds(looks.ExamineAnswer, files=st.lists(examined, max_size=3).map(tuple))
    engine = st.builds(looks.Engine, paths, st.lists(texts, max_size=2).map(tuple), st.booleans(), st.lists(paths, max_size=2).map(tuple))
    yield engine, st.builds(looks.EngineAnswer, content=st.binary(max_size=40))
    roots = st.lists(paths, max_size=2).map(tuple)
    shadow = st.builds(looks.Shadow, paths, paths, st.lists(texts, max_size=3).map(tuple), numbers, numbers, st.booleans(), texts)
    yield st.builds(looks.Shadows, roots), st.builds(looks.ShadowsAnswer, shadows=st.lists(shadow, max_size=3).map(tuple))
    owned = st.builds(looks.OwnedFiles, numbers, numbers, st.lists(texts, max_size=3).map(tuple))
    answer = st.builds(looks.OwnersAnswer, owners=st.lists(owned, max_size=3).map(tuple), complete=st.booleans(), unread=st.lists(texts, max_size=2).map(tuple))
    yield st.builds(looks.Owners, paths, numbers), answer


# ---- config: site files and YAML texts

# What a YAML file may hold unescaped, and what has a meaning to YAML, to `$` and to path code.
_PRINTABLE = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\u2028\u2029\ufeff\ufffe\uffff$")
_TRICKY = st.sampled_from(
    [
        "yes",
        "no",
        "on",
        "null",
        "~",
        "0600",
        "0o7",
        "1_000",
        "1e3",
        "22:22",
        "2026-01-01",
        ".inf",
        "=",
        "<<",
        "- x",
        "a: b",
        "a #b",
        "#",
        "!x",
        "&x",
        "*x",
        "{",
        "'",
    ]
)


def texts() -> SearchStrategy[str]:
    """Texts that are not empty, many of which YAML would take for something else."""
    return st.one_of(_TRICKY, st.text(_PRINTABLE, min_size=1, max_size=12))


def names() -> SearchStrategy[str]:
    """What an operator may call a host, module, instance or the like."""
    return st.builds(str.__add__, st.sampled_from("abcXYZ019"), st.text("abXY01._-", max_size=6))


def relative_paths() -> SearchStrategy[str]:
    """Paths without empty steps, `.` and `..`."""
    step = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="/\u2028\u2029\ufeff\ufffe\uffff$"), min_size=1, max_size=6)
    return st.lists(step.filter(lambda text: text not in (".", "..")), min_size=1, max_size=3).map("/".join)


def absolute_paths() -> SearchStrategy[str]:
    """The same from the root on."""
    return relative_paths().map("/".__add__)


def _noun(required: dict[str, SearchStrategy[Any]], /, **optional: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


_DURATIONS = st.one_of(st.integers(1, 999_999_999), st.builds("{}{}".format, st.integers(1, 9999), st.sampled_from("smhd")))
_ARGV = st.lists(texts(), min_size=1, max_size=3)
_SEVERITIES = st.sampled_from(["critical", "high", "medium", "low"])
_MODES = st.integers(0, 0o777).map("{:04o}".format)
_SCALARS = st.one_of(texts(), st.integers(-5, 5), st.booleans(), st.none())
# A name of the site itself stands as a number until the names are drawn: how often to step through them.
_NTH = st.integers(0, 5)
_NTHS = st.lists(st.integers(0, 1), min_size=1, max_size=2, unique=True)

_HOSTS = _noun(
    {},
    ssh=_noun({"destination": st.sampled_from(["h", "u@h.example"])}, port=st.integers(1, 65535), identity_file=texts()),
    become=st.just("sudo -n"),
    timeout=_DURATIONS,
    engine=absolute_paths(),
    volumes=absolute_paths(),
)
_CLASSES = st.sampled_from("ABCDEFG")
_SIZES = st.one_of(st.integers(0, 10**17), st.builds("{}{}".format, st.integers(0, 999), st.sampled_from(["", "K", "M", "G", "T"])))
_DISK: dict[str, SearchStrategy[Any]] = {
    "host": _NTH,
    "min_free": _SIZES,
    "min_free_inodes": st.integers(0, 10**6),
    "unconfirmed": st.booleans(),
    "subvolume": absolute_paths(),
    "markers": st.lists(texts(), min_size=1, max_size=2, unique=True),
}
_OTHER_MOUNTS = st.one_of(
    _noun({"path": absolute_paths()}, host=_NTH, device=texts(), fstype=texts(), options=st.lists(texts(), min_size=1, max_size=2, unique=True)),
    _noun({"each_below": absolute_paths()}, host=_NTH, fstype=texts()),
)
_MODULES = _noun(
    {"paths": st.lists(absolute_paths().map("/data".__add__), min_size=1, max_size=2, unique=True), "owner": names()},
    host=_NTH,
    container=names(),
    volumes=st.lists(texts(), min_size=1, max_size=2, unique=True),
    fresh_for=_DURATIONS,
    busy=st.booleans(),
    restore_note=relative_paths(),
    procedure=relative_paths(),
    decision=texts(),
    unconfirmed=st.booleans(),
    **{"class": _CLASSES},
)
_DATABASES = _noun({}, timeout=_DURATIONS, unconfirmed=st.booleans())
_HTTP: dict[str, SearchStrategy[Any]] = {"status": st.integers(100, 599), "contains": texts()}
_HEALTH = _noun(
    {"url": st.sampled_from(["http://x", "https://x:1/y?z"])},
    **_HTTP,
    host=_NTH,
    reads=_noun({"url": st.just("http://x/1")}, **_HTTP),
    attempts=st.integers(1, 1000),
    every=_DURATIONS,
    timeout=_DURATIONS,
)
_STATE_DIR = _noun(
    {"path": absolute_paths()},
    host=_NTH,
    variable=st.sampled_from(["STATE_DIR", "_x1"]),
    default=st.sampled_from(["${DATA_DIR}/state", "/data/state", "$X"]),
    values=st.dictionaries(texts(), texts(), max_size=2),
    env_file=relative_paths(),
    host_env_file=absolute_paths(),
    container_path=absolute_paths(),
    services=st.lists(names(), min_size=1, max_size=2, unique=True),
    readers=st.lists(relative_paths(), min_size=1, max_size=2, unique=True),
    writers=st.lists(st.one_of(names(), st.integers(0, 70000)), min_size=1, max_size=2, unique=True),
    secrets=st.dictionaries(
        names(), _noun({"path": texts()}, format=st.sampled_from(["text", "json", "pem", "hex", "base64"]), mode=_MODES, owner=names()), max_size=2
    ),
    precedence=st.dictionaries(names(), _noun({"state": texts(), "fallback": absolute_paths()}), max_size=2),
)
_AUTOMATION = _noun(
    {},
    apply=st.lists(relative_paths(), min_size=1, max_size=2, unique=True),
    workflows=st.lists(relative_paths(), min_size=1, max_size=2, unique=True),
    reviewed=st.lists(texts(), min_size=1, max_size=2, unique=True),
    crontabs=st.lists(relative_paths(), min_size=1, max_size=2, unique=True),
    hosts=_NTHS,
    automatic=st.lists(_noun({"path": relative_paths(), "reason": texts(), "owner": texts()}), max_size=2),
    gate=relative_paths(),
    gate_check=texts(),
    forge=_noun(
        {"kind": st.sampled_from(["github", "forgejo", "gitea"]), "url": st.just("https://f/api"), "repository": st.just("a/b")},
        branch=texts(),
        token_env=st.just("T"),
    ),
)
_EXPOSURE = _noun(
    {},
    hosts=_NTHS,
    public=st.lists(_noun({"port": st.integers(1, 65535), "reason": texts()}, protocol=st.sampled_from(["tcp", "udp"])), max_size=2),
    refused=st.dictionaries(names(), _noun({"url": st.just("https://x")}, status=st.lists(st.integers(300, 599), min_size=1, max_size=2)), max_size=2),
)
_EXCLUDED = st.one_of(
    *(_noun({kind: texts(), "reason": texts()}) for kind in ("container", "volume", "database")), _noun({"mount": absolute_paths(), "reason": texts()})
)
_INSTANCES = _noun({}, host=_NTH, values=st.dictionaries(texts(), st.one_of(texts(), st.just("")), max_size=2), env_file=relative_paths())
_TEMPLATES = _noun(
    {"template": relative_paths(), "canonical": relative_paths()},
    renderer=st.sampled_from(["copy", "substitute"]),
    mode=_MODES,
    header=st.one_of(_noun({"lines": st.integers(1, 100)}), _noun({"marker": texts()})),
)
_LOOK: dict[str, SearchStrategy[Any]] = {
    "host": _NTH,
    "when": st.sampled_from([["preflight"], ["postflight"], ["postflight", "preflight"]]).map(list),
    "severity": _SEVERITIES,
    "attempts": st.integers(1, 1000),
    "every": _DURATIONS,
    "timeout": _DURATIONS,
}
_EXPECTATIONS = st.one_of(
    _noun({"file": _noun({"path": absolute_paths()}, mode=_MODES, owner=names(), contains=texts())}, **_LOOK),
    _noun({"port": _noun({"address": st.sampled_from(["127.0.0.1:1", "[::1]:65535"])}, listening=st.booleans())}, **_LOOK),
    _noun(
        {
            "http": _noun(
                {"url": st.sampled_from(["http://x", "https://x:1/y?z"])},
                status=st.integers(100, 599),
                contains=texts(),
                json=st.dictionaries(texts(), st.one_of(_SCALARS, st.lists(_SCALARS, max_size=2)), max_size=2),
            )
        },
        **_LOOK,
    ),
    _noun({"command": _noun({"run": _ARGV}, exit=st.integers(0, 255), stdout_contains=texts())}, **_LOOK),
    _noun({"sql": _noun({"dsn_env": st.sampled_from(["A", "_b1"]), "query": texts(), "value": _SCALARS})}, **_LOOK),
)
_PATCHES = st.dictionaries(st.sampled_from(["RELEASE", "_b1", "TZ"]), texts(), min_size=1, max_size=2)
_NTHS_OF_NAMES = st.lists(names(), min_size=1, max_size=2, unique=True)
_REMOUNTS = st.lists(absolute_paths(), min_size=1, max_size=2, unique=True)
_STEPS = st.one_of(
    _noun({"command": _noun({"run": _ARGV}, undo=_ARGV, done=_ARGV, host=_NTH, directory=absolute_paths(), timeout=_DURATIONS, remounts=_REMOUNTS)}),
    _noun({"backup": _noun({"modules": _NTHS})}),
    _noun({"write-files": _noun({"templates": _NTHS}, instances=_NTHS, resized=_NTHS)}),
    _noun({"verify": _noun({"expect": _NTHS})}, needs=_NTHS),
    _noun({"env-patch": _noun({"file": relative_paths(), "values": _PATCHES, "instances": _NTHS})}),
    _noun({"env-patch": _noun({"file": absolute_paths(), "values": _PATCHES}, host=_NTH)}),
    _noun(
        {
            "compose": _noun(
                {"run": st.sampled_from(["pull", "build", "up", "start", "stop", "down"])},
                services=_NTHS_OF_NAMES,
                timeout=_DURATIONS,
                afterwards=st.booleans(),
            )
        }
    ),
    _noun({"gate": _noun({"guardrails": st.lists(texts(), min_size=1, max_size=2, unique=True)}, afterwards=st.booleans())}),
    _noun({"approval": _noun({"asks": texts()}, required=st.integers(1, 10), by=st.lists(texts(), min_size=1, max_size=2, unique=True))}),
)
_ACTIONS = _noun(
    {"steps": st.lists(_STEPS, min_size=1, max_size=3)},
    approval=st.sampled_from(["signature", "operator"]),
    timeout=_DURATIONS,
    gate=st.lists(texts(), min_size=1, max_size=2, unique=True),
    becomes=texts(),
)
_TABLES = st.fixed_dictionaries(
    {
        section: st.dictionaries(names(), noun, max_size=2)
        for section, noun in {
            "hosts": _HOSTS,
            "modules": _MODULES,
            "databases": _DATABASES,
            "health": _HEALTH,
            "instances": _INSTANCES,
            "templates": _TEMPLATES,
            "expect": _EXPECTATIONS,
            "actions": _ACTIONS,
        }.items()
    }
)
_JOBS = _noun(
    {"runner": st.sampled_from(["github", "forgejo", "gitea", "gitlab", "woodpecker"]), "repository": st.sampled_from(["ops/app", "a/b"]), "job": texts()},
    workflow=texts(),
    ref=texts(),
)
_APPROVAL = _noun(
    {"allowed_signers": texts()},
    required=st.integers(1, 10),
    self_approval=st.booleans(),
    revoked=texts(),
    jobs=st.dictionaries(names(), _JOBS, max_size=2),
    issue=_noun(
        {"forge": _noun({"kind": st.sampled_from(["github", "forgejo", "gitea"]), "url": st.just("https://forge.example"), "repository": st.just("a/b")})},
        state=st.sampled_from(["open", "closed", "any"]),
        require_labels=st.lists(texts(), min_size=1, max_size=2, unique=True),
        forbid_labels=st.lists(texts(), min_size=1, max_size=2, unique=True),
    ),
)
_REST = _noun(
    {"interlock": st.just(1), "site": names(), "approval": _APPROVAL},
    gate=_noun({}, shut_at=_SEVERITIES),
    compose=_noun({"files": st.lists(relative_paths(), min_size=1, max_size=2, unique=True)}),
    scripts=_noun({"files": st.lists(relative_paths(), min_size=1, max_size=2, unique=True)}, found=st.booleans()),
    mounts=_noun(
        {"state": _noun({"path": absolute_paths(), "device": texts()}, **_DISK)},
        data=_noun({"path": absolute_paths(), "device": texts()}, **_DISK),
        others=st.dictionaries(names(), _OTHER_MOUNTS, max_size=2),
    ),
    state_dir=_STATE_DIR,
    automation=_AUTOMATION,
    exposure=_EXPOSURE,
    inventory=_noun(
        {},
        modules=st.lists(texts(), min_size=1, max_size=2, unique=True),
        classes=st.lists(_noun({"name": texts(), "class": _CLASSES}), max_size=2, unique_by=operator.itemgetter("name")),
    ),
    excluded=st.lists(_EXCLUDED, max_size=2),
    waivers=relative_paths(),
    reports=texts(),
)


@composite
def site_data(draw: DrawFn) -> dict[str, Any]:
    """All that a valid site file can say, as plain data: what is named exists, and nothing contradicts itself."""
    site, tables = draw(_REST), draw(_TABLES)
    if not tables["instances"]:
        tables["templates"] = {}
    for number, entry in enumerate((*tables["modules"].values(), *tables["instances"].values(), *tables["templates"].values())):
        key = "backups" if "paths" in entry else "target" if "template" in entry else "directory"
        entry[key] = f"{'' if key == 'target' else '/srv/'}place-{number}"
    for number, entry in enumerate(tables["databases"].values()):
        entry["dsn_env"] = f"DSN_{number}"
    if len(names_of := list(tables["databases"])) == 2:
        site["parity"] = {"move": {"source": names_of[0], "target": names_of[1]}}
    else:
        site["not_used"] = {"parity": draw(texts())}
    known = {"host": [*tables["hosts"], "local"], **{section: list(tables[section]) for section in ("modules", "templates", "instances", "expect")}}
    known["resized"], known["needs"] = known["templates"], known["expect"]
    for action in tables["actions"].values():
        named = [step for step in action["steps"] if all(known.get(key, True) for part in step.values() if isinstance(part, dict) for key in part)]
        action["steps"] = named or [{"command": {"run": ["true"]}}]
    _name(tables["actions"], known)
    _name([*(tables[section] for section in ("modules", "instances", "expect", "health")), site.get("mounts"), site.get("state_dir")], {"host": known["host"]})
    _name([site.get("automation"), site.get("exposure")], {"hosts": known["host"]})
    return {**site, **{section: table for section, table in tables.items() if table}}


def _name(data: Any, known: dict[str, list[str]]) -> None:
    """Put names in the places of numbers, each once."""
    for key, value in list(data.items()) if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        if key in known and isinstance(value, int):
            data[key] = known[key][value % len(known[key])]
        elif key in known and isinstance(value, list) and all(isinstance(number, int) for number in value):
            data[key] = list(dict.fromkeys(known[key][number % len(known[key])] for number in value))
        else:
            _name(value, known)


@composite
def yaml_of(draw: DrawFn, data: object) -> str:
    """One of the many ways to write plain data as YAML."""
    import json

    import yaml

    class Quoting(yaml.SafeDumper):
        """Quotes every text: PyYAML writes YAML 1.1, where `0o7` is text."""

    quote = draw(st.sampled_from(['"', "'"]))
    Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style=quote))
    if draw(st.booleans()):
        return json.dumps(data, ensure_ascii=False, indent=draw(st.sampled_from([None, 1])))
    flow, width = draw(st.sampled_from([None, False, True])), draw(st.sampled_from([20, 1000]))
    return yaml.dump(data, Dumper=Quoting, allow_unicode=True, default_flow_style=flow, width=width, sort_keys=False)


_YAML_TOKENS = (
    *(
        "a",
        "b",
        "key",
        "1",
        "yes",
        ":",
        ": ",
        ":\n",
        "- ",
        "-",
        "\n",
        "\n ",
        "\n  ",
        " ",
        "\t",
        '"',
        "'",
        "[",
        "]",
        "{",
        "}",
        ",",
        "#",
        " #",
        "&x ",
        "*x",
        "<<: *x\n",
    ),
    *(
        "!t ",
        "!!str ",
        "!reset ",
        "| \n",
        "> \n",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "@",
        "`",
        "%",
        "? ",
        "=",
        "\r\n",
        "é",
        "\U0001f600",
        "\\",
        '"\\x"',
        "a: 1\n",
        "~",
    ),
    *("<<<<<<< HEAD\n", "=======\n", ">>>>>>> x\n", "||||||| x\n", "${A}", "$$", "\ufeff", "\x85", "\u2028", "\x00", "\x07"),
)


def yaml_texts() -> SearchStrategy[str]:
    """Texts made of what means something to YAML, nearly all of them wrong."""
    return st.lists(st.sampled_from(_YAML_TOKENS), max_size=16).map("".join)


@composite
def mutations(draw: DrawFn, text: str) -> str:
    """A text with a few of its pieces removed, doubled, exchanged or replaced."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 20)))
        piece = draw(st.one_of(st.sampled_from(_YAML_TOKENS), st.just(text[start:end] * 2), st.just("")))
        text = text[:start] + piece + text[end:]
    return text


@composite
def laid_out_yaml(draw: DrawFn) -> tuple[str, dict[tuple[str | int, ...], tuple[int, int]]]:
    """A YAML text that is written here by hand, and where in it each key path was put: line and column, from 1."""
    lines: list[str] = []
    places: dict[tuple[str | int, ...], tuple[int, int]] = {}
    keys = st.lists(st.sampled_from(["a", "b", '"c d"', "'e'", "é", "😀", "f.g", "x-y", "0x", "key with spaces"]), min_size=1, max_size=3, unique=True)
    ends = st.sampled_from(["\n", "\r\n"])
    end = draw(ends)

    def flow(path: tuple[str | int, ...], line: str) -> str:
        """Append a flow list of scalars to `line`, noting where each begins."""
        parts = draw(st.lists(st.sampled_from(["1", "x", '"q, r"', "{k: v}"]), max_size=3))
        for index, part in enumerate(parts):
            line += "[" if index == 0 else ", "
            places[*path, index] = (len(lines) + 1, len(line) + 1)
            if part == "{k: v}":
                places[*path, index, "k"] = (len(lines) + 1, len(line) + 2)
            line += part
        return line + ("]" if parts else "[]")

    def block(path: tuple[str | int, ...], indent: int, depth: int) -> None:
        as_list = bool(path) and draw(st.booleans())
        members = [(f"{key}:", key.strip("'\"")) for key in draw(keys)] if not as_list else [("-", index) for index in range(draw(st.integers(1, 3)))]
        for written, step in members:
            if draw(st.integers(0, 5)) == 0:
                lines.append(draw(st.sampled_from(["", " " * indent + "# a comment: x", "#"])))
            here = (*path, step)
            line = " " * indent + written
            if depth and draw(st.booleans()):
                if not as_list:
                    places[here] = (len(lines) + 1, indent + 1)
                lines.append(line)
                below = indent + draw(st.integers(1, 4))
                if as_list:
                    places[here] = (len(lines) + 1, below + 1)
                first = len(lines)
                block(here, below, depth - 1)
                if as_list:  # the item begins where its first key or dash stands, behind comments and blank lines
                    skipped = next(number for number, text in enumerate(lines[first:]) if text.strip() and not text.strip().startswith("#"))
                    places[here] = (first + skipped + 1, below + 1)
            else:
                gap = line + " " * draw(st.integers(1, 3))
                places[here] = (len(lines) + 1, len(gap) + 1 if as_list else indent + 1)
                lines.append(flow(here, gap) if draw(st.booleans()) else gap + draw(st.sampled_from(["1", "text", '"a: b # c"', "'it''s'", "null"])))

    block((), 0, 3)
    return end.join(lines) + end, places


# ---- gate/journal.py

_JSON_LEAVES: SearchStrategy[object] = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53) + 1, 2**53 - 1), st.text(st.characters(codec="utf-8"), max_size=12)
)


def json_documents() -> SearchStrategy[object]:
    """What a canonical JSON document may hold; no floats, which no document of ours has."""
    return st.recursive(
        _JSON_LEAVES,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=6), inner, max_size=3)),
        max_leaves=8,
    )


@composite
def journal_trails(draw: DrawFn) -> object:
    """A whole journal as a runner could have written it, chained and digested."""
    from interlock.gate.journal import Entry, Kind, Trail

    kinds = draw(st.lists(st.sampled_from([kind for kind in Kind if kind is not Kind.BEGUN]), max_size=6))
    entries: list[Entry] = []
    for number, kind in enumerate([Kind.BEGUN, *kinds], start=1):
        data = draw(st.dictionaries(st.sampled_from(["a", "é"]), _JSON_LEAVES, max_size=1))
        prev = entries[-1].digest if entries else ""
        entries.append(Entry(seq=number, time=f"2026-11-20T21:00:{number:02d}Z", kind=kind, step=draw(st.integers(0, 3)), data=data, prev=prev))
    return Trail(id="000001-release-aaaaaaaa", entries=tuple(entries))


# ---- facts/shell.py

_SHELL_TOKENS = (
    *("a", "b", "if", "then", "fi", "for", "x", "in", "do", "done", "case", "esac", "while", "{", "}", "(", ")", "((", "))", "[[", "]]", "[", "]"),
    *("function", ";", ";;", ";;&", "&", "&&", "|", "||", "!", "\n", "\n", " ", " ", "\t", "\\", "\\\n", "'", '"', "`", "$", "$(", "${", "$x", "${x:-"),
    *("$((", "<", ">", ">>", "<<EOF\n", "<<'EOF'\n", "\nEOF\n", "<<<", "2>&1", "&>", "<(", ">(", "=", "x=", "x+=(", "#", "# c\n", "umask 077"),
    *("pg_dump", "\r\n", "\x00", "\xff", "é", "-"),
)


def shell_texts() -> SearchStrategy[bytes]:
    """Texts that are nearly shell scripts, right and wrong ones."""
    return st.lists(st.sampled_from(_SHELL_TOKENS), max_size=25).map(lambda tokens: "".join(tokens).encode("latin-1", "replace"))


@composite
def shell_commands(draw: DrawFn) -> tuple[str, list[list[str]]]:
    """Simple commands as a script, and the words that the shell sees of each, in order."""
    import shlex

    words = st.text(st.characters(codec="ascii", exclude_categories=("Cc",)), min_size=1, max_size=6)
    names = st.from_regex(r"[a-z][a-z0-9_-]{0,5}", fullmatch=True).filter(lambda name: name not in _RESERVED)
    commands = draw(st.lists(st.tuples(names, st.lists(words, max_size=3)).map(lambda pair: [pair[0], *pair[1]]), min_size=1, max_size=5))

    def quoted(word: str) -> str:
        return draw(st.sampled_from([shlex.quote(word), '"' + "".join("\\" + c if c in '"\\$`' else c for c in word) + '"']))

    lines = [" ".join([command[0], *(quoted(word) for word in command[1:])]) for command in commands]
    separators = [draw(st.sampled_from(["\n", " ; ", " && ", " || ", " | ", "\n# a comment\n", " |\n"])) for _ in lines[1:]]
    return lines[0] + "".join(separator + line for separator, line in zip(separators, lines[1:], strict=True)) + "\n", commands


_RESERVED = frozenset(
    ("if", "then", "else", "elif", "fi", "for", "in", "do", "done", "while", "until", "case", "esac", "select", "function", "time", "coproc", "let")
)


# ---- facts/exposure.py


def socket_tables() -> SearchStrategy[Any]:
    """Sockets of one of the kernel's tables: all of one version of IP."""
    from interlock.facts.exposure import Socket

    def table(version: int) -> SearchStrategy[Any]:
        addresses, ports = st.ip_addresses(v=version), st.integers(0, 65535)  # type: ignore[arg-type]
        one = st.builds(Socket, address=addresses, port=ports, remote=addresses, remote_port=ports, state=st.integers(1, 12))
        return st.lists(one, max_size=5).map(tuple)

    return st.sampled_from([4, 6]).flatmap(table)


# ---- facts/state_dir.py

_STATE_DIR_TOKENS = (
    *("STATE_DIR=", "DATA_DIR=", "STATE_DIR", "export ", "\n", "\n", "/data", "-state", "/", "//", "/.", "/..", "..", "state", "~", " ", '"', "'", "#", " #"),
    *("$DATA_DIR", "${DATA_DIR}", "${DATA_DIR:-/mnt}", "${STATE_DIR}", "$NO", "${NO:?say it}", "${NO", "$$", "\\n", "STATE_DIR=/data-state", "A B=1", "=", ":"),
)


def state_dir_env_files() -> SearchStrategy[bytes]:
    """Env files that are about where state lives, right and wrong ones."""
    return st.lists(st.sampled_from(_STATE_DIR_TOKENS), max_size=9).map(lambda tokens: "".join(tokens).encode())


# ---- facts/env_layers.py

_LAYERED_NAMES = ("STATE_DIR", "DATA_DIR", "A", "B")
_LAYERED_PIECES = (
    *("/data", "-state", "/", "..", "/srv", "", " ", " #c", "#", "$$", "$", "\\n", "'", '"', "$A", "${B}", "$STATE_DIR", "${DATA_DIR}", "${NO}"),
    *("${A:-/a}", "${B-/b}", "${STATE_DIR:-${DATA_DIR:-/data}/state}", "${DATA_DIR:-${A:-${B-x}}}", "${A:+${B}}", "${B+y}", "${A?say}", "${NO:?say it}"),
)


def _layered_values() -> SearchStrategy[str]:
    return st.lists(st.sampled_from(_LAYERED_PIECES), max_size=3).map("".join)


@composite
def layered_env_files(draw: DrawFn) -> bytes:
    """An env file of a few lines about four variables, some of them twice, nearly always a right one."""
    lines = []
    for _ in range(draw(st.integers(0, 5))):
        name, value, quote = draw(st.sampled_from(_LAYERED_NAMES)), draw(_layered_values()), draw(st.sampled_from(("", "", "'", '"')))
        value = value.replace(quote, "") if quote else value.lstrip("'\"")
        export, end = draw(st.sampled_from(("", "", "export "))), draw(st.sampled_from(("\n", "\n", "\r\n", " # why\n", "\n\n# STATE_DIR=/no\n")))
        lines.append(draw(st.sampled_from((*(f"{export}{name}={quote}{value}{quote}{end}",) * 5, f"{name}\n", f"{name}=\n"))))
    return (draw(st.sampled_from(("", "", "\ufeff"))) + "".join(lines)).encode()


def layered_environments() -> SearchStrategy[dict[str, str | None]]:
    """What may stand under `environment:`, by name; None for a name alone."""
    return st.dictionaries(st.sampled_from(_LAYERED_NAMES), st.one_of(st.none(), _layered_values().filter(lambda text: "${NO:?" not in text)), max_size=3)


def layered_shells() -> SearchStrategy[dict[str, str]]:
    """What the shell has that starts the stack."""
    return st.dictionaries(st.sampled_from(_LAYERED_NAMES), st.sampled_from(("", "/sh", "$A", "a b")), max_size=2)


# ---- facts/catalogue.py


@composite
def catalogues(draw: DrawFn) -> Any:
    """Catalogues with a few schemas, tables and what belongs to them; each key once, every parent there."""
    from interlock.facts.catalogue import Catalogue, Kind, Object, Server

    names = st.sampled_from(["a", "b", "B", "a.b", '"', "é c"])
    traits = st.sampled_from([(), (("type", "a"),), (("default", ""), ("row security", "on")), (("definition", "a 'b'"), ("type", "it''s"))])
    grants = st.sampled_from([(), (("its owner", frozenset({"SELECT"})),), (("public", frozenset({"UPDATE"})), ("role a", frozenset({"SELECT", "UPDATE"})))])

    def made(kind: Kind, path: tuple[str, ...], parent: tuple[str, ...]) -> Object:
        return Object(kind=kind, path=path, parent=parent, traits=draw(traits), grants=draw(grants))

    objects = [made(Kind.DATABASE, (), ())]
    for schema in draw(st.lists(names, unique=True, min_size=1, max_size=2)):
        objects.append(made(Kind.SCHEMA, (schema,), ()))
        for table in draw(st.lists(names, unique=True, max_size=3)):
            objects.append(made(Kind.TABLE, (schema, table), (schema,)))
            for kind in (Kind.COLUMN, Kind.CONSTRAINT):
                objects += [made(kind, (schema, table, name), (schema, table)) for name in draw(st.lists(names, unique=True, max_size=2))]
            if draw(st.booleans()):
                objects += [made(Kind.INDEX, (schema, f"{table}_i"), (schema, table)), made(Kind.FUNCTION, (schema, table), (schema,))]
    server = Server(version=160000, system_identifier="1", database_oid=1, started="then", in_recovery=False)
    return Catalogue(server=server, objects=tuple(objects))


def sql_definitions() -> SearchStrategy[str]:
    """Texts that are nearly definitions as PostgreSQL prints them."""
    tokens = (
        "(",
        ")",
        "[",
        "]",
        "ARRAY",
        "::",
        ":",
        ", ",
        ",",
        "'a'",
        "'it''s'",
        "'",
        '"b"',
        '"',
        ".",
        "text",
        "character varying",
        "[]",
        " ",
        "\n",
        "(ARRAY[",
        "])::text[]",
        "é",
    )
    return st.lists(st.sampled_from(tokens), max_size=14).map("".join)


# ---- automation: crontab lines, and conditions beside what Python says of them


def cron_lines() -> SearchStrategy[tuple[str, str, str]]:
    """When, command and input of a crontab's line; commands hold percent signs and blanks."""
    number = st.integers(0, 59).map(str)
    one = st.one_of(st.just("*"), number, st.builds("{}-{}".format, number, number), st.builds("*/{}".format, st.integers(1, 30)), st.just("MON"))
    schedule = st.one_of(st.lists(one, min_size=5, max_size=5).map(" ".join), st.sampled_from(["@daily", "@reboot", "@hourly"]))
    text = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\\"), min_size=1, max_size=12)
    words = st.lists(text, min_size=1, max_size=3).map(" ".join)
    return st.tuples(schedule, words.map("run {}".format), st.one_of(st.just(""), words))


def expressions() -> SearchStrategy[tuple[str, str]]:
    """A forge's expression of values that are known, and the same in Python."""
    pushed = ("github.event_name == 'push'", "(event == 'push')")
    leaf = st.sampled_from([("true", "True"), ("false", "False"), pushed, ("github.event_name != 'push'", "(event != 'push')"), ("always()", "True")])

    def deeper(inner: SearchStrategy[tuple[str, str]]) -> SearchStrategy[tuple[str, str]]:
        both = st.tuples(inner, inner)
        return st.one_of(
            inner.map(lambda one: (f"!({one[0]})", f"(not {one[1]})")),
            both.map(lambda two: (f"({two[0][0]} && {two[1][0]})", f"({two[0][1]} and {two[1][1]})")),
            both.map(lambda two: (f"({two[0][0]} || {two[1][0]})", f"({two[0][1]} or {two[1][1]})")),
        )

    return st.recursive(leaf, deeper, max_leaves=8)


# ---- facts/env_patches.py

_VALUE_TOKENS = (
    *("a", "x y", " ", "\t", "\n", "\r\n", "\r", "'", '"', "$", "$$", "${A}", "$HOME", "${", "}", "#", " #", "\\", "\\n", "\\0123", "\\'", '\\"'),
    *("=", ":", "%", "é", "\xa0", "\x85", "\u2003", "\ufeff", "\U0001f600", "`id`", ";", "&", "postgres://u:p@h/d", "{}", "\x07", "\v", "\f", "export ", "A=1"),
)


def env_values() -> SearchStrategy[str]:
    """What somebody may want a variable to be: any text, but mostly what is dangerous in an env file."""
    any_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
    return st.one_of(st.lists(st.sampled_from(_VALUE_TOKENS), max_size=6).map("".join), any_text)


@composite
def patchable_env_files(draw: DrawFn) -> bytes:
    """Env files as people write them: comments, blank lines, every quote, names twice and alone, either line end, none at the end, a byte order mark."""
    names = st.sampled_from(["A", "B", "FOO", "_x", "lower.case-1"])
    bare = st.sampled_from(["1", "", "some words", "http://h:1/?a=b&c", "$A", "${B:-x}", "a$$b", "x#y", "it's", "{}"])
    inside = st.sampled_from(["1", "", "a # b", "$A", "one\ntwo", "\\\\", "a\\nb", "\\$5", "é"])
    value = st.one_of(bare, inside.map("'{}'".format), inside.map('"{}"'.format))
    statement = st.builds("{}{}{}{}".format, st.sampled_from(["", "", "export ", "  "]), names, st.sampled_from(["=", "=", " = ", ":"]), value)
    line = st.one_of(
        st.builds("{}{}".format, statement, st.sampled_from(["", "", "  # why", " \t"])), st.sampled_from(["", "# a comment", "#A=1", "FOO", "export B"])
    )
    end = draw(st.sampled_from(["\n", "\r\n"]))
    lines = draw(st.lists(line, max_size=6))
    text = draw(st.sampled_from(["", "", "\ufeff"])) + "".join(line + end for line in lines)
    if lines and "=" in lines[-1] and draw(st.booleans()):
        text = text.removesuffix(end)
    return text.encode()


# ---- facts/markdown.py, facts/task_names.py and facts/workplans.py

_MARKDOWN_LINES = (
    *("", " ", "\t", "text", "  text", "    code", "# Open Human Decisions", "### T1 - a task", "Setext", "===", "---", "***", "**Open Human Decisions**"),
    *("- item", "  - below", "1. item", "2) item", "10. item", "   decided: this, alice, 2026-05-20", "- [x] done", "* ", "-", "\t- tab", "> quote", "| a |"),
    *("```", "```task", "  ```task", "- ```task", "~~~task", "~~~", "````", "``` task x", "`code`", "<!--", "-->", "<!-- a -->", "`<!--`", "<!-- a --> b <!--"),
    *("id: T1", "status: done", "status: [", "after: [T1]", "needs_human: true", "type: workplan", "readiness: ready", "before T1/T2", "T1 to T3", "\u2028"),
)


def markdown_texts() -> SearchStrategy[str]:
    """Pages of all that means something in Markdown, with any line ends; and any text."""
    ends = st.sampled_from(["\n", "\n", "\n", "\r\n", "\r"])
    lines = st.lists(st.tuples(st.sampled_from(_MARKDOWN_LINES), ends).map("".join), max_size=30).map("".join)
    front = st.sampled_from(["", "", "---\ntype: workplan\n---\n", "\ufeff---\r\ntype: workplan\r\n---\r\n", "---\n"])
    return st.one_of(st.tuples(front, lines).map("".join), st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=200))


@composite
def workplan_texts(draw: DrawFn) -> tuple[str, list[tuple[str, str, int]], list[tuple[int, bool]]]:
    """A page, its tasks (id, status and the line of the status), and its decisions (number, and whether it is decided)."""
    indent, mark, fence = draw(st.sampled_from(["", " ", "  "])), draw(st.sampled_from("-*+")), draw(st.sampled_from(["```", "~~~", "`````"]))
    lines = ["---", "type: workplan", "---", "", "## Open Human Decisions", "", "Resolve these:", ""]
    decisions = [(number, draw(st.booleans())) for number in range(1, draw(st.integers(1, 12)))]
    numbered = draw(st.booleans())
    for number, decided in decisions:
        first = f"{number}." if numbered else mark
        told = draw(st.sampled_from([" decided: it, alice, 2026-05-20", "\n    decided: it, alice, 2026-05-20", f"\n  {mark} decided: it, alice, 2026-05-20"]))
        between = draw(st.sampled_from(["", "", "\n", "\n    - below\n    1. below"]))
        lines += f"{first} question{told if decided else ''}{between}".split("\n")
    lines += ["", "## Tasks", ""]
    tasks = []
    for number in range(draw(st.integers(0, 6))):
        status = draw(st.sampled_from(["todo", "done", "in_progress", "cancelled"]))
        above = draw(st.sampled_from(["", "# A title", "- a check\n- another", "text\n\n<!-- hidden\n```task\n-->\n", "````md\n```task\nid: no\n```\n````"]))
        lines += [*above.split("\n"), "", f"{indent}{fence}task", f"{indent}id: T{number}", f"{indent}status: {status}", f"{indent}{fence}"]
        tasks.append((f"T{number}", status, len(lines) - 1))
    return draw(st.sampled_from(["\n", "\r\n", "\r"])).join(lines), tasks, decisions


# ---- compose steps


def image_references() -> st.SearchStrategy[tuple[str, str, str, str]]:
    """Registry, path, tag and digest of an image, each but the path perhaps empty."""
    part = st.from_regex(r"[a-z0-9]+(?:[._-][a-z0-9]+)*", fullmatch=True)
    path = st.lists(part.filter(lambda text: "." not in text and text != "localhost"), min_size=1, max_size=3).map("/".join)
    registry = st.sampled_from(["", "localhost", "127.0.0.1:5000", "registry.example", "registry.example:443"])
    tag = st.one_of(st.just(""), st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True))
    digest = st.one_of(st.just(""), st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True))
    return st.tuples(registry, path, tag, digest)


# ---- messages to and from other hosts


def frames() -> st.SearchStrategy[list[dict[str, object]]]:
    """Messages of text, numbers and bytes, nested; never with the one key that stands for bytes."""
    names = st.text(max_size=8).filter(lambda name: name != "#")
    leaves = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(max_size=20), st.binary(max_size=40))
    values = st.recursive(leaves, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)), max_leaves=8)
    return st.lists(st.dictionaries(names, values, min_size=1, max_size=4), max_size=4)
