"""Scores by judges: how good is an answer by a rubric, asked of models that see it by itself?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from ...asking import Request
from ...datasets import Example
from ...evaluator import Answers, Components, Datasets
from ...findings import Finding
from ...metrics import Metric
from ...showing import Shown
from ...shown_answers import shown_texts
from ..by_judge import Controls, Key
from ..controls import Control
from ..judged_texts import Submission
from ..settings import CONTROL
from ..tasks import Task, Text, baselines_of, controls_of, in_drawn_order, tasks_of, texts_of
from .components import components, rated_texts
from .findings import rubric_findings
from .judgement import KINDS, ROLES, RubricJudgement, control_passed, scored, submission_of, submissions_of
from .metrics import declared
from .prompts import INJECTIONS
from .settings import PEOPLE, RubricJudgeSettings
from .shown import shown_scores


class RubricJudge(RubricJudgeSettings):
    """``- rubric_judge: {data: questions, prompt: "{question}", judge: openai:/gpt-4o, rubric: "5: ..., 1: ..."}``

    Examples are those of ``data``, then the controls, named ``control/worse/3``; with ``ratings`` then the texts of
    each model that people may have scored, named ``people/base/17``, of which those to one prompt are one cluster.
    Components:

    | component | what | whose column |
    |---|---|---|
    | ``part`` | 0 examples, 1 worse, 2 injection controls, 3 texts that people scored, 4 those that nobody did | all |
    | ``score`` | 1 to 5; by log-probabilities the mean of the five weighted by them | every model's own |
    | ``control_worse``, ``control_injections`` | the worst judge was right | candidate |
    | ``verdict``, ``people_K``, ``people_K_rated`` | what the judges, and the K-th rater, say | candidate |

    A panel's value is the mean over its judges, and Unmeasured where one of them is. White space around an answer is no
    part of it; a blank answer is an answer. Equal answers to one question are asked about once, whoever gave them.
    """

    kind: ClassVar[str] = "rubric_judge"
    example: ClassVar[Mapping[str, object]] = {
        "data": "questions",
        "prompt": "{question}",
        "judge": "openai:/gpt-4o",
        "rubric": "5: right and complete. 3: right in part. 1: wrong, or no answer.",
    }

    def metrics(self) -> tuple[Metric, ...]:
        return declared(self)

    def examples(self, data: Datasets) -> Sequence[Example]:
        """Those of the dataset, then as many controls of each kind as `controls` says, one for each prompt at most,
        then, where there are ratings, one for each model's answer to each."""
        own = data[self.data].examples
        numbers = range(self.control_count(data))
        controls = [Example(f"{CONTROL}{kind}/{number}", {}) for kind in KINDS for number in numbers]
        rated = [
            replace(one, id=f"{PEOPLE}{role}/{one.id}", group=one.group or f"{PEOPLE}{one.id}")
            for role in (ROLES if self.ratings is not None else ())
            for one in own
        ]
        return [*own, *controls, *rated]

    def requests(self, data: Datasets) -> Sequence[Request]:
        return [task.request for task in tasks_of(self, data)]

    def score(self, data: Datasets, answers: Answers) -> Components:
        return {}

    def judge_calls(self, data: Datasets) -> Mapping[str, int]:
        answers, worse, injected = len(ROLES) * len(data[self.data].examples), 2, 3
        calls = self.repeats * (answers + (worse + injected) * self.control_count(data))
        return dict.fromkeys(self.judges(), calls)

    def second_requests(self, data: Datasets, answers: Mapping[str, Answers]) -> Mapping[str, Sequence[Request]]:
        """Controls first, so that a budget that runs out has them; then example after example in an order of the
        seed's, each with all models' answers, so that what was asked by then is a fair sample."""
        asked = list(self._asked(data, answers))
        return {
            one.address: tuple(dict.fromkeys(request for some in asked for request in one.requests(some)))
            for one in self.panel()
        }

    def score_judged(
        self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]
    ) -> Mapping[str, Components]:
        found = self._judgement(data, answers, verdicts)
        return components(self, found, rated_texts(self, data, found.tasks, answers))

    def findings(
        self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]
    ) -> Sequence[Finding]:
        found = self._judgement(data, answers, verdicts)
        raters = len(rated_texts(self, data, found.tasks, answers).opinions)
        return rubric_findings(self, found, raters)

    def shown(self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]) -> Sequence[Shown]:
        found = self._judgement(data, answers, verdicts)
        answered = shown_texts(data[self.data].examples, self.ask, answers, self.reference)
        return shown_scores(found, rated_texts(self, data, found.tasks, answers), answered)

    def _controls(self, data: Datasets, tasks: Sequence[Task], texts: Mapping[str, Sequence[Text]]) -> Controls:
        """Made of the right answers where there are some, else of a baseline's, else of the candidate's own."""
        answered = [texts[role] for role in (*baselines_of(texts), "candidate") if role in texts]
        return controls_of(KINDS, self.control_count(data), self.seed, tasks, answered, INJECTIONS)

    def _asked(self, data: Datasets, answers: Mapping[str, Answers]) -> Iterator[Submission]:
        """Everything to be scored, in the order of asking."""
        tasks = tasks_of(self, data)
        texts = texts_of(tasks, answers)
        for some in self._controls(data, tasks, texts).values():
            for control in some:
                if isinstance(control, Control):
                    yield from submissions_of(control)
        for at in in_drawn_order(self.seed, tasks):
            for role in ROLES:
                text = texts[role][at] if role in texts else None
                if isinstance(text, str):
                    yield submission_of(tasks[at], text)

    def _judgement(
        self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]
    ) -> RubricJudgement:
        panel, tasks = self.panel(), tasks_of(self, data)
        given = texts_of(tasks, answers)
        texts = {role: given[role] for role in ROLES if role in given}
        controls = self._controls(data, tasks, texts)
        replies = {one.address: verdicts.get(one.address, {}) for one in panel}
        scores = {
            Key(one.address, role): [
                scored(one, task, text, replies[one.address]) for task, text in zip(tasks, some, strict=True)
            ]
            for one in panel
            for role, some in texts.items()
        }
        passed = {
            Key(one.address, kind): [control_passed(one, control, replies[one.address]) for control in some]
            for one in panel
            for kind, some in controls.items()
        }
        return RubricJudgement(panel, tasks, texts, controls, scores, passed)
