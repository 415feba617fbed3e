"""Templates: what would be written is what was reviewed."""

from interlock.checking import assert_held, check
from interlock.facts.anchors import Anchors
from interlock.facts.image_tags import ImageTags
from interlock.facts.siblings import Siblings
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


@check(templates.INSTALLER_ANCHORS)
def test_the_patterns_of_installers_still_match_their_templates(anchors: Anchors) -> None:
    assert_held(templates.judge_installer_anchors(anchors))


@check(templates.SIBLING_VARIANTS)
def test_the_variants_of_a_stack_agree(stack_variants: Siblings) -> None:
    assert_held(templates.judge_sibling_variants(stack_variants))


@check(templates.IMAGE_TAG)
def test_the_requested_image_is_well_formed_and_its_tag_reaches_the_stack(image_tags: ImageTags) -> None:
    assert_held(templates.judge_image_tag(image_tags))
