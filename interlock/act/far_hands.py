"""How does a step work on another host? Through one session (`interlock.observe.far`), whose far end runs the very `Hands` that work on this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from interlock.act.hands import Hands, Hearing
from interlock.act.programs import GRACE
from interlock.config.models import Host
from interlock.observe.far import LOOKING, Far, FarEyes, Lost, answer_of
from interlock.observe.serving import SILENCE

_MODULES = (*LOOKING, "interlock.act.flocks", "interlock.act.programs", "interlock.act.hands")
_LOOK_AROUND = 0.1  # seconds between two looks whether to stop a program
_LATE = SILENCE + 2 * GRACE  # seconds after a program's time in which the far end must have ended it and said so


def connect(name: str, host: Host, root: Path) -> FarHands:
    """A session for steps. Raises CouldNotLook."""
    return FarHands(Far(name, host, root, modules=_MODULES, answering="interlock.act.hands.Hands"))


class FarHands(FarEyes, Hands):
    """The changes of `Hands`, at another host. Whatever it is asked raises Lost once the connection is gone: what was asked last may have happened or not."""

    def write_beside(self, folder: int, target: str, name: str, data: bytes, rights: Sequence[int]) -> None:
        self.far.call("write_beside", folder, target, name, data, rights)

    def rename(self, folder: int, name: str, target: str) -> None:
        self.far.call("rename", folder, name, target)

    def remove(self, folder: int, name: str) -> None:
        self.far.call("remove", folder, name)

    def sync(self, folder: int) -> None:
        self.far.call("sync", folder)

    def lock(self, directory: str, name: str, text: bytes, patience: float) -> bytes | None:
        said = self.far.call("lock", directory, name, text, patience)
        return said if isinstance(said, bytes) else None

    def lost(self) -> str:
        try:
            return self.far.lost or str(self.far.call("lost"))
        except Lost as error:
            return error.why

    def release(self) -> None:
        self.far.close()

    def end(self, pid: int, started: int, boot: str) -> bool:
        return bool(self.far.call("end", pid, started, boot))

    def conduct(self, argv: Sequence[str], directory: str, environ: Mapping[str, str], seconds: float, hearing: Hearing) -> dict[str, Any]:
        """As there. Nothing of `environ` goes over: the far end has an environment of its own."""
        del environ
        self.far.send({"ask": "run", "with": [list(argv), directory, seconds]})
        try:
            answer = self._follow(hearing, time.monotonic() + seconds + _LATE)
        except BaseException:
            self.far.drop("what ran there was given up")
            raise
        return dict(answer_of(answer, self.far.name))

    def _follow(self, hearing: Hearing, until: float) -> dict[str, Any]:
        told = ""
        while True:
            match self.far.poll(_LOOK_AROUND):
                case None:
                    pass
                case {"spawned": dict(spawned)}:
                    hearing.announce(spawned)
                    self.far.send({"go": True})
                case {"heard": [str(output), bytes(data)]}:
                    hearing.hear(output, data)
                case answer:
                    return answer
            if not told and (told := hearing.asked()):
                self.far.send({"stop": told})
            if time.monotonic() >= until:
                self.far.drop("it has not said how the program ended, long after its time was over")
