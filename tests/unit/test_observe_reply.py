"""Replies as they arrive: in any pieces the same, and incomplete or wrong ones never an answer."""

from __future__ import annotations

import itertools
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import CouldNotLook
from interlock.facts.looks import FailedLook, Look, ReadFile, Stat, User, Walk
from interlock.observe import probe, reply, wire
from interlock.observe.reply import Garbage, Reply, WalkFile, header_start, read_listings
from tests.strategies import listings, looks_and_answers

NONCE = "0123456789abcdef"
LOOKS = (ReadFile("/f"), User("root"), Walk("/w"))
LISTING = ("/w", ["", 16832, 0, 0, 1, 1, 2, "", ""], [("a", 33152, 0, 0, 1, 1, 1, "", "")], "", "8:1", ())


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def header(nonce: str = NONCE) -> bytes:
    return compact(probe.header(nonce))


def said(answers: dict[Any, Any], walks: dict[str, list[Any]] | None = None) -> bytes:
    """What probe.py sends for these answers."""
    lines = [header()]
    for number, (look, answer) in enumerate(answers.items()):
        kept = (walks or {}).get(getattr(look, "root", ""), [])
        lines += [compact({"look": number, "listing": probe.pack(listing)}) for listing in kept]
        lines.append(compact({**wire.answer_to_json(look, answer, len(kept)), "look": number}))
    return b"".join([*lines, compact({"interlock_probe_end": NONCE, "lines": len(lines)})])


GOOD = said({LOOKS[0]: b"content", LOOKS[1]: 0, LOOKS[2]: None}, {"/w": [LISTING, LISTING]})


def reply_to(looks: tuple[Look, ...], folder: Path) -> Reply:
    return Reply(looks=looks, nonce=NONCE, new_walk=lambda number: WalkFile(folder / f"walk-{number}"))


def heard(looks: tuple[Look, ...], pieces: list[bytes], folder: Path) -> Reply:
    answer = reply_to(looks, folder)
    try:
        for piece in pieces:
            answer.feed(piece)
    finally:
        answer.close()
    return answer


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(facts=looks_and_answers(), places=st.lists(st.integers(0, 10_000), max_size=8), noise=st.binary(max_size=50))
def test_a_reply_in_any_pieces_and_behind_any_noise_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, facts: dict[Any, Any], places: list[int], noise: bytes
) -> None:
    answer = heard(tuple(facts), cut(noise + b"\n" + said(facts), places), tmp_path_factory.getbasetemp())
    assert answer.complete
    assert answer.answers == facts
    assert answer.header is not None


@given(found=st.lists(listings(), min_size=1, max_size=4), places=st.lists(st.integers(0, 10_000), max_size=4))
def test_a_walk_goes_to_a_private_file_and_comes_back(tmp_path_factory: pytest.TempPathFactory, found: list[Any], places: list[int]) -> None:
    folder = tmp_path_factory.mktemp("spool")
    answer = heard((Walk("/w"),), cut(said({Walk("/w"): None}, {"/w": found}), places), folder)
    assert answer.complete
    assert answer.walks[0].listings == len(found)
    assert [tuple(listing) for listing in read_listings(folder / "walk-0", len(found), where="h")] == found
    assert stat.S_IMODE((folder / "walk-0").stat().st_mode) == 0o600


@given(st.integers(0, len(GOOD) - 1))
def test_a_reply_cut_short_anywhere_is_not_complete(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    """And it is no garbage either: what was said until then was right."""
    assert not heard(LOOKS, [GOOD[:length]], tmp_path_factory.mktemp("spool")).complete


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=3))
def test_a_reply_with_something_put_into_it_is_never_another_answer(tmp_path_factory: pytest.TempPathFactory, place: int, extra: bytes) -> None:
    clean = heard(LOOKS, [GOOD], tmp_path_factory.mktemp("spool"))
    answer = reply_to(LOOKS, tmp_path_factory.mktemp("spool"))
    try:
        answer.feed(GOOD[:place] + extra + GOOD[place:])
    except Garbage:
        return
    finally:
        answer.close()
    if answer.complete:  # what changed lies inside a value, or is a blank line: then everything else is as it was
        assert answer.answers.keys() == clean.answers.keys()
        assert answer.walks[2].listings == clean.walks[2].listings


