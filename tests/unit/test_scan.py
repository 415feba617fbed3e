"""`interlock scan`: a record for every tree, the same rules as pytest's, and nothing green that was not looked at."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest
import yaml

from interlock.commands.scan import scan
from interlock.errors import ConfigError, CouldNotLook, UsageError
from interlock.evidence.record import Record
from interlock.observe import backups
from interlock.verdicts import Outcome, Verdict

SCHEMA = json.loads((Path(__file__).parents[2] / "interlock" / "evidence" / "record.schema.json").read_text())
CARELESS = "#!/bin/sh\npg_dump app > app.sql\n"
CAREFUL = "#!/bin/sh\numask 077\npg_dump app > app.sql\n"


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def judged(folder: Path, site: Path | None = None) -> Record:
    record, details = scan(folder, os.environ, site)
    jsonschema.validate(json.loads(record.to_json()), SCHEMA)
    lines = sum(len(line.whats) if isinstance(line, tuple) else 1 for line in details())
    assert lines == record.details.count == sum(verdict.details.total for verdict in record.verdicts)
    return record


JUDGED = ("compose.strict_parse", "backups.mode_0600")


def outcomes(record: Record) -> dict[tuple[str, str], str]:
    """What is said by the rules that these tests are about, and by the site's own; other families judge the same files."""
    told = [verdict for verdict in record.verdicts if verdict.guardrail in JUDGED or verdict.guardrail.startswith("own.")]
    return {(verdict.guardrail, verdict.subject): verdict.outcome.value for verdict in told if verdict.outcome is not Outcome.NOT_APPLICABLE}


def verdict(record: Record, subject: str) -> Verdict:
    """What the rules that these tests are about say of a subject."""
    return next(found for found in record.verdicts if found.subject == subject and found.guardrail in JUDGED)


def test_a_tree_without_a_site_file_is_judged_as_what_it_looks_like(tmp_path: Path) -> None:
    record = judged(write(tmp_path, {"compose.yaml": "services: {}\n", "ops/backup.sh": CARELESS, "README.md": "pg_dump > x"}))
    assert outcomes(record) == {("compose.strict_parse", "compose.yaml"): "held", ("backups.mode_0600", "ops/backup.sh"): "broken"}
    assert (record.decision, record.exit_code, record.target.file, record.target.sha256, record.run.pytest) == ("shut", 1, "", "", "")
    (place,) = verdict(record, "ops/backup.sh").where
    assert (place.file, place.line) == ("ops/backup.sh", 2)


def test_a_tree_that_holds_is_open(tmp_path: Path) -> None:
    record = judged(write(tmp_path, {"compose.yaml": "services: {}\n", "backup.sh": CAREFUL}))
    assert (record.decision, record.exit_code, record.reasons) == ("open", 0, ())


def test_a_tree_with_nothing_to_judge_is_not_green(tmp_path: Path) -> None:
    record = judged(write(tmp_path, {"README.md": "hello"}))
    assert (record.decision, record.exit_code) == ("shut", 10)
    assert "nothing is proven" in record.reasons[-1].text


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.write_text("")], ids=["nothing", "a file"])
def test_what_is_no_folder_is_a_wrong_command_line(tmp_path: Path, make: object) -> None:
    make(tmp_path / "x")  # type: ignore[operator]
    with pytest.raises(UsageError, match="is no folder"):
        scan(tmp_path / "x", os.environ)


def test_keys_stay_when_lines_move(tmp_path: Path) -> None:
    before = verdict(judged(write(tmp_path, {"backup.sh": CARELESS})), "backup.sh").where[0]
    after = verdict(judged(write(tmp_path, {"backup.sh": "#!/bin/sh\n# a comment\n\n" + CARELESS})), "backup.sh").where[0]
    assert before.key == after.key
    assert (before.line, after.line) == (2, 5)


# ---- with a site file


def site(**more: object) -> str:
    unused = dict.fromkeys(("mounts", "state_dir", "parity", "templates", "automation"), "another test's business")
    return yaml.safe_dump({"interlock": 1, "site": "stack", "not_used": unused, **more})


def test_a_site_file_says_what_is_judged(tmp_path: Path) -> None:
    files = {"interlock.yaml": site(scripts={"files": ["a.sh"]}), "a.sh": CAREFUL, "b.sh": CARELESS, "compose.yaml": "a: 1\na: 2\n"}
    record = judged(write(tmp_path, files))
    assert outcomes(record)[("backups.mode_0600", "a.sh")] == "held"
    assert not {"b.sh", "compose.yaml"} & {subject for _, subject in outcomes(record)}
    assert (record.target.site, record.target.file) == ("stack", str(tmp_path / "interlock.yaml"))


def test_a_site_file_from_elsewhere_is_about_the_tree_that_is_named(tmp_path: Path) -> None:
    tree = write(tmp_path / "checkout", {"a.sh": CARELESS})
    named = write(tmp_path / "ops", {"stack.yaml": site(scripts={"files": ["a.sh"]})}) / "stack.yaml"
    assert outcomes(judged(tree, named))[("backups.mode_0600", "a.sh")] == "broken"


def test_a_site_file_of_a_folder_above_is_about_another_tree(tmp_path: Path) -> None:
    write(tmp_path, {"interlock.yaml": "this is: [no, site", "part/backup.sh": CAREFUL})
    assert judged(tmp_path / "part").exit_code == 0


