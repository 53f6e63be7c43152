"""Which examples people can read in the report, and how much of each: `Scored.examples`.

    shown_examples(gate, data, answers, verdicts)

Where an evaluator has more of them than the gate file's ``report.examples``, those are kept whose ids come first in an
order that its seed draws: a fair sample, and the same one in every run. Texts are as they are written to disk: cut at
`MAX_TEXT`, and with U+FFFD for halves of surrogate pairs, so that a report that is drawn again later is the same.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from finetune_gate.evaluators.evaluator import Answers, Datasets
from finetune_gate.evaluators.showing import Note, Said, ShowingEvaluator, Shown, ShownExamples

from ..gate_file import Gate

MAX_TEXT: Final = 20_000
"""Characters of one text that are kept."""

MAX_CHARACTERS: Final = 2**26
"""Of all texts that are kept of a run; every evaluator has an equal share."""

_OF_EACH: Final = 64
"""What an example takes beside its texts, so that the number of empty ones is bounded too."""

_MARK: Final = "\u2026 [cut]"
_HALF_PAIR: Final = re.compile("[\ud800-\udfff]")


def shown_examples(
    gate: Gate, data: Datasets, answers: Mapping[str, Answers], verdicts: Mapping[str, Answers]
) -> ShownExamples:
    """None where the gate file keeps none: then no evaluator is asked."""
    most = gate.file.report.examples
    showing = {title: one for title, one in gate.evaluators.items() if most and isinstance(one, ShowingEvaluator)}
    found: dict[str, tuple[Shown, ...]] = {}
    for title, one in showing.items():
        kept = _kept(one.shown(data, answers, verdicts), most, gate.file.execution.seed, MAX_CHARACTERS // len(showing))
        if kept:
            found[title] = kept
    return ShownExamples(found)


def characters_of(shown: Shown) -> int:
    """What it counts against `MAX_CHARACTERS`."""
    said = sum(
        len(role) + len(one.text) + len(one.fault or "") + len(one.detail) for role, one in shown.answers.items()
    )
    notes = sum(len(note.by) + len(note.about) + len(note.text) for note in shown.notes)
    return _OF_EACH + len(shown.id) + len(shown.asked) + len(shown.wanted) + said + notes


def _kept(shown: Sequence[Shown], most: int, seed: int, characters: int) -> tuple[Shown, ...]:
    """In their own order."""

    def draw(at: int) -> bytes:
        return hashlib.sha256(f"{seed} {shown[at].id}".encode("utf-8", "replace")).digest()

    order = range(len(shown)) if len(shown) <= most else sorted(range(len(shown)), key=draw)[:most]
    kept: dict[int, Shown] = {}
    for at in order:
        one = _written(shown[at])
        characters -= characters_of(one)
        if characters < 0:
            break
        kept[at] = one
    return tuple(kept[at] for at in sorted(kept))


def _written(shown: Shown) -> Shown:
    answers = {
        role: Said(_text(one.text), None if one.fault is None else _text(one.fault), _text(one.detail))
        for role, one in shown.answers.items()
    }
    notes = tuple(Note(_text(note.by), _text(note.about), _text(note.text)) for note in shown.notes)
    return replace(shown, asked=_text(shown.asked), wanted=_text(shown.wanted), answers=answers, notes=notes)


def _text(text: str) -> str:
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT - len(_MARK)] + _MARK
    return text if text.isascii() else _HALF_PAIR.sub("\ufffd", text)
