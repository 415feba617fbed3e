"""How does a scan reach its readers? One format for whoever started it, any number of others into files, and the summary of a CI job where there is one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from interlock.commands.comparing import Scanned
from interlock.commands.report import write_output
from interlock.errors import EvidenceError, UsageError
from interlock.evidence import github, gitlab, markdown, sarif, scan_text
from interlock.evidence.renderings import RENDERINGS
from interlock.evidence.text import PLAIN, Style
from interlock.judge import catalogue
from interlock.nouns import dataclass

SUMMARY = "GITHUB_STEP_SUMMARY"
_REPOSITORY = ("GITHUB_WORKSPACE", "CI_PROJECT_DIR")  # where a CI job's checkout lies


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What is asked for: a format to the terminal or into a file, and further ones into files."""

    form: str
    file: Path | None = None
    also: tuple[tuple[str, Path], ...] = ()

    @classmethod
    def of(cls, form: str, file: Path | None, also: Sequence[str], known: Sequence[str]) -> Outputs:
        """From the command line. Raises UsageError for an `--also` that is no FORMAT=FILE."""
        named = []
        for one in also:
            name, _, path = one.partition("=")
            if name not in known or not path:
                why = f"a format is one of {', '.join(known)}"
                raise UsageError(f"--also {one} is no FORMAT=FILE", why=why, remedy="like --also sarif=interlock.sarif")
            named.append((name, Path(path)))
        return cls(form=form, file=file, also=tuple(named))


def report(found: Scanned, outputs: Outputs, root: Path, environ: Mapping[str, str], stream: TextIO) -> None:
    """Write everything that is asked for. Raises EvidenceError for a file that cannot be written."""
    prefix = in_repository(root, environ)
    for form, path in outputs.also:
        write_output(path, rendered(found, form, prefix))
    if outputs.file is not None:
        write_output(outputs.file, rendered(found, outputs.form, prefix))
    else:
        style = Style.of(stream, environ, scan_text.WIDEST)
        for chunk in rendered(found, outputs.form, prefix, style):
            stream.write(chunk)
    if outputs.form == "github" and environ.get(SUMMARY):
        _append(Path(environ[SUMMARY]), markdown.render(found.record, found.details))


def rendered(found: Scanned, form: str, prefix: str, style: Style = PLAIN) -> Iterator[str]:
    """A scan in one format. `prefix` leads from the repository to the scanned tree, for formats that a forge reads."""
    titles = {guardrail.id: guardrail.title for guardrail in catalogue()}
    match form:
        case "text":
            return scan_text.render(found.record, found.details, style, titles)
        case "github":
            return github.render(found.record, found.details, prefix, titles)
        case "gitlab":
            return gitlab.render(found.record, found.details, prefix)
        case "sarif":
            return sarif.render(found.record, found.details, catalogue(), prefix)
        case _:
            return RENDERINGS[form](found.record, found.details)


def in_repository(root: Path, environ: Mapping[str, str]) -> str:
    """`deploy/` for a scan of that folder of a repository; nothing for the whole of it, and where there is none."""
    real = Path(os.path.realpath(root))
    named = [Path(os.path.realpath(environ[name])) for name in _REPOSITORY if environ.get(name)]
    tops = [top for top in named if real.is_relative_to(top)] or [place for place in (real, *real.parents) if (place / ".git").exists()][:1]
    inside = real.relative_to(tops[0]).as_posix() if tops else "."
    return "" if inside == "." else f"{inside}/"


def _append(path: Path, chunks: Iterable[str]) -> None:
    try:
        with path.open("a", encoding="utf-8", errors="surrogateescape") as file:
            file.writelines(chunks)
    except OSError as error:
        raise EvidenceError(f"the job's summary could not be written: {error.strerror}", where=str(path), remedy=f"unset {SUMMARY}") from error
