"""Histories of migrations and steps of upgrades, on texts as people write them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.commands.scan import site_of_tree
from interlock.facts.migration_steps import Caller, forgotten_functions, forgotten_scripts
from interlock.facts.migrations import Histories, alembic_histories, alembic_revision, django_history, same_numbers, widens_version_table
from interlock.judge.migrations import judge_revision_id_length, judge_single_head
from interlock.observe import migrations
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Held, Outcome, Subject, Unproven, When


def revision(name: str, after: str, *more: str) -> bytes:
    return "\n".join((f'revision = "{name}"', f"down_revision = {after}", *more, "")).encode()


def alembic(**texts: bytes) -> Histories:
    return Histories(histories=alembic_histories((f"db/versions/{name}.py", text) for name, text in texts.items()))


def kinds(judged: Held | Broken | Unproven) -> list[str]:
    return sorted(detail.kind for detail in judged.details if detail.outcome is not Outcome.HELD)


# ---- Alembic


@pytest.mark.parametrize(
    "last",
    [
        'down_revision = "b"',
        "down_revision = (\n    'b'\n)",
        "down_revision = ('b',)",
        'from typing import Union\ndown_revision: Union[str, None] = "b"',
        'PARENT = "b"\ndown_revision = PARENT',
        'down_revision = ["b"]',
    ],
)
def test_a_parent_is_read_however_it_is_written(last: str) -> None:
    seen = alembic(a=revision("a", "None"), b=revision("b", '"a"'), c=f'revision: str = "c"\n{last}\n'.encode())
    assert isinstance(judge_single_head(seen), Held)


def test_two_that_follow_the_same_one_are_two_heads() -> None:
    judged = judge_single_head(alembic(a=revision("a", "None"), b=revision("b", '"a"'), c=revision("c", '"a"')))
    assert isinstance(judged, Broken)
    assert kinds(judged) == ["head", "head", "several-heads"]
    assert "2 heads, b and c, both after a" in judged.message
    assert [detail.file for detail in judged.details] == ["db/versions", "db/versions/b.py", "db/versions/c.py"]


def test_a_merge_makes_one_head_of_two() -> None:
    seen = alembic(a=revision("a", "None"), b=revision("b", '"a"'), c=revision("c", '"a"'), d=revision("d", '("b", "c")'))
    assert isinstance(judge_single_head(seen), Held)


def test_branches_with_labels_of_their_own_have_heads_of_their_own() -> None:
    labelled = 'branch_labels = ("billing",)'
    seen = alembic(a=revision("a", "None"), b=revision("b", "None", labelled), c=revision("c", '"b"'))
    assert isinstance(judge_single_head(seen), Held)
    forked = alembic(a=revision("a", "None"), b=revision("b", "None", labelled), c=revision("c", '"b"'), d=revision("d", '"b"'))
    assert kinds(judge_single_head(forked)) == ["head", "head", "several-heads"]


def test_what_a_migration_waits_for_stays_a_head_of_its_own() -> None:
    seen = alembic(a=revision("a", "None", 'branch_labels = "x"'), b=revision("b", "None", 'branch_labels = "y"', 'depends_on = "a"'))
    assert isinstance(judge_single_head(seen), Held)


def test_folders_that_follow_each_other_are_one_history_and_others_are_not() -> None:
    one = [("old/versions/a.py", revision("a", "None")), ("new/versions/b.py", revision("b", '"a"')), ("other/versions/a.py", revision("z", "None"))]
    found = alembic_histories(one)
    assert sorted(len(history.revisions) for history in found) == [1, 2]
    assert isinstance(judge_single_head(Histories(histories=found)), Held)


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        ({"a": revision("a", "None"), "b": revision("a", "None")}, "same-id"),
        ({"a": revision("a", "None"), "b": revision("b", '"gone"')}, "no-such-parent"),
        ({"a": revision("a", '"b"'), "b": revision("b", '"a"')}, "circle"),
    ],
)
def test_a_history_that_the_tool_refuses(texts: dict[str, bytes], kind: str) -> None:
    assert kind in kinds(judge_single_head(alembic(**texts)))


@pytest.mark.parametrize("text", [b'revision = "b"\ndown_revision = find()\n', b"down_revision = (\n", b'import x\nrevision = x.y\ndown_revision = "a"\n'])
def test_what_cannot_be_read_is_unproven(text: bytes) -> None:
    judged = judge_single_head(alembic(a=revision("a", "None"), b=text, c=revision("c", '"a"')))
    assert isinstance(judged, Unproven)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_revision_or_none(data: bytes) -> None:
    alembic_revision("versions/x.py", b"down_revision = None\n" + data)


# ---- Django


def django(*migrations_: tuple[str, str], app: str = "shop", replaces: dict[str, str] | None = None) -> Histories:
    files = []
    for name, dependencies in migrations_:
        squashes = f"    replaces = {(replaces or {}).get(name, '[]')}\n"
        files.append((f"{app}/migrations/{name}.py", f"class Migration(migrations.Migration):\n    dependencies = {dependencies}\n{squashes}".encode()))
    return Histories(histories=(django_history(f"{app}/migrations", files),))


def test_two_leaves_of_an_app_conflict_until_they_are_merged() -> None:
    forked = [("0001_initial", "[]"), ("0002_a", "[('shop', '0001_initial')]"), ("0002_b", "[('shop', '0001_initial'), ('auth', '0001_initial')]")]
    assert kinds(judge_single_head(django(*forked))) == ["head", "head", "several-heads"]
    assert isinstance(judge_single_head(django(*forked, ("0003_merge", "[('shop', '0002_a'), ('shop', '0002_b')]"))), Held)


def test_a_squashed_migration_stands_for_those_that_it_replaces() -> None:
    seen = django(
        ("0001_initial", "[]"),
        ("0002_a", "[('shop', '0001_initial')]"),
        ("0001_squashed_0002_a", "[]"),
        ("0003_b", "[('shop', '0002_a')]"),
        replaces={"0001_squashed_0002_a": "[('shop', '0001_initial'), ('shop', '0002_a')]"},
    )
    assert isinstance(judge_single_head(seen), Held)


def test_an_app_may_be_called_otherwise_than_its_folder() -> None:
    seen = django(("0001_initial", "[]"), ("0002_a", "[('webshop', '0001_initial'), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]"))
    assert isinstance(judge_single_head(seen), Held)


def test_an_app_whose_first_migration_lives_in_a_package_is_not_judged() -> None:
    assert isinstance(judge_single_head(django(("0014_own", "[('shop', '0013_elsewhere')]"))), Held)


# ---- numbers, lengths


@pytest.mark.parametrize(
    "names", [("V2__a.sql", "V2__b.sql"), ("V1_1__a.sql", "V1.1__b.sql"), ("0007_a.up.sql", "7_b.up.sql"), ("20260102030405_a.rb", "20260102030405_b.rb")]
)
def test_two_files_with_one_number(names: tuple[str, str]) -> None:
    judged = judge_single_head(Histories(histories=(), numbered=tuple(same_numbers(f"db/{name}" for name in names))))
    assert kinds(judged) == ["same-number"]


@pytest.mark.parametrize("names", [("db/V2__a.sql", "other/V2__b.sql"), ("db/V1__a.sql", "db/V11__a.sql"), ("db/0007_a.up.sql", "db/0007_a.down.sql")])
def test_numbers_that_differ(names: tuple[str, str]) -> None:
    assert not list(same_numbers(names))


def test_an_id_of_thirty_two_characters_fits_and_one_more_does_not() -> None:
    assert isinstance(judge_revision_id_length(alembic(a=revision("x" * 32, "None"))), Held)
    judged = judge_revision_id_length(alembic(a=revision("x" * 33, "None")))
    assert isinstance(judged, Broken)
    assert "PostgreSQL refuses" in judged.message


@pytest.mark.parametrize(
    ("text", "widens"),
    [
        (b"ALTER TABLE alembic_version ALTER COLUMN version_num TYPE VARCHAR(255)", True),
        (b'op.alter_column("alembic_version", "version_num", type_=sa.String(length=64))', True),
        (b'op.alter_column("alembic_version", "version_num", type_=sa.Text())', True),
        (b"impl.version_table_impl = ours", True),
        (b"CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)", False),
        (b"SELECT version_num FROM alembic_version", False),
    ],
)
def test_what_makes_room_for_longer_ids(text: bytes, *, widens: bool) -> None:
    assert widens_version_table(text) is widens


# ---- steps

STEPS = tuple(f"setup/{name}.sh" for name in ("check-host", "stop", "migrate-cache", "upgrade-db", "start"))


def forgotten(*callers: tuple[str, str], scripts: tuple[str, ...] = STEPS) -> list[str]:
    return [step.path for step in forgotten_scripts(scripts, [Caller.of(path, text) for path, text in callers])]


def lines(*names: str, verb: str = "source setup/") -> str:
    return "".join(f"{verb}{name}.sh\n" for name in names)


def test_a_step_beside_others_that_are_run_by_name_is_forgotten() -> None:
    assert forgotten(("install.sh", lines("check-host", "stop", "upgrade-db", "start"))) == ["setup/migrate-cache.sh"]


@pytest.mark.parametrize(
    "more",
    [
        "source setup/migrate-cache.sh\n",
        'for step in setup/migrate-*.sh; do . "$step"; done\n',
        '"$here"/setup/migrate-$what.sh\n',
        'for f in $(ls setup); do . "$f"; done\n',
        "run-parts --regex migrate setup\n",
        "steps+=(migrate-cache)\n",
    ],
)
def test_a_step_that_something_may_run_is_not(more: str) -> None:
    assert not forgotten(("install.sh", lines("check-host", "stop", "upgrade-db", "start") + more))


def test_a_line_that_is_commented_out_runs_nothing() -> None:
    assert forgotten(("install.sh", lines("check-host", "stop", "upgrade-db", "start") + "# source setup/migrate-cache.sh\n"))


def test_a_folder_that_nobody_lists_has_no_forgotten_steps() -> None:
    assert not forgotten(("install.sh", lines("check-host", "stop")))
    assert not forgotten(("install.sh", lines("check-host", "stop", "start")), scripts=(*STEPS, *(f"setup/tool-{number}.sh" for number in range(9))))


def test_a_numbered_step_in_a_folder_of_migrations() -> None:
    scripts = tuple(f"db/migrations/{number:03}.sql" for number in range(1, 6))
    text = "".join(f"psql -f db/migrations/{number:03}.sql\n" for number in range(1, 5))
    assert forgotten(("deploy.sh", text), scripts=scripts) == ["db/migrations/005.sql"]


def test_a_step_function_that_nothing_calls() -> None:
    library = "".join(f"migrate_{name}() {{\n  true\n}}\n" for name in ("one", "two", "three", "four"))
    callers = [Caller.of("lib.sh", library), Caller.of("update.sh", "migrate_one\nmigrate_two && migrate_three\n")]
    assert [(step.name, step.line) for step in forgotten_functions({"lib.sh": library}, callers)] == [("migrate_four", 10)]
    callers.append(Caller.of("more.sh", 'migrate_"${version}"\n'))
    assert not list(forgotten_functions({"lib.sh": library}, callers))


@given(st.text(max_size=200))
def test_any_text_may_call(text: str) -> None:
    list(forgotten_scripts(STEPS, [Caller.of("install.sh", lines("check-host", "stop", "upgrade-db") + text)]))
    list(forgotten_functions({"a.sh": text}, [Caller.of("a.sh", text)]))


# ---- a tree


def world(tmp_path: Path, **files: str) -> World:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return World(site=site_of_tree(tmp_path), gates=frozenset({When.STATIC}), tree=Tree(tmp_path, patient=True), hosts={}, environ=os.environ)


TREE = Subject(name="scripts")


def test_a_migration_that_is_called_like_a_test_is_one(tmp_path: Path) -> None:
    files = {"db/versions/1.py": revision("1", "None"), "db/versions/2_add_test_table.py": revision("2", '"1"'), "db/versions/3.py": revision("3", '"2"')}
    seen = migrations.histories(world(tmp_path, **{name: text.decode() for name, text in files.items()}), TREE)
    assert isinstance(judge_single_head(seen), Held)
    assert len(seen.histories[0].revisions) == 3


def test_several_heads_are_meant_where_everything_upgrades_to_heads(tmp_path: Path) -> None:
    files = {f"db/versions/{name}.py": revision(name, "None").decode() for name in ("a", "b")}
    assert isinstance(judge_single_head(migrations.histories(world(tmp_path / "all", **files, **{"run.sh": "alembic upgrade heads\n"}), TREE)), Held)
    one = migrations.histories(world(tmp_path / "one", **files, **{"run.sh": "alembic upgrade head\n"}), TREE)
    assert isinstance(judge_single_head(one), Broken)


def test_the_environment_may_make_room_for_longer_ids(tmp_path: Path) -> None:
    long = revision("y" * 40, "None").decode()
    env = 'connection.execute("ALTER TABLE alembic_version ALTER COLUMN version_num TYPE VARCHAR(128)")\n'
    assert isinstance(judge_revision_id_length(migrations.histories(world(tmp_path / "a", **{"db/versions/1.py": long}), TREE)), Broken)
    assert isinstance(judge_revision_id_length(migrations.histories(world(tmp_path / "b", **{"db/versions/1.py": long, "db/env.py": env}), TREE)), Held)


@pytest.mark.parametrize(
    ("name", "text", "is_told"),
    [
        ("README.md", "After that run setup/migrate-cache.sh once.", True),
        ("tasks.yml", "- script: setup/migrate-cache.sh", True),
        ("CHANGELOG.md", "- feat: setup/migrate-cache.sh", False),
        ("tests/migrate-cache-test.sh", "source setup/migrate-cache.sh", False),
    ],
)
def test_a_step_that_a_document_tells_of_is_run_by_hand(tmp_path: Path, name: str, text: str, *, is_told: bool) -> None:
    scripts = dict.fromkeys(STEPS, "true\n") | {"install.sh": lines("check-host", "stop", "upgrade-db", "start")}
    assert bool(migrations.steps(world(tmp_path, **scripts, **{name: text}), TREE).forgotten) is not is_told
