"""The operator's own checks, read from their text."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.errors import ConfigError
from interlock.observe.own_checks import own_checks
from interlock.verdicts import When


def ids(folder: Path, text: str) -> dict[str, frozenset[When]]:
    (folder / "test_smoke.py").write_text(text)
    return {one.guardrail: one.when for one in own_checks(folder)}


BOTH = frozenset({When.PREFLIGHT, When.POSTFLIGHT})


def test_every_test_function_is_asked_before_and_after(tmp_path: Path) -> None:
    assert ids(tmp_path, "def test_app_answers(): pass\ndef helper(): pass\nasync def test_other(): pass\n") == {
        "own.smoke.app_answers": BOTH,
        "own.smoke.other": BOTH,
    }


def test_a_mark_says_which_gate_asks(tmp_path: Path) -> None:
    text = "import pytest\n@pytest.mark.postflight\ndef test_after(): pass\n@pytest.mark.slow\ndef test_any(): pass\n"
    assert ids(tmp_path, text) == {"own.smoke.after": frozenset({When.POSTFLIGHT}), "own.smoke.any": BOTH}


def test_the_marks_of_a_module_and_of_a_class_count(tmp_path: Path) -> None:
    text = "import pytest\npytestmark = [pytest.mark.static]\ndef test_a(): pass\n"
    text += "@pytest.mark.drill\nclass TestRestore:\n    def test_b(self): pass\n    def helper(self): pass\n"
    assert ids(tmp_path, text) == {"own.smoke.a": frozenset({When.STATIC}), "own.smoke.TestRestore.b": frozenset({When.DRILL})}


def test_a_site_without_checks_has_none(tmp_path: Path) -> None:
    assert own_checks(tmp_path / "checks") == ()


@pytest.mark.parametrize("text", ["def test_(:\n", "\0"])
def test_a_file_that_is_no_python_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "test_bad.py").write_text(text)
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        own_checks(tmp_path)
    assert "test_bad.py" in caught.value.where
