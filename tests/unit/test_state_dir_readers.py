"""What scripts, units and crontabs of a host say of the state directory, line by line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.facts.state_dir import Resolved, StateVariable, Unresolved, Way
from interlock.facts.state_dir_readers import ReaderKind, kind_of, readings

VARIABLE = StateVariable(name="STATE_DIR", default="${DATA_DIR}/state", fallbacks={"DATA_DIR": "/data"})


def said(text: str, path: str = "ops/up.sh", given: dict[str, str] | None = None) -> list[tuple[int, str, str | None]]:
    """Line, way and directory of each reading that names one, or is unknown."""
    found = readings(path, text.encode(), VARIABLE, given or {})
    shown = [(one.line, str(one.way), one.resolution.path if isinstance(one.resolution, Resolved) else None) for one in found]
    return [one for one in shown if one[1] != Way.ENVIRONMENT]


def takes_from_elsewhere(text: str, path: str = "ops/up.sh") -> bool:
    return any(one.way is Way.ENVIRONMENT for one in readings(path, text.encode(), VARIABLE, {}))


@pytest.mark.parametrize(
    "text",
    [
        'STATE_DIR="${STATE_DIR:-/data/state}"\n',
        "STATE_DIR=${STATE_DIR-/data/state}\n",
        ': "${STATE_DIR:=/data/state}"\n',
        'mkdir -p "${STATE_DIR:-/data/state}/certs"\n',
        'x=$(ls "${STATE_DIR:-/data/state}")\n',
        'cat <"${STATE_DIR:-/data/state}/x"\n',
        'export STATE_DIR="${STATE_DIR:-${DATA_DIR}/state}"\n',
        'STATE_DIR="${STATE_DIR:-${DATA_DIR:-/data}/state}"\n',
        'if [ -d "${STATE_DIR:-/data/state}" ]; then :; fi\n',
        'if [ -z "$STATE_DIR" ]; then STATE_DIR=/data/state; fi\n',
        '[ -n "$STATE_DIR" ] || STATE_DIR=/data/state\n',
        "[[ -z ${STATE_DIR:-} ]] && STATE_DIR=/data/state\n",
        'test -n "$STATE_DIR" || export STATE_DIR=/data/state\n',
        "STATE_DIR=/data/state; . /srv/shop/.env\n",
        'STATE_DIR="${1:-/data/state}"\n',
        'case "$STATE_DIR" in "") STATE_DIR=/data/state ;; esac\n',
        "f() { local d=${STATE_DIR:-/data/state}; }\n",
    ],
)
def test_a_default_is_told_from_a_directory_written_down(text: str) -> None:
    assert said(text) == [(1, "default", "/data/state")]


@pytest.mark.parametrize(
    "text",
    [
        "STATE_DIR=/data/state\n",
        "export STATE_DIR='/data/state'\n",
        "readonly STATE_DIR=/data/state/\n",
        'D=/data\nSTATE_DIR="$D/state"\n',
        'STATE_DIR="$DATA_DIR/state"\n',
        "STATE_DIR=/data/state docker compose up -d\n",
        "env STATE_DIR=/data/state docker compose up -d\n",
        ". /srv/shop/.env; STATE_DIR=/data/state\n",
        "if true; then STATE_DIR=/data/state; fi\n",
        "f() { STATE_DIR=/data/state; }; f\n",
        "(STATE_DIR=/data/state; ls)\n",
        "for i in 1; do STATE_DIR=/data/state; done\n",
    ],
)
def test_a_directory_that_is_written_down_is_fixed(text: str) -> None:
    assert [(way, path) for _, way, path in said(text)] == [("fixed", "/data/state")]


@pytest.mark.parametrize(
    "text",
    [
        'STATE_DIR="$(grep -m1 ^STATE_DIR= .env | cut -d= -f2)"\n',
        'STATE_DIR="$1"\n',
        "while read -r key value; do case $key in STATE_DIR) STATE_DIR=$value ;; esac; done <.env\n",
        "read -r STATE_DIR <state-dir\n",
        'ls "$STATE_DIR"\n',
        'STATE_DIR="${STATE_DIR%/}"\n',
        'STATE_DIR="${STATE_DIR:-}"\n',
        'STATE_DIR=""\nSTATE_DIR=$(get STATE_DIR)\n',
        "set -a; . .env; set +a; ls $STATE_DIR\n",
    ],
)
def test_what_comes_from_a_file_a_program_or_an_argument_is_the_env_files(text: str) -> None:
    assert said(text) == []
    assert takes_from_elsewhere(text)


def test_what_was_written_down_before_the_env_file_is_read_is_what_is_left_without_it() -> None:
    assert said('STATE_DIR=/data/state\nSTATE_DIR="$(get STATE_DIR)"\n') == [(1, "default", "/data/state")]


@pytest.mark.parametrize(
    "text", ['STATE_DIR="$ROOT/state"\n', 'STATE_DIR="${ROOT%/}/state"\n', 'STATE_DIR="${STATE_DIR:-$ROOT/state}"\n', 'ls "${STATE_DIR:-$(pwd)/state}"\n']
)
def test_what_nobody_can_follow_is_unknown(text: str) -> None:
    assert said(text) == [(1, "unknown", None)]


def test_a_variable_of_the_env_file_is_followed() -> None:
    assert said('STATE_DIR="$ROOT/state"\n', given={"ROOT": "/srv"}) == [(1, "fixed", "/srv/state")]


def test_a_relative_directory_says_so() -> None:
    found = readings("up.sh", b"STATE_DIR=state\n", VARIABLE, {})
    assert isinstance(found[0].resolution, Unresolved)


def test_part_of_a_script_that_cannot_be_read_is_unknown_when_it_names_the_variable() -> None:
    assert "unknown" in [way for _, way, _ in said("#!/bin/sh\ntrue\nSTATE_DIR=/data/state (((\n")]


@pytest.mark.parametrize("text", ["# STATE_DIR=/data/state\n", "echo MY_STATE_DIR=/x STATE_DIRS\n", ""])
def test_a_script_that_never_names_it_says_nothing(text: str) -> None:
    assert readings("up.sh", text.encode(), VARIABLE, {}) == ()


# ---- the scripts of a real project, at the change that gave them the variable


SOURCED = """\
#!/bin/bash
set -euo pipefail
cd /opt/agnes
set -a; . /opt/agnes/.env; set +a
STATE_DIR="${STATE_DIR:-/data/state}"
if [ -e "$CONFIG_DEVICE" ]; then
  if mountpoint -q "$STATE_DIR"; then
    actual_dev=$(findmnt -n -o SOURCE "$STATE_DIR")
  fi
