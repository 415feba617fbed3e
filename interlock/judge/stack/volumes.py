"""Is each named volume that a file declares mounted by some service of the chains that hold the file?"""

from __future__ import annotations

from interlock.facts.declared_volumes import DeclaredVolume, VolumesOfFile
from interlock.judge.stack.places import compose_files, unread
from interlock.judge.tree import found
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Unproven, When

REMEDY = "mount the volume where its service keeps what must stay, or take the declaration out"


def judge_declared_volumes(noun: VolumesOfFile) -> Held | Broken | Unproven:
    """Held when each volume that the file declares is mounted in some chain, or by a file that users write themselves."""
    path, chains = noun.file.path, noun.file.chains
    if noun.file.alone or not (chains or noun.file.unread):
        return Held(f"{path} is in no chain that somebody starts")
    lost = [volume for volume in noun.volumes if not volume.external and not volume.mounted_elsewhere]
    held = f"each volume that {path} declares is mounted"
    return found((*(_detail(noun, volume) for volume in lost if not noun.file.unread), *unread(noun.file)), held=held, remedy=REMEDY)


def _detail(noun: VolumesOfFile, volume: DeclaredVolume) -> Detail:
    chains = noun.file.chains
    where = "no service mounts it" if len(chains) == 1 else f"no service of the {len(chains)} chains with this file mounts it"
    named = f"; {volume.named_by} still speaks of it" if volume.named_by else ""
    message = f"{volume.place}: the volume {volume.key} is declared, and {where}{named}: a leftover, or what should lie in it goes with its container"
    return Detail(what=volume.key, outcome=Outcome.BROKEN, kind="not-mounted", message=message, file=volume.place.file, line=volume.place.line)


VOLUME_DECLARED_BUT_UNMOUNTED = Guardrail(
    id="compose.volume_declared_but_unmounted",
    title="each named volume that a compose file declares is mounted by some service",
    severity=Severity.MEDIUM,  # most are leftovers; the one that is none loses what it held
    when=frozenset({When.STATIC}),
    rationale="Whoever rewrites a service forgets a mount without any error: the old volume stays behind, full, and the service writes into its container.",
    remedy=REMEDY,
    subjects=compose_files,
    judge=judge_declared_volumes,
)
