"""Patterns and scripts of sed and perl, carried over to Python: tried against the real sed, and on texts as installers write them."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.facts.text_edits import ANYTHING, basic, extended, perl_edits, sed_edits

LINES = ["- data:/var/data", "a+b(c){2}|d", "  port: 8000", "x*y", "^start$", "KEY=value", "aab", "", "a.b", "foo]bar", "tab\there", "#PATH=/x", "one two"]


@pytest.mark.skipif(shutil.which("sed") is None, reason="there is no sed")
@pytest.mark.parametrize("extends", [False, True])
@pytest.mark.parametrize(
    "pattern",
    [
        "data:/var",
        r"^\s*port:",
        "a+b(c){2}|d",
        r"a\+b",
        r"\(a\)\1b",
        "x*y",
        "*y",
        "^*",
        r"\^start\$",
        "^start",
        "[[:space:]]port",
        "[^[:alnum:]]y",
        "[]x]bar",
        "[a-c]\\{2\\}b",
        "(aa|x)b",
        "a.b",
        r"a\.b",
        r"\<two\>",
        "b$",
        r"\(^\|#\)PATH=.*",
        "(^|#)PATH=.*",
        "KEY=.*$",
        "a{2}b",
        "",
    ],
)
def test_a_pattern_matches_the_lines_that_sed_says(pattern: str, *, extends: bool) -> None:
    carried = (extended if extends else basic)(pattern)
    given_lines = "\n".join(LINES) + "\n"
    command = ("sed", *(("-E",) if extends else ()), "-n", f"\\\x01{pattern}\x01p")
    done = subprocess.run(command, input=given_lines, capture_output=True, text=True, timeout=10, check=False)
    if not pattern or done.returncode:
        return  # sed itself refuses it
    assert carried is not None
    compiled = re.compile(carried)
    assert [line for line in LINES if compiled.search(line)] == done.stdout.splitlines()


@given(st.text(st.sampled_from(list("ab.*[]^$\\(){}|+?-:/ ")), max_size=12))
@settings(max_examples=150)
def test_any_pattern_is_carried_over_or_refused(pattern: str) -> None:
    for carried in (basic(pattern), extended(pattern)):
        assert carried is None or isinstance(carried, str)


@given(st.text(max_size=60))
def test_any_script_is_read_or_refused(script: str) -> None:
    for edits in (sed_edits(script, extended=False), sed_edits(f"s/{script}/x/", extended=True), perl_edits(script), perl_edits(f"s/{script}/x/")):
        assert edits is None or all(edit.patterns for edit in edits)


@pytest.mark.parametrize(
    ("script", "line", "verb"),
    [
        ("s#- data:/var/data#- /srv:/var/data#g", "- data:/var/data", "s"),
        (r"/^\s*port:/d", "  port: 8000", "d"),
        ("/KEY/s/value/other/", "KEY=value", "s"),
        ("s|^KEY=.*|KEY=1|;s/a/b/", "KEY=value", "s"),
        (r"\#^KEY=#d", "KEY=value", "d"),
        ("/^KEY=/c\\KEY=other", "KEY=value", "c"),
        ("/^KEY=/a added", "KEY=value", "a"),
        ("1,/^KEY=/d", "KEY=value", "d"),
        (f"s/{ANYTHING}=value/x/", "KEY=value", "s"),
        ("s/a\\/b/x/", "see a/b", "s"),
        ("s/KEY/x/I", "key", "s"),
    ],
)
def test_an_edit_of_sed(script: str, line: str, verb: str) -> None:
    edits = sed_edits(script, extended=False)
    if script.startswith("1,"):
        assert edits == ()  # where a range ends is nothing that must be there
        return
    assert edits
    assert edits[0].verb == verb
    assert edits[0].applies(line)
    assert not edits[0].applies("something else")


@pytest.mark.parametrize("script", ["N;P;D", ":a;s/x/y/;ta", "/x/!d", "y/a/b/", "/x/{s/a/b/}", "s/a/b", "s/\\(a/b/", "$!N", "s/a/b/e", "w out"])
def test_what_is_no_plain_edit_is_refused(script: str) -> None:
    assert sed_edits(script, extended=False) is None


def test_what_is_written_is_told_but_for_what_was_found() -> None:
    edits = sed_edits(r"s/^#\(KEY\)=.*/\1=on \& off/", extended=False)
    assert edits
    assert edits[0].written == f"{ANYTHING}=on & off"


@pytest.mark.parametrize(
    ("script", "line"),
    [("s#PH_PORT#$ENV{PORT}#g", "port = PH_PORT"), ("s/^(mynetworks).*/${1} = x/", "mynetworks = y"), ("s/a/b/; s/c/d/i", "a")],
)
def test_an_edit_of_perl(script: str, line: str) -> None:
    edits = perl_edits(script)
    assert edits
    assert edits[0].applies(line)


@pytest.mark.parametrize("script", ["s/$x/y/", "tr/a/b/", "s/a/b/e", r"s/a\Kb/c/", "print if /x/", "s/(?<n>x)/y/"])
def test_what_only_perl_can_do_is_refused(script: str) -> None:
    assert perl_edits(script) is None
