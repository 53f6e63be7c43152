"""One gate run: seven steps, always in this order, whoever walks them.

    result = walk(GateRequest(gate_file=Path("gate.yaml"), candidate="7"))
    result.record.decision

Prefect walks the same function with a ``via`` that makes a task of every step (see ``finetune_gate.flows.gate_flow``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from finetune_gate.evaluators.errors import EvaluationError, FinetuneGateError, Problem

from ..interrupts import raise_swallowed
from ..progress import Progress, Silent
from ..record import DecisionRecord
from . import steps
from .downloads import downloads_under
from .looks import Look, looks_at, stopped_words
from .reviewing import seen_in
from .seen import Seen
from .shards import RunOn, this_process
from .states import Decided, GateRequest, ModelAnswers, Resolved, Scored

StepName = Literal["resolve", "plan", "answer", "score", "decide", "act", "publish"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GateResult:
    """The record, the folder with everything written about it, and its address in MLflow. ``seen`` is what a review of
    the decision would count for; ``elsewhere`` says who gated, where that was another run: nothing is reviewed here
    then."""

    record: DecisionRecord
    folder: Path
    address: str
    run_url: str | None
    seen: Seen
    elsewhere: str = ""


class Via(Protocol):
    """How a step is walked: called as it is, or as a Prefect task."""

    def __call__(self, name: StepName, step: Callable[[], T], /) -> T: ...


def directly(name: StepName, step: Callable[[], T], /) -> T:
    """The plainest ``Via``."""
    return step()


def walk(
    request: GateRequest, *, via: Via = directly, progress: Progress | None = None, run_on: RunOn = this_process
) -> GateResult:
    """Run the gate. Raises ConfigurationError or EvaluationError where it cannot judge; moves nothing then.

    Where the champion was moved meanwhile, the same candidate is judged again, against the new one, at most as often as
    the gate file's ``promotion.rejudge`` says; every round leaves its own record, and the last one is returned.
    """
    rejudged = 0
    while True:
        result, pinned = _walk_once(request, via, progress or Silent(), run_on)
        action, candidate = result.record.run.action, pinned.pins.candidate.version
        stale = action is not None and action.outcome == "stale"
        if not stale or candidate is None or rejudged >= pinned.gate.file.promotion.rejudge:
            return result
        rejudged += 1
        request = replace(request, candidate=candidate)


def _walk_once(request: GateRequest, via: Via, show: Progress, run_on: RunOn) -> tuple[GateResult, Resolved]:
    started = datetime.now(UTC)
    seconds: dict[str, float] = {}

    def timed(name: StepName, step: Callable[[], T]) -> T:
        if name != "publish":  # what was acted on is published
            raise_swallowed()
        show.say(f"{name}: {_SAYING[name]}")
        begun = time.monotonic()
        try:
            return via(name, step)
        finally:
            seconds[name] = round(seconds.get(name, 0.0) + time.monotonic() - begun, 3)

    with downloads_under(request.home) as downloads:
        settle = not request.dry_run
        resolved = timed("resolve", lambda: steps.resolve(request, downloads, started, settle=settle, progress=show))
        scored, decided = _look_until_clear(resolved, timed, show, run_on)
        acted = timed("act", lambda: steps.act(resolved, decided, scored, seconds, show))
        try:
            address, url = timed("publish", lambda: steps.publish(resolved, acted, scored, seconds))
        except (FinetuneGateError, OSError) as error:
            action = acted.record.run.action
            so = f" ({action.detail})" if action and action.detail else ""
            done = f"{acted.record.decision} was decided and acted on{so}, but not everything about it was published"
            way_out = "run the same command again: it decides the same, and publishes"
            raise EvaluationError(Problem("publish", f"{done}: {error}", way_out=way_out)) from error
        return GateResult(acted.record, resolved.folder, address, url, seen_in(resolved, scored.table)), resolved


def _look_until_clear(resolved: Resolved, timed: Via, show: Progress, run_on: RunOn) -> tuple[Scored, Decided]:
    """Ask, score and decide, about more and more of the examples where the gate file says so, until a further look
    would change nothing."""
    purse = steps.purse_of(resolved)
    planned: list[int] = []

    def at(look: Look, earlier: ModelAnswers | None) -> tuple[Scored, Decided]:
        seen = replace(resolved, data=look.data)
        plan = timed("plan", lambda: steps.plan(seen))
        planned.append(len(plan.requests))
        fresh = timed("answer", lambda: steps.answer(seen, plan, show, run_on, purse))
        answered = fresh if earlier is None else fresh.after(earlier)
        scored = timed("score", lambda: steps.score(seen, answered))
        return scored, timed("decide", lambda: steps.decide(seen, answered, scored.table, look.levels))

    *early, last = looks_at(resolved.gate, resolved.data)
    answered: ModelAnswers | None = None
    for look in early:
        show.say(look.words)
        scored, decided = at(look, answered)
        if decided.stopped is not None:
            unasked = 1 - planned[-1] / len(steps.plan(resolved).requests)
            show.say(f"{stopped_words(decided.stopped)}: {100 * unasked:.0f} % of the answers need not be asked for")
            return scored, replace(decided, unasked=unasked)
        answered = decided.answers
    if early:
        show.say(last.words)
    return at(last, answered)


_SAYING: dict[StepName, str] = {
    "resolve": "pin candidate, base, champion, gate file and data",
    "plan": "unite what the evaluators ask",
    "answer": "ask every model what is not stored yet",
    "score": "score the answers, example by example",
    "decide": "measure, and judge every rule",
    "act": "write the evidence, then move the alias or say why not",
    "publish": "put record and reports where people look",
}
