"""Run a plan: ask every model what is not in the answer store yet, then the judges what the answers give rise to.

Models whose answers depend a little on what they are computed with are asked shard by shard, and a shard is kept whole
or not at all (see ``shards``). Of the others (APIs) every answer is kept as it comes: it may have cost money.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from random import Random
from typing import Protocol

from finetune_gate.evaluators.asking import (
    Answer,
    AttributeRequest,
    ChooseRequest,
    EmbedRequest,
    EntailRequest,
    ExecuteRequest,
    Failed,
    GenerateRequest,
    Request,
    ScoreRequest,
)
from finetune_gate.evaluators.evaluator import Datasets, Evaluator, JudgedEvaluator

from ..answers import ModelKey
from ..budget import Balance, Purse
from ..limits import given_limits, spending_text
from ..models.protocol import Model, Usage
from ..pins import Role
from ..progress import Progress
from .plan import Plan, make_second_plan
from .shards import Answers, InProcess, Runner, Shard, cut_shards
from .shards import ask as ask_model

_STAGES: Mapping[type[Request], str] = {
    ScoreRequest: "log-likelihoods",
    GenerateRequest: "texts",
    ChooseRequest: "choices",
    AttributeRequest: "attributions",
    EmbedRequest: "embeddings",
    EntailRequest: "entailments",
    ExecuteRequest: "programs",
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
    balance: Balance = field(default_factory=lambda: Purse().balance())
    unasked: Mapping[str, int] = field(default_factory=dict[str, int])
    """By the reason for which the budget was at its end, how many answers are missing."""

    def after(self, earlier: Answered) -> Answered:
        """These, where ``earlier`` ones were among them already: what was asked for then is no find of the store."""
        asked = {name: count + earlier.asked.get(name, 0) for name, count in self.asked.items()}
        stored = {name: max(0, count - earlier.asked.get(name, 0)) for name, count in self.stored.items()}
        usage = {name: one + earlier.usage.get(name, Usage()) for name, one in self.usage.items()}
        return replace(self, asked=asked, stored=stored, usage=usage)


@dataclass(frozen=True, slots=True)
class Asking:
    """What answering works with. ``labels`` name models for people, by role or judge; ``runner`` answers shards.
    ``purse`` is what models behind APIs have their accounts in; ``seed`` orders what its limit of time may cut off."""

    models: Mapping[str, Model]
    store: Store
    progress: Progress
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    runner: Runner = field(default_factory=InProcess)
    purse: Purse = field(default_factory=Purse)
    seed: int = 0


def answer_plan(
    asking: Asking,
    roles: Sequence[Role],
    plan: Plan,
    evaluators: Iterable[Evaluator] = (),
    data: Datasets | None = None,
) -> Answered:
    """Answers for every role and verdicts of every judge. What a model is not able to do, and what the budget leaves no
    room for, is ``Failed`` with that reason, for these requests."""
    answers: dict[Role, Mapping[Request, Answer]] = {}
    verdicts: dict[str, Mapping[Request, Answer]] = {}
    asked: dict[str, int] = {}
    stored: dict[str, int] = {}
    judged = [evaluator for evaluator in evaluators if isinstance(evaluator, JudgedEvaluator)]
    judges = dict.fromkeys(judge for evaluator in judged for judge in evaluator.judges())
    remaining = [*roles, *judges]

    def answer(name: str, requests: Sequence[Request]) -> Answers:
        remaining.remove(name)
        found, missing = _answer_one(asking, name, requests)
        asked[name] = missing - sum(_unasked([found], asking.purse).values())
        stored[name] = len(requests) - missing
        model = asking.models[name]
        if not any(asking.models[later] is model for later in remaining):
            model.release()
        return found

    for role in roles:
        answers[role] = answer(role, plan.requests)
    second = make_second_plan(judged, data or {}, {**answers})
    for judge in judges:
        with asking.purse.judging():
            verdicts[judge] = answer(judge, second.get(judge, ()))
    unasked = _unasked((*answers.values(), *verdicts.values()), asking.purse)
    for reason, count in unasked.items():
        asking.progress.say(f"budget: {reason}; {count:,} answers are missing")
    balance = asking.purse.balance()
    if (limits := asking.purse.limits) is not None:
        asking.progress.say(f"budget: {spending_text(balance.amounts, given_limits(limits), limits.currency)}")
    usage = {name: asking.models[name].usage() + asking.runner.usage(name) for name in asked}
    return Answered(answers, asked, stored, verdicts, usage, balance, unasked)


def _unasked(answers: Iterable[Mapping[Request, Answer]], purse: Purse) -> dict[str, int]:
    refusals = purse.refusals()
    if not refusals:
        return {}
    reasons = Counter(answer.reason for some in answers for answer in some.values() if isinstance(answer, Failed))
    return {reason: reasons[reason] for reason in refusals if reasons[reason]}


def _answer_one(asking: Asking, name: str, requests: Sequence[Request]) -> tuple[Answers, int]:
    """All answers of one model, and how many the store did not hold."""
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
    if asking.purse.timed:  # not longest first, so that what is reached is a random sample
        Random(asking.seed).shuffle(left)
    late = asking.purse.late()
    reached = set[Shard]()
    if late is None:
        # closed also where keeping fails: a cluster that is gone by then can give nothing up any more
        with closing(asking.runner.answer(name, asking.models[name], left, asking.progress.advance)) as finished:
            for shard, fresh in finished:
                keep(fresh)
                reached.add(shard)
                _tell(asking)
                if (late := asking.purse.late()) is not None:
                    break
    if late is not None:
        keep({request: Failed(late.reason) for shard in left if shard not in reached for request in shard})


def _one_by_one(asking: Asking, model: Model, wanted: Sequence[Request], keep: Callable[[Answers], None]) -> None:
    def answered(request: Request, answer: Answer) -> None:
        keep({request: answer})
        asking.progress.advance()
        _tell(asking)

    ask_model(model, wanted, answered)


def _tell(asking: Asking) -> None:
    if (news := asking.purse.news()) is not None:
        asking.progress.say(news)
