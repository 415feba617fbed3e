"""The refusals as an operator reads them, held word for word. `make golden` writes them anew; read the difference."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from interlock.config.load import load_site
from interlock.config.waivers import load_waivers
from interlock.errors import ConfigError

FOLDER = Path(__file__).parent.parent / "golden" / "config"
REFUSED = sorted(path.name for path in FOLDER.glob("*.yaml") if path.name != "whole.yaml")
KNOWN = {"mounts", "mounts.state_disk", "backups", "backups.mode_0600"}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_reads_as_the_golden_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    monkeypatch.setattr("interlock.config.load.__version__", "0.0.0")
    load: Callable[[Path], object] = load_waivers if name.startswith("waivers") else lambda path: load_site(path, {"HOME": "/root"}, known=KNOWN)
    with pytest.raises(ConfigError) as caught:
        load(Path(name))
    said = f"{caught.value}\n"
    golden = FOLDER / f"{name.removesuffix('.yaml')}.txt"
    if os.environ.get("INTERLOCK_GOLDEN") == "write":
        golden.write_text(said)
    assert said == golden.read_text()


def test_every_golden_refusal_has_its_file() -> None:
    assert sorted(f"{path.stem}.yaml" for path in FOLDER.glob("*.txt")) == REFUSED