fi
CERT_DIR="$STATE_DIR/certs"
"""


def test_a_script_that_sources_the_env_file_has_one_default() -> None:
    assert said(SOURCED) == [(5, "default", "/data/state")]


# ---- systemd units


def unit(text: str) -> list[tuple[int, str, str | None]]:
    return said(f"[Service]\n{text}", "ops/rotate.service")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Environment=STATE_DIR=/data-state\n", [(2, "fixed", "/data-state")]),
        ('Environment=A=1 "STATE_DIR=/data state"\n', [(2, "fixed", "/data state")]),
        ("Environment=STATE_DIR=/a\nEnvironment=STATE_DIR=/b\n", [(3, "fixed", "/b")]),
        ("Environment=STATE_DIR=/a\nEnvironment=\n", []),
        ("Environment=A=1 \\\n  # between\n  STATE_DIR=/data-state\n", [(2, "fixed", "/data-state")]),
        ("Environment=STATE_DIR=/data\nEnvironmentFile=-/srv/shop/.env\n", [(2, "default", "/data")]),
        ("EnvironmentFile=/srv/shop/.env\n# STATE_DIR\n", []),
        ("Environment=STATE_DIR=%S/shop\n", [(2, "unknown", None)]),
        ("Environment=STATE_DIR=$HOME/x\n", [(2, "fixed", None)]),
        ("ExecStart=/bin/sh -c 'ls $${STATE_DIR:-/data/state}'\n", []),
        ("ExecStart=/usr/bin/env STATE_DIR=/data/state /usr/local/bin/rotate\n", [(2, "fixed", "/data/state")]),
        ("; Environment=STATE_DIR=/x\n", []),
    ],
)
def test_a_unit_is_read_as_systemd_reads_it(text: str, expected: list[tuple[int, str, str | None]]) -> None:
    assert unit(text) == expected


def test_a_unit_with_an_environment_file_takes_the_env_files_value() -> None:
    assert takes_from_elsewhere("[Service]\nEnvironmentFile=/srv/shop/.env\n# for STATE_DIR\n", "ops/rotate.service")


# ---- crontabs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("STATE_DIR=/data-state\n*/5 * * * * root /usr/local/bin/up\n", [(1, "fixed", "/data-state")]),
        ('STATE_DIR = "/data-state"\n', [(1, "fixed", "/data-state")]),
        ("STATE_DIR=$HOME/state\n", [(1, "fixed", None)]),
        ("*/5 * * * * root STATE_DIR=/data/state /usr/local/bin/up\n", [(1, "fixed", "/data/state")]),
        ("# x\n@daily root . /srv/shop/.env; ls ${STATE_DIR:-/data/state}\n", [(2, "default", "/data/state")]),
        ("# STATE_DIR=/x\n@daily root /usr/local/bin/up\n", []),
    ],
)
def test_a_crontab_is_read_as_cron_reads_it(text: str, expected: list[tuple[int, str, str | None]]) -> None:
    assert said(text, "etc/cron.d/shop") == expected


# ---- which is which


@pytest.mark.parametrize(
    ("path", "data", "kind"),
    [
        ("up.sh", b"", ReaderKind.SHELL),
        ("bin/up", b"#!/usr/bin/env bash\n", ReaderKind.SHELL),
        ("shop.service", b"[Unit]\n", ReaderKind.UNIT),
        ("shop.service.d/override.conf", b"[Service]\n", ReaderKind.UNIT),
        ("ops/crontab", b"", ReaderKind.CRONTAB),
        ("etc/cron.d/shop", b"", ReaderKind.CRONTAB),
        ("app.py", b"import os\n", ReaderKind.PYTHON),
        ("bin/up", b"#!/usr/bin/env python3\n", ReaderKind.PYTHON),
        ("app.rb", b"", None),
        ("README.md", b"[Service]\n", None),
    ],
)
def test_a_reader_is_known_by_its_name_or_its_first_line(path: str, data: bytes, kind: ReaderKind | None) -> None:
    assert kind_of(path, data) is kind


def test_a_reader_of_another_kind_is_unknown_and_not_ignored() -> None:
    assert said("puts ENV['STATE_DIR']\n", "ops/up.rb") == [(1, "unknown", None)]


# ---- Python


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('d = os.environ.get("STATE_DIR", "/data/state")\n', [(2, "default", "/data/state")]),
        ('d = Path(os.getenv("STATE_DIR", default="/data/state"))\n', [(2, "default", "/data/state")]),
        ('d = os.environ.get("STATE_DIR") or "/data/state"\n', [(2, "default", "/data/state")]),
        ('d = os.environ.get("STATE_DIR") or os.path.join(os.environ.get("DATA_DIR", "/mnt"), "state")\n', [(2, "default", "/data/state")]),
        ('d = os.environ.get("STATE_DIR") or f"{os.environ[\'DATA_DIR\']}/state"\n', [(2, "default", "/data/state")]),
        ('D = "/srv"\nd = os.environ.get("STATE_DIR", str(Path(D) / "state"))\n', [(3, "default", "/srv/state")]),
        ('os.environ.setdefault("STATE_DIR", "/data/state")\n', [(2, "default", "/data/state")]),
        ('os.environ["STATE_DIR"] = "/data/state"\n', [(2, "fixed", "/data/state")]),
        ('STATE_DIR = Path("/data/state")\n', [(2, "fixed", "/data/state")]),
        ('run(["x"], env={"STATE_DIR": "/data/state"})\n', [(2, "fixed", "/data/state")]),
        ('STATE_DIR = Path(os.environ.get("STATE_DIR", "/data/state")).resolve()\n', [(2, "default", "/data/state")]),
        ('d = os.environ.get("STATE_DIR", found())\n', [(2, "unknown", None)]),
        ('d = os.environ.get("STATE_DIR") or ROOT + "/state"\n', [(2, "unknown", None)]),
        ('A = B\nB = A\nd = os.getenv("STATE_DIR", A)\n', [(4, "unknown", None)]),
        ('d = os.environ["STATE_DIR"]\n', []),
        ('d = os.environ.get("STATE_DIR", "")\n', []),
        ('print("STATE_DIR")\n', []),
    ],
)
def test_a_program_is_followed_by_its_reads_of_the_environment(text: str, expected: list[tuple[int, str, str | None]]) -> None:
    assert said(f"import os; from pathlib import Path\n{text}", "ops/up.py") == expected


def test_names_that_were_imported_are_known() -> None:
    assert said('from os import environ as e, getenv as g\ng("STATE_DIR", "/a")\ne.get("STATE_DIR", "/b")\n', "up.py") == [
        (2, "default", "/a"),
        (3, "default", "/b"),
    ]


def test_a_program_that_cannot_be_read_is_unknown() -> None:
    assert said('def f(:\n    "STATE_DIR"\n', "up.py") == [(1, "unknown", None)]


@pytest.mark.parametrize(
    ("path", "text", "only_unset"),
    [
        ("up.sh", "ls ${STATE_DIR-/x}\n", True),
        ("up.sh", "ls ${STATE_DIR:-/x}\n", False),
        ("up.py", "import os; os.getenv('STATE_DIR', '/x')\n", True),
        ("up.py", "import os; os.getenv('STATE_DIR') or '/x'\n", False),
    ],
)
def test_a_default_for_what_is_not_set_is_told_from_one_for_what_is_empty_too(path: str, text: str, only_unset: bool) -> None:
    assert [one.only_unset for one in readings(path, text.encode(), VARIABLE, {}) if one.way is Way.DEFAULT] == [only_unset]


@given(
    st.lists(
        st.sampled_from(["STATE_DIR", "=", "$", "{", "}", ":-", "/data", "\n", '"', "'", ";", "(", ")", "if ", " fi", "\\", "[Service]\n", "%"]), max_size=14
    )
)
def test_any_text_is_read_without_an_error(tokens: list[str]) -> None:
    data = "".join(tokens).encode()
    for path in ("up.sh", "up.py", "up.service", "cron.d/up"):
        for one in readings(path, data, VARIABLE, {}):
            assert one.line >= 1
            assert (one.resolution is None) == (one.way is Way.ENVIRONMENT)
