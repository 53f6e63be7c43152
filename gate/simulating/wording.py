"""A simulation in words. Nothing here counts."""

from __future__ import annotations

from .terms import Point, Rate, SimulatedRule, Simulation, TrueCheck

_FAR = 3.0
"""Monte Carlo standard errors by which a rate must exceed what is promised, to be called more."""


def sentences_of(found: Simulation) -> tuple[str, ...]:
    if found.same:
        return tuple(_no_difference(found))
    by_difference = {point.difference: point for point in found.points}
    worst, equal = min(found.points, key=lambda point: point.difference), by_difference.get(0.0)
    sentences = _at_bounds(found, by_difference)
    if worst.difference < 0:
        sentences.append(f"One that is {_how(worst.difference)} is blocked in {percent(worst.verdicts['block'])}.")
    if equal is not None:
        sentences.append(_equal(found, equal))
    return tuple(sentences)


def percent(rate: Rate) -> str:
    return f"{100 * rate.share:.1f} %"


def _how(difference: float) -> str:
    return f"{abs(difference):.3g} {'worse' if difference < 0 else 'better'}" if difference else "equal"


def _at_bounds(found: Simulation, by_difference: dict[float, Point]) -> list[str]:
    """One for each difference at which a blocking rule's bound lies: at most 1 - confidence may be promoted there."""
    sentences: list[str] = []
    for at in sorted({rule.bound_at for rule in found.rules if rule.bound_at is not None}):
        here = [rule for rule in found.rules if rule.bound_at == at and _promises(rule)]
        point = by_difference.get(at)
        if point is None or not here:
            continue
        rule = max(here, key=lambda one: one.confidence or 0.0)
        promised, promoted = 1 - (rule.confidence or 0.0), point.verdicts["promote"]
        bounds = " and ".join(repr(one.rule) for one in here)
        sentence = (
            f"A candidate exactly at the bound of {bounds} ({_how(at)}) is promoted in {percent(promoted)} "
            f"of worlds (promised: at most {100 * promised:.3g} %)"
        )
        if promoted.share > promised + _FAR * promoted.error:
            sentence += ": more than promised, by more than chance explains"
        sentences.append(f"{sentence}.")
    return sentences


def _promises(rule: SimulatedRule) -> bool:
    return rule.severity == "block" and rule.confidence is not None and not rule.waived


def _equal(found: Simulation, equal: Point) -> str:
    sentence = f"One that is equal is promoted in {percent(equal.verdicts['promote'])}"
    blocking = [(rule, seen) for rule, seen in zip(found.rules, equal.rules, strict=True) if _promises(rule)]
    never = [rule for rule, seen in blocking if any(_good_by(one) <= 0 for one in seen.truth)]
    if never:
        return f"{sentence}: {never[0].rule!r} asks for more than that, and no number of examples changes it."
    lacking = [rule for rule, _ in blocking if rule.needed is not None]
    if lacking:
        most = max(lacking, key=lambda rule: rule.needed or 0)
        needed = f"about {most.needed:,} examples, not {most.examples:,},"
        return f"{sentence}: {needed} would let it pass {most.rule!r} in 80 %."
    return f"{sentence}."


def _no_difference(found: Simulation) -> list[str]:
    (point,) = found.points
    verdicts = point.verdicts
    sentences = [
        f"Where there is no difference, the gate blocks in {percent(verdicts['block'])} of worlds, holds in "
        f"{percent(verdicts['hold'])} and promotes in {percent(verdicts['promote'])}."
    ]
    for rule, seen in zip(found.rules, point.rules, strict=True):
        wrong = [one for one in seen.truth if _good_by(one) < 0]
        rate = percent(seen.outcomes["failed"])
        if not seen.truth:
            sentences.append(f"{rule.rule!r} fails in {rate}; its true value is not known.")
        elif wrong:
            value, bound = wrong[0].value, wrong[0].bound
            sentences.append(f"{rule.rule!r} fails in {rate}, and rightly: the truth is {value:.4g}, not {bound:g}.")
        else:
            sentences.append(f"{rule.rule!r} fails in {rate}: false alarms.")
    return sentences


def _good_by(truth: TrueCheck) -> float:
    return truth.value - truth.bound if truth.side == "at least" else truth.bound - truth.value
