"""Setting variables in an env file: what is written, and that nothing else is. That Docker Compose agrees is tests/integration/test_env_patches_compose.py."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interlock.errors import ConfigError
from interlock.evidence.redact import SHORTEST, Redactor
from interlock.facts import env_patches
from interlock.facts.dotenv import EnvFile
from interlock.facts.env_patches import HEADING, patched, says
from tests.strategies import env_files, env_values, patchable_env_files


def test_the_example_of_the_module_is_true() -> None:
    assert doctest.testmod(env_patches).attempted == 1
    assert doctest.testmod(env_patches).failed == 0


@pytest.mark.parametrize(
    ("old", "value", "new"),
    [
        # the quotes of the line stay
        ("A=1\n", "2", "A=2\n"),
        ("A='1'\n", "2", "A='2'\n"),
        ('A="1"\n', "2", 'A="2"\n'),
        ("A=some words\n", "other words", "A=other words\n"),
        ("A=x\n", 'say "x"', 'A=say "x"\n'),
        ('A="1"\n', 'say "x"', 'A="say \\"x\\""\n'),
        ('A="1"\n', "C:\\new", 'A="C:\\\\new"\n'),
        ('A="1"\n', "$HOME", 'A="\\$HOME"\n'),
        ("A='1'\n", "$HOME", "A='$HOME'\n"),
        # and become others where the value would be read as something else
        ("A=1\n", "$HOME", "A='$HOME'\n"),
        ("A=1\n", "pa$$word", "A='pa$$word'\n"),
        ("A=1\n", "x # y", "A='x # y'\n"),
        ("A=1\n", "#1", "A='#1'\n"),
        ("A=1\n", " x", "A=' x'\n"),
        ("A=1\n", "'x'", "A=\"'x'\"\n"),
        ("A=1\n", '"x"', "A='\"x\"'\n"),
        ("A=1\n", "a\nb", 'A="a\\nb"\n'),
        ("A='1'\n", "it's", 'A="it\'s"\n'),
        ("A='1'\n", "x\\", 'A="x\\\\"\n'),
        ("A=1\n", "it's $5\n", 'A="it\'s \\$5\\n"\n'),
        # comments, blanks, export and the sign stay
        ("A=1 # one\n", "2", "A=2 # one\n"),
        ('A="1" # one\n', "2", 'A="2" # one\n'),
        ("A='1'   # one\n", "x # y", "A='x # y'   # one\n"),
        ("  A =\t1  \n", "2", "  A =\t2  \n"),
        ("export A=1\n", "2", "export A=2\n"),
        ("A: 1\n", "2", "A: 2\n"),
        # empty, before and after
        ("A=\n", "x y", "A='x y'\n"),
        ("A=\n", "x", "A=x\n"),
        ("A=   \n", "x", "A=x   \n"),
        ("A=1\n", "", "A=\n"),
        ("A='1'\n", "", "A=''\n"),
        ("A=1 # one\n", "", "A='' # one\n"),
        # a name alone
        ("A\n", "1", "A=1\n"),
        ("export A \n", "1", "export A=1 \n"),
        ("A\r\nB=1\r\n", "x y", "A='x y'\r\nB=1\r\n"),
        # line ends
        ("A=1\r\nB=2\r\n", "3", "A=3\r\nB=2\r\n"),
        ("A=\r\n", "3", "A=3\r\n"),
        ("A=1", "2", "A=2"),
        ("\ufeffA=1\n", "2", "\ufeffA=2\n"),
        # values over several lines
        ('A="one\ntwo"\nB=1\n', "x", 'A="x"\nB=1\n'),
        ('A="one\ntwo"\n', "x\ny", 'A="x\ny"\n'),
        ("A='one\ntwo'\n", "x\ny", "A='x\ny'\n"),
        ('A="one\\ntwo"\n', "x\ny", 'A="x\\ny"\n'),
        ('A="one\ntwo"\n', "x\r\ny", 'A="x\\r\ny"\n'),
        # twice: the last one is what compose takes
        ("A=1\nA=2\n", "3", "A=1\nA=3\n"),
        ("A=3\nA=2\n", "3", "A=3\nA=3\n"),
        # what nobody understands
        ("not an assignment\nA=1\n[ -f x ] && . x\n", "2", "not an assignment\nA=2\n[ -f x ] && . x\n"),
        ("A=1\nB='x' C=1\n=y\nD", "2", "A=2\nB='x' C=1\n=y\nD"),
    ],
)
def test_a_variable_is_set_on_its_line(old: str, value: str, new: str) -> None:
    done = patched(old.encode(), {"A": value})
    assert done.data.decode() == new
    assert (done.set, done.appended, done.already) == (("A",), (), ())


@pytest.mark.parametrize(
    ("old", "value"),
    [
        ("A=1\n", "1"),
        ("A='1'\n", "1"),
        ('A="\\$x"\n', "$x"),
        ("A='$x'\n", "$x"),
        ("A=$$x\n", "$x"),
        ("A=1\nA=2\n", "2"),
        ('A="a\nb"\n', "a\nb"),
        ('A="a\\nb"', "a\nb"),
        ("A=\n", ""),
        ("A: 1 # one\n", "1"),
    ],
)
def test_a_variable_that_has_its_value_is_left_as_it_is_written(old: str, value: str) -> None:
    done = patched(old.encode(), {"A": value})
    assert done.data == old.encode()
    assert (done.set, done.appended, done.already) == ((), (), ("A",))


def test_a_value_that_depends_on_another_variable_is_never_already_so() -> None:
    """It comes to the same today; the site says what it is to be."""
    assert patched(b"B=1\nA=$B\n", {"A": "1"}).data == b"B=1\nA=1\n"


@pytest.mark.parametrize(
    ("old", "added"),
    [
        ("", f"{HEADING}\nA=1\nB='x y'\n"),
        ("# top\nC=1\n", f"\n{HEADING}\nA=1\nB='x y'\n"),
        ("C=1", f"\n\n{HEADING}\nA=1\nB='x y'\n"),
        ("C=1\r\n", f"\r\n{HEADING}\r\nA=1\r\nB='x y'\r\n"),
        ("C=1\r\nD=2", f"\r\n\r\n{HEADING}\r\nA=1\r\nB='x y'\r\n"),
        ("\ufeff", f"{HEADING}\nA=1\nB='x y'\n"),
        ("export C=1\nexport D\n", f"\n{HEADING}\nexport A=1\nexport B='x y'\n"),
        (f"C=1\n\n{HEADING}\nD=2\n", "A=1\nB='x y'\n"),
        (f"C=1\n\n{HEADING}\nD=2\n\n# mine\nE=1\n", f"\n{HEADING}\nA=1\nB='x y'\n"),
        ("# the end", f"\n\n{HEADING}\nA=1\nB='x y'\n"),
    ],
)
def test_a_variable_that_the_file_does_not_have_is_added_under_a_comment(old: str, added: str) -> None:
    done = patched(old.encode(), {"A": "1", "B": "x y"})
    assert done.data.decode() == old + added
    assert done.appended == ("A", "B")


def test_bytes_that_are_no_text_stay() -> None:
    assert patched(b"# \xff\xfe\nB=\xff\nA=1\n", {"A": "2"}).data == b"# \xff\xfe\nB=\xff\nA=2\n"


def test_what_refers_to_a_variable_that_is_set_is_told() -> None:
    old = b"HOST=a\nNAME=x\nURL=http://$HOST/\nAGAIN=${NONE:-$URL}\nLITERAL='$HOST'\nHIDDEN=$HOST\nHIDDEN=1\nBEFORE=$PORT\nPORT=1\n"
    assert patched(old, {"HOST": "b", "PORT": "2"}).following == ("URL", "AGAIN")
    assert patched(old, {"HOST": "a"}).following == ()


def test_lines_that_docker_compose_refuses_are_told() -> None:
    assert patched(b"A=1\nnot an assignment\n", {"A": "2"}).refused == (2,)


@pytest.mark.parametrize(
    ("old", "values", "why"),
    [
        (b"B='open\nA=1\n", {"A": "2"}, "Docker Compose refuses it for line 1"),
        (b'B="open\n', {"A": 'x" y="'}, "Docker Compose refuses it for line 1"),
        (b"B=1\nTOKEN", {"A": "2"}, "line 2 is the last one, a name without = and without a line end"),
        (b"B=1\nexport TOKEN", {"TOKEN": "2"}, "line 2 is the last one, a name without = and without a line end"),
        (b"A=1\n", {"A": "a\0b"}, "there is a NUL character in its value"),
        (b"A=1\n", {"A": "\udcff"}, "its value is no UTF-8 text"),
        (b"A=1\n", {"A B": "1"}, "what is written is not what would be read"),
    ],
)
def test_what_docker_compose_would_read_as_something_else_is_refused(old: bytes, values: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        patched(old, values, where="/srv/app/.env")
    assert str(caught.value).startswith("/srv/app/.env: ")
    assert caught.value.remedy


def test_a_variable_above_a_quote_that_is_never_closed_can_be_set() -> None:
    assert patched(b"A=1\nB='open\nC=1\n", {"A": "2"}).data == b"A=2\nB='open\nC=1\n"


def test_no_value_is_in_the_repr_or_in_an_error() -> None:
    assert "hunter2" not in repr(patched(b"A=hunter2\n", {"B": "hunter2"}))
    with pytest.raises(ConfigError) as caught:
        patched(b"C='hunter2\n", {"A": "hunter2"})
    assert "hunter2" not in str(caught.value)


KEYS = st.sampled_from(["A", "B", "FOO", "NO", "new_one"])
VALUES = st.dictionaries(KEYS, env_values(), max_size=3)


def attempt(data: bytes, values: dict[str, str]) -> env_patches.Patched | None:
    try:
        return patched(data, values)
    except ConfigError:
        return None


@given(st.one_of(env_files(), patchable_env_files()), VALUES)
def test_patching_twice_is_patching_once(data: bytes, values: dict[str, str]) -> None:
    once = attempt(data, values)
    if once is not None:
        again = patched(once.data, values)
        assert (again.data, again.set, again.appended) == (once.data, (), ())
        assert set(again.already) == set(values)


@given(st.one_of(env_files(), patchable_env_files()), VALUES)
def test_the_patched_variables_come_to_their_values_and_no_other_entry_changes(data: bytes, values: dict[str, str]) -> None:
    done = attempt(data, values)
    if done is None:
        return
    before, after = EnvFile.parse(data).entries, EnvFile.parse(done.data).entries
    assert {entry.key: says(entry) for entry in after if entry.key in values} == values
    kept = [(new.key, new.text, new.quote) for _, new in zip(before, after, strict=False)]
    for index, old in enumerate(before):
        last = index == max(place for place, entry in enumerate(before) if entry.key == old.key)
        assert kept[index] == (old.key, old.text, old.quote) or (old.key in done.set and last)
    assert [entry.key for entry in after[len(before) :]] == list(done.appended)


@given(st.one_of(env_files(), patchable_env_files()), VALUES)
def test_every_byte_outside_of_the_values_that_are_set_stays(data: bytes, values: dict[str, str]) -> None:
    done = attempt(data, values)
    if done is None:
        return
    before, after = ({entry.key: entry for entry in EnvFile.parse(file).entries} for file in (data, done.data))
    left = without(data, [(before[key].stretch.value, before[key].stretch.end) for key in done.set])
    right = without(done.data, [(after[key].stretch.value - (before[key].text is None), after[key].stretch.end) for key in done.set])
    assert right.startswith(left)
    assert bool(right[len(left) :]) == bool(done.appended)
    assert done.data.startswith("\ufeff".encode()) == data.startswith("\ufeff".encode())


def without(data: bytes, cuts: list[tuple[int, int]]) -> str:
    """The file without these stretches, and without its byte order mark."""
    text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    for start, end in sorted(cuts, reverse=True):
        text = text[:start] + text[end:]
    return text


@given(env_values().filter(lambda value: any(len(line.strip()) >= SHORTEST for line in value.splitlines())))
@example("it's `a` $b")
@example("''''")
def test_what_is_written_is_known_as_the_secret_that_it_is(value: str) -> None:
    """However it is quoted: where a program prints the file, the redactor must find it."""
    written = patched(b"", {"A": value}).data.decode().partition("A=")[2].strip()
    inside = written[1:-1] if written[0] in "'\"" else written
    assert inside not in Redactor([value]).redact(written)


@given(patchable_env_files(), VALUES)
def test_an_ordinary_file_can_be_patched_with_any_text(data: bytes, values: dict[str, str]) -> None:
    assert attempt(data, values) is not None


@given(st.one_of(env_files(), st.binary(max_size=60)), VALUES)
def test_nothing_but_a_told_error_comes_of_any_file(data: bytes, values: dict[str, str]) -> None:
    attempt(data, values)
