"""Env files patched by hand: the real command line in a real terminal, a real gate, real evidence; and what they hold is told nowhere."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.in_terminal import INTERLOCK, human_environ, in_terminal
from tests.integration.test_apply_terminal import Hand

STEPS = """\
      - env-patch: {file: .env, instances: [main], values: {RELEASE: '2.1', LICENCE: 'v2/${TINY_PASSWORD}'}}
      - command: {run: [bin/shout], undo: [bin/hush]}
      - endpoint: {env-patch: {file: conf/endpoint.env, instances: [main], values: {API: 'http://new:1', GRANT: '${TINY_PASSWORD}'}}, after: [deployed]}
    gate: [expect]
"""
PLANTED = "c4nary of'the $patch"
STOOD_THERE = "c4nary-that-stood-there"
OLD = f"RELEASE=2.0\nLICENCE={STOOD_THERE}\nOTHER='c4nary-of-another-line'\n"


@pytest.fixture
def hand(tmp_path: Path) -> Hand:
    """What the patches take from the environment is called by a name that nothing else in the site knows, and that sounds like no secret."""
    hand = Hand(
        tmp_path, steps=STEPS, programs={"shout": "grep LICENCE ../instance/.env; echo yes > ../instance/deployed", "hush": "rm -f ../instance/deployed"}
    )
    site = hand.tiny.root / "interlock.yaml"
    text = site.read_text().replace("DB_PASSWORD: ${TINY_PASSWORD}", "DB_PASSWORD: none").replace("${TINY_PASSWORD}", "${HANDED_OVER}")
    site.write_text(text)
    (hand.tiny.instance / ".env").write_text(OLD)
    (hand.tiny.instance / "conf" / "endpoint.env").write_text("API=http://old:1\n")
    hand.environ = human_environ(tmp_path, HANDED_OVER=PLANTED)
    return hand


def forms(secret: str) -> set[str]:
    return {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("="), secret.replace("'", "'\"'\"'"), secret.replace("$", "\\$")}


def test_env_files_are_patched_and_told_of_without_what_they_hold(hand: Hand) -> None:
    plan = hand.plan()
    shown = hand.approve(plan)
    applied = hand.type("apply", plan)
    assert applied.code == 0, applied.text
    written = PLANTED.replace("$", "\\$")
    assert (hand.tiny.instance / ".env").read_text() == f"RELEASE=2.1\nLICENCE=\"v2/{written}\"\nOTHER='c4nary-of-another-line'\n"
    assert "+LICENCE=v2/${HANDED_OVER}" in shown.text
    (folder,) = [path.parent for path in hand.tiny.root.glob("reports/*-release-*/record.json") if json.loads(path.read_text()).get("steps")]
    record = json.loads((folder / "record.json").read_text())
    assert [step["kind"] for step in record["steps"]] == ["env-patch", "command", "endpoint"]
    assert record["steps"][1]["stdout"] == 'LICENCE="v2/***"\n'
    told = [("the terminal", shown.text + applied.text + hand.type("status").text + hand.type("plan", "--show", plan).text)]
    kept = (path for path in hand.tiny.root.rglob("*") if path.is_file() and path.parent.name != "undo" and hand.tiny.instance not in path.parents)
    told += [(str(path), path.read_text(errors="replace")) for path in kept]
    assert [(where, form) for where, text in told for form in forms(PLANTED) if form in text] == []
    assert [where for where, text in told if "c4nary" in text] == []


def test_a_patch_that_somebody_else_undoes_in_the_meantime_is_stale(hand: Hand) -> None:
    plan = hand.plan()
    hand.approve(plan)
    (hand.tiny.instance / ".env").write_text(OLD + "MORE=1\n")
    applied = in_terminal((*INTERLOCK, "apply", plan), hand.environ, hand.tiny.root)
    assert applied.code == 14, applied.text
    assert (hand.tiny.instance / ".env").read_text() == OLD + "MORE=1\n"
