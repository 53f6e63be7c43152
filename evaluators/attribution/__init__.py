"""Attribution: which words of the prompt decide the answer?"""

from .evaluator import TokenAttribution

__all__ = ["TokenAttribution"]
