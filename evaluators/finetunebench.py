"""FineTuneBench: did fine-tuning put the new knowledge into the model?

The benchmark's ``datasets`` folder is read as it is (arXiv 2411.05059, kevinwu23/StanfordFineTuneBench): latest news,
fictional people, medical guidelines, code, each asked as trained (memorization) and in other ways. The variants are
different questions and stay apart:

- an answer counts where it is the reference after normalising; asked in other words, and for code, where it holds the
  reference as whole words; medical answers are sentences, which a judge compares, and are unmeasured without one;
- ``secondary`` and ``comparison`` are yes or no: chance is one half, and what says neither is wrong;
- ``date_changed`` asks what cannot be known, so the right answer is to abstain. A model that knows nothing abstains
  always: this is a rate of its own and never part of an accuracy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from pydantic import Field

from .absent import Unmeasured, Value
from .asking import Ability, Answer, Generation, Request, unanswered
from .datasets import Example
from .errors import Problem
from .estimators import Mean, Part
from .evaluator import Answers, Components, Datasets
from .findings import Finding, Table
from .metrics import Metric
from .prompting import GeneratingOnDataset
from .showing import Shown
from .shown_answers import shown_texts
from .texts.keyness import words
from .texts.sameness import Sameness, normalised

Topic = Literal["latest_news", "fictional_people", "medical", "coding"]
Reading = Literal["exact", "contains", "yes_no", "abstains", "judged"]


@dataclass(frozen=True, slots=True)
class Variant:
    """One file of the benchmark, and how its answers are read. ``learned`` says what kind of question it is."""

    topic: Topic
    name: str
    reading: Reading
    learned: Literal["memorization", "generalization", "abstention"]

    @property
    def title(self) -> str:
        return f"{self.topic}_{self.name}"

    @property
    def metric(self) -> str:
        return f"{self.title}_abstention" if self.reading == "abstains" else self.title


VARIANTS = (
    Variant("latest_news", "memorization", "exact", "memorization"),
    Variant("latest_news", "rephrased", "contains", "generalization"),
    Variant("latest_news", "date_changed", "abstains", "abstention"),
    Variant("fictional_people", "memorization", "exact", "memorization"),
    Variant("fictional_people", "rephrased", "contains", "generalization"),
    Variant("fictional_people", "secondary", "yes_no", "generalization"),
    Variant("fictional_people", "comparison", "yes_no", "generalization"),
    Variant("medical", "memorization", "judged", "memorization"),
    Variant("medical", "generalization", "judged", "generalization"),
    Variant("coding", "memorization", "contains", "memorization"),
    Variant("coding", "generalization", "contains", "generalization"),
)
_BY_TITLE = {variant.title: variant for variant in VARIANTS}
_KINDS = ("memorization", "generalization", "abstention")
_ABSTAINS = re.compile(
    r"(?:none|n/?a|unknown|unanswerable|not (?:known|available|applicable)|no answer)"
    r"|(?:i|we) (?:do not|don't|cannot|can't|could not|couldn't) (?:know|answer|find|say|tell)\b.*"
    r"|(?:i am|i'm) (?:not sure|unsure|not aware|unable)\b.*"
)
_SAME = Sameness.by("judge")


class FineTuneBench(GeneratingOnDataset):
    """``- finetunebench: {data: bench, judge: openai:/gpt-4o}`` with ``data: {bench: StanfordFineTuneBench/datasets}``

    ``topics`` leaves out what the model was not fine-tuned on; without a ``judge``, ``medical`` is unmeasured, and so
    are the two summaries unless it is left out. Where a file has a column ``used_in_analysis``, only rows flagged in it
    count, as in the paper, unless ``all_rows`` is set. Questions about one person or article are one cluster.

    Components per example: ``variant`` (position in `VARIANTS`), ``learned`` (position of memorization,
    generalization, abstention), ``updating`` (1 where the row says what was true before), ``correct``, ``outdated`` (1
    where the answer is what was true before). Only code is ``updating`` here: what was true before of medicine are
    sentences as well, and often "no recommendation".
    """

    kind: ClassVar[str] = "finetunebench"
    example: ClassVar[Mapping[str, object]] = {"data": "bench", "judge": "openai:/gpt-4o"}
    needs: ClassVar[frozenset[Ability]] = frozenset({"generates"})

    prompt: str = Field(default="{prompt}", min_length=1, description="prompt with {column} slots")
    max_new_tokens: int = Field(default=64, ge=1, le=4096, description="longest answer, in tokens")
    topics: tuple[Topic, ...] = Field(
        default=("latest_news", "fictional_people", "medical", "coding"),
        min_length=1,
        strict=False,
        description="which of the four sets count",
    )
    all_rows: bool = Field(default=False, description="also rows that the paper left out of its analysis")
    judge: str | None = Field(default=None, description="model that compares medical answers with the reference")

    def metrics(self) -> tuple[Metric, ...]:
        of_variants = [_share(one.metric, "correct", "variant", at, _said_of(one)) for at, one in self._variants()]
        summaries = [
            _share(kind, "correct", "learned", at, said)
            for at, (kind, said) in enumerate(
                (
                    ("memorization", "right answers to questions asked as trained"),
                    ("generalization", "right answers to questions asked in other ways; abstention is not among them"),
                )
            )
            if any(one.learned == kind for _, one in self._variants())
        ]
        outdated = _share("outdated", "outdated", "updating", 1, "answers that were true before the update", False)
        return (*summaries, *of_variants, *([outdated] if "coding" in self.topics else []))

    def check(self, data: Datasets) -> list[Problem]:
        dataset = data[self.data]
        where = f"{self.title}: dataset {self.data!r} ({dataset.path})"
        missing = [column for column in ("prompt", "answer", "file") if column not in dataset.columns]
        if missing:
            expected = "the benchmark's own `datasets` folder, whose tables have prompt and answer"
            return [Problem(where, f"no column {missing[0]!r}", expected)]
        files = dict.fromkeys(str(example.row["file"]) for example in dataset.examples)
        problems = [
            Problem(f"{where} {name}", "no file of the benchmark", f"names such as {VARIANTS[0].title}.csv")
            for name in files
            if _variant_of(name) is None
        ]
        if not problems and not self.examples(data):
            problems.append(
                Problem(where, f"no row of {', '.join(self.topics)} counts", "at least one", "all_rows: true")
            )
        return problems + self.prompt_problems(dataset)

    def examples(self, data: Datasets) -> Sequence[Example]:
        """Grouped by person or article, with the variant as category."""
        kept: list[Example] = []
        for example in data[self.data].examples:
            variant = _variant_of(str(example.row.get("file", "")))
            flag = str(example.row.get("used_in_analysis") or "true").strip().lower()
            if variant is None or variant.topic not in self.topics or (flag != "true" and not self.all_rows):
                continue
            about = example.row.get("id")
            group = f"{variant.topic} {about}" if about is not None else example.group
            kept.append(replace(example, group=group, category=variant.title))
        return kept

    def requests(self, data: Datasets) -> Sequence[Request]:
        return [self._asked(example) for example in self.examples(data)]

    def score(self, data: Datasets, answers: Answers) -> Components:
        """What needs no judge; `score_judged` fills in the rest."""
        return self._scored(data, answers, {})

    def judges(self) -> tuple[str, ...]:
        return (self.judge,) if self.judge is not None and "medical" in self.topics else ()

    def judge_calls(self, data: Datasets) -> Mapping[str, int]:
        judged = sum(_variant(example).reading == "judged" for example in self.examples(data))
        return {judge: 3 * judged * _SAME.at_most(2, 1) for judge in self.judges()}

    def second_requests(self, data: Datasets, answers: Mapping[str, Answers]) -> Mapping[str, Sequence[Request]]:
        asked: dict[Request, None] = {}
        for of_role in answers.values():
            for example in self.examples(data):
                answer = of_role[self._asked(example)]
                if _variant(example).reading == "judged" and isinstance(answer, Generation):
                    asked.update(dict.fromkeys(_SAME.requests(*_compared(example, answer))))
        return {judge: tuple(asked) for judge in self.judges()}

    def score_judged(
        self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]
    ) -> Mapping[str, Components]:
        given: Answers = {}
        for judge in self.judges():
            given = verdicts.get(judge, given)
        return {role: self._scored(data, of_role, given) for role, of_role in answers.items()}

    def findings(
        self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]
    ) -> Sequence[Finding]:
        return (self._by_variant(data, self.score_judged(data, answers, verdicts)),)

    def shown(self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]) -> Sequence[Shown]:
        return shown_texts(self.examples(data), self.ask, answers, "answer")

    def _variants(self) -> list[tuple[int, Variant]]:
        return [(at, one) for at, one in enumerate(VARIANTS) if one.topic in self.topics]

    def _asked(self, example: Example) -> Request:
        return self.ask(example.row)

    def _scored(self, data: Datasets, answers: Answers, verdicts: Answers) -> Components:
        columns: dict[str, list[Value]] = {}
        for example in self.examples(data):
            variant, answer = _variant(example), answers[self._asked(example)]
            before = example.row.get("answer_before")
            row: dict[str, Value] = {
                "variant": float(VARIANTS.index(variant)),
                "learned": float(_KINDS.index(variant.learned)),
                "updating": float(before is not None and variant.reading == "contains"),
                "correct": self._correct(variant, example, answer, verdicts),
                "outdated": _outdated(answer, str(example.row["answer"]), str(before or "")),
            }
            for name, value in row.items():
                columns.setdefault(name, []).append(value)
        return columns or {name: [] for name in ("variant", "learned", "updating", "correct", "outdated")}

    def _correct(self, variant: Variant, example: Example, answer: Answer, verdicts: Answers) -> Value:
        if not isinstance(answer, Generation):
            return unanswered(answer, "the model gave no text")
        said, reference = normalised(answer.text), normalised(str(example.row["answer"]))
        match variant.reading:
            case "exact":
                return float(said == reference)
            case "contains":
                return float(_holds(said, reference))
            case "yes_no":
                return float((words(said) or [""])[0] == reference)
            case "abstains":
                return float(not said or _ABSTAINS.fullmatch(said) is not None)
            case "judged":
                if self.judge is None:
                    return Unmeasured(f"answers of {variant.title} are sentences: name a `judge`, or leave medical out")
                same = _SAME.holds(*_compared(example, answer), verdicts)
                return same if isinstance(same, Unmeasured) else float(same)

    def _by_variant(self, data: Datasets, scored: Mapping[str, Components]) -> Table:
        roles = list(scored)
        shares = [head for role in roles for head in (role, f"{role}, 95 %")]
        rows: list[list[str | int | float | None]] = []
        for at, variant in self._variants():
            chosen = [row for row, code in enumerate(scored[roles[0]]["variant"]) if code == at] if roles else []
            if not chosen:
                continue
            correct = {role: [scored[role]["correct"][row] for row in chosen] for role in roles}
            row: list[str | int | float | None] = [variant.metric, len(chosen)]
            for role in roles:
                row += _wilson(correct[role])
            rows.append([*row, _mcnemar(correct), _beyond_chance(variant, correct)])
        note = (
            "Share of right answers with Wilson's two-sided 95 % interval, all questions taken as independent; rules "
            "use clusters. McNemar: p of candidate against base. Chance: p of the candidate against one half, where "
            "the answer is yes or no. Abstention is no accuracy: a model that knows nothing always abstains."
        )
        return Table.of("By variant", note, ("variant", "questions", *shares, "McNemar p", "chance p"), rows)


def _share(name: str, component: str, column: str, at: int, said: str, higher_is_better: bool = True) -> Metric:
    share = Mean(component, low=0.0, high=1.0, higher_is_better=higher_is_better)
    part = Part(share, column, float(at), name)
    return Metric(name, higher_is_better, part, 0.0, 1.0, description=said)


def _said_of(variant: Variant) -> str:
    of = f"{variant.topic.replace('_', ' ')}, {variant.name.replace('_', ' ')}"
    if variant.reading == "abstains":
        return f"abstentions, where nothing can be known: {of}"
    return f"right answers: {of}" + (" (chance is 0.5)" if variant.reading == "yes_no" else "")


def _variant_of(file: str) -> Variant | None:
    """By the file's name without folder and ending, and without what responses were appended under."""
    stem = re.split(r"[\\/]", file)[-1].rpartition(".")[0].removesuffix("_w_responses")
    return _BY_TITLE.get(re.sub(r"_original$", "_memorization", stem))


