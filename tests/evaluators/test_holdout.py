"""Holdout: tiers, the gap between them, and unseen examples that were seen after all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from finetune_gate.evaluators import catalog, holdout
from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import Answer, Failed, GenerateRequest, Generation, Request, ScoreRequest
from finetune_gate.evaluators.asking import TokenLogprobs as Logprobs
from finetune_gate.evaluators.classification import Classification
from finetune_gate.evaluators.datasets import Dataset
from finetune_gate.evaluators.findings import Advice, Table
from finetune_gate.evaluators.holdout import Holdout
from finetune_gate.evaluators.measurement import Measured, Measurement
from finetune_gate.evaluators.perplexity import Perplexity
from finetune_gate.evaluators.question_answering import QuestionAnswering
from finetune_gate.evaluators.splitting.leakage import Leak, find_leaks
from finetune_gate.evaluators.statistics import COUNTED, Estimate
from finetune_gate.evaluators.testing import Script, check_contract, made_answer, made_dataset, measured_by, scored_by
from finetune_gate.gate.deciding import Circumstances, Decision, decide
from finetune_gate.gate.gate_file import Rule, load_data, load_gate_file

LABELS = ("billing", "shipping", "account")
SUBJECTS = ("invoice", "parcel", "password", "refund", "delivery", "contract", "router")


def tickets(name: str, count: int, start: int = 0) -> Dataset:
    rows = [
        {
            "id": f"{name}{at}",
            "text": f"Ticket {at}: my {SUBJECTS[at % 7]} number {at * 37 % 101} is late by {at % 9} days",
            "label": LABELS[at % 3],
            "answer": f"We look after {SUBJECTS[at % 7]} {at}",
        }
        for at in range(start, start + count)
    ]
    return made_dataset(name, rows)


DATA = {"train": tickets("train", 30), "test": tickets("test", 30, 30), "reworded": tickets("reworded", 30, 60)}
ACCURACY: dict[str, Any] = {"seen": "train", "unseen": "test", "scored_by": "accuracy", "labels": LABELS}


def contaminated(*rows: int) -> dict[str, Dataset]:
    """Test data in which the given rows are training texts in another dress."""
    examples = list(DATA["test"].examples)
    for at in rows:
        text = str(DATA["train"].examples[at].row["text"]).upper().replace(": ", " -- ")
        examples[at] = replace(examples[at], row={**examples[at].row, "text": text})
    return {**DATA, "test": replace(DATA["test"], examples=tuple(examples))}


def knows(*datasets: Dataset) -> Script:
    """A model that gives the right label to what it knows, and ``billing`` else."""
    right = {str(one.row["text"]): str(one.row["label"]) for dataset in datasets for one in dataset.examples}

    def script(request: Request) -> Answer:
        assert isinstance(request, ScoreRequest)
        prompt = request.prompt if isinstance(request.prompt, str) else request.prompt[-1].content
        label = right.get(prompt.split("\n\n")[0], "billing")
        return Logprobs((-0.1 if request.continuation == label else -3.0,))

    return script


def value(measured: Measured) -> float:
    assert isinstance(measured, Estimate), measured
    return measured.value


def decided(found: Mapping[str, Measurement], *rules: Rule) -> Decision:
    circumstances = Circumstances(has_champion=False, identical=(), today=date(2026, 6, 1))
    return decide(rules, {at: found[rule.metric] for at, rule in enumerate(rules)}, circumstances)


def limit(evaluator: Holdout) -> Rule:
    """The rule that the metric's own limit makes, as the gate file's loader makes it."""
    metric = next(metric for metric in evaluator.metrics() if metric.name == "leaked_share")
    assert (metric.limit, metric.higher_is_better) == (0.0, False)
    return Rule(metric="leaked_share", max=metric.limit)


@pytest.mark.parametrize(
    "settings",
    [
        ACCURACY,
        {**ACCURACY, "method": "generate", "rephrased": "reworded"},
        {"seen": "train", "unseen": "test", "scored_by": "loss"},
        {"seen": "train", "unseen": "test", "scored_by": "loss", "prompt": "{text} ->", "answer": "answer"},
        {"seen": "train", "unseen": "test", "scored_by": "exact_match", "prompt": "{text} ->"},
        {"seen": "train", "unseen": "test", "rephrased": "reworded", "scored_by": "f1", "prompt": "{text} ->"},
    ],
)
def test_it_keeps_the_contract(settings: dict[str, Any]) -> None:
    check_contract(Holdout(**settings), DATA)


def test_nothing_is_asked_twice_that_another_evaluator_asks() -> None:
    """Same settings, same requests: the plan asks each once."""
    both = ("train", "test")
    asked = {
        "accuracy": [Classification(data=name, labels=LABELS, prompt="{text} ->") for name in both],
        "loss": [Perplexity(data=name) for name in both],
        "f1": [QuestionAnswering(data=name, prompt="{text} ->", stop=("\n",)) for name in both],
    }
    settings: dict[str, dict[str, Any]] = {
        "accuracy": {"labels": LABELS, "prompt": "{text} ->"},
        "loss": {},
        "f1": {"prompt": "{text} ->", "stop": ("\n",)},
    }
    for scored, others in asked.items():
        evaluator = Holdout(seen="train", unseen="test", scored_by=scored, **settings[scored])
        assert list(evaluator.requests(DATA)) == [request for one in others for request in one.requests(DATA)]


def test_the_gap_is_a_difference_in_differences() -> None:
    """What makes one tier easier for any model cancels; what only the candidate learned by heart does not."""
    evaluator = Holdout(**ACCURACY)
    base = knows()  # right by chance: a third
    by_heart = measured_by(evaluator, DATA, {"candidate": knows(DATA["train"]), "base": base})
    assert value(by_heart["seen"].candidate) == 1.0
    assert value(by_heart["unseen"].candidate) == pytest.approx(1 / 3)
    assert value(by_heart["gap"].candidate) == pytest.approx(2 / 3)
    difference = by_heart["gap"].comparisons["base"].difference
    assert value(difference) == pytest.approx(2 / 3)
    assert isinstance(difference, Estimate)
    assert difference.interval.low > 0
    learned = measured_by(evaluator, DATA, {"candidate": knows(*DATA.values()), "base": base})
    assert value(learned["gap"].comparisons["base"].difference) == pytest.approx(0)


def test_the_rule_on_the_gap_blocks_what_is_known_by_heart() -> None:
    rule = Rule(metric="gap", min_change=0.0, margin=0.1, against="base")
    evaluator = Holdout(**ACCURACY)
    found = measured_by(evaluator, DATA, {"candidate": knows(DATA["train"]), "base": knows()})
    assert decided(found, rule, limit(evaluator)).verdict == "block"


def test_for_loss_the_gap_is_the_other_way_round() -> None:
    evaluator = Holdout(seen="train", unseen="test", rephrased="reworded", scored_by="loss")
    levels = {
        str(one.row["text"]): level
        for name, level in (("train", -1.0), ("test", -3.0), ("reworded", -2.0))
        for one in DATA[name].examples
    }

    def script(request: Request) -> Answer:
        assert isinstance(request, ScoreRequest)
        return Logprobs(tuple(levels[request.continuation] - 0.01 * (at % 3) for at in range(5)))

    found = measured_by(evaluator, DATA, {"candidate": script, "base": made_answer})
    assert value(found["seen"].candidate) == pytest.approx(1.008)
    assert value(found["unseen"].candidate) == pytest.approx(3.008)
    assert value(found["gap"].candidate) == pytest.approx(2.0)
    assert value(found["wording_gap"].candidate) == pytest.approx(1.0)
    assert found["gap"].higher_is_better is False


def test_a_contaminated_holdout_blocks_whatever_the_models_answer() -> None:
    evaluator = Holdout(**ACCURACY)
    data = contaminated(3, 5, 8)
    assert not evaluator.check(data)
    perfect = {"candidate": knows(*data.values()), "base": knows()}
    found = measured_by(evaluator, data, perfect)
    assert value(found["leaked_share"].candidate) == pytest.approx(0.1)
    measured = found["leaked_share"].candidate
    assert isinstance(measured, Estimate)
    assert measured.method == COUNTED
    decision = decided(found, limit(evaluator), Rule(metric="seen", min=0.5))
    assert decision.verdict == "block"
    assert "leaked_share" in decision.sentence


def test_a_clean_holdout_does_not_block() -> None:
    evaluator = Holdout(**ACCURACY)
    found = measured_by(evaluator, DATA, {"candidate": knows(*DATA.values()), "base": knows()})
    assert value(found["leaked_share"].candidate) == 0.0
    assert decided(found, limit(evaluator), Rule(metric="seen", min=0.5)).verdict == "promote"


def test_the_clean_score_leaves_the_leaked_out() -> None:
    """The model knows what leaked and nothing else; without that it is as good as chance."""
    evaluator = Holdout(**ACCURACY)
    data = contaminated(*range(1, 30, 3))
    leaked = replace(data["test"], examples=tuple(data["test"].examples[1::3]))
    found = measured_by(evaluator, data, {"candidate": knows(leaked), "base": knows()})
    assert value(found["leaked_share"].candidate) == pytest.approx(1 / 3)
    assert value(found["unseen"].candidate) == pytest.approx(2 / 3)
    assert value(found["clean_unseen"].candidate) == pytest.approx(1 / 2)
    assert found["clean_unseen"].planned == 20


def test_leaks_are_counted_although_no_model_answers() -> None:
    evaluator = Holdout(**ACCURACY)

    def fails(request: Request) -> Answer:
        return Failed("the server is on fire")

    found = measured_by(evaluator, contaminated(2), {"candidate": fails, "base": fails})
    assert value(found["leaked_share"].candidate) == pytest.approx(1 / 30)
    for name in ("seen", "unseen", "clean_unseen", "gap"):
        measured = found[name].candidate
        assert isinstance(measured, Unmeasured)
        assert "on fire" in measured.reason


def test_a_model_without_the_ability_is_unmeasured() -> None:
    evaluator = Holdout(seen="train", unseen="test", scored_by="loss")
    assert evaluator.needs == {"scores_tokens"}
    assert Holdout(**{**ACCURACY, "method": "generate"}).needs == {"generates"}

    def lacks(request: Request) -> Answer:
        return Failed("the API gives no log-probabilities")

    found = measured_by(evaluator, DATA, {"candidate": lacks, "base": made_answer})
    assert isinstance(found["gap"].candidate, Unmeasured)
    assert isinstance(found["gap"].comparisons["base"].baseline, Estimate)


def test_one_example_of_each_is_no_interval() -> None:
    one = {name: replace(dataset, examples=dataset.examples[:1]) for name, dataset in DATA.items()}
    found = measured_by(Holdout(**ACCURACY), one, {"candidate": knows(), "base": knows()})
    assert value(found["leaked_share"].candidate) == 0.0
    assert decided(found, Rule(metric="gap", max=0.5), Rule(metric="leaked_share", max=0.0)).verdict == "hold"


def test_what_leaked_is_listed_with_advice() -> None:
    evaluator = Holdout(**ACCURACY)
    table, *advice = evaluator.findings(contaminated(3, 5), {}, {})
    assert isinstance(table, Table)
    assert [row[:4] for row in table.rows] == [
        ("test33", "train3", "exact", 1.0),
        ("test35", "train5", "exact", 1.0),
    ]
    assert all(isinstance(one, Advice) for one in advice)
    assert evaluator.findings(DATA, {}, {}) == ()


def test_a_sample_is_asked_and_all_training_data_searched() -> None:
    data = contaminated(20)
    sampled = {
        **data,
        "all": replace(data["train"], name="all"),
        "train": replace(data["train"], examples=data["train"].examples[:10]),
    }
    script = {"candidate": knows(), "base": knows()}
    short = Holdout(**ACCURACY)
    assert value(measured_by(short, sampled, script)["leaked_share"].candidate) == 0.0
    whole = Holdout(**ACCURACY, trained_on="all")
    assert whole.reads() == ("train", "test", "all")
    assert not whole.check(sampled)
    assert list(whole.requests(sampled)) == list(short.requests(sampled))
    assert value(measured_by(whole, sampled, script)["leaked_share"].candidate) == pytest.approx(1 / 30)


def test_labels_are_no_leak_and_other_columns_can_be_searched() -> None:
    """Equal labels are in every row; only what the models read is searched, unless `compare` says otherwise."""
    assert not Holdout(**ACCURACY).findings(DATA, {}, {})
    (table, *_) = Holdout(**ACCURACY, compare=("label",)).findings(DATA, {}, {})
    assert isinstance(table, Table)
    assert len(table.rows) == 30
    (problem, _) = Holdout(**ACCURACY, compare=("nothing",)).check(DATA)
    assert "no column 'nothing'" in problem.found


def test_a_search_without_texts_is_no_clean_holdout() -> None:
    empty = tuple(replace(one, row={**one.row, "note": None}) for one in DATA["test"].examples)
    noted = replace(DATA["test"], columns=(*DATA["test"].columns, "note"), examples=empty)
    data = {**DATA, "train": replace(DATA["train"], columns=noted.columns), "test": noted}
    problems = Holdout(**ACCURACY, compare=("note",)).check(data)
    assert [problem.where.split(" (")[0] for problem in problems] == [
        "holdout: dataset 'train'",
        "holdout: dataset 'test'",
    ]
    assert "no row has a text in note" in problems[0].found


def test_leaks_are_searched_once_for_all_models(monkeypatch: pytest.MonkeyPatch) -> None:
    searches: list[int] = []

    def counted(seen: Sequence[str], unseen: Sequence[str], **settings: Any) -> tuple[Leak, ...]:
        searches.append(len(unseen))
        return find_leaks(seen, unseen, **settings)

    monkeypatch.setattr(holdout, "find_leaks", counted)
    data = contaminated(11, 12, 13)
    evaluator = Holdout(**ACCURACY)
    scored_by(evaluator, data, {"candidate": knows(), "base": knows(), "champion": knows()})
    evaluator.findings(data, {}, {})
    assert searches == [30]
    scored_by(evaluator, contaminated(11, 12), {"candidate": knows()})
    assert searches == [30, 30]


def test_tiers_and_leaks_are_components() -> None:
    scores = scored_by(Holdout(**ACCURACY, rephrased="reworded"), contaminated(0), {"candidate": knows()})
    columns = scores.columns["candidate"]
    assert columns["tier"] == (1.0,) * 30 + (0.0,) * 30 + (2.0,) * 30
    assert columns["leaked"] == (0.0,) * 30 + (1.0,) + (0.0,) * 59
    assert columns["clean"] == (0.0,) * 31 + (1.0,) * 29 + (0.0,) * 30
    assert [example.id for example in scores.examples][29:31] == ["train/train29", "test/test30"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({**ACCURACY, "unseen": "train"}, "one tier only"),
        ({**ACCURACY, "trained_on": "test"}, "one tier only"),
        ({"seen": "a", "unseen": "b", "scored_by": "accuracy"}, "`scored_by: accuracy` needs `labels`"),
        ({"seen": "a", "unseen": "b", "scored_by": "loss", "labels": LABELS}, "`labels` does not go with"),
        ({"seen": "a", "unseen": "b", "scored_by": "loss", "prompt": "{text}"}, "go together"),
        ({**ACCURACY, "ngram": 3}, "greater than or equal to 8"),
        ({**ACCURACY, "labels": ("a", "A")}, "differ only by case"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Holdout(**settings)


def test_every_setting_is_in_the_record() -> None:
    settings = Holdout(**ACCURACY).settings()
    assert settings["method"] == "loglikelihood"
    assert (settings["ngram"], settings["near"], settings["name"]) == (13, 0.8, None)


def test_generated_answers_are_scored() -> None:
    evaluator = Holdout(seen="train", unseen="test", scored_by="exact_match", prompt="{text}")

    def parrot(request: Request) -> Answer:
        assert isinstance(request, GenerateRequest)
        number = str(request.prompt[-1]).split("Ticket ")[1].split(":")[0]
        return Generation(f"we look after {SUBJECTS[int(number) % 7]} {number}!", "stop", 5)

    found = measured_by(evaluator, DATA, {"candidate": parrot, "base": parrot})
    assert value(found["unseen"].candidate) == 1.0


def test_the_example_holds_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalog.BUILT_IN, "holdout", "holdout:Holdout")
    gate = load_gate_file(Path(__file__).parents[2] / "examples" / "holdout" / "gate.yaml")
    data = load_data(gate)
    (evaluator,) = (one for one in gate.evaluators.values() if isinstance(one, Holdout))
    assert evaluator.findings(data, {}, {}) == ()
    assert any(rule.metric == "holdout.leaked_share" for rule in gate.rules)
