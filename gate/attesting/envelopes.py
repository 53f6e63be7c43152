"""DSSE envelopes: a statement with a signature over it, as canonical JSON.

    line = sealed(statement, key)
    envelope = opened(line)
    envelope.payload == statement and key.signed(pae(PAYLOAD_TYPE, envelope.payload), envelope.signature)

Protocol: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md. One file with one envelope a line is what
in-toto calls a bundle: https://github.com/in-toto/attestation/blob/main/spec/v1/bundle.md.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..record import canonical_json
from .keys import SigningKey

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"


@dataclass(frozen=True, slots=True)
class Envelope:
    """``keyid`` is a hint, and proves nothing: that is left to the signature."""

    payload: bytes
    keyid: str
    signature: bytes


class _Signature(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    keyid: str
    sig: str


class _EnvelopeFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    payload: str
    payload_type: Literal["application/vnd.in-toto+json"] = Field(alias="payloadType")
    signatures: list[_Signature] = Field(min_length=1, max_length=1)


def pae(payload_type: str, body: bytes) -> bytes:
    """What is really signed: the pre-authentication encoding of DSSE, in which no two pairs are alike.

    >>> pae("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)


def sealed(statement: bytes, key: SigningKey) -> bytes:
    """An envelope without a line end."""
    return _written(Envelope(statement, key.keyid, key.sign(pae(PAYLOAD_TYPE, statement))))


def opened(line: bytes) -> Envelope:
    """Nothing is believed yet. Raises ValueError, in words for people, where ``line`` is not byte for byte what
    `sealed` writes: the many ways to spell the same JSON and the same Base64 are so many places to hide a change in."""
    try:
        file = _EnvelopeFile.model_validate_json(line)
        signature = file.signatures[0]
        found = Envelope(_decoded(file.payload), signature.keyid, _decoded(signature.sig))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}") from None
    if _written(found) != line:
        raise ValueError("the same envelope in another spelling")
    return found


def _written(envelope: Envelope) -> bytes:
    signature = {"keyid": envelope.keyid, "sig": _encoded(envelope.signature)}
    return canonical_json(
        {"payload": _encoded(envelope.payload), "payloadType": PAYLOAD_TYPE, "signatures": [signature]}
    )


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("a payload or signature that is no Base64") from None
