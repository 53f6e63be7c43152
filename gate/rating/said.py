"""What somebody said of one pair, as it comes in from a page or a file: checked part by part.

    said, problems = said_of({"id": "5f1c", "choice": "left", "left_scores": {"fluency": 4}}, ("fluency",), "line 2")

A part that cannot be used is named in ``problems`` and left out; the others stand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from finetune_gate.evaluators.errors import Problem
from finetune_gate.evaluators.people.ratings import HIGHEST, LOWEST, MAX_NOTES, Preferred

CHOICES: Mapping[str, Preferred] = {"left": "left", "tie": "tie", "right": "right"}
_SCORE = re.compile(r"([0-9]{1,3})(?:[.,]0{1,6})?")
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Said:
    """About the item ``id``. Any part may be missing."""

    id: str
    choice: Preferred | None
    left_scores: Mapping[str, int]
    right_scores: Mapping[str, int]
    notes: str

    @property
    def nothing(self) -> bool:
        return self.choice is None and not self.left_scores and not self.right_scores and not self.notes

    def complete(self, criteria: Sequence[str]) -> bool:
        """Whether the choice is made and every criterion is scored on both sides."""
        return self.choice is not None and all(
            name in side for name in criteria for side in (self.left_scores, self.right_scores)
        )


def said_of(fields: Mapping[str, object], criteria: Sequence[str], place: str) -> tuple[Said, list[Problem]]:
    """``fields`` as JSON or a spreadsheet gives them: ``4``, ``4.0``, ``"4"``, ``"4,0"`` are one score; None and empty
    texts are no value. ``place`` begins every problem."""
    problems: list[Problem] = []
    said = Said(
        id=str(fields.get("id")),
        choice=_choice(fields.get("choice"), place, problems),
        left_scores=_scores("left", fields.get("left_scores"), criteria, place, problems),
        right_scores=_scores("right", fields.get("right_scores"), criteria, place, problems),
        notes=_notes(fields.get("notes"), place, problems),
    )
    return said, problems


def _choice(found: object, place: str, problems: list[Problem]) -> Preferred | None:
    if found is None or found == "":
        return None
    choice = CHOICES.get(found.strip().lower()) if isinstance(found, str) else None
    if choice is None and not (isinstance(found, str) and not found.strip()):
        problems.append(Problem(f"{place} choice", _shown(found), "left, tie or right, or nothing"))
    return choice


def _scores(side: str, found: object, criteria: Sequence[str], place: str, problems: list[Problem]) -> dict[str, int]:
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        problems.append(
            Problem(f"{place} {side}_scores", _shown(found), 'scores by criterion, such as {"accuracy": 4}')
        )
        return {}
    scores: dict[str, int] = {}
    for name, value in cast("Mapping[object, object]", found).items():
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        where = f"{place} {side} {str(name)[:_SHOWN]}"
        score = _score(value)
        if name not in criteria:
            problems.append(Problem(where, "no such criterion", f"one of {', '.join(criteria) or 'none'}"))
        elif score is None:
            problems.append(Problem(where, _shown(value), f"a whole number from {LOWEST} to {HIGHEST}, or nothing"))
        else:
            scores[str(name)] = score
    return scores


def _score(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    match = _SCORE.fullmatch(value.strip() if isinstance(value, str) else repr(value))
    return int(match[1]) if match and LOWEST <= int(match[1]) <= HIGHEST else None


def _notes(found: object, place: str, problems: list[Problem]) -> str:
    if found is None:
        return ""
    if not isinstance(found, str):
        problems.append(Problem(f"{place} notes", _shown(found), "a text"))
        return ""
    notes = found.strip()
    if len(notes) > MAX_NOTES:
        problems.append(
            Problem(f"{place} notes", f"{len(notes):,} characters", f"at most {MAX_NOTES:,}", "the rest was cut off")
        )
    return notes[:MAX_NOTES]


def _shown(found: object) -> str:
    shown = repr(found)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
