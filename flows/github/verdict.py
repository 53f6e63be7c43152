"""The required check: whether the evaluating job really came to a decision that counts.

    found = verdict_on(read_verdict_inputs(os.environ))
    found.status, found.sentence

A job that was skipped counts as passed for GitHub, and one that was cancelled says nothing. So a check of its own runs
in any case (`if: always()`), and is green for one thing only: a decision record of this version, made in this very
attempt of this run, whole, that says what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from finetune_gate.evaluators.errors import FinetuneGateError
from finetune_gate.gate.attesting.kept import Kept, kept_at
from finetune_gate.gate.deciding import Verdict
from finetune_gate.gate.registry.mlflow_client import plain
from finetune_gate.gate.run.states import RECORD_FILE

from .binding import BINDING_FILE, Binding, read_binding
from .settings import VerdictInputs

_STATUS: Final[dict[Verdict, int]] = {"promote": 0, "block": 1, "hold": 3}
_NOT_PROVEN: Final = 4
_SERVES: Final = ("moved", "already_there")
_AGAIN: Final = "; after `Re-run failed jobs`, use `Re-run all jobs`"


@dataclass(frozen=True, slots=True)
class CheckVerdict:
    """``status`` is the exit status. ``decision``: what was proven to be decided; None where nothing was."""

    status: int
    sentence: str
    decision: Verdict | None = None


def verdict_on(asked: VerdictInputs) -> CheckVerdict:
    """0 for what is allowed and proven; 1 and 3 for a block and a hold that are proven and not allowed; else 4. Raises
    nothing that a missing or damaged file could cause."""
    fault = _job_fault(asked)
    if fault:
        return CheckVerdict(_NOT_PROVEN, fault)
    if asked.folder is None:
        return CheckVerdict(_NOT_PROVEN, "no artifact of the evaluation was given")
    try:
        binding = read_binding(asked.folder / BINDING_FILE)
        with kept_at(str(asked.folder / RECORD_FILE)) as kept:
            fault = next(_faults(asked, binding, kept), "")
            decision = kept.record.decision
            sentence = plain(kept.record.sentence, 500)
    except FinetuneGateError as error:
        one = error.problems[0]
        return CheckVerdict(_NOT_PROVEN, plain(f"the decision record cannot be read: {one.where}: {one.found}", 500))
    if fault:
        return CheckVerdict(_NOT_PROVEN, fault)
    if decision in asked.allow:
        return CheckVerdict(0, sentence, decision)
    return CheckVerdict(_STATUS[decision] or _NOT_PROVEN, f"{decision} is not allowed here. {sentence}", decision)


def _job_fault(asked: VerdictInputs) -> str:
    """What the evaluating job itself says against it. A job that fails by the gate's own exit status has failed, too:
    what else may have gone wrong in it is only told from that where it promoted."""
    if asked.result == "failure" and asked.decision in ("block", "hold"):
        return ""
    if asked.result != "success":
        return f"the evaluation ended as {plain(asked.result, 40)!r}" if asked.result else "the evaluation did not run"
    if asked.decision not in _STATUS:
        return f"the evaluation came to {plain(asked.decision, 40)!r}" if asked.decision else "there is no decision"
    return ""


def _faults(asked: VerdictInputs, binding: Binding, kept: Kept) -> Iterator[str]:
    """What does not fit together; cheap checks first."""
    record, runner = kept.record, asked.runner
    candidate = record.role("candidate")
    version = (candidate.version or "") if candidate else ""
    fits = (
        ("repository of the record", binding.repository, runner.repository),
        ("workflow run of the record", binding.run_id, runner.run_id),
        ("attempt of the record", binding.run_attempt, runner.attempt),
        ("version of the record", version, asked.version),
        ("version beside the record", binding.version, version),
        ("model of the record", record.model, asked.model),
        ("model beside the record", binding.model, record.model),
        ("decision of the record", record.decision, asked.decision),
        ("decision beside the record", binding.decision, record.decision),
        ("digest of the record", record.digest(), asked.record_digest),
        ("digest beside the record", binding.record_digest, record.digest()),
    )
    for what, found, expected in fits:
        if not found or found != expected:
            yield f"{what}: {_shown(found)}, expected {_shown(expected)}{_AGAIN if what.startswith('attempt') else ''}"
    if record.run.dry_run and not asked.dry_run:
        yield "the record is of a dry run, and this check is not about one"
    action = record.run.action
    if record.decision == "promote" and not record.run.dry_run and (action is None or action.outcome not in _SERVES):
        yield "the record says promote, and not that the version serves"
    yield from _changed(asked, kept)


def _changed(asked: VerdictInputs, kept: Kept) -> Iterator[str]:
    """Whether all that follows from something else in the files does so; of the record alone, its digest has told."""
    if asked.verify == "record":
        return
    from finetune_gate.gate.attesting.verifying import verify

    found = verify(kept)
    if found.outcome == "differs":
        where = plain(found.differences[0].where, 200) if found.differences else "its files"
        yield f"the record does not verify: {where} differs"
    elif found.outcome != "verified":
        why = plain(found.problems[0].found, 200) if found.problems else found.outcome
        yield f"the record could not be decided again here ({why}): install its evaluators in this job"


def _shown(text: str) -> str:
    return repr(plain(text, 80)) if text else "nothing"
