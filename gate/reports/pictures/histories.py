"""What rules look at, gate by gate: earlier gates of the model, and this one at the right end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...history import PastDecision, figure_name, high_name, low_name
from ...record import DecisionRecord, EstimateRecord, MeasuredRecord, MeasurementRecord, RuleRecord
from ...registry.tracking import legal_names
from ..history_plots import HistoryPlot, history_plot
from ..rows import measurement_of

MOST_PLOTS = 12
MOST_GATES = 20


@dataclass(frozen=True, slots=True)
class _ThisGate:
    version: str
    decision: str
    metrics: Mapping[str, float]


def history_plots(record: DecisionRecord, history: Sequence[PastDecision]) -> tuple[HistoryPlot, ...]:
    """A plot for each metric that a rule looks at and an earlier gate measured. ``history``: oldest first; the gate of
    this record is left out of it, and the newest ``MOST_GATES`` are drawn."""
    earlier = [one for one in history if one.run_id != record.run.run_id][-MOST_GATES:]
    candidate = record.role("candidate")
    version = (candidate.version if candidate else None) or "?"
    found: dict[str, HistoryPlot] = {}
    for rule in record.rules:
        measurement = measurement_of(record, rule)
        if measurement is None:
            continue
        for name, figures in _figures(measurement).items():
            logged = next(iter(legal_names({name: None})))
            if name in found or not any(logged in one.metrics for one in earlier):
                continue
            gates = (*earlier, _ThisGate(version, record.decision, legal_names(figures)))
            plot = history_plot(gates, logged, called=name, bound=_bound(rule))
            if plot is not None:
                found[name] = plot
    return tuple(found.values())[:MOST_PLOTS]


def _figures(measurement: MeasurementRecord) -> Mapping[str, Mapping[str, float]]:
    """What MLflow has of this gate, by the name of the metric that is drawn: a model's own, or that of each pair."""
    name = figure_name(measurement.metric, measurement.slice)
    if measurement.subject == "pair":
        return {
            f"vs_{role}/{name}": _with_bounds(f"vs_{role}/{name}", pair.difference)
            for role, pair in measurement.comparisons.items()
        }
    baselines = {
        f"{role}/{name}": pair.baseline.value
        for role, pair in measurement.comparisons.items()
        if isinstance(pair.baseline, EstimateRecord)
    }
    return {name: _with_bounds(name, measurement.candidate) | baselines}


def _with_bounds(name: str, measured: MeasuredRecord) -> dict[str, float]:
    if not isinstance(measured, EstimateRecord):
        return {}
    return {name: measured.value, low_name(name): measured.low, high_name(name): measured.high}


def _bound(rule: RuleRecord) -> tuple[float, str] | None:
    """That of the metric's own value; one of a difference or of a share belongs to another axis."""
    for check in rule.checks:
        if check.against is None and not check.slice:
            return check.bound, f"{'≥' if check.side == 'at least' else '≤'} {check.bound:g}"
    return None
