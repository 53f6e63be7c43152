"""Statistics of confusion matrices, for many matrices at once, equal to scikit-learn's.

``matrices`` has shape [B, K, K + 1]: counts by reference (rows) and prediction (columns); the last column counts
invalid predictions. Averages are taken over the labels that occur among the references, which is what
``labels=sorted(set(y_true)), zero_division=0`` means in scikit-learn. Results have shape [B].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Statistic = Callable[[FloatArray], FloatArray]


def _divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _parts(matrices: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Right predictions, references and predictions of each label, each [B, K]."""
    square = matrices[:, :, :-1]
    right = np.diagonal(square, axis1=1, axis2=2)
    return np.asarray(right, dtype=np.float64), matrices.sum(axis=2), square.sum(axis=1)


def _macro(per_label: FloatArray, references: FloatArray) -> FloatArray:
    occurs = (references > 0).astype(np.float64)
    return _divide((per_label * occurs).sum(axis=1), occurs.sum(axis=1))


def recall_macro(matrices: FloatArray) -> FloatArray:
    right, references, _ = _parts(matrices)
    return _macro(_divide(right, references), references)


def precision_macro(matrices: FloatArray) -> FloatArray:
    right, references, predictions = _parts(matrices)
    return _macro(_divide(right, predictions), references)


def f1_macro(matrices: FloatArray) -> FloatArray:
    right, references, predictions = _parts(matrices)
    return _macro(_divide(2 * right, references + predictions), references)


def f1_weighted(matrices: FloatArray) -> FloatArray:
    right, references, predictions = _parts(matrices)
    f1 = _divide(2 * right, references + predictions)
    return _divide((f1 * references).sum(axis=1), references.sum(axis=1))


def matthews_corrcoef(matrices: FloatArray) -> FloatArray:
    """Gorodkin's multi-class coefficient (2004); invalid predictions are a class of their own. 0 where undefined."""
    right, references, predictions = _parts(matrices)
    invalid = matrices[:, :, -1].sum(axis=1)
    total = references.sum(axis=1)
    covariance = right.sum(axis=1) * total - (references * predictions).sum(axis=1)
    spread_predictions = total**2 - (predictions**2).sum(axis=1) - invalid**2
    spread_references = total**2 - (references**2).sum(axis=1)
    return _divide(covariance, np.sqrt(np.maximum(spread_predictions * spread_references, 0.0)))


STATISTICS: Mapping[str, Statistic] = {
    "balanced_accuracy": recall_macro,
    "precision_macro": precision_macro,
    "recall_macro": recall_macro,
    "f1_macro": f1_macro,
    "f1_weighted": f1_weighted,
    "matthews_corrcoef": matthews_corrcoef,
}
