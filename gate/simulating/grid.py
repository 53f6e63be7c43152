"""At which differences to look, and what rules would say of the truth there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.detectable import ASSUMED_DISCORDANCE, POWER
from finetune_gate.evaluators.measurement import Measurement
from finetune_gate.evaluators.statistics import planned_error, smallest_detectable

from ..deciding import Check, Circumstances, decide
from ..gate_file import Rule
from .selection import Source
from .truth import true_measurement

_LARGEST = 1.0
_LARGEST_STEP = 0.2
_STEPS = 60


@dataclass(frozen=True, slots=True)
class Truth:
    """Of the simulated rules, as `decide` would see it."""

    source: Source
    today: date

    def checks(self, difference: float) -> tuple[tuple[Check, ...], ...]:
        """By rule; the measured values are the true ones, Unmeasured where they are not known."""
        gate = self.source.selection.gate
        measurements = {index: self._measurement(rule, difference) for index, rule in enumerate(gate.rules)}
        circumstances = Circumstances("champion" in self.source.roles, (), self.today)
        return tuple(result.checks for result in decide(gate.rules, measurements, circumstances).results)

    def bound_at(self, index: int) -> float | None:
        """The difference at which the rule lies just on its bound, by the check that is hardest; None where there is
        none, or the truth is not known. By bisection: what is true grows or falls with the difference, and never
        turns."""
        low, high = -_LARGEST, _LARGEST
        below, above = self._room(low, index), self._room(high, index)
        if below is None or above is None or (below < 0) == (above < 0):
            return None
        for _ in range(_STEPS):
            middle = (low + high) / 2
            room = self._room(middle, index)
            if room is None:
                return None
            low, high = (middle, high) if (room < 0) == (below < 0) else (low, middle)
        return round(high if below < 0 else low, 12)

    def _room(self, difference: float, index: int) -> float | None:
        """How far the hardest check is from its bound, below 0 on the bad side."""
        found = [good_by(check) for check in self.checks(difference)[index]]
        known = [one for one in found if one is not None]
        return min(known) if len(known) == len(found) else None

    def _measurement(self, rule: Rule, difference: float) -> Measurement:
        title, _, name = rule.metric.partition(".")
        population = next(one for one in self.source.populations if one.title == title)
        metric = next(one for one in self.source.selection.gate.evaluators[title].metrics() if one.name == name)
        return true_measurement(rule, metric, population, difference)


def good_by(check: Check) -> float | None:
    """How far the value lies on the good side of the bound; below 0 on the bad one. None where there is none."""
    if isinstance(check.measured, Unmeasured):
        return None
    value = check.measured.value - check.bound
    return value if check.side == "at least" else -value


def default_differences(source: Source, bounds: Sequence[float | None], units: int) -> tuple[float, ...]:
    """Five around no difference and three around the bound of every blocking rule, a step apart. The step is the
    farthest that a rule about changes lets a candidate fall behind, or what ``units`` examples (clusters) can show,
    where none does."""
    rules = source.selection.gate.rules
    exact = {at for rule, at in zip(rules, bounds, strict=True) if at is not None and rule.severity == "block"}
    changes = [
        abs(at)
        for rule, at in zip(rules, bounds, strict=True)
        if at and abs(at) <= _LARGEST_STEP and rule.of_change and rule.severity == "block"
    ]
    step = max(changes, default=0.0)
    if not step:
        shown = smallest_detectable(planned_error(ASSUMED_DISCORDANCE, max(2, units)), 0.95, POWER)
        step = float(f"{shown:.1g}")
    found = sorted({0.0, *exact})
    around = [times * step for times in (-2, -1, 1, 2)] + [at + way * step for at in sorted(exact) for way in (-1, 1)]
    for one in around:
        if all(abs(one - other) > step / 4 for other in found) and abs(one) < _LARGEST:
            found.append(round(one, 12))
    return tuple(sorted(found))
