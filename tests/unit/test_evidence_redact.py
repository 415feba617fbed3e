"""Redaction: no form of a declared secret survives, and what looks like one does not either."""

from __future__ import annotations

import base64
import html
import json
import random
import re
import shlex
import subprocess
import urllib.parse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.evidence.redact import HOLD_BACK, Redactor, forms_of

SECRETS = st.text(st.characters(exclude_categories=("Cs",)), min_size=4, max_size=60).filter(lambda text: len(text.strip()) >= 4)
AROUND = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
WRITERS = {
    "raw": lambda secret: secret,
    "stripped": lambda secret: secret.strip(),
    "url": lambda secret: urllib.parse.quote(secret, safe=""),
    "url path": urllib.parse.quote,
    "form": urllib.parse.quote_plus,
    "url in lower case": lambda secret: re.sub("%..", lambda found: found[0].lower(), urllib.parse.quote(secret, safe="")),
    "base64": lambda secret: base64.b64encode(secret.encode()).decode().rstrip("="),
    "base64 for urls": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="),
    "hex": lambda secret: secret.encode().hex(),
    "shell": shlex.quote,
    "double quotes": lambda secret: re.sub(r'([\\$`"])', r"\\\1", secret),
    "json": lambda secret: json.dumps(secret)[1:-1],
    "json as utf-8": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    "json in json": lambda secret: json.dumps(json.dumps(secret))[3:-3],
    "python": lambda secret: repr(secret)[1:-1],
    "python bytes": lambda secret: repr(secret.encode())[2:-1],
    "html": html.escape,
}


def core_of_base64(form: str) -> str:
    """Without the last character, whose low bits are not the secret's."""
    return form[:-1]


@given(secret=SECRETS, before=AROUND, after=AROUND, writer=st.sampled_from(sorted(WRITERS)))
def test_a_planted_secret_never_survives_in_any_form(secret: str, before: str, after: str, writer: str) -> None:
    form = WRITERS[writer](secret)
    redactor = Redactor([secret])
    wanted = core_of_base64(form) if writer.startswith("base64") else form
    shown = redactor.redact(f"{before}{form}{after}")
    assert wanted not in shown
    assert not any(known in shown for known in forms_of(secret))
    data = f"{before}{form}{after}".encode()
    assert wanted.encode() not in redactor.redact_bytes(data)


