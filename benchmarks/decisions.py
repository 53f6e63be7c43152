"""How often the gate errs, in made worlds where the truth is known: ``python -m benchmarks.decisions [--worlds 2000]``

In every world a candidate lies exactly at the bound of a rule: exactly so much worse than its base as the margin
allows, or with a rate exactly at ``min`` or ``max``. Scores are drawn, measured and decided on by ``measure`` and
``decide``, the functions of a run. Whoever is at the bound is not good enough to be promoted and not bad enough to be
blocked: at confidence 0.95 each may happen in 5 % of worlds. The interval made of two ends at 0.975 holds the truth in
95 %. A second table looks at parts of the examples, at the confidence that `group_sequential` leaves to each look.
Worlds are drawn by seed, so that the same command gives the same tables on the same versions of numpy and scipy.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from math import sqrt
from pathlib import Path
from zlib import crc32

import numpy as np

from finetune_gate.evaluators.measurement import Measurement, measure
from finetune_gate.evaluators.scores import EvaluatorScores, ScoredExample
from finetune_gate.evaluators.statistics import Estimate, group_sequential
from finetune_gate.gate.deciding import Circumstances, decide
from finetune_gate.gate.gate_file.rules import Rule

from .table import update
from .worlds import CASES, LOOKED_AT, TODAY, Case, World

DOCUMENT = Path(__file__).parent.parent / "docs" / "error-rates.md"
BEGIN, END = "<!-- rates: written by python -m benchmarks.decisions --update-docs -->", "<!-- end of rates -->"
WORLDS = 2_000
SIZES = (50, 200, 1_000)
LOOKS = (0.25, 0.5, 0.75, 1.0)
ALPHA = 0.05
COVERAGE = (0.93, 0.97)
CONFIDENCE, TWO_SIDED = 1 - ALPHA, 0.975
_HEAD = "| scores | examples | worlds | promoted | blocked | 95 % interval holds | |"
_HEAD_OF_LOOKS = "| scores | examples | worlds | promoted by half | at any look | were every look at 0.95 | |"
_CIRCUMSTANCES = Circumstances(has_champion=False, identical=(), today=TODAY)


@dataclass(frozen=True, slots=True)
class Tally:
    """Shares of ``worlds`` worlds of one case at one size."""

    case: Case
    n: int
    worlds: int
    promoted: float
    blocked: float
    covered: float
    unmeasured: float

    @property
    def slack(self) -> float:
        """Three standard errors of a share of 5 %."""
        return 3 * sqrt(ALPHA * (1 - ALPHA) / self.worlds)

    @property
    def verdict(self) -> str:
        """What is out of line, or nothing."""
        wrong = [
            name
            for name, share in (("promotes too often", self.promoted), ("blocks too often", self.blocked))
            if share > ALPHA + self.slack
        ]
        if self.covered < COVERAGE[0]:
            wrong.append("too narrow")
        if self.covered > COVERAGE[1]:
            wrong.append("wide")
        return ", ".join(wrong)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions", description="how often the gate errs")
    parser.add_argument("--worlds", type=int, default=WORLDS, help="worlds in each row")
    parser.add_argument("--only", default="", help="rows whose kind or name contains this")
    parser.add_argument("--update-docs", action="store_true", help=f"write the table into {DOCUMENT.name}")
    asked = parser.parse_args(arguments)
    begun = time.monotonic()
    tables: list[str] = []
    for head, rows in (
        (_HEAD, map(row, tallies(CASES, SIZES, asked.worlds, asked.only))),
        (_HEAD_OF_LOOKS, looked_rows(LOOKED_AT, SIZES[1:], asked.worlds, asked.only)),
    ):
        lines = [head, "|---" * (head.count("|") - 1) + "|"]
        print("\n" + "\n".join(lines))
        for line in rows:
            lines.append(line)
            print(line, flush=True)
        tables.append("\n".join(lines))
    print(f"{time.monotonic() - begun:.0f} s", file=sys.stderr)
    if asked.update_docs:
        made_with = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy"))
        update(
            DOCUMENT, "\n\n".join((*tables, f"Drawn with {made_with}, Python {platform.python_version()}.")), BEGIN, END
        )
    return 0


def tallies(cases: Sequence[Case], sizes: Sequence[int], worlds: int, only: str = "") -> Iterator[Tally]:
    for case in cases:
        if only in case.kind or only in case.name:
            for n in sizes:
                yield tally(case, n, max(2, round(worlds * case.share_of_worlds)))


def tally(case: Case, n: int, worlds: int) -> Tally:
    """Draw, measure and decide ``worlds`` times."""
    rng = np.random.default_rng([crc32(f"{case.kind} {case.name}".encode()), n])
    promoted = blocked = covered = unmeasured = 0
    for seed in range(worlds):
        scores = scores_of(case.draw(rng, n))
        verdict = decided(case.rule, measure(case.metric, scores, confidence=CONFIDENCE, seed=seed))
        promoted += verdict == "promote"
        blocked += verdict == "block"
        found = ruled(measure(case.metric, scores, confidence=TWO_SIDED, seed=seed))
        if isinstance(found, Estimate):
            covered += case.truth in found.interval
        else:
            unmeasured += 1
    counts = (promoted, blocked, covered, unmeasured)
    return Tally(case, n, worlds, *(count / worlds for count in counts))


def looked_rows(cases: Sequence[Case], sizes: Sequence[int], worlds: int, only: str = "") -> Iterator[str]:
    """One row of the table of looks per case and size."""
    for case in cases:
        if only in case.kind or only in case.name:
            for n in sizes:
                first, once, plainly = looks(case, n, worlds)
                limit = ALPHA + 3 * sqrt(ALPHA * (1 - ALPHA) / worlds)
                shares = " | ".join(f"{100 * share:.1f} %" for share in (first, once, plainly))
                note = "**promotes too often**" if once > limit else ""
                yield f"| {case.kind}: {case.name} | {n:,} | {worlds:,} | {shares} | {note} |"


def looks(case: Case, n: int, worlds: int) -> tuple[float, float, float]:
    """Shares of worlds promoted at the first half of the looks, at any look, and at any look were each at 0.95."""
    rng = np.random.default_rng([crc32(f"looks {case.kind} {case.name}".encode()), n])
    planned = group_sequential(LOOKS, ALPHA).looks
    early = spent = plain = 0
    for seed in range(worlds):
        world = case.draw(rng, n)
        parts = [scores_of(world.first(round(look.fraction * n))) for look in planned]

        def promoted(at: int, confidence: float, parts: Sequence[EvaluatorScores] = parts, seed: int = seed) -> bool:
            return decided(case.rule, measure(case.metric, parts[at], confidence=confidence, seed=seed)) == "promote"

        found = [look.level > 0 and promoted(at, 1 - look.level) for at, look in enumerate(planned)]
        early += any(found[: len(found) // 2])
        spent += any(found)
        plain += any(promoted(at, CONFIDENCE) for at in range(len(planned)))
    return early / worlds, spent / worlds, plain / worlds


def decided(rule: Rule, measurement: Measurement) -> str:
    return decide([rule], {0: measurement}, _CIRCUMSTANCES).verdict


def ruled(measurement: Measurement) -> object:
    """The estimate that the rule looks at: the difference from the base where there is one."""
    base = measurement.comparisons.get("base")
    return measurement.candidate if base is None else base.difference


def scores_of(world: World) -> EvaluatorScores:
    """Scores as an evaluator leaves them."""
    columns = {role: {name: tuple(column.tolist()) for name, column in of.items()} for role, of in world.roles.items()}
    n = len(next(iter(world.roles["candidate"].values())))
    if world.groups is None:
        return EvaluatorScores("made", _examples(n), columns)
    examples = tuple(ScoredExample(str(at), str(group), {}) for at, group in enumerate(world.groups.tolist()))
    return EvaluatorScores("made", examples, columns)


@lru_cache
def _examples(n: int) -> tuple[ScoredExample, ...]:
    return tuple(ScoredExample(str(at), None, {}) for at in range(n))


def row(tally: Tally) -> str:
    shares = " | ".join(f"{100 * share:.1f} %" for share in (tally.promoted, tally.blocked, tally.covered))
    note = f"**{tally.verdict}**" if tally.verdict else ""
    if tally.unmeasured:
        note = f"{note} {100 * tally.unmeasured:.1f} % unmeasured".strip()
    return f"| {tally.case.kind}: {tally.case.name} | {tally.n:,} | {tally.worlds:,} | {shares} | {note} |"


if __name__ == "__main__":
    sys.exit(main())
