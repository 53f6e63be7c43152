"""MLflow fails, hangs or is restarted while a gate acts: the alias is at its old or its new version, never elsewhere;
the run ends in time and says where it is; the next run comes to the same decision, says what it found, and goes on.

Every kind of fault at a few writes; FINETUNE_GATE_LONG_TESTS=1 takes all kinds at all writes.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping
from typing import get_args

import pytest
from faulty_mlflow import Fault, Scope
from outage_bench import PATIENCE_S, PROMOTED, RETRIES, TIMEOUT_S, Bench, Ran
from workshop import Workshop

from finetune_gate.gate.registry import Ledger, Registry
from finetune_gate.gate.registry.rollback import plan_rollback, roll_back

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mlflow_outage"), pytest.mark.timeout(3600)]

LONG = bool(os.environ.get("FINETUNE_GATE_LONG_TESTS"))
COMPLETED = "an earlier run's move was completed: champion: version 1 -> version 2"
UNPUBLISHED = "an earlier run's move is not published yet, and will be: champion: version 1 -> version 2"

CALL_S = (RETRIES + 1) * TIMEOUT_S
"""The longest that one call of MLflow's client takes."""

ACTING_S = PATIENCE_S + 5 * CALL_S + 15
"""The longest that acting takes: writes that fail and looks at whether they were done all the same, the look at where
the alias is, and some seconds of work on a busy machine."""

CHOSEN = ("runs/create", "model-versions/create finetune-gate.ledger", "registered-models/alias champion")
"""Writes that are tried even where there is little time: the evidence, the move in the ledger, the alias."""

OFTEN: tuple[tuple[Fault, Scope], ...] = (
    ("refused", "writes"),
    ("unanswered", "once"),
    ("hanging", "everything"),
)
FAULTS: tuple[Fault, ...] = ("refused", "unanswered", "dropped", "hanging")
ALL = tuple(itertools.product(FAULTS, get_args(Scope)))


@pytest.fixture(scope="module")
def writes(bench: Bench) -> list[str]:
    """The names of all writes of acting and publishing, in order, where nothing fails."""
    model = bench.model()
    whole = bench.gate(model, lambda: bench.proxy.fail("refused", at=1000))
    made = list(bench.proxy.writes)
    bench.proxy.heal()
    assert whole.record is not None, whole.error
    assert whole.record.run.settled == ()
    assert bench.end(model) == PROMOTED
    return made


def chosen(writes: list[str], most: int = len(CHOSEN)) -> list[int]:
    if LONG:
        return list(range(1, len(writes) + 1))
    # the last of its name: the first entry of a ledger is refused, since there is no ledger yet
    return [max(at for at, name in enumerate(writes, 1) if name.startswith(one)) for one in CHOSEN[-most:]]


def check_interrupted(ran: Ran) -> None:
    """It ended in time, in a decision or an error, and said where the alias is."""
    assert ran.seen <= {"1", "2"}, ran
    assert ran.acting < ACTING_S, ran
    if ran.error is None:
        assert ran.record is not None
        assert (ran.record.decision, ran.serves) == ("promote", "2")
        return
    assert ran.error.exit_status == 4
    assert "could not be read" in ran.said or f"version {ran.serves}" in ran.said, ran
    told = re.search(r"alias 'champion' points to version (\d)", ran.said)
    assert told is None or told[1] == ran.serves, ran


def check_next(again: Ran, before: Ran, served: str | None) -> None:
    """The same decision, and it said what it had found. ``served``: where the alias was when it began."""
    assert again.record is not None, again.error
    record = again.record
    assert (record.decision, again.serves) == ("promote", "2")
    assert again.seen <= {"1", "2"}
    assert [rule.outcome for rule in record.rules] == ["passed"]
    assert before.record is None or record.digest() == before.record.digest()
    points = next(line for line in again.lines if line.startswith("alias 'champion' points to version"))
    if COMPLETED in record.run.settled:
        assert COMPLETED in again.lines
        assert points.endswith("version 2")
    else:
        assert points.endswith(f"version {served}")
    assert UNPUBLISHED not in record.run.settled or before.error is not None


def interrupted(bench: Bench, fault: Fault, at: int, scope: Scope, *, later: bool = False) -> Ran:
    """A gate that meets ``fault`` at its ``at``-th write from act on, and the next one, which meets none. What comes
    late comes before the next one, or ``later``, after it."""
    model = bench.model()
    ran = bench.gate(model, lambda: bench.proxy.fail(fault, at, scope))
    assert bench.proxy.heal(), f"there is no write {at}"
    if fault == "restart":
        bench.server.wait()
    check_interrupted(ran)
    if not later:
        bench.proxy.deliver()
    served = bench.serves(model)
    again = bench.gate(model)
    check_next(again, ran, served)
    end = bench.end(model)
    if later:
        bench.proxy.deliver()
        Ledger(Registry.connect(bench.server.address), model).settle("champion")
        end = {**bench.end(model), "published": end["published"]}  # that tag may be what came late
    assert end == PROMOTED
    return ran


