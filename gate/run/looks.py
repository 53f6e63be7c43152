"""Looking at some of the data before all of it, so that alpha stays what it was.

    for look in looks_at(gate, data):            # one, at everything, where the gate file asks for no others
        look.data                                # what evaluators see
        look.levels.confidence("classification", {}, 0.95)      # 0.9994 at a quarter of the examples

Rows come in an order of their own, drawn by seed and id, so that each look is a random sample and holds the one before.
At a look a rule is judged by the interval at the level that the look may spend of alpha, `group_sequential`: repeated
confidence intervals (Jennison and Turnbull 1989, Journal of the Royal Statistical Society B 51). Examples count as
information, or clusters of them where there are any.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Final, Literal, Protocol

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.datasets import Dataset, Example
from finetune_gate.evaluators.evaluator import divisible
from finetune_gate.evaluators.measurement import cluster_count
from finetune_gate.evaluators.statistics import LEAST_GAP, Boundaries, group_sequential

from ..deciding import Check, Decision
from ..gate_file import Gate, Rule

Slice = tuple[tuple[str, str], ...]
Units = Mapping[tuple[str, Slice], tuple[int, ...]]
"""By evaluator and slice, how many independent units there are at each planned look."""

Stopped = Literal["success", "failure", "futility"]
"""Why no further look was taken: every blocking rule passed, one failed, or one would hardly pass any more."""

LEAST_LEVEL: Final = 1e-9
"""A level below this decides nothing: no interval is that exact."""


@dataclass(frozen=True, slots=True)
class Levels:
    """At which confidence the rules are judged at look ``at`` of ``shares``."""

    at: int
    shares: tuple[float, ...]
    units: Units

    @property
    def last(self) -> bool:
        return self.at == len(self.shares)

    def confidence(self, evaluator: str, slice_by: Mapping[str, str], confidence: float) -> float | None:
        """What ``confidence`` becomes at this look; None where the look decides nothing."""
        found = self._boundaries(evaluator, slice_by, confidence)
        if not isinstance(found, tuple):
            return found
        boundaries, at = found
        level = boundaries.looks[at].level
        return 1 - level if level >= LEAST_LEVEL else None

    def futility(self, evaluator: str, slice_by: Mapping[str, str], confidence: float) -> float | None:
        """The z value at or below which a rule would hardly pass any more; None at the last look."""
        found = self._boundaries(evaluator, slice_by, confidence)
        if not isinstance(found, tuple):
            return None
        boundaries, at = found
        bound = boundaries.looks[at].futility
        return None if self.last or isinstance(bound, Unmeasured) else bound

    def _boundaries(
        self, evaluator: str, slice_by: Mapping[str, str], confidence: float
    ) -> tuple[Boundaries, int] | float | None:
        """With the position of this look, or ``confidence`` as it is where all there is has been seen at once."""
        if len(self.shares) == 1:
            return confidence
        counts = self.units.get((evaluator, tuple(sorted(slice_by.items())))) or self.units[(evaluator, ())]
        if not counts[-1]:
            return confidence
        fractions: list[float] = []
        for count in counts[: self.at]:  # a look that has not grown is no other test than the one before
            if count / counts[-1] >= (fractions[-1] if fractions else 0.0) + LEAST_GAP:
                fractions.append(count / counts[-1])
        if not fractions:
            return None
        if fractions == [1.0]:
            return confidence
        ahead = [1.0] if 1 - fractions[-1] >= LEAST_GAP else []
        return group_sequential((*fractions, *ahead), alpha=1 - confidence), len(fractions) - 1


@dataclass(frozen=True, slots=True)
class Look:
    """What is seen at look ``levels.at``."""

    data: Mapping[str, Dataset]
    levels: Levels

    @property
    def words(self) -> str:
        share = self.levels.shares[self.levels.at - 1]
        return f"look {self.levels.at} of {len(self.levels.shares)}: {100 * share:g} % of the examples"


def looks_at(gate: Gate, data: Mapping[str, Dataset]) -> tuple[Look, ...]:
    """The looks that the gate file plans, in order."""
    shares = tuple(gate.file.execution.looks)
    if len(shares) == 1:
        return (Look(data, Levels(1, shares, {})),)
    parts = divisible(gate.evaluators.values())
    views = [
        {
            name: part_of(dataset, share, gate.file.execution.seed) if name in parts else dataset
            for name, dataset in data.items()
        }
        for share in shares
    ]
    examples = {title: [one.examples(view) for view in views] for title, one in gate.evaluators.items()}
    units = units_at(gate.rules, examples)
    return tuple(Look(view, Levels(at, shares, units)) for at, view in enumerate(views, 1))


def part_of(dataset: Dataset, share: float, seed: int) -> Dataset:
    """The first ``share`` of the clusters, in the order that the seed draws; rows stay in their own."""
    clusters = dict.fromkeys(map(_cluster, dataset.examples))
    drawn = sorted(clusters, key=lambda one: hashlib.sha256(f"{seed} {one}".encode("utf-8", "replace")).digest())
    taken = set(drawn[: first_of(len(drawn), share)])
    return replace(dataset, examples=tuple(one for one in dataset.examples if _cluster(one) in taken))


def first_of(count: int, share: float) -> int:
    """How many of ``count`` clusters a look at ``share`` sees."""
    return ceil(share * count - 1e-9)


def why_stopped(decision: Decision, levels: Levels) -> Stopped | None:
    """Whether nothing is to be gained from a further look."""
    if levels.last or decision.verdict == "promote" or decision.awaits_approval:
        return None if levels.last else "success"
    if decision.verdict == "block":
        return "failure"
    blocking = [result for result in decision.results if result.severity == "block"]
    unsettled = [result for result in blocking if result.outcome not in ("passed", "waived")]
    hopeless = any(_hopeless(check, result.rule, levels) for result in unsettled for check in result.checks)
    return "futility" if hopeless else None


def told(decision: Decision, levels: Levels, stopped: Stopped | None) -> Decision:
    """The decision, whose sentence says at which look it was made, where there are several."""
    if len(levels.shares) == 1:
        return decision
    share = f"{100 * levels.shares[levels.at - 1]:g} % of the examples"
    why = f", because {stopped_words(stopped)}" if stopped == "futility" else ""
    look = f"decided at look {levels.at} of {len(levels.shares)}, on {share}{why}"
    return replace(decision, sentence=f"{decision.sentence.removesuffix('.')}; {look}.")


def stopped_words(stopped: Stopped) -> str:
    return {
        "success": "every blocking rule passed early",
        "failure": "a blocking rule failed early",
        "futility": "a blocking rule would hardly pass with the rest of the examples",
    }[stopped]


def _hopeless(check: Check, rule: Rule, levels: Levels) -> bool:
    measured = check.measured
    if rule.confidence == "none" or check.outcome == "passed":
        return False
    if isinstance(measured, Unmeasured) or not measured.standard_error:
        return False
    bound = levels.futility(rule.metric.partition(".")[0], check.slice or rule.slice, rule.confidence)
    towards = 1 if check.side == "at least" else -1
    return bound is not None and towards * (measured.value - check.bound) / measured.standard_error <= bound


class Told(Protocol):
    """What is told of an example apart from what it asks."""

    @property
    def group(self) -> str | None: ...

    def slice_value(self, column: str) -> str | None: ...


def units_at(rules: Iterable[Rule], examples: Mapping[str, Sequence[Sequence[Told]]]) -> Units:
    """``examples``: by evaluator, those that each look sees; the last one sees all."""
    wanted: set[tuple[str, Slice]] = {(title, ()) for title in examples}
    for rule in rules:
        title = rule.metric.partition(".")[0]
        wanted.add((title, tuple(sorted(rule.slice.items()))))
        if (column := rule.slices) is not None:
            values = {value for one in examples[title][-1] if (value := one.slice_value(column)) is not None}
            wanted |= {(title, ((column, value),)) for value in values}
    return {
        (title, slice_by): tuple(_count(of_look, slice_by) for of_look in examples[title])
        for title, slice_by in sorted(wanted)
    }


def _count(examples: Iterable[Told], slice_by: Slice) -> int:
    chosen = (one for one in examples if all(one.slice_value(column) == value for column, value in slice_by))
    return cluster_count(one.group for one in chosen)


def _cluster(example: Example) -> str:
    return f"row {example.id}" if example.group is None else f"group {example.group}"
