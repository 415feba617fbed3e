"""What does this `interlock.yaml` say, or what is all that is wrong with it? File to frozen `Site`, every fault at once as file:line:column.

The way: bytes (`reading`), data with positions (`yamltext`), the version of the format, `${VAR}`, types (`models`, said by `wording`), and what the parts
say of each other (`crosscheck`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from interlock import __version__
from interlock.config.crosscheck import crosscheck
from interlock.config.models import Site
from interlock.config.reading import read_regular_file
from interlock.config.refusal import Refusal, dotted
from interlock.config.scalars import SCHEMA_VERSION
from interlock.config.yamltext import SITE, KeyPath, Positions, read_yaml, say_type
from interlock.errors import ConfigError
from interlock.patterns import regex

SITE_FILE = "interlock.yaml"
_MISNAMED = "interlock.yml"


def find_site(start: Path) -> Path | None:
    """The `interlock.yaml` in `start` or in the nearest folder above it; None when there is none up to the root of the file system.

    What has the name is found, whatever it is: `load_site` says what is wrong with it. Raises ConfigError for an `interlock.yml` on the way, which nothing
    else would read, and for a folder that cannot be looked into.
    """
    for folder in (here := start.resolve(), *here.parents):
        try:
            if _is_there(folder / SITE_FILE):
                return folder / SITE_FILE
            if _is_there(folder / _MISNAMED):
                raise ConfigError(f"it must be named {SITE_FILE}", where=str(folder / _MISNAMED), remedy=f"mv {_MISNAMED} {SITE_FILE}")
        except PermissionError as error:
            why, remedy = "permission denied", "name the site file with --site FILE"
            raise ConfigError(f"cannot see whether an {SITE_FILE} is here", where=str(folder), why=why, remedy=remedy) from error
    return None


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def load_site(path: Path, environ: Mapping[str, str] | None, *, known: Collection[str] | None = None) -> Site:
    """Read and check a site file. `known` are the names that a gate may list, families and guardrails; None: they are not checked.

    A reference to a variable that `environ` lacks is an error; with None they are not looked up, for what judges files alone and must work where nobody
    knows the secrets. Raises ConfigError with every fault in `problems`, in the order of the file.
    """
    content = read_regular_file(path, SITE.size)
    text = read_yaml(content, SITE)
    refusal = Refusal(str(path), text.positions)
    refusal.take(text.problems)
    data = text.data
    if not isinstance(data, dict):
        if not refusal:
            refusal.at_value((), f"a site file is a mapping, and this is {say_type(data)}", remedy="begin it with `interlock: 1` and `site: NAME`")
        refusal.raise_if_any()
    if not _readable_version(data, refusal):
        refusal.raise_if_any()
    data = _References(environ, refusal).resolve((), data)
    site = _validate(data, text.positions, refusal)
    crosscheck(data, known, refusal)
    refusal.raise_if_any()
    assert site is not None
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return site.placed(path.absolute().parent, source=str(path), digest=digest, positions=text.positions)


def _validate(data: Mapping[str, Any], positions: Positions, refusal: Refusal) -> Site | None:
    try:
        return Site.model_validate(data)
    except ValidationError as error:
        from interlock.config.wording import tell

        for one in error.errors(include_url=False):
            told = tell(one, positions)
            if told is None or (told.path in refusal and one["type"] != "extra_forbidden"):
                continue  # the YAML reader or the resolver has stumbled over the same value
            (refusal.at_key if told.of_key else refusal.at_value)(told.path, told.what, why=told.why, remedy=told.remedy)
    return None


def _readable_version(data: Mapping[str, Any], refusal: Refusal) -> bool:
    """False when the rest of the file means something else than we would read (docs/decisions/0001-site-schema-versions.md)."""
    version = data.get("interlock")
    if "interlock" not in data:
        why = "the number says which rules the file was written for"
        refusal.at_value(("interlock",), "the version of the file's format is missing", why=why, remedy=f"begin the file with `interlock: {SCHEMA_VERSION}`")
    elif not isinstance(version, int) or isinstance(version, bool):
        refusal.at_value(("interlock",), f"interlock must be a whole number, and is {say_type(version)}", remedy=f"write `interlock: {SCHEMA_VERSION}`")
    elif version > SCHEMA_VERSION:
        what = f"the file is written in version {version} of the format, and interlock {__version__} reads version {SCHEMA_VERSION}"
        refusal.at_value(("interlock",), what, why="a newer version may mean something else by the same words", remedy="update interlock")
        return False
    elif version < SCHEMA_VERSION:
        what = f"there is no version {version} of the format"
        refusal.at_value(("interlock",), what, remedy=f"write `interlock: {SCHEMA_VERSION}`")
    return True


# ---- ${VAR}, and keys without a value

_REFERENCE = regex(r"\$(?:(\$)|\{([A-Za-z_][A-Za-z0-9_]*)\})?")
_LITERAL_OR_REFERENCE = regex(r"\$(\$?)\{")


class _References:
    """Refuses what is no reference to a set variable in the values of instances and env patches, and `${` and nothing-at-all everywhere else.

    References stay as they are written: `interlock.render` resolves one when a template asks for it, and knows then that it may be a secret.
    """

    def __init__(self, environ: Mapping[str, str] | None, refusal: Refusal) -> None:
        self._environ = environ
        self._refusal = refusal

    def resolve(self, path: KeyPath, data: Any) -> Any:
        """The same data, checked; `$${` is `${` outside of values."""
        match data:
            case dict():
                return {self._elsewhere((*path, key), key, of_key=True): self.resolve((*path, key), value) for key, value in data.items()}
            case list():
                return [self.resolve((*path, index), value) for index, value in enumerate(data)]
            case str() if "$" in data and not _is_literal(path):
                if not _is_value(path):
                    return self._elsewhere(path, data)
                for match in _REFERENCE.finditer(data):
                    self._check(path, match)
            case None if path not in self._refusal and not _may_be_null(path):
                self._refusal.at_value(path, f"{dotted(path)} has no value", remedy="write one, or remove the key")
        return data

    def _check(self, path: KeyPath, match: re.Match[str]) -> None:
        dollar, name = match.groups()
        if dollar or (name and (self._environ is None or self._environ.get(name))):
            return
        if name and self._environ is not None and name in self._environ:
            what = f"{dotted(path)} takes {name} from the environment, where it is empty"
            self._refusal.at_value(path, what, remedy=f'give {name} a value, or write "" here if nothing is meant')
        elif name:
            self._refusal.at_value(
                path, f"{dotted(path)} takes {name} from the environment, where it is not set", remedy=f"export {name}, or write the value here"
            )
        else:
            what = f"{dotted(path)} holds a dollar sign that is no reference to the environment"
            self._refusal.at_value(path, what, why="only ${NAME} is read here, without defaults", remedy="write ${NAME}, or $$ for a dollar sign")

    def _elsewhere(self, path: KeyPath, text: str, *, of_key: bool = False) -> str:
        if "${" not in text:
            return text
        if any(match[1] == "" for match in _LITERAL_OR_REFERENCE.finditer(text)):
            what = f"{dotted(path)}: the environment is not read here"
            why = "${NAME} is read in the `values` of instances and of env patches only"
            (self._refusal.at_key if of_key else self._refusal.at_value)(
                path, what, why=why, remedy="write the value itself, or $${ where ${ is meant literally"
            )
        return text.replace("$${", "${")


def _is_value(path: KeyPath) -> bool:
    """What may refer to the environment: the values of an instance, and those that an env patch sets, by itself or as the switch of an endpoint."""
    of_instance = len(path) == 4 and path[0] == "instances" and path[2] == "values"
    return of_instance or (path[:1] == ("actions",) and path[2:3] == ("steps",) and path[-3:-1] == ("env-patch", "values"))


def _is_literal(path: KeyPath) -> bool:
    """What readers of the state directory write themselves, references and all."""
    return path == ("state_dir", "default") or path[:2] == ("state_dir", "values")


def _may_be_null(path: KeyPath) -> bool:
    """A cell and a JSON answer can hold null; anything else that is empty was forgotten."""
    return path[:1] == ("expect",) and (path[2:] == ("sql", "value") or path[2:4] == ("http", "json"))
