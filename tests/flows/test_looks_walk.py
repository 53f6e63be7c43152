"""Runs that look at some of the examples first: what is asked, what is kept, and what people read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from workshop import FAILS, OPEN, PASSES, Workshop

from finetune_gate.evaluators.errors import ConfigurationError
from finetune_gate.gate.gate_file import load_gate_file
from finetune_gate.gate.record import DecisionRecord
from finetune_gate.gate.run import GateRequest, walk

LOOKS = "execution: {looks: [0.25, 0.5, 1]}"


def gated(workshop: Workshop, *rules: str, extra: str = LOOKS, classify: bool = True) -> DecisionRecord:
    gate = workshop.gate(*rules, extra=extra, classify=classify)
    request = GateRequest(
        gate, "2", tracking_uri=workshop.uri, out=workshop.folder / "out", home=workshop.folder / "home"
    )
    return walk(request).record


def test_what_is_clear_early_is_decided_early(workshop: Workshop) -> None:
    record = gated(workshop, PASSES, classify=False)
    assert record.decision == "promote"
    assert record.look is not None
    assert (record.look.at, record.look.stopped) == (1, "success")
    assert record.look.unasked == 0.75
    assert record.run.asked == {"candidate": 15, "base": 15}
    assert record.run.stored == {"candidate": 0, "base": 0}
    assert "look 1 of 3, on 25 % of the examples" in record.sentence
    (units,) = record.look.units
    assert units.units == (15, 30, 60)
    assert workshop.champion() == "2"


def test_a_failure_is_clear_early_too(workshop: Workshop) -> None:
    record = gated(workshop, FAILS)
    assert record.decision == "block"
    assert record.look is not None
    assert (record.look.at, record.look.stopped) in [(1, "failure"), (2, "failure")]
    assert workshop.champion() is None


def test_what_stays_open_sees_everything_and_asks_nothing_twice(workshop: Workshop) -> None:
    record = gated(workshop, OPEN, PASSES)
    whole = gated(workshop, OPEN, PASSES, extra="")
    assert record.look is not None
    assert (record.decision, whole.decision) == ("hold", "hold")
    if record.look.stopped is None:
        assert record.look.at == 3
        assert record.score_table.digest == whole.score_table.digest
        assert sum(whole.run.asked.values()) == 0, "the looks have asked all there is to ask"
    assert whole.look is None
    assert sum(record.run.stored.values()) == 0


SLICES = "{metric: perplexity.bits_per_byte, max: 40, slices: category, min_n: 20}"


def test_a_rule_on_every_slice_waits_until_each_has_its_examples(workshop: Workshop) -> None:
    record = gated(workshop, SLICES, classify=False)
    assert record.decision == "promote", record.sentence
    assert record.look is not None
    assert record.look.at in (2, 3), "a quarter of 60 holds no 20 of either"
    (rule,) = record.rules
    assert sorted(check.slice["category"] for check in rule.checks) == ["a", "b"]
    assert {tuple(one.slice.values()) for one in record.look.units} == {(), ("a",), ("b",)}


def test_a_rule_on_slices_without_looks(workshop: Workshop) -> None:
    record = gated(workshop, SLICES, classify=False, extra="")
    assert record.decision == "promote", record.sentence


def test_the_same_run_again_stops_at_the_same_look_and_asks_nothing(workshop: Workshop) -> None:
    first = gated(workshop, PASSES, classify=False)
    second = gated(workshop, PASSES, classify=False)
    assert second.look == first.look
    assert second.run.asked == {"candidate": 0, "base": 0}
    assert second.score_table.digest == first.score_table.digest


@pytest.mark.parametrize(
    ("looks", "message"),
    [("[0.5]", "end with 1"), ("[0.5, 0.5, 1]", "growing"), ("[]", "at least 1"), ("[0, 1]", "greater than 0")],
)
def test_looks_that_cannot_be(workshop: Workshop, looks: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_gate_file(workshop.gate(PASSES, extra=f"execution: {{looks: {looks}}}"))


def test_looks_at_data_that_must_be_seen_whole_are_refused(tmp_path: Path) -> None:
    (tmp_path / "holdout.jsonl").write_text(json.dumps({"text": "a", "label": "x"}) + "\n")
    gate = tmp_path / "gate.yaml"
    gate.write_text(
        "model: m\ndata: {train: holdout.jsonl, holdout: holdout.jsonl}\n"
        "evaluators: [{holdout: {seen: train, unseen: holdout, scored_by: loss, text: text}}]\n"
        "rules: [{metric: holdout.gap, max: 1}]\nexecution: {looks: [0.5, 1]}\n"
    )
    with pytest.raises(ConfigurationError, match="no dataset that can be seen in parts"):
        load_gate_file(gate)
