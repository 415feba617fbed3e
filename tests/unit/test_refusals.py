"""What docker compose means when it refuses a chain, whichever version says it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.facts.refusals import Trouble, refusal, without_values


@pytest.mark.parametrize(
    ("words", "trouble", "about", "path"),
    [
        (
            'service "a" depends on undefined service "b": invalid compose project',
            Trouble.UNDEFINED,
            "service a: service b",
            ("services", "a", "depends_on", "b"),
        ),
        ('service "a" refers to undefined volume v: invalid compose project', Trouble.UNDEFINED, "service a: volume v", ("services", "a", "volumes", "v")),
        ('service "a" refers to undefined secret v: invalid compose project', Trouble.UNDEFINED, "service a: secret v", ("services", "a", "secrets", "v")),
        (
            'service "a" has neither an image nor a build context specified: invalid compose project',
            Trouble.NO_IMAGE,
            "service a",
            ("services", "a", "extends"),
        ),
        ("validating /x/t.yml: services.a.ports must be a list", Trouble.INVALID, "services.a.ports", ("services", "a", "ports")),
        ("validating /x/t.yml: services.a Additional property foo is not allowed", Trouble.INVALID, "services.a.foo", ("services", "a", "foo")),
        ("validating /x/t.yml: services.a additional properties 'foo' not allowed", Trouble.INVALID, "services.a.foo", ("services", "a", "foo")),
        ("validating /x/t.yml: (root) Additional property foo is not allowed", Trouble.INVALID, "foo", ("foo",)),
        ("validating /x/t.yml:  additional properties 'foo' not allowed", Trouble.INVALID, "foo", ("foo",)),
        (
            "decoding failed due to the following error(s):\n\n'services[a].mem_limit' invalid size: 'x'",
            Trouble.INVALID,
            "services.a.mem_limit",
            ("services", "a", "mem_limit"),
        ),
        (
            'error while interpolating services.a.deploy.replicas: failed to cast to expected type: strconv.Atoi: parsing "x": invalid syntax',
            Trouble.INVALID,
            "services.a.deploy.replicas",
            ("services", "a", "deploy", "replicas"),
        ),
        ("services.a.environment.[0]: unexpected type int", Trouble.INVALID, "services.a.environment.0", ("services", "a", "environment", 0)),
    ],
)
def test_a_fault_is_sorted_named_and_has_the_key_path_to_look_for(words: str, trouble: Trouble, about: str, path: tuple[str | int, ...]) -> None:
    found = refusal(words)
    assert (found.trouble, found.about, found.paths[0]) == (trouble, about, path)


@pytest.mark.parametrize(
    ("words", "trouble", "file", "variable"),
    [
        ("env file /x/.env not found: stat /x/.env: no such file or directory", Trouble.ENV_FILE, "/x/.env", ""),
        ("open /x/no.yml: no such file or directory", Trouble.MISSING_FILE, "/x/no.yml", ""),
        ("error while interpolating services.app.volumes.[]: required variable D is missing a value: where", Trouble.VARIABLE, "", "D"),
        ('experimental git remote resource is disabled. "COMPOSE_EXPERIMENTAL_GIT_REMOTE" must be set', Trouble.REMOTE, "", ""),
        ('git remote resource is disabled by "COMPOSE_EXPERIMENTAL_GIT_REMOTE"', Trouble.REMOTE, "", ""),
        ('failed to parse /x/t.yml: yaml: line 8: mapping key "volumes" already defined at line 6', Trouble.SYNTAX, "", ""),
        ("invalid hostPort: x", Trouble.INVALID, "", ""),
        ("something new under the sun", Trouble.OTHER, "", ""),
    ],
)
def test_what_is_missing_is_named(words: str, trouble: Trouble, file: str, variable: str) -> None:
    found = refusal(words)
    assert (found.trouble, found.file, found.variable) == (trouble, file, variable)


def test_warnings_are_no_part_of_it() -> None:
    warning = 'time="2026-01-01T00:00:00Z" level=warning msg="The \\"X\\" variable is not set."\n'
    assert refusal(warning + "open /x/no.yml: no such file or directory\n").words == "open /x/no.yml: no such file or directory"


def test_the_same_fault_is_about_the_same_when_lines_move() -> None:
    first, second = (refusal(f"yaml: line {line}: did not find expected key") for line in (3, 70))
    assert first.about == second.about


@given(st.text(max_size=300))
def test_any_words_are_sorted(words: str) -> None:
    assert refusal(words).trouble in Trouble


@given(st.dictionaries(st.from_regex("[A-Z]{1,6}", fullmatch=True), st.text(alphabet="abcdefgh0123", min_size=8), max_size=5))
def test_no_value_of_a_variable_stays_in_the_words(values: dict[str, str]) -> None:
    said = without_values("invalid hostPort: " + " and ".join(values.values()), values, roots=())
    assert not any(value in said for value in values.values())


def test_paths_are_shown_below_the_tree() -> None:
    assert without_values("open /srv/site/no.yml: missing", {}, roots=("/srv/site",)) == "open no.yml: missing"
