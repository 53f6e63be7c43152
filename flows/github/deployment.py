"""A gate that runs on the user's own Prefect worker: started, followed to its end, and its decision record brought.

    result = gate_on_worker(inputs, prefect, registry, say=print)

Prefect's states say only that a run ended. The decision is in the decision record, which is read from MLflow: that of a
gate run whose actor is the very flow run, or, where the flow says that another run gated the version, the one that it
names. An idempotency key of GitHub's run, its attempt and the job makes one flow run of a step that is asked twice.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

from finetune_gate.evaluators.errors import EvaluationError, Problem
from finetune_gate.flows.artifacts import artifact_key
from finetune_gate.flows.relays.delivering import NotReached
from finetune_gate.flows.relays.prefect import Prefect, state_of
from finetune_gate.gate.doctor import Reply
from finetune_gate.gate.record import DecisionRecord, canonical_json, read_record
from finetune_gate.gate.registry import Registry, Tracking
from finetune_gate.gate.registry.mlflow_client import plain
from finetune_gate.gate.run import GateResult
from finetune_gate.gate.run.in_turn import brought
from finetune_gate.gate.run.states import RECORD_FILE
from finetune_gate.gate.turns import Ending, Turns

from .settings import Inputs

_SAID_EVERY_S: Final = 60.0
_NEWEST: Final = 200
_FOOT: Final = re.compile(
    r"^Record `([0-9a-f]{12})`, score table .*Full report: `(runs:/[0-9a-f]{32}/finetune_gate/decision-record\.json)`",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Watch:
    """How a flow run is watched: the clock, and how long between looks."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    every_s: float = 5.0


def gate_on_worker(
    inputs: Inputs, prefect: Prefect, registry: Registry, *, say: Callable[[str], None], watch: Watch | None = None
) -> GateResult:
    """``inputs.version`` is resolved here, once, so that the worker gates what was meant. Raises ConfigurationError for
    a version that there is not, EvaluationError where no decision came of it."""
    watch = watch or Watch()
    version, _ = registry.pick(inputs.model, inputs.version)
    inputs = replace(inputs, version=version.version)
    run = prefect.begin(inputs.deployment, _parameters(inputs), _key(inputs))
    if isinstance(run, NotReached):
        raise EvaluationError(Problem(f"deployment {inputs.deployment}", run.sentence))
    say(f"{version.label} is gated by flow run {run} of {inputs.deployment}")
    following = _Following(prefect, run, inputs, registry, watch, say)
    try:
        return following.to_its_end()
    except KeyboardInterrupt:
        say(f"flow run {run} goes on: cancel it in Prefect, or run this again, which takes its decision")
        raise


