"""What people see of each rated pair: what every rater chose, and what they wrote beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..showing import Note, Shown
from .panel import Panel
from .ratings import Rating, text_key


def shown_pairs(panel: Panel, answered: Sequence[Shown]) -> list[Shown]:
    """``answered``: what the models were asked and said, in the order of the panel's examples."""
    by_texts: dict[frozenset[str], list[Rating]] = {}
    for rating in panel.ratings:
        if not rating.empty or rating.notes.strip():
            by_texts.setdefault(rating.texts, []).append(rating)
    found: list[Shown] = []
    for at, one in enumerate(answered):
        ratings = by_texts.get(panel.pair_key(at), ())
        notes = (
            Note(rating.rater, f"candidate beside {panel.against}", _said(panel, at, rating)) for rating in ratings
        )
        found.append(replace(one, notes=tuple(notes)))
    return found


def _said(panel: Panel, at: int, rating: Rating) -> str:
    """Which side a model's answer was on is the rater's affair; here it goes by its name again."""
    notes = rating.notes.strip()
    if rating.choice is None:
        chose = "no choice"
    elif rating.choice == "tie":
        chose = "a tie"
    else:
        ours = text_key(panel.prompts[at], str(panel.pair(at)[0]))
        chosen = rating.left if rating.choice == "left" else rating.right
        chose = f"chose the {'candidate' if chosen == ours else panel.against}"
    return f"{chose}: {notes}" if notes else chose
