"""Agreement of several answers to one question, worked by hand."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.texts.agreement import consistently_right, majority_share, pair_agreement, pass_hat


def same_as(answers: str) -> list[list[bool]]:
    return [[one == other for other in answers] for one in answers]


def test_pararel_consistency_is_the_share_of_unordered_pairs_of_paraphrases_with_one_answer() -> None:
    # four paraphrases; three say A, one says B: of the pairs 12 13 14 23 24 34 the three without B agree
    assert pair_agreement(same_as("AABA")) == pytest.approx(3 / 6)
    assert pair_agreement(same_as("AAAA")) == 1.0
    assert pair_agreement(same_as("ABCD")) == 0.0


def test_consistent_accuracy_forgives_no_wording() -> None:
    assert consistently_right([True, True, True]) == 1.0
    assert consistently_right([True, False, True]) == 0.0


def test_one_answer_says_nothing_about_consistency() -> None:
    for found in (pair_agreement([[True]]), majority_share([0]), consistently_right([True]), pair_agreement([])):
        assert isinstance(found, Unmeasured)
        assert "at least 2" in found.reason


def test_the_majority_may_be_shared() -> None:
    assert majority_share([0, 0, 1, 1]) == 0.5
    assert majority_share([0, 1, 2]) == pytest.approx(1 / 3)


def test_pass_hat_k_by_hand() -> None:
    assert pass_hat(right=3, drawn=4, k=2) == 0.5  # 3 of the 6 pairs
    assert pass_hat(right=4, drawn=4, k=4) == 1.0
    assert pass_hat(right=1, drawn=4, k=2) == 0.0
    assert pass_hat(right=3, drawn=4, k=1) == 0.75


@pytest.mark.parametrize(("right", "drawn", "k"), [(1, 2, 0), (1, 2, 3), (3, 2, 1), (-1, 2, 1)])
def test_pass_hat_k_of_the_impossible_is_an_error(right: int, drawn: int, k: int) -> None:
    with pytest.raises(ValueError, match="expected 1 <= k"):
        pass_hat(right, drawn, k)


@given(st.lists(st.booleans(), min_size=1, max_size=9), st.data())
def test_pass_hat_k_counts_every_choice_of_k_answers(right: list[bool], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(right)))
    choices = [all(choice) for choice in combinations(right, k)]
    assert pass_hat(sum(right), len(right), k) == float(Fraction(sum(choices), len(choices)))


@given(st.text("AB", min_size=2, max_size=12))
def test_the_order_of_answers_does_not_matter(answers: str) -> None:
    assert pair_agreement(same_as(answers)) == pair_agreement(same_as("".join(sorted(answers))))
