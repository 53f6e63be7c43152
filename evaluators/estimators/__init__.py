"""How metrics are computed from per-example components, each with the interval that fits it.

| estimator        | quantity                             | one model       | difference of two, paired by example    |
|------------------|--------------------------------------|-----------------|-----------------------------------------|
| `Mean` 0/1       | share                                | Wilson          | Tango's score interval                  |
| `Mean`           | mean                                 | t               | t on the differences                    |
| `Ratio`          | sum / sum, or its exponential        | delta method, t | delta method on paired influence, t     |
| `Confusion`      | F1, MCC, ... of a confusion          | bootstrap, BCa  | paired bootstrap, BCa                   |
| `Corpus`         | any function of summed components    | bootstrap, BCa  | paired bootstrap, BCa                   |
| `Part`           | one of these over some examples      | that one's      | that one's                              |
| `PartDifference` | one part minus another               | Zou and Donner  | the same: a difference in differences   |
| `AreaUnderCurve` | does a score tell two parts apart?   | DeLong, logit t | DeLong on paired influence, t           |
| `Counted`        | what is counted and not sampled      | exact           | exact                                   |

Of people's ratings, of a judge beside them, and of pairs of models. They have no difference of two models.

| estimator              | quantity                                             | interval                             |
|------------------------|------------------------------------------------------|--------------------------------------|
| `KrippendorffAlpha`    | agreement of people, any number of raters            | bootstrap, BCa                       |
| `RaterKappa`           | the same as mean quadratic kappa of pairs            | bootstrap, BCa                       |
| `JudgeKappa`           | quadratic kappa of a judge with people               | bootstrap, BCa                       |
| `JudgeSpearman`        | rank correlation of a judge with people's mean       | bootstrap, BCa                       |
| `AltTestWinningRate`   | share of people whom a judge beats, tests and all    | none: it is made of tests            |
| `AdvantageProbability` | is a judge as near to people as one of them?         | bootstrap, BCa                       |
| `LengthControlled`     | win rate, were all answers equally long              | jackknife t on the log-odds          |

Examples that share a group are one cluster in all of them. Which method ran is named in every estimate.
"""

from .agreement import JudgeKappa, JudgeSpearman, KrippendorffAlpha, RaterKappa
from .alternative_rater import AdvantageProbability, AltTestWinningRate
from .confusion_statistic import Confusion
from .corpus import Corpus
from .counted import Counted
from .curve import AreaUnderCurve
from .length_controlled import LengthControlled
from .mean import Mean
from .parts import Part, PartDifference
from .ratio import Ratio

__all__ = [
    "AdvantageProbability",
    "AltTestWinningRate",
    "AreaUnderCurve",
    "Confusion",
    "Corpus",
    "Counted",
    "JudgeKappa",
    "JudgeSpearman",
    "KrippendorffAlpha",
    "LengthControlled",
    "Mean",
    "Part",
    "PartDifference",
    "RaterKappa",
    "Ratio",
]
