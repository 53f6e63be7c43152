"""Drawing some of many examples, the same ones every time and whatever else the dataset holds."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable


def drawn(ids: Iterable[str], most: int) -> set[str]:
    """At most ``most`` of ``ids``: those with the smallest SHA-256. A row that is added moves at most one other out."""
    return set(heapq.nsmallest(most, ids, key=lambda one: hashlib.sha256(one.encode("utf-8", "replace")).digest()))
