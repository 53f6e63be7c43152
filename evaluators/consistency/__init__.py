"""Consistency: does the model answer steadily, and in words it had before?"""

from .evaluator import Consistency

__all__ = ["Consistency"]
