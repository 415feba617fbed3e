"""From which image is another made, when nothing is changed about where it keeps its data? What a Dockerfile says of its last stage."""

from __future__ import annotations

import re

from interlock.patterns import regex

_LINE = regex(r"^[ \t]*(?P<word>FROM|ENV|VOLUME|ENTRYPOINT|CMD|WORKDIR|ARG)[ \t]+(?P<rest>(?:[^\n\\]|\\\r?\n|\\.)*)", re.MULTILINE | re.IGNORECASE)
_STAGE = regex(r"(?:--\S+\s+)*(?P<image>\S+)(?:\s+AS\s+(?P<name>\S+))?\s*$", re.IGNORECASE)
_ARGUMENT = regex(r"\$\{?(\w+)(?::-([^}]*))?\}?")
_OTHERWISE = frozenset({"ENV", "VOLUME", "ENTRYPOINT", "CMD", "WORKDIR"})
_PLACE = regex(r"data(?!base)|dir|path|home", re.IGNORECASE)


def base_image(dockerfile: str) -> str:
    """The image that the last stage is made from, through stages of the same file; empty when there is none, or the stage says how it is started, where it
    works or keeps data."""
    stages: dict[str, str] = {}
    defaults: dict[str, str] = {}
    image, otherwise, tainted = "", False, set[str]()
    for line in _LINE.finditer(dockerfile):
        word, rest = line["word"].upper(), line["rest"].strip()
        if word == "ARG" and not image:
            name, _, value = rest.partition("=")
            defaults[name.strip()] = value.strip().strip("\"'")
        elif word == "FROM" and (stage := _STAGE.match(rest)):
            named = _ARGUMENT.sub(lambda found: defaults.get(found[1]) or found[2] or "$", stage["image"])
            otherwise = named.lower() in tainted
            image = stages.get(named.lower(), named)
            if stage["name"]:
                stages[(last := stage["name"].lower())] = image
            else:
                last = ""
        elif word in _OTHERWISE and (word != "ENV" or _PLACE.search(rest.partition("=")[0])):
            otherwise = True
            tainted |= {last} if image and last else set()
    return "" if otherwise or "$" in image else image
