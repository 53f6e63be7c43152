"""How much better than the baseline, as a share of what the baseline has: Fieller's interval of a ratio."""

from __future__ import annotations

from math import isclose, isfinite, sqrt

from ..absent import Unmeasured
from .estimate import COUNTED, Estimate, Interval, checked_confidence
from .quantiles import t_quantile

FIELLER = "Fieller"
_SAME = 1e-6  # of the larger value: how far the difference may lie from candidate minus baseline


def relative_change(
    candidate: Estimate, baseline: Estimate, difference: Estimate, confidence: float = 0.95
) -> Estimate | Unmeasured:
    """``relative_change(ours, theirs, ours_minus_theirs)``: (candidate - baseline) / baseline, 0.02 for 2 % more.

    The three are of the same examples, ``difference`` paired. What the two models share makes their values go together;
    by how much follows from the three standard errors: cov(D, B) = (se_C^2 - se_B^2 - se_D^2) / 2 with D the
    difference, C the candidate's and B the baseline's value. A true change r makes D - r B a number around zero, and
    the interval holds every r for which it is not too far from it:

        (D - r B)^2 <= t^2 (se_D^2 - 2 r cov(D, B) + r^2 se_B^2)

    t is Student's, one-sided at ``confidence``, with one degree of freedom less than there are clusters.
    ``standard_error`` is the delta method's. Where all three were counted, and not sampled, so is the change.

    Unmeasured, and never a number, where nothing can be said relative to the baseline: its value is zero or below; its
    own interval reaches zero; it is less than t of its standard errors away from zero (Fieller's g >= 1: the interval
    would be without an end); a standard error is missing; or ``difference`` is not candidate minus baseline.
    Raises ``ValueError`` on a confidence that is none.
    Source: Fieller 1954, Journal of the Royal Statistical Society B 16:175-185.
    """
    confidence = checked_confidence(confidence)
    value, level = difference.value, baseline.value
    if not (isfinite(value) and isfinite(level) and isfinite(candidate.value)):
        return Unmeasured("the values are not finite")
    if not level > 0:
        return Unmeasured(f"the baseline's value is {level:.4g}: a change relative to it means nothing")
    if not baseline.interval.low > 0:
        low, high = baseline.interval.low, baseline.interval.high
        return Unmeasured(f"the baseline's interval [{low:.4g}, {high:.4g}] reaches zero: nothing is relative to it")
    if not isclose(candidate.value - level, value, rel_tol=0.0, abs_tol=_SAME * max(abs(candidate.value), level)):
        return Unmeasured(f"the difference {value:.4g} is not {candidate.value:.4g} minus {level:.4g}")
    change = value / level
    if not isfinite(change):
        return Unmeasured(f"the baseline's value is {level:.4g}: a change relative to it means nothing")
    warnings = tuple(dict.fromkeys((*difference.warnings, *candidate.warnings, *baseline.warnings)))
    if candidate.method == baseline.method == difference.method == COUNTED:
        return Estimate(change, Interval(change, change), difference.n, difference.clusters, COUNTED, 0.0, warnings)
    ours, theirs, paired = candidate.standard_error, baseline.standard_error, difference.standard_error
    if ours is None or theirs is None or paired is None:
        lacking = [
            name for name, error in (("candidate", ours), ("baseline", theirs), ("difference", paired)) if error is None
        ]
        return Unmeasured(f"a relative change needs three standard errors: none of the {' and the '.join(lacking)}")
    if not all(isfinite(error) and error >= 0 for error in (ours, theirs, paired)):
        return Unmeasured("a standard error is not finite")
    if difference.clusters < 2:
        return Unmeasured(f"{difference.clusters} cluster: an interval needs at least 2")
    t = t_quantile(confidence, difference.clusters - 1)
    # all in units of the baseline's value
    s_ours, s_theirs, s_paired = ours / level, theirs / level, paired / level
    g = t * t * s_theirs * s_theirs
    if not g < 1:
        return Unmeasured("the baseline's value is too uncertain: the interval of a relative change has no end")
    most = s_paired * s_theirs  # rounding, or errors that different methods gave, must not make it correlate above 1
    covariance = min(max((s_ours * s_ours - s_theirs * s_theirs - s_paired * s_paired) / 2, -most), most)
    variance = max(s_paired * s_paired - 2 * change * covariance + change * change * s_theirs * s_theirs, 0.0)
    half = t * sqrt(max(variance - t * t * (most * most - covariance * covariance), 0.0))
    centre = change - t * t * covariance
    low, high = min((centre - half) / (1 - g), change), max((centre + half) / (1 - g), change)
    if not (isfinite(low) and isfinite(high) and isfinite(variance)):
        return Unmeasured("the standard errors are too large for a relative change")
    return Estimate(change, Interval(low, high), difference.n, difference.clusters, FIELLER, sqrt(variance), warnings)
