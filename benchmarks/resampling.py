"""How long the statistics of a decision take: ``python -m benchmarks.resampling [--update-readme]``

Twenty metrics over the same 10,000 examples, candidate against base, 10,000 paired resamples each: as the estimator
`Corpus` does it, and as a loop that draws rows and computes all metrics of each draw. Before any time is printed their
standard errors must agree within Monte Carlo error. Then `decide` on 100 rules. CPU seconds of one thread.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import date
from math import sqrt
from pathlib import Path

import numpy as np
import numpy.typing as npt

from finetune_gate.evaluators.estimators import Corpus
from finetune_gate.evaluators.measurement import Comparison, Measurement
from finetune_gate.evaluators.statistics import DEFAULT_RESAMPLES, Estimate, paired_counts
from finetune_gate.gate.deciding import Circumstances, decide
from finetune_gate.gate.gate_file.rules import Rule

from .table import update

FloatArray = npt.NDArray[np.float64]
Columns = Mapping[str, FloatArray]

README = Path(__file__).parent / "README.md"
BEGIN = "<!-- resampling: written by python -m benchmarks.resampling --update-readme -->"
END = "<!-- end of resampling -->"
EXAMPLES = 10_000
METRICS = 20
RULES = 100
DRAWS = 500
"""Resamples of the loop, whose time is then multiplied."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.resampling", description="time the statistics")
    parser.add_argument("--update-readme", action="store_true", help="write the table into benchmarks/README.md")
    asked = parser.parse_args(arguments)
    candidate, base = _columns(1), _columns(2)
    few, others = ({name: column[:9] for name, column in of.items()} for of in (candidate, base))
    Corpus(_share, ("hits_0", "size"), 0.0, 1.0).difference(few, others, None, 0.95, 1)  # imports
    ours, seconds = _ours(candidate, base)
    theirs, looped = _loop(candidate, base)
    apart = max(abs(one / other - 1) for one, other in zip(ours, theirs, strict=True))
    if apart > 5 / sqrt(2 * DRAWS):
        print(f"standard errors differ by {100 * apart:.1f} %: no times", file=sys.stderr)
        return 1
    total, deciding = sum(seconds), _deciding()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    what = f"{DEFAULT_RESAMPLES:,} paired resamples of {EXAMPLES:,} examples"
    lines = [
        "| what | CPU seconds |",
        "|---|---|",
        f"| {METRICS} metrics, {what} | {total:.2f} |",
        f"| the first of them, which draws | {seconds[0]:.2f} |",
        f"| each further one, median | {float(np.median(seconds[1:])):.2f} |",
        f"| the same as a loop over draws ({DRAWS} draws, times {DEFAULT_RESAMPLES // DRAWS}) | {looped:.2f} |",
        f"| the loop against ours | {looped / total:.1f} times |",
        f"| `decide` on {RULES} rules | {deciding:.4f} |",
        "",
        f"Standard errors within {100 * apart:.1f} % of the loop's; peak memory of the process {peak:.0f} MiB. "
        f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} when it ended, one thread; "
        f"numpy {np.__version__}, Python {platform.python_version()}.",
    ]
    print("\n".join(lines))
    if asked.update_readme:
        update(README, "\n".join(lines), BEGIN, END)
    return 0


def _columns(seed: int) -> Columns:
    rng = np.random.default_rng(seed)
    size = np.random.default_rng(0).integers(5, 60, EXAMPLES).astype(np.float64)
    hits = {f"hits_{at}": rng.binomial(size.astype(np.int64), 0.5 + 0.01 * at) for at in range(METRICS)}
    return {"size": size, **{name: column.astype(np.float64) for name, column in hits.items()}}


def _share(sums: FloatArray) -> FloatArray:
    return sums[:, 0] / sums[:, 1]


def _ours(candidate: Columns, base: Columns) -> tuple[list[float], list[float]]:
    """Standard error and CPU seconds of each metric."""
    errors: list[float] = []
    seconds: list[float] = []
    for at in range(METRICS):
        begun = time.process_time()
        found = Corpus(_share, (f"hits_{at}", "size"), 0.0, 1.0).difference(candidate, base, None, 0.95, 0)
        seconds.append(time.process_time() - begun)
        if not isinstance(found, Estimate) or found.standard_error is None:
            raise ValueError(f"metric {at}: found {found}; expected an estimate with a standard error")
        errors.append(found.standard_error)
    return errors, seconds


def _loop(candidate: Columns, base: Columns) -> tuple[list[float], float]:
    """Standard error of each metric, and CPU seconds for as many resamples as ours takes."""
    rng = np.random.default_rng(3)
    values = np.empty((DRAWS, METRICS))
    begun = time.process_time()
    for draw in range(DRAWS):
        rows = rng.integers(0, EXAMPLES, EXAMPLES)
        sizes = [of["size"][rows].sum() for of in (candidate, base)]
        for at in range(METRICS):
            hits = [of[f"hits_{at}"][rows].sum() for of in (candidate, base)]
            values[draw, at] = hits[0] / sizes[0] - hits[1] / sizes[1]
    seconds = (time.process_time() - begun) * DEFAULT_RESAMPLES / DRAWS
    return values.std(axis=0, ddof=1).tolist(), seconds


def _deciding() -> float:
    """CPU seconds of one decision, the median of nine."""
    rules = [
        Rule(metric=f"made.metric_{at}", min_change=0.0, margin=0.02, against="base", severity="block")
        for at in range(RULES)
    ]
    measurements = {at: _measurement(at) for at in range(RULES)}
    circumstances = Circumstances(has_champion=False, identical=(), today=date(2026, 1, 1))
    seconds: list[float] = []
    for _ in range(9):
        begun = time.process_time()
        decide(rules, measurements, circumstances)
        seconds.append(time.process_time() - begun)
    return float(np.median(seconds))


def _measurement(at: int) -> Measurement:
    difference = paired_counts(40 + at % 9, 40, 1_000)
    return Measurement(
        metric=f"made.metric_{at}",
        higher_is_better=True,
        unit="",
        confidence=0.95,
        planned=1_000,
        scored={"candidate": 1_000, "base": 1_000},
        candidate=difference,
        comparisons={"base": Comparison(difference, difference)},
    )


if __name__ == "__main__":
    sys.exit(main())
