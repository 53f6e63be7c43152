"""This project on the four tasks, as a gate runs them: addresses, shards, a local model, the evaluators' own scores.

python -m benchmarks.ours MODEL TASKS     # in a fresh process; prints an Outcome as JSON
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import Answer, GenerateRequest, Generation, Request, ScoreRequest
from finetune_gate.evaluators.classification import Classification
from finetune_gate.evaluators.datasets import DatasetSource, load_dataset
from finetune_gate.evaluators.evaluator import Components, EvaluatorSettings
from finetune_gate.evaluators.perplexity import Perplexity
from finetune_gate.gate.models.model_files import inspect_model_files
from finetune_gate.gate.models.opening import open_models
from finetune_gate.gate.models.protocol import Model
from finetune_gate.gate.pins import ModelPin, Pins, Role
from finetune_gate.gate.run.shards import ask, cut_shards

from .outcome import Outcome, Stopwatch
from .tasks import DELIMITER, KINDS, LONG, MAX_NEW, SHORT, STOP, Tasks

EVALUATORS: dict[str, EvaluatorSettings] = {
    KINDS[0]: Perplexity(data="texts"),
    KINDS[1]: Classification(data="short", labels=SHORT, prompt="{prompt}", delimiter=DELIMITER, chat="never"),
    KINDS[2]: Classification(data="long", labels=LONG, prompt="{prompt}", delimiter=DELIMITER, chat="never"),
}


def pin(role: Role, folder: Path) -> ModelPin:
    return ModelPin(role, str(folder), None, None, None, "a benchmark", inspect_model_files(folder))


@contextmanager
def opened(folder: Path) -> Generator[Model]:
    """The model in ``folder``, in memory: what its architecture can do has been tried."""
    with open_models(Pins(pin("candidate", folder), pin("base", folder), None)) as models:
        model = models["candidate"]
        answers(model, [ScoreRequest("", "a b c"), GenerateRequest("a b c", max_new_tokens=2)])
        yield model


def answers(model: Model, requests: Sequence[Request]) -> dict[Request, Answer]:
    """Asked as a gate asks: content addresses first, then shard by shard."""
    requests = tuple(dict.fromkeys(requests))
    model.addresses(requests)
    found: dict[Request, Answer] = {}
    for shard in cut_shards(requests):
        found.update(ask(model, shard, lambda request, answer: None))
    return found


def requests_of(task: str, tasks: Tasks) -> list[Request]:
    if task == KINDS[3]:
        return [GenerateRequest(str(row["prompt"]), max_new_tokens=MAX_NEW, stop=STOP) for row in tasks.rows("prompts")]
    evaluator = EVALUATORS[task]
    name = evaluator.data
    return [*evaluator.requests({name: load_dataset(name, DatasetSource(path=f"{name}.jsonl"), tasks.folder)})]


def run_task(model: Model, task: str, tasks: Tasks, outcome: Outcome) -> None:
    """Answer and score ``task``; data on disk at the start, values at the end."""
    watch = Stopwatch()
    if task == KINDS[3]:
        requests = requests_of(task, tasks)
        found = answers(model, requests)
        outcome.texts = [_text(found[request]) for request in requests]
        outcome.values[task] = {}
    else:
        evaluator = EVALUATORS[task]
        name = evaluator.data
        data = {name: load_dataset(name, DatasetSource(path=f"{name}.jsonl"), tasks.folder)}
        outcome.values[task] = _values(evaluator.score(data, answers(model, evaluator.requests(data))))
    outcome.cpu[task], outcome.wall[task] = watch.cpu, watch.wall


def _text(answer: Answer) -> str:
    if not isinstance(answer, Generation):
        raise RuntimeError(f"a prompt was not answered: {answer}")
    return answer.text


def _values(components: Components) -> dict[str, float]:
    """The metrics that the harness has too, from the components that ours are made of."""

    def total(name: str) -> float:
        return math.fsum(value for value in components[name] if not isinstance(value, Unmeasured))

    if "words" in components:
        return {
            "word_perplexity": math.exp(total("nll") / total("words")),
            "byte_perplexity": math.exp(total("nll") / total("bytes")),
            "bits_per_byte": total("bits") / total("bytes"),
        }
    count = len(components["correct"])
    return {"acc": total("correct") / count, "acc_norm": total("correct_norm") / count}


def main(model_folder: Path, task_folder: Path) -> Outcome:
    outcome = Outcome()
    with opened(model_folder) as model:
        for task in KINDS:
            run_task(model, task, Tasks(task_folder, 1.0), outcome)
    return outcome


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2])).as_json()))
