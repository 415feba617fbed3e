"""Compose steps on a real engine, by the real docker compose, through the real runner: done, failed, killed, undone.

`INTERLOCK_COMPOSE` names another docker compose to run: 2.26 and 2.40 do the same here. The registry is a stand-in (tests/registry_stand_in.py).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interlock import runner
from interlock.act import compose as acting
from interlock.errors import ConfigError, CouldNotLook, LockHeld, StaleError
from interlock.gate.journal import State
from interlock.gate.plan import ComposePlan, has_undo
from interlock.verdicts import When
from tests.compose_site import FAIL, MOTD, UP, WRITE, Stacked, make_stacked, service, stack
from tests.docker_engine import IMAGE, DockerEngine, docker_engine
from tests.registry_stand_in import Shelf, registry
from tests.tiny_site import SECRET, a_run

Make = Callable[..., Stacked]


@pytest.fixture(scope="module")
def engine(component: Callable[[str], None]) -> Iterator[DockerEngine]:
    component("docker")
    component("compose")
    with docker_engine() as running:
        yield running


@pytest.fixture
def make(engine: DockerEngine, tmp_path: Path) -> Iterator[Make]:
    made: list[Stacked] = []

    def stacked(steps: str, **kind: str) -> Stacked:
        made.append(make_stacked(tmp_path, engine, steps, **kind))
        return made[-1]

    yield stacked
    for one in made:
        one.clean_up()


# ---- up


def test_services_run_as_the_new_file_says(make: Make) -> None:
    site = make(WRITE + UP)
    site.begin(stack("NAME", web=service("1"), db=service("1")))
    site.new(stack("NAME", web=service("2"), db=service("1")))
    before = site.ids()
    outcome = site.apply()
    assert (outcome.exit_code, site.seen()) == (0, {"web": "2 running", "db": "1 running"}), outcome.text
    assert site.ids()["db"] == before["db"]


def test_what_ran_before_runs_again_when_a_later_step_fails(make: Make) -> None:
    """Made again from the old file, which stands there again; what had not changed was never touched."""
    site = make(WRITE + UP + FAIL)
    site.begin(stack("NAME", web=service("1"), db=service("1")))
    site.new(stack("NAME", web=service("2"), db=service("1"), extra=service("2")))
    before = site.ids()
    outcome = site.apply()
    assert (outcome.exit_code, site.seen()) == (16, {"web": "1 running", "db": "1 running"}), outcome.text
    assert site.ids()["db"] == before["db"]
    assert 'RELEASE: "1"' in (site.instance / "compose.yaml").read_text()


def test_what_is_undone_is_started_once_the_old_files_stand_there_again(make: Make) -> None:
    """A file that a container mounts is the one that lay there when it was started: started too early, it would go on with the new one."""
    site = make(WRITE + MOTD + UP + FAIL)
    mounted = "volumes: ['./motd:/motd:ro']"
    site.begin(stack("NAME", web=service("1", more=mounted)))
    site.new(stack("NAME", web=service("2", more=mounted)))
    assert site.apply().exit_code == 16
    assert site.engine("exec", site.ids()["web"], "busybox", "cat", "/motd") == "release 1"


def test_a_stack_that_was_not_there_is_taken_down_again_and_its_volume_stays(make: Make) -> None:
    site = make(WRITE + UP + FAIL)
    site.new(stack("NAME", rest="volumes:\n  data: {}\n", web=service("2", more="volumes: ['data:/data']")))
    outcome = site.apply()
    assert (outcome.exit_code, site.seen()) == (16, {}), outcome.text
    assert f"was not there before, and stays: volume {site.project}_data" in outcome.text
    assert f"{site.project}_data" in site.engine("volume", "ls", "--quiet").split()


def test_a_service_that_ends_at_once_fails_the_step(make: Make) -> None:
    site = make(WRITE + UP)
    site.begin(stack("NAME", web=service("1")))
    site.new(stack("NAME", web=service("2").replace('[sleep, "600"]', "[sh, -c, 'exit 3']")))
    assert site.apply().exit_code == 16
    assert "-web-1 does not run: it ended with 3" in site.failure()
    assert site.seen() == {"web": "1 running"}


def test_a_service_that_never_gets_well_fails_the_step(make: Make) -> None:
    site = make(WRITE + UP)
    site.begin(stack("NAME", web=service("1")))
    site.new(stack("NAME", web=service("2", more="healthcheck: {test: [CMD, sh, -c, 'exit 1'], interval: 1s, retries: 1}")))
    assert site.apply().exit_code == 16
    assert "web-1 is unhealthy" in site.failure()
    assert site.seen() == {"web": "1 running"}


def test_a_service_that_others_wait_for_to_end_need_not_run(make: Make) -> None:
    site = make(WRITE + UP)
    site.new(
        stack(
            "NAME",
            job=service("2").replace('[sleep, "600"]', '["true"]'),
            web=service("2", more="depends_on: {job: {condition: service_completed_successfully}}\nhealthcheck: {test: [CMD, 'true'], interval: 1s}"),
        )
    )
    outcome = site.apply()
    assert (outcome.exit_code, site.seen()) == (0, {"job": "2 exited", "web": "2 running"}), outcome.text


def test_only_the_services_of_the_step_are_touched(make: Make) -> None:
    site = make(WRITE + UP.replace("instance: main", "instance: main, services: [web]") + FAIL)
    site.begin(stack("NAME", web=service("1", more="depends_on: [db]"), db=service("1")))
    site.new(stack("NAME", web=service("2", more="depends_on: [db]"), db=service("2")))
    before = site.ids()["db"]
    assert "not touched: db" in runner.show(site.tiny.site, str(site.plan().folder), site.tiny.environ)
    outcome = site.apply()
    assert (outcome.exit_code, site.seen(), site.ids()["db"]) == (16, {"web": "1 running", "db": "1 running"}, before), outcome.text


def test_services_of_a_profile_that_is_off_are_not_started(make: Make) -> None:
    site = make(WRITE + UP)
    site.new(stack("NAME", web=service("2"), tool=service("2", more="profiles: [tools]")))
    assert site.apply().exit_code == 0
    assert site.seen() == {"web": "2 running"}


def test_an_env_file_cannot_have_other_containers_removed(make: Make) -> None:
    """docker compose takes variables that begin with COMPOSE_ from it as if they were options."""
    site = make(WRITE + UP)
    site.begin(stack("NAME", web=service("1"), orphan=service("1")))
    (site.instance / ".env").write_text("COMPOSE_REMOVE_ORPHANS=true\n")
    site.new(stack("NAME", web=service("2")))
    assert site.apply().exit_code == 0
    assert site.seen() == {"web": "2 running", "orphan": "1 running"}


def test_a_patched_env_file_is_part_of_what_is_planned(make: Make) -> None:
    site = make("      - env-patch: {file: .env, instances: [main], values: {RELEASE: '2'}}\n" + UP + FAIL.replace("deployed", "deployed"))
    (site.instance / ".env").write_text("RELEASE=1\n")
    site.begin(stack("NAME", web=service("${RELEASE}")))
    plan = site.plan().plan.steps[1]
    assert isinstance(plan, ComposePlan)
    assert plan.model != plan.before
    (site.instance / "deployed").touch()
    outcome = site.apply()
    assert (outcome.exit_code, site.seen()) == (0, {"web": "2 running"}), outcome.text


def test_a_rendered_env_file_is_part_of_what_is_planned_and_its_values_are_not(make: Make) -> None:
    site = make("      - write-files: {templates: [env]}\n" + UP)
    site.old(stack("NAME", web=service("${RELEASE}", more="env_file: [.env]")))
    stored = site.approved()
    shown = runner.show(site.tiny.site, str(stored.folder), site.tiny.environ)
    outcome = site.apply(stored)
    assert (outcome.exit_code, site.seen()) == (0, {"web": "2 running"}), outcome.text
    held = b"".join(path.read_bytes() for path in stored.folder.rglob("*") if path.is_file())
    assert SECRET.encode() not in held + shown.encode()


def test_profiles_of_an_env_file_count(make: Make) -> None:
    site = make(UP)
    (site.instance / ".env").write_text("COMPOSE_PROFILES=tools\n")
    site.old(stack("NAME", web=service("1"), tool=service("1", more="profiles: [tools]"), other=service("1", more="profiles: [others]")))
    assert site.apply().exit_code == 0
    assert site.seen() == {"web": "1 running", "tool": "1 running"}


def test_a_file_that_a_command_writes_makes_another_chain_than_the_planned_one(make: Make) -> None:
    command = "      - command: {run: [bin/edit], undo: [bin/unedit], directory: ROOT}\n"
    site = make(command.replace("ROOT", "/") + UP)
    for name, text in {"edit": "s/1/2/", "unedit": "s/2/1/"}.items():
        path = site.tiny.root / "bin" / name
        path.write_text(f"#!/bin/sh\nexec sed -i '/RELEASE/{text}' {site.instance}/compose.yaml\n")
        path.chmod(0o755)
    text = (site.tiny.root / "interlock.yaml").read_text().replace("directory: /}", f"directory: {site.tiny.root}}}")
    (site.tiny.root / "interlock.yaml").write_text(text)
    site.reload()
    site.begin(stack("NAME", web=service("1")))
    before = site.ids()
    assert site.apply().exit_code == 16
    assert "comes to something else than was planned" in site.failure()
    assert site.ids() == before


# ---- what is refused when it is planned


def test_changed_options_of_a_volume_that_is_there_are_refused(make: Make) -> None:
    """docker compose keeps the old volume without a word, or deletes it with its data when it is told yes."""
    site = make(WRITE + UP)
    bound = "volumes:\n  data: {driver_opts: {type: none, o: OPTION, device: FOLDER}}\n".replace("FOLDER", str(site.instance))
    site.begin(stack("NAME", rest=bound.replace("OPTION", "bind"), web=service("1", more="volumes: ['data:/data']")))
    site.new(stack("NAME", rest=bound.replace("OPTION", '"bind,rbind"'), web=service("1", more="volumes: ['data:/data']")))
    with pytest.raises(ConfigError, match=f"volume {site.project}_data was made with another o than the chain gives it"):
        site.plan()


def test_a_missing_image_is_refused(make: Make) -> None:
    site = make(WRITE + UP)
    site.new(stack("NAME", web=service("2", image="interlock/nowhere:1")))
    with pytest.raises(ConfigError, match="web: the image interlock/nowhere:1 is not on this host"):
        site.plan()


def test_starting_what_has_no_container_is_refused(make: Make) -> None:
    site = make(UP.replace("up", "start"))
    site.old(stack("NAME", web=service("1")))
    with pytest.raises(ConfigError, match="web: there is no container to start"):
        site.plan()


def test_an_engine_that_is_not_there_is_named(make: Make) -> None:
    site = make(UP)
    text = (site.tiny.root / "interlock.yaml").read_text()
    (site.tiny.root / "interlock.yaml").write_text(text.replace(str(site.engine.socket), "/nowhere/docker.sock"))
    site.reload()
    site.old(stack("NAME", web=service("1")))
    with pytest.raises(CouldNotLook) as caught:
        site.plan()
    assert (caught.value.where, caught.value.remedy) == (
        "/nowhere/docker.sock",
        "start the container engine, or correct the path of its socket in the site file",
    )


def test_an_engine_that_goes_away_after_the_plan_changes_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make(UP)
    site.begin(stack("NAME", web=service("1")))
    stored = site.approved()
    moved = site.engine.socket.rename(site.engine.socket.with_name("moved"))
    try:
        with pytest.raises(CouldNotLook, match="the container engine cannot be looked at"):
            site.apply(stored)
        monkeypatch.setattr(runner, "look_again", lambda *_: dict(stored.plan.fingerprint))  # it goes away a moment later
        assert site.apply(stored).exit_code == 16
    finally:
        moved.rename(site.engine.socket)
    assert "the container engine cannot be" in site.failure()
    assert site.seen() == {"web": "1 running"}


def test_a_container_that_somebody_made_meanwhile_makes_the_plan_stale(make: Make) -> None:
    site = make(UP)
    site.begin(stack("NAME", web=service("1")))
    stored = site.approved()
    site.compose("up", "--detach", "--pull", "never", "--force-recreate")
    with pytest.raises(StaleError, match="live state") as caught:
        site.apply(stored)
    assert f"compose project {site.project} at " in caught.value.why


def test_what_runs_but_was_not_made_from_these_files_is_said_to_have_no_undo(make: Make) -> None:
    site = make(WRITE + UP)
    site.begin(stack("NAME", web=service("1")))
    site.old(stack("NAME", web=service("between")))
    site.new(stack("NAME", web=service("2")))
    stored = site.plan()
    assert [has_undo(step) for step in stored.plan.steps] == [True, False]
    shown = runner.show(site.tiny.site, str(stored.folder), site.tiny.environ)
    assert "NO EXACT UNDO: these files, as they are now, would not make web as it is" in shown
    assert "Step 2 cannot be undone" in shown


# ---- stop, start, down


def test_stopped_containers_are_the_same_when_they_run_again(make: Make) -> None:
    site = make(UP.replace("up", "stop") + FAIL)
    site.begin(stack("NAME", web=service("1"), db=service("1")))
    before = site.ids()
    assert (site.apply().exit_code, site.seen(), site.ids()) == (16, {"web": "1 running", "db": "1 running"}, before)


def test_a_service_is_stopped_and_no_other(make: Make) -> None:
    site = make(UP.replace("up", "stop").replace("main", "main, services: [web]"))
    site.begin(stack("NAME", web=service("1"), db=service("1")))
    assert (site.apply().exit_code, site.seen()) == (0, {"web": "1 exited", "db": "1 running"})


def test_started_containers_are_stopped_again(make: Make) -> None:
    site = make(UP.replace("up", "start") + FAIL)
    site.begin(stack("NAME", web=service("1"), db=service("1")))
    site.compose("stop", "web")
    before = site.ids()
    assert (site.apply().exit_code, site.seen(), site.ids()) == (16, {"web": "1 exited", "db": "1 running"}, before)


def test_what_is_started_takes_along_what_it_depends_on_and_stops_it_again(make: Make) -> None:
    """docker compose does that, so the plan says it."""
    site = make(UP.replace("up", "start").replace("main", "main, services: [web]") + FAIL)
    site.begin(stack("NAME", web=service("1", more="depends_on: [db]"), db=service("1"), other=service("1")))
    site.compose("stop")
    plan = site.plan().plan.steps[0]
    assert isinstance(plan, ComposePlan)
    assert plan.services == ("db", "web")
    assert site.apply().exit_code == 16
    assert site.seen() == {"web": "1 exited", "db": "1 exited", "other": "1 exited"}


def test_what_was_taken_down_is_made_again_and_keeps_its_volume(make: Make) -> None:
    site = make(UP.replace("up", "down") + FAIL)
    site.begin(stack("NAME", rest="volumes:\n  data: {}\n", web=service("1", more="volumes: ['data:/data']"), db=service("1")))
    site.engine("exec", site.ids()["web"], "busybox", "touch", "/data/row")
    site.compose("stop", "db")
    outcome = site.apply()
    assert (outcome.exit_code, site.seen()) == (16, {"web": "1 running", "db": "1 created"}), outcome.text
    assert site.engine("exec", site.ids()["web"], "busybox", "ls", "/data") == "row"


def test_down_removes_containers_and_no_volume(make: Make) -> None:
    site = make(UP.replace("up", "down"))
    site.begin(stack("NAME", rest="volumes:\n  data: {}\n", web=service("1", more="volumes: ['data:/data']")))
    assert (site.apply().exit_code, site.seen()) == (0, {})
    assert f"{site.project}_data" in site.engine("volume", "ls", "--quiet").split()


def test_data_on_a_volume_without_a_name_is_said_to_be_lost_by_down(make: Make) -> None:
    site = make(UP.replace("up", "down"))
    site.begin(stack("NAME", web=service("1", more="volumes: ['/data']")))
    stored = site.plan()
    assert not has_undo(stored.plan.steps[0])
    assert "NO UNDO for /data in web" in runner.show(site.tiny.site, str(stored.folder), site.tiny.environ)


# ---- killed


@pytest.mark.parametrize("at", ["Creating", "Recreate", "Started"])
@pytest.mark.parametrize("goes_on", ["resume", "rollback"])
def test_killed_while_docker_compose_works_it_is_finished_or_undone(make: Make, at: str, goes_on: str) -> None:
    site = make(WRITE + UP)
    site.begin(stack("NAME", web=service("1"), db=service("1")))
    site.new(stack("NAME", web=service("2"), db=service("1"), extra=service("2")))
    stored = site.approved()
    _killed(site, str(stored.folder), at)
    verb = runner.resume if goes_on == "resume" else runner.rollback
    run = a_run(site.tiny.root, When.APPLY, "release", site.tiny.now)
    means = site.tiny.means(kept=lambda name: site.tiny.runs_kept.get(name, run))
    outcome = _when_it_has_ended(lambda: verb(site.tiny.site, str(stored.folder), site.tiny.environ, means))
    new = {"web": "2 running", "db": "1 running", "extra": "2 running"}
    old = {"web": "1 running", "db": "1 running"}
    assert (outcome.exit_code, site.seen()) == (0, new if goes_on == "resume" else old), outcome.text


@pytest.mark.parametrize("goes_on", ["resume", "rollback"])
def test_a_container_that_a_killed_docker_compose_left_beside_the_old_one_is_removed(make: Make, goes_on: str) -> None:
    site = make(WRITE + UP)
    site.begin(stack("NAME", web=service("1")))
    site.new(stack("NAME", web=service("2")))
    stored = site.approved()
    _killed(site, str(stored.folder), "")
    old = site.containers()[0]["Id"]
    labels = [f"--label={name}={text}" for name, text in site.containers()[0]["Config"]["Labels"].items()]
    site.engine("create", "--name", f"{str(old)[:12]}_{site.project}-web-1", "--network", "none", *labels, IMAGE)
    verb = runner.resume if goes_on == "resume" else runner.rollback
    run = a_run(site.tiny.root, When.APPLY, "release", site.tiny.now)
    means = site.tiny.means(kept=lambda name: site.tiny.runs_kept.get(name, run))
    outcome = _when_it_has_ended(lambda: verb(site.tiny.site, str(stored.folder), site.tiny.environ, means))
    assert (outcome.exit_code, site.seen()) == (0, {"web": "2 running" if goes_on == "resume" else "1 running"}), outcome.text


def _killed(site: Stacked, named: str, at: str) -> None:
    """Apply in a process of its own, killed as soon as docker compose writes that word; docker compose itself goes on, or dies of it. Without a word it is
    killed before docker compose is started."""
    child = os.fork()
    if child == 0:

        def say(line: str) -> None:
            if at and at in line:
                os.kill(os.getpid(), signal.SIGKILL)

        if not at:
            acting.run = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
        try:
            runner.apply(site.tiny.site, named, site.tiny.environ, site.tiny.means(say=say))
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), status


def _when_it_has_ended(go_on: Callable[[], runner.Outcome]) -> runner.Outcome:
    for _ in range(100):
        try:
            return go_on()
        except LockHeld:
            time.sleep(0.2)
    raise AssertionError("docker compose never ended")


# ---- pull and build


@pytest.fixture(scope="module")
def shelf(engine: DockerEngine) -> Iterator[Shelf]:
    with registry(engine) as running:
        yield running


PULL = "      - compose: {run: pull, instance: main, timeout: 60s}\n"


class Released:
    """A site whose one service runs an image that the registry has a newer one of."""

    def __init__(self, make: Make, shelf: Shelf, name: str, steps: str) -> None:
        self.shelf, self.name, self.reference = shelf, name, shelf.reference(name, "1")
        self.old = shelf.image(name, "1", "release one")
        self.site = make(steps)
        self.site.engine("pull", "--quiet", self.reference)
        self.site.begin(stack("NAME", web=service("1", image=self.reference)))
        self.old_id = self.site.images()["web"]
        self.new = shelf.image(name, "1", "release two")

    def tag(self) -> str:
        return self.site.engine("inspect", "--format", "{{.Id}}", self.reference)

    def says(self) -> str:
        return self.site.engine("exec", self.site.ids()["web"], "cat", "/release")


def test_the_planned_image_is_pulled_and_run(make: Make, shelf: Shelf) -> None:
    case = Released(make, shelf, "plain", PULL + UP)
    stored = case.site.approved()
    shown = runner.show(case.site.tiny.site, str(stored.folder), case.site.tiny.environ)
    assert f"{case.reference}: now {case.old_id[7:19]}; the registry has {case.new[:19]}, and nothing else will do" in shown
    outcome = case.site.apply(stored)
    assert (outcome.exit_code, case.says()) == (0, "release two"), outcome.text
    assert case.tag() != case.old_id


def test_a_tag_that_moves_after_the_plan_stops_it_before_anything_is_pulled(make: Make, shelf: Shelf) -> None:
    case = Released(make, shelf, "moves", PULL + UP)
    stored = case.site.approved()
    shelf.image("moves", "1", "release three")
    assert case.site.apply(stored).exit_code == 16
    assert "the registry has another image" in case.site.failure()
    assert (case.says(), case.tag()) == ("release one", case.old_id)


def test_a_tag_that_moves_while_it_is_pulled_stops_it_and_names_its_old_image_again(make: Make, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Released(make, shelf, "races", PULL + UP)
    stored = case.site.approved()
    shelf.image("races", "1", "release three")
    monkeypatch.setattr(acting, "registry_digest", lambda *_: case.new)  # it moved between this question and the pull
    assert case.site.apply(stored).exit_code == 16
    assert "docker compose pulled another image than was planned" in case.site.failure()
    assert (case.says(), case.tag()) == ("release one", case.old_id)


def test_tag_and_container_come_back_when_a_later_step_fails(make: Make, shelf: Shelf) -> None:
    case = Released(make, shelf, "back", PULL + UP + FAIL)
    outcome = case.site.apply()
    assert (outcome.exit_code, case.says(), case.tag()) == (16, "release one", case.old_id), outcome.text


def test_an_image_that_somebody_had_pulled_before_the_plan_is_not_what_undo_starts(make: Make, shelf: Shelf) -> None:
    case = Released(make, shelf, "byhand", UP + FAIL)
    case.site.engine("pull", "--quiet", case.reference)
    pulled = case.tag()
    assert all(has_undo(step) for step in case.site.plan().plan.steps)
    outcome = case.site.apply()
    assert (outcome.exit_code, case.says(), case.tag()) == (16, "release one", pulled), outcome.text


def test_a_registry_that_does_not_answer_is_said_loudly(make: Make) -> None:
    site = make(PULL)
    site.begin(stack("NAME", web=service("1")))
    site.old(stack("NAME", web=service("1", image="127.0.0.1:1/app:1")))
    stored = site.plan()
    step = stored.plan.steps[0]
    assert isinstance(step, ComposePlan)
    assert step.images[0].digest == ""
    assert "NOBODY KNOWS YET WHAT WILL BE PULLED" in runner.show(site.tiny.site, str(stored.folder), site.tiny.environ)
    assert site.apply().exit_code == 16


def test_an_image_by_its_digest_is_pulled_and_no_tag_moves(make: Make, shelf: Shelf) -> None:
    case = Released(make, shelf, "pinned", WRITE + PULL + UP + FAIL)
    case.site.new(stack("NAME", web=service("2", image=f"{case.reference.rpartition(':')[0]}@{case.new}")))
    outcome = case.site.apply()
    assert (outcome.exit_code, case.says(), case.tag()) == (16, "release one", case.old_id), outcome.text


def test_what_was_built_is_run_and_its_name_comes_back(make: Make) -> None:
    site = make(UP.replace("up", "build") + UP + FAIL)
    (site.instance / "image").mkdir()
    (site.instance / "image" / "Dockerfile").write_text(f"FROM {IMAGE}\nENV BUILT=1\n")
    text = stack("NAME", web=service("1").replace(f"image: {IMAGE}", "build: ./image"))
    site.old(text)
    site.compose("build")
    site.compose("up", "--detach")
    old = site.images()["web"]
    (site.instance / "image" / "Dockerfile").write_text(f"FROM {IMAGE}\nENV BUILT=2\n")
    shown = runner.show(site.tiny.site, str(site.plan().folder), site.tiny.environ)
    assert "built from a directory of this host: WHAT COMES OUT IS KNOWN ONLY THEN" in shown
    outcome = site.apply()
    assert (outcome.exit_code, site.images()["web"]) == (16, old), outcome.text
    assert site.engine("inspect", "--format", "{{.Id}}", f"{site.project}-web") == old
    (site.instance / "deployed").touch()
    outcome = site.apply()
    assert outcome.exit_code == 0, outcome.text
    assert site.images()["web"] != old


# ---- secrets


def test_a_secret_of_the_chain_is_in_no_file_but_the_private_copy_that_undo_needs(make: Make) -> None:
    site = make(WRITE + UP + FAIL)
    (site.instance / ".env").write_text(f"DB_PASSWORD={SECRET}\n")
    secret = "env_file: [.env]"
    site.begin(stack("NAME", web=service("1", more=secret)))
    site.new(stack("NAME", web=service("2", more=secret)))
    stored = site.approved()
    shown = runner.show(site.tiny.site, str(stored.folder), site.tiny.environ)
    outcome = site.apply(stored)
    assert (outcome.exit_code, site.seen()) == (16, {"web": "1 running"}), outcome.text
    assert SECRET not in shown + outcome.text + "".join(site.tiny.said) + repr(site.tiny.kept)
    holding = [path for path in (site.tiny.root / ".interlock").rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert holding
    assert all(path.parent.name == "undo" and path.stat().st_mode & 0o777 == 0o600 for path in holding)
    assert site.standing().steps[1].state is State.UNDONE


# ---- another chain


def test_a_chain_that_was_taken_down_for_another_one_comes_back_when_a_later_step_fails(make: Make) -> None:
    chains = "  chains:\n    old: {files: [compose.yaml, old.yaml]}\n    new: {files: [compose.yaml, new.yaml]}\n"
    steps = "      - compose: {run: down, instance: main, chain: old}\n      - compose: {run: up, instance: main, chain: new, timeout: 60s}\n"
    site = make(steps + FAIL, chains=chains, more=", old.yaml, new.yaml")
    for name, release in (("old", "1"), ("new", "2")):
        for folder in (site.instance, site.tiny.root):
            (folder / f"{name}.yaml").write_text(f'services:\n  web:\n    environment: {{RELEASE: "{release}"}}\n')
    site.old(stack("NAME", web=service("0"), db=service("1")))
    site.compose("--file", "compose.yaml", "--file", "old.yaml", "up", "--detach", "--pull", "never")
    plan = site.plan().plan
    assert all(has_undo(step) for step in plan.steps)
    assert isinstance(plan.steps[1], ComposePlan)
    assert plan.steps[1].containers == ()
    outcome = site.apply()
    assert (outcome.exit_code, site.seen()) == (16, {"web": "1 running", "db": "1 running"}), outcome.text
