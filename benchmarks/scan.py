"""What does `interlock scan` cost, against reading every file of the same checkout once and docker compose's own time for its chains?

    python -m benchmarks.scan
    python -m benchmarks.scan --tree ~/src/agnes-the-ai-analyst --rounds 9

The peer reads the checkout three times (`git grep -c '' | wc -l`) and then has docker compose resolve every chain that the scan found, two at a time, each as
cheaply as it can (no interpolation, no env files). Wall time is compared, for a pull request waits; the second scan is told from what the first one kept.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.init import generate
from benchmarks.measure import WORK, Case, Goal, arguments, interleave, report, save
from interlock.observe.chains import compose_files, discover_chains
from interlock.observe.compose_binary import find_compose
from interlock.observe.tree import Tree

COLD, WARM, PEER, GREP = "interlock scan, first", "interlock scan, unchanged tree", "3 x git grep + compose of its chains", "git grep -c '' | wc -l"
OPEN_OR_SHUT = (0, 1, 10, 11)  # what it says of the tree is not what is measured
AT_ONCE = 2
MEMORY_MB = 300


def cases(tree: Path) -> list[Case]:
    """The same tree, warm in the file system's memory, by all."""
    folder = WORK / "scan"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    output = folder / "record.json"

    def prove() -> None:
        if b'"compose.strict_parse"' not in output.read_bytes():
            raise RuntimeError("nothing was judged")
        output.unlink()

    ours = (sys.executable, "-m", "interlock", "scan", str(tree), "--format", "json", "--output", str(output))
    grep = f"git -C {shlex.quote(str(tree))} grep --no-index -c '' | wc -l"
    missing = "" if shutil.which("git") else "no git"
    peer = folder / "peer.sh"
    peer.write_text("\n".join([grep, grep, grep, *_resolving(tree)]) + "\n")
    return [
        Case(name=COLD, argv=ours, environ={"INTERLOCK_CACHE": "off"}, exit_codes=OPEN_OR_SHUT, prove=prove),
        Case(name=WARM, argv=ours, environ={"INTERLOCK_CACHE": str(folder / "cache")}, exit_codes=OPEN_OR_SHUT, prove=prove),
        Case(name=PEER, argv=("sh", str(peer)), missing=missing),
        Case(name=GREP, argv=("sh", "-c", grep), missing=missing),
    ]


def _resolving(tree: Path) -> list[str]:
    """Shell that has docker compose resolve every chain, two at a time; nothing where there is none."""
    compose, files = find_compose(os.environ), Tree(tree, patient=True)
    chains = [one for one in discover_chains(files, compose_files(files)) if not one.guessed]
    if compose is None or not chains:
        return []
    options = [" ".join(f"-f {shlex.quote(str(tree / file))}" for file in chain.files) for chain in chains]
    lines = "\n".join(f"{one} --profile '*' config --no-interpolate --no-env-resolution -q" for one in options)
    return [f"xargs -P {AT_ONCE} -L 1 {shlex.quote(compose.path)} 2>/dev/null <<'CHAINS'\n{lines}\nCHAINS", "true"]


GOALS = (
    Goal(ours=COLD, peer=PEER, limit=1, what="wall_ms"),
    Goal(ours=WARM, peer=COLD, limit=0.2, what="wall_ms"),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write the figures."""
    options = arguments(str(__doc__).partition("\n")[0], argv, _add)
    WORK.mkdir(exist_ok=True)
    tree = (options.tree or generate()).absolute()
    measured = cases(tree)
    interleave(measured[1:2], 1)  # what is kept is there from now on
    measured[1].runs.clear()
    interleave(measured, options.rounds)
    memory = measured[0].median("rss_mb") or 0
    more = {f"memory of the first scan, at most {MEMORY_MB} MB": f"{memory:.0f} MB: {'reached' if memory <= MEMORY_MB else 'NOT reached'}"}
    save("scan", [report(f"a checkout of {len(Tree(tree, patient=True).listing()):,} files", measured, GOALS, more)], options.json)


def _add(parser: object) -> None:
    parser.add_argument("--tree", type=Path, metavar="PATH", help="a checkout to look at (default: one made of this project's files)")  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
