"""How are secrets kept out of everything that is written? `Redactor` hides them at capture, before a message, a name or a captured byte reaches a record.

Two nets: the values that the site declares, in every form that programs print them in, and patterns of what looks like a secret. Better one word too many
hidden than one too few: what is hidden becomes `***`. Declared values shorter than four characters are not searched for (they would hide half of every
text); `Redactor.too_short` counts them, so that somebody is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

from interlock.nouns import dataclass

HIDDEN = "***"
SHORTEST = 4  # characters of a declared secret, or of one form of it
LONGEST_VALUE = 1 << 16  # what one match of a pattern hides at most
HOLD_BACK = LONGEST_VALUE + 4096  # what a stream keeps to itself: no match of a pattern is longer
_BASE64_LINE = 76  # where base64(1) breaks its lines
_LOOK_BEHIND = 16  # characters that a pattern may look back

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Pattern:
    """What one kind of secret looks like: its group `secret` is hidden, or the whole match.

    A text is only searched when it holds one of `marks` and, where there are any, one of `words` in lower case: most texts hold none, and finding that
    out must cost next to nothing.
    """

    marks: tuple[str, ...]
    expression: str
    words: tuple[str, ...] = ()  # in lower case


_END_OF_VALUE = r"(?:\\{0,4}[\"']|[\s,;)&\]}]|\Z)"
# a reference to a secret (${NAME}, {{ name }}), or one that is hidden already
_NO_SECRET = rf"(?!\\{{0,4}}[\"']?(?:\$\{{?[A-Za-z_][A-Za-z0-9_]{{0,200}}\}}?|\{{\{{[^{{}}\n]{{0,200}}\}}\}}|\*\*\*){_END_OF_VALUE})"
_VALUE = (
    rf"{_NO_SECRET}(?:"
    rf"\\{{1,4}}\"(?:(?!\\{{1,4}}\")[^\n]){{0,{LONGEST_VALUE}}}"  # in escaped quotes, closed or cut off
    rf"|\"(?:[^\"\\\n]|\\.){{0,{LONGEST_VALUE}}}"
    rf"|'[^'\n]{{0,{LONGEST_VALUE}}}"
    rf"|[^\s\"']\S{{0,{LONGEST_VALUE}}})"
)
_NAME = (
    r"(?:passwo?r?d|passwd|passphrase|(?-i:Pwd|pwd|(?<=[A-Za-z0-9]_)PWD)|secret|token|api[_-]?key|access[_-]?key|account[_-]?key"
    r"|private[_-]?key|secret[_-]?key|signing[_-]?key|encryption[_-]?key|credentials?)(?:[_-]?(?:base|value|text|string|hash|b64|base64))?"
)
_NAME_WORDS = ("pass", "pwd", "secret", "token", "key", "credential")

_PATTERNS = (
    # scheme://user:password@host; a port is no password
    _Pattern(
        ("://",),
        r"(?i)[a-z][a-z0-9+.-]{0,30}://[^\s:/@\[\]\"'<>]{0,256}:(?!\d{1,5}(?:[/?#\s\"']|\Z)|\*\*\*@)(?P<secret>[^\s\"'<>]{1,2048})@",
    ),
    # scheme://token@host
    _Pattern(("://",), r"(?i)[a-z][a-z0-9+.-]{0,30}://(?P<secret>[a-z0-9_.~%-]{16,512})@"),
    # password=..., "token": "...", api_key: ..., and %3D in a query
    _Pattern((":", "=", "%3"), rf"(?i){_NAME}(?:\\{{0,4}}[\"'])?\s{{0,8}}(?::=|=>|[:=]|%3[ad])\s{{0,8}}(?P<secret>{_VALUE})", _NAME_WORDS),
    _Pattern(("--",), rf"(?i)--[a-z-]{{0,40}}{_NAME}\s{{1,8}}(?!-)(?P<secret>{_VALUE})", _NAME_WORDS),
    _Pattern((":", "="), rf"(?i)(?:x-amz-signature|[?&]sig(?:nature)?)=(?P<secret>{_VALUE})", ("sig",)),
    _Pattern((" ", "\t", "\n"), rf"(?i)\bbearer\s{{1,8}}(?P<secret>[A-Za-z0-9._~+/=-]{{8,{LONGEST_VALUE}}})", ("bearer",)),
    _Pattern(
        (":", "="),
        rf"(?i)authorization\\{{0,4}}[\"']?\s{{0,8}}[:=]\s{{0,8}}\\{{0,4}}[\"']?(?:basic|digest|token|negotiate|apikey)\s{{1,8}}"
        rf"(?!\*\*\*)(?P<secret>[^\s\"'\\]{{1,{LONGEST_VALUE}}})",
        ("authorization",),
    ),
    # the marks that vendors put on theirs
    _Pattern(("IA", "ACCA"), r"(?<![A-Za-z0-9])A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _Pattern(("gh",), r"gh[pousr]_[A-Za-z0-9]{16,255}"),
    _Pattern(("github_pat_",), r"github_pat_[A-Za-z0-9_]{16,255}"),
    _Pattern(("gl",), r"gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat)-[A-Za-z0-9_.-]{16,512}"),
    _Pattern(("xox", "xapp-"), r"(?:xox[a-z]|xapp)-[A-Za-z0-9-]{10,512}"),
    _Pattern(("hooks.slack.com",), r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[A-Za-z0-9/_-]{8,512})"),
    _Pattern(("hvs.", "hvb.", "hvr."), r"hv[sbr]\.[A-Za-z0-9_-]{16,4096}"),
    _Pattern(("AGE-SECRET-KEY-",), r"AGE-SECRET-KEY-1[A-Z0-9]{20,128}"),
    _Pattern(("eyJ",), r"eyJ[A-Za-z0-9_-]{8,2048}+\.[A-Za-z0-9_-]{8,16384}(?:\.[A-Za-z0-9_-]{0,16384})?"),
    # a private key, whole or cut off, with real or written line ends
    _Pattern(
        ("PRIVATE KEY",),
        rf"-----BEGIN [A-Z0-9 ]{{0,40}}PRIVATE KEY(?: BLOCK)?-----(?P<secret>(?:[A-Za-z0-9+/=\s,:]|-(?!-)|\\[nrt]){{1,{LONGEST_VALUE}}})",
    ),
)


_LONE_MARKS = tuple(sorted({mark for pattern in _PATTERNS if not pattern.words for mark in pattern.marks}))
_WORDS = tuple(sorted({word for pattern in _PATTERNS for word in pattern.words}))


@cache
def _compiled(pattern: _Pattern) -> re.Pattern[str]:
    """Compiled when the first text needs it: most runs need none."""
    return re.compile(pattern.expression)


class Redactor:
    """Hides declared secrets and whatever looks like one.

    `secrets` are the values that the site declares (from its environment and its secret files), in any order.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        values = sorted({secret for secret in secrets if secret})
        usable = [value for value in values if len(value.strip()) >= SHORTEST]
        self.too_short = len(values) - len(usable)
        forms = {form for value in usable for form in forms_of(value)}
        self._text = _Search(forms)
        self._bytes = _Search({form.encode("utf-8", "surrogatepass").decode("latin-1") for form in forms})

    def redact(self, text: str) -> str:
        """The text with every secret in it replaced by `***`."""
        return self._text.redact(text)

    def redact_bytes(self, data: bytes) -> bytes:
        """The same for captured bytes, whatever their encoding."""
        return self._bytes.redact(data.decode("latin-1")).encode("latin-1")

    def is_clean(self, text: str) -> bool:
        """True when `redact` would change nothing. False is allowed to be wrong."""
        return self._text.is_clean(text)

    def are_clean(self, prefix: str, names: Sequence[str]) -> bool:
        """True when `redact(prefix + name)` would change nothing for any of `names`; much cheaper than asking for each."""
        return self._text.are_clean(prefix, names)

    def stream(self) -> StreamRedactor:
        """A redactor for bytes that come in pieces: a secret across two of them is found too."""
        return StreamRedactor(self._bytes)


