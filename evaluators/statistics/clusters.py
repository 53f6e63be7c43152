"""Which rows belong together. The only source of cluster identity in this package."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .estimate import FloatArray, IntArray

FEW_CLUSTERS = 20
"""With fewer, asymptotic intervals run short (Cameron, Gelbach, Miller 2008, Rev. Econ. Stat. 90)."""


@dataclass(frozen=True, slots=True)
class Partition:
    """``partition(n, groups)``: row i belongs to unit ``codes[i]``, one of 0..count-1.

    Standard error, degrees of freedom and resampling all read this one object, so they cannot disagree on
    what a cluster is. Without groups every row is its own unit.
    """

    codes: IntArray
    count: int
    grouped: bool

    def sums(self, values: FloatArray) -> FloatArray:
        """Per-unit sums, shape (count,)."""
        return np.bincount(self.codes, values, self.count).astype(np.float64, copy=False)

    @property
    def sizes(self) -> FloatArray:
        """Rows per unit, shape (count,), as floats."""
        return np.bincount(self.codes, minlength=self.count).astype(np.float64)

    @property
    def effective(self) -> float:
        """n^2 / sum n_g^2: ``count`` for equal sizes, fewer where some clusters dominate (Kish 1965)."""
        if not self.count:
            return 0.0
        sizes = self.sizes
        return float(sizes.sum() ** 2 / np.square(sizes).sum())

    @property
    def few(self) -> bool:
        """Rows are grouped, and into fewer than `FEW_CLUSTERS` effective clusters."""
        return self.grouped and self.effective < FEW_CLUSTERS

    @property
    def noun(self) -> str:
        """What one unit is called in sentences for the reader."""
        return "clusters" if self.grouped else "examples"

    @property
    def few_warning(self) -> str:
        found = f"{self.count} clusters, in weight like {self.effective:.1f} equal ones"
        return f"{found}: under {FEW_CLUSTERS}, the interval is rough"


def partition(n: int, groups: npt.ArrayLike | None) -> Partition:
    """Units of ``n`` rows from any non-negative integer codes, or one unit per row for None.

    Raises ``ValueError`` where codes are not integers, not one per row, or negative: a negative code is how
    many libraries mark a missing group, and lumping those rows into one cluster would be an invention.
    """
    if groups is None:
        return Partition(np.arange(n, dtype=np.int64), n, grouped=False)
    raw = np.asarray(groups)
    if raw.shape != (n,):
        raise ValueError(f"groups: found shape {raw.shape}; expected one cluster code per row, shape ({n},)")
    if n and not np.issubdtype(raw.dtype, np.integer):
        raise ValueError(f"groups: found dtype {raw.dtype}; expected integer codes, e.g. from numpy.unique")
    if n and int(raw.min()) < 0:
        raise ValueError(
            f"groups: {int((raw < 0).sum())} codes are negative; expected codes >= 0; "
            "give rows without a group a code of their own, or leave them out"
        )
    unique, codes = np.unique(raw, return_inverse=True)
    return Partition(codes.astype(np.int64).reshape(n), int(unique.size), grouped=True)
