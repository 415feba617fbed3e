"""In a night when the second person cannot be reached: one alone, with a reason, behind everything else; and what is owed afterwards. Withdrawing, too."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest

from interlock import runner
from interlock.act import journal as journals
from interlock.act.books import StoredPlan
from interlock.act.lock import locked
from interlock.commands.status import status_text
from interlock.errors import ApprovalError, GateShut, LockHeld, StaleError, UsageError
from interlock.facts import moments
from interlock.facts.callers import CallerFacts
from interlock.facts.canonical import short
from interlock.facts.signers import AllowedSigners, SignatureSeen
from interlock.facts.statements import Approval, ApprovalSeen, Owed, follow_up_purpose
from interlock.gate.journal import End, Standing
from interlock.judge.agreement.follow_ups import FollowedUp, judge_follow_up
from interlock.judge.agreement.plans import NotApproved
from interlock.verdicts import When
from tests.tiny_site import NEW, NOW, OLD, Tiny, key_of, make_tiny, shut, signer_line

WHY = "the disk is dying and bert does not answer his phone"
FOUND = "looked at the diff and the counts, nothing is missing, issue 12"
TWO = "  self_approval: false"


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return make_tiny(tmp_path, people=("anna", "bert"), approval=TWO)


def broken(tiny: Tiny, stored: StoredPlan, *, why: str = WHY, typed: str | None = None, person: str = "anna") -> runner.Outcome:
    tiny.answers += [why, typed or short(stored.digest)]
    return runner.break_glass(tiny.site, str(stored.folder), tiny.environ, key=key_of(person), means=tiny.means())


def followed_up(tiny: Tiny, person: str, finding: str = FOUND, named: str | None = None) -> Path:
    trail = journals.newest(tiny.books.journals)
    assert trail is not None
    tiny.answers += [finding, short(trail.entries[-1].digest)]
    return runner.follow_up(tiny.site, named, key_of(person), tiny.environ, tiny.means())


def standing(tiny: Tiny) -> Standing:
    trail = journals.newest(tiny.books.journals)
    assert trail is not None
    return Standing.of(trail)


def back_to_old(tiny: Tiny) -> None:
    (tiny.instance / "conf" / "app.conf").write_text("port = 8080\npassword = an-older-one\n")
    (tiny.instance / "motd").unlink()
    (tiny.instance / "deployed").unlink()


def test_one_person_alone_applies_their_own_plan_and_says_why(tiny: Tiny) -> None:
    outcome = broken(tiny, tiny.plan())
    assert (outcome.exit_code, tiny.look()) == (0, NEW)
    assert f"BREAK-GLASS by anna: {WHY}" in outcome.text
    assert f"interlock follow-up {outcome.id}" in outcome.text
    assert standing(tiny).begun["break_glass"] == {"principal": "anna", "reason": WHY}
    assert tiny.kept[0].approvals[0]["purpose"] == f"break-glass: {WHY}"
    assert tiny.gates == [When.APPLY, When.POSTFLIGHT]


@pytest.mark.parametrize("why", ["", "urgent", "no no no", "x" * 40, "a secret: correct-horse-battery is what it is", "it\x1b[2J is really very urgent"])
def test_without_a_reason_that_says_something_nothing_is_done(tiny: Tiny, why: str) -> None:
    with pytest.raises(ApprovalError, match="this is no reason"):
        broken(tiny, tiny.plan(), why=why)
    assert (tiny.look(), journals.newest(tiny.books.journals)) == (OLD, None)


def test_with_wrong_digits_nothing_is_done(tiny: Tiny) -> None:
    with pytest.raises(ApprovalError, match="the glass is not broken"):
        broken(tiny, tiny.plan(), typed="00000000")
    assert tiny.look() == OLD


def test_the_gate_is_asked_as_ever(tiny: Tiny) -> None:
    tiny.shut[When.APPLY] = shut()
    with pytest.raises(GateShut):
        broken(tiny, tiny.plan())
    assert (tiny.look(), journals.newest(tiny.books.journals)) == (OLD, None)


def test_a_glass_that_was_broken_before_a_shut_gate_lets_no_apply_through(tiny: Tiny) -> None:
    stored = tiny.plan()
    tiny.shut[When.APPLY] = shut()
    with pytest.raises(GateShut):
        broken(tiny, stored)
    tiny.shut.clear()
    with pytest.raises(ApprovalError, match="nobody has validly approved this plan"):
        runner.apply(tiny.site, str(stored.folder), tiny.environ, tiny.means())


def test_lock_live_state_and_the_plans_age_are_asked_as_ever(tiny: Tiny) -> None:
    stored = tiny.plan()
    with locked(tiny.books.folder, doing="x", user="u", host="h", now=tiny.now), pytest.raises(LockHeld):
        broken(tiny, stored)
    tiny.answers.clear()
    (tiny.instance / "conf" / "app.conf").write_text("edited\n")
    with pytest.raises(StaleError):
        broken(tiny, stored)
    tiny.answers.clear()
    tiny.later(hours=25)
    with pytest.raises(StaleError, match="expired"):
        broken(tiny, stored)


def test_the_backup_is_made_as_ever(tiny: Tiny) -> None:
    before = len(list(tiny.backups.iterdir()))
    broken(tiny, tiny.plan())
    assert len(list(tiny.backups.iterdir())) == before + 2


def test_where_nobody_is_missing_no_glass_is_broken(tmp_path: Path, tiny: Tiny) -> None:
    stored = tiny.approved("bert")
    with pytest.raises(ApprovalError, match="no glass needs to be broken"):
        broken(tiny, stored)
    operator = make_tiny(tmp_path / "o", kind="operator")
    with pytest.raises(ApprovalError, match="needs no glass broken"):
        broken(operator, operator.plan())
    alone = make_tiny(tmp_path / "a")
    with pytest.raises(ApprovalError, match="no glass needs to be broken"):
        broken(alone, alone.plan())


def test_a_stranger_breaks_no_glass(tiny: Tiny) -> None:
    with pytest.raises(ApprovalError):
        broken(tiny, tiny.plan(), person="carl")
    assert tiny.look() == OLD


def test_nothing_else_is_applied_until_somebody_else_has_looked(tiny: Tiny) -> None:
    first = broken(tiny, tiny.plan())
    back_to_old(tiny)
    tiny.later(minutes=5)
    second = tiny.approved("bert")
    text = status_text(tiny.site, now=tiny.now)
    assert text.splitlines()[1] == f"OWED: a follow-up of {first.id}: BREAK-GLASS by anna: {WHY}"
    assert "next: somebody else of allowed_signers: interlock follow-up" in text
    with pytest.raises(ApprovalError, match="nobody has looked at it since"):
        runner.apply(tiny.site, str(second.folder), tiny.environ, tiny.means())
    with pytest.raises(ApprovalError, match="may not be the one who looks at it"):
        followed_up(tiny, "anna")
    tiny.answers.clear()
    kept = followed_up(tiny, "bert")
    assert kept.parent.name == first.id
    assert WHY in tiny.asked[-2]
    assert "OWED" not in status_text(tiny.site, now=tiny.now)
    assert runner.apply(tiny.site, str(second.folder), tiny.environ, tiny.means()).exit_code == 0


def test_another_emergency_is_possible_and_is_owed_too(tiny: Tiny) -> None:
    first = broken(tiny, tiny.plan())
    back_to_old(tiny)
    tiny.later(minutes=5)
    second = broken(tiny, tiny.plan(), why="the second disk goes the way of the first one")
    assert second.exit_code == 0
    assert status_text(tiny.site, now=tiny.now).count("OWED") == 2
    followed_up(tiny, "bert", named=second.id)
    assert status_text(tiny.site, now=tiny.now).splitlines()[1].startswith(f"OWED: a follow-up of {first.id}")


def test_a_follow_up_is_for_one_action_and_its_end(tiny: Tiny) -> None:
    first = broken(tiny, tiny.plan())
    kept = followed_up(tiny, "bert")
    back_to_old(tiny)
    tiny.later(minutes=5)
    second = broken(tiny, tiny.plan(), why="the second disk goes the way of the first one")
    copied = kept.parent.with_name(second.id)
    copied.mkdir(mode=0o700)
    (copied / kept.name).write_bytes(kept.read_bytes())
    (copied / kept.name).chmod(0o600)
    assert f"OWED: a follow-up of {second.id}" in status_text(tiny.site, now=tiny.now)
    assert first.id not in status_text(tiny.site, now=tiny.now)


def test_where_one_person_is_all_there_is_they_look_at_it_themselves_loudly(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, people=("anna",), approval=TWO)
    broken(tiny, tiny.plan())
    followed_up(tiny, "anna")
    assert any("SELF-REVIEWED" in question for question in tiny.asked)
    assert "OWED" not in status_text(tiny.site, now=tiny.now)


def test_no_follow_up_is_signed_where_none_is_owed(tiny: Tiny) -> None:
    with pytest.raises(UsageError, match="no follow-up is owed"):
        runner.follow_up(tiny.site, None, key_of("bert"), tiny.environ, tiny.means())


def test_a_finding_must_say_something(tiny: Tiny) -> None:
    broken(tiny, tiny.plan())
    with pytest.raises(ApprovalError, match="this is no finding"):
        followed_up(tiny, "bert", finding="ok")
    assert "OWED" in status_text(tiny.site, now=tiny.now)


def test_a_failed_one_is_owed_too_and_can_be_rolled_back(tmp_path: Path) -> None:
    steps = "      - write-files: {templates: [conf]}\n      - command: {run: ['false'], undo: ['true']}\n"
    tiny = make_tiny(tmp_path, steps=steps, people=("anna", "bert"), approval=TWO)
    assert broken(tiny, tiny.plan()).exit_code == 16
    assert (standing(tiny).end, tiny.look()) == (End.UNDONE, OLD)
    assert "OWED" in status_text(tiny.site, now=tiny.now)


def test_a_word_in_mid_plan_is_given_by_the_breaker_alone_and_marked(tmp_path: Path) -> None:
    steps = "      - write-files: {templates: [conf]}\n      - approval: {asks: Go on?, by: [bert]}\n"
    tiny = make_tiny(tmp_path, steps=steps, people=("anna", "bert"), approval=TWO)
    stored = tiny.plan()
    outcome = broken(tiny, stored)
    assert outcome.exit_code == 13
    tiny.answers.append(str(standing(tiny).steps[1].data["entry"])[7:15])
    runner.approve(tiny.site, str(stored.folder), key_of("anna"), tiny.environ, tiny.means())
    assert runner.resume(tiny.site, str(stored.folder), tiny.environ, tiny.means()).exit_code == 0
    assert standing(tiny).steps[1].data["broken_glass"] is True


def test_nothing_is_guarded_either_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, people=("anna", "bert"), approval=TWO, steps="      - backup: {modules: [app]}\n")
    broken(tiny, tiny.plan())
    plans, asked = len(list(tiny.books.plans.iterdir())), len(tiny.asked)
    tiny.later(minutes=5)
    with pytest.raises(ApprovalError, match="nobody has looked at it since"):
        runner.guard(tiny.site, "release", ["true"], tiny.environ, directory=tiny.root, key=key_of("bert"), means=tiny.means())
    assert (len(list(tiny.books.plans.iterdir())), len(tiny.asked)) == (plans, asked)


def test_whoever_may_not_apply_breaks_no_glass_and_is_not_asked(tiny: Tiny) -> None:
    stored = tiny.plan()
    tiny.caller = CallerFacts(environment=frozenset({"GITHUB_ACTIONS"}), ancestors=tiny.caller.ancestors, complete=True, terminal_opens=True)
    with pytest.raises(ApprovalError, match="may not apply"):
        broken(tiny, stored)
    assert (tiny.asked, tiny.gates) == ([], [])


def test_a_gate_in_mid_plan_is_asked_as_ever(tmp_path: Path) -> None:
    steps = "      - write-files: {templates: [conf]}\n      - gate: {guardrails: [mounts]}\n      - command: {run: [bin/deploy], undo: [bin/undeploy]}\n"
    tiny = make_tiny(tmp_path, steps=steps, people=("anna", "bert"), approval=TWO)
    tiny.shut_midway = shut()
    assert (broken(tiny, tiny.plan()).exit_code, tiny.look(), tiny.runs()) == (16, OLD, 0)


def test_a_plan_is_applied_once_behind_a_broken_glass_too(tiny: Tiny) -> None:
    stored = tiny.plan()
    broken(tiny, stored)
    with pytest.raises(StaleError, match="applied already"):
        broken(tiny, stored)


def test_what_was_not_verified_is_resumed_or_rolled_back_before_and_after_somebody_has_looked(tmp_path: Path) -> None:
    """And what has gone on since is another end: somebody has to look again."""
    steps = "      - command: {run: [bin/deploy]}\n"
    tiny = make_tiny(tmp_path, steps=steps, people=("anna", "bert"), approval=TWO)
    stored = tiny.plan()
    tiny.shut[When.POSTFLIGHT] = shut(text="the app does not answer")
    first = broken(tiny, stored)
    assert (first.exit_code, standing(tiny).end) == (18, End.UNVERIFIED)
    kept = followed_up(tiny, "bert")
    assert "OWED" not in status_text(tiny.site, now=tiny.now)
    tiny.shut.clear()
    tiny.later(minutes=1)
    assert runner.resume(tiny.site, str(stored.folder), tiny.environ, tiny.means()).exit_code == 0
    assert f"OWED: a follow-up of {first.id}" in status_text(tiny.site, now=tiny.now)
    again = followed_up(tiny, "bert")
    assert (again.parent, "OWED" in status_text(tiny.site, now=tiny.now)) == (kept.parent, False)


def test_a_follow_up_that_would_not_count_is_not_kept(tiny: Tiny) -> None:
    """The clock was an hour ahead while it was applied, and is right again."""
    outcome = broken(tiny, tiny.plan())
    tiny.later(hours=-1)
    with pytest.raises(ApprovalError, match="this follow-up would not count") as caught:
        followed_up(tiny, "bert")
    assert "it is older than what it is about" in str(caught.value)
    assert not (tiny.books.folder / "follow-ups" / outcome.id).exists()


OWED = Owed(
    id="000001-release-3fa94c1e",
    plan="sha256:" + "a" * 64,
    action="release",
    site="tiny",
    breaker="anna",
    reason=WHY,
    ended=NOW,
    entry="sha256:" + "e" * 64,
)
PEOPLE = AllowedSigners.parse(signer_line("anna") + signer_line("bert"), where="f")


def said(person: str = "bert", *, entry: str = OWED.entry, finding: str = FOUND, valid: bool = True, **changed: str) -> ApprovalSeen:
    """What that person has signed a minute after the end."""
    later = moments.written(NOW + timedelta(minutes=1))
    purpose = follow_up_purpose(OWED.id, entry, finding)
    given = Approval(purpose=purpose, plan=OWED.plan, action="release", site="tiny", principal=person, created=later, expires=later, nonce="1")
    key = next(signer.key for signer in PEOPLE.signers if signer.principal == person)
    signature = SignatureSeen(principal=person, valid=valid, key=key, why="" if valid else "incorrect signature")
    return ApprovalSeen(where="x.json", approval=dataclasses.replace(given, **changed), signature=signature)


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (said("anna"), "anna broke the glass: somebody else has to look"),
        (said(entry="sha256:" + "d" * 64), "of another action, or of what this one was before it went on"),
        (said(purpose="apply"), "of another action"),
        (said(purpose=follow_up_purpose("000002-release-3fa94c1e", OWED.entry, FOUND)), "of another action"),
        (said(plan="sha256:" + "b" * 64), "it is of another plan"),
        (said(site="other"), "it is of another plan"),
        (said(valid=False), "its signature does not verify: incorrect signature"),
        (said(principal="carla"), "its signature is not that of carla"),
        (said(created=moments.written(NOW + timedelta(hours=9))), "made in the future"),
        (said(created=moments.written(NOW - timedelta(hours=9))), "older than what it is about"),
        (said(finding="fine"), "its finding says nothing"),
    ],
)
def test_a_follow_up_that_is_not_somebody_elses_of_exactly_this_end_does_not_count(seen: ApprovalSeen, why: str) -> None:
    judged = judge_follow_up(OWED, [seen], PEOPLE, NOW + timedelta(hours=1))
    assert isinstance(judged, NotApproved)
    assert why in judged.reasons[0]


def test_a_follow_up_does_not_expire_and_one_among_others_is_enough() -> None:
    judged = judge_follow_up(OWED, [said("anna"), said()], PEOPLE, NOW + timedelta(days=4000))
    assert isinstance(judged, FollowedUp)
    assert (judged.principal, judged.finding, judged.self_reviewed) == ("bert", FOUND, False)


# ---- withdrawing


def test_an_approval_that_was_taken_back_does_not_count_until_it_is_given_again(tiny: Tiny) -> None:
    stored = tiny.approved("bert")
    tiny.later(minutes=1)
    runner.withdraw(tiny.site, str(stored.folder), key_of("bert"), tiny.environ, tiny.means())
    with pytest.raises(ApprovalError, match="nobody has validly approved this plan"):
        runner.apply(tiny.site, str(stored.folder), tiny.environ, tiny.means())
    tiny.later(minutes=1)
    tiny.approve(stored, "bert")
    assert runner.apply(tiny.site, str(stored.folder), tiny.environ, tiny.means()).exit_code == 0


def test_whoever_has_approved_nothing_has_nothing_to_take_back(tiny: Tiny) -> None:
    stored = tiny.approved("bert")
    with pytest.raises(ApprovalError, match="has approved nothing of this plan"):
        runner.withdraw(tiny.site, str(stored.folder), key_of("anna"), tiny.environ, tiny.means())


def test_what_was_begun_cannot_be_withdrawn_any_more(tiny: Tiny) -> None:
    stored = tiny.approved("bert")
    runner.apply(tiny.site, str(stored.folder), tiny.environ, tiny.means())
    with pytest.raises(ApprovalError, match="too late to withdraw"):
        runner.withdraw(tiny.site, str(stored.folder), key_of("bert"), tiny.environ, tiny.means())
