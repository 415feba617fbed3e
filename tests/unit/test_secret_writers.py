"""Which lines write a secret, and who can read it then? Scripts and programs, followed as those that write backups are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.commands.scan import site_of_tree
from interlock.facts import pythoncode
from interlock.facts.same_file import file_writers
from interlock.facts.secret_writers import SecretWriters, is_open, may_write_secrets, may_write_secrets_in_python, secrets_in_python, secrets_in_shell
from interlock.judge.permissions import judge_secret_files
from interlock.observe.secret_writers import secret_writers
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Held, Subject, Unproven, When


def in_shell(text: str) -> list[tuple[str, bool]]:
    return [(write.target, is_open(write.care)) for write in secrets_in_shell("install.sh", text).writes]


def in_python(text: str) -> list[bool]:
    module = pythoncode.parse(("import os, tempfile\nfrom pathlib import Path\n\n" + text).encode())
    assert isinstance(module, pythoncode.Module)
    return [is_open(write.care) for write in secrets_in_python("app.py", module).writes]


ENV = "cat > .env <<END\nDOMAIN=x\nDB_PASSWORD=$PASSWORD\nEND\n"


@pytest.mark.parametrize(
    ("text", "target"),
    [
        (ENV, ".env"),
        ('{ echo "DOMAIN=x"; echo "SECRET_KEY=$(openssl rand -hex 9)"; echo "A=b"; } > prod.env\n', "prod.env"),
        ('echo "api_token: $TOKEN" > config.yml\n', "config.yml"),
        ('printf "%s" "{\\"password\\": \\"$PASSWORD\\"}" > /etc/shop/settings.json\n', "/etc/shop/settings.json"),
        ("openssl rand -hex 32 > /srv/shop/jwt_secret\n", "/srv/shop/jwt_secret"),
        ("wg genkey | tee /etc/wireguard/private.key\n", "/etc/wireguard/private.key"),
        ('echo "$KEY" | sudo tee /etc/ssl/private_key.pem > /dev/null\n', "/etc/ssl/private_key.pem"),
        ('echo "*:*:*:shop:$PW" > ~/.pgpass\n', "~/.pgpass"),
        ('cp .env.example .env\nsed -i "s|^DB_PASSWORD=.*|DB_PASSWORD=$PW|" .env\n', ".env"),
        ('cp .env.example .env\necho "SECRET_KEY=$KEY" >> .env\n', ".env"),
        ("chmod 644 /srv/shop/admin.key\n", "/srv/shop/admin.key"),
        ("umask 022\ninstall -m 0644 x /srv/shop/tls.key\n", "/srv/shop/tls.key"),
        ("kubectl config view --raw > kubeconfig\n", "kubeconfig"),
    ],
)
def test_a_secret_that_everybody_can_read_is_found(text: str, target: str) -> None:
    assert in_shell(text) == [(target, True)]


@pytest.mark.parametrize(
    "text",
    [
        f"umask 077\n{ENV}",
        f"{ENV}chmod 600 .env\n",
        f"touch .env\nchmod 600 .env\n{ENV}",
        f"install -m 600 /dev/null .env\n{ENV}",
        f"{ENV}chgrp shop .env\nchmod 640 .env\n",
        f"(umask 177; {ENV.rstrip()}\n)\n",
        'echo "SECRET_KEY=$KEY" >> .env\n',  # made elsewhere, with a mode that others gave it
        "cat > .env <<'END'\nDB_PASSWORD=${DB_PASSWORD}\nEND\n",  # a reference, no value
        "cat > .env <<END\nDB_PASSWORD=\\${DB_PASSWORD}\nEND\n",
        "cat > .env <<END\nDB_PASSWORD=\nDOMAIN=$D\nEND\n",
        'echo "DB_PASSWORD_FILE=$F" > .env\n',
        'echo "TOKEN_TTL=$TTL" > prod.env\n',
        "cp secrets/tls.key /etc/shop/tls.key\n",
        "curl -fsSL https://example.org/apt.key -o /etc/apt/keyrings/example.key\n",
        "openssl rsa -in a.key -pubout > public.key\n",
        "mkdir -m 700 secrets\nopenssl rand -hex 9 > secrets/token\n",
        "echo x > /root/admin_token\n",
        "echo done > build.log\n",
    ],
)
def test_a_private_one_and_one_that_is_none_is_not(text: str) -> None:
    assert not any(is_it_open for _, is_it_open in in_shell(text))


@pytest.mark.parametrize(
    "text",
    [
        'Path("/srv/.jwt_secret").write_text(key)\n',
        'def save(token):\n    with open("/srv/admin_token", "w") as f:\n        f.write(token)\n',
        'PATH = Path("/srv") / "private_key.pem"\nPATH.write_bytes(key)\n',
        'fd = os.open("/srv/api_token", os.O_WRONLY | os.O_CREAT, 0o644)\n',
        'Path("shop.env").write_text(f"DB_PASSWORD={password}")\n',
        'tmp = Path("/srv/credentials.json").with_suffix(".tmp")\nPath("/srv/credentials.json").write_text(x)\nos.chmod("/srv/credentials.json", 0o644)\n',
    ],
)
def test_a_program_that_leaves_a_secret_to_the_umask_is_found(text: str) -> None:
    assert True in in_python(text)


@pytest.mark.parametrize(
    "text",
    [
        'p = Path("/srv/.jwt_secret")\np.write_text(key)\np.chmod(0o600)\n',
        'os.umask(0o077)\nPath("/srv/.jwt_secret").write_text(key)\n',
        'fd = os.open("/srv/api_token", os.O_WRONLY | os.O_CREAT, 0o600)\n',
        'with open("/srv/api_token", "w") as f:\n    os.fchmod(f.fileno(), 0o600)\n    f.write(x)\n',
        'p = Path("/srv/api_token")\np.touch(mode=0o600)\np.write_text(x)\n',
        'def keep(mode):\n    Path("/srv/api_token").write_text(x)\n    os.chmod("/srv/api_token", mode)\n',
        'Path("tokenizer.json").write_text(x)\nPath("public_key.pem").write_text(x)\n',
        'open("/srv/api_token").read()\n',
    ],
)
def test_a_program_that_closes_what_it_writes_holds(text: str) -> None:
    assert True not in in_python(text)


def seen(folder: Path, **files: str) -> SecretWriters:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    world = World(site=site_of_tree(folder), gates=frozenset({When.STATIC}), tree=Tree(folder, patient=True), hosts={}, environ=os.environ)
    return secret_writers(world, Subject(name="scripts"))


def test_what_runs_in_a_container_or_on_a_developers_desk_is_not_asked(tmp_path: Path) -> None:
    dockerfile = "FROM debian\nCOPY docker/bin /usr/local/bin\nCOPY entrypoint.sh /\n"
    tree = {"docker__bin__start_DOT_sh": ENV, "entrypoint_DOT_sh": ENV, "dev__setup_DOT_sh": ENV, "docs__example_DOT_sh": ENV, "install_DOT_sh": ENV}
    assert [script.path for script in seen(tmp_path, Dockerfile=dockerfile, **tree).scripts] == ["install.sh"]


def test_the_judgement_names_the_file_and_what_happens(tmp_path: Path) -> None:
    judged = judge_secret_files(seen(tmp_path, install_DOT_sh=ENV + 'umask 077\necho "$T" > admin_token\n'))
    assert isinstance(judged, Broken)
    assert [(detail.what, detail.kind) for detail in judged.details] == [("install.sh: << .env", "no-umask"), ("install.sh: echo admin_token", "")]
    assert "every user of the host can read it" in judged.message


def test_a_tree_without_a_secret_holds_and_a_broken_program_is_unproven(tmp_path: Path) -> None:
    assert isinstance(judge_secret_files(seen(tmp_path, a_DOT_sh="echo a > b\n", b_DOT_py="x = (\n")), Held)
    assert isinstance(judge_secret_files(seen(tmp_path, c_DOT_py='Path("/srv/api_token").write_text(x\n')), Unproven)


@given(st.text(st.sampled_from("echo PASSWORD=$K>.env<;&|(){}'\"\n\\"), max_size=120))
def test_any_text_is_followed(text: str) -> None:
    may_write_secrets(text.encode())
    secrets_in_shell("a.sh", text)


@given(st.binary(max_size=100))
def test_any_bytes_may_be_a_program(data: bytes) -> None:
    may_write_secrets_in_python(b'open("secret", "w")' + data)


# ---- writers of one file

CLOSING = """
STATE = Path(os.environ.get("SHOP_DATA", "/srv")) / "state" / "shop.yaml"
def flip(text):
    tmp = STATE.with_suffix(".tmp")
    tmp.write_text(text)
    os.replace(tmp, STATE)
    os.chmod(STATE, 0o600)
