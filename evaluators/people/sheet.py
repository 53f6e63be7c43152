"""What a rater is shown: pairs of answers, in an order and with sides of the rater's own, and no word of whose is whose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt. ``first`` is the candidate's, ``second`` the baseline's: never shown as that."""

    example: str
    prompt: str
    first: str
    second: str
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One pair as its rater sees it. ``id`` is opaque: a digest of rater and texts in a fixed order, so that it says nothing about the sides."""

    id: str
    example: str
    prompt: str
    left: str
    right: str
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """Everything one rater is asked. ``criteria`` are scored from 1 to 5 for each side; none: only the choice."""

    title: str
    rater: str
    criteria: tuple[str, ...]
    instructions: str
    items: tuple[Item, ...]
