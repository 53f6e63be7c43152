"""What was added for installations, each by itself: CSRF tokens of Prefect's server, the watcher's sign of life, the
deployments of a pool, the demo at a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from finetune_gate.flows.prefect_asking import ask_prefect
from finetune_gate.gate.doctor import NoReply, Reply

COMMAND = [sys.executable, "-m", "finetune_gate.flows.cli"]
GATE_FILE = """\
model: support-bot
data: {tickets: tickets.jsonl}
evaluators: [{perplexity: {data: tickets}}]
rules: [{metric: perplexity.bits_per_byte, max: 1000}]
"""


class Guarded(BaseHTTPRequestHandler):
    """As Prefect's server answers: a POST needs the token that this client was given."""

    protected = True
    tokens: dict[str, str] = {}
    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(f"GET {urlsplit(self.path).path}")
        if not self.path.startswith("/api/csrf-token"):
            return self.answer(200, "fine")
        (client,) = parse_qs(urlsplit(self.path).query)["client"]
        self.tokens[client] = f"token of {client}"
        return self.answer(200, {"token": self.tokens[client], "client": client})

    def do_POST(self) -> None:
        self.asked.append(f"POST {self.path}")
        self.rfile.read(int(self.headers["Content-Length"]))
        token = self.headers.get("Prefect-Csrf-Token")
        if self.headers.get("Authorization") != "Basic Z2F0ZTp4":
            return self.answer(401, {"exception_message": "Unauthorized"})
        if self.protected and token is None:
            return self.answer(403, {"detail": "Missing CSRF token."})
        if self.protected and self.tokens.get(self.headers["Prefect-Csrf-Client"]) != token:
            return self.answer(403, {"detail": "Invalid CSRF token or client identifier."})
        return self.answer(201, {"id": "1"})

    def answer(self, status: int, body: object) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None: ...


@contextmanager
def guarded(*, protected: bool = True) -> Generator[tuple[str, list[str]]]:
    class One(Guarded):
        tokens: dict[str, str] = {}
        asked: list[str] = []

    One.protected = protected
    with ThreadingHTTPServer(("127.0.0.1", 0), One) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api", One.asked
        server.shutdown()


def posted(api: str, authorization: str = "Basic Z2F0ZTp4") -> Reply | NoReply:
    return ask_prefect(api, "/flow_runs/filter", 10, headers={"Authorization": authorization}, body={})


def test_a_server_that_wants_csrf_tokens_gets_one() -> None:
    with guarded() as (api, asked):
        reply = posted(api)
        assert (isinstance(reply, Reply) and reply.status, asked) == (
            201,
            ["POST /api/flow_runs/filter", "GET /api/csrf-token", "POST /api/flow_runs/filter"],
        )


def test_no_token_is_asked_for_where_none_is_wanted() -> None:
    with guarded(protected=False) as (api, asked):
        reply = posted(api)
        assert (isinstance(reply, Reply) and reply.status, asked) == (201, ["POST /api/flow_runs/filter"])
        read = ask_prefect(api, "/admin/version", 10, headers={})
        assert isinstance(read, Reply)
        assert read.json() == "fine"


def test_what_is_refused_otherwise_stays_refused() -> None:
    with guarded() as (api, asked):
        reply = posted(api, authorization="Basic wrong")
        assert (isinstance(reply, Reply) and reply.status, asked) == (401, ["POST /api/flow_runs/filter"])
    assert isinstance(posted("http://127.0.0.1:9/api"), NoReply)


@pytest.mark.slow
def test_a_watcher_shows_that_it_goes_on_even_where_mlflow_is_away(tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_text(GATE_FILE)
    (tmp_path / "tickets.jsonl").write_text('{"id": "1", "text": "My ticket is late."}\n')
    looked = tmp_path / "looked"
    watch = ["watch", "gate.yaml", "--tracking-uri", "http://127.0.0.1:9", "--every", "1", "--heartbeat", str(looked)]
    environment = {**os.environ, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "FINETUNE_GATE_HOME": str(tmp_path)}
    process = subprocess.Popen(
        [*COMMAND, *watch], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        until = time.monotonic() + 120
        while not looked.exists():
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
    finally:
        process.terminate()
        said = process.communicate(timeout=60)[1].decode()
    assert "127.0.0.1:9" in said


@pytest.mark.slow
def test_the_demo_at_a_server_that_is_not_there_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    from finetune_gate.evaluators.errors import RegistryError
    from finetune_gate.flows.demo.registering import register_at_server

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///unused.db")
    before = mlflow.get_tracking_uri()
    try:
        with pytest.raises(RegistryError, match=r"register the demo's models at http://127\.0\.0\.1:9"):
            register_at_server("http://name:word@127.0.0.1:9", tmp_path, tmp_path, tmp_path)
    finally:
        mlflow.set_tracking_uri(before)
