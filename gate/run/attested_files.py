"""The record with what is said of it, on disk: statements in the words of in-toto, and signatures where there is a key.

    write_attested(record, folder)       # ("decision-record.json", "decision-record.statements.jsonl")
    attested_digests(record, content, folder)

Statements name files by the digest of their bytes, so they are written after those, and again whenever the record is.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from ..attesting.envelopes import sealed
from ..attesting.keys import signing_key
from ..attesting.statements import statements
from ..record import DecisionRecord, write_bytes_atomically, write_record
from .states import EXAMPLES_FILE, FINDINGS_FILE, RECORD_FILE, SCORES_FILE, SEEN_FILE

STATEMENTS_FILE: Final = "decision-record.statements.jsonl"
"""One Statement a line, not signed. They follow from the other files."""

BUNDLE_FILE: Final = "decision-record.intoto.jsonl"
"""One DSSE envelope a line, around each of these statements."""

RATINGS: Final = "ratings-*.jsonl"


def write_attested(record: DecisionRecord, folder: Path) -> tuple[str, ...]:
    """Write the record and what is said of it and of the evidence that lies in ``folder``; returns the files' names.

    Raises ConfigurationError where a signing key is named that cannot be used.
    """
    key = signing_key()
    write_record(record, folder / RECORD_FILE)
    said = statements(record, attested_digests(record, (folder / RECORD_FILE).read_bytes(), folder))
    write_bytes_atomically(folder / STATEMENTS_FILE, in_lines(said))
    if key is None:
        (folder / BUNDLE_FILE).unlink(missing_ok=True)  # an earlier run with the same key of its own may have signed
        return RECORD_FILE, STATEMENTS_FILE
    write_bytes_atomically(folder / BUNDLE_FILE, in_lines(tuple(sealed(one, key) for one in said)))
    return RECORD_FILE, STATEMENTS_FILE, BUNDLE_FILE


def attested_digests(record: DecisionRecord, content: bytes, folder: Path) -> dict[str, str]:
    """SHA-256 of every file that the decision rests on, by name; ``content`` are the record's own bytes. A file that
    is not there is left out."""
    names = [SCORES_FILE]
    names += [FINDINGS_FILE] if record.findings is not None else []
    names += [EXAMPLES_FILE] if record.examples is not None else []
    names += [SEEN_FILE] if record.awaits_approval else []
    names += sorted(path.name for path in folder.glob(RATINGS))
    there = {name: path for name in names if (path := folder / name).is_file()}
    files = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in there.items()}
    return {RECORD_FILE: hashlib.sha256(content).hexdigest(), **files}


def in_lines(lines: tuple[bytes, ...]) -> bytes:
    return b"".join(line + b"\n" for line in lines)
