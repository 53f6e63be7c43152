"""A whole gate run on a local registry: candidate against base, all four tasks, rules, record, reports.

    python -m benchmarks.gate_run FOLDER     # in a fresh process; prints where its wall seconds went, as JSON

``prepare`` makes the registry. The run is ``walk``, the same that the command walks; time in model forwards is taken
by hooks on the outermost module, and libraries are imported before it starts.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from .tasks import LONG, MAX_NEW, SHORT, STOP, Tasks

MODEL = "benchmark"
IMPORTED = (
    "mlflow",
    "mlflow.store.tracking.sqlalchemy_store",
    "torch",
    "scipy.stats",
    "pyarrow.parquet",
    "jinja2",
    "transformers.cache_utils",
    "transformers.models.llama.modeling_llama",
    "finetune_gate.gate.run",
    "finetune_gate.gate.reports.html",
)

GATE = f"""\
model: {MODEL}
base: {{base}}
champion: null
data: {{{{texts: texts.jsonl, short: short.jsonl, long: long.jsonl, prompts: prompts.jsonl}}}}
evaluators:
  - perplexity: {{{{data: texts}}}}
  - classification: {{{{data: short, labels: {json.dumps(SHORT)}, prompt: "{{{{prompt}}}}", chat: never}}}}
  - classification: {{{{name: long, data: long, labels: {json.dumps(LONG)}, prompt: "{{{{prompt}}}}", chat: never}}}}
  - classification: {{{{name: written, data: prompts, labels: {json.dumps(SHORT)}, prompt: "{{{{prompt}}}}",
      chat: never, method: generate, max_new_tokens: {MAX_NEW}, stop: {json.dumps(STOP)}}}}}
rules:
  - {{{{metric: perplexity.bits_per_byte, max: 40}}}}
  - {{{{metric: classification.accuracy, against: base, min_change: -0.5}}}}
"""


def prepare(folder: Path, candidate: Path, base: Path, tasks: Tasks) -> Path:
    """A registry with ``candidate`` as version 1, the tasks' files and a gate file, all in ``folder``."""
    from mlflow import MlflowClient

    folder.mkdir(parents=True)
    for file in tasks.folder.glob("*.jsonl"):
        shutil.copy(file, folder)
    (folder / "gate.yaml").write_text(GATE.format(base=base), "utf-8")
    client = MlflowClient(address(folder), address(folder))
    experiment = client.create_experiment("training", artifact_location=str(folder / "artifacts"))
    client.create_experiment(f"finetune-gate/{MODEL}", artifact_location=str(folder / "artifacts" / "gate"))
    client.create_registered_model(MODEL)
    run: Any = client.create_run(experiment)
    client.log_artifacts(run.info.run_id, str(candidate), "model")
    client.create_model_version(MODEL, f"{run.info.artifact_uri}/model", run.info.run_id)
    return folder


def address(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def command(folder: Path, number: int) -> tuple[list[str], dict[str, str]]:
    """The real command, with an answer store of its own, so that nothing is known from the run before."""
    arguments = ["-m", "finetune_gate.flows.cli", "run", str(folder / "gate.yaml"), "--quiet"]
    arguments += ["--no-prefect", "--tracking-uri", address(folder), "--out", str(folder / f"out{number}")]
    return [sys.executable, *arguments], {"FINETUNE_GATE_HOME": str(folder / f"home{number}")}


class Forwards:
    """Wall seconds within the outermost call of any module of a model."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0

    @contextmanager
    def counted(self) -> Generator[None]:
        """Within the context, calls of transformers' models are timed."""
        kind: Any = import_module("transformers").PreTrainedModel
        before = kind.__call__

        def timed(module: Any, *given: Any, **named: Any) -> Any:
            self._depth += 1
            begun = time.perf_counter()
            try:
                return before(module, *given, **named)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.seconds += time.perf_counter() - begun

        kind.__call__ = timed
        try:
            yield
        finally:
            del kind.__call__


def main(folder: Path) -> dict[str, float]:
    for name in IMPORTED:
        import_module(name)
    run: Any = import_module("finetune_gate.gate.run")
    forwards = Forwards()
    number = os.getpid()
    os.environ["FINETUNE_GATE_HOME"] = str(folder / f"home{number}")
    request = run.GateRequest(
        gate_file=folder / "gate.yaml",
        candidate="latest",
        tracking_uri=address(folder),
        out=folder / f"out{number}",
    )
    begun = time.perf_counter()
    with forwards.counted():
        run.walk(request)
    return {"total": time.perf_counter() - begun, "forwards": forwards.seconds}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
