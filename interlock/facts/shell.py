"""What does a shell script do, in which order, and on which line? The nouns of a parsed script; tree-sitter-bash does the parsing.

`parse` never fails on a text: what the grammar cannot read stays in its place as `Unparsed`, with its lines, and `Script.unparsed` lists it, so that a
judgement can say "unproven" instead of trusting the half that was understood. Why this parser: docs/decisions/0030-shell-parser.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field, replace
from enum import StrEnum
from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from interlock.nouns import dataclass
from interlock.patterns import regex

if TYPE_CHECKING:
    from tree_sitter import Node

MANY_LINES = 5  # unread in one stretch: the grammar has lost its way, and may find it again in a smaller piece
MOST_REREADS = 8  # each finds all the ends that it can; two is what real scripts need
MOST_IN_A_WORD = 8  # rewrites of one place
DEEPEST = 150  # nesting beyond it is Unparsed: no script is written so, and Python's own stack ends somewhere

_BACKSLASH = regex(r"\\(\n|.)", re.DOTALL)
_BACKSLASH_IN_QUOTES = regex(r"\\([$`\"\\\n])")
_REWRITES = (
    # a last arm of a `case` that ends in `;;&`: says nothing there, and the grammar does not know it
    (regex(rb";;?&(?=\s*esac\b)"), rb";;"),
    # an escaped bracket in a pattern, `${host%%\]*}`, makes it look for the other one through the rest of the file
    (regex(rb"(\$\{\w+(?:##?|%%?)[^}\n]*?)\\([\[\]])"), rb'\1"\2"'),
)
_NAME = regex(rb"[A-Za-z_]\w*")
_FUNCTION = regex(rb"^(?:function[ \t]+[\w:-]+[ \t]*(?:\(\))?|[\w:-]+[ \t]*\(\))[ \t]*\n?\{[ \t]*\n.*?^\}", re.MULTILINE | re.DOTALL)
_VARIABLE_END = regex(r"[A-Za-z0-9_@*#?$!-]+")


@dataclass(frozen=True, slots=True)
class Text:
    """Characters that stand for themselves. `quoted` ones are no globs, tildes or braces."""

    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """`$name` or `${name...}`: `operator` is what follows the name (`:-`, `%%`, `[`, ...), empty for the plain value; `argument` the word after it."""

    name: str
    operator: str = ""
    argument: Word | None = None


@dataclass(frozen=True, slots=True)
class Substitution:
    """`$(...)` or backquotes: the output of other statements. `raw` is its text."""

    body: tuple[Statement, ...]
    raw: str


@dataclass(frozen=True, slots=True)
class ProcessSubstitution:
    """`<(...)` (`writes` False) or `>(...)`: a file name that is really a pipe to other statements."""

    body: tuple[Statement, ...]
    raw: str
    writes: bool


@dataclass(frozen=True, slots=True)
class Opaque:
    """A part whose value no rule follows: arithmetic, an array, something the grammar could not read. `body` holds what its substitutions run."""

    raw: str
    body: tuple[Statement, ...] = ()


Part = Text | Variable | Substitution | ProcessSubstitution | Opaque


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word as the shell sees it after quoting, before expansion. `line` counts from 1.

    `raw` is the text as written, but that a `$name` inside a word can be `${name}`.
    """

    parts: tuple[Part, ...]
    raw: str
    line: int

    @property
    def literal(self) -> str | None:
        """The word itself when nothing in it is expanded, else None."""
        if all(isinstance(part, Text) for part in self.parts):
            return "".join(part.text for part in self.parts if isinstance(part, Text))
        return None

    def __str__(self) -> str:
        return self.raw