class StreamRedactor:
    """Bytes in, redacted bytes out, a little later: what might still be the beginning of a secret is held back until `close`."""

    def __init__(self, search: _Search) -> None:
        self._search = search
        self._text = ""
        self._done = 0  # characters of _text that are out already, kept for patterns that look back
        self._hold_back = HOLD_BACK + search.longest

    def feed(self, data: bytes) -> bytes:
        """Take a piece; returns what is safe to show now, often nothing."""
        self._text += data.decode("latin-1")
        if len(self._text) - self._done < 2 * self._hold_back:
            return b""
        cut = len(self._text) - self._hold_back
        found = sorted(self._search.matches(self._text, self._done))
        # No match may reach across the cut: its other half would not be known for what it is.
        for (start, end), _ in reversed(found):
            if start < cut < end:
                cut = start
        return self._out(cut, [hidden for (_, end), hidden in found if end <= cut])

    def close(self) -> bytes:
        """The rest."""
        found = self._search.matches(self._text, self._done)
        return self._out(len(self._text), [hidden for _, hidden in found])

    def _out(self, cut: int, spans: list[Span]) -> bytes:
        shown = self._search.without(_spliced(self._text[:cut], spans, self._done))
        kept = max(0, cut - _LOOK_BEHIND)
        self._text, self._done = self._text[kept:], cut - kept
        return shown.encode("latin-1")


