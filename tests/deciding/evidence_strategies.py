"""Evidence to decide on: one list of the kinds of rules, and hypothesis strategies over all of them.

`KINDS` is the list that every test of this folder goes through; a new kind of rule is one line there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.measurement import Comparison, Measured, Measurement
from finetune_gate.evaluators.metrics import Subject
from finetune_gate.evaluators.statistics import COUNTED, Estimate, Interval
from finetune_gate.evaluators.statistics.quantiles import t_quantile
from finetune_gate.gate.deciding import (
    Circumstances,
    Decision,
    MeasuredSlice,
    Required,
    Review,
    Sliced,
    SlicedMeasurement,
    decide,
)
from finetune_gate.gate.gate_file.rules import Rule

TODAY = date(2026, 6, 1)
USUAL = Circumstances(has_champion=True, identical=(), today=TODAY)
ABSENT = Unmeasured("the judge crashed")
METRIC = "scripted.quality"

LAW = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=int(os.environ.get("FINETUNE_GATE_LAW_EXAMPLES", "80")),
    suppress_health_check=[HealthCheck.too_slow],
)
"""How every law is tried: with the same examples on every machine, however busy it is."""

RANK = {"block": 0, "hold": 1, "promote": 2}
"""Verdicts from worst to best."""


@dataclass(frozen=True)
class Kind:
    """One kind of rule. ``settings(bound)`` are those that bound the measured value by ``bound``; ``upward``: that
    value must be at least ``bound``, else at most. ``own``: it is the candidate's own value, else there is one beside
    each baseline. ``slices``: there are as many for each of these values of a column. ``relative``: the measured value
    is a share of the baseline's, an eighth of what the test says, so that it stays above -1."""

    name: str
    settings: Callable[[float], Mapping[str, Any]]
    upward: bool = True
    own: bool = False
    higher_is_better: bool = True
    subject: Subject = "model"
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])
    slices: tuple[str, ...] = ()
    relative: bool = False

    @property
    def by_point(self) -> bool:
        return self.more.get("confidence") == "none"

    @property
    def count(self) -> int:
        """How many values such a rule reads."""
        return (1 if self.own else 2) * max(1, len(self.slices))

    def rule(self, bound: float, **settings: Any) -> Rule:
        return Rule.model_validate({"metric": METRIC, **self.settings(bound), **self.more, **settings})

    def measurement(self, values: Sequence[Measured]) -> Measurement:
        """What such a rule reads: one value where it is the candidate's own, else those beside base and champion; and
        so for one slice after the other."""
        if not self.slices:
            return self._whole(values)
        whole = self._whole(())
        each = 1 if self.own else 2
        slices = tuple(
            MeasuredSlice(
                name,
                self._whole(some := values[at * each : (at + 1) * each]),
                {
                    comparisons: self._whole([stricter(value, comparisons) for value in some])
                    for comparisons in range(2, self.count + 1)
                },
            )
            for at, name in enumerate(self.slices)
            if at * each < len(values)
        )
        parts = {one.name: getattr(whole, one.name) for one in fields(whole)}
        return SlicedMeasurement(**parts, sliced=(Sliced("category", 30, slices),))

    def _whole(self, values: Sequence[Measured]) -> Measurement:
        own = values[0] if self.own and values else Unmeasured("this rule does not read it")
        beside = {} if self.own else dict(zip(("base", "champion"), values, strict=False))
        comparisons = {role: Comparison(ABSENT, value) for role, value in beside.items()}
        if self.relative:
            own = Estimate(1.0, Interval(0.5, 1.5), 200, 200, "t", 0.0)
            comparisons = {role: _as_share(value) for role, value in beside.items()}
        return Measurement(
            metric=METRIC,
            higher_is_better=self.higher_is_better,
            unit="",
            confidence=0.95,
            planned=200,
            scored=dict.fromkeys(("candidate", *beside), 200),
            candidate=own,
            comparisons=comparisons,
            subject=self.subject,
        )


