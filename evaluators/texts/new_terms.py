"""New terms: what a fine-tuned model says more than its base did, and where it could have them from.

found = new_terms(ours, theirs, taught=vocabulary(train), prompts=vocabulary(prompts))
unsupported_share(answers, {one.term.text for one in found if one.origin == "neither"})
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from .keyness import Term, keyness, terms_of
from .normalizing import words

Origin = Literal["fine-tuning data", "prompts", "neither", "not in the prompts"]
"""The first that holds. ``neither`` is unsupported, and possibly invented; ``not in the prompts`` is all that can be
said where the fine-tuning data was not given."""


@dataclass(frozen=True, slots=True)
class NewTerm:
    """A term that is significantly over-used, and where it could come from."""

    term: Term
    origin: Origin


def new_terms(
    ours: Sequence[Sequence[str]],
    theirs: Sequence[Sequence[str]],
    *,
    taught: Collection[str] | None,
    prompts: Collection[str],
    least: int = 5,
    alpha: float = 0.05,
) -> tuple[NewTerm, ...]:
    """The terms that `keyness` finds over-used by us at ``alpha``. ``taught`` and ``prompts`` are vocabularies;
    without ``taught`` nothing can be called unsupported."""
    return tuple(
        NewTerm(term, _origin(term.text, taught, prompts))
        for term in keyness(ours, theirs, least=least)
        if term.z > 0 and term.p <= alpha
    )


def vocabulary(texts: Iterable[str], *, bigrams: bool = False) -> frozenset[str]:
    """Every term that occurs in ``texts``."""
    return frozenset(term for text in texts for term in terms_of(text, bigrams=bigrams))


def texts_in(cell: object) -> Iterable[str]:
    """Every text of a cell, such as a text, a list of texts, or a list of messages."""
    if isinstance(cell, str):
        yield cell
    elif isinstance(cell, dict):
        for value in cell.values():  # pyright: ignore[reportUnknownVariableType] - JSON of any shape
            yield from texts_in(value)  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(cell, list):
        for value in cell:  # pyright: ignore[reportUnknownVariableType]
            yield from texts_in(value)  # pyright: ignore[reportUnknownArgumentType]


def unsupported_share(texts: Iterable[str], unsupported: Collection[str]) -> float:
    """Share of the words of ``texts`` that are one of the terms ``unsupported``, or part of one of two words; 0 where
    there are no words."""
    inside = total = 0
    for text in texts:
        found = words(text)
        hit = [word in unsupported for word in found]
        for at in range(len(found) - 1):
            if f"{found[at]} {found[at + 1]}" in unsupported:
                hit[at] = hit[at + 1] = True
        inside += sum(hit)
        total += len(found)
    return inside / total if total else 0.0


def _origin(term: str, taught: Collection[str] | None, prompts: Collection[str]) -> Origin:
    if taught is not None and term in taught:
        return "fine-tuning data"
    if term in prompts:
        return "prompts"
    return "not in the prompts" if taught is None else "neither"
