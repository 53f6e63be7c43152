"""Response consistency: does a fine-tuned model say new things, and does it say them steadily?

- over rephrasings of one question, answered greedily: do the answers agree (ParaRel, arXiv 2102.01017)?
- over repeated samples of one prompt: do they agree, over how many meanings do they spread (semantic entropy, Nature
  630:625), and are all of k right (pass^k, arXiv 2406.12045)?
- against the base's answers to the same prompts: which terms are new (Monroe et al. 2008), and how much of what is
  said is made of terms that stand neither in the fine-tuning data nor in the prompts?
- on prompts outside the domain: does the model still answer as the base does?

One greedy answer to one wording says nothing about steadiness: no metric here is made of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import ClassVar

from ..absent import Unmeasured, Value
from ..asking import Request
from ..datasets import Example
from ..estimators import Mean, Part
from ..evaluator import Answers, Components, Datasets
from ..findings import Finding
from ..metrics import Estimator, Metric
from ..showing import Shown
from ..texts.agreement import consistently_right, majority_share, pair_agreement, pass_hat
from ..texts.clustering import connected, semantic_entropy
from ..texts.keyness import terms_of
from ..texts.new_terms import NewTerm, new_terms, texts_in, unsupported_share, vocabulary
from ..texts.sameness import Same, Sameness
from .comparing import Compare, asked_texts, both_texts, relation, rightness, texts_of
from .findings import departures, least_steady, term_table
from .questions import ConsistencySettings, Question
from .shown import shown_question

Scores = dict[str, Value]
ROLES = 3
"""Most models in one run: candidate, base, champion."""


@dataclass(frozen=True, slots=True)
class _Known:
    """Terms of the fine-tuning data, None where it is not given, and of the prompts of the domain."""

    taught: frozenset[str] | None
    prompts: frozenset[str]


class Consistency(ConsistencySettings):
    """``- consistency: {data: questions, rephrasings: rephrased, samples: 5, reference: answer, train: train}``

    Components, one per question (a row, or with ``fact`` the rows of one fact):

    | component | what | where |
    |---|---|---|
    | ``rephrase_agreement`` | share of pairs of wordings whose answers say the same | rephrasings, fact |
    | ``consistent_accuracy`` | 1 where the answers to all wordings are right | and reference |
    | ``sample_agreement`` | share of pairs of samples that say the same | samples |
    | ``majority_share`` | share of samples in the largest cluster of meaning | samples |
    | ``semantic_entropy`` | over the clusters, nats, at most log(samples) | samples |
    | ``pass_hat_k`` | chance that k samples are all right | samples and reference |
    | ``unsupported_terms`` | share of words that are new and neither taught nor asked for | train |
    | ``retention_agreement`` | outside the domain: 1 where the greedy answer says what the base's does | retention |
    | ``retention_accuracy`` | outside the domain: 1 where it is right | retention_reference |
    | ``outside`` | 1 for a prompt outside the domain; components of the other part are 0 and unread | retention |

    Each is a metric by its own name, the mean over the examples of its part. A failed answer leaves its example
    Unmeasured in all that needs it. What compares with the base is Unmeasured for the base.
    """

    kind: ClassVar[str] = "consistency"
    example: ClassVar[Mapping[str, object]] = {"data": "questions", "rephrasings": "rephrased"}

    def metrics(self) -> tuple[Metric, ...]:
        return tuple(self._metric(name, description) for name, description in self._described().items())

    def judges(self) -> tuple[str, ...]:
        return () if self.model is None else (self.model,)

    def judge_calls(self, data: Datasets) -> Mapping[str, int]:
        if self.model is None:
            return {}
        return {self.model: sum(self._most_asked(question) for question in self.questions(data))}

    def second_requests(self, data: Datasets, answers: Mapping[str, Answers]) -> Mapping[str, Sequence[Request]]:
        if self.model is None:
            return {}
        questions = self.questions(data)
        wanted: dict[Request, None] = {}

        def ask(question: str, first: str, second: str) -> Same:
            wanted.update(dict.fromkeys(self._sameness.requests(question, first, second)))
            return Unmeasured("not compared yet")

        for role in answers:
            for question in questions:
                self._compared(question, role, answers, ask)
        return {self.model: tuple(wanted)}

    def score(self, data: Datasets, answers: Answers) -> Components:
        return {}

    def score_judged(
        self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]
    ) -> Mapping[str, Components]:
        questions = self.questions(data)
        compare = self._comparing(verdicts)
        known = self._known(data, questions)
        found: dict[str, Components] = {}
        for role in answers:
            rows = [self._compared(question, role, answers, compare) for question in questions]
            if known.taught is not None:
                shares = self._unsupported(questions, role, answers, known)
                rows = [{**row, **share} for row, share in zip(rows, shares, strict=True)]
            found[role] = {name: _over_both_parts([row.get(name) for row in rows]) for name in self._described()}
            if self.retention is not None:
                found[role] = {**found[role], "outside": [float(question.outside) for question in questions]}
        return found

    def findings(
        self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]
    ) -> Sequence[Finding]:
        """The candidate's new terms, the questions it is least steady on, and where it departs from the base outside
        the domain."""
        if "candidate" not in answers:
            return ()
        questions = self.questions(data)
        compare = self._comparing(verdicts)
        found: list[Finding] = []
        terms = self._new_terms(questions, "candidate", answers, self._known(data, questions))
        if not isinstance(terms, Unmeasured) and terms:
            found.append(
                term_table(terms, [texts_of(question.requests, answers["candidate"]) for question in questions])
            )
        scored = [(question, self._compared(question, "candidate", answers, compare)) for question in questions]
        found += least_steady(scored, answers["candidate"])
        found += departures(scored, answers)
        return found

    def shown(self, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]) -> Sequence[Shown]:
        return [shown_question(question, answers) for question in self.questions(data)]

    @property
    def _sameness(self) -> Sameness:
        return Sameness.by(self.similarity, self.threshold, self.verdict)

    @property
    def _k(self) -> int:
        return self.k or self.samples

    def _comparing(self, verdicts: Mapping[str, Answers]) -> Compare:
        given: Answers = verdicts.get(self.model, {}) if self.model else {}
        sameness = self._sameness
        return lambda question, first, second: sameness.holds(question, first, second, given)

    def _described(self) -> dict[str, str]:
        """Every component that is a metric, and what it is."""
        by = f"by {self.similarity}"
        found: dict[str, str] = {}
        if self.rephrased:
            found["rephrase_agreement"] = f"share of pairs of wordings whose answers say the same, {by}"
            if self.reference:
                found["consistent_accuracy"] = f"share of questions answered rightly in every wording, {by}"
        if self.samples:
            found["sample_agreement"] = f"share of pairs of {self.samples} samples that say the same, {by}"
            found["majority_share"] = f"share of {self.samples} samples in the largest cluster of meaning, {by}"
            found["semantic_entropy"] = f"entropy over the clusters of meaning of {self.samples} samples, {by}"
            if self.reference:
                found["pass_hat_k"] = f"pass^{self._k}: chance that {self._k} samples are all right, {by}"
        if self.train is not None:
            found["unsupported_terms"] = "share of words that are new, and neither in the training data nor in prompts"
        if self.retention is not None:
            found["retention_agreement"] = f"share of prompts outside the domain answered as the base does, {by}"
            if self.retention_reference:
                found["retention_accuracy"] = f"share of prompts outside the domain answered rightly, {by}"
        return found

    def _metric(self, name: str, description: str) -> Metric:
        entropy = name == "semantic_entropy"
        high = log(self.samples) if entropy else 1.0
        better = name not in ("semantic_entropy", "unsupported_terms")
        estimator: Estimator = Mean(name, 0.0, high, higher_is_better=better)
        if self.retention is not None:
            outside = name.startswith("retention_")
            estimator = Part(estimator, "outside", float(outside), self.retention if outside else self.data)
        return Metric(name, better, estimator, 0.0, high, "nats" if entropy else "", description)

    def _most_asked(self, question: Question) -> int:
        """The most requests to the comparing model that one question can give rise to, whatever the models answer."""

        def within(count: int, references: int, also: int = 0) -> int:
            return self._sameness.at_most(
                count + references + also, count * (count - 1) // 2 + count * references + also
            )

        references = max(map(len, question.references))
        if question.outside:
            return ROLES * within(1, references, also=1)
        asked = [len(question.wordings)] if self.rephrased else []
        asked += [self.samples] if self.samples else []
        return ROLES * sum(within(count, references) for count in asked)

    def _compared(self, question: Question, role: str, answers: Mapping[str, Answers], compare: Compare) -> Scores:
        """Everything about one question that comes from comparing texts. ``compare`` is called for the same texts
        whatever it returns, so that a first pass can collect what it will be asked."""
        if question.outside:
            return self._outside_domain(question, role, answers, compare)
        found: Scores = {}
        if self.rephrased:
            found.update(self._over_wordings(question, answers[role], compare))
        if self.samples:
            found.update(self._over_samples(question, answers[role], compare))
        return found

    def _over_wordings(self, question: Question, answers: Answers, compare: Compare) -> Scores:
        texts = texts_of(question.wordings, answers)
        if isinstance(texts, Unmeasured):
            return {"rephrase_agreement": texts, "consistent_accuracy": texts}
        agree = relation(question.text, texts, compare)
        found: Scores = {"rephrase_agreement": agree if isinstance(agree, Unmeasured) else pair_agreement(agree)}
        if self.reference:
            right = rightness(question.text, texts, question.references, compare)
            found["consistent_accuracy"] = right if isinstance(right, Unmeasured) else consistently_right(right)
        return found

    def _over_samples(self, question: Question, answers: Answers, compare: Compare) -> Scores:
        texts = texts_of(question.samples, answers)
        if isinstance(texts, Unmeasured):
            return dict.fromkeys(("sample_agreement", "majority_share", "semantic_entropy", "pass_hat_k"), texts)
        agree = relation(question.text, texts, compare)
        found: Scores
        if isinstance(agree, Unmeasured):
            found = dict.fromkeys(("sample_agreement", "majority_share", "semantic_entropy"), agree)
        else:
            clusters = connected(agree)
            found = {
                "sample_agreement": pair_agreement(agree),
                "majority_share": majority_share(clusters),
                "semantic_entropy": semantic_entropy(clusters),
            }
        if self.reference:
            right = rightness(question.text, texts, question.references[:1] * len(texts), compare)
            found["pass_hat_k"] = right if isinstance(right, Unmeasured) else pass_hat(sum(right), len(right), self._k)
        return found

    def _outside_domain(
        self, question: Question, role: str, answers: Mapping[str, Answers], compare: Compare
    ) -> Scores:
        texts = texts_of(question.wordings, answers[role])
        if isinstance(texts, Unmeasured):
            return {"retention_agreement": texts, "retention_accuracy": texts}
        found: Scores = {"retention_agreement": _BASE_ITSELF}
        if role != "base":
            theirs = texts_of(question.wordings, answers.get("base", {}))
            if isinstance(theirs, Unmeasured):
                found["retention_agreement"] = Unmeasured(f"the base has no answer to compare with: {theirs.reason}")
            else:
                found["retention_agreement"] = _as_value(compare(question.text, texts[0], theirs[0]))
        if self.retention_reference:
            right = rightness(question.text, texts, question.references, compare)
            found["retention_accuracy"] = right if isinstance(right, Unmeasured) else float(right[0])
        return found

    def _unsupported(
        self, questions: Sequence[Question], role: str, answers: Mapping[str, Answers], known: _Known
    ) -> list[Scores]:
        terms = _BASE_ITSELF if role == "base" else self._new_terms(questions, role, answers, known)
        if isinstance(terms, Unmeasured):
            return [{} if question.outside else {"unsupported_terms": terms} for question in questions]
        unsupported = frozenset(found.term.text for found in terms if found.origin == "neither")
        rows: list[Scores] = []
        for question in questions:
            texts = both_texts(question, role, answers)
            value = texts if isinstance(texts, Unmeasured) else unsupported_share(texts[0], unsupported)
            rows.append({} if question.outside else {"unsupported_terms": value})
        return rows

    def _new_terms(
        self, questions: Sequence[Question], role: str, answers: Mapping[str, Answers], known: _Known
    ) -> tuple[NewTerm, ...] | Unmeasured:
        """Over the questions that both models answered in full; those of one group are one document."""
        ours: dict[tuple[str, str], list[str]] = {}
        theirs: dict[tuple[str, str], list[str]] = {}
        reasons: list[Unmeasured] = []
        for question in questions:
            if question.outside:
                continue
            texts = both_texts(question, role, answers)
            if isinstance(texts, Unmeasured):
                reasons.append(texts)
                continue
            document = _document(question.example)
            for side, said in zip((ours, theirs), texts, strict=True):
                side.setdefault(document, []).extend(
                    term for text in said for term in terms_of(text, bigrams=self.bigrams)
                )
        if not ours:
            return reasons[0] if reasons else Unmeasured("no questions")
        return new_terms(
            list(ours.values()),
            list(theirs.values()),
            taught=known.taught,
            prompts=known.prompts,
            least=self.least_uses,
            alpha=self.alpha,
        )

    def _known(self, data: Datasets, questions: Sequence[Question]) -> _Known:
        taught = None
        if self.train is not None:
            cells = (cell for example in data[self.train].examples for cell in example.row.values())
            taught = vocabulary((text for cell in cells for text in texts_in(cell)), bigrams=self.bigrams)
        asked = asked_texts([question for question in questions if not question.outside])
        return _Known(taught, vocabulary(asked, bigrams=self.bigrams))


_BASE_ITSELF = Unmeasured("the base is what the others are compared with")


def _document(example: Example) -> tuple[str, str]:
    return ("row", example.id) if example.group is None else ("group", example.group)


def _as_value(same: Same) -> Value:
    return same if isinstance(same, Unmeasured) else float(same)


def _over_both_parts(values: Sequence[Value | None]) -> list[Value]:
    """None marks the examples of the other part, which an estimator never reads: they get 0. Where nothing at all was
    measured they get the reason instead, so that they do not count as covered."""
    own = [value for value in values if value is not None]
    nothing = bool(own) and all(isinstance(value, Unmeasured) for value in own)
    filling: Value = own[0] if nothing else 0.0
    return [filling if value is None else value for value in values]
