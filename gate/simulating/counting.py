"""Worlds, one after another or in several processes, until all are done, time is up, or somebody stops it.

What a world comes to depends on the trial and its number alone: the same ones make the same table in any number of
processes.
"""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from multiprocessing import get_context
from typing import Literal

from finetune_gate.evaluators.errors import EvaluationError, Problem
from finetune_gate.evaluators.scores import ScoreTable
from finetune_gate.evaluators.statistics import Estimate

from ..deciding import Check, Circumstances, Decision, Outcome, Verdict
from ..gate_file import Gate
from ..progress import Progress, duration_text
from ..run.judging import decide_at_look, decide_measured
from ..run.looks import Levels
from ..run.measuring import measure_gate
from .looking import Rows, looks_in, part_of_table
from .population import Population
from .worlds import draw_world, score_table

CHUNK_SECONDS = 1.0
"""About how long a process works at a piece: so soon it can be stopped, and so often progress shows."""

WORTH_PROCESSES = 10.0
"""Seconds of work from which on further processes are started; each takes some seconds to begin."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True, slots=True)
class Trial:
    """All that a world depends on besides its number."""

    gate: Gate
    in_parts: frozenset[str]
    populations: tuple[Population, ...]
    roles: tuple[str, ...]
    differences: tuple[float, ...]
    seed: int
    today: date


Key = tuple[str | None, tuple[tuple[str, str], ...]]
"""Which of a rule's checks: the baseline and the slice."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one world came to at one difference. ``errors`` are the checks' standard errors, by rule and `key_of`;
    ``share`` is that of the examples which were looked at."""

    verdict: Verdict
    outcomes: tuple[Outcome, ...]
    errors: Mapping[tuple[int, Key], float]
    share: float


def key_of(check: Check) -> Key:
    return check.against, tuple(check.slice.items())


World = tuple[Seen, ...]
"""By difference."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Finished worlds by number, in order."""

    worlds: tuple[World, ...]
    stopped: Literal["deadline", "interrupted"] | None
    seconds: float


def simulate_world(trial: Trial, number: int) -> World:
    """Measured and decided as a run does: look by look, by files that differ, before any person is asked."""
    world = draw_world(trial.populations, trial.roles, trial.seed, number)
    circumstances = Circumstances(has_champion="champion" in trial.roles, identical=(), today=trial.today)
    several = len(trial.gate.file.execution.looks) > 1
    looks = looks_in(trial.gate, trial.in_parts, world, trial.seed, number) if several else ()
    return tuple(_looked(trial.gate, score_table(world, one), looks, circumstances) for one in trial.differences)


def _looked(gate: Gate, table: ScoreTable, looks: Sequence[tuple[Levels, Rows]], circumstances: Circumstances) -> Seen:
    levels = None
    for levels, rows in looks:
        if levels.last:
            break
        measured = measure_gate(gate, part_of_table(table, rows), levels)
        decision, stopped = decide_at_look(gate, measured, circumstances, levels)
        if stopped is not None:
            return _seen(decision, levels.shares[levels.at - 1])
    return _seen(decide_measured(gate, measure_gate(gate, table, levels), circumstances), 1.0)


def _seen(decision: Decision, share: float) -> Seen:
    errors = {
        (index, key_of(check)): check.measured.standard_error
        for index, result in enumerate(decision.results)
        for check in result.checks
        if isinstance(check.measured, Estimate) and check.measured.standard_error is not None
    }
    return Seen(decision.verdict, tuple(result.outcome for result in decision.results), errors, share)


def count_worlds(trial: Trial, worlds: int, processes: int, deadline: float, progress: Progress) -> Counted:
    """Whatever was finished before ``deadline`` seconds have passed, or an interrupt came; at least two worlds. Raises
    KeyboardInterrupt where they are not there yet, and EvaluationError where a process is lost."""
    begun = time.monotonic()
    done = {0: simulate_world(trial, 0)}
    again = time.monotonic()
    if worlds > 1:  # the first one also paid for what is imported and kept
        done[1] = simulate_world(trial, 1)
    each = time.monotonic() - again
    left = range(len(done), worlds)
    expected = each * len(left)
    if expected < WORTH_PROCESSES or not _travels(trial):
        processes = 1
    expected /= processes
    points = f"{len(trial.differences)} differences" if len(trial.differences) > 1 else "one difference"
    about = f"{worlds:,} worlds at {points}: about {duration_text(expected)}"
    if begun + deadline < again + expected:
        about += f", stopped after {duration_text(deadline)} (--deadline)"
    progress.say(about)
    progress.begin("worlds", worlds)
    progress.advance(len(done))
    stopped: Literal["deadline", "interrupted"] | None = None
    chunk = max(1, min(int(CHUNK_SECONDS / max(each, 1e-6)), -(-len(left) // processes)))
    pieces = [left[at : at + chunk] for at in range(0, len(left), chunk)]
    try:
        with _answers(trial, pieces, processes, begun + deadline) as answers:
            for found in answers:
                done |= found
                progress.advance(len(found))
    except KeyboardInterrupt:
        stopped = "interrupted"
    if stopped is None and len(done) < worlds:
        stopped = "deadline"
    return Counted(tuple(done[number] for number in sorted(done)), stopped, time.monotonic() - begun)


@contextmanager
def _answers(
    trial: Trial, pieces: list[range], processes: int, until: float
) -> Generator[Iterable[Mapping[int, World]]]:
    if processes == 1:
        yield _here(trial, pieces, until)
        return
    with _one_thread_each():
        pool = ProcessPoolExecutor(processes, get_context("spawn"), _begin, (trial,))
        try:
            yield _elsewhere(pool, pieces, until)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _one_thread_each() -> Generator[None]:
    """For processes that begin within. As many threads as there are cores, in as many processes, wait for each other:
    bootstraps then take several times as long. Read when numpy is imported, so only the environment can say it."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ |= dict.fromkeys(_THREADS, "1")
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _here(trial: Trial, pieces: list[range], until: float) -> Iterator[Mapping[int, World]]:
    for piece in pieces:
        for number in piece:
            if time.monotonic() >= until:
                return
            yield {number: simulate_world(trial, number)}


def _elsewhere(pool: ProcessPoolExecutor, pieces: list[range], until: float) -> Iterator[Mapping[int, World]]:
    waiting: set[Future[Mapping[int, World]]] = {pool.submit(_work, piece) for piece in pieces}
    while waiting:
        finished, waiting = wait(waiting, timeout=max(0.0, until - time.monotonic()), return_when=FIRST_COMPLETED)
        for future in finished:
            try:
                yield future.result()
            except BrokenProcessPool as error:
                found, way_out = "a process was ended from outside", "fewer --processes, where memory was short"
                raise EvaluationError(Problem("simulate", found, "processes that finish", way_out)) from error
        if not finished:
            return


def _travels(trial: Trial) -> bool:
    """Whether other processes can be given the trial: metrics of one's own evaluators may not."""
    try:
        pickle.dumps(trial)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return True


_trial: list[Trial] = []


def _begin(trial: Trial) -> None:
    """In a process of its own: an interrupt concerns the one that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _trial.append(trial)


def _work(piece: range) -> Mapping[int, World]:
    return {number: simulate_world(_trial[0], number) for number in piece}
