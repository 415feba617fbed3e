"""Files below mountpoints: what breaks the check, what is no lost data, what nobody could see, and commands that an operator can paste."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from interlock.config.models import Disk, Host, Mounts, Site
from interlock.facts import looks
from interlock.facts.hidden import Covered, HiddenBelow
from interlock.facts.looks import Answer, FailedLook, HostFacts, Look, Shadow, Shadows, ShadowsAnswer, StatAnswer
from interlock.judge.disk.hidden import SHADOWED_FILES, judge_hidden
from interlock.observe import probe
from interlock.observe.hidden import OBSERVERS, hidden_below
from interlock.observe.tree import Tree
from interlock.observe.world import LIVE_GATES, World
from interlock.testing.faults import own_namespace
from interlock.verdicts import Broken, Held, Outcome, Subject, Unproven

STATE = Covered("/data/state", "/data", "/dev/sdb (ext4)")
CERTS = Covered("/data/state/certs", "/data/state", "/dev/sdc (xfs)")
EMPTY = Shadow("/data/state", "/data")


def below(*shadows: Shadow, covered: tuple[Covered, ...] = (STATE, CERTS), markers: tuple[str, ...] = ()) -> HiddenBelow:
    return HiddenBelow(mountpoint="/data/state", realpath="/data/state", mounted=True, covered=covered, shadows=shadows or (EMPTY,), markers=markers)


def found(*names: str, mountpoint: str = "/data/state", parent: str = "/data", size: int = 8) -> Shadow:
    """What the probe says of these names; all are files that have no slash behind them."""
    return Shadow(mountpoint, parent, names, sum(not name.endswith("/") for name in names), size)


def test_nothing_below_the_mountpoints_holds_and_is_counted() -> None:
    assert judge_hidden(below()).message == "/data/state: no file is hidden"
    assert judge_hidden(below(EMPTY, Shadow("/data/state/certs", "/data/state"))).message == "/data/state and 1 mountpoint below it: no file is hidden"


def test_hidden_files_break_it_and_are_named_with_their_disk() -> None:
    judged = judge_hidden(below(found("SHADOW", "sub/y", "sub/")))
    assert isinstance(judged, Broken)
    (detail,) = judged.details
    assert (detail.what, detail.kind, detail.value) == ("/data/state", "hidden-files", 2)
    assert judged.message == (
        "/data/state hides 2 files (8 bytes) on /dev/sdb (ext4) mounted at /data: SHADOW, sub/y; they were written while it was not mounted, or past it"
    )
    assert judged.remedy.startswith("`sudo unshare --mount --propagation private sh -c 'mount --bind /data /mnt && ls -laR /mnt/state'`; stop the stack; ")
    assert "then compare /data/state.hidden with /data/state" in judged.remedy


def test_each_mountpoint_is_a_detail_of_its_own() -> None:
    judged = judge_hidden(below(EMPTY, found("old.pem", mountpoint="/data/state/certs", parent="/data/state")))
    assert isinstance(judged, Broken)
    assert [(detail.what, detail.outcome) for detail in judged.details] == [("/data/state", Outcome.HELD), ("/data/state/certs", Outcome.BROKEN)]
    assert "a file (8 bytes) on /dev/sdc (xfs) mounted at /data/state: old.pem" in judged.message
    assert "/mnt/state" not in judged.remedy


def test_many_names_are_cut_and_what_could_not_be_counted_is_at_least_that() -> None:
    names = tuple(f"f{number}" for number in range(9))
    assert "9 files (8 bytes)" in judge_hidden(below(found(*names))).message
    assert ": f0, f1, f2, f3, f4 and 4 more;" in judge_hidden(below(found(*names))).message
    assert "at least 9 files" in judge_hidden(below(found(*names)._replace(complete=False))).message
    assert "at least 9 files" in judge_hidden(below(found(*names)._replace(error="EACCES: Permission denied (x/)"))).message


def test_directories_without_a_file_are_no_lost_data_and_said() -> None:
    judged = judge_hidden(below(found("lock/", "sub/")))
    assert isinstance(judged, Held)
    assert judged.message == "/data/state: no file is hidden; /data/state hides empty directories alone (lock/)"


def test_declared_markers_may_lie_below_the_disks_own_mountpoint_and_nowhere_else() -> None:
    markers = ("NOT-MOUNTED",)
    judged = judge_hidden(below(found("NOT-MOUNTED"), markers=markers))
    assert isinstance(judged, Held)
    assert judged.message.endswith("/data/state hides NOT-MOUNTED alone, as declared")
    both = judge_hidden(below(found("NOT-MOUNTED", "state.db"), markers=markers))
    assert isinstance(both, Broken)
    assert "hides a file (8 bytes) on /dev/sdb (ext4) mounted at /data: state.db;" in both.message
    assert "! -name NOT-MOUNTED" in both.remedy
    for other in (found("sub/NOT-MOUNTED"), found("NOT-MOUNTED", mountpoint="/data/state/certs", parent="/data/state")):
        assert isinstance(judge_hidden(below(EMPTY, other, markers=markers)), Broken)


def test_more_files_than_names_are_never_all_markers() -> None:
    assert isinstance(judge_hidden(below(found("NOT-MOUNTED")._replace(entries=2), markers=("NOT-MOUNTED",))), Broken)


@pytest.mark.parametrize(
    ("shadow", "said"),
    [
        (EMPTY._replace(error="ENOENT: No such file or directory"), "could not be looked at wholly: ENOENT: No such file or directory"),
        (found("sub/")._replace(error="EACCES: Permission denied (sub/)"), "could not be looked at wholly: EACCES"),
        (found("sub/")._replace(complete=False), "hides more directories than are looked at"),
    ],
)
def test_what_could_not_be_seen_wholly_is_unproven_with_the_command_to_look(shadow: Shadow, said: str) -> None:
    judged = judge_hidden(below(shadow))
    assert isinstance(judged, Unproven)
    assert said in judged.message
    assert judged.remedy == "look yourself: `sudo unshare --mount --propagation private sh -c 'mount --bind /data /mnt && ls -laR /mnt/state'`"


def test_a_mount_wholly_under_another_one_is_unproven_and_told_apart() -> None:
    wholly = Covered("/data/state", "/data/state", "/dev/sdx (ext4)")
    shadow = Shadow("/data/state", "/data/state", error="covered: it lies wholly under another mount at the same place")
    judged = judge_hidden(below(EMPTY, shadow, covered=(STATE, wholly)))
    assert isinstance(judged, Unproven)
    assert judged.remedy.startswith("of the mounts that `findmnt --mountpoint /data/state` shows, unmount all but one")
    assert isinstance(judge_hidden(below(found("f"), shadow, covered=(STATE, wholly))), Broken)


def test_a_disk_that_is_not_mounted_or_not_there_is_unproven() -> None:
    assert "nothing is mounted at /data/state" in judge_hidden(replace(below(), mounted=False)).message
    assert "/data/state does not exist" in judge_hidden(replace(below(), realpath="")).message
    for state in (replace(below(), mounted=False), replace(below(found("f")), mounted=False), replace(below(), realpath="")):
        assert isinstance(judge_hidden(state), Unproven)


def test_a_mountpoint_that_the_answer_leaves_out_is_unproven() -> None:
    judged = judge_hidden(below(Shadow("/data/state/certs", "/data/state")))
    assert isinstance(judged, Unproven)
    assert "the mounts changed" in judged.message


def test_where_nobody_could_look_each_mountpoint_has_its_command() -> None:
    judged = judge_hidden(replace(below(), shadows=None, could_not="only root may look", remedy="set `become: sudo -n` for this host"))
    assert isinstance(judged, Unproven)
    assert [detail.what for detail in judged.details] == ["/data/state", "/data/state/certs"]
    assert judged.remedy == (
        "set `become: sudo -n` for this host; or look yourself: "
        "`sudo unshare --mount --propagation private sh -c 'mount --bind /data /mnt && ls -laR /mnt/state'`, "
        "`sudo unshare --mount --propagation private sh -c 'mount --bind /data/state /mnt && ls -laR /mnt/certs'`"
    )
    assert isinstance(judge_hidden(replace(below(covered=()), shadows=None)), Held)
    assert isinstance(judge_hidden(replace(below(covered=()), shadows=())), Held)


def test_the_commands_show_and_uncover_what_is_hidden_whatever_it_is_called(component: Callable[[str], None], tmp_path: Path) -> None:
    """Run as they are, but for sudo, and with `/mnt` in a place of the test's own."""
    if not own_namespace():
        component("userns")
    odd = "a b'c\n$(d)"
    for name in ("mnt", "outer"):
        (tmp_path / name).mkdir()
    place = Covered(f"{tmp_path}/outer/{odd}", f"{tmp_path}/outer", "")
    script = f"""
    mount -t tmpfs x outer; cd outer; mkdir "$ODD"; cd "$ODD"; mkdir sub; echo 1 >sub/f; echo 2 >.dot; touch keep 'keep*'; chmod 640 .dot; cd ../..
    mount -t tmpfs y "outer/$ODD"
    {pasted(place.look, tmp_path)} >before
    {pasted(place.uncover(leaving=("keep", "*", "[k]eep")), tmp_path)}
    {pasted(place.look, tmp_path)} >after
    find outer -mindepth 1 -printf '%P:%m\\0' >found
    """
    argv = (*own_namespace(), "sh", "-ec", script)
    subprocess.run(argv, cwd=tmp_path, env={"ODD": odd, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, check=True, timeout=60)
    before, after = ((tmp_path / name).read_text() for name in ("before", "after"))
    assert all(name in before for name in (".dot", "sub", "keep*"))
    assert "keep\n" in after
    assert not any(name in after for name in (".dot", "sub", "keep*"))
    beside = {one.removeprefix(f"{odd}.hidden") for one in (tmp_path / "found").read_text().split("\0") if one.startswith(f"{odd}.hidden")}
    assert beside == {":700", "/.dot:640", "/sub:755", "/sub/f:644", "/keep*:644"}


def pasted(command: str, folder: Path) -> str:
    assert command.startswith("sudo unshare --mount ")
    return command.removeprefix("sudo ").replace("/mnt", f"{folder}/mnt")


# ---- how it is had

ROOT_DISK, SDB, SDC = "1 0 8:1 / / rw - ext4 /dev/sda rw\n", "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n", "3 2 8:3 / /data/state rw - xfs /dev/sdc rw\n"
BOTH = ("/data", "/data/state")


def seen(
    answer: ShadowsAnswer | FailedLook,
    *,
    subject: str = "state",
    mountinfo: str = ROOT_DISK + SDB + SDC,
    user: str = "deploy",
    links: Mapping[str, str] | None = None,
) -> HiddenBelow:
    """The noun of a site with its data disk at /data and its state disk at /data/state."""
    state = Disk(host="app", path="/data/state", device="/dev/sdc", markers=("NOT-MOUNTED",))
    site = Site(interlock=1, site="s", hosts={"app": Host()}, mounts=Mounts(state=state, data=Disk(host="app", path="/data", device="/dev/sdb")))
    stats: dict[Look, Answer] = {looks.Stat(path): StatAnswer(present=True, realpath=(links or {}).get(path, path)) for path in BOTH}
    answers = {**stats, Shadows(BOTH): answer, looks.Mounts(): looks.MountsAnswer(mountinfo=mountinfo.encode(), devices={}, links={})}
    facts = HostFacts(host="app", taken_at="2026-11-20T21:00:00Z", user=user, answers=answers, walks=lambda _: iter(()))
    world = World(site=site, gates=LIVE_GATES, tree=Tree(Path("/none")), hosts={"app": facts}, environ={})
    asked = Subject(name=subject, host="app")
    assert set(OBSERVERS[SHADOWED_FILES.id].looks(site, asked)) == set(answers)
    return hidden_below(world, asked)


def test_each_mountpoint_belongs_to_the_inner_of_the_two_disks() -> None:
    answer = ShadowsAnswer(shadows=(Shadow("/data", "/"), found("f"), Shadow("/data/postgres", "/data")))
    state, data = seen(answer), seen(answer, subject="data")
    assert [one.mountpoint for one in state.shadows or ()] == ["/data/state"]
    assert [one.mountpoint for one in data.shadows or ()] == ["/data", "/data/postgres"]
    assert state.covered == (Covered("/data/state", "/data", "/dev/sdb (ext4)"),)
    assert (state.markers, data.markers) == (("NOT-MOUNTED",), ())
    assert isinstance(judge_hidden(state), Broken)
    assert isinstance(judge_hidden(data), Held)


def test_an_ordinary_user_is_told_to_become_root_or_what_to_run() -> None:
    judged = judge_hidden(seen(FailedLook("EPERM", "Operation not permitted")))
    assert isinstance(judged, Unproven)
    assert "only root may look below a mountpoint, and deploy looked" in judged.message
    assert judged.remedy.startswith("set `become: sudo -n` for this host; or look yourself: `sudo unshare ")
    container = judge_hidden(seen(FailedLook("EPERM", "Operation not permitted"), user="root"))
    assert "observe from the host itself, not from a container; or look yourself" in container.remedy  # type: ignore[union-attr]
    slow = judge_hidden(seen(FailedLook("timeout", "it did not answer in time")))
    assert "raise the host's `timeout`" in slow.remedy  # type: ignore[union-attr]


def test_a_state_disk_that_is_not_mounted_is_unproven() -> None:
    assert not seen(ShadowsAnswer(shadows=(Shadow("/data", "/"),)), mountinfo=ROOT_DISK + SDB).mounted
    assert seen(ShadowsAnswer(shadows=(Shadow("/data", "/"),)), mountinfo=ROOT_DISK + SDB, subject="data").mounted


def test_a_directory_that_is_a_link_is_judged_where_it_leads() -> None:
    real = {"/data/state": "/srv/state"}
    answer = ShadowsAnswer(shadows=(Shadow("/data", "/"), found("f", mountpoint="/srv/state", parent="/")))
    judged = judge_hidden(seen(answer, mountinfo=ROOT_DISK + SDB + SDC.replace("3 2", "3 1").replace("/data/state", "/srv/state"), links=real))
    assert isinstance(judged, Broken)
    assert "/srv/state hides a file (8 bytes) on /dev/sda (ext4) mounted at /" in judged.message


def test_of_the_root_disk_the_directory_that_is_used_is_looked_at() -> None:
    site = Site(interlock=1, site="s", mounts=Mounts(state=Disk(path="/srv/state", mountpoint="/", device="/dev/sda")))
    (subject,) = SHADOWED_FILES.subjects(site)
    assert set(OBSERVERS[SHADOWED_FILES.id].looks(site, subject)) == {looks.Mounts(), Shadows(("/srv/state",)), looks.Stat("/srv/state")}
    answers: dict[Look, Answer] = {
        looks.Mounts(): looks.MountsAnswer(mountinfo=ROOT_DISK.encode(), devices={}, links={}),
        looks.Stat("/srv/state"): StatAnswer(present=True, realpath="/srv/state"),
        Shadows(("/srv/state",)): ShadowsAnswer(shadows=()),
    }
    facts = HostFacts(host="local", taken_at="2026-11-20T21:00:00Z", user="deploy", answers=answers, walks=lambda _: iter(()))
    world = World(site=site, gates=LIVE_GATES, tree=Tree(Path("/none")), hosts={"local": facts}, environ={})
    judged = judge_hidden(hidden_below(world, subject))
    assert judged == Held("/srv/state and the mounts below it cover no directory of a disk")


def test_a_site_without_disks_has_no_subject_and_both_disks_are_asked() -> None:
    assert SHADOWED_FILES.subjects(Site(interlock=1, site="s")) == []
    both = Mounts(state=Disk(path="/a", device="tmpfs"), data=Disk(path="/b", device="tmpfs"))
    assert [subject.name for subject in SHADOWED_FILES.subjects(Site(interlock=1, site="s", mounts=both))] == ["state", "data"]


def test_what_lies_under_two_disks_is_looked_for_on_each_of_the_mounts_below() -> None:
    """/data/state was written to when neither disk was mounted."""
    table = (ROOT_DISK + SDB + SDC).encode()
    found = [(cover.parent, cover.deep) for cover in probe.covers(table, [b"/data/state"])]
    assert found == [(b"/data", False), (b"/", True)]
    assert [(cover.point, cover.parent) for cover in probe.covers(table, [b"/data", b"/data/state"])] == [(b"/data", b"/"), (b"/data/state", b"/data")]


def test_under_a_bind_of_a_directory_onto_itself_lies_the_same_directory() -> None:
    table = b"""\
1 0 8:1 / / rw - ext4 /dev/sda1 rw
2 1 8:1 /srv /srv rw - ext4 /dev/sda1 rw
3 2 8:16 / /srv/data rw - ext4 /dev/sdb rw
4 3 8:32 / /srv/data/state rw - ext4 /dev/sdc rw
"""
    assert [(cover.parent, cover.deep) for cover in probe.covers(table, [b"/srv/data/state"])] == [(b"/srv/data", False), (b"/srv", True)]
