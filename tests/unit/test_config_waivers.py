"""Reading the waiver file: what an entry becomes, and every fault at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config.waivers import Waiver, WaiverFileError, load_waivers
from tests.strategies import mutations

ENTRY = {
    "guardrail": "backups.mode_0600",
    "subject": "ledger@db",
    "fingerprint": "00aa11bb22cc33dd",
    "reason": "the copy to the old host needs the group until it is gone",
    "owner": "ops",
    "ticket": "OPS-12",
    "approver": "jo",
    "expires_at": "2026-03-31T12:00:00Z",
}


def text(*entries: dict[str, str]) -> str:
    """A waiver file with these entries, their values unquoted."""
    return "waivers:\n" + "".join("  - " + "\n    ".join(f"{key}: {value}" for key, value in entry.items()) + "\n" for entry in entries)


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], tuple[Waiver, ...]]:
    """Write a text as waivers.yaml and load it."""

    def loader(content: str) -> tuple[Waiver, ...]:
        (tmp_path / "waivers.yaml").write_text(content)
        return load_waivers(tmp_path / "waivers.yaml")

    return loader


Loader = Callable[[str], tuple[Waiver, ...]]


def faults(load: Loader, content: str) -> list[str]:
    """The faults of a text, each as `line:column what`."""
    with pytest.raises(WaiverFileError) as caught:
        load(content)
    assert caught.value.exit_code == 12
    return [f"{problem.where.split('waivers.yaml:')[-1]} {problem.what}" for problem in caught.value.problems]


def test_an_entry_becomes_a_waiver(load: Loader) -> None:
    (waiver,) = load(text({**ENTRY, "id": "group-read", "up_to": "7"}))
    assert waiver == Waiver(
        id="group-read",
        guardrail="backups.mode_0600",
        subject="ledger@db",
        fingerprint="00aa11bb22cc33dd",
        reason="the copy to the old host needs the group until it is gone",
        owner="ops",
        ticket="OPS-12",
        approver="jo",
        expires_at=datetime(2026, 3, 31, 12, tzinfo=UTC),
        up_to=7,
        line=2,
    )


def test_without_an_id_it_has_one_that_depends_on_the_failure_alone(load: Loader) -> None:
    first, second = load(text(ENTRY, {**ENTRY, "subject": "web"}))
    (again,) = load("# moved\n\n" + text({**ENTRY, "reason": "another", "expires_at": "2026-04-30T12:00:00Z"}))
    assert first.id == again.id == "w-" + first.id[2:]
    assert first.id != second.id
    assert (first.line, second.line, again.line) == (2, 10, 4)


@pytest.mark.parametrize("content", ["", "# none\n", "waivers: []\n"])
def test_a_file_may_hold_none(load: Loader, content: str) -> None:
    assert load(content) == ()


def test_no_file_is_no_waivers(tmp_path: Path) -> None:
    assert load_waivers(tmp_path / "waivers.yaml") == ()


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-03-31T12:00:00Z", datetime(2026, 3, 31, 12, tzinfo=UTC)),
        ("2026-03-31t12:00:00z", datetime(2026, 3, 31, 12, tzinfo=UTC)),
        ("2026-03-31T12:00:00+02:00", datetime(2026, 3, 31, 10, tzinfo=UTC)),
        ("2026-03-31T12:00:00.5-05:30", datetime(2026, 3, 31, 17, 30, 0, 500_000, tzinfo=UTC)),
        ('"2026-03-31T12:00:00-00:00"', datetime(2026, 3, 31, 12, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_with_its_offset(load: Loader, written: str, moment: datetime) -> None:
    (waiver,) = load(text({**ENTRY, "expires_at": written}))
    assert waiver.expires_at == moment
    assert waiver.expires_at.tzinfo is UTC


@pytest.mark.parametrize(
    "written", ["2026-03-31", "2026-03-31T12:00:00", "2026-03-31 12:00:00Z", "2026-03-31T12:00Z", "31.03.2026", "never", "1774958400", "20260331T120000Z"]
)
def test_a_day_or_a_moment_without_offset_is_refused(load: Loader, written: str) -> None:
    assert faults(load, text({**ENTRY, "expires_at": written})) == [f"9:17 waivers[0].expires_at: '{written}' is no moment in time"]


@pytest.mark.parametrize(
    "written",
    ["2026-02-29T12:00:00Z", "2026-13-01T00:00:00Z", "2026-03-31T24:00:00Z", "2026-03-31T12:00:60Z", "9999-12-31T23:59:59-23:59", "2026-03-31T12:00:00+25:00"],
)
def test_a_moment_that_does_not_exist_is_refused(load: Loader, written: str) -> None:
    assert faults(load, text({**ENTRY, "expires_at": written})) == [f"9:17 waivers[0].expires_at: there is no such moment as {written}"]


@pytest.mark.parametrize("written", ["1234567890123456", "12345678e1234567", "0000000000000000", "'00aa11bb22cc33dd'"])
def test_a_fingerprint_that_looks_like_a_number_is_still_one(load: Loader, written: str) -> None:
    (waiver,) = load(text({**ENTRY, "fingerprint": written}))
    assert waiver.fingerprint == written.strip("'")


def test_a_ticket_keeps_its_zeros(load: Loader) -> None:
    (waiver,) = load(text({**ENTRY, "ticket": "0042"}))
    assert waiver.ticket == "0042"


@pytest.mark.parametrize("key", list(ENTRY))
def test_each_key_is_needed(load: Loader, key: str) -> None:
    assert faults(load, text({name: value for name, value in ENTRY.items() if name != key})) == [f"2:5 waivers[0].{key} is missing"]


@pytest.mark.parametrize("key", ["guardrail", "subject", "reason", "owner", "ticket", "approver"])
@pytest.mark.parametrize(
    ("written", "says"),
    [("", "must be text, and is nothing"), ("''", "is empty text"), ("' '", "is empty text"), ("true", "must be text, and is true or false")],
)
def test_each_text_says_something(load: Loader, key: str, written: str, says: str) -> None:
    (fault,) = faults(load, text({**ENTRY, key: written}))
    assert fault.endswith(f"waivers[0].{key} {says}")


@pytest.mark.parametrize("written", ["-1", "x", "1.5", "true", "[1]", ""])
def test_a_bound_is_a_whole_number(load: Loader, written: str) -> None:
    (fault,) = faults(load, text({**ENTRY, "up_to": written}))
    assert fault.endswith("waivers[0].up_to must be a whole number from 0 on")


@pytest.mark.parametrize("written", ["xyz", "00AA11BB22CC33DD", "00aa11bb22cc33d", "sha256:00aa"])
def test_a_fingerprint_is_sixteen_hexadecimal_digits(load: Loader, written: str) -> None:
    assert faults(load, text({**ENTRY, "fingerprint": written})) == [f"4:18 waivers[0].fingerprint: '{written}' is no fingerprint"]


def test_one_failure_has_one_waiver(load: Loader) -> None:
    assert faults(load, text(ENTRY, {**ENTRY, "expires_at": "2026-04-30T12:00:00Z"})) == ["10:5 waivers[1] waives the same failure as the waiver on line 2"]


def test_one_id_means_one_waiver(load: Loader) -> None:
    found = faults(load, text({**ENTRY, "id": "a"}, {**ENTRY, "subject": "web", "id": "a"}))
    assert found == ["11:5 waivers[1] has the same id a as the waiver on line 2"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("- a\n", "1:1 a waiver file is a mapping, and this is a list"),
        ("text\n", "1:1 a waiver file is a mapping, and this is text"),
        ("waivers:\n", "1:1 waivers must be a list, and is nothing"),
        ("waivers: {a: 1}\n", "1:10 waivers must be a list, and is a mapping"),
        ("waivers: [a]\n", "1:11 waivers[0] must be a mapping, and is text"),
        ("waivers: []\nwaiver: []\n", "2:1 waiver is no key that exists"),
        ("waivers: []\nwaivers: []\n", "2:1 the key 'waivers' stands here again; it is already on line 1"),
        ("waivers: [\n", "1:10 the list or mapping that opens here is never closed"),
    ],
)
def test_what_is_no_waiver_file_is_said_so(load: Loader, content: str, says: str) -> None:
    assert faults(load, content) == [says]


def test_an_empty_entry_lacks_everything(load: Loader) -> None:
    assert [fault.split(" ", 1)[1] for fault in faults(load, "waivers: [{}]\n")] == [
        f"waivers[0].{key} is missing" for key in ("guardrail", "subject", "reason", "owner", "ticket", "approver", "fingerprint", "expires_at")
    ]


def test_all_faults_are_told_at_once_in_the_order_of_the_file(load: Loader) -> None:
    found = faults(load, text({**ENTRY, "expires_at": "2026-03-31", "uptoo": "3"}, ENTRY, {**ENTRY, "owner": "", "fingerprint": "x"}))
    assert [fault.split(" ")[0] for fault in found] == ["9:17", "10:5", "21:18", "23:5"]


def test_a_waiver_file_that_is_no_file_is_refused_as_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "waivers.yaml")
    with pytest.raises(WaiverFileError) as caught:
        load_waivers(tmp_path / "waivers.yaml")
    assert (caught.value.what, caught.value.exit_code) == ("it is a named pipe, not a file", 12)


def test_a_link_to_nowhere_is_not_no_file(tmp_path: Path) -> None:
    (tmp_path / "waivers.yaml").symlink_to("gone")
    with pytest.raises(WaiverFileError):
        load_waivers(tmp_path / "waivers.yaml")


@given(st.one_of(mutations(text(ENTRY, {**ENTRY, "subject": "web", "up_to": "3"})).map(str.encode), st.binary(max_size=100)))
def test_whatever_stands_in_the_file_it_is_waivers_or_a_refusal(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any-waivers.yaml"
    path.write_bytes(content)
    try:
        waivers, problems = load_waivers(path), ()
    except WaiverFileError as error:
        waivers, problems = (), error.problems
    assert all(problem.where.startswith(f"{path}:") and problem.what for problem in problems)
    assert all(waiver.expires_at.tzinfo is UTC and waiver.reason for waiver in waivers)
