"""Crontabs, makefiles, conditions and workflows as nouns: what each text says, whatever it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config.models import Site
from interlock.facts.conditions import UNKNOWN, evaluate, may_run
from interlock.facts.cron import CronLine, is_crontab_path, is_system_path, parse_crontab
from interlock.facts.looks import HostFacts, ReadFolder
from interlock.facts.makefiles import parse_makefile
from interlock.facts.workflows import NotWorkflow, Workflow, fill
from interlock.judge.automation import judge_no_automatic_apply, starters
from interlock.observe import automation, hosts
from interlock.observe.automation import TreeSources
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Subject, Unproven, When
from tests.strategies import cron_lines, expressions

# ---- crontabs


@given(lines=st.lists(cron_lines(), max_size=5), system=st.booleans())
def test_what_a_crontab_says_is_what_was_written(lines: list[tuple[str, str, str]], system: bool) -> None:
    user = "root" if system else ""
    written = [CronLine(when=when, command=command, line=number, user=user, stdin=stdin) for number, (when, command, stdin) in enumerate(lines, start=1)]
    found = parse_crontab("".join(f"{line.render()}\n" for line in written), system=system)
    assert list(found.lines) == written
    assert found.refused == ()


@given(st.text())
def test_every_line_of_a_crontab_is_something(text: str) -> None:
    found = parse_crontab(text)
    known = [line.strip(" \t\r") for line in text.split("\n")]
    counted = [line for line in known if line and not line.startswith("#")]
    assert len(found.lines) + len(found.refused) <= len(counted) <= len(found.lines) + len(found.refused) + sum("=" in line for line in counted)


def test_a_crontab_with_all_that_it_can_have() -> None:
    text = r"""MAILTO=""
PATH = /usr/bin:/bin
# m h dom mon dow
*/5 8-18/2 1,15 JAN-DEC MON-FRI cmd one
@reboot cmd two
0 3 * * * cmd %first%second \% \%
@often x
nonsense
"""
    found = parse_crontab(text, system=False)
    assert [(line.when, line.command, line.stdin, line.line) for line in found.lines] == [
        ("*/5 8-18/2 1,15 JAN-DEC MON-FRI", "cmd one", "", 4),
        ("@reboot", "cmd two", "", 5),
        ("0 3 * * *", "cmd ", "first\nsecond % %", 6),
    ]
    assert found.variables == {"MAILTO": "", "PATH": "/usr/bin:/bin"}
    assert [refused.line for refused in found.refused] == [7, 8]


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("0 1 * * * root /usr/bin/x\n", "root"),
        ("0 1 * * * deploy cd /srv && make\n", "deploy"),
        ("0 1 * * * /usr/bin/x\n", ""),
        ("0 1 * * * certbot renew\n", ""),
        ("0 1 * * * cd /srv && make\n", ""),
        ("0 1 * * * root /x\n0 2 * * * /y\n", ""),
    ],
)
def test_the_column_of_the_user_is_known_by_what_stands_there(text: str, user: str) -> None:
    assert parse_crontab(text).lines[0].user == user


def test_the_path_of_a_crontab_tells_what_it_is() -> None:
    assert [is_system_path(path) for path in ("etc/cron.d/app", "/etc/crontab", "/var/spool/cron/crontabs/root", "ops/crontab")] == [True, True, False, None]
    assert all(is_crontab_path(path) for path in ("crontab", "ops/crontab.txt", "app.crontab", "x.cron", "etc/cron.d/app", "deploy-crontab", "root.crontab.j2"))
    assert not any(is_crontab_path(path) for path in ("crontab.py", "cron.yaml", "cron.d/README.md", "cron.d/.placeholder", "docs/crontab.md", "cron.daily/x"))


# ---- makefiles


def test_a_makefile_with_all_that_it_can_have() -> None:
    text = """\
