"""What does `interlock init` cost, against `git grep -c ''`, which reads every file of the same checkout once and thinks nothing?

    python -m benchmarks.init
    python -m benchmarks.init --tree ~/src/agnes-the-ai-analyst --rounds 9

Without --tree it is a checkout of about 3,000 files made of this project's own: programs, scripts, pages, workflows, compose files. Wall time is compared,
for a human waits; CPU time is shown beside it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import WORK, Case, Goal, arguments, interleave, report, save

OURS, PEER, BARE = "interlock init", "git grep -c ''", "interlock --version"
FILES, LEAST = 3_000, 20_000  # how many, and the bytes that each has at least: as in a grown stack
ROOT = Path(__file__).parent.parent


def generate() -> Path:
    """A checkout of `FILES` files, committed. Made once."""
    tree = WORK / "init" / "tree"
    if (tree / ".git" / "HEAD").exists():
        return tree
    shutil.rmtree(tree, ignore_errors=True)
    tracked = subprocess.run(("git", "-C", ROOT, "ls-files", "-z"), capture_output=True, check=True, text=True).stdout.split("\0")
    sources = [name for name in tracked if name and (ROOT / name).is_file() and (ROOT / name).stat().st_size < 200_000]
    for number in range(FILES):
        name = sources[number % len(sources)]
        copy, times = tree / name, number // len(sources)
        if times:
            copy = tree / f"part{times}" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        content = (ROOT / name).read_bytes()
        copy.write_bytes(content * (LEAST // (len(content) + 1) + 1))
    (tree / "compose.yaml").write_text("services:\n  db: {image: 'postgres:16', volumes: ['pg:/var/lib/postgresql/data']}\nvolumes: {pg: {}}\n")
    for argv in (("init", "-q"), ("add", "-A"), ("-c", "user.name=bench", "-c", "user.email=bench@example.org", "commit", "-qm", "bench")):
        subprocess.run(("git", "-C", tree, *argv), check=True, capture_output=True)
    return tree


def cases(tree: Path) -> list[Case]:
    """The same tree, warm, by both; and what starting us costs."""
    output = WORK / "init" / "interlock.yaml"
    output.parent.mkdir(parents=True, exist_ok=True)

    def prove() -> None:
        if "modules:" not in output.read_text():
            raise RuntimeError("nothing was inferred")
        output.unlink()

    git = shutil.which("git") or ""
    return [
        Case(name=OURS, argv=(sys.executable, "-m", "interlock", "init", str(tree), "--output", str(output)), cwd=tree, prove=prove),
        Case(name=PEER, argv=(git, "grep", "-c", ""), cwd=tree, missing="" if git else "no git"),
        Case(name=BARE, argv=(sys.executable, "-m", "interlock", "--version"), cwd=tree),
    ]


GOALS = (Goal(ours=OURS, peer=PEER, limit=3, what="wall_ms"), Goal(ours=OURS, peer=PEER, limit=5, what="cpu_ms"))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write the figures."""
    options = arguments(str(__doc__).partition("\n")[0], argv, _add)
    WORK.mkdir(exist_ok=True)
    tree = options.tree or generate()
    measured = cases(tree)
    interleave(measured, options.rounds)
    files = sum(1 for path in tree.rglob("*") if path.is_file() and ".git" not in path.parts)
    save("init", [report(f"a checkout of {files:,} files", measured, GOALS)], options.json)


def _add(parser: object) -> None:
    parser.add_argument("--tree", type=Path, metavar="PATH", help="a checkout to look at (default: one made of this project's files)")  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
