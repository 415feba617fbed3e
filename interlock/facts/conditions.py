"""Can an `if:` of a workflow hold when a certain event started it? A small reader of the forges' expressions, with three answers: yes, no, cannot be told.

Source: GitHub's documentation, "Evaluate expressions in workflows and actions"; Forgejo and Gitea take the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from interlock.nouns import dataclass
from interlock.patterns import regex

DISPATCHED = frozenset({"workflow_dispatch", "repository_dispatch"})

_TOKEN = regex(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>[A-Za-z_][\w.*-]*)|(?P<sign>&&|\|\||==|!=|<=|>=|[!()<>,\[\]]))")
_STATUS = regex(r"\b(?:always|failure|cancelled)\s*\(")


class Unknown:
    """What only a run would tell."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()
Value = str | float | bool | Unknown | None


def may_run(condition: str, event: str, *, called: bool = False) -> bool:
    """False when this `if:` cannot hold for a run that this event started. An expression that cannot be read may hold.

    `called`: in a workflow that another one calls, which sees the event of its caller and inputs of its own.
    """
    if not condition.strip():
        return True
    value = evaluate(condition, event, called=called)
    return value is UNKNOWN or bool(value)


def runs_after_failure(condition: str) -> bool:
    """True when the job or step looks at the outcome of what it needs by itself, so that a failed or skipped one does not skip it."""
    return _STATUS.search(condition) is not None


def evaluate(condition: str, event: str, *, called: bool = False) -> Value:
    """What an expression comes to for an event; `${{ }}` around it may be left out."""
    text = condition.strip()
    if text.startswith("${{") and text.endswith("}}") and text.count("${{") == 1:
        text = text[3:-2]
    elif "${{" in text:
        text = text.replace("${{", "(").replace("}}", ")")
    reader = _Reader(_tokens(text), event, has_inputs=called or event in DISPATCHED)
    try:
        value = reader.either()
    except _NotRead:
        return UNKNOWN
    return value if reader.at_end else UNKNOWN


class _NotRead(Exception):
    """An expression that this reader does not know."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            return [_Token("sign", "?")]
        found.append(_Token(match.lastgroup or "", match[match.lastgroup or 0]))
        at = match.end()
    return found


class _Reader:
    """Recursive descent: `||`, `&&`, comparisons, `!`, then values."""

    def __init__(self, tokens: list[_Token], event: str, *, has_inputs: bool) -> None:
        self._tokens = tokens
        self._event = event
        self._has_inputs = has_inputs
        self._at = 0
        self._depth = 0

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._tokens)

    def either(self) -> Value:
        return self._chain("||", self._both, stop=True)

    def _both(self) -> Value:
        return self._chain("&&", self._compared, stop=False)

    def _chain(self, sign: str, below: Callable[[], Value], *, stop: bool) -> Value:
        """Both operators give one of their operands back, as in JavaScript; what cannot be told gives way to what decides."""
        self._depth += 1
        if self._depth > 60:
            raise _NotRead
        value = below()
        while self._take(sign):
            right = below()
            value = _joined(value, right, stop=stop)
        self._depth -= 1
        return value

    def _compared(self) -> Value:
        left = self._negated()
        for sign in ("==", "!=", "<=", ">=", "<", ">"):
            if self._take(sign):
                right = self._negated()
                if left is UNKNOWN or right is UNKNOWN or sign not in ("==", "!="):
                    return UNKNOWN
                return _equal(left, right) == (sign == "==")
        return left

    def _negated(self) -> Value:
        if self._take("!"):
            value = self._negated()
            return UNKNOWN if value is UNKNOWN else not value
        return self._value()

    def _value(self) -> Value:
        if self._take("("):
            value = self.either()
            self._demand(")")
            return value
        if self.at_end:
            raise _NotRead
        token = self._tokens[self._at]
        self._at += 1
        match token.kind:
            case "text":
                return token.text[1:-1].replace("''", "'")
            case "number":
                return float(token.text)
            case "word":
                return self._call(token.text) if self._take("(") else self._named(token.text)
            case _:
                raise _NotRead

    def _call(self, name: str) -> Value:
        given: list[Value] = []
        while not self._take(")"):
            given.append(self.either())
            if not self._take(","):
                self._demand(")")
                break
        match name.lower(), given:
            case ("always", []):
                return True
            case ("contains", [str(whole), str(part)]):
                return part.lower() in whole.lower()
            case ("startswith", [str(whole), str(part)]):
                return whole.lower().startswith(part.lower())
            case ("endswith", [str(whole), str(part)]):
                return whole.lower().endswith(part.lower())
            case _:
                return UNKNOWN

    def _named(self, name: str) -> Value:
        if self._take("["):  # github.event['x']: whatever is there
            self.either()
            self._demand("]")
            return UNKNOWN
        return self._context(name.lower())

    def _context(self, name: str) -> Value:
        constants: dict[str, Value] = {"true": True, "false": False, "null": None}
        if name in constants:
            return constants[name]
        if name in ("github.event_name", "gitea.event_name", "forge.event_name"):
            return self._event
        if name == "github.ref" and self._event in ("pull_request", "pull_request_review"):
            return "refs/pull/1/merge"
        absent = (name.startswith(("inputs.", "github.event.inputs.")) and not self._has_inputs) or (
            name.startswith("github.event.pull_request") and not self._event.startswith("pull_request")
        )
        return None if absent else UNKNOWN

    def _take(self, sign: str) -> bool:
        if not self.at_end and self._tokens[self._at] == _Token("sign", sign):
            self._at += 1
            return True
        return False

    def _demand(self, sign: str) -> None:
        if not self._take(sign):
            raise _NotRead


def _joined(left: Value, right: Value, *, stop: bool) -> Value:
    if left is not UNKNOWN:
        return left if bool(left) == stop else right
    if right is not UNKNOWN and bool(right) == stop:
        return right
    return UNKNOWN


def _equal(left: Value, right: Value) -> bool:
    """Text is compared without case; null equals the empty text, false and 0."""
    if isinstance(left, str) and isinstance(right, str):
        return left.lower() == right.lower()
    if left is None or right is None:
        return (left or None) is (right or None)
    return left == right
