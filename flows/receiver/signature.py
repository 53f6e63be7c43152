"""Did MLflow sign this, and just now? Pure: no clock, no state.

    claim = claim_of(headers)
    claim is not None and is_signed(claim, body, secrets) and is_fresh(claim, time.time())

MLflow signs ``<delivery id>.<time>.<body>`` with HMAC-SHA256 and sends ``v1,`` and the signature in base64. What is
between the dots has one reading only: ids with a dot and times that are not digits are no claims.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

ID: Final = b"x-mlflow-delivery-id"
TIMESTAMP: Final = b"x-mlflow-timestamp"
SIGNATURE: Final = b"x-mlflow-signature"
SKEW_SECONDS: Final = 300
"""How far the sender's clock may be from ours. MLflow repeats a delivery with its first time, for up to 98 s."""

_FORMS: Final = {
    ID: re.compile(rb"[A-Za-z0-9_-]{1,128}"),
    TIMESTAMP: re.compile(rb"[0-9]{1,12}"),
    SIGNATURE: re.compile(rb"v1,[A-Za-z0-9+/]{43}="),
}


@dataclass(frozen=True, slots=True)
class Claim:
    """The three headers as they came: bytes that were signed must not be written anew."""

    id: bytes
    timestamp: bytes
    signature: bytes


def claim_of(headers: Iterable[tuple[bytes, bytes]]) -> Claim | None:
    """The claim in ``headers`` (names in lower case); None unless all three are there, once each and in their form."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        form = _FORMS.get(name)
        if form is None:
            continue
        if name in found or not form.fullmatch(value):
            return None
        found[name] = value
    return Claim(found[ID], found[TIMESTAMP], found[SIGNATURE]) if len(found) == len(_FORMS) else None


def signature(secret: bytes, id: bytes, timestamp: bytes, body: bytes) -> bytes:
    """What MLflow sends as ``X-MLflow-Signature``."""
    digest = hmac.digest(secret, b"%b.%b.%b" % (id, timestamp, body), "sha256")
    return b"v1," + base64.b64encode(digest)


def is_signed(claim: Claim, body: bytes, secrets: Sequence[bytes]) -> bool:
    """Whether one of ``secrets`` made the signature. Takes as long whichever it was, and if none."""
    # as text, not as what it decodes to: several texts in base64 decode to the same bytes
    right = [
        hmac.compare_digest(signature(secret, claim.id, claim.timestamp, body), claim.signature) for secret in secrets
    ]
    return any(right)


def is_fresh(claim: Claim, now: float) -> bool:
    """``now`` in seconds since 1970."""
    return abs(now - int(claim.timestamp)) <= SKEW_SECONDS
