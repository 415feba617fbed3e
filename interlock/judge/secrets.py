"""Do keys last, do secrets stay out of command lines and logs, and are the keys of certificates private? `interlock.observe.secrets` brings what was found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from interlock.facts.durability import Ephemeral, Kept, Keys
from interlock.facts.secret_leaks import Leak, Leaks, Shown
from interlock.facts.tls_files import Slip, TlsArtifacts, TlsSlip
from interlock.judge import tree
from interlock.judge.tree import scripts
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Unproven, When

# ---- keys that must last


def judge_durability(seen: Keys) -> Held | Broken | Unproven:
    """Held when no key is made where it does not last."""
    details = (*(_lost(one) for one in seen.lost), *tree.unread(seen.unreadable))
    remedy = "make the key once, keep it in a file with the state (0600), and let the backup take that file along"
    return tree.found(details, held="no script makes a key that is gone with its container, its image or the next start", remedy=remedy)


def _lost(one: Ephemeral) -> Detail:
    what = f"{one.path}: {one.name}"
    return Detail(what=what, outcome=Outcome.BROKEN, kind=one.kept.value, message=_why_lost(one), file=one.path, line=one.line)


def _why_lost(one: Ephemeral) -> str:
    match one.kept:
        case Kept.IN_CONTAINER if one.certificate:
            return f"the certificate's key is put into {one.name}, with no volume over it: each new container asks for another, until it gets none"
        case Kept.IN_CONTAINER:
            return f"{one.name} is made in the container, with no volume over it: the next container has another one, and cannot read what this one wrote"
        case Kept.IN_IMAGE:
            return f"{one.name} is made while the image is built: everybody who has the image has it, and the next build has another one"
        case Kept.ANEW:
            return f"{one.name} is made anew at each start and kept nowhere: what was encrypted with it before can never be read again"
        case Kept.FLEETING:
            return f"{one.name} is made in a directory that the next start of the machine empties, and is written nowhere else"
        case Kept.NEVER:
            return f"{one.by} encrypts with {one.name}, and this script, which writes the env file of a new installation, gives it none"
        case _:
            assert_never(one.kept)


# ---- shown


def judge_not_logged(seen: Leaks) -> Held | Broken | Unproven:
    """Held when no script shows a secret on a command line, in its output or in its trace."""
    details = (*_shown(seen), *tree.unread(seen.unreadable))
    remedy = "give it in the environment, in a file that only its reader may read, or on the standard input"
    return tree.found(details, held=f"none of {seen.scripts} pieces of shell shows a secret", remedy=remedy)


def _shown(seen: Leaks) -> Iterator[Detail]:
    for path, shown in seen.places:
        yield Detail(
            what=f"{path}: {shown.program} {shown.name}",
            outcome=Outcome.BROKEN,
            kind=shown.leak.value,
            message=f"{path}:{shown.line}: {_why_shown(shown)}",
            file=path,
            line=shown.line,
        )


def _why_shown(shown: Shown) -> str:
    match shown.leak:
        case Leak.ARGUMENT:
            return f"{shown.program} gets the value of {shown.name} on its command line, which every user of the host sees in the list of processes"
        case Leak.LITERAL:
            return f"{shown.program} gets {shown.name} with the secret itself on its command line: it stands in this file, and in the list of processes"
        case Leak.PRINTED:
            return f"{shown.program} prints the value of {shown.name}, which ends in the log"
        case Leak.TRACED:
            return f"`set -x` prints each command, and {shown.program} is given {shown.name}: its value ends in the log"
        case _:
            assert_never(shown.leak)


# ---- keys of certificates


def judge_tls(seen: TlsArtifacts) -> Held | Broken | Unproven:
    """Held when no private key is committed, and none is written or opened so that others may read it."""
    details = (*map(_slip, seen.slips), *tree.unread(seen.unreadable))
    return tree.found(
        details, held="no private key is committed or readable by others", remedy="write keys under `umask 077`, keep them out of version control"
    )


def _slip(slip: TlsSlip) -> Detail:
    what = slip.what if slip.slip is Slip.COMMITTED else f"{slip.path}: {slip.what}"
    return Detail(what=what, outcome=Outcome.BROKEN, kind=slip.slip.value, message=_why_wrong(slip), file=slip.path, line=slip.line)


def _why_wrong(slip: TlsSlip) -> str:
    match slip.slip:
        case Slip.COMMITTED:
            return (
                f"{slip.what} holds a private key under version control: whoever has a copy of the repository can pose as this server, also after it is deleted"
            )
        case Slip.WRITTEN_OPEN if slip.after:
            return (
                f"a private key is written to {slip.what} under the caller's umask and made private afterwards: until then every user of the host may read it"
            )
        case Slip.WRITTEN_OPEN:
            return f"a private key is written to {slip.what} under the caller's umask, usually 0644: every user of the host may read it"
        case Slip.OPENED:
            return f"{slip.what} is a private key, and is opened to everybody on the host"
        case Slip.CA_AS_SERVER:
            return f"{slip.what} is signed for a server without basicConstraints: OpenSSL makes it a CA, and strict clients refuse it"
        case _:
            assert_never(slip.slip)


DURABILITY = Guardrail(
    id="secrets.durability",
    title="a key that encrypts state is kept with the state, not in a container, an image or a temporary directory",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="What a key has encrypted is lost with the key. A backup of the data alone brings back what nobody can read.",
    remedy="make it once, keep it in a file beside the state, and back that up",
    subjects=scripts,
    judge=judge_durability,
)

NOT_LOGGED = Guardrail(
    id="secrets.not_logged",
    title="no secret is on a command line, printed, or in a trace",
    severity=Severity.MEDIUM,
    when=frozenset({When.STATIC}),
    rationale="The list of processes is there for every user of a host, and a log is kept, shipped and searched by people who should not know the password.",
    remedy="give it in the environment, in a private file, or on the standard input",
    subjects=scripts,
    judge=judge_not_logged,
)

TLS_ARTIFACT = Guardrail(
    id="secrets.tls_artifact",
    title="private keys are not committed, are readable by their owner alone from the first byte on, and certificates are fit for a server",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="Whoever reads the private key of a certificate poses as the server. A key in a repository is known to everybody who ever cloned it.",
    remedy="write keys under `umask 077`, and take a committed one out of use: it stays in the history",
    subjects=scripts,
    judge=judge_tls,
)
