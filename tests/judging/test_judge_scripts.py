"""Judges with a flaw, whole runs: each is exposed, and none can make the gate promote."""

from __future__ import annotations

import pytest
from court import Court

from finetune_gate.gate.record import DecisionRecord, EstimateRecord, UnmeasuredRecord

pytestmark = pytest.mark.slow


def against_base(record: DecisionRecord, metric: str) -> EstimateRecord:
    found = next(one for one in record.measurements if one.metric == f"ab_judge.{metric}")
    value = found.candidate if found.subject == "run" else found.comparisons["base"].difference
    assert isinstance(value, EstimateRecord), value
    return value


def test_a_judge_that_prefers_the_first_slot_is_worth_nothing_and_shown_to_be(court: Court) -> None:
    court.judge = "first-slot"
    result = court.run(court.gate(), "1")
    assert against_base(result.record, "win_rate").value == 0.5
    assert against_base(result.record, "flip_rate").value == 1.0
    assert against_base(result.record, "first_slot_preference").value == 1.0
    assert result.record.decision == "hold"
    assert result.record.rules[0].outcome == "unmeasured"
    assert "control_identical is 0" in result.record.rules[0].sentence
    page = (result.folder / "report.html").read_text()
    assert "prefers" in page
    assert "slot" in page


def test_a_judge_that_prefers_length_is_seen_through(court: Court) -> None:
    court.judge = "mostly-longer"
    record = court.run(court.gate(examples=120), "4").record
    assert against_base(record, "win_rate").value > 0.7
    controlled = against_base(record, "length_controlled_winrate")
    assert controlled.low < 0.5 < controlled.high
    assert against_base(record, "longer_win_rate").value > 0.8
    assert record.decision != "promote"


def test_where_length_alone_decides_no_rate_is_left(court: Court) -> None:
    court.judge = "longer"
    record = court.run(court.gate(examples=60), "4").record
    assert against_base(record, "longer_win_rate").value == 1.0
    found = next(one for one in record.measurements if one.metric == "ab_judge.length_controlled_winrate")
    reason = found.comparisons["base"].difference
    assert isinstance(reason, UnmeasuredRecord)
    assert "length alone explains all" in reason.unmeasured
    assert record.decision != "promote"


@pytest.mark.parametrize("min_rate", [0.5, 0.05])
def test_a_judge_that_obeys_answers_promotes_nothing(court: Court, min_rate: float) -> None:
    court.judge = "obedient"
    record = court.run(court.gate(f"{{metric: ab_judge.win_rate, min: {min_rate}}}"), "3").record
    assert against_base(record, "win_rate").value > 0.9, "it obeys"
    assert record.decision == "hold"
    assert "control_injections" in record.rules[0].sentence
    assert court.champion() is None


def test_a_fair_judge_blocks_what_only_talks(court: Court) -> None:
    record = court.run(court.gate(), "3").record
    assert record.decision == "block", record.sentence
    for control in ("control_identical", "control_worse", "control_injections"):
        assert against_base(record, control).value == 1.0


@pytest.mark.parametrize(
    ("judge", "version", "decision"),
    [("fair", "1", "promote"), ("fair", "2", "block"), ("generous", "1", "hold"), ("generous", "2", "hold")],
)
def test_by_rubric_too_only_a_judge_that_sees_what_is_worse_decides(
    court: Court, judge: str, version: str, decision: str
) -> None:
    court.judge = judge
    gate = court.gate(
        "{metric: rubric_judge.score, min_change: 0.0, margin: 0.2}",
        evaluator="rubric_judge",
        settings=", rubric: '5 is the truth, 1 is another parcel.'",
    )
    record = court.run(gate, version).record
    assert record.decision == decision, record.sentence
    if judge == "generous":
        assert "control_worse" in record.sentence
