"""Overfitting: has the model learned its training data by heart?"""

from .evaluator import Overfitting

__all__ = ["Overfitting"]
