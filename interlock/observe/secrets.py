"""Which keys and secrets does a tree make, keep, show and commit? `interlock.facts.secrets`, `secret_leaks` and `tls_files` have the words and the nouns."""

from __future__ import annotations

import posixpath
import re
import stat
from collections.abc import Iterator, Mapping

from interlock.config.discover import is_aside, is_of_others
from interlock.errors import CouldNotLook
from interlock.facts.durability import Ephemeral, Kept, Keys
from interlock.facts.env_sources import keys_of_script
from interlock.facts.programs import Holder, Runs, ShellText
from interlock.facts.secret_leaks import Leaks, leaks
from interlock.facts.secrets import encryption_keys, is_fleeting, is_irreplaceable, is_key_file, made_keys, names_secret, signs
from interlock.facts.tls_files import TlsArtifacts, TlsSlip, committed, may_hold_key, slips_of
from interlock.observe.git import tracked
from interlock.observe.programs import dockerfiles, programs, sorted_files
from interlock.observe.sources import sources
from interlock.observe.stack import compose_yaml
from interlock.observe.world import Observer, World
from interlock.patterns import regex
from interlock.verdicts import Subject

_MAKES = regex(r"openssl|random|uuidgen|pwgen|generate|token_|acme\.sh|age-keygen|operator init")
_TLS = regex(r"priv\w*[-_]?key|\.key\b|[-_]key\b|key\.pem|\bid_(?:rsa|ecdsa|ed25519)|-x509|(?:tls|ssl|server|cert)_?key", re.IGNORECASE)
_VOLUME = regex(r"(?mi)^[ \t]*VOLUME[ \t]+(?P<paths>[^\n]+)")
_VARIABLE = regex(r"\$\{[^{}]*\}|\$\w+")
_MOVES = regex(r"\b(?:ln|mv|cp|rsync|install)\b")
_STARTS = regex(r"docker[ -]compose[^\n]*\bup\b|docker stack deploy")
_WRITES_ENV = regex(r">[ \t]*[\"']?[^\s\"'|&>]*\.env\b|\btee[ \t]+[^\n|]*\.env\b")
_SHOWS = regex(
    r"\$\{?\w*(?:pass|secret|token|api_?key|private_?key|access_?key|encryption_?key|credential|pat\b)|--(?:password|passwd|token|api-key|secret-key|\w+-password|dbpass)\w*="
    r"|(?:-e|--env)\s+[\"']?\w*(?:pass|secret|token|key)",
    re.IGNORECASE,
)
_FEWEST_KEYS = 3


# ---- shown


def leaked(world: World, _subject: Subject) -> Leaks:
    """Every place of a script that shows a secret. Raises `CouldNotLook`."""
    found = programs(world)
    places = {
        (text.path, shown): None
        for text in found.shell
        if text.runs is not Runs.ASIDE and text.holder is not Holder.DOCKERFILE and _SHOWS.search(text.text)
        for shown in leaks(text.name, text.script, host=text.runs is Runs.HOST, runner=text.runs is Runs.JOB)
    }
    return Leaks(places=tuple(places), scripts=len(found.shell), unreadable=found.unreadable)


# ---- keys of certificates


def tls_artifacts(world: World, _subject: Subject) -> TlsArtifacts:
    """The private keys that are committed, and what scripts do to keys. Raises `CouldNotLook`."""
    found = programs(world)
    keys = [slip for path in world.tree.listing() if may_hold_key(path) and not is_aside(path) and (slip := _committed(world, path))]
    done = [slip for text in found.shell if text.runs in (Runs.HOST, Runs.IMAGE) and _TLS.search(text.text) for slip in slips_of(text.path, text.script)]
    return TlsArtifacts(slips=(*keys, *done), unreadable=found.unreadable)


def _committed(world: World, path: str) -> TlsSlip | None:
    """The key in a file, when it is under version control. Where there is no checkout to ask, the mode tells: a file that comes out of one is never private."""
    if is_of_others(posixpath.dirname(path)):
        return None
    try:
        found = committed(path, world.tree.read(path))
        kept = world.once("tracked files", lambda: tracked(world.tree.root)) if found is not None else None
    except CouldNotLook:
        return None
    if kept is None:
        return found if found is not None and not _is_private(world, path) else None
    return found if path in kept else None


def _is_private(world: World, path: str) -> bool:
    try:
        return stat.S_IMODE((world.tree.root / path).stat().st_mode) & 0o077 == 0
    except OSError:
        return False


# ---- keys that must last


def keys(world: World, _subject: Subject) -> Keys:
    """The keys that a tree makes where they do not last. Raises `CouldNotLook`."""
    found = programs(world)
    lost = [*_in_containers(world, found.shell), *_fleeting(found.shell), *_never_made(world, found.shell)]
    return Keys(lost=tuple(lost), unreadable=found.unreadable)


def _in_containers(world: World, shell: tuple[ShellText, ...]) -> Iterator[Ephemeral]:
    """What is made inside a container, and lies on none of its mounts or is in a variable of that start alone; or in the image itself."""
    for text in shell:
        if text.runs is not Runs.IMAGE or not _MAKES.search(text.text):
            continue
        made = list(made_keys(text.script))
        written = {one.file for one in made if one.file}
        for one in made:
            if one.file and (one.certificate or is_key_file(one.file)):
                if text.holder is Holder.DOCKERFILE:
                    yield Ephemeral(kept=Kept.IN_IMAGE, path=text.path, line=one.line, name=one.file)
                elif not _is_moved(text, one.file, shell) and not _lasts(world, one.file):
                    yield Ephemeral(kept=Kept.IN_CONTAINER, path=text.path, line=one.line, name=one.file, certificate=one.certificate)
            elif not one.file and text.holder is not Holder.DOCKERFILE and is_irreplaceable(one.name) and not written and not _is_kept(text.text, one.name):
                yield Ephemeral(kept=Kept.ANEW, path=text.path, line=one.line, name=one.name)


