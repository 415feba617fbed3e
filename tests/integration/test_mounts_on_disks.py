"""State and data on real disks: loop devices as root, tmpfs in a user namespace as anybody. Everything happens in a mount namespace of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from interlock.testing import run_check
from interlock.testing.faults import own_namespace, stage, write_site
from interlock.verdicts import Outcome
from tests.disks import EXT4, XFS, Disk, FileSystem, missing
from tests.disks import disks as made

RUN = """
import sys; from pathlib import Path
from interlock.testing import run_check
ran = run_check(Path(sys.argv[1]), "preflight")
asked = [verdict for verdict in ran.verdicts(sys.argv[2]) if verdict.subject == sys.argv[3]] if ran.record else None
verdict = asked[0] if asked else None
print(ran.exit_code, verdict.outcome if verdict else None, verdict.message if verdict else ran.output, sep="|")
"""


def judge_after(folder: Path, *commands: str, namespace: tuple[str, ...], guardrail: str = "mounts.state_disk", subject: str = "state") -> tuple[str, str, str]:
    """Run shell commands in a private mount namespace, then the gate of `folder` in the same one: exit code, and outcome and message of one subject.

    What is mounted stands on a mount of that namespace: in a user namespace the kernel lets nobody look below one from outside.
    """
    script = " && ".join([f"mount --bind {folder.parent} {folder.parent}", *commands, f'exec "{sys.executable}" -c "$RUN" "{folder}" {guardrail} {subject}'])
    done = subprocess.run(
        ["unshare", *namespace, "sh", "-c", script],
        env={"RUN": RUN, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    code, outcome, message = done.stdout.strip().split("|", 2)
    return code, outcome, message


@pytest.fixture
def disks(component: Callable[[str], None], tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two ext4 file systems on loop devices, labelled il-data and il-state."""
    component("loop")
    with made(tmp_path, data=EXT4, state=EXT4) as disk:
        yield disk["data"].device, disk["state"].device


ROOT_NAMESPACE = ("-m", "--propagation", "private")
USER_NAMESPACE = ("-Urm",)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


def nested_site(site: Path, device: str, **more: str) -> None:
    write_site(site, {"mounts": {"state": {"path": str(site.parent / "data" / "state"), "device": device, **more}}})


def mounted(site: Path, data: str, state: str) -> list[str]:
    target = site.parent / "data"
    return [f"mount {data} {target}", f"mkdir -p {target}/state", f"mount {state} {target}/state"]


def test_a_mounted_state_disk_holds(site: Path, disks: tuple[str, str]) -> None:
    nested_site(site, disks[1], fstype="ext4")
    code, outcome, message = judge_after(site, *mounted(site, *disks), namespace=ROOT_NAMESPACE)
    assert (code, outcome) == ("0", Outcome.HELD), message


def test_an_unmounted_state_disk_is_broken(site: Path, disks: tuple[str, str]) -> None:
    nested_site(site, disks[1])
    target = site.parent / "data"
    code, outcome, message = judge_after(site, f"mount {disks[0]} {target}", f"mkdir -p {target}/state", namespace=ROOT_NAMESPACE)
    assert (code, outcome) == ("1", Outcome.BROKEN)
    assert disks[0] in message


def test_a_state_disk_hidden_by_a_mount_over_it_is_broken(site: Path, disks: tuple[str, str]) -> None:
    nested_site(site, disks[1])
    code, outcome, message = judge_after(site, *mounted(site, *disks), f"mount -t tmpfs none {site.parent}/data/state", namespace=ROOT_NAMESPACE)
    assert (code, outcome) == ("1", Outcome.BROKEN)
    assert "tmpfs" in message


def test_a_state_disk_hidden_by_mounting_its_parent_again_is_broken(site: Path, disks: tuple[str, str]) -> None:
    nested_site(site, disks[1])
    target = site.parent / "data"
    commands = [f"mkdir -p {target}/state", f"mount {disks[1]} {target}/state", f"mount {disks[0]} {target}", f"mkdir -p {target}/state"]
    code, outcome, message = judge_after(site, *commands, namespace=ROOT_NAMESPACE)
    assert (code, outcome) == ("1", Outcome.BROKEN), message


def test_swapped_disks_are_broken(site: Path, disks: tuple[str, str]) -> None:
    nested_site(site, disks[1])
    code, outcome, message = judge_after(site, *mounted(site, disks[1], disks[0]), namespace=ROOT_NAMESPACE)
    assert (code, outcome) == ("1", Outcome.BROKEN)
    assert f"expected {disks[1]}" in message


