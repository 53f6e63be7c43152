"""Worlds from a gate file and its data alone: examples, groups, slices and parts are real, scores are drawn.

Each example is in a good state with the base rate, in a bad one otherwise. In the good state a component between bounds
has its best value, and a prediction is right; in a bad one the component has its worst value, and the prediction is one
of the other labels, each as likely. All components of one evaluator share the state. Values at the ends of a range
spread as widely as scores of that mean can: of graded scores, intervals are narrower in truth.

Any two models share their state on a part of the examples, and draw it apart on the rest, such that they differ in good
and bad on just the given share of the examples (``discordance``). At most 2 p (1 - p) is possible: models that have
nothing in common.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import Answer, Failed, Request
from finetune_gate.evaluators.detectable import ASSUMED_DISCORDANCE
from finetune_gate.evaluators.errors import ConfigurationError, Problem
from finetune_gate.evaluators.evaluator import Datasets, JudgedEvaluator
from finetune_gate.evaluators.measurement import cluster_codes
from finetune_gate.evaluators.scores import EvaluatorScores, score_evaluator

from ..gate_file import Gate, Rule, load_data
from .population import Bounded, Components, FloatArray, Moved, Population, Predicted, Scaled, Shared
from .selection import Source, roles_of, select

BASE_RATE = 0.7
WITHIN = 0.3
_NEEDS_RECORD = "needs --record, the scores of an earlier run"


@dataclass(frozen=True, slots=True)
class DrawnSettings:
    """``base_rate``: how often an example is in the good state. ``within``: correlation of examples of one cluster.
    ``champion``: there is one besides the base; always where a rule is against the champion."""

    base_rate: float = BASE_RATE
    discordance: float = ASSUMED_DISCORDANCE
    within: float = WITHIN
    champion: bool = False


def drawn(gate: Gate, settings: DrawnSettings | None = None, *, same: bool = False) -> Source:
    """Raises DatasetError as `load_data` does, and ConfigurationError where settings are impossible or no blocking rule
    can be simulated."""
    settings = settings or DrawnSettings()
    _check(settings)
    data = load_data(gate)
    slices = sorted({column for rule in gate.rules for column in rule.columns})

    @cache
    def unanswered(title: str) -> EvaluatorScores:
        return _unanswered(gate, title, data, slices)

    def able(title: str, rule: Rule, components: Components) -> Unmeasured | None:
        if any(isinstance(moved, Scaled) for moved in components.moved.values()):
            return Unmeasured(f"how scores without bounds spread is not known: {_NEEDS_RECORD}")
        known = unanswered(title).columns["candidate"]
        for name in sorted(components.fixed):
            if any(isinstance(value, Unmeasured) for value in known.get(name, (Unmeasured(""),))):
                return Unmeasured(f"{name} is known once models have answered: {_NEEDS_RECORD}")
        return None

    # base against base is drawn like any other candidate, at difference 0
    selection = select(
        gate,
        able,
        same=False,
        way_out="--record RUN takes the scores of an earlier run, and with --aa asks for no difference",
    )
    champion = settings.champion or any(rule.against == "champion" for rule in gate.rules)
    roles = roles_of(champion)
    populations = tuple(
        _population(unanswered(title), components, settings, roles)
        for title, components in selection.components.items()
    )
    clustered = any(one.clusters is not None for one in populations)
    return Source(
        selection,
        populations,
        roles,
        same,
        "scores drawn for the examples of the gate file's data",
        tuple(_assumptions(settings, champion=champion, clustered=clustered, several=len(populations) > 1)),
        (),
    )


def _check(settings: DrawnSettings) -> None:
    rate, problems = settings.base_rate, list[Problem]()
    where = "command line --{}".format
    if not 0 < rate < 1:
        problems.append(Problem(where("base-rate"), f"{rate:g}", "a share above 0, below 1"))
    elif not 0 <= settings.discordance <= (most := 2 * rate * (1 - rate)) + 1e-12:
        way_out = "models that have nothing in common differ on so many"
        found = f"{settings.discordance:g}"
        problems.append(
            Problem(where("discordance"), found, f"from 0 to {most:.3g} at a base rate of {rate:g}", way_out)
        )
    if not 0 <= settings.within <= 1:
        problems.append(Problem(where("within"), f"{settings.within:g}", "a correlation from 0 to 1"))
    if problems:
        raise ConfigurationError(*problems)


def _unanswered(gate: Gate, title: str, data: Datasets, slices: list[str]) -> EvaluatorScores:
    """What is known of every example before any model has answered: its group, its slices, its part, its label."""
    evaluator = gate.evaluators[title]
    missing: dict[Request, Answer] = dict.fromkeys(evaluator.requests(data), Failed("not asked"))
    answers, verdicts = {"candidate": missing}, dict[str, Mapping[Request, Answer]]()
    if isinstance(evaluator, JudgedEvaluator):
        asked = evaluator.second_requests(data, answers)
        verdicts = {one: dict.fromkeys(asked.get(one, ()), Failed("not asked")) for one in evaluator.judges()}
    return score_evaluator(evaluator, data, answers, slices, verdicts)


def _population(
    scores: EvaluatorScores, components: Components, settings: DrawnSettings, roles: tuple[str, ...]
) -> Population:
    predicted = [one.classes for one in components.moved.values() if isinstance(one, Predicted)]
    bad, size = max([1, *(classes - 1 for classes in predicted)]), len(scores.examples)
    known = scores.columns["candidate"]
    fixed = {
        name: np.array([float(v) for v in known[name] if not isinstance(v, Unmeasured)]) for name in components.fixed
    }
    states = {name: np.tile(column, (1 + bad, 1)) for name, column in fixed.items()}
    states |= {name: _states(moved, fixed, bad, size) for name, moved in components.moved.items()}
    rate = settings.base_rate
    return Population(
        title=scores.evaluator,
        draw=scores.evaluator,
        examples=scores.examples,
        clusters=cluster_codes(one.group for one in scores.examples),
        states=states,
        weights=dict.fromkeys(roles, np.array([rate, *[(1 - rate) / bad] * bad])),
        moved=dict(components.moved),
        dependence=Shared(1 - settings.discordance / (2 * rate * (1 - rate)), settings.within),
    )


def _states(moved: Moved, fixed: Mapping[str, FloatArray], bad: int, size: int) -> FloatArray:
    """[1 + bad, examples]: the good state first."""
    if isinstance(moved, Predicted):
        return np.stack([(fixed["label"] + state) % moved.classes for state in range(1 + bad)])
    assert isinstance(moved, Bounded), "scores without bounds are not drawn"
    return np.repeat(np.array([[moved.end(1.0)], *[[moved.end(-1.0)]] * bad]), size, axis=1)


def _assumptions(settings: DrawnSettings, *, champion: bool, clustered: bool, several: bool) -> list[str]:
    found = [
        "a candidate of no difference is as good as the base",
        f"a base that is right on {100 * settings.base_rate:g} % of the examples (--base-rate)",
        f"at difference 0, models that differ on {100 * settings.discordance:g} % of the examples (--discordance)",
        "a champion as good as the base" if champion else "a first model: no champion to compare with (--champion)",
        "scores at one end of their range or the other: graded scores spread less, and decide more often",
        "components of one evaluator are good and bad together",
    ]
    if clustered:
        found.append(f"examples of one cluster correlate by {settings.within:g} (--within)")
    if several:
        found.append("evaluators are independent of one another: where they go together, all rules pass more often")
    return found
