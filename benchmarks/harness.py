"""EleutherAI's lm-evaluation-harness on the four tasks, through its Python API, offline, from the same files.

    python -m benchmarks.harness MODEL TASKS 16      # or auto; in a fresh process; prints an Outcome as JSON

The only file that imports ``lm_eval``. Its tasks are given as dictionaries; making them and loading the model is not
part of a task's time, and it computes no bootstrap intervals.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

from .outcome import Outcome, Stopwatch
from .tasks import DELIMITER, KINDS, LONG, MAX_NEW, SHORT, STOP

MISSING = 'lm-evaluation-harness is not installed: pip install -e ".[benchmarks]"'


def _task(name: str, file: Path, **settings: object) -> dict[str, Any]:
    return {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(file)}},
        "test_split": "test",
        "num_fewshot": 0,
        **settings,
    }


def _metric(name: str) -> dict[str, object]:
    kind = "weighted_perplexity" if "perplexity" in name else "bits_per_byte" if "bits" in name else "mean"
    return {"metric": name, "aggregation": kind, "higher_is_better": kind == "mean"}


def task_settings(folder: Path) -> dict[str, dict[str, Any]]:
    """Each task in the harness's own terms, by our name of it."""

    def choices(name: str, labels: tuple[str, ...]) -> dict[str, Any]:
        return _task(
            name,
            folder / f"{name}.jsonl",
            output_type="multiple_choice",
            doc_to_text="{{prompt}}",
            doc_to_choice=list(labels),
            doc_to_target="gold",
            target_delimiter=DELIMITER,
            metric_list=[_metric("acc"), _metric("acc_norm")],
        )

    return {
        KINDS[0]: _task(
            "texts",
            folder / "texts.jsonl",
            output_type="loglikelihood_rolling",
            doc_to_text="",
            doc_to_target="{{text}}",
            metric_list=[_metric("word_perplexity"), _metric("byte_perplexity"), _metric("bits_per_byte")],
        ),
        KINDS[1]: choices("short", SHORT),
        KINDS[2]: choices("long", LONG),
        KINDS[3]: _task(
            "prompts",
            folder / "prompts.jsonl",
            output_type="generate_until",
            doc_to_text="{{prompt}}",
            doc_to_target="",
            generation_kwargs={"until": list(STOP), "max_gen_toks": MAX_NEW, "do_sample": False},
            metric_list=[{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        ),
    }


def main(model_folder: Path, task_folder: Path, batch: str) -> Outcome:
    """Run the tasks one after the other on one loaded model."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    try:
        evaluator: Any = import_module("lm_eval.evaluator")
    except ImportError as error:
        raise SystemExit(MISSING) from error
    import torch

    logging.disable(logging.WARNING)
    manager: Any = import_module("lm_eval.tasks").TaskManager(include_defaults=False)
    size = batch if batch == "auto" else int(batch)
    lm: Any = import_module("lm_eval.models.huggingface").HFLM(
        pretrained=str(model_folder), device="cpu", dtype="float32", batch_size=size
    )
    with torch.inference_mode():
        lm.model(torch.zeros((1, 4), dtype=torch.long))
    outcome = Outcome()
    generate = lm.generate_until

    def remembering(*given: Any, **named: Any) -> list[str]:
        outcome.texts = generate(*given, **named)
        return outcome.texts

    lm.generate_until = remembering
    for task, settings in task_settings(task_folder).items():
        loaded = manager.load([settings])
        watch = Stopwatch()
        results = evaluator.evaluate(lm=lm, task_dict=loaded, bootstrap_iters=0, log_samples=False)
        outcome.cpu[task], outcome.wall[task] = watch.cpu, watch.wall
        outcome.values[task] = _values(results["results"][settings["task"]])
    return outcome


def _values(found: Mapping[str, object]) -> dict[str, float]:
    """``{"acc,none": 0.5}`` as ``{"acc": 0.5}``. Texts are compared as they are, not by exact_match."""
    named = {key.partition(",")[0]: value for key, value in found.items()}
    wanted = ("word_perplexity", "byte_perplexity", "bits_per_byte", "acc", "acc_norm")
    return {name: float(str(value)) for name, value in named.items() if name in wanted}


if __name__ == "__main__":
    with redirect_stdout(sys.stderr):  # the harness prints
        result = main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    print(json.dumps(result.as_json()))
