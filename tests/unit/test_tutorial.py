"""What follows a tutorial must notice when its page is wrong: small pages that are right, and the same pages with one thing wrong."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.in_terminal import human_environ
from tests.tutorial import NotSoError, PageError, Save, Type, follow, read_page


def walk(home: Path, page: str, name: str = "anna") -> None:
    follow(read_page(page), environ=human_environ(home, PATH=os.environ["PATH"], TERM="dumb", LANG="C.UTF-8"), home=home, folder=home, name=name, limit_s=20)


def console(*lines: str) -> str:
    return "\n".join(("", "```console", *lines, "```", ""))


def saved(name: str, *lines: str, language: str = "sh") -> str:
    return "\n".join((f"Save this as `{name}`:", "", f"```{language}", *lines, "```", ""))


# ---- what a page says


def test_a_block_below_a_name_is_a_file_and_a_console_block_is_typed() -> None:
    page = saved("a/b.sh", "echo 1", "", "echo 2") + console("$ sh a/b.sh", "1", "2", "$ false  # exit code 1")
    assert read_page(page) == (
        Save(name="a/b.sh", text="echo 1\n\necho 2\n", line=4),
        Type(command="sh a/b.sh", exit_code=0, shown=("1", "2"), line=10),
        Type(command="false", exit_code=1, shown=(), line=13),
    )


def test_a_name_at_the_end_of_a_longer_sentence_counts_and_a_fence_may_hold_fences() -> None:
    page = "Open the file, and call\nit `x.md`:\n\n````markdown\n```console\n$ no\n```\n````\n"
    assert read_page(page) == (Save(name="x.md", text="```console\n$ no\n```\n", line=5),)


@pytest.mark.parametrize(
    ("page", "said"),
    [
        pytest.param("Look at this:\n\n```yaml\na: 1\n```\n", "line 3: a block that nobody saves or types", id="no name"),
        pytest.param(saved("a", "1") + "\n```\n2\n```\n", "line 7: a block that nobody saves or types", id="one name and two blocks"),
        pytest.param("`a`:\n\n```\n1\n", "line 3: the block that begins here has no end", id="no end"),
        pytest.param(console("output"), "line 3: a console block begins with a command", id="no command"),
        pytest.param(console(), "line 3: a console block begins with a command", id="nothing in it"),
    ],
)
def test_a_block_that_nobody_could_follow_is_a_fault_of_the_page(page: str, said: str) -> None:
    with pytest.raises(PageError, match=f"^{re.escape(said)}"):
        read_page(page)


# ---- what happens

RIGHT = [
    pytest.param(console("$ echo one two", "one two"), id="what it shows"),
    pytest.param(console("$ printf 'one\\ntwo three\\n'", "one two", "three"), id="lines break elsewhere"),
    pytest.param(console("$ true", "$ false  # exit code 1", "$ sh -c 'exit 78'  # exit code 78"), id="exit codes"),
    pytest.param(console("$ seq 9", "1", "...", "5", "6", "..."), id="lines left out"),
    pytest.param(console("$ echo took 17 s, all told", "took ... s, all told"), id="words left out"),
    pytest.param(console("$ echo sha256:00 lock.free", "sha256:... lo...ree"), id="part of a word left out"),
    pytest.param(console("$ echo", "...", "$ true", "..."), id="nothing may be anything"),
    pytest.param(console("$ mkdir a", "$ cd a", "$ A=1", "$ pwd; echo $A", "/home/kim/a", "1"), id="one shell, and the home"),
    pytest.param(saved("b/run", "echo saved") + console("$ sh b/run", "saved"), id="a file"),
    pytest.param(console("$ mkdir a", "$ cd a") + saved("run", "echo here") + console("$ sh run", "here"), id="a file where the reader stands"),
    pytest.param(saved("/home/kim/a/run", "echo /home/kim") + console("$ sh a/run", "/home/kim"), id="a file in the home"),
    pytest.param(console("$ echo kim kim@example.org ghcr.io/kim/x", "kim kim@example.org ghcr.io/kim/x"), id="the name, and where it is none"),
    pytest.param(console("$ tty > tty; test -t 0 && sh -c 'echo < /dev/tty' && grep -c dev tty", "1"), id="a terminal"),
]


@pytest.mark.parametrize("page", RIGHT)
def test_a_page_that_is_right_is_followed_to_its_end(tmp_path: Path, page: str) -> None:
    walk(tmp_path, page)


WRONG = [
    pytest.param(console("$ echo one two", "one three"), "`echo one two` does not show, at its place: one three", id="another word"),
    pytest.param(console("$ echo one two", "one"), "shows more than the page does", id="more at the end"),
    pytest.param(console("$ echo one two", "two"), "does not show, at its place: two", id="more at the beginning"),
    pytest.param(console("$ echo one"), "shows more than the page does", id="output that the page is silent about"),
    pytest.param(console("$ true", "one"), "does not show, at its place: one", id="no output"),
    pytest.param(console("$ echo onetwo", "one two"), "does not show, at its place: one two", id="two words are not one"),
    pytest.param(console("$ seq 9", "...", "6", "...", "5", "..."), "does not show, at its place: 5", id="another order"),
    pytest.param(console("$ seq 9", "1", "3", "..."), "does not show, at its place: 3", id="a line left out without a word"),
    pytest.param(console("$ echo a.b", "axb"), "does not show, at its place: axb", id="a letter for a dot"),
    pytest.param(console("$ echo axb", "a.b"), "does not show, at its place: a.b", id="a dot is no pattern"),
    pytest.param(console("$ false"), "`false` ended with 1, and the page says 0", id="a failure"),
    pytest.param(console("$ true  # exit code 1"), "`true` ended with 0, and the page says 1", id="a success"),
    pytest.param(console("$ sh -c 'exit 11'  # exit code 1"), "ended with 11, and the page says 1", id="another exit code"),
    pytest.param(console("$ no-such-program-here  # exit code 127", "x"), "does not show, at its place: x", id="a command that is missing"),
    pytest.param(console("$ no-such-program-here", "..."), "ended with 127, and the page says 0", id="a command that was renamed"),
    pytest.param(console("$ exit"), "did not end", id="the shell goes away"),
    pytest.param(console("$ true", "$ echo one", "two"), "line 4 of the page: `echo one`", id="the line of the page"),
]


@pytest.mark.parametrize(("page", "said"), WRONG)
def test_a_page_that_is_wrong_in_one_place_is_not_followed(tmp_path: Path, page: str, said: str) -> None:
    with pytest.raises(NotSoError, match=re.escape(said)):
        walk(tmp_path, page)


def test_what_was_shown_instead_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotSoError, match=r"it showed:\nonce upon\na time$"):
        walk(tmp_path, console("$ printf 'once upon\\na time\\n'", "once again"))


def test_a_command_that_waits_for_ever_is_an_error(tmp_path: Path) -> None:
    steps = read_page(console("$ cat"))
    with pytest.raises(NotSoError, match="`cat` did not end"):
        follow(steps, environ=human_environ(tmp_path), home=tmp_path, folder=tmp_path, name="anna", limit_s=1)


# ---- what is different in each run


def test_stamps_and_digests_may_be_others_and_are_the_real_ones_from_there_on(tmp_path: Path) -> None:
    page = console(
        "$ echo reports/20310102T030405Z-apply-abc123 at 2031-01-02T03:04:05Z",
        "reports/20261120T211107Z-apply-53f938 at 2026-11-20T21:11:07Z",
        "$ mkdir 20310102T030405Z-apply-abc123",
        "$ ls -d 20261120T211107Z-apply-53f938",
        "20261120T211107Z-apply-53f938",
    )
    walk(
        tmp_path, page + saved("20261120T211107Z-apply-53f938/x", "sha256 53f938") + console("$ cat 2031*/x", "sha256 53f938", "$ grep -c abc123 2031*/x", "1")
    )


DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("page", "said"),
    [
        pytest.param(console("$ echo abc123 abc124", "53f938 53f938"), "53f938 53f938", id="the same twice on one line"),
        pytest.param(console("$ echo abc123", "53f938", "$ echo abc124", "53f938"), "`echo abc124` does not show", id="the same in two commands"),
        pytest.param(console("$ echo abc1234", "53f938"), "does not show, at its place: 53f938", id="a digest that is too long"),
        pytest.param(console(f"$ echo {DIGEST[1:]}", DIGEST), "does not show, at its place: 0123", id="a digest that is too short"),
        pytest.param(console("$ echo zzzzzz", "53f938"), "does not show, at its place: 53f938", id="no digest"),
        pytest.param(console("$ echo 20310102", "20261120"), "does not show, at its place: 20261120", id="a number is no digest"),
        pytest.param(console("$ echo facade", "decade"), "does not show, at its place: decade", id="a word is no digest"),
        pytest.param(console("$ echo yesterday", "20261120T211107Z"), "does not show, at its place: 20261120T211107Z", id="no stamp"),
    ],
)
def test_what_is_no_other_stamp_or_digest_is_wrong(tmp_path: Path, page: str, said: str) -> None:
    with pytest.raises(NotSoError, match=re.escape(said)):
        walk(tmp_path, page)
