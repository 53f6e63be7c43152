"""Where answers are shared: what any such place can do. `opening.shared_answers` opens one by its address.

A place holds packs (see ``packs``) and says nothing about whether they are true: the checks made when they are read
find damage, not intent. **Whoever can write to a shared place can forge answers, and with them a decision.** Give
write access to the jobs that gate models, and to nobody else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from finetune_gate.evaluators.errors import ConfigurationError, Problem, without_credentials

if TYPE_CHECKING:
    from .store import ModelKey

_EXPECTED = "local (this machine only), mlflow, or an fsspec URL such as s3://bucket/path or file:///mnt/answers"


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack as a place lists it; nothing about it has been checked. ``size`` is None where the place does not say.
    Packs of one ``group`` can only be removed together, and only once ``settled``: nobody adds to them any more."""

    name: str
    group: str
    size: int | None
    settled: bool = True


class SharedAnswers(Protocol):
    """A place that machines share. All methods raise EvaluationError where it cannot be reached, within minutes."""

    @property
    def label(self) -> str:
        """Its address, for people: without credentials."""
        ...

    @property
    def number(self) -> int:
        """Tells this place from others, in the store's books."""
        ...

    def packs(self, digest: str) -> list[Pack]:
        """The packs of one model, in no order."""
        ...

    def read(self, digest: str, pack: Pack, limit: int) -> bytes | None:
        """The bytes of a pack, no more than ``limit`` + 1 of them; None where it is no longer there."""
        ...

    def write(self, model: ModelKey, packs: Mapping[str, bytes]) -> None:
        """Add packs, by name. Each is there as a whole or not at all."""
        ...

    def remove(self, digest: str, packs: Sequence[Pack]) -> None:
        """Remove packs: whole, settled groups of them."""
        ...

    def close(self) -> None:
        """Nothing more will be written: groups that were written to are settled."""
        ...


def wrong_place(spec: str, found: str, way_out: str = "") -> ConfigurationError:
    return ConfigurationError(Problem(f"execution.store {without_credentials(spec)!r}", found, _EXPECTED, way_out))


def place_number(address: str) -> int:
    """Never 0, which stands for no place."""
    return (int.from_bytes(hashlib.sha256(address.encode()).digest()[:8], "big") >> 1) | 1
