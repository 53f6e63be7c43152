"""Made worlds whose truth is known, for `benchmarks.decisions`: what two models get on each example, drawn by seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from math import exp

import numpy as np
import numpy.typing as npt

from finetune_gate.evaluators.estimators import Confusion, Mean, Ratio
from finetune_gate.evaluators.metrics import Estimator, Metric
from finetune_gate.gate.gate_file.rules import Rule

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Roles = Mapping[str, Mapping[str, FloatArray]]
"""Role to component to one value per example."""

TODAY = date(2026, 1, 1)
ICC = 0.3
"""Share of the variance of differences that lies between clusters."""
_SHARED = (1 - ICC) / ICC
"""Sum of the parameters of a beta or Dirichlet distribution of clusters' shares that has this ICC."""


@dataclass(frozen=True, slots=True)
class World:
    """Scores of every example by role, and the cluster of each where they come in clusters."""

    roles: Roles
    groups: IntArray | None = None

    def first(self, n: int) -> World:
        """The first ``n`` examples."""
        roles = {role: {name: column[:n] for name, column in of.items()} for role, of in self.roles.items()}
        return World(roles, None if self.groups is None else self.groups[:n])


@dataclass(frozen=True, slots=True)
class Case:
    """A way of drawing worlds in which the quantity that ``rule`` bounds is ``truth``, exactly at its bound."""

    kind: str
    name: str
    metric: Metric
    rule: Rule
    truth: float
    draw: Callable[[np.random.Generator, int], World]
    share_of_worlds: float = 1.0


def _metric(estimator: Estimator, higher_is_better: bool = True) -> Metric:
    return Metric("score", higher_is_better, estimator)


def _not_worse(margin: float) -> Rule:
    return Rule(metric="made.score", min_change=0.0, margin=margin, against="base")


def _rate(rate: float, name: str, *, most: bool = False) -> Case:
    def draw(rng: np.random.Generator, n: int) -> World:
        return World({"candidate": {"right": (rng.random(n) < rate).astype(np.float64)}})

    rule = Rule(metric="made.score", max=rate) if most else Rule(metric="made.score", min=rate)
    return Case("share", name, _metric(Mean("right", 0, 1), not most), rule, rate, draw)


def _paired(lost: float, gained: float, base_rate: float, name: str) -> Case:
    """The candidate is wrong on a share ``lost`` of examples where the base is right, and right on ``gained`` of those
    where it is wrong."""

    def draw(rng: np.random.Generator, n: int) -> World:
        luck = rng.random(n)
        base = luck < base_rate
        candidate = (luck < base_rate - lost) | ((luck >= base_rate) & (luck < base_rate + gained))
        return World({"candidate": {"right": candidate.astype(np.float64)}, "base": {"right": base.astype(np.float64)}})

    margin = lost - gained
    return Case("paired shares", name, _metric(Mean("right", 0, 1)), _not_worse(margin), -margin, draw)


def _graded(kind: str, name: str, margin: float, differences: Callable[[np.random.Generator, int], FloatArray]) -> Case:
    """Unbounded grades; ``differences`` have mean 0."""

    def draw(rng: np.random.Generator, n: int) -> World:
        base = rng.normal(size=n)
        return World({"candidate": {"grade": base + differences(rng, n) - margin}, "base": {"grade": base}})

    return Case(kind, name, _metric(Mean("grade")), _not_worse(margin), -margin, draw)


def _normal(rng: np.random.Generator, n: int) -> FloatArray:
    return rng.normal(0, 0.2, n)


def _rare_losses(rng: np.random.Generator, n: int) -> FloatArray:
    return 0.2 * (1 - rng.exponential(size=n))


def _grades_from_0_to_1(rng: np.random.Generator, n: int) -> World:
    """Three in ten answers differ; theirs are grades of mean 0.6 against 0.7, many of them near 0 and 1."""
    base = rng.beta(0.7, 0.3, n)
    candidate = np.where(rng.random(n) < 0.3, rng.beta(0.6, 0.4, n), base)
    return World({"candidate": {"grade": candidate}, "base": {"grade": base}})


