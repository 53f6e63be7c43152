"""What a split did, as numbers and as sentences: the content of ``split-report.json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from ..datasets import Dataset
from .settings import Part, Side, Split, SplitSettings
from .temporal import moments_of
from .timestamps import span

NO_VALUE = "(none)"
_LISTED = 10
_LARGE_CLUSTER = 0.1
_FAR_OFF = 0.05


@dataclass(frozen=True, slots=True)
class PartReport:
    """One part. ``share`` is of the rows that are in any part; ``earliest`` and ``latest`` are "" without a time."""

    rows: int
    share: float
    earliest: str
    latest: str


@dataclass(frozen=True, slots=True)
class SplitReport:
    """``repeated`` counts rows that repeat an earlier one, exactly or nearly; ``clusters`` how many rows are repeated.
    ``strata`` has rows by value and side, empty where the strategy heeds none; ``set_aside`` has the reason by id."""

    source: str
    digest: str
    settings: Mapping[str, object]
    columns: tuple[str, ...]
    rows: int
    parts: Mapping[Side, PartReport]
    clusters: int
    repeated: int
    largest_cluster: int
    boundaries: Mapping[Part, str]
    strata: Mapping[str, Mapping[Side, int]]
    set_aside: Mapping[str, str]
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def report_split(dataset: Dataset, settings: SplitSettings, split: Split) -> SplitReport:
    """Count what went where, and warn of what a reader of the numbers should know."""
    sizes = Counter(split.firsts)
    strata = _strata(dataset, settings, split)
    parts = _parts(dataset, settings, split)
    return SplitReport(
        source=dataset.path.name,
        digest=dataset.digest,
        settings=settings.model_dump(mode="json"),
        columns=split.columns,
        rows=len(split.sides),
        parts=parts,
        clusters=sum(size > 1 for size in sizes.values()),
        repeated=sum(size - 1 for size in sizes.values()),
        largest_cluster=max(sizes.values()),
        boundaries=dict(split.boundaries),
        strata=strata,
        set_aside={
            example.id: reason for example, reason in zip(dataset.examples, split.reasons, strict=True) if reason
        },
        warnings=(
            *_of_shares(settings, parts),
            *_of_strata(settings, strata),
            *_of_groups(dataset, settings, split),
            *_of_clusters(settings, split, sizes),
            *_of_cut(settings, split),
        ),
    )


def _parts(dataset: Dataset, settings: SplitSettings, split: Split) -> dict[Side, PartReport]:
    moments = moments_of(dataset, settings.column) if settings.strategy == "temporal" else None
    placed = sum(side != "set aside" for side in split.sides)
    found: dict[Side, PartReport] = {}
    for part in settings.parts:
        rows = split.rows(part)
        ends = span([moments[at] for at in rows]) if moments is not None else None
        earliest, latest = ends or ("", "")
        found[part] = PartReport(len(rows), len(rows) / placed, earliest, latest)
    return found


def _strata(dataset: Dataset, settings: SplitSettings, split: Split) -> dict[str, dict[Side, int]]:
    if settings.strategy not in ("random", "category") or settings.column not in dataset.columns:
        return {}
    found: dict[str, dict[Side, int]] = {}
    for example, side in zip(dataset.examples, split.sides, strict=True):
        value = example.row.get(settings.column)
        counts = found.setdefault(NO_VALUE if value in (None, "") else str(value), dict.fromkeys(settings.parts, 0))
        counts[side] = counts.get(side, 0) + 1
    return dict(sorted(found.items()))


def _of_shares(settings: SplitSettings, parts: Mapping[Side, PartReport]) -> list[str]:
    if settings.leave_out or settings.strategy == "temporal":
        return []
    asked: dict[Part, float] = {"test": settings.test_share, "validation": settings.validation_share}
    return [
        f"{part} has {parts[part].share:.1%} of the rows where {share:.1%} were asked for: few clusters decide"
        for part, share in asked.items()
        if part in parts and abs(parts[part].share - share) > _FAR_OFF
    ]


def _of_strata(settings: SplitSettings, strata: Mapping[str, Mapping[Side, int]]) -> list[str]:
    if settings.leave_out:
        return []
    missing = [
        f"{settings.column} {value!r}: none of its {sum(counts.values())} rows is in {part}"
        for value, counts in strata.items()
        for part in settings.parts
        if not counts[part]
    ]
    return [*missing[:_LISTED], *_and_more(missing)]


def _of_groups(dataset: Dataset, settings: SplitSettings, split: Split) -> list[str]:
    if settings.strategy == "group":
        return []
    sides: dict[str, set[Side]] = {}
    for example, side in zip(dataset.examples, split.sides, strict=True):
        group = example.row.get("group")
        if group not in (None, "") and side != "set aside":
            sides.setdefault(str(group), set()).add(side)
    torn = sum(len(found) > 1 for found in sides.values())
    return [f"{torn} groups have rows in several parts: --strategy group keeps them together"] if torn else []


def _of_clusters(settings: SplitSettings, split: Split, sizes: Mapping[int, int]) -> list[str]:
    largest = max(sizes.values())
    if largest < 3 or largest <= _LARGE_CLUSTER * len(split.firsts):
        return []
    what = "copies" if settings.near == 1 else "near-duplicates"
    return [
        f"{largest} of {len(split.firsts)} rows are {what} of one another and go together: a form that is filled in? "
        f"They were looked for in {', '.join(split.columns)}; --text names others, --near 1 heeds exact copies only"
    ]


def _of_cut(settings: SplitSettings, split: Split) -> list[str]:
    if settings.strategy != "temporal" or settings.cut is not None:
        return []
    return [f"the cut moves when rows are added: --cut {split.boundaries['test']} keeps it where it is"]


def _and_more(missing: Sequence[str]) -> list[str]:
    return [f"{len(missing) - _LISTED} more like these"] if len(missing) > _LISTED else []
