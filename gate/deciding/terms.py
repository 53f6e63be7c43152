"""What is decided with, and what comes out: frozen data, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.measurement import Measurement
from finetune_gate.evaluators.statistics import Estimate

from ..gate_file.rules import Rule, Severity

Verdict = Literal["promote", "block", "hold"]
"""What the gate decides.

promote   every blocking rule passed, at least one of them by measurement
block     a blocking rule failed
hold      neither: something is inconclusive or unmeasured, there is nothing to promote, or nobody has approved yet
"""

Outcome = Literal["passed", "failed", "inconclusive", "unmeasured", "waived"]
"""Of one rule.

passed        the whole interval lies on the good side of the bound
failed        the whole interval lies on the bad side
inconclusive  the bound lies inside the interval
unmeasured    there is no number to compare, and a reason why
waived        it did not pass, and somebody answers for that until a date
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison of one rule. ``against`` is None where the candidate's own value is bounded, else the baseline
    that it is compared with, or beside which it was measured.

    ``bound`` is in the unit of the measured value or difference, or a share of the baseline's value where the rule asks
    for a relative change; ``side`` says on which side of it good values lie. ``needed`` is about how many examples
    would settle an inconclusive check, None where that cannot be said. ``slice``: the value it is about, of a rule that
    judges each value of a column. ``confidence``: of the interval, where it is not the rule's own, because many
    comparisons were made.
    """

    against: str | None
    bound: float
    side: Literal["at least", "at most"]
    measured: Estimate | Unmeasured
    outcome: Outcome
    needed: int | None = None
    slice: Mapping[str, str] = field(default_factory=dict[str, str])
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class MeasuredSlice:
    """One value of the column of a rule's ``slices``. ``stricter[k]`` is the same measurement with intervals at
    1 - (1 - confidence) / k: what it takes to fail as one of k comparisons. There for the k that may be asked for."""

    value: str
    measurement: Measurement
    stricter: Mapping[int, Measurement] = field(default_factory=dict[int, Measurement])


@dataclass(frozen=True, slots=True)
class Sliced:
    """What a rule with ``slices`` rests on: every value of ``column`` that has ``least`` examples or more, by itself.

    ``few`` are the values that have fewer, with how many; ``without`` counts examples that have no value there. Neither
    is judged, and both are said.
    """

    column: str
    least: int
    slices: tuple[MeasuredSlice, ...]
    few: Mapping[str, int] = field(default_factory=dict[str, int])
    without: int = 0


@dataclass(frozen=True, slots=True)
class SlicedMeasurement(Measurement):
    """A measurement on all examples, and what rules with ``slices`` rest on beside it."""

    sliced: tuple[Sliced, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleResult:
    """A rule with its outcome; ``sentence`` says it in words."""

    index: int
    rule: Rule
    outcome: Outcome
    checks: tuple[Check, ...]
    sentence: str

    @property
    def severity(self) -> Severity:
        return self.rule.severity


@dataclass(frozen=True, slots=True)
class Required:
    """What a rule requires of another metric: ``least``, compared with the point value of ``measurement``.
    ``otherwise`` says what is wrong where it is less."""

    metric: str
    least: float
    otherwise: str
    measurement: Measurement


@dataclass(frozen=True, slots=True)
class Review:
    """What a person said of a decision to hold. ``approve`` is the approval where one is required, and where a review
    waives, it answers for every rule that is not settled, as a waiver does; rules that failed stay failed. ``block``
    blocks. There is no default."""

    verdict: Literal["approve", "block"]
    reviewer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a decision must know besides measurements.

    ``identical`` names baselines whose files are the candidate's own. ``has_champion`` is False for a first model.
    ``today`` is the day on which waivers are judged, pinned when the run started. ``champion_moved`` says where the
    champion alias was found just before promotion, if that was no longer where it pointed when the run began;
    ``files_changed`` how the candidate's files then differed from those that were judged, if they did.
    ``review`` is a person's, where one was asked for and given; ``review_waives``: an approval answers for rules that
    are not settled. ``approval_required``: what would be promoted is held until a person approves it.
    """

    has_champion: bool
    identical: tuple[str, ...]
    today: date
    champion_moved: str | None = None
    files_changed: str | None = None
    review: Review | None = None
    review_waives: bool = False
    approval_required: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """``verdict`` with one sentence for people, and every rule's result in the order of the gate file.
    ``awaits_approval``: it is held for nothing but the approval that is required."""

    verdict: Verdict
    sentence: str
    results: tuple[RuleResult, ...]
    awaits_approval: bool = False
