"""No fault of the evidence promotes: every fault, on every side, for every kind of rule, through every door by which
scores come in. Each table has its control: the same without the fault promotes."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import pyarrow
import pyarrow.parquet
import pytest
from evidence_strategies import KINDS, METRIC, PLAIN, USUAL, Kind

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import GenerateRequest, Generation
from finetune_gate.evaluators.datasets import Example
from finetune_gate.evaluators.errors import EvaluationError
from finetune_gate.evaluators.estimators import Mean
from finetune_gate.evaluators.evaluator import Answers, Evaluator
from finetune_gate.evaluators.measurement import Comparison, Measured, Measurement
from finetune_gate.evaluators.metrics import Metric, Subject
from finetune_gate.evaluators.scores import ScoreRow, ScoreTable, score_evaluator
from finetune_gate.evaluators.statistics import Estimate, Interval
from finetune_gate.gate.deciding import Required, decide
from finetune_gate.gate.gate_file import Gate
from finetune_gate.gate.gate_file.rules import Rule
from finetune_gate.gate.gate_file.settings import GateFile
from finetune_gate.gate.run.measuring import measure_gate
from finetune_gate.gate.run.score_files import read_scores

Side = Literal["candidate", "base", "champion"]
SIDES: tuple[Side, ...] = ("candidate", "base", "champion")
COUNT = 80
ITSELF = Unmeasured("a model is not compared with itself")
Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class Asked:
    """A kind of rule as a gate file has it. ``reads``: the sides whose scores it looks at."""

    name: str
    settings: Mapping[str, Any]
    upward: bool = True
    subject: Subject = "model"
    reads: tuple[Side, ...] = SIDES

    @property
    def rule(self) -> Rule:
        # so low a floor that coverage is not what saves the day
        return Rule.model_validate({"metric": METRIC, "min_coverage": 0.5, **self.settings})

    @property
    def metric(self) -> Metric:
        mean = Mean("correct", 0.0, 1.0, higher_is_better=self.upward)
        return Metric("quality", self.upward, mean, 0.0, 1.0, subject=self.subject)

    def scores(self) -> dict[Side, Columns]:
        """Of a candidate that is far better than the others, so that it is promoted: 76 of 80 right, the others 40."""
        best, middling = [1.0] * COUNT, [1.0] * COUNT
        best[::20] = [0.0] * 4
        middling[::2] = [0.0] * 40
        if not self.upward:
            best, middling = [1 - value for value in best], [1 - value for value in middling]
        if self.subject == "pair":
            return {
                "candidate": {"correct": [ITSELF] * COUNT},
                "base": {"correct": best},
                "champion": {"correct": [*best]},
            }
        return {"candidate": {"correct": best}, "base": {"correct": middling}, "champion": {"correct": [*middling]}}


OWN: tuple[Side, ...] = ("candidate",)
BESIDE: tuple[Side, ...] = ("base", "champion")
ASKED: tuple[Asked, ...] = (
    Asked("min", {"min": 0.75}, reads=OWN),
    Asked("max", {"max": 0.25}, upward=False, reads=OWN),
    Asked("min_change", {"min_change": 0.0}),
    Asked("min_change with margin", {"min_change": 0.0, "margin": 0.1}),
    Asked("min_change superiority", {"min_change": 0.1}),
    Asked("min_change, lower is better", {"min_change": 0.1}, upward=False),
    Asked("max_change", {"max_change": 0.9}),
    Asked("min_relative_change", {"min_relative_change": 0.1}),
    Asked("min on a slice", {"min": 0.75, "slice": {"category": "a"}}, reads=OWN),
    Asked("min_change on a slice", {"min_change": 0.0, "slice": {"category": "a"}}),
    Asked("min on slices", {"min": 0.75, "slices": "category"}, reads=OWN),
    Asked("min_change on slices", {"min_change": 0.0, "slices": "category"}),
    Asked("min of a pair", {"min": 0.5}, subject="pair", reads=BESIDE),
    Asked("max of a pair", {"max": 0.5}, upward=False, subject="pair", reads=BESIDE),
    Asked("min by point", {"min": 0.75, "confidence": "none"}, reads=OWN),
    Asked("min_change by point", {"min_change": 0.0, "confidence": "none"}),
    Asked("max_change by point", {"max_change": 0.9, "confidence": "none"}),
)


@dataclass(frozen=True)
class Evidence:
    """What an evaluator says: its examples, and a column of scores by role and component."""

    examples: tuple[Example, ...]
    columns: Mapping[str, Columns]


def sound(asked: Asked) -> Evidence:
    examples = tuple(
        Example(f"e{at}", {"category": "ab"[at % 4 // 2]}, category="ab"[at % 4 // 2]) for at in range(COUNT)
    )
    return Evidence(examples, asked.scores())


# --- faults: each takes sound evidence and a side, and gives what must not promote

Fault = Callable[[Evidence, Side], Evidence]


def odd_values(odd: object, every: bool, component: str = "correct") -> Fault:
    def broken(evidence: Evidence, side: Side) -> Evidence:
        columns = evidence.columns[side]
        values = columns[component]
        changed = [odd] * len(values) if every else [*values[:-1], odd]
        return replace(evidence, columns={**evidence.columns, side: {**columns, component: changed}})

    return broken


def missing_example(evidence: Evidence, side: Side) -> Evidence:
    values = evidence.columns[side]["correct"]
    return replace(evidence, columns={**evidence.columns, side: {"correct": values[:-1]}})


def extra_example(evidence: Evidence, side: Side) -> Evidence:
    values = evidence.columns[side]["correct"]
    return replace(evidence, columns={**evidence.columns, side: {"correct": [*values, values[-1]]}})


def missing_component(evidence: Evidence, side: Side) -> Evidence:
    return replace(evidence, columns={**evidence.columns, side: {}})


def extra_component(evidence: Evidence, side: Side) -> Evidence:
    columns = evidence.columns[side]
    return replace(evidence, columns={**evidence.columns, side: {**columns, "luck": columns["correct"]}})


def fewer(count: int) -> Fault:
    """Of all sides, since they share their examples: what a side has none of has no score for it, which is a missing
    example."""

    def broken(evidence: Evidence, side: Side) -> Evidence:
        columns = {
            role: {name: values[1 : 1 + count] for name, values in some.items()}
            for role, some in evidence.columns.items()
        }
        return Evidence(evidence.examples[1 : 1 + count], columns)

    return broken


def one_cluster(evidence: Evidence, side: Side) -> Evidence:
    """As many examples as ever, and all of one document: fewer than the two that an interval needs."""
    return replace(evidence, examples=tuple(replace(one, group="the same document") for one in evidence.examples))


def too_few_scored(evidence: Evidence, side: Side) -> Evidence:
    values = evidence.columns[side]["correct"]
    lost = [Unmeasured("timed out") if at % 5 < 3 else value for at, value in enumerate(values)]
    return replace(evidence, columns={**evidence.columns, side: {"correct": lost}})


VALUES: Mapping[str, object] = {
    "NaN": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "None": None,
    "string": "0.9",
    "bool": True,
    "int": 1,
    "beyond its range": 1.5,
    "far beyond its range": -1e308,
}
ONE_SIDED: Mapping[str, Fault] = {
    **{f"{name}, once": odd_values(odd, every=False) for name, odd in VALUES.items()},
    **{f"{name}, everywhere": odd_values(odd, every=True) for name, odd in VALUES.items()},
    "missing example": missing_example,
    "extra example": extra_example,
    "missing component": missing_component,
    "extra component": extra_component,
    "coverage below the floor": too_few_scored,
}
SHARED: Mapping[str, Fault] = {"no example": fewer(0), "one example": fewer(1), "one cluster": one_cluster}
FAULTS = {**ONE_SIDED, **SHARED}

NO_FAULT_OF_A_FILE = ("int, once", "int, everywhere")
"""A column of a file has one type: whole numbers among its floats are floats when they are read."""


def unread(asked: Asked, fault: str, side: Side, door: str) -> bool:
    """Whether nobody looks at what is wrong, because the rule does not speak of that side."""
    if fault == "coverage below the floor":
        return side not in asked.reads
    if fault == "missing component":  # of the only component: to a table the side is then unknown
        return side not in asked.reads and door != "evaluator"
    # a score all the same, in the one column from which nothing is computed
    return "beyond its range" in fault and asked.subject == "pair" and side == "candidate"


# --- doors: how scores come to the rules


@dataclass(frozen=True)
class Scripted:
    """An evaluator that says what a test gave it. An answer names the role that it came from."""

    some: tuple[Metric, ...]
    evidence: Evidence
    kind: str = "scripted"
    title: str = "scripted"
    version: int = 1
    needs: frozenset[str] = frozenset()

    def metrics(self) -> tuple[Metric, ...]:
        return self.some

    def reads(self) -> tuple[str, ...]:
        return ("holdout",)

    def examples(self, data: object) -> Sequence[Example]:
        return self.evidence.examples

    def score(self, data: object, answers: Answers) -> Columns:
        (request,) = answers
        assert isinstance(request, GenerateRequest)
        return self.evidence.columns[str(request.prompt)]


def by_evaluator(evaluator: Scripted, folder: Path) -> ScoreTable:
    answers: dict[str, Answers] = {
        role: {GenerateRequest(role): Generation("yes", "stop", 1)} for role in evaluator.evidence.columns
    }
    return ScoreTable((score_evaluator(cast("Evaluator", evaluator), {}, answers, ["category"]),))


def rows_of(evidence: Evidence) -> list[dict[str, Any]]:
    """One row a score. A side with more scores than there are examples has one of an example that no other knows."""
    found: list[dict[str, Any]] = []
    for role, components in evidence.columns.items():
        for component, values in components.items():
            examples = [*evidence.examples, Example("stranger", {}, category="a")]
            for example, value in zip(examples, values, strict=False):
                missing = isinstance(value, Unmeasured)
                found.append(
                    {
                        "evaluator": "scripted",
                        "example_id": example.id,
                        "role": role,
                        "component": component,
                        "value": None if missing else value,
                        "reason": value.reason if missing else None,
                        "group": example.group,
                        "slice.category": example.category,
                    }
                )
    return found


def by_rows(evaluator: Scripted, folder: Path) -> ScoreTable:
    return ScoreTable.from_rows(
        ScoreRow(
            **{name: value for name, value in row.items() if name != "slice.category"},
            slices={"category": row["slice.category"]},
        )
        for row in rows_of(evaluator.evidence)
    )


def by_file(evaluator: Scripted, folder: Path) -> ScoreTable:
    """Written by somebody else, who may take other types for the column of values."""
    rows = rows_of(evaluator.evidence)
    values = [row["value"] for row in rows]
    if any(isinstance(value, str) for value in values):
        values = [None if value is None else str(value) for value in values]
    elif any(value is True for value in values):
        values = [None if value is None else value >= 0.5 for value in values]
    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else {})}
    table = pyarrow.table({**columns, "value": values}) if rows else pyarrow.table({"value": []})
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    (folder / "scores.parquet").write_bytes(buffer.getvalue())
    return read_scores(folder / "scores.parquet")


DOORS = {"evaluator": by_evaluator, "rows": by_rows, "file": by_file}


def verdict(asked: Asked, evidence: Evidence, door: str, folder: Path, more: tuple[Metric, ...] = ()) -> str:
    """What comes out of the run from there on. ``refused``: an error that says what is wrong with the scores."""
    evaluator = Scripted((asked.metric, *more), evidence)
    settings = GateFile.model_validate(
        {
            "model": "m",
            "data": {"holdout": {"path": "h.jsonl"}},
            "evaluators": [{"scripted": {}}],
            "rules": [asked.rule],
        }
    )
    gate = Gate(Path("gate.yaml"), "", settings, {"scripted": cast("Evaluator", evaluator)}, (asked.rule,))
    try:
        measured = measure_gate(gate, DOORS[door](evaluator, folder))
    except EvaluationError:
        return "refused"
    by_rule = {index: measured.measurements[at] for index, at in enumerate(measured.rests_on)}
    return decide(gate.rules, by_rule, USUAL, measured.required).verdict


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("asked", ASKED, ids=[asked.name for asked in ASKED])
def test_without_a_fault_it_promotes(asked: Asked, door: str, tmp_path: Path) -> None:
    assert verdict(asked, sound(asked), door, tmp_path) == "promote"


def cells(asked: Asked, door: str) -> list[tuple[str, Side]]:
    return [
        (fault, side)
        for fault, side in itertools.product(FAULTS, SIDES)
        if not (door == "file" and fault in NO_FAULT_OF_A_FILE) and not unread(asked, fault, side, door)
    ]


CELLS = sum(len(cells(asked, door)) for asked in ASKED for door in DOORS)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("asked", ASKED, ids=[asked.name for asked in ASKED])
def test_no_fault_promotes(asked: Asked, door: str, tmp_path: Path) -> None:
    found = {
        (fault, side): verdict(asked, FAULTS[fault](sound(asked), side), door, tmp_path)
        for fault, side in cells(asked, door)
    }
    assert [cell for cell, came in found.items() if came == "promote"] == []
    # what is no score at all never gets as far as a rule
    odd = [cell for cell in found if cell[0].split(",")[0] in ("NaN", "infinity", "minus infinity", "None", "bool")]
    assert {found[cell] for cell in odd} == {"refused"}


def test_a_side_that_no_rule_speaks_of_is_in_nobodys_way(tmp_path: Path) -> None:
    for asked, door, fault, side in itertools.product(ASKED, DOORS, FAULTS, SIDES):
        if unread(asked, fault, side, door):
            assert verdict(asked, FAULTS[fault](sound(asked), side), door, tmp_path) == "promote"


def test_the_table_is_as_large_as_the_documentation_says() -> None:
    text = (Path(__file__).parents[2] / "docs" / "deciding.md").read_text(encoding="utf-8")
    assert f"{CELLS:,} cells" in text
    assert f"{RAW_CELLS:,} cells" in text


# --- what a rule requires of another metric

CONTROL = Metric("control", True, Mean("control", 0.0, 1.0), 0.0, 1.0, subject="run", min_coverage=0.5)
REQUIRING = Asked("min that requires", {"min": 0.75, "requires": {"scripted.control": 0.5}}, reads=OWN)


def with_control() -> Evidence:
    """The control stands in the candidate's column; that it says nothing of the others is no fault."""
    evidence = sound(REQUIRING)
    about = Unmeasured("it is about the run, not about a model")
    columns = {
        role: {**some, "control": ([1.0, 1.0, 1.0, 0.0] * 20) if role == "candidate" else [about] * COUNT}
        for role, some in evidence.columns.items()
    }
    return replace(evidence, columns=columns)


