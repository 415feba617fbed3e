"""What reaches a host, copies that must be the same, and release numbers: the readers on texts, the judgements on small trees."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given

from interlock.commands.scan import site_of_tree
from interlock.facts.copies import compared_by, first_difference, said_copies
from interlock.facts.releases import ReleaseTag, Slip, slips_of, twice
from interlock.facts.shell import parse
from interlock.facts.shipping import compose_files_named, deliveries_of, sourced, staged, started_by_unit, taken_in
from interlock.judge.shipping import judge_completeness, judge_counter, judge_in_sync
from interlock.observe.shipping import deliveries, releases, twins
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Detail, Held, Outcome, Subject, Unproven, When
from tests.strategies import shell_texts, texts

SCRIPTS = Subject(name="scripts")
APP = "services: {app: {image: example/app}}\n"


def world(folder: Path, files: dict[str, str]) -> World:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    site = site_of_tree(folder)
    return World(site=site, gates=frozenset({When.STATIC}), tree=Tree(folder, patient=True), hosts={}, environ=os.environ)


def broken(judged: Held | Broken | Unproven) -> list[tuple[str, str]]:
    return [(one.kind, one.what) for one in details(judged)]


def details(judged: Held | Broken | Unproven) -> list[Detail]:
    return [one for one in judged.details if one.outcome is Outcome.BROKEN]


# ---- lists


IMAGE = "FROM example/base\nCOPY . .\nRUN mkdir -p /opt/host && \\\n    cp /app/ops/up.sh /app/ops/up.service \\\n       /app/compose.yaml {more} /opt/host/\n"
UP = "#!/bin/sh\ncd /srv/app\ndocker compose -f compose.yaml -f compose.db.yaml up -d\n"
UNIT = "[Service]\nExecStart=/usr/local/bin/up.sh\n"
STAGED = {"ops/up.sh": UP, "ops/up.service": UNIT, "compose.yaml": APP, "compose.db.yaml": APP}


def test_an_image_that_carries_the_script_without_its_overlay_is_broken(tmp_path: Path) -> None:
    judged = judge_completeness(deliveries(world(tmp_path, {**STAGED, "Dockerfile": IMAGE.format(more="")}), SCRIPTS))
    assert broken(judged) == [("not-delivered", "Dockerfile: staged: compose.db.yaml")]
    assert (details(judged)[0].file, details(judged)[0].line) == ("Dockerfile", 4)


def test_an_image_that_carries_all_of_it_holds(tmp_path: Path) -> None:
    judged = judge_completeness(deliveries(world(tmp_path, {**STAGED, "Dockerfile": IMAGE.format(more="/app/compose.db.yaml")}), SCRIPTS))
    assert isinstance(judged, Held)


def test_by_copy_it_is_the_same(tmp_path: Path) -> None:
    image = "FROM scratch\nCOPY ops/up.sh ops/up.service \\\n  compose.yaml /host/\n"
    assert broken(judge_completeness(deliveries(world(tmp_path, {**STAGED, "Dockerfile": image}), SCRIPTS)))


def test_an_overlay_that_is_used_where_somebody_placed_it_need_not_be_delivered(tmp_path: Path) -> None:
    guarded = '#!/bin/sh\n[ -f compose.db.yaml ] && EXTRA="-f compose.db.yaml"\ndocker compose -f compose.yaml $EXTRA up -d\n'
    judged = judge_completeness(deliveries(world(tmp_path, {**STAGED, "ops/up.sh": guarded, "Dockerfile": IMAGE.format(more="")}), SCRIPTS))
    assert isinstance(judged, Held)


def test_a_unit_whose_script_stays_behind_is_broken(tmp_path: Path) -> None:
    image = "FROM scratch\nCOPY compose.yaml compose.db.yaml ops/up.service /host/\n"
    judged = judge_completeness(deliveries(world(tmp_path, {**STAGED, "Dockerfile": image}), SCRIPTS))
    assert broken(judged) == [("not-delivered", "Dockerfile: staged: ops/up.sh")]


@pytest.mark.parametrize(
    "fetch",
    [
        "for f in compose.yaml compose.prod.yaml; do curl -fsSL $BASE/$f -o /srv/app/$f; done",
        'FILES=(\n  compose.yaml\n  # the other one\n  compose.prod.yaml\n)\nfor f in "${FILES[@]}"; do curl -fsSL "$BASE/$f" -o "/srv/app/$f.new"; done',
        "FILES='compose.yaml compose.prod.yaml'\nfor f in $FILES; do wget -q \"$BASE/${f}\"; done",
        "curl -O https://raw.example.org/shop/main/compose.yaml\ncurl -o /srv/app/compose.prod.yaml https://raw.example.org/shop/main/compose.prod.yaml",
        "scp compose.yaml compose.prod.yaml deploy@host.example.org:/srv/app/",
        "rsync -a ./compose.yaml ./compose.prod.yaml host:/srv/app/",
    ],
)
def test_a_script_that_brings_a_compose_file_brings_what_that_mounts(tmp_path: Path, fetch: str) -> None:
    proxy = "services: {proxy: {image: nginx, volumes: ['./nginx/site.conf:/etc/nginx/conf.d/site.conf:ro', 'data:/data']}}\nvolumes: {data: }\n"
    files = {"install.sh": f"#!/bin/bash\n{fetch}\n", "compose.yaml": APP, "compose.prod.yaml": proxy, "nginx/site.conf": "server {}\n"}
    judged = judge_completeness(deliveries(world(tmp_path, files), SCRIPTS))
    assert [what.rpartition(": ")[2] for _, what in broken(judged)] == ["nginx/site.conf"]


def test_what_the_script_writes_itself_is_there(tmp_path: Path) -> None:
    script = "#!/bin/sh\ncurl -O https://raw.example.org/shop/main/compose.yaml\ncat > site.conf <<EOF\nserver {}\nEOF\n"
    compose = "services: {proxy: {image: nginx, volumes: ['./site.conf:/etc/nginx/site.conf']}}\n"
    files = {"install.sh": script, "compose.yaml": compose, "site.conf": "server {}\n"}
    assert isinstance(judge_completeness(deliveries(world(tmp_path, files), SCRIPTS)), Held)


def test_a_directory_that_is_copied_whole_brings_what_is_in_it(tmp_path: Path) -> None:
    compose = "services: {proxy: {image: nginx, volumes: ['./nginx/site.conf:/etc/nginx/site.conf']}}\n"
    files = {"ship.sh": "#!/bin/sh\nrsync -a compose.yaml nginx host:/srv/\n", "compose.yaml": compose, "nginx/site.conf": "server {}\n"}
    assert isinstance(judge_completeness(deliveries(world(tmp_path, files), SCRIPTS)), Held)


def test_an_action_that_copies_to_a_server_is_a_list(tmp_path: Path) -> None:
    compose = "services: {proxy: {image: nginx, volumes: ['./site.conf:/etc/nginx/site.conf'], env_file: [shop.env]}}\n"
    steps = "      - uses: example/scp-action@v1\n        with: {source: 'compose.yaml,shop.env', target: /srv/app}\n"
    workflow = f"on: {{workflow_dispatch: }}\njobs:\n  ship:\n    runs-on: x\n    steps:\n{steps}"
    files = {".github/workflows/ship.yml": workflow, "compose.yaml": compose, "site.conf": "server {}\n", "shop.env": "A=1\n"}
    judged = judge_completeness(deliveries(world(tmp_path, files), SCRIPTS))
    assert broken(judged) == [("not-delivered", ".github/workflows/ship.yml: copied: site.conf")]


def test_a_tree_without_any_list_holds(tmp_path: Path) -> None:
    judged = judge_completeness(deliveries(world(tmp_path, {"up.sh": UP, "compose.yaml": APP}), SCRIPTS))
    assert isinstance(judged, Held)
    assert judged.message == "no list of this tree brings single files to a host"


def test_files_with_their_sources_come_with_them(tmp_path: Path) -> None:
    compose = "services: {app: {build: ., volumes: ['./src:/app']}}\n"
    files = {"install.sh": "#!/bin/sh\ncurl -O https://raw.example.org/shop/main/compose.yaml\n", "compose.yaml": compose, "src/app.py": "x = 1\n"}
    assert isinstance(judge_completeness(deliveries(world(tmp_path, files), SCRIPTS)), Held)


@given(shell_texts())
def test_reading_lists_never_fails(text: bytes) -> None:
    script, plain = parse(text), text.decode("utf-8", "replace")
    list(deliveries_of("x.sh", script, lambda name, _: name))
    list(staged(script))
    list(compared_by(script))
    list(slips_of("x.sh", script))
    for reader in (compose_files_named, sourced, started_by_unit, taken_in, said_copies):
        list(reader(plain))  # type: ignore[operator]


# ---- copies


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ("This file is a copy of ops/watch.sh.", "ops/watch.sh"),
        ("verbatim copy of `ops/watch.sh`", "ops/watch.sh"),
        ("Must stay identical to ../ops/watch.sh", "../ops/watch.sh"),
        ("must be byte-identical to ops/watch.sh", "ops/watch.sh"),
        ("Keep in sync with ops/watch.sh!", "ops/watch.sh"),
        ("keep this file in sync with the one in ops/watch.sh", "ops/watch.sh"),
        ("You should have received a copy of the GNU General Public License", ""),
        ("keep the cache mounts below in sync with these", ""),
        ("see ops/watch.sh", ""),
    ],
)
def test_a_file_says_that_it_is_a_copy_of_another(comment: str, said: str) -> None:
    assert [name for name, _ in said_copies(f"#!/bin/sh\n# {comment}\nset -eu\n")] == ([said] if said else [])


WATCH = "set -eu\nfree=$(df /srv)\ncheck $free\nlogger done\n"


def test_a_copy_that_drifted_is_broken_and_one_that_did_not_holds(tmp_path: Path) -> None:
    copy = f"#!/bin/sh\n# copy of another host's script\n# This is a copy of ops/watch.sh\n{WATCH}"
    files = {"ops/watch.sh": f"#!/bin/sh\n{WATCH}", "fleet/watch.sh": copy}
    assert isinstance(judge_in_sync(twins(world(tmp_path, files), SCRIPTS)), Held)
    judged = judge_in_sync(twins(world(tmp_path, {"ops/watch.sh": f"#!/bin/sh\n{WATCH}".replace("done", "all is well")}), SCRIPTS))
    assert broken(judged) == [("drifted", "ops/watch.sh and fleet/watch.sh")]
    assert (details(judged)[0].file, details(judged)[0].line) == ("fleet/watch.sh", 7)


def test_files_that_share_a_value_alone_are_no_copies() -> None:
    assert first_difference("a\nb\nc\nd\n", "version\n1\n2\n3\nd\n", whole=False) is None


@pytest.mark.parametrize(
    "check", ["cmp -s ops/watch.sh fleet/watch.sh", "diff -u ops/watch.sh fleet/watch.sh", "git diff --no-index --exit-code ops/watch.sh fleet/watch.sh"]
)
def test_what_a_check_compares_must_be_the_same_to_the_byte(tmp_path: Path, check: str) -> None:
    files = {"ops/watch.sh": WATCH, "fleet/watch.sh": f"# a comment\n{WATCH}", "Makefile": f"lint:\n\t{check}\n"}
    judged = judge_in_sync(twins(world(tmp_path, files), SCRIPTS))
    assert broken(judged) == [("drifted", "ops/watch.sh and fleet/watch.sh")]


@pytest.mark.parametrize(
    "check", ["diff -w ops/watch.sh fleet/watch.sh", 'diff "$A" fleet/watch.sh', "diff ops/watch.sh", "cmp -n 10 ops/watch.sh fleet/watch.sh"]
)
def test_a_comparison_of_less_says_nothing(check: str) -> None:
    assert list(compared_by(parse(check))) == []


@given(texts(), texts())
def test_equal_texts_have_no_difference_and_none_is_found_outside_of_them(one: str, other: str) -> None:
    assert first_difference(one, one, whole=True) is None
    found = first_difference(one, other, whole=True)
    assert found is None or 1 <= found <= max(1, len(other.splitlines()))


# ---- release numbers


COUNTS = """\
MONTH=$(date +%Y.%m)
if [ "$REF" = main ]; then CHANNEL=stable; else CHANNEL=dev; fi
LAST=$(git tag -l {pattern} | {number})
git tag "$CHANNEL-$MONTH.$((LAST + 1))"
git push origin "refs/tags/$CHANNEL-$MONTH.$((LAST + 1))"{after}
"""
HIGHEST = "sed 's/.*[.]//' | sort -n | tail -1"


@pytest.mark.parametrize(
    ("pattern", "number", "after", "slips"),
    [
        ('"*-${MONTH}.*"', HIGHEST, "", []),
        ('"${CHANNEL}-${MONTH}.*"', HIGHEST, "", [Slip.PER_CHANNEL]),
        ('"$CHANNEL-$MONTH.*"', HIGHEST, " || exit 1", [Slip.PER_CHANNEL]),
        ('"*-${MONTH}.*"', "wc -l", "", [Slip.COUNTED]),
        ('"*-${MONTH}.*"', "wc -l | tr -d ' '", "", [Slip.COUNTED]),
        ('"*-${MONTH}.*"', HIGHEST, ' || echo "exists already"', [Slip.NOT_CLAIMED]),
        ('"*-${MONTH}.*"', HIGHEST, " || true", [Slip.NOT_CLAIMED]),
    ],
)
def test_what_gives_a_number_twice(pattern: str, number: str, after: str, slips: list[Slip]) -> None:
    script = parse(COUNTS.format(pattern=pattern, number=number, after=after))
    assert [one.slip for one in slips_of("release.sh", script)] == slips


def test_the_workflow_that_makes_the_tags_is_read(tmp_path: Path) -> None:
    run = "".join(f"          {line}\n" for line in COUNTS.format(pattern='"$CHANNEL-$MONTH.*"', number=HIGHEST, after="").splitlines())
    workflow = f"on: {{push: {{branches: [main]}}}}\njobs:\n  release:\n    runs-on: x\n    steps:\n      - run: |\n{run}"
    judged = judge_counter(releases(world(tmp_path, {".github/workflows/release.yml": workflow}), SCRIPTS))
    assert broken(judged) == [("per-channel", ".github/workflows/release.yml: per-channel")]
    assert details(judged)[0].line == 9


def test_a_script_that_makes_no_such_tags_is_not_judged(tmp_path: Path) -> None:
    script = "#!/bin/sh\nN=$(git tag -l 'v1.*' | wc -l)\ngit tag v1.$N\ngit push --tags || true\n"
    judged = judge_counter(releases(world(tmp_path, {"release.sh": script}), SCRIPTS))
    assert isinstance(judged, Held)


def tags(*said: str) -> list[ReleaseTag]:
    return [tag for one in said if (tag := ReleaseTag.parse(*one.split())) is not None]


def test_a_number_belongs_to_one_commit() -> None:
    assert [[tag.channel for tag in same] for same in twice(tags("dev-2026.04.1 a", "stable-2026.04.1 b", "stable-2026.04.2 b", "dev-2026.05.2 c"))] == [
        ["dev", "stable"]
    ]
    assert not list(twice(tags("dev-2026.04.1 a", "stable-2026.04.1 a")))  # the same build, promoted
    assert not list(twice(tags("api-2026.04.1 a", "web-2026.04.1 b")))  # parts of a repository, each with its own numbers


@pytest.mark.parametrize("name", ["v2026.04.1", "stable-2026.13.1", "stable-2026.04", "stable-26.04.1", "stable-2026.04.1-rc1", ""])
def test_tags_of_another_form_are_none(name: str) -> None:
    assert ReleaseTag.parse(name, "a") is None


def test_the_tags_of_a_checkout_are_read_by_git(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(("git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.invalid", *arguments), check=True, capture_output=True)

    git("init", "--quiet")
    for number, channel in enumerate(("dev", "stable")):
        (tmp_path / "up.sh").write_text(f"#!/bin/sh\necho {number}\n")
        git("add", "up.sh")
        git("commit", "--quiet", "--message", channel)
        git("tag", "--annotate", "--message", "x", f"{channel}-2026.04.1")
    judged = judge_counter(releases(world(tmp_path, {}), SCRIPTS))
    assert broken(judged) == [("number-twice", "dev-2026.04.1 and stable-2026.04.1")]
