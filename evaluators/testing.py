"""The contract of evaluators, as a test that anyone can run over theirs.

    from finetune_gate.evaluators.testing import check_contract, made_dataset

    def test_politeness_keeps_the_contract() -> None:
        data = {"holdout": made_dataset("holdout", [{"text": "thank you", "label": "polite"}, ...])}
        check_contract(Politeness(data="holdout"), data)

Every built-in evaluator is held to the same. A broken promise is an ``AssertionError`` that says which.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from .absent import Unmeasured
from .asking import (
    Answer,
    AttributeRequest,
    Attribution,
    Choice,
    ChooseRequest,
    Embedding,
    EmbedRequest,
    Entailment,
    EntailRequest,
    ExecuteRequest,
    Execution,
    Failed,
    GenerateRequest,
    Generation,
    Request,
    ScoreRequest,
    TokenLogprobs,
)
from .datasets import Dataset, Example, Row
from .evaluator import Answers, Datasets, Evaluator, ExplainedEvaluator, JudgedEvaluator
from .measurement import Measured, Measurement, measure
from .scores import EvaluatorScores, score_evaluator
from .showing import ShowingEvaluator

Script = Callable[[Request], Answer]
"""A model for tests: what it answers to each request."""

ROLES = ("candidate", "base")
MANY = 24
"""Examples from which on every metric of an evaluator that was answered everything should have a value."""


def made_dataset(name: str, rows: Sequence[Row]) -> Dataset:
    """A dataset from rows, as one read from a file would be; ids are ``id`` or the position."""
    examples = tuple(
        Example(
            str(row.get("id", at)),
            row,
            group=_text_or_none(row.get("group")),
            category=_text_or_none(row.get("category")),
        )
        for at, row in enumerate(rows)
    )
    digest = hashlib.sha256(json.dumps(list(map(dict, rows)), sort_keys=True).encode()).hexdigest()
    columns = tuple(dict.fromkeys(column for row in rows for column in row))
    return Dataset(name, Path(f"{name}.jsonl"), digest, columns, examples)


def made_answer(request: Request, seed: str = "") -> Answer:
    """An answer of the right kind that differs from request to request and by ``seed``, and is always the same."""
    chance = int.from_bytes(hashlib.sha256(f"{seed} {request!r}".encode()).digest()[:6], "big") / 2**48
    match request:
        case ScoreRequest():
            words = max(1, len(request.continuation.split()))
            return TokenLogprobs(tuple(-0.1 - chance * (1 + at % 3) for at in range(words)))
        case GenerateRequest():
            prompt = request.prompt if isinstance(request.prompt, str) else request.prompt[-1].content
            words = prompt.split() or ["nothing"]
            start = int(chance * len(words))
            some = words[start : start + 4]
            return Generation(" ".join(some), "stop", len(some))
        case AttributeRequest():
            prompt = request.prompt if isinstance(request.prompt, str) else request.prompt[-1].content
            tokens = tuple(word + " " for word in prompt.split()) or ("nothing",)
            weights = tuple(math.sin(1 + chance * 7 + at) for at in range(len(tokens)))
            total = math.fsum(weights)
            return Attribution(tokens, weights, weights, -1.0, -1.0 - total, 0.5 + chance, chance, 0.2, 0.4)
        case ChooseRequest():
            shares = [0.05 + (chance + 0.37 * at) % 1 for at in range(len(request.options))]
            return Choice(tuple(math.log(share / math.fsum(shares)) for share in shares))
        case EmbedRequest():
            angle = 2 * math.pi * chance
            return Embedding((math.cos(angle), math.sin(angle)))
        case EntailRequest():
            return Entailment(chance, (1 - chance) / 2, (1 - chance) / 2)
        case ExecuteRequest():
            return Execution("passed") if chance < 0.5 else Execution("failed", "1 of 3 calls is wrong")


def scored_by(
    evaluator: Evaluator, data: Datasets, scripts: Mapping[str, Script], judge: Script = made_answer
) -> EvaluatorScores:
    """Ask scripted models by role, and a scripted judge, and score: what a run does, in one call."""
    answers = {role: _answered(script, evaluator.requests(data)) for role, script in scripts.items()}
    return score_evaluator(evaluator, data, answers, verdicts=_verdicts(evaluator, data, answers, judge))


def measured_by(
    evaluator: Evaluator, data: Datasets, scripts: Mapping[str, Script], judge: Script = made_answer
) -> dict[str, Measurement]:
    """The same, measured: one measurement for every metric, by name."""
    scores = scored_by(evaluator, data, scripts, judge)
    return {metric.name: measure(metric, scores) for metric in evaluator.metrics()}


def check_contract(evaluator: Evaluator, data: Datasets, script: Script | None = None) -> None:
    """Raise AssertionError for the first promise that ``evaluator`` breaks on ``data``.

    ``script`` answers for the candidate where made-up answers would not do; the base always gets made-up ones.
    """
    _check_declarations(evaluator, data)
    _check_requests(evaluator, data)
    scripts: dict[str, Script] = {"candidate": script or made_answer, "base": lambda asked: made_answer(asked, "base")}
    _check_scores(evaluator, data, scripts)
    _check_failures(evaluator, data, scripts)
    _check_few(evaluator, data, scripts)


def _check_declarations(evaluator: Evaluator, data: Datasets) -> None:
    problems = evaluator.check(data)
    assert not problems, f"check() finds fault with the data of the test: {problems[0]}"
    names = [metric.name for metric in evaluator.metrics()]
    assert names, "it has no metrics"
    assert len(set(names)) == len(names), f"two metrics have one name: {names}"
    for metric in evaluator.metrics():
        assert metric.name.isidentifier(), f"{metric.name!r} is no name that a rule can use"
        assert metric.description, f"{metric.name} has no description"
        assert metric.low is None or metric.high is None or metric.low < metric.high, f"{metric.name}: low >= high"
    json.dumps(dict(evaluator.settings()), allow_nan=False)
    assert set(evaluator.reads()) <= set(data), "reads() names datasets that the test does not give"
    ids = [example.id for example in evaluator.examples(data)]
    assert len(set(ids)) == len(ids), "two examples have one id"


def _check_requests(evaluator: Evaluator, data: Datasets) -> None:
    first, again = list(evaluator.requests(data)), list(evaluator.requests(data))
    assert first == again, "the same data gave other requests the second time"
    asked = {request.needs for request in first}
    assert asked <= evaluator.needs, f"asks for {sorted(asked)}, and needs only {sorted(evaluator.needs)}"


def _check_scores(evaluator: Evaluator, data: Datasets, scripts: Mapping[str, Script]) -> None:
    scores, again = scored_by(evaluator, data, scripts), scored_by(evaluator, data, scripts)
    assert scores == again, "the same answers gave other scores the second time"
    components = {role: set(columns) for role, columns in scores.columns.items()}
    assert components["candidate"] == components["base"], f"roles have different components: {components}"
    enough = len(evaluator.examples(data)) >= MANY
    for metric in evaluator.metrics():
        missing = set(metric.estimator.components) - components["candidate"]
        assert not missing, f"{metric.name} needs components that score() does not give: {sorted(missing)}"
        measurement = measure(metric, scores)
        for whose, value in _values(measurement).items():
            _check_value(f"{metric.name} {whose}", value, metric.low, metric.high)
            if isinstance(value, Unmeasured) and enough:
                assert value.reason, f"{metric.name} {whose} is unmeasured without a reason"
    if isinstance(evaluator, ExplainedEvaluator):
        answers = {role: _answered(script, evaluator.requests(data)) for role, script in scripts.items()}
        verdicts = _verdicts(evaluator, data, answers, made_answer)
        found = evaluator.findings(data, answers, verdicts)
        assert list(found) == list(evaluator.findings(data, answers, verdicts)), "findings differ the second time"
    _check_shown(evaluator, data, scripts, made_answer)


def _check_failures(evaluator: Evaluator, data: Datasets, scripts: Mapping[str, Script]) -> None:
    """No answer, or a model that cannot: unmeasured, with the reason, and never a number."""
    reason = "the server is on fire"

    def fails(request: Request) -> Answer:
        return Failed(reason)

    for role in ROLES:
        found = measured_by(evaluator, data, {**scripts, role: fails}, judge=fails)
        for name, measurement in found.items():
            if not _depends_on_answers(evaluator, name):
                continue
            if role == "candidate":
                value = measurement.candidate
                assert isinstance(value, Unmeasured), f"{name} has a value although the candidate answered nothing"
                assert value.reason, f"{name} is unmeasured without a reason"
            if measurement.subject == "run":
                continue
            difference = measurement.comparisons["base"].difference
            assert isinstance(difference, Unmeasured), f"{name} has a difference although the {role} answered nothing"
    if isinstance(evaluator, ExplainedEvaluator):
        answers = {role: _answered(fails, evaluator.requests(data)) for role in ROLES}
        evaluator.findings(data, answers, _verdicts(evaluator, data, answers, fails))
    _check_shown(evaluator, data, dict.fromkeys(ROLES, fails), fails, reason)


def _check_shown(
    evaluator: Evaluator, data: Datasets, scripts: Mapping[str, Script], judge: Script, fault: str = ""
) -> None:
    """What people see: of every example, and of no other model than the given ones. ``fault``: why none answered."""
    if not isinstance(evaluator, ShowingEvaluator):
        return
    answers = {role: _answered(script, evaluator.requests(data)) for role, script in scripts.items()}
    verdicts = _verdicts(evaluator, data, answers, judge)
    shown = list(evaluator.shown(data, answers, verdicts))
    assert shown == list(evaluator.shown(data, answers, verdicts)), "shown() differs the second time"
    ids, wanted = [one.id for one in shown], [example.id for example in evaluator.examples(data)]
    assert ids == wanted, f"shown() gives {len(ids)} examples, other than the {len(wanted)} or in another order"
    others = {role for one in shown for role in one.answers} - set(scripts)
    assert not others, f"shown() gives answers of {sorted(others)}, which are no models of the run"
    if fault:
        silent = [said for one in shown for said in one.answers.values() if not said.fault]
        assert not silent, f"shown() gives no fault where no model answered: {silent[0]}"


def _check_few(evaluator: Evaluator, data: Datasets, scripts: Mapping[str, Script]) -> None:
    """One example, and none: no exception, and no interval from nothing."""
    for count in (1, 0):
        few = {name: replace(dataset, examples=dataset.examples[:count]) for name, dataset in data.items()}
        for name, measurement in measured_by(evaluator, few, scripts).items():
            for value in _values(measurement).values():
                assert count or isinstance(value, Unmeasured), f"{name} has a value without an example"
        _check_shown(evaluator, few, scripts, made_answer)


def _values(measurement: Measurement) -> Mapping[str, Measured]:
    """What the metric says, by whom or what it says it of."""
    if measurement.subject == "run":
        return {"of the run": measurement.candidate}
    beside = measurement.comparisons["base"]
    if measurement.subject == "pair":
        return {"of the candidate beside the base": beside.difference}
    return {"of the candidate": measurement.candidate, "of the base": beside.baseline}


def _depends_on_answers(evaluator: Evaluator, name: str) -> bool:
    """Metrics with a limit of their own speak of the data, such as a leaked holdout."""
    return next(metric for metric in evaluator.metrics() if metric.name == name).limit is None


def _check_value(what: str, measured: Measured, low: float | None, high: float | None) -> None:
    if isinstance(measured, Unmeasured):
        return
    assert low is None or measured.value >= low - 1e-9, f"{what} is {measured.value}, below {low}"
    assert high is None or measured.value <= high + 1e-9, f"{what} is {measured.value}, above {high}"


def _answered(script: Script, requests: Sequence[Request]) -> dict[Request, Answer]:
    return {request: script(request) for request in requests}


def _verdicts(
    evaluator: Evaluator, data: Datasets, answers: Mapping[str, Answers], judge: Script
) -> dict[str, dict[Request, Answer]]:
    if not isinstance(evaluator, JudgedEvaluator):
        return {}
    asked = evaluator.second_requests(data, answers)
    most = evaluator.judge_calls(data)
    for name, requests in asked.items():
        assert name in evaluator.judges(), f"asks {name!r}, which judges() does not name"
        assert len(set(requests)) <= most.get(name, 0), f"{name} gets more requests than judge_calls() said"
    return {name: _answered(judge, asked.get(name, ())) for name in evaluator.judges()}


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)
