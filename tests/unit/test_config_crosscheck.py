"""What a site file names must exist, and nothing in it may contradict itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from interlock.config.load import load_site
from interlock.errors import ConfigError

KNOWN = {"mounts", "mounts.state_disk", "approval.decisions", "backups", "backups.mode_0600"}
SITE = """interlock: 1
site: whole
hosts: {db: {}}
mounts: {state: {host: db, path: /data, device: LABEL=state}}
modules: {ledger: {host: db, paths: [/data/ledger], backups: /backups/ledger, owner: root}}
instances: {one: {host: db, directory: /srv/one}, two: {directory: /srv/one}}
templates: {conf: {template: t, canonical: c, target: x.conf, instances: [one]}, env: {template: t, canonical: c, target: .env}}
expect: {up: {host: db, port: {address: "127.0.0.1:80"}}}
approval: {allowed_signers: keys}
actions: {go: {gate: [mounts, backups.mode_0600], steps: [
  {backup: {modules: [ledger]}},
  {write-files: {templates: [conf, env], instances: [one]}},
  {command: {run: [ls], host: db}},
  {verify: {expect: [up]}}]}}
"""


@pytest.fixture
def faults(tmp_path: Path) -> Callable[[str], list[tuple[str, str]]]:
    """What is wrong with a text, and what to do about it."""

    def of(text: str) -> list[tuple[str, str]]:
        path = tmp_path / "interlock.yaml"
        path.write_text(text)
        try:
            load_site(path, {}, known=KNOWN)
        except ConfigError as error:
            return [(problem.what, problem.remedy) for problem in error.problems]
        return []

    return of


Faults = Callable[[str], list[tuple[str, str]]]


def test_a_site_that_fits_together_has_no_fault(faults: Faults) -> None:
    assert faults(SITE) == []


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("state: {host: db", "state: {host: dbx", "mounts.state.host names the host 'dbx', which the site does not have"),
        ("ledger: {host: db", "ledger: {host: dbx", "modules.ledger.host names the host 'dbx', which the site does not have"),
        ("one: {host: db", "one: {host: dbx", "instances.one.host names the host 'dbx', which the site does not have"),
        ("up: {host: db", "up: {host: dbx", "expect.up.host names the host 'dbx', which the site does not have"),
        ("[ls], host: db", "[ls], host: dbx", "actions.go.steps[2].command.host names the host 'dbx', which the site does not have"),
        ("instances: [one]}, env", "instances: [one, tow]}, env", "templates.conf.instances[1] names the instance 'tow', which the site does not have"),
        (
            "env], instances: [one]",
            "env], instances: [oen]",
            "actions.go.steps[1].write-files.instances[0] names the instance 'oen', which the site does not have",
        ),
        ("templates: [conf", "templates: [cnf", "actions.go.steps[1].write-files.templates[0] names the template 'cnf', which the site does not have"),
        ("modules: [ledger]", "modules: [leger]", "actions.go.steps[0].backup.modules[0] names the module 'leger', which the site does not have"),
        ("expect: [up]", "expect: [upp]", "actions.go.steps[3].verify.expect[0] names the expectation 'upp', which the site does not have"),
        ("gate: [mounts", "gate: [mount", "actions.go.gate[0] names 'mount', which is neither a family nor a guardrail"),
    ],
)
def test_a_name_that_does_not_exist_is_told_with_the_nearest_that_does(faults: Faults, old: str, new: str, what: str) -> None:
    ((said, remedy),) = faults(SITE.replace(old, new))
    assert said == what
    assert remedy.startswith("did you mean ")


def test_a_name_that_is_like_none_is_told_with_all_of_them(faults: Faults) -> None:
    assert faults(SITE.replace("modules: [ledger]", "modules: [xyz]"))[0][1] == "declare it below `modules`, or name one that is there: ledger"


def test_this_machine_is_a_host_without_being_declared(faults: Faults) -> None:
    assert (
        faults(SITE.replace("one: {host: db", "one: {host: local").replace("two: {d", "two: {host: db, d").replace("up: {host: db", "up: {host: local")) == []
    )


def test_this_machine_is_not_reached_by_ssh(faults: Faults) -> None:
    assert [what for what, _ in faults(SITE.replace("{db: {}}", "{db: {}, local: {ssh: {destination: x}}}"))] == ["local is this machine, and needs no ssh"]
    assert faults(SITE.replace("{db: {}}", "{db: {}, local: {become: sudo -n}}")) == []


def test_two_instances_cannot_share_a_directory_on_one_host(faults: Faults) -> None:
    found = faults(SITE.replace("two: {directory: /srv/one}", "two: {host: db, directory: //srv/./one/}"))
    assert [what for what, _ in found] == ["instances.two.directory is the directory of instances.one too, on the same host"]


def test_two_modules_cannot_share_a_directory_of_backups(faults: Faults) -> None:
    found = faults(SITE.replace("owner: root}}", "owner: root}, b: {host: db, paths: [/b], backups: /backups/ledger, owner: root}}"))
    assert [what for what, _ in found] == ["modules.b.backups is the backups of modules.ledger too, on the same host"]


def test_a_template_needs_an_instance(faults: Faults) -> None:
    found = faults("interlock: 1\nsite: x\ntemplates: {t: {template: a, canonical: b, target: c}}\n")
    assert found == [("there is no instance to render templates.t for", "declare one below `instances`")]


def test_two_templates_cannot_write_one_file(faults: Faults) -> None:
    found = faults(SITE.replace("target: .env", "target: ./x.conf"))
    assert [what for what, _ in found] == ["templates.env.target is the target of templates.conf too, on instance one"]
    assert faults(SITE.replace("target: .env", "target: x.conf, instances: [two]").replace("[conf, env]", "[conf]")) == []


def test_a_step_cannot_write_a_template_for_an_instance_that_it_is_not_rendered_for(faults: Faults) -> None:
    found = faults(SITE.replace("env], instances: [one]", "env], instances: [one, two]"))
    assert [what for what, _ in found] == ["actions.go.steps[1].write-files.instances[1]: conf is not rendered for instance two"]


def test_an_action_by_signature_needs_signers(faults: Faults) -> None:
    unsigned = SITE.replace("approval: {allowed_signers: keys}\n", "")
    assert [what for what, _ in faults(unsigned)] == ["actions.go must be approved by signature, and the site does not say whose counts"]
    assert faults(unsigned.replace("{go: {gate", "{go: {approval: operator, gate")) == []


@pytest.mark.parametrize(("family", "section"), [("mounts", "mounts"), ("backups", "modules"), ("templates", "templates")])
def test_what_is_declared_is_not_unused(faults: Faults, family: str, section: str) -> None:
    found = faults(SITE + f"not_used: {{{family}: no}}\n")
    assert [what for what, _ in found] == [f"not_used says that {family} is not used, and the site declares `{section}`"]


def test_gates_are_not_checked_when_nobody_says_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "interlock.yaml").write_text(SITE.replace("gate: [mounts", "gate: [mount"))
    assert load_site(tmp_path / "interlock.yaml", {}).actions["go"].gate == ("mount", "backups.mode_0600")


def test_names_are_checked_beside_wrong_types(faults: Faults) -> None:
    found = faults(SITE.replace("owner: root", "owner: 0").replace("expect: [up]", "expect: [upp]"))
    assert [what.split(" ")[0] for what, _ in found] == ["modules.ledger.owner", "actions.go.steps[3].verify.expect[0]"]


BARE = "interlock: 1\nsite: bare\n"


@pytest.mark.parametrize(
    ("modules", "told"),
    [
        ("{app: {backups: /b, owner: x}}", True),
        ("{app: {class: A, backups: /b, owner: x}}", False),
        ("{app: {class: B, backups: /b, owner: x}}", True),
        ("{postgres: {backups: /b, owner: x}}", False),
        ("{postgres: {class: E, backups: /b, owner: x}}", True),
        ("{app: {paths: [/a], backups: /b, owner: x}}", False),
    ],
)
def test_only_a_dump_can_do_without_the_directories_of_an_archive(faults: Faults, modules: str, told: bool) -> None:
    found = [what for what, _ in faults(BARE + f"modules: {modules}\n")]
    assert [what for what in found if "does not name the directories" in what] == found
    assert bool(found) is told


def test_a_database_is_not_its_own_copy(faults: Faults) -> None:
    databases = "databases: {a: {dsn_env: A}, b: {dsn_env: A}, c: {dsn_env: C}}\n"
    for source, target, told in (("a", "a", True), ("a", "b", True), ("a", "c", False)):
        found = [what for what, _ in faults(BARE + databases + f"parity: {{move: {{source: {source}, target: {target}}}}}\n")]
        assert found == (["parity.move.target is its own source"] if told else [])


def test_the_overlays_of_both_layouts_do_not_stand_in_one_chain(faults: Faults) -> None:
    disks = "mounts: {state: {path: /s, device: x}, data: {path: /d, device: y}, layout: flat, overlays: {nested: n.yml, flat: ./f.yml}}\n"
    compose = "compose: {files: [b.yml, n.yml, f.yml], chains: {one: {files: [b.yml, n.yml, f.yml]}, two: {files: [b.yml, f.yml]}}}\n"
    assert [what for what, _ in faults(BARE + disks + compose)] == ["compose.chains.one holds the overlays of both layouts, n.yml and f.yml"]


def test_a_chain_is_made_of_the_sites_compose_files(faults: Faults) -> None:
    found = faults(BARE + "compose: {files: [base.yml], chains: {one: {files: [bse.yml]}}}\n")
    assert found == [("compose.chains.one.files[0] names 'bse.yml', which is not among compose.files", "did you mean base.yml?")]


def test_a_name_stands_for_one_class(faults: Faults) -> None:
    found = [what for what, _ in faults(BARE + "inventory: {classes: [{name: x, class: A}, {name: x, class: B}, {name: y, class: A}]}\n")]
    assert found == ["x is in class A and in class B"]


def test_an_action_that_carries_out_a_task_asks_whether_it_may_begin(faults: Faults) -> None:
    steps = "steps: [{command: {run: [x]}}], approval: operator, task: WP-1-T1"
    for gate, told in (("", False), (", gate: [mounts]", True), (", gate: [mounts, approval.decisions]", False)):
        found = faults(BARE + f"workplans: {{}}\nactions: {{go: {{{steps}{gate}}}}}\n")
        wanted = ("actions.go.gate does not ask whether the task that it carries out may begin", "add `approval.decisions` to it, or take `task` out")
        assert found == ([wanted] if told else [])


def test_an_issue_and_a_task_are_kept_somewhere(faults: Faults) -> None:
    found = faults(BARE + "actions: {go: {steps: [{command: {run: [x]}}], approval: operator, task: WP-1-T1, issue: 3}}\n")
    assert {remedy for _, remedy in found} == {"declare `approval.issue`", "declare `workplans`"}
