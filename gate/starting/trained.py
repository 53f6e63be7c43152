"""Where the training data is given: is the holdout really held out, and was it learned by heart?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from finetune_gate.evaluators.datasets import Dataset

from .found import Entry, Measured, RuleLine
from .shapes import HOLDOUT, Shape

TRAIN = "train"
_SEARCHED = 20_000
"""Rows in all: the search for leaks takes seconds up to here. The gate searches however many there are."""

Trying = Callable[[Entry, Mapping[str, Dataset]], Measured | None]


@dataclass(frozen=True, slots=True)
class BesideTraining:
    entries: list[Entry]
    rules: list[RuleLine]
    remarks: list[str]


def beside_training(shape: Shape, data: Mapping[str, Dataset], tried: Trying, *, scores_tokens: bool) -> BesideTraining:
    """Evaluators that read training data, as far as they accept it; ``tried`` builds one, None where it cannot be."""
    found = BesideTraining([], [], [_leaks(shape, data)])
    _holdout(shape, data, tried, found, scores_tokens)
    if not scores_tokens:
        found.remarks.append("no overfitting evaluator: it needs log-probabilities, which such a model does not give")
        return found
    for passages in shape.passages:
        entry = Entry(
            "overfitting",
            {"train": TRAIN, "validation": HOLDOUT, **passages},
            ("does it know its training data better than data like it? add `memorisation: {}` for rows by heart",),
        )
        if tried(entry, data) is not None:
            found.entries.append(entry)
            why = "no more at home in the training data than its base is; shown, and never in the way"
            settings = {"metric": "overfitting.loss_gap", "min_change": 0.0, "margin": 0.2}
            found.rules.append(RuleLine({**settings, "against": "base", "severity": "warn"}, (why,)))
            return found
    found.remarks.append(f"no overfitting evaluator: {TRAIN} does not have the columns of {HOLDOUT}")
    return found


def _holdout(
    shape: Shape, data: Mapping[str, Dataset], tried: Trying, found: BesideTraining, scores_tokens: bool
) -> None:
    own = [("loss", one) for one in shape.passages] if scores_tokens else []
    if shape.scoring is not None:
        own = [(shape.scored_by, shape.scoring), *own]
    for scored_by, settings in own:
        entry = Entry(
            "holdout",
            {"seen": TRAIN, "unseen": HOLDOUT, "scored_by": scored_by, **settings},
            (f"looks for rows of {HOLDOUT} in {TRAIN}, and whether what was gained was gained beyond {TRAIN}",),
        )
        if tried(entry, data) is not None:
            found.entries.append(entry)
            why = "holdout.leaked_share <= 0 blocks without being written here; the gap is shown, and never in the way"
            settings = {"metric": "holdout.gap", "min_change": 0.0, "margin": 0.1}
            found.rules.append(RuleLine({**settings, "against": "base", "severity": "warn"}, (why,)))
            return
    found.remarks.append(f"no holdout evaluator: {TRAIN} does not have the columns of {HOLDOUT}")


def _leaks(shape: Shape, data: Mapping[str, Dataset]) -> str:
    """How many examples lie in the training data, as `holdout` will find them."""
    train, holdout = data[TRAIN], data[HOLDOUT]
    rows = len(train.examples) + len(holdout.examples)
    if rows > _SEARCHED:
        return f"{rows:,} rows are too many to look for leaks here: the gate does"
    from finetune_gate.evaluators.splitting.leakage import find_leaks
    from finetune_gate.evaluators.splitting.wording import row_text

    columns = [name for name in shape.used if name != shape.label]
    texts = [[row_text(one.row, columns) for one in dataset.examples] for dataset in (train, holdout)]
    leaked = {leak.unseen for leak in find_leaks(*texts)}
    of = f"of {len(holdout.examples):,} examples of {HOLDOUT}"
    if not leaked:
        return f"none {of} found in {TRAIN}"
    return f"{len(leaked):,} {of} lie in {TRAIN}: the gate will block until they are out of one of the two"
