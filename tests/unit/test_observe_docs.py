"""docs/observing.md says what is so: its example runs, its table names what the site file knows."""

from __future__ import annotations

import re
from pathlib import Path

from interlock.config.models import Host, Ssh
from interlock.facts.looks import ReadFile
from interlock.observe import hosts, probe, reply, shell_reply

PAGE = (Path(__file__).parents[2] / "docs" / "observing.md").read_text()


def test_the_example_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/observing.md", "exec"), {})


def test_every_setting_of_a_host_is_named() -> None:
    for name in (*(f"ssh.{field}" for field in Ssh.model_fields), *(field for field in Host.model_fields if field != "ssh")):
        assert f"`{name}`" in PAGE, name


def test_the_limits_are_the_ones_in_the_code() -> None:
    assert f"up to {hosts.AT_ONCE} of them" in PAGE
    assert f"up to {reply.NOISE_LIMIT // 1024} KiB" in PAGE
    assert f"up to {ReadFile('/').limit // 1024 // 1024} MiB" in PAGE
    assert f"up to {probe.FOLDER_FILE_LIMIT // 1024**2} MiB each and {probe.FOLDER_LIMIT // 1024**2} MiB together ({probe.FOLDER_FILES:,} at most)" in PAGE
    assert f"`/proc/PID/mountinfo`, up to {probe.VIEW_LIMIT // 1024**2} MiB; of all containers together {probe.VIEWS_LIMIT // 1024**2} MiB" in PAGE
    assert f"secrets up to {probe.SECRET_LIMIT // 1024**2} MiB" in PAGE
    assert f"more than {shell_reply.HELD_LIMIT:,} entries" in PAGE
    assert f"| `timeout` | {Host().timeout} s |" in PAGE
