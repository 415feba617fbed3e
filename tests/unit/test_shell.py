"""Shell scripts become nouns: what the shell would run, in its order, on its lines; and nothing that cannot be read goes unnamed."""

from __future__ import annotations

import pytest
from hypothesis import given

from interlock.facts.shell import (
    DEEPEST,
    AndOr,
    Background,
    Case,
    Command,
    Condition,
    Function,
    Group,
    If,
    Loop,
    LoopKind,
    Opaque,
    Pipeline,
    ProcessSubstitution,
    Script,
    Statement,
    Stream,
    Substitution,
    Variable,
    parse,
)
from tests.strategies import shell_commands, shell_texts


def one(text: str) -> Statement:
    script = parse(text)
    assert not script.unparsed
    assert len(script.statements) == 1
    return script.statements[0]


def command(text: str) -> Command:
    found = one(text)
    assert isinstance(found, Command)
    return found


def words(found: Statement) -> list[str]:
    assert isinstance(found, Command)
    return [word.raw for word in found.words]


# ---- words


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("plain", "plain"),
        ("'single $x'", "single $x"),
        ('"double \\" \\$x \\\\ \\n"', 'double " $x \\ \\n'),
        ("a\\ b", "a b"),
        ("$'tab\\tend\\x41\\101'", "tab\tendAA"),
        ("mixed'single'\"double\"end", "mixedsingledoubleend"),
        ("''", ""),
        ('"  spaces  kept  "', "  spaces  kept  "),
        ("{a,b}", "{a,b}"),
        ("*.sql.gz", "*.sql.gz"),
        ("-", "-"),
        ("--format=custom", "--format=custom"),
        ("caf\u00e9", "caf\u00e9"),
    ],
)
def test_a_word_without_expansions_is_its_literal(text: str, literal: str) -> None:
    assert command(f"run {text}").words[1].literal == literal


@pytest.mark.parametrize("text", ["$x", '"$x"', "${x:-y}", "$(date)", "`date`", "a$x", "$((1 + 2))", "<(date)", "${!x}"])
def test_a_word_with_an_expansion_has_no_literal(text: str) -> None:
    assert command(f"run {text}").words[1].literal is None


@pytest.mark.parametrize(
    ("text", "name", "operator", "argument"),
    [
        ("$x", "x", "", None),
        ("${x}", "x", "", None),
        ("$1", "1", "", None),
        ("$@", "@", "", None),
        ("${x:-/var/backups}", "x", ":-", "/var/backups"),
        ("${x:=a b}", "x", ":=", "a b"),
        ("${x-}", "x", "-", ""),
        ('"${x:?is not set}"', "x", ":?", "is not set"),
        ("${x%%.*}", "x", "%%", None),
        ("${x[@]}", "x", "[", None),
        ("${x[0]}", "x", "[", None),
    ],
)
def test_an_expansion_says_its_name_and_what_becomes_of_it(text: str, name: str, operator: str, argument: str | None) -> None:
    (part,) = command(f"run {text}").words[1].parts
    assert isinstance(part, Variable)
    assert (part.name, part.operator, part.argument.raw if part.argument else None) == (name, operator, argument)


def test_indirection_length_and_arithmetic_are_not_the_variables_value() -> None:
    for text in ("${!x}", "${#x}", "$((x + 1))"):
        assert isinstance(command(f"run {text}").words[1].parts[0], Opaque)


def test_a_substitution_holds_the_statements_that_it_runs() -> None:
    (part,) = command('run "$(pg_dump app | gzip)"').words[1].parts
    assert isinstance(part, Substitution)
    assert isinstance(part.body[0], Pipeline)
    (part,) = command("tee >(gzip > f)").words[1].parts
    assert isinstance(part, ProcessSubstitution)
    assert part.writes
    (part,) = command("diff <(sort a)").words[1].parts
    assert isinstance(part, ProcessSubstitution)
    assert not part.writes


@pytest.mark.parametrize("text", ["$x/$y.z", "${x}/$y.z", '"$x"/$y.z', "$x-$y.z", "$a/$b.$c.z", "$1/$y/z"])
def test_several_names_in_one_word_are_one_word(text: str) -> None:
    """The grammar ends the word before the second name."""
    assert [len(command(f"run {text} last").words), command(f"> {text} run last").redirects[0].target.line] == [3, 1]
    assert len(command(f"x={text}").assignments) == 1
    assert command(f"x={text}").words == ()


def test_a_backquote_in_a_word_does_not_end_it() -> None:
    found = command("run > dump_`date +%F`.sql last")
    assert (words(found), found.redirects[0].target.raw) == (["run", "last"], "dump_`date +%F`.sql")
    assert len(command("cp a dump_`date +%F`.sql").words) == 3


# ---- commands


def test_assignments_before_a_command_and_alone() -> None:
    found = command("A=1 B+=$x run -v")
    assert [(given.name, given.appends) for given in found.assignments] == [("A", False), ("B", True)]
    assert words(found) == ["run", "-v"]
    found = command("A=1")
    assert (found.words, found.assignments[0].name) == ((), "A")


