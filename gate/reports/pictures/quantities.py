"""Which numbers of an evaluator's examples are drawn: those of a small catalogue, and every component by whose name
there is a metric.

quantities_of(record.evaluators[0], record, scores, shown)[0].values["candidate"]
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from finetune_gate.evaluators.absent import Unmeasured, Value
from finetune_gate.evaluators.scores import EvaluatorScores
from finetune_gate.evaluators.showing import Shown

from ...record import DecisionRecord, EvaluatorRecord
from .drawing import BASELINES, ROLES

MOST_DRAWN = 6
"""Quantities of one evaluator."""

WIN = "win"
"""The component of pairs: 1 where the candidate won, 0 where it lost; what lies between is a tie."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number for each example. ``values`` are by role and as long as there are examples; ``parts`` are names and
    positions of those that count, first what is judged. ``higher_is_better`` is None where neither is. ``of_pairs``:
    a baseline's values are the candidate's beside it."""

    title: str
    unit: str
    higher_is_better: bool | None
    values: Mapping[str, tuple[Value, ...]]
    parts: tuple[tuple[str, tuple[int, ...]], ...]
    of_pairs: bool = False

    def measured(self, role: str, part: int = 0) -> list[float]:
        return [value for at in self.parts[part][1] if not isinstance(value := self.values[role][at], Unmeasured)]

    def both(self, role: str, other: str) -> list[tuple[float, float]]:
        """Of the first part, where both roles have a value."""
        pairs = ((self.values[role][at], self.values[other][at]) for at in self.parts[0][1])
        return [(one, two) for one, two in pairs if not (isinstance(one, Unmeasured) or isinstance(two, Unmeasured))]

    @property
    def kind(self) -> Literal["nothing", "right or wrong", "continuous"]:
        """``nothing`` where there is no value, or one value that all examples of all models have and that is neither
        right nor wrong."""
        first: float | None = None
        others = False
        for value in (
            value for role in self.values for at in range(len(self.parts)) for value in self.measured(role, at)
        ):
            first = value if first is None else first
            others = others or value not in (0.0, 1.0)
            if others and value != first:
                return "continuous"
        return "nothing" if first is None or others else "right or wrong"


@dataclass(frozen=True, slots=True)
class Entry:
    """``component``, by ``over`` where that is given; of the examples on which ``column`` has the value of a part."""

    component: str
    title: str
    unit: str = ""
    higher_is_better: bool | None = True
    over: str | None = None
    column: str | None = None
    parts: tuple[tuple[str, float], ...] = ()


_SIDES = (("unseen", 0.0), ("seen", 1.0))

CATALOGUE: Mapping[str, tuple[Entry, ...]] = {
    "classification": (
        Entry("correct", "Right labels"),
        Entry("label_nll", "Surprise at the right label", "nats", False),
    ),
    "multiple_choice": (Entry("correct", "Right options"),),
    "question_answering": (Entry("exact_match", "Exact matches"), Entry("f1", "Words shared, F1")),
    "summarization": (
        Entry("rouge1", "ROUGE-1"), Entry("rouge2", "ROUGE-2"), Entry("rougeL", "ROUGE-L"),
        Entry("rougeLsum", "ROUGE-Lsum"),
    ),
    "perplexity": (
        Entry("bits", "Surprise of each document", "bits per byte", False, "bytes"),
        Entry("whole_bits", "Surprise of each document, prompts and all", "bits per byte", False, "whole_bytes"),
    ),
    "overfitting": (
        Entry(
            "nll", "Loss on both sides", "nats per token", False, "tokens", "train",
            (("validation", 0.0), ("training", 1.0)),
        ),
    ),
    "holdout": (
        Entry("nll", "Loss on both sides", "nats per token", False, "tokens", "tier", _SIDES),
        Entry("correct", "Right labels of unseen examples", column="tier", parts=_SIDES[:1]),
        Entry("exact_match", "Exact matches of unseen examples", column="tier", parts=_SIDES[:1]),
        Entry("f1", "Words shared, F1", column="tier", parts=_SIDES),
    ),
    "finetunebench": (Entry("correct", "Right answers"),),
    "rubric_judge": (Entry("score", "Grades, 1 to 5", column="part", parts=(("", 0.0),)),),
}  # fmt: skip

_READ_WHERE: Mapping[str, tuple[str, float]] = {"human": ("differing", 1.0), "consistency": ("outside", 0.0)}
"""By kind, the column and its value on the examples that metrics are means over; elsewhere values mean nothing."""

_OUTSIDE = "retention_"
"""What `Consistency` measures on the others."""


def quantities_of(
    evaluator: EvaluatorRecord, record: DecisionRecord, scores: EvaluatorScores, shown: tuple[Shown, ...] = ()
) -> tuple[Quantity, ...]:
    """First those by whose name a rule looks at a metric. Also those that nobody could measure, so that what is missing
    can be counted."""
    ruled = {rule.metric for rule in record.rules}
    found = [
        quantity
        for entry in sorted(
            _entries(evaluator, record), key=lambda one: f"{evaluator.title}.{one.component}" not in ruled
        )
        if (quantity := _quantity(entry, scores)) is not None and any(part for _, part in quantity.parts)
    ][:MOST_DRAWN]
    lengths = _lengths(shown) if _writes(evaluator) else None
    return (*found, lengths) if lengths else tuple(found)


def verdicts_of(scores: EvaluatorScores) -> Quantity | None:
    """What judges said of the candidate beside each baseline, in the baseline's column; controls are left out."""
    values = {role: scores.columns[role][WIN] for role in BASELINES if WIN in scores.columns.get(role, {})}
    if not values:
        return None
    count = range(len(scores.examples))
    where = next(iter(scores.columns.values())).get("part", (0.0,) * len(count))
    parts = (("", tuple(at for at in count if where[at] == 0.0)),)
    return Quantity("Verdicts", "", True, values, parts, of_pairs=True)


