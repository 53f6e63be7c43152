"""Intervals for every kind of metric. ``mean_t(candidate - base, bounds=(-1, 1))`` gives an `Estimate`.

Which function for what:

- a share of examples: `wilson`; candidate against baseline on the same examples: `paired_proportions`
- graded scores per example, or their differences: `mean_t`, with ``bounds`` wherever there are any
- examples that come in groups (documents, conversations, paraphrases): `clustered_mean`
- sum over sum (perplexity, bits per byte, micro averages): `ratio`, `ratio_difference`
- smooth in the examples, with known influence: `mean_of_influence`; anything else: `paired_bootstrap`
- differences in differences over different examples: `independent_difference`
- a change as a share of what the baseline has: `relative_change`
- agreement of raters: `krippendorff_alpha`, `quadratic_kappa`, `spearman`; `alpha_worlds` and the like to resample them
- looks at part of the examples, with the promised alpha in all: `group_sequential`, `stopping`, `expected_information`
- whether a judge may stand in for people: `alt_test`; a win rate without the liking for length: `equal_length_rate`

Every interval has two one-sided ends, each at ``confidence`` (0.95). What cannot be estimated is
`Unmeasured` with a reason; wrong arguments raise ``ValueError``. All functions are pure; what resamples is
seeded.
"""

from .agreement import (
    MeasurementLevel,
    alpha_worlds,
    chance_where_undefined,
    krippendorff_alpha,
    nearest_category,
    quadratic_kappa,
    spearman,
    spearman_worlds,
)
from .alternative_rater import AltTest, Duels, Nearness, Trial, alt_test, duels, tested_slots
from .bounded import Bounds, constant_ends, dirichlet_ends, unseen_share
from .clusters import FEW_CLUSTERS, Partition, partition
from .estimate import COUNTED, Estimate, Interval
from .independent import independent_difference
from .length_control import equal_length_rate
from .means import clustered_mean, mean_of_influence, mean_t
from .planning import (
    MOST_EXAMPLES,
    noninferiority_sample_size,
    paired_sample_size,
    planned_error,
    required_n,
    smallest_detectable,
)
from .quantiles import binomial_cdf
from .rates import mcnemar_exact, paired_counts, paired_proportions, wilson
from .ratios import Transform, exponential, ratio, ratio_difference
from .relative import FIELLER, relative_change
from .resampling import DEFAULT_RESAMPLES, Statistic, paired_bootstrap
from .spending import (
    LEAST_GAP,
    LEAST_SPENT,
    MOST_LOOKS,
    Boundaries,
    Look,
    Spending,
    Stopping,
    alpha_spent,
    expected_information,
    fixed_drift,
    group_sequential,
    stopping,
)

__all__ = [
    "COUNTED",
    "DEFAULT_RESAMPLES",
    "FEW_CLUSTERS",
    "FIELLER",
    "LEAST_GAP",
    "LEAST_SPENT",
    "MOST_EXAMPLES",
    "MOST_LOOKS",
    "AltTest",
    "Boundaries",
    "Bounds",
    "Duels",
    "Estimate",
    "Interval",
    "Look",
    "MeasurementLevel",
    "Nearness",
    "Partition",
    "Spending",
    "Statistic",
    "Stopping",
    "Transform",
    "Trial",
    "alpha_spent",
    "alpha_worlds",
    "alt_test",
    "binomial_cdf",
    "chance_where_undefined",
    "clustered_mean",
    "constant_ends",
    "dirichlet_ends",
    "duels",
    "equal_length_rate",
    "expected_information",
    "exponential",
    "fixed_drift",
    "group_sequential",
    "independent_difference",
    "krippendorff_alpha",
    "mcnemar_exact",
    "mean_of_influence",
    "mean_t",
    "nearest_category",
    "noninferiority_sample_size",
    "paired_bootstrap",
    "paired_counts",
    "paired_proportions",
    "paired_sample_size",
    "partition",
    "planned_error",
    "quadratic_kappa",
    "ratio",
    "ratio_difference",
    "relative_change",
    "required_n",
    "smallest_detectable",
    "spearman",
    "spearman_worlds",
    "stopping",
    "tested_slots",
    "unseen_share",
    "wilson",
]
