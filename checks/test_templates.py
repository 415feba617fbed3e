"""Templates: what would be written is what was reviewed."""

from interlock.checking import assert_held, check
from interlock.facts.templates import InstanceFiles
from interlock.judge import templates


@check(templates.BYTE_EQUIVALENT)
def test_the_rendered_bytes_are_the_canonical_bytes(instance_files: InstanceFiles) -> None:
    assert_held(templates.judge_byte_equivalence(instance_files))


@check(templates.UNRESOLVED)
def test_nothing_is_left_to_be_replaced(instance_files: InstanceFiles) -> None:
    assert_held(templates.judge_unresolved(instance_files))


@check(templates.SIZE_CHANGE)
def test_no_file_is_suddenly_another_size(instance_files: InstanceFiles) -> None:
    assert_held(templates.judge_size_change(instance_files))