@pytest.mark.parametrize("keyword", ["export", "local", "readonly", "declare -r", "typeset"])
def test_declarations_are_commands_with_assignments(keyword: str) -> None:
    found = command(f'{keyword} A="b c" D')
    assert found.words[0].raw == keyword.partition(" ")[0]
    assert [(given.name, given.value.literal if given.value else None) for given in found.assignments] == [("A", "b c"), ("D", None)]


@pytest.mark.parametrize(
    ("text", "stream", "fd", "target"),
    [
        ("> f", Stream.WRITE, 1, "f"),
        (">| f", Stream.WRITE, 1, "f"),
        (">> f", Stream.APPEND, 1, "f"),
        ("2> f", Stream.WRITE, 2, "f"),
        ("&> f", Stream.WRITE, -1, "f"),
        (">& f", Stream.WRITE, -1, "f"),
        ("2>&1", Stream.DUPLICATE, 2, "1"),
        (">&2", Stream.DUPLICATE, 1, "2"),
        ("< f", Stream.READ, 0, "f"),
        ("<<< word", Stream.HERE_STRING, 0, "word"),
        ('> "$x/f"', Stream.WRITE, 1, '"$x/f"'),
    ],
)
def test_redirections(text: str, stream: Stream, fd: int, target: str) -> None:
    (redirect,) = command(f"run {text}").redirects
    assert (redirect.stream, redirect.fd, redirect.target.raw) == (stream, fd, target)


def test_words_after_a_redirection_are_arguments_still() -> None:
    """The grammar takes them for more targets."""
    found = command('tar 2> /dev/null -czf "$out" dir')
    assert words(found) == ["tar", "-czf", '"$out"', "dir"]
    assert [redirect.target.raw for redirect in found.redirects] == ["/dev/null"]


def test_a_lone_dash_before_a_redirection_is_an_argument() -> None:
    """The grammar loses it."""
    assert words(command("tar -czf - > f")) == ["tar", "-czf", "-"]
    assert words(command("python3 - <<'EOF'\nprint()\nEOF\n")) == ["python3", "-"]


def test_a_redirection_belongs_to_the_last_command_of_a_pipeline_or_list() -> None:
    """The grammar hangs it on the whole."""
    found = one("pg_dump app | gzip > f")
    assert isinstance(found, Pipeline)
    first, last = found.stages
    assert isinstance(first, Command)
    assert isinstance(last, Command)
    assert (first.redirects, [redirect.target.raw for redirect in last.redirects]) == ((), ["f"])
    found = one("cd x && run > f")
    assert isinstance(found, AndOr)
    assert isinstance(found.right, Command)
    assert found.right.redirects[0].target.raw == "f"


@pytest.mark.parametrize(
    ("start", "expands", "parts"), [("EOF", True, [str, Variable, str]), ("'EOF'", False, [str]), ('"EOF"', False, [str]), ("\\EOF", False, [str])]
)
def test_a_here_document_expands_unless_its_delimiter_is_quoted(start: str, expands: bool, parts: list[type]) -> None:
    (redirect,) = command(f"cat <<{start}\none $x\nEOF\n").redirects
    assert (redirect.stream, redirect.expands, redirect.target.raw) == (Stream.HERE_DOCUMENT, expands, "one $x\n")
    assert len(redirect.target.parts) == len(parts)


def test_what_follows_a_here_document_on_its_line_is_not_lost() -> None:
    found = one("cat <<EOF | gzip > f\ntext\nEOF\n")
    assert isinstance(found, Pipeline)
    assert [words(stage) for stage in found.stages] == [["cat"], ["gzip"]]
    found = one("cat <<EOF > f && run\ntext\nEOF\n")
    assert isinstance(found, AndOr)
    assert (words(found.left), words(found.right)) == (["cat"], ["run"])


# ---- what holds commands together


def test_pipelines_lists_and_groups() -> None:
    found = one("! a | b")
    assert isinstance(found, Pipeline)
    assert (found.negated, len(found.stages)) == (True, 2)
    found = one("a && b || c")
    assert isinstance(found, AndOr)
    assert (found.operator, isinstance(found.left, AndOr)) == ("||", True)
    found = one("{ a; b; } > f")
    assert isinstance(found, Group)
    assert (found.subshell, len(found.body), found.redirects[0].target.raw) == (False, 2, "f")
    found = one("(a; b)")
    assert isinstance(found, Group)
    assert found.subshell
    script = parse("a & b")
    assert isinstance(script.statements[0], Background)
    assert isinstance(script.statements[1], Command)


