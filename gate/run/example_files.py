"""Examples on disk, for people to read: one Parquet file, a row for each evaluator and example.

    write_examples(examples, folder / "examples.parquet")
    read_examples(folder / "examples.parquet")

Columns, all of texts: ``evaluator, example_id, asked, wanted, notes``; and for every role ``answer.ROLE``,
``fault.ROLE`` and ``detail.ROLE``, of which the answer is null where that model has none. ``notes`` is JSON:
``[[by, about, text], ...]``. With any tool:
``pandas.read_parquet("examples.parquet").query("evaluator == 'classification'")``. What is in it was written by models,
judges and raters: hostile until it is made inert.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, cast

from finetune_gate.evaluators.errors import EvaluationError, Problem
from finetune_gate.evaluators.parquet import parquet_rows, write_parquet
from finetune_gate.evaluators.showing import Note, Said, Shown, ShownExamples

from ..record import canonical_json, write_bytes_atomically
from .shown import MAX_CHARACTERS, characters_of

_COLUMNS: Final = ("evaluator", "example_id", "asked", "wanted", "notes")
_ANSWER: Final = "answer."
_FAULT: Final = "fault."
_DETAIL: Final = "detail."
_MAX_BYTES: Final = 8 * MAX_CHARACTERS
_NOTE_PARTS: Final = 3


def examples_digest(examples: ShownExamples) -> str:
    """SHA-256 over what the rows say: the same examples have the same one, whatever library wrote the file."""
    digest = hashlib.sha256()
    for title, some in examples.by_evaluator.items():
        for one in some:
            answers = {role: [said.text, said.fault, said.detail] for role, said in one.answers.items()}
            line = [title, one.id, one.asked, one.wanted, answers, [[*_parts(note)] for note in one.notes]]
            digest.update(canonical_json(line) + b"\n")
    return digest.hexdigest()


def write_examples(examples: ShownExamples, path: Path) -> int:
    """Write all of them, which are as `shown_examples` makes them; returns their number."""
    rows = [(title, one) for title, some in examples.by_evaluator.items() for one in some]
    roles = list(dict.fromkeys(role for _, one in rows for role in one.answers))
    columns: dict[str, list[object]] = {
        "evaluator": [title for title, _ in rows],
        "example_id": [one.id for _, one in rows],
        "asked": [one.asked for _, one in rows],
        "wanted": [one.wanted for _, one in rows],
        "notes": [json.dumps([_parts(note) for note in one.notes], ensure_ascii=False) for _, one in rows],
    }
    for role in roles:
        said = [one.answers.get(role) for _, one in rows]
        columns[f"{_ANSWER}{role}"] = [None if one is None else one.text for one in said]
        columns[f"{_FAULT}{role}"] = [None if one is None else one.fault for one in said]
        columns[f"{_DETAIL}{role}"] = [None if one is None else one.detail or None for one in said]
    kind: Literal["text"] = "text"
    write_bytes_atomically(path, write_parquet({name: (kind, values) for name, values in columns.items()}))
    return len(rows)


def read_examples(path: Path) -> ShownExamples:
    """Raises EvaluationError where ``path`` holds something else, or more than a run keeps."""
    found: dict[str, list[Shown]] = {}
    seen: set[tuple[str, str]] = set()
    characters = 0
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ValueError(f"more than {_MAX_BYTES:,} bytes")
        for row in parquet_rows(content, most_bytes=_MAX_BYTES):
            title, one = _shown(row)
            characters += characters_of(one)
            if characters > MAX_CHARACTERS:
                raise ValueError(f"more than {MAX_CHARACTERS:,} characters")
            if (title, one.id) in seen:
                raise ValueError(f"example {one.id!r} of {title} twice")
            seen.add((title, one.id))
            found.setdefault(title, []).append(one)
    except (OSError, ValueError) as error:
        said = (error.strerror if isinstance(error, OSError) else None) or f"{error}"
        raise EvaluationError(Problem(str(path), said[:300], "examples written by finetune-gate")) from error
    return ShownExamples({title: tuple(some) for title, some in found.items()})


def _shown(row: Mapping[str, Any]) -> tuple[str, Shown]:
    texts = {name: row[name] for name in _COLUMNS if isinstance(row.get(name), str)}
    wrong = next((name for name in _COLUMNS if name not in texts), None)
    if wrong is not None:
        raise ValueError(f"no text in column {wrong!r}")
    answers: dict[str, Said] = {}
    for name, value in row.items():
        if name in _COLUMNS or name.startswith((_FAULT, _DETAIL)):
            continue
        role = name.removeprefix(_ANSWER)
        fault, detail = row.get(f"{_FAULT}{role}"), row.get(f"{_DETAIL}{role}")
        given = (value, fault, detail)
        if not name.startswith(_ANSWER) or not all(isinstance(one, str | None) for one in given):
            raise ValueError(f"a column {name[:50]!r} that is none of an example's")
        if value is not None:
            answers[role] = Said(value, fault, detail or "")
    notes = tuple(Note(*parts) for parts in _notes(texts["notes"]))
    return texts["evaluator"], Shown(texts["example_id"], texts["asked"], texts["wanted"], answers, notes)


def _notes(text: str) -> list[list[str]]:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    rows = cast("list[object]", value) if isinstance(value, list) else [None]
    for row in rows:
        parts = cast("list[object]", row) if isinstance(row, list) else []
        if len(parts) != _NOTE_PARTS or not all(isinstance(part, str) for part in parts):
            raise ValueError("notes that are no list of [by, about, text]")
    return cast("list[list[str]]", rows)


def _parts(note: Note) -> tuple[str, str, str]:
    return note.by, note.about, note.text
