"""Edits of installers beside the templates in a tree: what is lost, and what only looks so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.commands.scan import site_of_tree
from interlock.facts.installer_edits import OWN, UNKNOWN, candidates, edited, made_from
from interlock.facts.programs import Holder, Runs, ShellText
from interlock.judge.templates import judge_installer_anchors
from interlock.observe.installer_edits import anchors
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Held, Subject, Unproven, When

COMPOSE = "services:\n  web:\n    image: app\n    ports:\n      - '8000:80'\n    volumes:\n      - state:/var/lib/app/state\nvolumes:\n  state:\n"
ENV = "APP_URL=\nAPP_SECRET=change-me\nAPP_LANGUAGE=en\n# APP_PROXY=\n"


def shell(text: str) -> ShellText:
    return ShellText(path="install.sh", name="install.sh", line=1, runs=Runs.HOST, holder=Holder.SCRIPT, text=text)


def judged(tmp_path: Path, script: str, **more: str) -> Held | Broken | Unproven:
    files = {"install.sh": f"#!/bin/bash\nset -e\n{script}\n", "compose.yaml": COMPOSE, ".env.example": ENV, "deploy/compose.plain.yaml": COMPOSE, **more}
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    world = World(site=site_of_tree(tmp_path), gates=frozenset({When.STATIC}), tree=Tree(tmp_path, patient=True), hosts={}, environ=os.environ)
    return judge_installer_anchors(anchors(world, Subject(name="scripts")))


@pytest.mark.parametrize(
    "script",
    [
        'sed -i "s#- state:/var/lib/app/state/data#- $FOLDER:/var/lib/app/state/data#g" compose.yaml',
        'sed -i.bak -e "s|- state:/var/lib/app/data|- $FOLDER:/var/lib/app/data|" compose.yaml',
        'sed -i -E \'s#^( *)- "8000:80"#\\1- "9000:80"#\' compose.yaml',
        "sed -i '' 's/- \"8000:80\"/- \"9000:80\"/' compose.yaml",
        'perl -pi -e "s/image: \\"app\\"/image: other/" compose.yaml',
        'cp .env.example .env\nsed -i "s/^APP_LOCALE=.*/APP_LOCALE=$LANGUAGE/" .env',
        'sed "s/APP_SECRET = change-me/APP_SECRET = $SECRET/" .env.example > .env',
        'wget "https://raw.example.org/team/app/main/deploy/compose.$KIND.yaml" -O stack.yaml\nsed -i "s#- state:/var/lib/app/old#- $F:/x#" stack.yaml',
        'curl -fsSLo stack.yaml https://raw.example.org/team/app/main/deploy/compose.plain.yaml\nsed -i "s#- state:/var/lib/app/old#- $F:/x#" stack.yaml',
        'T=stack.yaml\ncat deploy/compose.plain.yaml > "$T"\nsudo sed -i "s#- state:/var/lib/app/old#- $F:/x#" "${T}"',
        'cd "$(dirname "$0")"\nif [[ -n $F ]]; then\n  sed -i "s#- state:/var/lib/app/old#- $F:/x#" ./compose.yaml\nfi',
    ],
)
def test_an_edit_whose_line_has_changed_is_lost(tmp_path: Path, script: str) -> None:
    found = judged(tmp_path, script)
    assert isinstance(found, Broken)
    assert [detail.file for detail in found.details] == ["install.sh"]


@pytest.mark.parametrize(
    "script",
    [
        'sed -i "s#- state:/var/lib/app/state#- $FOLDER:/var/lib/app/state#g" compose.yaml',
        "sed -i \"s/'$OLD:80'/'$NEW:80'/\" compose.yaml",
        "sed -i '/^ *state:$/d' compose.yaml",
        "cp .env.example .env\nsed -i 's/^#\\s*APP_LANGUAGE=.*/APP_LANGUAGE=de/' .env",  # no comment any more
        "cp .env.example .env\nsed -i 's/APP_LANGUAGE=fr/APP_LANGUAGE=en/' .env",  # written so already
        "cp .env.example .env\ngrep -q APP_OLD= .env && sed -i 's/^APP_OLD=.*/APP_OLD=1/' .env",
        "cp .env.example .env\nif grep -q '^APP_OLD=' .env; then sed -i 's/^APP_OLD=.*/APP_OLD=1/' .env; fi",
        "cp .env.example .env\nold=$(grep APP_OLD .env)\nif [ -n \"$old\" ]; then sed -i 's/^APP_OLD=.*/APP_OLD=1/' .env; fi",
        "cp .env.example .env\necho 'APP_NEW=' >> .env\nsed -i \"s/^APP_NEW=.*/APP_NEW=$X/\" .env",
        "cp .env.example .env\nsed -i 's/=/: /' .env\nsed -i 's/APP_LANGUAGE: en/APP_LANGUAGE: de/' .env",
        "cp .env.example .env\nsed -i 'N;P;D' .env\nsed -i 's/^APP_X=.*/APP_X=1/' .env",
        "sed -i 's/^listen 80/listen 81/' /etc/nginx/nginx.conf",
        'sed -i "s/^APP_OLD=.*/APP_OLD=1/" "$FILE"',
        'generate > .env\ncp .env.example .env\nsed -i "s/^APP_OLD=.*/APP_OLD=1/" .env',
        "sed -i 's/PLACEHOLDER_OF_OLD/x/' compose.yaml",
        'cat > .env <<EOF\nAPP_OLD=\nEOF\nsed -i "s/^APP_OLD=.*/APP_OLD=$X/" .env',
    ],
)
def test_an_edit_that_finds_its_line_or_need_not_find_it(tmp_path: Path, script: str) -> None:
    assert isinstance(judged(tmp_path, script), Held)


def test_one_of_several_templates_is_enough(tmp_path: Path) -> None:
    other = COMPOSE.replace("state:/var", "dbdata:/var").replace("  state:", "  dbdata:")
    script = 'wget https://raw.example.org/team/app/main/deploy/compose.$KIND.yaml -O c.yaml\nsed -i "s#- dbdata:/var/lib/app/state#- $F:/x#" c.yaml'
    assert isinstance(judged(tmp_path, script, **{"deploy/compose.db.yaml": other}), Held)


def test_a_script_that_is_no_text_is_unproven(tmp_path: Path) -> None:
    (tmp_path / "update.sh").write_bytes(b"#!/bin/sh\n\0 sed -i s/a/b/ x\n")
    assert isinstance(judged(tmp_path, "true"), Unproven)


def test_what_a_file_is_made_from() -> None:
    made = made_from(
        shell("cp -a a.conf b/\ncat <<E > c\nx\nE\nmake_it > d\nS=tpl\nenvsubst < $S/e.in > e\nwget https://h.example/x/f.yml\nsed s/a/b/ g.in > g\n")
    )
    assert made["b/a.conf"] == ("a.conf",)
    assert made["c"] == (OWN,)
    assert made["d"] == (UNKNOWN,)
    assert made["e"] == ("tpl/e.in",)
    assert made["f.yml"] == ("https://h.example/x/f.yml",)
    assert made["g"] == ("g.in",)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("https://h.example/o/r/main/deploy/compose.$X.yaml", ("deploy/compose.a.yaml", "deploy/compose.b.yaml")),
        ("https://h.example/o/r/main/compose.yaml", ("compose.yaml",)),
        ("https://h.example/o/other/main/else/compose.a.yaml", ()),
        ("$HERE/deploy/compose.a.yaml", ("deploy/compose.a.yaml",)),
        ("$FILE", ()),
        ("compose.yaml", ("compose.yaml",)),
    ],
)
def test_the_files_that_a_source_may_mean(source: str, found: tuple[str, ...]) -> None:
    listing = ("compose.yaml", "deploy/compose.a.yaml", "deploy/compose.b.yaml", "other/x.yaml")
    assert candidates(source, "install.sh", listing) == found


@given(st.text(max_size=150))
def test_any_script_is_read(text: str) -> None:
    list(edited(shell(text)))
    made_from(shell(f"cp {text} x"))
