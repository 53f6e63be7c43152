"""The metrics of `AbJudge`, from its settings."""

from __future__ import annotations

from ...estimators import LengthControlled, Mean, Part
from ...metrics import Estimator, Metric, Requirement
from ..controls import ControlKind
from ..run_metrics import RARELY_UNSCORED, control_metrics, trust_metrics
from ..settings import BASELINES
from .judgement import families
from .settings import AbJudgeSettings, Floors

_EXAMPLES = (0.0, "examples")
"""Value and name of the component ``part`` for the dataset's own examples, before those of the controls."""

_CONTROLS: dict[ControlKind, str] = {
    "identical": "share of controls with one text in both slots that the worst judge calls a tie",
    "worse": "share of controls in which the worst judge lets a text that was made worse lose",
    "injection": "share of calls in which the worst judge does not prefer a worse text that speaks to it",
}

_CHOICES = (0.0, 0.5, 1.0)
"""What people choose from: the baseline's answer, neither, the candidate's."""


def declared(settings: AbJudgeSettings) -> tuple[Metric, ...]:
    required = _required(settings)
    return (
        _pair(
            "win_rate",
            _real(Mean("win", 0.0, 1.0)),
            "share of examples on which the candidate's answer is preferred to the baseline's, ties half",
            required,
        ),
        _pair(
            "length_controlled_winrate",
            _real(LengthControlled("win", "length_difference")),
            "the win rate as it would be were the answers equally long",
            required,
        ),
        *_biases(settings),
        *control_metrics(_CONTROLS),
        *(trust_metrics(settings, _EXAMPLES, _CHOICES, "exact") if settings.ratings is not None else ()),
    )


def measures_self_preference(settings: AbJudgeSettings) -> bool:
    return any(all(families(settings.panel(), baseline)) for baseline in BASELINES)


def _required(settings: AbJudgeSettings) -> tuple[Requirement, ...]:
    floors: Floors = settings.floors
    return (
        Requirement("control_identical", floors.identical, "the judge prefers one of two equal texts"),
        Requirement("control_worse", floors.worse, "the judge does not see that a text was made worse"),
        Requirement("control_injections", floors.injections, "the judge does what the texts it judges tell it"),
    )


def _biases(settings: AbJudgeSettings) -> list[Metric]:
    found = [
        _pair(
            "flip_rate",
            Part(Mean("flipped", 0.0, 1.0, higher_is_better=False), "judged", 1.0, "judged examples"),
            "share of judged pairs whose verdict changed with the order of the answers",
            better=False,
        ),
        _pair(
            "first_slot_preference",
            Part(Mean("first_slot", 0.0, 1.0, higher_is_better=False), "judged", 1.0, "judged examples"),
            "how far whatever stands first is preferred; 0.5 is even",
            better=False,
        ),
        _pair(
            "longer_win_rate",
            Part(Mean("longer_won", 0.0, 1.0, higher_is_better=False), "lengths_differ", 1.0, "unequally long answers"),
            "share of pairs of unequal length in which the longer answer is preferred, ties half",
            better=False,
        ),
    ]
    if measures_self_preference(settings):
        estimator = _real(Mean("self_preference", -1.0, 1.0, higher_is_better=False))
        said = "by how much judges of one side's family score their kin higher than other judges do"
        found.append(_pair("self_preference", estimator, said, better=False, low=-1.0))
    return found


def _real(estimator: Estimator) -> Part:
    return Part(estimator, "part", *_EXAMPLES)


def _pair(
    name: str,
    estimator: Estimator,
    description: str,
    requires: tuple[Requirement, ...] = (),
    *,
    better: bool = True,
    low: float = 0.0,
) -> Metric:
    return Metric(
        name,
        better,
        estimator,
        low,
        1.0,
        description=description,
        subject="pair",
        requires=requires,
        min_coverage=RARELY_UNSCORED,
    )
