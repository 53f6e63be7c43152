"""Filled sheets: rows as files hold them, and what is left of them once they are held against the sheet."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from finetune_gate.evaluators.errors import Problem
from finetune_gate.evaluators.people.sheet import Sheet

from .said import Said, said_of

_SHOWN = 80


@dataclass(frozen=True, slots=True)
class FilledRow:
    """One row of one file: ``fields`` are ``id``, ``choice``, ``left_scores``, ``right_scores`` and ``notes``, any of
    them unchecked. ``place`` is file and line; ``rater`` None where the row does not say."""

    place: str
    rater: str | None
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Filled:
    """What a file holds, and what of it could not be read."""

    rows: tuple[FilledRow, ...]
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """``said`` is good. ``empty`` rows say nothing, which is no fault: sheets come back partly filled."""

    said: tuple[Said, ...]
    empty: int
    problems: tuple[Problem, ...]


def accept(rows: Sequence[FilledRow], sheet: Sheet) -> Accepted:
    """Hold ``rows`` of the sheet's rater against it, by id and never by order.

    Of a row with a fault in one part the other parts are kept. Two rows for one id that both say something are not
    kept: nobody knows which of them holds.
    """
    known = {item.id for item in sheet.items}
    said: dict[str, Said] = {}
    places: dict[str, list[str]] = defaultdict(list)
    problems: list[Problem] = []
    empty = 0
    for row in rows:
        one, faults = said_of(row.fields, sheet.criteria, row.place)
        if one.id not in known:
            if not one.nothing or faults:
                problems.append(_unknown(row, sheet))
            continue
        problems += faults
        if one.nothing:
            empty += not faults
            continue
        said[one.id] = one
        places[one.id].append(row.place)
    for name, found in places.items():
        if len(found) > 1:
            del said[name]
            where = f"{found[-1]} id {name}"
            way_out = "leave one of them, and read the file again; neither was kept"
            problems.append(
                Problem(where, f"also filled in at {', '.join(found[:-1])}", "one row for each id", way_out)
            )
    return Accepted(tuple(said.values()), empty, tuple(problems))


def by_rater(rows: Sequence[FilledRow], rater: str | None) -> tuple[dict[str, list[FilledRow]], list[Problem]]:
    """Rows by who filled them in. ``rater``, where it is given, stands for rows that do not say, and no other may be
    named."""
    found: dict[str, list[FilledRow]] = {}
    wrong: Counter[tuple[str, str]] = Counter()
    for row in rows:
        file = row.place.rpartition(" line ")[0] or row.place.rpartition(" item ")[0]
        name = row.rater or rater
        if name is None:
            wrong[file, ""] += 1
        elif rater is not None and name != rater:
            wrong[file, name] += 1
        else:
            found.setdefault(name, []).append(row)
    problems = [
        Problem(file, f"{count} rows by {name[:_SHOWN]!r}", f"those of {rater!r}", f"--rater {name[:_SHOWN]!r}")
        if name
        else Problem(file, f"{count} rows do not say who filled them in", "a rater", "name them with --rater")
        for (file, name), count in wrong.items()
    ]
    return found, problems


def _unknown(row: FilledRow, sheet: Sheet) -> Problem:
    name = str(row.fields.get("id"))[:_SHOWN]
    return Problem(
        f"{row.place} id {name!r}",
        f"no such row in the sheet of {sheet.rater!r}",
        f"an id of that sheet, which has {len(sheet.items)} rows",
        "the sheet is of other answers or of another rater; write it anew with --sheet",
    )