def _variant(example: Example) -> Variant:
    found = _variant_of(str(example.row["file"]))
    assert found is not None, "examples() keeps only rows of files it knows"
    return found


def _compared(example: Example, answer: Generation) -> tuple[str, str, str]:
    return str(example.row["prompt"]), str(example.row["answer"]), answer.text


def _holds(said: str, reference: str) -> bool:
    """Whether the reference stands in the answer as whole words; identifiers count their underscores."""
    return re.search(rf"(?<!\w){re.escape(reference)}(?!\w)", said) is not None if reference else not said


def _outdated(answer: Answer, reference: str, before: str) -> Value:
    if not isinstance(answer, Generation):
        return unanswered(answer, "the model gave no text")
    said = normalised(answer.text)
    new, old = _holds(said, normalised(reference)), bool(before) and _holds(said, normalised(before))
    return float(old and not new)


def _binary(values: Sequence[Value]) -> list[float]:
    return [value for value in values if not isinstance(value, Unmeasured)]


def _wilson(values: Sequence[Value]) -> tuple[float | None, str | None]:
    from .statistics import Estimate, wilson

    measured = _binary(values)
    found = wilson(int(sum(measured)), len(measured), 0.975)
    if len(measured) < len(values) or not isinstance(found, Estimate):
        return None, None
    return found.value, f"{found.interval.low:.3f} to {found.interval.high:.3f}"


def _mcnemar(correct: Mapping[str, Sequence[Value]]) -> float | None:
    from .statistics import mcnemar_exact

    if "candidate" not in correct or "base" not in correct:
        return None
    pairs = [
        (ours, theirs)
        for ours, theirs in zip(correct["candidate"], correct["base"], strict=True)
        if not isinstance(ours, Unmeasured) and not isinstance(theirs, Unmeasured)
    ]
    if not pairs:
        return None
    return mcnemar_exact(sum(a > b for a, b in pairs), sum(a < b for a, b in pairs))


def _beyond_chance(variant: Variant, correct: Mapping[str, Sequence[Value]]) -> float | None:
    """One-sided exact binomial p that the candidate does no better than one half."""
    measured = _binary(correct.get("candidate", ()))
    if variant.reading != "yes_no" or not measured:
        return None
    from .statistics import binomial_cdf

    right = int(sum(measured))
    return 1.0 - binomial_cdf(right - 1, len(measured), 0.5) if right else 1.0
