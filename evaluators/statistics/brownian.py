"""Brownian motion that is looked at now and then: how likely it crosses a boundary first at a given look.

The z statistic of a growing sample, times the root of its information fraction t, moves (for large samples) as
Brownian motion with drift: mean ``drift`` t, variance t, independent increments. The density of the paths that have
crossed nothing so far is carried from look to look by numerical integration.

Sources: Armitage, McPherson & Rowe 1969, JRSS A 132:235-244; Jennison & Turnbull 2000, Group Sequential Methods,
chapter 19. The quadrature is Gauss-Legendre on panels of equal width, fine enough for boundaries to 1e-10.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, log, pi, sqrt
from sys import float_info
from typing import Any, cast

import numpy as np

from .estimate import FloatArray

_REACH = 9.0  # standard deviations on either side of the mean; 1e-19 of the paths are outside
_PANEL = 4.0  # width of a panel, in standard deviations of the narrower of the steps before and after it
_NODES = 14  # of each panel
_CLOSE = 1e-12  # of a logarithm of a probability


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """``Walk.from_zero(drift=2.5).kept(-1.0, 2.96, at=0.5, then=1.0).above(1.97, at=1.0)``: the paths still inside.

    ``positions`` and ``masses``, both (n,), are nodes and weights at ``time``: a sum over the masses is an integral
    over the paths that are still inside. Boundaries are on the z scale, positions are z times the root of the time.
    ``low`` may be -inf and ``high`` inf.
    """

    drift: float
    time: float
    positions: FloatArray
    masses: FloatArray

    @classmethod
    def from_zero(cls, drift: float = 0.0) -> Walk:
        return cls(drift, 0.0, np.zeros(1), np.ones(1))

    def above(self, bound: float, at: float) -> float:
        """Share of all paths that are inside so far and stand above the bound at the next look."""
        return self._beyond(bound, at, side=1)

    def below(self, bound: float, at: float) -> float:
        """Share of all paths that are inside so far and stand below the bound at the next look."""
        return self._beyond(bound, at, side=-1)

    def upper(self, share: float, at: float) -> float:
        """The bound with ``above(bound, at) == share``, for 0 < share < the mass that is left."""
        return self._bound(share, at, side=1)

    def lower(self, share: float, at: float) -> float:
        """The bound with ``below(bound, at) == share``, for 0 < share < the mass that is left."""
        return self._bound(share, at, side=-1)

    def kept(self, low: float, high: float, at: float, then: float) -> Walk:
        """The paths between ``low`` and ``high`` at the next look. ``then`` is the look after it: the mesh is made
        fine enough for the step there."""
        root, step = sqrt(at), at - self.time
        mean = self.drift * root
        bottom, top = max(low, mean - _REACH) * root, min(high, mean + _REACH) * root
        if bottom >= top:
            return Walk(self.drift, at, np.zeros(0), np.zeros(0))
        panels = ceil((top - bottom) / (_PANEL * sqrt(min(step, then - at))))
        positions, weights = _mesh(bottom, top, panels)
        distances = (positions[:, None] - self.positions - self.drift * step) / sqrt(step)
        density = np.exp(-0.5 * distances * distances) @ self.masses / sqrt(2 * pi * step)
        return Walk(self.drift, at, positions, weights * density)

    def _beyond(self, bound: float, at: float, side: int) -> float:
        step = at - self.time
        distances = (self.positions + self.drift * step - bound * sqrt(at)) / sqrt(step)
        return float(self.masses @ _normal_cdf(side * distances))

    def _bound(self, share: float, at: float, side: int) -> float:
        def excess(outward: float) -> float:
            return log_ratio(self._beyond(side * outward, at, side), share)

        centre = side * self.drift * sqrt(at)
        return side * falling_root(excess, centre - _REACH, centre + _REACH)


def falling_root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function, >= 0 at ``low`` and <= 0 at ``high``, is 0: to 1e-12 of its value, or as near as its
    argument can be told apart.

    Regula falsi with the Illinois step: an end that stays twice running counts half. Source: Dowell & Jarratt 1971,
    BIT 11:168-174.
    """
    at_low, at_high = function(low), function(high)
    if at_low <= _CLOSE:
        return low
    if at_high >= -_CLOSE:
        return high
    moved = ""
    for _ in range(200):
        guess = (low * at_high - high * at_low) / (at_high - at_low)
        value = function(guess)
        if abs(value) <= _CLOSE or guess in (low, high):
            return guess
        if value > 0:
            low, at_low = guess, value
            at_high = at_high / 2 if moved == "low" else at_high
            moved = "low"
        else:
            high, at_high = guess, value
            at_low = at_low / 2 if moved == "high" else at_low
            moved = "high"
    return (low + high) / 2


def log_ratio(found: float, wanted: float) -> float:
    """log(found / wanted), nearly a parabola where both are tails of a normal; at the least number where found is 0."""
    return log(max(found, float_info.min) / wanted)


def _mesh(bottom: float, top: float, panels: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights, both (panels * _NODES,), of Gauss-Legendre quadrature from bottom to top."""
    nodes, weights = _unit_rule()
    width = (top - bottom) / panels
    starts = bottom + width * np.arange(panels)
    return (starts[:, None] + width * nodes).ravel(), np.tile(width * weights, panels)


@lru_cache(maxsize=1)
def _unit_rule() -> tuple[FloatArray, FloatArray]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return (nodes + 1) / 2, weights / 2


def _normal_cdf(values: FloatArray) -> FloatArray:
    from scipy import special  # pyright: ignore[reportMissingTypeStubs]

    function: Any = special.ndtr  # compiled, without type information
    return cast(FloatArray, function(values))
