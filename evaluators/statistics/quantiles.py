"""The few distribution functions needed, typed, from scipy.special (scipy.stats takes seconds to import)."""

from __future__ import annotations

from typing import Any, cast

import numpy as np


def _special(name: str, *arguments: float) -> float:
    from scipy import special  # pyright: ignore[reportMissingTypeStubs]

    function: Any = getattr(special, name)  # compiled, without type information
    return float(cast(np.float64, function(*arguments)))


def normal_quantile(probability: float) -> float:
    """z with P(Z <= z) = probability; +-inf at 1 and 0."""
    return _special("ndtri", probability)


def normal_cdf(z: float) -> float:
    """P(Z <= z)."""
    return _special("ndtr", z)


def t_quantile(probability: float, df: float) -> float:
    """t with P(T <= t) = probability, Student's t with ``df`` degrees of freedom."""
    return _special("stdtrit", df, probability)


def binomial_cdf(successes: int, n: int, rate: float) -> float:
    """P(X <= successes), X ~ Binomial(n, rate)."""
    return _special("bdtr", successes, n, rate)
