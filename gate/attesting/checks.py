"""What was checked of a run's files, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from finetune_gate.evaluators.errors import Problem

from .differences import Difference

State = Literal["same", "differs", "not checked", "impossible"]
"""same         everything is as it should be
differs      something is not
not checked  there is nothing to check it with, or what it rests on differs already
impossible   it should have been checked, and cannot be here
"""


@dataclass(frozen=True, slots=True)
class Check:
    """``said``: what was looked at, or why it was not. ``problems``: why it could not be, where it is impossible."""

    name: str
    state: State
    said: str
    differences: tuple[Difference, ...] = ()
    problems: tuple[Problem, ...] = ()


def compared(name: str, said: str, found: Iterable[Difference]) -> Check:
    """``said`` of what was compared; it is the same where no difference was ``found``."""
    differences = tuple(found)
    return Check(name, "differs" if differences else "same", said, differences)
