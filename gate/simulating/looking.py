"""The looks of a gate file, taken in a world: some of its examples first, as a run does."""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np

from finetune_gate.evaluators.measurement import cluster_codes
from finetune_gate.evaluators.scores import EvaluatorScores, ScoreTable

from ..gate_file import Gate
from ..run.looks import Levels, first_of, units_at
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
        codes = cluster_codes(example.group for example in one.examples)
        clusters = np.arange(len(one.examples)) if codes is None else codes
        chances = np.random.default_rng((seed, number, 3, draws.index(one.population.draw)))
        order = chances.permutation(int(clusters.max()) + 1)
        ranks.append(order[clusters] if one.population.title in in_parts else np.zeros_like(clusters))
    rows = [tuple(_first(of_one, share) for of_one in ranks) for share in shares]
    seen = {
        one.population.title: [[one.examples[int(row)] for row in look[at]] for look in rows]
        for at, one in enumerate(world)
    }
    units = units_at(gate.rules, seen)
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
    return np.flatnonzero(ranks < first_of(int(ranks.max()) + 1, share))
