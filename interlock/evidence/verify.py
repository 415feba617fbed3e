"""Is this evidence whole, does it follow from itself, and what does that prove? Offline, from the folder alone, trusting nothing that it says of itself.

What can be computed again is computed again: every digest, each verdict from its details, the decision from the verdicts, each rendering from the record.
A single byte, line or file that was changed, removed, added or moved is found. Who made the folder cannot be found that way, and the answer says so.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import field
from pathlib import Path

from interlock import __version__
from interlock.errors import EvidenceError
from interlock.evidence.details import DetailLine, HeldLines, Lines, by_verdict, canonical_held, canonical_line, detail_of, read_lines
from interlock.evidence.files import digest_of, open_to_read
from interlock.evidence.folder import ALLURE, DETAILS, FACTS, JUNIT, PICTURE, RECORD, REPORT, SUMMARY, SUMS, TOPOLOGY, files_below, runs, sums_of, topology_of
from interlock.evidence.publish import renderings
from interlock.evidence.record import Decision, Record, places
from interlock.evidence.wording import broken_glass, ended_in_words, number
from interlock.gate.decision import BROKEN, NOT_RUN, UNPROVEN, Open, Shut, decide, worst
from interlock.gate.required import Expected
from interlock.nouns import dataclass
from interlock.verdicts import Counts, Outcome, Pair, Tally, Verdict, fingerprint

Decide = Callable[[Record], Open | Shut]
ACTION_FAILED = (16, 17, 18)  # how the record of an action may end, whatever its gate decided


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What came out. It holds when there is no problem; `proven` and `not_proven` say in sentences how far that goes, `notes` what is merely odd."""

    path: Path
    problems: tuple[str, ...]
    proven: tuple[str, ...]
    not_proven: tuple[str, ...]
    notes: tuple[str, ...]
    record: Record | None

    @property
    def holds(self) -> bool:
        """True when nothing contradicts."""
        return not self.problems

    @property
    def exit_code(self) -> int:
        """0, or EvidenceError's 17."""
        return 0 if self.holds else EvidenceError.exit_code

    def __str__(self) -> str:
        head = "verified" if self.holds else f"DOES NOT VERIFY: {number(len(self.problems), 'problem')}"
        lines = [f"{self.path}: {head}"]
        for title, said in (("problems", self.problems), ("proven", self.proven), ("not proven", self.not_proven), ("notes", self.notes)):
            lines += [f"{title}:", *(f"  - {sentence}" for sentence in said)] if said else []
        return "\n".join(lines)


@dataclass(slots=True)
class _Findings:
    """What the checks of one folder add up to."""

    problems: list[str] = field(default_factory=list)
    proven: list[str] = field(default_factory=list)
    not_proven: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def conclude(self, problems: list[str], proven: str) -> None:
        """Add what a check found; without a problem, what it proves."""
        self.problems += problems
        if not problems:
            self.proven.append(proven)


def recompute(record: Record) -> Open | Shut:
    """The decision again, from the required pairs and the verdicts; reasons of other kinds (waivers, approvals, staleness, locks) are taken as recorded."""
    required = [Expected(pair=one.pair, host="", severity=one.severity, shuts=one.shuts) for one in record.required]
    others = [reason for reason in record.reasons if reason.code not in (BROKEN, NOT_RUN, UNPROVEN)]
    return decide(required, worst(record.verdicts), waiver_problems=others, replayed=record.replayed)


def verify_run(path: Path, decide_again: Decide = recompute) -> Verification:
    """Verify the run in a folder (or beside the record.json given). Raises EvidenceError when there is no folder to look at."""
    folder = path.parent if path.name == RECORD and not path.is_dir() else path
    found = _Findings()
    try:
        digests = _check_files(folder, found)
        record = _check_record(folder, found)
        if record is not None:
            _check_parts(folder, record, digests, found, decide_again)
    except OSError as error:
        raise EvidenceError(f"evidence cannot be read: {error.strerror}", where=str(error.filename or folder), remedy="name a folder below reports/") from error
    return Verification(
        path=folder,
        problems=tuple(found.problems),
        proven=tuple(found.proven),
        not_proven=tuple(found.not_proven),
        notes=tuple(found.notes),
        record=record,
    )


