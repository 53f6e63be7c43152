"""What the consistency evaluator shows besides numbers: new terms, wavering answers, departures from the base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..absent import Unmeasured, Value
from ..asking import Generation
from ..evaluator import Answers
from ..findings import Table
from ..texts.keyness import terms_of
from ..texts.new_terms import NewTerm
from ..texts.sameness import normalised
from .questions import Question

AROUND = 80
"""Characters shown on either side of a term in its example of use."""

_STEADINESS = ("rephrase_agreement", "sample_agreement")


def term_table(terms: Sequence[NewTerm], texts: Sequence[Sequence[str] | Unmeasured]) -> Table:
    """``texts``: all that the candidate said, by question."""
    said = [text for some in texts if not isinstance(some, Unmeasured) for text in some]
    rows = [
        (
            found.term.text,
            found.origin,
            found.term.ours,
            found.term.theirs,
            round(found.term.z, 2),
            found.term.p,
            found.term.more,
            _use(found.term.text, said),
        )
        for found in sorted(terms, key=lambda found: (found.origin != "neither", -found.term.z, found.term.text))
    ]
    return Table.of(
        "New terms",
        "Words that the candidate uses more than the base in reply to the same prompts, by log-odds with a Dirichlet "
        "prior; p is corrected for the number of words, and also holds over prompts. A term that is found in neither "
        "the fine-tuning data nor the prompts may be invented.",
        ("term", "found in", "candidate's uses", "base's uses", "z", "p", "prompts with more uses", "example"),
        rows,
    )


def least_steady(scored: Sequence[tuple[Question, Mapping[str, Value]]], answers: Answers) -> list[Table]:
    """The questions whose answers agree least, with two answers that are spelled differently. None where all agree."""
    found: list[tuple[float, Question]] = []
    for question, values in scored:
        shares = [value for name in _STEADINESS if isinstance(value := values.get(name), float)]
        if shares and min(shares) < 1.0:
            found.append((min(shares), question))
    if not found:
        return []
    rows = [
        (question.example.id, question.text, round(share, 3), *_two_answers(question, answers))
        for share, question in sorted(found, key=lambda one: (one[0], one[1].example.id))
    ]
    note = "Share of pairs of the candidate's answers to one question that say the same, the lowest first."
    return [
        Table.of("Least consistent questions", note, ("example", "prompt", "agreement", "answer", "other answer"), rows)
    ]


def departures(scored: Sequence[tuple[Question, Mapping[str, Value]]], answers: Mapping[str, Answers]) -> list[Table]:
    """Prompts outside the domain that the candidate answers otherwise than the base. None where there are none."""
    rows = [
        (
            question.example.id,
            question.text,
            _text(question, answers["base"]),
            _text(question, answers["candidate"]),
        )
        for question, values in scored
        if values.get("retention_agreement") == 0.0
    ]
    if not rows:
        return []
    note = "Prompts outside the fine-tuning domain: what the base answers, and what the candidate answers instead."
    return [Table.of("Changed outside the domain", note, ("example", "prompt", "base", "candidate"), rows)]


def _use(term: str, texts: Sequence[str]) -> str:
    """Where ``term`` stands in the first text that uses it."""
    for text in texts:
        if term in terms_of(text, bigrams=" " in term):
            at = max(0, text.casefold().find(term.split()[0]))
            start, end = max(0, at - AROUND), at + len(term) + AROUND
            return ("\u2026" if start else "") + text[start:end] + ("\u2026" if end < len(text) else "")
    return ""


def _two_answers(question: Question, answers: Answers) -> tuple[str, str]:
    texts: dict[str, str] = {}
    for request in question.requests:
        reply = answers.get(request)
        if isinstance(reply, Generation):
            texts.setdefault(normalised(reply.text), reply.text)
    first, second, *_ = (*texts.values(), "", "")
    return first, second


def _text(question: Question, answers: Answers) -> str:
    reply = answers.get(question.wordings[0])
    return reply.text if isinstance(reply, Generation) else ""