include x.mk
ENV ?= .env
DC := docker compose --env-file=${ENV}
all: up
.PHONY: up down
up down: build | dir
\t@$(DC) \\
\t  $@ -d
\t-echo $$HOME $(NOBODY)
build: ; $(DC) build
X::
\ttrue
"""
    found = parse_makefile(text)
    assert (found.first, found.includes) == ("all", ("x.mk",))
    assert found.targets["all"].needs == ("up",)
    assert found.targets["up"].needs == ("build", "dir")
    assert [(line.text, line.line) for line in found.targets["up"].recipe] == [("docker compose --env-file=.env  up -d", 7), ("echo $HOME ${NOBODY}", 9)]
    assert found.targets["down"].recipe[0].text == "docker compose --env-file=.env  down -d"
    assert found.targets["build"].recipe[0].text == "docker compose --env-file=.env build"
    assert found.targets["X"].recipe[0].text == "true"


@given(st.text(alphabet="ab:=\t\n $(){}\\@-#;|?+", max_size=120))
def test_any_text_is_some_makefile(text: str) -> None:
    found = parse_makefile(text)
    assert all(1 <= line.line <= text.count("\n") + 1 for target in found.targets.values() for line in target.recipe)


# ---- conditions


@pytest.mark.parametrize(
    ("condition", "event", "value"),
    [
        ("'a' == 'A'", "push", True),
        ("github.event_name == 'push' && true", "push", True),
        ("github.event_name != 'push'", "push", False),
        ("!(github.event_name == 'push')", "push", False),
        ("github.event.pull_request.merged == true", "push", False),
        ("github.event.pull_request.merged == true", "pull_request", UNKNOWN),
        ("startsWith(github.ref, 'refs/tags/')", "push", UNKNOWN),
        ("startsWith(github.ref, 'refs/heads/')", "pull_request", False),
        ("contains('a,b', 'b')", "push", True),
        ("x.y || true", "push", True),
        ("x.y && false", "push", False),
        ("vars.A == 'x' || github.event_name == 'schedule'", "push", UNKNOWN),
        ("${{ github.event_name }} == 'push'", "push", True),
        ("1 == 1", "push", True),
        ("null == ''", "push", True),
        ("'it''s'", "push", "it's"),
        ("github['event_name'] == 'x'", "push", UNKNOWN),
        ("a b", "push", UNKNOWN),
        ("((", "push", UNKNOWN),
    ],
)
def test_what_an_expression_comes_to_for_an_event(condition: str, event: str, value: object) -> None:
    assert evaluate(condition, event) == value


@given(expression=expressions(), event=st.sampled_from(["push", "schedule"]))
def test_an_expression_of_known_values_comes_to_what_python_says(expression: tuple[str, str], event: str) -> None:
    written, python = expression
    assert bool(evaluate(written, event)) is bool(eval(python, {"event": event}))


@given(st.text(max_size=80))
def test_an_expression_that_cannot_be_read_may_hold(text: str) -> None:
    assert may_run(text, "push") in (True, False)
    assert may_run(f"{text} ) (", "push")


# ---- workflows


_KEYS = st.sampled_from(["on", "jobs", "steps", "run", "uses", "needs", "if", "with", "env", "runs-on", "a", "push"])
_SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
_DATA = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=25)


@given(_DATA)
def test_any_yaml_is_a_workflow_or_says_why_not(tmp_path_factory: pytest.TempPathFactory, data: object) -> None:
    import yaml

    root = tmp_path_factory.mktemp("any")
    (root / "w.yml").write_text(yaml.safe_dump({"on": data, "jobs": {"a": data, "b": {"steps": data, "runs-on": data, "needs": data}}}))
    found = TreeSources(Tree(root)).workflow("w.yml")
    assert isinstance(found, Workflow | NotWorkflow)


def test_on_is_a_word_and_no_truth(tmp_path: Path) -> None:
    (tmp_path / "w.yml").write_text("on:\n  push:\n    branches: [main]\njobs: {a: {steps: []}}\n")
    found = TreeSources(Tree(tmp_path)).workflow("w.yml")
    assert isinstance(found, Workflow)
    assert [(str(trigger), trigger.line) for trigger in found.triggers] == [("push to main", 2)]


@given(st.text(max_size=60), st.text(alphabet="abc. ", max_size=10))
def test_what_is_filled_in_for_expressions_can_be_shown_again(text: str, inside: str) -> None:
    filled = fill(f"{text}${{{{ {inside} }}}}x")
    assert "${{" not in filled.text.replace(text, "")
    assert "${{ " + " ".join(inside.split()) + " }}" in filled.shown(filled.text)


# ---- the crontabs of a host, by the real probe


def host_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostFacts:
    """What the probe of this machine brings of folders that stand in for those of /etc."""
    folders = tuple(replace(folder, path=str(tmp_path / folder.path.lstrip("/"))) for folder in automation._FOLDERS)
    monkeypatch.setattr(automation, "_FOLDERS", folders)
    site = Site(interlock=1, site="s")
    facts = hosts.observe(site, {"local": frozenset(ReadFolder(folder.path, folder.suffixes) for folder in folders)}, tmp_path)["local"]
    assert isinstance(facts, HostFacts)
    return facts


def see(tmp_path: Path, facts: HostFacts, **declared: object) -> automation.Starters:
    tree = tmp_path / "tree"
    tree.mkdir(exist_ok=True)
    site = Site.model_validate({"interlock": 1, "site": "s", "automation": {"hosts": ["local"], **declared}})
    world = World(site=site, gates=frozenset({When.PREFLIGHT}), tree=Tree(tree), hosts={"local": facts}, environ={})
    found = automation.see(world, Subject(name="cron"))
    assert isinstance(found, automation.Starters)
    return found


def write(tmp_path: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)


def test_the_crontabs_of_a_host_are_read_where_cron_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        tmp_path,
        {
            "etc/crontab": "17 * * * * root cd / && run-parts /etc/cron.hourly\n",
            "etc/cron.d/app": "0 4 * * * root docker compose -f /srv/app/compose.yaml up -d\n",
            "var/spool/cron/crontabs/kim": "0 5 * * * docker restart app\n",
        },
    )
    judged = judge_no_automatic_apply(see(tmp_path, host_facts(tmp_path, monkeypatch)))
    assert isinstance(judged, Broken)
    told = [detail.message for detail in judged.details if detail.outcome == "broken"]
    assert [message.partition(" → ")[0] for message in told] == ["cron 0 4 * * * as root", "cron 0 5 * * *"]


def test_a_host_without_crontabs_is_held_and_one_that_hides_them_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = host_facts(tmp_path, monkeypatch)
    assert judge_no_automatic_apply(see(tmp_path, facts)).message == "there are no crontabs on local: nothing applies by itself"
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "cron.d").write_text("a file where a folder should be")
    (tmp_path / "again").mkdir()
    site = Site(interlock=1, site="s")
    again = hosts.observe(site, {"local": frozenset(ReadFolder(folder.path, folder.suffixes) for folder in automation._FOLDERS)}, tmp_path / "again")["local"]
    assert isinstance(again, HostFacts)
    assert isinstance(judge_no_automatic_apply(see(tmp_path, again)), Unproven)


def test_a_line_that_the_tree_declares_may_apply_on_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "0 4 * * * root docker compose -f /srv/app/compose.yaml up -d\n"
    write(tmp_path, {"etc/cron.d/app": line, "tree/etc/cron.d/app": line})
    declared = [{"path": "etc/cron.d/app", "reason": "renews", "owner": "kim"}]
    judged = judge_no_automatic_apply(see(tmp_path, host_facts(tmp_path, monkeypatch), automatic=declared))
    assert "automatic by declaration (kim: renews)" in judged.message  # type: ignore[union-attr]


def test_the_hosts_that_are_looked_at_as_root_have_their_crontabs_looked_at() -> None:
    site = {
        "interlock": 1,
        "site": "s",
        "hosts": {"a": {"become": "sudo -n"}, "b": {"ssh": {"destination": "root@b"}}, "c": {"ssh": {"destination": "kim@c"}}},
        "automation": {"workflows": ["w.yml"]},
    }
    assert [subject.id for subject in starters(Site.model_validate(site)) if subject.name == "cron"] == ["cron@a", "cron@b"]
    site["automation"] = {"hosts": ["c"]}
    assert [subject.id for subject in starters(Site.model_validate(site)) if subject.name == "cron"] == ["cron@c"]
