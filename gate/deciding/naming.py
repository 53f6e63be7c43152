"""Values of a column in sentences. They come from the data: each is quoted, cut and without anything that could act."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_MOST, _LONGEST = 5, 40


def quoted(value: str) -> str:
    """``repr`` spells out control characters and the like."""
    return repr(value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…")


def names(values: Sequence[str]) -> str:
    """``'de', 'fr' and 7 more``."""
    return _listed([quoted(value) for value in values[:_MOST]], len(values))


def counted_names(counts: Mapping[str, int]) -> str:
    """``'de' (12), 'fr' (3)``, the largest first."""
    first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST]
    return _listed([f"{quoted(value)} ({count:,})" for value, count in first], len(counts))


def _listed(shown: list[str], count: int) -> str:
    return ", ".join(shown) + (f" and {count - len(shown):,} more" if count > len(shown) else "")