def test_conditions_loops_cases_and_functions() -> None:
    found = one("if a; then b; elif c; then d; else e; fi")
    assert isinstance(found, If)
    assert [(len(branch.condition), words(branch.body[0])) for branch in found.branches] == [(1, ["b"]), (1, ["d"])]
    assert words(found.otherwise[0]) == ["e"]
    found = one("while read -r line; do a; done < f")
    assert isinstance(found, Loop)
    assert (found.kind, words(found.condition[0]), words(found.body[0]), found.redirects[0].target.raw) == (LoopKind.WHILE, ["read", "-r", "line"], ["a"], "f")
    found = one('for x in a "b c"; do d; done')
    assert isinstance(found, Loop)
    assert (found.kind, found.variable, [word.literal for word in found.values]) == (LoopKind.FOR, "x", ["a", "b c"])
    found = one("case $1 in a|b) c ;; *) d ;; esac")
    assert isinstance(found, Case)
    assert [([word.raw for word in arm.patterns], words(arm.body[0])) for arm in found.arms] == [(["a", "b"], ["c"]), (["*"], ["d"])]
    for text in ("f() { a; }", "function f { a; }", "function f() { a; }"):
        found = one(text)
        assert isinstance(found, Function)
        assert (found.name, isinstance(found.body, Group)) == ("f", True)
    for text in ("[ -f x ]", "[[ -f x && $y == z* ]]", "(( x > 1 ))"):
        assert isinstance(one(text), Condition)


def test_commands_are_found_wherever_they_run() -> None:
    text = (
        'f() { a "$(b)"; }\nif [ -n "$(c)" ]; then d; fi\nx=$(e)\ny=($(g))\nwhile h; do i; done < <(j)\n'
        "case $(k) in *) l ;; esac\nm | n && o &\np <<EOF\n$(q)\nEOF\n"
    )
    assert "".join(sorted(found.words[0].raw for found in parse(text).commands() if found.words)) == "abcdeghijklmnopq"


def test_lines_are_those_of_the_file() -> None:
    script = parse("a \\\n  -b\n\n# comment\nc\n", first_line=10)
    assert [statement.line for statement in script.statements] == [10, 14]
    assert [word.line for word in next(script.commands()).words] == [10, 11]


def test_carriage_returns_are_no_part_of_a_word() -> None:
    script = parse(b"a b\r\nif c; then\r\n  d\r\nfi\r\n")
    assert (script.unparsed, [word.raw for found in script.commands() for word in found.words]) == ((), ["a", "b", "c", "d"])


# ---- what cannot be read


@pytest.mark.parametrize("text", ["if a; then b\n", "f() {\n a\n", 'a "open\nb\n', "a $(b\n", "case x in\n a) b\n", "<<<<<<< HEAD\na\n", "a ) b\n"])
def test_what_the_shell_would_refuse_is_named_with_its_lines(text: str) -> None:
    (found, *_) = parse(f"first\n{text}").unparsed
    assert 1 <= found.line <= found.last_line


def test_a_script_is_read_around_what_cannot_be_read() -> None:
    script = parse("a\nb )\nc\nf() {\n  d\n}\n")
    assert {"a", "d"} <= {found.words[0].raw for found in script.commands()}
    assert script.unread_lines >= 1


@pytest.mark.parametrize(
    "text",
    [
        "case $1 in\n  a) b\n  ;;&\nesac\nc\n",
        'case "$h" in\n \\[*) h="${h#\\[}"; h="${h%%\\]*}" ;;\n *) h="${h%%[:/]*}" ;;\nesac\ncase "$h" in\n \\[*) h="${h%%\\]*}" ;;\nesac\nc\n',
    ],
    ids=["a last arm that falls through", "escaped brackets in patterns"],
)
def test_what_the_grammar_trips_over_is_read(text: str) -> None:
    script = parse(text)
    assert script.unparsed == ()
    assert list(script.commands())[-1].words[0].raw == "c"


@pytest.mark.parametrize("between", ["\n", " # a comment\n", "\n\n# a comment\n"])
def test_a_command_ends_with_its_line(between: str) -> None:
    """After a pipeline, and before a list, the grammar reads on into the next line."""
    script = parse(f"a | b | c{between}d && e\n")
    assert script.unparsed == ()
    assert [words(found) for found in script.commands()] == [["a"], ["b"], ["c"], ["d"], ["e"]]
    assert isinstance(script.statements[1], AndOr)


def test_nesting_without_end_is_named_not_followed() -> None:
    script = parse("( " * 2000 + "a" + " )" * 2000)
    assert script.unparsed
    assert parse("( " * (DEEPEST // 2) + "a" + " )" * (DEEPEST // 2)).unparsed == ()


@given(shell_texts())
def test_no_text_makes_it_raise(text: bytes) -> None:
    script = parse(text)
    assert isinstance(script, Script)
    assert all(statement.line >= 1 for statement in script.statements)
    list(script.commands())


@given(shell_commands())
def test_a_written_command_is_read_as_it_was_meant(case: tuple[str, list[list[str]]]) -> None:
    text, meant = case
    script = parse(text)
    assert script.unparsed == ()
    assert [[word.literal for word in found.words] for found in script.commands()] == meant
