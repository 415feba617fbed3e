"""Are the requested images well-formed, and does the tag that is set reach them? `interlock.observe.image_tags` brings them."""

from __future__ import annotations

from collections.abc import Sequence

from interlock.config.models import Site
from interlock.facts.image_tags import ImageTags, ImageText, LostTag
from interlock.judge.template.siblings import STACKS
from interlock.judge.tree import found
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, When


def stacks(site: Site) -> Sequence[Subject]:
    """All compose files together."""
    return [Subject(name=STACKS)] if site.compose is not None and site.compose.files else []


def judge_image_tag(seen: ImageTags) -> Held | Broken | Unproven:
    """Held when each image is one that a registry could have, and no tag is set under a name that nothing reads."""
    details = [*(_malformed(image) for image in seen.images if image.is_malformed), *(_lost(one) for one in seen.lost)]
    return found(details, held=f"{len(seen.images)} images are well-formed, and the tags that are set reach them", remedy=IMAGE_TAG.remedy)


def _malformed(image: ImageText) -> Detail:
    said = f"{image.file}: {image.service} asks for the image {image.filled!r}, which no registry can have: docker compose refuses to start it"
    return Detail(what=f"{image.file}: {image.service}.image", outcome=Outcome.BROKEN, kind="malformed", message=said, file=image.file, line=image.line)


def _lost(one: LostTag) -> Detail:
    said = f"{one.file} sets {one.name}, which nothing reads: the image in {one.image_file} takes its tag from {one.wanted}, which nothing sets"
    return Detail(
        what=f"{one.file}: {one.name}", outcome=Outcome.BROKEN, kind="tag-unread", message=f"{said}, so its default runs", file=one.file, line=one.line
    )


IMAGE_TAG = Guardrail(
    id="templates.image_tag",
    title="the requested image is well-formed, and the tag that is set reaches the stack",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="A tag that is set under a name that no compose file reads is dropped without a word: the upgrade says that it is done, and the default runs on.",
    remedy="use one name for the tag, in the compose file and where it is set; correct the reference",
    subjects=stacks,
    judge=judge_image_tag,
)
