"""Judges: models that are asked about the answers of others, and do not know whose they are.

``ab_`` is for two answers side by side (`AbJudge`), ``rubric_`` for one by itself (`RubricJudge`); the other modules
serve both.
"""

from .ab import AbJudge
from .rubric import RubricJudge

__all__ = ["AbJudge", "RubricJudge"]
