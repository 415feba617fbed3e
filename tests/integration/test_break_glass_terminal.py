"""A night without the second person, by hand: the real command line in real terminals, real keys, gates and evidence; and a signature that is taken back."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.in_terminal import INTERLOCK, Shown
from tests.integration.test_apply_terminal import DIGITS, GATED, Hand
from tests.tiny_site import NEW, OLD, key_of

WHY = "the disk is dying and bert does not answer his phone"
FOUND = "looked at the diff and the counts, nothing is missing, issue 12"
REASON, FINDING = r"Reason: $", r"Finding: $"


def hand_of_two(folder: Path) -> Hand:
    return Hand(folder, people=("anna", "bert"), approval="  self_approval: false", steps=GATED)


def break_glass(hand: Hand, plan: str) -> Shown:
    digits = plan.rpartition("-")[2][:8]
    return hand.type("break-glass", plan, "--key", str(key_of("anna")), replies=((REASON, WHY), (DIGITS, digits)))


def test_one_alone_with_a_reason_and_somebody_else_afterwards(tmp_path: Path) -> None:
    hand = hand_of_two(tmp_path)
    plan = hand.plan()
    assert hand.type("apply", plan).code == 13
    shown = break_glass(hand, plan)
    assert shown.code == 0, shown.text
    assert "BREAK-GLASS: anna applies this plan without the people whom the site asks for" in shown.text
    assert f"BREAK-GLASS by anna: {WHY}" in shown.text
    assert hand.tiny.look() == NEW
    found = re.search(r"evidence: (\S+)", shown.text)
    assert found
    folder = Path(found[1])
    for name in ("summary.md", "junit.xml", "record.json"):
        assert WHY in (folder / name).read_text(), name
    assert all("BREAK-GLASS by anna" in path.read_text() for path in (folder / "allure-results").glob("*-result.json"))
    record = json.loads((folder / "record.json").read_text())
    assert [verdict["outcome"] for verdict in record["verdicts"] if verdict["guardrail"] == "approval.plan"] in ([], ["held"])
    assert "that a second person agreed: BREAK-GLASS by anna" in " ".join(hand.type("verify", str(folder)).text.split())
    assert "BREAK-GLASS" in hand.type("report", str(folder)).text
    for form in ("sarif", "markdown"):
        assert WHY in hand.type("report", str(folder), "--format", form).text
    status = hand.type("status").text
    assert f"OWED: a follow-up of {record['run']['id']}" not in status
    assert "OWED: a follow-up of 000001-release-" in status
    digest = re.search(r"digest   sha256:([0-9a-f]{8})", hand.type("follow-up", "--key", str(key_of("bert")), replies=((FINDING, FOUND), (DIGITS, "0"))).text)
    assert digest
    signed = hand.type("follow-up", "--key", str(key_of("bert")), replies=((FINDING, FOUND), (DIGITS, digest[1])))
    assert signed.code == 0, signed.text
    assert "OWED" not in hand.type("status").text


def test_behind_a_shut_gate_no_glass_helps(tmp_path: Path) -> None:
    hand = hand_of_two(tmp_path)
    plan = hand.plan()
    (hand.tiny.backups / "app-20261101T000000Z.tar.zst").chmod(0o644)
    shown = break_glass(hand, plan)
    assert shown.code == 1, shown.text
    assert "backups.mode_0600" in shown.text
    assert hand.untouched()


def test_a_signature_that_was_taken_back_lets_nothing_through(tmp_path: Path) -> None:
    hand = hand_of_two(tmp_path)
    plan = hand.plan()
    assert hand.approve(plan, "bert").code == 0
    taken = hand.type("approve", plan, "--withdraw", "--key", str(key_of("bert")))
    assert taken.code == 0, taken.text
    shown = hand.type("apply", plan)
    assert (shown.code, "nobody has validly approved this plan" in shown.text) == (13, True), shown.text
    assert hand.tiny.look() == OLD


def test_without_a_terminal_no_glass_is_broken_and_nothing_followed_up(tmp_path: Path) -> None:
    hand = hand_of_two(tmp_path)
    plan = hand.plan()

    def piped(*words: str) -> subprocess.CompletedProcess[str]:
        answers = f"{WHY}\n{plan.rpartition('-')[2][:8]}\n"
        argv = (*INTERLOCK, *words)
        return subprocess.run(argv, input=answers, cwd=hand.tiny.root, env=hand.environ, capture_output=True, text=True, start_new_session=True, check=False)

    done = piped("break-glass", plan, "--key", str(key_of("anna")))
    assert (done.returncode, "no controlling terminal" in done.stderr) == (13, True), done.stderr
    assert hand.untouched()
    assert break_glass(hand, plan).code == 0
    done = piped("follow-up", "--key", str(key_of("bert")))
    assert (done.returncode, "there is no terminal to ask at" in done.stderr) == (13, True), done.stderr
    assert "OWED" in hand.type("status").text
