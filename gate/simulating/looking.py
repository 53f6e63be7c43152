"""The looks of a gate file, taken in a world: some of its examples first, as a run does."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from math import ceil

import numpy as np

from finetune_gate.evaluators.scores import EvaluatorScores, ScoredExample, ScoreTable

from ..gate_file import Gate
from ..run.looks import Levels, Slice
from .population import IntArray
from .worlds import Drawn

Rows = tuple[IntArray, ...]
"""Positions of the examples of each evaluator that a look sees."""


def looks_in(
    gate: Gate, in_parts: Container[str], world: Sequence[Drawn], seed: int, number: int
) -> tuple[tuple[Levels, Rows], ...]:
    """Every planned look, in order. Evaluators of the same examples see the same ones of them; those that are not
    ``in_parts`` see all of theirs at once."""
    shares = tuple(gate.file.execution.looks)
    draws = list(dict.fromkeys(one.population.draw for one in world))
    ranks: list[IntArray] = []
    for one in world:
        clusters = _clusters(one.examples)
        chances = np.random.default_rng((seed, number, 3, draws.index(one.population.draw)))
        order = chances.permutation(int(clusters.max()) + 1)
        ranks.append(order[clusters] if one.population.title in in_parts else np.zeros_like(clusters))
    rows = [tuple(_first(of_one, share) for of_one in ranks) for share in shares]
    units = {
        (one.population.title, slice_by): tuple(_units(one.examples, look[at], slice_by) for look in rows)
        for at, one in enumerate(world)
        for slice_by in _slices(gate, one)
    }
    return tuple((Levels(at, shares, units), look) for at, look in enumerate(rows, 1))


def part_of_table(table: ScoreTable, rows: Rows) -> ScoreTable:
    """``table`` as far as a look has come."""
    return ScoreTable(tuple(_part(scores, some) for scores, some in zip(table.evaluators, rows, strict=True)))


def _part(scores: EvaluatorScores, rows: IntArray) -> EvaluatorScores:
    positions: list[int] = rows.tolist()
    columns = {
        role: {name: tuple(values[at] for at in positions) for name, values in components.items()}
        for role, components in scores.columns.items()
    }
    return EvaluatorScores(scores.evaluator, tuple(scores.examples[at] for at in positions), columns)


def _first(ranks: IntArray, share: float) -> IntArray:
    count = int(ranks.max()) + 1
    return np.flatnonzero(ranks < ceil(share * count - 1e-9))


def _clusters(examples: Sequence[ScoredExample]) -> IntArray:
    keys = [("row", str(at)) if one.group is None else ("group", one.group) for at, one in enumerate(examples)]
    codes = {key: code for code, key in enumerate(dict.fromkeys(keys))}
    return np.array([codes[key] for key in keys], dtype=np.int64)


def _slices(gate: Gate, one: Drawn) -> Iterator[Slice]:
    yield ()
    for rule in gate.rules:
        if rule.metric.partition(".")[0] != one.population.title:
            continue
        if rule.slice:
            yield tuple(sorted(rule.slice.items()))
        if (column := rule.slices) is not None:
            values = {example.slices[column] for example in one.examples if column in example.slices}
            yield from (((column, value),) for value in sorted(values))


def _units(examples: Sequence[ScoredExample], rows: IntArray, slice_by: Slice) -> int:
    positions: list[int] = rows.tolist()
    chosen = ((at, examples[at]) for at in positions)
    keys = {
        ("row", str(at)) if one.group is None else ("group", one.group)
        for at, one in chosen
        if all(one.slices.get(column) == value for column, value in slice_by)
    }
    return len(keys)
