"""What can stand for a variable that has no value here, so that the rest of a compose file can be judged? A value of the type that its place asks for.

A scan sees the files of a stack and not the `.env` of its host; that variables are missing is `env.coverage`'s business. `interlock.observe.stack` hands
these to docker compose; whoever reads the resolved model finds the variables' names in `Stack.assumed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum

from interlock.facts.env import ALWAYS_DEFINED, Scalar
from interlock.facts.substitution import Operator, Reference, SubstitutionError, references


class Asked(IntEnum):
    """What a place asks for. Where a variable stands in several places the first of these counts: a number is a word too."""

    PORT = 1
    NUMBER = 2
    ADDRESS = 3
    DURATION = 4
    SIZE = 5
    FLAG = 6
    MODE = 7
    PATH = 8
    WORD = 9


VALUES: Mapping[Asked, str] = {
    Asked.PORT: "59731",
    Asked.NUMBER: "1",
    Asked.ADDRESS: "127.0.0.1",
    Asked.DURATION: "1s",
    Asked.SIZE: "64m",
    Asked.FLAG: "true",
    Asked.MODE: "rw",
    Asked.PATH: "/interlock-placeholder",
    Asked.WORD: "interlock-placeholder",
}
MARKS = ("interlock-placeholder", "59731")
"""What a message of docker compose is about a placeholder by."""

_KEYS: Mapping[Asked, str] = {
    Asked.PORT: "ports expose published target_port",
    Asked.ADDRESS: "host_ip ipv4_address dns gateway",
    Asked.DURATION: "interval timeout start_period start_interval stop_grace_period delay monitor window",
    Asked.SIZE: "mem_limit mem_reservation memswap_limit shm_size size memory",
    Asked.NUMBER: "replicas scale cpus cpu_count cpu_percent cpu_shares cpu_quota cpu_period retries pids pids_limit mode max_attempts oom_score_adj"
    " mem_swappiness soft hard parallelism priority count max_replicas_per_node ulimits",
    Asked.FLAG: "privileged read_only tty init stdin_open oom_kill_disable external internal attachable enable_ipv6 disable create_host_path required nocopy",
    Asked.PATH: "device file context build env_file path source working_dir volumes tmpfs devices",
}
_BY_KEY: Mapping[str, Asked] = {key: asked for asked, keys in _KEYS.items() for key in keys.split()}


def placeholders(scalars: Iterable[Scalar], values: Mapping[str, str]) -> Mapping[str, str]:
    """A value for each variable of the texts that has none in `values` and no default."""
    asked: dict[str, Asked] = {}
    for scalar in scalars:
        for reference in _lacking(scalar.text, values):
            wanted = _asked(scalar, reference)
            asked[reference.name] = min(wanted, asked.get(reference.name, wanted))
    return {name: VALUES[wanted] for name, wanted in sorted(asked.items())}


def _lacking(text: str, values: Mapping[str, str]) -> Iterator[Reference]:
    """The references that come to nothing: without a value, or required not to be empty and empty. None of a text that is no template."""
    try:
        found = references(text)
    except SubstitutionError:
        return
    for one in found:
        value = values.get(one.name, "" if one.name in ALWAYS_DEFINED else None)
        if (value is None and not one.has_default) or (not value and one.operator is Operator.REQUIRED_NOT_EMPTY):
            yield one


def _asked(scalar: Scalar, reference: Reference) -> Asked:
    """What a place asks for, by the nearest key above it and what stands beside the reference."""
    key = next((step for step in reversed(scalar.path) if isinstance(step, str) and step in _BY_KEY), "")
    if key not in (*scalar.path[-1:], *scalar.path[-2:-1], *scalar.path[2:3]):
        return Asked.WORD
    wanted = _BY_KEY.get(key, Asked.WORD)
    line = scalar.text.split("\n")[reference.line - 1]
    before, after = line[: reference.column - 1], line[reference.column - 1 :].partition("}")[2]
    if wanted is Asked.PORT and not before and after.count(":") >= 2:
        return Asked.ADDRESS
    if wanted is Asked.PATH and before:
        return Asked.MODE if before.count(":") >= 2 else Asked.PATH if before.endswith(":") else Asked.WORD
    return wanted