class _Following:
    def __init__(
        self, prefect: Prefect, run: str, inputs: Inputs, registry: Registry, watch: Watch, say: Callable[[str], None]
    ) -> None:
        self._prefect, self._run, self._inputs, self._registry = prefect, run, inputs, registry
        self._watch, self._say = watch, say

    def to_its_end(self) -> GateResult:
        begun, said, shown = self._watch.clock(), float("-inf"), ""
        while True:
            found = self._prefect.flow_run(self._run)
            kind, state = state_of(found) if found is not None else ("", {})
            name = plain(str(state.get("name") or kind), 40) or "not told by Prefect"
            passed = self._watch.clock() - begun
            if name != shown or passed - said >= _SAID_EVERY_S:
                said, shown = passed, name
                self._say(f"flow run {self._run}: {name} after {passed:.0f} s")
            if kind == "COMPLETED":
                return self._decision()
            if kind in ("FAILED", "CRASHED", "CANCELLED"):
                raise self._no_decision(f"it ended {name}{_message(state)}", "see its log in Prefect, then run again")
            if kind == "PAUSED" and (waiting := self._own()) is not None:
                self._say("it waits for a person's approval: the decision until then is hold")
                return waiting
            if kind == "SCHEDULED" and passed > self._inputs.start_within_s:
                raise self._never_begun(passed)
            if passed > self._inputs.within_s:
                way_out = "it goes on; run again, which waits for it and takes its decision, or allow more time"
                raise self._no_decision(f"it is {name} after {passed:.0f} s", way_out)
            self._watch.sleep(self._watch.every_s)

    def _never_begun(self, passed: float) -> EvaluationError:
        """What nobody waits for any more must not promote hours later."""
        message = "Nobody waits for it any more: no worker had taken it in time."
        state = {"type": "CANCELLED", "name": "Cancelled", "message": message}
        self._prefect.call(f"/flow_runs/{self._run}/set_state", {"state": state})
        way_out = "start a worker for its work pool (finetune-gate deployments, or prefect worker start)"
        return self._no_decision(f"no worker has taken it within {passed:.0f} s; it was cancelled", way_out)

    def _decision(self) -> GateResult:
        own = self._own()
        if own is not None:
            return own
        named = self._named_by_flow()
        if named is None:
            way_out = "is MLflow here the same as the worker's? and does it gate the same model?"
            raise self._no_decision("it completed, and left no decision record of this version in MLflow", way_out)
        digest, address = named
        result = self._fetched(address)
        if not result.record.digest().startswith(digest):
            raise self._no_decision(f"the record at {address} is not the one it names", "gate the version again")
        return replace(result, elsewhere=f"{result.record.run.actor} ({result.record.run.trigger})")

    def _own(self) -> GateResult | None:
        """What this flow run decided itself; the last, where it judged again because the champion had moved."""
        tracking = Tracking(self._registry)
        runs = [
            one
            for one in tracking.past_runs(self._inputs.model, most=_NEWEST)
            if one.tags.get("finetune_gate.actor") == self._run
            and one.tags.get("finetune_gate.version") == self._inputs.version
        ]
        if not runs:
            return None
        result = self._fetched(tracking.record_address(runs[-1].run_id, RECORD_FILE))
        if result.record.run.actor != self._run:
            raise self._no_decision("the record in MLflow is of another run", "gate the version again")
        return result

    def _named_by_flow(self) -> tuple[str, str] | None:
        """Digest, its beginning, and address of the record that the flow run showed as its decision. Foreign text in
        that artifact begins no line with these words: the last ones are the artifact's own."""
        wanted = {"flow_run_id": {"any_": [self._run]}, "key": {"any_": [artifact_key(self._inputs.model)]}}
        reply = self._prefect.call("/artifacts/filter", {"artifacts": wanted})
        body = reply.json() if isinstance(reply, Reply) and reply.status == 200 else None
        found = cast("list[object]", body) if isinstance(body, list) else []
        texts = [str(cast("dict[str, Any]", one).get("data") or "") for one in found if isinstance(one, dict)]
        named = [match for text in texts for match in _FOOT.findall(text)]
        return named[-1] if named else None

    def _fetched(self, address: str) -> GateResult:
        """With everything that lies beside it, and looked at: is it about what was asked for?"""
        ending = Ending(outcome="hold", record=address, record_digest=self._digest_of(address))
        # a folder of this flow run alone: an equal decision of an earlier one may lie beside it
        result = brought(ending, self._registry, self._inputs.out / f"flow-run-{self._run}")
        fault = self._not_about(result.record, address)
        if fault:
            raise self._no_decision(f"its decision record is {fault}", "gate the version again")
        return replace(result, elsewhere="")

    def _digest_of(self, address: str) -> str:
        """As the turn that wrote the record noted it; of a dry run, which takes no turn, as the record itself says."""
        rows = Turns(self._registry, self._inputs.model).read().rows
        noted = [row.ending.record_digest for row in rows if row.ending is not None and row.ending.record == address]
        if noted:
            return noted[-1]
        with tempfile.TemporaryDirectory(prefix="finetune-gate-") as scratch:
            return read_record(Tracking(self._registry).fetch(address, Path(scratch))).digest()

    def _not_about(self, record: DecisionRecord, address: str) -> str:
        candidate = record.role("candidate")
        if record.model != self._inputs.model:
            return f"about {plain(record.model, 100)!r}"
        if candidate is None or candidate.version != self._inputs.version:
            return f"about version {plain(str(candidate.version if candidate else None), 40)}"
        if record.run.dry_run != self._inputs.dry_run:
            return "of a dry run" if record.run.dry_run else "of a run that was no dry run"
        if address != f"runs:/{record.run.run_id}/finetune_gate/{RECORD_FILE}":
            return "of another run in MLflow"
        return ""

    def _no_decision(self, found: str, way_out: str) -> EvaluationError:
        return EvaluationError(Problem(f"flow run {self._run}", found, "a decision", way_out))


def _parameters(inputs: Inputs) -> dict[str, object]:
    """Prefect shows them to whoever reaches it: no address and no key is among them."""
    runner = inputs.runner
    where = f" {runner.repository} run {runner.run_id} attempt {runner.attempt}" if runner.run_id else ""
    parameters: dict[str, object] = {
        "gate_file": str(inputs.gate_file),
        "model": inputs.model,
        "version": inputs.version,
        "dry_run": inputs.dry_run,
        "once": inputs.once,
        "trigger": f"github{where}",
    }
    return parameters | ({"base": inputs.base} if inputs.base else {})


def _key(inputs: Inputs) -> str:
    """Another for each attempt of a job, because Prefect gives back the run of an old key for ever, failed or not."""
    runner = inputs.runner
    if not runner.run_id:
        return f"github-{uuid.uuid4()}"
    asked = [runner.repository, runner.run_id, runner.attempt, runner.job, inputs.deployment, _parameters(inputs)]
    return f"github-{hashlib.sha256(canonical_json(asked)).hexdigest()}"


def _message(state: dict[str, object]) -> str:
    said = plain(str(state.get("message") or ""), 200)
    return f": {said}" if said else ""
