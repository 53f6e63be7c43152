"""Blind sheets as JSON: what the page is given, what ``finetune-gate rate --sheet FILE.json`` writes, what comes back.

    {"schema": "finetune-gate/rating-sheet/v1", "title": "...", "rater": "ana", "criteria": ["accuracy"],
     "lowest": 1, "highest": 5, "instructions": "...",
     "items": [{"id": "5f1c...", "prompt": "...", "reference": null, "left": "...", "right": "...",
                "choice": null, "left_scores": {}, "right_scores": {}, "notes": ""}]}

Of what comes back only ``rater`` and, of each item, ``id`` and the last four fields are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from finetune_gate.evaluators.errors import Problem
from finetune_gate.evaluators.people.ratings import HIGHEST, LOWEST
from finetune_gate.evaluators.people.sheet import Item, Sheet

from .filled import Filled, FilledRow
from .legible import legible
from .said import Said

SCHEMA = "finetune-gate/rating-sheet/v1"


def sheet_fields(sheet: Sheet, said: Mapping[str, Said]) -> dict[str, object]:
    """The sheet as JSON values, filled with what is ``said`` already, by item id. Example ids are not in it."""
    return {
        "schema": SCHEMA,
        "title": legible(sheet.title),
        "rater": sheet.rater,
        "criteria": list(sheet.criteria),
        "lowest": LOWEST,
        "highest": HIGHEST,
        "instructions": legible(sheet.instructions),
        "items": [_item_fields(item, said.get(item.id)) for item in sheet.items],
    }


def write_json(sheet: Sheet) -> bytes:
    return json.dumps(sheet_fields(sheet, {}), indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def read_json(content: bytes, where: str) -> Filled:
    """Never raises: what cannot be read is a problem."""
    expected = f"a filled sheet, {SCHEMA}"
    try:
        value: object = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        line = f" line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        return Filled((), (Problem(f"{where}{line}", f"not JSON: {error}", expected),))
    if not isinstance(value, dict):
        return Filled((), (Problem(where, f"a JSON {type(value).__name__}", expected),))
    top = cast("dict[str, object]", value)
    rater, items = top.get("rater"), top.get("items")
    if top.get("schema") != SCHEMA or not isinstance(items, list):
        return Filled((), (Problem(where, f"schema={str(top.get('schema'))[:80]!r}", expected),))
    rows: list[FilledRow] = []
    problems: list[Problem] = []
    for number, item in enumerate(cast("list[object]", items), start=1):
        place = f"{where} item {number}"
        if isinstance(item, dict):
            rows.append(FilledRow(place, rater if isinstance(rater, str) else None, cast("dict[str, object]", item)))
        else:
            problems.append(Problem(place, f"a JSON {type(item).__name__}", "a JSON object"))
    return Filled(tuple(rows), tuple(problems))


def _item_fields(item: Item, said: Said | None) -> dict[str, object]:
    return {
        "id": item.id,
        "prompt": legible(item.prompt),
        "reference": None if item.reference is None else legible(item.reference),
        "left": legible(item.left),
        "right": legible(item.right),
        "choice": said.choice if said else None,
        "left_scores": dict(said.left_scores) if said else {},
        "right_scores": dict(said.right_scores) if said else {},
        "notes": said.notes if said else "",
    }
