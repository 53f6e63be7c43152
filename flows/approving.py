"""Answering for a Prefect flow run that is suspended until somebody reviews it, by Prefect's API.

run = suspended("0d5e6f...")             # refuses a run that waits for no review
answer(run, ReviewForm(verdict="approve", reviewer="Ana Ruiz", reason="read the report"))
outcome = outcome_of(run, seconds=300)   # the decision, once the run has gone on and ended
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast
from uuid import UUID

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, Problem, without_credentials
from finetune_gate.flows.reviewing import ReviewForm
from finetune_gate.gate.run.approving import Refused

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import Artifact, FlowRun

_FORM: Final = re.compile(r"suspended-review-[0-9]+-response")
"""Where Prefect keeps the answer to a form of ours."""

_DECIDED: Final = re.compile(r"(Promote|Block|Hold): ")
_LOOK_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Suspended:
    """A flow run that waits for a review. ``text`` is what its form says; ``page`` is in Prefect's UI, None without."""

    id: UUID
    name: str
    text: str
    page: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a flow run that went on. ``state`` is Prefect's name for how it is, and ``message`` what Prefect
    says of that. ``ended`` is False where it waits again, or was still running when the time was over. ``sentence`` is
    that of the decision it came to, None where it came to none."""

    state: str
    message: str
    ended: bool
    sentence: str | None = None

    @property
    def decision(self) -> str | None:
        return None if self.sentence is None else self.sentence.partition(":")[0].lower()


def suspended(run_id: str) -> Suspended:
    """Raises ConfigurationError where no Prefect server is named or it has no such run, Refused where the run does not
    wait for a review, EvaluationError where the server does not answer."""
    from prefect.utilities.urls import url_for

    with _server(f"flow run {run_id}") as client:
        run = client.read_flow_run(UUID(run_id))
        keyset = _keyset(run)
        if keyset is None:
            state = run.state_name or "in no state yet"
            found = f"it is {state}, and waits for no review"
            raise Refused(Problem(f"flow run {run.name}", found, "Suspended, with the form of a review"))
        text = _text(client, run, keyset["description"])
        return Suspended(run.id, run.name, text, cast("Callable[..., str | None]", url_for)(run))


def answer(run: Suspended, form: ReviewForm) -> None:
    """Resume ``run`` with what was said. Raises Refused where Prefect does not take it: its server says so in the
    answer, under a status of success."""
    with _server(f"flow run {run.name}") as client:
        result = client.resume_flow_run(run.id, run_input=form.model_dump())
    if result.status.value != "ACCEPT":
        reason = getattr(result.details, "reason", None) or "it does not say why"
        found = f"Prefect did not take that ({result.status.value}): {reason}"
        raise Refused(Problem(f"flow run {run.name}", found, way_out="look at the run in Prefect, and say it again"))


def outcome_of(run: Suspended, seconds: float) -> Outcome:
    """Wait until the run that goes on has ended, or waits again, at most ``seconds``."""
    until = time.monotonic() + seconds
    with _server(f"flow run {run.name}") as client:
        while True:
            now = client.read_flow_run(run.id)
            state = now.state
            name, message = now.state_name or "", (state.message or "") if state else ""
            if state is not None and state.is_final():
                return Outcome(name, message, True, _sentence(client, run.id) if state.is_completed() else None)
            if _keyset(now) is not None:
                return Outcome(name, message, False, _sentence(client, run.id))
            if time.monotonic() >= until:
                return Outcome(name, message, False)
            time.sleep(_LOOK_EVERY_S)


def _keyset(run: FlowRun) -> dict[str, str] | None:
    """Where the form is kept that ``run`` waits for, if that is one of ours."""
    state = run.state
    if state is None or not state.is_paused():
        return None
    keyset = state.state_details.run_input_keyset
    return keyset if keyset is not None and _FORM.fullmatch(keyset["response"]) else None


def _text(client: SyncPrefectClient, run: FlowRun, key: str) -> str:
    found: object = json.loads(client.read_flow_run_input(run.id, key))
    return found if isinstance(found, str) else ""


def _sentence(client: SyncPrefectClient, run_id: UUID) -> str | None:
    """That of the newest decision record: every walk of the flow shows it as an artifact of the run."""
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
    from prefect.client.schemas.sorting import ArtifactSort

    mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    found: list[Artifact] = client.read_artifacts(artifact_filter=mine, sort=ArtifactSort.CREATED_DESC, limit=20)
    said = (artifact.description or "" for artifact in found if artifact.type == "markdown")
    return next((sentence for sentence in said if _DECIDED.match(sentence)), None)


@contextmanager
def _server(about: str) -> Generator[SyncPrefectClient]:
    """A client of the server that is configured, with its errors as ours. None is started."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.settings import PREFECT_API_URL

    address = PREFECT_API_URL.value()
    if not address:
        way_out = "set PREFECT_API_URL, or give the id of the MLflow run, or the path of its record"
        raise ConfigurationError(Problem(about, "no Prefect server is named to ask for it", way_out=way_out))
    where = without_credentials(address)
    try:
        with get_client(sync_client=True) as client:
            yield client
    except ObjectNotFound:
        raise ConfigurationError(Problem(about, f"Prefect at {where} has no such run")) from None
    except httpx.HTTPError as error:
        found = without_credentials(f"{type(error).__name__}: {error}".splitlines()[0])
        raise EvaluationError(Problem(f"Prefect at {where}", found, f"{about} there")) from error
