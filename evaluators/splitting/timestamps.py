"""Moments and durations as people write them in data and on command lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

_DURATION = re.compile(r"(\d{1,6})\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LATEST_SECOND = 100_000_000_000
"""Larger numbers are milliseconds, unless the data are from after the year 5138."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time. ``at`` bears no zone and is in UTC where ``zoned``; ``day_only``: the time of day is unknown."""

    at: datetime
    zoned: bool
    day_only: bool

    def __str__(self) -> str:
        if self.day_only:
            return self.at.date().isoformat()
        return self.at.isoformat() + ("Z" if self.zoned else "")


def moment(value: object) -> Moment | None:
    """ISO 8601 texts, dates, datetimes, and seconds since 1970; None where ``value`` is nothing of these."""
    if isinstance(value, str):
        text = value.strip()
        try:
            return moment(date.fromisoformat(text))
        except ValueError:
            pass
        try:
            return _of_datetime(datetime.fromisoformat(text))
        except ValueError:
            return None
    if isinstance(value, datetime):
        return _of_datetime(value)
    if isinstance(value, date):
        return Moment(datetime(value.year, value.month, value.day), zoned=False, day_only=True)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _LATEST_SECOND:
        return _of_datetime(datetime.fromtimestamp(value, UTC))
    return None


def duration(text: str) -> timedelta | None:
    """``duration("7d")``: a whole number of seconds, minutes, hours, days or weeks; None for anything else."""
    match = _DURATION.fullmatch(text.strip())
    return timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None


def span(moments: Sequence[Moment]) -> tuple[str, str] | None:
    """The earliest and the latest as text; None where there is none."""
    if not moments:
        return None
    ordered = sorted(moments, key=lambda one: one.at)
    return str(ordered[0]), str(ordered[-1])


def _of_datetime(value: datetime) -> Moment | None:
    if value.tzinfo is None:
        return Moment(value, zoned=False, day_only=False)
    try:
        return Moment(value.astimezone(UTC).replace(tzinfo=None), zoned=True, day_only=False)
    except OverflowError:  # the first and last hours that there are, in another zone
        return None
