"""Choices by log-likelihood: how likely each option is, from the scores of all of them after the one prompt.

    choose(model.score, [ChooseRequest("Which is better? Answer m or M:", ("m", "M"))], deliver)

For models that score tokens. One ``score`` is asked for the options of all requests together, so a model that reads a
shared prompt once does so here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import fsum

from finetune_gate.evaluators.asking import Answer, Choice, ChooseRequest, Failed, ScoreRequest, TokenLogprobs

from .protocol import Deliver

DELIMITER = " "
"""Between prompt and option, unless a chat template rendered the prompt."""

Score = Callable[[Sequence[ScoreRequest], Deliver], None]


def scores_of(request: ChooseRequest) -> list[ScoreRequest]:
    """What is scored for one choice: its options, in order."""
    return [ScoreRequest(request.prompt, option, DELIMITER) for option in request.options]


def refusal(request: ChooseRequest) -> Failed | None:
    """Why a request cannot be answered by any model, if so."""
    if not request.options:
        return Failed("there are no options to choose from")
    if not all(option.strip() for option in request.options):
        return Failed("an option is empty, and every answer begins with nothing")
    return None


def choose(score: Score, requests: Sequence[ChooseRequest], deliver: Deliver) -> None:
    """Deliver a Choice for each of ``requests``: the sum of log-probabilities of each option's tokens.

    Failed where any option is, with its reason, and where the prompt had to be cut: a question without its beginning is
    another question, and each option would be given another one.
    """
    asked: list[ScoreRequest] = []
    owners: list[tuple[_Pending, int]] = []
    for index, request in enumerate(requests):
        if (refused := refusal(request)) is not None:
            deliver(index, refused)
            continue
        pending = _Pending(index, len(request.options))
        owners += [(pending, option) for option in range(len(request.options))]
        asked += scores_of(request)

    def put(at: int, answer: Answer) -> None:
        pending, option = owners[at]
        pending.found[option] = answer
        if len(pending.found) == pending.options:
            deliver(pending.index, pending.answer())

    if asked:
        score(asked, put)


@dataclass(slots=True)
class _Pending:
    """A choice under way: an answer for each option that has one, by its place."""

    index: int
    options: int
    found: dict[int, Answer] = field(default_factory=dict[int, Answer])

    def answer(self) -> Answer:
        sums: list[float] = []
        for option in range(self.options):
            match self.found[option]:
                case TokenLogprobs(logprobs=logprobs, dropped_context=0):
                    sums.append(fsum(logprobs))
                case TokenLogprobs(dropped_context=dropped):
                    return Failed(f"prompt and option exceed the model's context by {dropped} tokens")
                case Failed() as failed:
                    return failed
                case _:
                    return Failed("the model gave no log-likelihood of an option")
        return Choice(tuple(sums))
