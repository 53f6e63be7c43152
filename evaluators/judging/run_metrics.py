"""Metrics about the judges themselves: how they did on controls, and beside people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ..absent import Value
from ..estimators import AdvantageProbability, AltTestWinningRate, JudgeKappa, Mean, Part
from ..metrics import Estimator, Metric
from ..people.by_rater import Opinions
from .controls import CONTROL_METRICS, ControlKind
from .settings import JudgingSettings

if TYPE_CHECKING:  # see metrics.py: the statistics are imported where they are used
    from ..statistics import Nearness

RARELY_UNSCORED = 0.95
"""Judges skip one example or another, which counts against the candidate."""

MOST_CONTROLS = 0.75
"""Controls that cannot be made or judged count as failed, so that few of them may be lacking without harm."""

FEW_RATERS = 3


def about_the_run(
    name: str, estimator: Estimator, description: str, *, low: float = 0.0, least: float = RARELY_UNSCORED
) -> Metric:
    return Metric(name, True, estimator, low, 1.0, description=description, subject="run", min_coverage=least)


def control_metrics(said: Mapping[ControlKind, str]) -> list[Metric]:
    """One for each kind of control, in the order of their codes in the component ``part``, by its description."""
    found: list[Metric] = []
    for code, (kind, description) in enumerate(said.items(), 1):
        name = CONTROL_METRICS[kind]
        estimator = Part(Mean(name, 0.0, 1.0), "part", float(code), f"{kind} controls")
        found.append(about_the_run(name, estimator, description, least=MOST_CONTROLS))
    return found


def trust_metrics(
    settings: JudgingSettings, part: tuple[float, str], categories: tuple[float, ...], nearness: Nearness
) -> list[Metric]:
    """The judges as one, component ``verdict``, beside each rater. ``part``: code and name of what people rated;
    ``categories``: what they chose from."""
    raters, rated = rater_columns(settings)
    rounded = categories if nearness == "exact" else ()

    def over(estimator: Estimator) -> Part:
        return Part(estimator, "part", *part)

    return [
        about_the_run(
            "alt_test_winning_rate",
            over(AltTestWinningRate("verdict", raters, rated, settings.epsilon, nearness, rounded)),
            "share of raters for whom the judges stand in as well as they do for the other raters (alt-test)",
        ),
        about_the_run(
            "alt_test_advantage",
            over(AdvantageProbability("verdict", raters, rated, nearness, rounded)),
            "chance that the judges agree with the other raters at least as well as the rater they stand in for",
        ),
        about_the_run(
            "people_kappa",
            over(JudgeKappa("verdict", raters, rated, categories)),
            "Cohen's kappa (quadratic weights) of the judges with people, each rating by one of them an observation",
            low=-1.0,
        ),
    ]


def rater_columns(settings: JudgingSettings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Components of what each rater said, and of whether they did."""
    slots = range(1, settings.raters + 1 if settings.ratings is not None else 1)
    return tuple(f"people_{slot}" for slot in slots), tuple(f"people_{slot}_rated" for slot in slots)


def rater_values(settings: JudgingSettings, opinions: Opinions, count: int) -> dict[str, list[Value]]:
    """Those components over ``count`` examples: 0, and 0 in the second, where a rater did not say anything."""
    columns: dict[str, list[Value]] = {}
    said = list(opinions.values())
    for slot, (value, given) in enumerate(zip(*rater_columns(settings), strict=True)):
        values = said[slot] if slot < len(said) else [None] * count
        columns[value] = [0.0 if one is None else one for one in values]
        columns[given] = [float(one is not None) for one in values]
    return columns


def advice_on_trust(settings: JudgingSettings, raters: int, what: str) -> Iterator[str]:
    """``raters``: how many people rated the answers of this run. ``what``: what they are to rate."""
    if settings.ratings is None:
        rule = f"requires: {{{settings.title}.alt_test_winning_rate: 0.5}}"
        yield (
            f"Nobody has compared this judge with people: whether it sees what they see is not known. Have {what} "
            f"rated (`finetune-gate rate`), name their dataset in `ratings`, and let the rules that rest on the judge "
            f"say `{rule}`."
        )
    elif raters < FEW_RATERS:
        yield (
            f"{raters} people have rated the answers of this run; the test of a judge against people needs "
            f"{FEW_RATERS} or more, on 50 to 100 examples."
        )
