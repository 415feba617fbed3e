"""What does a plan say of an env patch, to the human who is asked to approve it? Which variables are set and which are added, and to what the site says.

No value of an env file is shown, old or new, and none of the environment: its variable stands there instead, as `${DB_PASSWORD}`. What the site file says
itself is shown, but not for a variable whose name says that it is a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from interlock.act.files import shown
from interlock.act.outcome import StepFailed
from interlock.change.means import SECRET_NAME
from interlock.change.patching import patch_values, step_of
from interlock.config.actions import EnvPatchStep
from interlock.config.models import Site
from interlock.errors import InterlockError
from interlock.evidence.redact import HIDDEN
from interlock.facts.canonical import digest
from interlock.facts.env_patches import Patched, patched
from interlock.facts.substitution import expand
from interlock.gate.plan import EnvFilePlan, EnvPatchPlan, Plan, TargetPlan

Now = Callable[[TargetPlan], bytes | None]


def patch_lines(step: EnvPatchPlan, plan: Plan, site: Site, environ: Mapping[str, str], now: Now) -> Iterator[str]:
    """Every file of the step; `now` reads what stands there. What no longer fits the plan is said, and so is what cannot be told here."""
    for file in step.files:
        yield from _file(file, plan, site, environ, now)


def _file(file: EnvFilePlan, plan: Plan, site: Site, environ: Mapping[str, str], now: Now) -> Iterator[str]:
    if file.unchanged:
        yield f"{shown(file)}: unchanged"
        return
    fates = [f"{what} {', '.join(names)}" for what, names in (("sets", file.set), ("appends", file.appended)) if names]
    yield f"{shown(file)}: {' and '.join(fates)}; every other byte stays"
    try:
        step = step_of(site, plan, file)
        yield from (f"  {line}" for line in _changes(file, step))
        yield from (f"  {line}" for line in _beside(_again(file, step, environ, now)))
    except (InterlockError, StepFailed) as error:
        yield "  cannot be told: " + str(error).replace("\n", "; ")
    except OSError as error:
        yield f"  cannot be told: {error.strerror or error}"


def _changes(file: EnvFilePlan, step: EnvPatchStep) -> Iterator[str]:
    for key in file.set:
        yield f"-{key}={HIDDEN}  (another value)"
        yield f"+{key}={_shown(key, step.values[key])}"
    yield from (f"+{key}={_shown(key, step.values[key])}" for key in file.appended)


def _shown(key: str, text: str) -> str:
    """A value of the site file, with the names of the environment's variables in place of what these hold."""
    pieces = expand(text, {}, lenient=True)
    if SECRET_NAME.search(key) and any(not piece.name for piece in pieces):
        return f"{HIDDEN}  (as the site file says)"
    return "".join(f"${{{piece.name}}}" if piece.name else piece.text for piece in pieces)


def _again(file: EnvFilePlan, step: EnvPatchStep, environ: Mapping[str, str], now: Now) -> Patched | str:
    """The patch as it would be made now, or why that is not what was planned."""
    old = now(file)
    if old is None or file.old is None or digest(old) != file.old.digest:
        return "the file was changed since the plan was made; make a new plan"
    done = patched(old, patch_values(step, environ, where=file.target), where=file.target)
    return done if digest(done.data) == file.new.digest else "it no longer comes to the bytes that were planned; make a new plan"


def _beside(done: Patched | str) -> Iterator[str]:
    if isinstance(done, str):
        yield done
        return
    if done.already:
        yield f"as it should be already: {', '.join(done.already)}"
    if done.following:
        yield f"comes to something else as well, since it refers to what is set: {', '.join(done.following)}"
    if done.refused:
        yield f"docker compose does not read this file, before or after: line {' and '.join(map(str, done.refused))} is no assignment"
