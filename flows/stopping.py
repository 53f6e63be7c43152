"""Why a flow run was stopped: a person cancelled it, or whatever it ran on went away.

    walk_in_turn(request, stopped=why_flow_stopped)

Both arrive as the same SIGTERM. What was cancelled is not to be started again by the watcher; what was evicted is.
"""

from __future__ import annotations

import threading
from contextvars import copy_context
from typing import Final

from finetune_gate.gate.run.in_turn import why_stopped
from finetune_gate.gate.turns import Outcome

DEADLINE_S: Final = 5.0
"""Prefect kills a cancelled process 30 s after the SIGTERM, and the end of the turn is still to be written then."""


def why_flow_stopped(error: BaseException) -> Outcome:
    """How the turn ended of a flow run that ``error`` ended; for `walk_in_turn`."""
    from prefect.exceptions import TerminationSignal

    if isinstance(error, TerminationSignal):
        return "cancelled" if _is_cancelled() else "failed"
    return why_stopped(error)


def _is_cancelled() -> bool:
    """Whether Prefect's server says that this flow run is to be cancelled; False where it does not say so in time."""
    said: list[bool] = []
    # the client tries again for a minute where the server is away: this process may not wait for that
    asking = threading.Thread(target=copy_context().run, args=(_ask, said), daemon=True)
    asking.start()
    asking.join(DEADLINE_S)
    return bool(said and said[0])


def _ask(said: list[bool]) -> None:
    from httpx import HTTPError
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import StateType
    from prefect.exceptions import PrefectException
    from prefect.runtime import flow_run

    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(flow_run.id).state
    except (HTTPError, PrefectException):
        return
    said.append(state is not None and state.type in (StateType.CANCELLING, StateType.CANCELLED))
