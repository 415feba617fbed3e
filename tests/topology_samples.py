"""Hosts to draw: mount tables and containers as the kernel and an engine have them, laid out by the real code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from interlock.facts.engine import Place, View
from interlock.facts.looks import SpaceAnswer
from interlock.facts.mounts import DeviceNames, MountTable
from interlock.facts.topology import Finding, Topology
from interlock.facts.topology_layout import Bind, Candidate, Declared, SeenHost, laid_out, unseen_host
from interlock.verdicts import Outcome

GIB = 1 << 30
ROOT = "20 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw"
DATA = "30 20 8:1 / /data rw,relatime shared:2 - ext4 /dev/sda1 rw"
NESTED_STATE = "31 30 8:17 / /data/state rw,relatime shared:3 - ext4 /dev/sdb1 rw"
FLAT_STATE = "31 20 8:17 / /data-state rw,relatime shared:3 - ext4 /dev/sdb1 rw"
BACKUPS = "32 20 8:33 / /backups rw,relatime shared:4 - xfs /dev/sdc1 rw"
NAMES = DeviceNames(
    numbers={"/dev/vda1": "254:1", "/dev/sda1": "8:1", "/dev/sdb1": "8:17", "/dev/sdc1": "8:33"},
    links={"by-label/data": "/dev/sda1", "by-label/state": "/dev/sdb1", "by-label/backups": "/dev/sdc1"},
)
DECLARED = (
    Declared(holds="data", path="/data", mountpoint="/data", device="LABEL=data"),
    Declared(holds="state", path="/data/state", mountpoint="/data/state", device="LABEL=state"),
    Declared(holds="app-backups", path="/backups/app"),
)
FLAT = (DECLARED[0], Declared(holds="state", path="/data-state", mountpoint="/data-state", device="LABEL=state"), DECLARED[2])
SPACES = {
    path: SpaceAnswer(bytes_free=free * GIB, bytes_total=100 * GIB, inodes_free=9, inodes_total=10, read_only=False)
    for path, free in {"/data": 61, "/data/state": 12, "/data-state": 12, "/backups/app": 88}.items()
}
SERVICES = ("api", "auth", "billing", "catalogue", "frontend", "gateway", "mailer", "metrics", "postgres", "redis", "search", "worker")
INSIDE = "100 90 0:50 / / rw - overlay overlay rw"


def table(*lines: str) -> MountTable:
    return MountTable.parse("\n".join(lines).encode("utf-8", "surrogateescape"), where="here")


def view(*lines: str, absent: Sequence[str] = ()) -> View:
    info = "\n".join((INSIDE, *lines)).encode("utf-8", "surrogateescape")
    return View(mountinfo=info, uid=0, gid=0, groups=(), capabilities=0, places={path: Place(present=False) for path in absent})


SEES_DATA = "101 100 8:1 / /data rw - ext4 /dev/sda1 rw"
SEES_STATE = "102 101 8:17 / /data/state rw - ext4 /dev/sdb1 rw"
SEES_FLAT_STATE = "102 100 8:17 / /data-state rw - ext4 /dev/sdb1 rw"


def nested(name: str, *, hidden: bool = False) -> Candidate:
    """A container that binds the data directory; where the state disk is `hidden`, without what is mounted in it."""
    seen = view(SEES_DATA) if hidden else view(SEES_DATA, SEES_STATE)
    return Candidate(name=name, container=f"platform-{name}-1", state="running", binds=(Bind(source="/data", target="/data"),), view=seen)


def flat(name: str) -> Candidate:
    binds = (Bind(source="/data", target="/data"), Bind(source="/data-state", target="/data-state"))
    return Candidate(name=name, container=f"platform-{name}-1", state="running", binds=binds, view=view(SEES_DATA, SEES_FLAT_STATE))


def unseen(name: str, why: str = "PermissionError: /proc/4711/root") -> Candidate:
    return replace(nested(name), view=None, unseen=why)


def host(candidates: Sequence[Candidate], lines: Sequence[str] = (ROOT, DATA, NESTED_STATE, BACKUPS), declared: Sequence[Declared] = DECLARED) -> SeenHost:
    return SeenHost(
        host="local",
        taken_at="2026-11-20T21:00:00Z",
        declared=tuple(declared),
        table=table(*lines),
        names=NAMES,
        spaces=SPACES,
        hidden={},
        engine="Docker 20.10.24",
        candidates=tuple(candidates),
    )


def topology(*hosts: SeenHost) -> Topology:
    return Topology(site="platform", hosts=tuple(map(laid_out, hosts)))


def finding(guardrail: str, subject: str, outcome: Outcome, message: str = "", *, what: str = "", host: str = "local") -> Finding:
    return Finding(guardrail=guardrail, subject=subject, host=host, outcome=outcome, what=what, message=message)


DISKS_HELD = (
    finding("mounts.state_disk", "state", Outcome.HELD),
    finding("mounts.data_disk", "data", Outcome.HELD),
    finding("mounts.writable", "state", Outcome.HELD),
    finding("mounts.writable", "app-backups", Outcome.HELD),
)


def sees(name: str) -> Finding:
    return finding("mounts.nested_visible", "state", Outcome.HELD, what=name)


HIDDEN = "billing sees /dev/sda1 (8:1) at /data/state, the host shows /dev/sdb1 (8:17): the nested disk is hidden by a bind that is not recursive"
LEFT_OUT = "{} sees at /data/state a directory of /dev/sda1 that the state disk covers on the host: its volume of /data leaves out what is mounted below it"
ANOTHER = (
    "{} in the running containers of local was started with /data/state, and shows something else at /data/state: see what mounts.nested_visible says of it"
)


def one_fault(services: Sequence[str]) -> tuple[Topology, tuple[Finding, ...]]:
    """Services that are all broken in the same way, and one that is not: a volume of all but one leaves the state disk out."""
    found = [
        *(finding("mounts.nested_visible", "running", Outcome.BROKEN, LEFT_OUT.format(name), what=f"{name} /data/state") for name in services[:-1]),
        *(
            finding("state_dir.host_and_stack_agree", "STATE_DIR", Outcome.UNPROVEN, ANOTHER.format(name), what=f"{name} in the running containers")
            for name in services[:-1]
        ),
    ]
    return topology(host([nested(name, hidden=name != services[-1]) for name in services])), (*found, *DISKS_HELD, sees(services[-1]))


def every_label(guardrails: Sequence[str]) -> tuple[Topology, tuple[Finding, ...]]:
    """A container for each guardrail and each word that can stand before it."""
    words = (Outcome.BROKEN, Outcome.UNPROVEN, Outcome.WAIVED, Outcome.NOT_RUN)
    pairs = [
        (f"c{number}", guardrail, outcome) for number, (guardrail, outcome) in enumerate((guardrail, outcome) for guardrail in guardrails for outcome in words)
    ]
    found = [finding(guardrail, "running", outcome, guardrail.upper(), what=name) for name, guardrail, outcome in pairs]
    return topology(host([nested(name) for name, _, _ in pairs])), tuple(found)


PICTURES: dict[str, tuple[Topology, tuple[Finding, ...]]] = {
    "healthy": (topology(host([nested(name) for name in SERVICES])), (*DISKS_HELD, *map(sees, SERVICES))),
    "hidden": (
        topology(host([nested(name, hidden=name == "billing") for name in SERVICES])),
        (
            finding("mounts.nested_visible", "state", Outcome.BROKEN, HIDDEN, what="billing"),
            *DISKS_HELD,
            *(sees(name) for name in SERVICES if name != "billing"),
        ),
    ),
    "flat": (
        topology(host([flat(name) for name in SERVICES[:6]], (ROOT, DATA, FLAT_STATE, BACKUPS), FLAT)),
        (*DISKS_HELD, *(finding("mounts.nested_visible", "state", Outcome.HELD, what=name) for name in SERVICES[:6])),
    ),
    "unproven": (
        topology(host([nested("api"), unseen("postgres"), nested("worker")])),
        (
            finding(
                "mounts.nested_visible",
                "state",
                Outcome.UNPROVEN,
                "postgres could not be looked into: run the probe as root (become: sudo -n)",
                what="postgres",
            ),
            *DISKS_HELD,
            sees("api"),
            sees("worker"),
        ),
    ),
    "unmounted": (
        topology(host([nested(name, hidden=True) for name in SERVICES[:3]], (ROOT, DATA, BACKUPS))),
        (
            finding(
                "mounts.state_disk",
                "state",
                Outcome.BROKEN,
                "/data/state shows /dev/sda1 (ext4) mounted at /data: nothing is mounted at /data/state, so the state is written to its parent's disk",
            ),
            finding("mounts.data_disk", "data", Outcome.HELD),
        ),
    ),
    "fifty": (
        topology(host([nested(f"tenant-{number:02}", hidden=number == 17) for number in range(50)])),
        (
            finding("mounts.nested_visible", "state", Outcome.BROKEN, HIDDEN.replace("billing", "tenant-17"), what="tenant-17"),
            *DISKS_HELD,
            *(sees(f"tenant-{number:02}") for number in range(50) if number != 17),
        ),
    ),
    "alike": one_fault(SERVICES),
    "unreachable": (
        Topology(site="platform", hosts=(unseen_host("db1", DECLARED, "host db1 could not be reached: timed out after 30 s"),)),
        (finding("mounts.state_disk", "state@db1", Outcome.UNPROVEN, "db1 could not be reached: timed out after 30 s", host="db1"),),
    ),
}
