"""What a rater is shown: pairs of answers, in an order and on sides of the rater's own, and no word of whose is whose.

    sheet = make_sheet("support-bot", evaluator.pairs(data, answers), "ana", evaluator.criteria, evaluator.instructions)
    rating_of(sheet.items[0], sheet.rater, "left", {"accuracy": 4}, {"accuracy": 2})

On which side a text stands depends on seed, rater, example and the texts, and never on which model wrote it: were all
answers swapped between the models, every sheet would be the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import ConfigurationError, Problem
from .ratings import HIGHEST, LOWEST, MAX_NOTES, Preferred, Rating, rater_problem, text_key


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt. ``first`` is the candidate's, ``second`` the baseline's: never shown as that."""

    example: str
    prompt: str
    first: str
    second: str
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One pair as its rater sees it. ``id`` is opaque: a digest of rater, seed and texts in a fixed order, so that it
    says nothing about the sides."""

    id: str
    example: str
    prompt: str
    left: str
    right: str
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """Everything one rater is asked. ``criteria`` are scored from 1 to 5 for each side; none: only the choice."""

    title: str
    rater: str
    criteria: tuple[str, ...]
    instructions: str
    items: tuple[Item, ...]


def make_sheet(
    title: str, pairs: Sequence[Pair], rater: str, criteria: Sequence[str] = (), instructions: str = "", seed: int = 0
) -> Sheet:
    """One item for each pair of different texts: equal ones tie without a rating, and what is the same pair again is
    shown once. The same arguments make the same sheet. Raises ConfigurationError for a name that no rater can have."""
    problem = rater_problem(rater)
    if problem is not None:
        raise ConfigurationError(Problem("rater", repr(rater)[:100], problem))
    items: dict[str, Item] = {}
    for pair in pairs:
        if pair.first != pair.second:
            item = _item(pair, rater, seed)
            items.setdefault(item.id, item)
    in_order = sorted(items.values(), key=lambda item: _digest(seed, rater, item.example, "order", item.id))
    return Sheet(title, rater, tuple(criteria), instructions, tuple(in_order))


def rating_of(
    item: Item,
    rater: str,
    choice: Preferred | None,
    left_scores: Mapping[str, int] | None = None,
    right_scores: Mapping[str, int] | None = None,
    notes: str = "",
) -> Rating:
    """What ``rater`` said of ``item``. Notes are cut to `MAX_NOTES`.

    Raises ValueError for a choice, score or name that `read_ratings` would not take back.
    """
    problem = rater_problem(rater)
    if problem is not None:
        raise ValueError(problem)
    if choice not in ("left", "right", "tie", None):
        raise ValueError("a choice is left, right, tie or none")
    scores = (dict(left_scores or {}), dict(right_scores or {}))
    if any(type(score) is not int or not LOWEST <= score <= HIGHEST for side in scores for score in side.values()):
        raise ValueError(f"a score is a whole number from {LOWEST} to {HIGHEST}")
    # half a surrogate pair cannot be written as UTF-8
    kept = notes[:MAX_NOTES].encode("utf-8", "replace").decode()
    left, right = (text_key(item.prompt, answer) for answer in (item.left, item.right))
    return Rating(item.example, rater, left, right, choice, *scores, kept)


def _item(pair: Pair, rater: str, seed: int) -> Item:
    keys = {text_key(pair.prompt, answer): answer for answer in (pair.first, pair.second)}
    left, right = sorted(keys, key=lambda key: _digest(seed, rater, pair.example, "side", key))
    identity = _digest(seed, rater, *sorted(keys))[:32]
    return Item(identity, pair.example, pair.prompt, keys[left], keys[right], pair.reference)


def _digest(*parts: str | int) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