@pytest.mark.parametrize("name", ["interlock.yaml", "interlock.yml"])
def test_a_wrong_site_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        scan(write(tmp_path, {name: "interlock: 1\nsit: x\n"}), os.environ)


def test_a_declared_file_that_is_not_there_is_unproven(tmp_path: Path) -> None:
    record = judged(write(tmp_path, {"interlock.yaml": site(scripts={"files": ["gone.sh"]})}))
    found = verdict(record, "gone.sh")
    assert (found.outcome, record.exit_code, found.where[0].file) == (Outcome.UNPROVEN, 11, "gone.sh")


def test_static_checks_of_the_sites_own_are_said_to_be_not_run(tmp_path: Path) -> None:
    own = "import pytest\n\n@pytest.mark.static\ndef test_names():\n    raise SystemExit('never imported')\n\ndef test_live():\n    pass\n"
    record = judged(write(tmp_path, {"interlock.yaml": site(scripts={"files": ["a.sh"]}), "a.sh": CAREFUL, "checks/test_own.py": own}))
    assert outcomes(record)[("own.own.names", "site")] == "not_run"
    assert (record.exit_code, [reason.guardrail for reason in record.reasons]) == (10, ["own.own.names"])


# ---- waivers


def waiver(key: str, **more: object) -> str:
    expires = (datetime.now(UTC) + timedelta(days=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    given = {"guardrail": "backups.mode_0600", "subject": "a.sh", "fingerprint": key, "reason": "r", "owner": "o", "ticket": "t", "approver": "a"}
    return yaml.safe_dump({"waivers": [given | {"expires_at": expires} | more]})


def test_a_waiver_covers_exactly_its_failure(tmp_path: Path) -> None:
    write(tmp_path, {"interlock.yaml": site(scripts={"files": ["a.sh"]}), "a.sh": CARELESS})
    key = verdict(judged(tmp_path), "a.sh").where[0].key
    record = judged(write(tmp_path, {"waivers.yaml": waiver(key)}))
    assert (verdict(record, "a.sh").outcome, record.exit_code, len(record.waivers)) == (Outcome.WAIVED, 0, 1)
    record = judged(write(tmp_path, {"a.sh": CARELESS + "mysqldump app > other.sql\n"}))
    assert (verdict(record, "a.sh").outcome, record.exit_code) == (Outcome.BROKEN, 1)


def test_a_waiver_that_covers_nothing_is_an_error_unless_it_is_for_the_live_system(tmp_path: Path) -> None:
    write(tmp_path, {"interlock.yaml": site(scripts={"files": ["a.sh"]}), "a.sh": CAREFUL, "waivers.yaml": waiver("0" * 16)})
    record = judged(tmp_path)
    assert (record.exit_code, "covers nothing" in record.reasons[0].text) == (12, True)
    assert judged(write(tmp_path, {"waivers.yaml": waiver("0" * 16, subject="a-module")})).exit_code == 0


# ---- whatever goes wrong


def test_a_judgement_that_fails_is_unproven_and_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"a.sh": CARELESS, "compose.yaml": "services: {}\n"})

    def fails(path: str, data: bytes) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(backups, "find_writers", fails)
    record = judged(tmp_path)
    found = verdict(record, "a.sh")
    assert (found.outcome, found.where[0].file, record.exit_code) == (Outcome.UNPROVEN, "a.sh", 11)
    assert "ZeroDivisionError: a fault of ours" in found.message
    assert verdict(record, "compose.yaml").outcome is Outcome.HELD


def test_a_look_that_fails_is_unproven_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: str, data: bytes) -> None:
        raise CouldNotLook("it cannot be seen", remedy="look harder")

    monkeypatch.setattr(backups, "find_writers", fails)
    found = verdict(judged(write(tmp_path, {"a.sh": CARELESS})), "a.sh")
    assert (found.outcome, found.remedy) == (Outcome.UNPROVEN, "look harder")


def test_a_folder_that_cannot_be_listed_is_unproven_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"compose.yaml": "services: {}\n", "private/backup.sh": CARELESS})
    scandir = os.scandir

    def refusing(path: str) -> object:  # chmod 0 would not keep root out
        if str(path).endswith("/private"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    record = judged(tmp_path)
    assert outcomes(record) == {
        ("backups.mode_0600", "private"): "unproven",
        ("compose.strict_parse", "compose.yaml"): "held",
        ("compose.strict_parse", "private"): "unproven",
    }
    assert record.exit_code == 11
    assert "private could not be read: Permission denied" in verdict(record, "private").message


def test_details_can_be_read_twice_and_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spools = tmp_path / "spools"
    spools.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(spools))
    _, details = scan(write(tmp_path / "tree", {"a.sh": CARELESS}), os.environ)
    assert list(details()) == list(details()) != []
    (folder,) = spools.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    del details
    gc.collect()
    assert list(spools.iterdir()) == []


def test_a_scan_writes_nothing_into_the_tree(tmp_path: Path) -> None:
    write(tmp_path, {"interlock.yaml": site(scripts={"files": ["a.sh"]}), "a.sh": CARELESS})
    before = sorted(path.name for path in tmp_path.rglob("*"))
    judged(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
