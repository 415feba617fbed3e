"""What is asked of all scripts of a tree together: does a shell read them, and what was found in them? `interlock.observe.scripts` brings the answers.

Here too: which shell a script is for, whether it is a template, and what a shell that refuses it says.
"""

from __future__ import annotations

import re
from enum import StrEnum

from interlock.facts.destruction import Destruction
from interlock.facts.host_literals import HostLiteral
from interlock.facts.lost_failures import LostFailure
from interlock.facts.programs import Unreadable
from interlock.nouns import dataclass
from interlock.patterns import regex


class Shell(StrEnum):
    """A program that can read a script without running it (`-n`)."""

    BASH = "bash"
    DASH = "dash"
    KSH = "ksh"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a shell says of a script that it cannot read. `line` is the one that it stopped at."""

    line: int
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A script that no shell of its kind can read; `only`: another shell can, `other` by its name."""

    path: str
    shell: Shell
    refusal: Refusal
    other: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntaxSeen:
    """What the shells say of all scripts: how many were read, which were refused, and which nobody could read, with the reason."""

    read: int
    refused: tuple[Refused, ...] = ()
    unread: tuple[Unreadable, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """One failure that is lost, in one file."""

    path: str
    failure: LostFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroys:
    """One command that deletes data, in one file. `name` is what is started: a script, or `makefile: target`."""

    path: str
    name: str
    destruction: Destruction


@dataclass(frozen=True, slots=True, kw_only=True)
class OnOneHost:
    """A name or path that holds on one host alone, in one file."""

    path: str
    literal: HostLiteral


@dataclass(frozen=True, slots=True, kw_only=True)
class LostSeen:
    """The failures that are lost in `read` scripts and programs; `unread` are those that a rule would have to know and that nobody could read."""

    read: int
    found: tuple[Lost, ...] = ()
    unread: tuple[Unreadable, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroysSeen:
    """The same of commands that delete data."""

    read: int
    found: tuple[Destroys, ...] = ()
    unread: tuple[Unreadable, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteralsSeen:
    """The same of names and paths of one host."""

    read: int
    found: tuple[OnOneHost, ...] = ()
    unread: tuple[Unreadable, ...] = ()


# ---- which shell

_SHEBANG = regex(r"#![^\n]*?\b(?P<shell>bash|dash|ksh\d*|mksh|ash|zsh|sh|python[\d.]*|perl|ruby|node|fish|php|tclsh|lua|expect|awk|make)\b")
_ANY_SHEBANG = regex(r"#!")
_TEMPLATE_NAME = regex(r"\.(?:tpl|tmpl|tftpl|template|j2|jinja2?|in|erb|hbs|mustache|gotmpl|ctmpl|epp|m4)$")
_TEMPLATE_MARK = regex(
    r"^[ \t]*(?:\{%|\{\{-?\s*(?:[#/.]|if\b|range\b|end\b|with\b|include\b|define\b)|%\{|<%|@\w+@|\{#)|<%=|\{\{\s*[a-z_][\w.]*\s*(?:\|[^}]*)?\}\}", re.MULTILINE
)
_LAST_LINE = regex(r"^(?:exit|exec)\b[^\n]*$", re.MULTILINE)


def shell_of(path: str, text: str) -> Shell | None:
    """The shell that a script is for, by its first line, else by its suffix; None for zsh and for what is no shell."""
    first = text.partition("\n")[0]
    found = _SHEBANG.match(first)
    name = found["shell"] if found else ""
    if not name and _ANY_SHEBANG.match(first):
        return None
    if not name:
        suffix = re.search(r"\.(bash|dash|ksh|sh)(?:\.\w+)?$", path)
        name = {"dash": "dash", "ksh": "ksh"}.get(suffix[1], "bash") if suffix else ""  # what has no first line is sourced, or run by bash
    if name == "bash":
        return Shell.BASH
    if name in ("sh", "dash", "ash"):
        return Shell.DASH
    return Shell.KSH if name.startswith(("ksh", "mksh")) else None


def is_template(path: str, text: str) -> bool:
    """Whether something else writes parts of it before a shell reads it."""
    return _TEMPLATE_NAME.search(path) is not None or _TEMPLATE_MARK.search(text) is not None


def until_it_ends(text: str, line: int) -> str | None:
    """The text up to a line that ends the script before `line`: what follows is read by nobody (an archive, a program in another language). None without."""
    ends = [found for found in _LAST_LINE.finditer(text) if text.count("\n", 0, found.start()) + 1 < line]
    return text[: ends[-1].end() + 1] if ends else None


_BASH_SAYS = regex(r"line (?P<line>\d+): (?P<said>[^\n]*)")
_DASH_SAYS = regex(r"(?:^|: )(?P<line>\d+): (?P<said>Syntax error[^\n]*)")
_KSH_SAYS = regex(r"(?:at line |\[)(?P<line>\d+)\]?: (?P<said>[^\n]*)")
_OPENED = regex(r" on line \d+")
_QUOTES = regex(r"[`'\"](?P<token>[^\n]*?)['\"](?=$|[ :(])")
_TOKEN = regex(r"(?:[][(){}<>;&|!\n]+|if|then|else|elif|fi|for|while|until|do|done|case|esac|in|function|newline|end of file|\[\[|\]\]|\(\(|\)\))")


def refusal_of(shell: Shell, said: str) -> Refusal:
    """The place and the reason in what a shell printed; tokens of the script that are no syntax are not repeated, they may be anything."""
    pattern = {Shell.BASH: _BASH_SAYS, Shell.DASH: _DASH_SAYS, Shell.KSH: _KSH_SAYS}[shell]
    found = next((one for one in pattern.finditer(said) if "warning:" not in one["said"]), None)
    if found is None:
        return Refusal(line=1, said="it is no script")
    shown = _QUOTES.sub(lambda one: one[0] if _TOKEN.fullmatch(one["token"]) else ("a carriage return" if "\\r" in one["token"] else "a word"), found["said"])
    opened = re.search(r"from [`']?(?P<what>\w+)[`']? command on line (?P<line>\d+)", found["said"])
    shown = re.sub(r"^Syntax error:", "syntax error:", shown)
    if opened:
        return Refusal(line=int(opened["line"]), said=f"syntax error: the `{opened['what']}` that begins here has no end")
    return Refusal(line=int(found["line"]), said=_OPENED.sub("", shown).strip())
