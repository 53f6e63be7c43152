"""What `AbJudge` shows besides numbers. Answers and rationales are hostile text; the report makes them inert."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

from ...absent import Unmeasured
from ...findings import Cell, Finding, Table
from ..by_judge import Key
from ..controls import KINDS, Control
from ..judged_texts import Comparison
from ..tables import SHOWN, alpha_of, mean_of, panel_without_each, passed_of, prompt_table, short
from .advice import advice
from .components import People
from .judgement import Judgement
from .judges import AskedJudge, Verdict
from .settings import AbJudgeSettings, Panelist


def judging_findings(
    settings: AbJudgeSettings, found: Judgement, asked: Sequence[Comparison], people: People
) -> list[Finding]:
    """``asked``: everything that was judged, controls first, in the order of asking."""
    if not found.baselines:
        return []
    tables = [_judges(found), *_without_one(found), *_agreement(found), *_failed_controls(found)]
    for baseline in found.baselines:
        tables += _telling(found, baseline, "lost", lambda told: -told.win)
        tables += _telling(found, baseline, "won", lambda told: told.win)
        tables += _flipped(found, baseline)
    return [*tables, *_prompt(found, asked), *advice(settings, found, people)]


def _judges(found: Judgement) -> Table:
    rows: list[list[Cell]] = []
    for baseline in found.baselines:
        for one in found.panel:
            told = found.verdicts[Key(one.address, baseline)]
            scored = [verdict for verdict in told if isinstance(verdict, Verdict)]
            reason = next((verdict.reason for verdict in told if isinstance(verdict, Unmeasured)), None)
            judged = found.judged(one.address, baseline)
            rows.append(
                [
                    one.address,
                    one.judge.nature,
                    "counts" if one.counts else "advisory",
                    baseline,
                    f"{len(scored)} of {len(told)}",
                    reason,
                    mean_of(verdict.win for verdict in scored),
                    mean_of(verdict.flipped for verdict in judged),
                    mean_of(verdict.first_slot for verdict in judged),
                    mean_of(_longer(found, one, baseline)),
                    *(passed_of(found.passed[Key(one.address, kind)]) for kind in KINDS),
                ]
            )
    columns = (
        "judge", "what it is", "standing", "against", "scored", "first reason it did not", "win rate", "flips",
        "first slot", "longer wins", "identical", "worse", "injections",
    )  # fmt: skip
    note = (
        "Means over what each judge scored; rules count what it did not score against the candidate. Flips: the order "
        "changed the verdict. First slot: preference for whatever stands first, 0.5 is even. The last three are "
        "controls whose outcome is known: share passed."
    )
    return Table.of("Judges", note, columns, rows)


def _longer(found: Judgement, one: Panelist, baseline: str) -> Iterable[float]:
    for at, verdict in enumerate(found.verdicts[Key(one.address, baseline)]):
        length = found.length_difference(baseline, at)
        if isinstance(verdict, Verdict) and isinstance(length, float) and length:
            yield verdict.win if length > 0 else 1.0 - verdict.win


def _without_one(found: Judgement) -> list[Table]:
    def wins(baseline: str, without: str | None) -> list[float | None]:
        told = (found.of_panel(baseline, at, without) for at in range(len(found.tasks)))
        return [one.win if isinstance(one, Verdict) else None for one in told]

    judges = [one.address for one in found.counting]
    return panel_without_each(found.baselines, judges, wins, ("against", "win rate"), "win rate")


def _agreement(found: Judgement) -> list[Table]:
    rows: list[list[Cell]] = []
    for baseline in found.baselines:
        for one, other in combinations(found.panel, 2):
            both = [
                (_side(mine.win), _side(theirs.win))
                for mine, theirs in zip(
                    found.verdicts[Key(one.address, baseline)],
                    found.verdicts[Key(other.address, baseline)],
                    strict=True,
                )
                if isinstance(mine, Verdict) and isinstance(theirs, Verdict)
            ]
            rows.append(
                [
                    baseline,
                    one.address,
                    other.address,
                    len(both),
                    mean_of(float(a == b) for a, b in both),
                    alpha_of(both),
                ]
            )
    note = (
        "How often two judges come to the same: won, tied, lost. Alpha is Krippendorff's, ordinal: 1 is full "
        "agreement, 0 is chance."
    )
    columns = ("against", "judge", "other judge", "examples", "same", "alpha")
    return [Table.of("Agreement of judges", note, columns, rows)] if rows else []


def _side(win: float) -> float:
    return 0.5 if abs(win - 0.5) < 1e-9 else float(win > 0.5)


def _failed_controls(found: Judgement) -> list[Table]:
    rows: list[list[Cell]] = []
    for kind in KINDS:
        for one in found.panel:
            for control, value in zip(found.controls[kind], found.passed[Key(one.address, kind)], strict=True):
                if isinstance(control, Control) and isinstance(value, float) and value < 1.0:
                    texts = (short(control.comparison.first), short(control.comparison.second))
                    rows.append([one.address, kind, control.how, control.example, round(value, 3), *texts])
    note = (
        "Comparisons whose outcome is known, and where the judge was wrong, wholly (0) or in part. The first text is "
        "the worse one, or the same."
    )
    columns = ("judge", "control", "what was done", "example", "right", "worse text", "text")
    return [Table.of("Controls that judges failed", note, columns, rows)] if rows else []


def _telling(found: Judgement, baseline: str, which: str, weight: Callable[[Verdict], float]) -> list[Table]:
    """The clearest ones: those on which the judges agree most."""
    wanted: list[tuple[float, int, Verdict]] = []
    for at in range(len(found.tasks)):
        told = found.of_panel(baseline, at)
        if isinstance(told, Verdict) and weight(told) > weight(_EVEN):
            wanted.append((-weight(told), at, told))
    wanted.sort(key=lambda one: one[:2])
    rows = [[*_shown(found, baseline, at), round(told.win, 3), _said(found, baseline, at)[0]] for _, at, told in wanted]
    if not rows:
        return []
    note = f"Where the judges agree most that the candidate {which}, {SHOWN} at most, with a judge's own words."
    columns = ("example", "question", "candidate", baseline, "score", "judge")
    return [Table.of(f"Clearest examples {which} against {baseline}", note, columns, rows[:SHOWN])]


def _flipped(found: Judgement, baseline: str) -> list[Table]:
    rows: list[list[Cell]] = []
    for at in range(len(found.tasks)):
        told = found.of_panel(baseline, at)
        if isinstance(told, Verdict) and told.flipped:
            rows.append([*_shown(found, baseline, at), round(told.flipped, 3), *_said(found, baseline, at)])
    if not rows:
        return []
    note = f"Where the verdict depends on which answer stands first: {len(rows)} in all, {SHOWN} at most shown."
    columns = ("example", "question", "candidate", baseline, "flipped", "candidate first", "candidate second")
    return [Table.of(f"Verdicts changed by the order against {baseline}", note, columns, rows[:SHOWN])]


def _shown(found: Judgement, baseline: str, at: int) -> tuple[str, str, str, str]:
    task = found.tasks[at]
    texts = (found.texts[role][at] for role in ("candidate", baseline))
    ours, theirs = (short(text) if isinstance(text, str) else "" for text in texts)
    return task.example.id, short(task.question), ours, theirs


def _said(found: Judgement, baseline: str, at: int) -> tuple[str, str]:
    """Of the first judge that counts and gave its reasons."""
    for one in found.counting:
        told = found.verdicts[Key(one.address, baseline)][at]
        if isinstance(told, Verdict) and any(told.rationales):
            first, second = told.rationales
            return short(first), short(second)
    return "", ""


def _prompt(found: Judgement, asked: Sequence[Comparison]) -> list[Table]:
    judge = next((one.judge for one in found.panel if isinstance(one.judge, AskedJudge)), None)
    if judge is None or not asked:
        return []
    real = sum(isinstance(one, Control) for some in found.controls.values() for one in some)
    chosen = asked[real] if len(asked) > real else asked[0]
    note = "What a judge was sent about one pair, in one of its two orders; all language models are sent the same."
    return [prompt_table(judge.prompt.text(chosen), note)]


_EVEN = Verdict(0.5, 0.0, 0.5, 0.0)
