"""Evaluators on models that were really trained: they tell the over-fitted candidate from the good one, by intervals
that do not touch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import pytest
from demo_aids import Trained

from finetune_gate.evaluators.asking import Answer, Request
from finetune_gate.evaluators.attribution import TokenAttribution
from finetune_gate.evaluators.consistency import Consistency
from finetune_gate.evaluators.datasets import Dataset
from finetune_gate.evaluators.evaluator import Evaluator, ExplainedEvaluator
from finetune_gate.evaluators.findings import Advice, Finding
from finetune_gate.evaluators.holdout import Holdout
from finetune_gate.evaluators.measurement import Measurement, measure
from finetune_gate.evaluators.overfitting import Overfitting
from finetune_gate.evaluators.scores import score_evaluator
from finetune_gate.evaluators.statistics import Estimate
from finetune_gate.flows.demo import PROMPT_TEMPLATE
from finetune_gate.flows.demo.wording import WORDING

pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.slow, pytest.mark.timeout(600)]

LABELS = list(WORDING)
WRAPPED = ("Good morning. {}", "{} Please answer.", "{} Thanks.")


def measured(
    trained: Trained, evaluator: Evaluator, data: Mapping[str, Dataset], candidate: str
) -> tuple[dict[str, Measurement], list[Finding]]:
    """``candidate`` against the base."""
    requests = evaluator.requests(data)
    answers: dict[str, Mapping[Request, Answer]] = {
        "candidate": trained.answers(candidate, requests),
        "base": trained.answers("base", requests),
    }
    scores = score_evaluator(evaluator, data, answers)
    found = list(evaluator.findings(data, answers, {})) if isinstance(evaluator, ExplainedEvaluator) else []
    return {metric.name: measure(metric, scores) for metric in evaluator.metrics()}, found


def known(found: object) -> Estimate:
    assert isinstance(found, Estimate), found
    return found


def apart(lower: object, higher: object) -> bool:
    """Whether the intervals do not touch."""
    return known(lower).interval.high < known(higher).interval.low


def test_overfitting_tells_them_apart(trained: Trained) -> None:
    evaluator = Overfitting(train="few", validation="holdout", prompt=PROMPT_TEMPLATE, answer="label", chat="never")
    good, fine = measured(trained, evaluator, trained.data, "good")
    overfit, advice = measured(trained, evaluator, trained.data, "overfit")
    for name in ("loss_gap", "membership_auc"):
        assert apart(good[name].candidate, overfit[name].candidate), name
    differences = [known(one["loss_gap"].comparisons["base"].difference) for one in (good, overfit)]
    assert apart(*differences)
    assert differences[0].interval.low < 0 < differences[0].interval.high
    assert 0.5 in known(good["membership_auc"].candidate).interval
    assert not any(isinstance(one, Advice) for one in fine)
    assert any(isinstance(one, Advice) and "severe" in one.text for one in advice)


def test_holdout_tells_them_apart(trained: Trained) -> None:
    settings = {"seen": "few", "unseen": "holdout", "scored_by": "accuracy", "labels": LABELS}
    evaluator = cast("Evaluator", Holdout.model_validate({**settings, "prompt": PROMPT_TEMPLATE, "chat": "never"}))
    good, _ = measured(trained, evaluator, trained.data, "good")
    overfit, _ = measured(trained, evaluator, trained.data, "overfit")
    assert apart(good["gap"].candidate, overfit["gap"].candidate)
    assert apart(good["gap"].comparisons["base"].difference, overfit["gap"].comparisons["base"].difference)
    assert apart(overfit["unseen"].candidate, good["unseen"].candidate)
    assert known(good["leaked_share"].candidate).value == 0.0


def test_the_good_candidate_is_the_more_consistent(trained: Trained) -> None:
    holdout = trained.data["holdout"]
    examples = tuple(
        replace(
            one,
            row={
                **one.row,
                "others": [
                    f"Good morning. {one.row['text']}",
                    f"{one.row['text']} Please answer.",
                    f"{one.row['text']} Thanks.",
                ],
            },
        )
        for one in holdout.examples[:120]
    )
    data = {"holdout": replace(holdout, columns=(*holdout.columns, "others"), examples=examples)}
    evaluator = Consistency(
        data="holdout", prompt=PROMPT_TEMPLATE, chat="never", rephrasings="others", reference="label", max_new_tokens=6,
        stop=("\n",),
    )  # fmt: skip
    good, _ = measured(trained, evaluator, data, "good")
    overfit, _ = measured(trained, evaluator, data, "overfit")
    for name in ("rephrase_agreement", "consistent_accuracy"):
        assert apart(overfit[name].candidate, good[name].candidate), name


def test_the_good_candidate_looks_at_the_words_that_bear_the_class(trained: Trained) -> None:
    """Words of the wording that belong to one queue alone, against the base."""
    words = {
        queue: {word for text in (*wording.nouns, *wording.phrases) for word in text.casefold().split()}
        for queue, wording in WORDING.items()
    }
    bearing = sorted(
        word
        for queue, own in words.items()
        for word in own
        if len(word) > 3 and not any(word in others for other, others in words.items() if other != queue)
    )
    holdout = trained.data["holdout"]
    data = {"holdout": replace(holdout, examples=holdout.examples[:40])}
    evaluator = TokenAttribution(
        data="holdout", prompt=PROMPT_TEMPLATE, chat="never", continuation="label", terms=tuple(bearing)
    )
    good, _ = measured(trained, evaluator, data, "good")
    difference = known(good["term_share"].comparisons["base"].difference)
    assert difference.interval.low > 0, difference
    assert known(good["comprehensiveness_gain"].candidate).interval.low > 0, "the weights mean something"
