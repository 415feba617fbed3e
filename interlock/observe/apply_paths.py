"""By which ways is the stack of this tree changed? Every start that can be told from files, followed once a run for all rules that ask.

    apply_paths(world).paths

Starts are crontabs and the scripts that write one, units, workflows, git hooks, and what a human runs: scripts that nothing else calls, and make targets.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from interlock.config.load import SITE_FILE
from interlock.config.yamlscalars import Tagged
from interlock.errors import CouldNotLook
from interlock.facts.apply_paths import (
    ApplyPaths,
    Path,
    Starts,
    StateDisk,
    Stateful,
    Stray,
    files_of,
    is_migration,
    is_start,
    is_step,
    lies_on,
    mounted_by,
    mounted_in_fstab,
)
from interlock.facts.automation import heard_in_workflow
from interlock.facts.calls import Calls, Heard, Installed, Place, Start
from interlock.facts.cron import is_crontab_path, is_system_path, parse_crontab
from interlock.facts.known_images import recognise
from interlock.facts.path_steps import Step, hear
from interlock.facts.programs import Holder, Runs, ShellText
from interlock.facts.shell import Command, Stream
from interlock.facts.workflows import Workflow
from interlock.observe import automation
from interlock.observe.chains import compose_files
from interlock.observe.programs import programs, sorted_files
from interlock.observe.sources import TreeSources, sources
from interlock.observe.stack import compose_yaml, stack
from interlock.observe.starters import find
from interlock.observe.world import World
from interlock.patterns import regex
from interlock.verdicts import Subject

_ENGINE = regex(r"compose|\bdocker\b|\bpodman\b|\bnerdctl\b|pg_upgrade|\balembic\b|\bmigrate\b")
_CHANGES = regex(
    r"compose.*(?<![\w.-])up(?![\w./-])|\b(?:docker|podman|nerdctl)\b.*\b(?:run|stack|service|create)\b"
    r"|\bpg_upgrade|\balembic\b|\b(?:db:|manage\.py |prisma |artisan |dbmate )migrate\b",
    re.IGNORECASE | re.DOTALL,
)
_TRIES = regex(r"(?:^|[/._-])(?:tests?|e2e|smoke|ci|bench|lint|dev|local|demo|debug|example|quick-?start)(?:[/._-]|$)", re.IGNORECASE)
_RUN_BY_CRON = regex(
    r"\bcron (?:fires|runs|calls|starts|executes|invokes)\b"
    r"|\b(?:run|runs|called|fired|started|invoked|executed|scheduled|triggered) (?:\w+ ){0,2}(?:by|from|via|in|through|with) (?:\w+ ){0,2}cron\b",
    re.IGNORECASE,
)
_NOT_SO = regex(r"\b(?:not|never|don't|instead)\b", re.IGNORECASE)
_SCHEDULE = regex(r"(?:^|[\s#`'\"])(?:[\d*][\d*/,-]*\s+){2}[\d*/,A-Za-z-]+\s+[\d*/,A-Za-z-]+\s+[\d*/,A-Za-z-]+\s+(?P<command>\S[^\n]*)", re.MULTILINE)


def see(world: World, _subject: Subject) -> ApplyPaths:
    """What the subject of every rule about apply paths names: all of them."""
    return apply_paths(world)


def apply_paths(world: World) -> ApplyPaths:
    """All ways of the tree to a change. Raises `CouldNotLook`."""
    return world.once("apply paths", lambda: _Finding(world).whole())


class _Finding:
    """One look at a tree for all ways to a change."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sources: TreeSources = sources(world)
        self.scripts = {text.path: text for text in programs(world).scripts() if text.runs is Runs.HOST}
        self.installed: list[tuple[str, Installed]] = []
        self.backups: list[str] = []
        self.sourced: dict[str, tuple[str, ...]] = {}  # by the script that takes them in
        self.starts = find(world.tree)
        self.written = _Written(self.sources)
        self.calls = Calls(self.written, hears=hear, keeps=True)

    def whole(self) -> ApplyPaths:
        by_hand = [*self._by_hand(), *self._make_targets()]
        paths = [*self._crontabs(), *self._written_crontabs(), *self._units(), *self._workflows(), *self._hooks(), *self._said(by_hand), *by_hand]
        declared = self.world.site.automation
        changing = [path for path in paths if any(is_start(one) or is_migration(one) or is_step(one, Step.DESTROYS) for one in path.heard)]
        disks = tuple(self._disks())
        return ApplyPaths(
            paths=tuple(replace(path, composes=self._composes(path)) for path in changing),
            read=len(self.scripts) + len(self.starts.workflows),
            disks=disks,
            strays=tuple(self._strays(disks)),
            stateful=tuple(self._stateful()),
            backups=tuple(dict.fromkeys(self.backups)),
            unread=programs(self.world).unreadable,
            automatic=tuple(one.path for one in declared.automatic) if declared is not None else (),
        )

    def _follow(self, text: str, file: str, line: int, *, variables: Mapping[str, str] | None = None, directory: str = "/") -> tuple[Heard, ...]:
        """What is heard from a piece of shell on."""
        self.calls.heard.clear()
        self.calls.installed.clear()
        self.calls.drafts.clear()
        self.calls.sourced.clear()
        for _ in self.calls.shell(text, Start(hops=(), place=Place.HOST, directory=directory, environment=variables or {}), file=file, line=line):
            pass
        return tuple(self.calls.heard)

    # ---- what a human runs

    def _by_hand(self) -> Iterator[Path]:
        """Scripts that nothing else calls; those that write crontabs are followed for these too."""
        followed: dict[str, tuple[Heard, ...]] = {}
        for path in self._candidates():
            followed[path] = self._follow(self.scripts[path].text, path, 1)
            self.installed += [(path, one) for one in self.calls.installed if one.hop.file == path]
            self.written.take(one for one in self.calls.drafts if one.hop.file == path)
            self.sourced[path] = tuple(self.calls.sourced)
        here = ((path, one) for path, heard in followed.items() for one in heard if one.place is Place.HOST)
        called = {hop.file for path, one in here for hop in one.hops if hop.file != path}
        for path, heard in followed.items():
            if _backs_up(heard) and _says_backup_script(path):
                self.backups.append(path)
            if path not in called and not _TRIES.search(path):
                yield Path(starts=Starts.HAND, said="by hand", name=path, file=path, line=1, heard=heard, files=files_of(heard, path))

    def _candidates(self) -> Sequence[str]:
        """The scripts that speak of an engine, those that name one of these, and those that write a crontab."""
        installers = {path for path in self.starts.crontabs if path in self.scripts and self._installs(path)}
        if not compose_files(self.world.tree):  # nothing here is judged by what a human runs
            return sorted(installers)
        chosen = {path for path, text in self.scripts.items() if _changes(text) or _says_backup_script(path)} | installers
        for _ in range(2):
            names = {posixpath.basename(path) for path in chosen}
            called = re.compile("|".join(rf"(?<![\\w.-]){re.escape(name)}(?![\\w.-])" for name in sorted(names)))
            more = {path for path, text in self.scripts.items() if path not in chosen and called.search(text.text)} if names else set()
            chosen |= more
        return sorted(chosen)

    def _installs(self, path: str) -> bool:
        """Whether the crontab that a script writes comes to change something, as automation.no_automatic_apply found out, or a script that it writes may."""
        if any(_ENGINE.search(line) and _CHANGES.search(line) for line in self.scripts[path].text.splitlines()):
            return True
        return self.world.site.automation is not None and bool(automation.crontab_starter(self.world, path).applies)

    def _make_targets(self) -> Iterator[Path]:
        seen: set[str] = set()
        for text in programs(self.world).shell:
            if (
                text.holder is Holder.MAKEFILE
                and text.runs is Runs.HOST
                and text.name not in seen
                and _ENGINE.search(text.text)
                and not _TRIES.search(text.name)
            ):
                seen.add(text.name)
                target = text.name.rpartition(": ")[2]
                folder = posixpath.dirname(text.path)
                command = f"make -C ./{folder} -f {posixpath.basename(text.path)} {target}" if folder else f"make -f {text.path} {target}"
                heard = tuple(replace(one, frames=one.frames[1:] or one.frames) for one in self._follow(command, text.path, text.line, directory=""))
                yield Path(
                    starts=Starts.HAND, said=f"make {target}", name=text.name, file=text.path, line=text.line, heard=heard, files=files_of(heard, text.path)
                )

    # ---- what starts by itself

    def _crontabs(self) -> Iterator[Path]:
        for path in self.starts.crontabs:
            if not is_crontab_path(path):
                continue
            crontab = parse_crontab(self.sources.text(path) or "", system=is_system_path(path))
            for line in crontab.lines:
                heard = self._follow(line.command, path, line.line, variables=crontab.variables)
                yield self._of_cron(line.when, heard, path, line.line)

    def _written_crontabs(self) -> Iterator[Path]:
        for script, installed in dict.fromkeys(self.installed):
            known = re.sub(r"^(?:\$\{?\w+\}?)(?=[ \t])", "0 0 * * *", installed.text, flags=re.MULTILINE)
            crontab = parse_crontab(known, system=None if installed.target == "-" else True)
            for line in crontab.lines:
                heard = self._follow(line.command, script, installed.hop.line, variables=crontab.variables)
                yield self._of_cron(line.when if known == installed.text else "", heard, script, installed.hop.line)

    def _of_cron(self, when: str, heard: tuple[Heard, ...], path: str, line: int) -> Path:
        starts = Starts.BOOT if when == "@reboot" else Starts.CRON
        return _placed(starts, f"cron {when} ({path}:{line})".replace("  ", " "), heard, path, line)

    def _units(self) -> Iterator[Path]:
        for text in programs(self.world).shell:
            if text.holder is not Holder.UNIT or text.runs is not Runs.HOST:
                continue
            heard = self._follow(text.text, text.path, text.line)
            unit = self.sources.text(text.path) or ""
            timer = any(self.sources.text(f"{text.path.removesuffix('.in').removesuffix('.service')}.timer{end}") for end in ("", ".in"))
            mounted = re.search(
                r"^(?:RequiresMountsFor|ConditionPathIsMountPoint|AssertPathIsMountPoint)=.+|^(?:BindsTo|Requires)=.*\.mount", unit, re.MULTILINE
            )
            starts = Starts.TIMER if timer else Starts.BOOT
            path = _placed(starts, f"unit {posixpath.basename(text.path)}", heard, text.path, text.line)
            yield replace(path, exclusive="a unit is started once", mounted=mounted[0] if mounted else "")

    def _workflows(self) -> Iterator[Path]:
        for path in self.starts.workflows:
            text = self.sources.text(path) or ""
            workflow = self.sources.workflow(path) if _STAYS.search(text) or self._applies(path) else None
            if not isinstance(workflow, Workflow):
                continue
            for job, event, by_itself, heard in heard_in_workflow(workflow, self.sources, hear, by_itself=self._applies(path)):
                exclusive = "concurrency" if _one_at_a_time(heard) or re.search(r"^[ \t]*concurrency:", text, re.MULTILINE) else ""
                starts = Starts.EVENT if by_itself else Starts.DISPATCH
                asked = f"environment {job.gate}" if job.gate else "an input" if _ASKS.search(text) and not by_itself else ""
                yield Path(
                    starts=starts,
                    said=f"{event} ({path}: job {job.id})",
                    name=f"{path}: job {job.id}",
                    file=path,
                    line=job.line,
                    heard=heard,
                    files=files_of(heard, path),
                    exclusive=exclusive,
                    approved=asked,
                )

    def _applies(self, path: str) -> bool:
        """Whether a workflow changes something by itself, as automation.no_automatic_apply found out."""
        return self.world.site.automation is not None and bool(automation.starter(self.world, path).applies)

    def _hooks(self) -> Iterator[Path]:
        for path, text in self.scripts.items():
            if _HOOK.search(path):
                heard = self._follow(text.text, path, 1)
                yield Path(
                    starts=Starts.EVENT, said=f"git hook {posixpath.basename(path)}", name=path, file=path, line=1, heard=heard, files=files_of(heard, path)
                )

    # ---- what a text says of a script

    def _said(self, by_hand: Sequence[Path]) -> Iterator[Path]:
        """Scripts that cron runs by what is written: in their own header, or as a line of a crontab in a document."""
        pages: list[tuple[str, str]] | None = None
        for path in by_hand:
            script = self.scripts.get(path.name)
            if script is None or path.first_start() is None:
                continue
            header = _header(script.text)
            said = next((sentence for sentence in re.split(r"[.;]\s|\n\n", header) if _RUN_BY_CRON.search(" ".join(sentence.split()))), "")
            if said and not _NOT_SO.search(said):
                yield replace(path, starts=Starts.CRON, said=f"cron, as its header says ({path.name})")
                continue
            pages = self._pages_with_schedules() if pages is None else pages
            name = posixpath.basename(path.name)
            where = next((page for page, text in [(path.name, header), *pages] if _schedules(text, name)), "")
            if where:
                yield replace(path, starts=Starts.CRON, said=f"cron, as {where} says")

    def _pages_with_schedules(self) -> list[tuple[str, str]]:
        pages: list[tuple[str, str]] = []
        for path in sorted_files(self.world).pages:
            text = self.sources.text(path) or ""
            if "* * *" in text:
                pages.append((path, text))
        return pages

    # ---- what the paths are judged by

    def _disks(self) -> Iterator[StateDisk]:
        files = [path for path in compose_files(self.world.tree) if not _TRIES.search(path)]
        bound = {path: tuple(_binds(self.world, path)) for path in files}
        if self.world.site.mounts is not None:  # the site says so: every way to the stack is judged
            yield StateDisk(target=self.world.site.mounts.state.path, file=SITE_FILE, line=0)
        for target, file, line in dict.fromkeys(self._mounted()):
            overlays = tuple(path for path, places in bound.items() if any(lies_on(place, target) for place in places))
            if overlays:
                yield StateDisk(target=target, file=file, line=line, overlays=overlays)

    def _composes(self, path: Path) -> tuple[str, ...]:
        """The compose files that a path may bring up: those of its `-f`, else those that its files name, else those that compose takes by itself."""
        known = {posixpath.basename(one): one for one in compose_files(self.world.tree)}
        commands = [one.command for one in path.heard if is_start(one)]
        given = [posixpath.basename(name) for command in commands for name in _FILE_OPTION.findall(command)]
        if given and all(name in known for name in given):
            return tuple(dict.fromkeys(known[name] for name in given))
        files = dict.fromkeys((*path.files, *(one for file in path.files for one in self.sourced.get(file, ()))))
        lines = [line for file in files for line in (self.written.text(file) or "").splitlines() if not line.lstrip().startswith("#")]
        text = "\n".join(lines)
        named = tuple(full for name, full in known.items() if name in text)
        return named or tuple(full for name, full in known.items() if _BY_ITSELF.fullmatch(name))

    def _strays(self, disks: Sequence[StateDisk]) -> Iterator[Stray]:
        """Databases in volumes of the engine, in the chains whose other state is bound from a disk of its own."""
        if any(lies_on("/var/lib/docker", disk.target) or lies_on(disk.target, "/var/lib/docker") for disk in disks) or self._moves_the_engine():
            return
        for name, chain in self.world.site.chains.items():
            disk = next((disk for disk in disks if set(disk.overlays) & set(chain.files)), None)
            if disk is None:
                continue
            try:
                found = stack(self.world, name)
            except CouldNotLook:
                continue  # compose.chain_valid says so
            for service in found.services.values():
                known = recognise(service.image)
                kept = known is not None and known.server.stateful and known.server.name not in _REBUILT
                for mount in service.mounts if known is not None and kept else ():
                    volume = found.volumes.get(mount.source)
                    if mount.kind == "volume" and volume is not None and not volume.bound_to and not volume.external and not mount.read_only:
                        file, line = self._where(chain.files, service.name, mount.source)
                        server = known.server.name if known is not None else ""
                        yield Stray(service=service.name, server=server, volume=mount.source, chain=name, disk=disk, file=file, line=line)

    def _moves_the_engine(self) -> bool:
        """The engine itself keeps its volumes elsewhere."""
        return any("data-root" in text.text or "/var/lib/docker" in text.text for text in self.scripts.values())

    def _where(self, files: Sequence[str], service: str, volume: str) -> tuple[str, int]:
        """The line by which a service gets a volume; the last file that says so counts."""
        for file in reversed(files):
            try:
                read = compose_yaml(self.world, file)
            except CouldNotLook:
                continue
            mounts = _members(_said_of(self.world, file), "services").get(service, {}).get("volumes")
            mounts = mounts.value if isinstance(mounts, Tagged) else mounts
            for index, one in enumerate(mounts if isinstance(mounts, list) else ()):
                source = one.get("source") if isinstance(one, dict) else str(one).partition(":")[0]
                if source == volume:
                    return file, read.positions.nearest(("services", service, "volumes", index)).value.line
        return files[0], 1

    def _mounted(self) -> Iterator[tuple[str, str, int]]:
        for text in programs(self.world).on_hosts():
            if "mount" in text.text or "fstab" in text.text:
                yield from _mounted_in(text)
        for path in sorted_files(self.world).fstabs:
            for number, line in enumerate((self.sources.text(path) or "").splitlines(), 1):
                if (target := mounted_in_fstab(line)) is not None:
                    yield target, path, number
        for path in sorted_files(self.world).units:
            unit = self.sources.text(path) or "" if path.endswith(".mount") else ""
            where, what = re.search(r"^Where=(/\S+)", unit, re.MULTILINE), re.search(r"^What=(?:/dev/|UUID=|LABEL=)", unit, re.MULTILINE)
            if where and what:
                yield where[1], path, unit.count("\n", 0, where.start()) + 1

    def _stateful(self) -> Iterator[Stateful]:
        for path in compose_files(self.world.tree):
            if _TRIES.search(path):
                continue
            for name, service in _members(_said_of(self.world, path), "services").items():
                known = recognise(str(service.get("image", "")))
                if known is not None and known.server.stateful and known.server.name not in _REBUILT:
                    yield Stateful(service=name, server=known.server.name, file=path)


