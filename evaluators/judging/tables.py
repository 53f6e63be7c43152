"""What the tables about judges have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..absent import Unmeasured, Value
from ..findings import Cell, Table

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


def panel_without_each(
    sides: Iterable[str],
    judges: Sequence[str],
    values_of: Callable[[str, str | None], Sequence[float | None]],
    columns: tuple[str, str],
    what: str,
) -> list[Table]:
    """``values_of(side, judge)``: what the panel without that judge says of each example, None where it says nothing.
    ``columns`` name the side and the mean, ``what`` is the mean in a sentence. None for a panel of one."""
    if len(judges) < 2:
        return []
    rows: list[list[Cell]] = []
    for side in sides:
        for without in (None, *judges):
            told = values_of(side, without)
            values = [value for value in told if value is not None]
            rows.append([side, without or "none", f"{len(values)} of {len(told)}", mean_of(values)])
    note = f"The panel's {what} without one of its judges at a time: a result that hangs on one judge is that judge's."
    return [Table.of("Panel without one judge", note, (columns[0], "left out", "scored", columns[1]), rows)]


def prompt_table(text: str, note: str) -> Table:
    """Paragraph by paragraph, since a cell holds no more than so many characters."""
    return Table.of("A judge's prompt", note, ("prompt",), [[paragraph] for paragraph in text.split("\n\n")])
