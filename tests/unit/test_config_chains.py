"""Chains in a site file: what they name exists, and each instance runs one that there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.config.load import load_site
from interlock.config.models import Chain, Compose, Site
from interlock.errors import ConfigError

FILES = "interlock: 1\nsite: s\ncompose: {files: [base.yml, over.yml]%s}\n"
CHAINS = ", chains: {prod: {files: [base.yml, over.yml]}}"


def faults(folder: Path, text: str) -> list[str]:
    (folder / "interlock.yaml").write_text(text)
    try:
        load_site(folder / "interlock.yaml", {}, known=None)
    except ConfigError as error:
        return [problem.what for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("chains", "chain", "what"),
    [
        (CHAINS, "prod", []),
        ("", "default", []),
        (CHAINS, "default", ["instances.main.chain names the chain 'default', which the site does not have"]),
        ("", "prod", ["instances.main.chain names the chain 'prod', which the site does not have"]),
    ],
)
def test_an_instance_runs_a_chain_that_there_is(tmp_path: Path, chains: str, chain: str, what: list[str]) -> None:
    assert faults(tmp_path, FILES % chains + f"instances: {{main: {{directory: /srv, chain: {chain}}}}}\n") == what


def test_an_instance_runs_no_chain_of_a_site_without_compose_files(tmp_path: Path) -> None:
    text = "interlock: 1\nsite: s\ninstances: {main: {directory: /srv, chain: default}}\n"
    assert faults(tmp_path, text) == ["instances.main.chain names the chain 'default', which the site does not have"]


def test_a_chain_is_made_of_the_sites_compose_files(tmp_path: Path) -> None:
    found = faults(tmp_path, FILES % ", chains: {prod: {files: [base.yml, ovr.yml]}}")
    assert found == ["compose.chains.prod.files[1] names 'ovr.yml', which is not among compose.files"]


def test_all_files_are_one_chain_only_where_an_operator_declared_them() -> None:
    found = Site(interlock=1, site="s", compose=Compose(files=("a.yml", "b.yml")))
    assert dict(found.chains) == {}
    assert dict(found.placed(Path(), source="interlock.yaml").chains) == {"default": Chain(files=("a.yml", "b.yml"))}
