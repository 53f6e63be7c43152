"""Whether a backend keeps in what must be kept in, on this machine, now.

    tested = self_test(Bubblewrap())
    tested.breaches        # {}: every probe was contained

The outside is planted first (``surroundings``). The probes then run inside, and what they say counts, and what the
outside saw come. A sandbox in which probes cannot be run has failed the test as well: it raises OSError.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from ..protocol import Backend, Cell, CellError, Limits
from .surroundings import Surroundings

SMALL: Final = Limits(memory_bytes=160 << 20, disk_bytes=4 << 20, processes=12, open_files=48, cpu_seconds=10)
"""What the sandboxes of a self-test may use, so that it is quick to show that there is no more."""

_OUTWARD: Final = ("file_probes.py", "neighbour_probes.py", "kernel_probes.py")
_EXHAUSTING: Final = "exhausting_probes.py"
_SECONDS: Final = 20.0
_CONTAINED_BY_ITS_END: Final = frozenset({"memory_of_many", "many_small_files"})


@dataclass(frozen=True, slots=True)
class Found:
    """``tried``: the probes that were run. ``breaches``: what those that got out got to. ``seconds``: wall time."""

    tried: frozenset[str]
    breaches: dict[str, str]
    seconds: float


def self_test(backend: Backend) -> Found:
    """All probes, in a few sandboxes. Raises OSError where they cannot be run."""
    begun = time.monotonic()
    tried: set[str] = set()
    breaches: dict[str, str] = {}
    with Surroundings() as planted:
        with backend.start(_source("probing.py"), SMALL) as cell:
            _send(cell, json.dumps(planted.told(SMALL)))
            for text in _OUTWARD:
                _send(cell, _source(text))
                for name, found in _answers(cell):
                    tried.add(name)
                    if found is not None:
                        breaches[name] = found
        breaches |= planted.reached()
        if planted.lingering():
            breaches["lingering"] = "a process was left behind"
        _exhaust(backend, planted, tried, breaches)
    return Found(frozenset(tried), breaches, time.monotonic() - begun)


def _exhaust(backend: Backend, planted: Surroundings, tried: set[str], breaches: dict[str, str]) -> None:
    """Run what a sandbox may be ended for, and go on in a new one where it was."""
    done: set[str] = set()
    while True:
        with backend.start(_source("probing.py"), SMALL) as cell:
            _send(cell, json.dumps(planted.told(SMALL, frozenset(done))))
            _send(cell, _source(_EXHAUSTING))
            try:
                for name, found in _answers(cell, done):
                    tried.add(name)
                    if found is not None:
                        breaches[name] = found
                return
            except _EndedIn as ended:
                if ended.probe not in _CONTAINED_BY_ITS_END or cell.close() != "out_of_memory":
                    raise
                tried.add(ended.probe)


class _EndedIn(OSError):
    """The sandbox ended while ``probe`` ran."""

    def __init__(self, probe: str, why: str) -> None:
        super().__init__(f"it broke down in the probe {probe}: {why}")
        self.probe = probe


def _answers(cell: Cell, begun: set[str] | None = None) -> Iterator[tuple[str, str | None]]:
    """The probes of one text with what they found, and each in ``begun`` once it has begun."""
    current = "(none)"
    while True:
        try:
            said = cast("dict[str, str | None]", json.loads(cell.receive(time.monotonic() + _SECONDS)))
        except (CellError, ValueError) as error:
            raise _EndedIn(current, str(error)) from error
        if not said:
            return
        current = said.get("begins") or current
        if begun is not None:
            begun.add(current)
        if "ends" in said:
            yield str(said["ends"]), said["found"]


def _send(cell: Cell, text: str) -> None:
    try:
        cell.send(text.encode("utf-8"), time.monotonic() + _SECONDS)
    except CellError as error:
        raise OSError(f"it does not take messages: {error}") from error


def _source(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
