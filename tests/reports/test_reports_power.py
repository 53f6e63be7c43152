"""What reports say of a rule's power."""

from __future__ import annotations

import pytest

from finetune_gate.evaluators.statistics import smallest_detectable
from finetune_gate.gate.gate_file import Rule
from finetune_gate.gate.record import CheckRecord, EstimateRecord, MeasurementRecord, RuleRecord, UnmeasuredRecord
from finetune_gate.gate.reports.numbers import Scale
from finetune_gate.gate.reports.power import power_note

SEEN = EstimateRecord(value=-0.01, low=-0.03, high=0.01, n=300, clusters=300, method="t", standard_error=0.012)
MEASUREMENT = MeasurementRecord(
    metric="c.accuracy", higher_is_better=True, unit="", slice={}, confidence=0.95, planned=300, scored={},
    candidate=SEEN, comparisons={},
)  # fmt: skip


def note(measured: EstimateRecord | UnmeasuredRecord = SEEN, **settings: object) -> str | None:
    rule = Rule.model_validate({"metric": "c.accuracy", **settings})
    against = None if "min" in settings else "base"
    check = CheckRecord(
        against=against, bound=-0.02, side="at least", measured=measured, outcome="inconclusive", needed=None
    )
    kept = RuleRecord(
        index=0, text=rule.text, metric=rule.metric, severity="block", outcome="inconclusive", sentence="",
        checks=(check,), settings=rule.model_dump(mode="json"), measurement=0,
    )  # fmt: skip
    return power_note(kept, (check,), Scale(), MEASUREMENT)


def test_a_margin_too_small_for_the_data_is_told_what_it_takes() -> None:
    detectable = smallest_detectable(0.012)
    said = note(min_change=0.0, margin=0.02)
    needed = int(300 * (detectable / 0.02) ** 2) + 1
    assert said == (
        f"300 examples show a change of {detectable:.3f} in four of five datasets; the margin of 0.020 takes about "
        f"{needed:,}"
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"min_change": 0.0, "margin": 0.05}, "300 examples show a change of 0.030 in four of five datasets"),
        ({"min_change": 0.0}, "300 examples show a change of 0.030 in four of five datasets"),
        ({"min": 0.8}, "300 examples show a distance from the bound of 0.030 in four of five datasets"),
        ({"min_change": 0.0, "confidence": "none"}, None),
        ({"min_relative_change": 0.02}, None),
    ],
)
def test_what_is_said(settings: dict[str, object], said: str | None) -> None:
    assert note(**settings) == said


@pytest.mark.parametrize(
    "measured", [UnmeasuredRecord(unmeasured="crashed"), SEEN.model_copy(update={"standard_error": None})]
)
def test_without_a_spread_nothing_is_said(measured: EstimateRecord | UnmeasuredRecord) -> None:
    assert note(measured, min_change=0.0) is None
