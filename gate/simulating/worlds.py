"""One world: scores of all models on one set of examples, drawn by seed and number of the world.

The same world is used for all differences: the candidate differs from itself by nothing but the difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from finetune_gate.evaluators.absent import Unmeasured, Value
from finetune_gate.evaluators.scores import EvaluatorScores, ScoredExample, ScoreTable

from .population import Bounded, FloatArray, IntArray, Permuted, Population, Predicted, Scaled, Shared

_MISSING = Unmeasured("not scored in the record")


@dataclass(frozen=True, slots=True)
class Drawn:
    """One evaluator in one world. ``rows`` are positions of its examples in the population, ``columns`` its scores of
    each role, and ``moves`` and ``elsewhere``, uniform on 0 to 1, say which examples a difference moves, and where
    to."""

    population: Population
    rows: IntArray
    examples: tuple[ScoredExample, ...]
    columns: Mapping[str, Mapping[str, FloatArray]]
    moves: FloatArray
    elsewhere: FloatArray


def draw_world(populations: Sequence[Population], roles: Sequence[str], seed: int, number: int) -> tuple[Drawn, ...]:
    """Evaluators of the same examples get the same ones of them, and each its own chances besides."""
    drawn: dict[str, tuple[IntArray, tuple[ScoredExample, ...], IntArray | None]] = {}
    found: list[Drawn] = []
    for place, population in enumerate(populations):
        if population.draw not in drawn:
            drawn[population.draw] = _examples(population, np.random.default_rng((seed, number, 0, len(drawn))))
        rows, examples, clusters = drawn[population.draw]
        chances = np.random.default_rng((seed, number, 1, place))
        if isinstance(population.dependence, Permuted):
            # one order for all evaluators of an example: a model that does well on it does so by all of them
            order = np.random.default_rng((seed, number, 2, list(drawn).index(population.draw)))
            moving = [roles.index(role) for role in population.dependence.roles]
            states = _permuted(len(roles), moving, rows.size, clusters, order)
        else:
            weights = population.weights["candidate"]
            states = _shared(population.dependence, weights, len(roles), rows.size, clusters, chances)
        columns = {
            role: {name: values[states[at], rows] for name, values in population.states.items()}
            for at, role in enumerate(roles)
        }
        moves, elsewhere = chances.random((2, rows.size))
        found.append(Drawn(population, rows, examples, columns, moves, elsewhere))
    return tuple(found)


def score_table(world: Sequence[Drawn], difference: float) -> ScoreTable:
    """What a run would have scored, were the candidate better by ``difference``."""
    return ScoreTable(
        tuple(
            EvaluatorScores(
                one.population.title,
                one.examples,
                {
                    role: {
                        name: _values(_moved(one, name, values, difference) if role == "candidate" else values)
                        for name, values in columns.items()
                    }
                    for role, columns in one.columns.items()
                },
            )
            for one in world
        )
    )


def _examples(
    population: Population, chances: np.random.Generator
) -> tuple[IntArray, tuple[ScoredExample, ...], IntArray | None]:
    """Positions, examples, and codes of clusters, None where there are none."""
    size, clusters = len(population.examples), population.clusters
    if isinstance(population.dependence, Shared):
        return np.arange(size), population.examples, clusters
    if clusters is None:
        rows: IntArray = chances.integers(0, size, size)
        return rows, tuple(population.examples[row] for row in cast("list[int]", rows.tolist())), None
    count = int(clusters.max()) + 1
    picked = chances.integers(0, count, count)
    sizes = np.bincount(clusters)
    begins, ordered = np.cumsum(sizes) - sizes, np.argsort(clusters, kind="stable")
    rows = np.concatenate([ordered[begins[at] : begins[at] + sizes[at]] for at in picked])
    codes = np.repeat(np.arange(count), sizes[picked])
    placed = zip(cast("list[int]", rows.tolist()), codes.tolist(), strict=True)
    # a cluster that was drawn twice is two
    examples = tuple(replace(population.examples[row], group=str(code)) for row, code in placed)
    return rows, examples, codes


def _permuted(
    roles: int, moving: list[int], size: int, clusters: IntArray | None, chances: np.random.Generator
) -> IntArray:
    """Which role's scores each role gets, [roles, examples]: its own, but for those ``moving``, which have an order of
    their own for each cluster."""
    count = size if clusters is None else int(clusters.max()) + 1
    orders = np.tile(np.arange(roles)[:, None], (1, count))
    orders[moving] = chances.permuted(orders[moving], axis=0)
    return orders if clusters is None else orders[:, clusters]


def _shared(
    dependence: Shared,
    weights: FloatArray,
    roles: int,
    size: int,
    clusters: IntArray | None,
    chances: np.random.Generator,
) -> IntArray:
    """[roles, examples]: all in one state, or each in one of its own; examples of a cluster may take over its states,
    each with the probability that makes any two of them correlate by ``within``."""

    def states(count: int) -> IntArray:
        own = chances.choice(weights.size, (roles, count), p=weights)
        return np.where(chances.random(count) < dependence.share, own[:1], own)

    found = states(size)
    if clusters is None:
        return found
    of_clusters = states(int(clusters.max()) + 1)[:, clusters]
    return np.where(chances.random(size) < np.sqrt(dependence.within), of_clusters, found)


def _moved(one: Drawn, name: str, values: FloatArray, difference: float) -> FloatArray:
    moved = one.population.moved.get(name)
    if moved is None or not difference:
        return values
    chosen = ~np.isnan(values) & (one.moves < one.population.share(name, difference))
    match moved:
        case Bounded():
            return np.where(chosen, moved.end(difference), values)
        case Scaled():
            return values * moved.factor(difference)
        case Predicted(classes=classes):
            label = one.columns["candidate"]["label"]
            if difference > 0:
                return np.where(chosen, label, values)
            other = (label + 1 + np.floor(one.elsewhere * (classes - 1))) % classes
            return np.where(chosen & (values == label), other, values)


def _values(values: FloatArray) -> tuple[Value, ...]:
    if np.isnan(values).any():
        return tuple(_MISSING if value != value else value for value in values.tolist())
    return tuple(values.tolist())
