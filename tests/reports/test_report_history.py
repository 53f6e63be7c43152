"""Past gates: how they are read, counted and drawn."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sample_records import HOSTILE, record_of
from test_report_html import ALLOWED, Page

from finetune_gate.gate.history import chance_of_luck, decisions_of, earlier_uses
from finetune_gate.gate.registry import PastRun
from finetune_gate.gate.reports.history import history_plot, plotted_metrics, render_history
from finetune_gate.gate.reports.rows import remarks_of
from finetune_gate.gate.run.recording import run_tags


def past_run(version: int, decision: str = "promote", said: str = "Promote: fine.", **metrics: float) -> PastRun:
    tags = {
        "finetune_gate.version": str(version),
        "finetune_gate.decision": decision,
        "finetune_gate.reason": said,
        "finetune_gate.run_key": f"key-{version}",
        "finetune_gate.rule_metrics": "classification.accuracy",
        "finetune_gate.dry_run": "false",
    }
    named = {name.replace("__", "/").replace("_dot_", "."): value for name, value in metrics.items()}
    params = {"dataset.holdout": "d1", "dataset.train": f"t{version}"}
    return PastRun(f"run{version}", 1_760_000_000_000 + version * 86_400_000, tags, params, named)


PAST = [
    past_run(1, classification_dot_accuracy=0.7, base__classification_dot_accuracy=0.6),
    past_run(2, "hold", base__classification_dot_accuracy=0.6),
    past_run(3, "block", classification_dot_accuracy=0.65),
]


def test_a_line_breaks_where_a_gate_measured_nothing() -> None:
    plot = history_plot(decisions_of(PAST), "classification.accuracy")
    assert plot is not None
    lines = {line.role: line for line in plot.lines}
    assert set(lines) == {"candidate", "base"}
    assert lines["candidate"].path.count("M") == 2
    assert len(lines["base"].points) == 2
    assert "from 0.7 to 0.65" in plot.description


def test_metrics_of_rules_are_drawn_first() -> None:
    assert plotted_metrics(decisions_of(PAST)) == ("classification.accuracy",)
    assert history_plot(decisions_of(PAST), "perplexity.perplexity") is None


@pytest.mark.parametrize("count", [1, 2, 40])
def test_the_page_is_whole_whatever_the_number_of_gates(count: int) -> None:
    past = [past_run(at, classification_dot_accuracy=0.5) for at in range(count)]
    page = Page(render_history("support-bot", decisions_of(past)))
    assert f"{count} gate{'' if count == 1 else 's'} came to a decision" in page.text
    assert len(page.all("circle")) == count


def test_hostile_tags_stay_text() -> None:
    runs = [past_run(1, HOSTILE, HOSTILE, classification_dot_accuracy=0.5)]
    own = {f"finetune_gate.{key}": HOSTILE for key in ("trigger", "actor", "review", "version")}
    runs = [replace(runs[0], tags={**runs[0].tags, **own})]
    page = Page(render_history(HOSTILE, decisions_of(runs), ["classification.accuracy"]))
    assert {tag for tag, _ in page.elements} <= {*ALLOWED, "path"}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_who_made_a_gate_from_which_trigger_and_who_reviewed_it_is_shown() -> None:
    said = {"trigger": "webhook", "actor": "mlflow.example", "review": "approve by Ana Ruiz", "awaits_approval": "true"}
    tags = {f"finetune_gate.{key}": value for key, value in said.items()}
    old, new = past_run(1), past_run(2, "hold")
    (first, second) = decisions_of([old, replace(new, tags={**new.tags, **tags})])
    assert (first.trigger, first.actor, first.review, first.awaits_approval) == ("", "", "", False)
    assert (second.trigger, second.actor, second.review) == ("webhook", "mlflow.example", "approve by Ana Ruiz")
    text = Page(render_history("support-bot", [first, second])).text
    for shown in ("not recorded", "By mlflow.example", "webhook", "Review: approve by Ana Ruiz", "awaits approval"):
        assert shown in text


def test_a_record_tells_mlflow_who_made_the_run_and_why() -> None:
    record = record_of("promote")
    tags = run_tags(record)
    assert (tags["finetune_gate.trigger"], tags["finetune_gate.actor"]) == (record.run.trigger, record.run.actor)


def test_other_gates_on_the_same_file_are_counted_once_each() -> None:
    again = [*PAST, PAST[0], past_run(9)]
    assert earlier_uses(again, {"tickets": "d1", "train": "t3", "new": "d9"}, "key-9") == {
        "tickets": 3,
        "train": 1,
        "new": 0,
    }


def test_a_holdout_wears_out() -> None:
    assert chance_of_luck(1) == pytest.approx(0.05)
    assert chance_of_luck(14) == pytest.approx(1 - 0.95**14)
    record = record_of("promote")
    worn = record.model_copy(update={"run": record.run.model_copy(update={"uses": {"holdout": 13}})})
    fresh = record.model_copy(update={"run": record.run.model_copy(update={"uses": {"holdout": 12}})})
    assert any("holdout is wearing out: 13 earlier gates" in remark for remark in remarks_of(worn))
    assert not any("wearing out" in remark for remark in remarks_of(fresh))
    assert worn.digest() == record.digest(), "how often a file was used is no evidence about the candidate"