def _rare_harm(rng: np.random.Generator, n: int) -> World:
    """The base is always right; one candidate's answer in twenty loses a quarter of the grade to all of it."""
    lost = np.where(rng.random(n) < 0.05, rng.uniform(0.25, 1, n), 0.0)
    return World({"candidate": {"grade": 1 - lost}, "base": {"grade": np.ones(n)}})


def _in_fives(rng: np.random.Generator, n: int) -> IntArray:
    return np.arange(n) // 5


def _unequal(rng: np.random.Generator, n: int) -> IntArray:
    """Clusters of 1 to 40, mean about 5."""
    sizes = np.clip(np.round(rng.lognormal(1.2, 0.9, n)), 1, 40).astype(np.int64)
    return np.repeat(np.arange(n), sizes)[:n]


def _clustered_grades(name: str, groups_of: Callable[[np.random.Generator, int], IntArray]) -> Case:
    margin = 0.05

    def draw(rng: np.random.Generator, n: int) -> World:
        groups = groups_of(rng, n)
        shared = rng.normal(0, 0.2 * ICC**0.5, n)[groups]
        base = rng.normal(size=n)
        candidate = base + shared + rng.normal(0, 0.2 * (1 - ICC) ** 0.5, n) - margin
        return World({"candidate": {"grade": candidate}, "base": {"grade": base}}, groups)

    return Case("clusters", name, _metric(Mean("grade")), _not_worse(margin), -margin, draw)


def _clustered_pairs(rng: np.random.Generator, n: int) -> World:
    """Gains and losses of a document's questions go together: 8 % and 11 % on the whole."""
    groups = _unequal(rng, n)
    shares = rng.dirichlet(_SHARED * np.array([0.08, 0.11, 0.81]), n)[groups]
    luck = rng.random(n)
    gained, lost = luck < shares[:, 0], (luck >= shares[:, 0]) & (luck < shares[:, 0] + shares[:, 1])
    base = np.where(gained, False, np.where(lost, True, rng.random(n) < 0.7))
    candidate = np.where(gained, True, np.where(lost, False, base))
    columns = {role: {"right": of.astype(np.float64)} for role, of in (("candidate", candidate), ("base", base))}
    return World(columns, groups)


def _clustered_rate(rng: np.random.Generator, n: int) -> World:
    groups = _in_fives(rng, n)
    shares = rng.beta(_SHARED * 0.8, _SHARED * 0.2, n)[groups]
    return World({"candidate": {"right": (rng.random(n) < shares).astype(np.float64)}}, groups)


def _bits_per_byte(name: str, spread: float) -> Case:
    """Documents whose lengths have a log-normal distribution. Longer ones differ from one another as much as others."""
    margin = 0.02

    def draw(rng: np.random.Generator, n: int) -> World:
        size = np.ceil(rng.lognormal(6, spread, n))
        base = size * rng.normal(1.0, 0.2, n)
        candidate = base + size * rng.normal(margin, 0.08, n)
        return World(
            {"candidate": {"bits": candidate, "bytes": size}, "base": {"bits": base, "bytes": size}},
        )

    estimator = Ratio("bits", "bytes", same_denominator="bytes")
    return Case("bits per byte", name, _metric(estimator, False), _not_worse(margin), margin, draw)


def _perplexity(rng: np.random.Generator, n: int) -> World:
    size = np.ceil(rng.lognormal(6, 0.8, n))
    return World({"candidate": {"nats": size * rng.normal(2.0, 0.4, n), "tokens": size}})


_LABELS = np.array([0.5, 0.3, 0.2])
_OURS, _THEIRS, _BOTH = 0.78, 0.82, 0.70
"""How often candidate, base, and both are right, whatever the label; elsewhere each errs to the two other labels
alike."""


