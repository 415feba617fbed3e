"""Whatever a folder holds, a scan gives a record of it, and what could not be read is named.

`tests/integration/test_scan_trees.py` has the whole program on hostile trees.
"""

from __future__ import annotations

import os
import pwd
import random
import socket
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.commands.comparing import ScanRequest, scanned
from interlock.commands.scan import scan
from interlock.commands.scan_report import rendered
from interlock.verdicts import Outcome
from tests.fuzz.targets import FILES, SEEDS, SEPARATOR, fuzz_tree
from tests.unit.test_scan import CARELESS, judged, verdict, write

FORMS = ("text", "json", "markdown", "sarif", "junit", "github", "gitlab")


def in_every_format(tree: Path) -> dict[str, str]:
    found = scanned(ScanRequest(root=tree, environ=os.environ))
    return {form: "".join(rendered(found, form, "")) for form in FORMS}


def test_an_empty_folder_has_a_record_that_proves_nothing(tmp_path: Path) -> None:
    assert (judged(tmp_path).exit_code, judged(tmp_path).decision) == (10, "shut")


def test_what_is_no_regular_file_is_passed_by(tmp_path: Path) -> None:
    write(tmp_path, {"a.sh": CARELESS})
    os.mkfifo(tmp_path / "compose.yaml")
    os.mkfifo(tmp_path / ".env")
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(tmp_path)  # the name of a socket is short
        try:
            listening.bind("backup.sh")
        finally:
            os.chdir(here)
        (tmp_path / "device.sh").symlink_to("/dev/zero")
        assert verdict(judged(tmp_path), "a.sh").outcome is Outcome.BROKEN


def test_links_in_circles_and_out_of_the_tree_are_followed_nowhere(tmp_path: Path) -> None:
    tree = write(tmp_path / "tree", {"a.sh": CARELESS, "sub/b.sh": CARELESS})
    write(tmp_path, {"outside/c.sh": CARELESS})
    for link, target in {"loop": "loop", "one.sh": "two.sh", "two.sh": "one.sh", "sub/up": "..", "out": "../outside", "compose.yaml": "/etc/passwd"}.items():
        (tree / link).symlink_to(target)
    subjects = {found.subject for found in judged(tree).verdicts if found.guardrail == "backups.mode_0600"}
    assert subjects == {"a.sh", "sub/b.sh"}


def test_a_file_of_100_mb_is_named_and_not_read(tmp_path: Path) -> None:
    write(tmp_path, {"a.sh": CARELESS})
    for name in ("compose.yaml", ".env", "Makefile", ".github/workflows/x.yml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        with (tmp_path / name).open("wb") as file:
            file.truncate(100 * 1024 * 1024)
    record = judged(tmp_path)
    assert any(found.outcome is Outcome.UNPROVEN and found.subject == "compose.yaml" for found in record.verdicts)
    assert not [found for found in record.verdicts if "fault of interlock" in found.remedy]


@pytest.mark.parametrize("name", ["a b\t.sh", "new\nline.sh", "caf\udce9.sh", "\udcff\udcfe.sh", "-rf.sh", "%0A::error::.sh", "é`$(x).sh", "a" * 240 + ".sh"])
def test_a_name_is_told_in_every_format(tmp_path: Path, name: str) -> None:
    write(tmp_path, {name: CARELESS})
    shown = in_every_format(tmp_path)
    assert all("backups.mode_0600" in text for text in shown.values())
    for text in (shown["text"], shown["markdown"]):
        assert "\t" not in text
        assert "\udcff" not in text
    assert not [line for line in shown["github"].split("\n") if line.startswith("::error::")]


def test_a_deep_folder_is_looked_through(tmp_path: Path) -> None:
    deep = "/".join(["deeper"] * 150)
    assert verdict(judged(write(tmp_path, {f"{deep}/a.sh": CARELESS})), f"{deep}/a.sh").outcome is Outcome.BROKEN


def test_a_submodule_that_is_not_checked_out_is_an_empty_folder(tmp_path: Path) -> None:
    write(tmp_path, {"a.sh": CARELESS, ".gitmodules": '[submodule "part"]\n\tpath = part\n\turl = ../part\n', "part/.git": "gitdir: ../.git/modules/part\n"})
    assert verdict(judged(tmp_path), "a.sh").outcome is Outcome.BROKEN


def test_what_an_ordinary_user_may_not_read_is_unproven_by_name() -> None:
    """As root, who may read everything, it is done as nobody, once all modules are loaded: nobody may not be let into this checkout."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        tree = write(Path(folder) / "tree", {"a.sh": CARELESS, "private/compose.yaml": "services: {}\n", "compose.yaml": "services: {}\n"})
        judged(tree)
        (tree / "private").chmod(0)
        (tree / "compose.yaml").chmod(0)
        mine = os.geteuid()
        try:
            if mine == 0:
                os.seteuid(pwd.getpwnam("nobody").pw_uid)
            record, _ = scan(tree, {**os.environ, "INTERLOCK_CACHE": "off"})
        finally:
            os.seteuid(mine)
            (tree / "private").chmod(0o700)
    unread = {found.subject for found in record.verdicts if found.guardrail == "compose.strict_parse" and found.outcome is Outcome.UNPROVEN}
    assert unread == {"compose.yaml", "private"}
    assert verdict(record, "a.sh").outcome is Outcome.BROKEN


PARTS = st.lists(
    st.tuples(st.sampled_from(range(len(FILES))), st.sampled_from([seed for seeds in SEEDS.values() for seed in seeds]), st.randoms(use_true_random=False)),
    max_size=4,
)


@given(parts=PARTS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_files_with_pieces_of_each_other_never_break_a_judgement(parts: list[tuple[int, bytes, random.Random]]) -> None:
    fuzz_tree(SEPARATOR.join(bytes((kind,)) + _mutated(seed, chance) for kind, seed, chance in parts))


def _mutated(seed: bytes, chance: random.Random) -> bytes:
    """The text with a few lines lost, doubled or cut."""
    lines = seed.split(b"\n")
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(lines))
        lines[at : at + 1] = chance.choice(
            [[], [lines[at]] * 2, [lines[at][: chance.randrange(len(lines[at]) + 1)]], [lines[at], b"\xff"], [b"  " + lines[at]]]
        )
        lines = lines or [b""]
    return b"\n".join(lines)
