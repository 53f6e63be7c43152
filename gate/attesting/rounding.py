"""Whether differences in numbers may come from other versions of the libraries that compute them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from .differences import Difference

_COMPUTING: Final = ("finetune-gate", "numpy", "scipy")
_LAST_DIGITS: Final = 1e-9
"""Relative. Sums in another order differ in the last two or three digits of sixteen."""


def rounding_hint(software: Mapping[str, str], found: Iterable[Difference]) -> str:
    """``software``: versions by package, as the record has them. Empty where there are no differences in numbers, or
    the versions are the same."""
    numbers = [(_number(one.found), _number(one.expected)) for one in found]
    pairs = [(ours, theirs) for ours, theirs in numbers if ours is not None and theirs is not None]
    others = _other_versions(software) if pairs else []
    if not others:
        return ""
    close = all(math.isclose(ours, theirs, rel_tol=_LAST_DIGITS) for ours, theirs in pairs)
    which = "only last digits of numbers differ" if close else "numbers differ by more than rounding"
    return f"{which}, and the record was made with other versions: {'; '.join(others)}. Verify it with those"


def _other_versions(software: Mapping[str, str]) -> list[str]:
    return [
        f"{name} {then} then, {now or 'none'} now"
        for name in _COMPUTING
        if (then := software.get(name)) is not None and (now := _installed(name)) != then
    ]


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
