"""What `RubricJudge` shows besides numbers. Answers and rationales are hostile text; the report makes them inert."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from ...absent import Unmeasured
from ...findings import Cell, Finding, Table
from ..by_judge import Key
from ..controls import Control
from ..tables import SHOWN, alpha_of, mean_of, panel_without_each, passed_of, prompt_table, short
from ..tasks import baselines_of, in_drawn_order
from .advice import advice
from .judgement import KINDS, RubricJudgement, submission_of
from .judges import Score
from .prompts import LABELS
from .reading import length_correlation, spread_over
from .settings import RubricJudgeSettings


def rubric_findings(settings: RubricJudgeSettings, found: RubricJudgement, raters: int) -> list[Finding]:
    """``raters``: how many people scored texts of this run."""
    if "candidate" not in found.texts:
        return []
    tables = [_scores(found), _on_controls(found), *_without_one(found), *_agreement(found), *_failed_controls(found)]
    tables += _lowest(found)
    for baseline in baselines_of(found.texts):
        tables += _drops(found, baseline)
    return [*tables, *_prompt(settings, found), *advice(settings, found, raters)]


def _scores(found: RubricJudgement) -> Table:
    rows: list[list[Cell]] = []
    for role in found.texts:
        for one in found.panel:
            told = found.scores[Key(one.address, role)]
            given = [score for score in told if isinstance(score, Score)]
            rows.append(
                [
                    one.address,
                    "counts" if one.counts else "advisory",
                    role,
                    f"{len(given)} of {len(told)}",
                    next((score.reason for score in told if isinstance(score, Unmeasured)), None),
                    mean_of(score.value for score in given),
                    *spread_over([score.value for score in given]),
                    mean_of(score.spread for score in given) if one.repeats > 1 else None,
                    length_correlation(found, one, role),
                ]
            )
    columns = (
        "judge", "standing", "answers of", "scored", "first reason it did not", "mean", *LABELS, "repeats differ by",
        "goes with length",
    )  # fmt: skip
    note = (
        "Means over what each judge scored; rules count what it did not score against the candidate. 1 to 5: how many "
        "answers have the score, or are nearest to it. Repeats: mean standard deviation of the scores of one answer. "
        "Length: Spearman's correlation of scores and characters, for reading; long answers may be the better ones."
    )
    return Table.of("Scores by judge", note, columns, rows)


def _on_controls(found: RubricJudgement) -> Table:
    rows: list[list[Cell]] = [
        [
            one.address,
            "counts" if one.counts else "advisory",
            ", ".join(sorted(one.related)) or None,
            *(passed_of(found.passed[Key(one.address, kind)]) for kind in KINDS),
        ]
        for one in found.panel
    ]
    note = (
        "Passed: a text that was made worse scores lower than the good one; a worse text gains nothing by speaking to "
        "the judge. Related: models of the judge's own family, as the settings say."
    )
    return Table.of("Judges on controls", note, ("judge", "standing", "related", "worse", "injections"), rows)


def _without_one(found: RubricJudgement) -> list[Table]:
    def scores(role: str, without: str | None) -> list[float | None]:
        told = (found.of_panel(role, at, without) for at in range(len(found.tasks)))
        return [one.value if isinstance(one, Score) else None for one in told]

    judges = [one.address for one in found.counting]
    return panel_without_each(found.texts, judges, scores, ("answers of", "mean"), "mean")


def _agreement(found: RubricJudgement) -> list[Table]:
    rows: list[list[Cell]] = []
    for one, other in combinations(found.panel, 2):
        both = [
            (mine.value, theirs.value)
            for role in found.texts
            for mine, theirs in zip(
                found.scores[Key(one.address, role)], found.scores[Key(other.address, role)], strict=True
            )
            if isinstance(mine, Score) and isinstance(theirs, Score)
        ]
        apart = mean_of(abs(a - b) for a, b in both)
        rows.append([one.address, other.address, len(both), apart, alpha_of(both)])
    note = (
        "By how many points two judges are apart, on all models' answers. Alpha is Krippendorff's, ordinal: 1 is full "
        "agreement, 0 is chance."
    )
    columns = ("judge", "other judge", "answers", "apart", "alpha")
    return [Table.of("Agreement of judges", note, columns, rows)] if rows else []


def _failed_controls(found: RubricJudgement) -> list[Table]:
    rows: list[list[Cell]] = []
    for kind in KINDS:
        for one in found.panel:
            for control, value in zip(found.controls[kind], found.passed[Key(one.address, kind)], strict=True):
                if isinstance(control, Control) and value == 0.0:
                    texts = (short(control.comparison.first), short(control.comparison.second))
                    rows.append([one.address, kind, control.how, control.example, *texts])
    note = "Texts of which it is known how they compare, and where the judge was wrong."
    columns = ("judge", "control", "what was done", "example", "worse text", "good text")
    return [Table.of("Controls that judges failed", note, columns, rows)] if rows else []


def _lowest(found: RubricJudgement) -> list[Table]:
    ours = [(told.value, at, told) for at, told in _given(found, "candidate")]
    ours.sort(key=lambda one: one[:2])
    rows = [[*_shown(found, "candidate", at), round(value, 3), short(told.rationale)] for value, at, told in ours]
    note = f"Where the judges think least of the candidate, {SHOWN} at most, with a judge's own words."
    columns = ("example", "question", "candidate", "score", "judge")
    return [Table.of("Lowest scores of the candidate", note, columns, rows[:SHOWN])] if rows else []


def _drops(found: RubricJudgement, baseline: str) -> list[Table]:
    theirs = dict(_given(found, baseline))
    both = [(told.value - theirs[at].value, at, told) for at, told in _given(found, "candidate") if at in theirs]
    worse = sorted((one for one in both if one[0] < 0.0), key=lambda one: one[:2])
    rows = [
        [
            *_shown(found, "candidate", at),
            _shown(found, baseline, at)[-1],
            round(told.value, 3),
            round(theirs[at].value, 3),
            short(told.rationale),
            short(theirs[at].rationale),
        ]
        for _, at, told in worse
    ]
    note = f"Where the candidate scores lower by most: {len(rows)} in all, {SHOWN} at most shown, with a judge's words."
    columns = (
        "example", "question", "candidate", baseline, "score", f"score of {baseline}", "judge", f"judge on {baseline}",
    )  # fmt: skip
    return [Table.of(f"Largest drops against {baseline}", note, columns, rows[:SHOWN])] if rows else []


def _given(found: RubricJudgement, role: str) -> list[tuple[int, Score]]:
    told = ((at, found.of_panel(role, at)) for at in range(len(found.tasks)))
    return [(at, one) for at, one in told if isinstance(one, Score)]


def _shown(found: RubricJudgement, role: str, at: int) -> tuple[str, str, str]:
    task, text = found.tasks[at], found.texts[role][at]
    return task.example.id, short(task.question), short(text) if isinstance(text, str) else ""


def _prompt(settings: RubricJudgeSettings, found: RubricJudgement) -> Sequence[Table]:
    ours = found.texts["candidate"]
    for at in in_drawn_order(settings.seed, found.tasks):
        text = ours[at]
        if isinstance(text, str):
            note = "What a judge was sent about one answer; all judges are sent the same."
            return [prompt_table(found.panel[0].prompt.text(submission_of(found.tasks[at], text)), note)]
    return []
