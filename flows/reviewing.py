"""Waiting for people: a flow run that holds, or may promote only what somebody has approved, is suspended until a
person says what is to become of it.

    so_far = waits_so_far()                     # empty where this flow run has not waited yet
    request = continued(request, so_far)        # the candidate of the first walk, and the review, where one was given
    result = walk(request)
    wait_for_review(result, request, so_far)    # does not return where it waits

A suspended run holds no process. Whatever resumes it starts the flow from its beginning, on any worker: answers are in
the answer store, so walking again asks no model anything. What else must be remembered is kept by Prefect's server, as
inputs of the flow run: a `Wait` from before each suspension, and what was typed, which Prefect keeps itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, Final, Literal, cast

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from finetune_gate.flows.artifacts import artifact_key
from finetune_gate.gate.approval import approve_command
from finetune_gate.gate.deciding import Review
from finetune_gate.gate.gate_file.settings import Reviewing
from finetune_gate.gate.reports.review_request import render_review_request
from finetune_gate.gate.run import GateRequest, GateResult
from finetune_gate.gate.run.seen import Seen

LONGEST_NAME: Final = 100
LONGEST_REASON: Final = 300


class ReviewForm(BaseModel):
    """What a reviewer fills in. Nothing in it has a default, so that resuming a run without a word does nothing."""

    model_config = ConfigDict(extra="forbid")

    verdict: Literal["approve", "block", "look again"] = Field(
        description="Approve promotes the candidate, block blocks it, look again gates it once more"
    )
    reviewer: str = Field(
        min_length=1, max_length=LONGEST_NAME, pattern=r"\S", description="Your name, for the decision record"
    )
    reason: str = Field(
        min_length=1,
        max_length=LONGEST_REASON,
        pattern=r"\S",
        description="Why, in a sentence, for the decision record",
    )

    @field_validator("reviewer", "reason")
    @classmethod
    def _says_something(cls, text: str) -> str:
        if not any(letter.isalnum() for letter in text):
            raise ValueError("there is no letter or digit in it")
        return " ".join(text.split())


class Wait(BaseModel):
    """What a suspended run must know when it goes on: whose review it waits for, and until when at the latest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidate: str
    base: str | None
    until: AwareDatetime
    seen: dict[str, str]


@dataclass(frozen=True, slots=True)
class SoFar:
    """``count`` waits of this flow run; of the last one its `Wait` and what was said: a form, why what was typed is
    none, or None where the run was started again by other means than an answer."""

    count: int = 0
    wait: Wait | None = None
    said: ReviewForm | str | None = None


def waits_so_far() -> SoFar:
    """Ask Prefect's server what this flow run has waited for already."""
    if _cannot_wait() is not None:
        return SoFar()
    from prefect.input import keyset_from_paused_state
    from prefect.states import Suspended

    count, wait = 0, None
    while (kept := _read(_key(count + 1))) is not None:
        count, wait = count + 1, Wait.model_validate(kept)
    if wait is None:
        return SoFar()
    typed = _read(keyset_from_paused_state(Suspended(pause_key=_key(count)))["response"])
    return SoFar(count, wait, None if typed is None else read_form(typed))


def read_form(typed: object) -> ReviewForm | str:
    """What was typed, or why that is no answer. Prefect's server refuses most of it before, by the form's schema."""
    try:
        return ReviewForm.model_validate(typed)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        said = [(".".join(map(str, fault["loc"])) or "form", fault["msg"]) for fault in faults]
        return "; ".join(f"{where}: {what.removeprefix('Value error, ')}" for where, what in said)


def continued(request: GateRequest, so_far: SoFar) -> GateRequest:
    """``request`` for the versions of the first walk, with the review of the last wait. To look again is no review."""
    if so_far.wait is None:
        return request
    request = replace(request, candidate=so_far.wait.candidate, base=so_far.wait.base)
    said = so_far.said
    if not isinstance(said, ReviewForm) or said.verdict == "look again":
        return request
    return replace(request, review=Review(said.verdict, said.reviewer, said.reason), seen=Seen(so_far.wait.seen))


