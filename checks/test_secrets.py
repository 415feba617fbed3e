"""Secrets: keys last, nothing shows them, and those of certificates are private."""

from interlock.checking import assert_held, check
from interlock.facts.durability import Keys
from interlock.facts.secret_leaks import Leaks
from interlock.facts.tls_files import TlsArtifacts
from interlock.judge import secrets


@check(secrets.DURABILITY)
def test_no_key_is_made_where_it_does_not_last(keys: Keys) -> None:
    assert_held(secrets.judge_durability(keys))


@check(secrets.NOT_LOGGED)
def test_no_script_shows_a_secret(leaked: Leaks) -> None:
    assert_held(secrets.judge_not_logged(leaked))


@check(secrets.TLS_ARTIFACT)
def test_private_keys_of_certificates_are_private(tls_artifacts: TlsArtifacts) -> None:
    assert_held(secrets.judge_tls(tls_artifacts))
