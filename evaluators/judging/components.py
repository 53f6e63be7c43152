"""What the judges said, as components: one value for each example and control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..absent import Unmeasured, Value
from ..evaluator import Components
from ..people.by_rater import Opinions
from .declared import CONTROL_METRICS
from .judgement import Judgement

Column = Sequence[Value]

_ITSELF = Unmeasured("a model is not compared with itself")
_OF_THE_RUN = Unmeasured("it is about the judges, and no model has a value of its own")
_A_CONTROL = Unmeasured("it is a control")
_NO_CONTROL = Unmeasured("it is no control of this kind")

_OF_PAIRS = ("win", "length_difference", "flipped", "first_slot", "longer_won", "self_preference")


@dataclass(frozen=True, slots=True)
class People:
    """What people chose between the candidate's answers and those of the baseline ``against``."""

    against: str | None
    opinions: Opinions


def components(
    found: Judgement, people: People, slots: tuple[Sequence[str], Sequence[str]]
) -> Mapping[str, Components]:
    """By role. What is about a pair stands in the baseline's column, what is about the run in the candidate's; the
    columns that say which part an example belongs to are in all of them. ``slots``: the raters' columns."""
    of_the_run = {**_controls(found), **_raters(found, people, *slots)}
    nobody: Components = {name: [_OF_THE_RUN] * len(_part(found)) for name in of_the_run}
    return {
        role: {
            "part": _part(found),
            **_parts(found, role),
            **_pair(found, role),
            **(of_the_run if role == "candidate" else nobody),
        }
        for role in found.texts
    }


def _part(found: Judgement) -> Column:
    codes = [0.0] * len(found.tasks)
    for code, some in enumerate(found.controls.values(), 1):
        codes += [float(code)] * len(some)
    return codes


def _parts(found: Judgement, role: str) -> Components:
    """Which examples were judged, and which have unequally long answers. Of a failed answer nobody knows, so that it is
    among them, and lacking."""
    judged, differ = [1.0] * len(found.tasks), [1.0] * len(found.tasks)
    if role in found.baselines:
        judged = [float(not found.alike(role, at)) for at in range(len(found.tasks))]
        differ = [float(found.length_difference(role, at) != 0.0) for at in range(len(found.tasks))]
    others = [0.0] * _controls_in(found)
    return {"judged": [*judged, *others], "lengths_differ": [*differ, *others]}


def _pair(found: Judgement, role: str) -> Components:
    if role not in found.baselines:
        return {name: [_ITSELF] * len(_part(found)) for name in _OF_PAIRS}
    rows = [_compared(found, role, at) for at in range(len(found.tasks))]
    others = [_A_CONTROL] * _controls_in(found)
    return {name: [*(row[name] for row in rows), *others] for name in _OF_PAIRS}


def _compared(found: Judgement, baseline: str, at: int) -> Mapping[str, Value]:
    told, length = found.of_panel(baseline, at), found.length_difference(baseline, at)
    row: dict[str, Value] = {"length_difference": length, "self_preference": found.self_preference(baseline, at)}
    if isinstance(told, Unmeasured):
        return {**row, **dict.fromkeys(("win", "flipped", "first_slot", "longer_won"), told)}
    # a verdict was given, so that both answers have a length; of two equally long ones neither is the longer
    longer = told.win if isinstance(length, float) and length >= 0 else 1.0 - told.win
    return {**row, "win": told.win, "flipped": told.flipped, "first_slot": told.first_slot, "longer_won": longer}


def _controls(found: Judgement) -> Components:
    columns: dict[str, Column] = {}
    for kind, name in CONTROL_METRICS.items():
        column: list[Value] = [_NO_CONTROL] * len(found.tasks)
        for other, controls in found.controls.items():
            column += found.worst(kind)[1] if other == kind else [_NO_CONTROL] * len(controls)
        columns[name] = column
    return columns


def _raters(found: Judgement, people: People, values: Sequence[str], rated: Sequence[str]) -> Components:
    """What the judges said as one, beside what each rater did; 0, and 0 in the second column, where a rater did not."""
    if not values:
        return {}
    others = [_A_CONTROL] * _controls_in(found)
    columns: dict[str, Column] = {"verdict": [*_verdicts(found, people.against), *others]}
    said = list(people.opinions.values())
    for slot, (value, given) in enumerate(zip(values, rated, strict=True)):
        choices = said[slot] if slot < len(said) else [None] * len(found.tasks)
        columns[value] = [*(0.0 if one is None else one for one in choices), *others]
        columns[given] = [*(float(one is not None) for one in choices), *others]
    return columns


def _verdicts(found: Judgement, against: str | None) -> Column:
    if against is None:
        return [_ITSELF] * len(found.tasks)
    told = [found.of_panel(against, at) for at in range(len(found.tasks))]
    return [one if isinstance(one, Unmeasured) else one.win for one in told]


def _controls_in(found: Judgement) -> int:
    return sum(map(len, found.controls.values()))
