"""From a source of worlds to the table: promote, hold and block at each difference, rule by rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from math import ceil
from os import cpu_count
from typing import get_args

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.detectable import POWER
from finetune_gate.evaluators.statistics import Estimate, smallest_detectable, wilson

from ..deciding import Check, Outcome, Verdict
from ..gate_file import Rule
from ..progress import Progress
from .counting import Counted, Key, Seen, Trial, World, count_worlds, key_of
from .grid import Truth, default_differences, good_by
from .population import Population
from .selection import Source
from .terms import Point, Rate, RulePoint, SimulatedRule, Simulation, TrueCheck
from .wording import sentences_of

WORLDS = 1000
DEADLINE = 600.0


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """``differences`` None: those that `default_differences` finds. ``deadline`` in seconds. ``processes`` changes how
    long it takes, and nothing else."""

    worlds: int = WORLDS
    seed: int = 0
    differences: tuple[float, ...] | None = None
    deadline: float = DEADLINE
    processes: int = field(default_factory=lambda: cpu_count() or 1)


def simulate_gate(source: Source, settings: SimulationSettings, *, today: date, progress: Progress) -> Simulation:
    """Waivers are judged on ``today``. Raises KeyboardInterrupt where it is stopped before any world is finished;
    later, what is finished is kept."""
    gate, truth = source.selection.gate, Truth(source, today)
    bounds = [None if source.same else truth.bound_at(index) for index in range(len(gate.rules))]
    if source.same:
        differences: tuple[float, ...] = (0.0,)
    elif settings.differences is not None:
        differences = tuple(sorted(set(settings.differences)))
    else:
        differences = default_differences(source, bounds, min(map(_units, source.populations)))
    trial = Trial(gate, source.selection.in_parts, source.populations, source.roles, differences, settings.seed, today)
    counted = count_worlds(trial, settings.worlds, settings.processes, settings.deadline, progress)
    checks = [truth.checks(one) for one in differences]
    points = tuple(
        _point(one, [world[at] for world in counted.worlds], checks[at]) for at, one in enumerate(differences)
    )
    rules = tuple(
        _rule(source, index, today, bounds[index], truth.checks(0.0)[index], _at_zero(differences, counted.worlds))
        for index in range(len(gate.rules))
    )
    found = Simulation(
        model=gate.file.model,
        gate_file=gate.path.name,
        source=source.said,
        same=source.same,
        seed=settings.seed,
        asked_for=settings.worlds,
        worlds=len(counted.worlds),
        stopped=counted.stopped,
        seconds=round(counted.seconds, 1),
        rules=rules,
        assumed=source.selection.assumed,
        points=points,
        sentences=(),
        assumptions=source.assumptions,
        warnings=(*_warnings(source, counted, today), *source.selection.warnings, *source.warnings),
    )
    return found.model_copy(update={"sentences": sentences_of(found)})


def _units(population: Population) -> int:
    return len(population.examples) if population.clusters is None else int(population.clusters.max()) + 1


def _at_zero(differences: Sequence[float], worlds: Sequence[World]) -> list[Seen]:
    return [world[differences.index(0.0)] for world in worlds] if 0.0 in differences else []


def _point(difference: float, seen: Sequence[Seen], checks: Sequence[Sequence[Check]]) -> Point:
    verdicts = Counter(one.verdict for one in seen)
    every: tuple[Verdict, ...] = get_args(Verdict)
    return Point(
        difference=difference,
        looked=sum(one.share for one in seen) / len(seen),
        verdicts={verdict: _rate(verdicts[verdict], len(seen)) for verdict in every},
        rules=tuple(
            RulePoint(truth=_true(of_rule), outcomes=_outcomes([one.outcomes[index] for one in seen]))
            for index, of_rule in enumerate(checks)
        ),
    )


def _true(checks: Sequence[Check]) -> tuple[TrueCheck, ...]:
    return tuple(
        TrueCheck(
            against=check.against,
            slice=dict(check.slice),
            value=check.measured.value,
            bound=check.bound,
            side=check.side,
        )
        for check in checks
        if isinstance(check.measured, Estimate)
    )


def _outcomes(seen: Sequence[Outcome]) -> dict[Outcome, Rate]:
    found = Counter(seen)
    every: tuple[Outcome, ...] = get_args(Outcome)
    return {outcome: _rate(found[outcome], len(seen)) for outcome in every}


def _rate(count: int, worlds: int) -> Rate:
    """Of one world nothing is known but itself."""
    estimate = wilson(count, worlds)
    if isinstance(estimate, Unmeasured):
        return Rate(share=count / worlds, low=0.0, high=1.0, error=0.5)
    assert estimate.standard_error is not None
    low, high = estimate.interval.low, estimate.interval.high
    return Rate(share=estimate.value, low=low, high=high, error=estimate.standard_error)


def _rule(
    source: Source, index: int, today: date, bound_at: float | None, checks: Sequence[Check], seen: Sequence[Seen]
) -> SimulatedRule:
    rule = source.selection.gate.rules[index]
    title = rule.metric.partition(".")[0]
    population = next(one for one in source.populations if one.title == title)
    examples = sum(
        rule.columns <= one.slices.keys() and all(one.slices[k] == v for k, v in rule.slice.items())
        for one in population.examples
    )
    return SimulatedRule(
        index=source.selection.indices[index],
        rule=rule.text,
        severity=rule.severity,
        confidence=None if rule.confidence == "none" else rule.confidence,
        examples=examples,
        bound_at=bound_at,
        waived=_waived(rule, today),
        needed=_needed(rule, index, checks, examples, _mean_errors(seen)),
    )


def _waived(rule: Rule, today: date) -> bool:
    return rule.waiver is not None and today <= rule.waiver.expires


def _mean_errors(seen: Sequence[Seen]) -> Mapping[tuple[int, Key], float]:
    found: dict[tuple[int, Key], list[float]] = {}
    for one in seen:
        for key, error in one.errors.items():
            found.setdefault(key, []).append(error)
    return {key: sum(errors) / len(errors) for key, errors in found.items()}


def _needed(
    rule: Rule, index: int, checks: Sequence[Check], examples: int, errors: Mapping[tuple[int, Key], float]
) -> int | None:
    """n (smallest detectable difference / distance)^2, of the check that needs most, to two digits. None where there
    are enough, where no number would do, or where nothing is known of the distance."""
    if rule.confidence == "none":
        return None
    most = 0.0
    for check in checks:
        distance, error = good_by(check), errors.get((index, key_of(check)))
        if distance is None or distance <= 0 or error is None:
            return None
        reach = smallest_detectable(error, rule.confidence, POWER)
        most = max(most, examples * (reach / distance) ** 2)
    digits = len(str(ceil(most))) - 2
    rounded = ceil(most / 10**digits) * 10**digits if digits > 0 else ceil(most)
    return rounded if rounded > examples else None


def _warnings(source: Source, counted: Counted, today: date) -> list[str]:
    gate = source.selection.gate
    found: list[str] = []
    if counted.stopped is not None:
        why = "time was up" if counted.stopped == "deadline" else "it was interrupted"
        found.append(f"{why} after {len(counted.worlds):,} worlds")
    if gate.file.promotion.approval == "required":
        found.append("promote means that the rules would: a person's approval is still asked for")
    waived = [rule.text for rule in gate.rules if _waived(rule, today)]
    found += [f"{text}: it has a waiver, and holds or blocks nothing while that lasts" for text in waived]
    return found