def test_the_same_holds_without_root_in_a_user_namespace(site: Path, component: Callable[[str], None]) -> None:
    component("userns")
    nested_site(site, "il-state", fstype="tmpfs")
    target = site.parent / "data"
    commands = [f"mount -t tmpfs il-data {target}", f"mkdir {target}/state", f"mount -t tmpfs il-state {target}/state"]
    assert judge_after(site, *commands, namespace=USER_NAMESPACE)[:2] == ("0", Outcome.HELD)
    assert judge_after(site, *commands, f"umount {target}/state", namespace=USER_NAMESPACE)[:2] == ("1", Outcome.BROKEN)


def test_a_state_directory_on_the_root_disk_is_broken_where_it_is(site: Path) -> None:
    (site.parent / "data" / "state").mkdir()
    nested_site(site, "LABEL=no-such-label")
    assert run_check(site, "preflight").outcome("mounts.state_disk") is Outcome.BROKEN


# ---- the data disk, the layout, and room to write


def both_disks(site: Path, disks: tuple[str, str], *, layout: str, **more: dict[str, object]) -> None:
    state = "data/state" if layout == "nested" else "data-state"
    (site.parent / "data-state").mkdir(exist_ok=True)
    declared = {name: {"path": str(site.parent / path), "device": device} for name, path, device in (("data", "data", disks[0]), ("state", state, disks[1]))}
    write_site(site, {"mounts": {**declared, "layout": layout}, **more})


def flat(site: Path, data: str, state: str) -> list[str]:
    return [f"mount {data} {site.parent}/data", f"mount {state} {site.parent}/data-state"]


def test_disks_beside_each_other_hold_where_the_layout_is_flat(site: Path, disks: tuple[str, str]) -> None:
    both_disks(site, disks, layout="flat")
    for guardrail, subject in (("mounts.data_disk", "data"), ("mounts.layout", "layout"), ("mounts.writable", "state"), ("mounts.writable", "data")):
        code, outcome, message = judge_after(site, *flat(site, *disks), namespace=ROOT_NAMESPACE, guardrail=guardrail, subject=subject)
        assert (code, outcome) == ("0", Outcome.HELD), message


def test_swapped_disks_are_broken_for_the_data_too(site: Path, disks: tuple[str, str]) -> None:
    both_disks(site, disks, layout="flat")
    swapped = flat(site, disks[1], disks[0])
    code, outcome, message = judge_after(site, *swapped, namespace=ROOT_NAMESPACE, guardrail="mounts.data_disk", subject="data")
    assert (code, outcome) == ("1", Outcome.BROKEN)
    assert f"expected {disks[0]}" in message


def test_a_nested_disk_holds_where_the_layout_is_nested(site: Path, disks: tuple[str, str]) -> None:
    both_disks(site, disks, layout="nested")
    code, outcome, message = judge_after(site, *mounted(site, *disks), namespace=ROOT_NAMESPACE, guardrail="mounts.layout", subject="layout")
    assert (code, outcome) == ("0", Outcome.HELD), message
    assert "is mounted below" in message


def test_a_state_disk_that_is_still_nested_breaks_a_flat_layout(site: Path, disks: tuple[str, str]) -> None:
    both_disks(site, disks, layout="flat")
    linked = [*mounted(site, *disks), f"rmdir {site.parent}/data-state", f"ln -s data/state {site.parent}/data-state"]
    code, outcome, message = judge_after(site, *linked, namespace=ROOT_NAMESPACE, guardrail="mounts.layout", subject="layout")
    assert (code, outcome) == ("1", Outcome.BROKEN)
    assert "lie one below the other" in message


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("mount -o remount,ro {state}", "mounted read-only"),
        ("mount -o remount,bind,ro {state}", "mounted read-only"),
        ("dd if=/dev/zero of={state}/full bs=64k 2>/dev/null || true", "no bytes are free"),
    ],
)
def test_a_disk_that_takes_nothing_is_broken(site: Path, disks: tuple[str, str], command: str, said: str) -> None:
    both_disks(site, disks, layout="flat")
    broken = f"{{ {command.format(state=site.parent / 'data-state', device=disks[1])}; }}"
    code, outcome, message = judge_after(site, *flat(site, *disks), broken, namespace=ROOT_NAMESPACE, guardrail="mounts.writable")
    assert (code, outcome) == ("1", Outcome.BROKEN), message
    assert said in message


def test_a_file_system_that_went_read_only_below_a_writable_mount_is_broken(site: Path, disks: tuple[str, str]) -> None:
    """As after an error: the mount itself still says rw."""
    both_disks(site, disks, layout="flat")
    other = site.parent / "other"
    other.mkdir()
    after = [*flat(site, *disks), f"mount {disks[1]} {other}", f"mount -o remount,ro {other}", f"mount -o remount,bind,rw {site.parent}/data-state"]
    code, outcome, message = judge_after(site, *after, namespace=ROOT_NAMESPACE, guardrail="mounts.writable")
    assert (code, outcome) == ("1", Outcome.BROKEN), message
    assert "its file system is read-only now" in message


