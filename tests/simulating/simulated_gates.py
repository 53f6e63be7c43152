"""Gate files with made-up data, and records of runs that made-up models went through."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from finetune_gate.evaluators.absent import Unmeasured, Value
from finetune_gate.evaluators.scores import EvaluatorScores, ScoredExample, ScoreTable
from finetune_gate.gate.gate_file import Gate, load_gate_file
from finetune_gate.gate.progress import Silent
from finetune_gate.gate.record import (
    DecisionRecord,
    EvaluatorRecord,
    GateFileRecord,
    ModelRecord,
    RunRecord,
    ScoreTableRecord,
    write_record,
)
from finetune_gate.gate.run.score_files import write_scores
from finetune_gate.gate.simulating import Simulation, SimulationSettings, simulate_gate
from finetune_gate.gate.simulating.selection import Source

LONG = os.environ.get("FINETUNE_GATE_LONG_TESTS") == "1"
TODAY = date(2026, 1, 5)
LABELS = ("billing", "bug", "praise")
NOT_WORSE = "{metric: classification.accuracy, min_change: 0.0, margin: 0.08}"
CLASSIFICATION = "classification: {data: holdout, labels: [billing, bug, praise]}"
ANSWERS = "question_answering: {data: holdout, prompt: '{text}', reference: label}"
PERPLEXITY = "perplexity: {data: holdout}"


def gate_in(
    folder: Path, *rules: str, n: int = 200, groups: int = 0, evaluators: Sequence[str] = (CLASSIFICATION,)
) -> Gate:
    """A gate over ``n`` tickets in ``groups`` conversations (none: 0), in the languages de and fr."""
    rows = [
        {
            "id": f"t{at}",
            "text": f"ticket number {at}",
            "label": LABELS[at % 3],
            "language": ("de", "fr")[at % 2],
            **({"group": f"g{at % groups}"} if groups else {}),
        }
        for at in range(n)
    ]
    (folder / "holdout.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    listed = "".join(f"  - {one}\n" for one in evaluators)
    told = "".join(f"  - {rule}\n" for rule in rules)
    text = f"model: router\nbase: auto\ndata: {{holdout: holdout.jsonl}}\nevaluators:\n{listed}rules:\n{told}"
    (folder / "gate.yaml").write_text(text, "utf-8")
    return load_gate_file(folder / "gate.yaml")


def simulated(source: Source, worlds: int, *differences: float, seed: int = 0, processes: int = 1) -> Simulation:
    settings = SimulationSettings(worlds, seed, differences or None, 600.0, processes)
    return simulate_gate(source, settings, today=TODAY, progress=Silent())


def record_in(folder: Path, gate: Gate, *, champion: bool = False, broken: int = 0, groups: int = 0) -> Path:
    """The folder of a run under ``gate`` in which ``broken`` answers of the candidate failed."""
    roles = ("candidate", "base", "champion") if champion else ("candidate", "base")
    luck = random.Random(11)
    scores = tuple(_scores(title, roles, luck, broken, groups) for title in gate.evaluators)
    table = ScoreTable(scores)
    run = folder / "run"
    run.mkdir()
    rows = write_scores(table, run / "scores.parquet")
    record = DecisionRecord(
        model="router",
        decision="hold",
        sentence="Hold.",
        rules=(),
        measurements=(),
        models=tuple(_model(role) for role in roles),
        champion_note="",
        identical=(),
        datasets=(),
        evaluators=tuple(
            EvaluatorRecord(title=title, kind=one.kind, version=one.version, settings=dict(one.settings()))
            for title, one in gate.evaluators.items()
        ),
        gate_file=GateFileRecord(digest=gate.digest, settings={}),
        score_table=ScoreTableRecord(file="scores.parquet", digest=table.digest(), rows=rows),
        seed=0,
        today=TODAY.isoformat(),
        run=RunRecord(
            key="k", trigger="cli", actor="a", started_at="2026-01-05T10:00:00+00:00", seconds={}, software={},
            dry_run=True, tracking_uri="sqlite:///x", asked={}, stored={},
        ),
    )  # fmt: skip
    write_record(record, run / "decision-record.json")
    return run


def _model(role: str) -> ModelRecord:
    return ModelRecord.model_validate(
        {
            "role": role, "label": role, "uri": f"models:/router/{role}", "name": "router", "version": "1",
            "run_id": None, "origin": "here", "layout": "model", "digest": role, "files_digest": role, "facts": {},
        }
    )  # fmt: skip


def _scores(
    title: str, roles: Sequence[str], luck: random.Random, broken: int, groups: int, n: int = 200
) -> EvaluatorScores:
    """Examples that are hard are so for all models; the candidate is a little better."""
    examples = tuple(
        ScoredExample(f"t{at}", f"g{at % groups}" if groups else None, {"language": ("de", "fr")[at % 2]})
        for at in range(n)
    )
    hard, lengths = [luck.random() for _ in range(n)], [float(20 + luck.randrange(40)) for _ in range(n)]
    columns: dict[str, Mapping[str, tuple[Value, ...]]] = {}
    for role in roles:
        own = [0.7 * one + 0.3 * luck.random() < (0.72 if role == "candidate" else 0.66) for one in hard]
        truth = [float(at % 3) for at in range(n)]
        guess = [code if right else (code + 1) % 3 for code, right in zip(truth, own, strict=True)]
        nll = [length * (0.6 + one + 0.2 * luck.random()) for length, one in zip(lengths, hard, strict=True)]
        made: dict[str, dict[str, list[float]]] = {
            "classification": {"label": truth, "prediction": guess, "correct": [*map(float, own)]},
            "question_answering": {"f1": [1 - one * (0.5 + 0.5 * luck.random()) for one in hard]},
            "perplexity": {"nll": nll, "tokens": lengths, "bytes": [4 * one for one in lengths]},
        }
        found: dict[str, list[Value]] = {name: [*values] for name, values in made[title].items()}
        if role == "candidate":
            for name in found.keys() - {"label"}:
                found[name][:broken] = [Unmeasured("the answer failed")] * broken
        columns[role] = {name: tuple(values) for name, values in found.items()}
    return EvaluatorScores(title, examples, columns)
