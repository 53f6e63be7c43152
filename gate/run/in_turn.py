"""A gate run that takes its turn first, so that one version is gated once, whoever asks for it and how often.

    result = walk_in_turn(GateRequest(gate_file=Path("gate.yaml"), candidate="latest"), wish="once")
    result.elsewhere          # "" if it was gated here; else who did

Every way in goes through this: the command line, Prefect's flow, and what webhooks and the watcher start.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from traceback import clear_frames
from typing import TypeVar

from finetune_gate.evaluators.errors import ConfigurationError, FinetuneGateError, Problem, RegistryError

from ..gate_file import load_gate_file
from ..progress import Progress, Silent
from ..record import read_record
from ..registry import Author, Registry, Tracking
from ..registry.mlflow_client import quick_calls
from ..turns import Ending, Held, Outcome, Subject, Turns, Wish
from .seen import Seen
from .shards import RunOn, this_process
from .states import RECORD_FILE, GateRequest
from .walk import GateResult, StepName, Via, directly, walk

T = TypeVar("T")
WhyStopped = Callable[[BaseException], Outcome]
Within = Callable[[str], AbstractContextManager[object]]


def why_stopped(error: BaseException) -> Outcome:
    """How a turn ended whose run was ended by ``error``: a person's Ctrl-C is not tried again by anybody."""
    if isinstance(error, KeyboardInterrupt):
        return "cancelled"
    return "misconfigured" if isinstance(error, ConfigurationError) else "failed"


def walk_in_turn(
    request: GateRequest,
    *,
    wish: Wish = "join",
    via: Via = directly,
    progress: Progress | None = None,
    run_on: RunOn = this_process,
    stopped: WhyStopped = why_stopped,
    within: Within = nullcontext,
) -> GateResult:
    """`walk`, unless another run gates the same version under the same gate file, or has: see `Wish`.

    ``within`` makes of the model's name what is held while this run walks, and not while it waits for another's. A dry
    run takes no turn, and holds nothing: it decides for itself. Raises what `walk` raises, and EvaluationError where a
    run that was waited for does not end, or where another took this one's turn, because it was not heard of.
    """
    if request.dry_run:
        return walk(request, via=via, progress=progress, run_on=run_on)
    show = progress or Silent()
    gate = load_gate_file(request.gate_file)
    registry = Registry.connect(request.tracking_uri)
    version, origin = registry.pick(gate.file.model, request.candidate)
    request = replace(request, candidate=version.version, candidate_origin=origin)
    turns = Turns(registry, gate.file.model, Author(request.actor, request.trigger))
    taken = turns.take(Subject.of(version, gate.digest, request.base or ""), wish, say=show.say)
    if isinstance(taken, Ending):
        return brought(taken, registry, request.out)

    def checked(name: StepName, step: Callable[[], T], /) -> T:
        if name == "act":
            taken.check()
        return via(name, step)

    ending: Ending | None = None
    try:
        with taken.heard(), within(gate.file.model):
            result = walk(request, via=checked, progress=show, run_on=run_on)
            ending = _decided(result)
        _end(taken, ending, show)
    except BaseException as error:
        # a query that was cut off keeps its database locked for as long as the traceback keeps its cursor
        clear_frames(error.__traceback__)
        if ending is None:
            sentence = str(error.problems[0]) if isinstance(error, FinetuneGateError) else type(error).__name__
            ending = Ending(outcome=stopped(error), sentence=sentence)
        _end(taken, ending, show)
        raise
    return result


def _decided(result: GateResult) -> Ending:
    candidate = result.record.role("candidate")
    return Ending(
        outcome=result.record.decision,
        sentence=result.record.sentence,
        record=result.address,
        record_digest=result.record.digest(),
        files_digest=candidate.digest if candidate else "",
    )


def _end(held: Held, ending: Ending, show: Progress) -> None:
    """A registry that does not answer now changes nothing about what was decided, or went wrong, before."""
    try:
        with quick_calls():
            held.end(ending)
    except RegistryError as error:
        show.say(f"how this run ended could not be noted, so that a watcher may start it again: {error.problems[0]}")


def brought(ending: Ending, registry: Registry, out: Path) -> GateResult:
    """The result of another's run, with all that it wrote, in a folder of its own below ``out``. Raises RegistryError
    where the record is not there, or not the one that ``ending`` tells of."""
    tracking = Tracking(registry)
    folder = out / f"decided-{ending.record_digest[:12]}"
    if not (folder / RECORD_FILE).is_file():
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="part-", dir=out) as scratch:
            fetched = tracking.fetch(ending.record.rpartition("/")[0], Path(scratch))
            try:
                os.replace(fetched, folder)
            except OSError:  # another process here was faster, or the folder was left half deleted
                shutil.copytree(fetched, folder, dirs_exist_ok=True)
    record = read_record(folder / RECORD_FILE)
    if record.digest() != ending.record_digest:
        raise RegistryError(
            Problem(
                ending.record,
                f"a record with digest {record.digest()[:12]}",
                f"digest {ending.record_digest[:12]}, as the run that wrote it said",
                "somebody changed the record in MLflow: gate the version again",
            )
        )
    run_id = ending.record.removeprefix("runs:/").partition("/")[0]
    who = f"{record.run.actor} ({record.run.trigger})"
    return GateResult(record, folder, ending.record, tracking.run_url(run_id), Seen({}), elsewhere=who)
