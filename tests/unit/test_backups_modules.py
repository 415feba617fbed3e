"""Module files: what keeps state, its class, its container and from where, what is left out and why; and the audit table of all of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from interlock.commands.audit import HEADINGS, audit, audit_table
from interlock.config.backup_classes import assigned, classes_of, procedure_of
from interlock.config.load import load_site
from interlock.config.models import BackupClass, ClassRule, Inventory, Site
from interlock.errors import UsageError
from interlock.facts.backup_modules import ModuleFile, ModuleInventory, Statefulness, containers_in_runbook
from interlock.judge.backups import judge_classes
from interlock.observe.backups import module_inventory
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Held, Judgement, Outcome, Unproven, When

STATEFUL: dict[str, Any] = {"spec": {"runtime": {"statefulness": "stateful"}}}


def module(**runtime: str) -> dict[str, Any]:
    return {"spec": {"runtime": {"statefulness": "stateful", **runtime}}}


def tree(folder: Path, modules: dict[str, dict[str, Any]], files: dict[str, str] | None = None) -> Path:
    """A platform: one folder for each module, and any other files."""
    for name, said in modules.items():
        path = folder / "modules" / name
        path.mkdir(parents=True)
        (path / "module.yaml").write_text(yaml.safe_dump({"metadata": {"name": name}, **said}))
    for name, text in (files or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def inventory(folder: Path, **site: Any) -> ModuleInventory:
    """As a scan sees it: with the site file that is given, or without one."""
    if site:
        (folder / "interlock.yaml").write_text(yaml.safe_dump({"interlock": 1, "site": "platform", "inventory": {}, **site}))
        read = load_site(folder / "interlock.yaml", {})
    else:
        read = Site(interlock=1, site="tree", inventory=Inventory()).placed(folder)
    world = World(site=read, gates=frozenset({When.STATIC}), tree=Tree(folder, patient=True), hosts={}, environ={})
    return module_inventory(world)


def judged(folder: Path, **site: Any) -> Judgement:
    return judge_classes(inventory(folder, **site))


def messages(judgement: Judgement) -> dict[str, tuple[str, str]]:
    assert isinstance(judgement, Held | Broken | Unproven)
    return {detail.what: (detail.kind, detail.message) for detail in judgement.details}


# ---- classes


@pytest.mark.parametrize(
    ("name", "letter"),
    [
        ("postgres", "A"),
        ("honcho-postgres", "A"),
        ("agent-plane-shadow-postgres", "A"),
        ("redis", "B"),
        ("infisical-redis", "B"),
        ("vault", "C"),
        ("minio", "D"),
        ("uptime-kuma", "E"),
        ("karakeep-meilisearch", "F"),
        ("searxng", "F"),  # the class table wins over the prose that calls it E
        ("agaria-postgres", "G"),
        ("agaria-redis", "G"),
    ],
)
def test_the_usual_names_have_their_usual_classes(name: str, letter: str) -> None:
    assert classes_of(name, None) == (BackupClass(letter),)


def test_a_site_rule_comes_before_the_usual_ones_and_an_exact_name_before_a_pattern() -> None:
    rules = [
        ClassRule.model_validate({"name": name, "class": letter}) for name, letter in (("*postgres", "G"), ("my-postgres", "E"), ("*-x", "F"), ("y-*", "C"))
    ]
    assert [assigned(name, rules).classes for name in ("postgres", "my-postgres")] == [(BackupClass.G,), (BackupClass.E,)]
    contradiction = assigned("y-x", rules)
    assert (set(contradiction.classes), contradiction.because) == ({BackupClass.F, BackupClass.C}, "*-x and y-*")
    assert classes_of("y-x", BackupClass.B, rules) == (BackupClass.B,)


def test_every_class_has_a_procedure() -> None:
    assert len({procedure_of(letter) for letter in BackupClass}) == len(BackupClass)


def test_each_module_has_one_class_and_one_container(tmp_path: Path) -> None:
    tree(tmp_path, {"honcho-postgres": module(container="honcho-postgres-1"), "wiki": module(container="wiki-1")})
    found = judged(tmp_path)
    assert isinstance(found, Held)
    assert messages(found) == {
        "honcho-postgres": ("", "honcho-postgres: class A (*postgres), container honcho-postgres-1 (modules/honcho-postgres/module.yaml)"),
        "wiki": ("", "wiki: class E (no pattern, so the default), container wiki-1 (modules/wiki/module.yaml)"),
    }


def test_the_site_wins_over_the_module_file_and_that_over_the_name(tmp_path: Path) -> None:
    said = module(container="c")
    said["spec"]["backup"] = {"class": "F"}
    tree(tmp_path, {"postgres": said})
    assert inventory(tmp_path).modules[0].classes == ("F",)
    declared = {"class": "E", "container": "other", "paths": ["/srv/a"], "backups": "/srv/b", "owner": "root"}
    found = inventory(tmp_path, modules={"postgres": declared})
    assert (found.modules[0].classes, found.modules[0].containers[0].name) == (("E",), "other")
    assert messages(judge_classes(found))["postgres"][0] == "class-differs"


# ---- containers


def test_a_container_is_named_by_compose_where_the_module_file_does_not(tmp_path: Path) -> None:
    compose = (
        "name: edge\nservices:\n  grafana: {image: grafana}\n  db: {image: postgres, container_name: wiki-db}\n  metrics: {container_name: metrics-main}\n"
    )
    modules = {"grafana": module(), "wiki": module(service="db"), "metrics-main": module(), "absent": module()}
    tree(tmp_path, modules, {"compose/compose.yaml": compose})
    found = inventory(tmp_path, compose={"files": ["compose/compose.yaml"]})
    named = {one.file.name: [(container.name, container.source) for container in one.containers] for one in found.modules}
    assert named == {
        "grafana": [("edge-grafana-1", "service grafana of compose/compose.yaml")],
        "wiki": [("wiki-db", "service db of compose/compose.yaml")],
        "metrics-main": [("metrics-main", "service metrics of compose/compose.yaml")],
        "absent": [],
    }
    assert messages(judge_classes(found))["absent"][0] == "no-container"


def test_an_overlay_without_a_name_does_not_hide_the_one_of_the_base(tmp_path: Path) -> None:
    files = {"compose.yaml": "services:\n  wiki: {container_name: wiki-1}\n", "compose.prod.yaml": "services:\n  wiki: {restart: always}\n"}
    tree(tmp_path, {"wiki": module()}, files)
    found = inventory(tmp_path, compose={"files": list(files)})
    assert [one.name for one in found.modules[0].containers] == ["wiki-1"]


def test_two_compose_files_that_name_it_differently_are_told(tmp_path: Path) -> None:
    files = {"a.yaml": "services:\n  redis: {container_name: a-redis}\n", "b.yaml": "services:\n  redis: {container_name: b-redis}\n"}
    tree(tmp_path, {"redis": module()}, files)
    assert messages(judged(tmp_path, compose={"files": list(files)}))["redis"][0] == "two-containers"


def test_the_runbook_beside_it_is_the_last_resort(tmp_path: Path) -> None:
    tree(tmp_path, {"wiki": module()}, {"modules/wiki/runbook.md": "# wiki\n\n- **Container:** `wiki-1`\n\ndocker logs wiki-old\n"})
    assert [(one.name, one.source) for one in inventory(tmp_path).modules[0].containers] == [("wiki-1", "modules/wiki/runbook.md")]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Container: `wiki-1`", ("wiki-1",)),
        ("* container name: wiki-1.", ("wiki-1",)),
        ("| Container | `wiki-1` |", ("wiki-1",)),
        ("**Container** = wiki-1", ("wiki-1",)),
        ("    docker exec -it wiki-1 sh\n    docker logs --tail 50 -f wiki-1\n", ("wiki-1",)),
        ("docker exec -u postgres -e A=b db-1 psql", ("db-1",)),
        ("docker inspect -f '{{.State}}' db-1", ("db-1",)),
        ("docker restart a-1\ndocker restart b-1", ("a-1", "b-1")),
        ("docker exec <container> sh", ()),
        ("docker exec $NAME sh", ()),
        ("The container is stopped first: then go on.", ()),
        ("docker compose restart wiki", ()),
    ],
)
def test_a_runbook_names_its_container(text: str, names: tuple[str, ...]) -> None:
    assert containers_in_runbook(text) == names


def test_a_name_that_only_a_variable_tells_is_none(tmp_path: Path) -> None:
    tree(tmp_path, {"wiki": module(container="${PREFIX}-wiki")})
    assert messages(judged(tmp_path))["wiki"][0] == "no-container"


# ---- left out


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"metadata": {"name": "m", "lifecycle": "sunset"}}, "metadata.lifecycle: sunset"),
        ({"spec": {"lifecycle": "parked", **STATEFUL["spec"]}}, "spec.lifecycle: parked"),
        ({"spec": {"lifecycle": {"stage": "Sunsetting"}, **STATEFUL["spec"]}}, "spec.lifecycle: Sunsetting"),
        ({"status": {"phase": "parked since May"}}, "status: parked since May"),
        ({"spec": {"status": "non-canonical", **STATEFUL["spec"]}}, "spec.status: non-canonical"),
        ({"spec": {"canonical": False, **STATEFUL["spec"]}}, "spec.canonical: false"),
        ({"metadata": {"name": "m", "labels": {"platform.example.org/lifecycle": "retired"}}}, "metadata.labels.lifecycle: retired"),
        ({"spec": {"parked": True, **STATEFUL["spec"]}}, "spec.parked: true"),
        ({"spec": {"backup": {"excluded": "samples can be lost"}, **STATEFUL["spec"]}}, "spec.backup.excluded: samples can be lost"),
    ],
)
def test_what_is_left_out_is_told_with_its_reason(tmp_path: Path, said: dict[str, Any], reason: str) -> None:
    tree(tmp_path, {"m": {**STATEFUL, **said}})
    found = judged(tmp_path)
    assert isinstance(found, Held)
    assert messages(found)["m"] == ("", f"m: left out ({reason})")
    assert found.message == "of 1 module files none keeps state; 1 more is left out with a reason"


@pytest.mark.parametrize(
    "said", [{"lifecycle": "active"}, {"status": "archiving nightly"}, {"canonical": True}, {"stage": "production"}, {"sunset": "2031-01-01"}]
)
def test_a_module_that_is_in_use_is_not_left_out(tmp_path: Path, said: dict[str, Any]) -> None:
    tree(tmp_path, {"m": {"spec": {**said, **STATEFUL["spec"]}}})
    assert messages(judged(tmp_path))["m"][0] == "no-container"


def test_what_the_site_backs_up_is_not_left_out_whatever_its_file_says(tmp_path: Path) -> None:
    tree(tmp_path, {"m": {"spec": {"lifecycle": "parked", **STATEFUL["spec"]}}})
    declared = {"class": "E", "container": "m-1", "paths": ["/srv/a"], "backups": "/srv/b", "owner": "root"}
    assert "left out" not in messages(judged(tmp_path, modules={"m": declared}))["m"][1]


def test_the_site_can_exclude_a_container(tmp_path: Path) -> None:
    tree(tmp_path, {"m": module(container="m-1")})
    found = judged(tmp_path, excluded=[{"container": "m-*", "reason": "a copy of the other site"}])
    assert messages(found)["m"] == ("", "m: left out (excluded by the site: a copy of the other site)")


def test_a_stateful_module_that_the_site_does_not_back_up_is_counted(tmp_path: Path) -> None:
    tree(tmp_path, {"m": module(container="m-1"), "n": module(container="n-1")})
    declared = {"class": "E", "paths": ["/srv/a"], "backups": "/srv/b", "owner": "root"}
    found = judged(tmp_path, modules={"m": declared})
    assert isinstance(found, Held)
    assert found.message == "of 2 module files 2 keep state, and each has a class and a container; for 1 of them the site declares no backups"


# ---- what could not be told


def test_no_module_file_proves_nothing(tmp_path: Path) -> None:
    assert isinstance(judged(tmp_path), Unproven)


def test_many_modules_with_one_fault_are_told_by_their_names(tmp_path: Path) -> None:
    tree(tmp_path, {f"m{number}": module() for number in range(7)} | {"odd": {"spec": {"runtime": {"statefulness": "stateful"}, "backup": {"class": "H"}}}})
    found = judged(tmp_path)
    assert isinstance(found, Broken)
    assert found.message == (
        "8 of 8 modules cannot be backed up as they are declared: nothing says how the container is called of m0, m1, m2, m3, m4 and 2 more; "
        "odd: modules/odd/module.yaml names the class 'H', which there is not"
    )


def test_stateless_modules_alone_hold(tmp_path: Path) -> None:
    tree(tmp_path, {"proxy": {"spec": {"runtime": {"statefulness": "stateless"}}}})
    assert isinstance(judged(tmp_path), Held)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("metadata: {name: m}\nspec: {}\n", "statefulness-unsaid"),
        ("spec: {runtime: {statefulness: maybe}}\n", "statefulness-unknown"),
        ("spec: {runtime: {statefulness: stateful}\n", "could-not-look"),
        ("- a list\n", "could-not-look"),
        ("", "could-not-look"),
        ("<<<<<<< HEAD\n", "could-not-look"),
    ],
)
def test_a_file_that_does_not_tell_is_unproven(tmp_path: Path, text: str, kind: str) -> None:
    tree(tmp_path, {"m": module(container="m-1")})
    (tmp_path / "modules" / "m" / "module.yaml").write_text(text)
    found = judged(tmp_path, inventory={})
    assert isinstance(found, Unproven)
    assert messages(found)["m"][0] == kind


def test_a_module_folder_that_cannot_be_listed_is_unproven(tmp_path: Path) -> None:
    tree(tmp_path, {"m": module(container="m-1"), "hidden": module()})
    (tmp_path / "modules" / "hidden").chmod(0)
    try:
        found = judged(tmp_path)
    finally:
        (tmp_path / "modules" / "hidden").chmod(0o700)
    if os.geteuid():
        assert isinstance(found, Unproven)
    else:
        assert messages(found)["hidden"][0] == "no-container"  # root sees it


def test_an_empty_module_file_beside_good_ones_shuts_nothing_but_its_own(tmp_path: Path) -> None:
    tree(tmp_path, {"m": module(container="m-1"), "n": {"spec": {}}})
    assert [detail.outcome for detail in judged(tmp_path, inventory={}).details] == [Outcome.HELD, Outcome.UNPROVEN]  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["name: views\ntype: module\n", "name: {{ name }}\n", "- a list: [\n"])
def test_a_module_file_of_another_program_is_none_of_ours_unless_it_was_declared(tmp_path: Path, text: str) -> None:
    tree(tmp_path, {"views": {}})
    (tmp_path / "modules" / "views" / "module.yaml").write_text(text)
    assert isinstance(judged(tmp_path), Held)
    assert isinstance(judged(tmp_path, inventory={}), Unproven)
    (tmp_path / "modules" / "views" / "module.yaml").write_text("spec: {runtime: {statefulness: stateful}\n")
    assert isinstance(judged(tmp_path), Unproven)


def test_two_module_files_of_one_name_are_told_by_their_paths(tmp_path: Path) -> None:
    tree(tmp_path, {"a": {"metadata": {"name": "m"}, **module(container="c")}, "b": {"metadata": {"name": "m"}, **module(container="d")}})
    assert {what: kind for what, (kind, _) in messages(judged(tmp_path)).items()} == dict.fromkeys(
        ("modules/a/module.yaml", "modules/b/module.yaml"), "same-name"
    )


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("modules/*/module.yaml", ["modules/a/module.yaml"]),
        ("**/module.yaml", ["modules/a/module.yaml", "modules/deep/b/module.yaml"]),
        ("modules/**/module.y?ml", ["modules/a/module.yaml", "modules/deep/b/module.yaml"]),
        ("modules/a/module.yaml", ["modules/a/module.yaml"]),
        ("modules/gone/module.yaml", ["modules/gone/module.yaml"]),  # and is told to be unproven
    ],
)
def test_a_pattern_stands_for_one_folder_or_for_many(tmp_path: Path, pattern: str, found: list[str]) -> None:
    tree(tmp_path, {"a": module(container="c"), "deep/b": module(container="d")})
    assert [one.file.path for one in inventory(tmp_path, inventory={"modules": [pattern]}).modules] == found


_DATA = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.sampled_from(["stateful", "parked", "A"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["spec", "runtime", "statefulness", "container", "lifecycle", "metadata", "name", "backup", "excluded"]), inner, max_size=4
        ),
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(["spec", "metadata", "status", "name"]), _DATA))
def test_a_module_file_may_say_anything(data: dict[str, Any]) -> None:
    found = ModuleFile.of("modules/m/module.yaml", data)
    assert found.name
    assert found.statefulness in Statefulness


@given(st.text())
def test_a_runbook_may_say_anything(text: str) -> None:
    assert all(name and " " not in name for name in containers_in_runbook(text))


# ---- the audit table

TABLE = """\
4 of 5 modules keep state, or do not say; 1 of them are left out.

