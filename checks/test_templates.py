"""Templates: what would be written is what was reviewed."""

from interlock.checking import assert_held, check
from interlock.facts.templates import InstanceFiles
from interlock.judge import templates


@check(templates.BYTE_EQUIVALENT)
def test_the_rendered_bytes_are_the_canonical_bytes(instance_files: InstanceFiles) -> None:
    assert_held(templates.judge_byte_equivalence(instance_files))
