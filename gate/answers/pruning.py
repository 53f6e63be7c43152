"""Remove answers, the longest unused first, and give the disk its space back, in steps that hold no lock for long.

    pruned = prune(store, What.beyond(limits))
    pruned.answers, pruned.bytes

What the open store has put or read is never removed: the run that it is open for may need it again. (Another process
that is just reading loses nothing but the second look: an answer that is gone is computed again.)
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .contents import live_bytes
from .limits import StoreLimits
from .store import AnswerStore, transaction

ENTRIES_PER_STEP = 500
PAGES_PER_STEP = 1000
PAUSE_SECONDS = 0.005
"""Between two steps, so that others who wait for the lock get it."""


@dataclass(frozen=True, slots=True)
class What:
    """What to remove: entries of ``models`` (by number; None: of all) that were unused for ``unused_days``, or are in
    the way of ``max_bytes``; with neither of the two, every one."""

    max_bytes: int | None = None
    unused_days: float | None = None
    models: tuple[int, ...] | None = None

    @classmethod
    def beyond(cls, limits: StoreLimits) -> What:
        return cls(limits.max_bytes, limits.unused_days)


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many answers went (or would go), about how many bytes they took, and how much smaller the file became."""

    answers: int
    bytes: int
    freed: int = 0


def prune(store: AnswerStore, what: What, *, dry_run: bool = False) -> Pruned:
    """Raises EvaluationError where the store cannot be read or written; steps that were finished stay so."""
    store.mark_used()
    before = store.run(_file_bytes)
    answers = size = 0
    while True:
        found = 0
        for step in _steps(store, what):
            if not dry_run:
                _remove(store, [number for number, _ in step])
            found += len(step)
            size += sum(one for _, one in step)
        answers += found
        if not found or dry_run or what.max_bytes is None:
            break  # a second look, where what is left is packed less densely than it was
    if answers and not dry_run:
        vacuum(store)
    return Pruned(answers, size, max(0, before - store.run(_file_bytes)))


def vacuum(store: AnswerStore) -> None:
    """Return free pages to the file system, some at a time."""
    step = f"pragma incremental_vacuum({PAGES_PER_STEP});"
    free = store.run(_free_pages)
    while free:
        store.run(lambda connection: connection.executescript(step))  # `execute` stops after one page
        left = store.run(_free_pages)
        if left >= free:
            break  # nothing moves, or others free pages as fast
        free = left
        time.sleep(PAUSE_SECONDS)
    store.run(_shrink)


def _shrink(connection: sqlite3.Connection) -> None:
    """The file itself shrinks when its log goes back into it. Not waited for: whoever comes last does it."""
    waits: int = connection.execute("pragma busy_timeout").fetchone()[0]
    connection.execute("pragma busy_timeout = 0")
    try:
        connection.execute("pragma wal_checkpoint(truncate)").fetchall()
    finally:
        connection.execute(f"pragma busy_timeout = {waits}")


def _free_pages(connection: sqlite3.Connection) -> int:
    return connection.execute("pragma freelist_count").fetchone()[0]


def _steps(store: AnswerStore, what: What) -> Iterator[list[tuple[int, int]]]:
    """Number and size of what goes, a step's worth at a time. Sizes of entries are estimates, the file's is not: what
    entries come to is scaled to what they take."""
    cutoff = time.time() - 86400 * what.unused_days if what.unused_days is not None else 0.0
    all_of_it = what.max_bytes is None and what.unused_days is None
    excess = 0.0
    if what.max_bytes is not None:
        takes, sizes = store.run(live_bytes), store.run(_sum_of_sizes)
        excess = (takes - what.max_bytes) * sizes / takes
    step: list[tuple[int, int]] = []
    for number, model, size, used in _longest_unused_first(store):
        if not (all_of_it or used < cutoff or excess > 0):
            break  # all the others were used later
        if store.touched(number) or (what.models is not None and model not in what.models):
            continue
        excess -= size
        step.append((number, size))
        if len(step) == ENTRIES_PER_STEP:
            yield step
            step = []
    if step:
        yield step


def _longest_unused_first(store: AnswerStore) -> Iterator[tuple[int, int, int, int]]:
    query = (
        "select id, model, size, used from entries where (used, id) > (?, ?) and used >= ? "
        f"order by used, id limit {2 * ENTRIES_PER_STEP}"
    )
    at = (-(1 << 62), 0)
    while rows := store.run(lambda connection, at=at: connection.execute(query, (*at, at[0])).fetchall()):
        yield from rows
        at = (rows[-1][3], rows[-1][0])


def _remove(store: AnswerStore, numbers: Sequence[int]) -> None:
    marks = ",".join("?" * len(numbers))

    def write(connection: sqlite3.Connection) -> None:
        with transaction(connection):
            # what is brought again must not be taken for known
            connection.execute(
                f"delete from packs where model in (select model from entries where id in ({marks}))", numbers
            )
            connection.execute(f"delete from answers where id in ({marks})", numbers)
            connection.execute(f"delete from entries where id in ({marks})", numbers)

    store.run(write)
    time.sleep(PAUSE_SECONDS)


def _file_bytes(connection: sqlite3.Connection) -> int:
    pages: int = connection.execute("pragma page_count").fetchone()[0]
    size: int = connection.execute("pragma page_size").fetchone()[0]
    return pages * size


def _sum_of_sizes(connection: sqlite3.Connection) -> int:
    return connection.execute("select coalesce(sum(size), 0) from entries").fetchone()[0]
