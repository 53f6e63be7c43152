"""What one tool made of the tasks, and whether two tools made the same of them."""

from __future__ import annotations

import resource
import time
from dataclasses import asdict, dataclass, field

TOLERANCE = 1e-4


@dataclass(slots=True)
class Outcome:
    """By task: named values, CPU and wall seconds. ``texts`` are the generated ones, in order."""

    values: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    cpu: dict[str, float] = field(default_factory=dict[str, float])
    wall: dict[str, float] = field(default_factory=dict[str, float])
    texts: list[str] = field(default_factory=list[str])

    def as_json(self) -> dict[str, object]:
        return asdict(self)


class Stopwatch:
    """CPU seconds of all threads of this process, and wall seconds, since it was made."""

    def __init__(self) -> None:
        self._cpu, self._wall = _cpu(), time.perf_counter()

    @property
    def cpu(self) -> float:
        return _cpu() - self._cpu

    @property
    def wall(self) -> float:
        return time.perf_counter() - self._wall


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def differences(ours: Outcome, theirs: Outcome) -> list[str]:
    """Every value on which two tools do not agree to 1e-4 (of the value, where it is larger than 1)."""
    found: list[str] = []
    for task, values in theirs.values.items():
        for name, right in values.items():
            value = ours.values.get(task, {}).get(name)
            if value is None or abs(value - right) > TOLERANCE * max(1.0, abs(right)):
                found.append(f"{task}: {name} is {value}, and {right} there")
    if theirs.texts and ours.texts != theirs.texts:
        pairs = list(zip(ours.texts, theirs.texts, strict=False))
        other = [at for at, (left, right) in enumerate(pairs) if left != right]
        first = f"; the first is {pairs[other[0]][0]!r}, and {pairs[other[0]][1]!r} there" if other else ""
        found.append(f"generation: {len(other)} of {len(theirs.texts)} texts differ{first}")
    return found
