"""Gates of tiny models whose MLflow is behind a proxy that fails: a new registered model for each, on one server."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from faulty_mlflow import FaultyMlflow, RealMlflow, alias_values, watched_alias
from little_llama import write_tiny_llama
from workshop import BASE, MODEL, Workshop

from finetune_gate.evaluators.errors import EvaluationError
from finetune_gate.gate.record import DecisionRecord
from finetune_gate.gate.registry import Ledger, Registry, promotion
from finetune_gate.gate.run import GateRequest, walk

RULE = "{metric: perplexity.bits_per_byte, min_change: 0, margin: 2}"
TIMEOUT_S, RETRIES, PATIENCE_S = 2, 1, 5.0
"""How long a gate waits for an answer of MLflow, how often its client tries again, and how long the ledger tries to
write while it can be read: little, so that tests are short."""

STAGE = "promotion: {alias: champion, stage: Production}"


class Heard:
    """Progress that is kept."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line.strip())

    def begin(self, label: str, total: int) -> None:
        pass

    def advance(self, count: int = 1) -> None:
        pass


@dataclass(frozen=True)
class Ran:
    """One gate run: its record, or the error it ended in; ``acting`` is how long it took from the first word of act to
    the end, ``seen`` what the alias was at meanwhile, ``serves`` where it was at the end."""

    record: DecisionRecord | None
    error: EvaluationError | None
    seconds: float
    acting: float
    seen: set[str | None]
    serves: str | None
    lines: list[str]

    @property
    def said(self) -> str:
        """The last problem of its error."""
        return "" if self.error is None else str(self.error.problems[-1])


class Acting(Heard):
    def __init__(self, then: Callable[[], object]) -> None:
        super().__init__()
        self._then = then
        self.begun: float | None = None

    def say(self, line: str) -> None:
        super().say(line)
        if line.startswith("act:"):
            self.begun = time.monotonic()
            self._then()


@dataclass
class Bench:
    """``folder`` holds data, gate files and the store of answers, which all gates share: only the first asks."""

    server: RealMlflow
    proxy: FaultyMlflow
    folder: Path
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    runs: dict[int, Any] = field(default_factory=dict[int, Any])

    @property
    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.server.address, self.server.address)

    def furnish(self, original: Workshop) -> None:
        """The files of three models, and the base."""
        (self.folder / "holdout.jsonl").write_bytes((original.folder / "holdout.jsonl").read_bytes())
        client = self.client
        experiment = client.create_experiment("training")
        for seed in (0, 1, 2):
            files = write_tiny_llama(self.folder / "made" / str(seed), seed)
            self.runs[seed] = client.create_run(experiment)
            client.log_artifacts(self.runs[seed].info.run_id, str(files), "model")
        client.create_registered_model(BASE)
        self._register(client, BASE, self.runs[0], {})

    def model(self, *, files_of_their_own: bool = False) -> str:
        """A new model: version 1 serves, version 2 is to be gated."""
        client, name = self.client, f"{MODEL}-{next(self.numbers)}"
        client.create_registered_model(name)
        for seed in (1, 2):
            run = self.runs[seed]
            if files_of_their_own:
                run = client.create_run(run.info.experiment_id)
                client.log_artifacts(run.info.run_id, str(self.folder / "made" / str(seed)), "model")
            self._register(client, name, run, {"base_model": f"models:/{BASE}/1"})
        client.set_registered_model_alias(name, "champion", "1")
        return name

    def _register(self, client: Any, name: str, run: Any, tags: dict[str, str]) -> None:
        client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id, tags=tags)

    def gate_file(self, model: str, extra: str = STAGE, rule: str = RULE) -> Path:
        """Beside the data."""
        gate = Workshop(self.folder).gate(rule, name=f"{model}.yaml", extra=extra, classify=False)
        gate.write_text(gate.read_text().replace(f"model: {MODEL}\n", f"model: {model}\n"))
        return gate

    def gate(self, model: str, at_act: Callable[[], object] = lambda: None, version: str = "2") -> Ran:
        """Through the proxy; ``at_act`` happens right before acting."""
        request = GateRequest(
            self.gate_file(model), version, tracking_uri=self.proxy.address,
            out=self.folder / "out", home=self.folder / "home",
        )  # fmt: skip
        heard, record, error = Acting(at_act), None, None
        begun = time.monotonic()
        with alias_values(self.server.database, model) as seen, pytest.MonkeyPatch.context() as patch:
            patch.setattr(promotion, "Ledger", partial(Ledger, patience_s=PATIENCE_S))
            patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(TIMEOUT_S))
            patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", str(RETRIES))
            patch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
            patch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
            try:
                record = walk(request, progress=heard).record
            except EvaluationError as caught:
                error = caught
            ended = time.monotonic()
        serves = self.serves(model)
        return Ran(record, error, ended - begun, ended - (heard.begun or ended), seen, serves, heard.lines)

    def serves(self, model: str) -> str | None:
        return watched_alias(self.server.database, model)()

    def end(self, model: str) -> dict[str, object]:
        """All that a gate leaves in the registry, once it is done."""
        standing = Ledger(Registry.connect(self.server.address), model).read().standing("champion")
        version = self.client.get_model_version(model, "2")
        experiment = self.client.get_experiment_by_name(f"finetune-gate/{model}")
        runs = self.client.search_runs([experiment.experiment_id])
        return {
            "champion": self.serves(model),
            "ledger": standing.version,
            "done": standing.move is not None and standing.move.done,
            "stage": version.current_stage,
            "decision": version.tags.get("finetune_gate.decision"),
            "published": bool(re.search('"published"', version.tags.get("finetune_gate.promotion", ""))),
            "finished": any(run.info.status == "FINISHED" for run in runs),
        }


PROMOTED = {
    "champion": "2",
    "ledger": "2",
    "done": True,
    "stage": "Production",
    "decision": "promote",
    "published": True,
    "finished": True,
}
