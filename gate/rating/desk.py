"""One rater's sheet beside the file that the ratings go to.

desk = Desk(sheet, RatingsFile(path))
desk.keep([said])
desk.count()                         # Count(rated=12, partly=1, total=60)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from finetune_gate.evaluators.people.ratings import Preferred, Rating
from finetune_gate.evaluators.people.sheet import Sheet, rating_of

from .ratings_file import RatingsFile
from .said import Said

_OTHER: Mapping[Preferred, Preferred] = {"left": "right", "right": "left", "tie": "tie"}


@dataclass(frozen=True, slots=True)
class Count:
    """Of ``total`` pairs, ``rated`` have a choice and every score, ``partly`` some of that."""

    rated: int
    partly: int
    total: int

    def __str__(self) -> str:
        return f"{self.rated} of {self.total} rated" + (f", {self.partly} in part" if self.partly else "")


class Desk:
    """What the rater said before is found again by rater and texts, whichever side they were on then."""

    def __init__(self, sheet: Sheet, file: RatingsFile) -> None:
        self.sheet = sheet
        self.file = file
        self._items = {item.id: item for item in sheet.items}

    def said(self) -> dict[str, Said]:
        """By item id. Raises DatasetError where the file of ratings cannot be read."""
        mine = {rating.texts: rating for rating in self.file.read() if rating.rater == self.sheet.rater}
        found: dict[str, Said] = {}
        for item in self.sheet.items:
            asked = rating_of(item, self.sheet.rater, None)
            rating = mine.get(asked.texts)
            if rating is not None:
                found[item.id] = _as_said(item.id, rating, swapped=rating.left != asked.left)
        return found

    def keep(self, said: Sequence[Said]) -> None:
        """Write down what was said of items of this sheet. Raises KeyError for other ids, EvaluationError where the
        file cannot be written."""
        self.file.keep(
            [
                rating_of(
                    self._items[one.id], self.sheet.rater, one.choice, one.left_scores, one.right_scores, one.notes
                )
                for one in said
            ]
        )

    def count(self) -> Count:
        said = self.said().values()
        rated = sum(one.complete(self.sheet.criteria) for one in said)
        return Count(rated, sum(not one.nothing for one in said) - rated, len(self.sheet.items))

    def left(self) -> Sheet:
        """The sheet without the pairs that are rated completely."""
        said, criteria = self.said(), self.sheet.criteria
        items = [item for item in self.sheet.items if item.id not in said or not said[item.id].complete(criteria)]
        return replace(self.sheet, items=tuple(items))


def _as_said(name: str, rating: Rating, *, swapped: bool) -> Said:
    sides = (rating.left_scores, rating.right_scores)
    left, right = reversed(sides) if swapped else sides
    choice = _OTHER[rating.choice] if swapped and rating.choice else rating.choice
    return Said(name, choice, left, right, rating.notes)
