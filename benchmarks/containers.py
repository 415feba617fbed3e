"""What does a look at fifty running containers cost? Ours, which brings what each of them sees, against `docker inspect` of all and `docker exec stat` in each.

    python -m benchmarks.containers
    python -m benchmarks.containers --containers 10 --rounds 3

A real engine of its own is started (root, dockerd, docker, busybox). CPU is that of the side that asks; what the engine spends on the answers is left out.
The calls to the engine are counted by a socket between, our processes by an audit hook.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import WORK, Case, Goal, arguments, interleave, report, save
from tests.docker_engine import IMAGE, DockerEngine, docker_engine, missing
from tests.engine_between import between

PROBE = Path(__file__).parent.parent / "interlock" / "observe" / "probe.py"
PLACES = ("/data", "/data/state", "/bin/sh", "/etc/hostname")
OURS = "interlock, views and all"
OURS_API = "interlock, the API alone"
INSPECT = "docker inspect of all"
EXEC = "docker exec stat in each"
LOOK = """
import importlib.util, json, sys, time
spec = importlib.util.spec_from_file_location("probe", sys.argv[1])
probe = importlib.util.module_from_spec(spec)
spec.loader.exec_module(probe)
started = []
sys.addaudithook(lambda event, _: started.append(event) if event in ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.exec", "os.system") else None)
said = probe.answer(["engine", sys.argv[2], ["STATE_DIR"], sys.argv[3] == "views", json.loads(sys.argv[4])], time.monotonic() + 60)
containers = json.loads(said["engine"])["containers"]
views = [one["View"] for one in containers if one["View"]]
print(json.dumps([len(containers), len(views), sum(place[0] for view in views for place in view["Places"].values()), len(started)]))
"""


def ours(socket: Path, *, views: bool) -> tuple[str, ...]:
    """The probe alone, as another host runs it."""
    return (sys.executable, "-I", "-S", "-c", LOOK, str(PROBE), str(socket), "views" if views else "", json.dumps(PLACES))


def found(argv: Sequence[str]) -> list[int]:
    """Containers, views, places that are there, and programs that were started."""
    return list(json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout))


def cases(engine: DockerEngine, containers: Sequence[str]) -> list[Case]:
    """The same containers, asked in three ways; `docker exec` cannot do without a `stat` in the image."""
    docker = ("docker", "--host", f"unix://{engine.socket}")
    each = f'for one in "$@"; do {" ".join(docker)} exec "$one" stat -L -c %d:%a:%u {" ".join(PLACES)} || exit 1; done'
    return [
        Case(name=OURS, argv=ours(engine.socket, views=True)),
        Case(name=OURS_API, argv=ours(engine.socket, views=False)),
        Case(name=INSPECT, argv=(*docker, "inspect", *containers)),
        Case(name=EXEC, argv=("sh", "-c", each, "sh", *containers)),
    ]


def counted(engine: DockerEngine, containers: int) -> dict[str, object]:
    """What one look asks and starts. Raises RuntimeError when it did not see everything."""
    with between(engine.socket) as it:
        seen, views, places, started = found(ours(it.socket, views=True))
        if (seen, views, places) != (containers, containers, containers * len(PLACES)):
            raise RuntimeError(f"{seen} containers, {views} views and {places} places of {containers}")
        return {
            "calls to the engine": f"{len(it.asked)} (at most 2 + {containers}), over {it.connections} connection",
            "programs started": started,
            "programs that docker exec starts": 2 * containers,
        }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and save."""
    options = arguments(str(__doc__).partition("\n")[0], argv, lambda parser: parser.add_argument("--containers", type=int, default=50) and None)
    title = f"{options.containers} running containers"
    lacking = missing()
    if lacking:
        print(f"\n{title}\n  missing: {lacking}")
        return
    WORK.mkdir(exist_ok=True)
    with docker_engine() as engine, tempfile.TemporaryDirectory() as data:
        Path(data, "state").mkdir()
        options_of_each = ("--network", "none", "--volume", f"{data}:/data", "--env", "STATE_DIR=/data/state", IMAGE)
        containers = [engine("run", "--detach", *options_of_each) for _ in range(options.containers)]
        more = counted(engine, options.containers)
        measured = cases(engine, containers)
        interleave(measured, options.rounds)
    goals = [
        Goal(ours=OURS, peer=INSPECT, limit=2.5),  # what inspect brings is a part of what we do
        Goal(ours=OURS, peer=EXEC, limit=0.15),
        Goal(ours=OURS, peer=EXEC, limit=0.1, what="wall_ms"),
    ]
    save("containers", [report(title, measured, goals, more)], options.json)


if __name__ == "__main__":
    main()
