"""Intervals for every kind of metric. ``mean_t(candidate - base, bounds=(-1, 1))`` gives an `Estimate`.

Which function for what:

- a share of examples: `wilson`; candidate against baseline on the same examples: `paired_proportions`
- graded scores per example, or their differences: `mean_t`, with ``bounds`` wherever there are any
- examples that come in groups (documents, conversations, paraphrases): `clustered_mean`
- sum over sum (perplexity, bits per byte, micro averages): `ratio`, `ratio_difference`
- smooth in the examples, with known influence: `mean_of_influence`; anything else: `paired_bootstrap`
- differences in differences over different examples: `independent_difference`

Every interval has two one-sided ends, each at ``confidence`` (0.95). What cannot be estimated is
`Unmeasured` with a reason; wrong arguments raise ``ValueError``. All functions are pure; what resamples is
seeded.
"""

from .bounded import Bounds, constant_ends, dirichlet_ends, unseen_share
from .clusters import FEW_CLUSTERS, Partition, partition
from .estimate import COUNTED, Estimate, Interval
from .independent import independent_difference
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
from .resampling import DEFAULT_RESAMPLES, Statistic, paired_bootstrap

__all__ = [
    "COUNTED",
    "DEFAULT_RESAMPLES",
    "FEW_CLUSTERS",
    "MOST_EXAMPLES",
    "Bounds",
    "Estimate",
    "Interval",
    "Partition",
    "Statistic",
    "Transform",
    "binomial_cdf",
    "clustered_mean",
    "constant_ends",
    "dirichlet_ends",
    "exponential",
    "independent_difference",
    "mcnemar_exact",
    "mean_of_influence",
    "mean_t",
    "noninferiority_sample_size",
    "paired_bootstrap",
    "paired_counts",
    "paired_proportions",
    "paired_sample_size",
    "partition",
    "planned_error",
    "ratio",
    "ratio_difference",
    "required_n",
    "smallest_detectable",
    "unseen_share",
    "wilson",
]
