"""Splits of a dataset that stay as they are when rows are added.

    found = split(dataset, SplitSettings(strategy="random", test_share=0.2))
    found.rows("test")   # [3, 8, ...]

A row's side follows from a salted hash of its id, or of its group's name, and from nothing else in the file: added rows
never move old ones. Near-duplicates share a side, that of their earliest row: what is appended follows what was there,
and only a new row that makes one cluster of two moves the later of them. The price is that shares are met on average,
and not exactly.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from ..datasets import Dataset, Example
from ..errors import DatasetError, Problem
from .clusters import Clusters
from .deduplicating import deduplicate
from .settings import PARTS, Part, Side, Split, SplitSettings
from .temporal import by_time
from .timestamps import moment
from .wording import plain_words, row_text

_LEAST_WORDS = 3
"""Mean number of words from which on a column is one of texts, and not of labels, names or numbers."""


def split(dataset: Dataset, settings: SplitSettings) -> Split:
    """Every row gets exactly one side. Raises DatasetError with the faults of the data: no such column, no texts,
    timestamps that are missing, none, or tied across a cut, a value to leave out that does not occur, an empty part."""
    _check_columns(dataset, settings)
    columns = settings.text or text_columns(dataset, (settings.column,))
    examples = dataset.examples
    clusters = deduplicate([row_text(example.row, columns) for example in examples], near=settings.near)
    firsts = tuple(int(first) for first in clusters.firsts())
    reasons = [""] * len(examples)
    boundaries: Mapping[Part, str] = {}
    sides: list[Side]
    if settings.strategy == "temporal":
        sides, reasons, boundaries = by_time(dataset, settings)
        _set_repeats_aside(sides, reasons, firsts, examples)
    elif settings.leave_out:
        sides = _leaving_out(dataset, settings, firsts)
        _set_repeats_aside(sides, reasons, firsts, examples)
    else:
        if settings.strategy == "group":
            _unite_groups(clusters, examples, settings.column)
        sides = [_by_hash(examples[clusters.first_of(at)], settings) for at in range(len(examples))]
    for part in settings.parts:
        if part not in sides:
            largest = max(Counter(firsts).values())
            found = f"no row of {len(sides)} is left for {part}; as many as {largest} are copies of one another"
            way_out = f"another share, cut or salt; other columns than {', '.join(columns)} to look for copies in"
            raise DatasetError(Problem(f"{dataset.path}", found, "rows in every part", way_out))
    return Split(tuple(sides), tuple(reasons), firsts, columns, boundaries)


def text_columns(dataset: Dataset, without: Sequence[str] = ()) -> tuple[str, ...]:
    """The columns that hold texts: three words or more on average, and no ids or moments; every column with a text in
    it where there is none of those. Raises DatasetError where no row holds a text."""
    any_text: list[str] = []
    texts: list[str] = []
    for column in dataset.columns:
        cells = [example.row.get(column) for example in dataset.examples]
        if column in without or all(
            cell is None or str(cell) == example.id for cell, example in zip(cells, dataset.examples, strict=True)
        ):
            continue
        some = [cell for cell in cells if isinstance(cell, (str, list, dict)) and cell]
        if not some or all(moment(cell) is not None for cell in some):
            continue
        any_text.append(column)
        words = sum(len(plain_words(row_text({column: cell}, (column,)))) for cell in some)
        if words >= _LEAST_WORDS * len(some):
            texts.append(column)
    if not any_text:
        found = f"columns {', '.join(dataset.columns)}, none of them with texts"
        raise DatasetError(Problem(str(dataset.path), found, "a column of texts, in which duplicates are looked for"))
    return tuple(texts or any_text)


def chance(salt: str, name: str) -> float:
    """A number from 0 up to, and without, 1, that is the same for the same salt and name everywhere and always."""
    digest = hashlib.sha256(f"{salt}\0{name}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _by_hash(first: Example, settings: SplitSettings) -> Side:
    """The side of a cluster whose earliest row is ``first``. Test comes before validation, so that a validation part
    that is asked for later takes nothing away from test."""
    group = first.row.get(settings.column) if settings.strategy == "group" else None
    drawn = chance(settings.salt, f"id {first.id}" if group in (None, "") else f"group {group}")
    if settings.leave_out:
        return "validation" if drawn < settings.validation_share else "train"
    if drawn < settings.test_share:
        return "test"
    return "validation" if drawn < settings.test_share + settings.validation_share else "train"


def _leaving_out(dataset: Dataset, settings: SplitSettings, firsts: Sequence[int]) -> list[Side]:
    values = [str(example.row.get(settings.column)) for example in dataset.examples]
    known = sorted(set(values))
    problems = [
        Problem(
            f"{dataset.path} column {settings.column!r}",
            f"no row with the value {value!r}, which is to be left out",
            f"one of {', '.join(known[:20])}" + (f" and {len(known) - 20} more" if len(known) > 20 else ""),
        )
        for value in settings.leave_out
        if value not in known
    ]
    if problems:
        raise DatasetError(*problems)
    return [
        "test" if value in settings.leave_out else _by_hash(dataset.examples[first], settings)
        for value, first in zip(values, firsts, strict=True)
    ]


def _unite_groups(clusters: Clusters, examples: Sequence[Example], column: str) -> None:
    """Rows without a group are nobody's."""
    earliest: dict[str, int] = {}
    for at, example in enumerate(examples):
        group = example.row.get(column)
        if group not in (None, ""):
            clusters.unite(earliest.setdefault(str(group), at), at)


def _set_repeats_aside(
    sides: list[Side], reasons: list[str], firsts: Sequence[int], examples: Sequence[Example]
) -> None:
    """Where time or category decides, a cluster may lie on several sides: it keeps its rows in the earliest part, which
    stays as it is when later ones grow."""
    kept: dict[int, int] = {}
    for part in PARTS:
        for at, first in enumerate(firsts):
            if sides[at] == part:
                known = kept.setdefault(first, at)
                if sides[known] != part:
                    reasons[at] = f"repeats {examples[known].id!r} of {sides[known]}"
                    sides[at] = "set aside"


def _check_columns(dataset: Dataset, settings: SplitSettings) -> None:
    wanted = [("text", column) for column in settings.text]
    if settings.strategy != "random" or settings.by is not None:
        wanted.append(("by", settings.column))
    expected = f"one of {', '.join(dataset.columns)}"
    problems = [
        Problem(f"{dataset.path}: --{option}", f"no column {column!r}", expected)
        for option, column in wanted
        if column not in dataset.columns
    ]
    if problems:
        raise DatasetError(*problems)
