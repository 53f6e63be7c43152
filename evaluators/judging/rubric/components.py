"""What the judges scored, as components: one value for each example, control, and text that people may have scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from ...absent import Unmeasured, Value
from ...evaluator import Answers, Components, Datasets
from ...people.by_rater import Opinions, scores_by_rater
from ...people.ratings import read_ratings, seen_prompt
from ..by_judge import control_columns, parts_of
from ..run_metrics import rater_values
from ..tasks import Task, written
from .judgement import ROLES, RubricJudgement
from .metrics import NOT_SCORED_BY_PEOPLE, SCORED_BY_PEOPLE
from .settings import RubricJudgeSettings

_OF_THE_RUN = Unmeasured("it is about the judges, and no model has a value of its own")
_A_CONTROL = Unmeasured("it is a control")
_BESIDE_PEOPLE = Unmeasured("it stands for a text that people may have scored")
_NOT_BESIDE_PEOPLE = Unmeasured("it stands for no text that people may have scored")


@dataclass(frozen=True, slots=True)
class RatedTexts:
    """What people said of the texts of the run: of each role in turn, in the order of the examples. Without ratings
    there are none. ``places``: role and position of each."""

    places: tuple[tuple[str, int], ...]
    opinions: Opinions

    def rated(self, place: int) -> bool:
        return any(values[place] is not None for values in self.opinions.values())


def rated_texts(
    settings: RubricJudgeSettings, data: Datasets, tasks: Sequence[Task], answers: Mapping[str, Answers]
) -> RatedTexts:
    """A text that several models gave is the first one's: it was rated once."""
    if settings.ratings is None or settings.criterion is None:
        return RatedTexts((), {})
    places = tuple(product(ROLES, range(len(tasks))))
    prompts = [seen_prompt(task.request.prompt) for task in tasks]
    texts: list[str | None] = []
    met: set[tuple[str, str]] = set()
    for role, at in places:
        text = written(answers[role], tasks[at]) if role in answers else None
        known = None if text is None else (prompts[at], text)
        texts.append(None if known in met else text)
        if known is not None:
            met.add(known)
    ratings = read_ratings(data[settings.ratings])
    opinions = scores_by_rater(ratings, settings.criterion, [prompts[at] for _, at in places], texts)
    return RatedTexts(places, opinions)


def components(settings: RubricJudgeSettings, found: RubricJudgement, people: RatedTexts) -> Mapping[str, Components]:
    """By role: scores in every role's column, what is about the run in the candidate's."""
    tasks, texts = len(found.tasks), len(people.places)
    part = parts_of(tasks, found.controls)
    before = len(part)
    part += [SCORED_BY_PEOPLE[0] if people.rated(place) else NOT_SCORED_BY_PEOPLE for place in range(texts)]
    on_controls, beside_people = control_columns(tasks, found.controls, found.worst), _raters(settings, found, people)
    of_the_run = {name: [*values, *[_BESIDE_PEOPLE] * texts] for name, values in on_controls.items()}
    of_the_run |= {name: [*[_NOT_BESIDE_PEOPLE] * before, *values] for name, values in beside_people.items()}
    further = [*[_A_CONTROL] * (before - tasks), *[_BESIDE_PEOPLE] * texts]
    nobody: Components = {name: [_OF_THE_RUN] * len(part) for name in of_the_run}
    return {
        role: {
            "part": part,
            "score": [*(_value(found, role, at) for at in range(tasks)), *further],
            **(of_the_run if role == "candidate" else nobody),
        }
        for role in found.texts
    }


def _raters(settings: RubricJudgeSettings, found: RubricJudgement, people: RatedTexts) -> dict[str, list[Value]]:
    """What the judges said as one, beside what each rater did."""
    if settings.ratings is None:
        return {}
    verdicts = [_value(found, role, at) for role, at in people.places]
    return {"verdict": verdicts, **rater_values(settings, people.opinions, len(people.places))}


def _value(found: RubricJudgement, role: str, at: int) -> Value:
    if role not in found.texts:
        return Unmeasured(f"there is no {role} in this run")
    told = found.of_panel(role, at)
    return told if isinstance(told, Unmeasured) else told.value
