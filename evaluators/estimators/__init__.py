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

Examples that share a group are one cluster in all of them. Which method ran is named in every estimate.
"""

from .confusion_statistic import Confusion
from .corpus import Corpus
from .counted import Counted
from .curve import AreaUnderCurve
from .mean import Mean
from .parts import Part, PartDifference
from .ratio import Ratio

__all__ = ["AreaUnderCurve", "Confusion", "Corpus", "Counted", "Mean", "Part", "PartDifference", "Ratio"]
