"""What do the scripts of a tree do to owners and modes? For all rules that ask it; each script is followed once."""

from __future__ import annotations

from collections.abc import Iterator

from interlock.facts.ownership import Act, acts
from interlock.facts.permissions import ScriptActs
from interlock.facts.programs import Holder, Runs, ShellText
from interlock.observe.programs import programs
from interlock.observe.world import World
from interlock.patterns import regex

_TELLS = regex(r"\b(?:chown|chmod|mkdir|install|mktemp|useradd|adduser)\b|(?<![\w.-])mv\s")
_THINKS = regex(r"\bumask\b|--reference\b|\bsetfacl\b|\bstat\s+(?:-[a-zA-Z]*[cf]|--(?:format|printf))")


def script_acts(world: World) -> tuple[ScriptActs, ...]:
    """The scripts of hosts and of images that set an owner or a mode, make a directory, or put a file in its place."""
    return world.once("script acts", lambda: tuple(_scripts(world)))


def _scripts(world: World) -> Iterator[ScriptActs]:
    found: dict[tuple[str, bool], list[Act]] = {}
    thinking: set[tuple[str, bool]] = set()
    for text in programs(world).shell:
        if text.runs in (Runs.HOST, Runs.IMAGE) and text.holder is not Holder.DOCKERFILE and _TELLS.search(text.text):
            script = (text.path, text.runs is Runs.IMAGE)
            found.setdefault(script, []).extend(_acts(world, text))
            if _THINKS.search(text.text):
                thinking.add(script)
    for (path, inside), done in found.items():
        yield ScriptActs(path=path, inside=inside, acts=tuple(done), thinks=(path, inside) in thinking)


def _acts(world: World, text: ShellText) -> tuple[Act, ...]:
    return world.once(("acts", text.path, text.name, text.line), lambda: acts(text.script))
