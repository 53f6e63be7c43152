"""What a split is asked for, and what its parts are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .likeness import NEAR
from .timestamps import duration, moment

Strategy = Literal["random", "temporal", "category", "group"]
"""How rows get their side.

random     by chance; the shares within each category are reported where the data have one
category   the same for any column, or all rows of some of its values left out of training
group      by chance, and all rows of a group together
temporal   what came before a moment, and what came after
"""

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")

Side = Part | Literal["set aside"]
"""Where a row went. Set aside: in no part, because it would make one part tell of another; the reason is with it."""

_COLUMNS: Mapping[Strategy, str] = {"category": "category", "group": "group", "temporal": "timestamp"}


class SplitSettings(BaseModel):
    """How to split. A setting that would not be used is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    strategy: Strategy
    test_share: float = Field(default=0.2, gt=0, lt=1, allow_inf_nan=False, description="of the rows, on average")
    validation_share: float = Field(default=0.0, ge=0, lt=1, allow_inf_nan=False, description="0: no such part")
    by: str | None = Field(default=None, min_length=1, description="column of categories, groups or timestamps")
    cut: str | None = Field(default=None, description="temporal: the first moment of the test part")
    embargo: str | None = Field(default=None, description="temporal: so long before each later part nothing is used")
    leave_out: tuple[str, ...] = Field(default=(), description="category: the test part is these values")
    salt: str = Field(default="", description="another salt, another split")
    text: tuple[str, ...] = Field(default=(), description="columns in which duplicates are looked for")
    near: float = Field(default=NEAR, gt=0, le=1, allow_inf_nan=False, description="Jaccard index; 1: exact copies")

    @model_validator(mode="after")
    def _every_setting_is_used(self) -> Self:
        if self.test_share + self.validation_share >= 1:
            raise ValueError("test and validation shares leave nothing to train on")
        if self.strategy != "temporal" and (self.cut is not None or self.embargo is not None):
            raise ValueError("cut and embargo go with the temporal strategy")
        if self.strategy != "category" and self.leave_out:
            raise ValueError("values are left out with the category strategy")
        if self.strategy == "temporal" and self.salt:
            raise ValueError("nothing is left to chance in a temporal split: it has no salt")
        if "test_share" in self.model_fields_set and (self.cut is not None or self.leave_out):
            raise ValueError("a cut, or values left out, say what the test part is: a test share does not go with them")
        if self.cut is not None and moment(self.cut) is None:
            raise ValueError(f"cut {self.cut!r} is no moment such as 2026-03-01 or 2026-03-01T12:00:00Z")
        if self.embargo is not None and duration(self.embargo) is None:
            raise ValueError(f"embargo {self.embargo!r} is no duration such as 12h, 7d or 2w")
        return self

    @property
    def column(self) -> str:
        """The column that the strategy goes by; for ``random`` the one whose values are reported."""
        return self.by or _COLUMNS.get(self.strategy, "category")

    @property
    def parts(self) -> tuple[Part, ...]:
        return PARTS if self.validation_share else ("train", "test")


@dataclass(frozen=True, slots=True)
class Split:
    """``sides[i]`` is where row ``i`` went, ``reasons[i]`` why it was set aside ("" where it was not).

    ``firsts[i]`` is the earliest row of its cluster of duplicates, itself where it has none. ``columns`` are those in
    which duplicates were looked for. ``boundaries`` are the first moments of the later parts of a temporal split.
    """

    sides: tuple[Side, ...]
    reasons: tuple[str, ...]
    firsts: tuple[int, ...]
    columns: tuple[str, ...]
    boundaries: Mapping[Part, str]

    def rows(self, side: Side) -> list[int]:
        """Positions of the rows that went to ``side``, in the order of the file."""
        return [at for at, found in enumerate(self.sides) if found == side]
