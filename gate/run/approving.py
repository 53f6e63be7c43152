"""Approving from the command line what a run holds: its record is brought back, and the same gate walked again.

    waiting = waiting_at("4f0c...", registry)                # refuses what waits for no approval, or no longer
    review = Review("approve", "ana", "read the report")
    request = approval_request(waiting, review, gate_file=Path("gate.yaml"), actor="ana")
    result = walk_in_turn(request, wish="again")
    waiting.seen.changed(result.seen)                        # why an approval did not count, where it did not

Answers are in the store, so that nothing is asked again where they are; elsewhere they are asked for anew, and an
approval counts only if that comes to the very same scores.
"""

from __future__ import annotations

import posixpath
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from finetune_gate.evaluators.errors import ConfigurationError, FinetuneGateError, Problem

from ..approval import USUAL_GATE_FILE, base_by_hand, open_until
from ..deciding import Review
from ..gate_file import load_gate_file
from ..record import DecisionRecord, read_record
from ..registry import Registry, Tracking
from ..registry.mlflow_client import plain
from .seen import Seen
from .seen_files import read_seen
from .states import RECORD_FILE, SEEN_FILE, GateRequest


class Refused(FinetuneGateError):
    """An approval or a block that cannot be taken: the version keeps the decision it has."""

    exit_status: ClassVar[int] = 3


@dataclass(frozen=True, slots=True)
class Waiting:
    """A decision that waits for approval. ``name`` is how its run was named, ``version`` the one that is held."""

    name: str
    record: DecisionRecord
    seen: Seen
    version: str
    until: datetime


def waiting_at(run: str, registry: Registry, *, now: datetime | None = None) -> Waiting:
    """``run`` is the id of an MLflow run, the address of a record (``runs:/ID/...``), or the path of one.

    Raises ConfigurationError where it waits for no approval, Refused where it does no longer.
    """
    with tempfile.TemporaryDirectory(prefix="finetune-gate-") as scratch:
        record_file, seen_file = _files_of(run, Tracking(registry), Path(scratch))
        record = read_record(record_file)
        candidate = record.role("candidate")
        where = f"run {run}"
        if not record.awaits_approval or candidate is None or candidate.version is None:
            found = f"it waits for no approval: {record.sentence}"
            raise ConfigurationError(Problem(where, found, "a run whose report says that it waits for approval"))
        if record.run.dry_run:
            way_out = "gate the version without --dry-run, and approve that run"
            raise ConfigurationError(Problem(where, "it is a dry run, after which nothing may change", way_out=way_out))
        until = open_until(record)
        if until is None or until <= (now or datetime.now(UTC)):
            ended = f"it ended {until:%Y-%m-%d %H:%M} UTC" if until else "its record does not tell until when"
            way_out = "gate the version again, and approve that run; review.hours says how long there is"
            raise Refused(Problem(where, f"the time for an approval is over: {ended}", way_out=way_out))
        _refuse_blocked(registry, record, candidate.version, where)
        return Waiting(run, record, read_seen(seen_file(), record.digest()), candidate.version, until)


def approval_request(
    waiting: Waiting,
    review: Review,
    *,
    gate_file: Path | None = None,
    base: str | None = None,
    tracking_uri: str | None = None,
    actor: str,
) -> GateRequest:
    """What to walk. Raises ConfigurationError where ``gate_file`` is not the one that decided, or ``base`` is missing:
    a base that was named by hand is named again, because records lend no trust."""
    path, digest = gate_file or Path(USUAL_GATE_FILE), waiting.record.gate_file.digest
    where, expected = f"gate file {path}", f"the one that decided, with digest {digest[:12]}"
    if not path.is_file():
        raise ConfigurationError(Problem(where, "no such file", expected, "name it: --gate-file PATH"))
    found = load_gate_file(path).digest
    if found != digest:
        way_out = "name the file as it was then: --gate-file PATH; or gate the version again with this one"
        raise ConfigurationError(Problem(where, f"another file, with digest {found[:12]}", expected, way_out))
    then = base_by_hand(waiting.record)
    if then is not None and base is None:
        found = f"the run was given {then} as base, instead of the gate file's"
        raise ConfigurationError(Problem("--base", "missing", found, f"--base {then}"))
    return GateRequest(
        gate_file=path,
        candidate=waiting.version,
        base=base,
        tracking_uri=tracking_uri,
        trigger=f"{'approval' if review.verdict == 'approve' else 'block'} of run {waiting.name}",
        actor=actor,
        review=review,
        seen=waiting.seen,
        approval=True,
    )


def _files_of(run: str, tracking: Tracking, scratch: Path) -> tuple[Path, Callable[[], Path]]:
    """The record, and how to come by what lies beside it: only a run that waits for approval has that."""
    if not run.startswith("runs:/") and not re.fullmatch(r"[0-9a-f]{32}", run):
        here = Path(run) / RECORD_FILE if Path(run).is_dir() else Path(run)
        if not here.is_file():
            expected = "the id of a Prefect flow run or an MLflow run, runs:/ID, or the path of a decision record"
            raise ConfigurationError(Problem(f"run {run}", "there is no such file, and that is no id", expected))
        return here, lambda: here.with_name(SEEN_FILE)
    run_id, _, name = run.removeprefix("runs:/").strip("/").partition("/")
    address = f"runs:/{run_id}/{name}" if name else tracking.record_address(run_id, RECORD_FILE)
    return tracking.fetch(address, scratch), lambda: tracking.fetch(
        f"{posixpath.dirname(address)}/{SEEN_FILE}", scratch
    )


def _refuse_blocked(registry: Registry, record: DecisionRecord, version: str, where: str) -> None:
    """Whatever waits, a block that came later is not overruled by approving what was there before."""
    tags = registry.version(record.model, version).tags
    if tags.get("finetune_gate.decision") == "block":
        found = f"{record.model} v{version} has been blocked since: {plain(tags.get('finetune_gate.reason', ''))}"
        raise Refused(Problem(where, found, way_out="gate the version again, and approve that run"))
