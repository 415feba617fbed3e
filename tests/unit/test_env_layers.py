"""Which place decides what a variable comes to, and what it overrides. The real docker compose is asked in tests/integration/test_state_dir_compose.py."""

from __future__ import annotations

import pytest

from interlock.errors import ConfigError
from interlock.facts.dotenv import EnvFile
from interlock.facts.env_layers import Layers, Origin, Written, env_files_read, for_interpolation, for_service, raw_env_file
from interlock.facts.state_dir import StateVariable, Unresolved, Wrong, given_by

MAIN = b"# the host's\n\nSTATE_DIR=/data/state\nDISK=/data\n"
VARIABLE = StateVariable(name="STATE_DIR", default="${DATA_DIR}/state", fallbacks={"DATA_DIR": "/data"})
LOCAL = b"STATE_DIR=/old\nexport STATE_DIR=${DISK}-state # flat\n"


def stack(*texts: bytes, **shell: str) -> Layers:
    names = ("env/main.env", "env/local.env", "env/third.env")
    return for_interpolation([EnvFile.parse(text, where=where) for where, text in zip(names, texts, strict=False)], shell)


def test_the_last_line_of_the_last_file_decides_and_the_others_are_named() -> None:
    layers = stack(MAIN, LOCAL)
    assert layers.texts["STATE_DIR"] == "/data-state"
    assert layers.told("STATE_DIR") == "env/local.env:2, which overrides env/local.env:1 and env/main.env:3"


def test_the_shell_wins_over_every_env_file() -> None:
    layers = stack(MAIN, LOCAL, STATE_DIR="/sh")
    assert layers.texts["STATE_DIR"] == "/sh"
    assert layers.told("STATE_DIR").startswith("the shell, which overrides env/local.env:2")


def test_a_variable_in_a_value_is_the_one_above_it_in_its_file_before_that_of_an_earlier_file() -> None:
    assert stack(b"A=1\n", b"B=$A\nA=2\nC=$A\n").texts == {"A": "2", "B": "1", "C": "2"}
    assert stack(b"A=1\n", b"A=2\nC=$A\n", A="0").texts == {"A": "0", "C": "0"}


def test_a_name_alone_overrides_nothing_that_nobody_has_in_the_shell() -> None:
    layers = stack(b"STATE_DIR=/a\n", b"STATE_DIR\n")
    assert layers.texts == {"STATE_DIR": "/a"}
    assert layers.told("STATE_DIR") == "env/main.env:1"


def test_what_nobody_gives_is_told_of_nowhere() -> None:
    layers = stack(MAIN)
    assert (layers.told("NO"), layers.decides("NO")) == ("", None)


def service(environment: dict[str, str | None], *env_files: bytes, within: Layers | None = None) -> Layers:
    written = {name: Written(text, Origin("compose.yaml", 9)) for name, text in environment.items()}
    return for_service(within or stack(MAIN), written, [EnvFile.parse(text, where=f"{number}.env") for number, text in enumerate(env_files)])


def test_the_environment_of_a_service_wins_over_its_env_files() -> None:
    layers = service({"STATE_DIR": "/own"}, b"STATE_DIR=/one\n", b"STATE_DIR=/two\n")
    assert layers.texts == {"STATE_DIR": "/own"}
    assert layers.told("STATE_DIR") == "compose.yaml:9, which overrides 1.env:1 and 0.env:1"
    assert service({}, b"STATE_DIR=/one\n", b"STATE_DIR=/two\n").told("STATE_DIR") == "1.env:1, which overrides 0.env:1"


def test_a_reference_is_told_with_the_place_that_gives_it() -> None:
    within = stack(MAIN, LOCAL)
    told = service({"STATE_DIR": "${STATE_DIR:-/x}"}, within=within).told("STATE_DIR", within=within)
    assert told == "compose.yaml:9 (STATE_DIR from env/local.env:2, which overrides env/local.env:1 and env/main.env:3)"


def test_a_name_alone_that_the_stack_does_not_give_hides_what_the_env_file_says() -> None:
    layers = service({"MISSING": None}, b"MISSING=/one\n")
    assert layers.values["MISSING"] is None
    assert layers.told("MISSING") == "compose.yaml:9, which overrides 0.env:1"
    assert service({"STATE_DIR": None}, b"STATE_DIR=/one\n").texts == {"STATE_DIR": "/data/state"}


def test_references_in_an_env_file_are_the_stacks_before_the_services_own() -> None:
    assert service({"DISK": "/own", "ELSE": "/e"}, b"X=$DISK\nY=$ELSE\n").texts == {"DISK": "/own", "ELSE": "/e", "X": "/data", "Y": "/e"}


def test_a_raw_env_file_is_taken_as_it_stands() -> None:
    raw = raw_env_file(b'\xef\xbb\xbfA="x" # y\r\n#B=1\n\n  C= $A \nSTATE_DIR\n', where="raw.env")
    assert [(entry.key, entry.text, entry.line) for entry in raw.entries] == [("A", '"x" # y', 1), ("C", " $A ", 4), ("STATE_DIR", None, 5)]
    assert for_service(stack(MAIN), {}, [raw]).texts == {"A": '"x" # y', "C": " $A ", "STATE_DIR": "/data/state"}


@pytest.mark.parametrize("data", [b"export A=1\n", b"=1\n"])
def test_a_raw_env_file_without_a_name_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigError):
        for_service(stack(), {}, [raw_env_file(data, where="raw.env")])


def test_no_value_is_in_a_repr() -> None:
    assert "/data/state" not in repr(stack(MAIN))


def test_the_env_files_are_those_of_the_option_before_those_of_the_shell_before_the_one_beside() -> None:
    assert env_files_read(("a.env", "b.env"), {"COMPOSE_ENV_FILES": "c.env"}, "x").paths == ("a.env", "b.env")
    assert env_files_read((), {"COMPOSE_ENV_FILES": "c.env,d.env"}, "x").paths == ("c.env", "d.env")
    assert env_files_read((), {}, "x").paths == ("x/.env",)
    assert env_files_read((), {"COMPOSE_DISABLE_ENV_FILE": "true"}, "x").paths == ()


def test_several_env_files_say_nothing_certain_when_the_last_that_names_the_variable_leaves_it_to_the_shell() -> None:
    found = given_by([EnvFile.parse(MAIN, where="main.env"), EnvFile.parse(b"\nSTATE_DIR\n", where="local.env")], VARIABLE)
    assert isinstance(found, Unresolved)
    assert (found.why, found.where, found.line) == (Wrong.INHERITED, "local.env", 2)


def test_a_file_that_is_refused_is_named_among_several() -> None:
    found = given_by([EnvFile.parse(MAIN, where="main.env"), EnvFile.parse(b"A B=1\n", where="local.env")], VARIABLE)
    assert isinstance(found, Unresolved)
    assert (found.why, found.where, found.line) == (Wrong.ENV_FILE, "local.env", 1)


def test_a_value_that_two_versions_of_docker_compose_read_differently_is_nothing_certain() -> None:
    main, local = b"DISK=/data\n", b"DISK=/disks\nSTATE_DIR=${DISK}/state\n"
    found = given_by([EnvFile.parse(main, where="main.env"), EnvFile.parse(local, where="local.env")], VARIABLE)
    assert isinstance(found, Unresolved)
    assert (found.why, found.where, found.line) == (Wrong.VERSIONS, "local.env", 2)
    assert "comes to /disks/state, with an older docker compose to /data/state" in found.message
    assert isinstance(given_by([EnvFile.parse(local, where="local.env")], VARIABLE), Layers)
