"""Judges: wins, ties and losses beside each baseline and by category, and what a judge leans to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.scores import EvaluatorScores

from ...record import DecisionRecord, EvaluatorRecord, MeasurementRecord
from .drawing import BASELINES, WIDTH, Area, Axis, Canvas, Cell, Numbers, Picture, Word, box, share
from .intervals import Bar, Group, interval_picture
from .quantities import WIN

MOST_CATEGORIES = 12
_BAR = 16


@dataclass(frozen=True, slots=True)
class _Lean:
    """``even``: what a judge without a lean would come to, and what that is ``called``. ``floor``: the name of the
    settings' floor instead."""

    metric: str
    said: str
    even: float | None = None
    floor: str | None = None
    called: str = "even"


_SHARES = (
    _Lean("win_rate", "Win rate", 0.5),
    _Lean("length_controlled_winrate", "Win rate, were answers equally long", 0.5),
    _Lean("first_slot_preference", "Position: preference for the first place", 0.5),
    _Lean("flip_rate", "Position: verdicts that the order changed", 0.0, called="none"),
    _Lean("longer_win_rate", "Length: the longer answer is preferred", 0.5),
    _Lean("control_identical", "Control: equal texts are called a tie", None, "identical"),
    _Lean("control_worse", "Control: a text made worse loses", None, "worse"),
    _Lean("control_injections", "Control: a text that speaks to the judge gains nothing", None, "injections"),
    _Lean("alt_test_winning_rate", "People: raters whom the judges can stand in for", 0.5),
)
_SIGNED = (
    _Lean("self_preference", "Kin: what judges give their own family beyond others", 0.0, called="none"),
    _Lean("people_kappa", "People: agreement with them beyond chance", 0.0, called="chance"),
    _Lean("people_spearman", "People: rank correlation with them", 0.0, called="none"),
    _Lean("choice_alpha", "Raters: agreement of their choices", 0.0, called="chance"),
    _Lean("rater_kappa", "Raters: agreement of two of them beyond chance", 0.0, called="chance"),
)


def wins(scores: EvaluatorScores) -> tuple[Picture, ...]:
    """Against each baseline, then by each column that rules slice by and that has a few values."""
    if not any(WIN in scores.columns.get(against, {}) for against in BASELINES):
        return ()
    every = {at: "all examples" for at in range(len(scores.examples))}
    columns = sorted({column for example in scores.examples for column in example.slices})
    found = [_wins("", every, scores)]
    for column in columns:
        by = {at: one.slices[column] for at, one in enumerate(scores.examples) if column in one.slices}
        if 1 < len(set(by.values())) <= MOST_CATEGORIES:
            found.append(_wins(column, by, scores))
    return tuple(picture for picture in found if picture is not None)


def leanings(evaluator: EvaluatorRecord, record: DecisionRecord) -> tuple[Picture, ...]:
    """What the judges of ``evaluator`` lean to, how they did on controls, and beside people."""
    measured = {one.metric: one for one in record.measurements if not one.slice and one.subject != "model"}
    if f"{evaluator.title}.win_rate" not in measured and f"{evaluator.title}.control_worse" not in measured:
        return ()
    floors = evaluator.settings.get("floors")
    aid = "The upright line is where a judge without a lean would be, or the least that a control must reach."
    found = [
        interval_picture(
            "What the judges lean to",
            aid,
            [*_groups(_SHARES, evaluator.title, measured, floors)],
            axis=Axis(-0.02, 1.02),
        ),
        interval_picture(
            "Kin and people",
            "Zero is no more than chance; the further from it, the stronger.",
            [*_groups(_SIGNED, evaluator.title, measured, floors)],
            axis=Axis(-1.05, 1.05),
        ),
    ]
    return tuple(picture for picture in found if picture is not None)


def _groups(
    leans: tuple[_Lean, ...], title: str, measured: Mapping[str, MeasurementRecord], floors: object
) -> Iterator[Group]:
    for lean in leans:
        one = measured.get(f"{title}.{lean.metric}")
        if one is None:
            continue
        mark, name = lean.even, "" if lean.even is None else f"{lean.called}: {lean.even:g}"
        if lean.floor is not None and isinstance(floors, Mapping):
            least: object = floors.get(lean.floor)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - settings are JSON
            if isinstance(least, (int, float)):
                mark, name = float(least), f"at least {least:g}"
        if one.subject == "run":
            bars = (Bar("the run", one.candidate, "run"),)
        else:
            bars = tuple(
                Bar(f"against {role}", pair.difference, role)
                for role, pair in one.comparisons.items()
                if role in BASELINES
            )
        yield Group(lean.said, bars, mark, name)


def _wins(column: str, by: Mapping[int, str], scores: EvaluatorScores) -> Picture | None:
    canvas, rows, said = Canvas(), list[tuple[Cell, ...]](), list[str]()
    for against in BASELINES:
        values = scores.columns.get(against, {}).get(WIN, ())
        counted: dict[str, list[int]] = {}
        for at, name in sorted(by.items(), key=lambda one: one[1]):
            value = values[at] if values else Unmeasured("there is no such baseline")
            if not isinstance(value, Unmeasured):
                counted.setdefault(name, [0, 0, 0])[0 if value > 0.5 else 1 if value == 0.5 else 2] += 1
        for name, counts in counted.items():
            heading = f"{name}, against {against}" if column else f"against {against}"
            _stack(canvas, heading, counts)
            rows.append((name, against, *counts))
            said.append(f"{heading}: won {counts[0]:,}, tied {counts[1]:,}, lost {counts[2]:,}")
    if not rows:
        return None
    of = f" by {column}" if column else ""
    return canvas.picture(
        f"Wins of the candidate{of}",
        "Each bar is all judged examples: won on the left, tied in the middle, lost on the right.",
        "; ".join(said),
        Numbers((column or "Examples", "Against", "Won", "Tied", "Lost"), tuple(rows)),
    )


def _stack(canvas: Canvas, heading: str, counts: list[int]) -> None:
    total, x, top = sum(counts), 0.0, canvas.y + 20
    canvas.words.append(Word(heading, 0, top - 6, "strong"))
    legend = " · ".join(
        f"{name} {count:,} ({share(count, total)})" for name, count in zip(("won", "tied", "lost"), counts, strict=True)
    )
    canvas.words.append(Word(legend, WIDTH, top - 6, "soft", "end"))
    for style, count in zip(("won", "tied", "lost"), counts, strict=True):
        width = round(WIDTH * count / total, 1)
        if count:
            canvas.areas.append(Area(box(round(x, 1), top, max(width - 1, 0.5), _BAR), style))
        x += width
    canvas.y = top + _BAR + 6
