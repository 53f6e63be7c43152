"""How numbers are written: as many digits as the interval deserves, and equally many for what stands together.

scale = scale_for([candidate, base, difference], bounds=[(difference, -0.02)])
scale.value(candidate.value), scale.change(difference.value), scale.interval(difference, signed=True)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..record import EstimateRecord, MeasuredRecord
from .inert import inert_text

MOST_DECIMALS = 6
_PERCENT = frozenset({"%", "percent"})


@dataclass(frozen=True, slots=True)
class Scale:
    """One way of writing numbers that are read side by side.

    ``percent`` only where the metric's own unit says so: values then end in ``%`` and differences in percentage
    points, ``pp``. Nothing is multiplied: 0.81 stays 0.81. ``relative``: differences are per cent of a value.
    """

    decimals: int = 3
    scientific: bool = False
    percent: bool = False
    relative: bool = False

    @property
    def change_unit(self) -> str:
        """Behind a difference."""
        return "" if not self.percent else " %" if self.relative else " pp"

    def value(self, number: float) -> str:
        return self._plain(number) + (" %" if self.percent else "")

    def change(self, number: float) -> str:
        return self._signed(number) + self.change_unit

    def interval(self, estimate: EstimateRecord, *, signed: bool = False) -> str:
        """``[0.766, 0.849]``, or ``[-0.012, +0.074]`` for a difference."""
        write = self._signed if signed else self._plain
        suffix = self.change_unit if signed else " %" if self.percent else ""
        return f"[{write(estimate.low)}, {write(estimate.high)}]{suffix}"

    def _plain(self, number: float) -> str:
        if number == 0:
            number = 0.0
        if self.scientific:
            return "0" if number == 0 else f"{number:.{self.decimals}e}"
        shown = f"{number:,.{self.decimals}f}"
        return shown[1:] if shown.startswith("-") and not any(digit in shown for digit in "123456789") else shown

    def _signed(self, number: float) -> str:
        shown = self._plain(number)
        nothing = not any(digit in shown.partition("e")[0] for digit in "123456789")
        return shown if nothing or shown.startswith("-") else f"+{shown}"


def scale_for(
    measured: Iterable[MeasuredRecord], *, unit: str = "", bounds: Iterable[tuple[MeasuredRecord, float]] = ()
) -> Scale:
    """The scale of a row: two significant digits of the narrowest interval in it.

    More digits where rounding would put a number on the other side of a bound that it is compared with: an interval
    that ends at 0.7496 must not read 0.750 under the rule ``>= 0.75``.
    """
    estimates = [one for one in measured if isinstance(one, EstimateRecord)]
    percent = unit.strip().casefold() in _PERCENT
    if not estimates:
        return Scale(percent=percent)
    decimals = max(_decimals(estimate) for estimate in estimates)
    largest = max(max(abs(one.low), abs(one.high), abs(one.value)) for one in estimates)
    if largest >= 1e6 or (decimals > MOST_DECIMALS and 0 < largest < 1e-3):
        return Scale(min(max(_exponent(largest) + decimals, 1), MOST_DECIMALS), scientific=True, percent=percent)
    for estimate, bound in bounds:
        while decimals < MOST_DECIMALS and _moves_across(estimate, bound, decimals):
            decimals += 1
    return Scale(min(max(decimals, 0), MOST_DECIMALS), percent=percent)


def bound_text(bound: float, scale: Scale, *, change: bool) -> str:
    """A bound as its author wrote it, signed where it bounds a difference."""
    shown = f"{bound:+g}" if change and bound else f"{bound:g}"
    return shown + (scale.change_unit if change else " %" if scale.percent else "")


def share_text(part: int, whole: int) -> str:
    """``318 of 320``; ``all 320`` where nothing is missing."""
    if not whole:
        return "none"
    return f"all {whole:,}" if part >= whole else f"{part:,} of {whole:,}"


def reason_text(reason: str, *, limit: int = 160) -> str:
    """Why something was not measured, short enough to stand where a number would."""
    return inert_text(reason, limit=limit) or "no reason given"


def _decimals(estimate: EstimateRecord) -> int:
    width = estimate.high - estimate.low
    if width > 0:
        return 1 - _exponent(width)
    return 2 - _exponent(estimate.value) if estimate.value else 0


def _exponent(number: float) -> int:
    """Of ten, after rounding to two digits; by way of text, which rounds alike on every platform."""
    return int(f"{number:.1e}".partition("e")[2])


def _moves_across(estimate: MeasuredRecord, bound: float, decimals: int) -> bool:
    if not isinstance(estimate, EstimateRecord):
        return False
    return any(
        (round(end, decimals) > bound) != (end > bound) or (round(end, decimals) < bound) != (end < bound)
        for end in (estimate.value, estimate.low, estimate.high)
        if end != bound
    )
