"""Which images do the compose files of a tree ask for, and who sets their tags?"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping

from interlock.config.discover import is_of_others, is_test_name
from interlock.config.yamltext import Positions
from interlock.errors import CouldNotLook
from interlock.facts.env import Scalar
from interlock.facts.image_tags import ImageTags, ImageText, Setting, image_text, lost_tags, perhaps_lost, settings
from interlock.facts.programs import Holder
from interlock.observe.programs import programs, sorted_files
from interlock.observe.sources import sources
from interlock.observe.stack import compose_yaml
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject

_READS = (".yml", ".yaml", ".sh", ".bash", ".py", ".js", ".ts", ".mk", ".tf", ".tpl", ".hbs", ".j2", ".toml", ".json", ".hcl", ".env", ".go", ".rb", ".php")
_NAMED = ("Makefile", "makefile", "GNUmakefile", "justfile", "Dockerfile")


def see(world: World, _subject: Subject) -> ImageTags:
    """The images, and the tags that do not reach them. A file that cannot be read has none: `compose.strict_parse` says so. Raises `CouldNotLook` where no
    file can be read."""
    images: list[ImageText] = []
    unread: CouldNotLook | None = None
    files = tuple(dict.fromkeys(world.site.compose.files)) if world.site.compose else ()
    read = 0
    for file in files:
        if is_of_others(posixpath.dirname(file)):
            continue
        try:
            images += _images(world, file)
            read += 1
        except CouldNotLook as error:
            unread = error
    if unread is not None and not read:
        raise CouldNotLook(unread.what, where=unread.where, why=unread.why, remedy=unread.remedy) from unread
    doubtful = perhaps_lost(images, _given(world)) if any(image.variables for image in images) else ()
    lost = tuple(lost_tags(images, doubtful, dict(_texts(world)))) if doubtful else ()
    return ImageTags(images=tuple(images), lost=lost)


def _images(world: World, file: str) -> Iterator[ImageText]:
    read = compose_yaml(world, file)
    data = read.data if isinstance(read.data, dict) else {}
    services = data.get("services")
    for name, said in services.items() if isinstance(services, dict) else ():
        image = said.get("image") if isinstance(said, dict) else None
        if isinstance(image, str) and image:
            yield image_text(Scalar(file=file, line=_line(read.positions, str(name)), text=image, path=()), str(name))


def _line(positions: Positions, service: str) -> int:
    return positions.nearest(("services", service, "image")).key.line


def _given(world: World) -> Iterator[Setting]:
    """What the env files and examples of the tree set, and its scripts on hosts."""
    scripts = (text.path for text in programs(world).on_hosts() if text.holder is Holder.SCRIPT)
    for path in dict.fromkeys((*sorted_files(world).env_files, *scripts)):
        yield from settings(path, sources(world).text(path) or "")


def _texts(world: World) -> Iterator[tuple[str, str]]:
    """Every text that may read or set a variable."""
    scripts = {text.path for text in programs(world).shell}
    for path in world.tree.listing():
        name = posixpath.basename(path)
        wanted = path in scripts or path.endswith(_READS) or name.startswith((".env", *_NAMED)) or "env" in name
        if wanted and not is_test_name(name) and (text := sources(world).text(path)):
            yield path, text


OBSERVERS: Mapping[str, Observer] = {"templates.image_tag": Observer(see=see)}
