"""What a rule could have shown with the examples it had: said of every rule, whatever came of it."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from finetune_gate.evaluators.statistics import MOST_EXAMPLES, smallest_detectable

from ..record import CheckRecord, EstimateRecord, MeasurementRecord, RuleRecord
from .checks import is_change, is_relative
from .numbers import Scale


def power_note(
    rule: RuleRecord, checks: Sequence[CheckRecord], scale: Scale, measurement: MeasurementRecord | None
) -> str | None:
    """The smallest difference that four of five datasets like this one would show, at the rule's confidence, and what
    the declared margin would take. By the largest standard error among its checks; None where there is none, or nothing
    was tested."""
    if measurement is None or is_relative(rule) or rule.settings.get("confidence") == "none":
        return None
    errors = {
        check.measured.standard_error: check.measured.n
        for check in checks
        if isinstance(check.measured, EstimateRecord) and check.measured.standard_error
    }
    if not errors:
        return None
    error = max(errors)
    detectable = smallest_detectable(error, measurement.confidence)
    what = "change" if is_change(rule) else "distance from the bound"
    note = (
        f"{errors[error]:,} examples show a {what} of {scale.change(detectable).lstrip('+')} in four of five datasets"
    )
    margin = rule.settings.get("margin")
    if not isinstance(margin, float) or not 0 < margin < detectable:
        return note
    needed = min(ceil(errors[error] * (detectable / margin) ** 2), MOST_EXAMPLES)
    about = "more than" if needed == MOST_EXAMPLES else "about"
    return f"{note}; the margin of {scale.change(margin).lstrip('+')} takes {about} {needed:,}"
