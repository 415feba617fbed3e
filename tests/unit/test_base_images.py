"""From which image another is made, where that leaves its data alone."""

from __future__ import annotations

import pytest
from hypothesis import given

from interlock.facts.base_images import base_image
from tests.strategies import texts


@pytest.mark.parametrize(
    ("dockerfile", "image"),
    [
        ("FROM postgres:18\nRUN apt-get update\nCOPY init.sql /docker-entrypoint-initdb.d/\n", "postgres:18"),
        ("ARG VERSION=17\nFROM --platform=linux/amd64 postgres:${VERSION}-alpine AS db\n", "postgres:17-alpine"),
        ("FROM golang AS build\nRUN go build\nFROM mysql:8\nCOPY --from=build /a /a\n", "mysql:8"),
        ("FROM mysql:8 AS base\nFROM base\nENV MYSQL_DATABASE=app\n", "mysql:8"),
        ("FROM postgres:18\nENV PGDATA=/rows\n", ""),
        ("FROM postgres:18 AS base\nENV PGDATA=/rows\nFROM base\n", ""),
        ('FROM postgres:18\nCMD ["postgres", "-D", "/rows"]\n', ""),
        ("FROM redis:8\nVOLUME /var/lib/redis\n", ""),
        ("ARG VERSION\nFROM postgres:$VERSION\n", ""),
        ("# FROM postgres\n", ""),
    ],
)
def test_the_last_stage_tells_its_image_unless_it_says_otherwise(dockerfile: str, image: str) -> None:
    assert base_image(dockerfile) == image


@given(texts())
def test_no_text_makes_it_fail(text: str) -> None:
    assert "$" not in base_image(text)
    assert "$" not in base_image(f"FROM a AS b\nENV {text}\nFROM {text}\n")
