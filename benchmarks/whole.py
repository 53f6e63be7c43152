"""Rows about whole runs: the command, the answer store, what is no model's work, memory, endpoints."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from finetune_gate.evaluators.asking import Request
from finetune_gate.gate.models.opening import open_models
from finetune_gate.gate.pins import Pins
from finetune_gate.gate.progress import Silent
from finetune_gate.gate.run.answering import Asking, answer_plan
from finetune_gate.gate.run.plan import Plan

from . import gate_run
from .measuring import ROOT, Clock, Ratio, Row, cpu_of, fresh, fresh_outcome
from .ours import pin, requests_of
from .tasks import KINDS, Tasks


def command_rows(clock: Clock, work: Path, candidate: Path, base: Path, tasks: Tasks, rounds: int) -> list[Row]:
    """The real command, candidate against base with rules, record and reports, against the harness run on both."""
    folder = work / "command"
    shutil.rmtree(folder, ignore_errors=True)
    gate_run.prepare(folder, candidate, base, tasks)
    ratios: list[float] = []
    for at in range(rounds):
        clock.step(f"tiny: round {at + 1}, the command against the harness on both models")
        arguments, settings = gate_run.command(folder, at)
        begun = time.perf_counter()
        done = subprocess.run(arguments, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - begun
        if done.returncode not in (0, 1, 3):
            raise RuntimeError(f"the gate could not be run:\n{done.stderr[-2000:]}")
        theirs = sum(fresh_outcome("harness", model, tasks.folder, "16")[1] for model in (candidate, base))
        ratios.append(seconds / theirs)
    what = "finetune-gate run, candidate against base, against lm-evaluation-harness on both, tiny-llama: wall seconds"
    return [Row("command", "1", what, Ratio.of(ratios), 0.45)]


def store_rows(clock: Clock, work: Path, folder: Path, name: str, tasks: Tasks, rounds: int) -> list[Row]:
    """The base of a second gate, whose answers are in the store, against its first run; opened anew each time."""
    from finetune_gate.gate.answers import StoreLimits, open_answers

    requests: tuple[Request, ...] = tuple(
        dict.fromkeys(request for task in KINDS for request in requests_of(task, tasks))
    )
    plan = Plan(requests, len(requests), {})

    def ask(home: Path) -> None:
        with (
            open_models(Pins(pin("candidate", folder), pin("base", folder), None)) as models,
            open_answers(home, [], shared=None, limits=StoreLimits.from_environment(), say=lambda line: None) as store,
        ):
            answer_plan(Asking({**models}, store, Silent()), ("base",), plan)

    ratios: list[float] = []
    for at in range(rounds):
        clock.step(f"{name}: round {at + 1}, a base whose answers are stored")
        home = work / "store" / f"{name}-{at}"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        first = cpu_of(lambda home=home: ask(home))
        ratios.append(cpu_of(lambda home=home: ask(home)) / first)
    what = f"the base in a second gate against its first run, {name}: CPU seconds"
    return [Row("store", "4", what, Ratio.of(ratios), 0.03)]


def outside_rows(
    clock: Clock, work: Path, folder: Path, other: Path, name: str, tasks: Tasks, rounds: int
) -> list[Row]:
    """The share of a gate run that is neither a model's forward pass nor an import."""
    registry = work / f"outside-{name}"
    shutil.rmtree(registry, ignore_errors=True)
    gate_run.prepare(registry, folder, other, tasks)
    shares: list[float] = []
    for at in range(rounds):
        clock.step(f"{name}: round {at + 1}, a gate run outside the models")
        found, _ = fresh("gate_run", registry)
        shares.append(1 - found["forwards"] / found["total"])
    what = f"a gate run outside model forwards and imports, {name}: share of its wall seconds"
    return [Row("outside", "5", what, Ratio.of(shares), 0.10)]


def memory_rows(clock: Clock, base: Path, adapter: Path, name: str, rounds: int) -> list[Row]:
    ratios: list[float] = []
    for at in range(rounds):
        clock.step(f"{name}: round {at + 1}, memory of a LoRA pair")
        pair, _ = fresh("memory", base, adapter)
        alone, _ = fresh("memory", base)
        ratios.append(pair["growth"] / alone["growth"])
    what = f"LoRA candidate and its base against the base alone, {name}: peak memory beyond imports"
    return [Row("memory", "6", what, Ratio.of(ratios), 1.15)]


def endpoint_rows(clock: Clock, work: Path) -> list[Row]:
    """Requests per second as a share of the ideal: what ``benchmarks/endpoints.py --json FILE`` writes there, as
    ``{"figures": [{"contender": ..., "in_flight": 32, "of_ideal": 0.8}, ...]}``; the first contender is ours."""
    clock.step("endpoints")
    script, out = ROOT / "benchmarks" / "endpoints.py", work / "endpoints.json"
    if not script.exists():
        return [Row("endpoints", "7", "an endpoint", None, note="not measured: there is no benchmarks/endpoints.py")]
    done = subprocess.run(
        [sys.executable, str(script), "--json", str(out)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{script} failed:\n{done.stderr[-2000:]}")
    told: dict[str, list[Any]] = json.loads(out.read_text("utf-8"))
    figures = told["figures"]
    rows: list[Row] = []
    for found in figures:
        ours = found["contender"] == figures[0]["contender"]
        limit = {32: 0.72, 128: 0.38}.get(found["in_flight"]) if ours else None
        what = f"{found['contender']}, {found['in_flight']} in flight: share of the ideal requests per second"
        share = Ratio.of([found["of_ideal"]])
        rows.append(Row("endpoints", "7" if limit else "", what, share, limit, at_least=True))
    for found in told["hidden_limits"]:
        what = f"this engine, a server that refuses more than {found['limit']} at once: share of what it could take"
        rows.append(Row("endpoints", "", what, Ratio.of([found["of_ideal"]])))
    return rows