def test_a_disk_too_small_for_the_next_backup_is_broken(site: Path, disks: tuple[str, str]) -> None:
    (site.parent / "source").mkdir()
    owner = subprocess.run(("id", "-un"), check=True, capture_output=True, text=True).stdout.strip()
    module = {"paths": [str(site.parent / "source")], "backups": str(site.parent / "data" / "backups"), "owner": owner}
    both_disks(site, disks, layout="flat", modules={"ledger": module})
    folder = site.parent / "data" / "backups"
    made = [*flat(site, *disks), f"mkdir -m 700 {folder}", f"head -c 7000000 /dev/urandom >{folder}/ledger-20261121T010000Z.tar.gz"]
    _, outcome, message = judge_after(site, *made, namespace=ROOT_NAMESPACE, guardrail="mounts.writable", subject="ledger-backups")
    assert outcome == Outcome.BROKEN, message
    assert "the next backup needs 8.0 MiB" in message


def test_a_layout_is_told_without_root_in_a_user_namespace(site: Path, component: Callable[[str], None]) -> None:
    component("userns")
    both_disks(site, ("il-data", "il-state"), layout="flat")
    beside = [f"mount -t tmpfs il-data {site.parent}/data", f"mount -t tmpfs il-state {site.parent}/data-state"]
    assert judge_after(site, *beside, namespace=USER_NAMESPACE, guardrail="mounts.layout", subject="layout")[:2] == ("0", Outcome.HELD)
    gone = judge_after(site, *beside, f"umount {site.parent}/data-state", namespace=USER_NAMESPACE, guardrail="mounts.layout", subject="layout")
    assert gone[:2] == ("1", Outcome.UNPROVEN)


# ---- odd mounts of a disk: each in a namespace of its own, judged without a gate

ODD = """
import ctypes, json, os, subprocess, sys; from pathlib import Path
from interlock.config.load import load_site
from interlock.judge import guardrail
from interlock.observe.hosts import observe
from interlock.observe.tree import Tree
from interlock.observe.world import World, looks_for, observer
from interlock.testing.faults import write_site
from interlock.verdicts import When, NullSink, settle
libc = ctypes.CDLL(None, use_errno=True)
folder, cases = Path(sys.argv[1]), json.loads(sys.argv[2])

def waiting(path):
    "An automount that nobody serves: whoever enters waits for ever."
    served_by, (_, pipe) = os.getpgrp(), os.pipe()
    os.setpgid(0, 0)
    said = f"fd={pipe},pgrp={served_by},minproto=5,maxproto=5,direct".encode()
    assert libc.mount(b"systemd-1", os.fsencode(path), b"autofs", 0, said) == 0, os.strerror(ctypes.get_errno())

def judged(case):
    assert libc.unshare(0x20000) == 0
    subprocess.run(["sh", "-ec", case["after"]], check=True)
    if case.get("waits"):
        waiting(case["waits"])
    write_site(folder, {"mounts": case["mounts"]})
    site, rule = load_site(folder / "interlock.yaml", {}), guardrail(case["guardrail"])
    (subject,) = rule.subjects(site)
    hosts = observe(site, looks_for(site, [(rule, subject)]), folder)
    world = World(site=site, gates=frozenset({When.PREFLIGHT}), tree=Tree(folder), hosts=hosts, environ={})
    judgement = rule.judge(observer(rule).see(world, subject))
    return [settle(judgement, NullSink()).outcome, getattr(judgement, "kind", ""), judgement.message]

for case in cases:
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 0, case
        continue
    print(json.dumps(judged(case)), flush=True)
    os._exit(0)
"""


def odd(site: Path, cases: list[dict[str, Any]]) -> list[list[str]]:
    """Outcome, kind and message of each case."""
    argv = ("unshare", *ROOT_NAMESPACE, sys.executable, "-c", ODD, str(site), json.dumps(cases))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(params=[EXT4, XFS], ids=["ext4", "xfs"])
def two(request: pytest.FixtureRequest, component: Callable[[str], None], tmp_path: Path) -> Iterator[Mapping[str, Disk]]:
    """A data disk, ext4, and a state disk of each kind."""
    component("loop")
    kind: FileSystem = request.param
    if why := missing(kind.fstype):
        pytest.skip(f"needs {why}")
    with made(tmp_path, data=EXT4, state=kind) as disk:
        yield disk


