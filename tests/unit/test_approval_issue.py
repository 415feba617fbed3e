"""The design issue: what GitHub, Forgejo and Gitea answer, what it comes to, and what proves nothing. The forge is a stand-in that says so itself."""

from __future__ import annotations

import contextlib
import http.server
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interlock.config.forges import ForgeKind, Tracker
from interlock.errors import CouldNotLook
from interlock.facts.approval import DesignIssue, Issue
from interlock.judge.approval import judge_issue
from interlock.observe import forge
from interlock.testing.forge_stand_in import answer, stand_in
from interlock.verdicts import Broken, Held, Outcome

PATH = "repos/ops/platform/issues/271"
TOKEN = "canary-of-a-token"


def tracker(url: str, kind: str = "forgejo", *, token: str | None = None) -> Tracker:
    return Tracker(kind=ForgeKind(kind), url=url, repository="ops/platform", token_env=token)


def github(**changes: Any) -> dict[str, Any]:
    """An issue in the shape of GitHub's "Get an issue"."""
    labels: list[Any] = [{"id": 1, "node_id": "x", "name": "Ready", "color": "ededed", "default": False, "description": None}]
    return {"id": 1, "number": 271, "state": "open", "state_reason": None, "title": "t", "labels": labels, "locked": False, **changes}


def forgejo(**changes: Any) -> dict[str, Any]:
    """An issue in the shape of Forgejo's and Gitea's `issueGetIssue`."""
    labels = [{"id": 7, "name": "flow/ready", "color": "00aa00", "exclusive": True, "is_archived": False, "url": "u"}]
    return {"id": 9, "number": 271, "state": "open", "title": "t", "labels": labels, "pull_request": None, "is_locked": False, **changes}


def asked(folder: Path, data: object, kind: str = "forgejo") -> Issue:
    answer(folder, {PATH: data})
    return forge.issue(tracker(stand_in(folder), kind), 271, {})


def kinds(issue: Issue, **rule: Any) -> list[str]:
    """The kinds of what is wrong."""
    judged = judge_issue(DesignIssue(**{"issue": issue, "must_be_open": True, **rule}))
    assert isinstance(judged, Held | Broken)
    return [detail.kind for detail in judged.details if detail.outcome is Outcome.BROKEN]


# ---- what the forges answer


@pytest.mark.parametrize("kind", ["forgejo", "gitea"])
def test_an_issue_of_forgejo_or_gitea(tmp_path: Path, kind: str) -> None:
    assert asked(tmp_path, forgejo(), kind) == Issue(number=271, repository="ops/platform", open=True, labels=("flow/ready",))


def test_an_issue_of_github_has_labels_as_objects_and_as_texts(tmp_path: Path) -> None:
    found = asked(tmp_path, github(labels=[{"name": "Ready"}, "not-ready"]), "github")
    assert found == Issue(number=271, repository="ops/platform", open=True, labels=("Ready", "not-ready"))


def test_an_issue_without_labels_has_none(tmp_path: Path) -> None:
    assert asked(tmp_path, forgejo(labels=None)).labels == ()


@pytest.mark.parametrize("given", [{"pull_request": {"merged": False, "merged_at": None, "draft": False}}, {"pull_request": {"url": "u"}}])
def test_a_pull_request_is_no_design_issue(tmp_path: Path, given: dict[str, Any]) -> None:
    assert kinds(asked(tmp_path, forgejo(**given))) == ["pull-request"]


# ---- what it must look like


@pytest.mark.parametrize(
    ("state", "must_be_open", "wrong"),
    [
        ("open", True, []),
        ("open", False, ["state"]),
        ("open", None, []),
        ("closed", True, ["state"]),
        ("closed", False, []),
        ("closed", None, []),
    ],
)
def test_the_state_that_the_site_demands(tmp_path: Path, state: str, must_be_open: bool | None, wrong: list[str]) -> None:
    assert kinds(asked(tmp_path, forgejo(state=state)), must_be_open=must_be_open) == wrong


@pytest.mark.parametrize("reason", ["not_planned", "duplicate"])
def test_an_issue_that_was_closed_without_being_done_agrees_to_nothing(tmp_path: Path, reason: str) -> None:
    found = asked(tmp_path, github(state="closed", state_reason=reason), "github")
    assert kinds(found, must_be_open=False) == ["given-up"]
    assert kinds(asked(tmp_path, github(state="closed", state_reason="completed"), "github"), must_be_open=False) == []


@pytest.mark.parametrize(
    ("labels", "rule", "wrong"),
    [
        (("flow/ready",), {"required": ("flow/ready",)}, []),
        (("flow/ready ",), {"required": ("flow/ready",)}, []),
        (("Flow/Ready",), {"required": ("flow/ready",)}, ["missing-label"]),
        (("Flow/Ready",), {"required": ("flow/ready",), "ignores_case": True}, []),
        (("ready",), {"required": ("flow/ready",)}, ["missing-label"]),  # a scope is part of the name
        ((), {"required": ("a", "b")}, ["missing-label", "missing-label"]),
        (("not-ready",), {"forbidden": ("not-ready",)}, ["forbidden-label"]),
        (("Not-Ready",), {"forbidden": ("not-ready",)}, ["forbidden-label"]),
        (("ready", "not-ready-for-friday"), {"forbidden": ("not-ready",)}, []),
        (("a", "status:blocked"), {"required": ("b",), "forbidden": ("status:blocked",)}, ["missing-label", "forbidden-label"]),
    ],
)
def test_labels_that_it_must_have_and_must_not(labels: tuple[str, ...], rule: dict[str, Any], wrong: list[str]) -> None:
    assert kinds(Issue(number=271, repository="ops/platform", open=True, labels=labels), **rule) == wrong


