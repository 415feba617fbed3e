"""What is fuzzed? One function a target, from bytes: it raises what nobody foresaw, and nothing else. `tools/fuzz.py` throws bytes at them for an hour;
the suite throws the seeds, and what was found before (`kept/<target>/`)."""

# Seeds are texts in one piece; what a parser may raise has something to say.
# ruff: noqa: E501, PT017

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from interlock.commands.scan import scan
from interlock.config.yamltext import COMPOSE, SITE, read_yaml
from interlock.errors import ConfigError
from interlock.evidence.details import HeldLines
from interlock.facts import pythoncode, shell
from interlock.facts.allows import allows_in
from interlock.facts.backup_manifests import Manifest
from interlock.facts.backup_writers import find_writers
from interlock.facts.canonical import parse_canonical
from interlock.facts.chains import mentions
from interlock.facts.count_checks import count_checks
from interlock.facts.cron import parse_crontab
from interlock.facts.dotenv import EnvFile
from interlock.facts.env_sources import keys_of_example, keys_of_script, keys_of_workflow
from interlock.facts.gitignore import ignored
from interlock.facts.key_registry import key_lists
from interlock.facts.makefiles import expand, parse_makefile
from interlock.facts.markdown import Page
from interlock.facts.signers import AllowedSigners, Signature
from interlock.facts.substitution import references, substitute
from interlock.facts.workflows import parse_composite, parse_workflow
from interlock.observe.sources import _Lines  # the places of a workflow, as a scan makes them

KEPT = Path(__file__).parent / "kept"
SEPARATOR = b"\n--8<--\n"  # between the files of a tree


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def fuzz_shell(data: bytes) -> None:
    """The shell parser, and everything that walks its nouns."""
    for command in shell.parse(data).commands():
        assert command.line >= 1


def fuzz_writers(data: bytes) -> None:
    """Who writes backups, by shell and by Python."""
    for name in ("backup.sh", "backup.py"):
        find_writers(name, data)
        count_checks(name, data)
        key_lists(name, data)


def fuzz_python(data: bytes) -> None:
    """Programs."""
    pythoncode.parse(data)


def fuzz_dotenv(data: bytes) -> None:
    """Env files, as docker compose reads them."""
    try:
        EnvFile.parse(data, where="x.env")
    except ConfigError as error:
        assert error.problems


def fuzz_substitution(data: bytes) -> None:
    """`${NAME:-default}`."""
    text = _text(data)
    for what in (lambda: references(text), lambda: substitute(text, {"A": "1", "B": ""}), lambda: substitute(text, {"A": "$A"}, lenient=True)):
        try:
            what()
        except ConfigError as error:
            assert error.what


def fuzz_yamltext(data: bytes) -> None:
    """YAML with positions, by the rules of a site file and of a compose file."""
    for rules in (SITE, COMPOSE):
        read = read_yaml(data, rules)
        assert read.documents or read.problems


def fuzz_cron(data: bytes) -> None:
    """Crontabs."""
    for system in (None, True, False):
        parse_crontab(_text(data), system=system)


def fuzz_makefile(data: bytes) -> None:
    """Makefiles."""
    made = parse_makefile(_text(data))
    for target in made.targets.values():
        for line in target.recipe:
            expand(line.text, {"DC": "docker compose", "A": "$(A) $(DC)"})


def fuzz_workflow(data: bytes) -> None:
    """Workflows of forges, and composite actions."""
    read = read_yaml(data, COMPOSE)
    if read.documents:
        places = _Lines(read, data)
        for path in (".github/workflows/x.yml", ".gitlab-ci.yml", ".woodpecker.yml", ".drone.yml"):
            parse_workflow(path, read.data, places)
        parse_composite(read.data, places)