def _entries(evaluator: EvaluatorRecord, record: DecisionRecord) -> Iterator[Entry]:
    listed = CATALOGUE.get(evaluator.kind, ())
    yield from listed
    known = {entry.component for entry in listed}
    column, value = _READ_WHERE.get(evaluator.kind, (None, 0.0))
    for one in record.measurements:
        title, _, name = one.metric.partition(".")
        if title != evaluator.title or one.subject != "model" or name in known:
            continue
        known.add(name)
        where = 1.0 - value if evaluator.kind == "consistency" and name.startswith(_OUTSIDE) else value
        parts = (("", where),) if column is not None else ()
        said = name.replace("_", " ")
        yield Entry(name, said[:1].upper() + said[1:], one.unit, one.higher_is_better, None, column, parts)


def _quantity(entry: Entry, scores: EvaluatorScores) -> Quantity | None:
    columns = {role: scores.columns[role] for role in ROLES if role in scores.columns}
    if not columns or any(
        entry.component not in one or (entry.over or entry.component) not in one for one in columns.values()
    ):
        return None
    count = len(scores.examples)
    values = {
        role: tuple(_value(one[entry.component][at], one[entry.over][at] if entry.over else 1.0) for at in range(count))
        for role, one in columns.items()
    }
    first = next(iter(columns.values()))
    if entry.column is None or entry.column not in first:
        return Quantity(entry.title, entry.unit, entry.higher_is_better, values, (("", tuple(range(count))),))
    where = first[entry.column]
    parts = tuple((name, tuple(at for at in range(count) if where[at] == code)) for name, code in entry.parts)
    return Quantity(entry.title, entry.unit, entry.higher_is_better, values, tuple(one for one in parts if one[1]))


def _value(value: Value, over: Value) -> Value:
    if isinstance(value, Unmeasured):
        return value
    if isinstance(over, Unmeasured):
        return over
    quotient = value / over if over else math.nan
    return quotient if math.isfinite(quotient) else Unmeasured("there is nothing to divide by")


def _writes(evaluator: EvaluatorRecord) -> bool:
    """Whether what models said are texts of their own making, and no names of options that they found likely."""
    settings = evaluator.settings
    return settings.get("max_new_tokens") is not None and settings.get("method") in ("generate", None)


def _lengths(shown: tuple[Shown, ...]) -> Quantity | None:
    """Characters of each answer, where there are texts."""
    roles = [role for role in ROLES if any(role in one.answers for one in shown)]
    if not roles:
        return None
    values: dict[str, tuple[Value, ...]] = {}
    for role in roles:
        said = [one.answers.get(role) for one in shown]
        values[role] = tuple(
            Unmeasured("there is no answer")
            if one is None
            else Unmeasured(one.fault) if one.fault is not None and not one.text else float(len(one.text))
            for one in said
        )  # fmt: skip
    return Quantity("Length of answers", "characters", None, values, (("", tuple(range(len(shown)))),))
