"""What does a workplan say of its tasks, and of what humans have still to decide? Front matter, ```task blocks, and the list "Open Human Decisions" as nouns.

    ## Open Human Decisions              decided by `decided: <what>, <who>, <date>` in the item or below it

    Resolve these before T04/T05:        so these tasks need them, where a block does not say itself: `decisions: [1, 3]`

    1. Name of the host.
       decided: ledger.example.org, alice, 2026-11-02

`interlock.facts.markdown` takes a page apart, `interlock.observe.workplans` reads its YAML, `interlock.judge.workplans` says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from interlock.facts.decided import decided, flat, signed, undecided_part, what_who_when
from interlock.facts.markdown import Block, Fenced, Heading, Item, Page, Paragraph, Swallowed
from interlock.facts.readiness import Claim, LineOf, claims_in
from interlock.facts.retirement import fallbacks_in, retired
from interlock.facts.task_names import Names
from interlock.nouns import dataclass
from interlock.patterns import regex


class Status(StrEnum):
    """How far a task is."""

    TODO = "todo"
    BLOCKED = "blocked"
    BEGUN = "in progress"
    DONE = "done"
    PUT_OFF = "put off"  # to be done later than its place says
    DROPPED = "given up"
    UNKNOWN = "unknown"


_WORDS = {  # with _ between the words of one
    Status.TODO: "todo to_do open planned plan pending ready backlog new draft proposed not_started queued scheduled next unstarted not_begun",
    Status.BLOCKED: "blocked waiting on_hold hold paused stalled waiting_for_human needs_human needs_decision",
    Status.BEGUN: "in_progress inprogress progress active doing started wip ongoing running in_review review testing verifying partial partially_done",
    Status.DONE: "done completed complete finished closed resolved shipped merged deployed implemented verified",
    Status.PUT_OFF: "deferred postponed parked later someday delayed",
    Status.DROPPED: "cancelled canceled skipped skip wont_do wontdo wont_fix wontfix obsolete superseded abandoned rejected dropped not_needed duplicate"
    " archived",
}
_STATUS = {word: status for status, words in _WORDS.items() for word in words.split()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Yaml:
    """What a piece of YAML says; the line of a key is counted from 1 within it. `fault` is the line and the reason where it says nothing for sure."""

    data: Any
    line_of: LineOf
    fault: tuple[int, str] | None = None


Read = Callable[[str], Yaml]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What of a page cannot be read, and where."""

    path: str
    line: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task. `said` is its status as it stands there. `decisions` are those that it needs, `after` what it comes after, as its block names them; None where
    that says nothing. `recorded`: the block holds a decision of its own; `retires` says what it takes out of use for good, empty for most."""

    path: str
    line: int
    id: str
    title: str
    status: Status
    said: str
    needs_human: bool = False
    approved: bool = False
    recorded: bool = False
    retires: str = ""
    decisions: tuple[str, ...] | None = None
    after: tuple[str, ...] | None = None

    @property
    def has_begun(self) -> bool:
        """It is under way, or done."""
        return self.status in (Status.BEGUN, Status.DONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One item of the list. `number` is the one that a reader sees; `before` are the ids of the tasks that the sentence above names,
    `names` those that it names itself, `whole` is all of its text. `retires`: it is about taking the fallback out of use.

    `decided` is what, who and when, empty while it is open; `unfinished`: it says `decided:`, and one of the three is missing.
    """

    line: int
    number: int
    text: str
    decided: str = ""
    unfinished: bool = False
    before: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    retires: bool = False
    whole: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplan:
    """One workplan, tasks and decisions in the order of the page. `said` is its own status, as its front matter has it."""

    path: str
    said: str = ""
    tasks: tuple[Task, ...] = ()
    decisions: tuple[Decision, ...] = ()
    claims: tuple[Claim, ...] = ()
    faults: tuple[Fault, ...] = ()

    @classmethod
    def parse(cls, path: str, text: str, read: Read) -> Workplan | None:
        """None for a page that is no workplan: without `type: workplan` in its front matter and without a ```task block."""
        page = Page.parse(text)
        front = read(page.front) if page.front is not None else None
        data = front.data if front is not None and isinstance(front.data, dict) else {}
        faults = [Fault(path=path, line=line, why=why) for line, why in _hidden(page)]
        fenced = [block for block in page.blocks if isinstance(block, Fenced) and _is_task(block)]
        broken_front = front is not None and front.fault is not None and _SAYS_WORKPLAN.search(page.front or "")
        if not (fenced or faults or _is_workplan(data) or broken_front):
            return None
        if front is not None and front.fault is not None:
            faults.append(Fault(path=path, line=front.fault[0] + 1, why=front.fault[1]))
        fallbacks = fallbacks_in(
            block.text if isinstance(block, Paragraph) else "\n".join(block.lines) for block in page.blocks if isinstance(block, Paragraph | Item)
        )
        tasks, unread = _tasks(path, page, read, fallbacks)
        decisions, tables = _decisions(path, page, tasks, fallbacks)
        claims = tuple(claims_in(path, data, _below_fence(front))) if front is not None else ()
        return cls(path=path, said=_text(data.get("status")), tasks=tasks, decisions=decisions, claims=claims, faults=(*faults, *unread, *tables))

    @property
    def is_given_up(self) -> bool:
        """It is superseded, cancelled or archived: nobody works by it."""
        return bool(self.said) and _status(self.said) is Status.DROPPED

    def needs(self, task: Task) -> tuple[Decision | str, ...]:
        """The decisions that a task needs, also those that are decided; a text where its block names one that the list does not have.

        What its block says; else what the sentence above the decisions says; where that names no task, all of them for a task that needs a human.
        """
        if task.decisions is not None:
            return tuple(found for reference in task.decisions for found in self._referred(reference))
        return tuple(one for one in self.decisions if (task.id in one.before if one.before else task.needs_human))

    def earlier(self, task: Task) -> tuple[Task, ...]:
        """The tasks that stand before it."""
        return self.tasks[: self.tasks.index(task)]

    def records_retirement(self, task: Task) -> bool:
        """Whether one of the decisions that are decided is the one to take this out of use."""
        return any(one.decided and (one.retires or task.id in one.names) for one in self.decisions)

    def _referred(self, reference: str) -> tuple[Decision | str, ...]:
        if reference == ALL:
            return self.decisions
        wanted = reference.strip().casefold()
        by_name = [one for one in self.decisions if re.match(rf"{re.escape(wanted)}(?!\w)", one.text.casefold())]
        number = re.fullmatch(r"(?:decisions?|d|od|hd|#)?[\s#-]*0*(\d+)", wanted)
        by_number = [one for one in self.decisions if number and one.number == int(number[1])]
        inside = [one for one in self.decisions if len(wanted) > 3 and wanted in one.whole.casefold()]
        return tuple(by_name or by_number or inside) or (() if what_who_when(reference) else (reference,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A file that could not be looked at."""

    path: str
    why: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplans:
    """The workplans that a pattern of the site names. `known` are the tasks of all workplans of the site, which those of others may come after."""

    name: str
    plans: tuple[Workplan, ...]
    known: tuple[Task, ...]
    unread: tuple[Unread, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NextTask:
    """The task that an action carries out, by its id, and all workplans of the site."""

    id: str
    plans: tuple[Workplan, ...]
    unread: tuple[Unread, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleClaims:
    """What the module files of the site claim to be ready; `files` are those that were looked at."""

    files: tuple[str, ...]
    claims: tuple[Claim, ...]
    unread: tuple[Unread, ...] = ()


ALL = "all"
MOST = 2000  # tasks, and decisions: no human works by more
_TASK_FENCE = regex(r"^[ \t>]*(?:[-*+]\s+)?(?:`{3,}|~{3,})[ \t]*task\b", re.MULTILINE | re.IGNORECASE)
_SAYS_WORKPLAN = regex(r"""^type[ \t]*:[ \t]*["']?workplan\b""", re.MULTILINE | re.IGNORECASE)
_TASK_WITH_STATUS = regex(
    rb"(?:^|\r)[ \t]*(?:[-*+][ \t]+)?(?:`{3,}|~{3,})[ \t]*task\b[^\r\n]*[\r\n]+(?:(?![ \t]*(?:```|~~~))[^\r\n]*[\r\n]+){0,60}?[ \t]*(?:-[ \t]+)?status[ \t]*:",
    re.MULTILINE | re.IGNORECASE,
)
_TYPE_WORKPLAN = regex(rb"""(?:^|\r)type[ \t]*:[ \t]*["']?workplan\b""", re.MULTILINE | re.IGNORECASE)


def may_be_workplan(content: bytes) -> bool:
    """A quick look at bytes: whether it is worth to read them as a workplan. For pages that nobody has called one: others than us have ```task blocks (courses,
    queues of tickets), and theirs say no status."""
    front = content.startswith((b"---", b"\xef\xbb\xbf---")) and b"orkplan" in content and _TYPE_WORKPLAN.search(content)
    return bool(front) or (b"task" in content and b"status" in content and bool(_TASK_WITH_STATUS.search(content)))


def _is_workplan(data: Mapping[str, Any]) -> bool:
    return str(data.get("type", "")).strip().casefold() == "workplan"


def _below_fence(yaml: Yaml) -> LineOf:
    """The line of a key of the front matter in its page, which begins with a fence."""
    return lambda path: 1 + yaml.line_of(path)


def _is_task(block: Fenced) -> bool:
    return block.info.casefold() == "task"


def _hidden(page: Page) -> Iterator[tuple[int, str]]:
    """What is not seen because a fence or a comment is never closed."""
    for block in page.blocks:
        if isinstance(block, Fenced) and not block.closed and _is_task(block):
            yield block.line, "the task block that begins here is never closed"
        elif (isinstance(block, Swallowed) or (isinstance(block, Fenced) and not block.closed)) and _TASK_FENCE.search(block.text):
            what = "the comment" if isinstance(block, Swallowed) else "the code block"
            yield block.line, f"{what} that begins here is never closed, and hides the tasks below it"


# ---- tasks


def _tasks(path: str, page: Page, read: Read, fallbacks: frozenset[str]) -> tuple[tuple[Task, ...], list[Fault]]:
    tasks: list[Task] = []
    faults: list[Fault] = []
    title = ""
    for block in page.blocks:
        if isinstance(block, Heading):
            title = block.title
        if not isinstance(block, Fenced) or not _is_task(block) or not block.closed:
            continue
        yaml = read(block.text)
        members = yaml.data if isinstance(yaml.data, list) else [yaml.data]
        if yaml.fault is not None:
            faults.append(Fault(path=path, line=block.line + yaml.fault[0], why=f"the task block is not to be read: {yaml.fault[1]}"))
        elif not members or not all(isinstance(member, dict) for member in members):
            faults.append(Fault(path=path, line=block.line, why="the task block holds no keys"))
        else:
            for index, member in enumerate(members):
                line = block.line + yaml.line_of((index, "status") if isinstance(yaml.data, list) else ("status",))
                tasks.append(_task((path, line), member, title, len(tasks) + 1, fallbacks))
    if len(tasks) > MOST:
        faults.append(Fault(path=path, line=tasks[MOST].line, why=f"it has more than {MOST:,} tasks"))
    return tuple(tasks[:MOST]), faults


_ID_IN_TITLE = regex(r"\W*((?:[A-Za-z][\w.]*-)*[A-Za-z]{0,8}-?\d+[a-z]?)\b")


def _task(where: tuple[str, int], data: Mapping[str, Any], title: str, number: int, fallbacks: frozenset[str]) -> Task:
    named = _ID_IN_TITLE.match(title)
    own = _text(_of(data, "title", "name", "summary"))
    said = _text(data.get("status"))
    identifier = _text(data.get("id")) or (named[1] if named else f"task {number}")
    return Task(
        path=where[0],
        line=where[1],
        id=identifier,
        title=own or title,
        status=_status(said),
        said=said or "todo",
        needs_human=_says_yes(_of(data, *_HUMAN)),
        approved=any(signed(data.get(key)) for key in _APPROVED),
        recorded=signed(data.get("decision")),
        retires=retired(f"{title}\n{own}\n{identifier.replace('-', ' ').replace('_', ' ')}", fallbacks),
        decisions=_decision_references(data),
        after=_after(data),
    )


_HUMAN = ("needs_human", "needs-human", "needsHuman")
_APPROVED = ("approved", "approval", "approved_by")
_DECISIONS = ("needs_decisions", "needs-decisions", "needs_decision", "decisions")
_AFTER = ("depends_on", "depends-on", "dependsOn", "after", "blocked_by", "blocked-by", "blockedBy")
KEYS = frozenset({"id", "type", "status", "decision", "readiness", *_HUMAN, *_APPROVED, *_DECISIONS, *_AFTER})
"""The keys that are read, of front matter and of blocks; titles may stand there as often as somebody likes."""


def _of(data: Mapping[str, Any], *keys: str) -> Any:
    return next((data[key] for key in keys if data.get(key) is not None), None)


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, dict | list) else str(value).strip()


def _status(said: str) -> Status:
    """`In progress (since Monday)` is in progress; nothing said is to be done."""
    if not said:
        return Status.TODO
    plain = re.sub(r"\(.*", "", said.casefold().replace("'", "").replace("\u2019", ""))
    words = re.findall(r"[^\W_]+", plain)
    return next((_STATUS[joined] for end in range(len(words), 0, -1) if (joined := "_".join(words[:end])) in _STATUS), Status.UNKNOWN)


def _says_yes(value: Any) -> bool:
    return value is not None and str(value).strip().casefold() not in ("", "false", "no", "none", "0", "n/a", "never", "off", "[]", "{}")


def _decision_references(data: Mapping[str, Any]) -> tuple[str, ...] | None:
    given = _of(data, *_DECISIONS)
    if given is None:
        return None
    if isinstance(given, list):
        return tuple(reference for one in given for reference in _references(flat(one)))
    return tuple(_references(flat(given)))


def _references(text: str) -> Iterator[str]:
    """`1, 3`, `1-3`, `D1`, `all`, `none`, or words of the decision."""
    plain = text.strip().casefold()
    if plain in ("", "none", "no", "[]", "n/a", "false"):
        return
    if plain in ("all", "every", "true"):
        yield ALL
        return
    parts = [_REFERENCE.fullmatch(part) for part in re.split(r"\s*[,;/&]\s*|\s+and\s+|\s+(?=[a-z#]{0,9}\d)", plain)]
    if None in parts:
        yield text.strip()
        return
    for letters, first, last in (part.groups("") for part in parts if part is not None):
        for number in range(int(first), min(int(last or first), int(first) + 999) + 1):
            yield f"{letters}{number}"


_REFERENCE = regex(r"([a-z]{0,9})[\s#-]*(\d{1,4})(?:\s*(?:-|\u2013|to|through)\s*[a-z]{0,9}(\d{1,4}))?")


def _after(data: Mapping[str, Any]) -> tuple[str, ...] | None:
    """What it comes after, as its block names it, each as it stands there."""
    given = [data[key] for key in _AFTER if data.get(key) is not None]
    if not given:
        return None
    parts = [part for value in given for part in (value if isinstance(value, list) else [value])]
    return tuple(text for part in parts if (text := flat(part)))


# ---- decisions

_OPEN_DECISIONS = regex(r"[\W\d_]*open\s+human\s+decisions?\b", re.IGNORECASE)
_NO_DECISION = regex(
    r"[\W_]*(?:(?:none|nothing|n/?a)\b.{0,40}|no\s+(?:open|outstanding|further|more|remaining|human|decisions?)\b.*"
    r"|all\s+(?:\w+\s+){0,3}(?:resolved|decided|closed)\b.*)?[\W_]*",
    re.IGNORECASE,
)


def _decisions(path: str, page: Page, tasks: Sequence[Task], fallbacks: frozenset[str]) -> tuple[tuple[Decision, ...], list[Fault]]:
    found: list[Decision] = []
    faults: list[Fault] = []
    for index, block in enumerate(page.blocks):
        if isinstance(block, Heading) and _OPEN_DECISIONS.match(block.title):
            inside, table = _section(page.blocks[index:], block)
            found += _numbered(inside[:MOST], Names([task.id for task in tasks]), fallbacks)
            if len(inside) > MOST:
                faults.append(Fault(path=path, line=inside[MOST].item.line, why=f"it lists more than {MOST:,} decisions"))
            if table and not inside:
                faults.append(Fault(path=path, line=table, why="the open decisions are in a table: write each as an item of a list"))
    return tuple(found), faults


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """An item, and the sentences that stand above it, the nearest first."""

    item: Item
    above: tuple[str, ...]


def _section(blocks: Sequence[Block], top: Heading) -> tuple[list[_Listed], int]:
    """The items below a heading, and the line of a table that stands there, or 0.

    Ends at the next heading of its level, and before the heading of a task, whatever level that has: what a task has to check is no decision.
    """
    kept: list[_Listed] = []
    pending: list[_Listed] = []  # since the last heading below the first one
    above, below_another, table = [top.title], False, 0
    for block in blocks[1:]:
        match block:
            case Heading():
                if block.level <= top.level or _OPEN_DECISIONS.match(block.title):
                    break
                kept, pending, below_another = kept + pending, [], True
                above.append(block.title)
            case Fenced():
                if _is_task(block):
                    return (kept if below_another else kept + pending), table
            case Paragraph():
                above.append(block.text)
                table = table or (block.line if block.text.startswith("|") else 0)
            case Item():
                pending.append(_Listed(item=block, above=tuple(reversed(above))))
            case Swallowed():
                break
    return kept + pending, table


def _numbered(listed: Sequence[_Listed], names: Names, fallbacks: frozenset[str]) -> Iterator[Decision]:
    """The decisions with the numbers that a reader sees: those that are written, or counted where each is written as 1, or as a bullet."""
    real = [one for one in listed if one.item.lines[0].strip() and not _NO_DECISION.fullmatch(" ".join(one.item.lines))]
    written = [one.item.number for one in real]
    as_written = len(set(written)) == len(written) and None not in written
    first = written[0] if written and written[0] is not None else 1
    for index, one in enumerate(real):
        number = written[index] if as_written else None
        what, said = decided(one.item.lines)
        whole = "\n".join(one.item.lines)
        yield Decision(
            line=one.item.line,
            number=first + index if number is None else number,
            text=_plain(one.item.lines[0]),
            decided=what,
            unfinished=said and not what,
            before=next((ids for text in one.above if (ids := names.waiting(text))), ()),
            names=names.mentioned(whole),
            retires=bool(retired(whole, fallbacks)),
            whole=whole,
        )


def _plain(line: str) -> str:
    """The words of an item without box, stars and backticks, up to what was decided."""
    words = re.sub(r"^\[[ xX]\]\s*|[*`]|~~", "", undecided_part(line)).strip(" \u2014\u2013-:;,(")
    return words or line.strip()
