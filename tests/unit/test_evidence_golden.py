"""Every rendering of the sample runs, byte for byte as a person has read it. `make golden` writes these files anew: read the difference."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from interlock.evidence import allure
from interlock.evidence.folder import LoadedRun
from interlock.evidence.renderings import RENDERINGS
from interlock.evidence.text import Style, gate_text
from tests.evidence_samples import SAMPLES, publish

GOLDEN = Path(__file__).parents[1] / "golden" / "evidence"
STYLE = re.compile("<style>.*?</style>", re.DOTALL)  # the same in each page
CHANGES = ["mounts.state_disk [state] was held, now broken: /data-state shows a plain directory", "interlock.yaml changed"]


def rendering(name: str) -> Callable[[LoadedRun], str]:
    return lambda run: "".join(RENDERINGS[name](run.record, run.details))


def gate(run: LoadedRun) -> str:
    plain, color = (gate_text(run.record, CHANGES, "interlock preflight", style) for style in (Style(), Style(color=True, ascii_only=True)))
    return f"{plain}\n\n=== with colour, in ASCII\n{color}\n"


def allure_files(run: LoadedRun) -> str:
    return "".join(f"=== {name}\n{''.join(chunks)}" for name, chunks in allure.render(run.record, run.details))


SHOWN: dict[str, Callable[[LoadedRun], str]] = {
    "text.txt": rendering("text"),
    "record.json": rendering("json"),
    "summary.md": rendering("markdown"),
    "sarif.json": rendering("sarif"),
    "junit.xml": rendering("junit"),
    "report.html": lambda run: STYLE.sub("<style>as the digests above have it</style>", (run.path / "report.html").read_text()),
    "gate.txt": gate,
    "allure.txt": allure_files,
    "details.jsonl": lambda run: (run.path / "details.jsonl").read_text(),
}


@pytest.mark.parametrize("shown", sorted(SHOWN))
@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_golden(tmp_path: Path, name: str, shown: str) -> None:
    run = publish(tmp_path, dataclasses.replace(SAMPLES[name], version="0.1.0"))
    found, file = SHOWN[shown](run).encode(), GOLDEN / f"{name}.{shown}"
    if os.environ.get("INTERLOCK_GOLDEN") == "write":
        file.write_bytes(found)
    assert found == file.read_bytes()


def test_every_golden_file_is_of_a_sample() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {f"{name}.{shown}" for name in SAMPLES for shown in SHOWN}
