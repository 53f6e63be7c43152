"""The sections of the page that are drawn: by evaluator, slices, coverage, history, and how to re-check."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from picture_records import picture_scores, pictured
from sample_records import HOSTILE, hostile_record, record_of, sample
from test_report_html import Page, assert_inert

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.errors import Problem, RegistryError
from finetune_gate.evaluators.scores import EvaluatorScores, ScoreTable
from finetune_gate.evaluators.showing import Said, Shown, ShownExamples
from finetune_gate.gate.history import PastDecision, decisions_of
from finetune_gate.gate.record import DecisionRecord
from finetune_gate.gate.registry import PastRun
from finetune_gate.gate.reports import render_html
from finetune_gate.gate.reports.pictures import Pictures, pictures_of
from finetune_gate.gate.reports.pictures.drawing import Picture
from finetune_gate.gate.reports.rechecking import recheck_commands
from finetune_gate.gate.run.earlier_gates import earlier_gates
from finetune_gate.gate.run.recording import mlflow_metrics

ACCURACY = "classification.accuracy"


def gate(version: int, **metrics: float) -> PastDecision:
    named = {name.replace("__", "/").replace("_dot_", "."): value for name, value in metrics.items()}
    at = datetime.fromtimestamp(1_760_000_000 + version, UTC)
    return PastDecision(f"run{version}", at, str(version), "promote", "fine", False, (ACCURACY,), named)


def everything(drawn: Pictures) -> dict[str, list[Picture]]:
    return {one.title: list(one.pictures) for one in drawn.evaluators}


def test_every_kind_of_evaluator_has_its_own_pictures() -> None:
    drawn = everything(pictures_of(*pictured()))
    titles = {title: [picture.title for picture in pictures] for title, pictures in drawn.items()}
    assert titles["summarization"][0] == "ROUGE-L"  # a rule looks at it
    assert "ROUGE-1, example by example" in titles["summarization"]
    assert titles["overfitting"] == [
        "Loss on both sides, nats per token",
        "Loss on both sides, example by example (validation)",
    ]
    assert titles["finetunebench"] == ["Right answers by kind of question"]
    assert titles["ab_judge"] == [
        "Wins of the candidate",
        "Wins of the candidate by language",
        "What the judges lean to",
    ]
    assert "Grades, 1 to 5" in titles["rubric_judge"]


def test_wins_ties_and_losses_are_all_judged_examples() -> None:
    record, scores = pictured()
    whole, by_language = everything(pictures_of(record, scores))["ab_judge"][:2]
    sums = [0, 0, 0]
    for _, against, *counts in whole.numbers.rows:
        values = scores.of("ab_judge").columns[str(against)]["win"]
        measured = [value for value in values if not isinstance(value, Unmeasured)]
        assert counts == [sum(test) for test in zip(*((v > 0.5, v == 0.5, v < 0.5) for v in measured), strict=True)]
        sums = [total + int(count) for total, count in zip(sums, counts, strict=True)]
    assert [sum(int(row[at]) for row in by_language.numbers.rows) for at in (2, 3, 4)] == sums


def test_leanings_stand_beside_what_is_even_and_what_controls_must_reach() -> None:
    leans = everything(pictures_of(*pictured()))["ab_judge"][2]
    words = [word.text for word in leans.words]
    assert "even: 0.5" in words
    assert "at least 0.9" in words
    headings = {row[0] for row in leans.numbers.rows}
    assert {"Position: preference for the first place", "Length: the longer answer is preferred"} <= headings


def test_a_loss_is_drawn_for_both_sides_of_every_model() -> None:
    loss = everything(pictures_of(*pictured()))["overfitting"][0]
    labels = [row[0] for row in loss.numbers.rows]
    assert labels[:2] == ["candidate, validation", "candidate, training"]
    assert sum(int(row[1]) for row in loss.numbers.rows) == 3 * 120


def test_what_is_missing_is_counted_with_its_reasons() -> None:
    record, scores = sample("unmeasured")
    drawn = pictures_of(record, scores)
    assert drawn.coverage is not None
    rows = {(row[0], row[1]): row[2:] for row in drawn.coverage.numbers.rows}
    assert rows["classification", "candidate"] == (280, 320, 40)
    assert rows["perplexity", "base"] == (320, 320, 0)
    (missing,) = drawn.missing
    assert missing.reasons == (("CUDA out of memory on a batch of 64", 40),)
    page = Page(render_html(record, scores))
    assert "CUDA out of memory on a batch of 64" in page.text[page.text.index("Because") :]


def test_reasons_add_up_to_what_is_missing() -> None:
    record, scores = sample("hold")
    own = scores.of("classification")
    values = tuple(Unmeasured(f"fault {at % 11}") if at < 60 else 1.0 for at in range(len(own.examples)))
    columns = {**own.columns, "candidate": {**own.columns["candidate"], "correct": values}}
    (missing,) = pictures_of(record, ScoreTable((replace(own, columns=columns), *scores.evaluators[1:]))).missing
    assert sum(count for _, count in missing.reasons) == missing.planned - missing.scored == 60
    assert missing.reasons[-1][0] == "3 other reasons"


def test_controls_are_no_missing_examples() -> None:
    drawn = pictures_of(*pictured())
    assert drawn.coverage is not None
    rows = {(row[0], row[1]): row[2:] for row in drawn.coverage.numbers.rows}
    assert rows["ab_judge", "against base"] == (119, 120, 1)
    assert rows["rubric_judge", "candidate"] == (120, 120, 0)


def test_lengths_of_answers_are_drawn_where_there_are_texts() -> None:
    record, scores = pictured()
    texts = {"candidate": "yes", "base": "no, not at all", "champion": "perhaps"}
    shown = tuple(
        Shown(str(at), "?", answers={role: Said(text * (1 + at % 9)) for role, text in texts.items()})
        for at in range(60)
    )
    failed = Shown("60", "?", answers={role: Said("", "the endpoint answered 503") for role in texts})
    examples = ShownExamples(dict.fromkeys(("summarization", "overfitting"), (*shown, failed)))
    drawn = everything(pictures_of(record, scores, examples))
    (lengths,) = (one for one in drawn["summarization"] if one.title == "Length of answers, characters")
    assert [row[-1] for row in lengths.numbers.rows] == [1, 1, 1]
    assert "Length of answers, characters" not in [one.title for one in drawn["overfitting"]]  # which has no answers


def test_slices_are_drawn_from_measurements_and_from_rules_on_every_value() -> None:
    measured, ruled = pictures_of(*pictured()).slices
    assert measured.title == "summarization.rougeL by language"
    assert [row[0] for row in measured.numbers.rows if row[1] == "base"][-1] == "all 120 examples"
    assert ruled.title == "Rule 2: summarization.rougeL by language"
    assert len([line for line in ruled.lines if line.style == "mark"]) == 4


def test_history_ends_with_this_gate_and_its_interval() -> None:
    record = record_of("hold")
    past = [
        gate(
            1,
            classification_dot_accuracy=0.7,
            low__classification_dot_accuracy=0.6,
            high__classification_dot_accuracy=0.8,
        )
    ]
    drawn = pictures_of(record, history=[*past, gate(2, classification_dot_accuracy=0.9)]).history
    assert drawn is not None
    (plot,) = drawn
    assert plot.metric == ACCURACY
    assert [name for _, name in plot.versions] == ["v1", "v2", "v7"]
    assert len(plot.spans) == 2
    assert plot.bound is not None
    assert plot.bound[1] == "≥ 0.75"
    page = Page(render_html(record, history=past))
    assert "oldest on the left, this one at the right end" in page.text


def test_history_is_bounded_and_leaves_this_gate_out_of_the_past() -> None:
    record = record_of("hold")
    run = record.run.model_copy(update={"run_id": "run3"})
    past = [gate(at, classification_dot_accuracy=0.5) for at in range(40)]
    drawn = pictures_of(record, history=past).history
    own = pictures_of(record.model_copy(update={"run": run}), history=past[:6]).history
    assert drawn is not None
    assert own is not None
    assert len(drawn[0].lines[0].points) == 21
    assert len(own[0].lines[0].points) == 6


def test_numbers_that_are_none_are_never_drawn() -> None:
    past = [gate(1, classification_dot_accuracy=math.nan), gate(2, classification_dot_accuracy=math.inf)]
    drawn = pictures_of(record_of("hold"), history=past).history
    assert drawn is not None
    assert len(drawn[0].lines[0].points) == 1
    page = render_html(record_of("hold"), history=past)
    assert not [word for word in ("NaN", "nan", "Infinity") if f'"{word}' in page or f" {word} " in page]
    assert drawn[0].spans[0][0] == drawn[0].lines[0].points[0].x


def test_without_earlier_gates_the_page_says_so_or_nothing() -> None:
    assert "No earlier gate of this model" in Page(render_html(record_of("hold"), history=[])).text
    assert "History" not in Page(render_html(record_of("hold"))).text


def test_what_a_gate_leaves_in_mlflow_is_what_the_next_one_draws() -> None:
    record = pictured()[0]
    run = PastRun(
        "old",
        1_760_000_000_000,
        {"finetune_gate.decision": "hold", "finetune_gate.version": "6"},
        {},
        mlflow_metrics(record),
    )
    drawn = pictures_of(record, history=decisions_of([run])).history
    assert drawn is not None
    (plot,) = drawn
    assert plot.metric == "summarization.rougeL"
    assert len(plot.spans) == 2


class _Registry:
    """Answers as it is told to."""

    def __init__(self, answer: list[PastRun] | Exception) -> None:
        self.answer = answer

    def past_runs(self, model: str, most: int = 1000) -> list[PastRun]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer[-most:]


@pytest.mark.parametrize(
    "fault",
    [
        RegistryError(Problem("registry", "gone", "an answer")),
        ValueError("year 99999 is out of range"),
        OSError(110, "timed out"),
    ],
    ids=["registry", "value", "network"],
)
def test_a_registry_that_cannot_be_read_costs_the_history_only(fault: Exception) -> None:
    assert earlier_gates(_Registry(fault), "support-bot", "run9") is None  # pyright: ignore[reportArgumentType]


def test_earlier_gates_are_the_newest_without_the_run_itself() -> None:
    tags = {"finetune_gate.decision": "hold"}
    runs = [PastRun(f"run{at}", 1_760_000_000_000 + at, tags, {}, {}) for at in range(30)]
    found = earlier_gates(_Registry(runs), "support-bot", "run29")  # pyright: ignore[reportArgumentType]
    assert found is not None
    assert [one.run_id for one in found] == [f"run{at}" for at in range(9, 29)]


def test_the_same_inputs_give_the_same_bytes() -> None:
    record, scores = pictured()
    past = [gate(at, summarization_dot_rougeL=0.5) for at in range(3)]
    again = DecisionRecord.model_validate_json(record.canonical())
    shuffled = ScoreTable(
        tuple(replace(one, columns=dict(reversed([*one.columns.items()]))) for one in scores.evaluators)
    )
    page = render_html(record, scores, history=past)
    assert page == render_html(again, scores, history=list(past))
    assert pictures_of(record, shuffled).evaluators == pictures_of(record, scores).evaluators


def test_the_page_is_inert_and_every_picture_says_what_it_shows() -> None:
    record, scores = pictured()
    page = Page(render_html(record, scores, history=[gate(1, summarization_dot_rougeL=0.5)]))
    assert_inert(page)
    assert all(picture["role"] == "img" and picture["aria-label"] for picture in page.all("svg"))
    labels = [
        attributes["aria-label"]
        for _, attributes in page.elements
        if attributes.get("role") == "region" and "aria-label" in attributes
    ]
    assert len(set(labels)) == len(labels)
    for heading in ("By evaluator", "Slices", "Coverage", "History"):
        assert heading in page.text


def test_ten_thousand_examples_make_no_larger_page() -> None:
    small, large = (len(render_html(pictured()[0], picture_scores(n))) for n in (500, 10_000))
    assert large < 1.15 * small


def test_hostile_texts_stay_texts_in_pictures() -> None:
    record = hostile_record()
    scores = sample("unmeasured")[1].evaluators[0]
    examples = tuple(replace(one, slices={HOSTILE: f"{HOSTILE} {at % 3}"}) for at, one in enumerate(scores.examples))
    win = tuple(Unmeasured(HOSTILE) if at < 5 else float(at % 2) for at in range(len(examples)))
    columns = {role: {**values, "win": win} for role, values in scores.columns.items()}
    shown = ShownExamples({scores.evaluator: (Shown("1", HOSTILE, answers={"candidate": Said(HOSTILE)}),)})
    table = ScoreTable((EvaluatorScores(scores.evaluator, examples, columns),))
    past = [replace(gate(1, classification_dot_accuracy=0.5), version=HOSTILE, decision=HOSTILE)]
    source = render_html(record, table, history=past)
    assert_inert(Page(source))
    assert "<script" not in source.lower()
    assert_inert(Page(render_html(record_of("hold"), table, history=past)))
    assert pictures_of(record, table, shown).evaluators


def test_commands_to_copy_hold_nothing_that_a_record_could_slip_in() -> None:
    record = record_of("hold")
    run_id = "0123456789abcdef" * 2
    run = record.run.model_copy(update={"run_id": run_id})
    commands = [command for command, _ in recheck_commands(record.model_copy(update={"run": run}))]
    assert commands == [
        "finetune-gate verify decision-record.json",
        f"finetune-gate verify runs:/{run_id}",
        "finetune-gate replay decision-record.json --gate gate.yaml",
        "finetune-gate report decision-record.json -o report.html",
        "sha256sum data/holdout.jsonl",
    ]
    run = record.run.model_copy(update={"run_id": "x; rm -rf ~"})
    datasets = (record.datasets[0].model_copy(update={"file": "a.jsonl; reboot"}),)
    hostile = record.model_copy(update={"run": run, "datasets": datasets})
    assert [command for command, _ in recheck_commands(hostile)] == [commands[0], *commands[2:4]]
