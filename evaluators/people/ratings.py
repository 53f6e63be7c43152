"""Ratings: what people said of two answers, in one line of JSON each.

    {"id": "5f1c...", "example": "17", "rater": "ana", "left": "9b0d...", "right": "c41e...", "choice": "left",
     "left_scores": {"accuracy": 4}, "right_scores": {"accuracy": 2}, "notes": "the right one invents a fee"}

``left`` and ``right`` are keys of texts, made of prompt and answer (`text_key`): a line says nothing about whose answer
was whose, and speaks of exactly the texts that its rater saw. Ratings of other texts do not count.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from ..asking import Prompt
from ..datasets import Dataset, Row
from ..errors import Problem

Preferred = Literal["left", "right", "tie"]

LOWEST, HIGHEST = 1, 5
"""The scale of every criterion."""

MAX_NOTES = 4_000
"""Characters of a note that are kept."""

_CHOICES: tuple[Preferred, ...] = get_args(Preferred)
_RATER = re.compile(r"[\w.@-](?:[\w .@-]{0,62}[\w.@-])?")
_NAMES = "1 to 64 letters, digits, spaces inside, and . _ - @"
_KEY = re.compile(r"[0-9a-f]{32}")
_SHOWN = 5
"""Faults that are told one by one."""


@dataclass(frozen=True, slots=True)
class Rating:
    """One rater on one pair. Any part may be missing: ``choice`` None, a criterion not in ``..._scores``."""

    example: str
    rater: str
    left: str
    right: str
    choice: Preferred | None = None
    left_scores: Mapping[str, int] = field(default_factory=dict[str, int])
    right_scores: Mapping[str, int] = field(default_factory=dict[str, int])
    notes: str = ""

    @property
    def texts(self) -> frozenset[str]:
        """Keys of the two texts, whichever side they were on."""
        return frozenset((self.left, self.right))

    @property
    def empty(self) -> bool:
        """Whether it says nothing that could be counted, as one that was begun and not finished."""
        return self.choice is None and not self.left_scores and not self.right_scores


def text_key(prompt: str, answer: str) -> str:
    """What stands for an answer to a prompt in ratings: 128 bits of SHA-256. ``prompt`` is the text that people see."""
    return hashlib.sha256(json.dumps([prompt, answer]).encode()).hexdigest()[:32]


def seen_prompt(prompt: Prompt) -> str:
    """What people see of a prompt: the user's message, without the system's."""
    return prompt if isinstance(prompt, str) else prompt[-1].content


def rater_problem(name: str) -> str | None:
    """What is wrong with a rater's name; None where nothing is."""
    if _RATER.fullmatch(name):
        return None
    return f"a rater's name is {_NAMES}"


def read_ratings(dataset: Dataset) -> tuple[Rating, ...]:
    """Every rating in ``dataset``, in its order. Of two by one rater on one pair of texts the later counts, alone. Rows
    that are no ratings, and scores off the scale, are left out: `rating_problems` names them."""
    found: dict[tuple[str, frozenset[str]], Rating] = {}
    for example in dataset.examples:
        if next(_row_faults(example.row), None) is None:
            rating = _rating(example.row)
            found.pop((rating.rater, rating.texts), None)
            found[rating.rater, rating.texts] = rating
    return tuple(found.values())


def rating_problems(where: str, dataset: Dataset, criteria: Iterable[str]) -> list[Problem]:
    """Rows of ``dataset`` that are no ratings, and scores of ``criteria`` that are off the scale. Scores of other
    criteria are nobody's business here. ``where`` names the setting that wants the ratings."""
    place = f"{where}: dataset {dataset.name!r} ({dataset.path})"
    wanted = tuple(criteria)
    problems = [
        Problem(f"{place} rating {example.id!r}", found, expected, "correct the line or leave it out")
        for example in dataset.examples
        for found, expected in (*_row_faults(example.row), *_score_faults(example.row, wanted))
    ]
    if len(problems) > _SHOWN:
        return [*problems[:_SHOWN], Problem(place, f"{len(problems) - _SHOWN} more faults in ratings")]
    return problems


def rating_line(rating: Rating) -> dict[str, object]:
    """What a line of the file holds, as JSON values. ``id`` is made of example, rater and texts, whichever side they
    were on: a rating that is given again has the id of the one that it takes the place of."""
    content = json.dumps([rating.example, rating.rater, sorted(rating.texts)])
    return {
        "id": hashlib.sha256(content.encode()).hexdigest()[:32],
        "example": rating.example,
        "rater": rating.rater,
        "left": rating.left,
        "right": rating.right,
        "choice": rating.choice,
        "left_scores": dict(rating.left_scores),
        "right_scores": dict(rating.right_scores),
        "notes": rating.notes,
    }


def _rating(row: Row) -> Rating:
    """Of a row without faults."""
    return Rating(
        str(row["example"]),
        str(row["rater"]),
        str(row["left"]),
        str(row["right"]),
        cast("Preferred | None", row.get("choice")),
        _scores(row.get("left_scores")),
        _scores(row.get("right_scores")),
        str(row.get("notes") or ""),
    )


def _scores(cell: object) -> dict[str, int]:
    given = cast("Mapping[str, object]", cell or {})
    return {name: cast("int", score) for name, score in given.items() if _on_scale(score)}


def _on_scale(score: object) -> bool:
    return type(score) is int and LOWEST <= score <= HIGHEST


def _row_faults(row: Row) -> Iterator[tuple[str, str]]:
    """What was found and what was expected, of everything in ``row`` but the scores' values."""
    rater, left, right, choice = (row.get(name) for name in ("rater", "left", "right", "choice"))
    if isinstance(row.get("example"), bool) or not isinstance(row.get("example"), (str, int)):
        yield f"example={row.get('example')!r}"[:200], "the id of an example"
    if not isinstance(rater, str) or rater_problem(rater) is not None:
        yield f"rater={rater!r}"[:200], f"a name of {_NAMES}"
    for side, key in (("left", left), ("right", right)):
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            yield f"{side}={key!r}"[:200], "the key of a text, 32 hexadecimal digits"
    if isinstance(left, str) and left == right:
        yield f"left and right are both {left!r}"[:200], "two different texts"
    if choice is not None and choice not in _CHOICES:
        yield f"choice={choice!r}"[:200], "left, right, tie, or null"
    for name in ("left_scores", "right_scores"):
        if not isinstance(row.get(name) or {}, dict):
            yield f"{name}={row.get(name)!r}"[:200], 'scores by criterion, such as {"accuracy": 4}'
    if not isinstance(row.get("notes") or "", str):
        yield f"notes={row.get('notes')!r}"[:200], "a text"


def _score_faults(row: Row, criteria: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name in ("left_scores", "right_scores"):
        given = row.get(name)
        if not isinstance(given, dict):
            continue
        for criterion in criteria:
            score = given.get(criterion)
            if score is not None and not _on_scale(score):
                yield f"{name}.{criterion}={score!r}"[:200], f"a whole number from {LOWEST} to {HIGHEST}, or null"
