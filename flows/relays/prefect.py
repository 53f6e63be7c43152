"""Gates as flow runs of the Prefect deployment ``evaluation_gate/gate``, started by Prefect's REST API.

    relay = from_environment("watch")    # PREFECT_API_URL; PREFECT_API_KEY or PREFECT_API_AUTH_STRING

Prefect itself is not imported. A flow run gets an idempotency key that no other ask has, so that asking twice for one
turn starts one run.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal, cast
from urllib.parse import quote

from finetune_gate.evaluators.errors import ConfigurationError, Problem, without_credentials
from finetune_gate.flows.prefect_asking import ask_prefect
from finetune_gate.flows.prefect_credentials import prefect_credentials
from finetune_gate.gate.doctor import NoReply, Reply, is_http
from finetune_gate.gate.registry.mlflow_client import plain
from finetune_gate.gate.turns import Ending, Row, Turns
from finetune_gate.gate.watching import Ask, Started

from .delivering import SECONDS, NotReached, Reached, delivered

DEPLOYMENT: Final = "evaluation_gate/gate"
BEGINS_WITHIN_S: Final = 600.0
"""A flow run that Prefect calls running, and that has not taken its turn after so long, is taken for dead: Prefect
itself does not notice where a process has gone."""

_BUSY_PAUSES_S: Final = (0.5, 1.0, 2.0, 4.0)
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def from_environment(trigger: str, environ: Mapping[str, str] = os.environ) -> Prefect:
    """``trigger`` begins what the runs say made them. Raises ConfigurationError."""
    url = environ.get("PREFECT_API_URL", "").strip().rstrip("/")
    if not is_http(url):
        found = f"{without_credentials(url.split('?', 1)[0])} is no address" if url else "not set"
        expected = "the address of Prefect's API, such as http://127.0.0.1:4200/api"
        raise ConfigurationError(Problem("PREFECT_API_URL", found, expected, "set it, or use another --relay"))
    return Prefect(url, prefect_credentials(environ), trigger)


class Prefect:
    """``url`` is that of the API; ``seconds`` the deadline of one call."""

    via = "prefect"

    def __init__(self, url: str, headers: Mapping[str, str], trigger: str, *, seconds: float = SECONDS) -> None:
        self._url, self._headers, self._trigger, self._seconds = url, headers, trigger, seconds

    def start(self, ask: Ask, turns: Turns) -> Started:
        if ask.standing.state == "silent":
            self._mark_crashed(ask)
        return delivered(ask, turns, self.via, lambda number: self._deliver(ask, number))

    def word(self, ask: Ask) -> Ending | Literal["coming", "unknown"]:
        row = ask.standing.row
        found = self.flow_run(_flow_run_id(row)) if row else None
        if row is None or found is None:
            return "unknown"
        kind, state = state_of(found)
        said = plain(str(state.get("message") or ""), 200)
        name = f"{row.delivered} ended {plain(str(state.get('name') or kind), 40)}"
        if kind in ("FAILED", "CRASHED"):
            return Ending(outcome="failed", sentence=f"{name}{f': {said}' if said else ''}")
        if kind == "CANCELLED":
            return Ending(outcome="cancelled", sentence=name)
        if kind == "COMPLETED":
            why = "and gated something else: is the gate file where it works the same as the watcher's?"
            return Ending(outcome="misconfigured", sentence=f"{name}, {why}")
        if kind in ("SCHEDULED", "CANCELLING"):
            return "coming"
        fresh = kind in ("PENDING", "RUNNING") and _age_s(state) < BEGINS_WITHIN_S
        return "coming" if fresh else "unknown"

    def begin(self, deployment: str, parameters: Mapping[str, object], key: str) -> str | NotReached:
        """The id of a flow run of ``deployment`` (FLOW/DEPLOYMENT): a new one, or the one of an earlier ask with this
        key."""
        name = "/".join(quote(part, safe="") for part in deployment.split("/"))
        reply = self.call(f"/deployments/name/{name}")
        found = _field(reply, "id")
        if found is None:
            return NotReached(f"Prefect: {_why_not(reply, f'deployment {deployment}')}")
        reply = self.call(
            f"/deployments/{found}/create_flow_run", {"parameters": dict(parameters), "idempotency_key": key}
        )
        run = _field(reply, "id")
        return NotReached(f"Prefect: {_why_not(reply, 'flow run')}") if run is None else run

    def _deliver(self, one: Ask, number: int) -> Reached | NotReached:
        parameters = {
            "gate_file": str(one.gate_path),
            "model": one.subject.model,
            "version": one.subject.version,
            "once": True,
            "trigger": f"{self._trigger}: {one.why}",
        }
        run = self.begin(DEPLOYMENT, parameters, f"{one.subject.key}-{number}")
        return run if isinstance(run, NotReached) else Reached(f"flow run {run}")

    def _mark_crashed(self, one: Ask) -> None:
        """Prefect shows a run whose process is gone as running for ever. What it shows decides nothing, so that it
        cannot be told here keeps no gate from being started."""
        row = one.standing.row
        run = (_flow_run_id(one.before) if one.before else "") or (_actor_id(row) if row else "")
        found = self.flow_run(run)
        if found is None or state_of(found)[0] not in ("RUNNING", "CANCELLING"):
            return
        message = "Its process is gone: nothing was heard of it. finetune-gate starts it again."
        state = {"type": "CRASHED", "name": "Crashed", "message": message}
        self.call(f"/flow_runs/{run}/set_state", {"state": state, "force": True})

    def flow_run(self, run: str) -> dict[str, object] | None:
        """None where Prefect does not tell, for whatever reason."""
        reply = self.call(f"/flow_runs/{run}") if run else None
        body = reply.json() if isinstance(reply, Reply) and reply.status == 200 else None
        return cast("dict[str, object]", body) if isinstance(body, dict) else None

    def call(self, path: str, body: object = None) -> Reply | NoReply:
        """GET ``path`` of the API, or POST ``body`` there. Again where the server says that it is busy, as one on
        SQLite does among its own workers."""
        pauses = iter(_BUSY_PAUSES_S)
        while True:
            reply = ask_prefect(self._url, path, self._seconds, headers=self._headers, body=body)
            pause = next(pauses, None)
            if isinstance(reply, NoReply) or reply.status not in (429, 503) or pause is None:
                return reply
            time.sleep(pause)


def _flow_run_id(row: Row) -> str:
    """Of the flow run that was started for a turn; "" if none was."""
    found = _UUID.search(row.delivered) if row.turn.via == Prefect.via else None
    return found[0] if found else ""


def _actor_id(row: Row) -> str:
    """Runs that Prefect started otherwise give their own id as the actor."""
    return row.turn.actor if _UUID.fullmatch(row.turn.actor) else ""


def state_of(flow_run: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """Its type, such as RUNNING, and all of it."""
    state = flow_run.get("state")
    fields = cast("dict[str, object]", state) if isinstance(state, dict) else {}
    return str(fields.get("type") or ""), fields


def _age_s(state: Mapping[str, object]) -> float:
    """How long it has been in this state, by this machine's clock; for ever where Prefect does not say."""
    try:
        since = datetime.fromisoformat(str(state.get("timestamp")))
    except ValueError:
        return float("inf")
    return (datetime.now(UTC) - (since if since.tzinfo else since.replace(tzinfo=UTC))).total_seconds()


def _field(reply: Reply | NoReply, name: str) -> str | None:
    """A field of a good reply, if it is what an id may be."""
    body = reply.json() if isinstance(reply, Reply) and reply.status in (200, 201) else None
    value = cast("dict[str, object]", body).get(name) if isinstance(body, dict) else None
    return value if isinstance(value, str) and _UUID.fullmatch(value) else None


def _why_not(reply: Reply | NoReply, what: str) -> str:
    if isinstance(reply, NoReply):
        return f"{what}: {reply.reason}; is the server of PREFECT_API_URL running?"
    if reply.status in (401, 403):
        return f"{what}: status {reply.status}; set PREFECT_API_KEY or PREFECT_API_AUTH_STRING to what the server wants"
    if reply.status == 404:
        return f"{what}: there is none; create it with `finetune-gate deployments`"
    body = reply.json()
    said = cast("dict[str, object]", body).get("detail") if isinstance(body, dict) else None
    return f"{what}: status {reply.status}{f' ({plain(str(said), 160)})' if said else ''}"
