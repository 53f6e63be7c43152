"""What the report shows of overfitting: the rows that the candidate knows best, and what is usually done about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..absent import Unmeasured
from ..asking import Prompt
from ..evaluator import Answers
from ..findings import Advice, Finding, Table
from .memorisation import Continued, text_of

if TYPE_CHECKING:  # measurement.py imports numpy, which `check` does without
    from ..measurement import Measurement
    from ..scores import EvaluatorScores

MILD, SEVERE = 0.2, 0.5
"""Bands of the loss gap in nats per token, as fine-tuning tutorials give them: conventions, not measurements."""

RECOGNISABLE = 0.7
"""Area under the curve from which on membership is worth a word. A model that learned anything from its training data
lies above 0.5; published attacks on pre-training data reach about 0.7 (arXiv 2310.16789)."""

_CANDIDATE, _BASE = "candidate", "base"
_SHOWN = 20
_PROMPT_SHOWN = 300


def continued_rows(
    asked: Sequence[tuple[str, int, Continued]], answers: Mapping[str, Answers], scores: EvaluatorScores
) -> list[Finding]:
    """A table of the training rows that came back most alike. ``asked``: id, position among the examples, request."""
    ours, theirs = scores.columns[_CANDIDATE], scores.columns.get(_BASE, {})
    rows: list[tuple[float, float, int, tuple[str, str, str, str, float, float | None]]] = []
    for example_id, at, one in asked:
        similarity, prefix = ours["edit_similarity"][at], ours["common_prefix"][at]
        text = text_of(answers[_CANDIDATE][one.request])
        if isinstance(similarity, Unmeasured) or isinstance(prefix, Unmeasured) or isinstance(text, Unmeasured):
            continue
        base = theirs["edit_similarity"][at] if theirs else Unmeasured("no base")
        of_base = None if isinstance(base, Unmeasured) else round(base, 3)
        shown = (example_id, _ending(one.request.prompt), text, one.expected, round(similarity, 3), of_base)
        rows.append((-prefix, -similarity, at, shown))
    if not rows:
        return []
    note = "Longest common prefix first. Training rows whose beginning was given to the candidate, greedily continued."
    columns = ("row", "given", "written", "training text", "edit similarity", "edit similarity of the base")
    return [Table.of("Most memorised training rows", note, columns, [row[-1] for row in sorted(rows)[:_SHOWN]])]


def known_rows(ids: Sequence[str], texts: Sequence[str], scores: EvaluatorScores) -> list[Finding]:
    """A table of the training rows that the candidate has gained most on; examples begin with the training rows."""
    ours = scores.columns[_CANDIDATE]
    rows: list[tuple[float, int, tuple[str, str, float, float, float]]] = []
    for at, (example_id, text) in enumerate(zip(ids, texts, strict=True)):
        gain, nll, tokens = ours["membership"][at], ours["nll"][at], ours["tokens"][at]
        if isinstance(gain, Unmeasured) or isinstance(nll, Unmeasured) or isinstance(tokens, Unmeasured):
            continue
        now = nll / tokens
        rows.append((-gain, at, (example_id, text, round(gain, 3), round(now, 3), round(now + gain, 3))))
    if not rows:
        return []
    note = "Training rows on which the candidate gained most over the base, in nats per token: the likeliest to leak."
    columns = ("row", "text", "gain", "loss of the candidate", "loss of the base")
    return [Table.of("Most member-like training rows", note, columns, [row[-1] for row in sorted(rows)[:_SHOWN]])]


def advice(measured: Mapping[str, Measurement]) -> list[Finding]:
    """What the field does about it, only where an interval says that it is there and, where the base was measured, that
    the base does not have it too."""
    found: list[Finding] = []
    if (gap := _gap(measured["loss_gap"])) is not None:
        band = "severe" if gap >= SEVERE else "mild"
        found.append(
            Advice(
                f"The loss gap is {gap:.2f} nats per token, {band} overfitting (bands: {MILD} mild, {SEVERE} severe). "
                "Usual remedies: fewer epochs or an earlier checkpoint, more training data, more dropout or weight "
                "decay, a lower LoRA rank."
            )
        )
    area = measured["membership_auc"].candidate
    if not isinstance(area, Unmeasured) and area.value >= RECOGNISABLE and area.interval.low > 0.5:
        found.append(
            Advice(
                f"Training rows can be told from unseen ones by their loss (area {area.value:.2f}): who has the model "
                "can find out what it was trained on. If that data is confidential: fewer epochs, a lower learning "
                "rate, or training with differential privacy."
            )
        )
    if (share := _worse(measured.get("memorised_share"))) is not None:
        found.append(
            Advice(
                f"The candidate gives {share:.1%} more training rows back word for word than the base. Usual remedies: "
                "removing duplicates from the training data (arXiv 2107.06499), fewer epochs; secrets belong out of "
                "the data."
            )
        )
    if _worse(measured.get("self_bleu")) is not None:
        found.append(
            Advice(
                "Answers to unseen prompts are more alike than the base's. Usual remedies: fewer epochs, a lower "
                "learning rate, more varied training data, or some of the base's own data mixed in."
            )
        )
    return found


def _gap(measurement: Measurement) -> float | None:
    """The gap, or as much of it as the base does not have; None below the lowest band, or where it may be nothing."""
    own = measurement.candidate
    if isinstance(own, Unmeasured):
        return None
    gap, low = own.value, own.interval.low
    comparison = measurement.comparisons.get(_BASE)
    if comparison is not None and not isinstance(comparison.difference, Unmeasured):
        gap, low = min(gap, comparison.difference.value), min(low, comparison.difference.interval.low)
    return gap if gap >= MILD and low > 0 else None


def _worse(measurement: Measurement | None) -> float | None:
    """By how much a metric of which less is better is higher than the base's, where the interval says it is."""
    comparison = None if measurement is None else measurement.comparisons.get(_BASE)
    if comparison is None or isinstance(comparison.difference, Unmeasured):
        return None
    return comparison.difference.value if comparison.difference.interval.low > 0 else None


def _ending(prompt: Prompt) -> str:
    text = prompt if isinstance(prompt, str) else prompt[-1].content
    return text if len(text) <= _PROMPT_SHOWN else "…" + text[-_PROMPT_SHOWN:]
