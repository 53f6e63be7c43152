"""Blind sheets as CSV, for spreadsheets: formula-safe, and read back by row id.

Columns ``id, rater, prompt, [reference], left, right, choice, left CRITERION, right CRITERION, ..., notes``. Of what
comes back, ``id``, ``rater``, ``choice``, scores and ``notes`` are read; texts never are.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence

from finetune_gate.evaluators.errors import Problem
from finetune_gate.evaluators.people.sheet import Item, Sheet

from .filled import Filled, FilledRow
from .legible import legible

MAX_FIELD = 16 << 20
_FORMULA = re.compile(r"'*[\s\ufeff]*[=+\-@\t\r＝＋－＠]")
_TEXTS = ("prompt", "reference", "left", "right")
_SIDES = ("left", "right")


def write_csv(sheet: Sheet) -> bytes:
    """UTF-8 with a byte order mark, without which spreadsheets take it for something else; every cell quoted."""
    file = io.StringIO(newline="")
    texts = [name for name in _TEXTS if name != "reference" or any(item.reference is not None for item in sheet.items)]
    scores = [f"{side} {criterion}" for criterion in sheet.criteria for side in _SIDES]
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow([harmless(name) for name in ("id", "rater", *texts, "choice", *scores, "notes")])
    for item in sheet.items:
        writer.writerow(_cells(item, sheet, texts))
    return b"\xef\xbb\xbf" + file.getvalue().encode("utf-8")


def harmless(text: str) -> str:
    """``=1+1`` as ``'=1+1``: no spreadsheet computes it. Also where white space stands before it, which some of them
    strip, and full-width forms, which some of them take for the sign."""
    return f"'{text}" if _FORMULA.match(text) else text


def unharmed(text: str) -> str:
    """The inverse of `harmless`, for every text."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def read_csv(content: bytes, where: str) -> Filled:
    """Never raises: what cannot be read is a problem. Columns may be separated by commas, semicolons or tabs, whatever
    the spreadsheet made of them."""
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        way_out = "save it as CSV UTF-8"
        return Filled((), (Problem(f"{where} line {line}", "bytes that are not UTF-8", "UTF-8 text", way_out),))
    csv.field_size_limit(MAX_FIELD)
    skipped = 0
    if text[:4].lower() == "sep=":  # a line that some spreadsheets put first
        text, skipped = text.partition("\n")[2], 1
    columns, delimiter = _header(text)
    problems = _header_problems(columns, f"{where} line {1 + skipped}")
    if problems:
        return Filled((), tuple(problems))
    rows: list[FilledRow] = []
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        next(lines)
        begins = lines.line_num + 1
        for cells in lines:
            place = f"{where} line {begins + skipped}"
            begins = lines.line_num + 1  # of the next row: cells may hold line ends
            if not any(cell.strip() for cell in cells):
                continue
            if any(cell.strip() for cell in cells[len(columns) :]):
                problems.append(
                    Problem(place, f"{len(cells)} cells", f"{len(columns)}", "quote cells with a separator")
                )
            else:
                rows.append(_row(place, dict(zip(columns, cells, strict=False))))
    except csv.Error as error:
        problems.append(Problem(f"{where} line {lines.line_num + skipped}", f"not CSV: {error}", "a filled sheet"))
    return Filled(tuple(rows), tuple(problems))


def _cells(item: Item, sheet: Sheet, texts: Sequence[str]) -> list[str]:
    shown = {"prompt": item.prompt, "reference": item.reference or "", "left": item.left, "right": item.right}
    cells = [item.id, harmless(sheet.rater), *(harmless(legible(shown[name])) for name in texts)]
    return [*cells, *[""] * (2 + 2 * len(sheet.criteria))]


def _header(text: str) -> tuple[list[str], str]:
    """Names of columns and the separator with which there are most of those that a sheet has."""
    found: list[tuple[int, list[str], str]] = []
    for delimiter in (",", ";", "\t"):
        try:
            cells = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), list[str]())
        except csv.Error:
            continue
        names = [unharmed(cell.strip()) for cell in cells]
        names = [name.lower() if name.lower() in ("id", "rater", "choice", "notes") else name for name in names]
        known = sum(name in ("id", "rater", "choice", "notes", *_TEXTS) for name in names)
        found.append((known, names, delimiter))
    _, names, delimiter = max(found, key=lambda one: one[0], default=(0, list[str](), ","))
    return names, delimiter


def _header_problems(columns: Sequence[str], where: str) -> list[Problem]:
    named = [name for name in columns if name]
    twice = sorted({name for name in named if named.count(name) > 1})
    problems = [Problem(where, f"column {name[:80]!r} occurs twice", "unique names") for name in twice]
    if "id" not in columns:
        found = ", ".join(named)[:200] or "nothing"
        problems.append(Problem(where, f"no column 'id' among {found}", "the columns of a sheet that --sheet wrote"))
    return problems


def _row(place: str, cells: Mapping[str, str]) -> FilledRow:
    scores: dict[str, dict[str, str]] = {side: {} for side in _SIDES}
    for name, cell in cells.items():
        side, _, criterion = name.partition(" ")
        if side in scores and criterion:
            scores[side][criterion] = cell
    fields: dict[str, object] = {
        "id": cells["id"].strip(),
        "choice": cells.get("choice", ""),
        "left_scores": scores["left"],
        "right_scores": scores["right"],
        "notes": unharmed(cells.get("notes", "")),
    }
    return FilledRow(place, unharmed(cells.get("rater", "").strip()) or None, fields)
