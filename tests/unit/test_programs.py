"""All that runs in a tree: which files hold shell or Python, where each piece runs, on which line it begins, and what could not be read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.config.models import Scripts, Site
from interlock.facts.programs import Holder, Programs, Runs, ShellText
from interlock.facts.pythoncode import Module, NotPython
from interlock.observe.programs import LARGEST, program, programs, python
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import When

Lay = Callable[[Mapping[str, str | bytes]], World]
HELLO = "#!/bin/sh\necho hello\n"


def world_of(folder: Path, laid: Mapping[str, str | bytes], scripts: Scripts | None = None) -> World:
    """A tree with these files, and a site whose scripts are those that are found."""
    for name, content in laid.items():
        path = Path(os.fsdecode(os.path.join(os.fsencode(folder), os.fsencode(name))))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape"))
    site = Site.model_construct(scripts=scripts or Scripts.model_construct(files=(), found=True))
    return World(site=site, gates=frozenset({When.STATIC}), tree=Tree(folder, patient=True), hosts={}, environ={})


@pytest.fixture
def lay(tmp_path: Path) -> Lay:
    return lambda files: world_of(tmp_path, files)


def where(found: Programs) -> dict[str, Runs]:
    return {text.path: text.runs for text in found.shell}


def only(found: Programs) -> ShellText:
    (text,) = found.shell
    return text


# ---- which files


@pytest.mark.parametrize("name", ["backup.sh", "backup.bash", "a.ksh", "up.dash", "startup.sh.tpl", "x.sh.j2", "x.sh.example"])
def test_a_script_is_known_by_its_suffix(lay: Lay, name: str) -> None:
    assert where(programs(lay({f"ops/{name}": "echo hello\n"}))) == {f"ops/{name}": Runs.HOST}


@pytest.mark.parametrize(
    "first", ["#!/bin/sh", "#!/usr/bin/env bash", "#!/bin/bash -eu", "#!/usr/bin/with-contenv bash", "#! /bin/dash", "#!/usr/bin/env -S bash -e"]
)
def test_a_file_without_a_suffix_is_a_script_by_its_first_line(lay: Lay, first: str) -> None:
    assert where(programs(lay({"launcher": f"{first}\necho hello\n"}))) == {"launcher": Runs.HOST}


@pytest.mark.parametrize("text", ["hello\n", "#!/usr/bin/env python3\nprint()\n", "#!/usr/bin/perl\n", "", "\n#!/bin/sh\n"])
def test_a_file_without_a_suffix_is_no_script_without_such_a_line(lay: Lay, text: str) -> None:
    assert programs(lay({"LICENSE": text})).shell == ()


@pytest.mark.parametrize("path", ["tests/x.sh", "test_backup.sh", "vendor/x.sh", "third_party/a/x.sh", "node_modules/x/x.sh", "e2e/run.sh"])
def test_tests_and_the_code_of_others_are_left_out(lay: Lay, path: str) -> None:
    assert programs(lay({path: HELLO})).shell == ()


def test_a_site_that_names_its_scripts_is_judged_by_those_alone(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"a.sh": HELLO, "b.sh": HELLO, "c.py": "", "Makefile": "x:\n\techo\n"}
    world = world_of(tmp_path, files, Scripts.model_construct(files=("a.sh", "c.py"), found=False))
    assert where(programs(world)) == {"a.sh": Runs.HOST}


# ---- where it runs


@pytest.mark.parametrize(
    ("path", "runs"),
    [
        ("ops/backup.sh", Runs.HOST),
        ("install/upgrade.sh", Runs.HOST),
        ("entrypoint.sh", Runs.IMAGE),
        ("docker/docker-entrypoint.sh", Runs.IMAGE),
        ("image/rootfs/usr/bin/tidy.sh", Runs.IMAGE),
        ("config/etc/cont-init.d/10-shop", Runs.IMAGE),
        ("db/docker-entrypoint-initdb.d/roles.sh", Runs.IMAGE),
        ("examples/backup.sh", Runs.ASIDE),
        ("docs/install.sh", Runs.ASIDE),
        ("scripts/dev/seed.sh", Runs.ASIDE),
        ("hack/release.sh", Runs.ASIDE),
        (".github/scripts/check.sh", Runs.ASIDE),
    ],
)
def test_where_a_script_runs_by_its_path(lay: Lay, path: str, runs: Runs) -> None:
    assert where(programs(lay({path: HELLO}))) == {path: runs}


@pytest.mark.parametrize(
    ("copy", "path"),
    [
        ("COPY serve.sh /serve.sh", "serve.sh"),
        ("COPY app/serve.sh app/other.sh /usr/local/bin/", "app/serve.sh"),
        ("COPY --chmod=755 --from=build app/serve.sh /srv/", "app/serve.sh"),
        ("COPY app/one.sh \\\n     app/serve.sh \\\n     /usr/local/bin/", "app/serve.sh"),
        ('COPY ["app/serve.sh", "/serve.sh"]', "app/serve.sh"),
        ("ADD app/*.sh /", "app/serve.sh"),
        ("COPY install/ /", "install/etc/services.d/shop/run.sh"),
        ("COPY assets/build ${BUILD_DIR}/", "assets/build/make.sh"),
        ("copy app/serve.sh /", "app/serve.sh"),
        ("COPY setup/ /app/setup/\nRUN /app/setup/install.sh", "setup/install.sh"),
    ],
)
def test_what_an_image_takes_in_runs_there(lay: Lay, copy: str, path: str) -> None:
    assert where(programs(lay({"Dockerfile": f"FROM debian\n{copy}\n", path: HELLO})))[path] is Runs.IMAGE


def test_what_an_image_takes_in_is_looked_for_beside_its_dockerfile_first(lay: Lay) -> None:
    world = lay({"images/web/Dockerfile": "FROM debian\nCOPY start.sh /\n", "images/web/start.sh": HELLO, "ops/start.sh": HELLO})
    assert where(programs(world)) == {"images/web/start.sh": Runs.IMAGE, "ops/start.sh": Runs.HOST}


@pytest.mark.parametrize("copy", ["COPY . /app", "COPY . .", "COPY scripts/ /app/scripts/", "COPY scripts ./scripts", "COPY scripts/ $HOME/"])
def test_a_source_tree_that_an_image_takes_in_says_nothing_of_the_scripts_for_hosts_in_it(lay: Lay, copy: str) -> None:
    assert where(programs(lay({"Dockerfile": f"FROM debian\n{copy}\n", "scripts/backup.sh": HELLO}))) == {"scripts/backup.sh": Runs.HOST}


@pytest.mark.parametrize(
    "mount", ["- ./db/roles.sh:/roles.sh:ro", '- "./db/roles.sh:/roles.sh"', "- type: bind\n        source: ./db/roles.sh\n        target: /roles.sh"]
)
def test_what_a_service_mounts_runs_in_its_container(lay: Lay, mount: str) -> None:
    compose = f"services:\n  db:\n    image: postgres:17\n    volumes:\n      {mount}\n"
    assert where(programs(lay({"stack/compose.yaml": compose, "stack/db/roles.sh": HELLO}))) == {"stack/db/roles.sh": Runs.IMAGE}


# ---- other files that hold shell, and their lines


def test_the_steps_of_a_workflow_run_in_a_job(lay: Lay) -> None:
    steps = "      - uses: actions/checkout@v4\n      - run: |\n          set -e\n          ./ship.sh\n"
    workflow = f"on: push\njobs:\n  ship:\n    runs-on: ubuntu-latest\n    steps:\n{steps}"
    text = only(programs(lay({".github/workflows/ship.yml": workflow})))
    assert (text.name, text.line, text.runs, text.holder) == (".github/workflows/ship.yml: ship", 8, Runs.JOB, Holder.WORKFLOW)
    assert [command.line for command in text.commands()] == [8, 9]


@pytest.mark.parametrize("shell", ["python", "pwsh"])
def test_a_step_in_another_language_is_no_shell(lay: Lay, shell: str) -> None:
    step = f"on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - shell: {shell}\n        run: print()\n"
    assert programs(lay({".github/workflows/x.yml": step})).shell == ()


def test_each_line_of_a_recipe_is_a_piece_of_its_own(lay: Lay) -> None:
    found = programs(lay({"Makefile": "all: down\n\ndown:\n\tdocker compose down\n\t@rm -f x\n"}))
    assert [(text.name, text.line, text.holder) for text in found.shell] == [("Makefile: down", 4, Holder.MAKEFILE), ("Makefile: down", 5, Holder.MAKEFILE)]


def test_a_unit_says_what_it_starts_without_its_marks(lay: Lay) -> None:
    unit = "[Unit]\nDescription=x\n[Service]\nExecStartPre=-/usr/bin/mkdir -p /x\nExecStart=/opt/shop/up.sh \\\n  --wait\nExecStop=\n"
    found = programs(lay({"deploy/shop.service": unit}))
    assert [(text.line, text.text.split()[0], text.holder) for text in found.shell] == [
        (4, "/usr/bin/mkdir", Holder.UNIT),
        (5, "/opt/shop/up.sh", Holder.UNIT),
    ]


def test_a_crontab_has_a_command_in_each_line(lay: Lay) -> None:
    text = only(programs(lay({"deploy/crontab": "# nightly\nMAILTO=ops\n15 3 * * * /opt/shop/backup.sh\n"})))
    assert (text.line, text.text, text.runs, text.holder) == (3, "/opt/shop/backup.sh", Runs.HOST, Holder.CRONTAB)


def test_what_an_image_is_built_with_runs_in_it(lay: Lay) -> None:
    dockerfile = 'FROM debian\nRUN --mount=type=cache,target=/x apt-get update \\\n && apt-get install -y curl\nRUN ["ls"]\nRUN <<EOF\nls\nEOF\n'
    text = only(programs(lay({"Dockerfile.web": dockerfile})))
    assert (text.line, text.runs, text.holder) == (2, Runs.IMAGE, Holder.DOCKERFILE)
    assert [command.words[0].literal for command in text.commands()] == ["apt-get", "apt-get"]


def test_cloud_init_runs_commands_and_writes_scripts(lay: Lay) -> None:
    commands = "runcmd:\n  - [systemctl, start, docker]\n  - echo hello\n"
    written = "write_files:\n  - path: /opt/up.sh\n    content: |\n      #!/bin/sh\n      echo up\n  - path: /etc/x\n    content: x\n"
    data = f"#cloud-config\n{commands}{written}"
    found = programs(lay({"infra/user-data.yaml": data}))
    assert [(text.name, text.line, text.text.split("\n")[0]) for text in found.shell] == [
        ("infra/user-data.yaml", 3, "systemctl start docker"),
        ("infra/user-data.yaml", 4, "echo hello"),
        ("infra/user-data.yaml: /opt/up.sh", 8, "#!/bin/sh"),
    ]


def test_pieces_are_sorted_by_file_and_line(lay: Lay) -> None:
    found = programs(lay({"b.sh": HELLO, "a.sh": HELLO, "Makefile": "b:\n\techo\na:\n\techo\n"}))
    assert [(text.path, text.line) for text in found.shell] == [("Makefile", 2), ("Makefile", 4), ("a.sh", 1), ("b.sh", 1)]


# ---- what cannot be read


def test_placeholders_of_a_template_stand_as_they_are(lay: Lay) -> None:
    assert "${db_host}" in only(programs(lay({"up.sh.tpl": "#!/bin/sh\npsql -h ${db_host}\n%{ if x }\necho\n%{ endif }\n"}))).text


@pytest.mark.parametrize("data", [b"\x7fELF\0\0\0", b"#!/bin/sh\n" + b"echo x\n" * (LARGEST // 7 + 1)])
def test_what_is_no_text_or_too_long_is_named_and_not_read(lay: Lay, data: bytes) -> None:
    found = programs(lay({"bin/tool.sh": data}))
    assert (found.shell, [one.path for one in found.unreadable]) == ((), ["bin/tool.sh"])


def test_a_script_that_leads_out_of_the_tree_is_named(tmp_path: Path) -> None:
    (tmp_path / "outside.sh").write_text(HELLO)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "x.sh").symlink_to(tmp_path / "outside.sh")
    found = programs(world_of(tmp_path / "tree", {}))
    assert (found.shell, [one.path for one in found.unreadable]) == ((), ["x.sh"])


@pytest.mark.parametrize("name", ["a b.sh", "a\nb.sh", "-rf.sh", "a'\"$(x).sh", os.fsdecode(b"caf\xe9.sh"), "ünï.sh"])
def test_a_name_may_be_anything(lay: Lay, name: str) -> None:
    assert where(programs(lay({name: HELLO}))) == {name: Runs.HOST}


def test_bytes_that_are_no_utf_8_are_kept(lay: Lay) -> None:
    text = only(programs(lay({"x.sh": b"#!/bin/sh\necho caf\xe9\nls\n"})))
    assert text.text.encode("utf-8", "surrogateescape") == b"#!/bin/sh\necho caf\xe9\nls\n"
    assert [command.line for command in text.commands()] == [2, 3]


@settings(max_examples=60)
@given(st.binary(max_size=300), st.sampled_from(["x.sh", "Makefile", "crontab", "x.service", "Dockerfile", "user-data.yaml", ".github/workflows/x.yml", "x"]))
def test_whatever_a_file_holds_there_is_an_answer(tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str) -> None:
    found = programs(world_of(tmp_path_factory.mktemp("tree"), {name: data}))
    assert {text.path for text in found.shell} | {one.path for one in found.unreadable} <= {name}
    assert all(text.line >= 1 for text in found.shell)


# ---- Python


def test_programs_are_those_that_say_what_is_looked_for(lay: Lay) -> None:
    world = lay({"a.py": "import os\nos.replace('a', 'b')\n", "b.py": "print()\n", "tests/c.py": "os.replace\n", "d.py": "os.replace(\n"})
    found = {one.path: one.code for one in python(world, re.compile(rb"os\.replace"))}
    assert {path: type(code) for path, code in found.items()} == {"a.py": Module, "d.py": NotPython}


def test_a_program_is_parsed_once_a_run(lay: Lay) -> None:
    world = lay({"a.py": "print()\n"})
    assert program(world, "a.py") is program(world, "a.py")
    assert programs(world) is programs(world)