def report(what: str, names: list[str], runs: Mapping[int, Ran]) -> None:
    """Figures, for whoever runs this with -s."""
    for at, ran in runs.items():
        print(f"{what}, write {at} {names[at - 1]}: {ran.acting:.1f} s; {sorted(map(str, ran.seen))}; {ran.said[:160]}")
    failed = sum(ran.error is not None for ran in runs.values())
    longest = max(ran.acting for ran in runs.values())
    print(f"{what}: {failed} of {len(runs)} runs ended in an error; the longest took {longest:.1f} s")


@pytest.mark.parametrize(("fault", "scope"), ALL if LONG else OFTEN)
def test_mlflow_fails_while_a_gate_acts(bench: Bench, writes: list[str], fault: Fault, scope: Scope) -> None:
    most = len(CHOSEN) if fault == "refused" else 1
    runs = {at: interrupted(bench, fault, at, scope) for at in chosen(writes, most)}
    report(f"{fault} {scope}", writes, runs)
    if scope == "once":
        assert all(ran.error is None for ran in runs.values())  # MLflow's client tries again
    else:
        assert all(ran.error is not None for ran in runs.values())


@pytest.mark.parametrize("later", [False, True] if LONG else [True])
@pytest.mark.parametrize("scope", get_args(Scope) if LONG else ["everything"])
def test_a_write_is_done_after_the_gate_gave_up(bench: Bench, writes: list[str], scope: Scope, later: bool) -> None:
    runs = {at: interrupted(bench, "late", at, scope, later=later) for at in chosen(writes, 1)}
    report(f"late {scope}, {'after' if later else 'before'} the next run", writes, runs)


def test_a_write_that_comes_after_a_rollback_is_set_right(bench: Bench) -> None:
    model = bench.model()
    gave_up = bench.gate(model, lambda: bench.proxy.fail("late", "registered-models/alias", "everything"))
    bench.proxy.heal()
    assert "whether alias 'champion' still points to version 1 could not be read" in gave_up.said
    again = bench.gate(model)
    assert again.record is not None
    assert again.record.run.settled == (COMPLETED,)
    registry = Registry.connect(bench.server.address)
    assert roll_back(registry, plan_rollback(registry, model), "answers in French").outcome == "moved"
    assert bench.serves(model) == "1"
    assert set(bench.proxy.deliver()) == {"registered-models/alias champion"}
    assert bench.serves(model) == "2"
    last = bench.gate(model)
    assert last.record is not None
    assert last.record.run.settled == ("a write that came late was set right: champion -> version 1",)
    assert (last.record.decision, last.serves) == ("promote", "2")


def test_the_server_is_killed_and_started_again(bench: Bench, writes: list[str]) -> None:
    runs = {at: interrupted(bench, "restart", at, "once") for at in chosen(writes, 1)}
    report("restart", writes, runs)
    assert all(ran.error is not None for ran in runs.values())


@pytest.mark.parametrize("number", [1, 2, 3, 4] if LONG else [2])
@pytest.mark.parametrize("fault", ["refused", "unanswered"] if LONG else ["refused"])
def test_mlflow_fails_while_an_earlier_move_is_completed(bench: Bench, fault: Fault, number: int) -> None:
    """Said to have begun, alias, stage, said to be done."""
    model = bench.model()
    first = bench.gate(model, lambda: bench.proxy.fail("refused", "registered-models/alias", "writes"))
    bench.proxy.heal()
    carried = "points to version 1: the move to version 2 is in its ledger, and the next run carries it out"
    assert carried in first.said
    bench.proxy.fail(fault, number, "writes")
    second = bench.gate(model)
    names = list(bench.proxy.writes)
    assert bench.proxy.heal()
    assert second.error is not None
    assert second.seen <= {"1", "2"}
    assert len(names) >= number  # an alias that was set although an error came back is read back, and is no error
    served = bench.serves(model)
    third = bench.gate(model)
    check_next(third, first, served)
    assert bench.end(model) == PROMOTED


def test_the_command_says_where_the_alias_is(bench: Bench) -> None:
    model = bench.model()
    gate = bench.gate_file(model)
    desk = Workshop(bench.folder)
    settings = {"MLFLOW_TRACKING_URI": bench.proxy.address, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    bench.proxy.fail("refused", "model-versions/create finetune-gate.ledger", "everything")
    failed = desk.command("run", gate, "--version", "2", "--no-prefect", env=settings)
    assert bench.proxy.heal()
    assert failed.returncode == 4, failed.stderr
    assert "whether alias 'champion' still points to version 1 could not be read" in failed.stderr
    bench.proxy.fail("unanswered", "registered-models/alias", "once")
    failed = desk.command("run", gate, "--version", "2", "--no-prefect", env=settings)
    assert bench.proxy.heal()
    assert (failed.returncode, bench.serves(model)) == (0, "2")  # read back: it was moved, whatever the answer said
    assert "alias 'champion' points to version 1" in failed.stderr
