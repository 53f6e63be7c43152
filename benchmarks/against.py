"""Rows against other ways of doing the same: the harness, the naive loop, the floor."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from finetune_gate.evaluators.asking import GenerateRequest, Request

from .floor import Floor, need
from .measuring import Clock, Ratio, Row, fresh, fresh_outcome, interleaved
from .naive import Loop
from .ours import answers, opened, requests_of
from .outcome import Outcome, differences
from .tasks import KINDS, Tasks


class Disagreement(Exception):
    """Two tools gave different values: their times cannot be compared."""


def harness_rows(
    clock: Clock, folder: Path, name: str, tasks: Tasks, rounds: int, batches: tuple[str, ...]
) -> list[Row]:
    """CPU seconds of each task against the harness at the best of ``batches``, and the wall time of everything from the
    start of the process to its end; one process each, in turns. Raises Disagreement before any ratio."""
    tiny = name.startswith("tiny")
    by_task: dict[str, list[float]] = {task: [] for task in KINDS}
    whole: list[float] = []
    imports: list[float] = []
    for at in range(rounds):
        runs: dict[str, tuple[Outcome, float]] = {}
        ways = [("ours", ()), *(("harness", (batch,)) for batch in batches)]
        for module, more in ways if at % 2 == 0 else reversed(ways):
            clock.step(f"{name}: round {at + 1}, {' '.join((module, *more))}")
            runs[" ".join((module, *more))] = fresh_outcome(module, folder, tasks.folder, *more)
        ours, wall = runs.pop("ours")
        for tool, (theirs, _) in runs.items():
            if found := differences(ours, theirs):
                raise Disagreement(f"{name}: ours and {tool} differ:\n" + "\n".join(found))
        for task in KINDS:
            by_task[task].append(ours.cpu[task] / min(theirs.cpu[task] for theirs, _ in runs.values()))
        theirs_wall = min(seconds for _, seconds in runs.values())
        whole.append(wall / theirs_wall)
        imports.append(fresh("imports")[1] / theirs_wall)
    what = f"against lm-evaluation-harness, {name}"
    rows = [
        Row(
            "harness",
            "1",
            f"{task} {what}: CPU seconds",
            Ratio.of(ratios),
            0.40 if tiny else 0.65 if task == KINDS[3] else 0.75,
        )
        for task, ratios in by_task.items()
    ]
    whole_limit = 0.45 if tiny else None
    what = f"against its whole run, {name}: wall seconds"
    ours_whole = f"four tasks on one model, whole process, {what}"
    return [
        *rows,
        Row(
            "harness",
            "1" if tiny else "",
            ours_whole,
            Ratio.of(whole),
            whole_limit,
        ),
        Row("harness", "", f"importing transformers' Llama and nothing else, {what}", Ratio.of(imports)),
    ]


def floor_rows(clock: Clock, folder: Path, name: str, tasks: Tasks, rounds: int) -> list[Row]:
    """CPU seconds of asking, from texts to log-likelihoods, against the floor's."""
    limit = 1.4 if "gptj" in name else 1.1
    rows: list[Row] = []
    loop = Loop(folder)
    with opened(folder) as model:
        for task in KINDS[:3]:
            clock.step(f"{name}: {task} against the floor")
            requests = requests_of(task, tasks)
            floor = Floor(loop.model, need(folder, requests))
            ratio = interleaved(rounds, partial(answers, model, requests), floor.run)
            rows.append(Row("floor", "2", f"{task} against dense batches, {name}: CPU seconds", ratio, limit))
    return rows


def naive_rows(clock: Clock, folder: Path, name: str, tasks: Tasks, rounds: int) -> list[Row]:
    """How many times as long the naive loop takes. Generation is target 3: greedy, one beginning, ragged lengths."""
    rows: list[Row] = []
    loop = Loop(folder)
    with opened(folder) as model:
        for task in KINDS:
            clock.step(f"{name}: {task} against one by one")
            asked = _ragged(tasks) if task == KINDS[3] else requests_of(task, tasks)
            if task != KINDS[3]:
                asked = asked[: max(12, len(asked) // 4)]
            else:
                _check_texts(loop, answers(model, asked), asked, name)
            ratio = interleaved(rounds, partial(answers, model, asked), partial(loop.answer, asked))
            times = Ratio(1 / ratio.median, 1 / ratio.high, 1 / ratio.low)
            row = Row("naive", "", f"{task}, one by one against ours, {name}: CPU seconds", times)
            if task == KINDS[3]:
                row = replace(row, target="3", limit=3.5, at_least=True)
            rows.append(row)
    return rows


def _ragged(tasks: Tasks) -> list[Request]:
    """Answers of given, different lengths: what a trained model's are by themselves."""
    rows: list[dict[str, Any]] = tasks.rows("prompts")[: max(32, len(tasks.rows("prompts")) // 3)]
    return [GenerateRequest(row["prompt"], max_new_tokens=row["length"]) for row in rows]


def _check_texts(loop: Loop, found: dict[Request, Any], asked: list[Request], name: str) -> None:
    for request, ids in zip(asked, loop.answer(asked), strict=True):
        text = loop.tokenizer.decode(ids, skip_special_tokens=True)
        if found[request].text != text:
            raise Disagreement(f"{name}: generation: {found[request].text!r} is {text!r} one by one")
