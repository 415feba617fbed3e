"""Loading a site file: what it becomes, and how each fault is told."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from interlock.config.load import find_site, load_site
from interlock.config.models import Disk, Host, Site
from interlock.errors import ConfigError

KNOWN = {"mounts", "mounts.state_disk", "backups", "backups.mode_0600"}
SMALL = "interlock: 1\nsite: small\n"
Loader = Callable[..., Site]


@pytest.fixture
def load(tmp_path: Path) -> Loader:
    """Write a text as interlock.yaml and load it."""

    def loader(text: str | bytes, environ: Mapping[str, str] | None = None) -> Site:
        path = tmp_path / "interlock.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_site(path, environ or {}, known=KNOWN)

    return loader


@pytest.fixture
def faults(load: Loader) -> Callable[..., list[str]]:
    """The faults of a text, each as `line:column what`."""

    def of(text: str | bytes, environ: Mapping[str, str] | None = None) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(text, environ)
        assert caught.value.exit_code == 78
        return [f"{problem.where.split('interlock.yaml:')[-1]} {problem.what}" for problem in caught.value.problems]

    return of


Faults = Callable[..., list[str]]


def small(rest: str) -> str:
    """A site file with these lines from line 3 on."""
    return f"{SMALL}{rest}"


# ---- what it becomes


def test_the_smallest_site_has_a_name_and_nothing_else(load: Loader) -> None:
    site = load(SMALL)
    assert (site.site, dict(site.hosts), site.mounts, dict(site.actions)) == ("small", {}, None, {})


def test_a_site_knows_where_it_lies_and_what_was_read(load: Loader, tmp_path: Path) -> None:
    site = load(SMALL)
    assert site.root == tmp_path
    assert site.source == str(tmp_path / "interlock.yaml")
    assert site.digest == "sha256:" + hashlib.sha256(SMALL.encode()).hexdigest()


def test_a_relative_path_has_an_absolute_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "interlock.yaml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    site = load_site(Path("interlock.yaml"), {})
    assert (site.root, site.source) == (tmp_path, "interlock.yaml")


@pytest.mark.parametrize("key", ["root", "source", "digest", "_root", "_source", "_digest"])
def test_a_file_cannot_say_where_it_is(faults: Faults, key: str) -> None:
    assert faults(small(f"{key}: /etc\n")) == [f"3:1 {key} is no key that exists"]


def test_words_become_values(load: Loader) -> None:
    site = load(
        small(
            "hosts: {db: {ssh: {destination: ops@db}, timeout: 5m}}\n"
            "mounts: {state: {host: db, path: //data/./state/, mountpoint: /data, device: LABEL=x}}\n"
            "instances: {a: {directory: /srv/a}}\n"
            "templates: {t: {template: ./t.conf, canonical: c, target: x, mode: '0600'}}\n"
        )
    )
    assert site.hosts["db"] == Host.model_validate({"ssh": {"destination": "ops@db"}, "timeout": 300})
    assert site.mounts is not None
    assert site.mounts.state == Disk(host="db", path="/data/state", mountpoint="/data", device="LABEL=x")
    assert site.mounts.state.mounted_at == "/data"
    template = site.templates["t"]
    assert (template.template, template.mode, site.instances_of(template)) == ("t.conf", 0o600, ("a",))
    assert site.host("local") == Host()


def test_the_tables_of_a_site_cannot_be_changed(load: Loader) -> None:
    site = load(small("instances: {a: {directory: /srv/a, values: {K: v}}}\n"))
    for table in (site.instances, site.instances["a"].values, site.hosts, site.not_used):
        with pytest.raises(TypeError):
            table["x"] = "y"  # type: ignore[index]


def test_anchors_and_merge_keys_work(load: Loader) -> None:
    site = load(small("instances:\n  a: &base {directory: /srv/a, values: {K: v}}\n  b:\n    <<: *base\n    directory: /srv/b\n"))
    assert (site.instances["b"].directory, dict(site.instances["b"].values)) == ("/srv/b", {"K": "v"})


# ---- the environment

VALUES = "instances:\n  a:\n    directory: /srv/a\n    values:\n      K: {}\n"


def test_references_in_values_of_instances_stay_as_written_and_must_be_set(load: Loader) -> None:
    site = load(small(VALUES.format('"${A}-$${A}-$$-${A}"')), {"A": "one"})
    assert site.instances["a"].values["K"] == "${A}-$${A}-$$-${A}"


def test_what_judges_files_alone_does_not_ask_for_the_environment(tmp_path: Path) -> None:
    (tmp_path / "interlock.yaml").write_text(small(VALUES.format("${A}")))
    assert load_site(tmp_path / "interlock.yaml", None).instances["a"].values["K"] == "${A}"


def test_an_undefined_variable_is_a_fault_and_never_empty(faults: Faults) -> None:
    assert faults(small(VALUES.format("${NOPE}"))) == ["7:10 instances.a.values.K takes NOPE from the environment, where it is not set"]
    assert faults(small(VALUES.format("${NOPE}")), {"NOPE": ""}) == ["7:10 instances.a.values.K takes NOPE from the environment, where it is empty"]


@pytest.mark.parametrize("text", ["${A:-x}", "$A", "5$", "${}", "${1}", "${A", "${A}$"])
def test_any_other_dollar_sign_in_a_value_is_a_fault(faults: Faults, text: str) -> None:
    assert faults(small(VALUES.format(f"'{text}'")), {"A": "1"}) == ["7:10 instances.a.values.K holds a dollar sign that is no reference to the environment"]


def test_the_environment_is_read_nowhere_else(faults: Faults) -> None:
    text = "reports: ${HOME}/reports\nactions:\n  go:\n    approval: operator\n    steps:\n      - command: {run: [sh, -c, 'echo ${HOME}']}\n"
    assert faults(small(text), {"HOME": "/root"}) == [
        "3:10 reports: the environment is not read here",
        "8:33 actions.go.steps[0].command.run[2]: the environment is not read here",
    ]
    assert faults(small("instances: {a: {directory: /a, values: {'${A}': x}}}\n"), {"A": "1"}) == [
        "3:41 instances.a.values.${A}: the environment is not read here"
    ]


def test_a_literal_reference_is_written_with_two_dollar_signs(load: Loader) -> None:
    text = "actions: {go: {approval: operator, steps: [{command: {run: [sh, -c, 'echo $${HOME} $HOME $$ $$${X}']}}]}}\n"
    (step,) = load(small(text)).actions["go"].steps
    assert step.command is not None
    assert step.command.run[2] == "echo ${HOME} $HOME $$ $${X}"


def test_what_the_environment_brought_is_in_no_message_and_no_repr(load: Loader, faults: Faults) -> None:
    secret = "hunter2"
    text = small(VALUES.format("${PASSWORD}") + "unknown: 1\n")
    assert not any(secret in fault for fault in faults(text, {"PASSWORD": secret}))
    with pytest.raises(ConfigError) as caught:
        load(text, {"PASSWORD": secret})
    assert secret not in str(caught.value)
    assert secret not in repr(load(small(VALUES.format("${PASSWORD}")), {"PASSWORD": secret}))


def test_no_value_of_an_instance_is_quoted_in_a_message(load: Loader) -> None:
    with pytest.raises(ConfigError) as caught:
        load(small(VALUES.format("31337")))
    assert caught.value.what == "instances.a.values.K must be text, and is a whole number"
    assert "31337" not in str(caught.value)


# ---- faults of types, in words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sit: x\n", "3:1 sit is no key that exists"),
        ("hosts: [a]\n", "3:8 hosts must be a mapping, and is a list"),
        ("hosts: {a: x}\n", "3:12 hosts.a must be a mapping, and is text"),
        ("hosts: {'a b': {}}\n", "3:9 hosts.a b: 'a b' is no name"),
        ("hosts: {a: {ssh: {destination: -x}}}\n", "3:32 hosts.a.ssh.destination cannot be '-x'"),
        ("hosts: {a: {ssh: {port: 22}}}\n", "3:13 hosts.a.ssh.destination is missing"),
        ("hosts: {a: {ssh: {destination: x, port: '22'}}}\n", "3:41 hosts.a.ssh.port must be a whole number, and is text"),
        ("hosts: {a: {ssh: {destination: x, port: 22.0}}}\n", "3:41 hosts.a.ssh.port must be a whole number, and is a number"),
        ("hosts: {a: {ssh: {destination: x, port: true}}}\n", "3:41 hosts.a.ssh.port must be a whole number, and is true or false"),
        ("hosts: {a: {ssh: {destination: x, port: 0}}}\n", "3:41 hosts.a.ssh.port is 0, and must be at least 1"),
        ("hosts: {a: {ssh: {destination: x, port: 0x10000}}}\n", "3:41 hosts.a.ssh.port is 0x10000, and must be at most 65535"),
        ("hosts: {a: {ssh: {destination: x, port: 1234567890123456789012}}}\n", "3:41 hosts.a.ssh.port must be a whole number, and is a number"),
        ("hosts: {a: {become: sudo}}\n", "3:21 hosts.a.become cannot be 'sudo'"),
        ("hosts: {a: {timeout: 5 parsecs}}\n", "3:22 hosts.a.timeout: '5 parsecs' is no duration"),
        ("hosts: {a: {timeout: 0}}\n", "3:22 hosts.a.timeout: 0 is no time limit"),
        ("hosts: {a: {timeout: -1}}\n", "3:22 hosts.a.timeout: -1 is no duration"),
        ("hosts: {a: {timeout: 99999999999s}}\n", "3:22 hosts.a.timeout: '99999999999s' is no duration"),
        ("mounts: {state: {path: data, device: x}}\n", "3:24 mounts.state.path: 'data' is no absolute path without '..'"),
        ("mounts: {state: {path: /a/../b, device: x}}\n", "3:24 mounts.state.path: '/a/../b' is no absolute path without '..'"),
        ('mounts: {state: {path: "/a\\n", device: x}}\n', "3:24 mounts.state.path: '/a\\n' holds a control character"),
        ("mounts: {state: {path: /a, device: ''}}\n", "3:36 mounts.state.device is empty text"),
        ('mounts: {state: {path: /a, device: "\\0"}}\n', "3:36 mounts.state.device: a NUL character stands in this text"),
        ("mounts: {state: {path: /a, mountpoint: /b, device: x}}\n", "3:17 mounts.state: path /a is not below mountpoint /b"),
        ("compose: {files: []}\n", "3:18 compose.files is an empty list"),
        ("compose: {files: {a: b}}\n", "3:18 compose.files must be a list, and is a mapping"),
        ("templates: {t: x}\n", "3:16 templates.t must be a mapping, and is text"),
        ("gate: {shut_at: [high]}\n", "3:17 gate.shut_at cannot be a list"),
        ("compose: {files: a.yml}\n", "3:18 compose.files must be a list, and is text"),
        ("compose: {files: [/a.yml]}\n", "3:19 compose.files[0]: '/a.yml' is no path inside the site's folder"),
        ("compose: {files: [a.yml, ./a.yml]}\n", "3:18 compose.files: 'a.yml' stands here twice"),
        ("gate: {shut_at: severe}\n", "3:17 gate.shut_at cannot be 'severe'"),
        ("not_used: {networking: x}\n", "3:12 not_used.networking: 'networking' is no headline family"),
        ("not_used: {parity: no}\nhosts: {a: {}}\nnot_used: {parity: x}\n", "5:1 the key 'not_used' stands here again; it is already on line 3"),
        ("not_used: {parity: false}\n", "3:20 not_used.parity must be text, and is true or false"),
        ("expect: {e: {}}\n", "3:13 expect.e: an expectation is exactly one of file, port, http, command, sql; this one is none"),
        ("expect: {e: {http: {url: ftp://x}}}\n", "3:26 expect.e.http.url cannot be 'ftp://x'"),
        ("expect: {e: {port: {address: 'x:99999'}}}\n", "3:30 expect.e.port.address cannot be 'x:99999'"),
        ("expect: {e: {port: {address: 'x:1', listening: 1}}}\n", "3:48 expect.e.port.listening must be true or false, and is a whole number"),
        ("expect: {e: {http: {url: http://x, json: {a: .nan}}}}\n", "3:46 expect.e.http.json.a: nan is nothing that JSON can hold"),
        ("expect: {e: {sql: {dsn_env: A, query: q, value: 1.5}}}\n", "3:49 expect.e.sql.value: a cell is not compared with float"),
        ("expect: {e: {sql: {dsn_env: A, query: q}}}\n", "3:14 expect.e.sql.value is missing"),
        ("expect: {e: {file: {path: /a}, when: []}}\n", "3:38 expect.e.when is an empty list"),
        ("expect: {e: {file: {path: /a}, when: [always]}}\n", "3:39 expect.e.when[0] cannot be 'always'"),
        ("expect: {e: {file: {path: /a, mode: 0600}}}\n", "3:37 expect.e.file.mode: without quotes this is the number 384, and no file mode"),
        ("expect: {e: {file: {path: /a, mode: '600'}}}\n", "3:37 expect.e.file.mode: '600' is no file mode"),
        ("expect: {e: {command: {run: 'ls -l'}}}\n", "3:29 expect.e.command.run must be a list, and is text"),
        ("modules: {m: {paths: [/a], backups: /a/b, owner: x}}\n", "3:14 modules.m: the backups in /a/b lie inside /a, which they are made of"),
        ("modules: {m: {paths: [/a], backups: /b, owner: x, class: H}}\n", "3:58 modules.m.class cannot be 'H'"),
        ("hosts:\n", "3:1 hosts has no value"),
        ("hosts: {a: {ssh: }}\n", "3:13 hosts.a.ssh has no value"),
        ("gate: !!binary aGk=\n", "3:7 the tag !!binary means nothing here"),
        ("gate: *g\n", "3:7 no &g stands before *g"),
    ],
)
def test_a_fault_is_said_in_words_at_its_place(faults: Faults, text: str, expected: str) -> None:
    assert faults(small(text)) == [expected]


def test_a_header_is_one_of_two(faults: Faults) -> None:
    text = "instances: {i: {directory: /i}}\ntemplates: {t: {template: a, canonical: b, target: c, header: %s}}\n"
    assert faults(small(text % "{lines: 1, marker: x}")) == ["4:63 templates.t.header: a header is either `lines` or `marker`; this one is both"]
    assert faults(small(text % "{}")) == ["4:63 templates.t.header: a header is either `lines` or `marker`; this one is neither"]


def test_a_step_is_of_one_kind(faults: Faults) -> None:
    text = "actions: {go: {approval: operator, steps: [{command: {run: [a]}, backup: {modules: [m]}}]}}\nmodules: {m: {paths: [/a], backups: /b, owner: x}}\n"
    kinds = "backup, write-files, env-patch, compose, command, verify, endpoint, gate, approval"
    assert faults(small(text)) == [f"3:44 actions.go.steps[0]: a step is exactly one of {kinds}; this one is backup and command"]


def test_a_cell_may_be_compared_with_null(load: Loader) -> None:
    expectation = load(small("expect: {e: {sql: {dsn_env: A, query: q, value: null}}}\n")).expect["e"]
    assert expectation.sql is not None
    assert expectation.sql.value is None


def test_an_answer_may_hold_null_and_lists(load: Loader) -> None:
    expectation = load(small("expect: {e: {http: {url: http://x, json: {a: null, b: [1, null], c: {d: ~}}}}}\n")).expect["e"]
    assert expectation.http is not None
    assert dict(expectation.http.json_values) == {"a": None, "b": [1, None], "c": {"d": None}}


def test_each_message_says_what_to_do(load: Loader) -> None:
    with pytest.raises(ConfigError) as caught:
        load(small("hosts: {a: {becom: x}}\n"))
    assert caught.value.remedy == "did you mean become?"
    with pytest.raises(ConfigError) as caught:
        load(small("hosts: {a: {ssh: {destination: x, port: 70000}}}\n"))
    assert caught.value.why == "The TCP port of its sshd."
    with pytest.raises(ConfigError) as caught:
        load(small("modules: {m: {paths: /data, backups: /b, owner: x}}\n"))
    assert caught.value.remedy == "write it as a list: [/data]"


def test_all_faults_are_told_at_once_in_the_order_of_the_file(faults: Faults) -> None:
    found = faults("site: 'a b'\ninterlock: 1\nmodules:\n  m: {host: b}\nhosts:\n  a: {timeout: x, tmeout: 1}\ncompose:\nsite: x y\nzzz: ${HOME}\n")
    assert found == [
        "4:3 modules.m.backups is missing",
        "4:3 modules.m.owner is missing",
        "4:3 modules.m is archived, and does not name the directories of its archive",
        "4:13 modules.m.host names the host 'b', which the site does not have",
        "6:16 hosts.a.timeout: 'x' is no duration",
        "6:19 hosts.a.tmeout is no key that exists",
        "7:1 compose has no value",
        "8:1 the key 'site' stands here again; it is already on line 1",
        "8:7 site: 'x y' is no name",
        "9:1 zzz is no key that exists",
        "9:6 zzz: the environment is not read here",
    ]


def test_no_more_than_a_hundred_faults_are_shown(faults: Faults) -> None:
    found = faults(small("".join(f"k{number}: 1\n" for number in range(250))))
    assert len(found) == 101
    assert found[-1].endswith("150 more faults are not shown")


# ---- the version of the format


def test_a_missing_version_is_named_beside_the_other_faults(faults: Faults) -> None:
    assert faults("site: x\nnope: 1\n") == ["1:1 the version of the file's format is missing", "2:1 nope is no key that exists"]


def test_of_a_newer_version_nothing_else_is_said(faults: Faults) -> None:
    (fault,) = faults("interlock: 2\nsite: x\nnew_key: 1\n")
    assert fault.startswith("1:12 the file is written in version 2 of the format, and interlock ")


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("0", "there is no version 0 of the format"),
        ("-1", "there is no version -1 of the format"),
        ("'1'", "interlock must be a whole number, and is text"),
        ("1.0", "interlock must be a whole number, and is a number"),
        ("true", "interlock must be a whole number, and is true or false"),
        ("[1]", "interlock must be a whole number, and is a list"),
        ("~", "interlock must be a whole number, and is nothing"),
    ],
)
def test_a_version_that_is_none_is_said_so_once(faults: Faults, written: str, says: str) -> None:
    assert faults(f"interlock: {written}\nsite: x\n") == [f"1:12 {says}"]


# ---- the file itself


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "1:1 it is empty"),
        (b"# nothing\n", "1:1 it is empty"),
        (b"just text\n", "1:1 a site file is a mapping, and this is text"),
        (b"- a\n", "1:1 a site file is a mapping, and this is a list"),
        (b"interlock: 1\nsite: \xff\n", "2:7 the byte 0xff is no UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0", "1:1 it is a binary file, not text"),
        (b"a: 1\n" * 300_000, "1:1 it is larger than 1,000,000 bytes"),
        (b"[" * 100_000, "1:65 more than 64 levels are nested here"),
        (b"interlock: 1\nsite: [\n", "2:7 the list or mapping that opens here is never closed"),
        (b"interlock: 1\n<<<<<<< HEAD\nsite: a\n", "2:1 git conflict marker <<<<<<<"),
    ],
    ids=["empty", "comment", "text", "list", "latin-1", "binary", "huge", "deep", "syntax", "conflict"],
)
def test_what_is_no_site_file_is_said_in_one_clear_message(faults: Faults, content: bytes, says: str) -> None:
    assert faults(content) == [says]


def refused(path: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_site(path, {})
    assert caught.value.where == str(path)
    return caught.value


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    error = refused(tmp_path / "interlock.yaml")
    assert (error.what, error.why) == ("it cannot be read", "No such file or directory")


def test_only_a_regular_file_is_opened_and_nothing_hangs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        said = {name: refused(tmp_path / name).what for name in ("pipe", "folder", "socket")}
    assert said == {"pipe": "it is a named pipe, not a file", "folder": "it is a directory, not a file", "socket": "it is a socket, not a file"}
    assert refused(Path("/dev/zero")).what == "it is a device, not a file"


def test_a_link_to_a_file_is_followed_and_its_own_folder_counts(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "interlock.yaml").write_text(SMALL)
    (tmp_path / "interlock.yaml").symlink_to("real/interlock.yaml")
    assert load_site(tmp_path / "interlock.yaml", {}).root == tmp_path


def test_a_link_that_leads_in_a_circle_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "interlock.yaml").symlink_to("interlock.yaml")
    assert refused(tmp_path / "interlock.yaml").remedy == "its symbolic links lead in a circle: name the file itself"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "interlock.yaml").write_text(SMALL)
    (tmp_path / "interlock.yaml").chmod(0)
    assert refused(tmp_path / "interlock.yaml").why == "Permission denied"


def test_loading_a_site_that_is_right_imports_nothing_for_the_wrong_ones(tmp_path: Path) -> None:
    (tmp_path / "interlock.yaml").write_text(SMALL)
    program = f"""
