"""Templates: what would be written is what was reviewed."""

from interlock.checking import assert_held, check
from interlock.facts.templates import TemplateInstance
from interlock.judge import templates


@check(templates.BYTE_EQUIVALENT)
def test_the_rendered_bytes_are_the_canonical_bytes(template_instance: TemplateInstance) -> None:
    assert_held(templates.judge_byte_equivalence(template_instance))
