"""Checks of the files' bytes: against what the statements say of them, and the statements against their signatures.

Together they hold every bit: the record is written in one way only, the statements name the digest of each file and
are worked out again, and the envelopes hold just these statements.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from ..record import DecisionRecord
from ..run.attested_files import BUNDLE_FILE, STATEMENTS_FILE
from .checks import Check, compared
from .differences import Difference, differences
from .envelopes import PAYLOAD_TYPE, opened, pae
from .kept import Kept
from .keys import PublicKey
from .statements import statements

_NO_FILE = "there is no such file"


def check_spelling(kept: Kept) -> Check:
    """Of the many ways to write the same JSON, records are written in one: others could hide a change."""
    same = kept.content == kept.record.canonical() + b"\n"
    found = () if same else (Difference(kept.file.name, "the same record in another spelling", "canonical JSON"),)
    return compared("record", f"{kept.file.name}, spelled as runs spell it", found)


def check_files(digests: Mapping[str, str], stated: Mapping[str, str] | None) -> Check:
    """``digests`` are those of the files that are there, ``stated`` those that the statements name."""
    if stated is None:
        return Check("files", "not checked", f"{STATEMENTS_FILE} does not tell their digests")
    found = [
        Difference(f"{name} (SHA-256)", digests.get(name, _NO_FILE), stated.get(name, "no such file is spoken of"))
        for name in dict.fromkeys((*stated, *digests))
        if stated.get(name) != digests.get(name)
    ]
    return compared("files", f"digests of {len(digests)} files, beside those that the statements name", found)


def check_statements(record: DecisionRecord, content: bytes | None, digests: Mapping[str, str]) -> Check:
    """Byte for byte; ``digests`` as for `statements`."""
    what = f"{STATEMENTS_FILE}, beside what follows from the record"
    if content is None:
        return compared("statements", what, [Difference(STATEMENTS_FILE, _NO_FILE, "two statements, a line each")])
    return compared("statements", what, _lines_differ(STATEMENTS_FILE, content, statements(record, digests), bytes))


def check_signatures(
    record: DecisionRecord, content: bytes | None, digests: Mapping[str, str], key: PublicKey | None
) -> Check:
    """``content``: of the bundle, None where there is none."""
    what = f"{BUNDLE_FILE}: those statements" + (f", signed by key {key.keyid[:12]}" if key else "")
    if content is None and key is None:
        return Check("signatures", "not checked", "nobody signed it")
    if content is None:
        return compared("signatures", what, [Difference(BUNDLE_FILE, _NO_FILE, "two envelopes, a line each")])
    faults: list[Difference] = []

    def payload(line: bytes) -> bytes:
        envelope = opened(line)
        if key is not None:
            if envelope.keyid != key.keyid:
                faults.append(Difference(f"{BUNDLE_FILE} keyid", envelope.keyid[:100], key.keyid))
            if not key.signed(pae(PAYLOAD_TYPE, envelope.payload), envelope.signature):
                faults.append(Difference(f"{BUNDLE_FILE} sig", "no signature of it by this key", "one by this key"))
        return envelope.payload

    found = (*_lines_differ(BUNDLE_FILE, content, statements(record, digests), payload), *faults)
    if not found and key is None:
        return Check("signatures", "not checked", "it is signed; by whom was not checked: give --key")
    return compared("signatures", what, found)


def stated_digests(content: bytes | None) -> Mapping[str, str] | None:
    """SHA-256 by file name, as the first statement names them; None where it cannot be read."""
    try:
        statement: Any = json.loads((content or b"").split(b"\n")[0])
        named = [(one["name"], one["digest"]["sha256"]) for one in statement["subject"] if "sha256" in one["digest"]]
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    if any(not isinstance(part, str) for pair in named for part in pair):
        return None
    return dict(cast("list[tuple[str, str]]", named))


def _lines_differ(
    file: str, content: bytes, expected: tuple[bytes, ...], statement_in: Callable[[bytes], bytes]
) -> Iterator[Difference]:
    """One statement a line, in order, and a line end after each."""
    *lines, rest = content.split(b"\n")
    if rest or len(lines) != len(expected):
        yield Difference(file, f"{len(lines)} lines and {len(rest)} bytes", f"{len(expected)} lines")
        return
    for number, (line, statement) in enumerate(zip(lines, expected, strict=True), 1):
        where = f"{file} line {number}"
        try:
            found = statement_in(line)
            if found != statement:
                spelling = Difference(where, "another spelling", "canonical JSON")
                yield from differences(where, json.loads(found), json.loads(statement)) or (spelling,)
        except (ValueError, RecursionError) as error:
            yield Difference(where, f"{error}"[:200], "the statement that follows from the files")