_REBUILT = frozenset(
    {"Redis", "RabbitMQ", "ZooKeeper", "Kafka", "Docker", "etcd", "Elasticsearch", "OpenSearch", "Solr", "Meilisearch"}
)  # as a rule from elsewhere
_FILE_OPTION = regex(r"(?:^|\s)(?:-f|--file)[= ]?(\S+)")
_BY_ITSELF = regex(r"(?:docker-)?compose(?:\.override)?\.ya?ml")


_ASKS = regex(r"inputs\.\w*(?:confirm|destroy|action|command|operation|sure|approve|delete)", re.IGNORECASE)


def _one_at_a_time(heard: Sequence[Heard]) -> bool:
    """A runner does one job at a time: what a job changes on the machine that it runs on, no second one changes meanwhile."""
    return all(one.place is Place.OWN for one in heard if is_start(one))


_STAYS = regex(
    r"(?:^|[\s;&|(\"'])ssh\s|ssh-(?:action|deploy|exec|command)|self-hosted|DOCKER_HOST|docker context|runs-on: *\[(?!ubuntu)|appleboy"
)  # where what a job does may stay
_HOOK = regex(r"(?:^|/)(?:\.githooks|githooks|git-hooks|hooks)/(?:post-(?:merge|receive|checkout|commit|update)|update|pre-push)$")


