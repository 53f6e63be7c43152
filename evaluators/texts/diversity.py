"""How varied a model's answers are, with a share of each corpus value for every answer.

    distinct_shares([["a", "b"], ["a", "c"]], n=1)      # sums to 3 different of 4 words: distinct-1 is 0.75

All of these depend on how long the answers are: two models are comparable only on answers cut to equal lengths.

Distinct n-grams and compressed size belong to a corpus, and no answer has one of its own. Yet an interval needs to know
what each answer does to the value. That is what the corpus loses without it (the jackknife); ``_shared`` moves
these losses by a constant so that they sum to the corpus value. Their ratio is then exactly the published quantity, and
its delta-method interval the jackknife's, which is never too narrow on average: in simulation its standard error was a
third (distinct-2) and four fifths (compression) larger than the real one.

Sources: distinct-n, Li et al., arXiv 1510.03055; self-BLEU, Zhu et al., arXiv 1802.01886 (BLEU-4 of each answer
against all others, smoothed as in sacrebleu's sentence BLEU); self-repetition, Salkar et al., arXiv 2210.08145;
compression ratio, Shaib et al., arXiv 2403.00553; jackknife, Efron and Stein 1981, Annals of Statistics 9:586-596.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Sequence

from .memorising import Ngram, ngrams

Answer = Sequence[str]
"""One answer, cut into words or characters."""

_BLEU_ORDER = 4
_LEVEL = 6  # zlib's own default


def distinct_shares(answers: Sequence[Answer], n: int) -> list[tuple[float, float]]:
    """For each answer its share of the different n-grams of all answers, and how many n-grams it has.

    Sum over sum is distinct-n. An answer with no n-gram has 0 and 0.
    """
    grams = [Counter(ngrams(answer, n)) for answer in answers]
    total: Counter[Ngram] = Counter()
    for one in grams:
        total.update(one)
    lost = [float(sum(count == total[gram] for gram, count in one.items())) for one in grams]
    sizes = [float(one.total()) for one in grams]
    return list(zip(_shared(float(len(total)), lost, sizes), sizes, strict=True))


def compressed_shares(texts: Sequence[str]) -> list[tuple[float, float]]:
    """For each text its bytes and its share of the bytes of all texts, one a line, compressed together by DEFLATE.

    Sum over sum is the compression ratio: the higher, the more alike. An empty text has 0 and 0. Compresses once for
    each text, and sees repetition within 32 KiB only.
    """
    encoded = [text.encode("utf-8", "surrogatepass") + b"\n" if text else b"" for text in texts]
    everything = len(zlib.compress(b"".join(encoded), _LEVEL))
    lost = [
        float(everything - len(zlib.compress(b"".join((*encoded[:at], *encoded[at + 1 :])), _LEVEL)))
        for at in range(len(encoded))
    ]
    sizes = [float(len(line)) for line in encoded]
    return list(zip(sizes, _shared(float(everything), lost, sizes), strict=True))


def self_bleu(answers: Sequence[Answer]) -> list[float]:
    """For each answer its BLEU-4 against all others that have words, from 0 (nothing in common) to 1; 0 where it is
    empty or alone."""
    by_order = [[Counter(ngrams(answer, n)) for answer in answers] for n in range(1, _BLEU_ORDER + 1)]
    highest = [_two_highest(counts) for counts in by_order]
    lengths = Counter(len(answer) for answer in answers if answer)
    scores: list[float] = []
    for at, answer in enumerate(answers):
        if not answer or lengths.total() < 2:
            scores.append(0.0)
            continue
        matches = [_matches(counts[at], most) for counts, most in zip(by_order, highest, strict=True)]
        others = lengths - Counter((len(answer),))
        reference = min(others, key=lambda length: (abs(length - len(answer)), length))
        scores.append(_bleu(matches, len(answer), reference))
    return scores


def self_repetition(answers: Sequence[Answer], n: int = 4) -> list[float]:
    """For each answer ln(1 + how many of its n-grams occur in another answer too)."""
    grams = [ngrams(answer, n) for answer in answers]
    holders = Counter(gram for one in grams for gram in set(one))
    return [math.log1p(sum(holders[gram] > 1 for gram in one)) for one in grams]


def _shared(total: float, lost: Sequence[float], sizes: Sequence[float]) -> list[float]:
    """``total`` dealt out to the answers that have a size, with the differences that ``lost`` has between them.

    No share is below 0: what rounding or compression would push there is held at 0, and the others are scaled.
    """
    counted = [loss for loss, size in zip(lost, sizes, strict=True) if size]
    if not counted:
        return [0.0] * len(lost)
    constant = (total - math.fsum(counted)) / len(counted)
    shares = [max(0.0, loss + constant) if size else 0.0 for loss, size in zip(lost, sizes, strict=True)]
    dealt = math.fsum(shares)
    return [share * total / dealt for share in shares] if dealt else shares


def _two_highest(counts: Sequence[Counter[Ngram]]) -> dict[Ngram, tuple[int, int]]:
    """How often each n-gram occurs at most in one answer, and at most in another one."""
    found: dict[Ngram, tuple[int, int]] = {}
    for one in counts:
        for gram, count in one.items():
            most, second = found.get(gram, (0, 0))
            found[gram] = (count, most) if count > most else (most, max(second, count))
    return found


def _matches(own: Counter[Ngram], highest: dict[Ngram, tuple[int, int]]) -> tuple[int, int]:
    """N-grams of an answer that some other answer has as often, and all of its n-grams."""
    matched = 0
    for gram, count in own.items():
        most, second = highest[gram]
        # where no other answer has it more often than this one does, the others' highest count is the second
        matched += min(count, second if count == most else most)
    return matched, own.total()


def _bleu(matches: Sequence[tuple[int, int]], length: int, reference: int) -> float:
    """Geometric mean of the precisions of the orders that the answer is long enough for, times the brevity penalty."""
    if not any(matched for matched, _ in matches):
        return 0.0
    logs: list[float] = []
    halved = 1.0
    for matched, total in matches:
        if not total:
            break
        if not matched:
            halved *= 2
        logs.append(math.log(matched / total if matched else 1 / (halved * total)))
    brevity = min(0.0, 1 - reference / length)
    return math.exp(math.fsum(logs) / len(logs) + brevity)
