"""What does a `sed` or `perl -pi` command look for, and what does it write? Their scripts as edits with patterns that Python can run.

    edits = sed_edits("s#- data:/data#- $FOLDER:/data#; /^  data:/d", extended=False)

A variable of the shell in a pattern stands as `ANYTHING`, and matches whatever is there. What cannot be carried over exactly is None, and nobody judges it:
multi-line tricks, labels, backtracking of Perl. Source: POSIX.1-2017, XBD 9 (regular expressions) and sed; GNU sed's manual for its extensions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from interlock.nouns import dataclass
from interlock.patterns import regex

ANYTHING = "\ue000"  # private use: no script has it
LONGEST_PATTERN = 400  # characters

_CLASSES = {
    "alpha": "A-Za-z",
    "digit": "0-9",
    "alnum": "A-Za-z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r"\s",
    "blank": r" \t",
    "xdigit": "0-9A-Fa-f",
    "punct": r"!-/:-@\[-`{-~",
    "print": " -~",
    "graph": "!-~",
    "cntrl": r"\x00-\x1f",
}
_SAME = {"n": r"\n", "t": r"\t", "s": r"\s", "S": r"\S", "w": r"\w", "W": r"\W", "b": r"\b", "B": r"\B", "<": r"\b(?=\w)", ">": r"\b(?<=\w)"}
_ESCAPED = frozenset(".[]*^$/\\")


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One thing that is done to the lines that match. `patterns` are those that a line has to match, all of them; `written` what is put there, as it
    stands, with ANYTHING for what a variable or a group brings; empty for a deletion. `shown` is the first pattern as its author wrote it."""

    verb: str  # s, d, c, i, a
    patterns: tuple[re.Pattern[str], ...]
    written: str
    shown: str

    def applies(self, line: str) -> bool:
        """Whether it would change a line."""
        return all(pattern.search(line) for pattern in self.patterns)


# ---- patterns


def basic(pattern: str) -> str | None:
    """A basic regular expression (BRE, with GNU's extensions) as Python writes it."""
    return _carried(pattern, extended=False)


def extended(pattern: str) -> str | None:
    """An extended regular expression (ERE)."""
    return _carried(pattern, extended=True)


def _carried(pattern: str, *, extended: bool) -> str | None:
    found: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == ANYTHING:
            found.append(".*")
        elif char == "[":
            bracket = _bracket(pattern, at)
            if bracket is None:
                return None
            text, at = bracket
            found.append(text)
            continue
        elif char == "\\":
            escaped = _backslash(pattern[at + 1 : at + 2], extended=extended)
            if escaped is None:
                return None
            found.append(escaped)
            at += 1
        else:
            found.append(_plain(char, pattern, at, extended=extended))
        at += 1
    return "".join(found)


def _plain(char: str, pattern: str, at: int, *, extended: bool) -> str:
    """A character that is no bracket and no backslash."""
    before, after = pattern[:at], pattern[at + 1 :]
    if char == "^":
        return "^" if extended or not before or before.endswith((r"\(", r"\|")) else r"\^"
    if char == "$":
        return "$" if extended or not after or after.startswith((r"\)", r"\|")) else r"\$"
    if char == "*":
        return r"\*" if not before or before == "^" or before.endswith(("(", "|") if extended else (r"\(", r"\|", r"\(^")) else "*"
    if char == ".":
        return "."
    if char in "+?(){}|":
        if char == "{" and extended and not re.match(r"\{\d*,?\d*\}", pattern[at:]):
            return r"\{"
        return char if extended else "\\" + char
    return re.escape(char)


def _backslash(char: str, *, extended: bool) -> str | None:
    """What a backslash and a character mean; None for what Python has no word for."""
    if char in _SAME:
        return _SAME[char]
    if char in "+?(){}|" and char:
        return "\\" + char if extended else char
    if char.isdigit():
        return f"\\{char}" if char != "0" else None
    if char in _ESCAPED or not char.isalnum():
        return re.escape(char) if char and char not in "`'" else None
    return None