def _placed(starts: Starts, said: str, heard: tuple[Heard, ...], path: str, line: int) -> Path:
    """A path whose author is that of the script that is started, where there is one."""
    change = next((one for one in heard if is_start(one) or is_migration(one) or is_step(one, Step.DESTROYS)), None)
    script = next((hop.file for hop in change.hops if hop.file != path), None) if change is not None else None
    first = 1 if script is not None else line
    file = (script or path).partition("#")[0]
    return Path(starts=starts, said=said, name=script or path, file=file, line=first, heard=heard, files=files_of(heard, path))


class _Written:
    """The files of a tree, and the scripts that its scripts write: `cat > /usr/local/bin/update.sh <<'EOF'`. Such a one is called `where#name`, and its lines
    are those of the script that holds it."""

    def __init__(self, files: TreeSources) -> None:
        self._files = files
        self._texts: dict[str, str] = {}

    def take(self, drafts: Iterable[Installed]) -> None:
        """Know what begins as a script does."""
        for draft in drafts:
            if draft.text.startswith("#!") and not self._files.called(posixpath.basename(draft.target)):
                self._texts.setdefault(f"{draft.hop.file}#{posixpath.basename(draft.target)}", "\n" * draft.hop.line + draft.text)

    def text(self, path: str) -> str | None:
        """The text of a file of the tree, or of a script that is written."""
        return self._texts[path] if path in self._texts else self._files.text(path)

    def called(self, name: str) -> Sequence[str]:
        """The paths of the files with this base name."""
        return self._files.called(name) or [path for path in self._texts if path.endswith(f"#{name}")]


