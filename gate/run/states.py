"""What a run is asked for, and what each step hands to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path

from finetune_gate.evaluators.datasets import Dataset
from finetune_gate.evaluators.findings import Findings
from finetune_gate.evaluators.scores import ScoreTable
from finetune_gate.evaluators.showing import ShownExamples

from ..deciding import Circumstances, Decision, Review
from ..gate_file import Gate
from ..home import default_home
from ..models.protocol import JsonScalar
from ..pins import Pins, Role
from ..record import DecisionRecord
from ..registry import Promoter, Registry
from .answering import Answered
from .looks import Levels, Stopped
from .measuring import Measured
from .seen import Seen

RECORD_FILE = "decision-record.json"
SCORES_FILE = "scores.parquet"
FINDINGS_FILE = "findings.json"
EXAMPLES_FILE = "examples.parquet"
SEEN_FILE = "seen.json"
REPORT_FILE = "report.html"
HISTORY_FILE = "earlier-gates.json"
MARKDOWN_FILE = "report.md"


@dataclass(frozen=True, slots=True)
class GateRequest:
    """What a trigger asks for.

    ``candidate`` is ``7``, ``@alias``, ``latest`` or a ``models:/`` URI. ``base`` overrides the gate file's.
    ``dry_run`` decides and reports, and changes nothing in the registry. ``out`` gets one folder per run.
    ``trigger`` and ``actor`` go into the record, and so does ``candidate_origin``: how a version was found that is
    given by number. ``review`` is a person's, of an earlier decision to hold; an approval
    counts as long as all is as it was ``seen`` then (None: whatever has changed). ``approval``: hold what would be
    promoted until a person approves it, even where the gate file does not ask for that.
    """

    gate_file: Path
    candidate: str
    base: str | None = None
    dry_run: bool = False
    tracking_uri: str | None = None
    out: Path = Path(".finetune-gate")
    home: Path = field(default_factory=default_home)
    trigger: str = "library"
    actor: str = "unknown"
    candidate_origin: str = ""
    review: Review | None = None
    seen: Seen | None = None
    approval: bool = False


@dataclass(frozen=True, slots=True)
class Resolved:
    """Everything a run is about, pinned.

    ``alias_at`` is the version that the promotion alias may be moved away from, and ``generation`` the last move in the
    promotion ledger then: judged against another, nothing moves. ``settled`` says what was found unfinished then, or
    moved by hand, and what was done about it. ``downloads``: where files from elsewhere lie until the run ends.
    ``key`` names the run: equal pins, gate file and data make an equal key.
    """

    request: GateRequest
    gate: Gate
    data: Mapping[str, Dataset]
    registry: Registry
    pins: Pins
    identical: tuple[Role, ...]
    alias_at: str | None
    generation: int
    settled: tuple[str, ...]
    key: str
    today: date
    started: datetime
    folder: Path
    downloads: Path


@dataclass(frozen=True, slots=True)
class ModelAnswers:
    """Answers of all models, and the facts about how each was run, by role or judge."""

    answered: Answered
    facts: Mapping[str, Mapping[str, JsonScalar]]

    def after(self, earlier: ModelAnswers) -> ModelAnswers:
        """These, with what was asked for at an earlier look of the same run."""
        return replace(self, answered=self.answered.after(earlier.answered))


@dataclass(frozen=True, slots=True)
class Scored:
    """What the answers came to: the numbers that are decided by, and what else there is to show and to read."""

    table: ScoreTable
    findings: Findings
    examples: ShownExamples


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision with everything that was measured for it. ``stopped``: why no further look was taken; ``unasked``: the
    share of a model's answers that were not asked for then."""

    decision: Decision
    circumstances: Circumstances
    measured: Measured
    answers: ModelAnswers
    levels: Levels | None = None
    stopped: Stopped | None = None
    unasked: float = 0.0


@dataclass(frozen=True, slots=True)
class Acted:
    """The record as it was published, and the MLflow run that holds it."""

    record: DecisionRecord
    run_id: str
    address: str
    promoter: Promoter
