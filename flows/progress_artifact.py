"""How far asking is, as a progress artifact of the task run that asks.

    meter = Meter()
    with shown_in_prefect(meter, "evaluation-gate-support-bot-progress"):
        ...                                  # works, and tells meter

A thread of its own writes, every few seconds where something has changed: a server that is slow, or gone, costs the run
nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from uuid import UUID

from finetune_gate.gate.progress import Lines, progress_line
from finetune_gate.gate.registry.mlflow_client import plain
from finetune_gate.gate.reports.markdown import prose

if TYPE_CHECKING:
    from prefect.client.schemas.actions import ArtifactCreate

EVERY_S: Final = 5.0
_AT_END_S: Final = 2.0
"""How long the end of the work waits for the last word to be written."""


class Meter(Lines):
    """Progress as log lines of the flow run, at most one every half minute within a stretch of work, that can also be
    read at any time."""

    def __init__(self) -> None:
        super().__init__(every=30.0)

    def say(self, line: str) -> None:
        from prefect import get_run_logger

        get_run_logger().info(line.strip())

    def read(self) -> tuple[float, str] | None:
        """Per cent of the stretch of work under way, and a line of markdown about it; None before there is any."""
        if not self._total:
            return None
        line = progress_line(self._label, self._done, self._total, time.monotonic() - self._begun)
        return min(100.0, 100 * self._done / self._total), prose(line)


@contextmanager
def shown_in_prefect(meter: Meter, key: str, every_s: float = EVERY_S) -> Generator[None]:
    """Keep an artifact at what ``meter`` reads. None is kept without a server: nobody could look at it."""
    from prefect import get_run_logger
    from prefect.client.schemas.actions import ArtifactCreate
    from prefect.runtime import flow_run, task_run
    from prefect.settings import PREFECT_API_URL

    run, task = flow_run.id, task_run.id
    if not PREFECT_API_URL.value() or run is None or task is None:
        yield
        return
    writer = _Writer(meter, ArtifactCreate(type="progress", key=key, flow_run_id=UUID(run), task_run_id=UUID(task)))
    thread = threading.Thread(target=writer.write, args=(every_s,), name="progress artifact", daemon=True)
    thread.start()
    try:
        yield
    finally:
        writer.over.set()
        thread.join(_AT_END_S)
        if writer.failed is not None:
            get_run_logger().info(f"progress is not shown in Prefect: {writer.failed}")


class _Writer:
    def __init__(self, meter: Meter, artifact: ArtifactCreate) -> None:
        self.over = threading.Event()
        self.failed: str | None = None
        self._meter = meter
        self._artifact = artifact

    def write(self, every_s: float) -> None:
        try:
            self._write(every_s)
        except Exception as error:  # noqa: BLE001 - the border to what is only shown
            self.failed = plain(str(error)) or type(error).__name__

    def _write(self, every_s: float) -> None:
        from prefect import get_client
        from prefect.client.schemas.actions import ArtifactUpdate

        made: UUID | None = None
        written: tuple[float, str] | None = None
        with get_client(sync_client=True) as client:
            while True:
                over = self.over.wait(every_s)
                now = self._meter.read()
                if now is not None and now != written:
                    share, line = written = now
                    if made is None:
                        first = self._artifact.model_copy(update={"data": share, "description": line})
                        made = client.create_artifact(first).id
                    else:
                        client.update_artifact(made, ArtifactUpdate(data=share, description=line))
                if over:
                    return
