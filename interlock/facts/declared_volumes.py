"""Which named volumes does a compose file declare, and who else in the tree speaks of them? The nouns of the rules about volumes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from interlock.facts.chains import Source
from interlock.facts.placed import FileOfChains
from interlock.nouns import dataclass


class DeclaredVolume(NamedTuple):
    """A top-level volume that a compose file declares. `mounted_elsewhere`: a mount of it stands in another compose file or an example of one, or is
    commented out, for whoever wants it; `named_by`: the first script of the tree that names it."""

    key: str
    place: Source
    external: bool = False
    mounted_elsewhere: bool = False
    named_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumesOfFile:
    """The volumes that a compose file declares, and the chains that hold the file."""

    file: FileOfChains
    volumes: tuple[DeclaredVolume, ...]


class VolumeOptions(NamedTuple):
    """What a compose file says of a named volume's `driver_opts`; empty when it only declares it."""

    key: str
    options: Mapping[str, str]
    driver: str
    place: Source


class NestedPlace(NamedTuple):
    """A directory of the host that something of its own is mounted or bound at: `because` says who says so, with the place."""

    path: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionsOfFile:
    """A compose file with the options that it gives to volumes. `chains` are the files of each chain that holds it, `declared` what each of those says of each
    volume, `nested` the directories of the host that have something of their own."""

    file: FileOfChains
    chains: tuple[tuple[str, ...], ...]
    declared: Mapping[str, Mapping[str, VolumeOptions]]
    nested: tuple[NestedPlace, ...] = ()


def mounts_of(names: Iterable[str]) -> Mapping[str, re.Pattern[str]]:
    """What a mount of each volume looks like in the text of a compose file, also when it is commented out or a later file replaces it."""
    return {name: re.compile(rf"(?m)(?<![\w./$-]){re.escape(name)}:[/$]|\bsource:[ \t]*[\"']?{re.escape(name)}[\"']?[ \t]*(?:[,}}#]|$)") for name in names}
