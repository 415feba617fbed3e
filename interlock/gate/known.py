"""Was a finding there already? What a baseline lists, or what the tree of an earlier commit had, counted: as often as then it is known, and no more often."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from interlock.config.baseline import Finding
from interlock.nouns import dataclass
from interlock.verdicts import Age, Detail, Pair

Known = Mapping[Pair, Mapping[tuple[str, str], int]]  # file and key, and how often


def by_pair(findings: Mapping[Finding, int]) -> Known:
    """Findings as they are asked for: by their pair, then by file and key."""
    found: dict[Pair, dict[tuple[str, str], int]] = {}
    for finding, count in findings.items():
        found.setdefault(Pair(finding.guardrail, finding.subject), {})[(finding.file, finding.key)] = count
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What a baseline file lets pass: broken and unproven findings, those of `never` (guardrails that cannot be waived) excepted.

    `everything`: it is being written by this run, and takes all that may pass.
    """

    source: str
    findings: Known
    never: frozenset[str] = frozenset()
    everything: bool = False

    def covering(self, pair: Pair) -> Callable[[Detail, str], bool] | None:
        """A function that says of each finding of a pair whether the baseline covers it; None when it covers none of them. Each listed one is used up."""
        if pair.guardrail in self.never:
            return None
        if self.everything:
            return lambda _detail, _key: True
        left = dict(self.findings.get(pair, {}))
        return (lambda detail, key: _take(left, detail, key)) if left else None

    def refused(self) -> tuple[str, ...]:
        """The guardrails that it lists and that can never be waived."""
        return tuple(sorted({pair.guardrail for pair in self.findings} & self.never))

    def gone(self, now: Iterable[Finding]) -> int:
        """How many of its findings are not among those of now."""
        left = {(pair, *which): count for pair, found in self.findings.items() for which, count in found.items()}
        for finding in now:
            name = (Pair(finding.guardrail, finding.subject), finding.file, finding.key)
            if left.get(name, 0):
                left[name] -= 1
        return sum(left.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """The findings of an earlier commit, by which those of now are new or old. `only_new`: old ones pass, those of `never` excepted."""

    revision: str
    commit: str
    findings: Known
    never: frozenset[str] = frozenset()
    only_new: bool = False

    def comparing(self, pair: Pair) -> Callable[[Detail, str], Age]:
        """A function that says of each finding of a pair whether it is new. Of several that are alike, as many are old as there were."""
        left = dict(self.findings.get(pair, {}))
        return lambda detail, key: Age.OLD if _take(left, detail, key) else Age.NEW

    def passes(self, pair: Pair) -> bool:
        """Whether old findings of this pair pass."""
        return self.only_new and pair.guardrail not in self.never


def _take(left: dict[tuple[str, str], int], detail: Detail, key: str) -> bool:
    finding = (detail.file, key)
    if not left.get(finding, 0):
        return False
    left[finding] -= 1
    return True