@given(secret=SECRETS, before=st.binary(max_size=9), after=st.binary(max_size=9))
def test_a_secret_inside_a_longer_base64_text_never_survives(secret: str, before: bytes, after: bytes) -> None:
    text = base64.b64encode(before + secret.encode() + after).decode()
    first, last = -(-len(before) * 8 // 6), (len(before) + len(secret.encode())) * 8 // 6
    assert text[first:last] not in Redactor([secret]).redact(text)


@given(secrets=st.lists(SECRETS, min_size=2, max_size=5), texts=st.lists(AROUND, min_size=6, max_size=6))
def test_secrets_that_overlap_or_hold_each_other_are_hidden_whole(secrets: list[str], texts: list[str]) -> None:
    halves = [*secrets, secrets[0] + secrets[1][1:], secrets[0][:-1] + secrets[1]]
    text = "".join(part for pair in zip(texts, halves, strict=False) for part in pair)
    shown = Redactor(halves).redact(text)
    assert not any(secret in shown for secret in halves)


def test_hiding_one_secret_does_not_put_another_together() -> None:
    assert "a***b" not in Redactor(["xxxx", "a***b"]).redact("axxxxb")


@pytest.mark.parametrize("secret", ['it\'s $HOME `x` "q" \\n', "p w x", "ü/+=&?%", "a'b!c"])
def test_what_a_real_shell_prints_is_found(secret: str) -> None:
    printed = subprocess.run(
        ["bash", "-c", 'printf "%q\\n" "$S"; set -x; : "$S"; declare -p S', "-"], env={"S": secret, "LC_ALL": "C.UTF-8"}, capture_output=True, check=True
    )
    for output in (printed.stdout, printed.stderr):
        shown = Redactor([secret]).redact_bytes(output).decode()
        assert "***" in shown
        assert secret not in shown


def test_a_secret_that_base64_breaks_into_lines_is_hidden() -> None:
    secret = "k" * 30 + "".join(chr(33 + n % 90) for n in range(200))
    broken = base64.encodebytes(secret.encode()).decode()
    shown = Redactor([secret]).redact(broken)
    assert [line for line in broken.splitlines() if line in shown and len(line) > 12] == []


def test_each_line_of_a_secret_file_is_a_secret() -> None:
    shown = Redactor(["first-line\n  second-line\n"]).redact("got second-line, then\n\tfirst-line")
    assert shown == "got ***, then\n\t***"


@pytest.mark.parametrize(
    "connection",
    [
        "postgresql://app:s%40cr-et@db/app",
        "host=db password='s@cr-et' user=app",
        "Server=db;Pwd=s@cr-et;User=x",
        "host=db password=s@cr-et",
        r"password='s@cr\-et'",
    ],
)
def test_the_password_of_a_declared_connection_is_hidden_alone_too(connection: str) -> None:
    assert Redactor([connection]).redact('FATAL: s@cr-et is wrong for "app"') == 'FATAL: *** is wrong for "app"'


def test_values_too_short_to_search_for_are_counted() -> None:
    redactor = Redactor(["abc", "  x ", "", "long enough"])
    assert redactor.too_short == 2
    assert redactor.redact("abc") == "abc"


KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\nQyNTUxOQAAACD+/=\n-----END OPENSSH PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://app:s3cr/et@db:5432/app?x=1", "postgresql://app:***@db:5432/app?x=1"),
        ("redis://:12345@cache/0", "redis://:***@cache/0"),
        ("mongodb+srv://u:p%40ss@h", "mongodb+srv://u:***@h"),
        ("https://x-access-token:abc@github.com/x", "https://x-access-token:***"),
        ("https://0123456789abcdef0123@git.example/x", "https://***@git.example/x"),
        ("host=db password=hunter2 user=app", "host=db password=*** user=app"),
        ("password='two words' user=x", "password='***' user=x"),
        ('password="cut off', 'password="***'),
        ('{"password": "a\\"b", "user": "x"}', '{"password": "***", "user": "x"}'),
        (r'"{\"token\":\"abc def\",\"n\":1}"', r'"{\"token\":\"***\",\"n\":1}"'),
        ("PGPASSWORD=abc psql", "PGPASSWORD=*** psql"),
        ("MYSQL_PWD=abc", "MYSQL_PWD=***"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", "AWS_SECRET_ACCESS_KEY=***"),
        ("api-key: abc", "api-key: ***"),
        ("?user=x&token=abc", "?user=x&token=***"),
        ("q=password%3Dabc", "q=password%3D***"),
        ("mysqldump --password hunter2 db", "mysqldump --password *** db"),
        ("vault --client-token 'a b'", "vault --client-token '***'"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic ***"),
        ("authorization: Bearer abcdef012345", "authorization: Bearer ***"),
        ("got Bearer abcdef012345, sorry", "got Bearer ***, sorry"),
        ("key AKIAIOSFODNN7EXAMPLE here", "key *** here"),
        ("x ghp_0123456789abcdef0123456789abcdef0123 y", "x *** y"),
        ("github_pat_11ABCDEFG0_abcdefghijklmnop", "***"),
        ("glpat-ABCDEFghijklmnop1234", "***"),
        ("xoxb-123456789012-abcdefghij", "***"),
        ("https://hooks.slack.com/services/T000/B000/XXXX", "https://hooks.slack.com/services/***"),
        ("hvs.CAESIJ0123456789abcdef", "***"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "***"),
        ("AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQ", "***"),
        (KEY, "-----BEGIN OPENSSH PRIVATE KEY-----***-----END OPENSSH PRIVATE KEY-----"),
        (KEY[:60], "-----BEGIN OPENSSH PRIVATE KEY-----***"),
        (json.dumps(KEY), '"-----BEGIN OPENSSH PRIVATE KEY-----***-----END OPENSSH PRIVATE KEY-----"'),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, shown: str) -> None:
    redactor = Redactor()
    assert redactor.redact(text) == shown
    assert redactor.redact_bytes(text.encode()) == shown.encode()
    assert redactor.redact(shown) == shown, "what is hidden stays as it is"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/srv/backups/app/app-20261120.tar.zst is 0644, not 0600",
        "password=${DB_PASSWORD} token: $TOKEN secret={{ secret }}",
        "POSTGRES_PASSWORD is not defined",
        "password_file: /run/secrets/db",
        "http://127.0.0.1:8080/healthz says 200",
        "http://[::1]:8080/x@y",
        "PWD=/srv/app OLDPWD=/srv",
        "sha256:5df6e0e2761359d30a8275058e299fcc0381534545f55cf43e41983f5d4c9456",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "secrets: declared nowhere",
        "git@github.com:owner/repo.git",
        "12 tokens; 3 keys; monkey: x",
        "nightly-high-light.dump hvs glad AKIA",
    ],
)
def test_ordinary_sentences_are_left_alone(text: str) -> None:
    assert Redactor().redact(text) == text


