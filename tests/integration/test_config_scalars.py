"""Plain scalars of YAML against the real docker compose: what is a number, what is text."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.config.yamlscalars import Scalar, resolve
from interlock.config.yamltext import COMPOSE, read_yaml
from interlock.observe.compose_binary import Compose, Model, find_compose

TABLE = (
    *(
        "0777",
        "0o7",
        "0O7",
        "1_000",
        "22:22",
        "yes",
        "no",
        "on",
        "OFF",
        "y",
        "0x1F",
        "0X1f",
        "1e3",
        "1E-3",
        "12345678901234567890123",
        "0b11",
        "+1",
        "~",
        "True",
        "tRUE",
    ),
    *(
        "1.",
        ".5",
        "-.5",
        "-0b1",
        "08",
        "0.8",
        "1_0.5",
        "NULL",
        "Null",
        "nULL",
        "=",
        "-0x1F",
        "0xFFFFFFFFFFFFFFFF",
        "18446744073709551616",
        "-9223372036854775809",
        "0o8",
    ),
    *(
        "-0o7",
        "+0777",
        "+",
        "-",
        ".",
        "..",
        "1.2.3",
        "1e",
        "e1",
        "1e400",
        "_1",
        "1_",
        "1__0",
        "0_7",
        "0x",
        "0b2",
        "+-1",
        "1-1",
        "1+1",
        "0o",
        "00",
        "-0",
        "+0",
        "1e+1",
        "x",
    ),
    *("<<", "n", "N", "t", "f", "F", "nul", "nulls", "falsey", "1 000", "1,5", "0x1.8p1", "1e1_0", "--1", "9" * 70, "0." + "1" * 70),
)


@pytest.fixture(scope="module")
def compose(component: Callable[[str], None]) -> Compose:
    component("compose")
    found = find_compose(os.environ)
    assert found is not None
    return found


def as_compose_reads(compose: Compose, folder: Path, written: list[str]) -> list[Scalar]:
    (folder / "scalars.yml").write_text("services: {a: {image: i}}\nx-read:\n" + "".join(f"  - {text}\n" for text in written))
    model = compose.config(["scalars.yml"], directory=folder, environ={})
    assert isinstance(model, Model), model
    read: list[Scalar] = model.project["x-read"]
    return read


def shape(value: Scalar) -> tuple[str, Scalar]:
    """What JSON keeps of a value: it has one kind of number."""
    return ("number", float(value)) if isinstance(value, int | float) and not isinstance(value, bool) else (type(value).__name__, value)


def test_known_traps_are_read_as_docker_compose_reads_them(compose: Compose, tmp_path: Path) -> None:
    written = [text for text in TABLE if text not in ("-",)]
    read = as_compose_reads(compose, tmp_path, written)
    assert dict(zip(written, map(shape, read), strict=True)) == {text: shape(resolve(text)) for text in written}


def is_one_plain_scalar(text: str) -> bool:
    """And no date, of which compose makes a time in the few places where it takes one at all, and nothing infinite, which its JSON cannot hold."""
    if re.match("[0-9]{4}-", text) or text.lower().lstrip("+-") in (".nan", ".inf"):
        return False
    return read_yaml(f"- {text}\n".encode(), COMPOSE).data == [resolve(text)]


@settings(max_examples=200 if os.environ.get("INTERLOCK_PROFILE") == "prove" else 5, deadline=None, suppress_health_check=list(HealthCheck))
@given(written=st.lists(st.text("0123456789+-._xob eEaFnulltrs~:", min_size=1, max_size=8).filter(is_one_plain_scalar), min_size=30, max_size=60))
def test_any_scalar_is_read_as_docker_compose_reads_it(compose: Compose, tmp_path: Path, written: list[str]) -> None:
    read = as_compose_reads(compose, tmp_path, written)
    assert dict(zip(written, map(shape, read), strict=True)) == {text: shape(resolve(text)) for text in written}
