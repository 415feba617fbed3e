"""The canary: secrets are planted wherever a run takes something in, and no artefact of it holds one in any form."""

from __future__ import annotations

import base64
import json
import urllib.parse
from pathlib import Path

import pytest

from interlock.evidence.redact import Redactor, forms_of
from interlock.evidence.renderings import RENDERINGS
from interlock.evidence.text import gate_text
from interlock.evidence.verify import verify_run
from interlock.gate.decision import Reason
from interlock.verdicts import Broken, Detail, Held, HeldRun, Outcome, Streamed, Unproven
from tests.evidence_samples import Judged, Sample, publish

DECLARED = 'c4nary/se\'cret "und" mehr+é'
SPOKEN = {  # what only a pattern can know: the secret, and a sentence around it
    "dsn-pass-w0rd": "could not connect to postgresql://app:dsn-pass-w0rd@db:5432/app",
    "kv-pass-w0rd": "FATAL: host=db password=kv-pass-w0rd user=app",
    "json-pass-w0rd": '{"password": "json-pass-w0rd", "user": "x"}',
    "ghp_c4nary0123456789abcdef0123456789": "remote: ghp_c4nary0123456789abcdef0123456789 expired",
    "AKIAC4NARY0123456789": "AKIAC4NARY0123456789 has no access",
    "bearer-c4nary-0123": "Authorization: Bearer bearer-c4nary-0123",
    "MIIEc4nary": "-----BEGIN RSA PRIVATE KEY-----\nMIIEc4nary\n-----END RSA PRIVATE KEY-----",
}


def written(secret: str) -> list[str]:
    """A declared secret as programs print it."""
    return [
        secret,
        urllib.parse.quote(secret, safe=""),
        urllib.parse.quote_plus(secret),
        base64.b64encode(secret.encode()).decode(),
        base64.b64encode(b"user:" + secret.encode()).decode(),
        json.dumps(secret),
        json.dumps(json.dumps({"x": secret})),
        repr(secret),
        secret.encode().hex(),
    ]


SENTENCES = [f"said {text} here" for text in written(DECLARED)] + list(SPOKEN.values())
REDACTOR = Redactor([DECLARED])


def planted() -> Sample:
    """A run that was told secrets in every place that takes text from outside."""
    details = tuple(
        Detail(what=f"/srv/{sentence}", outcome=outcome, kind="mode", message=sentence, file=f"conf/{sentence}", line=3)
        for sentence in SENTENCES
        for outcome in (Outcome.HELD, Outcome.BROKEN, Outcome.UNPROVEN)
    )
    names = HeldRun(prefix="/srv/", names=[*SENTENCES, "plain"], message=SENTENCES[0])
    everything = "; ".join(SENTENCES)
    return Sample(
        judged=[
            Judged(guardrail="g.streamed", subject="a", judgement=Streamed(details=[names, *details], says=lambda _: everything, remedy=everything)),
            Judged(guardrail="g.broken", subject="b", judgement=Broken(everything, remedy=everything)),
            Judged(guardrail="g.unproven", subject="c", judgement=Unproven(everything, remedy=everything)),
            Judged(guardrail="g.held", subject="d", judgement=Held(everything)),
            Judged(guardrail="g.skipped", subject="e", message=everything),
        ],
        not_used={"parity": everything},
        problems=[Reason(code=12, text=everything, remedy=everything)],
        steps=[{"kind": "command", "said": {"stderr": SENTENCES}}],
        facts=json.dumps({"said": [REDACTOR.redact_bytes(sentence.encode()).decode() for sentence in SENTENCES]}).encode(),
        redactor=REDACTOR,
    )


def forbidden() -> set[str]:
    """Every form that must not be found: the core of base64 texts changes with its neighbours, and `forms_of` knows the part that does not."""
    return forms_of(DECLARED) | set(SPOKEN)


def test_no_artefact_holds_a_planted_secret(tmp_path: Path) -> None:
    run = publish(tmp_path, planted())
    artefacts = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    artefacts |= {name: "".join(rendering(run.record, run.details)).encode() for name, rendering in RENDERINGS.items()}
    artefacts["terminal"] = gate_text(run.record, [], "").encode()
    artefacts["verification"] = str(verify_run(run.path)).encode()
    assert len(artefacts) > 12
    found = {(name, form) for name, data in artefacts.items() for form in forbidden() if form.encode() in data or form.encode() in _unescaped(data)}
    assert found == set()
    assert b"***" in artefacts["terminal"]
    assert verify_run(run.path).holds


def _unescaped(data: bytes) -> bytes:
    """What a reader of JSON or XML sees: escapes undone once."""
    import html

    text = html.unescape(data.decode())
    return text.encode().decode("unicode_escape", "replace").encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("place", sorted(SPOKEN))
def test_the_canary_can_sing(tmp_path: Path, place: str) -> None:
    """Without redaction the same search finds them: a test that cannot fail would prove nothing."""
    deaf = Redactor()
    deaf.redact = lambda text: text  # type: ignore[method-assign]
    deaf.are_clean = lambda _prefix, _names: True  # type: ignore[method-assign]
    judged = Judged(guardrail="g.x", subject="s", judgement=Broken(SPOKEN[place]))
    run = publish(tmp_path, Sample(judged=[judged], redactor=deaf))
    assert place in (run.path / "record.json").read_text()
    assert place in (run.path / "junit.xml").read_text()
