"""The picture of disks: what stands where is told by the mount tables, findings land where they belong, any drawing is whole, harmless and names faults."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.errors import EvidenceError
from interlock.evidence import topology_file
from interlock.evidence.svg_shapes import WIDTH
from interlock.evidence.topology_labels import Labels, Place
from interlock.evidence.topology_svg import GROUP_FROM, Picture, render
from interlock.facts.topology import Box, Disk, Finding, HostMount, HostTopology, InnerPath, Presence, Spot, Topology, placed
from interlock.facts.topology_layout import Bind, Candidate, Declared, laid_out
from interlock.verdicts import Outcome
from tests.evidence_samples import NASTY_TEXT
from tests.topology_samples import (
    BACKUPS,
    DATA,
    DECLARED,
    LEFT_OUT,
    NESTED_STATE,
    PICTURES,
    ROOT,
    SEES_DATA,
    SERVICES,
    finding,
    flat,
    host,
    nested,
    one_fault,
    unseen,
    view,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "topology"
SVG = "{http://www.w3.org/2000/svg}"


def drawn(topology: Topology, findings: Sequence[Finding] = ()) -> str:
    return "".join(render(Picture(topology, tuple(findings))))


def mount(laid: HostTopology, holds: str) -> HostMount:
    return next(one for one in laid.mounts if holds in one.holds)


def path(laid: HostTopology, box: str, inner: str) -> InnerPath:
    return next(one for box_ in laid.containers if box_.name == box for one in box_.paths if one.path == inner)


# ---- what stands where


def test_a_nested_disk_lies_in_its_parent_and_on_its_own_disk() -> None:
    laid = laid_out(host([nested("api")]))
    state = mount(laid, "state")
    assert (laid.disks[state.disk or 0].name, laid.disks[state.disk or 0].declared) == ("/dev/sdb1", "LABEL=state")
    assert laid.mounts[state.inside or 0].mountpoint == "/data"
    assert state.on_its_disk
    assert not path(laid, "api", "/data/state").differs


def test_a_nested_disk_that_a_container_does_not_see_differs_in_its_path() -> None:
    seen = path(laid_out(host([nested("api", hidden=True)])), "api", "/data/state")
    assert seen.differs
    assert (seen.shows, seen.expected, seen.instead) == (0, 1, "its directory /state")


def test_a_state_disk_that_is_not_mounted_is_a_mountpoint_on_its_parents_disk() -> None:
    laid = laid_out(host([nested("api", hidden=True)], (ROOT, DATA, BACKUPS)))
    state = mount(laid, "state")
    assert state.presence is Presence.ABSENT
    assert laid.disks[state.disk or 0].name == "/dev/sda1"
    assert laid.disks[state.expected or 0].name == "/dev/sdb1"
    assert not path(laid, "api", "/data/state").differs  # it sees what the host has: that is what is wrong


def test_what_a_state_disk_falls_back_to_is_drawn_although_nobody_declared_it() -> None:
    laid = laid_out(host([], (ROOT,), (Declared(holds="state", path="/srv/state", mountpoint="/srv/state", device="LABEL=state"),)))
    assert [one.mountpoint for one in laid.mounts] == ["/", "/srv/state"]
    assert [disk.name for disk in laid.disks] == ["/dev/sdb1", "/dev/vda1"]


def test_a_mount_below_a_second_mount_of_its_parent_is_covered() -> None:
    laid = laid_out(host([], (ROOT, "30 20 8:1 / /data rw - ext4 /dev/sda1 rw", NESTED_STATE, "33 30 8:1 / /data rw - ext4 /dev/sda1 rw")))
    assert mount(laid, "state").presence is Presence.COVERED


def test_a_mount_over_a_disk_hides_it_and_is_not_its_disk() -> None:
    laid = laid_out(host([], (ROOT, DATA, NESTED_STATE, "40 31 0:99 / /data/state rw - tmpfs none rw", BACKUPS)))
    state = mount(laid, "state")
    assert state.covers == ("/dev/sdb1",)
    assert not state.on_its_disk


def test_a_disk_without_a_device_is_the_one_that_is_mounted_there_not_another_of_its_name() -> None:
    run, shm = "21 20 0:20 / /run rw - tmpfs tmpfs rw", "22 20 0:21 / /dev/shm rw - tmpfs tmpfs rw"
    declared = (Declared(holds="state", path="/dev/shm/state", mountpoint="/dev/shm", device="tmpfs"),)
    assert mount(laid_out(host([], (ROOT, run, shm), declared)), "state").on_its_disk
    absent = laid_out(host([], (ROOT, run), declared))
    assert [disk.name for disk in absent.disks] == ["tmpfs", "/dev/vda1"]
    assert not mount(absent, "state").on_its_disk


def test_a_device_that_the_host_does_not_have_is_a_disk_that_is_not_there() -> None:
    laid = laid_out(host([], (ROOT, DATA), (Declared(holds="state", path="/data/state", mountpoint="/data/state", device="LABEL=gone"),)))
    assert not laid.disks[mount(laid, "state").expected or 0].present


def test_a_bind_of_another_directory_of_the_right_disk_differs() -> None:
    other = view("101 100 8:17 /old /data-state rw - ext4 /dev/sdb1 rw")
    candidate = Candidate(name="api", container="api", state="running", binds=(Bind("/data/state", "/data-state"),), view=other)
    assert path(laid_out(host([candidate])), "api", "/data-state").instead == "its directory /old"


def test_a_directory_that_is_not_there_inside_differs() -> None:
    seen = replace(nested("api"), view=view(SEES_DATA, absent=["/data/state"]))
    assert path(laid_out(host([seen])), "api", "/data/state").instead == "nothing: it does not exist"


def test_a_container_that_touches_no_declared_directory_is_counted_and_not_drawn() -> None:
    whole_host = Candidate(name="exporter", container="exporter", state="running", binds=(Bind("/", "/host", read_only=True),))
    elsewhere = Candidate(name="proxy", container="proxy", state="running", binds=(Bind("/etc/proxy", "/etc/proxy"),))
    laid = laid_out(host([whole_host, elsewhere, nested("api")]))
    assert ([box.name for box in laid.containers], laid.others) == (["api"], 2)


def test_a_mount_table_that_cannot_be_read_leaves_its_container_unseen() -> None:
    broken = replace(nested("api"), view=replace(view(), mountinfo=b"nonsense"))
    (box,) = laid_out(host([broken])).containers
    assert "no mountinfo line" in box.unseen
    assert not any(inner.looked for inner in box.paths)


# ---- where findings land


def test_a_detail_that_names_container_and_path_lands_on_the_path() -> None:
    laid = Topology(site="s", hosts=(laid_out(host([nested("api"), nested("worker")])),))
    at, rest = placed(laid, [finding("mounts.nested_visible", "running", Outcome.BROKEN, what="worker /data/state")])
    assert (list(at), rest) == ([Spot(0, box=1, path=1)], ())


def test_a_verdict_about_a_disk_lands_on_its_mount_and_one_about_a_chain_nowhere() -> None:
    laid = Topology(site="s", hosts=(laid_out(host([nested("api")])),))
    stray = finding("mounts.layout", "chain:prod", Outcome.BROKEN, "both overlays")
    at, rest = placed(laid, [finding("mounts.state_disk", "state", Outcome.HELD), stray])
    assert (list(at), rest) == ([Spot(0, mount=1)], (stray,))


def test_a_finding_about_another_host_does_not_land_here() -> None:
    laid = Topology(site="s", hosts=(laid_out(host([nested("api")])),))
    assert placed(laid, [finding("mounts.state_disk", "state@db1", Outcome.BROKEN, host="db1")])[0] == {}


# ---- the file


def test_a_topology_is_read_back_as_it_was_written() -> None:
    for topology, _ in PICTURES.values():
        assert topology_file.parse(topology_file.to_json(topology), "here") == topology


def test_a_topology_that_names_what_is_not_there_is_refused() -> None:
    text = topology_file.to_json(PICTURES["healthy"][0]).replace(b'"inside":0', b'"inside":7')
    with pytest.raises(EvidenceError, match="no topology of ours"):
        topology_file.parse(text, "here")


def test_names_and_paths_are_redacted() -> None:
    secret = Candidate(name="api", container="api", state="running", binds=(Bind("/data/hunter2", "/hunter2"),), view=view(SEES_DATA))
    topology = Topology(site="s", hosts=(laid_out(host([secret])),))
    assert "hunter2" in drawn(topology)
    assert "hunter2" not in drawn(topology_file.redacted(topology, lambda text: text.replace("hunter2", "***")))


# ---- the drawing


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_golden(name: str) -> None:
    found, file = drawn(*PICTURES[name]), GOLDEN / f"{name}.svg"
    if os.environ.get("INTERLOCK_GOLDEN") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(found)
    assert found == file.read_text()


def test_twelve_services_fit_in_a_screen_and_a_half() -> None:
    root = ET.fromstring(drawn(*PICTURES["healthy"]))
    assert (int(root.get("width", "")), int(root.get("height", "")) < 1100) == (WIDTH, True)


def test_what_is_broken_names_its_guardrail_and_is_dashed_and_crossed_out() -> None:
    text = drawn(*PICTURES["hidden"])
    assert "BROKEN mounts.nested_visible" in text
    assert re.search(r'<path class="missing"', text)
    assert re.search(r'<rect class="box broken"', text)
    assert ".il-topology path.missing{stroke:var(--bad);stroke-width:3.2;stroke-dasharray" in text


def test_containers_with_a_fault_stand_first() -> None:
    text = drawn(*PICTURES["hidden"])
    assert text.index(">billing<") < text.index(">api<")


def test_many_containers_that_are_alike_share_a_box_and_the_broken_one_does_not() -> None:
    text = drawn(*PICTURES["fifty"])
    assert "and 48 more like it:" in text
    assert text.count('class="container"') == 2
    assert "tenant-49" in text


def test_twelve_services_with_one_fault_fit_in_two_screens_and_say_it_once() -> None:
    text = drawn(*PICTURES["alike"])
    root = ET.fromstring(text)
    assert int(root.get("height", "")) < 2 * 1400
    said = [element.text for element in root.iter(f"{SVG}text")]
    assert said.count("api sees at /data/state a directory of") == 1
    assert said.count("BROKEN mounts.nested_visible") == 1
    assert said.count("BROKEN mounts.nested_visible, as api") == 10
    assert all(f"broken mounts.nested_visible: {LEFT_OUT.format(name)}" in text for name in SERVICES[:-1])


BECAUSE = "{} sees another directory than the host has at /data/state: what is mounted below {} does not reach it"


def labels(*messages: tuple[str, str]) -> list[list[str]]:
    """What boxes with these names and sentences say, in their order."""
    told = Labels()
    return [
        [line.said for line in told.of([finding("mounts.x", "s", Outcome.BROKEN, message)], Place(name, others=(f"shop-{name}-1",)), 298)]
        for name, message in messages
    ]


def test_a_sentence_that_differs_in_a_word_is_referred_to_with_that_word() -> None:
    first, second, third = labels(
        ("api", BECAUSE.format("api", "/data")), ("old", BECAUSE.format("shop-old-1", "/data")), ("web", BECAUSE.format("web", "/srv"))
    )
    assert len(first) == 4
    assert second == ["BROKEN mounts.x, as api"]
    assert third == ["BROKEN mounts.x, as api, but /srv"]


def test_a_sentence_of_its_own_is_said_in_full_and_then_referred_to_as_well() -> None:
    other = "{} has no state directory at all, and nobody can say where it writes what it must keep"
    found = labels(("api", BECAUSE.format("api", "/data")), ("old", other.format("old")), ("web", other.format("web")))
    assert [found[1][0], found[2]] == ["BROKEN mounts.x", ["BROKEN mounts.x, as old"]]


def test_a_short_sentence_is_said_again() -> None:
    assert labels(("api", "api is blind"), ("old", "old is blind"))[1] == ["BROKEN mounts.x", "old is blind"]


def test_a_sentence_that_says_less_than_an_earlier_one_is_not_the_same() -> None:
    more = BECAUSE.format("api", "/data")
    assert labels(("api", more), ("old", more.replace("api", "old").replace(" does not reach it", "")))[1][1:] != []


def test_an_unproven_sentence_is_not_taken_for_a_broken_one() -> None:
    told, message = Labels(), BECAUSE.format("api", "/data")
    for outcome in (Outcome.BROKEN, Outcome.UNPROVEN):
        assert len(list(told.of([finding("mounts.x", "s", outcome, message)], Place("api"), 298))) == 4


def test_very_many_with_one_fault_share_a_box_that_names_them() -> None:
    names = [f"t{number:02}" for number in range(40)]
    text = drawn(*one_fault(names))
    assert text.count('class="container"') == 2
    said = " ".join(element.text or "" for element in ET.fromstring(text).iter(f"{SVG}text"))
    assert [name for name in names if name not in said] == []


def test_one_with_another_fault_has_a_box_of_its_own_among_very_many() -> None:
    names = [f"t{number:02}" for number in range(40)]
    topology, findings = one_fault(names)
    other = [replace(found, message="t07 sees nothing at all") if found.what.startswith("t07 ") else found for found in findings]
    assert drawn(topology, other).count('class="container"') == 3


def test_few_containers_have_a_box_each() -> None:
    topology = Topology(site="s", hosts=(laid_out(host([nested(f"c{number:02}") for number in range(GROUP_FROM - 1)])),))
    assert drawn(topology).count('class="container"') == GROUP_FROM - 1


def test_a_wrong_disk_is_red_down_to_the_paths() -> None:
    assert drawn(*PICTURES["unmounted"]).count("ON THE WRONG DISK, as on the host") == 3


def test_what_the_gate_has_judged_to_hold_is_not_red() -> None:
    topology = Topology(site="s", hosts=(laid_out(host([nested("api", hidden=True)], (ROOT, DATA, BACKUPS))),))
    held = [finding("mounts.state_disk", "state", Outcome.HELD), finding("mounts.nested_visible", "running", Outcome.HELD, what="api /data/state")]
    assert "box broken" in drawn(topology)
    assert "box broken" not in drawn(topology, held)


def test_a_container_that_nobody_could_look_into_is_unproven() -> None:
    topology = Topology(site="s", hosts=(laid_out(host([unseen("api", "no permission")])),))
    assert 'rect class="box unproven"' in drawn(topology)
    assert "container api; running; no permission" in drawn(topology)


def test_a_finding_without_a_place_stands_below_the_drawing() -> None:
    topology = Topology(site="s", hosts=(laid_out(host([flat("api")])),))
    text = drawn(topology, [finding("mounts.fstab", "chain:x", Outcome.BROKEN, "nothing brings it back")])
    assert "BROKEN mounts.fstab [chain:x] nothing brings it back" in text


def test_nasty_names_are_text() -> None:
    candidate = Candidate(name=NASTY_TEXT, container="x", state=NASTY_TEXT, binds=(Bind("/data/state/" + "x" * 200, "/" + NASTY_TEXT),), unseen=NASTY_TEXT)
    topology = Topology(site=NASTY_TEXT, hosts=(laid_out(host([candidate])),))
    text = drawn(topology, [finding("mounts.x", NASTY_TEXT, Outcome.BROKEN, NASTY_TEXT, what=NASTY_TEXT)])
    _harmless(text)
    assert "<b>" not in text
    assert "\u202e" not in text


TEXTS = st.text(st.characters(exclude_categories=()), max_size=40) | st.sampled_from(["/data/state", "app", "]]>", "<script>", 'a" onload="x', "/" + "x" * 250])
OUTCOMES = st.sampled_from([Outcome.HELD, Outcome.BROKEN, Outcome.UNPROVEN, Outcome.WAIVED])


@st.composite
def hosts(draw: st.DrawFn) -> HostTopology:
    """Any host at all, with places that are there."""
    disks = draw(
        st.lists(
            st.builds(
                Disk,
                name=TEXTS,
                declared=TEXTS,
                fstype=TEXTS,
                number=TEXTS,
                present=st.booleans(),
                bytes_free=st.none() | st.integers(0, 1 << 60),
                bytes_total=st.none() | st.integers(0, 1 << 60),
            ),
            max_size=4,
        )
    )
    on = st.none() | st.integers(0, len(disks) - 1) if disks else st.none()
    mounts: list[HostMount] = []
    for index in range(draw(st.integers(0, 4))):
        inside = draw(st.none() | st.integers(0, index - 1)) if index else None
        names = tuple(draw(st.lists(TEXTS, max_size=2)))
        mounts.append(
            HostMount(
                mountpoint=draw(TEXTS),
                holds=names,
                disk=draw(on),
                expected=draw(on),
                inside=inside,
                presence=draw(st.sampled_from(Presence)),
                read_only=draw(st.booleans()),
                covers=tuple(draw(st.lists(TEXTS, max_size=2))),
                hidden=draw(st.none() | st.integers(0, 9)),
            )
        )
    at = st.none() | st.integers(0, len(mounts) - 1) if mounts else st.none()
    inner = st.builds(InnerPath, path=TEXTS, source=TEXTS, expected=at, shows=at, instead=TEXTS, looked=st.booleans(), read_only=st.booleans())
    box = st.builds(
        Box, name=TEXTS, container=TEXTS, state=st.sampled_from(["running", "exited"]) | TEXTS, unseen=TEXTS, paths=st.lists(inner, max_size=7).map(tuple)
    )
    boxes = draw(st.lists(box, max_size=4)) * draw(st.sampled_from([1, 1, 6]))
    return HostTopology(
        host=draw(st.sampled_from(["local", "db1"])),
        taken_at=draw(TEXTS),
        unseen=draw(st.just("") | TEXTS),
        engine=draw(TEXTS),
        disks=tuple(disks),
        mounts=tuple(mounts),
        containers=tuple(boxes),
        others=draw(st.integers(0, 3)),
    )


FINDINGS = st.lists(
    st.builds(
        Finding,
        guardrail=st.sampled_from(["mounts.state_disk", "mounts.nested_visible", "state_dir.resolves"]),
        subject=TEXTS,
        host=st.sampled_from(["local", "db1"]),
        outcome=OUTCOMES,
        what=TEXTS,
        message=TEXTS,
    ),
    max_size=6,
)


@given(st.builds(Topology, site=TEXTS, hosts=st.lists(hosts(), max_size=2).map(tuple)), FINDINGS)
@settings(max_examples=5000 if os.environ.get("INTERLOCK_PROFILE") == "prove" else 60)
def test_any_drawing_is_whole_and_harmless_and_names_what_is_broken(topology: Topology, findings: list[Finding]) -> None:
    text = drawn(topology, findings)
    root = _harmless(text)
    labels = " ".join("".join(element.itertext()) for element in root.iter(f"{SVG}text")) + " ".join(title.text or "" for title in root.iter(f"{SVG}title"))
    for one in findings:
        if one.outcome is Outcome.BROKEN:
            assert f"BROKEN {one.guardrail}" in labels or f"broken {one.guardrail}" in labels
    assert topology_file.parse(topology_file.to_json(topology), "here") == topology
    assert drawn(topology, findings) == text


def _harmless(text: str) -> ET.Element:
    """One well-formed SVG without a script, a handler, a link or anything to fetch; all of it inside its view."""
    text.encode("utf-8")
    root = ET.fromstring(text)
    height = int(root.get("height", "0"))
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {"svg", "title", "desc", "style", "rect", "text", "path", "circle", "g"}
    for element in root.iter():
        assert set(element.keys()) <= {
            *("class", "viewBox", "width", "height", "role", "aria-labelledby", "id", "x", "y", "rx", "cx", "cy", "r", "d"),
        }
        for name, limit in (("x", WIDTH), ("cx", WIDTH), ("y", height), ("cy", height)):
            assert 0 <= float(element.get(name, "0")) <= limit
    style = next(root.iter(f"{SVG}style")).text or ""
    assert "url(" not in style
    assert "@import" not in style
    return root


def test_the_declared_places_come_in_the_order_of_the_site_parents_first() -> None:
    turned = laid_out(host([], declared=tuple(reversed(DECLARED))))
    assert [one.mountpoint for one in turned.mounts] == ["/backups", "/data", "/data/state"]
