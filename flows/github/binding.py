"""What ties a decision record to the run of a workflow that it was made in: two small files beside the record.

    tied = tie(record, folder, inputs.runner)      # github-run.json, predicate.json
    read_binding(folder / BINDING_FILE)            # what a later job compares with its own run

A record says nothing of GitHub's run and attempt: one of an earlier attempt would look as good. The second file
is the predicate of the gate's own statement by itself, as `actions/attest` wants it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from finetune_gate.evaluators.errors import EvaluationError, Problem
from finetune_gate.gate.attesting.statements import DECISION, statements
from finetune_gate.gate.deciding import Verdict
from finetune_gate.gate.record import DecisionRecord, canonical_json, write_bytes_atomically
from finetune_gate.gate.run.attested_files import attested_digests
from finetune_gate.gate.run.states import RECORD_FILE

from .settings import Runner

BINDING_FILE: Final = "github-run.json"
PREDICATE_FILE: Final = "predicate.json"
PREDICATE_TYPE: Final = DECISION


class Binding(BaseModel):
    """The run of a workflow that a record was made in, or fetched by, and what the record was then."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, serialize_by_alias=True)

    schema_: Annotated[Literal["finetune-gate/github-run/v1"], Field(alias="schema")] = "finetune-gate/github-run/v1"
    repository: str
    run_id: str
    run_attempt: str
    model: str
    version: str
    decision: Verdict
    record_digest: str
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Tied:
    binding: Path
    predicate: Path


def tie(record: DecisionRecord, folder: Path, runner: Runner) -> Tied:
    """Write both files. Raises EvaluationError where that cannot be."""
    candidate = record.role("candidate")
    binding = Binding(
        repository=runner.repository,
        run_id=runner.run_id,
        run_attempt=runner.attempt,
        model=record.model,
        version=(candidate.version or "") if candidate else "",
        decision=record.decision,
        record_digest=record.digest(),
        dry_run=record.run.dry_run,
    )
    tied = Tied(folder / BINDING_FILE, folder / PREDICATE_FILE)
    try:
        digests = attested_digests(record, (folder / RECORD_FILE).read_bytes(), folder)
        stated = json.loads(statements(record, digests)[1])
        write_bytes_atomically(tied.binding, canonical_json(binding.model_dump(mode="json")) + b"\n")
        write_bytes_atomically(tied.predicate, canonical_json(stated["predicate"]) + b"\n")
    except OSError as error:
        raise EvaluationError(Problem(str(folder), error.strerror or str(error), "a folder to write to")) from None
    return tied


def read_binding(path: Path) -> Binding:
    """Raises EvaluationError where ``path`` is none."""
    try:
        return Binding.model_validate_json(path.read_bytes())
    except OSError as error:
        found = error.strerror or str(error)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        found = f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}"
    way_out = "upload the whole folder of the action as artifact, and download it in the job of the verdict"
    raise EvaluationError(Problem(str(path), found, "what `finetune-gate github gate` wrote", way_out))
