"""Which rules of a gate file can be simulated, and the gate file cut down to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.errors import ConfigurationError, Problem
from finetune_gate.evaluators.estimators import Counted, Part
from finetune_gate.evaluators.evaluator import Evaluator, divisible
from finetune_gate.evaluators.metrics import Metric

from ..gate_file import Gate, Rule
from .population import Components, Population
from .terms import AssumedRule

Able = Callable[[str, Rule, Components], Unmeasured | None]
"""Why scores of these components of an evaluator cannot be made, for this rule; None where they can."""


@dataclass(frozen=True, slots=True)
class Selection:
    """``gate`` holds what is simulated and nothing else; ``indices`` are the places of its rules in the gate file.
    ``components`` are by evaluator; ``in_parts`` names those of which a look sees some examples only."""

    gate: Gate
    indices: tuple[int, ...]
    assumed: tuple[AssumedRule, ...]
    components: Mapping[str, Components]
    in_parts: frozenset[str]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """What worlds are drawn from, in ``said`` words. ``same``: base against base, which no difference can be given."""

    selection: Selection
    populations: tuple[Population, ...]
    roles: tuple[str, ...]
    same: bool
    said: str
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Narrowed:
    """An evaluator of which nothing is asked but its metrics, and only those that rules speak of."""

    title: str
    chosen: tuple[Metric, ...]

    def metrics(self) -> tuple[Metric, ...]:
        return self.chosen


def select(gate: Gate, able: Able, *, same: bool, way_out: str) -> Selection:
    """Raises ConfigurationError where no blocking rule is left."""
    components = {title: Components.none() for title in gate.evaluators}
    chosen: dict[str, dict[str, Metric]] = {title: {} for title in gate.evaluators}
    kept: list[tuple[int, Rule]] = []
    assumed: list[AssumedRule] = []
    warnings: list[str] = []
    for index, rule in enumerate(gate.rules):
        title, _, name = rule.metric.partition(".")
        metric = next(one for one in gate.evaluators[title].metrics() if one.name == name)
        found = _with(components[title], metric, same=same)
        absent = found if isinstance(found, Unmeasured) else able(title, rule, found)
        if isinstance(found, Unmeasured) or absent is not None:
            reason = absent.reason if absent is not None else ""
            assumed.append(AssumedRule(index=index, rule=rule.text, severity=rule.severity, reason=reason))
            continue
        components[title] = found
        chosen[title][name] = replace(metric, requires=())
        kept.append((index, rule.model_copy(update={"requires": {}})))
        required = (*(f"{title}.{one.metric}" for one in metric.requires), *rule.requires)
        if required:
            warnings.append(f"{rule.text}: that {' and '.join(required)} suffice is taken for granted")
    if not any(rule.severity == "block" for _, rule in kept):
        raise ConfigurationError(
            *(
                Problem(f"{gate.path}: rule {one.rule!r}", f"cannot be simulated: {one.reason}", "", way_out)
                for one in assumed
                if one.severity == "block"
            )
        )
    evaluators = {title: _Narrowed(title, tuple(metrics.values())) for title, metrics in chosen.items() if metrics}
    narrowed = replace(
        gate, evaluators=cast("Mapping[str, Evaluator]", evaluators), rules=tuple(rule for _, rule in kept)
    )
    parts = divisible(gate.evaluators.values())
    return Selection(
        narrowed,
        tuple(index for index, _ in kept),
        tuple(assumed),
        {title: components[title] for title in evaluators},
        frozenset(title for title, one in gate.evaluators.items() if parts.intersection(one.reads())),
        tuple(warnings),
    )


def _with(components: Components, metric: Metric, *, same: bool) -> Components | Unmeasured:
    if metric.subject != "model":
        about = {"pair": "pairs of models", "run": "the run as a whole"}[metric.subject]
        return Unmeasured(f"it is about {about}, which no world has")
    of = metric.estimator.of if isinstance(metric.estimator, Part) else metric.estimator
    if same and not isinstance(of, Counted):
        return Components({}, components.fixed | set(metric.estimator.components))
    return components.with_metric(metric)


def roles_of(champion: bool) -> tuple[str, ...]:
    return ("candidate", "base", "champion") if champion else ("candidate", "base")
