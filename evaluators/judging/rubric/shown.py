"""What people see of each scored answer: the score that every judge gave it, with its words, and those of people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...absent import Unmeasured
from ...showing import Note, Shown
from ..by_judge import Key
from ..shown_controls import shown_controls
from .components import RatedTexts
from .judgement import RubricJudgement
from .settings import PEOPLE


def shown_scores(found: RubricJudgement, people: RatedTexts, answered: Sequence[Shown]) -> list[Shown]:
    """``answered``: what the models were asked and said, in the order of the tasks. Then come the controls, then each
    text that people may have scored."""
    real = [replace(one, notes=tuple(_of_judges(found, at))) for at, one in enumerate(answered)]
    controls = shown_controls(found.controls, [one.address for one in found.panel], found.passed)
    rated = [_rated(found, people, place, answered[at]) for place, (_, at) in enumerate(people.places)]
    return [*real, *controls, *rated]


def _of_judges(found: RubricJudgement, at: int) -> Iterator[Note]:
    for role in found.texts:
        yield from _of_role(found, role, at)


def _of_role(found: RubricJudgement, role: str, at: int) -> Iterator[Note]:
    """Of an answer that failed nobody was asked."""
    if role not in found.texts or isinstance(found.texts[role][at], Unmeasured):
        return
    for one in found.panel:
        told = found.scores[Key(one.address, role)][at]
        if isinstance(told, Unmeasured):
            yield Note(one.address, role, f"no score: {told.reason}")
        else:
            yield Note(
                one.address, role, f"{told.value:.3g}: {told.rationale}" if told.rationale else f"{told.value:.3g}"
            )


def _rated(found: RubricJudgement, people: RatedTexts, place: int, answered: Shown) -> Shown:
    """One model's answer by itself."""
    role, at = people.places[place]
    said = [(rater, values[place]) for rater, values in people.opinions.items()]
    given = tuple(Note(rater, role, f"{score:g}") for rater, score in said if score is not None)
    texts = {name: text for name, text in answered.answers.items() if name == role}
    return Shown(
        f"{PEOPLE}{role}/{answered.id}", answered.asked, answered.wanted, texts, (*_of_role(found, role, at), *given)
    )
