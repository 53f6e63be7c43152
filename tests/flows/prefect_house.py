"""A real Prefect server, and beside it `finetune-gate deployments`, which serves ``evaluation_gate/gate``."""

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
from contextlib import contextmanager, suppress
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
    of the process that serves it. Logs are in ``home``."""

    api: str
    workshop: Workshop
    home: Path
    serving: list[int]
    started: list[subprocess.Popen[bytes]]

    def env(self) -> dict[str, str]:
        """Of everything that works with this server."""
        return {
            **os.environ,
            "PREFECT_HOME": str(self.home / "home"),
            "PREFECT_API_URL": self.api,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_RUNNER_POLL_FREQUENCY": "1",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "MLFLOW_TRACKING_URI": self.workshop.uri,
            "FINETUNE_GATE_HOME": str(self.workshop.folder / "home"),
        }

    def begin(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a process that is ended with the server; its output is in ``NAME.log``."""
        log = (self.home / f"{name}.log").open("wb")
        process = subprocess.Popen(
            command, env=self.env(), cwd=self.workshop.folder, stdout=log, stderr=log, start_new_session=True
        )
        self.started.append(process)
        return process

    def serve(self, *options: str) -> subprocess.Popen[bytes]:
        """`finetune-gate deployments` with ``options``."""
        process = self.begin("serve", sys.executable, "-m", "finetune_gate.flows.cli", "deployments", *options)
        self.serving[:] = [process.pid]
        waited(lambda: self.call("/deployments/name/evaluation_gate/gate"), "the deployment")
        return process

    def processes(self) -> list[psutil.Process]:
        """Of flow runs that are running: the serving process starts one for each."""
        every = [child for pid in self.serving for child in psutil.Process(pid).children()]
        return [child for child in every if "prefect.engine" in _command(child)]

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
        return self.create("evaluation_gate/gate", str(uuid4()), **parameters)

    def create(self, deployment: str, key: str, **parameters: object) -> Any:
        """Create a flow run, unless there is one of this key."""
        found = self.call(f"/deployments/name/{deployment}")
        wanted = {"parameters": parameters, "idempotency_key": key}
        return self.call(f"/deployments/{found['id']}/create_flow_run", wanted)

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

    def logs(self, run: Any) -> str:
        body = {"logs": {"flow_run_id": {"any_": [run["id"]]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
        return "\n".join(line["message"] for line in self.call("/logs/filter", body))

    def artifacts(self, run: Any) -> dict[str, Any]:
        found = self.call("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}})
        return {artifact["key"]: artifact for artifact in found if artifact["key"]}


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it has ended meanwhile
        return []


def waited(ready: Callable[[], Any], what: str, seconds: float = 180, every: float = 0.5) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if found := ready():
                return found
        except OSError:
            pass
        time.sleep(every)
    raise AssertionError(f"waited {seconds} s in vain for {what}")


@contextmanager
def opened(workshop: Workshop, home: Path) -> Generator[Server]:
    """A server that nothing serves a deployment to; ended with the context, and with all that `Server.begin` began."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = Server(f"http://127.0.0.1:{port}/api", workshop, home, [], [])
    try:
        command = ("-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
        found.begin("server", sys.executable, *command)
        waited(lambda: found.call("/health"), "the Prefect server")
        yield found
    finally:
        for process in reversed(found.started):
            _end(process)


@contextmanager
def served(workshop: Workshop, home: Path, *options: str) -> Generator[Server]:
    """Server and deployment, working in ``workshop``. ``options`` are those of `finetune-gate deployments`."""
    with opened(workshop, home) as found:
        found.serve(*options)
        yield found


def _end(process: subprocess.Popen[bytes]) -> None:
    """With all that it started, which may be in sessions of its own."""
    try:
        every = psutil.Process(process.pid).children(recursive=True)
    except psutil.Error:
        every = []
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for child in every:
        with suppress(psutil.Error):
            child.kill()
    process.wait(20)