def backups(top: Path, two: Mapping[str, Disk]) -> Iterator[tuple[dict[str, Any], str, str]]:
    """A disk for the backups is one of the other mounts."""
    folder, disk = top / "backups", two["state"].device
    folder.mkdir()
    declared = {"state": {"path": "/", "device": "any"}, "others": {"backups": {"path": str(folder), "device": disk, "options": ["rw", "noexec"]}}}
    for after, outcome, kind in (
        (f"mount -o noexec {disk} {folder}", "held", ""),
        ("true", "broken", "not-mounted"),
        (f"mount {disk} {folder}", "broken", "missing-option"),
        (f"mount -o noexec {two['data'].device} {folder}", "broken", "wrong-device"),
    ):
        yield {"after": after, "guardrail": "mounts.others", "mounts": declared}, outcome, kind


def test_odd_mounts_of_a_real_disk_are_told_for_what_they_are(site: Path, two: Mapping[str, Disk]) -> None:
    top = site.parent
    state, beside, disk = top / "data" / "state", top / "beside", two["state"].device
    beside.mkdir()
    on_data = f"mount {two['data'].device} {top}/data; [ ! -L {state} ] || rm {state}; mkdir -p {state}; "
    both = f"{on_data}mount {disk} {beside}; mkdir -p {beside}/a {beside}/b; "

    def case(after: str, **more: str) -> dict[str, Any]:
        return {
            "after": after,
            "guardrail": "mounts.state_disk",
            "mounts": {"state": {"path": str(state), "device": disk, "fstype": two["state"].fstype, **more}},
        }

    cases = [
        (case(f"{on_data}mount {disk} {state}"), "held", "", f"shows {disk}"),
        (case(f"{on_data}mount --bind {state} {state}; mountpoint -q {state}"), "broken", "wrong-device", "a bind of itself, which makes it look mounted"),
        (case(f"{both}mount --bind {beside}/a {state}", subvolume="/a"), "held", "", "its directory /a"),
        (case(f"{both}mount --bind {beside}/b {state}", subvolume="/a"), "broken", "wrong-subvolume", "expected /a"),
        (case(f"{both}mount --bind {beside}/a {state}; rmdir {beside}/a"), "broken", "source-deleted", "what is written there is lost"),
        (case(f"{on_data}rmdir {state}; mount {disk} {beside}; ln -s {beside} {state}"), "held", "", f"which leads to {beside}"),
        (case(f"{on_data}mount {disk} {state}; mount {disk} {beside}; mount --bind {beside} {state}"), "held", "", "the topmost of 2 mounts there"),
        (case(f"{on_data}mount {disk} {state}; mount -t tmpfs over {state}"), "broken", "covered", f"over {disk}"),
        (case(f"{on_data}mount {disk} {state}; mount -t tmpfs over /"), "held", "", f"shows {disk}"),
        (case(on_data) | {"waits": str(state)}, "unproven", "", "nobody has seen which one comes"),
        *((one, *expected, "") for one, *expected in backups(top, two)),
    ]
    for (asked, *expected, words), found in zip(cases, odd(site, [asked for asked, *_ in cases]), strict=True):
        assert found[:2] == expected, (asked, found)
        assert words in found[2], (asked, found)


def test_mountpoints_of_any_name_come_through_a_whole_gate(site: Path, component: Callable[[str], None]) -> None:
    """Of one that is not mounted too; the evidence is readable afterwards."""
    component("userns")
    top, state = site.parent / "tenants", site.parent / "state"
    state.mkdir()
    names = ("a", "b c", "tab\tline\n", "\\040#", "caf\udce9", "<x>&\"'", "\x1b[31m", "lost+found", ".hidden")
    for name in names:
        (top / name).mkdir(parents=True)
    (site / "fstab").write_text(f"state {state} tmpfs defaults 0 0\n")
    mounts = {"state": {"path": str(state), "device": "state"}, "others": {"tenants": {"each_below": str(top), "fstype": "tmpfs"}}}
    write_site(site, {"mounts": mounts, "hosts": {"local": {"fstab": str(site / "fstab")}}})
    unmounted = f'case $name in *caf*) ;; *) mount -t tmpfs tenant {top}/"$name";; esac'
    stage(site, f"mount -t tmpfs state {state}", f"cd {top}", f"for name in *; do {unmounted}; done", f"cd {site}")
    ran = run_check(site, "preflight", within=(*own_namespace(), "sh", str(site / "stage.sh")))
    (verdict,) = ran.verdicts("mounts.others")
    assert verdict.outcome is Outcome.BROKEN
    assert verdict.message.startswith(f"1 of the 7 directories of {top} is not mounted as declared (tmpfs): {top}/caf")
    assert ran.folder is not None
    assert len(list(ElementTree.parse(ran.folder / "junit.xml").iter("testcase"))) >= 7
