"""Parts of a decision record, from what was decided, measured and pinned.

rule_record(result, 0), measurement_record(measurement), model_record(pin, facts)
"""

from __future__ import annotations

from collections.abc import Mapping

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.measurement import Measured, Measurement

from ..deciding import Check, Review, RuleResult
from ..pins import ModelPin
from ..record import (
    CheckRecord,
    ComparisonRecord,
    EstimateRecord,
    LookRecord,
    MeasuredRecord,
    MeasurementRecord,
    ModelRecord,
    ReviewRecord,
    RuleRecord,
    UnitsRecord,
    UnmeasuredRecord,
)
from .looks import Levels
from .states import Decided


def measured_record(measured: Measured) -> MeasuredRecord:
    if isinstance(measured, Unmeasured):
        return UnmeasuredRecord(unmeasured=measured.reason)
    return EstimateRecord(
        value=measured.value,
        low=measured.interval.low,
        high=measured.interval.high,
        n=measured.n,
        clusters=measured.clusters,
        method=measured.method,
        standard_error=measured.standard_error,
        warnings=measured.warnings,
    )


def measurement_record(measurement: Measurement) -> MeasurementRecord:
    return MeasurementRecord(
        metric=measurement.metric,
        higher_is_better=measurement.higher_is_better,
        unit=measurement.unit,
        slice=dict(measurement.slice),
        subject=measurement.subject,
        confidence=measurement.confidence,
        planned=measurement.planned,
        scored=dict(measurement.scored),
        candidate=measured_record(measurement.candidate),
        comparisons={
            role: ComparisonRecord(
                baseline=measured_record(comparison.baseline), difference=measured_record(comparison.difference)
            )
            for role, comparison in measurement.comparisons.items()
        },
    )


def look_record(decided: Decided) -> LookRecord | None:
    levels = decided.levels
    if levels is None or len(levels.shares) == 1:
        return None
    return LookRecord(
        shares=levels.shares,
        at=levels.at,
        stopped=decided.stopped,
        units=tuple(
            UnitsRecord(evaluator=evaluator, slice=dict(slice_by), units=units)
            for (evaluator, slice_by), units in levels.units.items()
        ),
        unasked=decided.unasked,
    )


def levels_of(look: LookRecord | None) -> Levels | None:
    """What `look_record` was made of."""
    if look is None:
        return None
    units = {(one.evaluator, tuple(sorted(one.slice.items()))): one.units for one in look.units}
    return Levels(look.at, look.shares, units)


def review_record(review: Review | None) -> ReviewRecord | None:
    if review is None:
        return None
    return ReviewRecord(verdict=review.verdict, reviewer=review.reviewer, reason=review.reason)


def rule_record(result: RuleResult, measurement: int | None) -> RuleRecord:
    return RuleRecord(
        index=result.index,
        text=result.rule.text,
        metric=result.rule.metric,
        severity=result.rule.severity,
        outcome=result.outcome,
        sentence=result.sentence,
        checks=tuple(_check_record(check) for check in result.checks),
        settings=result.rule.model_dump(mode="json"),
        measurement=measurement,
    )


def _check_record(check: Check) -> CheckRecord:
    return CheckRecord(
        against=check.against,
        bound=check.bound,
        side=check.side,
        measured=measured_record(check.measured),
        outcome=check.outcome,
        needed=check.needed,
        slice=dict(check.slice),
        confidence=check.confidence,
    )


def model_record(pin: ModelPin, facts: Mapping[str, str | int | float | bool | None]) -> ModelRecord:
    return ModelRecord(
        role=pin.role,
        label=pin.label,
        uri=pin.uri,
        name=pin.name,
        version=pin.version,
        run_id=pin.run_id,
        origin=pin.origin,
        layout=pin.files.layout,
        digest=pin.files.digest,
        files_digest=pin.files.files_digest,
        facts=dict(facts),
    )
