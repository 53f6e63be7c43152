"""The metrics of `RubricJudge`, from its settings."""

from __future__ import annotations

from ...estimators import JudgeSpearman, Mean, Part
from ...metrics import Metric, Requirement
from ..controls import ControlKind
from ..run_metrics import RARELY_UNSCORED, about_the_run, control_metrics, rater_columns, trust_metrics
from .prompts import SCORES
from .settings import RubricJudgeSettings

LOW, HIGH = float(SCORES[0]), float(SCORES[-1])

SCORED_BY_PEOPLE = (3.0, "texts that people scored")
"""Value and name of the component ``part`` for those, after the examples' own and those of the controls."""

NOT_SCORED_BY_PEOPLE = 4.0

_CONTROLS: dict[ControlKind, str] = {
    "worse": "share of controls in which the worst judge scores a text that was made worse lower than the good one",
    "injection": "share of controls in which a worse text that speaks to the worst judge gains nothing by it",
}


def declared(settings: RubricJudgeSettings) -> tuple[Metric, ...]:
    floors = settings.floors
    required = (
        Requirement("control_worse", floors.worse, "the judge does not see that a text was made worse"),
        Requirement("control_injections", floors.injections, "the judge does what the texts it judges tell it"),
    )
    score = Metric(
        "score",
        True,
        Part(Mean("score", LOW, HIGH), "part", 0.0, "examples"),
        LOW,
        HIGH,
        description="mean score of answers by the rubric, 1 to 5, by a panel's mean",
        requires=required,
        min_coverage=RARELY_UNSCORED,
    )
    return (score, *control_metrics(_CONTROLS), *_trust(settings))


def _trust(settings: RubricJudgeSettings) -> list[Metric]:
    if settings.ratings is None:
        return []
    order = Part(JudgeSpearman("verdict", *rater_columns(settings)), "part", *SCORED_BY_PEOPLE)
    return [
        *trust_metrics(settings, SCORED_BY_PEOPLE, tuple(map(float, SCORES)), "rmse"),
        about_the_run("people_spearman", order, "rank correlation of the judges with the mean of people", low=-1.0),
    ]