@pytest.mark.parametrize("door", DOORS)
def test_no_fault_of_what_is_required_promotes(door: str, tmp_path: Path) -> None:
    assert verdict(REQUIRING, with_control(), door, tmp_path, (CONTROL,)) == "promote"
    faults = {
        (name, every): odd_values(odd, every, "control")
        for name, odd in {**VALUES, "Unmeasured": Unmeasured("timed out"), "zero": 0.0}.items()
        for every in (False, True)
    }
    for (name, every), fault in faults.items():
        harmless = (door == "file" and name == "int") or (name in ("Unmeasured", "zero") and not every)
        if not harmless:
            assert verdict(REQUIRING, fault(with_control(), "candidate"), door, tmp_path, (CONTROL,)) != "promote", name


# --- handed to the decision itself, past the checks of every constructor

ODD: Mapping[str, Any] = {
    name: VALUES[name] for name in ("NaN", "infinity", "minus infinity", "None", "string", "bool")
}
PLACES = ("value", "low", "high", "everywhere")


def forged(good: Estimate, **changes: Any) -> Estimate:
    """An estimate that its own constructor might have refused. ``low`` and ``high`` are ends of its interval."""
    interval = object.__new__(Interval)
    for name in ("low", "high"):
        object.__setattr__(interval, name, changes.get(name, getattr(good.interval, name)))
    found = object.__new__(Estimate)
    for name in ("value", "n", "clusters", "method", "standard_error", "warnings"):
        object.__setattr__(found, name, changes.get(name, getattr(good, name)))
    object.__setattr__(found, "interval", interval)
    return found