class _Search:
    """The two nets over one kind of text: declared forms, and patterns."""

    def __init__(self, forms: Iterable[str]) -> None:
        self._forms = sorted({form for form in forms if len(form) >= SHORTEST})
        self._needles = _shortest(self._forms)
        self.longest = max(map(len, self._forms), default=0)

    def is_clean(self, text: str) -> bool:
        if self._any_needle(text):
            return False
        return not _any_mark(text) or not any(_compiled(pattern).search(text) for pattern in _worth_searching(text))

    def are_clean(self, prefix: str, names: Sequence[str]) -> bool:
        joined = "\n".join(names)
        marked = _any_mark(prefix) or _any_mark(joined) or self._any_needle(prefix) or self._any_needle(joined)
        if not marked and self._nothing_across(prefix):
            return True
        return self.is_clean(prefix + ("\n" + prefix).join(names))

    def _nothing_across(self, prefix: str) -> bool:
        """True when no match can begin in the prefix and end in a name. What a pattern needs to begin never goes on behind a slash, but `://`."""
        if not prefix.endswith("/") or prefix.endswith(":/"):
            return False
        return not any(prefix.endswith(needle[: at + 1]) for needle in self._needles for at, letter in enumerate(needle[:-1]) if letter == "/")

    def _any_needle(self, text: str) -> bool:
        for needle in self._needles:  # noqa: SIM110 - a generator costs more than the search
            if needle in text:
                return True
        return False

    def redact(self, text: str) -> str:
        if self.is_clean(text):
            return text
        return self.without(_spliced(text, [hidden for _, hidden in self.matches(text, 0)], 0))

    def without(self, text: str) -> str:
        """Once more for the declared forms alone: hiding one may have put the halves of another together. Each turn shortens the text, so it ends."""
        while spans := list(self._literals(text, 0)):
            text = _spliced(text, spans, 0)
        return text

    def matches(self, text: str, start: int) -> Iterator[tuple[Span, Span]]:
        """Every match from `start` on, and the part of it that is to be hidden; they may overlap."""
        for span in self._literals(text, start):
            yield span, span
        for pattern in _worth_searching(text):
            for match in _compiled(pattern).finditer(text, start):
                group = "secret" if "secret" in match.re.groupindex else 0
                yield match.span(), _inside_quotes(text, *match.span(group))

    def _literals(self, text: str, start: int) -> Iterator[Span]:
        for form in self._forms:
            at = text.find(form, start)
            while at >= 0:
                yield at, at + len(form)
                at = text.find(form, at + 1)


def _worth_searching(text: str) -> Iterator[_Pattern]:
    lower = ""
    for pattern in _PATTERNS:
        if any(mark in text for mark in pattern.marks):
            lower = lower or (text.lower() if pattern.words else "")
            if not pattern.words or any(word in lower for word in pattern.words):
                yield pattern


def _any_mark(text: str) -> bool:
    """False when no pattern can match: what nearly every text is asked, so written for speed."""
    for mark in _LONE_MARKS:
        if mark in text:
            return True
    lower = text.lower()
    for word in _WORDS:  # noqa: SIM110 - a generator costs more than the search
        if word in lower:
            return True
    return False


def _inside_quotes(text: str, start: int, end: int) -> Span:
    """Without a quote around it, so that hidden JSON is still JSON."""
    quote = start
    while quote < end and text[quote] == "\\":
        quote += 1
    return (quote + 1, end) if quote < end and text[quote] in "\"'" else (start, end)


def _spliced(text: str, spans: Iterable[Span], start: int) -> str:
    """The text from `start` on with every span, overlapping ones together, replaced."""
    parts, at = [], start
    for left, right in _merged(spans):
        parts += [text[at:left], HIDDEN]
        at = right
    return "".join([*parts, text[at:]])


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    current: Span | None = None
    for left, right in sorted(spans):
        if current is None or left > current[1]:
            if current is not None:
                yield current
            current = (left, right)
        else:
            current = (current[0], max(current[1], right))
    if current is not None:
        yield current


