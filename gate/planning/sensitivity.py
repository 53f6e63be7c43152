"""What the rules of a gate file can show with the data they have."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import Answer, Failed, Request
from finetune_gate.evaluators.detectable import Detectable, Sample, detectable_change, detectable_value
from finetune_gate.evaluators.evaluator import Datasets, Evaluator, JudgedEvaluator
from finetune_gate.evaluators.measurement import concerned, measure
from finetune_gate.evaluators.metrics import Metric
from finetune_gate.evaluators.scores import EvaluatorScores, score_evaluator
from finetune_gate.evaluators.statistics import Estimate

from ..gate_file import Gate, Rule
from ..pins import Role
from .planned import PlannedRule, Unknown

FEW_EXAMPLES = 30
"""Fewer than this are worth a warning: intervals of small samples are rough."""


def plan_rules(gate: Gate, data: Datasets, known: Mapping[Role, Mapping[Request, Answer]]) -> tuple[PlannedRule, ...]:
    """One for each rule, in order. ``known`` holds what the baselines have answered already; it is scored here."""
    slices = sorted({column for rule in gate.rules for column in rule.slice} | {"category"})

    @cache
    def scores(title: str, role: Role) -> EvaluatorScores:
        evaluator = gate.evaluators[title]
        found = known[role]
        missing = Failed("not in the answer store")
        answers = {request: found.get(request, missing) for request in evaluator.requests(data)}
        # under the name of the candidate, which is the one that `measure` gives a value of its own
        return score_evaluator(evaluator, data, {"candidate": answers}, slices)

    @cache
    def unanswered(title: str) -> EvaluatorScores:
        """What is known of every example before any model has answered: its group, its slices, its part."""
        evaluator = gate.evaluators[title]
        missing: dict[Request, Answer] = dict.fromkeys(evaluator.requests(data), Failed("not asked yet"))
        answers, verdicts = {"candidate": missing}, dict[str, Mapping[Request, Answer]]()
        if isinstance(evaluator, JudgedEvaluator):
            asked = evaluator.second_requests(data, answers)
            verdicts = {one: dict.fromkeys(asked.get(one, ()), Failed("not asked yet")) for one in evaluator.judges()}
        return score_evaluator(evaluator, data, answers, slices, verdicts)

    def seen(rule: Rule, evaluator: Evaluator, metric: Metric) -> dict[str, Estimate]:
        """The baselines' own values, where enough of their answers are known. Verdicts of judges never are."""
        found: dict[str, Estimate] = {}
        judged = isinstance(evaluator, JudgedEvaluator) and evaluator.judges()
        for role in () if judged else known:
            value = measure(
                metric,
                scores(evaluator.title, role),
                confidence=0.95 if rule.confidence == "none" else rule.confidence,
                min_coverage=metric.min_coverage if rule.min_coverage is None else rule.min_coverage,
                slice_by=rule.slice,
                seed=gate.file.execution.seed,
            ).candidate
            if isinstance(value, Estimate):
                found[role] = value
        return found

    planned: list[PlannedRule] = []
    for rule in gate.rules:
        title, _, name = rule.metric.partition(".")
        evaluator = gate.evaluators[title]
        metric = next(metric for metric in evaluator.metrics() if metric.name == name)
        sample = _sample(metric, unanswered(title), rule)
        planned.append(_planned(rule, metric, sample, _detectable(rule, metric, sample, seen(rule, evaluator, metric))))
    return tuple(planned)


def _sample(metric: Metric, scores: EvaluatorScores, rule: Rule) -> Sample:
    """The examples that the rule's metric speaks of, on its slice. One without a group is a cluster of its own."""
    chosen = [scores.examples[at] for at in concerned(metric, scores, rule.slice)]
    groups = {("row", str(at)) if one.group is None else ("group", one.group) for at, one in enumerate(chosen)}
    return Sample(len(chosen), len(groups))


def _detectable(rule: Rule, metric: Metric, sample: Sample, seen: Mapping[str, Estimate]) -> Detectable | Unmeasured:
    if rule.confidence == "none":
        return Unmeasured("compares point estimates: no test, so nothing it would detect")
    if rule.min is not None:
        return detectable_value(metric, sample, rule.min, "at least", rule.confidence, seen)
    if rule.max is not None:
        return detectable_value(metric, sample, rule.max, "at most", rule.confidence, seen)
    compared = {role: value for role, value in seen.items() if rule.against in (None, role)}
    return detectable_change(metric, sample, _least(rule), rule.confidence, compared)


def _least(rule: Rule) -> float:
    return (rule.min_change or 0.0) - (rule.margin or 0.0)


def _planned(rule: Rule, metric: Metric, sample: Sample, found: Detectable | Unmeasured) -> PlannedRule:
    planned = PlannedRule(
        rule=rule.text,
        severity=rule.severity,
        confidence=None if rule.confidence == "none" else rule.confidence,
        examples=sample.examples,
        clusters=None if sample.units == sample.examples else sample.units,
        detects=Unknown(unknown=found.reason) if isinstance(found, Unmeasured) else found.difference,
        unit=metric.unit,
    )
    if isinstance(found, Unmeasured):
        return planned
    update: dict[str, object] = {"assumption": found.assumption, "needed": found.needed}
    if found.needed is not None:
        update["shortfall"] = _shortfall(rule, sample, found)
    return planned.model_copy(update=update)


def _shortfall(rule: Rule, sample: Sample, found: Detectable) -> str:
    room = f"{found.room:.3g}"
    if rule.min_change is None:
        bound = rule.min if rule.min is not None else rule.max
        what = f"the {room} between {bound:g} and the best possible value"
    else:
        what = f"margin {room}" if not rule.min_change else f"the room of {room}"
    there = sample.units if found.noun == "clusters" else sample.examples
    return f"{what} needs about {found.needed:,} {found.noun}; there are {there:,}"


def small_samples(rules: tuple[PlannedRule, ...]) -> list[str]:
    """Warnings about rules that look at few examples."""
    return [
        f"{rule.rule}: only {rule.examples} examples; intervals of fewer than {FEW_EXAMPLES} are rough"
        for rule in rules
        if rule.examples < FEW_EXAMPLES
    ]
