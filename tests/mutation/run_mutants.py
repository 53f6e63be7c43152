"""How many faults the tests of the decision notice: ``make mutation-tests``.

Every mutant of the modules that decide gets the tests of its own process: forked from one that has imported all else,
with a finder that gives the changed source for that one module. No file is changed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.abc
import importlib.util
import inspect
import itertools
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
DECIDING = "finetune_gate.gate.deciding"
MODULES = ("terms", "comparing", "by_slice", "checking", "verdict")
QUICK = (
    "test_noticed_faults",
    "test_verdict_table",
    "test_deciding_approval",
    "test_deciding",
    "test_deciding_pairs",
    "test_laws",
)
"""Modules whose tests are called as they are, without the second that pytest takes to collect them."""
TESTS = (
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests/gate").glob("test_deciding*.py")),
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests/deciding").glob("test_*.py")),
)
"""What is not noticed so goes through all of them."""
STRIDE = 13
"""Neighbours lie so far apart in the order of trying, so that a run cut short has tried some of everything."""
LIMIT = 120  # seconds: a mutant that takes longer runs in circles


class OneModule(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Gives ``source`` for one module."""

    def __init__(self, name: str, source: str) -> None:
        self.name, self.source = name, source

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self) if fullname == self.name else None

    def get_source(self, fullname: str) -> str:
        return self.source


@dataclass(frozen=True, slots=True)
class Task:
    module: str
    operator: str
    line: int
    change: str
    source: str


def prepare() -> None:
    """Import what takes long once: all that the tests need. The package that decides is imported anew in each child."""
    os.chdir(ROOT)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ["FINETUNE_GATE_LAW_EXAMPLES"] = os.environ.get("FINETUNE_GATE_LAW_EXAMPLES", "40")
    sys.path[:0] = [str(ROOT / "tests" / "deciding"), str(ROOT / "tests" / "gate")]
    import gc

    import absl.logging
    import hypothesis.extra.numpy
    import pyarrow.parquet
    import pytest
    import scipy.stats

    import finetune_gate.gate.run.measuring
    import finetune_gate.gate.run.score_files

    assert all(
        (absl.logging, hypothesis.extra.numpy, pyarrow.parquet, pytest, scipy.stats, finetune_gate.gate.run.measuring)
    )  # they were wanted for nothing but to be there
    for name in list(sys.modules):
        if name.startswith(("finetune_gate.gate.deciding", "finetune_gate.gate.run", "finetune_gate.gate.reports")):
            del sys.modules[name]
    # a machine under load is no fault of a mutant
    healthy = list(hypothesis.HealthCheck)
    hypothesis.settings.register_profile(
        "mutants", max_examples=40, derandomize=True, database=None, deadline=None, suppress_health_check=healthy
    )
    hypothesis.settings.load_profile("mutants")
    gc.freeze()  # so that no child copies the pages of what is there already


def child(task: Task, quick: bool) -> int:
    """Exit status of the tests: 0 where the fault went unnoticed."""
    import pytest

    if task.operator:  # a mutant: what its tests say is of no interest
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
    sys.meta_path.insert(0, OneModule(f"{DECIDING}.{task.module}", task.source))
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "pytest_timeout", "--tb=no"]
    options += ["-k", "not documentation and not laws_notice"]  # of the tests themselves
    if quick:
        for name in QUICK:
            call_tests(importlib.import_module(name))
        return 0
    return int(pytest.main([*options, *TESTS]))


def call_tests(module: ModuleType) -> None:
    """Call every test of a module that wants no fixture, with all that it is parametrised over."""
    for name, test in list(vars(module).items()):
        if not name.startswith("test_"):
            continue
        marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
        wanted = [part.strip() for mark in marks for part in _names(mark.args[0])]
        if set(inspect.signature(test).parameters) != set(wanted):
            continue
        for values in itertools.product(*(mark.args[1] for mark in marks)):
            given = [
                one
                for mark, value in zip(marks, values, strict=True)
                for one in (value if len(_names(mark.args[0])) > 1 else (value,))
            ]
            test(**dict(zip(wanted, given, strict=True)))