@given(prefix=st.sampled_from(["/srv/", "/srv/ab", "x:/", "", "token=/", "/a/sec/"]) | AROUND, names=st.lists(st.text("ab/cdt=:oken@", max_size=8), max_size=6))
def test_asking_for_many_names_at_once_is_never_laxer_than_asking_for_each(prefix: str, names: list[str]) -> None:
    redactor = Redactor(["ab/cd", "sec/ab", "/srv/ab"])
    if redactor.are_clean(prefix, names):
        assert [redactor.redact(prefix + name) for name in names] == [prefix + name for name in names]


@given(text=st.text("pasword=: '\"\\\n$@/x1{}-", max_size=40) | AROUND)
def test_a_text_is_clean_exactly_when_nothing_is_hidden(text: str) -> None:
    redactor = Redactor(["sword", "1x1x"])
    if redactor.is_clean(text):
        assert redactor.redact(text) == text


def pieces(data: bytes, sizes: random.Random) -> list[bytes]:
    cut, at = [], 0
    while at < len(data):
        size = sizes.choice([1, 7, 100, 5000, 70_000])
        cut.append(data[at : at + size])
        at += size
    return cut


@settings(max_examples=settings().max_examples // 5)
@given(seed=st.integers(0, 2**32))
def test_a_stream_hides_what_falls_between_two_pieces(seed: int) -> None:
    source = random.Random(seed)
    planted = [b"hunter22", b"postgresql://u:pass-word@h", b"token=abcdef", KEY.encode(), b"ghp_0123456789abcdef01234567", b"two\nlines-of-it"]
    parts = []
    for _ in range(source.randrange(1, 8)):
        parts += [
            source.choice([b"word ", b"a", b"line\n", b"\xff\x00 "]) * source.randrange(1, HOLD_BACK // 3),
            source.choice(planted),
            source.choice([b" ", b"\n"]),
        ]
    whole = b"".join(parts)
    redactor = Redactor(["hunter22", "two\nlines-of-it"])
    stream = redactor.stream()
    shown = b"".join(stream.feed(piece) for piece in pieces(whole, source)) + stream.close()
    assert shown == redactor.redact_bytes(whole)
    for secret in (b"hunter22", b"pass-word", b"abcdef", b"b3BlbnNz", b"lines-of-it"):
        assert secret not in shown


def test_a_stream_without_end_does_not_grow() -> None:
    stream = Redactor(["hunter22"]).stream()
    given_back = sum(len(stream.feed(b"x" * 50_000)) for _ in range(100))
    assert given_back > 100 * 50_000 - 3 * HOLD_BACK
