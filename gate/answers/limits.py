"""How much an answer store may hold, and for how long."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

from finetune_gate.evaluators.errors import ConfigurationError, Problem

GIB = 1 << 30
MAX_GB = "FINETUNE_GATE_STORE_MAX_GB"
UNUSED_DAYS = "FINETUNE_GATE_STORE_UNUSED_DAYS"


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """``StoreLimits.from_environment()``. Beyond either, answers go: the longest unused first."""

    max_bytes: int = 10 * GIB
    unused_days: float = 90.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> StoreLimits:
        """``FINETUNE_GATE_STORE_MAX_GB`` (GiB, default 10) and ``FINETUNE_GATE_STORE_UNUSED_DAYS`` (default 90).
        Raises ConfigurationError."""
        gigabytes = _number(environment, MAX_GB, 10.0)
        return cls(int(gigabytes * GIB), _number(environment, UNUSED_DAYS, 90.0))


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1e9:
        raise ConfigurationError(Problem(f"environment variable {name}", repr(text), "a number, 0 or more"))
    return value
