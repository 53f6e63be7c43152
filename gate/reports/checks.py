"""How the checks of a rule are written: those on relative changes in per cent, those on slices one line each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from finetune_gate.evaluators.statistics import MOST_EXAMPLES

from ..record import CheckRecord, EstimateRecord, MeasurementRecord, RuleRecord
from .inert import inert_text
from .numbers import Scale, bound_text, reason_text, scale_for

NOT_MEASURED = "not measured"
MOST_SLICES = 12
"""Of a rule on many slices, so many checks are shown, those that did not pass first."""
_WORST_FIRST = ("failed", "unmeasured", "inconclusive", "waived", "passed")


def is_relative(rule: RuleRecord) -> bool:
    """Whether its checks are on shares of the baseline's value."""
    return rule.settings.get("min_relative_change") is not None


def is_change(rule: RuleRecord) -> bool:
    return any(rule.settings.get(name) is not None for name in ("min_change", "max_change", "min_relative_change"))


def of_slices(rule: RuleRecord) -> bool:
    """Whether it judges every value of a column by itself."""
    return rule.settings.get("slices") is not None


def written_checks(rule: RuleRecord) -> tuple[CheckRecord, ...]:
    """In the unit that they are written in."""
    return tuple(map(_in_per_cent, rule.checks)) if is_relative(rule) else rule.checks


def scale_of_checks(rule: RuleRecord, checks: Sequence[CheckRecord], usual: Scale) -> Scale:
    """``usual`` is that of the metric's values."""
    if not is_relative(rule):
        return usual
    found = scale_for([check.measured for check in checks], unit="%", bounds=[(c.measured, c.bound) for c in checks])
    return Scale(found.decimals, found.scientific, percent=True, relative=True)


def worst_first(checks: Sequence[CheckRecord]) -> list[CheckRecord]:
    return sorted(checks, key=lambda check: _WORST_FIRST.index(check.outcome))


def slice_name(by: Mapping[str, str]) -> str:
    return ", ".join(f"{inert_text(column, limit=40)}={inert_text(value, limit=60)}" for column, value in by.items())


def check_notes(
    rule: RuleRecord, checks: Sequence[CheckRecord], scale: Scale, measurement: MeasurementRecord | None
) -> Iterator[str]:
    several = len(checks) > 1
    reasons: dict[str, list[str]] = {}
    for check in checks:
        if not isinstance(check.measured, EstimateRecord):
            reasons.setdefault(reason_text(check.measured.unmeasured), []).append(check.against or "candidate")
    for reason, roles in reasons.items():
        about = f" against {' and '.join(roles)}" if several and len(roles) < len(checks) else ""
        yield f"{NOT_MEASURED}{about}: {reason}"
    for check in checks:
        if check.needed is not None:
            about = f" against {check.against}" if several else ""
            there = f", there are {measurement.planned:,}" if measurement else ""
            if check.needed >= MOST_EXAMPLES:
                yield f"more than {MOST_EXAMPLES:,} examples would be needed to settle it{about}{there}"
            else:
                yield f"about {check.needed:,} examples would settle it{about}{there}"
        elif check.outcome == "inconclusive":
            change = check.against is not None and is_change(rule)
            bound = bound_text(check.bound, scale, change=change)
            about = f" against {check.against}" if several else ""
            yield f"the bound {bound} lies inside the interval{about}"


def slice_notes(rule: RuleRecord, checks: Sequence[CheckRecord], scale: Scale, *, of_pairs: bool) -> Iterator[str]:
    """What came of the rule, then a line for each of the checks."""
    yield rule.sentence
    judged = worst_first([check for check in checks if check.slice])
    for check in judged[:MOST_SLICES]:
        against = f" against {check.against}" if check.against is not None else ""
        yield f"{slice_name(check.slice)}{against}: {_came_to(check, scale, of_pairs)}"
    more = Counter(check.outcome for check in judged[MOST_SLICES:])
    if more:
        yield f"and {more.total()} more: {', '.join(f'{count} {outcome}' for outcome, count in more.items())}"


def _came_to(check: CheckRecord, scale: Scale, of_pairs: bool) -> str:
    measured = check.measured
    if not isinstance(measured, EstimateRecord):
        return f"{NOT_MEASURED}: {reason_text(measured.unmeasured)}"
    signed = check.against is not None and not of_pairs
    value = scale.change(measured.value) if signed else scale.value(measured.value)
    level = f" at {100 * check.confidence:.4g} %" if check.confidence is not None else ""
    return f"{value} {scale.interval(measured, signed=signed)}{level}, {check.outcome}, {measured.n:,} examples"


def _in_per_cent(check: CheckRecord) -> CheckRecord:
    changed: dict[str, object] = {"bound": 100 * check.bound}
    if isinstance(check.measured, EstimateRecord):
        numbers = {name: 100 * getattr(check.measured, name) for name in ("value", "low", "high")}
        changed["measured"] = check.measured.model_copy(update=numbers)
    return check.model_copy(update=changed)
