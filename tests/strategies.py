"""What can be thrown at our parsers? The hypothesis strategies that several tests share."""

from __future__ import annotations

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
        ["1", "x", "''", '"a # b"', "~", "|\n      text\n      more", ">-\n      folded", "${A:-b}", "!!str 7", "*known", *broken_scalars]
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
    )
    return st.lists(pairs, max_size=6).map(dict)
