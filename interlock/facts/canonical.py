"""Which bytes does a document have, so that two readers agree on its digest? RFC 8785 (JSON Canonicalization Scheme) and sha256."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from interlock.patterns import regex

_DIGEST = regex(r"sha256:[0-9a-f]{64}")


def canonical(document: Any) -> bytes:
    """The one canonical form of a JSON document. Raises ValueError for what JSON cannot say: lone surrogates, NaN, integers beyond 2**53."""
    import rfc8785

    try:
        return rfc8785.dumps(document)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise ValueError(f"this document has no canonical form: {error}") from error


def parse_canonical(raw: bytes) -> Any:
    """The document whose canonical form is exactly `raw`. Raises ValueError otherwise: another spelling of the same document is an edited one."""
    try:
        document = json.loads(raw)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if canonical(document) != raw:
        raise ValueError("not in canonical form")
    return document


def digest(data: bytes) -> str:
    """`sha256:<64 hex digits>` of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def is_digest(text: str) -> bool:
    """True for `sha256:` and 64 lower-case hex digits."""
    return _DIGEST.fullmatch(text) is not None


def short(of: str) -> str:
    """The first eight hex digits: what a human types to say which plan is meant."""
    return of.removeprefix("sha256:")[:8]