def fuzz_texts(data: bytes) -> None:
    """The small ones: comments that allow, chains that are told of, gitignore, pages, manifests, canonical JSON."""
    text = _text(data)
    for name in ("a.sh", "a.py", "a.md", "a.yaml"):
        allows_in(name, data)
    mentions(text)
    ignored("a/b.env", {"": text, "a": text})
    Page.parse(text)
    Manifest.parse(text)
    keys_of_example(text)
    keys_of_script(text)
    keys_of_workflow(text)
    try:
        parse_canonical(data)
    except ValueError as error:
        assert str(error)


def fuzz_signers(data: bytes) -> None:
    """Who may sign, and an SSH signature."""
    for parse in (lambda: AllowedSigners.parse(_text(data), where="x"), lambda: Signature.parse(_text(data))):
        try:
            parse()
        except (ConfigError, ValueError) as error:
            assert str(error)


FILES = (
    *("compose.yaml", "compose.prod.yaml", "deploy.sh", "backup.sh", "update.py", "Dockerfile", "Makefile", ".env", ".env.example", "crontab", "app.service"),
    *(".github/workflows/deploy.yml", "Caddyfile", "nginx.conf", "README.md", "module.yaml", "alembic/versions/a.py", "settings.py", "server.ts"),
    *("config.env.hbs", "cloud-init.yaml", ".gitignore", ".gitlab-ci.yml", "entrypoint.sh"),
)


def fuzz_tree(data: bytes) -> None:
    """A whole scan of a small tree: files, each of a kind by its first byte. A judgement that fails for its own fault is what is looked for."""
    with tempfile.TemporaryDirectory(prefix="interlock-fuzz-") as folder:
        root = Path(folder)
        for part in data.split(SEPARATOR)[:8]:
            path = root / FILES[part[0] % len(FILES) if part else 0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(part[1:])
        record, details = scan(root, {"PATH": "/nonexistent", "INTERLOCK_CACHE": "off", "INTERLOCK_COMPOSE": "/nonexistent"})
        ours = [verdict.message for verdict in record.verdicts if "fault of interlock" in verdict.remedy]
        assert not ours, ours
        assert sum(len(line.whats) if isinstance(line, HeldLines) else 1 for line in details()) == record.details.count


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    name.removeprefix("fuzz_"): target for name, target in sorted(globals().items()) if name.startswith("fuzz_") and callable(target)
}

_COMPOSE = (
    b"services:\n  db:\n    image: postgres:16\n    volumes: [data:/var/lib/postgresql/data]\n    environment: {POSTGRES_PASSWORD: '${PW:?x}'}\n"
    b"    healthcheck: {test: [CMD, pg_isready]}\nvolumes:\n  data: {driver_opts: {type: none, o: bind, device: '${STATE_DIR:-/data/state}'}}\n"
)
_OVERLAY = (
    b"services:\n  db:\n    volumes: !override\n      - ./d:/x\n    ports: ['5432:5432']\n    env_file: [.env]\n    extends: {service: base, file: a.yaml}\n"
)
_SHELL = (
    b'#!/bin/bash\nset -euo pipefail\nsource .env\numask 077\nif ! pg_dump "$DB" | gzip > /b/$(date +%F).gz; then exit 1; fi\ndocker compose -f a -f b up -d\n'
)
_MORE_SHELL = b"backup() { tar czf x.tgz /data || true; }\ncase $1 in a|b) rm -rf \"${DIR:?}\"/*;; *) cat <<EOF > f\n$X\nEOF\n;; esac\ntrap 'rm x' EXIT; flock 9 || exit\n"
_WORKFLOW = (
    b"on:\n  push: {branches: [main]}\njobs:\n  a:\n    runs-on: [self-hosted]\n    needs: b\n    if: always()\n    steps:\n"
    b"      - uses: ./x\n      - run: |\n          ssh host 'cd /srv && docker compose pull && docker compose up -d'\n        env: {A: '${{ secrets.A }}'}\n"
)
_PYTHON = (
    b"import os, subprocess\nrevision = 'a'\ndown_revision = ('b', 'c')\nSTATE = os.environ.get('STATE_DIR', '/data/state')\n"
    b"def backup(x):\n    with open(f'{STATE}/x', 'wb') as f:\n        subprocess.run(['pg_dump', x], stdout=f)\n    os.chmod(f.name, 0o600)\n"
)
_DOCKER = b"FROM python:3.12 AS a\nARG UID=1000\nENV A=1 B='x y'\nRUN set -x \\\n && useradd -u $UID app\nCOPY --chown=app . /app\nUSER app\nHEALTHCHECK CMD curl -f localhost:8/h\n"
_MAKE = b"DC := docker compose -f a.yml\n.PHONY: up\nup: build\n\t@$(DC) up -d || true\nifdef X\nY ?= 1\nendif\n"
_CRON = b"SHELL=/bin/sh\n*/5 * * * * root /srv/backup.sh >> /log 2>&1\n@daily cd /srv && docker compose pull\n"
_ENV = b"# a\nexport A=1\nB=\"x $A ${C:-d}\"\nD='e\nf'\n# E=\nPASSWORD=changeme\n"
_PAGE = b"---\nreadiness: ready\n---\n# T\n\n<!-- interlock: allow a.b because c until 2026-01-01 -->\n```sh\ndocker compose -f a.yml -f b.yml up\n```\n- [ ] decided: x\n"
_SIGNED = b'kim@host namespaces="interlock",valid-before="20300101Z" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== c\n'
_JSON = b'{"schema":"x","a":[1,2.5,null,true,"\\u00e9"]}'