def _is_kept(text: str, name: str) -> bool:
    """Whether a script writes what a variable holds to a file, or reads it from one."""
    return re.search(rf"\$\{{?{name}\b[^\n]*>|{name}=[\"']?\$\(\s*(?:cat|<)|tee\b[^\n]*{name}|EOF[^\n]*\n(?:[^\n]*\n)*?[^\n]*\$\{{?{name}\b", text) is not None


def _lasts(world: World, file: str) -> bool:
    """Whether a file lies on a mount; True where nobody knows what is mounted."""
    mounts = world.once("lasting mounts", lambda: _mounts(world))
    return mounts is None or any(_is_below(file, mount) for mount in mounts)


def _is_moved(text: ShellText, file: str, shell: tuple[ShellText, ...]) -> bool:
    """Whether a script of the image links, moves or copies a file: in the same one by a line that names it, in another one that names it at all."""
    for other in shell:
        if other.runs is not Runs.IMAGE or other.holder is Holder.DOCKERFILE or file not in other.text:
            continue
        names = [re.escape(file), *(rf"\$\{{?{found[1]}\b" for found in re.finditer(rf"(\w+)=[\"']?{re.escape(file)}\b", other.text))]
        said = re.compile("|".join(names))
        lines = other.text.splitlines() if other.path == text.path else [other.text]
        if any(said.search(line) and _MOVES.search(line) for line in lines):
            return True
    return False


def _is_below(path: str, mount: str) -> bool:
    return path == mount or path.startswith((mount.rstrip("/") + "/", "*"))


def _mounts(world: World) -> frozenset[str] | None:
    """Where something lasting may be mounted in the containers that run a script; None when nobody knows which these are."""
    volumes = frozenset(
        word.strip("[],\"'") for file in dockerfiles(world) for match in _VOLUME.finditer(sources(world).text(file) or "") for word in match["paths"].split()
    )
    targets = {target for file in (world.site.compose.files if world.site.compose else ()) for target in _targets(world, file)}
    return frozenset(targets) | volumes if targets else None


def _targets(world: World, file: str) -> Iterator[str]:
    """The places in containers that a compose file mounts something lasting over, as its text says; which of them are started together does not matter here."""
    try:
        data = compose_yaml(world, file).data
    except CouldNotLook:
        return
    services = data.get("services") if isinstance(data, dict) else None
    for service in services.values() if isinstance(services, dict) else ():
        volumes = service.get("volumes") if isinstance(service, dict) else None
        for mount in volumes if isinstance(volumes, list) else ():
            if isinstance(mount, str):
                parts = _VARIABLE.sub("x", mount).split(":")
                yield parts[1] if len(parts) > 1 else parts[0]
            elif isinstance(mount, dict) and mount.get("type") in ("bind", "volume"):
                yield str(mount.get("target", ""))


def _fleeting(shell: tuple[ShellText, ...]) -> Iterator[Ephemeral]:
    """What a host's script makes in a directory that is emptied at the next start, and nowhere else."""
    for text in shell:
        if text.runs is not Runs.HOST or not _MAKES.search(text.text):
            continue
        for one in made_keys(text.script):
            if one.file and is_fleeting(one.file) and is_key_file(one.file) and text.text.count(posixpath.basename(one.file)) == 1:
                yield Ephemeral(kept=Kept.FLEETING, path=text.path, line=one.line, name=one.file)


def _never_made(world: World, shell: tuple[ShellText, ...]) -> Iterator[Ephemeral]:
    """The keys that programs encrypt with, and that the script which writes the env file of a new installation does not give."""
    makers = [text for text in shell if _makes_installation(text)]
    wanted = dict(_wanted(world)) if makers else {}
    for text in makers:
        for name, by in sorted(wanted.items()):
            if re.search(rf"\b{name}\b", text.text) is None:
                line = next((number for number, said in enumerate(text.text.splitlines(), text.line) if _WRITES_ENV.search(said)), text.line)
                yield Ephemeral(kept=Kept.NEVER, path=text.path, line=line, name=name, by=by)


def _makes_installation(text: ShellText) -> bool:
    """Whether a script writes an env file with secrets in it, by itself, and starts the stack with it."""
    if text.runs is not Runs.HOST or text.holder is not Holder.SCRIPT or not (_WRITES_ENV.search(text.text) and _STARTS.search(text.text)):
        return False
    given = keys_of_script(text.text)
    return len(given) >= _FEWEST_KEYS and any(names_secret(name) or signs(name) for name in given)


def _wanted(world: World) -> Iterator[tuple[str, str]]:
    for path in sorted_files(world).programs:
        try:
            data = world.tree.read(path)
        except CouldNotLook:
            continue
        if not is_aside(path):
            yield from ((name, path) for name in encryption_keys(data))


OBSERVERS: Mapping[str, Observer] = {
    "secrets.durability": Observer(see=keys),
    "secrets.not_logged": Observer(see=leaked),
    "secrets.tls_artifact": Observer(see=tls_artifacts),
}
