"""The picture of a real host: two disks, an engine, containers that see them and one that does not; and what Chromium makes of any picture."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

from interlock.evidence.folder import load_run
from interlock.evidence.topology_svg import Picture, render
from interlock.evidence.verify import verify_run
from interlock.facts.topology import Box, Topology
from interlock.judge import catalogue
from interlock.testing import CheckRun, run_check
from interlock.testing.faults import write_site
from tests.disks import EXT4, disks
from tests.docker_engine import IMAGE, DockerEngine, docker_engine
from tests.evidence_samples import DISKS, NASTY, publish
from tests.topology_samples import PICTURES, every_label


class Host:
    """An engine with a data disk and, mounted below it, a state disk; a site that declares both."""

    def __init__(self, engine: DockerEngine, folder: Path, data: str, state: str) -> None:
        self.engine, self.top, self.site = engine, folder / "data", folder / "site"
        self.top.mkdir()
        self.site.mkdir()
        engine.inside("mount", data, str(self.top))
        engine.inside("mkdir", f"{self.top}/state")
        engine.inside("mount", state, f"{self.top}/state")
        site = {
            "hosts": {"local": {"engine": str(engine.socket)}},
            "mounts": {"data": {"path": str(self.top), "device": data}, "state": {"path": f"{self.top}/state", "device": state}},
        }
        write_site(self.site, site)

    def start(self, service: str, *options: str) -> None:
        label = f"com.docker.compose.service={service}"
        self.engine(
            "run", "--detach", "--stop-timeout", "0", "--network", "none", "--name", f"shop-{service}-1", "--label", label, *options, IMAGE, "sleep", "600"
        )


@pytest.fixture(scope="module")
def host(component: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    component("docker")
    component("loop")
    folder = tmp_path_factory.mktemp("host")
    with disks(folder, data=EXT4, state=EXT4) as made, docker_engine(own_mounts=True) as engine:
        found = Host(engine, folder, made["data"].device, made["state"].device)
        found.start("api", "--volume", f"{found.top}:/data")
        found.start("billing", "--mount", f"type=bind,src={found.top},dst=/data,bind-recursive=disabled")
        found.start("old", "--volume", f"{found.top}/state:/var/lib/old:ro")
        found.start("proxy", "--volume", f"{folder}/site:/site")
        engine("kill", "shop-old-1")
        yield found


@pytest.fixture(scope="module")
def ran(host: Host) -> CheckRun:
    return run_check(host.site, "preflight", within=host.engine.enter, alone=True)


def box(topology: Topology, name: str) -> Box:
    return next(one for one in topology.hosts[0].containers if one.name == name)


def test_a_run_keeps_what_containers_really_see(ran: CheckRun, host: Host) -> None:
    assert ran.folder is not None, ran.output
    topology = load_run(ran.folder).topology
    assert topology is not None
    (here,) = topology.hosts
    assert [mount.mountpoint for mount in here.mounts] == [str(host.top), f"{host.top}/state"]
    assert all(mount.on_its_disk for mount in here.mounts)
    api, billing, old = (box(topology, name) for name in ("api", "billing", "old"))
    assert [(inner.path, inner.looked, inner.differs) for inner in api.paths] == [("/data", True, False), ("/data/state", True, False)]
    assert [(inner.path, inner.looked, inner.differs) for inner in billing.paths] == [("/data", True, False), ("/data/state", True, True)]
    assert (old.state, [(inner.path, inner.looked, inner.read_only) for inner in old.paths]) == ("exited", [("/var/lib/old", False, True)])
    assert here.others == 1


def test_the_report_shows_the_broken_path_with_its_guardrail_and_verifies(ran: CheckRun) -> None:
    assert ran.folder is not None, ran.output
    page = (ran.folder / "report.html").read_text()
    assert "BROKEN mounts.nested_visible" in page
    assert page.index(">billing<") < page.index(">api<")
    assert verify_run(ran.folder).problems == ()


def test_facts_draw_the_live_system_without_a_gate(host: Host) -> None:
    command = (*host.engine.enter, sys.executable, "-m", "interlock", "facts", "--picture", str(host.site / "disks.svg"))
    done = subprocess.run(command, cwd=host.site, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert re.search("drawn; broken: .*mounts.nested_visible", done.stderr)
    assert "BROKEN mounts.nested_visible" in (host.site / "disks.svg").read_text()
    assert (host.site / "disks.svg").stat().st_mode & 0o777 == 0o600


# ---- Chromium

OF_CHROMIUM = re.compile(r"(data|chrome[a-z-]*):|https?://[a-z0-9.]+\.(google|googleapis|gstatic|gvt1)\.com/")  # what it asks for by itself
CONTROL = "http://127.0.0.1:9/control"  # the one thing that this test's own page asks for: it would be seen
MEASURE = """
const texts = [...document.querySelectorAll('svg text')].map(one => {
  const box = one.getBoundingClientRect(), svg = one.closest('svg'), around = one.parentNode.tagName === 'g' && one.parentNode.querySelector('rect.box');
  const rim = (around || svg).getBoundingClientRect();
  return {said: one.textContent, left: box.left, right: box.right, top: box.top, bottom: box.bottom, svg: [...document.querySelectorAll('svg')].indexOf(svg),
    inside: box.left >= rim.left && box.right <= rim.right + 0.5 && box.top >= rim.top && box.bottom <= rim.bottom + 0.5, bad: getComputedStyle(one).fill};
});
document.body.textContent = 'measured ' + JSON.stringify(texts) + ' end';
"""


def chromium(page: Path, folder: Path) -> tuple[list[Any], set[str]]:
    """What a page measures of itself, and every address that was asked for."""
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update")
    log = folder / "net.json"
    command = ("chromium", *flags, "--disable-sync", f"--user-data-dir={folder}/profile", f"--log-net-log={log}", "--window-size=1280,900", "--dump-dom")
    done = subprocess.run((*command, page.as_uri()), capture_output=True, text=True, check=True, timeout=60)
    found = re.search("measured (.*) end", done.stdout, re.DOTALL)
    assert found, done.stdout[-2000:]
    return json.loads(unescape(found[1])), set(re.findall(r'"url":"([^"]+)"', log.read_text()))


def test_in_chromium_no_text_leaves_its_box_or_lies_on_another_and_nothing_is_asked_for(component: Callable[[str], None], tmp_path: Path) -> None:
    component("chromium")
    folders = [publish(tmp_path / str(number), sample).path for number, sample in enumerate((DISKS, NASTY))]
    pages = [re.sub("<meta http-equiv[^>]*>", "", (folder / "report.html").read_text()) for folder in folders]
    named = [guardrail.id for guardrail in catalogue()]
    pictures = ["".join(render(Picture(*picture))) for picture in (*PICTURES.values(), every_label(named))]
    page = tmp_path / "page.html"
    page.write_text("\n".join([*pages, *pictures, f"<img src='{CONTROL}'><script>{MEASURE}</script>"]))
    texts, asked = chromium(page, tmp_path)
    assert len(texts) > 300 + 2 * 4 * len(named) > 500
    assert [text["said"] for text in texts if not text["inside"]] == []
    overlaps = [
        (one["said"], other["said"])
        for index, one in enumerate(texts)
        for other in texts[index + 1 :]
        if one["svg"] == other["svg"] and min(one["right"], other["right"]) - max(one["left"], other["left"]) > 1
        if min(one["bottom"], other["bottom"]) - max(one["top"], other["top"]) > 1
    ]
    assert overlaps == []
    label = next(text for text in texts if text["said"] == "BROKEN mounts.nested_visible")
    assert label["bad"] == "rgb(179, 18, 29)"
    assert {address for address in asked if not OF_CHROMIUM.match(address)} == {CONTROL}


PAPER, PHONE = 966, 420  # px: a letter page laid on its side, without its margins
WIDTHS = """
addEventListener('load', () => {
  const pages = [...document.querySelectorAll('iframe')].map(one => one.contentDocument.documentElement);
  const seen = pages.map(page => [page.scrollWidth, page.clientWidth]);
  document.body.textContent = 'measured ' + JSON.stringify(seen) + ' end';
});
"""


def test_on_paper_and_on_a_phone_nothing_sticks_out_of_the_page(component: Callable[[str], None], tmp_path: Path) -> None:
    component("chromium")
    frames = []
    for number, sample in enumerate((DISKS, NASTY)):
        text = re.sub("<meta http-equiv[^>]*>", "", (publish(tmp_path / str(number), sample).path / "report.html").read_text())
        printed = text.replace("@media print", "@media all")
        frames += [f'<iframe srcdoc="{escape(shown)}" width="{width}" frameborder="0"></iframe>' for shown, width in ((printed, PAPER), (text, PHONE))]
    page = tmp_path / "page.html"
    page.write_text("\n".join([*frames, f"<script>{WIDTHS}</script>"]))
    seen, _ = chromium(page, tmp_path)
    assert [inner <= width for inner, width in seen] == [True] * 4
    assert {width > PHONE for _, width in seen} == {True, False}
