"""Rendering: exact bytes in and out, and where an instance's values come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from interlock.config.load import load_site
from interlock.config.models import RendererName, Site
from interlock.errors import ConfigError, CouldNotLook
from interlock.facts.substitution import SubstitutionError
from interlock.facts.templates import Rendered
from interlock.observe.tree import Tree
from interlock.render import render, render_instance

COPY, SUBSTITUTE = RendererName.COPY, RendererName.SUBSTITUTE
ODD_BYTES = [b"", b"\n", b"a\r\nb\r\n", b"\xef\xbb\xbfx", b"no end", b"\xff\x00\xfe", b"\x80abc\n\n\n", "\u2028\u00a0".encode(), b"\r", b"a\x0bb\x0cc\x85"]


@pytest.mark.parametrize("data", ODD_BYTES)
@pytest.mark.parametrize("renderer", list(RendererName))
def test_bytes_without_a_reference_come_out_as_they_went_in(renderer: RendererName, data: bytes) -> None:
    assert render(renderer, data, {}, "x") == data


@pytest.mark.parametrize("data", ODD_BYTES)
def test_bytes_around_a_reference_come_out_as_they_went_in(data: bytes) -> None:
    assert render(SUBSTITUTE, data + b"${A}" + data, {"A": "1"}, "x") == data + b"1" + data


def test_a_copied_file_keeps_its_dollars() -> None:
    assert render(COPY, b"$NOPE ${", {}, "x") == b"$NOPE ${"


@given(st.binary())
def test_any_bytes_survive_with_their_dollars_doubled(data: bytes) -> None:
    assert render(SUBSTITUTE, data.replace(b"$", b"$$") + b"${A}", {"A": ""}, "x") == data


def test_a_value_that_is_no_utf8_comes_out_as_its_bytes() -> None:
    assert render(SUBSTITUTE, b"<$A>", {"A": b"\xff".decode("utf-8", "surrogateescape")}, "x") == b"<\xff>"


def test_a_value_that_is_no_text_is_an_error() -> None:
    with pytest.raises(ConfigError, match="the value of A is no text"):
        render(SUBSTITUTE, b"<$A>", {"A": "\ud800"}, "x")


def test_an_error_says_the_template_line_and_column() -> None:
    with pytest.raises(SubstitutionError) as caught:
        render(SUBSTITUTE, b"\xff\xff\n\xc3\xa9 ${B}", {}, "templates/x.conf")
    assert caught.value.where == "templates/x.conf:2:3"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.conf").write_text("host=${HOST}\nport=${PORT:-80}\n")
    (tmp_path / "app.env").write_text("HOST=from-file\nTOKEN\nURL=http://$HOST/$REGION\n")
    return tmp_path


def site(folder: Path, values: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None, **template: object) -> Site:
    instance = {"directory": "/srv/main", "env_file": "app.env", "values": dict(values or {})}
    declared = {"template": "app.conf", "canonical": "canonical/{instance}.conf", "target": "etc/{instance}.conf", "mode": "0640", **template}
    (folder / "interlock.yaml").write_text(
        yaml.safe_dump({"interlock": 1, "site": "t", "instances": {"main": instance, "second": {"directory": "/srv/second"}}, "templates": {"app": declared}})
    )
    return load_site(folder / "interlock.yaml", environ or {})


def rendered(folder: Path, site_: Site, environ: Mapping[str, str] | None = None) -> Rendered:
    return render_instance(site_, "app", "main", Tree(folder), environ or {"REGION": "eu-north"})


def test_an_instance_is_rendered_with_its_env_file(folder: Path) -> None:
    result = rendered(folder, site(folder))
    assert result.content == b"host=from-file\nport=80\n"
    assert (result.target, result.canonical, result.mode, result.host, result.keys) == (
        "/srv/main/etc/main.conf",
        "canonical/main.conf",
        0o640,
        "local",
        ("HOST",),
    )


def test_values_of_the_site_win_over_the_env_file(folder: Path) -> None:
    assert rendered(folder, site(folder, {"HOST": "from-site"})).content == b"host=from-site\nport=80\n"


def test_a_template_may_lie_in_a_folder_of_its_instance(folder: Path) -> None:
    (folder / "main").mkdir()
    (folder / "main" / "x.conf").write_text("own")
    assert rendered(folder, site(folder, template="{instance}/x.conf")).content == b"own"


def test_a_dollar_in_a_value_of_the_environment_is_not_substituted(folder: Path) -> None:
    environ = {"SECRET": "pa$$word${X"}
    assert rendered(folder, site(folder, {"HOST": "${SECRET}"}, environ), environ).content == b"host=pa$$word${X\nport=80\n"


def test_values_that_the_template_does_not_use_need_not_be_there(folder: Path) -> None:
    assert rendered(folder, site(folder)).content.startswith(b"host=from-file")


def test_a_value_that_only_the_environment_has_cannot_be_looked_at_without_it(folder: Path) -> None:
    (folder / "app.conf").write_text("${TOKEN}")
    assert rendered(folder, site(folder), {"TOKEN": "t", "REGION": "r"}).content == b"t"
    with pytest.raises(CouldNotLook, match="TOKEN of instance main comes from the environment, where it is not set"):
        rendered(folder, site(folder))


def test_a_value_of_an_env_file_that_needs_the_environment_cannot_be_looked_at_without_it(folder: Path) -> None:
    assert rendered(folder, site(folder), {"OTHER": "x"}).content.startswith(b"host=from-file")
    (folder / "app.conf").write_text("$URL")
    with pytest.raises(CouldNotLook, match="REGION of instance main comes from the environment") as caught:
        rendered(folder, site(folder), {"OTHER": "x"})
    assert caught.value.where == "app.env:3:5"


def test_an_env_file_that_is_refused_is_an_error_of_the_site(folder: Path) -> None:
    (folder / "app.env").write_text("HO ST=x\n")
    with pytest.raises(ConfigError) as caught:
        rendered(folder, site(folder))
    assert [problem.where for problem in caught.value.problems] == ["app.env:1:1"]


def test_a_variable_that_nobody_defines_is_an_error_of_the_template(folder: Path) -> None:
    (folder / "app.conf").write_text("${NOBODY}")
    with pytest.raises(SubstitutionError, match="variable NOBODY is not defined"):
        rendered(folder, site(folder))


def test_a_missing_template_cannot_be_looked_at(folder: Path) -> None:
    (folder / "app.conf").unlink()
    with pytest.raises(CouldNotLook):
        rendered(folder, site(folder))


def test_what_came_from_outside_is_secret_and_what_the_site_says_is_not(folder: Path) -> None:
    environ = {"PASSWORD": "hunter2", "REGION": "eu-north", "SHORT": "abc"}
    values = {"PLAIN": "plain", "DSN": "postgres://u:${PASSWORD}@h", "TINY": "${SHORT}"}
    (folder / "app.conf").write_text("$PLAIN $DSN $URL $HOST $TINY")
    result = rendered(folder, site(folder, values, environ), environ)
    assert result.secrets.names == {"DSN", "URL", "HOST", "TINY"}
    assert result.secrets.texts == {"postgres://u:hunter2@h", "hunter2", "http://from-file/eu-north", "eu-north", "from-file", "abc"}
    assert not [secret for secret in result.secrets.texts if secret in repr(result)]


def test_a_copied_template_has_no_values_at_all(folder: Path) -> None:
    result = rendered(folder, site(folder, renderer="copy"))
    assert (result.content, result.keys, result.secrets.names) == (b"host=${HOST}\nport=${PORT:-80}\n", (), frozenset())
