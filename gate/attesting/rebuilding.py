"""A decision made again from a record and its score table: no model is asked, no data are read.

gate = gate_of(record)
again = decide_again(gate, table, circumstances_of(record, gate), levels_of(record.look))
again.decision.verdict, again.rules()
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import cast

from finetune_gate.evaluators.errors import ConfigurationError, Problem
from finetune_gate.evaluators.scores import ScoreTable

from ..deciding import Circumstances, Decision, Review
from ..gate_file.loader import gate_from_settings
from ..gate_file.settings import Gate
from ..record import DecisionRecord, MeasurementRecord, ReviewRecord, RuleRecord
from ..run.judging import decide_at_look
from ..run.looks import Levels, Stopped
from ..run.measuring import Measured, measure_gate
from ..run.record_parts import measurement_record, rule_record


@dataclass(frozen=True, slots=True)
class Again:
    """What came of deciding again. ``stopped``: why no further look would have been taken."""

    measured: Measured
    decision: Decision
    stopped: Stopped | None

    def measurements(self) -> tuple[MeasurementRecord, ...]:
        return tuple(map(measurement_record, self.measured.measurements))

    def rules(self) -> tuple[RuleRecord, ...]:
        return tuple(rule_record(result, self.measured.rests_on[result.index]) for result in self.decision.results)


def gate_of(record: DecisionRecord) -> Gate:
    """The gate whose settings the record keeps. Raises ConfigurationError where they are no gate file's, or name an
    evaluator that cannot be imported here."""
    path = Path(record.run.gate_file or "gate file")
    return gate_from_settings(record.gate_file.settings, path, record.gate_file.digest)


def kinds_of(record: DecisionRecord) -> tuple[str, ...]:
    """What the gate file calls its evaluators: names, or addresses of classes."""
    entries = record.gate_file.settings.get("evaluators")
    found = cast("list[object]", entries) if isinstance(entries, list) else []
    return tuple(
        str(kind) for entry in found if isinstance(entry, Mapping) for kind in cast("Mapping[str, object]", entry)
    )


def circumstances_of(record: DecisionRecord, gate: Gate) -> Circumstances:
    """Those of the record. Raises ConfigurationError where its day is none."""
    try:
        today = date.fromisoformat(record.today)
    except ValueError:
        raise ConfigurationError(Problem("today", repr(record.today), "a day, YYYY-MM-DD")) from None
    return Circumstances(
        has_champion=record.role("champion") is not None,
        identical=record.identical,
        today=today,
        champion_moved=record.champion_moved,
        files_changed=record.files_changed,
        review=_review(record.review),
        review_waives=gate.file.review.wait == "hold",
        approval_required=record.approval_required,
    )


def decide_again(gate: Gate, table: ScoreTable, circumstances: Circumstances, levels: Levels | None) -> Again:
    """``table`` has a place for every evaluator of ``gate``."""
    measured = measure_gate(gate, table, levels)
    decision, stopped = decide_at_look(gate, measured, circumstances, levels)
    return Again(measured, decision, stopped)


def _review(review: ReviewRecord | None) -> Review | None:
    return None if review is None else Review(review.verdict, review.reviewer, review.reason)
