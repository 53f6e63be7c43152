"""Human evaluation: what do people say of the answers, who do not know whose they are?

Answers are shown in pairs, the candidate's and a baseline's, on sides that tell nothing (`make_sheet`). Raters score
both from 1 to 5 and choose one. Their ratings are data, in a file beside the others, and are found by the texts that
were rated: what was said of an answer that no model gives any more does not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from ..absent import Unmeasured, Value
from ..asking import Ability, Request
from ..datasets import Example
from ..drawing import drawn
from ..errors import Problem
from ..estimators import Counted, KrippendorffAlpha, Mean, Part, RaterKappa
from ..evaluator import Answers, Components, Datasets
from ..findings import Finding
from ..metrics import Estimator, Metric, Subject
from ..prompting import GeneratingOnDataset
from ..references import reference_problems, references_of, text_of
from ..showing import Shown
from ..shown_answers import shown_texts
from .by_rater import Opinions, mean_opinion
from .findings import rating_findings
from .panel import Panel
from .ratings import HIGHEST, LOWEST, rating_problems, read_ratings, seen_prompt
from .sheet import Pair
from .shown import shown_pairs

Column = Sequence[Value]

NOBODY = Unmeasured("nobody has rated yet: `finetune-gate rate GATE_FILE --version VERSION`")
_ALIKE = Unmeasured("both answers are the same text, which nobody is asked to rate")
_OF_THE_RUN = Unmeasured("it is about the raters, and no model has a value of its own")
_ITSELF = Unmeasured("a model is not compared with itself")
_DIFFERING = "answered differently"

INSTRUCTIONS = (
    "Read the prompt, then both answers to it. Judge only what is written there, and do not guess where an answer "
    "comes from. A longer answer is no better for being long. Then choose the answer that serves the person who asked "
    "better, or a tie where you would not mind which of the two they get."
)


class Human(GeneratingOnDataset):
    """``- human: {data: questions, prompt: "{question}", ratings: ratings}``, ``data: {ratings: {path: ratings.jsonl,
    optional: true}}``

    Examples are the ``items`` drawn ones of ``data``; the dataset ``ratings`` holds what people said. Components per
    example:

    | component | what | whose column |
    |---|---|---|
    | ``accuracy``, ... | each criterion: the raters' mean score of the answer, 1 to 5 | every model's |
    | ``win`` | mean over raters: 1 for the candidate, 0.5 tie, 0 for the baseline; same text 0.5 | ``against`` |
    | ``differing`` | 1 where the two answers are not the same text; scores are read only there | every model's |
    | ``raters``, ``chosen_by`` | people who rated this run's answers, and who chose on this pair | candidate's |
    | ``choice_K``, ``choice_K_rated`` | what the K-th rater chose, and 1 where they did | candidate's |
    | ``accuracy_candidate_K``, ``accuracy_baseline_K``, each with ``_rated`` | the K-th rater's scores | candidate's |
    """

    kind: ClassVar[str] = "human"
    needs: ClassVar[frozenset[Ability]] = frozenset({"generates"})
    datasets_in: ClassVar[tuple[str, ...]] = ("data", "ratings")
    example: ClassVar[Mapping[str, object]] = {"data": "questions", "prompt": "{question}", "ratings": "ratings"}

    ratings: str = Field(description="dataset under `data:` with what people said; `optional: true` before they have")
    against: Literal["base", "champion"] = Field(default="base", description="whom the candidate is shown beside")
    criteria: tuple[str, ...] = Field(
        default=("accuracy", "relevance", "fluency", "format"),
        strict=False,
        max_length=12,
        description="what answers are scored on, from 1 to 5; none: raters only choose",
    )
    max_new_tokens: int = Field(default=256, ge=1, le=4096, description="longest answer, in tokens")
    reference: str | None = Field(default=None, description="column with a right answer, which raters are shown")
    items: int | None = Field(default=None, ge=1, description="show at most so many examples, drawn by seed and id")
    seed: int = Field(default=0, ge=0, lt=2**32, description="seed of what is drawn, and of order and sides")
    raters: int = Field(default=8, ge=1, le=50, description="most raters that there can be")
    instructions: str = Field(default=INSTRUCTIONS, max_length=20_000, description="what raters are told")

    @model_validator(mode="after")
    def _has_names(self) -> Self:
        if self.ratings == self.data:
            raise ValueError(f"data and ratings are both {self.data!r}: ratings are a dataset of their own")
        wrong = [name for name in self.criteria if not name.isidentifier() or not name.isascii() or len(name) > 40]
        if wrong:
            raise ValueError(f"criterion {wrong[0]!r}; expected a name of letters, digits and _")
        metrics = (metric.name for metric in self.metrics())
        for names in (metrics, (*self.criteria, *_OWN, *self._rater_columns())):
            repeated = [name for name, count in Counter(names).items() if count > 1]
            if repeated:
                raise ValueError(f"criteria {', '.join(self.criteria)}: the name {repeated[0]!r} is taken")
        return self

    def reads(self) -> tuple[str, ...]:
        return (self.data, self.ratings)

    def reads_ratings(self) -> tuple[str, ...]:
        return (self.ratings,)

    def metrics(self) -> tuple[Metric, ...]:
        choices = [f"choice_{slot}" for slot in self._slots()]
        least, most = float(LOWEST), float(HIGHEST)
        scale = f"{LOWEST} to {HIGHEST}, where the two models answer differently"
        scores = [
            _metric(name, _differing(Mean(name, least, most)), least, most, f"mean {name} of answers, {scale}")
            for name in self.criteria
        ]
        alphas = [
            _metric(
                f"{name}_alpha",
                KrippendorffAlpha(*_with_rated(self._score_columns(name)), items=2),
                -1.0,
                1.0,
                f"Krippendorff's alpha (ordinal) of the raters' scores of {name}",
                "run",
            )
            for name in self.criteria
        ]
        shares = "share of examples on which raters chose the candidate's answer, ties half"
        return (
            *scores,
            _metric("win_rate", Mean("win", 0.0, 1.0), 0.0, 1.0, shares, "pair"),
            _metric(
                "choice_alpha",
                KrippendorffAlpha(*_with_rated(choices)),
                -1.0,
                1.0,
                "Krippendorff's alpha (ordinal) of the raters' choices",
                "run",
            ),
            *alphas,
            _metric(
                "rater_kappa",
                RaterKappa(*_with_rated(choices), categories=(0.0, 0.5, 1.0)),
                -1.0,
                1.0,
                "Cohen's kappa (quadratic weights) of two raters' choices, mean over pairs of raters",
                "run",
            ),
            _metric("raters", Counted("raters"), 0.0, None, "people who rated this run's answers", "run"),
            _metric(
                "raters_per_pair",
                _differing(Counted("chosen_by")),
                0.0,
                None,
                "mean number of people who chose between two different answers",
                "run",
            ),
        )

    def check(self, data: Datasets) -> list[Problem]:
        dataset, ratings = data[self.data], data[self.ratings]
        problems = [
            *self.prompt_problems(dataset),
            *rating_problems(f"{self.title}.ratings", ratings, self.criteria),
        ]
        if self.reference is not None:
            problems += reference_problems(f"{self.title}.reference", dataset, self.reference)
        raters = sorted({rating.rater for rating in read_ratings(ratings)})
        if len(raters) > self.raters:
            where = f"{self.title}.ratings: dataset {ratings.name!r} ({ratings.path})"
            way_out = f"`raters: {len(raters)}`, or a file with the ratings of this model only"
            problems.append(Problem(where, f"{len(raters)} raters", f"at most {self.raters}", way_out))
        return problems

    def examples(self, data: Datasets) -> Sequence[Example]:
        """Those that are shown, in the order of the dataset."""
        every = data[self.data].examples
        if self.items is None:
            return every
        taken = drawn((f"{self.seed} {example.id}" for example in every), self.items)
        return tuple(example for example in every if f"{self.seed} {example.id}" in taken)

    def requests(self, data: Datasets) -> Sequence[Request]:
        return [self.ask(example.row) for example in self.examples(data)]

    def pairs(self, data: Datasets, answers: Mapping[str, Answers]) -> tuple[Pair, ...]:
        """What there is to rate, for `make_sheet`: of every example that both models answered, equal answers included.
        ``answers`` are by role; none where the run has no such baseline."""
        panel = self._panel(data, answers)
        found: list[Pair] = []
        for at, example in enumerate(self.examples(data)):
            first, second = panel.pair(at)
            if isinstance(first, str) and isinstance(second, str):
                references = () if self.reference is None else references_of(example.row.get(self.reference))
                found.append(Pair(example.id, panel.prompts[at], first, second, "\n".join(references) or None))
        return tuple(found)

    def score(self, data: Datasets, answers: Answers) -> Components:
        return {}

    def score_compared(self, data: Datasets, answers: Mapping[str, Answers]) -> Mapping[str, Components]:
        panel = self._panel(data, answers)
        count = len(panel.examples)
        differing: Column = [float(not panel.same(at)) for at in range(count)]
        of_the_run = self._of_the_run(panel)
        of_models: Components = {name: [_OF_THE_RUN] * count for name in of_the_run}
        return {
            role: {
                **{name: self._scores(panel, name, role) for name in self.criteria},
                "win": self._wins(panel, role),
                "differing": differing,
                **(of_the_run if role == "candidate" else of_models),
            }
            for role in answers
        }

    def findings(
        self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]
    ) -> Sequence[Finding]:
        """How far the rating has come, what each rater did, and where they disagree most."""
        return rating_findings(self._panel(data, answers), self.criteria)

    def shown(self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]) -> Sequence[Shown]:
        answered = shown_texts(self.examples(data), self.ask, answers, self.reference)
        return shown_pairs(self._panel(data, answers), answered)

    def _panel(self, data: Datasets, answers: Mapping[str, Answers]) -> Panel:
        requests = self.requests(data)
        return Panel(
            tuple(example.id for example in self.examples(data)),
            tuple(seen_prompt(self.prompt_of(example.row)) for example in self.examples(data)),
            {role: tuple(text_of(replies[one]) for one in requests) for role, replies in answers.items()},
            self.against,
            read_ratings(data[self.ratings]),
        )

    def _scores(self, panel: Panel, criterion: str, role: str) -> Column:
        opinions = panel.scores(criterion, role)
        unasked = Unmeasured(f"people are shown the candidate beside the {self.against}: nobody rated the {role} here")
        nobody = NOBODY if role in ("candidate", self.against) else unasked

        def value(at: int) -> Value:
            text = panel.texts[role][at]
            if isinstance(text, Unmeasured):
                return text
            found = mean_opinion(opinions, at)
            return _ALIKE if panel.same(at) else nobody if found is None else found

        return [value(at) for at in range(len(panel.examples))]

    def _wins(self, panel: Panel, role: str) -> Column:
        """The candidate's score beside the baseline, which stands in the baseline's column."""
        if role != self.against:
            other = Unmeasured(f"people are shown the candidate beside the {self.against}, not beside the {role}")
            return [_ITSELF if role == "candidate" else other] * len(panel.examples)
        choices = panel.choices()

        def value(at: int) -> Value:
            failed = next((text for text in panel.pair(at) if isinstance(text, Unmeasured)), None)
            if failed is not None:
                return failed
            found = 0.5 if panel.same(at) else mean_opinion(choices, at)
            return NOBODY if found is None else found

        return [value(at) for at in range(len(panel.examples))]

    def _of_the_run(self, panel: Panel) -> Components:
        """What each rater said, in their own columns. A pair that nobody can be shown is not rated, rather than
        missing: how well raters agree does not depend on it."""
        count, people = len(panel.examples), panel.raters()
        if not people:
            return {name: [NOBODY] * count for name in (*_OF_RATERS, *self._rater_columns())}
        choices = panel.choices()
        given = [sum(said[at] is not None for said in choices.values()) for at in range(count)]
        columns: dict[str, Column] = {
            "raters": [float(len(people))] * count,
            "chosen_by": [float(one) for one in given],
        }
        shown = [not panel.same(at) for at in range(count)]
        opinions = {"choice": choices}
        for name in self.criteria:
            opinions |= {
                f"{name}_candidate": panel.scores(name, "candidate"),
                f"{name}_baseline": panel.scores(name, panel.against),
            }
        for name, said in opinions.items():
            columns |= _by_slot(name, said, people, self._slots(), shown)
        return columns

    def _slots(self) -> range:
        return range(1, self.raters + 1)

    def _score_columns(self, criterion: str) -> list[str]:
        """Candidate's texts first, then the baseline's."""
        return [f"{criterion}_{side}_{slot}" for side in ("candidate", "baseline") for slot in self._slots()]

    def _rater_columns(self) -> tuple[str, ...]:
        """Components with the opinions of single raters."""
        columns = [f"choice_{slot}" for slot in self._slots()]
        columns += [column for name in self.criteria for column in self._score_columns(name)]
        return tuple(name for column in columns for name in (column, f"{column}_rated"))


_OF_RATERS = ("raters", "chosen_by")
_OWN = ("win", "differing", *_OF_RATERS)


def _metric(
    name: str, estimator: Estimator, low: float, high: float | None, description: str, subject: Subject = "model"
) -> Metric:
    """``min_coverage``: raters skip one pair or another, which a gate can live with."""
    return Metric(name, True, estimator, low, high, "", description, subject=subject, min_coverage=0.95)


def _differing(estimator: Estimator) -> Part:
    return Part(estimator, "differing", 1.0, _DIFFERING)


def _with_rated(columns: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(columns), tuple(f"{column}_rated" for column in columns)


def _by_slot(
    name: str, said: Opinions, people: Sequence[str], slots: Sequence[int], shown: Sequence[bool]
) -> dict[str, Column]:
    """Two columns for each slot: what its rater said, 0 where they did not, and whether they did."""
    columns: dict[str, Column] = {}
    nothing: list[float | None] = [None] * len(shown)
    for slot in slots:
        values = said.get(people[slot - 1], nothing) if slot <= len(people) else nothing
        given = [value if shown[at] else None for at, value in enumerate(values)]
        columns[f"{name}_{slot}"] = [0.0 if value is None else value for value in given]
        columns[f"{name}_{slot}_rated"] = [float(value is not None) for value in given]
    return columns
