"""Packs: immutable files of answers of one model, named by the hash of their bytes, for a place that machines share.

    for name, content in write_packs(digest, answers): ...
    answers = read_pack(name, content, digest)

Gzip of lines: first ``{"format": ..., "model": <digest>}``, then ``["<address>", "<base64>"]`` per answer, sorted, so
that the same answers make the same pack everywhere. A shared place is trusted less than this machine: whatever is not
exactly so, or larger than said here, is refused as a whole.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, cast

from .encoding import decode

ENDING: Final = ".jsonl.gz"
PACK_BYTES: Final = 16 << 20
"""Lines of one pack, before compression; a new pack is begun beyond that."""

MAX_COMPRESSED: Final = 32 << 20
MAX_LINES_BYTES: Final = 24 << 20
_FORMAT: Final = "finetune-gate answers 1"
_NAME: Final = re.compile(r"[0-9a-f]{64}\.jsonl\.gz")
_MAX_ADDRESS: Final = 1024


class BadPack(ValueError):
    """A pack that is not what its name, its place or its format says."""


def write_packs(digest: str, answers: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of as many packs as ``answers`` (encoded, by address) need. An answer that would not fit into any
    pack is left out."""
    lines: list[bytes] = []
    size = 0
    for address in sorted(answers):
        line = json.dumps([address, base64.b64encode(answers[address]).decode()]).encode()
        if len(line) > PACK_BYTES:
            continue
        if size + len(line) > PACK_BYTES:
            yield _packed(digest, lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line) + 1
    if lines:
        yield _packed(digest, lines)


def read_pack(name: str, content: bytes, digest: str) -> dict[str, bytes]:
    """The encoded answers of a pack of the model ``digest``, by address, each one checked. Raises BadPack."""
    if hashlib.sha256(content).hexdigest() + ENDING != name:
        raise BadPack("its name is not the hash of its bytes")
    lines = io.BytesIO(_unpacked(content))
    if _json(lines.readline()) != {"format": _FORMAT, "model": digest}:
        raise BadPack("it does not begin as a pack of this model")
    found: dict[str, bytes] = {}
    for line in lines:
        parts = _json(line)
        if not isinstance(parts, list):
            raise BadPack("a line is no list")
        match cast("list[object]", parts):
            case [str(address), str(text)] if 0 < len(address) <= _MAX_ADDRESS and address.isascii():
                try:
                    answer = base64.b64decode(text, validate=True)
                    decode(answer)
                except ValueError as error:
                    raise BadPack("a line holds no answer") from error
                found[address] = answer
            case _:
                raise BadPack("a line is not an address and an answer")
    return found


def is_pack_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def folder_name(digest: str) -> str:
    """A model's folder: its digest, where that can be nothing but a folder's name."""
    return digest if re.fullmatch(r"[0-9a-f]{64}", digest) else hashlib.sha256(digest.encode()).hexdigest()


def _packed(digest: str, lines: Iterable[bytes]) -> tuple[str, bytes]:
    first = json.dumps({"format": _FORMAT, "model": digest}).encode()
    content = gzip.compress(b"\n".join((first, *lines)) + b"\n", compresslevel=6, mtime=0)
    return hashlib.sha256(content).hexdigest() + ENDING, content


def _unpacked(content: bytes) -> bytes:
    """Decompressed no further than a pack can be: a few bytes can stand for gigabytes."""
    if len(content) > MAX_COMPRESSED:
        raise BadPack(f"it is larger than {MAX_COMPRESSED >> 20} MiB")
    stream = zlib.decompressobj(wbits=31)
    try:
        lines = stream.decompress(content, MAX_LINES_BYTES)
    except zlib.error as error:
        raise BadPack("it cannot be decompressed") from error
    if stream.unconsumed_tail:
        raise BadPack(f"it holds more than {MAX_LINES_BYTES >> 20} MiB")
    if not stream.eof or stream.unused_data:
        raise BadPack("it ends too early, or not where it should")
    return lines


def _json(line: bytes) -> object:
    try:
        found: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadPack("a line is no JSON") from error
    return found
