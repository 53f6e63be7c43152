"""Two answers side by side: which one do judges prefer?"""

from .evaluator import AbJudge

__all__ = ["AbJudge"]