def _changes(text: ShellText) -> bool:
    """Whether one of its commands looks as if it brought something up; what is only printed does not count."""
    if _ENGINE.search(text.text) is None:
        return False
    return any(_may_change(command) for command in text.commands() if command.words and command.words[0].literal not in _PRINTS)


def _may_change(command: Command) -> bool:
    if any(word.literal == "up" for word in command.words[1:5]) and _COMPOSE.search(command.words[0].raw):
        return True
    return len(command.words) > 1 and _CHANGES.search(" ".join(word.raw for word in command.words)) is not None


_COMPOSE = regex(r"compose|docker|podman|nerdctl|\$|^_?d?co?m?p?$", re.IGNORECASE)  # `dc up -d`, whatever `dc` is
_PRINTS = frozenset({"echo", "printf", "logger", "cat"})


def _backs_up(heard: Sequence[Heard]) -> bool:
    return any(is_step(one, Step.BACKS_UP) for one in heard)


def _says_backup_script(path: str) -> bool:
    return re.search(r"backup|dump|snapshot", posixpath.basename(path), re.IGNORECASE) is not None


def _schedules(text: str, name: str) -> bool:
    """Whether a line of a text is a crontab's line that runs the script."""
    lines = (line for line in text.splitlines() if name in line) if name in text else ()
    return any((found := _SCHEDULE.search(line)) is not None and name in found["command"] for line in lines)


