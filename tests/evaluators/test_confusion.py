"""Statistics of the confusion matrix equal scikit-learn's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from finetune_gate.evaluators.confusion import STATISTICS

CLASSES = 4


def reference(name: str, label: list[int], prediction: list[int]) -> float:
    """The same by scikit-learn; class 4 is the invalid prediction."""
    occurring = sorted(set(label))
    averaged = {"labels": occurring, "zero_division": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {
            "balanced_accuracy": lambda: metrics.recall_score(label, prediction, average="macro", **averaged),
            "recall_macro": lambda: metrics.recall_score(label, prediction, average="macro", **averaged),
            "precision_macro": lambda: metrics.precision_score(label, prediction, average="macro", **averaged),
            "f1_macro": lambda: metrics.f1_score(label, prediction, average="macro", **averaged),
            "f1_weighted": lambda: metrics.f1_score(label, prediction, average="weighted", **averaged),
            "matthews_corrcoef": lambda: metrics.matthews_corrcoef(label, prediction),
        }[name]()
    return float(found)


@pytest.mark.parametrize("name", sorted(STATISTICS))
@given(rows=st.lists(st.tuples(st.integers(0, CLASSES - 1), st.integers(0, CLASSES)), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_equals_scikit_learn(name: str, rows: list[tuple[int, int]]) -> None:
    label, prediction = [row[0] for row in rows], [row[1] for row in rows]
    matrix = np.zeros((1, CLASSES, CLASSES + 1))
    for truth, found in rows:
        matrix[0, truth, found] += 1
    assert STATISTICS[name](matrix)[0] == pytest.approx(reference(name, label, prediction), abs=1e-12)