def _shortest(forms: Sequence[str]) -> list[str]:
    """Those forms that hold no other: a text without these is without all."""
    kept: list[str] = []
    for form in sorted(forms, key=len):
        if not any(known in form for known in kept):
            kept.append(form)
    return kept


# ---- the forms that programs print a value in


def forms_of(secret: str) -> frozenset[str]:
    """Every form of a declared secret that is searched for: raw, line by line, and as URLs, base64, hex, shells, JSON, Python and HTML write it.

    A connection string is a secret as a whole, and so is the password in it, which programs print alone.
    """
    spoken = {secret, secret.strip(), *(line.strip() for line in secret.splitlines()), *_passwords_in(secret)}
    forms = {form for text in spoken if len(text) >= SHORTEST for writer in _WRITERS for form in writer(text)}
    return frozenset(form for form in forms if len(form) >= SHORTEST)


def _passwords_in(connection: str) -> Iterator[str]:
    from urllib.parse import unquote

    for match in re.finditer(r"://[^\s:/@]*:(\S+)@", connection):
        yield match[1]
        yield unquote(match[1])
    for match in re.finditer(r"(?i)\b(?:password|pwd)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|([^\s;']+))", connection):
        yield re.sub(r"\\(.)", r"\1", match[1]) if match[1] is not None else match[2]


def _raw(text: str) -> Iterator[str]:
    yield text


def _url(text: str) -> Iterator[str]:
    from urllib.parse import quote, quote_plus

    data = text.encode("utf-8", "surrogatepass")
    for kept in ("", "/", "!'()*", "!*'();:@&=+$,/?#[]"):  # everything, a path, encodeURIComponent, encodeURI
        for written in (quote(data, safe=kept), quote_plus(data, safe=kept)):
            yield written
            yield re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), written)


def _base64(text: str) -> Iterator[str]:
    """At each of the three offsets that it can have inside a longer text, without the characters that its neighbours change."""
    from base64 import b64encode, urlsafe_b64encode

    data = text.encode("utf-8", "surrogatepass")
    for encode in (b64encode, urlsafe_b64encode):
        for offset in range(3):
            written = encode(b"\0" * offset + data).decode("ascii")
            first, last = -(-offset * 8 // 6), (offset + len(data)) * 8 // 6
            yield written[first:last]
        whole = encode(data).decode("ascii").rstrip("=")
        if len(whole) > _BASE64_LINE:
            yield from (line for start in range(0, len(whole), _BASE64_LINE) if len(line := whole[start : start + _BASE64_LINE]) >= 2 * SHORTEST)


def _hex(text: str) -> Iterator[str]:
    written = text.encode("utf-8", "surrogatepass").hex()
    yield written
    yield written.upper()


def _shell(text: str) -> Iterator[str]:
    for quote in ("'\"'\"'", "'\\''"):  # shlex, bash
        yield text.replace("'", quote)
    for special in (r'[\\$`"]', r'[\\$`"!]', r'[\\$"]', r"[^A-Za-z0-9_@%+=:,./-]"):  # in double quotes, with history, in an env file, printf %q
        yield re.sub(special, lambda match: "\\" + match[0], text)
    yield text.replace("\\", "\\\\").replace("'", "\\'")  # $'...'


def _json(text: str) -> Iterator[str]:
    import json

    for ascii_only in (True, False):
        written = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        yield written
        yield written.replace("/", "\\/")
        yield json.dumps(written, ensure_ascii=ascii_only)[1:-1]  # JSON in JSON
    yield re.sub(r"\\u[0-9a-f]{4}", lambda match: "\\u" + match[0][2:].upper(), json.dumps(text)[1:-1])


def _python(text: str) -> Iterator[str]:
    yield repr(text)[1:-1]
    yield repr(text.encode("utf-8", "surrogatepass"))[2:-1]
    yield text.encode("unicode_escape", "surrogatepass").decode("ascii")


def _html(text: str) -> Iterator[str]:
    import html

    yield html.escape(text, quote=False)
    yield html.escape(text)
    yield html.escape(text).replace("&#x27;", "&#39;")
    yield html.escape(text).replace("&#x27;", "&apos;")


_WRITERS: tuple[Callable[[str], Iterator[str]], ...] = (_raw, _url, _base64, _hex, _shell, _json, _python, _html)

PATTERNS_ONLY = Redactor()