def _header(text: str) -> str:
    """The comment that a script begins with, without its marks."""
    lines: list[str] = []
    for line in text.splitlines()[:60]:
        if line.startswith("#"):
            lines.append(line.lstrip("#! "))
        elif line.strip():
            break
        else:
            lines.append("")
    return "\n".join(lines)


def _mounted_in(text: ShellText) -> Iterator[tuple[str, str, int]]:
    """What the commands of a script mount, and write into fstab. Its own variables are put in where they are given once."""
    given = [(one.name, one.value) for command in text.commands() for one in command.assignments if one.value is not None]
    values = {name: value.literal if value.literal is not None else _default(value.raw) for name, value in given}
    for command in text.commands():
        words = [_filled(word.literal or word.raw.strip("\"'"), values) for word in command.words]
        words = words[1:] if words[:1] == ["sudo"] else words
        if words and (target := mounted_by(words)) is not None:
            yield target, text.path, command.line
        into = [redirect for redirect in command.redirects if redirect.stream in (Stream.WRITE, Stream.APPEND) and "fstab" in redirect.target.raw]
        if into or "/etc/fstab" in words:
            for written in (*words, *(redirect.target.raw for redirect in command.redirects)):
                for line in _filled(written, values).splitlines():
                    if (target := mounted_in_fstab(line)) is not None:
                        yield target, text.path, command.line


