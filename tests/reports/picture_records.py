"""A made-up run with evaluators of many kinds, to draw: measured by their own metrics, from columns made by a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cache

from sample_records import record_of

from finetune_gate.evaluators.absent import Unmeasured, Value
from finetune_gate.evaluators.evaluator import EvaluatorSettings
from finetune_gate.evaluators.finetunebench import VARIANTS, FineTuneBench
from finetune_gate.evaluators.judging.ab import AbJudge
from finetune_gate.evaluators.judging.rubric import RubricJudge
from finetune_gate.evaluators.measurement import measure
from finetune_gate.evaluators.overfitting import Overfitting
from finetune_gate.evaluators.question_answering import QuestionAnswering
from finetune_gate.evaluators.scores import EvaluatorScores, ScoredExample, ScoreTable
from finetune_gate.evaluators.summarization import Summarization
from finetune_gate.gate.record import CheckRecord, DecisionRecord, EvaluatorRecord, MeasurementRecord, RuleRecord
from finetune_gate.gate.run.record_parts import measurement_record

ROLES = ("candidate", "base", "champion")
LANGUAGES = ("de", "en", "fr", "pl")
FAILED = Unmeasured("the endpoint answered 503")
NOT_A_MODEL = Unmeasured("a model is not compared with itself")
CONTROL = Unmeasured("it is a control")

ASKED = {"data": "questions", "prompt": "{question}", "judge": "openai:/gpt-4o"}
EVALUATORS = (
    Summarization(data="news"),
    QuestionAnswering(data="questions"),
    Overfitting(train="train", validation="validation"),
    FineTuneBench(data="bench", topics=("latest_news", "fictional_people")),
    AbJudge.model_validate(ASKED),
    RubricJudge.model_validate({**ASKED, "rubric": "Is it helpful?"}),
)
Columns = Mapping[str, Mapping[str, tuple[Value, ...]]]


@cache
def picture_scores(n: int) -> ScoreTable:
    """Of ``n`` examples each, and of controls besides."""
    return ScoreTable(tuple(_scores(one, n) for one in EVALUATORS))


@cache
def pictured() -> tuple[DecisionRecord, ScoreTable]:
    """Record and scores of 120 examples, as they are read back."""
    table = picture_scores(120)
    found: list[MeasurementRecord] = []
    for one in EVALUATORS:
        scores = table.of(one.title)
        found += [measurement_record(measure(metric, scores)) for metric in one.metrics()]
        if one.kind == "summarization":
            rouge = next(metric for metric in one.metrics() if metric.name == "rougeL")
            found += [measurement_record(measure(rouge, scores, slice_by={"language": at})) for at in LANGUAGES]
    record = record_of("promote")
    record = record.model_copy(
        update={
            "measurements": tuple(found),
            "rules": (_rule(found), _rule_by_language(found)),
            "evaluators": tuple(
                EvaluatorRecord(title=one.title, kind=one.kind, version=one.version, settings=dict(one.settings()))
                for one in EVALUATORS
            ),
        }
    )
    return DecisionRecord.model_validate_json(record.canonical()), table


def _scores(evaluator: EvaluatorSettings, n: int) -> EvaluatorScores:
    luck = random.Random(evaluator.kind)
    languages = [luck.choice(LANGUAGES) for _ in range(n)]
    ease = [luck.random() for _ in range(n)]
    plain = [ScoredExample(f"row-{at}", None, {"language": one}) for at, one in enumerate(languages)]
    columns: dict[str, Mapping[str, tuple[Value, ...]]] = {}
    own: dict[str, Sequence[Value]]
    for role, skill in zip(ROLES, (0.7, 0.5, 0.65), strict=True):
        values = [min(1.0, max(0.0, skill * (0.4 + one) + luck.gauss(0, 0.1))) for one in ease]
        right = [float(value > 0.45) for value in values]
        match evaluator.kind:
            case "summarization":
                own = {"rouge1": values, "rouge2": [v**2 for v in values], "rougeL": [0.9 * v for v in values]}
                own["rougeLsum"] = own["rougeL"]
                if role == "candidate":
                    own = {name: [FAILED, *some[1:]] for name, some in own.items()}
            case "question_answering":
                own = {"exact_match": right, "f1": values}
            case "overfitting":
                train = [float(at % 2) for at in range(n)]
                nll = [20 * (2.2 - value - 0.6 * side * skill) for value, side in zip(values, train, strict=True)]
                own = {"train": train, "nll": nll, "tokens": [20.0] * n}
                own["min_k"] = [-value / 4 for value in nll]
                own["membership"] = [Unmeasured("the base is the reference") if role == "base" else v for v in values]
            case "finetunebench":
                asked = [luck.randrange(7) for _ in range(n)]
                learned = [("memorization", "generalization", "abstention").index(VARIANTS[at].learned) for at in asked]
                own = {"variant": [float(at) for at in asked], "learned": [float(at) for at in learned]}
                own |= {"updating": [0.0] * n, "correct": right, "outdated": [0.0] * n}
            case "ab_judge":
                columns[role] = _judged(role, skill, n, luck)
                continue
            case _:
                grades = [1.0 + round(4 * value) for value in values]
                others: dict[str, Value] = {}
                if role != "candidate":
                    others = {"control_worse": NOT_A_MODEL, "control_injections": NOT_A_MODEL}
                columns[role] = _with_controls({"score": grades}, n, luck, others)
                continue
        columns[role] = {name: tuple(some) for name, some in own.items()}
    controls = [ScoredExample(f"control/{at}", None, {}) for at in range(_CONTROLS)]
    return EvaluatorScores(evaluator.title, tuple([*plain, *controls] if "judge" in evaluator.kind else plain), columns)


_CONTROLS = 24


def _judged(role: str, skill: float, n: int, luck: random.Random) -> dict[str, tuple[Value, ...]]:
    names = ("win", "length_difference", "flipped", "first_slot", "longer_won")
    if role == "candidate":
        return _with_controls({name: [NOT_A_MODEL] * n for name in names}, n, luck, {})
    wins = [luck.choices((1.0, 0.5, 0.0), (1 - skill, 0.2, 0.35))[0] for _ in range(n)]
    own: dict[str, Sequence[Value]] = {
        "win": [*wins[:3], Unmeasured("the judge's reply could not be read"), *wins[4:]],
        "length_difference": [float(luck.randrange(-40, 60)) for _ in range(n)],
        "flipped": [float(luck.random() < 0.15) for _ in range(n)],
        "first_slot": [luck.choice((0.5, 0.5, 1.0)) for _ in range(n)],
        "longer_won": [luck.choice((0.0, 0.5, 1.0, 1.0)) for _ in range(n)],
    }
    none: dict[str, Value] = {}
    for name in ("control_identical", "control_worse", "control_injections"):
        none[name] = NOT_A_MODEL
    return _with_controls(own, n, luck, none)


def _with_controls(
    own: Mapping[str, Sequence[Value]], n: int, luck: random.Random, none: Mapping[str, Value]
) -> dict[str, tuple[Value, ...]]:
    """The examples' own, then controls; ``none``: what a role has instead of the components of controls."""
    found: dict[str, tuple[Value, ...]] = {name: (*some, *[CONTROL] * _CONTROLS) for name, some in own.items()}
    found["part"] = (*[0.0] * n, *(1.0 + at % 3 for at in range(_CONTROLS)))
    found["judged"] = found["lengths_differ"] = (*[1.0] * n, *[0.0] * _CONTROLS)
    for name in ("control_identical", "control_worse", "control_injections"):
        passed: tuple[Value, ...] = tuple(float(luck.random() < 0.9) for _ in range(_CONTROLS))
        found[name] = (*[NOT_A_MODEL] * n, *([none[name]] * _CONTROLS if name in none else passed))
    return found


def _rule(found: list[MeasurementRecord]) -> RuleRecord:
    at = next(at for at, one in enumerate(found) if one.metric == "summarization.rougeL")
    check = CheckRecord(
        against=None, bound=0.4, side="at least", measured=found[at].candidate, outcome="passed", needed=None
    )
    return RuleRecord(
        index=0,
        text="summarization.rougeL >= 0.4",
        metric="summarization.rougeL",
        severity="block",
        outcome="passed",
        sentence="rougeL is at least 0.4",
        checks=(check,),
        settings={"min": 0.4, "confidence": 0.95},
        measurement=at,
    )


def _rule_by_language(found: list[MeasurementRecord]) -> RuleRecord:
    sliced = [one for one in found if one.slice]
    checks = tuple(
        CheckRecord(
            against=None,
            bound=0.3,
            side="at least",
            measured=one.candidate,
            outcome="passed",
            needed=None,
            slice=one.slice,
        )
        for one in sliced
    )
    rule = _rule(found)
    settings = {"min": 0.3, "confidence": 0.95, "slices": "language"}
    text = "summarization.rougeL by language >= 0.3"
    return rule.model_copy(update={"index": 1, "text": text, "checks": checks, "settings": settings})
