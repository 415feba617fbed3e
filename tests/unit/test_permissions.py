"""Do owner, mode and reader belong together? From trees of a few files, and from values."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.commands.scan import site_of_tree
from interlock.facts import pythoncode
from interlock.facts.ownership import acts
from interlock.facts.permissions import Ownership, Published, Publishing, Reader, ScriptActs
from interlock.facts.publishes import may_publish, publishes
from interlock.facts.shell import parse
from interlock.judge.permissions import judge_mode_needs_owner_match, judge_precreated, judge_recursive_chown, judge_uid_matches
from interlock.observe.permissions import ownership, publishing
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Held, Outcome, Subject, Unproven, When

APP = Reader(chain="prod", service="app", source="/srv/state", target="/state", uid=999)
DB = Reader(chain="prod", service="db", source="/srv/db", target="/var/lib/postgresql/data", uid=None, data_of=frozenset({70}), strict=True)
ENTRY = Reader(chain="prod", service="web", source="/srv", target="/data", uid=None, built=True)


def seen(
    text: str, *readers: Reader, path: str = "prepare.sh", inside: bool = False, named: tuple[str, ...] = ("shop.yaml",), present: tuple[str, ...] = ()
) -> Ownership:
    script = ScriptActs(path=path, inside=inside, acts=acts(parse(text)))
    users: dict[str, set[str]] = {}
    for act in script.acts:
        if act.did == "user":
            users.setdefault(act.path, set()).add(act.owner)
    return Ownership(
        readers=readers or (APP, DB),
        scripts=(script,),
        users={name: frozenset(uids) for name, uids in users.items()},
        named=frozenset(named),
        directory="/opt/shop",
        present=frozenset(present),
    )


def kinds(judged: Held | Broken | Unproven) -> list[str]:
    return [detail.kind for detail in judged.details if detail.outcome is Outcome.BROKEN]


def modes(text: str, *readers: Reader, named: tuple[str, ...] = ("shop.yaml",)) -> list[str]:
    return kinds(judge_mode_needs_owner_match(Publishing(ownership=seen(text, *readers, named=named), published=(), looked_at=0)))


# ---- mode_needs_owner_match: scripts


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("useradd --system shop\nchmod 600 /srv/state/shop.yaml\nchown -R shop:shop /srv/state\n", "owner-not-pinned"),
        ("useradd --system shop\ninstall -o shop -m 0600 x /srv/state/shop.yaml\n", "owner-not-pinned"),
        ("useradd -u 1000 shop\nchown shop /srv/state/shop.yaml\nchmod go= /srv/state/shop.yaml\n", "another-owner"),
        ("chown 0:0 /srv/state/shop.yaml\nchmod 0400 /srv/state/shop.yaml\n", "another-owner"),
        ("mkdir -p /srv/state/certs\nchmod 700 /srv/state/certs\n", "owner-not-set"),
        ("useradd --system x\necho a > /srv/state/shop.yaml\nchmod 600 /srv/state/shop.yaml\n", "owner-not-set"),
        ('S="${STATE_DIR:-/srv/state}"\nmkdir -p "$S/certs"\nchmod 700 "$S/certs"\n', "owner-not-set"),
        ("tmp=$(mktemp)\nrender > $tmp\nmv $tmp /srv/state/shop.yaml\n", "temporary-mode-kept"),
    ],
)
def test_a_private_path_that_its_reader_does_not_own_is_found(text: str, kind: str) -> None:
    assert modes(text, named=("shop.yaml", "certs")) == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "chown 999:999 /srv/state/shop.yaml\nchmod 600 /srv/state/shop.yaml\n",
        "chmod 600 /srv/state/shop.yaml\nchown -R 999 /srv/state\n",
        "useradd --system --uid 999 shop\nchown shop: /srv/state/shop.yaml\nchmod 600 /srv/state/shop.yaml\n",
        "useradd --uid 999 shop || useradd shop\nchown shop: /srv/state/shop.yaml\nchmod 600 /srv/state/shop.yaml\n",
        'useradd shop\nif [ "$(id -u shop)" = 999 ]; then chmod 600 /srv/state/shop.yaml; fi\nchown shop /srv/state\n',
        "chmod 600 /srv/state/shop.yaml\n",  # who owns it is not known here
        "echo a > /srv/state/shop.yaml\nchmod 660 /srv/state/shop.yaml\n",
        "echo a > /srv/state/host.key\nchmod 600 /srv/state/host.key\n",  # nothing in a container names it
        "echo a > /root/.ssh/id\nchmod 600 /root/.ssh/id\n",
        "mkdir -p /srv/db\nchown 70 /srv/db\nchmod 700 /srv/db\n",
        'chown "$APP_UID" /srv/state/shop.yaml\nchmod 600 /srv/state/shop.yaml\n',
        "tmp=$(mktemp)\nmv $tmp /srv/state/shop.yaml\nchmod 644 /srv/state/shop.yaml\n",
        "tmp=$(mktemp)\nmv $tmp /etc/cron.d/shop.yaml\n",
    ],
)
def test_a_private_path_of_its_reader_or_of_nobody_else_holds(text: str) -> None:
    assert modes(text) == []


def test_a_file_that_is_mounted_itself_needs_no_name() -> None:
    key = Reader(chain="prod", service="app", source="secrets/db_password", target="/run/secrets/db_password", uid=999)
    assert modes("sudo true\nopenssl rand 9 > secrets/db_password\nchmod 600 secrets/db_password\n", key, named=()) == ["owner-not-set"]


def test_the_readers_directory_on_its_host_is_the_one_in_the_tree() -> None:
    reader = Reader(chain="prod", service="app", source="data/state", target="/state", uid=999)
    assert modes("mkdir -p /opt/shop/data/state\nchmod 700 /opt/shop/data/state\n", reader) == ["owner-not-set"]


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ("useradd -u 999 shop\nchown shop /srv/x\n", "useradd --system shop\n", ["second.sh"]),
        ("useradd -u 999 shop\nchown shop /srv/x\n", "useradd -u 999 shop || useradd shop\n", []),
        ("useradd -u 999 shop\nchown shop /srv/x\n", 'useradd -u "$SHOP_UID" shop\n', []),
        ("useradd shop\nchown shop /srv/x\n", "useradd --system shop\n", []),
        ("useradd -u 999 shop\n", "useradd --system shop\n", []),
    ],
)
def test_a_user_that_owns_files_has_one_uid_wherever_it_is_made(first: str, second: str, found: list[str]) -> None:
    scripts = tuple(ScriptActs(path=path, inside=False, acts=acts(parse(text))) for path, text in (("first.sh", first), ("second.sh", second)))
    judged = judge_mode_needs_owner_match(Publishing(ownership=Ownership(readers=(), scripts=scripts), published=(), looked_at=0))
    assert [detail.file for detail in judged.details] == found


# ---- mode_needs_owner_match: programs

SHARED = "import os, tempfile\ndef save(path):\n    fd, tmp = tempfile.mkstemp()\n    os.fchmod(fd, 0o660)\n    os.replace(tmp, path)\n"
KEPT = SHARED.replace("    os.fchmod(fd, 0o660)\n", "")


def published(**texts: str) -> list[Published]:
    found: list[Published] = []
    for name, text in texts.items():
        module = pythoncode.parse(text.encode())
        assert isinstance(module, pythoncode.Module)
        found += publishes(name.replace("__", "/") + ".py", module)
    return found


def programs(**texts: str) -> list[str]:
    empty = Ownership(readers=(), scripts=())
    judged = judge_mode_needs_owner_match(Publishing(ownership=empty, published=tuple(published(**texts)), looked_at=len(texts)))
    return [detail.file for detail in judged.details if detail.outcome is Outcome.BROKEN]


@pytest.mark.parametrize(
    "kept",
    [
        KEPT,
        KEPT.replace("os.replace(tmp, path)", "os.rename(tmp, path)"),
        KEPT.replace("os.replace(tmp, path)", "shutil.move(tmp, path)"),
        KEPT.replace("os.replace(tmp, path)", "Path(tmp).replace(path)"),
        (
            "import os\nfrom tempfile import NamedTemporaryFile\n"
            "def save(path):\n    with NamedTemporaryFile(delete=False) as f:\n        f.write(b'')\n    os.replace(f.name, path)\n"
        ),
    ],
)
def test_a_program_that_keeps_0600_beside_one_that_shares_is_found(kept: str) -> None:
    assert programs(sync__jira__a=SHARED, sync__jira__scripts__b=kept) == ["sync/jira/scripts/b.py"]


@pytest.mark.parametrize(
    "other",
    [
        SHARED,
        SHARED.replace("os.fchmod(fd, 0o660)", "os.chmod(tmp, stat.S_IRUSR | stat.S_IWUSR)"),  # private on purpose
        SHARED.replace("os.fchmod(fd, 0o660)", "shutil.copymode(path, tmp)"),
        SHARED.replace("os.fchmod(fd, 0o660)", "mask = os.umask(0); os.umask(mask); os.chmod(tmp, 0o666 & ~mask)"),
        KEPT.replace("os.replace(tmp, path)", "os.unlink(tmp)"),
        "def save(text):\n    return text.replace('a', 'b')\n",
    ],
)
def test_a_mode_that_somebody_thought_of_holds(other: str) -> None:
    assert programs(sync__jira__a=SHARED, sync__jira__b=other) == []


def test_neighbours_that_are_private_or_far_away_say_nothing() -> None:
    private = SHARED.replace("0o660", "0o600")
    assert programs(sync__jira__a=private, sync__jira__b=KEPT) == []
    assert programs(sync__jira__a=SHARED, sync__jira__b=private, sync__jira__c=private, sync__jira__d=KEPT) == []
    assert programs(web__api__a=SHARED, sync__jira__b=KEPT) == []


@given(st.text(st.sampled_from("def os.replac(tm,)\n :=mkse"), max_size=100))
def test_any_program_is_read(text: str) -> None:
    may_publish(text.encode())
    module = pythoncode.parse(text.encode())
    if isinstance(module, pythoncode.Module):
        list(publishes("a.py", module))


# ---- uid_matches_state_dir


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("chown 1000:1000 /srv/state\n", ["another-uid"]),
        ("chown -R 999 /srv/db\n", ["another-uid"]),
        ("chown 999 /srv/state\nchown 70 /srv/db\n", []),
        ("chown 1000 /srv/state\nchown 999 /srv/state\n", []),
        ("chown 1000 /srv/state/mine\n", []),
        ('chown "$UID" /srv/state\n', []),
        ("chown 1000 /srv/other\n", []),
    ],
)
def test_a_directory_of_a_container_belongs_to_its_user(text: str, found: list[str]) -> None:
    assert kinds(judge_uid_matches(seen(text))) == found


def test_a_directory_that_one_of_its_writers_owns_holds() -> None:
    other = Reader(chain="prod", service="worker", source="/srv/state", target="/state", uid=1000)
    assert kinds(judge_uid_matches(seen("chown 1000 /srv/state\n", APP, other))) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("chown -R 999 /srv/state\nchown 70:70 /srv/db\nchmod 700 /srv/db\n", ["top-only"]),
        ("chown -R shop: /srv/uploads\nbash -c 'chown 70:70 /srv/db && chmod 700 /srv/db'\n", ["top-only"]),
        ("chown -R 999 /srv/state\ninstall -d -o 70 -g 70 -m 700 /srv/db\n", []),  # made here, with nothing in it
        ("chown -R 999 /srv/state\nchown -R 70:70 /srv/db\n", []),
        ("chown -R 999 /srv/state\nchown -R 70 /srv/db\nchown 70:70 /srv/db\n", []),
        ("chown 999 /srv/state\nchown 70:70 /srv/db\n", []),  # nothing says that files are left from before
        ("chown -R 999 /srv/state\nif [ ! -d /srv/db ]; then mkdir /srv/db; chown 70 /srv/db; fi\n", []),
        ("chown -R 999 /opt/shop\nchown 70:70 /srv/db\n", []),
    ],
)
def test_an_engines_data_is_given_back_with_all_that_is_in_it(text: str, found: list[str]) -> None:
    assert kinds(judge_uid_matches(seen(text))) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("chown shop: /srv/x/a.yaml\ngrep -v '^token' /srv/x/a.yaml > /srv/x/a.new\nmv /srv/x/a.new /srv/x/a.yaml\n", ["owner-lost"]),
        ("chown 1500 /srv/x/a.yaml\njq . /srv/x/a.yaml | tee /srv/x/a.new\nmv -f /srv/x/a.new /srv/x/a.yaml\n", ["owner-lost"]),
        ("chown shop /srv/x/a.yaml\njq . /srv/x/a.yaml > /srv/x/t\nmv /srv/x/t /srv/x/a.yaml\nchown shop /srv/x/a.yaml\n", []),
        ("chown shop /srv/x/a.yaml\njq . /srv/x/a.yaml > /srv/x/t\nchown shop /srv/x/t\nmv /srv/x/t /srv/x/a.yaml\n", []),
        ("chown shop /srv/x/a.yaml\njq . /srv/x/a.yaml > /srv/x/t\nmv /srv/x/t /srv/x/a.yaml\nchown -R shop /srv/x\n", []),
        ("chown shop /srv/x/a.yaml\ncp -p /srv/x/a.yaml /srv/x/t\nmv /srv/x/t /srv/x/a.yaml\n", []),
        ("chown shop /srv/x/a.yaml\njq . /srv/x/a.yaml > /srv/x/t\nmv /srv/x/t /srv/x/b.yaml\n", []),
        ("chown root /srv/x/a.yaml\njq . /srv/x/a.yaml > /srv/x/t\nmv /srv/x/t /srv/x/a.yaml\n", []),
    ],
)
def test_a_file_that_was_given_to_somebody_is_not_replaced_by_one_of_root(text: str, found: list[str]) -> None:
    assert kinds(judge_uid_matches(seen(text))) == found


# ---- recursive_chown_scope


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("chown -R 999:999 /srv\n", ["reaches-engine-data"]),
        ("chown -R shop: /srv/\n", ["reaches-engine-data"]),
        ('D=/srv\nif [ -b /dev/sdb ]; then chown -R 999 "$D"; fi\n', ["reaches-engine-data"]),
        ("chown -R 999 /srv/*\n", ["reaches-engine-data"]),
        ("chmod -R 755 /srv\n", ["reaches-engine-data"]),
        ("chown -R 999 /srv\nchown 70 /srv/db\n", ["reaches-engine-data"]),
        ("chown -R 999 /srv\nchown -R 70:70 /srv/db\n", []),
        ("chown 999 /srv\n", []),
        ("chown -R 999 /srv/state\n", []),
        ("find /srv -mindepth 1 -maxdepth 1 ! -name db -exec chown -R 999 {} +\n", []),
        ("if [ ! -d /srv ]; then mkdir -p /srv/db; chown -R 999 /srv; fi\n", []),
        ('chown -R "$(stat -c %u /srv/db)" /srv\n', []),
        ("chmod -R go-rwx /srv\n", []),
        ("chown -R 70 /srv\n", []),
    ],
)
def test_a_recursive_change_stops_before_an_engines_data(text: str, found: list[str]) -> None:
    assert kinds(judge_recursive_chown(seen(text))) == found


def test_an_entry_point_reaches_what_its_service_mounts() -> None:
    assert kinds(judge_recursive_chown(seen("chown -R shop /data\n", DB, ENTRY, path="entrypoint.sh", inside=True))) == ["reaches-engine-data"]
    assert kinds(judge_recursive_chown(seen("chown -R shop /app\n", DB, ENTRY, path="entrypoint.sh", inside=True))) == []


def test_the_stack_folder_holds_the_engines_data_too() -> None:
    db = Reader(chain="prod", service="db", source="data/db", target="/var/lib/postgresql/data", uid=None, data_of=frozenset({70}))
    assert kinds(judge_recursive_chown(seen("sudo chown -R 1000:1000 ./data\n", db))) == ["reaches-engine-data"]
    assert kinds(judge_recursive_chown(seen("chown -R 1000:1000 .\n", db))) == ["reaches-engine-data"]


# ---- state_subdirs_precreated


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mkdir -p /srv/uploads\n", ["made-by-the-engine"]),
        ("mkdir -p /srv/uploads /srv/state\n", []),
        ("mkdir -p /srv/{uploads,state}\n", []),
        ("install -d -o 999 /srv/state/sub\nmkdir /srv/uploads\n", []),
        ("chown 999 /srv/state\nmkdir /srv/uploads\n", []),
        ("mkdir -p /var/log/shop\n", []),
    ],
)
def test_a_mounted_directory_is_made_where_its_neighbours_are(text: str, found: list[str]) -> None:
    assert kinds(judge_precreated(seen(text))) == found


def test_a_directory_of_the_tree_is_there() -> None:
    reader = Reader(chain="prod", service="app", source="data/state", target="/state", uid=999)
    assert kinds(judge_precreated(seen("mkdir -p data/uploads\n", reader))) == ["made-by-the-engine"]
    assert kinds(judge_precreated(seen("mkdir -p data/uploads\n", reader, present=("data/state",)))) == []


# ---- from a tree

COMPOSE = """\
services:
  app:
    build: ./app
    volumes: ["./data/app:/data", "/srv/shop:/srv"]
    secrets: [db_password]
  charts:
    image: grafana/grafana:11.2.0
    volumes: ["./data/charts:/var/lib/grafana"]
  db:
    image: postgres:17-alpine
    volumes: ["${DATA:-./data}/db:/var/lib/postgresql/data"]
