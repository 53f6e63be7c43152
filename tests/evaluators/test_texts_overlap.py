"""BLEU and chrF against sacrebleu's corpus scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF

from finetune_gate.evaluators.texts.overlap import (
    BLEU_COUNTS,
    CHRF_COUNTS,
    bleu_counts,
    chrf_counts,
    corpus_bleu,
    corpus_chrf,
)

TEXT = st.lists(st.sampled_from(["the", "cat", "sat", "on", "mat.", "кот", "a", "12,5", "-"]), max_size=12).map(
    " ".join
)
CORPUS = st.integers(1, 2).flatmap(
    lambda references: st.lists(st.tuples(TEXT, *[TEXT] * references), min_size=1, max_size=8)
)


def by_sum(counts: list[tuple[float, ...]]) -> np.ndarray:
    return np.array(counts).sum(axis=0, keepdims=True)


@given(CORPUS)
@settings(max_examples=200, deadline=None)
def test_both_are_sacrebleus_corpus_scores(rows: list[tuple[str, ...]]) -> None:
    answers, references = [row[0] for row in rows], [row[1:] for row in rows]
    streams = [list(stream) for stream in zip(*references, strict=True)]
    ours = corpus_bleu(by_sum(bleu_counts(answers, references)))[0]
    assert ours == pytest.approx(BLEU().corpus_score(answers, streams).score, abs=1e-9)
    ours = corpus_chrf(by_sum(chrf_counts(answers, references)))[0]
    assert ours == pytest.approx(CHRF().corpus_score(answers, streams).score, abs=1e-9)


@pytest.mark.parametrize("tokenizer", ["13a", "intl", "zh", "char", "none"])
def test_every_tokenizer_is_sacrebleus(tokenizer: str) -> None:
    answers, references = ["我今天去了北京, ok?", "the cat sat."], ["我今天去北京大学, ok?", "the cat, it sat."]
    counts = bleu_counts(answers, [[one] for one in references], tokenizer)  # type: ignore[arg-type]
    expected = BLEU(tokenize=tokenizer).corpus_score(answers, [references]).score
    assert corpus_bleu(by_sum(counts))[0] == pytest.approx(expected, abs=1e-9)


def test_many_worlds_at_once_are_each_on_its_own() -> None:
    answers = ["the cat sat on the mat", "a dog", "", "nothing alike here at all"]
    references = [["the cat sat on a mat"], ["the dog barks"], ["something"], ["other words entirely so"]]
    for count, score in ((bleu_counts, corpus_bleu), (chrf_counts, corpus_chrf)):
        rows = np.array(count(answers, references))
        weights = np.random.default_rng(0).integers(0, 3, (50, 4)).astype(float)
        together = score(weights @ rows)
        alone = [score(world[None, :] @ rows)[0] for world in weights]
        assert together == pytest.approx(alone, abs=1e-12)
        assert ((together >= 0) & (together <= 100 + 1e-9)).all()


def test_names_and_counts_go_together() -> None:
    (words,) = bleu_counts(["the cat sat"], [["the cat sat down"]])
    assert dict(zip(BLEU_COUNTS, words, strict=True))["bleu_reference_words"] == 4
    (characters,) = chrf_counts(["ab c"], [["abc"]])
    found = dict(zip(CHRF_COUNTS, characters, strict=True))
    assert (found["chrf_answer_1"], found["chrf_reference_3"], found["chrf_match_3"]) == (3, 1, 1)


def test_an_answer_without_a_reference_is_an_error_of_the_caller() -> None:
    for count in (bleu_counts, chrf_counts):
        with pytest.raises(ValueError, match="no reference"):
            count(["a"], [[]])
