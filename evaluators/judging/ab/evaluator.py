"""A/B by judges: which of two models' answers is better, asked of other models that do not know whose is whose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from ...asking import Request
from ...datasets import Example
from ...evaluator import Answers, Components, Datasets
from ...findings import Finding
from ...metrics import Metric
from ...people.by_rater import choices_by_rater
from ...people.ratings import read_ratings, seen_prompt
from ...showing import Shown
from ...shown_answers import shown_texts
from ..by_judge import Controls, Key
from ..controls import KINDS, Control
from ..judged_texts import Comparison
from ..settings import BASELINES, CONTROL
from ..tasks import Task, Text, baselines_of, controls_of, in_drawn_order, tasks_of, texts_of, written
from .components import People, components
from .findings import judging_findings
from .judgement import Judgement, Told, compared, control_passed, told_by
from .metrics import declared
from .settings import AbJudgeSettings
from .shown import shown_comparisons


class AbJudge(AbJudgeSettings):
    """``- ab_judge: {data: questions, prompt: "{question}", judge: openai:/gpt-4o}``

    Examples are those of ``data``, then the controls, named ``control/worse/3``. Components:

    | component | what | whose column |
    |---|---|---|
    | ``part`` | 0 examples, 1 identical, 2 worse, 3 injection controls | all |
    | ``judged`` | 0 where both gave the same text, which ties without a call | all |
    | ``lengths_differ`` | 0 where both answers are equally long | all |
    | ``win`` | 1: the candidate won in both orders, 0: lost in both, else .5; log-probabilities: mean | baseline |
    | ``length_difference`` | characters of the candidate's answer less the baseline's | baseline |
    | ``flipped``, ``first_slot`` | share of judges whom the order swayed; preference for the first slot | baseline |
    | ``longer_won`` | the longer answer's score | baseline |
    | ``self_preference`` | what judges give their kin beyond what other judges do | baseline |
    | ``control_identical``, ``control_worse``, ``control_injections`` | the worst judge was right | candidate |
    | ``verdict``, ``people_K``, ``people_K_rated`` | what the judges, and the K-th rater, say | candidate |

    A panel's value is the mean over its judges, and Unmeasured where one of them is. White space around an answer is no
    part of it; a blank answer is an answer.
    """

    kind: ClassVar[str] = "ab_judge"
    example: ClassVar[Mapping[str, object]] = {"data": "questions", "prompt": "{question}", "judge": "openai:/gpt-4o"}

    def metrics(self) -> tuple[Metric, ...]:
        return declared(self)

    def examples(self, data: Datasets) -> Sequence[Example]:
        """Those of the dataset, then as many controls of each kind as `controls` says, one for each prompt at most."""
        own = data[self.data].examples
        numbers = range(self.control_count(data))
        return [*own, *(Example(f"{CONTROL}{kind}/{number}", {}) for kind in KINDS for number in numbers)]

    def requests(self, data: Datasets) -> Sequence[Request]:
        return [task.request for task in tasks_of(self, data)]

    def score(self, data: Datasets, answers: Answers) -> Components:
        return {}

    def judge_calls(self, data: Datasets) -> Mapping[str, int]:
        pairs = len(BASELINES) * len(data[self.data].examples)
        controls = self.control_count(data) * len(KINDS)
        return {one.address: one.judge.calls * (pairs + controls) for one in self.panel() if one.judge.calls}

    def second_requests(self, data: Datasets, answers: Mapping[str, Answers]) -> Mapping[str, Sequence[Request]]:
        """Controls first, so that a budget that runs out has them; then example after example in an order of the
        seed's, each with all its pairs and orders together, so that what was asked by then is a fair sample."""
        asked = self._asked(data, answers)
        return {
            one.address: tuple(dict.fromkeys(request for some in asked for request in one.judge.requests(some)))
            for one in self.panel()
            if one.judge.calls
        }

    def score_judged(
        self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]
    ) -> Mapping[str, Components]:
        found = self._judgement(data, answers, verdicts)
        return components(self, found, self._people(data, answers, found))

    def findings(
        self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]
    ) -> Sequence[Finding]:
        found = self._judgement(data, answers, verdicts)
        return judging_findings(self, found, self._asked(data, answers), self._people(data, answers, found))

    def shown(self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]) -> Sequence[Shown]:
        answered = shown_texts(data[self.data].examples, self.ask, answers, self.reference)
        return shown_comparisons(self._judgement(data, answers, verdicts), answered)

    def _controls(self, data: Datasets, tasks: Sequence[Task], texts: Mapping[str, Sequence[Text]]) -> Controls:
        """Made of the right answers where there are some, else of a baseline's."""
        answered = [texts[role] for role in baselines_of(texts)]
        return controls_of(KINDS, self.control_count(data), self.seed, tasks, answered)

    def _asked(self, data: Datasets, answers: Mapping[str, Answers]) -> list[Comparison]:
        """Everything to be judged, in the order of asking."""
        tasks = tasks_of(self, data)
        texts = texts_of(tasks, answers)
        controls = [
            control.comparison
            for some in self._controls(data, tasks, texts).values()
            for control in some
            if isinstance(control, Control)
        ]
        if "candidate" not in texts:
            return controls
        pairs = [list(compared(tasks, texts, baseline)) for baseline in baselines_of(texts)]
        order = in_drawn_order(self.seed, tasks)
        real = (asked for at in order for of_baseline in pairs if isinstance(asked := of_baseline[at], Comparison))
        return [*controls, *real]

    def _judgement(self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]) -> Judgement:
        panel, tasks = self.panel(), tasks_of(self, data)
        texts = texts_of(tasks, answers)
        baselines = baselines_of(texts) if "candidate" in texts else ()
        controls = self._controls(data, tasks, texts)
        told: dict[Key, Sequence[Told]] = {}
        passed = {
            Key(one.address, kind): [control_passed(one, control, verdicts.get(one.address, {})) for control in some]
            for one in panel
            for kind, some in controls.items()
        }
        for baseline in baselines:
            pairs = list(compared(tasks, texts, baseline))
            for one in panel:
                replies = verdicts.get(one.address, {})
                told[Key(one.address, baseline)] = [told_by(one, asked, replies) for asked in pairs]
        return Judgement(panel, tasks, texts, baselines, controls, told, passed)

    def _people(self, data: Datasets, answers: Mapping[str, Answers], found: Judgement) -> People:
        """What people said of the candidate beside the first baseline of which their ratings speak, to the letter."""
        none = People(found.baselines[0] if found.baselines else None, {})
        if self.ratings is None:
            return none
        ratings = read_ratings(data[self.ratings])
        prompts = [seen_prompt(task.request.prompt) for task in found.tasks]
        for baseline in found.baselines:
            sides = ([written(answers[role], task) for task in found.tasks] for role in ("candidate", baseline))
            opinions = choices_by_rater(ratings, prompts, *sides)
            if opinions:
                return People(baseline, opinions)
        return none
