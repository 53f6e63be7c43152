"""Every evaluator with data that it can read: what the contract is checked on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from consistent_models import DATA, EVERYTHING

from finetune_gate.evaluators.attribution import TokenAttribution
from finetune_gate.evaluators.classification import Classification
from finetune_gate.evaluators.code_generation import CodeGeneration
from finetune_gate.evaluators.consistency import Consistency
from finetune_gate.evaluators.datasets import Dataset
from finetune_gate.evaluators.evaluator import Answers, Evaluator
from finetune_gate.evaluators.finetunebench import VARIANTS, FineTuneBench
from finetune_gate.evaluators.holdout import Holdout
from finetune_gate.evaluators.judging import AbJudge, RubricJudge
from finetune_gate.evaluators.multiple_choice import MultipleChoice
from finetune_gate.evaluators.overfitting import Overfitting
from finetune_gate.evaluators.people.human import Human
from finetune_gate.evaluators.people.ratings import rating_line
from finetune_gate.evaluators.people.sheet import make_sheet, rating_of
from finetune_gate.evaluators.perplexity import Perplexity
from finetune_gate.evaluators.question_answering import QuestionAnswering
from finetune_gate.evaluators.summarization import Summarization
from finetune_gate.evaluators.testing import made_answer, made_dataset
from finetune_gate.evaluators.text_match import TextMatch

Case = Callable[[], tuple[Evaluator, Mapping[str, Dataset]]]
SUBJECTS = ("invoice", "parcel", "password", "refund", "delivery", "contract")
LABELS = ("billing", "shipping", "account")


def tickets(name: str = "holdout", count: int = 30, start: int = 0) -> Dataset:
    """Small tickets with a label and a reference answer; no two texts are alike."""
    rows = [
        {
            "id": f"t{at}",
            "text": f"Ticket {at}: my {SUBJECTS[at % 6]} number {at * 7 % 97} is late by {at % 9} days",
            "label": LABELS[at % 3],
            "reference": f"We will look after your {SUBJECTS[at % 6]} within {1 + at % 5} days",
            "category": "even" if at % 2 == 0 else "odd",
        }
        for at in range(start, start + count)
    ]
    return made_dataset(name, rows)


def ab_judge() -> tuple[Evaluator, Mapping[str, Dataset]]:
    judges = ["openai:/judge", "models:/judge/3"]
    settings = {"data": "holdout", "prompt": "{text}", "judge": judges, "reference": "reference"}
    return AbJudge.model_validate(settings), {"holdout": tickets()}


def ab_judge_by_log_probabilities() -> tuple[Evaluator, Mapping[str, Dataset]]:
    settings = {"data": "holdout", "prompt": "{text}", "judge": "openai:/judge", "verdict": "logprobs", "controls": 3}
    return AbJudge.model_validate(settings), {"holdout": tickets()}


def attribution() -> tuple[Evaluator, Mapping[str, Dataset]]:
    evaluator = TokenAttribution(data="holdout", terms=SUBJECTS, train="train", document="text")
    return evaluator, {"holdout": tickets(), "train": tickets("train", start=100)}


def classification() -> tuple[Evaluator, Mapping[str, Dataset]]:
    return Classification(data="holdout", labels=LABELS), {"holdout": tickets()}


def classification_by_text() -> tuple[Evaluator, Mapping[str, Dataset]]:
    return Classification(data="holdout", labels=LABELS, method="generate"), {"holdout": tickets()}


def perplexity() -> tuple[Evaluator, Mapping[str, Dataset]]:
    return Perplexity(data="holdout"), {"holdout": tickets()}


def finetunebench() -> tuple[Evaluator, Mapping[str, Dataset]]:
    rows = [
        {
            "id": f"{one.title} {at}",
            "file": f"{one.topic}/{one.title}.csv",
            "prompt": f"{one.title}: what is number {at}?",
            "answer": "Yes" if one.reading == "yes_no" else "None" if one.reading == "abstains" else f"answer {at}",
            "answer_before": f"before {at}",
        }
        for one in VARIANTS
        for at in range(6)
    ]
    return FineTuneBench(data="bench", judge="openai:/judge"), {"bench": made_dataset("bench", rows)}


def consistency() -> tuple[Evaluator, Mapping[str, Dataset]]:
    return Consistency.model_validate({"data": "questions", **EVERYTHING}), DATA


def holdout() -> tuple[Evaluator, Mapping[str, Dataset]]:
    settings = {"seen": "train", "unseen": "validation", "scored_by": "accuracy", "labels": LABELS}
    return Holdout.model_validate(settings), _two_sides()


def human() -> tuple[Evaluator, Mapping[str, Dataset]]:
    evaluator = Human(data="holdout", prompt="{text}", ratings="ratings", raters=3)
    data = {"holdout": tickets(), "ratings": made_dataset("ratings", [])}
    requests = evaluator.requests(data)
    answers: dict[str, Answers] = {
        "candidate": {one: made_answer(one) for one in requests},
        "base": {one: made_answer(one, "base") for one in requests},
    }
    return evaluator, {**data, "ratings": rate(evaluator, data, answers, ("ana", "bob", "cyd"))}


def rate(
    evaluator: Human, data: Mapping[str, Dataset], answers: Mapping[str, Answers], raters: Sequence[str]
) -> Dataset:
    """Ratings of everything by raters who like long answers, each with a letter of their own to be put off by."""
    rows: list[dict[str, object]] = []
    for rater in raters:
        for item in make_sheet("tickets", evaluator.pairs(data, answers), rater, evaluator.criteria).items:
            left, right = (len(text) - 4 * text.count(rater[0]) for text in (item.left, item.right))
            scores = [
                {name: 1 + (worth + at) % 5 for at, name in enumerate(evaluator.criteria)} for worth in (left, right)
            ]
            choice = "tie" if abs(left - right) < 2 else "left" if left > right else "right"
            rows.append(rating_line(rating_of(item, rater, choice, *scores)))
    return made_dataset("ratings", rows)  # type: ignore[arg-type]


def overfitting() -> tuple[Evaluator, Mapping[str, Dataset]]:
    return Overfitting(train="train", validation="validation"), _two_sides()


def overfitting_with_texts() -> tuple[Evaluator, Mapping[str, Dataset]]:
    settings = {
        "train": "train",
        "validation": "validation",
        "memorisation": {"prefix": 4, "continuation": 4},
        "diversity": {"prefix": 4},
    }
    return Overfitting.model_validate(settings), _two_sides()


def _two_sides() -> Mapping[str, Dataset]:
    return {"train": tickets("train"), "validation": tickets("validation", start=100)}


def perplexity_of_chats() -> tuple[Evaluator, Mapping[str, Dataset]]:
    chats = [
        {
            "messages": [
                {"role": "user", "content": f"Where is {at}?"},
                {"role": "assistant", "content": f"At {at * 3}."},
            ]
        }
        for at in range(30)
    ]
    return Perplexity(data="chats", messages="messages", whole=True), {"chats": made_dataset("chats", chats)}


def summarization() -> tuple[Evaluator, Mapping[str, Dataset]]:
    return Summarization(data="holdout", reference="reference"), {"holdout": tickets()}


def question_answering() -> tuple[Evaluator, Mapping[str, Dataset]]:
    return QuestionAnswering(data="holdout", prompt="{text}", reference="reference"), {"holdout": tickets()}


def text_match() -> tuple[Evaluator, Mapping[str, Dataset]]:
    settings = {"data": "holdout", "reference": "reference", "pattern": r"\d", "json": True}
    return TextMatch.model_validate(settings), {"holdout": tickets()}


def multiple_choice() -> tuple[Evaluator, Mapping[str, Dataset]]:
    rows = [
        {"question": f"What is {at} and {at}?", "choices": [str(2 * at), str(at), f"{at}{at}"], "answer": at % 3}
        for at in range(1, 31)
    ]
    return MultipleChoice(data="sums"), {"sums": made_dataset("sums", rows)}


def rubric_judge() -> tuple[Evaluator, Mapping[str, Dataset]]:
    judges = ["openai:/judge", {"model": "models:/judge/3", "related": ["candidate"]}]
    settings = {"data": "holdout", "prompt": "{text}", "judge": judges, "reference": "reference", "rubric": "5: polite"}
    return RubricJudge.model_validate(settings), {"holdout": tickets()}


def rubric_judge_beside_people() -> tuple[Evaluator, Mapping[str, Dataset]]:
    """Whose scores are of the very answers that `human` shows: equal prompts make equal requests."""
    asked, data = human()
    assert isinstance(asked, Human)
    settings = {"data": "holdout", "prompt": "{text}", "judge": "openai:/judge", "verdict": "logprobs", "controls": 3}
    beside = {"criteria": "help", "ratings": "ratings", "criterion": "accuracy", "raters": 3}
    return RubricJudge.model_validate({**settings, **beside}), data


def code_generation() -> tuple[Evaluator, Mapping[str, Dataset]]:
    rows = [
        {"prompt": f"def add_{at}(a, b):\n", "entry_point": f"add_{at}", "calls": [{"arguments": [1, 2], "result": at}]}
        for at in range(30)
    ]
    return CodeGeneration(data="tasks", k=(1, 2), samples=3, temperature=0.8), {"tasks": made_dataset("tasks", rows)}


CASES: dict[str, Case] = {
    "ab_judge": ab_judge,
    "ab_judge by log-probabilities": ab_judge_by_log_probabilities,
    "attribution": attribution,
    "classification": classification,
    "classification by text": classification_by_text,
    "code_generation": code_generation,
    "consistency": consistency,
    "finetunebench": finetunebench,
    "holdout": holdout,
    "human": human,
    "multiple_choice": multiple_choice,
    "overfitting": overfitting,
    "overfitting with texts": overfitting_with_texts,
    "perplexity": perplexity,
    "perplexity of chats": perplexity_of_chats,
    "question_answering": question_answering,
    "rubric_judge": rubric_judge,
    "rubric_judge beside people": rubric_judge_beside_people,
    "summarization": summarization,
    "text_match": text_match,
}
