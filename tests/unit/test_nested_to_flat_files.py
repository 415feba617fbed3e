"""The files of examples/nested-to-flat: two descriptions of one site, and a README whose commands exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from interlock.change.becoming import declared_afterwards
from interlock.cli import parser
from interlock.config.load import load_site
from interlock.judge import gate_names

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "nested-to-flat"


def test_the_two_site_files_describe_one_site_that_differs_in_its_layout_alone() -> None:
    today = load_site(EXAMPLE / "interlock.yaml", {}, known=gate_names())
    after = declared_afterwards(today, "nested-to-flat", {})
    assert after is not None
    one, other = today.model_dump(), after.model_dump()
    differing = {key for key in one if one[key] != other[key]}
    assert differing == {"mounts", "state_dir", "modules", "compose", "instances", "expect", "actions"}
    for section in ("mounts", "state_dir", "modules"):
        assert repr(other[section]).replace("/data-state", "/data/state").replace("FLAT: 'flat'", "NESTED: 'nested'") == repr(one[section])


def test_every_command_of_the_readme_can_be_typed() -> None:
    typed = re.findall(r"^# (interlock [^#\n]+)", (EXAMPLE / "README.md").read_text(), re.MULTILINE)
    assert len(typed) == 5
    for line in typed:
        parser().parse_args(shlex.split(line)[1:])


@pytest.mark.parametrize("page", [EXAMPLE / "README.md", ROOT / "docs" / "nested-to-flat.md"])
def test_what_a_page_names_of_the_example_is_there(page: Path) -> None:
    named = set(re.findall(r"`((?:bin/)?[\w.-]+(?:\.yaml|\.example)|bin/[\w-]+)`", page.read_text()))
    assert named
    assert {name for name in named if not (EXAMPLE / name).exists()} == set()


def test_the_page_says_something_of_each_step_in_its_order() -> None:
    steps = load_site(EXAMPLE / "interlock.yaml", {}).actions["nested-to-flat"].steps
    rows = re.findall(r"^\| (\d) `([\w-]+)", (ROOT / "docs" / "nested-to-flat.md").read_text(), re.MULTILINE)
    assert [number for number, _ in rows] == [str(number) for number in range(1, len(steps) + 1)]
    for step, (_, said) in zip(steps, rows, strict=True):
        assert said == (step.kind if step.command is None else step.command.run[0].removeprefix("bin/"))