def test_the_sentence_names_the_issue_and_each_label() -> None:
    issue = Issue(number=271, repository="ops/platform", open=False, labels=("not-ready",))
    judged = judge_issue(DesignIssue(issue=issue, must_be_open=True, required=("ready",), forbidden=("not-ready",)))
    said = "ops/platform#271: it is closed, and must be open; it lacks the label ready; it has the label not-ready, which says that it is not ready"
    assert isinstance(judged, Broken)
    assert judged.message == said


# ---- what proves nothing


def serving(serve: Callable[[http.server.BaseHTTPRequestHandler], None]) -> str:
    """The address of a forge that does this with every request."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            serve(self)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/api/v1"


def saying(status: int, content: bytes = b"{}", *headers: tuple[str, str]) -> str:
    def serve(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(content)))):
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(content)

    return serving(serve)


@pytest.mark.parametrize(
    ("status", "body", "remedy"),
    [
        (401, {"message": "Bad credentials"}, "put a new one with the scope read:issue into FORGE"),
        (403, {"message": "token does not have at least one of required scope(s)"}, "give FORGE the scope read:issue"),
        (403, {"message": "API rate limit exceeded for 10.0.0.1"}, "wait a few minutes"),
        (429, {}, "wait a few minutes"),
        (404, {"message": "Not Found"}, "correct `issue` of the action or `repository` of the forge"),
        (410, {"message": "This issue was deleted"}, "the issue was deleted"),
        (301, {"message": "Moved Permanently"}, "ops/platform#271 was moved"),
        (500, {}, "look whether the forge is well"),
        (200, [], "point `url` of the forge at its API"),
        (200, {"message": "hello"}, "point `url` of the forge at its API"),
        (200, forgejo(number=272), "point `url` of the forge at its API"),
        (200, forgejo(state="merged"), "point `url` of the forge at its API"),
        (200, forgejo(labels=[{"id": 1}]), "look at the issue"),
        (200, forgejo(labels={"name": "a"}), "point `url` of the forge at its API"),
    ],
)
def test_an_answer_that_says_nothing_of_the_issue_is_unproven_with_its_remedy(status: int, body: object, remedy: str) -> None:
    with pytest.raises(CouldNotLook) as caught:
        forge.issue(tracker(saying(status, json.dumps(body).encode()), token="FORGE"), 271, {"FORGE": TOKEN})
    assert remedy in caught.value.remedy
    assert caught.value.where
    assert TOKEN not in f"{caught.value} {caught.value.__cause__!r}"


def test_a_moved_issue_is_not_followed_to_another_host() -> None:
    other = saying(200, json.dumps(forgejo()).encode())
    with pytest.raises(CouldNotLook, match="answered 301"):
        forge.issue(tracker(saying(301, b"", ("Location", f"{other}/{PATH}"))), 271, {})


def test_the_token_goes_to_the_forge_as_it_wants_it_and_nowhere_else() -> None:
    seen: list[tuple[str, str]] = []

    def serve(request: http.server.BaseHTTPRequestHandler) -> None:
        seen.append((request.path, request.headers["Authorization"]))
        request.send_response(404)
        request.send_header("Content-Length", "0")
        request.end_headers()

    url = serving(serve)
    for kind in ("github", "forgejo", "gitea"):
        with pytest.raises(CouldNotLook):
            forge.issue(tracker(url, kind, token="FORGE"), 271, {"FORGE": TOKEN})
    assert seen == [(f"/api/v1/{PATH}", f"{scheme} {TOKEN}") for scheme in ("Bearer", "token", "token")]


def test_a_token_that_is_not_set_is_asked_for_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(CouldNotLook, match="FORGE is not set"):
        forge.issue(tracker(stand_in(tmp_path), token="FORGE"), 271, {})


@pytest.mark.parametrize("content", [b"<html>sign in</html>", b"", b"\xff\xfe", b'{"number": 271'])
def test_garbage_is_unproven(content: bytes) -> None:
    with pytest.raises(CouldNotLook):
        forge.issue(tracker(saying(200, content)), 271, {})


def test_an_answer_that_is_too_long_is_unproven() -> None:
    with pytest.raises(CouldNotLook, match="more than 2,000,000 bytes"):
        forge.issue(tracker(saying(200, b" " * 2_000_001)), 271, {})


def test_an_answer_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time, and all of them never would."""
    monkeypatch.setattr(forge, "TIMEOUT_S", 0.5)

    def serve(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000000")
        request.end_headers()
        with contextlib.suppress(OSError):  # whoever asked has gone
            for byte in _dripping():
                request.wfile.write(byte)

    began = time.monotonic()
    with pytest.raises(CouldNotLook, match="gave no answer"):
        forge.issue(tracker(serving(serve)), 271, {})
    assert time.monotonic() - began < 5


def _dripping() -> Iterator[bytes]:
    for _ in itertools.repeat(None, 100):
        time.sleep(0.1)
        yield b" "


def test_a_forge_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forge, "TIMEOUT_S", 0.3)
    with pytest.raises(CouldNotLook, match="gave no answer"):
        forge.issue(tracker(serving(lambda _request: time.sleep(2))), 271, {})


def test_nobody_there_is_unproven() -> None:
    with pytest.raises(CouldNotLook, match="gave no answer"):
        forge.issue(tracker("http://127.0.0.1:9/api/v1"), 271, {})