class Stream(StrEnum):
    """Which way a redirection goes."""

    READ = "<"
    WRITE = ">"
    APPEND = ">>"
    DUPLICATE = ">&"
    HERE_STRING = "<<<"
    HERE_DOCUMENT = "<<"


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """One redirection. `fd` is the file descriptor, -1 for both output streams (`&>`). `expands` is False for a here-document with a quoted delimiter."""

    stream: Stream
    fd: int
    target: Word
    line: int
    expands: bool = True

    @property
    def creates(self) -> bool:
        """True when it opens a file for writing, so that the file exists afterwards."""
        return self.stream in (Stream.WRITE, Stream.APPEND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """`name=value`. `value` is None for a declaration alone (`local x`); an array is opaque. `appends` for `+=`."""

    name: str
    value: Word | None
    appends: bool
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A simple command: `words[0]` is what runs. Without words it is assignments or redirections alone.

    `export`, `local`, `readonly`, `declare` and `typeset` are commands whose assignments are in `assignments`.
    """

    words: tuple[Word, ...]
    assignments: tuple[Assignment, ...] = ()
    redirects: tuple[Redirect, ...] = ()
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """`[ ... ]`, `[[ ... ]]` or `(( ... ))`: looks, and changes no file. `body` holds what its substitutions run."""

    raw: str
    body: tuple[Statement, ...]
    line: int
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """`a | b | c`; every stage runs in a subshell of its own. Also a single negated command."""

    stages: tuple[Statement, ...]
    negated: bool
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AndOr:
    """`left && right` or `left || right`."""

    left: Statement
    operator: str
    right: Statement
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """`statement &`: a subshell that nobody waits for here."""

    body: Statement
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """`{ ...; }`, or `( ... )` when `subshell`."""

    body: tuple[Statement, ...]
    subshell: bool
    redirects: tuple[Redirect, ...] = ()
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One `if` or `elif` with its condition."""

    condition: tuple[Statement, ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class If:
    """`if`, its `elif`s, and `else` (empty when there is none)."""

    branches: tuple[Branch, ...]
    otherwise: tuple[Statement, ...]
    redirects: tuple[Redirect, ...] = ()
    line: int


class LoopKind(StrEnum):
    """What drives a loop."""

    WHILE = "while"
    UNTIL = "until"
    FOR = "for"
    SELECT = "select"
    ARITHMETIC = "for (("


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A loop. `variable` and `values` for `for` and `select` (no values: the positional parameters), `condition` for `while` and `until`."""

    kind: LoopKind
    variable: str
    values: tuple[Word, ...]
    condition: tuple[Statement, ...]
    body: tuple[Statement, ...]
    redirects: tuple[Redirect, ...] = ()
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One arm of a `case`. `ends` is `;;`, `;&` or `;;&` (`;;` for the last, unended one)."""

    patterns: tuple[Word, ...]
    body: tuple[Statement, ...]
    ends: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`case word in ... esac`."""

    word: Word
    arms: tuple[Arm, ...]
    redirects: tuple[Redirect, ...] = ()
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function definition; `redirects` are those of its definition, made at each call."""

    name: str
    body: Statement
    redirects: tuple[Redirect, ...] = ()
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unparsed:
    """Text that the grammar could not read, from `line` to `last_line`."""

    raw: str
    line: int
    last_line: int


Statement = Command | Condition | Pipeline | AndOr | Background | Group | If | Loop | Case | Function | Unparsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A parsed script. `unparsed` lists what could not be read, wherever it stands."""

    statements: tuple[Statement, ...]
    unparsed: tuple[Unparsed, ...] = ()

    @property
    def unread_lines(self) -> int:
        """How many lines could not be read."""
        return sum(part.last_line - part.line + 1 for part in self.unparsed)

    def commands(self) -> Iterator[Command]:
        """Every simple command, in the order of the text, those of substitutions and functions too."""
        for statement in walk(self.statements):
            if isinstance(statement, Command):
                yield statement


def walk(statements: Iterable[Statement]) -> Iterator[Statement]:
    """Every statement below `statements`, outer ones first, those inside words too."""
    for statement in statements:
        yield statement
        yield from walk(_inside(statement))


def _inside(statement: Statement) -> Iterator[Statement]:  # noqa: PLR0912 - one branch for each kind of statement
    """The statements directly inside one."""
    match statement:
        case Command():
            yield from _in_words((*statement.words, *(given.value for given in statement.assignments if given.value)))
        case Pipeline():
            yield from statement.stages
        case AndOr():
            yield from (statement.left, statement.right)
        case Background() | Function():
            yield statement.body
        case Group():
            yield from statement.body
        case If():
            for branch in statement.branches:
                yield from (*branch.condition, *branch.body)
            yield from statement.otherwise
        case Loop():
            yield from (*_in_words(statement.values), *statement.condition, *statement.body)
        case Case():
            yield from _in_words((statement.word,))
            for arm in statement.arms:
                yield from arm.body
        case Condition():
            yield from statement.body
        case Unparsed():
            pass
    if not isinstance(statement, (Pipeline, AndOr, Background, Unparsed)):
        yield from _in_words(redirect.target for redirect in statement.redirects)


def _in_words(words: Iterable[Word]) -> Iterator[Statement]:
    for word in words:
        for part in word.parts:
            if isinstance(part, (Substitution, ProcessSubstitution, Opaque)):
                yield from part.body
            elif isinstance(part, Variable) and part.argument is not None:
                yield from _in_words((part.argument,))


def parse(text: str | bytes, *, first_line: int = 1) -> Script:
    """A script, whatever its text: bash and POSIX sh alike. `first_line` is the line of the file that the text starts on.

    Bytes that are no UTF-8 become U+FFFD. Source: tree-sitter-bash's grammar, with its habits put right (`_Reader`).
    """
    return _parsed(text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text, first_line)


@lru_cache(maxsize=2048)  # many rules ask for the same scripts, and a script is called from many places
def _parsed(raw: bytes, first_line: int) -> Script:
    source = _as_the_grammar_likes_it(raw.replace(b"\r\n", b"\n"))
    whole = _read(source, first_line)
    return whole if whole.unread_lines < MANY_LINES else min(whole, _in_pieces(source, first_line), key=lambda script: script.unread_lines)


def _as_the_grammar_likes_it(source: bytes) -> bytes:
    """The same script, line for line, written so that the grammar reads it as the shell does (`_REWRITES`)."""
    for found, instead in _REWRITES:
        for _ in range(MOST_IN_A_WORD):
            source, changed = found.subn(instead, source)
            if not changed:
                break
    return source


def _read(source: bytes, first_line: int) -> Script:
    for _ in range(MOST_REREADS):
        reader = _Reader(source=source, line_offset=first_line)
        statements = reader.statements(_parser().parse(source).root_node, 0)
        if not reader.inserts:
            break
        for at in sorted(reader.inserts, reverse=True):
            source = source[:at] + reader.inserts[at] + source[at:]
    return Script(statements=statements, unparsed=tuple(sorted(reader.unparsed, key=lambda part: part.line)))


def _in_pieces(source: bytes, first_line: int) -> Script:
    """Functions one by one, and then what stands between them: the grammar can give up on a long script that it reads well in parts."""
    statements: list[Statement] = []
    unparsed: list[Unparsed] = []
    between = bytearray(source)
    for found in _FUNCTION.finditer(source):
        piece = _read(found[0], first_line + source.count(b"\n", 0, found.start()))
        statements += piece.statements
        unparsed += piece.unparsed
        between[found.start() : found.end()] = re.sub(rb"[^\n]", b" ", found[0])
    rest = _read(bytes(between), first_line)
    return Script(statements=(*statements, *rest.statements), unparsed=tuple(sorted((*unparsed, *rest.unparsed), key=lambda part: part.line)))


@cache
def _parser() -> Any:
    """The one parser of the process; loaded when the first script is read."""
    import tree_sitter
    import tree_sitter_bash

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


_SKIPPED = frozenset({"comment", ";", "\n", ";;", "&", "then", "do", "done", "fi", "else", "{", "}", "(", ")", "esac", "heredoc_body", "heredoc_end"})
_REDIRECTS = frozenset({"file_redirect", "heredoc_redirect", "herestring_redirect"})
_STREAMS = {
    "<": Stream.READ, "<>": Stream.WRITE, ">": Stream.WRITE, ">|": Stream.WRITE, "&>": Stream.WRITE,
    ">>": Stream.APPEND, "&>>": Stream.APPEND, ">&": Stream.DUPLICATE, "<&": Stream.DUPLICATE, ">&-": Stream.DUPLICATE, "<&-": Stream.DUPLICATE,
}  # fmt: skip


@dataclass(slots=True)
class _Pieces:
    """What a statement's redirections turned out to hold: the grammar hangs words, pipes and lists that follow a redirection below it."""

    redirects: list[Redirect] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    pipes: list[Statement] = field(default_factory=list)
    lists: list[tuple[str, Statement]] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Turns the grammar's tree into our nouns."""

    source: bytes
    line_offset: int
    unparsed: list[Unparsed] = field(default_factory=list)
    inserts: dict[int, bytes] = field(default_factory=dict)  # what would make the grammar see the end of a command, or of a name; by offset

    def statements(self, node: Node, depth: int) -> tuple[Statement, ...]:
        """The statements among a node's children, in order."""
        return self._sequence(node.children, depth)

    def _sequence(self, nodes: Sequence[Node], depth: int) -> tuple[Statement, ...]:
        found: list[Statement] = []
        for node in nodes:
            if node.type == "&" and found:
                found[-1] = Background(body=found[-1], line=found[-1].line)
            elif node.type not in _SKIPPED:
                found.append(self._statement(node, depth))
        return tuple(found)

    def _text(self, node: Node) -> str:
        return self.source[node.start_byte : node.end_byte].decode("utf-8", "replace")

    def _line(self, node: Node) -> int:
        return node.start_point[0] + self.line_offset

    def _unread(self, node: Node) -> Unparsed:
        part = Unparsed(raw=self._text(node), line=self._line(node), last_line=node.end_point[0] + self.line_offset)
        self.unparsed.append(part)
        return part

    def _statement(self, node: Node, depth: int) -> Statement:  # noqa: PLR0912 - one line for each kind of node
        if depth > DEEPEST or (node.has_error and any(child.is_missing for child in node.children)):
            return self._unread(node)  # the grammar puts in what is missing, like a `fi`; the shell does not
        deeper = depth + 1
        match node.type:
            case "command" | "declaration_command" | "unset_command" | "variable_assignment" | "variable_assignments":
                return self._command(node, deeper)
            case "redirected_statement":
                return self._redirected(node, deeper)
            case "pipeline":
                return self._pipeline(node, deeper)
            case "negated_command":
                return self._negated(node, deeper)
            case "list":
                return self._list(node, deeper)
            case "subshell":
                return Group(body=self.statements(node, deeper), subshell=True, line=self._line(node))
            case "compound_statement" if node.children[0].type == "((":
                return self._test(node, deeper)
            case "compound_statement" | "do_group":
                return Group(body=self.statements(node, deeper), subshell=False, line=self._line(node))
            case "test_command":
                return self._test(node, deeper)
            case "if_statement":
                return self._if(node, deeper)
            case "while_statement":
                return self._while(node, deeper)
            case "for_statement" | "c_style_for_statement":
                return self._for(node, deeper)
            case "case_statement":
                return self._case(node, deeper)
            case "function_definition":
                return self._function(node, deeper)
            case _:
                return self._unread(node)

    def _command(self, node: Node, depth: int) -> Statement:
        words: list[Word] = []
        assignments: list[Assignment] = []
        pieces = _Pieces()
        nodes = [node] if node.type == "variable_assignment" else _without_comments(node)
        for before, child in zip((None, *nodes), nodes, strict=False):
            words += self._swallowed(before, child)
            match child.type:
                case "variable_assignment":
                    assignments.append(self._assignment(child, depth))
                case "command_name":
                    words.append(self._word(child.children[0] if child.children else child, depth))
                case "file_redirect" | "herestring_redirect" | "heredoc_redirect":
                    self._redirect(child, pieces, depth)
                    words += pieces.words
                    pieces.words.clear()
                case "subshell" | "ERROR":
                    return self._unread(node)
                case "variable_name" if node.type == "declaration_command":
                    assignments.append(Assignment(name=self._text(child), value=None, appends=False, line=self._line(child)))
                case _ if words and before is not None and before.end_byte == child.start_byte and before.type not in _REDIRECTS:
                    words[-1] = _glued(words[-1], self._word(child, depth))
                case _:
                    words.append(self._word(child, depth))
        return Command(words=tuple(words), assignments=tuple(assignments), redirects=tuple(pieces.redirects), line=self._line(node))

    def _swallowed(self, before: Node | None, after: Node) -> list[Word]:
        """The word `-` between two nodes: the grammar loses it in front of a redirection. And an end of the line that it overlooks is noted."""
        if before is None:
            return []
        if before.end_byte == after.start_byte:
            self._name_cut_off(before.end_byte)
            return []
        between = self.source[before.end_byte : after.start_byte]
        if b"\n" in between.replace(b"\\\n", b""):
            self.inserts[before.end_byte] = b";"
        return [Word(parts=(Text("-"),), raw="-", line=self._line(before))] if between.strip(b" \t\n\\") == b"-" else []

    def _name_cut_off(self, at: int) -> None:
        """The second name of `$x/$y.z` is taken for a word of its own; in braces it is not."""
        name = _NAME.match(self.source, at)
        if name is not None and self.source[at - 1 : at] == b"$":
            self.inserts |= {at: b"{", name.end(): b"}"}

    def _test(self, node: Node, depth: int) -> Statement:
        return Condition(raw=self._text(node), body=self._substituted(node, depth), line=self._line(node))

    def _substituted(self, node: Node, depth: int) -> tuple[Statement, ...]:
        """What the substitutions below a node run, when the node itself is not looked into."""
        found: list[Statement] = []
        pending = [node]
        while pending:
            for child in reversed((current := pending.pop()).children):
                pending.append(child)
            if current.type == "command_substitution":
                found += self._statements_substituted(current, depth)
                pending = [left for left in pending if left.start_byte >= current.end_byte]
        return tuple(found)

    def _assignment(self, node: Node, depth: int) -> Assignment:
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        written = self._text(name) if name is not None else ""
        given = self._word(value, depth) if value is not None else self._empty(node)
        return Assignment(name=written, value=given, appends=any(child.type == "+=" for child in node.children), line=self._line(node))

    def _empty(self, node: Node) -> Word:
        return Word(parts=(), raw="", line=self._line(node))

    def _redirected(self, node: Node, depth: int) -> Statement:
        """A statement with redirections: those of a pipeline or list belong to its last command, as the shell reads them."""
        pieces = _Pieces()
        body: Statement | None = None
        nodes = _without_comments(node)
        for before, child in zip((None, *nodes), nodes, strict=False):
            pieces.words += self._swallowed(before, child)
            if child.type in _REDIRECTS:
                self._redirect(child, pieces, depth)
            elif child.type not in _SKIPPED:
                body = self._statement(child, depth)
        statement = _with(body or Command(words=(), line=self._line(node)), pieces)
        if pieces.pipes:
            statement = Pipeline(stages=(statement, *pieces.pipes), negated=False, line=statement.line)
        for operator, right in pieces.lists:
            statement = AndOr(left=statement, operator=operator, right=right, line=statement.line)
        return statement

    def _redirect(self, node: Node, pieces: _Pieces, depth: int) -> None:
        for child in node.children:
            if child.type == "ERROR":
                self._unread(child)
        match node.type:
            case "file_redirect":
                self._file_redirect(node, pieces, depth)
            case "herestring_redirect":
                words = [child for child in node.children if child.is_named and child.type != "file_descriptor"]
                pieces.redirects += [Redirect(stream=Stream.HERE_STRING, fd=0, target=self._word(child, depth), line=self._line(node)) for child in words[:1]]
            case _:
                self._heredoc(node, pieces, depth)

    def _file_redirect(self, node: Node, pieces: _Pieces, depth: int) -> None:
        """`> target`; the grammar takes every word that follows for another target, the shell takes them for arguments."""
        operator, fd = "", None
        words: list[Word] = []
        nodes = _without_comments(node)
        for before, child in zip((None, *nodes), nodes, strict=False):
            self._swallowed(before, child)
            if child.type == "file_descriptor":
                fd = self._text(child)
            elif not child.is_named:
                operator = child.type
            elif words and before is not None and before.end_byte == child.start_byte:
                words[-1] = _glued(words[-1], self._word(child, depth))
            else:
                words.append(self._word(child, depth))
        stream = _STREAMS.get(operator, Stream.DUPLICATE)
        if stream is Stream.DUPLICATE and fd is None and words and not re.fullmatch(r"\d+|-|\d+-", words[0].raw) and operator == ">&":
            stream, operator = Stream.WRITE, "&>"  # `>& file` is the old spelling of `&> file`
        number = -1 if operator.startswith("&") else _descriptor(fd, reads=operator.startswith("<"))
        if words:
            pieces.redirects.append(Redirect(stream=stream, fd=number, target=words[0], line=self._line(node)))
            pieces.words += words[1:]

    def _heredoc(self, node: Node, pieces: _Pieces, depth: int) -> None:
        operator, start, body = "", "", None
        for index, child in enumerate(node.children):
            match child.type:
                case "heredoc_start":
                    start = self._text(child)
                case "heredoc_body":
                    body = child
                case "file_redirect" | "herestring_redirect":
                    self._redirect(child, pieces, depth)
                case "pipeline":
                    pieces.pipes += self._sequence([part for part in child.children if part.type not in ("|", "|&")], depth)
                case "&&" | "||":
                    operator = child.type
                case "<<" | "<<-" | "heredoc_end" | "comment" | "file_descriptor" | "ERROR":
                    pass
                case _ if node.field_name_for_child(index) == "right":
                    pieces.lists.append((operator or "&&", self._statement(child, depth)))
                case _:
                    pieces.words.append(self._word(child, depth))
        raw = self._text(body) if body is not None else ""
        line = self._line(body) if body is not None else self._line(node)
        quoted = any(mark in start for mark in "'\"\\")
        parts: tuple[Part, ...] = (Text(raw, quoted=True),) if quoted or body is None else self._pieces_of(body, depth, quoted=True)
        word = Word(parts=parts, raw=raw, line=line)
        pieces.redirects.append(Redirect(stream=Stream.HERE_DOCUMENT, fd=0, target=word, line=self._line(node), expands=not quoted))

    def _pipeline(self, node: Node, depth: int) -> Statement:
        stages = self._sequence([child for child in node.children if child.type not in ("|", "|&")], depth)
        first = stages[0] if stages else None
        if isinstance(first, Pipeline) and first.negated and len(first.stages) == 1:
            return Pipeline(stages=(first.stages[0], *stages[1:]), negated=True, line=self._line(node))
        return Pipeline(stages=stages, negated=False, line=self._line(node))

    def _negated(self, node: Node, depth: int) -> Statement:
        inner = self._sequence([child for child in node.children if child.type != "!"], depth)
        if len(inner) == 1 and isinstance(inner[0], Pipeline):
            return Pipeline(stages=inner[0].stages, negated=not inner[0].negated, line=self._line(node))
        return Pipeline(stages=inner, negated=True, line=self._line(node))

    def _list(self, node: Node, depth: int) -> Statement:
        operators = [child.type for child in node.children if child.type in ("&&", "||")]
        parts = self._sequence([child for child in node.children if child.type not in ("&&", "||")], depth)
        if len(parts) != 2 or len(operators) != 1:
            return self._unread(node)
        return AndOr(left=parts[0], operator=operators[0], right=parts[1], line=self._line(node))

    def _conditional(self, node: Node, depth: int) -> Branch:
        """The condition and body of an `if` or `elif`: what stands before and after its `then`."""
        children = node.children[1:]
        then = next((index for index, child in enumerate(children) if child.type == "then"), len(children))
        body = [child for child in children[then + 1 :] if child.type not in ("elif_clause", "else_clause")]
        return Branch(condition=self._sequence(children[:then], depth), body=self._sequence(body, depth))

    def _if(self, node: Node, depth: int) -> Statement:
        clauses = [child for child in node.children if child.type == "elif_clause"]
        otherwise = next((child for child in node.children if child.type == "else_clause"), None)
        return If(
            branches=(self._conditional(node, depth), *(self._conditional(clause, depth) for clause in clauses)),
            otherwise=self.statements(otherwise, depth) if otherwise is not None else (),
            line=self._line(node),
        )

    def _while(self, node: Node, depth: int) -> Statement:
        body = node.child_by_field_name("body")
        condition = [child for child in node.children[1:] if body is None or child.id != body.id]
        return Loop(
            kind=LoopKind.UNTIL if node.children[0].type == "until" else LoopKind.WHILE,
            variable="",
            values=(),
            condition=self._sequence(condition, depth),
            body=self.statements(body, depth) if body is not None else (),
            line=self._line(node),
        )

    def _for(self, node: Node, depth: int) -> Statement:
        body, variable = node.child_by_field_name("body"), node.child_by_field_name("variable")
        kind = {"select": LoopKind.SELECT}.get(node.children[0].type, LoopKind.FOR)
        for before, child in pairwise(node.children_by_field_name("value")):
            self._swallowed(before, child)
        return Loop(
            kind=LoopKind.ARITHMETIC if node.type == "c_style_for_statement" else kind,
            variable=self._text(variable) if variable is not None else "",
            values=tuple(self._word(child, depth) for child in node.children_by_field_name("value")),
            condition=(),
            body=self.statements(body, depth) if body is not None else (),
            line=self._line(node),
        )

    def _case(self, node: Node, depth: int) -> Statement:
        value = node.child_by_field_name("value")
        return Case(
            word=self._word(value, depth) if value is not None else self._empty(node),
            arms=tuple(self._arm(child, depth) for child in node.children if child.type == "case_item"),
            line=self._line(node),
        )

    def _arm(self, node: Node, depth: int) -> Arm:
        patterns, body, ends = [], [], ";;"
        for index, child in enumerate(node.children):
            if node.field_name_for_child(index) == "value":
                patterns.append(self._word(child, depth))
            elif child.type in (";&", ";;&"):
                ends = child.type
            elif child.type not in ("|", "(", ")", ";;"):
                body.append(child)
        return Arm(patterns=tuple(patterns), body=self._sequence(body, depth), ends=ends)

    def _function(self, node: Node, depth: int) -> Statement:
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name is None or body is None:
            return self._unread(node)
        pieces = _Pieces()
        for child in node.children:
            if child.type in _REDIRECTS:
                self._redirect(child, pieces, depth)
        return Function(name=self._text(name), body=self._statement(body, depth), redirects=tuple(pieces.redirects), line=self._line(node))

    def _word(self, node: Node, depth: int) -> Word:
        parts = self._parts(node, depth)
        return Word(parts=_joined(parts), raw=self._text(node), line=self._line(node))

    def _parts(self, node: Node, depth: int) -> tuple[Part, ...]:  # noqa: PLR0912 - the same for words
        if depth > DEEPEST:
            return (Opaque(self._text(node)),)
        deeper = depth + 1
        match node.type:
            case "word" | "number" | "string_content" | "extglob_pattern" | "test_operator" | "heredoc_content" | "variable_name":
                return (Text(_BACKSLASH.sub(_unescaped, self._text(node))),)
            case "string" | "translated_string":
                return self._pieces_of(node, deeper, quoted=True) or (Text("", quoted=True),)
            case "raw_string":
                return (Text(self._text(node)[1:-1], quoted=True),)
            case "ansi_c_string":
                return (Text(_ansi_c(self._text(node)[2:-1]), quoted=True),)
            case "concatenation":
                return self._pieces_of(node, deeper, quoted=False)
            case "simple_expansion":
                return (Variable(self._text(node)[1:]),)
            case "expansion":
                return (self._expansion(node, deeper),)
            case "command_substitution" | "process_substitution" if any(child.is_missing for child in node.children):
                return (Opaque(self._unread(node).raw),)
            case "command_substitution":
                return (Substitution(body=self._statements_substituted(node, deeper), raw=self._text(node)),)
            case "process_substitution":
                inner = self._sequence([child for child in node.children if child.type not in ("<(", ">(", ")")], deeper)
                return (ProcessSubstitution(body=inner, raw=self._text(node), writes=node.children[0].type == ">("),)
            case "string_fragment":
                return (Text(self._text(node)),)
            case _ if not node.is_named and node.child_count == 0:
                return (Text(self._text(node)),)
            case _:
                return (self._opaque(node, deeper),)

    def _opaque(self, node: Node, depth: int) -> Part:
        return Opaque(self._text(node), body=self._substituted(node, depth))

    def _statements_substituted(self, node: Node, depth: int) -> tuple[Statement, ...]:
        """The statements of `$(...)`; `$(< file)` has none."""
        inner = [child for child in node.children if child.type not in ("$(", "`", ")", "file_redirect")]
        return self._sequence(inner, depth)

    def _pieces_of(self, node: Node, depth: int, *, quoted: bool) -> tuple[Part, ...]:
        """The parts of a string, here-document or concatenation; text that the grammar leaves between its nodes is text."""
        parts: list[Part] = []
        start, end = node.start_byte, node.end_byte
        if node.type in ("string", "translated_string"):
            start += 1 if node.type == "string" else 2
            end -= 1
        at = start
        for child in node.children:
            if child.type in ('"', '$"', "$") or child.start_byte < at:
                continue
            if node.type == "concatenation" and b"\n" in self.source[at : child.start_byte].replace(b"\\\n", b""):
                self.inserts[at] = b";"
            self._between(parts, at, child.start_byte, quoted=quoted)
            if child.type in ("string_content", "heredoc_content"):
                self._between(parts, child.start_byte, child.end_byte, quoted=True)
            elif child.type == "string":
                parts += self._parts(child, depth)
            else:
                parts += (Text(part.text, quoted=quoted or part.quoted) if isinstance(part, Text) else part for part in self._parts(child, depth))
            at = child.end_byte
        self._between(parts, at, end, quoted=quoted)
        return _joined(parts)

    def _between(self, parts: list[Part], start: int, end: int, *, quoted: bool) -> None:
        if start < end:
            raw = self.source[start:end].decode("utf-8", "replace")
            parts.append(Text(_BACKSLASH_IN_QUOTES.sub(_unescaped, raw) if quoted else _BACKSLASH.sub(_unescaped, raw), quoted=quoted))

    def _expansion(self, node: Node, depth: int) -> Part:
        """`${name<operator><word>}`; indirect and length expansions stay opaque: their value is not the variable's."""
        name = next((child for child in node.children if child.type in ("variable_name", "special_variable_name", "subscript")), None)
        if name is None or (node.children[1].type in ("!", "#") and node.children[1].id != name.id):
            return self._opaque(node, depth)
        inner = self.source[name.end_byte : node.end_byte - 1].decode("utf-8", "replace")
        if name.type == "subscript":
            return Variable(_VARIABLE_END.match(self._text(name))[0], operator="[")  # type: ignore[index]  # a subscript starts with its name
        operator = re.match(r":?[-=+?]|[#%/^,@:]+", inner)
        if operator is None:
            return Variable(self._text(name)) if not inner else self._opaque(node, depth)
        if operator[0].lstrip(":") not in ("-", "=", "+", "?"):
            return Variable(self._text(name), operator=operator[0])
        start = name.end_byte + len(operator[0])
        argument = [child for child in node.children if child.start_byte >= start and child.type not in ("}", "operator")]
        parts: list[Part] = []
        at = start
        for child in argument:
            self._between(parts, at, child.start_byte, quoted=False)
            parts += self._parts(child, depth) if child.child_count == 0 or child.type != "concatenation" else self._pieces_of(child, depth, quoted=False)
            at = child.end_byte
        self._between(parts, at, max(at, node.end_byte - 1), quoted=False)
        raw = inner[len(operator[0]) :]
        return Variable(self._text(name), operator=operator[0], argument=Word(parts=_joined(parts), raw=raw, line=self._line(node)))


def _glued(word: Word, more: Word) -> Word:
    """Two words without a blank between them, which the grammar takes apart at a backquote."""
    return Word(parts=_joined((*word.parts, *more.parts)), raw=word.raw + more.raw, line=word.line)


def _without_comments(node: Node) -> list[Node]:
    return [child for child in node.children if child.type != "comment"]


def _with(statement: Statement, pieces: _Pieces) -> Statement:
    """A statement with more redirections, and more words where they follow one."""
    if not pieces.redirects and not pieces.words:
        return statement
    match statement:
        case Pipeline(stages=(*first, last)):
            return replace(statement, stages=(*first, _with(last, pieces)))
        case AndOr():
            return replace(statement, right=_with(statement.right, pieces))
        case Background():
            return replace(statement, body=_with(statement.body, pieces))
        case Command():
            return replace(statement, words=(*statement.words, *pieces.words), redirects=(*statement.redirects, *pieces.redirects))
        case Pipeline() | Unparsed():
            return statement
        case _:
            return replace(statement, redirects=(*statement.redirects, *pieces.redirects))


def _joined(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Neighbouring texts of the same kind as one."""
    joined: list[Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, Text) and isinstance(last, Text) and part.quoted == last.quoted:
            joined[-1] = Text(last.text + part.text, quoted=part.quoted)
        else:
            joined.append(part)
    return tuple(joined)


def _descriptor(written: str | None, *, reads: bool) -> int:
    """The number before a redirection; `{name}>` asks the shell for a free one, which is neither 0, 1 nor 2."""
    if written is None:
        return 0 if reads else 1
    return int(written) if written.isdigit() and len(written) < 6 else 10


def _unescaped(found: re.Match[str]) -> str:
    return "" if found[1] == "\n" else found[1]


_ANSI_C = regex(r"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|u[0-9A-Fa-f]{1,4}|.)", re.DOTALL)
_ANSI_C_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "v": "\v"}


def _ansi_c(text: str) -> str:
    """What `$'...'` says (bash(1), QUOTING)."""

    def one(found: re.Match[str]) -> str:
        code = found[1]
        if code[0] in "xu" and len(code) > 1:
            return chr(int(code[1:], 16))
        if code[0] in "01234567":
            return chr(int(code, 8))
        return _ANSI_C_LETTERS.get(code, code)

    return _ANSI_C.sub(one, text)
