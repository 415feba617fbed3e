"""compose.strict_parse, and which files of a tree are compose files."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.config.models import Compose, Site
from interlock.facts.compose import ComposeText
from interlock.judge.compose import STRICT_PARSE, judge_strict_parse
from interlock.observe.chains import compose_files
from interlock.observe.tree import Tree
from interlock.verdicts import Broken, Held, Pair, Unproven, fingerprint


def judge(text: str | bytes) -> Held | Broken | Unproven:
    return judge_strict_parse(ComposeText(path="compose.yaml", content=text if isinstance(text, bytes) else text.encode()))


def found(text: str | bytes) -> list[tuple[str, str, int | None]]:
    judgement = judge(text)
    assert isinstance(judgement, Broken), judgement
    assert judgement.remedy
    return [(detail.kind, detail.what, detail.line) for detail in judgement.details]


@pytest.mark.parametrize(
    "text",
    [
        "services: {a: {image: x}}\n",
        "\ufeffservices: {a: {image: x}}\n",
        "services:\r\n  a:\r\n    image: x\r\n",
        "x-env: &env {A: 1}\nservices:\n  a: {environment: {<<: *env, A: 2}}\n  b: {environment: *env}\n",
        "x-a: &a {A: 1}\nx-b: &b {B: 1}\nservices:\n  a:\n    environment: {<<: [*a, *b]}\n",
        "services: {a: {ports: !reset [], volumes: !override [a:/b]}}\n",
        "services: {a: {image: '${REGISTRY:-ghcr.io}/x:${TAG:?set it}'}}\n",
        "services: {a: {image: x}}\n---\nservices: {a: {image: y}}\n",
        "# =======\n# <<<<<<< not a marker: it does not begin the line\nservices: {a: {image: x}}\n",
        "services:\n  a:\n    command: |\n      =======\n      <<<<<<< HEAD\n",
        "services:\n  a: {image: x}\n  b: {image: x}\nvolumes: {a: {}, b: {}}\n",
        "services:\n  a:\n    labels: ['image=x', 'image=x']\n",
        "services: {a: {environment: {KEY: , OTHER: }}}\n",
        "a: 1\r\nservices: {a: {command: \"printf \\'%d\\' é \\' x\"}}\r\n",
        "",
        "# everything in here is switched off\n",
    ],
)
def test_a_file_that_says_one_thing_holds(text: str) -> None:
    assert isinstance(judge(text), Held)


def test_a_key_that_stands_twice_names_both_lines_and_its_path() -> None:
    judgement = judge("services:\n  app:\n    image: x\n    environment:\n      A: 1\n      B: 2\n      A: 3\n")
    assert isinstance(judgement, Broken)
    assert judgement.message == "compose.yaml: line 7: the key 'A' stands here again; it is already on line 5 (services.app.environment.A)"
    assert [(detail.kind, detail.what, detail.line, detail.file) for detail in judgement.details] == [
        ("duplicate-key", "services.app.environment.A", 7, "compose.yaml")
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2\na: 3\n", [("duplicate-key", "a", 2), ("duplicate-key", "a", 3)]),
        ('a: {1: x, "1": y}\n', [("key", "a.1", 1), ("duplicate-key", "a.1", 1)]),
        ("a:\n  - {b: 1}\n  - {b: 1, b: 2}\n", [("duplicate-key", "a[1].b", 3)]),
        ('a: {"b.c": 1, "b.c": 2}\n', [("duplicate-key", 'a."b.c"', 1)]),
        ("a: &x {b: 1}\nc:\n  <<: *x\n  <<: *x\n", [("duplicate-key", "c.<<", 4)]),
        ("a: [1\nb: 2\n", [("syntax", "syntax", 1)]),
        ("a: *nope\n", [("alias", "a", 1)]),
        ("services: {a: {image: {{ tag }}}}\n", [("key", "services.a.image", 1)]),
        ('a: "it\\\'s"\nb: "\\z"\n', [("syntax", "syntax", 2)]),
        ("- a\n", [("no-mapping", "document 1", 1)]),
        ("text\n", [("no-mapping", "document 1", 1)]),
        ("a: 1\n---\n", [("no-mapping", "document 2", 3)]),
        (b"a: \xff\n", [("not-text", "not-text", 1)]),
        (b"\x7fELF\x00\x00", [("not-text", "not-text", 1)]),
    ],
)
def test_what_is_broken_is_told_by_kind_key_and_line(text: str | bytes, expected: list[tuple[str, str, int]]) -> None:
    assert found(text) == expected


CONFLICT = "services:\n  a:\n<<<<<<< HEAD\n    image: x\n||||||| base\n    image: w\n=======\n    image: y\n>>>>>>> main\n    restart: always\n"


def test_every_line_of_a_conflict_is_named() -> None:
    assert found(CONFLICT) == [("conflict-marker", f"conflict marker {number}", line) for number, line in enumerate((3, 5, 7, 9), start=1)]


def test_what_is_wrong_on_one_side_of_a_conflict_is_told_too() -> None:
    assert ("duplicate-key", "services.a.image", 5) in found(CONFLICT.replace("    image: x\n", "    image: x\n    image: z\n"))


def test_a_side_that_was_left_over_is_found() -> None:
    assert [kind for kind, _, _ in found("services:\n  a:\n    image: x\n>>>>>>> main\n")] == ["conflict-marker"]
    assert [kind for kind, _, _ in found("services:\n  a: {image: x}\n=======\n  b: {image: y}\n")] == ["conflict-marker"]


def test_the_same_fault_keeps_its_key_when_other_lines_move() -> None:
    def keys(text: str) -> list[str]:
        judgement = judge(text)
        return [fingerprint(Pair("compose.strict_parse", "compose.yaml"), detail) for detail in judgement.details]

    for text in ("a: 1\na: 2\n", CONFLICT, "a: [1\nb: 2\n"):
        assert keys(text) == keys("# a new line\n\n" + text)


@pytest.mark.parametrize("text", ["a: " + "[" * 5000 + "]" * 5000 + "\n", "a: " + "x" * 5_000_000])
def test_a_file_beyond_every_measure_is_unproven_and_harms_nothing(text: str) -> None:
    assert isinstance(judge(text), Unproven)


def test_an_alias_bomb_is_unproven() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert isinstance(judge("\n".join(lines)), Unproven)


def test_the_subjects_are_the_files_of_the_site_each_once() -> None:
    site = Site(interlock=1, site="t", compose=Compose(files=("a.yaml", "b.yaml")))
    assert [subject.id for subject in STRICT_PARSE.subjects(site)] == ["a.yaml", "b.yaml"]
    assert STRICT_PARSE.subjects(Site(interlock=1, site="t")) == []


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("docker-compose.yml", True),
        ("compose.yaml", True),
        ("deploy/docker-compose.prod.yaml", True),
        ("docker-compose-base.yml", True),
        ("compose.override.yml", True),
        ("web.compose.yml", True),
        ("Docker-Compose.YML", True),
        ("docker_compose.yml", True),
        ("tests/e2e/docker-compose.fresh-volume-override.yml", True),
        ("helper-scripts/docker-compose.override.yml.d/DNS/docker-compose.override.yml", True),
        ("vendor/lib/docker-compose.yml", True),
        ("docker-compose.yml.example", False),
        ("docker-compose.yml.hbs", False),
        ("compose.py", False),
        ("composer.yml", False),
        ("decompose.yml", False),
        ("values.yaml", False),
        (".github/workflows/docker-compose.yml", False),
        (".forgejo/workflows/compose.yaml", False),
        ("node_modules/x/docker-compose.yml", False),
    ],
)
def test_a_compose_file_is_known_by_its_name(tmp_path: Path, path: str, is_one: bool) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text("services: {}\n")
    assert compose_files(Tree(tmp_path)) == ((path,) if is_one else ())


@pytest.mark.parametrize("text", ["{% if tls %}\nservices: {}\n{% endif %}\n", "{{#if tls}}\nservices: {}\n{{/if}}\n", "services: {}\n  {%- for x in y %}\n"])
def test_a_template_of_a_compose_file_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "docker-compose.yml").write_text(text)
    assert compose_files(Tree(tmp_path)) == ()


def test_a_format_of_docker_makes_no_template(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {a: {healthcheck: {test: \"docker ps --format '{{.Names}}'\"}}}\n")
    assert compose_files(Tree(tmp_path)) == ("compose.yaml",)


def test_a_compose_file_that_cannot_be_read_is_named_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_bytes(b"x" * 100)
    assert compose_files(Tree(tmp_path, limit=10)) == ("compose.yaml",)
