"""Functions of summed components: corpus BLEU, corpus chrF, micro averages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..absent import Unmeasured

if TYPE_CHECKING:  # see metrics.py: numpy and the statistics are imported where they are used
    from ..metrics import Columns, FloatArray, IntArray
    from ..statistics import Estimate


@dataclass(frozen=True, slots=True)
class Corpus:
    """``Corpus(corpus_bleu, ("bleu_match_1", ...), low=0, high=100)``: ``of_sums`` turns sums over the examples,
    float64 [B, components] in the order of ``summed``, into values, float64 [B].

    Not the mean of per-example values: a corpus score weighs long examples more, and is defined where an example's own
    is not. Missing values cannot be imputed.
    """

    of_sums: Callable[[FloatArray], FloatArray]
    summed: tuple[str, ...]
    low: float
    high: float

    @property
    def components(self) -> tuple[str, ...]:
        return self.summed

    def impute(self, columns: Columns, best: bool) -> Columns | Unmeasured:
        import numpy as np

        missing = np.any(np.stack([np.isnan(columns[name]) for name in self.summed]), axis=0)
        if not missing.any():
            return columns
        return Unmeasured(f"{int(missing.sum())} of {missing.size} examples have no {self.summed[0]}")

    def estimate(
        self, columns: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        import numpy as np

        from ..statistics import paired_bootstrap

        rows = np.stack([columns[name] for name in self.summed], axis=1)

        def statistic(weights: IntArray) -> FloatArray:
            return self.of_sums(weights.astype(np.float64) @ rows)

        bounds = (self.low, self.high)
        return paired_bootstrap(
            statistic, rows.shape[0], groups=groups, seed=seed, confidence=confidence, bounds=bounds
        )

    def difference(
        self, candidate: Columns, baseline: Columns, groups: IntArray | None, confidence: float, seed: int
    ) -> Estimate | Unmeasured:
        import numpy as np

        from ..statistics import paired_bootstrap

        ours = np.stack([candidate[name] for name in self.summed], axis=1)
        theirs = np.stack([baseline[name] for name in self.summed], axis=1)

        def statistic(weights: IntArray) -> FloatArray:
            drawn = weights.astype(np.float64)
            return self.of_sums(drawn @ ours) - self.of_sums(drawn @ theirs)

        bounds = (self.low - self.high, self.high - self.low)
        return paired_bootstrap(
            statistic, ours.shape[0], groups=groups, seed=seed, confidence=confidence, bounds=bounds
        )
