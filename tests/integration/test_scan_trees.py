"""`interlock scan` as a program: hostile trees, the same verdicts as pytest, and what it does not start or load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from interlock.commands.scan import scan
from interlock.testing import run_check
from interlock.testing.faults import all_faults
from interlock.verdicts import When

SCHEMA = json.loads((Path(__file__).parents[2] / "interlock" / "evidence" / "record.schema.json").read_text())
DUMP = "#!/bin/sh\npg_dump app > app.sql\n"
JUDGED = ("compose.strict_parse", "backups.mode_0600")
CONFLICT = "services:\n<<<<<<< HEAD\n  a: {image: x}\n=======\n  a: {image: y}\n>>>>>>> main\n"


def interlock(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    argv = (sys.executable, "-m", "interlock", *arguments)
    return subprocess.run(argv, cwd=cwd, env=environ, capture_output=True, text=True, timeout=120, check=False)


def scanned(tree: Path) -> dict[str, Any]:
    done = interlock("scan", str(tree), "--format", "json", cwd=tree.parent)
    assert done.stderr == ""
    record: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(record, SCHEMA)
    assert done.returncode == record["exit_code"]
    return record


def outcomes(record: dict[str, Any]) -> dict[str, str]:
    """Of each compose file whether it can be read, and of each script how private its backups are; other families judge the same files."""
    return {
        verdict["subject"]: verdict["outcome"] for verdict in record["verdicts"] if verdict["guardrail"] in JUDGED and verdict["outcome"] != "not_applicable"
    }


def bytes_path(folder: Path, name: bytes) -> bytes:
    return os.fsencode(folder) + b"/" + name


def test_a_hostile_tree_gives_a_record_that_names_what_it_could_not_read(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "compose.yaml").write_text(CONFLICT)
    (tree / "compose.binary.yaml").write_bytes(bytes(range(256)) * 40)
    (tree / "compose.deep.yaml").write_text("a: " + "[" * 5000 + "]" * 5000)
    (tree / "compose.bomb.yaml").write_text("a: &a [x, x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)))
    with (tree / "compose.huge.yaml").open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    (tree / "loop").symlink_to("loop")
    (tree / "round").mkdir()
    (tree / "round" / "again").symlink_to("..")
    (tree / "compose.out.yaml").symlink_to("/etc/hostname")
    (tree / "compose.gone.yaml").symlink_to("nowhere")
    os.mkfifo(tree / "compose.fifo.yaml")
    (tree / "submodule").mkdir()
    (tree / "backup.sh").write_text(DUMP)
    (tree / "broken-backup.sh").write_text("if true; then\n" + DUMP)
    (tree / "backup.py").write_text("def backup(:\n")
    (tree / "new\nline.sh").write_text(DUMP)
    (tree / "a b\t'\"$x.sh").write_text(DUMP)
    Path(os.fsdecode(bytes_path(tree, b"caf\xe9.sh"))).write_text(DUMP)
    Path(os.fsdecode(bytes_path(tree, b"\xff\xfe.compose.yml"))).write_text("services: {}\n")
    deep = tree
    for _ in range(60):
        deep = deep / "deeper-and-deeper"
    deep.mkdir(parents=True)
    (deep / "backup.sh").write_text(DUMP)

    record = scanned(tree)
    found = outcomes(record)
    assert found["compose.yaml"] == "broken"
    assert {subject: found[subject] for subject in ("compose.deep.yaml", "compose.huge.yaml", "compose.out.yaml")} == dict.fromkeys(
        ("compose.deep.yaml", "compose.huge.yaml", "compose.out.yaml"), "unproven"
    )
    assert found["compose.binary.yaml"] in ("broken", "unproven")
    assert (found["broken-backup.sh"], found["backup.py"]) == ("unproven", "unproven")
    names = [name for name, outcome in found.items() if outcome == "broken" and name.endswith(".sh")]
    assert len(names) == 5
    assert any(name.endswith("deeper-and-deeper/backup.sh") for name in names)
    assert not {"compose.gone.yaml", "compose.fifo.yaml"} & found.keys()
    assert record["exit_code"] == 1
    for form in ("text", "markdown", "sarif", "junit"):
        done = interlock("scan", str(tree), "--format", form, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (1, "")
        assert "compose.yaml" in done.stdout


def test_many_compose_files_are_judged_one_by_one(tmp_path: Path) -> None:
    for number in range(1500):
        (tmp_path / f"compose.{number}.yaml").write_text("services: {}\n")
    record = scanned(tmp_path)
    assert len(outcomes(record)) == 1500
    assert record["decision"] == "open"


def _changes() -> Iterator[Any]:
    """Of each family one guardrail: a healthy tree, the same broken, and one that cannot be looked at."""
    families = set[str]()
    for fault in all_faults():
        family = fault.guardrail.partition(".")[0]
        if fault.gate is When.STATIC and family not in families:
            families.add(family)
            for change in ("healthy", "seed", "blind"):
                yield pytest.param(fault, change, id=f"{fault.guardrail}-{change}")


@pytest.mark.parametrize(("fault", "change"), list(_changes()))
def test_scan_and_pytest_say_the_same_of_the_same_tree(fault: Any, change: str, tmp_path: Path) -> None:
    fault.healthy(tmp_path)
    if change != "healthy":
        (fault.seed if change == "seed" else fault.blind)(tmp_path)
    if (tmp_path / "checks").exists():
        pytest.skip("a scan runs no Python of the site's own, and says so")
    ran = run_check(tmp_path, "static")
    assert ran.record is not None, ran.output
    record, _ = scan(tmp_path, os.environ)

    def said(verdicts: Any) -> list[tuple[object, ...]]:
        return [(one.guardrail, one.subject, one.outcome, one.severity, one.message, one.remedy, one.details.broken, one.details.held) for one in verdicts]

    assert said(record.verdicts) == said(ran.record.verdicts)
    assert (record.decision, record.exit_code, record.reasons, record.required) == (
        ran.record.decision,
        ran.record.exit_code,
        ran.record.reasons,
        ran.record.required,
    )


def test_a_scan_loads_and_starts_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    (tmp_path / "backup.sh").write_text(DUMP)  # a shell reads it, with -n; a compose file would be resolved by docker compose
    script = (
        "import os, sys, subprocess\n"
        "start = subprocess.Popen.__init__\n"
        "def only_readers(process, argv, *arguments, **options):\n"
        "    if not (os.path.basename(argv[0]) in ('bash', 'sh', 'dash', 'ksh') and argv[-1] == '-n'): raise AssertionError(argv)\n"
        "    start(process, argv, *arguments, **options)\n"
        "subprocess.Popen.__init__ = only_readers\n"
        "from interlock.cli import main\n"
        f"code = main(['scan', {str(tmp_path)!r}, '--output', {str(tmp_path / 'out')!r}])\n"
        "heavy = {'pytest', '_pytest', 'docker', 'psycopg', 'requests', 'hypothesis', 'testinfra', 'allure', 'rich', 'jsonschema'} & set(sys.modules)\n"
        "assert code == 1 and not heavy, (code, heavy)\n"
    )
    done = subprocess.run((sys.executable, "-c", script), cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
