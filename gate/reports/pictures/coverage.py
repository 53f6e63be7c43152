"""How many of the planned examples were scored, by evaluator and model, and why the others were not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from finetune_gate.evaluators.absent import Unmeasured

from ...record import DecisionRecord
from .drawing import ROLES, WIDTH, Area, Canvas, Cell, Numbers, Picture, Word, box
from .quantities import Quantity

MOST_REASONS = 8
"""For each evaluator and model; the others are counted together."""

_BAR = 9
_NAMES, _COUNTS = 112, 110  # room for who, and for how many


@dataclass(frozen=True, slots=True)
class Covered:
    """One evaluator and model, or pair of the candidate with a baseline. ``reasons`` say why ``planned - scored``
    examples have no score, most frequent first; empty where nothing is known of why."""

    evaluator: str
    who: str
    role: str
    scored: int
    planned: int
    reasons: tuple[tuple[str, int], ...]


def coverage(record: DecisionRecord, quantities: Mapping[str, Sequence[Quantity]]) -> tuple[Covered, ...]:
    """From the first quantity of each evaluator (``quantities`` are by title), which has the reasons; else from the
    record's metric that is missing most, which has not."""
    found: list[Covered] = []
    for evaluator in record.evaluators:
        first = next(iter(quantities.get(evaluator.title, ())), None)
        found += _of_quantity(evaluator.title, first) if first else _of_record(evaluator.title, record)
    return tuple(found)


def coverage_picture(covered: Sequence[Covered]) -> Picture | None:
    if not covered:
        return None
    canvas, rows = Canvas(), list[tuple[Cell, ...]]()
    for title in dict.fromkeys(one.evaluator for one in covered):
        canvas.words.append(Word(title, 0, canvas.y + 14, "strong"))
        canvas.y += 20
        for one in (one for one in covered if one.evaluator == title):
            y, whole = canvas.y, max(one.planned, 1)
            width = round((WIDTH - _NAMES - _COUNTS) * one.scored / whole, 1)
            canvas.words.append(Word(one.who, 0, y + 9, "soft"))
            canvas.areas.append(Area(box(_NAMES, y, WIDTH - _NAMES - _COUNTS, _BAR), "empty"))
            if one.scored:
                canvas.areas.append(Area(box(_NAMES, y, width, _BAR), one.role))
            canvas.words.append(Word(f"{one.scored:,} of {one.planned:,}", WIDTH, y + 9, "soft", "end"))
            canvas.y += _BAR + 6
            rows.append((title, one.who, one.scored, one.planned, one.planned - one.scored))
        canvas.y += 6
    lacking = [
        f"{one.evaluator}, {one.who}: {one.scored:,} of {one.planned:,}" for one in covered if one.scored < one.planned
    ]
    said = f"not all were scored of {'; '.join(lacking)}" if lacking else "every example of every model was scored"
    return canvas.picture(
        "Examples with a score",
        "A full bar is every planned example; what it lacks is counted against the candidate.",
        said,
        Numbers(("Evaluator", "Model", "Scored", "Planned", "Missing"), tuple(rows)),
    )


def _of_quantity(title: str, quantity: Quantity) -> list[Covered]:
    places = [at for _, positions in quantity.parts for at in positions]
    found: list[Covered] = []
    for role, values in quantity.values.items():
        missing = Counter(value.reason for at in places if isinstance(value := values[at], Unmeasured))
        reasons = missing.most_common(MOST_REASONS)
        if (others := missing.total() - sum(count for _, count in reasons)) > 0:
            reasons.append((f"{len(missing) - MOST_REASONS} other reasons", others))
        who = f"against {role}" if quantity.of_pairs else role
        found.append(Covered(title, who, role, len(places) - missing.total(), len(places), tuple(reasons)))
    return found


def _of_record(title: str, record: DecisionRecord) -> list[Covered]:
    own = [
        one
        for one in record.measurements
        if one.metric.partition(".")[0] == title and one.subject == "model" and not one.slice
    ]
    if not own:
        return []
    least = min(own, key=lambda one: min(one.scored.values(), default=0) / max(one.planned, 1))
    return [Covered(title, role, role, least.scored[role], least.planned, ()) for role in ROLES if role in least.scored]
