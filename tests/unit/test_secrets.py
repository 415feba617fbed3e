"""Keys that must last, secrets that are shown, keys of certificates: the readers on texts, the judgements on small trees."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given

from interlock.commands.scan import site_of_tree
from interlock.facts.secret_leaks import Leak, leaks
from interlock.facts.secrets import encryption_keys, is_irreplaceable, made_keys, names_secret, signs
from interlock.facts.shell import parse
from interlock.facts.tls_files import Slip, committed, is_key_path, may_hold_key, slips_of
from interlock.judge.secrets import judge_durability, judge_not_logged, judge_tls
from interlock.observe.secrets import keys, leaked, tls_artifacts
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Detail, Held, Outcome, Subject, Unproven, When
from tests.strategies import shell_texts, texts

SCRIPTS = Subject(name="scripts")
# Put together here, so that no file of ours holds what a search for keys finds.
KEY = "-----BEGIN {}PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ\n-----END {}PRIVATE KEY-----\n"


def world(folder: Path, files: dict[str, str]) -> World:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    site = site_of_tree(folder)
    return World(site=site, gates=frozenset({When.STATIC}), tree=Tree(folder, patient=True), hosts={}, environ=os.environ)


def broken(judged: Held | Broken | Unproven) -> list[Detail]:
    return [one for one in judged.details if one.outcome is Outcome.BROKEN]


# ---- words


@pytest.mark.parametrize(
    "name", ["DB_PASSWORD", "password", "API_TOKEN", "apiToken", "CLIENT_SECRET", "SSH_PRIVATE_KEY", "POSTGRES_PASSWORD2", "access_token", "PASSPHRASE"]
)
def test_a_variable_holds_a_secret_by_its_name(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize(
    "name", ["PASSWORD_FILE", "MIN_PASSWORD", "TOKEN_TTL", "PWD", "OLDPWD", "SECRET_NAME", "KEY", "KEYS", "PUBLIC_KEY", "PASSED", "BYPASS", "SKIP_PASSWORD"]
)
def test_and_others_do_not(name: str) -> None:
    assert not names_secret(name)


def test_a_key_that_encrypts_is_irreplaceable_and_one_that_signs_is_not() -> None:
    assert all(map(is_irreplaceable, ("ENCRYPTION_KEY", "APP_ENCRYPTION_KEY", "FERNET_KEY", "SECRET_KEY_BASE", "VAULT_KEY", "N8N_ENCRYPTION_KEY", "APP_KEY")))
    assert not any(map(is_irreplaceable, ("DB_PASSWORD", "JWT_SECRET", "API_KEY", "SSH_KEY", "PRIMARY_KEY", "GPG_KEY")))
    assert all(map(signs, ("JWT_SECRET", "SESSION_SECRET", "SECRET_KEY")))


# ---- keys that must last


COMPOSE = "services: {app: {build: ., volumes: ['${HOME_DIR:-./data}:/data', {type: volume, source: keys, target: /keys}]}}\nvolumes: {keys: }\n"


@pytest.mark.parametrize(
    ("script", "kinds"),
    [
        ("openssl rand -hex 32 > /etc/app/secret.key", ["in-the-container"]),
        ("openssl rand -base64 32 -out /etc/app/master.key", ["in-the-container"]),
        ("head -c 32 /dev/urandom | base64 > /app/encryption.key", ["in-the-container"]),
        ("head -c 32 /dev/urandom | base64 | tee /app/jwt.secret", ["in-the-container"]),
        ("KEYS=/etc/app\nopenssl rand -hex 32 > $KEYS/fernet.key", ["in-the-container"]),
        ("if [ ! -e /etc/app/app-secrets.conf ]; then\n  ./generate_secrets.py\nfi", ["in-the-container"]),
        ("acme.sh --install-cert -d $DOMAIN --key-file /etc/proxy/$DOMAIN/key.pem --fullchain-file /etc/proxy/full.pem", ["in-the-container"]),
        ('FILE=/etc/app/app.secret\nopenssl rand -hex 32 > "$FILE"\ncp "$FILE" /data/app.secret', []),
        ('export ENCRYPTION_KEY="$(openssl rand -hex 32)"', ["made-at-each-start"]),
        ('export APP_ENCRYPTION_KEY="${APP_ENCRYPTION_KEY:-$(openssl rand -hex 32)}"', ["made-at-each-start"]),
        (": \"${FERNET_KEY:=$(python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key())')}\"", ["made-at-each-start"]),
        ("openssl rand -hex 32 > /data/secret.key", []),
        ("openssl rand -hex 32 > /keys/secret.key", []),
        ('openssl rand -hex 32 > "$STATE/secret.key"', []),
        ("[ -s /data/k ] || openssl rand -hex 32 > /data/k\nexport ENCRYPTION_KEY=$(cat /data/k)", []),
        ('ENCRYPTION_KEY=$(openssl rand -hex 32)\necho "$ENCRYPTION_KEY" > /data/secret.key', []),
        ("export ADMIN_PASSWORD=$(openssl rand -hex 8)", []),
        ("openssl req -x509 -newkey rsa:2048 -nodes -keyout /etc/app/server.key -out /etc/app/server.crt", []),
        ("openssl rand -hex 32 > /var/log/app/nonce", []),
    ],
)
def test_what_an_entry_point_makes_must_lie_on_a_mount(tmp_path: Path, script: str, kinds: list[str]) -> None:
    judged = judge_durability(keys(world(tmp_path, {"compose.yaml": COMPOSE, "docker-entrypoint.sh": f"#!/bin/sh\n{script}\n"}), SCRIPTS))
    assert [one.kind for one in broken(judged)] == kinds


def test_what_an_image_declares_as_a_volume_is_one(tmp_path: Path) -> None:
    files = {
        "compose.yaml": COMPOSE,
        "Dockerfile": 'FROM x\nVOLUME ["/var/lib/app"]\n',
        "docker-entrypoint.sh": "openssl rand -hex 32 > /var/lib/app/secret.key\n",
    }
    assert isinstance(judge_durability(keys(world(tmp_path, files), SCRIPTS)), Held)


@pytest.mark.parametrize(
    "other", ["ln -s /data/secret.key /etc/app/secret.key", "for f in /etc/app/secret.key; do\n  mv $f /data; ln -s /data/secret.key $f\ndone"]
)
def test_what_another_script_of_the_image_puts_with_the_state_lasts(tmp_path: Path, other: str) -> None:
    files = {"compose.yaml": COMPOSE, "docker-entrypoint.sh": "openssl rand -hex 32 > /etc/app/secret.key\n", "rootfs/state.sh": f"#!/bin/sh\n{other}\n"}
    assert isinstance(judge_durability(keys(world(tmp_path, files), SCRIPTS)), Held)


def test_without_any_mount_that_is_known_nothing_is_said(tmp_path: Path) -> None:
    files = {"docker-entrypoint.sh": "#!/bin/sh\nopenssl rand -hex 32 > /etc/app/secret.key\n"}
    assert isinstance(judge_durability(keys(world(tmp_path, files), SCRIPTS)), Held)


def test_a_key_of_the_image_is_everybodys(tmp_path: Path) -> None:
    judged = judge_durability(
        keys(world(tmp_path, {"Dockerfile": "FROM x\nRUN mkdir /etc/app && \\\n    openssl rand -hex 32 > /etc/app/secret.key\n"}), SCRIPTS)
    )
    assert [(one.kind, one.line) for one in broken(judged)] == [("in-the-image", 3)]


def test_a_key_in_a_temporary_directory_of_the_host(tmp_path: Path) -> None:
    judged = judge_durability(keys(world(tmp_path, {"up.sh": "#!/bin/sh\nopenssl rand -hex 32 > /run/app/encryption.key\n"}), SCRIPTS))
    assert [one.kind for one in broken(judged)] == ["in-a-temporary-directory"]
    (tmp_path / "up.sh").write_text("#!/bin/sh\nopenssl rand -hex 32 > /tmp/encryption.key\ninstall -m 600 /tmp/encryption.key /srv/app/\n")
    assert isinstance(judge_durability(keys(world(tmp_path, {}), SCRIPTS)), Held)


VAULT = 'from cryptography.fernet import Fernet\nimport os\nkey = os.environ["SHOP_VAULT_KEY"]\nbox = Fernet(key)\n'
STARTUP = """\
#!/bin/sh
JWT=$(openssl rand -hex 32)
cat > /opt/shop/.env <<EOF
DOMAIN=$DOMAIN
JWT_SECRET=$JWT
DB_PASSWORD=$(openssl rand -hex 16)
EOF
docker compose up -d
"""


def test_a_new_installation_is_given_the_key_that_the_program_encrypts_with(tmp_path: Path) -> None:
    judged = judge_durability(keys(world(tmp_path, {"app/vault.py": VAULT, "startup.sh": STARTUP}), SCRIPTS))
    assert [(one.kind, one.what, one.line) for one in broken(judged)] == [("never-made", "startup.sh: SHOP_VAULT_KEY", 3)]
    assert isinstance(judged, Broken)
    assert "app/vault.py encrypts with SHOP_VAULT_KEY" in judged.message
    (tmp_path / "startup.sh").write_text(STARTUP.replace("EOF\ndocker", "SHOP_VAULT_KEY=$KEY\nEOF\ndocker"))
    assert isinstance(judge_durability(keys(world(tmp_path, {}), SCRIPTS)), Held)


@pytest.mark.parametrize("script", [STARTUP.replace("docker compose up -d\n", ""), "#!/bin/sh\ncp example.env .env\ndocker compose up -d\n"])
def test_who_does_not_write_the_env_file_of_an_installation_gives_nothing(tmp_path: Path, script: str) -> None:
    assert isinstance(judge_durability(keys(world(tmp_path, {"app/vault.py": VAULT, "startup.sh": script}), SCRIPTS)), Held)


def test_a_program_that_encrypts_nothing_needs_no_key() -> None:
    assert list(encryption_keys(VAULT.encode())) == ["SHOP_VAULT_KEY"]
    assert not list(encryption_keys(b'os.environ["SHOP_VAULT_KEY"]'))
    assert not list(encryption_keys(b'Fernet(os.environ["SHOP_TOKEN"])'))


# ---- shown


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ('mysql -u root -p"$DB_PASSWORD" shop', "DB_PASSWORD"),
        ("mysqldump --password=$DB_PASSWORD shop > x.sql", "DB_PASSWORD"),
        ('docker exec db mysqldump -uroot -p"${MYSQL_ROOT_PASSWORD}" shop', "MYSQL_ROOT_PASSWORD"),
        ("docker compose exec -T db mariadb-dump -p$DB_PASSWORD shop", "DB_PASSWORD"),
        ("redis-cli -a $REDIS_PASSWORD ping", "REDIS_PASSWORD"),
        ("sudo mongodump --password $MONGO_PASSWORD", "MONGO_PASSWORD"),
        ("sshpass -p $PASSWORD ssh host", "PASSWORD"),
        ("docker login -u me --password $REGISTRY_TOKEN", "REGISTRY_TOKEN"),
        ("docker run -d -e POSTGRES_PASSWORD=$DB_PASSWORD postgres", "POSTGRES_PASSWORD"),
        ("gpg --batch --passphrase $GPG_PASSPHRASE -c x", "GPG_PASSPHRASE"),
        ("appctl user add --password=$ADMIN_PASSWORD admin", "ADMIN_PASSWORD"),
    ],
)
def test_a_secret_on_a_command_line_is_seen_by_everybody(command: str, name: str) -> None:
    assert [(one.leak, one.name) for one in leaks("up.sh", parse(command), host=True)] == [(Leak.ARGUMENT, name)]
    assert not list(leaks("up.sh", parse(command), host=False))


def test_a_literal_one_stands_in_the_file_as_well() -> None:
    found = list(leaks("up.sh", parse("docker run -e API_TOKEN=q7Xm2pLw9z example/app"), host=True))
    assert [(one.leak, one.name) for one in found] == [(Leak.LITERAL, "API_TOKEN")]
    assert "q7Xm2pLw9z" not in repr(found)


@pytest.mark.parametrize(
    "command",
    [
        "PGPASSWORD=$DB_PASSWORD pg_dump shop",
        'MYSQL_PWD="$DB_PASSWORD" mysqldump shop',
        "mysql -u root -p shop",
        "mysql --password-file=/run/secrets/db shop",
        "mysql -P 3306 -u root shop",
        "mkdir -p $SECRETS_DIR",
        "docker run -e DB_PASSWORD example/app",
        "docker run -e POSTGRES_PASSWORD=postgres postgres",
        "docker run -p 80:80 example/app",
        'echo "$REGISTRY_TOKEN" | docker login -u me --password-stdin',
        'echo "$DB_PASSWORD" > .env',
        'TOKEN=$(echo "$API_TOKEN" | base64)',
        '{ echo "A=$DB_PASSWORD"; echo "B=$API_TOKEN"; } > .env',
        'echo "::add-mask::$API_TOKEN"',
        'echo "${DB_PASSWORD:+is set}"',
        'echo "${#DB_PASSWORD}"',
        'echo "set DB_PASSWORD first"',
        "password() { echo $DB_PASSWORD; }",
        'curl -u "me:$API_TOKEN" https://example.org',
        'set -x\ndocker compose up -d\nset +x\nlogin "$API_TOKEN"',
        'if [ "$DEBUG" ]; then set -x; fi\nlogin "$API_TOKEN"',
        "set -ex\nexport API_TOKEN",
    ],
)
def test_what_is_given_in_the_environment_a_file_or_a_pipe_is_nobody_elses(command: str) -> None:
    assert list(leaks("up.sh", parse(command), host=True)) == []


@pytest.mark.parametrize(
    "command", ['echo "password: $DB_PASSWORD"', "printf '%s' \"$API_TOKEN\"", 'logger "using $DB_PASSWORD"', "if true; then echo $API_TOKEN; fi"]
)
def test_what_is_printed_ends_in_the_log(command: str) -> None:
    assert [one.leak for one in leaks("nightly.sh", parse(command), host=True)] == [Leak.PRINTED]
    assert not list(leaks("install.sh", parse(command), host=True))  # whoever runs an installer is told what it made


def test_the_trace_prints_what_commands_are_given() -> None:
    script = parse('#!/bin/sh\nset -eux\nlogin "$API_TOKEN"\n')
    assert [(one.leak, one.line) for one in leaks("up.sh", script, host=True)] == [(Leak.TRACED, 2)]
    assert not list(leaks("up.sh", script, host=False, runner=True))


def test_a_tree_is_read_whole_and_each_place_told_once(tmp_path: Path) -> None:
    files = {
        "ops/nightly.sh": '#!/bin/sh\nredis-cli -a "$REDIS_PASSWORD" ping\n',
        "Makefile": "dump:\n\tmysqldump -p$$DB_PASSWORD shop\n",
        "examples/x.sh": "redis-cli -a $A_PASSWORD\n",
    }
    judged = judge_not_logged(leaked(world(tmp_path, files), SCRIPTS))
    assert [(one.file, one.line) for one in broken(judged)] == [("Makefile", 2), ("ops/nightly.sh", 2)]


# ---- keys of certificates


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
def test_a_private_key_under_version_control(kind: str) -> None:
    found = committed("proxy/server.key", ("certificate\n" + KEY.format(kind, kind)).encode())
    assert found is not None
    assert (found.slip, found.line) == (Slip.COMMITTED, 2)


@pytest.mark.parametrize(
    "text",
    ["-----BEGIN CERTIFICATE-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\n", "-----BEGIN {}PRIVATE KEY-----\n...\n", "the line -----BEGIN {}PRIVATE KEY-----\n", ""],
)
def test_a_certificate_or_a_text_about_keys_is_none(text: str) -> None:
    assert committed("x.pem", text.format("").encode()) is None


@pytest.mark.parametrize(
    "path",
    [
        *("tests/server.key", "docs/tls/key.pem", "examples/x.key", "ssl-example/key.pem", "certs/localhost.key", "dev/certs/server.key", "snakeoil.key"),
        *("a/selfsigned.pem", "x/public.pem", "main.py"),
    ],
)
def test_what_is_there_for_show_is_not_asked(path: str) -> None:
    assert not may_hold_key(path)


def test_only_a_private_key_is_called_one() -> None:
    assert all(map(is_key_path, ("/etc/tls/privkey.pem", "server.key", "/certs/tls-key.pem", "$DIR/private_key.pem", "/root/.ssh/id_ed25519")))
    assert not any(map(is_key_path, ("/etc/tls/fullchain.pem", "id_rsa.pub", "/usr/share/keyrings/docker.asc", "apt.key", "public.key", "keys.json")))


BUNDLE = "cat fullchain.pem privkey.pem > /etc/proxy/bundle.pem"


@pytest.mark.parametrize(
    ("script", "slips"),
    [
        (BUNDLE, [Slip.WRITTEN_OPEN]),
        (f"{BUNDLE}\nchmod 600 /etc/proxy/bundle.pem", [Slip.WRITTEN_OPEN]),
        ("{ cat fullchain.pem; echo; cat /live/$HOST/privkey.pem; } > /etc/proxy/bundle.pem", [Slip.WRITTEN_OPEN]),
        ("cat fullchain.pem privkey.pem | sed '/^$/d' > bundle.pem", [Slip.WRITTEN_OPEN]),
        ('echo "$TLS_KEY" > /etc/proxy/server.key', [Slip.WRITTEN_OPEN]),
        ('printf "%s" "$SSL_PRIVATE_KEY" > server.key', [Slip.WRITTEN_OPEN]),
        ("cat > /etc/hook.sh <<'END'\n#!/bin/sh\ncat full.pem privkey.pem > /etc/proxy/bundle.pem\nEND", [Slip.WRITTEN_OPEN]),
        ("chmod 644 /etc/tls/privkey.pem", [Slip.OPENED]),
        ("chmod -R a+r certs/server.key", [Slip.OPENED]),
        ("sudo chmod 0755 $CERTS/tls.key", [Slip.OPENED]),
        ("openssl req -x509 -newkey rsa:2048 -out full.pem -addext 'subjectAltName=DNS:x'", [Slip.CA_AS_SERVER]),
        (f"umask 077\n{BUNDLE}", []),
        (f"(umask 077; {BUNDLE})", []),
        (f"touch /etc/proxy/bundle.pem\nchmod 0640 /etc/proxy/bundle.pem\n{BUNDLE}", []),
        (f"install -m 600 /dev/null /etc/proxy/bundle.pem\n{BUNDLE}", []),
        ("{ touch b.pem; chmod 0640 b.pem; cat full.pem privkey.pem; } > b.pem", []),
        ("cat fullchain.pem chain.pem > bundle.pem", []),
        ("cat privkey.pem", []),
        ("chmod 640 privkey.pem", []),
        ("chmod 644 fullchain.pem id_rsa.pub", []),
        ('echo "$SSH_PRIVATE_KEY" > ~/.ssh/id_rsa\nchmod 600 ~/.ssh/id_rsa', []),
        ('echo "$API_KEY" > api.txt', []),
        ("openssl genrsa -out server.key 2048", []),
        ("openssl req -x509 -newkey rsa:2048 -keyout ca.key -out ca.crt -addext 'subjectAltName=DNS:x'", []),
        ("openssl req -x509 -out f.pem -addext 'subjectAltName=DNS:x' -addext 'basicConstraints=critical,CA:FALSE'", []),
        ("openssl req -x509 -newkey rsa:2048 -subj /CN=x -out f.pem", []),
    ],
)
def test_what_a_script_does_to_keys(script: str, slips: list[Slip]) -> None:
    assert [one.slip for one in slips_of("renew.sh", parse(f"#!/bin/sh\n{script}\n"))] == slips


def test_a_key_that_is_made_private_afterwards_was_readable_before(tmp_path: Path) -> None:
    files = {"renew.sh": f"#!/bin/sh\n{BUNDLE}\nchmod 600 /etc/proxy/bundle.pem\n", "proxy/server.key": KEY.format("", "")}
    judged = judge_tls(tls_artifacts(world(tmp_path, files), SCRIPTS))
    assert [(one.kind, one.file, one.line) for one in broken(judged)] == [("key-committed", "proxy/server.key", 1), ("key-written-readable", "renew.sh", 2)]
    assert isinstance(judged, Broken)
    assert "made private afterwards" in judged.message


def test_a_key_that_lies_in_a_checkout_and_is_not_under_version_control_is_not_committed(tmp_path: Path) -> None:
    subprocess.run(("git", "-C", str(tmp_path), "init", "--quiet"), check=True, capture_output=True)
    seen = world(tmp_path, {"up.sh": "#!/bin/sh\n", "proxy/server.key": KEY.format("", "")})
    assert isinstance(judge_tls(tls_artifacts(seen, SCRIPTS)), Held)
    subprocess.run(("git", "-C", str(tmp_path), "add", "proxy/server.key"), check=True, capture_output=True)
    judged = judge_tls(tls_artifacts(world(tmp_path, {}), SCRIPTS))
    assert [one.kind for one in broken(judged)] == ["key-committed"]


def test_a_private_key_outside_of_any_checkout_is_somebodys_own(tmp_path: Path) -> None:
    seen = world(tmp_path, {"up.sh": "#!/bin/sh\n", "people/server.key": KEY.format("", "")})
    (tmp_path / "people" / "server.key").chmod(0o600)
    assert isinstance(judge_tls(tls_artifacts(seen, SCRIPTS)), Held)


@given(shell_texts())
def test_reading_scripts_never_fails(text: bytes) -> None:
    script = parse(text)
    list(made_keys(script))
    list(leaks("x.sh", script, host=True))
    list(slips_of("x.sh", script))


@given(texts())
def test_reading_names_and_files_never_fails(text: str) -> None:
    names_secret(text)
    is_irreplaceable(text)
    is_key_path(text)
    committed(text, text.encode("utf-8", "surrogateescape"))
    list(encryption_keys(text.encode("utf-8", "surrogateescape")))
