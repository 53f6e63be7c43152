"""Which rows are one and the same text, or nearly: found before anything is split.

clusters = deduplicate([row_text(example.row, ("text",)) for example in dataset.examples])
clusters.first_of(17)   # 3, where row 17 is a copy of row 3
"""

from __future__ import annotations

from collections.abc import Sequence

from .clusters import Clusters
from .likeness import NEAR, unite_near
from .wording import normal_form


def deduplicate(texts: Sequence[str], *, near: float = NEAR, seed: int = 0) -> Clusters:
    """Clusters of exact copies and of near-duplicates, and of whatever is linked through them. Empty texts stay apart.

    ``near`` is the least Jaccard index of near-duplicates, as in ``find_leaks``; 1 unites exact copies alone. Raises
    ValueError where it is no share above 0.
    """
    import numpy as np

    if not 0 < near <= 1:
        raise ValueError(f"found near={near}; expected a share above 0, up to 1")
    clusters = Clusters(len(texts))
    places: dict[str, int] = {}
    for place, text in enumerate(texts):
        form = normal_form(text)
        if form:
            clusters.unite(places.setdefault(form, place), place)
    if near < 1:
        unite_near(list(places), clusters, np.array(list(places.values()), dtype=np.int64), near, seed)
    return clusters