secrets:
  db_password: {file: ./secrets/db_password}
"""


def tree(folder: Path, **files: str) -> World:
    for name, text in {"compose_DOT_yaml": COMPOSE, "app__Dockerfile": "FROM python:3\nRUN useradd -u 1200 app\nUSER app\n", **files}.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    site = site_of_tree(folder)
    return World(site=site, gates=frozenset({When.STATIC}), tree=Tree(folder, patient=True), hosts={}, environ=os.environ)


def test_readers_come_from_the_chain_its_images_and_its_secrets(tmp_path: Path, component: Callable[[str], None]) -> None:
    component("compose")
    found = ownership(tree(tmp_path, prepare_DOT_sh="mkdir -p data/app\n"), Subject(name="scripts"))
    assert {(reader.service, reader.source, reader.uid, reader.data_of) for reader in found.readers} == {
        ("app", "data/app", 1200, frozenset()),
        ("app", "/srv/shop", 1200, frozenset()),
        ("app", "secrets/db_password", 1200, frozenset()),
        ("charts", "data/charts", 472, frozenset({472})),
        ("db", "data/db", None, frozenset({70})),
    }


def test_a_tree_is_judged_as_its_scripts_and_chain_say(tmp_path: Path, component: Callable[[str], None]) -> None:
    component("compose")
    script = "#!/bin/sh\nsudo mkdir -p data/app secrets\nopenssl rand -hex 9 > secrets/db_password\nchmod 600 secrets/db_password\nsudo chown -R 1200 ./data\n"
    world, subject = tree(tmp_path, prepare_DOT_sh=script), Subject(name="scripts")
    assert kinds(judge_mode_needs_owner_match(publishing(world, subject))) == ["owner-not-set"]
    assert kinds(judge_recursive_chown(ownership(world, subject))) == ["reaches-engine-data"]
    assert kinds(judge_precreated(ownership(world, subject))) == ["made-by-the-engine"]
