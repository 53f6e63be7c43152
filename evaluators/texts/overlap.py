"""Corpus BLEU and chrF: what is counted in each example, and the score of counts summed over examples.

A corpus score is no mean of sentence scores. Summed counts make it one function for the sample and for every
resample, which is what the estimator ``Corpus`` bootstraps; the values are those of sacrebleu's ``corpus_score``.
Sources: Papineni et al. 2002 (BLEU, ACL P02-1040), Popovic 2015 (chrF, ACL W15-3049), and mjpost/sacrebleu for
tokenizers, smoothing (``exp``) and effective order (chrF).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol, cast

if TYPE_CHECKING:  # see metrics.py: numpy and the statistics are imported where they are used
    from ..metrics import FloatArray

BleuTokenizer = Literal["13a", "intl", "zh", "char", "none"]
"""sacrebleu's tokenizers that need no download: ``13a`` for languages with spaces, ``zh`` for Chinese."""

WORD_ORDER = 4
CHARACTER_ORDER = 6
_BETA = 2.0

BLEU_COUNTS = (
    "bleu_answer_words",
    "bleu_reference_words",
    *(f"bleu_match_{order}" for order in range(1, WORD_ORDER + 1)),
    *(f"bleu_total_{order}" for order in range(1, WORD_ORDER + 1)),
)
CHRF_COUNTS = tuple(
    f"chrf_{part}_{order}" for order in range(1, CHARACTER_ORDER + 1) for part in ("answer", "reference", "match")
)


def bleu_counts(
    answers: Sequence[str], references: Sequence[Sequence[str]], tokenizer: BleuTokenizer = "13a"
) -> list[tuple[float, ...]]:
    """For each answer the numbers that ``BLEU_COUNTS`` names: words of the answer and of the reference closest to it
    in length, then matching and all n-grams of 1 to 4 words. Raises ValueError where an answer has no reference."""
    from sacrebleu.metrics.bleu import BLEU

    # the order only touches the sentence's own score, which nobody reads; without it sacrebleu warns of every sentence
    bleu = BLEU(tokenize=tokenizer, effective_order=True)
    found: list[tuple[float, ...]] = []
    for answer, against in zip(answers, references, strict=True):
        if not against:
            raise ValueError("found no reference; expected at least one")
        score = bleu.sentence_score(answer, against)
        found.append(tuple(map(float, (score.sys_len, score.ref_len, *score.counts, *score.totals))))
    return found


def chrf_counts(answers: Sequence[str], references: Sequence[Sequence[str]]) -> list[tuple[float, ...]]:
    """For each answer the numbers that ``CHRF_COUNTS`` names: n-grams of 1 to 6 characters without white space, of the
    answer, of its best reference, and of both. Raises ValueError where an answer has no reference."""
    return [_best_chrf(answer, against) for answer, against in zip(answers, references, strict=True)]


def corpus_bleu(sums: FloatArray) -> FloatArray:
    """BLEU, 0 to 100, float64 [B], of counts summed over examples, float64 [B, 10] in the order of ``BLEU_COUNTS``.

    0 where nothing matches, and where the answers have no run of four words at all.
    """
    import numpy as np

    ours, theirs = sums[:, 0], sums[:, 1]
    matches, totals = sums[:, 2 : 2 + WORD_ORDER], sums[:, 2 + WORD_ORDER :]
    none = matches == 0
    # the k-th order without a match counts as 1 / 2^k matches
    smoothed = np.where(none, 0.5 ** np.cumsum(none, axis=1), matches)
    defined = np.asarray(~none.all(axis=1) & (totals > 0).all(axis=1))
    precisions = np.ones_like(totals)
    np.divide(smoothed, totals, out=precisions, where=defined[:, None])
    shortfall = np.zeros_like(ours)
    np.divide(theirs, ours, out=shortfall, where=ours > 0)
    brevity = np.exp(np.minimum(0.0, 1.0 - shortfall))
    return np.where(defined, 100.0 * brevity * np.exp(np.log(precisions).mean(axis=1)), 0.0)


def corpus_chrf(sums: FloatArray) -> FloatArray:
    """chrF2, 0 to 100, float64 [B], of counts summed over examples, float64 [B, 18] in the order of ``CHRF_COUNTS``.

    Precision and recall are averaged over the orders that both sides have.
    """
    import numpy as np

    parts = sums.reshape(-1, CHARACTER_ORDER, 3)
    ours, theirs, matches = parts[:, :, 0], parts[:, :, 1], parts[:, :, 2]
    counts = (ours > 0) & (theirs > 0)
    orders = np.maximum(counts.sum(axis=1), 1)
    precision = np.divide(matches, ours, out=np.zeros_like(matches), where=counts).sum(axis=1) / orders
    recall = np.divide(matches, theirs, out=np.zeros_like(matches), where=counts).sum(axis=1) / orders
    both = _BETA**2 * precision + recall
    product = 100.0 * (1 + _BETA**2) * precision * recall
    return np.divide(product, both, out=np.zeros_like(product), where=both > 0)


def _best_chrf(answer: str, references: Sequence[str]) -> tuple[float, ...]:
    """Counts against the reference with the highest chrF, the first of equals."""
    if not references:
        raise ValueError("found no reference; expected at least one")
    ours = _character_ngrams(answer)
    found = [_chrf_against(ours, _character_ngrams(reference)) for reference in references]
    return found[0] if len(found) == 1 else max(found, key=_sentence_chrf)


def _chrf_against(ours: list[Counter[str]], theirs: list[Counter[str]]) -> tuple[float, ...]:
    counts: list[float] = []
    for answer, reference in zip(ours, theirs, strict=True):
        match = sum(min(count, reference[one]) for one, count in answer.items() if one in reference)
        counts += [float(answer.total()) if reference else 0.0, float(reference.total()), float(match)]
    return tuple(counts)


def _character_ngrams(text: str) -> list[Counter[str]]:
    from sacrebleu.metrics import helpers

    return cast("_Extracting", helpers).extract_all_char_ngrams(text, CHARACTER_ORDER)


class _Extracting(Protocol):
    """What is used of sacrebleu's helpers, whose own types leave the counters' keys open."""

    def extract_all_char_ngrams(self, line: str, max_order: int) -> list[Counter[str]]: ...


def _sentence_chrf(counts: tuple[float, ...]) -> float:
    """In sacrebleu's own order of operations, so that equally good references are chosen among as it does."""
    orders = [counts[at : at + 3] for at in range(0, len(counts), 3) if counts[at] and counts[at + 1]]
    if not orders:
        return 0.0
    precision = sum(match / ours for ours, _, match in orders) / len(orders)
    recall = sum(match / theirs for _, theirs, match in orders) / len(orders)
    both = _BETA**2 * precision + recall
    return 100 * ((1 + _BETA**2) * precision * recall / both) if both else 0.0
