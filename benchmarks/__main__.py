"""Measure everything, and print one table of ratios.

python -m benchmarks                              # all of it: about an hour on two cores
python -m benchmarks --quick                      # a few minutes: small tasks, few rounds, no 110m models
python -m benchmarks --only floor --models 22m    # one group of rows
python -m benchmarks --update-readme              # put the table into benchmarks/README.md
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from . import against, table, whole
from .measuring import ROOT, Clock, Row
from .models import SHAPES, make_adapter, make_model
from .tasks import Tasks, make_tasks

GROUPS = ("harness", "command", "floor", "naive", "store", "outside", "memory", "endpoints")
SIZES = ("tiny", "22m", "110m")
SHARES = {"tiny": 1.0, "22m": 0.2, "110m": 0.06}
"""How much of the full tasks (200 texts, 2 x 300 choices, 300 prompts) models of each size get."""


@dataclass(frozen=True, slots=True)
class Step:
    """One group of rows for one model, and how many progress lines it prints."""

    group: str
    lines: int
    run: Callable[[Clock], list[Row]]


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    if options.threads:  # read when torch is imported, here and in every process started from here
        os.environ["OMP_NUM_THREADS"] = os.environ["RAYON_NUM_THREADS"] = str(options.threads)
    sizes = options.models.split(",")
    if unknown := [size for size in sizes if size not in SIZES]:
        raise SystemExit(f"--models {unknown[0]} is none of {', '.join(SIZES)}")
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        steps = [step for step in _steps(Path(folder), sizes, options.rounds, options.quick)
                 if options.only in (None, step.group)]  # fmt: skip
        clock = Clock(sum(step.lines for step in steps))
        rows: list[Row] = []
        for step in steps:
            try:
                rows += step.run(clock)
            except against.Disagreement as error:
                raise SystemExit(f"no times, since the values differ. {error}") from error
            rows.sort(key=lambda row: row.target or "9")
            if options.json:  # after every step, so that a run that is interrupted leaves what it has
                options.json.write_text(json.dumps(table.as_json(rows), indent=1) + "\n", "utf-8")
    text = table.render(rows)
    print(text)
    if options.update_readme:
        table.update(ROOT / "benchmarks" / "README.md", text)
    missed = [row for row in rows if row.reached is False]
    print(f"\n{len(missed)} of {sum(row.reached is not None for row in rows)} targets missed", file=sys.stderr)
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure everything, and print one table of ratios."
    )
    parser.add_argument("--quick", action="store_true", help="a few minutes: small tasks, no 110m models")
    parser.add_argument("--models", default="", help="sizes, comma-separated: tiny,22m,110m")
    parser.add_argument("--rounds", type=int, default=0, help="interleaved rounds of each comparison")
    parser.add_argument("--threads", type=int, help="of every tool; without it, what each takes by itself")
    parser.add_argument("--only", choices=GROUPS, help="one group of rows")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    parser.add_argument("--update-readme", action="store_true", help="put the table into benchmarks/README.md")
    options = parser.parse_args(arguments)
    options.models = options.models or ("tiny,22m" if options.quick else ",".join(SIZES))
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


def _steps(work: Path, sizes: list[str], rounds: int, quick: bool) -> list[Step]:
    """What there is to do, in order. Models and tasks are made when their step begins."""

    def model(name: str, seed: int = 0) -> Path:
        return make_model(work / f"{name}-{seed}", name, seed)

    def tasks(size: str) -> Tasks:
        share = SHARES[size] * (0.3 if quick else 1.0)
        return make_tasks(work / f"tasks-{size}", share)

    steps: list[Step] = []

    def add(group: str, lines: int, rows: Callable[..., list[Row]], *given: Callable[[], object] | object) -> None:
        """A step that calls ``rows`` with the clock and what ``given`` comes to when it begins."""
        steps.append(Step(group, lines, lambda clock: rows(clock, *[one() if callable(one) else one for one in given])))

    for size in sizes:
        name = f"{size}-llama"
        main, other, files = partial(model, name), partial(model, name, 1), partial(tasks, size)
        batches = ("16", "auto") if size == "tiny" and not quick else ("16",)
        add("harness", (1 + len(batches)) * rounds, against.harness_rows, main, name, files, rounds, batches)
        add("naive", 4, against.naive_rows, main, name, files, rounds)
        if size == "tiny":
            add("command", rounds, whole.command_rows, work, main, other, files, rounds)
            continue
        for shape in (shape for shape in SHAPES if shape.startswith(size)):
            add("floor", 3, against.floor_rows, partial(model, shape), shape, files, rounds + 2)
        if size == "22m":
            full = partial(make_tasks, work / "tasks-full", 0.2 if quick else 1.0)
            add("store", rounds, whole.store_rows, work, main, name, full, rounds)
            add("outside", rounds, whole.outside_rows, work, main, other, name, full, rounds)
        else:
            adapter = partial(lambda base: make_adapter(work / "adapter", base()), main)
            add("memory", rounds, whole.memory_rows, main, adapter, name, rounds)
    add("endpoints", 1, whole.endpoint_rows, work)
    return steps


if __name__ == "__main__":
    sys.exit(main())
