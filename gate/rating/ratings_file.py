"""The file of ratings: JSONL, one line for each rater and pair.

    file = RatingsFile(Path("ratings.jsonl"))
    file.keep([rating_of(item, "ana", "left")])

Many processes may write to it at once. A rating that is given again takes the place of the one before; every other
line stays byte for byte as it was, whatever it holds.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from finetune_gate.evaluators.datasets import DatasetSource, load_dataset
from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, Problem
from finetune_gate.evaluators.people.ratings import Rating, rating_line, read_ratings

from ..record import write_bytes_atomically

WAIT_SECONDS = 20.0
"""How long to wait for other processes that write: each needs some milliseconds."""


class RatingsFile:
    """Raises ConfigurationError for a path that is no file of lines."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()  # what a link points to is written, and the link stays one
        if self.path.suffix.lower() not in (".jsonl", ".ndjson") or self.path.is_dir():
            raise ConfigurationError(
                Problem(str(path), "ratings are added to a file, line by line", "a path that ends in .jsonl")
            )

    def read(self) -> tuple[Rating, ...]:
        """Every rating; none where there is no file yet. Raises DatasetError where the file is not JSON lines."""
        source = DatasetSource(path=self.path.name, optional=True)
        return read_ratings(load_dataset("ratings", source, self.path.parent))

    def keep(self, ratings: Sequence[Rating]) -> None:
        """Write ``ratings`` before returning: all of them or, where this raises EvaluationError, none."""
        try:
            with _alone(self.path):
                write_bytes_atomically(self.path, _merged(self._content(), ratings))
        except OSError as error:
            found = f"cannot be written: {error.strerror or error}"
            raise EvaluationError(Problem(str(self.path), found, "a file that ratings can be added to")) from error

    def _content(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""


def _merged(content: bytes, ratings: Sequence[Rating]) -> bytes:
    lines = [line for line in content.split(b"\n") if line.strip()]
    at = {name: number for number, line in enumerate(lines) if (name := _id(line)) is not None}
    for rating in ratings:
        fields = rating_line(rating)
        line = json.dumps(fields, ensure_ascii=False, allow_nan=False).encode()
        name = str(fields["id"])
        if name in at:
            lines[at[name]] = line
        else:
            at[name] = len(lines)
            lines.append(line)
    return b"".join(line.rstrip(b"\r") + b"\n" for line in lines)


def _id(line: bytes) -> str | None:
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    found = cast("dict[str, object]", value).get("id") if isinstance(value, dict) else None
    return found if isinstance(found, str) else None


@contextmanager
def _alone(path: Path) -> Generator[None]:
    """A lock of the system beside the file, since the file itself is replaced: a killed process leaves none behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        until = time.monotonic() + WAIT_SECONDS
        while not _locked(handle):
            if time.monotonic() > until:
                found = f"another process has been writing it for over {WAIT_SECONDS:.0f} s"
                raise EvaluationError(Problem(str(path), found, way_out="end that process, and send the rating again"))
            time.sleep(0.01)
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