def _bracket(pattern: str, at: int) -> tuple[str, int] | None:
    """A bracket expression from `[` on, and where it ends."""
    end = at + 1
    negated = pattern[end : end + 1] == "^"
    end += negated
    found: list[str] = []
    first = True
    while end < len(pattern) and (first or pattern[end] != "]"):
        first = False
        if pattern.startswith("[:", end):
            close = pattern.find(":]", end)
            name = pattern[end + 2 : close] if close > 0 else ""
            if name not in _CLASSES:
                return None
            found.append(_CLASSES[name])
            end = close + 2
        elif pattern.startswith(("[.", "[="), end) or pattern[end] == ANYTHING:
            return None
        elif pattern[end] == "\\":
            follows = pattern[end + 1 : end + 2]
            found.append({"n": r"\n", "t": r"\t", "\\": r"\\", "s": r"\s", "w": r"\w", "d": r"\d"}.get(follows, r"\\"))
            end += 2 if follows in ("n", "t", "\\", "s", "w", "d") else 1
        else:
            found.append("-" if pattern[end] == "-" else re.escape(pattern[end]))
            end += 1
    if end >= len(pattern):
        return None
    return f"[{'^' if negated else ''}{''.join(found)}]", end + 1


def _compiled(pattern: str | None, flags: str) -> re.Pattern[str] | None:
    if pattern is None or len(pattern) > LONGEST_PATTERN:
        return None
    try:
        return re.compile(pattern, re.IGNORECASE if "i" in flags.lower() else 0)
    except (re.error, OverflowError, RecursionError):
        return None


# ---- sed


def sed_edits(script: str, *, extended: bool) -> tuple[Edit, ...] | None:
    """The edits of a sed script; None when it has a command that is no plain edit of single lines."""
    reader = _Sed(script, extended=extended)
    found: list[Edit] = []
    while not reader.at_end():
        edit = reader.command()
        if edit is None:
            return None
        if edit.patterns:
            found.append(edit)
    return tuple(found)


class _Sed:
    """Reads a sed script from its beginning on."""

    def __init__(self, script: str, *, extended: bool) -> None:
        self.script = script
        self.at = 0
        self.extended = extended

    def at_end(self) -> bool:
        """True when only blanks and semicolons are left."""
        while self.at < len(self.script) and self.script[self.at] in " \t\n;":
            self.at += 1
        return self.at >= len(self.script)

    def command(self) -> Edit | None:
        """The next command; None for what is not understood. One without patterns is one that any line may be changed by."""
        addresses = self._addresses()
        if addresses is None:
            return None
        patterns, shown = addresses
        verb = self._next()
        if verb == "s":
            return self._substitution(patterns, shown)
        if verb == "d":
            return Edit(verb=verb, patterns=patterns, written="", shown=shown) if self._ends() else None
        if verb in ("c", "i", "a"):
            text = self.script[self.at :].lstrip(" \t").removeprefix("\\").lstrip(" \t\n")
            self.at = len(self.script)
            return Edit(verb=verb, patterns=patterns, written=text, shown=shown)
        return None

    def _next(self) -> str:
        char = self.script[self.at : self.at + 1]
        self.at += 1
        return char

    def _ends(self) -> bool:
        """Whether a command is over here."""
        rest = self.script[self.at :].lstrip(" \t")
        return not rest or rest[0] in ";\n"

    def _addresses(self) -> tuple[tuple[re.Pattern[str], ...], str] | None:
        """The pattern of the first address, if there is one. Of a range the end alone may be missing from a file, so it is not asked."""
        patterns: list[re.Pattern[str]] = []
        shown = ""
        for number in range(2):
            char = self.script[self.at : self.at + 1]
            if char in ("/", "\\") and char:
                if char == "\\":
                    self.at += 1
                found = self._until(self._next())
                if found is None:
                    return None
                flags = "i" if self.script[self.at : self.at + 1] == "I" else ""
                self.at += len(flags)
                pattern = self._pattern(found, flags)
                if pattern is None:
                    return None
                if number == 0:
                    patterns.append(pattern)
                    shown = found
            elif match := re.compile(r"\d+|\$|\+\d+").match(self.script, self.at):
                self.at = match.end()
            else:
                break
            if self.script[self.at : self.at + 1] != ",":
                break
            self.at += 1
        while self.script[self.at : self.at + 1] in (" ", "\t"):
            self.at += 1
        return None if self.script[self.at : self.at + 1] == "!" else (tuple(patterns), shown)

    def _substitution(self, patterns: tuple[re.Pattern[str], ...], shown: str) -> Edit | None:
        delimiter = self._next()
        if not delimiter or delimiter in ("\n", "\\", ANYTHING):
            return None
        sought, written = self._until(delimiter), self._until(delimiter)
        if sought is None or written is None:
            return None
        flags = re.compile(r"[gpiImM\d]*").match(self.script, self.at)
        self.at = flags.end() if flags else self.at
        if not self._ends() or (flags and "m" in flags[0].lower()):
            return None
        pattern = self._pattern(sought, "i" if flags and "i" in flags[0].lower() else "") if sought else None
        if pattern is None and sought:
            return None
        every = (*patterns, pattern) if pattern is not None else patterns
        return Edit(verb="s", patterns=every, written=_replacement(written), shown=sought or shown)

    def _pattern(self, text: str, flags: str) -> re.Pattern[str] | None:
        return _compiled(extended(text) if self.extended else basic(text), flags)

    def _until(self, delimiter: str) -> str | None:
        """The text up to the next delimiter that is neither escaped nor in a bracket expression; an escaped one is the delimiter itself."""
        found: list[str] = []
        while self.at < len(self.script):
            char = self._next()
            if char == delimiter:
                return "".join(found)
            if char == "\\" and self.at < len(self.script):
                follows = self._next()
                found.append(follows if follows == delimiter and delimiter not in "|+?(){}" else char + follows)
            else:
                found.append(char)
        return None


