"""What every picture is made of: paths, lines, dots and words in a field ``WIDTH`` wide. Geometry only, no markup.

Styles are words of this package, never of a record or a score table: they become classes of the style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

WIDTH = 440
EDGE = 4
"""Left and right of what is drawn, so that the label of an axis end is not cut."""

ROLES = ("candidate", "base", "champion")
"""The models that are drawn, in this order."""

BASELINES = ROLES[1:]

Anchor = Literal["start", "middle", "end"]
Cell = str | int


@dataclass(frozen=True, slots=True)
class Area:
    """A filled path."""

    d: str
    style: str


@dataclass(frozen=True, slots=True)
class Line:
    x1: float
    y1: float
    x2: float
    y2: float
    style: str


@dataclass(frozen=True, slots=True)
class Dot:
    x: float
    y: float
    style: str


@dataclass(frozen=True, slots=True)
class Word:
    """``text`` is foreign and untouched: the page makes it inert."""

    text: str
    x: float
    y: float
    style: str = ""
    anchor: Anchor = "start"


@dataclass(frozen=True, slots=True)
class Numbers:
    """The picture as a table, for whoever wants to read or does not see it."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """``aid`` says in a sentence how it is read, ``description`` what it shows."""

    title: str
    aid: str
    description: str
    height: float
    numbers: Numbers
    areas: tuple[Area, ...] = ()
    lines: tuple[Line, ...] = ()
    dots: tuple[Dot, ...] = ()
    words: tuple[Word, ...] = ()


@dataclass(slots=True)
class Canvas:
    """Collects shapes from top to bottom; ``y`` is where the next block begins."""

    y: float = 0
    areas: list[Area] = field(default_factory=list[Area])
    lines: list[Line] = field(default_factory=list[Line])
    dots: list[Dot] = field(default_factory=list[Dot])
    words: list[Word] = field(default_factory=list[Word])

    def picture(self, title: str, aid: str, description: str, numbers: Numbers) -> Picture:
        shapes = tuple(self.areas), tuple(self.lines), tuple(self.dots), tuple(self.words)
        return Picture(title, aid, description, math.ceil(self.y), numbers, *shapes)


@dataclass(frozen=True, slots=True)
class Axis:
    """From left to right: ``low`` lies at ``EDGE``, ``high`` at the other edge."""

    low: float
    high: float

    @staticmethod
    def around(values: Iterable[float], *, room: float = 0.04) -> Axis:
        found = list(values)
        low, high = min(found), max(found)
        more = (high - low) * room or abs(high) / 10 or 0.1
        return Axis(low - more, high + more)

    def x(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(EDGE + min(max(share, 0.0), 1.0) * (WIDTH - 2 * EDGE), 1)

    def ticks(self, most: int = 6) -> Iterator[float]:
        """Round numbers inside, ``most`` at most."""
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / most))
        step = next(step * times for times in (1, 2, 5, 10, 20) if (self.high - self.low) / (step * times) <= most)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        digits = max(0, -math.floor(math.log10(step)))
        for at in range(first, last + 1):
            yield round(at * step, digits) + 0.0

    def draw(self, canvas: Canvas, top: float) -> None:
        """Lines from ``top`` down to where the canvas has come to, and their numbers below."""
        for tick in self.ticks():
            x = self.x(tick)
            canvas.lines.append(Line(x, top, x, canvas.y, "grid"))
            half = 3.4 * len(short(tick))
            anchor: Anchor = "start" if x < half + 1 else "end" if x > WIDTH - half - 1 else "middle"
            canvas.words.append(Word(short(tick), x, canvas.y + 15, "soft", anchor))
        canvas.y += 20


def short(number: float) -> str:
    """Three digits that count; whole numbers as they are."""
    if number == round(number) and abs(number) < 1e6:
        return f"{int(number):,}"
    return f"{number:.3g}"


def titled(title: str, unit: str) -> str:
    return f"{title}, {unit}" if unit else title


def share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "none"


def box(x: float, y: float, width: float, height: float) -> str:
    """The path of a rectangle."""
    return f"M{x:g} {y:g}h{width:g}v{height:g}h{-width:g}z"


def quantile(ordered: Sequence[float], at: float) -> float:
    """Of values in ascending order, with linear interpolation between neighbours (Hyndman and Fan's type 7)."""
    place = at * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    low, high = ordered[below], ordered[above]
    return low if low == high else low + (high - low) * (place - below)
