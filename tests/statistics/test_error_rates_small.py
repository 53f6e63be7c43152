"""Few of the worlds of `python -m benchmarks.decisions`: who is exactly at the bound is rarely promoted or blocked.

``FINETUNE_GATE_LONG_TESTS=1`` draws as many as the command.
"""

from __future__ import annotations

import os
from math import sqrt

import numpy as np
import pytest

from benchmarks.decisions import ALPHA, BEGIN, DOCUMENT, END, SIZES, looks, tally
from benchmarks.worlds import CASES, LOOKED_AT, Case
from finetune_gate.evaluators.statistics import Estimate

LONG = os.environ.get("FINETUNE_GATE_LONG_TESTS") == "1"
WORLDS = 2_000 if LONG else 120
LIMIT = ALPHA + 4 * sqrt(ALPHA * (1 - ALPHA) / WORLDS)
LEAST_COVERAGE = 0.95 - 4 * sqrt(0.95 * 0.05 / WORLDS)
SLOW = ("macro F1", "one answer in 20", "right or wrong")


def named(case: Case) -> str:
    return f"{case.kind} {case.name}".replace("`", "")


def cases() -> list[Case]:
    return [case for case in CASES if LONG or not any(slow in named(case) for slow in SLOW)]


@pytest.mark.parametrize("n", SIZES if LONG else (50, 200))
@pytest.mark.parametrize("case", cases(), ids=named)
def test_at_the_bound_the_gate_keeps_its_promise(case: Case, n: int) -> None:
    found = tally(case, n, round(WORLDS * case.share_of_worlds))
    slack = 1 / sqrt(case.share_of_worlds)
    assert found.unmeasured == 0
    assert found.promoted <= ALPHA + slack * (LIMIT - ALPHA)
    assert found.blocked <= ALPHA + slack * (LIMIT - ALPHA)
    assert found.covered >= 0.95 - slack * (0.95 - LEAST_COVERAGE)


@pytest.mark.parametrize("case", LOOKED_AT if LONG else LOOKED_AT[1:3], ids=named)
def test_looking_four_times_spends_alpha_once(case: Case) -> None:
    early, at_any, careless = looks(case, 200, WORLDS)
    assert early <= at_any <= LIMIT
    assert careless > at_any, "at the full confidence every look would spend alpha anew"


@pytest.mark.parametrize("case", CASES, ids=named)
def test_the_truth_is_the_truth(case: Case) -> None:
    """Over one world of many examples the quantity that the rule bounds is what the case says it is."""
    world = case.draw(np.random.default_rng(1), 200_000)
    candidate, estimator = world.roles["candidate"], case.metric.estimator
    if "base" in world.roles:
        found = estimator.difference(candidate, world.roles["base"], None, 0.95, 0)
    else:
        found = estimator.estimate(candidate, None, 0.95, 0)
    assert isinstance(found, Estimate)
    assert found.standard_error is not None
    wider = 6 if world.groups is not None else 1  # examples of one cluster say less than their number
    assert abs(found.value - case.truth) < 4 * wider * found.standard_error


def test_the_document_has_every_row_and_none_promises_too_much() -> None:
    table = DOCUMENT.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
    for case in CASES:
        for n in SIZES:
            assert f"| {case.kind}: {case.name} | {n:,} | {round(2_000 * case.share_of_worlds):,} |" in table
    over = [line.split(" | ")[0].strip("| ") for line in table.splitlines() if "promotes too often" in line]
    assert over == []
