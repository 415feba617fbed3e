"""Which scripts put the list of compose files together, and when do two of them disagree?"""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from interlock.facts.chain_lists import ChainList, ChainLists, chain_list
from interlock.facts.shell import parse
from interlock.judge.chain_lists import judge_single_resolver
from interlock.verdicts import Broken, Held
from tests.strategies import shell_texts

FILES = ("compose.yml", "compose.prod.yml", "compose.tls.yml", "compose.db.yml")


def listed(text: str, path: str = "start.sh") -> ChainList | None:
    return chain_list(path, parse(text), FILES)


CONDITIONAL = {
    "an array that grows": 'F=( -f compose.yml )\nif [ -s cert.pem ]; then\n  F+=( -f compose.tls.yml )\nfi\ndocker compose "${F[@]}" up -d\n',
    "a variable that grows": 'F="-f compose.yml"\n[ -s cert.pem ] && F="$F -f compose.tls.yml"\ndocker compose $F up -d\n',
    "COMPOSE_FILE with colons": (
        'export COMPOSE_FILE="${COMPOSE_FILE:-compose.yml}"\ncase ":$COMPOSE_FILE:" in\n*tls*) ;;\n*) COMPOSE_FILE="$COMPOSE_FILE:compose.tls.yml" ;;\nesac\n'
    ),
    "two lists": 'if [ "$TLS" = yes ]; then\n  L="compose.yml:compose.tls.yml"\nelse\n  L=compose.yml:compose.yml\nfi\n',
    "two commands": "if [ -s cert.pem ]; then\n  docker compose -f compose.yml -f compose.tls.yml up -d\nelse\n  docker compose -f compose.yml up -d\nfi\n",
    "a function": 'list() {\n  l="compose.yml:compose.yml"\n  if tls; then l="$l:compose.tls.yml"; fi\n  echo "$l"\n}\n',
    "paths": 'F="--file=/srv/app/compose.yml"\nif [ -e x ]; then F="$F --file=/srv/app/compose.tls.yml"; fi\n',
}


@pytest.mark.parametrize("text", CONDITIONAL.values(), ids=CONDITIONAL)
def test_a_file_that_a_condition_adds_is_conditional(text: str) -> None:
    found = listed(text)
    assert found is not None
    assert (found.base, found.conditional) == ("compose.yml", frozenset({"compose.tls.yml"}))


@pytest.mark.parametrize(
    "text",
    [
        "docker compose -f compose.yml up -d\n",
        "for f in compose.yml compose.prod.yml; do curl -O https://example.org/$f; done\n",
        "FILES=( compose.yml compose.prod.yml )\n",
        'echo "docker compose -f compose.yml -f compose.prod.yml up -d"\n',
        "docker compose -f other.yml -f more.yml up\n",
    ],
)
def test_what_starts_nothing_together_is_no_list(text: str) -> None:
    assert listed(text) is None


def kinds(*lists: ChainList | None) -> set[str]:
    judged = judge_single_resolver(ChainLists(lists=tuple(one for one in lists if one is not None), read=len(lists)))
    assert isinstance(judged, (Held, Broken))
    return {detail.what for detail in judged.details}


TLS = CONDITIONAL["an array that grows"]
DB = TLS.replace("tls", "db").replace("cert.pem", "db.on")


def test_two_scripts_that_decide_for_themselves_are_both_named() -> None:
    assert kinds(listed(TLS, "a.sh"), listed(DB, "b.sh")) == {"a.sh", "b.sh"}


def test_a_fixed_list_of_what_another_script_decides_is_named_too() -> None:
    fixed = "docker compose -f compose.yml -f compose.prod.yml -f compose.tls.yml up -d\n"
    assert kinds(listed(TLS, "a.sh"), listed(fixed, "b.sh")) == {"a.sh", "b.sh"}


def test_the_one_that_others_call_is_right() -> None:
    resolver = ChainList(path="files.sh", line=1, files=FILES, conditional=frozenset(FILES[2:]), resolver=True)
    assert kinds(resolver, listed(TLS, "a.sh")) == {"a.sh"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (TLS, "docker compose -f compose.yml -f compose.prod.yml ps\n"),  # it knows nothing of the condition
        ("docker compose -f compose.yml -f compose.prod.yml up\n", "docker compose -f compose.yml -f compose.db.yml up\n"),  # fixed, and meant so
        (TLS, TLS.replace("compose.yml", "compose.prod.yml")),  # another stack
    ],
)
def test_lists_that_cannot_undo_each_other_are_right(one: str, other: str) -> None:
    assert kinds(listed(one, "a.sh"), listed(other, "b.sh")) == set()


@settings(max_examples=60, deadline=None)
@given(shell_texts())
def test_reading_never_raises(data: bytes) -> None:
    chain_list("x.sh", parse(data), FILES)
