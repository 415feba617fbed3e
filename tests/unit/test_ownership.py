"""What do scripts do to owners and modes, and as whom does an image run?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.facts.ownership import Act, Did, acts, data_owners, runs_as, user_of_dockerfile
from interlock.facts.shell import parse


def done(text: str, did: Did) -> list[Act]:
    return [act for act in acts(parse(text)) if act.did is did]


@pytest.mark.parametrize(
    ("line", "path", "owner", "recursive"),
    [
        ("chown 999:999 /srv/state", "/srv/state", "999", False),
        ("sudo chown -R shop.shop /srv/state/", "/srv/state", "shop", True),
        ("chown --recursive shop: /srv/state", "/srv/state", "shop", True),
        ("chown -hR 70 /srv/db/*", "/srv/db", "70", True),
        ("install -d -o 472 -g 472 /srv/grafana", "/srv/grafana", "472", False),
        ('D=/srv; chown 1000 "$D/state"', "/srv/state", "1000", False),
        ('chown 1000 "${D:-/srv}/state"', "/srv/state", "1000", False),
        ("bash -c 'chown 70:70 /srv/db && chmod 700 /srv/db'", "/srv/db", "70", False),
        ("find /srv -mindepth 1 -exec chown 999:999 {} +", "/srv", "999", True),
    ],
)
def test_every_way_to_give_a_path_to_somebody(line: str, path: str, owner: str, recursive: bool) -> None:
    assert [(act.path, act.owner, act.recursive) for act in done(line, Did.OWNER)] == [(path, owner, recursive)]


@pytest.mark.parametrize("line", ["chown --reference=a b", "echo chown 1 /srv", "chgrp staff /srv", "docker exec app chown 1 /srv", "# chown 1 /srv"])
def test_what_gives_nothing_to_nobody_here(line: str) -> None:
    assert done(line, Did.OWNER) == []


@pytest.mark.parametrize(
    ("line", "private"),
    [
        ("chmod 600 /x/f", True),
        ("chmod 0400 /x/f", True),
        ("chmod go= /x/f", True),
        ("chmod go-rwx /x/f", True),
        ("mkdir -m 700 /x/f", True),
        ("install -m 0600 a /x/f", True),
        ("chmod 660 /x/f", False),
        ("chmod 0644 /x/f", False),
    ],
)
def test_every_way_to_set_a_mode(line: str, private: bool) -> None:
    assert [(act.path, act.private) for act in done(line, Did.MODE)] == [("/x/f", private)]


def test_a_loop_over_words_is_each_of_them() -> None:
    text = 'for d in a b; do mkdir -p "/srv/$d"; chown 5 "/srv/$d"; done'
    assert [act.path for act in done(text, Did.OWNER)] == ["/srv/a", "/srv/b"]
    assert [act.path for act in done(text, Did.DIRECTORY)] == ["/srv/a", "/srv/b"]


def test_braces_are_several_directories() -> None:
    assert [act.path for act in done("mkdir -p /srv/{db,state/{a,b}}", Did.DIRECTORY)] == ["/srv/db", "/srv/state/a", "/srv/state/b"]


def test_a_question_about_users_is_told_from_others() -> None:
    text = '[ -f /x ] && chmod 600 /x\nif [ "$(id -u shop)" = 999 ]; then chmod 600 /y; fi\n'
    assert [(act.path, act.asks_owner) for act in done(text, Did.MODE)] == [("/x", False), ("/y", True)]


def test_what_find_leaves_out_is_not_covered() -> None:
    (act,) = done("find /srv -mindepth 1 -maxdepth 1 ! -name db -exec chown -R 9:9 {} +", Did.OWNER)
    assert act.covers("/srv/state/x")
    assert not act.covers("/srv/db/base")


@pytest.mark.parametrize(
    ("line", "uid"), [("useradd --system shop", ""), ("useradd -r -u 999 shop", "999"), ("adduser --uid=70 shop", "70"), ("U=12; useradd --uid $U shop", "12")]
)
def test_a_user_is_made_with_a_number_or_without(line: str, uid: str) -> None:
    assert [(act.path, act.owner) for act in done(line, Did.USER)] == [("shop", uid)]


@pytest.mark.parametrize(
    ("text", "uid"),
    [
        ("FROM a\nUSER 1500:1500\n", 1500),
        ("FROM a\nRUN useradd --system --uid 999 shop\nUSER shop\n", 999),
        ("FROM a\nARG APP_UID=1234\nRUN adduser -D -u ${APP_UID} shop\nUSER shop\n", 1234),
        ("FROM node:22\nUSER node\n", 1000),
        ("FROM a\nRUN useradd shop\nUSER shop\n", None),
        ("FROM a\nUSER 1000\nUSER root\n", None),
        ("FROM a AS build\nUSER 1000\nFROM b\n", None),
        ("FROM a\nUSER 0\n", None),
        ("", None),
    ],
)
def test_as_whom_an_image_runs(text: str, uid: int | None) -> None:
    assert user_of_dockerfile(text) == uid


@pytest.mark.parametrize(
    ("image", "uids"),
    [("postgres:17", {999}), ("docker.io/library/postgres:17-alpine", {70}), ("postgres", {70, 999}), ("shop:1", set()), ("mysql:8", {999, 27})],
)
def test_whose_the_data_of_an_engine_is(image: str, uids: set[int]) -> None:
    assert data_owners(image) == uids


def test_an_image_that_starts_as_root_has_no_user_of_its_own() -> None:
    assert runs_as("postgres:17") is None
    assert runs_as("grafana/grafana:11.0") == 472


@given(st.text(st.sampled_from("chownmd -R7:/{},$\"'()\n;&|ifte[]!"), max_size=150))
def test_any_text_is_read(text: str) -> None:
    acts(parse(text))


@given(st.text(max_size=150))
def test_any_dockerfile_is_read(text: str) -> None:
    user_of_dockerfile("FROM a\nUSER x\nRUN useradd -u " + text)