def _default(raw: str) -> str:
    """What a variable comes to where nobody has set it: `${STATE_DIR:-/srv/state}`."""
    found = re.fullmatch(r"[\"']?\$\{\w+:?-([^}$]*)\}[\"']?", raw)
    return found[1] if found else ""


def _filled(word: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)(?::-[^}]*)?\}?", lambda found: values.get(found[1]) or found[0], word)


def _said_of(world: World, path: str) -> Mapping[str, Any]:
    """A compose file as it is written; nothing where it cannot be read, which other rules say."""
    try:
        data = compose_yaml(world, path).data
    except CouldNotLook:
        return {}
    return data if isinstance(data, dict) else {}


def _members(said: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = said.get(key)
    return {str(name): one for name, one in found.items() if isinstance(one, dict)} if isinstance(found, dict) else {}


def _bound(mount: object) -> object:
    """The directory of the host that a mount writes to."""
    if isinstance(mount, dict):
        return None if mount.get("read_only") else mount.get("source")
    said = str(mount)
    return said.rpartition(":/")[0] if ":/" in said and not re.search(r":ro\b|,ro\b", said) else None


def _binds(world: World, path: str) -> Iterator[str]:
    """The directories of the host that a compose file binds into containers."""
    said = _said_of(world, path)
    places: list[object] = []
    for service in _members(said, "services").values():
        mounts = service.get("volumes")
        mounts = mounts.value if isinstance(mounts, Tagged) else mounts
        for one in mounts if isinstance(mounts, list) else ():
            places.append(_bound(one))
    places += [(volume.get("driver_opts") or {}).get("device") for volume in _members(said, "volumes").values()]
    for place in places:
        plain = re.sub(r"^\$\{\w+:-(/[^}]*)\}", r"\1", str(place or ""))
        if plain.startswith(("/", "$")):
            yield plain
