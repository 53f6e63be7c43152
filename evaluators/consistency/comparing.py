"""From answers to texts, and from texts to which of them say the same and which are right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from ..absent import Unmeasured
from ..asking import Answer, Failed, GenerateRequest, Generation, unanswered
from ..evaluator import Answers
from ..texts.sameness import Same
from .questions import Question

Compare = Callable[[str, str, str], Same]
"""``compare(question, first, second)``: do the two answers say the same?"""


def texts_of(requests: Sequence[GenerateRequest], answers: Answers) -> list[str] | Unmeasured:
    """The texts of all answers, or why one is missing."""
    texts: list[str] = []
    for request in requests:
        answer: Answer = answers.get(request, Failed("it was not asked"))
        if not isinstance(answer, Generation):
            return unanswered(answer, "the model gave no text")
        texts.append(answer.text)
    return texts


def both_texts(
    question: Question, role: str, answers: Mapping[str, Answers]
) -> tuple[list[str], list[str]] | Unmeasured:
    ours = texts_of(question.requests, answers[role])
    if isinstance(ours, Unmeasured):
        return ours
    theirs = texts_of(question.requests, answers.get("base", {}))
    if isinstance(theirs, Unmeasured):
        return Unmeasured(f"the base has no answer to compare with: {theirs.reason}")
    return ours, theirs


def asked_texts(questions: Sequence[Question]) -> list[str]:
    """Every text that stood in a prompt, system message included."""
    prompts = [request.prompt for question in questions for request in question.requests]
    return [
        text
        for prompt in dict.fromkeys(prompts)
        for text in ([prompt] if isinstance(prompt, str) else [message.content for message in prompt])
    ]


def relation(question: str, texts: Sequence[str], compare: Compare) -> list[list[bool]] | Unmeasured:
    """Which of ``texts`` say the same. Unmeasured where one pair could not be compared."""
    agree = [[False] * len(texts) for _ in texts]
    missing: Unmeasured | None = None
    for first, second in combinations(range(len(texts)), 2):
        same = compare(question, texts[first], texts[second])
        if isinstance(same, Unmeasured):
            missing = missing or same
        else:
            agree[first][second] = agree[second][first] = same
    return missing or agree


def rightness(
    question: str, texts: Sequence[str], references: Sequence[Sequence[str]], compare: Compare
) -> list[bool] | Unmeasured:
    """Whether each text says what one of its references says. Unmeasured where one cannot be told."""
    right: list[bool] = []
    missing: Unmeasured | None = None
    for text, accepted in zip(texts, references, strict=True):
        told = [compare(question, text, reference) for reference in accepted]
        unknown = [same for same in told if isinstance(same, Unmeasured)]
        right.append(True in told)
        if unknown and True not in told:
            missing = missing or unknown[0]
    return missing or right