import sys
from pathlib import Path
from interlock.config.load import load_site
load_site(Path({str(tmp_path / "interlock.yaml")!r}), {{}})
print(*sorted(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    heavy = {
        "jsonschema",
        "hypothesis",
        "docker",
        "psycopg",
        "requests",
        "rich",
        "pytest",
        "difflib",
        "asyncio",
        "interlock.config.wording",
        "interlock.config.schema",
    }
    assert heavy & set(done.stdout.split()) == set()


# ---- finding it


def test_the_nearest_site_file_above_is_found(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "interlock.yaml").write_text(SMALL)
    assert find_site(tmp_path / "a" / "b") == tmp_path / "interlock.yaml"
    (tmp_path / "a" / "interlock.yaml").write_text(SMALL)
    assert find_site(tmp_path / "a" / "b") == tmp_path / "a" / "interlock.yaml"


def test_without_one_up_to_the_root_there_is_none(tmp_path: Path) -> None:
    assert find_site(tmp_path / "not" / "there") is None
    assert find_site(Path("/")) is None


def test_what_has_the_name_is_found_whatever_it_is(tmp_path: Path) -> None:
    """Going on upwards would take another site for this one."""
    (tmp_path / "interlock.yaml").symlink_to("gone")
    assert find_site(tmp_path) == tmp_path / "interlock.yaml"


def test_the_other_ending_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    (tmp_path / "interlock.yml").write_text(SMALL)
    with pytest.raises(ConfigError) as caught:
        find_site(tmp_path)
    assert caught.value.remedy == "mv interlock.yml interlock.yaml"
    (tmp_path / "interlock.yaml").write_text(SMALL)
    assert find_site(tmp_path) == tmp_path / "interlock.yaml"


@pytest.mark.skipif(os.geteuid() == 0, reason="root looks everywhere")
def test_a_folder_that_cannot_be_looked_into_is_no_folder_without_a_site(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "in").mkdir(parents=True)
    closed.chmod(0o600)
    try:
        with pytest.raises(ConfigError) as caught:
            find_site(closed)
        assert caught.value.why == "permission denied"
    finally:
        closed.chmod(0o700)
