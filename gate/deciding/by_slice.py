"""A rule on every value of a column: it passes where all pass, and fails where one fails though many were looked at.

That all pass is claimed only where each passes by itself, so looking at more values makes it no easier (Berger 1982,
Technometrics 24:295-300: an intersection-union test keeps its level without a correction). That one fails is claimed
more often by chance the more values there are: at 95 % confidence, one of twenty fails of itself. So failing is decided
over all comparisons, values times baselines, by Holm's step-down (Holm 1979, Scandinavian Journal of Statistics
6:65-70): of m comparisons the first fails at the level alpha / m, a second at alpha / (m - 1), and so on. The first
step alone tells whether the rule fails; the others tell which values do.

A comparison fails at a level where its interval at that confidence lies wholly on the bad side. One that does so at the
rule's own level alone is inconclusive: it does not pass, and is no proof.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.measurement import Measurement

from ..gate_file.rules import Rule
from .comparing import checks_of, not_measured
from .naming import counted_names
from .terms import Check, MeasuredSlice, Sliced, SlicedMeasurement


def slices_for(rule: Rule, measurement: Measurement | None) -> Sliced | None:
    """What was measured on each value of the column that the rule names, as it asks for it."""
    if rule.slices is None or not isinstance(measurement, SlicedMeasurement):
        return None
    wanted = (rule.slices, rule.least_n)
    return next((one for one in measurement.sliced if (one.column, one.least) == wanted), None)


def slice_checks(rule: Rule, sliced: Sliced, has_champion: bool) -> tuple[Check, ...]:
    """In the order of the values; of each, one for every baseline that the rule names."""
    own = _own(rule, sliced, has_champion)
    if not own:
        found = f", {counted_names(sliced.few)}" if sliced.few else ""
        return (not_measured(f"no value of {sliced.column!r} has {sliced.least} examples{found}"),)
    if rule.confidence == "none":
        return tuple(one.check for one in own)
    steps = _step_down(rule, own, has_champion)
    return tuple(_decided(one, at, steps) for at, one in enumerate(own))


def open_step(rule: Rule, sliced: Sliced, has_champion: bool) -> tuple[int, tuple[str, ...]] | None:
    """What `slice_checks` lacks: so many comparisons are allowed for at the next step, and these values must be
    measured at its level. None where nothing is lacking."""
    if rule.confidence == "none":
        return None
    own = _own(rule, sliced, has_champion)
    steps = _step_down(rule, own, has_champion)
    lacking = dict.fromkeys(own[at].of.value for at, check in steps.left.items() if check is None)
    return (steps.comparisons, tuple(lacking)) if lacking else None


@dataclass(frozen=True, slots=True)
class _Own:
    """A comparison at the rule's own level."""

    of: MeasuredSlice
    check: Check


@dataclass(frozen=True, slots=True)
class _Steps:
    """Where Holm's step-down ended, by position: what ``failed``, each at the level of its step, and what is ``left``
    of those that fail by themselves, at the last step, which allowed for so many ``comparisons``. None: not measured
    at that level."""

    failed: Mapping[int, Check]
    left: Mapping[int, Check | None]
    comparisons: int


def _own(rule: Rule, sliced: Sliced, has_champion: bool) -> list[_Own]:
    return [
        _Own(one, replace(check, slice={sliced.column: one.value}))
        for one in sliced.slices
        for check in checks_of(rule, one.measurement, has_champion)
    ]


def _step_down(rule: Rule, own: Sequence[_Own], has_champion: bool) -> _Steps:
    """All that fail at the level of a step are taken at once: Holm takes them one by one, at levels that only grow."""
    suspects = [at for at, one in enumerate(own) if one.check.outcome == "failed"]
    failed: dict[int, Check] = {}
    while True:
        comparisons = len(own) - len(failed)
        left = {at: _at_level(rule, own[at], comparisons, has_champion) for at in suspects if at not in failed}
        failing = {at: check for at, check in left.items() if check is not None and check.outcome == "failed"}
        if not failing:
            return _Steps(failed, left, comparisons)
        failed |= failing


def _at_level(rule: Rule, own: _Own, comparisons: int, has_champion: bool) -> Check | None:
    if comparisons == 1:
        return own.check
    measurement = own.of.stricter.get(comparisons)
    if measurement is None:
        return None
    found = next(one for one in checks_of(rule, measurement, has_champion) if one.against == own.check.against)
    return replace(found, slice=own.check.slice, confidence=measurement.confidence)


def _decided(own: _Own, at: int, steps: _Steps) -> Check:
    if at in steps.failed:
        return steps.failed[at]
    if at not in steps.left:
        return own.check
    check = steps.left[at]
    if check is None:
        reason = f"it fails by itself, and was not measured at the level of {steps.comparisons} comparisons"
        return replace(own.check, measured=Unmeasured(reason), outcome="unmeasured")
    return check if check.outcome == "unmeasured" else replace(check, outcome="inconclusive")
