"""Diversity: exact corpus values from shares, the published BLEU, and intervals that hold what they promise."""

from __future__ import annotations

import random
import zlib

import numpy as np
import pytest

from finetune_gate.evaluators.statistics import Estimate, ratio
from finetune_gate.evaluators.texts.diversity import compressed_shares, distinct_shares, self_bleu, self_repetition
from finetune_gate.evaluators.texts.memorising import ngrams

WORDS = ("the", "printer", "on", "floor", "two", "hums", "and", "stops", "again", "today", "without", "a", "cause")


def answers(seed: int, count: int, most: int = 14) -> list[list[str]]:
    drawn = random.Random(seed)
    return [[drawn.choice(WORDS) for _ in range(drawn.randint(0, most))] for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [1, 2, 3])
def test_shares_sum_to_the_different_n_grams(seed: int, n: int) -> None:
    some = answers(seed, 12)
    shares = distinct_shares(some, n)
    every = [gram for answer in some for gram in ngrams(answer, n)]
    assert sum(share for share, _ in shares) == pytest.approx(len(set(every)))
    assert sum(count for _, count in shares) == len(every)
    assert all(share >= 0 for share, _ in shares)
    assert all(found == (0.0, 0.0) for found, answer in zip(shares, some, strict=True) if len(answer) < n)


def test_the_spread_of_the_shares_is_the_jackknifes() -> None:
    some = [answer for answer in answers(3, 30) if answer]
    shares = [share for share, _ in distinct_shares(some, 2)]

    def different(left_out: int | None) -> int:
        return len({gram for at, answer in enumerate(some) if at != left_out for gram in ngrams(answer, 2)})

    losses = [different(None) - different(at) for at in range(len(some)) if len(some[at]) > 1]
    kept = [share for share, answer in zip(shares, some, strict=True) if len(answer) > 1]
    assert np.diff(kept) == pytest.approx(np.diff(losses))


def test_compression_is_that_of_all_texts_together() -> None:
    texts = [" ".join(answer) for answer in answers(1, 20)]
    shares = compressed_shares(texts)
    raw = "".join(text + "\n" for text in texts if text).encode()
    assert sum(size for size, _ in shares) == len(raw)
    assert sum(share for _, share in shares) == pytest.approx(len(zlib.compress(raw, 6)))


def test_what_says_the_same_again_and_again_is_less_diverse_by_every_measure() -> None:
    varied, same = answers(7, 25), [WORDS[:10]] * 25

    def value(pairs: list[tuple[float, float]]) -> float:
        return sum(top for top, _ in pairs) / sum(bottom for _, bottom in pairs)

    for n in (1, 2, 3):
        assert value(distinct_shares(same, n)) < value(distinct_shares(varied, n))
    assert value(compressed_shares([" ".join(one) for one in same])) > value(
        compressed_shares([" ".join(one) for one in varied])
    )
    assert self_bleu(same) == pytest.approx([1.0] * 25)
    assert max(self_bleu(varied)) < 1
    assert self_repetition(same) == pytest.approx([np.log(8)] * 25)
    assert np.mean(self_repetition(varied)) < np.log(8)


@pytest.mark.parametrize("seed", range(4))
def test_self_bleu_is_sacrebleus_sentence_bleu_against_all_others(seed: int) -> None:
    from sacrebleu.metrics.bleu import BLEU

    some = [*answers(seed, 9), ["only", "strange", "things"], ["printer"]]
    metric = BLEU(tokenize="none", effective_order=True)
    for at, found in enumerate(self_bleu(some)):
        others = [" ".join(one) for place, one in enumerate(some) if place != at and one]
        expected = metric.sentence_score(" ".join(some[at]), others).score / 100 if some[at] else 0.0
        assert found == pytest.approx(expected)


def test_self_repetition_counts_what_other_answers_have_too() -> None:
    first, second = ["a", "b", "c", "d", "e"], ["x", "b", "c", "d", "e"]
    assert self_repetition([first, second, ["q"] * 9]) == pytest.approx([np.log(2), np.log(2), 0.0])


@pytest.mark.parametrize("some", [[], [[]], [[], []], [["one"]]])
def test_nothing_and_next_to_nothing(some: list[list[str]]) -> None:
    assert all(share in ((0.0, 0.0), (1.0, 1.0)) for share in distinct_shares(some, 1))
    assert self_bleu(some) == [0.0] * len(some)
    assert self_repetition(some) == [0.0] * len(some)
    texts = [" ".join(one) for one in some]
    assert len(compressed_shares(texts)) == len(some)


def test_the_interval_of_distinct_2_holds_its_mean_over_worlds() -> None:
    """Answers of a source with few and many phrases: the one-sided ends err about as often as they say."""

    def world(seed: int) -> list[list[str]]:
        drawn = np.random.Generator(np.random.PCG64(seed))
        return [[f"w{word}" for word in drawn.geometric(0.02, size=12)] for _ in range(60)]

    found = [ratio(*zip(*distinct_shares(world(seed), 2), strict=True)) for seed in range(300)]
    estimates = [one for one in found if isinstance(one, Estimate)]
    truth = float(np.mean([one.value for one in estimates]))
    below = np.mean([one.interval.high < truth for one in estimates])
    above = np.mean([one.interval.low > truth for one in estimates])
    assert len(estimates) == 300
    assert max(below, above) <= 0.09
