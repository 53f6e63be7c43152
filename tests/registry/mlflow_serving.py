"""A real MLflow server on this machine, on SQLite or on a PostgreSQL of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator, Mapping
from pathlib import Path


@contextlib.contextmanager
def mlflow_server(
    root: Path, database: str, *, python_path: str = "", environment: Mapping[str, str] | None = None, port: int = 0
) -> Generator[str]:
    """The address of a server that hands out artifacts itself; ``python_path``: where a database driver lies.
    ``environment``: further settings of the server; ``port``: any where it is 0."""
    port = port or free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", database, "--artifacts-destination", str(root / "files")]
    settings = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    settings |= {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **(environment or {}),
    }
    if python_path:
        settings["PYTHONPATH"] = python_path
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=settings, cwd=root, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address, process, root / "log")
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


@contextlib.contextmanager
def postgres(root: Path) -> Generator[str]:
    """The address of an empty PostgreSQL database, for SQLAlchemy. Needs ``initdb`` and ``postgres`` on the path; run
    by root, they run as user ``postgres``."""
    user = "postgres" if os.getuid() == 0 else None
    data, port = root / "postgres", free_port()
    data.mkdir(parents=True)
    if user is not None:
        shutil.chown(data, user)
    subprocess.run(
        ["initdb", "-D", str(data), "-U", "gate", "--auth=trust", "--no-sync"],
        user=user, cwd="/", check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    process = subprocess.Popen(
        ["postgres", "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", "", "-c", "fsync=off"],
        user=user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while subprocess.run(
            ["psql", "-h", "127.0.0.1", "-p", str(port), "-U", "gate", "postgres", "-c", "create database mlflow"],
            capture_output=True, check=False, timeout=30,
        ).returncode:  # fmt: skip
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.2)
        yield f"postgresql+psycopg2://gate@127.0.0.1:{port}/mlflow"
    finally:
        process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        process.wait(60)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text(errors="replace")
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
                assert answer.status == 200
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"no answer from {address}:\n{log.read_text(errors='replace')}")
