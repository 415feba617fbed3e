"""`--changed-since`, `--new-only` and baselines: what was there already is told as such, and only what is asked for shuts the gate."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.commands.comparing import Scanned, ScanRequest, scanned
from interlock.config.baseline import Entry, Finding, baseline_text, load_baseline
from interlock.config.waivers import WaiverFileError
from interlock.errors import UsageError
from interlock.evidence.record import WaivedBy
from interlock.gate.known import Baseline, by_pair
from interlock.gate.waivers import Waivers
from interlock.observe.revision import earlier
from interlock.verdicts import Age, Detail, Outcome, Pair, Verdict
from tests.unit.test_scan import CAREFUL, CARELESS, SCHEMA, site, write

RULE = "backups.mode_0600"
OTHER = "#!/bin/sh\nmysqldump shop > shop.sql\n"
GIT = ("git", "-c", "user.name=n", "-c", "user.email=e@example", "-c", "commit.gpgsign=false", "-c", "init.defaultBranch=main")


def git(folder: Path, *arguments: str) -> str:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run((*GIT, "-C", str(folder), *arguments), check=True, capture_output=True, text=True, env=plain)
    return done.stdout.strip()


def repository(folder: Path, files: dict[str, str]) -> Path:
    write(folder, files)
    git(folder, "init", "--quiet")
    commit(folder)
    return folder


def commit(folder: Path) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "m")
    return git(folder, "rev-parse", "HEAD")


def asked(root: Path, **more: object) -> Scanned:
    found = scanned(ScanRequest(root=root, environ=os.environ, **more))  # type: ignore[arg-type]
    jsonschema.validate(json.loads(found.record.to_json()), SCHEMA)
    return found


def of(found: Scanned, subject: str) -> Verdict:
    return next(verdict for verdict in found.record.verdicts if (verdict.guardrail, verdict.subject) == (RULE, subject))


def ages(found: Scanned) -> dict[str, str | None]:
    return {verdict.subject: place.age for verdict in found.record.verdicts if verdict.guardrail == RULE for place in verdict.where}


# ---- an earlier commit


def test_findings_are_new_or_old(tmp_path: Path) -> None:
    repository(tmp_path, {"a.sh": CARELESS})
    write(tmp_path, {"a.sh": "#!/bin/sh\n# moved\n\n" + CARELESS.removeprefix("#!/bin/sh\n"), "b.sh": OTHER})
    found = asked(tmp_path, changed_since="HEAD")
    assert ages(found) == {"a.sh": Age.OLD, "b.sh": Age.NEW}
    assert found.record.compared is not None
    assert (found.record.compared.revision, found.record.compared.commit) == ("HEAD", git(tmp_path, "rev-parse", "HEAD"))
    assert (of(found, "a.sh").outcome, of(found, "b.sh").outcome) == (Outcome.BROKEN, Outcome.BROKEN)
    lines = [line for line in found.details() if not isinstance(line, tuple) and line["guardrail"] == RULE]
    assert {line["file"]: line["age"] for line in lines} == {"a.sh": "old", "b.sh": "new"}


def test_only_new_findings_shut_the_gate_when_asked(tmp_path: Path) -> None:
    repository(tmp_path, {"a.sh": CARELESS})
    old = asked(tmp_path, changed_since="HEAD", only_new=True)
    assert (of(old, "a.sh").outcome, old.record.decision) == (Outcome.WAIVED, "open")
    waiver = next(waiver for waiver in old.record.waivers if waiver.subject == "a.sh")
    assert (waiver.by, waiver.source, waiver.expires_at) == (WaivedBy.EARLIER, git(tmp_path, "rev-parse", "HEAD"), "")
    write(tmp_path, {"b.sh": OTHER})
    new = asked(tmp_path, changed_since="HEAD", only_new=True)
    assert (of(new, "a.sh").outcome, of(new, "b.sh").outcome, new.record.exit_code) == (Outcome.WAIVED, Outcome.BROKEN, 1)


def test_one_more_of_the_same_is_new(tmp_path: Path) -> None:
    repository(tmp_path, {"a.sh": CARELESS})
    write(tmp_path, {"a.sh": CARELESS + "pg_dump app > app.sql\n"})
    found = of(asked(tmp_path, changed_since="HEAD", only_new=True), "a.sh")
    assert (found.outcome, found.details.broken, found.details.waived) == (Outcome.BROKEN, 1, 1)


def test_a_finding_comes_from_a_file_that_did_not_change(tmp_path: Path) -> None:
    services = "services:\n  app:\n    image: app:1\n    volumes: [data:/data]\n  db:\n    image: app:1\n    volumes: [data:/data]\nvolumes: {data: {}}\n"
    repository(tmp_path, {"compose.yaml": services, "up.sh": "docker compose up -d\n"})
    write(tmp_path, {"compose.yaml": services.replace("volumes: {data: {}}", "volumes: {data: {}}\nvolumes: {}")})
    found = asked(tmp_path, changed_since="HEAD")
    assert {place.age for verdict in found.record.verdicts if verdict.guardrail == "compose.strict_parse" for place in verdict.where} == {Age.NEW}


def test_a_part_of_a_repository_is_compared_with_that_part(tmp_path: Path) -> None:
    repository(tmp_path, {"stack/a.sh": CARELESS, "other/b.sh": OTHER})
    assert ages(asked(tmp_path / "stack", changed_since="HEAD")) == {"a.sh": Age.OLD}
    commit(write(tmp_path, {"fresh/c.sh": OTHER}))
    assert ages(asked(tmp_path / "fresh", changed_since="HEAD^")) == {"c.sh": Age.NEW}


def test_the_site_file_of_now_judges_both(tmp_path: Path) -> None:
    repository(tmp_path, {"a.sh": CARELESS})
    write(tmp_path, {"interlock.yaml": site(scripts={"files": ["a.sh"]})})
    assert ages(asked(tmp_path, changed_since="HEAD")) == {"a.sh": Age.OLD}


def test_comments_and_waivers_make_nothing_new(tmp_path: Path) -> None:
    repository(tmp_path, {"a.sh": CARELESS})
    git(tmp_path, "rm", "--quiet", "a.sh")
    commit(tmp_path)
    write(tmp_path, {"a.sh": CARELESS})
    assert ages(asked(tmp_path, changed_since="HEAD")) == {"a.sh": Age.NEW}
    assert ages(asked(tmp_path, changed_since="HEAD^")) == {"a.sh": Age.OLD}


def test_the_tree_of_a_commit_is_that_tree(tmp_path: Path) -> None:
    tree = repository(tmp_path / "stack", {"a b.sh": "x", "run.sh": "#!/bin/sh\n", "d/\udcff\n.txt": "y"})
    (tree / "run.sh").chmod(0o755)
    (tree / "link").symlink_to("d")
    with (tree / "big.bin").open("wb") as file:
        file.truncate(5 * 1024 * 1024)
    made = commit(tree)
    git(tree, "tag", "v1")
    write(tree, {"later.txt": "z"})
    with earlier(tree, "v1", {**os.environ, "GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere"}) as then:
        assert (then.commit, then.root.name) == (made, "stack")
        names = sorted(str(path.relative_to(then.root)) for path in then.root.rglob("*") if ".git" not in path.parts)
        assert names == ["a b.sh", "big.bin", "d", "d/\udcff\n.txt", "link", "run.sh"]
        assert ((then.root / "run.sh").stat().st_mode & 0o777, (then.root / "link").readlink()) == (0o755, Path("d"))
        assert (then.root / "big.bin").stat().st_size == 5 * 1024 * 1024
        assert then.root.parent.stat().st_mode & 0o777 == 0o700
        assert git(then.root, "rev-parse", "HEAD") == made
        assert git(then.root, "tag") == "v1"
        assert git(then.root, "status", "--porcelain") == ""
    assert not then.root.exists()
    assert git(tree, "status", "--porcelain") == "?? later.txt"


def test_submodules_are_read_where_they_are_checked_out(tmp_path: Path) -> None:
    repository(tmp_path / "part", {"b.sh": OTHER})
    tree = repository(tmp_path / "stack", {"a.sh": CAREFUL})
    git(tree, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(tmp_path / "part"), "part")
    commit(tree)
    with earlier(tree, "HEAD", os.environ) as then:
        assert (then.root / "part" / "b.sh").read_text() == OTHER
    assert ages(asked(tree, changed_since="HEAD")) == {"part/b.sh": Age.OLD}


@pytest.mark.parametrize("revision", ["nowhere", "--output=x", "", "HEAD:a.sh", "0" * 40])
def test_a_commit_that_is_not_there_is_a_wrong_command_line(tmp_path: Path, revision: str) -> None:
    with pytest.raises(UsageError, match="there is no commit"):
        asked(repository(tmp_path, {"a.sh": CARELESS}), changed_since=revision)


def test_what_is_no_repository_has_no_earlier_commit(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="git cannot say what was there before"):
        asked(write(tmp_path, {"a.sh": CARELESS}), changed_since="HEAD")


def test_a_shallow_clone_is_told_what_to_fetch(tmp_path: Path) -> None:
    tree = repository(tmp_path / "whole", {"a.sh": CARELESS})
    first = git(tree, "rev-parse", "HEAD")
    commit(write(tree, {"a.sh": CAREFUL}))
    subprocess.run((*GIT, "clone", "--quiet", "--depth=1", f"file://{tree}", str(tmp_path / "shallow")), check=True)
    with pytest.raises(UsageError) as raised:
        asked(tmp_path / "shallow", changed_since=first)
    assert f"git fetch --depth=1 origin {first}" in str(raised.value)


# ---- a baseline


def test_a_baseline_lets_pass_what_it_lists_and_nothing_else(tmp_path: Path) -> None:
    tree, file = write(tmp_path / "tree", {"a.sh": CARELESS}), tmp_path / "baseline.json"
    written = asked(tree, write_baseline=file)
    assert (written.record.decision, of(written, "a.sh").outcome) == ("open", Outcome.WAIVED)
    assert "written" in written.notes[0]
    again = asked(tree, baseline=file)
    assert (again.record.decision, of(again, "a.sh").outcome, again.notes) == ("open", Outcome.WAIVED, ())
    waiver = next(waiver for waiver in again.record.waivers if waiver.subject == "a.sh")
    assert (waiver.by, waiver.source) == (WaivedBy.BASELINE, str(file))
    write(tree, {"b.sh": OTHER})
    new = asked(tree, baseline=file)
    assert (of(new, "a.sh").outcome, of(new, "b.sh").outcome, new.record.exit_code) == (Outcome.WAIVED, Outcome.BROKEN, 1)


def test_the_same_findings_give_the_same_bytes_wherever_they_stand(tmp_path: Path) -> None:
    asked(write(tmp_path / "tree", {"a.sh": CARELESS, "b.sh": OTHER}), write_baseline=tmp_path / "one")
    asked(write(tmp_path / "tree", {"b.sh": "#!/bin/sh\n\n\nmysqldump shop > shop.sql\n"}), write_baseline=tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    found = json.loads((tmp_path / "one").read_text())["findings"]
    assert found == sorted(found, key=lambda entry: (entry["guardrail"], entry["subject"], entry["file"], entry["key"]))
    assert all(entry["message"] for entry in found)


def test_entries_that_are_gone_are_told_and_shut_nothing(tmp_path: Path) -> None:
    tree, file = write(tmp_path / "tree", {"a.sh": CARELESS, "b.sh": OTHER}), tmp_path / "baseline.json"
    asked(tree, write_baseline=file)
    found = asked(write(tree, {"b.sh": CAREFUL}), baseline=file)
    assert found.record.decision == "open"
    assert "1 finding that it lists is gone: write it anew with --write-baseline" in found.notes[0]


def test_what_could_not_be_read_then_either_passes(tmp_path: Path) -> None:
    tree = write(tmp_path / "tree", {"interlock.yaml": site(scripts={"files": ["gone.sh"]})})
    assert of(asked(tree), "gone.sh").outcome is Outcome.UNPROVEN
    found = asked(tree, write_baseline=tmp_path / "b")
    assert (of(found, "gone.sh").outcome, asked(tree, baseline=tmp_path / "b").record.decision) == (Outcome.WAIVED, "open")


def test_what_a_comment_covers_is_in_no_baseline(tmp_path: Path) -> None:
    from tests.unit.test_scan_allows import SAID

    tree = write(tmp_path / "tree", {"a.sh": f"#!/bin/sh\n# {SAID}\npg_dump app > app.sql\n"})
    found = asked(tree, write_baseline=tmp_path / "b")
    assert [waiver.by for waiver in found.record.waivers if waiver.guardrail == RULE] == [WaivedBy.COMMENT]
    assert RULE not in (tmp_path / "b").read_text()


def test_what_can_never_be_waived_stands_in_no_baseline() -> None:
    pair, detail = Pair("site.confirmed", "s"), Detail(what="x", outcome=Outcome.BROKEN, message="m")
    never = frozenset({"site.confirmed"})
    assert Waivers().with_known(Baseline(source="b", findings={}, never=never, everything=True), None).covering(pair) is None
    listed = Baseline(source="b", findings=by_pair({Finding(guardrail="site.confirmed", subject="s", file="", key="0" * 16): 1}), never=never)
    waivers = Waivers().with_known(listed, None)
    assert waivers.covering(pair) is None
    assert "site.confirmed, which can never be waived" in waivers.problems[0].text
    cover = Waivers().with_known(Baseline(source="b", findings={}, everything=True), None).covering(pair)
    assert cover is not None
    assert cover(detail, "0" * 16) == "baseline.0000000000000000"


def test_a_baseline_that_is_not_there_is_told_how_to_write_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--write-baseline"):
        asked(write(tmp_path, {"a.sh": CARELESS}), baseline=tmp_path / "none.json")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"schema": "interlock/baseline/2", "findings": []}', '{"schema": "interlock/baseline/1", "findings": [{}]}', "[" * 100_000]
    + [
        f'{{"schema": "interlock/baseline/1", "findings": [{{"guardrail": "g", "subject": "s", "file": "f", "message": "m", {more}}}]}}'
        for more in ('"key": "x"', '"key": "0000000000000000", "count": 0', '"key": "0000000000000000", "count": true', '"key": "0000000000000000", "line": 1')
    ],
)
def test_a_file_that_is_no_baseline_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(WaiverFileError, match="no baseline of ours"):
        load_baseline(tmp_path / "b.json")


TEXTS = st.text(st.characters(), max_size=8)
ENTRIES = st.lists(
    st.builds(
        Entry,
        finding=st.builds(Finding, guardrail=TEXTS, subject=TEXTS, file=TEXTS, key=st.from_regex("[0-9a-f]{16}", fullmatch=True)),
        message=TEXTS,
        count=st.integers(1, 3),
    ),
    max_size=6,
)


@given(entries=ENTRIES)
def test_a_baseline_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, entries: list[Entry]) -> None:
    path = tmp_path_factory.mktemp("b") / "b.json"
    path.write_text(baseline_text(entries))
    counted: dict[Finding, int] = {}
    for entry in entries:
        counted[entry.finding] = counted.get(entry.finding, 0) + entry.count
    assert load_baseline(path) == counted
    assert baseline_text(reversed(entries)) == path.read_text()
