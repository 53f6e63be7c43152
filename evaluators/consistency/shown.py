"""What people see of each question: every wording of it, and all that each model said to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..asking import Answer
from ..evaluator import Answers
from ..showing import Said, Shown
from ..shown_answers import NOT_ASKED, prompt_text, said, said_in_turn
from .questions import Question


def shown_question(question: Question, answers: Mapping[str, Answers]) -> Shown:
    prompts = [prompt_text(request.prompt) for request in question.wordings or question.samples[:1]]
    return Shown(
        question.example.id,
        prompts[0] if len(prompts) == 1 else "\n\n".join(f"[wording {at}]\n{one}" for at, one in enumerate(prompts, 1)),
        "\n".join(question.references[0]),
        {role: _said(question, given) for role, given in answers.items()},
    )


def _said(question: Question, answers: Answers) -> Said:
    given = list(_answers(question, answers))
    return said(given[0][1]) if len(given) == 1 else said_in_turn(given)


def _answers(question: Question, answers: Answers) -> Iterator[tuple[str, Answer]]:
    for kind, requests in (("wording", question.wordings), ("sample", question.samples)):
        for at, request in enumerate(requests, 1):
            yield f"{kind} {at}", answers.get(request, NOT_ASKED)
