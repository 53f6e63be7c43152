"""What could be done about a judge that leans one way, or that nobody has checked."""

from __future__ import annotations

from collections.abc import Iterator

from ...findings import Advice
from ..run_metrics import advice_on_trust
from .components import People
from .judgement import Judgement
from .judges import NO_LANGUAGE_MODEL, Verdict
from .metrics import measures_self_preference
from .settings import AbJudgeSettings

MOST_FLIPS = 0.2
MOST_SLOT = 0.1
MOST_LENGTH = 0.05


def advice(settings: AbJudgeSettings, found: Judgement, people: People) -> list[Advice]:
    trust = advice_on_trust(settings, len(people.opinions), "some pairs")
    said = [*_positions(found), *_lengths(found), *_natures(found), *trust, *_kinship(settings)]
    return [Advice(text) for text in said]


def _positions(found: Judgement) -> Iterator[str]:
    for baseline in found.baselines:
        for one in found.panel:
            judged = found.judged(one.address, baseline)
            if not judged:
                continue
            flips = sum(verdict.flipped for verdict in judged) / len(judged)
            slot = sum(verdict.first_slot for verdict in judged) / len(judged)
            if flips > MOST_FLIPS or abs(slot - 0.5) > MOST_SLOT:
                yield (
                    f"{one.address} goes by position: the order changed {flips:.0%} of its verdicts against "
                    f"{baseline}, and its preference for the first slot is {slot:.0%} (even is 50%). Both orders keep "
                    "that from favouring either model, but it hides differences: a stronger judge, a rubric or a "
                    "reference would see more."
                )


def _lengths(found: Judgement) -> Iterator[str]:
    for baseline in found.baselines:
        rates = _raw_and_controlled(found, baseline)
        if rates is not None and abs(rates[0] - rates[1]) > MOST_LENGTH:
            yield (
                f"The length of answers moves the win rate against {baseline} from {rates[1]:.0%} (equally long) to "
                f"{rates[0]:.0%}: rest rules on length_controlled_winrate, or have answers of similar length."
            )


def _raw_and_controlled(found: Judgement, baseline: str) -> tuple[float, float] | None:
    import numpy as np

    from ...estimators import LengthControlled
    from ...statistics import Estimate

    rows: list[tuple[float, float]] = []
    for at in range(len(found.tasks)):
        told, length = found.of_panel(baseline, at), found.length_difference(baseline, at)
        if isinstance(told, Verdict) and isinstance(length, float):
            rows.append((told.win, length))
    if not rows:
        return None
    wins, lengths = np.array(rows, dtype=np.float64).T
    columns = {"win": wins, "length_difference": lengths}
    controlled = LengthControlled("win", "length_difference").estimate(columns, None, 0.95, 0)
    return (float(wins.mean()), controlled.value) if isinstance(controlled, Estimate) else None


def _natures(found: Judgement) -> Iterator[str]:
    for one in found.panel:
        if one.judge.nature == NO_LANGUAGE_MODEL:
            yield (
                f"{one.address} is a {NO_LANGUAGE_MODEL}: an answer that is right in other words loses to one that is "
                "wrong in the same words. Use it beside a language model, or where none can be had."
            )


def _kinship(settings: AbJudgeSettings) -> Iterator[str]:
    if not measures_self_preference(settings):
        yield (
            "Whether judges favour models of their own family is not measured: that takes one judge that is `related` "
            "to just one side and one that is related to neither."
        )