def passing(kind: Kind) -> Estimate:
    low, high = (0.5, 0.75) if kind.upward else (-0.75, -0.5)
    return Estimate((low + high) / 2, Interval(low, high), 200, 200, "t", 0.1)


def raw_faults(good: Estimate) -> Mapping[str, Any]:
    """What may stand where an estimate should."""
    faults: dict[str, Any] = {
        f"{name} as {place}": forged(good, **dict.fromkeys(PLACES[:3] if place == "everywhere" else (place,), odd))
        for name, odd in ODD.items()
        for place in PLACES
    }
    faults["ends in the wrong order"] = forged(good, low=good.interval.high, high=good.interval.low)
    faults["value outside of its interval"] = forged(good, value=good.interval.high + 1)
    faults |= {f"n = {n}": forged(good, n=n) for n in (-1, 0, 1)}
    faults |= {f"{n} clusters": forged(good, clusters=n) for n in (0, 1)}
    faults |= {f"standard error {odd!r}": forged(good, standard_error=odd) for odd in (-0.5, float("nan"), True)}
    faults |= {f"{name} for an estimate": odd for name, odd in ODD.items()}
    return faults


def raw_verdict(rules: Sequence[Rule], measurement: object, required: Sequence[Required] = ()) -> str:
    """``refused``: a thing of another type than an estimate, which a decision stumbles over aloud."""
    try:
        found = cast("Mapping[int, Measurement]", {0: measurement})
        return decide(rules, found, USUAL, {0: required}).verdict
    except (TypeError, AttributeError):
        return "refused"


