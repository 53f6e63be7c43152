"""What people see of each comparison: both answers, and what every judge said of them in either order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...absent import Unmeasured
from ...showing import Note, Shown
from ..by_judge import Key
from ..shown_controls import shown_controls
from .judgement import Judgement
from .judges import NO_LANGUAGE_MODEL, Verdict
from .settings import Panelist


def shown_comparisons(found: Judgement, answered: Sequence[Shown]) -> list[Shown]:
    """``answered``: what the models were asked and said, in the order of the tasks. Then come the controls."""
    real = [replace(one, notes=tuple(_notes(found, at))) for at, one in enumerate(answered)]
    return [*real, *shown_controls(found.controls, [one.address for one in found.panel], found.passed)]


def _notes(found: Judgement, at: int) -> Iterator[Note]:
    """Of two equal answers, and of one that failed, nobody was asked."""
    for baseline in found.baselines:
        texts = (found.texts[role][at] for role in ("candidate", baseline))
        if found.alike(baseline, at) or any(isinstance(text, Unmeasured) for text in texts):
            continue
        for one in found.panel:
            yield from _of_judge(one, baseline, found.verdicts[Key(one.address, baseline)][at])


def _of_judge(judge: Panelist, baseline: str, told: Verdict | Unmeasured) -> Iterator[Note]:
    pair = f"candidate beside {baseline}"
    if isinstance(told, Unmeasured):
        yield Note(judge.address, pair, f"no verdict: {told.reason}")
        return
    yield Note(judge.address, pair, _outcome(told))
    if judge.judge.nature == NO_LANGUAGE_MODEL:
        yield Note(judge.address, pair, told.rationales[0])
        return
    for place, rationale in zip(("first", "second"), told.rationales, strict=True):
        if rationale:
            yield Note(judge.address, f"{pair}, candidate {place}", rationale)


def _outcome(told: Verdict) -> str:
    side = "tied" if abs(told.win - 0.5) < 1e-9 else "won" if told.win > 0.5 else "lost"
    swayed = "" if not told.flipped else "; the order changed the verdict"
    often = f" in {told.flipped:.0%} of repeats" if 0.0 < told.flipped < 1.0 else ""
    return f"the candidate {side} (score {told.win:.2f}){swayed}{often}"