def stricter(value: Measured, comparisons: int) -> Measured:
    """The same at a higher confidence: wider, though not by how much an interval really would be."""
    if isinstance(value, Unmeasured):
        return value
    further = (comparisons - 1) / 16
    return replace(value, interval=Interval(value.interval.low - further, value.interval.high + further))


def _as_share(value: Measured) -> Comparison:
    """A baseline beside a candidate's 1, such that the relative change is around an eighth of ``value``'s middle, with
    an eighth of its width. The baseline is known exactly, so Fieller's interval is the difference's own."""
    if isinstance(value, Unmeasured):
        return Comparison(Estimate(1.0, Interval(0.5, 1.5), 200, 200, "t", 0.0), value)
    change = (value.interval.low + value.interval.high) / 16
    level = 1 / (1 + change)
    error = value.interval.width / 16 / t_quantile(0.95, value.clusters - 1) * level if value.clusters > 1 else 0.0
    difference = replace(value, value=1 - level, interval=Interval(-9.0, 9.0), standard_error=error)
    return Comparison(Estimate(level, Interval(level / 2, level * 2), 200, 200, "t", 0.0), difference)


KINDS: tuple[Kind, ...] = (
    Kind("min", lambda bound: {"min": bound}, own=True),
    Kind("max", lambda bound: {"max": bound}, own=True, upward=False, higher_is_better=False),
    Kind("min_change", lambda bound: {"min_change": bound}),
    Kind("min_change with margin", lambda bound: {"min_change": bound + 0.25, "margin": 0.25}),
    Kind("min_change, lower is better", lambda bound: {"min_change": -bound}, upward=False, higher_is_better=False),
    Kind("max_change", lambda bound: {"max_change": bound}, upward=False),
    Kind("max_change, lower is better", lambda bound: {"max_change": -bound}, higher_is_better=False),
    Kind("min_relative_change", lambda bound: {"min_relative_change": bound / 8}, relative=True),
    Kind("min on a slice", lambda bound: {"min": bound, "slice": {"category": "a"}}, own=True),
    Kind("min_change on a slice", lambda bound: {"min_change": bound, "slice": {"category": "a"}}),
    Kind("min on slices", lambda bound: {"min": bound, "slices": "category"}, own=True, slices=("a", "b", "c")),
    Kind("min_change on slices", lambda bound: {"min_change": bound, "slices": "category"}, slices=("a", "b")),
    Kind("min of a pair", lambda bound: {"min": bound}, subject="pair"),
    Kind("max of a pair", lambda bound: {"max": bound}, upward=False, higher_is_better=False, subject="pair"),
    Kind("min by point", lambda bound: {"min": bound}, own=True, more={"confidence": "none"}),
    Kind("min_change by point", lambda bound: {"min_change": bound}, more={"confidence": "none"}),
)
PLAIN = tuple(kind for kind in KINDS if not kind.relative and not kind.slices)
"""Those whose measured value is just what the test says."""
BY_NAME = {kind.name: kind for kind in KINDS}


def estimate(low: float, high: float, value: float | None = None, method: str = "t") -> Estimate:
    middle = (low + high) / 2 if value is None else value
    return Estimate(middle, Interval(low, high), 200, 200, method, (high - low) / 3.3)


@dataclass(frozen=True)
class Asked:
    """A rule with what it rests on. ``values`` are those of ``kind.measurement``; none where nothing was measured."""

    kind: Kind
    bound: float
    rule: Rule
    values: tuple[Measured, ...]
    required: tuple[Required, ...] = ()

    def with_values(self, change: Callable[[Measured], Measured]) -> Asked:
        return replace(self, values=tuple(change(value) for value in self.values))

    def with_settings(self, **settings: Any) -> Asked:
        return replace(self, rule=self.kind.rule(self.bound, **{**_beside_bounds(self.rule), **settings}))

    @property
    def measurement(self) -> Measurement | None:
        return self.kind.measurement(self.values) if self.values else None


def _beside_bounds(rule: Rule) -> dict[str, Any]:
    return {"severity": rule.severity, "waiver": rule.waiver, "against": rule.against}