def _replacement(text: str) -> str:
    """What a substitution writes, ANYTHING for what was found."""
    text = re.sub(r"\\[0-9]|(?<!\\)&", ANYTHING, text)
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text, flags=re.DOTALL)


# ---- perl


_PERL = regex(r"\s*s(?P<delimiter>[/|#,!@%:~])")


def perl_edits(script: str) -> tuple[Edit, ...] | None:
    """The substitutions of a `perl -pi -e` script; None for one that does anything else."""
    found: list[Edit] = []
    rest = script
    while rest.strip(" \t\n;"):
        start = _PERL.match(rest)
        if start is None:
            return None
        parts = list(_split(rest[start.end() :], start["delimiter"]))
        if len(parts) < 3:
            return None
        sought, written, after = parts
        flags = re.match(r"[gimsxe]*", after)
        end = flags.end() if flags else 0
        if set(after[:end]) & set("ex") or not re.match(r"\s*(?:;|$)", after[end:]):
            return None
        pattern = _perl_pattern(sought, after[:end])
        if pattern is None:
            return None
        told = re.sub(r"\$(?:\{?\d+\}?|ENV\{[^}]*\}|\{?\w+\}?)", ANYTHING, written)
        found.append(Edit(verb="s", patterns=(pattern,), written=re.sub(r"\\(.)", r"\1", told), shown=sought))
        rest = after[end:].lstrip().removeprefix(";")
    return tuple(found)


def _split(text: str, delimiter: str) -> Iterator[str]:
    """The pattern, the replacement, and what follows."""
    for _ in range(2):
        match = re.match(rf"((?:[^\\{re.escape(delimiter)}]|\\.)*){re.escape(delimiter)}", text, re.DOTALL)
        if match is None:
            return
        yield match[1]
        text = text[match.end() :]
    yield text


def _perl_pattern(text: str, flags: str) -> re.Pattern[str] | None:
    """Perl's patterns are Python's but for what interpolates and a few words of its own."""
    if re.search(r"\\[KQEGXRhHvV]|\(\?[<{?+&|]|(?<!\\)@\w|\$[A-Za-z{]", text.replace("$ENV", "")) or "$ENV" in text:
        return None
    return _compiled(text.replace(ANYTHING, ".*"), flags)
