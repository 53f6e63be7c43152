"""What the tables about judges have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..absent import Unmeasured, Value
from ..findings import Table

SHOWN = 10
"""Telling examples that are shown of each kind."""

MOST_CHARACTERS = 400
"""Of an answer or a rationale."""


def short(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "\u2026"


def mean_of(values: Iterable[float]) -> float | None:
    some = list(values)
    return round(sum(some) / len(some), 3) if some else None


def passed_of(values: Sequence[Value]) -> str:
    """Of controls; those that could not be made or judged are no passes."""
    passed = sum(value for value in values if not isinstance(value, Unmeasured))
    return f"{round(passed, 2):g} of {len(values)}"


def alpha_of(both: Sequence[tuple[float, float]]) -> float | None:
    """Krippendorff's, ordinal, of what two judges said of the same."""
    if not both:
        return None
    from ..statistics.agreement import krippendorff_alpha

    value = krippendorff_alpha(list(zip(*both, strict=True)), "ordinal")
    return None if isinstance(value, Unmeasured) else round(value, 3)


def prompt_table(text: str, note: str) -> Table:
    """Paragraph by paragraph, since a cell holds no more than so many characters."""
    return Table.of("A judge's prompt", note, ("prompt",), [[paragraph] for paragraph in text.split("\n\n")])