def _labelled(rng: np.random.Generator, n: int) -> World:
    label = rng.choice(3, p=_LABELS, size=n)
    luck = rng.random(n)
    ours = luck < _OURS
    theirs = (luck < _BOTH) | ((luck >= _OURS) & (luck < _OURS + _THEIRS - _BOTH))

    def predicted(right: npt.NDArray[np.bool_]) -> FloatArray:
        return np.where(right, label, (label + rng.integers(1, 3, n)) % 3).astype(np.float64)

    gold = label.astype(np.float64)
    return World(
        {
            "candidate": {"label": gold, "prediction": predicted(ours)},
            "base": {"label": gold, "prediction": predicted(theirs)},
        }
    )


def _true_macro_f1(right: float) -> float:
    predicted = _LABELS * right + (1 - _LABELS) * (1 - right) / 2
    return float((2 * _LABELS * right / (_LABELS + predicted)).mean())


_F1_LOSS = _true_macro_f1(_THEIRS) - _true_macro_f1(_OURS)

CASES: tuple[Case, ...] = (
    _rate(0.5, "rate 0.5, `min`"),
    _rate(0.8, "rate 0.8, `min`"),
    _rate(0.95, "rate 0.95, `min`"),
    _rate(0.05, "rate 0.05, `max`", most=True),
    _paired(0.175, 0.125, 0.6, "30 % differ, margin 0.05"),
    _paired(0.06, 0.04, 0.8, "10 % differ, margin 0.02"),
    _paired(0.05, 0.0, 0.9, "5 % differ, all lost, margin 0.05"),
    _paired(0.015, 0.005, 0.95, "2 % differ, margin 0.01"),
    _graded("grades", "normal differences", 0.05, _normal),
    _graded("grades", "exponential losses, no bounds known", 0.05, _rare_losses),
    Case("grades", "from 0 to 1, U-shaped", _metric(Mean("grade", 0, 1)), _not_worse(0.03), -0.03, _grades_from_0_to_1),
    Case(
        "grades",
        "from 0 to 1, one answer in 20 loses",
        _metric(Mean("grade", 0, 1)),
        _not_worse(0.05 * 0.625),
        -0.05 * 0.625,
        _rare_harm,
    ),
    _clustered_grades("of 5, normal differences", _in_fives),
    _clustered_grades("of 1 to 40, normal differences", _unequal),
    Case(
        "clusters",
        "of 1 to 40, right or wrong",
        _metric(Mean("right", 0, 1)),
        _not_worse(0.03),
        -0.03,
        _clustered_pairs,
    ),
    Case(
        "clusters",
        "of 5, rate 0.8, `min`",
        _metric(Mean("right", 0, 1)),
        Rule(metric="made.score", min=0.8),
        0.8,
        _clustered_rate,
    ),
    _bits_per_byte("documents of like length", 0.3),
    _bits_per_byte("documents of very unlike length", 1.0),
    Case(
        "perplexity",
        "documents of unlike length, `max`",
        _metric(Ratio("nats", "tokens", "exp"), False),
        Rule(metric="made.score", max=exp(2.0)),
        exp(2.0),
        _perplexity,
    ),
    Case(
        "macro F1",
        "three labels, bootstrap",
        _metric(Confusion("f1_macro", 3)),
        _not_worse(_F1_LOSS),
        -_F1_LOSS,
        _labelled,
        share_of_worlds=0.2,
    ),
)

LOOKED_AT = tuple(
    case
    for case in CASES
    if case.name
    in (
        "rate 0.8, `min`",
        "10 % differ, margin 0.02",
        "normal differences",
        "exponential losses, no bounds known",
        "from 0 to 1, U-shaped",
        "of 1 to 40, normal differences",
        "documents of very unlike length",
    )
)
"""Cases that are looked at before all examples are there."""