def _check_parts(folder: Path, record: Record, digests: dict[str, str], found: _Findings, decide_again: Decide) -> None:
    count = number(record.details.count, "detail")
    found.conclude(_details_problems(folder, record, digests), f"{DETAILS} holds the {count} that the record counts, and each verdict follows from its own")
    found.conclude(_waiver_problems(record), "every waived verdict names its waiver, and none had expired when the run began")
    found.conclude(_decision_problems(record, decide_again(record)), _decided_in_words(record))
    _check_renderings(folder, record, digests, found)
    _check_facts(record, digests, found)
    _check_chain(folder, record, found)
    _say_what_is_open(folder, record, found)


# ---- files


def _check_files(folder: Path, found: _Findings) -> dict[str, str]:
    """The digest of every file that is there; SHA256SUMS must say exactly the same, in its one form."""
    digests, problems = {}, []
    for name in sorted(files_below(folder)):
        info = os.lstat(folder / name)
        if not stat.S_ISREG(info.st_mode):
            problems.append(f"{name} is no regular file")
            continue
        if info.st_mode & 0o077:
            found.notes.append(f"{name} is {stat.S_IMODE(info.st_mode):04o}: it was written 0600, others may have read this copy")
        if name != SUMS:
            digests[name] = digest_of(folder / name)
    problems += [f"{name}/ has no business here" for name in _directories(folder) if name != ALLURE]
    problems += _sums_problems(folder, digests)
    found.notes[:] = _few(found.notes)
    others = len(digests.keys() - _KNOWN - {name for name in digests if name.startswith(ALLURE + "/")})
    also = f", {others} of them kept as they are" if others else ""
    found.conclude(problems, f"no file was changed, added or removed since {SUMS} was written ({number(len(digests), 'file')}{also})")
    return digests


_KNOWN = {RECORD, DETAILS, FACTS, JUNIT, SUMMARY, REPORT, TOPOLOGY, PICTURE}


