"""Can a shell read this script? Bash, dash and ksh themselves are asked, with `-n`: they read to the end and run nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from interlock.facts.programs import Holder, Runs, ShellText, Unreadable
from interlock.facts.scripts import Refusal, Refused, Shell, SyntaxSeen, is_template, refusal_of, shell_of, until_it_ends
from interlock.observe.programs import programs
from interlock.observe.world import World
from interlock.patterns import regex
from interlock.verdicts import Subject

TIMEOUT_S = 10
AT_ONCE = 4


def syntax_seen(world: World, _subject: Subject) -> SyntaxSeen:
    """What the shells of this machine say of every script that is run on a host or in a container."""
    every = programs(world)
    wanted = [(text, shell) for text in every.shell if _is_judged(text) and (shell := shell_of(text.path, text.text)) is not None]
    shells = _Shells(world.environ)
    with ThreadPoolExecutor(max_workers=min(AT_ONCE, os.cpu_count() or 1)) as pool:
        answers = list(pool.map(lambda one: shells.asked(*one), wanted))
    return SyntaxSeen(
        read=sum(not isinstance(answer, Unreadable) for answer in answers),
        refused=tuple(answer for answer in answers if isinstance(answer, Refused)),
        unread=(*every.unreadable, *_together(answer for answer in answers if isinstance(answer, Unreadable))),
    )


def _is_judged(text: ShellText) -> bool:
    return text.holder is Holder.SCRIPT and text.runs in (Runs.HOST, Runs.IMAGE)


def _together(unread: Iterable[Unreadable]) -> tuple[Unreadable, ...]:
    """One of each reason that has nothing to do with the file: a shell that is not here is said once."""
    return tuple({(one.why if not one.path else one.path): one for one in unread}.values())


class _Shells:
    """The shells of this machine."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        path = environ.get("PATH", os.defpath)
        self._programs = {shell: shutil.which(shell.value, path=path) for shell in Shell}

    def asked(self, text: ShellText, shell: Shell) -> Refused | Unreadable | None:
        """What a script's own shell says of it; None when it can be read, or when nobody is to read it as it stands."""
        refusal = self._refusal(shell, text.text)
        if refusal is None:
            return None
        if isinstance(refusal, Unreadable):
            return Unreadable(path=text.path if refusal.path else "", why=refusal.why)
        if is_template(text.path, text.text):
            return None
        read = until_it_ends(text.text, refusal.line)
        if read is not None and self._refusal(shell, read) is None:
            return None
        other = self._other(shell, text)
        if other is Shell.BASH and (text.runs is not Runs.HOST or shell is Shell.KSH):
            return None  # what `sh` is in an image is the image's affair
        return Refused(path=text.path, shell=shell, refusal=refusal, other=other.value if other else "")

    def _other(self, shell: Shell, text: ShellText) -> Shell | None:
        """Bash, where it can read what the script's own shell cannot."""
        return Shell.BASH if shell is not Shell.BASH and self._programs[Shell.BASH] and self._refusal(Shell.BASH, text.text) is None else None

    def _refusal(self, shell: Shell, text: str) -> Refusal | Unreadable | None:
        program = self._programs[shell] or (self._programs[Shell.BASH] if shell is not Shell.BASH else None)
        if program is None:
            return Unreadable(path="", why=f"there is no {Shell.BASH.value} on this machine to read scripts with")
        kind = shell if self._programs[shell] else Shell.BASH
        said = _run((program, "-n"), text)
        if said and kind is Shell.BASH:
            said = _run((program, "-O", "extglob", "-n"), text)  # a script may set it, and `-n` runs no `shopt`
        if said is None:
            return Unreadable(path="this script", why=f"{kind.value} -n gave no answer in {TIMEOUT_S} s")
        return refusal_of(kind, said) if said else None


_REFUSES = regex(r"\bconditional (?:binary|unary) operator expected|\bexpected `\)'|syntax error")  # bash says so, and ends with 0


def _run(argv: tuple[str, ...], text: str) -> str | None:
    """What a shell says of a text: empty when it can read it, None when it does not answer."""
    with tempfile.TemporaryFile() as file:
        file.write(text.encode("utf-8", "surrogateescape"))
        file.seek(0)
        try:
            done = subprocess.run(argv, stdin=file, capture_output=True, timeout=TIMEOUT_S, check=False, env={"LC_ALL": "C", "PATH": os.defpath}, cwd="/")
        except (OSError, subprocess.TimeoutExpired):
            return None
    said = done.stderr.decode("utf-8", "replace")
    if done.returncode:
        return said or f"exit {done.returncode}"
    return said if _REFUSES.search(said) else ""
