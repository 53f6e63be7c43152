"""What the judges said, as components: one value for each example and control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...absent import Unmeasured, Value
from ...evaluator import Components
from ...people.by_rater import Opinions
from ..by_judge import control_columns, parts_of
from ..run_metrics import rater_values
from ..settings import JudgingSettings
from .judgement import Judgement

Column = Sequence[Value]

_ITSELF = Unmeasured("a model is not compared with itself")
_OF_THE_RUN = Unmeasured("it is about the judges, and no model has a value of its own")
_A_CONTROL = Unmeasured("it is a control")

_OF_PAIRS = ("win", "length_difference", "flipped", "first_slot", "longer_won", "self_preference")


@dataclass(frozen=True, slots=True)
class People:
    """What people chose between the candidate's answers and those of the baseline ``against``."""

    against: str | None
    opinions: Opinions


def components(settings: JudgingSettings, found: Judgement, people: People) -> Mapping[str, Components]:
    """By role. What is about a pair stands in the baseline's column, what is about the run in the candidate's; the
    columns that say which part an example belongs to are in all of them."""
    part = parts_of(len(found.tasks), found.controls)
    controls = control_columns(len(found.tasks), found.controls, found.worst)
    of_the_run = {**controls, **_raters(settings, found, people)}
    nobody: Components = {name: [_OF_THE_RUN] * len(part) for name in of_the_run}
    return {
        role: {
            "part": part,
            **_parts(found, role),
            **_pair(found, role),
            **(of_the_run if role == "candidate" else nobody),
        }
        for role in found.texts
    }


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
        return {name: [_ITSELF] * (len(found.tasks) + _controls_in(found)) for name in _OF_PAIRS}
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


def _raters(settings: JudgingSettings, found: Judgement, people: People) -> Components:
    """What the judges said as one, beside what each rater did."""
    if settings.ratings is None:
        return {}
    columns = {
        "verdict": [*_verdicts(found, people.against)],
        **rater_values(settings, people.opinions, len(found.tasks)),
    }
    return {name: [*values, *[_A_CONTROL] * _controls_in(found)] for name, values in columns.items()}


def _verdicts(found: Judgement, against: str | None) -> Column:
    if against is None:
        return [_ITSELF] * len(found.tasks)
    told = [found.of_panel(against, at) for at in range(len(found.tasks))]
    return [one if isinstance(one, Unmeasured) else one.win for one in told]


def _controls_in(found: Judgement) -> int:
    return sum(map(len, found.controls.values()))