def _names(given: str | Sequence[str]) -> list[str]:
    return given.split(",") if isinstance(given, str) else list(given)


def start(task: Task, quick: bool) -> int:
    pid = os.fork()
    if pid:
        return pid
    signal.alarm(LIMIT)
    status = 3
    with contextlib.suppress(BaseException):  # a failed test among them: only the status comes back
        status = child(task, quick)
    os._exit(status)


def run_all(tasks: Sequence[Task], processes: int, *, quick: bool = False, minutes: float = float("inf")) -> list[bool]:
    """Of each task, as far as it was tried, whether the fault was noticed."""
    noticed: dict[int, bool] = {}
    running: dict[int, int] = {}
    begun = time.monotonic()
    todo = list(enumerate(tasks))
    while todo or running:
        if time.monotonic() - begun > 60 * minutes:
            todo.clear()
        while todo and len(running) < processes:
            number, task = todo.pop(0)
            running[start(task, quick)] = number
        if not running:
            break
        pid, status = os.wait()
        number = running.pop(pid)
        noticed[number] = status != 0
        if not noticed[number] and tasks[number].operator:
            task = tasks[number]
            came = "not noticed at once" if quick else "survived"
            print(f"  {came}: {task.module}.py:{task.line} {task.operator}: {task.change}", flush=True)
        if len(noticed) % 50 == 0:
            print(f"{len(noticed)} of {len(tasks)} after {time.monotonic() - begun:.0f} s", flush=True)
    return [noticed[number] for number in sorted(noticed)]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tool", help="folder in which Cosmic Ray was installed")
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("--modules", nargs="*", default=list(MODULES))
    options.add_argument("--minutes", type=float, default=float("inf"), help="take no more mutants after so long")
    options.add_argument("--least", type=float, default=95.0, help="percentage below which the run fails")
    given = options.parse_args()
    if given.tool:
        sys.path.append(given.tool)
    sys.path.insert(0, str(Path(__file__).parent))
    from mutants import mutants_of

    tasks: list[Task] = []
    for module in given.modules:
        found, left_out = mutants_of((ROOT / "gate" / "deciding" / f"{module}.py").read_text(encoding="utf-8"))
        tasks += [Task(module, one.operator, one.line, one.change, one.source) for one in found]
        print(f"{module}.py: {len(found)} mutants; left out: {left_out} made twice or changing nothing that runs")
    tasks = [task for start in range(STRIDE) for task in tasks[start::STRIDE]]
    prepare()
    unchanged = Task("terms", "", 0, "", (ROOT / "gate" / "deciding" / "terms.py").read_text(encoding="utf-8"))
    begun = time.monotonic()
    if run_all([unchanged], 1) != [False]:
        print("the tests fail without any mutant: nothing can be said")
        return 2
    print(f"the tests take {time.monotonic() - begun:.1f} s where nothing is wrong", flush=True)
    noticed = run_all(tasks, given.processes, quick=True, minutes=given.minutes)
    if len(noticed) < len(tasks):
        print(f"{len(noticed)} of {len(tasks)} mutants tried in {given.minutes:g} minutes")
    tasks = tasks[: len(noticed)]
    left = [number for number, seen in enumerate(noticed) if not seen]
    print(f"{len(left)} of {len(tasks)} go through all tests", flush=True)
    for number, seen in zip(left, run_all([tasks[number] for number in left], given.processes), strict=True):
        noticed[number] = seen
    totals, killed = Counter(task.module for task in tasks), Counter[str]()
    for task, seen in zip(tasks, noticed, strict=True):
        killed[task.module] += seen
    for module in totals:
        print(f"{module}.py: {killed[module]} of {totals[module]} killed")
    share = 100 * sum(noticed) / max(1, len(noticed))
    print(f"{sum(noticed)} of {len(noticed)} mutants killed: {share:.1f} %, in {time.monotonic() - begun:.0f} s")
    return 0 if share >= given.least else 1


if __name__ == "__main__":
    raise SystemExit(main())
