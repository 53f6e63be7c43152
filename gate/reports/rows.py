"""What a report says of each rule and measurement, whatever it is drawn on: terminal, markdown or HTML.

Texts in here are foreign and untouched (names, reasons, slices): whoever draws them makes them inert.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import cast

from ..deciding import Outcome, Verdict
from ..history import WORN, chance_of_luck
from ..kinship import kin_of_judges, kinship_warning
from ..record import CheckRecord, DecisionRecord, EstimateRecord, MeasuredRecord, MeasurementRecord, RuleRecord
from .awaiting import approval_remarks
from .checks import (
    NOT_MEASURED,
    check_notes,
    is_relative,
    of_slices,
    scale_of_checks,
    slice_notes,
    written_checks,
)
from .numbers import Scale, reason_text, scale_for
from .power import power_note
from .spending import unasked_remarks

DECISION_MARKS: Mapping[Verdict, str] = {"promote": "✓", "block": "✗", "hold": "‖"}
OUTCOME_MARKS: Mapping[Outcome, str] = {
    "passed": "✓",
    "failed": "✗",
    "inconclusive": "?",
    "unmeasured": "–",
    "waived": "~",
}
ASCII_MARKS: Mapping[str, str] = {"✓": "+", "✗": "x", "‖": "=", "–": "-"}
_DIFFERENCE = "A difference is candidate minus baseline, paired by example."
_PAIR = "A rate of pairs, such as a win rate, is no difference: it is the candidate's beside that baseline."


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured quantity, written. Where there is none, ``value`` says so and ``reason`` says why."""

    value: str
    interval: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """Candidate minus one baseline, or what the pair of them came to. ``check`` is the rule's verdict on it, None where
    it is shown for reading only."""

    against: str
    figure: Figure
    check: CheckRecord | None = None


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One rule. ``check`` is the one on the candidate's own value, where the rule bounds that. ``checks`` are all of
    them as they are written, in ``check_scale``. ``of_pairs``: its changes are values of pairs, and no model has one of
    its own. Of a rule on slices, values and changes are those of all examples, for reading only. ``power``: what the
    examples could have shown, for where there is room."""

    rule: RuleRecord
    scale: Scale
    candidate: Figure
    baselines: Mapping[str, Figure]
    changes: tuple[Change, ...]
    check: CheckRecord | None
    baseline_values: Mapping[str, float]
    notes: tuple[str, ...]
    checks: tuple[CheckRecord, ...]
    check_scale: Scale
    of_pairs: bool = False
    power: str | None = None

    @property
    def warns(self) -> bool:
        return self.rule.severity == "warn"

    @property
    def outcome_text(self) -> str:
        """``✗ failed (warning only)``."""
        outcome = self.rule.outcome
        return f"{OUTCOME_MARKS[outcome]} {outcome}{' (warning only)' if self.warns else ''}"

    @property
    def text(self) -> str:
        """The rule in one line, with room to break before a slice."""
        metric, text = self.rule.metric, self.rule.text
        return f"{metric} {text[len(metric) :]}" if text.startswith(f"{metric}[") else text


@dataclass(frozen=True, slots=True)
class MeasurementRow:
    """One metric on one slice. ``methods`` names each method once; ``n`` and ``clusters`` are the smallest."""

    measurement: MeasurementRecord
    scale: Scale
    candidate: Figure
    baselines: Mapping[str, Figure]
    changes: tuple[Change, ...]
    slice: str
    n: int
    clusters: int
    coverage: float
    methods: tuple[str, ...]


def rows_of_rules(record: DecisionRecord) -> tuple[RuleRow, ...]:
    """In the order of the gate file."""
    usual = usual_confidence(record)
    return tuple(_rule_row(rule, measurement_of(record, rule), usual) for rule in record.rules)


def rows_of_measurements(record: DecisionRecord) -> tuple[MeasurementRow, ...]:
    """Every measurement, in the order of the record."""
    return tuple(_measurement_row(measurement) for measurement in record.measurements)


def families_of(rows: Iterable[MeasurementRow]) -> Mapping[str, list[MeasurementRow]]:
    """Measurements by evaluator, in the order of the record."""
    families: dict[str, list[MeasurementRow]] = {}
    for row in rows:
        families.setdefault(row.measurement.metric.partition(".")[0], []).append(row)
    return families


def measurement_of(record: DecisionRecord, rule: RuleRecord) -> MeasurementRecord | None:
    """The measurement that ``rule`` was judged by."""
    return None if rule.measurement is None else record.measurements[rule.measurement]


def baselines_of(record: DecisionRecord) -> tuple[str, ...]:
    """``("base", "champion")`` or fewer: the baselines that this run had."""
    return tuple(role for role in ("base", "champion") if record.role(role) is not None)


def roles_of(record: DecisionRecord) -> tuple[tuple[str, str], ...]:
    """``("candidate", "support-bot v7"), ...``; a champion that does not exist is said, not left out."""
    named = [(model.role, model.label) for model in record.models]
    if record.role("champion") is None:
        named.append(("champion", record.champion_note or "none"))
    return tuple(named)


def reason_of(record: DecisionRecord) -> str:
    """The decision's sentence without the decision word that every headline shows already."""
    return record.sentence.removeprefix(f"{record.decision.capitalize()}: ")