def _directories(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        top = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    inner = []
    for name in top:
        with os.scandir(folder / name) as entries:
            inner += [f"{name}/{entry.name}" for entry in entries if entry.is_dir(follow_symlinks=False)]
    return top + sorted(inner)


def _sums_problems(folder: Path, digests: dict[str, str]) -> list[str]:
    try:
        with open_to_read(folder / SUMS) as file:
            said = file.read()
    except OSError as error:
        return [f"{SUMS} cannot be read: {error.strerror}"]
    if said == sums_of(digests):
        return []
    listed = _listed(said)
    if listed is None:
        return [f"{SUMS} is not as it was written"]
    problems = [f"{name} was changed: it is not the file that {SUMS} names" for name in sorted(listed.keys() & digests.keys()) if listed[name] != digests[name]]
    problems += [f"{name} is missing" for name in sorted(listed.keys() - digests.keys())]
    problems += [f"{name} was added: {SUMS} does not name it" for name in sorted(digests.keys() - listed.keys())]
    return _few(problems) or [f"{SUMS} is not as it was written"]


def _listed(sums: bytes) -> dict[str, str] | None:
    """Name to digest; None for text that is no list of sums."""
    listed = {}
    try:
        lines = sums.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        return None
    for line in lines:
        digest, gap, name = line.partition("  ")
        if not gap or len(digest) != 64:
            return None
        listed[name] = f"sha256:{digest}"
    return listed


def _few(sentences: list[str]) -> list[str]:
    """The first twenty, and how many more."""
    return sentences if len(sentences) <= 20 else [*sentences[:20], f"and {len(sentences) - 20:,} more of that kind"]


# ---- record and details


def _check_record(folder: Path, found: _Findings) -> Record | None:
    try:
        with open_to_read(folder / RECORD) as file:
            data = file.read()
        record = Record.parse(data, where=RECORD)
    except OSError as error:
        found.problems.append(f"{RECORD} cannot be read: {error.strerror}")
        return None
    except EvidenceError as error:
        found.problems.append(f"{RECORD} is no record of ours: {error.why}")
        return None
    problems = [] if record.to_json() == data else [f"{RECORD} is not written as interlock writes it"]
    problems += _order_problems(record)
    found.conclude(problems, f"{RECORD} is a record of schema {record.schema} in its one form, {record.digest}")
    return record


def _order_problems(record: Record) -> list[str]:
    pairs = [verdict.pair for verdict in record.verdicts]
    required = [one.pair for one in record.required]
    problems = [f"{pair} has two verdicts" for pair, count in Counter(pairs).items() if count > 1]
    problems += [f"{pair} is required twice" for pair, count in Counter(required).items() if count > 1]
    if pairs != sorted(pairs) or required != sorted(required):
        problems.append("its verdicts and required pairs are not in order")
    return _few(problems)


def _details_problems(folder: Path, record: Record, digests: dict[str, str]) -> list[str]:
    if digests.get(DETAILS) != record.details.sha256:
        return [f"{DETAILS} is not the file that the record names" if DETAILS in digests else f"{DETAILS} is missing"]
    problems, total = [], 0
    try:
        for verdict, lines in by_verdict(record.verdicts, read_lines(folder / DETAILS)):
            seen = _Seen(verdict.pair)
            seen.take(lines)
            problems += [f"{verdict.pair}: {problem}" for problem in seen.problems(verdict, record)]
            total += seen.counts.total
    except EvidenceError as error:
        return [f"{error.where}: {error.what}: {error.why}"]
    if total != record.details.count:
        problems.append(f"the record counts {record.details.count} details, {DETAILS} holds {total}")
    return _few(problems)


class _Seen:
    """The details of one verdict, counted and digested again."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._digest = hashlib.sha256()
        self._tally = Tally()
        self._waived: set[tuple[str, str]] = set()
        self._wrong_keys = 0

    @property
    def counts(self) -> Counts:
        tally = self._tally
        digest = "sha256:" + self._digest.hexdigest() if tally.total else ""
        return Counts(held=tally.held, broken=tally.broken, unproven=tally.unproven, waived=tally.waived, sha256=digest)

    def take(self, lines: Lines) -> None:
        for found in lines:
            if isinstance(found, HeldLines):
                self._digest.update(canonical_held(found))
                self._tally.held += len(found.whats)
            else:
                self._digest.update(canonical_line(found))
                self._add(found)

    def _add(self, line: DetailLine) -> None:
        detail = detail_of(line)
        outcome = detail.outcome
        self._tally.add(detail)
        key = "" if outcome is Outcome.HELD else fingerprint(self._pair, detail)
        self._wrong_keys += line.get("key", "") != key or ("waiver" in line) != (outcome is Outcome.WAIVED)
        if "waiver" in line:
            self._waived.add((line["waiver"], key))

    def problems(self, verdict: Verdict, record: Record) -> Iterator[str]:
        if self.counts != verdict.details:
            yield "its details are not those that it counts"
        if self._tally.total and verdict.outcome is not self._tally.outcome:
            yield f"is recorded as {verdict.outcome}, its details come to {self._tally.outcome}"
        if not self._tally.total and verdict.outcome in (Outcome.HELD, Outcome.BROKEN, Outcome.WAIVED):
            yield f"is recorded as {verdict.outcome} without a detail"
        if self._wrong_keys:
            yield f"{number(self._wrong_keys, 'detail')} with a key that is not its own"
        if tuple(sorted({name for name, _ in self._waived})) != verdict.waivers:
            yield "names other waivers than its details"
        for name, key in sorted(self._waived):
            if name in record.waiver_by_id and record.waiver_by_id[name].fingerprint != key:
                yield f"is waived by {name}, which is for another failure"
        if places(self._pair, self._tally) != verdict.where:
            yield "names other places than its details"


def _waiver_problems(record: Record) -> list[str]:
    problems = []
    for verdict in record.verdicts:
        for name in verdict.waivers:
            waiver = record.waiver_by_id.get(name)
            if waiver is None:
                problems.append(f"{verdict.pair} is waived by {name}, which the record does not hold")
            elif (waiver.guardrail, waiver.subject) != (verdict.guardrail, verdict.subject):
                problems.append(f"{verdict.pair} is waived by {name}, which is for {waiver.guardrail} [{waiver.subject}]")
            elif waiver.ends and not waiver.expires_at:
                problems.append(f"{verdict.pair} is waived by {name}, which has no end")
            elif waiver.ends and waiver.expires_at <= record.run.started:
                problems.append(f"{verdict.pair} is waived by {name}, which had expired at {waiver.expires_at}")
    used = {name for verdict in record.verdicts for name in verdict.waivers}
    problems += [f"waiver {waiver.id} is recorded as used, and nothing is waived by it" for waiver in record.waivers if waiver.id not in used]
    return _few(problems)


# ---- decision


def _decision_problems(record: Record, again: Open | Shut) -> list[str]:
    decision = Decision.OPEN if isinstance(again, Open) else Decision.SHUT
    if decision is not record.decision:
        return [f"the record says {record.decision}, its verdicts and required pairs come to {decision}"]
    problems = []
    failed = record.of_action and record.exit_code in ACTION_FAILED
    if record.exit_code != again.exit_code and not failed:
        problems.append(f"the record ends with exit code {record.exit_code}, its reasons come to {again.exit_code}")
    reasons = () if isinstance(again, Open) else again.reasons
    recorded, computed = (Counter((reason.code, reason.guardrail, reason.subject) for reason in these) for these in (record.reasons, reasons))
    problems += [f"the reason {_reason(key)} is recorded, and does not follow" for key in (recorded - computed)]
    problems += [f"the reason {_reason(key)} follows, and is not recorded" for key in (computed - recorded)]
    return _few(problems)


def _reason(key: tuple[int, str, str]) -> str:
    code, guardrail, subject = key
    return f"{code} {guardrail} [{subject}]" if guardrail else f"{code}"


def _decided_in_words(record: Record) -> str:
    pairs = number(len(record.required), "required pair")
    ended = f"; {ended_in_words(record)} (exit code {record.exit_code})" if record.of_action else f" (exit code {record.exit_code})"
    return f"the gate was {record.decision}{ended}: the gate's decision follows from {pairs} and {number(len(record.verdicts), 'verdict')}"


# ---- renderings, facts, chain


def _check_renderings(folder: Path, record: Record, digests: dict[str, str], found: _Findings) -> None:
    problems = _rendering_problems(folder, record, digests)
    files = f"{JUNIT}, {SUMMARY}, {REPORT}, {f'{PICTURE}, ' if PICTURE in digests else ''}and {ALLURE}/"
    said = f"{files} say what the record and its details say, byte for byte"
    if problems and record.run.interlock != __version__:
        versions = f"interlock {record.run.interlock} wrote them, this is {__version__}"
        found.not_proven.append(f"that {files} say what the record says: {versions}")
    else:
        found.conclude(problems, said)


def _rendering_problems(folder: Path, record: Record, digests: dict[str, str]) -> list[str]:
    if DETAILS not in digests:
        return ["nothing can be rendered again without the details"]
    problems = []
    rendered = set()
    try:
        for name, chunks in renderings(record, folder / DETAILS, topology_of(folder)):
            digest = hashlib.sha256()
            for chunk in chunks:
                digest.update(chunk.encode("utf-8"))
            rendered.add(name)
            if digests.get(name) != "sha256:" + digest.hexdigest():
                problems.append(f"{name} does not say what the record says" if name in digests else f"{name} is missing")
    except EvidenceError as error:
        return [f"nothing can be rendered again: {error.what}"]
    ours = (name for name in sorted(digests) if name == PICTURE or name.startswith(ALLURE + "/"))
    problems += [f"{name} is no rendering of the record" for name in ours if name not in rendered]
    return _few(problems)


def _check_facts(record: Record, digests: dict[str, str], found: _Findings) -> None:
    if record.facts.sha256:
        wrong = f"{FACTS} is not the file that the record names" if FACTS in digests else f"{FACTS} is missing"
        found.conclude([] if digests.get(FACTS) == record.facts.sha256 else [wrong], f"{FACTS} is the file that the record names")
    elif FACTS in digests:
        found.problems.append(f"{FACTS} is here, and the record knows of no facts")


def _check_chain(folder: Path, record: Record, found: _Findings) -> None:
    if record.previous is None:
        found.not_proven.append("that this was the site's first run: it names none before it")
        return
    for sibling in runs(folder.absolute().parent):
        if (sibling / RECORD).is_file() and digest_of(sibling / RECORD) == record.previous:
            found.proven.append(f"the record before it is {sibling.name}, unchanged")
            return
    found.not_proven.append(f"what the record before it says: {record.previous} is not beside this folder")


def _say_what_is_open(folder: Path, record: Record, found: _Findings) -> None:
    """What a folder cannot show of itself, however whole it is."""
    found.not_proven.append("who made it, and when: it is not signed, so whoever can write the folder could have made all of it")
    found.not_proven.append(f"that these were all the pairs that {record.target.file or 'the tree'} required: the list is the record's own")
    if (folder / TOPOLOGY).exists():
        found.not_proven.append(f"that {TOPOLOGY} shows what was there: the record does not name it, so the picture is as true as {SUMS} is")
    if record.replayed:
        found.not_proven.append("anything of the system at that time: its facts were replayed from a file")
    if record.approvals:
        if glass := broken_glass(record):
            found.not_proven.append(f"that a second person agreed: BREAK-GLASS by {glass}")
        found.not_proven.append("that the approvals are true: their signatures are verified by `interlock apply`, not here")
