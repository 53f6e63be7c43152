"""A rule on a win rate: a value beside each baseline, which is no difference and has no sign."""

from __future__ import annotations

import re

from sample_records import record_of

from finetune_gate.gate.record import (
    CheckRecord,
    ComparisonRecord,
    DecisionRecord,
    EstimateRecord,
    MeasurementRecord,
    RuleRecord,
    UnmeasuredRecord,
)
from finetune_gate.gate.reports import render_html, render_markdown, render_terminal, rule_rows
from finetune_gate.gate.run.recording import mlflow_metrics

NONE = UnmeasuredRecord(unmeasured="it compares two models, and no model has a value of its own")


def estimate(value: float) -> EstimateRecord:
    return EstimateRecord(
        value=value, low=value - 0.07, high=value + 0.07, n=200, clusters=200, method="Wilson", standard_error=0.04
    )


def judged() -> DecisionRecord:
    record = record_of("promote")
    values = {"base": estimate(0.62), "champion": estimate(0.51)}
    measurement = MeasurementRecord(
        metric="ab_judge.win_rate",
        higher_is_better=True,
        unit="",
        slice={},
        confidence=0.95,
        planned=200,
        scored={"base": 200, "champion": 196},
        candidate=NONE,
        comparisons={role: ComparisonRecord(baseline=NONE, difference=value) for role, value in values.items()},
        subject="pair",
    )
    rule = RuleRecord(
        index=len(record.rules),
        text="ab_judge.win_rate >= 0.5",
        metric="ab_judge.win_rate",
        severity="block",
        outcome="inconclusive",
        sentence="ab_judge.win_rate against the champion may or may not be at least 0.5",
        checks=tuple(
            CheckRecord(
                against=role,
                bound=0.5,
                side="at least",
                measured=value,
                outcome="passed" if role == "base" else "inconclusive",
                needed=None,
            )
            for role, value in values.items()
        ),
        settings={"min": 0.5, "min_change": None, "confidence": 0.95},
        measurement=len(record.measurements),
    )
    return record.model_copy(
        update={"rules": (*record.rules, rule), "measurements": (*record.measurements, measurement)}
    )


def flat(text: str) -> str:
    return re.sub(r"[\s│]+", " ", text)


def test_in_a_terminal() -> None:
    for width in (60, 80, 120):
        text = flat(render_terminal(judged(), width=width, verbose=True))
        assert "0.62 [0.55, 0.69] ✓" in text
        assert "0.51 [0.44, 0.58] ?" in text
        assert "+0.62" not in text
        assert "no difference: it is the candidate's beside that baseline" in text
    assert "against base 0.62" in flat(render_terminal(judged(), width=60))


def test_in_markdown_and_tables() -> None:
    text = render_markdown(judged())
    assert "base **0.62 \\[0.55, 0.69\\]** ✓" in text.replace("&#91;", "\\[").replace("&#93;", "\\]")
    row = rule_rows(judged())[-1]
    assert row["difference"] == "base 0.62 [0.55, 0.69]; champion 0.51 [0.44, 0.58]"
    assert (row["candidate"], row["base"]) == ("", "")
    assert "the bound 0.5 lies inside the interval against champion" in row["note"]


def test_in_a_page() -> None:
    page = render_html(judged())
    assert "Candidate against" in page
    assert "candidate against base" in page
    assert "candidate against base is 0.62, interval 0.55 to 0.69; the rule asks for at least 0.5: passed" in page
    assert "+0.62" not in page
    assert "champion: 196 of 200" in page


def test_a_judge_of_the_candidates_family_is_said_beside_the_decision() -> None:
    record = judged()
    api = {"kind": "endpoint"}
    candidate = record.models[0].model_copy(update={"facts": {**api, "model": "ft:gpt-4o-mini:acme"}})
    judge = record.models[1].model_copy(
        update={"role": "judge", "uri": "openai:/gpt-4o", "facts": {**api, "model": "gpt-4o"}}
    )
    record = record.model_copy(update={"models": (candidate, *record.models[1:], judge)})
    text = flat(render_terminal(record, width=120))
    assert "Judge openai:/gpt-4o seems to be of the family of candidate" in text


def test_in_mlflow() -> None:
    metrics = mlflow_metrics(judged())
    assert metrics["vs_base/ab_judge.win_rate"] == 0.62
    assert metrics["vs_champion/ab_judge.win_rate"] == 0.51
    assert "ab_judge.win_rate" not in metrics
