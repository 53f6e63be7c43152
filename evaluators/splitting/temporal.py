"""The temporal split: a strict cut, an embargo before it, and no row of which it is not known on which side it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import time, timedelta

from ..datasets import MAX_PROBLEMS, Dataset
from ..errors import DatasetError, Problem
from .settings import PARTS, Part, Side, SplitSettings
from .timestamps import Moment, duration, moment


def by_time(dataset: Dataset, settings: SplitSettings) -> tuple[list[Side], list[str], Mapping[Part, str]]:
    """Sides, reasons, and the first moment of each later part.

    Test is what is at the cut or later; without a cut, the latest share of the rows. Validation is the latest of what
    is left. Raises DatasetError for timestamps that are missing or none, or that leave open on which side a row lies.
    """
    moments = moments_of(dataset, settings.column)
    where = _place(dataset, settings.column)
    cut = moment(settings.cut) if settings.cut is not None else None
    zoned = {one.zoned for one in (*moments, *([] if cut is None else [cut])) if not one.day_only}
    if len(zoned) > 1:
        found = "some moments have a time zone and some have none" + ("" if cut is None else ", the cut among them")
        raise DatasetError(Problem(where, found, "all with a zone, or all without"))
    test = cut or _latest(moments, settings.test_share * len(moments), where)
    boundaries: dict[Part, Moment] = {"test": test}
    if settings.validation_share:
        earlier = [one for one in moments if one.at < test.at]
        boundaries["validation"] = _latest(earlier, settings.validation_share * len(moments), where)
    for part, boundary in boundaries.items():
        _refuse_open_days(moments, boundary, f"{where}: {part} from {boundary}")
    embargo = (duration(settings.embargo) if settings.embargo else None) or timedelta()
    placed: list[Side] = [_placed(one, boundaries, embargo) for one in moments]
    reasons = [f"within the embargo of {settings.embargo}" if side == "set aside" else "" for side in placed]
    return placed, reasons, {part: str(boundary) for part, boundary in boundaries.items()}


def moments_of(dataset: Dataset, column: str) -> list[Moment]:
    """The moment of every row. Raises DatasetError where some have none."""
    found = [moment(example.row.get(column)) for example in dataset.examples]
    known = [one for one in found if one is not None]
    if len(known) == len(found):
        return known
    wrong = [example for example, one in zip(dataset.examples, found, strict=True) if one is None]
    problems = [
        Problem(
            f"{_place(dataset, column)} example {example.id!r}",
            "no value" if example.row.get(column) in (None, "") else f"{str(example.row.get(column))[:60]!r}",
            "a moment: ISO 8601, or seconds since 1970",
            "" if at else "a row of unknown time could tell the past of the future: date it, or leave it out",
        )
        for at, example in enumerate(wrong[:MAX_PROBLEMS])
    ]
    if len(wrong) > MAX_PROBLEMS:
        problems.append(Problem(_place(dataset, column), f"{len(wrong) - MAX_PROBLEMS} more rows without a moment"))
    raise DatasetError(*problems)


def _latest(moments: Sequence[Moment], count: float, where: str) -> Moment:
    """The first moment of the latest ``count``. Raises DatasetError where a row before it has the same."""
    ordered = sorted(moments, key=lambda one: one.at)
    place = len(ordered) - max(1, round(count))
    if place < 1:
        raise DatasetError(Problem(where, f"{len(ordered)} rows are too few for the parts asked for", "more rows"))
    if ordered[place - 1].at != ordered[place].at:
        return ordered[place]
    tied = sum(one.at == ordered[place].at for one in ordered)
    found = f"{tied} rows at {ordered[place]}, where the cut would have to be"
    raise DatasetError(Problem(where, found, "no equal timestamps on both sides", "say --cut, or another share"))


def _refuse_open_days(moments: Sequence[Moment], boundary: Moment, where: str) -> None:
    """A day without a time of day lies on both sides of a cut within it."""
    if boundary.at.time() == time():
        return
    count = sum(one.day_only and one.at.date() == boundary.at.date() for one in moments)
    if count:
        found = f"{count} rows of that day have no time of day"
        raise DatasetError(Problem(where, found, "times, or a cut between two days"))


def _placed(one: Moment, boundaries: Mapping[Part, Moment], embargo: timedelta) -> Side:
    if any(boundary.at - embargo <= one.at < boundary.at for boundary in boundaries.values()):
        return "set aside"
    begun: list[Side] = [part for part in PARTS if part in boundaries and one.at >= boundaries[part].at]
    return begun[-1] if begun else "train"


def _place(dataset: Dataset, column: str) -> str:
    return f"{dataset.path} column {column!r}"