GROUPS = {
    "by interval": [kind for kind in PLAIN if not kind.by_point],
    "by point": [kind for kind in PLAIN if kind.by_point],
}
FORGED = tuple(raw_faults(passing(KINDS[0])))
IN_A_SHARE = ("candidate", "baseline", "difference")
RAW_CELLS = len(FORGED) * (sum(kind.count for kind in PLAIN) + len(IN_A_SHARE) + 1)
"""Each value of each kind of rule, each of the three that a relative change is made of, and what a rule requires."""


def raw_promotions(fault: str, kinds: Sequence[Kind]) -> list[tuple[str, int]]:
    promoted: list[tuple[str, int]] = []
    for kind in kinds:
        good = passing(kind)
        for at in range(kind.count):
            values: list[Any] = [good] * kind.count
            assert raw_verdict([kind.rule(0.0)], kind.measurement(values)) == "promote"
            values[at] = raw_faults(good)[fault]
            if raw_verdict([kind.rule(0.0)], kind.measurement(values)) == "promote":
                promoted.append((kind.name, at))
    return promoted


def raw_required(control: object) -> str:
    kind = KINDS[0]
    found = cast("Measured", control)
    about = Measurement("scripted.control", True, "", 0.95, 80, {"candidate": 80}, found, {}, subject="run")
    return raw_verdict(
        [kind.rule(0.0)], kind.measurement((passing(kind),)), [Required("scripted.control", 0.5, "", about)]
    )


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("fault", FORGED)
def test_no_forged_estimate_promotes(fault: str, group: str) -> None:
    assert raw_promotions(fault, GROUPS[group]) == []