def remarks_of(record: DecisionRecord) -> tuple[str, ...]:
    """What must be said right beside the decision."""
    return (*approval_remarks(record), *other_remarks(record))


def other_remarks(record: DecisionRecord) -> tuple[str, ...]:
    """Those that do not say how an approval is given: the form in which one is given says that itself."""
    remarks = [f"The candidate's files are identical to the {role}'s." for role in record.identical]
    if record.run.dry_run:
        remarks.append("Dry run: whatever was decided, nothing was changed in the registry.")
    if record.review is not None:
        said = {"approve": "Approved", "block": "Blocked"}[record.review.verdict]
        remarks.append(f"{said} in review by {record.review.reviewer}: {record.review.reason}")
    remarks += unasked_remarks(record)
    remarks += _kinship_remarks(record)
    judged_on = {
        str(value)
        for evaluator in record.evaluators
        for key, value in evaluator.settings.items()
        if key in ("data", "unseen", "validation")
    }
    for name in sorted(judged_on & set(record.run.uses)):
        uses = record.run.uses[name]
        chance = chance_of_luck(uses + 1)
        if chance >= WORN:
            remarks.append(
                f"{name} is wearing out: {uses} earlier gates of this model decided on it, so the chance that one of "
                f"them promoted by luck has grown up to {100 * chance:.0f} %. Take fresh examples."
            )
    return tuple(remarks)


def _kinship_remarks(record: DecisionRecord) -> Iterator[str]:
    behind_apis = [(model, str(name)) for model in record.models if (name := model.facts.get("model")) is not None]
    judged = {model.role: name for model, name in behind_apis if model.role != "judge"}
    judges = {model.uri: name for model, name in behind_apis if model.role == "judge"}
    for judge, roles in kin_of_judges(judged, judges).items():
        warning = kinship_warning(judge, roles)
        yield f"{warning[0].upper()}{warning[1:]}."


def summary_of(record: DecisionRecord) -> str:
    """``3 rules passed, 1 failed; 1 warning``."""
    blocking = Counter(rule.outcome for rule in record.rules if rule.severity == "block")
    counts = [f"{count} {outcome}" for outcome in OUTCOME_MARKS if (count := blocking[outcome])]
    warnings = sum(rule.severity == "warn" and rule.outcome != "passed" for rule in record.rules)
    total = sum(blocking.values())
    said = f"{total} blocking rule{'' if total == 1 else 's'}: {', '.join(counts)}" if total else "no blocking rule"
    return said + (f"; {warnings} warning{'' if warnings == 1 else 's'}" if warnings else "")


def usual_confidence(record: DecisionRecord) -> float:
    """The confidence most measurements were made at."""
    return next(iter(Counter(one.confidence for one in record.measurements).most_common(1)), (0.95, 0))[0]


def confidence_sentence(record: DecisionRecord) -> str:
    """The one place where a report explains its brackets."""
    percent = f"{100 * usual_confidence(record):g} %"
    return (
        f"[low, high] are one-sided {percent} bounds: with {percent} confidence the true value is above low, "
        f"and with {percent} confidence it is below high."
    )


def difference_sentence(record: DecisionRecord) -> str:
    """What stands in the column of changes."""
    return f"{_DIFFERENCE} {_PAIR}" if any(one.subject == "pair" for one in record.measurements) else _DIFFERENCE


def slice_text(by: Mapping[str, str]) -> str:
    return ", ".join(f"{column}={value}" for column, value in by.items())


def estimate_warnings(record: DecisionRecord) -> Mapping[str, tuple[str, ...]]:
    """Warning to what it is about, ``classification.accuracy (candidate - base)``, in the order of the record."""
    about: dict[str, list[str]] = {}
    for measurement in record.measurements:
        name = measurement.metric + (f" on {slice_text(measurement.slice)}" if measurement.slice else "")
        for part, measured in _parts(measurement):
            if isinstance(measured, EstimateRecord):
                for warning in measured.warnings:
                    about.setdefault(warning, []).append(f"{name} ({part})")
    return {warning: tuple(places) for warning, places in about.items()}


def figure(measured: MeasuredRecord, scale: Scale, *, signed: bool = False) -> Figure:
    if isinstance(measured, EstimateRecord):
        value = scale.change(measured.value) if signed else scale.value(measured.value)
        return Figure(value, scale.interval(measured, signed=signed))
    return Figure(NOT_MEASURED, reason=reason_text(measured.unmeasured))


