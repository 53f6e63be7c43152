"""What the scores of a judge look like: numbers for reading, which no rule rests on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ...absent import Unmeasured
from ..by_judge import Key
from .judgement import RubricJudgement
from .judges import Score, ScoringJudge
from .prompts import SCORES


def spread_over(values: Sequence[float]) -> list[int]:
    """How many of the values each of the five scores is nearest to; of two equally near ones the higher."""
    counts = Counter(int(value + 0.5) for value in values)
    return [counts[score] for score in SCORES]


def length_correlation(found: RubricJudgement, judge: ScoringJudge, role: str) -> float | None:
    """Spearman's, of scores and characters of one model's answers. None where either does not vary."""
    from ...statistics.agreement import spearman

    pairs = [
        (told.value, float(len(text)))
        for told, text in zip(found.scores[Key(judge.address, role)], found.texts[role], strict=True)
        if isinstance(told, Score) and isinstance(text, str)
    ]
    if len(pairs) < 3:
        return None
    value = spearman(*zip(*pairs, strict=True))
    return None if isinstance(value, Unmeasured) else round(value, 3)


def favour(found: RubricJudgement, judge: ScoringJudge, baseline: str) -> float | None:
    """By how many points a judge who is related to the candidate or to ``baseline``, not to both, puts its kin further
    ahead of the other one than judges do who are related to neither. None where there are no such judges."""
    sides = frozenset(("candidate", baseline))
    near = judge.related & sides
    others = [one for one in found.panel if not one.related & sides]
    if len(near) != 1 or not others:
        return None
    ahead = [_ahead(found, one, baseline) for one in (judge, *others)]
    rows = [row for row in zip(*ahead, strict=True) if None not in row]
    if not rows:
        return None
    known = [[value for value in row if value is not None] for row in rows]
    further = sum(own - sum(rest) / len(rest) for own, *rest in known) / len(known)
    return further if "candidate" in near else -further


def _ahead(found: RubricJudgement, judge: ScoringJudge, baseline: str) -> list[float | None]:
    """Points of the candidate beyond those of ``baseline``, for each example."""
    pairs = zip(*(found.scores[Key(judge.address, role)] for role in ("candidate", baseline)), strict=True)
    return [
        ours.value - theirs.value if isinstance(ours, Score) and isinstance(theirs, Score) else None
        for ours, theirs in pairs
    ]
