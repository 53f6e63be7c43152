"""Example by example: where the candidate does better than a baseline, where worse, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .drawing import BASELINES, WIDTH, Area, Canvas, Cell, Line, Numbers, Picture, Word, quantile, share, short
from .quantities import Quantity

MOST_STEPS = 160
"""Examples that are drawn one by one; of more, so many evenly spaced ranks are."""

_MANY, _OUTERMOST = 100, 0.01
"""Of so many examples, this share on either side is cut off at the edge, so that one does not flatten the rest."""

_HEIGHT = 96
_READABLE = 18  # a side that is lower has no room for the number of its end


@dataclass(frozen=True, slots=True)
class Turned:
    """Right and wrong answers of the candidate and one baseline, in counts of examples that both answered."""

    title: str
    against: str
    both_right: int
    fixed: int
    broken: int
    both_wrong: int

    @property
    def examples(self) -> int:
        return self.both_right + self.fixed + self.broken + self.both_wrong

    @property
    def share(self) -> dict[str, float]:
        """Of all examples, by the name of the cell."""
        names = ("both_right", "fixed", "broken", "both_wrong")
        return {name: getattr(self, name) / self.examples for name in names}


def turned(quantity: Quantity) -> tuple[Turned, ...]:
    """Against each baseline with which there is an example to compare; of a quantity of that kind."""
    found: list[Turned] = []
    for against, pairs in _compared(quantity):
        if quantity.higher_is_better is False:
            pairs = [(1.0 - mine, 1.0 - theirs) for mine, theirs in pairs]
        counts = [pairs.count(cell) for cell in ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0))]
        found.append(Turned(quantity.title, against, *counts))
    return tuple(found)


def changes(quantity: Quantity) -> Picture | None:
    """None where no example has a value of the candidate and of a baseline, or where neither side is better."""
    if quantity.higher_is_better is None:
        return None
    canvas, rows, said = Canvas(), list[tuple[Cell, ...]](), list[str]()
    sign = 1.0 if quantity.higher_is_better else -1.0
    for against, pairs in _compared(quantity):
        gains = sorted(sign * (mine - theirs) for mine, theirs in pairs)
        lost, won = sum(gain < 0 for gain in gains), sum(gain > 0 for gain in gains)
        tied = len(gains) - lost - won
        _waterfall(canvas, against, gains, lost, tied, won)
        counted = f"better on {won:,}, equal on {tied:,}, worse on {lost:,}"
        said.append(f"against {against} {counted} of {len(gains):,} examples")
        rows.append((against, len(gains), won, tied, lost, short(quantile(gains, 0.5)), short(sum(gains) / len(gains))))
    if not rows:
        return None
    part = quantity.parts[0][0]
    title = f"{quantity.title}, example by example{f' ({part})' if part else ''}"
    unit = f", in {quantity.unit}" if quantity.unit else ""
    many = any(len(pairs) >= _MANY for _, pairs in _compared(quantity))
    cut_off = " The outermost hundredth on either side is cut off at the edge." if many else ""
    return canvas.picture(
        title,
        "Every example, from the candidate's greatest loss on the left to its greatest gain on the right: bars above "
        f"the line are gains, bars below it losses{unit}.{cut_off}",
        f"{title}: the candidate is {'; '.join(said)}",
        Numbers(("Against", "Examples", "Better", "Equal", "Worse", "Median gain", "Mean gain"), tuple(rows)),
    )


def _compared(quantity: Quantity) -> list[tuple[str, list[tuple[float, float]]]]:
    """Pairs of the candidate's and the baseline's value, with each baseline that has some."""
    if "candidate" not in quantity.values:
        return []
    found = [(against, quantity.both("candidate", against)) for against in BASELINES if against in quantity.values]
    return [(against, pairs) for against, pairs in found if pairs]


def _waterfall(canvas: Canvas, against: str, gains: Sequence[float], lost: int, tied: int, won: int) -> None:
    """``gains`` in ascending order."""
    canvas.words.append(Word(f"against {against}", 0, canvas.y + 13, "strong"))
    counts = canvas.y + 32
    canvas.words.append(Word(f"worse {lost:,} ({share(lost, len(gains))})", 0, counts, "lost"))
    canvas.words.append(Word(f"equal {tied:,} ({share(tied, len(gains))})", WIDTH / 2, counts, "soft", "middle"))
    canvas.words.append(Word(f"better {won:,} ({share(won, len(gains))})", WIDTH, counts, "won", "end"))
    top, low, high = counts + 10, *_span(gains)
    canvas.y = top + _HEIGHT

    def y(gain: float) -> float:
        return round(top + (high - min(max(gain, low), high)) / (high - low) * _HEIGHT, 1)

    step = WIDTH / (steps := min(len(gains), MOST_STEPS))
    drawn = [gains[(2 * at + 1) * len(gains) // (2 * steps)] for at in range(steps)]
    for style, chosen in (
        ("lost", [at for at in range(steps) if drawn[at] < 0]),
        ("won", [at for at in range(steps) if drawn[at] > 0]),
    ):
        if chosen:
            path = "".join(f"V{y(drawn[at]):g}H{round(step * (at + 1), 1):g}" for at in chosen)
            canvas.areas.append(Area(f"M{round(step * chosen[0], 1):g} {y(0):g}{path}V{y(0):g}z", style))
    canvas.lines.append(Line(0, y(0), WIDTH, y(0), "axis"))
    if y(0) - top > _READABLE:
        canvas.lines.append(Line(0, top, WIDTH, top, "grid"))
        canvas.words.append(Word(f"+{short(high)}", 0, top + 12, "soft"))
    if canvas.y - y(0) > _READABLE:
        canvas.lines.append(Line(0, canvas.y, WIDTH, canvas.y, "grid"))
        canvas.words.append(Word(short(low), WIDTH, canvas.y - 4, "soft", "end"))
    canvas.y += 12


def _span(gains: Sequence[float]) -> tuple[float, float]:
    """What the picture reaches down and up to; zero is inside."""
    cut = _OUTERMOST if len(gains) >= _MANY else 0.0
    low, high = min(0.0, quantile(gains, cut)), max(0.0, quantile(gains, 1 - cut))
    return (low, high) if high > low else (0.0, 1.0)