def _rule_row(rule: RuleRecord, measurement: MeasurementRecord | None, usual: float) -> RuleRow:
    checks, sliced = written_checks(rule), of_slices(rule)
    on_all = () if sliced else checks
    own = next((check for check in on_all if check.against is None), None)
    of_pairs = measurement is not None and measurement.subject == "pair"
    against = {check.against: check for check in on_all if check.against is not None}
    comparisons = measurement.comparisons if measurement else {}
    by_metric = () if is_relative(rule) else checks
    measured = [check.measured for check in by_metric]
    if measurement:
        measured.append(measurement.candidate)
    measured += chain.from_iterable((one.baseline, one.difference) for one in comparisons.values())
    bounds = [(check.measured, check.bound) for check in by_metric]
    scale = scale_for(measured, unit=measurement.unit if measurement else "", bounds=bounds)
    check_scale = scale_of_checks(rule, checks, scale)

    changes: list[Change] = []
    for role in dict.fromkeys((*against, *comparisons)):
        check = against.get(role)
        if check is not None:
            changes.append(Change(role, figure(check.measured, check_scale, signed=not of_pairs), check))
        elif (own is not None or sliced) and isinstance(comparisons[role].difference, EstimateRecord):
            changes.append(Change(role, figure(comparisons[role].difference, scale, signed=not of_pairs)))
    if own is not None:
        candidate = figure(own.measured, scale)
    elif of_pairs:
        candidate = Figure("")
    else:
        candidate = figure(measurement.candidate, scale) if measurement else Figure(NOT_MEASURED)
    return RuleRow(
        rule=rule,
        scale=scale,
        candidate=candidate,
        baselines={}
        if of_pairs
        else {role: figure(comparison.baseline, scale) for role, comparison in comparisons.items()},
        changes=tuple(changes),
        check=own,
        baseline_values={
            role: one.baseline.value for role, one in comparisons.items() if isinstance(one.baseline, EstimateRecord)
        },
        notes=tuple(_notes(rule, checks, check_scale, measurement, usual)),
        checks=checks,
        check_scale=check_scale,
        of_pairs=of_pairs,
        power=None if sliced else power_note(rule, checks, scale, measurement),
    )


def _notes(
    rule: RuleRecord,
    checks: Sequence[CheckRecord],
    scale: Scale,
    measurement: MeasurementRecord | None,
    usual: float,
) -> Iterator[str]:
    """What the numbers of a row do not say by themselves."""
    if of_slices(rule):
        yield from slice_notes(rule, checks, scale, of_pairs=measurement is not None and measurement.subject == "pair")
    else:
        yield from check_notes(rule, checks, scale, measurement)
    confidence = rule.settings.get("confidence")
    if confidence == "none":
        yield "decided by the point estimate alone: confidence is none"
    elif measurement is not None and measurement.confidence != usual:
        yield f"its bounds are one-sided at {100 * measurement.confidence:.6g} %"
    waiver = rule.settings.get("waiver")
    if isinstance(waiver, dict) and not (of_slices(rule) and rule.outcome == "waived"):  # said by the sentence
        yield _waiver_text(cast("Mapping[str, object]", waiver), rule.outcome)


def _waiver_text(waiver: Mapping[str, object], outcome: Outcome) -> str:
    owner, reason, expires = (str(waiver.get(key, "?")) for key in ("owner", "reason", "expires"))
    if outcome == "waived":
        return f"waived by {owner} until {expires}: {reason}"
    if outcome == "passed":
        return f"passed, so the waiver of {owner} (until {expires}) was not used"
    return f"the waiver of {owner} expired on {expires}"


def _parts(measurement: MeasurementRecord) -> Iterator[tuple[str, MeasuredRecord]]:
    if measurement.subject == "pair":
        yield from ((f"against {role}", pair.difference) for role, pair in measurement.comparisons.items())
        return
    yield "candidate", measurement.candidate
    for role, comparison in measurement.comparisons.items():
        yield role, comparison.baseline
        yield f"candidate - {role}", comparison.difference


def _measurement_row(measurement: MeasurementRecord) -> MeasurementRow:
    measured = [part for _, part in _parts(measurement)]
    estimates = [one for one in measured if isinstance(one, EstimateRecord)]
    scale = scale_for(measured, unit=measurement.unit)
    of_pairs = measurement.subject == "pair"
    own = {role: figure(one.baseline, scale) for role, one in measurement.comparisons.items()}
    return MeasurementRow(
        measurement=measurement,
        scale=scale,
        candidate=Figure("") if of_pairs else figure(measurement.candidate, scale),
        baselines={} if of_pairs else own,
        changes=tuple(
            Change(role, figure(one.difference, scale, signed=not of_pairs))
            for role, one in measurement.comparisons.items()
        ),
        slice=slice_text(measurement.slice),
        n=min((one.n for one in estimates), default=0),
        clusters=min((one.clusters for one in estimates), default=0),
        coverage=min(measurement.scored.values(), default=0) / measurement.planned if measurement.planned else 0.0,
        methods=tuple(dict.fromkeys(one.method for one in estimates)),
    )
