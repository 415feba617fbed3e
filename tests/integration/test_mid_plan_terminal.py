"""An action that asks for more on its way, by hand: real terminals, real keys of two people, real gates, and an endpoint that is really switched."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.in_terminal import INTERLOCK, Shown, human_environ, in_terminal
from tests.tiny_site import SECRET, Tiny, key_of, make_tiny

STEPS = """\
      - backup: {modules: [app]}
      - write-files: {templates: [conf]}
      - gate: {guardrails: [backups.mode_0600]}
      - approval: {asks: May the writers be moved?, by: [bert]}
      - endpoint:
          command: {run: [bin/point, new], undo: [bin/point, old]}
          before: [new-side]
          after: [what-is-pointed-at]
    gate: [backups.mode_0600]
"""
POINT = {"point": 'cd ../instance; echo "$1" > side.part; mv side.part side'}
DIGITS = r"type the first 8 digits of its digest: "


class Side(BaseHTTPRequestHandler):
    """Answers 200 at /new, and at /app as the side that `file` names is."""

    def __init__(self, *arguments: object, file: Path, well: dict[str, bool]) -> None:
        self.file, self.well = file, well
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        pointed = self.file.read_text().strip()
        side = "new" if self.path == "/new" else "new-behind-app" if pointed == "new" else pointed
        self.send_response(200 if self.well[side] else 503)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


@contextmanager
def sides(file: Path, well: dict[str, bool]) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Side, file=file, well=well))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


class People:
    """Anna plans and applies; bert approves. Each types at a terminal of their own, with their own home."""

    def __init__(self, folder: Path, port: int) -> None:
        expect = (
            f'  new-side:\n    http: {{url: "http://127.0.0.1:{port}/new"}}\n'
            f'  what-is-pointed-at:\n    http: {{url: "http://127.0.0.1:{port}/app"}}\n    attempts: 2\n'
        )
        two = "  self_approval: false"
        self.tiny: Tiny = make_tiny(folder, steps=STEPS, programs=POINT, people=("anna", "bert"), approval=two, expect=expect)
        (self.tiny.instance / "side").write_text("old\n")
        self.environ = human_environ(folder, TINY_PASSWORD=SECRET)

    def type(self, *words: str, replies: tuple[tuple[str, str], ...] = ()) -> Shown:
        return in_terminal((*INTERLOCK, *words), self.environ, self.tiny.root, replies=replies)

    def applied(self) -> tuple[str, Shown]:
        """A plan of anna's that bert has approved, applied until it waits for him again."""
        shown = self.type("plan", "release", "--key", str(key_of("anna")))
        found = re.search(r"plans/([\w.-]+)/plan\.json", shown.text)
        assert found, shown.text
        plan = found[1]
        approved = self.type("approve", plan, "--key", str(key_of("bert")), replies=((DIGITS, plan.rpartition("-")[2][:8]),))
        assert approved.code == 0, approved.text
        return plan, self.type("apply", plan)

    def side(self) -> str:
        return (self.tiny.instance / "side").read_text().strip()


@pytest.fixture
def well() -> dict[str, bool]:
    return {"old": True, "new": True, "new-behind-app": True}


@pytest.fixture
def people(tmp_path: Path, well: dict[str, bool]) -> Iterator[People]:
    with sides(tmp_path / "site" / "instance" / "side", well) as port:
        yield People(tmp_path, port)


def bert_says_yes(people: People, plan: str) -> Shown:
    """He reads how far it got, and types the digits that he sees."""
    shown = people.type("approve", plan, "--key", str(key_of("bert")), replies=((DIGITS, "00000000"),))
    digest = re.search(r"digest   sha256:([0-9a-f]{8})", shown.text)
    assert digest, shown.text
    return people.type("approve", plan, "--key", str(key_of("bert")), replies=((DIGITS, digest[1]),))


def test_it_stops_for_a_second_person_and_goes_on_to_the_switched_endpoint(people: People) -> None:
    plan, applied = people.applied()
    assert applied.code == 13, applied.text
    assert "waits at step 4: May the writers be moved?" in applied.text
    status = people.type("status").text
    assert "WAITS for a human" in status
    assert "step 4: WAITS for its approval: May the writers be moved?" in status
    assert people.side() == "old"
    said = bert_says_yes(people, plan)
    assert said.code == 0, said.text
    assert "> step 4 of 5" in said.text
    assert "step 3 of 5: ask backups.mode_0600: done" in said.text
    resumed = people.type("resume", plan)
    assert resumed.code == 0, resumed.text
    assert people.side() == "new"
    folder = re.search(r"evidence: (\S+)", resumed.text)
    assert folder, resumed.text
    record = json.loads((Path(folder[1]) / "record.json").read_text())
    assert [step["kind"] for step in record["steps"]] == ["backup", "write-files", "gate", "approval", "endpoint"]
    assert record["steps"][3]["principals"] == ["bert"]
    assert people.type("verify", folder[1]).code == 0


def test_whoever_is_not_asked_cannot_say_yes(people: People) -> None:
    plan, _ = people.applied()
    shown = people.type("approve", plan, "--key", str(key_of("anna")))
    assert (shown.code, "may not be the one who approves it" in shown.text) == (13, True)
    assert people.type("resume", plan).code == 13
    assert people.side() == "old"


def test_it_is_switched_back_when_the_new_side_fails_once_it_is_pointed_at(people: People, well: dict[str, bool]) -> None:
    """The new side answers by itself; what is pointed at it does not."""
    plan, _ = people.applied()
    assert bert_says_yes(people, plan).code == 0
    well["new-behind-app"] = False
    resumed = people.type("resume", plan)
    assert (resumed.code, people.side()) == (16, "old"), resumed.text
    assert "behind the switched endpoint" in resumed.text


def test_a_program_that_is_another_since_the_plan_is_not_run(people: People) -> None:
    plan, _ = people.applied()
    assert bert_says_yes(people, plan).code == 0
    (people.tiny.root / "bin" / "point").write_text("#!/bin/sh\ntouch ../ran\n")
    resumed = people.type("resume", plan)
    assert (resumed.code, people.side()) == (16, "old"), resumed.text
    assert not (people.tiny.root / "ran").exists()


def test_it_is_not_switched_while_the_new_side_does_not_answer(people: People, well: dict[str, bool]) -> None:
    plan, _ = people.applied()
    assert bert_says_yes(people, plan).code == 0
    well["new"] = False
    resumed = people.type("resume", plan)
    assert resumed.code == 16, resumed.text
    assert "new-side" in resumed.text
    assert people.side() == "old"
    assert people.tiny.look()["conf/app.conf"].startswith("0600 port = 8080\npassword = an-older-one")
