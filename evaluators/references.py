"""What answers are compared with: references read from a column, and the text of an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from .absent import Unmeasured, Value
from .asking import Answer, Generation, unanswered
from .datasets import Dataset
from .errors import Problem

NO_REFERENCE = Unmeasured("the example has no reference")
MAX_CHARACTERS = 1 << 18
"""Of an answer: many times what the most tokens that can be asked for hold. A server may send anything."""


def references_of(cell: object) -> tuple[str, ...]:
    """The references in a cell: a text, or a list of texts of which each is right. Empty texts are none."""
    return tuple(one for one in _listed(cell) if isinstance(one, str) and one.strip())


def reference_problems(where: str, dataset: Dataset, column: str) -> list[Problem]:
    """Rows of ``dataset`` without a usable reference in ``column``. ``where`` names the setting that wants it."""
    place = f"{where}: dataset {dataset.name!r} ({dataset.path})"
    if column not in dataset.columns:
        return [Problem(place, f"no column {column!r}", f"one of {', '.join(dataset.columns)}")]
    wrong = [example for example in dataset.examples if not _all_texts(example.row.get(column))]
    problems = [
        Problem(
            f"{place} example {example.id!r}",
            f"{column}={example.row.get(column)!r}"[:200],
            "a text, or a list of texts, none of them empty",
            "correct the row or leave it out",
        )
        for example in wrong[:5]
    ]
    if len(wrong) > 5:
        problems.append(Problem(place, f"{len(wrong) - 5} more rows without a reference in {column!r}"))
    return problems


def text_of(answer: Answer) -> str | Unmeasured:
    """What a model wrote. An empty text is an answer, and a bad one. Unmeasured are no answer, and one that is longer
    than MAX_CHARACTERS."""
    if not isinstance(answer, Generation):
        return unanswered(answer, "the model wrote no text")
    if len(answer.text) > MAX_CHARACTERS:
        return Unmeasured(f"an answer of {len(answer.text)} characters; at most {MAX_CHARACTERS} are read")
    return answer.text


def compare_each(
    names: Sequence[str],
    answers: Sequence[Answer],
    cells: Sequence[object],
    compare: Callable[[str, tuple[str, ...]], Sequence[Value]],
) -> Mapping[str, Sequence[Value]]:
    """Components ``names``, by ``compare(text, references)`` for each answer and the cell of its references; unmeasured
    where one of them is missing."""
    rows: list[Sequence[Value]] = []
    for answer, cell in zip(answers, cells, strict=True):
        text, references = text_of(answer), references_of(cell)
        if isinstance(text, Unmeasured):
            rows.append([text] * len(names))
        else:
            rows.append(compare(text, references) if references else [NO_REFERENCE] * len(names))
    return {name: [row[at] for row in rows] for at, name in enumerate(names)}


def _all_texts(cell: object) -> bool:
    return 0 < len(_listed(cell)) == len(references_of(cell))


def _listed(cell: object) -> list[object]:
    return cast("list[object]", cell) if isinstance(cell, list) else [cell]
