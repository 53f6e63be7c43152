"""One answer by itself, graded against a rubric."""

from .evaluator import RubricJudge

__all__ = ["RubricJudge"]
