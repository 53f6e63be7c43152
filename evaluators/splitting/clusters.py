"""What belongs together, and whatever that belongs to: union-find."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # numpy is imported where it is used: see metrics.py
    from ..metrics import IntArray


class Clusters:
    """``clusters.unite(3, 7)``. Each cluster is named by its earliest member, whatever the order of uniting."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def first_of(self, at: int) -> int:
        """The earliest member of the cluster of ``at``."""
        parents = self._parents
        while parents[at] != at:
            parents[at] = parents[parents[at]]
            at = parents[at]
        return at

    def unite(self, one: int, other: int) -> None:
        earlier, later = sorted((self.first_of(one), self.first_of(other)))
        self._parents[later] = earlier

    def firsts(self) -> IntArray:
        """``first_of`` for every position."""
        import numpy as np

        return np.array([self.first_of(at) for at in range(len(self._parents))], dtype=np.int64)
