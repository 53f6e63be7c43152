"""A real Prefect server, and beside it a process that serves the gate as the deployment ``evaluation_gate/gate``."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from workshop import Workshop

ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass(frozen=True, slots=True)
class Server:
    """A Prefect server, and a workshop on which the deployment ``evaluation_gate/gate`` works. ``serving`` holds the id
    of the process that serves it."""

    api: str
    workshop: Workshop
    serving: list[int]

    def processes(self) -> list[psutil.Process]:
        """Of flow runs that are running: the serving process spawns one for each."""
        every = [child for pid in self.serving for child in psutil.Process(pid).children()]
        return [child for child in every if any("spawn_main" in word for word in _command(child))]

    def call(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.api}{path}", data, {"Content-Type": "application/json"})
        for _ in range(10):
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code != 503:  # its database was busy: its own clients try again, too
                    raise
                time.sleep(1)
        raise AssertionError(f"{path}: busy for ten seconds")

    def start(self, **parameters: object) -> Any:
        """Create a flow run with these parameters, as the UI does."""
        deployment = self.call("/deployments/name/evaluation_gate/gate")
        wanted = {"parameters": parameters, "idempotency_key": str(uuid4())}
        return self.call(f"/deployments/{deployment['id']}/create_flow_run", wanted)

    def run(self, **parameters: object) -> Any:
        """Start a flow run and wait for its end."""
        return self.ended(self.start(**parameters))

    def settled(self, run: Any) -> Any:
        """The flow run as it is once it has ended or is suspended."""
        return self._when(run, {*ENDED, "PAUSED"})

    def ended(self, run: Any) -> Any:
        """The flow run as it is once it has ended."""
        return self._when(run, ENDED)

    def _when(self, run: Any, types: set[str]) -> Any:
        def found() -> Any:
            now = self.call(f"/flow_runs/{run['id']}")
            return now if now["state_type"] in types else None

        return waited(found, "the flow run to be " + " or ".join(sorted(types)))

    def tasks(self, run: Any) -> list[str]:
        body = {"flow_runs": {"id": {"any_": [run["id"]]}}, "sort": "EXPECTED_START_TIME_ASC"}
        return [task["name"] for task in self.call("/task_runs/filter", body)]

    def artifacts(self, run: Any) -> dict[str, Any]:
        found = self.call("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}})
        return {artifact["key"]: artifact for artifact in found if artifact["key"]}


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it has ended meanwhile
        return []


def waited(ready: Callable[[], Any], what: str, seconds: float = 180) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if found := ready():
                return found
        except OSError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"waited {seconds} s in vain for {what}")


@contextmanager
def served(workshop: Workshop, home: Path) -> Generator[Server]:
    """Server and deployment, working in ``workshop``; ended with the context. Their logs are in ``home``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    api = f"http://127.0.0.1:{port}/api"
    env = {
        **os.environ,
        "PREFECT_HOME": str(home / "home"),
        "PREFECT_API_URL": api,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "MLFLOW_TRACKING_URI": workshop.uri,
        "FINETUNE_GATE_HOME": str(workshop.folder / "home"),
    }
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, *command: str) -> int:
        log = (home / f"{name}.log").open("wb")
        started.append(
            subprocess.Popen(command, env=env, cwd=workshop.folder, stdout=log, stderr=log, start_new_session=True)
        )
        return started[-1].pid

    try:
        start("server", sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
        found = Server(api, workshop, [])
        waited(lambda: found.call("/health"), "the Prefect server")
        found.serving.append(start("serve", sys.executable, "-m", "finetune_gate.flows.gate_flow"))
        waited(lambda: found.call("/deployments/name/evaluation_gate/gate"), "the deployment")
        yield found
    finally:
        for process in reversed(started):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
