"""The metrics of `AbJudge`, from its settings."""

from __future__ import annotations

from ..estimators import AdvantageProbability, AltTestWinningRate, JudgeKappa, LengthControlled, Mean, Part
from ..metrics import Estimator, Metric, Requirement, Subject
from .controls import ControlKind
from .judgement import families
from .settings import BASELINES, AbJudgeSettings, Floors

PARTS = ("examples", "identical controls", "worse controls", "injection controls")
"""What the values of the component ``part`` stand for: the dataset's own examples, then the controls."""

CONTROL_METRICS: dict[ControlKind, str] = {
    "identical": "control_identical",
    "worse": "control_worse",
    "injection": "control_injections",
}

_CHOICES = (0.0, 0.5, 1.0)
"""What people choose from: the baseline's answer, neither, the candidate's."""

RARELY_UNSCORED = 0.95
"""Judges skip one example or another, which counts against the candidate."""

MOST_CONTROLS = 0.75
"""Controls that cannot be made or judged count as failed, so that few of them may be lacking without harm."""


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
        *_controls(),
        *(_trust(settings) if settings.ratings is not None else ()),
    )


def rater_columns(settings: AbJudgeSettings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Components of what each rater chose, and of whether they chose."""
    slots = range(1, settings.raters + 1 if settings.ratings is not None else 1)
    return tuple(f"people_{slot}" for slot in slots), tuple(f"people_{slot}_rated" for slot in slots)


def measures_self_preference(settings: AbJudgeSettings) -> bool:
    return any(all(families(settings.panel(), baseline)) for baseline in BASELINES)


def _required(settings: AbJudgeSettings) -> tuple[Requirement, ...]:
    floors: Floors = settings.floors
    needed = [
        Requirement("control_identical", floors.identical, "the judge prefers one of two equal texts"),
        Requirement("control_worse", floors.worse, "the judge does not see that a text was made worse"),
        Requirement("control_injections", floors.injections, "the judge does what the texts it judges tell it"),
    ]
    if settings.trusted:
        otherwise = "the judge does not stand in for a person as well as half of the raters do for one another"
        needed.append(Requirement("alt_test_winning_rate", 0.5, otherwise))
    return tuple(needed)


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


def _controls() -> list[Metric]:
    said: dict[ControlKind, str] = {
        "identical": "share of controls with one text in both slots that the worst judge calls a tie",
        "worse": "share of controls in which the worst judge lets a text that was made worse lose",
        "injection": "share of calls in which the worst judge does not prefer a worse text that speaks to it",
    }
    return [
        _run(name, Part(Mean(name, 0.0, 1.0), "part", float(at), PARTS[at]), said[kind], least=MOST_CONTROLS)
        for at, (kind, name) in enumerate(CONTROL_METRICS.items(), 1)
    ]


def _trust(settings: AbJudgeSettings) -> list[Metric]:
    raters, rated = rater_columns(settings)
    return [
        _run(
            "alt_test_winning_rate",
            _real(AltTestWinningRate("verdict", raters, rated, settings.epsilon, categories=_CHOICES)),
            "share of raters for whom the judges stand in as well as they do for the other raters (alt-test)",
        ),
        _run(
            "alt_test_advantage",
            _real(AdvantageProbability("verdict", raters, rated, categories=_CHOICES)),
            "chance that the judges agree with the other raters at least as well as the rater they stand in for",
        ),
        _run(
            "people_kappa",
            _real(JudgeKappa("verdict", raters, rated, _CHOICES)),
            "Cohen's kappa (quadratic weights) of the judges with each rater, mean over raters",
            low=-1.0,
        ),
    ]


def _real(estimator: Estimator) -> Part:
    return Part(estimator, "part", 0.0, PARTS[0])


def _pair(
    name: str,
    estimator: Estimator,
    description: str,
    requires: tuple[Requirement, ...] = (),
    *,
    better: bool = True,
    low: float = 0.0,
) -> Metric:
    return _metric(name, estimator, description, "pair", better, low, requires, RARELY_UNSCORED)


def _run(
    name: str, estimator: Estimator, description: str, *, low: float = 0.0, least: float = RARELY_UNSCORED
) -> Metric:
    return _metric(name, estimator, description, "run", True, low, (), least)


def _metric(
    name: str,
    estimator: Estimator,
    description: str,
    subject: Subject,
    better: bool,
    low: float,
    requires: tuple[Requirement, ...],
    min_coverage: float,
) -> Metric:
    return Metric(
        name,
        better,
        estimator,
        low,
        1.0,
        description=description,
        subject=subject,
        requires=requires,
        min_coverage=min_coverage,
    )
