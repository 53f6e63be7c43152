"""What a first gate file will say: frozen data, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from finetune_gate.evaluators.evaluator import Evaluator

from .registered import RegisteredModel

Settings = Mapping[str, object]
Role = Literal["id", "group"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One evaluator of the file. ``why``: comment lines above it; ``offered``: all of it is a comment."""

    kind: str
    settings: Settings
    why: tuple[str, ...] = ()
    offered: bool = False


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule of the file, likewise."""

    settings: Settings
    why: tuple[str, ...] = ()
    offered: bool = False


@dataclass(frozen=True, slots=True)
class DataLine:
    """One dataset: ``columns`` are the roles that are not found by their usual names, such as ``{"id": "qid"}``."""

    name: str
    path: str
    examples: int
    clusters: int
    columns: Mapping[Role, str] = field(default_factory=dict[Role, str])
    note: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """An evaluator that the data fits, built, and as it is written."""

    entry: Entry
    evaluator: Evaluator


@dataclass(frozen=True, slots=True)
class Start:
    """All of it. ``shape``: what the data was taken for. ``remarks`` are for the person who asked: what was taken and
    what could not be known. ``registered`` is None where no registry was looked at; ``unknown`` then says why."""

    model: str
    shape: str
    data: tuple[DataLine, ...]
    entries: tuple[Entry, ...]
    rules: tuple[RuleLine, ...]
    remarks: tuple[str, ...]
    registered: RegisteredModel | None
    unknown: str = ""
