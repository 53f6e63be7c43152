"""Which files may hold the examples, where nobody said: only names that say so themselves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from finetune_gate.evaluators.datasets import TABLES
from finetune_gate.evaluators.errors import ConfigurationError, Problem

HELD_OUT = ("holdout", "held_out", "heldout", "test", "eval", "validation", "valid", "val", "dev")
"""Names of files with examples that a model was not trained on, the surest first."""

TRAINED_ON = ("train", "training")
_FOLDERS = (".", "data")
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Files:
    """``holdout`` was named, or is the surest of those found; ``others`` were passed over. ``train`` is never taken
    unasked: what was trained on must be known."""

    holdout: Path
    found: bool = False
    others: tuple[Path, ...] = ()
    train: Path | None = None


def find_files(named: Path | None, folder: Path) -> Files:
    """The file that a person ``named``, else one in ``folder`` or its ``data`` that is called as held-out data is.

    Raises ConfigurationError that lists the tables it saw, where none is.
    """
    tables = _tables(folder)
    train = next((path for path in tables if path.stem.lower() in TRAINED_ON), None)
    if named is not None:
        return Files(named, train=train)
    held_out = sorted(
        (path for path in tables if path.stem.lower() in HELD_OUT),
        key=lambda path: HELD_OUT.index(path.stem.lower()),  # of equals, the order of the folders stays
    )
    if held_out:
        return Files(held_out[0], True, tuple(held_out[1:]), train)
    seen = ", ".join(repr(str(path)) for path in tables[:_SHOWN]) or "no tables at all"
    more = f" and {len(tables) - _SHOWN} more" if len(tables) > _SHOWN else ""
    raise ConfigurationError(
        Problem(
            "--data",
            f"not given, and here and in data/ there is none called {', '.join(HELD_OUT)}; seen: {seen}{more}",
            "examples that the model was never trained on: JSONL, CSV or Parquet",
            "--data FILE names them; `finetune-gate split` makes such a file of all that there is",
        )
    )


def _tables(folder: Path) -> list[Path]:
    found: list[Path] = []
    for name in _FOLDERS:
        try:
            found += sorted(one for one in (folder / name).iterdir() if one.suffix.lower() in TABLES and one.is_file())
        except OSError:  # no such folder, or not to be read: then nothing is in it for us
            continue
    return found
