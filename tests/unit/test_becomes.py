"""Actions that move disks: the site file that they end with, and the mounts that their plan stands on no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock import runner
from interlock.act import journal as journals
from interlock.change.becoming import site_afterwards
from interlock.commands.status import status_text
from interlock.errors import ConfigError, StaleError, UsageError
from interlock.facts.canonical import digest, short
from interlock.gate.journal import Standing, State
from interlock.observe.fingerprint import by_mountpoint, mounts_of
from tests.tiny_site import OLD, Tiny, again, make_tiny, shut

AFTER = "interlock.after.yaml"
BECOMES = f"    becomes: {AFTER}\n"
MOVE = '      - command: {run: [bin/deploy], undo: [bin/undeploy], done: [bin/deployed], remounts: ["ROOT/data"]}\n'
LOOK = "      - verify: {expect: [deployed]}\n"
GATE = "      - gate: {guardrails: [expect], afterwards: true}\n"


def moving(folder: Path, steps: str = MOVE + LOOK, *, after: str | None = "", becomes: str = BECOMES) -> Tiny:
    """The tiny site with an action that moves a disk; `after` is what the file that it ends with has more (None: there is no such file)."""
    tiny = make_tiny(folder)
    here, file = tiny.root / "interlock.yaml", tiny.root / AFTER
    head, _, _ = here.read_text().partition("actions:\n")
    here.write_text(f"{head}actions:\n  release:\n{becomes}    steps:\n{steps.replace('ROOT', str(tiny.root))}")
    if after is not None:
        file.write_text(head + after)
    return again(tiny)


def apply(tiny: Tiny) -> runner.Outcome:
    return runner.apply(tiny.site, short(tiny.approved().digest), tiny.environ, tiny.means())


def test_the_plan_pins_the_site_that_the_action_ends_with(tmp_path: Path) -> None:
    tiny = moving(tmp_path)
    stored = tiny.plan()
    assert stored.plan.becomes is not None
    assert stored.plan.becomes.digest == digest((tiny.root / AFTER).read_bytes())
    assert site_afterwards(tiny.site, stored.plan, tiny.environ).source.endswith(AFTER)
    shown = runner.show(tiny.site, short(stored.digest), tiny.environ)
    assert f"ends with {tiny.root}/{AFTER}: postflight is asked of that site file" in shown
    assert f"MOVES DISKS: from there on the plan does not stand on what {tiny.root}/data shows" in shown


def test_an_action_without_another_site_ends_with_its_own(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path)
    assert site_afterwards(tiny.site, tiny.plan().plan, tiny.environ) is tiny.site


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"after": None}, "cannot be read"),
        ({"after": "reports: elsewhere\n"}, "says `reports: elsewhere`, and this site `reports: reports`"),
        ({"after": "actions: {}\nno-such-key: 1\n"}, "is no key that exists"),
        ({"becomes": "    becomes: interlock.yaml\n"}, "is no other site file beside this one"),
        ({"becomes": "    becomes: ../interlock.yaml\n"}, "is no other site file beside this one"),
        (
            {"becomes": "", "steps": GATE},
            "does not say which site it",
        ),
        ({"steps": MOVE}, "nothing looks at what step 1 has mounted"),
        ({"steps": MOVE + LOOK.replace("deployed", "ready") + "      - approval: {asks: Is it well?}\n"}, "a human is waited for behind step 1"),
    ],
)
def test_a_plan_that_could_not_be_kept_is_not_made(tmp_path: Path, changed: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        moving(tmp_path, **changed).plan()


def test_a_site_that_was_edited_since_it_was_planned_stops_the_action_before_it_begins(tmp_path: Path) -> None:
    tiny = moving(tmp_path)
    stored = tiny.approved()
    (tiny.root / AFTER).write_text((tiny.root / AFTER).read_text() + "\n# one line more\n")
    with pytest.raises(StaleError, match="the site file that the plan ends with was changed"):
        runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means())
    assert tiny.look() == OLD


def test_what_is_left_to_the_operator_is_said_at_the_end(tmp_path: Path) -> None:
    tiny = moving(tmp_path)
    outcome = apply(tiny)
    assert outcome.exit_code == 0, outcome.text
    assert f"mv {tiny.root}/{AFTER} {tiny.root}/interlock.yaml" in outcome.text


def test_an_undone_action_leaves_the_site_file_as_it_is(tmp_path: Path) -> None:
    from interlock.verdicts import When

    tiny = moving(tmp_path)
    tiny.shut[When.POSTFLIGHT] = shut()
    outcome = apply(tiny)
    assert (outcome.exit_code, tiny.look()) == (16, OLD)
    assert "mv " not in outcome.text


def test_an_action_that_died_behind_the_move_is_rolled_back_and_not_resumed(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def die(_names: object) -> object:
        raise Killed

    tiny = moving(tmp_path)
    stored = tiny.approved()
    with pytest.raises(Killed):
        runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means(verify=die))
    with pytest.raises(UsageError, match="cannot be gone on with") as refused:
        runner.resume(tiny.site, short(stored.digest), tiny.environ, tiny.means())
    assert f"interlock rollback {short(stored.digest)}" in refused.value.remedy
    assert status_text(tiny.site).endswith(f"next: interlock rollback {short(stored.digest)}")
    assert runner.rollback(tiny.site, short(stored.digest), tiny.environ, tiny.means()).exit_code == 0
    trail = journals.newest(tiny.books.journals)
    assert trail is not None
    assert (Standing.of(trail).steps[0].state, tiny.look()) == (State.UNDONE, OLD)


def test_what_lies_at_or_below_a_moved_directory_is_left_out_and_nothing_else() -> None:
    seen = {
        "mount /data": "id 1, a",
        "mount /data/state": "id 2, b",
        "mount /data/state/certs": "id 3, c",
        "mount /data/state-of-old": "id 4, d",
        "mount app2:/data/state": "id 5, e",
        "directory /data/state": "inode 2",
    }
    kept = mounts_of(seen, but=frozenset({"/data/state"}))
    assert kept == {"mount /data": "a", "mount /data/state-of-old": "d", "mount app2:/data/state": "e"}
    said = {"mount /data/state": "id 9, device 8:1, /dev/sdb (ext4) mounted at /data/state", "host": "app1, boot 1"}
    assert by_mountpoint(said) == {"mount /data/state": "/data/state"}
    assert mounts_of(seen, but=frozenset({"app2:/data"})).keys() == mounts_of(seen).keys() - {"mount app2:/data/state"}