def decided(asked: Sequence[Asked], circumstances: Circumstances = USUAL) -> Decision:
    return decide(
        [one.rule for one in asked],
        {index: found for index, one in enumerate(asked) if (found := one.measurement) is not None},
        circumstances,
        {index: one.required for index, one in enumerate(asked) if one.required},
    )


# few values, so that ends, values and bounds meet often
NUMBERS = st.integers(-8, 8).map(lambda eighths: eighths / 8)
WAIVERS = st.sampled_from([None, None, date(2026, 5, 31), TODAY, date(2027, 1, 1)]).map(
    lambda expires: None if expires is None else {"owner": "ben", "reason": "known gap", "expires": expires}
)


EIGHTHS = st.integers(-8, 8)
AIMS = st.sampled_from(["pass", "pass", "pass", "any", "any", "fail"])
"""Where evidence shall lie: taken at random, four rules would hardly ever all pass."""


@st.composite
def estimates(draw: st.DrawFn, bound: float = 0.0, aim: str = "any", upward: bool = True) -> Estimate:
    """``pass`` on the good side of ``bound`` or on it, ``fail`` on the bad side."""
    offsets = {"pass": st.integers(0, 8), "fail": st.integers(-8, -1), "any": EIGHTHS}[aim]
    sign = 1 if upward else -1
    low, value, high = sorted(bound + sign * draw(offsets) / 8 for _ in range(3))
    return estimate(low, high, value, draw(st.sampled_from(["t", "t", "t", COUNTED])))


MEASURED: st.SearchStrategy[Measured] = st.one_of(estimates(), estimates(), estimates(), st.just(ABSENT))
REQUIRED = st.builds(
    lambda least, value: Required(
        "scripted.control",
        least,
        "the judge cannot tell worse answers",
        Measurement("scripted.control", True, "", 0.95, 12, {"candidate": 12}, value, {}, subject="run"),
    ),
    NUMBERS,
    MEASURED,
)


@st.composite
def questions(
    draw: st.DrawFn, severity: str | None = None, aim: str | None = None, kinds: Sequence[Kind] = KINDS
) -> Asked:
    kind, bound = draw(st.sampled_from(kinds)), draw(NUMBERS)
    against = None if kind.own else draw(st.sampled_from([None, None, "base", "champion"]))
    rule = kind.rule(
        bound,
        severity=severity or draw(st.sampled_from(["block", "block", "warn"])),
        waiver=draw(WAIVERS),
        against=against,
    )
    count = kind.count if aim else draw(st.sampled_from([kind.count] * 8 + [1, 0]))
    aim = aim or draw(AIMS)
    found: st.SearchStrategy[Measured] = estimates(bound, aim, kind.upward)
    if aim == "any":
        found = st.one_of(found, found, found, st.just(ABSENT))
    values = tuple(draw(found) for _ in range(count))
    required = () if aim == "fail" or draw(st.integers(0, 3)) else (draw(REQUIRED),)
    return Asked(kind, bound, rule, values, required)


CASES = st.one_of(st.lists(questions(aim="pass"), min_size=1, max_size=4), st.lists(questions(), max_size=4))
REVIEWS = st.sampled_from([None, None, Review("approve", "ana", "typos only"), Review("block", "ana", "it insults")])
_ANY_CIRCUMSTANCES = st.builds(
    Circumstances,
    has_champion=st.sampled_from([True, True, False]),
    identical=st.sampled_from([()] * 6 + [("base",), ("base", "champion")]),
    today=st.just(TODAY),
    champion_moved=st.sampled_from([None] * 7 + ["alias champion points to version 5"]),
    files_changed=st.sampled_from([None] * 7 + ["the files of v2 are others"]),
    review=REVIEWS,
    review_waives=st.booleans(),
    approval_required=st.booleans(),
)
CIRCUMSTANCES = st.one_of(_ANY_CIRCUMSTANCES, _ANY_CIRCUMSTANCES, st.just(USUAL))
NOBODY_ANSWERS = CIRCUMSTANCES.map(lambda one: replace(one, review_waives=False))
"""Circumstances in which no review answers for what is not settled."""