SEEDS: Mapping[str, tuple[bytes, ...]] = {
    "shell": (_SHELL, _MORE_SHELL),
    "writers": (_SHELL, _MORE_SHELL, _PYTHON),
    "python": (_PYTHON,),
    "dotenv": (_ENV,),
    "substitution": (b"a ${A} $B ${C:-${D}} $$ ${E:?x} ${F:+y}", b"${A:-{{x}}}"),
    "yamltext": (_COMPOSE, _OVERLAY, _WORKFLOW, b"a: &x {b: 1}\nc:\n  <<: *x\n---\n- |\n  t\n", b"<<<<<<< a\na: 1\n=======\na: 2\n>>>>>>> b\n"),
    "cron": (_CRON,),
    "makefile": (_MAKE,),
    "workflow": (
        _WORKFLOW,
        b"a:\n  script: [make deploy]\n  rules: [{if: $X}]\n",
        b"steps:\n  - name: a\n    commands: [x]\n",
        b"runs:\n  steps: [{run: x}]\n",
    ),
    "texts": (_PAGE, _CRON, _JSON, b"*.env\n!a/\n**/b\n[a-z]?\n"),
    "signers": (_SIGNED, b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"),
    "tree": tuple(
        SEPARATOR.join(bytes((FILES.index(name),)) + content for name, content in files.items())
        for files in (
            {"compose.yaml": _COMPOSE, "compose.prod.yaml": _OVERLAY, ".env": _ENV, "deploy.sh": _SHELL, "Makefile": _MAKE},
            {"compose.yaml": _COMPOSE, "Dockerfile": _DOCKER, "entrypoint.sh": _MORE_SHELL, "backup.sh": _SHELL, "crontab": _CRON},
            {".github/workflows/deploy.yml": _WORKFLOW, "update.py": _PYTHON, "alembic/versions/a.py": _PYTHON, "README.md": _PAGE, ".gitignore": b"*.env\n"},
        )
    ),
}


def inputs(name: str) -> dict[str, bytes]:
    """The seeds of a target, and what was found with it before."""
    kept = {f"kept-{path.name}": path.read_bytes() for path in sorted((KEPT / name).glob("*"))}
    return {f"seed-{number}": seed for number, seed in enumerate(SEEDS[name])} | kept
