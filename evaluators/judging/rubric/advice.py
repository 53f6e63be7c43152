"""What could be done about a rubric that cannot tell, or a judge that sees something else than was asked."""

from __future__ import annotations

from collections.abc import Iterator

from ...absent import Unmeasured
from ...findings import Advice
from ..by_judge import Key
from ..run_metrics import advice_on_trust
from ..tasks import baselines_of
from .judgement import RubricJudgement
from .judges import ScoringJudge
from .prompts import SCORES
from .reading import favour, length_correlation, spread_over
from .settings import RubricJudgeSettings

MOST_AT_THE_TOP = 0.8
MOST_WITH_LENGTH = 0.5
ENOUGH = 10
"""Scores from which something is said of how they are spread."""


def advice(settings: RubricJudgeSettings, found: RubricJudgement, raters: int) -> list[Advice]:
    """``raters``: how many people scored texts of this run."""
    said: list[str] = []
    for one in found.panel:
        said += [*_spread(found, one), *_length(found, one), *_kin(found, one), *_blind(settings, found, one)]
    said += advice_on_trust(settings, raters, "some answers")
    return [Advice(text) for text in said]


def _spread(found: RubricJudgement, judge: ScoringJudge) -> Iterator[str]:
    counts = spread_over([score.value for score in found.of_judge(judge.address)])
    total = sum(counts)
    used = [score for score, count in zip(SCORES, counts, strict=True) if count]
    if total < ENOUGH:
        return
    if counts[-1] > MOST_AT_THE_TOP * total:
        yield (
            f"{judge.address} gives {counts[-1] / total:.0%} of all answers the highest score: a rubric by which "
            "nearly everything is perfect cannot tell models apart. Say in it what an answer must have for a 5 that "
            "few have, or compare answers with one another (ab_judge)."
        )
    elif len(used) <= 2:
        some = " and ".join(map(str, used))
        yield (
            f"{judge.address} gives no other score than {some}: the steps between say nothing. Say in the rubric what "
            "answers of each score are like."
        )


def _length(found: RubricJudgement, judge: ScoringJudge) -> Iterator[str]:
    for role, texts in found.texts.items():
        value = length_correlation(found, judge, role)
        if len(texts) >= ENOUGH and value is not None and value > MOST_WITH_LENGTH:
            yield (
                f"{judge.address} scores the {role}'s longer answers higher (rank correlation {value:.2f}). Where that "
                "is not for what they say, have the rubric say what is too long, or ask for answers of one length."
            )


def _kin(found: RubricJudgement, judge: ScoringJudge) -> Iterator[str]:
    for baseline in baselines_of(found.texts):
        near = sorted(judge.related & {"candidate", baseline})
        if len(near) != 1:
            continue
        value = favour(found, judge, baseline)
        shown = (
            "nobody outside of that family scored both, so that its favour is not measured"
            if value is None
            else f"it puts it {value:+.2f} points further ahead than judges of neither family do"
        )
        yield f"{judge.address} is of the family of the {near[0]}: between candidate and {baseline}, {shown}."


def _blind(settings: RubricJudgeSettings, found: RubricJudgement, judge: ScoringJudge) -> Iterator[str]:
    values = found.passed[Key(judge.address, "worse")]
    known = [value for value in values if not isinstance(value, Unmeasured)]
    if known and sum(known) < settings.floors.worse * len(known):
        yield (
            f"{judge.address} does not see that answers were cut, shuffled, or belong to another question. A rubric of "
            "manner alone cannot: have it say which score an answer gets that does not answer."
        )