| module | class | procedure | container | restore note | status |
| --- | --- | --- | --- | --- | --- |
| honcho-postgres | A | `pg_dumpall`, compressed, by `ops/dump.sh` | `honcho-1` (modules/honcho-postgres/module.yaml) | docs/restore.md | assigned |
| odd | H |  | `odd\\|1` (modules/odd/module.yaml) |  | broken: modules/odd/module.yaml names the class 'H', which there is not |
| wiki | E | archive of its mounted data | `wiki-1` (modules/wiki/runbook.md) |  | no entry below `modules` |
| old | | | | | left out: spec.lifecycle: parked |
"""


def test_the_audit_table_has_a_line_for_each_module_and_what_is_left_out_comes_last(tmp_path: Path) -> None:
    odd = module(container="odd|1")
    odd["spec"]["backup"] = {"class": "H"}
    modules = {"wiki": module(), "honcho-postgres": module(container="honcho-1"), "odd": odd, "old": {"spec": {"lifecycle": "parked", **STATEFUL["spec"]}}}
    modules["proxy"] = {"spec": {"runtime": {"statefulness": "stateless"}}}
    tree(tmp_path, modules, {"modules/wiki/runbook.md": "Container: wiki-1\n"})
    declared = {"class": "A", "backups": "/srv/b", "owner": "root", "procedure": "ops/dump.sh", "restore_note": "docs/restore.md"}
    assert audit_table(inventory(tmp_path, modules={"honcho-postgres": declared})) == TABLE.replace("| old | | | | | ", "| old |  |  |  |  | ")


def test_an_audit_without_module_files_says_where_to_name_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no module files"):
        audit(Site(interlock=1, site="tree").placed(tmp_path), {})


def test_an_audit_of_a_site_reads_its_tree(tmp_path: Path) -> None:
    tree(tmp_path, {"wiki": module(container="wiki-1")})
    found = audit(Site(interlock=1, site="tree", inventory=Inventory()).placed(tmp_path), {})
    assert found.splitlines()[2] == f"| {' | '.join(HEADINGS)} |"
    assert found.endswith("| wiki | E | archive of its mounted data | `wiki-1` (modules/wiki/module.yaml) |  | assigned |\n")
