"""An env patch as a step of an action: planned, shown, applied, undone, found again after a crash, and never told in values."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from interlock import runner
from interlock.act import journal as journals
from interlock.act.books import StoredPlan
from interlock.change.showing import plan_text, title
from interlock.config.load import load_site
from interlock.errors import ConfigError, CouldNotLook, StaleError
from interlock.facts.canonical import digest, short
from interlock.gate.journal import Standing, State
from interlock.gate.plan import EndpointPlan, EnvFilePlan, EnvPatchPlan
from interlock.gaterun.run import declared_secrets
from interlock.verdicts import When
from tests.tiny_site import SECRET, Tiny, a_run, again, make_tiny

PATCH = "{file: .env, instances: [main], values: {RELEASE: '2.1', DB_PASSWORD: '${TINY_PASSWORD}', NEW: x y}}"
STEP = f"      - env-patch: {PATCH}\n"
SWITCH = f"      - endpoint: {{env-patch: {PATCH}, after: [deployed]}}\n"
DEPLOY = "      - command: {run: [bin/deploy], undo: [bin/undeploy], done: [bin/deployed]}\n"
FAIL = "      - command: {run: ['false'], undo: ['true']}\n"

OLD = b"# the app\r\nRELEASE=2.0 # was 1.9\r\nexport DB_PASSWORD='an-older-one'\r\nOTHER=\"another-one\"\nNAME=app-$RELEASE\r\n"
NEW = (
    b"# the app\r\nRELEASE=2.1 # was 1.9\r\nexport DB_PASSWORD='" + SECRET.encode() + b'\'\r\nOTHER="another-one"\nNAME=app-$RELEASE\r\n'
    b"\r\n# added by interlock\r\nNEW='x y'\r\n"
)
HIDDEN = (SECRET, "an-older-one", "another-one")


def with_env(tmp_path: Path, steps: str = STEP, content: bytes = OLD, **changed: object) -> Tiny:
    tiny = make_tiny(tmp_path, steps=steps, **changed)  # type: ignore[arg-type]
    env_file(tiny).write_bytes(content)
    env_file(tiny).chmod(0o640)
    return tiny


def env_file(tiny: Tiny) -> Path:
    return tiny.instance / ".env"


def state(tiny: Tiny) -> tuple[bytes, int]:
    return env_file(tiny).read_bytes(), env_file(tiny).stat().st_mode & 0o7777


def apply(tiny: Tiny, stored: StoredPlan) -> runner.Outcome:
    return runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means())


def standing(tiny: Tiny) -> Standing:
    trail = journals.newest(tiny.books.journals)
    assert trail is not None
    return Standing.of(trail)


def the_file(stored: StoredPlan) -> EnvFilePlan:
    (step,) = [step.switch if isinstance(step, EndpointPlan) else step for step in stored.plan.steps if step.kind in ("env-patch", "endpoint")]
    assert isinstance(step, EnvPatchPlan)
    return step.files[0]


# ---- the plan


@pytest.mark.parametrize("steps", [STEP, SWITCH])
def test_the_plan_names_the_variables_and_the_digests_and_no_value(tmp_path: Path, steps: str) -> None:
    tiny = with_env(tmp_path, steps)
    stored = tiny.plan()
    file = the_file(stored)
    assert (file.set, file.appended) == (("RELEASE", "DB_PASSWORD"), ("NEW",))
    assert (file.host, file.directory, file.target) == ("local", str(tiny.instance), str(env_file(tiny)))
    assert (file.new.digest, file.new.size, file.new.mode, file.new.content) == (digest(NEW), len(NEW), "0640", "patched")
    assert file.old is not None
    assert (file.old.digest, file.old.mode) == (digest(OLD), "0640")
    assert not list((stored.folder / "blobs").iterdir())


def test_an_absolute_file_lies_on_its_host(tmp_path: Path) -> None:
    tiny = with_env(tmp_path, f"      - env-patch: {{file: {tmp_path}/site/./instance/.env, values: {{RELEASE: '2.1'}}}}\n")
    file = the_file(tiny.plan())
    assert (file.directory, file.target, file.set) == (str(tiny.instance), str(env_file(tiny)), ("RELEASE",))


def test_a_file_that_is_as_it_should_be_is_not_written(tmp_path: Path) -> None:
    tiny = with_env(tmp_path, content=NEW)
    stored = tiny.approved()
    assert the_file(stored).unchanged
    assert title(stored.plan.steps[0]) == "patch env files: all are as they should be"
    before = env_file(tiny).stat()
    assert apply(tiny, stored).exit_code == 0
    assert env_file(tiny).stat() == before


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        (STEP.replace(".env", "gone.env"), "there is no env file"),
        (STEP.replace(".env", "gone/.env"), "gone cannot be written to"),
        (STEP.replace(".env", "conf"), "it is a directory"),
        (STEP + STEP, "env would be written twice"),
        (STEP + SWITCH, "env would be written twice"),
        ("      - write-files: {templates: [motd]}\n" + STEP.replace(".env", "motd"), "motd would be written twice"),
        (STEP.replace(".env", "conf/app.conf") + "      - write-files: {templates: [conf]}\n", "app.conf would be written twice"),
    ],
)
def test_what_cannot_be_patched_is_refused_while_it_is_planned(tmp_path: Path, steps: str, error: str) -> None:
    tiny = with_env(tmp_path, steps)
    (tiny.instance / "conf" / "app.conf").write_text("A=1\n")
    with pytest.raises(ConfigError, match=re.escape(error)) as caught:
        tiny.plan()
    assert "actions.release.steps[" in str(caught.value)
    assert caught.value.remedy


def test_a_file_is_written_twice_by_whatever_name(tmp_path: Path) -> None:
    steps = STEP + f"      - env-patch: {{file: {tmp_path}/alias/.env, values: {{RELEASE: '2.1'}}}}\n"
    tiny = with_env(tmp_path, steps)
    (tmp_path / "alias").symlink_to(tiny.instance)
    with pytest.raises(ConfigError, match=r"alias/\.env would be written twice") as caught:
        tiny.plan()
    assert f"an env patch writes it already, as {env_file(tiny)}" in str(caught.value)


def test_a_link_is_not_patched(tmp_path: Path) -> None:
    tiny = with_env(tmp_path)
    env_file(tiny).rename(tmp_path / "elsewhere.env")
    env_file(tiny).symlink_to(tmp_path / "elsewhere.env")
    with pytest.raises(ConfigError, match="a link stands at a target"):
        tiny.plan()


def test_a_file_that_docker_compose_could_not_be_made_to_read_is_refused_without_its_content(tmp_path: Path) -> None:
    tiny = with_env(tmp_path, content=b"A='another-one\n")
    with pytest.raises(ConfigError, match="this env file cannot be patched") as caught:
        tiny.plan()
    assert str(env_file(tiny)) in str(caught.value)
    assert "another-one" not in str(caught.value)


def test_a_variable_of_the_environment_that_is_not_set_stops_the_plan(tmp_path: Path) -> None:
    tiny = with_env(tmp_path)
    del tiny.environ["TINY_PASSWORD"]
    with pytest.raises(CouldNotLook, match="TINY_PASSWORD of the env patch's DB_PASSWORD comes from the environment") as caught:
        tiny.plan()
    assert caught.value.remedy == "export TINY_PASSWORD"


# ---- what the human sees


def test_the_plan_is_shown_with_names_and_what_the_site_says(tmp_path: Path) -> None:
    tiny = with_env(tmp_path)
    shown = plan_text(tiny.plan(), tiny.site, tiny.environ)
    assert f"step 1 of 1: patch {env_file(tiny)}\n" in shown
    lines = [
        f"{env_file(tiny)}: sets RELEASE, DB_PASSWORD and appends NEW; every other byte stays",
        "  -RELEASE=***  (another value)",
        "  +RELEASE=2.1",
        "  -DB_PASSWORD=***  (another value)",
        "  +DB_PASSWORD=${TINY_PASSWORD}",
        "  +NEW=x y",
        "  comes to something else as well, since it refers to what is set: NAME",
        "undo: every byte, mode and owner is put back",
    ]
    assert "".join(f"  {line}\n" for line in lines) in shown
    assert not [secret for secret in HIDDEN if secret in shown]


def test_an_endpoint_is_shown_with_its_patch_and_what_must_answer(tmp_path: Path) -> None:
    tiny = with_env(tmp_path, SWITCH.replace("after:", "before: [ready], after:"))
    shown = plan_text(tiny.plan(), tiny.site, tiny.environ)
    assert f"step 1 of 1: switch the endpoint: patch {env_file(tiny)}\n  once ready holds\n" in shown
    assert "+DB_PASSWORD=${TINY_PASSWORD}" in shown
    assert "  undo: every byte, mode and owner is put back\n  afterwards deployed must hold, or it is switched back\n" in shown
    assert not [secret for secret in HIDDEN if secret in shown]


def test_a_secret_that_the_site_file_itself_holds_is_not_repeated(tmp_path: Path) -> None:
    values = "{API_TOKEN: hunter2-hunter2, SIGNING_KEY: 'v1-${TINY_PASSWORD}', URL: 'http://u:hunter2-hunter2@h/$$x'}"
    tiny = with_env(tmp_path, f"      - env-patch: {{file: .env, instances: [main], values: {values}}}\n")
    shown = plan_text(tiny.plan(), tiny.site, tiny.environ)
    assert "+API_TOKEN=***  (as the site file says)" in shown
    assert "+SIGNING_KEY=***  (as the site file says)" in shown
    assert "@h/$x" in shown
    assert "hunter2" not in shown


def test_what_was_changed_since_is_told(tmp_path: Path) -> None:
    tiny = with_env(tmp_path)
    stored = tiny.plan()
    env_file(tiny).write_bytes(OLD + b"MORE=1\n")
    shown = plan_text(stored, tiny.site, tiny.environ)
    assert "the file was changed since the plan was made; make a new plan" in shown
    assert "+RELEASE=2.1" in shown


def test_another_value_of_the_environment_is_told(tmp_path: Path) -> None:
    tiny = with_env(tmp_path)
    stored = tiny.plan()
    assert "no longer comes to the bytes that were planned" in plan_text(stored, tiny.site, {**tiny.environ, "TINY_PASSWORD": "yet-another"})
    del tiny.environ["TINY_PASSWORD"]
    shown = plan_text(stored, tiny.site, tiny.environ)
    assert "cannot be told: " in shown
    assert "export TINY_PASSWORD" in shown
    assert "+DB_PASSWORD=${TINY_PASSWORD}" in shown


def test_another_site_file_is_told(tmp_path: Path) -> None:
    tiny = with_env(tmp_path)
    stored = tiny.plan()
    path = tiny.root / "interlock.yaml"
    path.write_text(path.read_text().replace("RELEASE: '2.1'", "RELEASE: '3.0'"))
    shown = plan_text(stored, again(tiny).site, tiny.environ)
    assert "cannot be told: " in shown
    assert "3.0" not in shown


def test_what_is_so_already_and_what_docker_compose_refuses_is_told(tmp_path: Path) -> None:
    tiny = with_env(tmp_path, content=b"RELEASE=2.1\nnot an assignment\n")
    shown = plan_text(tiny.plan(), tiny.site, tiny.environ)
    assert "appends DB_PASSWORD, NEW; every other byte stays" in shown
    assert "as it should be already: RELEASE" in shown
    assert "docker compose does not read this file, before or after: line 2 is no assignment" in shown


def test_many_files_are_counted_in_the_title(tmp_path: Path) -> None:
    tiny = with_env(tmp_path)
    step = tiny.plan().plan.steps[0]
    assert isinstance(step, EnvPatchPlan)
    assert title(step.model_copy(update={"files": step.files * 4})) == "patch 4 of 4 env files"


# ---- done and undone


@pytest.mark.parametrize("steps", [STEP, SWITCH])
def test_a_patch_is_applied(tmp_path: Path, steps: str) -> None:
    tiny = with_env(tmp_path, steps)
    (tiny.instance / "deployed").write_text("")
    outcome = apply(tiny, tiny.approved())
    assert (outcome.exit_code, state(tiny)) == (0, (NEW, 0o640))
    assert standing(tiny).steps[0].data["written"] == [str(env_file(tiny))]
    assert not [path for path in tiny.instance.iterdir() if "interlock" in path.name]


def test_a_patch_is_undone_when_a_later_step_fails(tmp_path: Path) -> None:
    tiny = with_env(tmp_path, STEP + FAIL)
    outcome = apply(tiny, tiny.approved())
    assert (outcome.exit_code, state(tiny)) == (16, (OLD, 0o640))


def test_an_endpoint_that_does_not_answer_is_switched_back(tmp_path: Path) -> None:
    tiny = with_env(tmp_path, SWITCH)
    outcome = apply(tiny, tiny.approved())
    assert (outcome.exit_code, state(tiny)) == (16, (OLD, 0o640))


def test_a_file_that_was_edited_since_the_plan_is_stale(tmp_path: Path) -> None:
    tiny = with_env(tmp_path)
    stored = tiny.approved()
    env_file(tiny).write_bytes(OLD + b"MORE=1\n")
    with pytest.raises(StaleError, match=r"the live state is not the one that the plan was made for"):
        apply(tiny, stored)
    assert state(tiny) == (OLD + b"MORE=1\n", 0o640)


def test_another_value_of_the_environment_stops_the_step_before_the_file_changes(tmp_path: Path) -> None:
    tiny = with_env(tmp_path)
    stored = tiny.approved()
    tiny.environ["TINY_PASSWORD"] = "rotated-meanwhile"
    outcome = apply(tiny, stored)
    assert (outcome.exit_code, state(tiny)) == (16, (OLD, 0o640))
    assert "does not come to the planned bytes" in outcome.text
    assert "rotated-meanwhile" not in outcome.text


def test_a_value_that_is_gone_from_the_environment_stops_the_step_before_the_file_changes(tmp_path: Path) -> None:
    tiny = with_env(tmp_path)
    stored = tiny.approved()
    del tiny.environ["TINY_PASSWORD"]
    outcome = apply(tiny, stored)
    assert (outcome.exit_code, state(tiny)) == (16, (OLD, 0o640))
    assert "TINY_PASSWORD of the env patch's DB_PASSWORD comes from the environment" in outcome.text


@pytest.mark.parametrize("when", ["before the rename", "after the rename"])
@pytest.mark.parametrize("then", ["resume", "rollback"])
@pytest.mark.parametrize("steps", [STEP, SWITCH])
def test_after_a_crash_the_file_is_all_new_or_all_old(tmp_path: Path, steps: str, then: str, when: str) -> None:
    tiny = with_env(tmp_path, steps)
    (tiny.instance / "deployed").write_text("")
    stored = tiny.approved()
    killed = os.fork()
    if killed == 0:
        _die_at_the_rename(str(env_file(tiny)), after=when == "after the rename")
        apply(tiny, stored)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(killed, 0)[1]) == 9
    assert state(tiny) == ((NEW if when == "after the rename" else OLD), 0o640)
    assert standing(tiny).steps[0].state is State.UNDERWAY
    runs = [a_run(tiny.root, when, "release", tiny.now) for when in When]  # the gate that opened it was run by the process that is dead
    opened = next(run for run in runs if run.digest == standing(tiny).begun["gate"]["digest"])
    outcome = getattr(runner, then)(
        tiny.site, short(stored.digest), tiny.environ, tiny.means(kept=lambda name: {**tiny.runs_kept, opened.path.name: opened}[name])
    )
    assert (outcome.exit_code, state(tiny)) == (0, (NEW if then == "resume" else OLD, 0o640))
    assert not [path for path in tiny.instance.iterdir() if "interlock" in path.name]


def _die_at_the_rename(target: str, *, after: bool) -> None:
    real = os.rename

    def rename(source: str, to: str, **folders: int) -> None:
        if to != Path(target).name:
            real(source, to, **folders)
            return
        if after:
            real(source, to, **folders)
        os._exit(9)

    os.rename = rename  # type: ignore[assignment]


def test_rollback_leaves_what_somebody_else_wrote_since(tmp_path: Path) -> None:
    tiny = with_env(tmp_path, STEP + FAIL.replace("['false']", "[bin/edit]"), programs={"edit": "echo MORE=1 >> ../instance/.env; exit 1"})
    outcome = apply(tiny, tiny.approved())
    assert (outcome.exit_code, state(tiny)[0]) == (18, NEW + b"MORE=1\n")
    assert "it was changed by somebody else since" in outcome.text


# ---- secrets


@pytest.mark.parametrize("steps", [STEP, SWITCH])
def test_what_a_patch_takes_from_the_environment_is_a_declared_secret(tmp_path: Path, steps: str) -> None:
    path = with_env(tmp_path, steps).root / "interlock.yaml"
    path.write_text(path.read_text().replace("'${TINY_PASSWORD}'", "'${ONLY_HERE}'"))
    assert "of-the-patch-alone" in set(declared_secrets(load_site(path, None), {"ONLY_HERE": "of-the-patch-alone"}))


@pytest.mark.parametrize("steps", [STEP + DEPLOY, STEP + FAIL, SWITCH])
def test_no_value_is_written_anywhere_but_into_the_file_and_what_undo_keeps(tmp_path: Path, steps: str) -> None:
    """Neither those of the environment nor those of the file."""
    tiny = with_env(tmp_path, steps)
    stored = tiny.approved()
    outcome = apply(tiny, stored)
    kept = json.dumps(
        [{"steps": list(map(dict, applied.steps)), "files": {name: data.decode() for name, data in applied.files.items()}} for applied in tiny.kept]
    )
    told = (outcome.text, kept, *tiny.said, *tiny.asked, plan_text(stored, tiny.site, tiny.environ), repr(stored.plan))
    assert not [secret for text in told for secret in HIDDEN if secret in text]
    targets = {env_file(tiny), *(tiny.root / name for name in ("interlock.yaml", "instance/conf/app.conf", "instance/deployed"))}
    for path in (path for path in tiny.root.rglob("*") if path.is_file() and path not in targets and path.parent.name != "undo"):
        assert not [secret for secret in HIDDEN if secret.encode() in path.read_bytes()], path
    for kept_file in tiny.root.rglob("undo/*"):
        assert kept_file.stat().st_mode & 0o7777 == 0o600


# ---- several instances


def two_instances(tmp_path: Path) -> Tiny:
    tiny = with_env(tmp_path, STEP + FAIL)
    path = tiny.root / "interlock.yaml"
    text = path.read_text().replace("instances: [main]", "instances: [main, other]")
    path.write_text(text.replace("instances:\n  main:", f'instances:\n  other:\n    directory: "{tiny.root}/other"\n  main:'))
    (tiny.root / "other").mkdir()
    return again(tiny)


def test_each_instance_keeps_a_file_of_its_own(tmp_path: Path) -> None:
    tiny = two_instances(tmp_path)
    other = tiny.root / "other" / ".env"
    other.write_bytes(b"RELEASE=2.1\nNEW=a\n")
    stored = tiny.approved()
    step = stored.plan.steps[0]
    assert isinstance(step, EnvPatchPlan)
    assert [(file.target, file.set, file.appended) for file in step.files] == [
        (str(env_file(tiny)), ("RELEASE", "DB_PASSWORD"), ("NEW",)),
        (str(other), ("NEW",), ("DB_PASSWORD",)),
    ]
    assert (apply(tiny, stored).exit_code, state(tiny)[0], other.read_bytes()) == (16, OLD, b"RELEASE=2.1\nNEW=a\n")


def test_an_instance_without_the_file_is_named_while_it_is_planned(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no env file .*/other/\.env"):
        two_instances(tmp_path).plan()
