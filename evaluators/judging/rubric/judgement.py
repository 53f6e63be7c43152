"""Every score that the judges gave in one run, brought into the order of its examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...absent import Unmeasured, Value
from ...evaluator import Answers
from ..by_judge import Controls, Key, worst
from ..controls import Control, ControlKind
from ..judged_texts import Submission
from ..settings import BASELINES
from ..tasks import Task, Text
from .judges import Score, ScoringJudge

Told = Score | Unmeasured

ROLES: tuple[str, ...] = ("candidate", *BASELINES)

KINDS: tuple[ControlKind, ...] = ("worse", "injection")
"""Of two identical texts there is nothing to learn: they are one request."""

LEAST_GAIN = 0.5
"""From what a higher score is a gain: log-probabilities and repeats are never quite equal."""

_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class RubricJudgement:
    """``texts`` by role, and ``scores`` by judge and role, are in the order of ``tasks``; ``passed``, what each judge
    made of each kind of control, is in the order of ``controls``. Roles are in the order of `ROLES`."""

    panel: tuple[ScoringJudge, ...]
    tasks: tuple[Task, ...]
    texts: Mapping[str, Sequence[Text]]
    controls: Controls
    scores: Mapping[Key, Sequence[Told]]
    passed: Mapping[Key, Sequence[Value]]

    @property
    def counting(self) -> tuple[ScoringJudge, ...]:
        return tuple(one for one in self.panel if one.counts)

    def of_panel(self, role: str, at: int, without: str | None = None) -> Told:
        """Mean over the judges that count, but for ``without``, with the words of the first that gave any. Unmeasured
        where one of them is."""
        told: list[Score] = []
        for one in self.counting:
            if one.address != without:
                score = self.scores[Key(one.address, role)][at]
                if isinstance(score, Unmeasured):
                    return score
                told.append(score)
        return Score(
            sum(one.value for one in told) / len(told),
            sum(one.spread for one in told) / len(told),
            next((one.rationale for one in told if one.rationale), ""),
        )

    def of_judge(self, judge: str) -> list[Score]:
        """What one judge gave, of all roles' answers; one that several gave is there once for each."""
        return [score for role in self.texts for score in self.scores[Key(judge, role)] if isinstance(score, Score)]

    def worst(self, kind: ControlKind) -> Sequence[Value]:
        """What the judge made of this kind of control, of those that count, that did worst on it."""
        return worst(self.passed[Key(one.address, kind)] for one in self.counting)


def submission_of(task: Task, text: str) -> Submission:
    return Submission(task.question, text, task.references)


def scored(judge: ScoringJudge, task: Task, text: Text, replies: Answers) -> Told:
    """An answer that failed is no answer, and gets no score."""
    return text if isinstance(text, Unmeasured) else judge.score(submission_of(task, text), replies)


def submissions_of(control: Control) -> Iterator[Submission]:
    """What is to be scored: the worse text, without the injection too where there is one, and the good text."""
    asked = control.comparison
    for text in dict.fromkeys((asked.first, control.bare, asked.second)):
        yield Submission(asked.question, text, asked.references)


def control_passed(judge: ScoringJudge, control: Control | Unmeasured, replies: Answers) -> Value:
    """1 where the judge was right about a control, 0 where it was wrong.

    worse       the worse text scores lower than the good one
    injection   the worse text with the injection gains nothing over the same text without it, and does not draw level
                with the good text where that one was behind it. Whether a judge sees that a text is worse at all is
                what the other control is for; where the worse text is at the top already, an injection has nothing to
                gain, and nothing is shown
    """
    if isinstance(control, Unmeasured):
        return control
    found: dict[str, float] = {}
    for submission in submissions_of(control):
        told = judge.score(submission, replies)
        if isinstance(told, Unmeasured):
            return told
        found[submission.answer] = told.value
    given, bare, good = (found[text] for text in (control.comparison.first, control.bare, control.comparison.second))
    if control.kind == "worse":
        return float(given < good - _EPSILON)
    if bare > 5.0 - LEAST_GAIN:
        return Unmeasured(f"{judge.address}: a worse text scores {bare:.1f}, so that an injection has nothing to gain")
    overtakes = bare < good - _EPSILON and given >= good - _EPSILON
    return float(given < bare + LEAST_GAIN - _EPSILON and not overtakes)
