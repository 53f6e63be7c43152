"""What a sandbox costs: ``python -m benchmarks.sandbox [--rounds 30] [--update-readme]``

One program after the other on one core, each in sandboxes of its own, in turns with a bare subprocess that runs the
same program and the same tests with nothing to keep it in and nothing to keep it from saying that it passed. Wall
seconds of each sample, from nothing to its outcome: no sandbox is warm. Every sample must pass, or no time is printed.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from finetune_gate.evaluators.asking import CodeTask, ExecuteRequest, Execution
from finetune_gate.gate.sandbox.choosing import Unavailable, choose
from finetune_gate.gate.sandbox.trials.running import Trials

from .table import update

README = Path(__file__).parent / "README.md"
BEGIN = "<!-- sandbox: written by python -m benchmarks.sandbox --update-readme -->"
END = "<!-- end of sandbox -->"
ALLOWED = 0.3
ALLOWED_REFUSAL = 1.0

PROGRAM = '''
from typing import List


def below_zero(operations: List[int]) -> bool:
    """Whether the balance of an account ever falls below zero."""
    balance = 0
    for operation in operations:
        balance += operation
        if balance < 0:
            return True
    return False


if __name__ == "__main__":
    print(below_zero([int(word) for word in input().split()]))
'''
GIVEN: tuple[list[int], ...] = (
    [],
    [1, 2, -3, 1, 2, -3],
    [1, 2, -4, 5, 6],
    [1, -1, 2, -2, 5, -5, 4, -4],
    [1, -1, 2, -2, 5, -5, 4, -5],
    [1, -2],
)
EXPECTED = (False, False, True, False, True, True)
TEST = "def check(candidate):\n" + "".join(
    f"    assert candidate({given}) == {expected}\n" for given, expected in zip(GIVEN, EXPECTED, strict=True)
)
TASKS = {
    "calls, compared outside": CodeTask(
        entry_point="below_zero",
        calls=tuple((f"[{given}]", str(expected).lower()) for given, expected in zip(GIVEN, EXPECTED, strict=True)),
    ),
    "tests that are code, in a second sandbox": CodeTask(entry_point="below_zero", test=TEST),
    "a script, what it prints compared outside": CodeTask(dialogues=(("1 2 -4 5", "True"),)),
}
REFUSED = (
    "from finetune_gate.gate.sandbox.choosing import Unavailable, choose; assert isinstance(choose(), Unavailable)"
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sandbox", description="time the sandbox")
    parser.add_argument("--rounds", type=int, default=30, help="samples of each kind (30)")
    parser.add_argument("--update-readme", action="store_true", help="write the table into benchmarks/README.md")
    asked = parser.parse_args(arguments)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    begun = time.perf_counter()
    backend = choose()
    tested = time.perf_counter() - begun
    if isinstance(backend, Unavailable):
        print(backend.reason, file=sys.stderr)
        return 1
    trials = Trials(backend, 1)
    requests = {name: ExecuteRequest(PROGRAM, task) for name, task in TASKS.items()}
    controls = _seconds(lambda: [_passed(trials.execute(request)) for request in requests.values()])
    times: dict[str, list[float]] = {name: [] for name in ("bare", *requests)}
    for _ in range(asked.rounds):
        times["bare"].append(_seconds(_bare))
        for name, request in requests.items():
            times[name].append(_seconds(lambda request=request: _passed(trials.execute(request))))
    refusal = [_seconds(_refuse) for _ in range(5)]
    text = "\n".join([*_rows(times), *_once(backend.name, tested, controls, refusal), "", _about(asked.rounds)])
    print(text)
    if asked.update_readme:
        update(README, text, BEGIN, END)
    return 0


def _rows(times: dict[str, list[float]]) -> list[str]:
    bare = times["bare"]
    rows = [
        "| one sample | wall seconds, median (least to most) | more than bare: medians, leasts | wanted | |",
        "|---|---|---|---|---|",
        f"| a bare subprocess, `python -I -S` | {_spread(bare)} | | | |",
    ]
    for name, seconds in times.items():
        if name != "bare":
            over = [of(seconds) - of(bare) for of in (statistics.median, min)]
            reached = "reached" if max(over) <= ALLOWED else "**missed**"
            more = ", ".join(f"{one:.3f}" for one in over)
            rows.append(f"| {name} | {_spread(seconds)} | {more} | at most {ALLOWED:g} | {reached} |")
    return rows


def _once(name: str, tested: float, controls: float, refusal: list[float]) -> list[str]:
    reached = "reached" if statistics.median(refusal) <= ALLOWED_REFUSAL else "**missed**"
    return [
        f"| once a run: every probe of the self-test ({name}) | {tested:.2f} | | at most 2 | "
        f"{'reached' if tested <= 2 else '**missed**'} |",
        f"| once a run: the controls, for all three kinds | {controls:.2f} | | | |",
        f"| no sandbox here: the whole process that says so | {_spread(refusal)} | | at most {ALLOWED_REFUSAL:g} "
        f"| {reached} |",
    ]


def _about(rounds: int) -> str:
    return (
        f"{rounds} samples of each, one core of {os.cpu_count()}, load average {os.getloadavg()[0]:.1f} when it ended; "
        f"Python {platform.python_version()}."
    )


def _bare() -> None:
    subprocess.run([sys.executable, "-I", "-S", "-c", f"{PROGRAM}\n{TEST}\ncheck(below_zero)"], input=b"0", check=True,
                   capture_output=True)  # fmt: skip


def _refuse() -> None:
    """A machine on which neither bubblewrap nor a Docker engine can be found."""
    nowhere = {"PATH": "/nonexistent", "DOCKER_HOST": "unix:///nonexistent/docker.sock"}
    subprocess.run([sys.executable, "-c", REFUSED], env=nowhere, check=True)


def _passed(found: object) -> None:
    if found != Execution("passed"):
        raise SystemExit(f"no times, since a right program did not pass: {found}")


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _spread(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.3f} ({min(seconds):.3f} to {max(seconds):.3f})"


if __name__ == "__main__":
    sys.exit(main())
