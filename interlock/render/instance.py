"""What is a template of the site rendered with? An instance's values: those of its env file, and over them those of the site file.

Values are resolved when a template asks for them, so that one without the database password renders where nobody knows it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Protocol

from interlock.config.models import Instance, Site
from interlock.errors import CouldNotLook
from interlock.facts.dotenv import EnvFile, Value
from interlock.facts.substitution import Fault, SubstitutionError, expand
from interlock.facts.templates import Rendered, Secrets
from interlock.render.renderers import output


class Files(Protocol):
    """The files of the site's folder (`interlock.observe.tree.Tree`). `read` raises CouldNotLook."""

    def read(self, path: str) -> bytes: ...


def render_instance(site: Site, template_name: str, instance_name: str, tree: Files, environ: Mapping[str, str]) -> Rendered:
    """Render one template of the site for one of its instances.

    Raises ConfigError for a template or env file that cannot be used as it is written (SubstitutionError among them, with line and column), CouldNotLook
    for a file that cannot be read and for a value that only the environment has, and has not here.
    """
    template, instance = site.templates[template_name], site.instances[instance_name]
    path = template.template.replace("{instance}", instance_name)
    values = InstanceValues(instance_name, instance, tree, environ)
    content, pieces = output(template.renderer, tree.read(path), values, path)
    return Rendered(
        template=template_name,
        instance=instance_name,
        content=content,
        mode=template.mode,
        host=instance.host,
        target=posixpath.join(instance.directory, template.target.replace("{instance}", instance_name)),
        canonical=template.canonical.replace("{instance}", instance_name),
        keys=tuple(sorted({piece.name for piece in pieces if piece.name})),
        pieces=pieces,
        secrets=values.secrets(),
    )


class InstanceValues(Mapping[str, str]):
    """The values of an instance by name, each resolved when it is first asked for.

    Looking one up raises CouldNotLook when it is to come from the environment and is not there, ConfigError when it cannot be used as it is written.
    """

    def __init__(self, name: str, instance: Instance, tree: Files, environ: Mapping[str, str]) -> None:
        self._name = name
        self._instance = instance
        self._tree = tree
        self._environ = environ
        self._resolved: dict[str, Value] = {}

    def __getitem__(self, name: str) -> str:
        if name not in self._resolved:
            self._resolved[name] = self._from_site(name) if name in self._instance.values else self._from_env_file(name)
        return self._resolved[name].text

    def __iter__(self) -> Iterator[str]:
        inherited = (entry.key for entry in self._env_file.entries) if self._env_file else ()
        return iter(dict.fromkeys((*inherited, *self._instance.values)))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def secrets(self) -> Secrets:
        """What must not be shown of the values that were asked for: all but those that are written out in the site file."""
        private = {name: value for name, value in self._resolved.items() if value.environment or name not in self._instance.values}
        outside = {self._environ[variable] for value in private.values() for variable in value.environment}
        return Secrets(names=frozenset(private), texts=frozenset(outside | {value.text for value in private.values()}))

    def _from_site(self, name: str) -> Value:
        return value_of_site(self._instance.values[name], self._environ, of=self._named, where=f"instances.{self._name}.values.{name}")

    def _from_env_file(self, name: str) -> Value:
        if self._env_file is None:
            raise KeyError(name)
        value = self._values_of_file.get(name)
        if value is not None and value.undefined is not None:
            raise self._not_set(value.undefined.variable, value.undefined.where) from value.undefined
        if value is None and any(entry.key == name for entry in self._env_file.entries):
            raise self._not_set(name, self._env_file.where)
        return self._values_of_file[name]

    @cached_property
    def _env_file(self) -> EnvFile | None:
        path = self._instance.env_file
        return _env_file(self._tree.read(path), path) if path is not None else None

    @cached_property
    def _values_of_file(self) -> dict[str, Value]:
        assert self._env_file is not None
        return self._env_file.resolve(self._environ)

    def _not_set(self, variable: str, where: str) -> CouldNotLook:
        return _not_set(variable, self._named, where)

    @property
    def _named(self) -> str:
        return f"instance {self._name}"


def value_of_site(text: str, environ: Mapping[str, str], *, of: str, where: str) -> Value:
    """A value of the site file; its `${VAR}` are taken from the environment only now. `of` says whose it is, in words.

    Raises SubstitutionError for one that cannot be used as it is written, CouldNotLook for a variable that is not set.
    """
    try:
        pieces = expand(text, environ, where=where)
    except SubstitutionError as error:
        if error.fault is Fault.SYNTAX:
            raise
        raise _not_set(error.variable, of, where) from error
    return Value("".join(piece.text for piece in pieces), frozenset(piece.name for piece in pieces if piece.name))


def _not_set(variable: str, of: str, where: str) -> CouldNotLook:
    return CouldNotLook(f"{variable} of {of} comes from the environment, where it is not set", where=where, remedy=f"export {variable}")


@lru_cache(maxsize=64)
def _env_file(data: bytes, path: str) -> EnvFile:
    """Each instance's env file is asked for once for each of its templates."""
    return EnvFile.parse(data, where=path)