def wait_for_review(result: GateResult, request: GateRequest, so_far: SoFar) -> None:
    """Suspend this flow run, where it holds for a person and can be resumed; return where it ends as it is.

    Prefect's ``Pause`` is raised where it waits: the process ends. ``request`` is the one that came to ``result``.
    """
    from prefect import get_run_logger
    from prefect.runtime import flow_run

    if result.elsewhere:  # whoever reviews that is asked there
        return
    record = result.record
    settings = Reviewing.model_validate(record.gate_file.settings["review"])
    if not record.awaits_approval and (record.decision != "hold" or settings.wait != "hold"):
        return
    now = datetime.now(UTC)
    until = so_far.wait.until if so_far.wait is not None else now + timedelta(hours=settings.hours)
    obstacle = _no_use(result, request) or _cannot_wait()
    if obstacle is None and until <= now:
        obstacle = f"the time for a review ended {until:%Y-%m-%d %H:%M %Z}"
    candidate = record.role("candidate")
    if obstacle is not None or candidate is None or candidate.version is None:
        command = approve_command(record)
        instead = f"; it can be approved all the same: {command}" if command else ""
        get_run_logger().warning(
            f"hold is final here, nobody is waited for: {obstacle or 'no version is held'}{instead}"
        )
        return
    wait = Wait(
        candidate=candidate.version, base=_pinned_base(result, request), until=until, seen={**result.seen.parts}
    )
    text = render_review_request(
        record,
        gate_file=str(request.gate_file),
        report=result.run_url or result.address,
        until=until,
        flow_run=str(flow_run.id),
        remarks=_why_again(result, so_far),
    )
    _show(text, record.model, until)
    _suspend(wait, _key(so_far.count + 1), text, seconds=ceil((until - now).total_seconds()))


def _show(text: str, model: str, until: datetime) -> None:
    from prefect.artifacts import create_markdown_artifact

    show = cast("Callable[..., Any]", create_markdown_artifact)
    show(
        markdown=text, key=f"{artifact_key(model)}-review", description=f"Waits for a review until {until:%F %H:%M %Z}"
    )


def _suspend(wait: Wait, key: str, text: str, seconds: int) -> None:
    """Remember first, suspend then: killed between the two, the run is simply one that has not been answered."""
    from prefect.flow_runs import suspend_flow_run
    from prefect.input import RunInput, create_flow_run_input

    keep = cast("Callable[..., None]", create_flow_run_input)
    keep(key=key, value=wait.model_dump(mode="json"))
    form = RunInput.subclass_from_base_model_type(ReviewForm).with_initial_data(description=text)
    suspend = cast("Callable[..., Any]", suspend_flow_run)
    suspend(wait_for_input=form, timeout=seconds, key=key)


def _key(number: int) -> str:
    """Names a wait, as an input and as a pause. Prefect lets a pause of one name happen once in a flow run."""
    return f"review-{number}"


def _read(key: str) -> object:
    from prefect.input import read_flow_run_input

    return cast("Callable[..., object]", read_flow_run_input)(key)


def _cannot_wait() -> str | None:
    """Why this flow run could not be resumed if it was suspended."""
    from prefect.runtime import deployment, flow_run

    if flow_run.parent_flow_run_id is not None:
        return "Prefect cannot suspend a flow that another flow has called; call it with run_deployment"
    if deployment.id is None:
        return "only runs of a Prefect deployment can be suspended, because something has to start them again"
    return None


def _no_use(result: GateResult, request: GateRequest) -> str | None:
    """Why there is nothing to say for a reviewer."""
    if request.dry_run:
        return "it is a dry run"
    if result.record.identical:
        return f"the candidate is the {' and the '.join(result.record.identical)}"
    return None


def _pinned_base(result: GateResult, request: GateRequest) -> str | None:
    """The version that was named on the way in. A base of the gate file or of the version's own claims is found anew:
    naming it here would lend it the trust that only names on the way in have."""
    base = result.record.role("base")
    if request.base is None or base is None or base.version is None:
        return request.base
    return f"models:/{base.name}/{base.version}"


def _why_again(result: GateResult, so_far: SoFar) -> tuple[str, ...]:
    """What became of the last answer."""
    said = so_far.said
    if so_far.wait is None or said is None:
        return ()
    if isinstance(said, str):
        return (f"The last answer could not be taken. {said}",)
    changed = ", ".join(Seen(so_far.wait.seen).changed(result.seen))
    if said.verdict == "look again":
        found = f"on hold still; what has changed: {changed or 'nothing'}"
        return (f"{said.reviewer} wanted it looked at again ({said.reason}): {found}.",)
    if result.record.review is None:
        return (f"{said.reviewer} approved what was seen then ({said.reason}). Since then has changed: {changed}.",)
    return ("That approval did not make it promote.",)
