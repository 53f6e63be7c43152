"""Run a plan: ask every model what is not in the answer store yet, then the judges what the answers give rise to.

Models whose answers depend a little on what they are computed with are asked shard by shard, and a shard is kept whole
or not at all (see ``shards``). Of the others (APIs) every answer is kept as it comes: it may have cost money.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from finetune_gate.evaluators.asking import (
    Answer,
    AttributeRequest,
    EmbedRequest,
    EntailRequest,
    GenerateRequest,
    Request,
    ScoreRequest,
)
from finetune_gate.evaluators.evaluator import Datasets, Evaluator, JudgedEvaluator

from ..answers import ModelKey
from ..models.protocol import Model, Usage
from ..pins import Role
from ..progress import Progress
from .plan import Plan, make_second_plan
from .shards import Answers, InProcess, Runner, Shard, cut_shards
from .shards import ask as ask_model

_STAGES: Mapping[type[Request], str] = {
    ScoreRequest: "log-likelihoods",
    GenerateRequest: "texts",
    AttributeRequest: "attributions",
    EmbedRequest: "embeddings",
    EntailRequest: "entailments",
}


class Store(Protocol):
    """What answering needs of an answer store."""

    def get(self, addresses: Sequence[str]) -> dict[str, Answer]: ...

    def put(self, answers: Mapping[str, Answer], model: ModelKey) -> None: ...


@dataclass(frozen=True, slots=True)
class Answered:
    """Answers by role, verdicts by judge; and by either's name, how many were asked of the model, how many found in
    the store, and what asking came to."""

    answers: Mapping[Role, Mapping[Request, Answer]]
    asked: Mapping[str, int]
    stored: Mapping[str, int]
    verdicts: Mapping[str, Mapping[Request, Answer]] = field(default_factory=dict[str, Mapping[Request, Answer]])
    usage: Mapping[str, Usage] = field(default_factory=dict[str, Usage])


@dataclass(frozen=True, slots=True)
class Asking:
    """What answering works with. ``labels`` name models for people, by role or judge; ``runner`` answers shards."""

    models: Mapping[str, Model]
    store: Store
    progress: Progress
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    runner: Runner = field(default_factory=InProcess)


def answer_plan(
    asking: Asking,
    roles: Sequence[Role],
    plan: Plan,
    evaluators: Iterable[Evaluator] = (),
    data: Datasets | None = None,
) -> Answered:
    """Answers for every role and verdicts of every judge. What a model is not able to do is ``Failed`` with that
    reason, for these requests."""
    answers: dict[Role, Mapping[Request, Answer]] = {}
    verdicts: dict[str, Mapping[Request, Answer]] = {}
    asked: dict[str, int] = {}
    stored: dict[str, int] = {}
    judged = [evaluator for evaluator in evaluators if isinstance(evaluator, JudgedEvaluator)]
    judges = dict.fromkeys(judge for evaluator in judged for judge in evaluator.judges())
    remaining = [*roles, *judges]

    def answer(name: str, requests: Sequence[Request]) -> Answers:
        remaining.remove(name)
        found, asked[name] = _answer_one(asking, name, requests)
        stored[name] = len(requests) - asked[name]
        model = asking.models[name]
        if not any(asking.models[later] is model for later in remaining):
            model.release()
        return found

    for role in roles:
        answers[role] = answer(role, plan.requests)
    second = make_second_plan(judged, data or {}, {**answers})
    for judge in judges:
        verdicts[judge] = answer(judge, second.get(judge, ()))
    usage = {name: asking.models[name].usage() + asking.runner.usage(name) for name in asked}
    return Answered(answers, asked, stored, verdicts, usage)


def _answer_one(asking: Asking, name: str, requests: Sequence[Request]) -> tuple[Answers, int]:
    """All answers of one model, and how many had to be asked for."""
    model = asking.models[name]
    key = ModelKey(model.digest, asking.labels.get(name, name))
    addresses = dict(zip(requests, model.addresses(requests), strict=True))
    known = asking.store.get(list(addresses.values()))
    found: Answers = {request: known[address] for request, address in addresses.items() if address in known}
    missing = [request for request in requests if request not in found]

    def keep(fresh: Mapping[Request, Answer]) -> None:
        asking.store.put({addresses[request]: answer for request, answer in fresh.items()}, key)
        found.update(fresh)

    shards = list(cut_shards(requests)) if model.batched and missing else []
    for stage, wanted in _stages(missing):
        asking.progress.begin(f"{name}: {stage}", len(wanted))
        if model.batched:
            _by_shards(asking, name, shards, set(wanted), keep)
        else:
            _one_by_one(asking, model, wanted, keep)
    return found, len(missing)


def _stages(missing: Sequence[Request]) -> list[tuple[str, list[Request]]]:
    stages = ((stage, [request for request in missing if isinstance(request, kind)]) for kind, stage in _STAGES.items())
    return [(stage, some) for stage, some in stages if some]


def _by_shards(
    asking: Asking, name: str, shards: Sequence[Shard], wanted: set[Request], keep: Callable[[Answers], None]
) -> None:
    left = [some for shard in shards if (some := tuple(request for request in shard if request in wanted))]
    for _, fresh in asking.runner.answer(name, asking.models[name], left, asking.progress.advance):
        keep(fresh)


def _one_by_one(asking: Asking, model: Model, wanted: Sequence[Request], keep: Callable[[Answers], None]) -> None:
    def answered(request: Request, answer: Answer) -> None:
        keep({request: answer})
        asking.progress.advance()

    ask_model(model, wanted, answered)
