"""What the rules of a gate file can show with the data they have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import Answer, Failed, Request
from finetune_gate.evaluators.detectable import Detectable, Sample, detectable_change, detectable_value
from finetune_gate.evaluators.evaluator import Datasets, Evaluator, JudgedEvaluator
from finetune_gate.evaluators.measurement import cluster_count, concerned, measure
from finetune_gate.evaluators.metrics import Metric
from finetune_gate.evaluators.scores import EvaluatorScores, score_evaluator
from finetune_gate.evaluators.statistics import Estimate

from ..deciding.naming import quoted
from ..gate_file import Gate, Rule
from ..pins import Role
from .planned import PlannedRule, Unknown

FEW_EXAMPLES = 30
"""Fewer than this are worth a warning: intervals of small samples are rough."""


def plan_rules(gate: Gate, data: Datasets, known: Mapping[Role, Mapping[Request, Answer]]) -> tuple[PlannedRule, ...]:
    """One for each rule, in order. ``known`` holds what the baselines have answered already; it is scored here."""
    slices = gate.slice_columns

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
        smallest = _smallest_slice(metric, unanswered(title), rule)
        if isinstance(smallest, Unmeasured):
            planned.append(_planned(rule, metric, _sample(metric, unanswered(title), rule), smallest))
            continue
        judged = rule if smallest is None else rule.on(smallest)
        sample = _sample(metric, unanswered(title), judged)
        found = _planned(judged, metric, sample, _detectable(judged, metric, sample, seen(judged, evaluator, metric)))
        if smallest is not None:
            found = found.model_copy(update={"rule": f"{rule.text} (the smallest: {quoted(smallest)})"})
        planned.append(found)
    return tuple(planned)


def _smallest_slice(metric: Metric, scores: EvaluatorScores, rule: Rule) -> str | Unmeasured | None:
    """Of the values that the rule judges, the one with the fewest examples, which shows the least; None where the rule
    does not judge values."""
    if rule.slices is None:
        return None
    found = (scores.examples[at].slices.get(rule.slices) for at in concerned(metric, scores))
    counts = Counter(value for value in found if value is not None)
    enough = [(count, value) for value, count in counts.items() if count >= rule.least_n]
    if not enough:
        return Unmeasured(f"no value of {rule.slices!r} has {rule.least_n} examples")
    return min(enough)[1]


def _sample(metric: Metric, scores: EvaluatorScores, rule: Rule) -> Sample:
    """The examples that the rule's metric speaks of, on its slice. One without a group is a cluster of its own."""
    chosen = [scores.examples[at] for at in concerned(metric, scores, rule.slice)]
    return Sample(len(chosen), cluster_count(one.group for one in chosen))


def _detectable(rule: Rule, metric: Metric, sample: Sample, seen: Mapping[str, Estimate]) -> Detectable | Unmeasured:
    if rule.confidence == "none":
        return Unmeasured("compares point estimates: no test, so nothing it would detect")
    if not rule.of_change:
        side = "at least" if rule.kind == "min" else "at most"
        return detectable_value(metric, sample, rule.bound, side, rule.confidence, seen)
    compared = {role: value for role, value in seen.items() if rule.against in (None, role)}
    if rule.kind == "min_relative_change":
        return _detectable_share(rule, rule.confidence, metric, sample, compared)
    # at most so much better is, of the models in each other's place, at most so much worse
    least = -rule.bound if rule.kind == "max_change" else rule.bound
    return detectable_change(metric, sample, least, rule.confidence, compared)


def _detectable_share(
    rule: Rule, confidence: float, metric: Metric, sample: Sample, compared: Mapping[str, Estimate]
) -> Detectable | Unmeasured:
    """In per cent of the value of the baseline against which least can be shown."""
    if not compared:
        return Unmeasured("known once the base has answered")
    shares: list[Detectable] = []
    for role, estimate in compared.items():
        if not estimate.interval.low > 0:
            return Unmeasured(f"the {role}'s value may be zero: nothing is relative to it")
        found = detectable_change(metric, sample, rule.bound * estimate.value, confidence, {role: estimate})
        if isinstance(found, Unmeasured):
            return found
        room = None if found.room is None else 100 * found.room / estimate.value
        shares.append(replace(found, difference=100 * found.difference / estimate.value, room=room))
    return max(shares, key=lambda share: share.difference)


def _planned(rule: Rule, metric: Metric, sample: Sample, found: Detectable | Unmeasured) -> PlannedRule:
    planned = PlannedRule(
        rule=rule.text,
        severity=rule.severity,
        confidence=None if rule.confidence == "none" else rule.confidence,
        examples=sample.examples,
        clusters=None if sample.units == sample.examples else sample.units,
        detects=Unknown(unknown=found.reason) if isinstance(found, Unmeasured) else found.difference,
        unit="% of the baseline's value" if rule.kind == "min_relative_change" else metric.unit,
    )
    if isinstance(found, Unmeasured):
        return planned
    update: dict[str, object] = {"assumption": found.assumption, "needed": found.needed}
    if found.needed is not None:
        update["shortfall"] = _shortfall(rule, sample, found)
    return planned.model_copy(update=update)


def _shortfall(rule: Rule, sample: Sample, found: Detectable) -> str:
    room = f"{found.room:.3g}" + (" %" if rule.kind == "min_relative_change" else "")
    if not rule.of_change:
        what = f"the {room} between {rule.bound:g} and the best possible value"
    else:
        what = f"margin {room}" if rule.margin and not rule.min_change else f"the room of {room}"
    there = sample.units if found.noun == "clusters" else sample.examples
    return f"{what} needs about {found.needed:,} {found.noun}; there are {there:,}"


def small_samples(rules: tuple[PlannedRule, ...]) -> list[str]:
    """Warnings about rules that look at few examples."""
    return [
        f"{rule.rule}: only {rule.examples} examples; intervals of fewer than {FEW_EXAMPLES} are rough"
        for rule in rules
        if rule.examples < FEW_EXAMPLES
    ]