"""
LOOSE = """
def save(text):
    path = folder() / "shop.yaml"
    tmp = path.with_suffix(".tmp")
    tmp.write_text(text)
    os.replace(tmp, path)
"""


def of_one_file(folder: Path, **texts: str) -> list[tuple[str, str]]:
    """The findings of a tree of these programs and scripts: file and kind."""
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(("import os, shutil, tempfile\nfrom pathlib import Path\n" if path.suffix == ".py" else "#!/bin/sh\n") + text)
    world = World(site=site_of_tree(folder), gates=frozenset({When.STATIC}), tree=Tree(folder, patient=True), hosts={}, environ=os.environ)
    judged = judge_secret_files(secret_writers(world, Subject(name="scripts")))
    assert not isinstance(judged, Unproven)
    return [(detail.file, detail.kind) for detail in judged.details if detail.kind in ("unlike-other-writers", "reopened")]


@pytest.mark.parametrize(
    "loose",
    [
        LOOSE,
        LOOSE.replace("os.replace(tmp, path)", "tmp.replace(path)"),
        LOOSE.replace("os.replace(tmp, path)", "os.rename(str(tmp), path)").replace("tmp.write_text(text)", "open(str(tmp), 'w').write(text)"),
        LOOSE.replace('folder() / "shop.yaml"', 'os.path.join(folder(), "state", "shop.yaml")').replace("path.with_suffix", "Path(path).with_suffix"),
        LOOSE.replace('folder() / "shop.yaml"', 'Path(f"{folder()}/shop.yaml")'),
        LOOSE.replace("tmp.write_text(text)", "with tmp.open('w') as file:\n        file.write(text)"),
        LOOSE + "    check_model(text)\n    private_names(given)\n",
        LOOSE + "    other = folder() / 'tokens.json'\n    other.chmod(0o600)\n",  # another file's mode
    ],
)
def test_a_program_that_opens_what_another_closes_is_found(loose: str, tmp_path: Path) -> None:
    assert of_one_file(tmp_path, core__state_DOT_py=CLOSING, web__admin_DOT_py=loose) == [("web/admin.py", "unlike-other-writers")]


@pytest.mark.parametrize(
    "other",
    [
        LOOSE.replace("os.replace(tmp, path)", "os.chmod(tmp, 0o600)\n    os.replace(tmp, path)"),
        LOOSE + "    path.chmod(0o640)\n",
        LOOSE.replace("tmp.write_text(text)", "os.umask(0o077)\n    tmp.write_text(text)"),
        LOOSE.replace("tmp.write_text(text)", "shutil.copymode(path, tmp)\n    tmp.write_text(text)"),
        LOOSE.replace("tmp.write_text(text)", "tmp.write_text(text)\n    make_private(tmp)"),
        LOOSE.replace("tmp.write_text(text)", "with private_umask():\n        tmp.write_text(text)"),
        LOOSE.replace("tmp.write_text(text)", "open(tmp, 'w', opener=private).write(text)"),
        LOOSE.replace("tmp.write_text(text)", "render(tmp)"),  # who knows
        LOOSE.replace("os.replace(tmp, path)", "os.unlink(tmp)"),
        LOOSE.replace("shop.yaml", "menu.yaml"),
        LOOSE.replace('folder() / "shop.yaml"', 'Path("/srv/themes/shop.yaml")'),
        LOOSE.replace('folder() / "shop.yaml"', "given"),
    ],
)
def test_a_program_that_cares_or_writes_another_file_holds(other: str, tmp_path: Path) -> None:
    assert of_one_file(tmp_path, core__state_DOT_py=CLOSING, web__admin_DOT_py=other) == []


@given(st.lists(st.sampled_from([*LOOSE.splitlines(), *CLOSING.splitlines(), "    os.chmod(*text)", "    tmp = tmp / tmp", "tmp = path = tmp"])))
def test_writers_of_any_program_are_read(lines: list[str]) -> None:
    module = pythoncode.parse("\n".join(lines).encode())
    if isinstance(module, pythoncode.Module):
        list(file_writers("a.py", module))


def test_a_name_that_many_files_have_needs_its_folder(tmp_path: Path) -> None:
    closing, loose = CLOSING.replace("shop.yaml", "config.json"), LOOSE.replace("shop.yaml", "config.json")
    assert of_one_file(tmp_path, core__state_DOT_py=closing, web__admin_DOT_py=loose) == []
    known = loose.replace("folder()", 'folder() / "state"')
    assert of_one_file(tmp_path, core__state_DOT_py=closing, web__admin_DOT_py=known) == [("web/admin.py", "unlike-other-writers")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("grep -v '^OLD=' /opt/shop/.env > /opt/shop/.env.new\nmv /opt/shop/.env.new /opt/shop/.env\n", ["reopened"]),
        ('F=/opt/shop/.env\nsed "s|a|b|" "$F" > "$F.tmp" && mv "$F.tmp" "$F"\n', ["reopened"]),
        ('F=/opt/shop/.env\nsed "s|a|b|" "$F" > "$F.tmp" && chmod 600 "$F.tmp" && mv "$F.tmp" "$F"\n', []),
        ('F=/opt/shop/.env\nsed "s|a|b|" "$F" > "$F.tmp" && mv "$F.tmp" "$F"\nchmod 600 "$F"\n', []),
        ('umask 077\nF=/opt/shop/.env\nsed "s|a|b|" "$F" > "$F.tmp" && mv "$F.tmp" "$F"\n', []),
        ('F=/opt/shop/.env\nsed "s|a|b|" "$F" > "$F.tmp"\nchmod --reference="$F" "$F.tmp"\nmv "$F.tmp" "$F"\n', []),
        ("T=$(mktemp)\ngrep -v a /opt/shop/.env > $T\nmv $T /opt/shop/.env\n", []),  # 0600
        ("cp -p /opt/shop/.env /opt/shop/t\nmv /opt/shop/t /opt/shop/.env\n", []),
        ('sed -i "s|a|b|" /opt/shop/.env\n', []),  # keeps the mode
        ("grep -v a /opt/shop/.env > /opt/shop/t\ncat /opt/shop/t > /opt/shop/.env\n", []),  # the same file
        ("grep -v a /opt/shop/.env > /opt/shop/t\nmv /opt/shop/t /opt/other/.env\n", []),
    ],
)
def test_a_script_that_replaces_a_private_file_closes_the_new_one(text: str, found: list[str], tmp_path: Path) -> None:
    install = "install -m 600 /dev/null /opt/shop/.env\n"
    assert of_one_file(tmp_path, install_DOT_sh=install, update_DOT_sh=text) == [("update.sh", kind) for kind in found]
