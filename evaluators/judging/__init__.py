"""Judges: models that are asked about the answers of others, and do not know whose they are.

``ab`` is for two answers side by side, ``rubric`` for one by itself; the other modules serve both.
"""

from .ab import AbJudge
from .rubric import RubricJudge

__all__ = ["AbJudge", "RubricJudge"]
