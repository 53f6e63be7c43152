"""What evaluators show of their examples, as far as they show it alike (`ShowingEvaluator`).

shown_texts(self.examples(data), self.ask, answers, self.reference)     # one text of every model
chosen(labels, replies, lengths, "byte")     # Said("bug", detail="log-likelihood -0.523")
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from .asking import Answer, Failed, GenerateRequest, Generation, Prompt, TokenLogprobs, unanswered
from .datasets import Example, Row
from .evaluator import Answers
from .references import references_of, text_of
from .showing import Said, Shown

NOT_ASKED = Failed("it was not asked")


def prompt_text(prompt: Prompt) -> str:
    """All that a model was told, a system message included."""
    return prompt if isinstance(prompt, str) else "\n\n".join(message.content for message in prompt)


def wanted_text(row: Row, column: str | None) -> str:
    """The references in a column, a line each where there are several; empty without one."""
    return "" if column is None else "\n".join(references_of(row.get(column)))


def said(answer: Answer) -> Said:
    """What a model wrote. A text that is too long to be read is still shown, with the reason why it was not."""
    text = text_of(answer)
    if isinstance(text, str):
        return Said(text)
    return Said(answer.text if isinstance(answer, Generation) else "", text.reason)


def said_in_turn(answers: Iterable[tuple[str, Answer]]) -> Said:
    """Several answers of one model, each under its heading. ``fault`` is that of the first which has one."""
    texts, fault = list[str](), None
    for heading, answer in answers:
        one = said(answer)
        fault = fault or one.fault
        if one.text or one.fault is None:
            texts.append(f"[{heading}]\n{one.text}")
    return Said("\n\n".join(texts), fault)


def chosen(options: Sequence[str], replies: Sequence[Answer], lengths: Sequence[int], unit: str) -> Said:
    """The likeliest of ``options`` with its log-likelihood; and the likeliest per ``unit``, by the ``lengths`` of what
    was scored, where that is another one. The first of equals."""
    failed = next((reply for reply in replies if not isinstance(reply, TokenLogprobs)), None)
    if failed is not None:
        return Said("", unanswered(failed, "the model gave no log-probabilities").reason)
    sums = [math.fsum(reply.logprobs) for reply in replies if isinstance(reply, TokenLogprobs)]
    if not sums:
        return Said("", "there is nothing to choose from")
    per_unit = [total / max(1, length) for total, length in zip(sums, lengths, strict=True)]
    first, by_length = sums.index(max(sums)), per_unit.index(max(per_unit))
    detail = f"log-likelihood {sums[first]:.3f}"
    if by_length != first:
        detail += f"; per {unit}: {options[by_length]} ({per_unit[by_length]:.4f})"
    return Said(options[first], detail=detail)


def shown_texts(
    examples: Sequence[Example],
    ask: Callable[[Row], GenerateRequest],
    answers: Mapping[str, Answers],
    reference: str | None = None,
) -> list[Shown]:
    """Of examples that are asked one text each; ``reference``: column of the right one, or of a list of them."""
    found: list[Shown] = []
    for example in examples:
        request = ask(example.row)
        texts = {role: said(given.get(request, NOT_ASKED)) for role, given in answers.items()}
        found.append(Shown(example.id, prompt_text(request.prompt), wanted_text(example.row, reference), texts))
    return found
