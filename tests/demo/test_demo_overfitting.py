"""The overfitting evaluator on models that were really trained: it tells the over-fitted one from the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from finetune_gate.evaluators.asking import Answer, Request, ScoreRequest
from finetune_gate.evaluators.datasets import Dataset, DatasetSource, load_dataset
from finetune_gate.evaluators.findings import Advice
from finetune_gate.evaluators.measurement import Measurement, measure
from finetune_gate.evaluators.overfitting import Overfitting
from finetune_gate.evaluators.scores import score_evaluator
from finetune_gate.evaluators.statistics import Estimate
from finetune_gate.flows.demo import PROMPT_TEMPLATE, Recipe, train_demo_models
from finetune_gate.gate.models import Model, open_models
from finetune_gate.gate.models.model_files import inspect_model_files
from finetune_gate.gate.pins import ModelPin, Pins, Role

pytestmark = pytest.mark.slow

SMALL = Recipe(
    train=240,
    few=18,
    holdout=60,
    prose=4,
    corpus=300,
    vocabulary=500,
    hidden=48,
    feed_forward=96,
    layers=2,
    base_steps=60,
    base_rows=12,
    lora_steps=40,
    replay_rows=2,
    overfit_steps=50,
    overfit_learning_rate=5e-3,
)
"""A tenth of the demo's training: enough to learn 18 tickets by heart. The LoRA learns from 240, these among them."""

EVALUATOR = Overfitting(train="few", validation="holdout", prompt=PROMPT_TEMPLATE, answer="label", chat="never")
Answers = Mapping[Request, Answer]


@pytest.fixture(scope="module")
def data_and_answers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mapping[str, Dataset], Mapping[str, Answers]]:
    """Answers of the base, the good candidate and the over-fitted one."""
    models = train_demo_models(tmp_path_factory.mktemp("demo"), 0, recipe=SMALL)
    data = {
        "few": load_dataset("few", DatasetSource(path=models.train_few.name), models.train_few.parent),
        "holdout": load_dataset("holdout", DatasetSource(path=models.holdout.name), models.holdout.parent),
    }
    pins = Pins(pin("candidate", models.good), pin("base", models.base), pin("champion", models.overfit))
    with open_models(pins, device="cpu") as opened:
        answers = {
            name: answers_of(opened[role], data)
            for name, role in (("good", "candidate"), ("base", "base"), ("overfit", "champion"))
        }
    return data, answers


def pin(role: Role, folder: Path) -> ModelPin:
    return ModelPin(role, str(folder), None, None, None, "a test", inspect_model_files(folder))


def answers_of(model: Model, data: Mapping[str, Dataset]) -> Answers:
    requests = [request for request in dict.fromkeys(EVALUATOR.requests(data)) if isinstance(request, ScoreRequest)]
    answers: dict[Request, Answer] = {}
    model.score(requests, lambda at, answer: answers.update({requests[at]: answer}))
    return answers


def measured(
    data: Mapping[str, Dataset], answers: Mapping[str, Answers], candidate: str
) -> tuple[dict[str, Measurement], list[str]]:
    by_role = {"candidate": answers[candidate], "base": answers["base"]}
    scores = score_evaluator(EVALUATOR, data, by_role)
    advice = [one.text for one in EVALUATOR.findings(data, by_role, {}) if isinstance(one, Advice)]
    return {metric.name: measure(metric, scores) for metric in EVALUATOR.metrics()}, advice


def known(found: object) -> Estimate:
    assert isinstance(found, Estimate), found
    return found


def test_gap_and_membership_tell_the_over_fitted_candidate_apart(
    data_and_answers: tuple[Mapping[str, Dataset], Mapping[str, Answers]],
) -> None:
    good, no_advice = measured(*data_and_answers, "good")
    overfit, advice = measured(*data_and_answers, "overfit")
    for name in ("loss_gap", "membership_auc"):
        assert known(good[name].candidate).interval.high < known(overfit[name].candidate).interval.low, name
    differences = [known(one["loss_gap"].comparisons["base"].difference) for one in (good, overfit)]
    assert differences[0].interval.high < differences[1].interval.low
    assert differences[0].interval.low < 0 < differences[0].interval.high
    area = known(good["membership_auc"].candidate).interval
    assert area.low < 0.5 < area.high
    assert no_advice == []
    assert any("severe" in line for line in advice)
