"""What each judge said, by judge; and on controls the worst of them, who speaks for the panel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from ..absent import Unmeasured, Value
from .controls import CONTROL_METRICS, Control, ControlKind

_NO_CONTROL = Unmeasured("it is no control of this kind")


class Key(NamedTuple):
    """What a judge said is kept by judge and by what it is about: a role, or a kind of control."""

    judge: str
    about: str


Controls = Mapping[ControlKind, Sequence[Control | Unmeasured]]
"""Those of each kind; Unmeasured stands for one that could not be made."""


def worst(passed: Iterable[Sequence[Value]]) -> Sequence[Value]:
    """What the judge made of one kind of control that did worst on it; what was not judged counts as failed. Judging a
    panel by its mean would hide a bad judge behind good ones."""
    return min(passed, key=lambda values: sum(value for value in values if not isinstance(value, Unmeasured)))


def control_columns(
    before: int, controls: Controls, worst_of: Callable[[ControlKind], Sequence[Value]]
) -> dict[str, list[Value]]:
    """One component for each kind, over ``before`` other examples and then all controls."""
    columns: dict[str, list[Value]] = {}
    for kind in controls:
        column: list[Value] = [_NO_CONTROL] * before
        for other, some in controls.items():
            column += worst_of(kind) if other == kind else [_NO_CONTROL] * len(some)
        columns[CONTROL_METRICS[kind]] = column
    return columns


def parts_of(before: int, controls: Controls) -> list[float]:
    """The component ``part``: 0 for ``before`` examples, then 1, 2, ... for the controls of each kind."""
    return [0.0] * before + [float(code) for code, some in enumerate(controls.values(), 1) for _ in some]
