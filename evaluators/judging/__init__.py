"""A/B by judges: is the candidate's answer better than a baseline's, to models that do not know whose is whose?"""

from .evaluator import AbJudge

__all__ = ["AbJudge"]