def test_no_forged_part_of_a_relative_change_promotes() -> None:
    parts: dict[str, Any] = {
        "candidate": Estimate(0.75, Interval(0.7, 0.8), 200, 200, "Wilson score", 0.03),
        "baseline": Estimate(0.5, Interval(0.45, 0.55), 200, 200, "Wilson score", 0.03),
        "difference": Estimate(0.25, Interval(0.2, 0.3), 200, 200, "Tango score", 0.03),
    }
    rule = Rule(metric=METRIC, min_relative_change=0.1, against="base")

    def verdict_of(some: Mapping[str, Any]) -> str:
        comparison = Comparison(some["baseline"], some["difference"])
        scored = {"candidate": 200, "base": 200}
        return raw_verdict(
            [rule], Measurement(METRIC, True, "", 0.95, 200, scored, some["candidate"], {"base": comparison})
        )

    assert verdict_of(parts) == "promote"
    assert [
        (part, fault)
        for part, fault in itertools.product(IN_A_SHARE, FORGED)
        if verdict_of({**parts, part: raw_faults(parts[part])[fault]}) == "promote"
    ] == []


@pytest.mark.parametrize("fault", FORGED)
def test_no_forged_estimate_of_what_is_required_promotes(fault: str) -> None:
    assert raw_required(passing(KINDS[0])) == "promote"
    assert raw_required(raw_faults(passing(KINDS[0]))[fault]) != "promote"


@pytest.mark.parametrize("odd", [*ODD.values(), {}, []], ids=[*ODD, "an empty mapping", "an empty list"])
def test_nothing_odd_for_a_measurement_or_a_comparison_promotes(odd: object) -> None:
    for kind in KINDS:
        assert raw_verdict([kind.rule(0.0)], odd) != "promote"
        if not kind.own and not kind.slices:
            good = kind.measurement([passing(kind)] * 2)
            broken = {**good.comparisons, "champion": cast("Comparison", odd)}
            assert raw_verdict([kind.rule(0.0)], replace(good, comparisons=broken)) != "promote"
