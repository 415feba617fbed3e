"""Which directories have a variable, and which lines go past it: shell, Python, JavaScript and TypeScript, compose files and units."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.commands.scan import site_of_tree
from interlock.facts import pythoncode
from interlock.facts.state_places import Past, Place, StatePlaces, is_called
from interlock.facts.state_places_python import reads_in_python, uses_in_python
from interlock.facts.state_places_script import reads_in_script, uses_in_script
from interlock.judge.state.single_source import judge_single_source
from interlock.observe.state_places import state_places
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Held, Subject, Unproven, When

STATE = Place(variable="STATE_DIR", literals=("/data/state",), made_of=(("DATA_DIR", "state"),))
READER = 'STATE_DIR="${STATE_DIR:-/data/state}"\nls "$STATE_DIR"\n'
RESOLVER = """\
import os
from pathlib import Path

def _data_dir():
    return Path(os.environ.get("DATA_DIR", "./data"))

def state_dir() -> Path:
    state = os.environ.get("STATE_DIR", "")
    if state:
        return Path(state)
    return _data_dir() / "state"
"""


def seen(folder: Path, **files: str) -> StatePlaces:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    site = site_of_tree(folder)
    world = World(site=site, gates=frozenset({When.STATIC}), tree=Tree(folder, patient=True), hosts={}, environ=os.environ)
    return state_places(world, Subject(name="scripts"))


def lines(places: StatePlaces) -> list[tuple[str, int, str]]:
    return [(use.file, use.line, use.how.value) for use in places.uses]


# ---- shell


@pytest.mark.parametrize(
    "line",
    [
        "cp new.pem /data/state/certs/shop.pem",
        "echo ready > /data/state/ready",
        "[ -s /data/state/certs/shop.pem ] && reload",
        "CERTS=/data/state/certs",
        'LOCK="${LOCK:-/data/state/lock}"',
        "mountpoint -q /data/state || exit 1",
        'tar -czf backup.tgz "/data/state"',
        'find "$DATA_DIR/state" -name "*.wal"',
        'if [[ -f "${DATA_DIR}/state/app.db" ]]; then migrate; fi',
    ],
)
def test_a_shell_line_that_names_the_directory_itself_is_found(tmp_path: Path, line: str) -> None:
    tree = {"one_DOT_sh": 'STATE_DIR="${STATE_DIR:-${DATA_DIR}/state}"\n', "two_DOT_sh": READER, "three_DOT_sh": f"#!/bin/sh\n{line}\n"}
    assert [(file, number) for file, number, _ in lines(seen(tmp_path, **tree))] == [("three.sh", 2)]


@pytest.mark.parametrize(
    "line",
    [
        "# cp x /data/state/certs",
        'echo "FATAL: /data/state is not mounted" >&2',
        'log_warn "see /data/state/log"',
        'STATE_DIR="${STATE_DIR:-/data/state}"',
        ': "${STATE_DIR:=/data/state}"',
        "export STATE_DIR=/data/state",
        "SHOP_STATE_DIR=/data/state run",
        'cp new.pem "$STATE_DIR/certs/shop.pem"',
        "cp x /data/statement/x /srv/data/state/x",
        "docker cp app:/data/state/x .",
    ],
)
def test_a_default_a_message_and_the_variable_itself_are_no_findings(tmp_path: Path, line: str) -> None:
    assert lines(seen(tmp_path, one_DOT_sh=READER, two_DOT_sh=f"{line}\n")) == []


def test_units_makefiles_and_compose_binds_are_read_too(tmp_path: Path) -> None:
    places = seen(
        tmp_path,
        a_DOT_sh=READER,
        deploy__watch_DOT_path="[Path]\nPathChanged=/data/state/wanted\n[Install]\nWantedBy=multi-user.target\n",
        deploy__prepare_DOT_service="[Service]\nExecStart=/bin/mkdir -p /data/state/jobs\n",
        Makefile="wipe:\n\trm -rf /data/state/cache\n",
        Caddyfile=":443 {\n\t# /data/state is the disk\n\ttls /data/state/certs/shop.pem /data/state/certs/shop.key\n}\n",
        compose_DOT_yaml="services:\n  web:\n    image: caddy:2\n    volumes:\n      - /data/state/certs:/certs:ro\n      - ${STATE_DIR:-/data/state}:/state\n",
    )
    assert {(file, line) for file, line, _ in lines(places)} == {
        ("Caddyfile", 3),
        ("Makefile", 2),
        ("compose.yaml", 5),
        ("deploy/prepare.service", 2),
        ("deploy/watch.path", 2),
    }


# ---- Python


@pytest.mark.parametrize(
    "body",
    [
        'data_dir = Path(os.environ.get("DATA_DIR", "./data"))\n    path = data_dir / "state" / "shop.yaml"',
        'path = os.path.join(os.environ["DATA_DIR"], "state", "shop.yaml")',
        "path = f\"{os.getenv('DATA_DIR')}/state/shop.yaml\"",
        'path = settings.data_dir / "state/shop.yaml"',
        'path = get_data_dir().joinpath("state", "shop.yaml")',
        'path = _data_dir() / "state" / "shop.yaml"',
        'path = Path("/data/state/shop.yaml")',
        'path = os.environ.get("CERT_FILE", "/data/state/certs/shop.pem")',
        'parser.add_argument("--db", default=Path("/data/state") / "shop.db")',
    ],
)
def test_a_python_path_past_the_resolver_is_found(tmp_path: Path, body: str) -> None:
    program = f"import os\nfrom pathlib import Path\nfrom shop import get_data_dir, settings, parser, _data_dir\n\n\ndef load():\n    {body}\n    return path\n"
    found = lines(seen(tmp_path, app__secrets_DOT_py=RESOLVER, app__load_DOT_py=program, a_DOT_sh=READER))
    assert [file for file, _, _ in found] == ["app/load.py"]


@pytest.mark.parametrize(
    "body",
    [
        '"""Reads /data/state/shop.yaml."""\n    path = state_dir() / "shop.yaml"',
        'path = data / "state"',
        'path = {"data_dir": 1, "state": 2}["state"]',
        'raise SystemExit("no /data/state/shop.yaml here")',
        'path = os.environ.get("STATE_DIR") or os.path.join(data_dir, "state")',
        'state_dir = Path(data_dir) / "state"\n    path = state_dir',
        'path = data_dir / "estate" / "states"',
    ],
)
def test_a_python_path_of_the_resolver_or_of_something_else_is_none(tmp_path: Path, body: str) -> None:
    program = f"import os\nfrom pathlib import Path\nfrom app.secrets import state_dir, data_dir, data\n\n\ndef load():\n    {body}\n    return path\n"
    assert lines(seen(tmp_path, app__secrets_DOT_py=RESOLVER, app__load_DOT_py=program, a_DOT_sh=READER)) == []


def test_the_default_of_a_resolver_is_known_from_what_it_returns() -> None:
    module = pythoncode.parse(RESOLVER.encode())
    assert isinstance(module, pythoncode.Module)
    assert ("STATE_DIR", "${DATA_DIR}/state") in {(read.variable, read.default) for read in reads_in_python("secrets.py", module)}


def test_a_test_and_an_example_are_nobodys_state(tmp_path: Path) -> None:
    text = 'DB = "/data/state/shop.db"\n'
    assert lines(seen(tmp_path, a_DOT_sh=READER, tests__test_shop_DOT_py=text, examples__shop_DOT_py=text)) == []


# ---- JavaScript and TypeScript


@pytest.mark.parametrize(
    "line",
    [
        "const db = path.join(process.env.DATA_DIR, 'state', 'shop.db');",
        "const db = join(config.dataDir, 'state', 'shop.db')",
        "const db = `${process.env.DATA_DIR}/state/shop.db`;",
        'const db = "/data/state/shop.db";',
        "export const db = process.env.DB_FILE ?? '/data/state/shop.db';",
    ],
)
def test_a_path_of_a_javascript_program_past_the_variable_is_found(line: str) -> None:
    assert [use.line for use in uses_in_script("src/db.ts", f"// state\n{line}\n", (STATE,))] == [2]


@pytest.mark.parametrize(
    "line",
    [
        "// const db = '/data/state/shop.db'",
        "const stateDir = process.env.STATE_DIR || path.join(process.env.DATA_DIR, 'state');",
        "const stateDir = path.join(dataDir, 'state');",
        "const next = path.join(root, 'state');",
        "const url = 'https://shop.example.org/data/state/1';",
        "const { state } = useData({ key: 'state' });",
    ],
)
def test_the_resolver_and_other_paths_of_a_javascript_program_are_none(line: str) -> None:
    assert list(uses_in_script("src/db.ts", f"{line}\n", (STATE,))) == []


@pytest.mark.parametrize(
    ("line", "default"),
    [
        ("const d = process.env.STATE_DIR || '/data/state'", "/data/state"),
        ("const d = process.env['STATE_DIR'] ?? path.join(process.env.DATA_DIR ?? '/data', 'state')", "${DATA_DIR}/state"),
        ("const d = (process.env.STATE_DIR ?? `${process.env.DATA_DIR}/state`)", "${DATA_DIR}/state"),
        ("const d = process.env.STATE_DIR", ""),
    ],
)
def test_the_default_of_a_javascript_read_is_known(line: str, default: str) -> None:
    assert [read.default for read in reads_in_script("a.js", line) if read.variable == "STATE_DIR"] == [default]


# ---- which places there are


def test_a_variable_of_data_counts_when_two_files_read_it(tmp_path: Path) -> None:
    once = {"a_DOT_sh": "ls ${STORAGE_PATH:-/srv/shop/files}\n", "b_DOT_sh": "rm -rf /srv/shop/files/tmp\n"}
    assert lines(seen(tmp_path, **once)) == []
    assert lines(seen(tmp_path, c_DOT_sh="du ${STORAGE_PATH:-/srv/shop/files}\n", **once)) == [("b.sh", 1, "literal-path")]


def test_a_directory_that_everybody_has_is_nobodys_place(tmp_path: Path) -> None:
    tree = {"a_DOT_sh": "ls ${DATA_DIR:-/data}\n", "b_DOT_sh": "ls ${DATA_DIR:-/var/lib/mysql}\n", "c_DOT_sh": "ls /data/x /var/lib/mysql/x\n"}
    assert seen(tmp_path, **tree).places == ()


def test_a_mounted_state_directory_that_two_scripts_write_down_needs_a_variable(tmp_path: Path) -> None:
    gate = "mountpoint -q /srv/state || exit 1\ncp x /srv/state/y\n"
    assert lines(seen(tmp_path, gate_DOT_sh=gate)) == []
    both = lines(seen(tmp_path, gate_DOT_sh=gate, rotate_DOT_sh="CERTS=/srv/state/certs\n"))
    assert [(file, line) for file, line, _ in both] == [("gate.sh", 1), ("gate.sh", 2), ("rotate.sh", 1)]
    assert {how for _, _, how in both} == {Past.UNNAMED.value}


def test_the_judgement_counts_each_line_and_gives_stable_names(tmp_path: Path) -> None:
    judged = judge_single_source(seen(tmp_path, a_DOT_sh=READER, b_DOT_sh="rm /data/state/x\nrm /data/state/x\n"))
    assert isinstance(judged, Broken)
    assert [detail.what for detail in judged.details] == ["b.sh: /data/state/x", "b.sh: /data/state/x (2)"]
    assert "STATE_DIR says where that is" in judged.message


def test_a_program_that_cannot_be_parsed_is_unproven_only_when_it_names_the_place(tmp_path: Path) -> None:
    assert isinstance(judge_single_source(seen(tmp_path, a_DOT_sh=READER, b_DOT_py='x = ("nothing"\n')), Held)
    assert isinstance(judge_single_source(seen(tmp_path, a_DOT_sh=READER, b_DOT_py='x = Path("/data/state/x"\n')), Unproven)


@pytest.mark.parametrize(("name", "is_it"), [("data_dir", True), ("_chat_data_dir", True), ("getDataDir", True), ("data", False), ("metadata_dir", False)])
def test_what_programs_call_a_variable(name: str, is_it: bool) -> None:
    assert is_called(name, "SHOP_DATA_DIR") is is_it


@given(st.text(max_size=200), st.sampled_from(["path.join(dataDir, 'state'", "process.env.STATE_DIR || ", "`${a}/state`", "/* ", "'"]))
def test_any_text_is_read_as_javascript(text: str, start: str) -> None:
    list(uses_in_script("a.js", start + text, (STATE,)))
    list(reads_in_script("a.js", start + text))


@given(st.text(st.sampled_from("abD/.\"'(){}=,\n \t_:-$[]+f"), max_size=120))
def test_any_python_is_read(text: str) -> None:
    module = pythoncode.parse(("import os\n" + text).encode())
    if isinstance(module, pythoncode.Module):
        list(uses_in_python("a.py", module, (STATE,)))
        list(reads_in_python("a.py", module))
