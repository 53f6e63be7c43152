"""Ratio estimators: sum over sum, as in nats per token, bits per byte and micro-averaged rates."""

from __future__ import annotations

from dataclasses import replace
from math import exp, fsum
from typing import Literal

import numpy.typing as npt

from ..absent import Unmeasured
from .clusters import partition
from .estimate import Estimate, FloatArray, Interval, checked_array, checked_confidence, checked_lengths
from .means import studentised, too_few

Transform = Literal["identity", "exp"]


def ratio(
    numerator: npt.ArrayLike,
    denominator: npt.ArrayLike,
    confidence: float = 0.95,
    *,
    groups: npt.ArrayLike | None = None,
    transform: Transform = "identity",
    seed: int = 0,
) -> Estimate | Unmeasured:
    """``ratio(nats, tokens, transform="exp")``: the perplexity of a corpus, one row per document.

    R = sum(num) / sum(den), not the mean of the documents' ratios; psi_i = (num_i - R den_i) / mean(den)
    and a t interval: SE = sqrt(sum_i psi_i^2 / (1 - den_i / sum(den))) / n, with fewer degrees of freedom
    the more a few long documents decide, both as in `clustered_mean`. With ``transform="exp"`` value and
    ends are exp of those of R, so that the interval stays positive and is as lopsided as it should be;
    ``standard_error`` is exp(R) SE(R).

    Unmeasured for fewer than two rows or clusters, denominators that sum to zero, and exp beyond float
    range. Raises ``ValueError`` on negative denominators, non-finite values or unequal lengths.
    Sources: Cochran 1977, Sampling Techniques, chapter 6 (delta method); Bell and McCaffrey 2002 (Survey Methodology
    28) for documents of unequal length, of which Cochran's n/(n-1) takes no account. Limit: documents are the units; a
    corpus of few documents, however long, is a small sample.
    """
    confidence = checked_confidence(confidence)
    num, den = checked_array(numerator, "numerator"), checked_array(denominator, "denominator")
    n = checked_lengths(numerator=num, denominator=den)
    units = partition(n, groups)
    if (absent := too_few(units)) is not None:
        return absent
    linear = _linearised(num, den)
    if isinstance(linear, Unmeasured):
        return linear
    value, psi = linear
    estimate = studentised(value, psi, units, confidence, seed, loads=_loads(den))
    return exponential(estimate) if transform == "exp" else estimate


def ratio_difference(
    candidate_numerator: npt.ArrayLike,
    candidate_denominator: npt.ArrayLike,
    baseline_numerator: npt.ArrayLike,
    baseline_denominator: npt.ArrayLike,
    confidence: float = 0.95,
    *,
    groups: npt.ArrayLike | None = None,
    transform: Transform = "identity",
    seed: int = 0,
) -> Estimate | Unmeasured:
    """Candidate's ratio minus baseline's over the same documents, row i of all four the same document.

    The influence values are differenced document by document, so what makes a document hard for both models
    cancels. The denominators may differ (two tokenizers); then only a unit both share, such as bytes,
    compares. With ``transform="exp"`` it is exp(R_c) - exp(R_b), by the delta method on that difference.
    The ratio of two perplexities is `exponential` of the identity difference.

    Unmeasured and raising as `ratio`.
    """
    confidence = checked_confidence(confidence)
    arrays = {
        "candidate_numerator": checked_array(candidate_numerator, "candidate_numerator"),
        "candidate_denominator": checked_array(candidate_denominator, "candidate_denominator"),
        "baseline_numerator": checked_array(baseline_numerator, "baseline_numerator"),
        "baseline_denominator": checked_array(baseline_denominator, "baseline_denominator"),
    }
    units = partition(checked_lengths(**arrays), groups)
    if (absent := too_few(units)) is not None:
        return absent
    cand = _linearised(arrays["candidate_numerator"], arrays["candidate_denominator"])
    base = _linearised(arrays["baseline_numerator"], arrays["baseline_denominator"])
    if isinstance(cand, Unmeasured):
        return Unmeasured(f"candidate: {cand.reason}")
    if isinstance(base, Unmeasured):
        return Unmeasured(f"baseline: {base.reason}")
    cand_scale, base_scale = 1.0, 1.0
    value = cand[0] - base[0]
    if transform == "exp":
        try:
            cand_scale, base_scale = exp(cand[0]), exp(base[0])
        except OverflowError:
            return Unmeasured(f"exp({max(cand[0], base[0]):g}) is beyond the range of numbers")
        value = cand_scale - base_scale
    psi = cand_scale * cand[1] - base_scale * base[1]
    loads = (_loads(arrays["candidate_denominator"]) + _loads(arrays["baseline_denominator"])) / 2
    return studentised(value, psi, units, confidence, seed, loads=loads)


def exponential(estimate: Estimate) -> Estimate | Unmeasured:
    """``exponential(nats_difference)``: the same statement on the other side of exp, e.g. as a perplexity
    ratio.

    Monotone, so the ends keep their confidence; ``standard_error`` by the delta method. Unmeasured on
    overflow.
    """
    try:
        value = exp(estimate.value)
        interval = Interval(exp(estimate.interval.low), exp(estimate.interval.high))
    except OverflowError:
        return Unmeasured(f"exp({estimate.interval.high:g}) is beyond the range of numbers")
    error = None if estimate.standard_error is None else value * estimate.standard_error
    return replace(estimate, value=value, interval=interval, standard_error=error, method=f"exp of {estimate.method}")


def _linearised(num: FloatArray, den: FloatArray) -> tuple[float, FloatArray] | Unmeasured:
    """R and psi_i = (num_i - R den_i) / mean(den)."""
    if den.min() < 0:
        raise ValueError(f"denominator: found {den.min()}; expected counts >= 0")
    total = fsum(den.tolist())
    if total == 0:
        return Unmeasured("the denominators sum to zero: nothing was counted")
    value = fsum(num.tolist()) / total
    return value, (num - value * den) / (total / den.size)


def _loads(den: FloatArray) -> FloatArray:
    """How much each row decides, summing to the number of rows."""
    return den / (fsum(den.tolist()) / den.size)