def test_a_farewell_after_the_trailer_is_ignored(tmp_path: Path) -> None:
    answer = heard(LOOKS, [GOOD, b"logout\n", b"Connection closed"], tmp_path)
    assert answer.complete
    assert answer.answers[LOOKS[0]] == b"content"


@pytest.mark.parametrize("pretender", [header("another nonce"), b'{"interlock_probe":2}\n', b'{"interlock_probe" nonsense\n', b"x" + header()])
def test_what_pretends_to_be_an_answer_is_noise(tmp_path: Path, pretender: bytes) -> None:
    assert heard(LOOKS, [pretender], tmp_path).header is None
    assert heard(LOOKS, [pretender, GOOD], tmp_path).complete


def test_noise_before_the_header_has_a_limit(tmp_path: Path) -> None:
    with pytest.raises(Garbage, match="no answer"):
        heard(LOOKS, [b"y\n" * 1000] * 100, tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        header()[:-2] + b",,}\n",
        header_start(NONCE) + b'"user":"root"}\n',
        header() + b"hello\n",
        header() + b"[]\n",
        header() + b"[" * 100_000 + b"\n",
        header() + compact({"look": 3, "uid": 0}),
        header() + compact({"look": -1, "uid": 0}),
        header() + compact({"look": "0", "uid": 0}),
        header() + compact({"look": 1, "uid": "root"}),
        header() + compact({"look": 1, "listing": []}),
        header() + compact({"look": 2, "walked": 1}),
        header() + json.dumps({"look": 2, "listing": []}).encode() + b"\n",
        header() + compact({"interlock_probe_end": NONCE, "lines": 1}),
        header() + compact({"interlock_probe_end": "another", "lines": 1}),
        GOOD.replace(b'"lines":6', b'"lines":5'),
    ],
)
def test_what_is_no_reply_of_ours_is_garbage(tmp_path: Path, wrong: bytes) -> None:
    with pytest.raises(Garbage):
        heard(LOOKS, [wrong], tmp_path)


def test_a_look_without_an_answer_is_garbage(tmp_path: Path) -> None:
    with pytest.raises(Garbage, match="never answered"):
        heard((*LOOKS, Stat("/forgotten")), [GOOD], tmp_path)


def test_an_answer_that_never_ends_is_garbage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply, "OTHER_LIMIT", 10_000)
    with pytest.raises(Garbage, match="never ends"):
        heard((User("root"),), [header(), *[b"x" * 1000] * 100], tmp_path)


def test_a_walk_that_failed_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    lines = [header(), compact({"look": 0, "listing": probe.pack(LISTING)}), compact({"failed": ["timeout", "too late"], "look": 0})]
    answer = heard((Walk("/w"),), [*lines, compact({"interlock_probe_end": NONCE, "lines": 3})], tmp_path)
    assert answer.answers == {Walk("/w"): FailedLook("timeout", "too late")}
    assert list(tmp_path.iterdir()) == []


def test_a_reply_that_is_thrown_away_leaves_nothing(tmp_path: Path) -> None:
    answer = heard(LOOKS, [GOOD], tmp_path)
    assert list(tmp_path.iterdir())
    answer.discard()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"not json\n", b"[]\n", b"[" * 100_000, None])
def test_a_spool_that_changed_meanwhile_is_not_believed(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "walk"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CouldNotLook, match="cannot be read"):
        list(read_listings(path, 1, where="h"))


def test_how_much_a_reply_may_have_grows_with_what_was_asked() -> None:
    little, more = reply.bytes_allowed((User("x"),)), reply.bytes_allowed((User("x"), ReadFile("/f", 10**9)))
    assert little < 100 * 1024 * 1024
    assert more > 3 * 10**9
