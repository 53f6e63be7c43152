"""What human evaluation shows besides numbers: how far it has come, what each rater did, where raters disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from math import comb

from ..findings import Advice, Cell, Finding, Table
from .panel import Panel
from .ratings import Rating

ODD = 0.01
"""A rater who took one side more often than this probability explains is spoken of."""

ENOUGH = 3
"""Raters on a pair, from which on disagreement can be told from one person's taste (arXiv 2501.10970)."""


def rating_findings(panel: Panel, criteria: Sequence[str]) -> tuple[Finding, ...]:
    """Nothing but the progress while nobody has rated."""
    found: list[Finding] = [_progress(panel)]
    if not panel.ratings:
        return (
            *found,
            Advice("Nobody has rated yet: `finetune-gate rate GATE_FILE --version VERSION` shows the pairs."),
        )
    found.append(_raters(panel, criteria))
    disagreements = _disagreements(panel)
    if disagreements is not None:
        found.append(disagreements)
    return (*found, *map(Advice, _advice(panel)))


def _progress(panel: Panel) -> Table:
    """How many pairs have how many ratings."""
    shown = panel.pairs()
    raters = Counter(rating.texts for rating in panel.ratings if rating.texts in shown and not rating.empty)
    by_count = Counter(raters[pair] for pair in shown)
    alike = sum(panel.same(at) for at in range(len(panel.examples)))
    failed = sum(not all(isinstance(text, str) for text in panel.pair(at)) for at in range(len(panel.examples)))
    enough = sum(pairs for count, pairs in by_count.items() if count >= ENOUGH)
    note = (
        f"{enough} of {len(shown)} pairs have {ENOUGH} ratings or more. Of {len(panel.examples)} examples, {alike} "
        f"were answered alike, which is a tie without a rating, and {failed} lack an answer."
    )
    return Table.of("Ratings so far", note, ("ratings", "pairs"), sorted(by_count.items()))


def _raters(panel: Panel, criteria: Sequence[str]) -> Table:
    """One row for each rater in the file, in alphabetical order."""
    shown, current = panel.pairs(), panel.current()
    rows: list[list[Cell]] = []
    for rater in sorted({rating.rater for rating in panel.ratings}):
        own = [rating for rating in panel.ratings if rating.rater == rater]
        counted = [rating for rating in own if rating.texts in shown and not rating.empty]
        stale = sum(not rating.texts & current for rating in own)
        decided = [rating.choice for rating in counted if rating.choice in ("left", "right")]
        rows.append(
            [
                rater,
                len(counted),
                sum(rating.texts not in shown for rating in own) - stale,
                stale,
                sum(rating.choice == "tie" for rating in counted),
                round(decided.count("left") / len(decided), 2) if decided else None,
                *(_mean_score(counted, name) for name in criteria),
            ]
        )
    note = (
        "Of each rater: how many of the pairs of this run they rated, how many pairs with one of its answers, and how "
        "many that no model answers like that any more (stale, not used). Left: share of choices that fell on the "
        "answer on the left; sides are drawn, so that it should be near a half. Then the mean scores given."
    )
    head = ("rater", "rated", "other pairs", "stale", "ties", "left", *criteria)
    return Table.of("Raters", note, head, rows)


def _disagreements(panel: Panel) -> Table | None:
    """Pairs that some chose the one side of and some the other, the most divided first."""
    choices, notes = panel.choices(), _notes(panel)
    rows: list[tuple[float, int]] = []
    for at in range(len(panel.examples)):
        said = [values[at] for values in choices.values()]
        given = [value for value in said if value is not None]
        apart = [abs(one - other) for one, other in combinations(given, 2)]
        if any(apart):
            rows.append((sum(apart) / len(apart), at))
    if not rows:
        return None
    ordered = sorted(rows, key=lambda row: (-row[0], row[1]))
    note = "Mean distance between two raters' choices: 1 where they chose opposite answers, 0.5 where one said tie."
    head = ("example", "distance", "prompt", "candidate", panel.against, "choices", "notes")
    cells = [
        (
            panel.examples[at],
            round(distance, 2),
            panel.prompts[at],
            *(str(text) for text in panel.pair(at)),
            ", ".join(
                f"{rater}: {_side(value, panel.against)}"
                for rater, values in choices.items()
                if (value := values[at]) is not None
            ),
            notes[at],
        )
        for distance, at in ordered
    ]
    return Table.of("Where raters disagree most", note, head, cells)


def _notes(panel: Panel) -> list[str]:
    """What raters wrote of each pair, with their names."""
    found: list[str] = []
    for at in range(len(panel.examples)):
        texts = panel.pair_key(at)
        said = [rating for rating in panel.ratings if rating.texts == texts and rating.notes.strip()]
        found.append("; ".join(f"{rating.rater}: {rating.notes.strip()}" for rating in said))
    return found


def _advice(panel: Panel) -> list[str]:
    shown = panel.pairs()
    advice: list[str] = []
    for rater in panel.raters():
        own = [rating for rating in panel.ratings if rating.rater == rater and rating.texts in shown]
        left, right = (sum(rating.choice == side for rating in own) for side in ("left", "right"))
        if _as_odd(left, right) < ODD:
            side, more = ("left", left) if left > right else ("right", right)
            advice.append(
                f"{rater} chose the answer on the {side} {more} of {left + right} times. Sides are drawn, so this is a "
                "habit, and makes their choices worth less; it does not favour either model."
            )
    if len(panel.raters()) < ENOUGH:
        advice.append(
            f"{len(panel.raters())} people rated these answers. With {ENOUGH} or more, what they agree on can be told "
            "from one person's taste, and a judge model can be tested against them."
        )
    return advice


def _mean_score(ratings: Sequence[Rating], criterion: str) -> float | None:
    given = [
        scores[criterion]
        for rating in ratings
        for scores in (rating.left_scores, rating.right_scores)
        if criterion in scores
    ]
    return round(sum(given) / len(given), 2) if given else None


def _side(value: float, against: str) -> str:
    return "tie" if value == 0.5 else "candidate" if value == 1.0 else against


def _as_odd(first: int, second: int) -> float:
    """Two-sided probability of a split as uneven as this, by a fair coin."""
    count, fewer = first + second, min(first, second)
    return min(1.0, 2 * sum(comb(count, at) for at in range(fewer + 1)) / 2**count)
