"""A registry that answered, and questions to it that end in time.

look = RegistryLook(registry, 5.0)
aliases = look.asked(lambda: look.registry.aliases("support-bot"))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from finetune_gate.evaluators.errors import Problem, RegistryError

from ..registry.registry import Registry
from .examining import within

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RegistryLook:
    """``seconds``: how long each question may take. MLflow's own patience is minutes."""

    registry: Registry
    seconds: float

    def asked(self, question: Callable[[], T]) -> T:
        """Raises RegistryError also where no answer comes in time."""
        return in_time(self.registry.public_address(), self.seconds, question)


def in_time(where: str, seconds: float, question: Callable[[], T]) -> T:
    try:
        return within(seconds, question)
    except TimeoutError as error:
        way_out = "is it overloaded? ask again with more --seconds"
        raise RegistryError(Problem(where, f"no answer within {seconds:g} s", "", way_out)) from error


def counted(n: int, one: str, many: str = "") -> str:
    """``1 entry``, ``2 entries``"""
    return f"{n:,} {one if n == 1 else many or one + 's'}"
