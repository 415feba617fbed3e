"""The record: one JSON text for one run, read back as the same run, refused in any other shape, and described by its schema."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from interlock.errors import EvidenceError
from interlock.evidence import codec
from interlock.evidence.record import (
    Decision,
    DetailsDigest,
    FactsDigest,
    Git,
    PlanReference,
    Record,
    Required,
    Run,
    Target,
    UsedWaiver,
    places,
    sha256,
    verdict_from_json,
    verdict_to_json,
)
from interlock.gate.decision import Open, Reason, Shut
from interlock.verdicts import Counts, Detail, Outcome, Pair, Place, Severity, Tally, Verdict, When, fingerprint

SCHEMA = json.loads((Path(__file__).parents[2] / "interlock/evidence/record.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
MOMENT, DIGEST, KEY = "2026-11-20T21:00:00Z", "sha256:" + "a" * 64, "0123456789abcdef"

TEXT = st.text(max_size=12) | st.just("\udcff")
KEYS = st.text("0123456789abcdef", min_size=16, max_size=16)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:".__add__)
MOMENTS = st.datetimes().map(lambda moment: f"{moment:%Y-%m-%dT%H:%M:%SZ}".zfill(20)) | st.just("2026-11-20T21:00:00.25Z")
COUNTS = st.builds(Counts, held=st.integers(0), broken=st.integers(0), unproven=st.integers(0), waived=st.integers(0), sha256=DIGESTS | st.just(""))
PLACES = st.builds(Place, file=TEXT, line=st.none() | st.integers(1), key=KEYS, message=TEXT)
VERDICTS = st.builds(
    Verdict,
    guardrail=TEXT,
    subject=TEXT,
    host=TEXT,
    outcome=st.sampled_from(Outcome),
    severity=st.sampled_from(Severity),
    message=TEXT,
    remedy=TEXT,
    where=st.lists(PLACES, max_size=2).map(tuple),
    details=COUNTS,
    taken_at=MOMENTS | st.just(""),
    duration=st.floats(0, allow_infinity=False),
    attempts=st.integers(0),
    waivers=st.lists(TEXT, max_size=2).map(tuple),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2), max_leaves=4
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=2)
RECORDS = st.builds(
    Record.of,
    run=st.builds(
        Run,
        id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,19}", fullmatch=True),
        gates=st.lists(st.sampled_from(When), max_size=2).map(tuple),
        action=st.none() | TEXT,
        nonce=TEXT,
        started=MOMENTS,
        ended=MOMENTS,
        host=TEXT,
        user=TEXT,
        interlock=TEXT,
        python=TEXT,
        pytest=TEXT,
    ),
    target=st.builds(
        Target,
        site=TEXT,
        file=TEXT,
        sha256=DIGESTS | st.just(""),
        git=st.none() | st.builds(Git, commit=st.text("0123456789abcdef", min_size=40, max_size=40), dirty=st.booleans()),
    ),
    decision=st.just(Open())
    | st.lists(st.builds(Reason, code=st.integers(1, 18), guardrail=TEXT, subject=TEXT, text=TEXT, remedy=TEXT), min_size=1, max_size=2).map(
        lambda some: Shut(tuple(some))
    ),
    required=st.lists(st.builds(Required, guardrail=TEXT, subject=TEXT, severity=st.sampled_from(Severity), shuts=st.booleans()), max_size=2),
    verdicts=st.lists(VERDICTS, max_size=3),
    details=st.builds(DetailsDigest, count=st.integers(0), sha256=DIGESTS),
    facts=st.builds(FactsDigest, sha256=DIGESTS | st.just("")),
    waivers=st.lists(
        st.builds(
            UsedWaiver,
            id=TEXT,
            guardrail=TEXT,
            subject=TEXT,
            fingerprint=KEYS,
            reason=TEXT,
            owner=TEXT,
            ticket=TEXT,
            approver=TEXT,
            expires_at=MOMENTS,
            up_to=st.none() | st.integers(),
        ),
        max_size=2,
    ),
    not_used=st.dictionaries(TEXT, TEXT, max_size=2),
    replayed=st.booleans(),
    plan=st.none() | st.builds(PlanReference, digest=DIGESTS, action=TEXT),
    approvals=st.lists(OBJECTS, max_size=2),
    steps=st.lists(OBJECTS, max_size=2),
    previous=st.none() | DIGESTS,
)


@given(record=RECORDS)
def test_a_record_is_read_back_as_the_same_record_and_fits_its_schema(record: Record) -> None:
    data = record.to_json()
    assert Record.parse(data, where="record.json") == record
    assert Record.parse(data, where="record.json").to_json() == data
    VALIDATOR.validate(json.loads(data))


def sample() -> Record:
    verdict = Verdict(
        guardrail="g.one",
        subject="s",
        host="local",
        outcome=Outcome.BROKEN,
        severity=Severity.HIGH,
        message="m",
        where=(Place(file="f", line=3, key=KEY, message="m"),),
        details=Counts(broken=1, sha256=DIGEST),
        taken_at=MOMENT,
        duration=0.5,
        waivers=("W-1",),
    )
    waiver = UsedWaiver(id="W-1", guardrail="g.one", subject="s", fingerprint=KEY, reason="r", owner="o", ticket="t", approver="a", expires_at=MOMENT, up_to=3)
    return Record.of(
        run=Run(
            id="run",
            gates=(When.PREFLIGHT,),
            action="release",
            nonce="n",
            started=MOMENT,
            ended=MOMENT,
            host="h",
            user="u",
            interlock="1",
            python="3",
            pytest="9",
        ),
        target=Target(site="s", file="interlock.yaml", sha256=DIGEST, git=Git(commit="a" * 40, dirty=True)),
        decision=Shut((Reason(code=1, guardrail="g.one", subject="s", text="t", remedy="r"),)),
        required=[Required(guardrail="g.one", subject="s", severity=Severity.HIGH, shuts=True)],
        verdicts=[verdict],
        details=DetailsDigest(count=1, sha256=DIGEST),
        facts=FactsDigest(sha256=DIGEST),
        waivers=[waiver],
        not_used={"parity": "why"},
        plan=PlanReference(digest=DIGEST, action="release"),
        approvals=[{"principal": "anna"}],
        steps=[{"kind": "backup"}],
        previous=DIGEST,
    )


def test_the_text_is_one_line_of_ascii_with_sorted_keys() -> None:
    data = dataclasses.replace(sample(), not_used={"ä": "\x1b[31m\u202e"}).to_json()
    assert data.endswith(b"}\n")
    assert data.count(b"\n") == 1
    assert data.isascii()
    assert b" " not in data.replace(b"[31m", b"")
    assert json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")) == data.decode().strip()
    assert b"\x1b" not in data


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        found += [inner for key in value for inner in paths(value[key], (*path, key))]
    if isinstance(value, list):
        found += [inner for index in range(len(value)) for inner in paths(value[index], (*path, index))]
    return found


PATHS = paths(json.loads(sample().to_json()))
OTHERS: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    "",
    "x",
    "SHUT",
    [],
    {},
    ["x"],
    {"x": "x"},
    MOMENT,
    DIGEST,
    KEY,
    "2026-13-01T00:00:00Z",
    "2026-11-20T21:00:00+01:00",
]


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        document = document[part]
    return document


def accepted(document: Any) -> bool:
    try:
        Record.parse(json.dumps(document).encode(), where="record.json")
    except EvidenceError:
        return False
    return True


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
def test_parser_and_schema_agree_on_every_value_in_every_place(path: tuple[Any, ...]) -> None:
    document = json.loads(sample().to_json())
    for other in OTHERS:
        changed = copy.deepcopy(document)
        at(changed, path[:-1])[path[-1]] = other
        assert accepted(changed) == VALIDATOR.is_valid(changed), f"{path} = {other!r}"
    removed = copy.deepcopy(document)
    del at(removed, path[:-1])[path[-1]]
    assert accepted(removed) == VALIDATOR.is_valid(removed), f"without {path}"


@pytest.mark.parametrize(
    "path", [path for path in [(), *PATHS] if isinstance(at(json.loads(sample().to_json()), path), dict)], ids=lambda path: ".".join(map(str, path)) or "record"
)
def test_parser_and_schema_agree_on_unknown_keys(path: tuple[Any, ...]) -> None:
    document = json.loads(sample().to_json())
    at(document, path)["colour"] = "red"
    free = path in ((), ("not_used",)) or path[0] in ("approvals", "steps")
    assert accepted(document) == VALIDATOR.is_valid(document) == (free and path != ())


def nouns(noun: Any) -> set[Any]:
    """Every dataclass that a record is made of."""
    found = {noun}
    for hint in typing.get_type_hints(noun).values():
        for part in (hint, *typing.get_args(hint)):
            if dataclasses.is_dataclass(part) and part not in found:
                found |= nouns(part)
    return found


def test_the_schema_names_exactly_the_fields_of_every_noun() -> None:
    described = [tuple(sorted(one["properties"])) for one in [SCHEMA, *SCHEMA["$defs"].values(), *walk(SCHEMA)] if "properties" in one]
    assert {tuple(sorted(codec.field_names(noun))) for noun in nouns(Record)} == set(described)


def walk(schema: Any) -> list[Any]:
    inner = list(schema.values()) if isinstance(schema, dict) else schema if isinstance(schema, list) else []
    return ([schema] if isinstance(schema, dict) and "properties" in schema else []) + [found for one in inner for found in walk(one)]


def test_the_schema_is_a_valid_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def edited(edit: Callable[[bytes], bytes]) -> bytes:
    return edit(sample().to_json())


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[]", "is no object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":1,"a":2}', "given twice"),
        (edited(lambda data: data.replace(b'"duration":0.5', b'"duration":NaN')), "NaN"),
        (edited(lambda data: data.replace(b'"duration":0.5', b'"duration":1e999')), "counts below nothing"),
        (edited(lambda data: data.replace(b"record/1", b"record/2")), "another version"),
        (edited(lambda data: data.replace(b'"outcome":"broken"', b'"outcome":"fine"')), r"verdicts\.0\.outcome: 'fine' is none of held, broken"),
        (edited(lambda data: data.replace(b'"started":"2026-11-20', b'"started":"2026-02-30')), "run: day is out of range"),
        (edited(lambda data: data.replace(b'"dirty"', b'"dirt"')), r"target\.git: lacks dirty and has the unknown 'dirt'"),
    ],
)
def test_what_is_no_record_is_refused_with_the_place(data: bytes, why: str) -> None:
    with pytest.raises(EvidenceError) as caught:
        Record.parse(data, where="reports/x/record.json")
    assert caught.value.where == "reports/x/record.json"
    assert caught.value.remedy
    assert re.search(why, caught.value.why)


def test_a_verdict_travels_as_json() -> None:
    verdict = sample().verdicts[0]
    assert verdict_from_json(json.loads(json.dumps(verdict_to_json(verdict)))) == verdict
    with pytest.raises(EvidenceError, match="no verdict"):
        verdict_from_json({"guardrail": "x"})


def test_a_record_cannot_be_changed() -> None:
    record = sample()
    with pytest.raises(TypeError):
        record.not_used["parity"] = "other"  # type: ignore[index]
    with pytest.raises(TypeError):
        record.steps[0]["kind"] = "other"  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.decision = Decision.OPEN  # type: ignore[misc]


def test_a_record_with_a_wrong_part_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="exit code"):
        dataclasses.replace(sample(), exit_code=256)
    with pytest.raises(ValueError, match="previous"):
        dataclasses.replace(sample(), previous="sha256:abc")


def test_verdicts_and_required_pairs_are_sorted() -> None:
    record, first = sample(), sample().verdicts[0]
    other = dataclasses.replace(first, guardrail="a.zero", waivers=())
    again = Record.of(run=record.run, target=record.target, decision=Open(), required=[], verdicts=[first, other], details=record.details, facts=record.facts)
    assert [verdict.guardrail for verdict in again.verdicts] == ["a.zero", "g.one"]


def test_every_sentence_of_a_record_is_redacted() -> None:
    record = sample()
    verdict = dataclasses.replace(
        record.verdicts[0], message="password=abc1", remedy="password=abc2", where=(Place(file="x", line=None, key=KEY, message="password=abc3"),)
    )
    again = Record.of(
        run=record.run,
        target=record.target,
        decision=Shut((Reason(code=1, text="password=abc4", remedy="password=abc5"),)),
        required=[],
        verdicts=[verdict],
        details=record.details,
        facts=record.facts,
        not_used={"parity": "password=abc6"},
        steps=[{"said": ["password=abc7"], "n": 1}],
    )
    assert not re.search(rb"abc[1-9]", again.to_json())
    assert again.steps[0]["n"] == 1


def test_a_required_pair_without_a_verdict_counts_as_not_run() -> None:
    record = dataclasses.replace(sample(), required=(Required(guardrail="g.two", subject="s", severity=Severity.HIGH, shuts=True),))
    assert [one.guardrail for one in record.without_verdict] == ["g.two"]
    assert (record.count(Outcome.NOT_RUN), record.count(Outcome.BROKEN)) == (1, 1)


def test_a_verdict_names_its_broken_places_before_its_unproven_ones_and_no_waived_ones() -> None:
    pair, tally = Pair("g", "s"), Tally()
    for what, outcome in (("u", Outcome.UNPROVEN), ("b", Outcome.BROKEN), ("w", Outcome.WAIVED), ("h", Outcome.HELD)):
        tally.add(Detail(what=what, outcome=outcome, message=what))
    assert [place.message for place in places(pair, tally)] == ["b", "u"]
    assert places(pair, tally)[0].key == fingerprint(pair, Detail(what="b", outcome=Outcome.BROKEN, message="b"))


def test_a_digest_names_the_text() -> None:
    assert sample().digest == sha256(sample().to_json())


def test_the_codec_knows_its_types_or_says_so() -> None:
    @dataclasses.dataclass(frozen=True)
    class Odd:
        parts: set[int]

    with pytest.raises((TypeError, NameError)):
        codec.read(Odd, {"parts": []})
